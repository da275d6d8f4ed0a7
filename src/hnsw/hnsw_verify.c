/*-------------------------------------------------------------------------
 *
 * hnsw_verify.c
 *	  vecdb.verify_index(): is an index what README's invariants say?
 *
 * The index is read three times: page by page (hnsw_verify_page.c), record
 * by record with everything a record refers to, and along the graph from the
 * entry point (both hnsw_verify_graph.c).  The heap rows of all vertices are
 * sorted to find those that are there twice, and compared with the table if
 * that is asked for (hnsw_verify_heap.c).
 *
 * Insertions and VACUUM go on meanwhile, so what two pages say may not fit
 * although neither is wrong.  Such a finding is looked at again before it is
 * reported, in an order in which only a real fault looks wrong twice; the
 * comments at each check say why.  Nothing is locked but one vertex at a
 * time, as a search does.
 *
 * IDENTIFICATION
 *	  src/hnsw/hnsw_verify.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xlog.h"
#include "catalog/index.h"
#include "catalog/pg_am.h"
#include "catalog/pg_authid_d.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "hnsw_verify.h"

VDB_FUNCTION(vecdb_verify_index);

static void open_relations(HnswVerify *verify, Oid index_oid);
static void check_index(Oid index_oid, Relation rel);
static void check_permission(Relation rel);
static void verify_open_index(HnswVerify *verify);
static bool verify_meta(HnswVerify *verify);
static void verify_meta_against_catalog(HnswVerify *verify);
static void verify_entry(HnswVerify *verify);
static void put_row(HnswVerify *verify, int invariant, const char *severity,
					BlockNumber blkno, OffsetNumber offno,
					const char *format, va_list args)
			pg_attribute_printf(6, 0);

/*
 * vecdb.verify_index(index regclass, check_codes boolean, check_heap boolean)
 *	  returns table (invariant, severity, block, item, problem)
 */
Datum
vecdb_verify_index(PG_FUNCTION_ARGS)
{
	HnswVerify	verify = {0};

	InitMaterializedSRF(fcinfo, 0);
	verify.result = (ReturnSetInfo *) fcinfo->resultinfo;
	verify.check_codes = PG_GETARG_BOOL(1);

	/* Rows seen by a snapshot that is older than our look at the index */
	if (PG_GETARG_BOOL(2))
		verify.snapshot = RegisterSnapshot(GetTransactionSnapshot());

	open_relations(&verify, PG_GETARG_OID(0));
	verify_open_index(&verify);
	index_close(verify.rel, AccessShareLock);
	table_close(verify.heap, AccessShareLock);

	if (verify.snapshot != NULL)
		UnregisterSnapshot(verify.snapshot);
	return (Datum) 0;
}

/* Lock the table, then the index, as everybody does, and see what it is */
static void
open_relations(HnswVerify *verify, Oid index_oid)
{
	Oid			heap_oid = IndexGetRelation(index_oid, true);

	if (OidIsValid(heap_oid))
		verify->heap = table_open(heap_oid, AccessShareLock);
	verify->rel = relation_open(index_oid, AccessShareLock);
	check_index(index_oid, verify->rel);

	/* The index may have been dropped and its OID given to another */
	if (verify->heap == NULL ||
		heap_oid != IndexGetRelation(index_oid, true))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("could not open the table of index \"%s\"",
						RelationGetRelationName(verify->rel))));
	check_permission(verify->rel);
}

/* Only what is there to be verified */
static void
check_index(Oid index_oid, Relation rel)
{
	if (rel->rd_rel->relkind != RELKIND_INDEX ||
		rel->rd_rel->relam != get_index_am_oid("hnsw", false))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not an hnsw index",
						RelationGetRelationName(rel)),
				 rel->rd_rel->relkind == RELKIND_PARTITIONED_INDEX ?
				 errhint("Verify the indexes of its partitions; pg_partition_tree() lists them.") :
				 errhint("Indexes of other kinds are verified by the extension amcheck.")));

	if (RELATION_IS_OTHER_TEMP(rel))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot verify temporary index \"%s\" of another session",
						RelationGetRelationName(rel)),
				 errhint("Verify it in the session that made it.")));

	if (!rel->rd_index->indisvalid)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot verify index \"%s\", which is not valid",
						RelationGetRelationName(rel)),
				 errhint("Wait until it is built, or drop or REINDEX it if its build failed.")));

	if (RecoveryInProgress() && !RelationIsPermanent(rel))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot verify unlogged index \"%s\" during recovery",
						RelationGetRelationName(rel)),
				 errhint("Verify it on the primary.")));
}

/*
 * Owners of the table may look, and those who may read any table for
 * monitoring
 */
static void
check_permission(Relation rel)
{
	if (has_privs_of_role(GetUserId(), rel->rd_rel->relowner) ||
		has_privs_of_role(GetUserId(), ROLE_PG_STAT_SCAN_TABLES))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied to verify index \"%s\"",
					RelationGetRelationName(rel)),
			 errhint("Its owner and members of pg_stat_scan_tables or pg_monitor may.")));
}

static void
verify_open_index(HnswVerify *verify)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "hnsw verify",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);

	verify->strategy = GetAccessStrategy(BAS_BULKREAD);
	verify->page_context = AllocSetContextCreate(context, "hnsw verify page",
												 ALLOCSET_DEFAULT_SIZES);

	/* Without the metapage nothing else can be understood */
	if (verify_meta(verify))
	{
		verify_meta_against_catalog(verify);
		hnsw_verify_tids_begin(verify);
		hnsw_verify_pages(verify);
		hnsw_verify_records(verify);
		hnsw_verify_owners(verify);
		hnsw_verify_new_pages(verify);
		verify_entry(verify);
		hnsw_verify_reachable(verify);
		hnsw_verify_tids(verify);
	}

	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* Invariant 2, the metapage in itself; false when it is of no use */
static bool
verify_meta(HnswVerify *verify)
{
	VdbHnswMetaPageData meta;
	const char *problem = NULL;
	int			dimensions;
	Buffer		buf;
	Page		page;

	if (RelationGetNumberOfBlocks(verify->rel) == 0)
	{
		hnsw_verify_report(verify, 2, VDB_HNSW_METAPAGE, 0,
						   "The index has no metapage: its file is empty");
		return false;
	}

	buf = hnsw_read_page(verify->rel, VDB_HNSW_METAPAGE, NULL);
	page = BufferGetPage(buf);
	meta = *VdbHnswPageGetMeta(page);
	if (PageIsNew(page))
		problem = "The metapage is all zeros";
	else if (meta.magic != VDB_HNSW_MAGIC ||
			 !hnsw_verify_page_is_ours(page, VDB_HNSW_PAGE_META))
		problem = "The first page is not the metapage of an hnsw index of vecdb";
	else if (meta.version != VDB_HNSW_VERSION)
		problem = "The metapage has a version that this release does not read";
	else
		problem = hnsw_meta_problem(&meta);
	hnsw_unlock_page(buf);

	if (problem != NULL)
	{
		hnsw_verify_report(verify, 2, VDB_HNSW_METAPAGE, 0, "%s", problem);
		return false;
	}
	hnsw_index_forget(verify->rel);
	verify->index = *hnsw_index_open(verify->rel);
	if (verify->index.type->kind != meta.element)
	{
		hnsw_verify_report(verify, 2, VDB_HNSW_METAPAGE, 0,
						   "The metapage is of an index on another type than %s",
						   verify->index.type->name);
		return false;
	}
	dimensions = TupleDescAttr(RelationGetDescr(verify->rel), 0)->atttypmod;
	if (meta.dimensions != dimensions)
	{
		hnsw_verify_report(verify, 2, VDB_HNSW_METAPAGE, 0,
						   "The metapage says %d dimensions, the column has %d",
						   meta.dimensions, dimensions);
		return false;
	}
	return true;
}

/* Invariant 2, the metapage and what the catalogs say of the index */
static void
verify_meta_against_catalog(HnswVerify *verify)
{
	const VdbHnswMetaPageData *meta = &verify->index.meta;
	Relation	rel = verify->rel;
	bool		has_norm = OidIsValid(index_getprocid(rel, 1, HNSW_NORM_PROC));
	VdbHnswMetaPageData now = *meta;

	if (meta->metric != vdb_types_metric(verify->index.distance_proc,
										 has_norm))
		hnsw_verify_report(verify, 2, VDB_HNSW_METAPAGE, 0,
						   "The metapage is of another metric than the operator class");
	if (meta->zero != 0)
		hnsw_verify_report(verify, 2, VDB_HNSW_METAPAGE, 0,
						   "Reserved bytes of the metapage are not zero");

	/* ALTER INDEX changes options, which take effect when it is built again */
	hnsw_choose_form(&now, rel);
	if (meta->m != hnsw_get_m(rel) ||
		meta->ef_construction != hnsw_get_ef_construction(rel) ||
		meta->codes != now.codes || meta->storage != now.storage)
		hnsw_verify_warn(verify, 2, VDB_HNSW_METAPAGE, 0,
						 "The index was built with m = %d, ef_construction = %d, codes = %s, storage = %s and its options have been changed since; REINDEX puts them in force",
						 meta->m, meta->ef_construction,
						 hnsw_codes_name(meta->codes),
						 hnsw_storage_name(meta->storage));
}

/*
 * Invariant 2, the entry point
 *
 * It only ever names a record that exists: VACUUM sets another one before it
 * frees the record.  So we look at the record, and if that is gone, whether
 * it is still the entry point.
 */
static void
verify_entry(HnswVerify *verify)
{
	HnswCopy	copy;
	VdbHnswRef	entry;
	VdbHnswRef	again;
	int			layer;
	int			again_layer;
	bool		exists;

	hnsw_copy_init(&copy);
	do
	{
		CHECK_FOR_INTERRUPTS();
		hnsw_read_entry(&verify->index, &entry, &layer);
		exists = VdbHnswRefIsNone(entry) ||
			hnsw_copy_record(verify, entry, layer, false, &copy);
		hnsw_read_entry(&verify->index, &again, &again_layer);
	} while (!exists && !VdbHnswRefEquals(entry, again));

	if (!exists)
	{
		uint32	   *note = hnsw_verify_note(verify, entry);

		if (note == NULL || (*note & HNSW_NOTE_BROKEN) == 0)
			hnsw_verify_report(verify, 2, VDB_HNSW_METAPAGE, 0,
							   "The entry point (%u,%u) is not a record of layer %d",
							   entry.blkno, entry.offno, layer);
		return;
	}

	/*
	 * A crash leaves a vertex whose insertion had not got as far as this, and
	 * that VACUUM removes; insertions under way now are waited for.
	 */
	if (verify->highest_layer < 0 ||
		(!VdbHnswRefIsNone(entry) && layer >= verify->highest_layer))
		return;
	hnsw_verify_settle(verify);
	hnsw_read_entry(&verify->index, &entry, &layer);
	if (hnsw_copy_record(verify, verify->highest, verify->highest_layer,
						 false, &copy) &&
		(copy.record.head->flags & VDB_HNSW_DELETED) == 0 &&
		(VdbHnswRefIsNone(entry) || layer < verify->highest_layer))
		hnsw_verify_warn(verify, 2, verify->highest.blkno,
						 verify->highest.offno,
						 "A vertex reaches layer %d, and the entry point is %s",
						 verify->highest_layer,
						 VdbHnswRefIsNone(entry) ? "none" : "below");
}

/*
 * hnsw_verify_settle -- wait until no insertion that began before is under way
 *
 * As VACUUM does; lock rule 1, no buffer lock is held.  On a standby there is
 * nothing to wait for that would help.
 */
void
hnsw_verify_settle(HnswVerify *verify)
{
	if (RecoveryInProgress())
		return;
	hnsw_lock_graph(verify->rel, ExclusiveLock);
	hnsw_unlock_graph(verify->rel, ExclusiveLock);
}

/* hnsw_verify_report -- an invariant does not hold */
void
hnsw_verify_report(HnswVerify *verify, int invariant, BlockNumber blkno,
				   OffsetNumber offno, const char *format,...)
{
	va_list		args;

	va_start(args, format);
	put_row(verify, invariant, "error", blkno, offno, format, args);
	va_end(args);
}

/* hnsw_verify_warn -- something that may be, but is not as it should */
void
hnsw_verify_warn(HnswVerify *verify, int invariant, BlockNumber blkno,
				 OffsetNumber offno, const char *format,...)
{
	va_list		args;

	va_start(args, format);
	put_row(verify, invariant, "warning", blkno, offno, format, args);
	va_end(args);
}

/* Add a row to the result; no block or item when it is invalid */
static void
put_row(HnswVerify *verify, int invariant, const char *severity,
		BlockNumber blkno, OffsetNumber offno, const char *format,
		va_list args)
{
	Datum		values[5];
	bool		nulls[5] = {false};
	char		message[1024];

	vsnprintf(message, sizeof(message), format, args);
	values[0] = Int32GetDatum(invariant);
	values[1] = CStringGetTextDatum(severity);
	values[2] = Int64GetDatum(blkno);
	nulls[2] = blkno == InvalidBlockNumber;
	values[3] = Int32GetDatum(offno);
	nulls[3] = offno == InvalidOffsetNumber;
	values[4] = CStringGetTextDatum(message);
	tuplestore_putvalues(verify->result->setResult, verify->result->setDesc,
						 values, nulls);
	pfree(DatumGetPointer(values[1]));
	pfree(DatumGetPointer(values[4]));
}
