/*-------------------------------------------------------------------------
 *
 * remote_end.c
 *	  What ends of transactions need: names, commit records, waiting that
 *	  throws nothing, and stopping what other nodes do.
 *
 * A transaction is called vecdb_CLUSTER_GROUP_PIDtTIMELINE_XID: the first
 * digits of the cluster's id, our group, process, timeline, and transaction
 * with its epoch.  What is prepared at another group is called the same with
 * "_" and that group's number.  The record is a row of vecdb.catalog_commit with the name; it is
 * there if and only if the transaction has committed.
 *
 * At the end what was sent has to be answered, or the connection is closed.
 * That waiting cannot be interrupted, and its time is bounded.
 *
 * libpq of PostgreSQL 17 can ask for a cancel without blocking.  Before, it
 * can only block until the other server has taken the request, which a stopped
 * server never does.  There a thread of its own does the waiting; it calls
 * PQcancel(), which is made to be called from anywhere, and nothing else.
 *
 * IDENTIFICATION
 *	  src/remote/remote_end.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "remote_private.h"

/* From one cancel to the next, while the other node goes on working */
#define REPEAT_MS 50

static bool is_clean(RemoteConnection *c);
static bool may_cancel(RemoteConnection *c);
static void wait_for_answers(List *connections, int timeout_ms);

/* vdb_remote_record_prefix -- see vecdb/remote_record.h */
char *
vdb_remote_record_prefix(void)
{
	const VdbCluster *cluster = vdb_catalog_cluster();

	return psprintf("vecdb_%02x%02x%02x%02x_%d_",
					cluster->id.data[0], cluster->id.data[1],
					cluster->id.data[2], cluster->id.data[3],
					cluster->local_group);
}

/* remote_record_name -- the name of our transaction, which gets an XID */
char *
remote_record_name(void)
{
	return psprintf("%s%dt%u_" UINT64_FORMAT, vdb_remote_record_prefix(),
					MyProcPid, GetWALInsertionTimeLine(),
					U64FromFullTransactionId(GetTopFullTransactionId()));
}

/* vdb_remote_record_table -- see vecdb/remote_record.h */
Oid
vdb_remote_record_table(void)
{
	return get_relname_relid("catalog_commit",
							 get_namespace_oid("vecdb", false));
}

/*
 * remote_record_insert -- record that our transaction commits
 *
 * Whoever the user is: the table is ours.
 */
void
remote_record_insert(const char *name)
{
	Relation	rel = table_open(vdb_remote_record_table(), RowExclusiveLock);
	Datum		values[2];
	bool		nulls[2] = {false, false};
	HeapTuple	tuple;

	if (RelationGetDescr(rel)->natts != lengthof(values))
		elog(ERROR, "unexpected columns of vecdb.catalog_commit");
	values[0] = CStringGetTextDatum(name);
	values[1] = TimestampTzGetDatum(GetCurrentTimestamp());
	tuple = heap_form_tuple(RelationGetDescr(rel), values, nulls);
	PushActiveSnapshot(GetTransactionSnapshot());
	CatalogTupleInsert(rel, tuple);
	PopActiveSnapshot();
	heap_freetuple(tuple);
	table_close(rel, RowExclusiveLock);
}

/*
 * remote_pipeline_send -- send one command as a flight of its own
 *
 * Returns false when the connection is or gets lost.
 */
bool
remote_pipeline_send(RemoteConnection *c, const char *sql, const char *tag)
{
	MemoryContext context = CurrentMemoryContext;

	if (!c->ready || c->copy)
		return false;
	PG_TRY();
	{
		remote_pipeline_command(c, sql, NULL, tag);
		remote_pipeline_sync(c);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
		remote_pipeline_lost(c);
	}
	PG_END_TRY();
	return c->ready;
}

/*
 * remote_pipeline_await -- wait until connections have answered all
 *
 * If "cancel", what they work on for nobody is cancelled, again and again.
 * A connection that does not answer in REMOTE_CLEANUP_MS is closed.
 */
void
remote_pipeline_await(List *connections, bool cancel)
{
	TimestampTz began = GetCurrentTimestamp();
	TimestampTz asked = 0;
	ListCell   *lc;

	for (;;)
	{
		bool		clean = true;
		TimestampTz now = GetCurrentTimestamp();
		bool		ask = asked == 0 ||
		TimestampDifferenceExceeds(asked, now, REPEAT_MS);

		foreach(lc, connections)
		{
			RemoteConnection *c = lfirst(lc);

			remote_pipeline_absorb(c);
			if (c->cancel && remote_cancel_is_over(c->cancel))
			{
				remote_cancel_end(c->cancel);
				c->cancel = NULL;
			}
			if (is_clean(c))
				continue;
			clean = false;
			if (cancel && ask && may_cancel(c))
				c->cancel = remote_cancel_begin(c->pg);
		}
		if (ask)
			asked = now;
		if (clean)
			return;
		if (TimestampDifferenceExceeds(began, now, REMOTE_CLEANUP_MS))
			break;
		wait_for_answers(connections, cancel ? 2 : 20);
	}
	foreach(lc, connections)
	{
		if (!is_clean(lfirst(lc)))
			remote_pipeline_lost(lfirst(lc));
	}
}

/* Is nothing under way on a connection, or nothing left of it? */
static bool
is_clean(RemoteConnection *c)
{
	return c->pg == NULL || (dlist_is_empty(&c->steps) && c->cancel == NULL);
}

/* Does the other node work for nobody, without having been told? */
static bool
may_cancel(RemoteConnection *c)
{
	return c->cancel == NULL && !dlist_is_empty(&c->steps) &&
		dlist_head_element(RemoteStep, node, &c->steps)->request == NULL;
}

/* Wait until one of several connections has something, or a moment */
static void
wait_for_answers(List *connections, int timeout_ms)
{
	struct pollfd *fds = palloc(sizeof(struct pollfd) *
								list_length(connections));
	int			count = 0;
	ListCell   *lc;

	foreach(lc, connections)
	{
		RemoteConnection *c = lfirst(lc);

		if (c->pg == NULL || dlist_is_empty(&c->steps))
			continue;
		fds[count].fd = PQsocket(c->pg);
		fds[count].events = POLLIN | (c->unflushed ? POLLOUT : 0);
		fds[count++].revents = 0;
	}
	(void) poll(fds, count, timeout_ms);
	pfree(fds);
}

#ifdef LIBPQ_HAS_ASYNC_CANCEL

typedef struct RemoteCancel
{
	PGcancelConn *request;
	PostgresPollingStatusType polling;
} RemoteCancel;

/* remote_cancel_begin -- ask to cancel what a connection does; NULL: cannot */
struct RemoteCancel *
remote_cancel_begin(PGconn *pg)
{
	RemoteCancel *cancel;
	PGcancelConn *request = PQcancelCreate(pg);

	if (request == NULL)
		return NULL;
	if (!PQcancelStart(request))
	{
		PQcancelFinish(request);
		return NULL;
	}
	cancel = MemoryContextAlloc(remote_context(), sizeof(RemoteCancel));
	cancel->request = request;
	cancel->polling = PGRES_POLLING_WRITING;
	return cancel;
}

/* remote_cancel_is_over -- has the other server taken the request? */
bool
remote_cancel_is_over(struct RemoteCancel *cancel)
{
	struct pollfd fd;

	while (cancel->polling == PGRES_POLLING_READING ||
		   cancel->polling == PGRES_POLLING_WRITING)
	{
		fd.fd = PQcancelSocket(cancel->request);
		fd.events = cancel->polling == PGRES_POLLING_READING ? POLLIN : POLLOUT;
		fd.revents = 0;
		if (poll(&fd, 1, 0) <= 0)
			return false;
		cancel->polling = PQcancelPoll(cancel->request);
	}
	return true;
}

/* remote_cancel_end -- forget a cancel, over or not */
void
remote_cancel_end(struct RemoteCancel *cancel)
{
	PQcancelFinish(cancel->request);
	pfree(cancel);
}

#else

/* Shared by backend and thread; the one who lets go last frees it */
typedef struct RemoteCancel
{
	PGcancel   *request;
	pthread_mutex_t mutex;
	bool		over;			/* the thread has finished */
	bool		forgotten;		/* the backend does not care any more */
} RemoteCancel;

static void *run_cancel(void *arg);
static void free_cancel(RemoteCancel *cancel);

/* remote_cancel_begin -- ask to cancel what a connection does; NULL: cannot */
struct RemoteCancel *
remote_cancel_begin(PGconn *pg)
{
	RemoteCancel *cancel;
	pthread_t	thread;
	sigset_t	all;
	sigset_t	old;
	int			rc;

	cancel = calloc(1, sizeof(RemoteCancel));
	if (cancel == NULL)
		return NULL;
	cancel->request = PQgetCancel(pg);
	if (cancel->request == NULL || pthread_mutex_init(&cancel->mutex, NULL) != 0)
	{
		PQfreeCancel(cancel->request);
		free(cancel);
		return NULL;
	}
	/* signals are for the backend */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&thread, NULL, run_cancel, cancel);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0)
	{
		free_cancel(cancel);
		return NULL;
	}
	pthread_detach(thread);
	return cancel;
}

/* What the thread does: nothing of PostgreSQL's server may be called here */
static void *
run_cancel(void *arg)
{
	RemoteCancel *cancel = arg;
	char		error[256];
	bool		forgotten;

	(void) PQcancel(cancel->request, error, sizeof(error));
	pthread_mutex_lock(&cancel->mutex);
	cancel->over = true;
	forgotten = cancel->forgotten;
	pthread_mutex_unlock(&cancel->mutex);
	if (forgotten)
		free_cancel(cancel);
	return NULL;
}

/* remote_cancel_is_over -- has the other server taken the request? */
bool
remote_cancel_is_over(struct RemoteCancel *cancel)
{
	bool		over;

	pthread_mutex_lock(&cancel->mutex);
	over = cancel->over;
	pthread_mutex_unlock(&cancel->mutex);
	return over;
}

/* remote_cancel_end -- forget a cancel, over or not */
void
remote_cancel_end(struct RemoteCancel *cancel)
{
	bool		over;

	pthread_mutex_lock(&cancel->mutex);
	over = cancel->over;
	cancel->forgotten = true;
	pthread_mutex_unlock(&cancel->mutex);
	if (over)
		free_cancel(cancel);
}

static void
free_cancel(RemoteCancel *cancel)
{
	pthread_mutex_destroy(&cancel->mutex);
	PQfreeCancel(cancel->request);
	free(cancel);
}

#endif							/* LIBPQ_HAS_ASYNC_CANCEL */
