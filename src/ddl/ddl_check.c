/*-------------------------------------------------------------------------
 *
 * ddl_check.c
 *	  What the groups cannot enforce, each for itself, is refused.
 *
 * A group sees its own rows.  A unique index holds over the cluster if equal
 * values always meet in one group, that is if the distribution key is among
 * its columns.  A foreign key holds if the row that is referenced is in the
 * same group: in a reference table, or in a table of the same colocation by
 * the distribution keys of both.
 *
 * Constraints are looked at in PostgreSQL's catalogs, after a statement was
 * executed here and before it goes to other groups; so it does not matter in
 * which of many ways they were declared.
 *
 * IDENTIFICATION
 *	  src/ddl/ddl_check.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/catalog.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "ddl_private.h"

static void check_unique(const VdbTable *table, Relation index);
static void refuse_unique(const VdbTable *table, const char *what,
						  const char *name);
static void check_columns(Oid relid, List *columns, const char *what,
						  const char *name);
static bool has_key(const VdbTable *table, Relation index);
static char *key_text(const VdbTable *table);
static void check_reference(Form_pg_constraint constraint, HeapTuple tuple);
static bool joins_keys(const VdbTable *from, const VdbTable *to,
					   HeapTuple tuple);
static void check_tables(const char *name, Oid from_relid, Oid to_relid);
static void refuse_reference(const char *name, Oid from_relid, Oid to_relid,
							 const char *detail, const char *hint);
static void check_references(Oid relid, bool referenced);

/*
 * ddl_check_relation -- see ddl_private.h
 */
void
ddl_check_relation(Relation rel)
{
	Oid			relid = RelationGetRelid(rel);
	const char *name = RelationGetRelationName(rel);
	const char *what = NULL;
	const char *hint = NULL;

	if (!has_privs_of_role(GetUserId(), rel->rd_rel->relowner))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, name);
	if (vdb_catalog_table(relid) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("table \"%s\" is a %s table already", name,
						vdb_catalog_table(relid)->kind == VDB_TABLE_REFERENCE ?
						"reference" : "distributed"),
				 errhint("Call vecdb.undistribute_table() first to change how.")));
	if (rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE ||
		rel->rd_rel->relispartition)
	{
		what = "It is partitioned, or a partition.";
		hint = "Shards take the place of partitions: put the rows into one ordinary table.";
	}
	else if (rel->rd_rel->relkind != RELKIND_RELATION)
		what = "It is not an ordinary table.";
	else if (rel->rd_rel->relpersistence == RELPERSISTENCE_TEMP)
		what = "It is temporary.";
	else if (IsCatalogRelation(rel) ||
			 OidIsValid(getExtensionOfObject(RelationRelationId, relid)))
		what = "It belongs to the system or to an extension.";
	else if (has_superclass(relid) || has_subclass(relid))
	{
		what = "It inherits from a table, or is inherited from.";
		hint = "Use ALTER TABLE ... NO INHERIT.";
	}
	else if (rel->rd_rel->relhasrules)
	{
		what = "It has rules.";
		hint = "Use triggers instead; they fire in the group that holds the row.";
	}
	else if (OidIsValid(rel->rd_rel->reloftype))
		what = "It is a typed table.";

	if (what != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("table \"%s\" cannot be shared by a cluster", name),
				 errdetail("%s", what),
				 hint != NULL ? errhint("%s", hint) : 0));
}

/*
 * ddl_check_constraints -- see ddl_private.h
 */
void
ddl_check_constraints(Oid relid)
{
	const VdbTable *table = vdb_catalog_table(relid);
	Relation	rel;
	List	   *indexes;
	ListCell   *cell;

	if (table == NULL)
		return;
	rel = table_open(relid, AccessShareLock);
	indexes = RelationGetIndexList(rel);
	foreach(cell, indexes)
	{
		Relation	index = index_open(lfirst_oid(cell), AccessShareLock);

		if (table->kind == VDB_TABLE_DISTRIBUTED)
			check_unique(table, index);
		index_close(index, AccessShareLock);
	}
	if (rel->rd_rel->relhasrules || has_subclass(relid) ||
		has_superclass(relid))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("table \"%s\" is shared by a cluster and cannot have rules, children or parents",
						RelationGetRelationName(rel))));
	table_close(rel, NoLock);
	check_references(relid, false);
	check_references(relid, true);
}

/*
 * ddl_check_ordinary -- see ddl_private.h
 */
void
ddl_check_ordinary(Oid relid)
{
	check_references(relid, false);
}

/*
 * ddl_check_index -- see ddl_private.h
 */
void
ddl_check_index(Oid relid, const IndexStmt *index)
{
	List	   *columns = NIL;
	ListCell   *cell;

	if (!index->unique)
		return;
	foreach(cell, index->indexParams)
	{
		IndexElem  *element = lfirst_node(IndexElem, cell);

		if (element->name != NULL)
			columns = lappend(columns, makeString(element->name));
	}
	check_columns(relid, columns, "unique index", index->idxname);
}

/*
 * ddl_check_constraint -- see ddl_private.h
 */
void
ddl_check_constraint(Oid relid, const Constraint *constraint)
{
	if (constraint->contype == CONSTR_FOREIGN)
	{
		Oid			to = RangeVarGetRelid(constraint->pktable, NoLock, true);

		if (OidIsValid(to))
			check_tables(constraint->conname != NULL ? constraint->conname :
						 "(unnamed)", relid, to);
	}
	else if ((constraint->contype == CONSTR_UNIQUE ||
			  constraint->contype == CONSTR_PRIMARY) &&
			 constraint->indexname == NULL && constraint->keys != NIL)
		check_columns(relid, constraint->keys,
					  constraint->contype == CONSTR_UNIQUE ? "unique index" :
					  "primary key", constraint->conname);
}

/*
 * check_columns -- an ERROR unless the distribution key is among the names
 */
static void
check_columns(Oid relid, List *columns, const char *what, const char *name)
{
	const VdbTable *table = vdb_catalog_table(relid);

	if (table == NULL || table->kind != VDB_TABLE_DISTRIBUTED)
		return;
	for (int i = 0; i < table->key_count; i++)
	{
		Node	   *key = (Node *) makeString(get_attname(relid,
														  table->keys[i],
														  false));

		if (!list_member(columns, key))
			refuse_unique(table, what, name != NULL ? name : "(unnamed)");
	}
}

/*
 * check_unique -- an ERROR if an index is to be unique and cannot be
 */
static void
check_unique(const VdbTable *table, Relation index)
{
	Form_pg_index form = index->rd_index;

	if ((!form->indisunique && !form->indisexclusion) ||
		has_key(table, index))
		return;
	refuse_unique(table, form->indisprimary ? "primary key" :
				  form->indisexclusion ? "exclusion constraint" :
				  "unique index", RelationGetRelationName(index));
}

static void
refuse_unique(const VdbTable *table, const char *what, const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s \"%s\" of table \"%s\" cannot be enforced in a cluster",
					what, name, get_rel_name(table->relid)),
			 errdetail("It does not contain the distribution key (%s): equal values may be in different groups.",
					   key_text(table)),
			 errhint("Add the columns of the key to it, distribute the table by columns that it contains, or make the table a reference table with vecdb.replicate_table().")));
}

/*
 * has_key -- are all columns of the distribution key compared by an index?
 *
 * Of an exclusion constraint those count that are compared for equality.
 */
static bool
has_key(const VdbTable *table, Relation index)
{
	Form_pg_index form = index->rd_index;
	Oid		   *operators = NULL;

	if (form->indisexclusion)
	{
		Oid		   *procs;
		uint16	   *strategies;

		RelationGetExclusionInfo(index, &operators, &procs, &strategies);
	}
	for (int i = 0; i < table->key_count; i++)
	{
		bool		found = false;

		for (int j = 0; j < form->indnkeyatts && !found; j++)
		{
			if (form->indkey.values[j] != table->keys[i])
				continue;
			if (operators == NULL)
				found = true;
			else
			{
				char	   *name = get_opname(operators[j]);

				found = name != NULL && strcmp(name, "=") == 0;
			}
		}
		if (!found)
			return false;
	}
	return true;
}

/*
 * key_text -- the columns of a distribution key, for messages
 */
static char *
key_text(const VdbTable *table)
{
	char	   *text = "";

	for (int i = 0; i < table->key_count; i++)
		text = psprintf("%s%s%s", text, i > 0 ? ", " : "",
						get_attname(table->relid, table->keys[i], false));
	return text;
}

/*
 * check_references -- foreign keys of a table, or those that point at it
 */
static void
check_references(Oid relid, bool referenced)
{
	Relation	rel = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, referenced ? Anum_pg_constraint_confrelid :
				Anum_pg_constraint_conrelid,
				BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(rel, referenced ? InvalidOid :
							  ConstraintRelidTypidNameIndexId,
							  !referenced, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint constraint = (Form_pg_constraint) GETSTRUCT(tuple);

		if (constraint->contype == CONSTRAINT_FOREIGN)
			check_reference(constraint, tuple);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
}

/*
 * check_reference -- an ERROR if a foreign key cannot be enforced
 */
static void
check_reference(Form_pg_constraint constraint, HeapTuple tuple)
{
	const VdbTable *from = vdb_catalog_table(constraint->conrelid);
	const VdbTable *to = vdb_catalog_table(constraint->confrelid);

	check_tables(NameStr(constraint->conname), constraint->conrelid,
				 constraint->confrelid);
	if (from != NULL && from->kind == VDB_TABLE_DISTRIBUTED &&
		to->kind == VDB_TABLE_DISTRIBUTED && !joins_keys(from, to, tuple))
		refuse_reference(NameStr(constraint->conname), constraint->conrelid,
						 constraint->confrelid,
						 "It does not pair the distribution keys of both tables.",
						 "Add the columns of the distribution keys to it, or make the referenced table a reference table with vecdb.replicate_table().");
}

/*
 * check_tables -- the same, as far as only the tables matter
 *
 * An ordinary table may reference a reference table: all its rows are here,
 * and whoever deletes one deletes it here, too.
 */
static void
check_tables(const char *name, Oid from_relid, Oid to_relid)
{
	const VdbTable *from = vdb_catalog_table(from_relid);
	const VdbTable *to = vdb_catalog_table(to_relid);
	const char *detail = NULL;
	const char *hint = "Drop the foreign key, distribute both tables with colocate_with, and add it again.";

	if ((from == NULL && to == NULL) ||
		(to != NULL && to->kind == VDB_TABLE_REFERENCE))
		return;
	if (to == NULL)
	{
		detail = "The table that it references is on one node only.";
		hint = "Call vecdb.replicate_table() for it, or drop the foreign key, distribute both tables with colocate_with, and add it again.";
	}
	else if (from == NULL)
		detail = "The table that it references is distributed, and this one is on one node only.";
	else if (from->kind == VDB_TABLE_REFERENCE)
	{
		detail = "A reference table is in all groups, the rows that it references in one each.";
		hint = "Make both tables reference tables with vecdb.replicate_table(), or drop the foreign key.";
	}
	else if (from->colocation != to->colocation)
	{
		detail = "Both tables are distributed, but not alike.";
		hint = "Drop the foreign key, distribute one table with colocate_with the other, and add it again.";
	}
	if (detail != NULL)
		refuse_reference(name, from_relid, to_relid, detail, hint);
}

/*
 * joins_keys -- does a foreign key pair each column of both distribution keys?
 */
static bool
joins_keys(const VdbTable *from, const VdbTable *to, HeapTuple tuple)
{
	int			count;
	AttrNumber	columns[INDEX_MAX_KEYS];
	AttrNumber	others[INDEX_MAX_KEYS];

	DeconstructFkConstraintRow(tuple, &count, columns, others, NULL, NULL,
							   NULL, NULL, NULL);
	for (int i = 0; i < from->key_count; i++)
	{
		bool		found = false;

		for (int j = 0; j < count && !found; j++)
			found = columns[j] == from->keys[i] && others[j] == to->keys[i];
		if (!found)
			return false;
	}
	return true;
}

static void
refuse_reference(const char *name, Oid from_relid, Oid to_relid,
				 const char *detail, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("foreign key \"%s\" from table \"%s\" to \"%s\" cannot be enforced in a cluster",
					name, get_rel_name(from_relid), get_rel_name(to_relid)),
			 errdetail("%s", detail),
			 errhint("%s", hint)));
}
