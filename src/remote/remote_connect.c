/*-------------------------------------------------------------------------
 *
 * remote_connect.c
 *	  Connections to groups: kept, made when they are needed, closed.
 *
 * How one is made is in remote_attempt.c.
 *
 * IDENTIFICATION
 *	  src/remote/remote_connect.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "vecdb/lib_compat.h"
#include "vecdb/lib_debug.h"

#include "remote_private.h"

/* A connection that has answered within that time is hardly closed by now */
#define FRESH_MS 100

dlist_head	remote_connections = DLIST_STATIC_INIT(remote_connections);
void		(*vdb_remote_session_hook) (const PGconn *pg, int group,
										bool opened);

static MemoryContext context;
static bool exit_registered;

static RemoteAttempt *try_all(List *connections, bool patient);
static void notice_end(RemoteConnection *c);
static void close_all(int code, Datum arg);
VDB_NORETURN static void report_failure(RemoteConnection *c,
										const RemoteAttempt *a);

/* remote_context -- where what lives as long as the backend is allocated */
MemoryContext
remote_context(void)
{
	if (context == NULL)
		context = AllocSetContextCreate(TopMemoryContext, "vecdb remote",
										ALLOCSET_DEFAULT_SIZES);
	return context;
}

/*
 * remote_connection -- the connection to a group, which may not be connected
 *
 * An ERROR if the group does not exist or is our own.
 */
RemoteConnection *
remote_connection(int group)
{
	const VdbCluster *cluster = vdb_catalog_cluster();
	RemoteConnection *c;
	dlist_iter	iter;

	if (IsParallelWorker())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				 errmsg("cannot reach other groups from a parallel worker"),
				 errhint("Mark functions that read distributed tables PARALLEL RESTRICTED.")));
	if (cluster == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("this database is not a member of a cluster"),
				 errhint("Make it one with vecdb.create_cluster().")));
	if (group == cluster->local_group)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("group %d is this node's own", group)));
	if (vdb_catalog_group(group) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("group %d does not exist", group)));

	dlist_foreach(iter, &remote_connections)
	{
		c = dlist_container(RemoteConnection, node, iter.cur);
		if (c->group == group)
			return c;
	}
	c = MemoryContextAllocZero(remote_context(), sizeof(RemoteConnection));
	c->group = group;
	dlist_init(&c->steps);
	dlist_init(&c->statement_order);
	dlist_push_tail(&remote_connections, &c->node);
	return c;
}

/*
 * remote_is_connected -- can a connection be used without a look at its socket?
 *
 * It has answered a moment ago, or works for us.  What only reads is sent
 * again if that was wrong; what begins a transaction that writes is not.
 */
bool
remote_is_connected(RemoteConnection *c, bool writes)
{
	if (!c->ready || c->lost || remote_fence_is_up(c))
		return false;
	if (c->depth > 0 || !dlist_is_empty(&c->steps))
		return true;
	return !writes &&
		!TimestampDifferenceExceeds(c->heard,
									GetCurrentStatementStartTimestamp(),
									FRESH_MS);
}

/*
 * remote_connect -- see that a connection is connected
 *
 * A connection that was idle and has been closed by the other side is made
 * again.  An ERROR if that cannot be done within vecdb.connect_timeout, or,
 * where a group has no leader just now, vecdb.failover_timeout.
 */
void
remote_connect(RemoteConnection *c)
{
	remote_connect_all(list_make1(c), false);
}

/*
 * remote_connect_all -- the same for several groups at once
 *
 * If "patient", hosts that did not answer lately are tried as well.
 */
void
remote_connect_all(List *connections, bool patient)
{
	RemoteWait	wait = {0};
	RemoteAttempt *failed;

	while ((failed = try_all(connections, patient)) != NULL)
	{
		if (!remote_fence_await(failed->c->group, &wait))
			report_failure(failed->c, failed);
		/* what did not answer lately may lead by now */
		patient = true;
	}
}

/* Try to connect to several groups, once; returns one that failed, or NULL */
static RemoteAttempt *
try_all(List *connections, bool patient)
{
	RemoteAttempt **attempts = palloc(sizeof(RemoteAttempt *) * list_length(connections));
	RemoteAttempt *failed = NULL;
	int			count = 0;
	ListCell   *lc;

	foreach(lc, connections)
	{
		RemoteConnection *c = lfirst(lc);

		remote_transaction_check(c);
		remote_fence_pass(c);
		notice_end(c);
	}
	foreach(lc, connections)
	{
		RemoteConnection *c = lfirst(lc);

		if (!c->ready)
			attempts[count++] = remote_attempt_begin(c, patient);
	}
	remote_attempt_run(attempts, count);
	for (int i = 0; i < count && failed == NULL; i++)
	{
		if (attempts[i]->state != ATTEMPT_SUCCEEDED)
			failed = attempts[i];
	}
	return failed;
}

/* Close a connection that the other side has closed while it was idle */
static void
notice_end(RemoteConnection *c)
{
	if (c->ready && c->depth == 0 && dlist_is_empty(&c->steps))
		remote_pipeline_absorb(c);
}

/*
 * remote_try_connect -- the same without an ERROR
 *
 * Returns false, and sets *why, if there is no connection.
 */
bool
remote_try_connect(RemoteConnection *c, char **why)
{
	RemoteAttempt *a;

	remote_transaction_check(c);
	notice_end(c);
	if (c->ready)
		return true;
	a = remote_attempt_begin(c, true);
	remote_attempt_run(&a, 1);
	if (a->state == ATTEMPT_SUCCEEDED)
		return true;
	*why = a->why.data;
	return false;
}

/*
 * remote_disconnect -- close a connection, and forget what was known of it
 *
 * Requests and the transaction are the caller's business.
 */
void
remote_disconnect(RemoteConnection *c)
{
	if (c->cancel)
		remote_cancel_end(c->cancel);
	c->cancel = NULL;
	if (c->events)
		FreeWaitEventSet(c->events);
	c->events = NULL;
	remote_request_forget_sockets();
	if (c->pg)
		remote_close(c->pg);
	c->pg = NULL;
	c->ready = false;
	c->unflushed = false;
	c->ending = false;
	c->heard = 0;
	c->timeline = 0;
	c->copy = NULL;
	if (c->settings)
		pfree(c->settings);
	c->settings = NULL;
	c->settings_in_transaction = false;
	c->role_taken = false;
	c->statements_stale = false;
	remote_statement_reset(c);
	c->depth = 0;
}

/*
 * remote_open -- connect to one host, whoever it is
 *
 * To be closed with remote_close(), on errors too.
 */
PGconn *
remote_open(const char *host, int port)
{
	RemoteConnection c = {0};
	RemoteAttempt *a;

	c.group = 0;
	PG_TRY();
	{
		a = remote_attempt_begin_at(&c, host, port);
		remote_attempt_run(&a, 1);
	}
	PG_CATCH();
	{
		if (c.pg)
			remote_close(c.pg);
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (a->state != ATTEMPT_SUCCEEDED)
		ereport(ERROR,
				(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
				 errmsg("could not connect to host \"%s:%d\"", host, port),
				 errdetail_internal("%s", a->why.data),
				 errhint("Check that a server runs there, and that vecdb.node_conninfo lets this node log in.")));
	if (vdb_remote_session_hook)
		vdb_remote_session_hook(c.pg, 0, true);
	return c.pg;
}

/* remote_close -- end a connection, and give back what it took of limits */
void
remote_close(PGconn *pg)
{
	const char *host = PQhost(pg);
	const char *port = PQport(pg);

	if (vdb_remote_session_hook)
		vdb_remote_session_hook(pg, 0, false);
	if (host && port)
		remote_shared_release(host, port);
	PQfinish(pg);
	ReleaseExternalFD();
}

/* vdb_remote_begin_connect -- see vecdb/remote.h */
PGconn *
vdb_remote_begin_connect(const char *host, int port)
{
	return remote_attempt_start(host, port, "vecdb prober");
}

/* vdb_remote_end_connect -- see vecdb/remote.h */
void
vdb_remote_end_connect(PGconn *pg)
{
	PQfinish(pg);
	ReleaseExternalFD();
}

/* remote_connect_take -- a connection is made: get it ready for requests */
void
remote_connect_take(RemoteConnection *c)
{
	c->events = vdb_create_wait_event_set(3);
	AddWaitEventToSet(c->events, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(c->events, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL,
					  NULL);
	AddWaitEventToSet(c->events, WL_SOCKET_READABLE, PQsocket(c->pg), NULL,
					  NULL);
	c->waits_for = WL_SOCKET_READABLE;
	PQsetNoticeReceiver(c->pg, remote_error_notice, c);
	c->unconfirmed = 0;
	c->ready = true;
	if (!exit_registered)
		on_proc_exit(close_all, (Datum) 0);
	exit_registered = true;
	if (vdb_remote_session_hook)
		vdb_remote_session_hook(c->pg, c->group, true);
	VDB_DEBUG_POINT("remote_connected");
}

/*
 * The backend ends: say so to the other nodes
 *
 * They would log that the connection was reset.  What shared memory knew of
 * the connections is gone by now, and our transaction is over.  This waits for
 * nothing: the sockets do not block.
 */
static void
close_all(int code, Datum arg)
{
	dlist_iter	iter;

	dlist_foreach(iter, &remote_connections)
	{
		RemoteConnection *c = dlist_container(RemoteConnection, node, iter.cur);

		if (c->pg)
			PQfinish(c->pg);
		c->pg = NULL;
	}
}

/* No host of a group could be connected to */
static void
report_failure(RemoteConnection *c, const RemoteAttempt *a)
{
	ereport(ERROR,
			(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
			 errmsg("could not connect to group %d", c->group),
			 errdetail_internal("%s", a->why.data),
			 errhint("Check that the group's primary runs and can be reached, that vecdb.node_conninfo lets this node log in, and that vecdb.groups lists its hosts.")));
}
