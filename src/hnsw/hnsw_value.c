/*-------------------------------------------------------------------------
 *
 * hnsw_value.c
 *	  Stored values, codes of neighbours, and distances.
 *
 * The rest of the room compares values through the functions here and does
 * not know whether the index is coded or keeps SQL values as they are, nor in
 * which form (hnsw_storage.c) a coded one keeps them.
 *
 * In a coded index a neighbour is coded by the signs of its difference to the
 * vertex that lists it, and two factors.  The estimator is RaBitQ's (Gao and
 * Long, arXiv 2405.12497): with r the difference and s its signs, the inner
 * product <q, r> is estimated without bias as <q, s> |r|^2 / |r|_1.  Coding
 * relative to each vertex is SymphonyQG's idea (arXiv 2411.12229).
 *
 * A code has at most 512 bits.  Those of longer values are the signs of the
 * first 512 elements of r; s is zero in the others, and |r|_1 the sum over
 * those that s has.  The estimate is still without bias: what s has besides
 * its share of r points anywhere, as the rotation was drawn at random.
 *
 * IDENTIFICATION
 *	  src/hnsw/hnsw_value.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "utils/float.h"
#include "utils/varbit.h"

#include "hnsw_private.h"

/*
 * Share of the lengths involved by which float arithmetic on rotated values
 * may differ from the operator's own result on the original ones.  Sums run
 * over lanes of at most 2,000 products in single precision, and the rotation
 * adds a few roundings to each element; ten times what was seen.
 */
#define ROUNDING_SHARE	2e-5

/*
 * Share of its length by which a rotated float32 value may differ from the
 * rotation of the true one.  Each of up to 14 stages of four transforms, and
 * a multiplication after each transform, rounds to 2^-24 of what it makes.
 */
#define ROTATION_SHARE	5e-6

/* A difference of lengths has three digits left above this share of them */
#define LEAST_KNOWN_SHARE	1e-3

static void check_dimensions(const HnswIndex *index, const void *value);
static bool form_coded_query(HnswIndex *index, const void *value,
							 HnswQuery *query);
static void set_steps(const HnswIndex *index, HnswQuery *query);
static inline float sortable(float distance2);
static inline float coded_value_distance(const HnswIndex *index,
										 const VdbHnswCodedValue *a,
										 const VdbHnswCodedValue *b);
static inline float product_distance(const HnswIndex *index,
									 const VdbHnswCodedValue *a,
									 const VdbHnswCodedValue *b, float dot);
static inline float sample_distance(const HnswIndex *index,
									const HnswSampled *a,
									const HnswSampled *b, int32 *dot);
static inline float complete_distance(const HnswIndex *index,
									  const HnswSampled *a,
									  const HnswSampled *b, int32 dot);
static inline float sample_rounding(const HnswSampled *a,
									const HnswSampled *b);
static inline float estimate(const HnswIndex *index, const HnswQuery *query,
							 float distance, VdbHnswFactors factors,
							 int32 sum);
static inline void gather_codes(const HnswIndex *index,
								const HnswRecord *record, int count,
								HnswEstimates *estimates);
static void add_signed_sums(const HnswIndex *index, const HnswRecord *record,
							const VdbHnswInt8Value *steps, int32 *sums,
							float *products);

/*
 * hnsw_form_query -- prepare a value that is not NULL
 *
 * The same for a value to be inserted and one to be searched for.  Returns
 * false for a value that cannot be indexed: one of length zero where the
 * metric is cosine.  The query is filled in all the same, with zeros.
 *
 * Allocates in the current memory context.
 */
bool
hnsw_form_query(HnswIndex *index, Datum value, HnswQuery *query)
{
	void	   *detoasted = PG_DETOAST_DATUM(value);
	bool		indexable = true;

	check_dimensions(index, detoasted);

	memset(query, 0, sizeof(HnswQuery));
	if (index->coded)
		return form_coded_query(index, detoasted, query);

	if (OidIsValid(index_getprocid(index->rel, 1, HNSW_NORM_PROC)) &&
		index->type->normalize != NULL)
	{
		void	   *normalized = index->type->normalize(detoasted);

		indexable = normalized != NULL;
		if (indexable)
			detoasted = normalized;
	}

	query->value.data = detoasted;
	query->value.size = VARSIZE(detoasted);
	if (query->value.size > VDB_HNSW_MAX_VALUE_SIZE)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("value of %zu bytes is too large for hnsw index \"%s\"",
						query->value.size,
						RelationGetRelationName(index->rel)),
				 errdetail("An indexed value can have at most %d bytes.",
						   VDB_HNSW_MAX_VALUE_SIZE)));
	return indexable;
}

/* A value of other dimensions than the index gets the operator's own error */
static void
check_dimensions(const HnswIndex *index, const void *value)
{
	int			dimensions = index->type->dimensions(value);

	if (dimensions == index->meta.dimensions)
		return;

	if (index->type->kind == VDB_ELEMENT_BIT)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("different bit lengths %u and %u",
						dimensions, index->meta.dimensions)));
	ereport(ERROR,
			(errcode(ERRCODE_DATA_EXCEPTION),
			 errmsg("different %s dimensions %d and %d", index->type->name,
					dimensions, index->meta.dimensions)));
}

/* hnsw_form_query() for a coded index */
static bool
form_coded_query(HnswIndex *index, const void *value, HnswQuery *query)
{
	int			dimensions = index->meta.dimensions;
	int			padded = index->meta.padded;
	float	   *x = palloc0(sizeof(float) * padded);
	double		sums[4] = {0};
	double		norm2;
	bool		indexable = true;

	index->type->to_floats(value, x);

	/* four sums, for one addition has to wait for that before it */
	for (int i = 0; i < padded; i += 4)
	{
		for (int j = 0; j < 4; j++)
			sums[j] += (double) x[i + j] * x[i + j];
	}
	norm2 = (sums[0] + sums[1]) + (sums[2] + sums[3]);
	if (index->meta.metric == VDB_METRIC_COSINE)
	{
		double		inverse = 1 / sqrt(norm2);

		indexable = norm2 > 0;
		for (int i = 0; i < dimensions && indexable; i++)
			x[i] = (float) (x[i] * inverse);
		norm2 = indexable ? 1 : 0;
	}
	hnsw_rotate(index, x);

	query->rotated = x;
	query->norm2 = (float) norm2;
	query->value.size = index->value_size;
	query->value.data = palloc(query->value.size);
	hnsw_encode_value(index, x, query->value.data);

	set_steps(index, query);
	return indexable;
}

/*
 * hnsw_query_from_value -- search for what an index has stored
 *
 * The value is not copied.
 */
void
hnsw_query_from_value(const HnswIndex *index, HnswValue value,
					  HnswQuery *query)
{
	memset(query, 0, sizeof(HnswQuery));
	query->value = value;
	if (index->coded)
	{
		query->rotated = palloc(sizeof(float) * index->meta.padded);
		hnsw_decode_value(index, value.data, query->rotated);
		query->norm2 = ((VdbHnswCodedValue *) value.data)->norm2;
		set_steps(index, query);
	}
}

/* Estimates compare codes with the query in its own eight-bit form */
static void
set_steps(const HnswIndex *index, HnswQuery *query)
{
	int			padded = index->meta.padded;
	VdbHnswInt8Value *steps = query->value.data;

	if (index->meta.storage != VDB_HNSW_STORAGE_INT8)
	{
		steps = palloc(sizeof(VdbHnswInt8Value) + padded);
		hnsw_encode_int8(padded, query->rotated, steps);
	}
	query->step = steps->scale;
	query->steps = steps->code;
	query->steps_sum = 0;
	for (int i = 0; i < index->meta.code_bits; i++)
		query->steps_sum += steps->code[i];
}

/*
 * hnsw_value_problem -- is a stored value what the index holds?
 *
 * Distances are computed without looking at lengths again.  Returns NULL or
 * what is wrong.
 */
const char *
hnsw_value_problem(const HnswIndex *index, const void *value, Size size)
{
	Size		expected = index->value_size;

	if (index->coded)
		return NULL;			/* its size says it all */

	if (size < sizeof(VdbVector) || VARSIZE(value) != size ||
		index->type->dimensions(value) != index->meta.dimensions)
		return "The value is not one of this index";

	if (index->type->kind == VDB_ELEMENT_SPARSE &&
		size >= sizeof(VdbSparseVector))
		expected = offsetof(VdbSparseVector, indices) +
			(sizeof(int32) + sizeof(float)) *
			(Size) (uint32) ((const VdbSparseVector *) value)->nnz;
	return size == expected ? NULL : "The value is not one of this index";
}

/*
 * hnsw_plain_value_size -- bytes of every value of an index without codes
 *
 * 0 where they differ.
 */
Size
hnsw_plain_value_size(const HnswIndex *index)
{
	Size		dimensions = index->meta.dimensions;

	switch (index->type->kind)
	{
		case VDB_ELEMENT_FLOAT32:
			return offsetof(VdbVector, x) + sizeof(float) * dimensions;
		case VDB_ELEMENT_FLOAT16:
			return offsetof(VdbHalfVector, x) + sizeof(VdbHalf) * dimensions;
		case VDB_ELEMENT_BIT:
			return VARBITTOTALLEN(dimensions);
		case VDB_ELEMENT_SPARSE:
			break;
	}
	return 0;
}

/* A squared distance that is below zero by rounding, or NaN by overflow */
static inline float
sortable(float distance2)
{
	return distance2 >= 0 ? distance2 :
		(distance2 < 0 ? 0 : get_float4_infinity());
}

/* hnsw_query_distance -- of the query and a stored value, nearer is smaller */
float
hnsw_query_distance(const HnswIndex *index, const HnswQuery *query,
					const void *value)
{
	const VdbHnswCodedValue *stored = value;
	const void *elements = stored + 1;
	const float *rotated = query->rotated;
	int			padded = index->meta.padded;
	bool		is_product = index->meta.metric == VDB_METRIC_IP;
	float		dot;

	switch (index->meta.storage)
	{
		case VDB_HNSW_STORAGE_INT8:
			dot = stored->scale *
				vdb_distance->int8_inner_product(padded, rotated, elements);
			break;
		case VDB_HNSW_STORAGE_FLOAT16:
			dot = stored->scale *
				vdb_distance->float_half_inner_product(padded, rotated,
													   elements);
			break;
		case VDB_HNSW_STORAGE_FLOAT32:
			/* nothing cancels out in the sum of squared differences */
			if (!is_product)
				return sortable(vdb_distance->l2_squared(padded, rotated,
														 elements));
			dot = vdb_distance->inner_product(padded, rotated, elements);
			break;
		default:
			return hnsw_value_distance(index, query->value.data, value);
	}

	if (is_product)
		return isnan(dot) ? get_float4_infinity() : -dot;
	return sortable(query->norm2 + stored->norm2 - 2 * dot);
}

/* hnsw_value_distance() for a coded index */
static inline float
coded_value_distance(const HnswIndex *index, const VdbHnswCodedValue *a,
					 const VdbHnswCodedValue *b)
{
	const void *x = a + 1;
	const void *y = b + 1;
	int			padded = index->meta.padded;
	bool		is_product = index->meta.metric == VDB_METRIC_IP;
	float		dot;

	switch (index->meta.storage)
	{
		case VDB_HNSW_STORAGE_INT8:
			dot = vdb_distance->int8_int8_inner_product(padded, x, y);
			break;
		case VDB_HNSW_STORAGE_FLOAT16:
			dot = vdb_distance->half_inner_product(padded, x, y);
			break;
		default:
			if (!is_product)
				return sortable(vdb_distance->l2_squared(padded, x, y));
			dot = vdb_distance->inner_product(padded, x, y);
			break;
	}
	return product_distance(index, a, b, dot);
}

/* The distance that a product of the elements of two values amounts to */
static inline float
product_distance(const HnswIndex *index, const VdbHnswCodedValue *a,
				 const VdbHnswCodedValue *b, float dot)
{
	dot *= a->scale * b->scale;
	if (index->meta.metric == VDB_METRIC_IP)
		return isnan(dot) ? get_float4_infinity() : -dot;
	return sortable(a->norm2 + b->norm2 - 2 * dot);
}

/*
 * hnsw_sample_norm2 -- HnswSampled.norm2 of a stored value
 */
float
hnsw_sample_norm2(const HnswIndex *index, const void *value)
{
	const VdbHnswInt8Value *stored = value;

	if (!index->sampled)
		return 0;
	if (!isfinite(stored->norm2))
		return get_float4_infinity();
	return stored->scale * stored->scale *
		vdb_distance->int8_int8_inner_product(HNSW_SAMPLE, stored->code,
											  stored->code);
}

/*
 * hnsw_sampled_distance -- of two stored values, unless clearly above a limit
 *
 * Sets *is_exact when the result is that of hnsw_value_distance().  Otherwise
 * it is an estimate, above the limit by more than such estimates err.
 */
float
hnsw_sampled_distance(const HnswIndex *index, const HnswSampled *a,
					  const HnswSampled *b, float limit, bool *is_exact)
{
	int32		dot;
	float		estimate;

	*is_exact = true;
	if (!index->sampled)
		return hnsw_value_distance(index, a->value, b->value);

	estimate = sample_distance(index, a, b, &dot);
	if (estimate > limit * (1 + index->sample_margin) +
		sample_rounding(a, b))
	{
		*is_exact = false;
		return estimate;
	}
	return complete_distance(index, a, b, dot);
}

/*
 * hnsw_is_within -- is the distance of two stored values at most "limit"?
 *
 * Where both have their sample's length, that is decided by samples unless
 * they are too near to the limit, so it may be wrong once in a while.
 */
bool
hnsw_is_within(const HnswIndex *index, const HnswSampled *a,
			   const HnswSampled *b, float limit)
{
	int32		dot;
	float		estimate;
	float		error;

	if (!index->sampled || a->norm2 <= 0 || b->norm2 <= 0)
		return hnsw_value_distance(index, a->value, b->value) <= limit;

	estimate = sample_distance(index, a, b, &dot);
	error = index->sample_margin * limit + sample_rounding(a, b);
	if (estimate > limit + error)
		return false;
	if (estimate < limit - error)
		return true;
	return complete_distance(index, a, b, dot) <= limit;
}

/* What the samples of two values say of their distance, and their product */
static inline float
sample_distance(const HnswIndex *index, const HnswSampled *a,
				const HnswSampled *b, int32 *dot)
{
	const VdbHnswInt8Value *x = a->value;
	const VdbHnswInt8Value *y = b->value;

	*dot = vdb_distance->int8_int8_inner_product(HNSW_SAMPLE, x->code,
												 y->code);
	return (a->norm2 + b->norm2 - 2 * (float) *dot * (x->scale * y->scale)) *
		((float) index->meta.padded / HNSW_SAMPLE);
}

/* The distance of two values whose samples have this product */
static inline float
complete_distance(const HnswIndex *index, const HnswSampled *a,
				  const HnswSampled *b, int32 dot)
{
	const VdbHnswInt8Value *x = a->value;
	const VdbHnswInt8Value *y = b->value;

	dot += vdb_distance->int8_int8_inner_product(index->meta.padded -
												 HNSW_SAMPLE,
												 x->code + HNSW_SAMPLE,
												 y->code + HNSW_SAMPLE);
	return product_distance(index, a->value, b->value, dot);
}

/* By how much rounding may change what is the difference of lengths */
static inline float
sample_rounding(const HnswSampled *a, const HnswSampled *b)
{
	return ROUNDING_SHARE *
		(((const VdbHnswCodedValue *) a->value)->norm2 +
		 ((const VdbHnswCodedValue *) b->value)->norm2);
}

/* hnsw_value_distance -- of two stored values */
float
hnsw_value_distance(const HnswIndex *index, const void *a, const void *b)
{
	float		distance;

	if (index->coded)
		return coded_value_distance(index, a, b);
	if (index->meta.metric < VDB_METRIC_OTHER)
		distance = index->type->distance[index->meta.metric] (a, b);
	else
		distance = (float)
			DatumGetFloat8(FunctionCall2Coll(index->distance_proc,
											 index->collation,
											 PointerGetDatum(a),
											 PointerGetDatum(b)));
	return isnan(distance) ? get_float4_infinity() : distance;
}

/*
 * hnsw_distance_bound -- what the ordering operator returns at least
 *
 * "distance" is hnsw_query_distance() of the value in a coded index.  The
 * executor computes the true distance from the heap row and puts rows in
 * order by it, which is right as long as no bound exceeds the distance; it
 * raises an error when one does.  So we are generous with rounding, and
 * where numbers overflowed we claim nothing.
 *
 * Where a squared distance is the difference of squared lengths, its rounding
 * is a share of those.  That of float32 values is a sum of squares, whose
 * rounding is a share of itself, and so tells near values apart that are far
 * from the origin.
 */
float
hnsw_distance_bound(const HnswIndex *index, const HnswQuery *query,
					const void *value, float distance)
{
	const VdbHnswCodedValue *stored = value;
	double		lengths = sqrt(query->norm2) + sqrt(stored->norm2);
	double		bound;

	Assert(index->coded);

	if (index->meta.metric == VDB_METRIC_IP)
	{
		bound = distance - sqrt(query->norm2) * stored->error -
			ROUNDING_SHARE * lengths * lengths - FLT_MIN;
		return isfinite(bound) ? (float) bound : -get_float4_infinity();
	}

	if (index->meta.storage == VDB_HNSW_STORAGE_FLOAT32)
	{
		bound = sqrt(Max(distance - FLT_MIN, 0)) * (1 - ROUNDING_SHARE) -
			stored->error - ROTATION_SHARE * lengths;
		if (index->meta.metric == VDB_METRIC_L2)
			return isfinite(bound) && bound > 0 ? (float) bound : 0;
	}
	else
	{
		bound = distance - ROUNDING_SHARE * lengths * lengths - FLT_MIN;
		bound = bound > 0 ? sqrt(bound) - stored->error : 0;
	}
	if (index->meta.metric == VDB_METRIC_COSINE && bound > 0)
		bound = bound * bound / 2;
	bound -= ROUNDING_SHARE * lengths;
	return isfinite(bound) && bound > 0 ? (float) bound : 0;
}

/*
 * hnsw_values_equal -- may the query's row share the vertex of this value?
 *
 * Coded values are equal when their elements and scale are; how far the rows'
 * true values are from them may differ.
 */
bool
hnsw_values_equal(const HnswIndex *index, const HnswQuery *query,
				  const void *value, Size size)
{
	const VdbHnswCodedValue *a = query->value.data;
	const VdbHnswCodedValue *b = value;

	if (size != query->value.size)
		return false;
	if (index->coded)
		return a->scale == b->scale &&
			memcmp(a + 1, b + 1, size - sizeof(VdbHnswCodedValue)) == 0;
	return memcmp(a, b, size) == 0;
}

/*
 * hnsw_encode_edge -- code of a neighbour "target" as seen from "base"
 *
 * Both are rotated.  "l2_squared" is the squared length of their difference
 * if it is known, otherwise -1; if it is, "target" needs no more elements than
 * the code has.  A neighbour in the very same place gets factors of zero: its
 * distance is the vertex's own.
 */
void
hnsw_encode_edge(const HnswIndex *index, const float *base,
				 const float *target, float l2_squared,
				 VdbHnswFactors *factors, uint8 *code)
{
	int			bits = index->meta.code_bits;
	float		l1;
	float		of_code;
	float		base_dot;
	float		rescale;
	float		add;

	vdb_distance->encode_residual(bits, base, target, code, &l1, &of_code,
								  &base_dot);
	if (l2_squared < 0)
	{
		l2_squared = of_code;
		if (bits < index->meta.padded)
			l2_squared += vdb_distance->l2_squared(index->meta.padded - bits,
												   base + bits,
												   target + bits);
	}

	factors->rescale = VdbBfloat16FromFloat(l1 > 0 ? l2_squared / l1 : 0);
	rescale = VdbBfloat16ToFloat(factors->rescale);
	factors->add = VdbBfloat16FromFloat(l2_squared + 2 * rescale * base_dot);
	add = VdbBfloat16ToFloat(factors->add);

	/* Values so large that squares overflow: no estimate, only a neighbour */
	if (!isfinite(rescale) || !isfinite(add))
		factors->rescale = factors->add = 0;
}

/*
 * hnsw_known_l2_squared -- squared difference of values of this distance
 *
 * -1 where the distance does not say it, or not well enough: that of near
 * values far from the origin has lost most of its digits.
 */
float
hnsw_known_l2_squared(const HnswIndex *index, const void *a, const void *b,
					  float distance)
{
	float		norm2 = ((const VdbHnswCodedValue *) a)->norm2 +
	((const VdbHnswCodedValue *) b)->norm2;

	if (index->meta.metric == VDB_METRIC_IP || !isfinite(norm2) ||
		!(distance > norm2 * LEAST_KNOWN_SHARE))
		return -1;
	return distance;
}

/*
 * hnsw_estimate -- distances of the query to all neighbours of a vertex
 *
 * "distance" is the query's distance to the vertex itself, as
 * hnsw_query_distance() has it; the estimates are in the same units.  "sums"
 * is scratch memory for a number for each neighbour.
 */
void
hnsw_estimate(const HnswIndex *index, const HnswQuery *query, float distance,
			  const HnswRecord *record, int32 *sums, float *estimates)
{
	int			count = record->head->count;

	vdb_distance->code_sums(index->meta.code_bits, query->steps, record->codes,
							index->code_size, count, sums);
	for (int i = 0; i < count; i++)
		estimates[i] = estimate(index, query, distance, record->factors[i],
								sums[i]);
}

/*
 * hnsw_estimate_some -- the same for some of the neighbours
 *
 * estimates->places[] says which "count" ones, in ascending order.
 */
void
hnsw_estimate_some(const HnswIndex *index, const HnswQuery *query,
				   float distance, const HnswRecord *record, int count,
				   HnswEstimates *estimates)
{
	const uint8 *codes = record->codes;

	if (count < record->head->count)
	{
		gather_codes(index, record, count, estimates);
		codes = estimates->codes;
	}
	vdb_distance->code_sums(index->meta.code_bits, query->steps, codes,
							index->code_size, count, estimates->sums);
	for (int i = 0; i < count; i++)
		estimates->estimates[i] = estimate(index, query, distance,
										   record->factors[estimates->places[i]],
										   estimates->sums[i]);
}

/* The distance that the sum of the query over a neighbour's code amounts to */
static inline float
estimate(const HnswIndex *index, const HnswQuery *query, float distance,
		 VdbHnswFactors factors, int32 sum)
{
	float		dot = query->step * (2 * sum - query->steps_sum);

	if (index->meta.metric == VDB_METRIC_IP)
		return distance - VdbBfloat16ToFloat(factors.rescale) * dot;
	return distance - 2 * VdbBfloat16ToFloat(factors.rescale) * dot +
		VdbBfloat16ToFloat(factors.add);
}

/*
 * Copy the codes of some neighbours, because kernels want them one behind the
 * other
 */
static inline void
gather_codes(const HnswIndex *index, const HnswRecord *record, int count,
			 HnswEstimates *estimates)
{
	Size		size = index->code_size;
	uint8	   *to = estimates->codes;

	for (int i = 0; i < count; i++, to += size)
	{
		const uint8 *from = record->codes + estimates->places[i] * size;

		/* the longest are the rule, and copied without a call */
		if (size == VDB_HNSW_MAX_CODE_SIZE)
			memcpy(to, from, VDB_HNSW_MAX_CODE_SIZE);
		else
		{
			for (Size at = 0; at < size; at += sizeof(uint64))
				memcpy(to + at, from + at, sizeof(uint64));
		}
	}
}

/*
 * hnsw_edge_distances -- how far all neighbours of a vertex are from it
 *
 * Recovered from the factors, which is exact but for rounding where the
 * metric is L2 or cosine, and an estimate for inner products.  "sums" is
 * scratch memory for a number for each neighbour.  Uses index->scratch.
 *
 * That takes sums of the vertex's own value over the codes.  Codes are summed
 * over in eight bits, which is what int8 values are; others are the sum of
 * two such vectors, the second being what the first has lost, to 1/64,000 of
 * their largest element.
 */
void
hnsw_edge_distances(const HnswIndex *index, const HnswRecord *record,
					int32 *sums, float *distances)
{
	const VdbHnswCodedValue *base = record->value;
	const VdbHnswFactors *factors = record->factors;
	int			padded = index->meta.padded;
	int			count = record->head->count;

	for (int i = 0; i < count; i++)
		distances[i] = 0;
	if (index->meta.storage == VDB_HNSW_STORAGE_INT8)
		add_signed_sums(index, record, record->value, sums, distances);
	else
	{
		float	   *left = index->scratch;
		VdbHnswInt8Value *steps = (VdbHnswInt8Value *) (left + padded);

		hnsw_decode_value(index, record->value, left);
		for (int round = 0; round < 2; round++)
		{
			hnsw_encode_int8(padded, left, steps);
			add_signed_sums(index, record, steps, sums, distances);
			for (int i = 0; i < padded; i++)
				left[i] -= steps->scale * steps->code[i];
		}
	}

	for (int i = 0; i < count; i++)
	{
		float		rescale = VdbBfloat16ToFloat(factors[i].rescale);

		if (index->meta.metric == VDB_METRIC_IP)
			distances[i] = -base->norm2 - rescale * distances[i];
		else
			distances[i] = Max(0, VdbBfloat16ToFloat(factors[i].add) -
							   2 * rescale * distances[i]);
	}
}

/* Add to each product that of a vector and the signs of a neighbour's code */
static void
add_signed_sums(const HnswIndex *index, const HnswRecord *record,
				const VdbHnswInt8Value *steps, int32 *sums, float *products)
{
	int			count = record->head->count;
	int32		steps_sum = 0;

	vdb_distance->code_sums(index->meta.code_bits, steps->code, record->codes,
							index->code_size, count, sums);
	for (int i = 0; i < index->meta.code_bits; i++)
		steps_sum += steps->code[i];
	for (int i = 0; i < count; i++)
		products[i] += steps->scale * (2 * sums[i] - steps_sum);
}
