/*-------------------------------------------------------------------------
 *
 * remote_function.c
 *	  What users can call: run SQL on a group, look at connections.
 *
 * IDENTIFICATION
 *	  src/remote/remote_function.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "vecdb/lib_compat.h"
#include "vecdb/planner.h"

#include "remote_private.h"

static void refuse_transaction_commands(const char *sql, bool in_transaction);
static void put_row(ReturnSetInfo *rsinfo, const StringInfo row);
static void run_remotely(ReturnSetInfo *rsinfo, int group, const char *sql);
static void run_outside(ReturnSetInfo *rsinfo, int group, const char *sql);
static void run_here(ReturnSetInfo *rsinfo, const char *sql);
static void put_result(ReturnSetInfo *rsinfo, const PGresult *res);
static const char *name_state(RemoteConnection *c);

VDB_FUNCTION(vecdb_run_on_group);
VDB_FUNCTION(vecdb_connections);

/* vdb_remote_init -- see vecdb/remote.h */
void
vdb_remote_init(void)
{
	remote_setting_init();
	remote_guard_init();
	remote_shared_init();
	remote_fence_init();
	remote_transaction_init();
}

/*
 * vecdb.run_on_group(): run SQL on a group; rows as text, columns separated
 * by "|"
 */
Datum
vecdb_run_on_group(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	int			group = PG_GETARG_INT32(0);
	char	   *sql = text_to_cstring(PG_GETARG_TEXT_PP(1));
	bool		in_transaction = PG_GETARG_BOOL(2);
	const VdbCluster *cluster = vdb_catalog_cluster();
	bool		here = cluster && cluster->local_group == group &&
	!RecoveryInProgress();

	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser to run SQL on a group")));
	refuse_transaction_commands(sql, in_transaction);
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	if (here && !in_transaction)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot run SQL outside of the transaction on this node's own group"),
				 errhint("Run it in a session of its own on a node of group %d.",
						 group)));
	if (here)
		run_here(rsinfo, sql);
	else if (in_transaction)
		run_remotely(rsinfo, group, sql);
	else
		run_outside(rsinfo, group, sql);
	return (Datum) 0;
}

/*
 * Refuse what begins or ends transactions
 *
 * Transactions of other groups follow ours, and connections are kept: what
 * begins or ends one behind our back would be undone, or done, apart from the
 * rest.  What is prepared already can be finished, outside of the transaction.
 */
static void
refuse_transaction_commands(const char *sql, bool in_transaction)
{
	ListCell   *lc;

	foreach(lc, raw_parser(sql, RAW_PARSE_DEFAULT))
	{
		TransactionStmt *statement =
		(TransactionStmt *) lfirst_node(RawStmt, lc)->stmt;

		if (!IsA(statement, TransactionStmt))
			continue;
		if (!in_transaction &&
			(statement->kind == TRANS_STMT_COMMIT_PREPARED ||
			 statement->kind == TRANS_STMT_ROLLBACK_PREPARED))
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot run a transaction command on a group"),
				 errhint("Begin and end the transaction here: the other groups follow.")));
	}
}

/* Run it on another group, in our transaction */
static void
run_remotely(ReturnSetInfo *rsinfo, int group, const char *sql)
{
	VdbStatement statement = {.sql = sql,.writes = true,.once = true};
	VdbRequest *request = vdb_remote_send(group, &statement);
	PGresult   *res;

	while ((res = vdb_remote_row(request)) != NULL)
	{
		put_result(rsinfo, res);
		PQclear(res);
	}
	vdb_remote_close(request);
}

/* Run it on another group, outside of transactions */
static void
run_outside(ReturnSetInfo *rsinfo, int group, const char *sql)
{
	RemoteConnection *c = remote_connection(group);
	VdbRequest *request;
	PGresult   *res;

	remote_connect(c);
	if (c->depth > 0)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("cannot leave the transaction that is open at group %d",
						group)));
	request = remote_request_ask(c, sql, remote_setting_path());
	if (request->error)
		remote_error_throw(request->error, group, request->host, sql);
	if (request->lost)
		remote_error_lost(group, request->host);
	while ((res = remote_rows_get(request)) != NULL)
	{
		put_result(rsinfo, res);
		PQclear(res);
	}
	vdb_remote_close(request);
}

/* Run it on our own group */
static void
run_here(ReturnSetInfo *rsinfo, const char *sql)
{
	StringInfoData row;
	SPIPlanPtr	plan;
	int			rc;

	initStringInfo(&row);
	vdb_catalog_enter_local();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	/* as by a client of the group: not by a function that is called there */
	plan = SPI_prepare_cursor(sql, 0, NULL, VDB_CURSOR_OPT_SHARE);
	rc = plan ? SPI_execute_plan(plan, NULL, NULL, false, 0) : SPI_result;
	if (rc < 0)
		elog(ERROR, "could not run the statement: %s",
			 SPI_result_code_string(rc));
	for (uint64 i = 0; SPI_tuptable && i < SPI_tuptable->numvals; i++)
	{
		resetStringInfo(&row);
		for (int column = 1; column <= SPI_tuptable->tupdesc->natts; column++)
		{
			char	   *value = SPI_getvalue(SPI_tuptable->vals[i],
											 SPI_tuptable->tupdesc, column);

			appendStringInfo(&row, "%s%s", column > 1 ? "|" : "",
							 value ? value : "");
		}
		put_row(rsinfo, &row);
	}
	SPI_finish();
	vdb_catalog_leave_local();
}

/* Give out the rows of a result */
static void
put_result(ReturnSetInfo *rsinfo, const PGresult *res)
{
	StringInfoData row;

	initStringInfo(&row);
	for (int i = 0; i < PQntuples(res); i++)
	{
		resetStringInfo(&row);
		for (int column = 0; column < PQnfields(res); column++)
			appendStringInfo(&row, "%s%s", column > 0 ? "|" : "",
							 PQgetvalue(res, i, column));
		put_row(rsinfo, &row);
	}
	pfree(row.data);
}

/* Give out a row of text */
static void
put_row(ReturnSetInfo *rsinfo, const StringInfo row)
{
	Datum		value = CStringGetTextDatum(row->data);
	bool		isnull = false;

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, &value, &isnull);
}

/* vecdb.connections: the connections of this backend */
Datum
vecdb_connections(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	dlist_iter	iter;

	InitMaterializedSRF(fcinfo, 0);
	dlist_foreach(iter, &remote_connections)
	{
		RemoteConnection *c = dlist_container(RemoteConnection, node, iter.cur);
		Datum		values[9];
		bool		nulls[9] = {0};

		values[0] = Int32GetDatum(c->group);
		nulls[1] = !c->ready;
		values[1] = c->ready ? CStringGetTextDatum(c->host) : (Datum) 0;
		nulls[2] = !c->ready;
		values[2] = Int32GetDatum(c->ready ? PQbackendPID(c->pg) : 0);
		values[3] = CStringGetTextDatum(name_state(c));
		values[4] = Int32GetDatum(c->depth);
		values[5] = Int64GetDatum((int64) c->requests_sent);
		values[6] = Int32GetDatum(remote_statement_count(c));
		values[7] = CStringGetTextDatum(c->target.host ? "read" : "primary");
		values[8] = Int32GetDatum(remote_pipeline_count(c));
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* What a connection is doing */
static const char *
name_state(RemoteConnection *c)
{
	if (c->lost)
		return "lost";
	if (!c->ready)
		return "not connected";
	if (c->copy)
		return "copying";
	if (c->prepared != PREPARED_NOT)
		return "prepared";
	if (!dlist_is_empty(&c->steps))
		return "active";
	return c->depth > 0 ? "in transaction" : "idle";
}
