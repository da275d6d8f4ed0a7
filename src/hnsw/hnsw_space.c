/*-------------------------------------------------------------------------
 *
 * hnsw_space.c
 *	  Finding and giving back room for records, bodies and TID containers.
 *
 * The free space map knows, for each vertex page, the length of the longest
 * record that would fit, counting the places of removed records, and free
 * pages with all they have.  It knows nothing of TID pages: the metapage says
 * where the next container is looked for.
 *
 * IDENTIFICATION
 *	  src/hnsw/hnsw_space.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "storage/freespace.h"
#include "storage/indexfsm.h"
#include "storage/smgr.h"
#include "utils/rel.h"

#include "hnsw_private.h"

static bool try_page(HnswChange *change, BlockNumber blkno, Size size,
					 OffsetNumber *offno);
static OffsetNumber find_free_place(Page page, Size size);
static uint16 next_generation(uint16 generation);
static BlockNumber read_container_page(Relation rel);

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
	Size		room;

	if (blkno == InvalidBlockNumber)
		blkno = GetPageWithFreeSpace(rel, size);

	while (blkno != InvalidBlockNumber)
	{
		hnsw_change_begin(change, index);
		if (try_page(change, blkno, size, &offno))
			break;
		/* A page that the index does not have is not part of the change */
		room = 0;
		if (change->page_count > 0 &&
			VdbHnswPageGetOpaque(change->pages[0])->kind == VDB_HNSW_PAGE_VERTEX)
			room = hnsw_page_room(change->pages[0]);
		hnsw_change_abort(change);
		blkno = RecordAndGetPageWithFreeSpace(rel, blkno, room, size);
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
