/*-------------------------------------------------------------------------
 *
 * hnsw_handler.c
 *	  The access method as PostgreSQL sees it.
 *
 * IDENTIFICATION
 *	  src/hnsw/hnsw_handler.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/progress.h"
#include "commands/vacuum.h"
#include "utils/builtins.h"

#include "hnsw_private.h"

VDB_FUNCTION(vecdb_hnswhandler);

static char *build_phase_name(int64 phase);
static bool insert_row(Relation rel, Datum *values, bool *isnull,
					   ItemPointer tid, Relation heap,
					   IndexUniqueCheck check_unique, bool index_unchanged,
					   IndexInfo *info);

/*
 * hnswhandler(internal) returns index_am_handler
 */
Datum
vecdb_hnswhandler(PG_FUNCTION_ARGS)
{
	IndexAmRoutine *routine = makeNode(IndexAmRoutine);

	routine->amstrategies = 0;
	routine->amsupport = 3;
	routine->amoptsprocnum = 0;
	routine->amcanorder = false;
	routine->amcanorderbyop = true;
	routine->amcanbackward = false;
	routine->amcanunique = false;
	routine->amcanmulticol = false;
	routine->amoptionalkey = true;
	routine->amsearcharray = false;
	routine->amsearchnulls = false;
	routine->amstorage = false;
	routine->amclusterable = false;
	routine->ampredlocks = false;
	routine->amcanparallel = false;
	routine->amcaninclude = false;
	routine->amusemaintenanceworkmem = false;
	routine->amparallelvacuumoptions = VACUUM_OPTION_PARALLEL_BULKDEL;
	routine->amkeytype = InvalidOid;
	VDB_AM_CAN_BUILD_PARALLEL(routine);

	routine->ambuild = hnsw_build;
	routine->ambuildempty = hnsw_build_empty;
	routine->aminsert = insert_row;
	routine->ambulkdelete = hnsw_bulk_delete;
	routine->amvacuumcleanup = hnsw_vacuum_cleanup;
	routine->amcanreturn = NULL;
	routine->amcostestimate = hnsw_cost_estimate;
	routine->amoptions = hnsw_options;
	routine->amproperty = NULL;
	routine->ambuildphasename = build_phase_name;
	routine->amvalidate = hnsw_validate;
	routine->amadjustmembers = NULL;
	routine->ambeginscan = hnsw_begin_scan;
	routine->amrescan = hnsw_rescan;
	routine->amgettuple = hnsw_get_tuple;
	routine->amgetbitmap = NULL;
	routine->amendscan = hnsw_end_scan;
	routine->ammarkpos = NULL;
	routine->amrestrpos = NULL;
	routine->amestimateparallelscan = NULL;
	routine->aminitparallelscan = NULL;
	routine->amparallelrescan = NULL;

	PG_RETURN_POINTER(routine);
}

/* ambuildphasename: what pg_stat_progress_create_index shows */
static char *
build_phase_name(int64 phase)
{
	switch (phase)
	{
		case PROGRESS_CREATEIDX_SUBPHASE_INITIALIZE:
			return "initializing";
		case PROGRESS_HNSW_PHASE_LOAD:
			return "loading tuples";
		case PROGRESS_HNSW_PHASE_WRITE:
			return "writing graph";
		case PROGRESS_HNSW_PHASE_LOG:
			return "writing to the log";
		default:
			return NULL;
	}
}

/* aminsert, which has had the same parameters since PostgreSQL 14 */
static bool
insert_row(Relation rel, Datum *values, bool *isnull, ItemPointer tid,
		   Relation heap, IndexUniqueCheck check_unique,
		   bool index_unchanged, IndexInfo *info)
{
	if (!isnull[0])
		hnsw_insert(rel, values[0], tid);
	return false;
}
