-- filters and projections over all groups

SELECT count(*) FROM items;

SELECT * FROM items ORDER BY id;

SELECT id, price FROM items WHERE price > 90 ORDER BY id;

SELECT id FROM items WHERE price BETWEEN 10 AND 12;

SELECT id, title FROM items WHERE title LIKE 'item a%' ORDER BY title;

SELECT id FROM items WHERE title ~ '[0-9]{6}' ORDER BY id DESC;

SELECT id FROM items WHERE NOT (stock > 3);

SELECT id, stock FROM items WHERE stock IN (1, 5, 9) ORDER BY stock, id;

SELECT id FROM items WHERE stock = ANY ('{2,4}');

SELECT id FROM items WHERE tags @> ARRAY['t1'] AND stock < 10;

SELECT id FROM items WHERE attrs ? 'colour' AND attrs->>'colour' = 'c1';

SELECT id FROM items WHERE attrs @> '{"size": 3}' ORDER BY id;

SELECT id FROM items WHERE created < '2024-01-05 00:00+00' ORDER BY created;

SELECT id FROM items WHERE created >= timestamptz '2024-03-01 00:00+00' AND created < timestamptz '2024-03-03 00:00+00';

SELECT id, price * 1.19 AS gross FROM items WHERE id % 50 = 0 ORDER BY gross NULLS FIRST, id;

SELECT id, CASE WHEN stock > 40 THEN 'many' WHEN stock > 10 THEN 'some' ELSE 'few' END AS how FROM items WHERE id < 30 ORDER BY id;

SELECT id FROM items ORDER BY id LIMIT 10;

SELECT id FROM items ORDER BY id DESC LIMIT 5;

SELECT id FROM items ORDER BY id LIMIT 10 OFFSET 95;

SELECT id FROM items ORDER BY id OFFSET 290;

SELECT id FROM items ORDER BY id LIMIT 0;

SELECT id FROM items ORDER BY id LIMIT ALL;

SELECT id, title FROM items ORDER BY title NULLS FIRST, id LIMIT 15;

SELECT id, title FROM items ORDER BY title DESC NULLS LAST, id LIMIT 15;

SELECT id, price FROM items ORDER BY price, id LIMIT 20;

SELECT id, price FROM items ORDER BY price DESC, id DESC LIMIT 20;

SELECT id FROM items ORDER BY title COLLATE "C", id LIMIT 8;

SELECT id FROM items ORDER BY stock + id % 7, id LIMIT 9;

SELECT id, stock FROM items ORDER BY 2 DESC, 1 LIMIT 12;

SELECT id FROM items ORDER BY created DESC FETCH FIRST 3 ROWS ONLY;

SELECT stock, id FROM items WHERE stock >= 60 ORDER BY stock DESC, id FETCH FIRST 4 ROWS ONLY;

SELECT stock FROM items ORDER BY stock DESC FETCH FIRST 4 ROWS WITH TIES;

SELECT DISTINCT stock FROM items ORDER BY stock;

SELECT DISTINCT category, owner FROM items WHERE owner < 6;

SELECT DISTINCT ON (category) category, id, price FROM items WHERE price IS NOT NULL ORDER BY category, price DESC, id;

SELECT DISTINCT tags FROM items;

SELECT DISTINCT category FROM items ORDER BY category NULLS FIRST LIMIT 3;

SELECT id, now() - now() AS nothing FROM items WHERE id < 4 ORDER BY id;

SELECT id, current_user = session_user AS same FROM items WHERE id < 3 ORDER BY id;

SELECT tableoid::regclass, id FROM items WHERE id IN (1, 2, 3) ORDER BY id;

SELECT i.* FROM items AS i WHERE i.owner = 3 ORDER BY i.id;

SELECT i FROM items i WHERE id < 3 ORDER BY id;

SELECT (i).title, (i).id FROM items i WHERE id < 3 ORDER BY id;

SELECT row(id, stock) FROM items WHERE id < 5 ORDER BY id;

SELECT id AS "Quoted ""name""" FROM items WHERE id < 3 ORDER BY 1;

SELECT 'constant' AS c, 1 AS one FROM items WHERE id < 4;

SELECT FROM items WHERE id < 3;

SELECT id, generate_series(1, 2) FROM items WHERE id < 4 ORDER BY 1, 2;

SELECT id, unnest(tags) AS tag FROM items WHERE id < 10 ORDER BY id, tag;

SELECT id FROM items WHERE coalesce(price, 0) = 0 ORDER BY id;

SELECT id FROM ONLY items WHERE id < 5 ORDER BY id;

SELECT id FROM items WHERE random() < 2 AND id < 5 ORDER BY id;

TABLE categories;

SELECT name FROM categories WHERE parent IS NULL ORDER BY id;

SELECT length(title), upper(left(title, 6)) FROM items WHERE id < 6 ORDER BY id;

SELECT count(*) FROM items TABLESAMPLE SYSTEM (100);
