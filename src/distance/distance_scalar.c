/*-------------------------------------------------------------------------
 *
 * distance_scalar.c
 *	  Kernels in plain C: they run anywhere and say what the others must do.
 *
 * Each is the definition in distance.h written as a loop.  They are kept
 * simple on purpose, since every other table is tested against this one.
 *
 * IDENTIFICATION
 *	  src/distance/distance_scalar.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "distance_private.h"


static float
l2_squared(int dim, const float *a, const float *b)
{
	float		sum = 0;

	for (int i = 0; i < dim; i++)
	{
		float		diff = a[i] - b[i];

		sum += diff * diff;
	}
	return sum;
}

static float
inner_product(int dim, const float *a, const float *b)
{
	float		sum = 0;

	for (int i = 0; i < dim; i++)
		sum += a[i] * b[i];
	return sum;
}

static float
l1(int dim, const float *a, const float *b)
{
	float		sum = 0;

	for (int i = 0; i < dim; i++)
		sum += fabsf(a[i] - b[i]);
	return sum;
}

static void
cosine_sums(int dim, const float *a, const float *b,
			float *ab, float *aa, float *bb)
{
	float		sum_ab = 0;
	float		sum_aa = 0;
	float		sum_bb = 0;

	for (int i = 0; i < dim; i++)
	{
		sum_ab += a[i] * b[i];
		sum_aa += a[i] * a[i];
		sum_bb += b[i] * b[i];
	}
	*ab = sum_ab;
	*aa = sum_aa;
	*bb = sum_bb;
}

static float
half_l2_squared(int dim, const VdbHalf *a, const VdbHalf *b)
{
	float		sum = 0;

	for (int i = 0; i < dim; i++)
	{
		float		diff = widen_half(a[i]) - widen_half(b[i]);

		sum += diff * diff;
	}
	return sum;
}

static float
half_inner_product(int dim, const VdbHalf *a, const VdbHalf *b)
{
	float		sum = 0;

	for (int i = 0; i < dim; i++)
		sum += widen_half(a[i]) * widen_half(b[i]);
	return sum;
}

static float
float_half_inner_product(int dim, const float *a, const VdbHalf *b)
{
	float		sum = 0;

	for (int i = 0; i < dim; i++)
		sum += a[i] * widen_half(b[i]);
	return sum;
}

static float
half_l1(int dim, const VdbHalf *a, const VdbHalf *b)
{
	float		sum = 0;

	for (int i = 0; i < dim; i++)
		sum += fabsf(widen_half(a[i]) - widen_half(b[i]));
	return sum;
}

static void
half_cosine_sums(int dim, const VdbHalf *a, const VdbHalf *b,
				 float *ab, float *aa, float *bb)
{
	float		sum_ab = 0;
	float		sum_aa = 0;
	float		sum_bb = 0;

	for (int i = 0; i < dim; i++)
	{
		float		x = widen_half(a[i]);
		float		y = widen_half(b[i]);

		sum_ab += x * y;
		sum_aa += x * x;
		sum_bb += y * y;
	}
	*ab = sum_ab;
	*aa = sum_aa;
	*bb = sum_bb;
}

static void
half_to_float(int dim, const VdbHalf *in, float *out)
{
	for (int i = 0; i < dim; i++)
		out[i] = widen_half(in[i]);
}

static void
float_to_half(int dim, const float *in, VdbHalf *out)
{
	for (int i = 0; i < dim; i++)
		out[i] = narrow_float(in[i]);
}

/*
 * Number of ones in a word, without the instruction that older processors
 * lack: ones are counted in pairs, fours and eights, and the bytes summed.
 */
static inline uint64
count_ones(uint64 word)
{
	word -= (word >> 1) & UINT64_C(0x5555555555555555);
	word = (word & UINT64_C(0x3333333333333333)) +
		((word >> 2) & UINT64_C(0x3333333333333333));
	word = (word + (word >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
	return (word * UINT64_C(0x0101010101010101)) >> 56;
}

/* Up to eight bytes as a word, the missing ones zero; order is immaterial. */
static inline uint64
load_word(const uint8 *bytes, Size available)
{
	uint64		word = 0;

	if (available >= sizeof(word))
		memcpy(&word, bytes, sizeof(word));
	else
		memcpy(&word, bytes, available);
	return word;
}

static uint64
hamming(Size bytes, const uint8 *a, const uint8 *b)
{
	uint64		sum = 0;

	for (Size i = 0; i < bytes; i += 8)
		sum += count_ones(load_word(a + i, bytes - i) ^
						  load_word(b + i, bytes - i));
	return sum;
}

static void
jaccard_sums(Size bytes, const uint8 *a, const uint8 *b,
			 uint64 *ab, uint64 *aa, uint64 *bb)
{
	uint64		sum_ab = 0;
	uint64		sum_aa = 0;
	uint64		sum_bb = 0;

	for (Size i = 0; i < bytes; i += 8)
	{
		uint64		x = load_word(a + i, bytes - i);
		uint64		y = load_word(b + i, bytes - i);

		sum_ab += count_ones(x & y);
		sum_aa += count_ones(x);
		sum_bb += count_ones(y);
	}
	*ab = sum_ab;
	*aa = sum_aa;
	*bb = sum_bb;
}

static float
int8_inner_product(int dim, const float *a, const int8 *b)
{
	float		sum = 0;

	for (int i = 0; i < dim; i++)
		sum += a[i] * (float) b[i];
	return sum;
}

static int32
int8_int8_inner_product(int dim, const int8 *a, const int8 *b)
{
	int32		sum = 0;

	for (int i = 0; i < dim; i++)
		sum += (int32) a[i] * (int32) b[i];
	return sum;
}

static void
code_sums(int dim, const int8 *query, const uint8 *codes,
		  Size stride, int count, int32 *sums)
{
	for (int j = 0; j < count; j++)
	{
		const uint8 *code = codes + (Size) j * stride;
		int32		sum = 0;

		for (int i = 0; i < dim; i++)
			sum += query[i] & -((code[i / 8] >> (i % 8)) & 1);
		sums[j] = sum;
	}
}

static void
encode_residual(int dim, const float *base, const float *target,
				uint8 *code, float *l1, float *l2_squared, float *base_dot)
{
	float		sum_abs = 0;
	float		sum_square = 0;
	float		sum_base = 0;

	memset(code, 0, dim / 8);
	for (int i = 0; i < dim; i++)
	{
		float		residual = target[i] - base[i];
		bool		positive = residual > 0;

		code[i / 8] |= positive << (i % 8);
		sum_abs += fabsf(residual);
		sum_square += residual * residual;
		sum_base += positive ? base[i] : -base[i];
	}
	*l1 = sum_abs;
	*l2_squared = sum_square;
	*base_dot = sum_base;
}

/*
 * Magnitudes are in the order of their bits, with infinity and NaN above all
 * numbers.
 */
static float
largest(int dim, const float *x)
{
	uint32		most = 0;

	for (int i = 0; i < dim; i++)
	{
		uint32		magnitude = float_bits(x[i]) & 0x7fffffff;

		most = (magnitude > most) ? magnitude : most;
	}
	return bits_float(most);
}

static float
float_to_int8(int dim, const float *in, float inverse, int8 *out)
{
	double		error2 = 0;

	for (int i = 0; i < dim; i++)
	{
		float		exact = in[i] * inverse;
		float		whole = rintf(exact);

		whole = (whole > 127) ? 127 : (whole < -127) ? -127 : whole;
		out[i] = (int8) whole;
		error2 += (exact - whole) * (exact - whole);
	}
	return (float) error2;
}

static void
change_signs(int dim, const uint8 *signs, float *x)
{
	for (int i = 0; i < dim; i++)
	{
		if (signs[i / 8] & (1 << (i % 8)))
			x[i] = -x[i];
	}
}

/*
 * Strides ascend and the scale comes last.  Only sums, differences and one
 * product are formed, in an order that all tables share, so that they agree
 * to the last bit: a rotated vector does not depend on who rotated it.
 */
static void
hadamard(int log2_dim, float *x)
{
	int			dim = 1 << log2_dim;
	float		scale = hadamard_scale(log2_dim);

	for (int stride = 1; stride < dim; stride *= 2)
	{
		for (int block = 0; block < dim; block += 2 * stride)
		{
			for (int i = block; i < block + stride; i++)
			{
				float		sum = x[i] + x[i + stride];
				float		diff = x[i] - x[i + stride];

				x[i] = sum;
				x[i + stride] = diff;
			}
		}
	}
	for (int i = 0; i < dim; i++)
		x[i] *= scale;
}

const VdbDistanceKernels distance_scalar = {
	.name = "scalar",
	.l2_squared = l2_squared,
	.inner_product = inner_product,
	.l1 = l1,
	.cosine_sums = cosine_sums,
	.half_l2_squared = half_l2_squared,
	.half_inner_product = half_inner_product,
	.half_l1 = half_l1,
	.half_cosine_sums = half_cosine_sums,
	.float_half_inner_product = float_half_inner_product,
	.half_to_float = half_to_float,
	.float_to_half = float_to_half,
	.hamming = hamming,
	.jaccard_sums = jaccard_sums,
	.int8_inner_product = int8_inner_product,
	.int8_int8_inner_product = int8_int8_inner_product,
	.code_sums = code_sums,
	.encode_residual = encode_residual,
	.float_to_int8 = float_to_int8,
	.largest = largest,
	.change_signs = change_signs,
	.hadamard = hadamard,
};

/* Float of one half; see widen_half. */
float
vdb_half_to_float(VdbHalf value)
{
	return widen_half(value);
}

/* Half of one float, infinite when too large; see narrow_float. */
VdbHalf
vdb_float_to_half(float value)
{
	return narrow_float(value);
}
