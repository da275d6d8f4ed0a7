/*-------------------------------------------------------------------------
 *
 * ddl_outside.c
 *	  Statements that cannot run in a transaction block: VACUUM, ANALYZE, and
 *	  all that is CONCURRENTLY.
 *
 * They are done in one group after the other, each over a connection of its
 * own.  VACUUM and ANALYZE come to this session last.  CREATE INDEX
 * CONCURRENTLY goes to this node over such a connection, too: if it fails in
 * one group what the others have built is dropped again, and this session
 * holds no lock that this would have to wait for.
 *
 * IDENTIFICATION
 *	  src/ddl/ddl_outside.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "vecdb/remote.h"
#include "ddl_private.h"

/* Where a statement goes, once the catalog cannot be asked any more */
typedef struct OutsideGroup
{
	int			id;
	int			host_count;
	VdbHost    *hosts;
	bool		touched;		/* was the statement sent? */
} OutsideGroup;

static OutsideGroup *list_groups(bool own, int *count);
static void check_owners(List *tables);
static char *settings_text(void);
static void run_on_group(OutsideGroup *group, const char *settings,
						 const char *sql);
static bool is_primary(const VdbHost *host);
static void run_everywhere(const char *given, const char *undo);
static void run_in_turn(OutsideGroup *groups, int count,
						const char *settings, const char *sql,
						const char *undo);
static void undo_all(OutsideGroup *groups, int count, const char *settings,
					 const char *undo);

/*
 * ddl_run_outside -- see ddl_private.h
 */
bool
ddl_run_outside(const DdlStatement *statement, const DdlDecision *decision)
{
	const char *sql = decision->sql != NULL ? decision->sql :
	statement->sql;
	OutsideGroup *groups;
	int			count;

	check_owners(decision->tables);
	if (IsA(statement->parse, VacuumStmt))
	{
		if (IsInTransactionBlock(statement->top_level))
		{
			if (!((VacuumStmt *) statement->parse)->is_vacuumcmd)
				vdb_remote_execute_all(sql);
			return true;		/* VACUUM is refused by PostgreSQL */
		}
		groups = list_groups(false, &count);
		for (int i = 0; i < count; i++)
			run_on_group(&groups[i], settings_text(), sql);
		return true;
	}

	PreventInTransactionBlock(statement->top_level,
							  "a statement that is CONCURRENTLY");
	if (IsA(statement->parse, IndexStmt))
	{
		IndexStmt  *index = (IndexStmt *) statement->parse;
		char	   *schema = get_namespace_name(get_rel_namespace(linitial_oid(decision->tables)));
		Oid			existing = get_relname_relid(index->idxname,
												 get_namespace_oid(schema,
																   false));

		if (OidIsValid(existing))
			return true;		/* PostgreSQL says so, in its words */
		run_everywhere(sql,
					   psprintf("DROP INDEX CONCURRENTLY IF EXISTS %s",
								quote_qualified_identifier(schema,
														   index->idxname)));
	}
	else
		run_everywhere(sql, NULL);
	return false;
}

/*
 * check_owners -- who may not do this is told here, before others are troubled
 */
static void
check_owners(List *tables)
{
	ListCell   *cell;

	foreach(cell, tables)
	{
		HeapTuple	tuple = SearchSysCache1(RELOID,
											ObjectIdGetDatum(lfirst_oid(cell)));
		Oid			owner;

		if (!HeapTupleIsValid(tuple))
			continue;
		owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
		ReleaseSysCache(tuple);
		if (!has_privs_of_role(GetUserId(), owner))
			aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE,
						   get_rel_name(lfirst_oid(cell)));
	}
}

/*
 * list_groups -- all groups with their hosts, copied; the own one on request
 */
static OutsideGroup *
list_groups(bool own, int *count)
{
	const VdbCluster *cluster = vdb_catalog_cluster();
	OutsideGroup *groups = palloc0(cluster->group_count *
								   sizeof(OutsideGroup));

	*count = 0;
	for (int i = 0; i < cluster->group_count; i++)
	{
		const VdbGroup *from = &cluster->groups[i];
		OutsideGroup *group = &groups[*count];

		if (!own && from->id == cluster->local_group)
			continue;
		group->id = from->id;
		group->host_count = from->host_count;
		group->hosts = palloc(from->host_count * sizeof(VdbHost));
		for (int j = 0; j < from->host_count; j++)
		{
			group->hosts[j].host = pstrdup(from->hosts[j].host);
			group->hosts[j].port = from->hosts[j].port;
		}
		(*count)++;
	}
	return groups;
}

/*
 * settings_text -- what has to be set there first
 */
static char *
settings_text(void)
{
	static const char *const names[] = {
		"search_path", "maintenance_work_mem",
		"max_parallel_maintenance_workers", "lock_timeout"
	};
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < lengthof(names); i++)
		appendStringInfo(&text, "%spg_catalog.set_config('%s', %s, false)",
						 i == 0 ? "SELECT " : ", ", names[i],
						 quote_literal_cstr(GetConfigOption(names[i], false,
															false)));
	appendStringInfo(&text, ", pg_catalog.set_config('role', %s, false)",
					 quote_literal_cstr(GetUserNameFromId(GetUserId(),
														  false)));
	return text.data;
}

/*
 * run_on_group -- on the first of its hosts that is a primary
 *
 * The hosts are tried in order; the last one's error is the user's.
 */
static void
run_on_group(OutsideGroup *group, const char *settings, const char *sql)
{
	for (int i = 0; i < group->host_count; i++)
	{
		VdbHost    *host = &group->hosts[i];

		if (i < group->host_count - 1 && !is_primary(host))
			continue;
		group->touched = true;
		vdb_remote_run_alone(host->host, host->port, settings, sql);
		return;
	}
}

/*
 * is_primary -- can the host be reached, and is it no standby?
 */
static bool
is_primary(const VdbHost *host)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool primary = false;

	PG_TRY();
	{
		primary = !vdb_remote_probe(host->host, host->port)->in_recovery;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
		CHECK_FOR_INTERRUPTS();
	}
	PG_END_TRY();
	return primary;
}

/*
 * run_everywhere -- in one group after the other, this one included
 *
 * Nothing of ours may be waited for: no lock and no snapshot.  So the
 * transaction ends, as it does in PostgreSQL's own code for such statements,
 * and what is needed is kept in the portal's memory.  "undo" is executed
 * wherever the statement was begun, if it fails.
 */
static void
run_everywhere(const char *given, const char *undo)
{
	MemoryContext old = MemoryContextSwitchTo(PortalContext);
	int			count;
	OutsideGroup *groups = list_groups(true, &count);
	char	   *settings = settings_text();
	char	   *sql = pstrdup(given);
	char	   *undo_sql = undo == NULL ? NULL : pstrdup(undo);

	MemoryContextSwitchTo(old);
	if (ActiveSnapshotSet())
		PopActiveSnapshot();
	CommitTransactionCommand();
	StartTransactionCommand();
	run_in_turn(groups, count, settings, sql, undo_sql);
}

/*
 * run_in_turn -- in the groups given, or in none
 */
static void
run_in_turn(OutsideGroup *groups, int count, const char *settings,
			const char *sql, const char *undo)
{
	for (int i = 0; i < count; i++)
	{
		PG_TRY();
		{
			run_on_group(&groups[i], settings, sql);
		}
		PG_CATCH();
		{
			ErrorData  *error;

			MemoryContextSwitchTo(PortalContext);
			error = CopyErrorData();
			FlushErrorState();
			if (undo != NULL)
				undo_all(groups, count, settings, undo);
			if (error->context == NULL)
				error->context = psprintf("group %d", groups[i].id);
			ReThrowError(error);
		}
		PG_END_TRY();
		ereport(DEBUG1,
				(errmsg_internal("group %d is done", groups[i].id)));
	}
}

/*
 * undo_all -- where it was begun; what fails again is reported as a WARNING
 */
static void
undo_all(OutsideGroup *groups, int count, const char *settings,
		 const char *undo)
{
	MemoryContext context = CurrentMemoryContext;

	for (int i = 0; i < count; i++)
	{
		if (!groups[i].touched)
			continue;
		PG_TRY();
		{
			run_on_group(&groups[i], settings, undo);
		}
		PG_CATCH();
		{
			ErrorData  *error;

			MemoryContextSwitchTo(context);
			error = CopyErrorData();
			FlushErrorState();
			ereport(WARNING,
					(errcode(error->sqlerrcode),
					 errmsg("could not clean up in group %d: %s",
							groups[i].id, error->message),
					 errhint("Execute there: %s", undo)));
		}
		PG_END_TRY();
	}
}
