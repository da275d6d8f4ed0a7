/*-------------------------------------------------------------------------
 *
 * hnsw_insert.c
 *	  Insertion of one row into an HNSW index.
 *
 * An insertion finds its neighbours, writes the records of its vertex, from
 * layer 0 upwards, and then makes the neighbours point to it.  A crash in
 * between leaves records that nothing points to.  Such a vertex is harmless:
 * its row was never committed, no search returns it, and VACUUM removes it.
 * See README, "Crash states".
 *
 * A row whose value is indexed already joins that value's vertex, and the
 * search ends as soon as it has found that.
 *
 * IDENTIFICATION
 *	  src/hnsw/hnsw_insert.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/rel.h"

#include "hnsw_private.h"

/*
 * Beam of an insertion in units of ef_construction: in a coded index a visit
 * finds one vertex, and otherwise all neighbours
 */
#define CODED_BEAM	2
#define PLAIN_BEAM	1

/* One insertion, while it is under way */
typedef struct InsertState
{
	HnswIndex  *index;
	const HnswQuery *query;
	ItemPointer tid;
	int			layer;			/* highest layer of the new vertex */
	VdbHnswRef	refs[VDB_HNSW_MAX_LAYER + 1];	/* its records */
	HnswNeighbour *neighbours[VDB_HNSW_MAX_LAYER + 1];
	int			neighbour_counts[VDB_HNSW_MAX_LAYER + 1];
} InsertState;

static bool join_former(HnswIndex *index, const HnswQuery *query,
						ItemPointer tid);
static LOCKMODE lock_for_insert(HnswIndex *index, int layer,
								int *entry_layer, bool *empty);
static bool find_neighbours(InsertState *insert);
static HnswSearch *search_layer(InsertState *insert, int layer,
								VdbHnswRef from, bool find_equal);
static void choose_neighbours(InsertState *insert, HnswSearch *search,
							  VdbHnswRef *from);
static bool join_vertex(InsertState *insert, HnswSearch *search);
static bool add_row(HnswIndex *index, VdbHnswRef ref, const HnswQuery *query,
					ItemPointer tid);
static void add_row_to_container(HnswChange *change, HnswRecord *record,
								 ItemPointer tid);
static bool has_room_in_container(HnswIndex *index, VdbHnswRef ref);
static void write_record(InsertState *insert, int layer);
static void write_bodies(HnswIndex *index, const char *from, Size left,
						 BlockNumber *blknos);
static void encode_neighbours(InsertState *insert, int layer,
							  VdbHnswFactors *factors, uint8 *codes);
static int	link_back(InsertState *insert, int layer);
static LOCKMODE become_reachable(InsertState *insert, LOCKMODE mode);
static bool link_anew(InsertState *insert);
static void set_entry(InsertState *insert);

/*
 * hnsw_insert -- index a value that is not NULL for a heap row
 *
 * A zero vector is not indexed where the metric is cosine.  "is_unchanged"
 * says that another version of the row has the same value, most likely; then
 * there is a vertex to join.
 */
void
hnsw_insert(Relation rel, Datum value, ItemPointer tid, bool is_unchanged)
{
	MemoryContext context;
	MemoryContext old;
	HnswIndex  *index;
	HnswQuery	query;

	context = AllocSetContextCreate(CurrentMemoryContext, "hnsw insert",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);

	index = hnsw_index_open(rel);
	if (hnsw_form_query(index, value, &query) &&
		!(is_unchanged && join_former(index, &query, tid)))
		hnsw_insert_value(index, &query, tid);

	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/*
 * Add a row to the vertex of its former version; false when none was found
 *
 * The search ends at that vertex, and most often it is led right to it.  No
 * layer is drawn for a new vertex, which might take an exclusive lock.
 */
static bool
join_former(HnswIndex *index, const HnswQuery *query, ItemPointer tid)
{
	VdbHnswRef	from;
	int			layer;
	bool		joined = false;

	hnsw_lock_graph(index->rel, ShareLock);
	if (hnsw_search_descend(index, query, 0, &from, &layer))
	{
		HnswSearch *search = hnsw_search_begin(index, query, 0,
											   index->meta.ef_construction);

		search->find_equal = true;
		hnsw_search_run(search, from);
		joined = search->equal_found &&
			add_row(index, search->equal, query, tid);
		hnsw_search_end(search);
	}
	hnsw_unlock_graph(index->rel, ShareLock);
	return joined;
}

/*
 * hnsw_insert_value -- the same for a prepared value
 *
 * Allocates in the current memory context.
 */
void
hnsw_insert_value(HnswIndex *index, const HnswQuery *query, ItemPointer tid)
{
	InsertState insert = {0};
	int			entry_layer;
	bool		empty;
	LOCKMODE	mode;

	insert.index = index;
	insert.query = query;
	insert.tid = tid;
	insert.layer = VDB_DEBUG_VALUE("hnsw_insert_layer",
								   hnsw_random_layer(index));

	mode = lock_for_insert(index, insert.layer, &entry_layer, &empty);
	VDB_DEBUG_POINT("hnsw_insert_entry_read");
	if (empty || find_neighbours(&insert))
	{
		int			linked = 0;

		VDB_DEBUG_POINT("hnsw_insert_chosen");
		for (int layer = 0; layer <= insert.layer; layer++)
			write_record(&insert, layer);
		VDB_DEBUG_POINT("hnsw_insert_written");
		for (int layer = insert.layer; layer >= 0; layer--)
			linked = link_back(&insert, layer);
		VDB_DEBUG_POINT("hnsw_insert_linked");
		if (!empty && linked == 0)
			mode = become_reachable(&insert, mode);
		if (empty || insert.layer > entry_layer)
			set_entry(&insert);
	}
	hnsw_unlock_graph(index->rel, mode);
}

/*
 * Take the graph lock that an insertion up to "layer" needs (lock rule 1)
 *
 * Shared with others, except for a vertex that will be the new entry point:
 * two of those at once might not find each other.
 */
static LOCKMODE
lock_for_insert(HnswIndex *index, int layer, int *entry_layer, bool *empty)
{
	LOCKMODE	mode = ShareLock;
	VdbHnswRef	entry;

	hnsw_lock_graph(index->rel, mode);
	hnsw_read_entry(index, &entry, entry_layer);
	if (VdbHnswRefIsNone(entry) || layer > *entry_layer)
	{
		hnsw_unlock_graph(index->rel, mode);
		VDB_DEBUG_POINT("hnsw_insert_upgrade");
		mode = ExclusiveLock;
		hnsw_lock_graph(index->rel, mode);
		hnsw_read_entry(index, &entry, entry_layer);
	}
	*empty = VdbHnswRefIsNone(entry);
	return mode;
}

/*
 * Choose the neighbours of the new vertex in all its layers
 *
 * Returns false when the row joined a vertex of the same value, and nothing
 * is left to do.
 */
static bool
find_neighbours(InsertState *insert)
{
	HnswIndex  *index = insert->index;
	VdbHnswRef	from;
	int			layer;

	VDB_DEBUG_POINT("hnsw_insert_search");
	if (!hnsw_search_descend(index, insert->query, insert->layer, &from,
							 &layer))
		hnsw_report_corruption(index->rel, VDB_HNSW_METAPAGE,
							   InvalidOffsetNumber,
							   "The entry point vanished");

	for (; layer >= 0; layer--)
	{
		HnswSearch *search = search_layer(insert, layer, from, layer == 0);

		if (search->equal_found)
		{
			VdbHnswRef	equal = search->equal;

			hnsw_search_end(search);
			if (add_row(index, equal, insert->query, insert->tid))
				return false;
			/* it has been deleted, and the search was not complete */
			search = search_layer(insert, layer, from, false);
			if (join_vertex(insert, search))
			{
				hnsw_search_end(search);
				return false;
			}
		}
		choose_neighbours(insert, search, &from);
		hnsw_search_end(search);
	}
	return true;
}

/*
 * Search a layer for vertices near to the new one, or only for one of its
 * very value, should there be one
 */
static HnswSearch *
search_layer(InsertState *insert, int layer, VdbHnswRef from, bool find_equal)
{
	HnswIndex  *index = insert->index;
	HnswSearch *search;

	search = hnsw_search_begin(index, insert->query, layer,
							   index->meta.ef_construction *
							   (index->coded ? CODED_BEAM : PLAIN_BEAM));
	search->keep_values = true;
	search->keep_found = true;
	search->find_equal = find_equal;
	if (!hnsw_search_run(search, from) && (layer > 0 || search->visits == 0))
		hnsw_report_corruption(index->rel, from.blkno, from.offno,
							   "The descent leads to no vertex");
	return search;
}

/*
 * Choose the neighbours in one layer among those that a search has found
 *
 * Sets *from to where the search of the next lower layer begins.
 */
static void
choose_neighbours(InsertState *insert, HnswSearch *search, VdbHnswRef *from)
{
	int			layer = search->layer;
	uint32	   *items = palloc(sizeof(uint32) * search->ef);
	uint32		found = hnsw_search_take(search, items);

	if (found > 0)
		*from = search->found[items[0]].below;

	/* the new vertex itself may be met when it looks for neighbours anew */
	insert->neighbour_counts[layer] =
		hnsw_choose_neighbours(search, insert->refs[layer],
							   hnsw_layer_capacity(insert->index, layer),
							   &insert->neighbours[layer]);
}

/* Add the row to a vertex of the same value, if the search found one */
static bool
join_vertex(InsertState *insert, HnswSearch *search)
{
	for (uint32 i = 0; i < search->nearest.count; i++)
	{
		HnswFound  *found = &search->found[search->nearest.entries[i].item];

		if (hnsw_values_equal(insert->index, insert->query,
							  found->value.data, found->value.size) &&
			add_row(insert->index, found->ref, insert->query, insert->tid))
			return true;
	}
	return false;
}

/*
 * Add a heap row to a vertex; false when the vertex was deleted meanwhile
 */
static bool
add_row(HnswIndex *index, VdbHnswRef ref, const HnswQuery *query,
		ItemPointer tid)
{
	HnswChange	change;
	HnswRecord	record = {0};

	VDB_DEBUG_POINT("hnsw_insert_join");
	hnsw_change_begin(&change, index);
	if (!hnsw_change_record(&change, ref, 0, &record) ||
		(record.head->flags & VDB_HNSW_DELETED) != 0 ||
		!hnsw_values_equal(index, query, record.value,
						   record.head->value_size))
	{
		hnsw_change_abort(&change);
		return false;
	}

	if (record.head->tid_count < VDB_HNSW_INLINE_TIDS)
		record.head->tids[record.head->tid_count++] = *tid;
	else
		add_row_to_container(&change, &record, tid);

	/* The error of a shared value is that of its worst row */
	if (index->coded)
	{
		float		error = ((VdbHnswCodedValue *) query->value.data)->error;

		if (error > ((VdbHnswCodedValue *) record.value)->error)
			hnsw_change_body(&change, &record,
							 offsetof(VdbHnswCodedValue, error),
							 &error, sizeof(error));
	}
	hnsw_change_finish(&change);
	return true;
}

/*
 * Add a heap row to the containers of a record that is being changed
 *
 * Only the first container is looked at; when it is full, a new one is put
 * before it.  Only one TID page is locked at a time (lock rule 3).
 */
static void
add_row_to_container(HnswChange *change, HnswRecord *record, ItemPointer tid)
{
	VdbHnswRef	first = record->head->link;
	VdbHnswContainerData *container;

	if (!VdbHnswRefIsNone(first) &&
		has_room_in_container(change->index, first))
	{
		Page		page = hnsw_change_page(change, first.blkno);

		container = (VdbHnswContainerData *)
			PageGetItem(page, PageGetItemId(page, first.offno));
	}
	else
	{
		container = hnsw_space_for_container(change, &record->head->link);
		container->link = first;
	}
	container->tids[container->count++] = *tid;
}

/*
 * Has a container room for a TID?  Its vertex is locked, so nobody else
 * changes it.
 */
static bool
has_room_in_container(HnswIndex *index, VdbHnswRef ref)
{
	Buffer		buf = hnsw_read_page(index->rel, ref.blkno, NULL);
	Page		page = BufferGetPage(buf);
	VdbHnswContainerData *container;
	bool		has_room;

	hnsw_page_check(index->rel, ref.blkno, page, VDB_HNSW_PAGE_TIDS);
	hnsw_items_check(index, ref.blkno, page);
	if (ref.offno < FirstOffsetNumber ||
		ref.offno > PageGetMaxOffsetNumber(page))
		hnsw_report_corruption(index->rel, ref.blkno, ref.offno,
							   "There is no such TID container");
	container = (VdbHnswContainerData *)
		PageGetItem(page, PageGetItemId(page, ref.offno));
	has_room = container->count < VDB_HNSW_CONTAINER_TIDS;
	hnsw_unlock_page(buf);
	return has_room;
}

/*
 * Write the record of the new vertex in one layer
 *
 * Lower layers are written before, so that the record can point down.
 */
static void
write_record(InsertState *insert, int layer)
{
	HnswIndex  *index = insert->index;
	const HnswValue *value = &insert->query->value;
	int			capacity = hnsw_layer_capacity(index, layer);
	int			count = insert->neighbour_counts[layer];
	int			body_pages;
	Size		size = hnsw_record_size(index, capacity, value->size,
										&body_pages);
	Size		body_size = MAXALIGN(value->size) +
	capacity * index->code_size;
	BlockNumber blknos[VDB_HNSW_MAX_BODY_PAGES];
	char	   *body = palloc0(body_size);
	VdbHnswFactors *factors = NULL;
	HnswRecord	record = {0};
	HnswChange	change;
	VdbHnswRecordData *head;
	bool		new_page;
	Size		room;

	memcpy(body, value->data, value->size);
	if (index->coded)
	{
		factors = palloc(sizeof(VdbHnswFactors) * Max(count, 1));
		encode_neighbours(insert, layer, factors,
						  (uint8 *) body + MAXALIGN(value->size));
	}
	if (body_pages > 0)
		write_bodies(index, body, body_size, blknos);

	head = hnsw_space_for_record(&change, index, size, &insert->refs[layer]);
	head->layer = layer;
	head->capacity = capacity;
	head->count = count;
	head->body_pages = body_pages;
	head->value_size = value->size;
	if (layer == 0)
	{
		head->tid_count = 1;
		head->tids[0] = *insert->tid;
	}
	else
	{
		head->link = insert->refs[layer - 1];
		ItemPointerSet(&head->tids[0], insert->refs[0].blkno,
					   insert->refs[0].offno);
	}

	hnsw_record_parts(index, head, &record);
	if (body_pages > 0)
		memcpy(record.body_blknos, blknos, sizeof(BlockNumber) * body_pages);
	for (int i = 0; i < count; i++)
	{
		record.refs[i] = insert->neighbours[layer][i].ref;
		if (index->coded)
			hnsw_set_covered(record.covered, i,
							 insert->neighbours[layer][i].covered);
	}
	if (factors != NULL)
		memcpy(record.factors, factors, sizeof(VdbHnswFactors) * count);
	if (body_pages == 0)
		memcpy(record.value, body, body_size);

	new_page = change.new_page;
	room = hnsw_page_room(change.pages[0]);
	hnsw_change_finish(&change);

	/* The map knows older pages, and learns that they are full when asked */
	if (new_page)
		hnsw_space_left(index, insert->refs[layer].blkno, room);
}

/*
 * Write the body pages of a record that nothing refers to yet
 *
 * A crash after this and before the record is written leaves pages without
 * an owner, which only REINDEX gives back (README, "Crash states").
 */
static void
write_bodies(HnswIndex *index, const char *from, Size left,
			 BlockNumber *blknos)
{
	for (; left > 0; blknos++)
	{
		HnswChange	change;
		Size		here = Min(left, VDB_HNSW_PAGE_SPACE);
		Page		page = hnsw_space_for_body(&change, index, blknos);

		memcpy(PageGetContents(page), from, here);
		((PageHeader) page)->pd_lower += here;
		hnsw_change_finish(&change);
		from += here;
		left -= here;
	}
}

/* Codes of the new vertex's neighbours, as seen from its stored value */
static void
encode_neighbours(InsertState *insert, int layer, VdbHnswFactors *factors,
				  uint8 *codes)
{
	HnswIndex  *index = insert->index;
	float	   *base = index->scratch;
	float	   *target = index->scratch + index->meta.padded;

	hnsw_decode_value(index, insert->query->value.data, base);
	for (int i = 0; i < insert->neighbour_counts[layer]; i++)
	{
		hnsw_decode_value(index, insert->neighbours[layer][i].value.data,
						  target);
		hnsw_encode_edge(index, base, target, -1, &factors[i],
						 codes + i * index->code_size);
	}
}

/*
 * Make the neighbours of one layer point to the new vertex
 *
 * Should all of them have better ones, the nearest has to take it, for a
 * vertex that nothing points to is never found.  Returns how many of them
 * point to it; none when all of them have been deleted.
 */
static int
link_back(InsertState *insert, int layer)
{
	HnswNeighbour *own = insert->neighbours[layer];
	int			count = insert->neighbour_counts[layer];
	HnswLink	link = {0};
	int			linked;

	link.index = insert->index;
	link.layer = layer;
	link.query = insert->query;
	link.to = insert->refs[layer];
	link.own = own;
	link.own_count = count;

	linked = hnsw_link_all(&link);
	for (int i = 0; i < count && linked == 0; i++)
		linked += hnsw_link(&link, own[i].ref, true);
	return linked;
}

/*
 * Have something lead to a vertex although its neighbours have been deleted
 *
 * VACUUM deleted them after they were chosen, or all that the descent led to
 * is deleted and there was nobody to choose.  Others are chosen, or the
 * vertex becomes the entry point: then whatever that led to is about to be
 * removed.
 *
 * The caller holds the graph lock in "mode".  Returns the mode in which it is
 * held now: nobody else may insert, for two vertices in this case at once
 * would not find each other.
 */
static LOCKMODE
become_reachable(InsertState *insert, LOCKMODE mode)
{
	if (mode != ExclusiveLock)
	{
		/* lock rule 1: two who wait for the other's end would do so forever */
		hnsw_unlock_graph(insert->index->rel, mode);
		mode = ExclusiveLock;
		VDB_DEBUG_POINT("hnsw_insert_unreachable");
		hnsw_lock_graph(insert->index->rel, mode);
	}
	if (!link_anew(insert))
		set_entry(insert);
	return mode;
}

/*
 * Link the written vertex of layer 0 with neighbours that are there now
 *
 * The descent may end among vertices that a VACUUM which was interrupted
 * marked in layer 0 and not above, and these need not lead to a live one.
 * The search goes on from the entry point then, which does.
 * Returns false when there are no neighbours.
 */
static bool
link_anew(InsertState *insert)
{
	HnswIndex  *index = insert->index;
	HnswLink	link = {0};

	for (;;)
	{
		HnswSearch *search;
		VdbHnswRef	from;
		int			layer;

		CHECK_FOR_INTERRUPTS();
		if (!hnsw_search_descend(index, insert->query, 0, &from, &layer))
			return false;
		search = search_layer(insert, 0, from, false);
		choose_neighbours(insert, search, &from);
		hnsw_search_end(search);
		if (insert->neighbour_counts[0] == 0)
			return false;
		if (link_back(insert, 0) > 0)
			break;
	}

	link.index = index;
	for (int i = 0; i < insert->neighbour_counts[0]; i++)
	{
		HnswQuery	query;

		hnsw_query_from_value(index, insert->neighbours[0][i].value, &query);
		link.query = &query;
		link.to = insert->neighbours[0][i].ref;
		hnsw_link(&link, insert->refs[0], false);
	}
	return true;
}

/* Make the highest record of the new vertex the entry point */
static void
set_entry(InsertState *insert)
{
	HnswChange	change;
	VdbHnswMetaPageData *meta;

	/* lock rule 2: the metapage alone */
	hnsw_change_begin(&change, insert->index);
	meta = VdbHnswPageGetMeta(hnsw_change_page(&change, VDB_HNSW_METAPAGE));
	meta->entry = insert->refs[insert->layer];
	meta->entry_layer = insert->layer;
	hnsw_change_finish(&change);
}
