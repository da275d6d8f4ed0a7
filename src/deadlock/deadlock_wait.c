/*-------------------------------------------------------------------------
 *
 * deadlock_wait.c
 *	  Who waits for a lock on this node, for whom, and how to end a wait.
 *
 * IDENTIFICATION
 *	  src/deadlock/deadlock_wait.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/twophase.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "storage/lwlock.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/tuplestore.h"

#include "vecdb/catalog.h"
#include "vecdb/lib_compat.h"

#include "deadlock_private.h"

/* A backend that waits for a lock, as seen without locking anything */
typedef struct Waiter
{
	int			pid;
	int64		wait_id;
} Waiter;

static List *list_waiters(void);
static bool read_wait(PGPROC *proc, int64 *id);
static void put_blockers(ReturnSetInfo *rsinfo, const Waiter *waiter);
static bool is_same_group(const LockInstanceData *a, const LockInstanceData *b);
static void put_queue(ReturnSetInfo *rsinfo, const Waiter *waiter,
					  const LockInstanceData *waiting,
					  const BlockedProcsData *data,
					  const BlockedProcData *blocked);
static int	compare_pids(const void *a, const void *b);
static void put_wait(ReturnSetInfo *rsinfo, const Waiter *waiter,
					 const LockInstanceData *waiting,
					 const LockInstanceData *blocker);
static TransactionId find_prepared(const LockInstanceData *holder);
static char *name_relation(const LOCKTAG *tag);
static PGPROC *find_waiting(int pid, int64 wait_id);

VDB_FUNCTION(vecdb_local_lock_waits);
VDB_FUNCTION(vecdb_local_sessions);
VDB_FUNCTION(vecdb_break_lock_wait);

/* Does a process wait for a lock?  Seen without a lock; *id names the wait */
static bool
read_wait(PGPROC *proc, int64 *id)
{
	volatile PGPROC *p = proc;

	if (p->pid == 0 || p->waitStatus != PROC_WAIT_STATUS_WAITING ||
		p->waitLock == NULL)
		return false;
	*id = (int64) pg_atomic_read_u64(&proc->waitStart);
	return *id != 0;
}

/* deadlock_wait_is_long -- does a process wait longer than deadlock_timeout? */
bool
deadlock_wait_is_long(PGPROC *proc, TimestampTz now, int64 *id)
{
	return read_wait(proc, id) &&
		*id + DeadlockTimeout * INT64CONST(1000) <= now;
}

/* All backends that wait */
static List *
list_waiters(void)
{
	List	   *waiters = NIL;

	for (int i = 0; i < MaxBackends; i++)
	{
		PGPROC	   *proc = &ProcGlobal->allProcs[i];
		int64		id;

		if (read_wait(proc, &id))
		{
			Waiter	   *waiter = palloc(sizeof(Waiter));

			waiter->pid = proc->pid;
			waiter->wait_id = id;
			waiters = lappend(waiters, waiter);
		}
	}
	return waiters;
}

/* vecdb.local_lock_waits(): who waits here, and for whom */
Datum
vecdb_local_lock_waits(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, list_waiters())
	{
		CHECK_FOR_INTERRUPTS();
		put_blockers(rsinfo, lfirst(lc));
	}
	return (Datum) 0;
}

/* Give out those who block a backend */
static void
put_blockers(ReturnSetInfo *rsinfo, const Waiter *waiter)
{
	BlockedProcsData *data = GetBlockerStatusData(waiter->pid);

	/* more than one when it is of a parallel query */
	for (int i = 0; i < data->nprocs; i++)
	{
		const BlockedProcData *blocked = &data->procs[i];
		const LockInstanceData *instances = &data->locks[blocked->first_lock];
		const LockInstanceData *waiting = NULL;
		LockMethod	method;
		LOCKMASK	conflicts;

		if (blocked->pid != waiter->pid)
			continue;
		for (int j = 0; j < blocked->num_locks; j++)
		{
			if (instances[j].pid == blocked->pid)
				waiting = &instances[j];
		}
		if (waiting == NULL)
			continue;
		method = GetLockTagsMethodTable(&waiting->locktag);
		conflicts = method->conflictTab[waiting->waitLockMode];
		for (int j = 0; j < blocked->num_locks; j++)
		{
			if (!is_same_group(&instances[j], waiting) &&
				(instances[j].holdMask & conflicts) != 0)
				put_wait(rsinfo, waiter, waiting, &instances[j]);
		}
		put_queue(rsinfo, waiter, waiting, data, blocked);
	}
}

/* Are two processes one, or of one parallel query? */
static bool
is_same_group(const LockInstanceData *a, const LockInstanceData *b)
{
	/* prepared transactions have no process */
	return a == b || (a->pid != 0 && a->leaderPid == b->leaderPid);
}

/*
 * Give out those who are before a backend in the queue, and in its way
 *
 * Of those who wait for a lock in a mode that conflicts with itself the next
 * one is enough: he waits for the others himself.  So a queue of many gives
 * not more than some rows each.
 */
static void
put_queue(ReturnSetInfo *rsinfo, const Waiter *waiter,
		  const LockInstanceData *waiting, const BlockedProcsData *data,
		  const BlockedProcData *blocked)
{
	LockMethod	method = GetLockTagsMethodTable(&waiting->locktag);
	LOCKMASK	conflicts = method->conflictTab[waiting->waitLockMode];
	LOCKMASK	passed = 0;
	const LockInstanceData **by_pid;

	by_pid = palloc(sizeof(LockInstanceData *) * blocked->num_locks);
	for (int i = 0; i < blocked->num_locks; i++)
		by_pid[i] = &data->locks[blocked->first_lock + i];
	qsort(by_pid, blocked->num_locks, sizeof(LockInstanceData *),
		  compare_pids);
	for (int i = blocked->num_waiters - 1; i >= 0; i--)
	{
		LockInstanceData key = {.pid = data->waiter_pids[blocked->first_waiter + i]};
		const LockInstanceData *pkey = &key;
		const LockInstanceData **found = bsearch(&pkey, by_pid,
												 blocked->num_locks,
												 sizeof(LockInstanceData *),
												 compare_pids);
		const LockInstanceData *other;
		LOCKMASK	mode;

		if (found == NULL)
			continue;
		other = *found;
		mode = LOCKBIT_ON(other->waitLockMode);
		if (is_same_group(other, waiting) || (mode & conflicts & ~passed) == 0)
			continue;
		if ((method->conflictTab[other->waitLockMode] & mode) != 0)
			passed |= mode;
		if ((other->holdMask & conflicts) == 0)
			put_wait(rsinfo, waiter, waiting, other);
	}
	pfree(by_pid);
}

static int
compare_pids(const void *a, const void *b)
{
	int			first = (*(LockInstanceData *const *) a)->pid;
	int			second = (*(LockInstanceData *const *) b)->pid;

	return first < second ? -1 : first > second;
}

/* Give out one who waits, and one who blocks him */
static void
put_wait(ReturnSetInfo *rsinfo, const Waiter *waiter,
		 const LockInstanceData *waiting, const LockInstanceData *blocker)
{
	Datum		values[8];
	bool		nulls[8] = {0};
	bool		prepared = blocker->pid == 0;
	char	   *relation = name_relation(&waiting->locktag);
	StringInfoData object;

	initStringInfo(&object);
	if (vdb_catalog_is_copies_lock(&waiting->locktag))
		appendStringInfo(&object, "copies of relation %u of database %u",
						 waiting->locktag.locktag_field2,
						 waiting->locktag.locktag_field1);
	else
		DescribeLockTag(&object, &waiting->locktag);
	values[0] = Int32GetDatum(waiter->pid);
	values[1] = Int32GetDatum(waiting->leaderPid);
	values[2] = Int64GetDatum(waiter->wait_id);
	nulls[3] = prepared;
	values[3] = Int32GetDatum(blocker->leaderPid);
	nulls[4] = !prepared;
	values[4] = TransactionIdGetDatum(prepared ? find_prepared(blocker) : 0);
	values[5] = CStringGetTextDatum(GetLockmodeName(waiting->locktag.locktag_lockmethodid,
													waiting->waitLockMode));
	values[6] = CStringGetTextDatum(object.data);
	nulls[7] = relation == NULL;
	values[7] = relation ? CStringGetTextDatum(relation) : (Datum) 0;
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/*
 * The number of a prepared transaction that holds a lock
 *
 * It is known by the virtual transaction that it was before it was prepared;
 * one that the server has found prepared when it started has none, but its
 * number in its place.
 */
static TransactionId
find_prepared(const LockInstanceData *holder)
{
	VirtualTransactionId vxid = vdb_lock_transaction(holder);
	bool		have_more;

	if (!VirtualTransactionIdIsValid(vxid) ||
		VirtualTransactionIdIsRecoveredPreparedXact(vxid))
		return (TransactionId) vxid.localTransactionId;
	return TwoPhaseGetXidByVirtualXID(vxid, &have_more);
}

/* The name of the table that a lock is about, if it is one of ours */
static char *
name_relation(const LOCKTAG *tag)
{
	switch ((LockTagType) tag->locktag_type)
	{
		case LOCKTAG_RELATION:
		case LOCKTAG_RELATION_EXTEND:
		case LOCKTAG_PAGE:
		case LOCKTAG_TUPLE:
			break;
		default:
			if (vdb_catalog_is_copies_lock(tag))
				break;
			return NULL;
	}
	if (tag->locktag_field1 != MyDatabaseId)
		return NULL;
	return get_rel_name((Oid) tag->locktag_field2);
}

/* vecdb.local_sessions(): sessions at groups that work for this node */
Datum
vecdb_local_sessions(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	DeadlockSession *sessions = palloc(sizeof(DeadlockSession) *
									   deadlock_shared_room());

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < MaxBackends; i++)
	{
		int			pid;
		int			count = deadlock_shared_sessions(i, MyDatabaseId, sessions,
													 &pid);

		for (int j = 0; j < count; j++)
		{
			Datum		values[3];
			bool		nulls[3] = {0};

			values[0] = Int32GetDatum(pid);
			values[1] = Int32GetDatum(sessions[j].group);
			values[2] = Int32GetDatum(sessions[j].pid);
			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values,
								 nulls);
		}
	}
	return (Datum) 0;
}

/* vecdb.break_lock_wait(): have a wait end with a deadlock error */
Datum
vecdb_break_lock_wait(PG_FUNCTION_ARGS)
{
	char	   *detail = text_to_cstring(PG_GETARG_TEXT_PP(2));

	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser to end a wait for a lock")));
	PG_RETURN_BOOL(deadlock_wait_break(PG_GETARG_INT32(0), PG_GETARG_INT64(1),
									   detail));
}

/*
 * deadlock_wait_break -- end a wait as if a deadlock had been found there
 *
 * The process is taken out of the queue and told so, as PostgreSQL's deadlock
 * detector does with its own process; it then reports ERRCODE_T_R_DEADLOCK_
 * DETECTED by itself.  That needs no signal, and hits the wait that is meant
 * or none.  Returns false if that wait is over.
 */
bool
deadlock_wait_break(int pid, int64 wait_id, const char *detail)
{
	PGPROC	   *proc;

	/* all partitions in their order, as CheckDeadLock() */
	for (int i = 0; i < NUM_LOCK_PARTITIONS; i++)
		LWLockAcquire(LockHashPartitionLockByIndex(i), LW_EXCLUSIVE);
	proc = find_waiting(pid, wait_id);
	if (proc)
	{
		deadlock_shared_explain(proc, detail);
		RemoveFromWaitQueue(proc, LockTagHashCode(&proc->waitLock->tag));
		SetLatch(&proc->procLatch);
	}
	for (int i = NUM_LOCK_PARTITIONS; --i >= 0;)
		LWLockRelease(LockHashPartitionLockByIndex(i));
	if (proc == NULL)
		return false;
	pgstat_report_deadlock();
	ereport(LOG,
			(errmsg("process %d is the victim of a deadlock over groups", pid),
			 errdetail_internal("%s", detail)));
	return true;
}

/* The backend with that wait; partitions are locked, so that it stays so */
static PGPROC *
find_waiting(int pid, int64 wait_id)
{
	for (int i = 0; i < MaxBackends; i++)
	{
		PGPROC	   *proc = &ProcGlobal->allProcs[i];
		int64		id;

		if (proc->pid == pid && read_wait(proc, &id) && id == wait_id)
			return proc;
	}
	return NULL;
}
