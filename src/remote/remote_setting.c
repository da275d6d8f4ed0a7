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
#include "utils/inval.h"
#include "utils/syscache.h"

#include "vecdb/lib_compat.h"

#include "remote_private.h"

char	   *remote_node_conninfo;
int			remote_connect_timeout = 2000;
int			remote_retry_delay = 1000;
int			remote_copy_buffer = 1024;
int			remote_max_connections_per_host = 0;

#define MAX_TRAVELLING 64

static char *library_version;

/* Sent always, as configuration files may differ */
static const char *const common_settings[] = {
	"search_path", "TimeZone", "DateStyle", "IntervalStyle",
	"extra_float_digits", "bytea_output", "row_security", "lock_timeout",
	"synchronous_commit", "default_text_search_config",
	"check_function_bodies"
};

/* Of this node only: where its statements go, and how it is tested */
static const char *const resident_settings[] = {
	"vecdb.allow_outdated", "vecdb.debug_points", "vecdb.failover_timeout",
	"vecdb.hold_timeout", "vecdb.internal", "vecdb.load_balance",
	"vecdb.max_lag", "vecdb.read_from", "vecdb.read_lease",
	"vecdb.replay_timeout", "vecdb.session_token"
};

/*
 * A setting that travels.  Those of vecdb itself do when they are set in the
 * session, and from then on, so that a RESET is seen.
 *
 * To see quickly that nothing has changed the value is kept as it was when the
 * present state was made.
 */
typedef struct TravellingSetting
{
	const struct config_generic *record;
	bool		travels;
	char	   *text;			/* of strings */
	double		number;			/* of all others */
} TravellingSetting;

static TravellingSetting *travelling;
static int	travelling_count = -1;

/* The state for the current user, and that user */
static char *present_state;
static Oid	present_role;
static bool role_names_changed;

static bool check_conninfo(char **value, void **extra, GucSource source);
static const char *make_state(Oid role);
static void find_settings(void);
static void note_role_change(Datum arg, int cache, uint32 hash);
static bool is_common_setting(const struct config_generic *record);
static bool is_own_setting(const struct config_generic *record);
static bool has_changed(TravellingSetting *setting);
static double get_number(const struct config_generic *record);

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
 * remote_setting_send -- queue what sets the settings of a statement
 *
 * The role is the one that is meant, InvalidOid: the current one.  Nothing if
 * all is there as it should be, and stays so: what was sent without BEGIN is a
 * transaction together with the statement that it was sent for, which may fail
 * yet and take back the settings with it.  What is sent now runs after that.
 */
void
remote_setting_send(RemoteConnection *c, Oid role, VdbRequest *request)
{
	const char *state;

	if (!OidIsValid(role))
		role = GetUserId();
	state = make_state(role);
	if (c->settings && !c->settings_alone && strcmp(c->settings, state) == 0)
		return;
	c->role_taken = true;
	remote_pipeline_settings(c, state, request);
	if (c->settings)
		pfree(c->settings);
	c->settings = NULL;
	c->settings = MemoryContextStrdup(remote_context(), state);
	c->settings_in_transaction = true;
	c->settings_alone = c->depth == 0;
	c->role = role;
}

/*
 * remote_setting_send_role -- queue what sets the current role, if another is
 * there
 *
 * Before the transaction ends: deferred triggers, and cursors that stay, are
 * executed in the role of the end.  That of the last statement may have been
 * the owner of a view or of a function.
 */
void
remote_setting_send_role(RemoteConnection *c)
{
	if (c->settings == NULL || c->role != GetUserId())
		remote_setting_send(c, InvalidOid, NULL);
}

/*
 * remote_setting_send_none -- queue what sets the role that nodes log in as
 *
 * The search_path is pg_catalog, or as "state" says.
 */
void
remote_setting_send_none(RemoteConnection *c, const char *state,
						 VdbRequest *request)
{
	remote_pipeline_settings(c, state, request);
	if (c->settings)
		pfree(c->settings);
	c->settings = NULL;
}

/* remote_setting_path -- a state without a role, with our search_path */
char *
remote_setting_path(void)
{
	return psprintf("search_path=%s\001",
					GetConfigOption("search_path", false, false));
}

/*
 * What a statement sent now depends on
 *
 * The role that is meant and the settings, as a text that can be compared and
 * that vecdb.take_settings() understands: a name, "=", a value, each ended by
 * the character 1.  The role comes last.  Valid until the next call.
 */
static const char *
make_state(Oid role)
{
	StringInfoData state;
	bool		changed = present_state == NULL;

	if (travelling_count < 0)
		find_settings();
	for (int i = 0; i < travelling_count; i++)
		changed |= has_changed(&travelling[i]);
	if (!changed && role == present_role && !role_names_changed)
		return present_state;

	if (present_state)
		pfree(present_state);
	present_state = NULL;
	role_names_changed = false;
	initStringInfo(&state);
	for (int i = 0; i < travelling_count; i++)
	{
		const char *name = travelling[i].record->name;

		if (travelling[i].travels)
			appendStringInfo(&state, "%s=%s\001", name,
							 GetConfigOption(name, false, false));
	}
	appendStringInfo(&state, "role=%s\001", GetUserNameFromId(role, false));
	present_state = MemoryContextStrdup(TopMemoryContext, state.data);
	present_role = role;
	pfree(state.data);
	return present_state;
}

/* Remember where the settings are that can travel */
static void
find_settings(void)
{
	struct config_generic **records;
	int			count;
	int			found = 0;

	CacheRegisterSyscacheCallback(AUTHOID, note_role_change, (Datum) 0);
	records = vdb_all_settings(&count);
	travelling = MemoryContextAllocZero(TopMemoryContext,
										sizeof(TravellingSetting) * MAX_TRAVELLING);
	for (int i = 0; i < count && found < MAX_TRAVELLING; i++)
	{
		bool		common = is_common_setting(records[i]);

		if (!common && !is_own_setting(records[i]))
			continue;
		travelling[found].record = records[i];
		travelling[found++].travels = common;
	}
	travelling_count = found;
}

/* A role may have got another name */
static void
note_role_change(Datum arg, int cache, uint32 hash)
{
	role_names_changed = true;
}

/* Is it a setting that travels always? */
static bool
is_common_setting(const struct config_generic *record)
{
	for (int i = 0; i < lengthof(common_settings); i++)
	{
		if (strcmp(record->name, common_settings[i]) == 0)
			return true;
	}
	return false;
}

/* Does a setting travel when it is set in the session? */
static bool
is_own_setting(const struct config_generic *record)
{
	if (record->context != PGC_USERSET && record->context != PGC_SUSET)
		return false;
	for (int i = 0; i < lengthof(resident_settings); i++)
	{
		if (strcmp(record->name, resident_settings[i]) == 0)
			return false;
	}
	return strncmp(record->name, "vecdb.", 6) == 0 ||
		strncmp(record->name, "hnsw.", 5) == 0 ||
		strncmp(record->name, "ivfflat.", 8) == 0;
}

/* Is a setting another than when this was asked last? */
static bool
has_changed(TravellingSetting *setting)
{
	const struct config_generic *record = setting->record;
	bool		began = false;

	if (!setting->travels)
	{
		if (record->source < PGC_S_GLOBAL)
			return false;
		setting->travels = began = true;
	}
	if (record->vartype == PGC_STRING)
	{
		const char *value = *((const struct config_string *) record)->variable;

		if (value == NULL)
			value = "";
		if (setting->text &&strcmp(setting->text, value) == 0)
			return began;
		if (setting->text)
			pfree(setting->text);
		setting->text = NULL;
		setting->text = MemoryContextStrdup(TopMemoryContext, value);
		return true;
	}
	else
	{
		double		value = get_number(record);

		if (value == setting->number)
			return began;
		setting->number = value;
		return true;
	}
}

/* The value of a setting that is not a string */
static double
get_number(const struct config_generic *record)
{
	switch (record->vartype)
	{
		case PGC_BOOL:
			return *((const struct config_bool *) record)->variable;
		case PGC_INT:
			return *((const struct config_int *) record)->variable;
		case PGC_REAL:
			return *((const struct config_real *) record)->variable;
		case PGC_ENUM:
			return *((const struct config_enum *) record)->variable;
		case PGC_STRING:
			break;
	}
	elog(ERROR, "setting \"%s\" is not a number", record->name);
}
