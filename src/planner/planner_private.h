/*-------------------------------------------------------------------------
 *
 * planner_private.h
 *	  What the files of the planner room share.
 *
 * IDENTIFICATION
 *	  src/planner/planner_private.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef PLANNER_PRIVATE_H
#define PLANNER_PRIVATE_H

#include "nodes/params.h"
#include "nodes/parsenodes.h"
#include "nodes/pathnodes.h"

#include "vecdb/catalog.h"
#include "vecdb/planner.h"

/* functions in planner_deparse.c */

/*
 * planner_deparse -- the text of a shard statement
 *
 * Var-free parts that are not immutable, parameters, and nothing else become
 * $1, $2, ...; *params is set to those expressions.  The query is not changed.
 */
extern char *planner_deparse(const Query *query, List **params);

/* functions in planner_modify.c */

/*
 * planner_modify -- plan an INSERT, UPDATE, DELETE or MERGE of a distributed
 * or reference table that is not pinned to one group
 */
extern PlannedStmt *planner_modify(Query *query, const char *query_string,
								   int cursor_options,
								   ParamListInfo bound_params);

/* functions in planner_route.c */

/*
 * planner_route -- the groups that a statement is pinned to by its keys
 *
 * Returns false when it is not pinned.  Sets target, groups and key_exprs of
 * the plan; *keys to the expressions, where the groups are found at execution.
 */
extern bool planner_route(Query *query, ParamListInfo bound_params,
						  VdbPlan *plan, List **keys);

#endif							/* PLANNER_PRIVATE_H */
