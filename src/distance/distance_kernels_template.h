/*-------------------------------------------------------------------------
 *
 * distance_kernels_template.h
 *	  Template of the kernels whose loops look the same in every instruction
 *	  set.  Only registers, and what is done to one of them, differ.
 *
 * To be included once in the file of an instruction set, with these macros:
 *
 *	  KERNEL		storage class and attributes of a kernel
 *	  LANE			the same for an inline function on registers
 *	  Lanes, LANES	a register of floats, and how many they are: 4, 8 or 16
 *
 * and these inline functions ("tail" versions touch only the first n
 * elements, 0 < n < LANES, and read zeros for the others):
 *
 *	  Lanes lanes_zero(void)
 *	  Lanes lanes_load_T(const T *p), lanes_load_tail_T(const T *p, int n)
 *					elements as floats, T being float, VdbHalf and int8
 *	  void lanes_store_T(T *p, Lanes v), lanes_store_tail_T(T *p, Lanes v,
 *					int n)		the way back, T being float and VdbHalf
 *	  Lanes lanes_add(x, y), lanes_sub(x, y), lanes_mul(x, y)
 *	  Lanes lanes_set(float x)	x everywhere
 *	  Lanes lanes_fma(x, y, z)	x * y + z
 *	  Lanes lanes_abs(x)
 *	  float lanes_sum(x)	over the lanes
 *	  uint32 lanes_positive(x)	bit i tells whether lane i is above zero
 *	  Lanes lanes_sign_by(x, y)	x where y is above zero, elsewhere -x
 *	  Lanes lanes_flip(x, uint32 bits)	-x where bit i is set, of LANES bits
 *	  Lanes lanes_larger(x, y)	the larger magnitude of each, NaN being larger
 *					than infinity
 *	  Lanes lanes_round(x)	to the nearest whole number, ties to even
 *	  Lanes lanes_within(x, Lanes limit)	x, but at most limit either way
 *	  void lanes_store_int8(int8 *p, Lanes v)	whole numbers up to 127
 *	  Lanes lanes_butterflies(x)	the Walsh-Hadamard transform, not scaled,
 *					of the LANES floats of x, strides ascending
 *
 * It makes the static functions l2_squared, inner_product, l1, cosine_sums,
 * their half_ forms, float_half_inner_product, half_to_float, float_to_half,
 * int8_inner_product, encode_residual, float_to_int8, largest, change_signs and
 * hadamard: see distance.h for what they compute.
 *
 * IDENTIFICATION
 *	  src/distance/distance_kernels_template.h
 *
 *-------------------------------------------------------------------------
 */

/* One more squared, plain or absolute difference or product in a sum. */
LANE Lanes
step_l2_squared(Lanes sum, Lanes x, Lanes y)
{
	Lanes		diff = lanes_sub(x, y);

	return lanes_fma(diff, diff, sum);
}

LANE Lanes
step_inner_product(Lanes sum, Lanes x, Lanes y)
{
	return lanes_fma(x, y, sum);
}

LANE Lanes
step_l1(Lanes sum, Lanes x, Lanes y)
{
	return lanes_add(sum, lanes_abs(lanes_sub(x, y)));
}

#define SUM_NAME l2_squared
#define SUM_A float
#define SUM_B float
#define SUM_STEP step_l2_squared
#include "distance_sum_template.h"

#define SUM_NAME inner_product
#define SUM_A float
#define SUM_B float
#define SUM_STEP step_inner_product
#include "distance_sum_template.h"

#define SUM_NAME l1
#define SUM_A float
#define SUM_B float
#define SUM_STEP step_l1
#include "distance_sum_template.h"

#define SUM_NAME half_l2_squared
#define SUM_A VdbHalf
#define SUM_B VdbHalf
#define SUM_STEP step_l2_squared
#include "distance_sum_template.h"

#define SUM_NAME half_inner_product
#define SUM_A VdbHalf
#define SUM_B VdbHalf
#define SUM_STEP step_inner_product
#include "distance_sum_template.h"

#define SUM_NAME half_l1
#define SUM_A VdbHalf
#define SUM_B VdbHalf
#define SUM_STEP step_l1
#include "distance_sum_template.h"

#define SUM_NAME float_half_inner_product
#define SUM_A float
#define SUM_B VdbHalf
#define SUM_STEP step_inner_product
#include "distance_sum_template.h"

#define SUM_NAME int8_inner_product
#define SUM_A float
#define SUM_B int8
#define SUM_STEP step_inner_product
#include "distance_sum_template.h"

#define COSINE_NAME cosine_sums
#define COSINE_TYPE float
#include "distance_cosine_template.h"

#define COSINE_NAME half_cosine_sums
#define COSINE_TYPE VdbHalf
#include "distance_cosine_template.h"

KERNEL void
half_to_float(int dim, const VdbHalf *in, float *out)
{
	int			i = 0;

	for (; dim - i >= LANES; i += LANES)
		lanes_store_float(out + i, lanes_load_VdbHalf(in + i));
	if (i < dim)
		lanes_store_tail_float(out + i,
							   lanes_load_tail_VdbHalf(in + i, dim - i),
							   dim - i);
}

KERNEL void
float_to_half(int dim, const float *in, VdbHalf *out)
{
	int			i = 0;

	for (; dim - i >= LANES; i += LANES)
		lanes_store_VdbHalf(out + i, lanes_load_float(in + i));
	if (i < dim)
		lanes_store_tail_VdbHalf(out + i,
								 lanes_load_tail_float(in + i, dim - i),
								 dim - i);
}

/* Blocks of 64 residuals give one word of the code. */
KERNEL void
encode_residual(int dim, const float *base, const float *target,
				uint8 *code, float *l1, float *l2_squared, float *base_dot)
{
	Lanes		sum_abs = lanes_zero();
	Lanes		sum_square = lanes_zero();
	Lanes		sum_base = lanes_zero();
	Lanes		odd_abs = lanes_zero();
	Lanes		odd_square = lanes_zero();
	Lanes		odd_base = lanes_zero();

	for (int block = 0; block < dim; block += 64)
	{
		uint64		word = 0;

		for (int i = 0; i < 64; i += 2 * LANES)
		{
			Lanes		x = lanes_load_float(base + block + i);
			Lanes		y = lanes_load_float(base + block + i + LANES);
			Lanes		r = lanes_load_float(target + block + i);
			Lanes		s = lanes_load_float(target + block + i + LANES);

			r = lanes_sub(r, x);
			s = lanes_sub(s, y);
			word |= (uint64) lanes_positive(r) << i;
			word |= (uint64) lanes_positive(s) << (i + LANES);
			sum_abs = lanes_add(sum_abs, lanes_abs(r));
			odd_abs = lanes_add(odd_abs, lanes_abs(s));
			sum_square = lanes_fma(r, r, sum_square);
			odd_square = lanes_fma(s, s, odd_square);
			sum_base = lanes_add(sum_base, lanes_sign_by(x, r));
			odd_base = lanes_add(odd_base, lanes_sign_by(y, s));
		}
		/* all instruction sets with a table are little-endian */
		memcpy(code + block / 8, &word, sizeof(word));
	}
	*l1 = lanes_sum(lanes_add(sum_abs, odd_abs));
	*l2_squared = lanes_sum(lanes_add(sum_square, odd_square));
	*base_dot = lanes_sum(lanes_add(sum_base, odd_base));
}

KERNEL float
largest(int dim, const float *x)
{
	Lanes		most = lanes_zero();
	Lanes		odd = lanes_zero();
	float		each[LANES];
	uint32		result = 0;

	for (int i = 0; i < dim; i += 2 * LANES)
	{
		most = lanes_larger(most, lanes_load_float(x + i));
		odd = lanes_larger(odd, lanes_load_float(x + i + LANES));
	}
	lanes_store_float(each, lanes_larger(most, odd));

	/* in the order of their bits, as signs are gone */
	for (int i = 0; i < LANES; i++)
		result = (float_bits(each[i]) > result) ? float_bits(each[i]) : result;
	return bits_float(result);
}

KERNEL float
float_to_int8(int dim, const float *in, float inverse, int8 *out)
{
	Lanes		factor = lanes_set(inverse);
	Lanes		limit = lanes_set(127);
	Lanes		sum = lanes_zero();
	Lanes		odd = lanes_zero();

	for (int i = 0; i < dim; i += 2 * LANES)
	{
		Lanes		x = lanes_mul(lanes_load_float(in + i), factor);
		Lanes		y = lanes_mul(lanes_load_float(in + i + LANES), factor);
		Lanes		v = lanes_within(lanes_round(x), limit);
		Lanes		w = lanes_within(lanes_round(y), limit);

		lanes_store_int8(out + i, v);
		lanes_store_int8(out + i + LANES, w);
		x = lanes_sub(x, v);
		y = lanes_sub(y, w);
		sum = lanes_fma(x, x, sum);
		odd = lanes_fma(y, y, odd);
	}
	return lanes_sum(lanes_add(sum, odd));
}

KERNEL void
change_signs(int dim, const uint8 *signs, float *x)
{
	for (int i = 0; i < dim; i += 16)
	{
		uint32		bits = signs[i / 8] | (uint32) signs[i / 8 + 1] << 8;

		for (int j = 0; j < 16; j += LANES)
			lanes_store_float(x + i + j,
							  lanes_flip(lanes_load_float(x + i + j),
										 bits >> j));
	}
}

/* One stage of the transform, times scale. */
LANE void
hadamard_stage(int dim, int stride, float scale, float *x)
{
	Lanes		factor = lanes_set(scale);

	for (int block = 0; block < dim; block += 2 * stride)
	{
		for (int i = block; i < block + stride; i += LANES)
		{
			Lanes		a = lanes_load_float(x + i);
			Lanes		b = lanes_load_float(x + i + stride);

			lanes_store_float(x + i, lanes_mul(lanes_add(a, b), factor));
			lanes_store_float(x + i + stride,
							  lanes_mul(lanes_sub(a, b), factor));
		}
	}
}

/*
 * The stages of stride and 2 * stride in one pass over memory, times scale;
 * when "first", the stages within registers before them too.
 */
LANE void
hadamard_two_stages(int dim, int stride, float scale, bool first, float *x)
{
	Lanes		factor = lanes_set(scale);

	for (int block = 0; block < dim; block += 4 * stride)
	{
		for (int i = block; i < block + stride; i += LANES)
		{
			Lanes		a = lanes_load_float(x + i);
			Lanes		b = lanes_load_float(x + i + stride);
			Lanes		c = lanes_load_float(x + i + 2 * stride);
			Lanes		d = lanes_load_float(x + i + 3 * stride);
			Lanes		sum;
			Lanes		diff;

			if (first)
			{
				a = lanes_butterflies(a);
				b = lanes_butterflies(b);
				c = lanes_butterflies(c);
				d = lanes_butterflies(d);
			}
			sum = lanes_add(a, b);
			diff = lanes_sub(a, b);
			a = lanes_add(c, d);
			b = lanes_sub(c, d);
			lanes_store_float(x + i, lanes_mul(lanes_add(sum, a), factor));
			lanes_store_float(x + i + stride,
							  lanes_mul(lanes_add(diff, b), factor));
			lanes_store_float(x + i + 2 * stride,
							  lanes_mul(lanes_sub(sum, a), factor));
			lanes_store_float(x + i + 3 * stride,
							  lanes_mul(lanes_sub(diff, b), factor));
		}
	}
}

/* Agrees with the scalar form to the last bit; see the comment there. */
KERNEL void
hadamard(int log2_dim, float *x)
{
	int			dim = 1 << log2_dim;
	float		scale = hadamard_scale(log2_dim);
	int			stride = 4 * LANES;

	if (dim < 4 * LANES)
	{
		distance_scalar.hadamard(log2_dim, x);
		return;
	}
	hadamard_two_stages(dim, LANES, stride == dim ? scale : 1, true, x);
	for (; stride <= dim / 4; stride *= 4)
		hadamard_two_stages(dim, stride, stride * 4 == dim ? scale : 1,
							false, x);
	if (stride < dim)
		hadamard_stage(dim, stride, scale, x);
}
