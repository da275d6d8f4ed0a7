/*-------------------------------------------------------------------------
 *
 * hnsw_connect.c
 *	  Making every vertex of the graph in memory reachable.
 *
 * A vertex that leaves the lists of all its neighbours, because they found
 * better ones, is lost to searches.  Before the graph is written we walk
 * through layer 0 from the entry point, as a search would, and put each
 * vertex that was not met into the list of the nearest one that was.  What
 * was met stays so: the edges by which the walk came form a tree, and none of
 * those gives way.
 *
 * Not where the metric is the inner product.  There the nearest of all are
 * the few longest vectors, and most others are in nobody's list: leading to
 * them would take the place of the edges between the longest, which is where
 * searches pass.
 *
 * IDENTIFICATION
 *	  src/hnsw/hnsw_connect.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "hnsw_graph.h"

/* A walk through layer 0; arrays are by vertex number */
typedef struct Walk
{
	HnswGraph  *graph;
	HnswPlace  *parents;		/* the vertex that led to this one; itself for
								 * the entry point, 0 if it was not met */
	HnswPlace  *stack;			/* met, neighbours not looked at yet */
	uint32		stack_count;
} Walk;

static void meet(Walk *walk, HnswPlace place, HnswPlace from);
static void walk_on(Walk *walk);
static void lead_to(Walk *walk, HnswPlace place);
static bool add_to_list(Walk *walk, const HnswNeighbour *from,
						HnswPlace to);

static inline HnswVertex *
vertex_at(const HnswGraph *graph, HnswPlace place)
{
	return (HnswVertex *) hnsw_graph_at(graph, place);
}

/*
 * hnsw_graph_connect -- have the entry point lead to every vertex
 *
 * No other process inserts.
 */
void
hnsw_graph_connect(HnswGraph *graph)
{
	HnswGraphHead *head = graph->head;
	Walk		walk;

	if (graph->index->meta.metric == VDB_METRIC_IP)
		return;

	walk.graph = graph;
	walk.parents = MemoryContextAllocExtended(CurrentMemoryContext,
											  sizeof(HnswPlace) *
											  (Size) head->count,
											  MCXT_ALLOC_HUGE |
											  MCXT_ALLOC_ZERO);
	walk.stack = MemoryContextAllocExtended(CurrentMemoryContext,
											sizeof(HnswPlace) *
											(Size) head->count,
											MCXT_ALLOC_HUGE);
	walk.stack_count = 0;

	meet(&walk, head->entry, head->entry);
	walk_on(&walk);
	for (HnswPlace place = head->first; place != 0;
		 place = vertex_at(graph, place)->next)
	{
		if (walk.parents[vertex_at(graph, place)->number] == 0)
		{
			lead_to(&walk, place);
			walk_on(&walk);
		}
	}

	pfree(walk.parents);
	pfree(walk.stack);
}

/* Note that a vertex can be reached, from another */
static void
meet(Walk *walk, HnswPlace place, HnswPlace from)
{
	uint32		number = vertex_at(walk->graph, place)->number;

	if (walk->parents[number] != 0)
		return;
	walk->parents[number] = from;
	walk->stack[walk->stack_count++] = place;
}

/* Meet all that can be reached from what has been met */
static void
walk_on(Walk *walk)
{
	HnswGraph  *graph = walk->graph;

	while (walk->stack_count > 0)
	{
		HnswPlace	place = walk->stack[--walk->stack_count];
		HnswEdgeList *list = hnsw_edge_list(graph, vertex_at(graph, place),
											0);

		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < list->count; i++)
			meet(walk, list->edges[i].to, place);
	}
}

/*
 * Have the nearest vertex that a search finds, and that can give up a
 * neighbour, point to one that was not met
 *
 * The search stays in layer 0 and so finds only what has been met.
 */
static void
lead_to(Walk *walk, HnswPlace place)
{
	HnswGraph  *graph = walk->graph;
	MemoryContext old = MemoryContextSwitchTo(graph->context);
	HnswVertex *vertex = vertex_at(graph, place);
	int			count;
	HnswNeighbour *found;

	CHECK_FOR_INTERRUPTS();
	found = hnsw_graph_search(graph, hnsw_vertex_value(vertex), &count);
	for (int i = 0; i < count; i++)
	{
		if (add_to_list(walk, &found[i], place))
		{
			meet(walk, place, found[i].ref.blkno);
			break;
		}
	}

	MemoryContextSwitchTo(old);
	MemoryContextReset(graph->context);
}

/*
 * Add a vertex to the list of another
 *
 * If the list is full, in the place of its farthest neighbour that was met by
 * way of another; false when there is none.  All neighbours of "from" have
 * been met by now.
 */
static bool
add_to_list(Walk *walk, const HnswNeighbour *from, HnswPlace to)
{
	HnswGraph  *graph = walk->graph;
	HnswEdgeList *list = hnsw_edge_list(graph,
										vertex_at(graph, from->ref.blkno), 0);
	int			at = -1;

	if (list->count < hnsw_layer_capacity(graph->index, 0))
		at = list->count++;
	else
	{
		for (int i = 0; i < list->count; i++)
		{
			if (walk->parents[list->edges[i].number] != from->ref.blkno &&
				(at < 0 || list->edges[i].distance > list->edges[at].distance))
				at = i;
		}
		if (at < 0)
			return false;
	}

	list->edges[at].to = to;
	list->edges[at].number = vertex_at(graph, to)->number;
	list->edges[at].distance = from->distance;
	list->edges[at].covered = true;
	return true;
}
