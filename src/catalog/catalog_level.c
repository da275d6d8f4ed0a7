/*-------------------------------------------------------------------------
 *
 * catalog_level.c
 *	  vecdb.read_from: at which hosts of a group a session reads.
 *
 * What the setting promises is kept by the rooms below: the planner makes
 * plans that leave the choice to execution, and the replication room knows
 * which hosts are fit.
 *
 * IDENTIFICATION
 *	  src/catalog/catalog_level.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/syscache.h"

#include "catalog_private.h"

static const struct config_enum_entry level_options[] = {
	{"leader", VDB_READ_LEADER, false},
	{"follower", VDB_READ_FOLLOWER, false},
	{"any", VDB_READ_ANY, false},
	{"leased", VDB_READ_LEASED, false},
	{NULL, 0, false}
};

static int	read_from = VDB_READ_LEADER;

static void note_level(int value, void *extra);

/* catalog_level_init -- define the setting; while libraries are preloaded */
void
catalog_level_init(void)
{
	DefineCustomEnumVariable("vecdb.read_from",
							 "Sets at which hosts of a group statements read that change nothing.",
							 NULL, &read_from, VDB_READ_LEADER,
							 level_options, PGC_USERSET, 0,
							 NULL, note_level, NULL);
}

/*
 * Plans that are kept may read this node's rows without asking
 *
 * Made again are those that would be others now, and no more: the setting may
 * be set for each transaction.
 */
static void
note_level(int value, void *extra)
{
	if (IsUnderPostmaster &&
		((value == VDB_READ_LEADER) != (read_from == VDB_READ_LEADER) ||
		 (value == VDB_READ_LEASED) != (read_from == VDB_READ_LEASED)))
		CallSyscacheCallbacks(PROCOID, VDB_READ_FROM_MARK);
}

VdbReadFrom
vdb_catalog_read_from(void)
{
	return (VdbReadFrom) read_from;
}

const char *
vdb_catalog_level_name(VdbReadFrom level)
{
	return level_options[level].name;
}

bool
vdb_catalog_reads_plainly(void)
{
	return read_from == VDB_READ_LEADER && !RecoveryInProgress();
}

bool
vdb_catalog_reads_copies(void)
{
	return read_from != VDB_READ_LEASED && !RecoveryInProgress();
}
