-- transactions and savepoints

BEGIN; INSERT INTO users (id, name) VALUES (101, 'a'), (102, 'b'), (103, 'c'), (104, 'd'); ROLLBACK; SELECT count(*) FROM users;

BEGIN; INSERT INTO users (id, name) VALUES (101, 'a'), (102, 'b'), (103, 'c'), (104, 'd'); COMMIT; SELECT count(*) FROM users;

BEGIN; INSERT INTO users (id, name) VALUES (105, 'e'); SELECT name FROM users WHERE id = 105; UPDATE users SET name = 'E' WHERE id = 105; SELECT name FROM users WHERE id = 105; DELETE FROM users WHERE id = 105; SELECT count(*) FROM users WHERE id = 105; COMMIT;

BEGIN; UPDATE items SET stock = -5; SELECT sum(stock) FROM items; ROLLBACK; SELECT sum(stock) FROM items;

BEGIN; UPDATE items SET stock = -5 WHERE id < 20; SAVEPOINT a; UPDATE items SET stock = -7 WHERE id < 10; SELECT sum(stock) FROM items; ROLLBACK TO a; SELECT sum(stock) FROM items; COMMIT; SELECT sum(stock) FROM items;

BEGIN; SAVEPOINT a; INSERT INTO users (id, name) VALUES (110, 'x'); SAVEPOINT b; INSERT INTO users (id, name) VALUES (111, 'y'); ROLLBACK TO b; INSERT INTO users (id, name) VALUES (112, 'z'); RELEASE a; COMMIT; SELECT id FROM users WHERE id BETWEEN 110 AND 112 ORDER BY id;

BEGIN; SAVEPOINT a; INSERT INTO users (id, name) VALUES (120, 'x'); SAVEPOINT b; INSERT INTO users (id, name) VALUES (121, 'y'); ROLLBACK TO a; INSERT INTO users (id, name) VALUES (122, 'z'); COMMIT; SELECT id FROM users WHERE id BETWEEN 120 AND 122 ORDER BY id;

BEGIN; INSERT INTO users (id, name) VALUES (130, 'x'); SAVEPOINT a; INSERT INTO users (id, name) VALUES (101, 'double'); ROLLBACK TO a; INSERT INTO users (id, name) VALUES (131, 'y'); COMMIT; SELECT id FROM users WHERE id BETWEEN 130 AND 131 ORDER BY id;

BEGIN; INSERT INTO users (id, name) VALUES (140, 'x'); INSERT INTO users (id, name) VALUES (101, 'double'); INSERT INTO users (id, name) VALUES (141, 'y'); COMMIT; SELECT id FROM users WHERE id BETWEEN 140 AND 141 ORDER BY id;

BEGIN; SAVEPOINT a; SELECT count(*) FROM items; RELEASE a; SAVEPOINT a; UPDATE items SET stock = 1 WHERE id = 1; RELEASE a; SAVEPOINT a; UPDATE items SET stock = 2 WHERE id = 2; ROLLBACK TO a; COMMIT; SELECT id, stock FROM items WHERE id < 3 ORDER BY id;

BEGIN; SAVEPOINT a; SAVEPOINT a; UPDATE items SET stock = 11 WHERE id = 3; ROLLBACK TO a; UPDATE items SET stock = 12 WHERE id = 4; RELEASE a; RELEASE a; COMMIT; SELECT id, stock FROM items WHERE id IN (3, 4) ORDER BY id;

DO $$ BEGIN INSERT INTO users (id, name) VALUES (150, 'x'); BEGIN INSERT INTO users (id, name) VALUES (101, 'double'); EXCEPTION WHEN unique_violation THEN RAISE NOTICE 'double'; END; INSERT INTO users (id, name) VALUES (151, 'y'); END $$; SELECT id FROM users WHERE id BETWEEN 150 AND 151 ORDER BY id;

DO $$ BEGIN FOR k IN 160..163 LOOP INSERT INTO users (id, name) VALUES (k, 'x'); IF k % 2 = 0 THEN COMMIT; ELSE ROLLBACK; END IF; END LOOP; END $$; SELECT id FROM users WHERE id BETWEEN 160 AND 163 ORDER BY id;

BEGIN; SELECT id, stock FROM items WHERE id = 9 FOR UPDATE; UPDATE items SET stock = 77 WHERE id = 9; COMMIT; SELECT stock FROM items WHERE id = 9;

BEGIN; SELECT id FROM items WHERE category = 2 AND id < 40 ORDER BY id FOR UPDATE; ROLLBACK;

BEGIN; SELECT id FROM items WHERE id = 9 FOR SHARE; SELECT id FROM items WHERE id = 10 FOR NO KEY UPDATE SKIP LOCKED; COMMIT;

BEGIN ISOLATION LEVEL REPEATABLE READ; INSERT INTO users (id, name) VALUES (170, 'r'); SELECT count(*) FROM users; COMMIT;

BEGIN ISOLATION LEVEL SERIALIZABLE; INSERT INTO users (id, name) VALUES (171, 's'); SELECT count(*) FROM users; COMMIT;

BEGIN READ ONLY; SELECT count(*) FROM users; INSERT INTO users (id, name) VALUES (172, 'ro'); ROLLBACK;

BEGIN; INSERT INTO categories VALUES (50, 'tx'); INSERT INTO users (id, name) VALUES (180, 'tx'); SELECT name FROM categories WHERE id = 50; ROLLBACK; SELECT count(*) FROM categories;

BEGIN; DELETE FROM orders; INSERT INTO orders (user_id, id, amount) SELECT g, g, g FROM generate_series(1, 30) g; SELECT sum(amount), count(*) FROM orders; COMMIT AND CHAIN; UPDATE orders SET amount = amount + 1; ROLLBACK; SELECT sum(amount) FROM orders;

SELECT * FROM users ORDER BY id;

SELECT * FROM orders ORDER BY user_id, id;
