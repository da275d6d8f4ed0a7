/*-------------------------------------------------------------------------
 *
 * ddl_hook.c
 *	  Our ProcessUtility_hook: what a statement is to the cluster, and doing
 *	  it everywhere.
 *
 * A shared statement is executed here first, then its effects are checked,
 * then the same text goes to all other groups in the same transaction; what
 * takes long goes to them first.  The search_path and the role travel with it.
 *
 * IDENTIFICATION
 *	  src/ddl/ddl_hook.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "vecdb/ddl.h"
#include "vecdb/planner.h"
#include "vecdb/remote.h"
#include "ddl_private.h"

/* What the next one in the chain of hooks is called with */
typedef struct HookCall
{
	PlannedStmt *pstmt;
	const char *query_string;
	bool		read_only_tree;
	ProcessUtilityContext context;
	ParamListInfo params;
	QueryEnvironment *query_env;
	DestReceiver *dest;
	QueryCompletion *qc;
} HookCall;

/* A shared table as it was before a statement */
typedef struct TableBefore
{
	Oid			relid;
	char	   *schema;
	char	   *name;
	int			key_count;
	AttrNumber *keys;
	Oid		   *types;
	char	   *key_text;
} TableBefore;

bool		ddl_is_preloaded = false;
bool		ddl_share = true;

static ProcessUtility_hook_type prev_process_utility = NULL;

static void process_utility(PlannedStmt *pstmt, const char *query_string,
							bool read_only_tree,
							ProcessUtilityContext context,
							ParamListInfo params, QueryEnvironment *query_env,
							DestReceiver *dest, QueryCompletion *qc);
static void call_next(const HookCall *call);
static bool is_copy_to(Node *parse);
static void call_next_fresh(const HookCall *call);
static bool concerns_cluster(Node *parse, ProcessUtilityContext context);
static void check_nested(Node *parse);
static char *own_text(const PlannedStmt *pstmt, const char *query_string);
static void run_shared(const HookCall *call, const DdlStatement *statement,
					   const DdlDecision *decision);
static void lock_tables(Node *parse, const DdlDecision *decision);
static bool may_lock(Node *parse, Oid relid);
static List *remember_tables(List *relids);
static bool update_catalog(List *before);
static char *key_names(const TableBefore *table);
static List *list_indexes(Oid relid);
static void check_new_index(Oid relid, List *before);
static List *send_elsewhere(const char *sql);
static void wait_elsewhere(List *requests);

/*
 * vdb_ddl_init -- see vecdb/ddl.h
 *
 * The cluster is for servers that have the library in
 * shared_preload_libraries; CREATE EXTENSION vector is helped in any case.
 */
void
vdb_ddl_init(void)
{
	prev_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
	ddl_is_preloaded = process_shared_preload_libraries_in_progress;
	if (ddl_is_preloaded)
		DefineCustomBoolVariable("vecdb.share_ddl",
								 "Sets whether schemas, types, functions, extensions and roles are made, changed and dropped in all groups.",
								 "Statements on distributed and reference tables always are.",
								 &ddl_share, true, PGC_USERSET, 0,
								 NULL, NULL, NULL);
}

static void
process_utility(PlannedStmt *pstmt, const char *query_string,
				bool read_only_tree, ProcessUtilityContext context,
				ParamListInfo params, QueryEnvironment *query_env,
				DestReceiver *dest, QueryCompletion *qc)
{
	HookCall	call = {ddl_alias_adjust(pstmt), query_string, read_only_tree,
	context, params, query_env, dest, qc};
	DdlStatement statement;
	DdlDecision decision;

	if (!concerns_cluster(pstmt->utilityStmt, context))
	{
		call_next(&call);
		return;
	}

	statement.pstmt = pstmt;
	statement.parse = pstmt->utilityStmt;
	statement.sql = own_text(pstmt, query_string);
	statement.top_level = context == PROCESS_UTILITY_TOPLEVEL;
	ddl_lock_named(statement.parse);
	decision = ddl_decide(&statement);
	if (decision.plan == DDL_SHARED)
	{
		/* others may have changed what it means while this was waited for */
		ddl_lock_cluster();
		decision = ddl_decide(&statement);
	}
	switch (decision.plan)
	{
		case DDL_ALONE:
			if (is_copy_to(statement.parse))
				call_next_fresh(&call);
			else
				call_next(&call);
			ddl_check_ordinary_names(&decision);
			break;
		case DDL_SHARED:
			ddl_check_roles(statement.parse);
			run_shared(&call, &statement, &decision);
			break;
		case DDL_CHECKED:
			call_next(&call);
			CommandCounterIncrement();
			ddl_check_ordinary_names(&decision);
			ddl_check_statement(statement.parse);
			break;
		case DDL_OUTSIDE:
			if (ddl_run_outside(&statement, &decision))
				call_next(&call);
			break;
		case DDL_COPY_FROM:
			ddl_copy_from(&statement, query_string, qc);
			break;
		case DDL_COPY_TO:
			call.pstmt = ddl_copy_to(pstmt);
			call.read_only_tree = false;
			call_next_fresh(&call);
			break;
	}
}

static void
call_next(const HookCall *call)
{
	ProcessUtility_hook_type next = prev_process_utility;

	if (next == NULL)
		next = standard_ProcessUtility;
	next(call->pstmt, call->query_string, call->read_only_tree, call->context,
		 call->params, call->query_env, call->dest, call->qc);
}

/*
 * is_copy_to -- COPY of a table that is read?
 */
static bool
is_copy_to(Node *parse)
{
	return IsA(parse, CopyStmt) && !((CopyStmt *) parse)->is_from &&
		((CopyStmt *) parse)->relation != NULL;
}

/*
 * call_next_fresh -- execute a statement that sees what was committed when the
 * table was locked
 *
 * The snapshot that it has is older.  If rows have gone to other groups in
 * between, it would see them twice; if they came back, not at all.
 */
static void
call_next_fresh(const HookCall *call)
{
	PushActiveSnapshot(GetTransactionSnapshot());
	call_next(call);
	PopActiveSnapshot();
}

/*
 * concerns_cluster -- can a statement be of any interest?
 *
 * Asked of every utility statement, hence cheap.  Parts of a statement and of
 * an extension's script went to other groups with the whole.
 */
static bool
concerns_cluster(Node *parse, ProcessUtilityContext context)
{
	if (!ddl_is_preloaded || context == PROCESS_UTILITY_SUBCOMMAND ||
		creating_extension)
		return false;
	switch (nodeTag(parse))
	{
		case T_TransactionStmt:
		case T_VariableSetStmt:
		case T_VariableShowStmt:
		case T_PrepareStmt:
		case T_ExecuteStmt:
		case T_DeallocateStmt:
		case T_DeclareCursorStmt:
		case T_FetchStmt:
		case T_ClosePortalStmt:
		case T_ExplainStmt:
		case T_DoStmt:
		case T_CallStmt:
		case T_ListenStmt:
		case T_NotifyStmt:
		case T_UnlistenStmt:
		case T_LoadStmt:
		case T_CheckPointStmt:
		case T_DiscardStmt:
		case T_ConstraintsSetStmt:
			return false;
		default:
			if (!IsTransactionState())
				return false;
			vdb_catalog_refresh();
			if (vdb_catalog_cluster() == NULL)
				return false;
			if (!vdb_catalog_local_mode())
				return true;
			if (context != PROCESS_UTILITY_TOPLEVEL)
				check_nested(parse);
			return false;
	}
}

/*
 * check_nested -- an ERROR if a trigger or function that runs in one group
 * would change rows that other groups have to change as well
 */
static void
check_nested(Node *parse)
{
	List	   *relations = NIL;
	ListCell   *cell;

	if (IsA(parse, TruncateStmt))
		relations = ((TruncateStmt *) parse)->relations;
	else if (IsA(parse, CopyStmt) && ((CopyStmt *) parse)->is_from)
		relations = list_make1(((CopyStmt *) parse)->relation);
	foreach(cell, relations)
		vdb_planner_check_nested(RangeVarGetRelid(lfirst_node(RangeVar, cell),
												  NoLock, true), true);
}

/*
 * own_text -- the part of the query string that is this statement
 */
static char *
own_text(const PlannedStmt *pstmt, const char *query_string)
{
	int			location = Max(pstmt->stmt_location, 0);

	if (pstmt->stmt_len > 0)
		return pnstrdup(query_string + location, pstmt->stmt_len);
	return pstrdup(query_string + location);
}

/*
 * run_shared -- execute a statement here, look at what it did, send it on
 *
 * All under the lock of the cluster, which the caller has taken, so that
 * statements that change the same things meet at its row and not, crosswise,
 * at tables of different nodes.
 */
static void
run_shared(const HookCall *call, const DdlStatement *statement,
		   const DdlDecision *decision)
{
	const char *sql = decision->sql != NULL ? decision->sql :
	statement->sql;
	List	   *before;
	List	   *indexes = NIL;
	List	   *requests = NIL;
	ListCell   *cell;
	bool		changed;
	DdlUser		user;

	lock_tables(statement->parse, decision);
	before = remember_tables(decision->tables);
	if (OidIsValid(decision->unnamed_index_of))
		indexes = list_indexes(decision->unnamed_index_of);

	vdb_remote_local_write();
	if (decision->slow)
		requests = send_elsewhere(sql);
	vdb_catalog_enter_local();
	call_next(call);
	vdb_catalog_leave_local();
	CommandCounterIncrement();

	ddl_become_superuser(&user);
	changed = update_catalog(before);
	ddl_become_user(&user);
	foreach(cell, decision->tables)
	{
		ddl_check_constraints(lfirst_oid(cell));
		if (IsA(statement->parse, AlterTableStmt))
			ddl_check_sequences(lfirst_oid(cell));
	}

	if (decision->slow)
		wait_elsewhere(requests);
	else
		vdb_remote_execute_all(sql);
	if (OidIsValid(decision->unnamed_index_of))
		check_new_index(decision->unnamed_index_of, indexes);

	ddl_become_superuser(&user);
	if (decision->drops)
		changed |= ddl_forget_tables();
	if (changed)
		ddl_grow_epoch();
	ddl_become_user(&user);
}

/*
 * lock_tables -- what the statement would lock, in all groups
 *
 * Not for those whose statement is going to be refused.
 */
static void
lock_tables(Node *parse, const DdlDecision *decision)
{
	ListCell   *cell;

	foreach(cell, decision->tables)
	{
		if (!may_lock(parse, lfirst_oid(cell)))
			return;
	}
	ddl_lock_everywhere(decision->tables, decision->lock);
}

static bool
may_lock(Node *parse, Oid relid)
{
	if (ddl_is_owner(relid))
		return true;
	return IsA(parse, TruncateStmt) &&
		pg_class_aclcheck(relid, GetUserId(), ACL_TRUNCATE) == ACLCHECK_OK;
}

/*
 * remember_tables -- names and keys, which the statement may change
 */
static List *
remember_tables(List *relids)
{
	List	   *list = NIL;
	ListCell   *cell;

	foreach(cell, relids)
	{
		const VdbTable *table = vdb_catalog_table(lfirst_oid(cell));
		TableBefore *before = palloc0(sizeof(TableBefore));

		if (table == NULL)
			continue;
		before->relid = table->relid;
		before->schema = get_namespace_name(get_rel_namespace(table->relid));
		before->name = get_rel_name(table->relid);
		if (table->kind == VDB_TABLE_DISTRIBUTED)
		{
			before->key_count = table->key_count;
			before->keys = table->keys;
			before->types = table->key_types;
			before->key_text = key_names(before);
		}
		list = lappend(list, before);
	}
	return list;
}

/*
 * key_names -- the columns of a key as a literal of type name[]
 *
 * An ERROR if one of them is gone or has another type.
 */
static char *
key_names(const TableBefore *table)
{
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < table->key_count; i++)
	{
		HeapTuple	tuple = SearchSysCacheAttNum(table->relid,
												 table->keys[i]);

		if (!HeapTupleIsValid(tuple) ||
			((Form_pg_attribute) GETSTRUCT(tuple))->atttypid != table->types[i])
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("a column of the distribution key of table \"%s\" cannot be dropped or get another type",
							table->name),
					 errdetail("The columns were %s.", table->key_text),
					 errhint("Call vecdb.undistribute_table(), change the column, and distribute the table again.")));
		appendStringInfo(&text, "%s%s", i > 0 ? ", " : "",
						 quote_literal_cstr(NameStr(((Form_pg_attribute) GETSTRUCT(tuple))->attname)));
		ReleaseSysCache(tuple);
	}
	return psprintf("ARRAY[%s]::pg_catalog.name[]", text.data);
}

/*
 * update_catalog -- tables may have new names, and so may columns of keys
 *
 * Returns whether there was anything to do.
 */
static bool
update_catalog(List *before)
{
	ListCell   *cell;
	bool		changed = false;

	foreach(cell, before)
	{
		TableBefore *table = lfirst(cell);
		char	   *name = get_rel_name(table->relid);
		char	   *schema;
		char	   *key = NULL;

		if (name == NULL)
			continue;
		schema = get_namespace_name(get_rel_namespace(table->relid));
		if (table->key_count > 0)
			key = key_names(table);
		if (strcmp(name, table->name) == 0 &&
			strcmp(schema, table->schema) == 0 &&
			(key == NULL || strcmp(key, table->key_text) == 0))
			continue;
		ddl_everywhere(psprintf("UPDATE vecdb.catalog_table"
								" SET schema_name = %s, table_name = %s,"
								" key_columns = %s"
								" WHERE schema_name = %s AND table_name = %s",
								quote_literal_cstr(schema),
								quote_literal_cstr(name),
								key == NULL ? "NULL" : key,
								quote_literal_cstr(table->schema),
								quote_literal_cstr(table->name)));
		changed = true;
	}
	return changed;
}

static List *
list_indexes(Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	List	   *indexes = RelationGetIndexList(rel);

	table_close(rel, NoLock);
	return indexes;
}

/*
 * check_new_index -- PostgreSQL has named an index; is it called the same in
 * all groups?
 *
 * It is, unless something in one of them has the name that would be next.
 */
static void
check_new_index(Oid relid, List *before)
{
	const VdbCluster *cluster = vdb_catalog_cluster();
	List	   *added = list_difference_oid(list_indexes(relid), before);
	char	   *name;
	char	   *query;

	if (list_length(added) != 1)
		return;					/* IF NOT EXISTS */
	name = ddl_table_name(linitial_oid(added));
	query = psprintf("SELECT indexrelid FROM pg_catalog.pg_index"
					 " WHERE indexrelid OPERATOR(pg_catalog.=)"
					 " pg_catalog.to_regclass(%s)"
					 " AND indrelid OPERATOR(pg_catalog.=)"
					 " pg_catalog.to_regclass(%s)", quote_literal_cstr(name),
					 quote_literal_cstr(ddl_table_name(relid)));
	for (int i = 0; i < cluster->group_count; i++)
	{
		int			group = cluster->groups[i].id;

		if (group != cluster->local_group && ddl_ask(group, query) == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_TABLE),
					 errmsg("index %s would have another name in group %d",
							name, group),
					 errhint("Give the index a name.")));
	}
}

/*
 * send_elsewhere -- let all other groups begin with what takes long
 */
static List *
send_elsewhere(const char *sql)
{
	const VdbCluster *cluster = vdb_catalog_cluster();
	List	   *requests = NIL;

	for (int i = 0; i < cluster->group_count; i++)
	{
		VdbStatement *statement;

		if (cluster->groups[i].id == cluster->local_group)
			continue;
		statement = palloc0(sizeof(VdbStatement));
		statement->sql = sql;
		statement->writes = true;
		statement->once = true;
		requests = lappend(requests, vdb_remote_send(cluster->groups[i].id,
													 statement));
	}
	return requests;
}

static void
wait_elsewhere(List *requests)
{
	ListCell   *cell;

	foreach(cell, requests)
	{
		PGresult   *result;

		while ((result = vdb_remote_row(lfirst(cell))) != NULL)
			PQclear(result);
		vdb_remote_close(lfirst(cell));
	}
}
