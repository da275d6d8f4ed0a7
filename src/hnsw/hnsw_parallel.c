/*-------------------------------------------------------------------------
 *
 * hnsw_parallel.c
 *	  CREATE INDEX by several processes.
 *
 * Leader and workers share a parallel table scan and the graph, whose memory
 * is a temporary file that all of them map (hnsw_region.c).  The leader takes
 * part like any worker.  See nbtsort.c of PostgreSQL for the way in which a
 * parallel build is set up.
 *
 * IDENTIFICATION
 *	  src/hnsw/hnsw_parallel.c
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
#include "catalog/index.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "pgstat.h"
#include "storage/fd.h"
#include "storage/sharedfileset.h"
#include "tcop/tcopprot.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "hnsw_build.h"

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

/* hnsw_build_shared_init -- before any process builds */
void
hnsw_build_shared_init(HnswBuildShared *shared)
{
	memset(shared, 0, sizeof(HnswBuildShared));
	LWLockInitialize(&shared->graph_lock, hnsw_lwlock_tranche());
	SpinLockInit(&shared->mutex);
}

/*
 * hnsw_build_parallel -- build with workers, if that is wanted and possible
 *
 * Returns false, having done nothing, when it is not.  Otherwise all rows of
 * the table have been inserted, and *heap_tuples says how many rows there
 * are.  hnsw_build_parallel_end() has to follow.
 */
bool
hnsw_build_parallel(HnswBuild *build, double *heap_tuples)
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
			(errmsg_internal("building hnsw index \"%s\" with %d workers",
							 RelationGetRelationName(build->rel),
							 context->nworkers_launched)));

	/* An error in a worker is raised here */
	WaitForParallelWorkersToAttach(context);
	take_part(build, parallel->shared, true);
	WaitForParallelWorkersToFinish(context);

	*heap_tuples = parallel->shared->heap_tuples;
	return true;
}

/* hnsw_build_parallel_end -- let go of workers and shared memory */
void
hnsw_build_parallel_end(HnswBuild *build)
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
	hnsw_build_shared_init(&shared->build);
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
	double		tuples = hnsw_build_scan(build, scan, progress);

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
	hnsw_build_begin(build, heap, rel, info);
	build->shared = &shared->build;

	SharedFileSetAttach(&shared->files, seg);
	hnsw_graph_attach(&build->graph, build->index, shared->graph_size,
					  open_graph_file(shared, false));
	take_part(build, shared, false);
	hnsw_graph_release(&build->graph);

	index_close(rel, index_mode);
	table_close(heap, heap_mode);
}
