/*-------------------------------------------------------------------------
 *
 * executor_fanout_source.c
 *	  Groups that work for a fan-out: sending, and reading row by row.
 *
 * A source is at a row from executor_source_next() to the next call for it.
 * Statements for other groups are on their way before the own group's share
 * begins.  Where this server is not the host to read the own group's rows at,
 * that group is one of the others.
 *
 * With vecdb.partial_results a group that cannot be reached, or is lost, is
 * left out and a WARNING says so.  No other error is passed over.
 *
 * IDENTIFICATION
 *	  src/executor/executor_fanout_source.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "executor_private.h"

/* A LIMIT up to this makes a result that may come in one piece */
#define FEW_ROWS 10000

bool		executor_partial_results = false;

static void clear_results(void *arg);
static void fill_statement(ExecutorFanout *fanout);
static void connect_all(List *groups, int own, VdbReadFrom level);
static void open_own(ExecutorFanout *fanout, ExecutorSource *source);
static void open_source(ExecutorFanout *fanout, ExecutorSource *source);
static bool read_local(ExecutorFanout *fanout, ExecutorSource *source);
static bool read_remote(ExecutorFanout *fanout, ExecutorSource *source);
static bool receive_rows(ExecutorFanout *fanout, ExecutorSource *source);
static void leave_out(ExecutorFanout *fanout, ExecutorSource *source,
					  MemoryContext context);
static bool is_lost_connection(int sqlstate);
static void finish_source(ExecutorFanout *fanout, ExecutorSource *source);

/*
 * executor_sources_open -- send the shard statement to its groups
 *
 * Parameters have been evaluated.  Sources are allocated in fanout->context.
 */
void
executor_sources_open(ExecutorFanout *fanout)
{
	int			own;
	int			columns = fanout->columns->desc->natts;
	VdbReadFrom level = vdb_remote_read_level(fanout->plan->writes);
	List	   *groups;
	ListCell   *cell;
	MemoryContextCallback *callback;
	MemoryContext old = MemoryContextSwitchTo(fanout->context);

	groups = executor_groups(fanout->plan, fanout->params);
	own = executor_here(groups, level);
	fanout->source_count = list_length(groups);
	fanout->sources = palloc0(fanout->source_count * sizeof(ExecutorSource));
	fanout->requests = palloc0(fanout->source_count * sizeof(VdbRequest *));
	callback = palloc0(sizeof(MemoryContextCallback));
	callback->func = clear_results;
	callback->arg = fanout;
	MemoryContextRegisterResetCallback(fanout->context, callback);
	if (fanout->node.ss.ps.instrument)
		INSTR_TIME_SET_CURRENT(fanout->start);
	if (list_length(groups) > 1 || linitial_int(groups) != own)
		fill_statement(fanout);
	fanout->statement.read_from = level;
	if (!executor_partial_results)
		connect_all(groups, own, level);

	foreach(cell, groups)
	{
		ExecutorSource *source =
		&fanout->sources[foreach_current_index(cell)];

		source->group = lfirst_int(cell);
		source->values = palloc(columns * sizeof(Datum));
		source->nulls = palloc(columns * sizeof(bool));
		if (source->group == own)
			continue;
		source->context =
			AllocSetContextCreate(fanout->context, "row of another group",
								  ALLOCSET_SMALL_SIZES);
		open_source(fanout, source);
		fanout->requests[foreach_current_index(cell)] = source->request;
	}

	/* others work by now */
	for (int i = 0; i < fanout->source_count; i++)
	{
		if (fanout->sources[i].group == own)
		{
			fanout->sources[i].host = "this node";
			open_own(fanout, &fanout->sources[i]);
		}
	}
	MemoryContextSwitchTo(old);
}

/*
 * Called when the context of an execution goes, by an error perhaps: libpq's
 * results are not in it.
 */
static void
clear_results(void *arg)
{
	ExecutorFanout *fanout = (ExecutorFanout *) arg;

	for (int i = 0; i < fanout->source_count; i++)
	{
		PQclear(fanout->sources[i].result);
		fanout->sources[i].result = NULL;
	}
	fanout->source_count = 0;
}

/* The statement as the remote room wants it, with the present parameters */
static void
fill_statement(ExecutorFanout *fanout)
{
	VdbStatement *statement = &fanout->statement;
	VdbPlan    *plan = fanout->plan;
	ExecutorParams *params = fanout->params;

	executor_params_encode(params);
	memset(statement, 0, sizeof(VdbStatement));
	statement->sql = plan->sql;
	statement->param_count = params->count;
	statement->param_types = palloc0((params->count + 1) * sizeof(Oid));
	statement->values = params->values;
	statement->lengths = params->lengths;
	statement->formats = params->formats;
	statement->binary = fanout->columns->binary;
	statement->writes = plan->writes;
	statement->few_rows = plan->few_rows;
	statement->role = plan->role;
	if (plan->limit_param > 0 && !params->nulls[plan->limit_param - 1])
		statement->few_rows =
			DatumGetInt64(params->datums[plan->limit_param - 1]) <= FEW_ROWS;
}

/* Connect to all groups that have no connection yet at once. */
static void
connect_all(List *groups, int own, VdbReadFrom level)
{
	int		   *numbers = palloc(list_length(groups) * sizeof(int));
	int			count = 0;
	ListCell   *cell;

	foreach(cell, groups)
	{
		if (lfirst_int(cell) != own)
			numbers[count++] = lfirst_int(cell);
	}
	if (count > 1)
		vdb_remote_connect(numbers, count, level);
	pfree(numbers);
}

/*
 * Begin the own group's share
 *
 * On a standby it sees what has been replayed until now, which was found to be
 * enough; the statement's snapshot may be of before.
 */
static void
open_own(ExecutorFanout *fanout, ExecutorSource *source)
{
	bool		fresh = RecoveryInProgress() && !IsolationUsesXactSnapshot();

	if (fresh)
		PushActiveSnapshot(GetLatestSnapshot());
	source->local =
		executor_local_open_as(fanout->plan->role, fanout->plan->sql,
							   fanout->params, fanout->plan->writes);
	if (fresh)
		PopActiveSnapshot();
}

/* Send the statement to another group. */
static void
open_source(ExecutorFanout *fanout, ExecutorSource *source)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		source->request = vdb_remote_send(source->group, &fanout->statement);
		if (fanout->node.ss.ps.instrument)
			source->host = pstrdup(vdb_remote_host(source->request));
	}
	PG_CATCH();
	{
		leave_out(fanout, source, context);
	}
	PG_END_TRY();
}

/*
 * executor_source_next -- go to the next row of a source
 *
 * Returns false when there is none.  Waits for it.
 */
bool
executor_source_next(ExecutorFanout *fanout, ExecutorSource *source)
{
	bool		found;

	if (source->done)
		return false;
	found = source->local ? read_local(fanout, source) :
		read_remote(fanout, source);
	if (found)
		source->rows += 1;
	else
		finish_source(fanout, source);
	return found;
}

/* The values are where the plan below has them, until its next row. */
static bool
read_local(ExecutorFanout *fanout, ExecutorSource *source)
{
	TupleTableSlot *slot = executor_local_next(source->local);
	int			count = fanout->columns->desc->natts;

	if (slot == NULL)
		return false;
	slot_getallattrs(slot);
	if (slot->tts_tupleDescriptor->natts != count)
		elog(ERROR, "own share of shard statement has %d columns instead of %d",
			 slot->tts_tupleDescriptor->natts, count);
	memcpy(source->values, slot->tts_values, count * sizeof(Datum));
	memcpy(source->nulls, slot->tts_isnull, count * sizeof(bool));
	return true;
}

static bool
read_remote(ExecutorFanout *fanout, ExecutorSource *source)
{
	MemoryContext old;

	while (source->result == NULL ||
		   source->next >= PQntuples(source->result))
	{
		if (!receive_rows(fanout, source))
			return false;
	}

	MemoryContextReset(source->context);
	old = MemoryContextSwitchTo(source->context);
	executor_columns_decode(fanout->columns, source->result, source->next++,
							source->values, source->nulls);
	MemoryContextSwitchTo(old);
	return true;
}

/* Wait for more rows; false when there are none. */
static bool
receive_rows(ExecutorFanout *fanout, ExecutorSource *source)
{
	MemoryContext context = CurrentMemoryContext;

	if (source->result)
		PQclear(source->result);
	source->result = NULL;
	source->next = 0;
	PG_TRY();
	{
		source->result = vdb_remote_row(source->request);
	}
	PG_CATCH();
	{
		leave_out(fanout, source, context);
	}
	PG_END_TRY();
	return source->result != NULL;
}

/*
 * Called with an error at hand: warn of a group that is lost if partial
 * results are wanted, else throw it again.
 */
static void
leave_out(ExecutorFanout *fanout, ExecutorSource *source,
		  MemoryContext context)
{
	ErrorData  *error;
	int			left = 0;

	if (!executor_partial_results || fanout->plan->writes)
		PG_RE_THROW();
	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	if (!is_lost_connection(error->sqlerrcode))
		PG_RE_THROW();
	FlushErrorState();

	source->failed = true;
	source->done = true;
	source->request = NULL;
	for (int i = 0; i < fanout->source_count; i++)
	{
		if (!fanout->sources[i].failed)
			left++;
		else
			fanout->requests[i] = NULL;
	}
	ereport(WARNING,
			(errcode(ERRCODE_WARNING),
			 errmsg("result is partial: group %d did not answer, %d of %d groups did",
					source->group, left, fanout->source_count),
			 errdetail("%s", error->message),
			 errhint("Set vecdb.partial_results to off to have an error instead.")));
	FreeErrorData(error);
}

/* Is an error one of the connection, and not of the statement? */
static bool
is_lost_connection(int sqlstate)
{
	return ERRCODE_TO_CATEGORY(sqlstate) ==
		MAKE_SQLSTATE('0', '8', '0', '0', '0') ||
		sqlstate == ERRCODE_ADMIN_SHUTDOWN ||
		sqlstate == ERRCODE_CRASH_SHUTDOWN ||
		sqlstate == ERRCODE_CANNOT_CONNECT_NOW ||
		sqlstate == ERRCODE_TOO_MANY_CONNECTIONS;
}

/* There is no next row: note what EXPLAIN wants to know. */
static void
finish_source(ExecutorFanout *fanout, ExecutorSource *source)
{
	source->done = true;
	fanout->requests[source - fanout->sources] = NULL;
	if (fanout->node.ss.ps.instrument)
	{
		instr_time	now;

		INSTR_TIME_SET_CURRENT(now);
		INSTR_TIME_SUBTRACT(now, fanout->start);
		source->time = INSTR_TIME_GET_MILLISEC(now);
	}
}

/*
 * executor_sources_close -- end what is under way, and add up for EXPLAIN
 */
void
executor_sources_close(ExecutorFanout *fanout)
{
	for (int i = 0; i < fanout->source_count; i++)
	{
		ExecutorSource *source = &fanout->sources[i];

		if (!source->done)
			finish_source(fanout, source);
		if (source->result)
			PQclear(source->result);
		source->result = NULL;
		if (source->request)
			vdb_remote_close(source->request);
		source->request = NULL;
		if (source->local)
			executor_local_close(source->local);
		source->local = NULL;
	}

	if (fanout->node.ss.ps.instrument)
	{
		MemoryContext old =
		MemoryContextSwitchTo(GetMemoryChunkContext(fanout->plan));

		for (int i = 0; i < fanout->source_count; i++)
		{
			ExecutorSource *source = &fanout->sources[i];
			ExecutorSource *total = NULL;

			for (int j = 0; j < fanout->total_count && total == NULL; j++)
			{
				if (fanout->totals[j].group == source->group)
					total = &fanout->totals[j];
			}
			if (total == NULL)
			{
				fanout->totals = fanout->total_count == 0 ?
					palloc(sizeof(ExecutorSource)) :
					repalloc(fanout->totals, (fanout->total_count + 1) *
							 sizeof(ExecutorSource));
				total = &fanout->totals[fanout->total_count++];
				memset(total, 0, sizeof(ExecutorSource));
				total->group = source->group;
			}
			if (source->host)
				total->host = pstrdup(source->host);
			total->rows += source->rows;
			total->time += source->time;
			total->failed |= source->failed;
		}
		MemoryContextSwitchTo(old);
	}
	fanout->source_count = 0;
}
