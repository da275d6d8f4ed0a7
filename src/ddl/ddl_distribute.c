/*-------------------------------------------------------------------------
 *
 * ddl_distribute.c
 *	  vecdb.distribute_table(), replicate_table() and undistribute_table().
 *
 * An ordinary table becomes a table of the cluster in one transaction over
 * all groups: it is written into the catalogs, made in each other group,
 * and its rows move.  Readers go on meanwhile, on what there was before.
 * Only the very end waits for them: a statement that was planned for the
 * ordinary table must not be executed when the rows are gone.
 *
 * IDENTIFICATION
 *	  src/ddl/ddl_distribute.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "commands/tablecmds.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/typcache.h"

#include "vecdb/remote.h"
#include "ddl_private.h"

VDB_FUNCTION(vecdb_distribute_table);
VDB_FUNCTION(vecdb_replicate_table);
VDB_FUNCTION(vecdb_undistribute_table);

static bool is_alone(Oid relid);
static Relation open_for_sharing(Oid relid);
static List *key_names(ArrayType *array);
static char *key_array(List *key);
static List *primary_key(Relation rel);
static void check_key(Relation rel, List *key, const char *strategy);
static void share_table(Relation rel, char kind);
static void refuse_clashes(Oid relid);
static void make_elsewhere(Oid relid);
static void finish_elsewhere(Oid relid);
static void wait_for_readers(Relation rel);

/*
 * vecdb_distribute_table -- see sql/parts/ddl.sql
 */
Datum
vecdb_distribute_table(PG_FUNCTION_ARGS)
{
	DdlWish		wish = {0};
	Relation	rel;
	DdlUser		user;
	int			colocation;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("table must not be null")));
	wish.relid = PG_GETARG_OID(0);
	wish.key = PG_ARGISNULL(1) ? NIL : key_names(PG_GETARG_ARRAYTYPE_P(1));
	wish.strategy = PG_ARGISNULL(2) ? NULL :
		text_to_cstring(PG_GETARG_TEXT_PP(2));
	wish.shard_count = PG_ARGISNULL(3) ? 0 : PG_GETARG_INT32(3);
	wish.colocate_with = PG_ARGISNULL(4) ? InvalidOid : PG_GETARG_OID(4);
	wish.bounds = PG_ARGISNULL(5) ? NULL : PG_GETARG_ARRAYTYPE_P(5);
	wish.function = PG_ARGISNULL(6) ? InvalidOid : PG_GETARG_OID(6);

	if (is_alone(wish.relid))
		PG_RETURN_VOID();
	rel = open_for_sharing(wish.relid);
	if (wish.key == NIL)
		wish.key = primary_key(rel);
	ddl_check_wish(&wish);
	check_key(rel, wish.key, wish.strategy);
	refuse_clashes(wish.relid);

	ddl_become_superuser(&user);
	colocation = ddl_choose_colocation(rel, &wish);
	ddl_everywhere(psprintf("INSERT INTO vecdb.catalog_table (schema_name,"
							" table_name, kind, colocation_id, key_columns,"
							" shard_function) VALUES (%s, %s, 'd', %d, %s, %s)",
							quote_literal_cstr(get_namespace_name(RelationGetNamespace(rel))),
							quote_literal_cstr(RelationGetRelationName(rel)),
							colocation, key_array(wish.key),
							wish.function_name == NULL ? "NULL" :
							quote_literal_cstr(wish.function_name)));
	share_table(rel, VDB_TABLE_DISTRIBUTED);
	ddl_become_user(&user);
	table_close(rel, NoLock);
	PG_RETURN_VOID();
}

/*
 * vecdb_replicate_table -- see sql/parts/ddl.sql
 */
Datum
vecdb_replicate_table(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	Relation	rel;
	DdlUser		user;

	if (is_alone(relid))
		PG_RETURN_VOID();
	rel = open_for_sharing(relid);
	refuse_clashes(relid);
	ddl_become_superuser(&user);
	ddl_everywhere(psprintf("INSERT INTO vecdb.catalog_table (schema_name,"
							" table_name, kind) VALUES (%s, %s, 'r')",
							quote_literal_cstr(get_namespace_name(RelationGetNamespace(rel))),
							quote_literal_cstr(RelationGetRelationName(rel))));
	share_table(rel, VDB_TABLE_REFERENCE);
	ddl_become_user(&user);
	table_close(rel, NoLock);
	PG_RETURN_VOID();
}

/*
 * vecdb_undistribute_table -- see sql/parts/ddl.sql
 *
 * All groups are locked, since their tables go away.
 */
Datum
vecdb_undistribute_table(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	Relation	rel;
	const VdbTable *table;
	char	   *name;
	bool		distributed;
	uint64		rows = 0;
	DdlUser		user;

	if (is_alone(relid))
		PG_RETURN_VOID();
	ddl_lock_cluster();
	rel = table_open(relid, AccessShareLock);
	if (!has_privs_of_role(GetUserId(), rel->rd_rel->relowner))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE,
					   RelationGetRelationName(rel));
	table = vdb_catalog_table(relid);
	if (table == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("table \"%s\" is an ordinary table of this node",
						RelationGetRelationName(rel))));
	distributed = table->kind == VDB_TABLE_DISTRIBUTED;
	name = ddl_table_name(relid);

	ddl_lock_everywhere(list_make1_oid(relid), AccessExclusiveLock);
	ddl_become_superuser(&user);
	if (distributed)
		rows = ddl_fetch_rows(rel);
	ddl_unshare_sequences(relid);
	ddl_everywhere(psprintf("DELETE FROM vecdb.catalog_table"
							" WHERE schema_name = %s AND table_name = %s",
							quote_literal_cstr(get_namespace_name(RelationGetNamespace(rel))),
							quote_literal_cstr(RelationGetRelationName(rel))));
	/* without CASCADE: what still references it keeps it from leaving */
	vdb_remote_execute_all(psprintf("DROP TABLE %s", name));
	(void) ddl_forget_tables();
	ddl_check_ordinary(relid);
	ddl_grow_epoch();
	CacheInvalidateRelcache(rel);
	ddl_become_user(&user);
	if (distributed)
		ereport(NOTICE,
				(errmsg("%llu rows of table \"%s\" came back from other groups",
						(unsigned long long) rows,
						RelationGetRelationName(rel))));
	table_close(rel, NoLock);
	PG_RETURN_VOID();
}

/*
 * is_alone -- is this database in no cluster?  Then say so
 *
 * Migrations run on laptops, too.
 */
static bool
is_alone(Oid relid)
{
	if (vdb_catalog_cluster() != NULL)
	{
		(void) ddl_need_cluster();
		return false;
	}
	if (get_rel_name(relid) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	ereport(NOTICE,
			(errmsg("table \"%s\" stays as it is, because this database belongs to no cluster",
					get_rel_name(relid))));
	return true;
}

/*
 * open_for_sharing -- lock the cluster and the table, and look at it
 *
 * Writers are kept out from here on.
 */
static Relation
open_for_sharing(Oid relid)
{
	Relation	rel;

	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("the rows of a table can be moved in transactions of isolation level READ COMMITTED only"),
				 errhint("Rows that others have committed since the transaction began would be left behind.")));
	ddl_lock_cluster();
	rel = table_open(relid, ShareRowExclusiveLock);
	ddl_check_relation(rel);
	CheckTableNotInUse(rel, "distribute");
	return rel;
}

static List *
key_names(ArrayType *array)
{
	List	   *list = ddl_text_members(array);

	if (list == NIL || list_member_ptr(list, NULL))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the distribution key must be one or more columns")));
	return list;
}

/*
 * primary_key -- the names of its columns
 */
static List *
primary_key(Relation rel)
{
	List	   *key;

	key = ddl_list(psprintf("SELECT a.attname FROM pg_catalog.pg_index,"
							" pg_catalog.unnest(indkey) WITH ORDINALITY u (n, o)"
							" JOIN pg_catalog.pg_attribute a"
							" ON a.attnum OPERATOR(pg_catalog.=) u.n"
							" WHERE indrelid OPERATOR(pg_catalog.=) %u"
							" AND a.attrelid OPERATOR(pg_catalog.=) indrelid"
							" AND indisprimary"
							" AND o OPERATOR(pg_catalog.<=) indnkeyatts"
							" ORDER BY o", RelationGetRelid(rel)));
	if (key == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("table \"%s\" has no primary key to distribute it by",
						RelationGetRelationName(rel)),
				 errhint("Name the columns of the distribution key: vecdb.distribute_table('%s', 'column').",
						 RelationGetRelationName(rel))));
	return key;
}

/*
 * check_key -- columns that can decide where a row is
 */
static void
check_key(Relation rel, List *key, const char *strategy)
{
	ListCell   *cell;

	foreach(cell, key)
	{
		char	   *name = lfirst(cell);
		AttrNumber	number = get_attnum(RelationGetRelid(rel), name);
		Form_pg_attribute column;
		TypeCacheEntry *type;

		if (number <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" of relation \"%s\" does not exist",
							name, RelationGetRelationName(rel))));
		column = TupleDescAttr(RelationGetDescr(rel), number - 1);
		if (column->attgenerated != '\0')
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("column \"%s\" cannot be in the distribution key, because it is generated",
							name),
					 errhint("Distribute by the columns that it is made of.")));
		type = lookup_type_cache(column->atttypid,
								 TYPECACHE_HASH_EXTENDED_PROC |
								 TYPECACHE_CMP_PROC);
		if (strcmp(strategy, "hash") == 0 &&
			!OidIsValid(type->hash_extended_proc))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_FUNCTION),
					 errmsg("column \"%s\" of type %s cannot be in the distribution key",
							name, format_type_be(column->atttypid)),
					 errdetail("The type has no extended hash function."),
					 errhint("Distribute by another column.")));
		if ((strcmp(strategy, "range") == 0 || strcmp(strategy, "list") == 0) &&
			!OidIsValid(type->cmp_proc))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_FUNCTION),
					 errmsg("column \"%s\" of type %s cannot be in the distribution key",
							name, format_type_be(column->atttypid)),
					 errdetail("The type has no order."),
					 errhint("Distribute by another column.")));
		for (ListCell *other = list_head(key); other != cell;
			 other = lnext(key, other))
		{
			if (strcmp(lfirst(other), name) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("column \"%s\" is in the distribution key twice",
								name)));
		}
	}
}

/*
 * key_array -- names of columns as a literal of type name[]
 */
static char *
key_array(List *key)
{
	StringInfoData text;
	ListCell   *cell;

	initStringInfo(&text);
	foreach(cell, key)
		appendStringInfo(&text, "%s%s", text.len > 0 ? ", " : "",
						 quote_literal_cstr(lfirst(cell)));
	return psprintf("ARRAY[%s]::name[]", text.data);
}

/*
 * share_table -- make the table elsewhere and bring the rows there
 *
 * The catalog knows it by now.  Indexes are built when the rows are there.
 */
static void
share_table(Relation rel, char kind)
{
	Oid			relid = RelationGetRelid(rel);
	const VdbTable *table;
	uint64		rows;

	table = vdb_catalog_table(relid);
	if (table == NULL || table->kind != kind)
		elog(ERROR, "table \"%s\" did not get into the catalog",
			 RelationGetRelationName(rel));
	ddl_check_constraints(relid);
	make_elsewhere(relid);
	ddl_share_sequences(relid);
	if (kind == VDB_TABLE_DISTRIBUTED)
		rows = ddl_send_rows(rel, table);
	else
		rows = ddl_send_all_rows(rel, 0);
	finish_elsewhere(relid);
	ddl_grow_epoch();
	wait_for_readers(rel);
	if (rows > 0)
		ereport(NOTICE,
				(errmsg("%llu rows of table \"%s\" went to other groups",
						(unsigned long long) rows,
						RelationGetRelationName(rel)),
				 kind == VDB_TABLE_DISTRIBUTED ?
				 errhint("VACUUM the table to free the space that they took here.") : 0));
}

/*
 * refuse_clashes -- an ERROR if a group has something of that name
 */
static void
refuse_clashes(Oid relid)
{
	const VdbCluster *cluster = vdb_catalog_cluster();
	char	   *name = ddl_table_name(relid);
	char	   *query = psprintf("SELECT pg_catalog.to_regclass(%s)",
								 quote_literal_cstr(name));

	for (int i = 0; i < cluster->group_count; i++)
	{
		int			group = cluster->groups[i].id;

		if (group != cluster->local_group && ddl_ask(group, query) != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_TABLE),
					 errmsg("relation %s exists in group %d already", name,
							group),
					 errhint("Drop or rename it there, in a session on that node.")));
	}
}

/*
 * make_elsewhere -- the bare table in each other group
 */
static void
make_elsewhere(Oid relid)
{
	const VdbCluster *cluster = vdb_catalog_cluster();

	/* what exists already is nothing to tell anyone */
	vdb_remote_execute_all("SET LOCAL client_min_messages = warning");
	ddl_elsewhere(ddl_describe_needs(relid));
	vdb_remote_execute_all("SET LOCAL client_min_messages TO DEFAULT");
	for (int i = 0; i < cluster->group_count; i++)
	{
		int			group = cluster->groups[i].id;
		List	   *statements;
		ListCell   *cell;

		if (group == cluster->local_group)
			continue;
		statements = ddl_describe_table(relid, group);
		foreach(cell, statements)
			(void) vdb_remote_execute(group, lfirst(cell));
	}
}

/*
 * finish_elsewhere -- all else, in all groups at once
 */
static void
finish_elsewhere(Oid relid)
{
	List	   *checks = ddl_describe_checks(relid);
	List	   *rest = ddl_describe_rest(relid);
	List	   *references = ddl_describe_references(relid);
	DdlUser		user;

	ddl_become_owner(&user, relid);
	ddl_elsewhere(checks);
	ddl_become_user(&user);
	ddl_elsewhere(rest);
	ddl_become_owner(&user, relid);
	ddl_elsewhere(references);
	ddl_become_user(&user);
}

/*
 * wait_for_readers -- nobody has a plan for the table that it was
 *
 * Whoever has planned a statement holds a lock until it is executed.
 */
static void
wait_for_readers(Relation rel)
{
	LockRelation(rel, AccessExclusiveLock);
	CacheInvalidateRelcache(rel);
}

/*
 * ddl_forget_tables -- see ddl_private.h
 *
 * What was dropped is missed by name.  A colocation goes with its last table.
 */
bool
ddl_forget_tables(void)
{
	List	   *gone;
	ListCell   *cell;
	bool		found;

	gone = ddl_list("SELECT format('schema_name = %L AND table_name = %L',"
					" schema_name, table_name) FROM vecdb.catalog_table"
					" WHERE to_regclass(format('%I.%I', schema_name,"
					" table_name)) IS NULL");
	found = gone != NIL;
	foreach(cell, gone)
		ddl_everywhere(psprintf("DELETE FROM vecdb.catalog_table WHERE %s",
								(char *) lfirst(cell)));
	gone = ddl_list("SELECT colocation_id FROM vecdb.catalog_colocation c"
					" WHERE NOT EXISTS (SELECT FROM vecdb.catalog_table t"
					" WHERE t.colocation_id = c.colocation_id)");
	foreach(cell, gone)
	{
		ddl_everywhere(psprintf("DELETE FROM vecdb.catalog_shard"
								" WHERE colocation_id = %s",
								(char *) lfirst(cell)));
		ddl_everywhere(psprintf("DELETE FROM vecdb.catalog_colocation"
								" WHERE colocation_id = %s",
								(char *) lfirst(cell)));
	}
	return found;
}
