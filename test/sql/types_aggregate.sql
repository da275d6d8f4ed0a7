--
-- types_aggregate: avg and sum of vectors, over no rows, in windows and in
-- parallel
--
\pset format unaligned
\pset tuples_only on
-- runs an expression, and tells its value or its error
CREATE FUNCTION pg_temp.try(expression text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	result text;
	detail text;
BEGIN
	EXECUTE 'SELECT (' || expression || ')::text' INTO result;
	RETURN coalesce(result, '(null)');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN left(concat_ws(' | ', SQLSTATE, SQLERRM, nullif(detail, '')), 130);
END
$$;

CREATE TABLE types_aggregate (id int, g int, v vector, h halfvec);
SELECT avg(v), sum(v), avg(h), sum(h) FROM types_aggregate;
INSERT INTO types_aggregate
SELECT i, i % 3, ARRAY[i % 10, i % 7, 1]::vector, ARRAY[i % 10, i % 7, 1]::halfvec
FROM generate_series(1, 2000) i;
INSERT INTO types_aggregate VALUES (0, 0, NULL, NULL), (0, 9, NULL, NULL);

SELECT g, avg(v), sum(v), avg(h), sum(h), count(v) FROM types_aggregate GROUP BY g ORDER BY g;
SELECT avg(v) FROM types_aggregate WHERE id < 0;
SELECT avg(DISTINCT v), sum(DISTINCT h) FROM types_aggregate;

-- the sign of zero is kept as addition keeps it
SELECT avg(v), avg(h) FROM (VALUES ('[-0,0,-0]'::vector, '[-0,0,-0]'::halfvec)) t (v, h);
SELECT avg(v) FROM (VALUES ('[-0,-0]'::vector), ('[0,-0]')) t (v);

-- a window reads each state while it grows
SELECT id, avg(v) OVER w, sum(v) OVER w, avg(h) OVER w
FROM types_aggregate WHERE id BETWEEN 1 AND 5
WINDOW w AS (ORDER BY id) ORDER BY id;
SELECT id, avg(v) OVER w, sum(v) OVER w, avg(h) OVER w
FROM types_aggregate WHERE id BETWEEN 1 AND 5
WINDOW w AS (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) ORDER BY id;
-- the results of a window are separate values, although they share a state
SELECT array_agg(a) FROM (SELECT avg(v) OVER (ORDER BY id) AS a
	FROM types_aggregate WHERE id BETWEEN 1 AND 4) x;

-- in parallel the result is the same
BEGIN;
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL min_parallel_table_scan_size = 0;
SET LOCAL max_parallel_workers_per_gather = 2;
EXPLAIN (COSTS OFF) SELECT avg(v), sum(v), avg(h), sum(h) FROM types_aggregate;
SELECT avg(v), sum(v), avg(h), sum(h) FROM types_aggregate;
-- one worker, or all of them, may see no rows
SELECT avg(v), sum(v), avg(h), sum(h) FROM types_aggregate WHERE id = 7;
SELECT avg(v), sum(v), avg(h), sum(h) FROM types_aggregate WHERE id < 0;
COMMIT;
SELECT avg(v), sum(v), avg(h), sum(h) FROM types_aggregate;
DROP TABLE types_aggregate;

-- what goes wrong
SELECT type, expression, pg_temp.try(regexp_replace(expression, '\mT(\M|(?=_))', type, 'g'))
FROM unnest(ARRAY['vector', 'halfvec']) type,
	unnest(ARRAY[
		$$SELECT avg(v::T) FROM (VALUES ('[1,2]'), ('[3]')) t (v)$$,
		$$SELECT sum(v::T) FROM (VALUES ('[1,2]'), ('[3]')) t (v)$$,
		$$T_accum('{0}', '[1,2]')$$, $$T_accum('{1,2,3}', '[1,2]')$$,
		$$T_accum('{}', '[1]')$$, $$T_accum('{NULL}', '[1]')$$,
		$$T_accum('{{0}}', '[1]')$$, $$T_accum('{1,2}', '[1,2]')$$,
		$$T_accum('{1,Infinity}', '[1]')$$, $$T_accum('{1,NaN}', '[1]')$$,
		$$T_accum('[5:6]={1,2}', '[1]')$$,
		$$T_avg('{}')$$, $$T_avg('{0}')$$, $$T_avg('{0,1}')$$, $$T_avg('{1}')$$,
		$$T_avg('{2,1,3}')$$, $$T_avg('{NULL,1}')$$, $$T_avg('{{1,2}}')$$,
		$$T_avg('{1,NaN}')$$, $$T_avg('{NaN,1}')$$, $$T_avg('{1e-308,1}')$$,
		$$T_avg('{1,70000}')$$,
		$$T_avg(array_fill(1::float8, ARRAY[16002]))$$,
		$$vector_dims(T_avg(array_fill(1::float8, ARRAY[16001])))$$,
		$$T_combine('{0}', '{0}')$$, $$T_combine('{0}', '{2,3}')$$,
		$$T_combine('{2,3}', '{0}')$$, $$T_combine('{2,3}', '{4,5}')$$,
		$$T_combine('{2,3}', '{4,5,6}')$$, $$T_combine('{2,3,4}', '{4,5}')$$,
		$$T_combine('{}', '{1}')$$, $$T_combine('{1}', '{}')$$,
		$$T_combine('{1,NULL}', '{1,1}')$$, $$T_combine('{1,1}', '{1,NULL}')$$,
		$$T_combine('{1,1e308}', '{1,1e308}')$$,
		$$T_combine('{0}', array_fill(1::float8, ARRAY[16002]))$$,
		$$T_combine('{1,2}', NULL)$$
	]) WITH ORDINALITY AS u (expression, n)
ORDER BY type DESC, n;
SELECT sum(v) FROM (VALUES ('[3e38]'::vector), ('[3e38]')) t (v);
SELECT avg(v) FROM (VALUES ('[3e38]'::vector), ('[3e38]')) t (v);
SELECT sum(v) FROM (VALUES ('[65504]'::halfvec), ('[65504]')) t (v);
SELECT avg(v) FROM (VALUES ('[65504]'::halfvec), ('[65504]')) t (v);
