#!/bin/sh
#
# indent.sh [--check] [FILE...]
#	  Lay out C files with pg_bsd_indent, as pgindent does.
#
# The flags are pgindent's, and so are the passes before and after that
# matter here; pgindent itself is not packaged.  The list of types comes from
# typedefs.sh.  With --check it shows what it would change, and fails if that
# is anything.
#
. src/tools/common.sh

command -v pg_bsd_indent >/dev/null || src/tools/install-deps.sh lint

check=no
if [ "${1:-}" = --check ]; then
	check=yes
	shift
fi
if [ $# -eq 0 ]; then
	# shellcheck disable=SC2046
	set -- $(project_files 'src/*.c' 'src/*.h' 'include/*.h' 'test/*.c' 'test/*.h')
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
src/tools/typedefs.sh >"$work/typedefs"

lay_out()
{
	# block comments guarded by dashes keep their shape also when there is a
	# space before the dashes; floats in hexadecimal, which pg_bsd_indent would
	# take apart, become names of the same length
	perl -0777 -pe '
		s!/\*[ ]+---!/*---GUARD!g;
		s!\b0x([0-9a-f]*\.?[0-9a-f]*p[-+]?\d+f?)\b!"HX" . $1 =~ tr/-+./MPD/r!ge;
	' "$1" |
		pg_bsd_indent -bad -bap -bbb -bc -bl -cli1 -cp33 -cdb -nce -d0 -di12 \
			-nfc1 -i4 -l79 -lp -lpl -nip -npro -sac -tpg -ts4 \
			-U"$work/typedefs" |
		perl -0777 -pe '
			s!/\*---GUARD!/* ---!g;
			s!\bHX([0-9a-f]*D?[0-9a-f]*p[MP]?\d+f?)\b!"0x" . $1 =~ tr/MPD/-+./r!ge;
			# two comments run together
			s!\*/(/\*.*\*/)$!*/\t$1!mg;
			# a pointer returned: one space before the star
			s!^([A-Za-z_]\S*)[ \t]+\*$!$1 *!mg;
		'
}

rc=0
for file; do
	lay_out "$file" >"$work/out"
	[ -s "$work/out" ] || die "pg_bsd_indent failed on $file"
	if ! cmp -s "$file" "$work/out"; then
		if [ $check = yes ]; then
			diff -u --label "$file" --label "$file as indented" "$file" "$work/out" || rc=1
		else
			cat "$work/out" >"$file"
			say "indented $file"
		fi
	fi
done
[ $rc -ne 0 ] || [ $check = no ] || say "$# files have the layout of PostgreSQL"
exit $rc
