-- joins: of the same colocation, with reference tables, and all others

SELECT u.name, o.id FROM users u JOIN orders o ON o.user_id = u.id WHERE o.amount > 70 ORDER BY o.id;

SELECT u.id, count(o.id) FROM users u LEFT JOIN orders o ON o.user_id = u.id GROUP BY u.id ORDER BY u.id;

SELECT u.id FROM users u LEFT JOIN orders o ON o.user_id = u.id WHERE o.id IS NULL ORDER BY u.id;

SELECT u.id, o.id FROM orders o RIGHT JOIN users u ON o.user_id = u.id AND o.amount > 75 ORDER BY u.id, o.id;

SELECT u.id, o.id FROM orders o FULL JOIN users u ON o.user_id = u.id AND o.id < 20 WHERE u.id < 15 ORDER BY u.id, o.id;

SELECT i.id, c.name FROM items i JOIN categories c ON c.id = i.category WHERE i.stock > 58 ORDER BY i.id;

SELECT i.id, c.name FROM items i LEFT JOIN categories c ON c.id = i.category WHERE i.id < 30 ORDER BY i.id;

SELECT c.id, count(i.id) FROM categories c LEFT JOIN items i ON i.category = c.id AND i.stock > 60 GROUP BY c.id ORDER BY c.id;

SELECT c.name, i.id FROM items i RIGHT JOIN categories c ON c.id = i.category AND i.price > 95 ORDER BY c.id, i.id;

SELECT c.id, i.id FROM items i FULL JOIN categories c ON c.id = i.category + 3 WHERE i.id < 20 OR i.id IS NULL ORDER BY i.id, c.id;

SELECT c.name, p.name AS parent FROM categories c LEFT JOIN categories p ON p.id = c.parent ORDER BY c.id;

SELECT i.id, c.name, p.name FROM items i JOIN categories c ON c.id = i.category LEFT JOIN categories p ON p.id = c.parent WHERE i.id < 25 ORDER BY i.id;

SELECT o.id, i.title FROM orders o JOIN items i ON i.id = o.item_id WHERE o.user_id < 4 ORDER BY o.id;

SELECT count(*) FROM orders o JOIN items i ON i.id = o.item_id;

SELECT u.name, i.id FROM users u JOIN items i ON i.owner = u.id WHERE i.stock < 4 ORDER BY i.id;

SELECT u.id, count(i.id) FROM users u LEFT JOIN items i ON i.owner = u.id AND i.price < 20 GROUP BY u.id ORDER BY u.id;

SELECT u.name, o.id, i.title, c.name FROM users u JOIN orders o ON o.user_id = u.id JOIN items i ON i.id = o.item_id JOIN categories c ON c.id = i.category WHERE u.region = 'north' AND i.stock > 40 ORDER BY o.id;

SELECT count(*) FROM items a JOIN items b ON a.stock = b.stock AND a.id < b.id;

SELECT a.id, b.id FROM items a JOIN items b ON b.id = a.id + 100 WHERE a.id < 10 ORDER BY a.id;

SELECT a.id, b.title FROM items a JOIN items b USING (id) WHERE a.id < 10 ORDER BY a.id;

SELECT count(*) FROM users NATURAL JOIN (SELECT id, 1 AS one FROM orders) o;

SELECT count(*) FROM users CROSS JOIN categories;

SELECT count(*) FROM users u, orders o WHERE u.id = o.user_id AND u.karma > o.amount * 5;

SELECT u.id, o.id FROM users u JOIN orders o ON o.user_id = u.id AND o.amount < u.karma / 40.0 ORDER BY o.id, u.id;

SELECT count(*) FROM users u JOIN orders o ON u.karma > o.id;

SELECT v.x, i.title FROM (VALUES (1, 5::bigint), (2, 50), (3, 500)) v (x, item) LEFT JOIN items i ON i.id = v.item ORDER BY v.x;

SELECT i.id, g FROM items i JOIN generate_series(1, 3) g ON i.stock = g ORDER BY i.id, g;

SELECT i.id FROM items i JOIN unnest(ARRAY[5, 15, 25]::bigint[]) WITH ORDINALITY AS w (id, place) ON w.id = i.id ORDER BY w.place DESC;

SELECT u.id FROM users u WHERE u.id IN (SELECT user_id FROM orders WHERE amount > 78) ORDER BY u.id;

SELECT o1.user_id, o1.id, o2.id FROM orders o1 JOIN orders o2 ON o1.user_id = o2.user_id AND o1.id < o2.id WHERE o1.user_id = 3 ORDER BY 2, 3;

SELECT count(*) FROM orders o1 JOIN orders o2 ON o1.user_id = o2.user_id AND o1.note = o2.note AND o1.id < o2.id;

SELECT count(*) FROM orders o1 JOIN orders o2 ON o1.id = o2.id;

SELECT u.region, c.name, count(*) FROM users u JOIN items i ON i.owner = u.id JOIN categories c ON c.id = i.category GROUP BY u.region, c.name ORDER BY 1, 2;

SELECT n.body, i.id FROM notes n JOIN items i ON i.id = n.item_id WHERE i.id < 120 ORDER BY n.id;

SELECT w.word, i.id FROM words w JOIN items i ON i.stock = w.uses AND i.id < 20 ORDER BY w.word, i.id;

SELECT s.user_id, u.name, s.total FROM (SELECT user_id, sum(amount) AS total FROM orders GROUP BY user_id) s JOIN users u ON u.id = s.user_id WHERE s.total > 200 ORDER BY s.total DESC, u.id;

SELECT u.id, x.order_id FROM users u LEFT JOIN (orders o JOIN items i ON i.id = o.item_id AND i.stock < 10) x (user_id, order_id) ON x.user_id = u.id WHERE u.id < 12 ORDER BY u.id, x.order_id;

SELECT a.id, b.id FROM users a JOIN users b ON b.region = a.region AND b.karma > a.karma + 700 ORDER BY a.id, b.id;

SELECT a.region, b.region FROM users a JOIN users b ON b.region IS NOT DISTINCT FROM a.region AND b.id = a.id + 4 WHERE a.id < 6 ORDER BY a.id;

SELECT i.id, round((i.embedding <-> u.taste)::numeric, 4) FROM items i JOIN users u ON u.id = i.owner WHERE u.id = 7 ORDER BY i.id;
