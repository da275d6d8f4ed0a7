/*-------------------------------------------------------------------------
 *
 * hnsw_verify.h
 *	  What the files of vecdb.verify_index() share.
 *
 * The numbers of invariants are those of src/hnsw/README.
 *
 * IDENTIFICATION
 *	  src/hnsw/hnsw_verify.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HNSW_VERIFY_H
#define HNSW_VERIFY_H

#include "funcapi.h"
#include "utils/tuplesort.h"

#include "hnsw_private.h"

/*
 * What the first pass noted of a record: generation in the low 16 bits, layer
 * in the next four, then these.  Zero for a free place.
 */
#define HNSW_NOTE_VERTEX	(1 << 20)
#define HNSW_NOTE_DELETED	(1 << 21)
#define HNSW_NOTE_BROKEN	(1 << 22)	/* reported, not to be looked at */
#define HNSW_NOTE_REACHED	(1 << 23)	/* from the entry point */

/* One run of vecdb.verify_index() */
typedef struct HnswVerify
{
	Relation	rel;
	Relation	heap;
	HnswIndex	index;
	ReturnSetInfo *result;
	Snapshot	snapshot;		/* to compare with the heap, or NULL */
	BufferAccessStrategy strategy;
	MemoryContext page_context; /* reset for each page */
	bool		check_codes;

	/* Notes of the first pass */
	BlockNumber blocks;			/* length of the index then */
	uint16	   *kinds;			/* of each page, 0 for one that is not ours */
	uint64	   *first;			/* number of each page's first record */
	uint32	   *notes;			/* HNSW_NOTE_..., by number of record */
	uint64		note_count;
	uint64		note_space;
	BlockNumber *new_pages;		/* pages of zeros */
	int			new_page_count;
	int			new_page_space;
	VdbVisited	containers;		/* keys of TID containers in use */
	VdbHnswRef	highest;		/* live record of the highest layer */
	int			highest_layer;	/* -1 when there is none */

	/* Notes of the second pass */
	VdbHnswRef *owners;			/* of each body page */
	VdbVisited	owned;			/* keys of containers that a vertex has */
	Tuplesortstate *tids;		/* (heap TID, reference) of all rows */
	TupleTableSlot *tid_in;
	TupleTableSlot *tid_out;
} HnswVerify;

/* A record, copied together with its body; pointers lead into the copies */
typedef struct HnswCopy
{
	HnswRecord	record;
	PGAlignedBlock *data;
	ItemPointerData *tids;		/* heap rows, only when asked for */
	uint32		tid_count;
	uint32		tid_space;
} HnswCopy;

/* Key of a reference with its generation; never 0 for a valid one */
static inline uint64
hnsw_ref_key(VdbHnswRef ref)
{
	return (uint64) ref.blkno << 32 | (uint64) ref.offno << 16 |
		ref.generation;
}

static inline VdbHnswRef
hnsw_key_ref(uint64 key)
{
	VdbHnswRef	ref;

	ref.blkno = (BlockNumber) (key >> 32);
	ref.offno = (OffsetNumber) (key >> 16);
	ref.generation = (uint16) key;
	return ref;
}

/* functions in hnsw_verify.c */
extern void hnsw_verify_report(HnswVerify *verify, int invariant,
							   BlockNumber blkno, OffsetNumber offno,
							   const char *format,...) pg_attribute_printf(5, 6);
extern void hnsw_verify_warn(HnswVerify *verify, int invariant,
							 BlockNumber blkno, OffsetNumber offno,
							 const char *format,...) pg_attribute_printf(5, 6);
extern void hnsw_verify_settle(HnswVerify *verify);

/* functions in hnsw_verify_page.c */
extern void hnsw_verify_pages(HnswVerify *verify);
extern void hnsw_verify_new_pages(HnswVerify *verify);
extern bool hnsw_verify_page_is_ours(Page page, uint16 kind);

/* functions in hnsw_verify_graph.c */
extern uint32 *hnsw_verify_note(HnswVerify *verify, VdbHnswRef ref);
extern void hnsw_copy_init(HnswCopy *copy);
extern bool hnsw_copy_record(HnswVerify *verify, VdbHnswRef ref, int layer,
							 bool tids, HnswCopy *copy);
extern void hnsw_verify_records(HnswVerify *verify);
extern void hnsw_verify_reachable(HnswVerify *verify);
extern void hnsw_verify_owners(HnswVerify *verify);

/* functions in hnsw_verify_heap.c */
extern void hnsw_verify_tids_begin(HnswVerify *verify);
extern void hnsw_verify_tids_add(HnswVerify *verify, VdbHnswRef ref,
								 const HnswCopy *copy);
extern void hnsw_verify_tids(HnswVerify *verify);

/* functions in hnsw_verify_value.c */
extern void hnsw_verify_value(HnswVerify *verify, const HnswCopy *copy);
extern void hnsw_verify_edge(HnswVerify *verify, const HnswCopy *from, int at,
							 const HnswCopy *to);
extern bool hnsw_verify_same_row(HnswVerify *verify, const HnswQuery *row,
								 const HnswCopy *vertex);

#endif							/* HNSW_VERIFY_H */
