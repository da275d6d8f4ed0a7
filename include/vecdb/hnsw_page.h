/*-------------------------------------------------------------------------
 *
 * hnsw_page.h
 *	  On-disk format of the HNSW index.
 *
 * Everything a checker or an inspection function may know of the bytes of an
 * index is here; src/hnsw/README tells how they change.
 *
 * An index is a metapage (block 0) and any number of vertex, body and TID
 * pages, in any order.  All of them are standard pages:
 *
 *	 offset		size	what
 *		0		  24	PageHeaderData
 *	   24		   -	metapage: VdbHnswMetaPageData
 *						vertex page: line pointers, free space, records
 *						body page: bytes of a large record, up to pd_lower
 *						TID page: line pointers, free space, containers
 *	 8176		  16	VdbHnswPageOpaqueData, in the special space
 *
 * A vertex is a point of the graph: one distinct indexed value and the heap
 * rows that hold it.  A vertex of level l has l + 1 records, one per layer,
 * each with its own copy of the value, so that a search that visits a vertex
 * in a layer reads one record.  A record holds the references of the
 * neighbours and, in coded indexes, for each of them a one-bit code of where
 * it lies as seen from this vertex.
 *
 * Versions:
 *	 1	 vecdb 0.1
 *
 * Readers accept their own version only; the magic and the version never
 * move.
 *
 * IDENTIFICATION
 *	  include/vecdb/hnsw_page.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef VECDB_HNSW_PAGE_H
#define VECDB_HNSW_PAGE_H

#include "postgres.h"

#include "storage/block.h"
#include "storage/bufpage.h"
#include "storage/itemptr.h"
#include "storage/off.h"

#include "vecdb/distance.h"

#define VDB_HNSW_MAGIC		0x56444248	/* "VDBH" */
#define VDB_HNSW_VERSION	1
#define VDB_HNSW_PAGE_ID	0xFF94	/* for pg_filedump and friends */

#define VDB_HNSW_METAPAGE	((BlockNumber) 0)

/* Limits that follow from the format */
#define VDB_HNSW_MAX_LAYER	15	/* highest layer of a vertex */
#define VDB_HNSW_MAX_M		100
#define VDB_HNSW_INLINE_TIDS	4
#define VDB_HNSW_MAX_BODY_PAGES	64
#define VDB_HNSW_MAX_CODE_SIZE	64	/* bytes of one neighbour's code */
#define VDB_HNSW_MAX_VALUE_SIZE (128 * 1024 + 64)	/* of one stored value */

/*
 * Reference to a record.  The generation of a record grows each time its
 * place is given to another vertex, so a reference that outlived its vertex
 * can be told from a valid one.  Generation 0 is never given: a reference of
 * zeros is "none".
 */
typedef struct VdbHnswRef
{
	BlockNumber blkno;
	OffsetNumber offno;
	uint16		generation;
} VdbHnswRef;

StaticAssertDecl(sizeof(VdbHnswRef) == 8,
				 "references are part of the on-disk format");

/*
 * Metapage
 *
 *	 offset	 size	what
 *		0		4	magic, 0x56444248
 *		4		4	version of the format, now 1
 *		8		4	dimensions of every value
 *	   12		4	dimensions of a coded value: padded to a multiple of 64,
 *					or 0 when the index is not coded
 *	   16		2	m
 *	   18		2	ef_construction
 *	   20		2	neighbours that fit in a record of layer 0
 *	   22		2	neighbours that fit in a record of a higher layer
 *	   24		1	VdbElementKind of the indexed type
 *	   25		1	VdbMetric
 *	   26		1	how values are stored, VDB_HNSW_STORAGE_...
 *	   27		1	how neighbours are coded, VDB_HNSW_CODES_...
 *	   28		1	layer of the entry point
 *	   29		1	zero
 *	   30		2	bits of a code: a multiple of 64, at most 512 and the
 *					dimensions of a coded value, or 0 when the index is not coded
 *	   32		8	seed of the random rotation
 *	   40		8	entry point, or none when the index is empty
 *	   48		4	page where the next TID container is looked for, or
 *					InvalidBlockNumber
 *	   52		4	reserved for the first page of a centre that values are
 *					coded relative to, InvalidBlockNumber
 *
 * Only the entry point, its layer and the container page change after the
 * index was built.
 */
typedef struct VdbHnswMetaPageData
{
	uint32		magic;
	uint32		version;
	int32		dimensions;
	int32		padded;
	uint16		m;
	uint16		ef_construction;
	uint16		capacity;
	uint16		upper_capacity;
	uint8		element;
	uint8		metric;
	uint8		storage;
	uint8		codes;
	uint8		entry_layer;
	uint8		zero;
	uint16		code_bits;
	uint64		seed;
	VdbHnswRef	entry;
	BlockNumber container_page;
	BlockNumber centre_page;
} VdbHnswMetaPageData;

StaticAssertDecl(sizeof(VdbHnswMetaPageData) == 56,
				 "metapage is part of the on-disk format");
StaticAssertDecl(offsetof(VdbHnswMetaPageData, seed) == 32,
				 "metapage is part of the on-disk format");

#define VdbHnswPageGetMeta(page) \
	((VdbHnswMetaPageData *) PageGetContents(page))

/* VdbHnswMetaPageData.storage; the first without codes, the others with */
#define VDB_HNSW_STORAGE_PLAIN	0	/* the SQL value as it is, varlena header
									 * of four bytes included */
#define VDB_HNSW_STORAGE_INT8	1	/* VdbHnswInt8Value */
#define VDB_HNSW_STORAGE_FLOAT16	2	/* VdbHnswFloat16Value */
#define VDB_HNSW_STORAGE_FLOAT32	3	/* VdbHnswFloat32Value */

/* VdbHnswMetaPageData.codes */
#define VDB_HNSW_CODES_NONE		0
#define VDB_HNSW_CODES_RABITQ	1	/* one bit a dimension, VdbHnswFactors */

/*
 * Special space of every page.  The checksum is the XXH3 hash of the page
 * without the first 12 bytes (LSN and flags that change without us), the
 * free space between pd_lower and pd_upper, and the checksum itself.
 */
typedef struct VdbHnswPageOpaqueData
{
	uint64		checksum;
	uint16		kind;			/* VDB_HNSW_PAGE_... */
	uint16		flags;			/* zero */
	uint16		zero;
	uint16		page_id;		/* VDB_HNSW_PAGE_ID */
} VdbHnswPageOpaqueData;

StaticAssertDecl(sizeof(VdbHnswPageOpaqueData) == 16,
				 "special space is part of the on-disk format");

#define VDB_HNSW_PAGE_META		1
#define VDB_HNSW_PAGE_VERTEX	2	/* records with line pointers */
#define VDB_HNSW_PAGE_BODY		3	/* bytes of one large record */
#define VDB_HNSW_PAGE_TIDS		4	/* TID containers with line pointers */
#define VDB_HNSW_PAGE_FREE		5	/* was a body page, now unused */

#define VdbHnswPageGetOpaque(page) \
	((VdbHnswPageOpaqueData *) PageGetSpecialPointer(page))

/* Bytes for line pointers and records on a vertex page, or of a body page */
#define VDB_HNSW_PAGE_SPACE \
	(BLCKSZ - MAXALIGN(SizeOfPageHeaderData) - \
	 MAXALIGN(sizeof(VdbHnswPageOpaqueData)))

/*
 * Record on a vertex page: the header below, then
 *
 *	 block numbers of body pages	body_pages * 4, padded to 8
 *	 references						capacity * 8
 *	 factors						capacity * 4, only with codes
 *	 covered bits					capacity / 8, only with codes; padded to 8
 *									together with the factors
 *	 value							value_size, padded to 8
 *	 codes							capacity * code_bits / 8, only with
 *									codes
 *
 * With body_pages > 0 the value and the codes are not in the record but are
 * the contents of those pages, laid end to end, each page full but the last.
 *
 * A record keeps the length that its line pointer had when it was first
 * made; a later vertex in the same place may leave some of it unused.
 */
typedef struct VdbHnswRecordData
{
	uint8		kind;			/* VDB_HNSW_RECORD_... */
	uint8		layer;			/* layer that this record belongs to */
	uint8		flags;			/* VDB_HNSW_DELETED */
	uint8		tid_count;		/* heap TIDs in "tids"; 0 above layer 0 */
	uint16		generation;		/* see VdbHnswRef */
	uint16		capacity;		/* neighbours that fit */
	uint16		count;			/* neighbours there are */
	uint16		body_pages;		/* pages that hold the value and the codes */
	uint32		value_size;		/* bytes of the value */
	VdbHnswRef	link;			/* layer 0: first TID container or none;
								 * above: the record one layer below */
	ItemPointerData tids[VDB_HNSW_INLINE_TIDS]; /* layer 0: heap rows; above:
												 * tids[0] is the block and
												 * item of the record in layer
												 * 0 */
} VdbHnswRecordData;

StaticAssertDecl(sizeof(VdbHnswRecordData) == 48,
				 "records are part of the on-disk format");

#define VDB_HNSW_RECORD_FREE	0	/* only generation is meaningful */
#define VDB_HNSW_RECORD_VERTEX	1
#define VDB_HNSW_RECORD_TIDS	2	/* VdbHnswContainerData */

/*
 * All heap rows of the vertex are gone.  The vertex still leads searches on
 * until VACUUM has led its neighbours around it.
 */
#define VDB_HNSW_DELETED		0x01

/*
 * Container of further heap TIDs of a vertex with many equal values.  All
 * containers have VDB_HNSW_CONTAINER_SIZE bytes and live on pages of their
 * own kind, so that a vertex page is always locked before them.  kind,
 * generation, capacity, count and link stand where VdbHnswRecordData has
 * them.
 */
typedef struct VdbHnswContainerData
{
	uint8		kind;			/* VDB_HNSW_RECORD_TIDS or _FREE */
	uint8		zero[3];
	uint16		generation;		/* see VdbHnswRef */
	uint16		capacity;		/* VDB_HNSW_CONTAINER_TIDS */
	uint16		count;			/* TIDs there are */
	uint16		zero2[3];
	VdbHnswRef	link;			/* next container or none */
	ItemPointerData tids[FLEXIBLE_ARRAY_MEMBER];
} VdbHnswContainerData;

StaticAssertDecl(offsetof(VdbHnswContainerData, tids) == 24,
				 "TID containers are part of the on-disk format");

#define VDB_HNSW_CONTAINER_SIZE	256
#define VDB_HNSW_CONTAINER_TIDS	38

/*
 * Head of a value in a coded index, which has "padded" elements after
 * rotation; element i is about scale times what is stored of it.
 *
 * A value whose rotation overflowed, of which nothing is known, has a scale
 * and elements of zero and infinite error and norm2.
 */
typedef struct VdbHnswCodedValue
{
	float		scale;
	float		error;			/* length of the difference to the true value,
								 * rounded up; of the worst one when several
								 * rows share the vertex */
	float		norm2;			/* squared length of the stored value */
} VdbHnswCodedValue;

StaticAssertDecl(sizeof(VdbHnswCodedValue) == 12,
				 "stored values are part of the on-disk format");

/* Eight bits an element */
typedef struct VdbHnswInt8Value
{
	float		scale;
	float		error;
	float		norm2;
	int8		code[FLEXIBLE_ARRAY_MEMBER];	/* from -127 to 127 */
} VdbHnswInt8Value;

StaticAssertDecl(offsetof(VdbHnswInt8Value, code) == 12,
				 "stored values are part of the on-disk format");

/* IEEE 754 binary16 elements, all finite; the scale is a power of two */
typedef struct VdbHnswFloat16Value
{
	float		scale;
	float		error;
	float		norm2;
	VdbHalf		half[FLEXIBLE_ARRAY_MEMBER];
} VdbHnswFloat16Value;

StaticAssertDecl(offsetof(VdbHnswFloat16Value, half) == 12,
				 "stored values are part of the on-disk format");

/*
 * IEEE 754 binary32 elements, all finite; the scale is 1 and the error 0, for
 * what the rotation rounded is not counted.  No element is -0.
 */
typedef struct VdbHnswFloat32Value
{
	float		scale;
	float		error;
	float		norm2;
	float		x[FLEXIBLE_ARRAY_MEMBER];
} VdbHnswFloat32Value;

StaticAssertDecl(offsetof(VdbHnswFloat32Value, x) == 12,
				 "stored values are part of the on-disk format");

/* The upper half of a float, which is bfloat16 */
typedef uint16 VdbBfloat16;

/*
 * The covered bit of a neighbour (bit i % 8 of byte i / 8) says that another
 * neighbour of the vertex, whose bit is not set, is nearer to it than the
 * vertex itself.  Covered neighbours fill up the list and are the first to
 * make room.
 *
 * What turns the sum of a query over a neighbour's code into a distance.
 * With r the neighbour's value less this vertex's value x:
 *
 *	 rescale = |r|^2 / |r|_1
 *	 add = |r|^2 + 2 * rescale * sum(x[i] * sign(r[i]))
 *
 * Both are rounded to the upper half of a float, "add" with the rounded
 * "rescale" in it, so that most of what one lost is made up for by the other.
 * The estimate is wrong by far more than that.
 */
typedef struct VdbHnswFactors
{
	VdbBfloat16 add;
	VdbBfloat16 rescale;
} VdbHnswFactors;

StaticAssertDecl(sizeof(VdbHnswFactors) == 4,
				 "factors are part of the on-disk format");

/* The float that a half of one stands for */
static inline float
VdbBfloat16ToFloat(VdbBfloat16 half)
{
	union
	{
		uint32		bits;
		float		value;
	}			whole;

	whole.bits = (uint32) half << 16;
	return whole.value;
}

/* The nearest half to a float that is a number; may be infinite */
static inline VdbBfloat16
VdbBfloat16FromFloat(float value)
{
	union
	{
		uint32		bits;
		float		value;
	}			whole;

	whole.value = value;
	return (VdbBfloat16)
		((whole.bits + 0x7FFF + ((whole.bits >> 16) & 1)) >> 16);
}

/* Is this reference none? */
static inline bool
VdbHnswRefIsNone(VdbHnswRef ref)
{
	return ref.generation == 0;
}

static inline bool
VdbHnswRefEquals(VdbHnswRef a, VdbHnswRef b)
{
	return a.blkno == b.blkno && a.offno == b.offno &&
		a.generation == b.generation;
}

#endif							/* VECDB_HNSW_PAGE_H */
