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
 * inserts its rows.  They share a parallel table scan and the graph, whose
 * memory is a temporary file that all of them map (hnsw_graph.c).  The leader
 * takes part like any worker.  See nbtsort.c of PostgreSQL for the way in
 * which a parallel build is set up.
 *
 * IDENTIFICATION
 *	  src/hnsw/hnsw_build.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <unistd.h>

#include "access/parallel.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "access/xloginsert.h"
#include "catalog/index.h"
#include "commands/progress.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "pgstat.h"
#include "storage/fd.h"
#include "storage/sharedfileset.h"
#include "storage/spin.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "hnsw_graph.h"

/* What the processes of a build tell each other */
typedef struct HnswBuildShared
{
	LWLock		graph_lock;		/* shared: inserting into the graph in memory;
								 * exclusive: writing it to the index */
	bool		written;		/* protected by graph_lock */
	slock_t		mutex;			/* of what follows */
	double		rows;			/* indexed so far */
} HnswBuildShared;

struct HnswParallel;

/* A process's part in a build */
typedef struct HnswBuild
{
	Relation	heap;
	Relation	rel;
	IndexInfo  *info;
	HnswIndex  *index;
	HnswGraph	graph;
	HnswBuildShared *shared;
	HnswBuildShared own;		/* where "shared" points in a serial build */
	bool		graph_written;	/* shared->written has been seen */
	bool		is_leader;		/* reports progress */
	MemoryContext context;		/* for one row */
	struct HnswParallel *parallel;	/* leader only, NULL in a serial build */
} HnswBuild;

/* Keys of the parallel context's table of contents */
#define KEY_SHARED		UINT64CONST(0xB000000000000001)
#define KEY_QUERY_TEXT	UINT64CONST(0xB000000000000002)

#define GRAPH_FILE	"graph"

/* In dynamic shared memory; the parallel table scan follows */
typedef struct ParallelShared
{
	HnswBuildShared build;
	Oid			heap_oid;
	Oid			index_oid;
	bool		concurrent;
	SharedFileSet files;		/* holds the graph's memory */
	Size		graph_size;
	double		heap_tuples;	/* protected by build.mutex */
} ParallelShared;

/* What the leader has to clean up */
typedef struct HnswParallel
{
	ParallelContext *context;
	ParallelShared *shared;
	Snapshot	snapshot;
} HnswParallel;

PGDLLEXPORT void vecdb_hnsw_build_worker(dsm_segment *seg, shm_toc *toc);

static void write_empty_index(Relation rel, ForkNumber fork);
static void begin_build(HnswBuild *build, Relation heap, Relation rel,
						IndexInfo *info);
static double scan_table(HnswBuild *build, TableScanDesc scan,
						 bool progress);
static void report_full(HnswBuild *build);
static void init_shared(HnswBuildShared *shared);
static bool build_in_parallel(HnswBuild *build, double *heap_tuples);
static void end_parallel(HnswBuild *build);
static void build_row(Relation rel, ItemPointer tid, Datum *values,
					  bool *isnull, bool is_alive, void *arg);
static bool insert_into_graph(HnswBuild *build, const HnswQuery *query,
							  ItemPointer tid);
static int	plan_workers(Relation heap, Relation rel);
static ParallelContext *set_up(HnswBuild *build, int workers,
							   Snapshot *snapshot);
static int	open_graph_file(ParallelShared *shared, bool create);
static double take_part(HnswBuild *build, ParallelShared *shared,
						bool progress);

static inline ParallelTableScanDesc
shared_scan(ParallelShared *shared)
{
	return (ParallelTableScanDesc) ((char *) shared +
									BUFFERALIGN(sizeof(ParallelShared)));
}

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
	begin_build(build, heap, rel, info);

	pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE,
								 PROGRESS_HNSW_PHASE_LOAD);
	if (!build_in_parallel(build, &result->heap_tuples))
	{
		hnsw_graph_create_private(&build->graph, build->index,
								  (Size) maintenance_work_mem * 1024);
		init_shared(&build->own);
		build->shared = &build->own;
		result->heap_tuples = scan_table(build, NULL, true);
	}

	if (!build->shared->written)
	{
		pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE,
									 PROGRESS_HNSW_PHASE_WRITE);
		hnsw_graph_write(&build->graph);
	}
	result->index_tuples = build->shared->rows;
	end_parallel(build);
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
 * begin_build -- set up what leader and workers have alike
 *
 * build->graph and build->shared are left to the caller.
 */
static void
begin_build(HnswBuild *build, Relation heap, Relation rel,
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
 * scan_table -- read the table, or a share of it, and insert its rows
 *
 * Returns how many rows were read.
 */
static double
scan_table(HnswBuild *build, TableScanDesc scan,
		   bool progress)
{
	return table_index_build_scan(build->heap, build->rel, build->info,
								  true, progress, build_row, build,
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
		report_full(build);
		hnsw_graph_write(&build->graph);
		shared->written = true;
	}
	LWLockRelease(&shared->graph_lock);
	build->graph_written = true;
	return false;
}

/* Tell the user why the graph is written before the table has been read */
static void
report_full(HnswBuild *build)
{
	int64		rows = (int64) build->shared->rows;

	if (build->graph.head->full_errno == 0)
		ereport(NOTICE,
				(errmsg("hnsw graph no longer fits into maintenance_work_mem after " INT64_FORMAT " tuples",
						rows),
				 errdetail("Building will take significantly more time."),
				 errhint("Increase maintenance_work_mem to speed up builds.")));
	else
	{
		errno = build->graph.head->full_errno;
		ereport(NOTICE,
				(errmsg("could not extend the temporary file of the hnsw graph after " INT64_FORMAT " tuples: %m",
						rows),
				 errdetail("Building goes on without it and will take significantly more time."),
				 errhint("Free disk space, or set temp_tablespaces.")));
	}
}

/* init_shared -- before any process builds */
static void
init_shared(HnswBuildShared *shared)
{
	memset(shared, 0, sizeof(HnswBuildShared));
	LWLockInitialize(&shared->graph_lock, hnsw_lwlock_tranche());
	SpinLockInit(&shared->mutex);
}

/*
 * build_in_parallel -- build with workers, if that is wanted and possible
 *
 * Returns false, having done nothing, when it is not.  Otherwise all rows of
 * the table have been inserted, and *heap_tuples says how many rows there
 * are.  end_parallel() has to follow.
 */
static bool
build_in_parallel(HnswBuild *build, double *heap_tuples)
{
	int			workers = plan_workers(build->heap, build->rel);
	HnswParallel *parallel;
	ParallelContext *context;
	Snapshot	snapshot;

	build->is_leader = true;
	if (workers == 0)
		return false;

	context = set_up(build, workers, &snapshot);
	if (context == NULL)
		return false;

	parallel = palloc0(sizeof(HnswParallel));
	parallel->context = context;
	parallel->snapshot = snapshot;
	parallel->shared = shm_toc_lookup(context->toc, KEY_SHARED, false);
	build->parallel = parallel;
	build->shared = &parallel->shared->build;

	hnsw_graph_create_shared(&build->graph, build->index,
							 parallel->shared->graph_size,
							 open_graph_file(parallel->shared, true));
	LaunchParallelWorkers(context);
	ereport(DEBUG1,
			(errmsg_internal("building hnsw index \"%s\" using %d parallel workers",
							 RelationGetRelationName(build->rel),
							 context->nworkers_launched)));

	/* An error in a worker is raised here */
	WaitForParallelWorkersToAttach(context);
	take_part(build, parallel->shared, true);
	WaitForParallelWorkersToFinish(context);

	*heap_tuples = parallel->shared->heap_tuples;
	return true;
}

/* end_parallel -- let go of workers and shared memory */
static void
end_parallel(HnswBuild *build)
{
	HnswParallel *parallel = build->parallel;

	if (parallel == NULL)
		return;
	build->shared = NULL;
	if (IsMVCCSnapshot(parallel->snapshot))
		UnregisterSnapshot(parallel->snapshot);
	DestroyParallelContext(parallel->context);
	ExitParallelMode();
	build->parallel = NULL;
}

/*
 * How many workers to ask for
 *
 * plan_create_index_workers() knows whether any are possible and whether the
 * table is worth it.  Beyond that its estimate is for sorting; here every
 * worker helps, so we take all that are allowed.
 */
static int
plan_workers(Relation heap, Relation rel)
{
	int			workers;

	if (plan_create_index_workers(RelationGetRelid(heap),
								  RelationGetRelid(rel)) == 0)
		return 0;
	workers = RelationGetParallelWorkers(heap, -1);
	if (workers < 0)
		return max_parallel_maintenance_workers;
	return Min(workers, max_parallel_maintenance_workers);
}

/* Shared memory for a build by workers; NULL when there is none to be had */
static ParallelContext *
set_up(HnswBuild *build, int workers, Snapshot *snapshot)
{
	ParallelContext *context;
	ParallelShared *shared;
	Size		size;
	Size		text_size = debug_query_string ?
	strlen(debug_query_string) + 1 : 0;

	EnterParallelMode();
	context = CreateParallelContext("vecdb", "vecdb_hnsw_build_worker",
									workers);
	*snapshot = build->info->ii_Concurrent ?
		RegisterSnapshot(GetTransactionSnapshot()) : SnapshotAny;

	size = add_size(BUFFERALIGN(sizeof(ParallelShared)),
					table_parallelscan_estimate(build->heap, *snapshot));
	shm_toc_estimate_chunk(&context->estimator, size);
	shm_toc_estimate_chunk(&context->estimator, text_size);
	shm_toc_estimate_keys(&context->estimator, 2);
	InitializeParallelDSM(context);

	/* No dynamic shared memory, so no workers */
	if (context->seg == NULL)
	{
		if (IsMVCCSnapshot(*snapshot))
			UnregisterSnapshot(*snapshot);
		DestroyParallelContext(context);
		ExitParallelMode();
		return NULL;
	}

	shared = shm_toc_allocate(context->toc, size);
	memset(shared, 0, sizeof(ParallelShared));
	init_shared(&shared->build);
	shared->heap_oid = RelationGetRelid(build->heap);
	shared->index_oid = RelationGetRelid(build->rel);
	shared->concurrent = build->info->ii_Concurrent;
	shared->graph_size = (Size) maintenance_work_mem * 1024;
	SharedFileSetInit(&shared->files, context->seg);
	table_parallelscan_initialize(build->heap, shared_scan(shared),
								  *snapshot);
	shm_toc_insert(context->toc, KEY_SHARED, shared);

	if (text_size > 0)
	{
		char	   *text = shm_toc_allocate(context->toc, text_size);

		memcpy(text, debug_query_string, text_size);
		shm_toc_insert(context->toc, KEY_QUERY_TEXT, text);
	}
	return context;
}

/*
 * Open the file that the graph's memory is mapped from
 *
 * The descriptor is our own copy, because fd.c may close its files when it
 * needs descriptors.
 */
static int
open_graph_file(ParallelShared *shared, bool create)
{
	File		file;
	int			fd;

	file = create ? FileSetCreate(&shared->files.fs, GRAPH_FILE) :
		FileSetOpen(&shared->files.fs, GRAPH_FILE, O_RDWR);
	fd = dup(FileGetRawDesc(file));
	if (fd < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not duplicate the descriptor of a temporary file: %m")));
	FileClose(file);
	return fd;
}

/* Insert a share of the table's rows */
static double
take_part(HnswBuild *build, ParallelShared *shared, bool progress)
{
	TableScanDesc scan = table_beginscan_parallel(build->heap,
												  shared_scan(shared));
	double		tuples = scan_table(build, scan, progress);

	SpinLockAcquire(&shared->build.mutex);
	shared->heap_tuples += tuples;
	SpinLockRelease(&shared->build.mutex);
	return tuples;
}

/*
 * vecdb_hnsw_build_worker -- entry point of a parallel worker
 */
void
vecdb_hnsw_build_worker(dsm_segment *seg, shm_toc *toc)
{
	ParallelShared *shared = shm_toc_lookup(toc, KEY_SHARED, false);
	HnswBuild  *build = palloc0(sizeof(HnswBuild));
	LOCKMODE	heap_mode;
	LOCKMODE	index_mode;
	Relation	heap;
	Relation	rel;
	IndexInfo  *info;

	debug_query_string = shm_toc_lookup(toc, KEY_QUERY_TEXT, true);
	pgstat_report_activity(STATE_RUNNING, debug_query_string);

	/* The locks that the leader has; see _bt_parallel_build_main() */
	heap_mode = shared->concurrent ? ShareUpdateExclusiveLock : ShareLock;
	index_mode = shared->concurrent ? RowExclusiveLock : AccessExclusiveLock;
	heap = table_open(shared->heap_oid, heap_mode);
	rel = index_open(shared->index_oid, index_mode);

	info = BuildIndexInfo(rel);
	info->ii_Concurrent = shared->concurrent;
	begin_build(build, heap, rel, info);
	build->shared = &shared->build;

	SharedFileSetAttach(&shared->files, seg);
	hnsw_graph_attach(&build->graph, build->index, shared->graph_size,
					  open_graph_file(shared, false));
	take_part(build, shared, false);
	hnsw_graph_release(&build->graph);

	index_close(rel, index_mode);
	table_close(heap, heap_mode);
}
