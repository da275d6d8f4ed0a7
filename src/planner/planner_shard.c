/*-------------------------------------------------------------------------
 *
 * planner_shard.c
 *	  From a path to a plan node: the shard statement and its columns.
 *
 * A column of the statement is a column of a table, or an expression that the
 * group computes for us: what rows are sorted by, so that a distance is
 * computed once, and expressions over columns that may be wide, so that these
 * need not travel.  The plan node's own target list refers to columns;
 * setrefs.c finds them there as it finds the output of any node below.
 *
 * IDENTIFICATION
 *	  src/planner/planner_shard.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/restrictinfo.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

#include "planner_private.h"

/* What a fan-out costs by itself, and each row that travels */
#define FANOUT_STARTUP_COST		25.0
#define FANOUT_ROW_COST			0.02

/* A LIMIT up to this makes a result that may come in one piece */
#define MOST_FEW_ROWS			10000

/* A shard statement while it is built */
typedef struct ShardBuilder
{
	PlannerInfo *root;
	PlannerShard *shard;
	List	   *columns;		/* expressions, in terms of root */
	PlannerParams params;
	Query	   *query;
	Relids		inner;			/* relations of the subquery that is built */
	int			limit_param;	/* the parameter that is the limit, or 0 */
	int		   *numbers;		/* of the range table of the statement, by
								 * those of root's */
} ShardBuilder;

static Plan *plan_fanout(PlannerInfo *root, RelOptInfo *rel,
						 CustomPath *path, List *tlist, List *clauses,
						 List *custom_plans);
static bool is_short(PlannerShard *shard);
static void split_clauses(PlannerShard *shard, List *clauses, List **remote,
						  List **local);
static bool collect_columns_walker(Node *node, ShardBuilder *builder);
static void add_all_columns(RelOptInfo *rel, ShardBuilder *builder);
static bool is_worth_computing(Node *node, ShardBuilder *builder);
static bool has_wide_column_walker(Node *node, void *context);
static List *make_scan_tlist(List *columns);
static void build_query(ShardBuilder *builder, List *quals);
static void add_exists(ShardBuilder *builder);
static void add_relations(ShardBuilder *builder);
static void add_entries(ShardBuilder *builder, Relids relids);
static void build_targets(ShardBuilder *builder);
static SortGroupClause *refer_to_column(ShardBuilder *builder,
										SortGroupClause *clause, Node *expr);
static void add_lock(ShardBuilder *builder);
static Node *translate(ShardBuilder *builder, Node *node);
static Node *renumber_mutator(Node *node, ShardBuilder *builder);
static bool has_outer_join(Node *node, void *context);
static int	add_join_entry(JoinExpr *join, Query *query);
static List *add_side_columns(Node *side, Query *query,
							  RangeTblEntry *join);
static void set_merge(VdbPlan *plan, ShardBuilder *builder);

static const CustomPathMethods fanout_path_methods = {
	.CustomName = "Fan-out",
	.PlanCustomPath = plan_fanout
};

/*
 * planner_group_count -- the number of groups that have shards of a table
 */
int
planner_group_count(Oid relid)
{
	const VdbTable *table = vdb_catalog_table(relid);
	Bitmapset  *groups = NULL;
	int			count;

	if (table == NULL || table->kind != VDB_TABLE_DISTRIBUTED)
		return 1;
	for (int i = 0; i < table->shard_count; i++)
	{
		if (!bms_is_member(table->shard_groups[i], groups))
			groups = bms_add_member(groups, table->shard_groups[i]);
	}
	count = bms_num_members(groups);
	bms_free(groups);
	return Max(count, 1);
}

/*
 * planner_shard_path -- a path that gets its rows by a shard statement
 *
 * Rows are those that the path returns, of all groups.  The caller adds
 * pathkeys and parameters, and adds it to a relation.
 */
CustomPath *
planner_shard_path(PlannerShard *shard, RelOptInfo *rel, PathTarget *target,
				   double rows)
{
	CustomPath *path = makeNode(CustomPath);

	path->path.pathtype = T_CustomScan;
	path->path.parent = rel;
	path->path.pathtarget = target;
	path->path.rows = clamp_row_est(rows);
	path->path.startup_cost = FANOUT_STARTUP_COST;
	path->path.total_cost = FANOUT_STARTUP_COST + shard->work +
		path->path.rows * FANOUT_ROW_COST + target->cost.startup +
		target->cost.per_tuple * path->path.rows;
	path->flags = CUSTOMPATH_SUPPORT_PROJECTION;
	path->custom_private = list_make1(shard);
	path->methods = &fanout_path_methods;
	return path;
}

/*
 * planner_note_targets -- tell paths what is computed from their rows
 *
 * PostgreSQL puts a projection on top of the paths of what FROM and WHERE make.
 * It is done by the node below, whose target list is replaced when the plan has
 * been made already: too late for us to choose columns by it.  So the path is
 * told before.
 */
void
planner_note_targets(RelOptInfo *rel)
{
	ListCell   *cell;

	foreach(cell, rel->pathlist)
	{
		ProjectionPath *projection = (ProjectionPath *) lfirst(cell);
		CustomPath *path;

		if (!IsA(projection, ProjectionPath) ||
			!IsA(projection->subpath, CustomPath))
			continue;
		path = (CustomPath *) projection->subpath;
		if (path->methods == &fanout_path_methods &&
			list_length(path->custom_private) == 1)
			path->custom_private =
				lappend(path->custom_private,
						projection->path.pathtarget->exprs);
	}
}

/*
 * PlanCustomPath: make the plan node.
 */
static Plan *
plan_fanout(PlannerInfo *root, RelOptInfo *rel, CustomPath *path, List *tlist,
			List *clauses, List *custom_plans)
{
	PlannerShard *shard = (PlannerShard *) linitial(path->custom_private);
	CustomScan *scan = makeNode(CustomScan);
	VdbPlan		plan = {0};
	ShardBuilder builder = {0};
	List	   *remote;
	List	   *local;
	List	   *keys;

	builder.root = root;
	builder.shard = shard;
	builder.params.relids = shard->relids;

	split_clauses(shard, clauses, &remote, &local);

	/* columns: what rows are sorted by, what groups are made of, the rest */
	builder.columns = list_copy(shard->columns);
	for (int i = 0; i < list_length(shard->sort_exprs); i++)
		builder.columns = list_append_unique(builder.columns,
											 list_nth(shard->sort_exprs, i));
	if (list_length(path->custom_private) > 1)
		(void) collect_columns_walker((Node *) lsecond(path->custom_private),
									  &builder);
	else if (!IS_UPPER_REL(rel))
		add_all_columns(rel, &builder);
	(void) collect_columns_walker((Node *) tlist, &builder);
	(void) collect_columns_walker((Node *) local, &builder);

	/* without columns rows could not be counted */
	if (builder.columns == NIL)
		builder.columns = list_make1(makeBoolConst(true, false));

	build_query(&builder, remote);

	plan.kind = VDB_PLAN_SELECT;
	plan.command = CMD_SELECT;
	plan.relid = shard->relid;
	plan.sql = planner_text(builder.query);
	plan.writes = builder.query->rowMarks != NIL;
	plan.param_count = list_length(builder.params.exprs);
	plan.role = shard->role;
	plan.limit_param = builder.limit_param;
	plan.few_rows = is_short(shard);
	keys = planner_prune(&plan, remote, shard->keys, shard->relids);
	for (int i = 0; i < list_length(keys); i++)
		plan.key_exprs = lappend_int(plan.key_exprs, plan.param_count + i);
	set_merge(&plan, &builder);

	scan->scan.plan.targetlist = tlist;
	scan->scan.plan.qual = local;
	scan->scan.scanrelid =
		rel->reloptkind == RELOPT_BASEREL ||
		rel->reloptkind == RELOPT_OTHER_MEMBER_REL ? rel->relid : 0;
	scan->flags = path->flags;
	scan->custom_exprs = list_concat(builder.params.exprs, keys);
	scan->custom_private = vdb_plan_write(&plan);
	scan->custom_scan_tlist = make_scan_tlist(builder.columns);
	scan->methods = planner_fanout_methods;
	return &scan->scan.plan;
}

/* Is it sure that a group returns few rows? */
static bool
is_short(PlannerShard *shard)
{
	if (shard->grouped && shard->group_clause == NIL)
		return true;
	return shard->limit && IsA(shard->limit, Const) &&
		!((Const *) shard->limit)->constisnull &&
		shard->limit_option == LIMIT_OPTION_COUNT &&
		DatumGetInt64(((Const *) shard->limit)->constvalue) <= MOST_FEW_ROWS;
}

/*
 * Clauses for the groups, and those that are left to be tested here.
 *
 * Those of a base relation come from the planner, with the clauses of a join
 * that a parameterized path takes upon it.
 */
static void
split_clauses(PlannerShard *shard, List *clauses, List **remote, List **local)
{
	ListCell   *cell;

	*remote = list_copy(shard->quals);
	*local = NIL;
	foreach(cell, clauses)
	{
		RestrictInfo *info = lfirst_node(RestrictInfo, cell);
		Node	   *clause = (Node *) info->clause;

		if (list_member(*remote, clause))
			continue;
		if (planner_is_pushable(shard, clause, true, false) &&
			(info->security_level == 0 || info->leakproof))
			*remote = lappend(*remote, clause);
		else if (!info->pseudoconstant)
			*local = lappend(*local, clause);
	}
}

/*
 * Add to the columns what an expression needs.
 */
static bool
collect_columns_walker(Node *node, ShardBuilder *builder)
{
	if (node == NULL)
		return false;
	if (list_member(builder->columns, node))
		return false;

	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;

		if (var->varlevelsup != 0 ||
			!bms_is_member(var->varno, builder->shard->relids))
			return false;
		/* of reference tables alone they are those of this group */
		if (var->varattno < 0 && var->varattno != TableOidAttributeNumber &&
			OidIsValid(builder->shard->relid))
			planner_refuse_system_column(planner_rt_fetch(var->varno,
														  builder->root)->relid);
		builder->columns = lappend(builder->columns, node);
		return false;
	}
	if (IsA(node, SubPlan) || IsA(node, AlternativeSubPlan))
	{
		/* what it computes has parameters of its own */
		List	   *variables = pull_var_clause(node, PVC_RECURSE_AGGREGATES |
												PVC_RECURSE_PLACEHOLDERS);

		return collect_columns_walker((Node *) variables, builder);
	}
	if (is_worth_computing(node, builder))
	{
		builder->columns = lappend(builder->columns, node);
		return false;
	}
	return expression_tree_walker(node, collect_columns_walker, builder);
}

/*
 * Add all columns that are needed of a relation, one by one: what is computed
 * from them is not known.
 */
static void
add_all_columns(RelOptInfo *rel, ShardBuilder *builder)
{
	List	   *variables = pull_var_clause((Node *) rel->reltarget->exprs,
											PVC_RECURSE_AGGREGATES |
											PVC_RECURSE_WINDOWFUNCS |
											PVC_RECURSE_PLACEHOLDERS);

	(void) collect_columns_walker((Node *) variables, builder);
}

/*
 * Is an expression better computed at the group?  It is if it takes columns
 * that may be wide.
 */
static bool
is_worth_computing(Node *node, ShardBuilder *builder)
{
	switch (nodeTag(node))
	{
		case T_FuncExpr:
		case T_OpExpr:
		case T_CoerceViaIO:
		case T_ScalarArrayOpExpr:
		case T_DistinctExpr:
		case T_NullTest:
			break;
		default:
			return false;
	}
	return !builder->shard->grouped &&
		has_wide_column_walker(node, NULL) &&
		planner_is_transferable(exprType(node)) &&
		!expression_returns_set(node) &&
		planner_is_pushable(builder->shard, node, false, false);
}

static bool
has_wide_column_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
		return get_typlen(((Var *) node)->vartype) < 0;
	return expression_tree_walker(node, has_wide_column_walker, context);
}

/* Columns as what CustomScan wants to know of its rows. */
static List *
make_scan_tlist(List *columns)
{
	List	   *tlist = NIL;
	ListCell   *cell;

	foreach(cell, columns)
		tlist = lappend(tlist,
						makeTargetEntry((Expr *) copyObject(lfirst(cell)),
										list_length(tlist) + 1, NULL, false));
	return tlist;
}

/*
 * Build the query that the columns and quals make.
 */
static void
build_query(ShardBuilder *builder, List *quals)
{
	PlannerShard *shard = builder->shard;
	Query	   *query = makeNode(Query);
	List	   *from;

	builder->query = query;
	query->commandType = CMD_SELECT;
	query->canSetTag = true;

	add_relations(builder);
	from = (List *) translate(builder, (Node *) shard->from);
	query->jointree =
		makeFromExpr(from, quals == NIL ? NULL :
					 translate(builder,
							   (Node *) make_ands_explicit(quals)));
	add_exists(builder);
	build_targets(builder);

	if (shard->having)
		query->havingQual =
			translate(builder, (Node *) make_ands_explicit(shard->having));
	for (int i = 0; i < list_length(shard->group_clause); i++)
		query->groupClause =
			lappend(query->groupClause,
					refer_to_column(builder,
									list_nth(shard->group_clause, i),
									list_nth(shard->group_exprs, i)));
	query->hasAggs = shard->grouped;
	for (int i = 0; i < list_length(shard->sort_clause); i++)
		query->sortClause =
			lappend(query->sortClause,
					refer_to_column(builder,
									list_nth(shard->sort_clause, i),
									list_nth(shard->sort_exprs, i)));
	if (shard->limit)
	{
		query->limitCount = shard->limit;
		if (!IsA(shard->limit, Const))
		{
			RelabelType *relabel = (RelabelType *)
			planner_make_param(shard->limit, &builder->params);

			query->limitCount = (Node *) relabel;
			builder->limit_param = castNode(Param, relabel->arg)->paramid;
		}
		query->limitOption = shard->limit_option;
	}
	add_lock(builder);
}

/*
 * Add the conditions that are subqueries to WHERE.
 *
 * A subquery is built as a statement is, with columns of the outer one a level
 * up.
 */
static void
add_exists(ShardBuilder *builder)
{
	Query	   *outer = builder->query;
	ListCell   *cell;

	foreach(cell, builder->shard->exists)
	{
		PlannerExists *exists = (PlannerExists *) lfirst(cell);
		Query	   *query = makeNode(Query);
		SubLink    *link = makeNode(SubLink);
		List	   *quals = list_concat_copy(exists->what->quals,
											 exists->condition);
		Relids		saved = builder->params.relids;
		Node	   *clause = (Node *) link;

		query->commandType = CMD_SELECT;
		builder->query = query;
		builder->inner = exists->what->relids;
		builder->params.relids = bms_union(saved, builder->inner);
		add_entries(builder, builder->inner);
		query->jointree =
			makeFromExpr((List *) translate(builder,
											(Node *) exists->what->from),
						 quals == NIL ? NULL :
						 translate(builder,
								   (Node *) make_ands_explicit(quals)));
		query->targetList =
			list_make1(makeTargetEntry((Expr *) makeBoolConst(true, false), 1,
									   "found", false));
		builder->params.relids = saved;
		builder->inner = NULL;
		builder->query = outer;

		link->subLinkType = EXISTS_SUBLINK;
		link->subselect = (Node *) query;
		link->location = -1;
		if (exists->negated)
			clause = (Node *) make_notclause((Expr *) clause);
		outer->jointree->quals = make_and_qual(outer->jointree->quals, clause);
		outer->hasSubLinks = true;
	}
}

/* The range table */
static void
add_relations(ShardBuilder *builder)
{
	builder->numbers =
		palloc0((list_length(builder->root->parse->rtable) + 1) * sizeof(int));
	add_entries(builder, builder->shard->relids);
}

/* Add relations to the range table of the query that is built. */
static void
add_entries(ShardBuilder *builder, Relids relids)
{
	PlannerInfo *root = builder->root;
	Query	   *query = builder->query;

	for (int i = -1; (i = bms_next_member(relids, i)) >= 0;)
	{
		RangeTblEntry *rte = copyObject(planner_rt_fetch(i, root));

		rte->inh = true;
		rte->securityQuals = NIL;
		query->rtable = lappend(query->rtable, rte);
		builder->numbers[i] = list_length(query->rtable);
	}
}

/*
 * The target list.  Names of columns are chosen such that no ORDER BY can mean
 * one of them, where it means a column of the table.
 */
static void
build_targets(ShardBuilder *builder)
{
	Query	   *query = builder->query;
	ListCell   *cell;

	foreach(cell, builder->columns)
	{
		int			number = foreach_current_index(cell) + 1;
		TargetEntry *entry;

		entry = makeTargetEntry((Expr *) translate(builder, lfirst(cell)),
								number, psprintf("vecdb:%d", number), false);
		entry->ressortgroupref = number;
		query->targetList = lappend(query->targetList, entry);
	}
}

/* A clause of ORDER BY or GROUP BY that refers to the column "expr". */
static SortGroupClause *
refer_to_column(ShardBuilder *builder, SortGroupClause *clause, Node *expr)
{
	SortGroupClause *copy = copyObject(clause);
	ListCell   *cell;

	foreach(cell, builder->columns)
	{
		if (equal(lfirst(cell), expr))
		{
			copy->tleSortGroupRef = foreach_current_index(cell) + 1;
			return copy;
		}
	}
	elog(ERROR, "no column of a shard statement is what it is sorted by");
}

/* Have the groups lock the rows that they read, if that is asked for. */
static void
add_lock(ShardBuilder *builder)
{
	const RowMarkClause *lock;
	RowMarkClause *mark;

	if (bms_num_members(builder->shard->relids) != 1)
		return;
	lock = planner_lock(builder->shard->relid);
	if (lock == NULL)
		return;
	mark = makeNode(RowMarkClause);
	mark->rti = 1;
	mark->strength = lock->strength;
	mark->waitPolicy = lock->waitPolicy;
	builder->query->rowMarks = list_make1(mark);
	builder->query->hasForUpdate = true;
}

/*
 * An expression of root in terms of the shard statement.
 */
static Node *
translate(ShardBuilder *builder, Node *node)
{
	return renumber_mutator(planner_take_out(node, &builder->params),
							builder);
}

static Node *
renumber_mutator(Node *node, ShardBuilder *builder)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
	{
		Var		   *var = copyObject((Var *) node);

		if (builder->inner && !bms_is_member(var->varno, builder->inner))
			var->varlevelsup = 1;
		var->varno = builder->numbers[var->varno];
		var->varnosyn = 0;
		var->varattnosyn = 0;
		/* the table has another number there */
		if (var->varattno == TableOidAttributeNumber)
			return planner_table_oid(var,
									 planner_rt_fetch(((Var *) node)->varno,
													  builder->root)->relid,
									 has_outer_join((Node *) builder->shard->from,
													NULL),
									 OIDOID);
		return (Node *) var;
	}
	if (IsA(node, RangeTblRef))
	{
		RangeTblRef *ref = makeNode(RangeTblRef);

		ref->rtindex = builder->numbers[((RangeTblRef *) node)->rtindex];
		return (Node *) ref;
	}
	if (IsA(node, JoinExpr))
	{
		JoinExpr   *join = makeNode(JoinExpr);

		*join = *(JoinExpr *) node;
		join->larg = renumber_mutator(join->larg, builder);
		join->rarg = renumber_mutator(join->rarg, builder);
		join->quals = renumber_mutator(join->quals, builder);
		join->rtindex = add_join_entry(join, builder->query);
		return (Node *) join;
	}
	return expression_tree_mutator(node, renumber_mutator, builder);
}

/* May rows of a table be missing, by an outer join? */
static bool
has_outer_join(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, JoinExpr) && ((JoinExpr *) node)->jointype != JOIN_INNER)
		return true;
	return expression_tree_walker(node, has_outer_join, context);
}

/*
 * Add a join to the range table: a list of all columns of both sides.  Returns
 * its number.
 */
static int
add_join_entry(JoinExpr *join, Query *query)
{
	RangeTblEntry *entry = makeNode(RangeTblEntry);

	entry->rtekind = RTE_JOIN;
	entry->jointype = join->jointype;
	entry->inFromCl = true;
	entry->eref = makeAlias("join", NIL);
	entry->joinleftcols = add_side_columns(join->larg, query, entry);
	entry->joinrightcols = add_side_columns(join->rarg, query, entry);
	query->rtable = lappend(query->rtable, entry);
	return list_length(query->rtable);
}

/*
 * Add the columns of a side to those of a join.  Returns their numbers there.
 */
static List *
add_side_columns(Node *side, Query *query, RangeTblEntry *join)
{
	int			number = IsA(side, RangeTblRef) ?
	((RangeTblRef *) side)->rtindex : castNode(JoinExpr, side)->rtindex;
	RangeTblEntry *rte = rt_fetch(number, query->rtable);
	List	   *columns = NIL;
	ListCell   *cell;

	foreach(cell, rte->eref->colnames)
	{
		AttrNumber	attno = foreach_current_index(cell) + 1;
		Var		   *var;

		if (rte->rtekind == RTE_JOIN)
		{
			var = copyObject(list_nth_node(Var, rte->joinaliasvars,
										   attno - 1));
			var->varno = number;
			var->varattno = attno;
		}
		else
		{
			if (get_rte_attribute_is_dropped(rte, attno))
				continue;
			var = planner_make_column(rte->relid, number, attno);
		}
		columns = lappend_int(columns, attno);
		join->joinaliasvars = lappend(join->joinaliasvars, var);
		join->eref->colnames = lappend(join->eref->colnames, lfirst(cell));
	}
	return columns;
}

/* How rows of several groups are merged. */
static void
set_merge(VdbPlan *plan, ShardBuilder *builder)
{
	PlannerShard *shard = builder->shard;
	int			count = list_length(shard->sort_clause);

	plan->sort_count = count;
	plan->sort_columns = palloc(count * sizeof(AttrNumber));
	plan->sort_operators = palloc(count * sizeof(Oid));
	plan->sort_collations = palloc(count * sizeof(Oid));
	plan->sort_nulls_first = palloc(count * sizeof(bool));
	for (int i = 0; i < count; i++)
	{
		SortGroupClause *clause = list_nth(shard->sort_clause, i);
		Node	   *expr = list_nth(shard->sort_exprs, i);

		plan->sort_columns[i] = (AttrNumber)
			refer_to_column(builder, clause, expr)->tleSortGroupRef;
		plan->sort_operators[i] = clause->sortop;
		plan->sort_collations[i] = exprCollation(expr);
		plan->sort_nulls_first[i] = clause->nulls_first;
	}
}
