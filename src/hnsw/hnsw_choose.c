/*-------------------------------------------------------------------------
 *
 * hnsw_choose.c
 *	  Which vertices become the neighbours of another.
 *
 * That is decided by the heuristic of the HNSW paper (algorithm 4): candidates
 * are taken from near to far, and one is passed over when a neighbour already
 * taken is nearer to it than the vertex is, for then the search gets there
 * through that neighbour.  Room that is left goes to the nearest of those
 * passed over: full lists search better (README, "What was measured").
 *
 * The heuristic wants candidates that lie in all directions, and the nearest
 * lie in few.  A search finds more than it keeps, and knows how far they are,
 * so they are candidates all.
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
static int	compare_neighbours(const void *a, const void *b);

/*
 * hnsw_choice_begin -- choose up to "capacity" neighbours
 *
 * Allocates in the current memory context.
 */
void
hnsw_choice_begin(HnswChoice *choice, const HnswIndex *index, int capacity)
{
	choice->index = index;
	choice->capacity = capacity;
	choice->taken = palloc(sizeof(HnswNeighbour) * capacity);
	choice->count = 0;
	choice->covered = palloc(sizeof(HnswNeighbour) * capacity);
	choice->covered_count = 0;
}

/*
 * hnsw_choice_offer -- take a candidate or pass it over
 *
 * From near to far, and not more when hnsw_choice_is_full().
 */
void
hnsw_choice_offer(HnswChoice *choice, const HnswNeighbour *candidate)
{
	bool		covered = hnsw_is_near_taken(choice->index, candidate,
											 choice->taken, choice->count);

	Assert(!hnsw_choice_is_full(choice));

	if (!covered)
	{
		choice->taken[choice->count] = *candidate;
		choice->taken[choice->count++].covered = false;
	}
	else if (choice->covered_count < choice->capacity)
	{
		choice->covered[choice->covered_count] = *candidate;
		choice->covered[choice->covered_count++].covered = true;
	}
}

/*
 * hnsw_choice_end -- fill up; choice->taken and choice->count are the result
 *
 * Those that the heuristic took, from near to far, then the nearest of those
 * covered.
 */
void
hnsw_choice_end(HnswChoice *choice)
{
	for (int i = 0; i < choice->covered_count &&
		 choice->count < choice->capacity; i++)
		choice->taken[choice->count++] = choice->covered[i];
	pfree(choice->covered);
}

/*
 * hnsw_is_near_taken -- is one that was taken nearer to the candidate than the
 * vertex is?
 */
bool
hnsw_is_near_taken(const HnswIndex *index, const HnswNeighbour *candidate,
				   const HnswNeighbour *taken, int taken_count)
{
	HnswSampled own = {candidate->value.data, candidate->sample_norm2};

	for (int i = 0; i < taken_count; i++)
	{
		HnswSampled other = {taken[i].value.data, taken[i].sample_norm2};

		if (hnsw_is_within(index, &own, &other, candidate->distance))
			return true;
	}
	return false;
}

/*
 * hnsw_choose_neighbours -- choose among all that a search has found
 *
 * The search has keep_values and keep_found.  Returns how many were chosen,
 * at most "capacity", and sets *chosen to them.  Deleted ones are not chosen,
 * nor is "self".
 */
int
hnsw_choose_neighbours(HnswSearch *search, VdbHnswRef self, int capacity,
					   HnswNeighbour **chosen)
{
	int			left = CANDIDATES * search->index->meta.ef_construction;
	HnswChoice	choice;
	VdbHeap		heap;

	hnsw_choice_begin(&choice, search->index, capacity);
	gather_found(search, &heap);
	for (; heap.count > 0 && !hnsw_choice_is_full(&choice) && left > 0; left--)
	{
		HnswFound  *found = &search->found[vdb_heap_pop(&heap).item];
		HnswNeighbour candidate;

		if (found->deleted || VdbHnswRefEquals(found->ref, self) ||
			(found->value.data == NULL && !read_value(search, found)))
			continue;
		candidate.ref = found->ref;
		candidate.distance = found->distance;
		candidate.value = found->value;
		candidate.sample_norm2 = hnsw_sample_norm2(search->index,
												   found->value.data);
		hnsw_choice_offer(&choice, &candidate);
	}
	hnsw_choice_end(&choice);

	vdb_heap_free(&heap);
	*chosen = choice.taken;
	return choice.count;
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

/*
 * hnsw_select_neighbours -- put the chosen candidates first
 *
 * The others are no longer there.  Returns how many were chosen, at most
 * "capacity".
 */
int
hnsw_select_neighbours(const HnswIndex *index, HnswNeighbour *candidates,
					   int count, int capacity)
{
	HnswChoice	choice;

	hnsw_sort_neighbours(candidates, count);
	hnsw_choice_begin(&choice, index, capacity);
	for (int i = 0; i < count && !hnsw_choice_is_full(&choice); i++)
		hnsw_choice_offer(&choice, &candidates[i]);
	hnsw_choice_end(&choice);

	memcpy(candidates, choice.taken, sizeof(HnswNeighbour) * choice.count);
	pfree(choice.taken);
	return choice.count;
}

/*
 * hnsw_dropped_neighbour -- the one candidate that would not be chosen
 *
 * Of exactly capacity + 1 candidates.  Returns its place in candidates[] as
 * the caller has them; they are not moved.
 */
int
hnsw_dropped_neighbour(const HnswIndex *index, HnswNeighbour *candidates,
					   int count, int capacity)
{
	HnswNeighbour *sorted = palloc(sizeof(HnswNeighbour) * count);
	int			dropped = -1;

	Assert(count == capacity + 1);

	memcpy(sorted, candidates, sizeof(HnswNeighbour) * count);
	hnsw_select_neighbours(index, sorted, count, capacity);
	for (int i = 0; i < count && dropped < 0; i++)
	{
		bool		chosen = false;

		for (int j = 0; j < capacity && !chosen; j++)
			chosen = VdbHnswRefEquals(sorted[j].ref, candidates[i].ref);
		if (!chosen)
			dropped = i;
	}
	pfree(sorted);
	return dropped;
}

/*
 * hnsw_sort_neighbours -- sort by distance
 *
 * Candidates come sorted from a search, and lists as two sorted halves with
 * one behind them, which insertion takes less time to sort than qsort().
 */
void
hnsw_sort_neighbours(HnswNeighbour *neighbours, int count)
{
	if (count > 128)
	{
		qsort(neighbours, count, sizeof(HnswNeighbour), compare_neighbours);
		return;
	}

	for (int i = 1; i < count; i++)
	{
		HnswNeighbour neighbour = neighbours[i];
		int			at = i;

		while (at > 0 &&
			   compare_neighbours(&neighbours[at - 1], &neighbour) > 0)
		{
			neighbours[at] = neighbours[at - 1];
			at--;
		}
		neighbours[at] = neighbour;
	}
}

/* Nearest first; equally near ones in the order of their places */
static int
compare_neighbours(const void *a, const void *b)
{
	const HnswNeighbour *x = a;
	const HnswNeighbour *y = b;

	if (x->distance != y->distance)
		return x->distance < y->distance ? -1 : 1;
	if (x->ref.blkno != y->ref.blkno)
		return x->ref.blkno < y->ref.blkno ? -1 : 1;
	return (int) x->ref.offno - (int) y->ref.offno;
}
