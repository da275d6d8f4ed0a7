/*-------------------------------------------------------------------------
 *
 * remote_guard.c
 *	  Sessions of other nodes: who they work as is their node's to say.
 *
 * Nodes log in to each other as a superuser, and such a session takes the role
 * of the user that it works for.  What the user brings along, as a function or
 * a trigger, is executed there and must not be able to give that role up:
 * underneath is a superuser.
 *
 * So the node that connects makes a key, which only it and the session's
 * backend know, and from then on parameters "role" and "session_authorization"
 * change there by vecdb.take_settings() alone, with a proof that whoever calls
 * it has the key.  The key itself is sent once, before anything of a user is
 * executed.  A proof is good for one state, once: neither the node's log nor an
 * error that shows parameters gives away anything of use.
 *
 * IDENTIFICATION
 *	  src/remote/remote_guard.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "common/hmac.h"
#include "common/sha2.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/guc_tables.h"

#include "vecdb/lib_compat.h"

#include "remote_private.h"

/* A number in decimal digits, a space, and a digest in hexadecimal ones */
#define PROOF_SIZE (20 + 1 + PG_SHA256_DIGEST_LENGTH * 2 + 1)

/* Of this backend, when it works for another node */
static bool is_guarded;
static bool is_taking;			/* within vecdb.take_settings() */
static uint8 session_key[REMOTE_KEY_SIZE];
static uint64 last_number;

static GucStringCheckHook check_role;
static GucStringCheckHook check_authorization;
static GucStringAssignHook assign_role;
static GucStringAssignHook assign_authorization;
static ProcessUtility_hook_type previous_utility_hook;

static bool check_guarded_role(char **value, void **extra, GucSource source);
static bool check_guarded_authorization(char **value, void **extra,
										GucSource source);
static void assign_guarded_role(const char *value, void *extra);
static void assign_guarded_authorization(const char *value, void *extra);
static bool is_locked(void);
static bool is_internal(void);
static bool may_set(const char *name, GucSource source);
static void refuse_reset(const char *name);
static void guard_utility(PlannedStmt *pstmt, const char *text, bool read_only,
						  ProcessUtilityContext context, ParamListInfo params,
						  QueryEnvironment *environment, DestReceiver *dest,
						  QueryCompletion *completion);
static void prove(char *proof, const uint8 *key, uint64 number,
				  const char *state);
static void check_proof(const char *proof, const char *state);
static bool is_same(const char *a, const char *b);
static void set_one(const char *name, const char *value);
static void set_all(char *state);

VDB_FUNCTION(vecdb_guard_session);
VDB_FUNCTION(vecdb_take_settings);

/* remote_guard_init -- stand before the two parameters; while preloading */
void
remote_guard_init(void)
{
	struct config_string *role =
	(struct config_string *) vdb_find_setting("role");
	struct config_string *authorization =
	(struct config_string *) vdb_find_setting("session_authorization");

	check_role = role->check_hook;
	role->check_hook = check_guarded_role;
	assign_role = role->assign_hook;
	role->assign_hook = assign_guarded_role;
	check_authorization = authorization->check_hook;
	authorization->check_hook = check_guarded_authorization;
	assign_authorization = authorization->assign_hook;
	authorization->assign_hook = assign_guarded_authorization;
	previous_utility_hook = ProcessUtility_hook;
	ProcessUtility_hook = guard_utility;
}

/* remote_guard_is_up -- does this session work for another node? */
bool
remote_guard_is_up(void)
{
	return is_guarded;
}

static bool
check_guarded_role(char **value, void **extra, GucSource source)
{
	return may_set("role", source) && check_role(value, extra, source);
}

static bool
check_guarded_authorization(char **value, void **extra, GucSource source)
{
	return may_set("session_authorization", source) &&
		check_authorization(value, extra, source);
}

static void
assign_guarded_role(const char *value, void *extra)
{
	refuse_reset("role");
	assign_role(value, extra);
}

static void
assign_guarded_authorization(const char *value, void *extra)
{
	refuse_reset("session_authorization");
	assign_authorization(value, extra);
}

/*
 * Are the two parameters locked now?
 *
 * A parallel worker gets them from its leader while it starts, and whether the
 * session is one of another node.
 */
static bool
is_locked(void)
{
	if (IsParallelWorker())
		return !InitializingParallelWorker && is_internal();
	return is_guarded && !is_taking;
}

/* Is this a session that was begun with vecdb.internal? */
static bool
is_internal(void)
{
	const char *value = GetConfigOption("vecdb.internal", true, false);

	return value && strcmp(value, "on") == 0;
}

/* May a parameter be set?  For what is only looked at, as by ALTER, yes. */
static bool
may_set(const char *name, GucSource source)
{
	if (source == PGC_S_TEST || !is_locked())
		return true;
	GUC_check_errcode(ERRCODE_INSUFFICIENT_PRIVILEGE);
	GUC_check_errmsg("cannot set parameter \"%s\" in a session of another node",
					 name);
	GUC_check_errhint("Functions and triggers that are executed at other groups cannot change the role; use SECURITY DEFINER.");
	return false;
}

/*
 * An ERROR if a parameter is being RESET and must not be
 *
 * That asks no check hook.  When something was rolled back, or a transaction
 * has committed, its state is another one by now, and values are put back to
 * what they were: that is let pass.
 */
static void
refuse_reset(const char *name)
{
	if (is_locked() && IsTransactionState())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("cannot reset parameter \"%s\" in a session of another node",
						name),
				 errhint("Functions and triggers that are executed at other groups cannot change the role; use SECURITY DEFINER.")));
}

/*
 * Refuse DEALLOCATE within functions in a session of another node
 *
 * A function could put a statement of its own into the place of one that was
 * prepared by that node, who would have it executed in another role later.
 */
static void
guard_utility(PlannedStmt *pstmt, const char *text, bool read_only,
			  ProcessUtilityContext context, ParamListInfo params,
			  QueryEnvironment *environment, DestReceiver *dest,
			  QueryCompletion *completion)
{
	if (is_guarded && context != PROCESS_UTILITY_TOPLEVEL &&
		IsA(pstmt->utilityStmt, DeallocateStmt))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("cannot execute DEALLOCATE in a session of another node"),
				 errhint("Functions and triggers that are executed at other groups cannot have prepared statements.")));
	if (previous_utility_hook)
		previous_utility_hook(pstmt, text, read_only, context, params,
							  environment, dest, completion);
	else
		standard_ProcessUtility(pstmt, text, read_only, context, params,
								environment, dest, completion);
}

/* remote_guard_key -- make a key for a connection */
void
remote_guard_key(uint8 *key)
{
	if (!pg_strong_random(key, REMOTE_KEY_SIZE))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate a key for a connection")));
}

/* remote_guard_key_text -- a key as vecdb.guard_session() takes it */
char *
remote_guard_key_text(const uint8 *key)
{
	char	   *digits = palloc(REMOTE_KEY_SIZE * 2 + 1);

	(void) hex_encode((const char *) key, REMOTE_KEY_SIZE, digits);
	digits[REMOTE_KEY_SIZE * 2] = '\0';
	return digits;
}

/* remote_guard_proof -- the second argument of vecdb.take_settings() */
char *
remote_guard_proof(const uint8 *key, uint64 number, const char *state)
{
	char	   *proof = palloc(PROOF_SIZE);

	prove(proof, key, number, state);
	return proof;
}

/*
 * Make the proof that who knows a key wants a state
 *
 * The number is larger from one to the next, so each is good once.
 */
static void
prove(char *proof, const uint8 *key, uint64 number, const char *state)
{
	pg_hmac_ctx *hmac = pg_hmac_create(PG_SHA256);
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	int			length;

	length = snprintf(proof, PROOF_SIZE, UINT64_FORMAT " ", number);
	if (hmac == NULL ||
		pg_hmac_init(hmac, key, REMOTE_KEY_SIZE) < 0 ||
		pg_hmac_update(hmac, (const uint8 *) proof, length) < 0 ||
		pg_hmac_update(hmac, (const uint8 *) state, strlen(state)) < 0 ||
		pg_hmac_final(hmac, digest, sizeof(digest)) < 0)
	{
		pg_hmac_free(hmac);
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not compute a proof for a connection")));
	}
	pg_hmac_free(hmac);
	length += hex_encode((const char *) digest, sizeof(digest),
						 proof + length);
	proof[length] = '\0';
}

/* An ERROR if a proof is not that of a node that wants a state now */
static void
check_proof(const char *proof, const char *state)
{
	uint64		number = strtoull(proof, NULL, 10);
	char		expected[PROOF_SIZE];

	prove(expected, session_key, number, state);
	if (number <= last_number || !is_same(expected, proof))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to take settings of another node")));
	last_number = number;
}

/* Are two texts the same?  Takes as long wherever they differ. */
static bool
is_same(const char *a, const char *b)
{
	Size		length = strlen(a);
	int			difference = 0;

	if (strlen(b) != length)
		return false;
	for (Size i = 0; i < length; i++)
		difference |= a[i] ^ b[i];
	return difference == 0;
}

/*
 * vecdb.guard_session(): from now on the role changes with a proof only
 *
 * Once, and before another role was taken.  Who connects hears here if this is
 * an outdated primary that knows it.
 */
Datum
vecdb_guard_session(PG_FUNCTION_ARGS)
{
	char	   *key = text_to_cstring(PG_GETARG_TEXT_PP(0));

	vdb_remote_refuse_fenced(false);
	if (check_role == NULL || !is_internal() || is_guarded ||
		IsParallelWorker() || GetUserId() != GetSessionUserId())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to guard a session"),
				 errdetail("Nodes do that in sessions that they have just begun at another node.")));
	if (strlen(key) != REMOTE_KEY_SIZE * 2)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a key must have %d hexadecimal digits",
						REMOTE_KEY_SIZE * 2)));
	(void) hex_decode(key, REMOTE_KEY_SIZE * 2, (char *) session_key);
	is_guarded = true;
	PG_RETURN_VOID();
}

/* vecdb.take_settings(): set what a statement of another node depends on */
Datum
vecdb_take_settings(PG_FUNCTION_ARGS)
{
	char	   *state = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *proof = text_to_cstring(PG_GETARG_TEXT_PP(1));

	if (!is_guarded || IsParallelWorker())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to take settings of another node"),
				 errdetail("This is not a session of another node.")));
	check_proof(proof, state);
	is_taking = true;
	PG_TRY();
	{
		set_all(state);
	}
	PG_FINALLY();
	{
		is_taking = false;
	}
	PG_END_TRY();
	PG_RETURN_VOID();
}

/*
 * Set a state, as remote_setting_state() makes it; it is cut to pieces
 *
 * The role is none first, since settings may need more rights than it has, and
 * comes last.  What is sent as none finds PostgreSQL's own operators only.
 */
static void
set_all(char *state)
{
	set_one("role", "none");
	set_one("search_path", "pg_catalog");
	while (*state)
	{
		char	   *equals = strchr(state, '=');
		char	   *end = equals ? strchr(equals, '\001') : NULL;

		if (end == NULL)
			elog(ERROR, "settings of another node are not a list of settings");
		*equals = *end = '\0';
		set_one(state, equals + 1);
		state = end + 1;
	}
}

/* As set_config() does it */
static void
set_one(const char *name, const char *value)
{
	(void) set_config_option(name, value,
							 superuser() ? PGC_SUSET : PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SET, true, 0, false);
}
