/*-------------------------------------------------------------------------
 *
 * replication_balance.c
 *	  vecdb.load_balance: which of several hosts that may answer does.
 *
 *	 round_robin	one after the other, in each session
 *	 least_loaded	of two hosts, chosen at random, the one that works on fewer
 *					statements of this server
 *	 latency		the one that answers the prober fastest, on average
 *	 local			on this machine, then in this zone (vecdb.zone), then
 *					elsewhere; but further away if that is twice as fast
 *
 * IDENTIFICATION
 *	  src/replication/replication_balance.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "utils/guc.h"

#include "replication_private.h"

/* Latencies that differ by less are the same */
#define NOISE_MS 1.0

typedef enum LoadBalance
{
	BALANCE_ROUND_ROBIN,
	BALANCE_LEAST_LOADED,
	BALANCE_LATENCY,
	BALANCE_LOCAL
} LoadBalance;

static const struct config_enum_entry balance_options[] = {
	{"round_robin", BALANCE_ROUND_ROBIN, false},
	{"least_loaded", BALANCE_LEAST_LOADED, false},
	{"latency", BALANCE_LATENCY, false},
	{"local", BALANCE_LOCAL, false},
	{NULL, 0, false}
};

char	   *replication_zone;

static int	load_balance = BALANCE_LEAST_LOADED;

static bool check_zone(char **value, void **extra, GucSource source);
static List *rotate(List *hosts);
static List *choose_of_two(List *hosts);
static List *prefer_near(List *hosts);
static int	distance_to(const char *own_host, const ReplicationHost *h);
static int	compare_latencies(const ListCell *a, const ListCell *b);
static uint32 count_in_flight(const ReplicationHost *h);

/* replication_balance_init -- define settings */
void
replication_balance_init(void)
{
	DefineCustomEnumVariable("vecdb.load_balance",
							 "Sets which of several hosts that may answer a read does.",
							 NULL, &load_balance, BALANCE_LEAST_LOADED,
							 balance_options, PGC_USERSET, 0,
							 NULL, NULL, NULL);
	DefineCustomStringVariable("vecdb.zone",
							   "Sets the name of the zone in which this server is.",
							   "For vecdb.load_balance = local; the other nodes learn it from this one.",
							   &replication_zone, "", PGC_SIGHUP, 0,
							   check_zone, NULL, NULL);
}

/* Names of zones have a place of fixed size in shared memory */
static bool
check_zone(char **value, void **extra, GucSource source)
{
	if (*value && strlen(*value) >= REPLICATION_ZONE_SIZE)
	{
		GUC_check_errdetail("The name is longer than %d characters.",
							REPLICATION_ZONE_SIZE - 1);
		return false;
	}
	return true;
}

/*
 * replication_balance -- order hosts that may answer, the one to ask first
 *
 * "hosts" has pointers to them, and is used up.
 */
List *
replication_balance(List *hosts)
{
	if (list_length(hosts) < 2)
		return hosts;
	switch ((LoadBalance) load_balance)
	{
		case BALANCE_ROUND_ROBIN:
			return rotate(hosts);
		case BALANCE_LEAST_LOADED:
			return choose_of_two(hosts);
		case BALANCE_LATENCY:
			list_sort(hosts, compare_latencies);
			return hosts;
		case BALANCE_LOCAL:
			return prefer_near(hosts);
	}
	return hosts;
}

/* Begin with another one each time; sessions begin anywhere */
static List *
rotate(List *hosts)
{
	static uint32 turn = 0;
	List	   *result = NIL;
	int			length = list_length(hosts);

	if (turn == 0)
		turn = pg_prng_uint32(&pg_global_prng_state);
	turn++;
	for (int i = 0; i < length; i++)
		result = lappend(result, list_nth(hosts, (turn + i) % length));
	return result;
}

/*
 * Put the less loaded of two hosts first
 *
 * The best of all would be the best for all servers at once, until they have
 * noticed that it is not any more.
 */
static List *
choose_of_two(List *hosts)
{
	int			length = list_length(hosts);
	int			first = pg_prng_uint32(&pg_global_prng_state) % length;
	int			second = pg_prng_uint32(&pg_global_prng_state) % (length - 1);
	ReplicationHost *chosen;

	if (second >= first)
		second++;
	chosen = list_nth(hosts, first);
	if (count_in_flight(list_nth(hosts, second)) < count_in_flight(chosen))
		chosen = list_nth(hosts, second);
	hosts = list_delete_ptr(hosts, chosen);
	return lcons(chosen, hosts);
}

/* Nearest hosts first, unless they are twice as slow as one further away */
static List *
prefer_near(List *hosts)
{
	char		own_host[REPLICATION_HOST_SIZE];
	ReplicationHost *fastest;
	List	   *near[3] = {NIL, NIL, NIL};
	List	   *result = NIL;
	ListCell   *lc;

	replication_shared_own_host(own_host);
	list_sort(hosts, compare_latencies);
	fastest = linitial(hosts);
	foreach(lc, hosts)
	{
		ReplicationHost *h = lfirst(lc);
		int			distance = distance_to(own_host, h);

		if (h->latency_ms > 2 * fastest->latency_ms + NOISE_MS)
			distance = 2;
		near[distance] = lappend(near[distance], h);
	}
	for (int i = 0; i < 3; i++)
	{
		if (i < 2 && list_length(near[i]) > 1)
			near[i] = choose_of_two(near[i]);
		result = list_concat(result, near[i]);
	}
	return result;
}

/* 0: on this machine, 1: in this zone, 2: elsewhere or not known */
static int
distance_to(const char *own_host, const ReplicationHost *h)
{
	if (h->is_self || strcmp(own_host, h->host) == 0)
		return 0;
	return replication_zone[0] && strcmp(replication_zone,
										 h->state.zone) == 0 ? 1 : 2;
}

static int
compare_latencies(const ListCell *a, const ListCell *b)
{
	double		left = ((ReplicationHost *) lfirst(a))->latency_ms;
	double		right = ((ReplicationHost *) lfirst(b))->latency_ms;

	return left < right ? -1 : left > right ? 1 : 0;
}

/* How many statements of this server does a host work on? */
static uint32
count_in_flight(const ReplicationHost *h)
{
	return vdb_remote_host_state(h->host, h->port).in_flight;
}
