/*-------------------------------------------------------------------------
 *
 * hnsw_validate.c
 *	  Checks of operator classes, as CREATE OPERATOR CLASS and amvalidate()
 *	  want them.
 *
 * IDENTIFICATION
 *	  src/hnsw/hnsw_validate.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/amvalidate.h"
#include "access/htup_details.h"
#include "catalog/pg_amop.h"
#include "catalog/pg_amproc.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

#include "hnsw_private.h"

static bool check_function(Form_pg_amproc proc, Oid type, const char *family);
static bool check_operator(Form_pg_amop op, const char *family);

/*
 * hnsw_validate -- amvalidate
 *
 * An operator class has function 1, the distance of two values as float8;
 * maybe function 2, the norm of a value as float8; maybe function 3, which
 * describes the type; and operator 1, which orders by distance.
 */
bool
hnsw_validate(Oid opclass)
{
	HeapTuple	class_tuple = SearchSysCache1(CLAOID, ObjectIdGetDatum(opclass));
	Form_pg_opclass class;
	HeapTuple	family_tuple;
	char	   *family;
	CatCList   *procs;
	CatCList   *ops;
	bool		has_distance = false;
	bool		has_order = false;
	bool		valid = true;

	if (!HeapTupleIsValid(class_tuple))
		elog(ERROR, "cache lookup failed for operator class %u", opclass);
	class = (Form_pg_opclass) GETSTRUCT(class_tuple);
	family_tuple = SearchSysCache1(OPFAMILYOID,
								   ObjectIdGetDatum(class->opcfamily));
	if (!HeapTupleIsValid(family_tuple))
		elog(ERROR, "cache lookup failed for operator family %u",
			 class->opcfamily);
	family = NameStr(((Form_pg_opfamily) GETSTRUCT(family_tuple))->opfname);

	procs = SearchSysCacheList1(AMPROCNUM,
								ObjectIdGetDatum(class->opcfamily));
	for (int i = 0; i < procs->n_members; i++)
	{
		Form_pg_amproc proc = (Form_pg_amproc)
			GETSTRUCT(&procs->members[i]->tuple);

		valid &= check_function(proc, class->opcintype, family);
		has_distance |= proc->amprocnum == HNSW_DISTANCE_PROC;
	}
	ReleaseCatCacheList(procs);

	ops = SearchSysCacheList1(AMOPSTRATEGY,
							  ObjectIdGetDatum(class->opcfamily));
	for (int i = 0; i < ops->n_members; i++)
	{
		Form_pg_amop op = (Form_pg_amop) GETSTRUCT(&ops->members[i]->tuple);

		valid &= check_operator(op, family);
		has_order |= op->amopstrategy == 1;
	}
	ReleaseCatCacheList(ops);

	if (!has_distance)
		ereport(INFO,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("operator class \"%s\" of access method %s is missing support function %d",
						NameStr(class->opcname), "hnsw",
						HNSW_DISTANCE_PROC)));
	if (!has_order)
		ereport(INFO,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("operator class \"%s\" of access method %s is missing ordering operator 1",
						NameStr(class->opcname), "hnsw")));
	ReleaseSysCache(family_tuple);
	ReleaseSysCache(class_tuple);
	return valid && has_distance && has_order;
}

/* One support function; says what is wrong with it as INFO */
static bool
check_function(Form_pg_amproc proc, Oid type, const char *family)
{
	bool		valid;

	switch (proc->amprocnum)
	{
		case HNSW_DISTANCE_PROC:
			valid = check_amproc_signature(proc->amproc, FLOAT8OID, false,
										   2, 2, type, type);
			break;
		case HNSW_NORM_PROC:
			valid = check_amproc_signature(proc->amproc, FLOAT8OID, false,
										   1, 1, type);
			break;
		case HNSW_TYPE_INFO_PROC:
			valid = check_amproc_signature(proc->amproc, INTERNALOID, false,
										   1, 1, INTERNALOID);
			break;
		default:
			ereport(INFO,
					(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
					 errmsg("operator family \"%s\" of access method %s contains function %s with invalid support number %d",
							family, "hnsw", format_procedure(proc->amproc),
							proc->amprocnum)));
			return false;
	}

	if (!valid)
		ereport(INFO,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("operator family \"%s\" of access method %s contains function %s with wrong signature for support number %d",
						family, "hnsw", format_procedure(proc->amproc),
						proc->amprocnum)));
	return valid;
}

/* One operator; says what is wrong with it as INFO */
static bool
check_operator(Form_pg_amop op, const char *family)
{
	if (op->amopstrategy == 1 && op->amoppurpose == AMOP_ORDER &&
		check_amop_signature(op->amopopr, FLOAT8OID, op->amoplefttype,
							 op->amoprighttype))
		return true;

	ereport(INFO,
			(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
			 errmsg("operator family \"%s\" of access method %s contains invalid operator %s",
					family, "hnsw", format_operator(op->amopopr)),
			 errdetail("Only strategy 1 exists, an ordering operator that returns double precision.")));
	return false;
}
