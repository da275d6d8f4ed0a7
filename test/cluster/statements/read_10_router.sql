-- statements whose key says which group has the rows

SELECT * FROM items WHERE id = 17;

SELECT id, title FROM items WHERE id = 100000;

SELECT id, title, price FROM items WHERE id = 3 AND price > 0;

SELECT id, title FROM items WHERE id = 5 OR id = 5;

SELECT id FROM items WHERE id IN (1, 2, 3, 4, 5, 6, 7, 8, 9, 10) ORDER BY id;

SELECT id FROM items WHERE id = ANY (ARRAY[11, 22, 33, 44]::bigint[]) ORDER BY id;

SELECT id FROM items WHERE id = 7 AND id = 8;

SELECT id FROM items WHERE id = NULL;

SELECT id FROM items WHERE id = 4 + 5;

SELECT id FROM items WHERE id = 12::int;

SELECT id FROM items WHERE id = 12::smallint;

SELECT id FROM items WHERE id::text = '12';

SELECT count(*), min(id), max(id) FROM orders WHERE user_id = 5;

SELECT u.name, o.id, o.amount FROM users u JOIN orders o ON o.user_id = u.id WHERE u.id = 9 ORDER BY o.id;

SELECT u.name, count(o.id), sum(o.amount) FROM users u LEFT JOIN orders o ON o.user_id = u.id WHERE u.id = 12 GROUP BY u.name;

SELECT u.name, o.id FROM users u LEFT JOIN orders o ON o.user_id = u.id WHERE u.id = 39;

SELECT o.id, rank() OVER (ORDER BY amount DESC, id) FROM orders o WHERE user_id = 3 ORDER BY o.id;

SELECT word, uses FROM words WHERE word = 'w7';

SELECT word FROM words WHERE word IN ('w1', 'w2', 'none') ORDER BY word;

SELECT body, sketch FROM notes WHERE id = md5('note9')::uuid;

SELECT id, body FROM notes WHERE id = '0cc175b9-c0f1-b6a8-31c3-99e269772661';

SELECT i.title, c.name FROM items i JOIN categories c ON c.id = i.category WHERE i.id = 21;

SELECT (SELECT name FROM categories c WHERE c.id = i.category) AS name FROM items i WHERE i.id = 22;

SELECT * FROM (SELECT id, stock * 2 AS twice FROM items) s WHERE id = 33;

WITH one AS (SELECT * FROM users WHERE id = 8) SELECT one.name, o.id FROM one JOIN orders o ON o.user_id = one.id AND o.user_id = 8 ORDER BY o.id;

SELECT id FROM items WHERE id = 42 AND embedding IS NOT NULL ORDER BY embedding <-> made(1, 16)::vector LIMIT 1;

SELECT id FROM users WHERE id = 1 UNION ALL SELECT user_id FROM orders WHERE user_id = 1;

SELECT EXISTS (SELECT 1 FROM orders WHERE user_id = 4 AND amount > 1);

SELECT id FROM items WHERE id BETWEEN 5 AND 5;

SELECT id FROM items WHERE id >= 10 AND id <= 12 ORDER BY id;

SELECT id FROM items WHERE (id, stock) = (15, stock);

SELECT 1 FROM items WHERE id = 1 AND false;
