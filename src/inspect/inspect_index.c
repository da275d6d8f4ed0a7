/*-------------------------------------------------------------------------
 *
 * inspect_index.c
 *	  Opening the index that a function of this room is asked about.
 *
 * IDENTIFICATION
 *	  src/inspect/inspect_index.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/table.h"
#include "access/xlog.h"
#include "catalog/index.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class_d.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/rel.h"

#include "vecdb/hnsw.h"
#include "vecdb/inspect.h"

#include "inspect_private.h"

static void check_kind(Relation rel, const char *verb);
static void check_state(Relation rel, const char *verb);

/* vdb_inspect_init -- called once by _PG_init */
void
vdb_inspect_init(void)
{
	inspect_explain_init();
	inspect_recall_init();
}

/*
 * inspect_open_index -- lock an hnsw index and its table for reading
 *
 * Raises an error that says "cannot <verb> ..." where the index is none of
 * ours or not in a state to be read, and PostgreSQL's own where the user may
 * not read the table.  The table comes in *heap; both are to be given to
 * inspect_close_index().
 */
Relation
inspect_open_index(Oid index_oid, const char *verb, Relation *heap)
{
	Oid			heap_oid = IndexGetRelation(index_oid, true);
	Relation	rel;
	AclResult	allowed;

	/* The table first, as everybody does */
	*heap = OidIsValid(heap_oid) ? table_open(heap_oid, AccessShareLock) : NULL;
	rel = relation_open(index_oid, AccessShareLock);
	check_kind(rel, verb);

	/* The index may have been dropped and its OID given to another */
	if (*heap == NULL || heap_oid != IndexGetRelation(index_oid, true))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("could not open the table of index \"%s\"",
						RelationGetRelationName(rel))));

	allowed = pg_class_aclcheck(heap_oid, GetUserId(), ACL_SELECT);
	if (allowed != ACLCHECK_OK)
		aclcheck_error(allowed, get_relkind_objtype((*heap)->rd_rel->relkind),
					   RelationGetRelationName(*heap));
	check_state(rel, verb);
	return rel;
}

/* inspect_close_index -- unlock both */
void
inspect_close_index(Relation rel, Relation heap)
{
	relation_close(rel, AccessShareLock);
	table_close(heap, AccessShareLock);
}

/* Only indexes of the access method hnsw */
static void
check_kind(Relation rel, const char *verb)
{
	if (rel->rd_rel->relkind == RELKIND_PARTITIONED_INDEX)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("cannot %s partitioned index \"%s\"",
						verb, RelationGetRelationName(rel)),
				 errhint("Name the indexes of its partitions; pg_partition_tree() lists them.")));
	if (!vdb_hnsw_is_index(rel))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not an hnsw index",
						RelationGetRelationName(rel)),
				 errhint("Name an index that was made by CREATE INDEX ... USING hnsw.")));
}

/* Only what is there to be read, by this session */
static void
check_state(Relation rel, const char *verb)
{
	if (RELATION_IS_OTHER_TEMP(rel))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot %s temporary index \"%s\" of another session",
						verb, RelationGetRelationName(rel))));
	if (!rel->rd_index->indisvalid)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot %s index \"%s\", which is not valid",
						verb, RelationGetRelationName(rel)),
				 errhint("Wait until it is built, or drop or REINDEX it if its build failed.")));
	if (RecoveryInProgress() && !RelationIsPermanent(rel))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot %s unlogged index \"%s\" during recovery",
						verb, RelationGetRelationName(rel)),
				 errhint("Unlogged tables are empty on a standby.")));
}
