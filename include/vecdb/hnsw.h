/*-------------------------------------------------------------------------
 *
 * hnsw.h
 *	  What other rooms may ask of the hnsw room.
 *
 * IDENTIFICATION
 *	  include/vecdb/hnsw.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef VECDB_HNSW_H
#define VECDB_HNSW_H

#include "postgres.h"

#include "access/genam.h"
#include "utils/relcache.h"

/*
 * What index scans have done, by vdb_hnsw_scan_counters().  The descent
 * through the upper layers, a few vertices a scan, is not counted.
 */
typedef struct VdbHnswScanCounters
{
	int64		scans;			/* begun, rescans included */
	int64		visits;			/* records read by following the graph */
	int64		distances;		/* computed on values in the index there */
	int64		estimates;		/* of distances, by codes */
	int64		batches;		/* of results; more than one a scan when the
								 * search was resumed */
	int64		sweeps;			/* scans that went on page by page */
	int64		swept;			/* distances computed while doing so */
	int			ef_search;		/* in force in the latest scan */
} VdbHnswScanCounters;

/* "scan" must be of an index of which vdb_hnsw_is_index() is true. */
extern void vdb_hnsw_scan_counters(IndexScanDesc scan,
								   VdbHnswScanCounters *counters);

/*
 * Is this an index of our access method, whatever that is called?  Not true
 * of partitioned indexes, which have no storage.
 */
extern bool vdb_hnsw_is_index(Relation rel);

/* Defines the storage parameters and the settings hnsw.*; from _PG_init. */
extern void vdb_hnsw_init(void);

#endif							/* VECDB_HNSW_H */
