/*-------------------------------------------------------------------------
 *
 * remote_transaction.c
 *	  Transactions over groups: begin, savepoints, abort, and who commits.
 *
 * A transaction at another group is begun when it is first needed, with the
 * properties of ours, and follows it: savepoints are set there when something
 * is sent within a subtransaction, and are released or rolled back to with it.
 *
 * At commit we see that all that was sent was done, and which groups take part,
 * as writers or readers; remote_commit.c has them commit.
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
static void finish(int level);
static void stop_unread(void);
static void roll_back(int level);
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
		remote_commit_prepare(writers, readers);
	else
	{
		/* what may fail without harm first */
		remote_commit_at(readers);
		remote_commit_at(writers);
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
	remote_commit_at(find_participants(false));
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

/* We have committed: so do those that are prepared */
static void
after_commit(void)
{
	without_throwing(finish, 0);
	forget_transactions();
}

/* Forget our requests, and have others commit what is prepared */
static void
finish(int level)
{
	forget_requests(0);
	stop_unread();
	remote_commit_finish();
}

/* Rows that nobody has read: have the other node stop */
static void
stop_unread(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &remote_connections)
	{
		RemoteConnection *c = dlist_container(RemoteConnection, node, iter.cur);

		if (c->prepared == PREPARED_DONE || c->depth > 0 || c->cancel ||
			!c->ready || dlist_is_empty(&c->steps))
			continue;
		remote_pipeline_collect(c);
		if (c->ready && !dlist_is_empty(&c->steps))
			remote_pipeline_absorb(c);
		if (c->ready && !dlist_is_empty(&c->steps))
			c->cancel = remote_cancel_begin(c->pg);
	}
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

		/* if the connection is lost, it is the only one who can know */
		if (c->prepared != PREPARED_NOT)
			vdb_remote_request_recovery();
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
			remote_commit_roll_back(c);
		else if (c->depth > 0)
			remote_pipeline_send(c, "ROLLBACK", NULL);
		drop_settings(c);
	}
	remote_pipeline_await(all, false);
	list_free(all);
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
