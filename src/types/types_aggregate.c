/*-------------------------------------------------------------------------
 *
 * types_aggregate.c
 *	  The state of avg(): a double precision[] of one more than the number of
 *	  dimensions.
 *
 * Element 0 counts the values, the others are sums of their elements.  A
 * state of one element has seen no value yet.  The format is pgvector's, so
 * that partial aggregates of either can be combined.
 *
 * IDENTIFICATION
 *	  src/types/types_aggregate.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/float.h"

#include "types_private.h"

static ArrayType *create_state(int dim);

/*
 * types_average_sums -- look into a state
 *
 * Anyone can call the functions of an aggregate with any array.
 */
float8 *
types_average_sums(ArrayType *state, const char *caller, int *dim)
{
	if (ARR_NDIM(state) != 1 || ARR_DIMS(state)[0] < 1 ||
		ARR_HASNULL(state) || ARR_ELEMTYPE(state) != FLOAT8OID)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s: expected state array", caller)));
	*dim = ARR_DIMS(state)[0] - 1;
	return (float8 *) ARR_DATA_PTR(state);
}

/*
 * types_average_begin -- the state of the first argument, for writing
 *
 * Within an aggregate that is the state itself; nothing else sees it, so it
 * can be changed in place, and a row costs no copy of it.  Elsewhere, and
 * before the first value of "dim" dimensions, it is a new one.
 */
ArrayType *
types_average_begin(FunctionCallInfo fcinfo, const char *caller, int dim)
{
	ArrayType  *state = PG_GETARG_ARRAYTYPE_P(0);
	ArrayType  *result;
	int			state_dim;
	float8	   *sums = types_average_sums(state, caller, &state_dim);
	float8	   *new_sums;

	if (state_dim > 0)
	{
		types_check_expected(state_dim, dim);
		if (AggCheckCallContext(fcinfo, NULL))
			return state;
	}

	/* what is added to minus zero stays as it is, minus zero included */
	result = create_state(dim);
	new_sums = (float8 *) ARR_DATA_PTR(result);
	for (int i = 1; i <= dim; i++)
		new_sums[i] = -0.0;
	memcpy(new_sums, sums, sizeof(float8) * (Size) (state_dim + 1));
	return result;
}

/*
 * create_state -- a state with all its elements zero
 */
static ArrayType *
create_state(int dim)
{
	Size		length = (Size) dim + 1;
	Size		size = ARR_OVERHEAD_NONULLS(1) + sizeof(float8) * length;
	ArrayType  *result = palloc0(size);

	SET_VARSIZE(result, size);
	result->ndim = 1;
	result->dataoffset = 0;
	result->elemtype = FLOAT8OID;
	ARR_DIMS(result)[0] = dim + 1;
	ARR_LBOUND(result)[0] = 1;
	return result;
}

/*
 * vector_combine(double precision[], double precision[]), and the same for
 * halfvec -- the sum of two states, from two workers
 */
VDB_FUNCTION(vecdb_vector_combine);

Datum
vecdb_vector_combine(PG_FUNCTION_ARGS)
{
	ArrayType  *b = PG_GETARG_ARRAYTYPE_P(1);
	int			a_dim;
	int			b_dim;
	int			dim;
	ArrayType  *result;
	float8	   *sums;
	const float8 *b_sums;

	types_average_sums(PG_GETARG_ARRAYTYPE_P(0), "vector_combine", &a_dim);
	b_sums = types_average_sums(b, "vector_combine", &b_dim);
	dim = Max(a_dim, b_dim);
	if (dim > 0)
		types_check_dimensions(dim, VDB_VECTOR_MAX_DIM, "vector");

	/* two states that have seen values must agree; an empty one adds none */
	result = types_average_begin(fcinfo, "vector_combine",
								 b_dim == 0 ? a_dim : b_dim);
	sums = (float8 *) ARR_DATA_PTR(result);
	for (int i = 0; i <= b_dim; i++)
	{
		sums[i] += b_sums[i];
		if (unlikely(isinf(sums[i])))
			float_overflow_error();
	}
	PG_RETURN_ARRAYTYPE_P(result);
}
