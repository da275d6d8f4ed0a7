--
-- hnsw_extremes: distances that overflow or vanish, and many equal values; no
-- row is lost
--
SET enable_seqscan = off;
SET jit = off;
\pset format unaligned
\pset tuples_only on
CREATE FUNCTION survives(opclass text, op text, n int, exponent int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	type text := split_part(opclass, '_', 1);
	counts text := '';
	seen int;
	step int;
BEGIN
	EXECUTE format('CREATE TEMP TABLE o (id int, v %s(%s))', type, n);
	EXECUTE format('CREATE INDEX oi ON o USING hnsw (v %s) WITH (m = 3, ef_construction = 8)', opclass);
	EXECUTE format('INSERT INTO o SELECT g, (SELECT array_agg(((g + i * i) %% 19 - 9.5) * 10::float8 ^ %s ORDER BY i) FROM generate_series(1, %s) i)::%s
		FROM generate_series(1, 60) g', exponent, n, type);
	FOR step IN 1 .. 2 LOOP
		EXECUTE format('SELECT count(DISTINCT id) FROM (SELECT id FROM o ORDER BY v %s (SELECT v FROM o WHERE id = 7) LIMIT 100) s', op)
			INTO seen;
		counts := counts || ' ' || seen;
		REINDEX INDEX oi;
	END LOOP;
	DELETE FROM o WHERE id % 3 > 0;
	EXECUTE format('SELECT count(DISTINCT id) FROM (SELECT id FROM o ORDER BY v %s (SELECT v FROM o WHERE id = 9) LIMIT 100) s', op)
		INTO seen;
	DROP TABLE o;
	RETURN format('%s(%s) 1e%s:%s %s', opclass, n, exponent, counts, seen);
END $$;
SELECT survives(opclass, op, n, exponent)
FROM (VALUES ('vector_l2_ops', '<->'), ('vector_ip_ops', '<#>'), ('vector_cosine_ops', '<=>'), ('vector_l1_ops', '<+>')) o (opclass, op),
	unnest(ARRAY[3, 64]) n, unnest(ARRAY[37, 19, -20, -44]) exponent
ORDER BY opclass COLLATE "C", n, exponent;
SELECT survives(opclass, op, n, exponent)
FROM (VALUES ('halfvec_l2_ops', '<->'), ('halfvec_cosine_ops', '<=>')) o (opclass, op),
	unnest(ARRAY[3, 64]) n, unnest(ARRAY[3, -6]) exponent
ORDER BY opclass COLLATE "C", n, exponent;
DROP FUNCTION survives;

-- a few huge rows among ordinary ones do not disturb these
CREATE TABLE mixed (id int, v vector(64));
INSERT INTO mixed SELECT g, array_fill(CASE WHEN g % 10 = 0 THEN 3e38 ELSE g END, ARRAY[64]) FROM generate_series(1, 100) g;
CREATE INDEX ON mixed USING hnsw (v vector_l2_ops);
SELECT string_agg(id::text, ' ') FROM (SELECT id FROM mixed ORDER BY v <-> array_fill(54.9, ARRAY[64])::vector LIMIT 5) s;
SELECT count(*) FROM (SELECT id FROM mixed ORDER BY v <-> array_fill(3e38, ARRAY[64])::vector LIMIT 200) s;
DROP TABLE mixed;

-- equal values share a vertex; its rows come and go by the hundred
CREATE TABLE same (id int, v vector(3), w vector(64));
CREATE INDEX ON same USING hnsw (v vector_l2_ops);
CREATE INDEX ON same USING hnsw (w vector_l2_ops);
CREATE VIEW seen AS SELECT
	(SELECT count(*) || ' ' || count(DISTINCT id) || ' ' || min(id) || ' ' || max(id)
	FROM (SELECT id FROM same ORDER BY v <-> '[1,2,3]' LIMIT 2000) s) AS v,
	(SELECT count(*) || ' ' || count(DISTINCT id) || ' ' || min(id) || ' ' || max(id)
	FROM (SELECT id FROM same ORDER BY w <-> array_fill(1, ARRAY[64])::vector LIMIT 2000) s) AS w;
INSERT INTO same SELECT g, '[1,2,3]', array_fill(1, ARRAY[64]) FROM generate_series(1, 500) g;
SELECT * FROM seen;
INSERT INTO same SELECT g, ARRAY[1, 2, g], array_fill(g, ARRAY[64]) FROM generate_series(501, 510) g;
SELECT * FROM seen;
DELETE FROM same WHERE id BETWEEN 2 AND 499;
VACUUM (INDEX_CLEANUP on) same;
SELECT * FROM seen;
INSERT INTO same SELECT g, '[1,2,3]', array_fill(1, ARRAY[64]) FROM generate_series(1000, 1399) g;
SELECT * FROM seen;
DELETE FROM same WHERE id < 501 OR id > 510;
VACUUM (INDEX_CLEANUP on) same;
SELECT * FROM seen;
INSERT INTO same SELECT g, '[1,2,3]', array_fill(1, ARRAY[64]) FROM generate_series(1, 300) g;
SELECT * FROM seen;
REINDEX TABLE same;
SELECT * FROM seen;
DELETE FROM same;
VACUUM (INDEX_CLEANUP on) same;
SELECT * FROM seen;
INSERT INTO same VALUES (1, '[1,2,3]', array_fill(1, ARRAY[64]));
SELECT * FROM seen;
-- in strict order and without iteration, too: rows of one vertex are not cut
INSERT INTO same SELECT g, '[1,2,3]', array_fill(1, ARRAY[64]) FROM generate_series(2, 100) g;
SET hnsw.ef_search = 1;
SET hnsw.iterative_scan = off;
SELECT * FROM seen;
SET hnsw.iterative_scan = strict_order;
SELECT * FROM seen;
DROP VIEW seen;
DROP TABLE same;
