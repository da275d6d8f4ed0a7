--
-- hnsw_validate: operator classes of ours and of others, good and broken
--
SELECT count(*), bool_and(amvalidate(c.oid)) FROM pg_opclass c JOIN pg_am a ON a.oid = opcmethod WHERE amname = 'hnsw';

-- broken ones; amvalidate says what is wrong
CREATE FUNCTION valid(name text) RETURNS bool LANGUAGE sql
	AS 'SELECT amvalidate(oid) FROM pg_opclass WHERE opcname = name';
CREATE OPERATOR CLASS broken_1 FOR TYPE vector USING hnsw AS OPERATOR 1 <-> (vector, vector) FOR ORDER BY float_ops;
SELECT valid('broken_1');
CREATE OPERATOR CLASS broken_2 FOR TYPE vector USING hnsw AS FUNCTION 1 vector_l2_squared_distance(vector, vector);
SELECT valid('broken_2');
CREATE OPERATOR CLASS broken_3 FOR TYPE vector USING hnsw AS
	OPERATOR 1 <-> (vector, vector) FOR ORDER BY float_ops, FUNCTION 1 vector_dims(vector);
SELECT valid('broken_3');
CREATE OPERATOR CLASS broken_4 FOR TYPE vector USING hnsw AS
	OPERATOR 1 <-> (vector, vector) FOR ORDER BY float_ops,
	OPERATOR 2 <#> (vector, vector) FOR ORDER BY float_ops,
	FUNCTION 1 vector_l2_squared_distance(vector, vector);
SELECT valid('broken_4');
CREATE OPERATOR CLASS broken_5 FOR TYPE vector USING hnsw AS
	OPERATOR 1 = (vector, vector), FUNCTION 1 vector_l2_squared_distance(vector, vector);
SELECT valid('broken_5');
CREATE OPERATOR CLASS broken_6 FOR TYPE vector USING hnsw AS
	OPERATOR 1 <-> (vector, vector) FOR ORDER BY float_ops,
	FUNCTION 1 vector_l2_squared_distance(vector, vector), FUNCTION 2 vector_dims(vector),
	FUNCTION 3 vector_norm(vector);
SELECT valid('broken_6');
CREATE OPERATOR CLASS broken_7 FOR TYPE vector USING hnsw AS
	OPERATOR 1 <-> (vector, vector) FOR ORDER BY float_ops, FUNCTION 4 vector_norm(vector);

-- indexes of broken classes are refused, or do no harm
\set VERBOSITY terse
CREATE TABLE t (id int, v vector(3));
INSERT INTO t SELECT g, ARRAY[g, 1, 0] FROM generate_series(1, 9) g;
CREATE INDEX ON t USING hnsw (v broken_1);
CREATE INDEX ON t USING hnsw (v broken_2);
SELECT id FROM t ORDER BY v <-> '[2,1,0]' LIMIT 2;
DROP INDEX IF EXISTS t_v_idx;
DROP OPERATOR FAMILY broken_1 USING hnsw;
DROP OPERATOR FAMILY broken_2 USING hnsw;
DROP OPERATOR FAMILY broken_3 USING hnsw;
DROP OPERATOR FAMILY broken_4 USING hnsw;
DROP OPERATOR FAMILY broken_5 USING hnsw;
DROP OPERATOR FAMILY broken_6 USING hnsw;

-- a class of one's own with a distance in SQL, of vectors and of a type that
-- the index does not know
CREATE FUNCTION chebyshev(vector, vector) RETURNS float8 LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
	AS 'SELECT max(abs(a - b))::float8 FROM unnest($1::float4[], $2::float4[]) u (a, b)';
CREATE OPERATOR <-^> (LEFTARG = vector, RIGHTARG = vector, FUNCTION = chebyshev, COMMUTATOR = <-^>);
CREATE OPERATOR CLASS chebyshev_ops FOR TYPE vector USING hnsw AS
	OPERATOR 1 <-^> (vector, vector) FOR ORDER BY float_ops, FUNCTION 1 chebyshev(vector, vector);
SELECT valid('chebyshev_ops');
CREATE INDEX ON t USING hnsw (v chebyshev_ops);
INSERT INTO t VALUES (10, '[2,6,0]'), (11, '[4,3,2]');
SET enable_seqscan = off;
SET jit = off;
EXPLAIN (COSTS OFF) SELECT id FROM t ORDER BY v <-^> '[2,5,1]' LIMIT 4;
SELECT id, round((v <-^> '[6.3,1.2,0.1]')::numeric, 3) FROM t ORDER BY v <-^> '[6.3,1.2,0.1]' LIMIT 4;
SELECT id FROM t ORDER BY v <-^> '[4.2,3.3,1.5]' LIMIT 1;
REINDEX INDEX t_v_idx;
SELECT id, round((v <-^> '[6.3,1.2,0.1]')::numeric, 3) FROM t ORDER BY v <-^> '[6.3,1.2,0.1]' LIMIT 4;
SELECT id FROM t ORDER BY v <-^> '[4.2,3.3,1.5]' LIMIT 1;
-- also with many dimensions
CREATE TABLE wide (id int, v vector(100));
INSERT INTO wide SELECT g, array_fill(g, ARRAY[100]) FROM generate_series(1, 30) g;
CREATE INDEX ON wide USING hnsw (v chebyshev_ops);
SELECT id FROM wide ORDER BY v <-^> array_fill(7.2, ARRAY[100])::vector LIMIT 3;
-- a function that fails, in the middle of an insertion and of a build
CREATE FUNCTION moody(vector, vector) RETURNS float8 LANGUAGE plpgsql IMMUTABLE STRICT
	SET search_path = public AS $$
BEGIN
	IF vector_norm($1) > 1000 OR vector_norm($2) > 1000 THEN
		RAISE EXCEPTION 'too long';
	END IF;
	RETURN $1 <-> $2;
END $$;
CREATE OPERATOR <-!> (LEFTARG = vector, RIGHTARG = vector, FUNCTION = moody);
CREATE OPERATOR CLASS moody_ops FOR TYPE vector USING hnsw AS
	OPERATOR 1 <-!> (vector, vector) FOR ORDER BY float_ops, FUNCTION 1 moody(vector, vector);
DROP INDEX t_v_idx;
CREATE INDEX ON t USING hnsw (v moody_ops);
INSERT INTO t VALUES (20, '[2000,0,0]');
SELECT id FROM t ORDER BY v <-!> '[2000,0,0]' LIMIT 1;
INSERT INTO t VALUES (21, '[1,5,1]');
SELECT id FROM t ORDER BY v <-!> '[1,5,1]' LIMIT 1;
DROP INDEX t_v_idx;
INSERT INTO t VALUES (20, '[2000,0,0]');
CREATE INDEX ON t USING hnsw (v moody_ops);
-- a type that is not ours
CREATE FUNCTION distance(int4, int4) RETURNS float8 LANGUAGE sql IMMUTABLE STRICT AS 'SELECT abs($1::float8 - $2)';
CREATE OPERATOR <-> (LEFTARG = int4, RIGHTARG = int4, FUNCTION = distance);
CREATE OPERATOR CLASS int_ops FOR TYPE int4 USING hnsw AS
	OPERATOR 1 <-> (int4, int4) FOR ORDER BY float_ops, FUNCTION 1 distance(int4, int4);
CREATE INDEX ON t USING hnsw (id int_ops);
CREATE OPERATOR CLASS int_ops_2 FOR TYPE int4 USING hnsw AS
	OPERATOR 1 <-> (int4, int4) FOR ORDER BY float_ops, FUNCTION 1 distance(int4, int4),
	FUNCTION 3 hnsw_halfvec_support(internal);
CREATE INDEX ON t USING hnsw (id int_ops_2);
DROP TABLE t, wide;
DROP OPERATOR FAMILY chebyshev_ops USING hnsw;
DROP OPERATOR FAMILY moody_ops USING hnsw;
DROP OPERATOR FAMILY int_ops USING hnsw;
DROP OPERATOR FAMILY int_ops_2 USING hnsw;
DROP OPERATOR <-^> (vector, vector);
DROP OPERATOR <-!> (vector, vector);
DROP OPERATOR <-> (int4, int4);
DROP FUNCTION chebyshev, moody, distance, valid;
