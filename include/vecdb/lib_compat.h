/*-------------------------------------------------------------------------
 *
 * lib_compat.h
 *	  Differences between PostgreSQL 15, 16, 17 and 18, in one place.
 *
 * This is the only file of the project that looks at PG_VERSION_NUM
 * (src/tools/check-layers.sh enforces it).  Each entry says what changed and
 * when; when the oldest supported version passes that point the entry goes.
 *
 * IDENTIFICATION
 *	  include/vecdb/lib_compat.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef VECDB_LIB_COMPAT_H
#define VECDB_LIB_COMPAT_H

#include "postgres.h"

#include "fmgr.h"

#if PG_VERSION_NUM < 150000 || PG_VERSION_NUM >= 190000
#error "vecdb supports PostgreSQL 15 to 18"
#endif

/*
 * Functions called from SQL are the only exported symbols.  The plain
 * PG_FUNCTION_INFO_V1 of 15 does not export the function itself when the
 * library is built with hidden visibility, hence the declaration first.
 */
#define VDB_FUNCTION(name) \
	PGDLLEXPORT Datum name(PG_FUNCTION_ARGS); \
	PG_FUNCTION_INFO_V1(name)

#endif							/* VECDB_LIB_COMPAT_H */
