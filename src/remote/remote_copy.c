/*-------------------------------------------------------------------------
 *
 * remote_copy.c
 *	  COPY ... FROM STDIN to a group.
 *
 * libpq copies outside of pipelines only, so the connection leaves its
 * pipeline for the time of the COPY and can do nothing else.
 *
 * IDENTIFICATION
 *	  src/remote/remote_copy.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "remote_private.h"

struct VdbRemoteCopy
{
	RemoteConnection *connection;
	const char *sql;
	Size		unsent;			/* bytes since the last complete flush */
};

static void wait_for_socket(VdbRemoteCopy *copy);
static PGresult *next_result(VdbRemoteCopy *copy);
VDB_NORETURN static void throw_end(VdbRemoteCopy *copy);
static void leave_copy(RemoteConnection *c);

/* vdb_remote_copy_begin -- see vecdb/remote.h */
VdbRemoteCopy *
vdb_remote_copy_begin(int group, const char *sql)
{
	VdbStatement nothing = {.sql = "SELECT 1 LIMIT 0",.writes = true,.once = true};
	VdbRequest *request = vdb_remote_send(group, &nothing);
	VdbRemoteCopy *copy = palloc0(sizeof(VdbRemoteCopy));
	RemoteConnection *c = request->connection;
	PGresult   *res;

	/* the transaction, and settings */
	while ((res = vdb_remote_row(request)) != NULL)
		PQclear(res);
	vdb_remote_close(request);
	remote_pipeline_drain(c);
	remote_transaction_check(c);

	copy->connection = c;
	copy->sql = sql;
	if (!PQexitPipelineMode(c->pg))
		elog(ERROR, "could not leave the pipeline to group %d: %s", group,
			 PQerrorMessage(c->pg));
	c->copy = copy;
	if (!PQsendQuery(c->pg, sql))
		throw_end(copy);
	res = next_result(copy);
	if (res == NULL || PQresultStatus(res) != PGRES_COPY_IN)
	{
		c->failure = res;
		throw_end(copy);
	}
	PQclear(res);
	return copy;
}

/* vdb_remote_copy_put -- see vecdb/remote.h */
void
vdb_remote_copy_put(VdbRemoteCopy *copy, const char *data, int length)
{
	RemoteConnection *c = copy->connection;
	int			rc;

	if (c->copy != copy)
		remote_error_lost(c->group, c->host);
	while ((rc = PQputCopyData(c->pg, data, length)) == 0)
		wait_for_socket(copy);
	if (rc < 0)
		throw_end(copy);
	copy->unsent += length;
	if (copy->unsent < (Size) remote_copy_buffer * 1024 / 8)
		return;
	rc = PQflush(c->pg);
	if (rc < 0)
		throw_end(copy);
	if (rc == 0)
		copy->unsent = 0;
	while (copy->unsent > (Size) remote_copy_buffer * 1024)
		wait_for_socket(copy);
}

/* vdb_remote_copy_end -- see vecdb/remote.h */
uint64
vdb_remote_copy_end(VdbRemoteCopy *copy)
{
	RemoteConnection *c = copy->connection;
	PGresult   *res;
	uint64		rows;
	int			rc;

	if (c->copy != copy)
		remote_error_lost(c->group, c->host);
	while ((rc = PQputCopyEnd(c->pg, NULL)) == 0)
		wait_for_socket(copy);
	if (rc < 0)
		throw_end(copy);
	res = next_result(copy);
	if (res == NULL || PQresultStatus(res) != PGRES_COMMAND_OK)
	{
		c->failure = res;
		throw_end(copy);
	}
	rows = strtoull(PQcmdTuples(res), NULL, 10);
	PQclear(res);
	while ((res = next_result(copy)) != NULL)
		PQclear(res);
	leave_copy(c);
	pfree(copy);
	return rows;
}

/*
 * Wait until the socket takes more, or has something to say
 *
 * That the COPY has failed is learnt by sending more, or ending it.
 */
static void
wait_for_socket(VdbRemoteCopy *copy)
{
	RemoteConnection *c = copy->connection;
	int			rc;

	remote_pipeline_wait(c);
	if (c->pg == NULL)
		remote_error_lost(c->group, c->host);
	rc = PQflush(c->pg);
	if (rc < 0)
		throw_end(copy);
	if (rc == 0)
		copy->unsent = 0;
}

/* The next result, or NULL; waits */
static PGresult *
next_result(VdbRemoteCopy *copy)
{
	RemoteConnection *c = copy->connection;

	while (PQisBusy(c->pg))
	{
		remote_pipeline_wait(c);
		if (c->pg == NULL)
			remote_error_lost(c->group, c->host);
	}
	return PQgetResult(c->pg);
}

/*
 * The COPY has failed: throw why
 *
 * The other node's transaction has failed too.
 */
static void
throw_end(VdbRemoteCopy *copy)
{
	RemoteConnection *c = copy->connection;
	PGresult   *res;

	while (c->failure == NULL && (res = next_result(copy)) != NULL)
	{
		if (PQresultStatus(res) == PGRES_FATAL_ERROR)
			c->failure = res;
		else if (PQresultStatus(res) == PGRES_COPY_IN)
		{
			PQclear(res);
			break;
		}
		else
			PQclear(res);
	}
	if (c->failure)
		remote_error_throw(c->failure, c->group, c->host, copy->sql);
	remote_error_lost(c->group, c->host);
}

/*
 * remote_copy_abort -- end a COPY whose transaction aborts
 *
 * Throws nothing.  The connection comes back into its pipeline, or is closed:
 * then the other node rolls back by itself.
 */
void
remote_copy_abort(RemoteConnection *c)
{
	TimestampTz began = GetCurrentTimestamp();

	if (PQtransactionStatus(c->pg) == PQTRANS_ACTIVE)
		(void) PQputCopyEnd(c->pg, "the transaction was aborted");
	for (;;)
	{
		PGresult   *res;

		if (PQflush(c->pg) < 0 || !PQconsumeInput(c->pg))
			break;
		if (PQisBusy(c->pg))
		{
			if (TimestampDifferenceExceeds(began, GetCurrentTimestamp(),
										   REMOTE_CLEANUP_MS))
				break;
			pg_usleep(1000L);
			continue;
		}
		res = PQgetResult(c->pg);
		if (res == NULL)
		{
			leave_copy(c);
			return;
		}
		if (PQresultStatus(res) == PGRES_COPY_IN)
		{
			PQclear(res);
			break;
		}
		PQclear(res);
	}
	remote_pipeline_lost(c);
}

/* Back into the pipeline; a connection that cannot is closed */
static void
leave_copy(RemoteConnection *c)
{
	c->copy = NULL;
	if (!PQenterPipelineMode(c->pg))
		remote_pipeline_lost(c);
}
