/*-------------------------------------------------------------------------
 *
 * hnsw_wal.c
 *	  Changes of pages: exclusive locks, WAL and checksums in one place.
 *
 * A change locks up to four pages, works on copies of them and puts all of
 * them in force, or none, as one generic WAL record.  So every change leaves
 * the index in a state that the README lists, also when the server crashes
 * or a standby stops replaying right after it.
 *
 * While an index is being built nobody else can see it: its pages are
 * changed in place and written to the WAL as they are when it is complete.
 *
 * IDENTIFICATION
 *	  src/hnsw/hnsw_wal.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "storage/lmgr.h"
#include "utils/rel.h"

#include "hnsw_private.h"

static Page add_page(HnswChange *change, BlockNumber blkno, Buffer buf,
					 int flags);

/* hnsw_change_begin -- start a change of an index */
void
hnsw_change_begin(HnswChange *change, HnswIndex *index)
{
	change->index = index;
	change->state = index->building ? NULL : GenericXLogStart(index->rel);
	change->page_count = 0;
	change->new_page = false;
}

/*
 * hnsw_change_page -- lock a page exclusively and return it for changing
 *
 * Asking again for a page that is part of the change returns the same one.
 * Lock rules 2 and 3 are the caller's: see README, "Locks".
 */
Page
hnsw_change_page(HnswChange *change, BlockNumber blkno)
{
	Buffer		buf;

	for (int i = 0; i < change->page_count; i++)
		if (change->blknos[i] == blkno)
			return change->pages[i];

	buf = ReadBuffer(change->index->rel, blkno);
	LockBuffer(buf, BUFFER_LOCK_EXCLUSIVE);
	return add_page(change, blkno, buf, 0);
}

/*
 * hnsw_change_new_page -- extend the index by a page of a kind
 */
Page
hnsw_change_new_page(HnswChange *change, uint16 kind, BlockNumber *blkno)
{
	Relation	rel = change->index->rel;
	bool		need_lock;
	Buffer		buf;
	Page		page;

	/* A new index is local to the leader of its build, and not to workers */
	need_lock = change->index->building || !RELATION_IS_LOCAL(rel);
	if (need_lock)
		LockRelationForExtension(rel, ExclusiveLock);
	buf = ReadBufferExtended(rel, MAIN_FORKNUM, P_NEW, RBM_NORMAL, NULL);
	LockBuffer(buf, BUFFER_LOCK_EXCLUSIVE);
	if (need_lock)
		UnlockRelationForExtension(rel, ExclusiveLock);

	*blkno = BufferGetBlockNumber(buf);
	page = add_page(change, *blkno, buf, GENERIC_XLOG_FULL_IMAGE);
	hnsw_page_init(page, kind);
	change->new_page = true;
	return page;
}

/* Make a locked buffer part of the change */
static Page
add_page(HnswChange *change, BlockNumber blkno, Buffer buf, int flags)
{
	int			i = change->page_count;

	if (i >= HNSW_MAX_CHANGE_PAGES)
		elog(ERROR, "too many pages in one change of an hnsw index");

	change->blknos[i] = blkno;
	change->bufs[i] = buf;
	if (change->state != NULL)
		change->pages[i] = GenericXLogRegisterBuffer(change->state, buf, flags);
	else
		change->pages[i] = BufferGetPage(buf);
	change->page_count++;
	return change->pages[i];
}

/*
 * hnsw_change_finish -- put the change in force and unlock its pages
 */
void
hnsw_change_finish(HnswChange *change)
{
	for (int i = 0; i < change->page_count; i++)
		VdbHnswPageGetOpaque(change->pages[i])->checksum =
			hnsw_page_checksum(change->pages[i]);

	if (change->state != NULL)
		GenericXLogFinish(change->state);
	else
	{
		for (int i = 0; i < change->page_count; i++)
			MarkBufferDirty(change->bufs[i]);
	}

	for (int i = 0; i < change->page_count; i++)
		UnlockReleaseBuffer(change->bufs[i]);
	change->page_count = 0;
}

/*
 * hnsw_change_abort -- forget the change and unlock its pages
 *
 * While building, the caller must not have changed any page yet.
 */
void
hnsw_change_abort(HnswChange *change)
{
	if (change->state != NULL)
		GenericXLogAbort(change->state);
	for (int i = 0; i < change->page_count; i++)
		UnlockReleaseBuffer(change->bufs[i]);
	change->page_count = 0;
}

/*
 * hnsw_change_body -- write into the value or the codes of a record
 *
 * "offset" counts from the start of the value.  The record is part of the
 * change.  Up to two body pages join it (lock rule 3), so that not more than
 * VDB_HNSW_PAGE_SPACE bytes can be written at a time.
 */
void
hnsw_change_body(HnswChange *change, HnswRecord *record, Size offset,
				 const void *data, Size size)
{
	if (record->head->body_pages == 0)
	{
		memcpy((char *) record->value + offset, data, size);
		return;
	}

	Assert(size <= VDB_HNSW_PAGE_SPACE);
	memcpy(record->body + offset, data, size);
	while (size > 0)
	{
		int			which = offset / VDB_HNSW_PAGE_SPACE;
		Size		within = offset % VDB_HNSW_PAGE_SPACE;
		Size		here = Min(size, VDB_HNSW_PAGE_SPACE - within);
		Page		page = hnsw_change_page(change,
											record->body_blknos[which]);

		hnsw_page_check(change->index->rel, record->body_blknos[which], page,
						VDB_HNSW_PAGE_BODY);
		memcpy(PageGetContents(page) + within, data, here);
		data = (const char *) data + here;
		offset += here;
		size -= here;
	}
}

/*
 * hnsw_change_edge -- set neighbour "at" of a record that is being changed
 *
 * "at" may be the first free place.  The last three are ignored where the
 * index has no codes.
 */
void
hnsw_change_edge(HnswChange *change, HnswRecord *record, int at,
				 VdbHnswRef ref, const VdbHnswFactors *factors,
				 const uint8 *code, bool covered)
{
	HnswIndex  *index = change->index;

	Assert(at <= record->head->count && at < record->head->capacity);

	record->refs[at] = ref;
	if (at == record->head->count)
		record->head->count++;
	if (index->coded)
	{
		record->factors[at] = *factors;
		hnsw_set_covered(record->covered, at, covered);
		hnsw_change_body(change, record,
						 MAXALIGN(record->head->value_size) +
						 at * index->code_size, code, index->code_size);
	}
}
