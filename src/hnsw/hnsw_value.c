/*-------------------------------------------------------------------------
 *
 * hnsw_value.c
 *	  Stored values, codes of neighbours, and distances.
 *
 * The rest of the room compares values through the functions here and does
 * not know whether the index is coded or keeps SQL values as
 * they are.
 *
 * A coded index keeps its values in a space that has been turned by a random
 * rotation, because there the elements of any vector look alike: none is much
 * larger than the others, and signs alone say much about a direction.  Then
 *
 *	- a value is stored with eight bits an element and one scale, and the
 *	  length of what was lost is stored beside it, which bounds the error of
 *	  every distance;
 *	- a neighbour is coded by the signs of its difference to the vertex that
 *	  lists it, and two factors.  The estimator is RaBitQ's (Gao and Long,
 *	  arXiv 2405.12497): with r the difference and s its signs, the inner
 *	  product <q, r> is estimated without bias as <q, s> |r|^2 / |r|_1.
 *	  Coding relative to each vertex is SymphonyQG's idea (arXiv 2411.12229).
 *
 * The rotation is a few rounds of random sign changes and fast Hadamard
 * transforms.  A transform needs a power of two: other dimensions have the
 * largest power of two that fits applied to their head and their tail in
 * turn, so that everything is mixed with everything after four rounds.
 *
 * IDENTIFICATION
 *	  src/hnsw/hnsw_value.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "port/pg_bitutils.h"
#include "utils/float.h"
#include "utils/varbit.h"

#include "hnsw_private.h"

#define ROTATION_ROUNDS 4

/*
 * splitmix64 (Steele, Lea and Flood 2014) -- the next number of a stream
 *
 * Our own, because the signs follow from the seed in the metapage for as long
 * as the index lives, through pg_upgrade to servers with another pg_prng.
 */
static inline uint64
next_random(uint64 *state)
{
	uint64		z = (*state += UINT64CONST(0x9E3779B97F4A7C15));

	z = (z ^ (z >> 30)) * UINT64CONST(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64CONST(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

/*
 * Share of the lengths involved by which float arithmetic on rotated values
 * may differ from the operator's own result on the original ones.  Sums run
 * over lanes of at most 2,000 products in single precision, and the rotation
 * adds a few roundings to each element; ten times what was seen.
 */
#define ROUNDING_SHARE	2e-5

static void check_dimensions(const HnswIndex *index, const void *value);
static bool form_coded_query(HnswIndex *index, const void *value,
							 HnswQuery *query);
static void set_steps(const HnswIndex *index, HnswQuery *query);

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
	double		norm2 = 0;
	bool		indexable = true;

	index->type->to_floats(value, x);

	for (int i = 0; i < dimensions; i++)
		norm2 += (double) x[i] * x[i];
	if (index->meta.metric == VDB_METRIC_COSINE)
	{
		double		length = sqrt(norm2);

		indexable = length > 0;
		for (int i = 0; i < dimensions && indexable; i++)
			x[i] = (float) (x[i] / length);
		norm2 = indexable ? 1 : 0;
	}
	hnsw_rotate(index, x);

	query->rotated = x;
	query->norm2 = (float) norm2;
	query->value.size = offsetof(VdbHnswInt8Value, code) + padded;
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
		query->norm2 = ((VdbHnswInt8Value *) value.data)->norm2;
		set_steps(index, query);
	}
}

/* Estimates compare codes with the query in its own eight-bit form */
static void
set_steps(const HnswIndex *index, HnswQuery *query)
{
	VdbHnswInt8Value *stored = query->value.data;

	query->step = stored->scale;
	query->steps = stored->code;
	query->steps_sum = 0;
	for (int i = 0; i < index->meta.padded; i++)
		query->steps_sum += stored->code[i];
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
	Size		expected = 0;

	if (index->coded)
		return NULL;			/* its size says it all */

	if (size < sizeof(VdbVector) || VARSIZE(value) != size ||
		index->type->dimensions(value) != index->meta.dimensions)
		return "The value is not one of this index";

	switch (index->type->kind)
	{
		case VDB_ELEMENT_FLOAT32:
			expected = offsetof(VdbVector, x) +
				sizeof(float) * (Size) index->meta.dimensions;
			break;
		case VDB_ELEMENT_FLOAT16:
			expected = offsetof(VdbHalfVector, x) +
				sizeof(VdbHalf) * (Size) index->meta.dimensions;
			break;
		case VDB_ELEMENT_SPARSE:
			if (size >= sizeof(VdbSparseVector))
				expected = offsetof(VdbSparseVector, indices) +
					(sizeof(int32) + sizeof(float)) *
					(Size) (uint32) ((const VdbSparseVector *) value)->nnz;
			break;
		case VDB_ELEMENT_BIT:
			expected = VARBITTOTALLEN(index->meta.dimensions);
			break;
	}
	return size == expected ? NULL : "The value is not one of this index";
}

/* hnsw_query_distance -- of the query and a stored value, nearer is smaller */
float
hnsw_query_distance(const HnswIndex *index, const HnswQuery *query,
					const void *value)
{
	if (index->coded)
	{
		const VdbHnswInt8Value *stored = value;
		float		dot;

		dot = stored->scale *
			vdb_distance->int8_inner_product(index->meta.padded,
											 query->rotated, stored->code);
		if (index->meta.metric == VDB_METRIC_IP)
			return isnan(dot) ? get_float4_infinity() : -dot;
		dot = query->norm2 + stored->norm2 - 2 * dot;

		/* also turns a NaN from overflow into something that sorts */
		return dot >= 0 ? dot : (dot < 0 ? 0 : get_float4_infinity());
	}
	return hnsw_value_distance(index, query->value.data, value);
}

/* hnsw_value_distance -- of two stored values */
float
hnsw_value_distance(const HnswIndex *index, const void *a, const void *b)
{
	float		distance;

	if (index->coded)
	{
		const VdbHnswInt8Value *x = a;
		const VdbHnswInt8Value *y = b;
		float		dot;

		dot = x->scale * y->scale *
			vdb_distance->int8_int8_inner_product(index->meta.padded,
												  x->code, y->code);
		if (index->meta.metric == VDB_METRIC_IP)
			return isnan(dot) ? get_float4_infinity() : -dot;
		dot = x->norm2 + y->norm2 - 2 * dot;
		return dot >= 0 ? dot : (dot < 0 ? 0 : get_float4_infinity());
	}

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
 */
float
hnsw_distance_bound(const HnswIndex *index, const HnswQuery *query,
					const void *value, float distance)
{
	const VdbHnswInt8Value *stored = value;
	double		lengths = sqrt(query->norm2) + sqrt(stored->norm2);
	double		bound;

	Assert(index->coded);

	if (index->meta.metric == VDB_METRIC_IP)
	{
		bound = distance - sqrt(query->norm2) * stored->error -
			ROUNDING_SHARE * lengths * lengths;
		return isfinite(bound) ? (float) bound : -get_float4_infinity();
	}

	bound = distance - ROUNDING_SHARE * lengths * lengths;
	bound = bound > 0 ? sqrt(bound) - stored->error : 0;
	if (index->meta.metric == VDB_METRIC_COSINE && bound > 0)
		bound = bound * bound / 2;
	bound -= ROUNDING_SHARE * lengths;
	return isfinite(bound) && bound > 0 ? (float) bound : 0;
}

/*
 * hnsw_values_equal -- may the query's row share the vertex of this value?
 *
 * Coded values are equal when their codes and scale are; how far the rows'
 * true values are from them may differ.
 */
bool
hnsw_values_equal(const HnswIndex *index, const HnswQuery *query,
				  const void *value, Size size)
{
	if (size != query->value.size)
		return false;
	if (index->coded)
	{
		const VdbHnswInt8Value *a = query->value.data;
		const VdbHnswInt8Value *b = value;

		return a->scale == b->scale &&
			memcmp(a->code, b->code, index->meta.padded) == 0;
	}
	return memcmp(query->value.data, value, size) == 0;
}

/* hnsw_signs_size -- bytes that hnsw_make_signs() fills */
Size
hnsw_signs_size(int padded)
{
	return (Size) ROTATION_ROUNDS * padded / 8;
}

/*
 * hnsw_make_signs -- the sign changes of a rotation
 *
 * One bit for each element and round, round after round.
 */
void
hnsw_make_signs(uint64 seed, int padded, uint8 *signs)
{
	Size		size = hnsw_signs_size(padded);

	Assert(padded % 64 == 0);

	for (Size i = 0; i < size; i += sizeof(uint64))
	{
		uint64		bits = next_random(&seed);

		for (int byte = 0; byte < sizeof(uint64); byte++)
			signs[i + byte] = (uint8) (bits >> (8 * byte));
	}
}

/* hnsw_rotate -- turn "padded" floats in place */
void
hnsw_rotate(const HnswIndex *index, float *x)
{
	int			padded = index->meta.padded;
	int			log2_block = pg_leftmost_one_pos32(padded);
	int			block = 1 << log2_block;
	const uint8 *signs = index->signs;

	for (int round = 0; round < ROTATION_ROUNDS; round++)
	{
		/* Head and tail in turn; both are the whole for a power of two */
		float	   *start = (round % 2 == 0) ? x : x + (padded - block);

		for (int i = 0; i < padded; i++)
			if (signs[i / 8] & (1 << (i % 8)))
				x[i] = -x[i];
		signs += padded / 8;
		vdb_distance->hadamard(log2_block, start);
	}
}

/*
 * hnsw_encode_value -- eight-bit form of a rotated vector
 *
 * The error is rounded up by a share that covers the rounding of the sums
 * here, so that it can be relied on as a bound.
 */
void
hnsw_encode_value(const HnswIndex *index, const float *rotated,
				  VdbHnswInt8Value *value)
{
	int			padded = index->meta.padded;
	float		largest = 0;
	float		inverse;
	double		error2 = 0;
	double		norm2 = 0;

	for (int i = 0; i < padded; i++)
	{
		/* not Max(), which would lose a NaN */
		if (!(fabsf(rotated[i]) <= largest))
			largest = fabsf(rotated[i]);
	}

	/* The rotation overflowed: nothing is known of such a value */
	if (!isfinite(largest))
	{
		memset(value->code, 0, padded);
		value->scale = 0;
		value->error = value->norm2 = get_float4_infinity();
		return;
	}

	/* A subnormal scale has no finite inverse; such a value is zero to us */
	value->scale = largest / 127;
	inverse = value->scale > 0 ? 1 / value->scale : 0;
	if (isinf(inverse))
		value->scale = inverse = 0;

	for (int i = 0; i < padded; i++)
	{
		float		step = rintf(rotated[i] * inverse);
		double		decoded;

		step = Min(Max(step, -127), 127);
		value->code[i] = (int8) step;
		decoded = (double) value->scale * step;
		error2 += (rotated[i] - decoded) * (rotated[i] - decoded);
		norm2 += decoded * decoded;
	}
	value->error = (float) (sqrt(error2) * 1.0001 + sqrt(norm2) * 1e-6);
	value->norm2 = (float) norm2;
}

/* hnsw_decode_value -- the "padded" floats that a stored value stands for */
void
hnsw_decode_value(const HnswIndex *index, const VdbHnswInt8Value *value,
				  float *out)
{
	for (int i = 0; i < index->meta.padded; i++)
		out[i] = value->scale * value->code[i];
}

/*
 * hnsw_encode_edge -- code of a neighbour "target" as seen from "base"
 *
 * Both are rotated.  A neighbour in the very same place gets factors of zero:
 * its distance is the vertex's own.
 */
void
hnsw_encode_edge(const HnswIndex *index, const float *base,
				 const float *target, VdbHnswFactors *factors, uint8 *code)
{
	float		l1;
	float		l2_squared;
	float		base_dot;

	vdb_distance->encode_residual(index->meta.padded, base, target, code,
								  &l1, &l2_squared, &base_dot);

	factors->rescale = l1 > 0 ? l2_squared / l1 : 0;
	factors->add = l2_squared + 2 * factors->rescale * base_dot;

	/* Values so large that squares overflow: no estimate, only a neighbour */
	if (!isfinite(factors->rescale) || !isfinite(factors->add))
		factors->rescale = factors->add = 0;
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
	const VdbHnswFactors *factors = record->factors;
	int			count = record->head->count;
	float		factor = index->meta.metric == VDB_METRIC_IP ? 1 : 2;
	bool		add = index->meta.metric != VDB_METRIC_IP;

	vdb_distance->code_sums(index->meta.padded, query->steps, record->codes,
							index->code_size, count, sums);

	for (int i = 0; i < count; i++)
	{
		float		dot = query->step * (2 * sums[i] - query->steps_sum);

		estimates[i] = distance - factor * factors[i].rescale * dot;
		if (add)
			estimates[i] += factors[i].add;
	}
}

/*
 * hnsw_edge_distances -- how far all neighbours of a vertex are from it
 *
 * Recovered from the factors, which is exact but for rounding where the
 * metric is L2 or cosine, and an estimate for inner products.
 */
void
hnsw_edge_distances(const HnswIndex *index, const HnswRecord *record,
					int32 *sums, float *distances)
{
	const VdbHnswInt8Value *base = record->value;
	const VdbHnswFactors *factors = record->factors;
	int			count = record->head->count;
	int32		base_sum = 0;

	vdb_distance->code_sums(index->meta.padded, base->code, record->codes,
							index->code_size, count, sums);
	for (int i = 0; i < index->meta.padded; i++)
		base_sum += base->code[i];

	for (int i = 0; i < count; i++)
	{
		float		dot = base->scale * (2 * sums[i] - base_sum);

		if (index->meta.metric == VDB_METRIC_IP)
			distances[i] = -base->norm2 - factors[i].rescale * dot;
		else
			distances[i] = Max(0, factors[i].add -
							   2 * factors[i].rescale * dot);
	}
}
