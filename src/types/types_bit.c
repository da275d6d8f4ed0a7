/*-------------------------------------------------------------------------
 *
 * types_bit.c
 *	  Distances of PostgreSQL's own bit strings.
 *
 * IDENTIFICATION
 *	  src/types/types_bit.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/varbit.h"

#include "types_private.h"

static void check_lengths(VarBit *a, VarBit *b);

/*
 * check_lengths -- refuse two bit strings of different length
 */
static void
check_lengths(VarBit *a, VarBit *b)
{
	if (VARBITLEN(a) != VARBITLEN(b))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("different bit lengths %u and %u",
						(unsigned) VARBITLEN(a), (unsigned) VARBITLEN(b))));
}

/*
 * types_jaccard -- the distance that three counts of ones amount to
 *
 * Two strings that share no one are as far apart as can be, also when there
 * is no one in either.
 */
double
types_jaccard(uint64 ab, uint64 aa, uint64 bb)
{
	if (ab == 0)
		return 1.0;
	return 1.0 - (double) ab / (double) (aa + bb - ab);
}

/*
 * hamming_distance(bit, bit) -- number of places where they differ
 *
 * The bits beyond the end of the last byte are zero in both.
 */
VDB_FUNCTION(vecdb_hamming_distance);

Datum
vecdb_hamming_distance(PG_FUNCTION_ARGS)
{
	VarBit	   *a = PG_GETARG_VARBIT_P(0);
	VarBit	   *b = PG_GETARG_VARBIT_P(1);

	check_lengths(a, b);
	PG_RETURN_FLOAT8((double) vdb_distance->hamming(VARBITBYTES(a),
													VARBITS(a), VARBITS(b)));
}

/*
 * jaccard_distance(bit, bit) -- one minus common ones over all ones
 */
VDB_FUNCTION(vecdb_jaccard_distance);

Datum
vecdb_jaccard_distance(PG_FUNCTION_ARGS)
{
	VarBit	   *a = PG_GETARG_VARBIT_P(0);
	VarBit	   *b = PG_GETARG_VARBIT_P(1);
	uint64		ab;
	uint64		aa;
	uint64		bb;

	check_lengths(a, b);
	vdb_distance->jaccard_sums(VARBITBYTES(a), VARBITS(a), VARBITS(b),
							   &ab, &aa, &bb);
	PG_RETURN_FLOAT8(types_jaccard(ab, aa, bb));
}
