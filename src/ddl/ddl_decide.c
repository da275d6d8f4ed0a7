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

/* What to do where shared and ordinary tables are named together */
#define ONE_STATEMENT_EACH \
	"Use one statement for the tables that are shared by the cluster, and another one for those of this node."

static void decide_index(const IndexStmt *index, DdlDecision *decision);
static void decide_create(const CreateStmt *create, DdlDecision *decision);
static void decide_rename(const RenameStmt *rename, DdlDecision *decision);
static void decide_drop(const DropStmt *drop, DdlDecision *decision);
static void decide_drop_relations(const DropStmt *drop, const char *kind,
								  DdlDecision *decision);
static void decide_drop_statistics(const DropStmt *drop,
								   DdlDecision *decision);
static void decide_truncate(const TruncateStmt *truncate,
							DdlDecision *decision);
static void decide_lock(const LockStmt *lock, DdlDecision *decision);
static void decide_comment(const CommentStmt *comment, DdlDecision *decision);
static void decide_grant(const GrantStmt *grant, DdlDecision *decision);
static void decide_sequence(const AlterSeqStmt *alter, DdlDecision *decision);
static void refuse_owner(List *options, DdlDecision *decision);
static void decide_reindex(const ReindexStmt *reindex, DdlDecision *decision);
static void decide_vacuum(const VacuumStmt *vacuum, DdlDecision *decision);
static void decide_copy(const CopyStmt *copy, DdlDecision *decision);
static void decide_rest(Node *parse, DdlDecision *decision);
static void share_one(DdlDecision *decision, const RangeVar *relation,
					  ObjectType type, Node *object);

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
				ddl_share_object(&decision, OBJECT_TYPE);
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
			decide_rest(parse, &decision);
			break;
	}
	return decision;
}

/*
 * decide_rest -- statements that need no more than a line or two
 */
static void
decide_rest(Node *parse, DdlDecision *decision)
{
	switch (nodeTag(parse))
	{
		case T_CreateTrigStmt:
			ddl_share_name(decision, ((CreateTrigStmt *) parse)->relation);
			decision->lock = ShareRowExclusiveLock;
			break;
		case T_CreatePolicyStmt:
			ddl_share_name(decision, ((CreatePolicyStmt *) parse)->table);
			break;
		case T_AlterPolicyStmt:
			ddl_share_name(decision, ((AlterPolicyStmt *) parse)->table);
			break;
		case T_ClusterStmt:
			if (((ClusterStmt *) parse)->relation != NULL)
				ddl_share_name(decision, ((ClusterStmt *) parse)->relation);
			decision->slow = true;
			break;
		case T_CreateStatsStmt:
			{
				List	   *relations = ((CreateStatsStmt *) parse)->relations;

				decision->lock = ShareUpdateExclusiveLock;
				if (relations != NIL && IsA(linitial(relations), RangeVar))
					ddl_share_name(decision, linitial(relations));
				break;
			}
		case T_RuleStmt:
			{
				Oid			relid = ddl_shared_table(((RuleStmt *) parse)->relation,
													 decision);

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
					makeRangeVarFromNameList(name) : ddl_parent_name(name);

					Oid			relid = ddl_shared_table(table, decision);

					if (OidIsValid(relid))
						ddl_refuse("have security labels", relid,
								   "Call vecdb.undistribute_table() first.");
				}
				break;
			}
		case T_AlterObjectSchemaStmt:
			{
				AlterObjectSchemaStmt *alter = (AlterObjectSchemaStmt *) parse;

				share_one(decision, alter->relation, alter->objectType,
						  alter->object);
				break;
			}
		case T_AlterObjectDependsStmt:
			{
				AlterObjectDependsStmt *alter = (AlterObjectDependsStmt *) parse;

				share_one(decision, alter->relation, alter->objectType,
						  alter->object);
				break;
			}
		case T_AlterOwnerStmt:
			{
				AlterOwnerStmt *alter = (AlterOwnerStmt *) parse;

				share_one(decision, NULL, alter->objectType, alter->object);
				break;
			}
		case T_AlterStatsStmt:
			(void) ddl_share_statistics(decision,
										((AlterStatsStmt *) parse)->defnames);
			break;
		case T_CreateSeqStmt:
			refuse_owner(((CreateSeqStmt *) parse)->options, decision);
			break;
		default:
			ddl_decide_object(parse, decision);
			break;
	}
}

/*
 * share_one -- the statement is about a relation, a statistics object, or
 * something that may be alike on all nodes
 */
static void
share_one(DdlDecision *decision, const RangeVar *relation, ObjectType type,
		  Node *object)
{
	if (relation != NULL)
		ddl_share_name(decision, relation);
	else if (type == OBJECT_STATISTIC_EXT)
		(void) ddl_share_statistics(decision, castNode(List, object));
	else
		ddl_share_object(decision, type);
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

static void
decide_index(const IndexStmt *index, DdlDecision *decision)
{
	ddl_share_name(decision, index->relation);
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
		Oid			relid = ddl_shared_table(lfirst_node(RangeVar, cell),
											 decision);

		if (OidIsValid(relid))
			ddl_refuse("be inherited from", relid, DDL_NO_CHILDREN);
	}
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
		decision->tables = ddl_tables_of_schema(rename->subname);
	share_one(decision, rename->renameType == OBJECT_ATTRIBUTE ? NULL :
			  rename->relation, rename->renameType, rename->object);
	if (decision->tables != NIL)
		decision->plan = DDL_SHARED;
}

static void
decide_drop(const DropStmt *drop, DdlDecision *decision)
{
	ListCell   *cell;

	switch (drop->removeType)
	{
		case OBJECT_TABLE:
			decide_drop_relations(drop, "TABLE", decision);
			break;
		case OBJECT_INDEX:
			decide_drop_relations(drop, "INDEX", decision);
			break;
		case OBJECT_SEQUENCE:
			decide_drop_relations(drop, "SEQUENCE", decision);
			break;
		case OBJECT_STATISTIC_EXT:
			decide_drop_statistics(drop, decision);
			break;
		case OBJECT_TRIGGER:
		case OBJECT_POLICY:
			foreach(cell, drop->objects)
				ddl_share_name(decision, ddl_parent_name(lfirst_node(List, cell)));
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
			ddl_refuse_alone(drop->behavior);
			ddl_share_object(decision, OBJECT_EXTENSION);
			decision->drops = true;
			break;
		default:
			if (ddl_is_shared_kind(drop->removeType))
				ddl_refuse_alone(drop->behavior);
			ddl_share_object(decision, drop->removeType);
			decision->drops = decision->plan == DDL_SHARED;
			break;
	}
}

/*
 * decide_drop_relations -- tables, indexes or sequences; other groups drop
 * theirs
 */
static void
decide_drop_relations(const DropStmt *drop, const char *kind,
					  DdlDecision *decision)
{
	StringInfoData text;

	initStringInfo(&text);
	if (ddl_share_among(decision, drop->objects, &text) == 0)
		return;
	if (drop->concurrent)
		decision->plan = DDL_OUTSIDE;
	decision->drops = drop->removeType == OBJECT_TABLE;
	decision->sql = psprintf("DROP %s%s %s%s%s", kind,
							 drop->concurrent ? " CONCURRENTLY" : "",
							 drop->missing_ok ? "IF EXISTS " : "", text.data,
							 drop->behavior == DROP_CASCADE ? " CASCADE" : "");
}

/*
 * decide_drop_statistics -- of shared tables, or of ordinary ones
 */
static void
decide_drop_statistics(const DropStmt *drop, DdlDecision *decision)
{
	ListCell   *cell;
	int			count = 0;

	foreach(cell, drop->objects)
		count += ddl_share_statistics(decision, lfirst_node(List, cell));
	if (count > 0 && count < list_length(drop->objects))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("statistics objects of shared and of ordinary tables cannot be dropped by one statement"),
				 errhint(ONE_STATEMENT_EACH)));
}

static void
decide_truncate(const TruncateStmt *truncate, DdlDecision *decision)
{
	StringInfoData text;

	initStringInfo(&text);
	if (ddl_share_among(decision, truncate->relations, &text) == 0)
		return;
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
	if (ddl_share_among(decision, lock->relations, &text) == 0)
		return;
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
		case OBJECT_SEQUENCE:
			ddl_share_name(decision,
						   makeRangeVarFromNameList(castNode(List, comment->object)));
			break;
		case OBJECT_COLUMN:
		case OBJECT_TABCONSTRAINT:
		case OBJECT_TRIGGER:
		case OBJECT_POLICY:
			ddl_share_name(decision, ddl_parent_name(castNode(List, comment->object)));
			break;
		case OBJECT_STATISTIC_EXT:
			(void) ddl_share_statistics(decision,
										castNode(List, comment->object));
			break;
		default:
			ddl_share_object(decision, comment->objtype);
			break;
	}
}

/*
 * decide_grant -- on shared tables and their sequences, on all tables or
 * sequences of a schema, or on what is alike on all nodes
 */
static void
decide_grant(const GrantStmt *grant, DdlDecision *decision)
{
	StringInfoData text;
	int			count;

	decision->lock = NoLock;
	if (grant->objtype != OBJECT_TABLE && grant->objtype != OBJECT_SEQUENCE)
	{
		ddl_share_object(decision, grant->objtype);
		return;
	}
	if (grant->targtype != ACL_TARGET_OBJECT)
	{
		if (vdb_catalog_has_tables())
			decision->plan = DDL_SHARED;
		return;
	}
	initStringInfo(&text);
	count = ddl_share_among(decision, grant->objects, &text);
	if (count > 0 && count < list_length(grant->objects))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("privileges on shared and on ordinary tables cannot be changed by one statement"),
				 errhint(ONE_STATEMENT_EACH)));
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
	Oid			relid = ddl_shared_table(alter->sequence, decision);
	ListCell   *cell;
	int			own = 0;

	if (!OidIsValid(relid))
	{
		refuse_owner(alter->options, decision);
		return;
	}
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
			own++;
	}
	if (own > 0 && own < list_length(alter->options))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("sequence \"%s\" is divided between groups, and cannot be told where to start and something else by one statement",
						alter->sequence->relname),
				 errhint("Use one statement for START WITH and RESTART WITH, which concern this group, and another one for what concerns all of them.")));
	if (own == 0)
		decision->plan = DDL_SHARED;
}

/*
 * refuse_owner -- an ERROR if a sequence of this node would belong to a column
 * of a shared table
 */
static void
refuse_owner(List *options, DdlDecision *decision)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);
		List	   *names;
		Oid			relid;

		if (strcmp(option->defname, "owned_by") != 0)
			continue;
		names = defGetQualifiedName(option);
		if (list_length(names) < 2)
			continue;			/* NONE */
		relid = ddl_shared_table(ddl_parent_name(names), decision);
		if (OidIsValid(relid))
			ddl_refuse("own a sequence that is not divided between groups",
					   relid, DDL_FIRST_ALONE);
	}
}

static void
decide_reindex(const ReindexStmt *reindex, DdlDecision *decision)
{
	ListCell   *cell;

	if (reindex->relation == NULL)
		return;
	ddl_share_name(decision, reindex->relation);
	decision->ordinary = NIL;	/* it would do no harm */
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
	int			count = 0;

	foreach(cell, vacuum->rels)
	{
		VacuumRelation *relation = lfirst_node(VacuumRelation, cell);
		Oid			relid = ddl_shared_table(relation->relation, decision);

		if (!OidIsValid(relid))
			continue;
		decision->tables = list_append_unique_oid(decision->tables, relid);
		count++;
	}
	decision->ordinary = NIL;	/* it would do no harm */
	if (count == 0)
		return;
	if (count < list_length(vacuum->rels))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("shared and ordinary tables cannot be vacuumed or analyzed by one statement"),
				 errhint(ONE_STATEMENT_EACH)));
	decision->plan = DDL_OUTSIDE;
}

/*
 * decide_copy -- the table is locked (ddl_lock_named())
 */
static void
decide_copy(const CopyStmt *copy, DdlDecision *decision)
{
	Oid			relid = ddl_shared_table(copy->relation, decision);

	if (!OidIsValid(relid) ||
		RangeVarGetRelid(copy->relation, NoLock, true) != relid)
		return;
	if (copy->is_from)
		decision->plan = DDL_COPY_FROM;
	else if (vdb_catalog_table(relid)->kind == VDB_TABLE_DISTRIBUTED)
		decision->plan = DDL_COPY_TO;
}
