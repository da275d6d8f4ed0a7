/*-------------------------------------------------------------------------
 *
 * remote_commit.c
 *	  Commit over groups, in one phase or two.
 *
 * One group changed in all commits by itself, after those that were only read:
 * its commit is the decision.  With more, the others prepare, those only read
 * commit, and a record goes among our own changes.  The decision is our own
 * commit, on disk; what is prepared is committed after it.
 *
 * Nothing is lost, as what is prepared outlives the process, the connection
 * and the server, and waits for its group's synchronous standbys as a commit
 * does.  Whoever finds it asks for the record: there is one if and only if we
 * have committed.  A failover of ours could take record and decision back,
 * since waits for standbys can be cancelled: so nothing follows from them
 * before our synchronous standbys have them.
 *
 * The steps are in README, "Two-phase commit"; what is true after each of them
 * in src/recovery/README, "Crash states".
 *
 * IDENTIFICATION
 *	  src/remote/remote_commit.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "replication/syncrep.h"
#include "replication/walsender.h"
#include "replication/walsender_private.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "vecdb/lib_debug.h"

#include "remote_private.h"

/* How often it is looked whether standbys have something */
#define LOOK_MS 5

/* Does the commit that follows decide for other groups, too? */
static bool decides = false;

static void before_end(XactEvent event, void *arg);
static void send_end(RemoteConnection *c, const char *sql, const char *tag);
static void await_commit(RemoteConnection *c);
static void check_answer(RemoteConnection *c, const char *command);
static void leave_prepared(List *prepared);
static void reach_committed(void);
static bool is_commit_replicated(void);
static bool has_standbys(void);
static bool has_received(XLogRecPtr end, int mode);

VDB_FUNCTION(vecdb_await_standbys);

/* vdb_remote_init_commit -- see vecdb/remote.h */
void
vdb_remote_init_commit(void)
{
	RegisterXactCallback(before_end, NULL);
}

/*
 * Have synchronous standbys waited for, if there are some
 *
 * By the commit that decides, and by PREPARE TRANSACTION of a part of a
 * transaction over groups: a failover that lost one of them would leave some
 * groups with their part and others without.
 */
static void
before_end(XactEvent event, void *arg)
{
	if (((event == XACT_EVENT_PRE_COMMIT && decides) ||
		 (event == XACT_EVENT_PRE_PREPARE && remote_guard_is_up())) &&
		has_standbys() && synchronous_commit <= SYNCHRONOUS_COMMIT_LOCAL_FLUSH)
		(void) set_config_option("synchronous_commit", "on", PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0,
								 false);
	decides = false;
}

/*
 * remote_commit_at -- commit at groups, one of which at most was changed
 *
 * An ERROR if one of them has not, or if that is not known.
 */
void
remote_commit_at(List *connections)
{
	ListCell   *lc;

	foreach(lc, connections)
	{
		RemoteConnection *c = lfirst(lc);

		remote_setting_send_role(c);
		send_end(c, "COMMIT", "COMMIT");
	}
	foreach(lc, connections)
	{
		RemoteConnection *c = lfirst(lc);
		bool		wrote = c->wrote;

		await_commit(c);
		if (c->lost && wrote)
			ereport(ERROR,
					(errcode(ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN),
					 errmsg("connection to group %d was lost during COMMIT",
							c->group),
					 errdetail("The transaction may have been committed at %s, or not.",
							   c->host),
					 errhint("Look at the rows before doing it again.")));
		check_answer(c, "COMMIT");
		c->depth = 0;
		if (c->unreplicated)
			ereport(ERROR,
					(errcode(ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN),
					 errmsg("no standby has confirmed the commit at group %d",
							c->group),
					 errdetail("The wait for synchronous replication was canceled.  The transaction is committed at %s, and is lost if another host takes its place.",
							   c->host),
					 errhint("Look at the rows before doing it again.")));
	}
}

/*
 * remote_commit_prepare -- have other groups ready to commit, and record it
 *
 * On return our own commit decides.  An ERROR, and an abort then, rolls back
 * what is prepared.
 */
void
remote_commit_prepare(List *writers, List *readers)
{
	char	   *name;
	ListCell   *lc;

	vdb_remote_request_recovery();
	name = remote_record_name();
	VDB_DEBUG_POINT("remote_prepare");
	foreach(lc, writers)
	{
		RemoteConnection *c = lfirst(lc);
		char	   *sql;

		snprintf(c->gid, sizeof(c->gid), "%s_%d", name, c->group);
		sql = psprintf("PREPARE TRANSACTION '%s'", c->gid);
		remote_setting_send_role(c);
		c->prepared = PREPARED_SENT;
		send_end(c, sql, "PREPARE TRANSACTION");
		pfree(sql);
	}
	foreach(lc, writers)
	{
		RemoteConnection *c = lfirst(lc);

		remote_pipeline_drain(c);
		check_answer(c, "PREPARE TRANSACTION");
		c->prepared = PREPARED_DONE;
		c->depth = 0;
		if (c->unreplicated)
			ereport(ERROR,
					(errcode(ERRCODE_QUERY_CANCELED),
					 errmsg("no standby has confirmed what group %d has prepared",
							c->group),
					 errdetail("The wait for synchronous replication was canceled at %s.",
							   c->host),
					 errhint("The transaction is rolled back in all groups: try again.")));
	}
	remote_commit_at(readers);
	VDB_DEBUG_POINT("remote_prepared");
	/* others must not commit before our commit is on disk, and replicated */
	ForceSyncCommit();
	decides = true;
	remote_record_insert(name);
	VDB_DEBUG_POINT("remote_recorded");
	pfree(name);
}

/* Send what ends a transaction, or prepares that */
static void
send_end(RemoteConnection *c, const char *sql, const char *tag)
{
	c->unreplicated = false;
	remote_pipeline_command(c, sql, NULL, tag);
	remote_pipeline_sync(c);
}

/*
 * Wait for the answer to a COMMIT
 *
 * We have to know it.  So a cancel or a time-out is passed on to the group,
 * which says whether it came too late, and is not obeyed here: otherwise we
 * would report an error for what is committed.
 */
static void
await_commit(RemoteConnection *c)
{
	while (c->pg && !dlist_is_empty(&c->steps))
	{
		if (remote_pipeline_take(c))
			continue;
		if (QueryCancelPending || ProcDiePending ||
			!remote_pipeline_wait_quietly(c))
		{
			remote_pipeline_await(list_make1(c), true);
			if (!c->lost && !c->failure)
				QueryCancelPending = false;
		}
	}
}

/* An ERROR if a command at the end of the transaction did not succeed */
static void
check_answer(RemoteConnection *c, const char *command)
{
	if (c->lost)
		remote_error_lost(c->group, c->host);
	if (c->failure)
		remote_error_throw(c->failure, c->group, c->host, command);
	if (c->rolled_back)
		ereport(ERROR,
				(errcode(ERRCODE_TRANSACTION_ROLLBACK),
				 errmsg("group %d has rolled the transaction back", c->group),
				 errdetail("%s at %s was answered by ROLLBACK.", command,
						   c->host)));
}

/*
 * remote_commit_finish -- we have committed: so do those that are prepared
 *
 * At all groups at once; those that fail are recovery's.
 */
void
remote_commit_finish(void)
{
	List	   *sent = NIL;
	ListCell   *lc;
	dlist_iter	iter;

	dlist_foreach(iter, &remote_connections)
	{
		RemoteConnection *c = dlist_container(RemoteConnection, node, iter.cur);

		if (c->prepared == PREPARED_DONE)
			sent = lappend(sent, c);
	}
	if (sent == NIL)
		return;
	if (!is_commit_replicated())
	{
		leave_prepared(sent);
		return;
	}
	reach_committed();
	foreach(lc, sent)
	{
		RemoteConnection *c = lfirst(lc);
		char	   *sql = psprintf("COMMIT PREPARED '%s'", c->gid);

		c->unreplicated = false;
		if (VDB_DEBUG_VALUE("remote_leave_prepared", 0) != c->group)
			remote_pipeline_send(c, sql, "COMMIT PREPARED");
		pfree(sql);
	}
	remote_pipeline_await(sent, false);
	foreach(lc, sent)
	{
		RemoteConnection *c = lfirst(lc);

		if (!c->ready || c->failure)
			ereport(WARNING,
					(errcode(ERRCODE_CONNECTION_FAILURE),
					 errmsg("group %d has not confirmed the commit", c->group),
					 errdetail("The transaction is committed; \"%s\" is prepared there and will be committed when the group can be reached.",
							   c->gid)));
		else if (c->unreplicated)
			ereport(WARNING,
					(errmsg("no standby has confirmed the commit at group %d",
							c->group),
					 errdetail("The wait for synchronous replication was canceled.  The transaction is committed, and what it has changed in this group may be lost if another host takes the place of %s.",
							   c->host)));
	}
	vdb_remote_request_recovery();
}

/*
 * The wait for our own commit was cancelled
 *
 * If we fail over now to a host that does not have it, it was not: the others
 * must not commit before.  They stay prepared, and recovery, here or at that
 * host, will see.
 */
static void
leave_prepared(List *prepared)
{
	ListCell   *lc;

	foreach(lc, prepared)
	{
		RemoteConnection *c = lfirst(lc);

		ereport(WARNING,
				(errcode(ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN),
				 errmsg("no standby of this group has confirmed the commit"),
				 errdetail("\"%s\" stays prepared at group %d, and is committed there when a standby has, or rolled back if another host takes the place of this one before.",
						   c->gid, c->group)));
	}
	vdb_remote_request_recovery();
}

/*
 * The debug point after the decision
 *
 * Interrupts are held here, which debug points take for a lock.
 */
static void
reach_committed(void)
{
	uint32		held = InterruptHoldoffCount;

	if (!vdb_debug_enabled)
		return;
	InterruptHoldoffCount = 0;
	VDB_DEBUG_POINT("remote_committed");
	InterruptHoldoffCount = held;
}

/*
 * remote_commit_roll_back -- roll back what is prepared at a group
 *
 * That waits for standbys as a commit does.  Not so when they were waited for
 * in vain just now: should the rollback be lost with its host, what is
 * prepared at the next one has no record, and recovery rolls it back.
 */
void
remote_commit_roll_back(RemoteConnection *c)
{
	char	   *sql = psprintf("ROLLBACK PREPARED '%s'", c->gid);

	if (c->unreplicated)
		remote_pipeline_send(c, "SET synchronous_commit = local", NULL);
	remote_pipeline_send(c, sql, NULL);
	if (c->unreplicated)
	{
		remote_pipeline_send(c, "RESET synchronous_commit", NULL);
		if (c->settings)
			pfree(c->settings);
		c->settings = NULL;
	}
	pfree(sql);
}

/*
 * Do our synchronous standbys have the commit that was just made?
 *
 * As far as synchronous_commit wants them to; at least to receive it.
 */
static bool
is_commit_replicated(void)
{
	int			mode = SYNC_REP_WAIT_FLUSH;

	if (!has_standbys())
		return true;
	if (synchronous_commit == SYNCHRONOUS_COMMIT_REMOTE_WRITE)
		mode = SYNC_REP_WAIT_WRITE;
	else if (synchronous_commit == SYNCHRONOUS_COMMIT_REMOTE_APPLY)
		mode = SYNC_REP_WAIT_APPLY;
	return has_received(XactLastCommitEnd, mode);
}

/* vdb_remote_await_standbys -- see vecdb/remote_fence.h */
bool
vdb_remote_await_standbys(int timeout_ms)
{
	XLogRecPtr	end = GetFlushRecPtr(NULL);
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													   timeout_ms);

	while (has_standbys() && !has_received(end, SYNC_REP_WAIT_FLUSH))
	{
		if (GetCurrentTimestamp() >= deadline)
			return false;
		if (WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					  LOOK_MS, PG_WAIT_EXTENSION) & WL_LATCH_SET)
			ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	return true;
}

/* vecdb.await_standbys(): the same, asked by recovery at other groups */
Datum
vecdb_await_standbys(PG_FUNCTION_ARGS)
{
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("this server is a standby")));
	PG_RETURN_BOOL(vdb_remote_await_standbys(PG_GETARG_INT32(0)));
}

/* Does this server have synchronous standbys? */
static bool
has_standbys(void)
{
	return max_wal_senders > 0 && WalSndCtl != NULL &&
		SyncRepStandbyNames != NULL && SyncRepStandbyNames[0] != '\0';
}

/* Have our synchronous standbys said that they have what ends there? */
static bool
has_received(XLogRecPtr end, int mode)
{
	XLogRecPtr	received;

	LWLockAcquire(SyncRepLock, LW_SHARED);
	received = WalSndCtl->lsn[mode];
	LWLockRelease(SyncRepLock);
	return received >= end;
}
