/*-------------------------------------------------------------------------
 *
 * planner_whole.c
 *	  Statements that are sent whole, to one group.
 *
 * IDENTIFICATION
 *	  src/planner/planner_whole.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/planmain.h"

#include "vecdb/lib_compat.h"
#include "planner_private.h"

static bool flatten_walker(Node *node, PlannedStmt *statement);
static List *describe_rows(PlannedStmt *statement, List *target_list,
						   List **scan_tlist);

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

	query = (Query *)
		planner_fix_system_columns((Node *) query, query, false);
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
