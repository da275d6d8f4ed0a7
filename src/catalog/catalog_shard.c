/*-------------------------------------------------------------------------
 *
 * catalog_shard.c
 *	  From the distribution key of a row to its shard.
 *
 *	hash	the type's extended hash function with seed 0, of several columns
 *			combined by hash_combine64(), modulo the number of shards
 *	range	the shard whose low <= key < high
 *	list	the shard that has the key among its values, or else the one that
 *			takes all others
 *	custom	what the table's function returns
 *
 * Hash functions and their seed are PostgreSQL's own and do not depend on the
 * architecture but for byte order, so a filter of a publication can express a
 * shard, and all nodes agree.
 *
 * IDENTIFICATION
 *	  src/catalog/catalog_shard.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/regproc.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "catalog_private.h"

/* A shard of strategy range, or one value of one of strategy list */
typedef struct ShardValue
{
	int			shard;
	bool		has_low;
	bool		has_high;
	Datum		low;			/* or the value */
	Datum		high;
} ShardValue;

typedef struct VdbShardFunction
{
	MemoryContext context;
	const CatalogColocation *colocation;
	const char *custom;			/* name of the function, or NULL */
	bool		ready;			/* is what follows there? */

	Oid		   *collations;		/* by key column */
	FmgrInfo   *procs;			/* hash: by key column; range and list:
								 * comparison; custom: the function */
	ShardValue *values;			/* range and list: in the order of "low" */
	int			value_count;
	int			other_shard;	/* list: takes all other values, or -1 */
	uint64		read_at;		/* custom: of function_changes */
} VdbShardFunction;

/*
 * The number of times that a shard function may have been dropped or replaced,
 * and the hash values by which those that were looked up are told apart from
 * other functions
 */
static uint64 function_changes = 0;
static List *function_hashes = NIL;

static void prepare(const VdbTable *table);
static void prepare_hash(const VdbTable *table, VdbShardFunction *function);
static void prepare_values(const VdbTable *table, VdbShardFunction *function);
static void add_ranges(const VdbTable *table, VdbShardFunction *function);
static void add_lists(const VdbTable *table, VdbShardFunction *function);
static void prepare_custom(const VdbTable *table, VdbShardFunction *function);
static void watch_function(Oid proc);
static void note_function(Datum arg, int cache, uint32 hash);
static int	find_hash(const VdbTable *table, const Datum *values);
static int	find_value(const VdbTable *table, Datum key);
static int	call_custom(const VdbTable *table, const Datum *values);
static int	compare_keys(const VdbShardFunction *function, Datum a, Datum b);
static int	compare_values(const void *a, const void *b, void *arg);
static pg_noinline void refuse_null(const VdbTable *table, int key);
static pg_noinline void refuse_value(const VdbTable *table, Datum key);

VdbShardFunction *
catalog_make_function(const CatalogColocation *colocation, const char *custom)
{
	VdbShardFunction *function = palloc0(sizeof(VdbShardFunction));

	function->context = CurrentMemoryContext;
	function->colocation = colocation;
	function->custom = custom;
	return function;
}

int
vdb_catalog_shard(const VdbTable *table, const Datum *values,
				  const bool *nulls)
{
	int			shard = vdb_catalog_find_shard(table, values, nulls);

	if (unlikely(shard < 0))
		refuse_value(table, values[0]);
	return shard;
}

int
vdb_catalog_find_shard(const VdbTable *table, const Datum *values,
					   const bool *nulls)
{
	VdbShardFunction *function = table->function;

	Assert(table->kind == VDB_TABLE_DISTRIBUTED);
	for (int i = 0; i < table->key_count; i++)
	{
		if (unlikely(nulls[i]))
			refuse_null(table, i);
	}
	if (unlikely(!function->ready))
		prepare(table);

	switch (table->strategy)
	{
		case VDB_STRATEGY_HASH:
			return find_hash(table, values);
		case VDB_STRATEGY_RANGE:
		case VDB_STRATEGY_LIST:
			return find_value(table, values[0]);
		case VDB_STRATEGY_CUSTOM:
			return call_custom(table, values);
	}
	elog(ERROR, "strategy %d of table %u is out of range",
		 (int) table->strategy, table->relid);
}

/*
 * prepare -- look up all that is needed to find a shard
 *
 * After an error it is tried again the next time.
 */
static void
prepare(const VdbTable *table)
{
	VdbShardFunction *function = table->function;
	MemoryContext old = MemoryContextSwitchTo(function->context);

	function->collations = palloc(table->key_count * sizeof(Oid));
	for (int i = 0; i < table->key_count; i++)
	{
		Oid			type;
		int32		typmod;

		get_atttypetypmodcoll(table->relid, table->keys[i], &type, &typmod,
							  &function->collations[i]);
	}
	function->procs = palloc0(table->key_count * sizeof(FmgrInfo));

	switch (table->strategy)
	{
		case VDB_STRATEGY_HASH:
			prepare_hash(table, function);
			break;
		case VDB_STRATEGY_RANGE:
		case VDB_STRATEGY_LIST:
			prepare_values(table, function);
			break;
		case VDB_STRATEGY_CUSTOM:
			prepare_custom(table, function);
			break;
	}
	MemoryContextSwitchTo(old);
	function->ready = true;
}

static void
prepare_hash(const VdbTable *table, VdbShardFunction *function)
{
	for (int i = 0; i < table->key_count; i++)
	{
		Oid			type = getBaseType(table->key_types[i]);
		TypeCacheEntry *entry;

		entry = lookup_type_cache(type, TYPECACHE_HASH_EXTENDED_PROC_FINFO);
		if (!OidIsValid(entry->hash_extended_proc))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_FUNCTION),
					 errmsg("could not identify an extended hash function for type %s",
							format_type_be(type)),
					 errdetail("Column \"%s\" of table \"%s\" is in its distribution key.",
							   get_attname(table->relid, table->keys[i], false),
							   get_rel_name(table->relid))));
		fmgr_info_copy(&function->procs[i], &entry->hash_extended_proc_finfo,
					   function->context);
	}
}

/*
 * prepare_values -- bounds and values of strategies range and list, sorted
 */
static void
prepare_values(const VdbTable *table, VdbShardFunction *function)
{
	Oid			type = getBaseType(table->key_types[0]);
	TypeCacheEntry *entry = lookup_type_cache(type, TYPECACHE_CMP_PROC_FINFO);
	int			nest_level;

	if (!OidIsValid(entry->cmp_proc))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("could not identify a comparison function for type %s",
						format_type_be(type)),
				 errdetail("Column \"%s\" of table \"%s\" is its distribution key.",
						   get_attname(table->relid, table->keys[0], false),
						   get_rel_name(table->relid))));
	fmgr_info_copy(&function->procs[0], &entry->cmp_proc_finfo,
				   function->context);

	nest_level = NewGUCNestLevel();
	vdb_catalog_fix_settings();
	if (table->strategy == VDB_STRATEGY_RANGE)
		add_ranges(table, function);
	else
		add_lists(table, function);
	AtEOXact_GUC(true, nest_level);

	qsort_arg(function->values, function->value_count, sizeof(ShardValue),
			  compare_values, function);
}

static void
add_ranges(const VdbTable *table, VdbShardFunction *function)
{
	Oid			input;
	Oid			ioparam;

	getTypeInputInfo(table->key_types[0], &input, &ioparam);
	function->values = palloc0(table->shard_count * sizeof(ShardValue));
	function->value_count = table->shard_count;
	for (int i = 0; i < table->shard_count; i++)
	{
		const CatalogBound *bound = &function->colocation->bounds[i];
		ShardValue *value = &function->values[i];

		value->shard = i;
		value->has_low = bound->low != NULL;
		value->has_high = bound->high != NULL;
		if (value->has_low)
			value->low = OidInputFunctionCall(input, bound->low, ioparam, -1);
		if (value->has_high)
			value->high = OidInputFunctionCall(input, bound->high, ioparam,
											   -1);
	}
}

static void
add_lists(const VdbTable *table, VdbShardFunction *function)
{
	const CatalogBound *bounds = function->colocation->bounds;
	Oid			input;
	Oid			ioparam;
	int			count = 0;

	getTypeInputInfo(table->key_types[0], &input, &ioparam);
	for (int i = 0; i < table->shard_count; i++)
		count += bounds[i].value_count;
	function->values = palloc0(Max(count, 1) * sizeof(ShardValue));
	function->value_count = 0;
	function->other_shard = -1;
	for (int i = 0; i < table->shard_count; i++)
	{
		if (bounds[i].values == NULL)
		{
			function->other_shard = i;
			continue;
		}
		for (int j = 0; j < bounds[i].value_count; j++)
		{
			ShardValue *value = &function->values[function->value_count++];

			value->shard = i;
			value->has_low = true;
			value->low = OidInputFunctionCall(input, bounds[i].values[j],
											  ioparam, -1);
		}
	}
}

void
vdb_catalog_fix_settings(void)
{
	static const char *const settings[][2] = {
		{"DateStyle", "ISO, YMD"},
		{"IntervalStyle", "postgres"},
		{"TimeZone", "UTC"},
		{"extra_float_digits", "1"},
		{"lc_monetary", "C"}
	};

	for (int i = 0; i < lengthof(settings); i++)
		(void) set_config_option(settings[i][0], settings[i][1], PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
								 false);
}

/*
 * prepare_custom -- find the table's function by its name
 */
static void
prepare_custom(const VdbTable *table, VdbShardFunction *function)
{
	Oid			proc;
	Oid		   *types;
	int			type_count;
	bool		fits;

	function->read_at = function_changes;
	if (function->custom == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("table \"%s\" has no shard function, as its strategy wants",
						get_rel_name(table->relid)),
				 errhint("Correct shard_function in vecdb.catalog_table on all groups.")));
	proc = DatumGetObjectId(DirectFunctionCall1(regprocedurein,
												CStringGetDatum(function->custom)));
	watch_function(proc);
	(void) get_func_signature(proc, &types, &type_count);
	fits = type_count == table->key_count && !get_func_retset(proc) &&
		get_func_rettype(proc) == INT4OID;
	for (int i = 0; fits && i < type_count; i++)
		fits = IsBinaryCoercible(getBaseType(table->key_types[i]), types[i]);
	if (!fits)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
				 errmsg("function %s cannot be the shard function of table \"%s\"",
						function->custom, get_rel_name(table->relid)),
				 errdetail("It has to take the columns of the distribution key, in their types, and to return one integer.")));
	fmgr_info_cxt(proc, &function->procs[0], function->context);
}

/*
 * watch_function -- see to it that function_changes counts its changes
 *
 * Whoever calls this looks at the function afterwards.
 */
static void
watch_function(Oid proc)
{
	static bool registered = false;
	uint32		hash = GetSysCacheHashValue1(PROCOID,
											 ObjectIdGetDatum(proc));
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

	if (!registered)
	{
		CacheRegisterSyscacheCallback(PROCOID, note_function, (Datum) 0);
		registered = true;
	}
	function_hashes = list_append_unique_int(function_hashes, (int) hash);
	MemoryContextSwitchTo(old);
}

/* A function has changed, or all may have if "hash" is 0. */
static void
note_function(Datum arg, int cache, uint32 hash)
{
	if (hash == 0 || list_member_int(function_hashes, (int) hash))
		function_changes++;
}

static int
find_hash(const VdbTable *table, const Datum *values)
{
	VdbShardFunction *function = table->function;
	Datum		seed = UInt64GetDatum(0);
	uint64		hash;

	hash = DatumGetUInt64(FunctionCall2Coll(&function->procs[0],
											function->collations[0],
											values[0], seed));
	for (int i = 1; i < table->key_count; i++)
	{
		Datum		next = FunctionCall2Coll(&function->procs[i],
											 function->collations[i],
											 values[i], seed);

		hash = hash_combine64(hash, DatumGetUInt64(next));
	}
	return (int) (hash & (uint64) (table->shard_count - 1));
}

/*
 * find_value -- the shard of a key by strategy range or list, or -1
 */
static int
find_value(const VdbTable *table, Datum key)
{
	VdbShardFunction *function = table->function;
	const ShardValue *value;
	int			low = 0;
	int			high = function->value_count;

	/* find the first that begins after the key */
	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		value = &function->values[middle];
		if (!value->has_low || compare_keys(function, value->low, key) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low > 0)
	{
		value = &function->values[low - 1];
		if (table->strategy == VDB_STRATEGY_RANGE
			? !value->has_high || compare_keys(function, key, value->high) < 0
			: compare_keys(function, key, value->low) == 0)
			return value->shard;
	}
	if (table->strategy == VDB_STRATEGY_LIST && function->other_shard >= 0)
		return function->other_shard;
	return -1;
}

static int
call_custom(const VdbTable *table, const Datum *values)
{
	VdbShardFunction *function = table->function;

	LOCAL_FCINFO(fcinfo, FUNC_MAX_ARGS);
	Datum		result;

	if (function->read_at != function_changes)
	{
		MemoryContext old = MemoryContextSwitchTo(function->context);

		function->ready = false;
		prepare_custom(table, function);
		function->ready = true;
		MemoryContextSwitchTo(old);
	}

	InitFunctionCallInfoData(*fcinfo, &function->procs[0], table->key_count,
							 function->collations[0], NULL, NULL);
	for (int i = 0; i < table->key_count; i++)
	{
		fcinfo->args[i].value = values[i];
		fcinfo->args[i].isnull = false;
	}
	result = FunctionCallInvoke(fcinfo);
	if (fcinfo->isnull)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("shard function %s of table \"%s\" returned null",
						function->custom, get_rel_name(table->relid))));
	if (DatumGetInt32(result) < 0 ||
		DatumGetInt32(result) >= table->shard_count)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("shard function %s of table \"%s\" returned %d",
						function->custom, get_rel_name(table->relid),
						DatumGetInt32(result)),
				 errdetail("The table has the shards 0 to %d.",
						   table->shard_count - 1)));
	return DatumGetInt32(result);
}

static int
compare_keys(const VdbShardFunction *function, Datum a, Datum b)
{
	return DatumGetInt32(FunctionCall2Coll(&function->procs[0],
										   function->collations[0], a, b));
}

/*
 * compare_values -- by "low"; what has none is first
 */
static int
compare_values(const void *a, const void *b, void *arg)
{
	const ShardValue *left = a;
	const ShardValue *right = b;

	if (!left->has_low || !right->has_low)
		return (int) left->has_low - (int) right->has_low;
	return compare_keys(arg, left->low, right->low);
}

static void
refuse_null(const VdbTable *table, int key)
{
	ereport(ERROR,
			(errcode(ERRCODE_NOT_NULL_VIOLATION),
			 errmsg("null value in column \"%s\" of distributed table \"%s\"",
					get_attname(table->relid, table->keys[key], false),
					get_rel_name(table->relid)),
			 errdetail("The column is in the distribution key, which says where a row is stored.")));
}

static void
refuse_value(const VdbTable *table, Datum key)
{
	Oid			output;
	bool		is_varlena;

	getTypeOutputInfo(table->key_types[0], &output, &is_varlena);
	ereport(ERROR,
			(errcode(ERRCODE_CHECK_VIOLATION),
			 errmsg("no shard of table \"%s\" takes the row",
					get_rel_name(table->relid)),
			 errdetail("Its distribution key \"%s\" is %s.",
					   get_attname(table->relid, table->keys[0], false),
					   OidOutputFunctionCall(output, key))));
}
