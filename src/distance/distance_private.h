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

/* which tables this build holds; the scalar one is in all */
#if defined(__x86_64__)
#define DISTANCE_X86
#elif defined(__aarch64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define DISTANCE_NEON
#endif

/* tables, one per instruction set, in the file of that name */
extern const VdbDistanceKernels distance_scalar;
#ifdef DISTANCE_X86
extern const VdbDistanceKernels distance_avx2;
extern const VdbDistanceKernels distance_avx512;
extern const VdbDistanceKernels distance_avx512_popcnt;
#endif
#ifdef DISTANCE_NEON
extern const VdbDistanceKernels distance_neon;
#endif

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
	return bits_float(sign | float_bits((float) magnitude / 16777216));
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

/*
 * The first n bytes as a little-endian word, 0 <= n <= 8, the others zero.
 * Two reads that overlap are quicker than a loop, and stay within n bytes.
 * Only for little-endian machines, which all with a table of their own are.
 */
static inline uint64
load_up_to_eight(const uint8 *bytes, Size n)
{
	uint64		word = 0;

	if (n == 8)
		memcpy(&word, bytes, 8);
	else if (n >= 4)
	{
		uint32		low;
		uint32		high;

		memcpy(&low, bytes, 4);
		memcpy(&high, bytes + n - 4, 4);
		word = low | (uint64) high << (8 * (n - 4));
	}
	else
	{
		for (Size i = 0; i < n; i++)
			word |= (uint64) bytes[i] << (8 * i);
	}
	return word;
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
