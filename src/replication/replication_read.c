/*-------------------------------------------------------------------------
 *
 * replication_read.c
 *	  At which hosts of a group a statement may read.
 *
 * A standby is fit when it answers, has nothing that its primary has not, is
 * not further behind than vecdb.max_lag, and has replayed what this session has
 * committed (replication_token.c).  The first three are known from the prober.
 * Of the last the standby is asked where the prober cannot tell:
 * vecdb.begin_read() precedes the statement there and waits for it.
 *
 * Places in the WAL are compared on one timeline only.  A standby on an older
 * one may have replayed what the new primary never had.  It is fit only if it
 * has not replayed more than that primary had, when that was seen as a standby
 * of the same timeline.
 *
 * How far a standby is behind in time, at most: from the last time that its
 * primary was heard of, or, if it had not replayed all of that, from the time
 * at which the first of what it had not was heard of.  So a standby whose
 * primary cannot be reached by us is further behind with each second, since
 * that primary may still be written to.  A primary that came back as a standby
 * is remembered for what it was, until there is another.
 *
 * IDENTIFICATION
 *	  src/replication/replication_read.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "access/xlogrecovery.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "tcop/pquery.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/pg_lsn.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"
#include "utils/wait_event.h"

#include "replication_private.h"

/* From one look at what has been replayed to the next */
#define LOOK_MS 2

/* A value of vecdb.max_lag */
typedef struct MaxLag
{
	int64		ms;				/* -1: no limit in time */
	int64		bytes;			/* -1: no limit in WAL */
} MaxLag;

/* What is known of a group, for one choice */
typedef struct ReadGroup
{
	ReplicationHost *hosts;		/* NULL: nobody watches them */
	int			count;
	TimeLineID	timeline;		/* the highest that was seen; 0: none */
	const ReplicationHost *primary; /* or what was it last, on that timeline;
									 * NULL: none was heard of */
	XLogRecPtr	token;			/* what has to be replayed */
} ReadGroup;

int			replication_replay_timeout = 1000;
int			replication_read_lease = 1000;

static char *max_lag_text;
static MaxLag max_lag = {60000, -1};

static bool check_max_lag(char **value, void **extra, GucSource source);
static void assign_max_lag(const char *value, void *extra);
static List *choose_hosts(int group, VdbReadFrom level, StringInfo why);
static bool is_own_fit(VdbReadFrom level);
static bool is_down(int group, const VdbHost *host);
static void look_at_group(ReadGroup *g, int group);
static bool is_fit(const ReadGroup *g, const ReplicationHost *h,
				   StringInfo why);
static bool may_diverge(const ReadGroup *g, const ReplicationHost *h);
static bool is_near(const ReadGroup *g, const ReplicationHost *h,
					StringInfo why);
static void add_why(StringInfo why, const ReplicationHost *h,
					const char *text);
static VdbReadHost *make_host(const char *host, int port, char *check);
static void drop_snapshot(void);
static void wait_for_replay(XLogRecPtr lsn, int wait_ms);

VDB_FUNCTION(vecdb_begin_read);

/* replication_read_init -- define settings, and tell the remote room */
void
replication_read_init(void)
{
	DefineCustomStringVariable("vecdb.max_lag",
							   "Sets how far behind a standby may be that is read at.",
							   "A time such as 10s, an amount of WAL such as 16MB, or -1 for no limit.",
							   &max_lag_text, "60s", PGC_USERSET, 0,
							   check_max_lag, assign_max_lag, NULL);
	DefineCustomIntVariable("vecdb.replay_timeout",
							"Sets how long a read waits for a standby to replay what the session has committed.",
							NULL, &replication_replay_timeout, 1000, 0,
							600000, PGC_USERSET, GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("vecdb.read_lease",
							"Sets for how long a primary that had no successor is believed to have none.",
							"For vecdb.read_from = leased; with 0 each statement makes sure.",
							&replication_read_lease, 1000, 0,
							60000, PGC_USERSET, GUC_UNIT_MS,
							NULL, NULL, NULL);
	vdb_remote_choose_hosts = choose_hosts;
	vdb_remote_is_fit = is_own_fit;
	vdb_remote_is_down = is_down;
}

/* Is it a time, an amount of WAL, or -1? */
static bool
check_max_lag(char **value, void **extra, GucSource source)
{
	MaxLag		lag = {-1, -1};
	const char *last = *value + strlen(*value);
	const char *hint = NULL;
	bool		bytes;
	int			number;

	while (last > *value && isspace((unsigned char) last[-1]))
		last--;
	bytes = last > *value && last[-1] == 'B';
	if (strcmp(*value, "-1") != 0)
	{
		/* a number alone could be either */
		if (last == *value || !isalpha((unsigned char) last[-1]) ||
			!parse_int(*value, &number, bytes ? GUC_UNIT_KB : GUC_UNIT_MS,
					   &hint) || number < 0)
		{
			GUC_check_errdetail("It is a time with its unit, such as \"10s\", an amount of WAL with its unit, such as \"16MB\", or \"-1\" for no limit.");
			return false;
		}
		if (bytes)
			lag.bytes = (int64) number * 1024;
		else
			lag.ms = number;
	}
	*extra = vdb_guc_alloc(sizeof(MaxLag));
	if (*extra == NULL)
		return false;
	memcpy(*extra, &lag, sizeof(MaxLag));
	return true;
}

static void
assign_max_lag(const char *value, void *extra)
{
	memcpy(&max_lag, extra, sizeof(MaxLag));
}

/*
 * The hosts at which a statement may read a group's rows, the best first
 *
 * For the remote room.  "why" says why others may not be read at.
 */
static List *
choose_hosts(int group, VdbReadFrom level, StringInfo why)
{
	ReadGroup	g;
	List	   *fit = NIL;
	List	   *late = NIL;
	List	   *result = NIL;
	ListCell   *lc;
	bool		has_primary = false;

	if (level == VDB_READ_LEASED)
		return list_make1(make_host(NULL, 0,
									psprintf("CALL vecdb.begin_read(NULL, %d, %d)",
											 replication_replay_timeout,
											 replication_read_lease)));
	look_at_group(&g, group);
	if (g.count == 0)
		appendStringInfoString(why, "This server does not watch the hosts of the cluster yet.");
	for (int i = 0; i < g.count; i++)
	{
		ReplicationHost *h = &g.hosts[i];

		if (h->is_leader)
		{
			if (level == VDB_READ_ANY)
				fit = lappend(fit, h);
		}
		else if (!is_fit(&g, h, why) || g.token == PG_UINT64_MAX)
			continue;
		else if (h->state.replayed < g.token)
			late = lappend(late, h);
		else
			fit = lappend(fit, h);
	}
	foreach(lc, replication_balance(fit))
	{
		ReplicationHost *h = lfirst(lc);

		has_primary |= h->is_leader;
		result = lappend(result, h->is_leader ? make_host(NULL, 0, NULL) :
						 make_host(h->host, h->port, NULL));
	}
	if (!has_primary &&
		(level == VDB_READ_ANY || g.token == PG_UINT64_MAX))
		result = lappend(result, make_host(NULL, 0, NULL));
	foreach(lc, replication_balance(late))
	{
		ReplicationHost *h = lfirst(lc);

		result = lappend(result,
						 make_host(h->host, h->port,
								   psprintf("CALL vecdb.begin_read('%X/%X', %d, NULL)",
											LSN_FORMAT_ARGS(g.token),
											replication_replay_timeout)));
	}
	if (g.hosts)
		pfree(g.hosts);
	return result;
}

/*
 * May this server's rows be read as those of its group?
 *
 * For the remote room; not of the level "leader".
 */
static bool
is_own_fit(VdbReadFrom level)
{
	int			group = vdb_catalog_cluster()->local_group;
	StringInfoData why;
	ReadGroup	g;
	TimeLineID	timeline;
	XLogRecPtr	replayed;
	bool		fit;

	if (!RecoveryInProgress())
	{
		if (level == VDB_READ_LEASED)
			replication_lease_check(replication_read_lease,
									replication_replay_timeout);
		return level != VDB_READ_FOLLOWER;
	}
	if (level == VDB_READ_LEASED)
		return false;
	look_at_group(&g, group);
	replayed = GetXLogReplayRecPtr(&timeline);
	fit = timeline >= g.timeline && max_lag.ms < 0 && max_lag.bytes < 0;
	initStringInfo(&why);
	for (int i = 0; i < g.count; i++)
	{
		ReplicationHost *h = &g.hosts[i];

		if (!h->is_self)
			continue;
		/* we know better than the prober, which has asked a while ago */
		h->state.timeline = timeline;
		h->state.replayed = replayed;
		fit = is_fit(&g, h, &why);
	}
	pfree(why.data);
	if (g.hosts)
		pfree(g.hosts);
	return fit && g.token != PG_UINT64_MAX && replayed >= g.token;
}

/* Does a host not answer the prober?  For the remote room */
static bool
is_down(int group, const VdbHost *host)
{
	int			count;
	ReplicationHost *hosts = replication_shared_group(group, &count);
	bool		down = false;

	for (int i = 0; i < count && !down; i++)
		down = hosts[i].port == host->port &&
			strcmp(hosts[i].host, host->host) == 0 &&
			hosts[i].failed_at > hosts[i].seen_at;
	if (hosts)
		pfree(hosts);
	return down;
}

/* Gather what a choice among the hosts of a group needs */
static void
look_at_group(ReadGroup *g, int group)
{
	memset(g, 0, sizeof(ReadGroup));
	g->hosts = replication_shared_group(group, &g->count);
	g->timeline = vdb_remote_saw_timeline(group, 0);
	g->token = replication_token_get(group);
	for (int i = 0; i < g->count; i++)
	{
		ReplicationHost *h = &g->hosts[i];

		if (h->led_at != 0 && !h->foreign && h->led_timeline >= g->timeline &&
			(g->primary == NULL || h->led_at > g->primary->led_at))
			g->primary = h;
	}
}

/*
 * May a standby be read at, as far as the prober knows?
 *
 * If not, "why" gets a line.
 */
static bool
is_fit(const ReadGroup *g, const ReplicationHost *h, StringInfo why)
{
	if (!h->is_up || h->foreign || !h->state.in_recovery)
	{
		add_why(why, h, !h->is_up ? "does not answer" :
				h->foreign ? "is no member of the group" : "is a primary");
		return false;
	}
	if (may_diverge(g, h))
	{
		add_why(why, h, psprintf("is on timeline %u, and the group is on %u",
								 h->state.timeline, g->timeline));
		return false;
	}
	return is_near(g, h, why);
}

/* May a standby have replayed what the group's primary never had? */
static bool
may_diverge(const ReadGroup *g, const ReplicationHost *h)
{
	return h->state.timeline < g->timeline &&
		(g->primary == NULL ||
		 g->primary->left_timeline != h->state.timeline ||
		 g->primary->left_at < h->state.replayed);
}

/* Is a standby as near to its primary as vecdb.max_lag wants?  If not, "why" */
static bool
is_near(const ReadGroup *g, const ReplicationHost *h, StringInfo why)
{
	TimestampTz now = GetCurrentTimestamp();
	int64		lag;

	if (max_lag.ms < 0 && max_lag.bytes < 0)
		return true;
	if (g->primary == NULL)
	{
		add_why(why, h, "is behind by an unknown amount, as its primary was not heard of yet");
		return false;
	}
	if (max_lag.bytes >= 0)
	{
		lag = (int64) (g->primary->led_to - h->state.replayed);
		if (lag <= max_lag.bytes)
			return true;
		add_why(why, h, psprintf("is behind by " INT64_FORMAT " kB", lag / 1024));
		return false;
	}
	lag = Max(TimestampDifferenceMilliseconds(h->seen_at, now) +
			  Max(h->lag_ms, 0),
			  TimestampDifferenceMilliseconds(g->primary->led_at, now));
	if (lag <= max_lag.ms)
		return true;
	add_why(why, h, psprintf("may be behind by " INT64_FORMAT " ms", lag));
	return false;
}

/* Say why a host cannot be read at */
static void
add_why(StringInfo why, const ReplicationHost *h, const char *text)
{
	appendStringInfo(why, "%s%s: %s", why->len > 0 ? "\n" : "",
					 replication_hosts_name(h), text);
}

/* For the remote room: a host, or the primary if it is NULL */
static VdbReadHost *
make_host(const char *host, int port, char *check)
{
	VdbReadHost *result = palloc(sizeof(VdbReadHost));

	result->host = host ? pstrdup(host) : NULL;
	result->port = port;
	result->check = check;
	return result;
}

/*
 * vecdb.begin_read(): an ERROR if this server must not answer what follows
 *
 * For other nodes.  It has to have replayed the WAL up to "replayed", which is
 * waited for; or to be a primary that had no successor within "lease_ms".
 */
Datum
vecdb_begin_read(PG_FUNCTION_ARGS)
{
	int			wait_ms = PG_ARGISNULL(1) ? 0 : PG_GETARG_INT32(1);

	if (!vdb_catalog_local_mode())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("procedure vecdb.begin_read() can be called by other nodes only")));
	if (!PG_ARGISNULL(0))
		wait_for_replay(PG_GETARG_LSN(0), wait_ms);
	if (!PG_ARGISNULL(2))
		replication_lease_check(PG_GETARG_INT32(2), wait_ms);
	PG_RETURN_VOID();
}

/*
 * Wait until this server has replayed up to there, on the newest timeline that
 * it was told of
 *
 * Without a snapshot: replay may have to wait for that to go.
 */
static void
wait_for_replay(XLogRecPtr lsn, int wait_ms)
{
	TimestampTz end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
												  wait_ms);
	const VdbCluster *cluster = vdb_catalog_cluster();
	int			group = cluster ? cluster->local_group : 0;
	TimeLineID	newest;
	TimeLineID	timeline;
	XLogRecPtr	reached;

	drop_snapshot();
	for (;;)
	{
		newest = timeline = vdb_remote_saw_timeline(group, 0);
		reached = RecoveryInProgress() ? GetXLogReplayRecPtr(&timeline) :
			GetXLogInsertRecPtr();
		if (reached >= lsn && timeline >= newest)
			return;
		if (GetCurrentTimestamp() >= end)
			break;
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 LOOK_MS, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	ereport(ERROR,
			(errcode(VDB_ERRCODE_UNFIT),
			 errmsg("this server does not have yet what the session has committed"),
			 timeline < newest ?
			 errdetail("It is on timeline %u, and its group is on %u.",
					   timeline, newest) :
			 errdetail("It has replayed the WAL up to %X/%X, and not up to %X/%X within %d ms.",
					   LSN_FORMAT_ARGS(reached), LSN_FORMAT_ARGS(lsn),
					   wait_ms),
			 errhint("Raise vecdb.replay_timeout, or set vecdb.read_from to any or leader.")));
}

/*
 * Let go of the snapshot that CALL was given
 *
 * Its portal expects that commands may do so, and takes a new one for what
 * follows.  Where somebody else has one, as a function that calls, it stays.
 */
static void
drop_snapshot(void)
{
	if (ActivePortal && ActivePortal->portalSnapshot &&
		ActiveSnapshotSet() &&
		GetActiveSnapshot() == ActivePortal->portalSnapshot)
		PopActiveSnapshot();
	InvalidateCatalogSnapshot();
}
