--
-- src/tools/demo/cluster.sql: what became of the table, and how it is searched
--
-- Run on a node other than the one that the rows came through.
--

SELECT format('  group %s holds %s packages', vecdb.group_of('packages', id), count(*))
FROM packages
GROUP BY vecdb.group_of('packages', id)
ORDER BY 1;

\echo
\echo '  EXPLAIN (ANALYZE) SELECT name FROM packages ORDER BY embedding <=> ... LIMIT 10'
\echo
SELECT embedding AS asked FROM questions WHERE question = 'tune my guitar' \gset
EXPLAIN (ANALYZE, COSTS off, SUMMARY off)
SELECT name FROM packages ORDER BY embedding <=> :'asked' LIMIT 10 \g |cut -c 1-110 | sed 's/^/    /'

\echo
SELECT '  recall@10 over ' || count(*) || ' questions, asked of this node: '
	|| to_char(avg((SELECT count(*) FROM unnest(f.ids) AS u(id)
					WHERE u.id = ANY (q.neighbours[1:10])) / 10.0) * 100, 'FM990.0')
	|| ' %'
FROM questions q,
	LATERAL (SELECT array_agg(id) AS ids
			 FROM (SELECT id FROM packages
				   ORDER BY embedding <=> q.embedding LIMIT 10) AS nearest) AS f;
