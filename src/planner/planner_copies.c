/*-------------------------------------------------------------------------
 *
 * planner_copies.c
 *	  What would make the copies of a reference table differ.
 *
 * A statement that writes a reference table is executed by all groups.  So it
 * must not have what gives another value in each, and no trigger of the table
 * may do so to a row.
 *
 * And what a trigger or function writes while a group executes a statement, in
 * local mode, is written there only.  That is right where each group executes
 * the statement: where it writes a reference table itself, as ON DELETE CASCADE
 * of another one does.  It is wrong where it is for rows of one group, also if
 * such rows are written in between: their triggers fire in that group alone.
 *
 * IDENTIFICATION
 *	  src/planner/planner_copies.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "tcop/pquery.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "vecdb/lib_compat.h"
#include "planner_private.h"

/*
 * The own group's share that is executed: which, and what it writes.  Where
 * there is none, the statement of the client, of another node as a rule, is
 * what the portal has.
 */
static int64 share_number = 0;
static Oid	share_target = InvalidOid;

/* In which statement a trigger or function wrote rows of one group last */
static int64 spread_share = 0;
static TimestampTz spread_portal = 0;

static ExecutorStart_hook_type previous_start = NULL;

static void start_execution(QueryDesc *query, int eflags);
static Oid	written_table(const PlannedStmt *stmt);
static Oid	statement_target(void);
static bool was_spread(void);
static bool is_cascade(void);
static bool is_reference(Oid relid);
static void refuse_alone(const VdbTable *table);
static bool differs_walker(Node *node, void *context);
static bool is_different(Oid function, void *context);
static bool fires_before(const Trigger *trigger, CmdType command);

/* planner_copies_init -- from vdb_planner_init() */
void
planner_copies_init(void)
{
	previous_start = ExecutorStart_hook;
	ExecutorStart_hook = start_execution;
}

/*
 * vdb_planner_begin_share -- the own group's share of a statement that writes
 * "target" begins
 *
 * The caller gives what is returned to vdb_planner_end_share(), after an ERROR
 * as well.
 */
Oid
vdb_planner_begin_share(Oid target)
{
	Oid			before = share_target;

	share_number++;
	share_target = target;
	return before;
}

void
vdb_planner_end_share(Oid before)
{
	share_target = before;
}

/* The hook for the beginning of each execution */
static void
start_execution(QueryDesc *query, int eflags)
{
	if (query->plannedstmt->commandType != CMD_SELECT &&
		vdb_catalog_local_mode() && planner_has_mark(query->plannedstmt))
		vdb_planner_check_nested(written_table(query->plannedstmt), false);
	if (query->plannedstmt->resultRelations != NIL &&
		(eflags & EXEC_FLAG_EXPLAIN_ONLY) == 0 && vdb_catalog_local_mode())
		planner_take_turn(query);
	if (previous_start)
		previous_start(query, eflags);
	else
		standard_ExecutorStart(query, eflags);
}

/* The table that a plan writes, or InvalidOid */
static Oid
written_table(const PlannedStmt *stmt)
{
	if (stmt->resultRelations == NIL)
		return InvalidOid;
	return rt_fetch(linitial_int(stmt->resultRelations), stmt->rtable)->relid;
}

/*
 * vdb_planner_check_nested -- an ERROR if a trigger or function must not write
 * a table in local mode
 *
 * With "whole", whatever rows: neither are they looked at one by one.
 */
void
vdb_planner_check_nested(Oid relid, bool whole)
{
	const VdbTable *table = OidIsValid(relid) ? vdb_catalog_table(relid) : NULL;

	if (table == NULL)
		return;
	if (table->kind == VDB_TABLE_REFERENCE)
	{
		if (!is_reference(statement_target()) ||
			(was_spread() && !is_cascade()))
			refuse_alone(table);
		/* COPY; TRUNCATE has locked the table in all groups */
		if (whole)
			(void) vdb_catalog_lock_copies(relid, RowExclusiveLock);
	}
	else if (whole)
		refuse_alone(table);
	else
	{
		spread_share = share_number;
		spread_portal = ActivePortal ? ActivePortal->creation_time : 0;
	}
}

/*
 * What the statement writes that other groups execute as well; InvalidOid if
 * there is none, as for triggers that were deferred.
 */
static Oid
statement_target(void)
{
	PlannedStmt *stmt;
	RangeVar   *relation = NULL;

	if (OidIsValid(share_target))
		return share_target;
	if (ActivePortal == NULL || ActivePortal->stmts == NIL)
		return InvalidOid;
	stmt = linitial_node(PlannedStmt, ActivePortal->stmts);
	if (stmt->utilityStmt == NULL)
		return written_table(stmt);
	if (IsA(stmt->utilityStmt, CopyStmt))
		relation = ((CopyStmt *) stmt->utilityStmt)->relation;
	if (IsA(stmt->utilityStmt, TruncateStmt))
		relation = linitial_node(RangeVar, ((TruncateStmt *) stmt->utilityStmt)->relations);
	return relation ? RangeVarGetRelid(relation, NoLock, true) : InvalidOid;
}

/* Have rows of one group been written on the way? */
static bool
was_spread(void)
{
	if (OidIsValid(share_target))
		return spread_share == share_number;
	return spread_portal == ActivePortal->creation_time;
}

/*
 * Is it a foreign key of the table that the statement writes, and no trigger
 * that is fired by its writing?
 *
 * No reference table refers to a distributed one, so it is done everywhere.
 * Only foreign keys write in such a security context.
 */
static bool
is_cascade(void)
{
	return InNoForceRLSOperation() && planner_trigger_depth() == 1;
}

static bool
is_reference(Oid relid)
{
	const VdbTable *table = OidIsValid(relid) ? vdb_catalog_table(relid) : NULL;

	return table != NULL && table->kind == VDB_TABLE_REFERENCE;
}

static void
refuse_alone(const VdbTable *table)
{
	if (table->kind == VDB_TABLE_REFERENCE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a trigger or function cannot write reference table \"%s\" where it runs in one group",
						get_rel_name(table->relid)),
				 errdetail("Only the copy of that group would change."),
				 errhint("Write the reference table in a statement of its own, in the same transaction.")));
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("a trigger or function cannot copy to or truncate distributed table \"%s\" where it runs in one group",
					get_rel_name(table->relid)),
			 errdetail("Only the rows of that group would change."),
			 errhint("Do it in a statement of its own, in the same transaction.")));
}

/*
 * planner_check_copies -- refuse a statement that would not write the same
 * into each copy of a reference table
 *
 * Of what the client sent, subqueries included.
 */
void
planner_check_copies(Query *query, const VdbTable *table)
{
	planner_check_triggers(table, query->commandType, query->onConflict);
	if (contain_volatile_functions((Node *) query))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot use volatile functions to change reference table \"%s\"",
						get_rel_name(table->relid)),
				 errdetail("Each group would compute another value."),
				 errhint("Compute the value first, and give it to the statement.")));
}

/*
 * planner_check_alike -- the same for the statement that groups will execute,
 * without what is computed before
 */
void
planner_check_alike(Query *query, const VdbTable *table)
{
	if (differs_walker((Node *) query, NULL))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot use functions that may differ between groups to change reference table \"%s\"",
						get_rel_name(table->relid)),
				 errdetail("A function that is not immutable is called for each row, and may read what each group has of its own."),
				 errhint("Compute the values first, or declare the function IMMUTABLE if its result depends on nothing but its arguments.")));
}

/*
 * planner_check_nested_copies -- refuse what a trigger or function must not
 * write into a reference table in local mode
 *
 * Where it may write at all, since all groups do, each computes everything for
 * itself.
 */
void
planner_check_nested_copies(Query *query, const VdbTable *table)
{
	vdb_planner_check_nested(table->relid, false);
	planner_check_triggers(table, query->commandType, query->onConflict);
	if (contain_mutable_functions((Node *) query))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a trigger cannot use functions that are not immutable to change reference table \"%s\"",
						get_rel_name(table->relid)),
				 errdetail("The trigger fires in all groups, and each would compute another value, as it would of a default."),
				 errhint("Write the reference table in a statement of its own, in the same transaction.")));
}

/*
 * Is a function called for each row that may give another result in each group?
 * Settings that matter to PostgreSQL's own functions travel with a statement.
 */
static bool
differs_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, differs_walker, context, 0);
	if (check_functions_in_node(node, is_different, NULL) &&
		planner_has_columns(node))
		return true;
	return expression_tree_walker(node, differs_walker, context);
}

static bool
is_different(Oid function, void *context)
{
	switch (function)
	{
		case F_CURRENT_SETTING_TEXT:
		case F_CURRENT_SETTING_TEXT_BOOL:
		case F_AGE_TIMESTAMP:
		case F_AGE_TIMESTAMPTZ:
			return true;
		default:
			return planner_is_user_function(function);
	}
}

/*
 * planner_check_triggers -- refuse triggers that may give a row of a reference
 * table other values in each group
 *
 * Those that fire BEFORE a row is written and are not declared IMMUTABLE.
 * PostgreSQL's own need not be.
 */
void
planner_check_triggers(const VdbTable *table, CmdType command,
					   const OnConflictExpr *conflict)
{
	Relation	rel = table_open(table->relid, NoLock);
	TriggerDesc *triggers = rel->trigdesc;

	for (int i = 0; triggers && i < triggers->numtriggers; i++)
	{
		Trigger    *trigger = &triggers->triggers[i];

		if (trigger->tgfoid < FirstNormalObjectId ||
			trigger->tgenabled == TRIGGER_DISABLED ||
			func_volatile(trigger->tgfoid) == PROVOLATILE_IMMUTABLE)
			continue;
		if (fires_before(trigger, command) ||
			(conflict && fires_before(trigger, CMD_UPDATE)))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot fire trigger \"%s\" of reference table \"%s\"",
							trigger->tgname, RelationGetRelationName(rel)),
					 errdetail("It fires in all groups before a row is written, and may give the row another value in each, as now() and random() are."),
					 errhint("If what function %s does to a row depends on nothing but the row, declare it IMMUTABLE. Otherwise have the statement or a default compute the value.",
							 get_func_name(trigger->tgfoid))));
	}
	table_close(rel, NoLock);
}

void
vdb_planner_check_copy(const VdbTable *table)
{
	if (table->kind == VDB_TABLE_REFERENCE)
		planner_check_triggers(table, CMD_INSERT, NULL);
}

/* Is it fired before a row is written by such a command? */
static bool
fires_before(const Trigger *trigger, CmdType command)
{
	int16		type = trigger->tgtype;

	if (!TRIGGER_FOR_ROW(type) || !TRIGGER_FOR_BEFORE(type))
		return false;
	switch (command)
	{
		case CMD_INSERT:
			return TRIGGER_FOR_INSERT(type) != 0;
		case CMD_UPDATE:
			return TRIGGER_FOR_UPDATE(type) != 0;
		case CMD_DELETE:
			return TRIGGER_FOR_DELETE(type) != 0;
		default:
			return true;
	}
}
