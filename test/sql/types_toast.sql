--
-- types_toast: values out of line come back as they were stored, whether
-- their chunks are found by the index or remembered from earlier
--
CREATE TABLE toasted (id int PRIMARY KEY, v vector);

-- chunks on one page, chunks that go on on the next ones, a last chunk of four
-- bytes, and values that are not out of line
CREATE VIEW expected AS
	SELECT id, (SELECT array_agg(sin(id * 7919 + i)::real ORDER BY i)
				FROM generate_series(1, dimensions) i)::vector AS v
	FROM (SELECT id, (ARRAY[3, 700, 1536, 998, 500, 16000])[1 + id % 6] AS dimensions
		  FROM generate_series(1, 120) id) sizes;
INSERT INTO toasted SELECT * FROM expected;
CREATE VIEW different AS
	SELECT id FROM toasted JOIN expected USING (id)
	WHERE toasted.v IS DISTINCT FROM expected.v
		OR vector_dims(toasted.v) <> vector_dims(expected.v);
SELECT pg_relation_size(reltoastrelid) > 0 AS out_of_line
FROM pg_class WHERE oid = 'toasted'::regclass;

-- by the index, and then from memory, which looks at fewer pages
CREATE FUNCTION pg_temp.pages(statement text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ' || statement INTO plan;
	RETURN plan->0->'Plan'->>'Shared Hit Blocks';
END $$;
SELECT pg_temp.pages('SELECT v <-> v FROM toasted') >
	pg_temp.pages('SELECT v <-> v FROM toasted') + 100 AS fewer;
SELECT count(*) FROM different;
SELECT count(*) FROM different;

-- in a table that was filled in one go, not even the first time by the index,
-- which has pages of its own to look at for each value
CREATE TABLE filled (id int, v vector(1536));
INSERT INTO filled SELECT id, (SELECT array_agg(sin(id * 7919 + i)) FROM generate_series(1, 1536) i)::vector
FROM generate_series(1, 400) id;
SELECT pg_temp.pages('SELECT vector_norm(v) FROM filled') < 1.5 * 400 AS few;
SELECT sum(id) FROM filled WHERE abs(sin(id * 7919 + 1)::real - (v::real[])[1]) < 1e-6
	AND abs(sin(id * 7919 + 1536)::real - (v::real[])[1536]) < 1e-6;

-- gaps, values of other lengths between, and numbers in no order
DELETE FROM filled WHERE id % 3 = 0;
VACUUM filled;
INSERT INTO filled SELECT id, (SELECT array_agg(sin(id * 7919 + i)) FROM generate_series(1, 1536) i)::vector
FROM generate_series(401, 520) id;
ALTER TABLE filled ALTER v TYPE vector;
INSERT INTO filled SELECT id, (SELECT array_agg(sin(id * 7919 + i)) FROM generate_series(1, 600 + id) i)::vector
FROM generate_series(521, 700) id;
\c -
SELECT count(*) FROM filled WHERE abs(sin(id * 7919 + 1)::real - (v::real[])[1]) < 1e-6
	AND abs(sin(id * 7919 + vector_dims(v))::real - (v::real[])[vector_dims(v)]) < 1e-6;
SELECT count(*) FROM (SELECT id, v FROM filled ORDER BY hashint4(id)) f
WHERE abs(sin(id * 7919 + 1)::real - (v::real[])[1]) < 1e-6;
DROP TABLE filled;

CREATE FUNCTION pg_temp.pages(statement text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ' || statement INTO plan;
	RETURN plan->0->'Plan'->>'Shared Hit Blocks';
END $$;

-- changed, rolled back, removed, and written over what was removed
UPDATE toasted SET v = v * array_fill(1::real, ARRAY[vector_dims(v)])::vector WHERE id % 3 = 0;
SELECT count(*) FROM different;
BEGIN;
UPDATE toasted SET v = v + v;
SELECT count(*) FROM different;
ROLLBACK;
DELETE FROM toasted WHERE id % 2 = 0;
VACUUM toasted;
SELECT count(*) FROM different;
INSERT INTO toasted SELECT * FROM expected WHERE id % 2 = 0 ORDER BY id DESC;
SELECT count(*) FROM different;

-- a distance is computed once where it stands twice, though not from one
-- statement to the next, nor when a value is another one
SELECT (SELECT v FROM expected WHERE id = 2) AS one, (SELECT v FROM expected WHERE id = 8) AS two \gset
SELECT pg_temp.pages(format('SELECT v <#> %1$L, v <#> %1$L FROM toasted WHERE vector_dims(v) = 1536', :'one')) <
	pg_temp.pages(format('SELECT v <=> %1$L, v <-> %1$L FROM toasted WHERE vector_dims(v) = 1536', :'one')) AS fewer;
SELECT id, v <-> :'one' = :'one' <-> v AS symmetric, v <-> :'one' = 0 AS one, v <-> :'two' = 0 AS two,
	v <#> :'one' = - inner_product(v, :'one') AS product, v <=> :'one' = cosine_distance(v, :'one') AS cosine
FROM toasted WHERE id IN (2, 8) ORDER BY id;
UPDATE toasted SET v = :'two' WHERE id = 2;
SELECT id, v <-> :'one' = 0 AS one, v <-> :'two' = 0 AS two FROM toasted WHERE id IN (2, 8) ORDER BY id;
UPDATE toasted SET v = :'one' WHERE id = 2;
SELECT id, v <-> :'one' = 0 AS one, v <-> :'two' = 0 AS two FROM toasted WHERE id IN (2, 8) ORDER BY id;
DO $$
DECLARE
	a vector = (SELECT v + v FROM expected WHERE id = 2);
BEGIN
	ASSERT (SELECT v <-> a FROM toasted WHERE id = 2) > 0;
	UPDATE toasted SET v = a WHERE id = 2;
	ASSERT (SELECT v <-> a FROM toasted WHERE id = 2) = 0;
	UPDATE toasted SET v = (SELECT v FROM expected WHERE id = 2) WHERE id = 2;
	ASSERT (SELECT v <-> a FROM toasted WHERE id = 2) > 0;
END $$;

-- the end of the table cut off, and the table written anew: chunks move, and
-- the numbers of values stay
DELETE FROM toasted WHERE id > 30;
VACUUM toasted;
SELECT count(*) FROM different;
SELECT count(*) FROM toasted;
VACUUM FULL toasted;
SELECT count(*) FROM different;
TRUNCATE toasted;
INSERT INTO toasted SELECT * FROM expected ORDER BY id DESC;
SELECT count(*) FROM different;

-- compressed, which is left to PostgreSQL
ALTER TABLE toasted ALTER v SET STORAGE EXTENDED;
TRUNCATE toasted;
INSERT INTO toasted SELECT 1, array_fill(0.5::real, ARRAY[16000])::vector;
INSERT INTO toasted SELECT 2, (array_fill(0.5::real, ARRAY[14000]) || array_agg(sin(i)::real))::vector
FROM generate_series(1, 2000) i;
SELECT id, vector_dims(v), v <-> array_fill(0.5::real, ARRAY[16000])::vector < 1e-6 AS same FROM toasted;

-- a temporary table, whose pages are elsewhere
CREATE TEMPORARY TABLE own AS SELECT * FROM expected;
SELECT count(*) FROM own JOIN expected USING (id) WHERE own.v <> expected.v;
SELECT count(*) FROM own JOIN expected USING (id) WHERE own.v <> expected.v;

-- a backend takes little memory for the first value, and more for many
CREATE TABLE many AS
	SELECT id, array_fill(id::real, ARRAY[600])::vector AS v FROM generate_series(1, 3000) id;
\c -
SELECT used_bytes AS before FROM pg_backend_memory_contexts WHERE name = 'TopMemoryContext' \gset
SELECT v <-> v FROM many WHERE id = 1;
SELECT used_bytes - :before < 200000 AS little, used_bytes AS first
FROM pg_backend_memory_contexts WHERE name = 'TopMemoryContext' \gset
SELECT :'little' AS little;
SELECT count(*) FROM many WHERE v <-> array_fill(id::real, ARRAY[600])::vector > 0;
SELECT count(*) FROM many WHERE v <-> array_fill(id::real, ARRAY[600])::vector > 0;
SELECT used_bytes > :first + 40000 AS more FROM pg_backend_memory_contexts WHERE name = 'TopMemoryContext';

DROP VIEW different, expected;
DROP TABLE toasted, many;

-- searches by an index fetch such values ahead: rows in which they are out of
-- line, in the row, or NULL, behind columns of any kind, added or dropped
CREATE TABLE ahead (dropped int, name text, v vector(700));
INSERT INTO ahead SELECT 1, CASE WHEN id % 3 > 0 THEN repeat('x', id) END,
	CASE WHEN id % 5 > 0 THEN (SELECT array_agg(sin(id * 7919 + i)) FROM generate_series(1, 700) i)::vector END
FROM generate_series(1, 200) id;
ALTER TABLE ahead DROP COLUMN dropped;
ALTER TABLE ahead ADD COLUMN id int DEFAULT -1;
ALTER TABLE ahead ADD COLUMN near vector(700) DEFAULT array_fill(1, ARRAY[700])::vector;
UPDATE ahead SET id = length(name) WHERE name IS NOT NULL;
ALTER TABLE ahead ALTER v SET STORAGE MAIN;
INSERT INTO ahead SELECT 'main', (SELECT array_agg(sin(id * 7919 + i)) FROM generate_series(1, 700) i)::vector, id
FROM generate_series(201, 240) id;
CREATE INDEX ON ahead USING hnsw (v vector_l2_ops);
CREATE INDEX ON ahead USING hnsw (near vector_l2_ops);
SET enable_seqscan = off;
SET hnsw.ef_search = 400;
SELECT count(*), sum(cardinality(found)), count(*) FILTER (WHERE found = nearest) = count(*) AS exact
FROM (SELECT id, ARRAY(SELECT v <-> q.v FROM ahead ORDER BY v <-> q.v LIMIT 30) AS found,
		ARRAY(SELECT v <-> q.v FROM (SELECT v FROM ahead WHERE v IS NOT NULL OFFSET 0) a ORDER BY 1 LIMIT 30) AS nearest
	FROM ahead q WHERE id % 7 = 1) searches;
SELECT count(*) FROM (SELECT 1 FROM ahead ORDER BY near <-> array_fill(1, ARRAY[700])::vector LIMIT 300) all_of_them;
DROP TABLE ahead;
