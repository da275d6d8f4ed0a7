/*-------------------------------------------------------------------------
 *
 * distance_dispatch.c
 *	  Which kernel tables this processor and this build can run.
 *
 * A table counts as available when the processor has every instruction its
 * file is compiled for and the operating system saves the registers they use.
 *
 * IDENTIFICATION
 *	  src/distance/distance_dispatch.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "distance_private.h"

const VdbDistanceKernels *vdb_distance = &distance_scalar;


/* The scalar table always runs, and NEON is part of every aarch64. */
static bool
have_always(void)
{
	return true;
}

/* all tables of this build, best first; of two with one name the first wins */
static const struct
{
	const VdbDistanceKernels *table;
	bool		(*available) (void);
}			known_tables[] = {
	{&distance_scalar, have_always},
};

/*
 * The table of that name if this build holds it and this processor can run
 * it, otherwise NULL.
 */
const VdbDistanceKernels *
vdb_distance_find(const char *name)
{
	for (size_t i = 0; i < sizeof(known_tables) / sizeof(known_tables[0]); i++)
	{
		if (strcmp(known_tables[i].table->name, name) == 0 &&
			known_tables[i].available())
			return known_tables[i].table;
	}
	return NULL;
}

/* The first table that can run; there is always one. */
const VdbDistanceKernels *
distance_best(void)
{
	size_t		i = 0;

	while (!known_tables[i].available())
		i++;
	return known_tables[i].table;
}
