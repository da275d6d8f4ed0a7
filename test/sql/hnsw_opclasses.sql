--
-- hnsw_opclasses: every operator class of every type returns rows in the order
-- of its operator, whether the index is there before the rows or after them
--
\pset format unaligned
\pset tuples_only on
SET enable_seqscan = off;
SET jit = off;

-- ids in the order of an index scan, of an exact scan, and whether the plan
-- was the one wanted
CREATE FUNCTION orders(type text, opclass text, op text, query text, at_first bool)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	statement text := format('SELECT id FROM o ORDER BY v %s %L::%s LIMIT 10', op, query, type);
	by_index text;
	exactly text;
	line text;
	used bool := false;
BEGIN
	EXECUTE format('CREATE TEMP TABLE o (id int, v %s)', type);
	IF at_first THEN
		EXECUTE format('CREATE INDEX ON o USING hnsw (v %s)', opclass);
	END IF;
	EXECUTE format('INSERT INTO o SELECT * FROM %I', 'data_' || split_part(type, '(', 1));
	IF NOT at_first THEN
		EXECUTE format('CREATE INDEX ON o USING hnsw (v %s)', opclass);
	END IF;
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || statement LOOP
		used := used OR line LIKE '%Index Scan using o_v_idx%';
	END LOOP;
	EXECUTE format('SELECT string_agg(id::text, '' '') FROM (%s) s', statement) INTO by_index;
	SET LOCAL enable_indexscan = off;
	EXECUTE format('SELECT string_agg(id::text, '' '') FROM (%s) s', statement) INTO exactly;
	SET LOCAL enable_indexscan = on;
	DROP TABLE o;
	RETURN format('%s %s %s%s', opclass, by_index,
		CASE WHEN by_index = exactly THEN 'exact' ELSE 'not ' || exactly END,
		CASE WHEN used THEN '' ELSE ', no index scan' END);
END $$;

-- no two of them are equally far from the queries below
CREATE TABLE data_vector (id int, v vector(3));
INSERT INTO data_vector VALUES (1, '[1,2,3]'), (2, '[4,1,0]'), (3, '[-1,5,2.5]'),
	(4, '[0.25,0.5,7]'), (5, '[-3,-4,-5]'), (6, '[9,8,-1]'), (7, '[2,2,3.5]');
CREATE TABLE data_halfvec AS SELECT id, v::halfvec(3) FROM data_vector;
CREATE TABLE data_sparsevec (id int, v sparsevec(9));
INSERT INTO data_sparsevec VALUES (1, '{1:1,5:2}/9'), (2, '{2:3}/9'), (3, '{1:4,9:-1}/9'),
	(4, '{3:0.5,4:2.1,5:6}/9'), (5, '{1:-2,2:-3,7:1}/9'), (6, '{5:9.2,6:1,7:1,8:1}/9');
CREATE TABLE data_bit (id int, v bit(10));
INSERT INTO data_bit VALUES (1, '1111100000'), (2, '1111111000'), (3, '1000000000'),
	(4, '0000011111'), (5, '1111111111');

SELECT orders('vector(3)', c.opclass, c.op, '[1,1.5,3]', at_first)
FROM (VALUES ('vector_l2_ops', '<->'), ('vector_ip_ops', '<#>'), ('vector_cosine_ops', '<=>'),
	('vector_l1_ops', '<+>')) c (opclass, op), (VALUES (true), (false)) f (at_first);
SELECT orders('halfvec(3)', c.opclass, c.op, '[1,1.5,3]', at_first)
FROM (VALUES ('halfvec_l2_ops', '<->'), ('halfvec_ip_ops', '<#>'), ('halfvec_cosine_ops', '<=>'),
	('halfvec_l1_ops', '<+>')) c (opclass, op), (VALUES (true), (false)) f (at_first);
SELECT orders('sparsevec(9)', c.opclass, c.op, '{1:1,2:0.25,5:3,9:0.5}/9', at_first)
FROM (VALUES ('sparsevec_l2_ops', '<->'), ('sparsevec_ip_ops', '<#>'), ('sparsevec_cosine_ops', '<=>'),
	('sparsevec_l1_ops', '<+>')) c (opclass, op), (VALUES (true), (false)) f (at_first);
SELECT orders('bit(10)', c.opclass, c.op, '1111100000', at_first)
FROM (VALUES ('bit_hamming_ops', '<~>'), ('bit_jaccard_ops', '<%>')) c (opclass, op),
	(VALUES (true), (false)) f (at_first);

-- the distance that a query returns is that of the operator, not a squared or
-- an estimated one
CREATE INDEX ON data_vector USING hnsw (v vector_l2_ops);
SELECT id, round((v <-> '[1,1.5,3]')::numeric, 4) FROM data_vector ORDER BY v <-> '[1,1.5,3]' LIMIT 3;
CREATE TABLE coded (id int, v vector(64));
INSERT INTO coded SELECT g, array_fill(g / 8.0, ARRAY[64])::vector FROM generate_series(1, 9) g;
CREATE INDEX ON coded USING hnsw (v vector_l2_ops);
SELECT id, round((v <-> array_fill(0.51, ARRAY[64])::vector(64))::numeric, 4) FROM coded
ORDER BY v <-> array_fill(0.51, ARRAY[64])::vector(64) LIMIT 3;

-- what they are made of
SELECT opcname, opcintype::regtype, opcdefault, amopopr::regoperator, amoppurpose, f.opfname AS sorts,
	(SELECT string_agg(amprocnum || ' ' || amproc::regproc, ', ' ORDER BY amprocnum)
	FROM pg_amproc WHERE amprocfamily = opcfamily)
FROM pg_opclass c JOIN pg_am a ON a.oid = opcmethod JOIN pg_amop ON amopfamily = opcfamily
	JOIN pg_opfamily f ON f.oid = amopsortfamily
WHERE amname = 'hnsw'
ORDER BY opcname COLLATE "C";

DROP TABLE coded, data_vector, data_halfvec, data_sparsevec, data_bit;
DROP FUNCTION orders;
