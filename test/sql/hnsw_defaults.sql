--
-- hnsw_defaults: search settings as options of an index, and large ef_search
--
-- With iterative_scan off, a search of an index without codes returns
-- ef_search rows, so counting rows tells which value was in force.
--
CREATE TABLE t (v vector(3));
INSERT INTO t SELECT ARRAY[g % 17, g % 31, g] FROM generate_series(1, 1000) g;
CREATE INDEX i ON t USING hnsw (v vector_l2_ops) WITH (ef_search = 77, iterative_scan = off);
SELECT reloptions FROM pg_class WHERE relname = 'i';
CREATE FUNCTION rows_found() RETURNS bigint LANGUAGE sql SET enable_seqscan = off AS
	$$ SELECT count(*) FROM (SELECT FROM t ORDER BY v <-> '[1,2,3]' LIMIT 900) s $$;

-- the option, before the built-in default
SHOW hnsw.ef_search;
SELECT rows_found();
-- what is set goes before it, also if that is the default
SET hnsw.ef_search = 50;
SELECT rows_found();
SET hnsw.ef_search = 40;
SELECT rows_found();
RESET hnsw.ef_search;
SELECT rows_found();
SET hnsw.ef_search TO DEFAULT;
SELECT rows_found();
BEGIN;
SET LOCAL hnsw.ef_search = 60;
SELECT rows_found();
SAVEPOINT s;
SET LOCAL hnsw.ef_search = 61;
SELECT rows_found();
ROLLBACK TO s;
SELECT rows_found();
COMMIT;
SELECT rows_found();
BEGIN;
SET hnsw.ef_search = 62;
ROLLBACK;
SELECT rows_found();
ALTER FUNCTION rows_found() SET hnsw.ef_search = 30;
SELECT rows_found();
ALTER FUNCTION rows_found() RESET hnsw.ef_search;
SELECT rows_found();

-- for a database and for a role, in sessions that begin later
SELECT current_database() AS db, current_user AS me \gset
ALTER DATABASE :"db" SET hnsw.ef_search = 33;
\c -
SELECT rows_found();
CREATE ROLE regress_defaults;
ALTER ROLE regress_defaults SET hnsw.ef_search = 34;
SET SESSION AUTHORIZATION regress_defaults;
SELECT current_setting('hnsw.ef_search');
RESET SESSION AUTHORIZATION;
ALTER DATABASE :"db" RESET hnsw.ef_search;
\c -
-- set before the library is loaded
SET hnsw.ef_search = 35;
SELECT rows_found();
\c -
SELECT rows_found();
DROP ROLE regress_defaults;

-- changed while the index is in use, with a plan that stays
PREPARE p AS SELECT rows_found();
EXECUTE p;
ALTER INDEX i SET (ef_search = 88);
EXECUTE p;
ALTER INDEX i RESET (ef_search);
EXECUTE p;
SELECT reloptions FROM pg_class WHERE relname = 'i';

-- iterative_scan alike
ALTER INDEX i SET (iterative_scan = strict_order);
SELECT rows_found();
SET hnsw.iterative_scan = off;
SELECT rows_found();
RESET hnsw.iterative_scan;
ALTER INDEX i SET (iterative_scan = relaxed_order);
SELECT rows_found();
ALTER INDEX i RESET (iterative_scan);
SELECT rows_found();
SELECT reloptions FROM pg_class WHERE relname = 'i';
-- none of this needs REINDEX
SELECT * FROM vecdb.verify_index('i');

-- costs are those of what is in force
CREATE FUNCTION startup_cost() RETURNS float LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE plan json;
BEGIN
	EXECUTE $q$ EXPLAIN (FORMAT JSON) SELECT FROM t ORDER BY v <-> '[1,2,3]' LIMIT 5 $q$ INTO plan;
	RETURN plan #>> '{0,Plan,Plans,0,Startup Cost}';
END $$;
SELECT startup_cost() AS cost_40 \gset
ALTER INDEX i SET (ef_search = 400);
SELECT startup_cost() > 2 * :cost_40 AS "option costs";
SET hnsw.ef_search = 40;
SELECT startup_cost() = :cost_40 AS "setting costs";
RESET hnsw.ef_search;

-- each of two indexes has its own, and partitions inherit
CREATE TABLE parts (k int, v vector(3)) PARTITION BY LIST (k);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
CREATE INDEX parts_v ON parts USING hnsw (v vector_l2_ops) WITH (ef_search = 7);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES IN (2);
SELECT relname, reloptions FROM pg_class WHERE relname LIKE 'parts%v%' ORDER BY relname COLLATE "C";
ALTER INDEX parts_v SET (ef_search = 8);
ALTER INDEX parts_2_v_idx SET (ef_search = 8);
DROP TABLE parts, t;
DROP FUNCTION startup_cost;

-- ef_search beyond pgvector's 1,000, without and with codes
CREATE TABLE t (v vector(3));
INSERT INTO t SELECT ARRAY[sin(g), sin(g * 1.7), sin(g * 2.3)] FROM generate_series(1, 22000) g;
CREATE INDEX ON t USING hnsw (v vector_l2_ops);
ANALYZE t;
SET hnsw.iterative_scan = off;
SET hnsw.ef_search = 20000;
SET enable_seqscan = off;
SELECT count(*) FROM (SELECT FROM t ORDER BY v <-> '[1,2,3]') s;
CREATE TABLE coded (id int, v vector(64));
INSERT INTO coded SELECT g, (SELECT array_agg(sin(g * i)) FROM generate_series(1, 64) i) FROM generate_series(1, 3000) g;
CREATE INDEX ON coded USING hnsw (v vector_cosine_ops);
ANALYZE coded;
SELECT v AS q FROM coded WHERE id = 77 \gset
SET hnsw.ef_search = 100000;
-- in order, and all but what the graph may have lost
SELECT count(*) > 2990 AS complete, bool_and(distance >= before) AS ordered
FROM (SELECT distance, lag(distance, 1, -1) OVER () AS before
	FROM (SELECT v <=> :'q' AS distance FROM coded ORDER BY v <=> :'q' LIMIT 5000) s) s;
SET hnsw.iterative_scan = relaxed_order;
SELECT count(*) FROM (SELECT FROM coded ORDER BY v <=> :'q') s;
DROP TABLE t, coded;
DROP FUNCTION rows_found;
