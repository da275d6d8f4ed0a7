/*-------------------------------------------------------------------------
 *
 * planner_lock.c
 *	  Row locks, and tables whose rows must not be read again.
 *
 * IDENTIFICATION
 *	  src/planner/planner_lock.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

#include "vecdb/lib_compat.h"
#include "planner_private.h"

/* References to system columns of a table that becomes a subquery */
typedef struct SystemSearch
{
	int			varno;
	Index		depth;
	Oid			relid;
	AttrNumber	new_column;		/* what tableoid becomes */
	bool		found;
	bool		whole_row;
} SystemSearch;

static bool is_simple_lock(const Query *query);
static void prepare_query(Query *query, bool merged);
static bool prepare_query_walker(Node *node, bool *merged);
static void keep_apart(Query *query, int varno);
static bool rename_table_oid(Node *node, SystemSearch *search);

/*
 * planner_prepare_locks -- prepare for row locks, and for what UPDATE and DELETE of ordinary tables do
 * with the other tables in FROM: both read rows again by their ctid, which
 * rows of groups do not have.  Returns a copy.
 *
 * SELECT FROM a distributed table FOR UPDATE: the groups lock what they read,
 * and *locked_relid and *lock are set.
 * Else the distributed tables become subqueries of their own, of which
 * PostgreSQL keeps whole rows.
 */
Query *
planner_prepare_locks(Query *query, Oid *locked_relid, RowMarkClause **lock)
{
	if (is_simple_lock(query))
	{
		query = copyObject(query);
		*lock = linitial_node(RowMarkClause, query->rowMarks);
		*locked_relid = rt_fetch((*lock)->rti, query->rtable)->relid;
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
	table = planner_shared_table(rt_fetch(mark->rti, query->rtable));
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
		const VdbTable *table = planner_shared_table(rte);

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
		const VdbTable *table = planner_shared_table(rt_fetch(i, query->rtable));

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
	SystemSearch search = {varno, 0, rte->relid};
	ListCell   *cell;

	search.new_column = list_length(rte->eref->colnames) + 1;
	(void) query_tree_walker(query, rename_table_oid, &search, 0);
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
		Expr	   *expr;

		if (get_rte_attribute_is_dropped(rte, attno))
			expr = (Expr *) makeNullConst(INT4OID, -1, InvalidOid);
		else
			expr = (Expr *) planner_make_column(rte->relid, 1, attno);
		subquery->targetList =
			lappend(subquery->targetList,
					makeTargetEntry(expr, attno,
									pstrdup(strVal(lfirst(cell))), false));
	}

	if (search.found)
	{
		if (search.whole_row)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("tableoid and whole rows of distributed table \"%s\" cannot be used in one statement here",
							get_rel_name(rte->relid)),
					 errhint("Name the columns.")));
		rte->eref = copyObject(rte->eref);
		rte->eref->colnames = lappend(rte->eref->colnames,
									  makeString("tableoid"));
		subquery->targetList =
			lappend(subquery->targetList,
					makeTargetEntry((Expr *) makeVar(1, TableOidAttributeNumber,
													 OIDOID, -1, InvalidOid,
													 0),
									search.new_column, "tableoid", false));
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
 * Have references to tableoid of a table that becomes a subquery mean a column
 * of that, and look for references to whole rows.  Other system columns are
 * refused.
 */
static bool
rename_table_oid(Node *node, SystemSearch *search)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;

		if (var->varno != search->varno || var->varlevelsup != search->depth)
			return false;
		if (var->varattno == 0)
			search->whole_row = true;
		if (var->varattno >= 0)
			return false;
		if (var->varattno != TableOidAttributeNumber)
			planner_refuse_system_column(search->relid);
		var->varattno = search->new_column;
		search->found = true;
		return false;
	}
	if (IsA(node, Query))
	{
		search->depth++;
		(void) query_tree_walker((Query *) node, rename_table_oid, search, 0);
		search->depth--;
		return false;
	}
	return expression_tree_walker(node, rename_table_oid, search);
}
