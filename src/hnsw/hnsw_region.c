/*-------------------------------------------------------------------------
 *
 * hnsw_region.c
 *	  The memory of the graph that a build makes.
 *
 * A serial build takes anonymous memory.  A parallel one maps a temporary
 * file, which lives in temp_tablespaces and is removed by PostgreSQL whatever
 * happens, and not dynamic shared memory: that is often limited by a small
 * /dev/shm, and all of it would have to be reserved beforehand.  The file
 * grows with the graph, its blocks are reserved before they are touched, and
 * a full disk makes the graph "full", which is no error.
 *
 * IDENTIFICATION
 *	  src/hnsw/hnsw_region.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "storage/shmem.h"

#include "hnsw_graph.h"

/* A shared region grows by this much at a time */
#define GROWTH	((Size) 16 * 1024 * 1024)

static void ask_for_huge_pages(void *region, Size size);
static void init_view(HnswGraph *graph, HnswIndex *index, Size size);
static void release_at_reset(void *graph);
static void init_head(HnswGraph *graph);
static bool grow(HnswGraph *graph, Size needed);

/*
 * hnsw_lwlock_tranche -- tranche of the locks of the graph
 *
 * One for the whole server, allotted when it is first asked for.  A backend
 * registers its name when it first uses it.
 */
int
hnsw_lwlock_tranche(void)
{
	static int	registered = 0;
	bool		found;
	int		   *tranche;

	if (registered != 0)
		return registered;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	tranche = ShmemInitStruct("vecdb hnsw tranche", sizeof(int), &found);
	if (!found)
		*tranche = LWLockNewTrancheId();
	LWLockRelease(AddinShmemInitLock);

	registered = *tranche;
	LWLockRegisterTranche(registered, "HnswBuild");
	return registered;
}

/*
 * hnsw_graph_create_private -- an empty graph for this process alone
 *
 * The memory is only reserved; the kernel gives it as it is touched.  Where
 * it does not allow as much, less will do.
 */
void
hnsw_graph_create_private(HnswGraph *graph, HnswIndex *index, Size size)
{
	void	   *region;

	for (;;)
	{
		region = mmap(NULL, size, PROT_READ | PROT_WRITE,
					  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (region != MAP_FAILED)
			break;
		if (size <= 1024 * 1024)
			ereport(ERROR,
					(errcode(ERRCODE_OUT_OF_MEMORY),
					 errmsg("out of memory"),
					 errdetail("Could not map %zu bytes for the graph of index \"%s\": %m",
							   size, RelationGetRelationName(index->rel))));
		size /= 2;
	}

	ask_for_huge_pages(region, size);
	init_view(graph, index, size);
	graph->head = region;
	graph->fd = -1;
	init_head(graph);
	graph->head->backed = size;
}

/*
 * hnsw_graph_create_shared -- an empty graph in a file
 *
 * "fd" is open for reading and writing and stays so until the graph is
 * released, which closes it.
 */
void
hnsw_graph_create_shared(HnswGraph *graph, HnswIndex *index, Size size,
						 int fd)
{
	int			error;

	do
	{
		error = posix_fallocate(fd, 0, GROWTH);
	} while (error == EINTR);
	if (error != 0)
	{
		close(fd);
		errno = error;
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not reserve %zu bytes of temporary file space: %m",
						GROWTH),
				 errhint("Free disk space, set temp_tablespaces, or build with max_parallel_maintenance_workers = 0.")));
	}
	hnsw_graph_attach(graph, index, size, fd);
	init_head(graph);
	graph->head->backed = GROWTH;
}

/* hnsw_graph_attach -- view of a graph that another process created */
void
hnsw_graph_attach(HnswGraph *graph, HnswIndex *index, Size size, int fd)
{
	void	   *region = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
							  fd, 0);

	if (region == MAP_FAILED)
	{
		int			error = errno;

		close(fd);
		errno = error;
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("Could not map %zu bytes for the graph of index \"%s\": %m",
						   size, RelationGetRelationName(index->rel))));
	}

	ask_for_huge_pages(region, size);
	init_view(graph, index, size);
	graph->head = region;
	graph->fd = fd;
	graph->shared = true;
}

/*
 * Ask the kernel for large pages
 *
 * Vertices are read in no order, so small pages would have the processor look
 * up nearly each one's place.  Those of a file are large where the file system
 * can have them so (ext4 from Linux 6.16 on, XFS before); where the kernel has
 * none to give, it goes without.
 */
static void
ask_for_huge_pages(void *region, Size size)
{
#ifdef MADV_HUGEPAGE
	(void) madvise(region, size, MADV_HUGEPAGE);
#endif
}

/*
 * What a process has for itself
 *
 * The graph struct itself has to be in the current memory context or one
 * that lives longer.
 */
static void
init_view(HnswGraph *graph, HnswIndex *index, Size size)
{
	int			capacity = Max(index->meta.capacity,
							   index->meta.upper_capacity);

	memset(graph, 0, sizeof(HnswGraph));
	graph->index = index;
	graph->size = size;
	graph->mark_space = 1024;
	graph->marks = palloc0(sizeof(uint32) * graph->mark_space);
	vdb_heap_init(&graph->frontier, 1024);
	vdb_heap_init(&graph->nearest, 1024);
	vdb_heap_init(&graph->met, 1024);
	graph->rough_space = 1024;
	graph->rough = palloc(sizeof(bool) * graph->rough_space);
	graph->sorted_space = 1024;
	graph->sorted = palloc(sizeof(VdbHeapEntry) * graph->sorted_space);
	graph->edges = palloc(sizeof(HnswEdge) * capacity);
	graph->context = AllocSetContextCreate(CurrentMemoryContext,
										   "hnsw graph insert",
										   ALLOCSET_DEFAULT_SIZES);
	graph->at_reset.func = release_at_reset;
	graph->at_reset.arg = graph;
	MemoryContextRegisterResetCallback(CurrentMemoryContext,
									   &graph->at_reset);
}

/* However the build ends, the memory context goes */
static void
release_at_reset(void *graph)
{
	hnsw_graph_release(graph);
}

/* An empty graph */
static void
init_head(HnswGraph *graph)
{
	HnswGraphHead *head = graph->head;

	memset(head, 0, sizeof(HnswGraphHead));
	LWLockInitialize(&head->entry_lock, hnsw_lwlock_tranche());
	LWLockInitialize(&head->space_lock, hnsw_lwlock_tranche());
	head->used = MAXALIGN(sizeof(HnswGraphHead));
}

/*
 * hnsw_graph_allocate -- room in the region, or 0 when it is full
 *
 * The caller holds space_lock where the graph is shared.
 */
HnswPlace
hnsw_graph_allocate(HnswGraph *graph, Size size)
{
	HnswGraphHead *head = graph->head;
	Size		at = head->used;

	size = MAXALIGN(size);
	if (size > graph->size - at ||
		(at + size) / 8 > PG_UINT32_MAX ||
		(at + size > head->backed && !grow(graph, at + size)))
	{
		head->full = true;
		return 0;
	}
	head->used += size;
	return (HnswPlace) (at / 8);
}

/* Have memory for the first "needed" bytes; false when there is none */
static bool
grow(HnswGraph *graph, Size needed)
{
	HnswGraphHead *head = graph->head;
	Size		backed = head->backed;
	int			error;

	Assert(graph->fd >= 0);

	while (backed < needed)
		backed += GROWTH;
	backed = Min(backed, graph->size);
	do
	{
		error = posix_fallocate(graph->fd, head->backed,
								backed - head->backed);
	} while (error == EINTR);
	if (error != 0)
	{
		head->full_errno = error;
		return false;
	}
	head->backed = backed;
	return true;
}

/* hnsw_graph_release -- give the memory back */
void
hnsw_graph_release(HnswGraph *graph)
{
	if (graph->head == NULL)
		return;
	munmap(graph->head, graph->size);
	graph->head = NULL;
	if (graph->fd >= 0)
		close(graph->fd);
	graph->fd = -1;
}
