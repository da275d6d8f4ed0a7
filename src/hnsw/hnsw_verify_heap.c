/*-------------------------------------------------------------------------
 *
 * hnsw_verify_heap.c
 *	  vecdb.verify_index() and the rows of the table.
 *
 * All heap TIDs of the index are sorted, within maintenance_work_mem.  A TID
 * that is there twice is a fault.  If the table is to be compared, its
 * blocks and the sorted TIDs are read side by side: each row that our
 * snapshot sees has to be in the index, at a vertex of its value, and each
 * TID in the index has to be of a row, be it a dead one.
 *
 * IDENTIFICATION
 *	  src/hnsw/hnsw_verify_heap.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/pg_operator_d.h"
#include "catalog/pg_type_d.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "hnsw_verify.h"

/* One heap TID of the index */
typedef struct Entry
{
	uint64		tid;			/* block and item */
	VdbHnswRef	vertex;
	bool		seen;			/* a row of our snapshot is there */
} Entry;

/* Reading table and sorted TIDs side by side */
typedef struct HeapState
{
	HnswVerify *verify;
	HnswCopy	copy;
	Entry		next;			/* from the sort, not yet in entries[] */
	bool		has_next;
	BlockNumber block;			/* of entries[] */
	Entry	   *entries;		/* those of one heap block */
	int			count;
	int			space;
	MemoryContext context;		/* for one row */
} HeapState;

static bool next_entry(HnswVerify *verify, Entry *entry);
static void verify_duplicate(HnswVerify *verify, const Entry *a,
							 const Entry *b);
static bool has_tid(HnswVerify *verify, HnswCopy *copy, const Entry *entry);
static void verify_heap(HnswVerify *verify, HeapState *state);
static void scan_heap(HnswVerify *verify, HeapState *state);
static void check_snapshot(HnswVerify *verify);
static void verify_row(Relation rel, ItemPointer tid, Datum *values,
					   bool *isnull, bool is_alive, void *arg);
static void go_to_block(HeapState *state, BlockNumber block);
static void finish_block(HeapState *state);
static const char *row_problem(HeapState *state, OffsetNumber offno);

static inline uint64
tid_number(const ItemPointerData *tid)
{
	return (uint64) ItemPointerGetBlockNumberNoCheck(tid) << 16 |
		ItemPointerGetOffsetNumberNoCheck(tid);
}

/* hnsw_verify_tids_begin -- before the first hnsw_verify_tids_add() */
void
hnsw_verify_tids_begin(HnswVerify *verify)
{
	AttrNumber	column = 1;
	Oid			operator = Int8LessOperator;
	Oid			collation = InvalidOid;
	bool		nulls_first = false;
	TupleDesc	desc = CreateTemplateTupleDesc(2);

	TupleDescInitEntry(desc, 1, "tid", INT8OID, -1, 0);
	TupleDescInitEntry(desc, 2, "vertex", INT8OID, -1, 0);
	verify->tid_in = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	verify->tid_out = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	verify->tids = tuplesort_begin_heap(desc, 1, &column, &operator,
										&collation, &nulls_first,
										maintenance_work_mem, NULL,
										TUPLESORT_NONE);
}

/* hnsw_verify_tids_add -- keep the heap rows of a vertex */
void
hnsw_verify_tids_add(HnswVerify *verify, VdbHnswRef ref, const HnswCopy *copy)
{
	MemoryContext old = MemoryContextSwitchTo(verify->page_context);

	for (uint32 i = 0; i < copy->tid_count; i++)
	{
		TupleTableSlot *slot = verify->tid_in;

		ExecClearTuple(slot);
		slot->tts_values[0] = Int64GetDatum((int64) tid_number(&copy->tids[i]));
		slot->tts_values[1] = Int64GetDatum((int64) hnsw_ref_key(ref));
		slot->tts_isnull[0] = slot->tts_isnull[1] = false;
		ExecStoreVirtualTuple(slot);
		tuplesort_puttupleslot(verify->tids, slot);
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(verify->page_context);
}

/* hnsw_verify_tids -- invariants 6, no row twice, and 10 */
void
hnsw_verify_tids(HnswVerify *verify)
{
	HeapState	state = {0};
	Entry		previous = {0};

	tuplesort_performsort(verify->tids);
	state.verify = verify;
	state.has_next = next_entry(verify, &state.next);
	if (verify->snapshot != NULL)
		verify_heap(verify, &state);
	else
	{
		hnsw_copy_init(&state.copy);
		for (; state.has_next;
			 state.has_next = next_entry(verify, &state.next))
		{
			CHECK_FOR_INTERRUPTS();
			if (state.next.tid == previous.tid)
				verify_duplicate(verify, &previous, &state.next);
			previous = state.next;
		}
	}
	tuplesort_end(verify->tids);
	ExecDropSingleTupleTableSlot(verify->tid_in);
	ExecDropSingleTupleTableSlot(verify->tid_out);
}

/* The next TID in order; false at the end */
static bool
next_entry(HnswVerify *verify, Entry *entry)
{
	bool		isnull;

	if (!tuplesort_gettupleslot(verify->tids, true, false, verify->tid_out,
								NULL))
		return false;
	entry->tid = (uint64) DatumGetInt64(slot_getattr(verify->tid_out, 1,
													 &isnull));
	entry->vertex = hnsw_key_ref((uint64)
								 DatumGetInt64(slot_getattr(verify->tid_out, 2,
															&isnull)));
	entry->seen = false;
	return true;
}

/*
 * Invariant 6: the same heap row twice
 *
 * VACUUM may have taken a dead row out of one vertex before its place in the
 * table was given to a row that went to the other.  If the first has it
 * before and after the second has it, both have it.
 */
static void
verify_duplicate(HnswVerify *verify, const Entry *a, const Entry *b)
{
	HnswCopy	copy;

	hnsw_copy_init(&copy);
	if (VdbHnswRefEquals(a->vertex, b->vertex) ||
		(has_tid(verify, &copy, a) && has_tid(verify, &copy, b) &&
		 has_tid(verify, &copy, a)))
		hnsw_verify_report(verify, 6, b->vertex.blkno, b->vertex.offno,
						   "Heap row (%u,%u) is in the index twice, the other time at (%u,%u)",
						   (uint32) (b->tid >> 16), (uint32) (b->tid & 0xFFFF),
						   a->vertex.blkno, a->vertex.offno);
	pfree(copy.data);
	pfree(copy.tids);
	if (copy.record.body != NULL)
		pfree(copy.record.body);
}

/* Does the vertex of an entry have its TID now?  Leaves it in "copy". */
static bool
has_tid(HnswVerify *verify, HnswCopy *copy, const Entry *entry)
{
	HnswIndex  *index = &verify->index;
	HnswRecord	record = {0};
	uint32		count = 0;
	bool		found = false;

	/* The chain was verified before, so it can be read as a search does */
	if (!hnsw_copy_record(verify, entry->vertex, 0, false, copy) ||
		!hnsw_lock_record(index, entry->vertex, 0, &record))
		return false;
	hnsw_read_tids(index, record.head, &copy->tids, &count, &copy->tid_space);
	hnsw_unlock_record(&record);
	if (record.body != NULL)
		pfree(record.body);
	for (uint32 i = 0; i < count && !found; i++)
		found = tid_number(&copy->tids[i]) == entry->tid;
	return found;
}

/* Invariant 10, with what may run functions of the index's expressions */
static void
verify_heap(HnswVerify *verify, HeapState *state)
{
	Oid			user;
	int			security;
	int			nest_level;

	check_snapshot(verify);
	hnsw_copy_init(&state->copy);
	state->block = InvalidBlockNumber;
	state->space = 64;
	state->entries = palloc(sizeof(Entry) * state->space);
	state->context = AllocSetContextCreate(CurrentMemoryContext,
										   "hnsw verify row",
										   ALLOCSET_DEFAULT_SIZES);

	/* As REINDEX does: not with the rights of whoever calls, or for him */
	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(verify->heap->rd_rel->relowner,
						   security | SECURITY_RESTRICTED_OPERATION);
	nest_level = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp",
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
	scan_heap(verify, state);
	AtEOXact_GUC(false, nest_level);
	SetUserIdAndSecContext(user, security);
}

static void
scan_heap(HnswVerify *verify, HeapState *state)
{
	IndexInfo  *info = BuildIndexInfo(verify->rel);
	TableScanDesc scan;

	/* An MVCC snapshot, as for CREATE INDEX CONCURRENTLY */
	info->ii_Concurrent = true;
	info->ii_Unique = false;
	scan = table_beginscan_strat(verify->heap, verify->snapshot, 0, NULL,
								 true, false);
	table_index_build_scan(verify->heap, verify->rel, info, false, false,
						   verify_row, state, scan);
	go_to_block(state, InvalidBlockNumber);
}

/* Rows changed by a broken HOT chain are not in the index for old snapshots */
static void
check_snapshot(HnswVerify *verify)
{
	if (IsolationUsesXactSnapshot() && verify->rel->rd_index->indcheckxmin &&
		!TransactionIdPrecedes(HeapTupleHeaderGetXmin(verify->rel->rd_indextuple->t_data),
							   verify->snapshot->xmin))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("index \"%s\" cannot be compared with its table by the snapshot of this transaction",
						RelationGetRelationName(verify->rel)),
				 errhint("Verify it in a transaction of its own.")));
}

/* A row that our snapshot sees; called by table_index_build_scan() */
static void
verify_row(Relation rel, ItemPointer tid, Datum *values, bool *isnull,
		   bool is_alive, void *arg)
{
	HeapState  *state = arg;
	HnswVerify *verify = state->verify;
	MemoryContext old;
	HnswQuery	query;
	Entry	   *entry = NULL;

	CHECK_FOR_INTERRUPTS();
	go_to_block(state, ItemPointerGetBlockNumber(tid));
	for (int i = 0; i < state->count; i++)
	{
		if (state->entries[i].tid == tid_number(tid))
			entry = &state->entries[i];
	}
	if (entry != NULL)
		entry->seen = true;
	if (isnull[0] && entry == NULL)
		return;

	old = MemoryContextSwitchTo(state->context);
	if (isnull[0] || !hnsw_form_query(&verify->index, values[0], &query))
	{
		if (entry != NULL)
			hnsw_verify_report(verify, 10, entry->vertex.blkno,
							   entry->vertex.offno,
							   "Heap row (%u,%u) is in the index and has no value to be indexed",
							   ItemPointerGetBlockNumber(tid),
							   ItemPointerGetOffsetNumber(tid));
	}
	else if (entry == NULL)
		hnsw_verify_report(verify, 10, InvalidBlockNumber, 0,
						   "Heap row (%u,%u) is not in the index",
						   ItemPointerGetBlockNumber(tid),
						   ItemPointerGetOffsetNumber(tid));
	else if (!hnsw_copy_record(verify, entry->vertex, 0, false,
							   &state->copy) ||
			 !hnsw_verify_same_row(verify, &query, &state->copy))
		hnsw_verify_report(verify, 10, entry->vertex.blkno,
						   entry->vertex.offno,
						   "Heap row (%u,%u) has another value than its vertex",
						   ItemPointerGetBlockNumber(tid),
						   ItemPointerGetOffsetNumber(tid));
	MemoryContextSwitchTo(old);
	MemoryContextReset(state->context);
}

/* Collect the TIDs of a heap block, being done with those before it */
static void
go_to_block(HeapState *state, BlockNumber block)
{
	while (state->block != block)
	{
		finish_block(state);
		if (!state->has_next || state->next.tid >> 16 > block)
		{
			state->block = block;
			return;
		}

		state->block = (BlockNumber) (state->next.tid >> 16);
		while (state->has_next && state->next.tid >> 16 == state->block)
		{
			Entry	   *last = &state->entries[state->count - 1];

			if (state->count > 0 && last->tid == state->next.tid)
				verify_duplicate(state->verify, last, &state->next);
			if (state->count == state->space)
			{
				state->space *= 2;
				state->entries = repalloc_huge(state->entries, sizeof(Entry) *
											   (Size) state->space);
			}
			state->entries[state->count++] = state->next;
			state->has_next = next_entry(state->verify, &state->next);
		}
	}
}

/*
 * TIDs of rows that our snapshot does not see
 *
 * They may be dead or too new, but something has to be there: VACUUM takes a
 * TID out of the index before it gives its place away.  So we look at the
 * place first and then whether the index still has the TID.
 */
static void
finish_block(HeapState *state)
{
	HnswVerify *verify = state->verify;

	for (int i = 0; i < state->count; i++)
	{
		const Entry *entry = &state->entries[i];
		const char *problem;

		if (entry->seen)
			continue;
		CHECK_FOR_INTERRUPTS();
		problem = row_problem(state, (OffsetNumber) entry->tid);
		if (problem != NULL && has_tid(verify, &state->copy, entry))
			hnsw_verify_report(verify, 10, entry->vertex.blkno,
							   entry->vertex.offno, "Heap row (%u,%u) %s",
							   state->block, (OffsetNumber) entry->tid,
							   problem);
	}
	state->count = 0;
}

/* What is wrong with a place in the table that the index refers to */
static const char *
row_problem(HeapState *state, OffsetNumber offno)
{
	Relation	heap = state->verify->heap;
	const char *problem = NULL;
	Buffer		buf;
	Page		page;
	ItemId		item;

	/* Other table methods keep to themselves what a TID is */
	if (heap->rd_tableam != GetHeapamTableAmRoutine())
		return NULL;
	if (state->block >= RelationGetNumberOfBlocks(heap))
		return "is beyond the end of the table";

	buf = hnsw_read_page(heap, state->block, NULL);
	page = BufferGetPage(buf);
	item = PageIsNew(page) || offno < FirstOffsetNumber ||
		offno > PageGetMaxOffsetNumber(page) ? NULL :
		PageGetItemId(page, offno);
	if (item == NULL || !ItemIdIsUsed(item))
		problem = "does not exist";
	else if (ItemIdIsNormal(item) &&
			 HeapTupleHeaderIsHeapOnly((HeapTupleHeader) PageGetItem(page, item)))
		problem = "is not the first of its HOT chain";
	hnsw_unlock_page(buf);
	return problem;
}
