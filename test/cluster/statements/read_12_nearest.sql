-- nearest neighbours

SELECT id FROM items ORDER BY embedding <-> made(1001, 16)::vector LIMIT 10;

SELECT id FROM items ORDER BY embedding <=> made(1002, 16)::vector LIMIT 10;

SELECT id FROM items ORDER BY embedding <#> made(1003, 16)::vector LIMIT 10;

SELECT id FROM items ORDER BY embedding <+> made(1004, 16)::vector LIMIT 10;

SELECT id, round((embedding <-> made(1005, 16)::vector)::numeric, 4) AS distance FROM items ORDER BY embedding <-> made(1005, 16)::vector LIMIT 5;

SELECT id FROM items ORDER BY embedding <-> made(1006, 16)::vector LIMIT 5 OFFSET 5;

SELECT id FROM items ORDER BY embedding <-> made(1007, 16)::vector LIMIT 1;

SELECT id FROM items ORDER BY embedding <-> made(1008, 16)::vector LIMIT 0;

SELECT id FROM items ORDER BY embedding <-> '[0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9,0.1,0.2,0.3,0.4,0.5,0.6,0.7]' LIMIT 7;

SELECT id FROM items WHERE category = 3 ORDER BY embedding <-> made(1009, 16)::vector LIMIT 5;

SELECT id FROM items WHERE stock < 3 ORDER BY embedding <=> made(1010, 16)::vector LIMIT 10;

SELECT id FROM items WHERE price > 50 AND tags @> ARRAY['t2'] ORDER BY embedding <-> made(1011, 16)::vector LIMIT 8;

SELECT id FROM items WHERE embedding <-> made(1012, 16)::vector < 1.2 ORDER BY embedding <-> made(1012, 16)::vector;

SELECT count(*) FROM items WHERE embedding <-> made(1013, 16)::vector < 1.4;

SELECT id FROM items ORDER BY small <-> made(1014, 8)::halfvec LIMIT 6;

SELECT id FROM items ORDER BY small <=> made(1015, 8)::halfvec, id LIMIT 6;

SELECT id FROM items WHERE embedding IS NOT NULL ORDER BY embedding <-> (SELECT embedding FROM items WHERE id = 44) LIMIT 6;

SELECT id FROM items WHERE id <> 44 ORDER BY embedding <-> (SELECT embedding FROM items WHERE id = 44) LIMIT 5;

SELECT id FROM (SELECT id, embedding <-> made(1016, 16)::vector AS d FROM items) s ORDER BY d, id LIMIT 5;

SELECT i.id, c.name FROM items i JOIN categories c ON c.id = i.category ORDER BY i.embedding <-> made(1017, 16)::vector LIMIT 6;

SELECT i.id, c.name FROM (SELECT * FROM items ORDER BY embedding <-> made(1018, 16)::vector LIMIT 6) i LEFT JOIN categories c ON c.id = i.category ORDER BY i.embedding <-> made(1018, 16)::vector;

SELECT count(*), min(stock) FROM (SELECT * FROM items ORDER BY embedding <-> made(1019, 16)::vector LIMIT 20) s;

SELECT id FROM items ORDER BY embedding <-> made(1020, 16)::vector DESC NULLS LAST LIMIT 4;

SELECT id FROM items ORDER BY category, embedding <-> made(1021, 16)::vector, id LIMIT 12;

SELECT id FROM items ORDER BY (embedding <-> made(1022, 16)::vector) * 0.7 + coalesce(stock, 0) / 100.0, id LIMIT 9;

WITH nearest AS MATERIALIZED (SELECT id, embedding <-> made(1023, 16)::vector AS d FROM items ORDER BY d LIMIT 15) SELECT id FROM nearest WHERE d < 5 ORDER BY d;

(SELECT id FROM items ORDER BY embedding <-> made(1024, 16)::vector LIMIT 3) UNION (SELECT id FROM items ORDER BY small <-> made(1024, 8)::halfvec LIMIT 3);

SELECT id, row_number() OVER (ORDER BY embedding <-> made(1025, 16)::vector) AS place FROM items WHERE category = 2 AND embedding IS NOT NULL ORDER BY place LIMIT 5;

SELECT owner, id FROM (SELECT owner, id, row_number() OVER (PARTITION BY owner ORDER BY embedding <-> made(1026, 16)::vector) AS place FROM items WHERE owner < 8 AND embedding IS NOT NULL) s WHERE place <= 2 ORDER BY owner, place;

SELECT id FROM users ORDER BY taste <=> (SELECT taste FROM users WHERE id = 4) LIMIT 5;

SELECT n.id FROM notes n ORDER BY sketch <-> made(1027, 8)::halfvec LIMIT 5;

SELECT id FROM items WHERE id IN (SELECT item_id FROM orders WHERE amount > 60) ORDER BY embedding <-> made(1028, 16)::vector LIMIT 5;

SELECT id FROM items ORDER BY embedding <-> NULL::vector, id LIMIT 3;

SELECT id FROM items ORDER BY binary_quantize(embedding) <~> binary_quantize(made(1029, 16)::vector), id LIMIT 6;

SELECT id FROM items WHERE stock < 20 ORDER BY subvector(embedding, 1, 8)::vector(8) <-> made(1030, 8)::vector LIMIT 6;

SELECT id FROM items ORDER BY embedding::halfvec(16) <-> made(1031, 16)::halfvec LIMIT 6;
