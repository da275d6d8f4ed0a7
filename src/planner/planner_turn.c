/*-------------------------------------------------------------------------
 *
 * planner_turn.c
 *	  Writers of a reference table take turns.
 *
 * A statement that writes a reference table is executed by each group under a
 * snapshot of its own.  So that all groups see the same transactions, whoever
 * finds rows by a condition keeps out all others who write the table, until the
 * transaction has ended in that group; and what it sees is what is there when
 * it has the lock.
 *
 * Each group does so where execution begins.  The executor has the lowest group
 * execute a statement before all others.  So who is first there is first
 * everywhere.
 *
 * IDENTIFICATION
 *	  src/planner/planner_turn.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/plannodes.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "planner_private.h"

static void lock_cascade(List *written);
static List *find_references(const PlannedStmt *stmt, bool written);
static bool only_inserts(const PlannedStmt *stmt);
static int	excluded_index(const PlannedStmt *stmt);
static void check_snapshot(QueryDesc *query, List *relids);
static bool is_same_snapshot(Snapshot one, Snapshot other);
static bool has_changed(Oid relid, Snapshot before, Snapshot now);
static void renew_snapshot(QueryDesc *query);

/*
 * planner_take_turn -- wait until a statement may write a reference table here
 *
 * Called in local mode, before execution begins; the tables are locked as any
 * statement locks them.  The query has another snapshot afterwards, unless it
 * inserts rows that are given; where the transaction has to keep its own, and
 * that may be another one than in other groups, there is an ERROR.
 *
 * INSERT		RowExclusiveLock, which does not conflict with itself: what it
 *				does depends on no snapshot, and unique indexes make it wait
 * foreign keys	the same
 * others		ShareRowExclusiveLock, which conflicts with all three; so does
 *				INSERT for a table that it reads as well
 * what they read	ShareLock
 */
void
planner_take_turn(QueryDesc *query)
{
	const PlannedStmt *stmt = query->plannedstmt;
	List	   *written = find_references(stmt, true);
	List	   *read;
	List	   *all;
	List	   *locked = NIL;
	bool		inserts = only_inserts(stmt);
	ListCell   *cell;

	if (written == NIL)
		return;
	if (InNoForceRLSOperation())
	{
		lock_cascade(written);
		return;
	}
	read = find_references(stmt, false);
	all = list_concat_unique_oid(list_copy(written), read);
	list_sort(all, list_oid_cmp);
	foreach(cell, all)
	{
		Oid			relid = lfirst_oid(cell);
		LOCKMODE	mode = ShareLock;

		if (list_member_oid(written, relid))
			mode = inserts && !list_member_oid(read, relid) ?
				RowExclusiveLock : ShareRowExclusiveLock;
		if (vdb_catalog_lock_copies(relid, mode) && mode != RowExclusiveLock)
			locked = lappend_oid(locked, relid);
	}
	if (inserts && read == NIL)
		return;
	if (!IsolationUsesXactSnapshot())
		renew_snapshot(query);
	else if (locked != NIL)
		check_snapshot(query, locked);
}

/*
 * Lock what a foreign key writes, as an INSERT does
 *
 * It needs no turn itself, and no other snapshot: no row can come to refer to
 * one that it changes, in no group, and those that did are locked in the lowest
 * first.  But who looks for rows must not see in one group what it has done,
 * and in another one not yet.
 */
static void
lock_cascade(List *written)
{
	ListCell   *cell;

	list_sort(written, list_oid_cmp);
	foreach(cell, written)
		(void) vdb_catalog_lock_copies(lfirst_oid(cell), RowExclusiveLock);
}

/*
 * The reference tables that a plan writes, or those that it reads besides
 *
 * A table may be there several times, written and read.
 */
static List *
find_references(const PlannedStmt *stmt, bool written)
{
	int			excluded = excluded_index(stmt);
	List	   *found = NIL;
	ListCell   *cell;

	foreach(cell, stmt->rtable)
	{
		const RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);
		int			index = foreach_current_index(cell) + 1;
		const VdbTable *table;

		if (rte->rtekind != RTE_RELATION || index == excluded ||
			list_member_int(stmt->resultRelations, index) != written)
			continue;
		table = vdb_catalog_table(rte->relid);
		if (table != NULL && table->kind == VDB_TABLE_REFERENCE)
			found = list_append_unique_oid(found, rte->relid);
	}
	return found;
}

/* What stands for the rows of "excluded" of ON CONFLICT, which nobody reads */
static int
excluded_index(const PlannedStmt *stmt)
{
	const ModifyTable *modify = (const ModifyTable *) stmt->planTree;

	return IsA(modify, ModifyTable) ? modify->exclRelRTI : 0;
}

/*
 * Does it insert, and no more?
 *
 * With ON CONFLICT DO NOTHING as well: it looks for rows in an index and waits
 * for those who insert them, whatever its snapshot.
 */
static bool
only_inserts(const PlannedStmt *stmt)
{
	const ModifyTable *modify = (const ModifyTable *) stmt->planTree;

	return stmt->commandType == CMD_INSERT && !stmt->hasModifyingCTE &&
		IsA(modify, ModifyTable) &&
		modify->onConflictAction != ONCONFLICT_UPDATE;
}

/*
 * An ERROR unless the transaction's snapshot shows what is there now
 *
 * Then it may show more or less than those of other groups do.
 */
static void
check_snapshot(QueryDesc *query, List *relids)
{
	Snapshot	now = RegisterSnapshot(GetLatestSnapshot());
	ListCell   *cell;

	now->curcid = query->snapshot->curcid;
	if (!is_same_snapshot(query->snapshot, now))
	{
		foreach(cell, relids)
		{
			if (has_changed(lfirst_oid(cell), query->snapshot, now))
				ereport(ERROR,
						(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						 errmsg("could not serialize access due to concurrent changes of reference table \"%s\"",
								get_rel_name(lfirst_oid(cell))),
						 errdetail("The transaction's snapshot is older than the changes, and that of another group may not be."),
						 errhint("The transaction might succeed if retried.")));
		}
	}
	UnregisterSnapshot(now);
}

/* Has no transaction ended in between? */
static bool
is_same_snapshot(Snapshot one, Snapshot other)
{
	return one->xmax == other->xmax && one->xcnt == other->xcnt &&
		memcmp(one->xip, other->xip, one->xcnt * sizeof(TransactionId)) == 0;
}

/* Is there a row that one snapshot shows and the other does not? */
static bool
has_changed(Oid relid, Snapshot before, Snapshot now)
{
	Relation	rel = table_open(relid, NoLock);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	TableScanDesc scan = table_beginscan(rel, SnapshotAny, 0, NULL);
	bool		changed = false;

	while (!changed &&
		   table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		CHECK_FOR_INTERRUPTS();
		changed = table_tuple_satisfies_snapshot(rel, slot, before) !=
			table_tuple_satisfies_snapshot(rel, slot, now);
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, NoLock);
	return changed;
}

/*
 * Let a query see what has been committed until now
 *
 * Its snapshot is the active one as well, of those who execute it: the
 * executor relies on that, and functions that it calls see by the active one.
 * Who made it active pops what is there then.
 */
static void
renew_snapshot(QueryDesc *query)
{
	CommandId	command = query->snapshot->curcid;
	Snapshot	now = RegisterSnapshot(GetLatestSnapshot());

	now->curcid = command;
	if (ActiveSnapshotSet() && GetActiveSnapshot() == query->snapshot)
	{
		PopActiveSnapshot();
		PushActiveSnapshot(now);
	}
	UnregisterSnapshot(query->snapshot);
	query->snapshot = now;
}
