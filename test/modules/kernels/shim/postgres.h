/*-------------------------------------------------------------------------
 *
 * postgres.h
 *	  Stands in for PostgreSQL's header of this name where kernels are built
 *	  without the server: the few types that they use.
 *
 * IDENTIFICATION
 *	  test/modules/kernels/shim/postgres.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef VECDB_KERNELS_SHIM_POSTGRES_H
#define VECDB_KERNELS_SHIM_POSTGRES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef int8_t int8;
typedef int32_t int32;
typedef uint8_t uint8;
typedef uint16_t uint16;
typedef uint32_t uint32;
typedef uint64_t uint64;
typedef size_t Size;

#endif							/* VECDB_KERNELS_SHIM_POSTGRES_H */
