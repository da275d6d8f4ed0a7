/*-------------------------------------------------------------------------
 *
 * replication_lease.c
 *	  vecdb.read_from = leased: is it certain that this primary has no
 *	  successor?
 *
 * A server that is promoted stops receiving WAL before.  So who has confirmed
 * a piece of WAL was not promoted when that piece was written.  To make sure,
 * a record is written, and each standby that may be promoted, which are those
 * that synchronous_standby_names lists, has to confirm that it is on its disk.
 * All of them: the others could be confirming while one is promoted.
 *
 * The time at which that began is remembered, and for vecdb.read_lease after
 * it nobody is asked again.  No clock but this server's own, which only goes
 * forward, matters.
 *
 * What follows, if nobody promotes a host that the list does not have: an
 * answer is missing nothing that was committed on another primary more than
 * vecdb.read_lease before the statement began here; with 0, nothing at all.
 *
 * IDENTIFICATION
 *	  src/replication/replication_lease.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "replication/message.h"
#include "replication/syncrep.h"
#include "replication/walsender.h"
#include "replication/walsender_private.h"
#include "storage/latch.h"
#include "storage/spin.h"
#include "utils/backend_status.h"
#include "utils/wait_event.h"

#include "vecdb/remote_fence.h"

#include "replication_private.h"

/* From one look at what standbys have confirmed to the next */
#define LOOK_MS 1

static int64 now_us(void);
static int	count_promotable(void);
static bool have_confirmed(XLogRecPtr lsn, int wanted);
static bool are_all_listed(const int *pids, int count);
static bool is_named(const char *name, const int *pids, int count);
VDB_NORETURN static void refuse_lease(const char *why);

/*
 * replication_lease_check -- an ERROR if this server may have a successor
 *
 * It had none within the last lease_ms.  Waits for standbys for at most
 * wait_ms.
 */
void
replication_lease_check(int lease_ms, int wait_ms)
{
	int64		began = now_us();
	int			wanted;
	XLogRecPtr	lsn;

	if (RecoveryInProgress())
		refuse_lease("It is a standby.");
	if (vdb_remote_is_fenced())
		refuse_lease("It has a successor.");
	if (lease_ms > 0 && replication_shared_lease() != 0 &&
		began - replication_shared_lease() <= (int64) lease_ms * 1000)
		return;
	wanted = count_promotable();
	if (wanted > 0)
	{
		lsn = vdb_log_message("vecdb", "lease", 5);
		XLogFlush(lsn);
		while (!have_confirmed(lsn, wanted))
		{
			if (now_us() - began > (int64) wait_ms * 1000)
				refuse_lease(psprintf("Not all of the %d standbys that synchronous_standby_names lists have confirmed within %d ms that they follow it.",
									  wanted, wait_ms));
			(void) WaitLatch(MyLatch,
							 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
							 LOOK_MS, PG_WAIT_EXTENSION);
			ResetLatch(MyLatch);
			CHECK_FOR_INTERRUPTS();
		}
	}
	replication_shared_set_lease(began);
}

/* Microseconds of a clock that only goes forward */
static int64
now_us(void)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	return (int64) INSTR_TIME_GET_MICROSEC(now);
}

/* How many standbys may be promoted?  An ERROR if that is not known */
static int
count_promotable(void)
{
	const VdbCluster *cluster = vdb_catalog_cluster();
	const VdbGroup *group = cluster ?
	vdb_catalog_group(cluster->local_group) : NULL;
	const char *name;

	if (SyncRepConfig == NULL || SyncRepConfig->nmembers == 0)
	{
		if (group && group->host_count <= 1)
			return 0;
		refuse_lease("Its synchronous_standby_names is empty, so that any standby may take its place.");
	}
	name = SyncRepConfig->member_names;
	for (int i = 0; i < SyncRepConfig->nmembers; i++)
	{
		if (strcmp(name, "*") == 0)
			refuse_lease("Its synchronous_standby_names has \"*\", so that any standby may take its place.");
		name += strlen(name) + 1;
	}
	return SyncRepConfig->nmembers;
}

/* Have all standbys that are listed flushed the WAL up to there? */
static bool
have_confirmed(XLogRecPtr lsn, int wanted)
{
	int		   *pids = palloc(sizeof(int) * Max(max_wal_senders, 1));
	int			confirmed = 0;
	bool		result;

	for (int i = 0; i < max_wal_senders; i++)
	{
		WalSnd	   *sender = &WalSndCtl->walsnds[i];

		SpinLockAcquire(&sender->mutex);
		if (sender->pid != 0 && sender->state == WALSNDSTATE_STREAMING &&
			sender->sync_standby_priority > 0 && sender->flush >= lsn)
			pids[confirmed++] = sender->pid;
		SpinLockRelease(&sender->mutex);
	}
	/* two receivers of one name do not stand for two standbys */
	result = confirmed >= wanted && are_all_listed(pids, confirmed);
	pfree(pids);
	return result;
}

/* Has each name that is listed one of these processes? */
static bool
are_all_listed(const int *pids, int count)
{
	const char *name = SyncRepConfig->member_names;

	/* who has come since the transaction looked last is to be seen */
	pgstat_clear_backend_activity_snapshot();
	for (int i = 0; i < SyncRepConfig->nmembers; i++)
	{
		if (!is_named(name, pids, count))
			return false;
		name += strlen(name) + 1;
	}
	return true;
}

/* Is one of these processes called so?  As PostgreSQL compares the names */
static bool
is_named(const char *name, const int *pids, int count)
{
	int			backends = pgstat_fetch_stat_numbackends();

	for (int i = 1; i <= backends; i++)
	{
		LocalPgBackendStatus *local = vdb_backend_entry(i);

		if (local == NULL ||
			pg_strcasecmp(local->backendStatus.st_appname, name) != 0)
			continue;
		for (int j = 0; j < count; j++)
		{
			if (local->backendStatus.st_procpid == pids[j])
				return true;
		}
	}
	return false;
}

/* This server must not answer */
static void
refuse_lease(const char *why)
{
	ereport(ERROR,
			(errcode(VDB_ERRCODE_UNFIT),
			 errmsg("this server may not be the primary of its group any more"),
			 errdetail_internal("%s", why),
			 errhint("Set vecdb.read_from to leader to read at a primary that does not make sure.")));
}
