/*-------------------------------------------------------------------------
 *
 * hnsw_graph.h
 *	  The graph in memory, while an index is being built.
 *
 * The graph lives in one region of memory that may be mapped at different
 * addresses in several processes, so vertices refer to each other by their
 * distance from the start of the region, in units of eight bytes.
 *
 * IDENTIFICATION
 *	  src/hnsw/hnsw_graph.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HNSW_GRAPH_H
#define HNSW_GRAPH_H

#include "storage/lwlock.h"

#include "hnsw_private.h"

/* Place of something in the region, in units of eight bytes; 0 is none */
typedef uint32 HnswPlace;

/* One neighbour of a vertex in a layer */
typedef struct HnswEdge
{
	HnswPlace	to;
	uint32		number:31;		/* HnswVertex.number of "to" */
	uint32		covered:1;		/* as in VdbHnswRecordData */
	float		distance;
} HnswEdge;

/* The neighbours of a vertex in a layer, protected by the vertex's lock */
typedef struct HnswEdgeList
{
	uint16		count;
	OffsetNumber offno;			/* where the record goes, when writing */
	BlockNumber blkno;
	BlockNumber body_blkno;		/* and where its first body page goes */
	HnswEdge	edges[FLEXIBLE_ARRAY_MEMBER];
} HnswEdgeList;

/* One more heap row of a vertex */
typedef struct HnswRow
{
	ItemPointerData tid;
	HnswPlace	next;
} HnswRow;

typedef struct HnswVertex
{
	LWLock		lock;			/* of edge lists and rows */
	uint32		number;			/* from 0, in the order of insertion */
	HnswPlace	next;			/* vertex inserted after this one */
	uint32		value_size;
	uint16		layer;			/* highest layer */
	ItemPointerData tid;		/* first heap row */
	HnswPlace	rows;			/* further heap rows */
	float		sample_norm2;	/* as in HnswSampled */
	/* the value follows, then the edge lists from layer 0 upwards */
} HnswVertex;

/* Head of the region; shared by all processes that build */
typedef struct HnswGraphHead
{
	LWLock		entry_lock;		/* of entry and entry_layer; exclusive for the
								 * whole insertion of a new entry */
	LWLock		space_lock;		/* of the members below */
	HnswPlace	entry;
	int			entry_layer;
	Size		used;			/* bytes given away */
	Size		backed;			/* bytes that there is memory for */
	bool		full;
	int			full_errno;		/* why there is no more memory; 0: as much as
								 * maintenance_work_mem allows is in use */
	HnswPlace	first;			/* vertices in the order of insertion */
	HnswPlace	last;
	uint32		count;			/* of vertices */
	double		rows;			/* heap rows in the graph */
} HnswGraphHead;

/* A process's view of the graph */
typedef struct HnswGraph
{
	HnswIndex  *index;
	HnswGraphHead *head;		/* start of the region */
	Size		size;			/* of the region, most it can become */
	bool		shared;			/* several processes insert: take locks */
	int			fd;				/* file behind a shared region */
	uint32	   *marks;			/* by vertex number: search that last met it */
	uint32		mark_space;
	uint32		search;			/* number of the current search */
	VdbHeap		frontier;
	VdbHeap		nearest;
	VdbHeap		met;			/* all that a search computed distances of, in
								 * no order */
	bool	   *rough;			/* of each in "met": it is an estimate */
	uint32		rough_space;
	VdbHeapEntry *sorted;		/* scratch: numbers in "met", in order */
	uint32		sorted_space;
	HnswEdge   *edges;			/* scratch for one edge list */
	MemoryContext context;		/* for one insertion */
	MemoryContextCallback at_reset; /* releases the region on error */
} HnswGraph;

static inline void *
hnsw_graph_at(const HnswGraph *graph, HnswPlace place)
{
	return (char *) graph->head + (Size) place * 8;
}

static inline void *
hnsw_vertex_value(HnswVertex *vertex)
{
	return (char *) vertex + MAXALIGN(sizeof(HnswVertex));
}

static inline HnswSampled
hnsw_vertex_sampled(HnswVertex *vertex)
{
	HnswSampled sampled = {hnsw_vertex_value(vertex), vertex->sample_norm2};

	return sampled;
}

/* functions in hnsw_region.c */
extern int	hnsw_lwlock_tranche(void);
extern void hnsw_graph_create_private(HnswGraph *graph, HnswIndex *index,
									  Size size);
extern void hnsw_graph_create_shared(HnswGraph *graph, HnswIndex *index,
									 Size size, int fd);
extern void hnsw_graph_attach(HnswGraph *graph, HnswIndex *index, Size size,
							  int fd);
extern HnswPlace hnsw_graph_allocate(HnswGraph *graph, Size size);
extern void hnsw_graph_release(HnswGraph *graph);

/* functions in hnsw_graph.c */
extern bool hnsw_graph_insert(HnswGraph *graph, const HnswQuery *query,
							  ItemPointer tid);
extern HnswEdgeList *hnsw_edge_list(const HnswGraph *graph,
									HnswVertex *vertex, int layer);

extern HnswNeighbour *hnsw_graph_search(HnswGraph *graph, const void *value,
										int *count);

/* functions in hnsw_connect.c */
extern void hnsw_graph_connect(HnswGraph *graph);

/* functions in hnsw_write.c */
extern void hnsw_graph_write(HnswGraph *graph);

#endif							/* HNSW_GRAPH_H */
