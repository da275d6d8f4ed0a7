/*-------------------------------------------------------------------------
 *
 * replication_probe.c
 *	  The prober's conversation with one host.
 *
 * A connection is kept, and the same prepared question is asked each time.
 * Nothing here waits: the prober waits for all hosts at once, and calls
 * replication_probe_advance() for those whose socket is ready.  A host that
 * fails is connected to anew at the next turn.
 *
 * The prober's own server may be one of the hosts, by whatever name: it is
 * recognized by a number that each start of a server has for itself, and is
 * asked by function call from then on.
 *
 * IDENTIFICATION
 *	  src/replication/replication_probe.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/pg_lsn.h"

#include "vecdb/remote.h"

#include "replication_private.h"

#define STATEMENT "vecdb_probe"

/* The part of the newest measurement in the average of latencies */
#define LATENCY_WEIGHT 0.2

/* Answers are read by the place of their columns */
#define QUERY \
	"SELECT cluster_id, group_id, instance, system_identifier, in_recovery," \
	" streaming, timeline, flushed, replayed, sync_required, sync_standbys," \
	" epoch, patroni_url, zone FROM vecdb.node_state($1, $2)"

#define HOLD "SELECT vecdb.hold_group($1, $2)"

/* What the host is told, as arrays in text */
static const char *told_groups = "{}";
static const char *told_timelines = "{}";

/* The hold that hosts are told of, and until when */
static int	told_hold;
static TimestampTz told_until;

static void connect_to(ReplicationProbe *probe);
static void prepare(ReplicationProbe *probe);
static void ask(ReplicationProbe *probe);
static void ask_self(ReplicationProbe *probe);
static void tell_hold(ReplicationProbe *probe);
static void look_at_idle(ReplicationProbe *probe);
static void go_on(ReplicationProbe *probe, bool prepared);
static void ignore_notice(void *arg, const PGresult *res);
static void read_results(ReplicationProbe *probe);
static char *take_result(ReplicationProbe *probe, PGresult *res);
static void read_state(ReplicationState *state, const PGresult *res);
static void take_state(ReplicationProbe *probe, const ReplicationState *state);
static void note_promotion(ReplicationHost *known,
						   const ReplicationState *state);
static const char *refuse(const ReplicationProbe *probe,
						  const ReplicationState *state);
static void set_deadline(ReplicationProbe *probe);

/* replication_probe_tell -- what hosts are told from now on; not copied */
void
replication_probe_tell(const char *groups, const char *timelines)
{
	told_groups = groups;
	told_timelines = timelines;
}

/* replication_probe_is_pending -- is an answer waited for? */
bool
replication_probe_is_pending(const ReplicationProbe *probe)
{
	return probe->state != PROBE_CLOSED && probe->state != PROBE_READY;
}

/* replication_probe_begin -- a new turn, unless the last one is under way */
void
replication_probe_begin(ReplicationProbe *probe)
{
	if (probe->known.is_self)
		ask_self(probe);
	else if (probe->state == PROBE_CLOSED)
		connect_to(probe);
	else if (probe->state == PROBE_READY)
		ask(probe);
}

/*
 * replication_probe_hold -- have all hosts told to hold requests to a group
 *
 * Returns how many have to answer to that; our own server need not be told.
 */
int
replication_probe_hold(List *probes, int group, int ms)
{
	ListCell   *lc;

	told_hold = group;
	told_until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ms);
	foreach(lc, probes)
	{
		ReplicationProbe *probe = lfirst(lc);

		probe->told = probe->known.is_self || probe->pg == NULL;
		if (!probe->told && probe->state == PROBE_READY)
			tell_hold(probe);
	}
	return replication_probe_untold(probes);
}

/* replication_probe_untold -- how many have not answered yet */
int
replication_probe_untold(List *probes)
{
	ListCell   *lc;
	int			count = 0;

	foreach(lc, probes)
	{
		ReplicationProbe *probe = lfirst(lc);

		if (!probe->told || probe->state == PROBE_TELLING)
			count++;
	}
	return count;
}

/* replication_probe_advance -- the socket is ready for what was waited for */
void
replication_probe_advance(ReplicationProbe *probe)
{
	if (probe->state == PROBE_CLOSED)
		return;
	if (probe->state == PROBE_READY)
	{
		look_at_idle(probe);
		return;
	}
	if (probe->state != PROBE_CONNECTING)
	{
		read_results(probe);
		return;
	}
	probe->polling = PQconnectPoll(probe->pg);
	if (probe->polling == PGRES_POLLING_FAILED)
		replication_probe_fail(probe, PQerrorMessage(probe->pg));
	else if (probe->polling == PGRES_POLLING_OK)
		prepare(probe);
}

/* replication_probe_fail -- the host did not answer as it should */
void
replication_probe_fail(ReplicationProbe *probe, const char *why)
{
	int			length = strlen(why);

	while (length > 0 && why[length - 1] == '\n')
		length--;
	probe->heard = true;
	probe->told = true;
	probe->known.failed_at = GetCurrentTimestamp();
	snprintf(probe->known.error, REPLICATION_ERROR_SIZE, "%.*s", length, why);
	/* on one line, as it is shown in tables */
	for (char *c = probe->known.error; *c; c++)
		*c = *c == '\n' || *c == '\t' ? ' ' : *c;
	replication_probe_close(probe);
	replication_shared_write(probe->place, &probe->known);
	if (!probe->complained)
		ereport(LOG,
				(errmsg("host \"%s:%d\" of group %d does not answer",
						probe->host.host, probe->host.port, probe->group),
				 errdetail_internal("%s", probe->known.error)));
	probe->complained = true;
}

/* replication_probe_close -- end the connection, if there is one */
void
replication_probe_close(ReplicationProbe *probe)
{
	if (probe->pg)
		vdb_remote_end_connect(probe->pg);
	probe->pg = NULL;
	probe->state = PROBE_CLOSED;
}

static void
connect_to(ReplicationProbe *probe)
{
	set_deadline(probe);
	probe->pg = vdb_remote_begin_connect(probe->host.host, probe->host.port);
	probe->state = PROBE_CONNECTING;
	probe->polling = PGRES_POLLING_WRITING;
	PQsetNoticeReceiver(probe->pg, ignore_notice, NULL);
	if (PQstatus(probe->pg) == CONNECTION_BAD)
		replication_probe_fail(probe, PQerrorMessage(probe->pg));
}

/* The error says why, when the connection ends */
static void
ignore_notice(void *arg, const PGresult *res)
{
}

static void
prepare(ReplicationProbe *probe)
{
	const Oid	types[2] = {INT4ARRAYOID, INT4ARRAYOID};

	probe->state = PROBE_PREPARING;
	probe->polling = PGRES_POLLING_READING;
	if (PQsetnonblocking(probe->pg, 1) != 0 ||
		!PQsendPrepare(probe->pg, STATEMENT, QUERY, 2, types) ||
		PQflush(probe->pg) < 0)
		replication_probe_fail(probe, PQerrorMessage(probe->pg));
}

/* The question is short: it is sent, or the socket's buffer is full of others */
static void
ask(ReplicationProbe *probe)
{
	const char *values[2] = {told_groups, told_timelines};

	set_deadline(probe);
	probe->again = false;
	probe->state = PROBE_ASKING;
	probe->polling = PGRES_POLLING_READING;
	if (!PQsendQueryPrepared(probe->pg, STATEMENT, 2, values, NULL, NULL, 0) ||
		PQflush(probe->pg) < 0)
		replication_probe_fail(probe, PQerrorMessage(probe->pg));
}

/* Tell a host for how long requests to a group are held */
static void
tell_hold(ReplicationProbe *probe)
{
	long		ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
													 told_until);
	char	   *group = psprintf("%d", told_hold);
	char	   *left = psprintf("%ld", ms);
	const char *const values[2] = {group, left};
	static const Oid types[2] = {INT4OID, INT4OID};

	set_deadline(probe);
	probe->told = true;
	probe->state = PROBE_TELLING;
	probe->polling = PGRES_POLLING_READING;
	if (!PQsendQueryParams(probe->pg, HOLD, 2, types, values, NULL, NULL, 0) ||
		PQflush(probe->pg) < 0)
		replication_probe_fail(probe, PQerrorMessage(probe->pg));
}

/* Nothing is under way: it is the end of the connection, or soon will be */
static void
look_at_idle(ReplicationProbe *probe)
{
	if (!PQconsumeInput(probe->pg) || PQisBusy(probe->pg) ||
		PQstatus(probe->pg) == CONNECTION_BAD)
		replication_probe_fail(probe, PQerrorMessage(probe->pg));
}

/* Ask our own server */
static void
ask_self(ReplicationProbe *probe)
{
	ReplicationState state;

	probe->began = GetCurrentTimestamp();
	probe->again = false;
	replication_self_read(&state);
	take_state(probe, &state);
}

/* Read what has come; goes on when all has */
static void
read_results(ReplicationProbe *probe)
{
	bool		prepared = probe->state == PROBE_PREPARING;

	if (!PQconsumeInput(probe->pg) || PQflush(probe->pg) < 0)
	{
		replication_probe_fail(probe, PQerrorMessage(probe->pg));
		return;
	}
	while (!PQisBusy(probe->pg))
	{
		PGresult   *res = PQgetResult(probe->pg);
		char	   *why;

		if (res == NULL)
		{
			probe->state = PROBE_READY;
			break;
		}
		/* one that knows of no holds is not worse a host for that */
		why = probe->state == PROBE_TELLING ? NULL : take_result(probe, res);
		PQclear(res);
		if (why)
		{
			replication_probe_fail(probe, why);
			return;
		}
	}
	if (probe->state == PROBE_READY)
		go_on(probe, prepared);
}

/* All has been answered: what comes next? */
static void
go_on(ReplicationProbe *probe, bool prepared)
{
	if (probe->known.is_self)
	{
		probe->told = true;
		replication_probe_close(probe);
	}
	else if (prepared)
		ask(probe);
	else if (!probe->told)
		tell_hold(probe);
	else if (probe->again)
		ask(probe);
}

/* Take an answer; returns what was wrong with it, or NULL */
static char *
take_result(ReplicationProbe *probe, PGresult *res)
{
	ReplicationState state;

	if (PQresultStatus(res) == PGRES_COMMAND_OK)
		return NULL;
	if (PQresultStatus(res) != PGRES_TUPLES_OK)
		return pstrdup(PQresultErrorMessage(res));
	if (PQntuples(res) != 1 || PQnfields(res) != 14)
		return pstrdup("the answer is not what was asked for");
	read_state(&state, res);
	take_state(probe, &state);
	return NULL;
}

/* Read what a node says of itself */
static void
read_state(ReplicationState *state, const PGresult *res)
{
	const char *values[14];

	for (int i = 0; i < 14; i++)
		values[i] = PQgetvalue(res, 0, i);
	memset(state, 0, sizeof(ReplicationState));
	state->in_cluster = !PQgetisnull(res, 0, 0);
	if (state->in_cluster)
		state->cluster_id = *DatumGetUUIDP(DirectFunctionCall1(uuid_in,
															   CStringGetDatum(values[0])));
	state->group = atoi(values[1]);
	state->instance = strtoull(values[2], NULL, 10);
	state->system_identifier = strtoull(values[3], NULL, 10);
	state->in_recovery = values[4][0] == 't';
	state->streaming = values[5][0] == 't';
	state->timeline = strtoul(values[6], NULL, 10);
	state->flushed = DatumGetLSN(DirectFunctionCall1(pg_lsn_in,
													 CStringGetDatum(values[7])));
	state->replayed = DatumGetLSN(DirectFunctionCall1(pg_lsn_in,
													  CStringGetDatum(values[8])));
	state->sync_required = atoi(values[9]);
	state->sync_standbys = atoi(values[10]);
	state->epoch = strtoll(values[11], NULL, 10);
	strlcpy(state->patroni_url, values[12], REPLICATION_URL_SIZE);
	strlcpy(state->zone, values[13], REPLICATION_ZONE_SIZE);
}

/* Note what a node says, and what follows from it */
static void
take_state(ReplicationProbe *probe, const ReplicationState *state)
{
	ReplicationHost *known = &probe->known;
	TimestampTz now = GetCurrentTimestamp();
	double		ms = (now - probe->began) / 1000.0;
	const char *why = refuse(probe, state);
	bool		is_back = why == NULL && known->failed_at > known->seen_at;

	probe->heard = true;
	probe->asked_at = probe->began;
	known->is_self = state->instance == replication_shared_instance();
	note_promotion(known, state);
	known->state = *state;
	known->foreign = why != NULL;
	known->latency_ms = known->seen_at == 0 ? ms :
		known->latency_ms + LATENCY_WEIGHT * (ms - known->latency_ms);
	known->seen_at = now;
	known->lag_bytes = known->lag_ms = -1;
	known->error[0] = '\0';
	if (why)
		strlcpy(known->error, why, REPLICATION_ERROR_SIZE);
	else
	{
		TimeLineID	highest = vdb_remote_saw_timeline(probe->group,
													  state->timeline);

		if (state->in_recovery)
			replication_lag_measure(known);
		else if (state->timeline == highest)
		{
			replication_lag_note(probe->group, state->flushed);
			known->led_at = now;
			known->led_timeline = state->timeline;
			known->led_to = state->flushed;
		}
		else
			snprintf(known->error, REPLICATION_ERROR_SIZE,
					 "is a primary on timeline %u, and the group is on %u",
					 state->timeline, highest);
	}
	replication_shared_write(probe->place, known);
	/* not each time: what keeps backends out need not concern the prober */
	if (is_back)
		vdb_remote_host_is_back(known->host, known->port);
	probe->complained = false;
}

/*
 * Was a standby promoted?  Note what it had of its timeline, at least
 *
 * That is where hosts that do not follow it yet are in its history, too.
 */
static void
note_promotion(ReplicationHost *known, const ReplicationState *state)
{
	const ReplicationState *before = &known->state;

	if (known->seen_at != 0 && before->instance == state->instance &&
		before->timeline == state->timeline &&
		before->in_recovery == state->in_recovery)
		return;
	known->left_timeline = 0;
	if (known->seen_at != 0 && before->instance == state->instance &&
		before->in_recovery && !state->in_recovery &&
		before->timeline < state->timeline)
	{
		known->left_timeline = before->timeline;
		known->left_at = before->replayed;
	}
}

/* Why the node that said this is not a host of the group; NULL if it is */
static const char *
refuse(const ReplicationProbe *probe, const ReplicationState *state)
{
	const VdbCluster *cluster = vdb_catalog_cluster();

	if (!state->in_cluster)
		return "the database there is not a member of a cluster";
	if (cluster == NULL ||
		memcmp(&state->cluster_id, &cluster->id, sizeof(pg_uuid_t)) != 0)
		return "is a member of another cluster";
	if (state->group != probe->group)
		return psprintf("is a member of group %d, and not of group %d",
						state->group, probe->group);
	if (probe->group == cluster->local_group &&
		state->system_identifier != GetSystemIdentifier())
		return psprintf("has other data than this server: its system identifier is "
						UINT64_FORMAT ", and not " UINT64_FORMAT,
						state->system_identifier, GetSystemIdentifier());
	return NULL;
}

/* What begins now has to end by then */
static void
set_deadline(ReplicationProbe *probe)
{
	probe->began = GetCurrentTimestamp();
	probe->deadline = TimestampTzPlusMilliseconds(probe->began,
												  REPLICATION_TIMEOUT_MS);
}
