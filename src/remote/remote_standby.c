/*-------------------------------------------------------------------------
 *
 * remote_standby.c
 *	  Is what this primary has committed at its synchronous standbys, too?
 *
 * A commit waits for that by itself, but the wait can be cancelled.  In
 * two-phase commit nothing may follow from a decision that a failover could
 * take back, nor may the record of it go before all have obeyed for good.
 *
 * IDENTIFICATION
 *	  src/remote/remote_standby.c
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
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "remote_private.h"

/* How often it is looked at */
#define LOOK_MS 5

static bool is_configured(void);
static bool has_received(XLogRecPtr end, int mode);

VDB_FUNCTION(vecdb_await_standbys);

/* Does this server have synchronous standbys at all? */
static bool
is_configured(void)
{
	return max_wal_senders > 0 && WalSndCtl != NULL &&
		SyncRepStandbyNames != NULL && SyncRepStandbyNames[0] != '\0';
}

/* Have they said that they have it? */
static bool
has_received(XLogRecPtr end, int mode)
{
	XLogRecPtr	received;

	LWLockAcquire(SyncRepLock, LW_SHARED);
	received = WalSndCtl->lsn[mode];
	LWLockRelease(SyncRepLock);
	return received >= end;
}

/*
 * remote_standby_has_commit -- do they have the commit that was just made?
 *
 * As far as synchronous_commit wants them to.
 */
bool
remote_standby_has_commit(void)
{
	int			mode = SYNC_REP_WAIT_FLUSH;

	if (synchronous_commit <= SYNCHRONOUS_COMMIT_LOCAL_FLUSH ||
		!is_configured())
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

	while (is_configured() && !has_received(end, SYNC_REP_WAIT_FLUSH))
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
