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

#include "ddl_private.h"

static bool lacks_cascade(Node *statement);
static PlannedStmt *add_cascade(PlannedStmt *pstmt);

/*
 * ddl_alias_adjust -- CREATE EXTENSION vector with CASCADE; else the statement
 * as it is
 *
 * What is changed is a copy, because the tree may belong to a plan cache.
 */
PlannedStmt *
ddl_alias_adjust(PlannedStmt *pstmt)
{
	return lacks_cascade(pstmt->utilityStmt) ? add_cascade(pstmt) : pstmt;
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
