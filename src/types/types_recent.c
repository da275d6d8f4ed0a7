/*-------------------------------------------------------------------------
 *
 * types_recent.c
 *	  Distances that were computed a moment ago.
 *
 * SELECT ... ORDER BY embedding <=> $1 LIMIT 10 computes the distance of each
 * row that it returns twice: an index scan does it to put rows into order, and
 * then the same expression is one of the columns of the scan, though nobody
 * may have asked for it.  With a value that is stored out of line that means
 * to fetch it twice, which takes much longer than to compare it.
 *
 * So the last distances between values stored out of line and one in memory
 * are remembered, by the number that TOAST gave to the value.  A number is
 * not given to another value while the first one is there, and four thousand
 * million others come before it is; all the same nothing is remembered beyond
 * a statement of the client's.
 *
 * IDENTIFICATION
 *	  src/types/types_recent.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/xact.h"
#include "storage/proc.h"
#include "utils/memutils.h"

#include "vecdb/lib_compat.h"

#include "types_private.h"

/* Distances that are remembered; a power of two */
#define PLACES	1024

/* What all distances that are valid have in common */
static LocalTransactionId transaction = InvalidLocalTransactionId;
static TimestampTz statement = 0;
static char *other = NULL;		/* copy of the value in memory */
static Size other_size = 0;
static Size other_space = 0;

static TypesRecent *places = NULL;
static uint64 round_now = 0;	/* other rounds are forgotten */

static bool is_whole(const struct varlena *value);
static bool begin_round(const struct varlena *value);

/*
 * types_recent -- where the distance of two arguments is, or will be
 *
 * NULL unless one of them is stored out of line and the other is in memory.
 * The caller looks at is_known; if it is not, the caller sets the distance and
 * is_known once it has computed that.
 */
TypesRecent *
types_recent(FunctionCallInfo fcinfo)
{
	struct varlena *stored = (struct varlena *) PG_GETARG_POINTER(0);
	struct varlena *value = (struct varlena *) PG_GETARG_POINTER(1);
	struct varatt_external pointer;
	TypesRecent *place;
	Oid			function;

	if (!VARATT_IS_EXTERNAL_ONDISK(stored))
	{
		stored = value;
		value = (struct varlena *) PG_GETARG_POINTER(0);
		if (!VARATT_IS_EXTERNAL_ONDISK(stored))
			return NULL;
	}
	if (!is_whole(value) || fcinfo->flinfo == NULL || !begin_round(value))
		return NULL;

	function = fcinfo->flinfo->fn_oid;
	VARATT_EXTERNAL_GET_POINTER(pointer, stored);
	place = &places[(pointer.va_valueid * UINT64CONST(0x9E3779B97F4A7C15) >> 32) %
					PLACES];
	if (place->round != round_now || place->value != pointer.va_valueid ||
		place->toast != pointer.va_toastrelid || place->function != function)
	{
		place->round = round_now;
		place->value = pointer.va_valueid;
		place->toast = pointer.va_toastrelid;
		place->function = function;
		place->is_known = false;
	}
	return place;
}

/* Is this value in memory, neither compressed nor with a short header? */
static bool
is_whole(const struct varlena *value)
{
	return !VARATT_IS_EXTENDED(value);
}

/*
 * Forget everything unless the last call was made by the same statement with
 * the same value; false without the memory to remember it
 */
static bool
begin_round(const struct varlena *value)
{
	Size		size = VARSIZE(value);
	char	   *space;

	if (transaction == VDB_LOCAL_TRANSACTION(MyProc) &&
		statement == GetCurrentStatementStartTimestamp() &&
		other_size == size && memcmp(other, value, size) == 0)
		return true;

	if (places == NULL)
		places = MemoryContextAllocZero(TopMemoryContext,
										sizeof(TypesRecent) * PLACES);
	if (other_space < size)
	{
		space = MemoryContextAllocExtended(TopMemoryContext, size,
										   MCXT_ALLOC_NO_OOM);
		if (space == NULL)
			return false;
		if (other != NULL)
			pfree(other);
		other = space;
		other_space = size;
	}
	memcpy(other, value, size);
	other_size = size;
	transaction = VDB_LOCAL_TRANSACTION(MyProc);
	statement = GetCurrentStatementStartTimestamp();
	round_now++;
	return true;
}
