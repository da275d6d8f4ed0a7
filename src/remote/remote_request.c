/*-------------------------------------------------------------------------
 *
 * remote_request.c
 *	  What other rooms see: send a statement, get its rows, close.
 *
 * A request has a memory context of its own, below the one that it was made
 * in: when that goes, for whichever reason, the request is closed and its
 * results are freed.
 *
 * IDENTIFICATION
 *	  src/remote/remote_request.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/buffile.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/wait_event.h"

#include "vecdb/lib_compat.h"

#include "remote_private.h"

/* Sockets of which something is learnt at a time */
#define MAX_EVENTS 16

/* A socket that vdb_remote_wait_any() waits for */
typedef struct AwaitedSocket
{
	RemoteConnection *connection;
	uint32		wanted;			/* events */
	int			place;			/* in the set */
} AwaitedSocket;

static WaitEventSet *awaited_set;
static AwaitedSocket *awaited;
static int	awaited_count;

dlist_head	remote_requests = DLIST_STATIC_INIT(remote_requests);

static VdbRequest *make_request(RemoteConnection *c,
								const VdbStatement *statement);
static void send_request(VdbRequest *request);
static void await_answers(RemoteConnection *c);
static bool try_again(VdbRequest *request);
static bool may_read_elsewhere(const VdbRequest *request, const char *state);
static bool choose_again(VdbRequest *request);
VDB_NORETURN static void throw_error(VdbRequest *request);
static bool has_news(const VdbRequest *request);
static int	find_ready(VdbRequest *const *requests, int count);
static void choose_sockets(VdbRequest *const *requests, int count);
static bool is_set_for(RemoteConnection *const *connections, int count);
static void make_set(RemoteConnection *const *connections, int count);
static void wait_for_sockets(void);
static void drop_hopeless(void);

/* vdb_remote_connect -- see vecdb/remote.h */
void
vdb_remote_connect(const int *groups, int count, VdbReadFrom read_from)
{
	List	   *connections = NIL;

	if (read_from != VDB_READ_LEADER)
	{
		remote_reserve(groups, count, read_from);
		return;
	}
	for (int i = 0; i < count; i++)
	{
		RemoteConnection *c = remote_connection(groups[i]);

		if (!remote_is_connected(c, false))
			connections = lappend(connections, c);
	}
	if (connections == NIL)
		return;
	remote_connect_all(connections, false);
	list_free(connections);
}

/* vdb_remote_send -- see vecdb/remote.h */
VdbRequest *
vdb_remote_send(int group, const VdbStatement *statement)
{
	RemoteConnection *c;
	VdbRequest *request;
	List	   *tried = NIL;
	char	   *check = NULL;

	if (statement->read_from != VDB_READ_LEADER)
		c = remote_choose(group, statement->read_from, &tried, &check);
	else
	{
		c = remote_connection(group);
		remote_transaction_check(c);
		if (!remote_is_connected(c, statement->writes))
			remote_connect(c);
	}
	request = make_request(c, statement);
	request->tried = tried;
	request->check = check;
	send_request(request);
	return request;
}

/* A request that is to be sent */
static VdbRequest *
make_request(RemoteConnection *c, const VdbStatement *statement)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "vecdb request",
												  ALLOCSET_SMALL_SIZES);
	VdbRequest *request = MemoryContextAllocZero(context, sizeof(VdbRequest));

	request->connection = c;
	request->statement = *statement;
	request->context = context;
	request->owner = CurrentResourceOwner;
	request->level = GetCurrentTransactionNestLevel();
	request->callback.func = remote_request_forget;
	request->callback.arg = request;
	MemoryContextRegisterResetCallback(request->context, &request->callback);
	dlist_push_tail(&remote_requests, &request->node);
	return request;
}

/* Queue a flight with all that a request needs */
static void
send_request(VdbRequest *request)
{
	RemoteConnection *c = request->connection;

	remote_pipeline_settle(c);
	if (!c->ready)
		remote_connect(c);
	if (c->copy)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot send a statement to group %d during a COPY to it",
						c->group),
				 errhint("Triggers and defaults of a table that is copied into cannot read distributed tables.")));
	if (c->host)
		request->host = MemoryContextStrdup(request->context, c->host);

	/* rule 1: all or nothing of a flight */
	if (remote_transaction_is_needed(c, request->statement.writes))
	{
		remote_transaction_begin(c, request);
		request->in_transaction = true;
		if (request->statement.writes && !XactReadOnly)
			c->wrote = true;
	}
	remote_setting_send(c, request->statement.role, request);
	if (request->check)
		remote_pipeline_check(c, request->check, request);
	remote_pipeline_statement(c, request);
	remote_pipeline_sync(c);
	c->requests_sent++;
}

/*
 * remote_request_ask -- send SQL that has nothing to do with the transaction
 *
 * As the role that nodes log in as, outside of any transaction, which the
 * caller has seen not to be open there.  The search_path is pg_catalog, or what
 * "state" sets.  Waits; the result is in the request, which the caller closes.
 */
VdbRequest *
remote_request_ask(RemoteConnection *c, const char *sql, const char *state)
{
	VdbStatement statement = {.sql = sql,.once = true,.few_rows = true};
	VdbRequest *request = make_request(c, &statement);

	/* what is under way may be of a group that is silent */
	if (remote_wait_deadline != 0)
		await_answers(c);
	remote_pipeline_settle(c);
	if (!c->ready)
	{
		request->lost = true;
		return request;
	}
	request->host = MemoryContextStrdup(request->context, c->host);
	/* settings that are not known may have been undone: the role was not */
	if (c->role_taken || state[0] != '\0')
	{
		c->role_taken = true;
		remote_setting_send_none(c, state, request);
		remote_pipeline_sync(c);
		/* this flight's end is not that of the request */
		await_answers(c);
		if (request->error == NULL)
			c->role_taken = state[0] != '\0';
	}
	if (c->ready && request->error == NULL)
	{
		request->done = false;
		remote_pipeline_statement(c, request);
		remote_pipeline_sync(c);
	}
	await_answers(c);
	return request;
}

/*
 * Wait until all that was sent is answered
 *
 * If there is a deadline, and it is over, the connection is closed: requests
 * are lost.
 */
static void
await_answers(RemoteConnection *c)
{
	while (c->pg && !dlist_is_empty(&c->steps))
	{
		if (remote_pipeline_take(c))
			continue;
		if (!remote_pipeline_wait_quietly(c))
			remote_pipeline_lost(c);
		CHECK_FOR_INTERRUPTS();
	}
}

/* vdb_remote_ask -- see vecdb/remote.h */
bool
vdb_remote_ask(int group, const char *sql, int timeout_ms, VdbAnswer *answer)
{
	RemoteConnection *c = remote_connection(group);
	VdbRequest *request;
	TimestampTz deadline;

	memset(answer, 0, sizeof(VdbAnswer));
	if (!remote_try_connect(c, true, &answer->why))
	{
		answer->sqlstate = ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION;
		return false;
	}
	deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), timeout_ms);
	/* the end of the transaction takes it back after an ERROR */
	remote_wait_deadline = deadline;
	request = remote_request_ask(c, sql, "");
	remote_wait_deadline = 0;
	if (request->error)
	{
		answer->sqlstate = remote_error_sqlstate(request->error);
		answer->why = pstrdup(PQresultErrorMessage(request->error));
	}
	else if (request->lost)
	{
		answer->sqlstate = ERRCODE_CONNECTION_FAILURE;
		answer->why = GetCurrentTimestamp() < deadline ?
			pstrdup("the connection was lost") :
			psprintf("no answer within %d ms", timeout_ms);
	}
	else
		answer->rows = remote_rows_get(request);
	vdb_remote_close(request);
	return answer->why == NULL;
}

/* vdb_remote_row -- see vecdb/remote.h */
PGresult *
vdb_remote_row(VdbRequest *request)
{
	for (;;)
	{
		PGresult   *res;

		if ((request->lost || request->error) && try_again(request))
			continue;
		res = remote_rows_get(request);
		if (res)
		{
			request->delivered = true;
			return res;
		}
		if (request->done && request->error == NULL)
			return NULL;
		if (request->done || request->lost)
			throw_error(request);
		if (!remote_pipeline_take(request->connection))
			remote_pipeline_wait(request->connection);
	}
}

/*
 * Send a request again, if that cannot do harm and may help
 *
 * It may when the connection broke, or when the other node found that what it
 * had prepared has become of another type.
 */
static bool
try_again(VdbRequest *request)
{
	RemoteConnection *c = request->connection;

	if (!request->done && !request->lost)
		return false;
	if (request->error)
	{
		const char *state = PQresultErrorField(request->error,
											   PG_DIAG_SQLSTATE);
		const char *where = PQresultErrorField(request->error,
											   PG_DIAG_SOURCE_FUNCTION);

		if (state == NULL || where == NULL || strcmp(state, "0A000") != 0 ||
			strcmp(where, "RevalidateCachedQuery") != 0)
		{
			/*
			 * A server that is being stopped says so before it goes, and an
			 * outdated primary that it is one.
			 */
			if (!may_read_elsewhere(request, state) &&
				(!request->lost || state == NULL ||
				 (strncmp(state, "57P", 3) != 0 &&
				  strcmp(state, "57VD1") != 0)))
				return false;
		}
		else if (c->statements)
			c->statements_stale = true;
	}
	if (request->in_transaction || request->statement.writes ||
		request->delivered || request->again || c->depth > 0 || c->lost)
		return false;
	if (request->statement.read_from != VDB_READ_LEADER &&
		!choose_again(request))
		return false;
	if (request->error)
		PQclear(request->error);
	request->error = NULL;
	remote_rows_clear(request);
	request->done = false;
	request->lost = false;
	request->again = true;
	if (request->statement.read_from == VDB_READ_LEADER)
		remote_connect(c);
	send_request(request);
	return true;
}

/*
 * Does an error say that this host cannot answer, when another one may?
 *
 * It is not fit, or it stops what is in the way of replay.
 */
static bool
may_read_elsewhere(const VdbRequest *request, const char *state)
{
	return request->tried && state &&
		(strcmp(state, VDB_UNFIT_STATE) == 0 || strcmp(state, "40001") == 0);
}

/* Have a request read at another host; false if there is none */
static bool
choose_again(VdbRequest *request)
{
	MemoryContext old = MemoryContextSwitchTo(request->context);
	RemoteConnection *c = remote_choose(request->connection->group,
										request->statement.read_from,
										&request->tried, &request->check);

	MemoryContextSwitchTo(old);
	if (c)
		request->connection = c;
	return c != NULL;
}

/* Throw why a request failed */
static void
throw_error(VdbRequest *request)
{
	if (request->error)
		remote_error_throw(request->error, request->connection->group,
						   request->host, request->statement.sql);
	remote_error_lost(request->connection->group, request->host);
}

/* remote_request_deliver -- a result of a request has come */
void
remote_request_deliver(VdbRequest *request, PGresult *res)
{
	const char *tuples;

	switch (PQresultStatus(res))
	{
		case PGRES_TUPLES_OK:
		case PGRES_COMMAND_OK:
			tuples = PQcmdTuples(res);
			if (*tuples)
				request->affected = strtoull(tuples, NULL, 10);
			break;
		default:
			break;
	}
	if (PQntuples(res) > 0)
		remote_rows_put(request, res);
	else
		PQclear(res);
}

/* remote_request_finish -- all of a request has been answered */
void
remote_request_finish(VdbRequest *request)
{
	request->done = true;
}

/* vdb_remote_is_ready -- see vecdb/remote.h */
bool
vdb_remote_is_ready(VdbRequest *request)
{
	if (!has_news(request))
		remote_pipeline_absorb(request->connection);
	return has_news(request);
}

/* Is there a row, or the end, without a look at the socket? */
static bool
has_news(const VdbRequest *request)
{
	return request->rows.count > 0 || request->rows.file_rows > 0 ||
		request->done || request->lost;
}

/* vdb_remote_wait_any -- see vecdb/remote.h */
int
vdb_remote_wait_any(VdbRequest *const *requests, int count)
{
	int			ready;

	for (int i = 0; i < count; i++)
	{
		if (requests[i])
			remote_pipeline_collect(requests[i]->connection);
	}
	while ((ready = find_ready(requests, count)) < 0)
	{
		choose_sockets(requests, count);
		wait_for_sockets();
		CHECK_FOR_INTERRUPTS();
	}
	return ready;
}

/* The place of a request that has news, or -1 */
static int
find_ready(VdbRequest *const *requests, int count)
{
	bool		any = false;

	for (int i = 0; i < count; i++)
	{
		if (requests[i] && has_news(requests[i]))
			return i;
		any |= requests[i] != NULL;
	}
	if (!any)
		elog(ERROR, "no request to wait for");
	return -1;
}

/*
 * Have wait_for_sockets() wait for the connections of requests
 *
 * The set is made anew only when that of last time will not do.
 */
static void
choose_sockets(VdbRequest *const *requests, int count)
{
	RemoteConnection **chosen = palloc(sizeof(RemoteConnection *) * count);
	int			chosen_count = 0;

	for (int i = 0; i < count; i++)
	{
		RemoteConnection *c = requests[i] ? requests[i]->connection : NULL;
		bool		added = c == NULL;

		for (int j = 0; j < chosen_count; j++)
			added |= chosen[j] == c;
		if (!added)
			chosen[chosen_count++] = c;
	}
	if (!is_set_for(chosen, chosen_count))
	{
		remote_request_forget_sockets();
		make_set(chosen, chosen_count);
	}
	pfree(chosen);
}

/*
 * Can we wait for these connections with the set of last time?
 *
 * Others in it must be idle: what is under way there is not to be read now.
 */
static bool
is_set_for(RemoteConnection *const *connections, int count)
{
	int			found = 0;

	for (int i = 0; i < awaited_count; i++)
	{
		RemoteConnection *c = awaited[i].connection;
		bool		chosen = false;

		for (int j = 0; j < count; j++)
			chosen |= connections[j] == c;
		if (chosen)
			found++;
		else if (!dlist_is_empty(&c->steps) || c->copy)
			return false;
	}
	return found == count;
}

/* Make the set to wait with */
static void
make_set(RemoteConnection *const *connections, int count)
{
	awaited = MemoryContextAlloc(remote_context(),
								 sizeof(AwaitedSocket) * count);
	awaited_set = vdb_create_wait_event_set(count + 2);
	AddWaitEventToSet(awaited_set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch,
					  NULL);
	AddWaitEventToSet(awaited_set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL,
					  NULL);
	for (int i = 0; i < count; i++)
	{
		awaited[i].connection = connections[i];
		awaited[i].wanted = WL_SOCKET_READABLE;
		awaited[i].place =
			AddWaitEventToSet(awaited_set, WL_SOCKET_READABLE,
							  PQsocket(connections[i]->pg), NULL,
							  connections[i]);
	}
	awaited_count = count;
}

/* Wait for the chosen sockets, once, and take what has arrived */
static void
wait_for_sockets(void)
{
	WaitEvent	events[MAX_EVENTS];
	int			occurred;

	for (int i = 0; i < awaited_count; i++)
	{
		uint32		wanted = WL_SOCKET_READABLE;

		if (awaited[i].connection->unflushed)
			wanted |= WL_SOCKET_WRITEABLE;
		if (wanted != awaited[i].wanted)
			ModifyWaitEvent(awaited_set, awaited[i].place, wanted, NULL);
		awaited[i].wanted = wanted;
	}
	occurred = WaitEventSetWait(awaited_set, REMOTE_LOOK_MS, events,
								MAX_EVENTS, PG_WAIT_EXTENSION);
	if (occurred == 0)
		drop_hopeless();
	for (int i = 0; i < occurred; i++)
	{
		if (events[i].events & WL_LATCH_SET)
			ResetLatch(MyLatch);
		if (events[i].user_data)
			remote_pipeline_absorb(events[i].user_data);
	}
}

/* None of those that are waited for has anything to say; some never will */
static void
drop_hopeless(void)
{
	for (int i = 0; i < awaited_count; i++)
	{
		/* this throws the set away */
		if (remote_is_hopeless(awaited[i].connection))
		{
			remote_pipeline_lost(awaited[i].connection);
			return;
		}
	}
}

/* remote_request_forget_sockets -- some of them may be closed */
void
remote_request_forget_sockets(void)
{
	if (awaited_set)
		FreeWaitEventSet(awaited_set);
	awaited_set = NULL;
	if (awaited)
		pfree(awaited);
	awaited = NULL;
	awaited_count = 0;
}

/* vdb_remote_affected -- see vecdb/remote.h */
uint64
vdb_remote_affected(VdbRequest *request)
{
	return request->affected;
}

/* vdb_remote_host -- see vecdb/remote.h */
const char *
vdb_remote_host(VdbRequest *request)
{
	return request->host;
}

/*
 * vdb_remote_close -- see vecdb/remote.h
 *
 * What is left of its rows is thrown away when the connection is used again,
 * or cancelled then or at the end of the transaction.
 */
void
vdb_remote_close(VdbRequest *request)
{
	if (request->rows.file)
		BufFileClose(request->rows.file);
	request->rows.file = NULL;
	MemoryContextDelete(request->context);
}

/*
 * remote_request_forget -- nobody wants a request's results any more
 *
 * May be called twice.  A file of rows is its resource owner's.
 */
void
remote_request_forget(void *arg)
{
	VdbRequest *request = arg;

	if (request->connection == NULL)
		return;
	remote_pipeline_forget(request);
	remote_rows_clear(request);
	if (request->error)
		PQclear(request->error);
	request->error = NULL;
	dlist_delete(&request->node);
	request->connection = NULL;
	request->lost = true;
}

/* vdb_remote_execute -- see vecdb/remote.h */
uint64
vdb_remote_execute(int group, const char *sql)
{
	VdbStatement statement = {.sql = sql,.writes = true,.once = true};
	VdbRequest *request = vdb_remote_send(group, &statement);
	PGresult   *res;
	uint64		affected;

	while ((res = vdb_remote_row(request)) != NULL)
		PQclear(res);
	affected = request->affected;
	request->connection->statements_stale = true;
	vdb_remote_close(request);
	return affected;
}

/* vdb_remote_execute_all -- see vecdb/remote.h */
void
vdb_remote_execute_all(const char *sql)
{
	const VdbCluster *cluster = vdb_catalog_cluster();
	VdbStatement statement = {.sql = sql,.writes = true,.once = true};
	int		   *groups;
	int			count = 0;
	List	   *requests = NIL;
	ListCell   *lc;

	if (cluster == NULL)
		return;
	groups = palloc(sizeof(int) * cluster->group_count);
	for (int i = 0; i < cluster->group_count; i++)
	{
		if (cluster->groups[i].id != cluster->local_group)
			groups[count++] = cluster->groups[i].id;
	}
	vdb_remote_connect(groups, count, VDB_READ_LEADER);
	for (int i = 0; i < count; i++)
		requests = lappend(requests, vdb_remote_send(groups[i], &statement));
	foreach(lc, requests)
	{
		VdbRequest *request = lfirst(lc);
		PGresult   *res;

		while ((res = vdb_remote_row(request)) != NULL)
			PQclear(res);
		request->connection->statements_stale = true;
		vdb_remote_close(request);
	}
	list_free(requests);
	pfree(groups);
}
