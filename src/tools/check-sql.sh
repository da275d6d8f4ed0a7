#!/bin/sh
#
# check-sql.sh
#	  The extension script is complete, and so are the tests.
#
# Installs the extension on a throw-away server and asks the catalogs: each
# function, type, operator and access method has a COMMENT, each C function
# is one of ours and says whether it is parallel safe.  Then: each file
# below expected/ belongs to a test and each test has one.
#
. src/tools/common.sh

work=$(server_dir)
trap 'server_stop immediate; rm -rf "$work"' EXIT
bindir=$(dirname "$(src/tools/private-pg.sh "$work/pg")")
"$MAKE" --no-print-directory -s install DESTDIR="$work/pg" VECTOR_ALIAS=yes
mkdir "$work/server"
[ "$(id -u)" -ne 0 ] || chown "$(server_user):" "$work/server"
server_start "$work/server" "$bindir"

cat >"$work/check.sql" <<'SQL'
\set ON_ERROR_STOP on
SET client_min_messages = warning;
CREATE EXTENSION vecdb;
CREATE TEMP VIEW member AS
	SELECT classid, objid, pg_describe_object(classid, objid, 0) AS what
	FROM pg_depend
	WHERE deptype = 'e' AND refclassid = 'pg_extension'::regclass
	AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'vecdb');
\t on
\pset format unaligned
SELECT what || ' has no COMMENT'
	FROM member
	WHERE obj_description(objid, classid::regclass::name) IS NULL
	AND classid IN ('pg_proc'::regclass, 'pg_type'::regclass,
					'pg_operator'::regclass, 'pg_am'::regclass,
					'pg_class'::regclass)
	AND NOT (classid = 'pg_type'::regclass AND
			 (SELECT typelem <> 0 OR typrelid <> 0 FROM pg_type WHERE oid = objid))
	ORDER BY what;
SELECT what || ' calls "' || prosrc || '", which is not named vecdb_...'
	FROM member, pg_proc p
	WHERE classid = 'pg_proc'::regclass AND objid = p.oid
	AND prolang = (SELECT oid FROM pg_language WHERE lanname = 'c')
	AND (prosrc !~ '^vecdb_' OR probin <> '$libdir/vecdb')
	ORDER BY what;
SELECT what || ' relies on search_path'
	FROM member, pg_proc p
	WHERE classid = 'pg_proc'::regclass AND objid = p.oid
	AND prolang IN (SELECT oid FROM pg_language WHERE lanname IN ('sql', 'plpgsql'))
	AND prosqlbody IS NULL
	AND coalesce(array_to_string(proconfig, ','), '') !~ 'search_path'
	ORDER BY what;
SQL

{
	"$bindir/psql" -X -q -f "$work/check.sql" || echo "the script does not install"

	# what the catalogs cannot tell: that it was said, not left to a default
	cat sql/parts/*.sql 2>/dev/null | awk '
		{ sub(/--.*/, ""); text = text " " $0 }
		/;[ \t]*$/ {
			if (text ~ /CREATE (OR REPLACE )?FUNCTION/) {
				name = text
				sub(/.*FUNCTION */, "", name)
				sub(/ (RETURNS|AS) .*/, "", name)
				if (text !~ /IMMUTABLE|STABLE|VOLATILE/)
					print name " has no volatility"
				if (text !~ /PARALLEL (SAFE|RESTRICTED|UNSAFE)/)
					print name " does not say whether it is parallel safe"
			}
			text = ""
		}'

	for file in expected/*.out; do
		name=$(basename "$file" .out)
		[ ! -e "$file" ] || [ -e "test/sql/$name.sql" ] ||
			[ -e "test/specs/$name.spec" ] ||
			{ [ "$name" != "${name%_[1-9]}" ] && { [ -e "test/sql/${name%_[1-9]}.sql" ] ||
				[ -e "test/specs/${name%_[1-9]}.spec" ]; }; } ||
			echo "$file belongs to no test"
	done
	for file in test/sql/*.sql test/specs/*.spec; do
		name=$(basename "${file%.*}")
		[ ! -e "$file" ] || [ -e "expected/$name.out" ] ||
			echo "$file has no expected output"
		[ ! -e "sql/$name.sql" ] || echo "sql/$name.sql would run instead of $file"
	done
} >"$work/problems" 2>&1

if grep -q . "$work/problems"; then
	grep . "$work/problems"
	exit 1
fi
say "the extension script and the tests are complete"
