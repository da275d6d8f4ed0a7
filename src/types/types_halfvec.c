/*-------------------------------------------------------------------------
 *
 * types_halfvec.c
 *	  The type halfvec: half-precision elements.
 *
 * Nearly all of it comes from the template types_dense.h.  Elements are bits
 * (VdbHalf); they become float to be computed with, and the result is
 * rounded to the nearest half.  A float has more than twice the digits of a
 * half, so rounding a sum or product twice gives what rounding once would.
 *
 * IDENTIFICATION
 *	  src/types/types_halfvec.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "common/shortest_dec.h"
#include "libpq/pqformat.h"
#include "utils/float.h"
#include "utils/varbit.h"

#include "types_private.h"

StaticAssertDecl(offsetof(VdbHalfVector, x) == 8,
				 "halfvec has pgvector's layout");

/*
 * types_halfvec_from_float -- the half nearest to a number that comes from
 * another type
 *
 * A finite number beyond the largest half, 65504, is an error.  Infinity and
 * NaN pass; the caller looks for them.
 */
VdbHalf
types_halfvec_from_float(float value)
{
	VdbHalf		result = vdb_float_to_half(value);

	if (unlikely(isinf(vdb_half_to_float(result)) && !isinf(value)))
	{
		char		number[FLOAT_SHORTEST_DECIMAL_LEN];

		float_to_shortest_decimal_buf(value, number);
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("\"%s\" is out of range for type halfvec", number)));
	}
	return result;
}

#define DENSE_NAME				halfvec
#define DENSE_TYPE				VdbHalfVector
#define DENSE_ELEMENT			VdbHalf
#define DENSE_MAX_DIM			VDB_HALFVEC_MAX_DIM
#define DENSE_TO_FLOAT(e)		vdb_half_to_float(e)
#define DENSE_FROM_FLOAT(f)		vdb_float_to_half(f)
#define DENSE_NARROW(f)			types_halfvec_from_float(f)
#define DENSE_READ(buf)			((VdbHalf) pq_getmsgint(buf, sizeof(VdbHalf)))
#define DENSE_WRITE(buf, e)		pq_writeint16(buf, e)
#define DENSE_KERNEL(name)		vdb_distance->half_##name

#include "types_dense.h"

/*
 * vector_to_halfvec(vector, integer, boolean)
 */
VDB_FUNCTION(vecdb_vector_to_halfvec);

Datum
vecdb_vector_to_halfvec(PG_FUNCTION_ARGS)
{
	VdbVector  *value = types_vector_from_datum(PG_GETARG_DATUM(0));
	VdbHalfVector *result;

	types_check_expected(PG_GETARG_INT32(1), value->dim);
	result = types_halfvec_create(value->dim);
	for (int i = 0; i < value->dim; i++)
		result->x[i] = types_halfvec_from_float(value->x[i]);
	PG_RETURN_POINTER(result);
}
