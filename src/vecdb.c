/*-------------------------------------------------------------------------
 *
 * vecdb.c
 *	  Where PostgreSQL loads the library: calls each room's init, in order.
 *
 * IDENTIFICATION
 *	  src/vecdb.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"

#include "miscadmin.h"
#include "utils/guc.h"

#include "vecdb/catalog.h"
#include "vecdb/ddl.h"
#include "vecdb/deadlock.h"
#include "vecdb/distance.h"
#include "vecdb/executor.h"
#include "vecdb/hnsw.h"
#include "vecdb/inspect.h"
#include "vecdb/lib_debug.h"
#include "vecdb/planner.h"
#include "vecdb/recovery.h"
#include "vecdb/remote.h"
#include "vecdb/replication.h"

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	vdb_debug_init();
	vdb_distance_init();
	vdb_hnsw_init();
	vdb_inspect_init();
	vdb_catalog_init();
	if (process_shared_preload_libraries_in_progress)
	{
		vdb_planner_init();
		vdb_remote_init_commit();
		/* waits at the end of a commit: after those of remote */
		vdb_replication_init();
		vdb_remote_init();
		vdb_recovery_init();
		vdb_executor_init();
		vdb_deadlock_init();
	}
	vdb_ddl_init();
	if (process_shared_preload_libraries_in_progress)
		vdb_replication_init_last();
	MarkGUCPrefixReserved("vecdb");
}
