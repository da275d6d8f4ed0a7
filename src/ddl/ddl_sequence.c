/*-------------------------------------------------------------------------
 *
 * ddl_sequence.c
 *	  Sequences whose values are unique over the cluster.
 *
 * Each group has a sequence of the same name, and a part of the range of its
 * own: nextval() on any node never returns what another node returned, and
 * asks nobody.  The range of the type is cut into equal parts, one for each
 * group that there may be:
 *
 *	 type		groups	values for each
 *	 smallint	8		4,095
 *	 integer	32		67,108,863
 *	 bigint		1024	9,007,199,254,740,991
 *
 * The narrower one of the types of sequence and column counts.  Group 1 has
 * the lowest part, so that a table filled through it looks as it always did,
 * and where a table had values already they belong to the part of group 1.
 * The values that a group has used are nowhere but in its own sequence.
 *
 * IDENTIFICATION
 *	  src/ddl/ddl_sequence.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_sequence.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "ddl_private.h"

/* A part of a sequence's range */
typedef struct SequencePart
{
	int64		low;
	int64		high;
	int64		start;
	int64		next;			/* the first value that is free */
} SequencePart;

#define SEQUENCE_COLUMNS \
	"SELECT d.objid AS sequence, refobjsubid AS number, deptype" \
	" FROM pg_depend d JOIN pg_class c ON c.oid = d.objid AND relkind = 'S'" \
	" WHERE d.classid = 'pg_class'::regclass" \
	" AND refclassid = 'pg_class'::regclass AND refobjid = %u" \
	" AND refobjsubid > 0 AND deptype IN ('a', 'i')" \
	" UNION" \
	" SELECT refobjid, adnum, 'n'" \
	" FROM pg_attrdef a JOIN pg_depend d ON d.objid = a.oid" \
	" AND d.classid = 'pg_attrdef'::regclass" \
	" AND refclassid = 'pg_class'::regclass" \
	" JOIN pg_class c ON c.oid = refobjid AND relkind = 'S'" \
	" WHERE adrelid = %u"

static char *sequence_columns(Oid relid);
static int	narrowest_type(Oid relid, Oid sequence, Oid sequence_type);
static bool is_part(int64 low, int64 high, int64 width, int groups);
static void find_part(Oid relid, Oid sequence, int group, SequencePart *part);
static bool is_divided(Oid sequence);
static FormData_pg_sequence read_sequence(Oid sequence);
static int64 part_width(int bytes, int *groups, int64 *limit);
static void read_position(Oid sequence, int64 increment, int64 *next);
static List *other_sequences(Oid relid);

static char *
sequence_columns(Oid relid)
{
	return psprintf(SEQUENCE_COLUMNS, relid, relid);
}

List *
ddl_sequences(Oid relid)
{
	List	   *list;
	List	   *sequences = NIL;
	ListCell   *cell;

	list = ddl_list(psprintf("SELECT DISTINCT sequence FROM (%s) s ORDER BY 1",
							 sequence_columns(relid)));
	foreach(cell, list)
		sequences = lappend_oid(sequences, atooid((char *) lfirst(cell)));
	return sequences;
}

/*
 * narrowest_type -- bytes of the narrowest integer that a value has to fit
 */
static int
narrowest_type(Oid relid, Oid sequence, Oid sequence_type)
{
	int			width;
	char	   *value;

	width = sequence_type == INT2OID ? 2 : sequence_type == INT4OID ? 4 : 8;
	value = ddl_value(psprintf("SELECT min(typlen) FROM (%s) s"
							   " JOIN pg_attribute ON attrelid = %u"
							   " AND attnum = number"
							   " JOIN pg_type t ON t.oid = atttypid"
							   " WHERE sequence = %u AND (atttypid IN (21, 23, 20)"
							   " OR typbasetype IN (21, 23, 20))",
							   sequence_columns(relid), relid, sequence));
	if (value != NULL)
		width = Min(width, atoi(value));
	return width;
}

/*
 * is_part -- are these the bounds of what some group has?
 */
static bool
is_part(int64 low, int64 high, int64 width, int groups)
{
	return high - low == width - 1 && (low - 1) % width == 0 &&
		(low - 1) / width < groups;
}

/*
 * find_part -- what a group gets of a sequence
 *
 * Seen from this node: whoever has the sequence divided already has counted
 * what was in use before.
 */
static void
find_part(Oid relid, Oid sequence, int group, SequencePart *part)
{
	FormData_pg_sequence form = read_sequence(sequence);
	int			bytes;
	int			groups;
	int64		limit;
	int64		width;
	bool		divided;

	bytes = narrowest_type(relid, sequence, form.seqtypid);
	width = part_width(bytes, &groups, &limit);
	divided = is_part(form.seqmin, form.seqmax, width, groups);

	if (form.seqincrement < 0 ||
		(!divided && (form.seqmin != 1 || form.seqmax < limit)))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("sequence %s cannot be divided between groups",
						ddl_table_name(sequence)),
				 errdetail("It has bounds of its own, or counts downwards."),
				 errhint("Use ALTER SEQUENCE to set NO MINVALUE, NO MAXVALUE and a positive INCREMENT.")));
	if (group > groups)
		ereport(ERROR,
				(errcode(ERRCODE_SEQUENCE_GENERATOR_LIMIT_EXCEEDED),
				 errmsg("sequence %s has no values for group %d",
						ddl_table_name(sequence), group),
				 errdetail("A sequence of %d bytes is divided between at most %d groups.",
						   bytes, groups),
				 errhint("Make the column and the sequence bigint.")));

	part->low = (group - 1) * width + 1;
	part->high = group * width;
	part->start = part->low;
	if (form.seqstart > part->low && form.seqstart <= part->high)
		part->start = form.seqstart;
	read_position(sequence, form.seqincrement, &part->next);
	if (part->next > part->high && !divided)
		ereport(ERROR,
				(errcode(ERRCODE_SEQUENCE_GENERATOR_LIMIT_EXCEEDED),
				 errmsg("sequence %s has used the part of group %d",
						ddl_table_name(sequence), group),
				 errdetail("Group %d has the values from " INT64_FORMAT " to " INT64_FORMAT ", the next value is " INT64_FORMAT ".",
						   group, part->low, part->high, part->next),
				 errhint("Make the column and the sequence bigint.")));
	if (part->next < part->start || part->next > part->high)
		part->next = part->start;
}

void
ddl_check_sequences(Oid relid)
{
	List	   *sequences = ddl_sequences(relid);
	ListCell   *cell;

	foreach(cell, sequences)
	{
		Oid			sequence = lfirst_oid(cell);

		if (!is_divided(sequence))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("table \"%s\" is shared by a cluster and cannot get values from sequence %s",
							get_rel_name(relid), ddl_table_name(sequence)),
					 errdetail("The sequence is not divided between groups."),
					 errhint(DDL_FIRST_ALONE)));
	}
}

/*
 * is_divided -- has this group its part of a sequence, and no more?
 */
static bool
is_divided(Oid sequence)
{
	FormData_pg_sequence form = read_sequence(sequence);

	for (int bytes = 2; bytes <= 8; bytes *= 2)
	{
		int			groups;
		int64		limit;
		int64		width = part_width(bytes, &groups, &limit);

		if (is_part(form.seqmin, form.seqmax, width, groups) &&
			(form.seqmin - 1) / width + 1 ==
			vdb_catalog_cluster()->local_group)
			return true;
	}
	return false;
}

/* The row of pg_sequence */
static FormData_pg_sequence
read_sequence(Oid sequence)
{
	HeapTuple	tuple = SearchSysCache1(SEQRELID, ObjectIdGetDatum(sequence));
	FormData_pg_sequence form;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for sequence %u", sequence);
	form = *(Form_pg_sequence) GETSTRUCT(tuple);
	ReleaseSysCache(tuple);
	return form;
}

/*
 * part_width -- how many values each group gets, how many groups can get a
 * part, and what the highest value is, of a sequence of so many bytes
 */
static int64
part_width(int bytes, int *groups, int64 *limit)
{
	*groups = bytes == 2 ? 8 : bytes == 4 ? 32 : VDB_MAX_GROUPS;
	*limit = bytes == 2 ? PG_INT16_MAX : bytes == 4 ? PG_INT32_MAX :
		PG_INT64_MAX;
	return *limit / *groups;
}

/*
 * read_position -- the first value of a sequence that is not in use
 */
static void
read_position(Oid sequence, int64 increment, int64 *next)
{
	char	   *value;

	value = ddl_value(psprintf("SELECT CASE WHEN is_called"
							   " THEN last_value::numeric + " INT64_FORMAT
							   " ELSE last_value END FROM %s", increment,
							   ddl_table_name(sequence)));
	if (value == NULL)
		elog(ERROR, "sequence %u has no row", sequence);
	*next = strtoi64(value, NULL, 10);
}

/*
 * ddl_sequence_options -- see ddl_private.h
 */
char *
ddl_sequence_options(Oid relid, Oid sequence, int group)
{
	SequencePart part;
	char	   *rest;

	find_part(relid, sequence, group, &part);
	rest = ddl_value(psprintf("SELECT format('INCREMENT BY %%s CACHE %%s %%s',"
							  " seqincrement, seqcache, CASE WHEN seqcycle"
							  " THEN 'CYCLE' ELSE 'NO CYCLE' END)"
							  " FROM pg_sequence WHERE seqrelid = %u",
							  sequence));
	return psprintf("MINVALUE " INT64_FORMAT " MAXVALUE " INT64_FORMAT
					" START WITH " INT64_FORMAT " %s",
					part.low, part.high, part.next, rest);
}

/*
 * other_sequences -- those that CREATE TABLE does not make by itself
 */
static List *
other_sequences(Oid relid)
{
	List	   *identity;
	List	   *sequences = ddl_sequences(relid);
	ListCell   *cell;

	identity = ddl_list(psprintf("SELECT sequence FROM (%s) s"
								 " WHERE deptype = 'i'",
								 sequence_columns(relid)));
	foreach(cell, identity)
		sequences = list_delete_oid(sequences, atooid((char *) lfirst(cell)));
	return sequences;
}

/*
 * ddl_sequence_statements -- see ddl_private.h
 */
List *
ddl_sequence_statements(Oid relid, int group)
{
	List	   *statements = NIL;
	List	   *sequences = other_sequences(relid);
	ListCell   *cell;

	foreach(cell, sequences)
	{
		Oid			sequence = lfirst_oid(cell);
		char	   *make;

		make = psprintf("SELECT format('CREATE SEQUENCE IF NOT EXISTS %%s"
						" AS %%s ', seqrelid::regclass,"
						" format_type(seqtypid, NULL)) FROM pg_sequence"
						" WHERE seqrelid = %u", sequence);
		statements = lappend(statements,
							 psprintf("%s%s", ddl_value(make),
									  ddl_sequence_options(relid, sequence,
														   group)));
		make = psprintf("SELECT format('ALTER SEQUENCE %%s OWNER TO %%I',"
						" oid::regclass, pg_get_userbyid(relowner))"
						" FROM pg_class WHERE oid = %u", sequence);
		statements = lappend(statements, ddl_value(make));
	}
	return statements;
}

/*
 * ddl_sequence_owners -- see ddl_private.h
 */
List *
ddl_sequence_owners(Oid relid)
{
	List	   *statements;

	statements = ddl_list(psprintf("SELECT format('ALTER SEQUENCE %%s"
								   " OWNED BY %%s.%%I', sequence::regclass,"
								   " attrelid::regclass, attname)"
								   " FROM (%s) s JOIN pg_attribute"
								   " ON attrelid = %u AND attnum = number"
								   " WHERE deptype = 'a'",
								   sequence_columns(relid), relid));
	return list_concat(statements,
					   ddl_list(psprintf("SELECT DISTINCT format('GRANT %%s"
										 " ON SEQUENCE %%s TO %%s',"
										 " privilege_type, c.oid::regclass,"
										 " CASE WHEN grantee = 0 THEN 'PUBLIC'"
										 " ELSE quote_ident(pg_get_userbyid(grantee))"
										 " END) FROM (%s) s"
										 " JOIN pg_class c ON c.oid = sequence,"
										 " aclexplode(relacl)",
										 sequence_columns(relid))));
}

/*
 * ddl_share_sequences -- see ddl_private.h
 */
void
ddl_share_sequences(Oid relid)
{
	int			group = vdb_catalog_cluster()->local_group;
	List	   *sequences = ddl_sequences(relid);
	ListCell   *cell;

	foreach(cell, sequences)
	{
		SequencePart part;

		find_part(relid, lfirst_oid(cell), group, &part);
		(void) ddl_local(psprintf("ALTER SEQUENCE %s MINVALUE " INT64_FORMAT
								  " MAXVALUE " INT64_FORMAT " START WITH "
								  INT64_FORMAT " RESTART WITH " INT64_FORMAT,
								  ddl_table_name(lfirst_oid(cell)), part.low,
								  part.high, part.start, part.next));
	}
}

/*
 * ddl_unshare_sequences -- see ddl_private.h
 *
 * It goes on counting where this group was.
 */
void
ddl_unshare_sequences(Oid relid)
{
	List	   *sequences = ddl_sequences(relid);
	ListCell   *cell;

	foreach(cell, sequences)
		(void) ddl_local(psprintf("ALTER SEQUENCE %s MINVALUE 1 NO MAXVALUE"
								  " START WITH 1",
								  ddl_table_name(lfirst_oid(cell))));
}
