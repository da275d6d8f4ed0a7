--
-- src/tools/demo/measure.sql: recall, time per query, sizes
--
-- Every question is asked twice, through the index and without it.  Times are
-- taken in the server, once everything is in memory.  The script fails if the
-- plans are not what it says they are.
--

SET client_min_messages = warning;

-- Ask all questions with the settings in force; plan must mention plan_node.
CREATE OR REPLACE FUNCTION pg_temp.ask_all(plan_node text)
RETURNS TABLE (question integer, ids integer[], milliseconds float8)
LANGUAGE plpgsql AS $$
DECLARE
	query		text := 'SELECT id FROM packages ORDER BY embedding <=> $1 LIMIT 10';
	plan		json;
	asked		questions;
	start		timestamptz;
BEGIN
	FOR asked IN SELECT * FROM questions ORDER BY id LOOP
		IF asked.id = 1 THEN
			EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan
				USING asked.embedding;
			IF plan::text NOT LIKE '%"' || plan_node || '"%' THEN
				RAISE EXCEPTION 'the plan has no %', plan_node
					USING DETAIL = plan::text;
			END IF;
		END IF;
		question := asked.id;
		start := clock_timestamp();
		EXECUTE 'SELECT array_agg(id) FROM (' || query || ') AS nearest'
			INTO ids USING asked.embedding;
		milliseconds := 1000 * extract(epoch FROM clock_timestamp() - start);
		RETURN NEXT;
	END LOOP;
END
$$;

-- The first round of each fills the caches.
SET max_parallel_workers_per_gather = 0;
SET enable_indexscan = off;
SELECT count(*) FROM pg_temp.ask_all('Sort') \g /dev/null
CREATE TEMP TABLE exact AS SELECT * FROM pg_temp.ask_all('Sort');
RESET enable_indexscan;
SELECT count(*) FROM pg_temp.ask_all('Index Scan') \g /dev/null
CREATE TEMP TABLE indexed AS SELECT * FROM pg_temp.ask_all('Index Scan');

CREATE FUNCTION pg_temp.report(what text, value text)
RETURNS text
LANGUAGE sql IMMUTABLE
RETURN '  ' || rpad(what, 44) || value;

SELECT pg_temp.report('recall@10 of the index over ' || count(*) || ' questions',
	to_char(avg((SELECT count(*) FROM unnest(i.ids) AS f(id)
				 WHERE f.id = ANY (q.neighbours[1:10])) / 10.0) * 100, 'FM990.0')
		|| ' %')
FROM questions q JOIN indexed i ON i.question = q.id;

SELECT pg_temp.report('recall@10 of exact search',
	to_char(avg((SELECT count(*) FROM unnest(e.ids) AS f(id)
				 WHERE f.id = ANY (q.neighbours[1:10])) / 10.0) * 100, 'FM990.0')
		|| ' %')
FROM questions q JOIN exact e ON e.question = q.id;

SELECT pg_temp.report('median time per query, index',
	to_char(percentile_cont(0.5) WITHIN GROUP (ORDER BY milliseconds), 'FM99990.00')
		|| ' ms')
FROM indexed;

SELECT pg_temp.report('median time per query, exact search',
	to_char(percentile_cont(0.5) WITHIN GROUP (ORDER BY milliseconds), 'FM99990.00')
		|| ' ms')
FROM exact;

SELECT pg_temp.report('size of the index',
	pg_size_pretty(pg_relation_size('packages_embedding_idx')));

SELECT pg_temp.report('size of the table without indexes',
	pg_size_pretty(pg_table_size('packages')));
