/*-------------------------------------------------------------------------
 *
 * remote_fence.c
 *	  Groups as wholes: outdated primaries, groups without a leader, requests
 *	  that are held.
 *
 * Each promotion in a group begins a new timeline.  A primary on a lower one
 * than the highest that was seen is outdated: connections to it are dropped
 * before anything is sent or committed there, and when it knows itself it
 * refuses what clients want.
 *
 * A group can be without a leader for seconds, while another one is elected.
 * Connecting waits for that, if the prober says that it is so.  When the
 * leader is changed on purpose, requests are held before, so that none is
 * under way at the wrong moment.
 *
 * Places in shared memory are never moved, so that a connection can keep a
 * pointer to that of its group; whether it is still that one is looked at.
 *
 * IDENTIFICATION
 *	  src/remote/remote_fence.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/spin.h"
#include "utils/guc.h"
#include "utils/wait_event.h"

#include "vecdb/lib_shared.h"

#include "remote_private.h"

#define MAX_GROUPS 512

/* What the prober has said longer ago than that is not believed */
#define STALE_MS 10000

/* A look at what was said, even if nobody wakes us */
#define LOOK_MS 500

/* A leader that is slow may not be reached at once; others say no each time */
#define MAX_TRIES 3

/* What is known of a group of one database */
struct RemoteFence
{
	Oid			database;		/* InvalidOid: a free place */
	int			group;
	pg_atomic_uint32 timeline;	/* the highest that was seen */
	pg_atomic_uint64 held_until;	/* TimestampTz; 0: not held */
	ConditionVariable news;

	/* under the spinlock */
	uint64		leader;			/* 0: none */
	uint64		held_leader;	/* when it began to be held */
	uint32		changes;		/* of the leader */
	TimestampTz asked_at;		/* when it was asked, and said that it leads */
	TimestampTz told_at;		/* when the prober spoke of it */
};

typedef struct FenceShared
{
	slock_t		mutex;
	bool		may_be_fenced;	/* never unset */
	int			end;			/* places from here on were never used */
	RemoteFence groups[MAX_GROUPS];
} FenceShared;

int			remote_failover_timeout = 10000;

static bool allow_outdated;
static FenceShared *shared;

void		(*vdb_remote_want_leader) (int group);

static void set_up(LWLock *lock);
static RemoteFence *find_group(int group, bool add);
static bool is_current(const RemoteFence *fence);
static bool is_held(RemoteFence *fence);
static bool prefers_less(void);
static void warn_full(void);
static void set_flag(int group, TimeLineID timeline);

static VdbSharedArea area =
{
	.name = "vecdb groups",
	.memory = (void **) &shared,
	.size = sizeof(FenceShared),
	.set_up = set_up
};

/* remote_fence_init -- settings and memory; while libraries are preloaded */
void
remote_fence_init(void)
{
	DefineCustomIntVariable("vecdb.failover_timeout",
							"Sets how long a group without a primary is waited for.",
							"Groups with one host, and those whose hosts nobody watches, are not waited for.  Zero: never.",
							&remote_failover_timeout, 10000, 0,
							600000, PGC_USERSET, GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomBoolVariable("vecdb.allow_outdated",
							 "Allows to use tables on a primary that has a successor.",
							 "What is read there may be old, and what is written is lost.",
							 &allow_outdated, false, PGC_SUSET, 0,
							 NULL, NULL, NULL);
	vdb_shared_register(&area);
}

static void
set_up(LWLock *lock)
{
	SpinLockInit(&shared->mutex);
	for (int i = 0; i < MAX_GROUPS; i++)
	{
		pg_atomic_init_u32(&shared->groups[i].timeline, 0);
		pg_atomic_init_u64(&shared->groups[i].held_until, 0);
		ConditionVariableInit(&shared->groups[i].news);
	}
}

/*
 * The place of a group of this database, or a new one for it
 *
 * NULL if there is none.
 */
static RemoteFence *
find_group(int group, bool add)
{
	RemoteFence *found = NULL;
	RemoteFence *unused = NULL;

	if (shared == NULL)
		return NULL;
	SpinLockAcquire(&shared->mutex);
	for (int i = 0; i < shared->end && found == NULL; i++)
	{
		RemoteFence *fence = &shared->groups[i];

		if (fence->database == MyDatabaseId && fence->group == group)
			found = fence;
		else if (!OidIsValid(fence->database) && unused == NULL)
			unused = fence;
	}
	if (found == NULL && add)
	{
		if (unused == NULL && shared->end < MAX_GROUPS)
			unused = &shared->groups[shared->end++];
		found = unused;
		if (found)
		{
			found->group = group;
			found->leader = found->held_leader = 0;
			found->asked_at = found->told_at = 0;
			pg_atomic_write_u32(&found->timeline, 0);
			pg_atomic_write_u64(&found->held_until, 0);
			found->database = MyDatabaseId;
		}
	}
	SpinLockRelease(&shared->mutex);
	return found;
}

/* vdb_remote_saw_timeline -- see vecdb/remote_fence.h */
TimeLineID
vdb_remote_saw_timeline(int group, TimeLineID timeline)
{
	RemoteFence *fence = find_group(group, timeline > 0);
	uint32		highest;

	if (fence == NULL)
	{
		if (timeline > 0 && shared)
			warn_full();
		return timeline;
	}
	highest = pg_atomic_read_u32(&fence->timeline);
	while (highest < timeline)
	{
		/* on failure this reads it again */
		if (pg_atomic_compare_exchange_u32(&fence->timeline, &highest,
										   timeline))
		{
			set_flag(group, timeline);
			return timeline;
		}
	}
	return highest;
}

/* Say once that no place is left for a group */
static void
warn_full(void)
{
	static bool warned;

	if (!warned)
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("not all groups of this server's clusters are watched"),
				 errdetail("A server can watch %d groups.",
						   MAX_GROUPS)));
	warned = true;
}

/* Should this server ask itself from now on whether it has a successor? */
static void
set_flag(int group, TimeLineID timeline)
{
	const VdbCluster *cluster = vdb_catalog_cluster();

	if (cluster && cluster->local_group == group && !RecoveryInProgress() &&
		GetWALInsertionTimeLine() < timeline)
		shared->may_be_fenced = true;
}

/* vdb_remote_list_timelines -- see vecdb/remote_fence.h */
void
vdb_remote_list_timelines(StringInfo groups, StringInfo timelines)
{
	const char *comma = "";

	resetStringInfo(groups);
	resetStringInfo(timelines);
	appendStringInfoChar(groups, '{');
	appendStringInfoChar(timelines, '{');
	for (int i = 0; i < shared->end; i++)
	{
		RemoteFence *fence = &shared->groups[i];
		uint32		timeline = pg_atomic_read_u32(&fence->timeline);

		if (fence->database != MyDatabaseId || timeline == 0)
			continue;
		appendStringInfo(groups, "%s%d", comma, fence->group);
		appendStringInfo(timelines, "%s%u", comma, timeline);
		comma = ",";
	}
	appendStringInfoChar(groups, '}');
	appendStringInfoChar(timelines, '}');
}

/* vdb_remote_forget_groups -- see vecdb/remote_fence.h */
void
vdb_remote_forget_groups(Oid database)
{
	SpinLockAcquire(&shared->mutex);
	for (int i = 0; i < shared->end; i++)
	{
		if (shared->groups[i].database == database)
			shared->groups[i].database = InvalidOid;
	}
	SpinLockRelease(&shared->mutex);
}

/* vdb_remote_tell_leader -- see vecdb/remote_fence.h */
void
vdb_remote_tell_leader(int group, uint64 leader, TimestampTz asked_at)
{
	RemoteFence *fence = find_group(group, true);
	bool		release;

	if (fence == NULL)
		return;
	SpinLockAcquire(&shared->mutex);
	if (fence->leader != leader)
		fence->changes++;
	fence->leader = leader;
	fence->asked_at = asked_at;
	fence->told_at = GetCurrentTimestamp();
	release = leader != 0 && leader != fence->held_leader;
	SpinLockRelease(&shared->mutex);
	if (release)
		pg_atomic_write_u64(&fence->held_until, 0);
	if (leader != 0)
		ConditionVariableBroadcast(&fence->news);
}

/* vdb_remote_hold -- see vecdb/remote_fence.h */
void
vdb_remote_hold(int group, int ms)
{
	RemoteFence *fence = find_group(group, true);

	if (fence == NULL)
		return;
	SpinLockAcquire(&shared->mutex);
	fence->held_leader = fence->leader;
	SpinLockRelease(&shared->mutex);
	if (ms > 0)
		pg_atomic_write_u64(&fence->held_until, (uint64)
							TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
														Min(ms, VDB_MAX_HOLD_MS)));
	else
		pg_atomic_write_u64(&fence->held_until, 0);
	if (ms <= 0)
		ConditionVariableBroadcast(&fence->news);
}

/* vdb_remote_held -- see vecdb/remote_fence.h */
int
vdb_remote_held(int group)
{
	RemoteFence *fence = find_group(group, false);

	if (fence == NULL || !is_held(fence))
		return 0;
	return (int) TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
												 (TimestampTz)
												 pg_atomic_read_u64(&fence->held_until));
}

/* Are requests held?  When the time is over they are not any more */
static bool
is_held(RemoteFence *fence)
{
	uint64		until = pg_atomic_read_u64(&fence->held_until);

	if (until == 0)
		return false;
	if (GetCurrentTimestamp() < (TimestampTz) until)
		return true;
	(void) pg_atomic_compare_exchange_u64(&fence->held_until, &until, 0);
	return false;
}

/* Is a place that was kept still that of a group of this database? */
static bool
is_current(const RemoteFence *fence)
{
	return fence != NULL && fence->database == MyDatabaseId;
}

/*
 * remote_fence_note -- a connection was made to a host on this timeline
 *
 * 0: it is no primary, or does not say.
 */
void
remote_fence_note(RemoteConnection *c, TimeLineID timeline)
{
	c->timeline = timeline;
	if (timeline > 0)
		(void) vdb_remote_saw_timeline(c->group, timeline);
	c->fence = find_group(c->group, true);
}

/*
 * remote_fence_is_up -- must a connection not be used as it is?
 *
 * Asked before each request: two numbers in shared memory.
 */
bool
remote_fence_is_up(const RemoteConnection *c)
{
	RemoteFence *fence = c->fence;

	if (c->timeline == 0 || !is_current(fence) || fence->group != c->group)
		return false;
	return pg_atomic_read_u64(&fence->held_until) != 0 ||
		c->timeline < pg_atomic_read_u32(&fence->timeline);
}

/* remote_fence_is_outdated -- is it a connection to an outdated primary? */
bool
remote_fence_is_outdated(const RemoteConnection *c)
{
	return c->timeline != 0 && is_current(c->fence) &&
		c->fence->group == c->group &&
		c->timeline < pg_atomic_read_u32(&c->fence->timeline);
}

/*
 * remote_fence_drop -- close a connection to an outdated primary
 *
 * An ERROR within a transaction there.
 */
void
remote_fence_drop(RemoteConnection *c)
{
	if (!c->ready || !remote_fence_is_outdated(c))
		return;
	remote_pipeline_lost(c);
	remote_transaction_check(c);
}

/*
 * remote_fence_pass -- see that a connection may be used
 *
 * Also waits while requests are held, unless some are under way there: those
 * are to come to their end.
 */
void
remote_fence_pass(RemoteConnection *c)
{
	RemoteFence *fence = find_group(c->group, false);

	if (fence == NULL)
		return;
	remote_fence_drop(c);
	/* a standby that is read at goes on to be one */
	if (c->depth > 0 || !dlist_is_empty(&c->steps) ||
		c->target.host != NULL || !is_held(fence))
		return;
	ConditionVariablePrepareToSleep(&fence->news);
	while (is_current(fence) && is_held(fence))
		(void) ConditionVariableTimedSleep(&fence->news,
										   1 + vdb_remote_held(c->group),
										   PG_WAIT_EXTENSION);
	ConditionVariableCancelSleep();
}

/*
 * remote_fence_await -- no host of a group could be connected to: wait until
 * it is worth trying again
 *
 * That is when somebody was asked since and leads the group; a few times for
 * each leader.  Returns false when it is not, or time is up.  "wait" is
 * zero at first, and kept from one call to the next.
 */
bool
remote_fence_await(int group, RemoteWait *wait)
{
	const VdbGroup *known = vdb_catalog_group(group);
	RemoteFence *fence = find_group(group, false);
	TimestampTz began = GetCurrentTimestamp();
	bool		again = false;

	if (remote_failover_timeout == 0 || fence == NULL || known == NULL ||
		known->host_count < 2 || vdb_remote_want_leader == NULL ||
		prefers_less())
		return false;
	if (wait->deadline == 0)
		wait->deadline = TimestampTzPlusMilliseconds(began,
													 remote_failover_timeout);
	vdb_remote_want_leader(group);
	ConditionVariablePrepareToSleep(&fence->news);
	for (;;)
	{
		TimestampTz now = GetCurrentTimestamp();
		TimestampTz asked_at;
		TimestampTz told_at;
		uint64		leader;
		uint32		changes;

		SpinLockAcquire(&shared->mutex);
		leader = fence->leader;
		changes = fence->changes;
		asked_at = fence->asked_at;
		told_at = fence->told_at;
		SpinLockRelease(&shared->mutex);
		if (leader != 0 && asked_at > began)
		{
			if (wait->changes != changes)
				wait->tries = 0;
			wait->changes = changes;
			again = now < wait->deadline && wait->tries++ < MAX_TRIES;
			break;
		}
		/* without a prober nothing will be heard */
		if (now >= wait->deadline || !is_current(fence) ||
			TimestampDifferenceExceeds(told_at, now, STALE_MS))
			break;
		(void) ConditionVariableTimedSleep(&fence->news,
										   Min(LOOK_MS, 1 + TimestampDifferenceMilliseconds(now, wait->deadline)),
										   PG_WAIT_EXTENSION);
	}
	ConditionVariableCancelSleep();
	return again;
}

/* Does the session want what there is, without waiting? */
static bool
prefers_less(void)
{
	const char *value = GetConfigOption("vecdb.partial_results", true, false);

	return value && strcmp(value, "on") == 0;
}

/* vdb_remote_may_be_fenced -- see vecdb/remote_fence.h */
bool
vdb_remote_may_be_fenced(void)
{
	return shared != NULL && shared->may_be_fenced;
}

/* vdb_remote_is_fenced -- see vecdb/remote_fence.h */
bool
vdb_remote_is_fenced(void)
{
	const VdbCluster *cluster = vdb_catalog_cluster();

	if (cluster == NULL || shared == NULL || RecoveryInProgress() ||
		GetWALInsertionTimeLine() >=
		vdb_remote_saw_timeline(cluster->local_group, 0))
		return false;
	shared->may_be_fenced = true;
	return true;
}

/* vdb_remote_refuse_fenced -- see vecdb/remote_fence.h */
void
vdb_remote_refuse_fenced(bool commit)
{
	int			group;

	if (allow_outdated || MyBackendType != B_BACKEND ||
		!vdb_remote_is_fenced())
		return;
	group = vdb_catalog_cluster()->local_group;
	ereport(remote_guard_is_up() && !commit ? FATAL : ERROR,
			(errcode(VDB_ERRCODE_OUTDATED_PRIMARY),
			 errmsg("this server is an outdated primary, on timeline %u when group %d is on %u",
					GetWALInsertionTimeLine(), group,
					vdb_remote_saw_timeline(group, 0)),
			 commit ? errdetail("The transaction is rolled back.") : 0,
			 errhint("Connect to the present primary of the group, which vecdb.hosts shows.")));
}
