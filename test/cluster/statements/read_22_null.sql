-- NULL in every place

SELECT id FROM items WHERE embedding IS NULL ORDER BY id;

SELECT id FROM items WHERE title IS NULL OR price IS NULL ORDER BY id;

SELECT id FROM items WHERE (price IS NULL) = (title IS NULL) AND id < 60 ORDER BY id;

SELECT count(*) FROM items WHERE owner <> 5;

SELECT count(*) FROM items WHERE owner IS DISTINCT FROM 5;

SELECT count(*) FROM items WHERE owner NOT IN (1, 2, NULL);

SELECT count(*) FROM items WHERE owner IN (1, 2, NULL);

SELECT id, coalesce(title, 'none'), nullif(stock, 5) FROM items WHERE stock = 5 OR title IS NULL ORDER BY id;

SELECT count(region), count(*) FROM users;

SELECT region, count(*) FROM users GROUP BY region ORDER BY region NULLS FIRST;

SELECT DISTINCT region FROM users ORDER BY region;

SELECT id FROM items ORDER BY price NULLS FIRST, id LIMIT 20;

SELECT id FROM items ORDER BY price DESC NULLS FIRST, id LIMIT 20;

SELECT id FROM items ORDER BY embedding <-> made(1, 16)::vector NULLS FIRST, id LIMIT 12;

SELECT u.id, i.id FROM users u LEFT JOIN items i ON i.owner = u.id AND i.title IS NULL WHERE u.id < 12 ORDER BY u.id, i.id;

SELECT sum(NULL::int), count(NULL), max(NULL::text) FROM items;

SELECT id, NULL AS nothing, NULL::vector(3) AS no_vector FROM items WHERE id < 3 ORDER BY id;

SELECT id FROM items WHERE NULL ORDER BY id;

SELECT id FROM items WHERE attrs IS NOT NULL AND attrs->'colour' IS NULL AND id < 20 ORDER BY id;

SELECT array_agg(owner ORDER BY id) FROM items WHERE id BETWEEN 8 AND 25;

SELECT avg(price) IS NULL FROM items WHERE price IS NULL;

SELECT owner, count(*) FROM items WHERE owner IS NULL OR owner = 1 GROUP BY owner;

SELECT row(owner, title) IS NULL, count(*) FROM items GROUP BY 1 ORDER BY 1;

SELECT concat(title, owner), title || owner FROM items WHERE id IN (11, 29, 30) ORDER BY id;
