/*-------------------------------------------------------------------------
 *
 * replication_hosts.c
 *	  What is done with what is known of hosts: order them, show them.
 *
 * IDENTIFICATION
 *	  src/replication/replication_hosts.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/pg_lsn.h"
#include "utils/tuplestore.h"

#include "replication_private.h"

#define HOST_COLUMNS 25

static int	rank_host(ReplicationHost *known);
static ReplicationHost *find_known(ReplicationHost *hosts, int count,
								   const VdbHost *host);
static void put_host(ReturnSetInfo *rsinfo, ReplicationHost *h);
static const char *name_state(const ReplicationHost *h);
static const char *name_role(const ReplicationHost *h);
static Datum make_interval_ms(double ms);

VDB_FUNCTION(vecdb_show_hosts);
VDB_FUNCTION(vecdb_has_prober);

/* replication_hosts_init -- tell the remote room whom to ask */
void
replication_hosts_init(void)
{
	vdb_remote_order_hosts = vdb_replication_order_hosts;
	vdb_remote_want_leader = replication_shared_nudge;
}

/* vdb_replication_order_hosts -- see vecdb/replication.h */
int
vdb_replication_order_hosts(int group, VdbHost *hosts, int *numbers,
							int count, StringInfo refused)
{
	int			known_count;
	ReplicationHost *known = replication_shared_group(group, &known_count);
	int		   *ranks = palloc(sizeof(int) * Max(count, 1));
	int			left = 0;

	if (known == NULL)
	{
		/* somebody needs one */
		replication_shared_request(MyDatabaseId, 1);
		return count;
	}
	for (int i = 0; i < count; i++)
	{
		ReplicationHost *h = find_known(known, known_count, &hosts[i]);
		VdbHost		host = hosts[i];
		int			number = numbers[i];
		int			rank = rank_host(h);
		int			j = left;

		if (h && h->is_outdated)
		{
			appendStringInfo(refused,
							 "%s%s: is an outdated primary, on timeline %u when the group is on %u",
							 refused->len > 0 ? "\n" : "",
							 replication_hosts_name(h), h->state.timeline,
							 vdb_remote_saw_timeline(group, 0));
			continue;
		}
		/* insert it behind those of its rank */
		for (; j > 0 && ranks[j - 1] > rank; j--)
		{
			hosts[j] = hosts[j - 1];
			numbers[j] = numbers[j - 1];
			ranks[j] = ranks[j - 1];
		}
		hosts[j] = host;
		numbers[j] = number;
		ranks[j] = rank;
		left++;
	}
	pfree(ranks);
	pfree(known);
	return left;
}

/* Lower is tried earlier */
static int
rank_host(ReplicationHost *known)
{
	if (known == NULL || known->seen_at == 0)
		return known && known->failed_at != 0 ? 2 : 1;
	/* it may have become a member since; connecting tells for certain */
	if (known->foreign)
		return 4;
	if (known->is_leader)
		return 0;
	if (!known->is_up)
		return 2;
	return known->state.in_recovery ? 3 : 1;
}

static ReplicationHost *
find_known(ReplicationHost *hosts, int count, const VdbHost *host)
{
	for (int i = 0; i < count; i++)
	{
		if (hosts[i].port == host->port &&
			strcmp(hosts[i].host, host->host) == 0)
			return &hosts[i];
	}
	return NULL;
}

/* replication_hosts_leader -- the leader of a group, or NULL */
ReplicationHost *
replication_hosts_leader(ReplicationHost *hosts, int count, int group)
{
	for (int i = 0; i < count; i++)
	{
		if (hosts[i].group == group && hosts[i].is_leader)
			return &hosts[i];
	}
	return NULL;
}

/*
 * replication_hosts_find -- a host of a group by "host:port", or by "host" if
 * only one is called that; NULL if there is none
 */
ReplicationHost *
replication_hosts_find(ReplicationHost *hosts, int count, int group,
					   const char *name)
{
	ReplicationHost *found = NULL;

	for (int i = 0; i < count; i++)
	{
		if (hosts[i].group != group)
			continue;
		if (strcmp(replication_hosts_name(&hosts[i]), name) == 0)
			return &hosts[i];
		if (strcmp(hosts[i].host, name) == 0)
		{
			if (found)
				ereport(ERROR,
						(errcode(ERRCODE_AMBIGUOUS_PARAMETER),
						 errmsg("group %d has several hosts \"%s\"", group,
								name),
						 errhint("Name one with its port, as \"%s\".",
								 replication_hosts_name(found))));
			found = &hosts[i];
		}
	}
	return found;
}

/* replication_hosts_name -- host:port, as vecdb.groups shows it */
char *
replication_hosts_name(const ReplicationHost *host)
{
	return psprintf(strchr(host->host, ':') ? "[%s]:%d" : "%s:%d", host->host,
					host->port);
}

/* vecdb.has_prober(): are the hosts of this database's cluster watched? */
Datum
vecdb_has_prober(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(replication_shared_has_prober());
}

/* vecdb.show_hosts(): all that is known of them */
Datum
vecdb_show_hosts(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ReplicationHost *hosts;
	int			count;

	InitMaterializedSRF(fcinfo, 0);
	hosts = replication_shared_hosts(&count);
	for (int i = 0; i < count; i++)
		put_host(rsinfo, &hosts[i]);
	return (Datum) 0;
}

static void
put_host(ReturnSetInfo *rsinfo, ReplicationHost *h)
{
	Datum		values[HOST_COLUMNS] = {0};
	bool		nulls[HOST_COLUMNS] = {0};
	const char *role = name_role(h);
	VdbHostState backends = vdb_remote_host_state(h->host, h->port);

	/* what it said, if it ever did */
	for (int i = 5; i <= 18; i++)
		nulls[i] = h->seen_at == 0;
	values[0] = Int32GetDatum(h->group);
	values[1] = CStringGetTextDatum(h->host);
	values[2] = Int32GetDatum(h->port);
	values[3] = BoolGetDatum(h->is_self);
	values[4] = CStringGetTextDatum(name_state(h));
	values[5] = CStringGetTextDatum(role);
	values[6] = BoolGetDatum(h->is_leader);
	values[7] = Int32GetDatum((int32) h->state.timeline);
	values[8] = BoolGetDatum(h->state.streaming);
	values[9] = LSNGetDatum(h->state.flushed);
	values[10] = LSNGetDatum(h->state.replayed);
	values[11] = Int64GetDatum(h->lag_bytes);
	nulls[11] = h->lag_bytes < 0;
	values[12] = make_interval_ms((double) h->lag_ms);
	nulls[12] = h->lag_ms < 0;
	values[13] = make_interval_ms(h->latency_ms);
	values[14] = Int32GetDatum(h->state.sync_required);
	values[15] = Int32GetDatum(h->state.sync_standbys);
	values[16] = Int64GetDatum(h->state.epoch);
	values[17] = CStringGetTextDatum(psprintf(UINT64_FORMAT,
											  h->state.system_identifier));
	values[18] = TimestampTzGetDatum(h->seen_at);
	values[19] = Int32GetDatum(backends.connections);
	values[20] = Int32GetDatum(backends.failures);
	values[21] = CStringGetTextDatum(backends.failures == 0 ? "closed" :
									 backends.retry_at > GetCurrentTimestamp() ?
									 "open" : "half open");
	values[22] = CStringGetTextDatum(h->error);
	/* may name users and files */
	nulls[22] = h->error[0] == '\0' ||
		!has_privs_of_role(GetUserId(), ROLE_PG_MONITOR);
	values[23] = Int32GetDatum((int32) backends.in_flight);
	values[24] = CStringGetTextDatum(h->state.zone);
	nulls[24] = h->state.zone[0] == '\0';
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* Does it answer, and is it what it should be? */
static const char *
name_state(const ReplicationHost *h)
{
	if (h->is_up)
		return h->foreign ? "foreign" : h->is_outdated ? "outdated" : "up";
	return h->seen_at == 0 && h->failed_at == 0 ? "unknown" : "down";
}

/* What it said that it is */
static const char *
name_role(const ReplicationHost *h)
{
	return h->state.in_recovery ? "standby" : "primary";
}

/* An interval of so many milliseconds */
static Datum
make_interval_ms(double ms)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->time = (TimeOffset) (ms * 1000.0);
	return IntervalPGetDatum(interval);
}
