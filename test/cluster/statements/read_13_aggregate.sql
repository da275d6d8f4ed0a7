-- aggregates over all groups

SELECT count(*), count(price), count(DISTINCT category) FROM items;

SELECT sum(price), avg(price), min(price), max(price) FROM items;

SELECT sum(stock), avg(stock), min(stock), max(stock) FROM items;

SELECT sum(id), avg(id) FROM items;

SELECT min(title), max(title) FROM items;

SELECT min(created), max(created) FROM items;

SELECT sum(price) FROM items WHERE id < 0;

SELECT count(*) FROM items WHERE id < 0;

SELECT count(*) FILTER (WHERE stock > 30), count(*) FILTER (WHERE stock <= 30) FROM items;

SELECT sum(price) FILTER (WHERE category = 1) FROM items;

SELECT bool_and(stock >= 0), bool_or(stock > 60), every(id > 0) FROM items;

SELECT bit_and(stock), bit_or(stock) FROM items;

SELECT stddev(stock)::numeric(10,4), variance(stock)::numeric(10,4) FROM items;

SELECT round(stddev_pop(price), 6), round(var_samp(price), 6) FROM items;

SELECT round(corr(stock, id)::numeric, 8), round(regr_slope(stock, id)::numeric, 8) FROM items;

SELECT array_agg(id ORDER BY id) FROM items WHERE stock = 5;

SELECT array_agg(id ORDER BY price DESC NULLS LAST, id) FROM items WHERE category = 1;

SELECT string_agg(title, ', ' ORDER BY title) FROM items WHERE stock < 3;

SELECT jsonb_agg(id ORDER BY id), jsonb_object_agg(id, stock) FROM items WHERE id < 6;

SELECT json_agg(attrs ORDER BY id) FROM items WHERE id < 9;

SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY stock), percentile_disc(0.9) WITHIN GROUP (ORDER BY price) FROM items;

SELECT mode() WITHIN GROUP (ORDER BY category) FROM items WHERE category <> 4;

SELECT rank(50) WITHIN GROUP (ORDER BY stock) FROM items;

SELECT sum(DISTINCT stock), avg(DISTINCT stock), count(DISTINCT title) FROM items;

SELECT count(DISTINCT (category, owner)) FROM items;

SELECT count(*) * 2 + sum(stock) - min(id) FROM items;

SELECT count(i), count(i.*) FROM items i;

SELECT round(vector_norm(avg(embedding))::numeric, 3) FROM items;

SELECT round(l2_norm(avg(small))::numeric, 2) FROM items;

SELECT round((sum(embedding) <#> made(3, 16)::vector)::numeric, 1) FROM items WHERE id < 40;

SELECT vector_dims(avg(embedding)) FROM items WHERE id < 0;

SELECT count(*) FROM items HAVING count(*) > 1000;

SELECT count(*) FROM items HAVING count(*) > 10;

SELECT max(id) - min(id) AS span FROM items WHERE category IN (1, 2);

SELECT (SELECT count(*) FROM items) AS items, (SELECT count(*) FROM orders) AS orders;

SELECT avg(a) FROM (SELECT sum(amount) AS a FROM orders GROUP BY user_id) s;

SELECT sum(c) FROM (SELECT count(*) AS c FROM items GROUP BY category) s;

SELECT max(c) FROM (SELECT count(*) AS c FROM orders GROUP BY note) s;

SELECT sum(amount), count(*) FROM orders WHERE placed > '2024-03-20 00:00+00';

SELECT avg(placed - timestamptz '2024-03-01 00:00+00') FROM orders;

SELECT xmlagg(xmlelement(name i, id) ORDER BY id) FROM items WHERE id < 4;

SELECT range_agg(int4range(id::int, id::int + 1)) FROM items WHERE id < 20;

SELECT any_word.w FROM (SELECT min(word) AS w FROM words) any_word;
