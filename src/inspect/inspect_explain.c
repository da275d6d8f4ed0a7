/*-------------------------------------------------------------------------
 *
 * inspect_explain.c
 *	  What EXPLAIN (ANALYZE) says of scans of hnsw indexes.
 *
 * From PostgreSQL 18 on there is a hook for each node that EXPLAIN shows.
 * Before, what a node shows is not ours to add to, but three other hooks
 * together serve: ExplainOneQuery_hook tells where the text is made,
 * ExecutorFinish_hook which nodes there are, and the hook for names of
 * indexes when the text of such a node has been reached.  At that moment the
 * formats JSON, XML and YAML take further properties.  The text format is in
 * the middle of the node's first line, so the lines are kept until EXPLAIN is
 * done, and put behind that line then.
 *
 * EXPLAIN EXECUTE does not come through ExplainOneQuery_hook and shows nothing
 * of this before 18.  What parallel workers count stays in them, in all
 * versions.
 *
 * IDENTIFICATION
 *	  src/inspect/inspect_explain.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/explain.h"
#include "executor/executor.h"
#include "nodes/execnodes.h"
#include "nodes/nodeFuncs.h"
#include "tcop/tcopprot.h"
#include "utils/rel.h"

#include "vecdb/hnsw.h"
#include "vecdb/lib_compat.h"

#include "inspect_private.h"

#if VDB_HAS_EXPLAIN_NODE_HOOK
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#endif

static bool is_hnsw_scan(PlanState *node);
static void show_counters(IndexScanState *node, ExplainState *es);

/* Is this a node that has counters? */
static bool
is_hnsw_scan(PlanState *node)
{
	return IsA(node, IndexScanState) &&
		((IndexScanState *) node)->iss_RelationDesc != NULL &&
		vdb_hnsw_is_index(((IndexScanState *) node)->iss_RelationDesc);
}

/*
 * Add the counters of a node to its properties
 *
 * They are sums over all loops.  As with other counters, the text format is
 * spared those that have nothing to say; the others always have all of them.
 */
static void
show_counters(IndexScanState *node, ExplainState *es)
{
	VdbHnswScanCounters counters = {0};
	bool		is_text = es->format == EXPLAIN_FORMAT_TEXT;

	if (node->iss_ScanDesc != NULL)
		vdb_hnsw_scan_counters(node->iss_ScanDesc, &counters);
	if (counters.scans == 0 && is_text)
		return;

	ExplainPropertyInteger("HNSW ef_search", NULL, counters.ef_search, es);
	ExplainPropertyInteger("HNSW Records Visited", NULL, counters.visits, es);
	ExplainPropertyInteger("HNSW Distances", NULL, counters.distances, es);
	if (counters.estimates > 0 || !is_text)
		ExplainPropertyInteger("HNSW Estimates", NULL, counters.estimates, es);
	ExplainPropertyInteger("HNSW Batches", NULL, counters.batches, es);
	if (counters.sweeps > 0 || !is_text)
	{
		ExplainPropertyInteger("HNSW Sweeps", NULL, counters.sweeps, es);
		ExplainPropertyInteger("HNSW Sweep Distances", NULL, counters.swept,
							   es);
	}
}

#if VDB_HAS_EXPLAIN_NODE_HOOK

static explain_per_node_hook_type prev_explain_node = NULL;

/* explain_node -- our explain_per_node_hook */
static void
explain_node(PlanState *node, List *ancestors, const char *relationship,
			 const char *plan_name, ExplainState *es)
{
	if (es->analyze && is_hnsw_scan(node))
		show_counters((IndexScanState *) node, es);
	if (prev_explain_node != NULL)
		prev_explain_node(node, ancestors, relationship, plan_name, es);
}

/* inspect_explain_init -- set the hook */
void
inspect_explain_init(void)
{
	prev_explain_node = explain_per_node_hook;
	explain_per_node_hook = explain_node;
}

#else							/* !VDB_HAS_EXPLAIN_NODE_HOOK */

/* Lines that go behind the first line of a node */
typedef struct Lines
{
	int			position;		/* in the text, within that first line */
	char	   *text;
} Lines;

/* One EXPLAIN (ANALYZE) of a query under way */
typedef struct Explained
{
	struct Explained *outer;	/* the one that it runs within, or NULL */
	ExplainState *es;
	const char *query_string;
	bool		finished;		/* executed, so that the text comes next */
	List	   *nodes;			/* IndexScanState, those not shown so far */
	List	   *lines;			/* Lines, in order of position */
} Explained;

static Explained *current = NULL;

static ExplainOneQuery_hook_type prev_explain_query = NULL;
static ExecutorFinish_hook_type prev_executor_finish = NULL;
static explain_get_index_name_hook_type prev_index_name = NULL;

static void explain_query(Query *query, int cursor_options, IntoClause *into,
						  ExplainState *es, const char *query_string,
						  ParamListInfo params, QueryEnvironment *query_env);
static void explain_as_usual(Query *query, int cursor_options,
							 IntoClause *into, ExplainState *es,
							 const char *query_string, ParamListInfo params,
							 QueryEnvironment *query_env);
static void finish_executor(QueryDesc *query_desc);
static bool collect_nodes(PlanState *node, List **nodes);
static const char *name_index(Oid index_oid);
static void show_node(Explained *explained, IndexScanState *node);
static void insert_lines(Explained *explained);

/* inspect_explain_init -- set the hooks */
void
inspect_explain_init(void)
{
	prev_explain_query = ExplainOneQuery_hook;
	ExplainOneQuery_hook = explain_query;
	prev_executor_finish = ExecutorFinish_hook;
	ExecutorFinish_hook = finish_executor;
	prev_index_name = explain_get_index_name_hook;
	explain_get_index_name_hook = name_index;
}

/* explain_query -- our ExplainOneQuery_hook */
static void
explain_query(Query *query, int cursor_options, IntoClause *into,
			  ExplainState *es, const char *query_string,
			  ParamListInfo params, QueryEnvironment *query_env)
{
	ExplainOneQuery_hook_type next = prev_explain_query != NULL ?
	prev_explain_query : explain_as_usual;
	Explained	explained = {0};

	if (!es->analyze)
	{
		next(query, cursor_options, into, es, query_string, params, query_env);
		return;
	}

	explained.outer = current;
	explained.es = es;
	explained.query_string = query_string;
	current = &explained;
	PG_TRY();
	{
		next(query, cursor_options, into, es, query_string, params, query_env);
	}
	PG_FINALLY();
	{
		current = explained.outer;
	}
	PG_END_TRY();
	insert_lines(&explained);
}

/* What EXPLAIN does when there is no hook */
static void
explain_as_usual(Query *query, int cursor_options, IntoClause *into,
				 ExplainState *es, const char *query_string,
				 ParamListInfo params, QueryEnvironment *query_env)
{
#if VDB_HAS_STANDARD_EXPLAIN
	standard_ExplainOneQuery(query, cursor_options, into, es, query_string,
							 params, query_env);
#else
	BufferUsage before = pgBufferUsage;
	BufferUsage usage = {0};
	instr_time	begun;
	instr_time	duration;
	PlannedStmt *plan;

	INSTR_TIME_SET_CURRENT(begun);
	plan = pg_plan_query(query, query_string, cursor_options, params);
	INSTR_TIME_SET_CURRENT(duration);
	INSTR_TIME_SUBTRACT(duration, begun);
	BufferUsageAccumDiff(&usage, &pgBufferUsage, &before);
	ExplainOnePlan(plan, into, es, query_string, params, query_env,
				   &duration, es->buffers ? &usage : NULL);
#endif
}

/*
 * finish_executor -- our ExecutorFinish_hook
 *
 * The query that is explained is told from those that it runs within itself
 * by its text, which only it has at that address.
 */
static void
finish_executor(QueryDesc *query_desc)
{
	if (prev_executor_finish != NULL)
		prev_executor_finish(query_desc);
	else
		standard_ExecutorFinish(query_desc);

	if (current != NULL && !current->finished &&
		query_desc->instrument_options != 0 &&
		query_desc->sourceText == current->query_string)
	{
		current->finished = true;
		collect_nodes(query_desc->planstate, &current->nodes);
	}
}

/* All nodes with counters, in the order in which EXPLAIN shows them */
static bool
collect_nodes(PlanState *node, List **nodes)
{
	if (is_hnsw_scan(node))
		*nodes = list_append_unique_ptr(*nodes, node);
	return planstate_tree_walker(node, collect_nodes, nodes);
}

/*
 * name_index -- our explain_get_index_name_hook
 *
 * Only called where a node that scans the index is shown.
 */
static const char *
name_index(Oid index_oid)
{
	ListCell   *cell;

	if (current != NULL && current->finished)
	{
		foreach(cell, current->nodes)
		{
			IndexScanState *node = lfirst(cell);

			if (RelationGetRelid(node->iss_RelationDesc) != index_oid)
				continue;
			current->nodes = foreach_delete_current(current->nodes, cell);
			show_node(current, node);
			break;
		}
	}
	return prev_index_name != NULL ? prev_index_name(index_oid) : NULL;
}

/* Add the counters of a node, or keep them for insert_lines() */
static void
show_node(Explained *explained, IndexScanState *node)
{
	ExplainState *es = explained->es;
	StringInfo text = es->str;
	Lines	   *lines;

	if (es->format != EXPLAIN_FORMAT_TEXT)
	{
		show_counters(node, es);
		return;
	}

	es->str = makeStringInfo();
	show_counters(node, es);
	lines = palloc(sizeof(Lines));
	lines->position = text->len;

	lines->text = es->str->data;
	explained->lines = lappend(explained->lines, lines);
	es->str = text;
}

/* Put the lines that were kept behind the first lines of their nodes */
static void
insert_lines(Explained *explained)
{
	StringInfo	str = explained->es->str;
	StringInfoData text;
	int			done = 0;
	ListCell   *cell;

	if (explained->lines == NIL)
		return;

	initStringInfo(&text);
	foreach(cell, explained->lines)
	{
		Lines	   *lines = lfirst(cell);
		char	   *end = strchr(str->data + lines->position, '\n');
		int			position = end != NULL ? end - str->data + 1 : str->len;

		appendBinaryStringInfo(&text, str->data + done, position - done);
		appendStringInfoString(&text, lines->text);
		done = position;
	}
	appendBinaryStringInfo(&text, str->data + done, str->len - done);

	resetStringInfo(str);
	appendBinaryStringInfo(str, text.data, text.len);
	pfree(text.data);
}

#endif							/* VDB_HAS_EXPLAIN_NODE_HOOK */
