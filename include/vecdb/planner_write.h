/*-------------------------------------------------------------------------
 *
 * planner_write.h
 *	  What the plan node that writes rows of all groups is told.
 *
 * The node is a CustomScan over a plan that gives values: one row for each row
 * to be inserted, or one row for an UPDATE, DELETE or MERGE as a whole.  Column
 * i of that row is parameter $i of the shard statement.  custom_scan_tlist is
 * what the shard statement returns (NIL: nothing), targetlist is computed from
 * that here.
 *
 * IDENTIFICATION
 *	  include/vecdb/planner_write.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef VECDB_PLANNER_WRITE_H
#define VECDB_PLANNER_WRITE_H

#include "postgres.h"

#include "nodes/nodes.h"
#include "nodes/pg_list.h"

/* The name by which the executor registers the node's methods */
#define VDB_WRITE_NODE	"VecdbWrite"

/* Which groups execute the shard statement for a row of the plan below */
typedef enum VdbWriteTarget
{
	VDB_WRITE_BY_KEY,			/* the one that owns the shard of its key */
	VDB_WRITE_OWNERS,			/* all that own shards of the table */
	VDB_WRITE_EVERYWHERE		/* all: reference tables */
} VdbWriteTarget;

typedef struct VdbWritePlan
{
	CmdType		command;
	Oid			relid;			/* the table written */
	Oid			role;			/* who writes; InvalidOid: current user */
	VdbWriteTarget target;
	bool		materialise;	/* read the plan below to its end before the
								 * first row is written */
	bool		together;		/* all rows for a group in one statement: ON
								 * CONFLICT DO UPDATE complains of doubles */
	int			row_params;		/* so many parameters are one row of VALUES,
								 * which can be repeated; 0: cannot */
	int			first_row_param;	/* parameters before them */
	char	   *sql;			/* the shard statement */
	List	   *keys;			/* integers: columns of the row that are the
								 * distribution key, VDB_WRITE_BY_KEY */
} VdbWritePlan;

/* To and from CustomScan.custom_private */
extern List *vdb_write_plan_write(const VdbWritePlan *plan);
extern VdbWritePlan *vdb_write_plan_read(List *custom_private);

#endif							/* VECDB_PLANNER_WRITE_H */
