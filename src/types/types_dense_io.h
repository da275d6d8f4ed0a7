/*-------------------------------------------------------------------------
 *
 * types_dense_io.h
 *	  Part of the template types_dense.h: input, output, arrays.
 *
 * IDENTIFICATION
 *	  src/types/types_dense_io.h
 *
 *-------------------------------------------------------------------------
 */

/* Elements of a literal that are read one behind the other at best */
#ifndef SCANNED_AT_ONCE
#define SCANNED_AT_ONCE	64
#endif

/*
 * types_TYPE_create -- a new value, all elements zero
 *
 * The caller has checked the number of dimensions.
 */
DENSE_TYPE *
DENSE_ROOM(create) (int dim)
{
	DENSE_TYPE *result = palloc0(DENSE_SIZE(dim));

	SET_VARSIZE(result, DENSE_SIZE(dim));
	result->dim = (int16) dim;
	return result;
}

/*
 * types_TYPE_from_datum -- a value in memory, whole and aligned
 *
 * Every function gets its arguments through here, so that a damaged value
 * is an error and never a read beyond its end (invariant 3).
 */
DENSE_TYPE *
DENSE_ROOM(from_datum) (Datum datum)
{
	DENSE_TYPE *result = (DENSE_TYPE *) types_detoast(datum);

	if (unlikely(VARSIZE(result) < DENSE_SIZE(1) || result->dim < 1 ||
				 VARSIZE(result) != DENSE_SIZE(result->dim)))
		types_report_corrupt(DENSE_STRING);
	return result;
}

/*
 * get_argument -- the n-th argument of a function called from SQL
 */
static inline DENSE_TYPE *
get_argument(FunctionCallInfo fcinfo, int n)
{
	return DENSE_ROOM(from_datum) (PG_GETARG_DATUM(n));
}

/*
 * scan_element -- one element of a literal, checked
 */
static DENSE_ELEMENT
scan_element(TypesScanner *scanner)
{
	float		value = types_scan_float(scanner);
	DENSE_ELEMENT result = DENSE_FROM_FLOAT(value);

	if (unlikely(isinf(DENSE_TO_FLOAT(result)) && !isinf(value)))
		types_report_range(scanner);
	types_check_element(value, DENSE_STRING);
	return result;
}

/*
 * scan_elements -- the elements of a literal up to the closing bracket
 *
 * "elements" has room for DENSE_MAX_DIM.  Returns how many there are.
 */
static int
scan_elements(TypesScanner *scanner, DENSE_ELEMENT *elements)
{
	float		run[SCANNED_AT_ONCE];
	int			dim = 0;

	for (;;)
	{
		/* below ten each, and so within the range of any type */
		int			count = types_scan_run(scanner, run,
										   Min(SCANNED_AT_ONCE,
											   DENSE_MAX_DIM - dim));

		for (int i = 0; i < count; i++)
			elements[dim++] = DENSE_FROM_FLOAT(run[i]);
		if (count == SCANNED_AT_ONCE)
			continue;

		if (dim == DENSE_MAX_DIM)
			types_check_dimensions(dim + 1, DENSE_MAX_DIM, DENSE_STRING);
		elements[dim++] = scan_element(scanner);
		if (types_scan_char(scanner, ']'))
			return dim;
		if (!types_scan_char(scanner, ','))
			types_report_syntax(scanner, NULL);
	}
}

/*
 * TYPE_in(cstring, oid, integer) -- from text, [1,2,3]
 */
VDB_FUNCTION(DENSE_FUNCTION(in));

Datum
DENSE_FUNCTION(in) (PG_FUNCTION_ARGS)
{
	static DENSE_ELEMENT elements[DENSE_MAX_DIM];
	TypesScanner scanner;
	DENSE_TYPE *result;
	int			dim;

	types_scan_begin(&scanner, DENSE_STRING, PG_GETARG_CSTRING(0));
	if (!types_scan_char(&scanner, '['))
		types_report_syntax(&scanner, "Vector contents must start with \"[\".");
	if (types_scan_char(&scanner, ']'))
		types_check_dimensions(0, DENSE_MAX_DIM, DENSE_STRING);

	dim = scan_elements(&scanner, elements);
	types_scan_end(&scanner, "Junk after closing right brace.");
	types_check_expected(PG_GETARG_INT32(2), dim);
	result = palloc(DENSE_SIZE(dim));
	SET_VARSIZE(result, DENSE_SIZE(dim));
	result->dim = (int16) dim;
	result->unused = 0;
	memcpy(result->x, elements, sizeof(DENSE_ELEMENT) * dim);
	PG_RETURN_POINTER(result);
}

/*
 * TYPE_out(TYPE) -- to text, each number as short as reads back the same
 */
VDB_FUNCTION(DENSE_FUNCTION(out));

Datum
DENSE_FUNCTION(out) (PG_FUNCTION_ARGS)
{
	DENSE_TYPE *value = get_argument(fcinfo, 0);
	char	   *result;
	char	   *at;

	/* a number's buffer counts a zero byte, which pays for the comma */
	result = palloc((Size) value->dim * FLOAT_SHORTEST_DECIMAL_LEN + 3);
	at = result;
	*at++ = '[';
	for (int i = 0; i < value->dim; i++)
	{
		if (i > 0)
			*at++ = ',';
		at += float_to_shortest_decimal_bufn(DENSE_TO_FLOAT(value->x[i]), at);
	}
	*at++ = ']';
	*at = '\0';

	PG_FREE_IF_COPY(value, 0);
	PG_RETURN_CSTRING(result);
}

/*
 * TYPE_typmod_in(cstring[]) -- the number in parentheses
 */
VDB_FUNCTION(DENSE_FUNCTION(typmod_in));

Datum
DENSE_FUNCTION(typmod_in) (PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(types_read_typmod(PG_GETARG_ARRAYTYPE_P(0),
									  DENSE_STRING, DENSE_MAX_DIM));
}

/*
 * TYPE_recv(internal, oid, integer) -- from a binary message
 *
 * The server itself complains about bytes that are left over.
 */
VDB_FUNCTION(DENSE_FUNCTION(recv));

Datum
DENSE_FUNCTION(recv) (PG_FUNCTION_ARGS)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	int			dim = (int) pq_getmsgint(buf, sizeof(int16));
	int			unused = (int) pq_getmsgint(buf, sizeof(int16));
	DENSE_TYPE *result;

	types_check_dimensions(dim, DENSE_MAX_DIM, DENSE_STRING);
	types_check_expected(PG_GETARG_INT32(2), dim);
	types_check_unused(unused);

	result = DENSE_ROOM(create) (dim);
	for (int i = 0; i < dim; i++)
	{
		result->x[i] = DENSE_READ(buf);
		types_check_element(DENSE_TO_FLOAT(result->x[i]), DENSE_STRING);
	}
	PG_RETURN_POINTER(result);
}

/*
 * TYPE_send(TYPE) -- to a binary message
 */
VDB_FUNCTION(DENSE_FUNCTION(send));

Datum
DENSE_FUNCTION(send) (PG_FUNCTION_ARGS)
{
	DENSE_TYPE *value = get_argument(fcinfo, 0);
	StringInfoData buf;

	pq_begintypsend(&buf);
	enlargeStringInfo(&buf, (int) DENSE_SIZE(value->dim));
	pq_sendint16(&buf, (uint16) value->dim);
	pq_sendint16(&buf, (uint16) value->unused);
	for (int i = 0; i < value->dim; i++)
		DENSE_WRITE(&buf, value->x[i]);
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

/*
 * TYPE(TYPE, integer, boolean) -- check the type modifier, change nothing
 */
VDB_FUNCTION(DENSE_JOIN(vecdb_, DENSE_NAME));

Datum
DENSE_JOIN(vecdb_, DENSE_NAME) (PG_FUNCTION_ARGS)
{
	DENSE_TYPE *value = get_argument(fcinfo, 0);

	types_check_expected(PG_GETARG_INT32(1), value->dim);
	PG_RETURN_POINTER(value);
}

/*
 * array_to_TYPE(number[], integer, boolean)
 *
 * Elements that are not finite are looked for last, as pgvector does.
 */
VDB_FUNCTION(DENSE_JOIN(vecdb_array_to_, DENSE_NAME));

Datum
DENSE_JOIN(vecdb_array_to_, DENSE_NAME) (PG_FUNCTION_ARGS)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(0);
	int			dim = types_array_length(array);
	DENSE_TYPE *result;
	float	   *floats;

	types_check_dimensions(dim, DENSE_MAX_DIM, DENSE_STRING);
	types_check_expected(PG_GETARG_INT32(1), dim);

	result = DENSE_ROOM(create) (dim);
	floats = palloc(sizeof(float) * (Size) dim);
	types_array_to_floats(array, dim, floats);
	for (int i = 0; i < dim; i++)
		result->x[i] = DENSE_NARROW(floats[i]);
	for (int i = 0; i < dim; i++)
		types_check_element(floats[i], DENSE_STRING);
	pfree(floats);
	PG_RETURN_POINTER(result);
}

/*
 * TYPE_to_float4(TYPE, integer, boolean) -- to real[]
 */
VDB_FUNCTION(DENSE_FUNCTION(to_float4));

Datum
DENSE_FUNCTION(to_float4) (PG_FUNCTION_ARGS)
{
	DENSE_TYPE *value = get_argument(fcinfo, 0);
	ArrayType  *result = types_create_float4_array(value->dim);
	float4	   *floats = (float4 *) ARR_DATA_PTR(result);

	for (int i = 0; i < value->dim; i++)
		floats[i] = DENSE_TO_FLOAT(value->x[i]);
	PG_RETURN_ARRAYTYPE_P(result);
}

/*
 * TYPE_to_sparsevec(TYPE, integer, boolean) -- keep what is not zero
 */
VDB_FUNCTION(DENSE_FUNCTION(to_sparsevec));

Datum
DENSE_FUNCTION(to_sparsevec) (PG_FUNCTION_ARGS)
{
	DENSE_TYPE *value = get_argument(fcinfo, 0);
	VdbSparseVector *result;
	float	   *values;
	int			nnz = 0;

	types_check_expected(PG_GETARG_INT32(1), value->dim);

	for (int i = 0; i < value->dim; i++)
		nnz += (DENSE_TO_FLOAT(value->x[i]) != 0);
	types_check_nnz(nnz, value->dim);

	result = types_sparsevec_create(value->dim, nnz);
	values = VDB_SPARSEVEC_VALUES(result);
	nnz = 0;
	for (int i = 0; i < value->dim; i++)
	{
		float		element = DENSE_TO_FLOAT(value->x[i]);

		if (element != 0)
		{
			result->indices[nnz] = i;
			values[nnz++] = element;
		}
	}
	PG_RETURN_POINTER(result);
}

/*
 * sparsevec_to_TYPE(sparsevec, integer, boolean)
 */
VDB_FUNCTION(DENSE_JOIN(vecdb_sparsevec_to_, DENSE_NAME));

Datum
DENSE_JOIN(vecdb_sparsevec_to_, DENSE_NAME) (PG_FUNCTION_ARGS)
{
	VdbSparseVector *value = types_sparsevec_from_datum(PG_GETARG_DATUM(0));
	const float *values = VDB_SPARSEVEC_VALUES(value);
	DENSE_TYPE *result;

	types_check_dimensions(value->dim, DENSE_MAX_DIM, DENSE_STRING);
	types_check_expected(PG_GETARG_INT32(1), value->dim);

	result = DENSE_ROOM(create) (value->dim);
	for (int i = 0; i < value->nnz; i++)
	{
		int32		index = value->indices[i];

		if (unlikely(index < 0 || index >= value->dim))
			types_report_corrupt("sparsevec");
		/* cppcheck-suppress negativeIndex ; the report does not return */
		result->x[index] = DENSE_NARROW(values[i]);
	}
	PG_RETURN_POINTER(result);
}
