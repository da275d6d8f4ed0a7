-- values of every type come through as they are

SELECT id, price, -price, price::float8, price::text FROM items WHERE id < 10 ORDER BY id;

SELECT id, created, created AT TIME ZONE 'UTC', extract(epoch FROM created) FROM items WHERE id < 6 ORDER BY id;

SET TimeZone = 'Asia/Kathmandu'; SELECT id, created, created::date FROM items WHERE id < 6 ORDER BY id; RESET TimeZone;

SET TimeZone = 'America/New_York'; SELECT id FROM items WHERE created::date = '2024-02-01' ORDER BY id; RESET TimeZone;

SET DateStyle = 'German, DMY'; SELECT id, created FROM items WHERE created < '03.01.2024 00:00 UTC' ORDER BY id; RESET DateStyle;

SET IntervalStyle = 'iso_8601'; SELECT id, created - timestamptz '2024-01-01 00:00+00' FROM items WHERE id < 4 ORDER BY id; RESET IntervalStyle;

SET extra_float_digits = -3; SELECT id, stock::float8 / 7 FROM items WHERE id < 4 ORDER BY id; RESET extra_float_digits;

SET bytea_output = 'escape'; SELECT id, decode(md5(id::text), 'hex') FROM items WHERE id < 4 ORDER BY id; RESET bytea_output;

SELECT id, code, code::text AS written FROM items WHERE code > 'f0000000-0000-0000-0000-000000000000' ORDER BY code;

SELECT id, tags, tags[2], array_length(tags, 1), tags || 'x'::text FROM items WHERE id < 9 ORDER BY id;

SELECT id, attrs, attrs->'deep'->1, attrs #>> '{deep,0}' FROM items WHERE id < 9 ORDER BY id;

SELECT id FROM items WHERE attrs @? '$.size ? (@ > 8)' ORDER BY id;

SELECT id, embedding FROM items WHERE id < 4 ORDER BY id;

SELECT id, small, vector_dims(small), small::vector FROM items WHERE id < 4 ORDER BY id;

SELECT id, embedding + embedding, embedding - embedding FROM items WHERE id < 3 ORDER BY id;

SELECT id, embedding::real[] FROM items WHERE id < 3 ORDER BY id;

SELECT id, embedding::text::vector(16) = embedding FROM items WHERE id < 40 AND embedding IS NOT NULL ORDER BY id;

SELECT id, embedding::sparsevec FROM items WHERE id = 4 OR id = 5 ORDER BY id;

SELECT id, binary_quantize(embedding) FROM items WHERE id < 5 ORDER BY id;

SELECT id, l2_normalize(small) <-> small < 10 FROM items WHERE id < 5 ORDER BY id;

SELECT id, 1.5::real, 1e300::float8, 'NaN'::float8, 'Infinity'::numeric, '-0'::float8 FROM items WHERE id < 3;

SELECT id, stock::float8 / 3, stock::real / 3 FROM items WHERE id < 10 ORDER BY id;

SELECT id, '12:30'::time + (created::time - created::time), '1 day'::interval * stock FROM items WHERE id < 5 ORDER BY id;

SELECT id, int4range(stock, stock + 5), numrange(0, price) FROM items WHERE id < 5 ORDER BY id;

SELECT id, inet '10.0.0.0/8' + stock, macaddr '08:00:2b:01:02:03', B'1010' FROM items WHERE id < 5 ORDER BY id;

SELECT id, stock::"char", chr(65 + stock % 26)::char(3), title::varchar(8), title::name FROM items WHERE id < 5 ORDER BY id;

SELECT id, point(stock, id), box(point(0, 0), point(stock, 1)) FROM items WHERE id < 3 ORDER BY id;

SELECT id, to_tsvector('simple', title) @@ to_tsquery('simple', 'item') FROM items WHERE id < 4 ORDER BY id;

SELECT id, xmlelement(name x, stock) FROM items WHERE id < 4 ORDER BY id;

SELECT id, true, NULL::bool, stock > 30 FROM items WHERE id < 4 ORDER BY id;

SELECT id, ARRAY[[id, stock], [1, 2]], ARRAY[embedding] IS NULL FROM items WHERE id < 3 ORDER BY id;

SELECT id, ARRAY[embedding, embedding] FROM items WHERE id < 3 ORDER BY id;

SELECT id, 'items'::regclass, 'int'::regtype FROM items WHERE id < 3 ORDER BY id;

SELECT word, first_seen, first_seen + 1 FROM words WHERE uses > 25 ORDER BY word;

SELECT id, 'it''s "quoted" \ and — naïve' AS text FROM items WHERE title <> 'it''s' AND id < 3 ORDER BY id;

SELECT id, E'tab\there\nline' FROM items WHERE id < 3 ORDER BY id;

SELECT id, repeat(title, 300) = repeat(title, 300) AS long FROM items WHERE id < 4 ORDER BY id;

SELECT length(string_agg(repeat(md5(id::text), 200), '' ORDER BY id)) FROM items;
