/*-------------------------------------------------------------------------
 *
 * hnsw_verify_value.c
 *	  Are stored values and codes what was computed once?
 *
 * Arithmetic differs in the last bits between CPUs, so nothing here is
 * compared for being the same, but for being within what rounding allows.
 *
 * IDENTIFICATION
 *	  src/hnsw/hnsw_verify_value.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "hnsw_verify.h"

/* What sums of a few thousand floats may be off, relatively */
#define SUM_TOLERANCE	1e-3

/* and by which half a float differs from the whole */
#define FACTOR_TOLERANCE	(1.0 / 256)

static double half_a_step(const HnswIndex *index, float scale, double x);
static const char *factors_problem(const HnswVerify *verify,
								   const VdbHnswFactors *factors,
								   double l1, double l2_squared,
								   double base_dot, double base_l1,
								   double error);

/* hnsw_verify_value -- invariant 3 for a value of a coded index */
void
hnsw_verify_value(HnswVerify *verify, const HnswCopy *copy)
{
	const HnswIndex *index = &verify->index;
	const VdbHnswCodedValue *value = copy->record.value;
	const float *x = index->scratch;
	const char *problem = NULL;
	double		norm2 = 0;
	bool		has_zeros = true;
	int			exponent;

	if (!index->coded)
		return;

	hnsw_decode_value(index, value, index->scratch);
	for (int i = 0; i < index->meta.padded; i++)
	{
		norm2 += (double) x[i] * x[i];
		has_zeros = has_zeros && x[i] == 0;
	}

	/* A value of which nothing is known has no scale and infinite error */
	if (isinf(value->error) && value->error > 0 && value->scale == 0 &&
		has_zeros)
		return;

	if (!isfinite(value->scale) || value->scale < 0 || value->error < 0 ||
		isnan(value->error) ||
		(index->meta.storage == VDB_HNSW_STORAGE_FLOAT16 &&
		 frexpf(value->scale, &exponent) != 0.5) ||
		(index->meta.storage == VDB_HNSW_STORAGE_FLOAT32 &&
		 (value->scale != 1 || value->error != 0)))
		problem = "The scale or the error of the value is out of range";
	else if (!isfinite(norm2))
		problem = "An element of the value is not finite";
	else if (!(fabs(value->norm2 - norm2) <= SUM_TOLERANCE * norm2 + FLT_MIN) &&
			 norm2 <= FLT_MAX)
		problem = "The length of the value is not the one stored with it";
	if (problem != NULL)
		hnsw_verify_report(verify, 3, copy->record.ref.blkno,
						   copy->record.ref.offno, "%s", problem);
}

/*
 * How far the stored form of a true element may be from it, where the stored
 * one is "x"
 */
static double
half_a_step(const HnswIndex *index, float scale, double x)
{
	switch (index->meta.storage)
	{
		case VDB_HNSW_STORAGE_INT8:
			return 0.501 * scale;
		case VDB_HNSW_STORAGE_FLOAT16:
			return fabs(x) * 0.00049 + 6e-8 * scale;
		default:
			return 0;
	}
}

/*
 * hnsw_verify_edge -- invariant 7 for neighbour "at" of a record
 *
 * The code was made either from the stored value of the neighbour or from
 * its true one, which is within half a step of it in each element and within
 * "error" as a whole.  A bit may differ where half a step decides it, and
 * the factors by as much as that makes.
 */
void
hnsw_verify_edge(HnswVerify *verify, const HnswCopy *from, int at,
				 const HnswCopy *to)
{
	const HnswIndex *index = &verify->index;
	const VdbHnswCodedValue *base = from->record.value;
	const VdbHnswCodedValue *target = to->record.value;
	const uint8 *code = from->record.codes + at * index->code_size;
	int			padded = index->meta.padded;
	float	   *xs = index->scratch;
	float	   *ys = xs + padded;
	double		l1 = 0;
	double		l2_squared = 0;
	double		base_dot = 0;
	double		base_l1 = 0;
	int			wrong = 0;
	const char *problem;

	if (!isfinite(base->error) || !isfinite(target->error))
		return;

	hnsw_decode_value(index, base, xs);
	hnsw_decode_value(index, target, ys);
	for (int i = 0; i < padded; i++)
	{
		double		x = xs[i];
		double		y = ys[i];
		double		r = y - x;
		bool		bit;
		double		slack = half_a_step(index, target->scale, y) +
		1e-6 * (fabs(x) + fabs(y));

		l2_squared += r * r;
		if (i >= index->meta.code_bits)
			continue;
		bit = (code[i / 8] & (1 << (i % 8))) != 0;
		l1 += fabs(r);
		base_dot += bit ? x : -x;
		base_l1 += fabs(x);
		if (bit != (r > 0) && fabs(r) > slack)
			wrong++;
	}
	if (wrong > 0)
		hnsw_verify_report(verify, 7, from->record.ref.blkno,
						   from->record.ref.offno,
						   "%d bits of the code of neighbour %d do not fit the values",
						   wrong, at + 1);

	problem = factors_problem(verify, &from->record.factors[at], l1,
							  l2_squared, base_dot, base_l1, target->error);
	if (problem != NULL)
		hnsw_verify_report(verify, 7, from->record.ref.blkno,
						   from->record.ref.offno, "%s of neighbour %d",
						   problem, at + 1);
}

/*
 * What is wrong with the factors of an edge; NULL when nothing is
 *
 * "l1" and "l2_squared" are of the difference of the stored values, "error"
 * how far the true difference may be from that.
 */
static const char *
factors_problem(const HnswVerify *verify, const VdbHnswFactors *factors,
				double l1, double l2_squared, double base_dot,
				double base_l1, double error)
{
	double		l2 = sqrt(l2_squared);
	double		l1_error = sqrt(verify->index.meta.code_bits) * error;
	double		least = Max(l2 - error, 0) * Max(l2 - error, 0);
	double		most = (l2 + error) * (l2 + error);
	double		add = VdbBfloat16ToFloat(factors->add);
	double		rescale = VdbBfloat16ToFloat(factors->rescale);
	double		distance;
	double		slack;

	if (!isfinite(add) || !isfinite(rescale))
		return "The factors are not finite";

	/* Squares so small that floats hold little or nothing of them */
	if (most < FLT_MIN * verify->index.meta.padded)
		return NULL;

	/* Neighbours in one place, or so far away that squares overflow */
	if (add == 0 && rescale == 0 &&
		(l1 <= l1_error || most > FLT_MAX / 16))
		return NULL;

	if (rescale < least / (l1 + l1_error) * (1 - FACTOR_TOLERANCE) - FLT_MIN ||
		(l1 > l1_error &&
		 rescale > most / (l1 - l1_error) * (1 + FACTOR_TOLERANCE) + FLT_MIN))
		return "The factor that rescales sums does not fit the values";

	distance = add - 2 * rescale * base_dot;
	slack = SUM_TOLERANCE * most + FACTOR_TOLERANCE * fabs(add) +
		2e-5 * rescale * base_l1 + FLT_MIN;
	if (distance < least - slack || distance > most + slack)
		return "The factor that is added does not fit the values";
	return NULL;
}

/*
 * hnsw_verify_same_row -- invariant 10: is a vertex that of a heap row?
 *
 * "row" is the row's value as insertion would form it now.
 */
bool
hnsw_verify_same_row(HnswVerify *verify, const HnswQuery *row,
					 const HnswCopy *vertex)
{
	const HnswIndex *index = &verify->index;
	const void *value = vertex->record.value;
	double		distance2 = 0;
	double		limit;

	if (index->coded)
	{
		const VdbHnswCodedValue *stored = value;

		if (!isfinite(stored->error))
			return true;
		hnsw_decode_value(index, stored, index->scratch);
		for (int i = 0; i < index->meta.padded; i++)
		{
			double		difference = (double) row->rotated[i] -
			index->scratch[i];

			distance2 += difference * difference;
		}
		limit = stored->error * (1 + SUM_TOLERANCE) + 1e-5 * sqrt(row->norm2) +
			FLT_MIN;
		return !(distance2 > limit * limit);
	}

	if (index->meta.metric == VDB_METRIC_COSINE)
		return hnsw_value_distance(index, row->value.data, value) <
			-1 + SUM_TOLERANCE;
	return row->value.size == vertex->record.head->value_size &&
		memcmp(row->value.data, value, row->value.size) == 0;
}
