/*-------------------------------------------------------------------------
 *
 * ddl_describe.c
 *	  The statements that make a table again, in another group.
 *
 * What pg_dump would write, for one table, asked of PostgreSQL's own
 * functions.  It comes in three parts: the bare table; what is better done
 * when the rows are there; and foreign keys, which need other tables.  All
 * of it is made with nothing but pg_catalog in the search_path, hence with
 * full names (the caller has called ddl_become_superuser()).
 *
 * Columns that were dropped are not made again: nothing that crosses the wire
 * counts columns.  Tablespaces are not named: they are a matter of the node.
 *
 * IDENTIFICATION
 *	  src/ddl/ddl_describe.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "ddl_private.h"

static char *describe_column(Oid relid, const char *column, int group);
static char *list_options(Oid relid);
static char *owner_statement(Oid relid);

/*
 * What there is to say of a table beside its columns.  Each query has the OID
 * of the table as its only argument and returns
 * statements.
 */
static const char *const rest_queries[] = {
	/* how columns are stored and sampled, where it differs from the type's */
	"SELECT format('ALTER TABLE %%s ALTER COLUMN %%I SET STORAGE %%s',"
	" attrelid::regclass, attname, CASE attstorage WHEN 'p' THEN 'PLAIN'"
	" WHEN 'm' THEN 'MAIN' WHEN 'e' THEN 'EXTERNAL' ELSE 'EXTENDED' END)"
	" FROM pg_attribute JOIN pg_type t ON t.oid = atttypid"
	" WHERE attrelid = %u AND attnum > 0 AND NOT attisdropped"
	" AND attstorage <> typstorage ORDER BY attnum",

	"SELECT format('ALTER TABLE %%s ALTER COLUMN %%I SET COMPRESSION %%s',"
	" attrelid::regclass, attname,"
	" CASE attcompression WHEN 'l' THEN 'lz4' ELSE 'pglz' END)"
	" FROM pg_attribute"
	" WHERE attrelid = %u AND attnum > 0 AND NOT attisdropped"
	" AND attcompression <> '' ORDER BY attnum",

	"SELECT format('ALTER TABLE %%s ALTER COLUMN %%I SET STATISTICS %%s',"
	" attrelid::regclass, attname, attstattarget) FROM pg_attribute"
	" WHERE attrelid = %u AND attnum > 0 AND NOT attisdropped"
	" AND attstattarget >= 0 ORDER BY attnum",

	"SELECT format('ALTER TABLE %%s ALTER COLUMN %%I SET (%%s)',"
	" attrelid::regclass, attname, o) FROM pg_attribute, unnest(attoptions) o"
	" WHERE attrelid = %u AND attnum > 0 AND NOT attisdropped"
	" AND o LIKE 'n\\_distinct%%' ORDER BY attnum, o",

	/* keys first; whose index it is, is who is asked for its expressions */
	"SELECT format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s',"
	" conrelid::regclass, conname, pg_get_constraintdef(oid))"
	" FROM pg_constraint WHERE conrelid = %u AND contype IN ('p', 'u', 'x')"
	" ORDER BY array_position('{p,u,x}'::\"char\"[], contype), conname",

	/* indexes that no constraint made */
	"SELECT pg_get_indexdef(indexrelid) FROM pg_index i"
	" WHERE indrelid = %u AND indisvalid AND NOT EXISTS"
	" (SELECT FROM pg_constraint WHERE conindid = i.indexrelid"
	" AND contype IN ('p', 'u', 'x')) ORDER BY indexrelid",

	"SELECT format('ALTER TABLE %%s CLUSTER ON %%I', indrelid::regclass,"
	" relname) FROM pg_index JOIN pg_class c ON c.oid = indexrelid"
	" WHERE indrelid = %u AND indisclustered",

	"SELECT format('ALTER TABLE %%s REPLICA IDENTITY %%s', c.oid::regclass,"
	" CASE relreplident WHEN 'n' THEN 'NOTHING' WHEN 'f' THEN 'FULL'"
	" ELSE (SELECT format('USING INDEX %%I', x.relname) FROM pg_index"
	" JOIN pg_class x ON x.oid = indexrelid"
	" WHERE indrelid = c.oid AND indisreplident) END)"
	" FROM pg_class c WHERE c.oid = %u AND relreplident <> 'd'",

	"SELECT pg_get_statisticsobjdef(oid) FROM pg_statistic_ext"
	" WHERE stxrelid = %u ORDER BY stxname",

	/* triggers, and whether they are on */
	"SELECT pg_get_triggerdef(oid) FROM pg_trigger"
	" WHERE tgrelid = %u AND NOT tgisinternal ORDER BY tgname",

	"SELECT format('ALTER TABLE %%s %%s TRIGGER %%I', tgrelid::regclass,"
	" CASE tgenabled WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA'"
	" ELSE 'ENABLE ALWAYS' END, tgname) FROM pg_trigger"
	" WHERE tgrelid = %u AND NOT tgisinternal AND tgenabled <> 'O'"
	" ORDER BY tgname",

	/* row security */
	"SELECT format('CREATE POLICY %%I ON %%s AS %%s FOR %%s TO %%s%%s%%s',"
	" polname, polrelid::regclass,"
	" CASE WHEN polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,"
	" CASE polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT'"
	" WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,"
	" (SELECT string_agg(CASE WHEN r = 0 THEN 'PUBLIC'"
	" ELSE quote_ident(pg_get_userbyid(r)) END, ', ') FROM unnest(polroles) r),"
	" ' USING (' || pg_get_expr(polqual, polrelid) || ')',"
	" ' WITH CHECK (' || pg_get_expr(polwithcheck, polrelid) || ')')"
	" FROM pg_policy WHERE polrelid = %u ORDER BY polname",

	"SELECT format('ALTER TABLE %%s %%s ROW LEVEL SECURITY', oid::regclass, w)"
	" FROM pg_class, (VALUES ('ENABLE', true), ('FORCE', false)) v (w, e)"
	" WHERE oid = %u"
	" AND CASE WHEN e THEN relrowsecurity ELSE relforcerowsecurity END",

	/* grants; the owner has all unless something was taken away */
	"SELECT format('REVOKE ALL ON TABLE %%s FROM %%I', oid::regclass,"
	" pg_get_userbyid(relowner)) FROM pg_class"
	" WHERE oid = %u AND relacl IS NOT NULL",

	/* what others got by default, where it was made */
	"SELECT DISTINCT format('REVOKE ALL ON TABLE %%s FROM %%s', c.oid::regclass,"
	" CASE WHEN grantee = 0 THEN 'PUBLIC'"
	" ELSE quote_ident(pg_get_userbyid(grantee)) END)"
	" FROM pg_class c, pg_default_acl, aclexplode(defaclacl)"
	" WHERE c.oid = %u AND defaclobjtype = 'r' AND grantee <> relowner",

	"SELECT format('GRANT %%s ON TABLE %%s TO %%s%%s', privilege_type,"
	" oid::regclass, CASE WHEN grantee = 0 THEN 'PUBLIC'"
	" ELSE quote_ident(pg_get_userbyid(grantee)) END,"
	" CASE WHEN is_grantable THEN ' WITH GRANT OPTION' END)"
	" FROM pg_class, aclexplode(relacl) WHERE oid = %u",

	"SELECT format('GRANT %%s (%%I) ON TABLE %%s TO %%s%%s', privilege_type,"
	" attname, attrelid::regclass, CASE WHEN grantee = 0 THEN 'PUBLIC'"
	" ELSE quote_ident(pg_get_userbyid(grantee)) END,"
	" CASE WHEN is_grantable THEN ' WITH GRANT OPTION' END)"
	" FROM pg_attribute, aclexplode(attacl) WHERE attrelid = %u"
	" AND attnum > 0 AND NOT attisdropped",

	/* comments */
	"SELECT format('COMMENT ON %%s IS %%L', CASE WHEN objsubid = 0"
	" THEN format('TABLE %%s', objoid::regclass) ELSE (SELECT"
	" format('COLUMN %%s.%%I', attrelid::regclass, attname) FROM pg_attribute"
	" WHERE attrelid = objoid AND attnum = objsubid) END, description)"
	" FROM pg_description WHERE classoid = 'pg_class'::regclass"
	" AND objoid = %u ORDER BY objsubid",

	"SELECT format('COMMENT ON INDEX %%s IS %%L', objoid::regclass,"
	" description) FROM pg_description JOIN pg_index ON indexrelid = objoid"
	" WHERE classoid = 'pg_class'::regclass AND indrelid = %u AND indisvalid",

	"SELECT format('COMMENT ON CONSTRAINT %%I ON %%s IS %%L', conname,"
	" conrelid::regclass, description) FROM pg_description"
	" JOIN pg_constraint c ON c.oid = objoid"
	" WHERE classoid = 'pg_constraint'::regclass AND conrelid = %u"
	" AND contype IN ('p', 'u', 'x', 'c')",

	"SELECT format('COMMENT ON TRIGGER %%I ON %%s IS %%L', tgname,"
	" tgrelid::regclass, description) FROM pg_description"
	" JOIN pg_trigger t ON t.oid = objoid"
	" WHERE classoid = 'pg_trigger'::regclass AND tgrelid = %u"
};

/*
 * ddl_describe_table -- see ddl_private.h
 */
List *
ddl_describe_table(Oid relid, int group)
{
	List	   *statements = ddl_sequence_statements(relid, group);
	List	   *columns;
	ListCell   *cell;
	StringInfoData text;
	char	   *name = ddl_table_name(relid);
	const char *separator = "";

	initStringInfo(&text);
	appendStringInfo(&text, "CREATE %sTABLE %s (",
					 get_rel_persistence(relid) == RELPERSISTENCE_UNLOGGED ?
					 "UNLOGGED " : "", name);
	columns = ddl_list(psprintf("SELECT attname FROM pg_attribute"
								" WHERE attrelid = %u AND attnum > 0"
								" AND NOT attisdropped ORDER BY attnum",
								relid));
	foreach(cell, columns)
	{
		appendStringInfo(&text, "%s%s", separator,
						 describe_column(relid, lfirst(cell), group));
		separator = ", ";
	}
	appendStringInfo(&text, ")%s", list_options(relid));
	statements = lappend(statements, text.data);
	statements = lappend(statements, owner_statement(relid));
	return list_concat(statements, ddl_sequence_owners(relid));
}

/*
 * describe_column -- a column as CREATE TABLE wants it
 */
static char *
describe_column(Oid relid, const char *column, int group)
{
	AttrNumber	number = get_attnum(relid, column);
	char	   *text;
	char	   *sequence;

	text = ddl_value(psprintf("SELECT format('%%I %%s%%s%%s%%s', attname,"
							  " format_type(atttypid, atttypmod),"
							  " (SELECT ' COLLATE ' || c.oid::regcollation"
							  " FROM pg_collation c WHERE c.oid = attcollation"
							  " AND attcollation <> typcollation),"
							  " CASE WHEN attgenerated = '' THEN ' DEFAULT '"
							  " || pg_get_expr(adbin, adrelid)"
							  " ELSE ' GENERATED ALWAYS AS ('"
							  " || pg_get_expr(adbin, adrelid)"
							  " || CASE attgenerated WHEN 's' THEN ') STORED'"
							  " ELSE ') VIRTUAL' END END,"
							  " CASE WHEN attnotnull THEN ' NOT NULL' END)"
							  " FROM pg_attribute"
							  " JOIN pg_type t ON t.oid = atttypid"
							  " LEFT JOIN pg_attrdef ON adrelid = attrelid"
							  " AND adnum = attnum"
							  " WHERE attrelid = %u AND attnum = %d",
							  relid, number));

	sequence = ddl_value(psprintf("SELECT d.objid FROM pg_depend d"
								  " JOIN pg_attribute a ON a.attrelid = refobjid"
								  " AND a.attnum = refobjsubid"
								  " WHERE d.classid = 'pg_class'::regclass"
								  " AND refclassid = 'pg_class'::regclass"
								  " AND refobjid = %u AND refobjsubid = %d"
								  " AND deptype = 'i' AND attidentity <> ''",
								  relid, number));
	if (sequence != NULL)
	{
		Oid			seqid = atooid(sequence);
		char	   *always;

		always = ddl_value(psprintf("SELECT CASE attidentity WHEN 'a'"
									" THEN 'ALWAYS' ELSE 'BY DEFAULT' END"
									" FROM pg_attribute WHERE attrelid = %u"
									" AND attnum = %d", relid, number));
		text = psprintf("%s GENERATED %s AS IDENTITY (SEQUENCE NAME %s %s)",
						text, always, ddl_table_name(seqid),
						ddl_sequence_options(relid, seqid, group));
	}
	return text;
}

/*
 * list_options -- access method and storage parameters of a table
 */
static char *
list_options(Oid relid)
{
	char	   *options;

	options = ddl_value(psprintf("SELECT format(' USING %%I', amname)"
								 " || coalesce(' WITH ('"
								 " || nullif(concat_ws(', ',"
								 " array_to_string(c.reloptions, ', '),"
								 " (SELECT string_agg('toast.' || o, ', ')"
								 " FROM pg_class t, unnest(t.reloptions) o"
								 " WHERE t.oid = c.reltoastrelid)), '')"
								 " || ')', '') FROM pg_class c"
								 " JOIN pg_am a ON a.oid = relam"
								 " WHERE c.oid = %u", relid));
	return options == NULL ? "" : options;
}

/*
 * owner_statement -- make it belong to whom it belongs here
 */
static char *
owner_statement(Oid relid)
{
	return ddl_value(psprintf("SELECT format('ALTER TABLE %%s OWNER TO %%I',"
							  " oid::regclass, pg_get_userbyid(relowner))"
							  " FROM pg_class WHERE oid = %u", relid));
}

/*
 * ddl_describe_checks -- see ddl_private.h
 */
List *
ddl_describe_checks(Oid relid)
{
	return ddl_list(psprintf("SELECT format('ALTER TABLE %%s"
							 " ADD CONSTRAINT %%I %%s', conrelid::regclass,"
							 " conname, pg_get_constraintdef(oid))"
							 " FROM pg_constraint WHERE conrelid = %u"
							 " AND contype = 'c' ORDER BY conname", relid));
}

/*
 * ddl_describe_rest -- see ddl_private.h
 */
List *
ddl_describe_rest(Oid relid)
{
	List	   *statements = NIL;

	for (int i = 0; i < lengthof(rest_queries); i++)
		statements = list_concat(statements,
								 ddl_list(psprintf(rest_queries[i], relid)));
	return statements;
}

/*
 * ddl_describe_references -- see ddl_private.h
 */
List *
ddl_describe_references(Oid relid)
{
	return ddl_list(psprintf("SELECT format('ALTER TABLE %%s"
							 " ADD CONSTRAINT %%I %%s', conrelid::regclass,"
							 " conname, pg_get_constraintdef(oid))"
							 " FROM pg_constraint WHERE conrelid = %u"
							 " AND contype = 'f' AND conparentid = 0"
							 " ORDER BY conname", relid));
}
