--
-- types_digits: a number becomes the float that PostgreSQL makes of it,
-- however many digits it has and whatever stands behind them
--
CREATE TEMPORARY TABLE numbers AS
SELECT sign || whole || '.' || fraction || exponent AS t
FROM unnest(ARRAY['', '-', '+']) sign,
	unnest(ARRAY['0', '1', '7654321', '12345678', '123456789', '1234567890123456', '99999999999999999999']) whole,
	unnest(ARRAY['', '5', '0000001', '00000001', '12345678', '87654321', '123456789', '1234567812345678', '12345678123456781']) fraction,
	unnest(ARRAY['', 'e0', 'e-8', 'E+12']) exponent;
INSERT INTO numbers SELECT left(digits, n) FROM generate_series(1, 25) n,
	unnest(ARRAY['1234567890123456789012345', '9999999999999999999999999', '0000000000000000000000001']) digits;
INSERT INTO numbers SELECT (random() * 10 ^ (random() * 20 - 10))::text FROM generate_series(1, 20000);
INSERT INTO numbers SELECT (random() - 0.5)::real::text FROM generate_series(1, 20000);
SELECT count(*) > 40000 AS many FROM numbers;
SELECT t FROM numbers WHERE format('[%s]', t)::vector <> ARRAY[t::real]::vector;
SELECT t FROM numbers WHERE format('[ %s ,%s]', t, t)::vector <> ARRAY[t::real, t::real]::vector;

-- as most literals have them, with and without blanks
SELECT t FROM numbers
WHERE format('[%s,%s, %s,%s  ,-%s,0.125,-0.125,0.125,0.125]', t, t, t, t, ltrim(t, '+-'))::vector <>
	ARRAY[t::real, t::real, t::real, t::real, -ltrim(t, '+-')::real, 0.125, -0.125, 0.125, 0.125]::vector;
SELECT t FROM numbers
WHERE abs(t::real) < 60000 AND
	format('[%s, %s,0.125,0.125,0.125,0.125,0.125]', t, t)::halfvec <>
	ARRAY[t::real, t::real, 0.125, 0.125, 0.125, 0.125, 0.125]::vector::halfvec;
SELECT '[0.5,-0.0,0.0000000000000001,1.0e-3,.5,2.,-9.99999999999999999,0.125,0.125]'::vector;
SELECT '[0.5,0.5,--0.5,0.125,0.125,0.125,0.125]'::vector;
SELECT '[0.5,0.5,,0.125,0.125,0.125,0.125,0.125]'::vector;
SELECT '[0.5,0.5;0.125,0.125,0.125,0.125,0.125]'::vector;

-- runs end anywhere, and there may be as many as a vector can have
SELECT n FROM generate_series(1, 200) n
WHERE format('[%s]', array_to_string(array_fill(0.25, ARRAY[n]), ','))::vector <> array_fill(0.25, ARRAY[n])::vector;
SELECT vector_dims(format('[%s]', array_to_string(array_fill(0.25, ARRAY[16000]), ','))::vector);
SELECT vector_dims(format('[%s]', array_to_string(array_fill(0.25, ARRAY[16001]), ','))::vector);

-- commas are counted eight characters at a time
SELECT n FROM generate_series(1, 40) n
WHERE vector_dims(format('[%s]', array_to_string(array_fill(1, ARRAY[n]), ','))::vector) <> n;

-- what only looks like digits
SELECT '[12345678:]'::vector;
SELECT '[1234567/]'::vector;
SELECT '[12345678a1234567]'::vector;
SELECT E'[1234567\u0663]'::vector;
DROP TABLE numbers;
