/*-------------------------------------------------------------------------
 *
 * hnsw_link.c
 *	  Making existing vertices point to a new one.
 *
 * While there is room in the list of an existing vertex, the new one is
 * added to it.  When the list is full, somebody has to go, perhaps the new
 * one.  In a coded index that is decided while the one page is locked: the
 * codes tell how far the new vertex is from every neighbour.  It is done then
 * and there, or, to have several pages in one WAL record, decided again when
 * these are locked.  Without codes the values of the neighbours are read
 * first, with no lock held, and the change is made if the list is still the
 * same.
 *
 * IDENTIFICATION
 *	  src/hnsw/hnsw_link.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"

#include "hnsw_private.h"

static int	choose_place_coded(HnswLink *link, bool *covered,
							   uint8 *covered_bits);
static int	choose_farthest(HnswLink *link, const float *edges,
							const float *to_neighbours, float distance,
							bool covered);
static int	choose_farthest_own(HnswLink *link, const float *distances);
static bool link_coded(HnswLink *link);
static bool wants_link(HnswLink *link, bool is_covered, bool *linked);
static int	link_pages(HnswLink *link, const VdbHnswRef *from, int count);
static int	compare_blocks(const void *a, const void *b);
static bool put_edge(HnswChange *change, HnswLink *link);
static bool link_plain(HnswLink *link);
static bool read_candidates(HnswLink *link, HnswNeighbour *candidates,
							int *count);
static bool replace_if_same(HnswLink *link, const HnswNeighbour *candidates,
							int count, int at);
static bool is_linkable(HnswChange *change, HnswLink *link);
static bool points_to(const HnswRecord *record, VdbHnswRef to);

/*
 * hnsw_link -- make "from" point to the new vertex
 *
 * The caller has filled in the first members of *link, and zeroed the rest.
 * Returns false when "from" was deleted meanwhile, or when its list is full
 * of better neighbours; the latter does not happen with "force".  True when
 * "from" points to it already.
 *
 * No buffer lock is held on entry; the caller holds the graph lock, so no
 * record is removed meanwhile.
 */
bool
hnsw_link(HnswLink *link, VdbHnswRef from, bool force)
{
	link->from = from;
	link->force = force;
	return link->index->coded ? link_coded(link) : link_plain(link);
}

/*
 * hnsw_link_all -- make all of link->own point to the new vertex
 *
 * As hnsw_link() does without "force".  Returns how many point to it.
 *
 * In a coded index those that have a place for it are found out first, with
 * one page locked at a time, and then changed, several pages in one WAL
 * record, which is shorter than a record for each.
 */
int
hnsw_link_all(HnswLink *link)
{
	int			count = 0;
	int			linked = 0;
	int			body_pages = 0;
	VdbHnswRef *from;

	if (link->index->coded)
		hnsw_record_size(link->index,
						 hnsw_layer_capacity(link->index, link->layer),
						 link->index->value_size, &body_pages);
	if (!link->index->coded || body_pages > 0)
	{
		for (int i = 0; i < link->own_count; i++)
			linked += hnsw_link(link, link->own[i].ref, false);
		return linked;
	}

	from = palloc(sizeof(VdbHnswRef) * (link->own_count + 1));
	link->force = false;
	for (int i = 0; i < link->own_count; i++)
	{
		bool		linked_already;

		link->from = link->own[i].ref;
		if (wants_link(link, link->own[i].covered, &linked_already))
			from[count++] = link->from;
		else
			linked += linked_already;
	}
	qsort(from, count, sizeof(VdbHnswRef), compare_blocks);
	VDB_DEBUG_POINT("hnsw_link_chosen");

	for (int i = 0; i < count;)
	{
		int			end = i;
		int			pages = 0;

		/* lock rule 3: as many pages as a change can have, in order */
		for (; end < count; end++)
		{
			if (end > i && from[end].blkno == from[end - 1].blkno)
				continue;
			if (pages++ == HNSW_MAX_CHANGE_PAGES)
				break;
		}
		linked += link_pages(link, from + i, end - i);
		i = end;
	}
	pfree(from);
	return linked;
}

/*
 * Has the record of link->from, in a coded index, a place for the new vertex?
 *
 * Sets *linked when it points to it already.  "is_covered" says that the new
 * vertex reaches "from" by another of its neighbours.  If that is so the other
 * way round as well, the edge may fill up a list, but is not worth a changed
 * page in place of another.
 */
static bool
wants_link(HnswLink *link, bool is_covered, bool *linked)
{
	const VdbHnswRecordData *head;
	bool		wants = false;
	bool		covered;

	*linked = false;
	if (!hnsw_lock_record(link->index, link->from, link->layer,
						  &link->record))
		return false;
	head = link->record.head;
	if ((head->flags & VDB_HNSW_DELETED) == 0)
	{
		*linked = points_to(&link->record, link->to);
		wants = !*linked && choose_place_coded(link, &covered, NULL) >= 0 &&
			!(is_covered && covered && head->count == head->capacity);
	}
	hnsw_unlock_record(&link->record);
	return wants;
}

/*
 * Make records on a few pages of a coded index point to the new vertex, in
 * one change; returns how many do
 *
 * They are looked at again, for others may have come first.
 */
static int
link_pages(HnswLink *link, const VdbHnswRef *from, int count)
{
	HnswChange	change;
	int			linked = 0;
	int			changed = 0;

	CHECK_FOR_INTERRUPTS();
	hnsw_change_begin(&change, link->index);
	for (int i = 0; i < count; i++)
	{
		link->from = from[i];
		if (!is_linkable(&change, link))
			continue;
		if (points_to(&link->record, link->to))
			linked++;
		else if (put_edge(&change, link))
			changed++;
	}
	if (changed > 0)
		hnsw_change_finish(&change);
	else
		hnsw_change_abort(&change);
	return linked + changed;
}

static int
compare_blocks(const void *a, const void *b)
{
	BlockNumber x = ((const VdbHnswRef *) a)->blkno;
	BlockNumber y = ((const VdbHnswRef *) b)->blkno;

	return x < y ? -1 : x > y;
}

/* Take the record into a change; false when it must not be linked to */
static bool
is_linkable(HnswChange *change, HnswLink *link)
{
	if (!hnsw_change_record(change, link->from, link->layer, &link->record))
		return false;
	return (link->record.head->flags & VDB_HNSW_DELETED) == 0;
}

static bool
link_coded(HnswLink *link)
{
	HnswChange	change;

	bool		linked;

	hnsw_change_begin(&change, link->index);
	if (!is_linkable(&change, link))
	{
		hnsw_change_abort(&change);
		return false;
	}
	linked = points_to(&link->record, link->to);
	if (linked || !put_edge(&change, link))
	{
		hnsw_change_abort(&change);
		return linked;
	}
	hnsw_change_finish(&change);
	return true;
}

/* Is "to" in the list of a record? */
static bool
points_to(const HnswRecord *record, VdbHnswRef to)
{
	for (int i = 0; i < record->head->count; i++)
	{
		if (VdbHnswRefEquals(record->refs[i], to))
			return true;
	}
	return false;
}

/*
 * hnsw_link_record -- make a record of a coded index point to a vertex
 *
 * The record is part of a change.  Returns false, and leaves it as it was,
 * when its list is full of better neighbours.
 */
bool
hnsw_link_record(HnswChange *change, HnswRecord *record,
				 const HnswQuery *query, VdbHnswRef to)
{
	HnswLink	link = {0};

	link.index = change->index;
	link.query = query;
	link.to = to;
	link.record = *record;
	return put_edge(change, &link);
}

/* Put the new edge where it belongs; false when that is nowhere */
static bool
put_edge(HnswChange *change, HnswLink *link)
{
	HnswIndex  *index = link->index;
	VdbHnswFactors factors;
	uint8	   *code;
	bool		covered;
	int			at = choose_place_coded(link, &covered,
										link->record.covered);

	if (at < 0)
		return false;

	code = palloc(index->code_size);
	hnsw_decode_value(index, link->record.value, index->scratch);
	hnsw_encode_edge(index, index->scratch, link->query->rotated, -1, &factors,
					 code);
	hnsw_change_edge(change, &link->record, at, link->to, &factors, code,
					 covered);
	pfree(code);
	return true;
}

/*
 * The place in the list of "from" for "to", or -1 when there is none
 *
 * The new vertex is covered when a neighbour that is not, and is nearer to
 * "from", is nearer to it than "from" is.  If the new one is not covered, it
 * covers those farther neighbours that are nearer to it than to "from".
 * When the list is full, the farthest of the covered has to go, be it the
 * new one; with none covered, the farthest of all.
 *
 * Sets *covered for the new one and, unless that is NULL, the bits of the
 * list in covered_bits; neither when -1 is returned.
 */
static int
choose_place_coded(HnswLink *link, bool *covered, uint8 *covered_bits)
{
	HnswIndex  *index = link->index;
	HnswRecord *record = &link->record;
	int			count = record->head->count;
	int32	   *sums = palloc(sizeof(int32) * (count + 1));
	float	   *to_neighbours = palloc(sizeof(float) * (count + 1));
	float	   *edges = palloc(sizeof(float) * (count + 1));
	float		distance;
	int			at = count;

	distance = hnsw_query_distance(index, link->query, record->value);
	hnsw_estimate(index, link->query, distance, record, sums, to_neighbours);
	hnsw_edge_distances(index, record, sums, edges);

	*covered = false;
	for (int i = 0; i < count && !*covered; i++)
		*covered = edges[i] < distance && to_neighbours[i] <= distance &&
			!hnsw_is_covered(record->covered, i);

	if (count == record->head->capacity)
		at = choose_farthest(link, edges, to_neighbours, distance, *covered);
	if (at >= 0 && !*covered && covered_bits != NULL)
	{
		for (int i = 0; i < count; i++)
		{
			if (edges[i] > distance && to_neighbours[i] <= edges[i])
				hnsw_set_covered(covered_bits, i, true);
		}
	}

	pfree(sums);
	pfree(to_neighbours);
	pfree(edges);
	return at;
}

/*
 * Which neighbour has to go from a full list; -1 when it is the new one
 */
static int
choose_farthest(HnswLink *link, const float *edges,
				const float *to_neighbours, float distance, bool covered)
{
	HnswRecord *record = &link->record;
	int			count = record->head->count;
	int			farthest_covered = -1;
	int			farthest = 0;

	for (int i = 0; i < count; i++)
	{
		bool		is_covered = hnsw_is_covered(record->covered, i) ||
		(!covered && edges[i] > distance && to_neighbours[i] <= edges[i]);

		if (edges[i] > edges[farthest])
			farthest = i;
		if (is_covered && (farthest_covered < 0 ||
						   edges[i] > edges[farthest_covered]))
			farthest_covered = i;
	}

	/* The new one is among the covered, or among all when none is */
	if (covered)
		farthest = farthest_covered;
	else if (farthest_covered >= 0)
		return farthest_covered;
	if (farthest >= 0 && edges[farthest] > distance)
		return farthest;
	return link->force ? choose_farthest_own(link, edges) : -1;
}

/*
 * The farthest neighbour of "from" that "to" points to as well, so that it
 * can still be reached; failing that, the farthest
 */
static int
choose_farthest_own(HnswLink *link, const float *distances)
{
	int			count = link->record.head->count;
	int			farthest = 0;
	int			best = -1;

	for (int i = 0; i < count; i++)
	{
		if (distances[i] > distances[farthest])
			farthest = i;
		for (int j = 0; j < link->own_count; j++)
		{
			if (VdbHnswRefEquals(link->own[j].ref, link->record.refs[i]) &&
				(best < 0 || distances[i] > distances[best]))
				best = i;
		}
	}
	return best >= 0 ? best : farthest;
}

static bool
link_plain(HnswLink *link)
{
	HnswNeighbour *candidates;
	int			count;
	int			capacity = hnsw_layer_capacity(link->index, link->layer);

	candidates = palloc(sizeof(HnswNeighbour) * (capacity + 1));

	for (;;)
	{
		int			at;

		CHECK_FOR_INTERRUPTS();
		if (!read_candidates(link, candidates, &count))
			return false;
		for (int i = 0; i < count; i++)
		{
			if (VdbHnswRefEquals(candidates[i].ref, link->to))
				return true;
		}

		at = count;
		if (count == capacity)
		{
			candidates[count].ref = link->to;
			candidates[count].value = link->query->value;
			at = hnsw_dropped_neighbour(link->index, candidates, count + 1,
										capacity);
			if (at == count && link->force)
			{
				float	   *distances = palloc(sizeof(float) * count);

				for (int i = 0; i < count; i++)
					distances[i] = candidates[i].distance;
				at = choose_farthest_own(link, distances);
			}
			else if (at == count)
				return false;
		}
		VDB_DEBUG_POINT("hnsw_link_chosen");
		if (replace_if_same(link, candidates, count, at))
			return (link->record.head != NULL);
	}
}

/*
 * Read the neighbours of "from" with their values and distances
 *
 * candidates[count] is left for "to", its distance set.  Returns false when
 * "from" is deleted.  A neighbour that is gone gets an infinite distance, so
 * that it is the first to be replaced.
 */
static bool
read_candidates(HnswLink *link, HnswNeighbour *candidates, int *count)
{
	HnswIndex  *index = link->index;
	HnswRecord *record = &link->record;
	HnswRecord	neighbour = {0};
	HnswQuery	from_query = {0};
	float		distance;
	bool		full;

	if (!hnsw_lock_record(index, link->from, link->layer, record))
		return false;
	if (record->head->flags & VDB_HNSW_DELETED)
	{
		hnsw_unlock_record(record);
		return false;
	}
	*count = record->head->count;
	for (int i = 0; i < *count; i++)
		candidates[i].ref = record->refs[i];
	full = record->head->count == record->head->capacity;
	from_query.value.size = record->head->value_size;
	from_query.value.data = palloc(from_query.value.size);
	memcpy(from_query.value.data, record->value, from_query.value.size);
	distance = hnsw_query_distance(index, link->query, record->value);
	hnsw_unlock_record(record);

	/* With room left nobody is compared */
	for (int i = 0; full && i < *count; i++)
	{
		candidates[i].distance = INFINITY;
		candidates[i].value = from_query.value;
		if (!hnsw_lock_record(index, candidates[i].ref, link->layer,
							  &neighbour))
			continue;
		candidates[i].value.size = neighbour.head->value_size;
		candidates[i].value.data = palloc(neighbour.head->value_size);
		memcpy(candidates[i].value.data, neighbour.value,
			   neighbour.head->value_size);
		if ((neighbour.head->flags & VDB_HNSW_DELETED) == 0)
			candidates[i].distance =
				hnsw_value_distance(index, from_query.value.data,
									neighbour.value);
		hnsw_unlock_record(&neighbour);
	}
	if (full)
		candidates[*count].distance = distance;
	return true;
}

/*
 * Put "to" at a place in the list of "from" if the list is still the one in
 * candidates[]
 *
 * Returns false when it has changed and the choice has to be made again.
 * record.head is NULL afterwards when "from" was deleted.
 */
static bool
replace_if_same(HnswLink *link, const HnswNeighbour *candidates, int count,
				int at)
{
	HnswChange	change;
	bool		same;

	hnsw_change_begin(&change, link->index);
	if (!is_linkable(&change, link))
	{
		hnsw_change_abort(&change);
		link->record.head = NULL;
		return true;
	}

	same = link->record.head->count == count;
	for (int i = 0; same && i < count; i++)
		same = VdbHnswRefEquals(link->record.refs[i], candidates[i].ref);
	if (same)
	{
		hnsw_change_edge(&change, &link->record, at, link->to, NULL, NULL, false);
		hnsw_change_finish(&change);
	}
	else
		hnsw_change_abort(&change);
	return same;
}
