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

/* Defines the storage parameters and the settings hnsw.*; from _PG_init. */
extern void vdb_hnsw_init(void);

#endif							/* VECDB_HNSW_H */
