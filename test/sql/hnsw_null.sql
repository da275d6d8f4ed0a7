--
-- hnsw_null: NULLs and, for cosine, zero vectors are not indexed; a NULL query
-- returns all indexed rows
--
SET enable_seqscan = off;
SET jit = off;
CREATE TABLE t (id int, v vector(3), h halfvec(3), s sparsevec(3), w vector(64));
CREATE INDEX ON t USING hnsw (v vector_cosine_ops);
CREATE INDEX ON t USING hnsw (h halfvec_l2_ops);
CREATE INDEX ON t USING hnsw (s sparsevec_cosine_ops);
CREATE INDEX ON t USING hnsw (w vector_cosine_ops);
INSERT INTO t VALUES
	(1, '[1,2,3]', '[1,2,3]', '{1:1}/3', array_fill(1, ARRAY[64])),
	(2, NULL, NULL, NULL, NULL),
	(3, '[0,0,0]', '[0,0,0]', '{}/3', array_fill(0, ARRAY[64])),
	(4, '[-1,2,3]', '[-1,2,3]', '{2:1}/3', array_fill(-1, ARRAY[64])),
	(5, '[-0.0,0,0]', '[-0.0,0,0]', '{}/3', array_fill('-0'::float4, ARRAY[64]));

CREATE VIEW indexed AS SELECT
	(SELECT array_agg(id ORDER BY id) FROM (SELECT id FROM t ORDER BY v <=> '[1,1,1]' LIMIT 9) x) AS v,
	(SELECT array_agg(id ORDER BY id) FROM (SELECT id FROM t ORDER BY h <-> '[1,1,1]' LIMIT 9) x) AS h,
	(SELECT array_agg(id ORDER BY id) FROM (SELECT id FROM t ORDER BY s <=> '{1:1}/3' LIMIT 9) x) AS s,
	(SELECT array_agg(id ORDER BY id) FROM (SELECT id FROM t ORDER BY w <=> array_fill(1, ARRAY[64])::vector LIMIT 9) x) AS w;
SELECT * FROM indexed;
REINDEX TABLE t;
SELECT * FROM indexed;

-- rows with NULL are updated to values and back
UPDATE t SET v = '[7,7,7]' WHERE id = 2;
UPDATE t SET h = NULL WHERE id = 1;
SELECT * FROM indexed;
DELETE FROM t WHERE id IN (2, 3);
VACUUM (INDEX_CLEANUP on) t;
SELECT * FROM indexed;

-- a query of length zero has no cosine distance; nobody is nearer than others
SELECT count(*), count(d), bool_and(d = 'NaN') FROM
	(SELECT v <=> '[0,0,0]' AS d FROM t ORDER BY v <=> '[0,0,0]' LIMIT 9) s;
SELECT count(*) FROM (SELECT 1 FROM t ORDER BY w <=> array_fill(0, ARRAY[64])::vector LIMIT 9) s;
-- NULL query: all that is indexed, in any order, with filter and with batches
SELECT array_agg(id ORDER BY id) FROM (SELECT id FROM t ORDER BY h <-> NULL LIMIT 9) s;
SELECT array_agg(id ORDER BY id) FROM (SELECT id FROM t ORDER BY w <=> (SELECT NULL::vector) LIMIT 9) s;
SET hnsw.iterative_scan = off;
SELECT array_agg(id ORDER BY id) FROM (SELECT id FROM t ORDER BY w <=> (SELECT NULL::vector) LIMIT 9) s;
SET hnsw.iterative_scan = strict_order;
SELECT array_agg(id ORDER BY id) FROM (SELECT id FROM t ORDER BY w <=> (SELECT NULL::vector) LIMIT 9) s;
RESET hnsw.iterative_scan;

-- an index of nothing
TRUNCATE t;
SELECT * FROM indexed;
INSERT INTO t (id) SELECT generate_series(1, 3);
SELECT * FROM indexed;
REINDEX TABLE t;
SELECT * FROM indexed;
DROP VIEW indexed;
DROP TABLE t;
