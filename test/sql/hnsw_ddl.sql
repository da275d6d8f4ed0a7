--
-- hnsw_ddl: indexes of partitions, of expressions, partial ones; and commands
-- that rewrite tables and indexes
--
SET enable_seqscan = off;
SET jit = off;
\set VERBOSITY terse

-- a partitioned table; each partition's index is scanned and they are merged
CREATE TABLE parts (id int, region int, v vector(3)) PARTITION BY LIST (region);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES IN (2);
INSERT INTO parts SELECT g, 1 + g % 2, ARRAY[g, 0, 0] FROM generate_series(1, 50) g;
CREATE INDEX ON parts USING hnsw (v vector_l2_ops);
CREATE TABLE parts_3 PARTITION OF parts FOR VALUES IN (3);
INSERT INTO parts VALUES (51, 3, '[24.6,0,0]');
EXPLAIN (COSTS OFF) SELECT id FROM parts ORDER BY v <-> '[24.9,0,0]' LIMIT 4;
SELECT id FROM parts ORDER BY v <-> '[24.9,0,0]' LIMIT 4;
SELECT id FROM parts WHERE region = 2 ORDER BY v <-> '[24.9,0,0]' LIMIT 2;
UPDATE parts SET region = 3 WHERE id = 25;
SELECT id FROM parts WHERE region = 3 ORDER BY v <-> '[24.9,0,0]' LIMIT 2;
DROP TABLE parts;

-- inheritance
CREATE TABLE parent (id int, v vector(3));
CREATE TABLE child (extra int) INHERITS (parent);
CREATE INDEX ON parent USING hnsw (v vector_l2_ops);
CREATE INDEX ON child USING hnsw (v vector_l2_ops);
INSERT INTO parent VALUES (1, '[1,0,0]'), (2, '[2,0,0]');
INSERT INTO child VALUES (3, '[1.5,0,0]');
EXPLAIN (COSTS OFF) SELECT id FROM parent ORDER BY v <-> '[1,0,0]' LIMIT 2;
SELECT id FROM parent ORDER BY v <-> '[1.1,0,0]' LIMIT 2;
SELECT id FROM ONLY parent ORDER BY v <-> '[1.1,0,0]' LIMIT 2;
DROP TABLE parent CASCADE;

-- expressions, among them those that the README names, and partial indexes
CREATE TABLE t (id int, v vector(8), kind int, list float4[]);
INSERT INTO t SELECT g, (SELECT array_agg(((g * i) % 13 - 6) ORDER BY i) FROM generate_series(1, 8) i), g % 3, ARRAY[g, 1]
FROM generate_series(1, 40) g;
CREATE INDEX half ON t USING hnsw ((v::halfvec(8)) halfvec_l2_ops);
CREATE INDEX bits ON t USING hnsw ((binary_quantize(v)::bit(8)) bit_hamming_ops);
CREATE INDEX sub ON t USING hnsw ((subvector(v, 1, 2)::vector(2)) vector_l2_ops);
CREATE INDEX from_list ON t USING hnsw ((list::vector(2)) vector_l2_ops);
CREATE INDEX partial ON t USING hnsw (v vector_cosine_ops) WHERE kind = 1;
EXPLAIN (COSTS OFF) SELECT id FROM t ORDER BY v::halfvec(8) <-> '[1,2,3,4,5,6,-6,-5]' LIMIT 2;
SELECT id FROM t ORDER BY v::halfvec(8) <-> '[1,2,3,4,5,6,-6,-5]' LIMIT 1;
EXPLAIN (COSTS OFF) SELECT id FROM (SELECT * FROM t ORDER BY binary_quantize(v)::bit(8) <~> B'11110000' LIMIT 20) s
ORDER BY v <-> '[1,2,3,4,5,6,-6,-5]' LIMIT 2;
SELECT id FROM t ORDER BY subvector(v, 1, 2)::vector(2) <-> '[1.1,2.1]', id LIMIT 1;
EXPLAIN (COSTS OFF) SELECT id FROM t ORDER BY subvector(v, 1, 2)::vector(2) <-> '[1,2]' LIMIT 1;
SELECT id FROM t ORDER BY list::vector(2) <-> '[17.2,1]' LIMIT 2;
EXPLAIN (COSTS OFF) SELECT id FROM t WHERE kind = 1 ORDER BY v <=> '[1,2,3,4,5,6,-6,-5]' LIMIT 2;
SELECT count(*), bool_and(kind = 1) FROM (SELECT kind FROM t WHERE kind = 1 ORDER BY v <=> '[1,2,3,4,5,6,-6,-5]' LIMIT 100) s;
SET enable_seqscan = on;
EXPLAIN (COSTS OFF) SELECT id FROM t WHERE kind = 2 ORDER BY v <=> '[1,2,3,4,5,6,-6,-5]' LIMIT 2;
SET enable_seqscan = off;
UPDATE t SET kind = 1 WHERE kind = 2;
SELECT count(*) FROM (SELECT kind FROM t WHERE kind = 1 ORDER BY v <=> '[1,2,3,4,5,6,-6,-5]' LIMIT 100) s;
DROP TABLE t;

-- rewriting
CREATE TABLE t (id int, v vector(3));
INSERT INTO t SELECT g, ARRAY[g, 1, 1] FROM generate_series(1, 30) g;
CREATE INDEX i ON t USING hnsw (v vector_l2_ops);
CREATE VIEW nearest AS SELECT array_agg(id) FROM (SELECT id FROM t ORDER BY v <-> '[9.9,1,1]' LIMIT 3) s;
CREATE VIEW everything AS SELECT count(*) FROM (SELECT id FROM t ORDER BY v <-> '[9.9,1,1]' LIMIT 100) s;
REINDEX INDEX i;
SELECT * FROM nearest;
REINDEX INDEX CONCURRENTLY i;
SELECT * FROM nearest;
VACUUM FULL t;
SELECT * FROM nearest;
CLUSTER t USING i;
ALTER TABLE t SET UNLOGGED;
SELECT * FROM nearest;
INSERT INTO t VALUES (31, '[9.8,1,1]');
SELECT * FROM nearest;
ALTER TABLE t SET LOGGED;
SELECT * FROM nearest;
INSERT INTO t VALUES (32, '[9.7,1,1]');
SELECT * FROM nearest;
TRUNCATE t;
SELECT * FROM nearest;
INSERT INTO t SELECT g, ARRAY[g, 1, 1] FROM generate_series(1, 30) g;
SELECT * FROM nearest;
-- a table that is rewritten in the transaction that fills it
BEGIN;
TRUNCATE t;
INSERT INTO t VALUES (1, '[1,1,1]');
SELECT * FROM nearest;
ROLLBACK;
SELECT * FROM nearest;
SELECT * FROM everything;
DROP VIEW nearest, everything;
ALTER TABLE t ALTER v TYPE vector(3) USING v + '[1,0,0]';
SELECT id FROM t ORDER BY v <-> '[9.9,1,1]' LIMIT 2;
ALTER TABLE t ALTER v TYPE halfvec(3);
DROP INDEX i;
ALTER TABLE t ALTER v TYPE halfvec(3);
CREATE INDEX i ON t USING hnsw (v halfvec_l2_ops);
SELECT id FROM t ORDER BY v <-> '[9.9,1,1]' LIMIT 2;
ALTER INDEX i RENAME TO j;
ALTER TABLE t RENAME v TO embedding;
SELECT pg_get_indexdef('j'::regclass);
SELECT id FROM t ORDER BY embedding <-> '[9.9,1,1]' LIMIT 2;
DROP TABLE t;

-- unlogged and temporary tables
CREATE UNLOGGED TABLE u (id int, v vector(64));
CREATE INDEX ON u USING hnsw (v vector_l2_ops);
INSERT INTO u SELECT g, array_fill(g, ARRAY[64]) FROM generate_series(1, 100) g;
SELECT id FROM u ORDER BY v <-> array_fill(50.1, ARRAY[64])::vector LIMIT 2;
DROP TABLE u;
CREATE TEMP TABLE u (id int, v vector(64)) ON COMMIT DELETE ROWS;
CREATE INDEX ON u USING hnsw (v vector_l2_ops);
BEGIN;
INSERT INTO u SELECT g, array_fill(g, ARRAY[64]) FROM generate_series(1, 100) g;
SELECT id FROM u ORDER BY v <-> array_fill(50.1, ARRAY[64])::vector LIMIT 2;
COMMIT;
SELECT id FROM u ORDER BY v <-> array_fill(50.1, ARRAY[64])::vector LIMIT 2;
INSERT INTO u VALUES (1, array_fill(1, ARRAY[64]));
DROP TABLE u;

-- a build larger than its memory, alone and by several
CREATE TABLE large (id int, v vector(64));
INSERT INTO large SELECT g, (SELECT array_agg(((g * 7919 + i * i * 31) % 1009) ORDER BY i) FROM generate_series(1, 64) i)
FROM generate_series(1, 4000) g;
SET maintenance_work_mem = '1MB';
SET client_min_messages = warning;
SET max_parallel_maintenance_workers = 0;
CREATE INDEX i ON large USING hnsw (v vector_l2_ops) WITH (m = 8, ef_construction = 32);
CREATE VIEW found AS SELECT count(*) >= 95 AS most FROM (SELECT id, v FROM large WHERE id % 40 = 0) a
WHERE 0 = (SELECT v <-> a.v FROM large ORDER BY v <-> a.v LIMIT 1);
SELECT * FROM found;
SELECT count(*) FROM (SELECT id FROM large ORDER BY v <-> (SELECT v FROM large WHERE id = 5) LIMIT 5000) s;
DROP INDEX i;
SET max_parallel_maintenance_workers = 2;
SET min_parallel_table_scan_size = 0;
ALTER TABLE large SET (parallel_workers = 2);
CREATE INDEX i ON large USING hnsw (v vector_l2_ops) WITH (m = 8, ef_construction = 32);
SELECT * FROM found;
SELECT count(*) FROM (SELECT id FROM large ORDER BY v <-> (SELECT v FROM large WHERE id = 5) LIMIT 5000) s;
RESET maintenance_work_mem;
REINDEX INDEX i;
SELECT * FROM found;
SELECT count(*) FROM (SELECT id FROM large ORDER BY v <-> (SELECT v FROM large WHERE id = 5) LIMIT 5000) s;
DROP INDEX i;
RESET client_min_messages;
RESET maintenance_work_mem;
RESET max_parallel_maintenance_workers;
RESET min_parallel_table_scan_size;
DROP VIEW found;
DROP TABLE large;
