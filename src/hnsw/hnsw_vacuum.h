/*-------------------------------------------------------------------------
 *
 * hnsw_vacuum.h
 *	  What the passes of VACUUM share.
 *
 * IDENTIFICATION
 *	  src/hnsw/hnsw_vacuum.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HNSW_VACUUM_H
#define HNSW_VACUUM_H

#include "hnsw_private.h"

/* One run of ambulkdelete */
typedef struct HnswVacuum
{
	HnswIndex  *index;
	BufferAccessStrategy strategy;
	IndexBulkDeleteCallback callback;
	void	   *callback_state;
	IndexBulkDeleteResult *stats;
	MemoryContext context;		/* for one page */
	VdbVisited	deleted;		/* hnsw_place_key() of deleted records */
	VdbVisited	doubtful;		/* those of layer 0 at the edge of a gap */
	Size		limit;			/* bytes for "deleted", and as much again for
								 * "doubtful" and the pass that looks at it */
	VdbHnswRef	entry;			/* highest record that stays */
	int			entry_layer;	/* and its layer, -1 when there is none */
	BlockNumber container_page; /* first with a free container, or
								 * InvalidBlockNumber */
} HnswVacuum;

/* Key of a place in the set of deleted records */
static inline uint64
hnsw_place_key(BlockNumber blkno, OffsetNumber offno)
{
	return (uint64) blkno << 16 | offno;
}

static inline bool
hnsw_is_deleted(const HnswVacuum *vacuum, BlockNumber blkno,
				OffsetNumber offno)
{
	return vdb_visited_contains(&vacuum->deleted,
								hnsw_place_key(blkno, offno));
}

/* functions in hnsw_repair.c */
extern void hnsw_repair_entry(HnswVacuum *vacuum);
extern void hnsw_repair_pass(HnswVacuum *vacuum);

/* functions in hnsw_reach.c */
extern void hnsw_reach_pass(HnswVacuum *vacuum);

#endif							/* HNSW_VACUUM_H */
