/*-------------------------------------------------------------------------
 *
 * distance_avx512.c
 *	  Kernels for x86-64 with AVX-512 F, BW, VL and DQ (Skylake servers and
 *	  Zen 4 onwards), ones counted faster where VPOPCNTDQ is there too.
 *
 * Mask registers serve the ends of arrays: a masked load does not touch what
 * is masked out, even across a page boundary.
 *
 * IDENTIFICATION
 *	  src/distance/distance_avx512.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "distance_private.h"

#ifdef DISTANCE_X86

#include <immintrin.h>

#define TARGET "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq"
#define KERNEL static __attribute__((target(TARGET)))
#define POPCNT_KERNEL \
	static __attribute__((target(TARGET ",avx512vpopcntdq")))
#define LANE static inline __attribute__((always_inline, target(TARGET)))
#define POPCNT_LANE \
	static inline __attribute__((always_inline, \
								 target(TARGET ",avx512vpopcntdq")))

#define Lanes __m512
#define LANES 16
#define Bytes __m512i
#define BYTES 64

/*
 * Registers of floats, as distance_kernels_template.h wants them
 */

LANE Lanes
lanes_zero(void)
{
	return _mm512_setzero_ps();
}

LANE Lanes
lanes_set(float x)
{
	return _mm512_set1_ps(x);
}

/* The first n of 16 lanes. */
LANE __mmask16
mask_of_tail(int n)
{
	return (__mmask16) ((1U << n) - 1);
}

LANE Lanes
lanes_load_float(const float *p)
{
	return _mm512_loadu_ps(p);
}

LANE Lanes
lanes_load_tail_float(const float *p, int n)
{
	return _mm512_maskz_loadu_ps(mask_of_tail(n), p);
}

LANE void
lanes_store_float(float *p, Lanes v)
{
	_mm512_storeu_ps(p, v);
}

LANE void
lanes_store_tail_float(float *p, Lanes v, int n)
{
	_mm512_mask_storeu_ps(p, mask_of_tail(n), v);
}

LANE Lanes
lanes_load_VdbHalf(const VdbHalf *p)
{
	return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *) p));
}

LANE Lanes
lanes_load_tail_VdbHalf(const VdbHalf *p, int n)
{
	return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask_of_tail(n), p));
}

LANE __m256i
halves_of(Lanes v)
{
	return _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

LANE void
lanes_store_VdbHalf(VdbHalf *p, Lanes v)
{
	_mm256_storeu_si256((__m256i *) p, halves_of(v));
}

LANE void
lanes_store_tail_VdbHalf(VdbHalf *p, Lanes v, int n)
{
	_mm256_mask_storeu_epi16(p, mask_of_tail(n), halves_of(v));
}

LANE Lanes
lanes_load_int8(const int8 *p)
{
	__m128i		bytes = _mm_loadu_si128((const __m128i *) p);

	return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
}

LANE Lanes
lanes_load_tail_int8(const int8 *p, int n)
{
	__m128i		bytes = _mm_maskz_loadu_epi8(mask_of_tail(n), p);

	return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
}

LANE Lanes
lanes_add(Lanes x, Lanes y)
{
	return _mm512_add_ps(x, y);
}

LANE Lanes
lanes_sub(Lanes x, Lanes y)
{
	return _mm512_sub_ps(x, y);
}

LANE Lanes
lanes_mul(Lanes x, Lanes y)
{
	return _mm512_mul_ps(x, y);
}

LANE Lanes
lanes_fma(Lanes x, Lanes y, Lanes z)
{
	return _mm512_fmadd_ps(x, y, z);
}

LANE Lanes
lanes_abs(Lanes x)
{
	return _mm512_andnot_ps(_mm512_set1_ps(-0.0f), x);
}

LANE float
lanes_sum(Lanes x)
{
	return _mm512_reduce_add_ps(x);
}

LANE uint32
lanes_positive(Lanes x)
{
	return _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_GT_OQ);
}

LANE Lanes
lanes_flip(Lanes x, uint32 bits)
{
	return _mm512_mask_xor_ps(x, (__mmask16) bits, x, _mm512_set1_ps(-0.0f));
}

LANE Lanes
lanes_sign_by(Lanes x, Lanes y)
{
	return lanes_flip(x, ~lanes_positive(y));
}

LANE Lanes
lanes_larger(Lanes x, Lanes y)
{
	__m512i		a = _mm512_castps_si512(lanes_abs(x));
	__m512i		b = _mm512_castps_si512(lanes_abs(y));

	return _mm512_castsi512_ps(_mm512_max_epi32(a, b));
}

LANE Lanes
lanes_round(Lanes x)
{
	return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT |
								_MM_FROUND_NO_EXC);
}

LANE Lanes
lanes_within(Lanes x, Lanes limit)
{
	Lanes		least = _mm512_xor_ps(limit, _mm512_set1_ps(-0.0f));

	return _mm512_max_ps(_mm512_min_ps(x, limit), least);
}

LANE void
lanes_store_int8(int8 *p, Lanes v)
{
	_mm_storeu_si128((__m128i *) p,
					 _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(v)));
}

/* Each stage adds to the partner of a lane the lane itself, sign changed in
 * the upper of the two. */
LANE Lanes
lanes_butterflies(Lanes x)
{
	x = _mm512_add_ps(_mm512_permute_ps(x, 0xb1), lanes_flip(x, 0xaaaa));
	x = _mm512_add_ps(_mm512_permute_ps(x, 0x4e), lanes_flip(x, 0xcccc));
	x = _mm512_add_ps(_mm512_shuffle_f32x4(x, x, 0xb1),
					  lanes_flip(x, 0xf0f0));
	return _mm512_add_ps(_mm512_shuffle_f32x4(x, x, 0x4e),
						 lanes_flip(x, 0xff00));
}

#include "distance_kernels_template.h"

/*
 * Registers of bytes, as distance_bits_template.h wants them
 */

LANE Bytes
bytes_zero(void)
{
	return _mm512_setzero_si512();
}

LANE Bytes
bytes_load(const void *p)
{
	return _mm512_loadu_si512(p);
}

LANE Bytes
bytes_load_tail(const void *p, Size n)
{
	return _mm512_maskz_loadu_epi8((UINT64_C(1) << n) - 1, p);
}

LANE Bytes
bytes_xor(Bytes x, Bytes y)
{
	return _mm512_xor_si512(x, y);
}

LANE Bytes
bytes_and(Bytes x, Bytes y)
{
	return _mm512_and_si512(x, y);
}

LANE Bytes
bytes_add64(Bytes x, Bytes y)
{
	return _mm512_add_epi64(x, y);
}

LANE uint64
bytes_sum64(Bytes x)
{
	return _mm512_reduce_add_epi64(x);
}

/* Ones of each nibble by table, bytes added up in groups of eight. */
LANE Bytes
count_ones(Bytes x)
{
	const Bytes table =
	_mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3,
										 1, 2, 2, 3, 2, 3, 3, 4));
	const Bytes nibble = _mm512_set1_epi8(0x0f);
	Bytes		low = _mm512_and_si512(x, nibble);
	Bytes		high = _mm512_and_si512(_mm512_srli_epi16(x, 4), nibble);

	return _mm512_sad_epu8(_mm512_add_epi8(_mm512_shuffle_epi8(table, low),
										   _mm512_shuffle_epi8(table, high)),
						   _mm512_setzero_si512());
}

POPCNT_LANE Bytes
count_ones_popcnt(Bytes x)
{
	return _mm512_popcnt_epi64(x);
}

#define BITS_KERNEL KERNEL
#define BITS_HAMMING hamming
#define BITS_JACCARD jaccard_sums
#define BITS_COUNT count_ones
#include "distance_bits_template.h"

#define BITS_KERNEL POPCNT_KERNEL
#define BITS_HAMMING hamming_popcnt
#define BITS_JACCARD jaccard_sums_popcnt
#define BITS_COUNT count_ones_popcnt
#include "distance_bits_template.h"

/*
 * Integer kernels
 */

/* 32 products, added up in pairs. */
LANE __m512i
int8_products(__m256i a, __m256i b)
{
	return _mm512_madd_epi16(_mm512_cvtepi8_epi16(a),
							 _mm512_cvtepi8_epi16(b));
}

KERNEL int32
int8_int8_inner_product(int dim, const int8 *a, const int8 *b)
{
	__m512i		sum0 = _mm512_setzero_si512();
	__m512i		sum1 = _mm512_setzero_si512();
	int			i = 0;

	for (; dim - i >= 64; i += 64)
	{
		const __m256i *x = (const __m256i *) (a + i);
		const __m256i *y = (const __m256i *) (b + i);

		sum0 = _mm512_add_epi32(sum0, int8_products(_mm256_loadu_si256(x),
													_mm256_loadu_si256(y)));
		sum1 = _mm512_add_epi32(sum1, int8_products(_mm256_loadu_si256(x + 1),
													_mm256_loadu_si256(y + 1)));
	}
	for (; i < dim; i += 32)
	{
		__mmask32	mask = (dim - i >= 32) ? 0xffffffff :
		(1U << (dim - i)) - 1;

		sum0 = _mm512_add_epi32(sum0,
								int8_products(_mm256_maskz_loadu_epi8(mask, a + i),
											  _mm256_maskz_loadu_epi8(mask, b + i)));
	}
	return _mm512_reduce_add_epi32(_mm512_add_epi32(sum0, sum1));
}

/*
 * code_sums: 64 bits of a code are a mask register as they are, which picks
 * the bytes of the query to be added.  Neighbours are added in int16: at most
 * 2 * 127 a step, so 128 steps fit, CHUNK dimensions.
 */
#define CHUNK (128 * 64)

/* The query's bytes under the mask, added up in pairs. */
LANE __m512i
pick(const uint8 *code, __m512i query)
{
	uint64		mask;

	memcpy(&mask, code, sizeof(mask));
	return _mm512_maddubs_epi16(_mm512_set1_epi8(1),
								_mm512_maskz_mov_epi8(mask, query));
}

/* The total of 32 lanes of 16 bits. */
LANE int32
sum_int16(__m512i x)
{
	return _mm512_reduce_add_epi32(_mm512_madd_epi16(x, _mm512_set1_epi16(1)));
}

/* Adds to sums what a chunk contributes, four codes sharing each load. */
LANE void
add_chunk(int dims, const int8 *query, const uint8 *codes, Size stride,
		  int count, int32 *sums)
{
	int			j = 0;

	for (; count - j >= 4; j += 4)
	{
		const uint8 *code = codes + (Size) j * stride;
		__m512i		sum0 = _mm512_setzero_si512();
		__m512i		sum1 = _mm512_setzero_si512();
		__m512i		sum2 = _mm512_setzero_si512();
		__m512i		sum3 = _mm512_setzero_si512();

		for (int i = 0; i < dims; i += 64)
		{
			__m512i		q = bytes_load(query + i);
			const uint8 *p = code + i / 8;

			sum0 = _mm512_add_epi16(sum0, pick(p, q));
			sum1 = _mm512_add_epi16(sum1, pick(p + stride, q));
			sum2 = _mm512_add_epi16(sum2, pick(p + 2 * stride, q));
			sum3 = _mm512_add_epi16(sum3, pick(p + 3 * stride, q));
		}
		sums[j] += sum_int16(sum0);
		sums[j + 1] += sum_int16(sum1);
		sums[j + 2] += sum_int16(sum2);
		sums[j + 3] += sum_int16(sum3);
	}
	for (; j < count; j++)
	{
		const uint8 *code = codes + (Size) j * stride;
		__m512i		sum = _mm512_setzero_si512();

		for (int i = 0; i < dims; i += 64)
			sum = _mm512_add_epi16(sum, pick(code + i / 8,
											 bytes_load(query + i)));
		sums[j] += sum_int16(sum);
	}
}

KERNEL void
code_sums(int dim, const int8 *query, const uint8 *codes,
		  Size stride, int count, int32 *sums)
{
	memset(sums, 0, count * sizeof(int32));
	for (int start = 0; start < dim; start += CHUNK)
		add_chunk((dim - start < CHUNK) ? dim - start : CHUNK,
				  query + start, codes + start / 8, stride, count, sums);
}

/* what both tables share */
#define COMMON_KERNELS \
	.name = "avx512", \
	.l2_squared = l2_squared, \
	.inner_product = inner_product, \
	.l1 = l1, \
	.cosine_sums = cosine_sums, \
	.half_l2_squared = half_l2_squared, \
	.half_inner_product = half_inner_product, \
	.half_l1 = half_l1, \
	.half_cosine_sums = half_cosine_sums, \
	.float_half_inner_product = float_half_inner_product, \
	.half_to_float = half_to_float, \
	.float_to_half = float_to_half, \
	.int8_inner_product = int8_inner_product, \
	.int8_int8_inner_product = int8_int8_inner_product, \
	.code_sums = code_sums, \
	.encode_residual = encode_residual, \
	.float_to_int8 = float_to_int8, \
	.largest = largest, \
	.change_signs = change_signs, \
	.hadamard = hadamard

const VdbDistanceKernels distance_avx512 = {
	COMMON_KERNELS,
	.hamming = hamming,
	.jaccard_sums = jaccard_sums,
};

const VdbDistanceKernels distance_avx512_popcnt = {
	COMMON_KERNELS,
	.hamming = hamming_popcnt,
	.jaccard_sums = jaccard_sums_popcnt,
};

#endif							/* DISTANCE_X86 */
