/*-------------------------------------------------------------------------
 *
 * deadlock_worker.c
 *	  Background workers that have deadlocks over groups ended.
 *
 * The detector runs as long as the server is a primary.  It looks each
 * vecdb.deadlock_interval, in shared memory only, whether a backend waits for
 * a lock longer than deadlock_timeout and takes part in a transaction over
 * groups: it works for another node, or has sessions at others.  Each
 * deadlock over groups has such a backend in two groups at least.  Only then
 * it starts a worker in the backend's database, which asks the other groups,
 * and ends when nobody waits any more.
 *
 * IDENTIFICATION
 *	  src/deadlock/deadlock_worker.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "access/xact.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "utils/backend_status.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "vecdb/catalog.h"
#include "vecdb/lib_compat.h"
#include "vecdb/lib_worker.h"

#include "deadlock_private.h"

/* What names of sessions that work for other nodes begin with */
#define SESSION_NAME "vecdb "

/* From one remark that there is no room for a worker to the next */
#define REMARK_MS 60000

PGDLLEXPORT void vecdb_detector_worker(Datum arg);
PGDLLEXPORT void vecdb_deadlock_worker(Datum arg);

int			deadlock_interval = 1000;

/* A worker that the detector has started */
typedef struct StartedWorker
{
	Oid			database;
	BackgroundWorkerHandle *handle;
} StartedWorker;

static List *started;

static List *find_databases(void);
static bool takes_part(PGPROC *proc);
static bool is_session(int pid);
static bool is_running(Oid database);
static void start_in_database(Oid database);
static bool is_member(void);

/* vdb_deadlock_init -- see vecdb/deadlock.h */
void
vdb_deadlock_init(void)
{
	DefineCustomIntVariable("vecdb.deadlock_interval",
							"Sets how often deadlocks over several groups are looked for.",
							"Zero means never.",
							&deadlock_interval, 1000, 0, INT_MAX, PGC_SIGHUP,
							GUC_UNIT_MS, NULL, NULL, NULL);
	deadlock_shared_init();
	vdb_worker_register("vecdb_detector_worker", "vecdb deadlock detector",
						BgWorkerStart_RecoveryFinished);
}

/* The detector: runs as long as the server */
void
vecdb_detector_worker(Datum arg)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext,
												  "vecdb deadlock detector",
												  ALLOCSET_DEFAULT_SIZES);

	vdb_worker_begin(InvalidOid);

	while (!ShutdownRequestPending)
	{
		ListCell   *lc;

		MemoryContextSwitchTo(context);
		foreach(lc, deadlock_interval > 0 ? find_databases() : NIL)
		{
			if (!is_running(lfirst_oid(lc)))
				start_in_database(lfirst_oid(lc));
		}
		MemoryContextReset(context);
		vdb_worker_sleep(deadlock_interval > 0 ? deadlock_interval : -1L);
	}
	proc_exit(0);
}

/* The databases in which somebody waits who may be in a deadlock over groups */
static List *
find_databases(void)
{
	TimestampTz now = GetCurrentTimestamp();
	List	   *databases = NIL;

	for (int i = 0; i < MaxBackends; i++)
	{
		PGPROC	   *proc = &ProcGlobal->allProcs[i];
		int64		id;

		if (deadlock_wait_is_long(proc, now, &id) && takes_part(proc) &&
			OidIsValid(proc->databaseId))
			databases = list_append_unique_oid(databases, proc->databaseId);
	}
	pgstat_clear_backend_activity_snapshot();
	return databases;
}

/* Does a backend take part in transactions over groups? */
static bool
takes_part(PGPROC *proc)
{
	PGPROC	   *leader = *(PGPROC *volatile *) &proc->lockGroupLeader;

	if (leader == NULL)
		leader = proc;
	return deadlock_shared_has_sessions(leader) || is_session(leader->pid);
}

/* Does a backend work for another node?  Its name says so */
static bool
is_session(int pid)
{
	int			count = pgstat_fetch_stat_numbackends();

	for (int i = 1; i <= count; i++)
	{
		LocalPgBackendStatus *local = vdb_backend_entry(i);

		if (local && local->backendStatus.st_procpid == pid)
			return strncmp(local->backendStatus.st_appname, SESSION_NAME,
						   strlen(SESSION_NAME)) == 0;
	}
	return false;
}

/* Is the worker of a database still at work? */
static bool
is_running(Oid database)
{
	ListCell   *lc;

	foreach(lc, started)
	{
		StartedWorker *worker = lfirst(lc);
		pid_t		pid;

		if (worker->database != database)
			continue;
		if (GetBackgroundWorkerPid(worker->handle, &pid) != BGWH_STOPPED)
			return true;
		started = foreach_delete_current(started, lc);
		pfree(worker->handle);
		pfree(worker);
	}
	return false;
}

/* Have a worker look for deadlocks in a database */
static void
start_in_database(Oid database)
{
	static TimestampTz remarked;
	BackgroundWorkerHandle *handle;
	StartedWorker *entry;
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

	handle = vdb_worker_start("vecdb_deadlock_worker", "vecdb deadlock worker",
							  database);
	if (handle)
	{
		entry = palloc(sizeof(StartedWorker));
		entry->database = database;
		entry->handle = handle;
		started = lappend(started, entry);
	}
	else if (TimestampDifferenceExceeds(remarked, GetCurrentTimestamp(),
										REMARK_MS))
	{
		/* without a free slot it waits for the next turn */
		remarked = GetCurrentTimestamp();
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("no background worker is left to look for deadlocks over groups"),
				 errhint("Raise max_worker_processes.")));
	}
	MemoryContextSwitchTo(old);
}

/* The worker: looks for deadlocks as long as somebody waits in its database */
void
vecdb_deadlock_worker(Datum arg)
{
	Oid			database = DatumGetObjectId(arg);
	MemoryContext context = AllocSetContextCreate(TopMemoryContext,
												  "vecdb deadlock worker",
												  ALLOCSET_DEFAULT_SIZES);

	vdb_worker_begin(database);
	pgstat_report_activity(STATE_RUNNING, "looking for deadlocks over groups");
	if (!is_member())
		proc_exit(0);
	do
	{
		MemoryContextSwitchTo(context);
		deadlock_round();
		MemoryContextReset(context);
		if (deadlock_interval > 0)
			vdb_worker_sleep(deadlock_interval);
		MemoryContextSwitchTo(context);
	} while (deadlock_interval > 0 &&
			 list_member_oid(find_databases(), database));
	proc_exit(0);
}

/* Is this database in a cluster? */
static bool
is_member(void)
{
	bool		member;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	member = OidIsValid(get_extension_oid("vecdb", true)) &&
		vdb_catalog_cluster() != NULL;
	CommitTransactionCommand();
	return member;
}
