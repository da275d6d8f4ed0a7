/*-------------------------------------------------------------------------
 *
 * planner_guard.c
 *	  What triggers and functions write while a group executes its share.
 *
 * In local mode tables are ordinary ones, so a trigger would put any row into
 * this group, also one that belongs to another.  Between the INSERT of a
 * trigger and its rows stands a node that looks at each.  Other ways to write a
 * key are refused, as they are in other modes.
 *
 * IDENTIFICATION
 *	  src/planner/planner_guard.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

#include "planner_private.h"

static bool needs_guard(Query *query, PlannedStmt *stmt);

/*
 * planner_check_nested -- refuse what a trigger or function cannot write in
 * local mode
 */
void
planner_check_nested(Query *query)
{
	const VdbTable *table = query->resultRelation == 0 ? NULL :
	vdb_catalog_table(rt_fetch(query->resultRelation, query->rtable)->relid);
	ListCell   *cell;

	planner_check_keys(query, table);
	if (table == NULL || table->kind != VDB_TABLE_DISTRIBUTED)
		return;
	foreach(cell, query->mergeActionList)
	{
		if (lfirst_node(MergeAction, cell)->commandType == CMD_INSERT)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("a trigger or function cannot insert with MERGE into distributed table \"%s\"",
							get_rel_name(table->relid)),
					 errdetail("It is called in the group of the row that is written, and writes rows of this group only."),
					 errhint("Use INSERT ... ON CONFLICT.")));
	}
}

/*
 * planner_guard -- have rows looked at that a trigger or function inserts
 *
 * For statements planned in local mode; the plan is changed in place.
 */
void
planner_guard(Query *query, PlannedStmt *stmt)
{
	CustomScan *node;
	Plan	   *below;
	ListCell   *cell;

	if (!needs_guard(query, stmt))
		return;
	below = outerPlan(stmt->planTree);
	node = makeNode(CustomScan);
	node->methods = GetCustomScanMethods(VDB_GUARD_NODE, false);
	node->custom_plans = list_make1(below);
	node->custom_private =
		list_make1_oid(rt_fetch(query->resultRelation, query->rtable)->relid);
	foreach(cell, below->targetlist)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);
		Oid			type = exprType((Node *) entry->expr);
		int32		typmod = exprTypmod((Node *) entry->expr);
		Oid			collation = exprCollation((Node *) entry->expr);

		node->custom_scan_tlist =
			lappend(node->custom_scan_tlist,
					makeTargetEntry((Expr *) makeNullConst(type, typmod,
														   collation),
									entry->resno, NULL, false));
		node->scan.plan.targetlist =
			lappend(node->scan.plan.targetlist,
					makeTargetEntry((Expr *) makeVar(INDEX_VAR, entry->resno,
													 type, typmod, collation,
													 0),
									entry->resno, entry->resname,
									entry->resjunk));
	}
	node->scan.plan.startup_cost = below->startup_cost;
	node->scan.plan.total_cost = below->total_cost;
	node->scan.plan.plan_rows = below->plan_rows;
	node->scan.plan.plan_width = below->plan_width;
	node->scan.plan.plan_node_id = PG_INT32_MAX;
	node->scan.plan.extParam = bms_copy(below->extParam);
	node->scan.plan.allParam = bms_copy(below->allParam);
	outerPlan(stmt->planTree) = (Plan *) node;
	stmt->relationOids = list_append_unique_oid(stmt->relationOids,
												vdb_catalog_oid());
}

/* Is it an INSERT into a distributed table? */
static bool
needs_guard(Query *query, PlannedStmt *stmt)
{
	const VdbTable *table;

	if (query->commandType != CMD_INSERT || !IsA(stmt->planTree, ModifyTable))
		return false;
	table = vdb_catalog_table(rt_fetch(query->resultRelation,
									   query->rtable)->relid);
	return table && table->kind == VDB_TABLE_DISTRIBUTED;
}
