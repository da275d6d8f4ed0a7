/*-------------------------------------------------------------------------
 *
 * lib_read.h
 *	  Reading a range of blocks in order, with reads under way beforehand.
 *
 * By a read stream where PostgreSQL has them, otherwise by telling the
 * operating system which blocks come next.
 *
 * IDENTIFICATION
 *	  include/vecdb/lib_read.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef VECDB_LIB_READ_H
#define VECDB_LIB_READ_H

#include "postgres.h"

#include "storage/bufmgr.h"
#include "utils/rel.h"
#include "utils/spccache.h"

#include "vecdb/lib_compat.h"

#if VDB_HAS_READ_STREAM
#include "storage/read_stream.h"
#endif

typedef struct VdbBlockReader
{
	Relation	rel;
	BlockNumber next;			/* to be read, or to be handed to the stream */
	BlockNumber end;			/* first that is not to be read */
#if VDB_HAS_READ_STREAM
	ReadStream *stream;
#else
	BlockNumber advised;		/* first that was not announced */
	BlockNumber ahead;			/* how many to announce beforehand */
#endif
} VdbBlockReader;

#if VDB_HAS_READ_STREAM

/* For the stream: which block comes next */
static inline BlockNumber
vdb_blocks_choose(ReadStream * stream, void *private_data,
				  void *per_buffer_data)
{
	VdbBlockReader *reader = private_data;

	return reader->next < reader->end ? reader->next++ : InvalidBlockNumber;
}

/*
 * Begins to read blocks "first" to "end" - 1 of the main fork.  The reader
 * must stay where it is until vdb_blocks_end().
 */
static inline void
vdb_blocks_begin(VdbBlockReader *reader, Relation rel, BlockNumber first,
				 BlockNumber end)
{
	reader->rel = rel;
	reader->next = first;
	reader->end = end;
	reader->stream = read_stream_begin_relation(READ_STREAM_MAINTENANCE |
												READ_STREAM_FULL |
												VDB_READ_STREAM_BATCHING,
												NULL, rel, MAIN_FORKNUM,
												vdb_blocks_choose, reader, 0);
}

/* Returns the next block, pinned for the caller; InvalidBuffer at the end. */
static inline Buffer
vdb_blocks_next(VdbBlockReader *reader)
{
	return read_stream_next_buffer(reader->stream, NULL);
}

/* Ends reading, at the end or before. */
static inline void
vdb_blocks_end(VdbBlockReader *reader)
{
	read_stream_end(reader->stream);
}

#else							/* !VDB_HAS_READ_STREAM */

/* The same without read streams; the comments above hold. */
static inline void
vdb_blocks_begin(VdbBlockReader *reader, Relation rel, BlockNumber first,
				 BlockNumber end)
{
	reader->rel = rel;
	reader->next = first;
	reader->end = end;
	reader->advised = first;
	reader->ahead =
		get_tablespace_maintenance_io_concurrency(rel->rd_rel->reltablespace);
}

static inline Buffer
vdb_blocks_next(VdbBlockReader *reader)
{
	if (reader->next >= reader->end)
		return InvalidBuffer;
	if (reader->advised < reader->next)
		reader->advised = reader->next;
	while (reader->advised < reader->end &&
		   reader->advised - reader->next < reader->ahead)
		PrefetchBuffer(reader->rel, MAIN_FORKNUM, reader->advised++);
	return ReadBuffer(reader->rel, reader->next++);
}

static inline void
vdb_blocks_end(VdbBlockReader *reader)
{
	reader->next = reader->end;
}

#endif							/* VDB_HAS_READ_STREAM */

#endif							/* VECDB_LIB_READ_H */
