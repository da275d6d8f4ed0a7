/*-------------------------------------------------------------------------
 *
 * kernels.c
 *	  Speed of every kernel of every table that this processor can run.
 *
 * Usage: bench_kernels [table]
 *
 * Each kernel is timed twice: on arrays that stay in the first-level cache
 * (one pair, again and again), and on arrays that come from memory (a walk
 * through more than the caches hold).  Beside the figures stands what part
 * of the machine's peak they are: for each kernel and place the peak is the
 * least time that reading its bytes at the measured read bandwidth of that
 * place and doing its multiplications at the measured FMA rate can take.
 * Both peaks are measured in the same run, by loops that do nothing else,
 * with the registers of the best table here.  The kernels over bits, and
 * code_sums, have no such floor for arithmetic; for them the share is that of
 * the read bandwidth alone.  hadamard has neither.
 *
 * Every figure is the best of several runs, since whatever else the machine
 * does can only make one slower.
 *
 * IDENTIFICATION
 *	  test/bench/kernels.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "distance_private.h"

#ifdef DISTANCE_X86
#include <immintrin.h>
#endif
#ifdef DISTANCE_NEON
#include <arm_neon.h>
#endif

#define MEMORY_BYTES ((Size) 256 << 20) /* more than any cache here holds */
#define RUNS 7					/* of which the best counts */
#define RUN_SECONDS 0.004
#define CODES 32				/* in one call of code_sums */
#define MAX_DIM 16384

typedef enum Kind
{
	KIND_FLOAT,					/* float against float */
	KIND_HALF,					/* half against half */
	KIND_COSINE,				/* three sums */
	KIND_HALF_COSINE,
	KIND_FLOAT_HALF,
	KIND_BITS,					/* dim bits */
	KIND_JACCARD,
	KIND_FLOAT_INT8,
	KIND_INT8,
	KIND_WIDEN,
	KIND_NARROW,
	KIND_CODES,
	KIND_RESIDUAL,
	KIND_HADAMARD
} Kind;

/* one line of the report: a kernel, and what an element of it costs */
typedef struct Subject
{
	const char *name;
	Kind		kind;
	Size		offset;			/* of the kernel in VdbDistanceKernels */
	double		bytes;			/* read per dimension */
	double		operations;		/* in floats per dimension */
	double		fmas;			/* least instructions' worth per dimension */
} Subject;

#define SUBJECT(kernel, kind, bytes, operations, fmas) \
	{#kernel, kind, offsetof(VdbDistanceKernels, kernel), \
	bytes, operations, fmas}

/*
 * Subtractions and absolute values run on the units that FMAs run on, or on
 * as many others; what is counted as fmas is what cannot be done elsewhere.
 */
static const Subject subjects[] = {
	SUBJECT(l2_squared, KIND_FLOAT, 8, 3, 1),
	SUBJECT(inner_product, KIND_FLOAT, 8, 2, 1),
	SUBJECT(l1, KIND_FLOAT, 8, 3, 1),
	SUBJECT(cosine_sums, KIND_COSINE, 8, 6, 3),
	SUBJECT(half_l2_squared, KIND_HALF, 4, 3, 1),
	SUBJECT(half_inner_product, KIND_HALF, 4, 2, 1),
	SUBJECT(half_l1, KIND_HALF, 4, 3, 1),
	SUBJECT(half_cosine_sums, KIND_HALF_COSINE, 4, 6, 3),
	SUBJECT(float_half_inner_product, KIND_FLOAT_HALF, 6, 2, 1),
	SUBJECT(half_to_float, KIND_WIDEN, 2, 0, 0),
	SUBJECT(float_to_half, KIND_NARROW, 4, 0, 0),
	SUBJECT(hamming, KIND_BITS, 0.25, 0, 0),
	SUBJECT(jaccard_sums, KIND_JACCARD, 0.25, 0, 0),
	SUBJECT(int8_inner_product, KIND_FLOAT_INT8, 5, 2, 1),
	SUBJECT(int8_int8_inner_product, KIND_INT8, 2, 0, 0),
	SUBJECT(code_sums, KIND_CODES, CODES / 8.0, 0, 0),
	SUBJECT(encode_residual, KIND_RESIDUAL, 8, 5, 1),
	SUBJECT(hadamard, KIND_HADAMARD, 4, 0, 0),
};

static const int dims[] = {64, 128, 256, 384, 768, 1536, 16000};

/* keeps results alive, so that no call is left out */
static volatile double sink;

/* two arrays as large as what is read from memory, and one for output */
static uint8 *left;
static uint8 *right;
static uint8 *output;

static double fma_rate;			/* floats per second */


static double
now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec * 1e-9;
}

/*
 * Loops that only read, and that only multiply and add.  They return
 * something that depends on all they did.
 */
#ifdef DISTANCE_X86
__attribute__((target("avx2,fma")))
static double
read_bytes(const uint8 *bytes, Size count)
{
	__m256i		x0 = _mm256_setzero_si256();
	__m256i		x1 = x0;
	__m256i		x2 = x0;
	__m256i		x3 = x0;

	for (Size i = 0; i + 128 <= count; i += 128)
	{
		const __m256i *p = (const __m256i *) (bytes + i);

		x0 = _mm256_or_si256(x0, _mm256_loadu_si256(p));
		x1 = _mm256_or_si256(x1, _mm256_loadu_si256(p + 1));
		x2 = _mm256_or_si256(x2, _mm256_loadu_si256(p + 2));
		x3 = _mm256_or_si256(x3, _mm256_loadu_si256(p + 3));
	}
	x0 = _mm256_or_si256(_mm256_or_si256(x0, x1), _mm256_or_si256(x2, x3));
	return _mm256_extract_epi32(x0, 0) + _mm256_extract_epi32(x0, 7);
}

__attribute__((target("avx2,fma")))
static double
multiply_add(long steps)
{
	__m256		factor = _mm256_set1_ps(0.999f);
	__m256		x0 = factor;
	__m256		x1 = factor;
	__m256		x2 = factor;
	__m256		x3 = factor;
	__m256		x4 = factor;
	__m256		x5 = factor;
	__m256		x6 = factor;
	__m256		x7 = factor;
	__m256		x8 = factor;
	__m256		x9 = factor;

	for (long step = 0; step < steps; step++)
	{
		x0 = _mm256_fmadd_ps(x0, factor, factor);
		x1 = _mm256_fmadd_ps(x1, factor, factor);
		x2 = _mm256_fmadd_ps(x2, factor, factor);
		x3 = _mm256_fmadd_ps(x3, factor, factor);
		x4 = _mm256_fmadd_ps(x4, factor, factor);
		x5 = _mm256_fmadd_ps(x5, factor, factor);
		x6 = _mm256_fmadd_ps(x6, factor, factor);
		x7 = _mm256_fmadd_ps(x7, factor, factor);
		x8 = _mm256_fmadd_ps(x8, factor, factor);
		x9 = _mm256_fmadd_ps(x9, factor, factor);
		/* all ten are alike, which the compiler must not find out */
		__asm__ volatile ("":"+x" (x0), "+x"(x1), "+x"(x2), "+x"(x3),
						  "+x"(x4), "+x"(x5), "+x"(x6), "+x"(x7),
						  "+x"(x8), "+x"(x9));
	}
	x0 = _mm256_add_ps(_mm256_add_ps(x0, x1), _mm256_add_ps(x2, x3));
	x4 = _mm256_add_ps(_mm256_add_ps(x4, x5), _mm256_add_ps(x6, x7));
	x0 = _mm256_add_ps(_mm256_add_ps(x0, x4), _mm256_add_ps(x8, x9));
	return _mm256_cvtss_f32(x0);
}
#define FLOATS_PER_STEP 80
#else
static double
read_bytes(const uint8 *bytes, Size count)
{
	uint64		x[4] = {0, 0, 0, 0};

	for (Size i = 0; i + 32 <= count; i += 32)
	{
		uint64		y[4];

		memcpy(y, bytes + i, sizeof(y));
		for (int j = 0; j < 4; j++)
			x[j] |= y[j];
	}
	return (double) (x[0] | x[1] | x[2] | x[3]);
}

static double
multiply_add(long steps)
{
	float		x[80];
	double		sum = 0;

	for (int i = 0; i < 80; i++)
		x[i] = 1.0f + i;
	for (long step = 0; step < steps; step++)
	{
		for (int i = 0; i < 80; i++)
			x[i] = x[i] * 0.999f + 0.999f;
	}
	for (int i = 0; i < 80; i++)
		sum += x[i];
	return sum;
}
#define FLOATS_PER_STEP 80
#endif

/*
 * Bytes per second of the reading loop over so many bytes, in the best of
 * "runs" runs of "passes" passes.
 */
static double
measure_read(Size bytes, int passes, int runs)
{
	double		best = 0;

	for (int run = 0; run < runs; run++)
	{
		double		start = now();
		double		rate;

		for (int pass = 0; pass < passes; pass++)
			sink += read_bytes(left, bytes);
		rate = (double) bytes * passes / (now() - start);
		best = rate > best ? rate : best;
	}
	return best;
}

/*
 * Bandwidth of the cache that so many bytes stay in, which is slower when
 * they do not fit into the first level.
 */
static double
cache_bandwidth(Size bytes)
{
	static double of_size[21];
	int			size = 14;

	while (size < 20 && ((Size) 1 << size) < bytes)
		size++;
	if (of_size[size] == 0)
		of_size[size] = measure_read((Size) 1 << size,
									 1 + (int) (200000000 >> size), RUNS);
	return of_size[size];
}

static void
measure_peaks(void)
{
	const long	steps = 2000000;

	for (int run = 0; run < RUNS; run++)
	{
		double		start = now();
		double		rate;

		sink += multiply_add(steps);
		rate = (double) steps * FLOATS_PER_STEP / (now() - start);
		fma_rate = rate > fma_rate ? rate : fma_rate;
	}
}

/* One call on arrays that begin "at" bytes into the places. */
static void
call(const VdbDistanceKernels *table, const Subject *subject, int dim,
	 Size at_left, Size at_right)
{
	const void *a = left + at_left;
	const void *b = right + at_right;
	float	   *x = (float *) output;
	float		sums[3];
	uint64		counts[3];

	switch (subject->kind)
	{
		case KIND_FLOAT:
			sink += (*(float (*const *) (int, const float *, const float *))
					 ((const char *) table + subject->offset)) (dim, a, b);
			break;
		case KIND_HALF:
			sink += (*(float (*const *) (int, const VdbHalf *, const VdbHalf *))
					 ((const char *) table + subject->offset)) (dim, a, b);
			break;
		case KIND_COSINE:
			table->cosine_sums(dim, a, b, &sums[0], &sums[1], &sums[2]);
			sink += sums[0];
			break;
		case KIND_HALF_COSINE:
			table->half_cosine_sums(dim, a, b, &sums[0], &sums[1], &sums[2]);
			sink += sums[0];
			break;
		case KIND_FLOAT_HALF:
			sink += table->float_half_inner_product(dim, a, b);
			break;
		case KIND_BITS:
			sink += table->hamming(dim / 8, a, b);
			break;
		case KIND_JACCARD:
			table->jaccard_sums(dim / 8, a, b,
								&counts[0], &counts[1], &counts[2]);
			sink += counts[0];
			break;
		case KIND_FLOAT_INT8:
			sink += table->int8_inner_product(dim, a, b);
			break;
		case KIND_INT8:
			sink += table->int8_int8_inner_product(dim, a, b);
			break;
		case KIND_WIDEN:
			table->half_to_float(dim, b, x);
			break;
		case KIND_NARROW:
			table->float_to_half(dim, a, (VdbHalf *) x);
			break;
		case KIND_CODES:
			table->code_sums(dim / 64 * 64, (const int8 *) output, b,
							 dim / 64 * 8, CODES, (int32 *) (output + MAX_DIM));
			break;
		case KIND_RESIDUAL:
			table->encode_residual(dim / 64 * 64, a, b, output,
								   &sums[0], &sums[1], &sums[2]);
			sink += sums[0];
			break;
		case KIND_HADAMARD:
			{
				int			log2_dim = 31 - __builtin_clz(dim);

				table->hadamard(log2_dim, x);
				break;
			}
	}
}

/* Bytes of the right array that one call reads; the left array may differ. */
static Size
right_bytes(const Subject *subject, int dim)
{
	switch (subject->kind)
	{
		case KIND_BITS:
		case KIND_JACCARD:
			return dim / 8;
		case KIND_HALF:
		case KIND_HALF_COSINE:
		case KIND_FLOAT_HALF:
		case KIND_WIDEN:
			return dim * sizeof(VdbHalf);
		case KIND_FLOAT_INT8:
		case KIND_INT8:
			return dim;
		case KIND_CODES:
			return CODES * (dim / 64 * 8);
		default:
			return dim * sizeof(float);
	}
}

/*
 * Seconds per call.  In the cache both arrays stay where they are; from
 * memory both advance through their places, without coming back to what a
 * cache still holds.
 */
static double
time_call(const VdbDistanceKernels *table, const Subject *subject, int dim,
		  bool from_memory)
{
	Size		right_step = right_bytes(subject, dim);
	Size		left_step = (subject->kind == KIND_FLOAT_INT8 ||
							 subject->kind == KIND_FLOAT_HALF ||
							 subject->kind == KIND_NARROW) ?
	dim * sizeof(float) : right_step;
	Size		room = left_step > right_step ? left_step : right_step;
	long		places = from_memory ? MEMORY_BYTES / room : 1;
	long		calls = places;
	double		best = 1e9;
	double		elapsed;
	double		start;

	if (!from_memory)
	{
		start = now();
		for (calls = 0; now() - start < RUN_SECONDS; calls++)
			call(table, subject, dim, 0, 0);
	}
	for (int run = 0; run < (from_memory ? 3 : RUNS); run++)
	{
		start = now();
		for (long i = 0; i < calls; i++)
		{
			Size		step = from_memory ? i : 0;

			call(table, subject, dim, step * left_step, step * right_step);
		}
		elapsed = (now() - start) / calls;
		best = elapsed < best ? elapsed : best;
	}
	return best;
}

/* One line: a kernel at one dimension, in one place. */
static void
report(const VdbDistanceKernels *table, const Subject *subject, int dim,
	   bool from_memory)
{
	double		seconds = time_call(table, subject, dim, from_memory);
	double		bytes = subject->bytes * dim;
	double		bandwidth;
	double		floor;
	char		speed[40] = "";

	if (subject->kind == KIND_HADAMARD)
	{
		int			log2_dim = 31 - __builtin_clz(dim);

		printf("%-8s%-24s%6d  %-7s%9.1f ns%9s     %8.1f GFLOP/s\n",
			   table->name, subject->name, 1 << log2_dim, "cache",
			   seconds * 1e9, "", (double) log2_dim * (1 << log2_dim) /
			   seconds * 1e-9);
		return;
	}

	/*
	 * What memory gives depends on what else the machine does, so it is
	 * measured again for each line.
	 */
	bandwidth = from_memory ? measure_read(MEMORY_BYTES, 1, 3) :
		cache_bandwidth(bytes);
	floor = bytes / bandwidth;
	if (subject->fmas * dim / fma_rate > floor)
		floor = subject->fmas * dim / fma_rate;
	if (subject->operations > 0)
		snprintf(speed, sizeof(speed), "%8.1f GFLOP/s",
				 subject->operations * dim / seconds * 1e-9);
	printf("%-8s%-24s%6d  %-7s%9.1f ns%9.2f GB/s%-17s%5.0f %%\n",
		   table->name, subject->name, dim, from_memory ? "memory" : "cache",
		   seconds * 1e9, bytes / seconds * 1e-9, speed,
		   100 * floor / seconds);
}

/* Memory of that size, every page of it touched. */
static uint8 *
make_place(Size bytes)
{
	void	   *place;

	if (posix_memalign(&place, 4096, bytes) != 0)
	{
		fprintf(stderr, "out of memory\n");
		exit(1);
	}

	/* as floats and as halves these bytes are small ordinary numbers */
	memset(place, 0x3c, bytes);
	return place;
}

int
main(int argc, char **argv)
{
	static const char *const names[] = {"scalar", "avx2", "avx512", "neon"};

	left = make_place(MEMORY_BYTES);
	right = make_place(MEMORY_BYTES);
	output = make_place(16 * MAX_DIM);
#ifdef DISTANCE_X86
	if (vdb_distance_find("avx2") == NULL)
	{
		fprintf(stderr, "the peaks cannot be measured without AVX2\n");
		return 1;
	}
#endif
	measure_peaks();
	printf("read bandwidth: %.1f GB/s from 16 kB, %.1f GB/s from 128 kB, "
		   "%.1f GB/s from memory; FMA: %.1f GFLOP/s\n",
		   cache_bandwidth(16384) * 1e-9, cache_bandwidth(131072) * 1e-9,
		   measure_read(MEMORY_BYTES, 1, RUNS) * 1e-9, 2 * fma_rate * 1e-9);

	for (Size t = 0; t < sizeof(names) / sizeof(names[0]); t++)
	{
		const VdbDistanceKernels *table = vdb_distance_find(names[t]);

		if (table == NULL || (argc > 1 && strcmp(argv[1], names[t]) != 0))
			continue;
		for (Size s = 0; s < sizeof(subjects) / sizeof(subjects[0]); s++)
		{
			for (Size d = 0; d < sizeof(dims) / sizeof(dims[0]); d++)
			{
				report(table, &subjects[s], dims[d], false);
				if (subjects[s].kind != KIND_HADAMARD)
					report(table, &subjects[s], dims[d], true);
			}
		}
	}
	return 0;
}
