/*-------------------------------------------------------------------------
 *
 * recovery_round.c
 *	  Finish transactions that a crash left prepared at other groups.
 *
 * Each group looks after the transactions that it coordinated.  What decides
 * is whether our transaction has committed, which its record tells.  The order
 * matters:
 *
 *	 1. list what is prepared, at each group
 *	 2. see which of our transactions are still running: those are left alone
 *	 3. read the records, with a snapshot taken now
 *	 4. commit what has a record, roll back what has none
 *	 5. list what is prepared again, at each group that there is then, and
 *		delete the records of step 3 that nothing prepared belongs to
 *
 * A transaction runs until its backend has told the other groups, too.  One of
 * step 1 that is not running at step 2 has ended before step 3, so that its
 * record is seen there if it has committed.  A record of step 3
 * was written when all groups had prepared, so that a group where nothing of
 * its name is prepared at step 5 has committed it.  These are groups of the
 * cluster at step 3, some of which may not have been at step 1.
 *
 * IDENTIFICATION
 *	  src/recovery/recovery_round.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/indexing.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "storage/procarray.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "vecdb/catalog.h"
#include "vecdb/lib_compat.h"
#include "vecdb/lib_debug.h"
#include "vecdb/remote.h"
#include "vecdb/remote_fence.h"
#include "vecdb/remote_record.h"
#include "recovery_private.h"

/* How long a group has time to answer, in milliseconds */
#define ANSWER_MS 10000

/* For as long a group's synchronous standbys are waited for */
#define AWAIT_MS 1000

/* Something prepared at a group */
typedef struct PreparedEntry
{
	int			group;
	char	   *gid;
	char	   *name;			/* of the transaction: gid without the group */
} PreparedEntry;

/* A commit record */
typedef struct RecordEntry
{
	char	   *name;
	ItemPointerData tid;
} RecordEntry;

static bool list_prepared(List *groups, bool await, List **prepared,
						  List **actions);
static bool list_prepared_at(int group, bool await, List **prepared,
							 List **actions);
static bool is_running(const char *name);
static TimeLineID read_timeline(const char *name);
static List *read_records(Relation rel);
static RecordEntry *find_record(List *records, const char *name);
static bool finish(PreparedEntry *entry, bool commit, List **actions);
static bool delete_records(Relation rel, List *records, List *prepared);
static void add_action(List **actions, int group, const char *gid,
					   const char *what, const char *why);
static List *list_other_groups(void);

VDB_FUNCTION(vecdb_recover_transactions);

/* vecdb.recover_transactions(): one round, and what it did */
Datum
vecdb_recover_transactions(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	List	   *actions = NIL;
	ListCell   *lc;

	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser to recover transactions")));
	InitMaterializedSRF(fcinfo, 0);
	recovery_round(&actions);
	foreach(lc, actions)
	{
		RecoveryAction *action = lfirst(lc);
		Datum		values[4] = {0};
		bool		nulls[4] = {false, false, false, false};

		values[0] = Int32GetDatum(action->group);
		nulls[1] = action->gid == NULL;
		if (action->gid)
			values[1] = CStringGetTextDatum(action->gid);
		values[2] = CStringGetTextDatum(action->what);
		nulls[3] = action->why == NULL;
		if (action->why)
			values[3] = CStringGetTextDatum(action->why);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/*
 * recovery_round -- do one round
 *
 * Returns true when all groups were reached and nothing is left to be done.
 * Adds what was done, and what could not be, to *actions.
 */
bool
recovery_round(List **actions)
{
	List	   *groups = list_other_groups();
	List	   *prepared = NIL;
	List	   *again = NIL;
	List	   *settle = NIL;
	List	   *records;
	ListCell   *lc;
	Relation	rel;
	bool		complete;

	if (groups == NIL)
		return true;
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("cannot recover transactions on a standby")));
	if (vdb_remote_is_open())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("cannot recover transactions within one that uses other groups"),
				 errhint("Call vecdb.recover_transactions() in a transaction of its own.")));
	if (vdb_remote_is_fenced())
		ereport(ERROR,
				(errcode(VDB_ERRCODE_OUTDATED_PRIMARY),
				 errmsg("cannot recover transactions on an outdated primary"),
				 errdetail("Its successor does.")));

	/* lock rule 1: one round at a time */
	rel = table_open(vdb_remote_record_table(), ShareUpdateExclusiveLock);
	complete = list_prepared(groups, false, &prepared, actions);	/* step 1 */
	VDB_DEBUG_POINT("recovery_listed");
	foreach(lc, prepared)
	{
		PreparedEntry *entry = lfirst(lc);

		if (is_running(entry->name))	/* step 2 */
			complete = false;
		else
			settle = lappend(settle, entry);
	}
	records = read_records(rel);	/* step 3 */
	if (records != NIL && !vdb_remote_await_standbys(AWAIT_MS))
	{
		add_action(actions, vdb_catalog_cluster()->local_group, NULL,
				   "not replicated", "no standby has the commit records");
		table_close(rel, NoLock);
		return false;
	}
	foreach(lc, settle)
	{
		PreparedEntry *entry = lfirst(lc);

		complete &= finish(entry, find_record(records, entry->name) != NULL,
						   actions);	/* step 4 */
	}

	/*
	 * A record may be that of a transaction over a group that was added
	 * since.  Who adds a group is seen to have committed a moment before
	 * others are sent the news: so it is not enough to look whether they have
	 * come.
	 */
	if (records != NIL)
		InvalidateSystemCaches();
	groups = list_other_groups();
	/* what step 3 came too early for is the next round's */
	if (list_prepared(groups, records != NIL, &again, actions)) /* step 5 */
		complete &= delete_records(rel, records, again) && again == NIL;
	else
		complete = false;
	table_close(rel, NoLock);
	return complete;
}

/* The numbers of all groups but ours */
static List *
list_other_groups(void)
{
	const VdbCluster *cluster = vdb_catalog_cluster();
	List	   *groups = NIL;

	for (int i = 0; cluster && i < cluster->group_count; i++)
	{
		if (cluster->groups[i].id != cluster->local_group)
			groups = lappend_int(groups, cluster->groups[i].id);
	}
	return groups;
}

/*
 * List what is prepared of ours; false if a group could not be asked
 *
 * With "await" also if its synchronous standbys do not have all that it has
 * committed: another one of its hosts would have more prepared.
 */
static bool
list_prepared(List *groups, bool await, List **prepared, List **actions)
{
	bool		complete = true;
	ListCell   *lc;

	foreach(lc, groups)
		complete &= list_prepared_at(lfirst_int(lc), await, prepared, actions);
	return complete;
}

/* The same of one group */
static bool
list_prepared_at(int group, bool await, List **prepared, List **actions)
{
	VdbAnswer	answer;
	bool		complete = true;
	char	   *sql = psprintf("SELECT gid FROM pg_catalog.pg_prepared_xacts"
							   " WHERE database OPERATOR(pg_catalog.=)"
							   " pg_catalog.current_database()"
							   " AND pg_catalog.starts_with(gid, '%s')",
							   vdb_remote_record_prefix());

	/* in one statement, so that it is the same host */
	if (await)
		sql = psprintf("%s UNION ALL SELECT NULL"
					   " WHERE NOT vecdb.await_standbys(%d)", sql, AWAIT_MS);
	if (!vdb_remote_ask(group, sql, ANSWER_MS, &answer))
	{
		add_action(actions, group, NULL, "not reached", answer.why);
		return false;
	}
	for (int row = 0; answer.rows && row < PQntuples(answer.rows); row++)
	{
		PreparedEntry *entry = palloc(sizeof(PreparedEntry));
		char	   *end;

		if (PQgetisnull(answer.rows, row, 0))
		{
			add_action(actions, group, NULL, "not replicated",
					   "no standby there has all that is committed");
			complete = false;
			continue;
		}
		entry->group = group;
		entry->gid = pstrdup(PQgetvalue(answer.rows, row, 0));
		entry->name = pstrdup(entry->gid);
		end = strrchr(entry->name, '_');
		if (end)
			*end = '\0';
		*prepared = lappend(*prepared, entry);
	}
	PQclear(answer.rows);
	return complete;
}

/*
 * Is the transaction of that name still running here?
 *
 * The lock on its number is held until the end of its commit, when other
 * groups have been told to commit; it is not in progress any more by then.
 * One of a primary before us is not running, whatever its number; it was left
 * behind by the failover.  One of a primary after us is not ours to judge.
 */
static bool
is_running(const char *name)
{
	LOCKTAG		tag;
	const char *digits = strrchr(name, '_');
	FullTransactionId next = ReadNextFullTransactionId();
	TimeLineID	timeline;
	uint64		xid;

	if (digits == NULL)
		return true;			/* not one of ours: leave it alone */
	timeline = read_timeline(name);
	if (timeline != 0 && timeline != GetWALInsertionTimeLine())
		return timeline > GetWALInsertionTimeLine();
	xid = strtoull(digits + 1, NULL, 10);
	/* nothing that runs is as old as half the circle of transaction numbers */
	if (xid + PG_INT32_MAX < U64FromFullTransactionId(next))
		return false;
	if (TransactionIdIsInProgress((TransactionId) xid))
		return true;
	SET_LOCKTAG_TRANSACTION(tag, (TransactionId) xid);
	if (LockAcquire(&tag, ShareLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		return true;
	LockRelease(&tag, ShareLock, false);
	return false;
}

/* The timeline in the name of a transaction; 0: none, it is an old one */
static TimeLineID
read_timeline(const char *name)
{
	const char *rest = name + strlen(vdb_remote_record_prefix());
	int			pid;
	unsigned	timeline;

	return sscanf(rest, "%dt%u_", &pid, &timeline) == 2 ? timeline : 0;
}

/* All commit records that are visible now */
static List *
read_records(Relation rel)
{
	List	   *records = NIL;
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, snapshot, 0,
										  NULL);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		RecordEntry *record = palloc(sizeof(RecordEntry));
		bool		isnull;
		Datum		name = heap_getattr(tuple, 1, RelationGetDescr(rel), &isnull);

		record->name = TextDatumGetCString(name);
		record->tid = tuple->t_self;
		records = lappend(records, record);
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	return records;
}

/* The record of a transaction, or NULL */
static RecordEntry *
find_record(List *records, const char *name)
{
	ListCell   *lc;

	foreach(lc, records)
	{
		RecordEntry *record = lfirst(lc);

		if (strcmp(record->name, name) == 0)
			return record;
	}
	return NULL;
}

/* Commit or roll back what is prepared; false if that could not be done */
static bool
finish(PreparedEntry *entry, bool commit, List **actions)
{
	VdbAnswer	answer;

	if (vdb_remote_ask(entry->group,
					   psprintf("%s PREPARED %s",
								commit ? "COMMIT" : "ROLLBACK",
								quote_literal_cstr(entry->gid)),
					   ANSWER_MS, &answer))
	{
		add_action(actions, entry->group, entry->gid,
				   commit ? "committed" : "rolled back", NULL);
		return true;
	}
	/* the one who prepared it has been quicker */
	if (answer.sqlstate == ERRCODE_UNDEFINED_OBJECT)
		return true;
	add_action(actions, entry->group, entry->gid,
			   answer.sqlstate == ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION ?
			   "not reached" : "failed", answer.why);
	return false;
}

/*
 * Delete records that nothing prepared belongs to
 *
 * Returns false if one had to stay.
 */
static bool
delete_records(Relation rel, List *records, List *prepared)
{
	bool		all = true;
	ListCell   *lc;

	foreach(lc, records)
	{
		RecordEntry *record = lfirst(lc);
		bool		needed = false;
		ListCell   *lc2;

		foreach(lc2, prepared)
		{
			PreparedEntry *entry = lfirst(lc2);

			needed |= strcmp(entry->name, record->name) == 0;
		}
		if (needed)
			all = false;
		else
			CatalogTupleDelete(rel, &record->tid);
	}
	return all;
}

/* Note what was done, or could not be */
static void
add_action(List **actions, int group, const char *gid, const char *what,
		   const char *why)
{
	RecoveryAction *action = palloc(sizeof(RecoveryAction));

	action->group = group;
	action->gid = gid ? pstrdup(gid) : NULL;
	action->what = what;
	action->why = why ? pstrdup(why) : NULL;
	*actions = lappend(*actions, action);
}
