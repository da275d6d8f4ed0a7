-- MERGE

MERGE INTO words w USING (VALUES ('w1', 5), ('m1', 6), ('w2', 7)) AS s (word, uses) ON w.word = s.word WHEN MATCHED THEN UPDATE SET uses = w.uses + s.uses WHEN NOT MATCHED THEN INSERT (word, uses) VALUES (s.word, s.uses);

SELECT * FROM words WHERE word IN ('w1', 'w2', 'm1') ORDER BY word;

MERGE INTO users u USING orders o ON u.id = o.user_id AND o.id < 20 WHEN MATCHED AND o.amount > 40 THEN UPDATE SET karma = u.karma + 1 WHEN MATCHED THEN DO NOTHING;

SELECT id, karma FROM users ORDER BY id;

MERGE INTO items i USING categories c ON i.category = c.id AND c.id = 4 WHEN MATCHED AND i.stock < 20 THEN DELETE WHEN MATCHED THEN UPDATE SET title = c.name;

SELECT id, title FROM items WHERE category = 4 ORDER BY id;

MERGE INTO words w USING (SELECT 'w5' AS word) s ON w.word = s.word AND w.word = 'w5' WHEN MATCHED THEN DELETE;

SELECT count(*) FROM words;
