#!/bin/sh
#
# check-exports.sh [LIBRARY]
#	  The library exports its SQL functions and nothing else.
#
# Another extension in the same backend may have functions of any name; see
# the flags in the Makefile.  A function where a parallel or background worker
# starts is found by name as well; it is called vecdb_..._worker.
#
. src/tools/common.sh

library=${1:-vecdb.so}
[ -e "$library" ] || "$MAKE" --no-print-directory -s all

nm -D --defined-only "$library" | awk '
$3 !~ /^(Pg_magic_func|_PG_init|pg_finfo_vecdb_[a-z0-9_]+|vecdb_[a-z0-9_]+)$/ {
	print "exported, but not a function called from SQL: " $3
	bad = 1
}
{ seen[$3] = 1 }
END {
	for (name in seen)
	{
		if (name ~ /^vecdb_/ && name !~ /_worker$/ && !(("pg_finfo_" name) in seen))
		{
			print name " is exported, but not by VDB_FUNCTION"
			bad = 1
		}
	}
	if (!("Pg_magic_func" in seen))
	{
		print "no magic block"
		bad = 1
	}
	if (!bad)
		print NR " symbols exported, all of them meant to be"
	exit bad
}'
