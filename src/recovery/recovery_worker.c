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

#include "access/xact.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "vecdb/catalog.h"
#include "vecdb/lib_debug.h"
#include "vecdb/lib_worker.h"
#include "vecdb/remote_fence.h"
#include "vecdb/remote_record.h"
#include "recovery_private.h"

/* All databases are looked at once in as many rounds */
#define ALL_ROUNDS 60

static int	recovery_interval = 10;

PGDLLEXPORT void vecdb_launcher_worker(Datum arg);
PGDLLEXPORT void vecdb_recovery_worker(Datum arg);

static List *choose_databases(bool all);
static void run_in_database(Oid database);
static void recover_here(void);
static void log_actions(List *actions);

/* vdb_recovery_init -- see vecdb/recovery.h */
void
vdb_recovery_init(void)
{
	DefineCustomIntVariable("vecdb.recovery_interval",
							"Sets how often transactions that a crash left prepared are looked for.",
							NULL, &recovery_interval, 10, 1,
							86400, PGC_SIGHUP, GUC_UNIT_S,
							NULL, NULL, NULL);
	vdb_worker_register("vecdb_launcher_worker", "vecdb launcher",
						BgWorkerStart_RecoveryFinished);
}

/* The launcher: runs as long as the server */
void
vecdb_launcher_worker(Datum arg)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext,
												  "vecdb launcher",
												  ALLOCSET_DEFAULT_SIZES);
	int			rounds = 0;

	vdb_worker_begin(InvalidOid);

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
		vdb_worker_sleep(recovery_interval * 1000L);
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
	existing = vdb_worker_databases();
	foreach(lc, wanted)
	{
		if (list_member_oid(existing, lfirst_oid(lc)))
			chosen = lappend_oid(chosen, lfirst_oid(lc));
		else
			vdb_remote_forget_database(lfirst_oid(lc), PG_UINT64_MAX);
	}
	return all ? existing : chosen;
}

/* Have a worker do a round in a database, and wait for it */
static void
run_in_database(Oid database)
{
	BackgroundWorkerHandle *handle = vdb_worker_start("vecdb_recovery_worker",
													  "vecdb recovery",
													  database);

	/* without a free slot it waits for the next turn */
	if (handle)
		(void) WaitForBackgroundWorkerShutdown(handle);
}

/* The worker: one round in one database */
void
vecdb_recovery_worker(Datum arg)
{
	vdb_worker_begin(DatumGetObjectId(arg));
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
		vdb_catalog_cluster() != NULL && !vdb_remote_is_fenced())
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
		else if (strcmp(action->what, "not replicated") == 0)
			ereport(LOG,
					(errmsg("records of commits are kept because of group %d",
							action->group),
					 errdetail_internal("%s", action->why)));
		else
			ereport(LOG,
					(errmsg("could not look for prepared transactions at group %d",
							action->group),
					 errdetail_internal("%s", action->why)));
	}
}
