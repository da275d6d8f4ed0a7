/*-------------------------------------------------------------------------
 *
 * remote_connect.c
 *	  Connections to groups: find the primary, know who it is, close.
 *
 * A group is a list of hosts.  They are tried one after the other, the one
 * that was right last time first, until one is reached that is no standby.
 * Several groups are connected to at once.  An attempt is a small state
 * machine over libpq's own, and never blocks; only the resolution of names
 * does, in the system's library.
 *
 * IDENTIFICATION
 *	  src/remote/remote_connect.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#include "vecdb/lib_compat.h"
#include "vecdb/lib_debug.h"

#include "remote_private.h"

#define MAX_OPTIONS 64

/* A host that fails after that time is left alone for a while */
#define SLOW_MS 1000

/* A connection that has answered within that time is hardly closed by now */
#define FRESH_MS 100

typedef enum AttemptState
{
	ATTEMPT_CONNECTING,			/* PQconnectPoll() has the word */
	ATTEMPT_ASKING,				/* who are you? */
	ATTEMPT_SUCCEEDED,
	ATTEMPT_FAILED
} AttemptState;

/* An attempt to connect to one group, or to one host that need not be member */
typedef struct Attempt
{
	AttemptState state;
	RemoteConnection *c;		/* pg is the connection being made */
	VdbHost    *hosts;			/* in the order in which they are tried */
	int		   *numbers;		/* their numbers in the catalog */
	int			host_count;
	int			host;			/* now tried; -1 before the first */
	bool		patient;		/* try also hosts that did not answer lately */
	PostgresPollingStatusType polling;
	TimestampTz started;		/* with this host */
	TimestampTz deadline;		/* for this host */
	int			budget_ms;		/* for each host */
	bool		identified;		/* the host is the group that is meant */
	StringInfoData why;			/* what went wrong, by host */
} Attempt;

int			(*vdb_remote_order_hosts) (int group, VdbHost *hosts,
									   int *numbers, int count,
									   StringInfo refused) = NULL;

dlist_head	remote_connections = DLIST_STATIC_INIT(remote_connections);
void		(*vdb_remote_session_hook) (const PGconn *pg, int group,
										bool opened);

static MemoryContext context;
static bool exit_registered;

static void notice_end(RemoteConnection *c);
static Attempt *begin_attempt(RemoteConnection *c, bool patient);
static void run_attempts(Attempt **attempts, int count);
static void next_host(Attempt *a);
static bool start_host(Attempt *a);
static void fail_host(Attempt *a, const char *why);
static bool is_pending(const Attempt *a);
static void advance(Attempt *a);
static void ask_identity(Attempt *a);
static void read_identity(Attempt *a);
static void wait_for_attempts(Attempt **attempts, int count);
static long next_deadline(Attempt **attempts, int count);
static PGconn *start_connection(const char *host, int port, const char *who);
static void take_ready(RemoteConnection *c);
static void close_all(int code, Datum arg);
VDB_NORETURN static void report_failure(RemoteConnection *c, const Attempt *a);
static char *name_host(const VdbHost *host);

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
	if (!c->ready || c->lost)
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
 * again.  An ERROR if that cannot be done within vecdb.connect_timeout.
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
	Attempt   **attempts = palloc(sizeof(Attempt *) * list_length(connections));
	int			count = 0;
	ListCell   *lc;

	foreach(lc, connections)
	{
		RemoteConnection *c = lfirst(lc);

		remote_transaction_check(c);
		notice_end(c);
		if (!c->ready)
			attempts[count++] = begin_attempt(c, patient);
	}
	run_attempts(attempts, count);
	for (int i = 0; i < count; i++)
	{
		if (attempts[i]->state != ATTEMPT_SUCCEEDED)
			report_failure(attempts[i]->c, attempts[i]);
	}
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
	Attempt    *a;

	remote_transaction_check(c);
	notice_end(c);
	if (c->ready)
		return true;
	a = begin_attempt(c, true);
	run_attempts(&a, 1);
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
	VdbHost		one = {pstrdup(host), port};
	Attempt    *a = palloc0(sizeof(Attempt));

	c.group = 0;
	a->c = &c;
	a->hosts = &one;
	a->numbers = palloc0(sizeof(int));
	a->host_count = 1;
	a->patient = true;
	a->budget_ms = remote_connect_timeout;
	initStringInfo(&a->why);
	a->host = -1;

	PG_TRY();
	{
		next_host(a);
		run_attempts(&a, 1);
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
	return start_connection(host, port, "vecdb prober");
}

/* vdb_remote_end_connect -- see vecdb/remote.h */
void
vdb_remote_end_connect(PGconn *pg)
{
	PQfinish(pg);
	ReleaseExternalFD();
}

/* Begin to connect; sets the first host to work */
static Attempt *
begin_attempt(RemoteConnection *c, bool patient)
{
	const VdbGroup *group = vdb_catalog_group(c->group);
	Attempt    *a = palloc0(sizeof(Attempt));

	if (group == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("group %d does not exist", c->group)));
	remote_disconnect(c);
	a->c = c;
	a->host_count = group->host_count;
	a->hosts = palloc(sizeof(VdbHost) * Max(group->host_count, 1));
	a->numbers = palloc(sizeof(int) * Max(group->host_count, 1));
	for (int i = 0; i < group->host_count; i++)
	{
		int			number = (i + c->last_good) % group->host_count;

		a->hosts[i].host = pstrdup(group->hosts[number].host);
		a->hosts[i].port = group->hosts[number].port;
		a->numbers[i] = number;
	}
	a->host = -1;
	a->patient = patient;
	a->budget_ms = remote_connect_timeout / Max(group->host_count, 1);
	initStringInfo(&a->why);
	if (vdb_remote_order_hosts)
		a->host_count = vdb_remote_order_hosts(c->group, a->hosts, a->numbers,
											   a->host_count, &a->why);
	next_host(a);
	return a;
}

/* Let attempts go on until each has succeeded or failed */
static void
run_attempts(Attempt **attempts, int count)
{
	for (;;)
	{
		bool		pending = false;

		for (int i = 0; i < count; i++)
		{
			Attempt    *a = attempts[i];

			if (is_pending(a) && GetCurrentTimestamp() >= a->deadline)
			{
				fail_host(a, psprintf("no answer within %d ms", a->budget_ms));
				next_host(a);
			}
			pending |= is_pending(a);
		}
		if (!pending)
			return;
		wait_for_attempts(attempts, count);
		CHECK_FOR_INTERRUPTS();
	}
}

/* Begin with the next host that may be tried, or fail if there is none */
static void
next_host(Attempt *a)
{
	while (++a->host < a->host_count)
	{
		const VdbHost *host = &a->hosts[a->host];
		int			wait_ms;

		if (!a->patient &&
			!remote_shared_may_try(host->host, host->port, &wait_ms))
		{
			fail_host(a, psprintf("did not answer lately, and is not tried again for %d ms",
								  wait_ms));
			continue;
		}
		if (start_host(a))
			return;
	}
	if (a->host_count == 0 && a->why.len == 0)
		appendStringInfoString(&a->why, "The group has no hosts.");
	a->state = ATTEMPT_FAILED;
}

/* Begin with a host; false if that failed at once */
static bool
start_host(Attempt *a)
{
	const VdbHost *host = &a->hosts[a->host];
	char	   *port = psprintf("%d", host->port);

	a->started = GetCurrentTimestamp();
	a->deadline = TimestampTzPlusMilliseconds(a->started, a->budget_ms);
	if (!remote_shared_acquire(host->host, port))
	{
		fail_host(a, "there are already as many connections as vecdb.max_connections_per_host allows");
		return false;
	}
	PG_TRY();
	{
		a->c->pg = start_connection(host->host, host->port, "vecdb");
	}
	PG_CATCH();
	{
		remote_shared_release(host->host, port);
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (PQstatus(a->c->pg) == CONNECTION_BAD)
	{
		fail_host(a, PQerrorMessage(a->c->pg));
		return false;
	}
	a->state = ATTEMPT_CONNECTING;
	a->polling = PGRES_POLLING_WRITING;
	return true;
}

/* This host is not the one; close what was begun and note why */
static void
fail_host(Attempt *a, const char *why)
{
	const VdbHost *host = &a->hosts[a->host];
	int			length = strlen(why);

	while (length > 0 && why[length - 1] == '\n')
		length--;
	appendStringInfo(&a->why, "%s%s: %.*s", a->why.len > 0 ? "\n" : "",
					 name_host(host), length, why);
	if (a->c->pg)
	{
		/* one that says no at once costs nobody anything */
		if (TimestampDifferenceExceeds(a->started, GetCurrentTimestamp(),
									   Min(a->budget_ms, SLOW_MS)))
			remote_shared_failed(host->host, host->port);
		remote_close(a->c->pg);
		a->c->pg = NULL;
	}
}

/* Is an attempt neither successful nor at its end? */
static bool
is_pending(const Attempt *a)
{
	return a->state == ATTEMPT_CONNECTING || a->state == ATTEMPT_ASKING;
}

/* Go one step further; the socket is ready for what was waited for */
static void
advance(Attempt *a)
{
	PGconn	   *pg = a->c->pg;
	const char *standby;

	if (a->state == ATTEMPT_ASKING)
	{
		read_identity(a);
		return;
	}
	a->polling = PQconnectPoll(pg);
	if (a->polling == PGRES_POLLING_FAILED)
	{
		fail_host(a, PQerrorMessage(pg));
		next_host(a);
		return;
	}
	if (a->polling != PGRES_POLLING_OK)
		return;

	remote_shared_succeeded(a->hosts[a->host].host, a->hosts[a->host].port);
	if (a->c->group == 0)
	{
		a->state = ATTEMPT_SUCCEEDED;
		return;
	}
	standby = PQparameterStatus(pg, "in_hot_standby");
	if (standby && strcmp(standby, "on") == 0)
	{
		fail_host(a, "is a standby");
		next_host(a);
		return;
	}
	ask_identity(a);
}

/*
 * Ask who the other node is, and have it guard the session
 *
 * One flight: where the answer is an error, as of a node without vecdb, the
 * rest is skipped.
 */
static void
ask_identity(Attempt *a)
{
	PGconn	   *pg = a->c->pg;
	static const Oid type = TEXTOID;
	const char *key;

	remote_guard_key(a->c->key);
	a->c->proofs = 0;
	a->identified = false;
	key = remote_guard_key_text(a->c->key);
	if (PQsetnonblocking(pg, 1) != 0 || !PQenterPipelineMode(pg) ||
		!PQsendQueryParams(pg, remote_peer_query(), 0, NULL, NULL, NULL, NULL,
						   0) ||
		!PQsendQueryParams(pg, "SELECT vecdb.guard_session($1)", 1, &type,
						   &key, NULL, NULL, 0) ||
		!PQpipelineSync(pg))
	{
		fail_host(a, PQerrorMessage(pg));
		next_host(a);
		return;
	}
	a->state = ATTEMPT_ASKING;
	a->polling = PGRES_POLLING_READING;
}

/* Read who the other node is, and succeed if it is who it should be */
static void
read_identity(Attempt *a)
{
	PGconn	   *pg = a->c->pg;
	char	   *why = NULL;
	PGresult   *res;
	bool		synced = false;

	if (!PQconsumeInput(pg))
	{
		fail_host(a, PQerrorMessage(pg));
		next_host(a);
		return;
	}
	while (!synced && !PQisBusy(pg))
	{
		res = PQgetResult(pg);
		if (res == NULL)
			continue;
		synced = PQresultStatus(res) == PGRES_PIPELINE_SYNC;
		if (!synced && PQresultStatus(res) != PGRES_PIPELINE_ABORTED)
		{
			if (!a->identified)
				why = remote_peer_refuse(res, a->c->group,
										 name_host(&a->hosts[a->host]));
			else if (PQresultStatus(res) != PGRES_TUPLES_OK)
				why = pstrdup(PQresultErrorMessage(res));
			a->identified = true;
			if (why)
				synced = true;
		}
		PQclear(res);
	}
	if (why)
	{
		fail_host(a, why);
		next_host(a);
	}
	else if (synced)
	{
		take_ready(a->c);
		a->c->last_good = a->numbers[a->host];
		if (a->c->host)
			pfree(a->c->host);
		a->c->host = MemoryContextStrdup(remote_context(),
										 name_host(&a->hosts[a->host]));
		a->state = ATTEMPT_SUCCEEDED;
	}
}

/* Wait until an attempt can go on, and let it */
static void
wait_for_attempts(Attempt **attempts, int count)
{
	WaitEventSet *set = vdb_create_wait_event_set(count + 2);
	WaitEvent  *events = palloc(sizeof(WaitEvent) * (count + 2));
	int			occurred;

	AddWaitEventToSet(set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	for (int i = 0; i < count; i++)
	{
		Attempt    *a = attempts[i];

		if (is_pending(a))
			AddWaitEventToSet(set,
							  a->polling == PGRES_POLLING_READING ?
							  WL_SOCKET_READABLE : WL_SOCKET_WRITEABLE,
							  PQsocket(a->c->pg), NULL, a);
	}
	occurred = WaitEventSetWait(set, next_deadline(attempts, count), events,
								count + 2, PG_WAIT_EXTENSION);
	FreeWaitEventSet(set);

	for (int i = 0; i < occurred; i++)
	{
		if (events[i].events & WL_LATCH_SET)
			ResetLatch(MyLatch);
		if (events[i].user_data)
			advance(events[i].user_data);
	}
	pfree(events);
}

/* Milliseconds until the first attempt runs out of time */
static long
next_deadline(Attempt **attempts, int count)
{
	TimestampTz now = GetCurrentTimestamp();
	long		least = remote_connect_timeout;

	for (int i = 0; i < count; i++)
	{
		if (is_pending(attempts[i]))
			least = Min(least,
						TimestampDifferenceMilliseconds(now,
														attempts[i]->deadline));
	}
	return Max(least, 1);
}

/*
 * Begin to connect to a host
 *
 * The other node sees in application_name what, and which group and process,
 * we are.
 * What vecdb.node_conninfo says comes first, so that it cannot change host,
 * port, database and what makes the session an internal one.
 */
static PGconn *
start_connection(const char *host, int port, const char *who)
{
	const char *keywords[MAX_OPTIONS + 16];
	const char *values[MAX_OPTIONS + 16];
	int			n = 0;
	PQconninfoOption *options = NULL;
	const VdbCluster *cluster = vdb_catalog_cluster();
	PGconn	   *pg;

	keywords[n] = "user";
	values[n++] = GetUserNameFromId(BOOTSTRAP_SUPERUSERID, false);
	keywords[n] = "keepalives_idle";
	values[n++] = "5";
	keywords[n] = "keepalives_interval";
	values[n++] = "2";
	keywords[n] = "keepalives_count";
	values[n++] = "3";
	keywords[n] = "tcp_user_timeout";
	values[n++] = "10000";
	if (remote_node_conninfo && remote_node_conninfo[0])
		options = PQconninfoParse(remote_node_conninfo, NULL);
	for (PQconninfoOption *o = options; o && o->keyword; o++)
	{
		if (o->val && n < MAX_OPTIONS && strcmp(o->keyword, "hostaddr") != 0 &&
			strcmp(o->keyword, "service") != 0)
		{
			keywords[n] = o->keyword;
			values[n++] = pstrdup(o->val);
		}
	}
	if (options)
		PQconninfoFree(options);
	keywords[n] = "host";
	values[n++] = host;
	keywords[n] = "port";
	values[n++] = psprintf("%d", port);
	keywords[n] = "dbname";
	values[n++] = get_database_name(MyDatabaseId);
	keywords[n] = "client_encoding";
	values[n++] = GetDatabaseEncodingName();
	keywords[n] = "application_name";
	values[n++] = psprintf("%s %d:%d", who,
						   cluster ? cluster->local_group : 0, MyProcPid);
	keywords[n] = "options";

	/*
	 * We have to hear of warnings, whatever the node is configured to say,
	 * and what we ask as superuser must find no operators of users.
	 */
	values[n++] = "-c vecdb.internal=on -c client_min_messages=notice"
		" -c search_path=pg_catalog";
	keywords[n] = values[n] = NULL;

	VDB_DEBUG_POINT("remote_connecting");
	if (!AcquireExternalFD())
		ereport(ERROR,
				(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
				 errmsg("could not connect to host \"%s:%d\"", host, port),
				 errdetail("There are too many open files."),
				 errhint("Raise the server's max_files_per_process and/or \"ulimit -n\" limits.")));
	pg = PQconnectStartParams(keywords, values, false);
	if (pg == NULL)
	{
		ReleaseExternalFD();
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	}
	return pg;
}

/* A connection is made: get it ready for requests */
static void
take_ready(RemoteConnection *c)
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
report_failure(RemoteConnection *c, const Attempt *a)
{
	ereport(ERROR,
			(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
			 errmsg("could not connect to group %d", c->group),
			 errdetail_internal("%s", a->why.data),
			 errhint("Check that the group's primary runs and can be reached, that vecdb.node_conninfo lets this node log in, and that vecdb.groups lists its hosts.")));
}

/* host:port */
static char *
name_host(const VdbHost *host)
{
	return psprintf("%s:%d", host->host, host->port);
}
