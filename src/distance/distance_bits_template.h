/*-------------------------------------------------------------------------
 *
 * distance_bits_template.h
 *	  Template of the kernels that count ones.
 *
 * To be included once per way of counting, with parameters that are
 * undefined again at the end:
 *
 *	  BITS_KERNEL	storage class and attributes of the functions
 *	  BITS_HAMMING, BITS_JACCARD	their names
 *	  BITS_COUNT(bytes)	the numbers of ones of a Bytes, as a Bytes made of
 *					64-bit integers
 *
 * and with these in scope:
 *
 *	  Bytes, BYTES	a register of bytes, and how many they are
 *	  bytes_zero, bytes_load, bytes_load_tail, bytes_xor, bytes_and
 *	  bytes_add64, bytes_sum64	addition and total of 64-bit integers
 *
 * IDENTIFICATION
 *	  src/distance/distance_bits_template.h
 *
 *-------------------------------------------------------------------------
 */

/* The number of ones in a xor b. */
BITS_KERNEL uint64
BITS_HAMMING(Size bytes, const uint8 *a, const uint8 *b)
{
	Bytes		sum0 = bytes_zero();
	Bytes		sum1 = bytes_zero();
	Size		i = 0;

	for (; bytes - i >= 2 * BYTES; i += 2 * BYTES)
	{
		Bytes		x = bytes_xor(bytes_load(a + i), bytes_load(b + i));
		Bytes		y = bytes_xor(bytes_load(a + i + BYTES),
								  bytes_load(b + i + BYTES));

		sum0 = bytes_add64(sum0, BITS_COUNT(x));
		sum1 = bytes_add64(sum1, BITS_COUNT(y));
	}
	if (bytes - i >= BYTES)
	{
		Bytes		x = bytes_xor(bytes_load(a + i), bytes_load(b + i));

		sum0 = bytes_add64(sum0, BITS_COUNT(x));
		i += BYTES;
	}
	if (i < bytes)
	{
		Bytes		x = bytes_xor(bytes_load_tail(a + i, bytes - i),
								  bytes_load_tail(b + i, bytes - i));

		sum1 = bytes_add64(sum1, BITS_COUNT(x));
	}
	return bytes_sum64(bytes_add64(sum0, sum1));
}

/* The numbers of ones in a and b, in a, and in b. */
BITS_KERNEL void
BITS_JACCARD(Size bytes, const uint8 *a, const uint8 *b,
			 uint64 *ab, uint64 *aa, uint64 *bb)
{
	Bytes		sum_ab = bytes_zero();
	Bytes		sum_aa = bytes_zero();
	Bytes		sum_bb = bytes_zero();
	Size		i = 0;

	while (i < bytes)
	{
		Size		rest = bytes - i;
		Bytes		x;
		Bytes		y;

		if (rest >= BYTES)
		{
			x = bytes_load(a + i);
			y = bytes_load(b + i);
		}
		else
		{
			x = bytes_load_tail(a + i, rest);
			y = bytes_load_tail(b + i, rest);
		}
		sum_ab = bytes_add64(sum_ab, BITS_COUNT(bytes_and(x, y)));
		sum_aa = bytes_add64(sum_aa, BITS_COUNT(x));
		sum_bb = bytes_add64(sum_bb, BITS_COUNT(y));
		i += BYTES;
	}
	*ab = bytes_sum64(sum_ab);
	*aa = bytes_sum64(sum_aa);
	*bb = bytes_sum64(sum_bb);
}

#undef BITS_KERNEL
#undef BITS_HAMMING
#undef BITS_JACCARD
#undef BITS_COUNT
