/*-------------------------------------------------------------------------
 *
 * remote_record.c
 *	  Names of transactions over groups, and their commit records.
 *
 * A transaction is called vecdb_CLUSTER_GROUP_PID_XID: the first digits of the
 * cluster's id, our group, process, and transaction with its epoch.  What is
 * prepared at another group is called the same with "_" and that group's
 * number.  The record is a row of vecdb.catalog_commit with the name; it is
 * there if and only if the transaction has committed.
 *
 * IDENTIFICATION
 *	  src/remote/remote_record.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "remote_private.h"

/* vdb_remote_record_prefix -- see vecdb/remote_record.h */
char *
vdb_remote_record_prefix(void)
{
	const VdbCluster *cluster = vdb_catalog_cluster();

	return psprintf("vecdb_%02x%02x%02x%02x_%d_",
					cluster->id.data[0], cluster->id.data[1],
					cluster->id.data[2], cluster->id.data[3],
					cluster->local_group);
}

/* remote_record_name -- the name of our transaction, which gets an XID */
char *
remote_record_name(void)
{
	return psprintf("%s%d_" UINT64_FORMAT, vdb_remote_record_prefix(), MyProcPid,
					U64FromFullTransactionId(GetTopFullTransactionId()));
}

/* vdb_remote_record_table -- see vecdb/remote_record.h */
Oid
vdb_remote_record_table(void)
{
	return get_relname_relid("catalog_commit",
							 get_namespace_oid("vecdb", false));
}

/*
 * remote_record_insert -- record that our transaction commits
 *
 * Whoever the user is: the table is ours.
 */
void
remote_record_insert(const char *name)
{
	Relation	rel = table_open(vdb_remote_record_table(), RowExclusiveLock);
	Datum		values[2];
	bool		nulls[2] = {false, false};
	HeapTuple	tuple;

	if (RelationGetDescr(rel)->natts != lengthof(values))
		elog(ERROR, "unexpected columns of vecdb.catalog_commit");
	values[0] = CStringGetTextDatum(name);
	values[1] = TimestampTzGetDatum(GetCurrentTimestamp());
	tuple = heap_form_tuple(RelationGetDescr(rel), values, nulls);
	PushActiveSnapshot(GetTransactionSnapshot());
	CatalogTupleInsert(rel, tuple);
	PopActiveSnapshot();
	heap_freetuple(tuple);
	table_close(rel, RowExclusiveLock);
}
