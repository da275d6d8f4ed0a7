/*-------------------------------------------------------------------------
 *
 * planner_mode.c
 *	  Plans that functions keep, and the mode that they were made in; plans that
 *	  depend on where the session reads.
 *
 * A plan made in local mode reads what this node has, another what all groups
 * have.  A function that keeps plans may be called in both: by a trigger in the
 * own group's share of a statement, and by the client.  So such a plan carries
 * a mark, as if it depended on a function with a certain hash value, and when
 * the mode changes, plans with the mark of the other one are invalidated as if
 * that function had been changed.
 *
 * Statements of clients and the own group's shares have no mark: they are
 * executed in the mode that they are planned in.
 *
 * A plan for which it was asked where the session reads has another mark, by
 * which the catalog room invalidates it when vecdb.read_from changes.
 *
 * IDENTIFICATION
 *	  src/planner/planner_mode.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "tcop/pquery.h"
#include "utils/fmgrprotos.h"
#include "utils/inval.h"
#include "utils/syscache.h"

#include "planner_private.h"

/*
 * The marks, by mode.  A function may have the same hash value by chance: then
 * plans are made again for nothing.
 */
static const uint32 marks[2] = {0x76656301, 0x76656302};

/* Plans that have been marked since the last time that they were forgotten */
static bool kept[2] = {false, false};

/* Has what is being planned asked where the session reads? */
static bool asked_level = false;

static void add_mark(PlannedStmt *stmt, uint32 mark);
static void forget(bool local);
static void leave_local(void);

/* planner_mode_init -- from vdb_planner_init() */
void
planner_mode_init(void)
{
	vdb_catalog_on_leave(leave_local);
}

/*
 * planner_is_nested -- is a statement planned by a function or trigger?
 *
 * A client's is planned before its portal runs, or is all that a portal runs.
 */
bool
planner_is_nested(int cursor_options)
{
	if ((cursor_options & VDB_CURSOR_OPT_SHARE) != 0)
		return false;
	if (ActivePortal != NULL)
		return true;
	/* triggers that were deferred fire when there is no portal any more */
	return planner_trigger_depth() > 0;
}

/* planner_trigger_depth -- how many triggers are being executed, one by another */
int
planner_trigger_depth(void)
{
	LOCAL_FCINFO(fcinfo, 0);

	InitFunctionCallInfoData(*fcinfo, NULL, 0, InvalidOid, NULL, NULL);
	return DatumGetInt32(pg_trigger_depth(fcinfo));
}

/* planner_mark_mode -- note in a plan what mode it was made in */
void
planner_mark_mode(PlannedStmt *stmt, int cursor_options)
{
	bool		local = vdb_catalog_local_mode();

	if (!planner_is_nested(cursor_options))
		return;
	add_mark(stmt, marks[local]);
	kept[local] = true;
}

static void
add_mark(PlannedStmt *stmt, uint32 mark)
{
	PlanInvalItem *item = makeNode(PlanInvalItem);

	item->cacheId = PROCOID;
	item->hashValue = mark;
	stmt->invalItems = lappend(stmt->invalItems, item);
}

/*
 * planner_begin_level -- a statement begins to be planned
 *
 * What is returned is for planner_mark_level().
 */
bool
planner_begin_level(void)
{
	bool		outer = asked_level;

	asked_level = false;
	return outer;
}

/*
 * planner_mark_level -- note in a plan if it depends on where the session reads
 *
 * What is planned within another statement may become a part of it, which
 * depends on that as well then.
 */
void
planner_mark_level(PlannedStmt *stmt, bool outer)
{
	if (asked_level)
		add_mark(stmt, VDB_READ_FROM_MARK);
	asked_level |= outer;
}

/* planner_reads_plainly -- vdb_catalog_reads_plainly(), for a plan */
bool
planner_reads_plainly(void)
{
	asked_level = true;
	return vdb_catalog_reads_plainly();
}

/* planner_reads_copies -- vdb_catalog_reads_copies(), for a plan */
bool
planner_reads_copies(void)
{
	asked_level = true;
	return vdb_catalog_reads_copies();
}

/* planner_has_mark -- was a plan made for a function or trigger? */
bool
planner_has_mark(const PlannedStmt *stmt)
{
	ListCell   *cell;

	foreach(cell, stmt->invalItems)
	{
		PlanInvalItem *item = lfirst_node(PlanInvalItem, cell);

		if (item->cacheId == PROCOID && item->hashValue == marks[true])
			return true;
	}
	return false;
}

void
vdb_planner_before_functions(void)
{
	if (vdb_catalog_local_mode())
		forget(false);
}

/* Called when this process leaves local mode, by an error perhaps. */
static void
leave_local(void)
{
	forget(true);
}

static void
forget(bool local)
{
	if (!kept[local])
		return;
	kept[local] = false;
	CallSyscacheCallbacks(PROCOID, marks[local]);
}
