/*-------------------------------------------------------------------------
 *
 * planner_deparse.c
 *	  The text of a shard statement and its parameters.
 *
 * The text is PostgreSQL's own (pg_get_querydef), made under a search_path of
 * pg_catalog so that all else is qualified.  Before, what is to have one value
 * for the whole statement is taken out and becomes $1, $2, ...:
 *
 * - parameters of the client's statement and of the plan (PARAM_EXEC);
 * - stable expressions without columns, as now() and current_user: they are
 *	 the same on all groups then;
 * - constants of types that are not PostgreSQL's own, vectors above all, and
 *	 long ones: they travel in binary form, and searches for different vectors
 *	 have the same text, which is prepared once.
 *
 * A parameter is printed as ($1)::schema.type, so that the other node needs no
 * OID to know its type.  Equal ones are one parameter, or an expression could
 * not be found again in GROUP BY.
 *
 * IDENTIFICATION
 *	  src/planner/planner_deparse.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"

#include "planner_private.h"

/* Constants of PostgreSQL's types up to this size are part of the text */
#define LONGEST_LITERAL 256

static bool order_assignments_walker(Node *node, void *context);
static int	assignment_number(const TargetEntry *entry);
static int	compare_assignments(const ListCell *left, const ListCell *right);
static void squeeze_blanks(char *text);
static Node *take_out_mutator(Node *node, PlannerParams *params);
static bool is_taken_out(Node *node, const PlannerParams *params);
static bool has_outer_var(Node *node, const PlannerParams *params);
static bool is_long_constant(const Const *constant);
static bool contain_columns_walker(Node *node, void *context);

/*
 * planner_deparse -- the text of a shard statement
 *
 * Stable expressions without columns, parameters, vectors and long constants
 * become $1, $2, ...; *params is set to those expressions.  Volatile ones stay
 * in the text.  The query is not changed.
 */
char *
planner_deparse(const Query *query, List **params)
{
	PlannerParams context = {NULL, NIL};
	Query	   *copy;

	copy = (Query *) planner_take_out((Node *) query, &context);
	*params = context.exprs;
	/* the target of a view is in FROM of that */
	if (copy->resultRelation > 0)
		rt_fetch(copy->resultRelation, copy->rtable)->inFromCl = false;
	(void) order_assignments_walker((Node *) copy, NULL);
	return planner_text(copy);
}

/*
 * Put the columns of SET (a, b) = (SELECT ...) into the order of the SELECT.
 *
 * The rewriter has ordered them as the table's columns are, and printing takes
 * them as they come.
 */
static bool
order_assignments_walker(Node *node, void *context)
{
	Query	   *query = (Query *) node;
	List	   *single = NIL;
	List	   *multiple = NIL;
	ListCell   *cell;

	if (node == NULL)
		return false;
	if (!IsA(node, Query))
		return expression_tree_walker(node, order_assignments_walker, context);

	if (query->commandType == CMD_UPDATE)
	{
		foreach(cell, query->targetList)
		{
			TargetEntry *entry = lfirst_node(TargetEntry, cell);

			if (assignment_number(entry) != 0)
				multiple = lappend(multiple, entry);
			else if (!entry->resjunk)
				single = lappend(single, entry);
		}
		list_sort(multiple, compare_assignments);
		single = list_concat(single, multiple);
		foreach(cell, query->targetList)
		{
			if (lfirst_node(TargetEntry, cell)->resjunk)
				single = lappend(single, lfirst(cell));
		}
		query->targetList = single;
	}
	return query_tree_walker(query, order_assignments_walker, context, 0);
}

/* The number of what is assigned from a row of values, or 0 */
static int
assignment_number(const TargetEntry *entry)
{
	Node	   *expr = (Node *) entry->expr;

	/* a cast, or an assignment to a part of the column, may be around it */
	for (;;)
	{
		if (expr == NULL || entry->resjunk)
			return 0;
		else if (IsA(expr, Param))
			return ((Param *) expr)->paramkind == PARAM_MULTIEXPR ?
				((Param *) expr)->paramid : 0;
		else if (IsA(expr, FieldStore))
			expr = linitial(((FieldStore *) expr)->newvals);
		else if (IsA(expr, SubscriptingRef) &&
				 ((SubscriptingRef *) expr)->refassgnexpr)
			expr = (Node *) ((SubscriptingRef *) expr)->refassgnexpr;
		else if (IsA(expr, CoerceToDomain))
			expr = (Node *) ((CoerceToDomain *) expr)->arg;
		else if (IsA(expr, RelabelType))
			expr = (Node *) ((RelabelType *) expr)->arg;
		else if (IsA(expr, CoerceViaIO))
			expr = (Node *) ((CoerceViaIO *) expr)->arg;
		else if (IsA(expr, FuncExpr) && ((FuncExpr *) expr)->args != NIL &&
				 ((FuncExpr *) expr)->funcformat == COERCE_IMPLICIT_CAST)
			expr = linitial(((FuncExpr *) expr)->args);
		else
			return 0;
	}
}

static int
compare_assignments(const ListCell *left, const ListCell *right)
{
	int			one = assignment_number(lfirst_node(TargetEntry, left));
	int			other = assignment_number(lfirst_node(TargetEntry, right));

	return one < other ? -1 : one > other ? 1 : 0;
}

/*
 * planner_take_out -- a copy of a node, its parameters taken out
 *
 * Where params->relids is set, columns of other relations are parameters too:
 * their values come from the outer side of a join.
 */
Node *
planner_take_out(Node *node, PlannerParams *params)
{
	if (node && IsA(node, Query))
		return (Node *) query_tree_mutator((Query *) node, take_out_mutator,
										   params, 0);
	return take_out_mutator(node, params);
}

/*
 * planner_text -- a query as text that means the same on each node
 *
 * The query may be changed.
 */
char *
planner_text(Query *query)
{
	static const char *const settings[][2] = {
		{"search_path", "pg_catalog"},
		{"DateStyle", "ISO"},
		{"IntervalStyle", "postgres"},
		{"extra_float_digits", "3"}
	};
	int			level = NewGUCNestLevel();
	char	   *text;

	for (int i = 0; i < lengthof(settings); i++)
		(void) set_config_option(settings[i][0], settings[i][1], PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
								 false);
	text = pg_get_querydef(query, false);

	AtEOXact_GUC(true, level);
	squeeze_blanks(text);
	return text;
}

/*
 * Make one space of each run of blanks and line ends that is not quoted.
 */
static void
squeeze_blanks(char *text)
{
	char	   *to = text;
	char		quote = '\0';

	for (const char *from = text; *from != '\0'; from++)
	{
		if (quote != '\0')
		{
			if (*from == quote)
				quote = '\0';
		}
		else if (*from == '\'' || *from == '"')
			quote = *from;
		else if (*from == ' ' || *from == '\n')
		{
			if (to > text &&to[-1] != ' ')
				*to++ = ' ';
			continue;
		}
		*to++ = *from;
	}
	*to = '\0';
}

/*
 * Replace what is to be a parameter; PlannerParams.exprs grows.
 */
static Node *
take_out_mutator(Node *node, PlannerParams *params)
{
	if (node == NULL)
		return NULL;

	if (IsA(node, Query))
		return (Node *) query_tree_mutator((Query *) node, take_out_mutator,
										   params, 0);

	/* What stands in FROM has to stay a function; its arguments do not. */
	if (IsA(node, RangeTblFunction))
	{
		RangeTblFunction *function = copyObject((RangeTblFunction *) node);

		function->funcexpr = expression_tree_mutator(function->funcexpr,
													 take_out_mutator,
													 params);
		return (Node *) function;
	}

	if (is_taken_out(node, params))
		return planner_make_param(node, params);
	return expression_tree_mutator(node, take_out_mutator, params);
}

/*
 * planner_make_param -- have an expression be a parameter as a whole
 */
Node *
planner_make_param(Node *node, PlannerParams *params)
{
	RelabelType *relabel = makeNode(RelabelType);
	Param	   *param = makeNode(Param);
	int			number = 0;
	ListCell   *cell;

	foreach(cell, params->exprs)
	{
		if (equal(lfirst(cell), node))
			break;
		number++;
	}
	if (cell == NULL)
		params->exprs = lappend(params->exprs, copyObject(node));

	param->paramkind = PARAM_EXTERN;
	param->paramid = number + 1;
	param->paramtype = exprType(node);
	param->paramtypmod = -1;
	param->paramcollid = exprCollation(node);
	param->location = -1;

	/* This prints as ($1)::schema.type. */
	relabel->arg = (Expr *) param;
	relabel->resulttype = param->paramtype;
	relabel->resulttypmod = -1;
	relabel->resultcollid = param->paramcollid;
	relabel->relabelformat = COERCE_EXPLICIT_CAST;
	relabel->location = -1;
	return (Node *) relabel;
}

/*
 * Does a node become a parameter as a whole?
 */
static bool
is_taken_out(Node *node, const PlannerParams *params)
{
	switch (nodeTag(node))
	{
		case T_Param:
			return ((Param *) node)->paramkind == PARAM_EXTERN ||
				((Param *) node)->paramkind == PARAM_EXEC;
		case T_Const:
			return is_long_constant((Const *) node);
		case T_Var:
			return has_outer_var(node, params);
		case T_FuncExpr:
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
		case T_ScalarArrayOpExpr:
		case T_RelabelType:
		case T_CoerceViaIO:
		case T_ArrayCoerceExpr:
		case T_CoerceToDomain:
		case T_SQLValueFunction:
			break;
		default:
			return false;
	}

	/* What has a value of its own in each row stays. */
	if (planner_has_columns(node))
		return false;
	return contain_mutable_functions(node) &&
		!contain_volatile_functions(node) && !expression_returns_set(node) &&
		get_typtype(exprType(node)) != TYPTYPE_PSEUDO;
}

/* Is a node a column of the outer side of a join? */
static bool
has_outer_var(Node *node, const PlannerParams *params)
{
	Var		   *var = (Var *) node;

	return params->relids != NULL && var->varlevelsup == 0 &&
		!bms_is_member(var->varno, params->relids);
}

/* Is a constant better sent apart from the text? */
static bool
is_long_constant(const Const *constant)
{
	if (constant->constisnull || constant->constlen != -1)
		return false;
	if (get_typtype(constant->consttype) == TYPTYPE_PSEUDO)
		return false;
	return getBaseType(constant->consttype) >= FirstNormalObjectId ||
		datumGetSize(constant->constvalue, false, -1) > LONGEST_LITERAL;
}

/*
 * planner_has_columns -- is there anything that differs from row to row, or
 * that is not an ordinary expression?
 */
bool
planner_has_columns(Node *node)
{
	return contain_columns_walker(node, NULL);
}

static bool
contain_columns_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_Var:
		case T_Aggref:
		case T_WindowFunc:
		case T_GroupingFunc:
		case T_SubLink:
		case T_SubPlan:
		case T_AlternativeSubPlan:
		case T_PlaceHolderVar:
		case T_CaseTestExpr:
		case T_CoerceToDomainValue:
		case T_SetToDefault:
		case T_CurrentOfExpr:
		case T_Query:
			return true;
		case T_Param:
			return ((Param *) node)->paramkind != PARAM_EXTERN &&
				((Param *) node)->paramkind != PARAM_EXEC;
		default:
			return expression_tree_walker(node, contain_columns_walker,
										  context);
	}
}
