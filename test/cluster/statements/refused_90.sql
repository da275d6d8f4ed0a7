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
