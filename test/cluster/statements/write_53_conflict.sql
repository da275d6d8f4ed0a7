-- ON CONFLICT

INSERT INTO words (word, uses) VALUES ('w1', 1) ON CONFLICT DO NOTHING;

INSERT INTO words (word, uses) VALUES ('w1', 1) ON CONFLICT (word) DO NOTHING RETURNING *;

INSERT INTO words (word, uses) VALUES ('w1', 1), ('y1', 1), ('w2', 1), ('y2', 1) ON CONFLICT DO NOTHING RETURNING word;

INSERT INTO words (word, uses) VALUES ('w1', 10) ON CONFLICT (word) DO UPDATE SET uses = words.uses + excluded.uses RETURNING *;

INSERT INTO words (word, uses) VALUES ('w3', 10), ('y3', 10), ('w4', 10), ('w5', 5), ('y4', 1) ON CONFLICT (word) DO UPDATE SET uses = words.uses + excluded.uses;

INSERT INTO words (word, uses) VALUES ('w6', 1), ('y5', 1) ON CONFLICT (word) DO UPDATE SET uses = 0 WHERE words.uses > 1000 RETURNING *;

INSERT INTO words (word, uses) VALUES ('w7', 1) ON CONFLICT ON CONSTRAINT words_pkey DO UPDATE SET first_seen = '2030-01-01' RETURNING *;

INSERT INTO words AS t (word, uses) VALUES ('w8', 3) ON CONFLICT (word) DO UPDATE SET uses = t.uses * 2 + excluded.uses RETURNING t.uses;

INSERT INTO words (word, uses) SELECT 'w' || g, 1 FROM generate_series(45, 60) g ON CONFLICT (word) DO UPDATE SET uses = -1;

INSERT INTO words (word, uses) SELECT word, 1000 FROM words WHERE uses < 3 ON CONFLICT (word) DO UPDATE SET uses = excluded.uses;

INSERT INTO words (word, uses) VALUES ('twice', 1), ('twice', 2) ON CONFLICT (word) DO UPDATE SET uses = excluded.uses;

INSERT INTO words (word, uses) VALUES ('twice', 1), ('twice', 2) ON CONFLICT (word) DO NOTHING;

INSERT INTO items (id, title, embedding) VALUES (5, 'other', made(5, 16)) ON CONFLICT (id) DO UPDATE SET title = excluded.title, embedding = excluded.embedding RETURNING id, title;

INSERT INTO orders (user_id, id, amount) VALUES (2, 1, 10), (3, 2, 11), (40, 3, 12) ON CONFLICT (user_id, id) DO UPDATE SET amount = excluded.amount RETURNING *;

INSERT INTO categories VALUES (1, 'first'), (99, 'last') ON CONFLICT (id) DO UPDATE SET name = excluded.name RETURNING *;

PREPARE ups (text, bigint) AS INSERT INTO words (word, uses) VALUES ($1, $2) ON CONFLICT (word) DO UPDATE SET uses = words.uses + $2 RETURNING uses; EXECUTE ups ('p', 1); EXECUTE ups ('p', 2); EXECUTE ups ('q', 3); EXECUTE ups ('p', 4); EXECUTE ups ('q', 5); EXECUTE ups ('p', 6); EXECUTE ups ('r', 7); DEALLOCATE ups;

INSERT INTO words (word, uses) VALUES ('w1', NULL) ON CONFLICT (word) DO UPDATE SET uses = excluded.uses;

INSERT INTO words (word, uses) VALUES ('w1', 1) ON CONFLICT (uses) DO NOTHING;

SELECT * FROM words ORDER BY word;

SELECT id, title FROM items WHERE id = 5;

SELECT * FROM orders WHERE id < 4 ORDER BY user_id, id;

SELECT * FROM categories ORDER BY id;
