/*-------------------------------------------------------------------------
 *
 * hnsw_options.c
 *	  Storage parameters of an index and settings of a session.
 *
 * Names, defaults and ranges are pgvector's, with two differences in what
 * they mean: hnsw.iterative_scan is on by default, and what is left after
 * hnsw.max_scan_tuples or hnsw.scan_mem_multiplier is not given up but read
 * in the order of pages (hnsw_scan.c).
 *
 * IDENTIFICATION
 *	  src/hnsw/hnsw_options.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <float.h>

#include "access/reloptions.h"
#include "utils/guc.h"
#include "utils/rel.h"

#include "vecdb/hnsw.h"

#include "hnsw_private.h"

int			hnsw_ef_search;
int			hnsw_iterative_scan;
int			hnsw_max_scan_tuples;
double		hnsw_scan_mem_multiplier;

static relopt_kind hnsw_relopt_kind;

static const struct config_enum_entry iterative_scan_options[] = {
	{"off", HNSW_ITERATIVE_SCAN_OFF, false},
	{"relaxed_order", HNSW_ITERATIVE_SCAN_RELAXED, false},
	{"strict_order", HNSW_ITERATIVE_SCAN_STRICT, false},
	{NULL, 0, false}
};

/*
 * vdb_hnsw_init -- define options and settings; called once by _PG_init
 */
void
vdb_hnsw_init(void)
{
	hnsw_relopt_kind = add_reloption_kind();
	add_int_reloption(hnsw_relopt_kind, "m",
					  "Maximum number of connections per layer",
					  HNSW_DEFAULT_M, HNSW_MIN_M, VDB_HNSW_MAX_M,
					  AccessExclusiveLock);
	add_int_reloption(hnsw_relopt_kind, "ef_construction",
					  "Size of the dynamic candidate list for construction",
					  HNSW_DEFAULT_EF_CONSTRUCTION,
					  HNSW_MIN_EF_CONSTRUCTION, HNSW_MAX_EF_CONSTRUCTION,
					  AccessExclusiveLock);

	DefineCustomIntVariable("hnsw.ef_search",
							"Sets the size of the dynamic candidate list for search.",
							"Valid range is 1..1000.",
							&hnsw_ef_search, HNSW_DEFAULT_EF_SEARCH,
							HNSW_MIN_EF_SEARCH, HNSW_MAX_EF_SEARCH,
							PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("hnsw.iterative_scan",
							 "Sets how an index scan goes on when a filter leaves too few rows.",
							 NULL,
							 &hnsw_iterative_scan,
							 HNSW_ITERATIVE_SCAN_RELAXED,
							 iterative_scan_options,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("hnsw.max_scan_tuples",
							"Sets how many vertices an iterative scan visits by following the graph.",
							"After that it reads the rest of the index in the order of pages.",
							&hnsw_max_scan_tuples, 20000, 1, INT_MAX,
							PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomRealVariable("hnsw.scan_mem_multiplier",
							 "Sets the memory an iterative scan may use to follow the graph, in multiples of work_mem.",
							 NULL,
							 &hnsw_scan_mem_multiplier, 1, 1, 1000,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	MarkGUCPrefixReserved("hnsw");
}

/* hnsw_options -- amoptions */
bytea *
hnsw_options(Datum reloptions, bool validate)
{
	static const relopt_parse_elt options[] = {
		{"m", RELOPT_TYPE_INT, offsetof(HnswOptions, m)},
		{"ef_construction", RELOPT_TYPE_INT,
		offsetof(HnswOptions, ef_construction)},
	};

	return (bytea *) build_reloptions(reloptions, validate, hnsw_relopt_kind,
									  sizeof(HnswOptions), options,
									  lengthof(options));
}

/* hnsw_get_m -- option m of an index, or its default */
int
hnsw_get_m(Relation index)
{
	HnswOptions *options = (HnswOptions *) index->rd_options;

	return options != NULL ? options->m : HNSW_DEFAULT_M;
}

/* hnsw_get_ef_construction -- likewise */
int
hnsw_get_ef_construction(Relation index)
{
	HnswOptions *options = (HnswOptions *) index->rd_options;

	return options != NULL ? options->ef_construction :
		HNSW_DEFAULT_EF_CONSTRUCTION;
}
