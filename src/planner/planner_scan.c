/*-------------------------------------------------------------------------
 *
 * planner_scan.c
 *	  Paths of a single distributed table.
 *
 * All that PostgreSQL has thought of is thrown away, since it reads the own
 * group's rows only.  Its cost says what the work of a group is.
 *
 * Paths with parameters are what makes a nested loop send one small statement
 * per outer row, instead of fetching the table once.
 *
 * IDENTIFICATION
 *	  src/planner/planner_scan.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/cost.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/prep.h"
#include "optimizer/restrictinfo.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

#include "vecdb/lib_compat.h"
#include "planner_private.h"

/* Which member of an equivalence class is asked for */
typedef struct MemberSearch
{
	Expr	   *current;		/* the one to look for now, or NULL */
	List	   *used;			/* those that have been looked for */
} MemberSearch;

static PlannerShard *make_shard(RelOptInfo *rel, Index rti,
								RangeTblEntry *rte, const VdbTable *table);
static bool push_clauses(RelOptInfo *rel, PlannerShard *shard);
static double cheapest_work(RelOptInfo *rel);
static void add_parameterized_paths(PlannerInfo *root, RelOptInfo *rel,
									PlannerShard *shard, double work);
static List *join_parameters(PlannerInfo *root, RelOptInfo *rel,
							 PlannerShard *shard);
static List *note_parameters(PlannerInfo *root, RelOptInfo *rel,
							 PlannerShard *shard, RestrictInfo *info,
							 List *found);
static bool is_member_wanted(PlannerInfo *root, RelOptInfo *rel,
							 EquivalenceClass *class,
							 EquivalenceMember *member, void *arg);

/*
 * planner_scan_paths -- replace the paths of a distributed table, or note what
 * can be pushed with a reference table
 *
 * A reference table is read here, unless a host of this group has to be chosen
 * for it at execution.  That is not done for statements that write or lock:
 * they are the primary's, and PostgreSQL fetches rows again by ctid.
 */
void
planner_scan_paths(PlannerInfo *root, RelOptInfo *rel, Index rti,
				   RangeTblEntry *rte, const VdbTable *table)
{
	PlannerShard *shard;
	double		work;

	if (rel->reloptkind != RELOPT_BASEREL &&
		rel->reloptkind != RELOPT_OTHER_MEMBER_REL)
		return;

	shard = make_shard(rel, rti, rte, table);
	shard->role = vdb_check_as_user(VDB_PERMISSIONS(root->parse), rte);
	shard->as_other = OidIsValid(shard->role) && shard->role != GetUserId();
	/* another user must not get a plan that trusts this one */
	if (OidIsValid(shard->role))
		root->glob->dependsOnRole = true;
	shard->complete = push_clauses(rel, shard) &&
		bms_is_empty(rel->lateral_relids);
	if (rel->reloptkind == RELOPT_BASEREL)
		rel->fdw_private = shard;
	work = cheapest_work(rel);
	shard->work = work / planner_group_count(shard->relid);

	if (table->kind == VDB_TABLE_REFERENCE &&
		(planner_reads_copies() ||
		 get_plan_rowmark(root->rowMarks, rti) != NULL))
		return;

	if (rte->inh && table->kind != VDB_TABLE_REFERENCE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("distributed table \"%s\" cannot have partitions or children",
						get_rel_name(rte->relid))));

	rel->pathlist = NIL;
	rel->partial_pathlist = NIL;
	rel->consider_parallel = false;
	add_parameterized_paths(root, rel, shard, shard->work);
}

/* The shard statement that reads a table. */
static PlannerShard *
make_shard(RelOptInfo *rel, Index rti, RangeTblEntry *rte,
		   const VdbTable *table)
{
	PlannerShard *shard = (PlannerShard *) palloc0(sizeof(PlannerShard));
	RangeTblRef *ref = makeNode(RangeTblRef);

	ref->rtindex = rti;
	shard->relids = bms_copy(rel->relids);
	shard->from = list_make1(ref);
	if (table->kind != VDB_TABLE_DISTRIBUTED)
		return shard;

	shard->relid = rte->relid;
	shard->colocation = table->colocation;
	for (int i = 0; i < table->key_count; i++)
		shard->keys = lappend(shard->keys,
							  list_make1(planner_make_column(rte->relid, rti,
															 table->keys[i])));
	return shard;
}

/*
 * Put the clauses of a table into its shard statement.  Returns false when
 * some have to be tested here.
 */
static bool
push_clauses(RelOptInfo *rel, PlannerShard *shard)
{
	bool		all = true;
	ListCell   *cell;

	foreach(cell, rel->baserestrictinfo)
	{
		RestrictInfo *info = lfirst_node(RestrictInfo, cell);

		if (planner_is_pushable(shard, (Node *) info->clause, false, false) &&
			(info->security_level == 0 || info->leakproof))
			shard->quals = lappend(shard->quals, info->clause);
		else
			all = false;
	}
	return all;
}

/* What the cheapest of PostgreSQL's paths costs. */
static double
cheapest_work(RelOptInfo *rel)
{
	double		work = -1;
	ListCell   *cell;

	foreach(cell, rel->pathlist)
	{
		Path	   *path = (Path *) lfirst(cell);

		if (path->param_info == NULL &&
			(work < 0 || path->total_cost < work))
			work = path->total_cost;
	}
	return Max(work, 0);
}

/*
 * Add the plain path, and one for each set of relations that may give
 * parameters.
 */
static void
add_parameterized_paths(PlannerInfo *root, RelOptInfo *rel,
						PlannerShard *shard, double work)
{
	CustomPath *path = planner_shard_path(shard, rel, rel->reltarget,
										  rel->rows);
	ListCell   *cell;

	path->path.param_info =
		get_baserel_parampathinfo(root, rel, rel->lateral_relids);
	add_path(rel, &path->path);

	foreach(cell, join_parameters(root, rel, shard))
	{
		ParamPathInfo *info = (ParamPathInfo *) lfirst(cell);
		double		all = Max(rel->rows, 1);

		path = planner_shard_path(shard, rel, rel->reltarget,
								  info->ppi_rows);
		path->path.param_info = info;
		/* an index is likely to be there for it */
		path->path.total_cost -= work * (1 - Min(info->ppi_rows / all, 1));
		add_path(rel, &path->path);
	}
}

/*
 * The sets of relations from which clauses of joins can get their values.
 */
static List *
join_parameters(PlannerInfo *root, RelOptInfo *rel, PlannerShard *shard)
{
	List	   *found = NIL;
	ListCell   *cell;

	foreach(cell, rel->joininfo)
	{
		RestrictInfo *info = lfirst_node(RestrictInfo, cell);

		if (join_clause_is_movable_to(info, rel))
			found = note_parameters(root, rel, shard, info, found);
	}

	if (rel->has_eclass_joins)
	{
		MemberSearch search = {NULL, NIL};

		for (;;)
		{
			List	   *clauses;

			search.current = NULL;
			clauses =
				generate_implied_equalities_for_column(root, rel,
													   is_member_wanted,
													   &search,
													   rel->lateral_referencers);
			if (search.current == NULL)
				break;
			foreach(cell, clauses)
			{
				RestrictInfo *info = lfirst_node(RestrictInfo, cell);

				if (join_clause_is_movable_to(info, rel))
					found = note_parameters(root, rel, shard, info, found);
			}
			search.used = lappend(search.used, search.current);
		}
	}
	return found;
}

/* Add what a clause needs to the sets, if it can be pushed. */
static List *
note_parameters(PlannerInfo *root, RelOptInfo *rel, PlannerShard *shard,
				RestrictInfo *info, List *found)
{
	Relids		outer;

	if (!planner_is_pushable(shard, (Node *) info->clause, true, false))
		return found;
	outer = bms_union(info->clause_relids, rel->lateral_relids);
	outer = bms_del_members(outer, rel->relids);
	if (bms_is_empty(outer))
		return found;
	return list_append_unique_ptr(found,
								  get_baserel_parampathinfo(root, rel, outer));
}

/*
 * Called for members of equivalence classes that are of our relation: takes
 * one that has not been looked for, and all that are equal to it.
 */
static bool
is_member_wanted(PlannerInfo *root, RelOptInfo *rel, EquivalenceClass *class,
				 EquivalenceMember *member, void *arg)
{
	MemberSearch *search = (MemberSearch *) arg;

	if (search->current != NULL)
		return equal(member->em_expr, search->current);
	if (list_member(search->used, member->em_expr))
		return false;
	search->current = member->em_expr;
	return true;
}
