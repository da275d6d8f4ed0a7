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
	planner_mode_init();
	planner_copies_init();
}

/*
 * vdb_planner_set_methods -- the executor's methods, given before anything is
 * planned
 */
void
vdb_planner_set_methods(const CustomScanMethods *fanout)
{
	planner_fanout_methods = fanout;
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
	bool		outer;

	vdb_catalog_refresh();
	if (!is_active())
	{
		if (!vdb_catalog_has_tables())
			return plan_chained(query, query_string, cursor_options,
								bound_params, &plain);
		query = planner_guard(query, planner_is_nested(cursor_options));
		result = plan_chained(query, query_string, cursor_options,
							  bound_params, &plain);
		result->relationOids = list_append_unique_oid(result->relationOids,
													  vdb_catalog_oid());
		planner_mark_mode(result, cursor_options);
		return result;
	}

	outer = planner_begin_level();
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
	planner_mark_mode(result, cursor_options);
	planner_mark_level(result, outer);
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
		planner_shared_table(rt_fetch(query->resultRelation, query->rtable)))
		return planner_modify(query, query_string, cursor_options,
							  bound_params);

	query = planner_prepare_locks(query, &state.locked_relid, &state.lock);
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
		planner_shared_table(rt_fetch(query->resultRelation, query->rtable));

		/* rows of reference tables are written everywhere */
		if (table == NULL || table->kind != VDB_TABLE_DISTRIBUTED)
			return NULL;
	}
	if (!planner_can_pin(query) ||
		!planner_route(query, bound_params, &plan, &keys))
		return NULL;

	if (plan.target == VDB_TARGET_GROUPS &&
		linitial_int(plan.groups) == vdb_catalog_cluster()->local_group &&
		(query->commandType != CMD_SELECT || query->rowMarks != NIL ||
		 query->hasModifyingCTE || planner_reads_plainly()))
	{
		PlanningState state = {.local = true};

		return plan_chained(planner_guard(query, false), query_string,
							cursor_options, bound_params, &state);
	}
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
		table = planner_shared_table(rte);
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
