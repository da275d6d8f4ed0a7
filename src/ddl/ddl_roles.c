/*-------------------------------------------------------------------------
 *
 * ddl_roles.c
 *	  Roles in statements that go to other groups.
 *
 * CURRENT_USER and CURRENT_ROLE mean there what they mean here, because the
 * role travels with the statement.  SESSION_USER does not: there it is the
 * role that nodes log in with.  It is refused where a statement has it in place
 * of the name of a role; in expressions it is what it is.
 *
 * IDENTIFICATION
 *	  src/ddl/ddl_roles.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "ddl_private.h"

static bool names_session(const Node *node);
static bool names_session_in_list(const List *list);
static bool names_session_in_options(const List *options);

void
ddl_check_roles(const Node *parse)
{
	if (names_session(parse))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("SESSION_USER cannot stand for a role in a statement for all groups"),
				 errhint("Use CURRENT_USER, or the name of the role.")));
}

/*
 * names_session -- is a role of a statement said to be SESSION_USER?
 */
static bool
names_session(const Node *node)
{
	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_List:
			return names_session_in_list((const List *) node);
		case T_RoleSpec:
			return ((const RoleSpec *) node)->roletype == ROLESPEC_SESSION_USER;
		case T_AlterTableStmt:
			return names_session_in_list(((const AlterTableStmt *) node)->cmds);
		case T_AlterTableCmd:
			return names_session((Node *) ((const AlterTableCmd *) node)->newowner);
		case T_AlterOwnerStmt:
			return names_session((Node *) ((const AlterOwnerStmt *) node)->newowner);
		case T_GrantStmt:
			return names_session_in_list(((const GrantStmt *) node)->grantees) ||
				names_session((Node *) ((const GrantStmt *) node)->grantor);
		case T_GrantRoleStmt:
			return names_session_in_list(((const GrantRoleStmt *) node)->grantee_roles) ||
				names_session((Node *) ((const GrantRoleStmt *) node)->grantor);
		case T_CreatePolicyStmt:
			return names_session_in_list(((const CreatePolicyStmt *) node)->roles);
		case T_AlterPolicyStmt:
			return names_session_in_list(((const AlterPolicyStmt *) node)->roles);
		case T_CreateSchemaStmt:
			return names_session((Node *) ((const CreateSchemaStmt *) node)->authrole);
		case T_CreateRoleStmt:
			return names_session_in_options(((const CreateRoleStmt *) node)->options);
		case T_AlterRoleStmt:
			return names_session((Node *) ((const AlterRoleStmt *) node)->role) ||
				names_session_in_options(((const AlterRoleStmt *) node)->options);
		case T_AlterRoleSetStmt:
			return names_session((Node *) ((const AlterRoleSetStmt *) node)->role);
		case T_DropRoleStmt:
			return names_session_in_list(((const DropRoleStmt *) node)->roles);
		case T_DropOwnedStmt:
			return names_session_in_list(((const DropOwnedStmt *) node)->roles);
		case T_ReassignOwnedStmt:
			return names_session_in_list(((const ReassignOwnedStmt *) node)->roles) ||
				names_session((Node *) ((const ReassignOwnedStmt *) node)->newrole);
		case T_AlterDefaultPrivilegesStmt:
			return names_session_in_options(((const AlterDefaultPrivilegesStmt *) node)->options) ||
				names_session((Node *) ((const AlterDefaultPrivilegesStmt *) node)->action);
		default:
			return false;
	}
}

static bool
names_session_in_list(const List *list)
{
	ListCell   *cell;

	foreach(cell, list)
	{
		if (names_session(lfirst(cell)))
			return true;
	}
	return false;
}

/*
 * names_session_in_options -- the same for options, some of which are lists of
 * roles
 */
static bool
names_session_in_options(const List *options)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		if (names_session(lfirst_node(DefElem, cell)->arg))
			return true;
	}
	return false;
}
