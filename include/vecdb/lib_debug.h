/*-------------------------------------------------------------------------
 *
 * lib_debug.h
 *	  Debug points: places in the code where a test can hold a backend, make
 *	  it fail, or choose for it.
 *
 * A point has a name.  Sessions whose setting vecdb.debug_points lists the
 * name stop there; for all others, and always when the setting is empty, a
 * point is one branch on a global variable that is not taken.  So points are
 * in every build, and what is tested is what is shipped.  Only superusers can
 * change the setting.
 *
 * The setting is a list, separated by commas, of
 *
 *	 NAME			wait at the point for as long as another session holds the
 *					advisory lock (VDB_DEBUG_LOCK_CLASS, hashtext('NAME'))
 *	 NAME=notice	send a NOTICE and go on
 *	 NAME=error		raise an error
 *	 NAME=number	what VDB_DEBUG_VALUE returns instead of its second argument
 *
 * A point must not be reached with a buffer or any other lightweight lock
 * held, nor in a critical section.
 *
 * IDENTIFICATION
 *	  include/vecdb/lib_debug.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef VECDB_LIB_DEBUG_H
#define VECDB_LIB_DEBUG_H

#include "postgres.h"

/* First key of the advisory locks that hold backends; tests name it */
#define VDB_DEBUG_LOCK_CLASS 30308

/* Is vecdb.debug_points set? */
extern bool vdb_debug_enabled;

/* Be held here, or fail here, if a test wants it */
#define VDB_DEBUG_POINT(name) \
	do { \
		if (unlikely(vdb_debug_enabled)) \
			vdb_debug_reach(name); \
	} while (0)

/* "value", or the number that a test gives instead */
#define VDB_DEBUG_VALUE(name, value) \
	(unlikely(vdb_debug_enabled) ? vdb_debug_value(name, value) : (value))

/* Defines the setting vecdb.debug_points; called once by _PG_init. */
extern void vdb_debug_init(void);

/* What the macros call */
extern void vdb_debug_reach(const char *name);
extern int	vdb_debug_value(const char *name, int value);

#endif							/* VECDB_LIB_DEBUG_H */
