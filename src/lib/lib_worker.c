/*-------------------------------------------------------------------------
 *
 * lib_worker.c
 *	  What all background workers of vecdb do alike.
 *
 * IDENTIFICATION
 *	  src/lib/lib_worker.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"
#include "utils/wait_event.h"

#include "vecdb/lib_compat.h"
#include "vecdb/lib_worker.h"

/* From the end of a daemon that failed to the next start, in seconds */
#define RESTART_S 10

static void fill_worker(BackgroundWorker *worker, const char *function,
						const char *type);

/* vdb_worker_register -- see vecdb/lib_worker.h */
void
vdb_worker_register(const char *function, const char *type,
					BgWorkerStartTime when)
{
	BackgroundWorker worker;

	fill_worker(&worker, function, type);
	worker.bgw_start_time = when;
	worker.bgw_restart_time = RESTART_S;
	strlcpy(worker.bgw_name, type, BGW_MAXLEN);
	RegisterBackgroundWorker(&worker);
}

/* vdb_worker_start -- see vecdb/lib_worker.h */
BackgroundWorkerHandle *
vdb_worker_start(const char *function, const char *type, Oid database)
{
	BackgroundWorker worker;
	BackgroundWorkerHandle *handle;

	fill_worker(&worker, function, type);
	/* whoever starts it runs already, on a standby too */
	worker.bgw_start_time = BgWorkerStart_ConsistentState;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	snprintf(worker.bgw_name, BGW_MAXLEN, "%s of database %u", type, database);
	worker.bgw_main_arg = ObjectIdGetDatum(database);
	worker.bgw_notify_pid = MyProcPid;
	return RegisterDynamicBackgroundWorker(&worker, &handle) ? handle : NULL;
}

/* What both kinds have in common */
static void
fill_worker(BackgroundWorker *worker, const char *function, const char *type)
{
	memset(worker, 0, sizeof(BackgroundWorker));
	worker->bgw_flags = BGWORKER_SHMEM_ACCESS |
		BGWORKER_BACKEND_DATABASE_CONNECTION;
	strlcpy(worker->bgw_library_name, "vecdb",
			sizeof(worker->bgw_library_name));
	strlcpy(worker->bgw_function_name, function,
			sizeof(worker->bgw_function_name));
	strlcpy(worker->bgw_type, type, BGW_MAXLEN);
}

/* vdb_worker_begin -- see vecdb/lib_worker.h */
void
vdb_worker_begin(Oid database)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM,
			 OidIsValid(database) ? die : SignalHandlerForShutdownRequest);
	BackgroundWorkerUnblockSignals();
	/* as superuser: whatever the database says, no operators of users */
	SetConfigOption("search_path", "pg_catalog", PGC_SUSET, PGC_S_OVERRIDE);
	if (OidIsValid(database))
		BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	else
		BackgroundWorkerInitializeConnection(NULL, NULL, 0);
}

/* vdb_worker_sleep -- see vecdb/lib_worker.h */
void
vdb_worker_sleep(long timeout_ms)
{
	/* who waits for a worker to start or end takes the latch for its own */
	if (!ShutdownRequestPending)
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_EXIT_ON_PM_DEATH |
						 (timeout_ms >= 0 ? WL_TIMEOUT : 0),
						 timeout_ms, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	vdb_worker_reload();
}

/* vdb_worker_reload -- see vecdb/lib_worker.h */
void
vdb_worker_reload(void)
{
	if (!ConfigReloadPending)
		return;
	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
}

/* vdb_worker_databases -- see vecdb/lib_worker.h */
List *
vdb_worker_databases(void)
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

		/* one that a DROP DATABASE left half done cannot be connected to */
		if (database->datallowconn && !database->datistemplate &&
			database->datconnlimit != VDB_INVALID_DATABASE)
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
