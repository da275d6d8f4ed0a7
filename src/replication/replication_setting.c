/*-------------------------------------------------------------------------
 *
 * replication_setting.c
 *	  Settings of the replication room, and its beginning.
 *
 * IDENTIFICATION
 *	  src/replication/replication_setting.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/guc.h"

#include "replication_private.h"

int			replication_probe_interval = 1000;
int			replication_hold_timeout = 5000;
char	   *replication_patroni_url;
char	   *replication_patroni_auth;

static bool check_url(char **value, void **extra, GucSource source);

/* vdb_replication_init -- see vecdb/replication.h */
void
vdb_replication_init(void)
{
	replication_setting_init();
	replication_shared_init();
	replication_worker_init();
	replication_hosts_init();
	replication_read_init();
	replication_balance_init();
	replication_token_init();
	replication_write_init();
}

/* replication_setting_init -- define what can be set */
void
replication_setting_init(void)
{
	DefineCustomIntVariable("vecdb.probe_interval",
							"Sets how often the hosts of all groups are asked for their state.",
							NULL, &replication_probe_interval, 1000, 100,
							60000, PGC_SIGHUP, GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("vecdb.hold_timeout",
							"Sets how long requests to a group are held while its leader is changed on purpose.",
							"Zero: they are not.",
							&replication_hold_timeout, 5000, 0,
							VDB_MAX_HOLD_MS, PGC_USERSET, GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomStringVariable("vecdb.patroni_url",
							   "Sets where the REST API of the Patroni that manages this server is.",
							   "For example https://10.0.0.5:8008; the other nodes learn it from this one.",
							   &replication_patroni_url, "", PGC_SIGHUP,
							   GUC_SUPERUSER_ONLY,
							   check_url, NULL, NULL);
	DefineCustomStringVariable("vecdb.patroni_auth",
							   "Sets the file that says how to log in to Patroni's REST API.",
							   "Lines of the form name = value; names are username, password, cacert, cert and key.",
							   &replication_patroni_auth, "", PGC_SIGHUP,
							   GUC_SUPERUSER_ONLY,
							   NULL, NULL, NULL);
}

/* Is it an address that can be told to others? */
static bool
check_url(char **value, void **extra, GucSource source)
{
	if (*value == NULL || **value == '\0')
		return true;
	if (strncmp(*value, "http://", 7) != 0 &&
		strncmp(*value, "https://", 8) != 0)
	{
		GUC_check_errdetail("The address has to begin with \"http://\" or \"https://\".");
		return false;
	}
	if (strchr(*value, '@'))
	{
		GUC_check_errdetail("Names and passwords belong into the file that vecdb.patroni_auth names.");
		return false;
	}
	if (strlen(*value) >= REPLICATION_URL_SIZE)
	{
		GUC_check_errdetail("The address is longer than %d characters.",
							REPLICATION_URL_SIZE - 1);
		return false;
	}
	return true;
}
