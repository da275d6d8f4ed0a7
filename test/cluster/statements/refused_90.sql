-- what a cluster refuses by design, with its message; each is rolled back

-- refused: cannot change column "id" of table "items", which is in its distribution key
UPDATE items SET id = id + 10000 WHERE id = 5;

-- refused: cannot change column "user_id" of table "orders", which is in its distribution key
UPDATE orders SET user_id = user_id + 1;

-- refused: cannot use volatile functions to change reference table "categories"
UPDATE categories SET name = gen_random_uuid()::text;

-- refused: subqueries in RETURNING are not supported for distributed tables
UPDATE items SET stock = 1 WHERE stock < 20 RETURNING id, (SELECT count(*) FROM categories);

-- refused: cannot write to distributed table "words" in a WITH clause
WITH new AS (INSERT INTO words (word, uses) VALUES ('x1', 1), ('x2', 2), ('x3', 3) RETURNING word, uses) SELECT count(*), sum(uses) FROM new;

-- refused: cannot write to distributed table "words" in a WITH clause
WITH changed AS (UPDATE words SET uses = uses + 100 WHERE uses < 5 RETURNING word) SELECT count(*) FROM changed;

-- refused: cannot write to distributed table "words" in a WITH clause
WITH gone AS (DELETE FROM words WHERE uses > 15 RETURNING *) INSERT INTO words SELECT 'old ' || word, uses, first_seen FROM gone RETURNING word;

-- refused: system columns of distributed tables are not available
SELECT ctid, xmin FROM items ORDER BY id;

-- refused: cannot lock rows of distributed table
SELECT u.id, o.id FROM users u JOIN orders o ON o.user_id = u.id FOR UPDATE;

-- refused: cannot write to distributed table "words" in a WITH clause
WITH up AS (INSERT INTO words (word, uses) VALUES ('w9', 1), ('new9', 2) ON CONFLICT (word) DO UPDATE SET uses = 90 RETURNING word, uses) SELECT * FROM up ORDER BY word;

-- refused: cannot write to distributed table "users" in a WITH clause
WITH a AS (INSERT INTO users (id, name) VALUES (190, 'w'), (191, 'w') RETURNING id) SELECT id FROM a ORDER BY id;

-- refused: cannot execute this statement on all groups
UPDATE users u SET karma = 1 FROM users a LEFT JOIN users b ON a.id = b.id AND a.id = a.karma WHERE u.id = a.karma;

-- refused: cannot execute this statement on all groups
UPDATE users u SET karma = 1 FROM users a LEFT JOIN LATERAL (SELECT FROM categories c WHERE a.id = a.karma) s ON true WHERE u.id = a.karma;

-- refused: cannot execute this statement on all groups
MERGE INTO orders t USING (SELECT a.id, a.karma FROM users a LEFT JOIN users b ON a.id = b.id AND a.id = a.karma) s ON t.user_id = s.id AND t.id = -1 WHEN NOT MATCHED THEN INSERT (user_id, id, amount) VALUES (s.karma, 5000 + s.id, 1);

-- refused: cannot execute this statement on all groups
WITH r AS (SELECT random() AS x) UPDATE users u SET karma = r.x FROM r WHERE u.id = (SELECT (x * 0)::int + 1 FROM r);

-- refused: cannot execute this subquery on all groups
UPDATE users u SET name = (SELECT c.name FROM categories c WHERE c.id > u.id OFFSET 2 FETCH FIRST 1 ROW ONLY);

-- refused: cannot execute this subquery on all groups
UPDATE users u SET name = (SELECT c.name FROM categories c WHERE c.id BETWEEN u.id AND u.id + 1 OFFSET 1);

-- refused: system columns of distributed tables are not available
UPDATE items SET stock = 1 WHERE ctid = '(0,1)';

-- refused: system columns of distributed tables are not available
DELETE FROM items WHERE stock > 30 AND xmin::text = '1';

-- refused: system columns of distributed tables are not available
CREATE TEMP TABLE own (id int); UPDATE own SET id = 1 FROM items i WHERE i.id = own.id AND i.ctid = '(0,1)';

-- refused: tableoid and whole rows of distributed table "items" cannot be used in one statement here
CREATE TEMP TABLE own (id int, note text); UPDATE own SET note = i.tableoid::text || i::text FROM items i WHERE i.id = own.id;

-- refused: cannot execute this subquery on all groups
UPDATE users u SET karma = coalesce((SELECT s.n FROM (SELECT o.user_id, count(*) AS n FROM orders o GROUP BY o.user_id) s WHERE s.user_id = u.id), -1) WHERE id < 0;

-- refused: cannot execute this statement on all groups
UPDATE items i SET stock = i.stock + 1 FROM users u WHERE u.id = i.owner AND u.region = 'nowhere';

-- refused: cannot execute this subquery on all groups
DELETE FROM orders WHERE (user_id, id) IN (SELECT user_id, max(id) FROM orders GROUP BY user_id) AND user_id < 6 RETURNING user_id, id;

-- refused: cannot execute this statement on all groups
WITH RECURSIVE t AS (SELECT id, 1 AS depth FROM categories WHERE parent IS NULL UNION ALL SELECT c.id, t.depth + 1 FROM categories c JOIN t ON c.parent = t.id) UPDATE users u SET karma = t.depth FROM t WHERE t.id = u.id RETURNING u.id, u.karma;
