/*-------------------------------------------------------------------------
 *
 * distance_setting.c
 *	  The setting vecdb.instruction_set, which chooses the kernel table.
 *
 * This is the one file of the room that knows the server.
 *
 * IDENTIFICATION
 *	  src/distance/distance_setting.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "distance_private.h"
#include "utils/guc.h"

static bool check_instruction_set(int *newval, void **extra, GucSource source);
static void assign_instruction_set(int newval, void *extra);

#define INSTRUCTION_SET_AUTO	0

/* values of the setting; the number is the place in this array */
static const struct config_enum_entry instruction_sets[] = {
	{"auto", INSTRUCTION_SET_AUTO, false},
	{"scalar", 1, false},
	{"avx2", 2, false},
	{"avx512", 3, false},
	{"neon", 4, false},
	{NULL, 0, false}
};

static int	instruction_set = INSTRUCTION_SET_AUTO;


/* The table that a value of the setting stands for, NULL if it cannot run. */
static const VdbDistanceKernels *
table_of_setting(int value)
{
	if (value == INSTRUCTION_SET_AUTO)
		return distance_best();
	return vdb_distance_find(instruction_sets[value].name);
}

/*
 * Refuses an instruction set that would end the server with an illegal
 * instruction, or that was not compiled in.
 */
static bool
check_instruction_set(int *newval, void **extra, GucSource source)
{
	if (table_of_setting(*newval) != NULL)
		return true;

	GUC_check_errcode(ERRCODE_FEATURE_NOT_SUPPORTED);
	GUC_check_errmsg("instruction set \"%s\" is not available",
					 instruction_sets[*newval].name);
	GUC_check_errdetail("Either this processor or its operating system lacks it, or vecdb was built for another architecture.");
	GUC_check_errhint("Use \"auto\", which is \"%s\" here, or \"scalar\".",
					  distance_best()->name);
	return false;
}

/* Switches the kernels of this session; the value has been checked. */
static void
assign_instruction_set(int newval, void *extra)
{
	vdb_distance = table_of_setting(newval);
}

/*
 * Chooses the best table and defines the setting.  Called once, while the
 * library is being loaded.
 */
void
vdb_distance_init(void)
{
	vdb_distance = distance_best();

	DefineCustomEnumVariable("vecdb.instruction_set",
							 "Chooses the processor instructions that compute distances.",
							 "\"auto\" takes the best ones that this processor has; the others are for tests and measurements.",
							 &instruction_set,
							 INSTRUCTION_SET_AUTO,
							 instruction_sets,
							 PGC_USERSET,
							 0,
							 check_instruction_set,
							 assign_instruction_set,
							 NULL);
}
