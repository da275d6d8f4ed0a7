/*-------------------------------------------------------------------------
 *
 * planner_colocate.c
 *	  Can each group execute its share of a statement with what it holds?
 *
 * A statement that writes a distributed table runs in each group as it is when
 * every other distributed table it reads is joined to the written one by the
 * distribution key, and of the same colocation: then all rows that meet are in
 * the same group.  Reference tables are everywhere.
 *
 * Which columns are equal is kept in classes (union-find), made of equalities
 * joined by AND.  Those of a subquery in an expression hold within it only.
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

#include "catalog/pg_aggregate.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_relation.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "vecdb/lib_compat.h"
#include "planner_private.h"

/* A column of an entry of a range table, and what it is equal to */
typedef struct Column
{
	Query	   *query;			/* whose range table it is */
	int			entry;
	AttrNumber	attno;
	int			parent;			/* index of the column, itself at the root */
} Column;

/* The classes of columns */
typedef struct Classes
{
	Column	   *columns;
	int			count;
	int			size;
} Classes;

/* A distributed table that is read */
typedef struct Reader
{
	Query	   *query;
	int			entry;
	Oid			relid;
} Reader;

/* A query while it is looked at, and the one around it */
typedef struct Place
{
	Query	   *query;
	struct Place *outer;
	Classes    *classes;
	Reader	   *written;		/* NULL: the table written is not distributed */
	List	  **values;			/* computed beforehand; these two of the */
	List	  **tables;			/* outermost query only */
	const char **reason;		/* why it does not fit */
} Place;

/* A WITH query that is put where it is used, and how deep we are below it */
typedef struct InlineContext
{
	CommonTableExpr *cte;
	int			depth;
} InlineContext;

static bool can_merge(Query *query, Place *place, List *readers);
static Query *inline_common_tables(Query *query);
static bool inline_common_table(Node *node, InlineContext *context);
static void check_volatile(Query *query, const VdbTable *table);
static Node *extract_sublinks(Node *node, Place *place);
static Node *compute_before(SubLink *link, Place *place);
static Param *compute_array(SubLink *link, Place *place);
static bool is_local_sublink(SubLink *link, Place *outer);
static bool has_outer_join(Node *node, Query *query);
static bool has_local_sublinks(Node *node, Place *place);
static bool find_foreign_sublink(Node *node, Place *place);
static bool scan_from(Node *node, Place *place, List **readers);
static bool scan_entry(int index, Place *place, List **readers);
static bool scan_subquery(int index, Place *place, List **readers);
static bool compute_table(int index, Place *place);
static Query *make_arrays_query(const RangeTblEntry *entry);
static bool scan_join(JoinExpr *join, Place *place, List **readers);
static bool reads_own_tables(Node *node, void *context);
static void add_equalities(Node *quals, Place *place);
static Var *find_variable(Node *node, Place **place);
static int	get_class(Classes *classes, Query *query, int entry,
					  AttrNumber attno);
static void join_classes(Classes *classes, int one, int other);
static Classes *copy_classes(const Classes *classes);
static bool is_together(Reader *one, Reader *other, Classes *classes);
static bool are_together(List *readers, Reader *with, Classes *classes);
static bool has_outer_references(Query *query);
static bool find_outer_reference(Node *node, int *depth);

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
	Reader		written = {0};
	const char *reason = "It joins distributed tables by other columns than their distribution key.";
	Place		place = {0};
	List	   *readers = NIL;
	bool		fits;

	query = inline_common_tables(copyObject(query));
	table = vdb_catalog_table(rt_fetch(query->resultRelation,
									   query->rtable)->relid);
	check_volatile(query, table);

	place.query = query;
	place.classes = palloc0(sizeof(Classes));
	place.reason = &reason;
	place.values = values;
	place.tables = tables;
	if (table->kind == VDB_TABLE_DISTRIBUTED)
	{
		written.query = query;
		written.entry = query->resultRelation;
		written.relid = table->relid;
		place.written = &written;
	}
	fits = scan_from((Node *) query->jointree, &place, &readers);
	if (query->commandType == CMD_MERGE)
		add_equalities(VDB_MERGE_CONDITION(query), &place);
	if (fits && place.written)
		fits = are_together(readers, place.written, place.classes);
	else if (fits)
		fits = readers == NIL;
	if (fits && query->commandType == CMD_MERGE)
		fits = can_merge(query, &place, readers);
	if (fits && reads_own_tables((Node *) query->cteList, NULL))
	{
		reason = "A WITH query reads distributed or local tables and is used in a way that cannot be computed beforehand.";
		fits = false;
	}
	*why_not = reason;
	if (!fits)
		return NULL;
	return query_tree_mutator(query, extract_sublinks, (void *) &place,
							  QTW_DONT_COPY_QUERY | QTW_IGNORE_RT_SUBQUERIES |
							  QTW_IGNORE_CTE_SUBQUERIES);
}

/*
 * MERGE also inserts what has no match.  Only a row that is itself in the group
 * of the row to be inserted finds out there that it has none.
 */
static bool
can_merge(Query *query, Place *place, List *readers)
{
	const VdbTable *table = vdb_catalog_table(place->written ?
											  place->written->relid :
											  InvalidOid);
	ListCell   *cell;

	*place->reason = "Rows to insert with MERGE have to come from a colocated table, with its distribution key.";
	if (query->returningList)
	{
		*place->reason = "MERGE returns rows of one group only.";
		return false;
	}
	foreach(cell, query->mergeActionList)
	{
		MergeAction *action = lfirst_node(MergeAction, cell);

		if (action->commandType != CMD_INSERT)
			continue;
		if (readers == NIL || table == NULL)
			return false;
		for (int i = 0; i < table->key_count; i++)
		{
			TargetEntry *entry = get_tle_by_resno(action->targetList,
												  table->keys[i]);
			Place	   *where = place;
			Var		   *var = entry ?
			find_variable((Node *) entry->expr, &where) : NULL;

			if (var == NULL ||
				get_class(place->classes, where->query, var->varno,
						  var->varattno) !=
				get_class(place->classes, query, query->resultRelation,
						  table->keys[i]))
				return false;
		}
	}
	return true;
}

/*
 * A WITH query that is used once, or whose value does not depend on how often
 * it is computed, is put where it is used.
 */
static Query *
inline_common_tables(Query *query)
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
 * A reference table gets the same values in all groups, so nothing that gives
 * another value in each may remain in its statement.
 */
static void
check_volatile(Query *query, const VdbTable *table)
{
	if (table->kind != VDB_TABLE_REFERENCE ||
		!contain_volatile_functions((Node *) query))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot use volatile functions to change reference table \"%s\"",
					get_rel_name(table->relid)),
			 errdetail("Each group would compute another value."),
			 errhint("Compute the value first, and give it to the statement.")));
}

/* Compute beforehand what the groups cannot, see the head of this file. */
static Node *
extract_sublinks(Node *node, Place *place)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, SubLink))
	{
		SubLink    *link = (SubLink *) node;
		bool		depends = has_outer_references(castNode(Query,
															link->subselect));

		/* what gives one value gives the same one everywhere */
		if (!depends && link->subLinkType != ANY_SUBLINK &&
			link->subLinkType != ALL_SUBLINK &&
			link->subLinkType != MULTIEXPR_SUBLINK)
			return compute_before(link, place);
		if (is_local_sublink(link, place))
			return copyObject(node);
		if (depends)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot execute this subquery on all groups"),
					 errdetail("%s", *place->reason),
					 errhint("Join it to the table written by the distribution key, or make it independent of the row.")));
		return compute_before(link, place);
	}
	if (IsA(node, Query))
		return copyObject(node);
	return expression_tree_mutator(node, extract_sublinks, (void *) place);
}

/*
 * A subquery that does not depend on the row becomes a parameter.
 *
 * x op ANY (SELECT ...) becomes x op ANY (array).
 */
static Node *
compute_before(SubLink *link, Place *place)
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

	right = lsecond(test->args);
	if (IsA(right, RelabelType))
		right = (Node *) ((RelabelType *) right)->arg;
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
compute_array(SubLink *link, Place *place)
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
is_local_sublink(SubLink *link, Place *outer)
{
	Query	   *query = castNode(Query, link->subselect);
	Place		place = *outer;
	List	   *readers = NIL;

	if (!reads_own_tables((Node *) query, NULL))
	{
		/* reference tables only; but let no chance decide */
		return !contain_volatile_functions((Node *) query) &&
			!(query->limitCount && link->subLinkType != EXISTS_SUBLINK);
	}
	if (outer->written == NULL || query->setOperations || query->cteList)
		return false;

	place.query = query;
	place.outer = outer;
	place.values = place.tables = NULL;
	place.classes = copy_classes(outer->classes);
	if (!scan_from((Node *) query->jointree, &place, &readers))
		return false;

	/*
	 * x IN (SELECT y ...): as if WHERE said x = y, if y is a plain row's.  An
	 * outer join could make y null, which counts for rows of all groups.
	 */
	if (link->subLinkType == ANY_SUBLINK && IsA(link->testexpr, OpExpr) &&
		!has_outer_join((Node *) query->jointree, query) && !query->hasAggs && !query->groupClause && !query->groupingSets &&
		!query->limitCount && !query->limitOffset && !query->hasWindowFuncs &&
		!query->hasTargetSRFs)
	{
		OpExpr	   *test = copyObject((OpExpr *) link->testexpr);
		Node	   *right = lsecond(test->args);
		TargetEntry *entry = linitial_node(TargetEntry, query->targetList);

		if (IsA(right, RelabelType))
			right = (Node *) ((RelabelType *) right)->arg;
		if (IsA(right, Param))
		{
			linitial(test->args) = copyObject(linitial(test->args));
			IncrementVarSublevelsUp(linitial(test->args), 1, 0);
			lsecond(test->args) = copyObject(entry->expr);
			add_equalities((Node *) test, &place);
		}
	}
	if (!are_together(readers, place.written, place.classes))
	{
		*place.reason = "A subquery reads a distributed table that is not joined by the distribution key.";
		return false;
	}
	return has_local_sublinks((Node *) query, &place);
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
has_local_sublinks(Node *node, Place *place)
{
	return !query_tree_walker((Query *) node, find_foreign_sublink,
							  (void *) place, QTW_IGNORE_RT_SUBQUERIES |
							  QTW_IGNORE_CTE_SUBQUERIES);
}

static bool
find_foreign_sublink(Node *node, Place *place)
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

/*
 * Look at what a query reads, and note its equalities.
 *
 * Returns false when something cannot be read by the groups.  Distributed
 * tables are appended to *readers; whether they are together is for the caller
 * to find out, when all equalities are known.
 */
static bool
scan_from(Node *node, Place *place, List **readers)
{
	FromExpr   *from = (FromExpr *) node;
	ListCell   *cell;

	check_stack_depth();
	if (node == NULL)
		return true;
	if (IsA(node, RangeTblRef))
		return scan_entry(((RangeTblRef *) node)->rtindex, place, readers);
	if (IsA(node, JoinExpr))
		return scan_join((JoinExpr *) node, place, readers);

	foreach(cell, castNode(FromExpr, from)->fromlist)
	{
		if (!scan_from(lfirst(cell), place, readers))
			return false;
	}
	add_equalities(from->quals, place);
	return true;
}

/* One entry of FROM. */
static bool
scan_entry(int index, Place *place, List **readers)
{
	RangeTblEntry *entry = rt_fetch(index, place->query->rtable);
	const VdbTable *table;

	switch (entry->rtekind)
	{
		case RTE_RELATION:
			table = vdb_catalog_table(entry->relid);
			if (table == NULL)
			{
				*place->reason = psprintf("Table \"%s\" is neither distributed nor a reference table.",
										  get_rel_name(entry->relid));
				return false;
			}
			if (table->kind == VDB_TABLE_DISTRIBUTED)
			{
				Reader	   *reader = palloc(sizeof(Reader));

				reader->query = place->query;
				reader->entry = index;
				reader->relid = entry->relid;
				*readers = lappend(*readers, reader);
			}
			return true;
		case RTE_SUBQUERY:
			return scan_subquery(index, place, readers) ||
				compute_table(index, place);
		case RTE_VALUES:
		case RTE_FUNCTION:
		case RTE_TABLEFUNC:
		case RTE_RESULT:
			if (!contain_volatile_functions((Node *) entry->functions) &&
				!contain_volatile_functions((Node *) entry->values_lists) &&
				!reads_own_tables((Node *) entry->functions, NULL) &&
				!reads_own_tables((Node *) entry->values_lists, NULL))
				return true;
			*place->reason = "FROM has an expression that each group would compute differently.";
			return false;
		case RTE_CTE:
			return true;		/* looked at in cteList */
		default:
			*place->reason = "FROM has an entry that other groups do not have.";
			return false;
	}
}

/*
 * A subquery in FROM.  If it reads distributed tables it must give their rows
 * as they are; its columns are then equal to theirs.
 */
static bool
scan_subquery(int index, Place *place, List **readers)
{
	Query	   *query = rt_fetch(index, place->query->rtable)->subquery;
	Place		inner = *place;
	List	   *inner_readers = NIL;
	ListCell   *cell;

	if (!reads_own_tables((Node *) query, NULL))
	{
		if (!contain_volatile_functions((Node *) query) &&
			!query->limitCount && !query->rowMarks)
			return true;
		*place->reason = "A subquery in FROM would give other rows in each group.";
		return false;
	}
	*place->reason = "A subquery in FROM reads all groups.";
	if (place->written == NULL ||
		query->setOperations || query->hasAggs || query->groupClause ||
		query->groupingSets || query->havingQual || query->hasWindowFuncs ||
		query->hasTargetSRFs || query->distinctClause || query->limitCount ||
		query->limitOffset || query->cteList || query->hasSubLinks ||
		query->rowMarks)
		return false;
	inner.query = query;
	inner.outer = place;
	inner.values = inner.tables = NULL;
	if (!scan_from((Node *) query->jointree, &inner, &inner_readers))
		return false;
	*readers = list_concat(*readers, inner_readers);
	foreach(cell, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);
		Place	   *where = &inner;
		Var		   *var = find_variable((Node *) entry->expr, &where);

		if (var && !entry->resjunk)
			join_classes(place->classes,
						 get_class(place->classes, where->query, var->varno,
								   var->varattno),
						 get_class(place->classes, place->query, index,
								   entry->resno));
	}
	return true;
}

/*
 * Compute a subquery in FROM beforehand, as an array for each column.
 */
static bool
compute_table(int index, Place *place)
{
	RangeTblEntry *entry = rt_fetch(index, place->query->rtable);
	RangeTblEntry *rows = makeNode(RangeTblEntry);
	Query	   *query = entry->subquery;
	Query	   *arrays;
	int			varno;
	ListCell   *cell;

	if (place->tables == NULL || has_outer_references(query))
		return false;
	foreach(cell, query->targetList)
	{
		Oid			type = exprType((Node *) lfirst_node(TargetEntry, cell)->expr);

		if (lfirst_node(TargetEntry, cell)->resjunk)
			continue;
		if (!OidIsValid(get_array_type(type)) || type_is_array(type))
		{
			*place->reason = "A subquery in FROM reads all groups, and its columns cannot be put into arrays.";
			return false;
		}
	}

	arrays = make_arrays_query(entry);
	varno = list_length(place->query->rtable) +
		list_length(*place->tables) + 1;
	*place->tables = lappend(*place->tables, arrays);

	rows->rtekind = RTE_FUNCTION;
	rows->alias = entry->alias;
	rows->eref = entry->eref;
	rows->inFromCl = true;
	foreach(cell, arrays->targetList)
	{
		TargetEntry *array = lfirst_node(TargetEntry, cell);
		Aggref	   *aggregate = castNode(Aggref, array->expr);
		RangeTblFunction *function = makeNode(RangeTblFunction);
		Param	   *param =
		planner_make_value(place->values,
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
	lfirst(list_nth_cell(place->query->rtable, index - 1)) = rows;
	return true;
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

/*
 * A join.  An outer one has to find within the group whether a row has a
 * partner: each side's tables are together already, and ON joins the sides.
 */
static bool
scan_join(JoinExpr *join, Place *place, List **readers)
{
	List	   *left = NIL;
	List	   *right = NIL;
	List	   *all;
	bool		fits;

	if (!scan_from(join->larg, place, &left) ||
		!scan_from(join->rarg, place, &right))
		return false;
	all = list_concat_copy(left, right);
	*readers = list_concat(*readers, all);
	if (join->jointype == JOIN_INNER)
	{
		add_equalities(join->quals, place);
		return true;
	}

	fits = (left == NIL || are_together(left, linitial(left),
										place->classes)) &&
		(right == NIL || are_together(right, linitial(right),
									  place->classes));
	add_equalities(join->quals, place);
	if (fits && left != NIL && right != NIL)
		fits = are_together(all, linitial(all), place->classes);
	if ((left == NIL && right != NIL && join->jointype != JOIN_RIGHT) ||
		(right == NIL && left != NIL && join->jointype != JOIN_LEFT))
		fits = false;
	if (!fits)
		*place->reason = "An outer join is not by the distribution key.";
	return fits;
}

/* Does an expression or query read any but reference tables? */
static bool
reads_own_tables(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *entry = (RangeTblEntry *) node;
		const VdbTable *table;

		if (entry->rtekind == RTE_CTE || entry->rtekind == RTE_NAMEDTUPLESTORE)
			return true;
		if (entry->rtekind != RTE_RELATION)
			return false;
		table = vdb_catalog_table(entry->relid);
		return table == NULL || table->kind != VDB_TABLE_REFERENCE;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, reads_own_tables, context,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, reads_own_tables, context);
}

/*
 * planner_is_key_equality -- do equal values have the same group?
 *
 * Of operators only those that agree with the hash function of the type.
 */
bool
planner_is_key_equality(Oid operator, Oid type)
{
	Oid			family = lookup_type_cache(type,
										   TYPECACHE_HASH_OPFAMILY)->hash_opf;

	return OidIsValid(family) && op_in_opfamily(operator, family);
}

/* Note what a condition says is equal. */
static void
add_equalities(Node *quals, Place *place)
{
	ListCell   *cell;
	OpExpr	   *clause = (OpExpr *) quals;
	Var		   *left;
	Var		   *right;
	Place	   *left_place = place;
	Place	   *right_place = place;

	if (quals == NULL)
		return;
	if (IsA(quals, List) || is_andclause(quals))
	{
		foreach(cell, IsA(quals, List) ? (List *) quals :
				((BoolExpr *) quals)->args)
			add_equalities(lfirst(cell), place);
		return;
	}
	if (!IsA(clause, OpExpr) || list_length(clause->args) != 2)
		return;
	left = find_variable(linitial(clause->args), &left_place);
	right = find_variable(lsecond(clause->args), &right_place);
	if (left == NULL || right == NULL)
		return;
	if (!planner_is_key_equality(clause->opno, left->vartype) ||
		!planner_is_key_equality(clause->opno, right->vartype))
		return;
	join_classes(place->classes,
				 get_class(place->classes, left_place->query, left->varno,
						   left->varattno),
				 get_class(place->classes, right_place->query, right->varno,
						   right->varattno));
}

/*
 * The column that an expression is, or NULL.  *place is set to the query that
 * has it.
 */
static Var *
find_variable(Node *node, Place **place)
{
	for (;;)
	{
		Var		   *var;
		RangeTblEntry *entry;

		while (node && IsA(node, RelabelType))
			node = (Node *) ((RelabelType *) node)->arg;
		if (node == NULL || !IsA(node, Var))
			return NULL;
		var = (Var *) node;
		for (Index i = 0; i < var->varlevelsup; i++)
		{
			*place = (*place)->outer;
			if (*place == NULL)
				return NULL;
		}
		entry = rt_fetch(var->varno, (*place)->query->rtable);
		if (entry->rtekind != RTE_JOIN || var->varattno <= 0)
			return var;
		node = list_nth(entry->joinaliasvars, var->varattno - 1);
	}
}

/* The root of the class of a column, made when first met. */
static int
get_class(Classes *classes, Query *query, int entry, AttrNumber attno)
{
	int			i;

	for (i = 0; i < classes->count; i++)
	{
		if (classes->columns[i].query == query &&
			classes->columns[i].entry == entry &&
			classes->columns[i].attno == attno)
		{
			while (classes->columns[i].parent != i)
				i = classes->columns[i].parent;
			return i;
		}
	}
	if (classes->count == classes->size)
	{
		classes->size = Max(16, classes->size * 2);
		if (classes->columns)
			classes->columns = repalloc(classes->columns,
										classes->size * sizeof(Column));
		else
			classes->columns = palloc(classes->size * sizeof(Column));
	}
	classes->columns[i] = (Column)
	{
		query, entry, attno, i
	};
	classes->count++;
	return i;
}

static void
join_classes(Classes *classes, int one, int other)
{
	classes->columns[one].parent = other;
}

static Classes *
copy_classes(const Classes *classes)
{
	Classes    *copy = palloc(sizeof(Classes));

	*copy = *classes;
	copy->columns = palloc(Max(classes->size, 1) * sizeof(Column));
	if (classes->count > 0)
		memcpy(copy->columns, classes->columns,
			   classes->count * sizeof(Column));
	return copy;
}

/* Are rows of two tables that meet always in the same group? */
static bool
is_together(Reader *one, Reader *other, Classes *classes)
{
	VdbTable	first = *vdb_catalog_table(one->relid);
	const VdbTable *second = vdb_catalog_table(other->relid);

	if (first.colocation != second->colocation ||
		first.key_count != second->key_count)
		return false;
	for (int i = 0; i < first.key_count; i++)
	{
		if (get_class(classes, one->query, one->entry, first.keys[i]) !=
			get_class(classes, other->query, other->entry, second->keys[i]))
			return false;
	}
	return true;
}

static bool
are_together(List *readers, Reader *with, Classes *classes)
{
	ListCell   *cell;

	foreach(cell, readers)
	{
		if (!is_together(lfirst(cell), with, classes))
			return false;
	}
	return true;
}

/* Does a subquery use anything of the queries around it? */
static bool
has_outer_references(Query *query)
{
	int			depth = 0;

	return query_tree_walker(query, find_outer_reference, (void *) &depth,
							 QTW_EXAMINE_RTES_BEFORE);
}

static bool
find_outer_reference(Node *node, int *depth)
{
	bool		found;

	if (node == NULL)
		return false;
	if (IsA(node, Var))
		return ((Var *) node)->varlevelsup > *depth;
	if (IsA(node, Aggref) && ((Aggref *) node)->agglevelsup > *depth)
		return true;
	if (IsA(node, GroupingFunc) &&
		((GroupingFunc *) node)->agglevelsup > *depth)
		return true;
	if (IsA(node, RangeTblEntry))
		return ((RangeTblEntry *) node)->rtekind == RTE_CTE &&
			((RangeTblEntry *) node)->ctelevelsup > *depth;
	if (!IsA(node, Query))
		return expression_tree_walker(node, find_outer_reference,
									  (void *) depth);
	(*depth)++;
	found = query_tree_walker((Query *) node, find_outer_reference,
							  (void *) depth, QTW_EXAMINE_RTES_BEFORE);
	(*depth)--;
	return found;
}
