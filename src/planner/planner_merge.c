/*-------------------------------------------------------------------------
 *
 * planner_merge.c
 *	  MERGE whose source is not in the groups: row by row.
 *
 * If the condition says that the distribution key is equal to something of the
 * source, each row of the source has one group: there is its match, or there it
 * is inserted.  The source becomes the plan below, and the shard statement is
 * MERGE ... USING (VALUES ($1, ...)) with what the client wrote.
 *
 * IDENTIFICATION
 *	  src/planner/planner_merge.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_relation.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"

#include "vecdb/lib_compat.h"
#include "planner_private.h"

/* How variables of the source become columns of VALUES */
typedef struct SourceColumns
{
	int			target;			/* the table written */
	int			entry;			/* VALUES */
	List	   *columns;		/* expressions of the source */
} SourceColumns;

static Expr *find_key(Query *query, AttrNumber key, Oid type);
static Node *find_inserted(Query *query, AttrNumber key, Oid type);
static Node *as_type(Node *node, Oid type);
static bool is_of_source(Node *node, int target);
static bool can_route_actions(Query *query, const VdbTable *table,
							  List *keys);
static void collect_columns(Node *node, SourceColumns *columns);
static Node *replace_columns(Node *node, SourceColumns *columns);
static RangeTblEntry *make_values(PlannerWrite *write, List *columns);
static void make_source(PlannerWrite *write, Query *query);

/*
 * planner_merge_rows -- plan MERGE by rows of its source
 *
 * Returns false if their groups cannot be told.
 */
bool
planner_merge_rows(PlannerWrite *write, Query *query)
{
	const VdbTable *table = vdb_catalog_table(write->plan.relid);
	SourceColumns columns = {query->resultRelation};
	Node	   *condition = VDB_MERGE_CONDITION(query);
	Query	   *shard = copyObject(query);
	RangeTblRef *reference = makeNode(RangeTblRef);
	ListCell   *cell;

	if (table->kind != VDB_TABLE_DISTRIBUTED || query->returningList ||
		checkExprHasSubLink(condition) ||
		checkExprHasSubLink((Node *) query->mergeActionList))
		return false;
	for (int i = 0; i < table->key_count; i++)
	{
		Expr	   *key = find_key(query, table->keys[i],
								   table->key_types[i]);

		if (key == NULL)
			return false;
		columns.columns = lappend(columns.columns, key);
		write->plan.keys = lappend_int(write->plan.keys, i + 1);
	}
	if (!can_route_actions(query, table, columns.columns))
		return false;

	collect_columns(condition, &columns);
	collect_columns((Node *) query->mergeActionList, &columns);
	columns.entry = list_length(query->rtable) + 1;

	shard->mergeActionList = (List *)
		replace_columns((Node *) shard->mergeActionList, &columns);
	VDB_MERGE_CONDITION(shard) =
		replace_columns(VDB_MERGE_CONDITION(shard), &columns);
	foreach(cell, shard->rtable)
	{
		if (foreach_current_index(cell) + 1 != query->resultRelation)
			lfirst(cell) = planner_make_empty_entry();
	}
	shard->rtable = lappend(shard->rtable,
							make_values(write, columns.columns));
	reference->rtindex = columns.entry;
	shard->jointree->fromlist = list_make1(reference);
	shard->cteList = NIL;
	shard->withCheckOptions = NIL;
	write->shard = shard;

	make_source(write, query);
	write->plan.target = VDB_WRITE_BY_KEY;
	write->plan.row_params = list_length(columns.columns);
	write->plan.materialise = true;
	write->plan.together = true;
	return true;
}

/*
 * What the condition says a column of the key is equal to, as a value of its
 * type, or NULL.  If there are several, rows to be inserted say which.
 */
static Expr *
find_key(Query *query, AttrNumber key, Oid type)
{
	Node	   *inserted = find_inserted(query, key, type);
	Expr	   *result = NULL;
	ListCell   *cell;

	foreach(cell, make_ands_implicit((Expr *) VDB_MERGE_CONDITION(query)))
	{
		OpExpr	   *clause = (OpExpr *) lfirst(cell);

		if (!IsA(clause, OpExpr) || list_length(clause->args) != 2)
			continue;
		for (int i = 0; i < 2; i++)
		{
			Var		   *var = (Var *) planner_strip(list_nth(clause->args, i));
			Node	   *other = list_nth(clause->args, 1 - i);

			if (!IsA(var, Var) || var->varno != query->resultRelation ||
				var->varattno != key || var->varlevelsup > 0 ||
				!is_of_source(other, query->resultRelation) ||
				!planner_is_equality(clause->opno, clause->inputcollid, type))
				continue;
			other = as_type(other, type);
			if (other && (result == NULL || equal(other, inserted)))
				result = (Expr *) other;
		}
	}
	return result;
}

/* The value of a column of the key in the first action that inserts. */
static Node *
find_inserted(Query *query, AttrNumber key, Oid type)
{
	ListCell   *cell;

	foreach(cell, query->mergeActionList)
	{
		MergeAction *action = lfirst_node(MergeAction, cell);
		TargetEntry *entry = get_tle_by_resno(action->targetList, key);

		if (action->commandType == CMD_INSERT && entry)
			return as_type((Node *) entry->expr, type);
	}
	return NULL;
}

/* An expression as a type to which it can be cast implicitly, or NULL. */
static Node *
as_type(Node *node, Oid type)
{
	return coerce_to_target_type(NULL, copyObject(node), exprType(node), type,
								 -1, COERCION_IMPLICIT, COERCE_IMPLICIT_CAST,
								 -1);
}

/* Does an expression have nothing of the table written? */
static bool
is_of_source(Node *node, int target)
{
	return !contain_volatile_functions(node) &&
		!bms_is_member(target, pull_varnos(NULL, node));
}

/*
 * A row that is inserted has the key by which its group was found.  What has no
 * match in the source is no row of it.
 */
static bool
can_route_actions(Query *query, const VdbTable *table, List *keys)
{
	ListCell   *cell;

	foreach(cell, query->mergeActionList)
	{
		MergeAction *action = lfirst_node(MergeAction, cell);

		if (vdb_is_by_source(action))
			return false;
		if (action->commandType != CMD_INSERT)
			continue;
		for (int i = 0; i < table->key_count; i++)
		{
			TargetEntry *entry = get_tle_by_resno(action->targetList,
												  table->keys[i]);
			Node	   *value;

			if (entry == NULL)
				return false;
			value = as_type((Node *) entry->expr, table->key_types[i]);
			if (value == NULL || !equal(value, list_nth(keys, i)))
				return false;
		}
	}
	return true;
}

/* Variables of the source in the condition or the actions. */
static void
collect_columns(Node *node, SourceColumns *columns)
{
	List	   *vars = NIL;
	ListCell   *cell;

	if (node && IsA(node, List))
	{
		foreach(cell, (List *) node)
		{
			MergeAction *action = lfirst_node(MergeAction, cell);

			collect_columns(action->qual, columns);
			vars = list_concat(vars,
							   pull_var_clause((Node *) action->targetList, 0));
		}
	}
	else
		vars = pull_var_clause(node, 0);
	foreach(cell, vars)
	{
		if (lfirst_node(Var, cell)->varno != columns->target)
			columns->columns = list_append_unique(columns->columns,
												  lfirst(cell));
	}
}

/* Variables of the source become columns of VALUES. */
static Node *
replace_columns(Node *node, SourceColumns *columns)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var) && ((Var *) node)->varno != columns->target)
	{
		Var		   *var = (Var *) node;
		ListCell   *cell;

		foreach(cell, columns->columns)
		{
			if (equal(lfirst(cell), var))
				return (Node *) makeVar(columns->entry,
										foreach_current_index(cell) + 1,
										var->vartype, var->vartypmod,
										var->varcollid, 0);
		}
		elog(ERROR, "variable %d.%d of MERGE is not known",
			 (int) var->varno, var->varattno);
	}
	return expression_tree_mutator(node, replace_columns, (void *) columns);
}

/* VALUES with a parameter for each column of the source. */
static RangeTblEntry *
make_values(PlannerWrite *write, List *columns)
{
	RangeTblEntry *entry = makeNode(RangeTblEntry);
	List	   *row = NIL;
	List	   *names = NIL;
	ListCell   *cell;

	foreach(cell, columns)
	{
		Param	   *value = planner_make_value(&write->values, lfirst(cell));

		row = lappend(row, value);
		names = lappend(names,
						makeString(psprintf("c%d",
											foreach_current_index(cell) + 1)));
		entry->coltypes = lappend_oid(entry->coltypes, value->paramtype);
		entry->coltypmods = lappend_int(entry->coltypmods, -1);
		entry->colcollations = lappend_oid(entry->colcollations,
										   value->paramcollid);
	}
	entry->rtekind = RTE_VALUES;
	entry->values_lists = list_make1(row);
	entry->alias = makeAlias("source", names);
	entry->eref = makeAlias("source", copyObject(names));
	entry->inFromCl = true;
	return entry;
}

/* SELECT from what MERGE reads. */
static void
make_source(PlannerWrite *write, Query *query)
{
	Query	   *source = copyObject(query);
	List	   *from = NIL;
	ListCell   *cell;

	planner_clear_source(source);
	source->jointree->quals = NULL;
	foreach(cell, source->jointree->fromlist)
	{
		if (!IsA(lfirst(cell), RangeTblRef) ||
			lfirst_node(RangeTblRef, cell)->rtindex != query->resultRelation)
			from = lappend(from, lfirst(cell));
	}
	source->jointree->fromlist = from;
	write->source = source;
}
