/*-------------------------------------------------------------------------
 *
 * remote_shared.c
 *	  What backends tell each other: hosts that do not answer, and databases
 *	  in which transactions may have been left prepared.
 *
 * Small tables in shared memory under one spinlock, held for a few
 * instructions.  When a table is full, what does not fit is not known: a host
 * is then tried each time, and a database is found at the next start.
 *
 * IDENTIFICATION
 *	  src/remote/remote_shared.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "storage/spin.h"

#include "remote_private.h"

#define MAX_HOSTS 128
#define MAX_DATABASES 128
#define HOST_SIZE 128
#define MAX_DELAY_MS 30000

/* A failure that took less time costs nobody anything: no need to avoid it */
#define SLOW_MS 100

typedef struct SharedHost
{
	char		name[HOST_SIZE];	/* host:port; empty: free */
	int			failures;		/* in a row */
	TimestampTz retry_at;
} SharedHost;

typedef struct RemoteShared
{
	slock_t		mutex;			/* for all of it */
	Latch	   *launcher;		/* of the launcher, or NULL */
	int			database_count;
	Oid			databases[MAX_DATABASES];	/* to be looked at */
	SharedHost	hosts[MAX_HOSTS];
} RemoteShared;

static RemoteShared *shared;
static shmem_request_hook_type previous_request_hook;
static shmem_startup_hook_type previous_startup_hook;

static void request_memory(void);
static void set_up_memory(void);
static SharedHost *find_host(const char *name, bool add);

/* remote_shared_init -- ask for the memory; while libraries are preloaded */
void
remote_shared_init(void)
{
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_memory;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = set_up_memory;
}

static void
request_memory(void)
{
	if (previous_request_hook)
		previous_request_hook();
	RequestAddinShmemSpace(MAXALIGN(sizeof(RemoteShared)));
}

static void
set_up_memory(void)
{
	bool		found;

	if (previous_startup_hook)
		previous_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct("vecdb remote", sizeof(RemoteShared), &found);
	if (!found)
	{
		memset(shared, 0, sizeof(RemoteShared));
		SpinLockInit(&shared->mutex);
	}
	LWLockRelease(AddinShmemInitLock);
}

/*
 * remote_shared_may_try -- is it time to try a host?
 *
 * Otherwise *wait_ms says how long to leave it alone.
 */
bool
remote_shared_may_try(const char *host, int port, int *wait_ms)
{
	char		name[HOST_SIZE];
	SharedHost *entry;
	TimestampTz retry_at = 0;
	TimestampTz now = GetCurrentTimestamp();

	snprintf(name, sizeof(name), "%s:%d", host, port);
	SpinLockAcquire(&shared->mutex);
	entry = find_host(name, false);
	if (entry)
		retry_at = entry->retry_at;
	SpinLockRelease(&shared->mutex);
	if (retry_at <= now)
		return true;
	*wait_ms = (int) TimestampDifferenceMilliseconds(now, retry_at);
	return false;
}

/* remote_shared_failed -- a host could not be connected to, in that time */
void
remote_shared_failed(const char *host, int port, long took_ms)
{
	char		name[HOST_SIZE];
	SharedHost *entry;
	TimestampTz now = GetCurrentTimestamp();

	if (took_ms < SLOW_MS || remote_retry_delay == 0)
		return;
	snprintf(name, sizeof(name), "%s:%d", host, port);
	SpinLockAcquire(&shared->mutex);
	entry = find_host(name, true);
	if (entry)
	{
		int64		delay = remote_retry_delay;

		delay <<= Min(entry->failures, 16);
		delay = Min(delay, Max(MAX_DELAY_MS, remote_retry_delay));
		entry->failures++;
		entry->retry_at = TimestampTzPlusMilliseconds(now, delay);
	}
	SpinLockRelease(&shared->mutex);
}

/* remote_shared_succeeded -- a host answered */
void
remote_shared_succeeded(const char *host, int port)
{
	char		name[HOST_SIZE];
	SharedHost *entry;

	snprintf(name, sizeof(name), "%s:%d", host, port);
	SpinLockAcquire(&shared->mutex);
	entry = find_host(name, false);
	if (entry)
		memset(entry, 0, sizeof(SharedHost));
	SpinLockRelease(&shared->mutex);
}

/* The entry of a host, or a free one for it; NULL if there is none */
static SharedHost *
find_host(const char *name, bool add)
{
	SharedHost *unused = NULL;

	for (int i = 0; i < MAX_HOSTS; i++)
	{
		SharedHost *entry = &shared->hosts[i];

		if (entry->name[0] == '\0')
			unused = unused ? unused : entry;
		else if (strcmp(entry->name, name) == 0)
			return entry;
	}
	if (!add || unused == NULL)
		return NULL;
	strlcpy(unused->name, name, HOST_SIZE);
	unused->failures = 0;
	return unused;
}

/* remote_shared_request_recovery -- have our database looked at */
void
remote_shared_request_recovery(void)
{
	bool		found = false;

	SpinLockAcquire(&shared->mutex);
	for (int i = 0; i < shared->database_count; i++)
		found |= shared->databases[i] == MyDatabaseId;
	if (!found && shared->database_count < MAX_DATABASES)
		shared->databases[shared->database_count++] = MyDatabaseId;
	SpinLockRelease(&shared->mutex);
}

/* remote_shared_databases -- those to be looked at */
List *
remote_shared_databases(void)
{
	Oid			databases[MAX_DATABASES];
	int			count;
	List	   *result = NIL;

	SpinLockAcquire(&shared->mutex);
	count = shared->database_count;
	memcpy(databases, shared->databases, sizeof(Oid) * count);
	SpinLockRelease(&shared->mutex);
	for (int i = 0; i < count; i++)
		result = lappend_oid(result, databases[i]);
	return result;
}

/* remote_shared_forget -- a database is being looked at, or is gone */
void
remote_shared_forget(Oid database)
{
	SpinLockAcquire(&shared->mutex);
	for (int i = 0; i < shared->database_count; i++)
	{
		if (shared->databases[i] == database)
			shared->databases[i--] = shared->databases[--shared->database_count];
	}
	SpinLockRelease(&shared->mutex);
}
