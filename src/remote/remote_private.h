/*-------------------------------------------------------------------------
 *
 * remote_private.h
 *	  What the files of the remote room share.
 *
 * IDENTIFICATION
 *	  src/remote/remote_private.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REMOTE_PRIVATE_H
#define REMOTE_PRIVATE_H

#include "lib/ilist.h"
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "storage/latch.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "vecdb/catalog.h"
#include "vecdb/lib_compat.h"
#include "vecdb/remote.h"
#include "vecdb/remote_fence.h"
#include "vecdb/remote_record.h"

/* How long cleaning up, which cannot be interrupted, waits for other nodes */
#define REMOTE_CLEANUP_MS 5000

/* Who waits for an answer looks so often whether it can still come */
#define REMOTE_LOOK_MS 1000

/* Statements that a connection keeps prepared */
#define REMOTE_STATEMENTS 256

/* Bytes of a key; see remote_guard.c */
#define REMOTE_KEY_SIZE 16

/* Room for a name of a prepared transaction */
#define REMOTE_GID_SIZE 200

/* What a step of a pipeline is; see remote_pipeline.c */
typedef enum RemoteStepKind
{
	STEP_COMMAND,				/* BEGIN, SAVEPOINT, settings, COMMIT ... */
	STEP_CHECK,					/* may this host answer? */
	STEP_PREPARE,				/* parses a statement that is kept */
	STEP_EXECUTE,				/* a request's own statement */
	STEP_SYNC					/* end of a flight */
} RemoteStepKind;

/* A statement that the other node has prepared */
typedef struct RemoteStatement
{
	uint64		key;			/* hash of the rest; must be first */
	char	   *text;
	Oid		   *types;			/* of parameters */
	Size		types_size;		/* in bytes */
	char		name[24];
	dlist_node	node;			/* in order of use */
} RemoteStatement;

/* A command that was sent and whose results have not all come back */
typedef struct RemoteStep
{
	dlist_node	node;
	RemoteStepKind kind;
	bool		changes;		/* changes what the session is: rule 2 */
	bool		single_row;
	const char *tag;			/* what it must complete with, or NULL */
	VdbRequest *request;		/* is told of an error, or NULL */
	uint64		statement;		/* STEP_PREPARE: key */
} RemoteStep;

/* What is known of a group as a whole; see remote_fence.c */
typedef struct RemoteFence RemoteFence;

/* Where a transaction at another group is in two-phase commit */
typedef enum RemotePrepared
{
	PREPARED_NOT,
	PREPARED_SENT,				/* no answer yet */
	PREPARED_DONE
} RemotePrepared;

/* A connection of this backend to a group; lives as long as the backend */
typedef struct RemoteConnection
{
	dlist_node	node;			/* in remote_connections */
	int			group;
	VdbHost		target;			/* to read at this host; host is NULL for the
								 * connection to the primary */
	TimestampTz reserved_at;	/* chosen for a request that comes next, of
								 * the statement that began then */
	char	   *reserved_check; /* what goes before that, or NULL */
	XLogRecPtr	commit_lsn;		/* end of our last commit there */
	bool		commit_unknown; /* it may have committed, we do not know where */
	char	   *host;			/* host:port, of the last connection */
	int			last_good;		/* number of the host that was connected to */
	PGconn	   *pg;				/* NULL: not connected */
	bool		ready;			/* connected, and known to be the group */
	RemoteFence *fence;			/* of the group, in shared memory, or NULL */
	uint64		requests_sent;

	/* the rest is of the present connection only */
	int			place;			/* of the host in shared memory, or -1 */
	TimeLineID	timeline;		/* of the primary there; 0: not known */
	WaitEventSet *events;
	uint32		waits_for;		/* of the socket, in events */
	dlist_head	steps;			/* in the order of sending */
	int			unconfirmed;	/* steps that change the session */
	bool		unflushed;
	bool		ending;			/* the other side said that it will close it */
	TimestampTz heard;			/* began the statement in which all was
								 * answered last */
	struct RemoteCancel *cancel;	/* under way, or NULL */
	VdbRemoteCopy *copy;		/* not in pipeline mode */
	char	   *settings;		/* as they are there; NULL: not known */
	bool		settings_in_transaction;
	bool		settings_alone; /* sent without BEGIN, and not all is answered
								 * since */
	Oid			role;			/* in the settings */
	bool		role_taken;		/* role, or search_path, may be others than at
								 * the login */
	uint8		key[REMOTE_KEY_SIZE];	/* of the guarded session */
	uint64		proofs;			/* made with the key */
	HTAB	   *statements;
	dlist_head	statement_order;	/* last used first */
	bool		statements_stale;

	/* the transaction */
	int			depth;			/* 0: none; n: up to savepoint n */
	bool		wrote;
	bool		lost;			/* connection broke within it */
	bool		rolled_back;	/* a COMMIT was answered by ROLLBACK */
	bool		unreplicated;	/* a wait for standbys was cancelled */
	PGresult   *failure;		/* first error that no request was told of */
	RemotePrepared prepared;	/* stays when the connection breaks */
	char		gid[REMOTE_GID_SIZE];
} RemoteConnection;

typedef enum RemoteAttemptState
{
	ATTEMPT_CONNECTING,			/* PQconnectPoll() has the word */
	ATTEMPT_ASKING,				/* who are you? */
	ATTEMPT_SUCCEEDED,
	ATTEMPT_FAILED
} RemoteAttemptState;

/* An attempt to connect to one group, or to one host that need not be member */
typedef struct RemoteAttempt
{
	RemoteAttemptState state;
	RemoteConnection *c;		/* pg is the connection being made */
	VdbHost    *hosts;			/* in the order in which they are tried */
	int		   *numbers;		/* their numbers in the catalog */
	int			host_count;
	int			host;			/* now tried; -1 before the first */
	bool		patient;		/* try also hosts that did not answer lately */
	PostgresPollingStatusType polling;
	TimestampTz started;		/* with this host */
	TimestampTz deadline;		/* for this host */
	int			budget_ms;		/* for each host */
	bool		identified;		/* the host is the group that is meant */
	StringInfoData why;			/* what went wrong, by host */
} RemoteAttempt;

/* Results that arrived before somebody asked for them; see remote_rows.c */
typedef struct RemoteRows
{
	PGresult  **results;
	int			first;
	int			count;
	int			allocated;
	Size		memory;
	struct BufFile *file;		/* rows beyond work_mem, after the others */
	PGresult   *model;			/* columns of the rows in the file */
	uint64		file_rows;		/* rows in the file that were not read */
	int			read_file;
	off_t		read_offset;
	int			write_file;
	off_t		write_offset;
} RemoteRows;

struct VdbRequest
{
	dlist_node	node;			/* in remote_requests */
	RemoteConnection *connection;
	VdbStatement statement;
	MemoryContext context;
	MemoryContextCallback callback;
	struct ResourceOwnerData *owner;
	int			level;			/* nesting level of transactions */
	bool		in_transaction; /* sent within a remote transaction */
	bool		done;			/* the other node has answered all */
	bool		lost;			/* the connection broke before */
	bool		delivered;		/* rows were given out */
	bool		again;			/* was sent a second time */
	List	   *tried;			/* hosts, as text, that it was to read at */
	char	   *check;			/* precedes it; NULL: nothing */
	uint64		affected;
	PGresult   *error;
	char	   *host;
	RemoteRows	rows;
};

/*
 * Ask for the rows of the command whose results come next as they arrive,
 * some at a time where libpq can do that
 */
static inline void
vdb_set_row_mode(PGconn *pg)
{
#ifdef LIBPQ_HAS_CHUNK_MODE
	PQsetChunkedRowsMode(pg, 64);
#else
	PQsetSingleRowMode(pg);
#endif
}

/* settings, remote_setting.c */
extern char *remote_node_conninfo;
extern int	remote_connect_timeout;
extern int	remote_retry_delay;
extern int	remote_copy_buffer;
extern int	remote_max_connections_per_host;

extern void remote_setting_init(void);
extern void remote_setting_send(RemoteConnection *c, Oid role,
								VdbRequest *request);
extern void remote_setting_send_role(RemoteConnection *c);
extern void remote_setting_send_none(RemoteConnection *c, const char *state,
									 VdbRequest *request);
extern char *remote_setting_path(void);

/* all connections of this backend, and requests that are not closed */
extern dlist_head remote_connections;
extern dlist_head remote_requests;

/* Waiting for a group to have a leader; zero before the first time */
typedef struct RemoteWait
{
	TimestampTz deadline;
	int			tries;			/* of the present leader */
	uint32		changes;		/* of leaders, when it was */
} RemoteWait;

/* functions in remote_fence.c */
extern int	remote_failover_timeout;
extern void remote_fence_init(void);
extern void remote_fence_note(RemoteConnection *c, TimeLineID timeline);
extern bool remote_fence_is_up(const RemoteConnection *c);
extern bool remote_fence_is_outdated(const RemoteConnection *c);
extern void remote_fence_drop(RemoteConnection *c);
extern void remote_fence_pass(RemoteConnection *c);
extern bool remote_fence_await(int group, RemoteWait *wait);

/* functions in remote_connect.c */
extern bool remote_is_connected(RemoteConnection *c, bool writes);
extern MemoryContext remote_context(void);
extern RemoteConnection *remote_connection(int group);
extern void remote_connect(RemoteConnection *c);
extern void remote_connect_all(List *connections, bool patient);
extern bool remote_try_connect(RemoteConnection *c, bool patient, char **why);
extern RemoteConnection *remote_choose(int group, VdbReadFrom level,
									   List **tried, char **check);
extern void remote_reserve(const int *groups, int count, VdbReadFrom level);
extern void remote_note_commits(RemoteConnection *c);
extern bool remote_is_hopeless(const RemoteConnection *c);
extern void remote_disconnect(RemoteConnection *c);
extern PGconn *remote_open(const char *host, int port);
extern void remote_close(PGconn *pg);
extern void remote_connect_take(RemoteConnection *c);

/* functions in remote_attempt.c */
extern RemoteAttempt *remote_attempt_begin(RemoteConnection *c, bool patient);
extern RemoteAttempt *remote_attempt_begin_at(RemoteConnection *c,
											  const char *host, int port);
extern void remote_attempt_run(RemoteAttempt **attempts, int count);
extern PGconn *remote_attempt_start(const char *host, int port,
									const char *who);

/* functions in remote_peer.c */
extern char *remote_peer_query(int group);
extern char *remote_peer_refuse(const PGresult *res, int group,
								const char *host);
extern TimeLineID remote_peer_timeline(const PGresult *res);

/* functions in remote_guard.c */
extern void remote_guard_init(void);
extern bool remote_guard_is_up(void);
extern void remote_guard_key(uint8 *key);
extern char *remote_guard_key_text(const uint8 *key);
extern char *remote_guard_proof(const uint8 *key, uint64 number,
								const char *state);

/* functions in remote_pipeline.c */
extern void remote_pipeline_command(RemoteConnection *c, const char *sql,
									VdbRequest *request, const char *tag);
extern void remote_pipeline_settings(RemoteConnection *c, const char *state,
									 VdbRequest *request);
extern void remote_pipeline_check(RemoteConnection *c, const char *sql,
								  VdbRequest *request);
extern void remote_pipeline_statement(RemoteConnection *c,
									  VdbRequest *request);
extern void remote_pipeline_sync(RemoteConnection *c);
extern bool remote_pipeline_take(RemoteConnection *c);
extern void remote_pipeline_collect(RemoteConnection *c);
extern void remote_pipeline_absorb(RemoteConnection *c);
extern TimestampTz remote_wait_deadline;
extern void remote_pipeline_wait(RemoteConnection *c);
extern bool remote_pipeline_wait_quietly(RemoteConnection *c);
extern void remote_pipeline_drain(RemoteConnection *c);
extern void remote_pipeline_settle(RemoteConnection *c);
extern int	remote_pipeline_count(const RemoteConnection *c);
extern void remote_pipeline_forget(VdbRequest *request);
extern void remote_pipeline_lost(RemoteConnection *c);

/* functions in remote_statement.c */
extern const char *remote_statement_find(RemoteConnection *c,
										 const VdbStatement *s);
extern RemoteStatement *remote_statement_add(RemoteConnection *c,
											 const VdbStatement *s);
extern void remote_statement_remove(RemoteConnection *c, uint64 key);
extern void remote_statement_reset(RemoteConnection *c);
extern int	remote_statement_count(RemoteConnection *c);

/* functions in remote_request.c */
extern void remote_request_deliver(VdbRequest *request, PGresult *res);
extern void remote_request_finish(VdbRequest *request);
extern void remote_request_forget(void *arg);
extern void remote_request_forget_sockets(void);
extern VdbRequest *remote_request_ask(RemoteConnection *c, const char *sql,
									  const char *state);

/* functions in remote_rows.c */
extern void remote_rows_put(VdbRequest *request, PGresult *res);
extern PGresult *remote_rows_get(VdbRequest *request);
extern void remote_rows_clear(VdbRequest *request);

/* functions in remote_error.c */
VDB_NORETURN extern void remote_error_throw(const PGresult *res, int group,
											const char *host, const char *sql);
VDB_NORETURN extern void remote_error_lost(int group, const char *host);
extern int	remote_error_sqlstate(const PGresult *res);
extern void remote_error_notice(void *arg, const PGresult *res);
extern void remote_error_quiet(bool quiet);

/* functions in remote_end.c */
extern char *remote_record_name(void);
extern void remote_record_insert(const char *name);
extern bool remote_pipeline_send(RemoteConnection *c, const char *sql,
								 const char *tag);
extern void remote_pipeline_await(List *connections, bool cancel);
extern struct RemoteCancel *remote_cancel_begin(PGconn *pg);
extern bool remote_cancel_is_over(struct RemoteCancel *cancel);
extern void remote_cancel_end(struct RemoteCancel *cancel);

/* functions in remote_copy.c */
extern void remote_copy_abort(RemoteConnection *c);

/* functions in remote_transaction.c */
extern void remote_transaction_init(void);
extern void remote_transaction_begin(RemoteConnection *c,
									 VdbRequest *request);
extern bool remote_transaction_has_written(void);
extern bool remote_transaction_is_needed(RemoteConnection *c, bool writes);
extern void remote_transaction_check(const RemoteConnection *c);

/* functions in remote_commit.c */
extern void remote_commit_at(List *connections);
extern void remote_commit_prepare(List *writers, List *readers);
extern void remote_commit_finish(void);
extern void remote_commit_roll_back(RemoteConnection *c);

/* functions in remote_shared.c */
extern void remote_shared_init(void);
extern bool remote_shared_may_try(const char *host, int port, int *wait_ms);
extern void remote_shared_failed(const char *host, int port);
extern void remote_shared_succeeded(const char *host, int port);
extern bool remote_shared_acquire(const char *host, const char *port);
extern void remote_shared_release(const char *host, const char *port);
extern int	remote_shared_place(const char *host, int port);
extern void remote_shared_work(int place, int change);

#endif							/* REMOTE_PRIVATE_H */
