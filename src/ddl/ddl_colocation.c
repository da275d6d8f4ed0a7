/*-------------------------------------------------------------------------
 *
 * ddl_colocation.c
 *	  How the key of a table is cut into shards: as that of another table, or
 *	  by strategy, number and bounds, which are written into the catalog.
 *
 * Bounds are read as the session writes dates and the like, but written into
 * the catalog in one form, which all sessions of all nodes read alike
 * (vdb_catalog_fix_settings()).
 *
 * IDENTIFICATION
 *	  src/ddl/ddl_colocation.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/typcache.h"

#include "ddl_private.h"

/* Where bounds, or the values of shards, are checked and written */
typedef struct BoundType
{
	Oid			type;			/* of the column of the key */
	Oid			collation;
	FmgrInfo   *compare;
	Datum	   *values;			/* all of them, as far as they are known */
	int			count;
	bool		has_rest;		/* is there a shard for all other values? */
} BoundType;

static int	join_colocation(Relation rel, DdlWish *wish);
static bool has_same_key(Relation rel, List *key, const VdbTable *other);
static int	new_colocation(Relation rel, DdlWish *wish);
static void check_counts(const DdlWish *wish, List *bounds);
static char *shard_rows(int colocation, Relation rel, DdlWish *wish);
static char *range_columns(BoundType *type, List *bounds, int shard);
static char *list_columns(BoundType *type, char *bound);
static void make_bound_type(BoundType *type, Relation rel, DdlWish *wish);
static char *make_bound(BoundType *type, const char *text);
static void check_order(const BoundType *type, const char *text);
static void check_unique(const BoundType *type, const char *text);
static char *write_value(Oid type, Datum value);
static void check_function(DdlWish *wish);
static char *type_array(Relation rel, List *key);

void
ddl_check_wish(DdlWish *wish)
{
	static const char *const strategies[] = {"hash", "range", "list", "custom"};
	const VdbTable *other;
	bool		known = false;

	if (OidIsValid(wish->colocate_with))
	{
		if (wish->strategy != NULL || wish->shard_count != 0 ||
			wish->bounds != NULL || OidIsValid(wish->function))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("colocate_with cannot be combined with strategy, shard_count, bounds or shard_function"),
					 errdetail("Colocated tables share their shards.")));
		other = vdb_catalog_table(wish->colocate_with);
		if (other == NULL || other->kind != VDB_TABLE_DISTRIBUTED)
			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 errmsg("table \"%s\" is not distributed",
							get_rel_name(wish->colocate_with)),
					 errhint("Distribute it first.")));
		wish->strategy = pstrdup(strategies[other->strategy]);
		return;
	}

	if (wish->strategy == NULL)
		wish->strategy = "hash";
	for (int i = 0; i < lengthof(strategies); i++)
		known |= strcmp(wish->strategy, strategies[i]) == 0;
	if (!known)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("strategy \"%s\" does not exist", wish->strategy),
				 errhint("Strategies are hash, range, list and custom.")));
	check_function(wish);
}

int
ddl_choose_colocation(Relation rel, DdlWish *wish)
{
	if (OidIsValid(wish->colocate_with))
		return join_colocation(rel, wish);
	return new_colocation(rel, wish);
}

/*
 * join_colocation -- be cut as another table is
 *
 * A function that chooses shards is that of the other table, and so is in all
 * groups.
 */
static int
join_colocation(Relation rel, DdlWish *wish)
{
	const VdbTable *other = vdb_catalog_table(wish->colocate_with);
	Oid			schema = get_rel_namespace(wish->colocate_with);

	if (!has_same_key(rel, wish->key, other))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("table \"%s\" cannot be colocated with \"%s\"",
						RelationGetRelationName(rel),
						get_rel_name(wish->colocate_with)),
				 errdetail("Their distribution keys differ in number, types or collations of columns."),
				 errhint("Name a key with the same types and collations.")));
	wish->function_name =
		ddl_value(psprintf("SELECT shard_function FROM vecdb.catalog_table"
						   " WHERE schema_name = %s AND table_name = %s",
						   quote_literal_cstr(get_namespace_name(schema)),
						   quote_literal_cstr(get_rel_name(wish->colocate_with))));
	return other->colocation;
}

/*
 * has_same_key -- do equal keys of both tables have the same shard?
 */
static bool
has_same_key(Relation rel, List *key, const VdbTable *other)
{
	ListCell   *cell;
	int			i = 0;

	if (list_length(key) != other->key_count)
		return false;
	foreach(cell, key)
	{
		Oid			types[2];
		Oid			collations[2];
		int32		typmod;

		get_atttypetypmodcoll(RelationGetRelid(rel),
							  get_attnum(RelationGetRelid(rel), lfirst(cell)),
							  &types[0], &typmod, &collations[0]);
		get_atttypetypmodcoll(other->relid, other->keys[i++],
							  &types[1], &typmod, &collations[1]);
		if (types[0] != types[1] || collations[0] != collations[1])
			return false;
	}
	return true;
}

/*
 * new_colocation -- write a new row, and one for each shard
 */
static int
new_colocation(Relation rel, DdlWish *wish)
{
	int			id;
	char	   *shards;

	id = atoi(ddl_value("SELECT next_colocation_id FROM vecdb.catalog_cluster"));
	ddl_everywhere("UPDATE vecdb.catalog_cluster"
				   " SET next_colocation_id = next_colocation_id + 1");
	shards = shard_rows(id, rel, wish);
	ddl_everywhere(psprintf("INSERT INTO vecdb.catalog_colocation"
							" (colocation_id, strategy, shard_count, key_types)"
							" VALUES (%d, %s, %d, %s)", id,
							quote_literal_cstr(wish->strategy),
							wish->shard_count, type_array(rel, wish->key)));
	ddl_everywhere(shards);
	return id;
}

/*
 * check_counts -- are there as many columns, bounds and shards as the strategy
 * wants?
 */
static void
check_counts(const DdlWish *wish, List *bounds)
{
	bool		by_value = strcmp(wish->strategy, "range") == 0 ||
	strcmp(wish->strategy, "list") == 0;

	if (by_value && (bounds == NIL || list_length(wish->key) != 1 ||
					 wish->shard_count != 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("strategy %s takes one column and bounds, and no shard_count",
						wish->strategy),
				 errhint("Bounds are an array: the first value of each shard but the first for range, a literal '{value,...}' of the values of each shard for list.")));
	if (!by_value && bounds != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("strategy %s takes no bounds", wish->strategy)));
}

/*
 * shard_rows -- the INSERT for the shards of a new colocation
 *
 * Sets wish->shard_count.
 */
static char *
shard_rows(int colocation, Relation rel, DdlWish *wish)
{
	const VdbCluster *cluster = vdb_catalog_cluster();
	List	   *bounds = wish->bounds ? ddl_text_members(wish->bounds) : NIL;
	bool		range = strcmp(wish->strategy, "range") == 0;
	bool		list = strcmp(wish->strategy, "list") == 0;
	int		   *groups = palloc(cluster->group_count * sizeof(int));
	int		   *owners;
	BoundType	type = {0};
	StringInfoData text;

	check_counts(wish, bounds);
	if (range || list)
	{
		wish->shard_count = list_length(bounds) + (range ? 1 : 0);
		make_bound_type(&type, rel, wish);
	}
	else if (wish->shard_count == 0)
		wish->shard_count = VDB_DEFAULT_SHARD_COUNT;
	if (wish->shard_count < 1 || wish->shard_count > VDB_MAX_SHARD_COUNT ||
		(strcmp(wish->strategy, "hash") == 0 &&
		 (wish->shard_count & (wish->shard_count - 1)) != 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("shard_count cannot be %d", wish->shard_count),
				 errhint("It is from 1 to %d, and a power of two with strategy hash.",
						 VDB_MAX_SHARD_COUNT)));

	for (int i = 0; i < cluster->group_count; i++)
		groups[i] = cluster->groups[i].id;
	owners = vdb_catalog_place(wish->shard_count, groups,
							   cluster->group_count);
	initStringInfo(&text);
	appendStringInfoString(&text, "INSERT INTO vecdb.catalog_shard"
						   " (colocation_id, shard, group_id, low, high,"
						   " list_values) VALUES ");
	for (int i = 0; i < wish->shard_count; i++)
		appendStringInfo(&text, "%s(%d, %d, %d, %s)", i > 0 ? ", " : "",
						 colocation, i, owners[i],
						 range ? range_columns(&type, bounds, i) :
						 list ? list_columns(&type, list_nth(bounds, i)) :
						 "NULL, NULL, NULL");
	return text.data;
}

/*
 * make_bound_type -- what is needed to read and compare bounds
 *
 * check_key() has seen that there is an order.  There may be as many values as
 * the text has characters.
 */
static void
make_bound_type(BoundType *type, Relation rel, DdlWish *wish)
{
	AttrNumber	number = get_attnum(RelationGetRelid(rel),
									linitial(wish->key));
	int32		typmod;
	TypeCacheEntry *entry;

	get_atttypetypmodcoll(RelationGetRelid(rel), number, &type->type, &typmod,
						  &type->collation);
	entry = lookup_type_cache(getBaseType(type->type),
							  TYPECACHE_CMP_PROC_FINFO);
	type->compare = &entry->cmp_proc_finfo;
	type->values = palloc(VARSIZE(wish->bounds) * sizeof(Datum));
}

/*
 * range_columns -- low, high and list_values of a shard of strategy range
 */
static char *
range_columns(BoundType *type, List *bounds, int shard)
{
	char	   *low = "NULL";

	if (shard > 0)
		low = write_value(type->type, type->values[shard - 1]);
	if (shard == list_length(bounds))
		return psprintf("%s, NULL, NULL", low);
	return psprintf("%s, %s, NULL", low,
					make_bound(type, list_nth(bounds, shard)));
}

/*
 * make_bound -- the next bound of strategy range as a literal
 */
static char *
make_bound(BoundType *type, const char *text)
{
	Oid			function;
	Oid			parameter;

	if (text == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("bounds must not be null")));
	getTypeInputInfo(type->type, &function, &parameter);
	type->values[type->count++] = OidInputFunctionCall(function, pstrdup(text),
													   parameter, -1);
	check_order(type, text);
	return write_value(type->type, type->values[type->count - 1]);
}

/*
 * check_order -- an ERROR if the last bound is not above the one before
 */
static void
check_order(const BoundType *type, const char *text)
{
	if (type->count > 1 &&
		DatumGetInt32(FunctionCall2Coll(type->compare, type->collation,
										type->values[type->count - 2],
										type->values[type->count - 1])) >= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("bounds must be in ascending order, each of them once"),
				 errdetail("Bound number %d, \"%s\", is not above the one before it.",
						   type->count, text)));
}

/*
 * list_columns -- low, high and list_values of a shard of strategy list
 *
 * NULL is the shard that takes what no other takes.
 */
static char *
list_columns(BoundType *type, char *bound)
{
	Oid			array = get_array_type(type->type);
	Oid			function;
	Oid			parameter;
	ArrayType  *values;
	ArrayIterator iterator;
	Datum		value;
	bool		isnull;
	StringInfoData text;

	if (bound == NULL)
	{
		if (type->has_rest)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("only one shard can take all other values")));
		type->has_rest = true;
		return "NULL, NULL, NULL";
	}
	if (!OidIsValid(array))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the type of the distribution key has no arrays")));
	getTypeInputInfo(array, &function, &parameter);
	values = DatumGetArrayTypeP(OidInputFunctionCall(function, pstrdup(bound),
													 parameter, -1));
	initStringInfo(&text);
	iterator = array_create_iterator(values, 0, NULL);
	while (array_iterate(iterator, &value, &isnull))
	{
		if (isnull)
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("values of a shard must not be null")));
		type->values[type->count++] = value;
		check_unique(type, bound);
		appendStringInfo(&text, "%s%s", text.len > 0 ? ", " : "",
						 write_value(type->type, value));
	}
	return psprintf("NULL, NULL, ARRAY[%s]::text[]", text.data);
}

/*
 * check_unique -- an ERROR if the last value was there before
 */
static void
check_unique(const BoundType *type, const char *text)
{
	for (int i = 0; i < type->count - 1; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (DatumGetInt32(FunctionCall2Coll(type->compare, type->collation,
											type->values[i],
											type->values[type->count - 1])) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("each value can be of one shard only"),
					 errdetail("A value of %s is there twice.", text)));
	}
}

/*
 * write_value -- as a literal that each session reads alike
 */
static char *
write_value(Oid type, Datum value)
{
	int			level = NewGUCNestLevel();
	Oid			function;
	bool		varlena;
	char	   *text;

	vdb_catalog_fix_settings();
	getTypeOutputInfo(type, &function, &varlena);
	text = OidOutputFunctionCall(function, value);

	AtEOXact_GUC(true, level);
	return quote_literal_cstr(text);
}

List *
ddl_text_members(ArrayType *array)
{
	Datum	   *members;
	bool	   *nulls;
	int			count;
	List	   *list = NIL;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &members,
					  &nulls, &count);
	for (int i = 0; i < count; i++)
		list = lappend(list, nulls[i] ? NULL :
					   TextDatumGetCString(members[i]));
	return list;
}

/*
 * check_function -- strategy custom, and no other, takes a function
 *
 * It has to exist in the other groups as well, and is made there, since
 * pg_depend does not connect it with the table.
 */
static void
check_function(DdlWish *wish)
{
	bool		custom = strcmp(wish->strategy, "custom") == 0;
	DdlUser		user;

	if (!custom || !OidIsValid(wish->function))
	{
		if (custom || OidIsValid(wish->function))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("strategy custom, and no other, takes a shard_function")));
		return;
	}
	if (get_func_rettype(wish->function) != INT4OID ||
		func_volatile(wish->function) != PROVOLATILE_IMMUTABLE ||
		get_func_nargs(wish->function) != list_length(wish->key))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
				 errmsg("function %s cannot choose shards",
						format_procedure(wish->function)),
				 errdetail("It has to be immutable, return integer, and take the columns of the key.")));
	ddl_become_superuser(&user);
	wish->function_name = format_procedure_qualified(wish->function);
	ddl_elsewhere(ddl_describe_function(wish->function));
	ddl_become_user(&user);
}

/*
 * type_array -- the types of the columns, by full names
 */
static char *
type_array(Relation rel, List *key)
{
	StringInfoData text;
	ListCell   *cell;

	initStringInfo(&text);
	foreach(cell, key)
	{
		Oid			type = get_atttype(RelationGetRelid(rel),
									   get_attnum(RelationGetRelid(rel),
												  lfirst(cell)));

		appendStringInfo(&text, "%s%s", text.len > 0 ? ", " : "",
						 quote_literal_cstr(format_type_be_qualified(type)));
	}
	return psprintf("ARRAY[%s]::text[]", text.data);
}
