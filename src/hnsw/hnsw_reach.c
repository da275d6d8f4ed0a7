/*-------------------------------------------------------------------------
 *
 * hnsw_reach.c
 *	  After VACUUM has led lists around deleted vertices: is all that is left
 *	  still led to?
 *
 * What is repaired is each list by itself.  When a whole region goes, two
 * parts may be left that only it connected, each with neighbours enough of
 * its own; or the last vertex that pointed to another is gone.  So we walk
 * through the graph from the entry point as a search would, down from the
 * upper layers and through layer 0, and have each vertex that was not met
 * linked with the nearest that a search finds.
 *
 * What can be reached need not be found.  When all that lay between a cluster
 * and the rest was deleted, the edges that still lead to it may come from far
 * away, where no search for its vertices passes.  So those at the edge of such
 * a gap (hnsw_repair.c notes them) are searched for, and if they are not found,
 * linked with what was found instead.
 *
 * Not where the metric is the inner product, for the reason that hnsw_connect.c
 * gives.
 *
 * All of it takes up to half of maintenance_work_mem, some 100 bytes a record;
 * an index too large for that goes without.
 *
 * Others may insert meanwhile.  What they add is led to by them, and at worst
 * met here without need.
 *
 * IDENTIFICATION
 *	  src/hnsw/hnsw_reach.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/vacuum.h"
#include "miscadmin.h"

#include "hnsw_vacuum.h"

/* A record to be looked at */
typedef struct Step
{
	VdbHnswRef	ref;
	int			layer;
} Step;

/* A walk; what was met is noted by place */
typedef struct Walk
{
	HnswVacuum *vacuum;
	VdbVisited	met;
	Step	   *steps;
	uint32		step_count;
	uint32		step_space;
	bool		given_up;		/* for want of memory */
} Walk;

static void walk_from(Walk *walk, VdbHnswRef ref, int layer);
static void meet(Walk *walk, VdbHnswRef ref, int layer);
static void follow(Walk *walk, VdbHnswRef ref, int layer);
static void reach_page(Walk *walk, BlockNumber blkno);
static bool form_query(HnswIndex *index, VdbHnswRef ref, HnswQuery *query);
static void lead_to(Walk *walk, VdbHnswRef ref);
static bool find_nearest(HnswIndex *index, const HnswQuery *query,
						 VdbHnswRef self, HnswNeighbour *nearest);

/*
 * hnsw_reach_pass -- have the entry point lead to every live vertex
 *
 * Nobody points to a deleted vertex any more.
 */
void
hnsw_reach_pass(HnswVacuum *vacuum)
{
	HnswIndex  *index = vacuum->index;
	MemoryContext context;
	MemoryContext old;
	Walk		walk = {0};
	VdbHnswRef	entry;
	int			layer;
	BlockNumber blocks;

	hnsw_read_entry(index, &entry, &layer);
	if (VdbHnswRefIsNone(entry) || index->meta.metric == VDB_METRIC_IP)
		return;

	context = AllocSetContextCreate(CurrentMemoryContext, "hnsw reach",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	walk.vacuum = vacuum;
	vdb_visited_init(&walk.met, 1024);
	walk.step_space = 1024;
	walk.steps = palloc(sizeof(Step) * walk.step_space);

	walk_from(&walk, entry, layer);
	blocks = RelationGetNumberOfBlocks(index->rel);
	for (BlockNumber blkno = VDB_HNSW_METAPAGE + 1;
		 blkno < blocks && !walk.given_up; blkno++)
	{
		vdb_vacuum_delay_point();
		reach_page(&walk, blkno);
	}

	if (walk.given_up)
		ereport(DEBUG1,
				(errmsg_internal("maintenance_work_mem does not suffice to see what hnsw index \"%s\" leads to",
								 RelationGetRelationName(index->rel))));

	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* Meet all that a record leads to */
static void
walk_from(Walk *walk, VdbHnswRef ref, int layer)
{
	meet(walk, ref, layer);
	while (walk->step_count > 0 && !walk->given_up)
	{
		Step		step = walk->steps[--walk->step_count];

		vdb_vacuum_delay_point();
		follow(walk, step.ref, step.layer);
	}
}

/* Note a record, to be followed later; no lock is needed */
static void
meet(Walk *walk, VdbHnswRef ref, int layer)
{
	if (!vdb_visited_add(&walk->met, hnsw_place_key(ref.blkno, ref.offno)))
		return;

	/* a table that is full has to be there twice, and so do the steps */
	if (walk->met.count % 1024 == 0 &&
		3 * vdb_visited_size(&walk->met) +
		3 * sizeof(Step) * (Size) walk->step_space +
		vdb_visited_size(&walk->vacuum->doubtful) > walk->vacuum->limit)
	{
		walk->given_up = true;
		return;
	}
	if (walk->step_count == walk->step_space)
	{
		walk->step_space *= 2;
		walk->steps = repalloc_huge(walk->steps,
									sizeof(Step) * (Size) walk->step_space);
	}
	walk->steps[walk->step_count].ref = ref;
	walk->steps[walk->step_count++].layer = layer;
}

/* Meet the neighbours of a record, and its own record one layer below */
static void
follow(Walk *walk, VdbHnswRef ref, int layer)
{
	HnswRecord	record = {0};

	if (!hnsw_lock_list(walk->vacuum->index, ref, layer, &record))
		return;
	for (int i = 0; i < record.head->count; i++)
		meet(walk, record.refs[i], layer);
	if (layer > 0)
		meet(walk, record.head->link, layer - 1);
	hnsw_unlock_record(&record);
}

/* Lead to those vertices on a page that were not met, or are doubtful */
static void
reach_page(Walk *walk, BlockNumber blkno)
{
	VdbHnswRef	wanted[MaxOffsetNumber];
	int			count = 0;
	OffsetNumber max;
	Buffer		buf = hnsw_read_vertices(walk->vacuum->index, blkno,
										 walk->vacuum->strategy, &max);
	Page		page = BufferGetPage(buf);

	for (OffsetNumber offno = FirstOffsetNumber; offno <= max; offno++)
	{
		VdbHnswRecordData *head = (VdbHnswRecordData *)
		PageGetItem(page, PageGetItemId(page, offno));

		if (head->kind != VDB_HNSW_RECORD_VERTEX || head->layer > 0 ||
			(head->flags & VDB_HNSW_DELETED) != 0 ||
			(vdb_visited_contains(&walk->met, hnsw_place_key(blkno, offno)) &&
			 !vdb_visited_contains(&walk->vacuum->doubtful,
								   hnsw_place_key(blkno, offno))))
			continue;
		wanted[count].blkno = blkno;
		wanted[count].offno = offno;
		wanted[count++].generation = head->generation;
	}
	hnsw_unlock_page(buf);

	for (int i = 0; i < count && !walk->given_up; i++)
	{
		vdb_vacuum_delay_point();
		lead_to(walk, wanted[i]);
	}
}

/* The value of a vertex as something to search for; false when it is gone */
static bool
form_query(HnswIndex *index, VdbHnswRef ref, HnswQuery *query)
{
	HnswRecord	record = {0};
	HnswValue	value;

	if (!hnsw_lock_record(index, ref, 0, &record))
		return false;
	value.size = record.head->value_size;
	value.data = palloc(value.size);
	memcpy(value.data, record.value, value.size);
	hnsw_unlock_record(&record);
	hnsw_query_from_value(index, value, query);
	return true;
}

/*
 * Unless a search comes to a vertex, link it with the nearest that is found,
 * both ways, and go on from there
 *
 * The nearest has to take it.  What it then drops to make room was met
 * already; should nothing else point to that, the next VACUUM finds it.
 */
static void
lead_to(Walk *walk, VdbHnswRef ref)
{
	HnswIndex  *index = walk->vacuum->index;
	MemoryContext old = MemoryContextSwitchTo(walk->vacuum->context);
	HnswQuery	query;
	HnswQuery	nearest_query;
	HnswLink	link = {0};
	HnswNeighbour nearest;

	hnsw_lock_graph(index->rel, ShareLock);
	if (form_query(index, ref, &query) &&
		find_nearest(index, &query, ref, &nearest))
	{
		link.index = index;
		link.query = &query;
		link.to = ref;
		hnsw_link(&link, nearest.ref, true);

		hnsw_query_from_value(index, nearest.value, &nearest_query);
		memset(&link, 0, sizeof(HnswLink));
		link.index = index;
		link.query = &nearest_query;
		link.to = nearest.ref;
		hnsw_link(&link, ref, false);
	}
	hnsw_unlock_graph(index->rel, ShareLock);
	MemoryContextSwitchTo(old);
	MemoryContextReset(walk->vacuum->context);
	walk_from(walk, ref, 0);
}

/*
 * What a search for "self" finds nearest, unless it comes to that
 *
 * The search is one with the default of hnsw.ef_search, and ends at a vertex
 * of the same value; another one than "self" is the nearest.  The value is
 * copied into the current memory context.  Returns false when the search comes
 * to "self", or to nothing.
 */
static bool
find_nearest(HnswIndex *index, const HnswQuery *query, VdbHnswRef self,
			 HnswNeighbour *nearest)
{
	HnswSearch *search;
	VdbHnswRef	from;
	int			layer;
	uint32	   *items;
	uint32		count;
	bool		found = false;

	if (!hnsw_search_descend(index, query, 0, &from, &layer))
		return false;
	search = hnsw_search_begin(index, query, 0,
							   hnsw_search_beam(index, HNSW_DEFAULT_EF_SEARCH));
	search->keep_values = true;
	search->live_only = true;
	search->find_equal = true;
	hnsw_search_run(search, from);

	items = palloc(sizeof(uint32) * search->ef);
	count = hnsw_search_take(search, items);
	if (search->equal_found)
	{
		nearest->ref = search->equal;
		nearest->value = query->value;
		found = !VdbHnswRefEquals(search->equal, self);
	}
	else if (count > 0)
	{
		HnswFound  *f = &search->found[items[0]];

		nearest->ref = f->ref;
		nearest->value = f->value;
		found = true;
	}
	hnsw_search_end(search);
	return found;
}
