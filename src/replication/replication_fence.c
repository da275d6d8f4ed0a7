/*-------------------------------------------------------------------------
 *
 * replication_fence.c
 *	  An outdated primary refuses its clients; requests are held.
 *
 * A primary that has a successor and knows it has old rows, and what is
 * written to it is lost.  So there statements that use tables are refused, and
 * commits of what was changed before.  What only looks at the server itself,
 * settings, functions that monitor, the tables of vecdb, can be had.
 *
 * Everywhere else this costs a look at one flag.
 *
 * IDENTIFICATION
 *	  src/replication/replication_fence.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"

#include "replication_private.h"

static bool uses_tables(const PlannedStmt *stmt);
static bool is_harmless(Node *statement);

VDB_FUNCTION(vecdb_hold_group);

/* replication_fence_check_plan -- an ERROR if it must not be executed here */
void
replication_fence_check_plan(const PlannedStmt *stmt, int eflags)
{
	if (vdb_remote_may_be_fenced() && !IsParallelWorker() &&
		(eflags & EXEC_FLAG_EXPLAIN_ONLY) == 0 && uses_tables(stmt))
		vdb_remote_refuse_fenced(false);
}

/* Does it use tables that are neither the system's nor vecdb's? */
static bool
uses_tables(const PlannedStmt *stmt)
{
	Oid			own = get_namespace_oid("vecdb", true);
	ListCell   *lc;

	foreach(lc, stmt->rtable)
	{
		RangeTblEntry *entry = lfirst(lc);

		if (entry->rtekind == RTE_RELATION &&
			entry->relid >= FirstNormalObjectId &&
			get_rel_namespace(entry->relid) != own)
			return true;
	}
	return false;
}

/* replication_fence_check_utility -- the same of a command that is no plan */
void
replication_fence_check_utility(Node *statement)
{
	if (vdb_remote_may_be_fenced() && !IsParallelWorker() &&
		!is_harmless(statement) && IsTransactionState())
		vdb_remote_refuse_fenced(false);
}

/*
 * Does a command neither change anything that stays, nor read tables?
 *
 * Or are plans executed for what does.  Commits are looked at when they come.
 */
static bool
is_harmless(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_TransactionStmt:
			return ((TransactionStmt *) statement)->kind != TRANS_STMT_COMMIT_PREPARED &&
				((TransactionStmt *) statement)->kind != TRANS_STMT_ROLLBACK_PREPARED;
		case T_VariableSetStmt:
		case T_VariableShowStmt:
		case T_AlterSystemStmt:
		case T_DiscardStmt:
		case T_ExplainStmt:
		case T_PrepareStmt:
		case T_ExecuteStmt:
		case T_DeallocateStmt:
		case T_DeclareCursorStmt:
		case T_FetchStmt:
		case T_ClosePortalStmt:
		case T_ListenStmt:
		case T_UnlistenStmt:
		case T_CheckPointStmt:
		case T_ConstraintsSetStmt:
		case T_LoadStmt:
		case T_DoStmt:
		case T_CallStmt:
			return true;
		default:
			return false;
	}
}

/* vecdb.hold_group(): a node says that requests to a group are to wait */
Datum
vecdb_hold_group(PG_FUNCTION_ARGS)
{
	int			group = PG_GETARG_INT32(0);

	if (!replication_shared_exists() || !vdb_catalog_local_mode())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("only nodes of the cluster tell each other to hold requests")));
	if (vdb_catalog_group(group) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("group %d does not exist", group)));
	vdb_remote_hold(group, PG_GETARG_INT32(1));
	PG_RETURN_VOID();
}
