/*-------------------------------------------------------------------------
 *
 * hnsw_scan.c
 *	  Index scans: rows in the order of an ordering operator.
 *
 * The first call searches for ef_search vertices and returns their rows
 * nearest first.  What happens when the executor wants more, because a filter
 * took some away, depends on iterative_scan.  Both are settings, and options
 * of the index where nothing is set (hnsw_get_ef_search()):
 *
 *	off				the scan ends
 *	relaxed_order	the search goes on for the next ef_search vertices, which
 *					may bring rows a little nearer than the last ones
 *	strict_order	the same, but such late rows are left out
 *
 * After hnsw.max_scan_tuples vertices, or when work_mem is used up, or when
 * the graph leads nowhere else, a sweep reads the rest of the index in the
 * order of its pages and sorts it.  That is what makes "never fewer than LIMIT
 * rows that exist" true: in relaxed order every row comes in the end, whatever
 * the filter and whatever the graph.
 *
 * A coded index does not know exact distances.  It returns for each row a
 * lower bound and asks the executor to compute the distance from the row and
 * to put rows in order (xs_recheckorderby), as GiST does.
 *
 * No lock is kept between rows, nor a pin of the index.  A heap row may be
 * removed by VACUUM and its place be reused after we copied the TID, but then
 * it was not visible to our snapshot before and its successor is not either;
 * so only MVCC snapshots will do.
 *
 * IDENTIFICATION
 *	  src/hnsw/hnsw_scan.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/relscan.h"
#include "access/tupdesc.h"
#include "catalog/pg_operator_d.h"
#include "catalog/pg_type_d.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/float.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/spccache.h"
#include "utils/tuplesort.h"

#include "vecdb/hnsw.h"

#include "hnsw_private.h"

/* How many rows of a batch the kernel is asked to read beforehand */
#define ADVISED_ROWS	16

/* How many rows of a batch the processor is asked to have a look at */
#define PREFETCHED_ROWS	12

/* Batches up to this size are sorted by insertion */
#define INSERTION_SORT_LIMIT	256

/* Reading what a search has not found, in the order of distance */
typedef struct HnswSweep
{
	HnswIndex  *index;
	const HnswQuery *query;		/* NULL: any order will do */
	VdbVisited	found;			/* keys of records not to return again */
	Tuplesortstate *sort;		/* of (bound, heap TID) */
	TupleTableSlot *in;
	TupleTableSlot *out;
	/* rows of one page, put into the sort when it is unlocked */
	ItemPointerData *tids;
	float	   *bounds;
	uint32		tid_count;
	uint32		tid_space;
	int64		distances;		/* computed */
} HnswSweep;


typedef struct HnswScan
{
	MemoryContext context;		/* of the current rescan; all below is in it */
	bool		started;
	HnswIndex  *index;
	HnswQuery	query;
	bool		ordered;		/* the query is not NULL */
	HnswSearch *search;			/* NULL before it and without an order */
	uint32	   *items;			/* the batch: numbers of search.found[] */
	uint32		item_count;
	uint32		next_item;
	uint32		next_tid;		/* of the item before next_item */
	HnswSweep  *sweep;			/* not NULL once it has begun */
	float		last_bound;		/* largest in earlier batches */
	IndexFetchHeapData *fetch;	/* of the executor, NULL where the table is
								 * not a heap */
	AttrNumber	outside;		/* the indexed column while its values are
								 * stored out of line, otherwise 0 */
	HnswIterativeScan iterative;	/* in force since the scan began */
	VdbHnswScanCounters counters;	/* of all rescans; what "search" counts is
									 * added when that ends */
} HnswScan;

static void start_scan(IndexScanDesc scan);
static void advise_rows(HnswScan *state, Relation heap);
static void prefetch_rows(HnswScan *state, Relation heap);
static void prefetch_row(HnswScan *state, Relation heap, uint32 item);
static void prefetch_next_rows(HnswScan *state, Relation heap);
static inline const ItemPointerData *row_of_item(const HnswScan *state,
												 uint32 item);
static bool next_batch(HnswScan *state);
static bool next_row(HnswScan *state, ItemPointer tid, float *bound);
static bool next_row_of_batch(HnswScan *state, ItemPointer tid, float *bound);
static void count_search(VdbHnswScanCounters *counters,
						 const HnswSearch *search);
static void sort_batch(HnswScan *state);
static int	compare_bounds(const void *a, const void *b, void *arg);
static bool is_out_of_order(const HnswScan *state, float bound);
static HnswSweep *begin_sweep(HnswIndex *index, const HnswQuery *query,
							  const HnswSearch *search);
static void sweep_page(HnswSweep *sweep, BlockNumber blkno);
static void sweep_record(HnswSweep *sweep, HnswRecord *record);
static bool next_of_sweep(HnswSweep *sweep, ItemPointer tid, float *bound);
static void end_sweep(HnswSweep *sweep);

/* hnsw_begin_scan -- ambeginscan */
IndexScanDesc
hnsw_begin_scan(Relation rel, int nkeys, int norderbys)
{
	IndexScanDesc scan = RelationGetIndexScan(rel, nkeys, norderbys);
	HnswScan   *state = palloc0(sizeof(HnswScan));

	if (norderbys > 0)
	{
		scan->xs_orderbyvals = palloc0(sizeof(Datum) * norderbys);
		scan->xs_orderbynulls = palloc(sizeof(bool) * norderbys);
		memset(scan->xs_orderbynulls, true, sizeof(bool) * norderbys);
	}
	state->context = AllocSetContextCreate(CurrentMemoryContext, "hnsw scan",
										   ALLOCSET_DEFAULT_SIZES);
	scan->opaque = state;
	return scan;
}

/* hnsw_rescan -- amrescan */
void
hnsw_rescan(IndexScanDesc scan, ScanKey keys, int nkeys, ScanKey orderbys,
			int norderbys)
{
	HnswScan   *state = scan->opaque;
	MemoryContext context = state->context;
	VdbHnswScanCounters counters = state->counters;

	if (state->search != NULL)
	{
		count_search(&counters, state->search);
		hnsw_search_end(state->search);
	}
	if (state->sweep != NULL)
	{
		counters.swept += state->sweep->distances;
		end_sweep(state->sweep);
	}
	MemoryContextReset(context);
	memset(state, 0, sizeof(HnswScan));
	state->context = context;
	state->counters = counters;

	if (keys != NULL && scan->numberOfKeys > 0)
		memmove(scan->keyData, keys, sizeof(ScanKeyData) * scan->numberOfKeys);
	if (orderbys != NULL && scan->numberOfOrderBys > 0)
		memmove(scan->orderByData, orderbys,
				sizeof(ScanKeyData) * scan->numberOfOrderBys);
}

/* hnsw_end_scan -- amendscan */
void
hnsw_end_scan(IndexScanDesc scan)
{
	HnswScan   *state = scan->opaque;

	if (state->search != NULL)
		hnsw_search_end(state->search);
	if (state->sweep != NULL)
		end_sweep(state->sweep);
	MemoryContextDelete(state->context);
	pfree(state);
	scan->opaque = NULL;
}

/* hnsw_get_tuple -- amgettuple */
bool
hnsw_get_tuple(IndexScanDesc scan, ScanDirection direction)
{
	HnswScan   *state = scan->opaque;
	MemoryContext old = MemoryContextSwitchTo(state->context);
	float		bound;
	bool		found;

	Assert(ScanDirectionIsForward(direction));

	if (!state->started)
		start_scan(scan);
	found = next_row(state, &scan->xs_heaptid, &bound);
	if (found && state->fetch != NULL)
	{
		hnsw_hold_row(scan->heapRelation, state->fetch, &scan->xs_heaptid);
		prefetch_next_rows(state, scan->heapRelation);
	}
	MemoryContextSwitchTo(old);

	if (found)
	{
		IndexOrderByDistance distance;
		Oid			type = FLOAT8OID;

		distance.value = bound;
		distance.isnull = !state->ordered;
		scan->xs_recheck = false;
		index_store_float8_orderby_distances(scan, &type, &distance,
											 state->ordered &&
											 state->index->coded);
	}
	return found;
}

/* Prepare the query and fetch the first batch */
static void
start_scan(IndexScanDesc scan)
{
	HnswScan   *state = scan->opaque;
	VdbHnswRef	from = {0};
	int			descents = 0;
	int			layer;
	int			ef;
	int			beam;

	/* The planner never asks for this: the cost of such a path is infinite */
	if (scan->numberOfOrderBys != 1)
		elog(ERROR, "cannot scan hnsw index without order");
	if (!IsMVCCSnapshot(scan->xs_snapshot))
		elog(ERROR, "non-MVCC snapshots are not supported with hnsw");

	pgstat_count_index_scan(scan->indexRelation);
	VDB_COUNT_INDEX_SEARCH(scan);

	state->started = true;
	if (scan->xs_heapfetch != NULL && scan->heapRelation != NULL &&
		scan->heapRelation->rd_tableam == GetHeapamTableAmRoutine())
	{
		state->fetch = (IndexFetchHeapData *) scan->xs_heapfetch;
		/* 0 for an expression */
		state->outside = scan->indexRelation->rd_index->indkey.values[0];
	}
	state->last_bound = -get_float4_infinity();
	state->index = hnsw_index_open(scan->indexRelation);
	state->ordered = (scan->orderByData->sk_flags & SK_ISNULL) == 0;
	state->iterative = hnsw_get_iterative_scan(scan->indexRelation);
	ef = hnsw_get_ef_search(scan->indexRelation);
	state->counters.scans++;
	state->counters.ef_search = ef;

	/* Nothing is near to NULL: all rows in any order */
	if (!state->ordered)
	{
		state->counters.sweeps++;
		state->sweep = begin_sweep(state->index, NULL, NULL);
		return;
	}

	hnsw_form_query(state->index, scan->orderByData->sk_argument,
					&state->query);
	beam = hnsw_search_beam(state->index, ef);
	state->items = palloc(sizeof(uint32) * beam);

	/*
	 * VACUUM may remove the vertex that the descent led to before the search
	 * gets there, which then has nothing to start from.
	 */
	do
	{
		if (descents++ == HNSW_MAX_DESCENTS)
			hnsw_report_corruption(scan->indexRelation, from.blkno,
								   from.offno,
								   "The descent leads to no vertex");
		if (!hnsw_search_descend(state->index, &state->query, 0, &from,
								 &layer))
			return;
		VDB_DEBUG_POINT("hnsw_scan_descended");
		if (state->search != NULL)
			hnsw_search_end(state->search);
		state->search = hnsw_search_begin(state->index, &state->query, 0,
										  beam);
		state->search->keep_tids = true;
		state->search->keep_rest =
			state->iterative != HNSW_ITERATIVE_SCAN_OFF;
	} while (!hnsw_search_run(state->search, from) &&
			 state->search->visits == 0);
	sort_batch(state);
	if (unlikely(state->search->is_cold) && scan->heapRelation != NULL)
		advise_rows(state, scan->heapRelation);
	else if (state->fetch != NULL)
		prefetch_rows(state, scan->heapRelation);
}

/*
 * Have what leads to the first rows of the batch on its way to the cache
 *
 * All at once, for the executor will wait for one after the other.
 */
static void
prefetch_rows(HnswScan *state, Relation heap)
{
	for (uint32 i = 0; i < PREFETCHED_ROWS; i++)
	{
		const ItemPointerData *tid = row_of_item(state, i);

		if (tid != NULL)
			hnsw_prefetch_row_place(heap, tid);
	}
	prefetch_row(state, heap, 0);
	prefetch_row(state, heap, 1);
}

/* The same of the row itself that an item has */
static void
prefetch_row(HnswScan *state, Relation heap, uint32 item)
{
	const ItemPointerData *tid = row_of_item(state, item);

	if (tid != NULL)
		hnsw_prefetch_row(heap, tid);
}

/*
 * While the executor works on a row, the next one's value and the row after
 * that are on their way
 */
static void
prefetch_next_rows(HnswScan *state, Relation heap)
{
	const ItemPointerData *next = row_of_item(state, state->next_item);

	if (next == NULL)
		return;
	prefetch_row(state, heap, state->next_item + 1);
	if (state->outside != 0 &&
		!hnsw_prefetch_row_value(heap, next, state->outside))
		state->outside = 0;
}

/* The first row of an item of the batch, NULL if there is none */
static inline const ItemPointerData *
row_of_item(const HnswScan *state, uint32 item)
{
	const HnswFound *found;

	if (item >= state->item_count)
		return NULL;
	found = &state->search->found[state->items[item]];
	return found->tid_count > 0 ? &state->search->tids[found->first_tid] : NULL;
}

/*
 * Have the kernel read the first rows of the batch
 *
 * The executor fetches them one by one, most likely from as many pages.
 */
static void
advise_rows(HnswScan *state, Relation heap)
{
	int			rows = 0;

	for (uint32 i = 0; i < state->item_count && rows < ADVISED_ROWS; i++)
	{
		HnswFound  *found = &state->search->found[state->items[i]];

		for (uint32 j = 0; j < found->tid_count && rows < ADVISED_ROWS; j++)
		{
			ItemPointer tid = &state->search->tids[found->first_tid + j];

			hnsw_advise_page(heap, ItemPointerGetBlockNumber(tid),
							 state->search->from_device);
			rows++;
		}
	}
}

/* The next row, from the batch, from the next batch, or from the sweep */
static bool
next_row(HnswScan *state, ItemPointer tid, float *bound)
{
	for (;;)
	{
		if (state->sweep != NULL)
		{
			if (!next_of_sweep(state->sweep, tid, bound))
				return false;
		}
		else if (!next_row_of_batch(state, tid, bound))
		{
			if (!next_batch(state))
				return false;
			continue;
		}

		if (!is_out_of_order(state, *bound))
			return true;
	}
}

static bool
next_row_of_batch(HnswScan *state, ItemPointer tid, float *bound)
{
	HnswFound  *found = NULL;

	if (state->next_item > 0)
		found = &state->search->found[state->items[state->next_item - 1]];
	while (found == NULL || state->next_tid >= found->tid_count)
	{
		if (state->next_item >= state->item_count)
			return false;
		found = &state->search->found[state->items[state->next_item++]];
		state->next_tid = 0;
	}
	*tid = state->search->tids[found->first_tid + state->next_tid++];
	*bound = found->bound;
	return true;
}

/*
 * Go on searching, or begin the sweep; false when there is to be no more
 */
static bool
next_batch(HnswScan *state)
{
	HnswSearch *search = state->search;
	double		memory_limit = work_mem * 1024.0 * hnsw_scan_mem_multiplier;

	/* The index was empty, or a batch is all that is wanted */
	if (search == NULL || !search->keep_rest)
		return false;

	if (state->item_count > 0)
		state->last_bound = Max(state->last_bound,
								search->found[state->items[state->item_count - 1]].bound);

	VDB_DEBUG_POINT("hnsw_scan_batch");
	if (search->distances < hnsw_max_scan_tuples &&
		hnsw_search_memory(search) < memory_limit &&
		hnsw_search_resume(search))
	{
		sort_batch(state);
		return true;
	}

	state->counters.sweeps++;
	state->sweep = begin_sweep(state->index, &state->query, search);
	return true;
}

/* In strict order, a row nearer than those of earlier batches is left out */
static bool
is_out_of_order(const HnswScan *state, float bound)
{
	return state->ordered &&
		state->iterative == HNSW_ITERATIVE_SCAN_STRICT &&
		bound < state->last_bound;
}

/* Take the results of the search as the batch, smallest bound first */
static void
sort_batch(HnswScan *state)
{
	HnswFound  *found = state->search->found;
	uint32	   *items = state->items;

	state->item_count = hnsw_search_take(state->search, items);
	state->next_item = 0;
	state->next_tid = 0;
	state->counters.batches++;

	for (uint32 i = 0; i < state->item_count; i++)
	{
		HnswFound  *f = &found[items[i]];

		f->bound = f->distance;
		if (state->index->coded)
			f->bound = hnsw_distance_bound(state->index, &state->query,
										   &f->value_head, f->distance);
	}

	/* A few are put in order faster than a sort is begun */
	if (state->item_count > INSERTION_SORT_LIMIT)
	{
		qsort_arg(items, state->item_count, sizeof(uint32), compare_bounds,
				  found);
		return;
	}

	/* Already in order of distance, so nearly in order of bounds */
	for (uint32 i = 1; i < state->item_count; i++)
	{
		uint32		item = items[i];
		uint32		at = i;

		while (at > 0 && found[items[at - 1]].bound > found[item].bound)
		{
			items[at] = items[at - 1];
			at--;
		}
		items[at] = item;
	}
}

/* For qsort_arg(): items of found[], smallest bound first, then nearest */
static int
compare_bounds(const void *a, const void *b, void *arg)
{
	const HnswFound *found = arg;
	uint32		left = *(const uint32 *) a;
	uint32		right = *(const uint32 *) b;
	int			order = float4_cmp_internal(found[left].bound,
											found[right].bound);

	if (order == 0)
		order = float4_cmp_internal(found[left].distance,
									found[right].distance);
	if (order == 0)
		order = left < right ? -1 : 1;
	return order;
}

/* Add what a search has counted */
static void
count_search(VdbHnswScanCounters *counters, const HnswSearch *search)
{
	counters->visits += search->visits;
	counters->distances += search->distances;
	counters->estimates += search->code_estimates;
}

/*
 * vdb_hnsw_scan_counters -- what a scan has done so far, its rescans included
 */
void
vdb_hnsw_scan_counters(IndexScanDesc scan, VdbHnswScanCounters *counters)
{
	const HnswScan *state = scan->opaque;

	*counters = state->counters;
	if (state->search != NULL)
		count_search(counters, state->search);
	if (state->sweep != NULL)
		counters->swept += state->sweep->distances;
}

/*
 * begin_sweep -- read and sort what "search" has not found
 *
 * "search" may be NULL.  Allocates in the current memory context, and in
 * temporary files beyond work_mem.
 */
static HnswSweep *
begin_sweep(HnswIndex *index, const HnswQuery *query,
			const HnswSearch *search)
{
	HnswSweep  *sweep = palloc0(sizeof(HnswSweep));
	AttrNumber	column = 1;
	Oid			operator = Float8LessOperator;
	Oid			collation = InvalidOid;
	bool		nulls_first = false;
	TupleDesc	desc = CreateTemplateTupleDesc(2);
	BlockNumber blocks;

	TupleDescInitEntry(desc, 1, "bound", FLOAT8OID, -1, 0);
	TupleDescInitEntry(desc, 2, "tid", TIDOID, -1, 0);
	sweep->index = index;
	sweep->query = query;
	sweep->in = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	sweep->out = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	sweep->tid_space = 64;
	sweep->tids = palloc(sizeof(ItemPointerData) * sweep->tid_space);
	sweep->bounds = palloc(sizeof(float) * sweep->tid_space);
	sweep->sort = tuplesort_begin_heap(desc, 1, &column, &operator,
									   &collation, &nulls_first, work_mem,
									   NULL, TUPLESORT_NONE);

	vdb_visited_init(&sweep->found, 1024);
	for (uint32 i = 0; search != NULL && i < search->found_count; i++)
		vdb_visited_add(&sweep->found,
						(uint64) search->found[i].ref.blkno << 16 |
						search->found[i].ref.offno);

	blocks = RelationGetNumberOfBlocks(index->rel);
	for (BlockNumber blkno = VDB_HNSW_METAPAGE + 1; blkno < blocks; blkno++)
	{
		CHECK_FOR_INTERRUPTS();
		sweep_page(sweep, blkno);
	}
	tuplesort_performsort(sweep->sort);
	return sweep;
}

/* Put the rows of one page into the sort */
static void
sweep_page(HnswSweep *sweep, BlockNumber blkno)
{
	HnswIndex  *index = sweep->index;
	OffsetNumber max;
	Buffer		buf = hnsw_read_vertices(index, blkno, NULL, &max);
	Page		page = BufferGetPage(buf);
	HnswRecord	record = {0};

	sweep->tid_count = 0;
	for (OffsetNumber offno = FirstOffsetNumber; offno <= max; offno++)
	{
		VdbHnswRecordData *head = (VdbHnswRecordData *)
		PageGetItem(page, PageGetItemId(page, offno));

		if (head->kind != VDB_HNSW_RECORD_VERTEX || head->layer > 0 ||
			(head->flags & VDB_HNSW_DELETED) != 0 ||
			vdb_visited_contains(&sweep->found,
								 (uint64) blkno << 16 | offno))
			continue;
		record.ref.blkno = blkno;
		record.ref.offno = offno;
		hnsw_record_parts(index, head, &record);
		sweep_record(sweep, &record);
	}
	hnsw_unlock_page(buf);
	if (record.body != NULL)
		pfree(record.body);

	for (uint32 i = 0; i < sweep->tid_count; i++)
	{
		ExecClearTuple(sweep->in);
		sweep->in->tts_values[0] = Float8GetDatum(sweep->bounds[i]);
		sweep->in->tts_values[1] = PointerGetDatum(&sweep->tids[i]);
		sweep->in->tts_isnull[0] = sweep->in->tts_isnull[1] = false;
		ExecStoreVirtualTuple(sweep->in);
		tuplesort_puttupleslot(sweep->sort, sweep->in);
	}
}

/* Note the rows of one record with its bound */
static void
sweep_record(HnswSweep *sweep, HnswRecord *record)
{
	HnswIndex  *index = sweep->index;
	uint32		space = sweep->tid_space;
	float		bound = 0;
	int			added;

	if (sweep->query != NULL)
	{
		if (record->head->body_pages > 0)
			hnsw_read_body(index, record);
		bound = hnsw_query_distance(index, sweep->query, record->value);
		sweep->distances++;
		if (index->coded)
			bound = hnsw_distance_bound(index, sweep->query, record->value,
										bound);
	}
	added = hnsw_read_tids(index, record->head, &sweep->tids,
						   &sweep->tid_count, &sweep->tid_space);
	if (sweep->tid_space > space)
		sweep->bounds = repalloc_huge(sweep->bounds, sizeof(float) *
									  (Size) sweep->tid_space);
	for (int i = 1; i <= added; i++)
		sweep->bounds[sweep->tid_count - i] = bound;
}

/* next_of_sweep -- the next row, false when there are no more */
static bool
next_of_sweep(HnswSweep *sweep, ItemPointer tid, float *bound)
{
	bool		isnull;

	if (!tuplesort_gettupleslot(sweep->sort, true, false, sweep->out, NULL))
		return false;
	*bound = (float) DatumGetFloat8(slot_getattr(sweep->out, 1, &isnull));
	*tid = *(ItemPointer) DatumGetPointer(slot_getattr(sweep->out, 2,
													   &isnull));
	return true;
}

/* end_sweep -- free the sort and its files */
static void
end_sweep(HnswSweep *sweep)
{
	tuplesort_end(sweep->sort);
	ExecDropSingleTupleTableSlot(sweep->in);
	ExecDropSingleTupleTableSlot(sweep->out);
}
