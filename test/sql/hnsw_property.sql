--
-- hnsw_property: an index scan against an exact one, on random data
--
-- For each operator class, kind of data and query: with a LIMIT larger than
-- the table every row comes back once; and the first ten at ef_search = 400 of
-- 200 rows are as near, in their order, as the exact first ten, but for two of
-- them with inner products.  The rows are inserted, deleted
-- by half and inserted anew.  A line is printed for what fails, with its seed;
-- "SET hnsw_property.seed = N" before the test repeats it.
--
SET enable_seqscan = off;
SET jit = off;
SET hnsw.ef_search = 400;
SELECT coalesce(nullif(current_setting('hnsw_property.seed', true), ''),
	(extract(epoch FROM clock_timestamp())::int % 1000000)::text)::int AS seed \gset
SELECT setseed(:seed / 1000000.0) \g /dev/null

CREATE FUNCTION literal(type text, n int, spread float8) RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT CASE type
		WHEN 'bit' THEN (SELECT string_agg((random() < 0.4)::int::text, '') FROM generate_series(1, n))
		WHEN 'sparsevec' THEN (SELECT '{' || coalesce(string_agg(i || ':' || x, ',' ORDER BY i), '') || '}/' || n
			FROM (SELECT i, (1 + random() * spread)::float4 AS x FROM generate_series(1, n) i WHERE random() < 0.3) s)
		ELSE (SELECT '[' || string_agg(((random() - 0.3) * spread)::float4::text, ',') || ']' FROM generate_series(1, n))
	END $$;

CREATE PROCEDURE check_scan(what text, op text, query text, seed int, tolerance float8) LANGUAGE plpgsql AS $$
DECLARE
	heap int[];
	every int[];
	near float8[];
	exact float8[];
BEGIN
	EXECUTE format('SELECT array_agg(id ORDER BY id) FROM o WHERE indexed') INTO heap;
	EXECUTE format('SELECT array_agg(id ORDER BY id) FROM (SELECT id FROM o ORDER BY v %s %L LIMIT 1000) s', op, query) INTO every;
	EXECUTE format('SELECT array_agg(v %s %L) FROM (SELECT v FROM o ORDER BY v %s %L LIMIT 10) s', op, query, op, query) INTO near;
	EXECUTE format('SELECT array_agg(d) FROM (SELECT v %s %L AS d FROM o WHERE indexed ORDER BY (v %s %L) + 0 LIMIT 10) s',
		op, query, op, query) INTO exact;
	IF every IS DISTINCT FROM heap THEN
		RAISE INFO '% seed %: % of % rows', what, seed, cardinality(every), cardinality(heap);
	END IF;
	-- inner products are no metric: two of the ten may be missed
	IF cardinality(near) <> 10 OR
		(SELECT bool_or(a < b - tolerance * greatest(abs(b), 1)) FROM unnest(near, exact) u (a, b)) OR
		(op = '<#>' AND near[8] > exact[10] + tolerance * greatest(abs(exact[10]), 1)) OR
		(op <> '<#>' AND (SELECT bool_or(a > b + tolerance * greatest(abs(b), 1)) FROM unnest(near, exact) u (a, b)))
	THEN
		RAISE INFO '% seed %: % instead of %', what, seed, near, exact;
	END IF;
END $$;

CREATE PROCEDURE check_class(opclass text, op text, n int, spread float8, seed int) LANGUAGE plpgsql AS $$
DECLARE
	type text := split_part(opclass, '_', 1);
	what text := format('%s(%s) spread %s', opclass, n, spread);
	-- below 64 dimensions halfvecs are normalized in half precision; else only
	-- float4 is rounded
	tolerance float8 := CASE WHEN opclass = 'halfvec_cosine_ops' AND n < 64 THEN 2e-3 ELSE 1e-6 END;
	filter text := CASE WHEN opclass ~ 'cosine' THEN format('(v %s v) = (v %s v) AND (v %s v) <> ''NaN''', op, op, op) ELSE 'true' END;
BEGIN
	EXECUTE format('CREATE TEMP TABLE o (id int, v %s(%s), indexed bool GENERATED ALWAYS AS (%s) STORED)', type, n, filter);
	EXECUTE format('CREATE INDEX oi ON o USING hnsw (v %s)', opclass);
	EXECUTE format('INSERT INTO o (id, v) SELECT g, literal(%L, %s, %s)::%s(%s) FROM generate_series(1, 200) g', type, n, spread, type, n);
	CALL check_scan(what || ' inserted', op, literal(type, n, spread), seed, tolerance);
	REINDEX INDEX oi;
	CALL check_scan(what || ' built', op, literal(type, n, spread), seed, tolerance);
	DELETE FROM o WHERE id % 2 = 0;
	EXECUTE format('INSERT INTO o (id, v) SELECT g, literal(%L, %s, %s)::%s(%s) FROM generate_series(301, 350) g', type, n, spread, type, n);
	CALL check_scan(what || ' replaced', op, literal(type, n, spread), seed, tolerance);
	UPDATE o SET v = (SELECT v FROM o WHERE id = 1) WHERE id < 30;
	CALL check_scan(what || ' equal', op, literal(type, n, spread), seed, tolerance);
	DROP TABLE o;
END $$;

CREATE PROCEDURE check_all(seed int) LANGUAGE plpgsql AS $$
DECLARE
	c record;
BEGIN
	FOR c IN SELECT format('%s_%s_ops', type, metric) AS opclass, op, n, spread
		FROM (VALUES ('vector'), ('halfvec'), ('sparsevec')) t (type),
			(VALUES ('l2', '<->'), ('ip', '<#>'), ('cosine', '<=>'), ('l1', '<+>')) m (metric, op),
			(VALUES (3, 100.0), (64, 1.0), (100, 0.01)) d (n, spread)
		UNION ALL
		SELECT format('bit_%s_ops', metric), op, n, 1
		FROM (VALUES ('hamming', '<~>'), ('jaccard', '<%>')) m (metric, op), unnest(ARRAY[8, 200]) n
	LOOP
		CALL check_class(c.opclass, c.op, c.n, c.spread, seed);
	END LOOP;
END $$;
CALL check_all(:seed);

-- At the default settings, of many rows most of the nearest are found: more
-- than nine in ten, and a little less with inner products.  Chance decides the
-- layers of the graph as well, so the limits are well below what was seen.
CREATE TABLE many (id int, v vector(3), w vector(64));
INSERT INTO many SELECT g, literal('vector', 3, 1)::vector, literal('vector', 64, 1)::vector FROM generate_series(1, 5000) g;
CREATE TABLE queries AS SELECT id, v, w FROM many WHERE id % 200 = 0;
CREATE FUNCTION recall(col text, op text, metric text) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
	result float8;
BEGIN
	EXECUTE format('CREATE INDEX many_index ON many USING hnsw (%I vector_%s_ops)', col, metric);
	EXECUTE format('SELECT avg((near.id = ANY (exact.ids))::int) FROM queries q,
		LATERAL (SELECT array_agg(id) AS ids FROM (SELECT id FROM many ORDER BY (%I %s q.%I) + 0 LIMIT 10) s) exact,
		LATERAL (SELECT id FROM many ORDER BY %I %s q.%I LIMIT 10) near', col, op, col, col, op, col) INTO result;
	DROP INDEX many_index;
	RETURN result;
END $$;
RESET hnsw.ef_search;
SELECT col, metric, recall(col, op, metric) > CASE metric WHEN 'ip' THEN 0.7 ELSE 0.8 END AS good
FROM (VALUES ('v'), ('w')) c (col), (VALUES ('l2', '<->'), ('ip', '<#>'), ('cosine', '<=>'), ('l1', '<+>')) m (metric, op);
DROP TABLE many, queries;
DROP FUNCTION recall;
DROP PROCEDURE check_all, check_class, check_scan;
DROP FUNCTION literal;
