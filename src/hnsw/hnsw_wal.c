/*-------------------------------------------------------------------------
 *
 * hnsw_wal.c
 *	  Changes of pages: exclusive locks, WAL, checksums, and finding room.
 *
 * A change locks up to four pages, works on copies of them and puts all of
 * them in force, or none, as one generic WAL record.  So every change leaves
 * the index in a state that the README lists, also when the server crashes
 * or a standby stops replaying right after it.
 *
 * While an index is being built nobody else can see it: its pages are
 * changed in place and written to the WAL as they are when it is complete.
 *
 * The free space map knows, for each vertex page, the length of the longest
 * record that would fit, counting the places of removed records, and free
 * pages with all they have.  It knows nothing of TID pages: the metapage says
 * where the next container is looked for.
 *
 * IDENTIFICATION
 *	  src/hnsw/hnsw_wal.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "storage/freespace.h"
#include "storage/indexfsm.h"
#include "storage/lmgr.h"
#include "storage/smgr.h"
#include "utils/rel.h"

#include "hnsw_private.h"

/* Step of the free space map, FSM_CAT_STEP of freespace.c */
#define FREE_SPACE_STEP	(BLCKSZ / 256)

static bool try_page(HnswChange *change, BlockNumber blkno, Size size,
					 OffsetNumber *offno);
static OffsetNumber find_free_place(Page page, Size size);
static uint16 next_generation(uint16 generation);
static BlockNumber read_container_page(Relation rel);
static Page add_page(HnswChange *change, BlockNumber blkno, Buffer buf,
					 int flags);

/* hnsw_change_begin -- start a change of an index */
void
hnsw_change_begin(HnswChange *change, HnswIndex *index)
{
	change->index = index;
	change->state = index->building ? NULL : GenericXLogStart(index->rel);
	change->page_count = 0;
	change->new_page = false;
}

/*
 * hnsw_change_page -- lock a page exclusively and return it for changing
 *
 * Asking again for a page that is part of the change returns the same one.
 * Lock rules 2 and 3 are the caller's: see README, "Locks".
 */
Page
hnsw_change_page(HnswChange *change, BlockNumber blkno)
{
	Buffer		buf;

	for (int i = 0; i < change->page_count; i++)
		if (change->blknos[i] == blkno)
			return change->pages[i];

	buf = ReadBuffer(change->index->rel, blkno);
	LockBuffer(buf, BUFFER_LOCK_EXCLUSIVE);
	return add_page(change, blkno, buf, 0);
}

/*
 * hnsw_change_new_page -- extend the index by a page of a kind
 */
Page
hnsw_change_new_page(HnswChange *change, uint16 kind, BlockNumber *blkno)
{
	Relation	rel = change->index->rel;
	bool		need_lock;
	Buffer		buf;
	Page		page;

	/* A new index is local to the leader of its build, and not to workers */
	need_lock = change->index->building || !RELATION_IS_LOCAL(rel);
	if (need_lock)
		LockRelationForExtension(rel, ExclusiveLock);
	buf = ReadBufferExtended(rel, MAIN_FORKNUM, P_NEW, RBM_NORMAL, NULL);
	LockBuffer(buf, BUFFER_LOCK_EXCLUSIVE);
	if (need_lock)
		UnlockRelationForExtension(rel, ExclusiveLock);

	*blkno = BufferGetBlockNumber(buf);
	page = add_page(change, *blkno, buf, GENERIC_XLOG_FULL_IMAGE);
	hnsw_page_init(page, kind);
	change->new_page = true;
	return page;
}

/* Make a locked buffer part of the change */
static Page
add_page(HnswChange *change, BlockNumber blkno, Buffer buf, int flags)
{
	int			i = change->page_count;

	if (i >= HNSW_MAX_CHANGE_PAGES)
		elog(ERROR, "too many pages in one change of an hnsw index");

	change->blknos[i] = blkno;
	change->bufs[i] = buf;
	if (change->state != NULL)
		change->pages[i] = GenericXLogRegisterBuffer(change->state, buf, flags);
	else
		change->pages[i] = BufferGetPage(buf);
	change->page_count++;
	return change->pages[i];
}

/*
 * hnsw_change_finish -- put the change in force and unlock its pages
 */
void
hnsw_change_finish(HnswChange *change)
{
	for (int i = 0; i < change->page_count; i++)
		VdbHnswPageGetOpaque(change->pages[i])->checksum =
			hnsw_page_checksum(change->pages[i]);

	if (change->state != NULL)
		GenericXLogFinish(change->state);
	else
	{
		for (int i = 0; i < change->page_count; i++)
			MarkBufferDirty(change->bufs[i]);
	}

	for (int i = 0; i < change->page_count; i++)
		UnlockReleaseBuffer(change->bufs[i]);
	change->page_count = 0;
}

/*
 * hnsw_change_abort -- forget the change and unlock its pages
 *
 * While building, the caller must not have changed any page yet.
 */
void
hnsw_change_abort(HnswChange *change)
{
	if (change->state != NULL)
		GenericXLogAbort(change->state);
	for (int i = 0; i < change->page_count; i++)
		UnlockReleaseBuffer(change->bufs[i]);
	change->page_count = 0;
}

/*
 * hnsw_change_body -- write into the value or the codes of a record
 *
 * "offset" counts from the start of the value.  The record is part of the
 * change.  Up to two body pages join it (lock rule 3), so that not more than
 * VDB_HNSW_PAGE_SPACE bytes can be written at a time.
 */
void
hnsw_change_body(HnswChange *change, HnswRecord *record, Size offset,
				 const void *data, Size size)
{
	if (record->head->body_pages == 0)
	{
		memcpy((char *) record->value + offset, data, size);
		return;
	}

	Assert(size <= VDB_HNSW_PAGE_SPACE);
	memcpy(record->body + offset, data, size);
	while (size > 0)
	{
		int			which = offset / VDB_HNSW_PAGE_SPACE;
		Size		within = offset % VDB_HNSW_PAGE_SPACE;
		Size		here = Min(size, VDB_HNSW_PAGE_SPACE - within);
		Page		page = hnsw_change_page(change,
											record->body_blknos[which]);

		hnsw_page_check(change->index->rel, record->body_blknos[which], page,
						VDB_HNSW_PAGE_BODY);
		memcpy(PageGetContents(page) + within, data, here);
		data = (const char *) data + here;
		offset += here;
		size -= here;
	}
}

/*
 * hnsw_change_edge -- set neighbour "at" of a record that is being changed
 *
 * "at" may be the first free place.  The last three are ignored where the
 * index has no codes.
 */
void
hnsw_change_edge(HnswChange *change, HnswRecord *record, int at,
				 VdbHnswRef ref, const VdbHnswFactors *factors,
				 const uint8 *code, bool covered)
{
	HnswIndex  *index = change->index;

	Assert(at <= record->head->count && at < record->head->capacity);

	record->refs[at] = ref;
	if (at == record->head->count)
		record->head->count++;
	if (index->coded)
	{
		record->factors[at] = *factors;
		hnsw_set_covered(record->covered, at, covered);
		hnsw_change_body(change, record,
						 MAXALIGN(record->head->value_size) +
						 at * index->code_size, code, index->code_size);
	}
}

/*
 * hnsw_page_room -- length of the longest record that fits on a vertex page
 */
Size
hnsw_page_room(Page page)
{
	OffsetNumber max = PageGetMaxOffsetNumber(page);
	Size		room = PageGetFreeSpace(page);

	/* PageGetFreeSpace() has taken off the line pointer */
	room = MAXALIGN_DOWN(room);
	for (OffsetNumber offno = FirstOffsetNumber; offno <= max; offno++)
	{
		ItemId		item = PageGetItemId(page, offno);
		VdbHnswRecordData *head;

		head = (VdbHnswRecordData *) PageGetItem(page, item);
		if (head->kind == VDB_HNSW_RECORD_FREE)
			room = Max(room, ItemIdGetLength(item));
	}
	return room;
}

/*
 * hnsw_space_for_record -- begin a change that holds room for a record
 *
 * On return the change has one page with a zeroed record of "size" bytes,
 * whose kind and generation are set, and *ref refers to it.  The caller fills
 * it and finishes the change.
 *
 * The free space map rounds what a page has down to steps, and what is asked
 * for up.  So we ask for a step less, or the place of a removed record would
 * never be found for another of the same size.
 */
VdbHnswRecordData *
hnsw_space_for_record(HnswChange *change, HnswIndex *index, Size size,
					  VdbHnswRef *ref)
{
	Relation	rel = index->rel;
	BlockNumber blkno = RelationGetTargetBlock(rel);
	OffsetNumber offno = InvalidOffsetNumber;
	Page		page;
	VdbHnswRecordData *head;
	uint16		generation;
	Size		request = size - size % FREE_SPACE_STEP;

	if (blkno == InvalidBlockNumber)
		blkno = GetPageWithFreeSpace(rel, request);

	while (blkno != InvalidBlockNumber)
	{
		Size		room = 0;

		hnsw_change_begin(change, index);
		if (try_page(change, blkno, size, &offno))
			break;
		if (change->page_count > 0)
		{
			page = change->pages[0];
			if (VdbHnswPageGetOpaque(page)->kind == VDB_HNSW_PAGE_VERTEX)
				room = hnsw_page_room(page);
		}
		hnsw_change_abort(change);

		/* Less than the request, or the map would name the page again */
		room = Min(room, request - 1);
		blkno = RecordAndGetPageWithFreeSpace(rel, blkno, room, request);
	}

	if (blkno == InvalidBlockNumber)
	{
		hnsw_change_begin(change, index);
		page = hnsw_change_new_page(change, VDB_HNSW_PAGE_VERTEX, &blkno);
		offno = find_free_place(page, size);
	}
	page = change->pages[0];
	RelationSetTargetBlock(rel, blkno);

	head = (VdbHnswRecordData *) PageGetItem(page, PageGetItemId(page, offno));
	generation = next_generation(head->generation);
	memset(head, 0, ItemIdGetLength(PageGetItemId(page, offno)));
	head->kind = VDB_HNSW_RECORD_VERTEX;
	head->generation = generation;

	ref->blkno = blkno;
	ref->offno = offno;
	ref->generation = generation;
	return head;
}

/*
 * Lock a page that may have room and make the place; false if it has none
 *
 * The page may be one that the free space map remembers from before a crash
 * or a truncation, so it is looked at with care.
 */
static bool
try_page(HnswChange *change, BlockNumber blkno, Size size,
		 OffsetNumber *offno)
{
	Relation	rel = change->index->rel;
	Page		page;
	uint16		kind;

	if (blkno >= RelationGetNumberOfBlocks(rel) || blkno == VDB_HNSW_METAPAGE)
		return false;
	page = hnsw_change_page(change, blkno);
	if (PageIsNew(page))
		hnsw_page_init(page, VDB_HNSW_PAGE_VERTEX);
	hnsw_page_check(rel, blkno, page, 0);
	kind = VdbHnswPageGetOpaque(page)->kind;
	if (kind == VDB_HNSW_PAGE_FREE)
		hnsw_page_init(page, VDB_HNSW_PAGE_VERTEX);
	else if (kind != VDB_HNSW_PAGE_VERTEX)
		return false;
	hnsw_items_check(change->index, blkno, page);
	*offno = find_free_place(page, size);
	return OffsetNumberIsValid(*offno);
}

/*
 * The shortest free place of at least "size" bytes on a page, made if need be
 */
static OffsetNumber
find_free_place(Page page, Size size)
{
	OffsetNumber max = PageGetMaxOffsetNumber(page);
	OffsetNumber best = InvalidOffsetNumber;
	Size		best_length = BLCKSZ;
	char	   *zeros;

	for (OffsetNumber offno = FirstOffsetNumber; offno <= max; offno++)
	{
		ItemId		item = PageGetItemId(page, offno);
		VdbHnswRecordData *head;

		head = (VdbHnswRecordData *) PageGetItem(page, item);
		if (head->kind == VDB_HNSW_RECORD_FREE &&
			ItemIdGetLength(item) >= size &&
			ItemIdGetLength(item) < best_length)
		{
			best = offno;
			best_length = ItemIdGetLength(item);
		}
	}
	if (OffsetNumberIsValid(best) || PageGetFreeSpace(page) < size)
		return best;

	zeros = palloc0(size);
	best = PageAddItem(page, (Item) zeros, size, InvalidOffsetNumber, false,
					   false);
	pfree(zeros);
	return best;
}

/* Generation of the next vertex in a place; 0 is for "none" */
static uint16
next_generation(uint16 generation)
{
	return generation == PG_UINT16_MAX ? 1 : generation + 1;
}

/*
 * hnsw_space_left -- tell the free space map about a page just written to
 *
 * Called after the change was finished.  "room" as hnsw_page_room() had it.
 * The upper levels of the map are brought up to date, or a search for space
 * would not find the page before the next VACUUM.
 */
void
hnsw_space_left(HnswIndex *index, BlockNumber blkno, Size room)
{
	RecordPageWithFreeSpace(index->rel, blkno, room);
	FreeSpaceMapVacuumRange(index->rel, blkno, blkno + 1);
}

/*
 * hnsw_space_for_body -- begin a change that holds one empty body page
 */
Page
hnsw_space_for_body(HnswChange *change, HnswIndex *index, BlockNumber *blkno)
{
	Relation	rel = index->rel;

	while ((*blkno = GetPageWithFreeSpace(rel, VDB_HNSW_PAGE_SPACE)) !=
		   InvalidBlockNumber)
	{
		Page		page;

		/* Whoever finds it next will see it as full */
		RecordPageWithFreeSpace(rel, *blkno, 0);
		FreeSpaceMapVacuumRange(rel, *blkno, *blkno + 1);
		if (*blkno >= RelationGetNumberOfBlocks(rel) ||
			*blkno == VDB_HNSW_METAPAGE)
			continue;

		hnsw_change_begin(change, index);
		page = hnsw_change_page(change, *blkno);
		if (PageIsNew(page) ||
			VdbHnswPageGetOpaque(page)->kind == VDB_HNSW_PAGE_FREE)
		{
			hnsw_page_init(page, VDB_HNSW_PAGE_BODY);
			return page;
		}
		hnsw_change_abort(change);
	}

	hnsw_change_begin(change, index);
	return hnsw_change_new_page(change, VDB_HNSW_PAGE_BODY, blkno);
}

/*
 * hnsw_space_for_container -- take room for TIDs into a change
 *
 * The change holds the page of the vertex that the container is for and no
 * TID page; one joins it (lock rule 3), and the metapage when a new TID page
 * is made (lock rule 2).
 */
VdbHnswContainerData *
hnsw_space_for_container(HnswChange *change, VdbHnswRef *ref)
{
	Relation	rel = change->index->rel;
	Page		page;
	OffsetNumber offno = InvalidOffsetNumber;
	VdbHnswContainerData *container;
	uint16		generation;

	ref->blkno = read_container_page(rel);
	if (ref->blkno != InvalidBlockNumber)
	{
		page = hnsw_change_page(change, ref->blkno);
		hnsw_page_check(rel, ref->blkno, page, VDB_HNSW_PAGE_TIDS);
		hnsw_items_check(change->index, ref->blkno, page);
		offno = find_free_place(page, VDB_HNSW_CONTAINER_SIZE);
	}
	if (!OffsetNumberIsValid(offno))
	{
		VdbHnswMetaPageData *meta;

		page = hnsw_change_new_page(change, VDB_HNSW_PAGE_TIDS, &ref->blkno);
		offno = find_free_place(page, VDB_HNSW_CONTAINER_SIZE);
		meta = VdbHnswPageGetMeta(hnsw_change_page(change,
												   VDB_HNSW_METAPAGE));
		meta->container_page = ref->blkno;
	}

	container = (VdbHnswContainerData *)
		PageGetItem(page, PageGetItemId(page, offno));
	generation = next_generation(container->generation);
	memset(container, 0, VDB_HNSW_CONTAINER_SIZE);
	container->kind = VDB_HNSW_RECORD_TIDS;
	container->generation = generation;
	container->capacity = VDB_HNSW_CONTAINER_TIDS;
	ref->offno = offno;
	ref->generation = generation;
	return container;
}

/* The page where a container is looked for, or InvalidBlockNumber */
static BlockNumber
read_container_page(Relation rel)
{
	Buffer		buf = hnsw_read_page(rel, VDB_HNSW_METAPAGE, NULL);
	BlockNumber blkno;

	blkno = VdbHnswPageGetMeta(BufferGetPage(buf))->container_page;
	hnsw_unlock_page(buf);
	return blkno;
}
