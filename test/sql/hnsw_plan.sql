--
-- hnsw_plan: when the planner uses the index, and what the access method can
--
CREATE TABLE t (id int PRIMARY KEY, v vector(3), u vector(3), category int);
INSERT INTO t SELECT g, ARRAY[g % 200, g / 200, g % 7], ARRAY[g, 0, 0], g % 10 FROM generate_series(1, 30000) g;
CREATE INDEX t_l2 ON t USING hnsw (v vector_l2_ops) WITH (m = 8, ef_construction = 24);
CREATE INDEX t_cosine ON t USING hnsw (v vector_cosine_ops) WITH (m = 8, ef_construction = 24);
VACUUM ANALYZE t;

-- used
EXPLAIN (COSTS OFF) SELECT id FROM t ORDER BY v <-> '[1,2,3]' LIMIT 5;
EXPLAIN (COSTS OFF) SELECT id FROM t ORDER BY v <=> '[1,2,3]' LIMIT 5;
EXPLAIN (COSTS OFF) SELECT id FROM t ORDER BY '[1,2,3]' <-> v LIMIT 5;
EXPLAIN (COSTS OFF) SELECT id FROM t WHERE category = 3 ORDER BY v <-> '[1,2,3]' LIMIT 5;
-- how InitPlans and disabled plans are shown differs between versions
CREATE FUNCTION scans_of(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		IF line LIKE '%Scan%' THEN
			RETURN NEXT regexp_replace(line, '^[ >-]+', '');
		END IF;
	END LOOP;
END $$;
SELECT scans_of('SELECT id FROM t ORDER BY v <-> (SELECT v FROM t WHERE id = 7) LIMIT 5');
EXPLAIN (COSTS OFF) SELECT a.id, b.id FROM t a
	CROSS JOIN LATERAL (SELECT id FROM t ORDER BY v <-> a.v LIMIT 2) b WHERE a.id <= 2;

-- not used: another operator, another column, no order, descending, an
-- expression of the distance, no limit
EXPLAIN (COSTS OFF) SELECT id FROM t ORDER BY v <+> '[1,2,3]' LIMIT 5;
EXPLAIN (COSTS OFF) SELECT id FROM t ORDER BY u <-> '[1,2,3]' LIMIT 5;
EXPLAIN (COSTS OFF) SELECT count(*) FROM t WHERE v IS NOT NULL;
EXPLAIN (COSTS OFF) SELECT id FROM t ORDER BY v <-> '[1,2,3]' DESC LIMIT 5;
EXPLAIN (COSTS OFF) SELECT id FROM t ORDER BY 1 - (v <=> '[1,2,3]') LIMIT 5;
EXPLAIN (COSTS OFF) SELECT id FROM t ORDER BY v LIMIT 5;
EXPLAIN (COSTS OFF) SELECT id FROM t WHERE v <-> '[1,2,3]' < 2;
EXPLAIN (COSTS OFF) SELECT id FROM t ORDER BY v <-> '[1,2,3]';
EXPLAIN (COSTS OFF) SELECT id FROM t WHERE id = 5 ORDER BY v <-> '[1,2,3]' LIMIT 5;

-- nor when nothing else is allowed: there is no plan without order, no
-- bitmap, no index-only scan
SET enable_seqscan = off;
SET jit = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM t;
SELECT scans_of($$SELECT v FROM t WHERE v = '[1,2,3]'$$);
EXPLAIN (COSTS OFF) SELECT v FROM t ORDER BY v <-> '[1,2,3]' LIMIT 1;
SET enable_indexscan = off;
SELECT scans_of($$SELECT v FROM t ORDER BY v <-> '[1,2,3]' LIMIT 1$$);
SELECT count(*) FROM t;
RESET enable_indexscan;
RESET enable_seqscan;
DROP FUNCTION scans_of;

\pset format unaligned
\pset tuples_only on
SELECT p, pg_indexam_has_property(a.oid, p) FROM pg_am a,
	unnest(ARRAY['can_order', 'can_unique', 'can_multi_col', 'can_exclude', 'can_include']) p
WHERE amname = 'hnsw';
SELECT p, pg_index_has_property('t_l2', p) FROM
	unnest(ARRAY['clusterable', 'index_scan', 'bitmap_scan', 'backward_scan']) p;
SELECT p, pg_index_column_has_property('t_l2', 1, p) FROM
	unnest(ARRAY['asc', 'orderable', 'distance_orderable', 'returnable', 'search_array', 'search_nulls']) p;

-- prepared, with custom and with generic plans
\pset format aligned
\pset tuples_only off
PREPARE nearest(vector) AS SELECT id FROM t ORDER BY v <-> $1 LIMIT 2;
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF) EXECUTE nearest('[5.13,6.29,1.4]');
EXECUTE nearest('[5.13,6.29,1.4]');
EXECUTE nearest('[70.13,40.29,1.4]');
EXECUTE nearest(NULL) \g /dev/null
SET plan_cache_mode = force_custom_plan;
EXECUTE nearest('[5.13,6.29,1.4]');
RESET plan_cache_mode;
DEALLOCATE nearest;

-- one scan, started anew for each outer row
SELECT a.id, b.id FROM t a
	CROSS JOIN LATERAL (SELECT id FROM t ORDER BY v <-> a.v LIMIT 1) b
WHERE a.id IN (3, 77, 4321) ORDER BY 1, 2;
-- the scan can be rewound
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT id FROM t ORDER BY v <-> '[5.13,6.29,1.4]' LIMIT 3;
FETCH ALL FROM c;
FETCH BACKWARD ALL FROM c;
FETCH FIRST FROM c;
COMMIT;
DROP TABLE t;
