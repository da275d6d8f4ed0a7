/*-------------------------------------------------------------------------
 *
 * remote_pipeline.c
 *	  What was sent on a connection, and what has come back of it.
 *
 * A connection is in libpq's pipeline mode.  Commands leave in flights: all
 * that one request needs, from BEGIN and settings to the statement itself,
 * ended by a Sync.  If one of them fails the other node skips the rest of the
 * flight, so that a statement never runs with another role or outside of the
 * transaction that it was meant for.
 *
 * Each command is a step in a list; results come back in this order, and the
 * head of the list says what the next one is.  A step leaves the list when its
 * last result was taken.
 *
 * IDENTIFICATION
 *	  src/remote/remote_pipeline.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#include "remote_private.h"

/* While waiting for what nobody wants any more: from when on to cancel it */
#define PATIENCE_MS 5

/* From one cancel to the next */
#define REPEAT_MS 50

/* No wait is longer than until then; 0: no limit */
TimestampTz remote_wait_deadline;

static RemoteStep *add_step(RemoteConnection *c, RemoteStepKind kind,
							VdbRequest *request);
VDB_NORETURN static void fail_to_send(RemoteConnection *c);
static void take_result(RemoteConnection *c, RemoteStep *step, PGresult *res);
static void take_error(RemoteConnection *c, RemoteStep *step, PGresult *res);
static void finish_step(RemoteConnection *c, RemoteStep *step);
static void begin_step(RemoteConnection *c);
static void try_flush(RemoteConnection *c);
static void flush_others(RemoteConnection *present);
static bool wait_once(RemoteConnection *c, long timeout_ms);
static bool is_forgotten(RemoteConnection *c);
static void cancel_again(RemoteConnection *c);

/*
 * remote_pipeline_command -- queue a command that gives no rows
 *
 * An error is told to the request, or kept in the connection.  If "tag" is
 * given the command must complete with it: a COMMIT of a failed transaction
 * completes with ROLLBACK.
 */
void
remote_pipeline_command(RemoteConnection *c, const char *sql,
						VdbRequest *request, const char *tag)
{
	RemoteStep *step;

	if (!PQsendQueryParams(c->pg, sql, 0, NULL, NULL, NULL, NULL, 0))
		fail_to_send(c);
	step = add_step(c, STEP_COMMAND, request);
	step->changes = true;
	step->tag = tag;
	c->unconfirmed++;
}

/*
 * remote_pipeline_settings -- queue what sets a state there
 *
 * An error is told to the request, or kept in the connection.
 */
void
remote_pipeline_settings(RemoteConnection *c, const char *state,
						 VdbRequest *request)
{
	static const Oid types[] = {TEXTOID, TEXTOID};
	char	   *proof = remote_guard_proof(c->key, ++c->proofs, state);
	const char *const values[] = {state, proof};
	RemoteStep *step;

	if (!PQsendQueryParams(c->pg, "SELECT vecdb.take_settings($1, $2)", 2,
						   types, values, NULL, NULL, 0))
		fail_to_send(c);
	pfree(proof);
	step = add_step(c, STEP_COMMAND, request);
	step->changes = true;
	c->unconfirmed++;
}

/*
 * remote_pipeline_check -- queue what fails if a host is not fit for a request
 *
 * It changes nothing there; when it fails the request is skipped.
 */
void
remote_pipeline_check(RemoteConnection *c, const char *sql,
					  VdbRequest *request)
{
	if (!PQsendQueryParams(c->pg, sql, 0, NULL, NULL, NULL, NULL, 0))
		fail_to_send(c);
	add_step(c, STEP_CHECK, request);
}

/* remote_pipeline_statement -- queue a request's statement */
void
remote_pipeline_statement(RemoteConnection *c, VdbRequest *request)
{
	const VdbStatement *s = &request->statement;
	const char *name = NULL;
	RemoteStep *step;
	bool		sent;

	if (!s->once)
	{
		name = remote_statement_find(c, s);
		if (name == NULL)
		{
			RemoteStatement *statement = remote_statement_add(c, s);

			name = statement->name;
			if (!PQsendPrepare(c->pg, name, s->sql,
							   s->param_types ? s->param_count : 0,
							   s->param_types))
				fail_to_send(c);
			step = add_step(c, STEP_PREPARE, request);
			step->statement = statement->key;
			step->changes = true;
			c->unconfirmed++;
		}
	}

	/*
	 * Others may want to read meanwhile: confirm before, not with, the
	 * results of what may take long.  After what writes, seldom anything is
	 * waiting.
	 */
	if (c->unconfirmed > 0 && !s->writes && !PQsendFlushRequest(c->pg))
		fail_to_send(c);
	if (name)
		sent = PQsendQueryPrepared(c->pg, name, s->param_count, s->values,
								   s->lengths, s->formats, s->binary ? 1 : 0);
	else
		sent = PQsendQueryParams(c->pg, s->sql, s->param_count,
								 s->param_types, s->values, s->lengths,
								 s->formats, s->binary ? 1 : 0);
	if (!sent)
		fail_to_send(c);
	step = add_step(c, STEP_EXECUTE, request);
	step->single_row = !s->few_rows;
}

/* remote_pipeline_sync -- end a flight, and send what the socket takes */
void
remote_pipeline_sync(RemoteConnection *c)
{
	VdbRequest *request = NULL;

	if (!dlist_is_empty(&c->steps))
		request = dlist_tail_element(RemoteStep, node, &c->steps)->request;
	if (!PQpipelineSync(c->pg))
		fail_to_send(c);
	add_step(c, STEP_SYNC, request);
	try_flush(c);
}

/* Note that a command was sent */
static RemoteStep *
add_step(RemoteConnection *c, RemoteStepKind kind, VdbRequest *request)
{
	bool		first = dlist_is_empty(&c->steps);
	RemoteStep *step = MemoryContextAllocZero(remote_context(),
											  sizeof(RemoteStep));

	step->kind = kind;
	step->request = request;
	if (kind == STEP_EXECUTE)
		remote_shared_work(c->place, 1);
	dlist_push_tail(&c->steps, &step->node);
	if (first)
		begin_step(c);
	return step;
}

/*
 * The head of the list is a new one
 *
 * libpq takes the row mode for the command whose results come next, and only
 * before the first of them was looked at.
 */
static void
begin_step(RemoteConnection *c)
{
	RemoteStep *step;

	if (dlist_is_empty(&c->steps))
		return;
	step = dlist_head_element(RemoteStep, node, &c->steps);
	if (step->kind == STEP_EXECUTE && step->single_row)
		vdb_set_row_mode(c->pg);
}

/* libpq could not queue a command: the connection is of no more use */
static void
fail_to_send(RemoteConnection *c)
{
	int			group = c->group;
	char	   *host = pstrdup(c->host);
	char	   *why = pstrdup(PQerrorMessage(c->pg));

	remote_pipeline_lost(c);
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("could not send a statement to group %d", group),
			 errdetail_internal("%s: %s", host, why)));
}

/*
 * remote_pipeline_take -- take one result that has arrived
 *
 * Returns false when there is none.  Never waits.
 */
bool
remote_pipeline_take(RemoteConnection *c)
{
	RemoteStep *step;
	PGresult   *res;

	if (c->pg == NULL || dlist_is_empty(&c->steps) || PQisBusy(c->pg))
		return false;
	step = dlist_head_element(RemoteStep, node, &c->steps);
	res = PQgetResult(c->pg);
	if (res == NULL)
	{
		if (PQstatus(c->pg) == CONNECTION_BAD)
			return false;
		finish_step(c, step);
		return true;
	}
	take_result(c, step, res);
	return true;
}

/* A result of the first step; it is freed or handed on here */
static void
take_result(RemoteConnection *c, RemoteStep *step, PGresult *res)
{
	switch (PQresultStatus(res))
	{
		case PGRES_PIPELINE_SYNC:
			PQclear(res);
			if (step->kind != STEP_SYNC)
				elog(ERROR, "unexpected end of a flight from group %d",
					 c->group);
			finish_step(c, step);
			return;
		case PGRES_FATAL_ERROR:
			take_error(c, step, res);
			return;
		case PGRES_PIPELINE_ABORTED:
			if (step->kind == STEP_PREPARE)
				remote_statement_remove(c, step->statement);
			PQclear(res);
			return;
		default:
			break;
	}
	if (step->kind == STEP_EXECUTE && step->request)
	{
		remote_request_deliver(step->request, res);
		return;
	}
	if (step->kind == STEP_COMMAND && step->tag &&
		strcmp(PQcmdStatus(res), step->tag) != 0)
		c->rolled_back = true;
	PQclear(res);
}

/*
 * The other node reports an error
 *
 * Told to the request; kept in the connection if there is none and it can be
 * of meaning to the transaction.
 */
static void
take_error(RemoteConnection *c, RemoteStep *step, PGresult *res)
{
	if (step->kind == STEP_PREPARE)
		remote_statement_remove(c, step->statement);
	if (step->kind == STEP_COMMAND && c->settings)
	{
		/* it may have been the settings */
		pfree(c->settings);
		c->settings = NULL;
	}
	if (c->settings_in_transaction && c->settings)
	{
		pfree(c->settings);
		c->settings = NULL;
	}
	if (step->request && step->request->error == NULL)
		step->request->error = res;
	else if (step->request == NULL && c->failure == NULL &&
			 (c->depth > 0 || step->kind == STEP_COMMAND))
		c->failure = res;
	else
		PQclear(res);
}

/* The last result of the first step was taken */
static void
finish_step(RemoteConnection *c, RemoteStep *step)
{
	if (step->changes)
		c->unconfirmed--;
	if (step->kind == STEP_SYNC && step->request)
		remote_request_finish(step->request);
	if (step->kind == STEP_EXECUTE)
		remote_shared_work(c->place, -1);
	dlist_delete(&step->node);
	pfree(step);
	if (dlist_is_empty(&c->steps))
	{
		c->heard = GetCurrentStatementStartTimestamp();
		c->settings_alone = false;
		if (PQtransactionStatus(c->pg) == PQTRANS_IDLE)
			c->settings_in_transaction = false;
	}
	begin_step(c);
}

/* remote_pipeline_collect -- take all that has been read from the socket */
void
remote_pipeline_collect(RemoteConnection *c)
{
	if (c->copy)
		return;
	while (remote_pipeline_take(c))
		;
}

/*
 * remote_pipeline_absorb -- take all that has arrived, without waiting
 *
 * Finds out whether the connection is broken, too.
 */
void
remote_pipeline_absorb(RemoteConnection *c)
{
	bool		alive;

	if (c->pg == NULL || c->copy)
		return;
	try_flush(c);
	if (c->pg == NULL)
		return;
	alive = PQconsumeInput(c->pg) != 0;
	remote_pipeline_collect(c);
	if (c->pg == NULL)
		return;
	/* on an idle connection, whatever comes is read as a notice */
	if (dlist_is_empty(&c->steps))
		(void) PQisBusy(c->pg);
	if (!alive || c->ending || PQstatus(c->pg) == CONNECTION_BAD)
		remote_pipeline_lost(c);
}

/*
 * remote_pipeline_wait -- wait until something has arrived, and read it in
 *
 * Results are left to remote_pipeline_take().  A connection that breaks is
 * closed; its requests say so.
 */
void
remote_pipeline_wait(RemoteConnection *c)
{
	if (!remote_pipeline_wait_quietly(c))
		ereport(ERROR,
				(errcode(ERRCODE_QUERY_CANCELED),
				 errmsg("canceling statement due to statement timeout"),
				 errdetail("Group %d at %s has not answered in time.",
						   c->group, c->host)));
	CHECK_FOR_INTERRUPTS();
}

/*
 * remote_pipeline_wait_quietly -- the same, looking at no interrupts
 *
 * Returns false when the deadline is over.
 */
bool
remote_pipeline_wait_quietly(RemoteConnection *c)
{
	long		timeout_ms = REMOTE_LOOK_MS;

	if (remote_wait_deadline != 0)
	{
		timeout_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
													 remote_wait_deadline);
		if (timeout_ms <= 0)
			return false;
		timeout_ms = Min(timeout_ms, REMOTE_LOOK_MS);
	}
	flush_others(c);
	if (!wait_once(c, timeout_ms) && remote_is_hopeless(c))
		remote_pipeline_lost(c);
	return true;
}

/* Send what other connections could not get rid of before */
static void
flush_others(RemoteConnection *present)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &remote_connections)
	{
		RemoteConnection *c = dlist_container(RemoteConnection, node, iter.cur);

		if (c != present && c->unflushed)
			try_flush(c);
	}
}

/* Send what the socket takes */
static void
try_flush(RemoteConnection *c)
{
	int			rest;

	if (c->pg == NULL)
		return;
	rest = PQflush(c->pg);
	if (rest < 0)
		remote_pipeline_lost(c);
	else
		c->unflushed = rest > 0;
}

/*
 * Wait for the socket of a connection once, and read
 *
 * Returns false when time was up.  Interrupts are the caller's.
 */
static bool
wait_once(RemoteConnection *c, long timeout_ms)
{
	WaitEvent	event;
	uint32		wanted;

	try_flush(c);
	if (c->pg == NULL)
		return true;
	wanted = WL_SOCKET_READABLE | (c->unflushed ? WL_SOCKET_WRITEABLE : 0);
	if (wanted != c->waits_for)
	{
		ModifyWaitEvent(c->events, 2, wanted, NULL);
		c->waits_for = wanted;
	}
	if (WaitEventSetWait(c->events, timeout_ms, &event, 1,
						 PG_WAIT_EXTENSION) == 0)
		return false;
	if (event.events & WL_LATCH_SET)
		ResetLatch(MyLatch);
	if ((event.events & WL_SOCKET_READABLE) && !PQconsumeInput(c->pg))
	{
		/* what came before the end may say why */
		remote_pipeline_collect(c);
		if (c->pg)
			remote_pipeline_lost(c);
	}
	return true;
}

/* remote_pipeline_drain -- wait until all that was sent is answered */
void
remote_pipeline_drain(RemoteConnection *c)
{
	while (c->pg && !dlist_is_empty(&c->steps))
	{
		if (!remote_pipeline_take(c))
			remote_pipeline_wait(c);
	}
}

/*
 * remote_pipeline_settle -- get a connection ready for another flight
 *
 * Waits until what changes the session or the transaction is confirmed, and
 * until what nobody wants to know is over; that is cancelled, outside of a
 * transaction, if it takes long.
 */
void
remote_pipeline_settle(RemoteConnection *c)
{
	if (c->depth == 0 && is_forgotten(c))
	{
		remote_pipeline_collect(c);
		if (is_forgotten(c))
			remote_pipeline_absorb(c);
	}
	while (c->pg && !dlist_is_empty(&c->steps))
	{
		bool		forgotten = c->depth == 0 && is_forgotten(c);

		if (c->unconfirmed == 0 && c->cancel == NULL && !forgotten)
			break;
		if (remote_pipeline_take(c))
			continue;
		if (!forgotten)
			remote_pipeline_wait(c);
		else if (!wait_once(c, c->cancel ? REPEAT_MS : PATIENCE_MS))
			cancel_again(c);
		CHECK_FOR_INTERRUPTS();
	}
	while (c->pg && c->cancel && !remote_cancel_is_over(c->cancel))
	{
		(void) wait_once(c, 2);
		CHECK_FOR_INTERRUPTS();
	}
	if (c->cancel)
	{
		remote_cancel_end(c->cancel);
		c->cancel = NULL;
	}
}

/* Is all that the other node is asked for of interest to nobody? */
static bool
is_forgotten(RemoteConnection *c)
{
	dlist_iter	iter;

	dlist_foreach(iter, &c->steps)
	{
		if (dlist_container(RemoteStep, node, iter.cur)->request != NULL)
			return false;
	}
	return !dlist_is_empty(&c->steps);
}

/* Cancel what the other node does, unless a cancel is still on its way */
static void
cancel_again(RemoteConnection *c)
{
	if (c->cancel && !remote_cancel_is_over(c->cancel))
		return;
	if (c->cancel)
		remote_cancel_end(c->cancel);
	c->cancel = remote_cancel_begin(c->pg);
}

/* remote_pipeline_count -- statements that the other node works on */
int
remote_pipeline_count(const RemoteConnection *c)
{
	int			count = 0;
	dlist_iter	iter;

	dlist_foreach(iter, unconstify(dlist_head *, &c->steps))
	{
		if (dlist_container(RemoteStep, node, iter.cur)->kind == STEP_EXECUTE)
			count++;
	}
	return count;
}

/* remote_pipeline_forget -- a request is closed: its results go nowhere */
void
remote_pipeline_forget(VdbRequest *request)
{
	dlist_iter	iter;

	dlist_foreach(iter, &request->connection->steps)
	{
		RemoteStep *step = dlist_container(RemoteStep, node, iter.cur);

		if (step->request == request)
			step->request = NULL;
	}
}

/*
 * remote_pipeline_lost -- the connection is broken: close it
 *
 * Requests that were not answered are told.  If a transaction is lost with it,
 * ours cannot commit any more.
 */
void
remote_pipeline_lost(RemoteConnection *c)
{
	while (!dlist_is_empty(&c->steps))
	{
		RemoteStep *step = dlist_head_element(RemoteStep, node, &c->steps);

		if (step->request)
			step->request->lost = true;
		if (step->kind == STEP_EXECUTE)
			remote_shared_work(c->place, -1);
		dlist_delete(&step->node);
		pfree(step);
	}
	c->unconfirmed = 0;
	if (c->depth > 0 || c->prepared == PREPARED_SENT)
		c->lost = true;
	remote_disconnect(c);
}
