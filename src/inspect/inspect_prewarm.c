/*-------------------------------------------------------------------------
 *
 * inspect_prewarm.c
 *	  vecdb.prewarm(): load an index into the cache.
 *
 * Blocks are read in order, and that is the order of what matters most: a
 * build writes the metapage, then records of the upper layers, through which
 * every search comes, then those of the lowest layer, then what does not fit
 * into records (hnsw_write.c).  So when the cache is smaller than the index,
 * it is the rest that is left out.
 *
 * IDENTIFICATION
 *	  src/inspect/inspect_prewarm.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/guc.h"
#include "utils/rel.h"

#include "vecdb/lib_compat.h"
#include "vecdb/lib_read.h"

#include "inspect_private.h"

VDB_FUNCTION(vecdb_prewarm);

static BlockNumber cache_room(Relation rel);

/*
 * vecdb.prewarm(index regclass) returns bigint
 *
 * How many blocks of the index have been loaded, or were in the cache.
 */
Datum
vecdb_prewarm(PG_FUNCTION_ARGS)
{
	Relation	heap;
	Relation	rel = inspect_open_index(PG_GETARG_OID(0), "prewarm", &heap);
	BlockNumber blocks = RelationGetNumberOfBlocks(rel);
	BlockNumber room = cache_room(rel);
	BlockNumber wanted = Min(blocks, room);
	int64		loaded = 0;
	VdbBlockReader reader;
	Buffer		buf;

	vdb_blocks_begin(&reader, rel, 0, wanted);
	while ((buf = vdb_blocks_next(&reader)) != InvalidBuffer)
	{
		ReleaseBuffer(buf);
		loaded++;
		CHECK_FOR_INTERRUPTS();
	}
	vdb_blocks_end(&reader);

	if (wanted < blocks)
		ereport(NOTICE,
				(errmsg("index \"%s\" is larger than the cache",
						RelationGetRelationName(rel)),
				 errdetail("It has %u blocks, of which the first %u were loaded.",
						   blocks, wanted),
				 errhint("Raise %s above %u blocks to load all of it.",
						 RelationUsesLocalBuffers(rel) ?
						 "temp_buffers" : "shared_buffers", blocks)));

	inspect_close_index(rel, heap);
	PG_RETURN_INT64(loaded);
}

/*
 * How many blocks can be loaded before some of them have to go again
 *
 * An eighth of the cache is left to others; more than that the loading of
 * ours would not get from them anyway while they use it.
 */
static BlockNumber
cache_room(Relation rel)
{
	BlockNumber buffers = RelationUsesLocalBuffers(rel) ? num_temp_buffers :
	NBuffers;

	return buffers - buffers / 8;
}
