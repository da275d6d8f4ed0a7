/*-------------------------------------------------------------------------
 *
 * inspect.h
 *	  What other rooms may ask of the inspect room.
 *
 * IDENTIFICATION
 *	  include/vecdb/inspect.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef VECDB_INSPECT_H
#define VECDB_INSPECT_H

/* Sets the hooks of EXPLAIN and of vecdb.recall(); from _PG_init. */
extern void vdb_inspect_init(void);

#endif							/* VECDB_INSPECT_H */
