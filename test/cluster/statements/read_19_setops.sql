-- UNION, INTERSECT, EXCEPT

SELECT id FROM items WHERE stock > 60 UNION SELECT id FROM items WHERE price > 95 ORDER BY id;

SELECT id FROM items WHERE stock > 60 UNION ALL SELECT id FROM items WHERE price > 95 ORDER BY id;

SELECT id FROM items WHERE stock > 40 INTERSECT SELECT id FROM items WHERE price > 60 ORDER BY id;

SELECT id FROM items WHERE stock > 40 EXCEPT SELECT id FROM items WHERE price > 20 ORDER BY id;

SELECT stock FROM items WHERE id < 100 EXCEPT ALL SELECT stock FROM items WHERE id BETWEEN 50 AND 80 ORDER BY 1;

SELECT stock FROM items WHERE id < 100 INTERSECT ALL SELECT stock FROM items WHERE id >= 100 ORDER BY 1;

SELECT id::bigint FROM users UNION SELECT item_id FROM orders ORDER BY 1 LIMIT 20;

SELECT name FROM categories UNION ALL SELECT name FROM users ORDER BY 1;

SELECT 1 AS n UNION ALL SELECT id FROM items WHERE id < 4 ORDER BY n;

SELECT count(*) FROM (SELECT owner FROM items UNION SELECT user_id FROM orders) s;

(SELECT id FROM items ORDER BY price DESC NULLS LAST, id LIMIT 3) UNION ALL (SELECT id FROM items ORDER BY price, id LIMIT 3);

SELECT 'user' AS kind, count(*) FROM users UNION ALL SELECT 'order', count(*) FROM orders UNION ALL SELECT 'item', count(*) FROM items ORDER BY kind;

SELECT id FROM users EXCEPT SELECT user_id FROM orders ORDER BY id;

SELECT user_id FROM orders INTERSECT SELECT owner FROM items WHERE stock < 5 ORDER BY 1;

SELECT u.id, s.n FROM users u JOIN (SELECT user_id, 1 AS n FROM orders WHERE amount > 70 UNION SELECT owner, 2 FROM items WHERE stock > 60) s ON s.user_id = u.id ORDER BY 1, 2;

VALUES (1), (2) UNION SELECT stock FROM items WHERE id < 5 ORDER BY 1;
