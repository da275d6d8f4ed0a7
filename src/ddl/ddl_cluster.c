/*-------------------------------------------------------------------------
 *
 * ddl_cluster.c
 *	  Clusters begin and end; groups and hosts come and go.
 *
 * A node becomes a member in two steps.  First it is claimed: a transaction
 * of its own writes there which cluster and which group it is, because no
 * connection is made to a node that does not say so.  Then one transaction
 * over all groups, the new one included, writes all else.  If that fails the
 * claim is taken back; if even that fails the node says that it belongs to a
 * cluster without groups, and the next add_group() takes it over.
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
VDB_FUNCTION(vecdb_add_group);
VDB_FUNCTION(vecdb_add_host);
VDB_FUNCTION(vecdb_remove_host);
VDB_FUNCTION(vecdb_remove_group);
VDB_FUNCTION(vecdb_drop_cluster);

/* Tables of the catalog whose rows are alike in all groups, parents first */
static const char *const shared_catalogs[] = {
	"catalog_group", "catalog_host", "catalog_colocation", "catalog_shard",
	"catalog_table"
};

static void need_superuser(void);
static char *default_host(void);
static char *system_identifier(void);
static void refuse_member(const char *host, int port, const VdbPeer *peer);
static void refuse_known_server(const char *host, int port,
								const VdbPeer *peer);
static void refuse_known_host(const char *host, int port);
static char *group_identifier(int group);
static void claim(const char *host, int port, int group);
static char *clash_checks(void);
static bool unclaim(const char *host, int port);
static void join(const char *host, int port, int group);
static void lock_reference_tables(void);
static void add_rows(const char *host, int port, int group);
static void copy_catalog(int group);
static void copy_tables(int group);
static void run_as_owner(int group, Oid relid, List *statements);
static List *shared_tables(void);
static bool has_reference(Oid relid);
static const char *uuid_text(const pg_uuid_t *uuid);
static void forget_cluster(int group);
static void remove_rows(int group);
static const VdbGroup *need_group(int group);
static void delete_catalog(List **statements);
static void check_port(int port);

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

	need_superuser();
	ddl_need_preload();
	check_port(port);
	PreventCommandIfReadOnly("vecdb.create_cluster()");
	if (vdb_catalog_cluster() != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("this database belongs to cluster %s already",
						uuid_text(&vdb_catalog_cluster()->id))));
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

static void
need_superuser(void)
{
	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to change the members of a cluster"),
				 errhint("Only superusers may do so.")));
}

static void
check_port(int port)
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

static const char *
uuid_text(const pg_uuid_t *uuid)
{
	return DatumGetCString(DirectFunctionCall1(uuid_out,
											   UUIDPGetDatum(uuid)));
}

/*
 * vecdb_add_group -- see sql/parts/ddl.sql
 */
Datum
vecdb_add_group(PG_FUNCTION_ARGS)
{
	char	   *host = text_to_cstring(PG_GETARG_TEXT_PP(0));
	int			port = PG_GETARG_INT32(1);
	VdbPeer    *peer;
	int			group;
	DdlUser		user;

	need_superuser();
	check_port(port);
	ddl_lock_cluster();
	refuse_known_host(host, port);
	peer = vdb_remote_probe(host, port);
	if (peer->in_recovery)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("host \"%s:%d\" is a standby", host, port),
				 errhint("Add its primary as a group, and then this host with vecdb.add_host().")));
	refuse_member(host, port, peer);
	refuse_known_server(host, port, peer);

	ddl_become_superuser(&user);
	group = atoi(ddl_value("SELECT next_group_id FROM vecdb.catalog_cluster"));
	if (group > VDB_MAX_GROUPS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a cluster cannot have a group %d", group),
				 errdetail("Numbers are not used twice; the last is %d.",
						   VDB_MAX_GROUPS)));
	claim(host, port, group);
	join(host, port, group);
	ddl_become_user(&user);
	PG_RETURN_INT32(group);
}

/*
 * refuse_known_host -- an ERROR if the address is in the catalog
 */
static void
refuse_known_host(const char *host, int port)
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

/*
 * refuse_member -- an ERROR if the node belongs to this or another cluster
 *
 * Unless it was claimed for this one and did not join.
 */
static void
refuse_member(const char *host, int port, const VdbPeer *peer)
{
	const VdbCluster *cluster = vdb_catalog_cluster();

	if (!peer->has_cluster)
		return;
	if (memcmp(&peer->cluster_id, &cluster->id, sizeof(pg_uuid_t)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("host \"%s:%d\" is a member of another cluster",
						host, port),
				 errdetail("It belongs to cluster %s.",
						   uuid_text(&peer->cluster_id)),
				 errhint("Remove it there with vecdb.remove_group(), or end that cluster with vecdb.drop_cluster().")));
	if (vdb_catalog_group(peer->group) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("host \"%s:%d\" is a member of group %d already",
						host, port, peer->group),
				 errhint("Use vecdb.add_host() to add another address of the group.")));
}

/*
 * refuse_known_server -- an ERROR if it is a server of the cluster under
 * another address, or a copy of one
 */
static void
refuse_known_server(const char *host, int port, const VdbPeer *peer)
{
	const VdbCluster *cluster = vdb_catalog_cluster();

	for (int i = 0; i < cluster->group_count; i++)
	{
		int			group = cluster->groups[i].id;

		if (strcmp(group_identifier(group), peer->system_identifier) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_OBJECT),
					 errmsg("host \"%s:%d\" is the same server as group %d, or a copy of it",
							host, port, group),
					 errdetail("Both have the system identifier %s.",
							   peer->system_identifier),
					 errhint("A group needs a server of its own, made by initdb.")));
	}
}

/*
 * group_identifier -- the system identifier of a group's servers
 */
static char *
group_identifier(int group)
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

/*
 * claim -- write into a node which group it is going to be
 *
 * One transaction there, which also finds out whether tables would clash.
 */
static void
claim(const char *host, int port, int group)
{
	const VdbCluster *cluster = vdb_catalog_cluster();
	const char *id = uuid_text(&cluster->id);
	List	   *statements = NIL;
	ListCell   *cell;
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfo(&text, "%sCREATE EXTENSION IF NOT EXISTS vecdb;",
					 clash_checks());
	delete_catalog(&statements);
	foreach(cell, statements)
		appendStringInfo(&text, "%s;", (char *) lfirst(cell));
	appendStringInfo(&text, "INSERT INTO vecdb.catalog_cluster (cluster_id)"
					 " VALUES ('%s');"
					 "INSERT INTO vecdb.catalog_local (cluster_id, group_id)"
					 " VALUES ('%s', %d)", id, id, group);
	vdb_remote_run_on(host, port, text.data);
}

/*
 * clash_checks -- statements that fail if a name is taken already
 */
static char *
clash_checks(void)
{
	List	   *tables = shared_tables();
	ListCell   *cell;
	StringInfoData text;

	initStringInfo(&text);
	foreach(cell, tables)
	{
		char	   *name = ddl_table_name(lfirst_oid(cell));

		appendStringInfo(&text, "DO %s;",
						 quote_literal_cstr(psprintf("BEGIN IF pg_catalog.to_regclass(%s) IS NOT NULL THEN"
													 " RAISE duplicate_table USING MESSAGE = %s,"
													 " HINT = 'Drop or rename it there.'; END IF; END",
													 quote_literal_cstr(name),
													 quote_literal_cstr(psprintf("relation %s exists on the new node already",
																				 name)))));
	}
	return text.data;
}

/*
 * unclaim -- make the node an ordinary database again; false if it fails
 */
static bool
unclaim(const char *host, int port)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool done = true;

	PG_TRY();
	{
		vdb_remote_run_on(host, port,
						  "SET lock_timeout = '3s';"
						  "DELETE FROM vecdb.catalog_local;"
						  "DELETE FROM vecdb.catalog_cluster");
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
		done = false;
	}
	PG_END_TRY();
	return done;
}

/*
 * join -- make the claimed node a member, in the transaction of all groups
 *
 * In a subtransaction, so that locks there are gone when the claim is taken
 * back.
 */
static void
join(const char *host, int port, int group)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		lock_reference_tables();
		add_rows(host, port, group);
		copy_catalog(group);
		copy_tables(group);
		ddl_grow_epoch();
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		if (!unclaim(host, port) && error->hint == NULL)
			error->hint = psprintf("Host \"%s:%d\" remains marked as group %d; add it again, or call vecdb.drop_cluster() there.",
								   host, port, group);
		ReThrowError(error);
	}
	PG_END_TRY();
}

/*
 * lock_reference_tables -- keep writers out, on all nodes
 *
 * Who writes a reference table takes a lock on his own node first and then
 * looks where all copies are.  So whoever waits for us will see the new list.
 */
static void
lock_reference_tables(void)
{
	List	   *tables = shared_tables();
	List	   *references = NIL;
	ListCell   *cell;

	foreach(cell, tables)
	{
		if (has_reference(lfirst_oid(cell)))
			references = lappend_oid(references, lfirst_oid(cell));
	}
	ddl_lock_everywhere(references, ShareRowExclusiveLock);
}

static bool
has_reference(Oid relid)
{
	const VdbTable *table = vdb_catalog_table(relid);

	return table != NULL && table->kind == VDB_TABLE_REFERENCE;
}

/*
 * add_rows -- the new group in the catalogs of the old ones
 *
 * This node comes last: when it knows the group, "all" includes it.
 */
static void
add_rows(const char *host, int port, int group)
{
	char	   *statements[] = {
		psprintf("INSERT INTO vecdb.catalog_group (group_id) VALUES (%d)",
				 group),
		psprintf("INSERT INTO vecdb.catalog_host (host, port, group_id)"
				 " VALUES (%s, %d, %d)", quote_literal_cstr(host), port,
				 group),
		psprintf("UPDATE vecdb.catalog_cluster SET next_group_id = %d",
				 group + 1)
	};

	vdb_remote_local_write();
	for (int i = 0; i < lengthof(statements); i++)
		vdb_remote_execute_all(statements[i]);
	for (int i = 0; i < lengthof(statements); i++)
		(void) ddl_local(statements[i]);
}

/*
 * copy_catalog -- the rows of the catalog for the new group
 */
static void
copy_catalog(int group)
{
	char	   *statement;

	statement = ddl_value("SELECT format('UPDATE vecdb.catalog_cluster"
						  " SET epoch = %s, next_group_id = %s,"
						  " next_colocation_id = %s, virtual_nodes = %s',"
						  " epoch, next_group_id, next_colocation_id,"
						  " virtual_nodes) FROM vecdb.catalog_cluster");
	(void) vdb_remote_execute(group, statement);
	for (int i = 0; i < lengthof(shared_catalogs); i++)
	{
		const char *name = shared_catalogs[i];

		statement = ddl_value(psprintf("SELECT format('INSERT INTO vecdb.%s"
									   " SELECT * FROM pg_catalog.json_populate_recordset"
									   "(NULL::vecdb.%s, %%L)', json_agg(t))"
									   " FROM vecdb.%s t HAVING count(*) > 0",
									   name, name, name));
		if (statement != NULL)
			(void) vdb_remote_execute(group, statement);
	}
}

/*
 * copy_tables -- all tables of the cluster for the new group
 *
 * It has no shards yet, but the rows of reference tables.
 */
static void
copy_tables(int group)
{
	List	   *tables = shared_tables();
	List	   *database = ddl_describe_database();
	ListCell   *cell;
	ListCell   *statement;

	(void) vdb_remote_execute(group,
							  "SET LOCAL client_min_messages = warning");
	foreach(statement, database)
		(void) vdb_remote_execute(group, lfirst(statement));
	foreach(cell, tables)
	{
		Oid			relid = lfirst_oid(cell);
		List	   *statements;

		statements = list_concat(ddl_describe_needs(relid),
								 ddl_describe_table(relid, group));
		foreach(statement, statements)
			(void) vdb_remote_execute(group, lfirst(statement));
		if (has_reference(relid))
		{
			Relation	rel = table_open(relid, AccessShareLock);

			(void) ddl_send_all_rows(rel, group);
			table_close(rel, NoLock);
		}
	}
	foreach(cell, tables)
	{
		Oid			relid = lfirst_oid(cell);

		run_as_owner(group, relid, ddl_describe_checks(relid));
		foreach(statement, ddl_describe_rest(relid))
			(void) vdb_remote_execute(group, lfirst(statement));
	}
	foreach(cell, tables)
		run_as_owner(group, lfirst_oid(cell),
					 ddl_describe_references(lfirst_oid(cell)));
}

/*
 * run_as_owner -- statements by which a table's owner would get something run
 */
static void
run_as_owner(int group, Oid relid, List *statements)
{
	ListCell   *cell;
	DdlUser		user;

	ddl_become_owner(&user, relid);
	foreach(cell, statements)
		(void) vdb_remote_execute(group, lfirst(cell));
	ddl_become_user(&user);
}

/*
 * shared_tables -- OIDs of all distributed and reference tables
 */
static List *
shared_tables(void)
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

	need_superuser();
	check_port(port);
	ddl_lock_cluster();
	need_group(group);
	refuse_known_host(host, port);
	peer = vdb_remote_probe(host, port);
	if (strcmp(peer->system_identifier, group_identifier(group)) != 0)
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

	need_superuser();
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

	need_superuser();
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
		lock_reference_tables();
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
	List	   *tables = shared_tables();
	List	   *statements = NIL;
	ListCell   *cell;
	StringInfoData text;

	initStringInfo(&text);
	foreach(cell, tables)
		appendStringInfo(&text, "%s%s", text.len == 0 ? "DROP TABLE " : ", ",
						 ddl_table_name(lfirst_oid(cell)));
	if (text.len > 0)
		statements = lappend(statements, text.data);
	delete_catalog(&statements);
	foreach(cell, statements)
		(void) vdb_remote_execute(group, lfirst(cell));
}

/*
 * delete_catalog -- the statements that empty it
 */
static void
delete_catalog(List **statements)
{
	for (int i = lengthof(shared_catalogs) - 1; i >= 0; i--)
		*statements = lappend(*statements,
							  psprintf("DELETE FROM vecdb.%s",
									   shared_catalogs[i]));
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

	need_superuser();
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
	foreach(cell, shared_tables())
	{
		(void) ddl_local(psprintf("LOCK TABLE ONLY %s"
								  " IN ACCESS EXCLUSIVE MODE",
								  ddl_table_name(lfirst_oid(cell))));
		ddl_unshare_sequences(lfirst_oid(cell));
	}
	delete_catalog(&statements);
	foreach(cell, statements)
		(void) ddl_local(lfirst(cell));
	ddl_become_user(&user);
	PG_RETURN_VOID();
}
