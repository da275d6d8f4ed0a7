--
-- types_cast: conversions between the types and arrays, explicit, by
-- assignment and implied
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

-- arrays to each type
SELECT type, expression, pg_temp.try(format('(%s)::%s', expression, type))
FROM unnest(ARRAY['vector', 'halfvec', 'sparsevec']) WITH ORDINALITY AS t (type, tn),
	unnest(ARRAY[
		'ARRAY[1,2,3]', 'ARRAY[1.0,0,2.5]::numeric[]', 'ARRAY[1,0,3]::real[]',
		'ARRAY[1,0,3]::float8[]', '''[5:7]={7,8,9}''::int[]',
		'''[-2:0]={7,8,9}''::float8[]', 'ARRAY[-0.0]::real[]', 'ARRAY[-2147483648,2147483647]',
		'ARRAY[65505,-65519.9]::float8[]', 'ARRAY[0,0]',
		'''{}''::int[]', '''{}''::real[]', '''{}''::float8[]', '''{}''::numeric[]',
		'''{NULL}''::int[]', '''{1,NULL}''::real[]', '''{NULL,1}''::numeric[]',
		'''{{1,2},{3,4}}''::int[]', '''{{1}}''::real[]', '''{{NULL}}''::float8[]',
		'''{NaN}''::real[]', '''{1,NaN}''::float8[]', '''{NaN}''::numeric[]',
		'''{Infinity,1}''::real[]', '''{-Infinity}''::float8[]', '''{Infinity}''::numeric[]',
		'''{4e38,1}''::float8[]', '''{-4e38}''::numeric[]', '''{1e-50,1}''::float8[]',
		'''{65520,1}''::int[]', '''{1e5}''::float8[]', '''{1e5,Infinity}''::real[]',
		'''{Infinity,1e5}''::real[]',
		'''{1,2}''::int8[]', '''{1,2}''::text[]', '''{t}''::bool[]',
		'array_fill(1, ARRAY[16000])', 'array_fill(0, ARRAY[16001])',
		'array_fill(1, ARRAY[16001])', 'array_fill(1::numeric, ARRAY[16001])'
		]) WITH ORDINALITY AS e (expression, en)
WHERE expression <> 'array_fill(1, ARRAY[16000])' AND NOT (type = 'sparsevec' AND expression = 'array_fill(0, ARRAY[16001])')
ORDER BY tn, en;
SELECT vector_dims(array_fill(1, ARRAY[16000])::vector),
	vector_dims(array_fill(1::numeric, ARRAY[16000])::halfvec),
	array_fill(0, ARRAY[16001])::sparsevec;

-- between the types, and back to arrays
SELECT expression, pg_temp.try(expression)
FROM unnest(ARRAY[
	$$'[1,2,3]'::vector::real[]$$, $$'[1,-0.1,3]'::halfvec::real[]$$,
	$$'[1,2,3]'::vector::halfvec$$, $$'[1,0.1,3]'::halfvec::vector$$,
	$$'[1,0,-0,3]'::vector::sparsevec$$, $$'[1,0,-0,3]'::halfvec::sparsevec$$,
	$$'[0,0]'::vector::sparsevec$$,
	$$'{1:1.1,3:3}/4'::sparsevec::vector$$, $$'{1:1.1,3:3}/4'::sparsevec::halfvec$$,
	$$'{}/3'::sparsevec::vector$$,
	$$'[65519.996]'::vector::halfvec$$, $$'[65520]'::vector::halfvec$$,
	$$'[-1e38]'::vector::halfvec$$, $$'[1e-8]'::vector::halfvec$$,
	$$'{1:65520}/1'::sparsevec::halfvec$$,
	$$vector_dims('{1:1}/16000'::sparsevec::vector)$$,
	$$'{1:1}/16001'::sparsevec::vector$$, $$'{1:1}/16001'::sparsevec::halfvec$$,
	$$'[1,2,3]'::vector::vector(3)$$, $$'[1,2,3]'::vector::vector(2)$$,
	$$'[1,2,3]'::halfvec::halfvec(2)$$, $$'{}/3'::sparsevec::sparsevec(2)$$,
	$$'[1,2,3]'::vector::halfvec(2)$$, $$'[1,2,3]'::halfvec::vector(2)$$,
	$$'[1,2,3]'::vector::sparsevec(2)$$, $$'[1,2,3]'::halfvec::sparsevec(2)$$,
	$$'{}/3'::sparsevec::vector(2)$$, $$'{}/3'::sparsevec::halfvec(2)$$,
	$$ARRAY[1,2,3]::vector(2)$$, $$ARRAY[1,2,3]::halfvec(2)$$, $$ARRAY[1,2,3]::sparsevec(2)$$,
	$$ARRAY[1,2,3]::real[]::vector(3)$$, $$'{"[1]","[2]"}'::vector[]$$,
	$$'{"[1]","[2]"}'::vector[]::halfvec[]$$,
	$$'[1]'::vector::float8[]$$, $$'{}/1'::sparsevec::real[]$$, $$'[1]'::vector::bit(1)$$,
	$$'[1,2]'::vector <-> '[1,3]'::halfvec$$, $$'[1,2]'::halfvec <-> '{1:1}/2'::sparsevec$$,
	$$'[1,2]'::vector <-> '{1:1}/2'::sparsevec$$, $$'[1,2]'::vector <-> ARRAY[1,2]$$,
	$$'[1,2]'::vector || 'x'$$, $$array_append('[1,2]'::vector, 3.0::real)$$
	]) WITH ORDINALITY AS u (expression, n)
ORDER BY n;

-- by assignment
CREATE TEMP TABLE t (v vector(2), h halfvec(2), s sparsevec(2), r real[]);
INSERT INTO t VALUES (ARRAY[1,2], ARRAY[1,2]::float8[], ARRAY[1,0]::numeric[], '[5,6]'::vector);
INSERT INTO t SELECT h, s, v, h FROM t;
SELECT * FROM t ORDER BY v;
ALTER TABLE t ALTER v TYPE halfvec(2), ALTER h TYPE vector(2), ALTER s TYPE vector(2);
SELECT * FROM t ORDER BY v;
ALTER TABLE t ALTER v TYPE halfvec(3);
