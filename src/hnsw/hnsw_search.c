/*-------------------------------------------------------------------------
 *
 * hnsw_search.c
 *	  Best-first search through one layer of the graph.
 *
 * This is algorithm 2 of the HNSW paper (Malkov and Yashunin, arXiv
 * 1603.09320): a frontier of vertices to look at, nearest first, and the ef
 * nearest vertices found so far; the search ends when the frontier's nearest
 * is farther than all of those.
 *
 * In a coded index a visit to a vertex gives its own distance and, from the
 * codes, estimates of the distances of all its neighbours.  Neighbours enter
 * the frontier by estimate and are found only when they are visited.  So one
 * record is read for each vertex looked at closely.  Without codes, every
 * neighbour is read to learn its distance, as in the paper.
 *
 * Layer 0 may fall into parts that do not lead to each other, far clusters
 * for one.  A search that has met all of a part, and wants more, goes on from
 * the vertices of the upper layers, that of the entry point first: whatever
 * the entry point leads to in any way is found in the end.
 *
 * A reference may be out of date by the time it is followed, when VACUUM has
 * removed the vertex meanwhile.  Such a vertex is passed over.
 *
 * IDENTIFICATION
 *	  src/hnsw/hnsw_search.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/instrument.h"
#include "miscadmin.h"
#include "utils/float.h"
#include "utils/memutils.h"

#include "hnsw_private.h"

/*
 * Beam of the descent through the upper layers, with codes and without: where
 * much has been deleted, that of one which HNSW has ends in a wrong place too
 * often (README, "What was measured")
 */
#define CODED_DESCENT_EF	4
#define PLAIN_DESCENT_EF	8

/* Codes of so many bits need no wider beam */
#define EVEN_BITS	192

/* Records on their way to the cache while others are looked at */
#define PREFETCH_AHEAD	2

/* How much of the frontier the kernel is asked to read beforehand */
#define ADVISED_RECORDS	16

/* A copy from the kernel's cache takes some 5 us, a solid state disk some 50 */
#define DEVICE_READ_US	25

/* A search that nobody needs is kept for the next who does if this small */
#define MAX_SPARE_MEMORY	((Size) 4 * 1024 * 1024)

/* Who has a search; lives in the memory context of the borrower */
typedef struct HnswSearchLoan
{
	HnswSearch *search;			/* NULL once it was given back */
	MemoryContextCallback callback;
} HnswSearchLoan;

static HnswSearch *spare = NULL;

static HnswSearch *create_search(void);
static void end_loan(void *arg);
static void look_around_coded(HnswSearch *search, VdbHnswRef ref);
static void look_around_plain(HnswSearch *search, VdbHnswRef ref);
static bool look_at(HnswSearch *search, VdbHnswRef ref);
static inline int note_unmet(HnswSearch *search);
static inline bool lock_record(HnswSearch *search, VdbHnswRef ref);
static void note_read(HnswSearch *search, BlockNumber blkno,
					  instr_time began);
static void advise_frontier(HnswSearch *search, uint32 first_new);
static void add_found(HnswSearch *search, float distance);
static inline void add_frontier(HnswSearch *search, VdbHnswRef ref,
								float distance, float limit);
static inline float farthest_wanted(const HnswSearch *search);
static void explore(HnswSearch *search);
static bool enter_elsewhere(HnswSearch *search);
static void add_lead(HnswSearch *search, VdbHnswRef ref, int layer);

static inline uint64
ref_key(VdbHnswRef ref)
{
	return (uint64) ref.blkno << 16 | ref.offno;
}

/*
 * hnsw_search_beam -- the beam in layer 0 that a setting of ef_search is worth
 *
 * Short codes err more, and what they make a search miss, a wider beam finds.
 * So that a setting does not mean less here than elsewhere, it is twice the
 * setting for codes of 64 bits, and the setting from 192 bits on (README,
 * "Capacity").
 */
int
hnsw_search_beam(const HnswIndex *index, int ef_search)
{
	if (!index->coded || index->meta.code_bits >= EVEN_BITS)
		return ef_search;
	return ef_search * (1 + (EVEN_BITS - index->meta.code_bits) / 128.0);
}

/*
 * hnsw_search_begin -- prepare a search
 *
 * The caller sets the keep_... members afterwards if it wants them, and gives
 * the search back by hnsw_search_end().  After an error the search is thrown
 * away with the current memory context, where copied values are: it may have
 * been interrupted anywhere, while an array of it grew for one.
 *
 * The memory is what an earlier search left, if there is one: getting it from
 * the system anew took longer than many searches do.
 */
HnswSearch *
hnsw_search_begin(HnswIndex *index, const HnswQuery *query, int layer, int ef)
{
	HnswSearchLoan *loan = palloc(sizeof(HnswSearchLoan));
	HnswSearch *search = spare != NULL ? spare : create_search();

	spare = NULL;
	search->index = index;
	search->query = query;
	search->layer = layer;
	search->ef = ef;
	search->keep_values = search->keep_tids = false;
	search->keep_rest = search->live_only = false;
	search->is_cold = search->from_device = false;
	search->keep_found = search->find_equal = search->equal_found = false;
	search->context = CurrentMemoryContext;
	search->ref_count = search->found_count = search->tid_count = 0;
	search->frontier.count = search->nearest.count = 0;
	search->evicted.count = search->deferred.count = 0;
	search->has_leads = false;
	search->lead_count = 0;
	search->visits = search->distances = search->code_estimates = 0;
	memset(&search->record, 0, sizeof(HnswRecord));
	vdb_visited_restart(&search->visited,
						ef < 10 ? 512 : ef < 100 ? 2048 : 8192);

	search->loan = loan;
	loan->search = search;
	loan->callback.func = end_loan;
	loan->callback.arg = loan;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &loan->callback);
	hnsw_remember_buffers();
	return search;
}

/* A search with nothing in it, and room for little */
static HnswSearch *
create_search(void)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext,
												  "hnsw search",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	HnswSearch *search = palloc0(sizeof(HnswSearch));

	search->own_context = context;
	vdb_visited_init(&search->visited, 8192);
	vdb_heap_init(&search->frontier, 256);
	vdb_heap_init(&search->nearest, 256);
	vdb_heap_init(&search->evicted, 256);
	vdb_heap_init(&search->deferred, 1024);
	search->ref_space = 1024;
	search->refs = palloc(sizeof(VdbHnswRef) * search->ref_space);
	search->found_space = 256;
	search->found = palloc(sizeof(HnswFound) * search->found_space);
	search->tid_space = 256;
	search->tids = palloc(sizeof(ItemPointerData) * search->tid_space);
	search->lead_space = 64;
	search->leads = palloc(sizeof(HnswLead) * search->lead_space);
	MemoryContextSwitchTo(old);
	return search;
}

/* hnsw_search_end -- give a search back; its results are gone with it */
void
hnsw_search_end(HnswSearch *search)
{
	search->loan->search = NULL;
	search->loan = NULL;
	if (spare == NULL &&
		MemoryContextMemAllocated(search->own_context, false) <= MAX_SPARE_MEMORY)
		spare = search;
	else
		MemoryContextDelete(search->own_context);
}

/* The borrower's memory context goes, and the search with it if not given back */
static void
end_loan(void *arg)
{
	HnswSearchLoan *loan = arg;

	if (loan->search != NULL)
		MemoryContextDelete(loan->search->own_context);
}

/*
 * hnsw_search_run -- search from a vertex
 *
 * Returns whether anything was found.
 */
bool
hnsw_search_run(HnswSearch *search, VdbHnswRef from)
{
	MemoryContext old = MemoryContextSwitchTo(search->context);

	vdb_visited_add(&search->visited, ref_key(from));
	if (search->index->coded)
		add_frontier(search, from, 0, get_float4_infinity());
	else
		look_at(search, from);
	explore(search);

	MemoryContextSwitchTo(old);
	return search->nearest.count > 0;
}

/*
 * hnsw_search_resume -- find the next ef, after hnsw_search_take()
 *
 * Goes on from where the search stood.  Returns false when nothing is left
 * that the graph leads to.
 */
bool
hnsw_search_resume(HnswSearch *search)
{
	MemoryContext old = MemoryContextSwitchTo(search->context);

	Assert(search->keep_rest && search->nearest.count == 0);

	for (uint32 i = 0; i < search->deferred.count; i++)
		vdb_heap_push(&search->frontier, search->deferred.entries[i].distance,
					  search->deferred.entries[i].item);
	search->deferred.count = 0;

	vdb_heap_build(&search->evicted);
	while (search->evicted.count > 0 && search->nearest.count < search->ef)
	{
		VdbHeapEntry entry = vdb_heap_pop(&search->evicted);

		vdb_heap_push(&search->nearest, -entry.distance, entry.item);
	}
	explore(search);

	MemoryContextSwitchTo(old);
	return search->nearest.count > 0;
}

/*
 * hnsw_search_take -- the results so far, nearest first
 *
 * Fills items[] with up to ef numbers of found[] and returns how many.
 */
uint32
hnsw_search_take(HnswSearch *search, uint32 *items)
{
	uint32		count = search->nearest.count;

	for (uint32 i = count; i > 0; i--)
		items[i - 1] = vdb_heap_pop(&search->nearest).item;
	return count;
}

/* hnsw_search_memory -- bytes that what the search knows takes, about */
Size
hnsw_search_memory(const HnswSearch *search)
{
	/* the table of visited records is a quarter to half full */
	return (Size) search->visited.count * sizeof(uint64) * 3 +
		(Size) search->ref_count * sizeof(VdbHnswRef) +
		(Size) search->found_count * sizeof(HnswFound) +
		(Size) search->tid_count * sizeof(ItemPointerData) +
		(Size) search->lead_count * sizeof(HnswLead) +
		((Size) search->frontier.count + search->evicted.count +
		 search->deferred.count) * sizeof(VdbHeapEntry);
}

/*
 * hnsw_search_descend -- from the entry point down to a layer
 *
 * Sets *from to the record in that layer of the vertex that seems nearest,
 * and *from_layer to its layer: "layer", or that of the entry point when the
 * graph is lower.  Returns false when the index is empty.
 */
bool
hnsw_search_descend(HnswIndex *index, const HnswQuery *query, int layer,
					VdbHnswRef *from, int *from_layer)
{
	for (int attempt = 0; attempt < HNSW_MAX_DESCENTS; attempt++)
	{
		bool		lost = false;

		CHECK_FOR_INTERRUPTS();
		hnsw_read_entry(index, from, from_layer);
		if (VdbHnswRefIsNone(*from))
			return false;

		while (*from_layer > layer && !lost)
		{
			HnswSearch *search;
			uint32		items[Max(CODED_DESCENT_EF, PLAIN_DESCENT_EF)];

			search = hnsw_search_begin(index, query, *from_layer,
									   index->coded ? CODED_DESCENT_EF :
									   PLAIN_DESCENT_EF);
			lost = !hnsw_search_run(search, *from);
			if (!lost)
			{
				hnsw_search_take(search, items);
				*from = search->found[items[0]].below;
				(*from_layer)--;
			}
			hnsw_search_end(search);
		}
		if (!lost)
			return true;
	}

	hnsw_report_corruption(index->rel, VDB_HNSW_METAPAGE, InvalidOffsetNumber,
						   "The entry point leads nowhere");
}

/*
 * Look around vertices, nearest first, until that finds nothing nearer
 *
 * A search that found nothing where it began is left to the caller, who may
 * descend again.
 */
static void
explore(HnswSearch *search)
{
	VdbHeap    *frontier = &search->frontier;

	while (!search->equal_found &&
		   (frontier->count > 0 ||
			(search->nearest.count < search->ef && search->layer == 0 &&
			 search->visits > 0 && enter_elsewhere(search))))
	{
		VdbHeapEntry top = frontier->entries[0];

		if (top.distance > farthest_wanted(search))
			break;
		CHECK_FOR_INTERRUPTS();
		vdb_heap_pop(frontier);
		if (search->index->coded)
			look_around_coded(search, search->refs[top.item]);
		else
			look_around_plain(search, search->refs[top.item]);
	}
}

/*
 * Put a vertex of layer 0 that was not met into the frontier, by way of the
 * upper layers; false when they lead to none
 *
 * They have a few vertices in a hundred, and are followed one at a time.
 */
static bool
enter_elsewhere(HnswSearch *search)
{
	HnswRecord *record = &search->record;

	if (!search->has_leads)
	{
		VdbHnswRef	entry;
		int			layer;

		search->has_leads = true;
		hnsw_read_entry(search->index, &entry, &layer);
		if (!VdbHnswRefIsNone(entry))
			add_lead(search, entry, layer);
	}

	while (search->lead_count > 0)
	{
		HnswLead	lead = search->leads[--search->lead_count];

		CHECK_FOR_INTERRUPTS();
		if (lead.layer == 0)
		{
			if (search->index->coded)
				add_frontier(search, lead.ref, 0, get_float4_infinity());
			else if (!look_at(search, lead.ref))
				continue;
			return true;
		}

		if (!hnsw_lock_list(search->index, lead.ref, lead.layer, record))
			continue;
		for (int i = 0; i < record->head->count; i++)
			add_lead(search, record->refs[i], lead.layer);
		/* the last is the first to be followed */
		add_lead(search, record->head->link, lead.layer - 1);
		hnsw_unlock_record(record);
	}
	return false;
}

/* Note a record to be followed down, unless it was met */
static void
add_lead(HnswSearch *search, VdbHnswRef ref, int layer)
{
	if (!vdb_visited_add(&search->visited, ref_key(ref)))
		return;
	if (search->lead_count == search->lead_space)
	{
		search->lead_space *= 2;
		search->leads = repalloc_huge(search->leads, sizeof(HnswLead) *
									  (Size) search->lead_space);
	}
	search->leads[search->lead_count].ref = ref;
	search->leads[search->lead_count++].layer = layer;
}

/* Visit a vertex: find it, and put its neighbours into the frontier */
static void
look_around_coded(HnswSearch *search, VdbHnswRef ref)
{
	HnswIndex  *index = search->index;
	HnswRecord *record = &search->record;
	VdbHeap    *frontier = &search->frontier;
	uint32		next = 0;
	uint32		first_new = search->ref_count;
	float		distance;
	float		limit;
	int			count;

	/* What is next unless this vertex leads to something nearer */
	if (frontier->count > 0)
	{
		next = frontier->entries[0].item;
		hnsw_prefetch_record(index, search->refs[next]);
	}

	if (!lock_record(search, ref))
		return;
	search->visits++;
	search->distances++;
	distance = hnsw_query_distance(index, search->query, record->value);
	add_found(search, distance);

	count = note_unmet(search);
	search->code_estimates += count;
	hnsw_estimate_some(index, search->query, distance, record, count,
					   &search->unmet);
	hnsw_unlock_record(record);

	limit = farthest_wanted(search);
	for (int i = 0; i < count; i++)
		add_frontier(search, search->neighbours[i],
					 search->unmet.estimates[i], limit);

	/* and if it did */
	if (frontier->count > 0 && frontier->entries[0].item != next)
		hnsw_prefetch_record(index, search->refs[frontier->entries[0].item]);
	if (unlikely(search->is_cold))
		advise_frontier(search, first_new);
}

/*
 * Pick out the neighbours of the locked record that were not met before
 *
 * More than half of them were, and need no estimate.  Fills neighbours[] and
 * unmet.places[], and returns how many there are.
 */
static inline int
note_unmet(HnswSearch *search)
{
	const HnswRecord *record = &search->record;
	VdbVisited *visited = &search->visited;
	uint32		slots[2 * VDB_HNSW_MAX_M];
	int			total = record->head->count;
	int			count = 0;

	vdb_visited_reserve(visited, total);
	for (int i = 0; i < total; i++)
	{
		slots[i] = vdb_visited_slot(visited, ref_key(record->refs[i]));
		__builtin_prefetch(&visited->keys[slots[i]], 1);
	}
	for (int i = 0; i < total; i++)
	{
		search->neighbours[count] = record->refs[i];
		search->unmet.places[count] = i;
		count += vdb_visited_add_at(visited, ref_key(record->refs[i]),
									slots[i]);
	}
	return count;
}

/* Read and lock a record, and note if it was not in shared buffers */
static inline bool
lock_record(HnswSearch *search, VdbHnswRef ref)
{
	int64		reads = pgBufferUsage.shared_blks_read;
	bool		found;
	instr_time	began;

	if (unlikely(search->is_cold))
		INSTR_TIME_SET_CURRENT(began);
	found = hnsw_lock_record(search->index, ref, search->layer,
							 &search->record);
	if (unlikely(pgBufferUsage.shared_blks_read != reads))
	{
		if (search->is_cold)
			note_read(search, ref.blkno, began);
		search->is_cold = true;
	}
	return found;
}

/* Did a read that began then take as long as only a device takes? */
static void
note_read(HnswSearch *search, BlockNumber blkno, instr_time began)
{
	instr_time	passed;

	INSTR_TIME_SET_CURRENT(passed);
	INSTR_TIME_SUBTRACT(passed, began);
	if (INSTR_TIME_GET_MICROSEC(passed) < DEVICE_READ_US)
		return;
	search->from_device = true;
	hnsw_advise_failed(search->index->rel, blkno);
}

/*
 * Have the kernel read what will be looked at next
 *
 * The top of a heap is not the order in which it is emptied, but nearly all
 * of it will be.  Those that were there before have been asked for already.
 */
static void
advise_frontier(HnswSearch *search, uint32 first_new)
{
	const VdbHeap *frontier = &search->frontier;

	for (uint32 i = 0; i < Min(frontier->count, ADVISED_RECORDS); i++)
	{
		if (frontier->entries[i].item >= first_new)
			hnsw_advise_page(search->index->rel,
							 search->refs[frontier->entries[i].item].blkno,
							 search->from_device);
	}
}

/* The same without codes: each neighbour is found on the spot */
static void
look_around_plain(HnswSearch *search, VdbHnswRef ref)
{
	HnswRecord *record = &search->record;
	VdbHnswRef *unmet = search->neighbours;
	int			count;

	if (!lock_record(search, ref))
		return;
	search->visits++;
	count = note_unmet(search);
	hnsw_unlock_record(record);

	for (int i = 0; i < count && unlikely(search->is_cold); i++)
		hnsw_advise_page(search->index->rel, unmet[i].blkno,
						 search->from_device);
	for (int i = 0; i < Min(count, PREFETCH_AHEAD); i++)
		hnsw_prefetch_record(search->index, unmet[i]);
	for (int i = 0; i < count && !search->equal_found; i++)
	{
		if (i + PREFETCH_AHEAD < count)
			hnsw_prefetch_record(search->index, unmet[i + PREFETCH_AHEAD]);
		look_at(search, unmet[i]);
	}
}

/*
 * Find a vertex of an index without codes and put it into the frontier;
 * false when it is gone
 */
static bool
look_at(HnswSearch *search, VdbHnswRef ref)
{
	float		distance;

	if (!lock_record(search, ref))
		return false;
	search->visits++;
	search->distances++;
	distance = hnsw_query_distance(search->index, search->query,
								   search->record.value);
	add_found(search, distance);
	hnsw_unlock_record(&search->record);
	add_frontier(search, ref, distance, farthest_wanted(search));
	return true;
}

/*
 * Enter the locked record among the nearest if it belongs there
 *
 * A vertex of layer 0 whose rows are gone is not a result.  Above, any
 * vertex may lead further down, unless the caller wants live ones only.
 */
static void
add_found(HnswSearch *search, float distance)
{
	HnswRecord *record = &search->record;
	bool		deleted = (record->head->flags & VDB_HNSW_DELETED) != 0;
	bool		too_far = distance > farthest_wanted(search);
	HnswFound  *found;
	uint32		item;

	if (deleted && (search->layer == 0 || search->live_only))
		return;
	if (!search->keep_rest && !search->keep_found && too_far)
		return;

	if (search->found_count == search->found_space)
	{
		search->found_space *= 2;
		search->found = repalloc_huge(search->found, sizeof(HnswFound) *
									  (Size) search->found_space);
	}
	item = search->found_count++;
	found = &search->found[item];
	found->ref = record->ref;
	found->below = record->head->link;
	found->distance = distance;
	found->deleted = deleted;
	found->value.data = NULL;
	if (search->keep_values && !too_far)
	{
		found->value.size = record->head->value_size;
		found->value.data = palloc(found->value.size);
		memcpy(found->value.data, record->value, found->value.size);
	}
	if (search->index->coded)
		found->value_head = *(VdbHnswCodedValue *) record->value;
	if (search->keep_tids)
	{
		found->first_tid = search->tid_count;
		found->tid_count = hnsw_read_tids(search->index, record->head,
										  &search->tids, &search->tid_count,
										  &search->tid_space);
	}

	if (search->find_equal && !deleted && !search->equal_found &&
		hnsw_values_equal(search->index, search->query, record->value,
						  record->head->value_size))
	{
		search->equal_found = true;
		search->equal = record->ref;
	}

	if (search->nearest.count < search->ef)
		vdb_heap_push(&search->nearest, -distance, item);
	else if (-distance > search->nearest.entries[0].distance)
	{
		VdbHeapEntry farthest = search->nearest.entries[0];

		vdb_heap_replace(&search->nearest, -distance, item);
		if (search->keep_rest)
			vdb_heap_append(&search->evicted, -farthest.distance,
							farthest.item);
	}
	else if (search->keep_rest)
		vdb_heap_append(&search->evicted, distance, item);
}

/* Enter a vertex to be looked around, unless it is farther than "limit" */
static inline void
add_frontier(HnswSearch *search, VdbHnswRef ref, float distance, float limit)
{
	if (distance > limit && !search->keep_rest)
		return;

	if (search->ref_count == search->ref_space)
	{
		search->ref_space *= 2;
		search->refs = repalloc_huge(search->refs, sizeof(VdbHnswRef) *
									 (Size) search->ref_space);
	}
	search->refs[search->ref_count] = ref;

	if (distance > limit)
		vdb_heap_append(&search->deferred, distance, search->ref_count++);
	else
		vdb_heap_push(&search->frontier, distance, search->ref_count++);
}

/* The distance beyond which ef vertices that have been found are nearer */
static inline float
farthest_wanted(const HnswSearch *search)
{
	return search->nearest.count < search->ef ? get_float4_infinity() :
		-search->nearest.entries[0].distance;
}
