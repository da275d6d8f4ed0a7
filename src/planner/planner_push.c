/*-------------------------------------------------------------------------
 *
 * planner_push.c
 *	  What a group may compute for us, so that the answer stays the same.
 *
 * An expression is pushed if all that it needs is in the rows of its group and
 * in parameters, and if it has the same value there as here.  So: nothing
 * volatile; no subqueries (PostgreSQL runs them here, over all groups); no
 * functions of users that may read tables, since at a group they would see the
 * rows of that group only.  An immutable function reads none by its promise,
 * those of PostgreSQL and of extensions that are pushed read none of users'.
 *
 * What a view reads as its owner is read by the groups as its owner.  No
 * function of a user's goes with it, as it would get the owner's permissions.
 *
 * IDENTIFICATION
 *	  src/planner/planner_push.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/transam.h"
#include "catalog/dependency.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/lsyscache.h"

#include "planner_private.h"

typedef struct PushContext
{
	Relids		relids;
	bool		as_other;		/* as the owner of a view? */
	bool		outer;			/* columns of other relations allowed? */
	bool		aggregates;		/* aggregates allowed? */
} PushContext;

static bool not_pushable_walker(Node *node, PushContext *context);
static bool not_safe_walker(Node *node, void *context);
static bool not_trusted_walker(Node *node, void *context);
static bool is_suspect(Node *node);
static bool is_made_by_user(Oid function, void *context);
static bool is_reading_function(Oid function, void *context);
static bool is_unsafe_function(Oid function, void *context);
static bool is_extension_function(Oid function);

/*
 * planner_is_pushable -- may a group compute an expression for us?
 *
 * Columns have to be of what the shard statement reads.  With outer, those of
 * other relations are allowed as well, as they become parameters.
 */
bool
planner_is_pushable(const PlannerShard *shard, Node *node, bool outer,
					bool aggregates)
{
	PushContext context = {shard->relids, shard->as_other, outer, aggregates};

	return !not_pushable_walker(node, &context) &&
		!contain_volatile_functions(node);
}

/*
 * planner_is_safe_statement -- may a statement run as a whole elsewhere?
 *
 * It may be volatile, but must not call functions that may read tables.
 */
bool
planner_is_safe_statement(Query *query)
{
	return !not_safe_walker((Node *) query, NULL);
}

/*
 * planner_is_transferable -- can values of a type be sent between nodes?
 */
bool
planner_is_transferable(Oid type)
{
	return get_typtype(type) != TYPTYPE_PSEUDO;
}

/* Is there anything that a group cannot or must not compute? */
static bool
not_pushable_walker(Node *node, PushContext *context)
{
	if (node == NULL)
		return false;

	switch (nodeTag(node))
	{
		case T_Var:
			{
				Var		   *var = (Var *) node;

				if (var->varlevelsup != 0)
					return true;
				if (!bms_is_member(var->varno, context->relids))
					return !context->outer ||
						!planner_is_transferable(var->vartype);
				/* system columns mean something else there */
				return var->varattno < 0;
			}
		case T_Param:
			if (((Param *) node)->paramkind != PARAM_EXTERN &&
				((Param *) node)->paramkind != PARAM_EXEC)
				return true;
			return !planner_is_transferable(((Param *) node)->paramtype);
		case T_Aggref:
			if (!context->aggregates)
				return true;
			break;
		case T_Query:
		case T_SubLink:
		case T_SubPlan:
		case T_AlternativeSubPlan:
		case T_PlaceHolderVar:
		case T_WindowFunc:
		case T_GroupingFunc:
		case T_CurrentOfExpr:
		case T_NextValueExpr:
		case T_SetToDefault:
			return true;
		default:
			break;
	}

	if (check_functions_in_node(node, is_reading_function, NULL) ||
		(context->as_other && is_suspect(node)))
		return true;
	return expression_tree_walker(node, not_pushable_walker, context);
}

/*
 * planner_is_trusted -- may an expression or query be executed as the owner of
 * a view, by a statement of somebody else?
 *
 * PostgreSQL asks for the owner's permissions only, and calls functions as the
 * current user.  A function of a user's would be given the owner's.
 */
bool
planner_is_trusted(Node *node)
{
	return !not_trusted_walker(node, NULL);
}

static bool
not_trusted_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, not_trusted_walker, context,
								 0);
	return is_suspect(node) ||
		expression_tree_walker(node, not_trusted_walker, context);
}

/* Does a node call what a user has made?  Domains have checks. */
static bool
is_suspect(Node *node)
{
	Oid			type = InvalidOid;

	if (IsA(node, CoerceToDomain))
		return true;
	if (IsA(node, Const) || IsA(node, Param))
		type = exprType(node);
	return check_functions_in_node(node, is_made_by_user, NULL) ||
		(OidIsValid(type) && get_typtype(type) == TYPTYPE_DOMAIN);
}

static bool
is_made_by_user(Oid function, void *context)
{
	return function >= FirstNormalObjectId && !is_extension_function(function);
}

/* Does a statement call a function of a user that may read tables? */
static bool
not_safe_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (check_functions_in_node(node, is_unsafe_function, NULL))
		return true;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, not_safe_walker, context, 0);
	return expression_tree_walker(node, not_safe_walker, context);
}

/* May a function read tables, or is it volatile? */
static bool
is_reading_function(Oid function, void *context)
{
	char		volatility = func_volatile(function);

	if (volatility == PROVOLATILE_IMMUTABLE)
		return false;
	return volatility == PROVOLATILE_VOLATILE ||
		planner_is_user_function(function);
}

static bool
is_unsafe_function(Oid function, void *context)
{
	return planner_is_user_function(function);
}

/* planner_is_user_function -- one of users', and not immutable? */
bool
planner_is_user_function(Oid function)
{
	return function >= FirstNormalObjectId &&
		func_volatile(function) != PROVOLATILE_IMMUTABLE &&
		!is_extension_function(function);
}

/* Does a function belong to an extension? */
static bool
is_extension_function(Oid function)
{
	return OidIsValid(getExtensionOfObject(ProcedureRelationId, function));
}
