-- prepared statements and functions: the same plan with other values

PREPARE one (bigint) AS SELECT id, title FROM items WHERE id = $1; EXECUTE one (1); EXECUTE one (2); EXECUTE one (3); EXECUTE one (4); EXECUTE one (5); EXECUTE one (6); EXECUTE one (7); EXECUTE one (8); EXECUTE one (9); EXECUTE one (NULL); DEALLOCATE one;

PREPARE dear (numeric) AS SELECT id FROM items WHERE price > $1 ORDER BY id; EXECUTE dear (99); EXECUTE dear (98); EXECUTE dear (97); EXECUTE dear (96); EXECUTE dear (95); EXECUTE dear (94); EXECUTE dear (93); DEALLOCATE dear;

PREPARE near (vector, int) AS SELECT id FROM items ORDER BY embedding <-> $1 LIMIT $2; EXECUTE near (made(1, 16), 3); EXECUTE near (made(2, 16), 4); EXECUTE near (made(3, 16), 1); EXECUTE near (made(5, 16), 5); EXECUTE near (made(6, 16), 2); EXECUTE near (made(7, 16), 6); EXECUTE near (made(8, 16), 0); EXECUTE near (made(9, 16), 7); DEALLOCATE near;

PREPARE near_in (vector, int, int) AS SELECT id FROM items WHERE category = $2 ORDER BY embedding <=> $1 LIMIT $3 OFFSET 1; EXECUTE near_in (made(1, 16), 1, 3); EXECUTE near_in (made(2, 16), 2, 3); EXECUTE near_in (made(3, 16), 3, 3); EXECUTE near_in (made(5, 16), 4, 3); EXECUTE near_in (made(6, 16), 5, 3); EXECUTE near_in (made(7, 16), 6, 3); EXECUTE near_in (made(8, 16), NULL, 3); DEALLOCATE near_in;

PREPARE many (bigint[]) AS SELECT id FROM items WHERE id = ANY ($1) ORDER BY id; EXECUTE many ('{1,2,3}'); EXECUTE many ('{4}'); EXECUTE many ('{}'); EXECUTE many (NULL); EXECUTE many ('{5,NULL,6}'); EXECUTE many ('{7,8}'); EXECUTE many ('{9,10,11,12}'); DEALLOCATE many;

PREPARE of_user (int) AS SELECT u.name, o.id FROM users u JOIN orders o ON o.user_id = u.id WHERE u.id = $1 ORDER BY o.id; EXECUTE of_user (1); EXECUTE of_user (2); EXECUTE of_user (3); EXECUTE of_user (4); EXECUTE of_user (5); EXECUTE of_user (6); EXECUTE of_user (7); DEALLOCATE of_user;

PREPARE page (int, int) AS SELECT id FROM items ORDER BY id LIMIT $1 OFFSET $2; EXECUTE page (3, 0); EXECUTE page (3, 3); EXECUTE page (3, 6); EXECUTE page (NULL, 298); EXECUTE page (2, NULL); EXECUTE page (2, 100); EXECUTE page (2, 1000); DEALLOCATE page;

PREPARE totals (int) AS SELECT category, count(*), sum(price) FROM items WHERE stock > $1 GROUP BY category ORDER BY category; EXECUTE totals (1); EXECUTE totals (20); EXECUTE totals (30); EXECUTE totals (40); EXECUTE totals (50); EXECUTE totals (60); EXECUTE totals (70); DEALLOCATE totals;

PREPARE by_text (text) AS SELECT word, uses FROM words WHERE word = $1; EXECUTE by_text ('w1'); EXECUTE by_text ('w2'); EXECUTE by_text ('w3'); EXECUTE by_text ('w4'); EXECUTE by_text ('w5'); EXECUTE by_text ('w6'); EXECUTE by_text ('none'); DEALLOCATE by_text;

PREPARE by_uuid (uuid) AS SELECT body FROM notes WHERE id = $1; EXECUTE by_uuid (md5('note1')::uuid); EXECUTE by_uuid (md5('note2')::uuid); EXECUTE by_uuid (md5('note3')::uuid); EXECUTE by_uuid (md5('note4')::uuid); EXECUTE by_uuid (md5('note6')::uuid); EXECUTE by_uuid (md5('note7')::uuid); DEALLOCATE by_uuid;

PREPARE untyped AS SELECT id FROM items WHERE stock = $1 AND price > $2 AND title LIKE $3 ORDER BY id; EXECUTE untyped (5, 1, 'item%'); EXECUTE untyped (6, 1, 'item%'); EXECUTE untyped (7, 1, 'item%'); EXECUTE untyped (8, 1, 'item%'); EXECUTE untyped (9, 1, 'item%'); EXECUTE untyped (10, 1, 'item%'); EXECUTE untyped (11, 1, NULL); DEALLOCATE untyped;

DO $$ DECLARE n int; s bigint := 0; BEGIN FOR k IN 1..12 LOOP SELECT stock INTO n FROM items WHERE id = k; s := s + n; END LOOP; RAISE NOTICE 'sum %', s; END $$;

DO $$ DECLARE r record; s text := ''; BEGIN FOR k IN 1..8 LOOP FOR r IN SELECT id FROM items ORDER BY embedding <-> made(k, 16)::vector LIMIT 2 LOOP s := s || r.id || ' '; END LOOP; END LOOP; RAISE NOTICE '%', s; END $$;

DO $$ DECLARE r record; s numeric := 0; BEGIN FOR r IN SELECT * FROM orders ORDER BY id LOOP s := s + r.amount * (SELECT karma FROM users WHERE id = r.user_id); EXIT WHEN r.id > 60; END LOOP; RAISE NOTICE '%', s; END $$;
