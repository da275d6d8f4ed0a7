/*-------------------------------------------------------------------------
 *
 * inspect_recall.c
 *	  vecdb.recall(): how much of the truth does an index find, how fast?
 *
 * Values of indexed rows, chosen at random, are searched for twice, by SQL
 * like a user's: with no index at all, which is exact, and through the index
 * in question.  The row whose value it is does not count, since an index that
 * finds nothing else finds that.
 *
 * All is read under one snapshot.  The statements run as the owner of the
 * table, restricted like those of REINDEX and with a safe search_path, because
 * expressions of the index are the owner's and not to be run with the rights
 * of whoever calls this.  What comes out is a share and two times, nothing of
 * the rows; who is subject to row security may not call it all the same.
 *
 * That a statement uses the index in question and no other, or none, is seen
 * to by a hook of the planner, which hides the others while these statements
 * are planned.
 *
 * IDENTIFICATION
 *	  src/inspect/inspect_recall.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type_d.h"
#include "common/pg_prng.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/plannodes.h"
#include "optimizer/plancat.h"
#include "portability/instr_time.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/rel.h"
#include "utils/rls.h"

#include "vecdb/lib_compat.h"

#include "inspect_private.h"

#define MAX_QUERIES	100000
#define MAX_K		100000

VDB_FUNCTION(vecdb_recall);

/* One value that is searched for */
typedef struct RecallQuery
{
	ItemPointerData self;		/* the row that it comes from */
	Datum		value;			/* as it is in the table, maybe toasted */
	int			expected;		/* rows that there are to be found, up to k */
	double		farthest;		/* how far the last of those is */
} RecallQuery;

typedef struct Recall
{
	Relation	rel;
	Relation	heap;
	int			k;
	Oid			type;			/* of values */
	/* parts of statements */
	char	   *table;
	char	   *expression;		/* column or expression that is indexed */
	char	   *operator;
	char	   *predicate;		/* of a partial index, or NULL */
	/* the sample */
	RecallQuery *queries;
	int			query_count;
	MemoryContext query_context;	/* reset for each query */
	/* what came out */
	int64		expected;
	int64		found;
	double		index_ms;
	double		exact_ms;
} Recall;

/* While our statements are planned and run: what the planner is shown */
static Oid	planned_table = InvalidOid;
static Oid	planned_index = InvalidOid;

static get_relation_info_hook_type prev_relation_info = NULL;

static void hide_indexes(PlannerInfo *root, Oid table, bool inherits,
						 RelOptInfo *rel);
static int	get_count(FunctionCallInfo fcinfo, int number, const char *name,
					  int limit);
static void check_row_security(Relation heap);
static void set_locally(const char *name, const char *value);
static void measure(Recall *recall, int queries, int64 seed);
static void describe_index(Recall *recall);
static void choose_queries(Recall *recall, int queries, int64 seed);
static SPIPlanPtr prepare(Recall *recall, Oid index_oid);
static bool plan_uses_index(SPIPlanPtr plan, Oid index_oid);
static void search_exactly(Recall *recall, SPIPlanPtr plan);
static void search_index(Recall *recall, SPIPlanPtr plan);
static double search(Recall *recall, SPIPlanPtr plan, RecallQuery *query);
static bool next_distance(RecallQuery *query, uint64 *at, double *distance);
static Datum form_result(FunctionCallInfo fcinfo, const Recall *recall);

/* inspect_recall_init -- set the hook */
void
inspect_recall_init(void)
{
	prev_relation_info = get_relation_info_hook;
	get_relation_info_hook = hide_indexes;
}

/* hide_indexes -- our get_relation_info_hook */
static void
hide_indexes(PlannerInfo *root, Oid table, bool inherits, RelOptInfo *rel)
{
	ListCell   *cell;

	if (prev_relation_info != NULL)
		prev_relation_info(root, table, inherits, rel);
	if (likely(table != planned_table))
		return;
	foreach(cell, rel->indexlist)
	{
		IndexOptInfo *index = lfirst_node(IndexOptInfo, cell);

		if (index->indexoid != planned_index)
			rel->indexlist = foreach_delete_current(rel->indexlist, cell);
	}
}

/*
 * vecdb.recall(index regclass, queries integer, k integer, ef_search integer,
 *				seed bigint)
 *	  returns (recall, sampled, index_ms, exact_ms)
 */
Datum
vecdb_recall(PG_FUNCTION_ARGS)
{
	Recall		recall = {0};
	int			queries = get_count(fcinfo, 1, "queries", MAX_QUERIES);
	int64		seed = PG_ARGISNULL(4) ?
	(int64) pg_prng_uint64(&pg_global_prng_state) : PG_GETARG_INT64(4);
	Oid			user;
	int			context;
	int			nest_level;

	recall.k = get_count(fcinfo, 2, "k", MAX_K);
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("index must not be null")));

	recall.rel = inspect_open_index(PG_GETARG_OID(0), "measure", &recall.heap);
	check_row_security(recall.heap);

	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(recall.heap->rd_rel->relowner,
						   context | SECURITY_RESTRICTED_OPERATION);
	nest_level = NewGUCNestLevel();
	set_locally("search_path", "pg_catalog, pg_temp");
	set_locally("plan_cache_mode", "force_generic_plan");
	set_locally("jit", "off");
	if (!PG_ARGISNULL(3))
		set_locally("hnsw.ef_search", psprintf("%d", PG_GETARG_INT32(3)));

	planned_table = RelationGetRelid(recall.heap);
	PG_TRY();
	{
		SPI_connect();
		measure(&recall, queries, seed);
		SPI_finish();
	}
	PG_FINALLY();
	{
		planned_table = planned_index = InvalidOid;
	}
	PG_END_TRY();

	AtEOXact_GUC(false, nest_level);
	SetUserIdAndSecContext(user, context);
	inspect_close_index(recall.rel, recall.heap);
	return form_result(fcinfo, &recall);
}

/* An argument that says how many: from 1 to "limit" */
static int
get_count(FunctionCallInfo fcinfo, int number, const char *name, int limit)
{
	int			count;

	if (PG_ARGISNULL(number))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name)));
	count = PG_GETARG_INT32(number);
	if (count < 1 || count > limit)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be between 1 and %d", name, limit)));
	return count;
}

/* Who does not see all rows would learn something of those hidden */
static void
check_row_security(Relation heap)
{
	if (check_enable_rls(RelationGetRelid(heap), InvalidOid, true) ==
		RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("cannot measure an index of table \"%s\" because of its row security policies",
						RelationGetRelationName(heap)),
				 errhint("The owner of the table, and roles with BYPASSRLS, may.")));
}

/* SET, until the caller ends its level */
static void
set_locally(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/* Everything between SPI_connect() and SPI_finish() */
static void
measure(Recall *recall, int queries, int64 seed)
{
	recall->query_context = AllocSetContextCreate(CurrentMemoryContext,
												  "vecdb recall query",
												  ALLOCSET_DEFAULT_SIZES);
	describe_index(recall);
	choose_queries(recall, queries, seed);
	search_exactly(recall, prepare(recall, InvalidOid));

	set_locally("enable_seqscan", "off");
	set_locally("enable_indexscan", "on");
	search_index(recall, prepare(recall, RelationGetRelid(recall->rel)));
}

/*
 * The parts of statements, as PostgreSQL's own functions write them
 *
 * Names come out qualified where search_path does not lead to them, which is
 * pg_catalog only.
 */
static void
describe_index(Recall *recall)
{
	Oid			types[] = {OIDOID};
	Datum		values[] = {ObjectIdGetDatum(RelationGetRelid(recall->rel))};
	HeapTuple	row;
	TupleDesc	desc;
	bool		isnull;

	SPI_execute_with_args(
						  "SELECT format('%I.%I', n.nspname, c.relname),"
						  "  pg_get_indexdef(i.indexrelid, 1, false),"
						  "  format('OPERATOR(%I.%s)', m.nspname, o.oprname),"
						  "  pg_get_expr(i.indpred, i.indrelid), o.oprright"
						  " FROM pg_index i"
						  " JOIN pg_class c ON c.oid = i.indrelid"
						  " JOIN pg_namespace n ON n.oid = c.relnamespace"
						  " JOIN pg_opclass k ON k.oid = i.indclass[0]"
						  " JOIN pg_amop a ON a.amopfamily = k.opcfamily"
						  "  AND a.amoplefttype = k.opcintype"
						  "  AND a.amopstrategy = 1"
						  " JOIN pg_operator o ON o.oid = a.amopopr"
						  " JOIN pg_namespace m ON m.oid = o.oprnamespace"
						  " WHERE i.indexrelid = $1",
						  1, types, values, NULL, true, 1);
	if (SPI_processed != 1)
		elog(ERROR, "no ordering operator for index \"%s\"",
			 RelationGetRelationName(recall->rel));

	row = SPI_tuptable->vals[0];
	desc = SPI_tuptable->tupdesc;
	recall->table = SPI_getvalue(row, desc, 1);
	recall->expression = SPI_getvalue(row, desc, 2);
	recall->operator = SPI_getvalue(row, desc, 3);
	recall->predicate = SPI_getvalue(row, desc, 4);
	recall->type = DatumGetObjectId(SPI_getbinval(row, desc, 5, &isnull));
}

/*
 * Choose values to be searched for
 *
 * Rows in the order of a hash of where they are, so that the same seed
 * chooses the same rows while the table stays as it is.  Rows that are not in
 * the index, because nothing is near to them, do not come into question.
 */
static void
choose_queries(Recall *recall, int queries, int64 seed)
{
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(seed)};
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "SELECT ctid, %s FROM ONLY %s"
					 " WHERE (%s %s %s) <> 'NaN'::float8",
					 recall->expression, recall->table, recall->expression,
					 recall->operator, recall->expression);
	if (recall->predicate != NULL)
		appendStringInfo(&sql, " AND (%s)", recall->predicate);
	appendStringInfo(&sql, " ORDER BY hashtidextended(ctid, $1) LIMIT %d",
					 queries);
	SPI_execute_with_args(sql.data, 1, types, values, NULL, true, 0);

	/* SPI_tuptable stays, and the values in it */
	recall->query_count = SPI_processed;
	recall->queries = palloc0(sizeof(RecallQuery) * Max(SPI_processed, 1));
	for (int i = 0; i < recall->query_count; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;

		recall->queries[i].self =
			*(ItemPointer) DatumGetPointer(SPI_getbinval(row, desc, 1,
														 &isnull));
		recall->queries[i].value = SPI_getbinval(row, desc, 2, &isnull);
	}
}

/*
 * Prepare the search through an index, or through none (InvalidOid)
 *
 * One more than k is asked for, because the row itself is among them.
 */
static SPIPlanPtr
prepare(Recall *recall, Oid index_oid)
{
	StringInfoData sql;
	SPIPlanPtr	plan;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT ctid, %s %s $1 FROM ONLY %s",
					 recall->expression, recall->operator, recall->table);
	if (recall->predicate != NULL)
		appendStringInfo(&sql, " WHERE (%s)", recall->predicate);
	appendStringInfo(&sql, " ORDER BY 2 LIMIT %d", recall->k + 1);

	planned_index = index_oid;
	plan = SPI_prepare(sql.data, 1, &recall->type);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s",
			 SPI_result_code_string(SPI_result));
	if (OidIsValid(index_oid) && !plan_uses_index(plan, index_oid))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("PostgreSQL does not use index \"%s\" for a search",
						RelationGetRelationName(recall->rel)),
				 errdetail("The statement was: %s", sql.data)));
	return plan;
}

/* Does the plan scan that index? */
static bool
plan_uses_index(SPIPlanPtr plan, Oid index_oid)
{
	CachedPlan *cached = SPI_plan_get_cached_plan(plan);
	Plan	   *node;
	bool		uses;

	if (cached == NULL)
		return false;
	node = linitial_node(PlannedStmt, cached->stmt_list)->planTree;
	while (node->lefttree != NULL)
		node = node->lefttree;
	uses = IsA(node, IndexScan) && ((IndexScan *) node)->indexid == index_oid;
	ReleaseCachedPlan(cached, NULL);
	return uses;
}

/* Learn for each query how far the farthest of the k nearest is */
static void
search_exactly(Recall *recall, SPIPlanPtr plan)
{
	for (int i = 0; i < recall->query_count; i++)
	{
		RecallQuery *query = &recall->queries[i];
		uint64		at = 0;
		double		distance;

		recall->exact_ms += search(recall, plan, query);
		while (query->expected < recall->k &&
			   next_distance(query, &at, &distance))
		{
			query->farthest = distance;
			query->expected++;
		}
		recall->expected += query->expected;
		SPI_freetuptable(SPI_tuptable);
	}
}

/*
 * Count what the index finds that is not farther
 *
 * Distances come from the same operator in both statements, so those of equal
 * values are equal to the last bit, and a row as near as the last of the k
 * nearest counts as one of them.
 */
static void
search_index(Recall *recall, SPIPlanPtr plan)
{
	for (int i = 0; i < recall->query_count; i++)
	{
		RecallQuery *query = &recall->queries[i];
		uint64		at = 0;
		double		distance;

		recall->index_ms += search(recall, plan, query);
		for (int found = 0; found < query->expected &&
			 next_distance(query, &at, &distance); found++)
		{
			if (distance <= query->farthest)
				recall->found++;
		}
		SPI_freetuptable(SPI_tuptable);
	}
}

/* Run a statement for one query; returns how long that took, in ms */
static double
search(Recall *recall, SPIPlanPtr plan, RecallQuery *query)
{
	MemoryContext old;
	Datum		values[1];
	instr_time	begun;
	instr_time	duration;
	int			result;

	CHECK_FOR_INTERRUPTS();
	MemoryContextReset(recall->query_context);
	old = MemoryContextSwitchTo(recall->query_context);
	values[0] = PointerGetDatum(PG_DETOAST_DATUM_COPY(query->value));
	MemoryContextSwitchTo(old);

	INSTR_TIME_SET_CURRENT(begun);
	result = SPI_execute_plan(plan, values, NULL, true, 0);
	INSTR_TIME_SET_CURRENT(duration);
	INSTR_TIME_SUBTRACT(duration, begun);
	if (result != SPI_OK_SELECT)
		elog(ERROR, "SPI_execute_plan failed: %s",
			 SPI_result_code_string(result));
	return INSTR_TIME_GET_MILLISEC(duration);
}

/*
 * The distance of the next row of the result in SPI_tuptable, from row *at on
 *
 * Passes the row over that the query comes from.  False at the end; rows that
 * have no distance are as good as that, for they come last.
 */
static bool
next_distance(RecallQuery *query, uint64 *at, double *distance)
{
	while (*at < SPI_processed)
	{
		HeapTuple	row = SPI_tuptable->vals[(*at)++];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;
		Datum		value = SPI_getbinval(row, desc, 2, &isnull);
		Datum		tid;

		if (isnull || isnan(DatumGetFloat8(value)))
			return false;
		*distance = DatumGetFloat8(value);
		tid = SPI_getbinval(row, desc, 1, &isnull);
		/* either may be (0,0), which ItemPointerEquals() does not allow */
		if (ItemPointerCompare((ItemPointer) DatumGetPointer(tid),
							   &query->self) != 0)
			return true;
	}
	return false;
}

/* The row that is returned; null where there was nothing to measure */
static Datum
form_result(FunctionCallInfo fcinfo, const Recall *recall)
{
	TupleDesc	desc;
	Datum		values[4] = {0};
	bool		nulls[4] = {false};
	int			count = recall->query_count;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");

	nulls[0] = recall->expected == 0;
	nulls[2] = nulls[3] = count == 0;
	if (recall->expected > 0)
		values[0] = Float8GetDatum((double) recall->found / recall->expected);
	values[1] = Int32GetDatum(count);
	if (count > 0)
	{
		values[2] = Float8GetDatum(recall->index_ms / count);
		values[3] = Float8GetDatum(recall->exact_ms / count);
	}
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values,
											 nulls));
}
