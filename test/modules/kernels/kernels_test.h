/*-------------------------------------------------------------------------
 *
 * kernels_test.h
 *	  What the parts of the kernel test share.
 *
 * IDENTIFICATION
 *	  test/modules/kernels/kernels_test.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef VECDB_KERNELS_TEST_H
#define VECDB_KERNELS_TEST_H

#include "postgres.h"

#include "distance_private.h"

/* the longest arrays, in bytes, that the guarded places hold */
#define PLACE_BYTES (1 << 19)

/*
 * Places for arrays, each between two pages that cannot be touched.  An array
 * either ends where the second of them begins or starts where the first ends.
 */
typedef enum Edge
{
	EDGE_END,
	EDGE_START
} Edge;

#define FOR_EDGES(edge) for (Edge edge = EDGE_END; edge <= EDGE_START; edge++)

/* in kernels_test.c */
extern bool bochs_halves;		/* see there, --bochs */
extern void *place(int number, Edge edge, Size bytes);
extern void now_testing(const char *kernel, const char *table, int length);
extern void check(bool good, const char *format,...)
			__attribute__((format(printf, 2, 3)));
extern uint64 random_bits(void);
extern int	random_int(int low, int high);
extern float random_float(void);
extern int	next_length(int length);
extern bool same_float(float x, float y);

/* the parts; each tests one table, the scalar one against definitions */
extern void test_floats(const VdbDistanceKernels *table);
extern void test_halves(const VdbDistanceKernels *table);
extern void test_all_floats(const VdbDistanceKernels *table);
extern void test_integers(const VdbDistanceKernels *table);
extern void test_codes(const VdbDistanceKernels *table);
extern void test_sparse(void);

#endif							/* VECDB_KERNELS_TEST_H */
