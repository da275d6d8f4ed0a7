/*-------------------------------------------------------------------------
 *
 * types_sparse_math.c
 *	  Distances, norm, comparison and hashing of sparsevec.
 *
 * IDENTIFICATION
 *	  src/types/types_sparse_math.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"

#include "types_private.h"

static double compute_norm(const VdbSparseVector *value);
static int	compare(const VdbSparseVector *a, const VdbSparseVector *b);
static int	compare_arguments(FunctionCallInfo fcinfo);

/*
 * Two values of the same number of dimensions, as the kernels see them.
 */
typedef struct SparsePair
{
	VdbSparseView a;
	VdbSparseView b;
} SparsePair;

/*
 * get_argument -- the n-th argument of a function called from SQL
 */
static inline VdbSparseVector *
get_argument(FunctionCallInfo fcinfo, int n)
{
	return types_sparsevec_from_datum(PG_GETARG_DATUM(n));
}

/*
 * get_pair -- the two arguments of a function that wants them alike
 */
static inline SparsePair
get_pair(FunctionCallInfo fcinfo)
{
	VdbSparseVector *a = get_argument(fcinfo, 0);
	VdbSparseVector *b = get_argument(fcinfo, 1);
	SparsePair	pair;

	if (unlikely(a->dim != b->dim))
		types_report_different(a->dim, b->dim, "sparsevec");
	pair.a = types_sparsevec_view(a);
	pair.b = types_sparsevec_view(b);
	return pair;
}

/*
 * l2_distance(sparsevec, sparsevec) -- Euclidean
 */
VDB_FUNCTION(vecdb_sparsevec_l2_distance);

Datum
vecdb_sparsevec_l2_distance(PG_FUNCTION_ARGS)
{
	SparsePair	pair = get_pair(fcinfo);

	PG_RETURN_FLOAT8(sqrt((double) vdb_sparse_l2_squared(pair.a, pair.b)));
}

/*
 * sparsevec_l2_squared_distance(sparsevec, sparsevec)
 */
VDB_FUNCTION(vecdb_sparsevec_l2_squared_distance);

Datum
vecdb_sparsevec_l2_squared_distance(PG_FUNCTION_ARGS)
{
	SparsePair	pair = get_pair(fcinfo);

	PG_RETURN_FLOAT8(vdb_sparse_l2_squared(pair.a, pair.b));
}

/*
 * inner_product(sparsevec, sparsevec)
 */
VDB_FUNCTION(vecdb_sparsevec_inner_product);

Datum
vecdb_sparsevec_inner_product(PG_FUNCTION_ARGS)
{
	SparsePair	pair = get_pair(fcinfo);

	PG_RETURN_FLOAT8(vdb_sparse_inner_product(pair.a, pair.b));
}

/*
 * sparsevec_negative_inner_product(sparsevec, sparsevec)
 */
VDB_FUNCTION(vecdb_sparsevec_negative_inner_product);

Datum
vecdb_sparsevec_negative_inner_product(PG_FUNCTION_ARGS)
{
	SparsePair	pair = get_pair(fcinfo);

	PG_RETURN_FLOAT8(-vdb_sparse_inner_product(pair.a, pair.b));
}

/*
 * cosine_distance(sparsevec, sparsevec)
 */
VDB_FUNCTION(vecdb_sparsevec_cosine_distance);

Datum
vecdb_sparsevec_cosine_distance(PG_FUNCTION_ARGS)
{
	SparsePair	pair = get_pair(fcinfo);
	float		ab = vdb_sparse_inner_product(pair.a, pair.b);
	float		aa = vdb_sparse_inner_product(pair.a, pair.a);
	float		bb = vdb_sparse_inner_product(pair.b, pair.b);

	PG_RETURN_FLOAT8(types_cosine_distance(ab, aa, bb));
}

/*
 * l1_distance(sparsevec, sparsevec) -- taxicab
 */
VDB_FUNCTION(vecdb_sparsevec_l1_distance);

Datum
vecdb_sparsevec_l1_distance(PG_FUNCTION_ARGS)
{
	SparsePair	pair = get_pair(fcinfo);

	PG_RETURN_FLOAT8(vdb_sparse_l1(pair.a, pair.b));
}

/*
 * compute_norm -- Euclidean length, in double as for dense vectors
 */
static double
compute_norm(const VdbSparseVector *value)
{
	VdbSparseView view = types_sparsevec_view(value);
	double		sum = 0.0;

	for (int i = 0; i < view.count; i++)
		sum += (double) view.values[i] * (double) view.values[i];
	return sqrt(sum);
}

/*
 * l2_norm(sparsevec) -- Euclidean length
 */
VDB_FUNCTION(vecdb_sparsevec_l2_norm);

Datum
vecdb_sparsevec_l2_norm(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(compute_norm(get_argument(fcinfo, 0)));
}

/*
 * types_sparsevec_normalize -- a copy of length one, or NULL when the length
 * is zero
 *
 * An element that becomes zero on the way is left out (invariant 6).
 */
VdbSparseVector *
types_sparsevec_normalize(const VdbSparseVector *value)
{
	VdbSparseView view = types_sparsevec_view(value);
	double		norm = compute_norm(value);
	VdbSparseVector *result;
	float	   *values;
	int			nnz = 0;

	if (!(norm > 0))
		return NULL;

	for (int i = 0; i < view.count; i++)
		nnz += ((float) (view.values[i] / norm) != 0);
	result = types_sparsevec_create(value->dim, nnz);
	values = VDB_SPARSEVEC_VALUES(result);
	nnz = 0;
	for (int i = 0; i < view.count; i++)
	{
		float		element = (float) (view.values[i] / norm);

		if (element != 0)
		{
			result->indices[nnz] = view.indices[i];
			values[nnz++] = element;
		}
	}
	return result;
}

/*
 * l2_normalize(sparsevec) -- scaled to length one; zero remains zero
 */
VDB_FUNCTION(vecdb_sparsevec_l2_normalize);

Datum
vecdb_sparsevec_l2_normalize(PG_FUNCTION_ARGS)
{
	VdbSparseVector *value = get_argument(fcinfo, 0);
	VdbSparseVector *result = types_sparsevec_normalize(value);

	if (result == NULL)
		result = types_sparsevec_create(value->dim, 0);
	PG_RETURN_POINTER(result);
}

/*
 * compare -- as if all elements, zeros too, were compared one by one
 *
 * The order is that of the dense vector with the same elements.  At the
 * first place that only one of the two lists, the other one has a zero
 * there, or ends before.
 */
static int
compare(const VdbSparseVector *a, const VdbSparseVector *b)
{
	VdbSparseView x = types_sparsevec_view(a);
	VdbSparseView y = types_sparsevec_view(b);
	int			common = Min(x.count, y.count);
	int			i = 0;

	while (i < common && x.indices[i] == y.indices[i])
	{
		if (x.values[i] != y.values[i])
			return (x.values[i] < y.values[i]) ? -1 : 1;
		i++;
	}

	/* is the next element one of a, opposite to a zero of b? */
	if (i < x.count && x.indices[i] < b->dim &&
		(i == y.count || x.indices[i] < y.indices[i]))
		return (x.values[i] < 0) ? -1 : 1;

	/* or the other way round? */
	if (i < y.count && y.indices[i] < a->dim &&
		(i == x.count || y.indices[i] < x.indices[i]))
		return (y.values[i] < 0) ? 1 : -1;

	return (a->dim > b->dim) - (a->dim < b->dim);
}

/*
 * compare_arguments -- the same for the arguments of a function
 */
static int
compare_arguments(FunctionCallInfo fcinfo)
{
	VdbSparseVector *a = get_argument(fcinfo, 0);
	VdbSparseVector *b = get_argument(fcinfo, 1);
	int			result = compare(a, b);

	PG_FREE_IF_COPY(a, 0);
	PG_FREE_IF_COPY(b, 1);
	return result;
}

/*
 * sparsevec_lt(sparsevec, sparsevec)
 */
VDB_FUNCTION(vecdb_sparsevec_lt);

Datum
vecdb_sparsevec_lt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_arguments(fcinfo) < 0);
}

/*
 * sparsevec_le(sparsevec, sparsevec)
 */
VDB_FUNCTION(vecdb_sparsevec_le);

Datum
vecdb_sparsevec_le(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_arguments(fcinfo) <= 0);
}

/*
 * sparsevec_eq(sparsevec, sparsevec)
 */
VDB_FUNCTION(vecdb_sparsevec_eq);

Datum
vecdb_sparsevec_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_arguments(fcinfo) == 0);
}

/*
 * sparsevec_ne(sparsevec, sparsevec)
 */
VDB_FUNCTION(vecdb_sparsevec_ne);

Datum
vecdb_sparsevec_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_arguments(fcinfo) != 0);
}

/*
 * sparsevec_ge(sparsevec, sparsevec)
 */
VDB_FUNCTION(vecdb_sparsevec_ge);

Datum
vecdb_sparsevec_ge(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_arguments(fcinfo) >= 0);
}

/*
 * sparsevec_gt(sparsevec, sparsevec)
 */
VDB_FUNCTION(vecdb_sparsevec_gt);

Datum
vecdb_sparsevec_gt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_arguments(fcinfo) > 0);
}

/*
 * sparsevec_cmp(sparsevec, sparsevec) -- -1, 0 or 1
 */
VDB_FUNCTION(vecdb_sparsevec_cmp);

Datum
vecdb_sparsevec_cmp(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(compare_arguments(fcinfo));
}

/*
 * get_image -- bytes that are the same for all values that are equal
 *
 * Everything behind the length word is: no element is zero, so there is no
 * minus zero (invariant 6), and the reserved field is zero.
 */
static const unsigned char *
get_image(const VdbSparseVector *value, int *length)
{
	*length = (int) (VARSIZE(value) - offsetof(VdbSparseVector, dim));
	return (const unsigned char *) &value->dim;
}

/*
 * sparsevec_hash(sparsevec) -- for hash indexes, joins and aggregates
 */
VDB_FUNCTION(vecdb_sparsevec_hash);

Datum
vecdb_sparsevec_hash(PG_FUNCTION_ARGS)
{
	int			length;
	const unsigned char *image = get_image(get_argument(fcinfo, 0), &length);

	return hash_any(image, length);
}

/*
 * sparsevec_hash_extended(sparsevec, bigint) -- with a seed, in 64 bits
 */
VDB_FUNCTION(vecdb_sparsevec_hash_extended);

Datum
vecdb_sparsevec_hash_extended(PG_FUNCTION_ARGS)
{
	int			length;
	const unsigned char *image = get_image(get_argument(fcinfo, 0), &length);

	return hash_any_extended(image, length, (uint64) PG_GETARG_INT64(1));
}
