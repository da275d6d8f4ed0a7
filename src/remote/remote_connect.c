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
#include "access/xlog.h"
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

List	   *(*vdb_remote_choose_hosts) (int group, VdbReadFrom level,
										StringInfo why) = NULL;
bool		(*vdb_remote_is_fit) (VdbReadFrom level) = NULL;
bool		(*vdb_remote_is_down) (int group, const VdbHost *host) = NULL;

dlist_head	remote_connections = DLIST_STATIC_INIT(remote_connections);
void		(*vdb_remote_session_hook) (const PGconn *pg, int group,
										bool opened);

static MemoryContext context;
static bool exit_registered;

static const VdbCluster *check_group(int group);
static RemoteConnection *look_up_connection(int group, const char *host,
											int port);
static RemoteConnection *find_connection(int group, const char *host,
										 int port);
static List *choose_hosts(int group, VdbReadFrom level, StringInfo why);
static RemoteConnection *find_host(int group, const VdbReadHost *host);
static char *name_target(const RemoteConnection *c);
static bool is_listed(const List *texts, const char *text);
static void reserve(RemoteConnection *c, const char *check);
static RemoteConnection *take_reserved(int group, List **tried, char **check);
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
 * remote_connection -- the connection to the primary of a group, which may not
 * be connected
 *
 * An ERROR if the group does not exist, or is our own and we are the primary.
 */
RemoteConnection *
remote_connection(int group)
{
	const VdbCluster *cluster = check_group(group);

	if (group == cluster->local_group && !RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("group %d is this node's own", group)));
	return find_connection(group, NULL, 0);
}

/* The cluster, if statements can be sent to a group of it; else an ERROR */
static const VdbCluster *
check_group(int group)
{
	const VdbCluster *cluster = vdb_catalog_cluster();

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
	if (vdb_catalog_group(group) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("group %d does not exist", group)));
	return cluster;
}

/* What there is for a host of a group, or its primary if host is NULL; or NULL */
static RemoteConnection *
look_up_connection(int group, const char *host, int port)
{
	RemoteConnection *c;
	dlist_iter	iter;

	dlist_foreach(iter, &remote_connections)
	{
		c = dlist_container(RemoteConnection, node, iter.cur);
		if (c->group != group)
			continue;
		if (host == NULL ? c->target.host == NULL :
			c->target.host != NULL && c->target.port == port &&
			strcmp(c->target.host, host) == 0)
			return c;
	}
	return NULL;
}

/* The connection to a host of a group, or to its primary if host is NULL */
static RemoteConnection *
find_connection(int group, const char *host, int port)
{
	RemoteConnection *c = look_up_connection(group, host, port);

	if (c)
		return c;
	c = MemoryContextAllocZero(remote_context(), sizeof(RemoteConnection));
	c->group = group;
	c->place = -1;
	if (host)
		c->target.host = MemoryContextStrdup(remote_context(), host);
	c->target.port = port;
	dlist_init(&c->steps);
	dlist_init(&c->statement_order);
	dlist_push_tail(&remote_connections, &c->node);
	return c;
}

/* vdb_remote_read_level -- see vecdb/remote.h */
VdbReadFrom
vdb_remote_read_level(bool writes)
{
	VdbReadFrom level = vdb_catalog_read_from();

	if (level == VDB_READ_LEADER || writes)
		return VDB_READ_LEADER;
	/* this is of the primary, too */
	if (level == VDB_READ_LEASED)
		return level;
	return IsolationUsesXactSnapshot() || remote_transaction_has_written() ?
		VDB_READ_LEADER : level;
}

/* vdb_remote_reads_own -- see vecdb/remote.h */
bool
vdb_remote_reads_own(VdbReadFrom level)
{
	if (level == VDB_READ_LEADER || vdb_remote_is_fit == NULL)
		return !RecoveryInProgress();
	return vdb_remote_is_fit(level);
}

/*
 * remote_choose -- a connection to a host of a group that a request may read at
 *
 * It is connected.  The host is added to "tried", and those that were there
 * are passed over.  *check is what the host has to be asked first, or NULL.
 * If there is no host that is an ERROR, but NULL if any was tried before.
 */
RemoteConnection *
remote_choose(int group, VdbReadFrom level, List **tried, char **check)
{
	StringInfoData why;
	bool		first = *tried == NIL;
	List	   *hosts;
	RemoteConnection *c;
	ListCell   *lc;

	(void) check_group(group);
	if (first && (c = take_reserved(group, tried, check)) != NULL)
		return c;
	initStringInfo(&why);
	hosts = choose_hosts(group, level, &why);
	foreach(lc, hosts)
	{
		VdbReadHost *host = lfirst(lc);
		char	   *failure;

		c = find_host(group, host);
		if (is_listed(*tried, name_target(c)))
			continue;
		*tried = lappend(*tried, name_target(c));
		*check = host->check;
		remote_transaction_check(c);
		if (remote_is_connected(c, false))
			return c;
		if (host->host == NULL && lnext(hosts, lc) == NULL)
		{
			/* nobody else can answer: wait for it, if there is none now */
			remote_connect(c);
			return c;
		}
		if (remote_fence_is_up(c))
			continue;
		if (remote_try_connect(c, false, &failure))
			return c;
		appendStringInfo(&why, "%s%s", why.len > 0 ? "\n" : "", failure);
	}
	if (!first)
		return NULL;
	ereport(ERROR,
			(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
			 errmsg("no host of group %d is fit for vecdb.read_from = %s",
					group, vdb_catalog_level_name(level)),
			 why.len > 0 ? errdetail_internal("%s", why.data) : 0,
			 errhint("Look at vecdb.hosts.  With vecdb.read_from = any the primary answers where no standby can, and vecdb.max_lag says how far standbys may be behind.")));
}

/* The hosts that a request may read at, the best first; "why" not others */
static List *
choose_hosts(int group, VdbReadFrom level, StringInfo why)
{
	List	   *hosts = vdb_remote_choose_hosts(group, level, why);
	ListCell   *lc;

	/* a transaction goes on where it is, not to see an older state later */
	foreach(lc, hosts)
	{
		VdbReadHost *host = lfirst(lc);
		RemoteConnection *c = host->host ?
		look_up_connection(group, host->host, host->port) : NULL;

		if (c && c->depth > 0)
			return lcons(host, hosts);
	}
	return hosts;
}

/* The connection to a host that a request may read at */
static RemoteConnection *
find_host(int group, const VdbReadHost *host)
{
	return host->host ? find_connection(group, host->host, host->port) :
		remote_connection(group);
}

/* What a connection is to, for lists of hosts that were tried */
static char *
name_target(const RemoteConnection *c)
{
	return c->target.host ? psprintf("%s:%d", c->target.host, c->target.port) :
		pstrdup("primary");
}

/* Is a text in a list? */
static bool
is_listed(const List *texts, const char *text)
{
	ListCell   *lc;

	foreach(lc, texts)
	{
		if (strcmp(lfirst(lc), text) == 0)
			return true;
	}
	return false;
}

/*
 * remote_reserve -- choose hosts of several groups, and connect to them at once
 *
 * For the next request of the present statement to each.  Hosts that cannot be
 * connected to are left to remote_choose().
 */
void
remote_reserve(const int *groups, int count, VdbReadFrom level)
{
	RemoteAttempt **attempts = palloc(sizeof(RemoteAttempt *) * count);
	int			attempt_count = 0;

	for (int i = 0; i < count; i++)
	{
		StringInfoData why;
		List	   *hosts;
		RemoteConnection *c;

		(void) check_group(groups[i]);
		initStringInfo(&why);
		hosts = choose_hosts(groups[i], level, &why);
		if (hosts == NIL)
			continue;
		c = find_host(groups[i], linitial(hosts));
		reserve(c, ((VdbReadHost *) linitial(hosts))->check);
		remote_transaction_check(c);
		if (remote_is_connected(c, false) || remote_fence_is_up(c))
			continue;
		notice_end(c);
		if (!c->ready)
			attempts[attempt_count++] = remote_attempt_begin(c, false);
	}
	remote_attempt_run(attempts, attempt_count);
	pfree(attempts);
}

/* Note that a connection is for the next request to its group */
static void
reserve(RemoteConnection *c, const char *check)
{
	if (c->reserved_check)
		pfree(c->reserved_check);
	c->reserved_check = NULL;
	if (check)
		c->reserved_check = MemoryContextStrdup(remote_context(), check);
	c->reserved_at = GetCurrentStatementStartTimestamp();
}

/* The connection that was reserved in a group, if it is connected; or NULL */
static RemoteConnection *
take_reserved(int group, List **tried, char **check)
{
	dlist_iter	iter;

	dlist_foreach(iter, &remote_connections)
	{
		RemoteConnection *c = dlist_container(RemoteConnection, node, iter.cur);

		if (c->group != group || c->reserved_at == 0 ||
			c->reserved_at != GetCurrentStatementStartTimestamp())
			continue;
		c->reserved_at = 0;
		/* remote_reserve() has looked at its socket */
		if (!c->ready || c->lost || remote_fence_is_up(c))
			return NULL;
		*tried = list_make1(name_target(c));
		*check = c->reserved_check ? pstrdup(c->reserved_check) : NULL;
		return c;
	}
	return NULL;
}

/* vdb_remote_commit_lsn -- see vecdb/remote.h */
XLogRecPtr
vdb_remote_commit_lsn(int group)
{
	dlist_iter	iter;

	dlist_foreach(iter, &remote_connections)
	{
		RemoteConnection *c = dlist_container(RemoteConnection, node, iter.cur);

		if (c->group != group || c->target.host)
			continue;
		remote_note_commits(c);
		return c->commit_unknown ? PG_UINT64_MAX : c->commit_lsn;
	}
	return InvalidXLogRecPtr;
}

/*
 * remote_note_commits -- note up to where the other node says that the session
 * there has committed
 *
 * It does so by a setting that is reported when it changes.
 */
void
remote_note_commits(RemoteConnection *c)
{
	const char *text = c->ready ?
	PQparameterStatus(c->pg, "vecdb.commit_lsn") : NULL;
	uint32		high;
	uint32		low;

	if (text &&sscanf(text, "%X/%X", &high, &low) == 2)
		c->commit_lsn = Max(c->commit_lsn, ((uint64) high) << 32 | low);
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
 * remote_is_hopeless -- is it of no use to wait for an answer?
 *
 * A primary that has got a successor meanwhile may never give one, nor does a
 * host that does not answer the prober either.  Another host may be read at;
 * a primary that is slow is waited for.
 */
bool
remote_is_hopeless(const RemoteConnection *c)
{
	return remote_fence_is_outdated(c) ||
		(c->target.host && vdb_remote_is_down &&
		 vdb_remote_is_down(c->group, &c->target));
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
		if (failed->c->target.host != NULL ||
			!remote_fence_await(failed->c->group, &wait))
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
 * remote_try_connect -- the same of one connection, without an ERROR
 *
 * Returns false, and sets *why, if there is no connection.
 */
bool
remote_try_connect(RemoteConnection *c, bool patient, char **why)
{
	RemoteAttempt *a;

	remote_transaction_check(c);
	remote_fence_drop(c);
	notice_end(c);
	if (c->ready)
		return true;
	a = remote_attempt_begin(c, patient);
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
	remote_note_commits(c);
	/* what is lost with it may be committed there, or be so by recovery */
	if (c->wrote && c->pg)
		c->commit_unknown = true;
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
	c->place = -1;
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

	c.group = 0;
	PG_TRY();
	{
		RemoteAttempt *a = remote_attempt_begin_at(&c, host, port);

		remote_attempt_run(&a, 1);
		if (a->state != ATTEMPT_SUCCEEDED)
			ereport(ERROR,
					(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
					 errmsg("could not connect to host \"%s:%d\"", host, port),
					 errdetail_internal("%s", a->why.data),
					 errhint("Check that a server runs there, and that vecdb.node_conninfo lets this node log in.")));
	}
	PG_CATCH();
	{
		if (c.pg)
			remote_close(c.pg);
		PG_RE_THROW();
	}
	PG_END_TRY();
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
