/*-------------------------------------------------------------------------
 *
 * remote.h
 *	  Statements for other groups, their results, and transactions over them.
 *
 * A backend has at most one connection to a group's primary, and one to each
 * other host of it that it has read at.  Requests are queued on it
 * in pipeline mode: nothing waits until a result is asked for, so requests to
 * all groups are on their way before the first answer is read.
 *
 * Several requests may be under way on one connection.  Their results come in
 * the order of sending; the rows of an earlier one are put aside when those of
 * a later one are wanted first.
 *
 * Everything here is interruptible: a cancel or a time-out reaches the groups
 * that work for this backend, and the connections can be used afterwards.
 *
 * IDENTIFICATION
 *	  include/vecdb/remote.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef VECDB_REMOTE_H
#define VECDB_REMOTE_H

#include "postgres.h"

#include "access/xlogdefs.h"
#include "datatype/timestamp.h"
#include "lib/stringinfo.h"
#include "libpq-fe.h"
#include "utils/uuid.h"

#include "vecdb/catalog.h"

/*
 * A shard statement for one group.  The text and the values have to stay until
 * the request is closed.
 */
typedef struct VdbStatement
{
	const char *sql;			/* prepared once per connection */
	int			param_count;
	const Oid  *param_types;	/* 0: by the context in the text */
	const char *const *values;	/* NULL: null */
	const int  *lengths;
	const int  *formats;		/* 1: binary */
	bool		binary;			/* results in binary form? */
	bool		writes;			/* locks or changes rows: needs a transaction */
	bool		once;			/* do not keep it prepared */
	bool		few_rows;		/* all rows in one result: a LIMIT that fits
								 * into memory many times */
	Oid			role;			/* who executes it; InvalidOid: current user */
	VdbReadFrom read_from;		/* vdb_remote_read_level(), of what reads */
} VdbStatement;

typedef struct VdbRequest VdbRequest;

/* vdb_remote_init -- settings, callbacks, worker; from _PG_init when preloaded */
extern void vdb_remote_init(void);

/*
 * vdb_remote_init_commit -- take part in how commits wait for standbys
 *
 * Before the room of vecdb.write_consistency is initialized: who is first is
 * asked last when a transaction ends, and has the last word.
 */
extern void vdb_remote_init_commit(void);

/*
 * vdb_remote_send -- queue a statement for a group
 *
 * Connects if there is no connection, which is an ERROR naming the group when
 * none of its hosts can be reached in time.  Belongs to the current resource
 * owner's transaction: what is not closed by its end is dropped.  Allocated in
 * the current memory context.
 */
extern VdbRequest *vdb_remote_send(int group, const VdbStatement *statement);

/*
 * vdb_remote_row -- the next row of a request
 *
 * Returns a result with one or more rows (PGRES_SINGLE_TUPLE or
 * PGRES_TUPLES_OK), to be cleared by the caller, or NULL at the end.  Waits.
 * An error at the other node is thrown with its SQLSTATE, message, detail and
 * hint, and with the group in the context.
 */
extern PGresult *vdb_remote_row(VdbRequest *request);

/*
 * vdb_remote_connect -- connect to several groups at once
 *
 * vdb_remote_send() connects by itself, to one group after the other.
 */
extern void vdb_remote_connect(const int *groups, int count,
							   VdbReadFrom read_from);

/*
 * vdb_remote_read_level -- at which hosts a statement reads
 *
 * As the session wants, but at the primary if it writes, if the transaction
 * has written before, and if the transaction keeps one snapshot.
 */
extern VdbReadFrom vdb_remote_read_level(bool writes);

/*
 * vdb_remote_reads_own -- is this server where the own group's rows are read?
 *
 * If not, statements for the own group are sent to it as to any other.  An
 * ERROR if it may not answer.
 */
extern bool vdb_remote_reads_own(VdbReadFrom level);

/*
 * vdb_remote_wait_any -- wait until one of several requests is ready
 *
 * Returns its place in the array; requests may be NULL, but not all.
 */
extern int	vdb_remote_wait_any(VdbRequest *const *requests, int count);

/* vdb_remote_is_ready -- would vdb_remote_row() return without waiting? */
extern bool vdb_remote_is_ready(VdbRequest *request);

/*
 * vdb_remote_affected -- rows that an INSERT, UPDATE, DELETE or MERGE changed,
 * once vdb_remote_row() has returned NULL
 */
extern uint64 vdb_remote_affected(VdbRequest *request);

/*
 * vdb_remote_close -- rows that are left are of no interest
 *
 * If it is still being executed and read-only, it is cancelled there or its
 * rows are thrown away, whichever is less work.
 */
extern void vdb_remote_close(VdbRequest *request);

/* vdb_remote_execute -- send one statement to a group and wait for its end */
extern uint64 vdb_remote_execute(int group, const char *sql);

/* vdb_remote_execute_all -- the same for all other groups, at once */
extern void vdb_remote_execute_all(const char *sql);

/*
 * COPY ... FROM STDIN to a group: begin, data in portions, end.  Returns the
 * rows copied.  Portions are sent without waiting as long as the socket takes
 * them; beyond vecdb.copy_buffer bytes unsent, put waits.
 */
typedef struct VdbRemoteCopy VdbRemoteCopy;
extern VdbRemoteCopy *vdb_remote_copy_begin(int group, const char *sql);
extern void vdb_remote_copy_put(VdbRemoteCopy *copy, const char *data,
								int length);
extern uint64 vdb_remote_copy_end(VdbRemoteCopy *copy);

/*
 * vdb_remote_local_write -- this transaction changes rows of the own group too
 *
 * Decides whether two-phase commit is needed.
 */
extern void vdb_remote_local_write(void);

/* What a group has answered */
typedef struct VdbAnswer
{
	PGresult   *rows;			/* NULL: none; the caller clears it */
	int			sqlstate;		/* of the error; 0: it has succeeded */
	char	   *why;			/* the message of the error */
} VdbAnswer;

/*
 * vdb_remote_ask -- ask a group something that is no part of the transaction
 *
 * As the role that nodes log in as; hosts that did not answer lately are tried
 * as well.  Returns whether that succeeded.  That a group cannot be reached, or
 * reports an error, is told in the answer and not thrown; that no host can be
 * reached is ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION.  So is that
 * it has not answered within timeout_ms after that; it may do yet what it was
 * asked for.
 */
extern bool vdb_remote_ask(int group, const char *sql, int timeout_ms,
						   VdbAnswer *answer);

/*
 * vdb_remote_session_hook -- this backend has opened, or closes, a session
 *
 * Group 0: at a host that need not be a member.  Must not throw.
 */
extern void (*vdb_remote_session_hook) (const PGconn *pg, int group,
										bool opened);

/* vdb_remote_host -- host:port that a request went to, for EXPLAIN */
extern const char *vdb_remote_host(VdbRequest *request);

/*
 * vdb_remote_probe -- connect to a host that need not be a member
 *
 * For add_group() and add_host(): returns what the other node says of itself.
 * Errors are clear: unreachable, wrong password, another version of vecdb, not
 * preloaded, max_prepared_transactions = 0.
 */
typedef struct VdbPeer
{
	char	   *system_identifier;
	char	   *version;		/* of vecdb's library there */
	bool		extension;		/* created in the database? */
	bool		has_cluster;
	pg_uuid_t	cluster_id;
	int			group;
	bool		in_recovery;
	int			max_prepared_transactions;
} VdbPeer;
extern VdbPeer *vdb_remote_probe(const char *host, int port);

/*
 * vdb_remote_run_on -- SQL on a host that is not a member yet, one transaction
 *
 * Used to make a node a member.
 */
extern void vdb_remote_run_on(const char *host, int port, const char *sql);

/*
 * vdb_remote_run_alone -- a statement that must be the only one of its
 * transaction, such as VACUUM, over a connection of its own
 *
 * "check" is a query that is executed before it.  "settings" are set then: for
 * each its name, "=" and its value, ended by the character 1, the role last.
 * While the statement runs this session holds no snapshot of its catalogs,
 * which CREATE INDEX CONCURRENTLY on the same server would wait for.
 */
extern void vdb_remote_run_alone(const char *host, int port,
								 const char *check, const char *settings,
								 const char *sql);

/*
 * vdb_remote_begin_connect -- begin to connect to a host, as this room does
 *
 * For those who talk to a host themselves and do not wait: the rest is
 * PQconnectPoll().  Within a transaction, as the name of the database is
 * looked up.  To be closed with vdb_remote_end_connect().
 */
extern PGconn *vdb_remote_begin_connect(const char *host, int port);
extern void vdb_remote_end_connect(PGconn *pg);

/* What backends of this server know of a host */
typedef struct VdbHostState
{
	int			connections;	/* of this server's backends */
	int			failures;		/* in a row, to connect */
	TimestampTz retry_at;		/* left alone until then, or 0 */
	uint32		in_flight;		/* statements that it works on for us */
} VdbHostState;

/* vdb_remote_host_state -- of a host; of one that is not known all is zero */
extern VdbHostState vdb_remote_host_state(const char *host, int port);

/* vdb_remote_host_is_back -- a host answers again: backends may try it at once */
extern void vdb_remote_host_is_back(const char *host, int port);

/*
 * A room below that knows more about hosts than this one orders those of a
 * group before they are tried: see vdb_replication_order_hosts()
 */
extern int	(*vdb_remote_order_hosts) (int group, VdbHost *hosts,
									   int *numbers, int count,
									   StringInfo refused);

/* SQLSTATE of what a host says that is not fit for a statement */
#define VDB_UNFIT_STATE "55VD1"
#define VDB_ERRCODE_UNFIT MAKE_SQLSTATE('5', '5', 'V', 'D', '1')

/* A host that a statement may read at */
typedef struct VdbReadHost
{
	char	   *host;			/* NULL: the primary, whichever that is */
	int			port;
	char	   *check;			/* SQL that fails there if the host is not
								 * fit; NULL: it is known to be */
} VdbReadHost;

/*
 * The same room says at which hosts a statement may read, the best first, and
 * why not at others; and whether this server is such a host.
 */
extern List *(*vdb_remote_choose_hosts) (int group, VdbReadFrom level,
										 StringInfo why);
extern bool (*vdb_remote_is_fit) (VdbReadFrom level);

/* And whether a host is known not to answer */
extern bool (*vdb_remote_is_down) (int group, const VdbHost *host);

/*
 * vdb_remote_commit_lsn -- up to where a group's standbys have to replay to
 * show what this session has committed there
 *
 * InvalidXLogRecPtr: nothing; PG_UINT64_MAX: that is not known.
 */
extern XLogRecPtr vdb_remote_commit_lsn(int group);

#endif							/* VECDB_REMOTE_H */
