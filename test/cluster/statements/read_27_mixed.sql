-- where a review found the planner weak: nulls, outer joins, collations, rows,
-- sets, windows, recursion, aggregates of every kind

SELECT id FROM users u WHERE (SELECT count(*) FROM orders) NOT IN (SELECT o.id FROM orders o WHERE o.user_id = u.id) ORDER BY id;

SELECT id FROM users u WHERE id + 1 NOT IN (SELECT i.owner FROM items i WHERE i.id < 12) ORDER BY id;

SELECT id FROM users u WHERE id NOT IN (SELECT i.owner FROM items i WHERE i.owner IS NOT NULL AND i.id < 30) ORDER BY id;

SELECT id FROM items WHERE owner NOT IN (SELECT user_id FROM orders WHERE id < 10) ORDER BY id LIMIT 20;

SELECT id, owner IN (SELECT user_id FROM orders WHERE id < 30) AS a, owner NOT IN (SELECT user_id FROM orders WHERE amount > 1000) AS b FROM items WHERE id < 25 ORDER BY id;

SELECT id, stock = ANY (SELECT stock FROM items j WHERE j.owner = i.owner AND j.id <> i.id) AS a, stock > ALL (SELECT j.stock FROM items j WHERE j.category = i.category AND j.id < 20) AS b FROM items i WHERE id < 25 ORDER BY id;

SELECT id FROM users u WHERE (id, region) IN (SELECT user_id, CASE WHEN id % 2 = 0 THEN 'north' END FROM orders) ORDER BY id;

SELECT id FROM users u WHERE (id, region) NOT IN (SELECT user_id, 'south' FROM orders) ORDER BY id;

SELECT id FROM users u WHERE (id, karma) > (SELECT user_id, id FROM orders WHERE id = 17) ORDER BY id;

SELECT id FROM items WHERE (category, stock) >= (4, 30) AND (category, stock) < (6, 10) ORDER BY id;

SELECT id FROM items WHERE ROW(owner, category) IS NOT DISTINCT FROM ROW(NULL::int, 3) ORDER BY id;

SELECT id, ROW(owner, category) IS NULL AS n FROM items WHERE id < 160 AND (owner, category) IS NULL ORDER BY id;

SELECT u.id, o.id, p.id FROM users u LEFT JOIN orders o ON o.user_id = u.id AND o.amount > 60 LEFT JOIN orders p ON p.user_id = o.user_id AND p.id = o.id + 37 ORDER BY 1, 2, 3;

SELECT u.id, o.id FROM users u LEFT JOIN orders o ON o.user_id = u.id AND u.id = u.karma ORDER BY 1, 2 LIMIT 12;

SELECT count(*), count(a.id), count(b.user_id), count(c.id) FROM users a LEFT JOIN orders b ON a.id = b.user_id AND a.id = a.karma LEFT JOIN users c ON c.id = a.karma;

SELECT u.id, count(o.id) FROM orders o RIGHT JOIN users u ON o.user_id = u.id AND o.id < 40 WHERE u.region IS NULL GROUP BY u.id ORDER BY u.id;

SELECT u.id, o.user_id, o.id FROM users u FULL JOIN (SELECT * FROM orders WHERE id BETWEEN 10 AND 20) o ON o.user_id = u.id WHERE coalesce(u.id, o.user_id) < 25 ORDER BY 1, 2, 3;

SELECT u.id, c.name, o.id FROM users u LEFT JOIN (orders o JOIN categories c ON c.id = o.id % 8 + 1) ON o.user_id = u.id AND o.id < 50 ORDER BY 1, 2, 3 LIMIT 30;

SELECT c.id, u.id, o.id FROM categories c LEFT JOIN users u ON u.id = c.id LEFT JOIN orders o ON o.user_id = u.id AND o.id < 30 ORDER BY 1, 2, 3;

SELECT u.id FROM users u LEFT JOIN orders o ON o.user_id = u.id WHERE o.user_id IS NULL ORDER BY 1;

SELECT u.id, o.id FROM users u LEFT JOIN orders o ON o.user_id = u.id AND o.id < 10 WHERE u.id = 5;

SELECT u.id, o.id FROM users u LEFT JOIN orders o ON o.user_id = u.id AND u.id = 6 WHERE u.id IN (5, 6) ORDER BY 1, 2;

SELECT u.id, o.id FROM users u LEFT JOIN orders o ON o.user_id = 5 AND o.id < 60 WHERE u.id IN (5, 6, 7) ORDER BY 1, 2;

SELECT u.id, o.id FROM orders o RIGHT JOIN users u ON o.user_id = u.id AND o.user_id = 3 WHERE u.id < 6 ORDER BY 1, 2;

SELECT u.id, o.id, o.n FROM users u LEFT JOIN LATERAL (SELECT o.id, count(*) OVER () AS n FROM orders o WHERE o.user_id = u.id AND o.amount > u.karma / 20 ORDER BY o.amount DESC, o.id LIMIT 2) o ON o.id % 2 = 0 ORDER BY 1, 2;

SELECT u.id, s.n, t.m FROM users u LEFT JOIN LATERAL (SELECT count(*) AS n FROM orders o WHERE o.user_id = u.id) s ON s.n > 6 LEFT JOIN LATERAL (SELECT max(o.id) AS m FROM orders o WHERE o.user_id = s.n) t ON true ORDER BY 1;

SELECT c.id, i.id FROM categories c LEFT JOIN LATERAL (SELECT id FROM items i WHERE i.category = c.id AND i.stock IS NOT NULL ORDER BY i.stock DESC, i.id LIMIT 1) i ON true ORDER BY 1;

SELECT u.id, x.v FROM users u LEFT JOIN LATERAL unnest(ARRAY[u.karma, NULL, u.id]) WITH ORDINALITY x (v, n) ON x.v > 20 WHERE u.id < 8 ORDER BY 1, 2;

SELECT id FROM users EXCEPT SELECT user_id FROM orders WHERE id > 100 ORDER BY 1;

SELECT owner FROM items EXCEPT ALL SELECT user_id FROM orders ORDER BY 1;

SELECT owner FROM items INTERSECT ALL SELECT user_id FROM orders ORDER BY 1;

SELECT region, count(*) FROM (SELECT region FROM users UNION SELECT note FROM orders UNION ALL SELECT name FROM categories) s GROUP BY 1 ORDER BY 1;

(SELECT id, 'u' AS what FROM users ORDER BY karma DESC, id LIMIT 3) UNION ALL (SELECT id, 'i' FROM items ORDER BY price DESC NULLS LAST, id LIMIT 3) ORDER BY 2, 1;

SELECT id FROM users WHERE id = 4 UNION SELECT user_id FROM orders WHERE user_id = 4 EXCEPT SELECT id FROM users WHERE id = 5;

SELECT category, owner % 3 AS o, count(*), sum(stock), grouping(category, owner % 3) FROM items GROUP BY GROUPING SETS ((category), (owner % 3), ()) ORDER BY 5, 1, 2;

SELECT category, owner % 3 AS o, count(*) FROM items GROUP BY CUBE (category, owner % 3) HAVING count(*) > 5 ORDER BY 1, 2, 3;

SELECT user_id, id % 2 AS odd, count(*) FROM orders GROUP BY ROLLUP (user_id, id % 2) ORDER BY 1, 2 LIMIT 30;

SELECT id, grouping(id), count(*) FROM users WHERE id < 5 GROUP BY GROUPING SETS ((id), ()) ORDER BY 1, 2;

SELECT DISTINCT ON (category) category, id, rank() OVER (PARTITION BY category ORDER BY stock DESC, id) AS r FROM items WHERE id < 100 ORDER BY category, r DESC, id;

SELECT DISTINCT ON (user_id) user_id, id, amount, sum(amount) OVER (PARTITION BY user_id) FROM orders ORDER BY user_id, amount DESC, id;

SELECT DISTINCT category, count(*) OVER (PARTITION BY category) FROM items ORDER BY 1;

SELECT DISTINCT ON (o.user_id) o.user_id, u.name, o.id FROM orders o JOIN users u ON u.id = o.user_id ORDER BY o.user_id, o.placed DESC, o.id;

SELECT id, lag(karma, 2, -1) OVER w, first_value(id) OVER w, nth_value(id, 3) OVER w, ntile(4) OVER w FROM users WINDOW w AS (ORDER BY karma, id) ORDER BY id;

SELECT user_id, id, sum(amount) OVER (PARTITION BY user_id ORDER BY id ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE CURRENT ROW) FROM orders WHERE user_id < 5 ORDER BY 1, 2;

SELECT user_id, sum(count(*)) OVER (ORDER BY user_id) FROM orders GROUP BY user_id ORDER BY 1;

SELECT category, avg(sum(stock)) OVER () FROM items GROUP BY category ORDER BY 1;

WITH RECURSIVE t AS (SELECT id, parent, 1 AS depth FROM categories WHERE parent IS NULL UNION ALL SELECT c.id, c.parent, t.depth + 1 FROM categories c JOIN t ON c.parent = t.id) SELECT t.id, t.depth, count(i.id) FROM t LEFT JOIN items i ON i.category = t.id GROUP BY 1, 2 ORDER BY 1;

WITH RECURSIVE w AS (SELECT user_id, id, item_id FROM orders WHERE user_id = 3 UNION SELECT o.user_id, o.id, o.item_id FROM orders o JOIN w ON o.id = w.id + 37) SELECT * FROM w ORDER BY 1, 2;

WITH RECURSIVE w (id, n) AS (SELECT min(id), 1 FROM items UNION ALL SELECT (SELECT min(i.id) FROM items i WHERE i.id > w.id AND i.stock > 40), n + 1 FROM w WHERE n < 8 AND w.id IS NOT NULL) SELECT * FROM w ORDER BY n;

WITH RECURSIVE w (a, path) AS (SELECT id, ARRAY[id] FROM users WHERE id = 1 UNION ALL SELECT i.owner, path || i.owner FROM w JOIN items i ON i.id = w.a AND NOT i.owner = ANY (path)) SEARCH DEPTH FIRST BY a SET o SELECT a, path FROM w ORDER BY o;

CREATE TEMP TABLE log (id int); WITH c AS (INSERT INTO log SELECT id FROM users WHERE id < 4 RETURNING id) SELECT u.id, u.name FROM c JOIN users u ON u.id = c.id ORDER BY 1;

WITH d AS (DELETE FROM log USING orders o WHERE o.user_id = log.id AND o.id < 3 RETURNING log.id, o.id AS o) SELECT d.*, u.name FROM d LEFT JOIN users u ON u.id = d.id ORDER BY 1; SELECT * FROM log ORDER BY id; DROP TABLE log;

SELECT count(DISTINCT owner), count(DISTINCT (owner, category)), sum(DISTINCT stock), array_agg(DISTINCT category ORDER BY category DESC) FROM items;

SELECT category, count(DISTINCT owner) FILTER (WHERE stock > 30), string_agg(DISTINCT tags[1], ',' ORDER BY tags[1]) FROM items GROUP BY category ORDER BY 1;

SELECT count(*) FILTER (WHERE stock > 50), sum(stock) FILTER (WHERE category = 2), max(price) FILTER (WHERE false), avg(price) FILTER (WHERE id % 2 = 0) FROM items;

SELECT user_id, count(*) FILTER (WHERE amount > 40), array_agg(id ORDER BY amount DESC) FILTER (WHERE note IS NULL) FROM orders GROUP BY user_id ORDER BY 1;

SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY price), percentile_disc(ARRAY[0.1, 0.9]) WITHIN GROUP (ORDER BY stock), mode() WITHIN GROUP (ORDER BY category) FROM items;

SELECT user_id, percentile_disc(0.5) WITHIN GROUP (ORDER BY amount) FROM orders GROUP BY user_id ORDER BY 1;

SELECT category, rank(30) WITHIN GROUP (ORDER BY stock), cume_dist(30) WITHIN GROUP (ORDER BY stock) FROM items GROUP BY category ORDER BY 1;

SELECT round(corr(stock, price)::numeric, 9), regr_count(stock, price), round(var_pop(stock), 6), stddev_samp(stock)::numeric(12,6) FROM items;

SELECT json_agg(id ORDER BY id), jsonb_object_agg(id, name ORDER BY id) FROM users WHERE id < 6;

SELECT bit_and(stock), bit_or(stock), bit_xor(stock), bool_and(stock > -1), every(stock < 100) FROM items;

SELECT sum(amount) / count(*), (SELECT avg(karma) FROM users) FROM orders HAVING count(*) > (SELECT count(*) FROM users);

SELECT region, sum(karma) FROM users GROUP BY region HAVING sum(karma) > (SELECT avg(stock) * 100 FROM items) ORDER BY 1;

SELECT word FROM words ORDER BY word COLLATE "C" DESC LIMIT 7;

SELECT word FROM words WHERE word COLLATE "C" = 'w7';

SELECT word FROM words WHERE word COLLATE "C" > 'w44' ORDER BY word COLLATE "C";

SELECT min(word COLLATE "C"), max(word COLLATE "C"), count(DISTINCT word COLLATE "C") FROM words;

SELECT a.word, b.word FROM words a JOIN words b ON a.word COLLATE "C" = b.word WHERE a.uses > 28 ORDER BY 1;

SELECT upper(word) COLLATE "C" AS w, count(*) FROM words GROUP BY 1 ORDER BY 1 LIMIT 5;

SELECT word COLLATE "C" FROM words WHERE uses < 3 UNION SELECT name COLLATE "C" FROM categories ORDER BY 1;

BEGIN; SELECT id, stock FROM items WHERE id = 7 FOR UPDATE; SELECT id FROM items WHERE id IN (7, 8, 9) ORDER BY id FOR NO KEY UPDATE; SELECT id FROM items WHERE stock > 60 ORDER BY id FOR SHARE NOWAIT; SELECT id FROM (SELECT id FROM items WHERE id = 3 FOR UPDATE) s; ROLLBACK;

BEGIN; SELECT u.id, o.id FROM users u JOIN orders o ON o.user_id = u.id WHERE u.id = 6 AND o.id < 80 ORDER BY 2 FOR UPDATE OF o; SELECT c.id FROM categories c WHERE c.id = 3 FOR UPDATE; ROLLBACK;

SELECT count(*) FROM items TABLESAMPLE BERNOULLI (100);

SELECT count(*) FROM items TABLESAMPLE SYSTEM (0);

SELECT count(*) > 0 FROM users u JOIN items i TABLESAMPLE BERNOULLI (100) REPEATABLE (3) ON i.owner = u.id;

SELECT u.id, i.id FROM users u, items i TABLESAMPLE BERNOULLI (100) WHERE i.id = u.id AND u.id < 4 ORDER BY 1;

SELECT id, (SELECT count(*) FROM orders o WHERE o.user_id = u.id AND o.id IN (SELECT i.id FROM items i WHERE i.owner = u.id)) FROM users u WHERE id < 9 ORDER BY 1;

SELECT id FROM users u WHERE EXISTS (SELECT FROM orders o WHERE o.user_id = u.id AND EXISTS (SELECT FROM items i WHERE i.id = o.item_id AND i.stock > 60)) ORDER BY 1;

SELECT id FROM users u WHERE EXISTS (SELECT FROM orders o LEFT JOIN users v ON v.id = o.user_id + 1 WHERE o.user_id = u.id AND v.id IS NULL) ORDER BY 1;

SELECT id, CASE WHEN id IN (SELECT user_id FROM orders WHERE amount > 70) THEN 'big' WHEN EXISTS (SELECT FROM orders WHERE user_id = u.id) THEN 'some' END FROM users u ORDER BY 1;

SELECT ARRAY(SELECT o.id FROM orders o WHERE o.user_id = u.id ORDER BY o.id DESC LIMIT 2) FROM users u WHERE id < 6 ORDER BY id;

SELECT (SELECT ROW(count(*), max(id)) FROM orders o WHERE o.user_id = u.id)::text FROM users u WHERE id < 4 ORDER BY id;

SELECT u.*::text IS NOT NULL AS t, u FROM users u WHERE id = 3;

SELECT o FROM orders o WHERE o.user_id IN (2, 3) AND o.id < 40 ORDER BY o.id;

SELECT count(*) FROM (SELECT DISTINCT o FROM orders o WHERE id < 20) s;

SELECT i.id, j.id FROM items i JOIN items j USING (owner, category) WHERE i.id < j.id AND i.id < 60 ORDER BY 1, 2;

SELECT id, owner, category FROM items NATURAL JOIN (SELECT 5 AS category, id FROM users) s ORDER BY id;

SELECT * FROM users u JOIN LATERAL (SELECT o.user_id, sum(o.amount) FROM orders o GROUP BY o.user_id HAVING o.user_id = u.id) s ON true WHERE u.id < 4 ORDER BY u.id;

SELECT id FROM items ORDER BY stock NULLS FIRST, id DESC FETCH FIRST 5 ROWS WITH TIES;

SELECT stock FROM items ORDER BY stock DESC FETCH FIRST 4 ROWS WITH TIES;

SELECT generate_series(1, id % 3), id FROM users WHERE id < 7 ORDER BY 2, 1;

SELECT unnest(tags) AS t, count(*) FROM items GROUP BY 1 ORDER BY 1;

SELECT * FROM (VALUES (1, 'a'), (2, 'b'), (NULL, 'c')) v (id, x) LEFT JOIN users u ON u.id = v.id ORDER BY 2;

SELECT v.id, u.id FROM (VALUES (1), (2), (99)) v (id) FULL JOIN users u ON u.id = v.id WHERE v.id IS NOT NULL OR u.id < 4 ORDER BY 1, 2;
