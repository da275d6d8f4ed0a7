/*-------------------------------------------------------------------------
 *
 * hnsw_verify_page.c
 *	  The first pass of vecdb.verify_index(): every page by itself.
 *
 * A page is copied under its lock, so that what is found within it is so.
 * What the page holds is noted for the passes that follow.
 *
 * PostgreSQL checks the header of a page, and its own checksum if there is
 * one, when it reads the page, and raises the error itself.
 *
 * IDENTIFICATION
 *	  src/hnsw/hnsw_verify_page.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "hnsw_verify.h"

static void verify_page(HnswVerify *verify, BlockNumber blkno, Page page);
static void verify_vertex_item(HnswVerify *verify, BlockNumber blkno,
							   OffsetNumber offno, Page page);
static bool verify_record(HnswVerify *verify, BlockNumber blkno,
						  OffsetNumber offno, const VdbHnswRecordData *head,
						  Size length);
static void verify_container(HnswVerify *verify, BlockNumber blkno,
							 OffsetNumber offno, Page page);
static void add_new_page(HnswVerify *verify, BlockNumber blkno);
static void add_note(HnswVerify *verify, uint32 note);

/* hnsw_verify_pages -- invariants 1, 3 and 6, as far as one page tells */
void
hnsw_verify_pages(HnswVerify *verify)
{
	PGAlignedBlock copy;

	verify->blocks = RelationGetNumberOfBlocks(verify->rel);
	verify->kinds = palloc_extended(sizeof(uint16) * verify->blocks,
									MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	verify->first = palloc_extended(sizeof(uint64) *
									((Size) verify->blocks + 1),
									MCXT_ALLOC_HUGE);
	verify->note_space = 1024;
	verify->notes = palloc(sizeof(uint32) * verify->note_space);
	vdb_visited_init(&verify->containers, 64);
	verify->highest_layer = -1;

	for (BlockNumber blkno = 0; blkno < verify->blocks; blkno++)
	{
		Buffer		buf;

		CHECK_FOR_INTERRUPTS();
		buf = hnsw_read_page(verify->rel, blkno, verify->strategy);
		memcpy(copy.data, BufferGetPage(buf), BLCKSZ);
		hnsw_unlock_page(buf);

		verify->first[blkno] = verify->note_count;
		if (PageIsNew((Page) copy.data))
			add_new_page(verify, blkno);
		else
			verify_page(verify, blkno, (Page) copy.data);
	}
	verify->first[verify->blocks] = verify->note_count;
}

/*
 * hnsw_verify_page_is_ours -- may a page be read as one of its kind?
 *
 * Any kind with 0.
 */
bool
hnsw_verify_page_is_ours(Page page, uint16 kind)
{
	PageHeader	header = (PageHeader) page;

	return !PageIsNew(page) && PageGetPageSize(page) == BLCKSZ &&
		header->pd_lower >= SizeOfPageHeaderData &&
		PageGetSpecialSize(page) == MAXALIGN(sizeof(VdbHnswPageOpaqueData)) &&
		VdbHnswPageGetOpaque(page)->page_id == VDB_HNSW_PAGE_ID &&
		(kind == 0 || VdbHnswPageGetOpaque(page)->kind == kind);
}

/* One page that is not all zeros */
static void
verify_page(HnswVerify *verify, BlockNumber blkno, Page page)
{
	VdbHnswPageOpaqueData *opaque;

	if (!hnsw_verify_page_is_ours(page, 0))
	{
		hnsw_verify_report(verify, 1, blkno, 0,
						   "The page does not belong to an hnsw index of vecdb");
		return;
	}
	opaque = VdbHnswPageGetOpaque(page);
	if (opaque->checksum != hnsw_page_checksum(page))
		hnsw_verify_report(verify, 1, blkno, 0,
						   "The checksum of the page is wrong");
	if (opaque->kind < VDB_HNSW_PAGE_META ||
		opaque->kind > VDB_HNSW_PAGE_FREE ||
		(opaque->kind == VDB_HNSW_PAGE_META) != (blkno == VDB_HNSW_METAPAGE))
	{
		hnsw_verify_report(verify, 1, blkno, 0,
						   "The page has kind %u, which cannot be here",
						   opaque->kind);
		return;
	}
	if (opaque->flags != 0 || opaque->zero != 0)
		hnsw_verify_report(verify, 1, blkno, 0,
						   "Reserved bytes of the page are not zero");

	verify->kinds[blkno] = opaque->kind;
	for (OffsetNumber offno = FirstOffsetNumber;
		 offno <= PageGetMaxOffsetNumber(page); offno++)
	{
		if (opaque->kind == VDB_HNSW_PAGE_VERTEX)
			verify_vertex_item(verify, blkno, offno, page);
		else if (opaque->kind == VDB_HNSW_PAGE_TIDS)
			verify_container(verify, blkno, offno, page);
	}
}

/* A place on a vertex page; it gets a note in any case */
static void
verify_vertex_item(HnswVerify *verify, BlockNumber blkno, OffsetNumber offno,
				   Page page)
{
	ItemId		item = PageGetItemId(page, offno);
	VdbHnswRecordData *head;
	uint32		note;

	if (!hnsw_item_is_sane(page, item, sizeof(VdbHnswRecordData)))
	{
		hnsw_verify_report(verify, 3, blkno, offno,
						   "The line pointer leads out of the page");
		add_note(verify, HNSW_NOTE_BROKEN);
		return;
	}
	head = (VdbHnswRecordData *) PageGetItem(page, item);
	if (head->kind == VDB_HNSW_RECORD_FREE)
	{
		add_note(verify, 0);
		return;
	}

	note = HNSW_NOTE_VERTEX | (uint32) head->layer << 16 | head->generation;
	if (head->flags & VDB_HNSW_DELETED)
		note |= HNSW_NOTE_DELETED;
	if (!verify_record(verify, blkno, offno, head, ItemIdGetLength(item)))
		note = HNSW_NOTE_BROKEN;
	else if ((head->flags & VDB_HNSW_DELETED) == 0 &&
			 head->layer > verify->highest_layer)
	{
		verify->highest.blkno = blkno;
		verify->highest.offno = offno;
		verify->highest.generation = head->generation;
		verify->highest_layer = head->layer;
	}
	add_note(verify, note);
}

/* Invariant 3 for one record; false when it is not to be looked at further */
static bool
verify_record(HnswVerify *verify, BlockNumber blkno, OffsetNumber offno,
			  const VdbHnswRecordData *head, Size length)
{
	const char *problem = NULL;

	if (head->kind != VDB_HNSW_RECORD_VERTEX)
		problem = "The record is of no known kind";
	else if (head->generation == 0)
		problem = "The record has generation 0";
	else
		problem = hnsw_record_problem(&verify->index, head, length);
	if (problem != NULL)
	{
		hnsw_verify_report(verify, 3, blkno, offno, "%s", problem);
		return false;
	}

	if ((head->flags & ~VDB_HNSW_DELETED) != 0)
		hnsw_verify_report(verify, 3, blkno, offno,
						   "The record has flags that are not known");
	if (head->layer > 0 && head->tid_count > 0)
		hnsw_verify_report(verify, 3, blkno, offno,
						   "A record above layer 0 has heap rows");
	return true;
}

/* Invariant 6 for a TID container by itself */
static void
verify_container(HnswVerify *verify, BlockNumber blkno, OffsetNumber offno,
				 Page page)
{
	ItemId		item = PageGetItemId(page, offno);
	VdbHnswContainerData *container;
	VdbHnswRef	ref;

	if (!hnsw_item_is_sane(page, item, VDB_HNSW_CONTAINER_SIZE))
	{
		hnsw_verify_report(verify, 6, blkno, offno,
						   "The line pointer leads out of the page");
		return;
	}
	container = (VdbHnswContainerData *) PageGetItem(page, item);
	if (container->kind == VDB_HNSW_RECORD_FREE)
		return;
	if (container->kind != VDB_HNSW_RECORD_TIDS ||
		container->generation == 0 ||
		container->capacity != VDB_HNSW_CONTAINER_TIDS ||
		container->count > VDB_HNSW_CONTAINER_TIDS)
	{
		hnsw_verify_report(verify, 6, blkno, offno,
						   "The numbers in the TID container are out of range");
		return;
	}
	if (container->count == 0)
		hnsw_verify_report(verify, 6, blkno, offno,
						   "The TID container is in use and empty");

	ref.blkno = blkno;
	ref.offno = offno;
	ref.generation = container->generation;
	vdb_visited_add(&verify->containers, hnsw_ref_key(ref));
}

/*
 * hnsw_verify_new_pages -- pages that were all zeros and still are
 *
 * Whoever extends the index has filled the page by now.  A crash right after
 * leaves such a page for good, so it is no fault by itself; had it held
 * something, references to that are reported.
 */
void
hnsw_verify_new_pages(HnswVerify *verify)
{
	for (int i = 0; i < verify->new_page_count; i++)
	{
		BlockNumber blkno = verify->new_pages[i];
		Buffer		buf = hnsw_read_page(verify->rel, blkno, NULL);
		bool		is_new = PageIsNew(BufferGetPage(buf));

		hnsw_unlock_page(buf);
		if (is_new)
			hnsw_verify_warn(verify, 1, blkno, 0,
							 "The page is all zeros: added right before a crash, or lost");
	}
}

static void
add_new_page(HnswVerify *verify, BlockNumber blkno)
{
	if (verify->new_page_count == verify->new_page_space)
	{
		int			space = Max(verify->new_page_space * 2, 16);

		verify->new_pages = verify->new_pages == NULL ?
			palloc(sizeof(BlockNumber) * space) :
			repalloc_huge(verify->new_pages, sizeof(BlockNumber) * (Size) space);
		verify->new_page_space = space;
	}
	verify->new_pages[verify->new_page_count++] = blkno;
}

static void
add_note(HnswVerify *verify, uint32 note)
{
	if (verify->note_count == verify->note_space)
	{
		verify->note_space *= 2;
		verify->notes = repalloc_huge(verify->notes, sizeof(uint32) *
									  (Size) verify->note_space);
	}
	verify->notes[verify->note_count++] = note;
}
