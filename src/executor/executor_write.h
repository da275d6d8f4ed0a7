/*-------------------------------------------------------------------------
 *
 * executor_write.h
 *	  What plan nodes that write share: statements under way, rows returned.
 *
 * A node that writes makes batches: one shard statement with its parameters,
 * for one group.  Batches for other groups are sent at once and waited for
 * later; those of the own group are executed while the others work.
 *
 * IDENTIFICATION
 *	  src/executor/executor_write.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef EXECUTOR_WRITE_H
#define EXECUTOR_WRITE_H

#include "vecdb/lib_compat.h"
#include "executor_private.h"

#if VDB_HAS_EXPLAIN_NODE_HOOK
#include "commands/explain_format.h"
#endif

/* Batches of a group that may be unanswered, before it is waited for */
#define EXECUTOR_BATCHES_UNDER_WAY	32	/* of all groups together */

/* A shard statement for a group, with its parameters */
typedef struct ExecutorBatch
{
	MemoryContext context;		/* of this and all below */
	int			group;
	bool		counts;			/* rows count and are returned */
	char	   *sql;
	bool		once;			/* the text will hardly be used again */
	int			rows;			/* INSERT: so many, else 1 */
	int			returned;		/* rows that came back */
	int64	   *numbers;		/* by row: its number in the source */
	int			param_count;
	Oid		   *types;
	int		   *formats;
	Datum	   *datums;			/* for the own group */
	bool	   *nulls;
	const char **values;		/* for others */
	int		   *lengths;
	VdbStatement statement;
	VdbRequest *request;
} ExecutorBatch;

/* A row of RETURNING */
typedef struct ExecutorReturned
{
	int64		number;			/* rows are returned in this order, */
	int64		place;			/* then in that of arrival */
	MinimalTuple tuple;
} ExecutorReturned;

/* What a node has written; in "context" */
typedef struct ExecutorWriter
{
	MemoryContext context;
	List	   *under_way;		/* ExecutorBatches sent, oldest first */
	ExecutorColumns *columns;	/* of RETURNING, or NULL */
	TupleDesc	desc;
	Oid			role;			/* who writes; InvalidOid: current user */
	Oid			target;			/* the table that is written */
	uint64		affected;
	bool		wrote_here;
	/* rows returned, and the next to give out */
	ExecutorReturned *returned;
	int64		returned_count;
	int64		returned_size;
	int64		returned_next;
} ExecutorWriter;

/* functions in executor_modify.c */
extern ExecutorWriter *executor_writer_create(CustomScanState *node);
extern ExecutorBatch *executor_batch_create(ExecutorWriter *writer, int group,
											int param_count, int rows);
extern void executor_writer_send(ExecutorWriter *writer, ExecutorBatch *batch);
extern void executor_writer_execute(ExecutorWriter *writer,
									ExecutorBatch *batch);
extern void executor_writer_wait(ExecutorWriter *writer, int batches_left);
extern void executor_writer_finish(ExecutorWriter *writer,
								   CustomScanState *node);
extern TupleTableSlot *executor_writer_next(ExecutorWriter *writer,
											CustomScanState *node);
extern void executor_writer_forget(ExecutorWriter *writer);
extern bool executor_is_own_group(int group);
extern void executor_refuse_null(Oid relid, AttrNumber attno);

#endif							/* EXECUTOR_WRITE_H */
