/*-------------------------------------------------------------------------
 *
 * types_private.h
 *	  What the files of the types room share with each other.
 *
 * IDENTIFICATION
 *	  src/types/types_private.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef TYPES_PRIVATE_H
#define TYPES_PRIVATE_H

#include <math.h>

#include "fmgr.h"
#include "utils/array.h"

#include "vecdb/distance.h"
#include "vecdb/lib_compat.h"
#include "vecdb/types.h"

/*
 * A position in a literal that is being read (types_text.c).
 *
 * The number read last stands between "token" and "at", for messages.
 */
typedef struct TypesScanner
{
	const char *type_name;		/* SQL name, for messages */
	const char *literal;		/* the whole of it, for messages */
	const char *end;			/* of the literal, where its zero byte is */
	const char *at;				/* next character to read */
	const char *token;			/* where the last number began */
	bool		is_underflow;	/* last number was not zero but became it */
} TypesScanner;

/* A distance between two values that may be wanted again, see types_recent.c */
typedef struct TypesRecent
{
	uint64		round;			/* while this is not over, the rest is true */
	Oid			toast;			/* table of the value that is out of line */
	Oid			value;			/* its number there */
	Oid			function;		/* what was computed */
	bool		is_known;
	double		distance;
} TypesRecent;

/* types_text.c */
extern void types_scan_begin(TypesScanner *scanner, const char *type_name,
							 const char *literal);
extern void types_scan_end(TypesScanner *scanner, const char *detail);
extern bool types_scan_char(TypesScanner *scanner, char wanted);
extern int	types_scan_count(const TypesScanner *scanner);
extern int	types_scan_run(TypesScanner *scanner, float *values, int room);
extern float types_scan_float(TypesScanner *scanner);
extern int32 types_scan_integer(TypesScanner *scanner);
extern _Noreturn void types_report_syntax(const TypesScanner *scanner,
										  const char *detail);
extern _Noreturn void types_report_range(const TypesScanner *scanner);
extern int32 types_read_typmod(ArrayType *modifiers, const char *type_name,
							   int max_dim);

/* types_check.c */
extern void types_check_dimensions(int dim, int max_dim,
								   const char *type_name);
extern void types_check_expected(int32 typmod, int dim);
extern void types_check_unused(int unused);
extern _Noreturn void types_report_different(int a, int b,
											 const char *type_name);
extern _Noreturn void types_report_element(float value, const char *type_name);
extern _Noreturn void types_report_corrupt(const char *type_name);
extern void types_check_nnz(int nnz, int dim);
extern void types_check_index(const int32 *indices, int i, int dim);

/* types_cast.c */
extern int	types_array_length(ArrayType *array);
extern void types_array_to_floats(ArrayType *array, int count, float *out);
extern ArrayType *types_create_float4_array(int count);

/* types_aggregate.c */
extern float8 *types_average_sums(ArrayType *state, const char *caller,
								  int *dim);
extern ArrayType *types_average_begin(FunctionCallInfo fcinfo,
									  const char *caller, int dim);

/* types_toast.c */
extern struct varlena *types_detoast(Datum datum);

/* types_recent.c */
extern TypesRecent *types_recent(FunctionCallInfo fcinfo);

/* types_vector.c and types_halfvec.c, from the template types_dense.h */
extern VdbVector *types_vector_create(int dim);
extern VdbVector *types_vector_from_datum(Datum datum);
extern VdbVector *types_vector_normalize(const VdbVector *value);
extern VdbHalfVector *types_halfvec_create(int dim);
extern VdbHalfVector *types_halfvec_from_datum(Datum datum);
extern VdbHalfVector *types_halfvec_normalize(const VdbHalfVector *value);
extern VdbHalf types_halfvec_from_float(float value);

/* types_sparsevec.c and types_sparse_math.c */
extern VdbSparseVector *types_sparsevec_create(int dim, int nnz);
extern VdbSparseVector *types_sparsevec_from_datum(Datum datum);
extern VdbSparseVector *types_sparsevec_normalize(const VdbSparseVector *value);
extern VdbSparseView types_sparsevec_view(const VdbSparseVector *value);

/* types_bit.c */
extern double types_jaccard(uint64 ab, uint64 aa, uint64 bb);

/*
 * types_check_element -- refuse what no vector may hold
 */
static inline void
types_check_element(float value, const char *type_name)
{
	if (unlikely(!isfinite(value)))
		types_report_element(value, type_name);
}

/*
 * types_keep_recent -- remember a distance where types_recent() says, if it does
 */
static inline double
types_keep_recent(TypesRecent *recent, double distance)
{
	if (recent != NULL)
	{
		recent->distance = distance;
		recent->is_known = true;
	}
	return distance;
}

/*
 * types_cosine_distance -- the distance that three sums amount to
 *
 * The root is taken of the product, not of its factors, so that equal
 * vectors come out at exactly zero.  Rounding can push the quotient past
 * one; the result stays within 0 and 2.  Without a direction, that is when
 * one of the vectors is zero, the result is NaN.
 */
static inline double
types_cosine_distance(float ab, float aa, float bb)
{
	double		similarity = (double) ab / sqrt((double) aa * (double) bb);

	if (similarity > 1.0)
		similarity = 1.0;
	else if (similarity < -1.0)
		similarity = -1.0;
	return 1.0 - similarity;
}

#endif							/* TYPES_PRIVATE_H */
