--
-- types_bit: Hamming and Jaccard distance of bit strings
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

SELECT expression, pg_temp.try(expression)
FROM unnest(ARRAY[
	$$hamming_distance(B'111', B'111')$$, $$B'111' <~> B'110'$$,
	$$B'111' <~> B'000'$$, $$B'' <~> B''$$,
	$$repeat('1', 1000)::bit(1000) <~> repeat('10', 500)::bit(1000)$$,
	$$jaccard_distance(B'1111', B'1111')$$, $$B'1111' <%> B'1110'$$,
	$$B'1111' <%> B'1100'$$, $$B'1100' <%> B'1000'$$, $$B'1000' <%> B'0100'$$,
	$$B'1111' <%> B'0000'$$, $$B'0000' <%> B'0000'$$, $$B'' <%> B''$$,
	$$repeat('1', 1000)::bit(1000) <%> repeat('10', 500)::bit(1000)$$,
	$$B'111' <~> B'11'$$, $$B'111' <%> B'11'$$, $$B'' <~> B'1'$$,
	$$NULL::bit <~> B'1'$$, $$B'1'::varbit <~> B'0'::varbit$$
	]) WITH ORDINALITY AS u (expression, n)
ORDER BY n;

-- all lengths around the width of a register, against plain SQL
SELECT n
FROM (SELECT generate_series(1, 140) UNION SELECT generate_series(500, 530)) u (n),
	LATERAL (SELECT left(repeat('1101001110001011', 70), n) AS a,
		left(repeat('101100111000', 100), n) AS b
		OFFSET 0) x,
	LATERAL (SELECT count(*) FILTER (WHERE substr(a, i, 1) <> substr(b, i, 1)) AS differ,
		count(*) FILTER (WHERE substr(a, i, 1) = '1' AND substr(b, i, 1) = '1') AS both_set
		FROM generate_series(1, n) i) c
WHERE a::varbit <~> b::varbit <> differ
	OR abs((a::varbit <%> b::varbit) - (1 - both_set::float8 / (both_set + differ))) > 1e-12;
