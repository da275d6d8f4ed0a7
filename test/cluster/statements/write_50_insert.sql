-- INSERT in its forms

INSERT INTO users (id, name, region, karma) VALUES (101, 'one', 'west', 5);

INSERT INTO users (id, name) VALUES (102, 'two'), (103, 'three'), (104, 'four'), (105, 'five');

INSERT INTO users (id, name) VALUES (106, 'six'), (107, 'seven') RETURNING id, name, karma, joined;

INSERT INTO users VALUES (108, 'eight', DEFAULT, 3, DEFAULT, made(1, 16)) RETURNING *;

INSERT INTO users (id, name, karma) VALUES (109, 'nine', 4 * 5 + 1) RETURNING karma + 1 AS next, upper(name);

INSERT INTO users (name, id) SELECT 'user ' || g, g FROM generate_series(201, 230) g;

INSERT INTO users (id, name) SELECT id + 1000, name || '''s copy' FROM users WHERE id < 10;

INSERT INTO users (id, name) SELECT id + 2000, name FROM users WHERE id < 5 ORDER BY id RETURNING id, name;

INSERT INTO orders (user_id, id, item_id, amount) SELECT u.id, 1000 + u.id, i.id, 1.5 FROM users u JOIN items i ON i.id = u.id WHERE u.id < 20;

INSERT INTO orders (user_id, id, amount) SELECT user_id, id + 5000, amount + 1 FROM orders WHERE user_id = 3;

INSERT INTO orders (user_id, id, amount) SELECT user_id, id + 6000, amount FROM orders WHERE id < 100;

INSERT INTO users (id, name) SELECT p0::int, p1 FROM (VALUES (301, 'a', 0), (302, 'b', 1), (303, 'c', 2)) AS t (p0, p1, n) ORDER BY n RETURNING id;

WITH src AS (SELECT g AS id, 'cte ' || g AS name FROM generate_series(401, 410) g) INSERT INTO users (id, name) SELECT * FROM src RETURNING id;

INSERT INTO notes (id, body) VALUES (md5('new1')::uuid, 'a body'), (md5('new2')::uuid, NULL);

INSERT INTO words VALUES ('ünï', 7, '2024-05-05'), ('', 8, NULL), ('a b', 9, 'infinity') RETURNING *;

INSERT INTO items (id, title, embedding, small, tags, attrs) VALUES (1001, 'new', made(1001, 16), made(1, 8)::halfvec, '{a,NULL,"b c"}', '{"x": [1, 2]}') RETURNING *;

INSERT INTO items (id, embedding) SELECT g, made(g, 16)::vector FROM generate_series(1002, 1040) g;

SELECT id FROM items ORDER BY embedding <-> made(1010, 16)::vector LIMIT 3;

INSERT INTO categories VALUES (20, 'new category', 1);

INSERT INTO categories SELECT 30 + (random() < 2)::int, 'computed once' || (random() < 2)::text;

INSERT INTO categories SELECT g, 'more ' || g, 2 FROM generate_series(21, 25) g RETURNING id;

INSERT INTO users (id, name) SELECT 500 + id, name FROM categories;

INSERT INTO users (id, name) VALUES ((SELECT max(id) + 1 FROM users), 'last');

PREPARE ins (int, text) AS INSERT INTO users (id, name) VALUES ($1, $2) RETURNING id; EXECUTE ins (601, 'a'); EXECUTE ins (602, 'b'); EXECUTE ins (603, 'c'); EXECUTE ins (604, 'd'); EXECUTE ins (605, 'e'); EXECUTE ins (606, NULL); EXECUTE ins (607, 'g'); EXECUTE ins (608, 'h'); DEALLOCATE ins;

PREPARE vec (bigint, vector) AS INSERT INTO items (id, embedding) VALUES ($1, $2); EXECUTE vec (1101, made(1, 16)); EXECUTE vec (1102, made(2, 16)); EXECUTE vec (1103, made(3, 16)); EXECUTE vec (1104, made(4, 16)); EXECUTE vec (1105, NULL); EXECUTE vec (1106, made(6, 16)); EXECUTE vec (1107, made(7, 16)); DEALLOCATE vec;

DO $$ BEGIN FOR k IN 701..720 LOOP INSERT INTO users (id, name) VALUES (k, 'loop ' || k); END LOOP; END $$;

INSERT INTO users (id, name) SELECT 1, 'nobody' WHERE false;

INSERT INTO users (id, name) VALUES (101, 'again');

INSERT INTO users (id, name) VALUES (801, 'fine'), (102, 'not'), (803, 'fine');

INSERT INTO users (id) VALUES (804);

INSERT INTO users (id, name) VALUES (NULL, 'no key');

INSERT INTO orders (user_id, id, amount) VALUES (1, 9000, -5);

INSERT INTO items (id, embedding) VALUES (2000, '[1,2,3]');

INSERT INTO users (id, name, karma) VALUES (805, 'x', 'y');

INSERT INTO users (id, name) SELECT g, 'u' || g FROM generate_series(895, 905) g UNION ALL SELECT 101, 'double';

SELECT * FROM users ORDER BY id;

SELECT * FROM orders ORDER BY user_id, id;

SELECT * FROM items WHERE id > 900 ORDER BY id;

SELECT * FROM words ORDER BY word;

SELECT id, body FROM notes ORDER BY id;

SELECT * FROM categories ORDER BY id;
