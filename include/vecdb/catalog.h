/*-------------------------------------------------------------------------
 *
 * catalog.h
 *	  What the cluster is: groups, hosts, distributed tables, their shards.
 *
 * Read from the tables vecdb.catalog_* of this database into a cache of the
 * backend, which is thrown away when one of them changes.  Nothing here speaks
 * to another node.
 *
 * IDENTIFICATION
 *	  include/vecdb/catalog.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef VECDB_CATALOG_H
#define VECDB_CATALOG_H

#include "postgres.h"

#include "fmgr.h"
#include "nodes/pg_list.h"
#include "utils/uuid.h"

#define VDB_DEFAULT_SHARD_COUNT	256
#define VDB_MAX_SHARD_COUNT		65536
#define VDB_MAX_GROUPS			1024

/* What a table is to the cluster, catalog_table.kind */
#define VDB_TABLE_DISTRIBUTED	'd'
#define VDB_TABLE_REFERENCE		'r'

typedef enum VdbStrategy
{
	VDB_STRATEGY_HASH,
	VDB_STRATEGY_RANGE,
	VDB_STRATEGY_LIST,
	VDB_STRATEGY_CUSTOM
} VdbStrategy;

typedef struct VdbHost
{
	char	   *host;
	int			port;
} VdbHost;

typedef struct VdbGroup
{
	int			id;				/* from 1 */
	int			host_count;
	VdbHost    *hosts;
} VdbGroup;

/*
 * A distributed or reference table.  Lives in the cache: valid until the next
 * call that may read the catalog anew, see vdb_catalog_table().
 */
typedef struct VdbTable
{
	Oid			relid;
	char		kind;			/* VDB_TABLE_... */
	/* the rest of distributed tables only */
	int			colocation;
	VdbStrategy strategy;
	int			key_count;
	AttrNumber *keys;			/* columns of the distribution key */
	Oid		   *key_types;
	int			shard_count;
	int		   *shard_groups;	/* by shard: the group that owns it */
	struct VdbShardFunction *function;	/* private to the catalog room */
} VdbTable;

/* The identity of this cluster, and of this node in it */
typedef struct VdbCluster
{
	pg_uuid_t	id;
	int64		epoch;
	int			local_group;
	int			group_count;
	VdbGroup   *groups;			/* in the order of their numbers */
} VdbCluster;

/* vdb_catalog_init -- settings and callbacks; from _PG_init */
extern void vdb_catalog_init(void);

/*
 * vdb_catalog_cluster -- the cluster, or NULL where this database is in none
 *
 * Cheap when nothing changed: the first thing that each hook asks.
 */
extern const VdbCluster *vdb_catalog_cluster(void);

/* vdb_catalog_group -- a group by its number, or NULL */
extern const VdbGroup *vdb_catalog_group(int group);

/*
 * vdb_catalog_table -- what a table is to the cluster, or NULL for an ordinary
 * one; NULL for all in local mode is the caller's business
 *
 * The result may be used until the command counter, a lock or an invalidation
 * lets the catalog be read again; copy what is to stay.
 */
extern const VdbTable *vdb_catalog_table(Oid relid);

/* vdb_catalog_has_tables -- is there any distributed or reference table? */
extern bool vdb_catalog_has_tables(void);

/*
 * vdb_catalog_shard -- the shard of a row, from its key
 *
 * Values are of key_types.  An ERROR says that a key is null, or that no shard
 * takes it.
 */
extern int	vdb_catalog_shard(const VdbTable *table, const Datum *values,
							  const bool *nulls);

/*
 * Local mode: this session works for another node, or executes the local share
 * of a statement.  Tables are what they are here, nothing is distributed.
 */
extern bool vdb_catalog_local_mode(void);

/*
 * Enter and leave local mode in this process; they nest.  The level goes back
 * by itself when a transaction or subtransaction aborts.
 */
extern void vdb_catalog_enter_local(void);
extern void vdb_catalog_leave_local(void);

#endif							/* VECDB_CATALOG_H */
