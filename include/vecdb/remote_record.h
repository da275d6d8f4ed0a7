/*-------------------------------------------------------------------------
 *
 * remote_record.h
 *	  What two-phase commit leaves behind, for those who finish it.
 *
 * IDENTIFICATION
 *	  include/vecdb/remote_record.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef VECDB_REMOTE_RECORD_H
#define VECDB_REMOTE_RECORD_H

#include "postgres.h"

#include "nodes/pg_list.h"

/* vdb_remote_record_prefix -- what names of our group's transactions begin with */
extern char *vdb_remote_record_prefix(void);

/* vdb_remote_record_table -- the table of commit records */
extern Oid	vdb_remote_record_table(void);

/* vdb_remote_is_open -- is there a transaction of ours at any other group? */
extern bool vdb_remote_is_open(void);

/*
 * vdb_remote_request_recovery -- have our database looked at
 *
 * Returns how often that was asked for since it was forgotten last, this time
 * included; 0 if there is no room to note it.
 */
extern uint64 vdb_remote_request_recovery(void);

/* vdb_remote_databases -- those to be looked at */
extern List *vdb_remote_databases(void);

/*
 * vdb_remote_forget_database -- it need not be looked at any more
 *
 * Unless it was asked for more than "requests" times: then somebody has done
 * so while it was being looked at.
 */
extern void vdb_remote_forget_database(Oid database, uint64 requests);

/* vdb_remote_may_report -- is it time to log failures of a database? */
extern bool vdb_remote_may_report(Oid database);

#endif							/* VECDB_REMOTE_RECORD_H */
