/*-------------------------------------------------------------------------
 *
 * hnsw_sweep.c
 *	  Reading every vertex that a search has not found, in order of distance.
 *
 * An iterative scan that needs more rows than it pays to collect by following
 * the graph reads the rest of the index in the order of its pages and sorts
 * it.  That is what makes "never fewer than LIMIT rows that exist" true:
 * every indexed row is returned in the end, whatever the filter and whatever
 * the graph.
 *
 * IDENTIFICATION
 *	  src/hnsw/hnsw_sweep.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tupdesc.h"
#include "catalog/pg_operator_d.h"
#include "catalog/pg_type_d.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/tuplesort.h"

#include "hnsw_private.h"

struct HnswSweep
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
};

static void sweep_page(HnswSweep *sweep, BlockNumber blkno);
static void sweep_record(HnswSweep *sweep, HnswRecord *record);

/*
 * hnsw_sweep_begin -- read and sort what "search" has not found
 *
 * "search" may be NULL.  Allocates in the current memory context, and in
 * temporary files beyond work_mem.
 */
HnswSweep *
hnsw_sweep_begin(HnswIndex *index, const HnswQuery *query,
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
	Buffer		buf = hnsw_read_page(index->rel, blkno, NULL);
	Page		page = BufferGetPage(buf);
	HnswRecord	record = {0};

	sweep->tid_count = 0;

	/* A page that was added right before a crash may be empty */
	if (!PageIsNew(page))
		hnsw_page_check(index->rel, blkno, page, 0);
	if (PageIsNew(page) ||
		VdbHnswPageGetOpaque(page)->kind != VDB_HNSW_PAGE_VERTEX)
	{
		hnsw_unlock_page(buf);
		return;
	}
	hnsw_items_check(index, blkno, page);
	for (OffsetNumber offno = FirstOffsetNumber;
		 offno <= PageGetMaxOffsetNumber(page); offno++)
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

/* hnsw_sweep_next -- the next row, false when there are no more */
bool
hnsw_sweep_next(HnswSweep *sweep, ItemPointer tid, float *bound)
{
	bool		isnull;

	if (!tuplesort_gettupleslot(sweep->sort, true, false, sweep->out, NULL))
		return false;
	*bound = (float) DatumGetFloat8(slot_getattr(sweep->out, 1, &isnull));
	*tid = *(ItemPointer) DatumGetPointer(slot_getattr(sweep->out, 2,
													   &isnull));
	return true;
}

/* hnsw_sweep_end -- free the sort and its files */
void
hnsw_sweep_end(HnswSweep *sweep)
{
	tuplesort_end(sweep->sort);
	ExecDropSingleTupleTableSlot(sweep->in);
	ExecDropSingleTupleTableSlot(sweep->out);
}
