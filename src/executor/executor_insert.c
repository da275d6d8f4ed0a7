/*-------------------------------------------------------------------------
 *
 * executor_insert.c
 *	  The node over a plan that gives the parameters of what is written.
 *
 * See include/vecdb/planner_write.h.  For INSERT each row of the plan below
 * goes to the group that owns its shard.  Rows for one group are put together
 * into INSERT ... VALUES of a few sizes, so that the other side parses each
 * text once; they are sent as they fill, and answers are read at the end.
 *
 * IDENTIFICATION
 *	  src/executor/executor_insert.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "vecdb/executor.h"
#include "vecdb/planner_write.h"
#include "executor_write.h"

/*
 * Rows of one statement: as many as there are, in the largest sizes.  All of a
 * group in one statement if possible, where the plan says so.
 */
static const int batch_sizes[] = {64, 8, 1};

#define LARGEST_BATCH		64
#define LARGEST_TOGETHER	10000
#define MAX_PARAMETERS		65535

/* Rows that wait to be sent to a group */
typedef struct Share
{
	int			group;
	MemoryContext context;		/* of the rows */
	MinimalTuple *rows;
	int64	   *numbers;
	int			count;
	int			size;
} Share;

typedef struct WriteState
{
	CustomScanState node;
	VdbWritePlan *plan;
	ExecutorWriter *writer;
	bool		done;
	MemoryContext context;		/* of this and all below */
	List	   *shares;
	List	   *owners;			/* groups, of VDB_WRITE_OWNERS */
	/* columns of the plan below, which are parameters */
	int			column_count;
	Oid		   *types;
	FmgrInfo   *output;			/* send or output function */
	int		   *formats;
	int			largest;		/* rows of a statement */
	TupleTableSlot *row;
	char	   *texts[lengthof(batch_sizes)];
} WriteState;

static Node *create_write(CustomScan *scan);
static void begin_write(CustomScanState *node, EState *estate, int eflags);
static TupleTableSlot *exec_write(CustomScanState *node);
static void end_write(CustomScanState *node);
static void rescan_write(CustomScanState *node);
static void explain_write(CustomScanState *node, List *ancestors,
						  ExplainState *es);
static void prepare_columns(WriteState *state, TupleDesc desc);
static void write_rows(WriteState *state);
static Tuplestorestate *read_source(PlanState *source);
static void route_row(WriteState *state, const VdbTable *table,
					  TupleTableSlot *slot, int64 number);
static int	find_group(WriteState *state, const VdbTable *table,
					   TupleTableSlot *slot);
static Share *add_row(WriteState *state, int group, TupleTableSlot *slot,
					  int64 number);
static void flush_shares(WriteState *state);
static void flush_share(WriteState *state, Share *share);
static void send_rows(WriteState *state, Share *share, int first, int count);
static void set_parameter(WriteState *state, ExecutorBatch *batch, int place,
						  int column);
static char *get_text(WriteState *state, int rows, ExecutorBatch *batch);
static char *repeat_row(const VdbWritePlan *plan, int total, int rows);
static const char *find_row(const char *sql, const char **end);
static const char *skip_quoted(const char *at);
static void append_row(StringInfo text, const char *from, const char *end,
					   int offset);

const CustomScanMethods executor_insert_methods = {
	.CustomName = VDB_WRITE_NODE,
	.CreateCustomScanState = create_write
};

static const CustomExecMethods write_exec_methods = {
	.CustomName = VDB_WRITE_NODE,
	.BeginCustomScan = begin_write,
	.ExecCustomScan = exec_write,
	.EndCustomScan = end_write,
	.ReScanCustomScan = rescan_write,
	.ExplainCustomScan = explain_write
};

static Node *
create_write(CustomScan *scan)
{
	WriteState *state = (WriteState *) newNode(sizeof(WriteState),
											   T_CustomScanState);

	state->node.methods = &write_exec_methods;
	state->plan = vdb_write_plan_read(scan->custom_private);
	return (Node *) state;
}

static void
begin_write(CustomScanState *node, EState *estate, int eflags)
{
	WriteState *state = (WriteState *) node;
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;
	PlanState  *source = ExecInitNode(linitial(scan->custom_plans), estate,
									  eflags & ~(EXEC_FLAG_REWIND |
												 EXEC_FLAG_BACKWARD |
												 EXEC_FLAG_MARK));

	node->custom_ps = list_make1(source);
	state->context = AllocSetContextCreate(CurrentMemoryContext,
										   "vecdb rows to write",
										   ALLOCSET_DEFAULT_SIZES);
	state->writer = executor_writer_create(node);
	state->writer->role = state->plan->role;
	state->writer->target = state->plan->relid;
	prepare_columns(state, ExecGetResultType(source));
}

/* How columns of the plan below are sent. */
static void
prepare_columns(WriteState *state, TupleDesc desc)
{
	MemoryContext before = MemoryContextSwitchTo(state->context);
	int			row_params = state->plan->row_params;

	state->column_count = desc->natts;
	state->types = palloc0(Max(desc->natts, 1) * sizeof(Oid));
	state->output = palloc0(Max(desc->natts, 1) * sizeof(FmgrInfo));
	state->formats = palloc0(Max(desc->natts, 1) * sizeof(int));
	for (int i = 0; i < desc->natts; i++)
	{
		Oid			type = TupleDescAttr(desc, i)->atttypid;
		Oid			function;
		bool		varlena;

		state->types[i] = type;
		state->formats[i] = vdb_executor_type_is_binary(type) ? 1 : 0;
		if (state->formats[i])
			getTypeBinaryOutputInfo(type, &function, &varlena);
		else
			getTypeOutputInfo(type, &function, &varlena);
		fmgr_info(function, &state->output[i]);
	}
	state->row = MakeSingleTupleTableSlot(CreateTupleDescCopy(desc),
										  &TTSOpsMinimalTuple);
	state->largest = 1;
	if (row_params > 0)
		state->largest = Max(1, Min(state->plan->together ?
									LARGEST_TOGETHER : LARGEST_BATCH,
									(MAX_PARAMETERS - desc->natts) /
									row_params));
	MemoryContextSwitchTo(before);
}

static TupleTableSlot *
exec_write(CustomScanState *node)
{
	WriteState *state = (WriteState *) node;

	if (!state->done)
	{
		write_rows(state);
		executor_writer_finish(state->writer, node);
		state->done = true;
	}
	return executor_writer_next(state->writer, node);
}

static void
end_write(CustomScanState *node)
{
	WriteState *state = (WriteState *) node;

	ExecEndNode(linitial(node->custom_ps));
	ExecDropSingleTupleTableSlot(state->row);
	executor_writer_forget(state->writer);
	MemoryContextDelete(state->context);
}

static void
rescan_write(CustomScanState *node)
{
	if (((WriteState *) node)->done)
		elog(ERROR, "a statement that writes cannot be executed again");
	ExecReScan(linitial(node->custom_ps));
}

static void
explain_write(CustomScanState *node, List *ancestors, ExplainState *es)
{
	WriteState *state = (WriteState *) node;
	static const char *const targets[] = {
		"by key", "owners of shards", "all groups"
	};

	ExplainPropertyText("Target", targets[state->plan->target], es);
	if (es->verbose)
		ExplainPropertyText("Shard Statement", state->plan->sql, es);
}

/* Read the plan below and write all of it. */
static void
write_rows(WriteState *state)
{
	const VdbTable *table;
	PlanState  *source = linitial(state->node.custom_ps);
	Tuplestorestate *store = NULL;
	TupleTableSlot *slot;
	int64		number = 0;

	vdb_catalog_refresh();
	table = vdb_catalog_table(state->plan->relid);
	if (table == NULL)
		executor_report_ordinary(state->plan->relid);
	if (state->plan->target == VDB_WRITE_OWNERS)
		state->owners = executor_owner_groups(table);
	if (state->plan->materialise)
	{
		store = read_source(source);
		slot = MakeSingleTupleTableSlot(ExecGetResultType(source),
										&TTSOpsMinimalTuple);
		while (tuplestore_gettupleslot(store, true, false, slot))
			route_row(state, table, slot, number++);
		ExecDropSingleTupleTableSlot(slot);
		tuplestore_end(store);
	}
	else
	{
		for (;;)
		{
			slot = ExecProcNode(source);
			if (TupIsNull(slot))
				break;
			route_row(state, table, slot, number++);
		}
	}

	flush_shares(state);
}

/*
 * Send all that waits: others first, so that they work while the own share is
 * executed.
 *
 * Of a reference table one group is before all others, the same for all who
 * write: there they queue for rows that others hold, and not crosswise.
 */
static void
flush_shares(WriteState *state)
{
	ListCell   *cell;

	if (state->plan->target == VDB_WRITE_EVERYWHERE && state->shares != NIL)
	{
		flush_share(state, linitial(state->shares));
		executor_writer_wait(state->writer, 0);
	}
	foreach(cell, state->shares)
	{
		if (!executor_is_own_group(((Share *) lfirst(cell))->group))
			flush_share(state, lfirst(cell));
	}
	foreach(cell, state->shares)
		flush_share(state, lfirst(cell));
}

static Tuplestorestate *
read_source(PlanState *source)
{
	Tuplestorestate *store = tuplestore_begin_heap(false, false, work_mem);
	TupleTableSlot *slot;

	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		slot = ExecProcNode(source);
		if (TupIsNull(slot))
			return store;
		tuplestore_puttupleslot(store, slot);
	}
}

/* Find out where a row goes. */
static void
route_row(WriteState *state, const VdbTable *table, TupleTableSlot *slot,
		  int64 number)
{
	const VdbCluster *cluster = vdb_catalog_cluster();
	Share	   *share = NULL;
	ListCell   *cell;

	CHECK_FOR_INTERRUPTS();
	slot_getallattrs(slot);
	switch (state->plan->target)
	{
		case VDB_WRITE_BY_KEY:
			share = add_row(state, find_group(state, table, slot), slot,
							number);
			if (share->count >= state->largest)
				flush_share(state, share);
			break;
		case VDB_WRITE_OWNERS:
			foreach(cell, state->owners)
			{
				share = add_row(state, lfirst_int(cell), slot,
								foreach_current_index(cell));
				if (share->count >= state->largest)
					flush_share(state, share);
			}
			break;
		case VDB_WRITE_EVERYWHERE:
			for (int i = 0; i < cluster->group_count; i++)
				share = add_row(state, cluster->groups[i].id, slot, number);
			if (share->count >= state->largest)
				flush_shares(state);
			break;
	}
}

/* The group that owns the shard of a row. */
static int
find_group(WriteState *state, const VdbTable *table, TupleTableSlot *slot)
{
	Datum		values[INDEX_MAX_KEYS];
	bool		nulls[INDEX_MAX_KEYS];
	ListCell   *cell;

	foreach(cell, state->plan->keys)
	{
		int			i = foreach_current_index(cell);

		values[i] = slot->tts_values[lfirst_int(cell) - 1];
		nulls[i] = slot->tts_isnull[lfirst_int(cell) - 1];
		if (!nulls[i])
			continue;
		/* it has no match; whether it may be inserted is for PostgreSQL */
		if (state->plan->command == CMD_MERGE)
			return vdb_catalog_cluster()->local_group;
		executor_refuse_null(table->relid, table->keys[i]);
	}
	return table->shard_groups[vdb_catalog_shard(table, values, nulls)];
}

/* Put a row to those of its group. */
static Share *
add_row(WriteState *state, int group, TupleTableSlot *slot, int64 number)
{
	MemoryContext before = MemoryContextSwitchTo(state->context);
	Share	   *share = NULL;
	ListCell   *cell;

	foreach(cell, state->shares)
	{
		if (((Share *) lfirst(cell))->group == group)
			share = lfirst(cell);
	}
	if (share == NULL)
	{
		share = palloc0(sizeof(Share));
		share->group = group;
		share->context = AllocSetContextCreate(state->context,
											   "vecdb rows of a group",
											   ALLOCSET_DEFAULT_SIZES);
		state->shares = lappend(state->shares, share);
	}
	if (share->count == share->size)
	{
		share->size = share->size ? share->size * 2 : 8;
		share->rows = share->rows ?
			repalloc(share->rows, share->size * sizeof(MinimalTuple)) :
			palloc(share->size * sizeof(MinimalTuple));
		share->numbers = share->numbers ?
			repalloc(share->numbers, share->size * sizeof(int64)) :
			palloc(share->size * sizeof(int64));
	}
	MemoryContextSwitchTo(share->context);
	share->rows[share->count] = ExecCopySlotMinimalTuple(slot);
	share->numbers[share->count++] = number;
	MemoryContextSwitchTo(before);
	return share;
}

/* Send the rows of a group, in statements as large as there are texts for. */
static void
flush_share(WriteState *state, Share *share)
{
	int			first = 0;

	while (first < share->count)
	{
		int			left = share->count - first;
		int			count = left;

		if (state->largest == 1)
			count = 1;
		else if (!state->plan->together)
		{
			for (int i = 0; i < lengthof(batch_sizes); i++)
			{
				count = batch_sizes[i];
				if (count <= left && count <= state->largest)
					break;
			}
		}
		send_rows(state, share, first, count);
		first += count;
	}
	share->count = 0;
	MemoryContextReset(share->context);
}

/* Send some rows of a group in one statement. */
static void
send_rows(WriteState *state, Share *share, int first, int count)
{
	int			row_params = state->plan->row_params;
	ExecutorBatch *batch =
	executor_batch_create(state->writer, share->group,
						  state->column_count + (count - 1) * row_params,
						  count);
	int			nest_level;

	batch->sql = get_text(state, count, batch);
	/* of a reference table the own group's result stands for all */
	batch->counts = state->plan->target != VDB_WRITE_EVERYWHERE ||
		executor_is_own_group(share->group);
	nest_level = executor_begin_text();

	for (int i = 0; i < count; i++)
	{
		int			offset = i == 0 ? 0 :
		state->column_count + (i - 1) * row_params;

		batch->numbers[i] = share->numbers[first + i];
		ExecStoreMinimalTuple(share->rows[first + i], state->row, false);
		slot_getallattrs(state->row);
		if (i == 0)
		{
			for (int k = 0; k < state->column_count; k++)
				set_parameter(state, batch, k, k);
			continue;
		}
		for (int k = 0; k < row_params; k++)
			set_parameter(state, batch, offset + k,
						  state->plan->first_row_param + k);
	}
	executor_end_text(nest_level);
	if (executor_is_own_group(share->group))
		executor_writer_execute(state->writer, batch);
	else
	{
		executor_writer_send(state->writer, batch);
		executor_writer_wait(state->writer, EXECUTOR_BATCHES_UNDER_WAY);
	}
}

/* Make a column of the present row a parameter of a batch. */
static void
set_parameter(WriteState *state, ExecutorBatch *batch, int place, int column)
{
	MemoryContext before;
	Datum		value = state->row->tts_values[column];

	batch->types[place] = state->types[column];
	batch->nulls[place] = state->row->tts_isnull[column];
	batch->formats[place] = state->formats[column];
	if (batch->nulls[place])
		return;
	if (executor_is_own_group(batch->group))
	{
		batch->datums[place] = value;
		return;
	}
	before = MemoryContextSwitchTo(batch->context);
	if (state->formats[column])
	{
		bytea	   *bytes = SendFunctionCall(&state->output[column], value);

		batch->values[place] = VARDATA(bytes);
		batch->lengths[place] = VARSIZE(bytes) - VARHDRSZ;
	}
	else
	{
		batch->values[place] = OutputFunctionCall(&state->output[column],
												  value);
		batch->lengths[place] = strlen(batch->values[place]);
	}
	MemoryContextSwitchTo(before);
}

/*
 * The text for so many rows.  Those of the usual sizes are kept; another one
 * lives as long as its batch.
 */
static char *
get_text(WriteState *state, int rows, ExecutorBatch *batch)
{
	MemoryContext before;
	char	   *text;

	if (rows == 1)
		return state->plan->sql;
	for (int i = 0; i < lengthof(batch_sizes); i++)
	{
		if (batch_sizes[i] != rows)
			continue;
		before = MemoryContextSwitchTo(state->context);
		if (state->texts[i] == NULL)
			state->texts[i] = repeat_row(state->plan, state->column_count,
										 rows);
		MemoryContextSwitchTo(before);
		return state->texts[i];
	}
	before = MemoryContextSwitchTo(batch->context);
	text = repeat_row(state->plan, state->column_count, rows);

	MemoryContextSwitchTo(before);
	batch->once = true;
	return text;
}

/*
 * The statement with VALUES of more rows, from the text for one.
 *
 * The first row keeps its parameters, and others theirs up to total; those of
 * the second row begin after them.
 */
static char *
repeat_row(const VdbWritePlan *plan, int total, int rows)
{
	StringInfoData text;
	const char *end;
	const char *from = find_row(plan->sql, &end);

	initStringInfo(&text);
	appendBinaryStringInfo(&text, plan->sql, end - plan->sql);
	for (int i = 1; i < rows; i++)
	{
		appendStringInfoString(&text, ", ");
		append_row(&text, from, end, total - plan->first_row_param +
				   (i - 1) * plan->row_params);
	}
	appendStringInfoString(&text, end);
	return text.data;
}

/*
 * Find "(...)" after the first VALUES in what pg_get_querydef() wrote; *end is
 * set behind it.  Names may be quoted; there are no literals before.
 */
static const char *
find_row(const char *sql, const char **end)
{
	const char *from = NULL;
	int			depth = 0;

	for (const char *at = sql; *at; at++)
	{
		if (*at == '"')
			at = skip_quoted(at);
		else if (from == NULL)
		{
			if (strncmp(at, "VALUES (", 8) == 0)
				from = at + 7;
			at = from ? from - 1 : at;
		}
		else if (*at == '(')
			depth++;
		else if (*at == ')' && --depth == 0)
		{
			*end = at + 1;
			return from;
		}
	}
	elog(ERROR, "no VALUES in the shard statement: %s", sql);
}

/* The quote that ends a quoted name; a doubled one begins another. */
static const char *
skip_quoted(const char *at)
{
	do
		at++;
	while (*at && *at != '"');
	return *at ? at : at - 1;
}

/* A row's text with numbers of parameters that are greater by an offset. */
static void
append_row(StringInfo text, const char *from, const char *end, int offset)
{
	for (const char *at = from; at < end; at++)
	{
		if (*at == '"')
		{
			const char *quote = skip_quoted(at);

			appendBinaryStringInfo(text, at, quote + 1 - at);
			at = quote;
		}
		else if (*at == '$')
		{
			char	   *rest;
			long		number = strtol(at + 1, &rest, 10);

			appendStringInfo(text, "$%ld", number + offset);
			at = rest - 1;
		}
		else
			appendStringInfoChar(text, *at);
	}
}
