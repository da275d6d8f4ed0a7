/*-------------------------------------------------------------------------
 *
 * ddl_object.c
 *	  Statements on what is alike on all nodes: schemas, types, functions,
 *	  extensions, roles and the like.
 *
 * They are shared as long as vecdb.share_ddl is on.
 *
 * IDENTIFICATION
 *	  src/ddl/ddl_object.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"

#include "ddl_private.h"

static void decide_schema(const CreateSchemaStmt *create,
						  DdlDecision *decision);
static void decide_extension(const char *name, DdlDecision *decision);
static void decide_contents(const AlterExtensionContentsStmt *alter,
							DdlDecision *decision);

void
ddl_decide_object(Node *parse, DdlDecision *decision)
{
	switch (nodeTag(parse))
	{
		case T_CreateSchemaStmt:
			decide_schema((CreateSchemaStmt *) parse, decision);
			break;
		case T_CreateEnumStmt:
			if (!ddl_is_temporary(((CreateEnumStmt *) parse)->typeName))
				ddl_share_object(decision, OBJECT_TYPE);
			break;
		case T_CompositeTypeStmt:
			if (((CompositeTypeStmt *) parse)->typevar->relpersistence !=
				RELPERSISTENCE_TEMP)
				ddl_share_object(decision, OBJECT_TYPE);
			break;
		case T_CreateRangeStmt:
			if (!ddl_is_temporary(((CreateRangeStmt *) parse)->typeName))
				ddl_share_object(decision, OBJECT_TYPE);
			break;
		case T_CreateDomainStmt:
			if (!ddl_is_temporary(((CreateDomainStmt *) parse)->domainname))
				ddl_share_object(decision, OBJECT_DOMAIN);
			break;
		case T_DefineStmt:
			if (!ddl_is_temporary(((DefineStmt *) parse)->defnames))
				ddl_share_object(decision, ((DefineStmt *) parse)->kind);
			break;
		case T_CreateFunctionStmt:
			if (!ddl_is_temporary(((CreateFunctionStmt *) parse)->funcname))
				ddl_share_object(decision, OBJECT_FUNCTION);
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
		case T_AlterCollationStmt:
		case T_CreateConversionStmt:
		case T_CreateTransformStmt:
		case T_CreatePLangStmt:
		case T_CreateAmStmt:
			ddl_share_object(decision, OBJECT_TYPE);
			break;
		case T_CreateExtensionStmt:
			decide_extension(((CreateExtensionStmt *) parse)->extname,
							 decision);
			break;
		case T_AlterExtensionStmt:
			decide_extension(((AlterExtensionStmt *) parse)->extname,
							 decision);
			break;
		case T_AlterExtensionContentsStmt:
			decide_contents((AlterExtensionContentsStmt *) parse, decision);
			break;
		case T_CreateRoleStmt:
		case T_AlterRoleStmt:
		case T_AlterRoleSetStmt:
		case T_DropRoleStmt:
		case T_GrantRoleStmt:
			ddl_share_object(decision, OBJECT_ROLE);
			break;
		case T_DropOwnedStmt:
		case T_ReassignOwnedStmt:
			ddl_refuse_alone(DROP_CASCADE);
			ddl_share_object(decision, OBJECT_ROLE);
			decision->drops = true;
			break;
		default:
			break;
	}
}

/*
 * decide_schema -- its tables would be ordinary ones of each node
 */
static void
decide_schema(const CreateSchemaStmt *create, DdlDecision *decision)
{
	ddl_share_object(decision, OBJECT_SCHEMA);
	if (decision->plan == DDL_SHARED && create->schemaElts != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a schema cannot be created together with its tables in a cluster"),
				 errhint("Create the schema first, which is done on all nodes, and then the tables.")));
}

void
ddl_share_object(DdlDecision *decision, ObjectType type)
{
	if (ddl_share && ddl_is_shared_kind(type))
		decision->plan = DDL_SHARED;
}

void
ddl_refuse_alone(DropBehavior behavior)
{
	if (!ddl_share && behavior == DROP_CASCADE && vdb_catalog_has_tables())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("what may change shared tables cannot be done on one node of a cluster only"),
				 errhint("Set vecdb.share_ddl to on, or drop without CASCADE.")));
}

bool
ddl_is_shared_kind(ObjectType type)
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
		case OBJECT_TSPARSER:
		case OBJECT_TSTEMPLATE:
		case OBJECT_CONVERSION:
		case OBJECT_TRANSFORM:
		case OBJECT_LANGUAGE:
		case OBJECT_ACCESS_METHOD:
		case OBJECT_EXTENSION:
		case OBJECT_ROLE:
			return true;
		default:
			return false;
	}
}

/*
 * decide_extension -- all but our own, which add_group() creates
 */
static void
decide_extension(const char *name, DdlDecision *decision)
{
	if (strcmp(name, "vecdb") != 0)
		ddl_share_object(decision, OBJECT_EXTENSION);
}

/*
 * decide_contents -- ALTER EXTENSION ... ADD and DROP
 *
 * Relations of an extension are not shared.
 */
static void
decide_contents(const AlterExtensionContentsStmt *alter,
				DdlDecision *decision)
{
	Oid			relid;

	switch (alter->objtype)
	{
		case OBJECT_TABLE:
		case OBJECT_SEQUENCE:
			relid = ddl_shared_table(makeRangeVarFromNameList(castNode(List,
																	   alter->object)),
									 decision);
			if (OidIsValid(relid))
				ddl_refuse("belong to an extension", relid,
						   "Call vecdb.undistribute_table() first.");
			break;
		default:
			ddl_share_object(decision, alter->objtype);
			break;
	}
}
