/*-------------------------------------------------------------------------
 *
 * replication_group.c
 *	  What the prober remembers of groups, from one answer to the next.
 *
 * How it asks their hosts (replication_pace.c) and how far their WAL was when
 * (replication_lag.c).  A group is remembered as long as one of its hosts is
 * watched.
 *
 * IDENTIFICATION
 *	  src/replication/replication_group.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "replication_private.h"

static List *groups;

static bool has_probe(List *probes, int group);

/* replication_group_find -- what is known of a group; made if there is nothing */
ReplicationGroup *
replication_group_find(int group)
{
	MemoryContext old;
	ReplicationGroup *g;
	ListCell   *lc;

	foreach(lc, groups)
	{
		g = lfirst(lc);
		if (g->group == group)
			return g;
	}
	old = MemoryContextSwitchTo(TopMemoryContext);
	g = palloc0(sizeof(ReplicationGroup));
	g->group = group;
	groups = lappend(groups, g);
	MemoryContextSwitchTo(old);
	return g;
}

/* replication_group_forget -- those of which no host is watched any more */
void
replication_group_forget(List *probes)
{
	ListCell   *lc;

	foreach(lc, groups)
	{
		ReplicationGroup *g = lfirst(lc);

		if (has_probe(probes, g->group))
			continue;
		pfree(g);
		groups = foreach_delete_current(groups, lc);
	}
}

/* Is a host of a group watched? */
static bool
has_probe(List *probes, int group)
{
	ListCell   *lc;

	foreach(lc, probes)
	{
		if (((ReplicationProbe *) lfirst(lc))->group == group)
			return true;
	}
	return false;
}
