--
-- hnsw_update: an update that leaves the vector as it is searches for no
-- neighbours, and makes no vertex: its row joins the one that there is
--
SET enable_seqscan = off;
SET enable_sort = off;
SET jit = off;
\pset format unaligned
\pset tuples_only on

-- a point of its own for each row; none of the updates can be HOT; the beam is
-- as wide as the table, so that no search misses what is there
CREATE TABLE items (id int PRIMARY KEY, v vector(64), label int) WITH (autovacuum_enabled = off);
INSERT INTO items SELECT g, (SELECT array_agg(sin(g * i)) FROM generate_series(1, 64) i)::vector, 0
	FROM generate_series(1, 400) g;
CREATE INDEX ON items (label);
CREATE INDEX items_coded ON items USING hnsw (v vector_l2_ops) WITH (ef_construction = 400);
CREATE FUNCTION pages() RETURNS bigint LANGUAGE sql AS $$ SELECT pg_relation_size('items_coded') / 8192 $$;

-- tells each time that an insertion looks for neighbours
SET vecdb.debug_points = 'hnsw_insert_search=notice';

SELECT pages() AS before \gset
UPDATE items SET label = label + 1;
UPDATE items SET label = label + 1 WHERE id <= 100;
SELECT pages() - :before;
-- the versions are there, and each row is found once
SELECT count(*) FROM vecdb.verify_index('items_coded', true, true);
SELECT i.id FROM items i CROSS JOIN LATERAL (
		SELECT array_agg(id) AS ids FROM (SELECT id FROM items j ORDER BY j.v <-> i.v LIMIT 1) s) n
	WHERE n.ids <> ARRAY[i.id];
VACUUM (INDEX_CLEANUP on) items;
SELECT count(*) FROM vecdb.verify_index('items_coded', true, true);
SELECT count(*) FROM (SELECT id FROM items ORDER BY v <-> (SELECT v FROM items WHERE id = 7)) s;
UPDATE items SET label = label + 1 WHERE id = 7;

-- another vector, and a new row, do search, also one whose vector is there
UPDATE items SET v = (SELECT array_agg(cos(i)) FROM generate_series(1, 64) i)::vector WHERE id = 7;
INSERT INTO items SELECT 401, v, 0 FROM items WHERE id = 8;
SELECT pages() - :before <= 1;
SELECT count(*) FROM vecdb.verify_index('items_coded', true, true);

-- the former version is not in the index: the search for it finds nothing
CREATE TABLE late (id int, v vector(64), label int) WITH (autovacuum_enabled = off);
INSERT INTO late SELECT id, v, 0 FROM items WHERE id <= 20;
CREATE INDEX ON late (label);
CREATE INDEX late_coded ON late USING hnsw (v vector_l2_ops) WHERE label = 1;
UPDATE late SET label = 1 WHERE id <= 2;
UPDATE late SET label = label WHERE id <= 2;
SELECT count(*) FROM vecdb.verify_index('late_coded', true, true);

-- without codes
DROP INDEX items_coded;
CREATE INDEX items_plain ON items USING hnsw (v vector_l1_ops) WITH (ef_construction = 400);
UPDATE items SET label = label + 1;
SELECT count(*) FROM vecdb.verify_index('items_plain', true, true);

RESET vecdb.debug_points;
DROP FUNCTION pages;
DROP TABLE items, late;
