/*-------------------------------------------------------------------------
 *
 * lib_visited.h
 *	  Set of 64-bit keys that only grows: which vertices a search has met.
 *
 * Open addressing with linear probing, at most half full; emptied by a
 * memset.  Key 0 is reserved for "no key here".
 *
 * IDENTIFICATION
 *	  include/vecdb/lib_visited.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef VECDB_LIB_VISITED_H
#define VECDB_LIB_VISITED_H

#include "postgres.h"

#include "utils/memutils.h"

typedef struct VdbVisited
{
	uint64	   *keys;
	uint32		mask;			/* slots - 1, slots being a power of two */
	uint32		count;
	uint32		space;			/* slots that there is memory for */
} VdbVisited;

/* Makes an empty set in the current memory context, "slots" a power of two. */
static inline void
vdb_visited_init(VdbVisited *set, uint32 slots)
{
	set->keys = MemoryContextAllocExtended(CurrentMemoryContext,
										   sizeof(uint64) * (Size) slots,
										   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	set->mask = slots - 1;
	set->count = 0;
	set->space = slots;
}

/* Forgets all keys and goes on with at most "slots", keeps the memory. */
static inline void
vdb_visited_restart(VdbVisited *set, uint32 slots)
{
	slots = Min(slots, set->space);
	memset(set->keys, 0, sizeof(uint64) * (Size) slots);
	set->mask = slots - 1;
	set->count = 0;
}

/* Forgets all keys, keeps the memory. */
static inline void
vdb_visited_clear(VdbVisited *set)
{
	memset(set->keys, 0, sizeof(uint64) * ((Size) set->mask + 1));
	set->count = 0;
}

/* Bytes that the set takes */
static inline Size
vdb_visited_size(const VdbVisited *set)
{
	return sizeof(uint64) * (Size) set->space;
}

static inline uint32
vdb_visited_slot(const VdbVisited *set, uint64 key)
{
	/* Fibonacci hashing: the high bits of the product are well mixed */
	return (uint32) ((key * UINT64CONST(0x9E3779B97F4A7C15)) >> 32) & set->mask;
}

/* Is the key there? */
static inline bool
vdb_visited_contains(const VdbVisited *set, uint64 key)
{
	uint32		slot = vdb_visited_slot(set, key);

	while (set->keys[slot] != 0)
	{
		if (set->keys[slot] == key)
			return true;
		slot = (slot + 1) & set->mask;
	}
	return false;
}

/* Doubles the table. */
static inline void
vdb_visited_grow(VdbVisited *set)
{
	VdbVisited	larger;
	MemoryContext context = GetMemoryChunkContext(set->keys);
	MemoryContext old = MemoryContextSwitchTo(context);

	vdb_visited_init(&larger, (set->mask + 1) * 2);
	MemoryContextSwitchTo(old);

	for (uint32 i = 0; i <= set->mask; i++)
	{
		uint32		slot;

		if (set->keys[i] == 0)
			continue;
		slot = vdb_visited_slot(&larger, set->keys[i]);
		while (larger.keys[slot] != 0)
			slot = (slot + 1) & larger.mask;
		larger.keys[slot] = set->keys[i];
	}
	larger.count = set->count;
	pfree(set->keys);
	*set = larger;
}

/* Adds the key; returns false when it was there already. */
static inline bool
vdb_visited_add(VdbVisited *set, uint64 key)
{
	uint32		slot;

	Assert(key != 0);

	if (unlikely(set->count * 2 > set->mask))
		vdb_visited_grow(set);

	slot = vdb_visited_slot(set, key);
	while (set->keys[slot] != 0)
	{
		if (set->keys[slot] == key)
			return false;
		slot = (slot + 1) & set->mask;
	}
	set->keys[slot] = key;
	set->count++;
	return true;
}

/* Makes room for so many more keys. */
static inline void
vdb_visited_reserve(VdbVisited *set, uint32 more)
{
	while (unlikely((set->count + more) * 2 > set->mask))
		vdb_visited_grow(set);
}

/*
 * Adds the key, whose slot and room the caller has seen to; returns 1 when it
 * was not there, otherwise 0.
 *
 * Without a branch on that, for callers to whom it is as good as random: a
 * key that is there is written once more.
 */
static inline int
vdb_visited_add_at(VdbVisited *set, uint64 key, uint32 slot)
{
	uint64		there = set->keys[slot];
	int			is_new;

	/* neither this key nor none, in a form that stays one condition */
	while (unlikely(((there ^ key) & -(uint64) (there != 0)) != 0))
	{
		slot = (slot + 1) & set->mask;
		there = set->keys[slot];
	}
	is_new = (there == 0);
	set->keys[slot] = key;
	set->count += is_new;
	return is_new;
}

#endif							/* VECDB_LIB_VISITED_H */
