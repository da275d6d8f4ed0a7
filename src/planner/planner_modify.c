/*-------------------------------------------------------------------------
 *
 * planner_modify.c
 *	  Plans of INSERT, UPDATE, DELETE and MERGE over several groups.
 *
 * Such a plan is one node, VDB_WRITE_NODE, over a plan that PostgreSQL makes
 * of a SELECT: the values that the shard statement gets as parameters.  For
 * INSERT that is a row for each row to be inserted, planner_insert.c; for the
 * other commands it is one row, with everything that has to be known before
 * the statement is sent to the groups: var-free stable expressions, and
 * subqueries that read other rows than those which the groups have at hand.
 *
 * The SELECT keeps the range table of the statement, so that permissions,
 * locks and read-only transactions are dealt with as for any statement.
 *
 * IDENTIFICATION
 *	  src/planner/planner_modify.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/planner.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "vecdb/lib_compat.h"
#include "vecdb/planner_write.h"
#include "planner_private.h"

/* Whose permissions a statement needs */
typedef struct RoleSearch
{
	bool		found;
	bool		any;			/* of an owner of a view, the current user too */
	bool		several;
	Oid			role;			/* InvalidOid: the current user's */
} RoleSearch;

static const char *kind_of(const VdbTable *table);
static bool set_role(PlannerWrite *write);
static bool find_roles(Node *node, RoleSearch *search);
static bool has_triggers(Oid relid);
static void check_common_tables(Query *query);
static Query *fix_system_columns(Query *query);
static void plan_update(PlannerWrite *write, Query *query);
static void read_table(Query *source, Query *subquery);
static Node *fill_in_values(Node *node, List *values);
static void set_parameters(PlannerWrite *write, List *params);
static PlannedStmt *put_on_top(PlannerWrite *write, Query *query,
							   PlannedStmt *stmt);

PlannedStmt *
planner_modify(Query *query, const char *query_string, int cursor_options,
			   ParamListInfo bound_params)
{
	PlannerWrite write = {0};
	PlannedStmt *stmt;
	bool		as_owner;
	List	   *params;

	planner_check_returning(query->returningList);
	query = fix_system_columns(query);

	write.plan.command = query->commandType;
	write.plan.relid = rt_fetch(query->resultRelation, query->rtable)->relid;
	if (query->commandType == CMD_INSERT)
		planner_insert(&write, query);
	else
		plan_update(&write, query);
	planner_split_returning(&write, query);
	as_owner = set_role(&write);

	write.plan.sql = planner_deparse(write.shard, &params);
	set_parameters(&write, params);

	/* what is below may be parallel or scrollable by itself, not with this */
	cursor_options &= ~(CURSOR_OPT_PARALLEL_OK | CURSOR_OPT_SCROLL);
	stmt = planner(write.source, query_string, cursor_options, bound_params);
	stmt->dependsOnRole |= as_owner;
	return put_on_top(&write, query, stmt);
}

/*
 * Who executes the shard statement: the owner of the view by which the client
 * writes, as far as permissions go.  The groups have no other way to ask for
 * his permissions than to act as he.  Returns true if that, or that it is the
 * current user, was decided.
 */
static bool
set_role(PlannerWrite *write)
{
	RoleSearch	search = {0};
	const char *name = get_rel_name(write->plan.relid);

	(void) find_roles((Node *) write->shard, &search);
	write->plan.role = search.role;
	if (search.several)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot write to table \"%s\" with the permissions of several roles",
						name),
				 errdetail("A view reads or writes tables as its owner, and the statement others as somebody else."),
				 errhint("Let one view do both, or write to the table itself.")));
	if (OidIsValid(search.role) &&
		(!planner_is_trusted((Node *) write->shard) ||
		 has_triggers(write->plan.relid)))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot write to table \"%s\" through a view of another owner",
						name),
				 errdetail("Groups execute the statement as the owner of the view, and so would they triggers, functions and domains of users."),
				 errhint("Write to the table itself, or compute values before.")));
	return search.any;
}

/* Collect who asks for the tables of the other groups. */
static bool
find_roles(Node *node, RoleSearch *search)
{
	ListCell   *cell;
	Query	   *query = (Query *) node;

	if (node == NULL)
		return false;
	if (!IsA(node, Query))
		return expression_tree_walker(node, find_roles, search);
	foreach(cell, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);
		Oid			role;

		/* "excluded" is no table */
		if (planner_shared_table(rte) == NULL ||
			rte->relkind == RELKIND_COMPOSITE_TYPE)
			continue;
		role = vdb_check_as_user(VDB_PERMISSIONS(query), rte);
		search->any |= OidIsValid(role);
		if (role == GetUserId())
			role = InvalidOid;
		search->several |= search->found && role != search->role;
		search->found = true;
		search->role = role;
	}
	return query_tree_walker(query, find_roles, search, 0);
}

/* Has a table triggers that are not of constraints? */
static bool
has_triggers(Oid relid)
{
	Relation	rel = table_open(relid, NoLock);
	bool		found = false;

	for (int i = 0; rel->trigdesc && i < rel->trigdesc->numtriggers; i++)
		found |= !rel->trigdesc->triggers[i].tgisinternal;
	table_close(rel, NoLock);
	return found;
}

/*
 * planner_check_writes -- refuse what no plan can do
 *
 * To be called for every statement that writes a distributed or reference
 * table, or may do so in a WITH clause, also when it is pinned to one group.
 */
void
planner_check_writes(Query *query)
{
	const VdbTable *table;
	ListCell   *cell;

	table = query->resultRelation == 0 ? NULL :
		vdb_catalog_table(rt_fetch(query->resultRelation,
								   query->rtable)->relid);
	planner_check_keys(query, table);
	if (table == NULL)
		return;

	foreach(cell, query->withCheckOptions)
	{
		if (lfirst_node(WithCheckOption, cell)->kind == WCO_VIEW_CHECK)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot write to %s table \"%s\" through a view with a check option",
							kind_of(table), get_rel_name(table->relid)),
					 errhint("Write to the table itself.")));
	}
}

/*
 * planner_check_keys -- refuse what would leave a row in the wrong group
 *
 * The table is that which is written, or NULL.
 */
void
planner_check_keys(Query *query, const VdbTable *table)
{
	ListCell   *cell;

	check_common_tables(query);
	if (table == NULL || table->kind != VDB_TABLE_DISTRIBUTED)
		return;
	if (query->commandType == CMD_UPDATE)
		planner_check_keys_kept(table, query->targetList,
								query->resultRelation, 0);
	if (query->commandType == CMD_INSERT && query->onConflict)
		planner_check_conflict(table, query);
	if (query->commandType == CMD_MERGE)
	{
		foreach(cell, query->mergeActionList)
		{
			MergeAction *action = lfirst_node(MergeAction, cell);

			if (action->commandType == CMD_UPDATE)
				planner_check_keys_kept(table, action->targetList,
										query->resultRelation, 0);
		}
	}
}

/* What a table is called in messages */
static const char *
kind_of(const VdbTable *table)
{
	return table->kind == VDB_TABLE_REFERENCE ? "reference" : "distributed";
}

/*
 * planner_can_pin -- do keys of the rows read say where all rows are written?
 *
 * MERGE also inserts rows that it did not find, with keys of their own.
 */
bool
planner_can_pin(Query *query)
{
	ListCell   *cell;

	foreach(cell, query->mergeActionList)
	{
		if (lfirst_node(MergeAction, cell)->commandType == CMD_INSERT)
			return false;
	}
	return true;
}

/* A WITH clause may write ordinary tables only. */
static void
check_common_tables(Query *query)
{
	ListCell   *cell;

	foreach(cell, query->cteList)
	{
		CommonTableExpr *cte = lfirst_node(CommonTableExpr, cell);
		Query	   *inner = castNode(Query, cte->ctequery);
		Oid			relid;

		if (inner->commandType == CMD_SELECT || inner->resultRelation == 0)
			continue;
		relid = rt_fetch(inner->resultRelation, inner->rtable)->relid;
		if (vdb_catalog_table(relid) == NULL)
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot write to %s table \"%s\" in a WITH clause",
						kind_of(vdb_catalog_table(relid)),
						get_rel_name(relid)),
				 errhint("Write it in a statement of its own, in the same transaction.")));
	}
}

/*
 * planner_check_keys_kept -- an UPDATE must not change a distribution key
 *
 * Setting the key to itself, or to that of the row which was to be inserted
 * ("excluded", 0 if there is none), is what some clients do and is harmless.
 */
void
planner_check_keys_kept(const VdbTable *table, List *target_list, int target,
						int excluded)
{
	ListCell   *cell;

	foreach(cell, target_list)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);
		Var		   *var = (Var *) strip_implicit_coercions((Node *) entry->expr);

		if (entry->resjunk)
			continue;
		if (IsA(var, Var) && var->varlevelsup == 0 &&
			var->varattno == entry->resno &&
			(var->varno == target || (excluded && var->varno == excluded)))
			continue;
		for (int i = 0; i < table->key_count; i++)
		{
			if (table->keys[i] == entry->resno)
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("cannot change column \"%s\" of table \"%s\", which is in its distribution key",
								get_attname(table->relid, entry->resno, false),
								get_rel_name(table->relid)),
						 errhint("Delete the row and insert it with its new key, in one transaction.")));
		}
	}
}

/*
 * A copy of the statement in which system columns mean the same in each group.
 * What an INSERT reads is not sent, and nothing here minds what it means.
 */
static Query *
fix_system_columns(Query *query)
{
	if (query->commandType != CMD_INSERT)
		return (Query *)
			planner_fix_system_columns((Node *) query, query, true);
	query = copyObject(query);
	query->returningList = (List *)
		planner_fix_system_columns((Node *) query->returningList, query, true);
	query->onConflict = (OnConflictExpr *)
		planner_fix_system_columns((Node *) query->onConflict, query, true);
	return query;
}

/*
 * UPDATE, DELETE and MERGE: the same statement for every group.
 *
 * The source is a SELECT without FROM, that has nothing but the parameters.
 */
static void
plan_update(PlannerWrite *write, Query *query)
{
	const VdbTable *table = vdb_catalog_table(write->plan.relid);
	List	   *tables = NIL;
	const char *reason;
	ListCell   *cell;

	write->plan.target = table->kind == VDB_TABLE_REFERENCE ?
		VDB_WRITE_EVERYWHERE : VDB_WRITE_OWNERS;
	write->shard = planner_make_local(query, &write->values, &tables, &reason);
	if (write->shard == NULL && query->commandType == CMD_MERGE)
	{
		write->values = NIL;
		if (planner_merge_rows(write, query))
			return;
	}
	if (write->shard == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot execute this statement on all groups"),
				 errdetail("%s", reason),
				 errhint("Join colocated tables on the distribution key, or put what it reads into a temporary table and write it row by row or with INSERT ... SELECT.")));
	write->shard->withCheckOptions = NIL;

	write->source = copyObject(query);
	planner_clear_source(write->source);
	write->source->jointree = makeFromExpr(NIL, NULL);
	write->source->cteList = NIL;
	foreach(cell, write->source->rtable)
	{
		if (lfirst_node(RangeTblEntry, cell)->rtekind != RTE_RELATION)
			lfirst(cell) = planner_make_empty_entry();
	}
	foreach(cell, tables)
		read_table(write->source, lfirst_node(Query, cell));
}

/* Have the source read a subquery, too. */
static void
read_table(Query *source, Query *subquery)
{
	RangeTblEntry *entry = makeNode(RangeTblEntry);
	RangeTblRef *reference = makeNode(RangeTblRef);

	entry->rtekind = RTE_SUBQUERY;
	entry->subquery = subquery;
	entry->eref = makeAlias("computed", NIL);
	for (int i = 1; i <= list_length(subquery->targetList); i++)
		entry->eref->colnames = lappend(entry->eref->colnames,
										makeString(psprintf("a%d", i)));
	entry->inFromCl = true;
	source->rtable = lappend(source->rtable, entry);
	reference->rtindex = list_length(source->rtable);
	source->jointree->fromlist = lappend(source->jointree->fromlist,
										 reference);
}

/*
 * planner_clear_source -- make a SELECT of a copy of a statement that writes
 *
 * The caller sets its target list, and where it reads from.
 */
void
planner_clear_source(Query *source)
{
	if (source->commandType == CMD_MERGE)
		VDB_MERGE_CONDITION(source) = NULL;
	source->commandType = CMD_SELECT;
	source->resultRelation = 0;
	source->onConflict = NULL;
	source->mergeActionList = NIL;
	source->returningList = NIL;
	source->withCheckOptions = NIL;
	source->targetList = NIL;
	source->override = OVERRIDING_NOT_SET;
}

/* planner_make_empty_entry -- takes the place of an entry nothing refers to */
RangeTblEntry *
planner_make_empty_entry(void)
{
	RangeTblEntry *entry = makeNode(RangeTblEntry);

	entry->rtekind = RTE_RESULT;
	entry->eref = makeAlias("*RESULT*", NIL);
	return entry;
}

/* planner_make_value -- a parameter of the shard statement, see set_parameters */
Param *
planner_make_value(List **values, Expr *value)
{
	Param	   *param = makeNode(Param);

	*values = lappend(*values, value);
	param->paramkind = PARAM_EXTERN;
	param->paramid = PLANNER_VALUE_PARAM + list_length(*values);
	param->paramtype = exprType((Node *) value);
	param->paramtypmod = exprTypmod((Node *) value);
	param->paramcollid = exprCollation((Node *) value);
	param->location = -1;
	return param;
}

/*
 * The parameters of the shard statement are the target list of the source, in
 * their order.  Some are our own values, others planner_deparse() found.  Those
 * of a row follow each other.
 */
static void
set_parameters(PlannerWrite *write, List *params)
{
	int			found = 0;
	ListCell   *cell;

	foreach(cell, params)
	{
		Param	   *param = (Param *) lfirst(cell);
		int			index = foreach_current_index(cell);
		Node	   *value = fill_in_values((Node *) param, write->values);

		write->source->targetList =
			lappend(write->source->targetList,
					makeTargetEntry((Expr *) value, index + 1, NULL, false));
		if (found < write->plan.row_params && IsA(param, Param) &&
			param->paramkind == PARAM_EXTERN &&
			param->paramid == PLANNER_VALUE_PARAM + found + 1)
		{
			if (found++ == 0)
				write->plan.first_row_param = index;
			if (index != write->plan.first_row_param + found - 1)
				elog(ERROR, "parameters of the shard statement are not in order");
		}
	}
	if (found < write->plan.row_params)
		elog(ERROR, "parameters of the shard statement are not in order");
	foreach(cell, write->plan.keys)
		lfirst_int(cell) += write->plan.first_row_param;
	write->source->hasSubLinks =
		checkExprHasSubLink((Node *) write->source->targetList) ||
		write->source->hasSubLinks;
}

/* Replace parameters that stand for values by those. */
static Node *
fill_in_values(Node *node, List *values)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Param))
	{
		Param	   *param = (Param *) node;

		if (param->paramkind == PARAM_EXTERN &&
			param->paramid > PLANNER_VALUE_PARAM)
			return copyObject(list_nth(values, param->paramid -
									   PLANNER_VALUE_PARAM - 1));
	}
	if (IsA(node, Query))
		return (Node *) query_tree_mutator((Query *) node, fill_in_values,
										   (void *) values, 0);
	return expression_tree_mutator(node, fill_in_values, (void *) values);
}

/* Make the plan of the source one of the statement. */
static PlannedStmt *
put_on_top(PlannerWrite *write, Query *query, PlannedStmt *stmt)
{
	CustomScan *node = makeNode(CustomScan);
	Plan	   *below = stmt->planTree;
	ListCell   *cell;

	node->methods = GetCustomScanMethods(VDB_WRITE_NODE, false);
	node->custom_plans = list_make1(below);
	node->custom_private = vdb_write_plan_write(&write->plan);
	node->scan.plan.targetlist = write->target_list;
	foreach(cell, write->returned)
		node->custom_scan_tlist =
		lappend(node->custom_scan_tlist,
				makeTargetEntry(lfirst(cell),
								foreach_current_index(cell) + 1, NULL,
								false));
	/* rows of the target list are named as the client expects */
	foreach(cell, node->scan.plan.targetlist)
		lfirst_node(TargetEntry, cell)->resjunk = false;
	node->scan.plan.startup_cost = below->startup_cost;
	node->scan.plan.total_cost = below->total_cost +
		below->plan_rows * cpu_tuple_cost;
	node->scan.plan.plan_rows = write->returned ? below->plan_rows : 0;
	node->scan.plan.plan_width = below->plan_width;
	node->scan.plan.plan_node_id = PG_INT32_MAX;
	node->scan.plan.extParam = bms_copy(below->extParam);
	node->scan.plan.allParam = bms_copy(below->allParam);

	stmt->planTree = (Plan *) node;
	stmt->commandType = query->commandType;
	stmt->hasReturning = query->returningList != NIL;
	stmt->canSetTag = query->canSetTag;
	stmt->queryId = query->queryId;
	stmt->stmt_location = query->stmt_location;
	stmt->stmt_len = query->stmt_len;
	planner_note_functions((Node *) query->returningList, stmt);
	return stmt;
}
