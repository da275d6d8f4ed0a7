/*-------------------------------------------------------------------------
 *
 * distance_neon.c
 *	  Kernels for aarch64, whose every processor has NEON.
 *
 * Nothing beyond the base instruction set is used, so there is nothing to
 * ask the processor for.
 *
 * IDENTIFICATION
 *	  src/distance/distance_neon.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "distance_private.h"

#ifdef DISTANCE_NEON

#include <arm_neon.h>

#define KERNEL static
#define LANE static inline __attribute__((always_inline))

#define Lanes float32x4_t
#define LANES 4
#define Bytes uint8x16_t
#define BYTES 16

/*
 * Registers of floats, as distance_kernels_template.h wants them
 */

LANE Lanes
lanes_zero(void)
{
	return vdupq_n_f32(0);
}

LANE Lanes
lanes_set(float x)
{
	return vdupq_n_f32(x);
}

LANE Lanes
lanes_load_float(const float *p)
{
	return vld1q_f32(p);
}

LANE Lanes
lanes_load_tail_float(const float *p, int n)
{
	float		elements[LANES] = {0};

	for (int i = 0; i < n; i++)
		elements[i] = p[i];
	return vld1q_f32(elements);
}

LANE void
lanes_store_float(float *p, Lanes v)
{
	vst1q_f32(p, v);
}

LANE void
lanes_store_tail_float(float *p, Lanes v, int n)
{
	float		elements[LANES];

	vst1q_f32(elements, v);
	for (int i = 0; i < n; i++)
		p[i] = elements[i];
}

LANE Lanes
lanes_load_VdbHalf(const VdbHalf *p)
{
	return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}

LANE Lanes
lanes_load_tail_VdbHalf(const VdbHalf *p, int n)
{
	VdbHalf		elements[LANES] = {0};

	for (int i = 0; i < n; i++)
		elements[i] = p[i];
	return lanes_load_VdbHalf(elements);
}

LANE void
lanes_store_VdbHalf(VdbHalf *p, Lanes v)
{
	vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(v)));
}

LANE void
lanes_store_tail_VdbHalf(VdbHalf *p, Lanes v, int n)
{
	VdbHalf		elements[LANES];

	lanes_store_VdbHalf(elements, v);
	for (int i = 0; i < n; i++)
		p[i] = elements[i];
}

/* The low four of eight bytes as floats. */
LANE Lanes
floats_of(uint64 bytes)
{
	int16x8_t	wide = vmovl_s8(vcreate_s8(bytes));

	return vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide)));
}

LANE Lanes
lanes_load_int8(const int8 *p)
{
	uint32		bytes;

	memcpy(&bytes, p, sizeof(bytes));
	return floats_of(bytes);
}

LANE Lanes
lanes_load_tail_int8(const int8 *p, int n)
{
	return floats_of(load_up_to_eight((const uint8 *) p, n));
}

LANE Lanes
lanes_add(Lanes x, Lanes y)
{
	return vaddq_f32(x, y);
}

LANE Lanes
lanes_sub(Lanes x, Lanes y)
{
	return vsubq_f32(x, y);
}

LANE Lanes
lanes_mul(Lanes x, Lanes y)
{
	return vmulq_f32(x, y);
}

LANE Lanes
lanes_fma(Lanes x, Lanes y, Lanes z)
{
	return vfmaq_f32(z, x, y);
}

LANE Lanes
lanes_abs(Lanes x)
{
	return vabsq_f32(x);
}

LANE float
lanes_sum(Lanes x)
{
	return vaddvq_f32(x);
}

LANE uint32
lanes_positive(Lanes x)
{
	static const uint32 weights[LANES] = {1, 2, 4, 8};

	return vaddvq_u32(vandq_u32(vcgtzq_f32(x), vld1q_u32(weights)));
}

LANE Lanes
lanes_sign_by(Lanes x, Lanes y)
{
	return vbslq_f32(vcgtzq_f32(y), x, vnegq_f32(x));
}

LANE Lanes
lanes_flip(Lanes x, uint32 bits)
{
	const int32 shifts[LANES] = {31, 30, 29, 28};
	uint32x4_t	signs = vshlq_u32(vdupq_n_u32(bits), vld1q_s32(shifts));

	signs = vandq_u32(signs, vdupq_n_u32(0x80000000));
	return vreinterpretq_f32_u32(veorq_u32(vreinterpretq_u32_f32(x), signs));
}

LANE Lanes
lanes_larger(Lanes x, Lanes y)
{
	uint32x4_t	a = vreinterpretq_u32_f32(vabsq_f32(x));
	uint32x4_t	b = vreinterpretq_u32_f32(vabsq_f32(y));

	return vreinterpretq_f32_u32(vmaxq_u32(a, b));
}

LANE Lanes
lanes_round(Lanes x)
{
	return vrndnq_f32(x);
}

LANE Lanes
lanes_within(Lanes x, Lanes limit)
{
	return vmaxq_f32(vminq_f32(x, limit), vnegq_f32(limit));
}

LANE void
lanes_store_int8(int8 *p, Lanes v)
{
	int16x4_t	words = vqmovn_s32(vcvtq_s32_f32(v));
	int8x8_t	bytes = vqmovn_s16(vcombine_s16(words, words));
	uint32		four = vget_lane_u32(vreinterpret_u32_s8(bytes), 0);

	memcpy(p, &four, sizeof(four));
}

/* Each stage adds to the partner of a lane the lane itself, sign changed in
 * the upper of the two. */
LANE Lanes
lanes_butterflies(Lanes x)
{
	static const uint32 odd[LANES] = {0, 0x80000000, 0, 0x80000000};
	static const uint32 upper[LANES] = {0, 0, 0x80000000, 0x80000000};
	uint32x4_t	bits = vreinterpretq_u32_f32(x);

	bits = veorq_u32(bits, vld1q_u32(odd));
	x = vaddq_f32(vrev64q_f32(x), vreinterpretq_f32_u32(bits));
	bits = veorq_u32(vreinterpretq_u32_f32(x), vld1q_u32(upper));
	return vaddq_f32(vextq_f32(x, x, 2), vreinterpretq_f32_u32(bits));
}

#include "distance_kernels_template.h"

/*
 * Registers of bytes, as distance_bits_template.h wants them
 */

LANE Bytes
bytes_zero(void)
{
	return vdupq_n_u8(0);
}

LANE Bytes
bytes_load(const void *p)
{
	return vld1q_u8(p);
}

LANE Bytes
bytes_load_tail(const void *p, Size n)
{
	const uint8 *bytes = p;
	Size		low = (n < 8) ? n : 8;

	return vcombine_u8(vcreate_u8(load_up_to_eight(bytes, low)),
					   vcreate_u8(load_up_to_eight(bytes + low, n - low)));
}

LANE Bytes
bytes_xor(Bytes x, Bytes y)
{
	return veorq_u8(x, y);
}

LANE Bytes
bytes_and(Bytes x, Bytes y)
{
	return vandq_u8(x, y);
}

LANE Bytes
bytes_add64(Bytes x, Bytes y)
{
	return vreinterpretq_u8_u64(vaddq_u64(vreinterpretq_u64_u8(x),
										  vreinterpretq_u64_u8(y)));
}

LANE uint64
bytes_sum64(Bytes x)
{
	return vaddvq_u64(vreinterpretq_u64_u8(x));
}

LANE Bytes
count_ones(Bytes x)
{
	uint32x4_t	counts = vpaddlq_u16(vpaddlq_u8(vcntq_u8(x)));

	return vreinterpretq_u8_u64(vpaddlq_u32(counts));
}

#define BITS_KERNEL KERNEL
#define BITS_HAMMING hamming
#define BITS_JACCARD jaccard_sums
#define BITS_COUNT count_ones
#include "distance_bits_template.h"

/*
 * Integer kernels
 */

/* Adds 16 products to four sums; two of them are at most 2 * 127 * 127. */
LANE int32x4_t
add_int8_products(int32x4_t sum, int8x16_t a, int8x16_t b)
{
	int16x8_t	pairs = vmull_s8(vget_low_s8(a), vget_low_s8(b));

	return vpadalq_s16(sum, vmlal_s8(pairs, vget_high_s8(a), vget_high_s8(b)));
}

KERNEL int32
int8_int8_inner_product(int dim, const int8 *a, const int8 *b)
{
	int32x4_t	sum0 = vdupq_n_s32(0);
	int32x4_t	sum1 = vdupq_n_s32(0);
	int			i = 0;

	for (; dim - i >= 32; i += 32)
	{
		sum0 = add_int8_products(sum0, vld1q_s8(a + i), vld1q_s8(b + i));
		sum1 = add_int8_products(sum1, vld1q_s8(a + i + 16),
								 vld1q_s8(b + i + 16));
	}
	if (dim - i >= 16)
	{
		sum0 = add_int8_products(sum0, vld1q_s8(a + i), vld1q_s8(b + i));
		i += 16;
	}
	if (i < dim)
		sum1 = add_int8_products(sum1,
								 vreinterpretq_s8_u8(bytes_load_tail(a + i, dim - i)),
								 vreinterpretq_s8_u8(bytes_load_tail(b + i, dim - i)));
	return vaddvq_s32(vaddq_s32(sum0, sum1));
}

/*
 * code_sums: two bytes of a code are spread over 16 lanes, each lane tests
 * its own bit, and the bytes of the query under set bits are added in pairs
 * to int16.  A step adds at most 2 * 127 to a lane, so 128 steps of 16 fit.
 */
#define CHUNK (128 * 16)

/* All ones in the lanes whose bit of the two bytes at "step" is set. */
LANE int8x16_t
spread_bits(uint8x16_t code, int step)
{
	static const uint8 first[16] = {0, 0, 0, 0, 0, 0, 0, 0,
	1, 1, 1, 1, 1, 1, 1, 1};
	static const uint8 bits[16] = {1, 2, 4, 8, 16, 32, 64, 128,
	1, 2, 4, 8, 16, 32, 64, 128};
	uint8x16_t	places = vaddq_u8(vld1q_u8(first), vdupq_n_u8(2 * step));

	return vreinterpretq_s8_u8(vtstq_u8(vqtbl1q_u8(code, places),
										vld1q_u8(bits)));
}

/* The sum of one code over a chunk; dims is a multiple of 64. */
LANE int32
sum_code(int dims, const int8 *query, const uint8 *code)
{
	int16x8_t	sum0 = vdupq_n_s16(0);
	int16x8_t	sum1 = vdupq_n_s16(0);

	for (int i = 0; i < dims; i += 64)
	{
		uint8x16_t	bits = vcombine_u8(vld1_u8(code + i / 8), vdup_n_u8(0));
		const int8 *q = query + i;

		sum0 = vpadalq_s8(sum0, vandq_s8(spread_bits(bits, 0), vld1q_s8(q)));
		sum1 = vpadalq_s8(sum1,
						  vandq_s8(spread_bits(bits, 1), vld1q_s8(q + 16)));
		sum0 = vpadalq_s8(sum0,
						  vandq_s8(spread_bits(bits, 2), vld1q_s8(q + 32)));
		sum1 = vpadalq_s8(sum1,
						  vandq_s8(spread_bits(bits, 3), vld1q_s8(q + 48)));
	}
	return vaddlvq_s16(sum0) + vaddlvq_s16(sum1);
}

KERNEL void
code_sums(int dim, const int8 *query, const uint8 *codes,
		  Size stride, int count, int32 *sums)
{
	memset(sums, 0, count * sizeof(int32));
	for (int start = 0; start < dim; start += CHUNK)
	{
		int			dims = (dim - start < CHUNK) ? dim - start : CHUNK;

		for (int j = 0; j < count; j++)
			sums[j] += sum_code(dims, query + start,
								codes + (Size) j * stride + start / 8);
	}
}

const VdbDistanceKernels distance_neon = {
	.name = "neon",
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

#endif							/* DISTANCE_NEON */
