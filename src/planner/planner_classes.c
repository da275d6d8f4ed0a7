/*-------------------------------------------------------------------------
 *
 * planner_classes.c
 *	  Which columns of a statement are equal, and when.
 *
 * What conditions say is kept as a list of facts.  A fact is an equality of two
 * columns, or what holds only where the optional side of an outer join has a
 * row.  From a list classes of equal columns are made (union-find).
 *
 * An equality that is true is evidence that its columns are not null.  So where
 * a condition outside of an outer join says that a column of the optional side
 * is equal to something, the side has a row, and what holds for such rows is
 * added.  This goes on until nothing changes.
 *
 * IDENTIFICATION
 *	  src/planner/planner_classes.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "planner_private.h"

/* A column while classes are made */
typedef struct ClassColumn
{
	PlannerColumn column;
	int			parent;			/* index of the column, itself at the root */
} ClassColumn;

struct PlannerClasses
{
	ClassColumn *columns;
	int			count;
	int			size;
	List	   *evidence;		/* PlannerEntries that have a row */
};

/* Something that is known */
typedef struct Fact
{
	/* an equality */
	PlannerColumn one;
	PlannerColumn other;
	bool		is_name;		/* two names of one column */
	/* or facts, and the sides that have to have a row */
	List	   *implied;
	List	   *sides;			/* lists of PlannerEntries */
} Fact;

static List *add_facts(PlannerClasses *classes, List *facts);
static bool are_present(PlannerClasses *classes, List *sides);
static bool has_entry(List *entries, const Query *query, int entry);
static void note_evidence(PlannerClasses *classes,
						  const PlannerColumn *column);

/*
 * planner_add_equality -- a list of facts with an equality
 *
 * Is_name: columns of which one is the other under another name, whether there
 * is a row or not.
 */
List *
planner_add_equality(List *facts, PlannerColumn one, PlannerColumn other,
					 bool is_name)
{
	Fact	   *fact = palloc0(sizeof(Fact));

	fact->one = one;
	fact->other = other;
	fact->is_name = is_name;
	return lappend(facts, fact);
}

/*
 * planner_add_implied -- a list of facts with those that hold only where each
 * of some sides of outer joins has a row
 */
List *
planner_add_implied(List *facts, List *implied, List *sides)
{
	Fact	   *fact = palloc0(sizeof(Fact));

	if (implied == NIL)
		return facts;
	fact->implied = implied;
	fact->sides = sides;
	return lappend(facts, fact);
}

/*
 * planner_make_classes -- classes of equal columns by what is known
 */
PlannerClasses *
planner_make_classes(List *facts)
{
	PlannerClasses *classes = palloc0(sizeof(PlannerClasses));
	List	   *waiting = add_facts(classes, facts);
	bool		changed = true;

	while (changed)
	{
		List	   *left = NIL;
		ListCell   *cell;

		changed = false;
		foreach(cell, waiting)
		{
			Fact	   *fact = lfirst(cell);

			if (are_present(classes, fact->sides))
			{
				left = list_concat(left, add_facts(classes, fact->implied));
				changed = true;
			}
			else
				left = lappend(left, fact);
		}
		waiting = left;
	}
	return classes;
}

/* Add equalities; returns the facts that are none. */
static List *
add_facts(PlannerClasses *classes, List *facts)
{
	List	   *waiting = NIL;
	ListCell   *cell;

	foreach(cell, facts)
	{
		Fact	   *fact = lfirst(cell);
		int			one;
		int			other;

		if (fact->implied)
		{
			waiting = lappend(waiting, fact);
			continue;
		}
		one = planner_class(classes, fact->one);
		other = planner_class(classes, fact->other);
		classes->columns[one].parent = other;
		if (!fact->is_name)
		{
			note_evidence(classes, &fact->one);
			note_evidence(classes, &fact->other);
		}
	}
	return waiting;
}

/* Has each side a row? */
static bool
are_present(PlannerClasses *classes, List *sides)
{
	ListCell   *cell;

	foreach(cell, sides)
	{
		ListCell   *member;
		bool		found = false;

		foreach(member, (List *) lfirst(cell))
		{
			PlannerEntry *entry = lfirst(member);

			found |= has_entry(classes->evidence, entry->query, entry->entry);
		}
		if (!found)
			return false;
	}
	return true;
}

static bool
has_entry(List *entries, const Query *query, int entry)
{
	ListCell   *cell;

	foreach(cell, entries)
	{
		PlannerEntry *other = lfirst(cell);

		if (other->query == query && other->entry == entry)
			return true;
	}
	return false;
}

static void
note_evidence(PlannerClasses *classes, const PlannerColumn *column)
{
	PlannerEntry *entry;

	if (has_entry(classes->evidence, column->query, column->entry))
		return;
	entry = palloc(sizeof(PlannerEntry));
	entry->query = column->query;
	entry->entry = column->entry;
	classes->evidence = lappend(classes->evidence, entry);
}

/*
 * planner_class -- the class of a column, as a number that is the same for all
 * of its columns; it is good until more is added
 */
int
planner_class(PlannerClasses *classes, PlannerColumn column)
{
	int			i;

	for (i = 0; i < classes->count; i++)
	{
		PlannerColumn *other = &classes->columns[i].column;

		if (other->query == column.query && other->entry == column.entry &&
			other->attno == column.attno)
		{
			while (classes->columns[i].parent != i)
				i = classes->columns[i].parent;
			return i;
		}
	}
	if (classes->count == classes->size)
	{
		classes->size = Max(16, classes->size * 2);
		if (classes->columns)
			classes->columns = repalloc(classes->columns,
										classes->size * sizeof(ClassColumn));
		else
			classes->columns = palloc(classes->size * sizeof(ClassColumn));
	}
	classes->columns[i].column = column;
	classes->columns[i].parent = i;
	return classes->count++;
}
