/*-------------------------------------------------------------------------
 *
 * remote_test.c
 *	  What other rooms do with this one, for its own tests.
 *
 * The extension script does not create these functions; tests do.
 *
 * IDENTIFICATION
 *	  src/remote/remote_test.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"

#include "vecdb/lib_compat.h"

#include "remote_private.h"

static void check_superuser(void);
static uint64 read_all(VdbRequest *request, uint64 limit);

VDB_FUNCTION(vecdb_test_remote_two);
VDB_FUNCTION(vecdb_test_remote_all);
VDB_FUNCTION(vecdb_test_remote_copy);

/*
 * (group, first, second, limit): send two statements that read, get the rows
 * of the second first; at most "limit" of each
 */
Datum
vecdb_test_remote_two(PG_FUNCTION_ARGS)
{
	int			group = PG_GETARG_INT32(0);
	VdbStatement one = {.sql = text_to_cstring(PG_GETARG_TEXT_PP(1))};
	VdbStatement two = {.sql = text_to_cstring(PG_GETARG_TEXT_PP(2))};
	uint64		limit = PG_GETARG_INT32(3);
	VdbRequest *first;
	VdbRequest *second;
	uint64		first_rows;
	uint64		second_rows;

	check_superuser();
	first = vdb_remote_send(group, &one);
	second = vdb_remote_send(group, &two);
	second_rows = read_all(second, limit);
	first_rows = read_all(first, limit);
	vdb_remote_close(second);
	vdb_remote_close(first);
	PG_RETURN_TEXT_P(cstring_to_text(psprintf(UINT64_FORMAT " " UINT64_FORMAT,
											  first_rows, second_rows)));
}

/* Read rows to the end, or until there are as many; checks their first column */
static uint64
read_all(VdbRequest *request, uint64 limit)
{
	uint64		rows = 0;
	PGresult   *res;

	while (rows < limit && (res = vdb_remote_row(request)) != NULL)
	{
		for (int i = 0; i < PQntuples(res); i++)
		{
			char	   *value = PQgetvalue(res, i, 0);

			rows++;
			if (strtoull(value, NULL, 10) != rows)
				elog(ERROR, "row " UINT64_FORMAT " is \"%s\"", rows, value);
		}
		PQclear(res);
	}
	return rows;
}

/* (sql): send to all other groups at once, and take rows as they come */
Datum
vecdb_test_remote_all(PG_FUNCTION_ARGS)
{
	VdbStatement statement = {.sql = text_to_cstring(PG_GETARG_TEXT_PP(0))};
	const VdbCluster *cluster = vdb_catalog_cluster();
	int			groups[16];
	VdbRequest *requests[16];
	int			count = 0;
	int			open;
	StringInfoData answer;

	check_superuser();
	for (int i = 0; i < Min(cluster->group_count, 16); i++)
	{
		if (cluster->groups[i].id != cluster->local_group)
			groups[count++] = cluster->groups[i].id;
	}
	vdb_remote_connect(groups, count);
	for (int i = 0; i < count; i++)
		requests[i] = vdb_remote_send(groups[i], &statement);
	initStringInfo(&answer);
	for (open = count; open > 0;)
	{
		int			i = vdb_remote_wait_any(requests, count);
		PGresult   *res = vdb_remote_row(requests[i]);

		if (res == NULL)
		{
			vdb_remote_close(requests[i]);
			requests[i] = NULL;
			open--;
			continue;
		}
		appendStringInfo(&answer, "%s%s", answer.len > 0 ? " " : "",
						 PQgetvalue(res, 0, 0));
		PQclear(res);
	}
	PG_RETURN_TEXT_P(cstring_to_text(answer.data));
}

/* (group, sql, line, times): copy a line many times */
Datum
vecdb_test_remote_copy(PG_FUNCTION_ARGS)
{
	char	   *line = text_to_cstring(PG_GETARG_TEXT_PP(2));
	VdbRemoteCopy *copy;

	check_superuser();
	copy = vdb_remote_copy_begin(PG_GETARG_INT32(0),
								 text_to_cstring(PG_GETARG_TEXT_PP(1)));
	for (int i = 0; i < PG_GETARG_INT32(3); i++)
	{
		char	   *data = psprintf("%d\t%s\n", i, line);

		vdb_remote_copy_put(copy, data, strlen(data));
		pfree(data);
	}
	PG_RETURN_INT64((int64) vdb_remote_copy_end(copy));
}

static void
check_superuser(void)
{
	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser to test requests")));
}
