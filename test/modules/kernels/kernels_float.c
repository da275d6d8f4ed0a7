/*-------------------------------------------------------------------------
 *
 * kernels_float.c
 *	  Tests of the kernels over floats: sums, residuals, eight-bit forms, and
 *	  the rotation.
 *
 * Small integers make every sum exact, so that results must be equal and a
 * single element left out or taken twice shows at any length.  Fractions must
 * be as near as rounding allows.  Special values must come out as from the
 * definition.
 *
 * IDENTIFICATION
 *	  test/modules/kernels/kernels_float.c
 *
 *-------------------------------------------------------------------------
 */
#include "kernels_test.h"

#include <float.h>
#include <math.h>

typedef float (*FloatKernel) (int dim, const float *a, const float *b);

/* a term of a sum by its definition */
static double
l2_term(double x, double y)
{
	return (x - y) * (x - y);
}

static double
product_term(double x, double y)
{
	return x * y;
}

static double
l1_term(double x, double y)
{
	return fabs(x - y);
}

/*
 * Whether sum is as near to the sum of the terms as n roundings make likely:
 * they are independent, so that they grow as the root of n.
 */
static bool
near_sum(float sum, double exact, double absolute, int n)
{
	double		epsilon = ldexp(1, -24);

	return fabs(sum - exact) <=
		(8 + 4 * sqrt(n)) * epsilon * absolute + n * ldexp(1, -149);
}

/* Fills an array with integers, with fractions, or with denormals. */
static void
fill(float *x, int n, int kind)
{
	for (int i = 0; i < n; i++)
	{
		if (kind == 0)
			x[i] = random_int(-8, 8);
		else if (kind == 1)
			x[i] = random_float();
		else
			x[i] = ldexpf(random_int(-1000, 1000), -149);
	}
}

/* One kernel on one pair of arrays against its definition. */
static void
check_sum(FloatKernel kernel, double (*term) (double, double),
		  int n, const float *a, const float *b, int kind)
{
	double		exact = 0;
	double		absolute = 0;
	float		sum = kernel(n, a, b);

	for (int i = 0; i < n; i++)
	{
		exact += term(a[i], b[i]);
		absolute += fabs(term(a[i], b[i]));
	}
	if (kind == 0)
		check(sum == exact, "%g, not %g", sum, exact);
	else
		check(near_sum(sum, exact, absolute, n),
			  "%.9g, not %.9g, kind %d", sum, exact, kind);
}

/* The cosine's three sums against their definition. */
static void
check_cosine(const VdbDistanceKernels *table, int n,
			 const float *a, const float *b, int kind)
{
	double		exact[3] = {0, 0, 0};
	double		absolute = 0;
	float		sums[3];

	for (int i = 0; i < n; i++)
	{
		exact[0] += (double) a[i] * b[i];
		exact[1] += (double) a[i] * a[i];
		exact[2] += (double) b[i] * b[i];
		absolute += fabs((double) a[i] * b[i]);
	}
	table->cosine_sums(n, a, b, &sums[0], &sums[1], &sums[2]);
	check(kind == 0 ? sums[0] == exact[0] :
		  near_sum(sums[0], exact[0], absolute, n),
		  "a.b %.9g, not %.9g", sums[0], exact[0]);
	for (int i = 1; i < 3; i++)
		check(kind == 0 ? sums[i] == exact[i] :
			  near_sum(sums[i], exact[i], exact[i], n),
			  "a.a or b.b %.9g, not %.9g", sums[i], exact[i]);
}

/* All sums on all lengths. */
static void
test_sums(const VdbDistanceKernels *table)
{
	for (int n = 0; n >= 0; n = next_length(n))
	{
		for (int kind = 0; kind < 3; kind++)
		{
			FOR_EDGES(edge)
			{
				float	   *a = place(0, edge, n * sizeof(float));
				float	   *b = place(1, edge, n * sizeof(float));

				fill(a, n, kind);
				fill(b, n, kind);
				now_testing("l2_squared", table->name, n);
				check_sum(table->l2_squared, l2_term, n, a, b, kind);
				now_testing("inner_product", table->name, n);
				check_sum(table->inner_product, product_term, n, a, b, kind);
				now_testing("l1", table->name, n);
				check_sum(table->l1, l1_term, n, a, b, kind);
				now_testing("cosine_sums", table->name, n);
				check_cosine(table, n, a, b, kind);
			}
		}
	}
}

/*
 * One pair of special values among zeros: nothing is rounded twice, so that
 * the result must be the one of the definition in float.
 */
static void
check_special(const VdbDistanceKernels *table, int n, float x, float y)
{
	float	   *a = place(0, EDGE_END, n * sizeof(float));
	float	   *b = place(1, EDGE_END, n * sizeof(float));
	int			at = random_int(0, n - 1);
	float		sums[3];

	memset(a, 0, n * sizeof(float));
	memset(b, 0, n * sizeof(float));
	a[at] = x;
	b[at] = y;
	now_testing("l2_squared", table->name, n);
	check(same_float(table->l2_squared(n, a, b), (x - y) * (x - y)),
		  "special values %g and %g", x, y);
	now_testing("inner_product", table->name, n);
	check(same_float(table->inner_product(n, a, b), x * y),
		  "special values %g and %g", x, y);
	now_testing("l1", table->name, n);
	check(same_float(table->l1(n, a, b), fabsf(x - y)),
		  "special values %g and %g", x, y);
	now_testing("cosine_sums", table->name, n);
	table->cosine_sums(n, a, b, &sums[0], &sums[1], &sums[2]);
	check(same_float(sums[0], x * y) && same_float(sums[1], x * x) &&
		  same_float(sums[2], y * y), "special values %g and %g", x, y);
}

static void
test_special(const VdbDistanceKernels *table)
{
	const float values[] = {
		0.0f, -0.0f, ldexpf(1, -149), -ldexpf(3, -149), FLT_MIN, -FLT_MIN,
		1, -1, FLT_MAX, -FLT_MAX, INFINITY, -INFINITY, NAN
	};
	const int	count = sizeof(values) / sizeof(values[0]);

	for (int n = 1; n <= 130; n++)
	{
		for (int i = 0; i < count; i++)
		{
			for (int j = 0; j < count; j++)
				check_special(table, n, values[i], values[j]);
		}
	}
}

/* One call of encode_residual against its definition. */
static void
check_residual(const VdbDistanceKernels *table, int n, const float *base,
			   const float *target, uint8 *code, int kind)
{
	double		exact[3] = {0, 0, 0};
	double		absolute = 0;
	bool		bits_good = true;
	float		sums[3];

	memset(code, 0x5a, n / 8);
	table->encode_residual(n, base, target, code,
						   &sums[0], &sums[1], &sums[2]);
	for (int i = 0; i < n; i++)
	{
		float		r = target[i] - base[i];

		exact[0] += fabs(r);
		exact[1] += (double) r * r;
		exact[2] += r > 0 ? base[i] : -base[i];
		absolute += fabs(base[i]);
		if (((code[i / 8] >> (i % 8)) & 1) != (r > 0))
			bits_good = false;
	}
	check(bits_good, "wrong bits");
	for (int i = 0; i < 3; i++)
		check(kind == 0 ? sums[i] == exact[i] :
			  near_sum(sums[i], exact[i], i == 2 ? absolute : exact[i], n),
			  "sum %d is %.9g, not %.9g", i, sums[i], exact[i]);
}

static void
test_residuals(const VdbDistanceKernels *table)
{
	for (int n = 0; n <= 2048; n += 64)
	{
		for (int kind = 0; kind < 3; kind++)
		{
			FOR_EDGES(edge)
			{
				float	   *base = place(0, edge, n * sizeof(float));
				float	   *target = place(1, edge, n * sizeof(float));
				uint8	   *code = place(2, edge, n / 8);

				now_testing("encode_residual", table->name, n);
				fill(base, n, kind);
				fill(target, n, kind);
				check_residual(table, n, base, target, code, kind);
			}
		}
	}
}

/* Bits and signs where a residual is no plain number or no difference. */
static void
test_special_residuals(const VdbDistanceKernels *table)
{
	const float values[] = {
		0.0f, -0.0f, ldexpf(1, -149), -ldexpf(1, -149), INFINITY, -INFINITY,
		NAN, 1
	};
	uint8		code[8];
	uint8		expected[8];
	float		base[64];
	float		target[64];
	float		sums[3];
	float		expected_sums[3];

	now_testing("encode_residual", table->name, 64);
	for (int i = 0; i < 64; i++)
	{
		base[i] = values[i / 8];
		target[i] = values[i % 8];
	}
	table->encode_residual(64, base, target, code,
						   &sums[0], &sums[1], &sums[2]);
	distance_scalar.encode_residual(64, base, target, expected,
									&expected_sums[0], &expected_sums[1],
									&expected_sums[2]);
	check(memcmp(code, expected, sizeof(code)) == 0, "special values");
	for (int i = 0; i < 3; i++)
		check(same_float(sums[i], expected_sums[i]), "special values");
}

/* The eight-bit form: whole numbers bit by bit, and what they leave. */
static void
check_int8_form(const VdbDistanceKernels *table, int n, const float *x,
				float inverse, int8 *out)
{
	double		exact = 0;
	float		error2 = table->float_to_int8(n, x, inverse, out);

	for (int i = 0; i < n; i++)
	{
		float		steps = x[i] * inverse;
		double		whole = fmax(fmin(rint(steps), 127), -127);

		check(out[i] == whole, "element %d of %g is %d", i, steps, out[i]);
		exact += (steps - whole) * (steps - whole);
	}
	check(near_sum(error2, exact, exact + n * 1e-5, n),
		  "error is %.9g, not %.9g", error2, exact);
}

/* Lengths, ties between two whole numbers, and what is beyond 127 */
static void
test_int8_form(const VdbDistanceKernels *table)
{
	for (int n = 0; n <= 2048; n += 64)
	{
		FOR_EDGES(edge)
		{
			float	   *x = place(0, edge, n * sizeof(float));
			int8	   *out = place(1, edge, n);

			now_testing("float_to_int8", table->name, n);
			for (int i = 0; i < n; i++)
				x[i] = random_int(-300, 300) / 2.0f;
			check_int8_form(table, n, x, 1, out);
			fill(x, n, 1);
			check_int8_form(table, n, x, 100, out);
			check_int8_form(table, n, x, 0, out);
		}
	}
}

/* One element larger than the others, in each place; infinity; NaN */
static void
test_largest(const VdbDistanceKernels *table)
{
	const float values[] = {2, -2, INFINITY, -INFINITY, FLT_MIN / 2};

	for (int n = 64; n <= 256; n += 64)
	{
		FOR_EDGES(edge)
		{
			float	   *x = place(0, edge, n * sizeof(float));

			now_testing("largest", table->name, n);
			for (int i = 0; i < n; i++)
			{
				for (int j = 0; j < 5; j++)
				{
					float		most = fabsf(values[j]);

					for (int k = 0; k < n; k++)
						x[k] = most < 1 ? 0 : random_float() / 2;
					x[i] = values[j];
					check(table->largest(n, x) == most, "%g is not the largest",
						  values[j]);
				}
				x[(i + 5) % n] = INFINITY;
				x[i] = (i % 2) ? NAN : -NAN;
				check(isnan(table->largest(n, x)), "NaN is not the largest");
			}
		}
	}
	now_testing("largest", table->name, 0);
	check(table->largest(0, NULL) == 0, "nothing is larger than zero");
}

/* Signs are changed where they should be, and nothing else is */
static void
test_change_signs(const VdbDistanceKernels *table)
{
	for (int n = 0; n <= 2048; n += 64)
	{
		FOR_EDGES(edge)
		{
			float	   *x = place(0, edge, n * sizeof(float));
			float	   *y = place(1, edge, n * sizeof(float));
			uint8	   *signs = place(2, edge, n / 8);

			now_testing("change_signs", table->name, n);
			fill(x, n, 1);
			for (int i = 0; i < n; i++)
				x[i] = (i % 16 == 3) ? 0 : (i % 16 == 6) ? INFINITY : x[i];
			for (int i = 0; i < n / 8; i++)
				signs[i] = random_int(0, 255);
			for (int i = 0; i < n; i++)
				y[i] = (signs[i / 8] >> (i % 8)) & 1 ? -x[i] : x[i];
			table->change_signs(n, signs, x);
			check(memcmp(x, y, n * sizeof(float)) == 0, "a wrong sign");
		}
	}
}

/*
 * The transform against its matrix, whose sign at (i, j) is the parity of
 * the ones in i & j, and against the scalar kernel, bit by bit.
 */
static void
check_hadamard(const VdbDistanceKernels *table, int log2_dim, Edge edge,
			   int kind)
{
	int			n = 1 << log2_dim;
	Size		bytes = n * sizeof(float);
	float	   *x = place(0, edge, bytes);
	float	   *y = place(1, edge, bytes);
	float	   *original = place(2, edge, bytes);
	double		norm = 0;
	double		scale = pow(2, -0.5 * log2_dim);

	fill(x, n, kind);
	memcpy(y, x, bytes);
	memcpy(original, x, bytes);
	table->hadamard(log2_dim, x);
	distance_scalar.hadamard(log2_dim, y);
	check(memcmp(x, y, bytes) == 0, "differs from the scalar kernel");
	for (int i = 0; i < n; i++)
		norm += fabs(original[i]);

	/* all outputs of small transforms, some of large ones */
	for (int k = 0; k < 64 && k < n; k++)
	{
		int			i = (n <= 64) ? k : random_int(0, n - 1);
		double		sum = 0;

		for (int j = 0; j < n; j++)
			sum += __builtin_parity(i & j) ? -original[j] : original[j];
		check(fabs(x[i] - sum * scale) <=
			  (log2_dim + 2) * ldexp(1, -24) * norm * scale,
			  "output %d is %g, not %g", i, x[i], sum * scale);
	}
}

/* Tests the kernels over floats of one table. */
void
test_floats(const VdbDistanceKernels *table)
{
	test_sums(table);
	test_special(table);
	test_residuals(table);
	test_special_residuals(table);
	test_int8_form(table);
	test_largest(table);
	test_change_signs(table);
	for (int log2_dim = 0; log2_dim <= 16; log2_dim++)
	{
		now_testing("hadamard", table->name, 1 << log2_dim);
		FOR_EDGES(edge)
		{
			check_hadamard(table, log2_dim, edge, 0);
			check_hadamard(table, log2_dim, edge, 1);
		}
	}
}
