/*-------------------------------------------------------------------------
 *
 * catalog_read.c
 *	  Reading the tables of the catalog.
 *
 * All tables are read under one snapshot, taken anew: what is returned was the
 * truth at one moment, whatever others commit in the meantime.  They are
 * scanned as system catalogs are, without the planner and without privileges.
 *
 * Reading never complains about what it finds: a hook that did so would keep
 * the user from repairing it.  What contradicts itself is reported where it is
 * used.
 *
 * IDENTIFICATION
 *	  src/catalog/catalog_read.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "catalog_private.h"

/* A scan of one table of the catalog */
typedef struct TableScan
{
	Relation	rel;
	SysScanDesc scan;
	HeapTuple	tuple;
} TableScan;

static bool read_identity(CatalogContents *contents, Oid cluster_relation,
						  Oid namespace, Snapshot snapshot);
static bool read_local(CatalogContents *contents, Oid namespace,
					   Snapshot snapshot);
static bool is_this_database(TableScan *scan);
static void read_groups(CatalogContents *contents, Oid namespace,
						Snapshot snapshot);
static void read_hosts(CatalogContents *contents, Oid namespace,
					   Snapshot snapshot);
static void read_colocations(CatalogContents *contents, Oid namespace,
							 Snapshot snapshot);
static void read_shards(CatalogContents *contents, Oid namespace,
						Snapshot snapshot);
static void read_bound(TableScan *scan, CatalogBound *bound);
static void find_orphans(CatalogContents *contents);
static void read_tables(CatalogContents *contents, Oid namespace,
						Snapshot snapshot);
static bool read_strategy(const char *name, VdbStrategy *strategy);
static HTAB *create_hash(const char *name, Size key_size, Size entry_size,
						 MemoryContext context);
static VdbGroup *find_group(VdbCluster *cluster, int id);
static int	compare_groups(const void *a, const void *b);
static int	compare_hosts(const void *a, const void *b);
static bool begin_scan(TableScan *scan, Oid relid, Snapshot snapshot);
static bool next_row(TableScan *scan);
static void end_scan(TableScan *scan);
static Datum column(TableScan *scan, int number, bool *isnull);
static bool uuid_column(TableScan *scan, int number, pg_uuid_t *id);
static bool name_column(TableScan *scan, int number, NameData *name);
static int	int_column(TableScan *scan, int number);
static char *text_column(TableScan *scan, int number);
static char **array_column(TableScan *scan, int number, int *count);

CatalogContents *
catalog_read(Oid cluster_relation)
{
	MemoryContext context;
	MemoryContext old;
	CatalogContents *contents;
	Oid			namespace = get_rel_namespace(cluster_relation);
	Snapshot	snapshot;
	bool		found;

	context = AllocSetContextCreate(CurrentMemoryContext, "vecdb catalog",
									ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	contents = palloc0(sizeof(CatalogContents));
	contents->context = context;

	/* GetLatestSnapshot() would do but for parallel workers */
	snapshot = RegisterSnapshot(GetCatalogSnapshot(cluster_relation));
	found = read_identity(contents, cluster_relation, namespace, snapshot) &&
		read_local(contents, namespace, snapshot);
	if (found && !contents->is_copy)
	{
		read_groups(contents, namespace, snapshot);
		read_hosts(contents, namespace, snapshot);
		read_colocations(contents, namespace, snapshot);
		read_shards(contents, namespace, snapshot);
		find_orphans(contents);
		read_tables(contents, namespace, snapshot);
	}
	UnregisterSnapshot(snapshot);
	MemoryContextSwitchTo(old);

	if (found)
		return contents;
	MemoryContextDelete(context);
	return NULL;
}

/*
 * read_identity -- catalog_cluster; false when it is empty
 */
static bool
read_identity(CatalogContents *contents, Oid cluster_relation, Oid namespace,
			  Snapshot snapshot)
{
	VdbCluster *cluster = &contents->cluster;
	TableScan	scan;
	bool		isnull;
	bool		found;

	if (!begin_scan(&scan, cluster_relation, snapshot))
		return false;
	found = next_row(&scan) && uuid_column(&scan, CLUSTER_ID, &cluster->id);
	if (found)
	{
		cluster->epoch = DatumGetInt64(column(&scan, CLUSTER_EPOCH, &isnull));
		cluster->virtual_nodes = int_column(&scan, CLUSTER_VIRTUAL_NODES);
		contents->changed_by = HeapTupleHeaderGetXmin(scan.tuple->t_data);
	}
	end_scan(&scan);
	return found;
}

/*
 * read_local -- catalog_local; false when it is empty or means another cluster
 */
static bool
read_local(CatalogContents *contents, Oid namespace, Snapshot snapshot)
{
	VdbCluster *cluster = &contents->cluster;
	TableScan	scan;
	pg_uuid_t	id;
	bool		found = false;

	if (!begin_scan(&scan, get_relname_relid("catalog_local", namespace),
					snapshot))
		return false;
	if (next_row(&scan) && uuid_column(&scan, LOCAL_CLUSTER_ID, &id))
	{
		found = memcmp(&id, &cluster->id, sizeof(pg_uuid_t)) == 0;
		cluster->local_group = int_column(&scan, LOCAL_GROUP);
		contents->is_copy = !is_this_database(&scan);
	}
	end_scan(&scan);
	return found;
}

/*
 * is_this_database -- is it this database that the row of catalog_local means?
 */
static bool
is_this_database(TableScan *scan)
{
	const char *stored = text_column(scan, LOCAL_SYSTEM_IDENTIFIER);
	char		actual[32];
	bool		isnull;
	Datum		database = column(scan, LOCAL_DATABASE, &isnull);

	snprintf(actual, sizeof(actual), UINT64_FORMAT, GetSystemIdentifier());
	return stored != NULL && strcmp(stored, actual) == 0 &&
		!isnull && DatumGetObjectId(database) == MyDatabaseId;
}

static void
read_groups(CatalogContents *contents, Oid namespace, Snapshot snapshot)
{
	VdbCluster *cluster = &contents->cluster;
	TableScan	scan;
	int			room = 8;

	cluster->groups = palloc0(room * sizeof(VdbGroup));
	if (!begin_scan(&scan, get_relname_relid("catalog_group", namespace),
					snapshot))
		return;
	while (next_row(&scan))
	{
		if (cluster->group_count == room)
		{
			room *= 2;
			cluster->groups = repalloc(cluster->groups,
									   room * sizeof(VdbGroup));
		}
		cluster->groups[cluster->group_count].id = int_column(&scan, GROUP_ID);
		cluster->groups[cluster->group_count].host_count = 0;
		cluster->groups[cluster->group_count].hosts = NULL;
		cluster->group_count++;
	}
	end_scan(&scan);
	qsort(cluster->groups, cluster->group_count, sizeof(VdbGroup),
		  compare_groups);
}

static void
read_hosts(CatalogContents *contents, Oid namespace, Snapshot snapshot)
{
	VdbCluster *cluster = &contents->cluster;
	TableScan	scan;

	if (!begin_scan(&scan, get_relname_relid("catalog_host", namespace),
					snapshot))
		return;
	while (next_row(&scan))
	{
		VdbGroup   *group = find_group(cluster, int_column(&scan, HOST_GROUP));
		VdbHost    *host;

		if (group == NULL)
			continue;
		if (group->host_count == 0)
			group->hosts = palloc(sizeof(VdbHost));
		else
			group->hosts = repalloc(group->hosts, (group->host_count + 1) *
									sizeof(VdbHost));
		host = &group->hosts[group->host_count++];
		host->host = text_column(&scan, HOST_HOST);
		host->port = int_column(&scan, HOST_PORT);
	}
	end_scan(&scan);

	/* the order does not depend on where rows are */
	for (int i = 0; i < cluster->group_count; i++)
	{
		if (cluster->groups[i].host_count > 1)
			qsort(cluster->groups[i].hosts, cluster->groups[i].host_count,
				  sizeof(VdbHost), compare_hosts);
	}
}

static void
read_colocations(CatalogContents *contents, Oid namespace, Snapshot snapshot)
{
	TableScan	scan;

	contents->colocations = create_hash("vecdb colocations", sizeof(int),
										sizeof(CatalogColocation),
										contents->context);
	if (!begin_scan(&scan, get_relname_relid("catalog_colocation", namespace),
					snapshot))
		return;
	while (next_row(&scan))
	{
		int			id = int_column(&scan, COLOCATION_ID);
		VdbStrategy strategy;
		CatalogColocation *colocation;

		if (!read_strategy(text_column(&scan, COLOCATION_STRATEGY), &strategy))
			continue;
		colocation = hash_search(contents->colocations, &id, HASH_ENTER, NULL);
		colocation->strategy = strategy;
		colocation->shard_count = int_column(&scan, COLOCATION_SHARD_COUNT);
		colocation->orphan = -1;
		colocation->shard_groups =
			palloc0(colocation->shard_count * sizeof(int));
		colocation->bounds = NULL;
		if (strategy == VDB_STRATEGY_RANGE || strategy == VDB_STRATEGY_LIST)
			colocation->bounds =
				palloc0(colocation->shard_count * sizeof(CatalogBound));
	}
	end_scan(&scan);
}

static void
read_shards(CatalogContents *contents, Oid namespace, Snapshot snapshot)
{
	TableScan	scan;

	if (!begin_scan(&scan, get_relname_relid("catalog_shard", namespace),
					snapshot))
		return;
	while (next_row(&scan))
	{
		int			id = int_column(&scan, SHARD_COLOCATION);
		int			shard = int_column(&scan, SHARD_SHARD);
		CatalogColocation *colocation;

		colocation = hash_search(contents->colocations, &id, HASH_FIND, NULL);
		if (colocation == NULL || shard < 0 ||
			shard >= colocation->shard_count)
			continue;
		colocation->shard_groups[shard] = int_column(&scan, SHARD_GROUP);
		if (colocation->bounds != NULL)
			read_bound(&scan, &colocation->bounds[shard]);
	}
	end_scan(&scan);
}

static void
read_bound(TableScan *scan, CatalogBound *bound)
{
	bound->low = text_column(scan, SHARD_LOW);
	bound->high = text_column(scan, SHARD_HIGH);
	bound->values = array_column(scan, SHARD_LIST_VALUES, &bound->value_count);
}

/*
 * find_orphans -- note shards whose group is missing
 */
static void
find_orphans(CatalogContents *contents)
{
	HASH_SEQ_STATUS status;
	CatalogColocation *colocation;

	hash_seq_init(&status, contents->colocations);
	while ((colocation = hash_seq_search(&status)) != NULL)
	{
		VdbGroup   *group = NULL;

		for (int i = 0; i < colocation->shard_count; i++)
		{
			int			id = colocation->shard_groups[i];

			if (group == NULL || group->id != id)
				group = find_group(&contents->cluster, id);
			if (group == NULL)
			{
				colocation->orphan = i;
				break;
			}
		}
	}
}

static void
read_tables(CatalogContents *contents, Oid namespace, Snapshot snapshot)
{
	TableScan	scan;

	contents->entries = create_hash("vecdb tables by name",
									sizeof(CatalogName), sizeof(CatalogEntry),
									contents->context);
	if (!begin_scan(&scan, get_relname_relid("catalog_table", namespace),
					snapshot))
		return;
	while (next_row(&scan))
	{
		CatalogName name;
		CatalogEntry *entry;
		bool		isnull;

		if (!name_column(&scan, TABLE_SCHEMA, &name.schema) ||
			!name_column(&scan, TABLE_NAME, &name.table))
			continue;
		entry = hash_search(contents->entries, &name, HASH_ENTER, NULL);
		entry->kind = DatumGetChar(column(&scan, TABLE_KIND, &isnull));
		entry->colocation = int_column(&scan, TABLE_COLOCATION);
		entry->keys = array_column(&scan, TABLE_KEYS, &entry->key_count);
		entry->shard_function = text_column(&scan, TABLE_FUNCTION);
	}
	end_scan(&scan);
}

static bool
read_strategy(const char *name, VdbStrategy *strategy)
{
	if (name == NULL)
		return false;
	if (strcmp(name, "hash") == 0)
		*strategy = VDB_STRATEGY_HASH;
	else if (strcmp(name, "range") == 0)
		*strategy = VDB_STRATEGY_RANGE;
	else if (strcmp(name, "list") == 0)
		*strategy = VDB_STRATEGY_LIST;
	else if (strcmp(name, "custom") == 0)
		*strategy = VDB_STRATEGY_CUSTOM;
	else
		return false;
	return true;
}

static HTAB *
create_hash(const char *name, Size key_size, Size entry_size,
			MemoryContext context)
{
	HASHCTL		control = {0};

	control.keysize = key_size;
	control.entrysize = entry_size;
	control.hcxt = context;
	return hash_create(name, 32, &control,
					   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/*
 * find_group -- by binary search, as groups are sorted
 */
static VdbGroup *
find_group(VdbCluster *cluster, int id)
{
	VdbGroup	key = {0};

	key.id = id;
	return bsearch(&key, cluster->groups, cluster->group_count,
				   sizeof(VdbGroup), compare_groups);
}

static int
compare_groups(const void *a, const void *b)
{
	int			left = ((const VdbGroup *) a)->id;
	int			right = ((const VdbGroup *) b)->id;

	return (left > right) - (left < right);
}

static int
compare_hosts(const void *a, const void *b)
{
	const VdbHost *left = a;
	const VdbHost *right = b;
	int			order = strcmp(left->host, right->host);

	return order != 0 ? order : left->port - right->port;
}

/*
 * begin_scan -- open a table; false when it is not there, as in the midst of
 * CREATE EXTENSION
 */
static bool
begin_scan(TableScan *scan, Oid relid, Snapshot snapshot)
{
	if (!OidIsValid(relid))
		return false;
	scan->rel = table_open(relid, AccessShareLock);
	scan->scan = systable_beginscan(scan->rel, InvalidOid, false, snapshot,
									0, NULL);
	return true;
}

static bool
next_row(TableScan *scan)
{
	scan->tuple = systable_getnext(scan->scan);
	return HeapTupleIsValid(scan->tuple);
}

static void
end_scan(TableScan *scan)
{
	systable_endscan(scan->scan);
	table_close(scan->rel, AccessShareLock);
}

static Datum
column(TableScan *scan, int number, bool *isnull)
{
	return heap_getattr(scan->tuple, number, RelationGetDescr(scan->rel),
						isnull);
}

/*
 * uuid_column -- false for null
 */
static bool
uuid_column(TableScan *scan, int number, pg_uuid_t *id)
{
	bool		isnull;
	Datum		value = column(scan, number, &isnull);

	if (!isnull)
		*id = *DatumGetUUIDP(value);
	return !isnull;
}

/*
 * name_column -- false for null; filled up with zeros, so that names can be
 * hashed as bytes
 */
static bool
name_column(TableScan *scan, int number, NameData *name)
{
	bool		isnull;
	Datum		value = column(scan, number, &isnull);

	if (!isnull)
		namestrcpy(name, NameStr(*DatumGetName(value)));
	return !isnull;
}

/*
 * int_column -- an integer, or 0 for null
 */
static int
int_column(TableScan *scan, int number)
{
	bool		isnull;
	Datum		value = column(scan, number, &isnull);

	return isnull ? 0 : DatumGetInt32(value);
}

/*
 * text_column -- a string, or NULL for null
 */
static char *
text_column(TableScan *scan, int number)
{
	bool		isnull;
	Datum		value = column(scan, number, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

/*
 * array_column -- the members of a text[] or name[] that are not null; NULL for
 * a null array
 */
static char **
array_column(TableScan *scan, int number, int *count)
{
	bool		isnull;
	Datum		value = column(scan, number, &isnull);
	ArrayType  *array;
	Datum	   *members;
	bool	   *nulls;
	char	  **strings;
	int			member_count;
	Oid			type;
	int16		length;
	bool		byval;
	char		align;

	*count = 0;
	if (isnull)
		return NULL;
	array = DatumGetArrayTypeP(value);
	type = ARR_ELEMTYPE(array);
	get_typlenbyvalalign(type, &length, &byval, &align);
	deconstruct_array(array, type, length, byval, align, &members, &nulls,
					  &member_count);
	strings = palloc((member_count + 1) * sizeof(char *));
	for (int i = 0; i < member_count; i++)
	{
		if (nulls[i])
			continue;
		strings[(*count)++] = type == NAMEOID ?
			pstrdup(NameStr(*DatumGetName(members[i]))) :
			TextDatumGetCString(members[i]);
	}
	if ((Pointer) array != DatumGetPointer(value))
		pfree(array);
	return strings;
}
