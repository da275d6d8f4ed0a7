--
-- types_sparsevec: text, functions and operators of sparsevec
--
\pset format unaligned
\pset tuples_only on
SET extra_float_digits = 0;
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

-- literals
SELECT quote_literal(text), pg_temp.try(format('%L::sparsevec', text))
FROM unnest(ARRAY[
		'{1:1.5,3:3.5}/5', '{}/5', '{ }/5', '{3:3,1:1,2:2}/3', '{1:0,2:-0,3:1}/3',
		E' { 1 : 1.5 ,\t2\n: 2 } / 5 ', '{+1:+1}/+1', '{1:1}/1000000000',
		'{1000000000:1}/1000000000', '{0:0}/1', '{9:0,-5:0}/1', '{01:1}/1',
		'{1:1e-45}/1', '{1:0e-999}/1',
		'', '{', '{}', '{}/', '{1:1}', '{1:1}/', '{1:1}/x', '{,}/1', '{1:1,}/2',
		'{1:}/1', '{1}/1', '{:1}/1', '{1:1 2:2}/2', '{1:1;2:2}/2', '[1]/1',
		'{a:1}/1', '{1:a}/1', '{1.5:1}/2', '{1:1}/1.5', '{1:1}/1x', '{1:1}/1 1',
		'{1:1}5', '{1:1}/5,1', '{1:1}//5', '1:1/5',
		'{0:1}/1', '{-1:1}/1', '{2:1}/1', '{1:1,1:2}/2', '{2147483648:1}/1',
		'{-2147483649:1}/1', '{99999999999999999999:1}/1',
		'{}/0', '{}/-1', '{}/1000000001', '{}/99999999999999999999',
		'{}/-99999999999999999999',
		'{1:NaN}/1', '{1:Infinity}/1', '{1:-inf}/1', '{1:4e38}/1', '{1:-4e38}/1',
		'{1:1e-46}/1', '{1:-1e-400}/1']) WITH ORDINALITY AS u (text, n)
ORDER BY n;

-- number of elements
SELECT n, pg_temp.try(format($$SELECT l2_norm(('{' || string_agg(i || ':1', ',') || '}/20000')::sparsevec)
		FROM generate_series(1, %s) i$$, n))
FROM unnest(ARRAY[16000, 16001]) n ORDER BY n;

-- the type modifier
SELECT modifier, pg_temp.try(format('''{1:1}/3''::sparsevec(%s)', modifier))
FROM unnest(ARRAY['3', '2', '1000000000', '0', '-1', '1000000001', '3,3'])
	WITH ORDINALITY AS u (modifier, n)
ORDER BY n;

-- functions and operators
SELECT expression, pg_temp.try(expression)
FROM unnest(ARRAY[
	$$l2_distance('{}/2'::sparsevec, '{1:3,2:4}/2')$$,
	$$'{1:3}/2'::sparsevec <-> '{2:4}/2'$$,
	$$'{1:3,2:4}/2'::sparsevec <-> '{}/2'$$,
	$$'{1:3,4:4,5:1}/9'::sparsevec <-> '{2:3,4:1,9:2}/9'$$,
	$$sparsevec_l2_squared_distance('{}/2', '{1:3,2:4}/2')$$,
	$$inner_product('{1:1,2:2}/3'::sparsevec, '{2:4,3:5}/3')$$,
	$$'{1:1,2:2}/2'::sparsevec <#> '{1:3,2:4}/2'$$,
	$$'{1:1}/2'::sparsevec <#> '{2:4}/2'$$,
	$$sparsevec_negative_inner_product('{1:1,2:2}/2', '{1:3,2:4}/2')$$,
	$$cosine_distance('{1:1,2:2}/2'::sparsevec, '{1:2,2:4}/2')$$,
	$$'{1:1}/2'::sparsevec <=> '{2:2}/2'$$,
	$$'{1:1,2:1}/2'::sparsevec <=> '{1:-1,2:-1}/2'$$,
	$$'{1:1}/2'::sparsevec <=> '{}/2'$$,
	$$'{1:3e38}/1'::sparsevec <=> '{1:3e38}/1'$$,
	$$l1_distance('{}/2'::sparsevec, '{1:3,2:-4}/2')$$,
	$$'{1:3,4:4,5:1}/9'::sparsevec <+> '{2:3,4:1,9:2}/9'$$,
	$$'{1:3e38}/1'::sparsevec <-> '{1:-3e38}/1'$$,
	$$l2_norm('{1:3,2:4}/2'::sparsevec)$$,
	$$l2_norm('{1:3e37,2:4e37}/2'::sparsevec)$$,
	$$l2_norm('{}/2'::sparsevec)$$,
	$$l2_normalize('{1:3,2:4}/2'::sparsevec)$$,
	$$l2_normalize('{2:0.1}/2'::sparsevec)$$,
	$$l2_normalize('{}/2'::sparsevec)$$,
	$$l2_normalize('{1:3e38,3:1e-45}/3'::sparsevec)$$,
	$$'{}/2'::sparsevec <-> '{}/3'$$,
	$$'{}/2'::sparsevec <#> '{}/3'$$,
	$$'{}/2'::sparsevec <=> '{}/3'$$,
	$$'{}/2'::sparsevec <+> '{}/3'$$,
	$$inner_product('{}/2'::sparsevec, '{}/3')$$,
	$$sparsevec_l2_squared_distance('{}/2', '{}/3')$$,
	$$sparsevec_negative_inner_product('{}/2', '{}/3')$$,
	$$l2_norm(NULL::sparsevec)$$
	]) WITH ORDINALITY AS u (expression, n)
ORDER BY n;
