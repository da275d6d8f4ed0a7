/*-------------------------------------------------------------------------
 *
 * distance.h
 *	  Distance and code kernels, chosen once for the CPU at hand.
 *
 * A kernel is a plain C function over arrays: no fmgr, no palloc, no error.
 * Every kernel exists in a scalar form, which defines the result, and in one
 * form per instruction set.  vdb_distance points at the best table that the
 * CPU supports from the moment the library is loaded; the setting
 * vecdb.instruction_set chooses another one, for tests and measurements.
 *
 * Lengths are counted in elements unless said otherwise, may be zero, and
 * need not be a multiple of anything except where a comment says so.  No
 * pointer needs more than the alignment of its element type.
 *
 * Sums of floats are accumulated in float by several lanes, so two
 * instruction sets may differ in the last bits; they never differ in being
 * NaN or infinite unless an intermediate sum overflows.  Integer kernels
 * agree exactly.
 *
 * IDENTIFICATION
 *	  include/vecdb/distance.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef VECDB_DISTANCE_H
#define VECDB_DISTANCE_H

#include "postgres.h"

/*
 * IEEE 754 binary16, as bits.  Stored, sent and hashed as such; arithmetic
 * happens in float.
 */
typedef uint16 VdbHalf;

typedef struct VdbDistanceKernels
{
	const char *name;			/* "scalar", "avx2", "avx512", "neon" */

	/* float32: sums over dim elements */
	float		(*l2_squared) (int dim, const float *a, const float *b);
	float		(*inner_product) (int dim, const float *a, const float *b);
	float		(*l1) (int dim, const float *a, const float *b);

	/* a.b, a.a and b.b in one pass; the caller makes a cosine of them */
	void		(*cosine_sums) (int dim, const float *a, const float *b,
								float *ab, float *aa, float *bb);

	/* float16, computed in float32 */
	float		(*half_l2_squared) (int dim, const VdbHalf *a, const VdbHalf *b);
	float		(*half_inner_product) (int dim, const VdbHalf *a, const VdbHalf *b);
	float		(*half_l1) (int dim, const VdbHalf *a, const VdbHalf *b);
	void		(*half_cosine_sums) (int dim, const VdbHalf *a, const VdbHalf *b,
									 float *ab, float *aa, float *bb);

	/* a vector of floats and one of halves: sum of a[i] * b[i] */
	float		(*float_half_inner_product) (int dim, const float *a, const VdbHalf *b);

	/* conversions, exact one way, round to nearest even the other way */
	void		(*half_to_float) (int dim, const VdbHalf *in, float *out);
	void		(*float_to_half) (int dim, const float *in, VdbHalf *out);

	/* bits: number of ones in a xor b; ones in a and b, in a, in b */
	uint64		(*hamming) (Size bytes, const uint8 *a, const uint8 *b);
	void		(*jaccard_sums) (Size bytes, const uint8 *a, const uint8 *b,
								 uint64 *ab, uint64 *aa, uint64 *bb);

	/*
	 * 8-bit quantized vectors: sum of a[i] * b[i].  The second form is exact;
	 * values are in [-127, 127] and dim at most 65,536.
	 */
	float		(*int8_inner_product) (int dim, const float *a, const int8 *b);
	int32		(*int8_int8_inner_product) (int dim, const int8 *a, const int8 *b);

	/*
	 * One-bit codes against an 8-bit query.  For each of "count" codes, the
	 * first at "codes", each "stride" bytes after the one before, sums[j] is
	 * the sum of query[i] over the bits i that are set in code j.  Bit i of a
	 * code is bit (i % 8) of byte (i / 8).  dim is a multiple of 64 and at
	 * most 65,536; query values are in [-127, 127].
	 */
	void		(*code_sums) (int dim, const int8 *query, const uint8 *codes,
							  Size stride, int count, int32 *sums);

	/*
	 * Code of a residual r = target - base: bit i of "code" is set where r[i]
	 * > 0; *l1 is the sum of |r[i]|, *l2_squared of r[i] * r[i], *base_dot
	 * the sum of base[i] * sign(r[i]), sign being +1 where the bit is set and
	 * -1 elsewhere.  dim is a multiple of 64.
	 */
	void		(*encode_residual) (int dim, const float *base, const float *target,
									uint8 *code, float *l1, float *l2_squared,
									float *base_dot);

	/*
	 * Eight-bit form: out[i] is in[i] * inverse, rounded to the nearest whole
	 * number, of two equally near ones the even one, and at most 127 either
	 * way.  Returns the sum of the squares of what the rounding took. Numbers
	 * are finite; dim is a multiple of 64.
	 */
	float		(*float_to_int8) (int dim, const float *in, float inverse,
								  int8 *out);

	/*
	 * The largest magnitude in x, infinite or NaN if one of x is; dim is a
	 * multiple of 64.
	 */
	float		(*largest) (int dim, const float *x);

	/*
	 * Rotation: changes the sign of x[i] where bit (i % 8) of signs[i / 8] is
	 * set.  dim is a multiple of 64.
	 */
	void		(*change_signs) (int dim, const uint8 *signs, float *x);

	/*
	 * Fast Walsh-Hadamard transform of x[0 .. 2^log2_dim - 1] in place, each
	 * output multiplied by 2^(-log2_dim/2) so that lengths are kept.
	 */
	void		(*hadamard) (int log2_dim, float *x);
} VdbDistanceKernels;

/* the table in force; never NULL once the library is loaded */
extern const VdbDistanceKernels *vdb_distance;

/* Chooses the table and defines vecdb.instruction_set; called by _PG_init. */
extern void vdb_distance_init(void);

/* The table of that name if this CPU can run it, otherwise NULL. */
extern const VdbDistanceKernels *vdb_distance_find(const char *name);

/*
 * One sparse kernel serves all instruction sets: indices ascending in both.
 */
typedef struct VdbSparseView
{
	int			count;			/* non-zero elements */
	const int32 *indices;		/* ascending, from 0 */
	const float *values;
} VdbSparseView;

extern float vdb_sparse_l2_squared(VdbSparseView a, VdbSparseView b);
extern float vdb_sparse_inner_product(VdbSparseView a, VdbSparseView b);
extern float vdb_sparse_l1(VdbSparseView a, VdbSparseView b);

/* scalar conversions for single values */
extern float vdb_half_to_float(VdbHalf value);
extern VdbHalf vdb_float_to_half(float value);

#endif							/* VECDB_DISTANCE_H */
