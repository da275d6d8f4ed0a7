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

#ifdef DISTANCE_X86
#include <cpuid.h>
#endif

const VdbDistanceKernels *vdb_distance = &distance_scalar;


#ifdef DISTANCE_X86

/*
 * AVX2 with FMA and F16C.  __builtin_cpu_supports asks the operating system
 * too (XGETBV), but older compilers do not know F16C by name.
 */
static bool
have_avx2(void)
{
	unsigned int eax;
	unsigned int ebx;
	unsigned int ecx;
	unsigned int edx;

	__builtin_cpu_init();
	return __builtin_cpu_supports("avx2") &&
		__builtin_cpu_supports("fma") &&
		__get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_F16C) != 0;
}

/* AVX-512 as every server processor with it has it, from Skylake on */
static bool
have_avx512(void)
{
	return have_avx2() &&
		__builtin_cpu_supports("avx512f") &&
		__builtin_cpu_supports("avx512bw") &&
		__builtin_cpu_supports("avx512vl") &&
		__builtin_cpu_supports("avx512dq");
}

/* the same with an instruction that counts ones, from Ice Lake and Zen 4 on */
static bool
have_avx512_popcnt(void)
{
	return have_avx512() && __builtin_cpu_supports("avx512vpopcntdq");
}

#endif							/* DISTANCE_X86 */

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
#ifdef DISTANCE_X86
	{&distance_avx512_popcnt, have_avx512_popcnt},
	{&distance_avx512, have_avx512},
	{&distance_avx2, have_avx2},
#endif
#ifdef DISTANCE_NEON
	{&distance_neon, have_always},
#endif
	{&distance_scalar, have_always},
};

/*
 * The table of that name if this build holds it and this processor can run
 * it, otherwise NULL.
 */
const VdbDistanceKernels *
vdb_distance_find(const char *name)
{
	for (Size i = 0; i < sizeof(known_tables) / sizeof(known_tables[0]); i++)
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
	Size		i = 0;

	while (!known_tables[i].available())
		i++;
	return known_tables[i].table;
}
