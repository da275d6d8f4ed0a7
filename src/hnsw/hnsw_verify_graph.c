/*-------------------------------------------------------------------------
 *
 * hnsw_verify_graph.c
 *	  The passes of vecdb.verify_index() over records and along the graph.
 *
 * A record is copied with its body, and with its heap rows if they are
 * wanted, while its page is locked, for that is what keeps them together.
 * Everything else is compared afterwards, with no lock held.
 *
 * A record of a generation exists from its insertion until VACUUM frees its
 * place; neither its value nor what it links to below ever changes.  VACUUM
 * frees a record only when no live record refers to it any more.  So a
 * reference is wrong if its target is not there and the record, read again
 * after that, still has it.
 *
 * IDENTIFICATION
 *	  src/hnsw/hnsw_verify_graph.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "hnsw_verify.h"

/* Unreachable vertices that are reported one by one */
#define MAX_EXAMPLES	10

/* References still to be followed */
typedef struct RefStack
{
	VdbHnswRef *refs;			/* with the layer in "layers" */
	uint8	   *layers;
	uint64		count;
	uint64		space;
} RefStack;

static bool copy_locked_record(HnswVerify *verify, VdbHnswRef ref, int layer,
							   bool tids, Page page, HnswCopy *copy);
static bool copy_body(HnswVerify *verify, HnswCopy *copy);
static void copy_chain(HnswVerify *verify, HnswCopy *copy);
static void add_tid(HnswCopy *copy, ItemPointer tid);
static void verify_record(HnswVerify *verify, VdbHnswRef ref, int layer,
						  HnswCopy *copy, HnswCopy *other);
static void verify_rows(HnswVerify *verify, const HnswCopy *copy);
static void verify_bodies(HnswVerify *verify, const HnswCopy *copy,
						  HnswCopy *other);
static bool has_body(HnswVerify *verify, VdbHnswRef ref, BlockNumber blkno,
					 HnswCopy *other);
static void verify_neighbours(HnswVerify *verify, const HnswCopy *copy,
							  HnswCopy *other);
static bool is_known(HnswVerify *verify, VdbHnswRef ref, int layer);
static bool still_refers(HnswVerify *verify, const HnswCopy *copy,
						 VdbHnswRef to);
static void verify_link(HnswVerify *verify, const HnswCopy *copy,
						HnswCopy *other);
static void walk(HnswVerify *verify);
static void push(HnswVerify *verify, RefStack *stack, VdbVisited *strangers,
				 VdbHnswRef ref, int layer);
static uint64 count_unreached(HnswVerify *verify, bool report);
static void find_owners(HnswVerify *verify, const uint64 *checksums);
static uint64 body_checksum(HnswVerify *verify, BlockNumber blkno);

/*
 * hnsw_verify_note -- what the first pass noted of a place, NULL if nothing
 */
uint32 *
hnsw_verify_note(HnswVerify *verify, VdbHnswRef ref)
{
	if (ref.blkno >= verify->blocks || ref.offno < FirstOffsetNumber ||
		ref.offno > verify->first[ref.blkno + 1] - verify->first[ref.blkno])
		return NULL;
	return &verify->notes[verify->first[ref.blkno] + ref.offno -
						  FirstOffsetNumber];
}

/* hnsw_copy_init -- make room for records in the current memory context */
void
hnsw_copy_init(HnswCopy *copy)
{
	memset(copy, 0, sizeof(HnswCopy));
	copy->data = palloc(sizeof(PGAlignedBlock));
	copy->tid_space = 64;
	copy->tids = palloc(sizeof(ItemPointerData) * copy->tid_space);
}

/*
 * hnsw_copy_record -- copy a record with its body, and its rows with "tids"
 *
 * Returns false when there is no such record, or one that the first pass
 * would have reported.  Faults of the body and of the chain of containers are
 * reported with "tids", that is once for each record of layer 0; other
 * records' bodies by whoever asks first.
 */
bool
hnsw_copy_record(HnswVerify *verify, VdbHnswRef ref, int layer, bool tids,
				 HnswCopy *copy)
{
	Buffer		buf;
	bool		found;

	copy->tid_count = 0;
	if (ref.blkno >= verify->blocks &&
		ref.blkno >= RelationGetNumberOfBlocks(verify->rel))
		return false;
	buf = hnsw_read_page(verify->rel, ref.blkno, NULL);
	found = copy_locked_record(verify, ref, layer, tids, BufferGetPage(buf),
							   copy);
	hnsw_unlock_page(buf);
	return found;
}

static bool
copy_locked_record(HnswVerify *verify, VdbHnswRef ref, int layer, bool tids,
				   Page page, HnswCopy *copy)
{
	ItemId		item;
	VdbHnswRecordData *head;

	if (!hnsw_verify_page_is_ours(page, VDB_HNSW_PAGE_VERTEX) ||
		ref.offno < FirstOffsetNumber ||
		ref.offno > PageGetMaxOffsetNumber(page))
		return false;
	item = PageGetItemId(page, ref.offno);
	if (!hnsw_item_is_sane(page, item, sizeof(VdbHnswRecordData)))
		return false;
	head = (VdbHnswRecordData *) PageGetItem(page, item);
	if (head->kind != VDB_HNSW_RECORD_VERTEX || head->layer != layer ||
		head->generation != ref.generation ||
		hnsw_record_problem(&verify->index, head,
							ItemIdGetLength(item)) != NULL)
		return false;

	memcpy(copy->data->data, head, ItemIdGetLength(item));
	copy->record.ref = ref;
	hnsw_record_parts(&verify->index, (VdbHnswRecordData *) copy->data->data,
					  &copy->record);
	if (head->body_pages > 0 && !copy_body(verify, copy))
		return false;
	if (tids)
		copy_chain(verify, copy);
	return true;
}

/* Copy the body of a record whose page is locked (lock rule 3) */
static bool
copy_body(HnswVerify *verify, HnswCopy *copy)
{
	HnswRecord *record = &copy->record;
	Size		value_size = MAXALIGN(record->head->value_size);
	Size		left = value_size +
	record->head->capacity * verify->index.code_size;
	char	   *to;

	if (record->body_space < left)
	{
		record->body = MemoryContextAlloc(GetMemoryChunkContext(copy->data),
										  left);
		record->body_space = left;
	}
	to = record->body;
	for (int i = 0; i < record->head->body_pages; i++)
	{
		BlockNumber blkno = record->body_blknos[i];
		Size		here = Min(left, VDB_HNSW_PAGE_SPACE);
		bool		is_body = false;

		if (blkno < verify->blocks ||
			blkno < RelationGetNumberOfBlocks(verify->rel))
		{
			Buffer		buf = hnsw_read_page(verify->rel, blkno, NULL);
			Page		page = BufferGetPage(buf);

			is_body = hnsw_verify_page_is_ours(page, VDB_HNSW_PAGE_BODY);
			if (is_body)
				memcpy(to, PageGetContents(page), here);
			hnsw_unlock_page(buf);
		}
		if (!is_body)
		{
			hnsw_verify_report(verify, 9, record->ref.blkno,
							   record->ref.offno,
							   "Page %u, which should hold the body of the record, is no body page",
							   blkno);
			return false;
		}
		to += here;
		left -= here;
	}

	if (hnsw_value_problem(&verify->index, record->body,
						   record->head->value_size) != NULL)
	{
		hnsw_verify_report(verify, 3, record->ref.blkno, record->ref.offno,
						   "The value is not one of this index");
		return false;
	}
	record->value = record->body;
	if (verify->index.coded)
		record->codes = (uint8 *) record->body + value_size;
	return true;
}

/*
 * Copy the heap rows of a record of layer 0 whose page is locked
 *
 * Invariant 6: a container, of a generation, is in one place of one chain.
 */
static void
copy_chain(HnswVerify *verify, HnswCopy *copy)
{
	VdbHnswRecordData *head = copy->record.head;
	VdbHnswRef	next = head->link;

	for (int i = 0; i < head->tid_count; i++)
		add_tid(copy, &head->tids[i]);

	while (!VdbHnswRefIsNone(next))
	{
		const char *problem = NULL;
		Buffer		buf;
		Page		page;
		VdbHnswContainerData *container = NULL;

		if (next.blkno >= verify->blocks &&
			next.blkno >= RelationGetNumberOfBlocks(verify->rel))
		{
			hnsw_verify_report(verify, 6, copy->record.ref.blkno,
							   copy->record.ref.offno,
							   "The chain of TID containers leads out of the index, to page %u",
							   next.blkno);
			return;
		}

		/* lock rule 3: one TID page at a time, the record's being locked */
		buf = hnsw_read_page(verify->rel, next.blkno, NULL);
		page = BufferGetPage(buf);
		if (hnsw_verify_page_is_ours(page, VDB_HNSW_PAGE_TIDS) &&
			next.offno >= FirstOffsetNumber &&
			next.offno <= PageGetMaxOffsetNumber(page) &&
			hnsw_item_is_sane(page, PageGetItemId(page, next.offno),
							  VDB_HNSW_CONTAINER_SIZE))
			container = (VdbHnswContainerData *)
				PageGetItem(page, PageGetItemId(page, next.offno));
		if (container == NULL ||
			container->kind != VDB_HNSW_RECORD_TIDS ||
			container->generation != next.generation ||
			container->count > VDB_HNSW_CONTAINER_TIDS)
			problem = "There is no TID container where the chain leads";
		else if (!vdb_visited_add(&verify->owned, hnsw_ref_key(next)))
			problem = "The TID container is in two chains, or in a ring";
		else
		{
			for (int i = 0; i < container->count; i++)
				add_tid(copy, &container->tids[i]);
		}

		if (problem != NULL)
		{
			hnsw_unlock_page(buf);
			hnsw_verify_report(verify, 6, next.blkno, next.offno,
							   "%s; the vertex is (%u,%u)", problem,
							   copy->record.ref.blkno, copy->record.ref.offno);
			return;
		}
		next = container->link;
		hnsw_unlock_page(buf);
	}
}

static void
add_tid(HnswCopy *copy, ItemPointer tid)
{
	if (copy->tid_count == copy->tid_space)
	{
		copy->tid_space *= 2;
		copy->tids = repalloc_huge(copy->tids, sizeof(ItemPointerData) *
								   (Size) copy->tid_space);
	}
	copy->tids[copy->tid_count++] = *tid;
}

/* hnsw_verify_records -- invariants 3 to 7 and 9, record by record */
void
hnsw_verify_records(HnswVerify *verify)
{
	HnswCopy	copy;
	HnswCopy	other;

	hnsw_copy_init(&copy);
	hnsw_copy_init(&other);
	vdb_visited_init(&verify->owned, 64);
	verify->owners = palloc_extended(sizeof(VdbHnswRef) * (Size) verify->blocks,
									 MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);

	for (BlockNumber blkno = 0; blkno < verify->blocks; blkno++)
	{
		VdbHnswRef	ref = {blkno, FirstOffsetNumber, 0};
		uint32	   *note;

		for (; (note = hnsw_verify_note(verify, ref)) != NULL; ref.offno++)
		{
			CHECK_FOR_INTERRUPTS();
			if ((*note & HNSW_NOTE_VERTEX) == 0)
				continue;
			ref.generation = (uint16) *note;
			verify_record(verify, ref, (*note >> 16) & 0xF, &copy, &other);
		}
	}
}

/* One record, if it still exists */
static void
verify_record(HnswVerify *verify, VdbHnswRef ref, int layer, HnswCopy *copy,
			  HnswCopy *other)
{
	if (!hnsw_copy_record(verify, ref, layer, layer == 0, copy))
		return;
	hnsw_verify_value(verify, copy);
	verify_bodies(verify, copy, other);
	if (layer == 0)
		verify_rows(verify, copy);

	/* A deleted vertex may refer to others that are freed before it is */
	if ((copy->record.head->flags & VDB_HNSW_DELETED) != 0)
		return;
	verify_neighbours(verify, copy, other);
	if (layer > 0)
		verify_link(verify, copy, other);
}

/* Invariant 6, the rows of one vertex; all are kept to be compared */
static void
verify_rows(HnswVerify *verify, const HnswCopy *copy)
{
	const HnswRecord *record = &copy->record;
	bool		deleted = (record->head->flags & VDB_HNSW_DELETED) != 0;

	if (deleted != (copy->tid_count == 0))
		hnsw_verify_report(verify, 6, record->ref.blkno, record->ref.offno,
						   deleted ? "The vertex is deleted and has heap rows" :
						   "The vertex is not deleted and has no heap rows");
	for (uint32 i = 0; i < copy->tid_count; i++)
	{
		if (!ItemPointerIsValid(&copy->tids[i]) ||
			ItemPointerGetBlockNumberNoCheck(&copy->tids[i]) > MaxBlockNumber)
			hnsw_verify_report(verify, 6, record->ref.blkno,
							   record->ref.offno,
							   "Heap row %u of the vertex is not valid", i + 1);
	}
	hnsw_verify_tids_add(verify, record->ref, copy);
}

/*
 * Invariant 9: a body page belongs to one record
 *
 * The page may have been freed and taken by another record since its owner
 * was noted.  A record has the same body pages for all of its life, so if the
 * earlier one, of the same generation, still has the page now, both had it
 * when we read the later one.
 */
static void
verify_bodies(HnswVerify *verify, const HnswCopy *copy, HnswCopy *other)
{
	for (int i = 0; i < copy->record.head->body_pages; i++)
	{
		BlockNumber blkno = copy->record.body_blknos[i];
		VdbHnswRef	owner;

		if (blkno >= verify->blocks)
			continue;
		owner = verify->owners[blkno];
		if (!VdbHnswRefIsNone(owner) &&
			(VdbHnswRefEquals(owner, copy->record.ref) ||
			 has_body(verify, owner, blkno, other)))
			hnsw_verify_report(verify, 9, blkno, 0,
							   "The page is in the body of two records, (%u,%u) and (%u,%u)",
							   owner.blkno, owner.offno,
							   copy->record.ref.blkno, copy->record.ref.offno);
		verify->owners[blkno] = copy->record.ref;
	}
}

/* Has a record of this reference the page in its body? */
static bool
has_body(HnswVerify *verify, VdbHnswRef ref, BlockNumber blkno,
		 HnswCopy *other)
{
	uint32	   *note = hnsw_verify_note(verify, ref);
	HnswRecord *record = &other->record;

	if (note == NULL ||
		!hnsw_copy_record(verify, ref, (*note >> 16) & 0xF, false, other))
		return false;
	for (int i = 0; i < record->head->body_pages; i++)
		if (record->body_blknos[i] == blkno)
			return true;
	return false;
}

/* Invariants 4 and 7 for a live record */
static void
verify_neighbours(HnswVerify *verify, const HnswCopy *copy, HnswCopy *other)
{
	const HnswRecord *record = &copy->record;
	int			layer = record->head->layer;

	for (int i = 0; i < record->head->count; i++)
	{
		VdbHnswRef	to = record->refs[i];
		bool		twice = false;

		for (int j = 0; j < i && !twice; j++)
			twice = VdbHnswRefEquals(record->refs[j], to);
		if (twice || VdbHnswRefEquals(record->ref, to))
			hnsw_verify_report(verify, 4, record->ref.blkno,
							   record->ref.offno,
							   twice ? "Neighbour %d is in the list twice" :
							   "Neighbour %d is the vertex itself", i + 1);

		if (verify->check_codes && verify->index.coded)
		{
			/* Reads it, so there is no need of notes */
			if (hnsw_copy_record(verify, to, layer, false, other))
			{
				hnsw_verify_edge(verify, copy, i, other);
				continue;
			}
		}
		else if (is_known(verify, to, layer) ||
				 hnsw_copy_record(verify, to, layer, false, other))
			continue;

		if (!is_known(verify, to, layer) && still_refers(verify, copy, to))
			hnsw_verify_report(verify, 4, record->ref.blkno,
							   record->ref.offno,
							   "Neighbour %d, (%u,%u) of generation %u, is not a record of layer %d",
							   i + 1, to.blkno, to.offno, to.generation, layer);
	}
}

/*
 * Did the first pass see this record, or a broken one in its place, which it
 * reported?
 */
static bool
is_known(HnswVerify *verify, VdbHnswRef ref, int layer)
{
	uint32	   *note = hnsw_verify_note(verify, ref);

	if (note == NULL)
		return false;
	if ((*note & HNSW_NOTE_BROKEN) != 0)
		return true;
	return (*note & HNSW_NOTE_VERTEX) != 0 &&
		(uint16) *note == ref.generation && ((*note >> 16) & 0xF) == layer;
}

/* Is the record still live, and "to" in its list, or below it? */
static bool
still_refers(HnswVerify *verify, const HnswCopy *copy, VdbHnswRef to)
{
	HnswCopy	again;
	bool		refers = false;

	hnsw_copy_init(&again);
	if (hnsw_copy_record(verify, copy->record.ref, copy->record.head->layer,
						 false, &again) &&
		(again.record.head->flags & VDB_HNSW_DELETED) == 0)
	{
		refers = VdbHnswRefEquals(again.record.head->link, to);
		for (int i = 0; i < again.record.head->count && !refers; i++)
			refers = VdbHnswRefEquals(again.record.refs[i], to);
	}
	pfree(again.data);
	pfree(again.tids);
	if (again.record.body != NULL)
		pfree(again.record.body);
	return refers;
}

/* Invariant 5 for a live record above layer 0 */
static void
verify_link(HnswVerify *verify, const HnswCopy *copy, HnswCopy *other)
{
	const HnswRecord *record = &copy->record;
	const VdbHnswRecordData *head = record->head;
	const ItemPointerData *bottom = &head->tids[0];
	const char *value = record->value;
	const char *below;
	Size		skip = 0;
	bool		same;

	if (!hnsw_copy_record(verify, head->link, head->layer - 1, false, other))
	{
		if (!is_known(verify, head->link, head->layer - 1) &&
			still_refers(verify, copy, head->link))
			hnsw_verify_report(verify, 5, record->ref.blkno,
							   record->ref.offno,
							   "The record is linked to (%u,%u), which is not a record of layer %d",
							   head->link.blkno, head->link.offno,
							   head->layer - 1);
		return;
	}

	if (head->layer == 1)
		same = ItemPointerGetBlockNumberNoCheck(bottom) == head->link.blkno &&
			ItemPointerGetOffsetNumberNoCheck(bottom) == head->link.offno;
	else
		same = memcmp(bottom, &other->record.head->tids[0],
					  sizeof(ItemPointerData)) == 0;
	if (!same)
		hnsw_verify_report(verify, 5, record->ref.blkno, record->ref.offno,
						   "The record names another record of layer 0 than the one that it is linked to");

	/* Rows that share the vertex may have raised the error in layer 0 */
	below = other->record.value;
	same = head->value_size == other->record.head->value_size;
	if (verify->index.coded)
	{
		skip = offsetof(VdbHnswCodedValue, norm2);
		same = same && ((VdbHnswCodedValue *) value)->scale ==
			((VdbHnswCodedValue *) below)->scale;
	}
	if (!same || memcmp(value + skip, below + skip,
						head->value_size - skip) != 0)
		hnsw_verify_report(verify, 5, record->ref.blkno, record->ref.offno,
						   "The record has another value than the one that it is linked to");
}

/*
 * hnsw_verify_reachable -- invariant 8: the graph leads to every live vertex
 *
 * Only a warning: no HNSW graph promises that when lists are pruned.  A graph
 * that changes under the walk may hide a vertex, so what is missing has to be
 * missed twice.
 */
void
hnsw_verify_reachable(HnswVerify *verify)
{
	uint64		missing;

	walk(verify);
	if (count_unreached(verify, false) == 0)
		return;
	walk(verify);
	missing = count_unreached(verify, true);
	if (missing > MAX_EXAMPLES)
		hnsw_verify_warn(verify, 8, InvalidBlockNumber, 0,
						 "In all, " UINT64_FORMAT " vertices cannot be reached from the entry point",
						 missing);
}

/* Follow all references from the entry point; adds to what was reached */
static void
walk(HnswVerify *verify)
{
	RefStack	stack = {0};
	VdbVisited	strangers;		/* records the first pass did not see */
	VdbHnswRef	entry;
	int			layer;
	HnswCopy	copy;

	hnsw_copy_init(&copy);
	vdb_visited_init(&strangers, 64);
	for (uint64 i = 0; i < verify->note_count; i++)
		verify->notes[i] &= ~HNSW_NOTE_REACHED;
	stack.space = 1024;
	stack.refs = palloc(sizeof(VdbHnswRef) * stack.space);
	stack.layers = palloc(stack.space);

	hnsw_read_entry(&verify->index, &entry, &layer);
	if (!VdbHnswRefIsNone(entry))
		push(verify, &stack, &strangers, entry, layer);
	while (stack.count > 0)
	{
		VdbHnswRecordData *head;

		CHECK_FOR_INTERRUPTS();
		stack.count--;
		layer = stack.layers[stack.count];
		if (!hnsw_copy_record(verify, stack.refs[stack.count], layer, false,
							  &copy))
			continue;
		head = copy.record.head;
		if (layer > 0)
			push(verify, &stack, &strangers, head->link, layer - 1);
		for (int i = 0; i < head->count; i++)
			push(verify, &stack, &strangers, copy.record.refs[i], layer);
	}
	pfree(stack.refs);
	pfree(stack.layers);
	pfree(strangers.keys);
}

/* Put a record on the stack unless it has been there */
static void
push(HnswVerify *verify, RefStack *stack, VdbVisited *strangers,
	 VdbHnswRef ref, int layer)
{
	uint32	   *note = hnsw_verify_note(verify, ref);

	if (note != NULL && (*note & HNSW_NOTE_VERTEX) != 0 &&
		(uint16) *note == ref.generation && ((*note >> 16) & 0xF) == layer)
	{
		if ((*note & HNSW_NOTE_REACHED) != 0)
			return;
		*note |= HNSW_NOTE_REACHED;
	}
	else if (VdbHnswRefIsNone(ref) ||
			 !vdb_visited_add(strangers, hnsw_ref_key(ref)))
		return;

	if (stack->count == stack->space)
	{
		stack->space *= 2;
		stack->refs = repalloc_huge(stack->refs, sizeof(VdbHnswRef) *
									(Size) stack->space);
		stack->layers = repalloc_huge(stack->layers, (Size) stack->space);
	}
	stack->refs[stack->count] = ref;
	stack->layers[stack->count++] = layer;
}

/*
 * Count vertices that live still and were not reached; name some of them
 *
 * Reads those again: VACUUM may have marked them as deleted, and then it
 * leads the graph around them.
 */
static uint64
count_unreached(HnswVerify *verify, bool report)
{
	uint64		count = 0;
	HnswCopy	copy;

	hnsw_copy_init(&copy);
	for (BlockNumber blkno = 0; blkno < verify->blocks; blkno++)
	{
		VdbHnswRef	ref = {blkno, FirstOffsetNumber, 0};
		uint32	   *note;

		CHECK_FOR_INTERRUPTS();
		for (; (note = hnsw_verify_note(verify, ref)) != NULL; ref.offno++)
		{
			if ((*note & (HNSW_NOTE_VERTEX | HNSW_NOTE_DELETED |
						  HNSW_NOTE_REACHED)) != HNSW_NOTE_VERTEX ||
				((*note >> 16) & 0xF) > 0)
				continue;
			ref.generation = (uint16) *note;
			if (!hnsw_copy_record(verify, ref, 0, false, &copy) ||
				(copy.record.head->flags & VDB_HNSW_DELETED) != 0)
				continue;
			if (report && count < MAX_EXAMPLES)
				hnsw_verify_warn(verify, 8, blkno, ref.offno,
								 "The vertex cannot be reached from the entry point");
			count++;
		}
	}
	return count;
}

/*
 * hnsw_verify_owners -- invariants 6 and 9: containers and body pages have
 * owners
 *
 * A container seen in the first pass, before any chain was read, belonged to
 * a vertex then, and still does if it has not been freed since; so the second
 * pass must have met it.
 *
 * A body page is written before its record.  So insertions under way are
 * waited for, and the owners are looked for once more; a page that was taken
 * anew meanwhile has another checksum than before.
 */
void
hnsw_verify_owners(HnswVerify *verify)
{
	uint64	   *checksums = NULL;

	for (uint64 i = 0; i <= verify->containers.mask; i++)
	{
		uint64		key = verify->containers.keys[i];
		VdbHnswRef	ref = hnsw_key_ref(key);
		Buffer		buf;
		Page		page;
		VdbHnswContainerData *container;

		if (key == 0 || vdb_visited_contains(&verify->owned, key))
			continue;
		CHECK_FOR_INTERRUPTS();
		buf = hnsw_read_page(verify->rel, ref.blkno, NULL);
		page = BufferGetPage(buf);
		container = (VdbHnswContainerData *)
			PageGetItem(page, PageGetItemId(page, ref.offno));
		if (container->kind == VDB_HNSW_RECORD_TIDS &&
			container->generation == ref.generation)
			hnsw_verify_report(verify, 6, ref.blkno, ref.offno,
							   "The TID container belongs to no vertex");
		hnsw_unlock_page(buf);
	}

	for (BlockNumber blkno = 0; blkno < verify->blocks; blkno++)
	{
		if (verify->kinds[blkno] != VDB_HNSW_PAGE_BODY ||
			!VdbHnswRefIsNone(verify->owners[blkno]))
			continue;
		if (checksums == NULL)
		{
			checksums = palloc_extended(sizeof(uint64) * (Size) verify->blocks,
										MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
			hnsw_verify_settle(verify);
		}
		checksums[blkno] = body_checksum(verify, blkno);
	}
	if (checksums != NULL)
		find_owners(verify, checksums);
}

/* Checksum of a body page, 0 when it is none any more */
static uint64
body_checksum(HnswVerify *verify, BlockNumber blkno)
{
	Buffer		buf = hnsw_read_page(verify->rel, blkno, NULL);
	Page		page = BufferGetPage(buf);
	uint64		checksum = 0;

	if (hnsw_verify_page_is_ours(page, VDB_HNSW_PAGE_BODY))
		checksum = VdbHnswPageGetOpaque(page)->checksum;
	hnsw_unlock_page(buf);
	return checksum;
}

/* Look for the owners of the body pages that have a checksum in the array */
static void
find_owners(HnswVerify *verify, const uint64 *checksums)
{
	BlockNumber blocks = RelationGetNumberOfBlocks(verify->rel);

	for (BlockNumber blkno = 0; blkno < blocks; blkno++)
	{
		Buffer		buf;
		Page		page;

		CHECK_FOR_INTERRUPTS();
		buf = hnsw_read_page(verify->rel, blkno, verify->strategy);
		page = BufferGetPage(buf);
		for (OffsetNumber offno = FirstOffsetNumber;
			 hnsw_verify_page_is_ours(page, VDB_HNSW_PAGE_VERTEX) &&
			 offno <= PageGetMaxOffsetNumber(page); offno++)
		{
			ItemId		item = PageGetItemId(page, offno);
			HnswRecord	record = {0};

			if (!hnsw_item_is_sane(page, item, sizeof(VdbHnswRecordData)))
				continue;
			record.head = (VdbHnswRecordData *) PageGetItem(page, item);
			if (record.head->kind != VDB_HNSW_RECORD_VERTEX ||
				hnsw_record_problem(&verify->index, record.head,
									ItemIdGetLength(item)) != NULL)
				continue;
			hnsw_record_parts(&verify->index, record.head, &record);
			record.ref.blkno = blkno;
			record.ref.offno = offno;
			record.ref.generation = record.head->generation;
			for (int i = 0; i < record.head->body_pages; i++)
				if (record.body_blknos[i] < verify->blocks)
					verify->owners[record.body_blknos[i]] = record.ref;
		}
		hnsw_unlock_page(buf);
	}

	for (BlockNumber blkno = 0; blkno < verify->blocks; blkno++)
	{
		if (checksums[blkno] != 0 && VdbHnswRefIsNone(verify->owners[blkno]) &&
			checksums[blkno] == body_checksum(verify, blkno))
			hnsw_verify_warn(verify, 9, blkno, 0,
							 "The body page belongs to no record; only REINDEX gives it back");
	}
}
