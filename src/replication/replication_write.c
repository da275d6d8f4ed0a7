/*-------------------------------------------------------------------------
 *
 * replication_write.c
 *	  vecdb.write_consistency: where a change is when COMMIT returns.
 *
 *	 server		as synchronous_commit and synchronous_standby_names say
 *	 one		on the disk of the primary
 *	 quorum		also on those of the standbys that synchronous_standby_names
 *				wants; an ERROR, and nothing is committed, where it wants none
 *	 all		as server, and on those of all hosts of the group, or a WARNING
 *				says that it is not
 *
 * The setting travels with requests, so that each group that has changed
 * something does this for itself.  The first three are done by setting
 * synchronous_commit for the end of the transaction.  For the last the prober
 * is made to ask the group's hosts until they have it.
 *
 * IDENTIFICATION
 *	  src/replication/replication_write.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "replication/syncrep.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/wait_event.h"

#include "replication_private.h"

/* How long "all" waits, and how often it looks */
#define ALL_MS 10000
#define LOOK_MS 10

/* SQLSTATE of the WARNING that not all hosts have a change */
#define ERRCODE_NOT_ON_ALL_HOSTS MAKE_SQLSTATE('0', '1', 'V', 'D', '1')

typedef enum WriteConsistency
{
	WRITE_SERVER,
	WRITE_ONE,
	WRITE_QUORUM,
	WRITE_ALL
} WriteConsistency;

static const struct config_enum_entry write_options[] = {
	{"server", WRITE_SERVER, false},
	{"one", WRITE_ONE, false},
	{"quorum", WRITE_QUORUM, false},
	{"all", WRITE_ALL, false},
	{NULL, 0, false}
};

static int	write_consistency = WRITE_SERVER;

/* The group whose hosts the transaction that ends waits for; 0: none */
static int	awaited_group;

static void at_end(XactEvent event, void *arg);
static void prepare_commit(void);
static void set_synchronous_commit(const char *value);
static void wait_for_all(XLogRecPtr end);
static char *find_missing(XLogRecPtr end, bool *hopeless);

/* replication_write_init -- define the setting, and take part in commits */
void
replication_write_init(void)
{
	DefineCustomEnumVariable("vecdb.write_consistency",
							 "Sets on how many hosts of a group a change is when COMMIT returns.",
							 NULL, &write_consistency, WRITE_SERVER,
							 write_options, PGC_USERSET, 0,
							 NULL, NULL, NULL);
	RegisterXactCallback(at_end, NULL);
}

/* A transaction ends */
static void
at_end(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			awaited_group = 0;
			if (write_consistency != WRITE_SERVER &&
				MyBackendType == B_BACKEND &&
				TransactionIdIsValid(GetTopTransactionIdIfAny()))
				prepare_commit();
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
			if (awaited_group != 0)
				wait_for_all(event == XACT_EVENT_COMMIT ? XactLastCommitEnd :
							 GetXLogWriteRecPtr());
			awaited_group = 0;
			break;
		default:
			awaited_group = 0;
			break;
	}
}

/* See that the commit that follows waits for whom it should */
static void
prepare_commit(void)
{
	const VdbCluster *cluster;

	switch (write_consistency)
	{
		case WRITE_ONE:
			if (synchronous_commit > SYNCHRONOUS_COMMIT_LOCAL_FLUSH)
				set_synchronous_commit("local");
			break;
		case WRITE_QUORUM:
			if (SyncRepStandbyNames == NULL || SyncRepStandbyNames[0] == '\0')
				ereport(ERROR,
						(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						 errmsg("cannot commit with vecdb.write_consistency = quorum"),
						 errdetail("This server has no synchronous standbys: synchronous_standby_names is empty."),
						 errhint("Give the group synchronous standbys, or set vecdb.write_consistency to one or server.")));
			if (synchronous_commit < SYNCHRONOUS_COMMIT_REMOTE_FLUSH)
				set_synchronous_commit("on");
			break;
		case WRITE_ALL:
			cluster = vdb_catalog_cluster();
			awaited_group = cluster ? cluster->local_group : 0;
			/* what is not on our own disk is on no other, either */
			if (synchronous_commit < SYNCHRONOUS_COMMIT_LOCAL_FLUSH)
				set_synchronous_commit("local");
			break;
		default:
			break;
	}
}

/* To the end of the transaction */
static void
set_synchronous_commit(const char *value)
{
	(void) set_config_option("synchronous_commit", value, PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
}

/*
 * Wait until all hosts of the group have flushed their WAL up to "end"
 *
 * The transaction is over: nothing here can undo it, so there is a WARNING and
 * no ERROR, and who cancels the statement ends the wait only.
 */
static void
wait_for_all(XLogRecPtr end)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													   ALL_MS);

	for (;;)
	{
		bool		hopeless = false;
		char	   *missing = find_missing(end, &hopeless);

		if (missing == NULL)
			return;
		if (hopeless || QueryCancelPending || ProcDiePending ||
			GetCurrentTimestamp() >= deadline)
		{
			QueryCancelPending = false;
			ereport(WARNING,
					(errcode(ERRCODE_NOT_ON_ALL_HOSTS),
					 errmsg("the transaction is committed, and not known to be on all hosts of group %d",
							awaited_group),
					 errdetail("%s.", missing)));
			return;
		}
		pfree(missing);
		replication_shared_nudge(awaited_group);
		if (WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					  LOOK_MS, PG_WAIT_EXTENSION) & WL_LATCH_SET)
			ResetLatch(MyLatch);
	}
}

/* Which host does not have it yet?  NULL: all do; hopeless: it will not soon */
static char *
find_missing(XLogRecPtr end, bool *hopeless)
{
	int			count;
	ReplicationHost *hosts = replication_shared_group(awaited_group, &count);
	char	   *missing = NULL;

	if (hosts == NULL)
	{
		*hopeless = true;
		return pstrdup("The prober does not run");
	}
	for (int i = 0; i < count && !*hopeless; i++)
	{
		ReplicationHost *h = &hosts[i];

		if (h->is_self)
			continue;
		*hopeless = !h->is_up || h->foreign || !h->state.in_recovery;
		if (*hopeless)
			missing = psprintf("Host \"%s\" %s", replication_hosts_name(h),
							   h->error[0] ? h->error : "is no standby");
		else if (h->state.flushed < end && missing == NULL)
			missing = psprintf("Host \"%s\" has not received it in time",
							   replication_hosts_name(h));
	}
	pfree(hosts);
	return missing;
}

/*
 * replication_write_begin_prepared -- is a command a COMMIT PREPARED, that
 * waits for somebody?
 *
 * That is no end of a transaction that the callback could see.  If true,
 * replication_write_end_prepared() follows the command.
 */
bool
replication_write_begin_prepared(Node *statement)
{
	if (write_consistency == WRITE_SERVER || MyBackendType != B_BACKEND ||
		!IsA(statement, TransactionStmt) ||
		((TransactionStmt *) statement)->kind != TRANS_STMT_COMMIT_PREPARED)
		return false;
	prepare_commit();
	return true;
}

/* replication_write_end_prepared -- it is committed */
void
replication_write_end_prepared(void)
{
	if (awaited_group != 0)
		wait_for_all(GetXLogWriteRecPtr());
	awaited_group = 0;
}
