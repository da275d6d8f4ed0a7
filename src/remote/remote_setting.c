/*-------------------------------------------------------------------------
 *
 * remote_setting.c
 *	  Settings of this room, and settings that travel with requests.
 *
 * A statement has to mean the same at each node.  What the session has set
 * and what statements depend on is therefore sent along: when it differs from
 * what was last sent on that connection, which is rare.
 *
 * IDENTIFICATION
 *	  src/remote/remote_setting.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/guc_tables.h"

#include "vecdb/lib_compat.h"

#include "remote_private.h"

char	   *remote_node_conninfo;
int			remote_connect_timeout = 2000;
int			remote_retry_delay = 1000;
int			remote_recovery_interval = 10;
int			remote_copy_buffer = 1024;
int			remote_max_connections_per_host = 0;

#define MAX_OWN_SETTINGS 64

static char *library_version;

/* Sent always, as configuration files may differ */
static const char *const common_settings[] = {
	"search_path", "TimeZone", "DateStyle", "IntervalStyle",
	"extra_float_digits", "bytea_output", "row_security", "lock_timeout",
	"synchronous_commit", "default_text_search_config"
};

/*
 * Sent when set in the session, and from then on, so that a RESET is seen:
 * those of vecdb itself, found once
 */
typedef struct OwnSetting
{
	const struct config_generic *record;
	bool		was_sent;
} OwnSetting;

static OwnSetting *own_settings;
static int	own_setting_count = -1;

static bool check_conninfo(char **value, void **extra, GucSource source);
static void find_own_settings(void);
static bool is_own_setting(const struct config_generic *record);
static void add_setting(StringInfo state, const char *name);

/* remote_setting_init -- define what can be set */
void
remote_setting_init(void)
{
	DefineCustomStringVariable("vecdb.library_version",
							   "Shows the version of vecdb's library.",
							   NULL, &library_version, VDB_VERSION,
							   PGC_INTERNAL,
							   GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE,
							   NULL, NULL, NULL);
	DefineCustomStringVariable("vecdb.node_conninfo",
							   "Sets how nodes log in to each other.",
							   "Options of libpq such as user, passfile, sslmode and sslrootcert; host, port and database are added.",
							   &remote_node_conninfo, "", PGC_SIGHUP,
							   GUC_SUPERUSER_ONLY,
							   check_conninfo, NULL, NULL);
	DefineCustomIntVariable("vecdb.connect_timeout",
							"Sets how long connecting to another group may take.",
							NULL, &remote_connect_timeout, 2000, 10,
							600000, PGC_USERSET, GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("vecdb.retry_delay",
							"Sets how long a host that did not answer is left alone.",
							"Grows with each failure, to 30 seconds or to this setting, whichever is more.",
							&remote_retry_delay, 1000, 0,
							600000, PGC_SIGHUP, GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("vecdb.recovery_interval",
							"Sets how often transactions that a crash left prepared are looked for.",
							NULL, &remote_recovery_interval, 10, 1,
							86400, PGC_SIGHUP, GUC_UNIT_S,
							NULL, NULL, NULL);
	DefineCustomIntVariable("vecdb.copy_buffer",
							"Sets how much of a COPY may wait to be sent to a group.",
							NULL, &remote_copy_buffer, 1024, 8,
							MAX_KILOBYTES, PGC_USERSET, GUC_UNIT_KB,
							NULL, NULL, NULL);
	DefineCustomIntVariable("vecdb.max_connections_per_host",
							"Sets how many connections this node makes to another.",
							"Zero means no limit.",
							&remote_max_connections_per_host, 0, 0,
							INT_MAX, PGC_SIGHUP, 0,
							NULL, NULL, NULL);
}

/* Is the value of vecdb.node_conninfo something that libpq understands? */
static bool
check_conninfo(char **value, void **extra, GucSource source)
{
	char	   *why = NULL;
	PQconninfoOption *options;

	if (*value == NULL || **value == '\0')
		return true;
	options = PQconninfoParse(*value, &why);
	if (options == NULL)
	{
		GUC_check_errdetail("%s", why ? why : "out of memory");
		if (why)
			PQfreemem(why);
		return false;
	}
	PQconninfoFree(options);
	return true;
}

/*
 * remote_setting_state -- what a statement sent now depends on
 *
 * The role that is meant (InvalidOid: the current one), and the settings, as
 * a text that can be compared and that remote_setting_command() understands:
 * lines of a name, "=", a value, each ended by the character 1.
 */
char *
remote_setting_state(Oid role)
{
	StringInfoData state;

	if (own_setting_count < 0)
		find_own_settings();
	initStringInfo(&state);
	for (int i = 0; i < lengthof(common_settings); i++)
		add_setting(&state, common_settings[i]);
	for (int i = 0; i < own_setting_count; i++)
	{
		OwnSetting *own = &own_settings[i];

		if (own->record->source < PGC_S_GLOBAL && !own->was_sent)
			continue;
		add_setting(&state, own->record->name);
		own->was_sent = true;
	}
	appendStringInfo(&state, "role=%s\001",
					 GetUserNameFromId(OidIsValid(role) ? role : GetUserId(),
									   false));
	return state.data;
}

/*
 * remote_setting_command -- the statement that sets a state
 *
 * The role comes last, since the settings before it may need more rights.
 */
char *
remote_setting_command(const char *state)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql,
						   "SELECT pg_catalog.set_config('role', 'none', false)");
	while (*state)
	{
		const char *equals = strchr(state, '=');
		const char *end = strchr(equals, '\001');
		char	   *name = pnstrdup(state, equals - state);
		char	   *value = pnstrdup(equals + 1, end - equals - 1);

		appendStringInfo(&sql, ", pg_catalog.set_config(%s, %s, false)",
						 quote_literal_cstr(name), quote_literal_cstr(value));
		state = end + 1;
	}
	return sql.data;
}

/* Remember the settings of hnsw, ivfflat and vecdb that can be set anywhere */
static void
find_own_settings(void)
{
	struct config_generic **records;
	int			count;
	OwnSetting *found;
	int			found_count = 0;

	records = vdb_all_settings(&count);
	found = MemoryContextAllocZero(TopMemoryContext,
								   sizeof(OwnSetting) * MAX_OWN_SETTINGS);
	for (int i = 0; i < count && found_count < MAX_OWN_SETTINGS; i++)
	{
		if (is_own_setting(records[i]))
			found[found_count++].record = records[i];
	}
	own_settings = found;
	own_setting_count = found_count;
}

/* Does a setting travel when it is set in the session? */
static bool
is_own_setting(const struct config_generic *record)
{
	if (record->context != PGC_USERSET && record->context != PGC_SUSET)
		return false;
	if (strcmp(record->name, "vecdb.debug_points") == 0 ||
		strcmp(record->name, "vecdb.internal") == 0)
		return false;
	return strncmp(record->name, "vecdb.", 6) == 0 ||
		strncmp(record->name, "hnsw.", 5) == 0 ||
		strncmp(record->name, "ivfflat.", 8) == 0;
}

/* Add name and value to a state */
static void
add_setting(StringInfo state, const char *name)
{
	const char *value = GetConfigOption(name, true, false);

	if (value)
		appendStringInfo(state, "%s=%s\001", name, value);
}
