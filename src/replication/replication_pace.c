/*-------------------------------------------------------------------------
 *
 * replication_pace.c
 *	  Which groups the prober asks more often than once in a turn, and what it
 *	  says of their leaders.
 *
 * A group without a leader is asked every 100 ms, and so is one whose leader
 * is about to be changed: who waits for the next one shall not wait for our
 * turn.  When nobody has come for half a minute, and nobody waits, the turns
 * are enough again.
 *
 * IDENTIFICATION
 *	  src/replication/replication_pace.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "replication_private.h"

#define FAST_MS 100

/* How long that goes on by itself, and after somebody has asked for it */
#define LOST_MS 30000
#define WANTED_MS 2000

static void hear(List *probes, int group);
static ReplicationProbe *find_leader(List *probes, int group);
static bool leads(const ReplicationProbe *probe);

/* replication_pace_hear -- say what follows from answers that have come */
void
replication_pace_hear(List *probes)
{
	ListCell   *lc;

	foreach(lc, probes)
	{
		ReplicationProbe *probe = lfirst(lc);

		if (probe->heard)
			hear(probes, probe->group);
		probe->heard = false;
	}
}

/* There is news of a group: who leads it? */
static void
hear(List *probes, int group)
{
	ReplicationProbe *leader = find_leader(probes, group);
	ReplicationGroup *g = replication_group_find(group);
	TimestampTz now = GetCurrentTimestamp();

	vdb_remote_tell_leader(group, leader ? leader->known.state.instance : 0,
						   leader ? leader->asked_at : 0);
	if (leader == NULL && g->had_leader)
		g->fast_until = TimestampTzPlusMilliseconds(now, LOST_MS);
	/* the leader whose end is awaited is not who had to be found */
	if (leader && (g->held_until <= now ||
				   leader->known.state.instance != g->held_leader))
		g->held_until = g->fast_until = 0;
	g->had_leader = leader != NULL;
}

/* The probe of the leader of a group, or NULL */
static ReplicationProbe *
find_leader(List *probes, int group)
{
	ReplicationProbe *leader = NULL;
	ListCell   *lc;

	foreach(lc, probes)
	{
		ReplicationProbe *probe = lfirst(lc);

		if (probe->group != group || !leads(probe))
			continue;
		/* a server and its copy: neither */
		if (leader &&
			leader->known.state.instance != probe->known.state.instance)
			return NULL;
		leader = probe;
	}
	return leader;
}

/* Has a host said that it leads its group? */
static bool
leads(const ReplicationProbe *probe)
{
	const ReplicationHost *known = &probe->known;

	return known->seen_at > known->failed_at && !known->foreign &&
		!known->state.in_recovery &&
		known->state.timeline >= vdb_remote_saw_timeline(probe->group, 0);
}

/* replication_pace_want -- somebody waits for an answer of a group's hosts */
void
replication_pace_want(List *probes, int group)
{
	ListCell   *lc;

	foreach(lc, probes)
	{
		ReplicationProbe *probe = lfirst(lc);
		ReplicationGroup *g;

		if (group != ALL_GROUPS && probe->group != group)
			continue;
		g = replication_group_find(probe->group);
		if (!g->had_leader)
			g->fast_until = Max(g->fast_until,
								TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
															WANTED_MS));
		if (replication_probe_is_pending(probe))
			probe->again = true;
		else
			replication_probe_begin(probe);
	}
}

/* replication_pace_hold -- its leader is to be changed, or not any more */
void
replication_pace_hold(List *probes, int group, int ms)
{
	ReplicationProbe *leader = find_leader(probes, group);
	ReplicationGroup *g = replication_group_find(group);
	TimestampTz now = GetCurrentTimestamp();

	g->held_leader = leader ? leader->known.state.instance : 0;
	g->held_until = ms > 0 ? TimestampTzPlusMilliseconds(now, ms) : 0;
	g->fast_until = g->held_until;
}

/*
 * replication_pace_ask -- ask those whose time has come
 *
 * Returns in how many milliseconds the next one's has, or many.
 */
long
replication_pace_ask(List *probes)
{
	TimestampTz now = GetCurrentTimestamp();
	long		least = 60000;
	ListCell   *lc;

	foreach(lc, probes)
	{
		ReplicationProbe *probe = lfirst(lc);
		ReplicationGroup *g = replication_group_find(probe->group);
		long		passed;

		if (g->fast_until <= now || replication_probe_is_pending(probe))
			continue;
		passed = TimestampDifferenceMilliseconds(probe->began, now);
		if (passed >= FAST_MS)
		{
			replication_probe_begin(probe);
			passed = 0;
		}
		least = Min(least, FAST_MS - passed);
	}
	return least;
}
