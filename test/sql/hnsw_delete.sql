--
-- hnsw_delete: what is deleted is not returned, what stays is still reached by
-- the graph, and VACUUM makes room that is used again
--
SET enable_seqscan = off;
SET jit = off;
SET hnsw.iterative_scan = off;
SET hnsw.ef_search = 1000;
\pset format unaligned
\pset tuples_only on

-- a whole region goes, so that nobody's neighbours have neighbours left; the
-- rows on both its sides are found from their own side
CREATE TABLE line (id int, v vector(64)) WITH (autovacuum_enabled = off);
CREATE VIEW ends AS SELECT op, at, string_agg(id::text, ' ' ORDER BY id) AS ids
FROM (
	SELECT 'coded' AS op, 0 AS at, id FROM (SELECT id FROM line ORDER BY v <-> array_fill(0, ARRAY[64])::vector LIMIT 5) a UNION ALL
	SELECT 'coded', 1200, id FROM (SELECT id FROM line ORDER BY v <-> array_fill(1200, ARRAY[64])::vector LIMIT 5) a UNION ALL
	SELECT 'plain', 0, id FROM (SELECT id FROM line ORDER BY v <+> array_fill(0, ARRAY[64])::vector LIMIT 5) a UNION ALL
	SELECT 'plain', 1200, id FROM (SELECT id FROM line ORDER BY v <+> array_fill(1200, ARRAY[64])::vector LIMIT 5) a) s
GROUP BY op, at;
CREATE INDEX ON line USING hnsw (v vector_l2_ops);
CREATE INDEX ON line USING hnsw (v vector_l1_ops);
INSERT INTO line SELECT g, array_fill(g, ARRAY[64]) FROM generate_series(1, 1200) g;
DELETE FROM line WHERE id BETWEEN 101 AND 1100;
VACUUM (INDEX_CLEANUP on) line;
SELECT * FROM ends ORDER BY 1, 2;
-- the few on one side, who may have no record in an upper layer
DELETE FROM line WHERE id BETWEEN 1101 AND 1195;
VACUUM (INDEX_CLEANUP on) line;
SELECT string_agg(id::text, ' ') FROM (SELECT id FROM line ORDER BY v <-> array_fill(1200, ARRAY[64])::vector LIMIT 5) s;
SELECT string_agg(id::text, ' ') FROM (SELECT id FROM line ORDER BY v <+> array_fill(1200, ARRAY[64])::vector LIMIT 5) s;
DROP VIEW ends;
DROP TABLE line;

-- generations of rows in the same places
CREATE TABLE churn (id int, v vector(3), w vector(64)) WITH (autovacuum_enabled = off);
CREATE INDEX churn_v ON churn USING hnsw (v vector_l2_ops);
CREATE INDEX churn_w ON churn USING hnsw (w vector_l2_ops);
CREATE PROCEDURE generation(n int) LANGUAGE sql AS $$
	INSERT INTO churn SELECT n * 1000 + g, ARRAY[g % 20, g / 20, n / 10.0], array_fill(g + n / 10.0, ARRAY[64])
	FROM generate_series(1, 200) g;
$$;
CREATE VIEW state AS SELECT
	(SELECT count(*) FROM churn) AS rows,
	(SELECT count(*) FROM (SELECT id FROM churn ORDER BY v <-> '[0,0,0]' LIMIT 1000) s) AS v,
	(SELECT count(*) FROM (SELECT id FROM churn ORDER BY w <-> array_fill(0, ARRAY[64])::vector LIMIT 1000) s) AS w,
	(SELECT count(*) FROM churn a WHERE id = (SELECT id FROM churn ORDER BY v <-> a.v LIMIT 1)) AS found_v,
	(SELECT count(*) FROM churn a WHERE id = (SELECT id FROM churn ORDER BY w <-> a.w LIMIT 1)) AS found_w;
CALL generation(1);
SELECT * FROM state;
SELECT pg_relation_size('churn_v') AS v_size, pg_relation_size('churn_w') AS w_size \gset
DELETE FROM churn WHERE id % 2 = 0;
SELECT * FROM state;
VACUUM (INDEX_CLEANUP on) churn;
SELECT * FROM state;
DELETE FROM churn;
VACUUM (INDEX_CLEANUP on) churn;
SELECT * FROM state;
CALL generation(2);
SELECT * FROM state;
DELETE FROM churn;
VACUUM (INDEX_CLEANUP on) churn;
CALL generation(3);
SELECT * FROM state;
-- layers are drawn by chance, so sizes vary a little
SELECT pg_relation_size('churn_v') < 1.3 * :v_size, pg_relation_size('churn_w') < 1.3 * :w_size;
-- updates that change the vector, and that do not
UPDATE churn SET id = id + 10000;
SELECT * FROM state;
UPDATE churn SET v = v + '[0.5,0,0]', w = w + array_fill(0.05, ARRAY[64])::vector;
SELECT * FROM state;
-- rolled back, in whole and in part
BEGIN;
CALL generation(4);
ROLLBACK;
BEGIN;
SAVEPOINT a;
CALL generation(4);
ROLLBACK TO a;
CALL generation(5);
COMMIT;
SELECT * FROM state;
VACUUM (INDEX_CLEANUP on) churn;
SELECT * FROM state;
-- the statistics that VACUUM leaves
SELECT relname, reltuples FROM pg_class WHERE relname LIKE 'churn\__' ORDER BY 1;
DROP VIEW state;
DROP PROCEDURE generation;
DROP TABLE churn;

-- Two parts that only what goes connected, and no upper layer above either:
-- VACUUM has to lead from one to the other.
CREATE TABLE parts (g int, v vector(64), w vector(3)) WITH (autovacuum_enabled = off);
CREATE INDEX parts_v ON parts USING hnsw (v vector_l2_ops) WITH (m = 4, ef_construction = 8);
CREATE INDEX parts_w ON parts USING hnsw (w vector_l1_ops) WITH (m = 4, ef_construction = 8);
SET vecdb.debug_points = 'hnsw_insert_layer=0';
INSERT INTO parts SELECT g, array_fill(g, ARRAY[64]), array_fill(g, ARRAY[3]) FROM generate_series(1, 600) g;
RESET vecdb.debug_points;
DELETE FROM parts WHERE g BETWEEN 51 AND 550;
VACUUM (INDEX_CLEANUP on) parts;
SELECT count(*) FROM (SELECT FROM parts ORDER BY v <-> array_fill(1, ARRAY[64])::vector LIMIT 1000) s;
SELECT count(*) FROM (SELECT FROM parts ORDER BY v <-> array_fill(600, ARRAY[64])::vector LIMIT 1000) s;
SELECT count(*) FROM (SELECT FROM parts ORDER BY w <+> '[1,1,1]' LIMIT 1000) s;
SELECT count(*) FROM (SELECT FROM parts ORDER BY w <+> '[600,600,600]' LIMIT 1000) s;
SELECT * FROM vecdb.verify_index('parts_v', true);
SELECT * FROM vecdb.verify_index('parts_w', true);
-- a scan that fails in the middle of its search leaves nothing to the next
SET hnsw.iterative_scan = relaxed_order;
SET hnsw.ef_search = 10;
SET vecdb.debug_points = 'hnsw_scan_batch=error';
SELECT count(*) FROM (SELECT FROM parts ORDER BY v <-> array_fill(1, ARRAY[64])::vector LIMIT 1000) s;
RESET vecdb.debug_points;
SELECT count(*) FROM (SELECT FROM parts ORDER BY v <-> array_fill(1, ARRAY[64])::vector LIMIT 1000) s;
RESET hnsw.ef_search;
RESET hnsw.iterative_scan;
DROP TABLE parts;

-- A VACUUM that failed has marked vertices in layer 0 and not yet above.  What
-- is inserted next to those still has to find the live ones elsewhere.
CREATE TABLE marked (g int, v vector(3));
CREATE INDEX marked_v ON marked USING hnsw (v vector_l2_ops);
SET vecdb.debug_points = 'hnsw_insert_layer=1';
INSERT INTO marked SELECT g, format('[%s,0,0]', g)::vector FROM generate_series(1, 5) g;
DELETE FROM marked;
SET vecdb.debug_points = 'hnsw_vacuum_marked=error';
VACUUM (INDEX_CLEANUP on) marked;
-- the new entry point, linked to nobody in layer 0
SET vecdb.debug_points = 'hnsw_insert_layer=2';
INSERT INTO marked VALUES (6, '[1000,1000,1000]');
-- led to the deleted ones, as one of the crowd and as a higher entry point
SET vecdb.debug_points = 'hnsw_insert_layer=0';
INSERT INTO marked VALUES (7, '[1,1,1]');
SET vecdb.debug_points = 'hnsw_insert_layer=3';
INSERT INTO marked VALUES (8, '[1,2,1]');
RESET vecdb.debug_points;
SET hnsw.iterative_scan = off;
SET enable_seqscan = off;
SELECT g FROM marked ORDER BY v <-> '[1,1,1]';
SELECT g FROM marked ORDER BY v <-> '[1000,1000,1000]';
SELECT * FROM vecdb.verify_index('marked_v', true);
VACUUM (INDEX_CLEANUP on) marked;
SELECT g FROM marked ORDER BY v <-> '[1,1,1]';
SELECT * FROM vecdb.verify_index('marked_v', true);
RESET enable_seqscan;
RESET hnsw.iterative_scan;
DROP TABLE marked;

-- What lay between clusters is deleted: each of their rows is found all the
-- same, also without upper layers that lead there.  (Without a look at that
-- 1,129 of these 2,400 were not.)
SET vecdb.debug_points = 'hnsw_insert_layer=0';
SELECT setseed(0.25);
CREATE TABLE gaps (id int, is_old bool, v vector(6));
CREATE INDEX gaps_v ON gaps USING hnsw (v vector_l2_ops);
INSERT INTO gaps SELECT i, true, array_agg(100 * random())::vector
	FROM generate_series(1, 4000) i, generate_series(1, 6) GROUP BY i ORDER BY i;
CREATE TABLE centres AS SELECT c, array_agg(100 * random()) AS x
	FROM generate_series(0, 39) c, generate_series(1, 6) GROUP BY c;
INSERT INTO gaps SELECT i, false, array_agg(x[d] + 4 * random() ORDER BY d)::vector
	FROM generate_series(4001, 6400) i JOIN centres ON c = i % 40, generate_series(1, 6) d
	GROUP BY i ORDER BY i;
RESET vecdb.debug_points;
DELETE FROM gaps WHERE is_old;
VACUUM (INDEX_CLEANUP on) gaps;
SET enable_seqscan = off;
SET hnsw.iterative_scan = off;
SELECT count(*) < 10 FROM gaps a WHERE a.id <> (SELECT id FROM gaps b ORDER BY b.v <-> a.v LIMIT 1);
RESET hnsw.iterative_scan;
RESET enable_seqscan;
DROP TABLE gaps, centres;
