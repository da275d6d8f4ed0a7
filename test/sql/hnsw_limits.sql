--
-- hnsw_limits: values of all sizes, and what cannot be indexed
--
\set VERBOSITY terse
SET enable_seqscan = off;
SET jit = off;
SET client_min_messages = warning;

CREATE TABLE t (a vector, b vector(16000), h halfvec, s sparsevec, x bit varying, y bit(3), n int, f float4[],
	big bit(2000000), sparse sparsevec(1000000000));
CREATE INDEX ON t USING hnsw (a vector_l2_ops);
CREATE INDEX ON t USING hnsw (h halfvec_l2_ops);
CREATE INDEX ON t USING hnsw (s sparsevec_l2_ops);
CREATE INDEX ON t USING hnsw (x bit_hamming_ops);
CREATE INDEX ON t USING hnsw ((x::varbit(3)) bit_hamming_ops);
CREATE INDEX ON t USING hnsw (y bit_jaccard_ops);
CREATE INDEX ON t USING hnsw (n);
CREATE INDEX ON t USING hnsw (n vector_l2_ops);
CREATE INDEX ON t USING hnsw (f vector_l2_ops);
CREATE INDEX ON t USING hnsw (b);
CREATE INDEX ON t USING hnsw (b vector_l2_ops, b vector_l2_ops);
CREATE UNIQUE INDEX ON t USING hnsw (b vector_l2_ops);
CREATE INDEX ON t USING hnsw (b vector_l2_ops) INCLUDE (n);
CREATE INDEX ON t USING hnsw (b vector_l2_ops DESC);
CREATE INDEX ON t USING hnsw (big bit_hamming_ops);
CREATE INDEX ON t USING hnsw (sparse sparsevec_l2_ops);
ALTER TABLE t ADD EXCLUDE USING hnsw (b WITH =);
DROP TABLE t;

-- dimensions of values and queries against the index
CREATE TABLE t (v vector(3), w vector(64), s sparsevec(5), x bit(8));
CREATE INDEX ON t USING hnsw (v vector_l2_ops);
CREATE INDEX ON t USING hnsw (w vector_l2_ops);
CREATE INDEX ON t USING hnsw (s sparsevec_l2_ops);
CREATE INDEX ON t USING hnsw (x bit_hamming_ops);
INSERT INTO t (v) VALUES ('[1,2]');
SELECT * FROM t ORDER BY v <-> '[1,2]' LIMIT 1;
SELECT * FROM t ORDER BY w <-> '[1,2]' LIMIT 1;
SELECT * FROM t ORDER BY s <-> '{1:1}/6' LIMIT 1;
SELECT * FROM t ORDER BY x <~> '1' LIMIT 1;
INSERT INTO t VALUES ('[1,2,3]', array_fill(1, ARRAY[64]), '{1:1}/5', '11110000');
SELECT v FROM t ORDER BY v <-> '[1,2]' LIMIT 1;
SELECT v FROM t ORDER BY w <-> '[1,2]' LIMIT 1;
SELECT v FROM t ORDER BY s <-> '{1:1}/6' LIMIT 1;
SELECT v FROM t ORDER BY x <~> '1' LIMIT 1;
DROP TABLE t;
-- an expression may have no fixed number of dimensions
CREATE TABLE t (v vector);
CREATE INDEX ON t USING hnsw ((v::vector(3)) vector_l2_ops);
INSERT INTO t VALUES ('[1,2,3]'), ('[4,5]');
INSERT INTO t VALUES ('[1,2,3]');
SELECT * FROM t ORDER BY v::vector(3) <-> '[1,1,1]' LIMIT 1;
DROP TABLE t;

-- sizes: the two nearest of 12 rows, after insertion, after a build, and after
-- some were deleted and others inserted; by their distances
CREATE FUNCTION round_trip(type text, n int, opclass text, op text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	-- row g is g times a pattern, but for the cosine it must not be
	value text := CASE type
		WHEN 'bit' THEN format('(repeat(''1'', (g * %s / 20)::int) || repeat(''0'', %s - (g * %s / 20)::int))', n, n, n)
		WHEN 'sparsevec' THEN format('(SELECT ''{'' || string_agg(i || '':'' || ((i %% 3 + 1) * g + i %% 7)::float4, '','' ORDER BY i) || ''}/20000'' FROM generate_series(1, %s) i)', n)
		ELSE format('(SELECT ''['' || string_agg(((i %% 3 + 1) * g + i %% 7)::float4::text, '','' ORDER BY i) || '']'' FROM generate_series(1, %s) i)', n) END;
	full_type text := format('%s(%s)', type, CASE type WHEN 'sparsevec' THEN 20000 ELSE n END);
	expected numeric[];
	found numeric[];
	result text := '';
	step int;
BEGIN
	EXECUTE format('CREATE TEMP TABLE o (id int, v %s)', full_type);
	EXECUTE format('CREATE TEMP TABLE q AS SELECT %s::%s AS v FROM (SELECT 4.2 AS g) s', value, full_type);
	EXECUTE format('CREATE INDEX oi ON o USING hnsw (v %s) WITH (m = 4, ef_construction = 20)', opclass);
	FOR step IN 1 .. 3 LOOP
		IF step = 1 THEN
			EXECUTE format('INSERT INTO o SELECT g, %s::%s FROM generate_series(1, 12) g', value, full_type);
		ELSIF step = 2 THEN
			REINDEX INDEX oi;
		ELSE
			DELETE FROM o WHERE id % 2 = 0;
			EXECUTE format('INSERT INTO o SELECT g, %s::%s FROM generate_series(13, 19) g', value, full_type);
		END IF;
		EXECUTE format('SELECT array_agg(round(d::numeric, 5)) FROM (SELECT v %s (SELECT v FROM q) AS d FROM o
			ORDER BY (v %s (SELECT v FROM q)) + 0 LIMIT 2) s', op, op) INTO expected;
		EXECUTE format('SELECT array_agg(round(d::numeric, 5)) FROM (SELECT v %s (SELECT v FROM q) AS d FROM o
			ORDER BY v %s (SELECT v FROM q) LIMIT 2) s', op, op) INTO found;
		result := concat_ws(' ', result, CASE WHEN found = expected THEN 'ok' ELSE format('%s not %s', found, expected) END);
	END LOOP;
	DROP TABLE o, q;
	RETURN format('%s %s of %s:%s', opclass, op, n, result);
END $$;

\pset format unaligned
\pset tuples_only on
SELECT round_trip(type, n, type || '_l2_ops', '<->')
FROM unnest(ARRAY[1, 2, 63, 64, 65, 100, 1536, 3072, 16000]) n, (VALUES ('vector'), ('halfvec')) t (type);
SELECT round_trip(type, n, format('%s_%s_ops', type, metric), op)
FROM unnest(ARRAY[2, 64, 100, 1536, 3072]) n, (VALUES ('vector'), ('halfvec')) t (type),
	(VALUES ('ip', '<#>'), ('cosine', '<=>'), ('l1', '<+>')) m (metric, op)
WHERE type <> 'halfvec' OR metric <> 'cosine' OR n >= 64;
SELECT round_trip('sparsevec', n, format('sparsevec_%s_ops', metric), op)
FROM unnest(ARRAY[2, 1000, 1001]) n, (VALUES ('l2', '<->'), ('ip', '<#>'), ('cosine', '<=>'), ('l1', '<+>')) m (metric, op);
SELECT round_trip('sparsevec', 16000, 'sparsevec_l2_ops', '<->');
SELECT round_trip('bit', n, 'bit_hamming_ops', '<~>')
FROM unnest(ARRAY[20, 64000, 100000, 1000000]) n;
DROP FUNCTION round_trip;
