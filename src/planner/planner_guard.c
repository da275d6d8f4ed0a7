/*-------------------------------------------------------------------------
 *
 * planner_guard.c
 *	  Rows that are written by plans of this node alone have to be its own.
 *
 * Which group a row is for was decided before the statement came here, or by
 * nobody, where a trigger or function writes in local mode.  So each row is
 * looked at once more, as CHECK OPTION of views does, if something may have
 * given it another key:
 *
 * - a trigger or function that writes a distributed table in local mode;
 * - a trigger of the table itself, BEFORE INSERT or UPDATE.
 *
 * IDENTIFICATION
 *	  src/planner/planner_guard.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "parser/parse_func.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "planner_private.h"

static bool may_change_keys(Oid relid);
static WithCheckOption *make_check(const VdbTable *table, int target);

/*
 * planner_guard -- the statement, with a check of its rows if they need one
 *
 * For statements that are planned as if all tables were ordinary ones.  Nested:
 * a trigger or function executes it, in local mode.
 */
Query *
planner_guard(Query *query, bool nested)
{
	const VdbTable *table = query->resultRelation == 0 ? NULL :
	vdb_catalog_table(rt_fetch(query->resultRelation, query->rtable)->relid);

	if (nested)
		planner_check_keys(query, table);
	if (nested && table && table->kind == VDB_TABLE_REFERENCE)
		planner_check_nested_copies(query, table);
	if (table == NULL || table->kind != VDB_TABLE_DISTRIBUTED ||
		query->commandType == CMD_DELETE)
		return query;
	if (!nested && !may_change_keys(table->relid))
		return query;
	query = copyObject(query);
	query->withCheckOptions = lappend(query->withCheckOptions,
									  make_check(table,
												 query->resultRelation));
	return query;
}

/* Has a table triggers that may change a row before it is written? */
static bool
may_change_keys(Oid relid)
{
	Relation	rel = table_open(relid, NoLock);
	bool		result = rel->trigdesc &&
	(rel->trigdesc->trig_insert_before_row ||
	 rel->trigdesc->trig_update_before_row);

	table_close(rel, NoLock);
	return result;
}

/* vecdb.check_group(table, key, ...) of the row that is written */
static WithCheckOption *
make_check(const VdbTable *table, int target)
{
	WithCheckOption *check = makeNode(WithCheckOption);
	Oid			function =
	LookupFuncName(list_make2(makeString("vecdb"), makeString("check_group")),
				   -1, NULL, false);
	List	   *args = list_make1(makeConst(REGCLASSOID, -1, InvalidOid,
											sizeof(Oid),
											ObjectIdGetDatum(table->relid),
											false, true));

	for (int i = 0; i < table->key_count; i++)
		args = lappend(args, planner_make_column(table->relid, target,
												 table->keys[i]));
	check->kind = WCO_VIEW_CHECK;
	check->relname = get_rel_name(table->relid);
	check->qual = (Node *) makeFuncExpr(function, BOOLOID, args, InvalidOid,
										InvalidOid, COERCE_EXPLICIT_CALL);
	return check;
}
