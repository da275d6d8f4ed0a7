-- UPDATE

UPDATE items SET stock = stock + 1 WHERE id = 5;

UPDATE items SET stock = stock + 1 WHERE id = 6 RETURNING id, stock;

UPDATE items SET stock = 0 WHERE id = 100000;

UPDATE items SET stock = stock * 2 WHERE category = 3;

UPDATE items SET price = price * 1.1, title = upper(title) WHERE stock < 10 RETURNING id, price, title;

UPDATE items SET (stock, price) = (1, 2.5) WHERE id IN (7, 8, 9) RETURNING *;

UPDATE items SET (stock, price) = (SELECT 3, 4.5) WHERE id = 10 RETURNING stock, price;

UPDATE items SET tags = array_append(tags, 'new') WHERE id < 20;

UPDATE items SET attrs = jsonb_set(attrs, '{size}', '99') WHERE attrs ? 'size' AND id < 40;

UPDATE items SET embedding = made(id + 70000, 16)::vector WHERE id % 10 = 1;

SELECT id FROM items ORDER BY embedding <-> made(70011, 16)::vector LIMIT 3;

UPDATE items SET title = NULL WHERE id = 12;

UPDATE items SET title = DEFAULT, stock = DEFAULT WHERE id = 13 RETURNING id, title, stock;

UPDATE items SET created = '2025-01-01 00:00+00' WHERE created < '2024-01-04 00:00+00';

UPDATE users SET karma = karma + 1;

UPDATE users SET karma = 0 WHERE region IS NULL RETURNING id;

UPDATE users u SET karma = (SELECT count(*) FROM orders o WHERE o.user_id = u.id) WHERE id < 10;

UPDATE users u SET karma = u.karma + o.amount::int FROM orders o WHERE o.user_id = u.id AND o.id = 77;

UPDATE orders o SET note = u.name FROM users u WHERE u.id = o.user_id AND u.region = 'north' RETURNING o.id, o.note;

UPDATE items i SET title = c.name FROM categories c WHERE c.id = i.category AND i.id BETWEEN 50 AND 60 RETURNING i.id, i.title, c.id;

UPDATE orders SET note = 'big' WHERE amount > (SELECT avg(amount) FROM orders);

UPDATE items SET stock = 7 WHERE id IN (SELECT item_id FROM orders WHERE user_id = 2);

UPDATE users SET karma = 5 WHERE EXISTS (SELECT 1 FROM orders WHERE orders.user_id = users.id AND orders.amount > 75);

WITH top AS (SELECT id FROM items ORDER BY price DESC NULLS LAST, id LIMIT 3) UPDATE items SET stock = -1 FROM top WHERE items.id = top.id RETURNING items.id;

UPDATE categories SET name = name || '!' WHERE id < 4;

UPDATE categories SET name = 'renamed' WHERE id = 5 RETURNING *;

UPDATE words SET uses = uses + 1 WHERE word = 'w3' RETURNING uses;

UPDATE words SET word = word WHERE word = 'w4';

PREPARE up (bigint, int) AS UPDATE items SET stock = $2 WHERE id = $1 RETURNING id, stock; EXECUTE up (1, 1); EXECUTE up (2, 2); EXECUTE up (3, 3); EXECUTE up (4, 4); EXECUTE up (5, 5); EXECUTE up (6, 6); EXECUTE up (7, NULL); DEALLOCATE up;

PREPARE upall (int) AS UPDATE items SET stock = stock + $1 WHERE category = $1; EXECUTE upall (1); EXECUTE upall (2); EXECUTE upall (3); EXECUTE upall (4); EXECUTE upall (5); EXECUTE upall (6); EXECUTE upall (7); DEALLOCATE upall;

UPDATE items SET stock = stock / (stock - stock) WHERE id = 4;

UPDATE orders SET amount = -amount;

UPDATE users SET name = NULL WHERE id = 3;

UPDATE items SET no_column = 1;

SELECT * FROM items ORDER BY id;

SELECT * FROM users ORDER BY id;

SELECT * FROM orders ORDER BY id;

SELECT * FROM words ORDER BY word;

SELECT * FROM categories ORDER BY id;
