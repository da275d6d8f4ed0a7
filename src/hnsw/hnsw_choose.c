/*-------------------------------------------------------------------------
 *
 * hnsw_choose.c
 *	  The choice of neighbours among all that a search has found.
 *
 * The heuristic of the HNSW paper (see hnsw_link.c) wants candidates that lie
 * in all directions, and the nearest lie in few.  A search finds more than it
 * keeps, and knows how far they are.  So they are looked at from near to far,
 * until the list is full or enough have been looked at.  README, "What was
 * measured", has what that is worth.
 *
 * IDENTIFICATION
 *	  src/hnsw/hnsw_choose.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "hnsw_private.h"

/* Candidates that are looked at, in units of ef_construction */
#define CANDIDATES	6

static void gather_found(const HnswSearch *search, VdbHeap *heap);
static bool read_value(HnswSearch *search, HnswFound *found);

/*
 * hnsw_choose_neighbours -- choose among all that a search has found
 *
 * The search has keep_values and keep_found.  Returns how many were chosen,
 * at most "capacity", and sets *chosen to them: those that the heuristic
 * takes, from near to far, then the nearest of those covered.  Deleted ones
 * are not chosen, nor is "self".
 */
int
hnsw_choose_neighbours(HnswSearch *search, VdbHnswRef self, int capacity,
					   HnswNeighbour **chosen)
{
	HnswIndex  *index = search->index;
	int			left = CANDIDATES * index->meta.ef_construction;
	HnswNeighbour *taken = palloc(sizeof(HnswNeighbour) * capacity);
	HnswNeighbour *covered = palloc(sizeof(HnswNeighbour) * capacity);
	int			count = 0;
	int			covered_count = 0;
	VdbHeap		heap;

	gather_found(search, &heap);
	for (; heap.count > 0 && count < capacity && left > 0; left--)
	{
		HnswFound  *found = &search->found[vdb_heap_pop(&heap).item];
		HnswNeighbour *candidate = &taken[count];

		if (found->deleted || VdbHnswRefEquals(found->ref, self) ||
			(found->value.data == NULL && !read_value(search, found)))
			continue;
		candidate->ref = found->ref;
		candidate->distance = found->distance;
		candidate->value = found->value;
		candidate->covered = hnsw_is_near_taken(index, candidate, taken,
												count);
		if (!candidate->covered)
			count++;
		else if (covered_count < capacity)
			covered[covered_count++] = *candidate;
	}
	for (int i = 0; i < covered_count && count < capacity; i++)
		taken[count++] = covered[i];

	vdb_heap_free(&heap);
	pfree(covered);
	*chosen = taken;
	return count;
}

/* All that a search has found, nearest first, as numbers of found[] */
static void
gather_found(const HnswSearch *search, VdbHeap *heap)
{
	vdb_heap_init(heap, search->found_count + 1);
	for (uint32 i = 0; i < search->found_count; i++)
	{
		heap->entries[i].distance = search->found[i].distance;
		heap->entries[i].item = i;
	}
	heap->count = search->found_count;
	vdb_heap_build(heap);
}

/* Read a value that the search did not keep; false when it is gone */
static bool
read_value(HnswSearch *search, HnswFound *found)
{
	HnswRecord *record = &search->record;

	if (!hnsw_lock_record(search->index, found->ref, search->layer, record))
		return false;
	found->deleted = (record->head->flags & VDB_HNSW_DELETED) != 0;
	if (!found->deleted)
	{
		found->value.size = record->head->value_size;
		found->value.data = palloc(found->value.size);
		memcpy(found->value.data, record->value, found->value.size);
	}
	hnsw_unlock_record(record);
	return !found->deleted;
}
