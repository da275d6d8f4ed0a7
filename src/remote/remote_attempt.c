/*-------------------------------------------------------------------------
 *
 * remote_attempt.c
 *	  Attempts to connect: find the primary of a group, know who it is.
 *
 * A group is a list of hosts.  They are tried one after the other, the one
 * that was right last time first, until one is reached that is no standby.
 * Several groups are connected to at once.  An attempt is a small state
 * machine over libpq's own, and never blocks; only the resolution of names
 * does, in the system's library.
 *
 * IDENTIFICATION
 *	  src/remote/remote_attempt.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/wait_event.h"

#include "vecdb/lib_compat.h"
#include "vecdb/lib_debug.h"

#include "remote_private.h"

#define MAX_OPTIONS 64

/* A host that fails after that time is left alone for a while */
#define SLOW_MS 1000

/*
 * When both ends of a connection ask whether the other one is still there: s
 * of silence, s between questions, questions without an answer.
 * vecdb.node_conninfo may say otherwise.
 */
#define KEEPALIVE_IDLE 5
#define KEEPALIVE_INTERVAL 2
#define KEEPALIVE_COUNT 3

/* How often a session that is at work looks whether we are still there */
#define SESSION_CHECK_MS 2000

int			(*vdb_remote_order_hosts) (int group, VdbHost *hosts,
									   int *numbers, int count,
									   StringInfo refused) = NULL;

static void next_host(RemoteAttempt *a);
static bool start_host(RemoteAttempt *a);
static void fail_host(RemoteAttempt *a, const char *why);
static bool is_pending(const RemoteAttempt *a);
static void advance(RemoteAttempt *a);
static void ask_identity(RemoteAttempt *a);
static void read_identity(RemoteAttempt *a);
static void wait_for_attempts(RemoteAttempt **attempts, int count);
static long next_deadline(RemoteAttempt **attempts, int count);
static const char *session_options(int idle, int interval, int count);
static char *name_host(const VdbHost *host);

/* remote_attempt_begin -- begin to connect; sets the first host to work */
RemoteAttempt *
remote_attempt_begin(RemoteConnection *c, bool patient)
{
	const VdbGroup *group = vdb_catalog_group(c->group);
	RemoteAttempt *a = palloc0(sizeof(RemoteAttempt));

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
	if (c->target.host)
	{
		a->hosts[0].host = c->target.host;
		a->hosts[0].port = c->target.port;
		a->host_count = 1;
	}
	else if (vdb_remote_order_hosts)
		a->host_count = vdb_remote_order_hosts(c->group, a->hosts, a->numbers,
											   a->host_count, &a->why);
	next_host(a);
	return a;
}

/* remote_attempt_begin_at -- the same with one host that need not be member */
RemoteAttempt *
remote_attempt_begin_at(RemoteConnection *c, const char *host, int port)
{
	RemoteAttempt *a = palloc0(sizeof(RemoteAttempt));

	a->c = c;
	a->hosts = palloc(sizeof(VdbHost));
	a->hosts[0].host = pstrdup(host);
	a->hosts[0].port = port;
	a->numbers = palloc0(sizeof(int));
	a->host_count = 1;
	a->patient = true;
	a->budget_ms = remote_connect_timeout;
	initStringInfo(&a->why);
	a->host = -1;
	next_host(a);
	return a;
}

/*
 * remote_attempt_run -- let attempts go on until each has succeeded or failed
 */
void
remote_attempt_run(RemoteAttempt **attempts, int count)
{
	for (;;)
	{
		bool		pending = false;

		for (int i = 0; i < count; i++)
		{
			RemoteAttempt *a = attempts[i];

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
next_host(RemoteAttempt *a)
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
start_host(RemoteAttempt *a)
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
		a->c->pg = remote_attempt_start(host->host, host->port, "vecdb");
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
fail_host(RemoteAttempt *a, const char *why)
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
is_pending(const RemoteAttempt *a)
{
	return a->state == ATTEMPT_CONNECTING || a->state == ATTEMPT_ASKING;
}

/* Go one step further; the socket is ready for what was waited for */
static void
advance(RemoteAttempt *a)
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
	if (a->c->target.host == NULL && standby && strcmp(standby, "on") == 0)
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
ask_identity(RemoteAttempt *a)
{
	PGconn	   *pg = a->c->pg;
	static const Oid type = TEXTOID;
	const char *key;

	remote_guard_key(a->c->key);
	a->c->proofs = 0;
	a->identified = false;
	key = remote_guard_key_text(a->c->key);
	if (PQsetnonblocking(pg, 1) != 0 || !PQenterPipelineMode(pg) ||
		!PQsendQueryParams(pg, remote_peer_query(a->c->group), 0, NULL, NULL, NULL, NULL,
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
read_identity(RemoteAttempt *a)
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
			{
				why = remote_peer_refuse(res, a->c->group,
										 name_host(&a->hosts[a->host]));
				if (why == NULL)
					remote_fence_note(a->c, remote_peer_timeline(res));
			}
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
		remote_connect_take(a->c);
		a->c->last_good = a->numbers[a->host];
		if (a->c->host)
			pfree(a->c->host);
		a->c->host = MemoryContextStrdup(remote_context(),
										 name_host(&a->hosts[a->host]));
		a->c->place = remote_shared_place(a->hosts[a->host].host,
										  a->hosts[a->host].port);
		a->state = ATTEMPT_SUCCEEDED;
	}
}

/* Wait until an attempt can go on, and let it */
static void
wait_for_attempts(RemoteAttempt **attempts, int count)
{
	WaitEventSet *set = vdb_create_wait_event_set(count + 2);
	WaitEvent  *events = palloc(sizeof(WaitEvent) * (count + 2));
	int			occurred;

	AddWaitEventToSet(set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	for (int i = 0; i < count; i++)
	{
		RemoteAttempt *a = attempts[i];

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
next_deadline(RemoteAttempt **attempts, int count)
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
 * remote_attempt_start -- begin to connect to a host
 *
 * The other node sees in application_name what, and which group and process,
 * we are.
 * What vecdb.node_conninfo says comes first, so that it cannot change host,
 * port, database and what makes the session an internal one.
 */
PGconn *
remote_attempt_start(const char *host, int port, const char *who)
{
	const char *keywords[MAX_OPTIONS + 16];
	const char *values[MAX_OPTIONS + 16];
	int			n = 0;
	int			idle = KEEPALIVE_IDLE;
	int			interval = KEEPALIVE_INTERVAL;
	int			count = KEEPALIVE_COUNT;
	PQconninfoOption *options = NULL;
	const VdbCluster *cluster = vdb_catalog_cluster();
	PGconn	   *pg;

	keywords[n] = "user";
	values[n++] = GetUserNameFromId(BOOTSTRAP_SUPERUSERID, false);
	keywords[n] = "tcp_user_timeout";
	values[n++] = "10000";
	if (remote_node_conninfo && remote_node_conninfo[0])
		options = PQconninfoParse(remote_node_conninfo, NULL);
	for (PQconninfoOption *o = options; o && o->keyword; o++)
	{
		if (o->val && n < MAX_OPTIONS && strcmp(o->keyword, "hostaddr") != 0 &&
			strcmp(o->keyword, "service") != 0)
		{
			if (strcmp(o->keyword, "keepalives_idle") == 0)
				idle = Max(atoi(o->val), 0);
			else if (strcmp(o->keyword, "keepalives_interval") == 0)
				interval = Max(atoi(o->val), 0);
			else if (strcmp(o->keyword, "keepalives_count") == 0)
				count = Max(atoi(o->val), 0);
			else
			{
				keywords[n] = o->keyword;
				values[n++] = pstrdup(o->val);
			}
		}
	}
	if (options)
		PQconninfoFree(options);
	keywords[n] = "keepalives_idle";
	values[n++] = psprintf("%d", idle);
	keywords[n] = "keepalives_interval";
	values[n++] = psprintf("%d", interval);
	keywords[n] = "keepalives_count";
	values[n++] = psprintf("%d", count);
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

	values[n++] = session_options(idle, interval, count);
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

/*
 * What the session at the other node is told when it begins
 *
 * We have to hear of warnings, whatever the node is configured to say, and
 * what we ask as superuser must find no operators of users.
 *
 * It has to end when we are gone, as it holds locks.  A network that was cut
 * may have swallowed our goodbye; servers ask whether we are still there after
 * two hours by default, and do not look while they wait for a lock.
 * tcp_user_timeout is no help: the kernel applies it to one who is there but
 * does not read as well, such as a cursor that waits for its user.
 */
static const char *
session_options(int idle, int interval, int count)
{
	StringInfoData options;

	initStringInfo(&options);
	appendStringInfo(&options,
					 "-c vecdb.internal=on -c client_min_messages=notice"
					 " -c search_path=pg_catalog -c tcp_keepalives_idle=%d"
					 " -c tcp_keepalives_interval=%d"
					 " -c tcp_keepalives_count=%d",
					 idle, interval, count);
	/* where the system cannot tell the server refuses the setting */
	if (WaitEventSetCanReportClosed())
		appendStringInfo(&options, " -c client_connection_check_interval=%d",
						 SESSION_CHECK_MS);
	return options.data;
}

/* host:port */
static char *
name_host(const VdbHost *host)
{
	return psprintf("%s:%d", host->host, host->port);
}
