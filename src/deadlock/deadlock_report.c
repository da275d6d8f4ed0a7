/*-------------------------------------------------------------------------
 *
 * deadlock_report.c
 *	  What a group says of its waits and its transactions over groups, and the
 *	  view of it for users.
 *
 * A group answers one query: a row "w" for each pair of who waits and who
 * blocks, a row "s" for each session at a group that works for one of its
 * backends.
 *
 * IDENTIFICATION
 *	  src/deadlock/deadlock_report.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "vecdb/catalog.h"
#include "vecdb/lib_compat.h"
#include "vecdb/remote.h"

#include "deadlock_private.h"

#define REPORT_COLUMNS 9

static void add_row(DeadlockReport *report, int group, char *const *values);
static void add_wait(DeadlockReport *report, int group, char *const *values);
static void add_owner(DeadlockReport *report, int group, char *const *values);
static void put_row(ReturnSetInfo *rsinfo, const DeadlockWait *wait);

VDB_FUNCTION(vecdb_show_lock_waits);

/*
 * deadlock_report_query -- what a group is asked
 *
 * Also in sessions of users, hence the operators.
 */
const char *
deadlock_report_query(void)
{
	return
		"SELECT 'w', w.waiter_pid, w.leader_pid, w.wait_id, w.blocker_pid,"
		" p.gid, w.mode, w.object, w.relation"
		" FROM vecdb.local_lock_waits() w"
		" LEFT JOIN pg_catalog.pg_prepared_xacts p"
		" ON p.transaction OPERATOR(pg_catalog.=) w.blocker_xid"
		" UNION ALL"
		" SELECT 's', s.pid, s.group_id,"
		" (extract(epoch FROM a.xact_start)"
		"  OPERATOR(pg_catalog.*) 1000000)::pg_catalog.int8,"
		" s.session_pid, a.backend_xid::pg_catalog.text, NULL, NULL, NULL"
		" FROM vecdb.local_sessions() s"
		" JOIN pg_catalog.pg_stat_activity a"
		" ON a.pid OPERATOR(pg_catalog.=) s.pid";
}

/* deadlock_report_add_here -- ask our own group */
void
deadlock_report_add_here(DeadlockReport *report, int group)
{
	MemoryContext context = CurrentMemoryContext;
	int			rc;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	rc = SPI_execute(deadlock_report_query(), true, 0);
	if (rc != SPI_OK_SELECT)
		elog(ERROR, "could not list waits: %s", SPI_result_code_string(rc));
	for (uint64 i = 0; i < SPI_tuptable->numvals; i++)
	{
		char	   *values[REPORT_COLUMNS];
		MemoryContext old;

		for (int column = 0; column < REPORT_COLUMNS; column++)
			values[column] = SPI_getvalue(SPI_tuptable->vals[i],
										  SPI_tuptable->tupdesc, column + 1);
		old = MemoryContextSwitchTo(context);
		add_row(report, group, values);
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
}

/* deadlock_report_add_rows -- add what a group has answered, a PGresult */
void
deadlock_report_add_rows(DeadlockReport *report, int group, const void *result)
{
	const PGresult *res = result;

	for (int row = 0; row < PQntuples(res); row++)
	{
		char	   *values[REPORT_COLUMNS];

		for (int column = 0; column < REPORT_COLUMNS; column++)
			values[column] = PQgetisnull(res, row, column) ? NULL :
				PQgetvalue(res, row, column);
		add_row(report, group, values);
	}
}

/* Add one row; what is kept of it is copied */
static void
add_row(DeadlockReport *report, int group, char *const *values)
{
	if (values[0][0] == 'w')
		add_wait(report, group, values);
	else
		add_owner(report, group, values);
}

static void
add_wait(DeadlockReport *report, int group, char *const *values)
{
	DeadlockWait *wait = palloc0(sizeof(DeadlockWait));

	wait->group = group;
	wait->waiter_pid = atoi(values[1]);
	wait->waiter_leader = atoi(values[2]);
	wait->wait_id = strtoll(values[3], NULL, 10);
	wait->blocker_pid = values[4] ? atoi(values[4]) : 0;
	wait->gid = values[5] ? pstrdup(values[5]) : NULL;
	wait->mode = pstrdup(values[6]);
	wait->object = pstrdup(values[7]);
	wait->relation = values[8] ? pstrdup(values[8]) : NULL;
	report->waits = lappend(report->waits, wait);
}

static void
add_owner(DeadlockReport *report, int group, char *const *values)
{
	DeadlockOwner *owner = palloc0(sizeof(DeadlockOwner));

	owner->party.group = group;
	owner->party.pid = atoi(values[1]);
	owner->session.group = atoi(values[2]);
	owner->session.pid = atoi(values[4]);
	owner->started = values[3] ? strtoll(values[3], NULL, 10) : 0;
	owner->xid = values[5] ? (uint32) strtoul(values[5], NULL, 10) : 0;
	report->owners = lappend(report->owners, owner);
}

/*
 * vecdb.show_lock_waits(): who waits for whom, in all groups
 *
 * A session that works for another node sees its own group only.
 */
Datum
vecdb_show_lock_waits(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	const VdbCluster *cluster = vdb_catalog_cluster();
	int			local = cluster ? cluster->local_group : 0;
	bool		alone = cluster == NULL || vdb_catalog_local_mode();
	DeadlockReport report = {NIL, NIL};
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	deadlock_report_add_here(&report, local);
	for (int i = 0; !alone && i < cluster->group_count; i++)
	{
		VdbStatement statement = {.sql = deadlock_report_query(),.few_rows = true};
		int			group = cluster->groups[i].id;
		VdbRequest *request;
		PGresult   *res;

		if (group == local)
			continue;
		request = vdb_remote_send(group, &statement);
		while ((res = vdb_remote_row(request)) != NULL)
		{
			deadlock_report_add_rows(&report, group, res);
			PQclear(res);
		}
		vdb_remote_close(request);
	}
	deadlock_graph_resolve(&report);
	foreach(lc, report.waits)
		put_row(rsinfo, lfirst(lc));
	return (Datum) 0;
}

/* Give out one wait */
static void
put_row(ReturnSetInfo *rsinfo, const DeadlockWait *wait)
{
	Datum		values[12];
	bool		nulls[12] = {0};
	bool		known = wait->blocker.pid != 0;

	values[0] = Int32GetDatum(wait->waiter.group);
	values[1] = Int32GetDatum(wait->waiter.pid);
	nulls[2] = nulls[3] = !known;
	values[2] = Int32GetDatum(wait->blocker.group);
	values[3] = Int32GetDatum(wait->blocker.pid);
	nulls[4] = wait->gid == NULL;
	values[4] = wait->gid ? CStringGetTextDatum(wait->gid) : (Datum) 0;
	values[5] = Int32GetDatum(wait->group);
	values[6] = Int32GetDatum(wait->waiter_pid);
	nulls[7] = wait->blocker_pid == 0;
	values[7] = Int32GetDatum(wait->blocker_pid);
	values[8] = CStringGetTextDatum(wait->mode);
	values[9] = CStringGetTextDatum(wait->object);
	nulls[10] = wait->relation == NULL;
	values[10] = wait->relation ? CStringGetTextDatum(wait->relation) : (Datum) 0;
	values[11] = TimestampTzGetDatum(wait->wait_id);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}
