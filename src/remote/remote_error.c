/*-------------------------------------------------------------------------
 *
 * remote_error.c
 *	  Errors and notices of other nodes become ours.
 *
 * IDENTIFICATION
 *	  src/remote/remote_error.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "remote_private.h"

/* While cleaning up, what other nodes remark is of no interest */
static bool is_quiet;

static int	read_level(const PGresult *res);
static bool is_fatal(const PGresult *res);
static bool is_unreplicated(const PGresult *res);
static void set_names(const PGresult *res);

/*
 * remote_error_throw -- throw the error of another node
 *
 * Its message comes first, its SQLSTATE, detail, hint and the names of what it
 * is about are kept.  The context says where it came from and which statement
 * it was.  The result stays the caller's.
 */
void
remote_error_throw(const PGresult *res, int group, const char *host,
				   const char *sql)
{
	const char *message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	const char *detail = PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL);
	const char *hint = PQresultErrorField(res, PG_DIAG_MESSAGE_HINT);
	const char *context = PQresultErrorField(res, PG_DIAG_CONTEXT);

	if (message == NULL)
		message = PQresultErrorMessage(res);
	errstart(ERROR, TEXTDOMAIN);
	errcode(remote_error_sqlstate(res));
	errmsg_internal("%s", message);
	if (detail)
		errdetail_internal("%s", detail);
	if (hint)
		errhint("%s", hint);
	set_names(res);
	if (context)
		errcontext_msg("%s", context);
	if (group > 0)
		errcontext_msg("group %d at %s", group, host ? host : "an unknown host");
	else
		errcontext_msg("host %s", host);
	if (sql)
		errcontext_msg("remote statement: %s", sql);
	errfinish(__FILE__, __LINE__, __func__);
	pg_unreachable();
}

/* remote_error_lost -- throw that a connection broke */
void
remote_error_lost(int group, const char *host)
{
	if (group == 0)
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("connection to host \"%s\" was lost", host)));
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("connection to group %d was lost", group),
			 errdetail("The connection to %s broke while it was in use.",
					   host ? host : "the group"),
			 errhint("Try again; if the group has failed over, its new primary is found by itself.")));
}

/*
 * remote_error_notice -- libpq's notice receiver
 *
 * That the end of a transaction was not waited for by a standby is told to
 * remote_commit.c, which knows what that means.
 */
void
remote_error_notice(void *arg, const PGresult *res)
{
	RemoteConnection *c = arg;
	const char *message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	const char *detail = PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL);
	const char *hint = PQresultErrorField(res, PG_DIAG_MESSAGE_HINT);
	int			level = read_level(res);

	if (is_fatal(res))
		c->ending = true;
	if (is_unreplicated(res) &&
		(c->depth > 0 || c->prepared != PREPARED_NOT))
	{
		c->unreplicated = true;
		return;
	}
	if (is_quiet || level == 0 || message == NULL)
		return;
	if (errstart(level, TEXTDOMAIN))
	{
		errcode(remote_error_sqlstate(res));
		errmsg_internal("%s", message);
		if (detail)
			errdetail_internal("%s", detail);
		if (hint)
			errhint("%s", hint);
		errcontext_msg("group %d at %s", c->group,
					   c->host ? c->host : "an unknown host");
		errfinish(__FILE__, __LINE__, __func__);
	}
}

/* remote_error_quiet -- drop notices from now on, or pass them on again */
void
remote_error_quiet(bool quiet)
{
	is_quiet = quiet;
}

/* remote_error_sqlstate -- the SQLSTATE of a result, as a number */
int
remote_error_sqlstate(const PGresult *res)
{
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);

	if (state == NULL || strlen(state) != 5)
		return ERRCODE_CONNECTION_FAILURE;
	return MAKE_SQLSTATE(state[0], state[1], state[2], state[3], state[4]);
}

/* The level of a notice; 0 for what the other node logs for itself */
static int
read_level(const PGresult *res)
{
	const char *severity = PQresultErrorField(res,
											  PG_DIAG_SEVERITY_NONLOCALIZED);

	if (severity == NULL)
		return NOTICE;
	if (strcmp(severity, "WARNING") == 0)
		return WARNING;
	if (strcmp(severity, "INFO") == 0)
		return INFO;
	if (strcmp(severity, "NOTICE") == 0)
		return NOTICE;
	if (strcmp(severity, "DEBUG") == 0)
		return DEBUG1;
	return 0;
}

/* Does the other node say that the session ends? */
static bool
is_fatal(const PGresult *res)
{
	const char *severity = PQresultErrorField(res,
											  PG_DIAG_SEVERITY_NONLOCALIZED);

	return severity && (strcmp(severity, "FATAL") == 0 ||
						strcmp(severity, "PANIC") == 0);
}

/*
 * Does the other node say that it has not waited for its standbys?
 *
 * This WARNING has no SQLSTATE of its own, and its text is in the language of
 * that node; who sends it is always the same.
 */
static bool
is_unreplicated(const PGresult *res)
{
	const char *function = PQresultErrorField(res, PG_DIAG_SOURCE_FUNCTION);

	return function && strcmp(function, "SyncRepWaitForLSN") == 0 &&
		read_level(res) == WARNING;
}

/* Tell which table, column or constraint an error is about */
static void
set_names(const PGresult *res)
{
	static const int fields[] = {
		PG_DIAG_SCHEMA_NAME, PG_DIAG_TABLE_NAME, PG_DIAG_COLUMN_NAME,
		PG_DIAG_DATATYPE_NAME, PG_DIAG_CONSTRAINT_NAME
	};

	for (int i = 0; i < lengthof(fields); i++)
	{
		const char *value = PQresultErrorField(res, fields[i]);

		if (value)
			err_generic_string(fields[i], value);
	}
}
