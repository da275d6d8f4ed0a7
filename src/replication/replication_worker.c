/*-------------------------------------------------------------------------
 *
 * replication_worker.c
 *	  The prober, and the launcher that starts one in each database of a
 *	  cluster.
 *
 * The launcher looks at all databases after a start of the server, and later
 * at those whose row of vecdb.catalog_local has changed.  A prober that finds
 * that its database is in no cluster ends.  Both run on standbys, too.
 *
 * A prober has a transaction open only while it begins a turn or takes an
 * answer, and leaves when somebody wants the database to himself.
 *
 * IDENTIFICATION
 *	  src/replication/replication_worker.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/wait_event.h"

#include "vecdb/lib_worker.h"

#include "replication_private.h"

PGDLLEXPORT void vecdb_watcher_worker(Datum arg);
PGDLLEXPORT void vecdb_prober_worker(Datum arg);

/* of the prober: one for each host, and why it ends */
static List *probes;
static bool is_wanted = true;
static StringInfoData told_groups;
static StringInfoData told_timelines;

static void request_all(void);
static void start_prober(Oid database);
static bool has_database(Oid database);
static void end_launcher(int code, Datum arg);
static void end_prober(int code, Datum arg);
static bool begin_turn(void);
static void list_hosts(const VdbCluster *cluster);
static void list_host(int group, const VdbHost *host);
static void forget_unlisted(void);
static void wait_until(TimestampTz end);
static long next_deadline(TimestampTz end);
static void take_events(WaitEvent *events, int count);
static void take_wishes(void);
static void end_transaction(void);

/* Milliseconds until a host is to be asked out of turn */
static long next_question;

/* replication_worker_init -- have the launcher started with the server */
void
replication_worker_init(void)
{
	vdb_worker_register("vecdb_watcher_worker", "vecdb watcher",
						BgWorkerStart_ConsistentState);
}

/* The launcher: runs as long as the server */
void
vecdb_watcher_worker(Datum arg)
{
	vdb_worker_begin(InvalidOid);
	before_shmem_exit(end_launcher, (Datum) 0);
	replication_shared_set_launcher(true);

	request_all();
	while (!ShutdownRequestPending)
	{
		Oid			database;
		long		wait_ms = 0;

		while (!ShutdownRequestPending &&
			   OidIsValid(database = replication_shared_next(&wait_ms)))
			start_prober(database);
		vdb_worker_sleep(wait_ms);
	}
	proc_exit(0);
}

static void
end_launcher(int code, Datum arg)
{
	replication_shared_set_launcher(false);
}

/* Have all databases that can be connected to looked at once */
static void
request_all(void)
{
	ListCell   *lc;

	foreach(lc, vdb_worker_databases())
		replication_shared_request(lfirst_oid(lc), 1);
}

/* Start a prober; it leaves by itself where it is not wanted */
static void
start_prober(Oid database)
{
	BackgroundWorkerHandle *handle;
	pid_t		pid;

	if (!has_database(database))
	{
		replication_shared_forget(database);
		return;
	}
	handle = vdb_worker_start("vecdb_prober_worker", "vecdb prober", database);
	if (handle)
	{
		(void) WaitForBackgroundWorkerStartup(handle, &pid);
		pfree(handle);
		return;
	}
	ereport(LOG,
			(errmsg("no worker is free to watch the hosts of database %u",
					database),
			 errhint("Raise max_worker_processes.")));
	replication_shared_request(database, REPLICATION_TRIES);
}

/* Does a database exist? */
static bool
has_database(Oid database)
{
	bool		found;

	StartTransactionCommand();
	found = SearchSysCacheExists1(DATABASEOID, ObjectIdGetDatum(database));
	CommitTransactionCommand();
	return found;
}

/* The prober */
void
vecdb_prober_worker(Datum arg)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext,
												  "vecdb prober",
												  ALLOCSET_DEFAULT_SIZES);

	vdb_worker_begin(DatumGetObjectId(arg));
	initStringInfo(&told_groups);
	initStringInfo(&told_timelines);

	MemoryContextSwitchTo(context);
	while (begin_turn())
	{
		wait_until(TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
											   replication_probe_interval));
		vdb_worker_reload();
		MemoryContextSwitchTo(context);
		MemoryContextReset(context);
	}
	proc_exit(0);
}

/* The prober ends; is_wanted says whether another one has to take its place */
static void
end_prober(int code, Datum arg)
{
	replication_shared_end_prober(is_wanted);
}

/*
 * Ask all hosts
 *
 * Returns false if there is nothing to watch, or another prober does, or the
 * database is wanted without us.
 */
static bool
begin_turn(void)
{
	static bool is_prober = false;
	const VdbCluster *cluster = NULL;
	bool		go_on;
	ListCell   *lc;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (OidIsValid(get_extension_oid("vecdb", true)))
		cluster = vdb_catalog_cluster();
	if (cluster && !is_prober && (is_prober = replication_shared_begin_prober()))
	{
		before_shmem_exit(end_prober, (Datum) 0);
		pgstat_report_activity(STATE_RUNNING, "watching the hosts of all groups");
	}
	is_wanted = cluster != NULL;
	go_on = cluster && is_prober && !replication_self_is_in_the_way();
	if (go_on)
	{
		list_hosts(cluster);
		vdb_remote_list_timelines(&told_groups, &told_timelines);
		replication_probe_tell(told_groups.data, told_timelines.data);
		foreach(lc, probes)
			replication_probe_begin(lfirst(lc));
		(void) vdb_remote_is_fenced();
	}
	PopActiveSnapshot();
	end_transaction();
	(void) pgstat_report_stat(false);
	return go_on;
}

/* Bring the list of hosts up to date */
static void
list_hosts(const VdbCluster *cluster)
{
	ListCell   *lc;

	foreach(lc, probes)
		((ReplicationProbe *) lfirst(lc))->listed = false;
	for (int i = 0; i < cluster->group_count; i++)
	{
		for (int j = 0; j < cluster->groups[i].host_count; j++)
			list_host(cluster->groups[i].id, &cluster->groups[i].hosts[j]);
	}
	forget_unlisted();
}

/* A host of the catalog: it is watched, or begins to be */
static void
list_host(int group, const VdbHost *host)
{
	MemoryContext old;
	ReplicationProbe *probe;
	ListCell   *lc;
	int			place;

	foreach(lc, probes)
	{
		probe = lfirst(lc);
		if (probe->group == group && probe->host.port == host->port &&
			strcmp(probe->host.host, host->host) == 0)
		{
			probe->listed = true;
			return;
		}
	}
	place = replication_shared_place(group, host);
	if (place < 0)
		return;
	old = MemoryContextSwitchTo(TopMemoryContext);
	probe = palloc0(sizeof(ReplicationProbe));
	probe->host.host = pstrdup(host->host);
	probe->host.port = host->port;
	probe->group = group;
	probe->place = place;
	probe->listed = true;
	probe->told = true;
	probe->known.database = MyDatabaseId;
	probe->known.group = group;
	probe->known.port = host->port;
	probe->known.lag_bytes = probe->known.lag_ms = -1;
	strlcpy(probe->known.host, host->host, REPLICATION_HOST_SIZE);
	probes = lappend(probes, probe);
	MemoryContextSwitchTo(old);
}

/* Hosts, and groups, that the catalog does not have any more */
static void
forget_unlisted(void)
{
	ListCell   *lc;

	foreach(lc, probes)
	{
		ReplicationProbe *probe = lfirst(lc);

		if (probe->listed)
			continue;
		replication_probe_close(probe);
		replication_shared_free(probe->place);
		pfree(probe->host.host);
		pfree(probe);
		probes = foreach_delete_current(probes, lc);
	}
	replication_group_forget(probes);
}

/* Take answers as they come, until it is time for the next turn */
static void
wait_until(TimestampTz end)
{
	while (GetCurrentTimestamp() < end && !ConfigReloadPending)
	{
		WaitEventSet *set = vdb_create_wait_event_set(list_length(probes) + 2);
		WaitEvent  *events = palloc(sizeof(WaitEvent) *
									(list_length(probes) + 2));
		ListCell   *lc;
		int			occurred;

		AddWaitEventToSet(set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
		AddWaitEventToSet(set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL,
						  NULL);
		foreach(lc, probes)
		{
			ReplicationProbe *probe = lfirst(lc);

			/* of one that is idle we want to hear that it ends */
			if (probe->pg)
				AddWaitEventToSet(set,
								  probe->state == PROBE_READY ||
								  probe->polling == PGRES_POLLING_READING ?
								  WL_SOCKET_READABLE : WL_SOCKET_WRITEABLE,
								  PQsocket(probe->pg), NULL, probe);
		}
		occurred = WaitEventSetWait(set, next_deadline(end), events,
									list_length(probes) + 2,
									PG_WAIT_EXTENSION);
		FreeWaitEventSet(set);
		take_events(events, occurred);
		pfree(events);
		CHECK_FOR_INTERRUPTS();
	}
}

/* Milliseconds until the turn ends or a host has not answered in time */
static long
next_deadline(TimestampTz end)
{
	TimestampTz now = GetCurrentTimestamp();
	long		least = Min(TimestampDifferenceMilliseconds(now, end),
							next_question);
	ListCell   *lc;

	foreach(lc, probes)
	{
		ReplicationProbe *probe = lfirst(lc);

		if (replication_probe_is_pending(probe))
			least = Min(least,
						TimestampDifferenceMilliseconds(now, probe->deadline));
	}
	return least + 1;
}

/* Go on with the hosts that have answered, and give up late ones */
static void
take_events(WaitEvent *events, int count)
{
	TimestampTz now;
	ListCell   *lc;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	for (int i = 0; i < count; i++)
	{
		if (events[i].events & WL_LATCH_SET)
		{
			ResetLatch(MyLatch);
			take_wishes();
		}
		if (events[i].user_data)
			replication_probe_advance(events[i].user_data);
	}
	now = GetCurrentTimestamp();
	foreach(lc, probes)
	{
		ReplicationProbe *probe = lfirst(lc);

		if (replication_probe_is_pending(probe) && now >= probe->deadline)
			replication_probe_fail(probe,
								   psprintf("no answer within %d ms",
											REPLICATION_TIMEOUT_MS));
	}
	end_transaction();
}

/* Say what was heard, ask those who are to be asked soon again, and commit */
static void
end_transaction(void)
{
	replication_pace_hear(probes);
	next_question = replication_pace_ask(probes);
	/* those that failed at once */
	replication_pace_hear(probes);
	replication_shared_set_untold(replication_probe_untold(probes));
	CommitTransactionCommand();
}

/* Somebody waits for hosts, or wants them told something: out of turn */
static void
take_wishes(void)
{
	int			group = replication_shared_take_nudge();
	int			ms;

	if (group != 0)
		replication_pace_want(probes, group);
	group = replication_shared_take_hold(&ms);
	if (group != 0)
	{
		replication_pace_hold(probes, group, ms);
		(void) replication_probe_hold(probes, group, ms);
	}
}
