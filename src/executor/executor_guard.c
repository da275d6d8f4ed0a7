/*-------------------------------------------------------------------------
 *
 * executor_guard.c
 *	  The node that looks at rows which a trigger inserts.
 *
 * See planner_guard.c.  Rows pass as they are; one of another group is an
 * error.
 *
 * IDENTIFICATION
 *	  src/executor/executor_guard.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/lsyscache.h"

#include "vecdb/planner_write.h"
#include "executor_write.h"

typedef struct GuardState
{
	CustomScanState node;
	Oid			relid;
} GuardState;

static Node *create_guard(CustomScan *scan);
static void begin_guard(CustomScanState *node, EState *estate, int eflags);
static TupleTableSlot *exec_guard(CustomScanState *node);
static void end_guard(CustomScanState *node);
static void rescan_guard(CustomScanState *node);
static void check_group(Oid relid, TupleTableSlot *slot);

const CustomScanMethods executor_guard_methods = {
	.CustomName = VDB_GUARD_NODE,
	.CreateCustomScanState = create_guard
};

static const CustomExecMethods guard_exec_methods = {
	.CustomName = VDB_GUARD_NODE,
	.BeginCustomScan = begin_guard,
	.ExecCustomScan = exec_guard,
	.EndCustomScan = end_guard,
	.ReScanCustomScan = rescan_guard
};

static Node *
create_guard(CustomScan *scan)
{
	GuardState *state = (GuardState *) newNode(sizeof(GuardState),
											   T_CustomScanState);

	state->node.methods = &guard_exec_methods;
	state->relid = linitial_oid(scan->custom_private);
	return (Node *) state;
}

static void
begin_guard(CustomScanState *node, EState *estate, int eflags)
{
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;

	node->custom_ps = list_make1(ExecInitNode(linitial(scan->custom_plans),
											  estate, eflags));
}

static TupleTableSlot *
exec_guard(CustomScanState *node)
{
	TupleTableSlot *below = ExecProcNode(linitial(node->custom_ps));
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;
	int			count = slot->tts_tupleDescriptor->natts;

	ExecClearTuple(slot);
	if (TupIsNull(below))
		return slot;
	slot_getallattrs(below);
	memcpy(slot->tts_values, below->tts_values, count * sizeof(Datum));
	memcpy(slot->tts_isnull, below->tts_isnull, count * sizeof(bool));
	ExecStoreVirtualTuple(slot);
	check_group(((GuardState *) node)->relid, slot);
	if (node->ss.ps.ps_ProjInfo == NULL)
		return slot;
	ResetExprContext(node->ss.ps.ps_ExprContext);
	node->ss.ps.ps_ExprContext->ecxt_scantuple = slot;
	return ExecProject(node->ss.ps.ps_ProjInfo);
}

static void
end_guard(CustomScanState *node)
{
	ExecEndNode(linitial(node->custom_ps));
}

static void
rescan_guard(CustomScanState *node)
{
	ExecReScan(linitial(node->custom_ps));
}

/* Is a row one of this group?  Columns of INSERT are those of the table. */
static void
check_group(Oid relid, TupleTableSlot *slot)
{
	const VdbTable *table = vdb_catalog_table(relid);
	Datum		values[INDEX_MAX_KEYS];
	bool		nulls[INDEX_MAX_KEYS];
	int			group;

	if (table == NULL || table->kind != VDB_TABLE_DISTRIBUTED)
		return;
	for (int i = 0; i < table->key_count; i++)
	{
		values[i] = slot->tts_values[table->keys[i] - 1];
		nulls[i] = slot->tts_isnull[table->keys[i] - 1];
		if (nulls[i])
			executor_refuse_null(relid, table->keys[i]);
	}
	group = table->shard_groups[vdb_catalog_shard(table, values, nulls)];
	if (!executor_is_own_group(group))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a trigger cannot insert a row of group %d into distributed table \"%s\"",
						group, get_rel_name(relid)),
				 errdetail("Triggers fire in the group of the row that they are for, and write rows of this group only."),
				 errhint("Colocate the tables, and insert rows with the same distribution key.")));
}
