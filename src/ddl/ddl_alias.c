/*-------------------------------------------------------------------------
 *
 * ddl_alias.c
 *	  CREATE EXTENSION vector creates vecdb, too.
 *
 * Programs and dumps written for pgvector say CREATE EXTENSION vector.  Our
 * extension of that name requires vecdb, and PostgreSQL creates a required
 * extension only when told CASCADE, which none of them say.  Here it is said
 * for them.  PostgreSQL then passes the SCHEMA on, looks at IF NOT EXISTS and
 * VERSION, and checks privileges, as always.
 *
 * IDENTIFICATION
 *	  src/ddl/ddl_alias.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "nodes/value.h"
#include "tcop/utility.h"

#include "vecdb/ddl.h"

static ProcessUtility_hook_type prev_process_utility = NULL;

static void process_utility(PlannedStmt *pstmt, const char *query_string,
							bool read_only_tree,
							ProcessUtilityContext context,
							ParamListInfo params, QueryEnvironment *query_env,
							DestReceiver *dest, QueryCompletion *qc);
static bool lacks_cascade(Node *statement);
static PlannedStmt *add_cascade(PlannedStmt *pstmt);

void
vdb_ddl_init(void)
{
	prev_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
}

/*
 * process_utility -- our ProcessUtility_hook
 *
 * Changes nothing but a CREATE EXTENSION vector without CASCADE, and that in
 * a copy, because the tree may belong to a plan cache.
 */
static void
process_utility(PlannedStmt *pstmt, const char *query_string,
				bool read_only_tree, ProcessUtilityContext context,
				ParamListInfo params, QueryEnvironment *query_env,
				DestReceiver *dest, QueryCompletion *qc)
{
	ProcessUtility_hook_type next = prev_process_utility;

	if (lacks_cascade(pstmt->utilityStmt))
		pstmt = add_cascade(pstmt);

	if (next == NULL)
		next = standard_ProcessUtility;
	next(pstmt, query_string, read_only_tree, context, params, query_env,
		 dest, qc);
}

/*
 * lacks_cascade -- is this CREATE EXTENSION vector without CASCADE?
 *
 * Where the real pgvector is installed CASCADE has no effect, since that
 * extension requires nothing; so we need not find out which one is there.
 */
static bool
lacks_cascade(Node *statement)
{
	CreateExtensionStmt *create = (CreateExtensionStmt *) statement;
	ListCell   *cell;

	if (!IsA(statement, CreateExtensionStmt) ||
		strcmp(create->extname, "vector") != 0)
		return false;

	foreach(cell, create->options)
	{
		if (strcmp(lfirst_node(DefElem, cell)->defname, "cascade") == 0)
			return false;
	}
	return true;
}

/*
 * add_cascade -- a copy of the statement with CASCADE
 */
static PlannedStmt *
add_cascade(PlannedStmt *pstmt)
{
	PlannedStmt *copy = copyObject(pstmt);
	CreateExtensionStmt *create = (CreateExtensionStmt *) copy->utilityStmt;
	DefElem    *cascade;

	cascade = makeDefElem("cascade", (Node *) makeBoolean(true), -1);
	create->options = lappend(create->options, cascade);
	return copy;
}
