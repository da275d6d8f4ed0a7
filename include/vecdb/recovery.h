/*-------------------------------------------------------------------------
 *
 * recovery.h
 *	  Finishing transactions that a crash left prepared at other groups.
 *
 * IDENTIFICATION
 *	  include/vecdb/recovery.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef VECDB_RECOVERY_H
#define VECDB_RECOVERY_H

#include "postgres.h"

/* vdb_recovery_init -- setting and launcher; from _PG_init when preloaded */
extern void vdb_recovery_init(void);

#endif							/* VECDB_RECOVERY_H */
