--
-- catalog_cache: what a session knows of the cluster is what is committed, and
-- what its own transaction has done
--
SELECT current_database() AS before \gset
CREATE DATABASE catalog_cache;
\c catalog_cache
CREATE EXTENSION vecdb;

SELECT vecdb.cluster_id() IS NULL AS none, vecdb.local_group() IS NULL AS none;
BEGIN;
INSERT INTO vecdb.catalog_cluster (cluster_id) VALUES ('6b0c4f4e-3a5d-4d7e-9b56-0f8b6a6e2f01');
-- which group this is nobody has said
SELECT vecdb.cluster_id();
INSERT INTO vecdb.catalog_group VALUES (1), (2);
INSERT INTO vecdb.catalog_local (cluster_id, group_id)
	SELECT cluster_id, 1 FROM vecdb.catalog_cluster;
SELECT vecdb.cluster_id(), vecdb.local_group();
ROLLBACK;
SELECT vecdb.cluster_id(), vecdb.local_group();

INSERT INTO vecdb.catalog_cluster (cluster_id) VALUES ('6b0c4f4e-3a5d-4d7e-9b56-0f8b6a6e2f01');
INSERT INTO vecdb.catalog_group VALUES (1), (2), (3);
INSERT INTO vecdb.catalog_local (cluster_id, group_id)
	SELECT cluster_id, 2 FROM vecdb.catalog_cluster;
INSERT INTO vecdb.catalog_colocation VALUES (1, 'hash', 2, '{integer}'), (2, 'hash', 1, '{integer}');
INSERT INTO vecdb.catalog_shard (colocation_id, shard, group_id) VALUES (1, 0, 1), (1, 1, 2), (2, 0, 3);
CREATE TABLE items (id int, other int);
CREATE FUNCTION ask() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN vecdb.shard_of('items', 1) || ' of group ' || vecdb.group_of('items', 1);
EXCEPTION WHEN OTHERS THEN
	RETURN SQLERRM;
END $$;
SELECT ask();
INSERT INTO vecdb.catalog_table VALUES ('public', 'items', 'd', 1, '{id}');
SELECT ask();

-- commands, savepoints and their end
BEGIN;
UPDATE vecdb.catalog_shard SET group_id = 3 - group_id WHERE colocation_id = 1;
SELECT ask();
SAVEPOINT a;
UPDATE vecdb.catalog_table SET colocation_id = 2;
SELECT ask();
SAVEPOINT b;
DELETE FROM vecdb.catalog_table;
SELECT ask();
ROLLBACK TO b;
SELECT ask();
ROLLBACK TO a;
SELECT ask();
SAVEPOINT c;
DELETE FROM vecdb.catalog_table;
RELEASE c;
SELECT ask();
ROLLBACK;
SELECT ask();
-- an error takes back as well
BEGIN;
TRUNCATE vecdb.catalog_table;
SELECT ask();
SELECT 1 / 0;
SELECT ask();
ROLLBACK;
SELECT ask();
-- triggers fire whatever the role of the session is
SET session_replication_role = replica;
UPDATE vecdb.catalog_shard SET group_id = 3 - group_id WHERE colocation_id = 1;
SELECT ask();
UPDATE vecdb.catalog_shard SET group_id = 3 - group_id WHERE colocation_id = 1;
RESET session_replication_role;
SELECT ask();

-- within one statement it stays as it was, and changes for the next
CREATE FUNCTION change_and_ask() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	before text := ask();
BEGIN
	UPDATE vecdb.catalog_shard SET group_id = 3 - group_id WHERE colocation_id = 1;
	RETURN before || ', then ' || ask();
END $$;
SELECT change_and_ask() FROM generate_series(1, 3);

-- the table changes: its name, its columns, its schema
BEGIN;
ALTER TABLE items RENAME TO things;
SELECT vecdb.shard_of('things', 1);
ROLLBACK;
BEGIN;
ALTER TABLE items RENAME TO things;
UPDATE vecdb.catalog_table SET table_name = 'things';
SELECT vecdb.shard_of('things', 1) IS NOT NULL AS found;
ROLLBACK;
BEGIN;
ALTER TABLE items RENAME id TO key;
SELECT ask();
UPDATE vecdb.catalog_table SET key_columns = '{key}';
SELECT ask();
ROLLBACK;
BEGIN;
CREATE SCHEMA elsewhere;
ALTER TABLE items SET SCHEMA elsewhere;
CREATE TABLE items (id int);
SELECT ask();
SELECT vecdb.shard_of('elsewhere.items', 1);
ROLLBACK;
BEGIN;
DROP TABLE items;
CREATE TABLE items (other int, id text);
SELECT ask();
ROLLBACK;
SELECT ask();

-- a catalog that contradicts itself says so where it is used, and can be mended
BEGIN;
INSERT INTO vecdb.catalog_colocation VALUES (3, 'hash', 4, '{integer}');
INSERT INTO vecdb.catalog_shard (colocation_id, shard, group_id) VALUES (3, 0, 1), (3, 1, 1), (3, 3, 1);
UPDATE vecdb.catalog_table SET colocation_id = 3;
SELECT ask();
INSERT INTO vecdb.catalog_shard (colocation_id, shard, group_id) VALUES (3, 2, 1);
SELECT ask();
ROLLBACK;

-- parallel workers know it, too
CREATE TABLE many AS SELECT i FROM generate_series(1, 20000) i;
ANALYZE many;
SET min_parallel_table_scan_size = 0;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET parallel_leader_participation = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM many WHERE vecdb.shard_of('items', i) = (hashint4extended(i, 0) & 1) AND vecdb.local_group() = 2;
SELECT count(*) FROM many WHERE vecdb.shard_of('items', i) = (hashint4extended(i, 0) & 1) AND vecdb.local_group() = 2;
RESET min_parallel_table_scan_size;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET parallel_leader_participation;
-- and read-only transactions of any isolation level
BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY;
SELECT ask();
COMMIT;

-- a copy of the database is not a member, until somebody says so
UPDATE vecdb.catalog_local SET system_identifier = '1';
SELECT vecdb.cluster_id(), vecdb.local_group();
SELECT ask();
SELECT vecdb.resume_membership();
SELECT ask();
UPDATE vecdb.catalog_local SET database_id = 1;
SELECT ask();
UPDATE vecdb.catalog_local SET database_id = vecdb.database_id();
SELECT ask();

-- is this session one that another node has begun?
SELECT vecdb.is_internal();
SET vecdb.internal = on;

-- the extension goes, and comes back
BEGIN;
DROP EXTENSION vecdb CASCADE;
CREATE EXTENSION vecdb;
SELECT vecdb.cluster_id() IS NULL AS none;
INSERT INTO vecdb.catalog_cluster (cluster_id) VALUES ('6b0c4f4e-3a5d-4d7e-9b56-0f8b6a6e2f02');
INSERT INTO vecdb.catalog_local (cluster_id, group_id)
	SELECT cluster_id, 7 FROM vecdb.catalog_cluster;
SELECT vecdb.cluster_id(), vecdb.local_group();
ROLLBACK;
SELECT vecdb.cluster_id(), vecdb.local_group();

\c :before
DROP DATABASE catalog_cache;
