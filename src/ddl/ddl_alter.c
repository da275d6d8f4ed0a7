/*-------------------------------------------------------------------------
 *
 * ddl_alter.c
 *	  ALTER TABLE and ALTER INDEX of shared tables: what is done everywhere,
 *	  and what is refused.
 *
 * What constraints are declared is not looked at here but when they are in
 * the catalogs (ddl_check.c), and so is what happens to columns of the
 * distribution key (ddl_hook.c).
 *
 * IDENTIFICATION
 *	  src/ddl/ddl_alter.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "commands/tablecmds.h"
#include "nodes/parsenodes.h"
#include "nodes/value.h"
#include "utils/lsyscache.h"

#include "ddl_private.h"

static void check_command(const AlterTableCmd *command, Oid relid);
static void check_identity(const AlterTableCmd *command, Oid relid);
static void check_new_column(const ColumnDef *column, Oid relid);
static bool is_serial(const ColumnDef *column);
static bool is_constant(const Node *expression);
static void check_ordinary_command(const AlterTableCmd *command,
								   const RangeVar *table,
								   DdlDecision *decision);

/*
 * ddl_decide_alter -- see ddl_private.h
 */
void
ddl_decide_alter(AlterTableStmt *alter, DdlDecision *decision)
{
	Oid			relid = ddl_shared_table(alter->relation, decision);
	ListCell   *cell;

	if (!OidIsValid(relid))
	{
		if (alter->objtype != OBJECT_TABLE)
			return;
		foreach(cell, alter->cmds)
			check_ordinary_command(lfirst_node(AlterTableCmd, cell),
								   alter->relation, decision);
		decision->plan = DDL_CHECKED;
		return;
	}
	foreach(cell, alter->cmds)
		check_command(lfirst_node(AlterTableCmd, cell), relid);
	decision->plan = DDL_SHARED;
	decision->tables = list_make1_oid(relid);
	decision->lock = AlterTableGetLockLevel(alter->cmds);
}

/*
 * check_ordinary_command -- an ordinary table may take in a shared one, or
 * reference it
 */
static void
check_ordinary_command(const AlterTableCmd *command, const RangeVar *table,
					   DdlDecision *decision)
{
	Oid			relid = InvalidOid;

	if (command->subtype == AT_AttachPartition)
		relid = ddl_shared_table(castNode(PartitionCmd, command->def)->name,
								 decision);
	else if (command->subtype == AT_AddInherit)
		relid = ddl_shared_table(castNode(RangeVar, command->def), decision);
	else if (command->subtype == AT_AddConstraint)
	{
		Oid			from = RangeVarGetRelid(table, NoLock, true);

		if (OidIsValid(from))
			ddl_check_constraint(from, castNode(Constraint, command->def));
	}
	if (OidIsValid(relid))
		ddl_refuse("have children or be a partition", relid,
				   DDL_NO_CHILDREN);
}

/*
 * check_command -- an ERROR unless it can be done in each group alike
 */
static void
check_command(const AlterTableCmd *command, Oid relid)
{
	switch (command->subtype)
	{
		case AT_AddColumn:
			check_new_column(castNode(ColumnDef, command->def), relid);
			break;
		case AT_AddIdentity:
			ddl_refuse("get an identity column", relid,
					   "Call vecdb.undistribute_table(), add it, and distribute the table again: then each group gets a range of its own.");
			break;
		case AT_AddConstraint:
			ddl_check_constraint(relid, castNode(Constraint, command->def));
			break;
		case AT_ColumnDefault:
		case AT_DropNotNull:
		case AT_SetNotNull:
		case AT_DropExpression:
		case AT_SetStatistics:
		case AT_SetOptions:
		case AT_ResetOptions:
		case AT_SetStorage:
		case AT_SetCompression:
		case AT_DropColumn:
		case AT_AddIndex:
		case AT_AlterConstraint:
		case AT_ValidateConstraint:
		case AT_AddIndexConstraint:
		case AT_DropConstraint:
		case AT_AlterColumnType:
		case AT_ChangeOwner:
		case AT_ClusterOn:
		case AT_DropCluster:
		case AT_SetLogged:
		case AT_SetUnLogged:
		case AT_SetAccessMethod:
		case AT_SetTableSpace:
		case AT_SetRelOptions:
		case AT_ResetRelOptions:
		case AT_EnableTrig:
		case AT_EnableAlwaysTrig:
		case AT_EnableReplicaTrig:
		case AT_DisableTrig:
		case AT_EnableTrigAll:
		case AT_DisableTrigAll:
		case AT_EnableTrigUser:
		case AT_DisableTrigUser:
		case AT_ReplicaIdentity:
		case AT_EnableRowSecurity:
		case AT_DisableRowSecurity:
		case AT_ForceRowSecurity:
		case AT_NoForceRowSecurity:
		case AT_DropIdentity:
			break;
		case AT_SetIdentity:
			check_identity(command, relid);
			break;
		case AT_AttachPartition:
		case AT_DetachPartition:
		case AT_DetachPartitionFinalize:
		case AT_AddInherit:
		case AT_DropInherit:
			ddl_refuse("have partitions, children or parents", relid,
					   DDL_NO_CHILDREN);
			break;
		default:
			if (vdb_is_set_expression(command->subtype))
				break;
			ddl_refuse("be altered in this way", relid,
					   "Call vecdb.undistribute_table(), alter it, and distribute the table again.");
			break;
	}
}

/*
 * check_identity -- of an identity column only "generated" may be changed
 *
 * All else is said of its sequence, of which each group has a part.
 */
static void
check_identity(const AlterTableCmd *command, Oid relid)
{
	ListCell   *cell;

	foreach(cell, castNode(List, command->def))
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, "generated") != 0)
			ddl_refuse("change the sequence of an identity column", relid,
					   "Use ALTER SEQUENCE, with the name that pg_get_serial_sequence() returns.");
	}
}

/*
 * check_new_column -- what existing rows get must not differ between copies
 *
 * Groups would number rows of their own from the same start; and copies of a
 * row of a reference table would get different random numbers or times.
 */
static void
check_new_column(const ColumnDef *column, Oid relid)
{
	ListCell   *cell;

	if (is_serial(column))
		ddl_refuse("get a serial column", relid,
				   "Add an integer column, or call vecdb.undistribute_table(), add the column, and distribute the table again.");
	foreach(cell, column->constraints)
	{
		Constraint *constraint = lfirst_node(Constraint, cell);

		if (constraint->contype == CONSTR_IDENTITY)
			ddl_refuse("get an identity column", relid,
					   "Call vecdb.undistribute_table(), add it, and distribute the table again: then each group gets a range of its own.");
		if (constraint->contype == CONSTR_DEFAULT &&
			vdb_catalog_table(relid)->kind == VDB_TABLE_REFERENCE &&
			!is_constant(constraint->raw_expr))
			ddl_refuse("get a column whose default is not a constant", relid,
					   "Add the column without a default, UPDATE the rows, and then set the default.");
	}
}

static bool
is_serial(const ColumnDef *column)
{
	static const char *const names[] = {
		"smallserial", "serial2", "serial", "serial4", "bigserial", "serial8"
	};

	if (column->typeName == NULL || list_length(column->typeName->names) != 1)
		return false;
	for (int i = 0; i < lengthof(names); i++)
	{
		if (strcmp(strVal(linitial(column->typeName->names)), names[i]) == 0)
			return true;
	}
	return false;
}

static bool
is_constant(const Node *expression)
{
	while (expression != NULL && IsA(expression, TypeCast))
		expression = ((const TypeCast *) expression)->arg;
	return expression == NULL || IsA(expression, A_Const);
}
