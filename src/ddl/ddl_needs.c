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

/* What a table consists of, where the walk begins */
#define ROOTS_OF_TABLE \
	"SELECT 'pg_class'::regclass::oid, %u::oid" \
	" UNION SELECT 'pg_attrdef'::regclass, oid FROM pg_attrdef" \
	"  WHERE adrelid = %u" \
	" UNION SELECT 'pg_constraint'::regclass, oid FROM pg_constraint" \
	"  WHERE conrelid = %u" \
	" UNION SELECT 'pg_class'::regclass, indexrelid FROM pg_index" \
	"  WHERE indrelid = %u" \
	" UNION SELECT 'pg_trigger'::regclass, oid FROM pg_trigger" \
	"  WHERE tgrelid = %u AND NOT tgisinternal" \
	" UNION SELECT 'pg_policy'::regclass, oid FROM pg_policy" \
	"  WHERE polrelid = %u"

/*
 * What all nodes have alike; but functions that name tables, which a node may
 * not have
 */
#define ROOTS_OF_DATABASE \
	"SELECT 'pg_namespace'::regclass::oid, oid FROM pg_namespace" \
	"  WHERE (oid >= 16384 AND nspname !~ '^pg_') OR nspname = 'public'" \
	" UNION SELECT 'pg_extension'::regclass, oid FROM pg_extension" \
	" UNION SELECT 'pg_type'::regclass, oid FROM pg_type WHERE oid >= 16384" \
	"  AND typtype IN ('c', 'd', 'e')" \
	" UNION SELECT 'pg_proc'::regclass, oid FROM pg_proc p" \
	"  WHERE oid >= 16384 AND prokind <> 'a' AND NOT EXISTS (SELECT" \
	"   FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass" \
	"   AND d.objid = p.oid AND (refclassid = 'pg_class'::regclass" \
	"    OR (refclassid = 'pg_type'::regclass AND EXISTS (SELECT FROM pg_type t" \
	"     JOIN pg_class c ON c.oid = typrelid WHERE relkind <> 'c'" \
	"     AND refobjid IN (t.oid, t.typarray)))))"

/*
 * The objects that the roots depend on, and how far away they are.  The depth
 * ends walks in circles, as of a type and its input function.
 */
#define NEEDS \
	"WITH RECURSIVE need (classid, objid, depth) AS (" \
	" SELECT v.classid, v.objid, 0 FROM (%s) v (classid, objid)" \
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

	/*
	 * Enums, domains, composite types and functions, the deepest first.  What
	 * exists is not replaced, and each belongs to whom it belongs here.
	 */
	"SELECT format('DO %L', CASE WHEN classid = 'pg_proc'::regclass THEN"
	" (SELECT format('BEGIN IF to_regprocedure(%L) IS NULL THEN EXECUTE %L;"
	"  ALTER ROUTINE %s OWNER TO %I; END IF; END', p.oid::regprocedure,"
	"  pg_get_functiondef(p.oid), p.oid::regprocedure,"
	"  pg_get_userbyid(proowner)) FROM pg_proc p WHERE p.oid = objid)"
	" ELSE (SELECT format('BEGIN IF to_regtype(%L) IS NULL THEN %s;"
	"  ALTER TYPE %s OWNER TO %I; END IF; END', t.oid::regtype, CASE typtype"
	"  WHEN 'e' THEN format('CREATE TYPE %s AS ENUM (%s)', t.oid::regtype,"
	"   (SELECT string_agg(quote_literal(enumlabel), ', '"
	"    ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid))"
	"  WHEN 'd' THEN format('CREATE DOMAIN %s AS %s%s%s%s', t.oid::regtype,"
	"   format_type(typbasetype, typtypmod), ' DEFAULT ' || typdefault,"
	"   CASE WHEN typnotnull THEN ' NOT NULL' END,"
	"   (SELECT string_agg(format(' CONSTRAINT %I %s', conname,"
	"    pg_get_constraintdef(c.oid)), '') FROM pg_constraint c"
	"    WHERE contypid = t.oid AND contype = 'c'))"
	"  ELSE format('CREATE TYPE %s AS (%s)', t.oid::regtype,"
	"   (SELECT string_agg(format('%I %s', attname,"
	"    format_type(atttypid, atttypmod)), ', ' ORDER BY attnum)"
	"    FROM pg_attribute WHERE attrelid = typrelid AND attnum > 0"
	"    AND NOT attisdropped)) END, t.oid::regtype, pg_get_userbyid(typowner))"
	"  FROM pg_type t WHERE t.oid = objid AND (typtype IN ('e', 'd')"
	"   OR (typtype = 'c' AND EXISTS (SELECT FROM pg_class r"
	"    WHERE r.oid = typrelid AND relkind = 'c')))) END) FROM mine"
	" WHERE objid >= 16384 AND ((classid = 'pg_type'::regclass AND EXISTS"
	"  (SELECT FROM pg_type t LEFT JOIN pg_class r ON r.oid = typrelid"
	"   WHERE t.oid = objid AND (typtype IN ('e', 'd') OR relkind = 'c')))"
	"  OR (classid = 'pg_proc'::regclass AND EXISTS (SELECT FROM pg_proc p"
	"   WHERE p.oid = objid AND prokind <> 'a')))"
	" ORDER BY depth DESC"
};

/*
 * Who may use what was made; all have the text of NEEDS before them.  PUBLIC
 * has what PostgreSQL gives it unless a list of privileges says otherwise.
 */
#define GRANT_QUERY(kind, name, catalog, acl, condition) \
	"SELECT s FROM mine JOIN " catalog " o ON o.oid = objid," \
	" LATERAL (SELECT 0, format('REVOKE ALL ON " kind " %s FROM PUBLIC', " name ")" \
	"  WHERE " acl " IS NOT NULL" \
	"  UNION ALL SELECT 1, format('GRANT %s ON " kind " %s TO %s%s'," \
	"   privilege_type, " name ", CASE WHEN grantee = 0 THEN 'PUBLIC'" \
	"   ELSE quote_ident(pg_get_userbyid(grantee)) END," \
	"   CASE WHEN is_grantable AND grantee <> 0 THEN ' WITH GRANT OPTION' END)" \
	"  FROM aclexplode(" acl ")) v (n, s)" \
	" WHERE classid = '" catalog "'::regclass AND " condition \
	" ORDER BY objid, n"

static const char *const grant_queries[] = {
	GRANT_QUERY("SCHEMA", "quote_ident(nspname)", "pg_namespace", "nspacl",
				"true"),
	GRANT_QUERY("ROUTINE", "o.oid::regprocedure", "pg_proc", "proacl",
				"objid >= 16384 AND prokind <> 'a'"),
	GRANT_QUERY("TYPE", "o.oid::regtype", "pg_type", "typacl",
				"objid >= 16384 AND typtype IN ('c', 'd', 'e')"),

	/* what those who come later get; of all schemas, or of one */
	"SELECT s FROM pg_default_acl LEFT JOIN pg_namespace n"
	" ON n.oid = defaclnamespace, LATERAL (SELECT"
	"  format('ALTER DEFAULT PRIVILEGES FOR ROLE %I%s ',"
	"   pg_get_userbyid(defaclrole), ' IN SCHEMA ' || quote_ident(nspname)),"
	"  CASE defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES'"
	"  WHEN 'f' THEN 'ROUTINES' WHEN 'T' THEN 'TYPES' WHEN 'n' THEN 'SCHEMAS'"
	"  ELSE 'LARGE OBJECTS' END) k (head, kind),"
	" LATERAL (SELECT 0, head || 'REVOKE ALL ON ' || kind || ' FROM PUBLIC, '"
	"  || quote_ident(pg_get_userbyid(defaclrole)) WHERE nspname IS NULL"
	"  UNION ALL SELECT 1, format('%sGRANT %s ON %s TO %s%s', head,"
	"   privilege_type, kind, CASE WHEN grantee = 0 THEN 'PUBLIC'"
	"   ELSE quote_ident(pg_get_userbyid(grantee)) END,"
	"   CASE WHEN is_grantable AND grantee <> defaclrole"
	"   THEN ' WITH GRANT OPTION' END)"
	"  FROM aclexplode(defaclacl)) v (o, s)"
	" ORDER BY pg_default_acl.oid, o",

	/* settings of roles; lists are stored as they are written */
	"SELECT format('ALTER ROLE %s%s SET %I TO %s', CASE WHEN setrole = 0"
	"  THEN 'ALL' ELSE quote_ident(pg_get_userbyid(setrole)) END,"
	"  ' IN DATABASE ' || quote_ident(datname), name, CASE WHEN name IN"
	"  ('search_path', 'temp_tablespaces', 'local_preload_libraries',"
	"   'session_preload_libraries') THEN value ELSE quote_literal(value) END)"
	" FROM pg_db_role_setting LEFT JOIN pg_database d ON d.oid = setdatabase,"
	" unnest(setconfig) c,"
	" LATERAL (SELECT split_part(c, '=', 1), substr(c, strpos(c, '=') + 1))"
	"  s (name, value)"
	" WHERE setrole <> 0 AND (setdatabase = 0 OR datname = current_database())"
	" ORDER BY 1"
};

/* Roles, with the verifiers of their passwords, and who is member of what */
static const char *const role_queries[] = {
	"SELECT format('DO %L', format('BEGIN IF to_regrole(%L) IS NULL THEN"
	" CREATE ROLE %I %s; END IF; END', quote_ident(rolname), rolname,"
	" concat_ws(' ', CASE WHEN rolsuper THEN 'SUPERUSER' END,"
	" CASE WHEN rolinherit THEN 'INHERIT' ELSE 'NOINHERIT' END,"
	" CASE WHEN rolcreaterole THEN 'CREATEROLE' END,"
	" CASE WHEN rolcreatedb THEN 'CREATEDB' END,"
	" CASE WHEN rolcanlogin THEN 'LOGIN' END,"
	" CASE WHEN rolreplication THEN 'REPLICATION' END,"
	" CASE WHEN rolbypassrls THEN 'BYPASSRLS' END,"
	" 'CONNECTION LIMIT ' || rolconnlimit,"
	" 'PASSWORD ' || quote_literal(rolpassword),"
	" 'VALID UNTIL ' || quote_literal(rolvaliduntil))))"
	" FROM pg_authid WHERE oid >= 16384 ORDER BY rolname",

	"SELECT format('GRANT %I TO %I%s', pg_get_userbyid(roleid),"
	" pg_get_userbyid(member),"
	" CASE WHEN admin_option THEN ' WITH ADMIN OPTION' END)"
	" FROM pg_auth_members WHERE member >= 16384"
};

static List *describe_needs(const char *roots);
static List *list_all(const char *before, const char *const *queries,
					  int count);

/*
 * ddl_describe_needs -- see ddl_private.h
 */
List *
ddl_describe_needs(Oid relid)
{
	return describe_needs(psprintf(ROOTS_OF_TABLE, relid, relid, relid, relid,
								   relid, relid));
}

/*
 * ddl_describe_function -- see ddl_private.h
 */
List *
ddl_describe_function(Oid function)
{
	return describe_needs(psprintf("SELECT 'pg_proc'::regclass::oid, %u::oid",
								   function));
}

/*
 * ddl_describe_database -- see ddl_private.h
 */
List *
ddl_describe_database(void)
{
	List	   *statements = list_all("", role_queries,
									  lengthof(role_queries));

	statements = list_concat(statements, describe_needs(ROOTS_OF_DATABASE));
	return list_concat(statements,
					   list_all(psprintf(NEEDS, ROOTS_OF_DATABASE),
								grant_queries, lengthof(grant_queries)));
}

static List *
describe_needs(const char *roots)
{
	List	   *statements = list_make1("SET LOCAL check_function_bodies = off");

	return list_concat(statements,
					   list_all(psprintf(NEEDS, roots), need_queries,
								lengthof(need_queries)));
}

/*
 * list_all -- what queries return, one after the other
 */
static List *
list_all(const char *before, const char *const *queries, int count)
{
	List	   *statements = NIL;

	for (int i = 0; i < count; i++)
		statements = list_concat(statements,
								 ddl_list(psprintf("%s%s", before,
												   queries[i])));
	return statements;
}
