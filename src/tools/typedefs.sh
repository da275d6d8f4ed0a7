#!/bin/sh
#
# typedefs.sh
#	  Print the names of all types that the sources may use, one per line.
#
# pg_bsd_indent needs them to tell "type * name" from a product.  Those of
# PostgreSQL and the system come from the debug information of a file that
# includes every header our sources include; our own are read from the
# sources, since some are for machines other than this.
#
. src/tools/common.sh

command -v objdump >/dev/null && command -v "$PG_CONFIG" >/dev/null ||
	src/tools/install-deps.sh build lint

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

project_files 'src/*.c' 'src/*.h' 'include/*.h' 'test/*.c' 'test/*.h' >"$work/files"
{
	echo '#include "postgres.h"'
	# headers of other machines do not exist, and those of rooms are ours
	xargs -r -d '\n' sed -nE 's,^#[ ]*include[ ]+([<"][^>"]+[>"]).*,\1,p' <"$work/files" |
		grep -vE '"vecdb/|postgres\.h|sort_template|simplehash|_(private|template)\.h' |
		sort -u | while read -r header; do
			name=$(echo "$header" | tr -d '<>"')
			printf '#if __has_include(%s)\n#include %s\n#endif\n' \
				"<$name>" "<$name>"
		done
} >"$work/all.c"
$("$PG_CONFIG" --cc) -g -w -c -fno-eliminate-unused-debug-types \
	-I"$("$PG_CONFIG" --includedir-server)" -I"$("$PG_CONFIG" --includedir)" \
	-o "$work/all.o" "$work/all.c" ||
	die "the headers that the sources include do not go together"

{
	objdump --dwarf=info "$work/all.o" | awk '
		/DW_TAG_/ { typedef = /DW_TAG_typedef/ }
		typedef && /DW_AT_name/ { print $NF; typedef = 0 }'
	xargs -r -d '\n' awk '
		# the name ends the line, follows "}", or is in "(*name)"
		/^typedef/ { open = 1 }
		open && /^typedef.*\(\*[A-Za-z_0-9]+\)/ {
			name = $0
			sub(/^[^(]*\(\*/, "", name); sub(/\).*/, "", name)
			print name; open = 0; next
		}
		open && (/^}[ \t]*[A-Za-z_0-9]+[ \t]*;/ || /^typedef[^(]*;/) {
			name = $0
			sub(/[ \t]*;.*/, "", name); sub(/.*[^A-Za-z_0-9]/, "", name)
			print name; open = 0
		}' <"$work/files"
	# parameters of template headers that stand for types
	xargs -r -d '\n' sed -nE \
		's/^#[ ]*define[ 	]+([A-Z][A-Za-z_]*)[ 	]+(float|double|int|char|u?int[0-9]+|__m[0-9]+i?|[a-z0-9]+x[0-9x]+_t|Vdb[A-Za-z]+)$/\1/p' \
		<"$work/files"
	# vector types of ARM, whose header is not here
	xargs -r -d '\n' grep -ohE '\<(u?int|float)[0-9]+x[0-9]+(x[0-9])?_t\>' \
		<"$work/files" || true
} | grep -E '^[A-Za-z_][A-Za-z_0-9]*$' | sort -u
