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
static TupleTableSlot *exec_guard(CustomScanState *node);
static void check_group(Oid relid, TupleTableSlot *slot);

const CustomScanMethods executor_guard_methods = {
	.CustomName = VDB_GUARD_NODE,
	.CreateCustomScanState = create_guard
};

static const CustomExecMethods guard_exec_methods = {
	.CustomName = VDB_GUARD_NODE,
	.BeginCustomScan = executor_pass_begin,
	.ExecCustomScan = exec_guard,
	.EndCustomScan = executor_pass_end,
	.ReScanCustomScan = executor_pass_rescan
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

static TupleTableSlot *
exec_guard(CustomScanState *node)
{
	TupleTableSlot *slot = executor_pass_row(node);

	if (TupIsNull(slot))
		return slot;
	check_group(((GuardState *) node)->relid, slot);
	if (node->ss.ps.ps_ProjInfo == NULL)
		return slot;
	ResetExprContext(node->ss.ps.ps_ExprContext);
	node->ss.ps.ps_ExprContext->ecxt_scantuple = slot;
	return ExecProject(node->ss.ps.ps_ProjInfo);
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
