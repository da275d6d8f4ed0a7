/*-------------------------------------------------------------------------
 *
 * hnsw_search.c
 *	  Best-first search through one layer of the graph.
 *
 * This is algorithm 2 of the HNSW paper (Malkov and Yashunin, arXiv
 * 1603.09320): a frontier of vertices to look at, nearest first, and the ef
 * nearest vertices found so far; the search ends when the frontier's nearest
 * is farther than all of those.
 *
 * In a coded index a visit to a vertex gives its own distance and, from the
 * codes, estimates of the distances of all its neighbours.  Neighbours enter
 * the frontier by estimate and are found only when they are visited.  So one
 * record is read for each vertex looked at closely.  Without codes, every
 * neighbour is read to learn its distance, as in the paper.
 *
 * A reference may be out of date by the time it is followed, when VACUUM has
 * removed the vertex meanwhile.  Such a vertex is passed over.
 *
 * IDENTIFICATION
 *	  src/hnsw/hnsw_search.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "hnsw_private.h"

/* Beam of the descent through the upper layers of a coded index */
#define DESCENT_EF	4

/*
 * Room made beforehand is for this many results.  More than that is made as
 * they come, for a large beam in a small index finds few.
 */
#define MAX_FIRST_EF	2000

static void look_around(HnswSearch *search, VdbHnswRef ref);
static void look_around_coded(HnswSearch *search, VdbHnswRef ref);
static void look_around_plain(HnswSearch *search, VdbHnswRef ref);
static bool look_at(HnswSearch *search, VdbHnswRef ref);
static void add_found(HnswSearch *search, float distance);
static void add_frontier(HnswSearch *search, VdbHnswRef ref, float distance);
static bool is_too_far(const HnswSearch *search, float distance);
static void explore(HnswSearch *search);

static inline uint64
ref_key(VdbHnswRef ref)
{
	return (uint64) ref.blkno << 16 | ref.offno;
}

/*
 * hnsw_search_begin -- prepare a search
 *
 * The caller sets the keep_... members afterwards if it wants them.
 */
void
hnsw_search_begin(HnswSearch *search, HnswIndex *index,
				  const HnswQuery *query, int layer, int ef)
{
	int			capacity = Max(index->meta.capacity,
							   index->meta.upper_capacity);
	int			first_ef = Min(ef, MAX_FIRST_EF);

	memset(search, 0, sizeof(HnswSearch));
	search->index = index;
	search->query = query;
	search->layer = layer;
	search->ef = ef;
	search->context = CurrentMemoryContext;

	vdb_visited_init(&search->visited,
					 ef < 10 ? 512 : ef < 100 ? 4096 : 16384);
	vdb_heap_init(&search->frontier, 256);
	vdb_heap_init(&search->nearest, first_ef + 1);
	search->ref_space = 256;
	search->refs = palloc(sizeof(VdbHnswRef) * search->ref_space);
	search->found_space = 2 * (first_ef + 1);
	search->found = palloc(sizeof(HnswFound) * search->found_space);
	search->neighbours = palloc(sizeof(VdbHnswRef) * capacity);
	search->sums = palloc(sizeof(int32) * capacity);
	search->estimates = palloc(sizeof(float) * capacity);
}

/*
 * hnsw_search_run -- search from a vertex
 *
 * Returns whether anything was found.
 */
bool
hnsw_search_run(HnswSearch *search, VdbHnswRef from)
{
	MemoryContext old = MemoryContextSwitchTo(search->context);

	if (search->keep_tids && search->tids == NULL)
	{
		search->tid_space = 2 * Min(search->ef, MAX_FIRST_EF) *
			VDB_HNSW_INLINE_TIDS;
		search->tids = palloc(sizeof(ItemPointerData) * search->tid_space);
	}
	if (search->keep_rest && search->deferred == NULL)
	{
		vdb_heap_init(&search->evicted, 64);
		search->deferred_space = 256;
		search->deferred = palloc(sizeof(VdbHeapEntry) *
								  search->deferred_space);
	}

	vdb_visited_add(&search->visited, ref_key(from));
	if (search->index->coded)
		add_frontier(search, from, 0);
	else
		look_at(search, from);
	explore(search);

	MemoryContextSwitchTo(old);
	return search->nearest.count > 0;
}

/*
 * hnsw_search_resume -- find the next ef, after hnsw_search_take()
 *
 * Goes on from where the search stood.  Returns false when nothing is left
 * that the graph leads to.
 */
bool
hnsw_search_resume(HnswSearch *search)
{
	MemoryContext old = MemoryContextSwitchTo(search->context);

	Assert(search->keep_rest && search->nearest.count == 0);

	for (uint32 i = 0; i < search->deferred_count; i++)
		vdb_heap_push(&search->frontier, search->deferred[i].distance,
					  search->deferred[i].item);
	search->deferred_count = 0;

	while (search->evicted.count > 0 && search->nearest.count < search->ef)
	{
		VdbHeapEntry entry = vdb_heap_pop(&search->evicted);

		vdb_heap_push(&search->nearest, -entry.distance, entry.item);
	}
	explore(search);

	MemoryContextSwitchTo(old);
	return search->nearest.count > 0;
}

/*
 * hnsw_search_take -- the results so far, nearest first
 *
 * Fills items[] with up to ef numbers of found[] and returns how many.
 */
uint32
hnsw_search_take(HnswSearch *search, uint32 *items)
{
	uint32		count = search->nearest.count;

	for (uint32 i = count; i > 0; i--)
		items[i - 1] = vdb_heap_pop(&search->nearest).item;
	return count;
}

/* hnsw_search_memory -- bytes that the search holds, about */
Size
hnsw_search_memory(const HnswSearch *search)
{
	return vdb_visited_size(&search->visited) +
		(Size) search->ref_space * sizeof(VdbHnswRef) +
		(Size) search->frontier.space * sizeof(VdbHeapEntry) +
		(Size) search->found_space * sizeof(HnswFound) +
		(Size) search->tid_space * sizeof(ItemPointerData) +
		(Size) search->deferred_space * sizeof(VdbHeapEntry);
}

/*
 * hnsw_search_descend -- from the entry point down to a layer
 *
 * Sets *from to the record in that layer of the vertex that seems nearest,
 * and *from_layer to its layer: "layer", or that of the entry point when the
 * graph is lower.  Returns false when the index is empty.
 */
bool
hnsw_search_descend(HnswIndex *index, const HnswQuery *query, int layer,
					VdbHnswRef *from, int *from_layer)
{
	for (int attempt = 0; attempt < HNSW_MAX_DESCENTS; attempt++)
	{
		bool		lost = false;

		CHECK_FOR_INTERRUPTS();
		hnsw_read_entry(index, from, from_layer);
		if (VdbHnswRefIsNone(*from))
			return false;

		while (*from_layer > layer && !lost)
		{
			HnswSearch	search;
			uint32		items[DESCENT_EF];

			hnsw_search_begin(&search, index, query, *from_layer,
							  index->coded ? DESCENT_EF : 1);
			lost = !hnsw_search_run(&search, *from);
			if (!lost)
			{
				hnsw_search_take(&search, items);
				*from = search.found[items[0]].below;
				(*from_layer)--;
			}
		}
		if (!lost)
			return true;
	}

	hnsw_report_corruption(index->rel, VDB_HNSW_METAPAGE, InvalidOffsetNumber,
						   "The entry point leads nowhere");
}

/* Look around vertices, nearest first, until that finds nothing nearer */
static void
explore(HnswSearch *search)
{
	while (search->frontier.count > 0)
	{
		VdbHeapEntry top = search->frontier.entries[0];

		if (is_too_far(search, top.distance))
			break;
		CHECK_FOR_INTERRUPTS();
		vdb_heap_pop(&search->frontier);
		look_around(search, search->refs[top.item]);
	}
}

static void
look_around(HnswSearch *search, VdbHnswRef ref)
{
	if (search->index->coded)
		look_around_coded(search, ref);
	else
		look_around_plain(search, ref);
}

/* Visit a vertex: find it, and put its neighbours into the frontier */
static void
look_around_coded(HnswSearch *search, VdbHnswRef ref)
{
	HnswIndex  *index = search->index;
	HnswRecord *record = &search->record;
	float		distance;
	int			count;

	if (!hnsw_lock_record(index, ref, search->layer, record))
		return;
	search->visits++;
	search->distances++;
	distance = hnsw_query_distance(index, search->query, record->value);
	add_found(search, distance);

	count = record->head->count;
	search->code_estimates += count;
	memcpy(search->neighbours, record->refs, sizeof(VdbHnswRef) * count);
	hnsw_estimate(index, search->query, distance, record, search->sums,
				  search->estimates);
	hnsw_unlock_record(record);

	for (int i = 0; i < count; i++)
	{
		if (vdb_visited_add(&search->visited,
							ref_key(search->neighbours[i])))
			add_frontier(search, search->neighbours[i],
						 search->estimates[i]);
	}
}

/* The same without codes: each neighbour is found on the spot */
static void
look_around_plain(HnswSearch *search, VdbHnswRef ref)
{
	int			count;

	if (!hnsw_lock_record(search->index, ref, search->layer,
						  &search->record))
		return;
	search->visits++;
	count = search->record.head->count;
	memcpy(search->neighbours, search->record.refs,
		   sizeof(VdbHnswRef) * count);
	hnsw_unlock_record(&search->record);

	for (int i = 0; i < count; i++)
	{
		if (vdb_visited_add(&search->visited,
							ref_key(search->neighbours[i])))
			look_at(search, search->neighbours[i]);
	}
}

/*
 * Find a vertex of an index without codes and put it into the frontier;
 * false when it is gone
 */
static bool
look_at(HnswSearch *search, VdbHnswRef ref)
{
	float		distance;

	if (!hnsw_lock_record(search->index, ref, search->layer,
						  &search->record))
		return false;
	search->visits++;
	search->distances++;
	distance = hnsw_query_distance(search->index, search->query,
								   search->record.value);
	add_found(search, distance);
	hnsw_unlock_record(&search->record);
	add_frontier(search, ref, distance);
	return true;
}

/*
 * Enter the locked record among the nearest if it belongs there
 *
 * A vertex of layer 0 whose rows are gone is not a result.  Above, any
 * vertex may lead further down, unless the caller wants live ones only.
 */
static void
add_found(HnswSearch *search, float distance)
{
	HnswRecord *record = &search->record;
	bool		deleted = (record->head->flags & VDB_HNSW_DELETED) != 0;
	HnswFound  *found;
	uint32		item;

	if (deleted && (search->layer == 0 || search->live_only))
		return;
	if (!search->keep_rest && is_too_far(search, distance))
		return;

	if (search->found_count == search->found_space)
	{
		search->found_space *= 2;
		search->found = repalloc_huge(search->found, sizeof(HnswFound) *
									  (Size) search->found_space);
	}
	item = search->found_count++;
	found = &search->found[item];
	memset(found, 0, sizeof(HnswFound));
	found->ref = record->ref;
	found->below = record->head->link;
	found->distance = distance;
	found->deleted = deleted;
	if (search->keep_values)
	{
		found->value.size = record->head->value_size;
		found->value.data = palloc(found->value.size);
		memcpy(found->value.data, record->value, found->value.size);
	}
	if (search->keep_tids)
	{
		found->bound = distance;
		if (search->index->coded)
			found->bound = hnsw_distance_bound(search->index, search->query,
											   record->value, distance);
		found->first_tid = search->tid_count;
		found->tid_count = hnsw_read_tids(search->index, record->head,
										  &search->tids, &search->tid_count,
										  &search->tid_space);
	}

	vdb_heap_push(&search->nearest, -distance, item);
	if (search->nearest.count > search->ef)
	{
		VdbHeapEntry farthest = vdb_heap_pop(&search->nearest);

		if (search->keep_rest)
			vdb_heap_push(&search->evicted, -farthest.distance,
						  farthest.item);
	}
}

/* Enter a vertex to be looked around, unless it is too far to matter */
static void
add_frontier(HnswSearch *search, VdbHnswRef ref, float distance)
{
	bool		too_far = is_too_far(search, distance);

	if (too_far && !search->keep_rest)
		return;

	if (search->ref_count == search->ref_space)
	{
		search->ref_space *= 2;
		search->refs = repalloc_huge(search->refs, sizeof(VdbHnswRef) *
									 (Size) search->ref_space);
	}
	search->refs[search->ref_count] = ref;

	if (!too_far)
		vdb_heap_push(&search->frontier, distance, search->ref_count++);
	else
	{
		if (search->deferred_count == search->deferred_space)
		{
			search->deferred_space *= 2;
			search->deferred = repalloc_huge(search->deferred,
											 sizeof(VdbHeapEntry) *
											 (Size) search->deferred_space);
		}
		search->deferred[search->deferred_count].distance = distance;
		search->deferred[search->deferred_count++].item = search->ref_count++;
	}
}

/* Is this farther than ef vertices that have been found? */
static bool
is_too_far(const HnswSearch *search, float distance)
{
	return search->nearest.count >= search->ef &&
		distance > -search->nearest.entries[0].distance;
}
