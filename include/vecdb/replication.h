/*-------------------------------------------------------------------------
 *
 * replication.h
 *	  Which host of each group is its primary, and who is behind.
 *
 * A background worker in each database of a cluster asks all hosts of all
 * groups every vecdb.probe_interval and keeps the answers in shared memory.
 * Where it does not run nothing is known, and what is asked here answers so.
 *
 * IDENTIFICATION
 *	  include/vecdb/replication.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef VECDB_REPLICATION_H
#define VECDB_REPLICATION_H

#include "postgres.h"

#include "lib/stringinfo.h"

#include "vecdb/catalog.h"

/* vdb_replication_init -- settings, worker, hooks; from _PG_init if preloaded */
extern void vdb_replication_init(void);

/*
 * vdb_replication_init_last -- hooks around those of all rooms; from _PG_init if
 * preloaded
 */
extern void vdb_replication_init_last(void);

/*
 * vdb_replication_order_hosts -- in which order to try the hosts of a group
 *
 * The known primary first, then hosts of which nothing is known, then those
 * that did not answer, then standbys.  Outdated primaries and hosts with other
 * data are taken out, and "refused" says why, a line for each.  "numbers" is
 * reordered with "hosts".  Returns how many are left.
 */
extern int	vdb_replication_order_hosts(int group, VdbHost *hosts,
										int *numbers, int count,
										StringInfo refused);

#endif							/* VECDB_REPLICATION_H */
