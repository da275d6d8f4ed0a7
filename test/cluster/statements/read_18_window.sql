-- window functions

SELECT id, row_number() OVER (ORDER BY id) FROM items ORDER BY id LIMIT 10;

SELECT id, rank() OVER (ORDER BY stock DESC) FROM items ORDER BY id LIMIT 10;

SELECT user_id, id, sum(amount) OVER (PARTITION BY user_id ORDER BY id) FROM orders WHERE user_id < 5 ORDER BY user_id, id;

SELECT category, id, row_number() OVER (PARTITION BY category ORDER BY price DESC NULLS LAST, id) AS n FROM items WHERE id < 60 ORDER BY category, n;

SELECT * FROM (SELECT user_id, id, row_number() OVER (PARTITION BY user_id ORDER BY amount DESC, id) AS n FROM orders) s WHERE n = 1 ORDER BY user_id;

SELECT id, lag(id) OVER w, lead(stock, 2, -1) OVER w FROM items WHERE id < 15 WINDOW w AS (ORDER BY id) ORDER BY id;

SELECT id, first_value(title) OVER (PARTITION BY category ORDER BY id), nth_value(id, 2) OVER (PARTITION BY category ORDER BY id) FROM items WHERE id < 40 ORDER BY id;

SELECT id, sum(stock) OVER (ORDER BY id ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) FROM items WHERE id < 20 ORDER BY id;

SELECT id, count(*) OVER (ORDER BY stock RANGE BETWEEN 5 PRECEDING AND 5 FOLLOWING) FROM items WHERE id < 30 ORDER BY id;

SELECT id, sum(stock) OVER (ORDER BY category GROUPS BETWEEN CURRENT ROW AND 1 FOLLOWING EXCLUDE CURRENT ROW) FROM items WHERE id < 30 AND category IS NOT NULL ORDER BY id;

SELECT id, ntile(4) OVER (ORDER BY price, id) FROM items WHERE price IS NOT NULL AND id < 40 ORDER BY id;

SELECT id, percent_rank() OVER (ORDER BY id), cume_dist() OVER (ORDER BY id) FROM items WHERE id <= 10 ORDER BY id;

SELECT count(*) OVER () AS all_of_them, id FROM items WHERE stock > 60 ORDER BY id;

SELECT user_id, sum(amount) AS total, rank() OVER (ORDER BY sum(amount) DESC) FROM orders GROUP BY user_id ORDER BY user_id;

SELECT id, stock - avg(stock) OVER (PARTITION BY category) AS off FROM items WHERE category = 5 ORDER BY id;

SELECT id FROM (SELECT id, dense_rank() OVER (ORDER BY stock DESC) AS r FROM items) s WHERE r <= 2 ORDER BY id;

SELECT u.region, u.id, max(o.amount) OVER (PARTITION BY u.region) FROM users u JOIN orders o ON o.user_id = u.id WHERE o.id < 30 ORDER BY o.id;
