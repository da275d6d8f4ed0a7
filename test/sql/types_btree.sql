--
-- types_btree: the comparison operators are one total order, the same in
-- sorts, B-tree indexes and merge joins
--
\pset format unaligned
\pset tuples_only on

-- one value of each kind, in ascending order
CREATE TEMP TABLE ordered (n serial, text text);
INSERT INTO ordered (text) VALUES
	('[-2]'), ('[-1,5]'), ('[-1e-3]'), ('[-1e-3,0]'), ('[0]'), ('[0,-1]'), ('[0,0]'), ('[0,0,0]'),
	('[0,0,1]'), ('[0,1]'), ('[0,1,-1]'), ('[1]'), ('[1,-1]'), ('[1,0]'), ('[1,0,0]'), ('[1,1]'), ('[2]');

-- all six operators and the support function agree with that, for each type;
-- what is listed is wrong
CREATE FUNCTION pg_temp.wrong(type text) RETURNS SETOF text
LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE regexp_replace($q$
		SELECT format('%s and %s', a.text, b.text)
		FROM ordered a, ordered b,
			LATERAL (SELECT a.text::vector::T AS x, b.text::vector::T AS y) v
		WHERE (x < y) <> (a.n < b.n) OR (x <= y) <> (a.n <= b.n)
			OR (x = y) <> (a.n = b.n) OR (x <> y) <> (a.n <> b.n)
			OR (x >= y) <> (a.n >= b.n) OR (x > y) <> (a.n > b.n)
			OR T_cmp(x, y) <> sign(a.n - b.n)$q$, '\mT(\M|(?=_))', type, 'g');
END
$$;
SELECT type, pg_temp.wrong(type) FROM unnest(ARRAY['vector', 'halfvec', 'sparsevec']) type;

-- zero and minus zero are equal
SELECT '[0,1]'::vector = '[-0,1]', vector_cmp('[-0]', '[0]'), '[0]'::halfvec = '[-0]',
	'[0]'::vector <> '[-0]', '[-0]'::vector < '[0]';

-- an index is used, and gives what a sequential scan gives
CREATE TEMP TABLE t AS
SELECT i AS id, ARRAY[i % 11 - 5, i % 3 - 1, i % 2]::vector AS v,
	ARRAY[i % 11 - 5, i % 3 - 1, i % 2]::halfvec AS h,
	ARRAY[i % 11 - 5, i % 3 - 1, i % 2]::sparsevec AS s
FROM generate_series(1, 200) i;
CREATE INDEX ON t (v);
CREATE INDEX ON t (h);
CREATE INDEX ON t (s);
SET enable_seqscan = off;
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM t WHERE v = '[1,0,1]';
EXPLAIN (COSTS OFF) SELECT id FROM t WHERE h < '[1,0,1]' ORDER BY h;
EXPLAIN (COSTS OFF) SELECT id FROM t WHERE s >= '{1:1,3:1}/3' ORDER BY s;
SELECT count(*) FILTER (WHERE v = '[1,0,1]'), count(*) FILTER (WHERE v < '[1,0,1]'),
	count(*) FILTER (WHERE v >= '[1,0,1]') FROM t;
SELECT (SELECT count(*) FROM t WHERE v = '[1,0,1]'), (SELECT count(*) FROM t WHERE v < '[1,0,1]'),
	(SELECT count(*) FROM t WHERE v >= '[1,0,1]');
SELECT (SELECT count(*) FROM t WHERE h = '[1,0,1]'), (SELECT count(*) FROM t WHERE h < '[1,0,1]'),
	(SELECT count(*) FROM t WHERE h >= '[1,0,1]');
SELECT (SELECT count(*) FROM t WHERE s = '{1:1,3:1}/3'), (SELECT count(*) FROM t WHERE s < '{1:1,3:1}/3'),
	(SELECT count(*) FROM t WHERE s >= '{1:1,3:1}/3');
RESET enable_seqscan;
RESET enable_bitmapscan;

-- a unique index, and a merge join
CREATE UNIQUE INDEX ON t ((id::text), v);
CREATE TEMP TABLE u (v vector UNIQUE);
INSERT INTO u VALUES ('[0,1]'), ('[0]');
INSERT INTO u VALUES ('[-0,1]');
INSERT INTO u VALUES ('[-0,1]') ON CONFLICT DO NOTHING;
SET enable_hashjoin = off;
SET enable_indexscan = off;
SET enable_indexonlyscan = off;
SET enable_nestloop = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM t a JOIN t b USING (v);
SELECT count(*) FROM t a JOIN t b USING (v);
SELECT count(*) FROM t a JOIN t b USING (h);
SELECT count(*) FROM t a JOIN t b USING (s);

-- too large for an index entry
INSERT INTO u SELECT array_agg(random())::vector FROM generate_series(1, 3000);
