/*-------------------------------------------------------------------------
 *
 * hnsw_build.h
 *	  What the two halves of CREATE INDEX share.
 *
 * IDENTIFICATION
 *	  src/hnsw/hnsw_build.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HNSW_BUILD_H
#define HNSW_BUILD_H

#include "storage/spin.h"

#include "hnsw_graph.h"

/* What the processes of a build tell each other */
typedef struct HnswBuildShared
{
	LWLock		graph_lock;		/* shared: inserting into the graph in memory;
								 * exclusive: writing it to the index */
	bool		written;		/* protected by graph_lock */
	slock_t		mutex;			/* of what follows */
	double		rows;			/* indexed so far */
} HnswBuildShared;

struct HnswParallel;
struct TableScanDescData;

/* A process's part in a build */
typedef struct HnswBuild
{
	Relation	heap;
	Relation	rel;
	IndexInfo  *info;
	HnswIndex  *index;
	HnswGraph	graph;
	HnswBuildShared *shared;
	HnswBuildShared own;		/* where "shared" points in a serial build */
	bool		graph_written;	/* shared->written has been seen */
	bool		is_leader;		/* reports progress */
	MemoryContext context;		/* for one row */
	struct HnswParallel *parallel;	/* leader only, NULL in a serial build */
} HnswBuild;

/* functions in hnsw_build.c */
extern void hnsw_build_begin(HnswBuild *build, Relation heap, Relation rel,
							 IndexInfo *info);
extern double hnsw_build_scan(HnswBuild *build,
							  struct TableScanDescData *scan, bool progress);

/* functions in hnsw_parallel.c */
extern void hnsw_build_shared_init(HnswBuildShared *shared);
extern bool hnsw_build_parallel(HnswBuild *build, double *heap_tuples);
extern void hnsw_build_parallel_end(HnswBuild *build);

#endif							/* HNSW_BUILD_H */
