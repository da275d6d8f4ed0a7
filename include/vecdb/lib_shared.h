/*-------------------------------------------------------------------------
 *
 * lib_shared.h
 *	  Areas of the server's shared memory.
 *
 * A room that keeps something for all backends registers an area while
 * libraries are preloaded.  What follows is PostgreSQL's business in two
 * hooks, which are set once for all areas.
 *
 * IDENTIFICATION
 *	  include/vecdb/lib_shared.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef VECDB_LIB_SHARED_H
#define VECDB_LIB_SHARED_H

#include "postgres.h"

#include "lib/ilist.h"
#include "storage/lwlock.h"

/* An area; static in the room that it belongs to */
typedef struct VdbSharedArea
{
	const char *name;
	Size		(*size) (void); /* asked when MaxBackends is known */
	bool		has_lock;		/* an LWLock of that name comes with it */
	void		(*attach) (void *memory, bool is_new, LWLock *lock);
	slist_node	node;			/* lib_shared.c's */
} VdbSharedArea;

/*
 * vdb_shared_register -- have an area made when the server starts
 *
 * attach is called in each process that maps the area itself (on Unix: in the
 * postmaster), with the area's lock, or NULL; a new area is zero.
 */
extern void vdb_shared_register(VdbSharedArea *area);

#endif							/* VECDB_LIB_SHARED_H */
