-- what a group may read while it writes: equalities of outer joins, of MERGE
-- and of subqueries, and what is computed before

UPDATE users u SET karma = -1 WHERE (SELECT max(id) - 200 FROM orders) IN (SELECT o.id FROM orders o WHERE o.user_id = u.id) RETURNING u.id;

UPDATE users u SET karma = -2 WHERE (SELECT count(*) FROM orders) NOT IN (SELECT o.id FROM orders o WHERE o.user_id = u.id) RETURNING u.id;

UPDATE users u SET karma = -3 WHERE (SELECT min(id) FROM users) = ANY (SELECT c.id FROM categories c) RETURNING u.id;

UPDATE users u SET karma = -4 WHERE (u.id, (SELECT max(item_id) FROM orders)) IN (SELECT o.user_id, o.item_id FROM orders o) RETURNING u.id;

UPDATE users u SET karma = -5 WHERE (u.id, 3) NOT IN (SELECT o.user_id, o.id FROM orders o) AND u.id < 9 RETURNING u.id;

UPDATE users u SET karma = karma + 1 FROM orders o LEFT JOIN orders p ON p.user_id = o.user_id AND p.id = o.id + 37 LEFT JOIN users v ON v.id = p.user_id AND v.region = 'north' WHERE u.id = o.user_id AND o.id < 20 RETURNING u.id, o.id, p.id, v.region;

UPDATE users u SET karma = karma + 1 FROM orders o LEFT JOIN LATERAL (SELECT p.id FROM orders p WHERE p.user_id = o.user_id AND p.id > o.id AND p.id < o.id + 40) s ON true WHERE u.id = o.user_id AND o.id < 20 RETURNING u.id, o.id, s.id;

UPDATE users u SET karma = karma + 1 FROM orders o RIGHT JOIN users v ON v.id = o.user_id AND o.id < 10 WHERE u.id = v.id RETURNING u.id, o.id;

UPDATE users u SET karma = karma + 2 FROM orders o FULL JOIN orders p ON p.user_id = o.user_id AND p.id = o.id + 37 WHERE u.id = o.user_id AND o.id < 20 RETURNING u.id, o.id, p.id;

UPDATE users u SET karma = karma + 3 FROM orders o LEFT JOIN categories c ON c.id = o.user_id WHERE u.id = o.user_id AND o.id < 20 RETURNING u.id, c.name;

DELETE FROM orders o USING users u LEFT JOIN users v ON v.id = u.id AND v.region = 'north' WHERE o.user_id = u.id AND v.id IS NULL AND o.id > 200 RETURNING o.user_id, o.id;

DELETE FROM orders o WHERE o.user_id NOT IN (SELECT u.id FROM users u WHERE u.region = 'south' OR u.karma > 300) AND o.id BETWEEN 100 AND 120 RETURNING o.id;

DELETE FROM orders o WHERE o.item_id NOT IN (SELECT i.owner FROM items i) RETURNING o.id;

DELETE FROM orders o WHERE o.id < 30 AND NOT EXISTS (SELECT FROM users u LEFT JOIN orders p ON p.user_id = u.id AND p.id > 230 WHERE u.id = o.user_id AND p.id IS NOT NULL) RETURNING o.id;

UPDATE users u SET karma = karma + 1 FROM users a LEFT JOIN orders b ON a.id = b.user_id AND b.id = 3 WHERE u.id = a.id AND b.user_id NOT IN (SELECT o.user_id FROM orders o WHERE o.id = 4) RETURNING u.id;

MERGE INTO orders t USING users s ON t.user_id = s.id AND t.user_id = s.karma WHEN NOT MATCHED AND s.karma > 0 THEN INSERT (user_id, id, amount) VALUES (s.karma, 5000 + s.id, 1);

MERGE INTO orders t USING orders s ON t.user_id = s.user_id AND t.id = s.id + 1000 WHEN NOT MATCHED AND s.id < 15 THEN INSERT (user_id, id, amount) VALUES (s.user_id, s.id + 1000, s.amount) WHEN MATCHED THEN UPDATE SET note = 'matched';

MERGE INTO orders t USING orders s ON t.user_id = s.user_id AND t.id = s.id + 1000 WHEN NOT MATCHED AND s.id < 25 THEN INSERT (user_id, id, amount) VALUES (s.user_id, s.id + 1000, (SELECT 1 + count(*) FROM orders o WHERE o.user_id = s.user_id)) WHEN MATCHED THEN UPDATE SET note = 'matched';

MERGE INTO users u USING orders o ON u.id = o.user_id AND o.id = 40 WHEN MATCHED AND (SELECT max(id) FROM users) > (SELECT 3) THEN UPDATE SET karma = (SELECT count(*) FROM orders p WHERE p.user_id = u.id) WHEN NOT MATCHED THEN DO NOTHING;

WITH r AS MATERIALIZED (SELECT id, name FROM categories WHERE parent = 1) UPDATE users u SET name = r.name FROM r WHERE r.id = u.id RETURNING u.id, u.name;

WITH r AS (SELECT id FROM categories ORDER BY id OFFSET 3) UPDATE users u SET karma = 0 FROM r WHERE r.id = u.id RETURNING u.id;

UPDATE users u SET karma = 9 FROM (SELECT DISTINCT ON (parent) parent, id FROM categories ORDER BY parent, id) c WHERE c.id = u.id RETURNING u.id;

UPDATE users u SET karma = 8 WHERE u.id IN (SELECT id FROM categories ORDER BY id OFFSET 2 ROWS) RETURNING u.id;

UPDATE users u SET karma = 7 WHERE EXISTS (SELECT FROM categories c WHERE c.id = u.id LIMIT 1) RETURNING u.id;

UPDATE items i SET stock = stock + 1 WHERE tableoid = 'items'::regclass AND id < 10 RETURNING id, tableoid::regclass;

UPDATE items i SET title = i.tableoid::regclass || ' ' || c.tableoid::regclass FROM categories c WHERE c.id = i.category AND i.id < 30 RETURNING i.id, i.title;

DELETE FROM items WHERE id IN (41, 42, 43, 44) AND tableoid = 'items'::regclass RETURNING id, tableoid::regclass;

UPDATE users SET karma = 11 WHERE id = 4 AND tableoid = 'users'::regclass RETURNING tableoid::regclass, karma;

UPDATE users SET karma = 11 WHERE id = 5 AND tableoid = 'users'::regclass RETURNING tableoid::regclass, karma;

UPDATE users SET karma = 11 WHERE id = 6 AND tableoid = 'users'::regclass RETURNING tableoid::regclass, karma;

UPDATE users u SET karma = karma + 1 FROM orders o LEFT JOIN users v ON v.id = o.user_id AND v.region = 'north' WHERE u.id = o.user_id AND o.id < 10 RETURNING u.id, o.tableoid::regclass, v.tableoid::regclass;

UPDATE users u SET karma = karma + 1 FROM orders o LEFT JOIN users v ON v.id = o.user_id AND v.region = 'north' WHERE u.id = o.user_id AND o.id < 10 AND (v.tableoid = 'users'::regclass OR o.tableoid = ANY (ARRAY['orders'::regclass, 'items'::regclass])) RETURNING u.id;

INSERT INTO words (word, uses) VALUES ('w1', 1), ('zz', 3) ON CONFLICT (word) DO UPDATE SET uses = 3 WHERE words.tableoid = 'words'::regclass RETURNING word, tableoid::regclass;

CREATE TEMP TABLE own (id int, note text); INSERT INTO own SELECT g FROM generate_series(1, 10) g; UPDATE own SET note = i.tableoid::regclass FROM items i WHERE i.id = own.id; SELECT * FROM own ORDER BY id;

UPDATE own SET note = o.tableoid::regclass FROM items i LEFT JOIN orders o ON o.item_id = i.id AND o.id < 100 WHERE i.id = own.id; SELECT * FROM own ORDER BY id;

UPDATE own SET note = i::text FROM items i WHERE i.id = own.id AND i.id < 3; SELECT * FROM own ORDER BY id;

DELETE FROM own USING items i WHERE i.id = own.id AND i.tableoid = 'items'::regclass AND i.id < 5; SELECT id FROM own ORDER BY id;

DROP TABLE own;

SELECT * FROM items ORDER BY id;

SELECT * FROM users ORDER BY id;

SELECT * FROM orders ORDER BY user_id, id;
