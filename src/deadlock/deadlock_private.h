/*-------------------------------------------------------------------------
 *
 * deadlock_private.h
 *	  What the files of the deadlock room share.
 *
 * IDENTIFICATION
 *	  src/deadlock/deadlock_private.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEADLOCK_PRIVATE_H
#define DEADLOCK_PRIVATE_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "storage/proc.h"
#include "utils/timestamp.h"

#include "vecdb/deadlock.h"

/* Room for the DETAIL of an error, which is cut where it is longer */
#define DEADLOCK_DETAIL_SIZE 1024

/* A session that a backend has at a group */
typedef struct DeadlockSession
{
	int			group;
	int			pid;			/* of the process there */
} DeadlockSession;

/*
 * A transaction, which may be over groups: the group and the process of its
 * coordinator.  A process that works for nobody else is its own coordinator.
 * Process 0: a prepared transaction that nobody is known to be about to end.
 */
typedef struct DeadlockParty
{
	int			group;
	int			pid;
} DeadlockParty;

/* What is known of a coordinator that has sessions at groups */
typedef struct DeadlockOwner
{
	DeadlockParty party;
	DeadlockSession session;	/* one of them; there is an owner for each */
	int64		started;		/* its transaction, microseconds; 0: none */
	uint32		xid;			/* its transaction here; 0: none */
} DeadlockOwner;

/* Somebody waits in a group for a lock, and is blocked by somebody */
typedef struct DeadlockWait
{
	int			group;			/* where */
	int			waiter_pid;		/* who is in the queue there */
	int			waiter_leader;	/* of its parallel query, or itself */
	int64		wait_id;		/* when that began; tells waits apart */
	int			blocker_pid;	/* 0: a prepared transaction */
	char	   *gid;			/* its name, or NULL */
	char	   *mode;
	char	   *object;
	char	   *relation;		/* its name, or NULL */
	DeadlockParty waiter;		/* whose transactions that are; set by */
	DeadlockParty blocker;		/* deadlock_graph_resolve() */
} DeadlockWait;

/* What groups have said */
typedef struct DeadlockReport
{
	List	   *waits;			/* of DeadlockWait * */
	List	   *owners;			/* of DeadlockOwner * */
} DeadlockReport;

/* settings, deadlock_worker.c */
extern int	deadlock_interval;

/* functions in deadlock_shared.c */
extern void deadlock_shared_init(void);
extern int	deadlock_shared_sessions(int slot, Oid database,
									 DeadlockSession *sessions, int *pid);
extern int	deadlock_shared_room(void);
extern bool deadlock_shared_has_sessions(const PGPROC *proc);
extern void deadlock_shared_explain(const PGPROC *proc, const char *detail);

/* functions in deadlock_wait.c */
extern bool deadlock_wait_is_long(PGPROC *proc, TimestampTz now, int64 *id);
extern bool deadlock_wait_break(int pid, int64 wait_id, const char *detail);

/* functions in deadlock_report.c */
extern const char *deadlock_report_query(void);
extern void deadlock_report_add_here(DeadlockReport *report, int group);
extern void deadlock_report_add_rows(DeadlockReport *report, int group,
									 const void *result);

/* functions in deadlock_graph.c */
extern void deadlock_graph_resolve(DeadlockReport *report);
extern List *deadlock_graph_confirm(const DeadlockReport *first,
									const DeadlockReport *second);
extern List *deadlock_graph_cycle(List *waits);
extern DeadlockWait *deadlock_graph_victim(const DeadlockReport *report,
										   List *cycle);
extern char *deadlock_graph_describe(List *cycle);
extern List *deadlock_graph_without(List *waits, const DeadlockParty *party);

/* functions in deadlock_round.c */
extern void deadlock_round(void);

/* functions in deadlock_worker.c */


#endif							/* DEADLOCK_PRIVATE_H */
