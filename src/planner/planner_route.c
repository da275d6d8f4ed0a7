/*-------------------------------------------------------------------------
 *
 * planner_route.c
 *	  Which groups hold the rows that a statement, or a scan, can meet.
 *
 * A statement is pinned to a group if each distributed table in it, wherever
 * it stands, has its distribution key equal to a value, and all values are of
 * that group.  Equality is followed from column to column: in "a JOIN b USING
 * (k) WHERE a.k = 1" both are pinned.  It is followed only in the direction in
 * which it takes rows away: the condition of a LEFT JOIN pins the right side,
 * and that of a subquery for each row pins what the subquery reads.
 *
 * Facts are kept as a graph, of columns as nodes and of equalities as edges;
 * values go along the edges until nothing changes.
 *
 * IDENTIFICATION
 *	  src/planner/planner_route.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"

#include "planner_private.h"

/* A column at its place in the statement */
typedef struct RouteColumn
{
	Query	   *level;
	int			varno;
	AttrNumber	attno;
	Node	   *value;			/* what it equals, or NULL */
} RouteColumn;

/* A value of one column goes to another */
typedef struct RouteEdge
{
	RouteColumn *from;
	RouteColumn *to;
} RouteEdge;

/* A distributed table at its place in the statement */
typedef struct RouteTable
{
	Query	   *level;
	int			varno;
	Oid			relid;
} RouteTable;

typedef struct RouteState
{
	ParamListInfo bound_params;
	List	   *levels;			/* the present query, then those around it */
	List	   *columns;
	List	   *edges;
	List	   *tables;
} RouteState;

/* Where the group is, as far as tables that were looked at tell */
typedef struct RouteResult
{
	int			group;			/* 0: not known yet */
	List	   *keys;			/* values known at execution */
	int			colocation;		/* of the table they are for */
	Oid			relid;
} RouteResult;

static bool gather_walker(Node *node, RouteState *state);
static void gather_query(Query *query, RouteState *state);
static void gather_from(Node *node, RouteState *state);
static Relids relations_of(Node *node);
static void gather_clauses(Node *quals, Relids targets, RouteState *state);
static void gather_clause(Node *clause, Relids targets, RouteState *state);
static void add_value(RouteColumn *column, Node *value);
static void add_edge(RouteColumn *from, RouteColumn *to, RouteState *state);
static RouteColumn *resolve_column(Node *node, RouteState *state);
static RouteColumn *resolve_in_level(Var *var, Query *level,
									 RouteState *state);
static bool is_transparent(const Query *query);
static bool is_target(const RouteColumn *column, Relids targets,
					  const RouteState *state);
static Node *resolve_value(Node *node, RouteState *state);
static Node *bind_params_mutator(Node *node, RouteState *state);
static void spread_values(RouteState *state);
static bool place_table(RouteTable *place, RouteState *state,
						RouteResult *result);
static Node *column_value(RouteTable *place, AttrNumber attno,
						  RouteState *state);
static bool add_inserted_values(Query *query, RouteState *state);

/*
 * planner_route -- the groups that a statement is pinned to by its keys
 *
 * Returns false when it is not pinned.  Sets target, groups, key_exprs and
 * relid of the plan; *keys to the expressions, where the groups are found at
 * execution.
 */
bool
planner_route(Query *query, ParamListInfo bound_params, VdbPlan *plan,
			  List **keys)
{
	RouteState	state = {bound_params};
	RouteResult result = {0};
	ListCell   *cell;

	*keys = NIL;
	gather_query(query, &state);
	if (state.tables == NIL || !add_inserted_values(query, &state))
		return false;
	spread_values(&state);

	foreach(cell, state.tables)
	{
		if (!place_table((RouteTable *) lfirst(cell), &state, &result))
			return false;
	}

	plan->relid = result.relid;
	if (result.keys)
	{
		plan->target = VDB_TARGET_KEY;
		*keys = result.keys;
	}
	else
	{
		plan->target = VDB_TARGET_GROUPS;
		plan->groups = list_make1_int(result.group);
	}
	return true;
}

/* Look at a level of the statement, and through it at all below. */
static void
gather_query(Query *query, RouteState *state)
{
	ListCell   *cell;

	state->levels = lcons(query, state->levels);
	foreach(cell, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);
		const VdbTable *table;

		if (rte->rtekind != RTE_RELATION)
			continue;
		table = vdb_catalog_table(rte->relid);
		if (table && table->kind == VDB_TABLE_DISTRIBUTED)
		{
			RouteTable *place = (RouteTable *) palloc(sizeof(RouteTable));

			place->level = query;
			place->varno = foreach_current_index(cell) + 1;
			place->relid = rte->relid;
			state->tables = lappend(state->tables, place);
		}
	}
	gather_from((Node *) query->jointree, state);
	(void) query_tree_walker(query, gather_walker, state, 0);
	state->levels = list_delete_first(state->levels);
}

static bool
gather_walker(Node *node, RouteState *state)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		gather_query((Query *) node, state);
		return false;
	}
	return expression_tree_walker(node, gather_walker, state);
}

/* Collect the equalities of FROM and WHERE. */
static void
gather_from(Node *node, RouteState *state)
{
	if (node == NULL || IsA(node, RangeTblRef))
		return;
	if (IsA(node, FromExpr))
	{
		FromExpr   *from = (FromExpr *) node;
		ListCell   *cell;

		foreach(cell, from->fromlist)
			gather_from((Node *) lfirst(cell), state);
		gather_clauses(from->quals, NULL, state);
	}
	else if (IsA(node, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) node;

		gather_from(join->larg, state);
		gather_from(join->rarg, state);
		if (join->jointype == JOIN_INNER)
			gather_clauses(join->quals, NULL, state);
		else if (join->jointype == JOIN_LEFT)
			gather_clauses(join->quals,
						   relations_of(join->rarg), state);
		else if (join->jointype == JOIN_RIGHT)
			gather_clauses(join->quals,
						   relations_of(join->larg), state);
	}
}

/* The relations of a part of FROM */
static Relids
relations_of(Node *node)
{
	Relids		relids = NULL;
	ListCell   *cell;

	if (IsA(node, RangeTblRef))
		return bms_make_singleton(((RangeTblRef *) node)->rtindex);
	if (IsA(node, JoinExpr))
		return bms_union(relations_of(((JoinExpr *) node)->larg),
						 relations_of(((JoinExpr *) node)->rarg));
	foreach(cell, castNode(FromExpr, node)->fromlist)
		relids = bms_add_members(relids, relations_of(lfirst(cell)));
	return relids;
}

/*
 * Collect the equalities of a condition.  Targets are the relations of this
 * level from which it takes rows away, NULL for all.
 */
static void
gather_clauses(Node *quals, Relids targets, RouteState *state)
{
	if (quals == NULL)
		return;
	if (IsA(quals, List))
	{
		ListCell   *cell;

		foreach(cell, (List *) quals)
			gather_clauses((Node *) lfirst(cell), targets, state);
	}
	else if (is_andclause(quals))
		gather_clauses((Node *) ((BoolExpr *) quals)->args, targets, state);
	else
		gather_clause(quals, targets, state);
}

static void
gather_clause(Node *clause, Relids targets, RouteState *state)
{
	if (IsA(clause, OpExpr) && list_length(((OpExpr *) clause)->args) == 2)
	{
		OpExpr	   *operation = (OpExpr *) clause;
		Node	   *left = planner_strip(linitial(operation->args));
		Node	   *right = planner_strip(lsecond(operation->args));
		RouteColumn *left_column = resolve_column(left, state);
		RouteColumn *right_column = resolve_column(right, state);
		Node	   *column = left_column ? left : right;

		if (!left_column && !right_column)
			return;
		if (!planner_is_equality(operation->opno, operation->inputcollid,
								 exprType(column)))
			return;
		if (left_column && right_column)
		{
			if (is_target(right_column, targets, state))
				add_edge(left_column, right_column, state);
			if (is_target(left_column, targets, state))
				add_edge(right_column, left_column, state);
		}
		else if (left_column && is_target(left_column, targets, state))
			add_value(left_column, resolve_value(right, state));
		else if (right_column && is_target(right_column, targets, state))
			add_value(right_column, resolve_value(left, state));
	}
	else if (IsA(clause, ScalarArrayOpExpr) &&
			 ((ScalarArrayOpExpr *) clause)->useOr)
	{
		ScalarArrayOpExpr *operation = (ScalarArrayOpExpr *) clause;
		Node	   *left = planner_strip(linitial(operation->args));
		RouteColumn *column = resolve_column(left, state);
		Node	   *value;

		if (column == NULL || !is_target(column, targets, state) ||
			!planner_is_equality(operation->opno, operation->inputcollid,
								 exprType(left)))
			return;
		value = resolve_value(lsecond(operation->args), state);
		if (value && IsA(value, Const))
			add_value(column, value);
	}
}

/* A column equals a value, if that is one. */
static void
add_value(RouteColumn *column, Node *value)
{
	if (value == NULL)
		return;
	/* one that is known now tells more than one known at execution */
	if (column->value == NULL ||
		(IsA(value, Const) && !IsA(column->value, Const)))
		column->value = value;
}

static void
add_edge(RouteColumn *from, RouteColumn *to, RouteState *state)
{
	RouteEdge  *edge = (RouteEdge *) palloc(sizeof(RouteEdge));

	edge->from = from;
	edge->to = to;
	state->edges = lappend(state->edges, edge);
}

/* The column that an expression is, or NULL */
static RouteColumn *
resolve_column(Node *node, RouteState *state)
{
	Var		   *var = (Var *) node;

	if (!IsA(node, Var) || var->varlevelsup >= list_length(state->levels))
		return NULL;
	return resolve_in_level(var, (Query *) list_nth(state->levels,
													var->varlevelsup),
							state);
}

/*
 * The column that a Var is at a level.  It is followed through joins, and
 * through subqueries that pass on rows as they are.
 */
static RouteColumn *
resolve_in_level(Var *var, Query *level, RouteState *state)
{
	RangeTblEntry *rte = rt_fetch(var->varno, level->rtable);
	RouteColumn *column;
	ListCell   *cell;

	if (var->varattno <= 0)
		return NULL;
	if (rte->rtekind == RTE_JOIN)
	{
		Node	   *alias = (Node *) list_nth(rte->joinaliasvars,
											  var->varattno - 1);

		alias = alias ? planner_strip(alias) : NULL;
		if (alias == NULL || !IsA(alias, Var) ||
			((Var *) alias)->varlevelsup != 0)
			return NULL;
		return resolve_in_level((Var *) alias, level, state);
	}
	if (rte->rtekind == RTE_SUBQUERY && is_transparent(rte->subquery))
	{
		TargetEntry *entry = get_tle_by_resno(rte->subquery->targetList,
											  var->varattno);
		Node	   *inner = entry ? planner_strip((Node *) entry->expr) : NULL;

		if (inner && IsA(inner, Var) && ((Var *) inner)->varlevelsup == 0)
			return resolve_in_level((Var *) inner, rte->subquery, state);
	}

	foreach(cell, state->columns)
	{
		column = (RouteColumn *) lfirst(cell);
		if (column->level == level && column->varno == var->varno &&
			column->attno == var->varattno)
			return column;
	}
	column = (RouteColumn *) palloc0(sizeof(RouteColumn));
	column->level = level;
	column->varno = var->varno;
	column->attno = var->varattno;
	state->columns = lappend(state->columns, column);
	return column;
}

/*
 * Does a condition on a subquery's column mean that rows with other values
 * need not be read?
 */
static bool
is_transparent(const Query *query)
{
	return query->commandType == CMD_SELECT && !query->hasAggs &&
		!query->hasWindowFuncs && !query->hasTargetSRFs &&
		query->groupClause == NIL && query->groupingSets == NIL &&
		query->distinctClause == NIL && query->setOperations == NULL &&
		query->limitCount == NULL && query->limitOffset == NULL &&
		query->rowMarks == NIL && query->jointree != NULL &&
		list_length(query->jointree->fromlist) == 1 &&
		IsA(linitial(query->jointree->fromlist), RangeTblRef);
}

/*
 * Does a condition of the present level take away rows of a column's table?
 * Not if the column belongs to a level around.  Columns inside of a subquery
 * in FROM are of their own level: they count when there is no restriction.
 */
static bool
is_target(const RouteColumn *column, Relids targets, const RouteState *state)
{
	if (column->level == (Query *) linitial(state->levels))
		return targets == NULL || bms_is_member(column->varno, targets);
	return targets == NULL && !list_member_ptr(state->levels, column->level);
}

/*
 * An expression as a value that is the same for the whole statement, or NULL
 */
static Node *
resolve_value(Node *node, RouteState *state)
{
	if (checkExprHasSubLink(node) || contain_volatile_functions(node) ||
		contain_aggs_of_level(node, 0) || contain_windowfuncs(node))
		return NULL;
	for (int i = 0; i < list_length(state->levels); i++)
	{
		if (contain_vars_of_level(node, i))
			return NULL;
	}
	return eval_const_expressions(NULL, bind_params_mutator(node, state));
}

/* Replace parameters whose values are known. */
static Node *
bind_params_mutator(Node *node, RouteState *state)
{
	ParamListInfo bound = state->bound_params;

	if (node == NULL)
		return NULL;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXTERN &&
		bound != NULL && ((Param *) node)->paramid > 0 &&
		((Param *) node)->paramid <= bound->numParams)
	{
		Param	   *param = (Param *) node;
		ParamExternData space;
		ParamExternData *data;
		int16		length;
		bool		byval;

		if (bound->paramFetch)
			data = bound->paramFetch(bound, param->paramid, true, &space);
		else
			data = &bound->params[param->paramid - 1];
		if (data->ptype == param->paramtype &&
			(data->pflags & PARAM_FLAG_CONST))
		{
			get_typlenbyval(param->paramtype, &length, &byval);
			return (Node *) makeConst(param->paramtype, param->paramtypmod,
									  param->paramcollid, length,
									  data->value, data->isnull, byval);
		}
	}
	return expression_tree_mutator(node, bind_params_mutator, state);
}

/* Let values go along the edges until nothing changes. */
static void
spread_values(RouteState *state)
{
	bool		changed = true;

	while (changed)
	{
		ListCell   *cell;

		changed = false;
		foreach(cell, state->edges)
		{
			RouteEdge  *edge = (RouteEdge *) lfirst(cell);

			if (edge->from->value && edge->to->value == NULL)
			{
				edge->to->value = edge->from->value;
				changed = true;
			}
		}
	}
}

/*
 * Find the group of a table's rows.  Returns false when it is not known, or
 * another than that of tables before.
 */
static bool
place_table(RouteTable *place, RouteState *state, RouteResult *result)
{
	const VdbTable *table = vdb_catalog_table(place->relid);
	List	   *values = NIL;
	bool		constant = true;

	if (table == NULL)
		return false;
	for (int i = 0; i < table->key_count; i++)
	{
		Node	   *value = column_value(place, table->keys[i], state);

		value = value ? planner_as_key(value, table->key_types[i]) : NULL;
		if (value == NULL)
			return false;
		if (!IsA(value, Const))
			constant = false;
		values = lappend(values, value);
	}

	if (constant)
	{
		List	   *groups = planner_key_groups(table, values);

		if (list_length(groups) != 1 || result->keys != NIL ||
			(result->group != 0 && result->group != linitial_int(groups)))
			return false;
		result->group = linitial_int(groups);
	}
	else
	{
		ListCell   *cell;

		foreach(cell, values)
		{
			if (exprType(lfirst(cell)) !=
				table->key_types[foreach_current_index(cell)])
				return false;
		}
		if (result->group != 0 ||
			(result->keys != NIL &&
			 (result->colocation != table->colocation ||
			  !equal(result->keys, values))))
			return false;
		result->keys = values;
		result->colocation = table->colocation;
	}
	result->relid = place->relid;
	return true;
}

/* What a column of a table is known to equal, or NULL */
static Node *
column_value(RouteTable *place, AttrNumber attno, RouteState *state)
{
	ListCell   *cell;

	foreach(cell, state->columns)
	{
		RouteColumn *column = (RouteColumn *) lfirst(cell);

		if (column->level == place->level &&
			column->varno == place->varno && column->attno == attno)
			return column->value;
	}
	return NULL;
}

/*
 * The row of INSERT ... VALUES (one row) says where it goes.  Returns false
 * for another INSERT: its rows go to several groups.
 */
static bool
add_inserted_values(Query *query, RouteState *state)
{
	ListCell   *cell;

	if (query->commandType != CMD_INSERT)
		return true;
	if (query->jointree && query->jointree->fromlist != NIL)
		return false;

	state->levels = list_make1(query);
	foreach(cell, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);
		Node	   *value = resolve_value((Node *) entry->expr, state);
		Var		   *var;

		if (value == NULL || entry->resjunk)
			continue;
		var = makeVar(query->resultRelation, entry->resno,
					  exprType(value), -1, InvalidOid, 0);
		add_value(resolve_in_level(var, query, state), value);
	}
	return true;
}
