/*-------------------------------------------------------------------------
 *
 * deadlock_round.c
 *	  Ask all groups who waits, and end the deadlocks that there are.
 *
 * IDENTIFICATION
 *	  src/deadlock/deadlock_round.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "vecdb/catalog.h"
#include "vecdb/lib_debug.h"
#include "vecdb/remote.h"

#include "deadlock_private.h"

/* How long a group has time to answer */
#define ANSWER_MS 3000

static void collect(DeadlockReport *report);
static List *list_groups(int *local);
static bool ask(int group, const char *sql, PGresult **rows);
static void end_wait(const DeadlockWait *wait, const char *detail);
static int	read_local_group(void);
static void reach_suspected(void);

/*
 * deadlock_round -- look for deadlocks once, and end each that there is
 *
 * Called outside of transactions; what is allocated is the caller's to free.
 */
void
deadlock_round(void)
{
	DeadlockReport first = {NIL, NIL};
	DeadlockReport second = {NIL, NIL};
	List	   *waits;
	List	   *cycle;

	collect(&first);
	if (deadlock_graph_cycle(first.waits) == NIL)
		return;
	reach_suspected();
	collect(&second);
	waits = deadlock_graph_confirm(&first, &second);
	while ((cycle = deadlock_graph_cycle(waits)) != NIL)
	{
		DeadlockWait *victim = deadlock_graph_victim(&second, cycle);

		/* one within a group, which PostgreSQL is about to find itself */
		if (victim == NULL)
			victim = linitial(cycle);
		else
			end_wait(victim, deadlock_graph_describe(cycle));
		waits = deadlock_graph_without(waits, &victim->waiter);
	}
}

/* Ask all groups; those that cannot answer are left out */
static void
collect(DeadlockReport *report)
{
	MemoryContext context = CurrentMemoryContext;
	int			local;
	List	   *groups = list_groups(&local);
	ListCell   *lc;

	foreach(lc, groups)
	{
		PGresult   *rows;

		if (lfirst_int(lc) == local ||
			!ask(lfirst_int(lc), deadlock_report_query(), &rows) ||
			rows == NULL)
			continue;
		deadlock_report_add_rows(report, lfirst_int(lc), rows);
		PQclear(rows);
	}
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	MemoryContextSwitchTo(context);
	if (local != 0)
	{
		deadlock_report_add_here(report, local);
		deadlock_graph_resolve(report);
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
}

/* The numbers of all groups; *local is ours, 0 if there is no cluster */
static List *
list_groups(int *local)
{
	MemoryContext context = CurrentMemoryContext;
	const VdbCluster *cluster;
	List	   *groups = NIL;

	StartTransactionCommand();
	cluster = vdb_catalog_cluster();
	MemoryContextSwitchTo(context);
	*local = cluster ? cluster->local_group : 0;
	for (int i = 0; cluster && i < cluster->group_count; i++)
		groups = lappend_int(groups, cluster->groups[i].id);
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	return groups;
}

/*
 * Ask another group; false if that did not work
 *
 * In a transaction of its own, which shows the catalog as it is now.
 */
static bool
ask(int group, const char *sql, PGresult **rows)
{
	MemoryContext context = CurrentMemoryContext;
	VdbAnswer	answer;
	bool		answered;

	StartTransactionCommand();
	answered = vdb_remote_ask(group, sql, ANSWER_MS, &answer);
	if (answered)
		*rows = answer.rows;
	else
		ereport(DEBUG1,
				(errmsg("group %d could not be asked for its waits", group),
				 errdetail_internal("%s", answer.why)));
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	return answered;
}

/* Have a wait end with an error, where it is */
static void
end_wait(const DeadlockWait *wait, const char *detail)
{
	if (wait->group == read_local_group())
		(void) deadlock_wait_break(wait->waiter_pid, wait->wait_id, detail);
	else
	{
		char	   *sql = psprintf("SELECT vecdb.break_lock_wait(%d, " INT64_FORMAT
								   ", %s)", wait->waiter_pid, wait->wait_id,
								   quote_literal_cstr(detail));
		PGresult   *rows = NULL;

		if (ask(wait->group, sql, &rows))
			PQclear(rows);
	}
}

/* Our group, 0 if there is no cluster any more */
static int
read_local_group(void)
{
	int			local;

	list_free(list_groups(&local));
	return local;
}

/* The debug point between two reports; points wait within a transaction */
static void
reach_suspected(void)
{
	MemoryContext context = CurrentMemoryContext;

	if (!vdb_debug_enabled)
		return;
	StartTransactionCommand();
	VDB_DEBUG_POINT("deadlock_suspected");
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
}
