/*-------------------------------------------------------------------------
 *
 * planner_insert.c
 *	  INSERT: the plan of its rows, and the shard statement for one of them.
 *
 * Rows are computed here, whatever they come from: VALUES, SELECT, defaults,
 * sequences.  The shard statement is INSERT ... VALUES with a parameter for
 * each column, and what the statement says ON CONFLICT.  Its text is the same
 * for all rows, so it is prepared once, also for clients that write values
 * into their statements.
 *
 * IDENTIFICATION
 *	  src/planner/planner_insert.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/table.h"
#include "catalog/index.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "planner_private.h"

static void make_shard_insert(PlannerWrite *write, Query *query,
							  Relation rel);
static void find_keys(PlannerWrite *write, const VdbTable *table);
static bool reads_tables(Query *source);
static bool has_key_column(const VdbTable *table, AttrNumber key,
						   OnConflictExpr *conflict);

/*
 * planner_insert -- source, shard statement and target of an INSERT
 */
void
planner_insert(PlannerWrite *write, Query *query)
{
	const VdbTable *table;
	Relation	rel = table_open(write->plan.relid, NoLock);
	Query	   *source = copyObject(query);

	make_shard_insert(write, query, rel);
	table_close(rel, NoLock);

	planner_clear_source(source);
	write->source = source;
	/* there may be more values, that ON CONFLICT needs */
	write->plan.row_params = list_length(write->columns);
	write->plan.materialise = reads_tables(source);
	write->plan.together = query->onConflict &&
		query->onConflict->action == ONCONFLICT_UPDATE;

	table = vdb_catalog_table(write->plan.relid);
	if (table->kind == VDB_TABLE_REFERENCE)
		write->plan.target = VDB_WRITE_EVERYWHERE;
	else
	{
		write->plan.target = VDB_WRITE_BY_KEY;
		find_keys(write, table);
	}
}

/*
 * INSERT INTO table (columns) VALUES (parameters) ON CONFLICT ...
 *
 * What ON CONFLICT reads besides the row has to be the same in all groups, or
 * computed beforehand.
 */
static void
make_shard_insert(PlannerWrite *write, Query *query, Relation rel)
{
	Query	   *shard = copyObject(query);
	bool		identity = false;
	List	   *tables = NIL;
	const char *reason;
	ListCell   *cell;

	shard->targetList = NIL;
	foreach(cell, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);
		Param	   *value;

		if (entry->resjunk)
			continue;
		value = planner_make_value(&write->values, entry->expr);
		shard->targetList =
			lappend(shard->targetList,
					makeTargetEntry((Expr *) value, entry->resno,
									entry->resname, false));
		write->columns = lappend_int(write->columns, entry->resno);
		if (TupleDescAttr(RelationGetDescr(rel), entry->resno - 1)->attidentity)
			identity = true;
	}
	/* whether the client may set identity columns was decided already */
	shard->override = identity ? OVERRIDING_SYSTEM_VALUE : OVERRIDING_NOT_SET;
	shard->withCheckOptions = NIL;
	shard->cteList = NIL;
	shard->jointree = makeFromExpr(NIL, NULL);
	foreach(cell, shard->rtable)
	{
		int			index = foreach_current_index(cell) + 1;

		if (index != shard->resultRelation &&
			!(shard->onConflict &&
			  shard->onConflict->exclRelIndex == index))
			lfirst(cell) = planner_make_empty_entry();
	}
	shard->returningList = NIL;
	write->shard = planner_make_local(shard, &write->values, &tables, &reason);
	if (write->shard == NULL)
		elog(ERROR, "an INSERT of values reads tables: %s", reason);
}

/* Which columns of a row are its distribution key. */
static void
find_keys(PlannerWrite *write, const VdbTable *table)
{
	for (int i = 0; i < table->key_count; i++)
	{
		int			place = 0;
		ListCell   *cell;

		foreach(cell, write->columns)
		{
			if (lfirst_int(cell) == table->keys[i])
				place = foreach_current_index(cell) + 1;
		}
		/* not given and without a default: null */
		if (place == 0)
			ereport(ERROR,
					(errcode(ERRCODE_NOT_NULL_VIOLATION),
					 errmsg("null value in column \"%s\" of relation \"%s\" violates not-null constraint",
							get_attname(table->relid, table->keys[i], false),
							get_rel_name(table->relid)),
					 errdetail("The column is in the distribution key, which decides where the row is stored.")));
		write->plan.keys = lappend_int(write->plan.keys, place);
	}
}

/*
 * Does the source read tables?  Then it is read to its end before the first row
 * is written, so that no part of it sees those rows.
 */
static bool
reads_tables(Query *source)
{
	List	   *from = source->jointree->fromlist;

	if (source->hasSubLinks || source->cteList || list_length(from) > 1)
		return true;
	if (from == NIL)
		return false;
	return !IsA(linitial(from), RangeTblRef) ||
		rt_fetch(linitial_node(RangeTblRef, from)->rtindex,
				 source->rtable)->rtekind != RTE_VALUES;
}

/*
 * planner_check_conflict -- can each group find the conflicts by itself?
 *
 * A group sees its own rows only, so what must be unique has to contain the
 * distribution key.
 */
void
planner_check_conflict(const VdbTable *table, Query *query)
{
	OnConflictExpr *conflict = query->onConflict;

	if (conflict->action == ONCONFLICT_UPDATE)
		planner_check_keys_kept(table, conflict->onConflictSet,
								query->resultRelation,
								conflict->exclRelIndex);
	if (conflict->arbiterElems == NIL && !OidIsValid(conflict->constraint))
		return;
	for (int i = 0; i < table->key_count; i++)
	{
		if (!has_key_column(table, table->keys[i], conflict))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
					 errmsg("there is no unique or exclusion constraint matching the ON CONFLICT specification"),
					 errdetail("What is unique in distributed table \"%s\" includes column \"%s\", which is in its distribution key.",
							   get_rel_name(table->relid),
							   get_attname(table->relid, table->keys[i],
										   false)),
					 errhint("Name the distribution key, too, or leave the columns out and use DO NOTHING.")));
	}
}

/* Is a column of the key among those that a conflict is found by? */
static bool
has_key_column(const VdbTable *table, AttrNumber key, OnConflictExpr *conflict)
{
	ListCell   *cell;
	bool		found = false;

	foreach(cell, conflict->arbiterElems)
	{
		Var		   *var = (Var *) lfirst_node(InferenceElem, cell)->expr;

		if (IsA(var, Var) && var->varattno == key)
			found = true;
	}
	if (OidIsValid(conflict->constraint))
	{
		Relation	index = relation_open(get_constraint_index(conflict->constraint),
										  AccessShareLock);

		for (int i = 0; i < IndexRelationGetNumberOfKeyAttributes(index); i++)
		{
			if (index->rd_index->indkey.values[i] == key)
				found = true;
		}
		relation_close(index, AccessShareLock);
	}
	return found;
}
