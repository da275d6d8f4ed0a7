/*-------------------------------------------------------------------------
 *
 * ddl_run.c
 *	  Running statements here and in other groups, and the one lock under
 *	  which the schema of the cluster changes.
 *
 * IDENTIFICATION
 *	  src/ddl/ddl_run.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/syscache.h"

#include "vecdb/catalog.h"
#include "vecdb/remote.h"
#include "ddl_private.h"

static void execute(const char *sql);

/*
 * ddl_become_superuser -- see ddl_private.h
 */
void
ddl_become_superuser(DdlUser *saved)
{
	GetUserIdAndSecContext(&saved->user, &saved->context);
	SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID,
						   saved->context | SECURITY_LOCAL_USERID_CHANGE);
	saved->settings = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/*
 * ddl_become_owner -- see ddl_private.h
 */
void
ddl_become_owner(DdlUser *saved, Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	GetUserIdAndSecContext(&saved->user, &saved->context);
	SetUserIdAndSecContext(owner, saved->context |
						   SECURITY_RESTRICTED_OPERATION);
	saved->settings = NewGUCNestLevel();
}

/*
 * ddl_become_user -- the opposite
 */
void
ddl_become_user(const DdlUser *saved)
{
	AtEOXact_GUC(true, saved->settings);
	SetUserIdAndSecContext(saved->user, saved->context);
}

/*
 * execute -- one statement through SPI, in local mode
 *
 * SPI stays connected, for the caller to look at the result.
 */
static void
execute(const char *sql)
{
	int			code;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	vdb_catalog_enter_local();
	code = SPI_execute(sql, false, 0);
	vdb_catalog_leave_local();
	if (code < 0)
		elog(ERROR, "SPI failed with %s: %s", SPI_result_code_string(code),
			 sql);
}

uint64
ddl_local(const char *sql)
{
	uint64		processed;

	execute(sql);
	processed = SPI_processed;
	(void) SPI_finish();
	return processed;
}

/* ddl_try -- see ddl_private.h */
ErrorData *
ddl_try(void (*work) (void *), void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		work(arg);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return error;
}

/*
 * ddl_everywhere -- see ddl_private.h
 *
 * Here first: what is wrong with a statement shows before anyone is troubled.
 */
void
ddl_everywhere(const char *sql)
{
	vdb_remote_local_write();
	(void) ddl_local(sql);
	vdb_remote_execute_all(sql);
}

void
ddl_elsewhere(List *statements)
{
	ListCell   *cell;

	foreach(cell, statements)
		vdb_remote_execute_all(lfirst(cell));
}

List *
ddl_list(const char *sql)
{
	MemoryContext caller = CurrentMemoryContext;
	List	   *list = NIL;

	execute(sql);
	if (SPI_tuptable == NULL)
		elog(ERROR, "not a query: %s", sql);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		char	   *value = SPI_getvalue(SPI_tuptable->vals[i],
										 SPI_tuptable->tupdesc, 1);
		MemoryContext spi;

		if (value == NULL)
			continue;
		spi = MemoryContextSwitchTo(caller);
		list = lappend(list, pstrdup(value));
		MemoryContextSwitchTo(spi);
	}
	(void) SPI_finish();
	return list;
}

char *
ddl_value(const char *sql)
{
	List	   *list = ddl_list(sql);

	return list == NIL ? NULL : linitial(list);
}

char *
ddl_ask(int group, const char *sql)
{
	VdbStatement statement = {.sql = sql,.writes = true,.once = true};
	VdbRequest *request = vdb_remote_send(group, &statement);
	char	   *value = NULL;
	PGresult   *result;

	while ((result = vdb_remote_row(request)) != NULL)
	{
		if (value == NULL && !PQgetisnull(result, 0, 0))
			value = pstrdup(PQgetvalue(result, 0, 0));
		PQclear(result);
	}
	vdb_remote_close(request);
	return value;
}

void
ddl_need_preload(void)
{
	if (!ddl_is_preloaded)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("vecdb was not loaded when the server started"),
				 errhint("Put vecdb into shared_preload_libraries and restart the server.")));
}

const VdbCluster *
ddl_need_cluster(void)
{
	const VdbCluster *cluster = vdb_catalog_cluster();

	ddl_need_preload();
	if (cluster == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("this database belongs to no cluster"),
				 errhint("Make it one with vecdb.create_cluster(), or add it to one with vecdb.add_group().")));
	if (vdb_catalog_local_mode())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the cluster cannot be changed by a session that works for another node")));
	return cluster;
}

/*
 * ddl_lock_cluster -- see ddl_private.h
 *
 * The lock is a row of the group with the lowest number, so that whoever wants
 * it waits in one place (README, lock rule 1).  The same row here is locked as
 * well: who held the lock before has committed there, but perhaps not yet here.
 */
void
ddl_lock_cluster(void)
{
	const char *lock = "SELECT epoch FROM vecdb.catalog_cluster FOR UPDATE";
	const VdbCluster *cluster = ddl_need_cluster();
	int			first = cluster->groups[0].id;
	DdlUser		user;

	PreventCommandIfReadOnly("changing the schema of a cluster");
	ddl_become_superuser(&user);
	if (first != cluster->local_group)
		(void) ddl_ask(first, lock);
	vdb_remote_local_write();
	(void) ddl_local(lock);
	ddl_become_user(&user);
	AcceptInvalidationMessages();
	/* it may have come to its end meanwhile */
	(void) ddl_need_cluster();
}

void
ddl_grow_epoch(void)
{
	ddl_everywhere("UPDATE vecdb.catalog_cluster SET epoch = epoch + 1");
}

bool
ddl_is_owner(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		return false;
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return has_privs_of_role(GetUserId(), owner);
}

char *
ddl_table_name(Oid relid)
{
	char	   *name = get_rel_name(relid);

	if (name == NULL)
		elog(ERROR, "relation %u does not exist", relid);
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  name);
}
