-- system columns: tableoid everywhere, the others where one group is asked

SELECT u.id, o.tableoid::regclass FROM users u LEFT JOIN orders o ON o.user_id = u.id AND o.id < 20 WHERE u.id < 25 ORDER BY 1, 2;

SELECT u.tableoid::regclass, o.tableoid::regclass FROM users u LEFT JOIN orders o ON o.user_id = u.id AND o.id = 7 WHERE u.id = 7;

SELECT tableoid::regclass, id FROM users WHERE id IN (1, 2, 3, 4, 5) ORDER BY id;

SELECT tableoid = 'users'::regclass, tableoid::regclass, id FROM users WHERE id = 1 AND tableoid = 'users'::regclass;

SELECT tableoid = 'users'::regclass, tableoid::regclass, id FROM users WHERE id = 2 AND tableoid = 'users'::regclass;

SELECT tableoid = 'users'::regclass, tableoid::regclass, id FROM users WHERE id = 3 AND tableoid = 'users'::regclass;

SELECT tableoid = 'users'::regclass, tableoid::regclass, id FROM users WHERE id = 4 AND tableoid = 'users'::regclass;

SELECT tableoid = 'users'::regclass, tableoid::regclass, id FROM users WHERE id = 5 AND tableoid = 'users'::regclass;

SELECT tableoid = 'users'::regclass, tableoid::regclass, id FROM users WHERE id = 6 AND tableoid = 'users'::regclass;

SELECT tableoid::regclass::text FROM users WHERE id = 2 UNION ALL SELECT tableoid::regclass::text FROM orders WHERE user_id = 2;

SELECT tableoid::regclass::text FROM users WHERE id = 3 UNION ALL SELECT tableoid::regclass::text FROM orders WHERE user_id = 3;

SELECT tableoid::regclass::text FROM users WHERE id = 4 UNION ALL SELECT tableoid::regclass::text FROM orders WHERE user_id = 4;

SELECT xmin IS NOT NULL AS x, ctid IS NOT NULL AS c, id FROM items WHERE id = 5;

SELECT xmin IS NOT NULL AS x, ctid IS NOT NULL AS c, id FROM items WHERE id = 6;

SELECT xmin IS NOT NULL AS x, ctid IS NOT NULL AS c, id FROM items WHERE id = 8;

SELECT count(*) FROM users u JOIN orders o ON o.user_id = u.id WHERE o.tableoid IN ('orders'::regclass, 'items'::regclass) AND u.tableoid <> o.tableoid;

SELECT tableoid::regclass, count(*) FROM items GROUP BY tableoid;

SELECT i.tableoid::regclass, c.tableoid::regclass, i.id FROM items i LEFT JOIN categories c ON c.id = i.category WHERE i.id < 30 ORDER BY i.id;
