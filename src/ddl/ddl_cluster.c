/*-------------------------------------------------------------------------
 *
 * ddl_cluster.c
 *	  Clusters begin and end; hosts come and go, and groups go.  How groups
 *	  come is in ddl_join.c.
 *
 * IDENTIFICATION
 *	  src/ddl/ddl_cluster.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "postmaster/postmaster.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/resowner.h"
#include "utils/uuid.h"
#include "utils/varlena.h"

#include "vecdb/remote.h"
#include "ddl_private.h"

VDB_FUNCTION(vecdb_create_cluster);
VDB_FUNCTION(vecdb_add_host);
VDB_FUNCTION(vecdb_remove_host);
VDB_FUNCTION(vecdb_remove_group);
VDB_FUNCTION(vecdb_drop_cluster);

/* See ddl_private.h */
const char *const ddl_shared_catalogs[DDL_CATALOG_COUNT] = {
	"catalog_group", "catalog_host", "catalog_colocation", "catalog_shard",
	"catalog_table"
};

static char *default_host(void);
static char *system_identifier(void);
static void forget_cluster(int group);
static void remove_rows(int group);
static const VdbGroup *need_group(int group);

/*
 * vecdb_create_cluster -- see sql/parts/ddl.sql
 *
 * The address is tried: other nodes will use it.
 */
Datum
vecdb_create_cluster(PG_FUNCTION_ARGS)
{
	char	   *host = PG_ARGISNULL(0) ? default_host() :
	text_to_cstring(PG_GETARG_TEXT_PP(0));
	int			port = PG_ARGISNULL(1) ? PostPortNumber : PG_GETARG_INT32(1);
	VdbPeer    *self;
	DdlUser		user;
	char	   *id;

	ddl_need_superuser();
	ddl_need_preload();
	ddl_check_port(port);
	PreventCommandIfReadOnly("vecdb.create_cluster()");
	if (vdb_catalog_cluster() != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("this database belongs to cluster %s already",
						ddl_uuid_text(&vdb_catalog_cluster()->id))));
	self = vdb_remote_probe(host, port);
	if (strcmp(self->system_identifier, system_identifier()) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("host \"%s:%d\" is another server than this one",
						host, port),
				 errhint("Give the address under which other nodes will reach this server.")));

	ddl_become_superuser(&user);
	if (ddl_value("SELECT cluster_id FROM vecdb.catalog_cluster") != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("this database is a copy of a member of a cluster"),
				 errhint("Make it an ordinary database first with vecdb.drop_cluster().")));
	id = ddl_value("INSERT INTO vecdb.catalog_cluster"
				   " (cluster_id, next_group_id)"
				   " VALUES (gen_random_uuid(), 2) RETURNING cluster_id");
	(void) ddl_local("INSERT INTO vecdb.catalog_group (group_id) VALUES (1)");
	(void) ddl_local(psprintf("INSERT INTO vecdb.catalog_host"
							  " (host, port, group_id) VALUES (%s, %d, 1)",
							  quote_literal_cstr(host), port));
	(void) ddl_local(psprintf("INSERT INTO vecdb.catalog_local"
							  " (cluster_id, group_id) VALUES (%s, 1)",
							  quote_literal_cstr(id)));
	ddl_become_user(&user);
	PG_RETURN_DATUM(DirectFunctionCall1(uuid_in, CStringGetDatum(id)));
}

void
ddl_need_superuser(void)
{
	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to change the members of a cluster"),
				 errhint("Only superusers may do so.")));
}

void
ddl_check_port(int port)
{
	if (port < 1 || port > 65535)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("port %d is not between 1 and 65535", port)));
}

/*
 * default_host -- where this server listens, as far as it says
 */
static char *
default_host(void)
{
	const char *settings[] = {"listen_addresses", "unix_socket_directories"};

	for (int i = 0; i < lengthof(settings); i++)
	{
		char	   *value = pstrdup(GetConfigOption(settings[i], false, false));
		List	   *list;
		char	   *first;

		if (!SplitGUCList(value, ',', &list) || list == NIL)
			continue;
		first = linitial(list);
		if (strcmp(first, "*") == 0 || strcmp(first, "0.0.0.0") == 0 ||
			strcmp(first, "::") == 0)
			return "localhost";
		if (*first != '\0')
			return first;
	}
	return "localhost";
}

static char *
system_identifier(void)
{
	return psprintf(UINT64_FORMAT, GetSystemIdentifier());
}

const char *
ddl_uuid_text(const pg_uuid_t *uuid)
{
	return DatumGetCString(DirectFunctionCall1(uuid_out,
											   UUIDPGetDatum(uuid)));
}

void
ddl_refuse_known_host(const char *host, int port)
{
	const VdbCluster *cluster = vdb_catalog_cluster();

	for (int i = 0; i < cluster->group_count; i++)
	{
		for (int j = 0; j < cluster->groups[i].host_count; j++)
		{
			if (strcmp(cluster->groups[i].hosts[j].host, host) == 0 &&
				cluster->groups[i].hosts[j].port == port)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_OBJECT),
						 errmsg("host \"%s:%d\" is a member of group %d already",
								host, port, cluster->groups[i].id)));
		}
	}
}

char *
ddl_group_identifier(int group)
{
	char	   *identifier;

	if (group == vdb_catalog_cluster()->local_group)
		return system_identifier();
	identifier = ddl_ask(group, "SELECT system_identifier"
						 " FROM vecdb.catalog_local");
	if (identifier == NULL)
		elog(ERROR, "group %d has no identity", group);
	return identifier;
}

void
ddl_lock_references(void)
{
	List	   *tables = ddl_shared_tables();
	List	   *references = NIL;
	ListCell   *cell;

	foreach(cell, tables)
	{
		if (ddl_is_reference(lfirst_oid(cell)))
			references = lappend_oid(references, lfirst_oid(cell));
	}
	ddl_lock_everywhere(references, ShareRowExclusiveLock);
}

bool
ddl_is_reference(Oid relid)
{
	const VdbTable *table = vdb_catalog_table(relid);

	return table != NULL && table->kind == VDB_TABLE_REFERENCE;
}

List *
ddl_shared_tables(void)
{
	List	   *list;
	List	   *tables = NIL;
	ListCell   *cell;

	list = ddl_list("SELECT to_regclass(format('%I.%I', schema_name,"
					" table_name))::oid FROM vecdb.catalog_table ORDER BY 1");
	foreach(cell, list)
		tables = lappend_oid(tables, atooid((char *) lfirst(cell)));
	return tables;
}

/*
 * vecdb_add_host -- see sql/parts/ddl.sql
 */
Datum
vecdb_add_host(PG_FUNCTION_ARGS)
{
	int			group = PG_GETARG_INT32(0);
	char	   *host = text_to_cstring(PG_GETARG_TEXT_PP(1));
	int			port = PG_GETARG_INT32(2);
	VdbPeer    *peer;
	DdlUser		user;

	ddl_need_superuser();
	ddl_check_port(port);
	ddl_lock_cluster();
	need_group(group);
	ddl_refuse_known_host(host, port);
	peer = vdb_remote_probe(host, port);
	if (strcmp(peer->system_identifier, ddl_group_identifier(group)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("host \"%s:%d\" does not belong to group %d", host,
						port, group),
				 errdetail("It is neither the group's primary nor a standby of it: the system identifiers differ."),
				 errhint("Make it a standby of the group with pg_basebackup, or add it as a group with vecdb.add_group().")));
	ddl_become_superuser(&user);
	ddl_everywhere(psprintf("INSERT INTO vecdb.catalog_host"
							" (host, port, group_id) VALUES (%s, %d, %d)",
							quote_literal_cstr(host), port, group));
	ddl_grow_epoch();
	ddl_become_user(&user);
	PG_RETURN_VOID();
}

/*
 * need_group -- the group by its number, or an ERROR
 */
static const VdbGroup *
need_group(int group)
{
	const VdbGroup *found = vdb_catalog_group(group);

	if (found == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("group %d does not exist", group)));
	return found;
}

/*
 * vecdb_remove_host -- see sql/parts/ddl.sql
 */
Datum
vecdb_remove_host(PG_FUNCTION_ARGS)
{
	char	   *host = text_to_cstring(PG_GETARG_TEXT_PP(0));
	int			port = PG_GETARG_INT32(1);
	char	   *group;
	DdlUser		user;

	ddl_need_superuser();
	ddl_lock_cluster();
	ddl_become_superuser(&user);
	group = ddl_value(psprintf("SELECT group_id FROM vecdb.catalog_host"
							   " WHERE host = %s AND port = %d",
							   quote_literal_cstr(host), port));
	if (group == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("host \"%s:%d\" is not a member of the cluster",
						host, port)));
	if (need_group(atoi(group))->host_count == 1)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("host \"%s:%d\" is the only one of group %s", host,
						port, group),
				 errhint("Add another host first, or remove the group with vecdb.remove_group().")));
	ddl_everywhere(psprintf("DELETE FROM vecdb.catalog_host"
							" WHERE host = %s AND port = %d",
							quote_literal_cstr(host), port));
	ddl_grow_epoch();
	ddl_become_user(&user);
	PG_RETURN_VOID();
}

/*
 * vecdb_remove_group -- see sql/parts/ddl.sql
 *
 * With "force" the group is not asked: it is lost.
 */
Datum
vecdb_remove_group(PG_FUNCTION_ARGS)
{
	int			group = PG_GETARG_INT32(0);
	bool		force = PG_GETARG_BOOL(1);
	char	   *shards;
	DdlUser		user;

	ddl_need_superuser();
	ddl_lock_cluster();
	(void) need_group(group);
	if (group == vdb_catalog_cluster()->local_group)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("group %d cannot remove itself", group),
				 errhint("Call vecdb.remove_group() on a node of another group, or vecdb.drop_cluster() if this is the last one.")));
	ddl_become_superuser(&user);
	shards = ddl_value(psprintf("SELECT nullif(count(*), 0)"
								" FROM vecdb.catalog_shard"
								" WHERE group_id = %d", group));
	if (shards != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("group %d owns %s shards", group, shards),
				 errhint("Move them to other groups first, or make the tables ordinary ones with vecdb.undistribute_table().")));
	if (!force)
	{
		ddl_lock_references();
		forget_cluster(group);
	}
	remove_rows(group);
	ddl_grow_epoch();
	ddl_become_user(&user);
	PG_RETURN_VOID();
}

/*
 * forget_cluster -- make the node of a group an ordinary database
 *
 * Distributed tables are empty there, copies of reference tables exist
 * elsewhere; both are dropped in one statement, as they may reference each
 * other.
 */
static void
forget_cluster(int group)
{
	List	   *tables = ddl_shared_tables();
	List	   *statements = NIL;
	ListCell   *cell;
	StringInfoData text;

	initStringInfo(&text);
	foreach(cell, tables)
		appendStringInfo(&text, "%s%s", text.len == 0 ? "DROP TABLE " : ", ",
						 ddl_table_name(lfirst_oid(cell)));
	if (text.len > 0)
		statements = lappend(statements, text.data);
	ddl_catalog_deletes(&statements);
	foreach(cell, statements)
		(void) vdb_remote_execute(group, lfirst(cell));
}

void
ddl_catalog_deletes(List **statements)
{
	for (int i = DDL_CATALOG_COUNT - 1; i >= 0; i--)
		*statements = lappend(*statements,
							  psprintf("DELETE FROM vecdb.%s",
									   ddl_shared_catalogs[i]));
	*statements = lappend(*statements, "DELETE FROM vecdb.catalog_local");
	*statements = lappend(*statements, "DELETE FROM vecdb.catalog_cluster");
}

/*
 * remove_rows -- a group out of the catalogs of the others
 *
 * Here first: when this node does not know the group, "all" is without it.
 */
static void
remove_rows(int group)
{
	char	   *statements[] = {
		psprintf("DELETE FROM vecdb.catalog_host WHERE group_id = %d", group),
		psprintf("DELETE FROM vecdb.catalog_group WHERE group_id = %d", group)
	};

	vdb_remote_local_write();
	for (int i = 0; i < lengthof(statements); i++)
		(void) ddl_local(statements[i]);
	for (int i = 0; i < lengthof(statements); i++)
		vdb_remote_execute_all(statements[i]);
}

/*
 * vecdb_drop_cluster -- see sql/parts/ddl.sql
 *
 * For the last group, where all rows are, and for a node that was claimed and
 * did not join.  With "force" also for one that the others have removed as
 * lost, and that was not: it keeps the rows that it has.  A copy of a member,
 * as a restored dump, is in no cluster and only forgets.
 */
Datum
vecdb_drop_cluster(PG_FUNCTION_ARGS)
{
	const VdbCluster *cluster = vdb_catalog_cluster();
	List	   *statements = NIL;
	ListCell   *cell;
	DdlUser		user;

	ddl_need_superuser();
	PreventCommandIfReadOnly("vecdb.drop_cluster()");
	if (cluster == NULL &&
		ddl_value("SELECT cluster_id FROM vecdb.catalog_cluster") == NULL)
		(void) ddl_need_cluster();
	if (cluster != NULL && cluster->group_count > 1 && !PG_GETARG_BOOL(0))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("the cluster has %d groups", cluster->group_count),
				 errhint("Remove all others with vecdb.remove_group() first.")));
	ddl_become_superuser(&user);
	(void) ddl_local("LOCK TABLE vecdb.catalog_cluster"
					 " IN ACCESS EXCLUSIVE MODE");
	foreach(cell, ddl_shared_tables())
	{
		(void) ddl_local(psprintf("LOCK TABLE ONLY %s"
								  " IN ACCESS EXCLUSIVE MODE",
								  ddl_table_name(lfirst_oid(cell))));
		ddl_unshare_sequences(lfirst_oid(cell));
	}
	ddl_catalog_deletes(&statements);
	foreach(cell, statements)
		(void) ddl_local(lfirst(cell));
	ddl_become_user(&user);
	PG_RETURN_VOID();
}
