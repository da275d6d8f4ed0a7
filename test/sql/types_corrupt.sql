--
-- types_corrupt: invariant 3, a stored value that does not fit its header is
-- an error in every function, and nothing is read beyond its end
--
\pset format unaligned
\pset tuples_only on
-- runs an expression, and tells its value or its error
CREATE FUNCTION pg_temp.try(expression text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	result text;
	detail text;
BEGIN
	EXECUTE 'SELECT (' || expression || ')::text' INTO result;
	RETURN coalesce(result, '(null)');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN left(concat_ws(' | ', SQLSTATE, SQLERRM, nullif(detail, '')), 130);
END
$$;
BEGIN;
SET LOCAL client_min_messages = error;
-- any bytes become a value
CREATE CAST (bytea AS vector) WITHOUT FUNCTION;
CREATE CAST (bytea AS halfvec) WITHOUT FUNCTION;
CREATE CAST (bytea AS sparsevec) WITHOUT FUNCTION;
CREATE TEMP TABLE bytes (type text, bytes bytea);
-- in the machine's byte order: dim 0, -1, 16000 or 2, and too few or too many bytes
INSERT INTO bytes
SELECT type, decode(bytes, 'hex')
FROM (VALUES ('vector'), ('halfvec')) t (type),
	(VALUES (''), ('02'), ('0200'), ('020000'), ('02000000'), ('0000000000000000'), ('ffff000000000000'),
		('803e000000000000'), ('020000000000'), ('0200000000000000000000'), ('02000000000000000000000000')) b (bytes);
INSERT INTO bytes
SELECT 'sparsevec', decode(bytes, 'hex')
FROM (VALUES (''), ('02'), ('0200000001000000'), ('020000000100000000000000'), ('02000000ffffffff00000000'),
	('02000000ffffff7f00000000'), ('02000000000000200000000000000000'),
	('0200000001000000000000000000000000'), ('020000000100000000000000000000000000803f00')) b (bytes);
-- each function that takes one value, or two
CREATE TEMP TABLE tried AS
SELECT p.oid::regprocedure AS function, r AS result
FROM pg_proc p
	JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
	JOIN bytes ON to_regtype(type) = proargtypes[0]
	CROSS JOIN LATERAL pg_temp.try(format('%s(%L::bytea::%s%s)', p.oid::regproc, bytes, type,
		(SELECT string_agg(CASE format_type(a, NULL) WHEN 'integer' THEN ', 1' WHEN 'boolean' THEN ', true'
			WHEN 'bigint' THEN ', 1' ELSE format(', %L::bytea::%s', bytes, type) END, '')
		FROM unnest(proargtypes) WITH ORDINALITY u (a, n) WHERE n > 1))) r
WHERE prokind = 'f';
SELECT count(DISTINCT function) >= 84 FROM tried;
SELECT DISTINCT function, result FROM tried WHERE result NOT LIKE 'XX001%';
SELECT DISTINCT type, r
FROM bytes, pg_temp.try(format('%L::bytea::%s', bytes, type)) r
ORDER BY 1;
-- places of a sparsevec beyond its dimensions
SELECT pg_temp.try('(decode(''02000000010000000000000002000000'', ''hex'') || ''\x0000803f'')::sparsevec::vector'),
	pg_temp.try('(decode(''020000000100000000000000ffffffff'', ''hex'') || ''\x0000803f'')::sparsevec::halfvec');
ROLLBACK;
