/*-------------------------------------------------------------------------
 *
 * hnsw_advise.c
 *	  What the kernel is asked to read before it is needed.
 *
 * A search knows some of the pages that it will look at next, and the rows
 * that it has found.  When it had to read a page that was not in shared
 * buffers, it asks for those beforehand, so that their reads overlap.
 *
 * A page that was not in the kernel's cache either costs a device about as
 * much as many that are next to it.  So when a read has taken as long as only
 * a device takes, more is asked for: all of the part of the file that the page
 * is in.  That pays if the other pages are still cached when they are needed,
 * and is done with relations that effective_cache_size lets one expect that
 * of.  A backend remembers which parts it has asked for, and does not ask again
 * until a read shows that one of them is not cached any more.
 *
 * Advice is all that this is: nothing waits for it, nothing depends on it.
 *
 * IDENTIFICATION
 *	  src/hnsw/hnsw_advise.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/relpath.h"
#include "optimizer/optimizer.h"
#include "storage/bufmgr.h"
#include "storage/fd.h"
#include "utils/spccache.h"
#include "utils/wait_event.h"

#include "hnsw_private.h"

/* Pages of a part: 128 kB, as much as the kernel reads ahead of a sequential
 * reader */
#define PART_PAGES 16

/* A relation is expected to stay in the kernel's cache if it is so many times
 * smaller: it is not alone there */
#define CACHE_SHARE 2

/* A part that this backend has asked for */
typedef struct AdvisedPart
{
	Oid			file;			/* InvalidOid: none */
	BlockNumber part;
} AdvisedPart;

/* The last of those that hash to a place */
static AdvisedPart advised[1024];

static AdvisedPart *find_part(Relation rel, BlockNumber part);
static bool is_kept(Relation rel);
static void ask_for_part(Relation rel, BlockNumber first);

/*
 * hnsw_advise_page -- a page of an index or a table will be read soon
 *
 * "from_device" says that a page was read that the kernel did not have.  Does
 * nothing if effective_io_concurrency of the tablespace is 0.
 */
void
hnsw_advise_page(Relation rel, BlockNumber blkno, bool from_device)
{
	BlockNumber part = blkno / PART_PAGES;
	AdvisedPart *place = find_part(rel, part);

	if (place->file == VDB_RELATION_FILE(rel) && place->part == part)
		return;
	if (get_tablespace_io_concurrency(rel->rd_rel->reltablespace) == 0)
		return;
	if (!from_device || !is_kept(rel))
	{
		PrefetchBuffer(rel, MAIN_FORKNUM, blkno);
		return;
	}
	place->file = VDB_RELATION_FILE(rel);
	place->part = part;
	ask_for_part(rel, part * PART_PAGES);
}

/*
 * hnsw_advise_failed -- a page had to be read from the device
 *
 * If it had been asked for, it was dropped from the kernel's cache since, or is
 * on its way still: its part may be asked for again.
 */
void
hnsw_advise_failed(Relation rel, BlockNumber blkno)
{
	BlockNumber part = blkno / PART_PAGES;
	AdvisedPart *place = find_part(rel, part);

	if (place->file == VDB_RELATION_FILE(rel) && place->part == part)
		place->file = InvalidOid;
}

/* The place of a part among those that were asked for */
static AdvisedPart *
find_part(Relation rel, BlockNumber part)
{
	return &advised[(part + VDB_RELATION_FILE(rel)) % lengthof(advised)];
}

/* Will pages of a relation stay in the kernel's cache? */
static bool
is_kept(Relation rel)
{
	return RelationGetNumberOfBlocks(rel) <= effective_cache_size / CACHE_SHARE;
}

/*
 * Ask for PART_PAGES pages at once, from a place that is divisible by that
 *
 * PostgreSQL's own prefetching asks for each page by itself until 16, and the
 * device is then asked as often.  So the file is opened here.  If it cannot be,
 * whoever reads the page will say why.
 */
static void
ask_for_part(Relation rel, BlockNumber first)
{
	char	   *segments = VDB_RELATION_PATH(rel);
	BlockNumber segment = first / RELSEG_SIZE;
	off_t		offset = (off_t) (first % RELSEG_SIZE) * BLCKSZ;
	char	   *path = segment == 0 ? pstrdup(segments) :
	psprintf("%s.%u", segments, segment);
	File		file = PathNameOpenFile(path, O_RDONLY | PG_BINARY);

	if (file >= 0)
	{
		(void) FilePrefetch(file, offset, PART_PAGES * BLCKSZ,
							WAIT_EVENT_DATA_FILE_PREFETCH);
		FileClose(file);
	}
	pfree(path);
	pfree(segments);
}
