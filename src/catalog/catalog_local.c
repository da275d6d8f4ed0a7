/*-------------------------------------------------------------------------
 *
 * catalog_local.c
 *	  Local mode: when tables are what they are on this node.
 *
 * A session that another node has opened is in local mode for good; it says so
 * when it connects, by the setting vecdb.internal.  Any other session enters
 * local mode for the time in which it executes its own share of a statement.
 *
 * IDENTIFICATION
 *	  src/catalog/catalog_local.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "catalog_private.h"

/* vecdb.internal, and whether the user was found to be entitled to it */
static bool internal = false;
static bool internal_allowed = false;

/*
 * The nesting level of transactions at each vdb_catalog_enter_local() that has
 * not been left, in order; so aborting a level undoes those at the end.
 */
static int *entered = NULL;
static int	entered_count = 0;
static int	entered_room = 0;

/* Who wants to know when nothing is entered any more */
static void (*leave_callback) (void) = NULL;

static void set_count(int count);
static bool may_be_internal(void);
static void end_transaction(XactEvent event, void *arg);
static void end_subtransaction(SubXactEvent event, SubTransactionId id,
							   SubTransactionId parent, void *arg);

void
vdb_catalog_init(void)
{
	DefineCustomBoolVariable("vecdb.internal",
							 "Whether this session works for another node of the cluster.",
							 "Set by vecdb when it connects; only for superusers and members of the role that owns the extension.",
							 &internal, false, PGC_BACKEND,
							 GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE |
							 GUC_DISALLOW_IN_FILE, NULL, NULL, NULL);
	if (process_shared_preload_libraries_in_progress)
		catalog_level_init();
}

bool
vdb_catalog_local_mode(void)
{
	return entered_count > 0 || catalog_is_internal();
}

bool
catalog_is_internal(void)
{
	return unlikely(internal) && (internal_allowed || may_be_internal());
}

void
vdb_catalog_enter_local(void)
{
	if (entered_count == entered_room)
	{
		if (entered == NULL)
		{
			entered = MemoryContextAlloc(TopMemoryContext, 16 * sizeof(int));
			entered_room = 16;
			RegisterXactCallback(end_transaction, NULL);
			RegisterSubXactCallback(end_subtransaction, NULL);
		}
		else
		{
			entered = repalloc(entered, sizeof(int) * 2 * entered_room);
			entered_room *= 2;
		}
	}
	entered[entered_count++] = GetCurrentTransactionNestLevel();
}

void
vdb_catalog_leave_local(void)
{
	Assert(entered_count > 0);
	if (entered_count > 0)
		set_count(entered_count - 1);
}

void
vdb_catalog_on_leave(void (*callback) (void))
{
	leave_callback = callback;
}

/*
 * set_count -- leave local mode so many times that "count" are left
 */
static void
set_count(int count)
{
	bool		left = entered_count > 0 && count == 0;

	entered_count = count;
	if (left && leave_callback != NULL && !catalog_is_internal())
		leave_callback();
}

/*
 * may_be_internal -- is this session's user trusted with vecdb.internal?
 *
 * Ignoring the setting would be worse than the ERROR: nodes would send a
 * statement round and round.  Where there is no catalog yet nothing is
 * distributed, and the question stays open.
 */
static bool
may_be_internal(void)
{
	Oid			user = GetSessionUserId();
	Oid			relid;
	HeapTuple	tuple;
	Oid			owner;

	/* nothing but the end of an aborted transaction can follow */
	if (!IsTransactionState())
		return true;
	if (superuser_arg(user))
		return internal_allowed = true;
	relid = catalog_relation();
	if (!OidIsValid(relid))
		return true;

	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	if (!has_privs_of_role(user, owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to work for another node of the cluster"),
				 errdetail("The session was begun with vecdb.internal = on by role \"%s\".",
						   GetUserNameFromId(user, false)),
				 errhint("Only superusers and members of role \"%s\", which owns the extension, may do so.",
						 GetUserNameFromId(owner, false))));
	return internal_allowed = true;
}

/*
 * end_transaction -- nothing is entered between transactions
 */
static void
end_transaction(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PARALLEL_ABORT:
			set_count(0);
			break;
		default:
			break;
	}
}

/*
 * end_subtransaction -- undo what was entered in an aborted subtransaction
 *
 * After a commit it belongs to the parent.
 */
static void
end_subtransaction(SubXactEvent event, SubTransactionId id,
				   SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();

	if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		int			count = entered_count;

		while (count > 0 && entered[count - 1] >= level)
			count--;
		set_count(count);
	}
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		for (int i = entered_count - 1; i >= 0 && entered[i] >= level; i--)
			entered[i] = level - 1;
	}
}
