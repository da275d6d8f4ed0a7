/*-------------------------------------------------------------------------
 *
 * executor_explain.c
 *	  What EXPLAIN shows of a fan-out.
 *
 * IDENTIFICATION
 *	  src/executor/executor_explain.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"

#include "vecdb/lib_compat.h"
#if VDB_HAS_EXPLAIN_NODE_HOOK
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#endif
#include "executor_private.h"

static void show_merge_keys(ExecutorFanout *fanout, List *ancestors,
							ExplainState *es);
static void show_groups(ExecutorFanout *fanout, ExplainState *es);

/*
 * executor_explain -- ExplainCustomScan of the fan-out node
 */
void
executor_explain(CustomScanState *node, List *ancestors, ExplainState *es)
{
	ExecutorFanout *fanout = (ExecutorFanout *) node;

	if (fanout->plan->sort_count > 0)
		show_merge_keys(fanout, ancestors, es);
	executor_explain_target(fanout->plan, fanout->params, es);
	if (es->verbose)
		ExplainPropertyText("Shard Statement", fanout->plan->sql, es);
	if (es->analyze)
	{
		/* the last execution has not been added up yet */
		if (fanout->started)
			executor_sources_close(fanout);
		show_groups(fanout, es);
	}
}

/* By what rows are merged, in the manner of a Sort */
static void
show_merge_keys(ExecutorFanout *fanout, List *ancestors, ExplainState *es)
{
	CustomScan *scan = (CustomScan *) fanout->node.ss.ps.plan;
	List	   *context = set_deparse_context_plan(es->deparse_cxt,
												   &scan->scan.plan,
												   ancestors);
	List	   *result = NIL;

	for (int i = 0; i < fanout->plan->sort_count; i++)
	{
		AttrNumber	column = fanout->plan->sort_columns[i];
		TargetEntry *entry = list_nth_node(TargetEntry,
										   scan->custom_scan_tlist,
										   column - 1);
		Node	   *expr = (Node *) entry->expr;
		Var		   *var = makeVar(INDEX_VAR, column, exprType(expr),
								  exprTypmod(expr), exprCollation(expr), 0);

		result = lappend(result, deparse_expression((Node *) var, context,
													es->verbose, true));
	}
	ExplainPropertyList("Merge Key", result, es);
}

/* executor_explain_target -- which groups a statement goes to */
void
executor_explain_target(const VdbPlan *plan, const ExecutorParams *params,
						ExplainState *es)
{
	List	   *groups = NIL;
	List	   *names = NIL;
	ListCell   *cell;

	if (plan->target == VDB_TARGET_KEY)
	{
		ExplainPropertyText("Groups", "by key, one", es);
		return;
	}
	groups = executor_groups(plan, params);
	list_sort(groups, list_int_cmp);
	foreach(cell, groups)
		names = lappend(names, psprintf("%d", lfirst_int(cell)));
	ExplainPropertyList("Groups", names, es);
}

/* What each group has done */
static void
show_groups(ExecutorFanout *fanout, ExplainState *es)
{
	ExplainOpenGroup("Group Shares", "Group Shares", false, es);
	for (int i = 0; i < fanout->total_count; i++)
	{
		ExecutorSource *total = &fanout->totals[i];
		const char *host = total->host ? total->host : "no host";

		if (es->format == EXPLAIN_FORMAT_TEXT)
		{
			appendStringInfoSpaces(es->str, es->indent * 2);
			appendStringInfo(es->str, "Group %d: %s", total->group, host);
			if (total->failed)
				appendStringInfoString(es->str, " left out");
			appendStringInfo(es->str, " rows=%.0f", total->rows);
			if (es->timing)
				appendStringInfo(es->str, " time=%.3f", total->time);
			appendStringInfoChar(es->str, '\n');
			continue;
		}
		ExplainOpenGroup("Group Share", NULL, true, es);
		ExplainPropertyInteger("Group", NULL, total->group, es);
		ExplainPropertyText("Host", host, es);
		ExplainPropertyBool("Left Out", total->failed, es);
		ExplainPropertyFloat("Rows", NULL, total->rows, 0, es);
		if (es->timing)
			ExplainPropertyFloat("Time", "ms", total->time, 3, es);
		ExplainCloseGroup("Group Share", NULL, true, es);
	}
	ExplainCloseGroup("Group Shares", "Group Shares", false, es);
}
