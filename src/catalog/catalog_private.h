/*-------------------------------------------------------------------------
 *
 * catalog_private.h
 *	  What the files of the catalog room share.
 *
 * IDENTIFICATION
 *	  src/catalog/catalog_private.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef CATALOG_PRIVATE_H
#define CATALOG_PRIVATE_H

#include "access/htup.h"
#include "utils/hsearch.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

#include "vecdb/catalog.h"

/* Columns of the tables in sql/parts/catalog.sql, in their order */
enum CatalogClusterColumn
{
	CLUSTER_ONE = 1, CLUSTER_ID, CLUSTER_EPOCH, CLUSTER_NEXT_GROUP,
	CLUSTER_NEXT_COLOCATION, CLUSTER_VIRTUAL_NODES
};
enum CatalogLocalColumn
{
	LOCAL_ONE = 1, LOCAL_CLUSTER_ID, LOCAL_GROUP, LOCAL_SYSTEM_IDENTIFIER,
	LOCAL_DATABASE
};
enum CatalogGroupColumn
{
	GROUP_ID = 1, GROUP_STATE
};
enum CatalogHostColumn
{
	HOST_HOST = 1, HOST_PORT, HOST_GROUP
};
enum CatalogColocationColumn
{
	COLOCATION_ID = 1, COLOCATION_STRATEGY, COLOCATION_SHARD_COUNT,
	COLOCATION_KEY_TYPES
};
enum CatalogShardColumn
{
	SHARD_COLOCATION = 1, SHARD_SHARD, SHARD_GROUP, SHARD_LOW, SHARD_HIGH,
	SHARD_LIST_VALUES, SHARD_STATE
};
enum CatalogTableColumn
{
	TABLE_SCHEMA = 1, TABLE_NAME, TABLE_KIND, TABLE_COLOCATION, TABLE_KEYS,
	TABLE_FUNCTION
};

/* What a shard of strategy range or list takes, as text */
typedef struct CatalogBound
{
	char	   *low;			/* NULL: no limit */
	char	   *high;
	int			value_count;
	char	  **values;			/* NULL: what no other shard takes */
} CatalogBound;

typedef struct CatalogColocation
{
	int			id;				/* hash key */
	VdbStrategy strategy;
	int			shard_count;
	int			orphan;			/* a shard without a group of the cluster, or
								 * -1 */
	int		   *shard_groups;
	CatalogBound *bounds;		/* by shard, range and list only */
} CatalogColocation;

/* A row of catalog_table */
typedef struct CatalogName
{
	NameData	schema;
	NameData	table;
} CatalogName;

typedef struct CatalogEntry
{
	CatalogName name;			/* hash key */
	char		kind;
	int			colocation;
	int			key_count;
	char	  **keys;
	char	   *shard_function; /* or NULL */
} CatalogEntry;

/* All that was read; in a memory context of its own */
typedef struct CatalogContents
{
	MemoryContext context;
	VdbCluster	cluster;
	TransactionId changed_by;	/* the last that changed what is in here */
	bool		is_copy;		/* the member is another database; of the
								 * cluster there is the identity only */
	HTAB	   *colocations;	/* CatalogColocation */
	HTAB	   *entries;		/* CatalogEntry */
	HTAB	   *tables;			/* of catalog_cache.c, by Oid */
} CatalogContents;

/* functions in catalog_cache.c */

/*
 * catalog_relation -- the Oid of vecdb.catalog_cluster, if it is there and
 * belongs to our extension; else InvalidOid
 */
extern Oid	catalog_relation(void);

/* functions in catalog_level.c */
extern void catalog_level_init(void);

/* functions in catalog_local.c */

/*
 * catalog_is_internal -- did another node open this session?
 *
 * An ERROR says that it claims so and its user may not.
 */
extern bool catalog_is_internal(void);

/* functions in catalog_read.c */

/*
 * catalog_read -- read all tables of the catalog, as of one moment
 *
 * Returns NULL if the database is in no cluster.  The context of the result is
 * a child of the current one.
 */
extern CatalogContents *catalog_read(Oid cluster_relation);

/* functions in catalog_shard.c */

/*
 * catalog_make_function -- what vdb_catalog_shard() needs, in the current
 * memory context
 *
 * Types, functions and bounds are looked up when a shard is asked for first, so
 * that a table whose function is gone can still be altered.
 */
extern struct VdbShardFunction *catalog_make_function(const CatalogColocation *colocation,
													  const char *custom);

#endif							/* CATALOG_PRIVATE_H */
