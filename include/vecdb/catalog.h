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

#include "access/attnum.h"
#include "fmgr.h"
#include "nodes/pg_list.h"
#include "storage/lock.h"
#include "utils/uuid.h"

#define VDB_DEFAULT_SHARD_COUNT	256
#define VDB_MAX_SHARD_COUNT		65536
#define VDB_MAX_GROUPS			1024
#define VDB_DEFAULT_VIRTUAL_NODES	128

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
 * What the functions below return lives in the cache and is read only.  It
 * stays until the end of the transaction, also when the catalog has changed and
 * the next call returns something newer.
 */

/* A distributed or reference table */
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
	int			virtual_nodes;	/* of each group, for vdb_catalog_place() */
} VdbCluster;

/* vecdb.read_from: at which hosts of a group a session reads */
typedef enum VdbReadFrom
{
	VDB_READ_LEADER,			/* the primary */
	VDB_READ_FOLLOWER,			/* a standby that is not too far behind */
	VDB_READ_ANY,				/* such a standby, or the primary */
	VDB_READ_LEASED				/* a primary that is known to have no
								 * successor */
} VdbReadFrom;

/* vdb_catalog_init -- settings and callbacks; from _PG_init */
extern void vdb_catalog_init(void);

/*
 * vdb_catalog_cluster -- the cluster, or NULL where this database is in none
 *
 * A copy of a member's database, restored elsewhere or upgraded, is in none
 * until vecdb.resume_membership(); a WARNING says so once a session.
 *
 * Cheap when nothing changed: the first thing that each hook asks.  Callable at
 * any time; in an aborted transaction, where nothing can be read, the answer is
 * that of before.
 */
extern const VdbCluster *vdb_catalog_cluster(void);

/*
 * vdb_catalog_refresh -- notice what others have committed until now
 *
 * PostgreSQL does so by itself when a transaction begins and when it locks a
 * table that it has not locked yet, but not for each statement of a
 * transaction.  So whoever plans or executes a statement calls this first.
 * Nothing happens where there is no cluster.
 *
 * An ERROR says that the transaction keeps a snapshot that is older than a
 * change of the catalog.
 */
extern void vdb_catalog_refresh(void);

/* vdb_catalog_group -- a group by its number, or NULL */
extern const VdbGroup *vdb_catalog_group(int group);

/*
 * vdb_catalog_table -- what a table is to the cluster, or NULL for an ordinary
 * one; NULL for all in local mode is the caller's business
 *
 * An ERROR says that the catalog contradicts the table: a column of the key is
 * missing, or a shard has no group.
 */
extern const VdbTable *vdb_catalog_table(Oid relid);

/*
 * vdb_catalog_has_name -- does the catalog have a table of this name?
 *
 * Also if there is no such relation.
 */
extern bool vdb_catalog_has_name(const char *schema, const char *table);

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

/* vdb_catalog_find_shard -- the same, but -1 when no shard takes the key */
extern int	vdb_catalog_find_shard(const VdbTable *table, const Datum *values,
								   const bool *nulls);

/*
 * vdb_catalog_fix_settings -- those under which bounds of strategy range and
 * values of strategy list are written and read
 *
 * They mean the same in each session then.  The caller has begun a nest level
 * of settings, and ends it.
 */
extern void vdb_catalog_fix_settings(void);

/*
 * vdb_catalog_oid -- the relation that is invalidated when the catalog changes
 *
 * A plan that was made by what the catalog says has this in its relationOids,
 * so that the plan cache throws it away.  InvalidOid where there is no cluster.
 */
extern Oid	vdb_catalog_oid(void);

/*
 * vdb_catalog_lock_copies -- lock a reference table against others who write it
 *
 * In this group, to the end of the transaction, or until the savepoint before
 * is rolled back to.  RowExclusiveLock for those who insert rows, and for
 * foreign keys that cascade; ShareRowExclusiveLock for those who change what
 * they find by a condition, ShareLock for what these read.  It has nothing to
 * do with locks of the table in these modes.  To be taken in the lowest group
 * first, and in all others when that one has it.
 *
 * Returns false if this transaction had it in that mode before.
 */
extern bool vdb_catalog_lock_copies(Oid relid, LOCKMODE mode);

/* vdb_catalog_is_copies_lock -- is it such a lock?  Field 2 is the table then */
extern bool vdb_catalog_is_copies_lock(const LOCKTAG *tag);

/*
 * vdb_catalog_place -- groups for the shards of a new table, by shard
 *
 * Consistent hashing with virtual nodes and bounded loads: no group has more
 * than one shard more than another.  Same arguments, same result, on each node.
 * The order of groups does not matter; each may be there once.  The result is
 * palloc'd.
 */
extern int *vdb_catalog_place(int shard_count, const int *groups,
							  int group_count);

/*
 * vdb_catalog_adjust -- the same, beginning with the groups of today
 *
 * Shards move only from groups that are not in "groups" or that have too many.
 */
extern int *vdb_catalog_adjust(int shard_count, const int *current,
							   const int *groups, int group_count);

/*
 * Local mode: this session works for another node, or executes the local share
 * of a statement.  Tables are what they are here, nothing is distributed.
 *
 * An ERROR says that this session claims to work for another node and its user
 * may not.  Parallel workers are in local mode if the session is for good, not
 * because the leader entered it.
 */
extern bool vdb_catalog_local_mode(void);

/*
 * Enter and leave local mode in this process; they nest.  The level goes back
 * by itself when a transaction or subtransaction aborts.
 */
extern void vdb_catalog_enter_local(void);
extern void vdb_catalog_leave_local(void);

/* vdb_catalog_read_from -- what the session wants */
extern VdbReadFrom vdb_catalog_read_from(void);

/* vdb_catalog_level_name -- what a level is called */
extern const char *vdb_catalog_level_name(VdbReadFrom level);

/*
 * What marks a plan for which one of the next two was asked: the hash value of
 * a function, as which it is in PlannedStmt.invalItems.  Such plans are made
 * again when vecdb.read_from changes what these return.
 */
#define VDB_READ_FROM_MARK	0x76656303

/*
 * vdb_catalog_reads_plainly -- may a plan read this node's rows as those of its
 * group, without asking at execution where to read?
 *
 * A standby that is promoted makes no plans again: they ask needlessly.
 */
extern bool vdb_catalog_reads_plainly(void);

/* vdb_catalog_reads_copies -- the same of this node's copies of reference tables */
extern bool vdb_catalog_reads_copies(void);

/*
 * vdb_catalog_on_leave -- have a function called whenever this process has left
 * local mode, by an abort as well: it must not read catalogs
 */
extern void vdb_catalog_on_leave(void (*callback) (void));

#endif							/* VECDB_CATALOG_H */
