--
-- types_math: functions and operators of vector and halfvec compute what
-- they should, and refuse what cannot be computed
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

CREATE TEMP TABLE case_of (n serial, expression text);
-- T is the type
INSERT INTO case_of (expression) VALUES
	($$l2_distance('[0,0]'::T, '[3,4]')$$),
	($$'[0,0]'::T <-> '[0,1]'$$),
	($$l2_distance('[1,1,1,1,1,1,1,1,1]'::T, '[1,1,1,1,1,1,1,4,5]')$$),
	($$inner_product('[1,2]'::T, '[3,4]')$$),
	($$'[1,2]'::T <#> '[3,4]'$$),
	($$inner_product('[1,1,1,1,1,1,1,1,1]'::T, '[1,2,3,4,5,6,7,8,9]')$$),
	($$cosine_distance('[1,2]'::T, '[2,4]')$$),
	($$'[1,1]'::T <=> '[1,1]'$$),
	($$cosine_distance('[1,0]'::T, '[0,2]')$$),
	($$cosine_distance('[1,1]'::T, '[-1,-1]')$$),
	($$cosine_distance('[1,2]'::T, '[0,0]')$$),
	($$cosine_distance('[1,2,3,4,5,6,7,8,9]'::T, '[-1,-2,-3,-4,-5,-6,-7,-8,-9]')$$),
	($$l1_distance('[0,0]'::T, '[3,4]')$$),
	($$'[1,-2]'::T <+> '[-3,4]'$$),
	($$T_l2_squared_distance('[0,0]'::T, '[3,4]')$$),
	($$T_negative_inner_product('[1,2]'::T, '[3,4]')$$),
	($$T_spherical_distance('[1,0]'::T, '[0,1]')$$),
	($$T_spherical_distance('[1,0]'::T, '[-2,0]')$$),
	($$T_spherical_distance('[2,0]'::T, '[2,0]')$$),
	($$vector_dims('[1,2,3]'::T)$$),
	($$l2_normalize('[3,4]'::T)$$),
	($$l2_normalize('[0,-0.1,0]'::T)$$),
	($$l2_normalize('[0,0]'::T)$$),
	($$binary_quantize('[1,0,-1]'::T)$$),
	($$binary_quantize('[0,0.1,-0.2,-0.3,0.4,0.5,0.6,-0.7,0.8,-0.9,1]'::T)$$),
	($$subvector('[1,2,3,4,5]'::T, 1, 3)$$),
	($$subvector('[1,2,3,4,5]'::T, 3, 2)$$),
	($$subvector('[1,2,3,4,5]'::T, -1, 3)$$),
	($$subvector('[1,2,3,4,5]'::T, 3, 9)$$),
	($$subvector('[1,2,3,4,5]'::T, 1, 0)$$),
	($$subvector('[1,2,3,4,5]'::T, 3, -1)$$),
	($$subvector('[1,2,3,4,5]'::T, -1, 2)$$),
	($$subvector('[1,2,3,4,5]'::T, 6, 1)$$),
	($$subvector('[1,2,3,4,5]'::T, 2147483647, 10)$$),
	($$subvector('[1,2,3,4,5]'::T, 3, 2147483647)$$),
	($$subvector('[1,2,3,4,5]'::T, -2147483644, 2147483647)$$),
	($$subvector('[1,2,3,4,5]'::T, -2147483648, -2147483648)$$),
	($$'[1,2,3]'::T + '[4,5,-6]'$$),
	($$'[1,2,3]'::T - '[4,5,-6]'$$),
	($$'[1,2,3]'::T * '[4,5,-6]'$$),
	($$'[1,2,3]'::T || '[4,5]'$$),
	($$'[1e-3]'::T * '[0]'$$),
	-- dimensions that differ
	($$'[1,2]'::T <-> '[3]'$$),
	($$'[1,2]'::T <#> '[3]'$$),
	($$'[1,2]'::T <=> '[3]'$$),
	($$'[1,2]'::T <+> '[3]'$$),
	($$T_l2_squared_distance('[1,2]'::T, '[3]')$$),
	($$T_negative_inner_product('[1,2]'::T, '[3]')$$),
	($$T_spherical_distance('[1,2]'::T, '[3]')$$),
	($$inner_product('[1,2]'::T, '[3]')$$),
	($$'[1,2]'::T + '[3]'$$),
	($$'[1,2]'::T - '[3]'$$),
	($$'[1,2]'::T * '[3]'$$),
	($$vector_dims(('[' || repeat('1,', 15999) || '1]')::T || '[1]')$$),
	($$vector_dims(subvector(('[' || repeat('1,', 15999) || '1]')::T, 1, 16000))$$),
	-- NULL in, NULL out
	($$NULL::T <-> '[1]'$$),
	($$'[1]'::T + NULL$$),
	($$l2_normalize(NULL::T)$$);
SELECT type, expression, pg_temp.try(regexp_replace(expression, '\mT(\M|(?=_))', type, 'g'))
FROM unnest(ARRAY['vector', 'halfvec']) type, case_of
ORDER BY type DESC, n;

-- the ends of the range, which differ
SELECT expression, pg_temp.try(expression)
FROM unnest(ARRAY[
	$$vector_norm('[3,4]')$$, $$vector_norm('[0,0]')$$,
	$$vector_norm('[3e37,4e37]')$$, $$vector_norm('[3e-40,4e-40]')$$,
	$$l2_norm('[3,4]'::halfvec)$$, $$l2_norm('[65504,65504]'::halfvec)$$,
	$$l2_normalize('[3e38]'::vector)$$, $$l2_normalize('[65504]'::halfvec)$$,
	$$l2_normalize('[1e-45]'::vector)$$, $$l2_normalize('[6e-8]'::halfvec)$$,
	$$'[3e38]'::vector + '[3e38]'$$, $$'[-3e38]'::vector - '[3e38]'$$,
	$$'[1e37]'::vector * '[1e37]'$$, $$'[1e-37]'::vector * '[1e-37]'$$,
	$$'[65504]'::halfvec + '[65504]'$$, $$'[-65504]'::halfvec - '[65504]'$$,
	$$'[65504]'::halfvec + '[15]'$$, $$'[65504]'::halfvec + '[16]'$$,
	$$'[65504]'::halfvec * '[65504]'$$, $$'[1e-7]'::halfvec * '[1e-7]'$$,
	$$'[3e38]'::vector <-> '[-3e38]'$$, $$'[3e38]'::vector <#> '[-3e38]'$$,
	$$'[3e38]'::vector <=> '[3e38]'$$, $$'[3e38,3e38]'::vector <+> '[-3e38,-3e38]'$$,
	$$'[1e-40]'::vector <=> '[1e-40]'$$,
	$$'[65504]'::halfvec <-> '[-65504]'$$, $$'[6e-8]'::halfvec <=> '[6e-8]'$$
	]) WITH ORDINALITY AS u (expression, n)
ORDER BY n;

-- a function that only the other type has is not found by mistake
SELECT vector_norm('[3,4]'::halfvec);
SELECT l2_norm('[3,4]'::vector);

-- all lengths around the width of a register, against plain SQL
SELECT n
FROM generate_series(1, 140) n,
	LATERAL (SELECT array_agg(i % 7 - 3) AS a, array_agg(i % 5 - 2) AS b,
			sum(power(i % 7 - 3 - (i % 5 - 2), 2)) AS l2,
			sum((i % 7 - 3) * (i % 5 - 2)) AS ip,
			sum(abs(i % 7 - 3 - (i % 5 - 2))) AS l1
		FROM generate_series(1, n) i) x
WHERE a::vector <-> b::vector <> sqrt(l2)
	OR a::halfvec <-> b::halfvec <> sqrt(l2)
	OR a::sparsevec <-> b::sparsevec <> sqrt(l2)
	OR a::vector <#> b::vector <> -ip
	OR a::halfvec <#> b::halfvec <> -ip
	OR a::sparsevec <#> b::sparsevec <> -ip
	OR a::vector <+> b::vector <> l1
	OR a::halfvec <+> b::halfvec <> l1
	OR a::sparsevec <+> b::sparsevec <> l1;

-- values that are compressed, out of line or with a short header
CREATE TEMP TABLE t (v vector, h halfvec, s sparsevec);
INSERT INTO t VALUES ('[1,2]', '[1,2]', '{1:1,2:2}/2');
INSERT INTO t SELECT a::real[]::vector, a::real[]::halfvec, a::real[]::sparsevec
FROM (SELECT array_agg(1 + i % 2) AS a FROM generate_series(1, 9000) i) x;
ALTER TABLE t ALTER v SET STORAGE main, ALTER h SET STORAGE extended;
INSERT INTO t SELECT * FROM t;
SELECT pg_column_size(v), vector_dims(v), vector_norm(v), l2_norm(h), l2_norm(s), v <-> v, v <=> v, h <#> h, s <+> s
FROM t;
