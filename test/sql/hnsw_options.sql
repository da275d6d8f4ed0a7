--
-- hnsw_options: storage parameters and settings, their limits and errors
--
\set SHOW_CONTEXT never
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

CREATE TABLE t (v vector(3));
SELECT try('CREATE INDEX ON t USING hnsw (v vector_l2_ops) WITH (m = 1)');
SELECT try('CREATE INDEX ON t USING hnsw (v vector_l2_ops) WITH (m = 101)');
SELECT try('CREATE INDEX ON t USING hnsw (v vector_l2_ops) WITH (m = 2.5)');
SELECT try('CREATE INDEX ON t USING hnsw (v vector_l2_ops) WITH (m = many)');
SELECT try('CREATE INDEX ON t USING hnsw (v vector_l2_ops) WITH (ef_construction = 3)');
SELECT try('CREATE INDEX ON t USING hnsw (v vector_l2_ops) WITH (ef_construction = 1001)');
SELECT try('CREATE INDEX ON t USING hnsw (v vector_l2_ops) WITH (m = 16, ef_construction = 31)');
SELECT try('CREATE INDEX ON t USING hnsw (v vector_l2_ops) WITH (m = 33)');
SELECT try('CREATE INDEX ON t USING hnsw (v vector_l2_ops) WITH (ef_search = 0)');
SELECT try('CREATE INDEX ON t USING hnsw (v vector_l2_ops) WITH (ef_search = -1)');
SELECT try('CREATE INDEX ON t USING hnsw (v vector_l2_ops) WITH (ef_search = 100001)');
SELECT try('CREATE INDEX ON t USING hnsw (v vector_l2_ops) WITH (iterative_scan = on)');
SELECT try('CREATE INDEX ON t USING hnsw (v vector_l2_ops) WITH (lists = 1)');
SELECT try('CREATE INDEX ON t USING hnsw (v vector_l2_ops) WITH (fillfactor = 90)');

-- the ends of the ranges
SELECT try('CREATE INDEX ON t USING hnsw (v vector_l2_ops) WITH (m = 2, ef_construction = 4)');
SELECT try('CREATE INDEX ON t USING hnsw (v vector_l2_ops) WITH (m = 100, ef_construction = 1000)');
CREATE INDEX i ON t USING hnsw (v vector_l2_ops) WITH (m = 4, ef_construction = 10);
SELECT reloptions FROM pg_class WHERE relname = 'i';
-- changes what the next REINDEX does
SELECT try('ALTER INDEX i SET (m = 200)');
ALTER INDEX i SET (m = 6);
INSERT INTO t SELECT ARRAY[g, 0, 0] FROM generate_series(1, 20) g;
SELECT try('REINDEX INDEX i');
ALTER INDEX i SET (ef_construction = 12);
SELECT try('REINDEX INDEX i');
ALTER INDEX i RESET (m, ef_construction);
SELECT try('REINDEX INDEX i');
DROP TABLE t;

-- settings
SELECT name, setting, unit, context, vartype, min_val, max_val, enumvals, boot_val
FROM pg_settings WHERE name LIKE 'hnsw.%' ORDER BY name COLLATE "C";
SELECT try('SET hnsw.ef_search = 0');
SELECT try('SET hnsw.ef_search = 100001');
SELECT try('SET hnsw.iterative_scan = on');
SELECT try('SET hnsw.max_scan_tuples = 0');
SELECT try('SET hnsw.scan_mem_multiplier = 0');
SELECT try('SET hnsw.scan_mem_multiplier = 1001');
SELECT try('SET hnsw.ef_search = 100000');
SHOW hnsw.ef_search;
SELECT try('SET LOCAL hnsw.iterative_scan = strict_order');
SELECT try('ALTER ROLE CURRENT_USER SET hnsw.ef_search = 200000');
RESET hnsw.ef_search;
-- the prefix is reserved
SELECT try('SET hnsw.no_such_setting = 1');
SELECT try('SET vecdb.no_such_setting = 1');

-- debug points are for superusers, and not just any text
SELECT try('SET vecdb.debug_points = ''a, b=error , c=12,d=notice''');
SHOW vecdb.debug_points;
SELECT try('SET vecdb.debug_points = ''a,''');
SELECT try('SET vecdb.debug_points = '' ''');
SELECT try('SET vecdb.debug_points = ''a=panic''');
SELECT try('SET vecdb.debug_points = ''A''');
SELECT try('SET vecdb.debug_points = ''a=1234567890''');
RESET vecdb.debug_points;
CREATE ROLE hnsw_options_role;
SET ROLE hnsw_options_role;
SELECT try('SET vecdb.debug_points = ''a''');
RESET ROLE;
DROP ROLE hnsw_options_role;
CREATE TABLE t (v vector(3));
CREATE INDEX ON t USING hnsw (v vector_l2_ops);
SET vecdb.debug_points = 'hnsw_insert_layer=3, hnsw_insert_chosen=notice, hnsw_insert_written=error';
SELECT try('INSERT INTO t VALUES (''[1,2,3]'')');
RESET vecdb.debug_points;
SELECT try('INSERT INTO t VALUES (''[1,2,3]'')');

-- what pg_stat_progress_create_index shows
SELECT n, pg_indexam_progress_phasename(oid, n) FROM pg_am, generate_series(0, 6) n
WHERE amname = 'hnsw' ORDER BY n;
DROP TABLE t;
DROP FUNCTION try;
