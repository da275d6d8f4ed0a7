/*-------------------------------------------------------------------------
 *
 * types_dense_math.h
 *	  Part of the template types_dense.h: distances, norms, arithmetic.
 *
 * IDENTIFICATION
 *	  src/types/types_dense_math.h
 *
 *-------------------------------------------------------------------------
 */

/*
 * Two values of the same number of dimensions.
 */
typedef struct DensePair
{
	DENSE_TYPE *a;
	DENSE_TYPE *b;
	int			dim;			/* of each */
} DensePair;

/*
 * get_pair -- the two arguments of a function that wants them alike
 */
static inline DensePair
get_pair(FunctionCallInfo fcinfo)
{
	DensePair	pair;

	pair.a = get_argument(fcinfo, 0);
	pair.b = get_argument(fcinfo, 1);
	if (unlikely(pair.a->dim != pair.b->dim))
		types_report_different(pair.a->dim, pair.b->dim, DENSE_STRING);
	pair.dim = pair.a->dim;
	return pair;
}

/*
 * l2_distance(TYPE, TYPE) -- Euclidean
 */
VDB_FUNCTION(DENSE_FUNCTION(l2_distance));

Datum
DENSE_FUNCTION(l2_distance) (PG_FUNCTION_ARGS)
{
	TypesRecent *recent = types_recent(fcinfo);
	DensePair	pair;
	double		squared;

	if (recent != NULL && recent->is_known)
		PG_RETURN_FLOAT8(recent->distance);
	pair = get_pair(fcinfo);
	squared = DENSE_KERNEL(l2_squared) (pair.dim, pair.a->x, pair.b->x);
	PG_RETURN_FLOAT8(types_keep_recent(recent, sqrt(squared)));
}

/*
 * TYPE_l2_squared_distance(TYPE, TYPE) -- orders as l2_distance does
 */
VDB_FUNCTION(DENSE_FUNCTION(l2_squared_distance));

Datum
DENSE_FUNCTION(l2_squared_distance) (PG_FUNCTION_ARGS)
{
	DensePair	pair = get_pair(fcinfo);

	PG_RETURN_FLOAT8(DENSE_KERNEL(l2_squared) (pair.dim, pair.a->x,
											   pair.b->x));
}

/*
 * inner_product(TYPE, TYPE)
 */
VDB_FUNCTION(DENSE_FUNCTION(inner_product));

Datum
DENSE_FUNCTION(inner_product) (PG_FUNCTION_ARGS)
{
	DensePair	pair = get_pair(fcinfo);

	PG_RETURN_FLOAT8(DENSE_KERNEL(inner_product) (pair.dim, pair.a->x,
												  pair.b->x));
}

/*
 * TYPE_negative_inner_product(TYPE, TYPE) -- the less the nearer
 */
VDB_FUNCTION(DENSE_FUNCTION(negative_inner_product));

Datum
DENSE_FUNCTION(negative_inner_product) (PG_FUNCTION_ARGS)
{
	TypesRecent *recent = types_recent(fcinfo);
	DensePair	pair;
	double		product;

	if (recent != NULL && recent->is_known)
		PG_RETURN_FLOAT8(recent->distance);
	pair = get_pair(fcinfo);
	product = DENSE_KERNEL(inner_product) (pair.dim, pair.a->x, pair.b->x);
	PG_RETURN_FLOAT8(types_keep_recent(recent, -product));
}

/*
 * cosine_distance(TYPE, TYPE)
 */
VDB_FUNCTION(DENSE_FUNCTION(cosine_distance));

Datum
DENSE_FUNCTION(cosine_distance) (PG_FUNCTION_ARGS)
{
	TypesRecent *recent = types_recent(fcinfo);
	DensePair	pair;
	float		ab;
	float		aa;
	float		bb;

	if (recent != NULL && recent->is_known)
		PG_RETURN_FLOAT8(recent->distance);
	pair = get_pair(fcinfo);
	DENSE_KERNEL(cosine_sums) (pair.dim, pair.a->x, pair.b->x, &ab, &aa, &bb);
	PG_RETURN_FLOAT8(types_keep_recent(recent,
									   types_cosine_distance(ab, aa, bb)));
}

/*
 * TYPE_spherical_distance(TYPE, TYPE) -- angle between unit vectors, over pi
 *
 * Unlike the cosine distance it satisfies the triangle inequality.
 */
VDB_FUNCTION(DENSE_FUNCTION(spherical_distance));

Datum
DENSE_FUNCTION(spherical_distance) (PG_FUNCTION_ARGS)
{
	DensePair	pair = get_pair(fcinfo);
	double		cosine = DENSE_KERNEL(inner_product) (pair.dim, pair.a->x,
													  pair.b->x);

	/* rounding may lead out of the domain of acos */
	if (cosine > 1.0)
		cosine = 1.0;
	else if (cosine < -1.0)
		cosine = -1.0;
	PG_RETURN_FLOAT8(acos(cosine) / M_PI);
}

/*
 * l1_distance(TYPE, TYPE) -- taxicab
 */
VDB_FUNCTION(DENSE_FUNCTION(l1_distance));

Datum
DENSE_FUNCTION(l1_distance) (PG_FUNCTION_ARGS)
{
	DensePair	pair = get_pair(fcinfo);

	PG_RETURN_FLOAT8(DENSE_KERNEL(l1) (pair.dim, pair.a->x, pair.b->x));
}

/*
 * vector_dims(TYPE) -- number of dimensions
 */
VDB_FUNCTION(DENSE_FUNCTION(dims));

Datum
DENSE_FUNCTION(dims) (PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(get_argument(fcinfo, 0)->dim);
}

/*
 * compute_norm -- Euclidean length, in double, so that it neither overflows
 * nor vanishes
 */
static double
compute_norm(const DENSE_TYPE *value)
{
	double		sum = 0.0;

	for (int i = 0; i < value->dim; i++)
	{
		double		element = DENSE_TO_FLOAT(value->x[i]);

		sum += element * element;
	}
	return sqrt(sum);
}

/*
 * vector_norm(vector) and l2_norm(halfvec) -- Euclidean length
 */
VDB_FUNCTION(DENSE_FUNCTION(l2_norm));

Datum
DENSE_FUNCTION(l2_norm) (PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(compute_norm(get_argument(fcinfo, 0)));
}

/*
 * types_TYPE_normalize -- a copy of length one, or NULL when the length is
 * zero
 */
DENSE_TYPE *
DENSE_ROOM(normalize) (const DENSE_TYPE *value)
{
	double		norm = compute_norm(value);
	DENSE_TYPE *result;

	if (!(norm > 0))
		return NULL;

	result = DENSE_ROOM(create) (value->dim);
	for (int i = 0; i < value->dim; i++)
	{
		double		element = DENSE_TO_FLOAT(value->x[i]);

		result->x[i] = DENSE_FROM_FLOAT((float) (element / norm));
	}
	return result;
}

/*
 * l2_normalize(TYPE) -- scaled to length one; zero remains zero
 */
VDB_FUNCTION(DENSE_FUNCTION(l2_normalize));

Datum
DENSE_FUNCTION(l2_normalize) (PG_FUNCTION_ARGS)
{
	DENSE_TYPE *value = get_argument(fcinfo, 0);
	DENSE_TYPE *result = DENSE_ROOM(normalize) (value);

	if (result == NULL)
		result = DENSE_ROOM(create) (value->dim);
	PG_RETURN_POINTER(result);
}

/*
 * check_overflow -- no element may have become infinite
 */
static void
check_overflow(const DENSE_TYPE *result)
{
	for (int i = 0; i < result->dim; i++)
	{
		if (unlikely(isinf(DENSE_TO_FLOAT(result->x[i]))))
			float_overflow_error();
	}
}

/*
 * TYPE_add(TYPE, TYPE) -- element by element
 */
VDB_FUNCTION(DENSE_FUNCTION(add));

Datum
DENSE_FUNCTION(add) (PG_FUNCTION_ARGS)
{
	DensePair	pair = get_pair(fcinfo);
	DENSE_TYPE *result = DENSE_ROOM(create) (pair.dim);

	for (int i = 0; i < pair.dim; i++)
		result->x[i] = DENSE_FROM_FLOAT(DENSE_TO_FLOAT(pair.a->x[i]) +
										DENSE_TO_FLOAT(pair.b->x[i]));
	check_overflow(result);
	PG_RETURN_POINTER(result);
}

/*
 * TYPE_sub(TYPE, TYPE) -- element by element
 */
VDB_FUNCTION(DENSE_FUNCTION(sub));

Datum
DENSE_FUNCTION(sub) (PG_FUNCTION_ARGS)
{
	DensePair	pair = get_pair(fcinfo);
	DENSE_TYPE *result = DENSE_ROOM(create) (pair.dim);

	for (int i = 0; i < pair.dim; i++)
		result->x[i] = DENSE_FROM_FLOAT(DENSE_TO_FLOAT(pair.a->x[i]) -
										DENSE_TO_FLOAT(pair.b->x[i]));
	check_overflow(result);
	PG_RETURN_POINTER(result);
}

/*
 * TYPE_mul(TYPE, TYPE) -- element by element
 *
 * Here a result may also vanish, which is an error as in PostgreSQL's own
 * multiplication.
 */
VDB_FUNCTION(DENSE_FUNCTION(mul));

Datum
DENSE_FUNCTION(mul) (PG_FUNCTION_ARGS)
{
	DensePair	pair = get_pair(fcinfo);
	DENSE_TYPE *result = DENSE_ROOM(create) (pair.dim);

	for (int i = 0; i < pair.dim; i++)
	{
		float		a = DENSE_TO_FLOAT(pair.a->x[i]);
		float		b = DENSE_TO_FLOAT(pair.b->x[i]);
		float		product;

		result->x[i] = DENSE_FROM_FLOAT(a * b);
		product = DENSE_TO_FLOAT(result->x[i]);
		if (unlikely(isinf(product)))
			float_overflow_error();
		if (unlikely(product == 0 && a != 0 && b != 0))
			float_underflow_error();
	}
	PG_RETURN_POINTER(result);
}

/*
 * TYPE_concat(TYPE, TYPE) -- the second behind the first
 */
VDB_FUNCTION(DENSE_FUNCTION(concat));

Datum
DENSE_FUNCTION(concat) (PG_FUNCTION_ARGS)
{
	DENSE_TYPE *a = get_argument(fcinfo, 0);
	DENSE_TYPE *b = get_argument(fcinfo, 1);
	DENSE_TYPE *result;

	types_check_dimensions(a->dim + b->dim, DENSE_MAX_DIM, DENSE_STRING);
	result = DENSE_ROOM(create) (a->dim + b->dim);
	memcpy(result->x, a->x, sizeof(DENSE_ELEMENT) * (Size) a->dim);
	memcpy(result->x + a->dim, b->x, sizeof(DENSE_ELEMENT) * (Size) b->dim);
	PG_RETURN_POINTER(result);
}

/*
 * binary_quantize(TYPE) -- one bit per element, set where it is positive
 */
VDB_FUNCTION(DENSE_FUNCTION(binary_quantize));

Datum
DENSE_FUNCTION(binary_quantize) (PG_FUNCTION_ARGS)
{
	DENSE_TYPE *value = get_argument(fcinfo, 0);
	Size		size = VARBITTOTALLEN(value->dim);
	VarBit	   *result = palloc0(size);
	bits8	   *bits = VARBITS(result);

	SET_VARSIZE(result, size);
	VARBITLEN(result) = value->dim;
	for (int i = 0; i < value->dim; i++)
	{
		if (DENSE_TO_FLOAT(value->x[i]) > 0)
			bits[i / 8] |= (bits8) (0x80 >> (i % 8));
	}
	PG_RETURN_VARBIT_P(result);
}

/*
 * subvector(TYPE, start, count) -- a run of elements, counted from 1
 *
 * As with substring, what lies outside is left out; nothing left is an
 * error, because no vector is empty.
 */
VDB_FUNCTION(DENSE_FUNCTION(subvector));

Datum
DENSE_FUNCTION(subvector) (PG_FUNCTION_ARGS)
{
	DENSE_TYPE *value = get_argument(fcinfo, 0);
	int64		start = PG_GETARG_INT32(1);
	int64		count = PG_GETARG_INT32(2);
	int64		end = Min(start + Max(count, 0), (int64) value->dim + 1);
	DENSE_TYPE *result;

	start = Max(start, 1);
	types_check_dimensions((int) Max(end - start, 0), DENSE_MAX_DIM,
						   DENSE_STRING);
	result = DENSE_ROOM(create) ((int) (end - start));
	memcpy(result->x, value->x + start - 1,
		   sizeof(DENSE_ELEMENT) * (Size) (end - start));
	PG_RETURN_POINTER(result);
}

/*
 * TYPE_accum(double precision[], TYPE) -- one more value for an average
 */
VDB_FUNCTION(DENSE_FUNCTION(accum));

Datum
DENSE_FUNCTION(accum) (PG_FUNCTION_ARGS)
{
	DENSE_TYPE *value = get_argument(fcinfo, 1);
	ArrayType  *state;
	float8	   *sums;

	state = types_average_begin(fcinfo, CppAsString2(DENSE_NAME) "_accum",
								value->dim);
	sums = (float8 *) ARR_DATA_PTR(state);
	sums[0] += 1.0;
	for (int i = 0; i < value->dim; i++)
	{
		sums[i + 1] += DENSE_TO_FLOAT(value->x[i]);
		if (unlikely(isinf(sums[i + 1])))
			float_overflow_error();
	}
	PG_RETURN_ARRAYTYPE_P(state);
}

/*
 * TYPE_avg(double precision[]) -- the average of what was accumulated
 *
 * NULL when that was nothing.
 */
VDB_FUNCTION(DENSE_FUNCTION(avg));

Datum
DENSE_FUNCTION(avg) (PG_FUNCTION_ARGS)
{
	ArrayType  *state = PG_GETARG_ARRAYTYPE_P(0);
	const float8 *sums;
	int			dim;
	DENSE_TYPE *result;

	sums = types_average_sums(state, CppAsString2(DENSE_NAME) "_avg", &dim);
	if (sums[0] == 0.0)
		PG_RETURN_NULL();

	types_check_dimensions(dim, DENSE_MAX_DIM, DENSE_STRING);
	result = DENSE_ROOM(create) (dim);
	for (int i = 0; i < dim; i++)
	{
		float		mean = (float) (sums[i + 1] / sums[0]);

		result->x[i] = DENSE_NARROW(mean);
		types_check_element(mean, DENSE_STRING);
	}
	PG_RETURN_POINTER(result);
}
