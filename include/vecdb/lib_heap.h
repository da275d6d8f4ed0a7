/*-------------------------------------------------------------------------
 *
 * lib_heap.h
 *	  Binary heap of (distance, item) pairs, for the hot path of searches.
 *
 * binaryheap of PostgreSQL calls a comparison function through a pointer
 * for every step and holds Datums; a search does some hundred pushes in a
 * few ten microseconds, so this one is inlined and compares floats.
 *
 * The nearest pair is on top of a VdbHeap used through vdb_heap_push() and
 * vdb_heap_pop().  To have the farthest on top, push negated distances.
 *
 * IDENTIFICATION
 *	  include/vecdb/lib_heap.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef VECDB_LIB_HEAP_H
#define VECDB_LIB_HEAP_H

#include "postgres.h"

#include "utils/memutils.h"

typedef struct VdbHeapEntry
{
	float		distance;
	uint32		item;			/* whatever the caller numbers */
} VdbHeapEntry;

typedef struct VdbHeap
{
	VdbHeapEntry *entries;		/* entries[0] has the smallest distance */
	uint32		count;
	uint32		space;
} VdbHeap;

/* Makes an empty heap in the current memory context; it grows by itself. */
static inline void
vdb_heap_init(VdbHeap *heap, uint32 space)
{
	heap->entries = MemoryContextAllocHuge(CurrentMemoryContext,
										   sizeof(VdbHeapEntry) * (Size) space);
	heap->count = 0;
	heap->space = space;
}

/* Frees what vdb_heap_init() allocated. */
static inline void
vdb_heap_free(VdbHeap *heap)
{
	pfree(heap->entries);
	heap->entries = NULL;
}

/* Adds a pair. */
static inline void
vdb_heap_push(VdbHeap *heap, float distance, uint32 item)
{
	uint32		at;

	if (unlikely(heap->count == heap->space))
	{
		heap->space *= 2;
		heap->entries = repalloc_huge(heap->entries,
									  sizeof(VdbHeapEntry) * (Size) heap->space);
	}

	at = heap->count++;
	while (at > 0)
	{
		uint32		parent = (at - 1) / 2;

		if (heap->entries[parent].distance <= distance)
			break;
		heap->entries[at] = heap->entries[parent];
		at = parent;
	}
	heap->entries[at].distance = distance;
	heap->entries[at].item = item;
}

/* Adds a pair without any order; vdb_heap_build() makes it. */
static inline void
vdb_heap_append(VdbHeap *heap, float distance, uint32 item)
{
	if (unlikely(heap->count == heap->space))
	{
		heap->space *= 2;
		heap->entries = repalloc_huge(heap->entries,
									  sizeof(VdbHeapEntry) * (Size) heap->space);
	}
	heap->entries[heap->count].distance = distance;
	heap->entries[heap->count++].item = item;
}

/* Puts a pair in the place "at", or below it where it is too far. */
static inline void
vdb_heap_sift(VdbHeap *heap, uint32 at, float distance, uint32 item)
{
	for (;;)
	{
		uint32		child = 2 * at + 1;

		if (child >= heap->count)
			break;
		if (child + 1 < heap->count &&
			heap->entries[child + 1].distance < heap->entries[child].distance)
			child++;
		if (distance <= heap->entries[child].distance)
			break;
		heap->entries[at] = heap->entries[child];
		at = child;
	}
	heap->entries[at].distance = distance;
	heap->entries[at].item = item;
}

/* Puts a pair in the place of the top one. */
static inline void
vdb_heap_replace(VdbHeap *heap, float distance, uint32 item)
{
	Assert(heap->count > 0);
	vdb_heap_sift(heap, 0, distance, item);
}

/* Makes a heap of entries that were put in without any order. */
static inline void
vdb_heap_build(VdbHeap *heap)
{
	uint32		count = heap->count;

	for (uint32 at = count / 2; at-- > 0;)
		vdb_heap_sift(heap, at, heap->entries[at].distance,
					  heap->entries[at].item);
}

/* Takes the nearest pair away; the heap must not be empty. */
static inline VdbHeapEntry
vdb_heap_pop(VdbHeap *heap)
{
	VdbHeapEntry top;
	VdbHeapEntry last;

	Assert(heap->count > 0);

	top = heap->entries[0];
	last = heap->entries[--heap->count];
	if (heap->count > 0)
		vdb_heap_replace(heap, last.distance, last.item);
	return top;
}

#endif							/* VECDB_LIB_HEAP_H */
