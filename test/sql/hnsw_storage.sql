--
-- hnsw_storage: options codes and storage: what they accept and refuse, when
-- they take effect, and that every form of storage gives the right answers
--
\set SHOW_CONTEXT never
SET enable_seqscan = off;
SET jit = off;
CREATE FUNCTION try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text;
	detail text;
	hint text;
BEGIN
	EXECUTE statement;
	RETURN 'done';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(E'\n', SQLSTATE || ' ' || message, nullif(detail, ''), nullif(hint, ''));
END $$;
\pset format unaligned
\pset tuples_only on

CREATE TABLE t (v vector(3), w vector(64), h halfvec(64), s sparsevec(64), b bit(64));

-- values that are none
SELECT try('CREATE INDEX ON t USING hnsw (w vector_l2_ops) WITH (codes = pq)');
SELECT try('CREATE INDEX ON t USING hnsw (w vector_l2_ops) WITH (codes)');
SELECT try('CREATE INDEX ON t USING hnsw (w vector_l2_ops) WITH (storage = int4)');
SELECT try('CREATE INDEX ON t USING hnsw (w vector_l2_ops) WITH (storage = '''')');

-- options that contradict each other
SELECT try('CREATE INDEX ON t USING hnsw (w vector_l2_ops) WITH (codes = none, storage = int8)');
SELECT try('CREATE INDEX ON t USING hnsw (s sparsevec_l2_ops) WITH (codes = none, storage = float32)');
SELECT try('CREATE INDEX ON t USING hnsw (w vector_l2_ops) WITH (codes = rabitq, storage = plain)');

-- types and metrics that have no codes
SELECT try('CREATE INDEX i ON t USING hnsw (s sparsevec_l2_ops) WITH (codes = rabitq)');
SELECT try('CREATE INDEX i ON t USING hnsw (s sparsevec_l2_ops) WITH (storage = float16)');
SELECT try('CREATE INDEX i ON t USING hnsw (b bit_hamming_ops) WITH (codes = rabitq, storage = int8)');
SELECT try('CREATE INDEX i ON t USING hnsw (w vector_l1_ops) WITH (codes = rabitq)');
SELECT try('CREATE INDEX i ON t USING hnsw (h halfvec_l1_ops) WITH (storage = float32)');

-- what fits; the metapage says what was chosen
CREATE FUNCTION chosen(col text, options text DEFAULT '') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	built text;
BEGIN
	EXECUTE format('CREATE INDEX i ON t USING hnsw (%s) %s', col, options);
	-- a change of m makes the verifier tell
	ALTER INDEX i SET (m = 7);
	SELECT substring(problem FROM 'codes = \S+ storage = \S+') INTO built FROM vecdb.verify_index('i');
	DROP INDEX i;
	RETURN built;
END $$;
SELECT chosen('v vector_l2_ops');
SELECT chosen('v vector_cosine_ops', 'WITH (codes = rabitq)');
SELECT chosen('v vector_l2_ops', 'WITH (storage = Float16)');
SELECT chosen('v vector_l2_ops', 'WITH (storage = plain)');
SELECT chosen('w vector_l2_ops');
SELECT chosen('w vector_ip_ops', 'WITH (codes = none)');
SELECT chosen('w vector_ip_ops', 'WITH (storage = plain)');
SELECT chosen('w vector_ip_ops', 'WITH (storage = float32)');
SELECT chosen('w vector_ip_ops', 'WITH (codes = rabitq, storage = int8)');
SELECT chosen('w vector_l1_ops');
SELECT chosen('h halfvec_cosine_ops');
SELECT chosen('h halfvec_cosine_ops', 'WITH (codes = rabitq, storage = float16)');
SELECT chosen('s sparsevec_l2_ops', 'WITH (codes = none, storage = plain)');
SELECT chosen('b bit_jaccard_ops');
DROP TABLE t;

-- ALTER INDEX tells of the next REINDEX; what cannot be is refused by the one
-- or by the other
CREATE TABLE t (id int, v vector(64), s sparsevec(64));
INSERT INTO t SELECT g, array_fill(g, ARRAY[64]), '{1:1}/64' FROM generate_series(1, 30) g;
CREATE INDEX i ON t USING hnsw (v vector_l2_ops) WITH (storage = float16);
SELECT pg_get_indexdef('i'::regclass);
CREATE VIEW answer AS SELECT string_agg(id::text, ' ') FROM
	(SELECT id FROM t ORDER BY v <-> array_fill(12.2, ARRAY[64])::vector LIMIT 3) s;
ALTER INDEX i SET (storage = float32);
SELECT severity, problem FROM vecdb.verify_index('i', true, true);
INSERT INTO t VALUES (31, array_fill(12.5, ARRAY[64]), NULL);
SELECT * FROM answer;
REINDEX INDEX i;
SELECT count(*) FROM vecdb.verify_index('i', true, true);
SELECT * FROM answer;
SELECT try('ALTER INDEX i SET (storage = plain, codes = rabitq)');
SELECT try('ALTER INDEX i SET (codes = none)');
ALTER INDEX i SET (codes = none, storage = plain);
REINDEX INDEX i;
SELECT * FROM answer;
ALTER INDEX i RESET (codes, storage);
SELECT severity, problem FROM vecdb.verify_index('i');
REINDEX INDEX i;
SELECT count(*) FROM vecdb.verify_index('i');
SELECT * FROM answer;
CREATE INDEX j ON t USING hnsw (s sparsevec_l2_ops);
ALTER INDEX j SET (storage = int8);
SELECT try('REINDEX INDEX j');
SELECT count(*) FROM t WHERE s IS NOT NULL;
ALTER INDEX j RESET (storage);
REINDEX INDEX j;
DROP VIEW answer;
DROP TABLE t;

-- Each form, built and inserted into, after deletions and VACUUM: the ten
-- nearest of 240 rows at ef_search = 200, in their order and but for two of
-- them, three with inner products, and every row; a line for what fails
SET hnsw.ef_search = 200;
CREATE FUNCTION numbers(seed int, count int) RETURNS real[] LANGUAGE sql IMMUTABLE AS $$
	SELECT array_agg(hashint4(seed * 5000 + i)::real / 2147483648 + 0.1 ORDER BY i) FROM generate_series(1, count) i $$;
CREATE FUNCTION wrong(what text, op text, type text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	query text;
	near float8[];
	exact float8[];
	hits int;
	found int;
	problems text;
BEGIN
	FOR seed IN 9001 .. 9003 LOOP
		EXECUTE format('SELECT numbers(%s, dimensions)::%s FROM (SELECT vector_dims(v) AS dimensions FROM o LIMIT 1) s', seed, type) INTO query;
		EXECUTE format('SELECT array_agg(v %s %L) FROM (SELECT v FROM o ORDER BY v %1$s %2$L LIMIT 10) s', op, query) INTO near;
		EXECUTE format('SELECT array_agg(d) FROM (SELECT v %s %L AS d FROM o ORDER BY (v %1$s %2$L) + 0 LIMIT 10) s', op, query) INTO exact;
		EXECUTE format('SELECT count(DISTINCT id) FROM (SELECT id FROM o ORDER BY v %s %L LIMIT 1000) s', op, query) INTO found;
		SELECT count(*) INTO hits FROM unnest(near) d WHERE d <= exact[10];
		IF found <> (SELECT count(*) FROM o) OR hits < (CASE op WHEN '<#>' THEN 7 ELSE 8 END) OR near <> (SELECT array_agg(d ORDER BY d) FROM unnest(near) d) THEN
			RETURN NEXT format('%s, query %s: %s rows, %s of the nearest', what, seed, found, hits);
		END IF;
	END LOOP;
	SELECT string_agg(problem, ', ') INTO problems FROM vecdb.verify_index('oi', true, true) WHERE severity = 'error';
	IF problems IS NOT NULL THEN
		RETURN NEXT what || ': ' || problems;
	END IF;
END $$;
SELECT string_agg(format($$
CREATE TABLE o (id int, v %1$s(%2$s));
INSERT INTO o SELECT g, numbers(g, %2$s)::%1$s FROM generate_series(1, 120) g;
CREATE INDEX oi ON o USING hnsw (v %1$s_%3$s_ops) WITH (m = 8, ef_construction = 40, storage = %5$s);
INSERT INTO o SELECT g, numbers(g, %2$s)::%1$s FROM generate_series(121, 280) g;
SELECT wrong('%1$s %2$s %3$s %5$s', '%4$s', '%1$s');
DELETE FROM o WHERE id %% 7 = 0;
VACUUM o;
SELECT wrong('%1$s %2$s %3$s %5$s vacuumed', '%4$s', '%1$s');
INSERT INTO o SELECT g, numbers(g, %2$s)::%1$s FROM generate_series(281, 320) g;
SELECT wrong('%1$s %2$s %3$s %5$s filled again', '%4$s', '%1$s');
DROP TABLE o;
$$, type, dimensions, metric, op, storage), '') AS script
FROM unnest(ARRAY['vector', 'halfvec']) type,
	unnest(ARRAY[1, 20, 100]) dimensions,
	(VALUES ('l2', '<->'), ('ip', '<#>'), ('cosine', '<=>')) m (metric, op),
	unnest(ARRAY['int8', 'float16', 'float32']) storage
WHERE (dimensions > 1 OR metric = 'l2') AND (dimensions = 100 OR type = 'vector') \gset
:script
DROP FUNCTION wrong;

-- records larger than a page
CREATE TABLE wide (id int, v vector(2000), h halfvec(2100));
INSERT INTO wide SELECT g, numbers(g, 2000), numbers(g, 2100) FROM generate_series(1, 60) g;
CREATE INDEX wide_v16 ON wide USING hnsw (v vector_cosine_ops) WITH (storage = float16);
CREATE INDEX wide_v32 ON wide USING hnsw (v vector_l2_ops) WITH (storage = float32);
CREATE INDEX wide_h32 ON wide USING hnsw (h halfvec_ip_ops) WITH (storage = float32);
INSERT INTO wide SELECT g, numbers(g, 2000), numbers(g, 2100) FROM generate_series(61, 90) g;
DELETE FROM wide WHERE id % 4 = 0;
VACUUM wide;
INSERT INTO wide SELECT g, numbers(g, 2000), numbers(g, 2100) FROM generate_series(91, 100) g;
SELECT cardinality(ids), ids[1] FROM (SELECT ARRAY(SELECT id FROM wide ORDER BY v <=> numbers(71, 2000)::vector LIMIT 1000) AS ids) s;
SELECT cardinality(ids), ids[1] FROM (SELECT ARRAY(SELECT id FROM wide ORDER BY v <-> numbers(73, 2000)::vector LIMIT 1000) AS ids) s;
SELECT count(DISTINCT id) FROM (SELECT id FROM wide ORDER BY h <#> numbers(75, 2100)::halfvec LIMIT 1000) s;
SELECT i, p.problem FROM unnest(ARRAY['wide_v16', 'wide_v32', 'wide_h32']) i, vecdb.verify_index(i::regclass, true, true) p
WHERE severity = 'error';
DROP TABLE wide;

-- near each other and far from the origin, where rounding is large: the
-- executor would complain of a bound above the distance
CREATE TABLE far (id int, v vector(64));
INSERT INTO far SELECT g, (SELECT array_agg(1000 + n) FROM unnest(numbers(g, 64)) n) FROM generate_series(1, 300) g;
CREATE INDEX far_i ON far USING hnsw (v vector_l2_ops) WITH (storage = float32);
CREATE FUNCTION far_hits() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	query vector := (SELECT array_agg(1000 + n) FROM unnest(numbers(9001, 64)) n);
	farthest float8 := (SELECT v <-> query FROM far ORDER BY (v <-> query) + 0 OFFSET 9 LIMIT 1);
BEGIN
	RETURN (SELECT count(*) FROM (SELECT v <-> query AS d FROM far ORDER BY v <-> query LIMIT 10) s WHERE d <= farthest);
END $$;
-- codes tell little there (README of src/hnsw): rows come, not all the nearest
SELECT far_hits() > 0;
SELECT count(*) FROM vecdb.verify_index('far_i', true, true) WHERE severity = 'error';
DROP TABLE far;
DROP FUNCTION far_hits;

-- distances that overflow or vanish: no row is lost, and nothing looks broken
CREATE FUNCTION survives(opclass text, op text, exponent int, storage text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	counts text := '';
	seen int;
BEGIN
	EXECUTE format('CREATE TEMP TABLE o (id int, v vector(64));
		CREATE INDEX oi ON o USING hnsw (v %s) WITH (m = 3, ef_construction = 8, storage = %s)', opclass, storage);
	EXECUTE format('INSERT INTO o SELECT g, (SELECT array_agg(((g + i * i) %% 19 - 9.5) * 10::float8 ^ %s ORDER BY i) FROM generate_series(1, 64) i)
		FROM generate_series(1, 60) g', exponent);
	FOR step IN 1 .. 2 LOOP
		EXECUTE format('SELECT count(DISTINCT id) FROM (SELECT id FROM o ORDER BY v %s (SELECT v FROM o WHERE id = 7) LIMIT 100) s', op)
			INTO seen;
		counts := counts || ' ' || seen;
		SELECT count(*) INTO seen FROM vecdb.verify_index('oi', true, true) WHERE severity = 'error';
		counts := counts || ' ' || seen;
		REINDEX INDEX oi;
	END LOOP;
	DROP TABLE o;
	RETURN format('%s 1e%s %s:%s', opclass, exponent, storage, counts);
END $$;
SELECT survives(opclass, op, exponent, storage)
FROM (VALUES ('vector_l2_ops', '<->'), ('vector_ip_ops', '<#>'), ('vector_cosine_ops', '<=>')) o (opclass, op),
	unnest(ARRAY['int8', 'float16', 'float32']) storage, unnest(ARRAY[37, 19, 5, -20, -44]) exponent
ORDER BY opclass COLLATE "C", exponent, storage;
DROP FUNCTION survives;

-- equal values share a vertex
CREATE TABLE same (id int, v vector(64));
INSERT INTO same SELECT g, numbers(g % 3, 64) FROM generate_series(1, 600) g;
CREATE INDEX same_16 ON same USING hnsw (v vector_l2_ops) WITH (storage = float16);
CREATE INDEX same_32 ON same USING hnsw (v vector_cosine_ops) WITH (storage = float32);
INSERT INTO same SELECT g, numbers(g % 3, 64) FROM generate_series(601, 1200) g;
SELECT pg_relation_size('same_16'), pg_relation_size('same_32');
SELECT count(DISTINCT id), count(*) FILTER (WHERE id % 3 = 2) FROM (SELECT id FROM same ORDER BY v <-> numbers(2, 64)::vector LIMIT 400) s;
SELECT count(DISTINCT id), count(*) FILTER (WHERE id % 3 = 1) FROM (SELECT id FROM same ORDER BY v <=> numbers(1, 64)::vector LIMIT 400) s;
SELECT count(*) FROM vecdb.verify_index('same_16', true, true);
SELECT count(*) FROM vecdb.verify_index('same_32', true, true);
DROP TABLE same;
DROP FUNCTION numbers, chosen, try;
