/*-------------------------------------------------------------------------
 *
 * types_toast.c
 *	  Fetching values that are stored out of line.
 *
 * A vector of more than about 500 dimensions is kept in TOAST, in chunks of
 * about 2,000 bytes.  An index scan computes a true distance from a dozen
 * such rows for each search, and with PostgreSQL's own detoasting most of the
 * time of that went into finding the chunks: an index of the TOAST table is
 * opened and descended, and each chunk is a heap fetch of its own, though all
 * chunks of a value were written one after the other.
 *
 * So a backend remembers where it found the first chunk of a value, and reads
 * the chunks from there, one behind the other.  Where a value is that it meets
 * for the first time, it guesses by others: numbers of values and places of
 * their chunks grow together as rows are stored.  Both are no more than
 * guesses: a chunk says of which value it is and which of its chunks, and the
 * number of a value is not given to another while the table has a chunk of it
 * that is not dead, nor before 2^32 others were given.  So a dead chunk could
 * be taken for that of another value only if VACUUM did not come by in all
 * that time.  Whenever anything is not as expected, PostgreSQL's own index of
 * the chunks is asked, or its own function does it all.
 *
 * IDENTIFICATION
 *	  src/types/types_toast.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/detoast.h"
#include "access/genam.h"
#include "access/heapam.h"
#include "access/heaptoast.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/toast_internals.h"
#include "pgstat.h"
#include "storage/buf_internals.h"
#include "storage/bufmgr.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "vecdb/lib_compat.h"
#include "vecdb/types.h"

#include "types_private.h"

/*
 * Places to remember first chunks at, 20 bytes each: a backend begins with few
 * and doubles them when values take the places of others.  Powers of two.
 */
#define FIRST_PLACES	1024
#define MOST_PLACES		(64 * 1024)

/*
 * How often a page is looked up although it is known where it should be: only
 * that counts as a use to those who choose the buffer to be replaced
 */
#define TURNS	16

/* Where the first chunk of a value was last */
typedef struct ChunkPlace
{
	Oid			file;			/* number of the TOAST table's file */
	Oid			value;
	BlockNumber blkno;
	OffsetNumber offno;			/* InvalidOffsetNumber: nothing is known */
	uint16		end;			/* of the chunk, on its page */
	Buffer		buf;			/* where that block was */
} ChunkPlace;

/* What a place is guessed by: some value of so many numbers */
typedef struct ChunkAnchor
{
	Oid			file;
	Oid			value;
	BlockNumber blkno;
} ChunkAnchor;

#define ANCHORS				1024
#define VALUES_OF_ANCHOR	64

/* How values lie in a TOAST table */
typedef struct ChunkLayout
{
	double		blocks_per_value;	/* 0 while it is not known */
	ChunkAnchor base;			/* a value that was found */
	uint32		failures;		/* in a row */
} ChunkLayout;

#define LAYOUTS				16

/* After so many guesses in a row that failed, most are not made */
#define MAX_FAILURES		8

/* Pages that are looked at for a guess, each leading nearer */
#define MAX_GUESSES			3

/* A page of full chunks has few items; others are not worth the search */
#define MAX_GUESS_ITEMS		64

/* A value being fetched */
typedef struct ChunkReader
{
	Relation	toast;
	Oid			value;
	BlockNumber blkno;			/* of "buf", if that is valid */
	Buffer		buf;			/* pinned and locked */
	char	   *to;				/* where the next chunk goes */
	Size		left;			/* bytes that are still to come */
	int			next;			/* number of the next chunk */
	Size		end;			/* of the first one, on its page */
} ChunkReader;

/* What a chunk has besides its bytes: tuple header, numbers and length */
#define CHUNK_OVERHEAD \
	MAXALIGN(SizeofHeapTupleHeader + sizeof(Oid) + sizeof(int32) + VARHDRSZ)

static ChunkPlace *places = NULL;
static uint32 place_count = 0;
static uint32 collisions = 0;	/* since there are so many places */
static uint32 turn = 0;
static Oid	last_toast = InvalidOid;	/* TOAST table of the value fetched
										 * last */
static Oid	last_file = InvalidOid; /* number of its file */
static ChunkAnchor anchors[ANCHORS];
static ChunkLayout layouts[LAYOUTS];

static bool fetch_chunks(Relation toast, Oid value, char *to, Size size);
static ChunkPlace *get_place(Relation toast, Oid value);
static bool guess_first_chunk(ChunkReader *reader, ChunkPlace *place);
static bool find_on_page(const ChunkReader *reader, OffsetNumber *offno,
						 Oid *other);
static ChunkAnchor *get_anchor(Oid file, Oid value);
static void learn_layout(const ChunkPlace *place);
static ChunkPlace *find_place(Oid file, Oid value);
static void make_places(uint32 count);
static bool find_first_chunk(Relation toast, Oid value, ChunkPlace *place);
static bool read_chunks(ChunkReader *reader, OffsetNumber offno);
static bool read_chunk(ChunkReader *reader, OffsetNumber offno);
static void lock_block(ChunkReader *reader, BlockNumber blkno);

/*
 * types_detoast -- a value in memory, whole and aligned
 *
 * As PG_DETOAST_DATUM() does it: returns the value itself where it is that
 * already, and otherwise a copy in the current memory context.
 */
struct varlena *
types_detoast(Datum datum)
{
	struct varlena *value = (struct varlena *) DatumGetPointer(datum);
	struct varatt_external pointer;
	struct varlena *result;
	Relation	toast;
	Size		size;
	bool		found = false;

	if (!VARATT_IS_EXTERNAL_ONDISK(value))
		return PG_DETOAST_DATUM(datum);
	VARATT_EXTERNAL_GET_POINTER(pointer, value);
	size = VARATT_EXTERNAL_GET_EXTSIZE(pointer);
	if (VARATT_EXTERNAL_IS_COMPRESSED(pointer) || size == 0 ||
		pointer.va_rawsize != (int32) (size + VARHDRSZ))
		return PG_DETOAST_DATUM(datum);

	result = palloc(size + VARHDRSZ);
	SET_VARSIZE(result, size + VARHDRSZ);
	toast = table_open(pointer.va_toastrelid, AccessShareLock);
	if (toast->rd_tableam == GetHeapamTableAmRoutine())
		found = fetch_chunks(toast, pointer.va_valueid, VARDATA(result), size);
	table_close(toast, AccessShareLock);
	if (found)
		return result;
	pfree(result);
	return PG_DETOAST_DATUM(datum);
}

/*
 * Copy all chunks of a value, from where the first one was last or from where
 * the index says that it is; false when that did not work out
 */
static bool
fetch_chunks(Relation toast, Oid value, char *to, Size size)
{
	ChunkPlace *place = get_place(toast, value);
	ChunkReader reader = {0};
	bool		known = place->offno != InvalidOffsetNumber;

	reader.toast = toast;
	reader.value = value;
	reader.to = to;
	reader.left = size;

	/* an error on the way may have left no more than the block's number */
	if (known && ++turn % TURNS != 0 && BufferIsValid(place->buf) &&
		VDB_READ_RECENT_BUFFER(toast, place->blkno, place->buf))
	{
		reader.buf = place->buf;
		reader.blkno = place->blkno;
		LockBuffer(reader.buf, BUFFER_LOCK_SHARE);
		pgstat_count_buffer_read(toast);
		pgstat_count_buffer_hit(toast);
	}
	else if (known || !guess_first_chunk(&reader, place))
	{
		if (!known && !find_first_chunk(toast, value, place))
			return false;
		/* VACUUM may have cut off what was there once */
		if (place->blkno >= RelationGetNumberOfBlocks(toast))
		{
			place->offno = InvalidOffsetNumber;
			return false;
		}
		lock_block(&reader, place->blkno);
		place->buf = reader.buf;
	}

	if (read_chunks(&reader, place->offno))
	{
		place->end = reader.end;
		last_toast = RelationGetRelid(toast);
		last_file = place->file;
		if (!known)
			learn_layout(place);
		return true;
	}
	place->offno = InvalidOffsetNumber;
	return false;
}

/*
 * vdb_types_prefetch -- see types.h
 *
 * Chunks that follow each other lie one below the other on a page.  A wrong
 * guess costs little and harms nothing.
 */
bool
vdb_types_prefetch(Datum value)
{
	struct varlena *stored = (struct varlena *) DatumGetPointer(value);
	struct varatt_external pointer;
	const ChunkPlace *place;
	const char *page;
	Size		size;

	if (!VARATT_IS_EXTERNAL_ONDISK(stored))
		return false;
	VARATT_EXTERNAL_GET_POINTER(pointer, stored);
	if (places == NULL || pointer.va_toastrelid != last_toast)
		return true;
	place = find_place(last_file, pointer.va_valueid);
	if (place->file != last_file || place->value != pointer.va_valueid ||
		place->offno == InvalidOffsetNumber || place->end > BLCKSZ ||
		place->buf <= 0 || place->buf > NBuffers)
		return true;

	__builtin_prefetch(GetBufferDescriptor(place->buf - 1));
	page = (const char *) BufferGetBlock(place->buf);
	__builtin_prefetch(page);
	size = VARATT_EXTERNAL_GET_EXTSIZE(pointer);
	size += (size / TOAST_MAX_CHUNK_SIZE + 1) * CHUNK_OVERHEAD;
	for (Size at = place->end - Min(size, place->end); at < place->end; at += 64)
		__builtin_prefetch(page + at);
	return true;
}

/*
 * What is remembered of a value, or nothing, in the place where it will be
 *
 * Valid until the next call.
 */
static ChunkPlace *
get_place(Relation toast, Oid value)
{
	Oid			file = VDB_RELATION_FILE(toast);
	ChunkPlace *place;

	if (places == NULL)
		make_places(FIRST_PLACES);
	place = find_place(file, value);
	if (place->file == file && place->value == value)
		return place;

	if (place->offno != InvalidOffsetNumber &&
		++collisions >= place_count / 8 && place_count < MOST_PLACES)
	{
		make_places(place_count * 2);
		place = find_place(file, value);
	}
	place->file = file;
	place->value = value;
	place->offno = InvalidOffsetNumber;
	return place;
}

/*
 * Look for the first chunk where the places of others make it likely to be
 *
 * If it is found, its block is left locked.
 */
static bool
guess_first_chunk(ChunkReader *reader, ChunkPlace *place)
{
	ChunkLayout *layout = &layouts[place->file % LAYOUTS];
	ChunkAnchor from = *get_anchor(place->file, place->value);
	BlockNumber blocks;

	if (layout->base.file != place->file || layout->blocks_per_value == 0 ||
		(layout->failures > MAX_FAILURES && layout->failures++ % TURNS != 0))
		return false;
	if (from.file != place->file)
		from = layout->base;

	blocks = RelationGetNumberOfBlocks(reader->toast);
	for (int i = 0; i < MAX_GUESSES; i++)
	{
		double		way = ((double) place->value - from.value) *
		layout->blocks_per_value;
		double		guess = rint(from.blkno + way);

		/* where we have been it is not */
		if (BufferIsValid(reader->buf) && guess == reader->blkno)
			guess += way > 0 ? 1 : -1;
		if (!(guess >= 0 && guess < blocks))
			break;
		lock_block(reader, (BlockNumber) guess);
		if (find_on_page(reader, &place->offno, &from.value))
		{
			place->blkno = reader->blkno;
			place->buf = reader->buf;
			layout->failures = 0;
			return true;
		}
		from.blkno = reader->blkno;
		if (!OidIsValid(from.value))
			break;
	}
	if (BufferIsValid(reader->buf))
		UnlockReleaseBuffer(reader->buf);
	reader->buf = InvalidBuffer;
	layout->failures++;
	return false;
}

/*
 * Is the first chunk on the locked block?  Sets its item, or "other" to a value
 * that has a chunk there, if there is any
 */
static bool
find_on_page(const ChunkReader *reader, OffsetNumber *offno, Oid *other)
{
	TupleDesc	desc = RelationGetDescr(reader->toast);
	Page		page = BufferGetPage(reader->buf);
	OffsetNumber max;

	*other = InvalidOid;
	if (PageIsNew(page))
		return false;
	max = Min(PageGetMaxOffsetNumber(page), MAX_GUESS_ITEMS);
	for (OffsetNumber at = FirstOffsetNumber; at <= max; at++)
	{
		ItemId		item = PageGetItemId(page, at);
		HeapTupleData tuple = {0};
		bool		isnull;

		if (!ItemIdIsNormal(item))
			continue;
		tuple.t_data = (HeapTupleHeader) PageGetItem(page, item);
		tuple.t_len = ItemIdGetLength(item);
		*other = DatumGetObjectId(fastgetattr(&tuple, 1, desc, &isnull));
		if (*other == reader->value &&
			DatumGetInt32(fastgetattr(&tuple, 2, desc, &isnull)) == 0)
		{
			*offno = at;
			return true;
		}
	}
	return false;
}

/* Where the place of a value is remembered for those with numbers near it */
static ChunkAnchor *
get_anchor(Oid file, Oid value)
{
	uint64		hash = ((uint64) file << 32 | value / VALUES_OF_ANCHOR) *
	UINT64CONST(0x9E3779B97F4A7C15);
	ChunkAnchor *anchor = &anchors[(hash >> 32) % ANCHORS];

	if (anchor->file == file &&
		anchor->value / VALUES_OF_ANCHOR != value / VALUES_OF_ANCHOR)
		anchor->file = InvalidOid;
	return anchor;
}

/* Learn by a place that turned out to be right */
static void
learn_layout(const ChunkPlace *place)
{
	ChunkLayout *layout = &layouts[place->file % LAYOUTS];
	ChunkAnchor now = {place->file, place->value, place->blkno};
	double		values = (double) now.value - layout->base.value;

	if (layout->base.file != now.file)
	{
		layout->base = now;
		layout->blocks_per_value = 0;
		layout->failures = 0;
	}
	else if (fabs(values) >= VALUES_OF_ANCHOR)
	{
		layout->blocks_per_value = ((double) now.blkno - layout->base.blkno) /
			values;
		layout->base = now;
	}
	*get_anchor(now.file, now.value) = now;
}

/* The place that a value shares with others */
static ChunkPlace *
find_place(Oid file, Oid value)
{
	uint64		hash = ((uint64) file << 32 | value) *
	UINT64CONST(0x9E3779B97F4A7C15);

	return &places[(hash >> 32) & (place_count - 1)];
}

/* Have so many places, twice as many as before, and put there what is known. */
static void
make_places(uint32 count)
{
	ChunkPlace *old = places;
	uint32		old_count = place_count;

	places = MemoryContextAllocZero(TopMemoryContext,
									sizeof(ChunkPlace) * count);
	place_count = count;
	collisions = 0;
	for (uint32 i = 0; old && i < old_count; i++)
	{
		/* nobody else comes there: it has one more bit of the hash value */
		if (old[i].offno != InvalidOffsetNumber)
			*find_place(old[i].file, old[i].value) = old[i];
	}
	if (old != NULL)
		pfree(old);
}

/* Look for the first chunk as PostgreSQL does */
static bool
find_first_chunk(Relation toast, Oid value, ChunkPlace *place)
{
	SnapshotData snapshot = {.snapshot_type = SNAPSHOT_TOAST};
	ScanKeyData keys[2];
	Relation   *indexes;
	int			index_count;
	int			valid = toast_open_indexes(toast, AccessShareLock, &indexes,
										   &index_count);
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found;

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(value));
	ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(0));
	scan = systable_beginscan_ordered(toast, indexes[valid], &snapshot, 2,
									  keys);
	tuple = systable_getnext_ordered(scan, ForwardScanDirection);
	found = tuple != NULL;
	if (found)
	{
		place->blkno = ItemPointerGetBlockNumber(&tuple->t_self);
		place->offno = ItemPointerGetOffsetNumber(&tuple->t_self);
	}
	systable_endscan_ordered(scan);
	toast_close_indexes(indexes, index_count, AccessShareLock);
	return found;
}

/*
 * Read all chunks, the first of which should be at "offno" of the locked block
 *
 * Whoever stored the value wrote each chunk behind the one before, or at the
 * beginning of the next block where there was no more room.  Releases the
 * block.
 */
static bool
read_chunks(ChunkReader *reader, OffsetNumber offno)
{
	bool		fits = true;

	while (reader->left > 0 && fits)
	{
		fits = read_chunk(reader, offno);
		if (!fits && reader->next > 0 && offno > FirstOffsetNumber &&
			reader->blkno + 1 < RelationGetNumberOfBlocks(reader->toast))
		{
			lock_block(reader, reader->blkno + 1);
			offno = FirstOffsetNumber;
			fits = read_chunk(reader, offno);
		}
		offno++;
	}
	UnlockReleaseBuffer(reader->buf);
	return fits;
}

/* Copy the next chunk if it is this item of the locked block */
static bool
read_chunk(ChunkReader *reader, OffsetNumber offno)
{
	SnapshotData snapshot = {.snapshot_type = SNAPSHOT_TOAST};
	TupleDesc	desc = RelationGetDescr(reader->toast);
	Page		page = BufferGetPage(reader->buf);
	Size		expected = Min(reader->left, TOAST_MAX_CHUNK_SIZE);
	HeapTupleData tuple;
	ItemId		item;
	struct varlena *chunk;
	bool		isnull;

	if (PageIsNew(page) || offno > PageGetMaxOffsetNumber(page))
		return false;
	item = PageGetItemId(page, offno);
	if (!ItemIdIsNormal(item))
		return false;

	tuple.t_data = (HeapTupleHeader) PageGetItem(page, item);
	tuple.t_len = ItemIdGetLength(item);
	tuple.t_tableOid = RelationGetRelid(reader->toast);
	ItemPointerSet(&tuple.t_self, reader->blkno, offno);
	if (DatumGetObjectId(fastgetattr(&tuple, 1, desc, &isnull)) !=
		reader->value || isnull ||
		DatumGetInt32(fastgetattr(&tuple, 2, desc, &isnull)) !=
		reader->next || isnull ||
		!HeapTupleSatisfiesVisibility(&tuple, &snapshot, reader->buf))
		return false;

	chunk = (struct varlena *)
		DatumGetPointer(fastgetattr(&tuple, 3, desc, &isnull));
	if (isnull || VARATT_IS_EXTENDED(chunk) ||
		VARSIZE(chunk) - VARHDRSZ != expected)
		return false;
	if (reader->next == 0)
		reader->end = ItemIdGetOffset(item) + ItemIdGetLength(item);
	memcpy(reader->to, VARDATA(chunk), expected);
	reader->to += expected;
	reader->left -= expected;
	reader->next++;
	return true;
}

/* Lock a block that the table has, instead of the one before, if any */
static void
lock_block(ChunkReader *reader, BlockNumber blkno)
{
	if (BufferIsValid(reader->buf))
		UnlockReleaseBuffer(reader->buf);
	reader->buf = ReadBuffer(reader->toast, blkno);
	reader->blkno = blkno;
	LockBuffer(reader->buf, BUFFER_LOCK_SHARE);
}
