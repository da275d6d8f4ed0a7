/*-------------------------------------------------------------------------
 *
 * planner_upper.c
 *	  ORDER BY and LIMIT at the groups.
 *
 * Each group sorts its rows, by its index where it has one, and stops after as
 * many as the whole statement can want of it: LIMIT + OFFSET.  The plan node
 * merges them.  PostgreSQL's own Limit stays above and counts.
 *
 * The ordered path returns no more rows than LIMIT wants, although what is
 * above it is told that it is sorted and not that it is cut short.  That is
 * right because nothing but Limit stands above: LockRows and set-returning
 * functions are excluded here.
 *
 * IDENTIFICATION
 *	  src/planner/planner_upper.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/tlist.h"
#include "utils/fmgroids.h"

#include "planner_private.h"

/* Parameters up to this are added to another, others are as good as all */
#define LARGEST_SUMMAND (INT64CONST(1) << 62)

static bool push_order(PlannerInfo *root, PlannerShard *shard);
static bool push_limit(PlannerInfo *root, PlannerShard *shard);
static Node *make_limit(Node *count, Node *offset);
static Node *make_comparison(Node *value);
static double limited_rows(PlannerInfo *root, RelOptInfo *input,
						   PlannerShard *shard);

/*
 * planner_ordered_paths -- have the groups sort, and limit if there is a LIMIT
 *
 * The only path then: it gets the fewest rows.
 */
void
planner_ordered_paths(PlannerInfo *root, RelOptInfo *input,
					  RelOptInfo *output)
{
	PlannerShard *shard = (PlannerShard *) palloc(sizeof(PlannerShard));
	CustomPath *path;

	*shard = *planner_shard(input);
	if (root->parse->commandType != CMD_SELECT ||
		root->parse->rowMarks != NIL || root->parse->hasTargetSRFs ||
		!push_order(root, shard))
		return;
	(void) push_limit(root, shard);

	path = planner_shard_path(shard, output,
							  root->upper_targets[UPPERREL_ORDERED],
							  limited_rows(root, input, shard));
	path->path.pathkeys = root->sort_pathkeys;
	output->pathlist = NIL;
	output->partial_pathlist = NIL;
	add_path(output, &path->path);
}

/*
 * planner_final_paths -- have the groups limit what is not sorted
 */
void
planner_final_paths(PlannerInfo *root, RelOptInfo *input, RelOptInfo *output,
					FinalPathExtraData *extra)
{
	Query	   *parse = root->parse;
	PlannerShard *shard = (PlannerShard *) palloc(sizeof(PlannerShard));
	CustomPath *path;

	*shard = *planner_shard(input);
	if (parse->commandType != CMD_SELECT || parse->rowMarks != NIL ||
		parse->hasTargetSRFs || parse->sortClause != NIL ||
		!extra->limit_needed || !push_limit(root, shard))
		return;

	path = planner_shard_path(shard, output,
							  root->upper_targets[UPPERREL_FINAL],
							  limited_rows(root, input, shard));
	output->pathlist = NIL;
	output->partial_pathlist = NIL;
	add_path(output, (Path *)
			 create_limit_path(root, output, &path->path, parse->limitOffset,
							   parse->limitCount, parse->limitOption,
							   extra->offset_est, extra->count_est));
}

/* Add ORDER BY to a shard statement, if the groups can compute it. */
static bool
push_order(PlannerInfo *root, PlannerShard *shard)
{
	ListCell   *cell;

	foreach(cell, root->parse->sortClause)
	{
		SortGroupClause *clause = lfirst_node(SortGroupClause, cell);
		TargetEntry *entry = get_sortgroupclause_tle(clause,
													 root->processed_tlist);
		Node	   *expr = (Node *) entry->expr;

		if (!planner_is_pushable(shard, expr, false, shard->grouped) ||
			!planner_is_transferable(exprType(expr)))
			return false;
		shard->sort_exprs = lappend(shard->sort_exprs, expr);
		shard->sort_clause = lappend(shard->sort_clause, clause);
	}
	return shard->sort_clause != NIL;
}

/* Add LIMIT to a shard statement, if it has one that can be known. */
static bool
push_limit(PlannerInfo *root, PlannerShard *shard)
{
	Query	   *parse = root->parse;
	PlannerShard nothing = {0};

	if (parse->limitCount == NULL ||
		!planner_is_pushable(&nothing, parse->limitCount, false, false) ||
		(parse->limitOffset &&
		 !planner_is_pushable(&nothing, parse->limitOffset, false, false)))
		return false;
	shard->limit = make_limit(parse->limitCount, parse->limitOffset);
	shard->limit_option = parse->limitOption;
	return shard->limit != NULL;
}

/*
 * How many rows are wanted of a group: count + offset, or NULL for all.
 *
 * Values that are null, negative or beyond all measure are PostgreSQL's
 * business: its Limit complains of them before it asks us for rows.
 */
static Node *
make_limit(Node *count, Node *offset)
{
	CaseExpr   *choice;
	CaseWhen   *when;

	if (offset == NULL)
		return count;
	if (IsA(offset, Const) && ((Const *) offset)->constisnull)
		return count;
	if (IsA(count, Const) && IsA(offset, Const))
	{
		int64		sum;

		if (((Const *) count)->constisnull ||
			pg_add_s64_overflow(DatumGetInt64(((Const *) count)->constvalue),
								DatumGetInt64(((Const *) offset)->constvalue),
								&sum))
			return NULL;
		return (Node *) makeConst(INT8OID, -1, InvalidOid, sizeof(int64),
								  Int64GetDatum(sum), false, FLOAT8PASSBYVAL);
	}

	/* CASE WHEN both are small THEN count + offset ELSE NULL END */
	if (!IsA(offset, Const))
	{
		CoalesceExpr *coalesce = makeNode(CoalesceExpr);

		coalesce->coalescetype = INT8OID;
		coalesce->args =
			list_make2(offset,
					   makeConst(INT8OID, -1, InvalidOid, sizeof(int64),
								 Int64GetDatum(0), false, FLOAT8PASSBYVAL));
		coalesce->location = -1;
		offset = (Node *) coalesce;
	}
	when = makeNode(CaseWhen);
	when->expr = (Expr *) make_ands_explicit(list_make2(make_comparison(count),
														make_comparison(offset)));
	when->result = (Expr *) makeFuncExpr(F_INT8PL, INT8OID,
										 list_make2(count, offset),
										 InvalidOid, InvalidOid,
										 COERCE_EXPLICIT_CALL);
	when->location = -1;
	choice = makeNode(CaseExpr);
	choice->casetype = INT8OID;
	choice->args = list_make1(when);
	choice->defresult = (Expr *) makeNullConst(INT8OID, -1, InvalidOid);
	choice->location = -1;
	return (Node *) choice;
}

/* value < LARGEST_SUMMAND */
static Node *
make_comparison(Node *value)
{
	return (Node *) makeFuncExpr(F_INT8LT, BOOLOID,
								 list_make2(value,
											makeConst(INT8OID, -1, InvalidOid,
													  sizeof(int64),
													  Int64GetDatum(LARGEST_SUMMAND),
													  false,
													  FLOAT8PASSBYVAL)),
								 InvalidOid, InvalidOid,
								 COERCE_EXPLICIT_CALL);
}

/* How many rows come from all groups together */
static double
limited_rows(PlannerInfo *root, RelOptInfo *input, PlannerShard *shard)
{
	double		rows = input->rows;

	if (input->pathlist)
		rows = ((Path *) linitial(input->pathlist))->rows;
	if (shard->limit && root->limit_tuples > 0)
		rows = Min(rows,
				   root->limit_tuples * planner_group_count(shard->relid));
	return rows;
}
