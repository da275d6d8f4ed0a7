--
-- types_binary: binary messages are read back as they were sent, and damaged
-- ones are refused
--
\pset format unaligned
\pset tuples_only on

-- Reads rows of one column by COPY FROM PROGRAM in binary format, into the
-- table "received".  A row is a message; tells the error, or nothing.
CREATE FUNCTION pg_temp.receive(type text, messages bytea[]) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	stream bytea := '\x5047434f50590aff0d0a000000000000000000';
	octal text := '';
	detail text;
BEGIN
	FOR i IN 1 .. cardinality(messages) LOOP
		stream := stream || '\x0001' || int4send(length(messages[i])) || messages[i];
	END LOOP;
	stream := stream || '\xffff';
	SELECT string_agg('\' || (b >> 6)::text || ((b >> 3) & 7)::text || (b & 7)::text, '' ORDER BY i)
	INTO octal
	FROM generate_series(0, length(stream) - 1) i, LATERAL (SELECT get_byte(stream, i) AS b) x;
	DROP TABLE IF EXISTS received;
	EXECUTE format('CREATE TEMP TABLE received (id serial, v %s)', type);
	EXECUTE format('COPY received (v) FROM PROGRAM %L WITH (FORMAT binary)', format('printf ''%s''', octal));
	RETURN '';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ': ' || SQLERRM;
END
$$;
SET client_min_messages = warning;

-- the format
SELECT vector_send('[1,-2]'), halfvec_send('[1,-2]'), sparsevec_send('{2:1,5:-2}/6');
SELECT pg_temp.receive('vector', ARRAY['\x000200003f800000c0000000']::bytea[]);
SELECT v FROM received;

-- damaged messages
SELECT type, message, pg_temp.receive(type, ARRAY[message::bytea])
FROM (VALUES
	('vector', '\x'), ('vector', '\x00'), ('vector', '\x0001'), ('vector', '\x00010000'),
	('vector', '\x00000000'), ('vector', '\xffff0000'), ('vector', '\x80000000'),
	('vector', '\x3e810000'), ('vector', '\x3e800000'), ('vector', '\x7fff000000000000'),
	('vector', '\x000100013f800000'), ('vector', '\x0001ffff3f800000'),
	('vector', '\x000100003f8000'), ('vector', '\x000100007fc00000'),
	('vector', '\x00010000ffffffff'), ('vector', '\x000100007f800000'),
	('vector', '\x00010000ff800000'), ('vector', '\x000100003f80000000'),
	('vector', '\x000200003f800000'), ('vector', '\x000100003f8000003f800000'),
	('vector(2)', '\x000100003f800000'), ('vector(1)', '\x000100003f800000'),
	('halfvec', '\x'), ('halfvec', '\x00000000'), ('halfvec', '\xffff0000'),
	('halfvec', '\x3e810000'), ('halfvec', '\x000100013c00'), ('halfvec', '\x000100003c'),
	('halfvec', '\x000100007c00'), ('halfvec', '\x00010000fc00'), ('halfvec', '\x000100007e00'),
	('halfvec', '\x000100007c01'), ('halfvec', '\x000100003c0000'), ('halfvec(2)', '\x000100003c00'),
	('halfvec', '\x000100007bff'), ('halfvec', '\x000100000001'),
	('sparsevec', '\x'), ('sparsevec', '\x000000010000000000'),
	('sparsevec', '\x000000000000000000000000'), ('sparsevec', '\xffffffff0000000000000000'),
	('sparsevec', '\x3b9aca010000000000000000'), ('sparsevec', '\x3b9aca000000000000000000'),
	('sparsevec', '\x00000001ffffffff00000000'), ('sparsevec', '\x000000018000000000000000'),
	('sparsevec', '\x3b9aca0000003e8100000000'), ('sparsevec', '\x000000010000000200000000'),
	('sparsevec', '\x000000010000000000000001'), ('sparsevec', '\x00000001000000000000000000'),
	('sparsevec', '\x0000000200000001000000000000000000000000'),
	('sparsevec', '\x0000000200000001000000000000000080000000'),
	('sparsevec', '\x000000020000000100000000ffffffff3f800000'),
	('sparsevec', '\x000000020000000100000000000000023f800000'),
	('sparsevec', '\x0000000200000001000000007fffffff3f800000'),
	('sparsevec', '\x00000002000000020000000000000001000000003f8000003f800000'),
	('sparsevec', '\x00000002000000020000000000000001000000013f8000003f800000'),
	('sparsevec', '\x000000020000000100000000000000007fc00000'),
	('sparsevec', '\x00000002000000010000000000000000ff800000'),
	('sparsevec', '\x000000020000000200000000000000003f800000'),
	('sparsevec(3)', '\x0000000200000001000000000000003f800000')
	) t (type, message);

-- round trips of random values, through text and through messages
\set seed 0.4242
\echo seed :seed
SELECT setseed(:seed) IS NULL;
CREATE TEMP TABLE sent AS
SELECT row_number() OVER () AS id, a::vector AS v,
	array_to_vector(array(SELECT greatest(least(x, 65504), -65504) FROM unnest(a) x)::float8[], -1, true)::halfvec AS h,
	array(SELECT CASE WHEN random() < 0.7 THEN 0 ELSE x END FROM unnest(a) x)::float8[]::sparsevec AS s
FROM (SELECT array_agg((random() - 0.5) * power(10, trunc(random() * 60 - 30))) AS a
	FROM generate_series(1, 3000) i
	GROUP BY trunc(sqrt(i * 4))) x;
SELECT count(*) > 90 FROM sent;
SELECT count(*) FROM sent
WHERE vector_send(v::text::vector) <> vector_send(v)
	OR halfvec_send(h::text::halfvec) <> halfvec_send(h)
	OR sparsevec_send(s::text::sparsevec) <> sparsevec_send(s);
SELECT pg_temp.receive('vector', (SELECT array_agg(vector_send(v) ORDER BY id) FROM sent WHERE id <= 60));
SELECT count(*), count(*) FILTER (WHERE vector_send(r.v) = vector_send(s.v)) FROM received r JOIN sent s USING (id);
SELECT pg_temp.receive('halfvec', (SELECT array_agg(halfvec_send(h) ORDER BY id) FROM sent WHERE id <= 60));
SELECT count(*), count(*) FILTER (WHERE halfvec_send(r.v) = halfvec_send(s.h)) FROM received r JOIN sent s USING (id);
SELECT pg_temp.receive('sparsevec', (SELECT array_agg(sparsevec_send(s) ORDER BY id) FROM sent WHERE id <= 60));
SELECT count(*), count(*) FILTER (WHERE sparsevec_send(r.v) = sparsevec_send(s.s)) FROM received r JOIN sent s USING (id);

-- every half there is, by text and by conversion to float and back
SELECT count(*) FROM
	(SELECT format('[%s]', sign * (CASE WHEN e = 0 THEN m * power(2::float8, -24)
		ELSE (1024 + m) * power(2::float8, e - 25) END))::halfvec AS h, sign, e, m
	FROM generate_series(0, 30) e, generate_series(0, 1023) m, (VALUES (1), (-1)) s (sign)) x
WHERE halfvec_send(h) <> '\x00010000' || int2send(((CASE sign WHEN 1 THEN 0 ELSE -32768 END) + e * 1024 + m)::int2)
		AND NOT (e = 0 AND m = 0)
	OR halfvec_send(h::text::halfvec) <> halfvec_send(h)
	OR halfvec_send(h::vector::halfvec) <> halfvec_send(h);

-- short decimals, which have a reader of their own, become the same float as
-- in PostgreSQL; what is listed does not
SELECT text FROM
	(SELECT (CASE WHEN random() < 0.5 THEN '-' ELSE '' END) || left(i::text || '.' ||
		trunc(random() * power(10, trunc(random() * 15)))::numeric, 17)
		|| CASE WHEN random() < 0.5 THEN '' ELSE 'e' || trunc(random() * 50 - 25) END AS text
	FROM generate_series(1, 20000) i) x
WHERE float4send(text::float4) <> substr(vector_send(('[' || text || ']')::vector), 5);
