/*-------------------------------------------------------------------------
 *
 * types_vector.c
 *	  The type vector: single-precision elements.
 *
 * Nearly all of it comes from the template types_dense.h.
 *
 * IDENTIFICATION
 *	  src/types/types_vector.c
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

StaticAssertDecl(offsetof(VdbVector, x) == 8,
				 "vector has pgvector's layout");

/*
 * write_element -- send four bytes, for which there is room
 */
static inline void
write_element(StringInfo buf, float value)
{
	uint32		bits;

	memcpy(&bits, &value, sizeof(bits));
	pq_writeint32(buf, bits);
}

#define DENSE_NAME				vector
#define DENSE_TYPE				VdbVector
#define DENSE_ELEMENT			float
#define DENSE_MAX_DIM			VDB_VECTOR_MAX_DIM
#define DENSE_TO_FLOAT(e)		(e)
#define DENSE_FROM_FLOAT(f)		(f)
#define DENSE_NARROW(f)			(f)
#define DENSE_READ(buf)			pq_getmsgfloat4(buf)
#define DENSE_WRITE(buf, e)		write_element(buf, e)
#define DENSE_KERNEL(name)		vdb_distance->name

#include "types_dense.h"

/*
 * halfvec_to_vector(halfvec, integer, boolean)
 */
VDB_FUNCTION(vecdb_halfvec_to_vector);

Datum
vecdb_halfvec_to_vector(PG_FUNCTION_ARGS)
{
	VdbHalfVector *value = types_halfvec_from_datum(PG_GETARG_DATUM(0));
	VdbVector  *result;

	types_check_expected(PG_GETARG_INT32(1), value->dim);
	result = types_vector_create(value->dim);
	vdb_distance->half_to_float(value->dim, value->x, result->x);
	PG_RETURN_POINTER(result);
}
