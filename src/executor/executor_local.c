/*-------------------------------------------------------------------------
 *
 * executor_local.c
 *	  Statements that are executed here and now, in local mode.
 *
 * IDENTIFICATION
 *	  src/executor/executor_local.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/spi.h"

#include "vecdb/executor.h"
#include "executor_private.h"

/*
 * vdb_executor_run_local -- execute SQL in local mode, in this process
 *
 * An ERROR leaves local mode by itself, when the transaction is aborted.
 */
uint64
vdb_executor_run_local(const char *sql)
{
	uint64		processed;
	int			code;

	vdb_catalog_enter_local();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	code = SPI_execute(sql, false, 0);
	if (code < 0)
		elog(ERROR, "SPI_execute failed: %s: %s",
			 SPI_result_code_string(code), sql);
	processed = SPI_processed;
	SPI_finish();
	vdb_catalog_leave_local();
	return processed;
}
