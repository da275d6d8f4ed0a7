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
#include "catalog/pg_database.h"
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
	char	   *check;			/* SQL: an error unless it is the group */
	bool		touched;		/* has the statement left something there? */
} OutsideGroup;

/* What goes there; all of it in the portal's memory */
typedef struct OutsideRun
{
	OutsideGroup *groups;
	int			count;
	char	   *settings;
	char	   *sql;
	char	   *undo;			/* NULL: nothing to undo */
	List	   *finished;		/* groups that had before what is to be made */
} OutsideRun;

static bool vacuum(const DdlStatement *statement, const char *sql,
				   List *tables);
static bool build_index(const IndexStmt *index, Oid table, const char *sql);
static List *groups_with(const char *relation);
static bool is_there(int group, const char *relation);
static void check_owners(Node *parse, List *tables);
static bool may_maintain(Oid relid);
static bool may_vacuum(Oid relid);
static OutsideGroup *list_groups(bool own, int *count);
static char *check_identity(int group);
static char *settings_text(void);
static void run_on_group(OutsideGroup *group, const char *settings,
						 const char *sql);
static bool is_primary(const VdbHost *host);
static void run_everywhere(const char *sql, const char *undo, List *finished);
static void run_in_turn(OutsideRun *run);
static void run_or_undo(OutsideRun *run, OutsideGroup *group);
static void undo(const OutsideRun *run, OutsideGroup *group);

/*
 * ddl_run_outside -- see ddl_private.h
 */
bool
ddl_run_outside(const DdlStatement *statement, const DdlDecision *decision)
{
	const char *sql = decision->sql != NULL ? decision->sql :
	statement->sql;

	if (IsA(statement->parse, VacuumStmt))
		return vacuum(statement, sql, decision->tables);

	check_owners(statement->parse, decision->tables);
	PreventInTransactionBlock(statement->top_level,
							  "a statement that is CONCURRENTLY");
	if (IsA(statement->parse, IndexStmt))
		return build_index((IndexStmt *) statement->parse,
						   linitial_oid(decision->tables), sql);
	run_everywhere(sql, NULL, NIL);
	return false;
}

/*
 * vacuum -- VACUUM and ANALYZE in all other groups
 *
 * Returns true: it is still to be done here.  PostgreSQL skips tables that are
 * not the user's, with a WARNING, which he gets from this node; where all would
 * be skipped, others need not know.
 */
static bool
vacuum(const DdlStatement *statement, const char *sql, List *tables)
{
	OutsideGroup *groups;
	int			count;
	ListCell   *cell;
	bool		any = false;

	foreach(cell, tables)
		any |= may_vacuum(lfirst_oid(cell));
	if (!any)
		return true;
	if (IsInTransactionBlock(statement->top_level))
	{
		if (!((VacuumStmt *) statement->parse)->is_vacuumcmd)
			vdb_remote_execute_all(sql);
		return true;			/* VACUUM is refused by PostgreSQL */
	}
	groups = list_groups(false, &count);
	for (int i = 0; i < count; i++)
		run_on_group(&groups[i], settings_text(), sql);
	return true;
}

/*
 * build_index -- CREATE INDEX CONCURRENTLY, in all groups or in none
 *
 * What a group had before by that name stays there, if it fails.
 */
static bool
build_index(const IndexStmt *index, Oid table, const char *sql)
{
	char	   *schema = get_namespace_name(get_rel_namespace(table));
	char	   *name = quote_qualified_identifier(schema, index->idxname);
	List	   *finished = groups_with(name);

	if (finished != NIL && !index->if_not_exists)
	{
		int			group = linitial_int(finished);

		if (list_member_int(finished, vdb_catalog_cluster()->local_group))
			return true;		/* PostgreSQL says so, in its words */
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 errmsg("relation \"%s\" already exists in group %d",
						index->idxname, group),
				 errhint("Choose another name, or drop it there in a session on that node.")));
	}
	run_everywhere(sql,
				   psprintf("DROP INDEX CONCURRENTLY IF EXISTS %s", name),
				   finished);
	return false;
}

/*
 * groups_with -- the groups that have a relation of this name
 */
static List *
groups_with(const char *relation)
{
	const VdbCluster *cluster = vdb_catalog_cluster();
	List	   *list = NIL;

	for (int i = 0; i < cluster->group_count; i++)
	{
		if (is_there(cluster->groups[i].id, relation))
			list = lappend_int(list, cluster->groups[i].id);
	}
	return list;
}

static bool
is_there(int group, const char *relation)
{
	VdbStatement statement = {.once = true};
	VdbRequest *request;
	PGresult   *result;
	bool		found = false;

	statement.sql = psprintf("SELECT pg_catalog.to_regclass(%s)",
							 quote_literal_cstr(relation));
	if (group == vdb_catalog_cluster()->local_group)
		return ddl_value(statement.sql) != NULL;
	request = vdb_remote_send(group, &statement);
	while ((result = vdb_remote_row(request)) != NULL)
	{
		found |= !PQgetisnull(result, 0, 0);
		PQclear(result);
	}
	vdb_remote_close(request);
	return found;
}

/*
 * check_owners -- who may not do this is told here, before others are troubled
 */
static void
check_owners(Node *parse, List *tables)
{
	ListCell   *cell;

	foreach(cell, tables)
	{
		Oid			relid = lfirst_oid(cell);

		if (!ddl_is_owner(relid) &&
			!(IsA(parse, ReindexStmt) && may_maintain(relid)))
			aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE,
						   get_rel_name(relid));
	}
}

/*
 * may_maintain -- has the user the privilege MAINTAIN, where there is one?
 */
static bool
may_maintain(Oid relid)
{
	return VDB_ACL_MAINTAIN != 0 &&
		pg_class_aclcheck(relid, GetUserId(), VDB_ACL_MAINTAIN) ==
		ACLCHECK_OK;
}

/*
 * may_vacuum -- would PostgreSQL not skip the table?
 */
static bool
may_vacuum(Oid relid)
{
	HeapTuple	tuple;
	Oid			owner;

	if (ddl_is_owner(relid) || may_maintain(relid))
		return true;
	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(MyDatabaseId));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for database %u", MyDatabaseId);
	owner = ((Form_pg_database) GETSTRUCT(tuple))->datdba;
	ReleaseSysCache(tuple);
	return has_privs_of_role(GetUserId(), owner);
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
		group->check = check_identity(from->id);
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
 * check_identity -- SQL that fails where the group is not
 */
static char *
check_identity(int group)
{
	pg_uuid_t	id = vdb_catalog_cluster()->id;
	char	   *check;

	check = psprintf("BEGIN IF vecdb.local_group() IS DISTINCT FROM %d"
					 " OR vecdb.cluster_id()::text IS DISTINCT FROM '%s' THEN"
					 " RAISE connection_failure USING MESSAGE ="
					 " 'the server at the address of group %d is not the group',"
					 " HINT = 'If it replaces the group, execute SELECT vecdb.resume_membership() there.';"
					 " END IF; END", group, ddl_uuid_text(&id), group);
	return psprintf("DO %s", quote_literal_cstr(check));
}

/*
 * settings_text -- what has to be set there first, see vdb_remote_run_alone()
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
		appendStringInfo(&text, "%s=%s\001", names[i],
						 GetConfigOption(names[i], false, false));
	appendStringInfo(&text, "role=%s\001",
					 GetUserNameFromId(GetUserId(), false));
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
		vdb_remote_run_alone(host->host, host->port, group->check, settings,
							 sql);
		return;
	}
}

/*
 * is_primary -- can the host be reached, and is it no standby?
 *
 * A cancel is no answer.
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
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED)
			ReThrowError(error);
		FreeErrorData(error);
	}
	PG_END_TRY();
	return primary;
}

/*
 * run_everywhere -- in one group after the other, this one included
 *
 * Nothing of ours may be waited for: no lock and no snapshot.  So the
 * transaction ends, as it does in PostgreSQL's own code for such statements,
 * and what is needed is kept in the portal's memory.  If it fails, "undo" is
 * executed wherever the statement was begun, but not in groups of "finished".
 */
static void
run_everywhere(const char *sql, const char *undo, List *finished)
{
	MemoryContext old = MemoryContextSwitchTo(PortalContext);
	OutsideRun	run;

	run.groups = list_groups(true, &run.count);
	run.settings = settings_text();
	run.sql = pstrdup(sql);
	run.undo = undo == NULL ? NULL : pstrdup(undo);
	run.finished = list_copy(finished);
	MemoryContextSwitchTo(old);
	if (ActiveSnapshotSet())
		PopActiveSnapshot();
	CommitTransactionCommand();
	StartTransactionCommand();
	run_in_turn(&run);
}

/*
 * run_in_turn -- in the groups given, or in none
 */
static void
run_in_turn(OutsideRun *run)
{
	for (int i = 0; i < run->count; i++)
	{
		run_or_undo(run, &run->groups[i]);
		ereport(DEBUG1,
				(errmsg_internal("group %d is done", run->groups[i].id)));
	}
}

/*
 * run_or_undo -- in one group; if it fails, undo it in all
 */
static void
run_or_undo(OutsideRun *run, OutsideGroup *group)
{
	PG_TRY();
	{
		run_on_group(group, run->settings, run->sql);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(PortalContext);
		error = CopyErrorData();
		FlushErrorState();
		/* what has the name there is not ours */
		if (error->sqlerrcode == ERRCODE_DUPLICATE_TABLE)
			group->touched = false;
		for (int i = 0; i < run->count && run->undo != NULL; i++)
			undo(run, &run->groups[i]);
		if (error->context == NULL)
			error->context = psprintf("group %d", group->id);
		ReThrowError(error);
	}
	PG_END_TRY();
}

/*
 * undo -- where it was begun; what fails again is reported as a WARNING
 */
static void
undo(const OutsideRun *run, OutsideGroup *group)
{
	MemoryContext context = CurrentMemoryContext;

	if (!group->touched || list_member_int(run->finished, group->id))
		return;
	PG_TRY();
	{
		run_on_group(group, run->settings, run->undo);
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
						group->id, error->message),
				 errhint("Execute there: %s", run->undo)));
	}
	PG_END_TRY();
}
