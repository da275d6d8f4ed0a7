/*-------------------------------------------------------------------------
 *
 * hnsw_storage.c
 *	  What the options "codes" and "storage" choose, and the stored forms.
 *
 * A coded index keeps its values in a space that has been turned by a random
 * rotation, because there the elements of any vector look alike: none is much
 * larger than the others, and signs alone say much about a direction.  A
 * rotated value is stored in one of three forms:
 *
 *	- int8: eight bits an element and one scale.  What is lost is less than a
 *	  hundredth of the length of the value, and the recall is that of float32
 *	  all the same, because the executor puts rows into exact order.
 *	- float16: eleven bits of each element.  The scale is a power of two that
 *	  brings the largest element near the upper end of what a half can be, so
 *	  values of any magnitude lose as little.
 *	- float32: nothing is lost but what the rotation rounds.
 *
 * The length of what was lost is stored with the value, which bounds the
 * error of every distance (hnsw_value.c).
 *
 * The rotation is a few rounds of random sign changes and fast Hadamard
 * transforms.  A transform needs a power of two: other dimensions have the
 * largest power of two that fits applied to their head and their tail in
 * turn, so that everything is mixed with everything after four rounds.
 *
 * IDENTIFICATION
 *	  src/hnsw/hnsw_storage.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "port/pg_bitutils.h"
#include "utils/float.h"
#include "utils/rel.h"

#include "hnsw_private.h"

#define ROTATION_ROUNDS 4

/* More bits than this are worth less than more neighbours: decisions/0003 */
#define MAX_CODE_BITS	(VDB_HNSW_MAX_CODE_SIZE * BITS_PER_BYTE)

/* Halves of a value are below 2 to this power */
#define HALF_EXPONENT	15

static bool can_be_coded(const VdbHnswMetaPageData *meta);
static Size element_size(int storage);
static void encode_half(const HnswIndex *index, const float *rotated,
						VdbHnswFloat16Value *value);
static void encode_float(const HnswIndex *index, const float *rotated,
						 VdbHnswFloat32Value *value);

/*
 * hnsw_choose_form -- set codes, storage and padded dimensions of a metapage
 *
 * As the options of the index say; what they leave open follows from each
 * other, the element type, the metric and the dimensions, which the caller
 * has set.  The result may be one that cannot be, see hnsw_check_form().
 */
void
hnsw_choose_form(VdbHnswMetaPageData *meta, Relation rel)
{
	int			codes = hnsw_get_codes(rel);
	int			storage = hnsw_get_storage(rel);

	if (codes == HNSW_OPTION_UNSET && storage != HNSW_OPTION_UNSET)
		codes = storage == VDB_HNSW_STORAGE_PLAIN ?
			VDB_HNSW_CODES_NONE : VDB_HNSW_CODES_RABITQ;
	if (codes == HNSW_OPTION_UNSET)
		codes = can_be_coded(meta) &&
			meta->dimensions >= HNSW_MIN_CODED_DIMENSIONS ?
			VDB_HNSW_CODES_RABITQ : VDB_HNSW_CODES_NONE;
	if (storage == HNSW_OPTION_UNSET)
		storage = codes == VDB_HNSW_CODES_NONE ?
			VDB_HNSW_STORAGE_PLAIN : VDB_HNSW_STORAGE_INT8;

	meta->codes = codes;
	meta->storage = storage;
	meta->padded = codes == VDB_HNSW_CODES_NONE ? 0 :
		TYPEALIGN(64, meta->dimensions);
	meta->code_bits = Min(meta->padded, MAX_CODE_BITS);
}

/* Dense values, and a distance that follows from inner products */
static bool
can_be_coded(const VdbHnswMetaPageData *meta)
{
	return (meta->element == VDB_ELEMENT_FLOAT32 ||
			meta->element == VDB_ELEMENT_FLOAT16) &&
		(meta->metric == VDB_METRIC_L2 || meta->metric == VDB_METRIC_IP ||
		 meta->metric == VDB_METRIC_COSINE);
}

/*
 * hnsw_check_form -- refuse codes that type or metric do not have
 *
 * That codes and storage fit each other was seen to when the options were
 * given (hnsw_check_options()).
 */
void
hnsw_check_form(const VdbHnswMetaPageData *meta, const VdbTypeInfo *type,
				Relation rel)
{
	bool		is_dense = type->to_floats != NULL;

	if (meta->codes == VDB_HNSW_CODES_NONE || can_be_coded(meta))
		return;

	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 hnsw_get_codes(rel) != HNSW_OPTION_UNSET ?
			 errmsg("codes \"%s\" do not fit hnsw index \"%s\"",
					hnsw_codes_name(meta->codes),
					RelationGetRelationName(rel)) :
			 errmsg("storage \"%s\" does not fit hnsw index \"%s\"",
					hnsw_storage_name(meta->storage),
					RelationGetRelationName(rel)),
			 is_dense ?
			 errdetail("Only operator classes for L2 distance, inner product and cosine distance have codes, and values stored otherwise than as they are.") :
			 errdetail("Values of type %s have no codes, and are stored as they are.",
					   type->name),
			 errhint("Codes of this index can only be \"none\", and storage only \"plain\".")));
}

/*
 * hnsw_check_options -- refuse codes and storage that contradict each other
 *
 * Each may be HNSW_OPTION_UNSET.
 */
void
hnsw_check_options(int codes, int storage)
{
	if (codes == HNSW_OPTION_UNSET || storage == HNSW_OPTION_UNSET ||
		(codes == VDB_HNSW_CODES_NONE) == (storage == VDB_HNSW_STORAGE_PLAIN))
		return;

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("storage \"%s\" does not fit codes \"%s\"",
					hnsw_storage_name(storage), hnsw_codes_name(codes)),
			 codes == VDB_HNSW_CODES_NONE ?
			 errdetail("Without codes, values are stored as they are.") :
			 errdetail("Codes are made of rotated values, which are what is stored."),
			 codes == VDB_HNSW_CODES_NONE ?
			 errhint("Storage of an index without codes can only be \"plain\".") :
			 errhint("Storage of an index with codes is one of \"int8\", \"float16\", \"float32\".")));
}

/* hnsw_codes_name -- how an option or a message calls codes */
const char *
hnsw_codes_name(int codes)
{
	return codes == VDB_HNSW_CODES_NONE ? "none" : "rabitq";
}

/* hnsw_storage_name -- likewise */
const char *
hnsw_storage_name(int storage)
{
	switch (storage)
	{
		case VDB_HNSW_STORAGE_INT8:
			return "int8";
		case VDB_HNSW_STORAGE_FLOAT16:
			return "float16";
		case VDB_HNSW_STORAGE_FLOAT32:
			return "float32";
		default:
			return "plain";
	}
}

/*
 * hnsw_coded_value_size -- bytes of every value in a coded index
 */
Size
hnsw_coded_value_size(const VdbHnswMetaPageData *meta)
{
	return sizeof(VdbHnswCodedValue) +
		meta->padded * element_size(meta->storage);
}

/* Bytes of an element of a coded index */
static Size
element_size(int storage)
{
	switch (storage)
	{
		case VDB_HNSW_STORAGE_FLOAT16:
			return sizeof(VdbHalf);
		case VDB_HNSW_STORAGE_FLOAT32:
			return sizeof(float);
		default:
			return sizeof(int8);
	}
}

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

		vdb_distance->change_signs(padded, signs, x);
		signs += padded / 8;
		vdb_distance->hadamard(log2_block, start);
	}
}

/*
 * hnsw_encode_value -- stored form of a rotated vector
 *
 * "value" has room for hnsw_coded_value_size() bytes.  The error can be
 * relied on as a bound.  Uses index->scratch.
 */
void
hnsw_encode_value(const HnswIndex *index, const float *rotated, void *value)
{
	switch (index->meta.storage)
	{
		case VDB_HNSW_STORAGE_INT8:
			hnsw_encode_int8(index->meta.padded, rotated, value);
			break;
		case VDB_HNSW_STORAGE_FLOAT16:
			encode_half(index, rotated, value);
			break;
		default:
			encode_float(index, rotated, value);
			break;
	}
}

/*
 * hnsw_encode_int8 -- eight-bit form of "padded" floats
 *
 * The error is rounded up by a share that covers the rounding of the sums
 * here.
 */
void
hnsw_encode_int8(int padded, const float *rotated, VdbHnswInt8Value *value)
{
	float		largest = vdb_distance->largest(padded, rotated);
	float		inverse;
	double		lost2;
	double		norm2;

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
	if (isinf(inverse) || inverse == 0)
	{
		memset(value->code, 0, padded);
		value->scale = value->norm2 = 0;
		value->error = (float) (sqrt(padded) * largest);
		return;
	}

	lost2 = vdb_distance->float_to_int8(padded, rotated, inverse,
										value->code);
	norm2 = (double) value->scale * value->scale *
		vdb_distance->int8_int8_inner_product(padded, value->code,
											  value->code);
	value->error = (float) (value->scale * sqrt(lost2) * 1.0001 +
							sqrt(norm2) * 1e-6);
	value->norm2 = (float) norm2;
}

/*
 * Likewise in halves
 *
 * The scale is never subnormal, so elements of subnormal size are rounded to
 * its steps; the error says so.
 */
static void
encode_half(const HnswIndex *index, const float *rotated,
			VdbHnswFloat16Value *value)
{
	int			padded = index->meta.padded;
	float		largest = vdb_distance->largest(padded, rotated);
	float	   *scaled = index->scratch;
	float		inverse;
	int			exponent;
	double		error2 = 0;
	double		norm2 = 0;

	if (!isfinite(largest))
	{
		memset(value->half, 0, sizeof(VdbHalf) * padded);
		value->scale = 0;
		value->error = value->norm2 = get_float4_infinity();
		return;
	}

	frexpf(largest, &exponent);
	exponent = Max(exponent - HALF_EXPONENT, FLT_MIN_EXP - 1);
	value->scale = ldexpf(1, exponent);
	inverse = ldexpf(1, -exponent);
	for (int i = 0; i < padded; i++)
		scaled[i] = rotated[i] * inverse;
	vdb_distance->float_to_half(padded, scaled, value->half);
	vdb_distance->half_to_float(padded, value->half, scaled);

	for (int i = 0; i < padded; i++)
	{
		double		decoded = (double) value->scale * scaled[i];

		error2 += (rotated[i] - decoded) * (rotated[i] - decoded);
		norm2 += decoded * decoded;
	}
	value->error = (float) (sqrt(error2) * 1.0001);
	value->norm2 = (float) norm2;
}

/* Likewise in floats: the rotated value as it is, which has no error */
static void
encode_float(const HnswIndex *index, const float *rotated,
			 VdbHnswFloat32Value *value)
{
	int			padded = index->meta.padded;
	double		norm2 = 0;

	if (!isfinite(vdb_distance->largest(padded, rotated)))
	{
		memset(value->x, 0, sizeof(float) * padded);
		value->scale = 0;
		value->error = value->norm2 = get_float4_infinity();
		return;
	}

	for (int i = 0; i < padded; i++)
	{
		/* not -0, because values are compared as bytes */
		value->x[i] = rotated[i] + 0.0f;
		norm2 += (double) rotated[i] * rotated[i];
	}
	value->scale = 1;
	value->error = 0;
	value->norm2 = (float) norm2;
}

/* hnsw_decode_value -- the "padded" floats that a stored value stands for */
void
hnsw_decode_value(const HnswIndex *index, const void *value, float *out)
{
	hnsw_decode_lead(index, value, index->meta.padded, out);
}

/* hnsw_decode_lead -- the first "count" of them, a multiple of 64 */
void
hnsw_decode_lead(const HnswIndex *index, const void *value, int count,
				 float *out)
{
	const void *elements = (const VdbHnswCodedValue *) value + 1;
	float		scale = ((const VdbHnswCodedValue *) value)->scale;

	switch (index->meta.storage)
	{
		case VDB_HNSW_STORAGE_INT8:
			for (int i = 0; i < count; i++)
				out[i] = scale * ((const VdbHnswInt8Value *) value)->code[i];
			break;
		case VDB_HNSW_STORAGE_FLOAT16:
			vdb_distance->half_to_float(count, elements, out);
			for (int i = 0; i < count; i++)
				out[i] *= scale;
			break;
		default:
			memcpy(out, elements, sizeof(float) * count);
			break;
	}
}
