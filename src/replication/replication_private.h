/*-------------------------------------------------------------------------
 *
 * replication_private.h
 *	  What the files of the replication room share.
 *
 * IDENTIFICATION
 *	  src/replication/replication_private.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REPLICATION_PRIVATE_H
#define REPLICATION_PRIVATE_H

#include "access/xlogdefs.h"
#include "lib/stringinfo.h"
#include "libpq-fe.h"
#include "nodes/pg_list.h"
#include "nodes/plannodes.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "vecdb/catalog.h"
#include "vecdb/lib_compat.h"
#include "vecdb/remote.h"
#include "vecdb/remote_fence.h"
#include "vecdb/replication.h"

/* What one server can know, over all its databases */
#define REPLICATION_MAX_HOSTS 1024
#define REPLICATION_MAX_DATABASES 128

#define REPLICATION_HOST_SIZE 256
#define REPLICATION_URL_SIZE 256
#define REPLICATION_ERROR_SIZE 256
#define REPLICATION_ZONE_SIZE 64

/* Hosts of all groups are to be asked */
#define ALL_GROUPS (-1)

/* A host that is slower to connect or to answer has not answered */
#define REPLICATION_TIMEOUT_MS 2000

/* How often a database is looked at again whose membership may have changed */
#define REPLICATION_TRIES 8

/* A standby that is further behind may not become the leader */
#define REPLICATION_MAX_LAG (16 * 1024 * 1024)

/* What a node says of itself */
typedef struct ReplicationState
{
	bool		in_cluster;		/* the next two are set */
	pg_uuid_t	cluster_id;
	int			group;
	uint64		instance;		/* of this start of this server */
	uint64		system_identifier;
	bool		in_recovery;
	bool		streaming;		/* a standby: receives from another */
	TimeLineID	timeline;
	XLogRecPtr	flushed;
	XLogRecPtr	replayed;		/* of a primary: as flushed */
	int			sync_required;	/* standbys that a commit waits for */
	int			sync_standbys;	/* standbys that could answer it */
	int64		epoch;			/* of its catalog */
	char		patroni_url[REPLICATION_URL_SIZE];
	char		zone[REPLICATION_ZONE_SIZE];
} ReplicationState;

/* What is known of a host, in shared memory */
typedef struct ReplicationHost
{
	Oid			database;		/* InvalidOid: a free place */
	int			group;
	int			port;
	char		host[REPLICATION_HOST_SIZE];
	bool		is_self;		/* this server */
	bool		foreign;		/* answered, and is not what it should be */
	TimestampTz seen_at;		/* when it answered last; 0: never */
	TimestampTz failed_at;		/* when it did not */
	double		latency_ms;		/* moving average */
	int64		lag_bytes;		/* -1: not known */
	int64		lag_ms;			/* -1: not known */
	TimeLineID	left_timeline;	/* of a primary that was seen as a standby:
								 * which it was on; 0: none */
	XLogRecPtr	left_at;		/* what it had replayed of that, at least */
	TimestampTz led_at;			/* when it was last the primary; 0: never */
	TimeLineID	led_timeline;	/* which it was on then */
	XLogRecPtr	led_to;			/* what it had flushed */
	ReplicationState state;		/* as of seen_at */
	char		error[REPLICATION_ERROR_SIZE];

	/* set in copies by replication_shared_group() */
	bool		is_up;
	bool		is_leader;
	bool		is_outdated;	/* a primary on an old timeline */
} ReplicationHost;

typedef enum ReplicationProbeState
{
	PROBE_CLOSED,
	PROBE_CONNECTING,
	PROBE_PREPARING,
	PROBE_ASKING,
	PROBE_TELLING,				/* that requests to a group are held */
	PROBE_READY					/* connected, nothing under way */
} ReplicationProbeState;

/* The prober's conversation with one host */
typedef struct ReplicationProbe
{
	VdbHost		host;
	int			group;
	int			place;			/* in shared memory */
	bool		listed;			/* the catalog has it still */
	ReplicationProbeState state;
	PGconn	   *pg;
	PostgresPollingStatusType polling;
	TimestampTz began;			/* what is under way */
	TimestampTz deadline;
	TimestampTz asked_at;		/* when it was asked what it answered last */
	bool		again;			/* ask it once more when it has answered */
	bool		told;			/* does not have to be told of a hold */
	bool		heard;			/* there is news */
	bool		complained;		/* the log has its present failure */
	ReplicationHost known;		/* what is written to shared memory */
} ReplicationProbe;

/* A lag older than what fits is reported as that of the oldest that does */
#define REPLICATION_SAMPLES 128

/* When the prober first heard that a primary's WAL ends there */
typedef struct ReplicationSample
{
	TimestampTz at;
	XLogRecPtr	flushed;
} ReplicationSample;

/* What the prober remembers of a group */
typedef struct ReplicationGroup
{
	int			group;

	/* of replication_pace.c */
	bool		had_leader;
	TimestampTz fast_until;
	TimestampTz held_until;		/* requests; 0: not held */
	uint64		held_leader;	/* when that began */

	/* of replication_lag.c: a ring */
	int			first;			/* the oldest */
	int			count;
	ReplicationSample samples[REPLICATION_SAMPLES];
} ReplicationGroup;

/* settings, replication_setting.c */
extern int	replication_probe_interval;
extern int	replication_hold_timeout;
extern char *replication_patroni_url;
extern char *replication_patroni_auth;

extern char *replication_zone;
extern int	replication_replay_timeout;
extern int	replication_read_lease;

extern void replication_setting_init(void);

/* functions in replication_shared.c */
extern void replication_shared_init(void);
extern bool replication_shared_exists(void);
extern uint64 replication_shared_instance(void);
extern void replication_shared_set_launcher(bool running);
extern void replication_shared_request(Oid database, int tries);
extern Oid	replication_shared_next(long *wait_ms);
extern void replication_shared_forget(Oid database);
extern bool replication_shared_begin_prober(void);
extern void replication_shared_end_prober(bool again);
extern bool replication_shared_has_prober(void);
extern void replication_shared_nudge(int group);
extern int	replication_shared_take_nudge(void);
extern void replication_shared_tell_hold(int group, int ms);
extern int	replication_shared_take_hold(int *ms);
extern void replication_shared_set_untold(int count);
extern int	replication_shared_untold(void);
extern int	replication_shared_place(int group, const VdbHost *host);
extern void replication_shared_free(int place);
extern void replication_shared_write(int place, const ReplicationHost *known);
extern ReplicationHost *replication_shared_hosts(int *count);
extern ReplicationHost *replication_shared_group(int group, int *count);
extern void replication_shared_own_host(char *host);
extern int64 replication_shared_lease(void);
extern void replication_shared_set_lease(int64 began);

/* functions in replication_self.c */
extern void replication_self_read(ReplicationState *state);
extern bool replication_self_is_in_the_way(void);

/* functions in replication_probe.c */
extern bool replication_probe_is_pending(const ReplicationProbe *probe);
extern void replication_probe_begin(ReplicationProbe *probe);
extern void replication_probe_advance(ReplicationProbe *probe);
extern void replication_probe_fail(ReplicationProbe *probe, const char *why);
extern void replication_probe_close(ReplicationProbe *probe);
extern void replication_probe_tell(const char *groups, const char *timelines);
extern int	replication_probe_hold(List *probes, int group, int ms);
extern int	replication_probe_untold(List *probes);

/* functions in replication_group.c */
extern ReplicationGroup *replication_group_find(int group);
extern void replication_group_forget(List *probes);

/* functions in replication_pace.c */
extern void replication_pace_hear(List *probes);
extern void replication_pace_want(List *probes, int group);
extern void replication_pace_hold(List *probes, int group, int ms);
extern long replication_pace_ask(List *probes);

/* functions in replication_lag.c */
extern void replication_lag_note(int group, XLogRecPtr flushed);
extern void replication_lag_measure(ReplicationHost *host);

/* functions in replication_worker.c */
extern void replication_worker_init(void);

/* functions in replication_hosts.c */
extern void replication_hosts_init(void);
extern ReplicationHost *replication_hosts_leader(ReplicationHost *hosts,
												 int count, int group);
extern ReplicationHost *replication_hosts_find(ReplicationHost *hosts,
											   int count, int group,
											   const char *name);
extern char *replication_hosts_name(const ReplicationHost *host);

/* functions in replication_read.c */
extern void replication_read_init(void);

/* functions in replication_balance.c */
extern void replication_balance_init(void);
extern List *replication_balance(List *hosts);

/* functions in replication_token.c */
extern void replication_token_init(void);
extern XLogRecPtr replication_token_get(int group);

/* functions in replication_lease.c */
extern void replication_lease_check(int lease_ms, int wait_ms);

/* functions in replication_fence.c */
extern void replication_fence_check_plan(const PlannedStmt *stmt, int eflags);
extern void replication_fence_check_utility(Node *statement);

/* functions in replication_write.c */
extern void replication_write_init(void);
extern bool replication_write_begin_prepared(Node *statement);
extern void replication_write_end_prepared(void);

/* functions in replication_patroni.c */

/* What Patroni answered */
typedef struct ReplicationAnswer
{
	long		status;			/* of HTTP; 0: there was no answer */
	char	   *body;
	Jsonb	   *json;			/* NULL: the body is something else */
} ReplicationAnswer;

extern ReplicationAnswer *replication_patroni_ask(const char *url,
												  const char *method,
												  const char *path,
												  const char *body,
												  TimestampTz deadline);
extern ReplicationAnswer *replication_patroni_try(const char *url,
												  const char *method,
												  const char *path,
												  const char *body,
												  TimestampTz deadline);
extern char *replication_patroni_text(ReplicationAnswer *answer,
									  const char *key, const char *subkey);

#endif							/* REPLICATION_PRIVATE_H */
