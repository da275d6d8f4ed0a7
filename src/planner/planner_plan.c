/*-------------------------------------------------------------------------
 *
 * planner_plan.c
 *	  A VdbPlan or VdbWritePlan as a list of nodes, and back.
 *
 * What a plan node carries has to survive copyObject(), since plans are
 * cached.  So it is a list of lists and values, in the order of the fields.
 *
 * IDENTIFICATION
 *	  src/planner/planner_plan.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/value.h"

#include "planner_private.h"

/* Places in the list */
enum
{
	PLAN_NUMBERS,				/* integers: kind, command, ... */
	PLAN_SQL,					/* String */
	PLAN_GROUPS,				/* integers */
	PLAN_KEYS,					/* integers */
	PLAN_RELID,					/* OIDs: relid, role */
	PLAN_SORT_COLUMNS,			/* integers */
	PLAN_SORT_OPERATORS,		/* OIDs */
	PLAN_SORT_COLLATIONS,		/* OIDs */
	PLAN_SORT_NULLS_FIRST,		/* integers */
	PLAN_FIELDS
};

static Oid *read_oids(List *list);

/*
 * vdb_plan_write -- a plan as what custom_private takes
 *
 * Text and lists are shared with the plan, not copied.
 */
List *
vdb_plan_write(const VdbPlan *plan)
{
	List	   *numbers = NIL;
	List	   *columns = NIL;
	List	   *operators = NIL;
	List	   *collations = NIL;
	List	   *nulls_first = NIL;

	numbers = lappend_int(numbers, plan->kind);
	numbers = lappend_int(numbers, plan->command);
	numbers = lappend_int(numbers, plan->target);
	numbers = lappend_int(numbers, plan->writes);
	numbers = lappend_int(numbers, plan->param_count);
	numbers = lappend_int(numbers, plan->few_rows);
	numbers = lappend_int(numbers, plan->limit_param);

	for (int i = 0; i < plan->sort_count; i++)
	{
		columns = lappend_int(columns, plan->sort_columns[i]);
		operators = lappend_oid(operators, plan->sort_operators[i]);
		collations = lappend_oid(collations, plan->sort_collations[i]);
		nulls_first = lappend_int(nulls_first, plan->sort_nulls_first[i]);
	}

	return lcons(numbers,
				 lcons(makeString(plan->sql ? plan->sql : ""),
					   lcons(plan->groups,
							 lcons(plan->key_exprs,
								   list_make5(list_make2_oid(plan->relid, plan->role),
											  columns, operators, collations,
											  nulls_first)))));
}

/*
 * vdb_plan_read -- a plan from custom_private
 *
 * Shares text and lists with it.
 */
VdbPlan *
vdb_plan_read(List *custom_private)
{
	VdbPlan    *plan = (VdbPlan *) palloc0(sizeof(VdbPlan));
	List	   *numbers;
	List	   *columns;
	List	   *nulls_first;

	if (list_length(custom_private) != PLAN_FIELDS)
		elog(ERROR, "plan of a distributed statement has %d fields",
			 list_length(custom_private));

	numbers = (List *) list_nth(custom_private, PLAN_NUMBERS);
	plan->kind = (VdbPlanKind) list_nth_int(numbers, 0);
	plan->command = (CmdType) list_nth_int(numbers, 1);
	plan->target = (VdbTarget) list_nth_int(numbers, 2);
	plan->writes = list_nth_int(numbers, 3) != 0;
	plan->param_count = list_nth_int(numbers, 4);
	plan->few_rows = list_nth_int(numbers, 5) != 0;
	plan->limit_param = list_nth_int(numbers, 6);

	plan->sql = strVal(list_nth(custom_private, PLAN_SQL));
	plan->groups = (List *) list_nth(custom_private, PLAN_GROUPS);
	plan->key_exprs = (List *) list_nth(custom_private, PLAN_KEYS);
	plan->relid = linitial_oid((List *) list_nth(custom_private, PLAN_RELID));
	plan->role = lsecond_oid((List *) list_nth(custom_private, PLAN_RELID));

	columns = (List *) list_nth(custom_private, PLAN_SORT_COLUMNS);
	nulls_first = (List *) list_nth(custom_private, PLAN_SORT_NULLS_FIRST);
	plan->sort_count = list_length(columns);
	plan->sort_columns = palloc(plan->sort_count * sizeof(AttrNumber));
	plan->sort_nulls_first = palloc(plan->sort_count * sizeof(bool));
	for (int i = 0; i < plan->sort_count; i++)
	{
		plan->sort_columns[i] = (AttrNumber) list_nth_int(columns, i);
		plan->sort_nulls_first[i] = list_nth_int(nulls_first, i) != 0;
	}
	plan->sort_operators =
		read_oids((List *) list_nth(custom_private, PLAN_SORT_OPERATORS));
	plan->sort_collations =
		read_oids((List *) list_nth(custom_private, PLAN_SORT_COLLATIONS));

	return plan;
}

/* Return a list of OIDs as an array. */
static Oid *
read_oids(List *list)
{
	Oid		   *oids = palloc(list_length(list) * sizeof(Oid));

	for (int i = 0; i < list_length(list); i++)
		oids[i] = list_nth_oid(list, i);
	return oids;
}

/* vdb_write_plan_write -- the same for the node that writes */
List *
vdb_write_plan_write(const VdbWritePlan *plan)
{
	List	   *numbers = NIL;

	numbers = lappend_int(numbers, plan->command);
	numbers = lappend_int(numbers, plan->target);
	numbers = lappend_int(numbers, plan->materialise);
	numbers = lappend_int(numbers, plan->together);
	numbers = lappend_int(numbers, plan->row_params);
	numbers = lappend_int(numbers, plan->first_row_param);
	return list_make4(numbers, list_make2_oid(plan->relid, plan->role),
					  makeString(plan->sql), plan->keys);
}

/* vdb_write_plan_read -- shares text and lists, too */
VdbWritePlan *
vdb_write_plan_read(List *custom_private)
{
	VdbWritePlan *plan = palloc(sizeof(VdbWritePlan));
	List	   *numbers = linitial(custom_private);

	plan->command = list_nth_int(numbers, 0);
	plan->target = list_nth_int(numbers, 1);
	plan->materialise = list_nth_int(numbers, 2);
	plan->together = list_nth_int(numbers, 3);
	plan->row_params = list_nth_int(numbers, 4);
	plan->first_row_param = list_nth_int(numbers, 5);
	plan->relid = linitial_oid(lsecond(custom_private));
	plan->role = lsecond_oid(lsecond(custom_private));
	plan->sql = strVal(lthird(custom_private));
	plan->keys = lfourth(custom_private);
	return plan;
}
