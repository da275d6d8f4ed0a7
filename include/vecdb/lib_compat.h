/*-------------------------------------------------------------------------
 *
 * lib_compat.h
 *	  Differences between PostgreSQL 15, 16, 17 and 18, in one place.
 *
 * This is the only file of the project that looks at PG_VERSION_NUM
 * (src/tools/check-layers.sh enforces it).  Each entry says what changed and
 * when; when the oldest supported version passes that point the entry goes.
 *
 * IDENTIFICATION
 *	  include/vecdb/lib_compat.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef VECDB_LIB_COMPAT_H
#define VECDB_LIB_COMPAT_H

#include "postgres.h"

#include "fmgr.h"
#include "utils/guc.h"
#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"
#include "storage/lock.h"
#include "utils/guc_tables.h"

#if PG_VERSION_NUM < 150000 || PG_VERSION_NUM >= 190000
#error "vecdb supports PostgreSQL 15 to 18"
#endif

/*
 * Functions called from SQL are the only exported symbols.  The plain
 * PG_FUNCTION_INFO_V1 of 15 does not export the function itself when the
 * library is built with hidden visibility, hence the declaration first.
 */
#define VDB_FUNCTION(name) \
	PGDLLEXPORT Datum name(PG_FUNCTION_ARGS); \
	PG_FUNCTION_INFO_V1(name)

/*
 * 17: an access method says whether it can build in parallel; before, only
 * btree was asked to, and others decide for themselves.
 */
#if PG_VERSION_NUM >= 170000
#define VDB_AM_CAN_BUILD_PARALLEL(routine) \
	((routine)->amcanbuildparallel = true)
#else
#define VDB_AM_CAN_BUILD_PARALLEL(routine) ((void) (routine))
#endif

/* 17: tables have a privilege for VACUUM, REINDEX and the like. */
#if PG_VERSION_NUM >= 170000
#define VDB_ACL_MAINTAIN ACL_MAINTAIN
#else
#define VDB_ACL_MAINTAIN ACL_NO_RIGHTS
#endif

/* 18: vacuum_delay_point() is told whether it is called by ANALYZE. */
#if PG_VERSION_NUM >= 180000
#define vdb_vacuum_delay_point() vacuum_delay_point(false)
#else
#define vdb_vacuum_delay_point() vacuum_delay_point()
#endif

/* 18: EXPLAIN (ANALYZE) shows how many searches an index scan made. */
#if PG_VERSION_NUM >= 180000
#define VDB_COUNT_INDEX_SEARCH(scan) \
	do { \
		if ((scan)->instrument) \
			(scan)->instrument->nsearches++; \
	} while (0)
#else
#define VDB_COUNT_INDEX_SEARCH(scan) ((void) (scan))
#endif

/*
 * 18: a path that cannot be taken is marked as disabled and its cost, before
 * made infinite, stays what it is.
 */
#if PG_VERSION_NUM >= 180000
#define VDB_DISABLE_PATH(path) ((path)->disabled_nodes = 2)
#else
#define VDB_DISABLE_PATH(path) ((void) (path))
#endif

/*
 * 17: reading many blocks is done by read streams; before, by advising what
 * will be read (lib_read.h).  18: they may hand over several reads at once.
 */
#define VDB_HAS_READ_STREAM (PG_VERSION_NUM >= 170000)
#if PG_VERSION_NUM >= 180000
#define VDB_READ_STREAM_BATCHING READ_STREAM_USE_BATCHING
#else
#define VDB_READ_STREAM_BATCHING 0
#endif

/*
 * 17: what EXPLAIN does by itself can be called from ExplainOneQuery_hook.
 * 18: a hook is called for each node that EXPLAIN shows, and the functions
 * that write properties have a header of their own.
 */
#define VDB_HAS_STANDARD_EXPLAIN (PG_VERSION_NUM >= 170000)
#define VDB_HAS_EXPLAIN_NODE_HOOK (PG_VERSION_NUM >= 180000)

/*
 * 16: what check hooks of settings hand on is in a memory context; before, it
 * was malloc'd.  NULL when there is no memory.
 */
static inline void *
vdb_guc_alloc(Size size)
{
#if PG_VERSION_NUM >= 160000
	return guc_malloc(LOG, size);
#else
	return malloc(size);
#endif
}

static inline void
vdb_guc_free(void *extra)
{
#if PG_VERSION_NUM >= 160000
	guc_free(extra);
#else
	free(extra);
#endif
}

/* 17: a message in the WAL can be flushed by who writes it. */
#if PG_VERSION_NUM >= 170000
#define vdb_log_message(prefix, message, size) \
	LogLogicalMessage(prefix, message, size, false, false)
#else
#define vdb_log_message(prefix, message, size) \
	LogLogicalMessage(prefix, message, size, false)
#endif

/*
 * 16: the record of a setting can be asked for by name; before, one goes
 * through them all.  Call it once a process, for a setting that exists.
 */
static inline const struct config_generic *
vdb_find_setting(const char *name)
{
#if PG_VERSION_NUM >= 160000
	return find_option(name, false, false, ERROR);
#else
	struct config_generic **records = get_guc_variables();

	for (int i = 0; i < GetNumConfigOptions(); i++)
	{
		if (strcmp(records[i]->name, name) == 0)
			return records[i];
	}
	elog(ERROR, "setting \"%s\" does not exist", name);
#endif
}

/* 16: what names the file of a relation is a RelFileLocator. */
#if PG_VERSION_NUM >= 160000
#define VDB_READ_RECENT_BUFFER(rel, blkno, buf) \
	ReadRecentBuffer((rel)->rd_locator, MAIN_FORKNUM, blkno, buf)
#define VDB_RELATION_FILE(rel) ((rel)->rd_locator.relNumber)
#else
#define VDB_READ_RECENT_BUFFER(rel, blkno, buf) \
	ReadRecentBuffer((rel)->rd_node, MAIN_FORKNUM, blkno, buf)
#define VDB_RELATION_FILE(rel) ((rel)->rd_node.relNode)
#endif

/* 18: the path of a relation's file is in a struct. */
#if PG_VERSION_NUM >= 180000
#define VDB_RELATION_PATH(rel) \
	pstrdup(relpathperm((rel)->rd_locator, MAIN_FORKNUM).str)
#elif PG_VERSION_NUM >= 160000
#define VDB_RELATION_PATH(rel) relpathperm((rel)->rd_locator, MAIN_FORKNUM)
#else
#define VDB_RELATION_PATH(rel) relpathperm((rel)->rd_node, MAIN_FORKNUM)
#endif

/* 17: what a process is in and what it holds are kept apart. */
#if PG_VERSION_NUM >= 170000
#define VDB_LOCAL_TRANSACTION(proc) ((proc)->vxid.lxid)
#else
#define VDB_LOCAL_TRANSACTION(proc) ((proc)->lxid)
#endif

/* 16: all settings are asked for with their number, and sorted. */
static inline struct config_generic **
vdb_all_settings(int *count)
{
#if PG_VERSION_NUM >= 160000
	return get_guc_variables(count);
#else
	*count = GetNumConfigOptions();
	return get_guc_variables();
#endif
}

/* 17: sets of events to wait for belong to a resource owner, or to nobody. */
#if PG_VERSION_NUM >= 170000
#define vdb_create_wait_event_set(count) CreateWaitEventSet(NULL, count)
#else
#define vdb_create_wait_event_set(count) \
	CreateWaitEventSet(TopMemoryContext, count)
#endif

/* 18: a function that does not return is marked before, not behind. */
#define VDB_NORETURN __attribute__((noreturn))

/* 17: ALTER TABLE changes the expression of a generated column. */
#if PG_VERSION_NUM >= 170000
#define vdb_is_set_expression(subtype) ((subtype) == AT_SetExpression)
#else
#define vdb_is_set_expression(subtype) false
#endif

/*
 * 16: what permissions a table of a query needs is kept in a list beside the
 * range table; before, in its entry.
 *
 * vdb_copy_permissions -- "to", a copy of "from", goes into a plan
 * vdb_move_permissions -- an entry of a query becomes the only one of another
 * vdb_clear_permissions -- an entry is none of a table any more
 * vdb_check_as_user -- whose permissions count, InvalidOid for the current user
 */
static inline void
vdb_copy_permissions(Query *query, RangeTblEntry *from, RangeTblEntry *to,
					 PlannedStmt *plan)
{
#if PG_VERSION_NUM >= 160000
	if (from->perminfoindex == 0)
		return;
	plan->permInfos = lappend(plan->permInfos,
							  copyObject(list_nth(query->rteperminfos,
												  from->perminfoindex - 1)));
	to->perminfoindex = list_length(plan->permInfos);
#endif
}

static inline Oid
vdb_check_as_user(List *permissions, const RangeTblEntry *entry)
{
#if PG_VERSION_NUM >= 160000
	return entry->perminfoindex == 0 ? InvalidOid :
		list_nth_node(RTEPermissionInfo, permissions,
					  entry->perminfoindex - 1)->checkAsUser;
#else
	return entry->checkAsUser;
#endif
}

/* The list of a query or a plan */
#if PG_VERSION_NUM >= 160000
#define VDB_PERMISSIONS(query) ((query)->rteperminfos)
#else
#define VDB_PERMISSIONS(query) NIL
#endif

static inline void
vdb_move_permissions(Query *from, Query *to, RangeTblEntry *entry)
{
#if PG_VERSION_NUM >= 160000
	if (entry->perminfoindex == 0)
		return;
	to->rteperminfos = list_make1(copyObject(list_nth(from->rteperminfos,
													  entry->perminfoindex - 1)));
	entry->perminfoindex = 1;
#endif
}

static inline void
vdb_clear_permissions(RangeTblEntry *entry)
{
#if PG_VERSION_NUM >= 160000
	entry->perminfoindex = 0;
#else
	entry->requiredPerms = 0;
	entry->checkAsUser = InvalidOid;
	entry->selectedCols = NULL;
	entry->insertedCols = NULL;
	entry->updatedCols = NULL;
#endif
}

/*
 * 17: the condition of MERGE is kept apart from what it reads, and it can act
 * on rows of the table that have no match in the source.
 */
#if PG_VERSION_NUM >= 170000
#define VDB_MERGE_CONDITION(query) ((query)->mergeJoinCondition)
#define vdb_is_by_source(action) \
	((action)->matchKind == MERGE_WHEN_NOT_MATCHED_BY_SOURCE)
#define vdb_is_not_matched(action) \
	((action)->matchKind == MERGE_WHEN_NOT_MATCHED_BY_TARGET)
#else
#define VDB_MERGE_CONDITION(query) ((query)->jointree->quals)
#define vdb_is_by_source(action) false
#define vdb_is_not_matched(action) (!(action)->matched)
#endif

/* 17: the virtual transaction of who holds a lock is one structure. */
static inline VirtualTransactionId
vdb_lock_transaction(const LockInstanceData *instance)
{
#if PG_VERSION_NUM >= 170000
	return instance->vxid;
#else
	VirtualTransactionId vxid = {instance->backend, instance->lxid};

	return vxid;
#endif
}

/* 16: entries of backends are asked for by their place, from 1 as before. */
#if PG_VERSION_NUM >= 160000
#define vdb_backend_entry(place) pgstat_get_local_beentry_by_index(place)
#else
#define vdb_backend_entry(place) pgstat_fetch_stat_local_beentry(place)
#endif

/*
 * 15.4: datconnlimit of a database that a DROP DATABASE was interrupted in.
 * Minor versions before that never set it.
 */
#ifdef DATCONNLIMIT_INVALID_DB
#define VDB_INVALID_DATABASE DATCONNLIMIT_INVALID_DB
#else
#define VDB_INVALID_DATABASE (-2)
#endif

#endif							/* VECDB_LIB_COMPAT_H */
