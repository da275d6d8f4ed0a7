/*-------------------------------------------------------------------------
 *
 * executor_fanout_group.c
 *	  Where a shard statement goes.
 *
 * IDENTIFICATION
 *	  src/executor/executor_fanout_group.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/lsyscache.h"

#include "executor_private.h"

static List *key_group(const VdbPlan *plan, const VdbTable *table,
					   const ExecutorParams *params);

/*
 * executor_groups -- numbers of the groups that a plan goes to
 *
 * Params has been evaluated.
 */
List *
executor_groups(const VdbPlan *plan, const ExecutorParams *params)
{
	const VdbTable *table;

	switch (plan->target)
	{
		case VDB_TARGET_GROUPS:
			return list_copy(plan->groups);
		default:
			break;
	}

	table = vdb_catalog_table(plan->relid);
	if (table == NULL || table->kind != VDB_TABLE_DISTRIBUTED)
		executor_report_ordinary(plan->relid);
	return plan->target == VDB_TARGET_KEY ?
		key_group(plan, table, params) : executor_owner_groups(table);
}

/*
 * executor_here -- the group of these whose rows are read in this process
 *
 * 0: none, as our own is not among them, or has to be read at another host.
 */
int
executor_here(const List *groups, VdbReadFrom level)
{
	int			own = vdb_catalog_cluster()->local_group;

	return list_member_int(groups, own) && vdb_remote_reads_own(level) ?
		own : 0;
}

/*
 * executor_owner_groups -- all groups that own shards of a table, the own last
 */
List *
executor_owner_groups(const VdbTable *table)
{
	bool		seen[VDB_MAX_GROUPS + 1] = {false};
	int			own = vdb_catalog_cluster()->local_group;
	bool		own_seen = false;
	List	   *groups = NIL;

	for (int i = 0; i < table->shard_count; i++)
	{
		int			group = table->shard_groups[i];

		if (group == own)
			own_seen = true;
		else if (group > VDB_MAX_GROUPS)
			groups = list_append_unique_int(groups, group);
		else if (!seen[group])
		{
			seen[group] = true;
			groups = lappend_int(groups, group);
		}
	}
	return own_seen ? lappend_int(groups, own) : groups;
}

/* executor_report_ordinary -- the plan has outlived what it was made for */
void
executor_report_ordinary(Oid relid)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("table \"%s\" is not distributed any more",
					get_rel_name(relid)),
			 errhint("Execute the statement again.")));
}

/* The group of the key whose values follow the parameters */
static List *
key_group(const VdbPlan *plan, const VdbTable *table,
		  const ExecutorParams *params)
{
	Datum		values[INDEX_MAX_KEYS];
	bool		nulls[INDEX_MAX_KEYS];
	int			group;
	ListCell   *cell;

	foreach(cell, plan->key_exprs)
	{
		int			i = foreach_current_index(cell);
		int			number = lfirst_int(cell);

		if (params->nulls[number])
			return list_make1_int(vdb_catalog_cluster()->local_group);
		values[i] = params->datums[number];
		nulls[i] = false;
	}
	if (plan->command == CMD_INSERT)
		group = table->shard_groups[vdb_catalog_shard(table, values, nulls)];
	else
		group = vdb_planner_group(table, values, nulls);
	/* no row has the key: any group knows that */
	if (group == 0)
		group = vdb_catalog_cluster()->local_group;
	return list_make1_int(group);
}
