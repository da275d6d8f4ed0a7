/*-------------------------------------------------------------------------
 *
 * ddl_decide.c
 *	  Which utility statements concern the cluster, and what is refused.
 *
 * Statements on distributed and reference tables, which are found by name as
 * PostgreSQL finds them; and statements on what such tables may use, schemas,
 * types, functions, extensions and roles, which are alike on all nodes as
 * long as vecdb.share_ddl is on.  All others concern this node.
 *
 * IDENTIFICATION
 *	  src/ddl/ddl_decide.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "ddl_private.h"

static void share(DdlDecision *decision, const RangeVar *name);
static void share_object(DdlDecision *decision, ObjectType type);
static void refuse_alone(DropBehavior behavior);
static bool is_shared_kind(ObjectType type);
static bool is_temporary(List *name);
static void decide_index(const IndexStmt *index, DdlDecision *decision);
static void decide_create(const CreateStmt *create, DdlDecision *decision);
static void decide_rename(const RenameStmt *rename, DdlDecision *decision);
static void decide_drop(const DropStmt *drop, DdlDecision *decision);
static void decide_drop_relations(const DropStmt *drop,
								  DdlDecision *decision);
static void decide_truncate(const TruncateStmt *truncate,
							DdlDecision *decision);
static void decide_lock(const LockStmt *lock, DdlDecision *decision);
static void decide_comment(const CommentStmt *comment, DdlDecision *decision);
static void decide_grant(const GrantStmt *grant, DdlDecision *decision);
static void decide_sequence(const AlterSeqStmt *alter, DdlDecision *decision);
static void decide_reindex(const ReindexStmt *reindex, DdlDecision *decision);
static void decide_vacuum(const VacuumStmt *vacuum, DdlDecision *decision);
static void decide_copy(const CopyStmt *copy, DdlDecision *decision);
static void decide_extension(const char *name, DdlDecision *decision);
static void decide_rest(const DdlStatement *statement, DdlDecision *decision);
static List *tables_of_schema(const char *schema);
static List *tables_among(List *names, StringInfo text);
static Oid	table_of_sequence(const RangeVar *name);
static RangeVar *parent_name(List *names);

/*
 * ddl_decide -- see ddl_private.h
 */
DdlDecision
ddl_decide(const DdlStatement *statement)
{
	Node	   *parse = statement->parse;
	DdlDecision decision = {.plan = DDL_ALONE,.lock = AccessExclusiveLock};

	switch (nodeTag(parse))
	{
		case T_IndexStmt:
			decide_index((IndexStmt *) parse, &decision);
			break;
		case T_CreateStmt:
			decide_create((CreateStmt *) parse, &decision);
			break;
		case T_AlterTableStmt:
			if (((AlterTableStmt *) parse)->objtype == OBJECT_TYPE)
				share_object(&decision, OBJECT_TYPE);
			else
				ddl_decide_alter((AlterTableStmt *) parse, &decision);
			break;
		case T_RenameStmt:
			decide_rename((RenameStmt *) parse, &decision);
			break;
		case T_DropStmt:
			decide_drop((DropStmt *) parse, &decision);
			break;
		case T_TruncateStmt:
			decide_truncate((TruncateStmt *) parse, &decision);
			break;
		case T_LockStmt:
			decide_lock((LockStmt *) parse, &decision);
			break;
		case T_CommentStmt:
			decide_comment((CommentStmt *) parse, &decision);
			break;
		case T_GrantStmt:
			decide_grant((GrantStmt *) parse, &decision);
			break;
		case T_AlterSeqStmt:
			decide_sequence((AlterSeqStmt *) parse, &decision);
			break;
		case T_ReindexStmt:
			decide_reindex((ReindexStmt *) parse, &decision);
			break;
		case T_VacuumStmt:
			decide_vacuum((VacuumStmt *) parse, &decision);
			break;
		case T_CopyStmt:
			decide_copy((CopyStmt *) parse, &decision);
			break;
		default:
			decide_rest(statement, &decision);
			break;
	}
	return decision;
}

/*
 * decide_rest -- statements that need no more than a line or two
 */
static void
decide_rest(const DdlStatement *statement, DdlDecision *decision)
{
	Node	   *parse = statement->parse;

	switch (nodeTag(parse))
	{
		case T_CreateTrigStmt:
			share(decision, ((CreateTrigStmt *) parse)->relation);
			decision->lock = ShareRowExclusiveLock;
			break;
		case T_CreatePolicyStmt:
			share(decision, ((CreatePolicyStmt *) parse)->table);
			break;
		case T_AlterPolicyStmt:
			share(decision, ((AlterPolicyStmt *) parse)->table);
			break;
		case T_ClusterStmt:
			if (((ClusterStmt *) parse)->relation != NULL)
				share(decision, ((ClusterStmt *) parse)->relation);
			decision->slow = true;
			break;
		case T_CreateStatsStmt:
			{
				List	   *relations = ((CreateStatsStmt *) parse)->relations;

				decision->lock = ShareUpdateExclusiveLock;
				if (relations != NIL && IsA(linitial(relations), RangeVar))
					share(decision, linitial(relations));
				break;
			}
		case T_RuleStmt:
			{
				Oid			relid = ddl_shared_table(((RuleStmt *) parse)->relation);

				if (OidIsValid(relid))
					ddl_refuse("have rules", relid,
							   "Use triggers instead; they fire in the group that holds the row.");
				break;
			}
		case T_SecLabelStmt:
			{
				SecLabelStmt *label = (SecLabelStmt *) parse;

				if (label->objtype == OBJECT_TABLE ||
					label->objtype == OBJECT_COLUMN)
				{
					List	   *name = castNode(List, label->object);
					RangeVar   *table = label->objtype == OBJECT_TABLE ?
					makeRangeVarFromNameList(name) : parent_name(name);

					if (OidIsValid(ddl_shared_table(table)))
						ddl_refuse("have security labels",
								   ddl_shared_table(table), NULL);
				}
				break;
			}
		case T_AlterObjectSchemaStmt:
			{
				AlterObjectSchemaStmt *alter = (AlterObjectSchemaStmt *) parse;

				if (alter->relation != NULL)
					share(decision, alter->relation);
				else
					share_object(decision, alter->objectType);
				break;
			}
		case T_AlterOwnerStmt:
			share_object(decision, ((AlterOwnerStmt *) parse)->objectType);
			break;
		case T_CreateSchemaStmt:
			share_object(decision, OBJECT_SCHEMA);
			if (decision->plan == DDL_SHARED &&
				((CreateSchemaStmt *) parse)->schemaElts != NIL)
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("a schema cannot be created together with its tables in a cluster"),
						 errhint("Create the schema first, which is done on all nodes, and then the tables.")));
			break;
		case T_CreateEnumStmt:
			if (!is_temporary(((CreateEnumStmt *) parse)->typeName))
				share_object(decision, OBJECT_TYPE);
			break;
		case T_CompositeTypeStmt:
			if (((CompositeTypeStmt *) parse)->typevar->relpersistence !=
				RELPERSISTENCE_TEMP)
				share_object(decision, OBJECT_TYPE);
			break;
		case T_CreateRangeStmt:
			if (!is_temporary(((CreateRangeStmt *) parse)->typeName))
				share_object(decision, OBJECT_TYPE);
			break;
		case T_CreateDomainStmt:
			if (!is_temporary(((CreateDomainStmt *) parse)->domainname))
				share_object(decision, OBJECT_DOMAIN);
			break;
		case T_DefineStmt:
			if (!is_temporary(((DefineStmt *) parse)->defnames))
				share_object(decision, ((DefineStmt *) parse)->kind);
			break;
		case T_CreateFunctionStmt:
			if (!is_temporary(((CreateFunctionStmt *) parse)->funcname))
				share_object(decision, OBJECT_FUNCTION);
			break;
		case T_AlterEnumStmt:
		case T_AlterTypeStmt:
		case T_AlterDomainStmt:
		case T_AlterFunctionStmt:
		case T_AlterOperatorStmt:
		case T_CreateCastStmt:
		case T_CreateOpClassStmt:
		case T_CreateOpFamilyStmt:
		case T_AlterOpFamilyStmt:
		case T_AlterTSDictionaryStmt:
		case T_AlterTSConfigurationStmt:
		case T_AlterDefaultPrivilegesStmt:
			share_object(decision, OBJECT_TYPE);
			break;
		case T_CreateExtensionStmt:
			decide_extension(((CreateExtensionStmt *) parse)->extname,
							 decision);
			break;
		case T_AlterExtensionStmt:
			decide_extension(((AlterExtensionStmt *) parse)->extname,
							 decision);
			break;
		case T_CreateRoleStmt:
		case T_AlterRoleStmt:
		case T_AlterRoleSetStmt:
		case T_DropRoleStmt:
		case T_GrantRoleStmt:
			share_object(decision, OBJECT_ROLE);
			break;
		case T_DropOwnedStmt:
			refuse_alone(DROP_CASCADE);
			share_object(decision, OBJECT_ROLE);
			decision->drops = true;
			break;
		case T_ReassignOwnedStmt:
			share_object(decision, OBJECT_ROLE);
			decision->drops = true;
			break;
		default:
			break;
	}
}

/*
 * ddl_shared_table -- see ddl_private.h
 *
 * Also of a name that means an index of such a table.
 */
Oid
ddl_shared_table(const RangeVar *name)
{
	Oid			relid;

	if (name == NULL || !vdb_catalog_has_tables())
		return InvalidOid;
	relid = RangeVarGetRelid(name, NoLock, true);
	if (!OidIsValid(relid))
		return InvalidOid;
	if (get_rel_relkind(relid) == RELKIND_INDEX)
		relid = IndexGetRelation(relid, true);
	return vdb_catalog_table(relid) != NULL ? relid : InvalidOid;
}

void
ddl_refuse(const char *what, Oid relid, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("table \"%s\" is shared by a cluster and cannot %s",
					get_rel_name(relid), what),
			 hint != NULL ? errhint("%s", hint) : 0));
}

/*
 * share -- the statement is shared if it names a shared table
 */
static void
share(DdlDecision *decision, const RangeVar *name)
{
	Oid			relid = ddl_shared_table(name);

	if (!OidIsValid(relid))
		return;
	decision->plan = DDL_SHARED;
	decision->tables = list_append_unique_oid(decision->tables, relid);
}

/*
 * share_object -- the statement is shared if it is about what is alike on all
 * nodes
 */
static void
share_object(DdlDecision *decision, ObjectType type)
{
	if (ddl_share && is_shared_kind(type))
		decision->plan = DDL_SHARED;
}

/*
 * refuse_alone -- what CASCADE reaches may be a shared table, or a column of it
 */
static void
refuse_alone(DropBehavior behavior)
{
	if (!ddl_share && behavior == DROP_CASCADE && vdb_catalog_has_tables())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("nothing can be dropped with what depends on it on one node of a cluster only"),
				 errhint("Set vecdb.share_ddl to on, or drop without CASCADE.")));
}

static bool
is_shared_kind(ObjectType type)
{
	switch (type)
	{
		case OBJECT_SCHEMA:
		case OBJECT_TYPE:
		case OBJECT_ATTRIBUTE:
		case OBJECT_DOMAIN:
		case OBJECT_DOMCONSTRAINT:
		case OBJECT_FUNCTION:
		case OBJECT_PROCEDURE:
		case OBJECT_ROUTINE:
		case OBJECT_AGGREGATE:
		case OBJECT_CAST:
		case OBJECT_COLLATION:
		case OBJECT_OPERATOR:
		case OBJECT_OPCLASS:
		case OBJECT_OPFAMILY:
		case OBJECT_TSCONFIGURATION:
		case OBJECT_TSDICTIONARY:
		case OBJECT_EXTENSION:
		case OBJECT_ROLE:
			return true;
		default:
			return false;
	}
}

static bool
is_temporary(List *name)
{
	return list_length(name) > 1 &&
		strcmp(strVal(linitial(name)), "pg_temp") == 0;
}

/*
 * parent_name -- the table of a column, constraint, trigger or policy
 */
static RangeVar *
parent_name(List *names)
{
	return makeRangeVarFromNameList(list_truncate(list_copy(names),
												  list_length(names) - 1));
}

static void
decide_index(const IndexStmt *index, DdlDecision *decision)
{
	share(decision, index->relation);
	if (decision->plan != DDL_SHARED)
		return;
	ddl_check_index(linitial_oid(decision->tables), index);
	if (index->concurrent)
	{
		decision->plan = DDL_OUTSIDE;
		if (index->idxname == NULL)
			ddl_refuse("have an index without a name built concurrently",
					   linitial_oid(decision->tables),
					   "Give the index a name: it has to be the same in all groups.");
	}
	else
	{
		decision->lock = ShareLock;
		decision->slow = true;
		if (index->idxname == NULL)
			decision->unnamed_index_of = linitial_oid(decision->tables);
	}
}

/*
 * decide_create -- a table is on this node; but it may refer to others
 */
static void
decide_create(const CreateStmt *create, DdlDecision *decision)
{
	ListCell   *cell;

	foreach(cell, create->inhRelations)
	{
		Oid			relid = ddl_shared_table(lfirst_node(RangeVar, cell));

		if (OidIsValid(relid))
			ddl_refuse("be inherited from", relid, NULL);
	}
	if (vdb_catalog_has_tables())
		decision->plan = DDL_CHECKED;
}

void
ddl_check_statement(Node *parse)
{
	RangeVar   *name = NULL;
	Oid			relid;

	if (IsA(parse, CreateStmt))
		name = ((CreateStmt *) parse)->relation;
	else if (IsA(parse, AlterTableStmt))
		name = ((AlterTableStmt *) parse)->relation;
	if (name == NULL)
		return;
	relid = RangeVarGetRelid(name, NoLock, true);
	if (OidIsValid(relid))
		ddl_check_ordinary(relid);
}

static void
decide_rename(const RenameStmt *rename, DdlDecision *decision)
{
	if (rename->renameType == OBJECT_SCHEMA)
		decision->tables = tables_of_schema(rename->subname);
	if (rename->relation != NULL && rename->renameType != OBJECT_ATTRIBUTE)
		share(decision, rename->relation);
	else
		share_object(decision, rename->renameType);
	if (decision->tables != NIL)
		decision->plan = DDL_SHARED;
}

/*
 * tables_of_schema -- the shared tables in it
 */
static List *
tables_of_schema(const char *schema)
{
	List	   *list;
	List	   *tables = NIL;
	ListCell   *cell;

	list = ddl_list(psprintf("SELECT c.oid FROM vecdb.catalog_table t,"
							 " pg_catalog.pg_class c, pg_catalog.pg_namespace n"
							 " WHERE t.schema_name OPERATOR(pg_catalog.=) %s::pg_catalog.name"
							 " AND n.nspname OPERATOR(pg_catalog.=) t.schema_name"
							 " AND c.relnamespace OPERATOR(pg_catalog.=) n.oid"
							 " AND c.relname OPERATOR(pg_catalog.=) t.table_name",
							 quote_literal_cstr(schema)));
	foreach(cell, list)
		tables = lappend_oid(tables, atooid((char *) lfirst(cell)));
	return tables;
}

static void
decide_drop(const DropStmt *drop, DdlDecision *decision)
{
	ListCell   *cell;

	switch (drop->removeType)
	{
		case OBJECT_TABLE:
		case OBJECT_INDEX:
			decide_drop_relations(drop, decision);
			break;
		case OBJECT_TRIGGER:
		case OBJECT_POLICY:
			foreach(cell, drop->objects)
				share(decision, parent_name(lfirst_node(List, cell)));
			break;
		case OBJECT_EXTENSION:
			foreach(cell, drop->objects)
			{
				if (strcmp(strVal(lfirst(cell)), "vecdb") == 0)
					ereport(ERROR,
							(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
							 errmsg("extension \"vecdb\" cannot be dropped, because this database belongs to a cluster"),
							 errhint("Remove it with vecdb.remove_group() on another node, or end the cluster with vecdb.drop_cluster().")));
			}
			refuse_alone(drop->behavior);
			share_object(decision, OBJECT_EXTENSION);
			decision->drops = true;
			break;
		default:
			if (is_shared_kind(drop->removeType))
				refuse_alone(drop->behavior);
			share_object(decision, drop->removeType);
			decision->drops = decision->plan == DDL_SHARED;
			break;
	}
}

/*
 * decide_drop_relations -- tables or indexes; other groups drop theirs
 */
static void
decide_drop_relations(const DropStmt *drop, DdlDecision *decision)
{
	StringInfoData text;

	initStringInfo(&text);
	decision->tables = tables_among(drop->objects, &text);
	if (decision->tables == NIL)
		return;
	decision->plan = drop->concurrent ? DDL_OUTSIDE : DDL_SHARED;
	decision->drops = drop->removeType == OBJECT_TABLE;
	decision->sql = psprintf("DROP %s%s %s%s",
							 drop->removeType == OBJECT_TABLE ? "TABLE" :
							 "INDEX", drop->concurrent ? " CONCURRENTLY" : "",
							 text.data,
							 drop->behavior == DROP_CASCADE ? " CASCADE" : "");
}

/*
 * tables_among -- the shared tables that names mean, or whose indexes they
 * mean; "text" gets the full names
 *
 * Each name is a List, or a RangeVar.
 */
static List *
tables_among(List *names, StringInfo text)
{
	List	   *tables = NIL;
	ListCell   *cell;

	foreach(cell, names)
	{
		Node	   *item = lfirst(cell);
		RangeVar   *name = IsA(item, List) ?
		makeRangeVarFromNameList((List *) item) : castNode(RangeVar, item);
		Oid			relid = ddl_shared_table(name);

		if (!OidIsValid(relid))
			continue;
		tables = list_append_unique_oid(tables, relid);
		appendStringInfo(text, "%s%s", text->len > 0 ? ", " : "",
						 ddl_table_name(RangeVarGetRelid(name, NoLock,
														 false)));
	}
	return tables;
}

static void
decide_truncate(const TruncateStmt *truncate, DdlDecision *decision)
{
	StringInfoData text;

	initStringInfo(&text);
	decision->tables = tables_among(truncate->relations, &text);
	if (decision->tables == NIL)
		return;
	decision->plan = DDL_SHARED;
	decision->sql = psprintf("TRUNCATE TABLE %s%s%s", text.data,
							 truncate->restart_seqs ? " RESTART IDENTITY" : "",
							 truncate->behavior == DROP_CASCADE ?
							 " CASCADE" : "");
}

/*
 * decide_lock -- LOCK TABLE
 *
 * Weak locks keep nothing out but changes of the schema, which take a lock on
 * each node.  So one here is enough; pg_dump takes them in a transaction that
 * is read-only.
 */
static void
decide_lock(const LockStmt *lock, DdlDecision *decision)
{
	StringInfoData text;

	if (lock->mode <= RowExclusiveLock)
		return;
	initStringInfo(&text);
	decision->tables = tables_among(lock->relations, &text);
	if (decision->tables == NIL)
		return;
	decision->plan = DDL_SHARED;
	decision->lock = lock->nowait ? NoLock : lock->mode;
	decision->sql = psprintf("LOCK TABLE %s IN %s MODE%s", text.data,
							 ddl_lock_mode_name(lock->mode),
							 lock->nowait ? " NOWAIT" : "");
}

static void
decide_comment(const CommentStmt *comment, DdlDecision *decision)
{
	decision->lock = ShareUpdateExclusiveLock;
	switch (comment->objtype)
	{
		case OBJECT_TABLE:
		case OBJECT_INDEX:
			share(decision,
				  makeRangeVarFromNameList(castNode(List, comment->object)));
			break;
		case OBJECT_COLUMN:
		case OBJECT_TABCONSTRAINT:
		case OBJECT_TRIGGER:
		case OBJECT_POLICY:
			share(decision, parent_name(castNode(List, comment->object)));
			break;
		default:
			share_object(decision, comment->objtype);
			break;
	}
}

static void
decide_grant(const GrantStmt *grant, DdlDecision *decision)
{
	StringInfoData text;
	ListCell   *cell;

	decision->lock = NoLock;
	if (grant->objtype == OBJECT_SEQUENCE &&
		grant->targtype == ACL_TARGET_OBJECT)
	{
		foreach(cell, grant->objects)
		{
			if (OidIsValid(table_of_sequence(lfirst_node(RangeVar, cell))))
				decision->plan = DDL_SHARED;
		}
		return;
	}
	if (grant->objtype != OBJECT_TABLE)
	{
		share_object(decision, grant->objtype);
		return;
	}
	if (grant->targtype != ACL_TARGET_OBJECT)
	{
		if (ddl_share && vdb_catalog_has_tables())
			decision->plan = DDL_SHARED;
		return;
	}
	initStringInfo(&text);
	decision->tables = tables_among(grant->objects, &text);
	if (decision->tables == NIL)
		return;
	if (list_length(decision->tables) != list_length(grant->objects))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("privileges on shared and on ordinary tables cannot be changed by one statement"),
				 errhint("Use one statement for the tables that are shared by the cluster, and another one for those of this node.")));
	decision->plan = DDL_SHARED;
}

/*
 * table_of_sequence -- the shared table that gets values from a sequence
 */
static Oid
table_of_sequence(const RangeVar *name)
{
	Oid			relid;
	List	   *list;
	ListCell   *cell;

	if (name == NULL || !vdb_catalog_has_tables())
		return InvalidOid;
	relid = RangeVarGetRelid(name, NoLock, true);
	if (!OidIsValid(relid) || get_rel_relkind(relid) != RELKIND_SEQUENCE)
		return InvalidOid;
	list = ddl_list(psprintf("SELECT refobjid FROM pg_catalog.pg_depend"
							 " WHERE classid OPERATOR(pg_catalog.=) 1259"
							 " AND objid OPERATOR(pg_catalog.=) %u"
							 " AND refclassid OPERATOR(pg_catalog.=) 1259"
							 " AND deptype IN ('a', 'i')"
							 " UNION ALL SELECT adrelid"
							 " FROM pg_catalog.pg_attrdef a"
							 " JOIN pg_catalog.pg_depend d"
							 " ON d.objid OPERATOR(pg_catalog.=) a.oid"
							 " AND d.classid OPERATOR(pg_catalog.=) 2604"
							 " WHERE d.refclassid OPERATOR(pg_catalog.=) 1259"
							 " AND d.refobjid OPERATOR(pg_catalog.=) %u",
							 relid, relid));
	foreach(cell, list)
	{
		Oid			table = atooid((char *) lfirst(cell));

		if (vdb_catalog_table(table) != NULL)
			return table;
	}
	return InvalidOid;
}

/*
 * decide_sequence -- ALTER SEQUENCE of one that is divided between groups
 *
 * Where this group begins again is its own affair, as long as it stays within
 * its part, which PostgreSQL sees to.
 */
static void
decide_sequence(const AlterSeqStmt *alter, DdlDecision *decision)
{
	Oid			relid = table_of_sequence(alter->sequence);
	ListCell   *cell;
	bool		own = false;

	if (!OidIsValid(relid))
		return;
	foreach(cell, alter->options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, "minvalue") == 0 ||
			strcmp(option->defname, "maxvalue") == 0 ||
			strcmp(option->defname, "as") == 0)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("sequence \"%s\" is divided between groups, and its bounds cannot be changed",
							alter->sequence->relname),
					 errhint("Call vecdb.undistribute_table('%s') first.",
							 get_rel_name(relid))));
		if ((strcmp(option->defname, "restart") == 0 ||
			 strcmp(option->defname, "start") == 0) && option->arg != NULL)
			own = true;
	}
	if (!own)
		decision->plan = DDL_SHARED;
}

static void
decide_reindex(const ReindexStmt *reindex, DdlDecision *decision)
{
	ListCell   *cell;

	if (reindex->relation == NULL)
		return;
	share(decision, reindex->relation);
	decision->slow = true;
	foreach(cell, reindex->params)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (decision->plan == DDL_SHARED &&
			strcmp(option->defname, "concurrently") == 0 &&
			defGetBoolean(option))
			decision->plan = DDL_OUTSIDE;
	}
}

/*
 * decide_vacuum -- VACUUM and ANALYZE of tables that are named
 *
 * Without names they mean the tables of this node, and each node has its own
 * autovacuum.
 */
static void
decide_vacuum(const VacuumStmt *vacuum, DdlDecision *decision)
{
	ListCell   *cell;

	foreach(cell, vacuum->rels)
	{
		VacuumRelation *relation = lfirst_node(VacuumRelation, cell);

		if (relation->relation != NULL)
			share(decision, relation->relation);
	}
	if (decision->plan != DDL_SHARED)
		return;
	if (list_length(decision->tables) != list_length(vacuum->rels))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("shared and ordinary tables cannot be vacuumed or analyzed by one statement"),
				 errhint("Use one statement for the tables that are shared by the cluster, and another one for those of this node.")));
	decision->plan = DDL_OUTSIDE;
}

static void
decide_copy(const CopyStmt *copy, DdlDecision *decision)
{
	Oid			relid = ddl_shared_table(copy->relation);

	if (!OidIsValid(relid))
		return;
	if (copy->is_from)
		decision->plan = DDL_COPY_FROM;
	else if (vdb_catalog_table(relid)->kind == VDB_TABLE_DISTRIBUTED)
		decision->plan = DDL_COPY_TO;
}

/*
 * decide_extension -- all but our own, which add_group() creates
 */
static void
decide_extension(const char *name, DdlDecision *decision)
{
	if (strcmp(name, "vecdb") != 0)
		share_object(decision, OBJECT_EXTENSION);
}
