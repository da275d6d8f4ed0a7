-- WITH

WITH dear AS (SELECT * FROM items WHERE price > 80) SELECT count(*), min(id) FROM dear;

WITH dear AS MATERIALIZED (SELECT * FROM items WHERE price > 80) SELECT id FROM dear ORDER BY id;

WITH dear AS NOT MATERIALIZED (SELECT * FROM items) SELECT id FROM dear WHERE id = 9;

WITH a AS (SELECT id FROM items WHERE stock > 50), b AS (SELECT id FROM items WHERE price > 50) SELECT a.id FROM a JOIN b USING (id) ORDER BY id;

WITH a AS (SELECT user_id, sum(amount) AS s FROM orders GROUP BY user_id), b AS (SELECT avg(s) AS m FROM a) SELECT a.user_id FROM a, b WHERE a.s > b.m ORDER BY 1;

WITH RECURSIVE tree AS (SELECT id, name, 0 AS depth FROM categories WHERE parent IS NULL UNION ALL SELECT c.id, c.name, depth + 1 FROM categories c JOIN tree t ON c.parent = t.id WHERE c.id <> t.id) SELECT * FROM tree ORDER BY depth, id;

WITH RECURSIVE chain (id, n) AS (SELECT 1::bigint, 0 UNION ALL SELECT i.id, n + 1 FROM chain JOIN items i ON i.id = chain.id * 2 WHERE n < 20) SELECT * FROM chain ORDER BY n;

WITH RECURSIVE counted (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM counted WHERE n < 5) SELECT n, i.stock FROM counted JOIN items i ON i.id = n ORDER BY n;

WITH x AS (SELECT * FROM users), y AS (SELECT * FROM orders) SELECT x.id, count(*) FROM x JOIN y ON y.user_id = x.id GROUP BY x.id ORDER BY x.id;

WITH t AS (SELECT id, stock FROM items WHERE id < 20) SELECT t1.id, t2.id FROM t t1 JOIN t t2 ON t1.stock < t2.stock AND t1.id = t2.id - 1 ORDER BY 1;

WITH t AS (SELECT category, count(*) AS n FROM items GROUP BY category) SELECT c.name, t.n FROM t JOIN categories c ON c.id = t.category ORDER BY c.id;

WITH t (a, b) AS (SELECT id, title FROM items WHERE id < 4) SELECT b, a FROM t ORDER BY a;

SELECT * FROM (WITH inner_one AS (SELECT id FROM items WHERE stock = 1) SELECT count(*) FROM inner_one) s;

SELECT u.id, (WITH o AS (SELECT amount FROM orders WHERE user_id = u.id) SELECT sum(amount) FROM o) FROM users u WHERE u.id < 5 ORDER BY u.id;

WITH q AS (SELECT made(3001, 16)::vector AS v) SELECT id FROM items, q ORDER BY embedding <-> q.v LIMIT 5;
