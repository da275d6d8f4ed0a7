/*-------------------------------------------------------------------------
 *
 * replication_hook.c
 *	  The room's hooks around statements.
 *
 * They are set after those of all rooms, so that they come first: what an
 * outdated primary refuses is refused before anybody has done a part of it
 * elsewhere.  And who writes on a standby is told where the primary is.
 *
 * IDENTIFICATION
 *	  src/replication/replication_hook.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "executor/executor.h"
#include "tcop/utility.h"

#include "replication_private.h"

static ProcessUtility_hook_type next_utility;
static ExecutorStart_hook_type next_start;

static void start_execution(QueryDesc *query, int eflags);
static void start_next(QueryDesc *query, int eflags);
static void run_utility(PlannedStmt *pstmt, const char *query, bool read_only,
						ProcessUtilityContext context, ParamListInfo params,
						QueryEnvironment *environment, DestReceiver *dest,
						QueryCompletion *qc);
VDB_NORETURN static void throw_with_hint(MemoryContext context);
static char *name_leader(void);

/* vdb_replication_init_last -- see vecdb/replication.h */
void
vdb_replication_init_last(void)
{
	next_utility = ProcessUtility_hook;
	ProcessUtility_hook = run_utility;
	next_start = ExecutorStart_hook;
	ExecutorStart_hook = start_execution;
}

/* A plan begins to be executed; on a standby it may be refused */
static void
start_execution(QueryDesc *query, int eflags)
{
	MemoryContext context = CurrentMemoryContext;

	if (!RecoveryInProgress())
	{
		replication_fence_check_plan(query->plannedstmt, eflags);
		start_next(query, eflags);
		return;
	}
	PG_TRY();
	{
		start_next(query, eflags);
	}
	PG_CATCH();
	{
		throw_with_hint(context);
	}
	PG_END_TRY();
}

static void
start_next(QueryDesc *query, int eflags)
{
	if (next_start)
		next_start(query, eflags);
	else
		standard_ExecutorStart(query, eflags);
}

/*
 * The same of a utility statement
 *
 * That of the ddl room is always behind us.  Parts of a statement were looked
 * at with the whole.
 */
static void
run_utility(PlannedStmt *pstmt, const char *query, bool read_only,
			ProcessUtilityContext context, ParamListInfo params,
			QueryEnvironment *environment, DestReceiver *dest,
			QueryCompletion *qc)
{
	MemoryContext old = CurrentMemoryContext;
	bool		waits = false;

	if (context == PROCESS_UTILITY_SUBCOMMAND || !RecoveryInProgress())
	{
		if (context != PROCESS_UTILITY_SUBCOMMAND)
		{
			replication_fence_check_utility(pstmt->utilityStmt);
			waits = replication_write_begin_prepared(pstmt->utilityStmt);
		}
		next_utility(pstmt, query, read_only, context, params, environment,
					 dest, qc);
		if (waits)
			replication_write_end_prepared();
		return;
	}
	PG_TRY();
	{
		next_utility(pstmt, query, read_only, context, params, environment,
					 dest, qc);
	}
	PG_CATCH();
	{
		throw_with_hint(old);
	}
	PG_END_TRY();
}

/*
 * Throw the error at hand again, and say where the primary is if it is that
 * this server cannot write
 */
static void
throw_with_hint(MemoryContext context)
{
	ErrorData  *error;

	if (geterrcode() != ERRCODE_READ_ONLY_SQL_TRANSACTION)
		PG_RE_THROW();
	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	if (error->hint == NULL)
		error->hint = name_leader();
	ReThrowError(error);
}

/*
 * A hint that says where the primary of this standby is; NULL: not known
 *
 * After an error catalogs cannot be read: only what the prober has said is
 * looked at.
 */
static char *
name_leader(void)
{
	int			count;
	ReplicationHost *hosts = replication_shared_hosts(&count);
	ReplicationHost *leader;
	int			group = 0;

	for (int i = 0; i < count; i++)
	{
		if (hosts[i].is_self)
			group = hosts[i].group;
	}
	if (group == 0)
		return NULL;
	leader = replication_hosts_leader(hosts, count, group);
	if (leader == NULL)
		return psprintf("This server is a standby of group %d, whose primary is not known at the moment; see vecdb.groups.",
						group);
	return psprintf("This server is a standby of group %d, whose primary is %s.",
					group, replication_hosts_name(leader));
}
