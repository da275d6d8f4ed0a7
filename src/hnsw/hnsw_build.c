/*-------------------------------------------------------------------------
 *
 * hnsw_build.c
 *	  CREATE INDEX: reading the table and building the graph.
 *
 * Rows are inserted into a graph in memory (hnsw_graph.c) for as long as it
 * fits into maintenance_work_mem.  Then, or at the end of the table, the
 * graph is written to the pages of the index (hnsw_write.c).  Rows that are
 * left are inserted into the pages as if by INSERT.  At last the whole index
 * is written to the WAL.
 *
 * Several processes may share the work: each reads a part of the table and
 * inserts its rows (hnsw_parallel.c).
 *
 * IDENTIFICATION
 *	  src/hnsw/hnsw_build.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tableam.h"
#include "access/xloginsert.h"
#include "catalog/index.h"
#include "commands/progress.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "hnsw_build.h"

static void write_empty_index(Relation rel, ForkNumber fork);
static void build_row(Relation rel, ItemPointer tid, Datum *values,
					  bool *isnull, bool is_alive, void *arg);
static bool insert_into_graph(HnswBuild *build, const HnswQuery *query,
							  ItemPointer tid);

/* hnsw_build -- ambuild */
IndexBuildResult *
hnsw_build(Relation heap, Relation rel, IndexInfo *info)
{
	IndexBuildResult *result = palloc(sizeof(IndexBuildResult));
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "hnsw build",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	HnswBuild  *build = palloc0(sizeof(HnswBuild));

	if (RelationGetNumberOfBlocks(rel) != 0)
		elog(ERROR, "index \"%s\" already contains data",
			 RelationGetRelationName(rel));

	write_empty_index(rel, MAIN_FORKNUM);
	hnsw_build_begin(build, heap, rel, info);

	pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE,
								 PROGRESS_HNSW_PHASE_LOAD);
	if (!hnsw_build_parallel(build, &result->heap_tuples))
	{
		hnsw_graph_create_private(&build->graph, build->index,
								  (Size) maintenance_work_mem * 1024);
		hnsw_build_shared_init(&build->own);
		build->shared = &build->own;
		result->heap_tuples = hnsw_build_scan(build, NULL, true);
	}

	if (!build->shared->written)
	{
		pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE,
									 PROGRESS_HNSW_PHASE_WRITE);
		hnsw_graph_write(&build->graph);
	}
	result->index_tuples = build->shared->rows;
	hnsw_build_parallel_end(build);
	hnsw_graph_release(&build->graph);

	if (RelationNeedsWAL(rel))
	{
		pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE,
									 PROGRESS_HNSW_PHASE_LOG);
		log_newpage_range(rel, MAIN_FORKNUM, 0,
						  RelationGetNumberOfBlocks(rel), true);
	}

	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return result;
}

/* hnsw_build_empty -- ambuildempty: the init fork of an unlogged index */
void
hnsw_build_empty(Relation rel)
{
	write_empty_index(rel, INIT_FORKNUM);
}

/*
 * Write the metapage of an empty index
 *
 * The init fork is logged at once, for it has to survive a crash; the main
 * fork when the build is complete.
 */
static void
write_empty_index(Relation rel, ForkNumber fork)
{
	VdbHnswMetaPageData meta;
	Buffer		buf;
	Page		page;

	hnsw_meta_init(&meta, rel);

	buf = ReadBufferExtended(rel, fork, P_NEW, RBM_ZERO_AND_LOCK, NULL);
	page = BufferGetPage(buf);

	START_CRIT_SECTION();
	hnsw_page_init(page, VDB_HNSW_PAGE_META);
	*VdbHnswPageGetMeta(page) = meta;
	((PageHeader) page)->pd_lower += sizeof(VdbHnswMetaPageData);
	VdbHnswPageGetOpaque(page)->checksum = hnsw_page_checksum(page);
	MarkBufferDirty(buf);
	if (fork == INIT_FORKNUM)
		log_newpage_buffer(buf, true);
	END_CRIT_SECTION();

	UnlockReleaseBuffer(buf);
	hnsw_index_forget(rel);
}

/*
 * hnsw_build_begin -- set up what leader and workers have alike
 *
 * build->graph and build->shared are left to the caller.
 */
void
hnsw_build_begin(HnswBuild *build, Relation heap, Relation rel,
				 IndexInfo *info)
{
	build->heap = heap;
	build->rel = rel;
	build->info = info;
	build->index = hnsw_index_open(rel);
	build->index->building = true;
	build->context = AllocSetContextCreate(CurrentMemoryContext,
										   "hnsw build row",
										   ALLOCSET_DEFAULT_SIZES);
}

/*
 * hnsw_build_scan -- read the table, or a share of it, and insert its rows
 *
 * Returns how many rows were read.
 */
double
hnsw_build_scan(HnswBuild *build, struct TableScanDescData *scan,
				bool progress)
{
	return table_index_build_scan(build->heap, build->rel, build->info,
								  scan == NULL, progress, build_row, build,
								  scan);
}

/* Insert one row; called by table_index_build_scan() */
static void
build_row(Relation rel, ItemPointer tid, Datum *values, bool *isnull,
		  bool is_alive, void *arg)
{
	HnswBuild  *build = arg;
	HnswBuildShared *shared = build->shared;
	MemoryContext old;
	HnswQuery	query;

	if (isnull[0])
		return;

	old = MemoryContextSwitchTo(build->context);
	if (hnsw_form_query(build->index, values[0], &query))
	{
		double		rows;

		if (!insert_into_graph(build, &query, tid))
			hnsw_insert_value(build->index, &query, tid);

		SpinLockAcquire(&shared->mutex);
		rows = ++shared->rows;
		SpinLockRelease(&shared->mutex);
		if (build->is_leader)
			pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE,
										 rows);
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(build->context);
}

/*
 * Insert a row into the graph in memory; false when it has been written
 *
 * Whoever finds the memory full writes the graph, when everybody else has
 * left it.
 */
static bool
insert_into_graph(HnswBuild *build, const HnswQuery *query, ItemPointer tid)
{
	HnswBuildShared *shared = build->shared;
	bool		inserted = false;

	/* once set it stays so; and the lock shows it to all */
	if (build->graph_written)
		return false;

	LWLockAcquire(&shared->graph_lock, LW_SHARED);
	if (!shared->written)
		inserted = hnsw_graph_insert(&build->graph, query, tid);
	LWLockRelease(&shared->graph_lock);
	if (inserted)
		return true;

	VDB_DEBUG_POINT("hnsw_build_full");
	LWLockAcquire(&shared->graph_lock, LW_EXCLUSIVE);
	if (!shared->written)
	{
		ereport(NOTICE,
				(errmsg("hnsw graph no longer fits into maintenance_work_mem after " INT64_FORMAT " tuples",
						(int64) shared->rows),
				 errdetail("Building will take significantly more time."),
				 errhint("Increase maintenance_work_mem to speed up builds.")));
		hnsw_graph_write(&build->graph);
		shared->written = true;
	}
	LWLockRelease(&shared->graph_lock);
	build->graph_written = true;
	return false;
}
