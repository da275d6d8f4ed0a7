/*-------------------------------------------------------------------------
 *
 * types_info.c
 *	  What an index may know of the types (vecdb/types.h, VdbTypeInfo).
 *
 * The functions here are thin: they give an access method, without the
 * function manager, what the SQL functions compute.
 *
 * IDENTIFICATION
 *	  src/types/types_info.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/varbit.h"

#include "types_private.h"

/* The functions that operator classes name, to be recognized by address. */
extern Datum vecdb_vector_l2_squared_distance(PG_FUNCTION_ARGS);
extern Datum vecdb_vector_negative_inner_product(PG_FUNCTION_ARGS);
extern Datum vecdb_vector_l1_distance(PG_FUNCTION_ARGS);
extern Datum vecdb_halfvec_l2_squared_distance(PG_FUNCTION_ARGS);
extern Datum vecdb_halfvec_negative_inner_product(PG_FUNCTION_ARGS);
extern Datum vecdb_halfvec_l1_distance(PG_FUNCTION_ARGS);
extern Datum vecdb_sparsevec_l2_squared_distance(PG_FUNCTION_ARGS);
extern Datum vecdb_sparsevec_negative_inner_product(PG_FUNCTION_ARGS);
extern Datum vecdb_sparsevec_l1_distance(PG_FUNCTION_ARGS);
extern Datum vecdb_hamming_distance(PG_FUNCTION_ARGS);
extern Datum vecdb_jaccard_distance(PG_FUNCTION_ARGS);

/*
 * vector
 */
static int
vector_dimensions(const void *value)
{
	return ((const VdbVector *) value)->dim;
}

static void *
vector_normalize(const void *value)
{
	return types_vector_normalize(value);
}

static void
vector_to_floats(const void *value, float *out)
{
	const VdbVector *vector = value;

	memcpy(out, vector->x, sizeof(float) * (Size) vector->dim);
}

static float
vector_l2(const void *a, const void *b)
{
	const VdbVector *x = a;

	return vdb_distance->l2_squared(x->dim, x->x,
									((const VdbVector *) b)->x);
}

static float
vector_ip(const void *a, const void *b)
{
	const VdbVector *x = a;

	return -vdb_distance->inner_product(x->dim, x->x,
										((const VdbVector *) b)->x);
}

static float
vector_l1(const void *a, const void *b)
{
	const VdbVector *x = a;

	return vdb_distance->l1(x->dim, x->x, ((const VdbVector *) b)->x);
}

static const VdbTypeInfo vector_info = {
	.kind = VDB_ELEMENT_FLOAT32,
	.name = "vector",
	.max_dimensions = VDB_VECTOR_MAX_DIM,
	.dimensions = vector_dimensions,
	.normalize = vector_normalize,
	.to_floats = vector_to_floats,
	.distance = {
		[VDB_METRIC_L2] = vector_l2,
		[VDB_METRIC_IP] = vector_ip,
		[VDB_METRIC_COSINE] = vector_ip,
		[VDB_METRIC_L1] = vector_l1
	}
};

/*
 * halfvec
 */
static int
halfvec_dimensions(const void *value)
{
	return ((const VdbHalfVector *) value)->dim;
}

static void *
halfvec_normalize(const void *value)
{
	return types_halfvec_normalize(value);
}

static void
halfvec_to_floats(const void *value, float *out)
{
	const VdbHalfVector *vector = value;

	vdb_distance->half_to_float(vector->dim, vector->x, out);
}

static float
halfvec_l2(const void *a, const void *b)
{
	const VdbHalfVector *x = a;

	return vdb_distance->half_l2_squared(x->dim, x->x,
										 ((const VdbHalfVector *) b)->x);
}

static float
halfvec_ip(const void *a, const void *b)
{
	const VdbHalfVector *x = a;

	return -vdb_distance->half_inner_product(x->dim, x->x,
											 ((const VdbHalfVector *) b)->x);
}

static float
halfvec_l1(const void *a, const void *b)
{
	const VdbHalfVector *x = a;

	return vdb_distance->half_l1(x->dim, x->x,
								 ((const VdbHalfVector *) b)->x);
}

static const VdbTypeInfo halfvec_info = {
	.kind = VDB_ELEMENT_FLOAT16,
	.name = "halfvec",
	.max_dimensions = VDB_HALFVEC_MAX_DIM,
	.dimensions = halfvec_dimensions,
	.normalize = halfvec_normalize,
	.to_floats = halfvec_to_floats,
	.distance = {
		[VDB_METRIC_L2] = halfvec_l2,
		[VDB_METRIC_IP] = halfvec_ip,
		[VDB_METRIC_COSINE] = halfvec_ip,
		[VDB_METRIC_L1] = halfvec_l1
	}
};

/*
 * sparsevec
 */
static int
sparsevec_dimensions(const void *value)
{
	return ((const VdbSparseVector *) value)->dim;
}

static void *
sparsevec_normalize(const void *value)
{
	return types_sparsevec_normalize(value);
}

static float
sparsevec_l2(const void *a, const void *b)
{
	return vdb_sparse_l2_squared(types_sparsevec_view(a),
								 types_sparsevec_view(b));
}

static float
sparsevec_ip(const void *a, const void *b)
{
	return -vdb_sparse_inner_product(types_sparsevec_view(a),
									 types_sparsevec_view(b));
}

static float
sparsevec_l1(const void *a, const void *b)
{
	return vdb_sparse_l1(types_sparsevec_view(a), types_sparsevec_view(b));
}

static const VdbTypeInfo sparsevec_info = {
	.kind = VDB_ELEMENT_SPARSE,
	.name = "sparsevec",
	.max_dimensions = VDB_SPARSEVEC_MAX_DIM,
	.dimensions = sparsevec_dimensions,
	.normalize = sparsevec_normalize,
	.to_floats = NULL,
	.distance = {
		[VDB_METRIC_L2] = sparsevec_l2,
		[VDB_METRIC_IP] = sparsevec_ip,
		[VDB_METRIC_COSINE] = sparsevec_ip,
		[VDB_METRIC_L1] = sparsevec_l1
	}
};

/*
 * bit
 */
static int
bit_dimensions(const void *value)
{
	return VARBITLEN(value);
}

static float
bit_hamming(const void *a, const void *b)
{
	return (float) vdb_distance->hamming(VARBITBYTES(a), VARBITS(a),
										 VARBITS(b));
}

static float
bit_jaccard(const void *a, const void *b)
{
	uint64		ab;
	uint64		aa;
	uint64		bb;

	vdb_distance->jaccard_sums(VARBITBYTES(a), VARBITS(a), VARBITS(b),
							   &ab, &aa, &bb);
	return (float) types_jaccard(ab, aa, bb);
}

static const VdbTypeInfo bit_info = {
	.kind = VDB_ELEMENT_BIT,
	.name = "bit",
	.max_dimensions = VARBITMAXLEN,
	.dimensions = bit_dimensions,
	.normalize = NULL,
	.to_floats = NULL,
	.distance = {
		[VDB_METRIC_HAMMING] = bit_hamming,
		[VDB_METRIC_JACCARD] = bit_jaccard
	}
};

/*
 * hnsw_halfvec_support(internal) -- support function 3 of operator classes
 */
VDB_FUNCTION(vecdb_hnsw_halfvec_support);

Datum
vecdb_hnsw_halfvec_support(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(&halfvec_info);
}

/*
 * hnsw_bit_support(internal)
 */
VDB_FUNCTION(vecdb_hnsw_bit_support);

Datum
vecdb_hnsw_bit_support(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(&bit_info);
}

/*
 * hnsw_sparsevec_support(internal)
 */
VDB_FUNCTION(vecdb_hnsw_sparsevec_support);

Datum
vecdb_hnsw_sparsevec_support(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(&sparsevec_info);
}

/*
 * vdb_types_info -- see vecdb/types.h
 *
 * A function of another library would return a pointer to something else,
 * so it is not called but refused.
 */
const VdbTypeInfo *
vdb_types_info(FmgrInfo *support)
{
	if (support == NULL)
		return &vector_info;
	if (support->fn_addr == vecdb_hnsw_halfvec_support)
		return &halfvec_info;
	if (support->fn_addr == vecdb_hnsw_sparsevec_support)
		return &sparsevec_info;
	if (support->fn_addr == vecdb_hnsw_bit_support)
		return &bit_info;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("support function %u of the operator class does not belong to vecdb",
					support->fn_oid),
			 errhint("Use the support function that vecdb has for the type.")));
}

/*
 * vdb_types_metric -- see vecdb/types.h
 */
VdbMetric
vdb_types_metric(FmgrInfo *distance, bool has_norm)
{
	PGFunction	function = distance->fn_addr;

	if (function == vecdb_vector_l2_squared_distance ||
		function == vecdb_halfvec_l2_squared_distance ||
		function == vecdb_sparsevec_l2_squared_distance)
		return VDB_METRIC_L2;
	if (function == vecdb_vector_negative_inner_product ||
		function == vecdb_halfvec_negative_inner_product ||
		function == vecdb_sparsevec_negative_inner_product)
		return has_norm ? VDB_METRIC_COSINE : VDB_METRIC_IP;
	if (function == vecdb_vector_l1_distance ||
		function == vecdb_halfvec_l1_distance ||
		function == vecdb_sparsevec_l1_distance)
		return VDB_METRIC_L1;
	if (function == vecdb_hamming_distance)
		return VDB_METRIC_HAMMING;
	if (function == vecdb_jaccard_distance)
		return VDB_METRIC_JACCARD;
	return VDB_METRIC_OTHER;
}
