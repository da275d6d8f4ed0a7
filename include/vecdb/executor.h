/*-------------------------------------------------------------------------
 *
 * executor.h
 *	  Plan nodes that search and change tables of all groups.
 *
 * IDENTIFICATION
 *	  include/vecdb/executor.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef VECDB_EXECUTOR_H
#define VECDB_EXECUTOR_H

#include "postgres.h"

#include "nodes/parsenodes.h"
#include "parser/parse_node.h"
#include "tcop/dest.h"

/* vdb_executor_init -- register plan nodes; from _PG_init when preloaded */
extern void vdb_executor_init(void);

/*
 * vdb_executor_copy_from -- COPY FROM of a distributed or reference table
 *
 * Returns the rows copied.  The caller, the utility hook, has checked that the
 * statement is one.
 */
extern uint64 vdb_executor_copy_from(ParseState *pstate, CopyStmt *stmt);

/*
 * vdb_executor_copy_to_query -- COPY of such a table TO, as COPY (SELECT) TO
 *
 * Returns a new statement, which the caller executes in place of the other.
 */
extern CopyStmt *vdb_executor_copy_to_query(const CopyStmt *stmt);

/*
 * vdb_executor_type_is_binary -- do values of a type travel in binary form?
 *
 * Not if it differs from node to node, nor in a session whose client has
 * another encoding than the database: send functions convert to that.  Output
 * functions do not, so text is always in the encoding of the database.
 */
extern bool vdb_executor_type_is_binary(Oid type);

/*
 * vdb_executor_run_local -- execute a statement in local mode, in this process
 *
 * Returns the rows processed.
 */
extern uint64 vdb_executor_run_local(const char *sql);

#endif							/* VECDB_EXECUTOR_H */
