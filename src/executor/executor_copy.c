/*-------------------------------------------------------------------------
 *
 * executor_copy.c
 *	  COPY of distributed and reference tables.
 *
 * COPY FROM reads the client's data here, whatever its format, to know the
 * distribution key of each row, and sends rows on as COPY data: to each other
 * group over its connection, and to this one's COPY, which is PostgreSQL's own
 * with a function as its source.  That function is what drives all: PostgreSQL
 * asks it for data, it reads rows of the client and sends them away until there
 * is one of the own group.
 *
 * Rows travel in binary form, so a vector is never printed.  As text they
 * travel where a column's type has no binary form that other nodes understand,
 * and where the client's encoding is not the database's, because functions that
 * write binary form would write text in that of the client.
 *
 * IDENTIFICATION
 *	  src/executor/executor_copy.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "commands/copy.h"
#include "commands/copyfrom_internal.h"
#include "commands/defrem.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_relation.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/rls.h"

#include "vecdb/executor.h"
#include "executor_write.h"

/* Rows for a group are handed over in portions of at least so many bytes */
#define PORTION_SIZE	(64 * 1024)

/* Signature, flags and length of the extension of binary COPY data */
static const char binary_header[19] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0";

/* Another group that rows are sent to */
typedef struct Stream
{
	int			group;
	VdbRemoteCopy *copy;		/* NULL: not begun */
	StringInfoData portion;
} Stream;

typedef struct CopyRun
{
	MemoryContext context;		/* of all that lasts */
	Relation	rel;
	const VdbTable *table;
	bool		binary;
	char	   *sql;			/* for other groups */
	/* the client's data */
	CopyFromState source;
	EState	   *estate;
	Datum	   *values;
	bool	   *nulls;
	ExprState  *condition;		/* WHERE, or NULL */
	TupleTableSlot *slot;		/* for WHERE */
	/* columns that are sent */
	int			column_count;
	AttrNumber *columns;
	List	   *names;
	FmgrInfo   *output;
	StringInfoData row;
	/* where rows go */
	Stream	   *streams;		/* of each group of the cluster */
	int			stream_count;
	CopyFromState own;			/* the own group's COPY, once it has begun */
	const char *pending;		/* its data that is left */
	int			pending_length;
	bool		wrote_here;
	bool		at_end;
	ErrorContextCallback error_context; /* while the source is read */
} CopyRun;

/* The function that gives data has no argument for it */
static CopyRun *current_run;

static void check_options(List *options);
static void check_may_copy(CopyStmt *stmt, Relation rel, List *columns);
static void check_column_rights(Relation rel, List *columns, AclMode mode);
static List *prepare_condition(ParseState *pstate, CopyStmt *stmt,
							   Relation rel);
static void prepare_columns(CopyRun *run);
static void prepare_statement(CopyRun *run);
static void lock_copies(const CopyRun *run);
static uint64 copy_rows(CopyRun *run);
static int	give_own_data(void *buffer, int min_length, int max_length);
static void make_pending(CopyRun *run);
static bool route_next_row(CopyRun *run);
static bool read_row(CopyRun *run);
static void encode_row(CopyRun *run);
static void append_escaped(StringInfo row, const char *value);
static void append_to_stream(CopyRun *run, Stream *stream, const char *data,
							 int length);
static uint64 end_streams(CopyRun *run);

uint64
vdb_executor_copy_from(ParseState *pstate, CopyStmt *stmt)
{
	CopyRun		run = {0};
	CopyRun    *outer_run = current_run;
	Oid			outer_target;
	ParseState *source_pstate = make_parsestate(NULL);
	List	   *condition;
	uint64		result;

	run.context = CurrentMemoryContext;
	run.rel = table_openrv(stmt->relation, RowExclusiveLock);
	vdb_catalog_refresh();
	run.table = vdb_catalog_table(RelationGetRelid(run.rel));
	if (run.table == NULL)
		executor_report_ordinary(RelationGetRelid(run.rel));
	check_options(stmt->options);
	check_may_copy(stmt, run.rel,
				   CopyGetAttnums(RelationGetDescr(run.rel), run.rel,
								  stmt->attlist));
	vdb_planner_check_copy(run.table);
	source_pstate->p_sourcetext = pstate ? pstate->p_sourcetext : NULL;
	condition = prepare_condition(source_pstate, stmt, run.rel);
	prepare_columns(&run);
	prepare_statement(&run);

	run.estate = CreateExecutorState();
	run.values = palloc(RelationGetNumberOfAttributes(run.rel) * sizeof(Datum));
	run.nulls = palloc(RelationGetNumberOfAttributes(run.rel) * sizeof(bool));
	if (condition)
	{
		run.condition = ExecPrepareQual(condition, run.estate);
		run.slot = MakeSingleTupleTableSlot(RelationGetDescr(run.rel),
											&TTSOpsVirtual);
	}
	run.stream_count = vdb_catalog_cluster()->group_count;
	run.streams = palloc0(run.stream_count * sizeof(Stream));
	for (int i = 0; i < run.stream_count; i++)
		run.streams[i].group = vdb_catalog_cluster()->groups[i].id;

	run.source = BeginCopyFrom(source_pstate, run.rel, NULL, stmt->filename,
							   stmt->is_program, NULL, stmt->attlist,
							   stmt->options);
	outer_target = vdb_planner_begin_share(RelationGetRelid(run.rel));
	PG_TRY();
	{
		current_run = &run;
		if (run.table->kind == VDB_TABLE_REFERENCE)
			lock_copies(&run);
		result = copy_rows(&run);
	}
	PG_FINALLY();
	{
		current_run = outer_run;
		vdb_planner_end_share(outer_target);
	}
	PG_END_TRY();

	EndCopyFrom(run.source);
	if (run.slot)
		ExecDropSingleTupleTableSlot(run.slot);
	FreeExecutorState(run.estate);
	table_close(run.rel, NoLock);
	return result;
}

/*
 * vdb_executor_copy_to_query -- COPY table TO as COPY (SELECT) TO
 *
 * The result is a new statement, to be executed in place of the other.
 */
CopyStmt *
vdb_executor_copy_to_query(const CopyStmt *stmt)
{
	CopyStmt   *result = copyObject(unconstify(CopyStmt *, stmt));
	SelectStmt *select = makeNode(SelectStmt);
	Relation	rel = table_openrv(stmt->relation, AccessShareLock);
	List	   *columns = CopyGetAttnums(RelationGetDescr(rel), rel,
										 stmt->attlist);
	ListCell   *cell;

	foreach(cell, columns)
	{
		Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(rel),
													lfirst_int(cell) - 1);
		ColumnRef  *reference = makeNode(ColumnRef);
		ResTarget  *target = makeNode(ResTarget);

		reference->fields =
			list_make1(makeString(pstrdup(NameStr(attribute->attname))));
		reference->location = -1;
		target->val = (Node *) reference;
		target->location = -1;
		select->targetList = lappend(select->targetList, target);
	}
	select->fromClause = list_make1(makeRangeVar(get_namespace_name(RelationGetNamespace(rel)),
												 pstrdup(RelationGetRelationName(rel)),
												 -1));
	table_close(rel, NoLock);

	result->relation = NULL;
	result->attlist = NIL;
	result->query = (Node *) select;
	return result;
}

/* Refuse options that cannot be kept in all groups. */
static void
check_options(List *options)
{
	static const char *const refused[] = {
		"freeze", "on_error", "log_verbosity", "reject_limit"
	};
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		for (int i = 0; i < lengthof(refused); i++)
		{
			if (strcmp(option->defname, refused[i]) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("COPY option \"%s\" is not supported for distributed tables",
								option->defname),
						 errhint("Leave the option out.")));
		}
	}
}

/* What PostgreSQL checks before it reads the first byte. */
static void
check_may_copy(CopyStmt *stmt, Relation rel, List *columns)
{
	if (stmt->is_program &&
		!has_privs_of_role(GetUserId(), ROLE_PG_EXECUTE_SERVER_PROGRAM))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to COPY from an external program"),
				 errhint("Read it at the client, as psql's \\copy does.")));
	if (stmt->filename && !stmt->is_program &&
		!has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to COPY from a file"),
				 errhint("Read it at the client, as psql's \\copy does.")));
	check_column_rights(rel, columns, ACL_INSERT);
	if (check_enable_rls(RelationGetRelid(rel), InvalidOid,
						 false) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("COPY FROM not supported with row-level security"),
				 errhint("Use INSERT statements instead.")));
	PreventCommandIfReadOnly("COPY FROM");
	PreventCommandIfParallelMode("COPY FROM");
}

/* A right on the table, or on each of the columns. */
static void
check_column_rights(Relation rel, List *columns, AclMode mode)
{
	Oid			relid = RelationGetRelid(rel);
	ListCell   *cell;

	if (pg_class_aclcheck(relid, GetUserId(), mode) == ACLCHECK_OK)
		return;
	foreach(cell, columns)
	{
		if (lfirst_int(cell) <= 0 ||
			pg_attribute_aclcheck(relid, lfirst_int(cell), GetUserId(),
								  mode) != ACLCHECK_OK)
			aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE,
						   RelationGetRelationName(rel));
	}
	if (columns == NIL)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE,
					   RelationGetRelationName(rel));
}

/* Add the table to the namespace, and make WHERE a list of conditions. */
static List *
prepare_condition(ParseState *pstate, CopyStmt *stmt, Relation rel)
{
	ParseNamespaceItem *item =
	addRangeTableEntryForRelation(pstate, rel, RowExclusiveLock, NULL,
								  false, false);
	List	   *vars;
	List	   *columns = NIL;
	ListCell   *cell;
	Node	   *where;

	if (stmt->whereClause == NULL)
		return NIL;
	addNSItemToQuery(pstate, item, false, true, true);
	where = transformExpr(pstate, stmt->whereClause, EXPR_KIND_COPY_WHERE);
	where = coerce_to_boolean(pstate, where, "WHERE");
	assign_expr_collations(pstate, where);
	vars = pull_var_clause(where, 0);
	foreach(cell, vars)
		columns = lappend_int(columns, lfirst_node(Var, cell)->varattno);
	if (columns)
		check_column_rights(rel, columns, ACL_SELECT);
	where = eval_const_expressions(NULL, where);
	where = (Node *) canonicalize_qual((Expr *) where, false);
	return make_ands_implicit((Expr *) where);
}

/* All columns but generated ones are sent, in binary form if all can be. */
static void
prepare_columns(CopyRun *run)
{
	TupleDesc	desc = RelationGetDescr(run->rel);

	run->columns = palloc(desc->natts * sizeof(AttrNumber));
	run->output = palloc0(desc->natts * sizeof(FmgrInfo));
	run->binary = pg_get_client_encoding() == GetDatabaseEncoding();
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (attribute->attisdropped || attribute->attgenerated)
			continue;
		run->columns[run->column_count++] = attribute->attnum;
		if (!vdb_executor_type_is_binary(attribute->atttypid))
			run->binary = false;
	}
	for (int i = 0; i < run->column_count; i++)
	{
		Oid			type = TupleDescAttr(desc, run->columns[i] - 1)->atttypid;
		Oid			function;
		bool		varlena;

		if (run->binary)
			getTypeBinaryOutputInfo(type, &function, &varlena);
		else
			getTypeOutputInfo(type, &function, &varlena);
		fmgr_info(function, &run->output[i]);
	}
	initStringInfo(&run->row);
}

/* The statement for other groups, and the names of the columns. */
static void
prepare_statement(CopyRun *run)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "COPY %s (",
					 quote_qualified_identifier(get_namespace_name(RelationGetNamespace(run->rel)),
												RelationGetRelationName(run->rel)));
	for (int i = 0; i < run->column_count; i++)
	{
		char	   *name = NameStr(TupleDescAttr(RelationGetDescr(run->rel),
												 run->columns[i] - 1)->attname);

		run->names = lappend(run->names, makeString(pstrdup(name)));
		appendStringInfo(&sql, "%s%s", i > 0 ? ", " : "",
						 quote_identifier(name));
	}
	if (run->binary)
		appendStringInfoString(&sql, ") FROM STDIN (FORMAT binary)");
	else
		appendStringInfo(&sql, ") FROM STDIN (FORMAT text, ENCODING '%s')",
						 GetDatabaseEncodingName());
	run->sql = sql.data;
}

/*
 * Lock the copies of a reference table, in the order of groups
 *
 * Rows go to all of them at once, so what an INSERT locks where its rows are
 * written is locked before.
 */
static void
lock_copies(const CopyRun *run)
{
	const char *schema = get_namespace_name(RelationGetNamespace(run->rel));
	const char *name = RelationGetRelationName(run->rel);
	char	   *sql = psprintf("SELECT vecdb.lock_copies(%s, %s)",
							   quote_literal_cstr(schema),
							   quote_literal_cstr(name));

	for (int i = 0; i < run->stream_count; i++)
	{
		if (executor_is_own_group(run->streams[i].group))
			(void) vdb_catalog_lock_copies(RelationGetRelid(run->rel),
										   RowExclusiveLock);
		else
			(void) vdb_remote_execute(run->streams[i].group, sql);
	}
}

/*
 * Copy all rows.  The own group's COPY runs in local mode, and what it calls
 * to read the client's data leaves that for the time.
 */
static uint64
copy_rows(CopyRun *run)
{
	ParseState *pstate = make_parsestate(NULL);
	List	   *options = NIL;
	uint64		copied;

	addRangeTableEntryForRelation(pstate, run->rel, RowExclusiveLock, NULL,
								  false, false);
	options = lappend(options,
					  makeDefElem("format",
								  (Node *) makeString(run->binary ? "binary" : "text"),
								  -1));
	if (!run->binary)
		options = lappend(options,
						  makeDefElem("encoding",
									  (Node *) makeString(pstrdup(GetDatabaseEncodingName())),
									  -1));
	if (run->binary)
	{
		run->pending = binary_header;
		run->pending_length = sizeof(binary_header);
	}

	run->error_context.callback = CopyFromErrorCallback;
	run->error_context.arg = (void *) run->source;
	run->error_context.previous = error_context_stack;

	vdb_catalog_enter_local();
	vdb_planner_before_functions();
	run->own = BeginCopyFrom(pstate, run->rel, NULL, NULL, false,
							 give_own_data, run->names, options);
	copied = CopyFrom(run->own);
	EndCopyFrom(run->own);
	vdb_catalog_leave_local();
	return copied + end_streams(run);
}

/*
 * The source of the own group's COPY: at most the rest of one row.
 *
 * PostgreSQL counts a line before it asks for it, so the number that its
 * messages show can be made that of the client's line.
 */
static int
give_own_data(void *buffer, int min_length, int max_length)
{
	CopyRun    *run = current_run;
	int			length;

	if (run->pending_length == 0)
		make_pending(run);
	length = Min(run->pending_length, max_length);
	memcpy(buffer, run->pending, length);
	run->pending += length;
	run->pending_length -= length;
	return length;
}

/* Read the client's data up to the next row of the own group, or the end. */
static void
make_pending(CopyRun *run)
{
	static const char binary_end[2] = {(char) 0xff, (char) 0xff};
	ErrorContextCallback *before = error_context_stack;
	MemoryContext caller;

	if (run->at_end)
		return;
	/* the caller's context lasts for a row */
	caller = MemoryContextSwitchTo(run->context);
	vdb_catalog_leave_local();
	error_context_stack = &run->error_context;
	while (!run->at_end && run->pending_length == 0)
	{
		if (route_next_row(run))
			continue;
		run->at_end = true;
		if (run->binary)
		{
			run->pending = binary_end;
			run->pending_length = sizeof(binary_end);
		}
	}
	error_context_stack = before;
	vdb_catalog_enter_local();
	MemoryContextSwitchTo(caller);
	if (!run->at_end)
	{
		if (run->own)
			run->own->cur_lineno = run->source->cur_lineno;
		if (!run->wrote_here)
			vdb_remote_local_write();
		run->wrote_here = true;
	}
}

/* Send the next row to where it belongs; false at the end. */
static bool
route_next_row(CopyRun *run)
{
	int			own_group = vdb_catalog_cluster()->local_group;
	int			group = 0;
	MemoryContext before;

	CHECK_FOR_INTERRUPTS();
	ResetPerTupleExprContext(run->estate);
	before = MemoryContextSwitchTo(GetPerTupleMemoryContext(run->estate));
	if (!read_row(run))
	{
		MemoryContextSwitchTo(before);
		return false;
	}
	if (run->slot && !ExecQual(run->condition,
							   GetPerTupleExprContext(run->estate)))
	{
		MemoryContextSwitchTo(before);
		return true;
	}
	if (run->table->kind == VDB_TABLE_DISTRIBUTED)
	{
		Datum		keys[INDEX_MAX_KEYS];
		bool		nulls[INDEX_MAX_KEYS];

		for (int i = 0; i < run->table->key_count; i++)
		{
			keys[i] = run->values[run->table->keys[i] - 1];
			nulls[i] = run->nulls[run->table->keys[i] - 1];
			if (nulls[i])
				executor_refuse_null(run->table->relid, run->table->keys[i]);
		}
		group = run->table->shard_groups[vdb_catalog_shard(run->table, keys,
														   nulls)];
	}
	encode_row(run);
	MemoryContextSwitchTo(before);

	for (int i = 0; i < run->stream_count; i++)
	{
		Stream	   *stream = &run->streams[i];

		if (group != 0 && stream->group != group)
			continue;
		if (stream->group == own_group)
		{
			run->pending = run->row.data;
			run->pending_length = run->row.len;
		}
		else
			append_to_stream(run, stream, run->row.data, run->row.len);
	}
	return true;
}

/* Read a row of the client's data, with defaults. */
static bool
read_row(CopyRun *run)
{
	ExprContext *econtext = GetPerTupleExprContext(run->estate);
	int			natts = RelationGetNumberOfAttributes(run->rel);

	if (!NextCopyFrom(run->source, econtext, run->values, run->nulls))
		return false;
	if (run->slot)
	{
		ExecClearTuple(run->slot);
		memcpy(run->slot->tts_values, run->values, natts * sizeof(Datum));
		memcpy(run->slot->tts_isnull, run->nulls, natts * sizeof(bool));
		ExecStoreVirtualTuple(run->slot);
		econtext->ecxt_scantuple = run->slot;
	}
	return true;
}

/* Make COPY data of the row. */
static void
encode_row(CopyRun *run)
{
	StringInfo	row = &run->row;
	int			nest_level = executor_begin_text();

	resetStringInfo(row);
	if (run->binary)
		pq_sendint16(row, run->column_count);
	for (int i = 0; i < run->column_count; i++)
	{
		Datum		value = run->values[run->columns[i] - 1];
		bool		null = run->nulls[run->columns[i] - 1];

		if (run->binary && null)
			pq_sendint32(row, -1);
		else if (run->binary)
		{
			bytea	   *bytes = SendFunctionCall(&run->output[i], value);

			pq_sendint32(row, VARSIZE(bytes) - VARHDRSZ);
			appendBinaryStringInfo(row, VARDATA(bytes),
								   VARSIZE(bytes) - VARHDRSZ);
		}
		else
		{
			if (i > 0)
				appendStringInfoChar(row, '\t');
			if (null)
				appendStringInfoString(row, "\\N");
			else
				append_escaped(row, OutputFunctionCall(&run->output[i],
													   value));
		}
	}
	if (!run->binary)
		appendStringInfoChar(row, '\n');
	executor_end_text(nest_level);
}

/* COPY's text form: what would end a value or a row is escaped. */
static void
append_escaped(StringInfo row, const char *value)
{
	for (; *value; value++)
	{
		switch (*value)
		{
			case '\\':
				appendStringInfoString(row, "\\\\");
				break;
			case '\t':
				appendStringInfoString(row, "\\t");
				break;
			case '\n':
				appendStringInfoString(row, "\\n");
				break;
			case '\r':
				appendStringInfoString(row, "\\r");
				break;
			default:
				appendStringInfoChar(row, *value);
		}
	}
}

/* Data for another group, whose COPY begins with its first row. */
static void
append_to_stream(CopyRun *run, Stream *stream, const char *data, int length)
{
	if (stream->copy == NULL)
	{
		stream->copy = vdb_remote_copy_begin(stream->group, run->sql);
		initStringInfo(&stream->portion);
		if (run->binary)
			appendBinaryStringInfo(&stream->portion, binary_header,
								   sizeof(binary_header));
	}
	appendBinaryStringInfo(&stream->portion, data, length);
	if (stream->portion.len >= PORTION_SIZE)
	{
		vdb_remote_copy_put(stream->copy, stream->portion.data,
							stream->portion.len);
		resetStringInfo(&stream->portion);
	}
}

/*
 * End the COPYs of other groups: all get their last data before the first is
 * waited for.  Returns the rows they copied, those of a reference table once
 * only, which is with the own group's.
 */
static uint64
end_streams(CopyRun *run)
{
	uint64		copied = 0;

	for (int i = 0; i < run->stream_count; i++)
	{
		Stream	   *stream = &run->streams[i];

		if (stream->copy == NULL)
			continue;
		if (run->binary)
			pq_sendint16(&stream->portion, (uint16) -1);
		vdb_remote_copy_put(stream->copy, stream->portion.data,
							stream->portion.len);
	}
	for (int i = 0; i < run->stream_count; i++)
	{
		if (run->streams[i].copy)
			copied += vdb_remote_copy_end(run->streams[i].copy);
	}
	return run->table->kind == VDB_TABLE_REFERENCE ? 0 : copied;
}
