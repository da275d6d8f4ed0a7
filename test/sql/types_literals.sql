--
-- types_literals: text becomes a vector or halfvec, or a clear error
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

-- what is accepted, and how it is written out
SELECT type, quote_literal(text), pg_temp.try(format('%L::%s', text, type))
FROM unnest(ARRAY['vector', 'halfvec']) type,
	unnest(ARRAY[
		'[1,2,3]', '[-1,-2,-3]', '[1.,2.,3.]', '[.1,-.2,+.3]',
		' [ 1,  2 ,    3  ] ', E'\t[\n1\r,\x0b2\f]\n',
		'[1e2,1E+2,1e-2]', '[0x10,0x1p-3]', '[-0,0.0,-0e5,0e-999]',
		'[1.23456]', '[3.141592653589793238462643]', '[0.1234567890123456789]',
		'[16777217,16777219,33554433]', '[1000000000000000000000000e-21]',
		'[65504,65519]', '[6e-8,3e-8,2e-8]', '[0.00006103515625]',
		'[00012,1e0005]']) WITH ORDINALITY AS u (text, n)
ORDER BY type DESC, n;

-- what is refused
SELECT type, quote_literal(text), pg_temp.try(format('%L::%s', text, type))
FROM unnest(ARRAY['vector', 'halfvec']) type,
	unnest(ARRAY[
		'', ' ', '[', '[1', '[1,', '[1,2', ']', '[]', '[ ]', '[,]', '[1,]',
		'[,1]', '[1a]', '[1e]', '[1e+]', '[-]', '[.]', '[1 2]', '[--1]',
		'[1,,3]', '1,2,3', '{1,2,3}', '[1,2,3', '[1,2,3]9', '[1,2],3',
		'[1,2]]', '[[1,2]]', '[hello, 1]', '[1,"2"]',
		'[NaN,1]', '[-nan]', '[Infinity,1]', '[-inf]', '[1e99999]', '[-1e400]',
		'[4e38,1]', '[-4e38]', '[65520]', '[-70000]', '[1e39e1]',
		'[1;2]'])
		WITH ORDINALITY AS u (text, n)
ORDER BY type DESC, n;

-- very small numbers, where float and half part ways
SELECT '[1e-37,1e-38,1.1754943e-38,1e-45,7e-46,1e-400]'::vector;
SELECT '[1e-37,1e-38,1.1754943e-38,1e-45,7e-46,1e-400]'::halfvec;

-- halfway between two floats, or just beside it: only strtof may decide
SELECT '[1.00000005960464477539,1.0000000596046447754,1.000000059604644775]'::vector;
SELECT '[16777217,16777217.0,1677721.7e1,16777217.0000001]'::vector;

-- dimensions
SELECT type, n, pg_temp.try(format('vector_dims((''['' || repeat(''1,'', %s) || ''1]'')::%s)', n - 1, type))
FROM unnest(ARRAY['vector', 'halfvec']) type,
	unnest(ARRAY[1, 16000, 16001, 100000]) n
ORDER BY type DESC, n;
SELECT vector_dims(('[' || repeat('1,', 16000) || 'x')::vector);

-- the type modifier
SELECT type, modifier, pg_temp.try(format('''[1,2,3]''::%s(%s)', type, modifier))
FROM unnest(ARRAY['vector', 'halfvec']) type,
	unnest(ARRAY['3', '2', '16000', '0', '-1', '16001', '3,3', '99999999999', '''x''', '1.5'])
		WITH ORDINALITY AS u (modifier, n)
ORDER BY type DESC, n;

-- in a table
CREATE TEMP TABLE t (id serial, v vector(3), h halfvec(3), va vector(2)[]);
INSERT INTO t (v, h, va) VALUES ('[1,2,3]', '[4,5,6]', '{"[1,2]","[3,4]"}'), (NULL, NULL, NULL);
SELECT * FROM t ORDER BY id;
INSERT INTO t (v) VALUES ('[1,2]');
INSERT INTO t (h) VALUES ('[1,2]'::halfvec);
INSERT INTO t (v) VALUES (ARRAY[1,2]);
INSERT INTO t (va) VALUES ('{"[1,2,3]"}');
SELECT format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = 't'::regclass AND attnum > 1 ORDER BY attnum;
