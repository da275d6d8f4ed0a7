/*-------------------------------------------------------------------------
 *
 * ddl_private.h
 *	  What the files of the ddl room share.
 *
 * IDENTIFICATION
 *	  src/ddl/ddl_private.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef DDL_PRIVATE_H
#define DDL_PRIVATE_H

#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"
#include "nodes/plannodes.h"
#include "storage/lockdefs.h"
#include "tcop/cmdtag.h"
#include "utils/array.h"
#include "utils/relcache.h"

#include "vecdb/catalog.h"
#include "vecdb/lib_compat.h"

/* Was the library loaded by shared_preload_libraries?  Set by vdb_ddl_init. */
extern bool ddl_is_preloaded;

/* The setting vecdb.share_ddl */
extern bool ddl_share;

/* A statement that is on its way through the hook */
typedef struct DdlStatement
{
	PlannedStmt *pstmt;
	Node	   *parse;			/* the statement proper */
	const char *sql;			/* its own part of the query string */
	bool		top_level;		/* as PreventInTransactionBlock() wants it */
} DdlStatement;

/* What the hook does with a statement */
typedef enum DdlPlan
{
	DDL_ALONE,					/* nothing: it concerns this node only */
	DDL_SHARED,					/* here, then the same in all groups */
	DDL_CHECKED,				/* here, then see what it has declared */
	DDL_OUTSIDE,				/* in all groups, outside of transactions */
	DDL_COPY_FROM,
	DDL_COPY_TO
} DdlPlan;

typedef struct DdlDecision
{
	DdlPlan		plan;
	/* the rest is for DDL_SHARED and DDL_OUTSIDE */
	char	   *sql;			/* for other groups; NULL: as it was typed */
	List	   *tables;			/* distributed and reference tables it names */
	bool		drops;			/* may drop such tables? */
	LOCKMODE	lock;			/* what it takes on the tables; NoLock:
								 * nothing that anyone would wait for */
	bool		slow;			/* worth doing in all groups at once */
	Oid			unnamed_index_of;	/* makes an index and does not name it */
	/* this is for all the others */
	List	   *ordinary;		/* ordinary tables it names, of ddl_names.c */
} DdlDecision;

/* Hints that are given in several places */
#define DDL_FIRST_ALONE \
	"Call vecdb.undistribute_table(), do it then, and distribute the table again: then each group gets a range of its own."
#define DDL_NO_CHILDREN \
	"Shards take the place of partitions: put all rows into the one table."

/* The arguments of distribute_table() */
typedef struct DdlWish
{
	Oid			relid;
	List	   *key;			/* names of columns */
	char	   *strategy;		/* NULL: not given */
	int			shard_count;	/* 0: not given */
	Oid			colocate_with;
	ArrayType  *bounds;
	Oid			function;
	char	   *function_name;	/* in full, or NULL: what is to be written
								 * into the catalog */
} DdlWish;

/* Who we were before ddl_become_superuser() */
typedef struct DdlUser
{
	Oid			user;
	int			context;
	int			settings;		/* nest level */
} DdlUser;

/* functions in ddl_alias.c */
extern PlannedStmt *ddl_alias_adjust(PlannedStmt *pstmt);

/* functions in ddl_run.c */

/*
 * What the cluster's own tables need is done as superuser, with nothing but
 * pg_catalog in the search_path, so that names are printed in full.  An error
 * sets both back by itself.
 */
extern void ddl_become_superuser(DdlUser *saved);
extern void ddl_become_user(const DdlUser *saved);

/*
 * ddl_become_owner -- what the owner of a table wrote is executed by him, not
 * by a superuser; back with ddl_become_user()
 */
extern void ddl_become_owner(DdlUser *saved, Oid relid);

/* ddl_local -- execute a statement in this group; returns rows processed */
extern uint64 ddl_local(const char *sql);

/*
 * ddl_try -- do some work in a subtransaction
 *
 * Returns NULL, or the error that it ended with when all that it has done is
 * rolled back; in the current memory context.
 */
extern ErrorData *ddl_try(void (*work) (void *), void *arg);

/* ddl_everywhere -- execute a statement in this group and in all others */
extern void ddl_everywhere(const char *sql);

/* ddl_elsewhere -- execute statements in all other groups */
extern void ddl_elsewhere(List *statements);

/* ddl_list -- the first column of a query's rows, text; without nulls */
extern List *ddl_list(const char *sql);

/* ddl_value -- the only value of a query, or NULL */
extern char *ddl_value(const char *sql);

/* ddl_ask -- ddl_value() of another group */
extern char *ddl_ask(int group, const char *sql);

/*
 * ddl_need_cluster -- the cluster, or an ERROR for callers that cannot do
 * without; also one if the library was not preloaded
 */
extern const VdbCluster *ddl_need_cluster(void);
extern void ddl_need_preload(void);

/*
 * ddl_lock_cluster -- be the only one who changes the schema of the cluster,
 * until the end of the transaction
 */
extern void ddl_lock_cluster(void);

/* ddl_grow_epoch -- the catalog has changed; call with the lock held */
extern void ddl_grow_epoch(void);

/* ddl_is_owner -- is the user the owner of a relation, or as good as that? */
extern bool ddl_is_owner(Oid relid);

/* ddl_table_name -- a relation's name in full, quoted */
extern char *ddl_table_name(Oid relid);

/* functions in ddl_lock.c */

/*
 * ddl_lock_everywhere -- lock tables in all groups; call with the lock of the
 * cluster held
 */
extern void ddl_lock_everywhere(List *relids, LOCKMODE mode);
extern const char *ddl_lock_mode_name(LOCKMODE mode);

/* functions in ddl_describe.c */

/* ddl_describe_table -- statements that make the bare table in a group */
extern List *ddl_describe_table(Oid relid, int group);

/*
 * ddl_describe_checks -- CHECK constraints, once rows are there
 * ddl_describe_rest -- keys, indexes and all else
 * ddl_describe_references -- foreign keys, once all tables are there
 *
 * Checks and foreign keys run what the owner wrote, and are to be executed as
 * owner.  PostgreSQL sees to that by itself where indexes are built.
 */
extern List *ddl_describe_checks(Oid relid);
extern List *ddl_describe_rest(Oid relid);
extern List *ddl_describe_references(Oid relid);

/* functions in ddl_needs.c */

/* ddl_describe_needs -- what has to exist before the table */
extern List *ddl_describe_needs(Oid relid);

/* ddl_describe_function -- a function, and what it needs */
extern List *ddl_describe_function(Oid function);

/* ddl_describe_database -- what all nodes have alike, tables aside */
extern List *ddl_describe_database(void);

/* functions in ddl_sequence.c */

/* ddl_sequences -- OIDs of the sequences that fill columns of a table */
extern List *ddl_sequences(Oid relid);

/* ddl_sequence_options -- the part of a sequence's range that a group gets */
extern char *ddl_sequence_options(Oid relid, Oid sequence, int group);

/* ddl_sequence_statements -- make a table's other sequences in a group */
extern List *ddl_sequence_statements(Oid relid, int group);

/* ddl_sequence_owners -- and tie them to the columns that own them */
extern List *ddl_sequence_owners(Oid relid);

/*
 * ddl_check_sequences -- an ERROR if a table has got one that is not divided
 */
extern void ddl_check_sequences(Oid relid);

/* ddl_share_sequences -- give this group its part */
extern void ddl_share_sequences(Oid relid);

/* ddl_unshare_sequences -- give this group the whole range again */
extern void ddl_unshare_sequences(Oid relid);

/* functions in ddl_check.c */

/* ddl_check_relation -- an ERROR unless this can become a shared table */
extern void ddl_check_relation(Relation rel);

/*
 * ddl_check_constraints -- an ERROR if the table has a constraint or a unique
 * index that the groups cannot enforce, each for itself
 *
 * For tables that are in the catalog.
 */
extern void ddl_check_constraints(Oid relid);

/*
 * ddl_check_index, ddl_check_constraint -- the same for what is yet to be made
 *
 * Building an index or looking at all rows may take long, and may fail for
 * another reason; so what can be said before is said before.
 */
extern void ddl_check_index(Oid relid, const IndexStmt *index);
extern void ddl_check_constraint(Oid relid, const Constraint *constraint);

/* ddl_check_ordinary -- the same for foreign keys of an ordinary table */
extern void ddl_check_ordinary(Oid relid);

/* functions in ddl_move.c */

/* ddl_send_rows -- the rows of a table to the groups that own them */
extern uint64 ddl_send_rows(Relation rel, const VdbTable *table);

/* ddl_send_all_rows -- all rows to one group, or to all others if it is 0 */
extern uint64 ddl_send_all_rows(Relation rel, int group);

/* ddl_fetch_rows -- the rows of all other groups into the local table */
extern uint64 ddl_fetch_rows(Relation rel);

/* functions in ddl_cluster.c */

/* Tables of the catalog whose rows are alike in all groups, parents first */
#define DDL_CATALOG_COUNT	5
extern const char *const ddl_shared_catalogs[DDL_CATALOG_COUNT];

/* ddl_need_superuser -- an ERROR for others, who may not change members */
extern void ddl_need_superuser(void);

/* ddl_check_port -- an ERROR if it cannot be one */
extern void ddl_check_port(int port);

/* ddl_uuid_text -- as it is printed */
extern const char *ddl_uuid_text(const pg_uuid_t *uuid);

/* ddl_refuse_known_host -- an ERROR if the address is in the catalog */
extern void ddl_refuse_known_host(const char *host, int port);

/* ddl_group_identifier -- the system identifier of a group's servers */
extern char *ddl_group_identifier(int group);

/*
 * ddl_lock_references -- keep writers of reference tables out, on all nodes
 *
 * Who writes one takes a lock on his own node first and then looks where all
 * copies are.  So whoever waits for us will see the new list.
 */
extern void ddl_lock_references(void);

/* ddl_is_reference -- is a table a reference table? */
extern bool ddl_is_reference(Oid relid);

/* ddl_shared_tables -- OIDs of all distributed and reference tables */
extern List *ddl_shared_tables(void);

/* ddl_catalog_deletes -- add the statements that empty the catalog */
extern void ddl_catalog_deletes(List **statements);

/* functions in ddl_colocation.c */

/*
 * ddl_check_wish -- an ERROR if arguments contradict each other
 *
 * Finds out the strategy, if another table says it or none is given.
 */
extern void ddl_check_wish(DdlWish *wish);

/*
 * ddl_choose_colocation -- the number of the row that says how the key is cut
 * into shards, which is that of another table, or is written here
 */
extern int	ddl_choose_colocation(Relation rel, DdlWish *wish);

/* ddl_text_members -- the members of a text[] as strings, or NULL */
extern List *ddl_text_members(ArrayType *array);

/* functions in ddl_distribute.c */

/*
 * ddl_forget_tables -- take tables that are no more out of the catalog
 *
 * Returns whether there were any.
 */
extern bool ddl_forget_tables(void);

/* functions in ddl_names.c */

/* ddl_lock_named -- of some statements, lock the table before ddl_decide() */
extern void ddl_lock_named(Node *parse);

/*
 * ddl_shared_table -- the shared table that a name means, or InvalidOid
 *
 * A name may mean an index or a sequence of such a table as well.  What is an
 * ordinary table is noted in the decision.
 */
extern Oid	ddl_shared_table(const RangeVar *name, DdlDecision *decision);

/*
 * ddl_check_ordinary_names -- an ERROR if what was noted is shared by now
 *
 * To be called when the statement has its locks.
 */
extern void ddl_check_ordinary_names(const DdlDecision *decision);

/* ddl_share_name -- the statement is shared if it names a shared table */
extern void ddl_share_name(DdlDecision *decision, const RangeVar *name);

/*
 * ddl_share_among -- the same for a list of names, each a List or a RangeVar
 *
 * Returns how many mean shared tables, or their indexes or sequences; "text"
 * gets these names in full.
 */
extern int	ddl_share_among(DdlDecision *decision, List *names,
							StringInfo text);

/*
 * ddl_share_statistics -- the same for the name of a statistics object
 */
extern bool ddl_share_statistics(DdlDecision *decision, List *name);

/* ddl_parent_name -- the table of a column, constraint, trigger or policy */
extern RangeVar *ddl_parent_name(List *names);

/* ddl_is_temporary -- is it said to be of the schema of this session? */
extern bool ddl_is_temporary(List *name);

/* ddl_tables_of_schema -- the shared tables in a schema */
extern List *ddl_tables_of_schema(const char *schema);

/* ddl_table_of_sequence -- the shared table that gets values from it, if any */
extern Oid	ddl_table_of_sequence(Oid sequence);

/* functions in ddl_decide.c */

/* ddl_decide -- what a statement is to the cluster; ERROR: refused */
extern DdlDecision ddl_decide(const DdlStatement *statement);

/* ddl_check_statement -- after DDL_CHECKED: an ordinary table's constraints */
extern void ddl_check_statement(Node *parse);

/* ddl_refuse -- an ERROR: this cannot be done with a shared table */
extern void ddl_refuse(const char *what, Oid relid, const char *hint);

/* functions in ddl_object.c */

/* ddl_decide_object -- ddl_decide() for what is alike on all nodes */
extern void ddl_decide_object(Node *parse, DdlDecision *decision);

/* ddl_share_object -- the statement is shared if it is about such a thing */
extern void ddl_share_object(DdlDecision *decision, ObjectType type);
extern bool ddl_is_shared_kind(ObjectType type);

/*
 * ddl_refuse_alone -- what CASCADE reaches may be a shared table, or a column
 * of it: an ERROR unless it is done on all nodes
 */
extern void ddl_refuse_alone(DropBehavior behavior);

/* functions in ddl_roles.c */

/* ddl_check_roles -- an ERROR if a role is named as other nodes do not */
extern void ddl_check_roles(const Node *parse);

/* functions in ddl_alter.c */

/* ddl_decide_alter -- ALTER TABLE and ALTER INDEX */
extern void ddl_decide_alter(AlterTableStmt *alter, DdlDecision *decision);

/* functions in ddl_outside.c */

/*
 * ddl_run_outside -- do a statement in all other groups, or in all
 *
 * Returns true if it is still to be done here.
 */
extern bool ddl_run_outside(const DdlStatement *statement,
							const DdlDecision *decision);

/* functions in ddl_copy.c */
extern void ddl_copy_from(const DdlStatement *statement,
						  const char *query_string, QueryCompletion *qc);
extern PlannedStmt *ddl_copy_to(PlannedStmt *pstmt);

#endif							/* DDL_PRIVATE_H */
