/*-------------------------------------------------------------------------
 *
 * types_check.c
 *	  What every value must fulfil, and the errors when it does not.
 *
 * The texts and error codes are part of the interface: they are pgvector's,
 * and applications look at them.
 *
 * IDENTIFICATION
 *	  src/types/types_check.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "types_private.h"

/*
 * types_check_dimensions -- invariant 1: between 1 and the type's maximum
 */
void
types_check_dimensions(int dim, int max_dim, const char *type_name)
{
	if (dim < 1)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("%s must have at least 1 dimension", type_name)));
	if (dim > max_dim)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("%s cannot have more than %d dimensions",
						type_name, max_dim)));
}

/*
 * types_check_expected -- as many dimensions as the type modifier says
 */
void
types_check_expected(int32 typmod, int dim)
{
	if (typmod != -1 && typmod != dim)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("expected %d dimensions, not %d", typmod, dim)));
}

/*
 * types_check_unused -- the reserved field of a binary message
 */
void
types_check_unused(int unused)
{
	if (unused != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("expected unused to be 0, not %d", unused)));
}

/*
 * types_report_different -- two values that do not go together
 */
void
types_report_different(int a, int b, const char *type_name)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_EXCEPTION),
			 errmsg("different %s dimensions %d and %d", type_name, a, b)));
	pg_unreachable();
}

/*
 * types_report_element -- invariant 2: an element is not a number, or not
 * finite
 */
void
types_report_element(float value, const char *type_name)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_EXCEPTION),
			 isnan(value) ?
			 errmsg("NaN not allowed in %s", type_name) :
			 errmsg("infinite value not allowed in %s", type_name)));
	pg_unreachable();
}

/*
 * types_report_corrupt -- invariant 3: the length does not fit the header
 */
void
types_report_corrupt(const char *type_name)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("invalid stored value of type %s", type_name),
			 errdetail("The length of the value does not match the number of elements it claims to have."),
			 errhint("Check the storage, and restore the row from a backup.")));
	pg_unreachable();
}

/*
 * types_check_nnz -- invariant 4: as many elements as a sparsevec may have
 */
void
types_check_nnz(int nnz, int dim)
{
	if (nnz < 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("sparsevec cannot have negative number of elements")));
	if (nnz > VDB_SPARSEVEC_MAX_NNZ)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("sparsevec cannot have more than %d non-zero elements",
						VDB_SPARSEVEC_MAX_NNZ)));
	if (nnz > dim)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("sparsevec cannot have more elements than dimensions")));
}

/*
 * types_check_index -- invariant 5: indices[i] is within bounds and above
 * the one before, which has been checked
 */
void
types_check_index(const int32 *indices, int i, int dim)
{
	if (indices[i] < 0 || indices[i] >= dim)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("sparsevec index out of bounds")));
	if (i > 0 && indices[i] < indices[i - 1])
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("sparsevec indices must be in ascending order")));
	if (i > 0 && indices[i] == indices[i - 1])
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("sparsevec indices must not contain duplicates")));
}
