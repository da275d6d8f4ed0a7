/*-------------------------------------------------------------------------
 *
 * hnsw_graph.c
 *	  Insertion into the graph in memory, and search of it.
 *
 * Algorithm 1 of the HNSW paper.  What differs from the insertion into pages
 * (hnsw_insert.c) is that distances between any two vertices are at hand, so
 * that full lists are chosen anew by the heuristic in full.
 *
 * Several processes may insert at once.  A vertex's edge lists are read and
 * changed under its lock; only one vertex is locked at a time, and the entry
 * lock before vertices.  A vertex is complete before another points to it,
 * except that its own lists may still grow.
 *
 * IDENTIFICATION
 *	  src/hnsw/hnsw_graph.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/float.h"

#include "hnsw_graph.h"

/* Values on their way to the cache while distances are computed */
#define PREFETCH_AHEAD	4

/* As much of a value is fetched beforehand, and of values of no fixed size */
#define MAX_PREFETCH	1200
#define SOME_PREFETCH	256

/* A bucket with more than this makes sort_met() sort by comparisons */
#define FULL_BUCKET		32

/*
 * Beam of a search and candidates for neighbours that are looked at, in units
 * of ef_construction: what makes the best of the time that others take with
 * the same ef_construction (README, "What was measured")
 */
#define BEAM		1.125
#define CANDIDATES	5

static void lock(HnswGraph *graph, LWLock *lwlock, LWLockMode mode);
static void unlock(HnswGraph *graph, LWLock *lwlock);
static HnswPlace enter(HnswGraph *graph, int layer, bool *exclusive,
					   int *entry_layer);
static void search_layer(HnswGraph *graph, const void *value, HnswPlace from,
						 int ef, int layer);
static void meet(HnswGraph *graph, HnswPlace place, float distance,
				 bool is_exact);
static int	copy_unmet_edges(HnswGraph *graph, HnswVertex *vertex,
							 int layer);
static void prefetch_value(const HnswGraph *graph, HnswPlace place);
static void prefetch_edges(const HnswGraph *graph, HnswPlace place,
						   int layer);
static bool mark(HnswGraph *graph, uint32 number);
static void choose_neighbours(HnswGraph *graph, const HnswQuery *query,
							  int layer, HnswChoice *chosen);
static void sort_met(HnswGraph *graph);
static inline uint32 bucket_of(float distance, float least, float scale,
							   uint32 count);
static int	compare_entries(const void *a, const void *b);
static HnswPlace nearest_met(const HnswGraph *graph);
static HnswNeighbour *take_nearest(HnswGraph *graph, int *count);
static bool join_vertex(HnswGraph *graph, const HnswQuery *query,
						ItemPointer tid, bool *full);
static bool add_row(HnswGraph *graph, HnswVertex *vertex,
					const HnswQuery *query, ItemPointer tid);
static HnswPlace add_vertex(HnswGraph *graph, const HnswQuery *query,
							ItemPointer tid, int layer, HnswChoice *chosen);
static void link_to(HnswGraph *graph, HnswPlace from, HnswPlace to,
					int layer, float distance);
static bool compare_with_list(HnswGraph *graph, const HnswEdgeList *list,
							  HnswVertex *target, float distance,
							  bool *covers);
static int	choose_dropped(const HnswEdgeList *list, const bool *covers,
						   float distance, bool covered);

static inline HnswVertex *
vertex_at(const HnswGraph *graph, HnswPlace place)
{
	return (HnswVertex *) hnsw_graph_at(graph, place);
}

static Size
edge_list_size(const HnswGraph *graph, int layer)
{
	return MAXALIGN(offsetof(HnswEdgeList, edges) + sizeof(HnswEdge) *
					hnsw_layer_capacity(graph->index, layer));
}

/* hnsw_edge_list -- the neighbours of a vertex in a layer */
HnswEdgeList *
hnsw_edge_list(const HnswGraph *graph, HnswVertex *vertex, int layer)
{
	char	   *at = (char *) hnsw_vertex_value(vertex) +
	MAXALIGN(vertex->value_size);

	Assert(layer <= vertex->layer);
	if (layer > 0)
		at += edge_list_size(graph, 0) +
			(layer - 1) * edge_list_size(graph, 1);
	return (HnswEdgeList *) at;
}

/*
 * hnsw_graph_insert -- insert a value for a heap row
 *
 * Returns false, having done nothing, when the memory is full.
 */
bool
hnsw_graph_insert(HnswGraph *graph, const HnswQuery *query, ItemPointer tid)
{
	HnswIndex  *index = graph->index;
	MemoryContext old;
	HnswChoice	chosen[VDB_HNSW_MAX_LAYER + 1] = {{0}};
	int			layer = hnsw_random_layer(index);
	int			entry_layer;
	bool		exclusive;
	bool		full = false;
	HnswPlace	from;
	HnswPlace	place = 0;

	/* Nobody waits for a lock of ours when there is no room any more */
	if (graph->head->full)
		return false;

	old = MemoryContextSwitchTo(graph->context);
	from = enter(graph, layer, &exclusive, &entry_layer);

	for (int l = entry_layer; from != 0 && l >= 0; l--)
	{
		bool		choose = l <= layer;

		search_layer(graph, query->value.data, from,
					 choose ? (int) (BEAM * index->meta.ef_construction) : 1,
					 l);
		from = nearest_met(graph);
		if (l == 0 && join_vertex(graph, query, tid, &full))
			goto done;
		if (choose)
			choose_neighbours(graph, query, l, &chosen[l]);
	}

	place = add_vertex(graph, query, tid, layer, chosen);
	full = place == 0;
	for (int l = 0; !full && l <= layer; l++)
	{
		for (int i = 0; i < chosen[l].count; i++)
			link_to(graph, chosen[l].taken[i].ref.blkno, place, l,
					chosen[l].taken[i].distance);
	}
	if (!full && exclusive)
	{
		graph->head->entry = place;
		graph->head->entry_layer = layer;
	}

done:
	unlock(graph, &graph->head->entry_lock);
	MemoryContextSwitchTo(old);
	MemoryContextReset(graph->context);
	return !full;
}

static void
lock(HnswGraph *graph, LWLock *lwlock, LWLockMode mode)
{
	if (graph->shared)
		LWLockAcquire(lwlock, mode);
}

static void
unlock(HnswGraph *graph, LWLock *lwlock)
{
	if (graph->shared)
		LWLockRelease(lwlock);
}

/*
 * The entry point, with the entry lock held: exclusively when the vertex to
 * be inserted will be the new one
 */
static HnswPlace
enter(HnswGraph *graph, int layer, bool *exclusive, int *entry_layer)
{
	HnswGraphHead *head = graph->head;

	lock(graph, &head->entry_lock, LW_SHARED);
	*exclusive = head->entry == 0 || layer > head->entry_layer;
	if (*exclusive)
	{
		unlock(graph, &head->entry_lock);
		lock(graph, &head->entry_lock, LW_EXCLUSIVE);
		*exclusive = head->entry == 0 || layer > head->entry_layer;
	}
	*entry_layer = head->entry_layer;
	return head->entry;
}

/*
 * hnsw_graph_search -- vertices near to a value, nearest first
 *
 * Of those that the entry point leads to within layer 0.  Allocates in the
 * current memory context.
 */
HnswNeighbour *
hnsw_graph_search(HnswGraph *graph, const void *value, int *count)
{
	search_layer(graph, value, graph->head->entry,
				 graph->index->meta.ef_construction, 0);
	return take_nearest(graph, count);
}

/* Find the ef nearest vertices in a layer; they are left in graph->nearest */
static void
search_layer(HnswGraph *graph, const void *value, HnswPlace from, int ef,
			 int layer)
{
	VdbHeap    *frontier = &graph->frontier;
	VdbHeap    *nearest = &graph->nearest;
	HnswVertex *vertex = vertex_at(graph, from);
	HnswSampled own = {value, hnsw_sample_norm2(graph->index, value)};
	float		distance;

	frontier->count = nearest->count = 0;
	graph->search++;
	mark(graph, vertex->number);
	distance = hnsw_value_distance(graph->index, value,
								   hnsw_vertex_value(vertex));
	vdb_heap_push(frontier, distance, from);
	vdb_heap_push(nearest, -distance, from);
	graph->met.count = 0;
	meet(graph, from, distance, true);

	while (frontier->count > 0)
	{
		VdbHeapEntry top = vdb_heap_pop(frontier);
		int			count;

		if (nearest->count >= ef && top.distance > -nearest->entries[0].distance)
			break;

		count = copy_unmet_edges(graph, vertex_at(graph, top.item), layer);
		if (frontier->count > 0)
			prefetch_edges(graph, frontier->entries[0].item, layer);
		for (int i = 0; i < count; i++)
		{
			HnswSampled other =
			hnsw_vertex_sampled(vertex_at(graph, graph->edges[i].to));
			float		limit = nearest->count < ef ? get_float4_infinity() :
			-nearest->entries[0].distance;
			bool		is_exact;

			if (i + PREFETCH_AHEAD < count)
				prefetch_value(graph, graph->edges[i + PREFETCH_AHEAD].to);
			distance = hnsw_sampled_distance(graph->index, &own, &other,
											 limit, &is_exact);
			meet(graph, graph->edges[i].to, distance, is_exact);
			if (!is_exact)
				continue;
			if (nearest->count < ef)
				vdb_heap_push(nearest, -distance, graph->edges[i].to);
			else if (distance < -nearest->entries[0].distance)
				vdb_heap_replace(nearest, -distance, graph->edges[i].to);
			else
				continue;
			vdb_heap_push(frontier, distance, graph->edges[i].to);
		}
	}
}

/* Note that a search has computed or estimated a distance */
static void
meet(HnswGraph *graph, HnswPlace place, float distance, bool is_exact)
{
	if (graph->met.count == graph->rough_space)
	{
		graph->rough_space *= 2;
		graph->rough = repalloc_huge(graph->rough, sizeof(bool) *
									 (Size) graph->rough_space);
	}
	graph->rough[graph->met.count] = !is_exact;
	vdb_heap_append(&graph->met, distance, place);
}

/*
 * Copy the edges to vertices that the search has not met to graph->edges
 *
 * Under the lock of the vertex.  Returns how many there are; from now on they
 * have been met.
 */
static int
copy_unmet_edges(HnswGraph *graph, HnswVertex *vertex, int layer)
{
	HnswEdgeList *list = hnsw_edge_list(graph, vertex, layer);
	int			count = 0;

	lock(graph, &vertex->lock, LW_SHARED);
	for (int i = 0; i < list->count; i++)
	{
		graph->edges[count] = list->edges[i];
		count += mark(graph, list->edges[i].number);
	}
	unlock(graph, &vertex->lock);

	for (int i = 0; i < Min(count, PREFETCH_AHEAD); i++)
		prefetch_value(graph, graph->edges[i].to);
	return count;
}

/* Have the value of a vertex in the cache soon, or as much as matters */
static void
prefetch_value(const HnswGraph *graph, HnswPlace place)
{
	const char *at = (const char *) vertex_at(graph, place);
	const HnswIndex *index = graph->index;
	Size		size = index->value_size == 0 ? SOME_PREFETCH :
	Min(index->value_size, index->sampled ?
		sizeof(VdbHnswCodedValue) + HNSW_SAMPLE : MAX_PREFETCH);

	/* the vertex may begin anywhere in a line */
	size += MAXALIGN(sizeof(HnswVertex)) + 63;
	for (Size line = 0; line < size; line += 64)
		__builtin_prefetch(at + line);
}

/* The same for its edges of layer 0 */
static void
prefetch_edges(const HnswGraph *graph, HnswPlace place, int layer)
{
	Size		value_size = graph->index->value_size;
	const char *at = (char *) hnsw_vertex_value(vertex_at(graph, place)) +
	MAXALIGN(value_size);

	if (layer > 0 || value_size == 0)
		return;
	for (Size line = 0; line < edge_list_size(graph, 0); line += 64)
		__builtin_prefetch(at + line);
}

/*
 * Note that this search has met the vertex of a number; false when it had
 * before
 *
 * Without a branch on that: it is as good as random.
 */
static bool
mark(HnswGraph *graph, uint32 number)
{
	bool		is_new;

	if (number >= graph->mark_space)
	{
		uint32		space = Max(graph->mark_space * 2, number + 1);

		graph->marks = repalloc_huge(graph->marks,
									 sizeof(uint32) * (Size) space);
		memset(graph->marks + graph->mark_space, 0,
			   sizeof(uint32) * (Size) (space - graph->mark_space));
		graph->mark_space = space;
	}
	is_new = graph->marks[number] != graph->search;
	graph->marks[number] = graph->search;
	return is_new;
}

/*
 * Choose neighbours in a layer among all that the search has met
 *
 * The heuristic of the paper wants candidates that lie in all directions, and
 * those that the search did not keep cost nothing more: see README, "What was
 * measured".
 */
static void
choose_neighbours(HnswGraph *graph, const HnswQuery *query, int layer,
				  HnswChoice *chosen)
{
	HnswIndex  *index = graph->index;
	uint32		candidates = Min(graph->met.count, (uint32)
								 (CANDIDATES * index->meta.ef_construction));

	sort_met(graph);
	hnsw_choice_begin(chosen, index, hnsw_layer_capacity(index, layer));
	for (uint32 i = 0; i < candidates && !hnsw_choice_is_full(chosen); i++)
	{
		uint32		met = graph->sorted[i].item;
		HnswPlace	place = graph->met.entries[met].item;
		HnswVertex *vertex = vertex_at(graph, place);
		HnswNeighbour candidate = {0};

		candidate.ref.blkno = place;
		candidate.ref.generation = 1;
		candidate.distance = graph->sorted[i].distance;
		candidate.value.data = hnsw_vertex_value(vertex);
		candidate.sample_norm2 = vertex->sample_norm2;
		if (graph->rough[met])
			candidate.distance = hnsw_value_distance(index, query->value.data,
													 candidate.value.data);
		hnsw_choice_offer(chosen, &candidate);
	}
	hnsw_choice_end(chosen);
}

/*
 * Put what the search has met in the order of distance: graph->sorted has the
 * numbers in graph->met
 *
 * There are about a thousand and no two searches are alike, so every step of
 * a sort by comparisons is a branch that nobody can foresee.  They are put in
 * as many buckets as they are, which leaves little to do, unless they are
 * spread unevenly.
 */
static void
sort_met(HnswGraph *graph)
{
	const VdbHeap *met = &graph->met;
	uint32		count = met->count;
	uint32	   *starts;
	uint32		fullest = 0;
	float		least = met->entries[0].distance;
	float		most = least;
	float		scale;

	if (graph->sorted_space < count)
	{
		graph->sorted_space = count * 2;
		graph->sorted = repalloc_huge(graph->sorted, sizeof(VdbHeapEntry) *
									  (Size) graph->sorted_space);
	}
	for (uint32 i = 1; i < count; i++)
	{
		least = Min(least, met->entries[i].distance);
		most = Max(most, met->entries[i].distance);
	}

	/* infinite distances, or no differences: any order to begin with */
	scale = (count - 1) / (most - least);
	if (!isfinite(scale) || !isfinite(scale * (most - least)))
		scale = 0;

	starts = palloc0(sizeof(uint32) * (count + 1));
	for (uint32 i = 0; i < count; i++)
		starts[bucket_of(met->entries[i].distance, least, scale, count) + 1]++;
	for (uint32 i = 1; i <= count; i++)
	{
		fullest = Max(fullest, starts[i]);
		starts[i] += starts[i - 1];
	}
	for (uint32 i = 0; i < count; i++)
	{
		float		distance = met->entries[i].distance;
		uint32		at = starts[bucket_of(distance, least, scale, count)]++;

		graph->sorted[at].distance = distance;
		graph->sorted[at].item = i;
	}
	pfree(starts);

	if (fullest > FULL_BUCKET)
	{
		qsort(graph->sorted, count, sizeof(VdbHeapEntry), compare_entries);
		return;
	}
	for (uint32 i = 1; i < count; i++)
	{
		VdbHeapEntry entry = graph->sorted[i];
		uint32		at = i;

		for (; at > 0 && graph->sorted[at - 1].distance > entry.distance; at--)
			graph->sorted[at] = graph->sorted[at - 1];
		graph->sorted[at] = entry;
	}
}

/* For qsort(): nearest first */
static int
compare_entries(const void *a, const void *b)
{
	float		left = ((const VdbHeapEntry *) a)->distance;
	float		right = ((const VdbHeapEntry *) b)->distance;

	return left < right ? -1 : left > right;
}

static inline uint32
bucket_of(float distance, float least, float scale, uint32 count)
{
	/* with a scale of zero, infinity would give a NaN */
	return scale == 0 ? 0 :
		Min((uint32) ((distance - least) * scale), count - 1);
}

/* The nearest vertex that a search has found */
static HnswPlace
nearest_met(const HnswGraph *graph)
{
	const VdbHeap *nearest = &graph->nearest;
	VdbHeapEntry best = nearest->entries[0];

	/* distances are negated in this heap */
	for (uint32 i = 1; i < nearest->count; i++)
	{
		if (nearest->entries[i].distance > best.distance)
			best = nearest->entries[i];
	}
	return best.item;
}

/* The vertices in graph->nearest, nearest first */
static HnswNeighbour *
take_nearest(HnswGraph *graph, int *count)
{
	HnswNeighbour *found;

	*count = graph->nearest.count;
	found = palloc0(sizeof(HnswNeighbour) * *count);
	for (int i = *count - 1; i >= 0; i--)
	{
		VdbHeapEntry entry = vdb_heap_pop(&graph->nearest);
		HnswVertex *vertex = vertex_at(graph, entry.item);

		found[i].ref.blkno = entry.item;
		found[i].ref.generation = 1;
		found[i].distance = -entry.distance;
		found[i].value.data = hnsw_vertex_value(vertex);
		found[i].value.size = vertex->value_size;
	}
	return found;
}

/*
 * Add a row to a vertex of the same value, if the search met one
 *
 * The distance of equal values is the same to the last bit.  Sets *full, and
 * returns true all the same, when there is no room for the row.
 */
static bool
join_vertex(HnswGraph *graph, const HnswQuery *query, ItemPointer tid,
			bool *full)
{
	float		own_distance = hnsw_value_distance(graph->index,
												   query->value.data,
												   query->value.data);

	for (uint32 i = 0; i < graph->met.count; i++)
	{
		HnswVertex *vertex;

		if (graph->met.entries[i].distance != own_distance)
			continue;
		vertex = vertex_at(graph, graph->met.entries[i].item);
		if (hnsw_values_equal(graph->index, query, hnsw_vertex_value(vertex),
							  vertex->value_size))
		{
			*full = !add_row(graph, vertex, query, tid);
			return true;
		}
	}
	return false;
}

/* Add a row to a vertex; false when there is no room for it */
static bool
add_row(HnswGraph *graph, HnswVertex *vertex, const HnswQuery *query,
		ItemPointer tid)
{
	HnswGraphHead *head = graph->head;
	HnswPlace	place;
	HnswRow    *row;

	lock(graph, &head->space_lock, LW_EXCLUSIVE);
	place = hnsw_graph_allocate(graph, sizeof(HnswRow));
	if (place != 0)
		head->rows++;
	unlock(graph, &head->space_lock);
	if (place == 0)
		return false;

	row = hnsw_graph_at(graph, place);
	row->tid = *tid;
	lock(graph, &vertex->lock, LW_EXCLUSIVE);
	row->next = vertex->rows;
	vertex->rows = place;
	if (graph->index->coded)
	{
		VdbHnswCodedValue *stored = hnsw_vertex_value(vertex);
		VdbHnswCodedValue *own = query->value.data;

		stored->error = Max(stored->error, own->error);
	}
	unlock(graph, &vertex->lock);
	return true;
}

/* Make a vertex that points to the chosen ones; 0 when there is no room */
static HnswPlace
add_vertex(HnswGraph *graph, const HnswQuery *query, ItemPointer tid,
		   int layer, HnswChoice *chosen)
{
	HnswGraphHead *head = graph->head;
	HnswPlace	place;
	HnswVertex *vertex;
	Size		size = MAXALIGN(sizeof(HnswVertex)) +
	MAXALIGN(query->value.size) + edge_list_size(graph, 0) +
	layer * edge_list_size(graph, 1);
	uint32		number = 0;

	lock(graph, &head->space_lock, LW_EXCLUSIVE);
	place = hnsw_graph_allocate(graph, size);
	if (place != 0)
	{
		number = head->count++;
		head->rows++;
		vertex_at(graph, place)->next = 0;
		if (head->last != 0)
			vertex_at(graph, head->last)->next = place;
		else
			head->first = place;
		head->last = place;
	}
	unlock(graph, &head->space_lock);
	if (place == 0)
		return 0;

	vertex = vertex_at(graph, place);
	LWLockInitialize(&vertex->lock, hnsw_lwlock_tranche());
	vertex->number = number;
	vertex->value_size = query->value.size;
	vertex->layer = layer;
	vertex->tid = *tid;
	vertex->rows = 0;
	vertex->sample_norm2 = hnsw_sample_norm2(graph->index, query->value.data);
	memcpy(hnsw_vertex_value(vertex), query->value.data, query->value.size);
	for (int l = 0; l <= layer; l++)
	{
		HnswEdgeList *list = hnsw_edge_list(graph, vertex, l);

		list->count = chosen[l].count;
		for (int i = 0; i < chosen[l].count; i++)
		{
			HnswPlace	to = chosen[l].taken[i].ref.blkno;

			list->edges[i].to = to;
			list->edges[i].number = vertex_at(graph, to)->number;
			list->edges[i].covered = chosen[l].taken[i].covered;
			list->edges[i].distance = chosen[l].taken[i].distance;
		}
	}
	return place;
}

/*
 * Make "from" point to the new vertex "to"
 *
 * Who has to go from a full list is decided as in a coded index on disk, see
 * choose_place_coded(), but with distances of values.
 */
static void
link_to(HnswGraph *graph, HnswPlace from, HnswPlace to, int layer,
		float distance)
{
	HnswVertex *vertex = vertex_at(graph, from);
	HnswEdgeList *list = hnsw_edge_list(graph, vertex, layer);
	HnswVertex *target = vertex_at(graph, to);
	bool		covers[2 * VDB_HNSW_MAX_M];
	bool		covered;
	int			at;

	lock(graph, &vertex->lock, LW_EXCLUSIVE);
	covered = compare_with_list(graph, list, target, distance, covers);
	at = list->count;
	if (at < hnsw_layer_capacity(graph->index, layer))
		covers[list->count++] = false;
	else
		at = choose_dropped(list, covers, distance, covered);
	if (at >= 0)
	{
		for (int i = 0; i < list->count; i++)
			list->edges[i].covered |= i != at && covers[i];
		list->edges[at].to = to;
		list->edges[at].number = target->number;
		list->edges[at].distance = distance;
		list->edges[at].covered = covered;
	}
	unlock(graph, &vertex->lock);
}

/*
 * Is a new neighbour covered by one of the list, and if not, whom does it
 * cover?
 *
 * Sets covers[] for each of the list; those that are covered already are not
 * looked at, and can cover nobody.
 */
static bool
compare_with_list(HnswGraph *graph, const HnswEdgeList *list,
				  HnswVertex *target, float distance, bool *covers)
{
	HnswSampled own = hnsw_vertex_sampled(target);

	for (int i = 0; i < list->count; i++)
	{
		covers[i] = false;
		if (!list->edges[i].covered)
			prefetch_value(graph, list->edges[i].to);
	}
	for (int i = 0; i < list->count; i++)
	{
		const HnswEdge *edge = &list->edges[i];
		HnswSampled other;

		if (edge->covered || edge->distance >= distance)
			continue;
		other = hnsw_vertex_sampled(vertex_at(graph, edge->to));
		if (hnsw_is_within(graph->index, &own, &other, distance))
			return true;
	}
	for (int i = 0; i < list->count; i++)
	{
		const HnswEdge *edge = &list->edges[i];
		HnswSampled other;

		if (edge->covered || edge->distance <= distance)
			continue;
		other = hnsw_vertex_sampled(vertex_at(graph, edge->to));
		covers[i] = hnsw_is_within(graph->index, &own, &other,
								   edge->distance);
	}
	return false;
}

/*
 * The place in a full list that a new neighbour takes, -1 for none
 *
 * The farthest of the covered has to go, be it the new one; with none
 * covered, the farthest of all.  "covers" says whom the new one covers.
 */
static int
choose_dropped(const HnswEdgeList *list, const bool *covers, float distance,
			   bool covered)
{
	int			farthest = -1;
	bool		farthest_covered = covered;
	float		farthest_distance = distance;

	for (int i = 0; i < list->count; i++)
	{
		const HnswEdge *edge = &list->edges[i];
		bool		is_covered = edge->covered || covers[i];

		if (is_covered < farthest_covered ||
			(is_covered == farthest_covered &&
			 edge->distance <= farthest_distance))
			continue;
		farthest = i;
		farthest_covered = is_covered;
		farthest_distance = edge->distance;
	}
	return farthest;
}
