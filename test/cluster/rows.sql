--
-- test/cluster/rows.sql: the rows, inserted through the cluster
--
INSERT INTO categories
SELECT i, 'category ' || i, CASE WHEN i > 2 THEN (i + 1) / 3 END
FROM generate_series(1, 8) i;

INSERT INTO items
SELECT i,
	CASE WHEN i % 11 <> 0 THEN i % 40 + 1 END,
	CASE WHEN i % 13 <> 0 THEN i % 8 + 1 END,
	CASE WHEN i % 29 <> 0 THEN 'item ' || md5(i::text) END,
	CASE WHEN i % 17 <> 0 THEN (hashint8extended(i, 1) & 9999)::numeric / 100 END,
	(hashint8extended(i, 2) & 63)::int,
	CASE WHEN i % 7 <> 0 THEN ARRAY['t' || i % 3, 't' || i % 5] END,
	CASE i % 4 WHEN 0 THEN NULL
		WHEN 1 THEN jsonb_build_object('size', i % 10, 'colour', 'c' || i % 3)
		WHEN 2 THEN jsonb_build_object('size', i % 10, 'deep', jsonb_build_array(i, i + 1))
		ELSE to_jsonb(i) END,
	timestamptz '2024-01-01 00:00+00' + i * interval '7 hours 13 minutes',
	md5('item' || i)::uuid,
	CASE WHEN i % 31 <> 0 THEN made(i, 16)::vector END,
	CASE WHEN i % 37 <> 0 THEN made(i + 5000, 8)::halfvec END
FROM generate_series(1, 300) i;

INSERT INTO users
SELECT i, 'user ' || i, (ARRAY['north', 'south', 'east', NULL])[i % 4 + 1],
	(hashint8extended(i, 3) & 1023)::int,
	timestamptz '2023-05-01 00:00+00' + i * interval '31 hours',
	made(i + 9000, 16)::vector
FROM generate_series(1, 40) i;

INSERT INTO orders
SELECT i % 37 + 1, i, hashint8extended(i, 4) & 255,
	((hashint8extended(i, 5) & 4095) + 1)::numeric / 50,
	CASE WHEN i % 5 <> 0 THEN 'note ' || i % 9 END,
	timestamptz '2024-03-01 00:00+00' + i * interval '5 hours'
FROM generate_series(1, 240) i;

INSERT INTO notes
SELECT md5('note' || i)::uuid, hashint8extended(i, 6) & 255, repeat('n' || i || ' ', i % 5),
	made(i + 20000, 8)::halfvec
FROM generate_series(1, 60) i;

INSERT INTO words
SELECT 'w' || i, hashint8extended(i, 8) & 31, date '2024-01-01' + i
FROM generate_series(1, 50) i;

ANALYZE items, users, orders, notes, words, categories;
