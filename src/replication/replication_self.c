/*-------------------------------------------------------------------------
 *
 * replication_self.c
 *	  What this node says of itself to those who ask.
 *
 * IDENTIFICATION
 *	  src/replication/replication_self.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xlog.h"
#include "access/xlogrecovery.h"
#include "catalog/pg_database.h"
#include "commands/trigger.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "replication/syncrep.h"
#include "replication/walreceiver.h"
#include "storage/lock.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/pg_lsn.h"

#include "replication_private.h"

static void take_timelines(ArrayType *groups, ArrayType *timelines);
static Datum form_row(FunctionCallInfo fcinfo, const ReplicationState *state);

VDB_FUNCTION(vecdb_node_state);
VDB_FUNCTION(vecdb_replication_changed);

/* replication_self_read -- what this node is now; within a transaction */
void
replication_self_read(ReplicationState *state)
{
	const VdbCluster *cluster = vdb_catalog_cluster();

	memset(state, 0, sizeof(ReplicationState));
	if (cluster)
	{
		state->in_cluster = true;
		state->cluster_id = cluster->id;
		state->group = cluster->local_group;
		state->epoch = cluster->epoch;
	}
	state->instance = replication_shared_instance();
	state->system_identifier = GetSystemIdentifier();
	state->in_recovery = RecoveryInProgress();
	if (state->in_recovery)
	{
		state->streaming = WalRcvStreaming();
		state->replayed = GetXLogReplayRecPtr(&state->timeline);
		state->flushed = Max(GetWalRcvFlushRecPtr(NULL, NULL),
							 state->replayed);
	}
	else
	{
		SyncRepStandbyData *standbys = NULL;

		state->flushed = GetFlushRecPtr(&state->timeline);
		state->replayed = state->flushed;
		state->sync_standbys = SyncRepGetCandidateStandbys(&standbys);
		state->sync_required = SyncRepConfig ? SyncRepConfig->num_sync : 0;
	}
	strlcpy(state->patroni_url, replication_patroni_url,
			REPLICATION_URL_SIZE);
	strlcpy(state->zone, replication_zone, REPLICATION_ZONE_SIZE);
}

/*
 * replication_self_is_in_the_way -- does somebody want this database to itself?
 *
 * DROP DATABASE and others lock it, and wait a few seconds for sessions to go.
 */
bool
replication_self_is_in_the_way(void)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, InvalidOid, DatabaseRelationId, MyDatabaseId, 0);
	if (LockAcquire(&tag, RowExclusiveLock, false, true) ==
		LOCKACQUIRE_NOT_AVAIL)
		return true;
	LockRelease(&tag, RowExclusiveLock, false);
	return false;
}

/*
 * vecdb.node_state(): what probers ask
 *
 * They tell as well which timelines they have seen, which only sessions that
 * work for another node may.
 */
Datum
vecdb_node_state(PG_FUNCTION_ARGS)
{
	ReplicationState state;

	if (!replication_shared_exists())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("vecdb is not preloaded"),
				 errhint("Add vecdb to shared_preload_libraries, and restart the server.")));
	if (!PG_ARGISNULL(0) && !PG_ARGISNULL(1))
	{
		if (!vdb_catalog_local_mode())
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("only nodes of the cluster tell each other what timelines there are")));
		if (replication_self_is_in_the_way())
			ereport(FATAL,
					(errcode(ERRCODE_ADMIN_SHUTDOWN),
					 errmsg("somebody wants this database without sessions in it")));
		take_timelines(PG_GETARG_ARRAYTYPE_P(0), PG_GETARG_ARRAYTYPE_P(1));
	}
	replication_self_read(&state);
	return form_row(fcinfo, &state);
}

/* Note which timelines another node has seen */
static void
take_timelines(ArrayType *groups, ArrayType *timelines)
{
	int			count = ArrayGetNItems(ARR_NDIM(groups), ARR_DIMS(groups));
	int32	   *group = (int32 *) ARR_DATA_PTR(groups);
	int32	   *timeline = (int32 *) ARR_DATA_PTR(timelines);

	if (ARR_HASNULL(groups) || ARR_HASNULL(timelines) ||
		ArrayGetNItems(ARR_NDIM(timelines), ARR_DIMS(timelines)) != count)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("groups and timelines do not go together")));
	if (vdb_catalog_cluster() == NULL)
		return;
	for (int i = 0; i < count; i++)
		(void) vdb_remote_saw_timeline(group[i], (TimeLineID) timeline[i]);
}

/* The row that the function returns */
static Datum
form_row(FunctionCallInfo fcinfo, const ReplicationState *state)
{
	TupleDesc	desc;
	Datum		values[14] = {0};
	bool		nulls[14] = {0};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	nulls[0] = nulls[1] = nulls[11] = !state->in_cluster;
	values[0] = UUIDPGetDatum(&state->cluster_id);
	values[1] = Int32GetDatum(state->group);
	values[2] = CStringGetTextDatum(psprintf(UINT64_FORMAT,
											 state->instance));
	values[3] = CStringGetTextDatum(psprintf(UINT64_FORMAT,
											 state->system_identifier));
	values[4] = BoolGetDatum(state->in_recovery);
	values[5] = BoolGetDatum(state->streaming);
	values[6] = Int32GetDatum((int32) state->timeline);
	values[7] = LSNGetDatum(state->flushed);
	values[8] = LSNGetDatum(state->replayed);
	values[9] = Int32GetDatum(state->sync_required);
	values[10] = Int32GetDatum(state->sync_standbys);
	values[11] = Int64GetDatum(state->epoch);
	values[12] = CStringGetTextDatum(state->patroni_url);
	values[13] = CStringGetTextDatum(state->zone);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values,
											 nulls));
}

/* Trigger function: this database has become a member, or is none any more */
Datum
vecdb_replication_changed(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager",
						"replication_changed")));
	if (replication_shared_exists())
		replication_shared_request(MyDatabaseId, REPLICATION_TRIES);
	return PointerGetDatum(NULL);
}
