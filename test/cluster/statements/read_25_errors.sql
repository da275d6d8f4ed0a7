-- errors come as from one server

SELECT 1 / (stock - stock) FROM items WHERE id = 5;

SELECT 1 / (id - 50) FROM items ORDER BY id;

SELECT title::int FROM items WHERE id = 3;

SELECT id FROM items ORDER BY embedding <-> '[1,2,3]' LIMIT 5;

SELECT no_column FROM items;

SELECT * FROM no_table;

SELECT id FROM items WHERE title = 5;

SELECT (SELECT id FROM items WHERE id < 5);

SELECT id FROM items LIMIT -1;

BEGIN; SELECT 1 / (id - 50) FROM items; SELECT 1; ROLLBACK;

BEGIN; SAVEPOINT a; SELECT 1 / (id - 50) FROM items; ROLLBACK TO a; SELECT count(*) FROM items; COMMIT;

SELECT sum(id::int4 * 100000000) FROM items;

SELECT id FROM items WHERE embedding <-> made(1, 16)::vector < 'x';
