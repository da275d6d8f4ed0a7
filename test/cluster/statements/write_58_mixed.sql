-- writes where a review found the planner weak, and writes through views

CREATE VIEW north AS SELECT id, name, karma, region FROM users WHERE region = 'north'; CREATE VIEW big AS SELECT * FROM orders WHERE amount > 40; CREATE VIEW both_of AS SELECT u.id, u.name, o.id AS o, o.amount FROM users u JOIN orders o ON o.user_id = u.id;

UPDATE north SET karma = karma + 1 RETURNING id, karma;

UPDATE north SET karma = 5 WHERE id = 4 RETURNING id;

UPDATE north SET karma = 6 WHERE id = 8 RETURNING id;

UPDATE north SET karma = 7 WHERE id = 12 RETURNING *;

UPDATE north n SET karma = (SELECT count(*) FROM big b WHERE b.user_id = n.id) RETURNING id, karma;

UPDATE north n SET name = b.note FROM big b WHERE b.user_id = n.id AND b.id > 200 RETURNING n.id, b.id;

DELETE FROM big WHERE id > 220 RETURNING user_id, id;

DELETE FROM big b USING north n WHERE n.id = b.user_id AND b.id < 50 RETURNING b.id, n.name;

DELETE FROM big WHERE user_id = 9 RETURNING id;

INSERT INTO north (id, name, karma) SELECT 200 + g, 'view ' || g, g FROM generate_series(1, 6) g RETURNING *;

INSERT INTO north (id, name, region) VALUES (210, 'n', 'north'), (211, 'n', 'north') ON CONFLICT (id) DO UPDATE SET name = excluded.name RETURNING id;

INSERT INTO north (id, name, region) VALUES (210, 'm', 'north') ON CONFLICT (id) DO UPDATE SET name = excluded.name RETURNING id, name;

SELECT * FROM both_of WHERE id < 4 ORDER BY 1, 3;

UPDATE both_of SET amount = 1;

MERGE INTO orders o USING both_of b ON o.user_id = b.id AND o.id = b.o WHEN MATCHED AND b.amount < 10 THEN UPDATE SET note = b.name;

DROP VIEW north, big, both_of;

UPDATE users SET (karma, region) = (SELECT count(*), max(note) FROM orders WHERE user_id = users.id) WHERE id < 12 RETURNING id, karma, region;

UPDATE users SET (karma, region) = (SELECT count(*), 'r' FROM categories WHERE id <= users.id), name = 'n' || id WHERE id BETWEEN 12 AND 20 RETURNING id, karma, region;

UPDATE users SET (karma, region) = ROW (karma + 1, DEFAULT) WHERE (id, karma) < (15, 100) RETURNING id, karma, region;

UPDATE users u SET karma = CASE WHEN u.id IN (SELECT o.user_id FROM orders o WHERE o.amount > 60) THEN 1 WHEN u.id NOT IN (SELECT o.user_id FROM orders o) THEN 2 ELSE 3 END RETURNING id, karma;

UPDATE users u SET karma = (SELECT sum(v.karma) FROM users v WHERE v.id = u.id) + (SELECT min(stock) FROM items) WHERE u.id < 30 RETURNING id, karma;

UPDATE users u SET karma = s.n FROM (SELECT user_id, count(*) AS n FROM orders GROUP BY user_id) s WHERE s.user_id = u.id RETURNING u.id, u.karma;

UPDATE users u SET karma = s.r FROM (SELECT id, rank() OVER (ORDER BY karma DESC, id) AS r FROM users) s WHERE s.id = u.id RETURNING u.id, u.karma;

UPDATE users u SET karma = s.id FROM (SELECT DISTINCT ON (user_id) user_id, id FROM orders ORDER BY user_id, amount DESC, id) s WHERE s.user_id = u.id RETURNING u.id, u.karma;

UPDATE orders o SET amount = o.amount + 1 FROM users u LEFT JOIN categories c ON c.id = u.id AND c.parent IS NOT NULL WHERE u.id = o.user_id AND (c.id IS NULL OR c.id > 4) AND o.id < 60 RETURNING o.user_id, o.id, c.name;

UPDATE orders o SET amount = o.amount + 1 FROM orders p WHERE p.user_id = o.user_id AND p.id = o.id + 37 AND o.amount < p.amount RETURNING o.user_id, o.id;

UPDATE items SET stock = DEFAULT, tags[1] = 'first', attrs = '{"a": 1}' WHERE id IN (60, 61, 62) RETURNING id, stock, tags, attrs;

UPDATE items SET stock = stock + 1 WHERE stock = (SELECT max(stock) FROM items WHERE stock < ALL (SELECT stock FROM items WHERE category = 3)) RETURNING id;

UPDATE words SET uses = uses + 1 WHERE word COLLATE "C" IN ('w1', 'w2', 'w3') RETURNING word;

UPDATE words w SET uses = v.n FROM (VALUES ('w5', 50), ('w6', 60), ('none', 1)) v (word, n) WHERE v.word = w.word RETURNING w.word, w.uses;

DELETE FROM words w USING unnest(ARRAY['w11', 'w12', NULL]) WITH ORDINALITY x (word, n) WHERE x.word = w.word RETURNING w.word, x.n;

DELETE FROM words WHERE (word, uses) IN (SELECT word, uses FROM words WHERE uses > 28) RETURNING word;

DELETE FROM words WHERE uses = (SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY uses) FROM words) RETURNING word;

DELETE FROM users u WHERE NOT EXISTS (SELECT FROM orders o WHERE o.user_id = u.id) AND u.id < 100 RETURNING id;

INSERT INTO users (id, name, karma) SELECT 300 + c.id, c.name, count(i.id) FROM categories c LEFT JOIN items i ON i.category = c.id GROUP BY c.id RETURNING id, name, karma;

INSERT INTO users (id, name, karma) SELECT 400 + row_number() OVER (ORDER BY user_id), 'w', sum(amount) FROM orders GROUP BY GROUPING SETS ((user_id), ()) ORDER BY 1 LIMIT 5 RETURNING id, karma;

WITH RECURSIVE t AS (SELECT id, parent, 1 AS depth FROM categories WHERE parent IS NULL UNION ALL SELECT c.id, c.parent, t.depth + 1 FROM categories c JOIN t ON c.parent = t.id) INSERT INTO users (id, name, karma) SELECT 500 + id, 'depth', depth FROM t RETURNING id, karma;

INSERT INTO words (word, uses) SELECT name, id FROM users EXCEPT SELECT name, karma FROM users ORDER BY 2 LIMIT 4 ON CONFLICT (word) DO UPDATE SET uses = (SELECT count(*) FROM categories c WHERE c.id < words.uses) RETURNING word, uses;

INSERT INTO words (word, uses) VALUES ('w1', 1), ('w20', 2), ('w30', 3) ON CONFLICT (word) DO UPDATE SET uses = (SELECT max(id) FROM users) + excluded.uses WHERE words.word <> ALL (SELECT word FROM words WHERE uses = 31) RETURNING word, uses;

INSERT INTO words (word, uses) VALUES ((SELECT max(name) FROM users), (SELECT count(*) FROM items)) RETURNING *;

MERGE INTO users u USING (SELECT v.id, o.amount FROM users v LEFT JOIN orders o ON o.user_id = v.id AND o.id < 20) s ON u.id = s.id WHEN MATCHED AND s.amount IS NULL THEN UPDATE SET karma = -1 WHEN MATCHED THEN UPDATE SET karma = s.amount;

MERGE INTO users u USING categories c ON u.id = c.id AND c.parent IS NOT NULL WHEN MATCHED AND EXISTS (SELECT FROM orders o WHERE o.user_id = u.id AND o.amount > 50) THEN UPDATE SET name = c.name WHEN MATCHED THEN DELETE;

MERGE INTO users u USING (SELECT id + 600 AS id, name FROM categories) s ON u.id = s.id WHEN MATCHED THEN UPDATE SET name = 'x' WHEN NOT MATCHED AND s.id > 602 THEN INSERT (id, name) VALUES (s.id, s.name) WHEN NOT MATCHED THEN DO NOTHING;

MERGE INTO words w USING (SELECT note AS word, count(*) AS n FROM orders GROUP BY note) s ON w.word = s.word WHEN NOT MATCHED AND s.word IS NOT NULL THEN INSERT VALUES (s.word, s.n, NULL) WHEN MATCHED THEN DO NOTHING;

PREPARE m (int) AS UPDATE users u SET karma = $1 FROM orders o LEFT JOIN users v ON v.id = o.user_id AND v.karma < $1 WHERE u.id = o.user_id AND o.id = $1 RETURNING u.id, v.id; EXECUTE m (21); EXECUTE m (22); EXECUTE m (23); EXECUTE m (24); EXECUTE m (25); EXECUTE m (26); EXECUTE m (27); DEALLOCATE m;

SELECT * FROM items ORDER BY id;

SELECT * FROM users ORDER BY id;

SELECT * FROM orders ORDER BY user_id, id;

SELECT * FROM words ORDER BY word COLLATE "C";
