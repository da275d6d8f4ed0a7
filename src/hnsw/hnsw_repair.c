/*-------------------------------------------------------------------------
 *
 * hnsw_repair.c
 *	  Leading the graph around vertices that VACUUM is about to remove.
 *
 * The neighbours of a vertex that points to a deleted one are chosen anew,
 * from those that stay and from others.  In a coded index these are what a
 * short search that begins at the vertex finds: it is led through the deleted
 * ones, too.  Without codes a search is dear, and they are the neighbours of
 * the deleted: whoever could be reached through those can be reached still.
 *
 * Where whole regions were deleted, that finds few, and the graph would fall
 * apart.  Then a search, through the deleted region and from the entry point,
 * finds who lives beyond, and they are linked both ways.  That is done in
 * upper layers always: their records are few, and whatever falls apart in
 * layer 0 is held together by them.
 *
 * IDENTIFICATION
 *	  src/hnsw/hnsw_repair.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/vacuum.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "hnsw_vacuum.h"

/* One vertex record under repair */
typedef struct Repair
{
	HnswVacuum *vacuum;
	VdbHnswRef	ref;
	int			layer;
	VdbHnswRef *refs;			/* its list as it was read */
	int			count;
	int			dead;			/* of them, deleted ones */
	bool		at_gap;			/* most neighbours of one of those are deleted */
	HnswQuery	query;			/* its value, as something to search for */
	HnswNeighbour *candidates;	/* to take the places of the deleted */
	int			candidate_count;
	int			candidate_space;
	bool		searched;		/* candidates come from a search */
	HnswRecord	record;
} Repair;

static void repair_page(HnswVacuum *vacuum, BlockNumber blkno);
static void repair_record(HnswVacuum *vacuum, VdbHnswRef ref, int layer);
static void note_doubtful(const Repair *repair);
static bool read_list(Repair *repair);
static void form_own_query(Repair *repair, const void *value, Size size);
static void find_candidates(Repair *repair);
static void collect_candidates(Repair *repair);
static void add_candidates_of(Repair *repair, VdbHnswRef dead);
static void search_candidates(Repair *repair);
static int	add_found_from(Repair *repair, VdbHnswRef from);
static void add_remaining(Repair *repair);
static void fill_list(Repair *repair);
static void link_candidates(Repair *repair);
static bool is_known(const Repair *repair, VdbHnswRef ref);
static bool read_value(Repair *repair, HnswNeighbour *candidate);
static bool change_list(Repair *repair);
static void change_coded(Repair *repair, HnswChange *change);
static void change_plain(Repair *repair);
static bool change_edge(Repair *repair, HnswChange *change);
static int	find_candidate(const Repair *repair, VdbHnswRef ref);
static int	find_ref(const VdbHnswRef *refs, int count, VdbHnswRef ref);
static void remove_edge(Repair *repair, HnswChange *change, int at);

/*
 * hnsw_repair_entry -- have an entry point that stays
 *
 * An insertion may have made a new one since the upper pass, which is as
 * good as any.
 */
void
hnsw_repair_entry(HnswVacuum *vacuum)
{
	HnswChange	change;
	VdbHnswMetaPageData *meta;

	/* lock rule 1: nobody else sets the entry point meanwhile */
	hnsw_lock_graph(vacuum->index->rel, ExclusiveLock);

	/* lock rule 2: the metapage alone */
	hnsw_change_begin(&change, vacuum->index);
	meta = VdbHnswPageGetMeta(hnsw_change_page(&change, VDB_HNSW_METAPAGE));
	if (!VdbHnswRefIsNone(meta->entry) &&
		hnsw_is_deleted(vacuum, meta->entry.blkno, meta->entry.offno))
	{
		memset(&meta->entry, 0, sizeof(VdbHnswRef));
		meta->entry_layer = 0;
		if (vacuum->entry_layer >= 0)
		{
			meta->entry = vacuum->entry;
			meta->entry_layer = vacuum->entry_layer;
		}
		hnsw_change_finish(&change);
	}
	else
		hnsw_change_abort(&change);

	hnsw_unlock_graph(vacuum->index->rel, ExclusiveLock);
}

/* hnsw_repair_pass -- repair all vertices that point to deleted ones */
void
hnsw_repair_pass(HnswVacuum *vacuum)
{
	BlockNumber blocks = RelationGetNumberOfBlocks(vacuum->index->rel);

	for (BlockNumber blkno = VDB_HNSW_METAPAGE + 1; blkno < blocks; blkno++)
	{
		vdb_vacuum_delay_point();
		repair_page(vacuum, blkno);
	}
}

/* Repair the records of one page */
static void
repair_page(HnswVacuum *vacuum, BlockNumber blkno)
{
	HnswIndex  *index = vacuum->index;
	MemoryContext old = MemoryContextSwitchTo(vacuum->context);
	VdbHnswRef *broken = palloc(sizeof(VdbHnswRef) * MaxOffsetNumber);
	uint8	   *layers = palloc(MaxOffsetNumber);
	int			broken_count = 0;
	OffsetNumber max;
	Buffer		buf = hnsw_read_vertices(index, blkno, vacuum->strategy,
										 &max);
	Page		page = BufferGetPage(buf);

	for (OffsetNumber offno = FirstOffsetNumber; offno <= max; offno++)
	{
		HnswRecord	record = {0};
		bool		is_broken = false;

		hnsw_record_parts(index, (VdbHnswRecordData *)
						  PageGetItem(page, PageGetItemId(page, offno)),
						  &record);
		if (record.head->kind != VDB_HNSW_RECORD_VERTEX ||
			(record.head->flags & VDB_HNSW_DELETED) != 0)
			continue;
		for (int i = 0; i < record.head->count && !is_broken; i++)
			is_broken = hnsw_is_deleted(vacuum, record.refs[i].blkno,
										record.refs[i].offno);
		if (!is_broken)
			continue;
		broken[broken_count].blkno = blkno;
		broken[broken_count].offno = offno;
		broken[broken_count].generation = record.head->generation;
		layers[broken_count++] = record.head->layer;
	}
	hnsw_unlock_page(buf);

	for (int i = 0; i < broken_count; i++)
		repair_record(vacuum, broken[i], layers[i]);
	MemoryContextSwitchTo(old);
	MemoryContextReset(vacuum->context);
}

/* Repair one record; insertions may change it until it is done */
static void
repair_record(HnswVacuum *vacuum, VdbHnswRef ref, int layer)
{
	Repair		repair = {0};

	repair.vacuum = vacuum;
	repair.ref = ref;
	repair.layer = layer;
	do
	{
		vdb_vacuum_delay_point();
		if (!read_list(&repair))
			return;
		find_candidates(&repair);
		note_doubtful(&repair);
		add_remaining(&repair);
		if (vacuum->index->coded)
			fill_list(&repair);
		VDB_DEBUG_POINT("hnsw_repair_collected");
	} while (!change_list(&repair));
	if (repair.searched)
		link_candidates(&repair);
}

/*
 * Note a vertex at the edge of a gap, which searches may not cross any more
 *
 * hnsw_reach_pass() looks into that.  The set gets a third of what that pass
 * may take, and while it grows, half; the rest goes without.
 */
static void
note_doubtful(const Repair *repair)
{
	HnswVacuum *vacuum = repair->vacuum;

	if (repair->layer == 0 && repair->at_gap &&
		6 * vdb_visited_size(&vacuum->doubtful) <= vacuum->limit)
		vdb_visited_add(&vacuum->doubtful,
						hnsw_place_key(repair->ref.blkno, repair->ref.offno));
}

/* Copy the list of the record; false when nothing is wrong with it */
static bool
read_list(Repair *repair)
{
	HnswIndex  *index = repair->vacuum->index;
	HnswRecord *record = &repair->record;

	if (!hnsw_lock_record(index, repair->ref, repair->layer, record))
		return false;
	repair->count = record->head->count;
	repair->refs = palloc(sizeof(VdbHnswRef) * (repair->count + 1));
	memcpy(repair->refs, record->refs, sizeof(VdbHnswRef) * repair->count);
	form_own_query(repair, record->value, record->head->value_size);
	hnsw_unlock_record(record);

	repair->dead = 0;
	for (int i = 0; i < repair->count; i++)
		repair->dead += hnsw_is_deleted(repair->vacuum,
										repair->refs[i].blkno,
										repair->refs[i].offno);
	return repair->dead > 0;
}

static void
form_own_query(Repair *repair, const void *value, Size size)
{
	HnswValue	own;

	own.size = size;
	own.data = palloc(size);
	memcpy(own.data, value, size);
	hnsw_query_from_value(repair->vacuum->index, own, &repair->query);
}

/*
 * Choose those of the list that stay, and of the other candidates those that
 * the heuristic takes and there is room for
 */
static void
fill_list(Repair *repair)
{
	HnswIndex  *index = repair->vacuum->index;
	int			count = repair->candidate_count;
	int			capacity = hnsw_layer_capacity(index, repair->layer);
	int			room = capacity - (repair->count - repair->dead);
	HnswNeighbour *taken = palloc(sizeof(HnswNeighbour) * capacity);
	HnswNeighbour *covered = palloc(sizeof(HnswNeighbour) * (count + capacity));
	HnswNeighbour *spare = covered + capacity;
	int			taken_count = 0;
	int			covered_count = 0;
	int			spare_count = 0;

	hnsw_sort_neighbours(repair->candidates, count);
	for (int i = 0; i < count; i++)
	{
		HnswNeighbour *candidate = &repair->candidates[i];
		bool		stays = find_ref(repair->refs, repair->count,
									 candidate->ref) >= 0;

		if (!stays && (room <= 0 || !read_value(repair, candidate)))
			continue;
		candidate->covered = hnsw_is_near_taken(index, candidate, taken,
												taken_count);
		if (!candidate->covered && (stays || room > 0))
		{
			taken[taken_count++] = *candidate;
			room -= !stays;
		}
		else if (stays)
			covered[covered_count++] = *candidate;
		else
			spare[spare_count++] = *candidate;
	}
	for (int i = 0; i < spare_count && room > 0; i++, room--)
		covered[covered_count++] = spare[i];

	memcpy(repair->candidates, taken, sizeof(HnswNeighbour) * taken_count);
	memcpy(repair->candidates + taken_count, covered,
		   sizeof(HnswNeighbour) * covered_count);
	repair->candidate_count = taken_count + covered_count;
}

/*
 * Find candidates for the list of a record, other than those that it has
 *
 * Of what a search finds only as many as do not cover each other, or little
 * more than is missing: they are to be linked both ways.
 */
static void
find_candidates(Repair *repair)
{
	HnswIndex  *index = repair->vacuum->index;
	int			capacity = hnsw_layer_capacity(index, repair->layer);

	if (repair->layer == 0)
		collect_candidates(repair);
	repair->searched = repair->layer > 0 ||
		repair->candidate_count < repair->dead;
	if (repair->searched)
	{
		search_candidates(repair);
		repair->candidate_count =
			hnsw_select_neighbours(index, repair->candidates,
								   repair->candidate_count,
								   Min(repair->dead + 2, capacity));
	}
}

/* Neighbours of the deleted ones that stay */
static void
collect_candidates(Repair *repair)
{
	int			capacity = hnsw_layer_capacity(repair->vacuum->index,
											   repair->layer);

	repair->candidate_count = 0;
	repair->candidate_space = capacity * (repair->dead + 1) + 1;
	repair->candidates = palloc0(sizeof(HnswNeighbour) *
								 repair->candidate_space);
	for (int i = 0; i < repair->count; i++)
	{
		if (hnsw_is_deleted(repair->vacuum, repair->refs[i].blkno,
							repair->refs[i].offno))
			add_candidates_of(repair, repair->refs[i]);
	}
}

/*
 * Candidates from a search that begins at the record and goes through
 * deleted vertices until it has found enough that stay
 *
 * When it has not found enough, the record is in a part of the graph that is
 * small and perhaps cut off, so another search comes from the entry point.
 */
static void
search_candidates(Repair *repair)
{
	HnswIndex  *index = repair->vacuum->index;
	int			ef = index->meta.ef_construction;
	VdbHnswRef	from;
	int			layer;

	repair->candidate_count = 0;
	repair->candidate_space = 2 * ef + repair->count + 1;
	repair->candidates = palloc0(sizeof(HnswNeighbour) *
								 repair->candidate_space);

	if (add_found_from(repair, repair->ref) < ef &&
		hnsw_search_descend(index, &repair->query, repair->layer, &from,
							&layer) &&
		layer == repair->layer)
		add_found_from(repair, from);
}

/*
 * Add what a search from a vertex finds; returns how many it has found
 */
static int
add_found_from(Repair *repair, VdbHnswRef from)
{
	HnswIndex  *index = repair->vacuum->index;
	HnswSearch *search;
	uint32	   *items;
	uint32		found;

	search = hnsw_search_begin(index, &repair->query, repair->layer,
							   index->meta.ef_construction);
	search->keep_values = true;
	search->live_only = true;
	hnsw_search_run(search, from);

	items = palloc(sizeof(uint32) * search->ef);
	found = hnsw_search_take(search, items);
	for (uint32 i = 0; i < found; i++)
	{
		HnswFound  *f = &search->found[items[i]];
		HnswNeighbour *candidate;

		if (is_known(repair, f->ref) ||
			find_ref(repair->refs, repair->count, f->ref) >= 0)
			continue;
		candidate = &repair->candidates[repair->candidate_count++];
		candidate->ref = f->ref;
		candidate->distance = f->distance;
		candidate->value = f->value;
	}
	hnsw_search_end(search);
	return found;
}

/*
 * Add those of the list that stay, with their values
 *
 * Without codes all candidates get their values, for all compete.
 */
static void
add_remaining(Repair *repair)
{
	int			from = repair->vacuum->index->coded ?
	repair->candidate_count : 0;
	int			kept = from;

	for (int i = 0; i < repair->count; i++)
	{
		if (!hnsw_is_deleted(repair->vacuum, repair->refs[i].blkno,
							 repair->refs[i].offno))
			repair->candidates[repair->candidate_count++].ref =
				repair->refs[i];
	}
	for (int i = from; i < repair->candidate_count; i++)
	{
		if (read_value(repair, &repair->candidates[i]))
			repair->candidates[kept++] = repair->candidates[i];
	}
	repair->candidate_count = kept;
}

/*
 * Make those that were found by a search point to the repaired record
 *
 * As after an insertion: one of them has to, if it is the only one.  Nothing
 * is removed meanwhile, for it is us who would.
 */
static void
link_candidates(Repair *repair)
{
	HnswLink	link = {0};
	int			linked;

	link.index = repair->vacuum->index;
	link.layer = repair->layer;
	link.query = &repair->query;
	link.to = repair->ref;
	link.own = repair->candidates;
	link.own_count = repair->candidate_count;

	linked = hnsw_link_all(&link);
	for (int i = 0; i < repair->candidate_count && linked == 0; i++)
		linked += hnsw_link(&link, repair->candidates[i].ref, true);
}

/*
 * Add the neighbours of a deleted vertex that stay
 *
 * With estimates of their distances where there are codes, and no values.
 */
static void
add_candidates_of(Repair *repair, VdbHnswRef dead)
{
	HnswIndex  *index = repair->vacuum->index;
	HnswRecord *record = &repair->record;
	int			count;
	VdbHnswRef *refs;
	float	   *estimates;
	int			gone = 0;

	if (!hnsw_lock_record(index, dead, repair->layer, record))
		return;
	count = record->head->count;
	refs = palloc(sizeof(VdbHnswRef) * (count + 1));
	memcpy(refs, record->refs, sizeof(VdbHnswRef) * count);
	estimates = palloc0(sizeof(float) * (count + 1));
	if (index->coded)
	{
		int32	   *sums = palloc(sizeof(int32) * (count + 1));

		hnsw_estimate(index, &repair->query,
					  hnsw_query_distance(index, &repair->query,
										  record->value),
					  record, sums, estimates);
	}
	hnsw_unlock_record(record);

	for (int i = 0; i < count; i++)
	{
		if (hnsw_is_deleted(repair->vacuum, refs[i].blkno, refs[i].offno))
		{
			gone++;
			continue;
		}
		if (is_known(repair, refs[i]) ||
			find_ref(repair->refs, repair->count, refs[i]) >= 0 ||
			repair->candidate_count == repair->candidate_space)
			continue;
		repair->candidates[repair->candidate_count].ref = refs[i];
		repair->candidates[repair->candidate_count++].distance = estimates[i];
	}
	repair->at_gap |= gone > count / 2;
}

/* Is this the record itself, or a candidate already? */
static bool
is_known(const Repair *repair, VdbHnswRef ref)
{
	return VdbHnswRefEquals(repair->ref, ref) ||
		find_candidate(repair, ref) >= 0;
}

/* Have the value of a candidate; false when it is gone or deleted */
static bool
read_value(Repair *repair, HnswNeighbour *candidate)
{
	HnswIndex  *index = repair->vacuum->index;
	HnswRecord *record = &repair->record;
	bool		deleted;

	if (candidate->value.data != NULL)
		return true;
	if (!hnsw_lock_record(index, candidate->ref, repair->layer, record))
		return false;
	deleted = (record->head->flags & VDB_HNSW_DELETED) != 0;
	if (!deleted)
	{
		candidate->value.size = record->head->value_size;
		candidate->value.data = palloc(candidate->value.size);
		memcpy(candidate->value.data, record->value, candidate->value.size);
		candidate->distance = hnsw_query_distance(index, &repair->query,
												  record->value);
	}
	hnsw_unlock_record(record);
	return !deleted;
}

/*
 * Put the repaired list in force; false when it has changed meanwhile
 */
static bool
change_list(Repair *repair)
{
	HnswIndex  *index = repair->vacuum->index;
	HnswChange	change;
	bool		same;

	hnsw_change_begin(&change, index);
	if (!hnsw_change_record(&change, repair->ref, repair->layer,
							&repair->record))
	{
		hnsw_change_abort(&change);
		return true;
	}
	same = repair->record.head->count == repair->count;
	for (int i = 0; same && i < repair->count; i++)
		same = VdbHnswRefEquals(repair->record.refs[i], repair->refs[i]);
	if (!same)
	{
		hnsw_change_abort(&change);
		return false;
	}

	if (index->coded)
		change_coded(repair, &change);
	else
	{
		change_plain(repair);
		hnsw_change_finish(&change);
	}
	return true;
}

/*
 * Make the list that was chosen of the one that there is
 *
 * Neighbours that stay keep their places.  In one change, unless the record
 * has body pages, which might be too many for that: then insertions may come
 * in between, and what they put into the list stays.  Finishes the change.
 */
static void
change_coded(Repair *repair, HnswChange *change)
{
	HnswRecord *record = &repair->record;

	while (change_edge(repair, change))
	{
		if (record->head->body_pages == 0)
			continue;
		hnsw_change_finish(change);
		hnsw_change_begin(change, repair->vacuum->index);
		if (!hnsw_change_record(change, repair->ref, repair->layer, record))
		{
			hnsw_change_abort(change);
			return;
		}
	}

	for (int i = 0; i < record->head->count; i++)
	{
		int			at = find_candidate(repair, record->refs[i]);

		if (at >= 0)
			hnsw_set_covered(record->covered, i,
							 repair->candidates[at].covered);
	}
	hnsw_change_finish(change);
}

/* Make one step of that; false when nothing is left to do */
static bool
change_edge(Repair *repair, HnswChange *change)
{
	HnswIndex  *index = repair->vacuum->index;
	HnswRecord *record = &repair->record;
	HnswNeighbour *added = NULL;
	int			at = -1;
	bool		dead = false;
	VdbHnswFactors factors;
	uint8	   *code;
	float	   *target = index->scratch + index->meta.padded;

	for (int i = 0; i < repair->candidate_count && added == NULL; i++)
	{
		if (find_ref(record->refs, record->head->count,
					 repair->candidates[i].ref) < 0)
			added = &repair->candidates[i];
	}
	for (int i = record->head->count - 1; i >= 0 && !dead; i--)
	{
		dead = hnsw_is_deleted(repair->vacuum, record->refs[i].blkno,
							   record->refs[i].offno);
		if (dead || (find_candidate(repair, record->refs[i]) < 0 &&
					 find_ref(repair->refs, repair->count,
							  record->refs[i]) >= 0))
			at = i;
	}
	if (added == NULL)
	{
		if (dead)
			remove_edge(repair, change, at);
		return dead;
	}
	if (at < 0)
		at = record->head->count;
	if (at == record->head->capacity)
		return false;

	code = palloc(index->code_size);
	hnsw_decode_value(index, record->value, index->scratch);
	hnsw_decode_value(index, added->value.data, target);
	hnsw_encode_edge(index, index->scratch, target, -1, &factors, code);
	hnsw_change_edge(change, record, at, added->ref, &factors, code,
					 added->covered);
	return true;
}

/* Number of the candidate of a reference, or -1 */
static int
find_candidate(const Repair *repair, VdbHnswRef ref)
{
	for (int i = 0; i < repair->candidate_count; i++)
	{
		if (VdbHnswRefEquals(repair->candidates[i].ref, ref))
			return i;
	}
	return -1;
}

/* Place of a reference in a list, or -1 */
static int
find_ref(const VdbHnswRef *refs, int count, VdbHnswRef ref)
{
	for (int i = 0; i < count; i++)
	{
		if (VdbHnswRefEquals(refs[i], ref))
			return i;
	}
	return -1;
}

/* Put the last neighbour in the place of one that goes */
static void
remove_edge(Repair *repair, HnswChange *change, int at)
{
	HnswIndex  *index = repair->vacuum->index;
	HnswRecord *record = &repair->record;
	int			last = record->head->count - 1;

	if (at != last)
	{
		VdbHnswFactors factors = record->factors[last];
		uint8	   *code = palloc(index->code_size);

		memcpy(code, record->codes + last * index->code_size,
			   index->code_size);
		if (record->head->body_pages > 0)
		{
			VdbHnswRef	moved = record->refs[last];
			bool		covered = hnsw_is_covered(record->covered, last);

			/* two places in the body: a change of their own */
			hnsw_change_edge(change, record, at, moved, &factors, code,
							 covered);
			record->head->count--;
			hnsw_change_finish(change);
			hnsw_change_begin(change, index);
			hnsw_change_record(change, repair->ref, repair->layer, record);
			return;
		}
		hnsw_change_edge(change, record, at, record->refs[last], &factors,
						 code, hnsw_is_covered(record->covered, last));
	}
	record->head->count--;
}

/* The heuristic's choice among all that there are */
static void
change_plain(Repair *repair)
{
	HnswIndex  *index = repair->vacuum->index;
	VdbHnswRecordData *head = repair->record.head;

	head->count = hnsw_select_neighbours(index, repair->candidates,
										 repair->candidate_count,
										 head->capacity);
	for (int i = 0; i < head->count; i++)
		repair->record.refs[i] = repair->candidates[i].ref;
}
