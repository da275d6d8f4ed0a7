/*-------------------------------------------------------------------------
 *
 * remote_peer.c
 *	  Who is at the other end: is it the group that is meant, and what is a
 *	  host that may become a member?
 *
 * IDENTIFICATION
 *	  src/remote/remote_peer.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/uuid.h"
#include "utils/wait_event.h"

#include "remote_private.h"

static char *format_uuid(const pg_uuid_t *uuid);
static bool is_compatible(const char *version);
static void abandon(int code, Datum arg);
static void take_settings(PGconn *pg, const char *settings, const char *host,
						  int port);
static PGresult *ask(PGconn *pg, const char *sql, const char *host, int port);
static PGresult *ask_with(PGconn *pg, const char *sql, const char *const *values,
						  int count, const char *host, int port);
static PGresult *await_answer(PGconn *pg, const char *sql, const char *host,
							  int port);
VDB_NORETURN static void throw_and_clear(PGresult *res, const char *host,
										 const char *sql);
static void read_peer(VdbPeer *peer, PGconn *pg, const char *host, int port);

/*
 * remote_peer_query -- what each connection asks first
 *
 * A primary says on which timeline it is, and is told which one of its group
 * was seen.
 */
char *
remote_peer_query(int group)
{
	return psprintf("SELECT cluster_id::pg_catalog.text, group_id,"
					" pg_catalog.current_setting('vecdb.library_version', true),"
					" system_identifier OPERATOR(pg_catalog.=) (SELECT"
					"  c.system_identifier::pg_catalog.text"
					"  FROM pg_catalog.pg_control_system() c)"
					" AND database_id OPERATOR(pg_catalog.=) vecdb.database_id(),"
					" CASE WHEN pg_catalog.current_setting("
					"  'vecdb.library_version', true) IS NOT NULL"
					" THEN (SELECT s.timeline FROM"
					"  vecdb.node_state('{%d}', '{%u}') s"
					"  WHERE NOT s.in_recovery) END"
					" FROM vecdb.catalog_local",
					group, vdb_remote_saw_timeline(group, 0));
}

/* remote_peer_timeline -- of the primary that gave this answer; 0: none */
TimeLineID
remote_peer_timeline(const PGresult *res)
{
	return PQgetisnull(res, 0, 4) ? 0 :
		strtoul(PQgetvalue(res, 0, 4), NULL, 10);
}

/*
 * remote_peer_refuse -- why the node that gave this answer is not the group
 *
 * NULL if it is.
 */
char *
remote_peer_refuse(const PGresult *res, int group, const char *host)
{
	const VdbCluster *cluster = vdb_catalog_cluster();
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	TimeLineID	timeline;
	char	   *ours;

	if (state && (strcmp(state, "42P01") == 0 || strcmp(state, "3F000") == 0))
		return pstrdup("the database there is not a member of a cluster");
	if (PQresultStatus(res) != PGRES_TUPLES_OK)
		return pstrdup(PQresultErrorMessage(res));
	if (PQntuples(res) == 0)
		return pstrdup("the database there is not a member of a cluster");
	if (cluster == NULL)
		return pstrdup("this database is no longer a member of a cluster");
	ours = format_uuid(&cluster->id);
	if (strcmp(PQgetvalue(res, 0, 0), ours) != 0)
		return psprintf("is a member of another cluster, %s, and not of %s",
						PQgetvalue(res, 0, 0), ours);
	if (atoi(PQgetvalue(res, 0, 1)) != group)
		return psprintf("is a member of group %s, and not of group %d",
						PQgetvalue(res, 0, 1), group);
	if (strcmp(PQgetvalue(res, 0, 3), "t") != 0)
		return psprintf("is a copy of group %d, such as a restored dump, which is no member until somebody executes SELECT vecdb.resume_membership() there",
						group);
	if (PQgetisnull(res, 0, 2))
		return pstrdup("vecdb is not in shared_preload_libraries there");
	if (!is_compatible(PQgetvalue(res, 0, 2)))
		return psprintf("runs vecdb %s, which does not work together with %s",
						PQgetvalue(res, 0, 2), VDB_VERSION);
	timeline = remote_peer_timeline(res);
	if (timeline != 0 && timeline < vdb_remote_saw_timeline(group, 0))
		return psprintf("is an outdated primary, on timeline %u when the group is on %u",
						timeline, vdb_remote_saw_timeline(group, 0));
	return NULL;
}

/* The text of a UUID */
static char *
format_uuid(const pg_uuid_t *uuid)
{
	return DatumGetCString(DirectFunctionCall1(uuid_out,
											   UUIDPGetDatum(uuid)));
}

/* Do nodes of that version and of ours work together? */
static bool
is_compatible(const char *version)
{
	const char *dot = strrchr(VDB_VERSION, '.');

	/* versions that differ in nothing but the last number do */
	return strncmp(version, VDB_VERSION, dot - VDB_VERSION + 1) == 0;
}

/* vdb_remote_probe -- see vecdb/remote.h */
VdbPeer *
vdb_remote_probe(const char *host, int port)
{
	PGconn	   *pg = remote_open(host, port);
	VdbPeer    *peer = palloc0(sizeof(VdbPeer));

	PG_TRY();
	{
		read_peer(peer, pg, host, port);
	}
	PG_FINALLY();
	{
		remote_close(pg);
	}
	PG_END_TRY();

	if (peer->version == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("vecdb is not preloaded at host \"%s:%d\"", host, port),
				 errhint("Add vecdb to shared_preload_libraries there, and restart the server.")));
	if (!is_compatible(peer->version))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("host \"%s:%d\" runs vecdb %s, which does not work together with %s",
						host, port, peer->version, VDB_VERSION),
				 errhint("Install the same version on all nodes.")));
	if (peer->max_prepared_transactions == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("prepared transactions are disabled at host \"%s:%d\"",
						host, port),
				 errhint("Set max_prepared_transactions there to at least max_connections, and restart the server.")));
	return peer;
}

/* Ask a node about itself */
static void
read_peer(VdbPeer *peer, PGconn *pg, const char *host, int port)
{
	PGresult   *res;
	bool		has_catalog;

	res = ask(pg,
			  "SELECT (SELECT system_identifier FROM pg_catalog.pg_control_system()),"
			  " pg_catalog.current_setting('vecdb.library_version', true),"
			  " EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'vecdb'),"
			  " pg_catalog.to_regclass('vecdb.catalog_local') IS NOT NULL,"
			  " pg_catalog.pg_is_in_recovery(),"
			  " pg_catalog.current_setting('max_prepared_transactions')",
			  host, port);
	peer->system_identifier = pstrdup(PQgetvalue(res, 0, 0));
	peer->version = PQgetisnull(res, 0, 1) ? NULL :
		pstrdup(PQgetvalue(res, 0, 1));
	peer->extension = PQgetvalue(res, 0, 2)[0] == 't';
	has_catalog = PQgetvalue(res, 0, 3)[0] == 't';
	peer->in_recovery = PQgetvalue(res, 0, 4)[0] == 't';
	peer->max_prepared_transactions = atoi(PQgetvalue(res, 0, 5));
	PQclear(res);
	if (!has_catalog)
		return;

	res = ask(pg, "SELECT cluster_id, group_id FROM vecdb.catalog_local",
			  host, port);
	if (PQntuples(res) > 0)
	{
		Datum		id = DirectFunctionCall1(uuid_in,
											 CStringGetDatum(PQgetvalue(res, 0, 0)));

		peer->has_cluster = true;
		peer->cluster_id = *DatumGetUUIDP(id);
		peer->group = atoi(PQgetvalue(res, 0, 1));
	}
	PQclear(res);
}

/* vdb_remote_run_on -- see vecdb/remote.h */
void
vdb_remote_run_on(const char *host, int port, const char *sql)
{
	PGconn	   *pg = remote_open(host, port);

	PG_ENSURE_ERROR_CLEANUP(abandon, PointerGetDatum(pg));
	{
		PQclear(ask(pg, sql, host, port));
	}
	PG_END_ENSURE_ERROR_CLEANUP(abandon, PointerGetDatum(pg));
	remote_close(pg);
}

/* vdb_remote_run_alone -- see vecdb/remote.h */
void
vdb_remote_run_alone(const char *host, int port, const char *check,
					 const char *settings, const char *sql)
{
	PGconn	   *pg = remote_open(host, port);

	PG_ENSURE_ERROR_CLEANUP(abandon, PointerGetDatum(pg));
	{
		PQclear(ask(pg, check, host, port));
		take_settings(pg, settings, host, port);
		InvalidateCatalogSnapshot();
		PQclear(ask(pg, sql, host, port));
	}
	PG_END_ENSURE_ERROR_CLEANUP(abandon, PointerGetDatum(pg));
	remote_close(pg);
}

/* Guard the session, and set what is to be set, the role at last */
static void
take_settings(PGconn *pg, const char *settings, const char *host, int port)
{
	uint8		key[REMOTE_KEY_SIZE];
	const char *digits;
	const char *values[2];

	remote_guard_key(key);
	digits = remote_guard_key_text(key);
	PQclear(ask_with(pg, "SELECT vecdb.guard_session($1)", &digits, 1, host,
					 port));
	values[0] = settings;
	values[1] = remote_guard_proof(key, 1, settings);
	PQclear(ask_with(pg, "SELECT vecdb.take_settings($1, $2)", values, 2, host,
					 port));
}

/*
 * Close a connection because of an ERROR, or because this process ends
 *
 * What the host still does for us would go on for as long as it takes.
 */
static void
abandon(int code, Datum arg)
{
	PGconn	   *pg = (PGconn *) DatumGetPointer(arg);
	TimestampTz began = GetCurrentTimestamp();
	struct RemoteCancel *cancel = NULL;

	if (PQtransactionStatus(pg) == PQTRANS_ACTIVE)
		cancel = remote_cancel_begin(pg);
	while (cancel && !remote_cancel_is_over(cancel) &&
		   !TimestampDifferenceExceeds(began, GetCurrentTimestamp(),
									   REMOTE_CLEANUP_MS))
		pg_usleep(1000L);
	if (cancel)
		remote_cancel_end(cancel);
	remote_close(pg);
}

/*
 * Send SQL over a connection that is in no pipeline, and wait for the result
 *
 * Several statements are one transaction; the result is that of the last.
 */
static PGresult *
ask(PGconn *pg, const char *sql, const char *host, int port)
{
	if (!PQsendQuery(pg, sql))
		remote_error_lost(0, psprintf("%s:%d", host, port));
	return await_answer(pg, sql, host, port);
}

/* The same of one statement with parameters, all of type text */
static PGresult *
ask_with(PGconn *pg, const char *sql, const char *const *values, int count,
		 const char *host, int port)
{
	if (!PQsendQueryParams(pg, sql, count, NULL, values, NULL, NULL, 0))
		remote_error_lost(0, psprintf("%s:%d", host, port));
	return await_answer(pg, sql, host, port);
}

/* Wait for the last result of what was sent */
static PGresult *
await_answer(PGconn *pg, const char *sql, const char *host, int port)
{
	PGresult   *last = NULL;
	PGresult   *res;

	for (;;)
	{
		int			events;

		while (PQisBusy(pg))
		{
			events = WaitLatchOrSocket(MyLatch,
									   WL_LATCH_SET | WL_SOCKET_READABLE |
									   WL_EXIT_ON_PM_DEATH,
									   PQsocket(pg), -1L, PG_WAIT_EXTENSION);
			if (events & WL_LATCH_SET)
			{
				ResetLatch(MyLatch);
				CHECK_FOR_INTERRUPTS();
			}
			if ((events & WL_SOCKET_READABLE) && !PQconsumeInput(pg))
				remote_error_lost(0, psprintf("%s:%d", host, port));
		}
		res = PQgetResult(pg);
		if (res == NULL)
			break;
		if (PQresultStatus(res) == PGRES_FATAL_ERROR)
			throw_and_clear(res, psprintf("%s:%d", host, port), sql);
		if (last)
			PQclear(last);
		last = res;
	}
	if (last == NULL)
		remote_error_lost(0, psprintf("%s:%d", host, port));
	return last;
}

/* Throw the error of a host, and free the result */
static void
throw_and_clear(PGresult *res, const char *host, const char *sql)
{
	PG_TRY();
	{
		remote_error_throw(res, 0, host, sql);
	}
	PG_FINALLY();
	{
		PQclear(res);
	}
	PG_END_TRY();
	pg_unreachable();
}
