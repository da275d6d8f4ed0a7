-- subqueries in every place

SELECT id FROM items WHERE price = (SELECT max(price) FROM items);

SELECT id FROM items WHERE stock > (SELECT avg(stock) + 25 FROM items) ORDER BY id;

SELECT id FROM users u WHERE EXISTS (SELECT 1 FROM orders o WHERE o.user_id = u.id AND o.amount > 75) ORDER BY id;

SELECT id FROM users u WHERE NOT EXISTS (SELECT 1 FROM orders o WHERE o.user_id = u.id) ORDER BY id;

SELECT id FROM users u WHERE NOT EXISTS (SELECT 1 FROM items i WHERE i.owner = u.id AND i.stock > 50) ORDER BY id;

SELECT id FROM items WHERE owner IN (SELECT id FROM users WHERE region = 'south') AND stock > 50 ORDER BY id;

SELECT id FROM users WHERE id NOT IN (SELECT user_id FROM orders) ORDER BY id;

SELECT id FROM users WHERE id NOT IN (SELECT owner FROM items) ORDER BY id;

SELECT id FROM items WHERE category IN (SELECT id FROM categories WHERE parent = 1) AND id < 50 ORDER BY id;

SELECT id, (SELECT count(*) FROM orders o WHERE o.user_id = u.id) AS orders FROM users u ORDER BY id;

SELECT id, (SELECT max(amount) FROM orders o WHERE o.user_id = u.id AND o.note = 'note 3') FROM users u WHERE id < 10 ORDER BY id;

SELECT id, (SELECT title FROM items i WHERE i.id = o.item_id) AS title FROM orders o WHERE user_id = 2 ORDER BY id;

SELECT id, (SELECT name FROM categories c WHERE c.id = i.category) FROM items i WHERE id < 20 ORDER BY id;

SELECT id FROM items i WHERE stock > (SELECT avg(stock) FROM items j WHERE j.category = i.category) AND id < 60 ORDER BY id;

SELECT id FROM items WHERE stock > ALL (SELECT stock FROM items WHERE category = 2) ORDER BY id;

SELECT id FROM items WHERE stock = ANY (SELECT stock FROM items WHERE id < 4) AND id < 100 ORDER BY id;

SELECT id FROM items WHERE (category, stock) IN (SELECT category, max(stock) FROM items GROUP BY category) ORDER BY id;

SELECT id FROM users WHERE (SELECT count(*) FROM orders WHERE user_id = users.id) = 7 ORDER BY id;

SELECT s.n FROM (SELECT count(*) AS n FROM items WHERE stock > 30) s;

SELECT s.id, s.double FROM (SELECT id, stock * 2 AS double FROM items WHERE id < 50) s WHERE s.double > 100 ORDER BY s.id;

SELECT max(s.total) FROM (SELECT user_id, sum(amount) AS total FROM orders GROUP BY user_id) s;

SELECT id FROM (SELECT * FROM items ORDER BY price DESC NULLS LAST, id LIMIT 10) s WHERE stock > 5 ORDER BY id;

SELECT a.id FROM (SELECT id FROM items WHERE stock < 20) a JOIN (SELECT id FROM items WHERE price < 30) b ON a.id = b.id ORDER BY a.id;

SELECT ARRAY(SELECT id FROM items WHERE stock = 7 ORDER BY id);

SELECT id, ARRAY(SELECT o.id FROM orders o WHERE o.user_id = u.id ORDER BY o.id) FROM users u WHERE id < 6 ORDER BY id;

SELECT CASE WHEN EXISTS (SELECT 1 FROM items WHERE stock > 100) THEN 'yes' ELSE 'no' END;

SELECT id FROM items WHERE id = (SELECT min(item_id) FROM orders WHERE item_id > 3);

SELECT id FROM items WHERE id IN (SELECT item_id FROM orders ORDER BY amount DESC, id LIMIT 5) ORDER BY id;

SELECT count(*) FROM items WHERE id IN (SELECT item_id FROM orders) AND id NOT IN (SELECT item_id FROM notes);

SELECT (SELECT count(*) FROM items i WHERE i.owner = u.id) + (SELECT count(*) FROM orders o WHERE o.user_id = u.id) AS things FROM users u ORDER BY u.id LIMIT 8;

SELECT u.id FROM users u WHERE u.karma = (SELECT max(v.karma) FROM users v WHERE v.region = u.region) ORDER BY u.id;

SELECT id FROM users u WHERE EXISTS (SELECT 1 FROM orders o JOIN items i ON i.id = o.item_id WHERE o.user_id = u.id AND i.stock = 63) ORDER BY id;

SELECT id FROM items ORDER BY (SELECT c.name FROM categories c WHERE c.id = items.category) DESC NULLS LAST, id LIMIT 6;

SELECT count(*) FROM items LIMIT (SELECT 1);

SELECT id FROM items ORDER BY id LIMIT (SELECT count(*) FROM categories);

SELECT (SELECT (SELECT max(id) FROM items WHERE stock < u.karma) FROM users u WHERE u.id = 1);

SELECT EXISTS (SELECT FROM items WHERE embedding IS NULL), NOT EXISTS (SELECT FROM items WHERE id > 1000);
