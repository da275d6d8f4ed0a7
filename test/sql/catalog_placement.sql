--
-- catalog_placement: consistent hashing spreads shards evenly, and moves none
-- without need
--
SELECT vecdb.plan_placement(8, '{1,2,3}');
-- the same each time, whatever the order
SELECT vecdb.plan_placement(256, '{5,9,2}') = vecdb.plan_placement(256, '{2,5,9}') AS same;
SELECT vecdb.plan_placement(3, '{7}'), vecdb.plan_placement(1, '{2,1}'), array_length(vecdb.plan_placement(65536, '{1,2,3}'), 1);

CREATE FUNCTION spread(placement int[]) RETURNS TABLE (fewest bigint, most bigint, groups bigint) LANGUAGE sql AS
	'SELECT min(n), max(n), count(*) FROM (SELECT count(*) AS n FROM unnest($1) g GROUP BY g) c';
CREATE FUNCTION moved(a int[], b int[]) RETURNS bigint LANGUAGE sql AS
	'SELECT count(*) FROM unnest($1, $2) p (a, b) WHERE a <> b';
CREATE FUNCTION numbers(n int) RETURNS int[] LANGUAGE sql AS
	'SELECT array_agg(i) FROM generate_series(1, $1) i';

-- even to one shard
SELECT n, s.* FROM unnest(ARRAY[1, 2, 3, 5, 10, 100, 256, 300]) n, spread(vecdb.plan_placement(256, numbers(n))) s;
-- a group more takes its share from the others, and they exchange nothing
SELECT n, moved(a, b) AS moved, 256 / (n + 1) AS share,
	(SELECT bool_and(y = n + 1) FROM unnest(a, b) p (x, y) WHERE x <> y) AS "all to it",
	moved(a, b) = moved(a, vecdb.plan_placement(256, numbers(n + 1), a)) AS "same as adjusted"
FROM generate_series(1, 12) n,
	LATERAL (SELECT vecdb.plan_placement(256, numbers(n)) AS a, vecdb.plan_placement(256, numbers(n + 1)) AS b) p;
-- a group less, any of them: its shards go to the others evenly, no other moves
SELECT gone, moved(a, b) AS moved, (SELECT count(*) FROM unnest(a) x WHERE x = gone) AS had, s.*
FROM generate_series(1, 5) gone,
	LATERAL (SELECT vecdb.plan_placement(256, numbers(5)) AS a) p,
	LATERAL (SELECT vecdb.plan_placement(256, array_remove(numbers(5), gone), a) AS b) q,
	spread(b) s;
-- what is even stays, what was moved by hand is moved back no more than needed
SELECT moved(a, vecdb.plan_placement(256, '{1,2,3}', a)) AS moved
FROM vecdb.plan_placement(256, '{1,2,3}') a;
SELECT moved(a, b) AS moved, s.*
FROM (SELECT array_agg(CASE WHEN i <= 200 THEN 1 WHEN i <= 250 THEN 2 ELSE 3 END) AS a FROM generate_series(1, 256) i) p,
	LATERAL vecdb.plan_placement(256, '{1,2,3}', a) b, spread(b) s;
-- neighbours among the shards of one group are as chance has it: about 85 of 255
SELECT count(*) BETWEEN 60 AND 110 AS scattered
FROM (SELECT g = lag(g) OVER (ORDER BY s) AS same FROM unnest(vecdb.plan_placement(256, '{1,2,3}')) WITH ORDINALITY p (g, s)) x
WHERE same;

-- what it refuses
SELECT vecdb.plan_placement(0, '{1}');
SELECT vecdb.plan_placement(65537, '{1}');
SELECT vecdb.plan_placement(8, '{}');
SELECT vecdb.plan_placement(8, '{1,2,1}');
SELECT vecdb.plan_placement(8, '{1,NULL}');
SELECT vecdb.plan_placement(8, '{{1,2},{3,4}}');
SELECT vecdb.plan_placement(8, '{1,2}', '{1,1,2}');
SELECT vecdb.plan_placement(8, (SELECT array_agg(i) FROM generate_series(1, 1025) i));
SELECT vecdb.plan_placement(8, NULL);
DROP FUNCTION spread, moved, numbers;
