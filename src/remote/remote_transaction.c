/*-------------------------------------------------------------------------
 *
 * remote_transaction.c
 *	  Transactions over groups: begin, savepoints, commit, abort.
 *
 * A transaction at another group is begun when it is first needed, with the
 * properties of ours, and follows it: savepoints are set there when something
 * is sent within a subtransaction, and are released or rolled back to with it.
 *
 * At commit, a transaction that changed one group in all commits there.  One
 * that changed more commits in two phases: PREPARE TRANSACTION at the other
 * groups, a commit record among our own changes, our own commit, which is the
 * decision, and COMMIT PREPARED.  See src/recovery/README, "Crash states".
 *
 * IDENTIFICATION
 *	  src/remote/remote_transaction.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/memutils.h"

#include "vecdb/lib_debug.h"

#include "remote_private.h"

/* Were rows of our own group changed? */
static bool local_wrote;

static void at_transaction(XactEvent event, void *arg);
static void at_subtransaction(SubXactEvent event, SubTransactionId mine,
							  SubTransactionId parent, void *arg);
static bool has_changes(void);
static void limit_wait(void);
static void before_commit(void);
static void before_prepare(void);
static void check_connections(void);
static void after_commit(void);
static void after_abort(void);
static List *find_participants(bool writers);
static bool is_local_writer(void);
static void commit_at(List *connections);
static void send_end(RemoteConnection *c, const char *sql, const char *tag);
static void await_commit(RemoteConnection *c);
static void commit_two_phase(List *writers, List *readers);
static void check_answer(RemoteConnection *c, const char *command);
static void commit_prepared(int level);
static void leave_prepared(List *prepared);
static void reach_committed(void);
static void roll_back(int level);
static void roll_back_prepared(RemoteConnection *c);
static void release_savepoints(int level);
static void roll_back_savepoints(int level);
static void forget_requests(int level);
static void forget_transaction(RemoteConnection *c);
static void forget_transactions(void);
static void without_throwing(void (*action) (int level), int level);
static void drop_settings(RemoteConnection *c);

/* remote_transaction_init -- follow what transactions do */
void
remote_transaction_init(void)
{
	RegisterXactCallback(at_transaction, NULL);
	RegisterSubXactCallback(at_subtransaction, NULL);
}

/* vdb_remote_local_write -- see vecdb/remote.h */
void
vdb_remote_local_write(void)
{
	local_wrote = true;
}

/*
 * remote_transaction_is_needed -- must a request be sent within a transaction?
 *
 * A statement that only reads, and that is all of our transaction, need not.
 */
bool
remote_transaction_is_needed(RemoteConnection *c, bool writes)
{
	return writes || c->depth > 0 || IsTransactionBlock() ||
		IsolationUsesXactSnapshot();
}

/* remote_transaction_begin -- queue what brings the group to our level */
void
remote_transaction_begin(RemoteConnection *c, VdbRequest *request)
{
	int			level = GetCurrentTransactionNestLevel();
	char		sql[128];

	if (c->depth == 0)
	{
		snprintf(sql, sizeof(sql), "BEGIN ISOLATION LEVEL %s %s%s",
				 XactIsoLevel == XACT_SERIALIZABLE ? "SERIALIZABLE" :
				 XactIsoLevel == XACT_REPEATABLE_READ ? "REPEATABLE READ" :
				 "READ COMMITTED",
				 XactReadOnly || c->target.host ? "READ ONLY" : "READ WRITE",
				 XactDeferrable ? " DEFERRABLE" : "");
		remote_pipeline_command(c, sql, request, "BEGIN");
		c->depth = 1;
	}
	while (c->depth < level)
	{
		snprintf(sql, sizeof(sql), "SAVEPOINT s%d", c->depth + 1);
		remote_pipeline_command(c, sql, request, "SAVEPOINT");
		c->depth++;
	}
}

/*
 * remote_transaction_check -- can a connection be used?
 *
 * An ERROR if its part of our transaction is lost.
 */
void
remote_transaction_check(const RemoteConnection *c)
{
	if (c->lost)
		remote_error_lost(c->group, c->host);
	if (c->depth > 0 && c->failure)
		remote_error_throw(c->failure, c->group, c->host, NULL);
}

/* remote_transaction_has_written -- has our transaction changed anything? */
bool
remote_transaction_has_written(void)
{
	dlist_iter	iter;

	if (is_local_writer())
		return true;
	dlist_foreach(iter, &remote_connections)
	{
		RemoteConnection *c = dlist_container(RemoteConnection, node, iter.cur);

		if (c->depth > 0 && c->wrote)
			return true;
	}
	return false;
}

/* vdb_remote_is_open -- see vecdb/remote_record.h */
bool
vdb_remote_is_open(void)
{
	return find_participants(true) != NIL || find_participants(false) != NIL;
}

/* What our transaction does, others do too */
static void
at_transaction(XactEvent event, void *arg)
{
	if ((event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE) &&
		vdb_remote_may_be_fenced() && has_changes())
		vdb_remote_refuse_fenced(true);
	if (dlist_is_empty(&remote_connections))
	{
		local_wrote = false;
		return;
	}
	remote_wait_deadline = 0;
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			limit_wait();
			before_commit();
			remote_wait_deadline = 0;
			break;
		case XACT_EVENT_PRE_PREPARE:
			limit_wait();
			before_prepare();
			remote_wait_deadline = 0;
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
			after_commit();
			break;
		case XACT_EVENT_ABORT:
			after_abort();
			break;
		case XACT_EVENT_PARALLEL_PRE_COMMIT:
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_PARALLEL_ABORT:
			break;
	}
}

/*
 * Have waits end
 *
 * The server stops the clock of statement_timeout before it commits, as
 * committing is quick; not so if others have to answer.
 */
static void
limit_wait(void)
{
	if (StatementTimeout > 0)
		remote_wait_deadline =
			TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
										StatementTimeout);
}

/* What our subtransaction does, savepoints of others do too */
static void
at_subtransaction(SubXactEvent event, SubTransactionId mine,
				  SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();

	if (dlist_is_empty(&remote_connections))
		return;
	if (event == SUBXACT_EVENT_PRE_COMMIT_SUB)
		release_savepoints(level);
	else if (event == SUBXACT_EVENT_ABORT_SUB)
		without_throwing(roll_back_savepoints, level);
}

/* Has our transaction changed anything, here or elsewhere? */
static bool
has_changes(void)
{
	return is_local_writer() || find_participants(true) != NIL;
}

/* Get the other groups to commit, or ready to; an ERROR aborts all */
static void
before_commit(void)
{
	List	   *writers;
	List	   *readers;

	check_connections();
	writers = find_participants(true);
	readers = find_participants(false);
	if (writers != NIL &&
		(list_length(writers) > 1 || is_local_writer()))
		commit_two_phase(writers, readers);
	else
	{
		/* what may fail without harm first */
		commit_at(readers);
		commit_at(writers);
	}
}

/* PREPARE TRANSACTION by the user: only if other groups were not changed */
static void
before_prepare(void)
{
	List	   *writers;

	check_connections();
	writers = find_participants(true);
	if (writers != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot prepare a transaction that has changed other groups"),
				 errdetail("Group %d was changed.",
						   ((RemoteConnection *) linitial(writers))->group),
				 errhint("Use COMMIT, which prepares and commits at all groups by itself.")));
	commit_at(find_participants(false));
}

/*
 * See that all that was sent within the transaction was done
 *
 * An ERROR if a part of it has failed, or is lost with its connection, or with
 * a primary that has a successor.
 */
static void
check_connections(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &remote_connections)
	{
		RemoteConnection *c = dlist_container(RemoteConnection, node, iter.cur);

		if (c->depth == 0 && !c->lost)
			continue;
		remote_pipeline_drain(c);
		if (remote_fence_is_outdated(c))
			remote_pipeline_lost(c);
		remote_transaction_check(c);
	}
}

/* The connections with a transaction that has, or has not, changed rows */
static List *
find_participants(bool writers)
{
	List	   *found = NIL;
	dlist_iter	iter;

	dlist_foreach(iter, &remote_connections)
	{
		RemoteConnection *c = dlist_container(RemoteConnection, node, iter.cur);

		if (c->depth > 0 && c->wrote == writers)
			found = lappend(found, c);
	}
	return found;
}

/*
 * Has our transaction changed anything here?
 *
 * Changes of tables that are not distributed count: they must not be undone
 * while those of other groups stay.
 */
static bool
is_local_writer(void)
{
	return local_wrote || TransactionIdIsValid(GetTopTransactionIdIfAny());
}

/* Commit at groups, one of which at most was changed */
static void
commit_at(List *connections)
{
	ListCell   *lc;

	foreach(lc, connections)
	{
		RemoteConnection *c = lfirst(lc);

		remote_setting_send_role(c);
		send_end(c, "COMMIT", "COMMIT");
	}
	foreach(lc, connections)
	{
		RemoteConnection *c = lfirst(lc);
		bool		wrote = c->wrote;

		await_commit(c);
		if (c->lost && wrote)
			ereport(ERROR,
					(errcode(ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN),
					 errmsg("connection to group %d was lost during COMMIT",
							c->group),
					 errdetail("The transaction may have been committed at %s, or not.",
							   c->host),
					 errhint("Look at the rows before doing it again.")));
		check_answer(c, "COMMIT");
		c->depth = 0;
		if (c->unreplicated)
			ereport(ERROR,
					(errcode(ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN),
					 errmsg("no standby has confirmed the commit at group %d",
							c->group),
					 errdetail("The wait for synchronous replication was canceled.  The transaction is committed at %s, and is lost if another host takes its place.",
							   c->host),
					 errhint("Look at the rows before doing it again.")));
	}
}

/* Send what ends a transaction, or prepares that */
static void
send_end(RemoteConnection *c, const char *sql, const char *tag)
{
	c->unreplicated = false;
	remote_pipeline_command(c, sql, NULL, tag);
	remote_pipeline_sync(c);
}

/*
 * Wait for the answer to a COMMIT
 *
 * We have to know it.  So a cancel or a time-out is passed on to the group,
 * which says whether it came too late, and is not obeyed here: otherwise we
 * would report an error for what is committed.
 */
static void
await_commit(RemoteConnection *c)
{
	while (c->pg && !dlist_is_empty(&c->steps))
	{
		if (remote_pipeline_take(c))
			continue;
		if (QueryCancelPending || ProcDiePending ||
			!remote_pipeline_wait_quietly(c))
		{
			remote_pipeline_await(list_make1(c), true);
			if (!c->lost && !c->failure)
				QueryCancelPending = false;
		}
	}
}

/* Prepare at groups that were changed, and record that we will commit */
static void
commit_two_phase(List *writers, List *readers)
{
	char	   *name;
	ListCell   *lc;

	vdb_remote_request_recovery();
	name = remote_record_name();
	VDB_DEBUG_POINT("remote_prepare");
	foreach(lc, writers)
	{
		RemoteConnection *c = lfirst(lc);
		char	   *sql;

		snprintf(c->gid, sizeof(c->gid), "%s_%d", name, c->group);
		sql = psprintf("PREPARE TRANSACTION '%s'", c->gid);
		remote_setting_send_role(c);
		c->prepared = PREPARED_SENT;
		send_end(c, sql, "PREPARE TRANSACTION");
		pfree(sql);
	}
	foreach(lc, writers)
	{
		RemoteConnection *c = lfirst(lc);

		remote_pipeline_drain(c);
		check_answer(c, "PREPARE TRANSACTION");
		c->prepared = PREPARED_DONE;
		c->depth = 0;
		if (c->unreplicated)
			ereport(ERROR,
					(errcode(ERRCODE_QUERY_CANCELED),
					 errmsg("no standby has confirmed what group %d has prepared",
							c->group),
					 errdetail("The wait for synchronous replication was canceled at %s.",
							   c->host),
					 errhint("The transaction is rolled back in all groups: try again.")));
	}
	commit_at(readers);
	VDB_DEBUG_POINT("remote_prepared");
	/* others must not commit before our commit is on disk */
	ForceSyncCommit();
	remote_record_insert(name);
	VDB_DEBUG_POINT("remote_recorded");
	pfree(name);
}

/* An ERROR if a command at the end of the transaction did not succeed */
static void
check_answer(RemoteConnection *c, const char *command)
{
	if (c->lost)
		remote_error_lost(c->group, c->host);
	if (c->failure)
		remote_error_throw(c->failure, c->group, c->host, command);
	if (c->rolled_back)
		ereport(ERROR,
				(errcode(ERRCODE_TRANSACTION_ROLLBACK),
				 errmsg("group %d has rolled the transaction back", c->group),
				 errdetail("%s at %s was answered by ROLLBACK.", command,
						   c->host)));
}

/* We have committed: so do those that are prepared */
static void
after_commit(void)
{
	without_throwing(commit_prepared, 0);
	forget_transactions();
}

/* The transaction is over, here and everywhere */
static void
forget_transactions(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &remote_connections)
		forget_transaction(dlist_container(RemoteConnection, node, iter.cur));
	local_wrote = false;
}

/* COMMIT PREPARED at all groups at once; those that fail are recovery's */
static void
commit_prepared(int level)
{
	List	   *sent = NIL;
	ListCell   *lc;
	dlist_iter	iter;

	forget_requests(0);
	dlist_foreach(iter, &remote_connections)
	{
		RemoteConnection *c = dlist_container(RemoteConnection, node, iter.cur);

		if (c->prepared == PREPARED_DONE)
			sent = lappend(sent, c);
		else if (c->depth == 0 && c->cancel == NULL && c->ready &&
				 !dlist_is_empty(&c->steps))
		{
			/* rows that nobody read: have the other node stop */
			remote_pipeline_collect(c);
			if (c->ready && !dlist_is_empty(&c->steps))
				remote_pipeline_absorb(c);
			if (c->ready && !dlist_is_empty(&c->steps))
				c->cancel = remote_cancel_begin(c->pg);
		}
	}
	if (sent == NIL)
		return;
	if (!remote_standby_has_commit())
	{
		leave_prepared(sent);
		return;
	}
	reach_committed();
	foreach(lc, sent)
	{
		RemoteConnection *c = lfirst(lc);
		char	   *sql = psprintf("COMMIT PREPARED '%s'", c->gid);

		c->unreplicated = false;
		if (VDB_DEBUG_VALUE("remote_leave_prepared", 0) != c->group)
			remote_pipeline_send(c, sql, "COMMIT PREPARED");
		pfree(sql);
	}
	remote_pipeline_await(sent, false);
	foreach(lc, sent)
	{
		RemoteConnection *c = lfirst(lc);

		if (!c->ready || c->failure)
			ereport(WARNING,
					(errcode(ERRCODE_CONNECTION_FAILURE),
					 errmsg("group %d has not confirmed the commit", c->group),
					 errdetail("The transaction is committed; \"%s\" is prepared there and will be committed when the group can be reached.",
							   c->gid)));
		else if (c->unreplicated)
			ereport(WARNING,
					(errmsg("no standby has confirmed the commit at group %d",
							c->group),
					 errdetail("The wait for synchronous replication was canceled.  The transaction is committed, and what it has changed in this group may be lost if another host takes the place of %s.",
							   c->host)));
	}
	vdb_remote_request_recovery();
}

/*
 * The wait for our own commit was cancelled
 *
 * If we fail over now to a host that does not have it, it was not: the others
 * must not commit before.  They stay prepared, and recovery, here or at that
 * host, will see.
 */
static void
leave_prepared(List *prepared)
{
	ListCell   *lc;

	foreach(lc, prepared)
	{
		RemoteConnection *c = lfirst(lc);

		ereport(WARNING,
				(errcode(ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN),
				 errmsg("no standby of this group has confirmed the commit"),
				 errdetail("\"%s\" stays prepared at group %d, and is committed there when a standby has, or rolled back if another host takes the place of this one before.",
						   c->gid, c->group)));
	}
	vdb_remote_request_recovery();
}

/*
 * The debug point after the decision
 *
 * Interrupts are held here, which debug points take for a lock.
 */
static void
reach_committed(void)
{
	uint32		held = InterruptHoldoffCount;

	if (!vdb_debug_enabled)
		return;
	InterruptHoldoffCount = 0;
	VDB_DEBUG_POINT("remote_committed");
	InterruptHoldoffCount = held;
}

/* We have aborted: so do others */
static void
after_abort(void)
{
	without_throwing(roll_back, 0);
	forget_transactions();
}

/* Stop all that is done for us, and roll back at all groups at once */
static void
roll_back(int level)
{
	List	   *all = NIL;
	ListCell   *lc;
	dlist_iter	iter;

	forget_requests(0);
	dlist_foreach(iter, &remote_connections)
	{
		RemoteConnection *c = dlist_container(RemoteConnection, node, iter.cur);

		if (c->pg && !c->ready)
			remote_disconnect(c);
		else if (c->copy)
			remote_copy_abort(c);
		if (c->pg)
			all = lappend(all, c);
	}
	remote_pipeline_await(all, true);
	foreach(lc, all)
	{
		RemoteConnection *c = lfirst(lc);

		if (c->prepared == PREPARED_SENT && c->ready && !c->failure &&
			!c->rolled_back)
			c->prepared = PREPARED_DONE;
		if (c->prepared == PREPARED_DONE)
			roll_back_prepared(c);
		else if (c->depth > 0)
			remote_pipeline_send(c, "ROLLBACK", NULL);
		if (c->prepared != PREPARED_NOT)
			vdb_remote_request_recovery();
		drop_settings(c);
	}
	remote_pipeline_await(all, false);
	list_free(all);
}

/*
 * Roll back what is prepared at a group
 *
 * That waits for standbys as a commit does.  Not so when they were waited for
 * in vain just now: should the rollback be lost with its host, what is
 * prepared at the next one has no record, and recovery rolls it back.
 */
static void
roll_back_prepared(RemoteConnection *c)
{
	char	   *sql = psprintf("ROLLBACK PREPARED '%s'", c->gid);

	if (c->unreplicated)
		remote_pipeline_send(c, "SET synchronous_commit = local", NULL);
	remote_pipeline_send(c, sql, NULL);
	if (c->unreplicated)
	{
		remote_pipeline_send(c, "RESET synchronous_commit", NULL);
		if (c->settings)
			pfree(c->settings);
		c->settings = NULL;
	}
	pfree(sql);
}

/* A subtransaction commits: its savepoints go, what was done stays */
static void
release_savepoints(int level)
{
	dlist_iter	iter;
	char		sql[64];

	dlist_foreach(iter, &remote_requests)
	{
		VdbRequest *request = dlist_container(VdbRequest, node, iter.cur);

		request->level = Min(request->level, level - 1);
	}
	dlist_foreach(iter, &remote_connections)
	{
		RemoteConnection *c = dlist_container(RemoteConnection, node, iter.cur);

		if (c->depth < level || !c->ready)
			continue;
		snprintf(sql, sizeof(sql), "RELEASE SAVEPOINT s%d", level);
		remote_pipeline_command(c, sql, NULL, "RELEASE");
		remote_pipeline_sync(c);
		c->depth = level - 1;
	}
}

/* A subtransaction aborts: what was done in it is undone elsewhere too */
static void
roll_back_savepoints(int level)
{
	List	   *touched = NIL;
	ListCell   *lc;
	dlist_iter	iter;
	char		sql[64];

	forget_requests(level);
	dlist_foreach(iter, &remote_connections)
	{
		RemoteConnection *c = dlist_container(RemoteConnection, node, iter.cur);

		if (c->pg && !c->ready)
			remote_disconnect(c);
		if (c->copy && c->depth >= level)
			remote_copy_abort(c);
		if (c->depth >= level && c->ready)
			touched = lappend(touched, c);
	}
	if (touched == NIL)
		return;
	remote_pipeline_await(touched, true);
	foreach(lc, touched)
	{
		RemoteConnection *c = lfirst(lc);

		if (!c->ready)
			continue;
		if (c->failure)
			PQclear(c->failure);
		c->failure = NULL;
		c->rolled_back = false;
		drop_settings(c);
		snprintf(sql, sizeof(sql), "ROLLBACK TO SAVEPOINT s%d", level);
		if (!remote_pipeline_send(c, sql, "ROLLBACK"))
			continue;
		snprintf(sql, sizeof(sql), "RELEASE SAVEPOINT s%d", level);
		remote_pipeline_send(c, sql, "RELEASE");
		c->depth = level - 1;
	}
	remote_pipeline_await(touched, false);
	list_free(touched);
}

/* Forget requests that were made at a level or below it */
static void
forget_requests(int level)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &remote_requests)
	{
		VdbRequest *request = dlist_container(VdbRequest, node, iter.cur);

		if (request->level >= level)
			remote_request_forget(request);
	}
}

/* The transaction is over, in whichever way */
static void
forget_transaction(RemoteConnection *c)
{
	if (c->ready && !dlist_is_empty(&c->steps) &&
		(c->depth > 0 || c->prepared != PREPARED_NOT))
		remote_pipeline_lost(c);
	c->depth = 0;
	c->wrote = false;
	c->lost = false;
	c->rolled_back = false;
	c->prepared = PREPARED_NOT;
	c->unreplicated = false;
	c->gid[0] = '\0';
	if (c->failure)
		PQclear(c->failure);
	c->failure = NULL;
}

/* Settings that were made in what is rolled back are not what they were */
static void
drop_settings(RemoteConnection *c)
{
	if (c->settings_in_transaction && c->settings)
	{
		pfree(c->settings);
		c->settings = NULL;
	}
	c->settings_in_transaction = false;
}

/*
 * Do something that must not fail
 *
 * The decision has been made, or this is the reaction to an error.  Another
 * error, as one of memory, cannot change that: the connections are closed,
 * which takes our transaction with it if it still runs, and what is left
 * prepared is recovery's.  What other nodes remark is of no interest.
 */
static void
without_throwing(void (*action) (int level), int level)
{
	MemoryContext context = CurrentMemoryContext;
	uint32		held = InterruptHoldoffCount;
	dlist_iter	iter;

	remote_error_quiet(true);
	PG_TRY();
	{
		action(level);
	}
	PG_CATCH();
	{
		/* an error lets interrupts in, which must wait until we are done */
		InterruptHoldoffCount = held;
		MemoryContextSwitchTo(context);
		EmitErrorReport();
		FlushErrorState();
		dlist_foreach(iter, &remote_connections)
			remote_pipeline_lost(dlist_container(RemoteConnection, node,
												 iter.cur));
	}
	PG_END_TRY();
	remote_error_quiet(false);
}
