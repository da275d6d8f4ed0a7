/*-------------------------------------------------------------------------
 *
 * planner_guard.c
 *	  What triggers insert while a group executes its share.
 *
 * In local mode tables are ordinary ones, so a trigger would put any row into
 * this group, also one that belongs to another.  Between the INSERT of a
 * trigger and its rows stands a node that looks at each.
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
#include "utils/fmgroids.h"

#include "planner_private.h"

static bool needs_guard(Query *query, PlannedStmt *stmt);

/*
 * planner_guard -- have rows looked at, if the statement is a trigger's
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

/* Is it an INSERT into a distributed table, by a trigger? */
static bool
needs_guard(Query *query, PlannedStmt *stmt)
{
	const VdbTable *table;

	if (query->commandType != CMD_INSERT || vdb_catalog_cluster() == NULL ||
		!vdb_catalog_has_tables() || !vdb_catalog_local_mode() ||
		!IsA(stmt->planTree, ModifyTable))
		return false;
	if (DatumGetInt32(OidFunctionCall0(F_PG_TRIGGER_DEPTH)) == 0)
		return false;
	table = vdb_catalog_table(rt_fetch(query->resultRelation,
									   query->rtable)->relid);
	return table && table->kind == VDB_TABLE_DISTRIBUTED;
}
