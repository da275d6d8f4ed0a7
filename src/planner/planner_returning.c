/*-------------------------------------------------------------------------
 *
 * planner_returning.c
 *	  RETURNING of what several groups write.
 *
 * It is computed at this node, from columns of the rows written.
 *
 * IDENTIFICATION
 *	  src/planner/planner_returning.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteManip.h"
#include "utils/inval.h"
#include "utils/syscache.h"

#include "planner_private.h"

static Node *replace_returned(Node *node, PlannerWrite *write);

/* planner_check_returning -- refuse what cannot be computed at this node */
void
planner_check_returning(List *returning)
{
	if (checkExprHasSubLink((Node *) returning))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("subqueries in RETURNING are not supported for distributed tables"),
				 errhint("Return the columns, and run the subquery as a statement of its own.")));
}

/*
 * planner_split_returning -- who computes what of RETURNING
 *
 * The shard statement returns the columns that RETURNING needs, and the rest
 * is done here: functions are called once for each row, by this node.
 */
void
planner_split_returning(PlannerWrite *write, Query *query)
{
	List	   *list = NIL;
	ListCell   *cell;

	if (query->returningList == NIL)
		return;
	foreach(cell, pull_var_clause((Node *) query->returningList, 0))
		list = list_append_unique(list, lfirst(cell));
	/* "RETURNING 1" wants rows, too */
	if (list == NIL)
		list = list_make1(makeConst(INT4OID, -1, InvalidOid, sizeof(int32),
									Int32GetDatum(1), false, true));
	write->returned = list;
	write->shard->returningList = NIL;
	foreach(cell, list)
		write->shard->returningList =
		lappend(write->shard->returningList,
				makeTargetEntry(copyObject(lfirst(cell)),
								foreach_current_index(cell) + 1, NULL,
								false));

	write->target_list = (List *)
		replace_returned((Node *) query->returningList, write);
	write->target_list = (List *)
		eval_const_expressions(NULL, (Node *) write->target_list);
	fix_opfuncids((Node *) write->target_list);
}

/* Variables of RETURNING become columns of what the shard statement returns. */
static Node *
replace_returned(Node *node, PlannerWrite *write)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;
		ListCell   *cell;

		foreach(cell, write->returned)
		{
			if (equal(lfirst(cell), var))
				return (Node *) makeVar(INDEX_VAR,
										foreach_current_index(cell) + 1,
										var->vartype, var->vartypmod,
										var->varcollid, 0);
		}
		elog(ERROR, "variable %d.%d of RETURNING is not known",
			 (int) var->varno, var->varattno);
	}
	return expression_tree_mutator(node, replace_returned, (void *) write);
}

/*
 * planner_note_functions -- functions that RETURNING may have inlined make the
 * plan stale
 */
bool
planner_note_functions(Node *node, PlannedStmt *stmt)
{
	if (node == NULL)
		return false;
	if (IsA(node, FuncExpr) &&
		((FuncExpr *) node)->funcid >= FirstUnpinnedObjectId)
	{
		PlanInvalItem *item = makeNode(PlanInvalItem);

		item->cacheId = PROCOID;
		item->hashValue =
			GetSysCacheHashValue1(PROCOID,
								  ObjectIdGetDatum(((FuncExpr *) node)->funcid));
		stmt->invalItems = lappend(stmt->invalItems, item);
	}
	return expression_tree_walker(node, planner_note_functions, (void *) stmt);
}
