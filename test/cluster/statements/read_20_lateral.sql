-- LATERAL, nearest neighbours of each row among them

SELECT u.id, x.id FROM users u, LATERAL (SELECT o.id FROM orders o WHERE o.user_id = u.id ORDER BY o.amount DESC, o.id LIMIT 2) x ORDER BY u.id, x.id;

SELECT u.id, x.id FROM users u LEFT JOIN LATERAL (SELECT o.id FROM orders o WHERE o.user_id = u.id AND o.amount > 70 ORDER BY o.id LIMIT 1) x ON true ORDER BY u.id;

SELECT u.id, x.id FROM users u, LATERAL (SELECT i.id FROM items i ORDER BY i.embedding <-> u.taste LIMIT 3) x WHERE u.id < 6;

SELECT u.id, array_agg(x.id ORDER BY x.d) FROM users u, LATERAL (SELECT i.id, i.embedding <-> u.taste AS d FROM items i ORDER BY d LIMIT 3) x WHERE u.id < 6 GROUP BY u.id ORDER BY u.id;

SELECT a.id, b.id FROM items a, LATERAL (SELECT b.id FROM items b WHERE b.id <> a.id ORDER BY b.embedding <-> a.embedding LIMIT 1) b WHERE a.id < 8 ORDER BY a.id;

SELECT c.id, x.id FROM categories c, LATERAL (SELECT i.id FROM items i WHERE i.category = c.id ORDER BY i.embedding <=> made(4001, 16)::vector LIMIT 2) x ORDER BY c.id, x.id;

SELECT q.n, x.id FROM (VALUES (1, made(4002, 16)::vector), (2, made(4003, 16)::vector)) q (n, v), LATERAL (SELECT id FROM items ORDER BY embedding <-> q.v LIMIT 4) x ORDER BY q.n, x.id;

SELECT g, x.id FROM generate_series(1, 4) g, LATERAL (SELECT id FROM items WHERE id > g * 10 ORDER BY id LIMIT 2) x ORDER BY g, x.id;

SELECT i.id, t.tag FROM items i, LATERAL unnest(i.tags) t (tag) WHERE i.id < 10 ORDER BY i.id, t.tag;

SELECT i.id, e.key, e.value FROM items i, LATERAL jsonb_each(i.attrs) e WHERE jsonb_typeof(i.attrs) = 'object' AND i.id < 12 ORDER BY i.id, e.key;

SELECT u.id, s.n, s.total FROM users u, LATERAL (SELECT count(*) AS n, sum(amount) AS total FROM orders o WHERE o.user_id = u.id) s WHERE u.id < 8 ORDER BY u.id;

SELECT u.id, s.n FROM users u CROSS JOIN LATERAL (SELECT count(*) AS n FROM items i WHERE i.stock * 16 > u.karma) s WHERE u.id < 8 ORDER BY u.id;

SELECT o.id, n.id FROM orders o, LATERAL (SELECT id FROM notes WHERE notes.item_id = o.item_id ORDER BY id LIMIT 1) n ORDER BY o.id, n.id;

SELECT u.id, v.id FROM users u, LATERAL (SELECT w.id FROM users w WHERE w.id <> u.id AND w.region = u.region ORDER BY w.taste <=> u.taste LIMIT 1) v ORDER BY u.id;

SELECT u.id, y.title FROM users u, LATERAL (SELECT item_id FROM orders o WHERE o.user_id = u.id ORDER BY o.id LIMIT 1) x, LATERAL (SELECT title FROM items i WHERE i.id = x.item_id) y WHERE u.id < 15 ORDER BY u.id;
