/*-------------------------------------------------------------------------
 *
 * ddl_lock.c
 *	  Locking a table in all groups without waiting for each other forever.
 *
 * Who writes a distributed table locks it on his own node and then on others;
 * who changes it needs it on all.  Two that began on different nodes may hold
 * what the other one waits for, and no node sees the whole circle.  So
 * whoever changes a table gives way: he waits for a short time only, lets go
 * of all that he has locked, and tries again, each time with more patience.
 *
 * What this transaction had locked before it stays locked, so a circle through
 * such a lock is not broken here.
 *
 * IDENTIFICATION
 *	  src/ddl/ddl_lock.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "ddl_private.h"

/* How long the first and the longest attempt wait, in milliseconds */
#define FIRST_PATIENCE	200
#define MOST_PATIENCE	5000

/* An attempt to lock tables in all groups */
typedef struct LockAttempt
{
	const char *sql;
	int			patience;		/* milliseconds */
} LockAttempt;

static bool try_lock(LockAttempt *attempt, bool last);
static void attempt_lock(void *arg);
static void rest(int most);

const char *
ddl_lock_mode_name(LOCKMODE mode)
{
	static const char *const names[] = {
		"", "ACCESS SHARE", "ROW SHARE", "ROW EXCLUSIVE",
		"SHARE UPDATE EXCLUSIVE", "SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE",
		"ACCESS EXCLUSIVE"
	};

	return names[mode];
}

/*
 * ddl_lock_everywhere -- see ddl_private.h
 *
 * A lock_timeout of the session limits the time of all attempts together.
 */
void
ddl_lock_everywhere(List *relids, LOCKMODE mode)
{
	TimestampTz start = GetCurrentTimestamp();
	int			limit = LockTimeout;
	StringInfoData sql;
	ListCell   *cell;

	if (relids == NIL || mode <= RowExclusiveLock)
		return;
	initStringInfo(&sql);
	foreach(cell, relids)
		appendStringInfo(&sql, "%s%s", sql.len == 0 ? "LOCK TABLE ONLY " :
						 ", ONLY ", ddl_table_name(lfirst_oid(cell)));
	appendStringInfo(&sql, " IN %s MODE", ddl_lock_mode_name(mode));

	for (int patience = FIRST_PATIENCE;;
		 patience = Min(2 * patience, MOST_PATIENCE))
	{
		LockAttempt attempt;
		bool		last = false;

		if (limit > 0)
		{
			long		left = limit -
			TimestampDifferenceMilliseconds(start,
											GetCurrentTimestamp());

			last = left <= patience;
			patience = Max(Min(patience, left), 1);
		}
		attempt.sql = sql.data;
		attempt.patience = patience;
		if (try_lock(&attempt, last))
			break;
		rest(patience);
	}
}

/*
 * try_lock -- all locks, or none
 *
 * Returns false if one was not to be had in time; of the last attempt that is
 * an ERROR.
 */
static bool
try_lock(LockAttempt *attempt, bool last)
{
	ErrorData  *error = ddl_try(attempt_lock, attempt);

	if (error == NULL)
		return true;
	if (last || (error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE &&
				 error->sqlerrcode != ERRCODE_T_R_DEADLOCK_DETECTED))
		ReThrowError(error);
	FreeErrorData(error);
	return false;
}

/* What is done in a subtransaction, for ddl_try() */
static void
attempt_lock(void *arg)
{
	const LockAttempt *attempt = arg;
	DdlUser		user;

	ddl_become_superuser(&user);
	(void) set_config_option("lock_timeout",
							 psprintf("%d", attempt->patience), PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	ddl_everywhere(attempt->sql);
	ddl_become_user(&user);
}

/*
 * rest -- let others go on, for a time that two who meet do not have in common
 */
static void
rest(int most)
{
	int			pause = 10 + (int) (pg_prng_double(&pg_global_prng_state) *
									Min(most, 1000));

	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 pause, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}
