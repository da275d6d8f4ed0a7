/*-------------------------------------------------------------------------
 *
 * executor_fanout.c
 *	  The plan node "Fan-out": rows of a shard statement, of all its groups.
 *
 * Nothing happens until the first row is asked for.  Then parameters are
 * evaluated, the statement is sent to all other groups, and the own group's
 * share is begun.  Rows are merged if the plan has sort keys; else they come
 * as they arrive, the own group's while others are waited for.  A cursor has
 * to show what there was when it was declared, so for one the statement is
 * sent then.
 *
 * A rescan begins anew, with what parameters are then.
 *
 * The node also passes on the rows of a plan below it (VDB_PLAN_PASS), where
 * PostgreSQL finishes what groups have computed in part.
 *
 * IDENTIFICATION
 *	  src/executor/executor_fanout.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "tcop/pquery.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/portal.h"

#include "vecdb/executor.h"
#include "executor_private.h"

/* Rows of the own group before sockets are looked at again */
#define ROWS_BEFORE_LOOKING	64

static Node *create_state(CustomScan *scan);
static void fanout_begin(CustomScanState *node, EState *estate, int eflags);
static TupleTableSlot *fanout_execute(CustomScanState *node);
static TupleTableSlot *fanout_next(ScanState *node);
static bool fanout_recheck(ScanState *node, TupleTableSlot *slot);
static bool is_declared_now(CustomScanState *node);
static void fanout_start(ExecutorFanout *fanout);
static bool own_is_done(const ExecutorFanout *fanout);
static ExecutorSource *next_arrived(ExecutorFanout *fanout);
static void fanout_end(CustomScanState *node);
static void fanout_rescan(CustomScanState *node);
static void fanout_stop(ExecutorFanout *fanout);
static TupleTableSlot *pass_execute(CustomScanState *node);
static TupleTableSlot *pass_next(ScanState *node);

const CustomScanMethods executor_fanout_methods = {
	.CustomName = "Fan-out",
	.CreateCustomScanState = create_state
};

static const CustomExecMethods fanout_exec_methods = {
	.CustomName = "Fan-out",
	.BeginCustomScan = fanout_begin,
	.ExecCustomScan = fanout_execute,
	.EndCustomScan = fanout_end,
	.ReScanCustomScan = fanout_rescan,
	.ExplainCustomScan = executor_explain
};

static const CustomExecMethods pass_exec_methods = {
	.CustomName = "Fan-out Result",
	.BeginCustomScan = executor_pass_begin,
	.ExecCustomScan = pass_execute,
	.EndCustomScan = executor_pass_end,
	.ReScanCustomScan = executor_pass_rescan
};

/*
 * vdb_executor_init -- register plan nodes; from _PG_init when preloaded
 */
void
vdb_executor_init(void)
{
	DefineCustomBoolVariable("vecdb.partial_results",
							 "Returns what other groups have when a group cannot be reached.",
							 "A WARNING says which group is missing. Statements that write or lock rows fail all the same.",
							 &executor_partial_results, false, PGC_USERSET, 0,
							 NULL, NULL, NULL);
	RegisterCustomScanMethods(&executor_fanout_methods);
	RegisterCustomScanMethods(&executor_insert_methods);
	vdb_planner_set_methods(&executor_fanout_methods);
}

/* CreateCustomScanState: each kind of plan has its own state. */
static Node *
create_state(CustomScan *scan)
{
	VdbPlan    *plan = vdb_plan_read(scan->custom_private);
	ExecutorFanout *fanout;

	if (plan->kind == VDB_PLAN_MODIFY)
		return executor_modify_create(scan, plan);

	fanout = (ExecutorFanout *) palloc0(sizeof(ExecutorFanout));
	NodeSetTag(fanout, T_CustomScanState);
	fanout->node.methods = plan->kind == VDB_PLAN_PASS ? &pass_exec_methods :
		&fanout_exec_methods;
	fanout->plan = plan;
	return (Node *) fanout;
}

/* BeginCustomScan */
static void
fanout_begin(CustomScanState *node, EState *estate, int eflags)
{
	ExecutorFanout *fanout = (ExecutorFanout *) node;
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;

	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;
	fanout->columns =
		executor_columns_create(node->ss.ss_ScanTupleSlot->tts_tupleDescriptor);
	fanout->params = executor_params_create(scan->custom_exprs,
											fanout->plan->param_count,
											&node->ss.ps);
	fanout->context = AllocSetContextCreate(estate->es_query_cxt,
											"fan-out",
											ALLOCSET_SMALL_SIZES);
	if (fanout->plan->sort_count > 0)
		executor_merge_create(fanout);
	if (is_declared_now(node))
		fanout_start(fanout);
}

/* ExecCustomScan */
static TupleTableSlot *
fanout_execute(CustomScanState *node)
{
	return ExecScan(&node->ss, fanout_next, fanout_recheck);
}

/* The next row as it comes from the groups */
static TupleTableSlot *
fanout_next(ScanState *node)
{
	ExecutorFanout *fanout = (ExecutorFanout *) node;
	TupleTableSlot *slot = node->ss_ScanTupleSlot;
	int			count = slot->tts_tupleDescriptor->natts;
	MemoryContext old;

	ExecClearTuple(slot);
	if (!fanout->started)
		fanout_start(fanout);
	fanout->read = true;

	old = MemoryContextSwitchTo(fanout->context);
	/* one source needs no merge */
	if (fanout->plan->sort_count > 0 && fanout->source_count > 1 &&
		fanout->heap == NULL)
		executor_merge_begin(fanout);
	fanout->current = fanout->heap ? executor_merge_next(fanout) :
		next_arrived(fanout);
	MemoryContextSwitchTo(old);
	if (fanout->current == NULL)
		return slot;

	memcpy(slot->tts_values, fanout->current->values, count * sizeof(Datum));
	memcpy(slot->tts_isnull, fanout->current->nulls, count * sizeof(bool));
	return ExecStoreVirtualTuple(slot);
}

/*
 * Rows are not read again when another transaction has changed them: their
 * groups have locked them, or they are kept whole.
 */
static bool
fanout_recheck(ScanState *node, TupleTableSlot *slot)
{
	return true;
}

/*
 * Is the plan begun by the declaration of a cursor, and does the node not wait
 * for values of other nodes?  Then other groups have to begin before this
 * transaction writes there.  Where rows are locked the cursor shows what it
 * locks, as it is then.
 *
 * What the node waits for includes subqueries that are its own (initPlan):
 * PostgreSQL makes them ready only after BeginCustomScan, and extParam leaves
 * them out.
 */
static bool
is_declared_now(CustomScanState *node)
{
	return ActivePortal && ActivePortal->name[0] != '\0' &&
		ActivePortal->status == PORTAL_DEFINED &&
		bms_is_empty(node->ss.ps.plan->allParam) &&
		!((ExecutorFanout *) node)->plan->writes;
}

/* Evaluate parameters and send. */
static void
fanout_start(ExecutorFanout *fanout)
{
	vdb_catalog_refresh();
	executor_params_evaluate(fanout->params,
							 fanout->node.ss.ps.ps_ExprContext);
	fanout->started = true;
	executor_sources_open(fanout);
}

/* Has the own group no more rows, or no share in the fan-out? */
static bool
own_is_done(const ExecutorFanout *fanout)
{
	const ExecutorSource *last = &fanout->sources[fanout->source_count - 1];

	return !last->local || last->done;
}

/*
 * The source that is at the next row in order of arrival, or NULL at the end.
 * What has been received comes first, then the own group's rows, and only then
 * is there waiting.  A look at the sockets is a system call, so the own group's
 * rows are not each preceded by one, and waiting is a look as well.
 */
static ExecutorSource *
next_arrived(ExecutorFanout *fanout)
{
	/* there is nothing to choose from */
	if (fanout->source_count == 1)
		return executor_source_next(fanout, fanout->sources) ?
			fanout->sources : NULL;

	for (;;)
	{
		ExecutorSource *source = NULL;
		bool		waiting = false;
		bool		look = !own_is_done(fanout) &&
		++fanout->turn % ROWS_BEFORE_LOOKING == 0;

		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < fanout->source_count; i++)
		{
			ExecutorSource *candidate = &fanout->sources[i];

			if (candidate->done)
				continue;
			if (candidate->local)
			{
				if (source == NULL)
					source = candidate;
			}
			else if ((candidate->result &&
					  candidate->next < PQntuples(candidate->result)) ||
					 (look && vdb_remote_is_ready(candidate->request)))
			{
				source = candidate;
				break;
			}
			else
				waiting = true;
		}
		if (source == NULL)
		{
			if (!waiting)
				return NULL;
			source = &fanout->sources[vdb_remote_wait_any(fanout->requests,
														  fanout->source_count)];
		}
		if (executor_source_next(fanout, source))
			return source;
	}
}

/* EndCustomScan */
static void
fanout_end(CustomScanState *node)
{
	fanout_stop((ExecutorFanout *) node);
}

/* ReScanCustomScan: what has been sent and not read is still good. */
static void
fanout_rescan(CustomScanState *node)
{
	ExecutorFanout *fanout = (ExecutorFanout *) node;

	if (fanout->read || node->ss.ps.chgParam != NULL)
		fanout_stop(fanout);
	ExecScanReScan(&node->ss);
}

/* Close the sources, whether read to the end or not. */
static void
fanout_stop(ExecutorFanout *fanout)
{
	if (!fanout->started)
		return;
	executor_sources_close(fanout);
	MemoryContextReset(fanout->context);
	fanout->started = false;
	fanout->read = false;
	fanout->current = NULL;
	fanout->heap = NULL;
}

/*
 * executor_pass_begin -- BeginCustomScan of a node that passes rows on
 *
 * The plan below is the only one of its custom_plans.
 */
void
executor_pass_begin(CustomScanState *node, EState *estate, int eflags)
{
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;

	node->custom_ps = list_make1(ExecInitNode(linitial(scan->custom_plans),
											  estate, eflags));
}

/*
 * executor_pass_row -- the next row of the plan below, in the node's slot
 *
 * The slot is empty at the end.
 */
TupleTableSlot *
executor_pass_row(CustomScanState *node)
{
	TupleTableSlot *below = ExecProcNode(linitial(node->custom_ps));
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;
	int			count = slot->tts_tupleDescriptor->natts;

	ExecClearTuple(slot);
	if (TupIsNull(below))
		return slot;
	slot_getallattrs(below);
	memcpy(slot->tts_values, below->tts_values, count * sizeof(Datum));
	memcpy(slot->tts_isnull, below->tts_isnull, count * sizeof(bool));
	return ExecStoreVirtualTuple(slot);
}

/* executor_pass_end -- EndCustomScan of a node that passes rows on */
void
executor_pass_end(CustomScanState *node)
{
	ExecEndNode(linitial(node->custom_ps));
}

/* executor_pass_rescan -- ReScanCustomScan of a node that passes rows on */
void
executor_pass_rescan(CustomScanState *node)
{
	PlanState  *below = linitial(node->custom_ps);

	if (node->ss.ps.chgParam)
		UpdateChangedParamSet(below, node->ss.ps.chgParam);
	if (below->chgParam == NULL)
		ExecReScan(below);
	ExecScanReScan(&node->ss);
}

/* ExecCustomScan of the node of VDB_PLAN_PASS */
static TupleTableSlot *
pass_execute(CustomScanState *node)
{
	return ExecScan(&node->ss, pass_next, fanout_recheck);
}

static TupleTableSlot *
pass_next(ScanState *node)
{
	return executor_pass_row((CustomScanState *) node);
}
