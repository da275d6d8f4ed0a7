/*-------------------------------------------------------------------------
 *
 * ddl_move.c
 *	  The rows of a table go to other groups, or come back.
 *
 * Rows are sent as the data of COPY: in binary form if all columns have one
 * that means the same on each node, as text otherwise, and back as text.  Text
 * is in the encoding of the database, whatever the client's, and in formats
 * that lose nothing.  No trigger fires and no policy is asked, since no row is
 * new: it only changes its place.
 *
 * The caller holds a lock on the table that keeps writers out.
 *
 * IDENTIFICATION
 *	  src/ddl/ddl_move.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "commands/copy.h"
#include "commands/progress.h"
#include "executor/executor.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/value.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "pgstat.h"
#include "port/pg_bswap.h"
#include "utils/backend_progress.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "vecdb/executor.h"
#include "vecdb/remote.h"
#include "ddl_private.h"

/* Rows are collected to this many bytes before they are handed on */
#define SEND_BYTES	65536

/* How rows are written */
typedef struct RowFormat
{
	Relation	rel;
	int			count;			/* columns that are sent */
	AttrNumber *columns;
	FmgrInfo   *functions;		/* send or output */
	bool		binary;
	char	   *command;		/* COPY, for the other group */
	MemoryContext row_context;	/* reset after each row */
} RowFormat;

/* Rows on their way to a group */
typedef struct RowStream
{
	int			group;
	VdbRemoteCopy *copy;
	StringInfoData data;
} RowStream;

/* Rows on their way back; COPY's callback has no argument */
typedef struct RowSource
{
	int			count;			/* of columns */
	VdbRequest **requests;		/* one per group */
	int			request_count;
	int			current;
	PGresult   *result;			/* whose rows are being read */
	int			row;
	StringInfoData line;
	int			line_used;
} RowSource;

static RowSource *source = NULL;

static void make_format(RowFormat *format, Relation rel);
static void choose_text(void);
static char *column_list(const RowFormat *format);
static RowStream *open_streams(const RowFormat *format, int *groups,
							   int count);
static uint64 close_streams(const RowFormat *format, RowStream *streams,
							int count);
static void append_row(const RowFormat *format, TupleTableSlot *slot,
					   StringInfo data);
static void append_text(StringInfo data, const char *value);
static void flush_stream(RowStream *stream);
static uint64 send_rows(Relation rel, const VdbTable *table, int *groups,
						int count);
static int	find_stream(RowStream *streams, int count, int group);
static int	owner_of(const VdbTable *table, TupleTableSlot *slot);
static uint64 insert_source(Relation rel, const RowFormat *format);
static int	read_source(void *buffer, int least, int most);
static bool next_line(void);

/*
 * make_format -- how the rows of a table are written
 */
static void
make_format(RowFormat *format, Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);

	format->rel = rel;
	format->count = 0;
	format->columns = palloc(desc->natts * sizeof(AttrNumber));
	format->functions = palloc0(desc->natts * sizeof(FmgrInfo));
	format->binary = true;
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);

		if (column->attisdropped || column->attgenerated != '\0')
			continue;
		format->columns[format->count++] = column->attnum;
		format->binary &= vdb_executor_type_is_binary(column->atttypid);
	}
	for (int i = 0; i < format->count; i++)
	{
		Oid			type = TupleDescAttr(desc,
										 format->columns[i] - 1)->atttypid;
		Oid			function;
		bool		varlena;

		if (format->binary)
			getTypeBinaryOutputInfo(type, &function, &varlena);
		else
			getTypeOutputInfo(type, &function, &varlena);
		fmgr_info(function, &format->functions[i]);
	}
	format->command = psprintf("COPY %s (%s) FROM STDIN%s",
							   ddl_table_name(RelationGetRelid(rel)),
							   column_list(format),
							   format->binary ? " (FORMAT binary)" :
							   psprintf(" (ENCODING '%s')",
										GetDatabaseEncodingName()));
	format->row_context = AllocSetContextCreate(CurrentMemoryContext,
												"vecdb rows to send",
												ALLOCSET_DEFAULT_SIZES);
}

/*
 * choose_text -- how values are printed, here and in other groups
 *
 * Until ddl_become_user(), or for as long as the caller says otherwise.  These
 * settings travel with what is sent.
 */
static void
choose_text(void)
{
	static const char *const settings[][2] = {
		{"DateStyle", "ISO, YMD"},
		{"IntervalStyle", "postgres"},
		{"extra_float_digits", "1"}
	};

	for (int i = 0; i < lengthof(settings); i++)
		(void) set_config_option(settings[i][0], settings[i][1], PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
								 false);
}

static char *
column_list(const RowFormat *format)
{
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < format->count; i++)
		appendStringInfo(&text, "%s%s", i > 0 ? ", " : "",
						 quote_identifier(get_attname(RelationGetRelid(format->rel),
													  format->columns[i],
													  false)));
	return text.data;
}

uint64
ddl_send_rows(Relation rel, const VdbTable *table)
{
	const VdbCluster *cluster = vdb_catalog_cluster();
	int		   *groups = palloc(cluster->group_count * sizeof(int));
	int			count = 0;

	for (int i = 0; i < cluster->group_count; i++)
	{
		if (cluster->groups[i].id != cluster->local_group)
			groups[count++] = cluster->groups[i].id;
	}
	return send_rows(rel, table, groups, count);
}

uint64
ddl_send_all_rows(Relation rel, int group)
{
	if (group == 0)
		return ddl_send_rows(rel, NULL);
	return send_rows(rel, NULL, &group, 1);
}

/*
 * send_rows -- one pass over the table
 *
 * Without "table" each row goes to all the groups given and stays here.  With
 * it, a row goes to the group that owns it, and is deleted here if that is
 * another one.  Returns how many rows were sent to at least one group.
 */
static uint64
send_rows(Relation rel, const VdbTable *table, int *groups, int count)
{
	RowFormat	format;
	RowStream  *streams;
	Snapshot	snapshot;
	TableScanDesc scan;
	TupleTableSlot *slot;
	uint64		seen = 0;
	uint64		sent = 0;
	DdlUser		user;

	if (count == 0)
		return 0;
	ddl_become_owner(&user, RelationGetRelid(rel));
	choose_text();
	if (table != NULL)
		(void) GetCurrentCommandId(true);
	make_format(&format, rel);
	streams = open_streams(&format, groups, count);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	slot = table_slot_create(rel, NULL);
	scan = table_beginscan(rel, snapshot, 0, NULL);
	pgstat_progress_start_command(PROGRESS_COMMAND_COPY,
								  RelationGetRelid(rel));

	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		int			first = 0;
		int			last = count - 1;

		CHECK_FOR_INTERRUPTS();
		pgstat_progress_update_param(PROGRESS_COPY_TUPLES_PROCESSED, ++seen);
		if (table != NULL)
		{
			int			owner = owner_of(table, slot);

			first = last = find_stream(streams, count, owner);
			if (first < 0)
				continue;		/* our own */
		}
		for (int i = first; i <= last; i++)
		{
			append_row(&format, slot, &streams[i].data);
			if (streams[i].data.len >= SEND_BYTES)
				flush_stream(&streams[i]);
		}
		MemoryContextReset(format.row_context);
		if (table != NULL)
			simple_table_tuple_delete(rel, &slot->tts_tid, snapshot);
		sent++;
	}

	pgstat_progress_end_command();
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	UnregisterSnapshot(snapshot);
	(void) close_streams(&format, streams, count);
	ddl_become_user(&user);
	MemoryContextDelete(format.row_context);
	CommandCounterIncrement();
	return sent;
}

/*
 * open_streams -- begin COPY in each group
 */
static RowStream *
open_streams(const RowFormat *format, int *groups, int count)
{
	static const char signature[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0";
	RowStream  *streams = palloc0(count * sizeof(RowStream));

	for (int i = 0; i < count; i++)
	{
		streams[i].group = groups[i];
		streams[i].copy = vdb_remote_copy_begin(groups[i], format->command);
		initStringInfo(&streams[i].data);
		if (format->binary)
			appendBinaryStringInfo(&streams[i].data, signature, 19);
	}
	return streams;
}

static uint64
close_streams(const RowFormat *format, RowStream *streams, int count)
{
	uint64		rows = 0;

	for (int i = 0; i < count; i++)
	{
		if (format->binary)
			appendBinaryStringInfo(&streams[i].data, "\377\377", 2);
		flush_stream(&streams[i]);
	}
	for (int i = 0; i < count; i++)
		rows += vdb_remote_copy_end(streams[i].copy);
	return rows;
}

static void
flush_stream(RowStream *stream)
{
	vdb_remote_copy_put(stream->copy, stream->data.data, stream->data.len);
	resetStringInfo(&stream->data);
}

/*
 * find_stream -- the number of the stream to a group, or -1
 */
static int
find_stream(RowStream *streams, int count, int group)
{
	for (int i = 0; i < count; i++)
	{
		if (streams[i].group == group)
			return i;
	}
	return -1;
}

/*
 * owner_of -- the group that owns a row
 */
static int
owner_of(const VdbTable *table, TupleTableSlot *slot)
{
	Datum		values[INDEX_MAX_KEYS];
	bool		nulls[INDEX_MAX_KEYS];

	for (int i = 0; i < table->key_count; i++)
		values[i] = slot_getattr(slot, table->keys[i], &nulls[i]);
	return table->shard_groups[vdb_catalog_shard(table, values, nulls)];
}

/*
 * append_row -- a row in the format of COPY
 */
static void
append_row(const RowFormat *format, TupleTableSlot *slot, StringInfo data)
{
	if (format->binary)
	{
		uint16		count = pg_hton16(format->count);

		appendBinaryStringInfo(data, (char *) &count, sizeof(count));
	}
	for (int i = 0; i < format->count; i++)
	{
		bool		isnull;
		Datum		value = slot_getattr(slot, format->columns[i], &isnull);
		MemoryContext old = MemoryContextSwitchTo(format->row_context);
		FmgrInfo   *function = &format->functions[i];

		if (format->binary)
		{
			bytea	   *bytes = isnull ? NULL :
			SendFunctionCall(function, value);
			int			length = isnull ? -1 : VARSIZE(bytes) - VARHDRSZ;
			uint32		sent = pg_hton32((uint32) length);

			MemoryContextSwitchTo(old);
			appendBinaryStringInfo(data, (char *) &sent, sizeof(sent));
			if (!isnull)
				appendBinaryStringInfo(data, VARDATA(bytes), length);
			continue;
		}
		if (i > 0)
			appendStringInfoChar(data, '\t');
		if (isnull)
			appendStringInfoString(data, "\\N");
		else
			append_text(data, OutputFunctionCall(function, value));
		MemoryContextSwitchTo(old);
	}
	if (!format->binary)
		appendStringInfoChar(data, '\n');
}

/*
 * append_text -- a value in the text format of COPY
 *
 * Server encodings have no byte of ASCII within a character.
 */
static void
append_text(StringInfo data, const char *value)
{
	for (; *value != '\0'; value++)
	{
		switch (*value)
		{
			case '\\':
				appendStringInfoString(data, "\\\\");
				break;
			case '\n':
				appendStringInfoString(data, "\\n");
				break;
			case '\r':
				appendStringInfoString(data, "\\r");
				break;
			case '\t':
				appendStringInfoString(data, "\\t");
				break;
			default:
				appendStringInfoCharMacro(data, *value);
				break;
		}
	}
}

/*
 * ddl_fetch_rows -- see ddl_private.h
 *
 * All groups send at once; their rows are read one group after the other.
 */
uint64
ddl_fetch_rows(Relation rel)
{
	const VdbCluster *cluster = vdb_catalog_cluster();
	RowFormat	format;
	RowSource	rows = {0};
	VdbStatement statement = {.writes = true,.once = true};
	uint64		count = 0;
	int			settings = NewGUCNestLevel();
	DdlUser		user;

	choose_text();
	make_format(&format, rel);
	statement.sql = psprintf("SELECT %s FROM ONLY %s", column_list(&format),
							 ddl_table_name(RelationGetRelid(rel)));
	rows.count = format.count;
	rows.requests = palloc(cluster->group_count * sizeof(VdbRequest *));
	for (int i = 0; i < cluster->group_count; i++)
	{
		if (cluster->groups[i].id != cluster->local_group)
			rows.requests[rows.request_count++] =
				vdb_remote_send(cluster->groups[i].id, &statement);
	}
	initStringInfo(&rows.line);

	/* policies do not apply to the superuser who reads, nor here */
	ddl_become_owner(&user, RelationGetRelid(rel));
	source = &rows;
	PG_TRY();
	{
		count = insert_source(rel, &format);
	}
	PG_FINALLY();
	{
		source = NULL;
		if (rows.result != NULL)
			PQclear(rows.result);
	}
	PG_END_TRY();
	ddl_become_user(&user);
	for (int i = 0; i < rows.request_count; i++)
		vdb_remote_close(rows.requests[i]);
	AtEOXact_GUC(true, settings);
	CommandCounterIncrement();
	return count;
}

/*
 * insert_source -- all rows of the source, into the table and its indexes
 *
 * Read as by COPY, but written one by one, since COPY would fire triggers: no
 * trigger is to see rows that only come back.
 */
static uint64
insert_source(Relation rel, const RowFormat *format)
{
	ParseState *pstate = make_parsestate(NULL);
	EState	   *estate = CreateExecutorState();
	ResultRelInfo *result = makeNode(ResultRelInfo);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	List	   *columns = NIL;
	DefElem    *encoding;
	CopyFromState copy;
	MemoryContext old;
	uint64		count = 0;

	/* values come in the encoding of the database, whatever the client's */
	encoding = makeDefElem("encoding",
						   (Node *) makeString(pstrdup(GetDatabaseEncodingName())),
						   -1);
	for (int i = 0; i < format->count; i++)
		columns = lappend(columns,
						  makeString(get_attname(RelationGetRelid(rel),
												 format->columns[i], false)));
	InitResultRelInfo(result, rel, 0, NULL, 0);
	result->ri_TrigDesc = NULL;
	ExecOpenIndices(result, false);
	copy = BeginCopyFrom(pstate, rel, NULL, NULL, false, read_source,
						 columns, list_make1(encoding));
	old = MemoryContextSwitchTo(GetPerTupleMemoryContext(estate));
	while (NextCopyFrom(copy, GetPerTupleExprContext(estate),
						slot->tts_values, slot->tts_isnull))
	{
		CHECK_FOR_INTERRUPTS();
		ExecStoreVirtualTuple(slot);
		ExecSimpleRelationInsert(result, estate, slot);
		ExecClearTuple(slot);
		ResetPerTupleExprContext(estate);
		count++;
	}
	MemoryContextSwitchTo(old);
	EndCopyFrom(copy);
	ExecCloseIndices(result);
	ExecDropSingleTupleTableSlot(slot);
	FreeExecutorState(estate);
	free_parsestate(pstate);
	return count;
}

/*
 * read_source -- COPY wants between "least" and "most" bytes; fewer at the end
 */
static int
read_source(void *buffer, int least, int most)
{
	int			used = 0;

	while (used < least)
	{
		int			part;

		if (source->line_used == source->line.len && !next_line())
			break;
		part = Min(most - used, source->line.len - source->line_used);
		memcpy((char *) buffer + used,
			   source->line.data + source->line_used, part);
		source->line_used += part;
		used += part;
	}
	return used;
}

/*
 * next_line -- put the next row of any group into the line; false at the end
 */
static bool
next_line(void)
{
	while (source->result == NULL ||
		   source->row >= PQntuples(source->result))
	{
		if (source->result != NULL)
			PQclear(source->result);
		source->result = NULL;
		if (source->current >= source->request_count)
			return false;
		source->result = vdb_remote_row(source->requests[source->current]);
		source->row = 0;
		if (source->result == NULL)
			source->current++;
	}

	resetStringInfo(&source->line);
	source->line_used = 0;
	for (int i = 0; i < source->count; i++)
	{
		if (i > 0)
			appendStringInfoChar(&source->line, '\t');
		if (PQgetisnull(source->result, source->row, i))
			appendStringInfoString(&source->line, "\\N");
		else
			append_text(&source->line,
						PQgetvalue(source->result, source->row, i));
	}
	appendStringInfoChar(&source->line, '\n');
	source->row++;
	return true;
}
