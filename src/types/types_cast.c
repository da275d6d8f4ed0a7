/*-------------------------------------------------------------------------
 *
 * types_cast.c
 *	  Arrays of numbers, to and from which all vector types convert.
 *
 * IDENTIFICATION
 *	  src/types/types_cast.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/fmgrprotos.h"

#include "types_private.h"

static void numerics_to_floats(ArrayType *array, int count, float *out);

/*
 * types_array_length -- number of elements of an array that can be a vector
 *
 * It has at most one dimension, wherever its subscripts begin, and no nulls.
 * An empty array has none at all; the caller refuses that.
 */
int
types_array_length(ArrayType *array)
{
	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("array must be 1-D")));
	if (array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("array must not contain nulls")));
	return ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
}

/*
 * types_array_to_floats -- the elements, each as the nearest float
 *
 * types_array_length() has approved the array and returned "count".  A
 * number too large becomes infinite; the caller looks for that.
 */
void
types_array_to_floats(ArrayType *array, int count, float *out)
{
	/* without nulls, elements of fixed length stand one behind the other */
	char	   *data = ARR_DATA_PTR(array);

	switch (ARR_ELEMTYPE(array))
	{
		case INT4OID:
			for (int i = 0; i < count; i++)
				out[i] = (float) ((const int32 *) data)[i];
			break;
		case FLOAT4OID:
			memcpy(out, data, sizeof(float) * (Size) count);
			break;
		case FLOAT8OID:
			for (int i = 0; i < count; i++)
				out[i] = (float) ((const float8 *) data)[i];
			break;
		case NUMERICOID:
			numerics_to_floats(array, count, out);
			break;
		default:
			ereport(ERROR,
					(errcode(ERRCODE_DATA_EXCEPTION),
					 errmsg("unsupported array type")));
	}
}

/*
 * numerics_to_floats -- the same for elements of variable length
 */
static void
numerics_to_floats(ArrayType *array, int count, float *out)
{
	Datum	   *elements;

	deconstruct_array(array, NUMERICOID, -1, false, TYPALIGN_INT,
					  &elements, NULL, &count);
	for (int i = 0; i < count; i++)
		out[i] = DatumGetFloat4(DirectFunctionCall1(numeric_float4,
													elements[i]));
	pfree(elements);
}

/*
 * types_create_float4_array -- a real[] whose elements the caller fills in
 */
ArrayType *
types_create_float4_array(int count)
{
	Size		size = ARR_OVERHEAD_NONULLS(1) + sizeof(float4) * (Size) count;
	ArrayType  *result = palloc0(size);

	SET_VARSIZE(result, size);
	result->ndim = 1;
	result->dataoffset = 0;
	result->elemtype = FLOAT4OID;
	ARR_DIMS(result)[0] = count;
	ARR_LBOUND(result)[0] = 1;
	return result;
}
