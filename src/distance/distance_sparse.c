/*-------------------------------------------------------------------------
 *
 * distance_sparse.c
 *	  Kernels over sparse vectors: merges of two ascending lists of indices.
 *
 * A merge is bound by its branches, not by arithmetic, so one form serves
 * all instruction sets.
 *
 * IDENTIFICATION
 *	  src/distance/distance_sparse.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "distance_private.h"


/*
 * Sum of the squared differences; an index that is missing in one vector
 * counts as zero there.
 */
float
vdb_sparse_l2_squared(VdbSparseView a, VdbSparseView b)
{
	float		sum = 0;
	int			i = 0;
	int			j = 0;

	while (i < a.count && j < b.count)
	{
		float		diff;

		if (a.indices[i] == b.indices[j])
			diff = a.values[i++] - b.values[j++];
		else if (a.indices[i] < b.indices[j])
			diff = a.values[i++];
		else
			diff = b.values[j++];
		sum += diff * diff;
	}
	for (; i < a.count; i++)
		sum += a.values[i] * a.values[i];
	for (; j < b.count; j++)
		sum += b.values[j] * b.values[j];
	return sum;
}

/* Sum of the products over the indices that both vectors have. */
float
vdb_sparse_inner_product(VdbSparseView a, VdbSparseView b)
{
	float		sum = 0;
	int			i = 0;
	int			j = 0;

	while (i < a.count && j < b.count)
	{
		int32		x = a.indices[i];
		int32		y = b.indices[j];

		/* the two steps need no branch, and matches are rare */
		if (x == y)
			sum += a.values[i] * b.values[j];
		i += x <= y;
		j += y <= x;
	}
	return sum;
}

/* Sum of the absolute differences, missing elements being zero. */
float
vdb_sparse_l1(VdbSparseView a, VdbSparseView b)
{
	float		sum = 0;
	int			i = 0;
	int			j = 0;

	while (i < a.count && j < b.count)
	{
		if (a.indices[i] == b.indices[j])
			sum += fabsf(a.values[i++] - b.values[j++]);
		else if (a.indices[i] < b.indices[j])
			sum += fabsf(a.values[i++]);
		else
			sum += fabsf(b.values[j++]);
	}
	for (; i < a.count; i++)
		sum += fabsf(a.values[i]);
	for (; j < b.count; j++)
		sum += fabsf(b.values[j]);
	return sum;
}
