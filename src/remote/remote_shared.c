/*-------------------------------------------------------------------------
 *
 * remote_shared.c
 *	  What backends tell each other: hosts that do not answer, and databases
 *	  in which transactions may have been left prepared.
 *
 * Small tables in shared memory under one spinlock, held for a few
 * instructions.  When a table is full, what does not fit is not known: a host
 * is then tried each time, and a database is found when all are looked at.
 *
 * IDENTIFICATION
 *	  src/remote/remote_shared.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/spin.h"

#include "vecdb/lib_shared.h"

#include "remote_private.h"

#define MAX_HOSTS 128
#define MAX_DATABASES 128
#define HOST_SIZE 128
#define MAX_DELAY_MS 30000

/* What goes wrong in a database time and again is logged as often */
#define REPORT_MS 300000

typedef struct SharedHost
{
	char		name[HOST_SIZE];	/* host:port; empty: free */
	int			failures;		/* in a row */
	TimestampTz retry_at;
	int			connections;	/* of this server to it */
	pg_atomic_uint32 in_flight; /* statements that it works on for this
								 * server; not under the mutex */
} SharedHost;

/* A database to be looked at */
typedef struct SharedDatabase
{
	Oid			oid;
	uint64		requests;		/* how often that was asked for */
	TimestampTz reported;		/* when failures were logged; 0: not yet */
} SharedDatabase;

typedef struct RemoteShared
{
	slock_t		mutex;			/* for all of it */
	int			database_count;
	SharedDatabase databases[MAX_DATABASES];
	SharedHost	hosts[MAX_HOSTS];
} RemoteShared;

static RemoteShared *shared;

/* By place in hosts: connections of this backend, and what they work on */
static int	held[MAX_HOSTS];
static int	working[MAX_HOSTS];
static bool exit_registered;

static void set_up(LWLock *lock);
static SharedHost *find_host(const char *name, bool add);
static void clear_unused(SharedHost *entry);
static SharedDatabase *find_database(Oid database);
static void release_all(int code, Datum arg);

static VdbSharedArea area =
{
	.name = "vecdb remote",
	.memory = (void **) &shared,
	.size = sizeof(RemoteShared),
	.set_up = set_up
};

/* remote_shared_init -- ask for the memory; while libraries are preloaded */
void
remote_shared_init(void)
{
	vdb_shared_register(&area);
}

static void
set_up(LWLock *lock)
{
	SpinLockInit(&shared->mutex);
	for (int i = 0; i < MAX_HOSTS; i++)
		pg_atomic_init_u32(&shared->hosts[i].in_flight, 0);
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

/* vdb_remote_host_is_back -- see vecdb/remote.h */
void
vdb_remote_host_is_back(const char *host, int port)
{
	remote_shared_succeeded(host, port);
}

/* vdb_remote_host_state -- see vecdb/remote.h */
VdbHostState
vdb_remote_host_state(const char *host, int port)
{
	VdbHostState state = {0};
	char		name[HOST_SIZE];
	SharedHost *entry;

	snprintf(name, sizeof(name), "%s:%d", host, port);
	SpinLockAcquire(&shared->mutex);
	entry = find_host(name, false);
	if (entry)
	{
		state.connections = entry->connections;
		state.failures = entry->failures;
		state.retry_at = entry->retry_at;
		state.in_flight = pg_atomic_read_u32(&entry->in_flight);
	}
	SpinLockRelease(&shared->mutex);
	return state;
}

/* remote_shared_failed -- a host did not answer in time */
void
remote_shared_failed(const char *host, int port)
{
	char		name[HOST_SIZE];
	SharedHost *entry;
	TimestampTz now = GetCurrentTimestamp();

	if (remote_retry_delay == 0)
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
	{
		entry->failures = 0;
		entry->retry_at = 0;
		clear_unused(entry);
	}
	SpinLockRelease(&shared->mutex);
}

/*
 * remote_shared_acquire -- may another connection be made to a host?
 *
 * Counts it if so; remote_shared_release() or the end of the backend takes it
 * back.
 */
bool
remote_shared_acquire(const char *host, const char *port)
{
	char		name[HOST_SIZE];
	SharedHost *entry;
	bool		granted = true;

	if (!exit_registered)
	{
		before_shmem_exit(release_all, (Datum) 0);
		exit_registered = true;
	}
	snprintf(name, sizeof(name), "%s:%s", host, port);
	SpinLockAcquire(&shared->mutex);
	entry = find_host(name, true);
	if (entry)
	{
		granted = remote_max_connections_per_host == 0 ||
			entry->connections < remote_max_connections_per_host;
		if (granted)
		{
			entry->connections++;
			held[entry - shared->hosts]++;
		}
	}
	SpinLockRelease(&shared->mutex);
	return granted;
}

/* remote_shared_release -- a connection is closed */
void
remote_shared_release(const char *host, const char *port)
{
	char		name[HOST_SIZE];
	SharedHost *entry;

	snprintf(name, sizeof(name), "%s:%s", host, port);
	SpinLockAcquire(&shared->mutex);
	entry = find_host(name, false);
	if (entry && held[entry - shared->hosts] > 0)
	{
		held[entry - shared->hosts]--;
		entry->connections--;
		clear_unused(entry);
	}
	SpinLockRelease(&shared->mutex);
}

/*
 * remote_shared_place -- where what is known of a host is, or -1
 *
 * It stays there as long as this backend has a connection to it.
 */
int
remote_shared_place(const char *host, int port)
{
	char		name[HOST_SIZE];
	SharedHost *entry;

	snprintf(name, sizeof(name), "%s:%d", host, port);
	SpinLockAcquire(&shared->mutex);
	entry = find_host(name, false);
	SpinLockRelease(&shared->mutex);
	return entry ? entry - shared->hosts : -1;
}

/* remote_shared_work -- a host of a place has got a statement, or finished one */
void
remote_shared_work(int place, int change)
{
	/* after release_all() nothing is counted */
	if (place < 0 || held[place] == 0)
		return;
	pg_atomic_fetch_add_u32(&shared->hosts[place].in_flight, change);
	working[place] += change;
}

/* The backend ends: so do its connections */
static void
release_all(int code, Datum arg)
{
	SpinLockAcquire(&shared->mutex);
	for (int i = 0; i < MAX_HOSTS; i++)
	{
		if (held[i] == 0)
			continue;
		shared->hosts[i].connections -= held[i];
		held[i] = 0;
		pg_atomic_fetch_sub_u32(&shared->hosts[i].in_flight, working[i]);
		working[i] = 0;
		clear_unused(&shared->hosts[i]);
	}
	SpinLockRelease(&shared->mutex);
}

/* Make the place of a host free if nothing is known of it any more */
static void
clear_unused(SharedHost *entry)
{
	if (entry->connections == 0 && entry->failures == 0)
	{
		entry->name[0] = '\0';
		entry->retry_at = 0;
	}
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

/* vdb_remote_request_recovery -- see vecdb/remote_record.h */
uint64
vdb_remote_request_recovery(void)
{
	SharedDatabase *entry;
	uint64		requests = 0;

	SpinLockAcquire(&shared->mutex);
	entry = find_database(MyDatabaseId);
	if (entry == NULL && shared->database_count < MAX_DATABASES)
	{
		entry = &shared->databases[shared->database_count++];
		memset(entry, 0, sizeof(SharedDatabase));
		entry->oid = MyDatabaseId;
	}
	if (entry)
		requests = ++entry->requests;
	SpinLockRelease(&shared->mutex);
	return requests;
}

/* vdb_remote_databases -- see vecdb/remote_record.h */
List *
vdb_remote_databases(void)
{
	Oid			databases[MAX_DATABASES];
	int			count;
	List	   *result = NIL;

	SpinLockAcquire(&shared->mutex);
	count = shared->database_count;
	for (int i = 0; i < count; i++)
		databases[i] = shared->databases[i].oid;
	SpinLockRelease(&shared->mutex);
	for (int i = 0; i < count; i++)
		result = lappend_oid(result, databases[i]);
	return result;
}

/* vdb_remote_forget_database -- see vecdb/remote_record.h */
void
vdb_remote_forget_database(Oid database, uint64 requests)
{
	SharedDatabase *entry;

	SpinLockAcquire(&shared->mutex);
	entry = find_database(database);
	if (entry && entry->requests <= requests)
		*entry = shared->databases[--shared->database_count];
	SpinLockRelease(&shared->mutex);
}

/* vdb_remote_may_report -- see vecdb/remote_record.h */
bool
vdb_remote_may_report(Oid database)
{
	SharedDatabase *entry;
	TimestampTz now = GetCurrentTimestamp();
	bool		may = true;

	SpinLockAcquire(&shared->mutex);
	entry = find_database(database);
	if (entry)
	{
		may = entry->reported == 0 ||
			TimestampDifferenceExceeds(entry->reported, now, REPORT_MS);
		if (may)
			entry->reported = now;
	}
	SpinLockRelease(&shared->mutex);
	return may;
}

/* The entry of a database, or NULL */
static SharedDatabase *
find_database(Oid database)
{
	for (int i = 0; i < shared->database_count; i++)
	{
		if (shared->databases[i].oid == database)
			return &shared->databases[i];
	}
	return NULL;
}
