--
-- inspect_prewarm: what vecdb.prewarm() loads, for whom, and what it refuses
--
CREATE TABLE warmed (id int, v vector(64));
INSERT INTO warmed SELECT g, (SELECT array_agg(sin(g * i)) FROM generate_series(1, 64) i)
	FROM generate_series(1, 1000) g;
CREATE INDEX warmed_v ON warmed USING hnsw (v vector_l2_ops);
CREATE INDEX warmed_id ON warmed (id);
SELECT vecdb.prewarm('warmed_v') = pg_relation_size('warmed_v') / 8192 AS "all blocks";
SELECT vecdb.prewarm(NULL);

-- empty, unlogged, and temporary, for which the cache can be made too small
CREATE UNLOGGED TABLE warmed_empty (v vector(3));
CREATE INDEX warmed_empty_v ON warmed_empty USING hnsw (v vector_l2_ops);
SELECT vecdb.prewarm('warmed_empty_v');
\c -
SET temp_buffers = 100;
CREATE TEMPORARY TABLE warmed_temp AS
	SELECT id, v FROM warmed UNION ALL SELECT id, v * v FROM warmed;
ALTER TABLE warmed_temp ALTER v TYPE vector(64);
CREATE INDEX warmed_temp_v ON warmed_temp USING hnsw (v vector_l2_ops);
SELECT pg_relation_size('warmed_temp_v') / 8192 > 100 AS larger;
\set VERBOSITY terse
SELECT vecdb.prewarm('warmed_temp_v');
\set VERBOSITY default

-- refused
SELECT vecdb.prewarm('warmed_id');
SELECT vecdb.prewarm('warmed');
SELECT vecdb.prewarm(0);
CREATE TABLE warmed_parts (id int, v vector(2)) PARTITION BY LIST (id);
CREATE INDEX warmed_parts_v ON warmed_parts USING hnsw (v vector_l2_ops);
SELECT vecdb.prewarm('warmed_parts_v');
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'warmed_v'::regclass;
SELECT vecdb.prewarm('warmed_v');
UPDATE pg_index SET indisvalid = true WHERE indexrelid = 'warmed_v'::regclass;

-- whoever may read the table
CREATE ROLE regress_prewarm;
SET ROLE regress_prewarm;
SELECT vecdb.prewarm('warmed_v');
RESET ROLE;
GRANT SELECT (v) ON warmed TO regress_prewarm;
SET ROLE regress_prewarm;
SELECT vecdb.prewarm('warmed_v');
RESET ROLE;
GRANT SELECT ON warmed TO regress_prewarm;
SET ROLE regress_prewarm;
SELECT vecdb.prewarm('warmed_v') > 0 AS loaded;
RESET ROLE;
DROP TABLE warmed, warmed_empty, warmed_parts;
DROP ROLE regress_prewarm;
