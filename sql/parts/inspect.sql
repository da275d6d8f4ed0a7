--
-- inspect: watching indexes work
--

CREATE FUNCTION vecdb.prewarm(index regclass) RETURNS bigint
	AS 'MODULE_PATHNAME', 'vecdb_prewarm'
	LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION vecdb.prewarm(regclass) IS
	'loads an hnsw index into the cache and returns how many blocks were loaded';

CREATE FUNCTION vecdb.recall(index regclass, queries integer DEFAULT 100,
		k integer DEFAULT 10, ef_search integer DEFAULT NULL,
		seed bigint DEFAULT NULL,
		OUT recall double precision, OUT sampled integer,
		OUT index_ms double precision, OUT exact_ms double precision)
	AS 'MODULE_PATHNAME', 'vecdb_recall'
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE;
COMMENT ON FUNCTION vecdb.recall(regclass, integer, integer, integer, bigint) IS
	'compares what an hnsw index finds for the values of sampled rows with exact searches';
