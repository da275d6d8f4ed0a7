/*-------------------------------------------------------------------------
 *
 * types_dense_order.h
 *	  Part of the template types_dense.h: comparison and hashing.
 *
 * IDENTIFICATION
 *	  src/types/types_dense_order.h
 *
 *-------------------------------------------------------------------------
 */

/*
 * compare -- element by element, then the shorter one first
 *
 * This is the order of PostgreSQL's arrays.  Zero and minus zero are equal.
 */
static int
compare(const DENSE_TYPE *a, const DENSE_TYPE *b)
{
	int			common = Min(a->dim, b->dim);

	for (int i = 0; i < common; i++)
	{
		float		x = DENSE_TO_FLOAT(a->x[i]);
		float		y = DENSE_TO_FLOAT(b->x[i]);

		if (x != y)
			return (x < y) ? -1 : 1;
	}
	return (a->dim > b->dim) - (a->dim < b->dim);
}

/*
 * compare_arguments -- the same for the arguments of a function
 */
static int
compare_arguments(FunctionCallInfo fcinfo)
{
	DENSE_TYPE *a = get_argument(fcinfo, 0);
	DENSE_TYPE *b = get_argument(fcinfo, 1);
	int			result = compare(a, b);

	/* an index build compares in a context that lives long */
	PG_FREE_IF_COPY(a, 0);
	PG_FREE_IF_COPY(b, 1);
	return result;
}

/*
 * TYPE_lt(TYPE, TYPE)
 */
VDB_FUNCTION(DENSE_FUNCTION(lt));

Datum
DENSE_FUNCTION(lt) (PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_arguments(fcinfo) < 0);
}

/*
 * TYPE_le(TYPE, TYPE)
 */
VDB_FUNCTION(DENSE_FUNCTION(le));

Datum
DENSE_FUNCTION(le) (PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_arguments(fcinfo) <= 0);
}

/*
 * TYPE_eq(TYPE, TYPE)
 */
VDB_FUNCTION(DENSE_FUNCTION(eq));

Datum
DENSE_FUNCTION(eq) (PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_arguments(fcinfo) == 0);
}

/*
 * TYPE_ne(TYPE, TYPE)
 */
VDB_FUNCTION(DENSE_FUNCTION(ne));

Datum
DENSE_FUNCTION(ne) (PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_arguments(fcinfo) != 0);
}

/*
 * TYPE_ge(TYPE, TYPE)
 */
VDB_FUNCTION(DENSE_FUNCTION(ge));

Datum
DENSE_FUNCTION(ge) (PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_arguments(fcinfo) >= 0);
}

/*
 * TYPE_gt(TYPE, TYPE)
 */
VDB_FUNCTION(DENSE_FUNCTION(gt));

Datum
DENSE_FUNCTION(gt) (PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_arguments(fcinfo) > 0);
}

/*
 * TYPE_cmp(TYPE, TYPE) -- -1, 0 or 1
 */
VDB_FUNCTION(DENSE_FUNCTION(cmp));

Datum
DENSE_FUNCTION(cmp) (PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(compare_arguments(fcinfo));
}

/*
 * find_image -- bytes that are the same for all values that are equal
 *
 * That is the elements with minus zero written as zero.  They are changed in
 * a copy, which is made only if there is something to change.
 */
static const unsigned char *
find_image(const DENSE_TYPE *value)
{
	DENSE_TYPE *copy = NULL;

	for (int i = 0; i < value->dim; i++)
	{
		float		element = DENSE_TO_FLOAT(value->x[i]);

		if (unlikely(element == 0 && signbit(element)))
		{
			if (copy == NULL)
			{
				copy = palloc(DENSE_SIZE(value->dim));
				memcpy(copy, value, DENSE_SIZE(value->dim));
			}
			copy->x[i] = 0;
		}
	}
	return (const unsigned char *) (copy ? copy->x : value->x);
}

/*
 * TYPE_hash(TYPE) -- for hash indexes, joins and aggregates
 */
VDB_FUNCTION(DENSE_FUNCTION(hash));

Datum
DENSE_FUNCTION(hash) (PG_FUNCTION_ARGS)
{
	DENSE_TYPE *value = get_argument(fcinfo, 0);
	int			length = (int) sizeof(DENSE_ELEMENT) * value->dim;

	return hash_any(find_image(value), length);
}

/*
 * TYPE_hash_extended(TYPE, bigint) -- the same with a seed, in 64 bits
 */
VDB_FUNCTION(DENSE_FUNCTION(hash_extended));

Datum
DENSE_FUNCTION(hash_extended) (PG_FUNCTION_ARGS)
{
	DENSE_TYPE *value = get_argument(fcinfo, 0);
	int			length = (int) sizeof(DENSE_ELEMENT) * value->dim;

	return hash_any_extended(find_image(value), length,
							 (uint64) PG_GETARG_INT64(1));
}
