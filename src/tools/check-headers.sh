#!/bin/sh
#
# check-headers.sh
#	  Each header compiles alone, without warnings.
#
# Public headers include what they need, postgres.h too; private ones may
# count on postgres.h.  Templates, which are included several times with other
# parameters and therefore have no include guard, are left out.
#
. src/tools/common.sh

command -v "$PG_CONFIG" >/dev/null || src/tools/install-deps.sh build

cc=$("$PG_CONFIG" --cc)
rc=0
count=0
for header in $(project_files 'include/*.h' 'src/*.h'); do
	grep -q '^#ifndef .*_H$' "$header" || continue
	case $header in
		src/*) first='#include "postgres.h"' ;;
		*) first= ;;
	esac
	printf '%s\n#include "%s"\n' "$first" "$header" |
		$cc -fsyntax-only -x c -std=gnu99 -Wall -Wextra -Wno-unused-parameter \
			-Wno-sign-compare -Wno-unused-function -Werror -I. -Iinclude \
			-I"$(dirname "$header")" \
			-isystem "$("$PG_CONFIG" --includedir-server)" \
			-isystem "$("$PG_CONFIG" --includedir)" - ||
		{ say "$header does not compile alone"; rc=1; }
	count=$((count + 1))
done
[ $rc -ne 0 ] || say "$count headers compile alone"
exit $rc
