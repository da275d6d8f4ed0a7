/*-------------------------------------------------------------------------
 *
 * remote_fence.h
 *	  What is known of groups as wholes: the highest timeline, whether somebody
 *	  leads, whether requests are held.
 *
 * It is in shared memory, by database and group.  Whoever hears of a timeline
 * says so; who leads is said by the prober of the replication room, and only
 * while that goes on is a group without a leader waited for.
 *
 * IDENTIFICATION
 *	  include/vecdb/remote_fence.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef VECDB_REMOTE_FENCE_H
#define VECDB_REMOTE_FENCE_H

#include "postgres.h"

#include "access/xlogdefs.h"
#include "datatype/timestamp.h"
#include "lib/stringinfo.h"

/* This server is a primary that has a successor */
#define VDB_ERRCODE_OUTDATED_PRIMARY MAKE_SQLSTATE('5', '7', 'V', 'D', '1')

/* Nothing is held for longer */
#define VDB_MAX_HOLD_MS 10000

/*
 * vdb_remote_saw_timeline -- a host of a group said that it is on this
 * timeline, or 0 to ask
 *
 * Returns the highest that was seen; 0 if there was none.  Within a
 * transaction.
 */
extern TimeLineID vdb_remote_saw_timeline(int group, TimeLineID timeline);

/* vdb_remote_list_timelines -- all of this database, as two arrays in text */
extern void vdb_remote_list_timelines(StringInfo groups,
									  StringInfo timelines);

/* vdb_remote_forget_groups -- a database is gone, or in no cluster any more */
extern void vdb_remote_forget_groups(Oid database);

/*
 * vdb_remote_tell_leader -- who leads a group now, for the prober
 *
 * "leader" is the number of the start of that server, which was asked at
 * "asked_at" last; 0: nobody is seen to lead.  Who waits for a leader goes on,
 * and requests that are held do when it is another than they were held for.
 */
extern void vdb_remote_tell_leader(int group, uint64 leader,
								   TimestampTz asked_at);

/*
 * vdb_remote_want_leader -- somebody waits for the leader of a group
 *
 * Has its hosts asked now; set by the replication room.
 */
extern void (*vdb_remote_want_leader) (int group);

/* vdb_remote_hold -- have new requests to a group wait; 0 lets them go */
extern void vdb_remote_hold(int group, int ms);

/* vdb_remote_held -- for how many milliseconds they still do, at most */
extern int	vdb_remote_held(int group);

/*
 * vdb_remote_may_be_fenced -- is it worth asking vdb_remote_is_fenced()?
 *
 * A look at a flag.
 */
extern bool vdb_remote_may_be_fenced(void);

/*
 * vdb_remote_is_fenced -- is this server a primary that has a successor?
 *
 * It has been told of a higher timeline of its group than its own.  Within a
 * transaction; sets the flag above.
 */
extern bool vdb_remote_is_fenced(void);

/*
 * vdb_remote_refuse_fenced -- an ERROR if it is, for clients
 *
 * FATAL for sessions of other nodes, unless "commit": they are to connect to
 * the successor.  Nothing if vecdb.allow_outdated is on.
 */
extern void vdb_remote_refuse_fenced(bool commit);

/*
 * vdb_remote_await_standbys -- is what is on this primary's disk at its
 * synchronous standbys, too?
 *
 * Waits that long for it; can be interrupted.  True if none are configured.
 */
extern bool vdb_remote_await_standbys(int timeout_ms);

#endif							/* VECDB_REMOTE_FENCE_H */
