/*-------------------------------------------------------------------------
 *
 * replication_leader.c
 *	  Leadership: hand it over, give it up, keep it from changing.
 *
 * Patroni does it; what is checked here is checked before it is asked, and
 * what it refuses is passed on in its own words.  Afterwards we wait until the
 * prober has seen what was asked for.
 *
 * IDENTIFICATION
 *	  src/replication/replication_leader.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/wait_event.h"

#include "replication_private.h"

#define WAIT_MS 100

/* How long Patroni of a host may take to say whether it is in failsafe mode */
#define FAILSAFE_MS 2000

/* How long all nodes may take to hold requests, and a look at whether it is so */
#define TELL_MS 500
#define DRAIN_MS 10

/* Waits until other nodes have no transaction at the leader, for a second */
#define DRAIN \
	"DO $$ BEGIN FOR i IN 1 .. 50 LOOP" \
	" PERFORM pg_catalog.pg_stat_clear_snapshot();" \
	" EXIT WHEN NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity" \
	"  WHERE application_name OPERATOR(pg_catalog.~) '^vecdb [0-9]+:'" \
	"  AND xact_start IS NOT NULL" \
	"  AND pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid());" \
	" PERFORM pg_catalog.pg_sleep(0.02); END LOOP; END $$"

/* A group whose leadership is to change */
typedef struct Leadership
{
	int			group;
	ReplicationHost *hosts;		/* of the group */
	int			count;
	ReplicationHost *leader;
	ReplicationHost *candidate; /* NULL: any */
	TimestampTz deadline;
} Leadership;

static void begin_change(Leadership *l, int group, int seconds);
static void find_leader(Leadership *l);
static void find_candidate(Leadership *l, const char *name);
static const char *why_not(const Leadership *l, const ReplicationHost *host);
static void require_some_candidate(const Leadership *l);
static char *switch_over(Leadership *l);
static void wait_for_failsafe(Leadership *l);
static bool in_failsafe(const Leadership *l, const ReplicationHost *host);
static void hold_requests(Leadership *l);
static void let_go(Leadership *l);
static char *ask_name(Leadership *l, const ReplicationHost *host);
static char *wait_for_leader(Leadership *l);
static bool set_paused(int group, bool paused, int seconds);
static ReplicationHost *find_patroni(Leadership *l);
static void wait_for_pause(Leadership *l, bool paused);
static void require_success(const ReplicationAnswer *answer,
							const char *what, int group);
static void nap(const Leadership *l, const char *what);

VDB_FUNCTION(vecdb_transfer_leadership);
VDB_FUNCTION(vecdb_step_down);
VDB_FUNCTION(vecdb_enter_maintenance);
VDB_FUNCTION(vecdb_exit_maintenance);

/* vecdb.transfer_leadership(): a host of a group becomes its primary */
Datum
vecdb_transfer_leadership(PG_FUNCTION_ARGS)
{
	Leadership	l;

	begin_change(&l, PG_GETARG_INT32(0), PG_GETARG_INT32(2));
	find_leader(&l);
	find_candidate(&l, text_to_cstring(PG_GETARG_TEXT_PP(1)));
	if (l.candidate == l.leader)
	{
		ereport(NOTICE,
				(errmsg("host \"%s\" leads group %d already",
						replication_hosts_name(l.leader), l.group)));
		PG_RETURN_TEXT_P(cstring_to_text(replication_hosts_name(l.leader)));
	}
	PG_RETURN_TEXT_P(cstring_to_text(switch_over(&l)));
}

/* vecdb.step_down(): another host of a group becomes its primary */
Datum
vecdb_step_down(PG_FUNCTION_ARGS)
{
	Leadership	l;

	begin_change(&l, PG_GETARG_INT32(0), PG_GETARG_INT32(1));
	find_leader(&l);
	require_some_candidate(&l);
	PG_RETURN_TEXT_P(cstring_to_text(switch_over(&l)));
}

/* vecdb.enter_maintenance(): Patroni lets a group alone */
Datum
vecdb_enter_maintenance(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(set_paused(PG_GETARG_INT32(0), true, PG_GETARG_INT32(1)));
}

/* vecdb.exit_maintenance(): Patroni looks after it again */
Datum
vecdb_exit_maintenance(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(set_paused(PG_GETARG_INT32(0), false, PG_GETARG_INT32(1)));
}

/* What is known of the group; ERRORs if there is none */
static void
begin_change(Leadership *l, int group, int seconds)
{
	memset(l, 0, sizeof(Leadership));
	if (seconds < 1 || seconds > 3600)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cannot wait for %d seconds", seconds),
				 errdetail("It has to be between 1 and 3600.")));
	if (vdb_catalog_cluster() == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("this database is not a member of a cluster")));
	if (vdb_catalog_group(group) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("group %d does not exist", group)));
	l->group = group;
	l->deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
											  seconds * 1000L);
	l->hosts = replication_shared_group(group, &l->count);
	if (l->hosts == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("this node does not know the hosts of group %d", group),
				 errdetail("The prober does not run."),
				 errhint("Check that vecdb is in shared_preload_libraries, and look into the server's log.")));
}

static void
find_leader(Leadership *l)
{
	l->leader = replication_hosts_leader(l->hosts, l->count, l->group);
	if (l->leader == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("group %d has no leader that this node sees", l->group),
				 errhint("See vecdb.hosts.  Patroni elects one when enough hosts are there.")));
}

/* The host that is to lead; an ERROR if it is none or cannot */
static void
find_candidate(Leadership *l, const char *name)
{
	const char *why;

	l->candidate = replication_hosts_find(l->hosts, l->count, l->group, name);
	if (l->candidate == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("group %d has no host \"%s\"", l->group, name),
				 errhint("See vecdb.hosts.")));
	if (l->candidate == l->leader)
		return;
	why = why_not(l, l->candidate);
	if (why)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("host \"%s\" cannot lead group %d",
						replication_hosts_name(l->candidate), l->group),
				 errdetail("It %s.", why),
				 errhint("Wait until it has caught up, or name another host; see vecdb.hosts.")));
}

/* Why a host cannot lead; NULL if it can */
static const char *
why_not(const Leadership *l, const ReplicationHost *host)
{
	if (!host->is_up)
		return host->error[0] ? psprintf("does not answer: %s", host->error) :
			"has not answered yet";
	if (host->foreign)
		return host->error;
	if (host->is_outdated)
		return "is an outdated primary";
	if (!host->state.in_recovery)
		return "is no standby";
	if (host->state.timeline != l->leader->state.timeline)
		return psprintf("is on timeline %u, and the leader on %u",
						host->state.timeline, l->leader->state.timeline);
	if (!host->state.streaming)
		return "receives nothing from the leader";
	if (host->lag_bytes < 0 || host->lag_bytes > REPLICATION_MAX_LAG)
		return psprintf("is " INT64_FORMAT " bytes behind the leader, and at most %d are allowed",
						host->lag_bytes, REPLICATION_MAX_LAG);
	return NULL;
}

/* An ERROR if no host could lead in the leader's place */
static void
require_some_candidate(const Leadership *l)
{
	StringInfoData why;

	initStringInfo(&why);
	for (int i = 0; i < l->count; i++)
	{
		const char *reason;

		if (&l->hosts[i] == l->leader)
			continue;
		reason = why_not(l, &l->hosts[i]);
		if (reason == NULL)
			return;
		appendStringInfo(&why, "%sHost \"%s\" %s.", why.len > 0 ? "\n" : "",
						 replication_hosts_name(&l->hosts[i]), reason);
	}
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("group %d has no host that could lead it instead",
					l->group),
			 errdetail_internal("%s", why.len > 0 ? why.data :
								"The leader is its only host."),
			 errhint("See vecdb.hosts.")));
}

/* Have Patroni do it; returns who leads then */
static char *
switch_over(Leadership *l)
{
	char	   *leader = ask_name(l, l->leader);
	StringInfoData body;
	ReplicationAnswer *answer;

	initStringInfo(&body);
	appendStringInfoString(&body, "{\"leader\": ");
	escape_json(&body, leader);
	if (l->candidate)
	{
		appendStringInfoString(&body, ", \"candidate\": ");
		escape_json(&body, ask_name(l, l->candidate));
	}
	appendStringInfoChar(&body, '}');
	wait_for_failsafe(l);
	if (l->leader->is_self)
		ereport(NOTICE,
				(errmsg("this session ends when this host ceases to lead")));
	PG_TRY();
	{
		hold_requests(l);
		answer = replication_patroni_ask(l->leader->state.patroni_url, "POST",
										 "/switchover", body.data,
										 l->deadline);
		require_success(answer, "change the leader of", l->group);
		leader = wait_for_leader(l);
	}
	PG_CATCH();
	{
		let_go(l);
		PG_RE_THROW();
	}
	PG_END_TRY();
	return leader;
}

/*
 * Wait until no host believes the leader without asking etcd
 *
 * While Patroni cannot reach etcd the leader asks the others, and they believe
 * it for "ttl" from then on, also when etcd is back and the leader has given
 * its lead away.  A change meanwhile leaves the group without a leader.
 */
static void
wait_for_failsafe(Leadership *l)
{
	bool		told = false;

	for (int i = 0; i < l->count; i++)
	{
		while (in_failsafe(l, &l->hosts[i]))
		{
			if (!told)
				ereport(NOTICE,
						(errmsg("waiting until Patroni's failsafe mode is over in group %d",
								l->group),
						 errdetail("Its hosts could not reach etcd a short time ago, and none of them would take over.")));
			told = true;
			nap(l, psprintf("Patroni of host \"%s\" is in failsafe mode: etcd is out of reach, or was a short time ago.",
							replication_hosts_name(&l->hosts[i])));
		}
	}
}

/* Does Patroni of a host say that it is in failsafe mode? */
static bool
in_failsafe(const Leadership *l, const ReplicationHost *host)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													   FAILSAFE_MS);
	ReplicationAnswer *answer;
	char	   *active;

	if (!host->is_up || host->foreign || host->state.patroni_url[0] == '\0')
		return false;
	answer = replication_patroni_try(host->state.patroni_url, "GET",
									 "/patroni", NULL,
									 Min(deadline, l->deadline));
	if (answer->status == 0 && GetCurrentTimestamp() >= l->deadline)
		nap(l, psprintf("Patroni of host \"%s\" has not said whether it is in failsafe mode.",
						replication_hosts_name(host)));
	active = answer->status != 0 && answer->body[0] == '{' ?
		replication_patroni_text(answer, "failsafe_mode_is_active", NULL) : NULL;
	return active && strcmp(active, "true") == 0;
}

/*
 * Have all nodes hold requests to the group, and wait for those under way
 *
 * Not for long: what is not over by then fails.  The checkpoint comes before,
 * so that the one of the shutdown, during which nobody is served, is short.
 * The hold ends when the prober of each node sees the new leader.
 */
static void
hold_requests(Leadership *l)
{
	TimestampTz told_by;

	if (replication_hold_timeout == 0)
		return;
	vdb_remote_run_on(l->leader->host, l->leader->port,
					  psprintf("SET statement_timeout = %ld; CHECKPOINT",
							   Max(TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
																   l->deadline), 1)));
	vdb_remote_hold(l->group, replication_hold_timeout);
	replication_shared_tell_hold(l->group, replication_hold_timeout);
	told_by = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), TELL_MS);
	while (replication_shared_untold() > 0 && GetCurrentTimestamp() < told_by)
	{
		if (WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					  DRAIN_MS, PG_WAIT_EXTENSION) & WL_LATCH_SET)
			ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	vdb_remote_run_on(l->leader->host, l->leader->port, DRAIN);
}

/* They need not be held any more: the leader has not changed */
static void
let_go(Leadership *l)
{
	if (replication_hold_timeout == 0)
		return;
	vdb_remote_hold(l->group, 0);
	replication_shared_tell_hold(l->group, 0);
}

/* What Patroni calls a host */
static char *
ask_name(Leadership *l, const ReplicationHost *host)
{
	ReplicationAnswer *answer;
	char	   *name;

	if (host->state.patroni_url[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the address of Patroni's REST API is not known for host \"%s\"",
						replication_hosts_name(host)),
				 errhint("Set vecdb.patroni_url there.")));
	answer = replication_patroni_ask(host->state.patroni_url, "GET",
									 "/patroni", NULL, l->deadline);
	name = answer->body[0] == '{' ?
		replication_patroni_text(answer, "patroni", "name") : NULL;
	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_PROTOCOL_VIOLATION),
				 errmsg("\"%s/patroni\" does not answer as Patroni does",
						host->state.patroni_url),
				 errdetail("Its answer has the status %ld, and no name in it.",
						   answer->status),
				 errhint("Set vecdb.patroni_url of that host to the address of Patroni 4.1 or newer.")));
	return name;
}

/* Wait until another host leads */
static char *
wait_for_leader(Leadership *l)
{
	uint64		before = l->leader->state.instance;
	char	   *wanted = l->candidate ?
	replication_hosts_name(l->candidate) : NULL;

	for (;;)
	{
		int			count;
		ReplicationHost *hosts = replication_shared_group(l->group, &count);
		ReplicationHost *leader = hosts == NULL ? NULL :
		replication_hosts_leader(hosts, count, l->group);

		if (leader && leader->state.instance != before)
		{
			char	   *name = replication_hosts_name(leader);

			if (wanted && strcmp(name, wanted) != 0)
				ereport(WARNING,
						(errmsg("host \"%s\" leads group %d, and not \"%s\"",
								name, l->group, wanted)));
			return name;
		}
		if (hosts)
			pfree(hosts);
		nap(l, "Patroni has been told to change the leader, and no new one was seen in time.");
	}
}

/* Set or end Patroni's pause; returns false if it was so already */
static bool
set_paused(int group, bool paused, int seconds)
{
	Leadership	l;
	ReplicationHost *host;
	ReplicationAnswer *answer;
	char	   *now;

	begin_change(&l, group, seconds);
	host = find_patroni(&l);
	answer = replication_patroni_ask(host->state.patroni_url, "GET", "/config",
									 NULL, l.deadline);
	require_success(answer, "show the configuration of", group);
	now = replication_patroni_text(answer, "pause", NULL);
	if (paused == (now && strcmp(now, "true") == 0))
	{
		ereport(NOTICE,
				(errmsg(paused ? "group %d is in maintenance already" :
						"group %d is not in maintenance", group)));
		return false;
	}
	answer = replication_patroni_ask(host->state.patroni_url, "PATCH",
									 "/config", paused ? "{\"pause\": true}" :
									 "{\"pause\": null}", l.deadline);
	require_success(answer, paused ? "begin the maintenance of" :
					"end the maintenance of", group);
	wait_for_pause(&l, paused);
	return true;
}

/* A host of the group whose Patroni can be asked: any will do */
static ReplicationHost *
find_patroni(Leadership *l)
{
	ReplicationHost *found = NULL;

	for (int i = 0; i < l->count; i++)
	{
		ReplicationHost *host = &l->hosts[i];

		if (host->foreign || host->state.patroni_url[0] == '\0')
			continue;
		if (found == NULL || host->is_leader ||
			(host->is_up && !found->is_up))
			found = host;
	}
	if (found == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the address of Patroni's REST API is not known for any host of group %d",
						l->group),
				 errhint("Set vecdb.patroni_url on each of them.")));
	return found;
}

/* Wait until the Patroni of each host that is up has taken notice */
static void
wait_for_pause(Leadership *l, bool paused)
{
	for (int i = 0; i < l->count; i++)
	{
		ReplicationHost *host = &l->hosts[i];

		if (!host->is_up || host->foreign ||
			host->state.patroni_url[0] == '\0')
			continue;
		for (;;)
		{
			ReplicationAnswer *answer;
			char	   *now;

			answer = replication_patroni_ask(host->state.patroni_url, "GET",
											 "/patroni", NULL, l->deadline);
			now = answer->body[0] == '{' ?
				replication_patroni_text(answer, "pause", NULL) : NULL;
			if (paused == (now && strcmp(now, "true") == 0))
				break;
			nap(l, psprintf("The setting is changed, and Patroni at \"%s\" has not taken notice in time.",
							host->state.patroni_url));
		}
	}
}

/* Pass on what Patroni says if it refuses */
static void
require_success(const ReplicationAnswer *answer, const char *what, int group)
{
	bool		denied = answer->status == 401 || answer->status == 403;

	if (answer->status >= 200 && answer->status < 300)
		return;
	ereport(ERROR,
			(errcode(denied ? ERRCODE_INSUFFICIENT_PRIVILEGE :
					 ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("Patroni refuses to %s group %d", what, group),
			 errdetail("Its answer, with status %ld, is: %s", answer->status,
					   answer->body[0] ? answer->body : "(nothing)"),
			 denied ? errhint("The file that vecdb.patroni_auth names says how to log in.") : 0));
}

/* Wait a little; an ERROR if that was too long */
static void
nap(const Leadership *l, const char *what)
{
	if (GetCurrentTimestamp() >= l->deadline)
		ereport(ERROR,
				(errcode(ERRCODE_OPERATOR_INTERVENTION),
				 errmsg("group %d is not yet as it should be", l->group),
				 errdetail_internal("%s", what),
				 errhint("See vecdb.groups and vecdb.hosts; it may still happen.")));
	if (WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
				  WAIT_MS, PG_WAIT_EXTENSION) & WL_LATCH_SET)
		ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}
