/*-------------------------------------------------------------------------
 *
 * planner_compute.c
 *	  Subqueries that are computed before a statement is sent to the groups.
 *
 * IDENTIFICATION
 *	  src/planner/planner_compute.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_aggregate.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteManip.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "planner_private.h"

/* A WITH query that is put where it is used, and how deep we are below it */
typedef struct InlineContext
{
	CommonTableExpr *cte;
	int			depth;
} InlineContext;

static bool inline_common_table(Node *node, InlineContext *context);
static Query *make_arrays_query(const RangeTblEntry *entry);

/*
 * planner_inline_common_tables -- make subqueries of WITH queries
 *
 * One that is used once, or whose value does not depend on how often
 * it is computed, is put where it is used.
 */
Query *
planner_inline_common_tables(Query *query)
{
	List	   *kept = NIL;
	ListCell   *cell;

	foreach(cell, query->cteList)
	{
		CommonTableExpr *cte = lfirst_node(CommonTableExpr, cell);
		Query	   *inner = castNode(Query, cte->ctequery);

		if (cte->cterefcount == 0 && inner->commandType == CMD_SELECT)
			continue;
		if (cte->cterecursive || inner->commandType != CMD_SELECT ||
			(cte->cterefcount > 1 &&
			 (contain_volatile_functions((Node *) inner) ||
			  inner->rowMarks != NIL)))
			kept = lappend(kept, cte);
	}
	foreach(cell, query->cteList)
	{
		InlineContext context = {lfirst_node(CommonTableExpr, cell), -1};

		if (context.cte->cterefcount > 0 &&
			!list_member_ptr(kept, context.cte))
			inline_common_table((Node *) query, &context);
	}
	query->cteList = kept;
	return query;
}

/* Make subqueries of the references to a WITH query. */
static bool
inline_common_table(Node *node, InlineContext *context)
{
	RangeTblEntry *entry = (RangeTblEntry *) node;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		context->depth++;
		query_tree_walker((Query *) node, inline_common_table,
						  (void *) context, QTW_EXAMINE_RTES_BEFORE);
		context->depth--;
		return false;
	}
	if (!IsA(node, RangeTblEntry))
		return expression_tree_walker(node, inline_common_table,
									  (void *) context);
	if (entry->rtekind == RTE_CTE &&
		entry->ctelevelsup == context->depth &&
		strcmp(entry->ctename, context->cte->ctename) == 0)
	{
		Query	   *inner = copyObject(castNode(Query, context->cte->ctequery));

		IncrementVarSublevelsUp((Node *) inner, context->depth, 1);
		entry->rtekind = RTE_SUBQUERY;
		entry->subquery = inner;
		entry->ctename = NULL;
		entry->ctelevelsup = 0;
		entry->self_reference = false;
		entry->coltypes = NIL;
		entry->coltypmods = NIL;
		entry->colcollations = NIL;
	}
	return false;
}

/*
 * planner_compute_rows -- a subquery in FROM as rows of arrays
 *
 * *arrays becomes the query that computes them, to be entry "varno" of what is
 * read before; *values gets its columns.  Returns what takes the place of the
 * subquery, or NULL if a column has a type of which there are no arrays.
 */
RangeTblEntry *
planner_compute_rows(const RangeTblEntry *entry, int varno, List **values,
					 Query **arrays)
{
	RangeTblEntry *rows = makeNode(RangeTblEntry);
	ListCell   *cell;

	foreach(cell, entry->subquery->targetList)
	{
		TargetEntry *target = lfirst_node(TargetEntry, cell);
		Oid			type = exprType((Node *) target->expr);

		if (!target->resjunk &&
			(!OidIsValid(get_array_type(type)) || type_is_array(type)))
			return NULL;
	}

	*arrays = make_arrays_query(entry);
	rows->rtekind = RTE_FUNCTION;
	rows->alias = copyObject(entry->alias);
	rows->eref = copyObject(entry->eref);
	rows->inFromCl = true;
	foreach(cell, (*arrays)->targetList)
	{
		TargetEntry *array = lfirst_node(TargetEntry, cell);
		Aggref	   *aggregate = castNode(Aggref, array->expr);
		RangeTblFunction *function = makeNode(RangeTblFunction);
		Param	   *param =
		planner_make_value(values,
						   (Expr *) makeVar(varno, array->resno,
											aggregate->aggtype, -1,
											aggregate->aggcollid, 0));
		FuncExpr   *unnest = makeFuncExpr(F_UNNEST_ANYARRAY,
										  linitial_oid(aggregate->aggargtypes),
										  list_make1(param),
										  aggregate->aggcollid,
										  aggregate->aggcollid,
										  COERCE_EXPLICIT_CALL);

		unnest->funcretset = true;
		function->funcexpr = (Node *) unnest;
		function->funccolcount = 1;
		rows->functions = lappend(rows->functions, function);
	}
	return rows;
}

/* SELECT array_agg(a), array_agg(b) ... FROM (subquery) */
static Query *
make_arrays_query(const RangeTblEntry *entry)
{
	Query	   *result = makeNode(Query);
	RangeTblEntry *from = copyObject(unconstify(RangeTblEntry *, entry));
	RangeTblRef *reference = makeNode(RangeTblRef);
	ListCell   *cell;

	from->inFromCl = true;
	from->lateral = false;
	reference->rtindex = 1;
	result->commandType = CMD_SELECT;
	result->querySource = QSRC_ORIGINAL;
	result->canSetTag = true;
	result->hasAggs = true;
	result->rtable = list_make1(from);
	result->jointree = makeFromExpr(list_make1(reference), NULL);
	foreach(cell, from->subquery->targetList)
	{
		TargetEntry *entry_below = lfirst_node(TargetEntry, cell);
		Aggref	   *aggregate = makeNode(Aggref);
		Var		   *var;

		if (entry_below->resjunk)
			continue;
		var = makeVarFromTargetEntry(1, entry_below);
		aggregate->aggfnoid = F_ARRAY_AGG_ANYNONARRAY;
		aggregate->aggtype = get_array_type(var->vartype);
		aggregate->aggcollid = var->varcollid;
		aggregate->inputcollid = var->varcollid;
		aggregate->aggargtypes = list_make1_oid(var->vartype);
		aggregate->args = list_make1(makeTargetEntry((Expr *) var, 1, NULL,
													 false));
		aggregate->aggkind = AGGKIND_NORMAL;
		aggregate->aggsplit = AGGSPLIT_SIMPLE;
		aggregate->aggno = -1;
		aggregate->aggtransno = -1;
		aggregate->location = -1;
		result->targetList =
			lappend(result->targetList,
					makeTargetEntry((Expr *) aggregate,
									list_length(result->targetList) + 1,
									entry_below->resname, false));
	}
	return result;
}
