/*-------------------------------------------------------------------------
 *
 * remote_worker.c
 *	  Background workers that have transactions recovered.
 *
 * A launcher looks every vecdb.recovery_interval whether a database is to be
 * looked at: all of them after a start, since there may have been a crash, and
 * later those in which transactions were prepared at other groups, until a
 * round finds nothing left.  It starts a worker in the database for one round,
 * which ends after it, so that no database is kept from being dropped.
 *
 * IDENTIFICATION
 *	  src/remote/remote_worker.c
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

#include "remote_private.h"

PGDLLEXPORT void vecdb_launcher_worker(Datum arg);
PGDLLEXPORT void vecdb_recovery_worker(Datum arg);

static List *list_databases(void);
static void run_in_database(Oid database);
static void recover_here(Oid database);
static void fill_worker(BackgroundWorker *worker, const char *function,
						const char *type);

/* remote_worker_init -- have the launcher started with the server */
void
remote_worker_init(void)
{
	BackgroundWorker worker;

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
	bool		first = true;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);

	while (!ShutdownRequestPending)
	{
		List	   *databases;
		ListCell   *lc;

		MemoryContextSwitchTo(context);
		databases = first ? list_databases() : remote_shared_databases();
		first = false;
		foreach(lc, databases)
		{
			if (!ShutdownRequestPending)
				run_in_database(lfirst_oid(lc));
		}
		MemoryContextReset(context);
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 remote_recovery_interval * 1000L, PG_WAIT_EXTENSION);
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
	Oid			database = DatumGetObjectId(arg);

	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	/* a database that is gone is not looked at again */
	remote_shared_forget(database);
	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	recover_here(database);
	proc_exit(0);
}

/* Do a round, if this database is in a cluster */
static void
recover_here(Oid database)
{
	List	   *actions = NIL;
	ListCell   *lc;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, "recovering transactions");
	if (OidIsValid(get_extension_oid("vecdb", true)) &&
		vdb_catalog_cluster() != NULL)
	{
		/* stays asked for until a round has found nothing left */
		remote_shared_request_recovery();
		if (remote_recovery_round(&actions))
			remote_shared_forget(database);
	}
	foreach(lc, actions)
	{
		RemoteAction *action = lfirst(lc);

		if (action->why == NULL)
			ereport(LOG,
					(errmsg("transaction \"%s\" was %s at group %d",
							action->gid, action->what, action->group)));
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
}
