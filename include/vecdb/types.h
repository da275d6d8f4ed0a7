/*-------------------------------------------------------------------------
 *
 * types.h
 *	  The vector types: in-memory layout, and what an index may know of them.
 *
 * The layouts of vector, halfvec and sparsevec are pgvector's, byte for
 * byte, because other extensions and client code read them.
 *
 * IDENTIFICATION
 *	  include/vecdb/types.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef VECDB_TYPES_H
#define VECDB_TYPES_H

#include "postgres.h"

#include "fmgr.h"

#include "vecdb/distance.h"

#define VDB_VECTOR_MAX_DIM		16000
#define VDB_HALFVEC_MAX_DIM		16000
#define VDB_SPARSEVEC_MAX_DIM	1000000000
#define VDB_SPARSEVEC_MAX_NNZ	16000

typedef struct VdbVector
{
	int32		vl_len_;		/* varlena header (do not touch directly!) */
	int16		dim;			/* number of dimensions */
	int16		unused;			/* zero, reserved */
	float		x[FLEXIBLE_ARRAY_MEMBER];
} VdbVector;

typedef struct VdbHalfVector
{
	int32		vl_len_;		/* varlena header (do not touch directly!) */
	int16		dim;			/* number of dimensions */
	int16		unused;			/* zero, reserved */
	VdbHalf		x[FLEXIBLE_ARRAY_MEMBER];
} VdbHalfVector;

typedef struct VdbSparseVector
{
	int32		vl_len_;		/* varlena header (do not touch directly!) */
	int32		dim;			/* number of dimensions */
	int32		nnz;			/* number of elements that follow */
	int32		unused;			/* zero, reserved */
	int32		indices[FLEXIBLE_ARRAY_MEMBER]; /* from 0, ascending; the
												 * float values follow */
} VdbSparseVector;

#define VDB_SPARSEVEC_VALUES(v) ((float *) ((v)->indices + (v)->nnz))

/* What the elements of an indexed value are */
typedef enum VdbElementKind
{
	VDB_ELEMENT_FLOAT32 = 1,	/* vector */
	VDB_ELEMENT_FLOAT16 = 2,	/* halfvec */
	VDB_ELEMENT_SPARSE = 3,		/* sparsevec */
	VDB_ELEMENT_BIT = 4			/* bit */
} VdbElementKind;

/*
 * What an operator class measures.  The numbers are part of the on-disk
 * format of indexes.
 */
typedef enum VdbMetric
{
	VDB_METRIC_L2 = 1,			/* squared Euclidean; operator <-> */
	VDB_METRIC_IP = 2,			/* negative inner product; <#> */
	VDB_METRIC_COSINE = 3,		/* of normalized values; <=> */
	VDB_METRIC_L1 = 4,			/* taxicab; <+> */
	VDB_METRIC_HAMMING = 5,		/* <~> */
	VDB_METRIC_JACCARD = 6,		/* <%> */
	VDB_METRIC_OTHER = 7		/* the operator class's own function */
} VdbMetric;

/*
 * What an index must know about a type, returned by support function 3 of
 * the operator classes (hnsw_halfvec_support and so on); an operator class
 * without that function is for "vector".
 */
typedef struct VdbTypeInfo
{
	VdbElementKind kind;
	const char *name;			/* SQL name, for messages */
	int			max_dimensions; /* of the type */

	/* dimensions of a detoasted value */
	int			(*dimensions) (const void *value);

	/*
	 * The value scaled to length one in a fresh palloc, or NULL when its
	 * length is zero.  NULL function: the type has no norm.
	 */
	void	   *(*normalize) (const void *value);

	/* all elements as floats; NULL function for sparse and bit */
	void		(*to_floats) (const void *value, float *out);

	/*
	 * Distance of two detoasted values for each metric, the smaller the
	 * nearer; NULL where the type does not have that metric.  L2 is squared,
	 * IP negated, COSINE expects normalized values and is their negated inner
	 * product.  Dimensions are equal (the caller has checked).
	 */
	float		(*distance[VDB_METRIC_JACCARD + 1]) (const void *a, const void *b);
} VdbTypeInfo;

/*
 * vdb_types_info -- description of a type, from support function 3, or of
 * "vector" when "support" is NULL
 */
extern const VdbTypeInfo *vdb_types_info(FmgrInfo *support);

/*
 * vdb_types_metric -- which metric a distance support function stands for
 *
 * Compares the function with the ones of this library.  "has_norm" tells
 * whether the operator class has support function 2, which makes an inner
 * product a cosine.  VDB_METRIC_OTHER for a function that is not ours.
 */
extern VdbMetric vdb_types_metric(FmgrInfo *distance, bool has_norm);

/*
 * vdb_types_prefetch -- have a value that is stored out of line on its way to
 * the processor's cache, if it is known where it was
 *
 * Touches no page.  Returns false for a value that is not stored so.
 */
extern bool vdb_types_prefetch(Datum value);

#endif							/* VECDB_TYPES_H */
