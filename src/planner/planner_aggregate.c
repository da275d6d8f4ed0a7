/*-------------------------------------------------------------------------
 *
 * planner_aggregate.c
 *	  GROUP BY, DISTINCT and aggregates at the groups.
 *
 * Where GROUP BY has the distribution key, no group of rows is in two groups of
 * nodes: the statement is pushed as it is, whatever its aggregates.
 *
 * Else each node aggregates its rows, and an Agg above puts the parts together
 * by aggregates of them:
 *
 *		count(x)		sum of counts
 *		sum(x)			sum of sums
 *		min, max, bool_and, bool_or, every, bit_and, bit_or, bit_xor
 *						the same once more
 *		avg(x)			sum of sums / sum of counts
 *
 * If one aggregate of the query is none of these, or has DISTINCT or ORDER BY,
 * rows are pulled.
 *
 * What the Agg computes are expressions other than those of the query, and
 * nodes above look for the latter.  So a node that passes rows on stands on
 * top, whose columns are named by the query's expressions.
 *
 * IDENTIFICATION
 *	  src/planner/planner_aggregate.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/dependency.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/value.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/tlist.h"
#include "parser/parse_agg.h"
#include "parser/parse_coerce.h"
#include "parser/parse_func.h"
#include "parser/parse_oper.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "planner_private.h"

/* The aggregates of a query, in two steps */
typedef struct TwoSteps
{
	PlannerShard *shard;
	List	   *parts;			/* what the nodes compute: Aggrefs */
	List	   *finals;			/* what the Agg above computes: Aggrefs */
	bool		failed;
} TwoSteps;

static bool push_groups(PlannerInfo *root, List *clauses,
						PlannerShard *shard);
static bool has_key(PlannerShard *shard);
static bool push_whole(PlannerInfo *root, PlannerShard *shard,
					   PathTarget *target);
static bool collect_parts_walker(Node *node, PlannerShard *shard);
static void add_whole_path(PlannerInfo *root, RelOptInfo *output,
						   PlannerShard *shard, double rows);
static bool add_two_steps(PlannerInfo *root, RelOptInfo *input,
						  RelOptInfo *output, PlannerShard *shard,
						  double rows);
static Path *make_parts_path(PlannerInfo *root, RelOptInfo *input,
							 RelOptInfo *output, TwoSteps *steps,
							 double rows);
static Node *finish_mutator(Node *node, TwoSteps *steps);
static Node *finish_aggregate(Aggref *aggregate, TwoSteps *steps);
static Node *finish_count(Aggref *aggregate, TwoSteps *steps);
static Node *finish_same(Aggref *aggregate, const char *name,
						 TwoSteps *steps);
static Node *finish_average(Aggref *aggregate, TwoSteps *steps);
static Node *add_part(Aggref *aggregate, TwoSteps *steps);
static Aggref *part_of(Aggref *aggregate, Oid function, Oid result,
					   List *args);
static Node *add_final(Oid function, Node *part, Oid collation,
					   TwoSteps *steps);
static Oid	find_aggregate(const char *name, Oid type);
static Node *cast_to(Node *node, Oid type);
static Plan *plan_pass(PlannerInfo *root, RelOptInfo *rel, CustomPath *path,
					   List *tlist, List *clauses, List *custom_plans);

static const CustomPathMethods pass_path_methods = {
	.CustomName = "Fan-out Result",
	.PlanCustomPath = plan_pass
};

/*
 * planner_group_paths -- have the groups aggregate, if they can
 */
void
planner_group_paths(PlannerInfo *root, RelOptInfo *input, RelOptInfo *output,
					GroupPathExtraData *extra)
{
	PlannerShard *shard = (PlannerShard *) palloc(sizeof(PlannerShard));
	double		rows;

	*shard = *planner_shard(input);
	if (shard->grouped || root->parse->groupingSets != NIL ||
		root->parse->hasTargetSRFs || output->pathlist == NIL ||
		!push_groups(root, root->parse->groupClause, shard))
		return;
	rows = ((Path *) linitial(output->pathlist))->rows;

	if (has_key(shard))
	{
		if (push_whole(root, shard,
					   root->upper_targets[UPPERREL_GROUP_AGG]))
			add_whole_path(root, output, shard, rows);
	}
	else
		(void) add_two_steps(root, input, output, shard, rows);
}

/*
 * planner_distinct_paths -- have the groups remove doubles, if they can
 *
 * The same as GROUP BY without aggregates.
 */
void
planner_distinct_paths(PlannerInfo *root, RelOptInfo *input,
					   RelOptInfo *output)
{
	Query	   *parse = root->parse;
	PathTarget *target = root->upper_targets[UPPERREL_DISTINCT];
	PlannerShard *shard = (PlannerShard *) palloc(sizeof(PlannerShard));
	double		rows;
	Path	   *path;
	ListCell   *cell;

	*shard = *planner_shard(input);
	if (shard->grouped || parse->hasDistinctOn || parse->hasTargetSRFs ||
		parse->rowMarks != NIL || output->pathlist == NIL ||
		!grouping_is_hashable(parse->distinctClause) ||
		!push_groups(root, parse->distinctClause, shard))
		return;
	foreach(cell, target->exprs)
	{
		if (!list_member(shard->group_exprs, lfirst(cell)))
			return;
	}

	rows = ((Path *) linitial(output->pathlist))->rows;
	path = (Path *)
		planner_shard_path(shard, output, target,
						   Min(rows * planner_group_count(shard->relid),
							   Max(input->rows, 1)));
	if (has_key(shard))
		output->fdw_private = shard;
	else
		path = (Path *)
			create_agg_path(root, output, path, target, AGG_HASHED,
							AGGSPLIT_SIMPLE, parse->distinctClause, NIL,
							NULL, rows);
	output->pathlist = NIL;
	output->partial_pathlist = NIL;
	add_path(output, path);
}

/*
 * Add GROUP BY, or what is distinct, to a shard statement, if the groups can
 * compute it.
 */
static bool
push_groups(PlannerInfo *root, List *clauses, PlannerShard *shard)
{
	ListCell   *cell;

	shard->grouped = true;
	foreach(cell, clauses)
	{
		SortGroupClause *clause = lfirst_node(SortGroupClause, cell);
		Node	   *expr = get_sortgroupclause_expr(clause,
													root->processed_tlist);

		if (!planner_is_pushable(shard, expr, false, false) ||
			!planner_is_transferable(exprType(expr)) ||
			!contain_var_clause(expr))
			return false;
		shard->group_clause = lappend(shard->group_clause, clause);
		shard->group_exprs = lappend(shard->group_exprs, expr);
		shard->columns = list_append_unique(shard->columns, expr);
	}
	return true;
}

/* Is each column of the distribution key in GROUP BY? */
static bool
has_key(PlannerShard *shard)
{
	ListCell   *cell;

	foreach(cell, shard->keys)
	{
		ListCell   *group;
		bool		found = false;

		foreach(group, shard->group_exprs)
			found |= planner_has_member((List *) lfirst(cell), lfirst(group));
		if (!found)
			return false;
	}
	return shard->keys != NIL;
}

/* Complete a statement that is pushed as it is. */
static bool
push_whole(PlannerInfo *root, PlannerShard *shard, PathTarget *target)
{
	ListCell   *cell;

	if (collect_parts_walker((Node *) target->exprs, shard))
		return false;
	foreach(cell, (List *) root->parse->havingQual)
	{
		Node	   *clause = (Node *) lfirst(cell);

		if (!planner_is_pushable(shard, clause, false, true))
			return false;
		shard->having = lappend(shard->having, clause);
	}
	return true;
}

/*
 * Add aggregates, and columns that depend on those of GROUP BY, to what a
 * statement returns.  Returns true if one cannot be pushed.
 */
static bool
collect_parts_walker(Node *node, PlannerShard *shard)
{
	if (node == NULL || list_member(shard->columns, node))
		return false;
	if (IsA(node, Aggref) || IsA(node, Var))
	{
		if (!planner_is_pushable(shard, node, false, true) ||
			!planner_is_transferable(exprType(node)))
			return true;
		shard->columns = lappend(shard->columns, node);
		return false;
	}
	/* a subquery's parameters are values of this query */
	if (IsA(node, SubPlan) || IsA(node, AlternativeSubPlan))
		return true;
	return expression_tree_walker(node, collect_parts_walker, shard);
}

static void
add_whole_path(PlannerInfo *root, RelOptInfo *output, PlannerShard *shard,
			   double rows)
{
	CustomPath *path;

	path = planner_shard_path(shard, output,
							  root->upper_targets[UPPERREL_GROUP_AGG], rows);
	output->pathlist = NIL;
	output->partial_pathlist = NIL;
	add_path(output, &path->path);
	/* ORDER BY and LIMIT may follow */
	output->fdw_private = shard;
}

/*
 * Aggregate at the groups, and finish here.  Returns false if it cannot be.
 */
static bool
add_two_steps(PlannerInfo *root, RelOptInfo *input, RelOptInfo *output,
			  PlannerShard *shard, double rows)
{
	Query	   *parse = root->parse;
	PathTarget *target = root->upper_targets[UPPERREL_GROUP_AGG];
	PathTarget *final_target = copy_pathtarget(target);
	TwoSteps	steps = {shard};
	List	   *having;
	Path	   *below;
	CustomPath *top;

	if (parse->groupClause != NIL && !grouping_is_hashable(parse->groupClause))
		return false;
	final_target->exprs = (List *)
		finish_mutator((Node *) target->exprs, &steps);
	having = (List *) finish_mutator(parse->havingQual, &steps);
	if (steps.failed || (steps.finals == NIL && parse->groupClause == NIL))
		return false;

	below = make_parts_path(root, input, output, &steps, rows);
	below = (Path *)
		create_agg_path(root, output, below, final_target,
						parse->groupClause ? AGG_HASHED : AGG_PLAIN,
						AGGSPLIT_SIMPLE, parse->groupClause, having, NULL,
						rows);

	top = makeNode(CustomPath);
	top->path.pathtype = T_CustomScan;
	top->path.parent = output;
	top->path.pathtarget = target;
	top->path.rows = below->rows;
	top->path.startup_cost = below->startup_cost;
	top->path.total_cost = below->total_cost;
	top->flags = CUSTOMPATH_SUPPORT_PROJECTION;
	top->custom_paths = list_make1(below);
	top->custom_private = list_make1(target->exprs);
	top->methods = &pass_path_methods;
	output->pathlist = NIL;
	output->partial_pathlist = NIL;
	add_path(output, &top->path);
	return true;
}

/* The path of the shard statement, that returns parts */
static Path *
make_parts_path(PlannerInfo *root, RelOptInfo *input, RelOptInfo *output,
				TwoSteps *steps, double rows)
{
	PathTarget *target = create_empty_pathtarget();
	PlannerShard *shard = steps->shard;
	ListCell   *cell;

	foreach(cell, shard->group_exprs)
	{
		SortGroupClause *clause =
		list_nth_node(SortGroupClause, shard->group_clause,
					  foreach_current_index(cell));

		add_column_to_pathtarget(target, (Expr *) lfirst(cell),
								 clause->tleSortGroupRef);
	}
	foreach(cell, steps->parts)
	{
		add_column_to_pathtarget(target, (Expr *) lfirst(cell), 0);
		shard->columns = list_append_unique(shard->columns, lfirst(cell));
	}
	set_pathtarget_cost_width(root, target);
	return (Path *)
		planner_shard_path(shard, output, target,
						   Min(rows * planner_group_count(shard->relid),
							   Max(input->rows, 1)));
}

/*
 * Replace aggregates by what finishes them.  Anything else has to be in GROUP
 * BY, or made of what is.
 */
static Node *
finish_mutator(Node *node, TwoSteps *steps)
{
	if (node == NULL || steps->failed)
		return node;
	if (list_member(steps->shard->group_exprs, node))
		return (Node *) copyObject(node);
	if (IsA(node, Aggref))
	{
		Node	   *result = finish_aggregate((Aggref *) node, steps);

		if (result == NULL)
			steps->failed = true;
		return result;
	}
	if (IsA(node, Var) || IsA(node, PlaceHolderVar) || IsA(node, SubPlan) ||
		IsA(node, AlternativeSubPlan))
	{
		steps->failed = true;
		return node;
	}
	return expression_tree_mutator(node, finish_mutator, steps);
}

/* What finishes an aggregate, or NULL if it cannot be done in two steps */
static Node *
finish_aggregate(Aggref *aggregate, TwoSteps *steps)
{
	static const char *const repeated[] = {
		"sum", "min", "max", "bool_and", "bool_or", "every", "bit_and",
		"bit_or", "bit_xor"
	};
	char	   *name = get_func_name(aggregate->aggfnoid);

	if (aggregate->aggdistinct != NIL || aggregate->aggorder != NIL ||
		aggregate->aggkind != AGGKIND_NORMAL || aggregate->agglevelsup != 0 ||
		aggregate->aggvariadic || name == NULL ||
		!planner_is_pushable(steps->shard, (Node *) aggregate, false, true))
		return NULL;

	if (strcmp(name, "count") == 0 && aggregate->aggtype == INT8OID &&
		get_func_namespace(aggregate->aggfnoid) == PG_CATALOG_NAMESPACE)
		return finish_count(aggregate, steps);
	if (list_length(aggregate->args) != 1)
		return NULL;
	if (strcmp(name, "avg") == 0 &&
		get_func_namespace(aggregate->aggfnoid) == PG_CATALOG_NAMESPACE)
		return finish_average(aggregate, steps);
	/* a user may call other things by these names */
	if (get_func_namespace(aggregate->aggfnoid) != PG_CATALOG_NAMESPACE &&
		getExtensionOfObject(ProcedureRelationId, aggregate->aggfnoid) !=
		get_extension_oid("vecdb", true))
		return NULL;
	for (int i = 0; i < lengthof(repeated); i++)
	{
		if (strcmp(name, repeated[i]) == 0)
			return finish_same(aggregate, name, steps);
	}
	return NULL;
}

/* coalesce(sum(count(x))::bigint, 0) */
static Node *
finish_count(Aggref *aggregate, TwoSteps *steps)
{
	CoalesceExpr *result = makeNode(CoalesceExpr);
	Node	   *sum = add_final(find_aggregate("sum", INT8OID),
								add_part(aggregate, steps), InvalidOid,
								steps);

	result->coalescetype = INT8OID;
	result->args = list_make2(cast_to(sum, INT8OID),
							  makeConst(INT8OID, -1, InvalidOid,
										sizeof(int64), Int64GetDatum(0),
										false, FLOAT8PASSBYVAL));
	result->location = -1;
	return (Node *) result;
}

/* f(f(x)), with f of the type that f returns */
static Node *
finish_same(Aggref *aggregate, const char *name, TwoSteps *steps)
{
	Oid			argument = linitial_oid(aggregate->aggargtypes);
	Oid			function = aggregate->aggfnoid;
	Node	   *final;

	if (argument != aggregate->aggtype)
	{
		if (get_func_namespace(function) != PG_CATALOG_NAMESPACE)
			return NULL;
		/* min(varchar) and the like are of text; others add up */
		function = find_aggregate(name, aggregate->aggtype);
		if (!OidIsValid(function))
			return NULL;
	}
	final = add_final(function, add_part(aggregate, steps),
					  aggregate->inputcollid, steps);
	return cast_to(final, aggregate->aggtype);
}

/*
 * sum(sum(x)) / sum(count(x)), in the type of the average.
 *
 * Without values the sum is null, and so is the quotient, although the count is
 * zero: division is strict.
 */
static Node *
finish_average(Aggref *aggregate, TwoSteps *steps)
{
	Oid			type = linitial_oid(aggregate->aggargtypes);
	TargetEntry *entry = linitial_node(TargetEntry, aggregate->args);
	Node	   *argument = (Node *) entry->expr;
	Oid			sum_function;
	Node	   *sum;
	Node	   *count;

	switch (type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case NUMERICOID:
		case FLOAT8OID:
			break;
		case FLOAT4OID:
			argument = cast_to(argument, FLOAT8OID);
			type = FLOAT8OID;
			break;
		default:
			return NULL;
	}
	sum_function = find_aggregate("sum", type);
	entry = flatCopyTargetEntry(entry);
	entry->expr = (Expr *) argument;
	sum = add_part(part_of(aggregate, sum_function,
						   get_func_rettype(sum_function),
						   list_make1(entry)), steps);
	count = add_part(part_of(aggregate, find_aggregate("count", ANYOID),
							 INT8OID, list_make1(entry)), steps);

	sum = add_final(find_aggregate("sum", exprType(sum)), sum, InvalidOid,
					steps);
	count = add_final(find_aggregate("sum", INT8OID), count, InvalidOid,
					  steps);
	return (Node *)
		make_op(NULL, list_make2(makeString("pg_catalog"), makeString("/")),
				cast_to(sum, aggregate->aggtype),
				cast_to(count, aggregate->aggtype), NULL, -1);
}

/* Have the groups compute an aggregate; returns the one of equal ones */
static Node *
add_part(Aggref *aggregate, TwoSteps *steps)
{
	ListCell   *cell;

	foreach(cell, steps->parts)
	{
		if (equal(lfirst(cell), aggregate))
			return (Node *) lfirst(cell);
	}
	steps->parts = lappend(steps->parts, aggregate);
	return (Node *) aggregate;
}

/* Another aggregate over the rows of one */
static Aggref *
part_of(Aggref *aggregate, Oid function, Oid result, List *args)
{
	Aggref	   *part = copyObject(aggregate);
	TargetEntry *entry = linitial_node(TargetEntry, args);

	part->aggfnoid = function;
	part->aggtype = result;
	part->aggcollid = InvalidOid;
	part->inputcollid = InvalidOid;
	part->aggargtypes = list_make1_oid(exprType((Node *) entry->expr));
	part->args = args;
	return part;
}

/* An aggregate of the Agg above; returns the one of equal ones */
static Node *
add_final(Oid function, Node *part, Oid collation, TwoSteps *steps)
{
	Aggref	   *final = makeNode(Aggref);
	Oid			types[1] = {exprType(part)};
	HeapTuple	tuple;
	Oid			transition;
	ListCell   *cell;

	tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for aggregate %u", function);
	transition = ((Form_pg_aggregate) GETSTRUCT(tuple))->aggtranstype;
	ReleaseSysCache(tuple);

	final->aggfnoid = function;
	final->aggtype = exprType(part);
	if (get_func_rettype(function) != ANYELEMENTOID &&
		!IsPolymorphicType(get_func_rettype(function)))
		final->aggtype = get_func_rettype(function);
	final->aggcollid = exprCollation(part);
	final->inputcollid = collation;
	final->aggargtypes = list_make1_oid(types[0]);
	final->args = list_make1(makeTargetEntry((Expr *) part, 1, NULL, false));
	final->aggkind = AGGKIND_NORMAL;
	final->aggsplit = AGGSPLIT_SIMPLE;
	final->aggtranstype = resolve_aggregate_transtype(function, transition,
													  types, 1);
	final->location = -1;

	foreach(cell, steps->finals)
	{
		Aggref	   *other = lfirst_node(Aggref, cell);

		final->aggno = other->aggno;
		final->aggtransno = other->aggtransno;
		if (equal(other, final))
			return (Node *) copyObject(other);
	}
	final->aggno = final->aggtransno = list_length(steps->finals);
	steps->finals = lappend(steps->finals, final);
	return (Node *) final;
}

/* PostgreSQL's aggregate of a name for a type, or InvalidOid */
static Oid
find_aggregate(const char *name, Oid type)
{
	oidvector  *types = buildoidvector(&type, 1);

	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
						   CStringGetDatum(name), PointerGetDatum(types),
						   ObjectIdGetDatum(PG_CATALOG_NAMESPACE));
}

/* An expression in another type, where it is not of that already */
static Node *
cast_to(Node *node, Oid type)
{
	Oid			from = exprType(node);

	if (from == type)
		return node;
	return coerce_to_target_type(NULL, node, from, type, -1,
								 COERCION_EXPLICIT, COERCE_EXPLICIT_CAST, -1);
}

/* PlanCustomPath of the node that passes rows on */
static Plan *
plan_pass(PlannerInfo *root, RelOptInfo *rel, CustomPath *path, List *tlist,
		  List *clauses, List *custom_plans)
{
	CustomScan *scan = makeNode(CustomScan);
	VdbPlan		plan = {.kind = VDB_PLAN_PASS,.command = CMD_SELECT};
	ListCell   *cell;

	foreach(cell, (List *) linitial(path->custom_private))
		scan->custom_scan_tlist =
		lappend(scan->custom_scan_tlist,
				makeTargetEntry((Expr *) copyObject(lfirst(cell)),
								foreach_current_index(cell) + 1, NULL,
								false));
	scan->scan.plan.targetlist = tlist;
	scan->flags = path->flags;
	scan->custom_plans = custom_plans;
	scan->custom_private = vdb_plan_write(&plan);
	scan->methods = planner_fanout_methods;
	return &scan->scan.plan;
}
