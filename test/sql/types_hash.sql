--
-- types_hash: values that are equal hash alike, in hash joins, aggregates,
-- indexes and partitions
--
\pset format unaligned
\pset tuples_only on

-- equal values, written differently
SELECT vector_hash('[0,1]') = vector_hash('[-0,1.0]'),
	vector_hash_extended('[0,1]', 7) = vector_hash_extended('[-0,1.0]', 7),
	halfvec_hash('[0,1]') = halfvec_hash('[-0,1.0]'),
	halfvec_hash_extended('[-0]', 7) = halfvec_hash_extended('[0]', 7),
	sparsevec_hash('{1:0,2:1}/2') = sparsevec_hash('{2:1}/2'),
	sparsevec_hash_extended('{2:1,1:3}/2', 7) = sparsevec_hash_extended('{1:3,2:1}/2', 7);

-- values that differ a little should differ in hash
SELECT count(DISTINCT vector_hash(ARRAY[i, 1]::vector)),
	count(DISTINCT halfvec_hash(ARRAY[i, 1]::halfvec)),
	count(DISTINCT sparsevec_hash(ARRAY[i, 1]::sparsevec))
FROM generate_series(1, 1000) i;
SELECT count(DISTINCT sparsevec_hash(format('{}/%s', i)::sparsevec)) FROM generate_series(1, 1000) i;

-- without a seed the low half is the plain hash, and a seed matters
SELECT count(*) FROM generate_series(1, 100) i, LATERAL (SELECT ARRAY[i, -i]::vector AS v) x
WHERE vector_hash(v) <> (vector_hash_extended(v, 0)::bit(64) << 32)::bit(32)::int
	OR halfvec_hash(v::halfvec) <> (halfvec_hash_extended(v::halfvec, 0)::bit(64) << 32)::bit(32)::int
	OR sparsevec_hash(v) <> (sparsevec_hash_extended(v, 0)::bit(64) << 32)::bit(32)::int
	OR vector_hash_extended(v, 0) = vector_hash_extended(v, 1);

CREATE TEMP TABLE t AS
SELECT i AS id, (CASE i % 2 WHEN 0 THEN '[-0,' ELSE '[0,' END || i % 10 || ']')::vector AS v,
	(CASE i % 2 WHEN 0 THEN '[-0,' ELSE '[0,' END || i % 10 || ']')::halfvec AS h,
	('{2:' || i % 10 || '}/2')::sparsevec AS s
FROM generate_series(0, 199) i;
INSERT INTO t SELECT id + 1, v, h, s FROM t;
ANALYZE t;

SET enable_sort = off;
SET enable_mergejoin = off;
SET enable_nestloop = off;
EXPLAIN (COSTS OFF) SELECT v, count(*) FROM t GROUP BY v;
SELECT count(*), min(n), max(n) FROM (SELECT v, count(*) AS n FROM t GROUP BY v) x;
SELECT count(*), min(n), max(n) FROM (SELECT h, count(*) AS n FROM t GROUP BY h) x;
SELECT count(*), min(n), max(n) FROM (SELECT s, count(*) AS n FROM t GROUP BY s) x;
EXPLAIN (COSTS OFF) SELECT count(*) FROM t a JOIN t b USING (v);
SELECT count(*) FROM t a JOIN t b USING (v);
SELECT count(*) FROM t a JOIN t b USING (h);
SELECT count(*) FROM t a JOIN t b USING (s);
SELECT count(*) FROM t WHERE v IN (SELECT v FROM t WHERE id < 3);
SELECT count(*) FROM (SELECT v FROM t UNION SELECT v FROM t) x;

-- a hash index
CREATE INDEX ON t USING hash (v);
CREATE INDEX ON t USING hash (h);
CREATE INDEX ON t USING hash (s);
SET enable_seqscan = off;
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM t WHERE v = '[0,3]';
SELECT count(*) FROM t WHERE v = '[0,3]';
SELECT count(*) FROM t WHERE v = '[-0,3]';
SELECT count(*) FROM t WHERE h = '[-0,3]';
SELECT count(*) FROM t WHERE s = '{2:3}/2';
RESET enable_seqscan;

-- partitions by hash
CREATE TEMP TABLE p (v vector) PARTITION BY HASH (v);
CREATE TEMP TABLE p0 PARTITION OF p FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TEMP TABLE p1 PARTITION OF p FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO p SELECT ARRAY[i]::vector FROM generate_series(1, 100) i;
SELECT count(*) > 20 FROM p0;
SELECT count(*) > 20 FROM p1;
SELECT * FROM p WHERE v = '[42]';
