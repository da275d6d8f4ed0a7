/*-------------------------------------------------------------------------
 *
 * planner_system.c
 *	  System columns of tables that other groups have, too.
 *
 * tableoid is the OID that the table has at this node, wherever the row is.
 * The others mean something to the group of the row only: they are left to a
 * statement that is sent to this group alone, and refused elsewhere.  Those of
 * reference tables alone are of the copy that is read, this group's.
 *
 * IDENTIFICATION
 *	  src/planner/planner_system.c
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
#include "utils/array.h"
#include "utils/lsyscache.h"

#include "planner_private.h"

typedef struct SystemContext
{
	List	   *levels;			/* the present query, then those around it */
	bool		refuse;
	Oid			type;			/* of tableoid: oid, or regclass */
} SystemContext;

static Node *fix_mutator(Node *node, SystemContext *context);
static List *arguments(Node *node);
static bool strip_table_oid(List *args);
static bool is_table_oid(Node *node);
static void compare_numbers(List *args);
static bool has_optional_sides(const Query *query);

/*
 * planner_fix_system_columns -- a copy of a part of a query that is sent to
 * other groups
 *
 * The part may be the query itself.  Refuse: an ERROR for what has another
 * meaning in each group.
 */
Node *
planner_fix_system_columns(Node *node, Query *query, bool refuse)
{
	SystemContext context = {list_make1(query), refuse, OIDOID};

	node = copyObject(node);
	if (node && IsA(node, Query))
		return (Node *) query_tree_mutator((Query *) node, fix_mutator,
										   &context, 0);
	return fix_mutator(node, &context);
}

static Node *
fix_mutator(Node *node, SystemContext *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Query))
	{
		Node	   *result;

		context->levels = lcons(node, context->levels);
		result = (Node *) query_tree_mutator((Query *) node, fix_mutator,
											 context, 0);
		context->levels = list_delete_first(context->levels);
		return result;
	}
	if (IsA(node, Var) && ((Var *) node)->varattno < 0 &&
		!IS_SPECIAL_VARNO(((Var *) node)->varno))
	{
		Var		   *var = (Var *) node;
		Query	   *level = list_nth(context->levels, var->varlevelsup);
		RangeTblEntry *rte = rt_fetch(var->varno, level->rtable);

		if (rte->rtekind != RTE_RELATION ||
			vdb_catalog_table(rte->relid) == NULL)
			return (Node *) copyObject(var);
		if (var->varattno == TableOidAttributeNumber)
			return planner_table_oid(copyObject(var), rte->relid,
									 has_optional_sides(level),
									 context->type);
		if (context->refuse)
			planner_refuse_system_column(rte->relid);
	}
	if (IsA(node, RelabelType) && is_table_oid(node) &&
		((RelabelType *) node)->resulttype == REGCLASSOID)
	{
		Node	   *result;

		context->type = REGCLASSOID;
		result = fix_mutator(planner_strip(node), context);
		context->type = OIDOID;
		return result;
	}
	if (strip_table_oid(arguments(node)))
	{
		node = expression_tree_mutator(node, fix_mutator, context);
		compare_numbers(arguments(node));
		return node;
	}
	return expression_tree_mutator(node, fix_mutator, context);
}

/* What an operator is applied to, if it is one of OIDs */
static List *
arguments(Node *node)
{
	ScalarArrayOpExpr *of_array = (ScalarArrayOpExpr *) node;
	OpExpr	   *operation = (OpExpr *) node;
	Oid			left;
	Oid			right;

	if (IsA(node, ScalarArrayOpExpr))
		op_input_types(of_array->opno, &left, &right);
	else if (IsA(node, OpExpr) || IsA(node, DistinctExpr))
		op_input_types(operation->opno, &left, &right);
	else
		return NIL;
	if (left != OIDOID || right != OIDOID)
		return NIL;
	return IsA(node, ScalarArrayOpExpr) ? of_array->args : operation->args;
}

/* Is tableoid one of the arguments?  It is a plain number then. */
static bool
strip_table_oid(List *args)
{
	bool		found = false;
	ListCell   *cell;

	foreach(cell, args)
	{
		if (!is_table_oid(lfirst(cell)))
			continue;
		lfirst(cell) = planner_strip(lfirst(cell));
		found = true;
	}
	return found;
}

static bool
is_table_oid(Node *node)
{
	Var		   *var = (Var *) planner_strip(node);

	return IsA(var, Var) && var->varattno == TableOidAttributeNumber;
}

/*
 * What tableoid is compared with is a number of this node, too.  A constant of
 * type regclass would be sent as a name, and be another number there.
 */
static void
compare_numbers(List *args)
{
	ListCell   *cell;

	foreach(cell, args)
	{
		Const	   *constant = (Const *)
		planner_strip(eval_const_expressions(NULL, lfirst(cell)));

		if (!IsA(constant, Const) || constant->constisnull)
			continue;
		constant = copyObject(constant);
		if (type_is_array(constant->consttype))
		{
			ArrayType  *array = DatumGetArrayTypePCopy(constant->constvalue);

			ARR_ELEMTYPE(array) = OIDOID;
			constant->constvalue = PointerGetDatum(array);
			constant->consttype = OIDARRAYOID;
		}
		else
			constant->consttype = OIDOID;
		lfirst(cell) = constant;
	}
}

/* Has a query outer joins, so that a table's columns may be null? */
static bool
has_optional_sides(const Query *query)
{
	ListCell   *cell;

	foreach(cell, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);

		if (rte->rtekind == RTE_JOIN && rte->jointype != JOIN_INNER)
			return true;
	}
	return false;
}

/*
 * planner_table_oid -- tableoid as the OID that the table has at this node
 *
 * Optional: rows may be missing, by an outer join, and it is null then.  As
 * regclass it is sent as a name.
 */
Node *
planner_table_oid(Var *var, Oid relid, bool optional, Oid type)
{
	Const	   *oid = makeConst(type, -1, InvalidOid, sizeof(Oid),
								ObjectIdGetDatum(relid), false, true);
	NullTest   *test;
	CaseWhen   *when;
	CaseExpr   *choice;

	if (!optional)
		return (Node *) oid;
	test = makeNode(NullTest);
	test->arg = (Expr *) var;
	test->nulltesttype = IS_NOT_NULL;
	test->location = -1;
	when = makeNode(CaseWhen);
	when->expr = (Expr *) test;
	when->result = (Expr *) oid;
	when->location = -1;
	choice = makeNode(CaseExpr);
	choice->casetype = type;
	choice->args = list_make1(when);
	choice->defresult = (Expr *) makeNullConst(type, -1, InvalidOid);
	choice->location = -1;
	return (Node *) choice;
}

/* planner_refuse_system_column -- ctid and the like of rows elsewhere */
void
planner_refuse_system_column(Oid relid)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("system columns of distributed tables are not available"),
			 errdetail("The statement needs one of table \"%s\".",
					   get_rel_name(relid)),
			 errhint("Use the primary key to name rows; a statement that has the distribution key in WHERE may use them.")));
}
