/*-------------------------------------------------------------------------
 *
 * lib_worker.h
 *	  What all background workers of vecdb do alike.
 *
 * There are two kinds.  A daemon is registered while libraries are preloaded,
 * runs as long as the server, and belongs to no database.  It starts workers
 * in databases, which end by themselves.
 *
 * IDENTIFICATION
 *	  include/vecdb/lib_worker.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef VECDB_LIB_WORKER_H
#define VECDB_LIB_WORKER_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "postmaster/bgworker.h"

/*
 * vdb_worker_register -- have the server start a daemon
 *
 * "function" is exported by this library; "type" is the daemon's name, too.
 */
extern void vdb_worker_register(const char *function, const char *type,
								BgWorkerStartTime when);

/*
 * vdb_worker_start -- start a worker in a database, for a daemon
 *
 * The function gets the database's OID as its argument.  Returns NULL when no
 * slot of max_worker_processes is free; the handle is allocated in the
 * current memory context.
 */
extern BackgroundWorkerHandle *vdb_worker_start(const char *function,
												const char *type,
												Oid database);

/*
 * vdb_worker_begin -- what a worker does first
 *
 * A daemon (InvalidOid) ends when ShutdownRequestPending says so, between its
 * turns; a worker in a database as a session does, at the next interrupt.  Its
 * search_path is pg_catalog.
 */
extern void vdb_worker_begin(Oid database);

/*
 * vdb_worker_sleep -- wait until the latch is set, or for some milliseconds
 *
 * -1 waits for the latch alone.  Returns at once when a daemon is to end.  Takes
 * in a changed configuration.
 */
extern void vdb_worker_sleep(long timeout_ms);

/* vdb_worker_reload -- take in a changed configuration, if there is one */
extern void vdb_worker_reload(void);

/*
 * vdb_worker_databases -- all databases that can be connected to
 *
 * As a list of OIDs; outside of a transaction.
 */
extern List *vdb_worker_databases(void);

#endif							/* VECDB_LIB_WORKER_H */
