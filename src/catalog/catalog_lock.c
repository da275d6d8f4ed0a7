/*-------------------------------------------------------------------------
 *
 * catalog_lock.c
 *	  The lock between those who write a reference table.
 *
 * It is no lock of the table: the parser of each client has locked that on its
 * own node before anybody can see to the order of groups.  It is an advisory
 * lock with a last field that no function of PostgreSQL gives to users.  As
 * such it is held by a prepared transaction, given back by ROLLBACK TO
 * SAVEPOINT, and seen by whoever looks for deadlocks.
 *
 * IDENTIFICATION
 *	  src/catalog/catalog_lock.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "vecdb/lib_compat.h"

#include "catalog_private.h"

/* The last field of our tags; PostgreSQL's functions use 1 and 2 */
#define COPIES_LOCK_CLASS	0x5644

VDB_FUNCTION(vecdb_lock_copies);

/* vdb_catalog_lock_copies -- see vecdb/catalog.h */
bool
vdb_catalog_lock_copies(Oid relid, LOCKMODE mode)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, relid, 0, COPIES_LOCK_CLASS);
	return LockAcquire(&tag, mode, false, false) != LOCKACQUIRE_ALREADY_HELD;
}

/* vdb_catalog_is_copies_lock -- see vecdb/catalog.h */
bool
vdb_catalog_is_copies_lock(const LOCKTAG *tag)
{
	return tag->locktag_type == LOCKTAG_ADVISORY &&
		tag->locktag_field4 == COPIES_LOCK_CLASS;
}

/*
 * vecdb.lock_copies(): lock a reference table against those who change it by a
 * condition, as an INSERT does
 *
 * For sessions of other nodes that will COPY rows into it, by its name.
 */
Datum
vecdb_lock_copies(PG_FUNCTION_ARGS)
{
	char	   *schema = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(1));
	Oid			relid = get_relname_relid(name,
										  get_namespace_oid(schema, false));
	const VdbTable *table;

	if (!vdb_catalog_local_mode())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("function vecdb.lock_copies() can be called by other nodes only")));
	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation \"%s.%s\" does not exist", schema, name)));
	if (pg_class_aclcheck(relid, GetUserId(), ACL_INSERT) != ACLCHECK_OK &&
		pg_attribute_aclcheck_all(relid, GetUserId(), ACL_INSERT,
								  ACLMASK_ANY) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, name);
	table = vdb_catalog_table(relid);
	if (table == NULL || table->kind != VDB_TABLE_REFERENCE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a reference table", name)));
	(void) vdb_catalog_lock_copies(relid, RowExclusiveLock);
	PG_RETURN_VOID();
}
