--
-- inspect_explain: what EXPLAIN (ANALYZE) says of hnsw scans
--
CREATE TABLE t (id int PRIMARY KEY, v vector(3), w vector(64));
INSERT INTO t SELECT g, ARRAY[g % 20, g / 20, g % 7], (SELECT array_agg(sin(g * i)) FROM generate_series(1, 64) i)
	FROM generate_series(1, 2000) g;
CREATE INDEX t_v ON t USING hnsw (v vector_l2_ops);
CREATE INDEX t_w ON t USING hnsw (w vector_l2_ops) WITH (ef_search = 17);
ANALYZE t;
-- in a session that has not used the library so far
\c -
SET enable_seqscan = off;
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, FORMAT JSON)
	SELECT id FROM t ORDER BY v <-> '[1,2,3]' LIMIT 5 \g (format=unaligned tuples_only=on) | grep -c HNSW

CREATE FUNCTION counters(query text, options text DEFAULT 'ANALYZE') RETURNS SETOF text LANGUAGE plpgsql
SET enable_seqscan = off SET jit = off AS $$
DECLARE line text;
BEGIN
	FOR line IN EXECUTE format('EXPLAIN (%s) %s', options, query) LOOP
		IF line ~ 'HNSW' THEN
			RETURN NEXT regexp_replace(trim(line), '(Visited|Distances|Estimates): [1-9][0-9]*', '\1: N');
		END IF;
	END LOOP;
END $$;
\pset format unaligned
\pset tuples_only on
SELECT counters($$SELECT id FROM t ORDER BY v <-> '[1,2,3]' LIMIT 5$$);
SELECT w AS q FROM t WHERE id = 5 \gset
SELECT counters(format('SELECT id FROM t ORDER BY w <-> %L LIMIT 5', :'q'));
SET hnsw.ef_search = 18;
SELECT counters(format('SELECT id FROM t ORDER BY w <-> %L LIMIT 5', :'q'));
RESET hnsw.ef_search;
-- searches resumed, and a sweep
SELECT counters($$SELECT id FROM t ORDER BY v <-> '[1,2,3]' LIMIT 100$$);
SELECT counters($$SELECT id FROM t WHERE id < 0 OR w IS NULL ORDER BY v <-> '[1,2,3]' LIMIT 5$$) LIKE '%Sweep%';
SELECT counters($$SELECT id FROM t ORDER BY v <-> (SELECT NULL::vector) LIMIT 5$$);
-- loops add up
SELECT counters($$SELECT a.id, b.id FROM (VALUES (1, '[1,2,3]'::vector), (2, '[4,5,6]'), (3, '[7,8,9]')) a (id, v)
	CROSS JOIN LATERAL (SELECT id FROM t ORDER BY v <-> a.v LIMIT 1) b$$);
-- each node has its own: one after the other, as subquery, never executed
SELECT counters(format($$(SELECT id FROM t ORDER BY v <-> '[1,2,3]' LIMIT 5) UNION ALL
	(SELECT id FROM t ORDER BY w <-> %L LIMIT 5)$$, :'q'));
SELECT counters($$SELECT (SELECT id FROM t ORDER BY v <-> '[1,2,3]' LIMIT 1) FROM t
	WHERE id = (SELECT id FROM t ORDER BY v <-> '[1,2,4]' LIMIT 1)$$);
SELECT counters($$SELECT id FROM t ORDER BY v <-> '[1,2,3]' LIMIT 0$$);
-- only with ANALYZE
SELECT counters($$SELECT id FROM t ORDER BY v <-> '[1,2,3]' LIMIT 5$$, 'VERBOSE');
SELECT counters($$CREATE TABLE made AS SELECT id FROM t ORDER BY v <-> '[1,2,3]' LIMIT 5$$);
DROP TABLE made;

-- the lines belong to the node
CREATE FUNCTION order_of_lines(query text) RETURNS SETOF text LANGUAGE plpgsql
SET enable_seqscan = off SET jit = off AS $$
DECLARE line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (ANALYZE, VERBOSE, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || query LOOP
		IF line ~ 'HNSW ef_search|Index Scan|Append' THEN
			RETURN NEXT regexp_replace(line, '\(.*', '');
		END IF;
	END LOOP;
END $$;
SELECT order_of_lines(format($$(SELECT id FROM t ORDER BY w <-> %L LIMIT 5) UNION ALL
	(SELECT id FROM t WHERE id = 7) UNION ALL (SELECT id FROM t ORDER BY v <-> '[1,2,3]' LIMIT 5)$$, :'q'));

-- the other formats, in which nothing is left out
SELECT counters($$SELECT id FROM t ORDER BY v <-> '[1,2,3]' LIMIT 5$$, 'ANALYZE, FORMAT YAML') ~ 'HNSW Sweep Distances: 0';
SELECT counters($$SELECT id FROM t ORDER BY v <-> '[1,2,3]' LIMIT 5$$, 'ANALYZE, FORMAT XML') ~ '<HNSW-Batches>1</HNSW-Batches>';
CREATE FUNCTION node(query text) RETURNS jsonb LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE plan jsonb;
BEGIN
	EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ' || query INTO plan;
	RETURN jsonb_path_query_first(plan, 'strict $.** ? (@."Node Type" == "Index Scan")');
END $$;
SELECT key, CASE WHEN key ~ 'Visited|Distances|Estimates' AND value <> '0' THEN 'N' ELSE value::text END
FROM jsonb_each(node(format('SELECT id FROM t ORDER BY w <-> %L LIMIT 5', :'q'))) WHERE key LIKE 'HNSW%' ORDER BY key COLLATE "C";
-- what is read by an index of another kind has none
SELECT key FROM jsonb_each(node('SELECT id FROM t WHERE id = 5')) WHERE key LIKE 'HNSW%';

-- one EXPLAIN within another
CREATE FUNCTION inner_explain() RETURNS text LANGUAGE sql AS
	$$ SELECT string_agg(c, ',') FROM counters('SELECT id FROM t ORDER BY v <-> ''[1,2,3]'' LIMIT 5') c $$;
SELECT inner_explain();
SELECT counters($$SELECT id, inner_explain() FROM t ORDER BY v <-> '[1,2,3]' LIMIT 5$$);
-- an error ends it
SELECT counters($$SELECT 1 / (id - id) FROM t ORDER BY v <-> '[1,2,3]' LIMIT 5$$);
SELECT counters($$SELECT id FROM t ORDER BY v <-> '[1,2,3]' LIMIT 5$$);
-- a prepared statement: shown from PostgreSQL 18 on
PREPARE p AS SELECT id FROM t ORDER BY v <-> '[1,2,3]' LIMIT 5;
SELECT count(*) IN (0, 4) FROM counters('EXECUTE p');
DROP TABLE t;
DROP FUNCTION inner_explain, node, order_of_lines, counters;
