/*-------------------------------------------------------------------------
 *
 * catalog_cache.c
 *	  What this backend knows of the cluster, until somebody changes it.
 *
 * "changes" counts the invalidations that this backend has seen; what was read
 * is good as long as the number is what it was before reading began.  So an
 * invalidation in the midst of reading leads to reading again at the next call,
 * and this call returns what was true when it began.
 *
 * Nothing is freed while somebody may use it: what is outdated is put aside, and
 * freed when the next thing is put aside in a later transaction.
 *
 * Tables are found by name, the first time that somebody asks for their Oid.
 * The answer is kept, "an ordinary table" as well, until PostgreSQL says that
 * the relation has changed.
 *
 * IDENTIFICATION
 *	  src/catalog/catalog_cache.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/parallel.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "catalog_private.h"

/* What is known of a relation, by Oid */
typedef struct TableSlot
{
	Oid			relid;			/* hash key */
	uint32		changes;		/* as in the head of this file, but of this */
	uint32		read_at;		/* relation */
	VdbTable   *table;			/* NULL: an ordinary one */
	MemoryContext context;		/* of the table, if any */
} TableSlot;

/* The number of invalidations seen, and when the rest was read */
static uint64 changes = 1;
static uint64 read_at = 0;

/* What was read: where from, and what; no contents: no cluster */
static Oid	cluster_relation = InvalidOid;
static CatalogContents *contents = NULL;

static bool registered = false;

/* Memory that is to be freed in a later transaction than this */
static MemoryContext retired = NULL;
static TimestampTz retired_in = 0;

static void read_again(void);
static void check_snapshot(void);
static void warn_of_copy(const VdbCluster *cluster);
static void note_change(Datum arg, Oid relid);
static void retire(MemoryContext context);
static bool is_ours(Oid relid);
static void fill_slot(TableSlot *slot);
static CatalogEntry *find_entry(Oid relid);
static VdbTable *make_table(Oid relid, const CatalogEntry *entry,
							MemoryContext context);
static void find_shards(VdbTable *table, const CatalogEntry *entry);
static void find_keys(VdbTable *table, const CatalogEntry *entry);

/*
 * is_current -- is what we have what there is?
 *
 * True as well when nothing can be read now: where there is no database, in an
 * aborted transaction, and while pg_upgrade puts catalogs together.
 */
static inline bool
is_current(void)
{
	return likely(read_at == changes) || !IsTransactionState() ||
		!OidIsValid(MyDatabaseId) || IsBinaryUpgrade;
}

const VdbCluster *
vdb_catalog_cluster(void)
{
	if (!is_current())
		read_again();
	return contents != NULL ? &contents->cluster : NULL;
}

void
vdb_catalog_refresh(void)
{
	if (contents == NULL || !IsTransactionState())
		return;
	AcceptInvalidationMessages();
	if (IsolationUsesXactSnapshot() && FirstSnapshotSet)
		check_snapshot();
}

/*
 * check_snapshot -- an ERROR if the catalog is newer than what this transaction
 * sees of tables
 *
 * Rows that have gone to other groups since would be seen twice, here by the
 * old snapshot and there by a new one; and rows that came back not at all.
 */
static void
check_snapshot(void)
{
	if (vdb_catalog_cluster() == NULL ||
		TransactionIdIsCurrentTransactionId(contents->changed_by) ||
		!XidInMVCCSnapshot(contents->changed_by, GetTransactionSnapshot()))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not serialize access because tables of the cluster have changed since the transaction began"),
			 errhint("Try the transaction again.")));
}

const VdbGroup *
vdb_catalog_group(int group)
{
	const VdbCluster *cluster = vdb_catalog_cluster();

	if (cluster == NULL)
		return NULL;
	for (int i = 0; i < cluster->group_count; i++)
	{
		if (cluster->groups[i].id == group)
			return &cluster->groups[i];
	}
	return NULL;
}

bool
vdb_catalog_has_tables(void)
{
	return vdb_catalog_cluster() != NULL &&
		hash_get_num_entries(contents->entries) > 0;
}

bool
vdb_catalog_has_name(const char *schema, const char *table)
{
	CatalogName name;

	if (!vdb_catalog_has_tables())
		return false;
	namestrcpy(&name.schema, schema);
	namestrcpy(&name.table, table);
	return hash_search(contents->entries, &name, HASH_FIND, NULL) != NULL;
}

Oid
vdb_catalog_oid(void)
{
	return vdb_catalog_cluster() != NULL ? cluster_relation : InvalidOid;
}

const VdbTable *
vdb_catalog_table(Oid relid)
{
	TableSlot  *slot;
	bool		found;

	if (relid < FirstNormalObjectId || !vdb_catalog_has_tables())
		return NULL;

	slot = hash_search(contents->tables, &relid, HASH_FIND, NULL);
	if (likely(slot != NULL && slot->read_at == slot->changes))
		return slot->table;
	if (!IsTransactionState())
		return slot != NULL ? slot->table : NULL;

	slot = hash_search(contents->tables, &relid, HASH_ENTER, &found);
	if (!found)
	{
		slot->changes = 1;
		slot->read_at = 0;
		slot->table = NULL;
		slot->context = NULL;
	}
	fill_slot(slot);
	return slot->table;
}

Oid
catalog_relation(void)
{
	Oid			namespace = get_namespace_oid("vecdb", true);
	Oid			relid;

	if (!OidIsValid(namespace))
		return InvalidOid;
	relid = get_relname_relid("catalog_cluster", namespace);
	return OidIsValid(relid) && is_ours(relid) ? relid : InvalidOid;
}

/*
 * read_again -- throw away what we have and read what there is
 *
 * After an error everything is as before, and read again at the next call.
 */
static void
read_again(void)
{
	CatalogContents *fresh = NULL;
	uint64		begun_at;
	Oid			relid;

	if (!registered)
	{
		CacheRegisterRelcacheCallback(note_change, (Datum) 0);
		registered = true;
	}

	begun_at = changes;
	relid = catalog_relation();
	if (OidIsValid(relid))
		fresh = catalog_read(relid);
	if (fresh != NULL && fresh->is_copy)
	{
		warn_of_copy(&fresh->cluster);
		MemoryContextDelete(fresh->context);
		fresh = NULL;
	}
	if (fresh != NULL)
	{
		HASHCTL		control = {0};

		control.keysize = sizeof(Oid);
		control.entrysize = sizeof(TableSlot);
		control.hcxt = fresh->context;
		fresh->tables = hash_create("vecdb tables", 64, &control,
									HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
		MemoryContextSetParent(fresh->context, CacheMemoryContext);
	}

	if (contents != NULL)
	{
		HASH_SEQ_STATUS status;
		TableSlot  *slot;

		hash_seq_init(&status, contents->tables);
		while ((slot = hash_seq_search(&status)) != NULL)
		{
			if (slot->context != NULL)
				retire(slot->context);
		}
		retire(contents->context);
	}
	contents = fresh;
	cluster_relation = relid;
	read_at = begun_at;
}

/*
 * warn_of_copy -- say once a session that this database only was a member
 *
 * It must not act for the cluster: a dump of production that somebody restores
 * elsewhere names the hosts of production.
 */
static void
warn_of_copy(const VdbCluster *cluster)
{
	static bool warned = false;

	if (warned || IsParallelWorker())
		return;
	warned = true;
	ereport(WARNING,
			(errcode(ERRCODE_WARNING),
			 errmsg("this database is a copy of group %d of a cluster, and is not treated as its member",
					cluster->local_group),
			 errdetail("Its distributed tables are ordinary tables here, with the rows that the group had."),
			 errhint("If it replaces the original, execute SELECT vecdb.resume_membership(); if not, TRUNCATE vecdb.catalog_local.")));
}

/*
 * note_change -- our relcache callback
 *
 * While the catalog does not exist, any new relation may be it: looking for it
 * costs two lookups in caches.
 */
static void
note_change(Datum arg, Oid relid)
{
	if (relid == cluster_relation || !OidIsValid(relid) ||
		!OidIsValid(cluster_relation))
		changes++;
	else if (contents != NULL)
	{
		TableSlot  *slot = hash_search(contents->tables, &relid, HASH_FIND,
									   NULL);

		if (slot != NULL)
			slot->changes++;
	}
}

/*
 * retire -- free a context once this transaction is over
 *
 * What was put aside by an earlier transaction is freed now.
 */
static void
retire(MemoryContext context)
{
	TimestampTz now = GetCurrentTransactionStartTimestamp();

	if (retired != NULL && retired_in != now)
	{
		MemoryContextDelete(retired);
		retired = NULL;
	}
	if (retired == NULL)
		retired = AllocSetContextCreate(CacheMemoryContext,
										"vecdb catalog, outdated",
										ALLOCSET_SMALL_SIZES);
	retired_in = now;
	MemoryContextSetParent(context, retired);
}

/*
 * is_ours -- does the relation belong to our extension?
 *
 * Whoever may create schemas may create one that is called like ours.
 */
static bool
is_ours(Oid relid)
{
	Oid			extension = get_extension_oid("vecdb", true);

	return OidIsValid(extension) &&
		getExtensionOfObject(RelationRelationId, relid) == extension;
}

/*
 * fill_slot -- find out what a relation is
 *
 * After an error the slot is what it was.
 */
static void
fill_slot(TableSlot *slot)
{
	uint32		begun_at = slot->changes;
	CatalogEntry *entry = find_entry(slot->relid);
	VdbTable   *table = NULL;
	MemoryContext context = NULL;

	if (entry != NULL)
	{
		context = AllocSetContextCreate(CurrentMemoryContext, "vecdb table",
										ALLOCSET_SMALL_SIZES);
		table = make_table(slot->relid, entry, context);
		MemoryContextSetParent(context, CacheMemoryContext);
	}
	if (slot->context != NULL)
		retire(slot->context);
	slot->table = table;
	slot->context = context;
	slot->read_at = begun_at;
}

/*
 * find_entry -- the row of catalog_table for a relation, or NULL
 */
static CatalogEntry *
find_entry(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Form_pg_class form;
	CatalogEntry *entry = NULL;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	form = (Form_pg_class) GETSTRUCT(tuple);
	if ((form->relkind == RELKIND_RELATION ||
		 form->relkind == RELKIND_PARTITIONED_TABLE) &&
		form->relpersistence != RELPERSISTENCE_TEMP)
	{
		char	   *schema = get_namespace_name(form->relnamespace);
		CatalogName name;

		if (schema != NULL)
		{
			namestrcpy(&name.schema, schema);
			namestrcpy(&name.table, NameStr(form->relname));
			entry = hash_search(contents->entries, &name, HASH_FIND, NULL);
			pfree(schema);
		}
	}
	ReleaseSysCache(tuple);
	return entry;
}

/*
 * make_table -- a VdbTable from its row, in "context"
 */
static VdbTable *
make_table(Oid relid, const CatalogEntry *entry, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	VdbTable   *table = palloc0(sizeof(VdbTable));

	table->relid = relid;
	table->kind = entry->kind;
	if (entry->kind == VDB_TABLE_DISTRIBUTED)
	{
		find_keys(table, entry);
		find_shards(table, entry);
	}
	MemoryContextSwitchTo(old);
	return table;
}

/*
 * find_shards -- how the key is cut into shards, and whose they are
 */
static void
find_shards(VdbTable *table, const CatalogEntry *entry)
{
	CatalogColocation *colocation;

	colocation = hash_search(contents->colocations, &entry->colocation,
							 HASH_FIND, NULL);
	if (colocation == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("table \"%s\" is distributed by colocation %d, which does not exist",
						NameStr(entry->name.table), entry->colocation),
				 errhint("Correct vecdb.catalog_table on all groups.")));
	else if (colocation->orphan >= 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("shard %d of table \"%s\" belongs to no group of the cluster",
						colocation->orphan, NameStr(entry->name.table)),
				 errhint("Correct vecdb.catalog_shard for colocation %d on all groups.",
						 colocation->id)));
	else
	{
		table->colocation = colocation->id;
		table->strategy = colocation->strategy;
		table->shard_count = colocation->shard_count;
		table->shard_groups = colocation->shard_groups;
		table->function = catalog_make_function(colocation,
												entry->shard_function);
	}
}

/*
 * find_keys -- columns and types of the distribution key
 */
static void
find_keys(VdbTable *table, const CatalogEntry *entry)
{
	table->key_count = entry->key_count;
	table->keys = palloc(entry->key_count * sizeof(AttrNumber));
	table->key_types = palloc(entry->key_count * sizeof(Oid));
	for (int i = 0; i < entry->key_count; i++)
	{
		AttrNumber	number = get_attnum(table->relid, entry->keys[i]);

		if (number <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("table \"%s\" has no column \"%s\", which is in its distribution key",
							NameStr(entry->name.table), entry->keys[i]),
					 errdetail("The catalog of the cluster and the table contradict each other."),
					 errhint("Correct key_columns in vecdb.catalog_table on all groups.")));
		table->keys[i] = number;
		table->key_types[i] = get_atttype(table->relid, number);
	}
}
