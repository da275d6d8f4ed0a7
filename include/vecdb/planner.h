/*-------------------------------------------------------------------------
 *
 * planner.h
 *	  From a query to shard statements: what the executor is to run, and where.
 *
 * The planner makes CustomScan nodes whose methods the executor registers.
 * Each has a VdbPlan in custom_private, as a list of values that copyObject()
 * and the plan cache can handle; vdb_plan_read() gives it back.
 *
 * IDENTIFICATION
 *	  include/vecdb/planner.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef VECDB_PLANNER_H
#define VECDB_PLANNER_H

#include "postgres.h"

#include "nodes/extensible.h"
#include "nodes/plannodes.h"

#include "vecdb/catalog.h"

typedef enum VdbPlanKind
{
	VDB_PLAN_SELECT,			/* rows of all groups, merged if keys are
								 * given */
	VDB_PLAN_MODIFY,			/* an UPDATE, DELETE, MERGE or INSERT as a
								 * whole; rows are those of RETURNING */
	VDB_PLAN_PASS				/* rows of the plan below, as they are: gives
								 * its columns the names they have above */
} VdbPlanKind;

/* Which groups a shard statement goes to */
typedef enum VdbTarget
{
	VDB_TARGET_ALL,				/* every group that owns a shard of "relid" */
	VDB_TARGET_GROUPS,			/* "groups" */
	VDB_TARGET_KEY				/* the group of the key in key_exprs, found at
								 * execution: generic plans */
} VdbTarget;

typedef struct VdbPlan
{
	VdbPlanKind kind;
	CmdType		command;
	char	   *sql;			/* the shard statement */
	int			param_count;	/* so many of custom_exprs are parameters of
								 * the statement; others serve key_exprs */
	bool		writes;			/* changes or locks rows */
	Oid			relid;			/* a distributed table: its shards are meant */
	Oid			role;			/* who executes it; InvalidOid: current user */
	VdbTarget	target;
	List	   *groups;			/* integers */
	List	   *key_exprs;		/* numbers in custom_exprs, one for each key
								 * column, VDB_TARGET_KEY */
	/* merge: columns of the row (from 1), as in Sort */
	int			sort_count;
	AttrNumber *sort_columns;
	Oid		   *sort_operators;
	Oid		   *sort_collations;
	bool	   *sort_nulls_first;
	bool		few_rows;		/* so few that they may come in one piece */
	int			limit_param;	/* number of the parameter that is the limit
								 * of rows of a group, or 0 */
} VdbPlan;

/*
 * Parameters of the shard statement, $1 and so on, are the expressions in
 * CustomScan.custom_exprs, the first param_count in this order, evaluated at
 * the start of each scan.  Rows are those of CustomScan.custom_scan_tlist.
 *
 * A key that is null has no group: of VDB_TARGET_KEY one group gets the
 * statement then, since no row anywhere is equal to null.
 */

/* vdb_planner_init -- hooks and settings; from _PG_init when preloaded */
extern void vdb_planner_init(void);

/* vdb_planner_set_methods -- the executor's, given before anything is planned */
extern void vdb_planner_set_methods(const CustomScanMethods *fanout);

/*
 * A cursor option that PostgreSQL has no use for: the own group's share of a
 * statement, which is planned and executed in local mode only.
 */
#define VDB_CURSOR_OPT_SHARE	0x01000000

/*
 * vdb_planner_before_functions -- functions or triggers of users may be called
 * from here on, in local mode
 *
 * Plans that they have kept of another mode are forgotten.
 */
extern void vdb_planner_before_functions(void);

/*
 * vdb_planner_begin_share -- the own group's share of a statement begins, in
 * which functions or triggers of users may write
 *
 * "target" is what the statement writes.  It is executed to its end; what is
 * returned is for vdb_planner_end_share(), which an ERROR has to call, too.
 */
extern Oid	vdb_planner_begin_share(Oid target);
extern void vdb_planner_end_share(Oid before);

/*
 * vdb_planner_check_nested -- refuse what a function or trigger must not write
 * in local mode, as other groups would not
 *
 * "whole": by COPY or TRUNCATE.
 */
extern void vdb_planner_check_nested(Oid relid, bool whole);

/*
 * vdb_planner_check_copy -- refuse a COPY into a reference table whose triggers
 * may make copies of it that differ
 */
extern void vdb_planner_check_copy(const VdbTable *table);

/*
 * vdb_planner_group -- the group that owns the rows of a key, or 0 if there is
 * no shard that takes them
 */
extern int	vdb_planner_group(const VdbTable *table, const Datum *values,
							  const bool *nulls);

extern List *vdb_plan_write(const VdbPlan *plan);
extern VdbPlan *vdb_plan_read(List *custom_private);

#endif							/* VECDB_PLANNER_H */
