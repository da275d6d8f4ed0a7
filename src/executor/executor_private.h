/*-------------------------------------------------------------------------
 *
 * executor_private.h
 *	  What the files of the executor room share.
 *
 * IDENTIFICATION
 *	  src/executor/executor_private.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef EXECUTOR_PRIVATE_H
#define EXECUTOR_PRIVATE_H

#include "commands/explain.h"
#include "executor/executor.h"
#include "lib/binaryheap.h"
#include "nodes/extensible.h"
#include "portability/instr_time.h"
#include "utils/plancache.h"
#include "utils/sortsupport.h"

#include "vecdb/catalog.h"
#include "vecdb/planner.h"
#include "vecdb/remote.h"

/* functions in executor_fanout_value.c */

/*
 * Parameters of a shard statement, and of the key that says where it goes.
 * The first "count" are parameters; there may be more values for the key.
 */
typedef struct ExecutorParams
{
	int			count;			/* of the statement */
	int			total;			/* with those of the key */
	List	   *states;			/* ExprStates */
	Oid		   *types;
	FmgrInfo   *output;			/* send or output function */
	int		   *formats;		/* 1: binary */
	/* values of the present execution, in "context" */
	MemoryContext context;
	Datum	   *datums;
	bool	   *nulls;
	const char **values;		/* as sent */
	int		   *lengths;
} ExecutorParams;

extern int	executor_begin_text(void);
extern void executor_end_text(int nest_level);
extern ExecutorParams *executor_params_create(List *exprs, int count,
											  PlanState *parent);
extern void executor_params_evaluate(ExecutorParams *params,
									 ExprContext *econtext);
extern void executor_params_encode(ExecutorParams *params);

/* How columns of a result become values */
typedef struct ExecutorColumns
{
	TupleDesc	desc;
	bool		binary;			/* all in binary form, or all as text */
	FmgrInfo   *input;
	Oid		   *ioparams;
	int		   *typmods;
} ExecutorColumns;

extern ExecutorColumns *executor_columns_create(TupleDesc desc);
extern void executor_columns_decode(const ExecutorColumns *columns,
									const PGresult *result, int row,
									Datum *values, bool *nulls);

/* functions in executor_fanout_local.c */

/*
 * The own group's share of a shard statement, executed in this process in
 * local mode; a plan below the plan.
 */
typedef struct ExecutorLocal ExecutorLocal;

/*
 * executor_local_open -- begin the own group's share
 *
 * The statement is prepared once per backend.  Of params, the types and the
 * present values are used.  The active snapshot is.  Everything is allocated
 * in the current memory context.
 */
extern ExecutorLocal *executor_local_open(const char *sql,
										  const ExecutorParams *params,
										  bool writes);

/*
 * executor_local_open_once -- the same, of a text that will hardly come again
 *
 * It writes.  The statement is forgotten with the current memory context.
 */
extern ExecutorLocal *executor_local_open_once(Oid role, const char *sql,
											   const ExecutorParams *params);
extern ExecutorLocal *executor_local_open_as(Oid role, const char *sql,
											 const ExecutorParams *params,
											 bool writes);

/* executor_local_next -- the next row, valid until the next call, or NULL */
extern TupleTableSlot *executor_local_next(ExecutorLocal *local);

/* executor_local_affected -- rows changed, once there is no next row */
extern uint64 executor_local_affected(const ExecutorLocal *local);
extern void executor_local_close(ExecutorLocal *local);

/* functions in executor_fanout_group.c */

/*
 * executor_groups -- numbers of the groups that a plan goes to
 *
 * Params has been evaluated.
 */
extern List *executor_groups(const VdbPlan *plan,
							 const ExecutorParams *params);
extern int	executor_here(const List *groups, VdbReadFrom level);
extern List *executor_owner_groups(const VdbTable *table);
extern _Noreturn void executor_report_ordinary(Oid relid);

/* functions in executor_fanout_source.c */

/* A group's share of a fan-out, and the row that it is at */
typedef struct ExecutorSource
{
	int			group;
	VdbRequest *request;		/* another group's, or */
	ExecutorLocal *local;		/* the own group's */
	bool		done;			/* there is no next row */
	bool		failed;			/* left out, vecdb.partial_results */
	PGresult   *result;			/* rows received and not read yet */
	int			next;			/* of them */
	MemoryContext context;		/* of the values below */
	Datum	   *values;
	bool	   *nulls;
	/* for EXPLAIN */
	const char *host;
	double		rows;
	double		time;			/* ms from sending to the last row */
} ExecutorSource;

/* The fan-out node */
typedef struct ExecutorFanout
{
	CustomScanState node;
	VdbPlan    *plan;
	ExecutorParams *params;
	ExecutorColumns *columns;
	VdbStatement statement;
	bool		started;		/* parameters evaluated, statement sent */
	bool		read;			/* since then, a row was asked for */
	MemoryContext context;		/* of one execution */
	int			source_count;
	ExecutorSource *sources;
	VdbRequest **requests;		/* of sources that are not done, else NULL */
	ExecutorSource *current;	/* whose row was returned last */
	uint64		turn;			/* rows asked for, in order of arrival */
	instr_time	start;
	/* merge */
	SortSupport sort_keys;
	binaryheap *heap;			/* numbers of sources, the next row's on top */
	/* for EXPLAIN, of all executions together */
	int			total_count;
	ExecutorSource *totals;		/* by group */
} ExecutorFanout;

extern bool executor_partial_results;

extern void executor_sources_open(ExecutorFanout *fanout);
extern bool executor_source_next(ExecutorFanout *fanout,
								 ExecutorSource *source);
extern void executor_sources_close(ExecutorFanout *fanout);

/* functions in executor_merge.c */
extern void executor_merge_create(ExecutorFanout *fanout);
extern void executor_merge_begin(ExecutorFanout *fanout);
extern ExecutorSource *executor_merge_next(ExecutorFanout *fanout);

/* functions in executor_explain.c */
extern void executor_explain(CustomScanState *node, List *ancestors,
							 ExplainState *es);
extern void executor_explain_target(const VdbPlan *plan,
									const ExecutorParams *params,
									ExplainState *es);

/* functions in executor_fanout.c */
extern const CustomScanMethods executor_fanout_methods;
extern void executor_pass_begin(CustomScanState *node, EState *estate,
								int eflags);
extern TupleTableSlot *executor_pass_row(CustomScanState *node);
extern void executor_pass_end(CustomScanState *node);
extern void executor_pass_rescan(CustomScanState *node);

/* functions in executor_insert.c */
extern const CustomScanMethods executor_insert_methods;

/* functions in executor_modify.c */

/* executor_modify_create -- the state of a node of VDB_PLAN_MODIFY */
extern Node *executor_modify_create(CustomScan *scan, VdbPlan *plan);

#endif							/* EXECUTOR_PRIVATE_H */
