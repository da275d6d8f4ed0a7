/*-------------------------------------------------------------------------
 *
 * executor_modify.c
 *	  Writing in several groups: batches, their results, rows of RETURNING.
 *
 * A node that writes does all its work when it is asked for its first row, as
 * PostgreSQL's ModifyTable does in effect, and gives out what RETURNING wants
 * afterwards.  So nothing depends on how many rows the client fetches.
 *
 * Here is also the node of VDB_PLAN_MODIFY: one statement, sent as it is.
 *
 * IDENTIFICATION
 *	  src/executor/executor_modify.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "executor_write.h"

/* A node of VDB_PLAN_MODIFY */
typedef struct ModifyState
{
	CustomScanState node;
	VdbPlan    *plan;
	ExecutorParams *params;
	ExecutorWriter *writer;
	bool		done;
} ModifyState;

static void run_here(ExecutorWriter *writer, ExecutorBatch *batch,
					 const ExecutorParams *params);
static void keep_result(ExecutorWriter *writer, ExecutorBatch *batch,
						PGresult *result);
static void keep_rows(ExecutorWriter *writer, ExecutorBatch *batch,
					  const PGresult *result);
static void keep_tuple(ExecutorWriter *writer, ExecutorBatch *batch,
					   MinimalTuple tuple);
static int	compare_returned(const void *a, const void *b);
static void begin_modify(CustomScanState *node, EState *estate, int eflags);
static TupleTableSlot *exec_modify(CustomScanState *node);
static void write_groups(ModifyState *state);
static void end_modify(CustomScanState *node);
static void rescan_modify(CustomScanState *node);
static void explain_modify(CustomScanState *node, List *ancestors,
						   ExplainState *es);

static const CustomExecMethods modify_exec_methods = {
	.CustomName = "VecdbModify",
	.BeginCustomScan = begin_modify,
	.ExecCustomScan = exec_modify,
	.EndCustomScan = end_modify,
	.ReScanCustomScan = rescan_modify,
	.ExplainCustomScan = explain_modify
};

/*
 * executor_writer_create -- what a node needs to write
 *
 * In a context of its own below the present one.
 */
ExecutorWriter *
executor_writer_create(CustomScanState *node)
{
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "vecdb writer",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext before = MemoryContextSwitchTo(context);
	ExecutorWriter *writer = palloc0(sizeof(ExecutorWriter));

	writer->context = context;
	if (scan->custom_scan_tlist != NIL)
	{
		writer->desc = node->ss.ss_ScanTupleSlot->tts_tupleDescriptor;
		writer->columns = executor_columns_create(writer->desc);
	}
	MemoryContextSwitchTo(before);
	return writer;
}

/*
 * executor_batch_create -- an empty batch, its arrays allocated
 *
 * The caller fills in the text and the parameters.
 */
ExecutorBatch *
executor_batch_create(ExecutorWriter *writer, int group, int param_count,
					  int rows)
{
	MemoryContext context = AllocSetContextCreate(writer->context,
												  "vecdb batch",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext before = MemoryContextSwitchTo(context);
	ExecutorBatch *batch = palloc0(sizeof(ExecutorBatch));
	int			size = Max(param_count, 1);

	batch->context = context;
	batch->group = group;
	batch->counts = true;
	batch->rows = rows;
	batch->numbers = palloc0(rows * sizeof(int64));
	batch->param_count = param_count;
	batch->types = palloc0(size * sizeof(Oid));
	batch->formats = palloc0(size * sizeof(int));
	batch->datums = palloc0(size * sizeof(Datum));
	batch->nulls = palloc0(size * sizeof(bool));
	batch->values = palloc0(size * sizeof(char *));
	batch->lengths = palloc0(size * sizeof(int));
	MemoryContextSwitchTo(before);
	return batch;
}

/*
 * executor_writer_send -- have another group execute a batch
 *
 * Returns at once, unless very many are under way.  The types are in the text.
 */
void
executor_writer_send(ExecutorWriter *writer, ExecutorBatch *batch)
{
	MemoryContext before = MemoryContextSwitchTo(batch->context);
	VdbStatement *statement = &batch->statement;

	statement->sql = batch->sql;
	statement->param_count = batch->param_count;
	statement->param_types = palloc0(Max(batch->param_count, 1) * sizeof(Oid));
	statement->values = batch->values;
	statement->lengths = batch->lengths;
	statement->formats = batch->formats;
	statement->binary = writer->columns && writer->columns->binary;
	statement->writes = true;
	statement->once = batch->once;
	statement->role = writer->role;
	batch->request = vdb_remote_send(batch->group, statement);
	MemoryContextSwitchTo(writer->context);
	writer->under_way = lappend(writer->under_way, batch);
	MemoryContextSwitchTo(before);
}

/*
 * executor_writer_execute -- execute a batch of the own group
 */
void
executor_writer_execute(ExecutorWriter *writer, ExecutorBatch *batch)
{
	MemoryContext before = MemoryContextSwitchTo(batch->context);
	ExecutorParams params = {0};
	Oid			target;

	if (!writer->wrote_here)
		vdb_remote_local_write();
	writer->wrote_here = true;

	params.count = params.total = batch->param_count;
	params.types = batch->types;
	params.datums = batch->datums;
	params.nulls = batch->nulls;
	params.context = batch->context;
	target = vdb_planner_begin_share(writer->target);
	PG_TRY();
	{
		run_here(writer, batch, &params);
	}
	PG_FINALLY();
	{
		vdb_planner_end_share(target);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(before);
	MemoryContextDelete(batch->context);
}

/*
 * The share itself, in the batch's context
 *
 * Local mode is entered once for all rows: whoever leaves it has the plans of
 * triggers thrown away.
 */
static void
run_here(ExecutorWriter *writer, ExecutorBatch *batch,
		 const ExecutorParams *params)
{
	ExecutorLocal *local;
	TupleTableSlot *slot;

	vdb_catalog_enter_local();
	local = batch->once ?
		executor_local_open_once(writer->role, batch->sql, params) :
		executor_local_open_as(writer->role, batch->sql, params, true);
	while ((slot = executor_local_next(local)) != NULL)
	{
		MemoryContextSwitchTo(writer->context);
		if (writer->columns && batch->counts)
			keep_tuple(writer, batch, ExecCopySlotMinimalTuple(slot));
		MemoryContextSwitchTo(batch->context);
	}
	if (batch->counts)
		writer->affected += executor_local_affected(local);
	executor_local_close(local);
	vdb_catalog_leave_local();
}

/*
 * executor_writer_wait -- read results until only so many are under way
 */
void
executor_writer_wait(ExecutorWriter *writer, int batches_left)
{
	while (list_length(writer->under_way) > batches_left)
	{
		ExecutorBatch *batch = linitial(writer->under_way);
		PGresult   *result;

		CHECK_FOR_INTERRUPTS();
		while ((result = vdb_remote_row(batch->request)) != NULL)
			keep_result(writer, batch, result);
		if (batch->counts)
			writer->affected += vdb_remote_affected(batch->request);
		vdb_remote_close(batch->request);
		writer->under_way = list_delete_first(writer->under_way);
		MemoryContextDelete(batch->context);
	}
}

/* Keep the rows of a result, and clear it. */
static void
keep_result(ExecutorWriter *writer, ExecutorBatch *batch, PGresult *result)
{
	PG_TRY();
	{
		if (writer->columns && batch->counts)
			keep_rows(writer, batch, result);
	}
	PG_CATCH();
	{
		PQclear(result);
		PG_RE_THROW();
	}
	PG_END_TRY();
	PQclear(result);
}

static void
keep_rows(ExecutorWriter *writer, ExecutorBatch *batch,
		  const PGresult *result)
{
	MemoryContext before = MemoryContextSwitchTo(batch->context);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(writer->desc,
													&TTSOpsVirtual);

	for (int i = 0; i < PQntuples(result); i++)
	{
		ExecClearTuple(slot);
		executor_columns_decode(writer->columns, result, i, slot->tts_values,
								slot->tts_isnull);
		ExecStoreVirtualTuple(slot);
		MemoryContextSwitchTo(writer->context);
		keep_tuple(writer, batch, ExecCopySlotMinimalTuple(slot));
		MemoryContextSwitchTo(batch->context);
	}
	ExecDropSingleTupleTableSlot(slot);
	MemoryContextSwitchTo(before);
}

/*
 * Keep a row that a batch returned.  A statement returns its rows in their
 * order; where it left some out, by ON CONFLICT, the numbers are not exact, and
 * nobody can tell.
 */
static void
keep_tuple(ExecutorWriter *writer, ExecutorBatch *batch, MinimalTuple tuple)
{
	int			row = Min(batch->returned, batch->rows - 1);

	batch->returned++;
	if (writer->returned_count == writer->returned_size)
	{
		writer->returned_size = Max(64, writer->returned_size * 2);
		if (writer->returned == NULL)
			writer->returned =
				palloc(writer->returned_size * sizeof(ExecutorReturned));
		else
			writer->returned =
				repalloc_huge(writer->returned,
							  writer->returned_size * sizeof(ExecutorReturned));
	}
	writer->returned[writer->returned_count].number = batch->numbers[row];
	writer->returned[writer->returned_count].place = writer->returned_count;
	writer->returned[writer->returned_count++].tuple = tuple;
}

/*
 * executor_writer_finish -- wait for all, and say how many rows were written
 */
void
executor_writer_finish(ExecutorWriter *writer, CustomScanState *node)
{
	EState	   *estate = node->ss.ps.state;

	executor_writer_wait(writer, 0);
	if (estate->es_plannedstmt->canSetTag)
		estate->es_processed += writer->affected;
	if (writer->returned_count > 1)
		qsort(writer->returned, writer->returned_count,
			  sizeof(ExecutorReturned), compare_returned);
}

static int
compare_returned(const void *a, const void *b)
{
	const ExecutorReturned *one = a;
	const ExecutorReturned *other = b;

	if (one->number != other->number)
		return one->number < other->number ? -1 : 1;
	return one->place < other->place ? -1 : one->place > other->place;
}

/*
 * executor_writer_next -- the next row of RETURNING, or NULL
 */
TupleTableSlot *
executor_writer_next(ExecutorWriter *writer, CustomScanState *node)
{
	ExprContext *econtext = node->ss.ps.ps_ExprContext;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;

	if (writer->returned_next >= writer->returned_count)
		return NULL;
	ResetExprContext(econtext);
	ExecForceStoreMinimalTuple(writer->returned[writer->returned_next++].tuple,
							   slot, false);
	econtext->ecxt_scantuple = slot;
	if (node->ss.ps.ps_ProjInfo)
		return ExecProject(node->ss.ps.ps_ProjInfo);
	return slot;
}

/*
 * executor_writer_forget -- at the end of the node, also before all was read
 */
void
executor_writer_forget(ExecutorWriter *writer)
{
	ListCell   *cell;

	foreach(cell, writer->under_way)
		vdb_remote_close(((ExecutorBatch *) lfirst(cell))->request);
	writer->under_way = NIL;
	MemoryContextDelete(writer->context);
}

bool
executor_is_own_group(int group)
{
	return group == vdb_catalog_cluster()->local_group;
}

/*
 * executor_refuse_null -- a row without a key has no group
 *
 * If the column may not be null anyway the message is PostgreSQL's; else this
 * returns, and vdb_catalog_shard() says why not.
 */
void
executor_refuse_null(Oid relid, AttrNumber attno)
{
	HeapTuple	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relid),
										Int16GetDatum(attno));
	bool		not_null;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for column %d of relation %u",
			 attno, relid);
	not_null = ((Form_pg_attribute) GETSTRUCT(tuple))->attnotnull;
	ReleaseSysCache(tuple);
	if (not_null)
		ereport(ERROR,
				(errcode(ERRCODE_NOT_NULL_VIOLATION),
				 errmsg("null value in column \"%s\" of relation \"%s\" violates not-null constraint",
						get_attname(relid, attno, false), get_rel_name(relid)),
				 errdetail("The column is in the distribution key, which decides where the row is stored.")));
}

Node *
executor_modify_create(CustomScan *scan, VdbPlan *plan)
{
	ModifyState *state = (ModifyState *) newNode(sizeof(ModifyState),
												 T_CustomScanState);

	state->node.methods = &modify_exec_methods;
	state->plan = plan;
	return (Node *) state;
}

static void
begin_modify(CustomScanState *node, EState *estate, int eflags)
{
	ModifyState *state = (ModifyState *) node;
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;

	state->params = executor_params_create(scan->custom_exprs,
										   state->plan->param_count,
										   &node->ss.ps);
	state->writer = executor_writer_create(node);
	state->writer->target = state->plan->relid;
}

static TupleTableSlot *
exec_modify(CustomScanState *node)
{
	ModifyState *state = (ModifyState *) node;

	if (!state->done)
	{
		write_groups(state);
		executor_writer_finish(state->writer, node);
		state->done = true;
	}
	return executor_writer_next(state->writer, node);
}

/* Send the statement to its groups, and execute the own share meanwhile. */
static void
write_groups(ModifyState *state)
{
	ExecutorParams *params = state->params;
	ExecutorBatch *own = NULL;
	int64		number = 0;
	ListCell   *cell;

	vdb_catalog_refresh();
	executor_params_evaluate(params, state->node.ss.ps.ps_ExprContext);
	foreach(cell, executor_groups(state->plan, params))
	{
		ExecutorBatch *batch = executor_batch_create(state->writer,
													 lfirst_int(cell),
													 params->count, 1);

		batch->sql = state->plan->sql;
		batch->numbers[0] = number++;
		if (executor_is_own_group(batch->group))
		{
			own = batch;
			continue;
		}
		executor_params_encode(params);
		for (int i = 0; i < params->count; i++)
		{
			batch->values[i] = params->values[i];
			batch->lengths[i] = params->lengths[i];
			batch->formats[i] = params->formats[i];
		}
		executor_writer_send(state->writer, batch);
	}
	if (own)
	{
		for (int i = 0; i < params->count; i++)
		{
			own->types[i] = params->types[i];
			own->datums[i] = params->datums[i];
			own->nulls[i] = params->nulls[i];
		}
		executor_writer_execute(state->writer, own);
	}
}

static void
end_modify(CustomScanState *node)
{
	executor_writer_forget(((ModifyState *) node)->writer);
}

static void
rescan_modify(CustomScanState *node)
{
	if (((ModifyState *) node)->done)
		elog(ERROR, "a statement that writes cannot be executed again");
}

static void
explain_modify(CustomScanState *node, List *ancestors, ExplainState *es)
{
	ModifyState *state = (ModifyState *) node;

	executor_explain_target(state->plan, state->params, es);
	if (es->verbose)
		ExplainPropertyText("Shard Statement", state->plan->sql, es);
}
