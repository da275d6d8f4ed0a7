/*-------------------------------------------------------------------------
 *
 * planner_key.c
 *	  Values of a distribution key, and the groups that they belong to.
 *
 * IDENTIFICATION
 *	  src/planner/planner_key.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "planner_private.h"

static Node *find_key_value(List *quals, List *variables, Oid type,
							Relids relids);
static Node *match_clause(Node *clause, List *variables, Oid type,
						  Relids relids);

/*
 * planner_prune -- the groups that hold the rows that quals let through
 *
 * Keys are as in PlannerShard.  Sets target and groups of the plan, which has
 * its relid, or returns the values of the key, to be known at execution.
 */
List *
planner_prune(VdbPlan *plan, List *quals, List *keys, Relids relids)
{
	const VdbTable *table = vdb_catalog_table(plan->relid);
	List	   *values = NIL;
	bool		constant = true;

	plan->target = VDB_TARGET_ALL;
	if (!OidIsValid(plan->relid))
	{
		/* reference tables: each group has them */
		plan->target = VDB_TARGET_GROUPS;
		plan->groups = list_make1_int(vdb_catalog_cluster()->local_group);
		return NIL;
	}
	if (table == NULL || table->kind != VDB_TABLE_DISTRIBUTED ||
		list_length(keys) != table->key_count)
		return NIL;

	for (int i = 0; i < table->key_count; i++)
	{
		Node	   *value = find_key_value(quals, (List *) list_nth(keys, i),
										   table->key_types[i], relids);

		if (value == NULL)
			return NIL;
		if (!IsA(value, Const))
			constant = false;
		values = lappend(values, value);
	}
	if (!constant)
	{
		ListCell   *cell;

		/* lists are constants or nothing */
		foreach(cell, values)
		{
			if (exprType(lfirst(cell)) !=
				table->key_types[foreach_current_index(cell)])
				return NIL;
		}
		plan->target = VDB_TARGET_KEY;
		return values;
	}

	plan->groups = planner_key_groups(table, values);
	if (plan->groups != NIL)
		plan->target = VDB_TARGET_GROUPS;
	return NIL;
}

/*
 * planner_key_groups -- the groups of constant keys, each a value or, if there is one key column, an
 * array.  NIL when a key is null.
 */
List *
planner_key_groups(const VdbTable *table, List *values)
{
	Const	   *first = linitial_node(Const, values);
	Datum		datums[INDEX_MAX_KEYS];
	bool		nulls[INDEX_MAX_KEYS] = {false};
	List	   *groups = NIL;
	int			group;
	ListCell   *cell;

	if (list_length(values) == 1 && first->consttype != table->key_types[0])
	{
		Datum	   *elements;
		bool	   *element_nulls;
		int			count;
		int16		length;
		bool		byval;
		char		align;

		if (first->constisnull)
			return NIL;
		get_typlenbyvalalign(table->key_types[0], &length, &byval, &align);
		deconstruct_array(DatumGetArrayTypeP(first->constvalue),
						  table->key_types[0], length, byval, align,
						  &elements, &element_nulls, &count);
		for (int i = 0; i < count; i++)
		{
			group = element_nulls[i] ? 0 :
				vdb_planner_group(table, &elements[i], nulls);
			if (group != 0)
				groups = list_append_unique_int(groups, group);
		}
		return groups;
	}

	foreach(cell, values)
	{
		Const	   *value = lfirst_node(Const, cell);
		int			i = foreach_current_index(cell);

		if (value->constisnull || value->consttype != table->key_types[i])
			return NIL;
		datums[i] = value->constvalue;
	}
	group = vdb_planner_group(table, datums, nulls);
	return group != 0 ? list_make1_int(group) : NIL;
}

/*
 * vdb_planner_group -- the group that owns the rows of a key, or 0 if there is
 * no shard that takes them
 */
int
vdb_planner_group(const VdbTable *table, const Datum *values,
				  const bool *nulls)
{
	int			shard = vdb_catalog_find_shard(table, values, nulls);

	return shard < 0 ? 0 : table->shard_groups[shard];
}

/*
 * planner_is_equality -- is an operator the equality by which keys are hashed?
 */
bool
planner_is_equality(Oid operator, Oid collation, Oid type)
{
	TypeCacheEntry *entry = lookup_type_cache(getBaseType(type),
											  TYPECACHE_BTREE_OPFAMILY);

	if (!OidIsValid(entry->btree_opf) ||
		!list_member_oid(get_mergejoin_opfamilies(operator),
						 entry->btree_opf))
		return false;
	return !OidIsValid(collation) || get_collation_isdeterministic(collation);
}

/* planner_strip -- an expression without what changes its type in name only */
Node *
planner_strip(Node *node)
{
	while (node && IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	return node;
}

/*
 * planner_as_key -- a value as one of the key's type, or NULL where it cannot be; an array as an
 * array of them.
 */
Node *
planner_as_key(Node *value, Oid type)
{
	Oid			from = exprType(value);
	Oid			element = get_element_type(from);
	Oid			target = type;
	Node	   *result;

	if (from == type)
		return value;
	if (OidIsValid(element) && !OidIsValid(get_element_type(type)))
		target = get_array_type(type);
	if (from == target)
		return value;
	if (!OidIsValid(target) ||
		!can_coerce_type(1, &from, &target, COERCION_IMPLICIT))
		return NULL;
	result = coerce_to_target_type(NULL, copyObject(value), from, target, -1,
								   COERCION_IMPLICIT, COERCE_IMPLICIT_CAST,
								   -1);
	if (result == NULL)
		return NULL;
	result = eval_const_expressions(NULL, result);
	/* what changes in name only is of the key's type */
	if (IsA(result, RelabelType) && IsA(((RelabelType *) result)->arg, Const))
	{
		Const	   *constant =
		copyObject((Const *) ((RelabelType *) result)->arg);

		constant->consttype = target;
		result = (Node *) constant;
	}
	return result;
}

/*
 * What quals say that a key column, known under several names, equals.
 */
static Node *
find_key_value(List *quals, List *variables, Oid type, Relids relids)
{
	Node	   *found = NULL;
	ListCell   *cell;

	foreach(cell, quals)
	{
		Node	   *value = match_clause((Node *) lfirst(cell), variables,
										 type, relids);

		if (value && (found == NULL || IsA(value, Const)))
			found = value;
	}
	return found;
}

/* What a clause says that one of the variables equals, or NULL */
static Node *
match_clause(Node *clause, List *variables, Oid type, Relids relids)
{
	Node	   *left;
	Node	   *right;
	Node	   *value;

	if (IsA(clause, OpExpr) && list_length(((OpExpr *) clause)->args) == 2)
	{
		OpExpr	   *operation = (OpExpr *) clause;

		if (!planner_is_equality(operation->opno, operation->inputcollid, type))
			return NULL;
		left = planner_strip(linitial(operation->args));
		right = planner_strip(lsecond(operation->args));
	}
	else if (IsA(clause, ScalarArrayOpExpr) &&
			 ((ScalarArrayOpExpr *) clause)->useOr)
	{
		ScalarArrayOpExpr *operation = (ScalarArrayOpExpr *) clause;

		left = planner_strip(linitial(operation->args));
		right = lsecond(operation->args);
		if (!IsA(right, Const) ||
			!planner_is_equality(operation->opno, operation->inputcollid, type))
			return NULL;
	}
	else
		return NULL;

	if (planner_has_member(variables, left))
		value = right;
	else if (planner_has_member(variables, right))
		value = left;
	else
		return NULL;
	if (bms_overlap(pull_varnos(NULL, value), relids) ||
		contain_volatile_functions(value))
		return NULL;
	return planner_as_key(value, type);
}

/* planner_make_column -- a column of a table of the range table */
Var *
planner_make_column(Oid relid, Index entry, AttrNumber attno)
{
	Oid			type;
	int32		typmod;
	Oid			collation;

	get_atttypetypmodcoll(relid, attno, &type, &typmod, &collation);
	return makeVar(entry, attno, type, typmod, collation, 0);
}
