/*-------------------------------------------------------------------------
 *
 * ddl.h
 *	  Utility statements that vecdb takes part in.
 *
 * IDENTIFICATION
 *	  include/vecdb/ddl.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef VECDB_DDL_H
#define VECDB_DDL_H

#include "postgres.h"

/*
 * vdb_ddl_init -- hook into utility statements; called once, by _PG_init
 */
extern void vdb_ddl_init(void);

#endif							/* VECDB_DDL_H */
