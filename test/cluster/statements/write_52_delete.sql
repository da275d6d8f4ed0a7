-- DELETE and TRUNCATE

DELETE FROM items WHERE id = 5;

DELETE FROM items WHERE id = 5;

DELETE FROM items WHERE id = 6 RETURNING *;

DELETE FROM items WHERE id IN (7, 8, 9, 10) RETURNING id;

DELETE FROM items WHERE stock < 5;

DELETE FROM items WHERE price > 95 RETURNING id, price;

DELETE FROM items WHERE tags @> ARRAY['t1', 't4'];

SELECT id FROM items ORDER BY embedding <-> made(8, 16)::vector LIMIT 5;

DELETE FROM orders WHERE user_id = 4;

DELETE FROM orders o USING users u WHERE u.id = o.user_id AND u.region = 'south' AND o.amount < 20;

DELETE FROM orders WHERE NOT EXISTS (SELECT 1 FROM users u WHERE u.id = orders.user_id AND u.karma > 100);

DELETE FROM items i USING categories c WHERE c.id = i.category AND c.name = 'category 2' RETURNING i.id;

DELETE FROM items WHERE id IN (SELECT item_id FROM orders WHERE amount > 70);

DELETE FROM users WHERE id NOT IN (SELECT user_id FROM orders) RETURNING id;

DELETE FROM categories WHERE id = 8 RETURNING name;

DELETE FROM categories WHERE parent = 2;

DELETE FROM notes WHERE id = md5('note3')::uuid RETURNING body;

PREPARE del (bigint) AS DELETE FROM items WHERE id = $1 RETURNING id; EXECUTE del (101); EXECUTE del (102); EXECUTE del (103); EXECUTE del (104); EXECUTE del (105); EXECUTE del (106); EXECUTE del (NULL); DEALLOCATE del;

DELETE FROM items WHERE 1 / (id - 200) > 0;

SELECT * FROM items ORDER BY id;

SELECT * FROM orders ORDER BY id;

SELECT * FROM users ORDER BY id;

SELECT * FROM words ORDER BY word;

SELECT * FROM categories ORDER BY id;

BEGIN; TRUNCATE notes; SELECT count(*) FROM notes; ROLLBACK; SELECT count(*) FROM notes;

TRUNCATE notes, words;

SELECT count(*) FROM notes;

DELETE FROM items;

SELECT count(*) FROM items;

DELETE FROM categories;

SELECT count(*) FROM categories;
