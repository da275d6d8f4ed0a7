/*-------------------------------------------------------------------------
 *
 * kernels_half.c
 *	  Tests of conversions from and to halves, and of sums over halves.
 *
 * IDENTIFICATION
 *	  test/modules/kernels/kernels_half.c
 *
 *-------------------------------------------------------------------------
 */
#include "kernels_test.h"

#include <math.h>

#define HALVES 65536

typedef float (*HalfKernel) (int dim, const VdbHalf *a, const VdbHalf *b);
typedef float (*FloatKernel) (int dim, const float *a, const float *b);


/* The number that a half stands for, from the fields of the format. */
static double
value_of_half(VdbHalf half)
{
	int			exponent = (half >> 10) & 31;
	int			mantissa = half & 1023;
	double		magnitude;

	if (exponent == 31)
		magnitude = mantissa ? NAN : INFINITY;
	else if (exponent == 0)
		magnitude = ldexp(mantissa, -24);
	else
		magnitude = ldexp(1024 + mantissa, exponent - 25);
	return (half & 0x8000) ? -magnitude : magnitude;
}

/*
 * The half nearest to a number that is not NaN: its distance from zero in
 * units of the last place, rounded by the machine, to even where halfway.
 */
static VdbHalf
half_of_value(double value)
{
	double		magnitude = fabs(value);
	VdbHalf		sign = signbit(value) ? 0x8000 : 0;
	int			exponent;

	if (magnitude >= 65520)
		return sign | 0x7c00;
	if (magnitude < ldexp(1, -14))
		return sign | (VdbHalf) rint(ldexp(magnitude, 24));
	frexp(magnitude, &exponent);	/* magnitude is in [0.5, 1) * 2^exponent */
	return sign | (VdbHalf) (((exponent + 13) << 10) +
							 rint(ldexp(magnitude, 11 - exponent)));
}

/* All 65,536 halves to floats, in an order that mixes kinds, and back. */
static void
test_widening(const VdbDistanceKernels *table)
{
	VdbHalf    *in = place(0, EDGE_END, HALVES * sizeof(VdbHalf));
	float	   *out = place(1, EDGE_END, HALVES * sizeof(float));
	VdbHalf    *back = place(2, EDGE_END, HALVES * sizeof(VdbHalf));

	for (int i = 0; i < HALVES; i++)
		in[i] = (VdbHalf) (i * 40503U);
	now_testing("half_to_float", table->name, HALVES);
	table->half_to_float(HALVES, in, out);
	for (int i = 0; i < HALVES; i++)
	{
		double		value = value_of_half(in[i]);

		check(same_float(out[i], (float) value) &&
			  !signbit(out[i]) == !signbit(value),
			  "half %04x gives %g", in[i], out[i]);
		check(float_bits(out[i]) == float_bits(vdb_half_to_float(in[i])),
			  "half %04x differs from the scalar form", in[i]);
	}

	now_testing("float_to_half", table->name, HALVES);
	table->float_to_half(HALVES, out, back);
	for (int i = 0; i < HALVES; i++)
	{
		bool		quieted = isnan(value_of_half(in[i]));

		check(back[i] == (quieted ? in[i] | 0x200 : in[i]),
			  "half %04x comes back as %04x", in[i], back[i]);
	}
}

/* One batch of floats, none of them NaN, to halves. */
static void
check_narrowing(const VdbDistanceKernels *table, int n, const float *in)
{
	VdbHalf    *out = place(1, EDGE_END, n * sizeof(VdbHalf));

	now_testing("float_to_half", table->name, n);
	table->float_to_half(n, in, out);
	for (int i = 0; i < n; i++)
		check(out[i] == half_of_value(in[i]),
			  "%.9g gives %04x, not %04x", in[i], out[i],
			  half_of_value(in[i]));
}

/* Whether a float is halfway between two halves, or next to such a one. */
static bool
near_tie(float x)
{
	return half_of_value(nextafterf(x, 0)) !=
		half_of_value(nextafterf(x, x > 0 ? INFINITY : -INFINITY));
}

/*
 * Floats around every tie between two neighbouring halves (overflow being
 * the last of them), and random ones of any size.
 */
static void
test_narrowing(const VdbDistanceKernels *table)
{
	float	   *in = place(0, EDGE_END, 6 * sizeof(float));

	for (int half = 0; half < 0x7c00; half++)
	{
		double		upper = (half == 0x7bff) ? 65536 : value_of_half(half + 1);
		float		tie = (float) ((value_of_half(half) + upper) / 2);

		in[1] = nextafterf(tie, INFINITY);
		in[2] = nextafterf(tie, 0);
		in[0] = bochs_halves ? in[1] : tie;
		for (int i = 0; i < 3; i++)
			in[3 + i] = -in[i];
		check_narrowing(table, 6, in);
	}
	for (int i = 0; i < 50000; i++)
	{
		for (int j = 0; j < 6; j++)
		{
			in[j] = bits_float((uint32) random_bits());
			if (isnan(in[j]) || (bochs_halves && near_tie(in[j])))
				in[j] = INFINITY;
		}
		check_narrowing(table, 6, in);
	}
}

/* Conversions of all lengths, to see that ends are right. */
static void
test_lengths(const VdbDistanceKernels *table)
{
	for (int n = 0; n >= 0; n = next_length(n))
	{
		FOR_EDGES(edge)
		{
			VdbHalf    *halves = place(0, edge, n * sizeof(VdbHalf));
			float	   *floats = place(1, edge, n * sizeof(float));
			VdbHalf    *back = place(2, edge, n * sizeof(VdbHalf));
			bool		good = true;

			for (int i = 0; i < n; i++)
				halves[i] = half_of_value(random_float());
			now_testing("half_to_float", table->name, n);
			table->half_to_float(n, halves, floats);
			now_testing("float_to_half", table->name, n);
			table->float_to_half(n, floats, back);
			for (int i = 0; i < n; i++)
				good = good && floats[i] == value_of_half(halves[i]) &&
					back[i] == halves[i];
			check(good, "wrong element");
		}
	}
}

/*
 * A sum over halves against the scalar sum over the same numbers as floats,
 * equal since small integers make all sums exact.
 */
static void
check_sums(const VdbDistanceKernels *table, int n,
		   const VdbHalf *a, const VdbHalf *b)
{
	static const char *const names[] = {
		"half_l2_squared", "half_inner_product", "half_l1"
	};
	const HalfKernel kernels[] = {
		table->half_l2_squared, table->half_inner_product, table->half_l1
	};
	const FloatKernel definitions[] = {
		distance_scalar.l2_squared, distance_scalar.inner_product,
		distance_scalar.l1
	};
	float	   *x = place(2, EDGE_END, n * sizeof(float));
	float	   *y = place(3, EDGE_END, n * sizeof(float));
	float		sums[3];
	float		expected[3];

	for (int i = 0; i < n; i++)
	{
		x[i] = (float) value_of_half(a[i]);
		y[i] = (float) value_of_half(b[i]);
	}
	for (int i = 0; i < 3; i++)
	{
		now_testing(names[i], table->name, n);
		check(same_float(kernels[i] (n, a, b), definitions[i] (n, x, y)),
			  "%g, not %g", kernels[i] (n, a, b), definitions[i] (n, x, y));
	}
	now_testing("float_half_inner_product", table->name, n);
	check(same_float(table->float_half_inner_product(n, x, b),
					 definitions[1] (n, x, y)),
		  "%g, not %g", table->float_half_inner_product(n, x, b),
		  definitions[1] (n, x, y));
	now_testing("half_cosine_sums", table->name, n);
	table->half_cosine_sums(n, a, b, &sums[0], &sums[1], &sums[2]);
	distance_scalar.cosine_sums(n, x, y, &expected[0], &expected[1],
								&expected[2]);
	for (int i = 0; i < 3; i++)
		check(same_float(sums[i], expected[i]), "%g, not %g",
			  sums[i], expected[i]);
}

/* Sums of small integers on all lengths, then one special pair each. */
static void
test_half_sums(const VdbDistanceKernels *table)
{
	static const VdbHalf special[] = {
		0x0000, 0x8000, 0x0001, 0x8001, 0x03ff, 0x0400, 0x3c00, 0xbc00,
		0x7bff, 0xfbff, 0x7c00, 0xfc00, 0x7e00, 0x7d01
	};
	const int	count = sizeof(special) / sizeof(special[0]);

	for (int n = 0; n >= 0; n = next_length(n))
	{
		FOR_EDGES(edge)
		{
			VdbHalf    *a = place(0, edge, n * sizeof(VdbHalf));
			VdbHalf    *b = place(1, edge, n * sizeof(VdbHalf));

			for (int i = 0; i < n; i++)
			{
				a[i] = half_of_value(random_int(-8, 8));
				b[i] = half_of_value(random_int(-8, 8));
			}
			check_sums(table, n, a, b);
		}
	}
	for (int n = 1; n < 70; n++)
	{
		VdbHalf    *a = place(0, EDGE_END, n * sizeof(VdbHalf));
		VdbHalf    *b = place(1, EDGE_END, n * sizeof(VdbHalf));

		for (int i = 0; i < count * count; i++)
		{
			int			at = random_int(0, n - 1);

			memset(a, 0, n * sizeof(VdbHalf));
			memset(b, 0, n * sizeof(VdbHalf));
			a[at] = special[i / count];
			b[at] = special[i % count];
			check_sums(table, n, a, b);
		}
	}
}

/* Tests everything about halves of one table. */
void
test_halves(const VdbDistanceKernels *table)
{
	test_widening(table);
	test_narrowing(table);
	test_lengths(table);
	test_half_sums(table);
}

/* The conversion of every float there is, NaN included. */
void
test_all_floats(const VdbDistanceKernels *table)
{
	enum
	{
		BATCH = 65536
	};
	float	   *in = place(0, EDGE_END, BATCH * sizeof(float));
	VdbHalf    *out = place(1, EDGE_END, BATCH * sizeof(VdbHalf));

	now_testing("float_to_half", table->name, BATCH);
	for (uint32 high = 0; high < 65536; high++)
	{
		bool		good = true;

		for (uint32 low = 0; low < BATCH; low++)
		{
			uint32		bits = high << 16 | low;

			memcpy(&in[low], &bits, sizeof(bits));
		}
		table->float_to_half(BATCH, in, out);
		for (int i = 0; i < BATCH; i++)
			good = good && out[i] == vdb_float_to_half(in[i]);
		check(good, "floats %04x....", high);
	}
}
