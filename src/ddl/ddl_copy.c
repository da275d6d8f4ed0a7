/*-------------------------------------------------------------------------
 *
 * ddl_copy.c
 *	  COPY of shared tables, which the executor does.
 *
 * IDENTIFICATION
 *	  src/ddl/ddl_copy.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "parser/parse_node.h"
#include "tcop/utility.h"

#include "vecdb/executor.h"
#include "ddl_private.h"

/*
 * ddl_copy_from -- rows from a file or a client to their groups
 */
void
ddl_copy_from(const DdlStatement *statement, const char *query_string,
			  QueryCompletion *qc)
{
	ParseState *pstate = make_parsestate(NULL);
	uint64		rows;

	PreventCommandIfReadOnly("COPY FROM");
	pstate->p_sourcetext = query_string;
	rows = vdb_executor_copy_from(pstate,
								  copyObject((CopyStmt *) statement->parse));
	free_parsestate(pstate);
	if (qc != NULL)
		SetQueryCompletion(qc, CMDTAG_COPY, rows);
}

/*
 * ddl_copy_to -- COPY of a table as COPY of a query, which is distributed as
 * any other
 */
PlannedStmt *
ddl_copy_to(PlannedStmt *pstmt)
{
	PlannedStmt *copy = copyObject(pstmt);

	copy->utilityStmt = (Node *)
		vdb_executor_copy_to_query((CopyStmt *) pstmt->utilityStmt);
	return copy;
}
