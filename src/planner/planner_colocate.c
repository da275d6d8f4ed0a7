/*-------------------------------------------------------------------------
 *
 * planner_colocate.c
 *	  Can each group execute its share of a statement with what it holds?
 *
 * A statement that writes a distributed table runs in each group as it is when
 * every other distributed table it reads is joined to the written one by the
 * distribution key, and of the same colocation: then all rows that meet are in
 * the same group.  Reference tables are everywhere.  What FROM reads is looked
 * at in planner_from.c; what a subquery in an expression knows holds within it
 * only.
 *
 * A subquery that does not fit, but does not depend on the row either, is
 * computed beforehand: in an expression it becomes a parameter, in FROM arrays
 * that unnest() makes rows of again.
 *
 * IDENTIFICATION
 *	  src/planner/planner_colocate.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_relation.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"

#include "vecdb/lib_compat.h"
#include "planner_private.h"

static bool is_local(Query *query, PlannerPlace *place);
static bool scan_merge(Query *query, PlannerPlace *place);
static bool can_insert(MergeAction *action, PlannerPlace *source,
					   const VdbTable *table);
static bool is_key_of(MergeAction *action, PlannerPlace *source,
					  PlannerReader *reader, const VdbTable *table);
static Node *extract_sublinks(Node *node, PlannerPlace *place);
static Node *extract_sublink(SubLink *link, PlannerPlace *place);
static Node *compute_before(SubLink *link, PlannerPlace *place);
static Param *compute_array(SubLink *link, PlannerPlace *place);
static bool is_local_sublink(SubLink *link, PlannerPlace *outer);
static void add_tests(SubLink *link, PlannerPlace *place);
static bool is_written_key(Node *node, const PlannerPlace *place);
static bool has_outer_join(Node *node, Query *query);
static bool has_local_sublinks(Node *node, PlannerPlace *place);
static bool find_foreign_sublink(Node *node, PlannerPlace *place);

/*
 * planner_make_local -- a copy of a statement that each group can execute
 *
 * What has to be computed before is appended to *values, as expressions.  They
 * may refer to columns of subqueries that are appended to *tables and to be put
 * behind the range table of the statement.  Returns NULL, and says why in
 * *why_not, if the groups cannot execute it.
 */
Query *
planner_make_local(Query *query, List **values, List **tables,
				   const char **why_not)
{
	const VdbTable *table;
	PlannerReader written;
	PlannerPlace place = {0};

	query = planner_inline_common_tables(copyObject(query));
	table = vdb_catalog_table(rt_fetch(query->resultRelation,
									   query->rtable)->relid);
	if (table->kind == VDB_TABLE_REFERENCE)
		planner_check_copies(query, table);

	*why_not = "It joins distributed tables by other columns than their distribution key.";
	place.query = query;
	place.reason = why_not;
	place.values = values;
	place.tables = tables;
	if (table->kind == VDB_TABLE_DISTRIBUTED)
	{
		written.query = query;
		written.entry = query->resultRelation;
		written.relid = table->relid;
		place.written = &written;
	}
	if (!is_local(query, &place))
		return NULL;
	query = query_tree_mutator(query, extract_sublinks, (void *) &place,
							   QTW_DONT_COPY_QUERY | QTW_IGNORE_RT_SUBQUERIES |
							   QTW_IGNORE_CTE_SUBQUERIES);
	if (table->kind == VDB_TABLE_REFERENCE)
		planner_check_alike(query, table);
	return query;
}

/* Can each group execute a statement, but for subqueries in expressions? */
static bool
is_local(Query *query, PlannerPlace *place)
{
	ListCell   *cell;

	if (query->commandType == CMD_MERGE)
	{
		if (!scan_merge(query, place))
			return false;
	}
	else if (!planner_scan_from((Node *) query->jointree, place) ||
			 !(place->written ? planner_is_together(place) :
			   place->readers == NIL))
		return false;

	foreach(cell, query->cteList)
	{
		CommonTableExpr *cte = lfirst_node(CommonTableExpr, cell);

		if (planner_reads_own_tables(cte->ctequery, NULL) ||
			planner_depends_on_chance(castNode(Query, cte->ctequery), false))
		{
			*place->reason = "A WITH query reads distributed or local tables, or would give other rows in each group, and is used in a way that cannot be computed beforehand.";
			return false;
		}
	}
	return true;
}

/*
 * The same for MERGE, whose condition joins the table written with the rest.
 *
 * It holds for rows that match only.  Of others the source knows what it knows
 * by itself, and the table written nothing.
 */
static bool
scan_merge(Query *query, PlannerPlace *place)
{
	PlannerPlace *source = palloc(sizeof(PlannerPlace));
	PlannerPlace *target = palloc(sizeof(PlannerPlace));
	List	   *readers = NIL;
	ListCell   *cell;

	foreach(cell, query->jointree->fromlist)
	{
		if (!planner_scan_from(lfirst(cell), place))
			return false;
	}
	foreach(cell, place->readers)
	{
		PlannerReader *reader = lfirst(cell);

		if (reader->entry != query->resultRelation || reader->query != query)
			readers = lappend(readers, reader);
	}
	*target = *place;
	target->facts = NIL;
	*source = *place;
	source->facts = list_copy(place->facts);
	source->readers = readers;
	source->written = readers ? linitial(readers) : NULL;
	place->of_source = source;
	place->of_target = target;
	planner_note_equalities(VDB_MERGE_CONDITION(query), place);

	if (query->returningList)
	{
		*place->reason = "MERGE returns rows of one group only.";
		return false;
	}
	if (!(place->written ? planner_is_together(place) : readers == NIL))
		return false;
	foreach(cell, query->mergeActionList)
	{
		MergeAction *action = lfirst_node(MergeAction, cell);

		if (action->commandType == CMD_INSERT &&
			(place->written == NULL ||
			 !can_insert(action, source,
						 vdb_catalog_table(place->written->relid))))
		{
			*place->reason = "Rows to insert with MERGE have to come from a colocated table, with its distribution key.";
			return false;
		}
	}
	return true;
}

/*
 * Only a row that is itself in the group of the row to be inserted finds out
 * there that it has no match: one of the tables of the source has its key.
 */
static bool
can_insert(MergeAction *action, PlannerPlace *source, const VdbTable *table)
{
	ListCell   *cell;

	foreach(cell, source->readers)
	{
		if (is_key_of(action, source, lfirst(cell), table))
			return true;
	}
	return false;
}

/* Has the row that is inserted the distribution key of a table's row? */
static bool
is_key_of(MergeAction *action, PlannerPlace *source, PlannerReader *reader,
		  const VdbTable *table)
{
	const VdbTable *from = vdb_catalog_table(reader->relid);
	PlannerClasses *classes =
	planner_make_classes(list_concat_copy(source->around, source->facts));

	for (int i = 0; i < table->key_count; i++)
	{
		TargetEntry *entry = get_tle_by_resno(action->targetList,
											  table->keys[i]);
		PlannerColumn column;

		if (entry == NULL ||
			!planner_find_column((Node *) entry->expr, source, &column))
			return false;
		if (planner_class(classes, column) !=
			planner_class(classes, planner_key(reader, from->keys[i])))
			return false;
	}
	return true;
}

/* Compute beforehand what the groups cannot, see the head of this file. */
static Node *
extract_sublinks(Node *node, PlannerPlace *place)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, SubLink))
		return extract_sublink((SubLink *) node, place);
	if (IsA(node, Query))
		return copyObject(node);
	if (IsA(node, MergeAction) && place->of_source)
	{
		MergeAction *action = (MergeAction *) node;

		if (vdb_is_by_source(action))
			place = place->of_target;
		else if (vdb_is_not_matched(action))
			place = place->of_source;
	}
	return expression_tree_mutator(node, extract_sublinks, (void *) place);
}

static Node *
extract_sublink(SubLink *link, PlannerPlace *place)
{
	bool		depends =
	planner_has_outer_references(castNode(Query, link->subselect));
	SubLink    *copy;

	/* what gives one value gives the same one everywhere */
	if (!depends && link->subLinkType != ANY_SUBLINK &&
		link->subLinkType != ALL_SUBLINK &&
		link->subLinkType != MULTIEXPR_SUBLINK)
		return compute_before(link, place);
	if (is_local_sublink(link, place))
	{
		copy = copyObject(link);
		copy->testexpr = extract_sublinks(link->testexpr, place);
		return (Node *) copy;
	}
	if (depends)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot execute this subquery on all groups"),
				 errdetail("%s", *place->reason),
				 errhint("Join it to the table written by the distribution key, or make it independent of the row.")));
	return compute_before(link, place);
}

/*
 * A subquery that does not depend on the row becomes a parameter.
 *
 * x op ANY (SELECT ...) becomes x op ANY (array).
 */
static Node *
compute_before(SubLink *link, PlannerPlace *place)
{
	ScalarArrayOpExpr *result;
	OpExpr	   *test = (OpExpr *) link->testexpr;
	Node	   *right;
	Param	   *array;

	if (link->subLinkType == EXPR_SUBLINK ||
		link->subLinkType == EXISTS_SUBLINK ||
		link->subLinkType == ARRAY_SUBLINK)
		return (Node *) planner_make_value(place->values,
										   copyObject((Expr *) link));

	if ((link->subLinkType != ANY_SUBLINK &&
		 link->subLinkType != ALL_SUBLINK) || !IsA(test, OpExpr))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot execute this subquery on all groups"),
				 errdetail("It compares or sets several columns."),
				 errhint("Use one subquery for each column, or EXISTS joined by the distribution key.")));

	right = planner_strip(lsecond(test->args));
	if (!IsA(right, Param) ||
		!OidIsValid(get_array_type(exprType(right))) ||
		!OidIsValid(get_array_type(exprType(lsecond(test->args)))))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot execute this subquery on all groups"),
				 errdetail("Its values cannot be put into an array."),
				 errhint("Cast them in the subquery to the type they are compared with.")));
	array = compute_array(link, place);

	result = makeNode(ScalarArrayOpExpr);
	result->opno = test->opno;
	result->opfuncid = get_opcode(test->opno);
	result->useOr = link->subLinkType == ANY_SUBLINK;
	result->inputcollid = test->inputcollid;
	result->args = list_make2(extract_sublinks(linitial(test->args), place),
							  array);
	if (exprType(lsecond(test->args)) != exprType(right))
		lsecond(result->args) =
			makeRelabelType((Expr *) array,
							get_array_type(exprType(lsecond(test->args))),
							-1, array->paramcollid, COERCE_EXPLICIT_CAST);
	result->location = -1;
	return (Node *) result;
}

/* ARRAY (SELECT ...) of the subquery of ANY or ALL, as a parameter. */
static Param *
compute_array(SubLink *link, PlannerPlace *place)
{
	SubLink    *array = makeNode(SubLink);

	array->subLinkType = ARRAY_SUBLINK;
	array->subselect = copyObject(link->subselect);
	array->location = -1;
	return planner_make_value(place->values, (Expr *) array);
}

/*
 * Do all rows that a subquery in an expression can meet lie in the group that
 * holds the row of the outer statement?
 */
static bool
is_local_sublink(SubLink *link, PlannerPlace *outer)
{
	Query	   *query = castNode(Query, link->subselect);
	PlannerPlace place = *outer;

	/* reference tables only; but let no chance decide */
	if (!planner_reads_own_tables((Node *) query, NULL))
		return !planner_depends_on_chance(query, link->subLinkType ==
										  EXISTS_SUBLINK);
	if (outer->written == NULL || query->setOperations || query->cteList)
		return false;

	place.query = query;
	place.outer = outer;
	place.values = place.tables = NULL;
	place.of_source = place.of_target = NULL;
	place.around = list_concat_copy(outer->around, outer->facts);
	place.facts = place.readers = NIL;
	if (!planner_scan_from((Node *) query->jointree, &place))
		return false;
	add_tests(link, &place);
	if (!planner_is_together(&place))
	{
		*place.reason = "A subquery reads a distributed table that is not joined by the distribution key.";
		return false;
	}
	return has_local_sublinks((Node *) query, &place);
}

/*
 * x IN (SELECT y ...): as if WHERE said x = y, if y is a plain row's.
 *
 * A null on either side counts for rows of all groups.  So x has to be the key
 * of the table written; an outer join could make y null.
 */
static void
add_tests(SubLink *link, PlannerPlace *place)
{
	Query	   *query = place->query;
	List	   *added = NIL;
	ListCell   *cell;

	if (link->subLinkType != ANY_SUBLINK || query->hasAggs ||
		query->groupClause || query->groupingSets || query->limitCount ||
		query->limitOffset || query->hasWindowFuncs || query->hasTargetSRFs ||
		has_outer_join((Node *) query->jointree, query))
		return;
	foreach(cell, make_ands_implicit((Expr *) link->testexpr))
	{
		OpExpr	   *test = copyObject((OpExpr *) lfirst(cell));
		Param	   *param;
		TargetEntry *entry;

		if (!IsA(test, OpExpr) || list_length(test->args) != 2)
			continue;
		param = (Param *) planner_strip(lsecond(test->args));
		if (param == NULL || !IsA(param, Param) ||
			param->paramkind != PARAM_SUBLINK)
			continue;
		entry = get_tle_by_resno(query->targetList, param->paramid);
		IncrementVarSublevelsUp(linitial(test->args), 1, 0);
		if (!is_written_key(linitial(test->args), place))
			continue;
		lsecond(test->args) = copyObject(entry->expr);
		added = lappend(added, test);
	}
	planner_note_equalities((Node *) added, place);
}

/* Is an expression equal to a column of the key of the table written? */
static bool
is_written_key(Node *node, const PlannerPlace *place)
{
	const VdbTable *table = vdb_catalog_table(place->written->relid);
	PlannerClasses *classes = planner_make_classes(place->around);
	PlannerColumn column;

	if (!planner_find_column(node, place, &column))
		return false;
	for (int i = 0; i < table->key_count; i++)
	{
		if (planner_class(classes, column) ==
			planner_class(classes, planner_key(place->written,
											   table->keys[i])))
			return true;
	}
	return false;
}

/* Can FROM make a key null?  A subquery in it may. */
static bool
has_outer_join(Node *node, Query *query)
{
	if (node == NULL)
		return false;
	if (IsA(node, JoinExpr) && ((JoinExpr *) node)->jointype != JOIN_INNER)
		return true;
	if (IsA(node, RangeTblRef))
		return rt_fetch(((RangeTblRef *) node)->rtindex,
						query->rtable)->rtekind != RTE_RELATION;
	return expression_tree_walker(node, has_outer_join, (void *) query);
}

/* The same for the subqueries in the expressions of a subquery. */
static bool
has_local_sublinks(Node *node, PlannerPlace *place)
{
	return !query_tree_walker((Query *) node, find_foreign_sublink,
							  (void *) place, QTW_IGNORE_RT_SUBQUERIES |
							  QTW_IGNORE_CTE_SUBQUERIES);
}

static bool
find_foreign_sublink(Node *node, PlannerPlace *place)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubLink))
		return !is_local_sublink((SubLink *) node, place) ||
			find_foreign_sublink(((SubLink *) node)->testexpr, place);
	if (IsA(node, Query))
		return false;
	return expression_tree_walker(node, find_foreign_sublink, (void *) place);
}
