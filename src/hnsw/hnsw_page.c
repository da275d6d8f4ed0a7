/*-------------------------------------------------------------------------
 *
 * hnsw_page.c
 *	  Reading pages and records, and all locks that readers take.
 *
 * The rules of locking are in the README.  In short: a record's page before
 * its body pages and before TID pages, the metapage alone, never two vertex
 * pages at a time.
 *
 * IDENTIFICATION
 *	  src/hnsw/hnsw_page.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "access/htup_details.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/buf_internals.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/spccache.h"

#include "hnsw_private.h"

/* Places to remember buffers at: at most this many, four bytes each */
#define MAX_RECENT_BUFFERS	(1024 * 1024)

/* As much of a value without codes is fetched beforehand */
#define MAX_PLAIN_PREFETCH	512

/* As much of a row of the table */
#define ROW_PREFETCH		320

/* How often a page is looked up although it is known where it should be */
#define RECENT_TURNS	16

/*
 * Where pages of indexes were last, by page and relation; what is found there
 * is to be checked.  One place until hnsw_remember_buffers() makes more.
 */
static Buffer one_recent_buffer = InvalidBuffer;
static Buffer *recent_buffers = &one_recent_buffer;
static uint32 recent_mask = 0;
static uint32 recent_turn = 0;

static Buffer read_often_read(Relation rel, BlockNumber blkno);
static inline Buffer *recent_place(Relation rel, BlockNumber blkno);
static bool find_record(HnswIndex *index, Page page, VdbHnswRef ref,
						int layer, HnswRecord *record);

/* hnsw_page_init -- make an empty page of a kind */
void
hnsw_page_init(Page page, uint16 kind)
{
	VdbHnswPageOpaqueData *opaque;

	PageInit(page, BLCKSZ, sizeof(VdbHnswPageOpaqueData));
	opaque = VdbHnswPageGetOpaque(page);
	memset(opaque, 0, sizeof(VdbHnswPageOpaqueData));
	opaque->kind = kind;
	opaque->page_id = VDB_HNSW_PAGE_ID;
}

/*
 * hnsw_page_checksum -- what VdbHnswPageOpaqueData.checksum should be
 *
 * Leaves out the first 12 bytes of the header (LSN, core checksum, flags),
 * the hole between pd_lower and pd_upper, which generic WAL zeroes in
 * replay, and the checksum itself, the first eight bytes of the special
 * space.
 */
uint64
hnsw_page_checksum(Page page)
{
	PageHeader	header = (PageHeader) page;
	Size		special = header->pd_special;
	XXH3_state_t state;

	XXH3_64bits_reset(&state);
	XXH3_64bits_update(&state, (char *) page + offsetof(PageHeaderData, pd_lower),
					   header->pd_lower - offsetof(PageHeaderData, pd_lower));
	XXH3_64bits_update(&state, (char *) page + header->pd_upper,
					   special - header->pd_upper);
	XXH3_64bits_update(&state, (char *) page + special + sizeof(uint64),
					   BLCKSZ - special - sizeof(uint64));
	return XXH3_64bits_digest(&state);
}

/*
 * hnsw_page_check -- refuse a page that is not ours or not of this kind
 *
 * Cheap enough for every access; kind 0 accepts any.  The checksum is left
 * to vecdb.verify_index().
 */
void
hnsw_page_check(Relation rel, BlockNumber blkno, Page page, uint16 kind)
{
	if (PageIsNew(page))
		hnsw_report_corruption(rel, blkno, InvalidOffsetNumber,
							   "The page is all zeros");
	if (PageGetPageSize(page) != BLCKSZ ||
		PageGetSpecialSize(page) != MAXALIGN(sizeof(VdbHnswPageOpaqueData)) ||
		VdbHnswPageGetOpaque(page)->page_id != VDB_HNSW_PAGE_ID)
		hnsw_report_corruption(rel, blkno, InvalidOffsetNumber,
							   "The page does not belong to an hnsw index of vecdb");
	if (kind != 0 && VdbHnswPageGetOpaque(page)->kind != kind)
		hnsw_report_corruption(rel, blkno, InvalidOffsetNumber,
							   "The page is of another kind than expected");
}

/*
 * hnsw_read_page -- pin and share-lock any page of the index
 *
 * Does not look at its contents.  Release it with hnsw_unlock_page().
 */
Buffer
hnsw_read_page(Relation rel, BlockNumber blkno, BufferAccessStrategy strategy)
{
	Buffer		buf = ReadBufferExtended(rel, MAIN_FORKNUM, blkno, RBM_NORMAL,
										 strategy);

	LockBuffer(buf, BUFFER_LOCK_SHARE);
	return buf;
}

/*
 * hnsw_read_vertices -- the same for who goes over the records of a page
 *
 * Sets *max to the last of its items, all of which can be relied on; to zero
 * where the page is of another kind, or empty, as one that was added right
 * before a crash may be.
 */
Buffer
hnsw_read_vertices(HnswIndex *index, BlockNumber blkno,
				   BufferAccessStrategy strategy, OffsetNumber *max)
{
	Buffer		buf = hnsw_read_page(index->rel, blkno, strategy);
	Page		page = BufferGetPage(buf);

	*max = 0;
	if (PageIsNew(page))
		return buf;
	hnsw_page_check(index->rel, blkno, page, 0);
	if (VdbHnswPageGetOpaque(page)->kind == VDB_HNSW_PAGE_VERTEX)
	{
		hnsw_items_check(index, blkno, page);
		*max = PageGetMaxOffsetNumber(page);
	}
	return buf;
}

/* hnsw_unlock_page -- release what hnsw_read_page() gave */
void
hnsw_unlock_page(Buffer buf)
{
	UnlockReleaseBuffer(buf);
}

/* hnsw_read_meta -- copy of the whole metapage, checked */
void
hnsw_read_meta(Relation rel, VdbHnswMetaPageData *meta)
{
	Buffer		buf = hnsw_read_page(rel, VDB_HNSW_METAPAGE, NULL);
	Page		page = BufferGetPage(buf);
	const char *problem;

	if (PageIsNew(page) || VdbHnswPageGetMeta(page)->magic != VDB_HNSW_MAGIC)
		ereport(ERROR,
				(errcode(ERRCODE_INDEX_CORRUPTED),
				 errmsg("index \"%s\" is not an hnsw index of vecdb",
						RelationGetRelationName(rel)),
				 errdetail("Its first page does not have the expected mark."),
				 errhint("Rebuild it with REINDEX.")));
	*meta = *VdbHnswPageGetMeta(page);
	if (meta->version != VDB_HNSW_VERSION)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("hnsw index \"%s\" has version %u of the format",
						RelationGetRelationName(rel), meta->version),
				 errdetail("This release of vecdb reads version %d.",
						   VDB_HNSW_VERSION),
				 errhint("Rebuild it with REINDEX INDEX, or install the release of vecdb that built it.")));
	hnsw_page_check(rel, VDB_HNSW_METAPAGE, page, VDB_HNSW_PAGE_META);
	problem = hnsw_meta_problem(meta);
	if (problem != NULL)
		hnsw_report_corruption(rel, VDB_HNSW_METAPAGE, InvalidOffsetNumber,
							   problem);
	hnsw_unlock_page(buf);
}

/* hnsw_read_entry -- where searches start now; none when there is nothing */
void
hnsw_read_entry(HnswIndex *index, VdbHnswRef *entry, int *layer)
{
	Buffer		buf = hnsw_read_page(index->rel, VDB_HNSW_METAPAGE, NULL);
	VdbHnswMetaPageData *meta = VdbHnswPageGetMeta(BufferGetPage(buf));

	*entry = meta->entry;
	*layer = meta->entry_layer;
	hnsw_unlock_page(buf);
}

/*
 * hnsw_lock_record -- share-lock the page of a vertex record and find it
 *
 * Returns false, with nothing locked, when the reference is out of date: the
 * record was removed, or its place was given to another vertex.
 *
 * With body pages the value and the codes are copied out here, under the
 * record's lock, which is held by whoever changes them (lock rule 3).
 */
bool
hnsw_lock_record(HnswIndex *index, VdbHnswRef ref, int layer,
				 HnswRecord *record)
{
	if (!hnsw_lock_list(index, ref, layer, record))
		return false;
	if (record->head->body_pages > 0)
		hnsw_read_body(index, record);
	return true;
}

/*
 * hnsw_lock_list -- the same for who wants neither value nor codes
 *
 * They are NULL where there are body pages.
 */
bool
hnsw_lock_list(HnswIndex *index, VdbHnswRef ref, int layer,
			   HnswRecord *record)
{
	Buffer		buf = read_often_read(index->rel, ref.blkno);
	Page		page = BufferGetPage(buf);

	LockBuffer(buf, BUFFER_LOCK_SHARE);
	if (!find_record(index, page, ref, layer, record))
	{
		UnlockReleaseBuffer(buf);
		return false;
	}
	record->buf = buf;
	return true;
}

/*
 * ReadBuffer() for pages that are read again and again
 *
 * Most of what it takes to pin a page in memory is finding its buffer.  So we
 * remember where pages were; if one is there no more, nothing is lost.  One
 * time in some it is looked up all the same, because only that counts as a
 * use to those who choose the buffer to be replaced.
 */
static Buffer
read_often_read(Relation rel, BlockNumber blkno)
{
	Buffer	   *place = recent_place(rel, blkno);
	Buffer		buf = *place;

	if (BufferIsValid(buf) && ++recent_turn % RECENT_TURNS != 0 &&
		VDB_READ_RECENT_BUFFER(rel, blkno, buf))
	{
		pgstat_count_buffer_read(rel);
		pgstat_count_buffer_hit(rel);
		return buf;
	}
	*place = buf = ReadBuffer(rel, blkno);
	return buf;
}

/* Where the buffer of a page is remembered */
static inline Buffer *
recent_place(Relation rel, BlockNumber blkno)
{
	/* neighbouring pages of one index do not get into each other's way */
	return &recent_buffers[(blkno + RelationGetRelid(rel) *
							UINT64CONST(0x9E3779B97F4A7C15)) & recent_mask];
}

/*
 * hnsw_remember_buffers -- make room to remember where pages are
 *
 * For as many pages as there are buffers, within reason.  Without memory for
 * it, one page is remembered.
 */
void
hnsw_remember_buffers(void)
{
	uint32		places = 1024;
	Buffer	   *buffers;

	if (recent_mask > 0)
		return;

	while (places < NBuffers && places < MAX_RECENT_BUFFERS)
		places *= 2;
	buffers = MemoryContextAllocExtended(TopMemoryContext,
										 sizeof(Buffer) * (Size) places,
										 MCXT_ALLOC_ZERO | MCXT_ALLOC_NO_OOM);
	if (buffers == NULL)
		return;
	recent_buffers = buffers;
	recent_mask = places - 1;
}

/*
 * hnsw_prefetch_record -- have a record on its way to the processor's cache
 *
 * Touches no page and needs no pin: where the page was last is only a guess,
 * and a wrong one costs little and harms nothing.  Records of one length lie
 * one below the other from the end of the page, so where this one should be
 * is known before the line pointer is.  Without codes it is the value that
 * will be wanted, and its first part is enough: hardware sees the rest coming.
 */
void
hnsw_prefetch_record(const HnswIndex *index, VdbHnswRef ref)
{
	Buffer		buf = *recent_place(index->rel, ref.blkno);
	Size		special = BLCKSZ - MAXALIGN(sizeof(VdbHnswPageOpaqueData));
	Size		from_end = (Size) ref.offno * index->record_size;
	Size		size = index->record_size;
	const char *page;

	if (buf <= 0 || buf > NBuffers)
		return;
	__builtin_prefetch(GetBufferDescriptor(buf - 1));
	page = (const char *) BufferGetBlock(buf);
	__builtin_prefetch(page);
	__builtin_prefetch(page + special);
	if (from_end > special || from_end == 0)
		return;
	page += special - from_end;
	if (!index->coded)
	{
		__builtin_prefetch(page);
		size = Min(index->value_size, MAX_PLAIN_PREFETCH);
		page += sizeof(VdbHnswRecordData) +
			index->meta.capacity * sizeof(VdbHnswRef);
	}
	for (Size at = 0; at < size; at += 64)
		__builtin_prefetch(page + at);
}

/*
 * hnsw_prefetch_row_place -- have what leads to a row of the table on its way
 * to the cache: its page's header and its line pointer
 *
 * As hnsw_prefetch_record(), by the buffer where the page was last.
 */
void
hnsw_prefetch_row_place(Relation heap, const ItemPointerData *tid)
{
	Buffer		buf = *recent_place(heap, ItemPointerGetBlockNumber(tid));
	Page		page;

	if (buf <= 0 || buf > NBuffers)
		return;
	page = BufferGetPage(buf);
	__builtin_prefetch(GetBufferDescriptor(buf - 1));
	__builtin_prefetch(page);
	__builtin_prefetch(PageGetItemId(page, ItemPointerGetOffsetNumber(tid)));
}

/*
 * hnsw_prefetch_row -- likewise the first part of the row itself
 *
 * Reads a line pointer of a page that is neither locked nor, maybe, the one it
 * is taken for: what it says is used as a guess only.
 */
void
hnsw_prefetch_row(Relation heap, const ItemPointerData *tid)
{
	Buffer		buf = *recent_place(heap, ItemPointerGetBlockNumber(tid));
	OffsetNumber offno = ItemPointerGetOffsetNumber(tid);
	Page		page;
	Size		at;

	if (buf <= 0 || buf > NBuffers || offno > MaxHeapTuplesPerPage)
		return;
	page = BufferGetPage(buf);
	at = ItemIdGetOffset(PageGetItemId(page, offno));
	for (Size end = at + ROW_PREFETCH; at < Min(end, BLCKSZ); at += 64)
		__builtin_prefetch(page + at);
}

/*
 * hnsw_prefetch_row_value -- likewise the value of a column, which may be stored
 * out of line
 *
 * Returns false when it is not, so that there is no use in asking for more.
 */
bool
hnsw_prefetch_row_value(Relation heap, const ItemPointerData *tid,
						AttrNumber column)
{
	BlockNumber blkno = ItemPointerGetBlockNumber(tid);
	OffsetNumber offno = ItemPointerGetOffsetNumber(tid);
	Buffer		buf = *recent_place(heap, blkno);
	LWLock	   *lock;
	bool		is_outside = true;

	if (buf <= 0 || !VDB_READ_RECENT_BUFFER(heap, blkno, buf))
		return true;
	lock = BufferDescriptorGetContentLock(GetBufferDescriptor(buf - 1));
	if (LWLockConditionalAcquire(lock, LW_SHARED))
	{
		Page		page = BufferGetPage(buf);
		ItemId		item = offno > PageGetMaxOffsetNumber(page) ? NULL :
		PageGetItemId(page, offno);

		if (item != NULL && ItemIdIsNormal(item))
		{
			HeapTupleData tuple = {0};
			Datum		value;
			bool		isnull;

			tuple.t_data = (HeapTupleHeader) PageGetItem(page, item);
			tuple.t_len = ItemIdGetLength(item);
			value = heap_getattr(&tuple, column, RelationGetDescr(heap),
								 &isnull);
			is_outside = isnull || vdb_types_prefetch(value);
		}
		LWLockRelease(lock);
	}
	ReleaseBuffer(buf);
	return is_outside;
}

/*
 * hnsw_hold_row -- pin the page of a row that the executor will fetch next
 *
 * In the place where the table's own code keeps the page of the row fetched
 * last, so that it finds it there and need not look it up.  Remembers where
 * that other page was.  Does nothing one time in some, as read_often_read(),
 * which also lets the page be pruned.
 */
void
hnsw_hold_row(Relation heap, IndexFetchHeapData *fetch,
			  const ItemPointerData *tid)
{
	BlockNumber blkno = ItemPointerGetBlockNumber(tid);
	Buffer		buf = *recent_place(heap, blkno);

	if (BufferIsValid(fetch->xs_cbuf))
	{
		BlockNumber before = BufferGetBlockNumber(fetch->xs_cbuf);

		if (before == blkno)
			return;
		*recent_place(heap, before) = fetch->xs_cbuf;
	}
	if (!BufferIsValid(buf) || ++recent_turn % RECENT_TURNS == 0 ||
		!VDB_READ_RECENT_BUFFER(heap, blkno, buf))
		return;
	pgstat_count_buffer_read(heap);
	pgstat_count_buffer_hit(heap);
	if (BufferIsValid(fetch->xs_cbuf))
		ReleaseBuffer(fetch->xs_cbuf);
	fetch->xs_cbuf = buf;
}

/* hnsw_unlock_record -- release what hnsw_lock_record() gave */
void
hnsw_unlock_record(HnswRecord *record)
{
	UnlockReleaseBuffer(record->buf);
	record->buf = InvalidBuffer;
}

/*
 * hnsw_change_record -- the same for a record about to be changed
 *
 * The page becomes part of the change and stays locked exclusively until the
 * change is finished or aborted, also when false is returned.
 */
bool
hnsw_change_record(HnswChange *change, VdbHnswRef ref, int layer,
				   HnswRecord *record)
{
	Page		page = hnsw_change_page(change, ref.blkno);

	record->buf = InvalidBuffer;
	if (!find_record(change->index, page, ref, layer, record))
		return false;
	if (record->head->body_pages > 0)
		hnsw_read_body(change->index, record);
	return true;
}

/* Find a record on its locked page; false when it is no longer there */
static bool
find_record(HnswIndex *index, Page page, VdbHnswRef ref, int layer,
			HnswRecord *record)
{
	ItemId		item;
	const char *problem;

	hnsw_page_check(index->rel, ref.blkno, page, 0);
	if (VdbHnswPageGetOpaque(page)->kind != VDB_HNSW_PAGE_VERTEX ||
		ref.offno < FirstOffsetNumber ||
		ref.offno > PageGetMaxOffsetNumber(page))
		return false;

	item = PageGetItemId(page, ref.offno);
	if (unlikely(!hnsw_item_is_sane(page, item,
									sizeof(VdbHnswRecordData))))
		hnsw_report_corruption(index->rel, ref.blkno, ref.offno,
							   "The line pointer leads out of the page");
	record->ref = ref;
	record->head = (VdbHnswRecordData *) PageGetItem(page, item);
	if (record->head->kind != VDB_HNSW_RECORD_VERTEX ||
		record->head->generation != ref.generation ||
		record->head->layer != layer)
		return false;

	hnsw_record_parts(index, record->head, record);
	problem = hnsw_record_problem(index, record->head, ItemIdGetLength(item));
	if (unlikely(problem != NULL))
		hnsw_report_corruption(index->rel, ref.blkno, ref.offno, problem);
	return true;
}

/*
 * hnsw_record_parts -- set the pointers to the parts of a record
 *
 * With body pages the value and the codes are left NULL.
 */
void
hnsw_record_parts(const HnswIndex *index, VdbHnswRecordData *head,
				  HnswRecord *record)
{
	char	   *at = (char *) head + sizeof(VdbHnswRecordData);

	record->head = head;
	record->body_blknos = (BlockNumber *) at;
	at += MAXALIGN(head->body_pages * sizeof(BlockNumber));
	record->refs = (VdbHnswRef *) at;
	at += head->capacity * sizeof(VdbHnswRef);
	record->factors = NULL;
	record->covered = NULL;
	if (index->coded)
	{
		record->factors = (VdbHnswFactors *) at;
		record->covered = (uint8 *) &record->factors[head->capacity];
		at += hnsw_factors_size(head->capacity);
	}
	record->value = NULL;
	record->codes = NULL;
	if (head->body_pages == 0)
	{
		record->value = at;
		if (index->coded)
			record->codes = (uint8 *) at + MAXALIGN(head->value_size);
	}
}

/*
 * hnsw_record_problem -- may the parts of a record be relied on?
 *
 * A record must not claim more than its line pointer gives it, nor a value
 * that is not what the index holds.  Returns NULL or what is wrong.  The
 * value is looked at if it is in the record; hnsw_read_body() does otherwise.
 */
const char *
hnsw_record_problem(const HnswIndex *index, const VdbHnswRecordData *head,
					Size length)
{
	int			body_pages;
	HnswRecord	parts;

	if (head->layer > VDB_HNSW_MAX_LAYER ||
		head->value_size > VDB_HNSW_MAX_VALUE_SIZE ||
		head->capacity != hnsw_layer_capacity(index, head->layer) ||
		head->count > head->capacity ||
		head->tid_count > VDB_HNSW_INLINE_TIDS ||
		(index->coded && head->value_size != index->value_size))
		return "The numbers in the record are out of range";

	if (hnsw_record_size(index, head->capacity, head->value_size,
						 &body_pages) > length ||
		body_pages != head->body_pages)
		return "The record is longer than its place";

	if (head->body_pages > 0)
		return NULL;
	hnsw_record_parts(index, unconstify(VdbHnswRecordData *, head), &parts);
	return hnsw_value_problem(index, parts.value, head->value_size);
}

/*
 * hnsw_items_check -- refuse a page whose items cannot be relied on
 *
 * For those who go over all items of a page of vertices or of TIDs, which may
 * also be a copy.
 */
void
hnsw_items_check(HnswIndex *index, BlockNumber blkno, Page page)
{
	bool		vertices = VdbHnswPageGetOpaque(page)->kind ==
	VDB_HNSW_PAGE_VERTEX;
	const char *problem = NULL;

	for (OffsetNumber offno = FirstOffsetNumber;
		 offno <= PageGetMaxOffsetNumber(page); offno++)
	{
		ItemId		item = PageGetItemId(page, offno);
		void	   *data = page + ItemIdGetOffset(item);

		if (!hnsw_item_is_sane(page, item, vertices ?
							   sizeof(VdbHnswRecordData) :
							   VDB_HNSW_CONTAINER_SIZE))
			problem = "The line pointer leads out of the page";
		else if (!vertices &&
				 ((VdbHnswContainerData *) data)->count > VDB_HNSW_CONTAINER_TIDS)
			problem = "The TID container claims too many TIDs";
		else if (vertices &&
				 ((VdbHnswRecordData *) data)->kind == VDB_HNSW_RECORD_VERTEX)
			problem = hnsw_record_problem(index, data, ItemIdGetLength(item));
		if (unlikely(problem != NULL))
			hnsw_report_corruption(index->rel, blkno, offno, problem);
	}
}

/*
 * hnsw_read_body -- copy the contents of the body pages of a locked record
 *
 * lock rule 3: body pages after their record
 */
void
hnsw_read_body(HnswIndex *index, HnswRecord *record)
{
	VdbHnswRecordData *head = record->head;
	Size		value_size = MAXALIGN(head->value_size);
	Size		left = value_size + head->capacity * index->code_size;
	char	   *to;
	const char *problem;

	if (record->body_space < left)
	{
		if (record->body != NULL)
			pfree(record->body);
		record->body_space = 0;
		record->body = palloc(left);
		record->body_space = left;
	}

	to = record->body;
	for (int i = 0; i < head->body_pages; i++)
	{
		BlockNumber blkno = record->body_blknos[i];
		Buffer		buf = hnsw_read_page(index->rel, blkno, NULL);
		Page		page = BufferGetPage(buf);
		Size		here = Min(left, VDB_HNSW_PAGE_SPACE);

		hnsw_page_check(index->rel, blkno, page, VDB_HNSW_PAGE_BODY);
		memcpy(to, PageGetContents(page), here);
		hnsw_unlock_page(buf);
		to += here;
		left -= here;
	}

	problem = hnsw_value_problem(index, record->body, head->value_size);
	if (unlikely(problem != NULL))
		hnsw_report_corruption(index->rel, record->ref.blkno,
							   record->ref.offno, problem);
	record->value = record->body;
	record->codes = index->coded ? (uint8 *) record->body + value_size : NULL;
}

/*
 * hnsw_read_tids -- append all heap TIDs of a record of layer 0
 *
 * The record's page is locked, which keeps its chain of containers as it is
 * (lock rule 3).  "tids" is an array that grows.  Returns how many were
 * added.
 */
int
hnsw_read_tids(HnswIndex *index, const VdbHnswRecordData *head,
			   ItemPointerData **tids, uint32 *count, uint32 *space)
{
	uint32		before = *count;
	VdbHnswRef	next = head->link;
	VdbHnswRef	earlier = head->link;
	uint32		containers = 0;

	if (*space - *count < VDB_HNSW_INLINE_TIDS)
	{
		*space = Max(*space * 2, *count + VDB_HNSW_INLINE_TIDS);
		*tids = repalloc_huge(*tids, sizeof(ItemPointerData) * (Size) *space);
	}
	for (int i = 0; i < head->tid_count; i++)
		(*tids)[(*count)++] = head->tids[i];

	while (!VdbHnswRefIsNone(next))
	{
		Buffer		buf = hnsw_read_page(index->rel, next.blkno, NULL);
		Page		page = BufferGetPage(buf);
		VdbHnswContainerData *container;

		hnsw_page_check(index->rel, next.blkno, page, VDB_HNSW_PAGE_TIDS);
		if (next.offno < FirstOffsetNumber ||
			next.offno > PageGetMaxOffsetNumber(page))
			hnsw_report_corruption(index->rel, next.blkno, next.offno,
								   "There is no such TID container");
		if (!hnsw_item_is_sane(page, PageGetItemId(page, next.offno),
							   VDB_HNSW_CONTAINER_SIZE))
			hnsw_report_corruption(index->rel, next.blkno, next.offno,
								   "The line pointer leads out of the page");
		container = (VdbHnswContainerData *)
			PageGetItem(page, PageGetItemId(page, next.offno));
		if (container->kind != VDB_HNSW_RECORD_TIDS ||
			container->generation != next.generation ||
			container->count > VDB_HNSW_CONTAINER_TIDS)
			hnsw_report_corruption(index->rel, next.blkno, next.offno,
								   "The TID container is not the one referred to");

		if (*space - *count < container->count)
		{
			*space = Max(*space * 2, *count + VDB_HNSW_CONTAINER_TIDS);
			*tids = repalloc_huge(*tids,
								  sizeof(ItemPointerData) * (Size) *space);
		}
		memcpy(*tids + *count, container->tids,
			   sizeof(ItemPointerData) * container->count);
		*count += container->count;
		next = container->link;
		hnsw_unlock_page(buf);

		/* A damaged chain may be a ring: compare with one ever farther back */
		if (VdbHnswRefEquals(next, earlier))
			hnsw_report_corruption(index->rel, next.blkno, next.offno,
								   "The chain of TID containers has no end");
		containers++;
		if ((containers & (containers - 1)) == 0)
			earlier = next;
	}
	return *count - before;
}

/*
 * hnsw_lock_graph -- keep the set of vertices as the mode says
 *
 * ShareLock: somebody is adding a vertex and has chosen neighbours that must
 * stay.  ExclusiveLock: wait until nobody does.  A heavyweight lock on page
 * 0, as pgvector has it; lock rule 1: before any buffer lock.
 */
void
hnsw_lock_graph(Relation rel, LOCKMODE mode)
{
	LockPage(rel, VDB_HNSW_METAPAGE, mode);
}

/* hnsw_unlock_graph -- release what hnsw_lock_graph() took */
void
hnsw_unlock_graph(Relation rel, LOCKMODE mode)
{
	UnlockPage(rel, VDB_HNSW_METAPAGE, mode);
}
