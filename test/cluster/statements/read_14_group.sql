-- GROUP BY, HAVING, grouping sets

SELECT category, count(*) FROM items GROUP BY category ORDER BY category;

SELECT category, sum(price), avg(stock) FROM items GROUP BY category ORDER BY category NULLS FIRST;

SELECT category, owner, count(*) FROM items WHERE owner < 10 GROUP BY category, owner;

SELECT user_id, count(*), sum(amount) FROM orders GROUP BY user_id ORDER BY user_id;

SELECT user_id, sum(amount) FROM orders GROUP BY user_id HAVING sum(amount) > 250 ORDER BY 2 DESC, 1;

SELECT user_id, max(placed) FROM orders GROUP BY user_id ORDER BY max(placed) DESC LIMIT 5;

SELECT note, count(*) FROM orders GROUP BY note ORDER BY count(*) DESC, note NULLS FIRST;

SELECT note, count(DISTINCT user_id) FROM orders GROUP BY note;

SELECT id % 5 AS rest, count(*) FROM items GROUP BY 1 ORDER BY 1;

SELECT id % 5 AS rest, stock % 2 AS odd, min(id) FROM items GROUP BY rest, odd ORDER BY rest, odd;

SELECT date_trunc('month', created AT TIME ZONE 'UTC') AS month, count(*) FROM items GROUP BY 1 ORDER BY 1;

SELECT category FROM items GROUP BY category HAVING min(stock) = 0;

SELECT category, count(*) FILTER (WHERE price > 50) AS dear FROM items GROUP BY category ORDER BY dear, category;

SELECT id, count(*) FROM items GROUP BY id HAVING count(*) > 1;

SELECT id, title, count(*) FROM items WHERE id < 5 GROUP BY id ORDER BY id;

SELECT category, array_agg(id ORDER BY id DESC) FROM items WHERE id < 60 GROUP BY category ORDER BY category;

SELECT category, owner, sum(stock) FROM items WHERE owner < 5 GROUP BY GROUPING SETS ((category, owner), (category), ());

SELECT category, owner, sum(stock), grouping(category, owner) FROM items WHERE owner < 5 GROUP BY ROLLUP (category, owner);

SELECT category, owner % 2 AS odd, count(*) FROM items GROUP BY CUBE (category, odd);

SELECT category, count(*) FROM items GROUP BY GROUPING SETS (category, ()) ORDER BY category NULLS LAST, 2;

SELECT c.name, count(*), sum(i.price) FROM items i JOIN categories c ON c.id = i.category GROUP BY c.name ORDER BY c.name;

SELECT u.region, count(*) FROM users u GROUP BY u.region ORDER BY 1;

SELECT u.region, sum(o.amount) FROM users u JOIN orders o ON o.user_id = u.id GROUP BY u.region ORDER BY 1;

SELECT u.region, count(DISTINCT o.note), max(o.amount) FROM users u JOIN orders o ON o.user_id = u.id GROUP BY u.region HAVING count(*) > 3;

SELECT tags[1] AS tag, count(*) FROM items GROUP BY tags[1] ORDER BY tag;

SELECT attrs->>'colour' AS colour, avg((attrs->>'size')::int) FROM items WHERE jsonb_typeof(attrs) = 'object' GROUP BY 1;

SELECT length(title), count(*) FROM items GROUP BY length(title);

SELECT stock / 10 AS tens, string_agg(id::text, ' ' ORDER BY id) FROM items WHERE id < 80 GROUP BY 1 ORDER BY 1;

SELECT DISTINCT count(*) FROM items GROUP BY category;

SELECT count(*) FROM items GROUP BY category ORDER BY max(id) DESC LIMIT 3;

SELECT category, percentile_cont(0.5) WITHIN GROUP (ORDER BY stock) FROM items GROUP BY category ORDER BY category;

SELECT category, sum(count(*)) OVER (ORDER BY category) FROM items GROUP BY category ORDER BY category;

SELECT code, count(*) FROM items GROUP BY code HAVING count(*) > 1;

SELECT id > 0 FROM items GROUP BY 1;

SELECT category, round((avg(embedding) <-> made(2, 16)::vector)::numeric, 2) FROM items WHERE category < 4 GROUP BY category ORDER BY category;
