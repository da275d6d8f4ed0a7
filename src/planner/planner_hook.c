/*-------------------------------------------------------------------------
 *
 * planner_hook.c
 *	  Where the planner comes in: a statement is sent whole, planned as if all
 *	  tables were ordinary ones, or planned by PostgreSQL with our paths.
 *
 * Hooks do nothing in a database that is in no cluster, nor in local mode.
 *
 * IDENTIFICATION
 *	  src/planner/planner_hook.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/plancat.h"
#include "optimizer/planmain.h"
#include "optimizer/planner.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

#include "vecdb/lib_compat.h"
#include "planner_private.h"

/* What tables a statement has */
typedef struct TableKinds
{
	bool		distributed;
	bool		reference;
	bool		other;			/* ordinary ones of this node */
	bool		written;		/* a distributed or reference one */
	bool		as_owner;		/* a view's owner reads some */
} TableKinds;

/* What the planner is told of the statement that is planned now */
typedef struct PlanningState
{
	bool		local;			/* all tables are ordinary ones */
	Oid			locked_relid;	/* rows of it are locked where they are read */
	RowMarkClause *lock;
} PlanningState;

const CustomScanMethods *planner_fanout_methods = NULL;
const CustomScanMethods *planner_insert_methods = NULL;

static PlanningState planning;

static planner_hook_type previous_planner = NULL;
static set_rel_pathlist_hook_type previous_scan_paths = NULL;
static set_join_pathlist_hook_type previous_join_paths = NULL;
static create_upper_paths_hook_type previous_upper_paths = NULL;
static get_relation_info_hook_type previous_relation_info = NULL;

static bool is_active(void);
static PlannedStmt *plan_statement(Query *query, const char *query_string,
								   int cursor_options,
								   ParamListInfo bound_params);
static PlannedStmt *plan_distributed(Query *query, const char *query_string,
									 int cursor_options,
									 ParamListInfo bound_params,
									 const TableKinds *kinds);
static PlannedStmt *plan_pinned(Query *query, const char *query_string,
								int cursor_options,
								ParamListInfo bound_params,
								const TableKinds *kinds);
static PlannedStmt *plan_chained(Query *query, const char *query_string,
								 int cursor_options,
								 ParamListInfo bound_params,
								 const PlanningState *state);
static bool find_tables_walker(Node *node, TableKinds *kinds);
static void find_tables(Query *query, TableKinds *kinds);
static const VdbTable *shared_table(const RangeTblEntry *rte);
static bool is_simple_lock(const Query *query);
static Query *prepare_locks(Query *query, PlanningState *state);
static void prepare_query(Query *query, bool merged);
static bool prepare_query_walker(Node *node, bool *merged);
static void keep_apart(Query *query, int varno);
static bool flatten_walker(Node *node, PlannedStmt *statement);
static List *describe_rows(PlannedStmt *statement, List *target_list,
						   List **scan_tlist);
static void note_relation(PlannerInfo *root, Oid relid, bool inhparent,
						  RelOptInfo *rel);
static void add_scan_paths(PlannerInfo *root, RelOptInfo *rel, Index rti,
						   RangeTblEntry *rte);
static void add_join_paths(PlannerInfo *root, RelOptInfo *joinrel,
						   RelOptInfo *outer, RelOptInfo *inner,
						   JoinType type, JoinPathExtraData *extra);
static void add_upper_paths(PlannerInfo *root, UpperRelationKind stage,
							RelOptInfo *input, RelOptInfo *output,
							void *extra);

/*
 * vdb_planner_init -- hooks and settings; from _PG_init when preloaded
 */
void
vdb_planner_init(void)
{
	previous_planner = planner_hook;
	planner_hook = plan_statement;
	previous_scan_paths = set_rel_pathlist_hook;
	set_rel_pathlist_hook = add_scan_paths;
	previous_join_paths = set_join_pathlist_hook;
	set_join_pathlist_hook = add_join_paths;
	previous_upper_paths = create_upper_paths_hook;
	create_upper_paths_hook = add_upper_paths;
	previous_relation_info = get_relation_info_hook;
	get_relation_info_hook = note_relation;
}

/*
 * vdb_planner_set_methods -- the executor's methods, given before anything is
 * planned
 */
void
vdb_planner_set_methods(const CustomScanMethods *fanout,
						const CustomScanMethods *insert)
{
	planner_fanout_methods = fanout;
	planner_insert_methods = insert;
}

/* Is anything distributed, and are we to care? */
static bool
is_active(void)
{
	return vdb_catalog_cluster() != NULL && vdb_catalog_has_tables() &&
		!vdb_catalog_local_mode();
}

/*
 * The planner's hook.
 */
static PlannedStmt *
plan_statement(Query *query, const char *query_string, int cursor_options,
			   ParamListInfo bound_params)
{
	TableKinds	kinds = {0};
	PlanningState plain = {0};
	PlannedStmt *result;

	vdb_catalog_refresh();
	if (!is_active())
	{
		result = plan_chained(query, query_string, cursor_options,
							  bound_params, &plain);
		planner_guard(query, result);
		return result;
	}

	/* tables of functions that are inlined are met later */
	find_tables(query, &kinds);
	if (!kinds.distributed && !kinds.reference)
		result = plan_chained(query, query_string, cursor_options,
							  bound_params, &plain);
	else
		result = plan_distributed(query, query_string, cursor_options,
								  bound_params, &kinds);
	/* what was decided here holds as long as the catalog is the same */
	result->relationOids = list_append_unique_oid(result->relationOids,
												  vdb_catalog_oid());
	return result;
}

/* Plan a statement that has distributed or reference tables. */
static PlannedStmt *
plan_distributed(Query *query, const char *query_string, int cursor_options,
				 ParamListInfo bound_params, const TableKinds *kinds)
{
	PlanningState state = {0};
	PlannedStmt *result;

	if (kinds->written)
		planner_check_writes(query);
	result = plan_pinned(query, query_string, cursor_options, bound_params,
						 kinds);
	if (result)
		return result;
	if (kinds->written && query->resultRelation > 0 &&
		shared_table(rt_fetch(query->resultRelation, query->rtable)))
		return planner_modify(query, query_string, cursor_options,
							  bound_params);

	query = prepare_locks(query, &state);
	return plan_chained(query, query_string,
						cursor_options & ~CURSOR_OPT_PARALLEL_OK,
						bound_params, &state);
}

/* Plan a statement that is pinned to one group; NULL if it is not. */
static PlannedStmt *
plan_pinned(Query *query, const char *query_string, int cursor_options,
			ParamListInfo bound_params, const TableKinds *kinds)
{
	VdbPlan		plan = {0};
	List	   *keys;
	PlannedStmt *result;

	if (!kinds->distributed)
		return NULL;
	if (query->resultRelation > 0)
	{
		const VdbTable *table =
		shared_table(rt_fetch(query->resultRelation, query->rtable));

		/* rows of reference tables are written everywhere */
		if (table == NULL || table->kind != VDB_TABLE_DISTRIBUTED)
			return NULL;
	}
	if (!planner_can_pin(query) ||
		!planner_route(query, bound_params, &plan, &keys))
		return NULL;

	if (plan.target == VDB_TARGET_GROUPS &&
		linitial_int(plan.groups) == vdb_catalog_cluster()->local_group)
		return planner_standard_local(query, query_string, cursor_options,
									  bound_params);
	if (kinds->other || kinds->as_owner || !planner_is_safe_statement(query))
		return NULL;
	/* locks, settings and the like are meant to be of this session */
	if (query->commandType == CMD_SELECT &&
		contain_volatile_functions((Node *) query))
		return NULL;

	plan.command = query->commandType;
	plan.kind = plan.command == CMD_SELECT ? VDB_PLAN_SELECT : VDB_PLAN_MODIFY;
	result = planner_statement(query, &plan, keys);
	if (cursor_options & CURSOR_OPT_SCROLL)
		result->planTree = materialize_finished_plan(result->planTree);
	return result;
}

/*
 * planner_standard -- have a query planned by the next planner in the chain
 */
PlannedStmt *
planner_standard(Query *query, const char *query_string, int cursor_options,
				 ParamListInfo bound_params)
{
	PlanningState state = {0};

	return plan_chained(query, query_string, cursor_options, bound_params,
						&state);
}

/*
 * planner_standard_local -- the same, all tables being ordinary ones
 */
PlannedStmt *
planner_standard_local(Query *query, const char *query_string,
					   int cursor_options, ParamListInfo bound_params)
{
	PlanningState state = {.local = true};

	return plan_chained(query, query_string, cursor_options, bound_params,
						&state);
}

/*
 * Call the next planner, and have our hooks see "state" while it runs.  A
 * statement planned within, by a function that is folded, has its own.
 */
static PlannedStmt *
plan_chained(Query *query, const char *query_string, int cursor_options,
			 ParamListInfo bound_params, const PlanningState *state)
{
	PlanningState saved = planning;
	PlannedStmt *result;

	planning = *state;
	PG_TRY();
	{
		if (previous_planner)
			result = previous_planner(query, query_string, cursor_options,
									  bound_params);
		else
			result = standard_planner(query, query_string, cursor_options,
									  bound_params);
	}
	PG_FINALLY();
	{
		planning = saved;
	}
	PG_END_TRY();
	return result;
}

/*
 * planner_lock -- how rows of a table are to be locked where they are read
 */
const RowMarkClause *
planner_lock(Oid relid)
{
	return OidIsValid(relid) && planning.locked_relid == relid ?
		planning.lock : NULL;
}

/* Which kinds of tables does a statement have? */
static void
find_tables(Query *query, TableKinds *kinds)
{
	ListCell   *cell;

	foreach(cell, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);
		const VdbTable *table;

		if (rte->rtekind != RTE_RELATION || rte->relkind == RELKIND_VIEW)
			continue;
		table = shared_table(rte);
		if (table == NULL)
			kinds->other = true;
		else if (table->kind == VDB_TABLE_DISTRIBUTED)
			kinds->distributed = true;
		else
			kinds->reference = true;
		if (table && foreach_current_index(cell) + 1 == query->resultRelation)
			kinds->written = true;
		if (OidIsValid(vdb_check_as_user(VDB_PERMISSIONS(query), rte)))
			kinds->as_owner = true;
	}
	(void) query_tree_walker(query, find_tables_walker, kinds, 0);
}

static bool
find_tables_walker(Node *node, TableKinds *kinds)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		find_tables((Query *) node, kinds);
		return false;
	}
	return expression_tree_walker(node, find_tables_walker, kinds);
}

/* The distributed or reference table that a range table entry is, or NULL */
static const VdbTable *
shared_table(const RangeTblEntry *rte)
{
	return rte->rtekind == RTE_RELATION ? vdb_catalog_table(rte->relid) :
		NULL;
}

/*
 * Prepare for row locks, and for what UPDATE and DELETE of ordinary tables do
 * with the other tables in FROM: both read rows again by their ctid, which
 * rows of groups do not have.
 *
 * SELECT FROM a distributed table FOR UPDATE: the groups lock what they read.
 * Else the distributed tables become subqueries of their own, of which
 * PostgreSQL keeps whole rows.
 */
static Query *
prepare_locks(Query *query, PlanningState *state)
{
	if (is_simple_lock(query))
	{
		query = copyObject(query);
		state->lock = linitial_node(RowMarkClause, query->rowMarks);
		state->locked_relid = rt_fetch(state->lock->rti,
									   query->rtable)->relid;
		query->rowMarks = NIL;
		return query;
	}
	query = copyObject(query);
	prepare_query(query, false);
	return query;
}

/* Is it a SELECT of one distributed table whose rows are locked? */
static bool
is_simple_lock(const Query *query)
{
	RowMarkClause *mark;
	const VdbTable *table;

	if (query->commandType != CMD_SELECT || list_length(query->rowMarks) != 1 ||
		list_length(query->rtable) != 1 || query->hasSubLinks)
		return false;
	mark = linitial_node(RowMarkClause, query->rowMarks);
	table = shared_table(rt_fetch(mark->rti, query->rtable));
	return table && table->kind == VDB_TABLE_DISTRIBUTED;
}

/*
 * Refuse what cannot be locked, and keep apart what must not be.  Merged: the
 * query may become part of one around it that reads rows again.
 */
static void
prepare_query(Query *query, bool merged)
{
	bool		again;
	int			count;
	ListCell   *cell;

	foreach(cell, query->rowMarks)
	{
		RowMarkClause *mark = lfirst_node(RowMarkClause, cell);
		RangeTblEntry *rte = rt_fetch(mark->rti, query->rtable);
		const VdbTable *table = shared_table(rte);

		if (table && table->kind == VDB_TABLE_DISTRIBUTED)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot lock rows of distributed table \"%s\" in a query of several tables",
							get_rel_name(rte->relid)),
					 errhint("Lock them in a SELECT of that table alone, or name the distribution key of all tables in WHERE.")));
	}

	again = query->rowMarks != NIL || query->commandType == CMD_UPDATE ||
		query->commandType == CMD_DELETE || query->commandType == CMD_MERGE;
	if (!again && merged)
		again = !query->hasAggs && !query->hasWindowFuncs &&
			!query->hasTargetSRFs && query->groupClause == NIL &&
			query->groupingSets == NIL && query->havingQual == NULL &&
			query->distinctClause == NIL && query->setOperations == NULL &&
			query->limitCount == NULL && query->limitOffset == NULL;
	/* UNION ALL is merged, too */
	if (!again && merged)
		again = query->setOperations != NULL && query->sortClause == NIL &&
			query->limitCount == NULL && query->limitOffset == NULL;

	(void) query_tree_walker(query, prepare_query_walker, &again, 0);
	if (!again)
		return;
	count = list_length(query->rtable);
	for (int i = 1; i <= count; i++)
	{
		const VdbTable *table = shared_table(rt_fetch(i, query->rtable));

		if (table && table->kind == VDB_TABLE_DISTRIBUTED &&
			i != query->resultRelation)
			keep_apart(query, i);
	}
}

static bool
prepare_query_walker(Node *node, bool *merged)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		prepare_query((Query *) node, *merged);
		return false;
	}
	return expression_tree_walker(node, prepare_query_walker, merged);
}

/*
 * Make a table of FROM a subquery that is not merged with the query around.
 */
static void
keep_apart(Query *query, int varno)
{
	RangeTblEntry *rte = rt_fetch(varno, query->rtable);
	RangeTblEntry *inner = copyObject(rte);
	Query	   *subquery = makeNode(Query);
	RangeTblRef *ref = makeNode(RangeTblRef);
	ListCell   *cell;

	if (rte->tablesample)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("TABLESAMPLE of distributed table \"%s\" is not supported here",
						get_rel_name(rte->relid))));

	subquery->commandType = CMD_SELECT;
	subquery->canSetTag = true;
	subquery->rtable = list_make1(inner);
	vdb_move_permissions(query, subquery, inner);
	ref->rtindex = 1;
	subquery->jointree = makeFromExpr(list_make1(ref), NULL);
	foreach(cell, rte->eref->colnames)
	{
		AttrNumber	attno = foreach_current_index(cell) + 1;
		Oid			type;
		int32		typmod;
		Oid			collation;
		Expr	   *expr;

		if (get_rte_attribute_is_dropped(rte, attno))
			expr = (Expr *) makeNullConst(INT4OID, -1, InvalidOid);
		else
		{
			get_atttypetypmodcoll(rte->relid, attno, &type, &typmod,
								  &collation);
			expr = (Expr *) makeVar(1, attno, type, typmod, collation, 0);
		}
		subquery->targetList =
			lappend(subquery->targetList,
					makeTargetEntry(expr, attno,
									pstrdup(strVal(lfirst(cell))), false));
	}

	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = subquery;
	/* this is what keeps it from being merged */
	rte->security_barrier = true;
	rte->relid = InvalidOid;
	rte->relkind = 0;
	rte->rellockmode = 0;
	rte->inh = false;
	rte->securityQuals = NIL;
	vdb_clear_permissions(rte);
}

/*
 * planner_statement -- a plan of one node that runs a shard statement
 *
 * For statements sent whole: query is what the client sent, rewritten.  Plan
 * has kind, command, target, groups and relid set; sql and param_count are set
 * here.  Keys are the expressions of VDB_TARGET_KEY.
 *
 * Permissions are checked, and tables locked, as for an ordinary plan: the
 * range table has all of them.
 */
PlannedStmt *
planner_statement(Query *query, VdbPlan *plan, List *keys)
{
	PlannedStmt *statement = makeNode(PlannedStmt);
	CustomScan *scan = makeNode(CustomScan);
	List	   *params;
	bool		row_security;
	ListCell   *cell;

	plan->sql = planner_deparse(query, &params);
	plan->param_count = list_length(params);
	plan->writes = query->commandType != CMD_SELECT || query->hasForUpdate;
	for (int i = 0; i < list_length(keys); i++)
		plan->key_exprs = lappend_int(plan->key_exprs, plan->param_count + i);
	foreach(cell, list_concat_copy(params, keys))
		scan->custom_exprs =
		lappend(scan->custom_exprs,
				expression_planner(copyObject((Expr *) lfirst(cell))));
	scan->custom_private = vdb_plan_write(plan);
	scan->methods = planner_fanout_methods;
	scan->flags = CUSTOMPATH_SUPPORT_PROJECTION;

	/*
	 * Less than what PostgreSQL reckons for planning: a prepared statement is
	 * not to be planned again for each key, of the own group neither.
	 */
	scan->scan.plan.startup_cost = 1;
	scan->scan.plan.total_cost = 5;
	scan->scan.plan.plan_rows = 1;
	scan->scan.plan.plan_width = 64;

	statement->commandType = query->commandType;
	statement->queryId = query->queryId;
	statement->hasReturning = query->returningList != NIL;
	statement->canSetTag = query->canSetTag;
	statement->planTree = &scan->scan.plan;
	statement->stmt_location = query->stmt_location;
	statement->stmt_len = query->stmt_len;
	extract_query_dependencies((Node *) query, &statement->relationOids,
							   &statement->invalItems, &row_security);
	statement->dependsOnRole = row_security;
	(void) flatten_walker((Node *) query, statement);
	scan->scan.plan.targetlist =
		describe_rows(statement,
					  query->commandType == CMD_SELECT ? query->targetList :
					  query->returningList, &scan->custom_scan_tlist);
	return statement;
}

/* Collect the tables of all levels of a statement. */
static bool
flatten_walker(Node *node, PlannedStmt *statement)
{
	Query	   *query = (Query *) node;
	ListCell   *cell;

	if (node == NULL)
		return false;
	if (!IsA(node, Query))
		return expression_tree_walker(node, flatten_walker, statement);

	foreach(cell, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);
		RangeTblEntry *copy;

		if (rte->rtekind != RTE_RELATION)
			continue;
		copy = (RangeTblEntry *) palloc(sizeof(RangeTblEntry));
		memcpy(copy, rte, sizeof(RangeTblEntry));
		copy->tablesample = NULL;
		copy->securityQuals = NIL;
		copy->subquery = NULL;
		vdb_copy_permissions(query, rte, copy, statement);
		statement->rtable = lappend(statement->rtable, copy);
	}
	return query_tree_walker(query, flatten_walker, statement, 0);
}

/*
 * The target list of a statement that was sent whole, and what comes back.
 * Columns are those of a table of values, whose name EXPLAIN shows.
 */
static List *
describe_rows(PlannedStmt *statement, List *target_list, List **scan_tlist)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	List	   *result = NIL;
	List	   *names = NIL;
	ListCell   *cell;

	*scan_tlist = NIL;
	foreach(cell, target_list)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);
		TargetEntry *copy;
		Node	   *expr = (Node *) entry->expr;
		AttrNumber	number = list_length(result) + 1;
		Var		   *var;

		if (entry->resjunk)
			continue;
		names = lappend(names, makeString(entry->resname ? entry->resname :
										  "?column?"));
		var = makeVar(list_length(statement->rtable) + 1, number,
					  exprType(expr), exprTypmod(expr), exprCollation(expr),
					  0);
		*scan_tlist = lappend(*scan_tlist,
							  makeTargetEntry((Expr *) var, number, NULL,
											  false));
		var = copyObject(var);
		var->varno = INDEX_VAR;
		copy = flatCopyTargetEntry(entry);
		copy->expr = (Expr *) var;
		copy->resno = number;
		copy->ressortgroupref = 0;
		result = lappend(result, copy);
	}

	rte->rtekind = RTE_VALUES;
	rte->eref = makeAlias("statement", names);
	statement->rtable = lappend(statement->rtable, rte);
	return result;
}

/*
 * A table is as large as all groups' shares together.  What is known here is
 * one share.
 */
static void
note_relation(PlannerInfo *root, Oid relid, bool inhparent, RelOptInfo *rel)
{
	const VdbTable *table;

	if (previous_relation_info)
		previous_relation_info(root, relid, inhparent, rel);
	if (planning.local || !is_active())
		return;
	table = vdb_catalog_table(relid);
	if (table && table->kind == VDB_TABLE_DISTRIBUTED)
	{
		int			count = planner_group_count(relid);

		rel->tuples *= count;
		rel->pages *= count;
	}
}

static void
add_scan_paths(PlannerInfo *root, RelOptInfo *rel, Index rti,
			   RangeTblEntry *rte)
{
	const VdbTable *table;

	if (previous_scan_paths)
		previous_scan_paths(root, rel, rti, rte);
	if (planning.local || rte->rtekind != RTE_RELATION || !is_active() ||
		IS_DUMMY_REL(rel))
		return;
	table = vdb_catalog_table(rte->relid);
	if (table)
		planner_scan_paths(root, rel, rti, rte, table);
}

static void
add_join_paths(PlannerInfo *root, RelOptInfo *joinrel, RelOptInfo *outer,
			   RelOptInfo *inner, JoinType type, JoinPathExtraData *extra)
{
	if (previous_join_paths)
		previous_join_paths(root, joinrel, outer, inner, type, extra);
	if (planner_shard(outer) && planner_shard(inner) && !planning.local &&
		is_active())
		planner_join_paths(root, joinrel, outer, inner, type, extra);
}

static void
add_upper_paths(PlannerInfo *root, UpperRelationKind stage, RelOptInfo *input,
				RelOptInfo *output, void *extra)
{
	PlannerShard *shard;

	if (previous_upper_paths)
		previous_upper_paths(root, stage, input, output, extra);
	if (planning.local || !is_active())
		return;
	shard = input && input->fdwroutine == NULL ? planner_shard(input) : NULL;
	if (input)
		planner_note_targets(input);
	if (shard == NULL || !OidIsValid(shard->relid) || !shard->complete ||
		IS_DUMMY_REL(input))
		return;

	if (stage == UPPERREL_GROUP_AGG)
		planner_group_paths(root, input, output, (GroupPathExtraData *) extra);
	else if (stage == UPPERREL_DISTINCT)
		planner_distinct_paths(root, input, output);
	else if (stage == UPPERREL_ORDERED)
		planner_ordered_paths(root, input, output);
	else if (stage == UPPERREL_FINAL)
		planner_final_paths(root, input, output,
							(FinalPathExtraData *) extra);
}
