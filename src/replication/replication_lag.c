/*-------------------------------------------------------------------------
 *
 * replication_lag.c
 *	  How far standbys are behind, by the prober's clock alone.
 *
 * For each group the prober keeps when it first heard of which end of the WAL
 * from the primary.  The lag of a standby is the age of the first of these
 * that it has not replayed.  So clocks of hosts need not agree, a group in
 * which nothing happens has no lag, and the precision is the time between two
 * probes.
 *
 * IDENTIFICATION
 *	  src/replication/replication_lag.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "replication_private.h"

static ReplicationSample *get_sample(ReplicationGroup *g, int number);

/* replication_lag_note -- the primary of a group has flushed its WAL to there */
void
replication_lag_note(int group, XLogRecPtr flushed)
{
	ReplicationGroup *g = replication_group_find(group);
	ReplicationSample *sample;

	if (g->count > 0)
	{
		XLogRecPtr	last = get_sample(g, g->count - 1)->flushed;

		if (flushed == last)
			return;
		/* another primary, which had not received all */
		if (flushed < last)
			g->count = 0;
	}
	if (g->count == REPLICATION_SAMPLES)
	{
		g->first = (g->first + 1) % REPLICATION_SAMPLES;
		g->count--;
	}
	sample = get_sample(g, g->count++);
	sample->at = GetCurrentTimestamp();
	sample->flushed = flushed;
}

/* replication_lag_measure -- set the lag of a host by what it has replayed */
void
replication_lag_measure(ReplicationHost *host)
{
	ReplicationGroup *g = replication_group_find(host->group);
	XLogRecPtr	replayed = host->state.replayed;
	XLogRecPtr	last;
	int			i = 0;

	host->lag_bytes = host->lag_ms = -1;
	if (g->count == 0)
		return;
	last = get_sample(g, g->count - 1)->flushed;
	/* on an older timeline: what it has replayed may be something else */
	if (last <= replayed && host->state.timeline <
		vdb_remote_saw_timeline(host->group, 0))
		return;
	host->lag_bytes = last > replayed ? (int64) (last - replayed) : 0;
	host->lag_ms = 0;
	while (i < g->count && get_sample(g, i)->flushed <= replayed)
		i++;
	if (i < g->count)
		host->lag_ms = TimestampDifferenceMilliseconds(get_sample(g, i)->at,
													   GetCurrentTimestamp());
}

/* A sample by its age, 0 being the oldest */
static ReplicationSample *
get_sample(ReplicationGroup *g, int number)
{
	return &g->samples[(g->first + number) % REPLICATION_SAMPLES];
}
