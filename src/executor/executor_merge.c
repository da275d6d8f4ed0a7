/*-------------------------------------------------------------------------
 *
 * executor_merge.c
 *	  Rows that groups have sorted become one sorted stream.
 *
 * A heap has the number of each source that is at a row; the top is the next
 * row of the whole.  A source goes on to its next row when the caller comes
 * back, not before: the row that was returned has to stay, and a group that
 * has given what LIMIT wants is not asked again.  Rows that compare equal come
 * in the order of groups.
 *
 * IDENTIFICATION
 *	  src/executor/executor_merge.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "executor_private.h"

static int	compare_sources(Datum left, Datum right, void *context);

/*
 * executor_merge_create -- prepare to merge
 */
void
executor_merge_create(ExecutorFanout *fanout)
{
	VdbPlan    *plan = fanout->plan;

	fanout->sort_keys = palloc0(plan->sort_count * sizeof(SortSupportData));
	for (int i = 0; i < plan->sort_count; i++)
	{
		SortSupport key = &fanout->sort_keys[i];

		key->ssup_cxt = CurrentMemoryContext;
		key->ssup_collation = plan->sort_collations[i];
		key->ssup_nulls_first = plan->sort_nulls_first[i];
		key->ssup_attno = plan->sort_columns[i];
		key->abbreviate = false;
		PrepareSortSupportFromOrderingOp(plan->sort_operators[i], key);
	}
}

/*
 * executor_merge_begin -- wait for the first row of each source
 *
 * The own group's share is executed first, while the others work.
 */
void
executor_merge_begin(ExecutorFanout *fanout)
{
	fanout->heap = binaryheap_allocate(fanout->source_count, compare_sources,
									   fanout);
	for (int pass = 0; pass < 2; pass++)
	{
		for (int i = 0; i < fanout->source_count; i++)
		{
			ExecutorSource *source = &fanout->sources[i];

			if ((pass == 0) == (source->local != NULL) &&
				executor_source_next(fanout, source))
				binaryheap_add_unordered(fanout->heap, Int32GetDatum(i));
		}
	}
	binaryheap_build(fanout->heap);
}

/*
 * executor_merge_next -- the source that is at the next row, or NULL
 */
ExecutorSource *
executor_merge_next(ExecutorFanout *fanout)
{
	CHECK_FOR_INTERRUPTS();
	if (fanout->current)
	{
		Datum		top = binaryheap_first(fanout->heap);

		if (executor_source_next(fanout, fanout->current))
			binaryheap_replace_first(fanout->heap, top);
		else
			(void) binaryheap_remove_first(fanout->heap);
	}
	if (binaryheap_empty(fanout->heap))
		return NULL;
	return &fanout->sources[DatumGetInt32(binaryheap_first(fanout->heap))];
}

/* The heap has the largest on top: the row that comes first is the larger. */
static int
compare_sources(Datum left, Datum right, void *context)
{
	ExecutorFanout *fanout = (ExecutorFanout *) context;
	ExecutorSource *one = &fanout->sources[DatumGetInt32(left)];
	ExecutorSource *other = &fanout->sources[DatumGetInt32(right)];

	for (int i = 0; i < fanout->plan->sort_count; i++)
	{
		SortSupport key = &fanout->sort_keys[i];
		int			column = key->ssup_attno - 1;
		int			order;

		order = ApplySortComparator(one->values[column], one->nulls[column],
									other->values[column],
									other->nulls[column], key);
		if (order != 0)
			return order < 0 ? 1 : -1;
	}
	return one->group < other->group ? 1 : -1;
}
