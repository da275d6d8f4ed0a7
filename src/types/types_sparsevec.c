/*-------------------------------------------------------------------------
 *
 * types_sparsevec.c
 *	  The type sparsevec: only elements that are not zero, with their places.
 *
 * In text places are counted from 1, in memory and in binary messages from
 * 0.  Text may list elements in any order and may list zeros, which are
 * dropped; all other sources must be in order and without zeros.
 *
 * IDENTIFICATION
 *	  src/types/types_sparsevec.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/shortest_dec.h"
#include "libpq/pqformat.h"
#include "utils/builtins.h"

#include "types_private.h"

#define SPARSEVEC_STRING	"sparsevec"
#define SPARSEVEC_SIZE(nnz) \
	(offsetof(VdbSparseVector, indices) + \
	 (sizeof(int32) + sizeof(float)) * (Size) (nnz))

StaticAssertDecl(offsetof(VdbSparseVector, indices) == 16,
				 "sparsevec has pgvector's layout");

/*
 * One element of a literal, before they are put in order.
 */
typedef struct SparseElement
{
	int32		index;			/* from 0 */
	float		value;
} SparseElement;

static int	scan_elements(TypesScanner *scanner, SparseElement *elements);
static bool scan_element(TypesScanner *scanner, SparseElement *element);
static int32 scan_dimensions(TypesScanner *scanner);
static int	compare_elements(const void *a, const void *b);

/*
 * types_sparsevec_create -- a new value, for the caller to fill in
 *
 * The caller has checked the numbers.
 */
VdbSparseVector *
types_sparsevec_create(int dim, int nnz)
{
	VdbSparseVector *result = palloc0(SPARSEVEC_SIZE(nnz));

	SET_VARSIZE(result, SPARSEVEC_SIZE(nnz));
	result->dim = dim;
	result->nnz = nnz;
	return result;
}

/*
 * types_sparsevec_from_datum -- a value in memory, whole and aligned
 *
 * See types_TYPE_from_datum() in types_dense_io.h.
 */
VdbSparseVector *
types_sparsevec_from_datum(Datum datum)
{
	VdbSparseVector *result = (VdbSparseVector *) PG_DETOAST_DATUM(datum);

	if (unlikely(VARSIZE(result) < SPARSEVEC_SIZE(0) || result->nnz < 0 ||
				 VARSIZE(result) != SPARSEVEC_SIZE(result->nnz)))
		types_report_corrupt(SPARSEVEC_STRING);
	return result;
}

/*
 * types_sparsevec_view -- the same value as the kernels want to see it
 */
VdbSparseView
types_sparsevec_view(const VdbSparseVector *value)
{
	VdbSparseView view;

	view.count = value->nnz;
	view.indices = value->indices;
	view.values = (const float *) (value->indices + value->nnz);
	return view;
}

/*
 * sparsevec_in(cstring, oid, integer) -- from text, {1:0.5,3:2}/5
 */
VDB_FUNCTION(vecdb_sparsevec_in);

Datum
vecdb_sparsevec_in(PG_FUNCTION_ARGS)
{
	TypesScanner scanner;
	SparseElement *elements;
	VdbSparseVector *result;
	float	   *values;
	int			capacity;
	int			nnz;
	int32		dim;

	types_scan_begin(&scanner, SPARSEVEC_STRING, PG_GETARG_CSTRING(0));
	capacity = types_scan_count(&scanner);
	if (capacity > VDB_SPARSEVEC_MAX_NNZ)
		types_check_nnz(capacity, capacity);
	elements = palloc(sizeof(SparseElement) * (Size) capacity);

	nnz = scan_elements(&scanner, elements);
	dim = scan_dimensions(&scanner);
	types_check_dimensions(dim, VDB_SPARSEVEC_MAX_DIM, SPARSEVEC_STRING);
	types_check_expected(PG_GETARG_INT32(2), dim);

	qsort(elements, (size_t) nnz, sizeof(SparseElement), compare_elements);
	result = types_sparsevec_create(dim, nnz);
	values = VDB_SPARSEVEC_VALUES(result);
	for (int i = 0; i < nnz; i++)
	{
		result->indices[i] = elements[i].index;
		values[i] = elements[i].value;
		types_check_index(result->indices, i, dim);
	}
	pfree(elements);
	PG_RETURN_POINTER(result);
}

/*
 * scan_elements -- read from { to }, and return how many are not zero
 *
 * There is room for one more element than the literal has commas.
 */
static int
scan_elements(TypesScanner *scanner, SparseElement *elements)
{
	int			count = 0;

	if (!types_scan_char(scanner, '{'))
		types_report_syntax(scanner,
							"Vector contents must start with \"{\".");
	if (types_scan_char(scanner, '}'))
		return 0;
	for (;;)
	{
		if (scan_element(scanner, &elements[count]))
			count++;
		if (types_scan_char(scanner, '}'))
			return count;
		if (!types_scan_char(scanner, ','))
			types_report_syntax(scanner, NULL);
	}
}

/*
 * scan_element -- read "index:value"; false when the value is zero
 */
static bool
scan_element(TypesScanner *scanner, SparseElement *element)
{
	element->index = types_scan_integer(scanner) - 1;
	if (!types_scan_char(scanner, ':'))
		types_report_syntax(scanner, NULL);

	element->value = types_scan_float(scanner);
	if (scanner->is_underflow)
		types_report_range(scanner);
	types_check_element(element->value, SPARSEVEC_STRING);
	return element->value != 0;
}

/*
 * scan_dimensions -- read what stands behind the braces
 */
static int32
scan_dimensions(TypesScanner *scanner)
{
	int32		result;

	if (!types_scan_char(scanner, '/'))
		types_report_syntax(scanner, "Unexpected end of input.");
	result = types_scan_integer(scanner);
	types_scan_end(scanner, "Junk after closing.");
	return result;
}

/*
 * compare_elements -- by index, for qsort
 */
static int
compare_elements(const void *a, const void *b)
{
	int32		x = ((const SparseElement *) a)->index;
	int32		y = ((const SparseElement *) b)->index;

	return (x > y) - (x < y);
}

/*
 * sparsevec_out(sparsevec) -- to text
 */
VDB_FUNCTION(vecdb_sparsevec_out);

Datum
vecdb_sparsevec_out(PG_FUNCTION_ARGS)
{
	VdbSparseVector *value = types_sparsevec_from_datum(PG_GETARG_DATUM(0));
	const float *values = VDB_SPARSEVEC_VALUES(value);
	char	   *result;
	char	   *at;

	/* an integer takes 11 bytes; besides there are colon, comma, {, }, / */
	result = palloc((Size) value->nnz * (11 + 2 + FLOAT_SHORTEST_DECIMAL_LEN)
					+ 11 + 4);
	at = result;
	*at++ = '{';
	for (int i = 0; i < value->nnz; i++)
	{
		if (i > 0)
			*at++ = ',';
		at += pg_ltoa(value->indices[i] + 1, at);
		*at++ = ':';
		at += float_to_shortest_decimal_bufn(values[i], at);
	}
	*at++ = '}';
	*at++ = '/';
	at += pg_ltoa(value->dim, at);
	*at = '\0';

	PG_FREE_IF_COPY(value, 0);
	PG_RETURN_CSTRING(result);
}

/*
 * sparsevec_typmod_in(cstring[]) -- the number in parentheses
 */
VDB_FUNCTION(vecdb_sparsevec_typmod_in);

Datum
vecdb_sparsevec_typmod_in(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(types_read_typmod(PG_GETARG_ARRAYTYPE_P(0),
									  SPARSEVEC_STRING,
									  VDB_SPARSEVEC_MAX_DIM));
}

/*
 * sparsevec_recv(internal, oid, integer) -- from a binary message
 */
VDB_FUNCTION(vecdb_sparsevec_recv);

Datum
vecdb_sparsevec_recv(PG_FUNCTION_ARGS)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	int32		dim = (int32) pq_getmsgint(buf, sizeof(int32));
	int32		nnz = (int32) pq_getmsgint(buf, sizeof(int32));
	int32		unused = (int32) pq_getmsgint(buf, sizeof(int32));
	VdbSparseVector *result;
	float	   *values;

	types_check_dimensions(dim, VDB_SPARSEVEC_MAX_DIM, SPARSEVEC_STRING);
	types_check_nnz(nnz, dim);
	types_check_expected(PG_GETARG_INT32(2), dim);
	types_check_unused(unused);

	result = types_sparsevec_create(dim, nnz);
	values = VDB_SPARSEVEC_VALUES(result);
	for (int i = 0; i < nnz; i++)
	{
		result->indices[i] = (int32) pq_getmsgint(buf, sizeof(int32));
		types_check_index(result->indices, i, dim);
	}
	for (int i = 0; i < nnz; i++)
	{
		values[i] = pq_getmsgfloat4(buf);
		types_check_element(values[i], SPARSEVEC_STRING);
		if (values[i] == 0)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_EXCEPTION),
					 errmsg("binary representation of sparsevec cannot contain zero values")));
	}
	PG_RETURN_POINTER(result);
}

/*
 * sparsevec_send(sparsevec) -- to a binary message
 */
VDB_FUNCTION(vecdb_sparsevec_send);

Datum
vecdb_sparsevec_send(PG_FUNCTION_ARGS)
{
	VdbSparseVector *value = types_sparsevec_from_datum(PG_GETARG_DATUM(0));
	const float *values = VDB_SPARSEVEC_VALUES(value);
	StringInfoData buf;

	pq_begintypsend(&buf);
	enlargeStringInfo(&buf, (int) SPARSEVEC_SIZE(value->nnz));
	pq_sendint32(&buf, (uint32) value->dim);
	pq_sendint32(&buf, (uint32) value->nnz);
	pq_sendint32(&buf, (uint32) value->unused);
	for (int i = 0; i < value->nnz; i++)
		pq_sendint32(&buf, (uint32) value->indices[i]);
	for (int i = 0; i < value->nnz; i++)
		pq_sendfloat4(&buf, values[i]);
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

/*
 * sparsevec(sparsevec, integer, boolean) -- check the type modifier
 */
VDB_FUNCTION(vecdb_sparsevec);

Datum
vecdb_sparsevec(PG_FUNCTION_ARGS)
{
	VdbSparseVector *value = types_sparsevec_from_datum(PG_GETARG_DATUM(0));

	types_check_expected(PG_GETARG_INT32(1), value->dim);
	PG_RETURN_POINTER(value);
}

/*
 * array_to_sparsevec(number[], integer, boolean) -- keep what is not zero
 */
VDB_FUNCTION(vecdb_array_to_sparsevec);

Datum
vecdb_array_to_sparsevec(PG_FUNCTION_ARGS)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(0);
	int			dim = types_array_length(array);
	VdbSparseVector *result;
	float	   *floats;
	float	   *values;
	int			nnz = 0;

	types_check_dimensions(dim, VDB_SPARSEVEC_MAX_DIM, SPARSEVEC_STRING);
	types_check_expected(PG_GETARG_INT32(1), dim);

	floats = palloc(sizeof(float) * (Size) dim);
	types_array_to_floats(array, dim, floats);
	for (int i = 0; i < dim; i++)
		nnz += (floats[i] != 0);
	types_check_nnz(nnz, dim);

	result = types_sparsevec_create(dim, nnz);
	values = VDB_SPARSEVEC_VALUES(result);
	nnz = 0;
	for (int i = 0; i < dim; i++)
	{
		if (floats[i] == 0)
			continue;
		types_check_element(floats[i], SPARSEVEC_STRING);
		result->indices[nnz] = i;
		values[nnz++] = floats[i];
	}
	pfree(floats);
	PG_RETURN_POINTER(result);
}
