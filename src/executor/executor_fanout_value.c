/*-------------------------------------------------------------------------
 *
 * executor_fanout_value.c
 *	  Values between nodes: parameters as sent, columns of results.
 *
 * A type travels in binary form if it has send and receive functions and its
 * binary form has no OIDs of users' types in it, which differ from node to
 * node: arrays, composites and ranges of such types travel as text.
 *
 * IDENTIFICATION
 *	  src/executor/executor_fanout_value.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/float.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "vecdb/executor.h"
#include "executor_private.h"

static Datum receive_value(const ExecutorColumns *columns, int column,
						   char *data, int length);

/* vdb_executor_type_is_binary -- see vecdb/executor.h */
bool
vdb_executor_type_is_binary(Oid type)
{
	HeapTuple	tuple;
	Form_pg_type form;
	bool		result;

	/* send and receive functions convert from and to the client's encoding */
	if (pg_get_client_encoding() != GetDatabaseEncoding())
		return false;

	type = getBaseType(type);
	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for type %u", type);
	form = (Form_pg_type) GETSTRUCT(tuple);

	result = OidIsValid(form->typsend) && OidIsValid(form->typreceive);
	if (form->typtype == TYPTYPE_COMPOSITE || form->typtype == TYPTYPE_PSEUDO)
		result = false;
	else if (form->typtype != TYPTYPE_BASE && form->typtype != TYPTYPE_ENUM &&
			 type >= FirstNormalObjectId)
		result = false;
	else if (OidIsValid(form->typelem) && form->typlen == -1 &&
			 (form->typelem >= FirstNormalObjectId ||
			  !vdb_executor_type_is_binary(form->typelem)))
		result = false;
	else if (type == RECORDARRAYOID)
		result = false;
	/* names of objects, whose numbers differ from node to node */
	else if (TypeCategory(type) == TYPCATEGORY_NUMERIC &&
			 form->typlen == sizeof(Oid) && form->typbyval &&
			 type != INT4OID && type != FLOAT4OID && type != OIDOID)
		result = false;
	ReleaseSysCache(tuple);
	return result;
}

/*
 * executor_begin_text -- print values for other groups to store
 *
 * With all digits, of which extra_float_digits may leave some out: the own
 * group stores the value as it is.  Returns what executor_end_text() takes; an
 * error ends it as well.
 */
int
executor_begin_text(void)
{
	int			nest_level;

	if (extra_float_digits >= 1)
		return 0;
	nest_level = NewGUCNestLevel();
	(void) set_config_option("extra_float_digits", "1", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	return nest_level;
}

/* executor_end_text -- print values as the session wants them again */
void
executor_end_text(int nest_level)
{
	if (nest_level > 0)
		AtEOXact_GUC(true, nest_level);
}

/*
 * executor_params_create -- parameters of a statement, from expressions
 *
 * Allocated in the current memory context.
 */
ExecutorParams *
executor_params_create(List *exprs, int count, PlanState *parent)
{
	ExecutorParams *params =
	(ExecutorParams *) palloc0(sizeof(ExecutorParams));
	int			total = list_length(exprs);
	ListCell   *cell;

	params->count = count;
	params->total = total;
	params->states = ExecInitExprList(exprs, parent);
	params->types = palloc(total * sizeof(Oid));
	params->output = palloc(total * sizeof(FmgrInfo));
	params->formats = palloc(total * sizeof(int));
	params->datums = palloc0(total * sizeof(Datum));
	params->nulls = palloc0(total * sizeof(bool));
	params->values = palloc0(total * sizeof(char *));
	params->lengths = palloc0(total * sizeof(int));
	params->context = AllocSetContextCreate(CurrentMemoryContext,
											"parameters of shard statement",
											ALLOCSET_SMALL_SIZES);
	foreach(cell, exprs)
	{
		int			i = foreach_current_index(cell);
		Oid			function;
		bool		varlena;

		params->types[i] = exprType((Node *) lfirst(cell));
		params->formats[i] = vdb_executor_type_is_binary(params->types[i]) ? 1 : 0;
		if (i >= count)
			continue;
		if (params->formats[i])
			getTypeBinaryOutputInfo(params->types[i], &function, &varlena);
		else
			getTypeOutputInfo(params->types[i], &function, &varlena);
		fmgr_info(function, &params->output[i]);
	}
	return params;
}

/*
 * executor_params_evaluate -- compute the values for an execution
 *
 * Those of the one before are forgotten.
 */
void
executor_params_evaluate(ExecutorParams *params, ExprContext *econtext)
{
	MemoryContext old;
	ListCell   *cell;

	MemoryContextReset(params->context);
	ResetExprContext(econtext);
	foreach(cell, params->states)
	{
		int			i = foreach_current_index(cell);
		Datum		value;
		int16		length;
		bool		byval;

		value = ExecEvalExprSwitchContext((ExprState *) lfirst(cell),
										  econtext, &params->nulls[i]);
		old = MemoryContextSwitchTo(params->context);
		get_typlenbyval(params->types[i], &length, &byval);
		params->datums[i] = params->nulls[i] ? (Datum) 0 :
			datumCopy(value, byval, length);
		MemoryContextSwitchTo(old);
		params->values[i] = NULL;
		params->lengths[i] = 0;
	}
}

/*
 * executor_params_encode -- make of the values what is sent
 */
void
executor_params_encode(ExecutorParams *params)
{
	MemoryContext old = MemoryContextSwitchTo(params->context);
	int			nest_level = executor_begin_text();

	for (int i = 0; i < params->count; i++)
	{
		if (params->nulls[i])
			params->values[i] = NULL;
		else if (params->formats[i])
		{
			bytea	   *bytes = SendFunctionCall(&params->output[i],
												 params->datums[i]);

			params->values[i] = VARDATA(bytes);
			params->lengths[i] = VARSIZE(bytes) - VARHDRSZ;
		}
		else
		{
			params->values[i] = OutputFunctionCall(&params->output[i],
												   params->datums[i]);
			params->lengths[i] = (int) strlen(params->values[i]);
		}
	}
	executor_end_text(nest_level);
	MemoryContextSwitchTo(old);
}

/*
 * executor_columns_create -- how to read rows of a descriptor
 *
 * A result is in binary form if all of its columns can be.
 */
ExecutorColumns *
executor_columns_create(TupleDesc desc)
{
	ExecutorColumns *columns =
	(ExecutorColumns *) palloc0(sizeof(ExecutorColumns));

	columns->desc = desc;
	columns->binary = true;
	for (int i = 0; i < desc->natts && columns->binary; i++)
		columns->binary =
			vdb_executor_type_is_binary(TupleDescAttr(desc, i)->atttypid);

	columns->input = palloc(desc->natts * sizeof(FmgrInfo));
	columns->ioparams = palloc(desc->natts * sizeof(Oid));
	columns->typmods = palloc(desc->natts * sizeof(int));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);
		Oid			function;

		if (columns->binary)
			getTypeBinaryInputInfo(attribute->atttypid, &function,
								   &columns->ioparams[i]);
		else
			getTypeInputInfo(attribute->atttypid, &function,
							 &columns->ioparams[i]);
		fmgr_info(function, &columns->input[i]);
		/* the other node has seen to lengths */
		columns->typmods[i] = -1;
	}
	return columns;
}

/*
 * executor_columns_decode -- the values of a row of a result
 *
 * Allocated in the current memory context.
 */
void
executor_columns_decode(const ExecutorColumns *columns,
						const PGresult *result, int row, Datum *values,
						bool *nulls)
{
	int			count = columns->desc->natts;

	if (PQnfields(result) != count)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_ERROR),
				 errmsg("another node returned rows of %d columns instead of %d",
						PQnfields(result), count),
				 errhint("The table may have other columns there.")));

	for (int i = 0; i < count; i++)
	{
		nulls[i] = PQgetisnull(result, row, i) != 0;
		if (nulls[i])
			values[i] = (Datum) 0;
		else
			values[i] = receive_value(columns, i, PQgetvalue(result, row, i),
									  PQgetlength(result, row, i));
	}
}

/* A value from what was received; null has been dealt with. */
static Datum
receive_value(const ExecutorColumns *columns, int column, char *data,
			  int length)
{
	StringInfoData buffer;
	Datum		value;

	if (!columns->binary)
		return InputFunctionCall(&columns->input[column], data,
								 columns->ioparams[column],
								 columns->typmods[column]);

	/* libpq puts a zero byte behind each value, as StringInfo wants it */
	buffer.data = data;
	buffer.len = length;
	buffer.maxlen = length + 1;
	buffer.cursor = 0;
	value = ReceiveFunctionCall(&columns->input[column], &buffer,
								columns->ioparams[column],
								columns->typmods[column]);
	if (buffer.cursor != buffer.len)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("incorrect binary data format from another node in column %d",
						column + 1),
				 errhint("The nodes may have different versions of PostgreSQL, or of the extension that type %s is from.",
						 format_type_be(TupleDescAttr(columns->desc,
													  column)->atttypid))));
	return value;
}
