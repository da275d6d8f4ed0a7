/*-------------------------------------------------------------------------
 *
 * planner_from.c
 *	  What FROM of a statement that writes reads, and which columns it makes
 *	  equal.
 *
 * For planner_colocate.c.  Each part of FROM is looked at by itself: which
 * distributed tables it reads, and what is known of its rows.  What a part of
 * an outer join knows that may be missing in the result is known only where
 * there is a row of it.
 *
 * IDENTIFICATION
 *	  src/planner/planner_from.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

#include "planner_private.h"

static bool scan_entry(int index, PlannerPlace *place);
static bool scan_subquery(int index, PlannerPlace *place);
static bool compute_table(int index, PlannerPlace *place);
static bool scan_join(JoinExpr *join, PlannerPlace *place);
static bool scan_side(Node *node, PlannerPlace *side);
static bool can_join(JoinType type, PlannerPlace *left, PlannerPlace *right,
					 List *on);
static List *list_entries(Node *node, Query *query);
static List *list_equalities(List *facts, Node *quals,
							 const PlannerPlace *place);
static Var *find_variable(Node *node, const PlannerPlace **place);
static PlannerColumn column_of(const PlannerPlace *place, int entry,
							   AttrNumber attno);
static bool are_together(List *readers, PlannerReader *with, List *facts);
static bool has_chance(Node *node, void *context);
static bool find_outer_reference(Node *node, int *depth);

/*
 * planner_scan_from -- look at what a part of FROM reads
 *
 * Returns false when something cannot be read by the groups.  Distributed
 * tables are appended to place->readers; whether they are together is for the
 * caller to find out, when all is known.
 */
bool
planner_scan_from(Node *node, PlannerPlace *place)
{
	FromExpr   *from = (FromExpr *) node;
	ListCell   *cell;

	check_stack_depth();
	if (node == NULL)
		return true;
	if (IsA(node, RangeTblRef))
		return scan_entry(((RangeTblRef *) node)->rtindex, place);
	if (IsA(node, JoinExpr))
		return scan_join((JoinExpr *) node, place);

	foreach(cell, castNode(FromExpr, from)->fromlist)
	{
		if (!planner_scan_from(lfirst(cell), place))
			return false;
	}
	planner_note_equalities(from->quals, place);
	return true;
}

/* One entry of FROM. */
static bool
scan_entry(int index, PlannerPlace *place)
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
				PlannerReader *reader = palloc(sizeof(PlannerReader));

				reader->query = place->query;
				reader->entry = index;
				reader->relid = entry->relid;
				place->readers = lappend(place->readers, reader);
			}
			if (entry->tablesample == NULL ||
				table->kind == VDB_TABLE_DISTRIBUTED)
				return true;
			*place->reason = "A sample of a reference table differs from group to group.";
			return false;
		case RTE_SUBQUERY:
			return scan_subquery(index, place) || compute_table(index, place);
		case RTE_VALUES:
		case RTE_FUNCTION:
		case RTE_TABLEFUNC:
		case RTE_RESULT:
			if (!contain_volatile_functions((Node *) entry->functions) &&
				!contain_volatile_functions((Node *) entry->values_lists) &&
				!planner_reads_own_tables((Node *) entry->functions, NULL) &&
				!planner_reads_own_tables((Node *) entry->values_lists, NULL))
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
scan_subquery(int index, PlannerPlace *place)
{
	Query	   *query = rt_fetch(index, place->query->rtable)->subquery;
	PlannerPlace inner = *place;
	ListCell   *cell;

	if (!planner_reads_own_tables((Node *) query, NULL))
	{
		if (!planner_depends_on_chance(query, false))
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
	if (!planner_scan_from((Node *) query->jointree, &inner))
		return false;
	place->readers = inner.readers;
	place->facts = inner.facts;
	foreach(cell, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);
		PlannerColumn column;

		if (!entry->resjunk &&
			planner_find_column((Node *) entry->expr, &inner, &column))
			place->facts =
				planner_add_equality(place->facts, column,
									 column_of(place, index, entry->resno),
									 true);
	}
	return true;
}

/* Compute a subquery in FROM beforehand. */
static bool
compute_table(int index, PlannerPlace *place)
{
	ListCell   *cell = list_nth_cell(place->query->rtable, index - 1);
	RangeTblEntry *rows;
	Query	   *arrays;

	if (place->tables == NULL ||
		planner_has_outer_references(lfirst_node(RangeTblEntry,
												 cell)->subquery))
		return false;
	rows = planner_compute_rows(lfirst_node(RangeTblEntry, cell),
								list_length(place->query->rtable) +
								list_length(*place->tables) + 1,
								place->values, &arrays);
	if (rows == NULL)
	{
		*place->reason = "A subquery in FROM reads all groups, and its columns cannot be put into arrays.";
		return false;
	}
	*place->tables = lappend(*place->tables, arrays);
	lfirst(cell) = rows;
	return true;
}

/*
 * A join.
 *
 * An outer one has to find within the group whether a row has a partner.  Then
 * tables of a side that may be missing are where their partners are, and need
 * not be joined to the table written by anything else.
 */
static bool
scan_join(JoinExpr *join, PlannerPlace *place)
{
	PlannerPlace left = *place;
	PlannerPlace right = *place;
	List	   *on;
	List	   *left_side;
	List	   *right_side;

	if (join->jointype == JOIN_INNER)
	{
		if (!planner_scan_from(join->larg, place) ||
			!planner_scan_from(join->rarg, place))
			return false;
		planner_note_equalities(join->quals, place);
		return true;
	}

	if (!scan_side(join->larg, &left) || !scan_side(join->rarg, &right))
		return false;
	on = list_equalities(NIL, join->quals, place);
	if (!can_join(join->jointype, &left, &right, on))
	{
		*place->reason = "An outer join is not by the distribution key.";
		return false;
	}

	left_side = list_make1(list_entries(join->larg, place->query));
	right_side = list_make1(list_entries(join->rarg, place->query));
	if (join->jointype == JOIN_LEFT)
	{
		place->facts = list_concat(place->facts, left.facts);
		place->facts = planner_add_implied(place->facts,
										   list_concat(right.facts, on),
										   right_side);
	}
	else if (join->jointype == JOIN_RIGHT)
	{
		place->facts = list_concat(place->facts, right.facts);
		place->facts = planner_add_implied(place->facts,
										   list_concat(left.facts, on),
										   left_side);
	}
	else
	{
		place->facts = planner_add_implied(place->facts, left.facts, left_side);
		place->facts = planner_add_implied(place->facts, right.facts,
										   right_side);
		place->facts = planner_add_implied(place->facts, on,
										   list_concat(left_side, right_side));
	}
	place->readers = list_concat(place->readers,
								 join->jointype == JOIN_RIGHT ?
								 right.readers : left.readers);
	return true;
}

/* One side of an outer join, by itself; it begins as a copy of the place. */
static bool
scan_side(Node *node, PlannerPlace *side)
{
	side->around = list_concat_copy(side->around, side->facts);
	side->facts = NIL;
	side->readers = NIL;
	return planner_scan_from(node, side);
}

/*
 * Can each group compute an outer join by itself?
 *
 * A side without distributed tables is never the one that is kept, as each
 * group would keep its rows.  Of a FULL JOIN both are kept, and each is
 * together by itself.
 */
static bool
can_join(JoinType type, PlannerPlace *left, PlannerPlace *right, List *on)
{
	PlannerPlace *kept = type == JOIN_RIGHT ? right : left;
	PlannerPlace *optional = type == JOIN_RIGHT ? left : right;
	List	   *facts;

	if (kept->readers == NIL)
		return optional->readers == NIL;
	if (type == JOIN_FULL &&
		(optional->readers == NIL ||
		 !are_together(left->readers, linitial(left->readers),
					   list_concat_copy(left->around, left->facts)) ||
		 !are_together(right->readers, linitial(right->readers),
					   list_concat_copy(right->around, right->facts))))
		return false;
	facts = list_concat_copy(kept->around, kept->facts);
	facts = list_concat(facts, optional->facts);
	facts = list_concat(facts, on);
	return are_together(optional->readers, linitial(kept->readers), facts);
}

/* The entries of the range table in a part of FROM */
static List *
list_entries(Node *node, Query *query)
{
	List	   *entries = NIL;
	PlannerEntry *entry;
	ListCell   *cell;

	if (IsA(node, JoinExpr))
		return list_concat(list_entries(((JoinExpr *) node)->larg, query),
						   list_entries(((JoinExpr *) node)->rarg, query));
	if (IsA(node, FromExpr))
	{
		foreach(cell, ((FromExpr *) node)->fromlist)
			entries = list_concat(entries, list_entries(lfirst(cell), query));
		return entries;
	}
	entry = palloc(sizeof(PlannerEntry));
	entry->query = query;
	entry->entry = castNode(RangeTblRef, node)->rtindex;
	return list_make1(entry);
}

/* planner_note_equalities -- add what a condition says is equal */
void
planner_note_equalities(Node *quals, PlannerPlace *place)
{
	place->facts = list_equalities(place->facts, quals, place);
}

/* A list of facts with what a condition says is equal. */
static List *
list_equalities(List *facts, Node *quals, const PlannerPlace *place)
{
	OpExpr	   *clause = (OpExpr *) quals;
	Var		   *left;
	Var		   *right;
	const PlannerPlace *left_place = place;
	const PlannerPlace *right_place = place;
	ListCell   *cell;

	if (quals == NULL)
		return facts;
	if (IsA(quals, List) || is_andclause(quals))
	{
		foreach(cell, IsA(quals, List) ? (List *) quals :
				((BoolExpr *) quals)->args)
			facts = list_equalities(facts, lfirst(cell), place);
		return facts;
	}
	if (!IsA(clause, OpExpr) || list_length(clause->args) != 2)
		return facts;
	left = find_variable(linitial(clause->args), &left_place);
	right = find_variable(lsecond(clause->args), &right_place);
	if (left == NULL || right == NULL ||
		!planner_is_equality(clause->opno, clause->inputcollid,
							 left->vartype) ||
		!planner_is_equality(clause->opno, clause->inputcollid,
							 right->vartype))
		return facts;
	return planner_add_equality(facts,
								column_of(left_place, left->varno,
										  left->varattno),
								column_of(right_place, right->varno,
										  right->varattno),
								false);
}

/* planner_find_column -- is an expression a column, and which one? */
bool
planner_find_column(Node *node, const PlannerPlace *place,
					PlannerColumn *column)
{
	Var		   *var = find_variable(node, &place);

	if (var == NULL)
		return false;
	*column = column_of(place, var->varno, var->varattno);
	return true;
}

/*
 * The column that an expression is, or NULL; *place is set to that of the
 * query which has it.
 */
static Var *
find_variable(Node *node, const PlannerPlace **place)
{
	for (;;)
	{
		Var		   *var;
		RangeTblEntry *entry;

		node = planner_strip(node);
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

static PlannerColumn
column_of(const PlannerPlace *place, int entry, AttrNumber attno)
{
	PlannerColumn column = {place->query, entry, attno};

	return column;
}

/* planner_is_together -- are rows of tables that meet in the same group? */
bool
planner_is_together(const PlannerPlace *place)
{
	return are_together(place->readers, place->written,
						list_concat_copy(place->around, place->facts));
}

/* Is each of some tables joined to another by the distribution key? */
static bool
are_together(List *readers, PlannerReader *with, List *facts)
{
	PlannerClasses *classes = planner_make_classes(facts);
	ListCell   *cell;

	foreach(cell, readers)
	{
		PlannerReader *reader = lfirst(cell);
		const VdbTable *table = vdb_catalog_table(reader->relid);
		const VdbTable *other = vdb_catalog_table(with->relid);

		if (table->colocation != other->colocation ||
			table->key_count != other->key_count)
			return false;
		for (int i = 0; i < table->key_count; i++)
		{
			if (planner_class(classes, planner_key(reader, table->keys[i])) !=
				planner_class(classes, planner_key(with, other->keys[i])))
				return false;
		}
	}
	return true;
}

/* planner_key -- a column of a table that is read */
PlannerColumn
planner_key(const PlannerReader *reader, AttrNumber attno)
{
	PlannerColumn column = {reader->query, reader->entry, attno};

	return column;
}

/*
 * planner_reads_own_tables -- does an expression or query read any but
 * reference tables?
 */
bool
planner_reads_own_tables(Node *node, void *context)
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
		return query_tree_walker((Query *) node, planner_reads_own_tables,
								 context, QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, planner_reads_own_tables, context);
}

/*
 * planner_depends_on_chance -- would a query give other rows in each group,
 * although it reads the same ones?
 *
 * Which rows are the first is not said by a table.  Of EXISTS their number
 * alone counts.
 */
bool
planner_depends_on_chance(Query *query, bool exists)
{
	if (query->rowMarks ||
		(!exists && (query->limitCount || query->limitOffset ||
					 query->hasDistinctOn)))
		return true;
	return contain_volatile_functions((Node *) query) ||
		query_tree_walker(query, has_chance, NULL, QTW_EXAMINE_RTES_BEFORE);
}

static bool
has_chance(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
		return ((RangeTblEntry *) node)->tablesample != NULL;
	if (IsA(node, SubLink) &&
		((SubLink *) node)->subLinkType == EXISTS_SUBLINK)
		return planner_depends_on_chance(castNode(Query,
												  ((SubLink *) node)->subselect),
										 true);
	if (IsA(node, Query))
		return planner_depends_on_chance((Query *) node, false);
	return expression_tree_walker(node, has_chance, context);
}

/*
 * planner_has_outer_references -- does a subquery use anything of the queries
 * around it?
 */
bool
planner_has_outer_references(Query *query)
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
