/*-------------------------------------------------------------------------
 *
 * executor_fanout_local.c
 *	  The own group's share of a shard statement.
 *
 * The same text that other groups get is prepared here, planned in local mode,
 * and run as a plan below the plan: rows come out of it one by one, without a
 * connection and without copies.  Prepared statements are kept for the life of
 * the backend, as those of connections are, and invalidated by PostgreSQL's
 * plan cache as any other.
 *
 * IDENTIFICATION
 *	  src/executor/executor_fanout_local.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "tcop/tcopprot.h"
#include "common/hashfn.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "executor_private.h"

/* Statements kept; beyond it all are thrown away */
#define MOST_STATEMENTS 256

/* A statement of this backend, found by its text */
typedef struct LocalStatement
{
	char	   *sql;			/* key */
	SPIPlanPtr	plan;
} LocalStatement;

struct ExecutorLocal
{
	CachedPlan *plan;			/* NULL: made for this once */
	ResourceOwner owner;		/* of the reference to plan */
	QueryDesc  *query;
	bool		writes;
	bool		done;
	uint64		affected;
	MemoryContext context;
};

static HTAB *statements = NULL;

static uint32 hash_text(const void *key, Size size);
static int	compare_text(const void *left, const void *right, Size size);
static bool has_triggers(EState *estate);
static PlannedStmt *plan_kept(ExecutorLocal *local, const char *sql,
							  const ExecutorParams *params,
							  ParamListInfo values);
static PlannedStmt *plan_once(const char *sql, const ExecutorParams *params,
							  ParamListInfo values);
static void start_share(ExecutorLocal *local, PlannedStmt *planned,
						const char *sql, ParamListInfo values);
static LocalStatement *find_statement(const char *sql,
									  const ExecutorParams *params);
static void forget_statements(void);
static ParamListInfo make_param_list(const ExecutorParams *params);

/*
 * executor_local_open -- begin the own group's share
 *
 * The statement is prepared once per backend.  Of params, the types and the
 * present values are used.  The active snapshot is.  Everything is allocated
 * in the current memory context.
 */
ExecutorLocal *
executor_local_open(const char *sql, const ExecutorParams *params, bool writes)
{
	ExecutorLocal *local = (ExecutorLocal *) palloc0(sizeof(ExecutorLocal));
	ParamListInfo values = make_param_list(params);

	local->writes = writes;
	vdb_catalog_enter_local();
	start_share(local, plan_kept(local, sql, params, values), sql, values);
	vdb_catalog_leave_local();
	return local;
}

/*
 * executor_local_open_once -- the same with the permissions of a role, of a
 * text that will hardly come again
 *
 * It writes.  The statement is forgotten with the current memory context.
 */
ExecutorLocal *
executor_local_open_once(Oid role, const char *sql,
						 const ExecutorParams *params)
{
	ExecutorLocal *local = (ExecutorLocal *) palloc0(sizeof(ExecutorLocal));
	ParamListInfo values = make_param_list(params);
	Oid			user;
	int			context;

	GetUserIdAndSecContext(&user, &context);
	if (OidIsValid(role) && role != user)
		SetUserIdAndSecContext(role, context | SECURITY_LOCAL_USERID_CHANGE);
	local->writes = true;
	vdb_catalog_enter_local();
	start_share(local, plan_once(sql, params, values), sql, values);
	vdb_catalog_leave_local();
	SetUserIdAndSecContext(user, context);
	return local;
}

/* The plan of a statement that is kept; local holds a reference to it. */
static PlannedStmt *
plan_kept(ExecutorLocal *local, const char *sql, const ExecutorParams *params,
		  ParamListInfo values)
{
	LocalStatement *statement = find_statement(sql, params);
	CachedPlanSource *source = (CachedPlanSource *)
	linitial(SPI_plan_get_plan_sources(statement->plan));

	local->owner = CurrentResourceOwner;
	local->plan = GetCachedPlan(source, values, local->owner, NULL);
	return linitial_node(PlannedStmt, local->plan->stmt_list);
}

/* A plan in the current memory context */
static PlannedStmt *
plan_once(const char *sql, const ExecutorParams *params, ParamListInfo values)
{
	List	   *raw = pg_parse_query(sql);
	List	   *queries;

	if (list_length(raw) != 1)
		elog(ERROR, "shard statement is not one statement: %s", sql);
	queries = pg_analyze_and_rewrite_fixedparams(linitial_node(RawStmt, raw),
												 sql, params->types,
												 params->count, NULL);
	return pg_plan_query(linitial_node(Query, queries), sql,
						 VDB_CURSOR_OPT_SHARE, values);
}

/* Make it ready to give its first row. */
static void
start_share(ExecutorLocal *local, PlannedStmt *planned, const char *sql,
			ParamListInfo values)
{
	local->context = CurrentMemoryContext;
	if (local->writes)
	{
		/* see what was written before, and be seen by what comes after */
		CommandCounterIncrement();
		PushCopiedSnapshot(GetActiveSnapshot());
		UpdateActiveSnapshotCommandId();
	}
	local->query = CreateQueryDesc(planned, sql, GetActiveSnapshot(),
								   InvalidSnapshot, None_Receiver, values,
								   NULL, 0);
	ExecutorStart(local->query, local->writes ? 0 : EXEC_FLAG_SKIP_TRIGGERS);
	if (local->writes)
		PopActiveSnapshot();
	/* what is sent to be read calls no function that reads tables */
	if (local->writes &&
		(planned->invalItems != NIL || has_triggers(local->query->estate)))
		vdb_planner_before_functions();
}

/* Will triggers of users be fired? */
static bool
has_triggers(EState *estate)
{
	ListCell   *cell;

	foreach(cell, estate->es_opened_result_relations)
	{
		TriggerDesc *triggers = ((ResultRelInfo *) lfirst(cell))->ri_TrigDesc;

		for (int i = 0; triggers && i < triggers->numtriggers; i++)
		{
			if (!triggers->triggers[i].tgisinternal)
				return true;
		}
	}
	return false;
}

/*
 * executor_local_open_as -- the same, with the permissions of a role
 *
 * They are asked for when execution begins.  InvalidOid: those of the current
 * user.
 */
ExecutorLocal *
executor_local_open_as(Oid role, const char *sql,
					   const ExecutorParams *params, bool writes)
{
	ExecutorLocal *local;
	Oid			user;
	int			context;

	/* an error resets both */
	GetUserIdAndSecContext(&user, &context);
	if (OidIsValid(role) && role != user)
		SetUserIdAndSecContext(role, context | SECURITY_LOCAL_USERID_CHANGE);
	local = executor_local_open(sql, params, writes);
	SetUserIdAndSecContext(user, context);
	return local;
}

/*
 * executor_local_next -- the next row, valid until the next call, or NULL
 */
TupleTableSlot *
executor_local_next(ExecutorLocal *local)
{
	EState	   *estate = local->query->estate;
	TupleTableSlot *slot;
	MemoryContext old;

	if (local->done)
		return NULL;

	vdb_catalog_enter_local();
	old = MemoryContextSwitchTo(estate->es_query_cxt);
	ResetPerTupleExprContext(estate);
	/* functions see by the active snapshot, which can be an older one */
	if (local->writes)
		PushActiveSnapshot(estate->es_snapshot);
	slot = ExecProcNode(local->query->planstate);
	if (local->writes)
		PopActiveSnapshot();
	if (TupIsNull(slot))
	{
		slot = NULL;
		local->done = true;
		local->affected = estate->es_processed;
	}
	else if (estate->es_junkFilter)
		slot = ExecFilterJunk(estate->es_junkFilter, slot);
	MemoryContextSwitchTo(old);
	vdb_catalog_leave_local();
	return slot;
}

/* executor_local_affected -- rows changed, once there is no next row */
uint64
executor_local_affected(const ExecutorLocal *local)
{
	return local->affected;
}

/*
 * executor_local_close -- end the share, all rows having been read or not
 */
void
executor_local_close(ExecutorLocal *local)
{
	MemoryContext old = MemoryContextSwitchTo(local->context);

	vdb_catalog_enter_local();
	if (local->writes)
		PushActiveSnapshot(local->query->estate->es_snapshot);
	ExecutorFinish(local->query);
	if (local->writes)
		PopActiveSnapshot();
	ExecutorEnd(local->query);
	FreeQueryDesc(local->query);
	vdb_catalog_leave_local();
	if (local->plan)
		ReleaseCachedPlan(local->plan, local->owner);
	MemoryContextSwitchTo(old);
}

/*
 * Find a statement by its text, or prepare it.
 */
static LocalStatement *
find_statement(const char *sql, const ExecutorParams *params)
{
	LocalStatement *entry;
	bool		found;
	SPIPlanPtr	plan;

	if (statements == NULL)
	{
		HASHCTL		control = {0};

		control.keysize = sizeof(char *);
		control.entrysize = sizeof(LocalStatement);
		control.hash = hash_text;
		control.match = compare_text;
		control.hcxt = TopMemoryContext;
		statements = hash_create("local shard statements", 64, &control,
								 HASH_ELEM | HASH_FUNCTION | HASH_COMPARE |
								 HASH_CONTEXT);
	}

	entry = hash_search(statements, &sql, HASH_FIND, NULL);
	if (entry)
		return entry;
	if (hash_get_num_entries(statements) >= MOST_STATEMENTS)
		forget_statements();

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	plan = SPI_prepare_cursor(sql, params->count, params->types,
							  VDB_CURSOR_OPT_SHARE);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s: %s",
			 SPI_result_code_string(SPI_result), sql);
	if (list_length(SPI_plan_get_plan_sources(plan)) != 1)
		elog(ERROR, "shard statement is not one statement: %s", sql);
	SPI_keepplan(plan);
	SPI_finish();

	sql = MemoryContextStrdup(TopMemoryContext, sql);
	entry = hash_search(statements, &sql, HASH_ENTER, &found);
	entry->sql = unconstify(char *, sql);
	entry->plan = plan;
	return entry;
}

/*
 * Throw all statements away.  Plans that are being executed stay: they hold
 * references of their own.
 */
static void
forget_statements(void)
{
	HASH_SEQ_STATUS status;
	LocalStatement *entry;

	hash_seq_init(&status, statements);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		char	   *sql = entry->sql;

		SPI_freeplan(entry->plan);
		hash_search(statements, &sql, HASH_REMOVE, NULL);
		pfree(sql);
	}
}

/* The values of parameters as PostgreSQL's executor wants them */
static ParamListInfo
make_param_list(const ExecutorParams *params)
{
	ParamListInfo list;

	if (params->count == 0)
		return NULL;
	list = makeParamList(params->count);
	for (int i = 0; i < params->count; i++)
	{
		ParamExternData *param = &list->params[i];

		param->value = params->datums[i];
		param->isnull = params->nulls[i];
		param->pflags = PARAM_FLAG_CONST;
		param->ptype = params->types[i];
	}
	return list;
}

static uint32
hash_text(const void *key, Size size)
{
	const char *text = *(const char *const *) key;

	return string_hash(text, strlen(text) + 1);
}

static int
compare_text(const void *left, const void *right, Size size)
{
	return strcmp(*(const char *const *) left, *(const char *const *) right);
}
