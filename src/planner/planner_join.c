/*-------------------------------------------------------------------------
 *
 * planner_join.c
 *	  Joins at the groups.
 *
 * Two kinds of joins need no rows of another group:
 *
 * - of distributed tables that share their shards, if each column of the key of
 *	 one equals that of the other: rows that meet are in the same group;
 * - with a reference table, which each group has whole.  Where it is the side
 *	 that a LEFT JOIN keeps all rows of, it is not pushed: each group would add
 *	 the rows that found no partner there.
 *
 * A semijoin, of EXISTS or IN, becomes EXISTS again; an antijoin NOT EXISTS.
 *
 * IDENTIFICATION
 *	  src/planner/planner_join.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/restrictinfo.h"
#include "utils/lsyscache.h"

#include "planner_private.h"

static bool can_join(PlannerInfo *root, RelOptInfo *joinrel,
					 PlannerShard *outer, PlannerShard *inner, JoinType type);
static bool split_conditions(RelOptInfo *joinrel, PlannerShard *shard,
							 JoinType type, JoinPathExtraData *extra,
							 List **on, List **where);
static bool keys_meet(PlannerShard *outer, PlannerShard *inner, List *on);
static bool key_meets(List *outer, List *inner, List *on);
static void join_sides(PlannerShard *shard, PlannerShard *outer,
					   PlannerShard *inner, JoinType type, List *on);
static bool add_exists(PlannerShard *shard, RelOptInfo *joinrel,
					   PlannerShard *outer, PlannerShard *inner,
					   JoinType type, List *on);
static Node *one_item(List *from);
static Node *make_join(JoinType type, Node *left, Node *right, List *on);

/*
 * planner_join_paths -- have the groups join two relations, if they can
 */
void
planner_join_paths(PlannerInfo *root, RelOptInfo *joinrel, RelOptInfo *outer,
				   RelOptInfo *inner, JoinType type, JoinPathExtraData *extra)
{
	PlannerShard *left = planner_shard(outer);
	PlannerShard *right = planner_shard(inner);
	PlannerShard *shard;
	List	   *on;
	List	   *where;

	if (joinrel->fdw_private != NULL ||
		!can_join(root, joinrel, left, right, type))
		return;

	shard = (PlannerShard *) palloc0(sizeof(PlannerShard));
	shard->relids = bms_union(left->relids, right->relids);
	shard->as_other = left->as_other;
	if (!split_conditions(joinrel, shard, type, extra, &on, &where))
		return;
	if (OidIsValid(left->relid) && OidIsValid(right->relid) &&
		!keys_meet(left, right, on))
		return;

	if (type == JOIN_SEMI || type == JOIN_ANTI)
	{
		if (where != NIL || !add_exists(shard, joinrel, left, right, type, on))
			return;
	}
	else
		join_sides(shard, left, right, type, on);
	shard->quals = list_concat(shard->quals, where);
	shard->complete = true;
	joinrel->fdw_private = shard;
	if (OidIsValid(shard->relid))
		add_path(joinrel, (Path *)
				 planner_shard_path(shard, joinrel, joinrel->reltarget,
									joinrel->rows));
}

/* Can two relations be joined at the groups, whatever the condition? */
static bool
can_join(PlannerInfo *root, RelOptInfo *joinrel, PlannerShard *outer,
		 PlannerShard *inner, JoinType type)
{
	bool		left = OidIsValid(outer->relid);
	bool		right = OidIsValid(inner->relid);
	ListCell   *cell;

	if (!outer->complete || !inner->complete || outer->grouped ||
		inner->grouped || !bms_is_empty(joinrel->lateral_relids))
		return false;
	if (left && right && outer->colocation != inner->colocation)
		return false;
	if (outer->role != inner->role)
		return false;

	if (type == JOIN_LEFT || type == JOIN_SEMI || type == JOIN_ANTI)
	{
		if ((right && !left) || inner->exists != NIL)
			return false;
	}
	else if (type == JOIN_FULL)
	{
		/* what is tested before the join cannot be tested after it */
		if (left != right || outer->quals != NIL || inner->quals != NIL ||
			outer->exists != NIL || inner->exists != NIL)
			return false;
	}
	else if (type != JOIN_INNER)
		return false;

	/* what is computed below the join has to be null above it */
	foreach(cell, root->placeholder_list)
	{
		PlaceHolderInfo *info = lfirst_node(PlaceHolderInfo, cell);

		if (bms_is_subset(info->ph_eval_at, joinrel->relids) &&
			bms_nonempty_difference(joinrel->relids, info->ph_eval_at))
			return false;
	}
	return true;
}

/*
 * The conditions of a join: those of ON, and those of WHERE.  Returns false if
 * one cannot be pushed.
 */
static bool
split_conditions(RelOptInfo *joinrel, PlannerShard *shard, JoinType type,
				 JoinPathExtraData *extra, List **on, List **where)
{
	ListCell   *cell;

	*on = NIL;
	*where = NIL;
	foreach(cell, extra->restrictlist)
	{
		RestrictInfo *info = lfirst_node(RestrictInfo, cell);

		if (!planner_is_pushable(shard, (Node *) info->clause, false, false) ||
			(info->security_level > 0 && !info->leakproof))
			return false;
		if (type != JOIN_INNER && type != JOIN_SEMI &&
			RINFO_IS_PUSHED_DOWN(info, joinrel->relids))
			*where = lappend(*where, info->clause);
		else
			*on = lappend(*on, info->clause);
	}
	return true;
}

/* Do rows that meet have the same key? */
static bool
keys_meet(PlannerShard *outer, PlannerShard *inner, List *on)
{
	if (outer->keys == NIL ||
		list_length(outer->keys) != list_length(inner->keys))
		return false;
	for (int i = 0; i < list_length(outer->keys); i++)
	{
		if (!key_meets((List *) list_nth(outer->keys, i),
					   (List *) list_nth(inner->keys, i), on))
			return false;
	}
	return true;
}

/* Does a condition say that a key column of both sides is equal? */
static bool
key_meets(List *outer, List *inner, List *on)
{
	ListCell   *cell;

	foreach(cell, on)
	{
		OpExpr	   *operation = (OpExpr *) lfirst(cell);
		Node	   *left;
		Node	   *right;

		if (!IsA(operation, OpExpr) || list_length(operation->args) != 2)
			continue;
		left = planner_strip(linitial(operation->args));
		right = planner_strip(lsecond(operation->args));
		if (((planner_has_member(outer, left) &&
			  planner_has_member(inner, right)) ||
			 (planner_has_member(outer, right) &&
			  planner_has_member(inner, left))) &&
			exprType(left) == exprType(right) &&
			planner_is_equality(operation->opno, operation->inputcollid,
								exprType(left)))
			return true;
	}
	return false;
}

/*
 * Put two shard statements together.
 */
static void
join_sides(PlannerShard *shard, PlannerShard *outer, PlannerShard *inner,
		   JoinType type, List *on)
{
	PlannerShard *owner = OidIsValid(outer->relid) ? outer : inner;

	shard->relid = owner->relid;
	shard->colocation = owner->colocation;
	shard->role = owner->role;
	shard->exists = list_concat_copy(outer->exists, inner->exists);
	shard->work = outer->work + inner->work;
	if (type == JOIN_INNER)
	{
		shard->from = list_concat_copy(outer->from, inner->from);
		shard->quals = list_concat_copy(outer->quals, inner->quals);
		shard->quals = list_concat(shard->quals, on);
		if (owner == outer && OidIsValid(inner->relid))
		{
			for (int i = 0; i < list_length(outer->keys); i++)
				shard->keys =
					lappend(shard->keys,
							list_concat_copy((List *) list_nth(outer->keys, i),
											 (List *) list_nth(inner->keys, i)));
		}
		else
			shard->keys = owner->keys;
		return;
	}

	/* of a FULL JOIN either key may be null */
	if (type == JOIN_LEFT)
		shard->keys = outer->keys;
	shard->from = list_make1(make_join(type, one_item(outer->from),
									   one_item(inner->from),
									   list_concat_copy(inner->quals, on)));
	shard->quals = list_copy(outer->quals);
}

/*
 * A semijoin is the outer side and a condition.  Returns false if columns of
 * the inner side are wanted above.
 */
static bool
add_exists(PlannerShard *shard, RelOptInfo *joinrel, PlannerShard *outer,
		   PlannerShard *inner, JoinType type, List *on)
{
	PlannerExists *exists = (PlannerExists *) palloc(sizeof(PlannerExists));

	if (!bms_is_subset(pull_varnos(NULL, (Node *) joinrel->reltarget->exprs),
					   outer->relids))
		return false;
	exists->what = inner;
	exists->condition = on;
	exists->negated = type == JOIN_ANTI;
	*shard = *outer;
	shard->quals = list_copy(outer->quals);
	shard->exists = lappend(list_copy(outer->exists), exists);
	shard->work += inner->work;
	return true;
}

/* A list of FROM as one item; its conditions are elsewhere */
static Node *
one_item(List *from)
{
	Node	   *item = (Node *) linitial(from);

	for (int i = 1; i < list_length(from); i++)
		item = make_join(JOIN_INNER, item, (Node *) list_nth(from, i), NIL);
	return item;
}

/* A join.  Its number in the range table is given when it is printed. */
static Node *
make_join(JoinType type, Node *left, Node *right, List *on)
{
	JoinExpr   *join = makeNode(JoinExpr);

	join->jointype = type;
	join->larg = left;
	join->rarg = right;
	join->quals = on == NIL ? (Node *) makeBoolConst(true, false) :
		(Node *) make_ands_explicit(on);
	return (Node *) join;
}
