/*-------------------------------------------------------------------------
 *
 * hnsw_vacuum.c
 *	  VACUUM: removing rows, repairing the graph, giving space back.
 *
 * A round of VACUUM has these passes over the pages:
 *
 *	mark	take dead rows out of their vertices; a vertex left without rows is
 *			marked as deleted
 *	upper	mark the records of those vertices in upper layers, too
 *	wait	until no insertion is under way that may have chosen a deleted
 *			vertex as a neighbour; later ones do not
 *	repair	give every vertex that points to a deleted one new neighbours in
 *			its place (hnsw_repair.c)
 *	wait	until no insertion is under way that may have come across a deleted
 *			vertex; later ones do not
 *	free	let the places of deleted records be used again
 *
 * Deleted vertices lead searches on until the repair is done.  A crash or a
 * cancel between the passes leaves vertices that are marked: the next VACUUM
 * goes on with them.
 *
 * The set of deleted records is bounded by maintenance_work_mem.  When it is
 * full, the round is finished with those it has, and another one goes on
 * from there.
 *
 * IDENTIFICATION
 *	  src/hnsw/hnsw_vacuum.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/vacuum.h"
#include "miscadmin.h"
#include "storage/freespace.h"
#include "storage/indexfsm.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "hnsw_vacuum.h"

static BlockNumber mark_pass(HnswVacuum *vacuum, BlockNumber from);
static void mark_page(HnswVacuum *vacuum, BlockNumber blkno);
static bool mark_records(HnswVacuum *vacuum, BlockNumber blkno, Page page,
						 VdbHnswRef *chains, int *chain_count);
static int	keep_live(HnswVacuum *vacuum, ItemPointerData *tids, int count);
static void clean_chain(HnswVacuum *vacuum, VdbHnswRef vertex);
static bool clean_container(HnswVacuum *vacuum, VdbHnswRef vertex,
							VdbHnswRef *previous, VdbHnswRef *container);
static void upper_pass(HnswVacuum *vacuum);
static void mark_upper_records(HnswVacuum *vacuum, BlockNumber blkno);
static void wait_for_insertions(HnswVacuum *vacuum);
static void free_pass(HnswVacuum *vacuum);
static void free_records(HnswVacuum *vacuum, BlockNumber blkno);
static void free_body(HnswVacuum *vacuum, BlockNumber blkno);
static void set_container_page(HnswVacuum *vacuum);
static bool copy_vertex_page(HnswVacuum *vacuum, BlockNumber blkno, Page page);

/* hnsw_bulk_delete -- ambulkdelete */
IndexBulkDeleteResult *
hnsw_bulk_delete(IndexVacuumInfo *info, IndexBulkDeleteResult *stats,
				 IndexBulkDeleteCallback callback, void *callback_state)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "hnsw vacuum",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old;
	HnswVacuum	vacuum = {0};
	BlockNumber from = VDB_HNSW_METAPAGE + 1;

	if (stats == NULL)
		stats = palloc0(sizeof(IndexBulkDeleteResult));

	old = MemoryContextSwitchTo(context);
	vacuum.index = hnsw_index_open(info->index);
	vacuum.strategy = info->strategy;
	vacuum.callback = callback;
	vacuum.callback_state = callback_state;
	vacuum.stats = stats;
	vacuum.limit = (Size) maintenance_work_mem * 1024 / 2;
	vacuum.context = AllocSetContextCreate(context, "hnsw vacuum page",
										   ALLOCSET_DEFAULT_SIZES);
	vacuum.container_page = InvalidBlockNumber;
	stats->num_index_tuples = 0;

	do
	{
		vdb_visited_init(&vacuum.deleted, 1024);
		vdb_visited_init(&vacuum.doubtful, 1024);
		from = mark_pass(&vacuum, from);
		if (vacuum.deleted.count > 0)
		{
			VDB_DEBUG_POINT("hnsw_vacuum_marked");
			upper_pass(&vacuum);
			VDB_DEBUG_POINT("hnsw_vacuum_upper");
			wait_for_insertions(&vacuum);
			VDB_DEBUG_POINT("hnsw_vacuum_waited");
			hnsw_repair_entry(&vacuum);
			VDB_DEBUG_POINT("hnsw_vacuum_entry");
			hnsw_repair_pass(&vacuum);
			hnsw_reach_pass(&vacuum);
			VDB_DEBUG_POINT("hnsw_vacuum_repaired");
			wait_for_insertions(&vacuum);
			VDB_DEBUG_POINT("hnsw_vacuum_free");
			free_pass(&vacuum);
			VDB_DEBUG_POINT("hnsw_vacuum_freed");
		}
		pfree(vacuum.deleted.keys);
		pfree(vacuum.doubtful.keys);
	} while (from != InvalidBlockNumber);
	set_container_page(&vacuum);

	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return stats;
}

/* hnsw_vacuum_cleanup -- amvacuumcleanup */
IndexBulkDeleteResult *
hnsw_vacuum_cleanup(IndexVacuumInfo *info, IndexBulkDeleteResult *stats)
{
	if (info->analyze_only)
		return stats;

	if (stats == NULL)
	{
		stats = palloc0(sizeof(IndexBulkDeleteResult));
		stats->num_index_tuples = info->num_heap_tuples;
		stats->estimated_count = info->estimated_count;
	}
	else
		IndexFreeSpaceMapVacuum(info->index);

	stats->num_pages = RelationGetNumberOfBlocks(info->index);
	return stats;
}

/*
 * Take dead rows out of all pages from "from" on
 *
 * Returns InvalidBlockNumber at the end of the index, or the page to go on
 * with when the set of deleted records is full.
 */
static BlockNumber
mark_pass(HnswVacuum *vacuum, BlockNumber from)
{
	BlockNumber blocks = RelationGetNumberOfBlocks(vacuum->index->rel);

	for (BlockNumber blkno = from; blkno < blocks; blkno++)
	{
		MemoryContext old = MemoryContextSwitchTo(vacuum->context);

		vdb_vacuum_delay_point();
		mark_page(vacuum, blkno);
		MemoryContextSwitchTo(old);
		MemoryContextReset(vacuum->context);

		if (vdb_visited_size(&vacuum->deleted) >= vacuum->limit)
			return blkno + 1;
	}
	return InvalidBlockNumber;
}

/*
 * Take the dead rows out of the vertices of one page
 *
 * First on a copy, to learn whether there is anything to change.
 */
static void
mark_page(HnswVacuum *vacuum, BlockNumber blkno)
{
	IndexBulkDeleteResult before = *vacuum->stats;
	PGAlignedBlock *copy = palloc(sizeof(PGAlignedBlock));
	VdbHnswRef *chains = palloc(sizeof(VdbHnswRef) * MaxOffsetNumber);
	int			chain_count;

	if (!copy_vertex_page(vacuum, blkno, copy->data))
		return;
	if (mark_records(vacuum, blkno, copy->data, chains, &chain_count))
	{
		HnswChange	change;

		/* Rows may have been added since the page was copied */
		*vacuum->stats = before;
		hnsw_change_begin(&change, vacuum->index);
		mark_records(vacuum, blkno, hnsw_change_page(&change, blkno), chains,
					 &chain_count);
		hnsw_change_finish(&change);
	}
	for (int i = 0; i < chain_count; i++)
		clean_chain(vacuum, chains[i]);
}

/*
 * Copy a page if it is a vertex page
 *
 * One that was added right before a crash may never have been written to.
 */
static bool
copy_vertex_page(HnswVacuum *vacuum, BlockNumber blkno, Page copy)
{
	Buffer		buf = hnsw_read_page(vacuum->index->rel, blkno,
									 vacuum->strategy);
	Page		page = BufferGetPage(buf);
	bool		is_vertex = false;

	if (!PageIsNew(page))
	{
		hnsw_page_check(vacuum->index->rel, blkno, page, 0);
		is_vertex = VdbHnswPageGetOpaque(page)->kind == VDB_HNSW_PAGE_VERTEX;
	}
	if (is_vertex)
		memcpy(copy, page, BLCKSZ);
	hnsw_unlock_page(buf);
	if (is_vertex)
		hnsw_items_check(vacuum->index, blkno, copy);
	return is_vertex;
}

/*
 * Take dead rows out of the records of layer 0 of a page
 *
 * Marks records that have none left, enters all marked ones in the set, and
 * lists those with containers in chains[].  Returns whether the page was
 * changed.
 */
static bool
mark_records(HnswVacuum *vacuum, BlockNumber blkno, Page page,
			 VdbHnswRef *chains, int *chain_count)
{
	bool		changed = false;

	*chain_count = 0;
	for (OffsetNumber offno = FirstOffsetNumber;
		 offno <= PageGetMaxOffsetNumber(page); offno++)
	{
		VdbHnswRecordData *head = (VdbHnswRecordData *)
		PageGetItem(page, PageGetItemId(page, offno));
		int			kept;

		if (head->kind != VDB_HNSW_RECORD_VERTEX || head->layer > 0)
			continue;

		kept = keep_live(vacuum, head->tids, head->tid_count);
		changed |= kept < head->tid_count;
		head->tid_count = kept;
		if (!VdbHnswRefIsNone(head->link))
		{
			chains[*chain_count].blkno = blkno;
			chains[*chain_count].offno = offno;
			chains[(*chain_count)++].generation = head->generation;
		}
		else if (kept == 0)
		{
			changed |= (head->flags & VDB_HNSW_DELETED) == 0;
			head->flags |= VDB_HNSW_DELETED;
			vdb_visited_add(&vacuum->deleted, hnsw_place_key(blkno, offno));
		}
	}
	return changed;
}

/* Keep those of some rows that are not dead; returns how many they are */
static int
keep_live(HnswVacuum *vacuum, ItemPointerData *tids, int count)
{
	int			kept = 0;

	for (int i = 0; i < count; i++)
	{
		if (vacuum->callback(&tids[i], vacuum->callback_state))
			vacuum->stats->tuples_removed++;
		else
			tids[kept++] = tids[i];
	}
	vacuum->stats->num_index_tuples += kept;
	return kept;
}

/* Take dead rows out of the containers of a vertex */
static void
clean_chain(HnswVacuum *vacuum, VdbHnswRef vertex)
{
	VdbHnswRef	previous = {0};
	VdbHnswRef	container = {0};
	VdbHnswRef	earlier = {0};
	uint32		steps = 0;

	while (clean_container(vacuum, vertex, &previous, &container))
	{
		/* A damaged chain may be a ring; see hnsw_read_tids() */
		if (!VdbHnswRefIsNone(container) &&
			!VdbHnswRefEquals(container, previous) &&	/* none was freed */
			VdbHnswRefEquals(container, earlier))
			hnsw_report_corruption(vacuum->index->rel, container.blkno,
								   container.offno,
								   "The chain of TID containers has no end");
		steps++;
		if ((steps & (steps - 1)) == 0)
			earlier = container;
		vdb_vacuum_delay_point();
	}
}

/*
 * Take dead rows out of the container after *container, or the first one
 *
 * An empty one is taken out of the chain; a vertex left without rows is
 * marked.  Sets *previous and *container to go on with, and returns false at
 * the end of the chain.
 *
 * The vertex is locked for the while, so that its chain stays as it is.  Two
 * TID pages are locked at a time, the earlier in the chain first; only VACUUM
 * does so, and there is never more than one (lock rule 3).
 */
static bool
clean_container(HnswVacuum *vacuum, VdbHnswRef vertex, VdbHnswRef *previous,
				VdbHnswRef *container)
{
	HnswIndex  *index = vacuum->index;
	HnswRecord	record = {0};
	HnswChange	change;
	VdbHnswRef *link;
	VdbHnswContainerData *data;
	Page		page;
	int			kept;
	bool		changed;

	hnsw_change_begin(&change, index);
	if (!hnsw_change_record(&change, vertex, 0, &record))
	{
		hnsw_change_abort(&change);
		return false;
	}

	/* What points to the container to be looked at */
	link = &record.head->link;
	if (!VdbHnswRefIsNone(*container))
	{
		page = hnsw_change_page(&change, container->blkno);
		data = (VdbHnswContainerData *)
			PageGetItem(page, PageGetItemId(page, container->offno));
		link = &data->link;
	}
	if (VdbHnswRefIsNone(*link))
	{
		hnsw_change_abort(&change);
		return false;
	}
	if (VdbHnswRefEquals(*link, *container))
		hnsw_report_corruption(index->rel, link->blkno, link->offno,
							   "The chain of TID containers has no end");
	*previous = *container;
	*container = *link;

	page = hnsw_change_page(&change, container->blkno);
	hnsw_page_check(index->rel, container->blkno, page, VDB_HNSW_PAGE_TIDS);
	hnsw_items_check(index, container->blkno, page);
	if (container->offno < FirstOffsetNumber ||
		container->offno > PageGetMaxOffsetNumber(page))
		hnsw_report_corruption(index->rel, container->blkno, container->offno,
							   "There is no such TID container");
	data = (VdbHnswContainerData *)
		PageGetItem(page, PageGetItemId(page, container->offno));
	kept = keep_live(vacuum, data->tids, data->count);
	changed = kept < data->count || kept == 0;
	data->count = kept;
	if (kept == 0)
	{
		*link = data->link;
		data->kind = VDB_HNSW_RECORD_FREE;
		vacuum->container_page = Min(vacuum->container_page,
									 container->blkno);
		*container = *previous;
		if (record.head->tid_count == 0 &&
			VdbHnswRefIsNone(record.head->link))
		{
			record.head->flags |= VDB_HNSW_DELETED;
			vdb_visited_add(&vacuum->deleted,
							hnsw_place_key(vertex.blkno, vertex.offno));
		}
	}
	if (changed)
		hnsw_change_finish(&change);
	else
		hnsw_change_abort(&change);
	return true;
}

/* Mark the records of deleted vertices in upper layers */
static void
upper_pass(HnswVacuum *vacuum)
{
	BlockNumber blocks = RelationGetNumberOfBlocks(vacuum->index->rel);

	vacuum->entry_layer = -1;
	for (BlockNumber blkno = VDB_HNSW_METAPAGE + 1; blkno < blocks; blkno++)
	{
		MemoryContext old = MemoryContextSwitchTo(vacuum->context);

		vdb_vacuum_delay_point();
		mark_upper_records(vacuum, blkno);
		MemoryContextSwitchTo(old);
		MemoryContextReset(vacuum->context);
	}
}

/*
 * The same for one page
 *
 * Also notes the highest record of the index that stays, which becomes the
 * entry point when that has to go.
 */
static void
mark_upper_records(HnswVacuum *vacuum, BlockNumber blkno)
{
	PGAlignedBlock *copy = palloc(sizeof(PGAlignedBlock));
	bool		change_needed = false;

	if (!copy_vertex_page(vacuum, blkno, copy->data))
		return;
	for (OffsetNumber offno = FirstOffsetNumber;
		 offno <= PageGetMaxOffsetNumber(copy->data); offno++)
	{
		VdbHnswRecordData *head = (VdbHnswRecordData *)
		PageGetItem(copy->data, PageGetItemId(copy->data, offno));

		if (head->kind != VDB_HNSW_RECORD_VERTEX)
			continue;
		if (head->layer > 0 && (head->flags & VDB_HNSW_DELETED) == 0 &&
			hnsw_is_deleted(vacuum, ItemPointerGetBlockNumber(&head->tids[0]),
							ItemPointerGetOffsetNumber(&head->tids[0])))
		{
			head->flags |= VDB_HNSW_DELETED;
			change_needed = true;
		}
		if (head->layer > 0 && (head->flags & VDB_HNSW_DELETED) != 0)
			vdb_visited_add(&vacuum->deleted, hnsw_place_key(blkno, offno));
		if ((head->flags & VDB_HNSW_DELETED) == 0 &&
			head->layer > vacuum->entry_layer)
		{
			vacuum->entry_layer = head->layer;
			vacuum->entry.blkno = blkno;
			vacuum->entry.offno = offno;
			vacuum->entry.generation = head->generation;
		}
	}

	if (change_needed)
	{
		HnswChange	change;
		Page		page;

		hnsw_change_begin(&change, vacuum->index);
		page = hnsw_change_page(&change, blkno);
		for (OffsetNumber offno = FirstOffsetNumber;
			 offno <= PageGetMaxOffsetNumber(copy->data); offno++)
		{
			VdbHnswRecordData *head = (VdbHnswRecordData *)
			PageGetItem(page, PageGetItemId(page, offno));

			if (head->layer > 0 && hnsw_is_deleted(vacuum, blkno, offno))
				head->flags |= VDB_HNSW_DELETED;
		}
		hnsw_change_finish(&change);
	}
}

/*
 * Wait until every insertion that is under way now has ended (lock rule 1)
 */
static void
wait_for_insertions(HnswVacuum *vacuum)
{
	hnsw_lock_graph(vacuum->index->rel, ExclusiveLock);
	hnsw_unlock_graph(vacuum->index->rel, ExclusiveLock);
}

/* Let the places of the deleted records be used again */
static void
free_pass(HnswVacuum *vacuum)
{
	BlockNumber blocks = RelationGetNumberOfBlocks(vacuum->index->rel);

	for (BlockNumber blkno = VDB_HNSW_METAPAGE + 1; blkno < blocks; blkno++)
	{
		MemoryContext old = MemoryContextSwitchTo(vacuum->context);

		vdb_vacuum_delay_point();
		free_records(vacuum, blkno);
		MemoryContextSwitchTo(old);
		MemoryContextReset(vacuum->context);
	}
}

/*
 * The same for one page
 *
 * Records go before their body pages: a crash in between loses the pages,
 * and not what another vertex has put there since.
 */
static void
free_records(HnswVacuum *vacuum, BlockNumber blkno)
{
	HnswIndex  *index = vacuum->index;
	PGAlignedBlock *copy = palloc(sizeof(PGAlignedBlock));
	HnswChange	change;
	Page		page;
	Size		room;
	bool		any = false;

	if (!copy_vertex_page(vacuum, blkno, copy->data))
		return;
	for (OffsetNumber offno = FirstOffsetNumber;
		 offno <= PageGetMaxOffsetNumber(copy->data) && !any; offno++)
		any = hnsw_is_deleted(vacuum, blkno, offno);
	if (!any)
		return;

	hnsw_change_begin(&change, index);
	page = hnsw_change_page(&change, blkno);
	for (OffsetNumber offno = FirstOffsetNumber;
		 offno <= PageGetMaxOffsetNumber(copy->data); offno++)
	{
		VdbHnswRecordData *head = (VdbHnswRecordData *)
		PageGetItem(page, PageGetItemId(page, offno));

		if (hnsw_is_deleted(vacuum, blkno, offno))
			head->kind = VDB_HNSW_RECORD_FREE;
	}
	room = hnsw_page_room(page);
	hnsw_change_finish(&change);
	RecordPageWithFreeSpace(index->rel, blkno, room);

	for (OffsetNumber offno = FirstOffsetNumber;
		 offno <= PageGetMaxOffsetNumber(copy->data); offno++)
	{
		HnswRecord	record = {0};

		if (!hnsw_is_deleted(vacuum, blkno, offno))
			continue;
		hnsw_record_parts(index, (VdbHnswRecordData *)
						  PageGetItem(copy->data,
									  PageGetItemId(copy->data, offno)),
						  &record);
		for (int i = 0; i < record.head->body_pages; i++)
			free_body(vacuum, record.body_blknos[i]);
	}
}

/* Let a body page be used again, its record having been freed */
static void
free_body(HnswVacuum *vacuum, BlockNumber blkno)
{
	HnswChange	change;

	hnsw_change_begin(&change, vacuum->index);
	hnsw_page_init(hnsw_change_page(&change, blkno), VDB_HNSW_PAGE_FREE);
	hnsw_change_finish(&change);
	RecordPageWithFreeSpace(vacuum->index->rel, blkno, BLCKSZ - 1);
}

/* New containers go to the first page on which one was freed */
static void
set_container_page(HnswVacuum *vacuum)
{
	HnswChange	change;
	Page		page;

	if (vacuum->container_page == InvalidBlockNumber)
		return;

	/* lock rule 2: the metapage alone */
	hnsw_change_begin(&change, vacuum->index);
	page = hnsw_change_page(&change, VDB_HNSW_METAPAGE);
	VdbHnswPageGetMeta(page)->container_page = vacuum->container_page;
	hnsw_change_finish(&change);
}
