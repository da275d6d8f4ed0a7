/*-------------------------------------------------------------------------
 *
 * hnsw_select.c
 *	  Which of many candidates become the neighbours of a vertex.
 *
 * The heuristic of the HNSW paper (algorithm 4): candidates are taken from
 * near to far, and one is passed over when a neighbour already taken is
 * nearer to it than the vertex is, for then the search gets there through
 * that neighbour.  Room that is left goes to the nearest of those passed
 * over: full lists search better (README, "What was measured").
 *
 * IDENTIFICATION
 *	  src/hnsw/hnsw_select.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "hnsw_private.h"

static int	compare_neighbours(const void *a, const void *b);
static bool is_covered(const HnswIndex *index, const HnswNeighbour *candidate,
					   const HnswNeighbour *taken, int taken_count);

/*
 * hnsw_select_neighbours -- put the chosen candidates first
 *
 * Moves them to the front, nearest first, those after that which are covered
 * by another and fill up the list, and says which are which.  Returns how
 * many there are, at most "capacity".
 */
int
hnsw_select_neighbours(const HnswIndex *index, HnswNeighbour *candidates,
					   int count, int capacity)
{
	HnswNeighbour *covered;
	int			covered_count = 0;
	int			taken = 0;
	int			i;

	qsort(candidates, count, sizeof(HnswNeighbour), compare_neighbours);

	/* taken <= i always holds, so that the front can be overwritten */
	covered = palloc(sizeof(HnswNeighbour) * Max(count, 1));
	for (i = 0; i < count && taken < capacity; i++)
	{
		candidates[i].covered = is_covered(index, &candidates[i], candidates,
										   taken);
		if (candidates[i].covered)
			covered[covered_count++] = candidates[i];
		else
			candidates[taken++] = candidates[i];
	}

	/* Full up, the rest are as good as covered; nobody reads past "taken" */
	for (i = 0; i < covered_count && taken < capacity; i++)
		candidates[taken++] = covered[i];

	pfree(covered);
	return taken;
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

/* Is one that was taken nearer to the candidate than the vertex is? */
static bool
is_covered(const HnswIndex *index, const HnswNeighbour *candidate,
		   const HnswNeighbour *taken, int taken_count)
{
	for (int i = 0; i < taken_count; i++)
	{
		if (hnsw_value_distance(index, candidate->value.data,
								taken[i].value.data) <= candidate->distance)
			return true;
	}
	return false;
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
