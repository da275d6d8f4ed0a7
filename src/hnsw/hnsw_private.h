/*-------------------------------------------------------------------------
 *
 * hnsw_private.h
 *	  What the files of the hnsw room share.
 *
 * Prototypes are grouped by the file that holds the functions.
 *
 * IDENTIFICATION
 *	  src/hnsw/hnsw_private.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HNSW_PRIVATE_H
#define HNSW_PRIVATE_H

#include "postgres.h"

#include "access/amapi.h"
#include "access/generic_xlog.h"
#include "access/genam.h"
#include "access/heapam.h"
#include "nodes/execnodes.h"
#include "nodes/pathnodes.h"
#include "storage/bufmgr.h"
#include "utils/relcache.h"

#include "vecdb/distance.h"
#include "vecdb/hnsw_page.h"
#include "vecdb/lib_compat.h"
#include "vecdb/lib_debug.h"
#include "vecdb/lib_heap.h"
#include "vecdb/lib_visited.h"
#include "vecdb/types.h"

/* Support functions of the operator classes */
#define HNSW_DISTANCE_PROC	1
#define HNSW_NORM_PROC		2
#define HNSW_TYPE_INFO_PROC	3

/* Options and settings: defaults and ranges are pgvector's */
#define HNSW_DEFAULT_M		16
#define HNSW_MIN_M			2
#define HNSW_DEFAULT_EF_CONSTRUCTION 64
#define HNSW_MIN_EF_CONSTRUCTION	4
#define HNSW_MAX_EF_CONSTRUCTION	1000
#define HNSW_DEFAULT_EF_SEARCH	40
#define HNSW_MIN_EF_SEARCH	1
#define HNSW_MAX_EF_SEARCH	100000

/*
 * A descent may start from an entry point that is removed before it gets
 * there, so it starts again; more often than this cannot be by chance.
 */
#define HNSW_MAX_DESCENTS	1000

/*
 * Dense values of fewer dimensions are stored plain and without codes, unless
 * an option asks for them
 */
#define HNSW_MIN_CODED_DIMENSIONS	64

/* Options "codes" and "storage" where they are not given */
#define HNSW_OPTION_UNSET	(-1)

/* Phases of pg_stat_progress_create_index, after "initializing" */
#define PROGRESS_HNSW_PHASE_LOAD	2
#define PROGRESS_HNSW_PHASE_WRITE	3
#define PROGRESS_HNSW_PHASE_LOG		4

typedef enum HnswIterativeScan
{
	HNSW_ITERATIVE_SCAN_OFF,
	HNSW_ITERATIVE_SCAN_RELAXED,
	HNSW_ITERATIVE_SCAN_STRICT
} HnswIterativeScan;

/* Reloptions */
typedef struct HnswOptions
{
	int32		vl_len_;		/* varlena header (do not touch directly!) */
	int			m;
	int			ef_construction;
	int			codes;			/* VDB_HNSW_CODES_... or HNSW_OPTION_UNSET */
	int			storage;		/* VDB_HNSW_STORAGE_... or likewise */
	int			ef_search;		/* -1: not set */
	int			iterative_scan; /* HnswIterativeScan, or -1: not set */
} HnswOptions;

/*
 * An open index: its metapage (the parts that never change) and how its
 * values are compared.  Lives in the memory context of hnsw_index_open().
 */
typedef struct HnswIndex
{
	Relation	rel;
	VdbHnswMetaPageData meta;	/* entry, entry_layer and container_page are
								 * not to be used: read them anew */
	const VdbTypeInfo *type;
	FmgrInfo   *distance_proc;	/* support function 1 */
	Oid			collation;
	bool		coded;			/* rotated values and neighbour codes */
	bool		building;		/* not yet visible to others: change pages
								 * without WAL, it is written at the end */
	Size		code_size;		/* bytes of one neighbour code, or 0 */
	Size		value_size;		/* bytes of every value, 0 where they differ */
	bool		sampled;		/* long values: hnsw_sampled_distance() */
	float		sample_margin;	/* share by which a sample may be wrong */
	Size		record_size;	/* of layer 0 where all are alike and have no
								 * body pages, otherwise 0 */
	const uint8 *signs;			/* of the rotation; see hnsw_storage.c */
	float	   *scratch;		/* "padded" floats, two times */
} HnswIndex;

/*
 * A value in the form in which the index stores it, with its length.
 * In coded indexes VdbHnswCodedValue and elements, otherwise the SQL value
 * with a four-byte varlena header.
 */
typedef struct HnswValue
{
	void	   *data;
	Size		size;
} HnswValue;

/*
 * A stored value, and the squared length of its first HNSW_SAMPLE elements
 *
 * Those are a random sample of a long rotated value, and enough to tell most
 * distances from a limit.  The length is 0 where nobody has computed it.
 */
typedef struct HnswSampled
{
	const void *value;
	float		norm2;
} HnswSampled;

#define HNSW_SAMPLE 512

/*
 * What is searched for: the value prepared for comparison with stored ones.
 */
typedef struct HnswQuery
{
	HnswValue	value;			/* the stored form */
	/* the rest only in coded indexes */
	float	   *rotated;		/* the true value, rotated and padded */
	float		norm2;			/* its squared length */
	const int8 *steps;			/* rotated[i] is about step * steps[i] */
	float		step;
	int32		steps_sum;		/* of all of "steps" */
} HnswQuery;

/*
 * A record whose page is pinned and locked.  The pointers lead into the
 * page, or into "body" when the record has body pages.
 */
typedef struct HnswRecord
{
	Buffer		buf;
	VdbHnswRef	ref;
	VdbHnswRecordData *head;
	BlockNumber *body_blknos;
	VdbHnswRef *refs;
	VdbHnswFactors *factors;	/* NULL without codes */
	uint8	   *covered;		/* bits; NULL without codes */
	void	   *value;
	uint8	   *codes;			/* NULL without codes */
	char	   *body;			/* scratch memory for the contents of body
								 * pages; zeroed by the caller before first
								 * use, then kept from record to record */
	Size		body_space;
} HnswRecord;

/* A vertex that a search has looked at, nearest ones being its result */
typedef struct HnswFound
{
	VdbHnswRef	ref;
	VdbHnswRef	below;			/* same vertex one layer lower, above 0 */
	float		distance;		/* of the stored value */
	float		bound;			/* what the true distance is at least, in
								 * units of the operator; set by scans */
	VdbHnswCodedValue value_head;	/* coded indexes: of the stored value */
	uint32		first_tid;		/* scans only: HnswSearch.tids[first_tid ... ] */
	uint32		tid_count;
	bool		deleted;		/* leads on, but is no neighbour to take */
	HnswValue	value;			/* data is NULL where it was not kept */
} HnswFound;

/* A record of an upper layer, or what it is linked to in layer 0 */
typedef struct HnswLead
{
	VdbHnswRef	ref;
	int			layer;
} HnswLead;

/* Some neighbours of a record, and how far from the query they seem to be */
typedef struct HnswEstimates
{
	uint16		places[2 * VDB_HNSW_MAX_M]; /* in the record's arrays, set by
											 * who asks for estimates */
	float		estimates[2 * VDB_HNSW_MAX_M];
	/* scratch: their codes, one behind the other, and sums over them */
	uint8		codes[2 * VDB_HNSW_MAX_M * VDB_HNSW_MAX_CODE_SIZE];
	int32		sums[2 * VDB_HNSW_MAX_M];
} HnswEstimates;

/*
 * One search through one layer.  May be resumed for further results.
 *
 * Searches are made of what earlier ones left: see hnsw_search_begin().
 */
typedef struct HnswSearch
{
	HnswIndex  *index;
	const HnswQuery *query;
	int			layer;
	int			ef;				/* results to be kept */
	bool		keep_values;	/* copy the values of what is found, unless ef
								 * nearer ones had been found before */
	bool		keep_tids;		/* copy the heap TIDs of what is found */
	bool		keep_rest;		/* keep what hnsw_search_resume() needs */
	bool		keep_found;		/* found[] has all that were visited, not only
								 * those that were among the nearest */
	bool		find_equal;		/* end as soon as a vertex that is not deleted
								 * and has the query's own value is found */
	bool		live_only;		/* deleted vertices lead on but are not among
								 * the results, in upper layers too */

	bool		equal_found;	/* "equal" is such a vertex */
	VdbHnswRef	equal;
	bool		is_cold;		/* a record was not in shared buffers */
	bool		from_device;	/* nor in the kernel's cache: a read took long */

	VdbVisited	visited;		/* records ever put into the frontier */
	VdbHeap		frontier;		/* nearest first, items are refs[] */
	VdbHnswRef *refs;
	uint32		ref_count;
	uint32		ref_space;
	VdbHeap		nearest;		/* farthest first (distances negated), items
								 * are found[] */
	HnswFound  *found;
	uint32		found_count;
	uint32		found_space;
	ItemPointerData *tids;
	uint32		tid_count;
	uint32		tid_space;
	VdbHeap		evicted;		/* fell out of "nearest"; in no order until
								 * the search is resumed */
	VdbHeap		deferred;		/* too far for the frontier so far; in no
								 * order */
	bool		has_leads;		/* "leads" is in use */
	HnswLead   *leads;			/* other ways into layer 0, not tried yet */
	uint32		lead_count;
	uint32		lead_space;
	HnswRecord	record;			/* the one being looked at */
	VdbHnswRef	neighbours[2 * VDB_HNSW_MAX_M]; /* scratch, for one record */
	HnswEstimates unmet;		/* likewise */
	MemoryContext context;		/* of the caller: for copied values */
	MemoryContext own_context;	/* of all the rest, and of this struct */
	struct HnswSearchLoan *loan;	/* NULL while nobody has the search */

	/* counters */
	int64		visits;			/* records read */
	int64		distances;		/* computed on stored values */
	int64		code_estimates; /* computed on codes */
} HnswSearch;

/* A candidate for the neighbours of a vertex */
typedef struct HnswNeighbour
{
	VdbHnswRef	ref;
	float		distance;		/* to that vertex */
	bool		covered;		/* set when it is chosen */
	HnswValue	value;
	float		sample_norm2;	/* as in HnswSampled */
} HnswNeighbour;

/*
 * Neighbours being chosen, see hnsw_choose.c
 */
typedef struct HnswChoice
{
	const HnswIndex *index;
	int			capacity;
	HnswNeighbour *taken;
	int			count;
	HnswNeighbour *covered;		/* passed over: one that was taken is nearer */
	int			covered_count;
} HnswChoice;

/*
 * A new vertex that others are made to point to, and the one at hand.
 */
typedef struct HnswLink
{
	HnswIndex  *index;
	int			layer;
	const HnswQuery *query;		/* value of the new vertex */
	VdbHnswRef	to;				/* the new vertex */
	const HnswNeighbour *own;	/* neighbours that it points to itself */
	int			own_count;
	/* for hnsw_link.c */
	VdbHnswRef	from;
	bool		force;
	HnswRecord	record;			/* of "from" */
} HnswLink;

/*
 * A change of some pages that becomes durable as one.
 */
#define HNSW_MAX_CHANGE_PAGES	MAX_GENERIC_XLOG_PAGES

typedef struct HnswChange
{
	HnswIndex  *index;
	GenericXLogState *state;	/* NULL while building */
	bool		new_page;		/* the index was extended */
	int			page_count;
	BlockNumber blknos[HNSW_MAX_CHANGE_PAGES];
	Buffer		bufs[HNSW_MAX_CHANGE_PAGES];
	Page		pages[HNSW_MAX_CHANGE_PAGES];
} HnswChange;

/* Is a line pointer in use, its item within the page and long enough? */
static inline bool
hnsw_item_is_sane(Page page, ItemId item, Size least)
{
	return ItemIdIsNormal(item) && ItemIdGetLength(item) >= least &&
		ItemIdGetOffset(item) >= ((PageHeader) page)->pd_upper &&
		ItemIdGetOffset(item) + ItemIdGetLength(item) <=
		((PageHeader) page)->pd_special &&
		ItemIdGetOffset(item) == MAXALIGN(ItemIdGetOffset(item));
}

/* Bytes of the factors and the covered bits of a record */
static inline Size
hnsw_factors_size(int capacity)
{
	return MAXALIGN(capacity * sizeof(VdbHnswFactors) +
					(capacity + BITS_PER_BYTE - 1) / BITS_PER_BYTE);
}

static inline bool
hnsw_is_covered(const uint8 *covered, int at)
{
	return (covered[at / BITS_PER_BYTE] & (1 << (at % BITS_PER_BYTE))) != 0;
}

static inline void
hnsw_set_covered(uint8 *covered, int at, bool is_covered)
{
	if (is_covered)
		covered[at / BITS_PER_BYTE] |= 1 << (at % BITS_PER_BYTE);
	else
		covered[at / BITS_PER_BYTE] &= ~(1 << (at % BITS_PER_BYTE));
}

/* Is there no room for a candidate that is farther? */
static inline bool
hnsw_choice_is_full(const HnswChoice *choice)
{
	return choice->count == choice->capacity;
}

/* settings, in hnsw_handler.c */
extern int	hnsw_max_scan_tuples;
extern double hnsw_scan_mem_multiplier;

/* functions in hnsw_handler.c */
extern int	hnsw_get_m(Relation index);
extern int	hnsw_get_ef_construction(Relation index);
extern int	hnsw_get_codes(Relation index);
extern int	hnsw_get_storage(Relation index);
extern int	hnsw_get_ef_search(Relation index);
extern HnswIterativeScan hnsw_get_iterative_scan(Relation index);

/* functions in hnsw_index.c */
extern HnswIndex *hnsw_index_open(Relation rel);
extern void hnsw_meta_init(VdbHnswMetaPageData *meta, Relation index);
extern void hnsw_index_forget(Relation rel);
extern const char *hnsw_meta_problem(const VdbHnswMetaPageData *meta);
extern Size hnsw_record_size(const HnswIndex *index, int capacity,
							 Size value_size, int *body_pages);
extern int	hnsw_layer_capacity(const HnswIndex *index, int layer);
extern int	hnsw_random_layer(const HnswIndex *index);
extern _Noreturn void hnsw_report_corruption(Relation rel, BlockNumber blkno,
											 OffsetNumber offno,
											 const char *what);

/* functions in hnsw_storage.c */
extern void hnsw_choose_form(VdbHnswMetaPageData *meta, Relation rel);
extern void hnsw_check_form(const VdbHnswMetaPageData *meta,
							const VdbTypeInfo *type, Relation rel);
extern void hnsw_check_options(int codes, int storage);
extern const char *hnsw_codes_name(int codes);
extern const char *hnsw_storage_name(int storage);
extern Size hnsw_coded_value_size(const VdbHnswMetaPageData *meta);
extern Size hnsw_signs_size(int padded);
extern void hnsw_make_signs(uint64 seed, int padded, uint8 *signs);
extern void hnsw_rotate(const HnswIndex *index, float *x);
extern void hnsw_encode_value(const HnswIndex *index, const float *rotated,
							  void *value);
extern void hnsw_encode_int8(int padded, const float *rotated,
							 VdbHnswInt8Value *value);
extern void hnsw_decode_lead(const HnswIndex *index, const void *value,
							 int count, float *out);
extern void hnsw_decode_value(const HnswIndex *index, const void *value,
							  float *out);

/* functions in hnsw_value.c */
extern void hnsw_encode_edge(const HnswIndex *index, const float *base,
							 const float *target, float l2_squared,
							 VdbHnswFactors *factors, uint8 *code);
extern float hnsw_known_l2_squared(const HnswIndex *index, const void *a,
								   const void *b, float distance);
extern void hnsw_estimate(const HnswIndex *index, const HnswQuery *query,
						  float distance, const HnswRecord *record,
						  int32 *sums, float *estimates);
extern void hnsw_estimate_some(const HnswIndex *index, const HnswQuery *query,
							   float distance, const HnswRecord *record,
							   int count, HnswEstimates *estimates);
extern void hnsw_edge_distances(const HnswIndex *index,
								const HnswRecord *record, int32 *sums,
								float *distances);

extern bool hnsw_form_query(HnswIndex *index, Datum value, HnswQuery *query);
extern void hnsw_query_from_value(const HnswIndex *index, HnswValue value,
								  HnswQuery *query);
extern float hnsw_query_distance(const HnswIndex *index,
								 const HnswQuery *query, const void *value);
extern float hnsw_sample_norm2(const HnswIndex *index, const void *value);
extern float hnsw_sampled_distance(const HnswIndex *index,
								   const HnswSampled *a, const HnswSampled *b,
								   float limit, bool *is_exact);
extern bool hnsw_is_within(const HnswIndex *index, const HnswSampled *a,
						   const HnswSampled *b, float limit);
extern float hnsw_value_distance(const HnswIndex *index, const void *a,
								 const void *b);
extern float hnsw_distance_bound(const HnswIndex *index,
								 const HnswQuery *query, const void *value,
								 float distance);
extern Size hnsw_plain_value_size(const HnswIndex *index);
extern const char *hnsw_value_problem(const HnswIndex *index,
									  const void *value, Size size);
extern bool hnsw_values_equal(const HnswIndex *index, const HnswQuery *query,
							  const void *value, Size size);

/* functions in hnsw_page.c */
extern void hnsw_page_init(Page page, uint16 kind);
extern void hnsw_page_check(Relation rel, BlockNumber blkno, Page page,
							uint16 kind);
extern uint64 hnsw_page_checksum(Page page);
extern void hnsw_read_meta(Relation rel, VdbHnswMetaPageData *meta);
extern void hnsw_read_entry(HnswIndex *index, VdbHnswRef *entry, int *layer);
extern bool hnsw_lock_record(HnswIndex *index, VdbHnswRef ref, int layer,
							 HnswRecord *record);
extern bool hnsw_lock_list(HnswIndex *index, VdbHnswRef ref, int layer,
						   HnswRecord *record);
extern void hnsw_unlock_record(HnswRecord *record);
extern void hnsw_remember_buffers(void);
extern void hnsw_prefetch_record(const HnswIndex *index, VdbHnswRef ref);
extern void hnsw_prefetch_row_place(Relation heap, const ItemPointerData *tid);
extern void hnsw_prefetch_row(Relation heap, const ItemPointerData *tid);
extern bool hnsw_prefetch_row_value(Relation heap, const ItemPointerData *tid,
									AttrNumber column);
extern void hnsw_hold_row(Relation heap, IndexFetchHeapData *fetch,
						  const ItemPointerData *tid);
extern bool hnsw_change_record(HnswChange *change, VdbHnswRef ref,
							   int layer, HnswRecord *record);
extern void hnsw_record_parts(const HnswIndex *index,
							  VdbHnswRecordData *head, HnswRecord *record);
extern const char *hnsw_record_problem(const HnswIndex *index,
									   const VdbHnswRecordData *head,
									   Size length);
extern void hnsw_items_check(HnswIndex *index, BlockNumber blkno, Page page);
extern void hnsw_read_body(HnswIndex *index, HnswRecord *record);
extern Buffer hnsw_read_page(Relation rel, BlockNumber blkno,
							 BufferAccessStrategy strategy);
extern Buffer hnsw_read_vertices(HnswIndex *index, BlockNumber blkno,
								 BufferAccessStrategy strategy,
								 OffsetNumber *max);
extern void hnsw_unlock_page(Buffer buf);
extern int	hnsw_read_tids(HnswIndex *index, const VdbHnswRecordData *head,
						   ItemPointerData **tids, uint32 *count,
						   uint32 *space);
extern void hnsw_lock_graph(Relation rel, LOCKMODE mode);
extern void hnsw_unlock_graph(Relation rel, LOCKMODE mode);

/* functions in hnsw_wal.c */
extern void hnsw_change_begin(HnswChange *change, HnswIndex *index);
extern Page hnsw_change_page(HnswChange *change, BlockNumber blkno);
extern Page hnsw_change_new_page(HnswChange *change, uint16 kind,
								 BlockNumber *blkno);
extern void hnsw_change_finish(HnswChange *change);
extern void hnsw_change_abort(HnswChange *change);
extern void hnsw_change_body(HnswChange *change, HnswRecord *record,
							 Size offset, const void *data, Size size);
extern void hnsw_change_edge(HnswChange *change, HnswRecord *record, int at,
							 VdbHnswRef ref, const VdbHnswFactors *factors,
							 const uint8 *code, bool covered);

extern Size hnsw_page_room(Page page);
extern VdbHnswRecordData *hnsw_space_for_record(HnswChange *change,
												HnswIndex *index, Size size,
												VdbHnswRef *ref);
extern void hnsw_space_left(HnswIndex *index, BlockNumber blkno, Size room);
extern Page hnsw_space_for_body(HnswChange *change, HnswIndex *index,
								BlockNumber *blkno);
extern VdbHnswContainerData *hnsw_space_for_container(HnswChange *change,
													  VdbHnswRef *ref);

/* functions in hnsw_advise.c */
extern void hnsw_advise_page(Relation rel, BlockNumber blkno,
							 bool from_device);
extern void hnsw_advise_failed(Relation rel, BlockNumber blkno);

/* functions in hnsw_search.c */
extern int	hnsw_search_beam(const HnswIndex *index, int ef_search);
extern HnswSearch *hnsw_search_begin(HnswIndex *index, const HnswQuery *query,
									 int layer, int ef);
extern void hnsw_search_end(HnswSearch *search);
extern bool hnsw_search_run(HnswSearch *search, VdbHnswRef from);
extern bool hnsw_search_resume(HnswSearch *search);
extern uint32 hnsw_search_take(HnswSearch *search, uint32 *items);
extern Size hnsw_search_memory(const HnswSearch *search);
extern bool hnsw_search_descend(HnswIndex *index, const HnswQuery *query,
								int layer, VdbHnswRef *from,
								int *from_layer);

/* functions in hnsw_choose.c */
extern void hnsw_choice_begin(HnswChoice *choice, const HnswIndex *index,
							  int capacity);
extern void hnsw_choice_offer(HnswChoice *choice,
							  const HnswNeighbour *candidate);
extern void hnsw_choice_end(HnswChoice *choice);
extern bool hnsw_is_near_taken(const HnswIndex *index,
							   const HnswNeighbour *candidate,
							   const HnswNeighbour *taken, int taken_count);
extern int	hnsw_choose_neighbours(HnswSearch *search, VdbHnswRef self,
								   int capacity, HnswNeighbour **chosen);
extern int	hnsw_select_neighbours(const HnswIndex *index,
								   HnswNeighbour *candidates, int count,
								   int capacity);
extern int	hnsw_dropped_neighbour(const HnswIndex *index,
								   HnswNeighbour *candidates, int count,
								   int capacity);
extern void hnsw_sort_neighbours(HnswNeighbour *neighbours, int count);

/* functions in hnsw_link.c */
extern bool hnsw_link(HnswLink *link, VdbHnswRef from, bool force);
extern int	hnsw_link_all(HnswLink *link);
extern bool hnsw_link_record(HnswChange *change, HnswRecord *record,
							 const HnswQuery *query, VdbHnswRef to);

/* functions in hnsw_insert.c */
extern void hnsw_insert(Relation rel, Datum value, ItemPointer tid,
						bool is_unchanged);
extern void hnsw_insert_value(HnswIndex *index, const HnswQuery *query,
							  ItemPointer tid);

/* functions in hnsw_build.c */
extern IndexBuildResult *hnsw_build(Relation heap, Relation index,
									IndexInfo *info);
extern void hnsw_build_empty(Relation index);

/* functions in hnsw_scan.c */
extern IndexScanDesc hnsw_begin_scan(Relation rel, int nkeys, int norderbys);
extern void hnsw_rescan(IndexScanDesc scan, ScanKey keys, int nkeys,
						ScanKey orderbys, int norderbys);
extern bool hnsw_get_tuple(IndexScanDesc scan, ScanDirection direction);
extern void hnsw_end_scan(IndexScanDesc scan);

/* functions in hnsw_vacuum.c */
extern IndexBulkDeleteResult *hnsw_bulk_delete(IndexVacuumInfo *info,
											   IndexBulkDeleteResult *stats,
											   IndexBulkDeleteCallback callback,
											   void *callback_state);
extern IndexBulkDeleteResult *hnsw_vacuum_cleanup(IndexVacuumInfo *info,
												  IndexBulkDeleteResult *stats);

#endif							/* HNSW_PRIVATE_H */
