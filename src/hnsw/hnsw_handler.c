/*-------------------------------------------------------------------------
 *
 * hnsw_handler.c
 *	  The access method as PostgreSQL sees it: entry points, storage
 *	  parameters and settings, checks of operator classes, costs.
 *
 * Names, defaults and ranges are pgvector's, with two differences in what
 * they mean: hnsw.iterative_scan is on by default, and what is left after
 * hnsw.max_scan_tuples or hnsw.scan_mem_multiplier is not given up but read
 * in the order of pages (hnsw_scan.c).
 *
 * What the planner is told: a search reads about one page for each vertex that
 * it looks at closely, and how many those are follows from ef_search and,
 * slowly, from the size of the index.  All of that is paid before the first
 * row.  Rows beyond the first batch, which a filter makes necessary, cost
 * their share of the whole index.
 *
 * IDENTIFICATION
 *	  src/hnsw/hnsw_handler.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "access/amvalidate.h"
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/reloptions.h"
#include "catalog/pg_amop.h"
#include "catalog/pg_amproc.h"
#include "catalog/pg_class_d.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_type.h"
#include "commands/progress.h"
#include "commands/vacuum.h"
#include "nodes/pathnodes.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/float.h"
#include "utils/guc.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/selfuncs.h"
#include "utils/spccache.h"
#include "utils/syscache.h"

#include "vecdb/hnsw.h"

#include "hnsw_private.h"

static double estimate_visits(HnswIndex *index, int ef, double tuples);
static double estimate_operators(const HnswIndex *index);

static bool check_function(Form_pg_amproc proc, Oid type, const char *family);
static bool check_operator(Form_pg_amop op, const char *family);

static int	ef_search_setting;
static int	iterative_scan_setting;
int			hnsw_max_scan_tuples;
double		hnsw_scan_mem_multiplier;

/*
 * Cost of a page in the cache, as a share of seq_page_cost.  By time it would
 * be about 0.15; more, because below a few thousand rows the exact answer of
 * a sequential scan costs little.
 */
#define CACHED_PAGE_SHARE	0.4

/*
 * What PostgreSQL knows of the two settings that an index may have as options
 * too.  Looked up once; records of settings stay where they are.
 */
static const struct config_generic *ef_search_record;
static const struct config_generic *iterative_scan_record;

static relopt_kind hnsw_relopt_kind;

static const struct config_enum_entry iterative_scan_options[] = {
	{"off", HNSW_ITERATIVE_SCAN_OFF, false},
	{"relaxed_order", HNSW_ITERATIVE_SCAN_RELAXED, false},
	{"strict_order", HNSW_ITERATIVE_SCAN_STRICT, false},
	{NULL, 0, false}
};

static relopt_enum_elt_def codes_options[] = {
	{"rabitq", VDB_HNSW_CODES_RABITQ},
	{"none", VDB_HNSW_CODES_NONE},
	{NULL}
};

static relopt_enum_elt_def storage_options[] = {
	{"int8", VDB_HNSW_STORAGE_INT8},
	{"float16", VDB_HNSW_STORAGE_FLOAT16},
	{"float32", VDB_HNSW_STORAGE_FLOAT32},
	{"plain", VDB_HNSW_STORAGE_PLAIN},
	{NULL}
};

/* The same for the option */
static relopt_enum_elt_def iterative_scan_members[] = {
	{"off", HNSW_ITERATIVE_SCAN_OFF},
	{"relaxed_order", HNSW_ITERATIVE_SCAN_RELAXED},
	{"strict_order", HNSW_ITERATIVE_SCAN_STRICT},
	{NULL, 0}
};

VDB_FUNCTION(vecdb_hnswhandler);

static bytea *get_options(Datum reloptions, bool validate);
static bool validate_opclass(Oid opclass);
static void estimate_cost(PlannerInfo *root, IndexPath *path,
						  double loop_count, Cost *startup_cost,
						  Cost *total_cost, Selectivity *selectivity,
						  double *correlation, double *pages);
static bool is_set(const struct config_generic *record);
static char *build_phase_name(int64 phase);
static bool insert_row(Relation rel, Datum *values, bool *isnull,
					   ItemPointer tid, Relation heap,
					   IndexUniqueCheck check_unique, bool index_unchanged,
					   IndexInfo *info);

/*
 * hnswhandler(internal) returns index_am_handler
 */
Datum
vecdb_hnswhandler(PG_FUNCTION_ARGS)
{
	IndexAmRoutine *routine = makeNode(IndexAmRoutine);

	routine->amstrategies = 0;
	routine->amsupport = 3;
	routine->amoptsprocnum = 0;
	routine->amcanorder = false;
	routine->amcanorderbyop = true;
	routine->amcanbackward = false;
	routine->amcanunique = false;
	routine->amcanmulticol = false;
	routine->amoptionalkey = true;
	routine->amsearcharray = false;
	routine->amsearchnulls = false;
	routine->amstorage = false;
	routine->amclusterable = false;
	routine->ampredlocks = false;
	routine->amcanparallel = false;
	routine->amcaninclude = false;
	routine->amusemaintenanceworkmem = false;
	routine->amparallelvacuumoptions = VACUUM_OPTION_PARALLEL_BULKDEL;
	routine->amkeytype = InvalidOid;
	VDB_AM_CAN_BUILD_PARALLEL(routine);

	routine->ambuild = hnsw_build;
	routine->ambuildempty = hnsw_build_empty;
	routine->aminsert = insert_row;
	routine->ambulkdelete = hnsw_bulk_delete;
	routine->amvacuumcleanup = hnsw_vacuum_cleanup;
	routine->amcanreturn = NULL;
	routine->amcostestimate = estimate_cost;
	routine->amoptions = get_options;
	routine->amproperty = NULL;
	routine->ambuildphasename = build_phase_name;
	routine->amvalidate = validate_opclass;
	routine->amadjustmembers = NULL;
	routine->ambeginscan = hnsw_begin_scan;
	routine->amrescan = hnsw_rescan;
	routine->amgettuple = hnsw_get_tuple;
	routine->amgetbitmap = NULL;
	routine->amendscan = hnsw_end_scan;
	routine->ammarkpos = NULL;
	routine->amrestrpos = NULL;
	routine->amestimateparallelscan = NULL;
	routine->aminitparallelscan = NULL;
	routine->amparallelrescan = NULL;

	PG_RETURN_POINTER(routine);
}

/* ambuildphasename: what pg_stat_progress_create_index shows */
static char *
build_phase_name(int64 phase)
{
	switch (phase)
	{
		case PROGRESS_CREATEIDX_SUBPHASE_INITIALIZE:
			return "initializing";
		case PROGRESS_HNSW_PHASE_LOAD:
			return "loading tuples";
		case PROGRESS_HNSW_PHASE_WRITE:
			return "writing graph";
		case PROGRESS_HNSW_PHASE_LOG:
			return "writing to the log";
		default:
			return NULL;
	}
}

/* aminsert, which has had the same parameters since PostgreSQL 14 */
static bool
insert_row(Relation rel, Datum *values, bool *isnull, ItemPointer tid,
		   Relation heap, IndexUniqueCheck check_unique,
		   bool index_unchanged, IndexInfo *info)
{
	if (!isnull[0])
		hnsw_insert(rel, values[0], tid, index_unchanged);
	return false;
}

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
	add_enum_reloption(hnsw_relopt_kind, "codes",
					   "How neighbours are coded beside a vertex",
					   codes_options, HNSW_OPTION_UNSET,
					   "Valid values are \"rabitq\" and \"none\".",
					   AccessExclusiveLock);
	add_enum_reloption(hnsw_relopt_kind, "storage",
					   "How the values themselves are stored",
					   storage_options, HNSW_OPTION_UNSET,
					   "Valid values are \"int8\", \"float16\" and \"float32\" with codes, and \"plain\" without.",
					   AccessExclusiveLock);

	/* Searches that run are not disturbed, so the weakest lock will do */
	add_int_reloption(hnsw_relopt_kind, "ef_search",
					  "Size of the dynamic candidate list for search, where hnsw.ef_search is not set",
					  -1, HNSW_MIN_EF_SEARCH, HNSW_MAX_EF_SEARCH,
					  ShareUpdateExclusiveLock);
	add_enum_reloption(hnsw_relopt_kind, "iterative_scan",
					   "How an index scan goes on when a filter leaves too few rows, where hnsw.iterative_scan is not set",
					   iterative_scan_members, -1,
					   "Valid values are \"off\", \"relaxed_order\" and \"strict_order\".",
					   ShareUpdateExclusiveLock);

	DefineCustomIntVariable("hnsw.ef_search",
							"Sets the size of the dynamic candidate list for search.",
							"Valid range is 1..100000.",
							&ef_search_setting, HNSW_DEFAULT_EF_SEARCH,
							HNSW_MIN_EF_SEARCH, HNSW_MAX_EF_SEARCH,
							PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("hnsw.iterative_scan",
							 "Sets how an index scan goes on when a filter leaves too few rows.",
							 NULL,
							 &iterative_scan_setting,
							 HNSW_ITERATIVE_SCAN_RELAXED,
							 iterative_scan_options,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("hnsw.max_scan_tuples",
							"Sets how many distances an iterative scan computes while it follows the graph.",
							"After that it reads the rest of the index in the order of pages.",
							&hnsw_max_scan_tuples, 20000, 1, INT_MAX,
							PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomRealVariable("hnsw.scan_mem_multiplier",
							 "Sets the memory an iterative scan may use to follow the graph, in multiples of work_mem.",
							 NULL,
							 &hnsw_scan_mem_multiplier, 1, 1, 1000,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	MarkGUCPrefixReserved("hnsw");

	ef_search_record = vdb_find_setting("hnsw.ef_search");
	iterative_scan_record = vdb_find_setting("hnsw.iterative_scan");
}

/* get_options -- amoptions */
static bytea *
get_options(Datum reloptions, bool validate)
{
	static const relopt_parse_elt options[] = {
		{"m", RELOPT_TYPE_INT, offsetof(HnswOptions, m)},
		{"ef_construction", RELOPT_TYPE_INT,
		offsetof(HnswOptions, ef_construction)},
		{"codes", RELOPT_TYPE_ENUM, offsetof(HnswOptions, codes)},
		{"storage", RELOPT_TYPE_ENUM, offsetof(HnswOptions, storage)},
		{"ef_search", RELOPT_TYPE_INT, offsetof(HnswOptions, ef_search)},
		{"iterative_scan", RELOPT_TYPE_ENUM,
		offsetof(HnswOptions, iterative_scan)},
	};
	HnswOptions *result;

	result = build_reloptions(reloptions, validate, hnsw_relopt_kind,
							  sizeof(HnswOptions), options,
							  lengthof(options));
	if (validate && result != NULL)
		hnsw_check_options(result->codes, result->storage);
	return (bytea *) result;
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

/* hnsw_get_codes -- option codes of an index, or HNSW_OPTION_UNSET */
int
hnsw_get_codes(Relation index)
{
	HnswOptions *options = (HnswOptions *) index->rd_options;

	return options != NULL ? options->codes : HNSW_OPTION_UNSET;
}

/* hnsw_get_storage -- likewise */
int
hnsw_get_storage(Relation index)
{
	HnswOptions *options = (HnswOptions *) index->rd_options;

	return options != NULL ? options->storage : HNSW_OPTION_UNSET;
}

/*
 * Has anybody chosen the value of this setting: by SET, for a role or a
 * database, in a file?
 */
static bool
is_set(const struct config_generic *record)
{
	return record->source > PGC_S_DYNAMIC_DEFAULT;
}

/*
 * hnsw_get_ef_search -- ef_search that is in force for an index
 *
 * What is set, then the option of the index, then the built-in default.
 */
int
hnsw_get_ef_search(Relation index)
{
	HnswOptions *options = (HnswOptions *) index->rd_options;

	if (options != NULL && options->ef_search != -1 &&
		!is_set(ef_search_record))
		return options->ef_search;
	return ef_search_setting;
}

/* hnsw_get_iterative_scan -- likewise */
HnswIterativeScan
hnsw_get_iterative_scan(Relation index)
{
	HnswOptions *options = (HnswOptions *) index->rd_options;

	if (options != NULL && options->iterative_scan != -1 &&
		!is_set(iterative_scan_record))
		return (HnswIterativeScan) options->iterative_scan;
	return (HnswIterativeScan) iterative_scan_setting;
}

/* vdb_hnsw_is_index -- is this an index of our access method? */
bool
vdb_hnsw_is_index(Relation rel)
{
	return rel->rd_rel->relkind == RELKIND_INDEX &&
		rel->rd_indam->ambeginscan == hnsw_begin_scan;
}

/*
 * validate_opclass -- amvalidate
 *
 * An operator class has function 1, the distance of two values as float8;
 * maybe function 2, the norm of a value as float8; maybe function 3, which
 * describes the type; and operator 1, which orders by distance.
 */
static bool
validate_opclass(Oid opclass)
{
	HeapTuple	class_tuple = SearchSysCache1(CLAOID, ObjectIdGetDatum(opclass));
	Form_pg_opclass class;
	HeapTuple	family_tuple;
	char	   *family;
	CatCList   *procs;
	CatCList   *ops;
	bool		has_distance = false;
	bool		has_order = false;
	bool		valid = true;

	if (!HeapTupleIsValid(class_tuple))
		elog(ERROR, "cache lookup failed for operator class %u", opclass);
	class = (Form_pg_opclass) GETSTRUCT(class_tuple);
	family_tuple = SearchSysCache1(OPFAMILYOID,
								   ObjectIdGetDatum(class->opcfamily));
	if (!HeapTupleIsValid(family_tuple))
		elog(ERROR, "cache lookup failed for operator family %u",
			 class->opcfamily);
	family = NameStr(((Form_pg_opfamily) GETSTRUCT(family_tuple))->opfname);

	procs = SearchSysCacheList1(AMPROCNUM,
								ObjectIdGetDatum(class->opcfamily));
	for (int i = 0; i < procs->n_members; i++)
	{
		Form_pg_amproc proc = (Form_pg_amproc)
		GETSTRUCT(&procs->members[i]->tuple);

		valid &= check_function(proc, class->opcintype, family);
		has_distance |= proc->amprocnum == HNSW_DISTANCE_PROC;
	}
	ReleaseCatCacheList(procs);

	ops = SearchSysCacheList1(AMOPSTRATEGY,
							  ObjectIdGetDatum(class->opcfamily));
	for (int i = 0; i < ops->n_members; i++)
	{
		Form_pg_amop op = (Form_pg_amop) GETSTRUCT(&ops->members[i]->tuple);

		valid &= check_operator(op, family);
		has_order |= op->amopstrategy == 1;
	}
	ReleaseCatCacheList(ops);

	if (!has_distance)
		ereport(INFO,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("operator class \"%s\" of access method %s is missing support function %d",
						NameStr(class->opcname), "hnsw",
						HNSW_DISTANCE_PROC)));
	if (!has_order)
		ereport(INFO,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("operator class \"%s\" of access method %s is missing ordering operator 1",
						NameStr(class->opcname), "hnsw")));
	ReleaseSysCache(family_tuple);
	ReleaseSysCache(class_tuple);
	return valid && has_distance && has_order;
}

/* One support function; says what is wrong with it as INFO */
static bool
check_function(Form_pg_amproc proc, Oid type, const char *family)
{
	bool		valid;

	switch (proc->amprocnum)
	{
		case HNSW_DISTANCE_PROC:
			valid = check_amproc_signature(proc->amproc, FLOAT8OID, false,
										   2, 2, type, type);
			break;
		case HNSW_NORM_PROC:
			valid = check_amproc_signature(proc->amproc, FLOAT8OID, false,
										   1, 1, type);
			break;
		case HNSW_TYPE_INFO_PROC:
			valid = check_amproc_signature(proc->amproc, INTERNALOID, false,
										   1, 1, INTERNALOID);
			break;
		default:
			ereport(INFO,
					(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
					 errmsg("operator family \"%s\" of access method %s contains function %s with invalid support number %d",
							family, "hnsw", format_procedure(proc->amproc),
							proc->amprocnum)));
			return false;
	}

	if (!valid)
		ereport(INFO,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("operator family \"%s\" of access method %s contains function %s with wrong signature for support number %d",
						family, "hnsw", format_procedure(proc->amproc),
						proc->amprocnum)));
	return valid;
}

/* One operator; says what is wrong with it as INFO */
static bool
check_operator(Form_pg_amop op, const char *family)
{
	if (op->amopstrategy == 1 && op->amoppurpose == AMOP_ORDER &&
		check_amop_signature(op->amopopr, FLOAT8OID, op->amoplefttype,
							 op->amoprighttype))
		return true;

	ereport(INFO,
			(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
			 errmsg("operator family \"%s\" of access method %s contains invalid operator %s",
					family, "hnsw", format_operator(op->amopopr)),
			 errdetail("Only strategy 1 exists, an ordering operator that returns double precision.")));
	return false;
}

/* estimate_cost -- amcostestimate */
static void
estimate_cost(PlannerInfo *root, IndexPath *path, double loop_count,
			  Cost *startup_cost, Cost *total_cost,
			  Selectivity *selectivity, double *correlation,
			  double *pages)
{
	GenericCosts costs = {0};
	Relation	rel;
	HnswIndex  *index;
	double		tuples = Max(path->indexinfo->tuples, 1);
	double		visits;
	double		share;
	double		random_page_cost;
	double		seq_page_cost;
	double		page_cost;
	Cost		visit_cost;

	/* An index that has no order to give is of no use */
	if (path->indexorderbys == NIL)
	{
		*startup_cost = get_float8_infinity();
		*total_cost = get_float8_infinity();
		*selectivity = 0;
		*correlation = 0;
		*pages = 0;
		VDB_DISABLE_PATH(&path->path);
		return;
	}

	costs.numIndexTuples = tuples;
	genericcostestimate(root, path, loop_count, &costs);

	rel = index_open(path->indexinfo->indexoid, NoLock);
	index = hnsw_index_open(rel);
	visits = Min(estimate_visits(index, hnsw_get_ef_search(rel), tuples),
				 tuples);
	visit_cost = cpu_operator_cost * estimate_operators(index) +
		cpu_index_tuple_cost;
	index_close(rel, NoLock);

	/*
	 * Searches go over the same pages again and again, so an index that the
	 * cache can hold is in it, and a page costs a share of what a page that
	 * is read in order does.  Not more pages are read than there are.  Rows
	 * that follow are as the generic estimate has it, which counts all pages
	 * for all rows.
	 */
	get_tablespace_page_costs(path->indexinfo->reltablespace,
							  &random_page_cost, &seq_page_cost);
	page_cost = path->indexinfo->pages < effective_cache_size ?
		seq_page_cost * CACHED_PAGE_SHARE : random_page_cost;
	share = Min(visits / tuples, 1);
	*startup_cost = visits * visit_cost +
		Min(visits, path->indexinfo->pages) * page_cost;
	*total_cost = *startup_cost + (1 - share) * costs.indexTotalCost;
	*selectivity = costs.indexSelectivity;
	*correlation = 0;
	*pages = costs.numIndexPages;
}

/*
 * How many vertices a search looks at closely
 *
 * Measured with m = 16: a little more than the beam, plus a few for each
 * layer on the way down.  Without codes each of them has its neighbours read,
 * a part of which it has met before.
 */
static double
estimate_visits(HnswIndex *index, int ef, double tuples)
{
	double		layers = log(tuples) / log(index->meta.m);
	double		visits = hnsw_search_beam(index, ef) * 1.2 + 4 * layers;

	if (!index->coded)
		visits = (ef * 0.5 + layers) * index->meta.m;
	return visits;
}

/*
 * What comparing a value costs, in units of cpu_operator_cost: one for each
 * 256 bytes, which take about as long as a call of a simple operator
 */
static double
estimate_operators(const HnswIndex *index)
{
	double		bytes;

	switch (index->meta.element)
	{
		case VDB_ELEMENT_FLOAT32:
			bytes = 4.0 * index->meta.dimensions;
			break;
		case VDB_ELEMENT_FLOAT16:
			bytes = 2.0 * index->meta.dimensions;
			break;
		case VDB_ELEMENT_BIT:
			bytes = index->meta.dimensions / 8.0;
			break;
		default:
			bytes = 1024;
			break;
	}
	return 1 + bytes / 256;
}
