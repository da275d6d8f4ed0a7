--
-- inspect_recall: what vecdb.recall() measures, for whom, and what it refuses
--
-- Graphs differ from build to build, so what an index finds is compared with
-- bounds, or searched for so widely that nothing is missed.
--
CREATE TABLE measured (id int, v vector(64), half halfvec(3), bits bit(64), sparse sparsevec(50), filler text);
INSERT INTO measured SELECT g,
	(SELECT array_agg(sin(g * i * 1.1)) FROM generate_series(1, 64) i),
	ARRAY[g % 10, g % 11, 1]::halfvec,
	(g::bigint * 7777777777)::bit(64),
	format('{1:%s,%s:1}/50', g, 2 + g % 49)::sparsevec
	FROM generate_series(1, 2000) g;
CREATE INDEX m_l2 ON measured USING hnsw (v vector_l2_ops);
CREATE INDEX m_narrow ON measured USING hnsw (v vector_l2_ops) WITH (m = 2, ef_construction = 4, ef_search = 1, iterative_scan = off);
CREATE INDEX m_ip ON measured USING hnsw (v vector_ip_ops);
CREATE INDEX m_half ON measured USING hnsw (half halfvec_l2_ops);
CREATE INDEX m_bits ON measured USING hnsw (bits bit_hamming_ops);
CREATE INDEX m_sparse ON measured USING hnsw (sparse sparsevec_l1_ops);
CREATE INDEX m_expression ON measured USING hnsw ((v::halfvec(64)) halfvec_cosine_ops);
CREATE INDEX m_partial ON measured USING hnsw ((subvector(v, 1, 3)::vector(3)) vector_l2_ops) WHERE id % 2 = 0 AND filler IS NULL;
CREATE INDEX m_id ON measured (id);
ANALYZE measured;

SELECT name, r.recall = 1 AS complete, r.sampled, r.index_ms > 0 AND r.exact_ms > 0 AS timed
FROM unnest(ARRAY['m_l2', 'm_ip', 'm_half', 'm_bits', 'm_sparse', 'm_expression', 'm_partial']) name,
	vecdb.recall(name::regclass, queries => 10, ef_search => 3000) r;
-- as the index says, and as the caller says; no other index comes in
SELECT a.recall < 0.9 AS narrow, b.recall > a.recall AS wide
FROM vecdb.recall('m_narrow', seed => 1) a,
	vecdb.recall('m_narrow', seed => 1, ef_search => 500) b;
-- the same seed, the same rows
SELECT a.recall = b.recall AS same
FROM vecdb.recall('m_narrow', 50, 10, NULL, 7) a, vecdb.recall('m_narrow', 50, 10, NULL, 7) b;
-- more than there are
SELECT recall, sampled FROM vecdb.recall('m_partial', 5000, 3000, 100000);
-- settings are as before
SHOW hnsw.ef_search;
SHOW search_path;
SHOW enable_seqscan;
SHOW plan_cache_mode;
-- what the session forbids is no matter
SET enable_indexscan = off;
SELECT recall = 1 AS complete FROM vecdb.recall('m_half', 10, 10, 3000);
RESET enable_indexscan;
-- in a statement that reads the table itself
SELECT count(*) FROM measured, vecdb.recall('m_half', 1, 1) WHERE id <= 3;

-- rows that tie count; a row of which nothing is near is not searched for
CREATE TABLE few (v vector(2));
CREATE INDEX few_v ON few USING hnsw (v vector_cosine_ops);
SELECT recall, sampled, index_ms, exact_ms FROM vecdb.recall('few_v');
INSERT INTO few VALUES ('[0,0]'), (NULL);
SELECT recall, sampled, index_ms, exact_ms FROM vecdb.recall('few_v');
INSERT INTO few VALUES ('[1,1]');
SELECT recall, sampled FROM vecdb.recall('few_v');
INSERT INTO few SELECT '[1,1]' FROM generate_series(1, 500);
SELECT recall, sampled FROM vecdb.recall('few_v');
-- rows of children are not in the index of the parent
CREATE TABLE few_more () INHERITS (few);
INSERT INTO few_more SELECT '[1,1.01]' FROM generate_series(1, 500);
SELECT recall, sampled FROM vecdb.recall('few_v', 1000);
-- rows of this transaction, and its snapshot
BEGIN ISOLATION LEVEL REPEATABLE READ;
DELETE FROM ONLY few;
INSERT INTO few SELECT ARRAY[1, g] FROM generate_series(1, 20) g;
SELECT recall, sampled FROM vecdb.recall('few_v', ef_search => 1000);
ROLLBACK;

-- names that need quotes
CREATE SCHEMA "Odd ""schema";
CREATE TABLE "Odd ""schema"."A table" ("a column" vector(2), "select" int);
INSERT INTO "Odd ""schema"."A table" SELECT ARRAY[g, 1], g FROM generate_series(1, 30) g;
CREATE INDEX "An index" ON "Odd ""schema"."A table" USING hnsw ("a column" vector_l2_ops) WHERE "select" > 10;
SELECT recall, sampled FROM vecdb.recall('"Odd ""schema"."An index"');

-- refused
SELECT vecdb.recall(NULL);
SELECT vecdb.recall('m_l2', NULL);
SELECT vecdb.recall('m_l2', k => NULL);
SELECT vecdb.recall('m_l2', 0);
SELECT vecdb.recall('m_l2', k => 100001);
SELECT vecdb.recall('m_l2', ef_search => 0);
SHOW enable_seqscan;
SELECT vecdb.recall('m_id');
SELECT vecdb.recall('measured');
CREATE TABLE measured_parts (id int, v vector(2)) PARTITION BY LIST (id);
CREATE INDEX measured_parts_v ON measured_parts USING hnsw (v vector_l2_ops);
SELECT vecdb.recall('measured_parts_v');
\set VERBOSITY terse
SET statement_timeout = 100;
SELECT vecdb.recall('m_l2', 100000, 100);
RESET statement_timeout;
\set VERBOSITY default

-- whoever may read the table, all of it
CREATE ROLE regress_recall;
SET ROLE regress_recall;
SELECT recall FROM vecdb.recall('few_v');
RESET ROLE;
GRANT SELECT ON few, measured TO regress_recall;
SET ROLE regress_recall;
SELECT recall FROM vecdb.recall('few_v');
RESET ROLE;
ALTER TABLE few ENABLE ROW LEVEL SECURITY;
CREATE POLICY all_of_it ON few USING (true);
SET ROLE regress_recall;
SELECT recall FROM vecdb.recall('few_v');
SET row_security = off;
SELECT recall FROM vecdb.recall('few_v');
RESET row_security;
RESET ROLE;
SELECT recall FROM vecdb.recall('few_v');
ALTER ROLE regress_recall BYPASSRLS;
SET ROLE regress_recall;
SELECT recall FROM vecdb.recall('few_v');
RESET ROLE;

-- an owner's expression does not run with the rights of who calls, nor does
-- the caller's search_path lead the owner astray
CREATE FUNCTION as_owner(v vector) RETURNS vector IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
	IF current_user <> 'regress_recall' THEN
		RAISE EXCEPTION 'called by %', current_user;
	END IF;
	IF current_setting('search_path') <> 'pg_catalog, pg_temp' THEN
		RAISE NOTICE 'search_path is %', current_setting('search_path');
	END IF;
	RETURN v;
END $$;
CREATE TABLE owned (v vector(2));
ALTER TABLE owned OWNER TO regress_recall;
INSERT INTO owned VALUES ('[1,2]'), ('[3,4]');
SET client_min_messages = warning;
CREATE INDEX owned_v ON owned USING hnsw ((as_owner(v)::vector(2)) vector_l2_ops);
RESET client_min_messages;
SELECT recall, sampled FROM vecdb.recall('owned_v');
SELECT current_user = session_user AS "myself again";
SELECT as_owner('[1,2]');
DROP TABLE owned, few, few_more, measured, measured_parts;
DROP FUNCTION as_owner;
DROP SCHEMA "Odd ""schema" CASCADE;
DROP ROLE regress_recall;
