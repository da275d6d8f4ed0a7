--
-- hnsw_verify: what vecdb.verify_index() accepts, refuses and returns
--
-- That it sees damage is tested in test/t/025_hnsw_verify.pl.
--
CREATE TABLE verified (id int, v vector(3), half halfvec(80));
INSERT INTO verified
	SELECT i, ARRAY[i % 7, i % 11, i % 13]::vector,
		array_fill(i % 50 + 1, ARRAY[80])::halfvec
	FROM generate_series(1, 500) i;
CREATE INDEX verified_v ON verified USING hnsw (v vector_l2_ops);
CREATE INDEX verified_half ON verified USING hnsw (half halfvec_l2_ops);
CREATE INDEX verified_some ON verified USING hnsw (((v + v)::vector(3)) vector_l2_ops)
	WHERE id > 250;
CREATE INDEX verified_id ON verified (id);

-- no rows, no faults
SELECT * FROM vecdb.verify_index('verified_v');
SELECT * FROM vecdb.verify_index('verified_half', check_heap => true);
SELECT * FROM vecdb.verify_index('verified_some', check_heap => true);
SELECT * FROM vecdb.verify_index('verified_v', check_codes => false,
	check_heap => true);
DELETE FROM verified WHERE id % 2 = 0;
SELECT * FROM vecdb.verify_index('verified_v', check_heap => true);
INSERT INTO verified VALUES (501, NULL, NULL), (502, '[1,2,3]', NULL);
SELECT * FROM vecdb.verify_index('verified_v', check_heap => true);

-- options changed after the index was built
ALTER INDEX verified_v SET (m = 8);
SELECT * FROM vecdb.verify_index('verified_v');
REINDEX INDEX verified_v;
SELECT * FROM vecdb.verify_index('verified_v', check_heap => true);

-- empty, temporary, partitioned
CREATE TEMPORARY TABLE verified_temp (v vector(2));
CREATE INDEX verified_temp_v ON verified_temp USING hnsw (v vector_cosine_ops);
SELECT * FROM vecdb.verify_index('verified_temp_v', check_heap => true);
INSERT INTO verified_temp VALUES ('[0,0]'), ('[1,0]'), ('[1,0]');
SELECT * FROM vecdb.verify_index('verified_temp_v', check_heap => true);
CREATE TABLE verified_parts (id int, v vector(2)) PARTITION BY LIST (id);
CREATE INDEX verified_parts_v ON verified_parts USING hnsw (v vector_l2_ops);
SELECT * FROM vecdb.verify_index('verified_parts_v');

-- what cannot be verified
SELECT * FROM vecdb.verify_index('verified_id');
SELECT * FROM vecdb.verify_index('verified');
SELECT * FROM vecdb.verify_index(0);
SELECT * FROM vecdb.verify_index(NULL);

-- who may
CREATE ROLE regress_verify_nobody;
CREATE ROLE regress_verify_monitor;
GRANT pg_monitor TO regress_verify_monitor;
SET ROLE regress_verify_nobody;
SELECT * FROM vecdb.verify_index('verified_v');
SET ROLE regress_verify_monitor;
SELECT * FROM vecdb.verify_index('verified_v', check_heap => true);
RESET ROLE;
DROP ROLE regress_verify_nobody, regress_verify_monitor;
DROP TABLE verified, verified_parts;
