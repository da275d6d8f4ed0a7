/*-------------------------------------------------------------------------
 *
 * replication_shared.c
 *	  What is known of all hosts, in shared memory.
 *
 * Two tables of fixed size under one lightweight lock: databases that have or
 * may want a prober, and hosts.  Hosts are written by the prober of their
 * database only, one at a time, when it has heard something; everybody reads
 * copies.
 *
 * When a table is full, what does not fit is not known, and the log says so,
 * once for each process that has noticed.  A database that is gone, or in no
 * cluster any more, gives its places back.
 *
 * IDENTIFICATION
 *	  src/replication/replication_shared.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"

#include "vecdb/lib_shared.h"

#include "replication_private.h"

/* What was heard longer ago than that, and some turns of probing, is unknown */
#define STALE_MS 5000

typedef struct SharedDatabase
{
	Oid			oid;			/* InvalidOid: free */
	int			prober;			/* its pid, or 0 */
	Latch	   *latch;			/* of the prober */
	int			wanted_group;	/* to be asked now; 0: none, ALL_GROUPS */
	int			held_group;		/* whose hold all hosts are to be told; 0 */
	int			held_ms;
	int			untold;			/* hosts that have not been told yet */
	int			tries;			/* to start a prober, that are left */
	TimestampTz next_try;
} SharedDatabase;

typedef struct ReplicationShared
{
	pg_atomic_uint64 lease;		/* when the last began, microseconds of a
								 * clock that only goes forward; 0: never */
	LWLock	   *lock;			/* for all below */
	uint64		instance;		/* tells this start of the server from others */
	Latch	   *launcher;		/* NULL: does not run */
	int			host_end;		/* places from here on were never used */
	SharedDatabase databases[REPLICATION_MAX_DATABASES];
	ReplicationHost hosts[REPLICATION_MAX_HOSTS];
} ReplicationShared;

static ReplicationShared *shared;

static void set_up(LWLock *lock);
static SharedDatabase *find_database(Oid database, bool add);
static void forget(Oid database);
static void warn_full(const char *what, int limit);
static bool is_of(const ReplicationHost *host, int group);
static void mark_host(ReplicationHost *host, TimestampTz now);
static void mark_leaders(ReplicationHost *hosts, int count);

static VdbSharedArea area =
{
	.name = "vecdb replication",
	.memory = (void **) &shared,
	.size = sizeof(ReplicationShared),
	.set_up = set_up,
	.has_lock = true
};

/* replication_shared_init -- ask for the memory; while libraries are preloaded */
void
replication_shared_init(void)
{
	vdb_shared_register(&area);
}

static void
set_up(LWLock *lock)
{
	shared->lock = lock;
	pg_atomic_init_u64(&shared->lease, 0);
	if (!pg_strong_random(&shared->instance, sizeof(shared->instance)))
		shared->instance = (uint64) GetCurrentTimestamp();
}

/* replication_shared_exists -- is there any: is the library preloaded? */
bool
replication_shared_exists(void)
{
	return shared != NULL;
}

/* replication_shared_lease -- when that of this server began; 0: never */
int64
replication_shared_lease(void)
{
	return (int64) pg_atomic_read_u64(&shared->lease);
}

/* replication_shared_set_lease -- one that began then was granted */
void
replication_shared_set_lease(int64 began)
{
	uint64		last = pg_atomic_read_u64(&shared->lease);

	while (last < (uint64) began &&
		   !pg_atomic_compare_exchange_u64(&shared->lease, &last,
										   (uint64) began))
		;
}

/* replication_shared_instance -- which start of which server this is */
uint64
replication_shared_instance(void)
{
	return shared->instance;
}

/* replication_shared_set_launcher -- this process is the launcher, or was */
void
replication_shared_set_launcher(bool running)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	shared->launcher = running ? MyLatch : NULL;
	LWLockRelease(shared->lock);
}

/*
 * replication_shared_request -- a database may want a prober
 *
 * One is started soon, and again, later each time, for as many tries as it
 * finds that the database is in no cluster: a change that is not committed
 * yet is not seen.
 */
void
replication_shared_request(Oid database, int tries)
{
	SharedDatabase *entry;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	entry = find_database(database, true);
	if (entry && entry->tries < tries)
	{
		entry->tries = tries;
		entry->next_try = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													  tries > 1 ? 500 : 0);
		if (shared->launcher)
			SetLatch(shared->launcher);
	}
	LWLockRelease(shared->lock);
	if (entry == NULL)
		warn_full("databases", REPLICATION_MAX_DATABASES);
}

/*
 * replication_shared_next -- a database to start a prober in, for the launcher
 *
 * InvalidOid says that there is none for *wait_ms, or until the latch is set.
 */
Oid
replication_shared_next(long *wait_ms)
{
	TimestampTz now = GetCurrentTimestamp();
	Oid			found = InvalidOid;

	*wait_ms = 60000;
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < REPLICATION_MAX_DATABASES && !OidIsValid(found); i++)
	{
		SharedDatabase *entry = &shared->databases[i];
		int			tried;

		if (!OidIsValid(entry->oid) || entry->prober != 0)
			continue;
		if (entry->tries == 0)
		{
			entry->oid = InvalidOid;
			continue;
		}
		if (entry->next_try > now)
		{
			*wait_ms = Min(*wait_ms,
						   1 + TimestampDifferenceMilliseconds(now,
															   entry->next_try));
			continue;
		}
		tried = REPLICATION_TRIES - entry->tries--;
		entry->next_try = TimestampTzPlusMilliseconds(now,
													  1000 << Max(tried, 0));
		found = entry->oid;
	}
	LWLockRelease(shared->lock);
	return found;
}

/* replication_shared_forget -- a database is gone */
void
replication_shared_forget(Oid database)
{
	SharedDatabase *entry;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	entry = find_database(database, false);
	if (entry && entry->prober == 0)
	{
		entry->oid = InvalidOid;
		forget(database);
	}
	LWLockRelease(shared->lock);
}

/* Give back the places of a database's groups and hosts; the lock is held */
static void
forget(Oid database)
{
	vdb_remote_forget_groups(database);
	for (int i = 0; i < shared->host_end; i++)
	{
		if (shared->hosts[i].database == database)
			shared->hosts[i].database = InvalidOid;
	}
}

/* Say that a table is full, once for each; the lock is not held */
static void
warn_full(const char *what, int limit)
{
	static const char *warned[2];
	int			i = 0;

	while (warned[i] && strcmp(warned[i], what) != 0)
		i++;
	if (warned[i])
		return;
	warned[i] = what;
	ereport(WARNING,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("not all %s of this server's clusters are watched", what),
			 errdetail("A server can watch %d %s.", limit, what)));
}

/*
 * replication_shared_begin_prober -- this process is the prober of its database
 *
 * Returns false if there is one already.  What was known of hosts is dropped.
 */
bool
replication_shared_begin_prober(void)
{
	SharedDatabase *entry;
	bool		granted = false;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	entry = find_database(MyDatabaseId, true);
	if (entry && entry->prober == 0)
	{
		entry->prober = MyProcPid;
		entry->latch = MyLatch;
		entry->tries = REPLICATION_TRIES;
		granted = true;
		for (int i = 0; i < shared->host_end; i++)
		{
			if (shared->hosts[i].database == MyDatabaseId)
				shared->hosts[i].database = InvalidOid;
		}
	}
	LWLockRelease(shared->lock);
	if (entry == NULL)
		warn_full("databases", REPLICATION_MAX_DATABASES);
	return granted;
}

/* replication_shared_end_prober -- it was; shall there be another one? */
void
replication_shared_end_prober(bool again)
{
	SharedDatabase *entry;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	entry = find_database(MyDatabaseId, false);
	if (entry && entry->prober == MyProcPid)
	{
		entry->prober = 0;
		entry->tries = again ? REPLICATION_TRIES : 0;
		entry->next_try = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													  1000);
		if (!again)
			forget(MyDatabaseId);
	}
	LWLockRelease(shared->lock);
}

/* replication_shared_has_prober -- does this database have one that runs? */
bool
replication_shared_has_prober(void)
{
	SharedDatabase *entry;
	bool		running;

	if (shared == NULL)
		return false;
	LWLockAcquire(shared->lock, LW_SHARED);
	entry = find_database(MyDatabaseId, false);
	running = entry && entry->prober != 0;
	LWLockRelease(shared->lock);
	return running;
}

/* replication_shared_nudge -- have the hosts of a group asked now */
void
replication_shared_nudge(int group)
{
	SharedDatabase *entry;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	entry = find_database(MyDatabaseId, false);
	if (entry && entry->prober != 0 && entry->wanted_group != group)
	{
		entry->wanted_group = entry->wanted_group == 0 ? group : ALL_GROUPS;
		SetLatch(entry->latch);
	}
	LWLockRelease(shared->lock);
}

/*
 * replication_shared_take_nudge -- is a group to be asked?  For the prober
 *
 * Returns 0 if none is, and ALL_GROUPS if several are.
 */
int
replication_shared_take_nudge(void)
{
	SharedDatabase *entry;
	int			group;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	entry = find_database(MyDatabaseId, false);
	group = entry ? entry->wanted_group : 0;
	if (entry)
		entry->wanted_group = 0;
	LWLockRelease(shared->lock);
	return group;
}

/*
 * replication_shared_tell_hold -- have all hosts told to hold requests to a
 * group, or with 0 ms to let them go
 */
void
replication_shared_tell_hold(int group, int ms)
{
	SharedDatabase *entry;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	entry = find_database(MyDatabaseId, false);
	if (entry && entry->prober != 0)
	{
		entry->held_group = group;
		entry->held_ms = ms;
		entry->untold = 1;
		SetLatch(entry->latch);
	}
	LWLockRelease(shared->lock);
}

/* replication_shared_take_hold -- is there one to be told?  0: no */
int
replication_shared_take_hold(int *ms)
{
	SharedDatabase *entry;
	int			group = 0;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	entry = find_database(MyDatabaseId, false);
	if (entry)
	{
		group = entry->held_group;
		*ms = entry->held_ms;
		entry->held_group = 0;
	}
	LWLockRelease(shared->lock);
	return group;
}

/* replication_shared_set_untold -- how many hosts have not answered to that */
void
replication_shared_set_untold(int count)
{
	SharedDatabase *entry;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	entry = find_database(MyDatabaseId, false);
	if (entry && entry->held_group == 0)
		entry->untold = count;
	LWLockRelease(shared->lock);
}

/* replication_shared_untold -- and how many that are now */
int
replication_shared_untold(void)
{
	SharedDatabase *entry;
	int			count;

	LWLockAcquire(shared->lock, LW_SHARED);
	entry = find_database(MyDatabaseId, false);
	count = entry && entry->prober != 0 ? entry->untold : 0;
	LWLockRelease(shared->lock);
	return count;
}

/* The entry of a database, or a new one for it; NULL if there is none */
static SharedDatabase *
find_database(Oid database, bool add)
{
	SharedDatabase *unused = NULL;

	for (int i = 0; i < REPLICATION_MAX_DATABASES; i++)
	{
		SharedDatabase *entry = &shared->databases[i];

		if (entry->oid == database)
			return entry;
		if (!OidIsValid(entry->oid) && unused == NULL)
			unused = entry;
	}
	if (!add || unused == NULL)
		return NULL;
	memset(unused, 0, sizeof(SharedDatabase));
	unused->oid = database;
	return unused;
}

/*
 * replication_shared_place -- a place for a host of this database
 *
 * Returns -1, after a WARNING, if all are taken.
 */
int
replication_shared_place(int group, const VdbHost *host)
{
	int			place = 0;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	while (place < shared->host_end &&
		   OidIsValid(shared->hosts[place].database))
		place++;
	if (place < REPLICATION_MAX_HOSTS)
	{
		ReplicationHost *entry = &shared->hosts[place];

		memset(entry, 0, sizeof(ReplicationHost));
		entry->database = MyDatabaseId;
		entry->group = group;
		entry->port = host->port;
		entry->lag_bytes = entry->lag_ms = -1;
		strlcpy(entry->host, host->host, REPLICATION_HOST_SIZE);
		shared->host_end = Max(shared->host_end, place + 1);
	}
	LWLockRelease(shared->lock);
	if (place < REPLICATION_MAX_HOSTS)
		return place;
	warn_full("hosts", REPLICATION_MAX_HOSTS);
	return -1;
}

/* replication_shared_free -- the host of a place is none any more */
void
replication_shared_free(int place)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	shared->hosts[place].database = InvalidOid;
	LWLockRelease(shared->lock);
}

/* replication_shared_write -- what is known of a host now */
void
replication_shared_write(int place, const ReplicationHost *known)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	shared->hosts[place] = *known;
	LWLockRelease(shared->lock);
}

/* replication_shared_hosts -- a copy of what is known of all groups' hosts */
ReplicationHost *
replication_shared_hosts(int *count)
{
	return replication_shared_group(ALL_GROUPS, count);
}

/*
 * replication_shared_group -- a copy of what is known of a group's hosts
 *
 * Says also which of them are up, lead their group, or are outdated.  NULL if
 * there is no prober, since what the last one left behind may be old.
 */
ReplicationHost *
replication_shared_group(int group, int *count)
{
	ReplicationHost *hosts;
	TimestampTz now = GetCurrentTimestamp();
	int			room = 0;

	*count = 0;
	if (!replication_shared_has_prober())
		return NULL;
	LWLockAcquire(shared->lock, LW_SHARED);
	for (int i = 0; i < shared->host_end; i++)
		room += is_of(&shared->hosts[i], group);
	LWLockRelease(shared->lock);
	hosts = palloc(sizeof(ReplicationHost) * Max(room, 1));
	LWLockAcquire(shared->lock, LW_SHARED);
	for (int i = 0; i < shared->host_end && *count < room; i++)
	{
		if (is_of(&shared->hosts[i], group))
			hosts[(*count)++] = shared->hosts[i];
	}
	LWLockRelease(shared->lock);
	for (int i = 0; i < *count; i++)
		mark_host(&hosts[i], now);
	mark_leaders(hosts, *count);
	return hosts;
}

/* Is a place that of a host of this database, and of the group? */
static bool
is_of(const ReplicationHost *host, int group)
{
	return host->database == MyDatabaseId &&
		(group == ALL_GROUPS || host->group == group);
}

/*
 * replication_shared_own_host -- by which name this server is known
 *
 * "host" has room for REPLICATION_HOST_SIZE; it is empty if that is not known.
 */
void
replication_shared_own_host(char *host)
{
	host[0] = '\0';
	LWLockAcquire(shared->lock, LW_SHARED);
	for (int i = 0; i < shared->host_end && host[0] == '\0'; i++)
	{
		if (is_of(&shared->hosts[i], ALL_GROUPS) && shared->hosts[i].is_self)
			strlcpy(host, shared->hosts[i].host, REPLICATION_HOST_SIZE);
	}
	LWLockRelease(shared->lock);
}

/* Set what follows from what is known of one host */
static void
mark_host(ReplicationHost *host, TimestampTz now)
{
	int			stale_ms = STALE_MS + 3 * replication_probe_interval;

	host->is_up = host->seen_at > host->failed_at &&
		!TimestampDifferenceExceeds(host->seen_at, now, stale_ms);
	host->is_outdated = host->seen_at != 0 && !host->foreign &&
		!host->state.in_recovery &&
		host->state.timeline < vdb_remote_saw_timeline(host->group, 0);
	host->is_leader = host->is_up && !host->foreign && !host->is_outdated &&
		!host->state.in_recovery;
}

/*
 * A group has one leader
 *
 * Two primaries on one timeline can only be a server and its copy; which of
 * them is right nobody can tell here, so that neither leads.
 */
static void
mark_leaders(ReplicationHost *hosts, int count)
{
	for (int i = 0; i < count; i++)
	{
		for (int j = i + 1; j < count && hosts[i].is_leader; j++)
		{
			if (hosts[j].is_leader && hosts[i].group == hosts[j].group &&
				hosts[i].state.instance != hosts[j].state.instance)
			{
				hosts[i].is_leader = hosts[j].is_leader = false;
				snprintf(hosts[i].error, REPLICATION_ERROR_SIZE,
						 "is primary on timeline %u, as \"%s:%d\" says of itself too",
						 hosts[i].state.timeline, hosts[j].host, hosts[j].port);
				snprintf(hosts[j].error, REPLICATION_ERROR_SIZE,
						 "is primary on timeline %u, as \"%s:%d\" says of itself too",
						 hosts[i].state.timeline, hosts[i].host, hosts[i].port);
			}
		}
	}
}
