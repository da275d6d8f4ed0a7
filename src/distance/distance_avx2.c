/*-------------------------------------------------------------------------
 *
 * distance_avx2.c
 *	  Kernels for x86-64 with AVX2, FMA and F16C (Haswell and Zen onwards).
 *
 * IDENTIFICATION
 *	  src/distance/distance_avx2.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "distance_private.h"

#ifdef DISTANCE_X86

#include <immintrin.h>

#define TARGET "avx2,fma,f16c"
#define KERNEL static __attribute__((target(TARGET)))
#define LANE static inline __attribute__((always_inline, target(TARGET)))

#define Lanes __m256
#define LANES 8
#define Bytes __m256i
#define BYTES 32

/*
 * Registers of floats, as distance_kernels_template.h wants them
 */

LANE Lanes
lanes_zero(void)
{
	return _mm256_setzero_ps();
}

LANE Lanes
lanes_set(float x)
{
	return _mm256_set1_ps(x);
}

/* All ones in the first n lanes. */
LANE __m256i
mask_of_tail(int n)
{
	return _mm256_cmpgt_epi32(_mm256_set1_epi32(n),
							  _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

LANE Lanes
lanes_load_float(const float *p)
{
	return _mm256_loadu_ps(p);
}

LANE Lanes
lanes_load_tail_float(const float *p, int n)
{
	return _mm256_maskload_ps(p, mask_of_tail(n));
}

LANE void
lanes_store_float(float *p, Lanes v)
{
	_mm256_storeu_ps(p, v);
}

LANE void
lanes_store_tail_float(float *p, Lanes v, int n)
{
	_mm256_maskstore_ps(p, mask_of_tail(n), v);
}

/* The first n bytes of a register of 16, 0 <= n <= 16, the others zero. */
LANE __m128i
load_partial(const void *p, Size n)
{
	const uint8 *bytes = p;

	if (n > 8)
		return _mm_set_epi64x(load_up_to_eight(bytes + 8, n - 8),
							  load_up_to_eight(bytes, 8));
	return _mm_cvtsi64_si128(load_up_to_eight(bytes, n));
}

LANE Lanes
lanes_load_VdbHalf(const VdbHalf *p)
{
	return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) p));
}

LANE Lanes
lanes_load_tail_VdbHalf(const VdbHalf *p, int n)
{
	return _mm256_cvtph_ps(load_partial(p, n * sizeof(VdbHalf)));
}

LANE __m128i
halves_of(Lanes v)
{
	return _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

LANE void
lanes_store_VdbHalf(VdbHalf *p, Lanes v)
{
	_mm_storeu_si128((__m128i *) p, halves_of(v));
}

LANE void
lanes_store_tail_VdbHalf(VdbHalf *p, Lanes v, int n)
{
	VdbHalf		halves[LANES];

	_mm_storeu_si128((__m128i *) halves, halves_of(v));
	memcpy(p, halves, n * sizeof(VdbHalf));
}

LANE Lanes
lanes_load_int8(const int8 *p)
{
	__m128i		bytes = _mm_loadl_epi64((const __m128i *) p);

	return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
}

LANE Lanes
lanes_load_tail_int8(const int8 *p, int n)
{
	return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(load_partial(p, n)));
}

LANE Lanes
lanes_add(Lanes x, Lanes y)
{
	return _mm256_add_ps(x, y);
}

LANE Lanes
lanes_sub(Lanes x, Lanes y)
{
	return _mm256_sub_ps(x, y);
}

LANE Lanes
lanes_mul(Lanes x, Lanes y)
{
	return _mm256_mul_ps(x, y);
}

LANE Lanes
lanes_fma(Lanes x, Lanes y, Lanes z)
{
	return _mm256_fmadd_ps(x, y, z);
}

LANE Lanes
lanes_abs(Lanes x)
{
	return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x);
}

LANE float
lanes_sum(Lanes x)
{
	__m128		sum = _mm_add_ps(_mm256_castps256_ps128(x),
								 _mm256_extractf128_ps(x, 1));

	sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
	sum = _mm_add_ss(sum, _mm_movehdup_ps(sum));
	return _mm_cvtss_f32(sum);
}

LANE Lanes
above_zero(Lanes x)
{
	return _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_GT_OQ);
}

LANE uint32
lanes_positive(Lanes x)
{
	return _mm256_movemask_ps(above_zero(x));
}

LANE Lanes
lanes_sign_by(Lanes x, Lanes y)
{
	return _mm256_xor_ps(x, _mm256_andnot_ps(above_zero(y),
											 _mm256_set1_ps(-0.0f)));
}

LANE Lanes
lanes_flip(Lanes x, uint32 bits)
{
	const __m256i shift = _mm256_setr_epi32(31, 30, 29, 28, 27, 26, 25, 24);
	__m256i		signs = _mm256_sllv_epi32(_mm256_set1_epi32(bits), shift);

	return _mm256_xor_ps(x, _mm256_and_ps(_mm256_castsi256_ps(signs),
										  _mm256_set1_ps(-0.0f)));
}

LANE Lanes
lanes_larger(Lanes x, Lanes y)
{
	__m256i		a = _mm256_castps_si256(lanes_abs(x));
	__m256i		b = _mm256_castps_si256(lanes_abs(y));

	return _mm256_castsi256_ps(_mm256_max_epi32(a, b));
}

LANE Lanes
lanes_round(Lanes x)
{
	return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

LANE Lanes
lanes_within(Lanes x, Lanes limit)
{
	Lanes		least = _mm256_xor_ps(limit, _mm256_set1_ps(-0.0f));

	return _mm256_max_ps(_mm256_min_ps(x, limit), least);
}

LANE void
lanes_store_int8(int8 *p, Lanes v)
{
	__m256i		whole = _mm256_cvtps_epi32(v);
	__m128i		words = _mm_packs_epi32(_mm256_castsi256_si128(whole),
										_mm256_extracti128_si256(whole, 1));

	_mm_storel_epi64((__m128i *) p, _mm_packs_epi16(words, words));
}

/* Each stage adds to the partner of a lane the lane itself, sign changed in
 * the upper of the two. */
LANE Lanes
lanes_butterflies(Lanes x)
{
	const Lanes odd = _mm256_setr_ps(0, -0.0f, 0, -0.0f,
									 0, -0.0f, 0, -0.0f);
	const Lanes pair = _mm256_setr_ps(0, 0, -0.0f, -0.0f,
									  0, 0, -0.0f, -0.0f);
	const Lanes upper = _mm256_setr_ps(0, 0, 0, 0,
									   -0.0f, -0.0f, -0.0f, -0.0f);

	x = _mm256_add_ps(_mm256_permute_ps(x, 0xb1), _mm256_xor_ps(x, odd));
	x = _mm256_add_ps(_mm256_permute_ps(x, 0x4e), _mm256_xor_ps(x, pair));
	return _mm256_add_ps(_mm256_permute2f128_ps(x, x, 0x01),
						 _mm256_xor_ps(x, upper));
}

#include "distance_kernels_template.h"

/*
 * Registers of bytes, as distance_bits_template.h wants them
 */

LANE Bytes
bytes_zero(void)
{
	return _mm256_setzero_si256();
}

LANE Bytes
bytes_load(const void *p)
{
	return _mm256_loadu_si256((const __m256i *) p);
}

LANE Bytes
bytes_load_tail(const void *p, Size n)
{
	const uint8 *bytes = p;

	if (n > 16)
		return _mm256_set_m128i(load_partial(bytes + 16, n - 16),
								_mm_loadu_si128((const __m128i *) p));
	return _mm256_zextsi128_si256(load_partial(bytes, n));
}

LANE Bytes
bytes_xor(Bytes x, Bytes y)
{
	return _mm256_xor_si256(x, y);
}

LANE Bytes
bytes_and(Bytes x, Bytes y)
{
	return _mm256_and_si256(x, y);
}

LANE Bytes
bytes_add64(Bytes x, Bytes y)
{
	return _mm256_add_epi64(x, y);
}

LANE uint64
bytes_sum64(Bytes x)
{
	__m128i		sum = _mm_add_epi64(_mm256_castsi256_si128(x),
									_mm256_extracti128_si256(x, 1));

	return _mm_cvtsi128_si64(sum) + _mm_extract_epi64(sum, 1);
}

/* Ones of each nibble by table, bytes added up in groups of eight. */
LANE Bytes
count_ones(Bytes x)
{
	const Bytes table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3,
										 1, 2, 2, 3, 2, 3, 3, 4,
										 0, 1, 1, 2, 1, 2, 2, 3,
										 1, 2, 2, 3, 2, 3, 3, 4);
	const Bytes nibble = _mm256_set1_epi8(0x0f);
	Bytes		low = _mm256_and_si256(x, nibble);
	Bytes		high = _mm256_and_si256(_mm256_srli_epi16(x, 4), nibble);

	return _mm256_sad_epu8(_mm256_add_epi8(_mm256_shuffle_epi8(table, low),
										   _mm256_shuffle_epi8(table, high)),
						   _mm256_setzero_si256());
}

#define BITS_KERNEL KERNEL
#define BITS_HAMMING hamming
#define BITS_JACCARD jaccard_sums
#define BITS_COUNT count_ones
#include "distance_bits_template.h"

/*
 * Integer kernels
 */

LANE int32
sum_int32(__m256i x)
{
	__m128i		sum = _mm_add_epi32(_mm256_castsi256_si128(x),
									_mm256_extracti128_si256(x, 1));

	sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
	sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1));
	return _mm_cvtsi128_si32(sum);
}

/*
 * 32 products, added up in eights.  The instruction that multiplies bytes
 * wants the first ones without sign, so the sign of a moves over to b.  Pairs
 * are at most 2 * 127 * 127, which an int16 holds.
 */
LANE __m256i
int8_products(__m256i a, __m256i b)
{
	__m256i		pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(a),
											 _mm256_sign_epi8(b, a));

	return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

KERNEL int32
int8_int8_inner_product(int dim, const int8 *a, const int8 *b)
{
	__m256i		sum0 = _mm256_setzero_si256();
	__m256i		sum1 = _mm256_setzero_si256();
	int			i = 0;

	for (; dim - i >= 64; i += 64)
	{
		sum0 = _mm256_add_epi32(sum0, int8_products(bytes_load(a + i),
													bytes_load(b + i)));
		sum1 = _mm256_add_epi32(sum1, int8_products(bytes_load(a + i + 32),
													bytes_load(b + i + 32)));
	}
	if (dim - i >= 32)
	{
		sum0 = _mm256_add_epi32(sum0, int8_products(bytes_load(a + i),
													bytes_load(b + i)));
		i += 32;
	}
	if (i < dim)
		sum1 = _mm256_add_epi32(sum1,
								int8_products(bytes_load_tail(a + i, dim - i),
											  bytes_load_tail(b + i, dim - i)));
	return sum_int32(_mm256_add_epi32(sum0, sum1));
}

/*
 * code_sums
 *
 * The obvious way turns each bit of a code into a byte of ones, which costs a
 * shuffle, two logical operations and a comparison for every 32 bits.  Here
 * the query is transposed instead, once for all codes of a call, so that
 * codes can be used as they are.
 *
 * A block is 128 dimensions: 16 bytes of code, each with bits 0 to 7.  Of the
 * query block, row k (0 to 3) holds the 16 values that belong to bit k of
 * those bytes, and after them the 16 that belong to bit k + 4.  The code
 * block is put into both halves of a register, the upper one shifted right by
 * four; what "and 1 << k" leaves of it, 0 or 1 << k, is multiplied with row k
 * and neighbours are added, in int16.
 *
 * Sums of the rows are kept apart, since they carry the factor 1 << k.  One
 * block adds at most 2 * 8 * 127 = 2032 to a lane, so sixteen blocks fit:
 * CHUNK dimensions.  At the end of a chunk the rows are multiplied by 8, 4, 2
 * and 1, which makes their total eight times what is wanted.
 */
#define BLOCK 128
#define CHUNK (16 * BLOCK)

/* Writes the four rows of a block of the query, "dims" being 64 or 128. */
LANE void
transpose_block(const int8 *query, int dims, __m256i *rows)
{
	const __m256i halves = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
	const __m256i turn = _mm256_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13,
										  2, 6, 10, 14, 3, 7, 11, 15,
										  0, 4, 8, 12, 1, 5, 9, 13,
										  2, 6, 10, 14, 3, 7, 11, 15);
	__m256i		v[4];
	__m256i		low01;
	__m256i		low23;
	__m256i		high01;
	__m256i		high23;

	for (int i = 0; i < 4; i++)
	{
		v[i] = i * 32 < dims ? bytes_load(query + i * 32) : bytes_zero();

		/* values of bits 0 to 3 into the lower half, then grouped by bit */
		v[i] = _mm256_permutevar8x32_epi32(v[i], halves);
		v[i] = _mm256_shuffle_epi8(v[i], turn);
	}
	low01 = _mm256_unpacklo_epi32(v[0], v[1]);
	low23 = _mm256_unpacklo_epi32(v[2], v[3]);
	high01 = _mm256_unpackhi_epi32(v[0], v[1]);
	high23 = _mm256_unpackhi_epi32(v[2], v[3]);
	rows[0] = _mm256_unpacklo_epi64(low01, low23);
	rows[1] = _mm256_unpackhi_epi64(low01, low23);
	rows[2] = _mm256_unpacklo_epi64(high01, high23);
	rows[3] = _mm256_unpackhi_epi64(high01, high23);
}

/* Adds to the sum of a row what the codes' bits under the mask pick of it. */
LANE __m256i
add_row(__m256i sum, __m256i codes, int mask, __m256i row)
{
	__m256i		bits = _mm256_and_si256(codes, _mm256_set1_epi8(mask));

	return _mm256_add_epi16(sum, _mm256_maddubs_epi16(bits, row));
}

/*
 * Eight times the sum of one code over a chunk, spread over eight lanes.
 * "dims" is a multiple of 64 up to CHUNK.
 */
LANE __m256i
sum_code(int dims, const __m256i *rows, const uint8 *code)
{
	const __m256i shift = _mm256_setr_epi32(0, 0, 0, 0, 4, 4, 4, 4);
	const __m256i nibble = _mm256_set1_epi8(0x0f);
	__m256i		sum0 = _mm256_setzero_si256();
	__m256i		sum1 = _mm256_setzero_si256();
	__m256i		sum2 = _mm256_setzero_si256();
	__m256i		sum3 = _mm256_setzero_si256();

	for (int done = 0; done < dims; done += BLOCK)
	{
		const __m128i *place = (const __m128i *) (code + done / 8);
		__m128i		bits = (dims - done >= BLOCK) ?
		_mm_loadu_si128(place) : _mm_loadl_epi64(place);
		__m256i		both = _mm256_broadcastsi128_si256(bits);

		both = _mm256_and_si256(_mm256_srlv_epi32(both, shift), nibble);
		sum0 = add_row(sum0, both, 1, rows[0]);
		sum1 = add_row(sum1, both, 2, rows[1]);
		sum2 = add_row(sum2, both, 4, rows[2]);
		sum3 = add_row(sum3, both, 8, rows[3]);
		rows += 4;
	}
	sum0 = _mm256_madd_epi16(sum0, _mm256_set1_epi16(8));
	sum1 = _mm256_madd_epi16(sum1, _mm256_set1_epi16(4));
	sum2 = _mm256_madd_epi16(sum2, _mm256_set1_epi16(2));
	sum3 = _mm256_madd_epi16(sum3, _mm256_set1_epi16(1));
	return _mm256_add_epi32(_mm256_add_epi32(sum0, sum1),
							_mm256_add_epi32(sum2, sum3));
}

/*
 * Adds to sums what one chunk contributes: four codes at a time, so that
 * they share the last additions across a register.
 */
LANE void
add_chunk(int dims, const __m256i *rows, const uint8 *codes, Size stride,
		  int count, int32 *sums)
{
	int			j = 0;

	for (; count - j >= 4; j += 4)
	{
		const uint8 *code = codes + (Size) j * stride;
		__m256i		pairs01;
		__m256i		pairs23;
		__m128i		total;
		__m128i    *place = (__m128i *) (sums + j);

		pairs01 = _mm256_hadd_epi32(sum_code(dims, rows, code),
									sum_code(dims, rows, code + stride));
		pairs23 = _mm256_hadd_epi32(sum_code(dims, rows, code + 2 * stride),
									sum_code(dims, rows, code + 3 * stride));
		pairs01 = _mm256_hadd_epi32(pairs01, pairs23);
		total = _mm_add_epi32(_mm256_castsi256_si128(pairs01),
							  _mm256_extracti128_si256(pairs01, 1));
		total = _mm_srai_epi32(total, 3);
		_mm_storeu_si128(place, _mm_add_epi32(_mm_loadu_si128(place), total));
	}
	for (; j < count; j++)
		sums[j] += sum_int32(sum_code(dims, rows,
									  codes + (Size) j * stride)) >> 3;
}

KERNEL void
code_sums(int dim, const int8 *query, const uint8 *codes,
		  Size stride, int count, int32 *sums)
{
	__m256i		rows[CHUNK / 32];

	memset(sums, 0, count * sizeof(int32));
	for (int start = 0; start < dim; start += CHUNK)
	{
		int			dims = (dim - start < CHUNK) ? dim - start : CHUNK;

		for (int done = 0; done < dims; done += BLOCK)
			transpose_block(query + start + done, dims - done,
							rows + done / 32);
		add_chunk(dims, rows, codes + start / 8, stride, count, sums);
	}
}

const VdbDistanceKernels distance_avx2 = {
	.name = "avx2",
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

#endif							/* DISTANCE_X86 */
