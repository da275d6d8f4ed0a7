/*-------------------------------------------------------------------------
 *
 * deadlock.h
 *	  Deadlocks over several groups: found, and ended by an error to one of
 *	  those who wait.
 *
 * IDENTIFICATION
 *	  include/vecdb/deadlock.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef VECDB_DEADLOCK_H
#define VECDB_DEADLOCK_H

/* vdb_deadlock_init -- settings, hooks, worker; from _PG_init when preloaded */
extern void vdb_deadlock_init(void);

#endif							/* VECDB_DEADLOCK_H */
