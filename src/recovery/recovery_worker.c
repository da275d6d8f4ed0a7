/*-------------------------------------------------------------------------
 *
 * recovery_worker.c
 *	  Background workers that have transactions recovered.
 *
 * A launcher looks every vecdb.recovery_interval whether a database is to be
 * looked at: all of them after a start, since there may have been a crash, and
 * then once in ALL_ROUNDS, in case something has been missed; in between those
 * in which transactions were prepared at other groups, until a round finds
 * nothing left.  It starts a worker in the database for one round, which ends
 * after it, so that no database is kept from being dropped.
 *
 * IDENTIFICATION
 *	  src/recovery/recovery_worker.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/wait_event.h"

#include "vecdb/catalog.h"
#include "vecdb/lib_debug.h"
#include "vecdb/remote_record.h"
#include "recovery_private.h"

/* All databases are looked at once in as many rounds */
#define ALL_ROUNDS 60

static int	recovery_interval = 10;

PGDLLEXPORT void vecdb_launcher_worker(Datum arg);
PGDLLEXPORT void vecdb_recovery_worker(Datum arg);

static List *choose_databases(bool all);
static List *list_databases(void);
static void run_in_database(Oid database);
static void recover_here(void);
static void log_actions(List *actions);
static void fill_worker(BackgroundWorker *worker, const char *function,
						const char *type);

/* vdb_recovery_init -- see vecdb/recovery.h */
void
vdb_recovery_init(void)
{
	BackgroundWorker worker;

	DefineCustomIntVariable("vecdb.recovery_interval",
							"Sets how often transactions that a crash left prepared are looked for.",
							NULL, &recovery_interval, 10, 1,
							86400, PGC_SIGHUP, GUC_UNIT_S,
							NULL, NULL, NULL);
	fill_worker(&worker, "vecdb_launcher_worker", "vecdb launcher");
	worker.bgw_restart_time = 10;
	strlcpy(worker.bgw_name, "vecdb launcher", BGW_MAXLEN);
	RegisterBackgroundWorker(&worker);
}

/* What all our workers have in common */
static void
fill_worker(BackgroundWorker *worker, const char *function, const char *type)
{
	memset(worker, 0, sizeof(BackgroundWorker));
	worker->bgw_flags = BGWORKER_SHMEM_ACCESS |
		BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker->bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker->bgw_restart_time = BGW_NEVER_RESTART;
	strlcpy(worker->bgw_library_name, "vecdb",
			sizeof(worker->bgw_library_name));
	strlcpy(worker->bgw_function_name, function,
			sizeof(worker->bgw_function_name));
	strlcpy(worker->bgw_type, type, BGW_MAXLEN);
}

/* The launcher: runs as long as the server */
void
vecdb_launcher_worker(Datum arg)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext,
												  "vecdb launcher",
												  ALLOCSET_DEFAULT_SIZES);
	int			rounds = 0;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);

	while (!ShutdownRequestPending)
	{
		List	   *databases;
		ListCell   *lc;

		MemoryContextSwitchTo(context);
		databases = choose_databases(rounds == 0);
		rounds = (rounds + 1) % VDB_DEBUG_VALUE("recovery_all_rounds",
												ALL_ROUNDS);
		foreach(lc, databases)
		{
			if (!ShutdownRequestPending)
				run_in_database(lfirst_oid(lc));
		}
		MemoryContextReset(context);
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 recovery_interval * 1000L, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
	}
	proc_exit(0);
}

/* The databases to be looked at now; one that is gone is forgotten */
static List *
choose_databases(bool all)
{
	List	   *wanted = vdb_remote_databases();
	List	   *chosen = NIL;
	List	   *existing;
	ListCell   *lc;

	if (wanted == NIL && !all)
		return NIL;
	existing = list_databases();
	foreach(lc, wanted)
	{
		if (list_member_oid(existing, lfirst_oid(lc)))
			chosen = lappend_oid(chosen, lfirst_oid(lc));
		else
			vdb_remote_forget_database(lfirst_oid(lc), PG_UINT64_MAX);
	}
	return all ? existing : chosen;
}

/* All databases that can be connected to */
static List *
list_databases(void)
{
	MemoryContext context = CurrentMemoryContext;
	List	   *databases = NIL;
	Relation	rel;
	TableScanDesc scan;
	HeapTuple	tuple;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	while (HeapTupleIsValid(tuple = heap_getnext(scan, ForwardScanDirection)))
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);

		if (database->datallowconn && !database->datistemplate)
		{
			MemoryContext old = MemoryContextSwitchTo(context);

			databases = lappend_oid(databases, database->oid);
			MemoryContextSwitchTo(old);
		}
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	return databases;
}

/* Have a worker do a round in a database, and wait for it */
static void
run_in_database(Oid database)
{
	BackgroundWorker worker;
	BackgroundWorkerHandle *handle;

	fill_worker(&worker, "vecdb_recovery_worker", "vecdb recovery");
	snprintf(worker.bgw_name, BGW_MAXLEN, "vecdb recovery of database %u",
			 database);
	worker.bgw_main_arg = ObjectIdGetDatum(database);
	worker.bgw_notify_pid = MyProcPid;
	/* without a free slot it waits for the next turn */
	if (RegisterDynamicBackgroundWorker(&worker, &handle))
		(void) WaitForBackgroundWorkerShutdown(handle);
}

/* The worker: one round in one database */
void
vecdb_recovery_worker(Datum arg)
{
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(DatumGetObjectId(arg),
											  InvalidOid, 0);
	recover_here();
	proc_exit(0);
}

/* Do a round, if this database is in a cluster */
static void
recover_here(void)
{
	List	   *actions = NIL;
	bool		complete = true;
	uint64		requests = PG_UINT64_MAX;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, "recovering transactions");
	if (OidIsValid(get_extension_oid("vecdb", true)) &&
		vdb_catalog_cluster() != NULL)
	{
		/* stays asked for until a round has found nothing left */
		requests = vdb_remote_request_recovery();
		complete = recovery_round(&actions);
		VDB_DEBUG_POINT("recovery_done");
	}
	log_actions(actions);
	PopActiveSnapshot();
	CommitTransactionCommand();
	if (complete)
		vdb_remote_forget_database(MyDatabaseId, requests);
}

/* Log what was done, and now and then what could not be */
static void
log_actions(List *actions)
{
	bool		asked = false;
	bool		may_report = false;
	ListCell   *lc;

	foreach(lc, actions)
	{
		RecoveryAction *action = lfirst(lc);

		if (action->why == NULL)
		{
			ereport(LOG,
					(errmsg("transaction \"%s\" was %s at group %d",
							action->gid, action->what, action->group)));
			continue;
		}
		if (!asked)
			may_report = vdb_remote_may_report(MyDatabaseId);
		asked = true;
		if (!may_report)
			continue;
		if (action->gid)
			ereport(LOG,
					(errmsg("could not finish transaction \"%s\" at group %d",
							action->gid, action->group),
					 errdetail_internal("%s", action->why)));
		else
			ereport(LOG,
					(errmsg("could not look for prepared transactions at group %d",
							action->group),
					 errdetail_internal("%s", action->why)));
	}
}
