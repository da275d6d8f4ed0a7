/*-------------------------------------------------------------------------
 *
 * catalog_sql.c
 *	  SQL functions that ask or announce a change of the catalog.
 *
 * IDENTIFICATION
 *	  src/catalog/catalog_sql.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "parser/parse_coerce.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/uuid.h"

#include "vecdb/lib_compat.h"

#include "catalog_private.h"

VDB_FUNCTION(vecdb_catalog_changed);
VDB_FUNCTION(vecdb_cluster_id);
VDB_FUNCTION(vecdb_local_group);
VDB_FUNCTION(vecdb_database_id);
VDB_FUNCTION(vecdb_is_internal);
VDB_FUNCTION(vecdb_shard_of);
VDB_FUNCTION(vecdb_group_of);
VDB_FUNCTION(vecdb_check_group);
VDB_FUNCTION(vecdb_plan_placement);

static void invalidate_named(HeapTuple row, TupleDesc desc);
static const VdbTable *shard_argument(FunctionCallInfo fcinfo, int *shard);
static Datum coerce_key(Datum value, Oid from, Oid to);
static int *groups_argument(ArrayType *array, int *count);

/*
 * vecdb_catalog_changed -- trigger: all backends read the catalog anew
 *
 * They do so once this transaction has committed; this one does after the
 * command.  For a row of catalog_table, plans of that table are made anew.
 */
Datum
vecdb_catalog_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	Oid			namespace;
	Oid			relid;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function vecdb.catalog_changed() can be called by a trigger only")));

	if (TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
	{
		TupleDesc	desc = RelationGetDescr(trigger->tg_relation);

		invalidate_named(trigger->tg_trigtuple, desc);
		if (trigger->tg_newtuple != NULL)
			invalidate_named(trigger->tg_newtuple, desc);
		return PointerGetDatum(NULL);
	}

	namespace = RelationGetNamespace(trigger->tg_relation);
	relid = get_relname_relid("catalog_cluster", namespace);
	if (OidIsValid(relid))
		CacheInvalidateRelcacheByRelid(relid);
	return PointerGetDatum(NULL);
}

/*
 * invalidate_named -- invalidate the table that a row of catalog_table names,
 * if it is there
 */
static void
invalidate_named(HeapTuple row, TupleDesc desc)
{
	bool		isnull;
	Name		schema;
	Name		table;
	Oid			namespace;
	Oid			relid;

	schema = DatumGetName(heap_getattr(row, TABLE_SCHEMA, desc, &isnull));
	table = DatumGetName(heap_getattr(row, TABLE_NAME, desc, &isnull));
	namespace = get_namespace_oid(NameStr(*schema), true);
	if (!OidIsValid(namespace))
		return;
	relid = get_relname_relid(NameStr(*table), namespace);
	if (OidIsValid(relid))
		CacheInvalidateRelcacheByRelid(relid);
}

Datum
vecdb_cluster_id(PG_FUNCTION_ARGS)
{
	const VdbCluster *cluster = vdb_catalog_cluster();
	pg_uuid_t  *id;

	if (cluster == NULL)
		PG_RETURN_NULL();
	id = palloc(sizeof(pg_uuid_t));
	*id = cluster->id;
	PG_RETURN_UUID_P(id);
}

Datum
vecdb_local_group(PG_FUNCTION_ARGS)
{
	const VdbCluster *cluster = vdb_catalog_cluster();

	if (cluster == NULL)
		PG_RETURN_NULL();
	PG_RETURN_INT32(cluster->local_group);
}

Datum
vecdb_database_id(PG_FUNCTION_ARGS)
{
	PG_RETURN_OID(MyDatabaseId);
}

Datum
vecdb_is_internal(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(catalog_is_internal());
}

Datum
vecdb_shard_of(PG_FUNCTION_ARGS)
{
	int			shard;

	if (shard_argument(fcinfo, &shard) == NULL)
		PG_RETURN_NULL();
	PG_RETURN_INT32(shard);
}

Datum
vecdb_group_of(PG_FUNCTION_ARGS)
{
	int			shard;
	const VdbTable *table = shard_argument(fcinfo, &shard);

	if (table == NULL)
		PG_RETURN_NULL();
	PG_RETURN_INT32(table->shard_groups[shard]);
}

/*
 * vecdb_check_group -- an ERROR if a row is not one of the own group
 *
 * The planner has it called for rows that triggers and functions write.
 */
Datum
vecdb_check_group(PG_FUNCTION_ARGS)
{
	int			shard;
	const VdbTable *table = shard_argument(fcinfo, &shard);
	int			group = table ? table->shard_groups[shard] : 0;

	if (table != NULL && group != vdb_catalog_cluster()->local_group)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a trigger cannot insert a row of group %d into distributed table \"%s\"",
						group, get_rel_name(table->relid)),
				 errdetail("Triggers and functions in UPDATE are called in the group of the row that they are for, and write rows of this group only."),
				 errhint("Colocate the tables, and insert rows with the same distribution key.")));
	PG_RETURN_BOOL(true);
}

/*
 * shard_argument -- the table and the shard that (table, VARIADIC key) means
 *
 * Returns NULL when the table or the whole key is null.  Values are cast to the
 * types of the columns as in an assignment.
 */
static const VdbTable *
shard_argument(FunctionCallInfo fcinfo, int *shard)
{
	const VdbTable *table;
	Datum	   *values;
	Oid		   *types;
	bool	   *nulls;
	int			count;

	if (PG_ARGISNULL(0))
		return NULL;
	table = vdb_catalog_table(PG_GETARG_OID(0));
	if (table == NULL || table->kind != VDB_TABLE_DISTRIBUTED)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("table %s is not distributed",
						DatumGetCString(DirectFunctionCall1(regclassout,
															PG_GETARG_DATUM(0))))));

	count = extract_variadic_args(fcinfo, 1, true, &values, &types, &nulls);
	if (count < 0)
		return NULL;
	if (count != table->key_count)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("wrong number of values for the distribution key of table %s",
						DatumGetCString(DirectFunctionCall1(regclassout,
															PG_GETARG_DATUM(0)))),
				 errdetail("Values: %d, columns in the key: %d.", count,
						   table->key_count)));
	for (int i = 0; i < count; i++)
	{
		if (!nulls[i])
			values[i] = coerce_key(values[i], types[i], table->key_types[i]);
	}
	*shard = vdb_catalog_shard(table, values, nulls);
	return table;
}

/*
 * coerce_key -- a value in the type of a key column
 *
 * By the cast that an assignment takes; if it takes none, by text.
 */
static Datum
coerce_key(Datum value, Oid from, Oid to)
{
	Oid			target = getBaseType(to);
	Oid			source = getBaseType(from);
	Oid			cast;
	Oid			output;
	Oid			input;
	Oid			ioparam;
	bool		is_varlena;

	if (source == target)
		return value;
	switch (find_coercion_pathway(target, source, COERCION_ASSIGNMENT, &cast))
	{
		case COERCION_PATH_RELABELTYPE:
			return value;
		case COERCION_PATH_FUNC:
			if (get_func_nargs(cast) == 1)
				return OidFunctionCall1Coll(cast, DEFAULT_COLLATION_OID, value);
			return OidFunctionCall3Coll(cast, DEFAULT_COLLATION_OID, value,
										Int32GetDatum(-1), BoolGetDatum(false));
		default:
			getTypeOutputInfo(source, &output, &is_varlena);
			getTypeInputInfo(target, &input, &ioparam);
			return OidInputFunctionCall(input,
										OidOutputFunctionCall(output, value),
										ioparam, -1);
	}
}

Datum
vecdb_plan_placement(PG_FUNCTION_ARGS)
{
	int			shard_count;
	int		   *groups;
	int			group_count;
	int		   *owners;
	Datum	   *result;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	shard_count = PG_GETARG_INT32(0);
	if (shard_count < 1 || shard_count > VDB_MAX_SHARD_COUNT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("shard count must be between 1 and %d",
						VDB_MAX_SHARD_COUNT)));
	groups = groups_argument(PG_GETARG_ARRAYTYPE_P(1), &group_count);
	if (PG_ARGISNULL(2))
		owners = vdb_catalog_place(shard_count, groups, group_count);
	else
	{
		int			count;
		int		   *current = groups_argument(PG_GETARG_ARRAYTYPE_P(2), &count);

		if (count != shard_count)
			ereport(ERROR,
					(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
					 errmsg("%d groups are given for %d shards", count,
							shard_count)));
		owners = vdb_catalog_adjust(shard_count, current, groups, group_count);
	}

	result = palloc(shard_count * sizeof(Datum));
	for (int i = 0; i < shard_count; i++)
		result[i] = Int32GetDatum(owners[i]);
	PG_RETURN_ARRAYTYPE_P(construct_array(result, shard_count, INT4OID,
										  sizeof(int32), true, TYPALIGN_INT));
}

/*
 * groups_argument -- the members of an int[]
 */
static int *
groups_argument(ArrayType *array, int *count)
{
	if (ARR_NDIM(array) > 1 || array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("groups must be an array of one dimension without nulls")));
	*count = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	return (int *) ARR_DATA_PTR(array);
}
