/*-------------------------------------------------------------------------
 *
 * hnsw_cost.c
 *	  What the planner is told about the cost of an index scan.
 *
 * A search reads about one page for each vertex that it looks at closely, and
 * how many those are follows from ef_search and, slowly, from the size of the
 * index.  All of that is paid before the first row.  Rows beyond the first
 * batch, which a filter makes necessary, cost their share of the whole index.
 *
 * IDENTIFICATION
 *	  src/hnsw/hnsw_cost.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/genam.h"
#include "nodes/pathnodes.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "utils/float.h"
#include "utils/rel.h"
#include "utils/selfuncs.h"
#include "utils/spccache.h"

#include "hnsw_private.h"

static double estimate_visits(HnswIndex *index, double tuples);
static double estimate_operators(const HnswIndex *index);

/* hnsw_cost_estimate -- amcostestimate */
void
hnsw_cost_estimate(PlannerInfo *root, IndexPath *path, double loop_count,
				   Cost *startup_cost, Cost *total_cost,
				   Selectivity *selectivity, double *correlation,
				   double *pages)
{
	GenericCosts costs = {0};
	Relation	rel;
	HnswIndex  *index;
	double		tuples = Max(path->indexinfo->tuples, 1);
	double		visits;
	double		share;
	double		random_page_cost;
	double		seq_page_cost;
	double		page_cost;
	Cost		visit_cost;

	/* An index that has no order to give is of no use */
	if (path->indexorderbys == NIL)
	{
		*startup_cost = get_float8_infinity();
		*total_cost = get_float8_infinity();
		*selectivity = 0;
		*correlation = 0;
		*pages = 0;
		VDB_DISABLE_PATH(&path->path);
		return;
	}

	costs.numIndexTuples = tuples;
	genericcostestimate(root, path, loop_count, &costs);

	rel = index_open(path->indexinfo->indexoid, NoLock);
	index = hnsw_index_open(rel);
	visits = Min(estimate_visits(index, tuples), tuples);
	visit_cost = cpu_operator_cost * estimate_operators(index) +
		cpu_index_tuple_cost;
	index_close(rel, NoLock);

	/*
	 * Searches go over the same pages again and again, so an index that the
	 * cache can hold is in it: a page costs what a cheap page does.  Not more
	 * pages are read than there are.  Rows that follow are as the generic
	 * estimate has it, which counts all pages for all rows.
	 */
	get_tablespace_page_costs(path->indexinfo->reltablespace,
							  &random_page_cost, &seq_page_cost);
	page_cost = path->indexinfo->pages < effective_cache_size ?
		seq_page_cost : random_page_cost;
	share = Min(visits / tuples, 1);
	*startup_cost = visits * visit_cost +
		Min(visits, path->indexinfo->pages) * page_cost;
	*total_cost = *startup_cost + (1 - share) * costs.indexTotalCost;
	*selectivity = costs.indexSelectivity;
	*correlation = 0;
	*pages = costs.numIndexPages;
}

/*
 * How many vertices a search looks at closely
 *
 * Measured with m = 16: a little more than the beam, plus a few for each
 * layer on the way down.  Without codes each of them has its neighbours read,
 * a part of which it has met before.
 */
static double
estimate_visits(HnswIndex *index, double tuples)
{
	double		layers = log(tuples) / log(index->meta.m);
	double		beam = hnsw_search_beam(index, hnsw_ef_search);
	double		visits = beam * 1.2 + 4 * layers;

	if (!index->coded)
		visits = (beam * 0.5 + layers) * index->meta.m;
	return visits;
}

/*
 * What comparing a value costs, in units of cpu_operator_cost: one for each
 * 256 bytes, which take about as long as a call of a simple operator
 */
static double
estimate_operators(const HnswIndex *index)
{
	double		bytes;

	switch (index->meta.element)
	{
		case VDB_ELEMENT_FLOAT32:
			bytes = 4.0 * index->meta.dimensions;
			break;
		case VDB_ELEMENT_FLOAT16:
			bytes = 2.0 * index->meta.dimensions;
			break;
		case VDB_ELEMENT_BIT:
			bytes = index->meta.dimensions / 8.0;
			break;
		default:
			bytes = 1024;
			break;
	}
	return 1 + bytes / 256;
}
