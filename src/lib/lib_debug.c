/*-------------------------------------------------------------------------
 *
 * lib_debug.c
 *	  Debug points: the setting, and what happens at a point.
 *
 * The setting is kept as the text it was given as and is searched each time
 * that a point is reached.  That is slow and does not matter: it happens in
 * tests only.
 *
 * IDENTIFICATION
 *	  src/lib/lib_debug.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/guc.h"

#include "vecdb/lib_debug.h"

/* What may stand in a name or an action */
#define WORD_CHARACTERS "abcdefghijklmnopqrstuvwxyz0123456789_"

/* One entry of the list; the words are in the text of the setting */
typedef struct DebugEntry
{
	const char *name;
	Size		name_length;
	const char *action;
	Size		action_length;	/* 0 when the entry is a name only */
} DebugEntry;

bool		vdb_debug_enabled = false;

static char *debug_points;

static bool check_points(char **value, void **extra, GucSource source);
static void assign_points(const char *value, void *extra);
static bool read_entry(const char **at, DebugEntry *entry);
static bool read_word(const char **at, const char **word, Size *length);
static bool is_word(const char *word, Size length, const char *expected);
static bool is_number(const DebugEntry *entry);
static bool find_entry(const char *name, DebugEntry *entry);
static void wait_for_lock(const char *name);

/* vdb_debug_init -- see vecdb/lib_debug.h */
void
vdb_debug_init(void)
{
	DefineCustomStringVariable("vecdb.debug_points",
							   "Sets the points in the code at which tests hold this session.",
							   "A list of names, each for itself or with =notice, =error or a number.",
							   &debug_points, "", PGC_SUSET,
							   GUC_NOT_IN_SAMPLE,
							   check_points, assign_points, NULL);
}

static bool
check_points(char **value, void **extra, GucSource source)
{
	const char *at = *value;
	DebugEntry	entry;

	while (*at != '\0')
	{
		if (!read_entry(&at, &entry))
		{
			GUC_check_errdetail("An entry is a name, or a name with =notice, =error or a number.");
			return false;
		}
	}
	return true;
}

static void
assign_points(const char *value, void *extra)
{
	vdb_debug_enabled = value[0] != '\0';
}

/*
 * Read one entry and the comma after it; false when it is not well formed
 */
static bool
read_entry(const char **at, DebugEntry *entry)
{
	entry->action_length = 0;
	if (!read_word(at, &entry->name, &entry->name_length))
		return false;
	if (**at == '=')
	{
		(*at)++;
		if (!read_word(at, &entry->action, &entry->action_length))
			return false;
		if (!is_word(entry->action, entry->action_length, "notice") &&
			!is_word(entry->action, entry->action_length, "error") &&
			!is_number(entry))
			return false;
	}
	if (**at == ',')
		return *++(*at) != '\0';
	return **at == '\0';
}

/* Read a word and the white space around it; false when there is none */
static bool
read_word(const char **at, const char **word, Size *length)
{
	while (isspace((unsigned char) **at))
		(*at)++;
	*word = *at;
	*length = strspn(*at, WORD_CHARACTERS);
	*at += *length;
	while (isspace((unsigned char) **at))
		(*at)++;
	return *length > 0;
}

static bool
is_word(const char *word, Size length, const char *expected)
{
	return length == strlen(expected) && memcmp(word, expected, length) == 0;
}

/* Is the action a number that fits into an int? */
static bool
is_number(const DebugEntry *entry)
{
	return entry->action_length > 0 && entry->action_length < 10 &&
		strspn(entry->action, "0123456789") == entry->action_length;
}

/* Find a point in the setting */
static bool
find_entry(const char *name, DebugEntry *entry)
{
	const char *at = debug_points;

	while (*at != '\0' && read_entry(&at, entry))
	{
		if (is_word(entry->name, entry->name_length, name))
			return true;
	}
	return false;
}

/*
 * vdb_debug_reach -- do at a point what the setting says
 *
 * Returns, if at all, with the same locks held as before.
 */
void
vdb_debug_reach(const char *name)
{
	DebugEntry	entry;

	/* Lightweight locks hold interrupts: a test would hang for ever */
	if (CritSectionCount > 0 || InterruptHoldoffCount > 0)
		elog(ERROR, "debug point \"%s\" was reached with a lightweight lock",
			 name);

	if (!find_entry(name, &entry))
		return;
	if (entry.action_length == 0)
		wait_for_lock(name);
	else if (is_word(entry.action, entry.action_length, "notice"))
		ereport(NOTICE,
				(errmsg("debug point \"%s\" was reached", name)));
	else if (is_word(entry.action, entry.action_length, "error"))
		ereport(ERROR,
				(errcode(ERRCODE_OPERATOR_INTERVENTION),
				 errmsg("debug point \"%s\" raises an error", name)));
}

/* vdb_debug_value -- the number that the setting gives, or "value" */
int
vdb_debug_value(const char *name, int value)
{
	DebugEntry	entry;

	if (find_entry(name, &entry) && is_number(&entry))
		return (int) strtol(entry.action, NULL, 10);
	return value;
}

/*
 * Wait until nobody holds the advisory lock of a point
 *
 * The lock is shared, so that several sessions held at the same point go on
 * together.  It is given back at once, or at the end of the transaction when
 * the wait is cancelled.
 */
static void
wait_for_lock(const char *name)
{
	uint32		key = hash_bytes((const unsigned char *) name,
								 (int) strlen(name));
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, VDB_DEBUG_LOCK_CLASS, key, 2);
	LockAcquire(&tag, ShareLock, false, false);
	LockRelease(&tag, ShareLock, false);
}
