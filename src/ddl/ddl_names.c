/*-------------------------------------------------------------------------
 *
 * ddl_names.c
 *	  From the names in a statement to the shared tables that they mean.
 *
 * Names are looked up as PostgreSQL does, by search_path, and without a lock:
 * what a statement is to the cluster has to be known before it is executed.
 * So the ordinary tables that it names are noted.  Once the statement holds
 * its locks, they are looked at again (ddl_check_ordinary_names()).
 *
 * IDENTIFICATION
 *	  src/ddl/ddl_names.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xlog.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_statistic_ext.h"
#include "nodes/makefuncs.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "ddl_private.h"

/* An ordinary table as it was called when a statement named it */
typedef struct OrdinaryName
{
	Oid			relid;
	char	   *schema;
	char	   *name;
} OrdinaryName;

static Oid	table_of(Oid relid);
static void note_ordinary(DdlDecision *decision, Oid relid);
static void lock_parent(RangeVar *name);

/*
 * ddl_lock_named -- lock a table before it is asked what it is
 *
 * Of statements that would act on a part of the rows, or leave something
 * behind, if the table became a shared one before they get their own lock.  It
 * is the lock that PostgreSQL is going to take.
 */
void
ddl_lock_named(Node *parse)
{
	if (RecoveryInProgress())
		return;
	if (IsA(parse, CopyStmt))
	{
		CopyStmt   *copy = (CopyStmt *) parse;

		if (copy->relation != NULL)
			(void) RangeVarGetRelid(copy->relation, copy->is_from ?
									RowExclusiveLock : AccessShareLock, true);
	}
	else if (IsA(parse, IndexStmt))
	{
		if (((IndexStmt *) parse)->concurrent)
			lock_parent(((IndexStmt *) parse)->relation);
	}
	else if (IsA(parse, DropStmt))
	{
		DropStmt   *drop = (DropStmt *) parse;

		if (drop->removeType == OBJECT_INDEX && drop->concurrent &&
			list_length(drop->objects) == 1)
			lock_parent(makeRangeVarFromNameList(linitial(drop->objects)));
	}
}

/*
 * lock_parent -- as CONCURRENTLY does, if the user may
 */
static void
lock_parent(RangeVar *name)
{
	Oid			relid = RangeVarGetRelid(name, NoLock, true);
	Oid			table = OidIsValid(relid) ? table_of(relid) : InvalidOid;

	if (OidIsValid(table) && ddl_is_owner(table))
		LockRelationOid(table, ShareUpdateExclusiveLock);
}

/*
 * table_of -- a table itself, that of an index, or that of a sequence
 */
static Oid
table_of(Oid relid)
{
	switch (get_rel_relkind(relid))
	{
		case RELKIND_INDEX:
			return IndexGetRelation(relid, true);
		case RELKIND_SEQUENCE:
			return ddl_table_of_sequence(relid);
		default:
			return relid;
	}
}

Oid
ddl_shared_table(const RangeVar *name, DdlDecision *decision)
{
	Oid			relid;

	if (name == NULL || vdb_catalog_cluster() == NULL)
		return InvalidOid;
	relid = RangeVarGetRelid(name, NoLock, true);
	if (OidIsValid(relid))
		relid = table_of(relid);
	if (!OidIsValid(relid))
		return InvalidOid;
	if (vdb_catalog_table(relid) != NULL)
		return relid;
	note_ordinary(decision, relid);
	return InvalidOid;
}

static void
note_ordinary(DdlDecision *decision, Oid relid)
{
	char	   *schema = get_namespace_name(get_rel_namespace(relid));
	char	   *name = get_rel_name(relid);
	OrdinaryName *ordinary;

	if (schema == NULL || name == NULL ||
		get_rel_persistence(relid) == RELPERSISTENCE_TEMP)
		return;
	ordinary = palloc(sizeof(OrdinaryName));
	ordinary->relid = relid;
	ordinary->schema = schema;
	ordinary->name = name;
	decision->ordinary = lappend(decision->ordinary, ordinary);
}

/*
 * ddl_check_ordinary_names -- see ddl_private.h
 *
 * By its OID, and by the name that it had before the statement, which may have
 * renamed or dropped it.
 */
void
ddl_check_ordinary_names(const DdlDecision *decision)
{
	ListCell   *cell;

	vdb_catalog_refresh();
	if (decision->ordinary == NIL || !vdb_catalog_has_tables())
		return;
	foreach(cell, decision->ordinary)
	{
		OrdinaryName *ordinary = lfirst(cell);

		if (vdb_catalog_table(ordinary->relid) != NULL ||
			vdb_catalog_has_name(ordinary->schema, ordinary->name))
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("table \"%s\" became a table of the cluster while the statement waited for it",
							ordinary->name),
					 errhint("Try again.")));
	}
}

void
ddl_share_name(DdlDecision *decision, const RangeVar *name)
{
	Oid			relid = ddl_shared_table(name, decision);

	if (!OidIsValid(relid))
		return;
	decision->plan = DDL_SHARED;
	decision->tables = list_append_unique_oid(decision->tables, relid);
}

int
ddl_share_among(DdlDecision *decision, List *names, StringInfo text)
{
	ListCell   *cell;
	int			count = 0;

	foreach(cell, names)
	{
		Node	   *item = lfirst(cell);
		RangeVar   *name = IsA(item, List) ?
		makeRangeVarFromNameList((List *) item) : castNode(RangeVar, item);
		Oid			relid = ddl_shared_table(name, decision);

		if (!OidIsValid(relid))
			continue;
		decision->plan = DDL_SHARED;
		decision->tables = list_append_unique_oid(decision->tables, relid);
		appendStringInfo(text, "%s%s", text->len > 0 ? ", " : "",
						 ddl_table_name(RangeVarGetRelid(name, NoLock,
														 false)));
		count++;
	}
	return count;
}

RangeVar *
ddl_parent_name(List *names)
{
	return makeRangeVarFromNameList(list_truncate(list_copy(names),
												  list_length(names) - 1));
}

bool
ddl_is_temporary(List *name)
{
	return list_length(name) > 1 &&
		strcmp(strVal(linitial(name)), "pg_temp") == 0;
}

List *
ddl_tables_of_schema(const char *schema)
{
	List	   *list;
	List	   *tables = NIL;
	ListCell   *cell;

	list = ddl_list(psprintf("SELECT c.oid FROM vecdb.catalog_table t,"
							 " pg_catalog.pg_class c, pg_catalog.pg_namespace n"
							 " WHERE t.schema_name OPERATOR(pg_catalog.=) %s::pg_catalog.name"
							 " AND n.nspname OPERATOR(pg_catalog.=) t.schema_name"
							 " AND c.relnamespace OPERATOR(pg_catalog.=) n.oid"
							 " AND c.relname OPERATOR(pg_catalog.=) t.table_name",
							 quote_literal_cstr(schema)));
	foreach(cell, list)
		tables = lappend_oid(tables, atooid((char *) lfirst(cell)));
	return tables;
}

Oid
ddl_table_of_sequence(Oid sequence)
{
	List	   *list;
	ListCell   *cell;

	if (!vdb_catalog_has_tables())
		return InvalidOid;
	list = ddl_list(psprintf("SELECT refobjid FROM pg_catalog.pg_depend"
							 " WHERE classid OPERATOR(pg_catalog.=) 1259"
							 " AND objid OPERATOR(pg_catalog.=) %u"
							 " AND refclassid OPERATOR(pg_catalog.=) 1259"
							 " AND deptype IN ('a', 'i')"
							 " UNION ALL SELECT adrelid"
							 " FROM pg_catalog.pg_attrdef a"
							 " JOIN pg_catalog.pg_depend d"
							 " ON d.objid OPERATOR(pg_catalog.=) a.oid"
							 " AND d.classid OPERATOR(pg_catalog.=) 2604"
							 " WHERE d.refclassid OPERATOR(pg_catalog.=) 1259"
							 " AND d.refobjid OPERATOR(pg_catalog.=) %u",
							 sequence, sequence));
	foreach(cell, list)
	{
		Oid			table = atooid((char *) lfirst(cell));

		if (vdb_catalog_table(table) != NULL)
			return table;
	}
	return InvalidOid;
}

bool
ddl_share_statistics(DdlDecision *decision, List *name)
{
	Oid			statistics = get_statistics_object_oid(name, true);
	HeapTuple	tuple;
	Oid			relid;

	if (!OidIsValid(statistics))
		return false;
	tuple = SearchSysCache1(STATEXTOID, ObjectIdGetDatum(statistics));
	if (!HeapTupleIsValid(tuple))
		return false;
	relid = ((Form_pg_statistic_ext) GETSTRUCT(tuple))->stxrelid;
	ReleaseSysCache(tuple);
	if (vdb_catalog_table(relid) == NULL)
		return false;
	decision->plan = DDL_SHARED;
	decision->tables = list_append_unique_oid(decision->tables, relid);
	return true;
}
