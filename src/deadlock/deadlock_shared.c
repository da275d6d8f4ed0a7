/*-------------------------------------------------------------------------
 *
 * deadlock_shared.c
 *	  Which sessions at other groups work for which backend of this node, and
 *	  what to tell a backend that was chosen to end a deadlock.
 *
 * There is a slot for each backend, by the place of its PGPROC.  The backend
 * writes its sessions itself, when it connects and disconnects; others read
 * them.  Whoever takes a backend out of a queue leaves the DETAIL of its error
 * in its slot.  A spinlock for each slot is held for a copy.
 *
 * IDENTIFICATION
 *	  src/deadlock/deadlock_shared.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "storage/spin.h"

#include "vecdb/catalog.h"
#include "vecdb/lib_shared.h"
#include "vecdb/remote.h"

#include "deadlock_private.h"

/* A backend's sessions beyond these are not known */
#define MAX_SESSIONS 64

typedef struct DeadlockSlot
{
	slock_t		mutex;			/* for all of it */
	int			pid;			/* of the backend; 0: has no sessions */
	Oid			database;
	int			session_count;
	DeadlockSession sessions[MAX_SESSIONS];
	int			detail_pid;		/* who detail is for; 0: nobody */
	char		detail[DEADLOCK_DETAIL_SIZE];
} DeadlockSlot;

static DeadlockSlot *slots;
static bool exit_registered;

/* By place in sessions of our slot: whose they are */
static const PGconn *connections[MAX_SESSIONS];

static emit_log_hook_type previous_log_hook;

static void set_up(LWLock *lock);
static DeadlockSlot *slot_of(const PGPROC *proc);
static void note_session(const PGconn *pg, int group, bool opened);
static int	find_group(const PGconn *pg);
static void forget_all(int code, Datum arg);
static void complete_error(ErrorData *edata);
static void at_transaction(XactEvent event, void *arg);

static VdbSharedArea area =
{
	.name = "vecdb deadlock",
	.memory = (void **) &slots,
	.size = sizeof(DeadlockSlot),
	.set_up = set_up,
	.per_backend = true
};

/* deadlock_shared_init -- memory and hooks; while libraries are preloaded */
void
deadlock_shared_init(void)
{
	vdb_shared_register(&area);
	previous_log_hook = emit_log_hook;
	emit_log_hook = complete_error;
	vdb_remote_session_hook = note_session;
	RegisterXactCallback(at_transaction, NULL);
}

static void
set_up(LWLock *lock)
{
	for (int i = 0; i < MaxBackends; i++)
		SpinLockInit(&slots[i].mutex);
}

/* The slot of a backend; NULL for processes that are none */
static DeadlockSlot *
slot_of(const PGPROC *proc)
{
	ptrdiff_t	place = proc - ProcGlobal->allProcs;

	return place < MaxBackends ? &slots[place] : NULL;
}

/*
 * This backend has connected to a group, or closes that connection
 *
 * Group 0 is a connection to a host, which belongs to the group that the
 * catalog says.
 */
static void
note_session(const PGconn *pg, int group, bool opened)
{
	DeadlockSlot *slot = MyProc ? slot_of(MyProc) : NULL;
	int			pid = PQbackendPID(pg);

	if (slot == NULL)
		return;
	if (opened && !exit_registered)
	{
		before_shmem_exit(forget_all, (Datum) 0);
		exit_registered = true;
	}
	if (opened && group == 0)
		group = find_group(pg);
	if (opened && (group == 0 || slot->session_count == MAX_SESSIONS))
		return;
	SpinLockAcquire(&slot->mutex);
	if (opened)
	{
		slot->pid = MyProcPid;
		slot->database = MyDatabaseId;
		connections[slot->session_count] = pg;
		slot->sessions[slot->session_count].group = group;
		slot->sessions[slot->session_count++].pid = pid;
	}
	for (int i = 0; i < slot->session_count && !opened; i++)
	{
		if (connections[i] == pg)
		{
			slot->session_count--;
			connections[i] = connections[slot->session_count];
			slot->sessions[i--] = slot->sessions[slot->session_count];
		}
	}
	SpinLockRelease(&slot->mutex);
}

/* The group of the host that a connection is to; 0: none that is known */
static int
find_group(const PGconn *pg)
{
	const VdbCluster *cluster = vdb_catalog_cluster();

	for (int i = 0; cluster && i < cluster->group_count; i++)
	{
		const VdbGroup *group = &cluster->groups[i];

		for (int j = 0; j < group->host_count; j++)
		{
			if (strcmp(group->hosts[j].host, PQhost(pg)) == 0 &&
				group->hosts[j].port == atoi(PQport(pg)))
				return group->id;
		}
	}
	return 0;
}

/* The backend ends: so do its sessions */
static void
forget_all(int code, Datum arg)
{
	DeadlockSlot *slot = slot_of(MyProc);

	SpinLockAcquire(&slot->mutex);
	slot->pid = 0;
	slot->session_count = 0;
	slot->detail_pid = 0;
	SpinLockRelease(&slot->mutex);
}

/* deadlock_shared_room -- the most sessions that a backend has */
int
deadlock_shared_room(void)
{
	return MAX_SESSIONS;
}

/*
 * deadlock_shared_sessions -- the sessions of a backend
 *
 * The backend is given by its place in ProcGlobal->allProcs.  Returns how many
 * there are, none if it works in another database, and sets *pid.
 */
int
deadlock_shared_sessions(int place, Oid database, DeadlockSession *sessions,
						 int *pid)
{
	DeadlockSlot *slot = &slots[place];
	int			count = 0;

	SpinLockAcquire(&slot->mutex);
	if (slot->pid != 0 && slot->database == database)
	{
		*pid = slot->pid;
		count = slot->session_count;
		memcpy(sessions, slot->sessions, sizeof(DeadlockSession) * count);
	}
	SpinLockRelease(&slot->mutex);
	return count;
}

/* deadlock_shared_has_sessions -- does a backend have any? */
bool
deadlock_shared_has_sessions(const PGPROC *proc)
{
	DeadlockSlot *slot = slot_of(proc);
	bool		has;

	if (slot == NULL)
		return false;
	SpinLockAcquire(&slot->mutex);
	has = slot->pid == proc->pid && slot->session_count > 0;
	SpinLockRelease(&slot->mutex);
	return has;
}

/* deadlock_shared_explain -- leave the DETAIL of its error for a backend */
void
deadlock_shared_explain(const PGPROC *proc, const char *detail)
{
	DeadlockSlot *slot = slot_of(proc);

	if (slot == NULL)
		return;
	SpinLockAcquire(&slot->mutex);
	slot->detail_pid = proc->pid;
	strlcpy(slot->detail, detail, DEADLOCK_DETAIL_SIZE);
	SpinLockRelease(&slot->mutex);
}

/*
 * An error is about to be reported: complete that of a deadlock over groups
 *
 * PostgreSQL's own report lists what its own detector has found, which is
 * nothing here, so that its DETAIL is empty.
 */
static void
complete_error(ErrorData *edata)
{
	if (edata->sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED && MyProc &&
		edata->detail && edata->detail[0] == '\0')
	{
		DeadlockSlot *slot = slot_of(MyProc);
		char		detail[DEADLOCK_DETAIL_SIZE];
		bool		found = false;

		if (slot)
		{
			SpinLockAcquire(&slot->mutex);
			found = slot->detail_pid == MyProcPid;
			if (found)
				memcpy(detail, slot->detail, DEADLOCK_DETAIL_SIZE);
			SpinLockRelease(&slot->mutex);
		}
		if (found)
		{
			edata->detail = MemoryContextStrdup(edata->assoc_context, detail);
			edata->detail_log = NULL;
		}
	}
	if (previous_log_hook)
		previous_log_hook(edata);
}

/* At the end of a transaction nothing is left to be told */
static void
at_transaction(XactEvent event, void *arg)
{
	DeadlockSlot *slot;

	if (event != XACT_EVENT_COMMIT || MyProc == NULL)
		return;
	slot = slot_of(MyProc);
	/* nobody else sets it while we do not wait for a lock */
	if (slot && slot->detail_pid != 0)
	{
		SpinLockAcquire(&slot->mutex);
		slot->detail_pid = 0;
		SpinLockRelease(&slot->mutex);
	}
}
