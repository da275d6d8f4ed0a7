/*-------------------------------------------------------------------------
 *
 * kernels_integer.c
 *	  Tests of the kernels over bits, bytes and codes, and of sparse vectors.
 *
 * IDENTIFICATION
 *	  test/modules/kernels/kernels_integer.c
 *
 *-------------------------------------------------------------------------
 */
#include "kernels_test.h"

#include <math.h>


/* Fills bytes: at random, all ones, all zeros, or one bit alone. */
static void
fill_bytes(uint8 *bytes, Size n, int kind)
{
	for (Size i = 0; i < n; i++)
		bytes[i] = (kind == 0) ? (uint8) random_bits() :
			(kind == 1) ? 0xff : 0;
	if (kind == 3 && n > 0)
		bytes[random_int(0, n - 1)] = 1 << random_int(0, 7);
}

static void
test_bits(const VdbDistanceKernels *table)
{
	for (int n = 0; n >= 0; n = next_length(n))
	{
		for (int kinds = 0; kinds < 16; kinds++)
		{
			FOR_EDGES(edge)
			{
				uint8	   *a = place(0, edge, n);
				uint8	   *b = place(1, edge, n);
				uint64		counts[4] = {0, 0, 0, 0};
				uint64		sums[3];

				fill_bytes(a, n, kinds / 4);
				fill_bytes(b, n, kinds % 4);
				for (int i = 0; i < n; i++)
				{
					counts[0] += __builtin_popcount(a[i] & b[i]);
					counts[1] += __builtin_popcount(a[i]);
					counts[2] += __builtin_popcount(b[i]);
					counts[3] += __builtin_popcount(a[i] ^ b[i]);
				}
				now_testing("hamming", table->name, n);
				check(table->hamming(n, a, b) == counts[3], "wrong count");
				now_testing("jaccard_sums", table->name, n);
				table->jaccard_sums(n, a, b, &sums[0], &sums[1], &sums[2]);
				check(memcmp(sums, counts, sizeof(sums)) == 0, "wrong count");
			}
		}
	}
}

/* A byte of a quantized vector: at random, the least or the greatest. */
static int8
quantized(int kind)
{
	return (kind == 0) ? random_int(-127, 127) : (kind == 1) ? 127 : -127;
}

/* One length of the kernels over 8-bit vectors. */
static void
check_bytes(const VdbDistanceKernels *table, int n, Edge edge, int kinds)
{
	int8	   *a = place(0, edge, n);
	int8	   *b = place(1, edge, n);
	float	   *x = place(2, edge, n * sizeof(float));
	int64_t		sum = 0;
	int64_t		float_sum = 0;

	for (int i = 0; i < n; i++)
	{
		a[i] = quantized(kinds / 3);
		b[i] = quantized(kinds % 3);
		x[i] = random_int(-8, 8);
		sum += a[i] * b[i];
		float_sum += (int) x[i] * b[i];
	}
	now_testing("int8_int8_inner_product", table->name, n);
	check(table->int8_int8_inner_product(n, a, b) == sum, "wrong sum");

	/* exact as long as the sum of absolute values is below 2^24 */
	if (n <= 16000)
	{
		now_testing("int8_inner_product", table->name, n);
		check(table->int8_inner_product(n, x, b) == float_sum, "wrong sum");
	}
}

static void
test_bytes(const VdbDistanceKernels *table)
{
	for (int kinds = 0; kinds < 9; kinds++)
	{
		FOR_EDGES(edge)
		{
			for (int n = 0; n >= 0; n = next_length(n))
				check_bytes(table, n, edge, kinds);
			check_bytes(table, 65535, edge, kinds);
			check_bytes(table, 65536, edge, kinds);
		}
	}
}

/* Special floats against bytes, one among zeros. */
static void
test_special_floats(const VdbDistanceKernels *table)
{
	const float values[] = {
		-0.0f, ldexpf(1, -149), 3.4e38f, INFINITY, -INFINITY, NAN
	};

	for (int n = 1; n < 70; n++)
	{
		float	   *x = place(0, EDGE_END, n * sizeof(float));
		int8	   *b = place(1, EDGE_END, n);

		for (Size i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		{
			int			at = random_int(0, n - 1);

			memset(x, 0, n * sizeof(float));
			for (int j = 0; j < n; j++)
				b[j] = random_int(-127, 127);
			x[at] = values[i];
			now_testing("int8_inner_product", table->name, n);
			check(same_float(table->int8_inner_product(n, x, b),
							 x[at] * b[at]), "special value %g", x[at]);
		}
	}
}

/* Tests the kernels over bits and bytes of one table. */
void
test_integers(const VdbDistanceKernels *table)
{
	test_bits(table);
	test_bytes(table);
	test_special_floats(table);
}

/*
 * One call of code_sums.  Codes end exactly where the last one ends, sums
 * where the last one ends; "kinds" as for bytes, then for bits.
 */
static void
check_codes(const VdbDistanceKernels *table, int dim, Size gap, int count,
			int kinds, Edge edge)
{
	Size		code_bytes = dim / 8;
	Size		stride = code_bytes + gap;
	Size		bytes = count == 0 ? 0 : (count - 1) * stride + code_bytes;
	int8	   *query = place(0, edge, dim);
	uint8	   *codes = place(1, edge, bytes);
	int32	   *sums = place(2, edge, count * sizeof(int32));

	for (int i = 0; i < dim; i++)
		query[i] = quantized(kinds % 3);
	fill_bytes(codes, bytes, kinds / 3);
	for (int j = 0; j < count; j++)
		sums[j] = 12345678;
	now_testing("code_sums", table->name, dim);
	table->code_sums(dim, query, codes, stride, count, sums);
	for (int j = 0; j < count; j++)
	{
		int32		sum = 0;

		for (int i = 0; i < dim; i++)
		{
			if (codes[j * stride + i / 8] & (1 << (i % 8)))
				sum += query[i];
		}
		check(sums[j] == sum, "count %d, code %d: %d, not %d",
			  count, j, sums[j], sum);
	}
}

/* Tests code_sums of one table. */
void
test_codes(const VdbDistanceKernels *table)
{
	static const int dims[] = {
		0, 64, 128, 192, 256, 320, 384, 448, 512, 768, 1024, 1536, 1984, 2048,
		2112, 2176, 4096, 4160, 8128, 8192, 8256, 16384, 65472, 65536
	};

	for (Size i = 0; i < sizeof(dims) / sizeof(dims[0]); i++)
	{
		for (int kinds = 0; kinds < 12; kinds++)
		{
			FOR_EDGES(edge)
			{
				for (int count = 0; count < 10; count++)
					check_codes(table, dims[i], random_int(0, 17), count,
								kinds, edge);
				check_codes(table, dims[i], 0, 32, kinds, edge);
			}
		}
	}
}

/* A random sparse vector of small integers below dim, and the same dense. */
static VdbSparseView
random_sparse(int dim, int density, int number, float *dense)
{
	static int32 indices[2][1000];
	static float values[2][1000];
	VdbSparseView view = {0, indices[number], values[number]};

	for (int i = 0; i < dim; i++)
	{
		dense[i] = 0;
		if (random_int(0, 100) >= density)
			continue;
		dense[i] = random_int(1, 8) * (random_int(0, 1) ? 1 : -1);
		indices[number][view.count] = i;
		values[number][view.count++] = dense[i];
	}
	return view;
}

/* The sparse kernels against the dense scalar ones. */
void
test_sparse(void)
{
	static const int densities[] = {0, 1, 10, 50, 101};
	float		x[1000];
	float		y[1000];

	for (int round = 0; round < 25 * 100; round++)
	{
		int			dim = random_int(1, 1000);
		VdbSparseView a = random_sparse(dim, densities[round % 5], 0, x);
		VdbSparseView b = random_sparse(dim, densities[round / 5 % 5], 1, y);

		now_testing("sparse kernels", "none", dim);
		check(vdb_sparse_l2_squared(a, b) ==
			  distance_scalar.l2_squared(dim, x, y), "l2_squared");
		check(vdb_sparse_inner_product(a, b) ==
			  distance_scalar.inner_product(dim, x, y), "inner_product");
		check(vdb_sparse_l1(a, b) ==
			  distance_scalar.l1(dim, x, y), "l1");
	}
}
