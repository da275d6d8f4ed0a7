/*-------------------------------------------------------------------------
 *
 * distance_private.h
 *	  What the files of the distance room share with each other.
 *
 * The kernels never call the server.  Of PostgreSQL they need the integer
 * types of postgres.h alone, so that test/modules/kernels can build them
 * without it, for this machine or for another one.
 *
 * IDENTIFICATION
 *	  src/distance/distance_private.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef VECDB_DISTANCE_PRIVATE_H
#define VECDB_DISTANCE_PRIVATE_H

#include "vecdb/distance.h"

#include <string.h>

/* tables, one per instruction set, in the file of that name */
extern const VdbDistanceKernels distance_scalar;

/* in distance_dispatch.c */
extern const VdbDistanceKernels *distance_best(void);

/* the bits of a float, and the float of such bits */
static inline uint32
float_bits(float value)
{
	uint32		bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

static inline float
bits_float(uint32 bits)
{
	float		value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

/*
 * Float of a half; exact.  A signalling NaN comes out quiet with its payload,
 * as processors do it.
 */
static inline float
widen_half(VdbHalf half)
{
	uint32		sign = (uint32) (half & 0x8000) << 16;
	uint32		magnitude = half & 0x7fff;

	if (magnitude > 0x7c00)
		return bits_float(sign | 0x7fc00000 | (magnitude & 0x3ff) << 13);
	if (magnitude == 0x7c00)
		return bits_float(sign | 0x7f800000);
	if (magnitude >= 0x0400)
		return bits_float(sign | ((magnitude << 13) + 0x38000000));

	/* subnormal or zero: a multiple of 2^-24, which float holds exactly */
	return bits_float(sign | float_bits((float) magnitude * 0x1p-24f));
}

/*
 * Half nearest to a float, of two equally near ones the even one.  From 65520
 * on that is infinity; NaN stays NaN, made quiet, with the upper part of its
 * payload.
 */
static inline VdbHalf
narrow_float(float value)
{
	uint32		bits = float_bits(value);
	uint32		sign = (bits >> 16) & 0x8000;
	uint32		magnitude = bits & 0x7fffffff;
	uint32		mantissa;
	uint32		half;
	uint32		shift;
	uint32		rest;

	if (magnitude > 0x7f800000)
		return sign | 0x7e00 | ((magnitude >> 13) & 0x3ff);
	if (magnitude >= 0x47800000)	/* 65536 */
		return sign | 0x7c00;
	if (magnitude >= 0x38800000)	/* 2^-14, the least normal half */
	{
		/* a carry out of the mantissa rightly raises the exponent */
		magnitude -= 0x38000000;
		magnitude += 0x0fff + ((magnitude >> 13) & 1);
		return sign | (magnitude >> 13);
	}
	if (magnitude < 0x33000000) /* 2^-25, half of the least subnormal */
		return sign;

	mantissa = (magnitude & 0x007fffff) | 0x00800000;
	shift = 126 - (magnitude >> 23);
	half = mantissa >> shift;
	rest = mantissa & ((1U << shift) - 1);
	if (rest > 1U << (shift - 1) || (rest == 1U << (shift - 1) && (half & 1)))
		half++;
	return sign | half;
}

/* 2^(-log2_dim / 2), rounded once */
static inline float
hadamard_scale(int log2_dim)
{
	double		scale = (log2_dim % 2) ? 0.70710678118654752440 : 1.0;

	for (int i = log2_dim / 2; i > 0; i--)
		scale *= 0.5;
	return (float) scale;
}

#endif							/* VECDB_DISTANCE_PRIVATE_H */
