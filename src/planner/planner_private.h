/*-------------------------------------------------------------------------
 *
 * planner_private.h
 *	  What the files of the planner room share.
 *
 * IDENTIFICATION
 *	  src/planner/planner_private.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef PLANNER_PRIVATE_H
#define PLANNER_PRIVATE_H

#include "executor/execdesc.h"
#include "nodes/params.h"
#include "nodes/parsenodes.h"
#include "nodes/pathnodes.h"
#include "optimizer/planner.h"

#include "vecdb/catalog.h"
#include "vecdb/planner.h"
#include "vecdb/planner_write.h"

/* functions in planner_deparse.c */

/* What planner_take_out() has taken out of an expression or a query */
typedef struct PlannerParams
{
	Relids		relids;			/* columns of these stay; NULL: all */
	List	   *exprs;			/* $1, $2, ... */
} PlannerParams;

/*
 * planner_deparse -- the text of a shard statement
 *
 * Stable expressions without columns, parameters, vectors and long constants
 * become $1, $2, ...; *params is set to those expressions.  Volatile ones stay
 * in the text.  The query is not changed.
 */
extern char *planner_deparse(const Query *query, List **params);
extern bool planner_has_columns(Node *node);
extern Node *planner_take_out(Node *node, PlannerParams *params);
extern Node *planner_make_param(Node *node, PlannerParams *params);
extern char *planner_text(Query *query);

/* functions in planner_push.c */

struct PlannerShard;

/*
 * planner_is_pushable -- may a group compute an expression for us?
 *
 * Columns have to be of what the shard statement reads.  With outer, those of
 * other relations are allowed as well, as they become parameters.
 */
extern bool planner_is_pushable(const struct PlannerShard *shard, Node *node,
								bool outer, bool aggregates);
extern bool planner_is_safe_statement(Query *query);
extern bool planner_is_trusted(Node *node);
extern bool planner_is_transferable(Oid type);
extern bool planner_is_user_function(Oid function);

/* functions in planner_system.c */
extern Node *planner_fix_system_columns(Node *node, Query *query, bool refuse);
extern Node *planner_table_oid(Var *var, Oid relid, bool optional, Oid type);
extern _Noreturn void planner_refuse_system_column(Oid relid);

/* functions in planner_shard.c */

/*
 * What groups do for a relation of the planner: a shard statement in the
 * making.  That of a base or join relation is in RelOptInfo.fdw_private, which
 * PostgreSQL leaves alone for ordinary tables; that of a path is all that its
 * custom_private holds.
 */
typedef struct PlannerShard
{
	Relids		relids;			/* numbers in the range table */
	Oid			relid;			/* a distributed table among them, or
								 * InvalidOid: reference tables only */
	int			colocation;		/* of the distributed tables */
	Oid			role;			/* owner of the view that reads them, or
								 * InvalidOid: current user */
	bool		as_other;		/* the role is not the current user */
	List	   *keys;			/* by key column: a list of Vars, all equal */
	List	   *from;			/* RangeTblRefs and JoinExprs */
	List	   *quals;			/* WHERE, bare clauses */
	List	   *exists;			/* PlannerExists: conditions beside quals */
	bool		complete;		/* all clauses are in it: more can be pushed */
	double		work;			/* cost of the statement at one group */

	/* grouping */
	bool		grouped;		/* the rest of the statement sees groups */
	List	   *group_clause;	/* SortGroupClauses */
	List	   *group_exprs;	/* their expressions */
	List	   *columns;		/* columns of a grouped statement */
	List	   *having;			/* clauses */

	/* order and limit */
	List	   *sort_clause;	/* SortGroupClauses */
	List	   *sort_exprs;		/* their expressions */
	Node	   *limit;			/* rows wanted of each group */
	LimitOption limit_option;
} PlannerShard;

/* EXISTS (SELECT FROM what WHERE condition), or NOT EXISTS */
typedef struct PlannerExists
{
	PlannerShard *what;
	List	   *condition;		/* clauses of both sides */
	bool		negated;
} PlannerExists;

/* A relation's shard statement, or NULL */
static inline PlannerShard *
planner_shard(const RelOptInfo *rel)
{
	return (PlannerShard *) rel->fdw_private;
}

/* Is a node one of a list of Vars? */
static inline bool
planner_has_member(List *variables, Node *node)
{
	ListCell   *cell;

	if (node == NULL || !IsA(node, Var))
		return false;
	foreach(cell, variables)
	{
		Var		   *var = lfirst_node(Var, cell);

		if (var->varno == ((Var *) node)->varno &&
			var->varattno == ((Var *) node)->varattno &&
			((Var *) node)->varlevelsup == 0)
			return true;
	}
	return false;
}

extern CustomPath *planner_shard_path(PlannerShard *shard, RelOptInfo *rel,
									  PathTarget *target, double rows);
extern void planner_note_targets(RelOptInfo *rel);
extern int	planner_group_count(Oid relid);

/* functions in planner_key.c */
extern List *planner_key_groups(const VdbTable *table, List *values);
extern Node *planner_as_key(Node *value, Oid type);
extern bool planner_is_equality(Oid operator, Oid collation, Oid type);
extern Node *planner_strip(Node *node);
extern Var *planner_make_column(Oid relid, Index entry, AttrNumber attno);

/*
 * planner_prune -- the groups that hold the rows that quals let through
 *
 * Keys are as in PlannerShard.  Sets target and groups of the plan, which has
 * its relid, or returns the values of the key, to be known at execution.
 */
extern List *planner_prune(VdbPlan *plan, List *quals, List *keys,
						   Relids relids);

/* functions in planner_scan.c */
extern void planner_scan_paths(PlannerInfo *root, RelOptInfo *rel, Index rti,
							   RangeTblEntry *rte, const VdbTable *table);

/* functions in planner_join.c */
extern void planner_join_paths(PlannerInfo *root, RelOptInfo *joinrel,
							   RelOptInfo *outer, RelOptInfo *inner,
							   JoinType type, JoinPathExtraData *extra);

/* functions in planner_upper.c */
extern void planner_ordered_paths(PlannerInfo *root, RelOptInfo *input,
								  RelOptInfo *output);
extern void planner_final_paths(PlannerInfo *root, RelOptInfo *input,
								RelOptInfo *output,
								FinalPathExtraData *extra);

/* functions in planner_aggregate.c */
extern void planner_distinct_paths(PlannerInfo *root, RelOptInfo *input,
								   RelOptInfo *output);
extern void planner_group_paths(PlannerInfo *root, RelOptInfo *input,
								RelOptInfo *output,
								GroupPathExtraData *extra);

/* functions in planner_hook.c */
extern const CustomScanMethods *planner_fanout_methods;

/*
 * planner_lock -- how rows of a table are to be locked where they are read
 *
 * NULL: not at all.
 */
extern const RowMarkClause *planner_lock(Oid relid);

/* The distributed or reference table that a range table entry is, or NULL */
static inline const VdbTable *
planner_shared_table(const RangeTblEntry *rte)
{
	return rte->rtekind == RTE_RELATION ? vdb_catalog_table(rte->relid) :
		NULL;
}

/* functions in planner_lock.c */
extern Query *planner_prepare_locks(Query *query, Oid *locked_relid,
									RowMarkClause **lock);

/* functions in planner_whole.c */

/*
 * planner_statement -- a plan of one node that runs a shard statement
 *
 * For statements sent whole: query is what the client sent, rewritten.  Plan
 * has kind, command, target, groups and relid set; sql and param_count are set
 * here.  Keys are the expressions of VDB_TARGET_KEY.
 */
extern PlannedStmt *planner_statement(Query *query, VdbPlan *plan, List *keys);

/* functions in planner_modify.c */

/*
 * planner_modify -- plan an INSERT, UPDATE, DELETE or MERGE of a distributed
 * or reference table that is not pinned to one group
 */
extern PlannedStmt *planner_modify(Query *query, const char *query_string,
								   int cursor_options,
								   ParamListInfo bound_params);

extern void planner_check_writes(Query *query);
extern void planner_check_keys(Query *query, const VdbTable *table);
extern bool planner_can_pin(Query *query);

/*
 * Parameters of a shard statement that stand for values computed before it is
 * sent have numbers above this, which no client uses.
 */
#define PLANNER_VALUE_PARAM	1000000

/* A statement that writes, while it is planned */
typedef struct PlannerWrite
{
	VdbWritePlan plan;
	Query	   *shard;			/* the shard statement */
	List	   *values;			/* expressions: PLANNER_VALUE_PARAM + 1, ... */
	List	   *columns;		/* INSERT: those of the table that get them */
	Query	   *source;			/* SELECT that gives the parameters */
	List	   *returned;		/* what the shard statement returns */
	List	   *target_list;	/* RETURNING, computed from that */
} PlannerWrite;

extern void planner_check_keys_kept(const VdbTable *table, List *target_list,
									int target, int excluded);
extern void planner_clear_source(Query *source);
extern RangeTblEntry *planner_make_empty_entry(void);
extern Param *planner_make_value(List **values, Expr *value);

/* functions in planner_returning.c */
extern void planner_check_returning(List *returning);
extern void planner_split_returning(PlannerWrite *write, Query *query);
extern bool planner_note_functions(Node *node, PlannedStmt *stmt);

/* functions in planner_insert.c */
extern void planner_insert(PlannerWrite *write, Query *query);
extern void planner_check_conflict(const VdbTable *table, Query *query);

/* functions in planner_classes.c */

/* An entry of a range table, and a column of it */
typedef struct PlannerEntry
{
	Query	   *query;			/* whose range table it is */
	int			entry;
} PlannerEntry;

typedef struct PlannerColumn
{
	Query	   *query;
	int			entry;
	AttrNumber	attno;
} PlannerColumn;

typedef struct PlannerClasses PlannerClasses;

extern List *planner_add_equality(List *facts, PlannerColumn one,
								  PlannerColumn other, bool is_name);
extern List *planner_add_implied(List *facts, List *implied, List *sides);
extern PlannerClasses *planner_make_classes(List *facts);
extern int	planner_class(PlannerClasses *classes, PlannerColumn column);

/* functions in planner_from.c */

/* A distributed table that is read */
typedef struct PlannerReader
{
	Query	   *query;
	int			entry;
	Oid			relid;
} PlannerReader;

/* A query of a statement that writes, while it is looked at */
typedef struct PlannerPlace
{
	Query	   *query;
	struct PlannerPlace *outer; /* the query around it */
	List	   *around;			/* what is known outside of this part */
	List	   *facts;			/* what this part adds, planner_classes.c */
	List	   *readers;		/* distributed tables that have to be joined
								 * to the one written: PlannerReaders */
	PlannerReader *written;		/* NULL: the table written is not distributed */
	/* MERGE: for actions of rows that have no match */
	struct PlannerPlace *of_source;
	struct PlannerPlace *of_target;
	/* computed beforehand; of the outermost query only */
	List	  **values;
	List	  **tables;
	const char **reason;		/* why it does not fit */
} PlannerPlace;

extern bool planner_scan_from(Node *node, PlannerPlace *place);
extern void planner_note_equalities(Node *quals, PlannerPlace *place);
extern bool planner_find_column(Node *node, const PlannerPlace *place,
								PlannerColumn *column);
extern bool planner_is_together(const PlannerPlace *place);
extern PlannerColumn planner_key(const PlannerReader *reader,
								 AttrNumber attno);
extern bool planner_reads_own_tables(Node *node, void *context);
extern bool planner_depends_on_chance(Query *query, bool exists);
extern bool planner_has_outer_references(Query *query);

/* functions in planner_colocate.c */
extern Query *planner_make_local(Query *query, List **values, List **tables,
								 const char **why_not);

/* functions in planner_compute.c */
extern Query *planner_inline_common_tables(Query *query);
extern RangeTblEntry *planner_compute_rows(const RangeTblEntry *entry,
										   int varno, List **values,
										   Query **arrays);

/* functions in planner_mode.c */
extern void planner_mode_init(void);
extern bool planner_is_nested(int cursor_options);
extern int	planner_trigger_depth(void);
extern void planner_mark_mode(PlannedStmt *stmt, int cursor_options);
extern bool planner_has_mark(const PlannedStmt *stmt);
extern bool planner_begin_level(void);
extern void planner_mark_level(PlannedStmt *stmt, bool outer);
extern bool planner_reads_plainly(void);
extern bool planner_reads_copies(void);

/* functions in planner_copies.c */
extern void planner_copies_init(void);
extern void planner_check_copies(Query *query, const VdbTable *table);
extern void planner_check_alike(Query *query, const VdbTable *table);
extern void planner_check_nested_copies(Query *query, const VdbTable *table);
extern void planner_check_triggers(const VdbTable *table, CmdType command,
								   const OnConflictExpr *conflict);

/* functions in planner_turn.c */
extern void planner_take_turn(QueryDesc *query);

/* functions in planner_guard.c */
extern Query *planner_guard(Query *query, bool nested);

/* functions in planner_merge.c */
extern bool planner_merge_rows(PlannerWrite *write, Query *query);

/* functions in planner_route.c */

/*
 * planner_route -- the groups that a statement is pinned to by its keys
 *
 * Returns false when it is not pinned.  Sets target, groups and key_exprs of
 * the plan; *keys to the expressions, where the groups are found at execution.
 */
extern bool planner_route(Query *query, ParamListInfo bound_params,
						  VdbPlan *plan, List **keys);

#endif							/* PLANNER_PRIVATE_H */
