/*-------------------------------------------------------------------------
 *
 * ddl_needs.c
 *	  What a table needs in another group before it can be made there.
 *
 * While a cluster exists, schemas, types, functions and extensions are made
 * on all nodes alike.  What is older than the cluster, or than a group, is
 * found through pg_depend, from the table, its defaults, constraints,
 * indexes, triggers and policies.  What a function calls in its body is not
 * in pg_depend, and so is not found.
 *
 * All statements can be repeated: what exists is left as it is.
 *
 * IDENTIFICATION
 *	  src/ddl/ddl_needs.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "ddl_private.h"

/*
 * The objects that a table depends on, and how far away they are.  The depth
 * ends walks in circles, as of a type and its input function.
 */
#define NEEDS \
	"WITH RECURSIVE need (classid, objid, depth) AS (" \
	" SELECT v.classid, v.objid, 0 FROM (" \
	"  SELECT 'pg_class'::regclass::oid, %u::oid" \
	"  UNION SELECT 'pg_attrdef'::regclass, oid FROM pg_attrdef" \
	"   WHERE adrelid = %u" \
	"  UNION SELECT 'pg_constraint'::regclass, oid FROM pg_constraint" \
	"   WHERE conrelid = %u" \
	"  UNION SELECT 'pg_class'::regclass, indexrelid FROM pg_index" \
	"   WHERE indrelid = %u" \
	"  UNION SELECT 'pg_trigger'::regclass, oid FROM pg_trigger" \
	"   WHERE tgrelid = %u AND NOT tgisinternal" \
	"  UNION SELECT 'pg_policy'::regclass, oid FROM pg_policy" \
	"   WHERE polrelid = %u) v (classid, objid)" \
	" UNION" \
	" SELECT refclassid, refobjid, depth + 1 FROM need n" \
	"  JOIN pg_depend d ON d.classid = n.classid AND d.objid = n.objid" \
	"  WHERE depth < 12 AND (refclassid IN ('pg_type'::regclass," \
	"   'pg_proc'::regclass, 'pg_extension'::regclass," \
	"   'pg_namespace'::regclass)" \
	"   OR (refclassid = 'pg_class'::regclass AND EXISTS (SELECT" \
	"    FROM pg_class WHERE oid = refobjid AND relkind IN ('c', 'S')))))," \
	" mine AS (SELECT n.classid, n.objid, max(depth) AS depth FROM need n" \
	"  WHERE NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = n.classid" \
	"   AND e.objid = n.objid AND e.deptype = 'e') GROUP BY 1, 2) "

/* How each kind is made; all have the text of NEEDS before them */
static const char *const need_queries[] = {
	"SELECT format('CREATE SCHEMA IF NOT EXISTS %I AUTHORIZATION %I',"
	" nspname, pg_get_userbyid(nspowner)) FROM mine"
	" JOIN pg_namespace s ON s.oid = objid"
	" WHERE classid = 'pg_namespace'::regclass AND s.oid >= 16384",

	"SELECT format('CREATE SCHEMA IF NOT EXISTS %I', nspname) FROM mine"
	" JOIN pg_extension e ON e.oid = objid"
	" JOIN pg_namespace s ON s.oid = extnamespace"
	" WHERE classid = 'pg_extension'::regclass AND s.oid >= 16384"
	" AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = s.oid"
	" AND d.classid = 'pg_namespace'::regclass AND deptype = 'e')",

	"SELECT format('CREATE EXTENSION IF NOT EXISTS %I SCHEMA %I VERSION %L"
	" CASCADE', extname, nspname, extversion) FROM mine"
	" JOIN pg_extension e ON e.oid = objid"
	" JOIN pg_namespace s ON s.oid = extnamespace"
	" WHERE classid = 'pg_extension'::regclass AND extname <> 'vecdb'",

	/* enums, domains, composite types and functions, the deepest first */
	"SELECT CASE WHEN classid = 'pg_proc'::regclass"
	" THEN pg_get_functiondef(objid) ELSE (SELECT format("
	" 'DO $vecdb$BEGIN IF to_regtype(%L) IS NULL THEN %s;"
	" END IF; END$vecdb$', t.oid::regtype, CASE typtype"
	" WHEN 'e' THEN format('CREATE TYPE %s AS ENUM (%s)', t.oid::regtype,"
	"  (SELECT string_agg(quote_literal(enumlabel), ', '"
	"   ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid))"
	" WHEN 'd' THEN format('CREATE DOMAIN %s AS %s%s%s%s', t.oid::regtype,"
	"  format_type(typbasetype, typtypmod), ' DEFAULT ' || typdefault,"
	"  CASE WHEN typnotnull THEN ' NOT NULL' END,"
	"  (SELECT string_agg(format(' CONSTRAINT %I %s', conname,"
	"   pg_get_constraintdef(c.oid)), '') FROM pg_constraint c"
	"   WHERE contypid = t.oid AND contype = 'c'))"
	" ELSE format('CREATE TYPE %s AS (%s)', t.oid::regtype,"
	"  (SELECT string_agg(format('%I %s', attname,"
	"   format_type(atttypid, atttypmod)), ', ' ORDER BY attnum)"
	"   FROM pg_attribute WHERE attrelid = typrelid AND NOT attisdropped))"
	" END) FROM pg_type t WHERE t.oid = objid AND (typtype IN ('e', 'd')"
	"  OR (typtype = 'c' AND EXISTS (SELECT FROM pg_class r"
	"   WHERE r.oid = typrelid AND relkind = 'c')))) END FROM mine"
	" WHERE objid >= 16384 AND (classid = 'pg_type'::regclass"
	"  OR (classid = 'pg_proc'::regclass AND EXISTS (SELECT FROM pg_proc p"
	"   WHERE p.oid = objid AND prokind = 'f')))"
	" ORDER BY depth DESC"
};

/*
 * ddl_describe_needs -- see ddl_private.h
 */
List *
ddl_describe_needs(Oid relid)
{
	char	   *needs = psprintf(NEEDS, relid, relid, relid, relid, relid,
								 relid);
	List	   *statements = NIL;

	for (int i = 0; i < lengthof(need_queries); i++)
	{
		char	   *query = psprintf("%s%s", needs, need_queries[i]);

		statements = list_concat(statements, ddl_list(query));
	}
	return statements;
}
