/*-------------------------------------------------------------------------
 *
 * hnsw_index.c
 *	  What a backend knows of an open index, and the layout it follows from.
 *
 * The metapage is read once for each relation and backend and kept in
 * rd_amcache: nothing in it changes but the entry point and the container
 * page, which are read when needed.
 *
 * IDENTIFICATION
 *	  src/hnsw/hnsw_index.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type_d.h"
#include "common/pg_prng.h"
#include "utils/rel.h"

#include "hnsw_private.h"

/* What a sample says is trusted beyond so many standard deviations */
#define SAMPLE_DEVIATIONS	2.5

/* What rd_amcache holds: one chunk, because relcache frees it with pfree */
typedef struct HnswCache
{
	VdbHnswMetaPageData meta;
	uint8		signs[FLEXIBLE_ARRAY_MEMBER];
} HnswCache;

static HnswCache *get_cache(Relation rel);
static void fill_index(HnswIndex *index, Relation rel, HnswCache *cache);
static void set_sampled(HnswIndex *index);
static int	coded_capacity(const HnswIndex *index);
static void check_indexed_column(const VdbTypeInfo *type,
								 Form_pg_attribute column);
static const VdbTypeInfo *get_type(Relation rel);

/*
 * hnsw_index_open -- make an open relation ready for use
 *
 * The result lives in the current memory context; nothing needs closing.
 */
HnswIndex *
hnsw_index_open(Relation rel)
{
	HnswIndex  *index = palloc0(sizeof(HnswIndex));

	fill_index(index, rel, get_cache(rel));
	return index;
}

/* The cached metapage and signs of a relation, read if need be */
static HnswCache *
get_cache(Relation rel)
{
	VdbHnswMetaPageData meta;
	HnswCache  *cache;

	if (rel->rd_amcache != NULL)
		return rel->rd_amcache;

	hnsw_read_meta(rel, &meta);
	cache = MemoryContextAlloc(rel->rd_indexcxt, offsetof(HnswCache, signs) +
							   hnsw_signs_size(meta.padded));
	cache->meta = meta;
	hnsw_make_signs(meta.seed, meta.padded, cache->signs);
	rel->rd_amcache = cache;
	return cache;
}

/*
 * hnsw_index_forget -- the metapage has been written anew
 */
void
hnsw_index_forget(Relation rel)
{
	if (rel->rd_amcache != NULL)
		pfree(rel->rd_amcache);
	rel->rd_amcache = NULL;
}

/*
 * The signs are copied: an invalidation message may free the cache while the
 * index is in use.
 */
static void
fill_index(HnswIndex *index, Relation rel, HnswCache *cache)
{
	Size		signs_size = hnsw_signs_size(cache->meta.padded);
	int			body_pages = 0;

	index->rel = rel;
	index->meta = cache->meta;
	index->type = get_type(rel);
	index->distance_proc = index_getprocinfo(rel, 1, HNSW_DISTANCE_PROC);
	index->collation = rel->rd_indcollation[0];
	index->coded = cache->meta.codes == VDB_HNSW_CODES_RABITQ;
	if (index->coded)
	{
		uint8	   *signs = palloc(signs_size);

		memcpy(signs, cache->signs, signs_size);
		index->signs = signs;
		index->code_size = cache->meta.code_bits / 8;
		index->value_size = hnsw_coded_value_size(&cache->meta);
		index->scratch = palloc(sizeof(float) * 2 * cache->meta.padded);
	}
	else
		index->value_size = hnsw_plain_value_size(index);
	set_sampled(index);

	if (index->value_size > 0)
		index->record_size =
			hnsw_record_size(index, index->meta.capacity, index->value_size,
							 &body_pages);
	if (body_pages > 0)
		index->record_size = 0;
}

/*
 * May the distance of values be told from a part of them?
 *
 * Where that is at most half of them, and the distance a sum over elements.
 * After the rotation the difference of two values points anywhere, so the
 * share of its squared length that a sample has is distributed as that of
 * normal variables: by Beta(s / 2, (d - s) / 2).
 */
static void
set_sampled(HnswIndex *index)
{
	int			padded = index->meta.padded;

	index->sampled = index->meta.storage == VDB_HNSW_STORAGE_INT8 &&
		index->meta.metric != VDB_METRIC_IP && padded >= 2 * HNSW_SAMPLE;
	if (index->sampled)
		index->sample_margin = SAMPLE_DEVIATIONS *
			sqrt(2.0 / HNSW_SAMPLE * (1 - (double) HNSW_SAMPLE / padded));
}

/* The type that the operator class of the index is for */
static const VdbTypeInfo *
get_type(Relation rel)
{
	FmgrInfo   *support = NULL;

	if (OidIsValid(index_getprocid(rel, 1, HNSW_TYPE_INFO_PROC)))
		support = index_getprocinfo(rel, 1, HNSW_TYPE_INFO_PROC);
	return vdb_types_info(support);
}

/*
 * hnsw_meta_init -- the metapage of a new, empty index
 *
 * Raises the errors that CREATE INDEX gives for a column or for options that
 * cannot be.
 */
void
hnsw_meta_init(VdbHnswMetaPageData *meta, Relation rel)
{
	const VdbTypeInfo *type = get_type(rel);
	int			dimensions = TupleDescAttr(RelationGetDescr(rel), 0)->atttypmod;
	bool		has_norm = OidIsValid(index_getprocid(rel, 1, HNSW_NORM_PROC));
	HnswIndex	index;

	check_indexed_column(type, TupleDescAttr(RelationGetDescr(rel), 0));

	memset(meta, 0, sizeof(VdbHnswMetaPageData));
	meta->magic = VDB_HNSW_MAGIC;
	meta->version = VDB_HNSW_VERSION;
	meta->dimensions = dimensions;
	meta->m = hnsw_get_m(rel);
	meta->ef_construction = hnsw_get_ef_construction(rel);
	meta->element = type->kind;
	meta->metric =
		vdb_types_metric(index_getprocinfo(rel, 1, HNSW_DISTANCE_PROC),
						 has_norm);
	meta->seed = pg_prng_uint64(&pg_global_prng_state);
	meta->container_page = InvalidBlockNumber;
	meta->centre_page = InvalidBlockNumber;

	if (meta->ef_construction < 2 * meta->m)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("ef_construction must be greater than or equal to 2 * m"),
				 errdetail("ef_construction is %d and m is %d.",
						   meta->ef_construction, meta->m),
				 errhint("Set ef_construction to %d or more in the WITH clause of the index.",
						 2 * meta->m)));

	hnsw_choose_form(meta, rel);
	hnsw_check_form(meta, type, rel);

	meta->upper_capacity = meta->m;
	meta->capacity = 2 * meta->m;
	if (meta->codes == VDB_HNSW_CODES_RABITQ)
	{
		memset(&index, 0, sizeof(index));
		index.meta = *meta;
		index.coded = true;
		index.code_size = meta->code_bits / 8;
		meta->capacity = coded_capacity(&index);
	}
}

/* Refuse what cannot be indexed */
static void
check_indexed_column(const VdbTypeInfo *type, Form_pg_attribute column)
{
	int			dimensions = column->atttypmod;
	int			limit = type->max_dimensions;

	/* The operator classes of bit accept it, but its values vary in length */
	if (column->atttypid == VARBITOID)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("type not supported for hnsw index"),
				 errhint("Index an expression of type bit with a length, such as (column::bit(64)).")));

	if (dimensions < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column does not have dimensions"),
				 errhint("Give the column or the expression a type with a number of dimensions, such as %s(3).",
						 type->name)));

	/* Bit strings have no limit of their own that a page could meet */
	if (type->kind == VDB_ELEMENT_BIT)
		limit = (VDB_HNSW_MAX_VALUE_SIZE - 64) * BITS_PER_BYTE;
	if (dimensions > limit)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("column cannot have more than %d dimensions for hnsw index",
						limit)));
}

/*
 * hnsw_meta_problem -- can an index have this metapage?
 *
 * Whatever would lead calculations astray.  Returns NULL or what is wrong.
 */
const char *
hnsw_meta_problem(const VdbHnswMetaPageData *meta)
{
	bool		coded = meta->codes == VDB_HNSW_CODES_RABITQ;
	bool		plain = meta->storage == VDB_HNSW_STORAGE_PLAIN;

	if (meta->dimensions < 1 || meta->m < HNSW_MIN_M ||
		meta->m > VDB_HNSW_MAX_M ||
		meta->ef_construction < HNSW_MIN_EF_CONSTRUCTION ||
		meta->ef_construction > HNSW_MAX_EF_CONSTRUCTION ||
		meta->capacity < meta->m || meta->capacity > 2 * meta->m ||
		meta->upper_capacity != meta->m ||
		meta->entry_layer > VDB_HNSW_MAX_LAYER)
		return "The numbers in the metapage are out of range";

	if (meta->element < VDB_ELEMENT_FLOAT32 ||
		meta->element > VDB_ELEMENT_BIT ||
		meta->metric < VDB_METRIC_L2 || meta->metric > VDB_METRIC_OTHER ||
		meta->codes > VDB_HNSW_CODES_RABITQ ||
		meta->storage > VDB_HNSW_STORAGE_FLOAT32 || plain == coded ||
		(coded && meta->dimensions > VDB_VECTOR_MAX_DIM) ||
		meta->padded != (coded ? TYPEALIGN(64, meta->dimensions) : 0) ||
		(meta->code_bits > 0) != coded || meta->code_bits % 64 != 0 ||
		meta->code_bits > meta->padded)
		return "The metapage contradicts itself";
	return NULL;
}

/*
 * How many neighbours a record of layer 0 holds in a coded index
 *
 * Between m and 2 * m: as many records on a page as leave room for m
 * neighbours each, and then as many neighbours as there is room for.  See
 * README, "Capacity".
 */
static int
coded_capacity(const HnswIndex *index)
{
	int			m = index->meta.m;
	int			least = m;
	Size		value_size = hnsw_coded_value_size(&index->meta);
	int			records;
	Size		room;
	int			capacity;
	int			body_pages;
	Size		size = hnsw_record_size(index, least, value_size, &body_pages);

	/* Too large for a page: the codes are elsewhere, and room is no matter */
	if (body_pages > 0)
		return 2 * m;

	records = VDB_HNSW_PAGE_SPACE / (size + sizeof(ItemIdData));
	room = VDB_HNSW_PAGE_SPACE / records - sizeof(ItemIdData);
	for (capacity = least; capacity < 2 * m; capacity++)
	{
		size = hnsw_record_size(index, capacity + 1, value_size, &body_pages);
		if (body_pages > 0 || size > room)
			break;
	}
	return capacity;
}

/*
 * hnsw_record_size -- bytes of a record, and how many body pages it needs
 */
Size
hnsw_record_size(const HnswIndex *index, int capacity, Size value_size,
				 int *body_pages)
{
	Size		fixed;
	Size		body;

	fixed = sizeof(VdbHnswRecordData) + capacity * sizeof(VdbHnswRef);
	if (index->coded)
		fixed += hnsw_factors_size(capacity);
	body = MAXALIGN(value_size) + capacity * index->code_size;

	if (MAXALIGN(fixed + body) + sizeof(ItemIdData) <= VDB_HNSW_PAGE_SPACE)
	{
		*body_pages = 0;
		return MAXALIGN(fixed + body);
	}
	*body_pages = (body + VDB_HNSW_PAGE_SPACE - 1) / VDB_HNSW_PAGE_SPACE;
	return fixed + MAXALIGN(*body_pages * sizeof(BlockNumber));
}

/* hnsw_layer_capacity -- neighbours in a record of this layer */
int
hnsw_layer_capacity(const HnswIndex *index, int layer)
{
	return layer == 0 ? index->meta.capacity : index->meta.upper_capacity;
}

/*
 * hnsw_random_layer -- the highest layer of a new vertex
 *
 * As in the paper (Malkov and Yashunin, arXiv 1603.09320, algorithm 4), but
 * that a vertex of layer l is in layer l + 1 with probability 1 / 2m: README,
 * "What was measured".
 */
int
hnsw_random_layer(const HnswIndex *index)
{
	double		uniform = 1 - pg_prng_double(&pg_global_prng_state);
	double		layer = -log(uniform) / log(2 * index->meta.m);

	return (int) Min(layer, VDB_HNSW_MAX_LAYER);
}

/*
 * hnsw_report_corruption -- the one place that says an index is broken
 *
 * offno may be InvalidOffsetNumber when the fault is of the whole page.
 */
void
hnsw_report_corruption(Relation rel, BlockNumber blkno, OffsetNumber offno,
					   const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INDEX_CORRUPTED),
			 errmsg("hnsw index \"%s\" is corrupt at block %u, item %u",
					RelationGetRelationName(rel), blkno, offno),
			 errdetail("%s.", what),
			 errhint("Rebuild it with REINDEX, and check the storage.")));
}
