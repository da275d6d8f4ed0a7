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

#include "storage/lwlock.h"

/* An area; static in the room that it belongs to */
typedef struct VdbSharedArea
{
	const char *name;
	void	  **memory;			/* set to where it is */
	Size		size;
	bool		per_backend;	/* so much for each of MaxBackends */
	bool		has_lock;		/* an LWLock of that name comes with it */
	void		(*set_up) (LWLock *lock);	/* once; the area is zero */
	struct VdbSharedArea *next; /* lib_shared.c's */
} VdbSharedArea;

/*
 * vdb_shared_register -- have an area made when the server starts
 *
 * *memory is set in the process that maps the area (on Unix: the postmaster)
 * and inherited by others.  The lock is NULL unless one was asked for.
 */
extern void vdb_shared_register(VdbSharedArea *area);

#endif							/* VECDB_LIB_SHARED_H */
