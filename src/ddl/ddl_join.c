/*-------------------------------------------------------------------------
 *
 * ddl_join.c
 *	  vecdb.add_group(): a server becomes a group of the cluster.
 *
 * A node becomes a member in two steps.  First it is claimed: a transaction
 * of its own writes there which cluster and which group it is, because no
 * connection is made to a node that does not say so.  Then one transaction
 * over all groups, the new one included, writes all else.  If that fails the
 * claim is taken back; if even that fails the node says that it belongs to a
 * cluster without groups, and the next add_group() takes it over.
 *
 * IDENTIFICATION
 *	  src/ddl/ddl_join.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "utils/builtins.h"
#include "utils/uuid.h"

#include "vecdb/remote.h"
#include "ddl_private.h"

VDB_FUNCTION(vecdb_add_group);

/* A node that becomes a group */
typedef struct Newcomer
{
	const char *host;
	int			port;
	int			group;
} Newcomer;

static void refuse_member(const char *host, int port, const VdbPeer *peer);
static void refuse_known_server(const char *host, int port,
								const VdbPeer *peer);
static void claim(const char *host, int port, int group);
static char *clash_checks(void);
static bool unclaim(const char *host, int port);
static void join(Newcomer *newcomer);
static void become_member(void *arg);
static void add_rows(const char *host, int port, int group);
static void copy_catalog(int group);
static void copy_tables(int group);
static void run_as_owner(int group, Oid relid, List *statements);

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
	Newcomer	newcomer;
	DdlUser		user;

	ddl_need_superuser();
	ddl_check_port(port);
	ddl_lock_cluster();
	ddl_refuse_known_host(host, port);
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
	newcomer.host = host;
	newcomer.port = port;
	newcomer.group = group;
	join(&newcomer);
	ddl_become_user(&user);
	PG_RETURN_INT32(group);
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
						   ddl_uuid_text(&peer->cluster_id)),
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

		if (strcmp(ddl_group_identifier(group), peer->system_identifier) == 0)
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
 * claim -- write into a node which group it is going to be
 *
 * One transaction there, which also finds out whether tables would clash.
 */
static void
claim(const char *host, int port, int group)
{
	const VdbCluster *cluster = vdb_catalog_cluster();
	const char *id = ddl_uuid_text(&cluster->id);
	List	   *statements = NIL;
	ListCell   *cell;
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfo(&text, "%sCREATE EXTENSION IF NOT EXISTS vecdb SCHEMA %s;",
					 clash_checks(),
					 ddl_value("SELECT quote_ident(nspname) FROM pg_namespace n,"
							   " pg_extension WHERE n.oid = extnamespace"
							   " AND extname = 'vecdb'"));
	ddl_catalog_deletes(&statements);
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
	List	   *tables = ddl_shared_tables();
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
join(Newcomer *newcomer)
{
	ErrorData  *error = ddl_try(become_member, newcomer);

	if (error == NULL)
		return;
	if (!unclaim(newcomer->host, newcomer->port) && error->hint == NULL)
		error->hint = psprintf("Host \"%s:%d\" remains marked as group %d; add it again, or call vecdb.drop_cluster() there.",
							   newcomer->host, newcomer->port,
							   newcomer->group);
	ReThrowError(error);
}

/* What is done in a subtransaction, for ddl_try() */
static void
become_member(void *arg)
{
	const Newcomer *newcomer = arg;

	ddl_lock_references();
	add_rows(newcomer->host, newcomer->port, newcomer->group);
	copy_catalog(newcomer->group);
	copy_tables(newcomer->group);
	ddl_grow_epoch();
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
	for (int i = 0; i < DDL_CATALOG_COUNT; i++)
	{
		const char *name = ddl_shared_catalogs[i];

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
	List	   *tables = ddl_shared_tables();
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
		if (ddl_is_reference(relid))
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
