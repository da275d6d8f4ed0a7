/*-------------------------------------------------------------------------
 *
 * remote_rows.c
 *	  Rows that arrived before they were asked for.
 *
 * They are kept in memory up to work_mem, and in a temporary file beyond.
 * Rows in the file are later than those in memory; once there is a file, all
 * rows go there until it has been read to its end.
 *
 * In the file a row is, for each column, a length of four bytes (-1: null) and
 * the value.
 *
 * IDENTIFICATION
 *	  src/remote/remote_rows.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/buffile.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "vecdb/lib_compat.h"

#include "remote_private.h"

/* Rows that are read from the file at a time */
#define BATCH_ROWS 64

static void keep(RemoteRows *rows, PGresult *res, MemoryContext context);
static void spill(VdbRequest *request, PGresult *res);
static PGresult *read_batch(RemoteRows *rows);
static void read_bytes(RemoteRows *rows, void *to, Size length);

/* remote_rows_put -- put a result aside, which belongs to the request then */
void
remote_rows_put(VdbRequest *request, PGresult *res)
{
	RemoteRows *rows = &request->rows;
	Size		size = PQresultMemorySize(res);

	if (rows->file_rows > 0 ||
		(rows->count > 0 && rows->memory + size > (Size) work_mem * 1024))
	{
		spill(request, res);
		PQclear(res);
		return;
	}
	rows->memory += size;
	keep(rows, res, request->context);
}

/* remote_rows_get -- the first result that was put aside, or NULL */
PGresult *
remote_rows_get(VdbRequest *request)
{
	RemoteRows *rows = &request->rows;
	PGresult   *res;

	if (rows->count > 0)
	{
		res = rows->results[rows->first++];
		if (--rows->count == 0)
			rows->first = 0;
		rows->memory -= Min(rows->memory, PQresultMemorySize(res));
		return res;
	}
	if (rows->file_rows > 0)
		return read_batch(rows);
	return NULL;
}

/*
 * remote_rows_clear -- free all
 *
 * The file is left to its resource owner, which may have closed it already.
 */
void
remote_rows_clear(VdbRequest *request)
{
	RemoteRows *rows = &request->rows;

	while (rows->count > 0)
	{
		PQclear(rows->results[rows->first++]);
		rows->count--;
	}
	rows->first = 0;
	rows->memory = 0;
	rows->file_rows = 0;
	if (rows->model)
		PQclear(rows->model);
	rows->model = NULL;
}

/* Add a result to those in memory */
static void
keep(RemoteRows *rows, PGresult *res, MemoryContext context)
{
	if (rows->first + rows->count == rows->allocated)
	{
		if (rows->first > rows->allocated / 2)
			memmove(rows->results, rows->results + rows->first,
					sizeof(PGresult *) * rows->count);
		else
		{
			int			allocated = Max(8, rows->allocated * 2);
			PGresult  **results;

			results = MemoryContextAllocHuge(context,
											 sizeof(PGresult *) * allocated);
			if (rows->count > 0)
				memcpy(results, rows->results + rows->first,
					   sizeof(PGresult *) * rows->count);
			if (rows->results)
				pfree(rows->results);
			rows->results = results;
			rows->allocated = allocated;
		}
		rows->first = 0;
	}
	rows->results[rows->first + rows->count++] = res;
}

/* Write a result's rows to the file */
static void
spill(VdbRequest *request, PGresult *res)
{
	RemoteRows *rows = &request->rows;
	MemoryContext old_context = MemoryContextSwitchTo(request->context);
	ResourceOwner old_owner = CurrentResourceOwner;
	int			columns = PQnfields(res);

	if (rows->file == NULL)
	{
		CurrentResourceOwner = request->owner;
		rows->file = BufFileCreateTemp(false);
		CurrentResourceOwner = old_owner;
	}
	if (rows->model == NULL)
		rows->model = PQcopyResult(res, PG_COPYRES_ATTRS);
	if (rows->model == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	if (rows->file_rows == 0)
	{
		/* all was read: begin anew */
		rows->read_file = rows->write_file = 0;
		rows->read_offset = rows->write_offset = 0;
	}
	if (BufFileSeek(rows->file, rows->write_file, rows->write_offset,
					SEEK_SET) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not seek in a temporary file of rows")));
	for (int row = 0; row < PQntuples(res); row++)
	{
		for (int column = 0; column < columns; column++)
		{
			int32		length = PQgetisnull(res, row, column) ? -1 :
			PQgetlength(res, row, column);

			BufFileWrite(rows->file, (void *) &length, sizeof(length));
			if (length > 0)
				BufFileWrite(rows->file, PQgetvalue(res, row, column), length);
		}
		rows->file_rows++;
	}
	BufFileTell(rows->file, &rows->write_file, &rows->write_offset);
	MemoryContextSwitchTo(old_context);
}

/* Read the next rows of the file */
static PGresult *
read_batch(RemoteRows *rows)
{
	PGresult   *res = PQcopyResult(rows->model, PG_COPYRES_ATTRS);
	int			columns = PQnfields(rows->model);
	StringInfoData value;

	if (res == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	initStringInfo(&value);
	PG_TRY();
	{
		if (BufFileSeek(rows->file, rows->read_file, rows->read_offset,
						SEEK_SET) != 0)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not seek in a temporary file of rows")));
		for (int row = 0; row < BATCH_ROWS && rows->file_rows > 0; row++)
		{
			for (int column = 0; column < columns; column++)
			{
				int32		length;

				read_bytes(rows, &length, sizeof(length));
				resetStringInfo(&value);
				enlargeStringInfo(&value, Max(length, 0));
				if (length > 0)
					read_bytes(rows, value.data, length);
				if (!PQsetvalue(res, row, column,
								length < 0 ? NULL : value.data, length))
					ereport(ERROR,
							(errcode(ERRCODE_OUT_OF_MEMORY),
							 errmsg("out of memory")));
			}
			rows->file_rows--;
		}
		BufFileTell(rows->file, &rows->read_file, &rows->read_offset);
	}
	PG_CATCH();
	{
		PQclear(res);
		PG_RE_THROW();
	}
	PG_END_TRY();
	pfree(value.data);
	return res;
}

/* Read from the file, which must have as much */
static void
read_bytes(RemoteRows *rows, void *to, Size length)
{
	if (BufFileRead(rows->file, to, length) != length)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read a temporary file of rows")));
}
