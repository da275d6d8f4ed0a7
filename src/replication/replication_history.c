/*-------------------------------------------------------------------------
 *
 * replication_history.c
 *	  Which leaders groups had: timeline history files, and Patroni's.
 *
 * Each promotion begins a timeline, and its history file lists those before
 * it.  Patroni knows besides when that was and who was promoted.
 *
 * IDENTIFICATION
 *	  src/replication/replication_history.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/stat.h>

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "access/xlogrecovery.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "replication_private.h"

/* Patroni is asked for what is not needed: not for long */
#define PATRONI_MS 3000

#define MAX_FILE (1024 * 1024)

static TimeLineID current_timeline(void);
static char *read_history(TimeLineID timeline);
static void show_group(ReturnSetInfo *rsinfo, const VdbGroup *group,
					   ReplicationHost *leader);
static bool ask_group(int group, TimeLineID *timeline, char **history);

VDB_FUNCTION(vecdb_timeline_history);
VDB_FUNCTION(vecdb_show_leader_history);

/* vecdb.timeline_history(): this node's timeline, and the file of those before */
Datum
vecdb_timeline_history(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Datum		values[2];
	bool		nulls[2] = {0};
	TimeLineID	timeline = current_timeline();

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = Int32GetDatum((int32) timeline);
	values[1] = CStringGetTextDatum(read_history(timeline));
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values,
											 nulls));
}

static TimeLineID
current_timeline(void)
{
	TimeLineID	timeline;

	if (RecoveryInProgress())
		(void) GetXLogReplayRecPtr(&timeline);
	else
		(void) GetFlushRecPtr(&timeline);
	return timeline;
}

/* The history file of a timeline; the first has none */
static char *
read_history(TimeLineID timeline)
{
	char		path[MAXPGPATH];
	FILE	   *file;
	char	   *text;
	size_t		length;

	if (timeline == 1)
		return pstrdup("");
	TLHistoryFilePath(path, timeline);
	file = AllocateFile(path, "r");
	if (file == NULL)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open file \"%s\": %m", path)));
	text = palloc(MAX_FILE + 1);

	length = fread(text, 1, MAX_FILE, file);
	if (ferror(file))
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read file \"%s\": %m", path)));
	text[		length] = '\0';

	FreeFile(file);
	return text;
}

/*
 * vecdb.show_leader_history(): for each group what its leader has in the file,
 * and what Patroni says
 */
Datum
vecdb_show_leader_history(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	const VdbCluster *cluster = vdb_catalog_cluster();
	ReplicationHost *hosts;
	int			count;

	InitMaterializedSRF(fcinfo, 0);
	hosts = replication_shared_hosts(&count);
	for (int i = 0; cluster && hosts && i < cluster->group_count; i++)
	{
		const VdbGroup *group = &cluster->groups[i];
		ReplicationHost *leader = replication_hosts_leader(hosts, count,
														   group->id);

		if (leader)
			show_group(rsinfo, group, leader);
		else
			ereport(WARNING,
					(errmsg("the history of group %d cannot be shown",
							group->id),
					 errdetail("It has no leader that this node sees.")));
	}
	return (Datum) 0;
}

/* The row of a group */
static void
show_group(ReturnSetInfo *rsinfo, const VdbGroup *group,
		   ReplicationHost *leader)
{
	Datum		values[4] = {0};
	bool		nulls[4] = {0};
	TimeLineID	timeline;
	char	   *history;

	if (group->id == vdb_catalog_cluster()->local_group)
	{
		timeline = current_timeline();
		history = read_history(timeline);
	}
	else if (!ask_group(group->id, &timeline, &history))
		return;
	values[0] = Int32GetDatum(group->id);
	values[1] = Int32GetDatum((int32) timeline);
	values[2] = CStringGetTextDatum(history);
	nulls[3] = true;
	if (leader->state.patroni_url[0])
	{
		TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
														   PATRONI_MS);
		ReplicationAnswer *answer = replication_patroni_try(leader->state.patroni_url,
															"GET", "/history",
															NULL, deadline);

		if (answer->status == 200 && answer->body[0] == '[')
		{
			values[3] = DirectFunctionCall1(jsonb_in,
											CStringGetDatum(answer->body));
			nulls[3] = false;
		}
		else
			ereport(WARNING,
					(errmsg("Patroni does not say when group %d changed its leader",
							group->id),
					 errdetail("Its answer at \"%s/history\", with status %ld, is: %s",
							   leader->state.patroni_url, answer->status,
							   answer->body)));
	}
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* Ask the primary of another group */
static bool
ask_group(int group, TimeLineID *timeline, char **history)
{
	VdbStatement statement = {
		.sql = "SELECT timeline, history FROM vecdb.timeline_history()",
		.once = true
	};
	VdbRequest *request = vdb_remote_send(group, &statement);
	PGresult   *res;
	bool		found = false;

	while ((res = vdb_remote_row(request)) != NULL)
	{
		if (PQntuples(res) == 1)
		{
			*timeline = strtoul(PQgetvalue(res, 0, 0), NULL, 10);
			*history = pstrdup(PQgetvalue(res, 0, 1));
			found = true;
		}
		PQclear(res);
	}
	vdb_remote_close(request);
	return found;
}
