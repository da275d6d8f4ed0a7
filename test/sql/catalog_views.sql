--
-- catalog_views: what the views show, who may see and change what, and what the
-- tables of the catalog refuse
--
SELECT current_database() AS before \gset
CREATE DATABASE catalog_views;
\c catalog_views
CREATE EXTENSION vecdb;

SELECT count(*) FROM vecdb.groups;
INSERT INTO vecdb.catalog_cluster (cluster_id, epoch) VALUES ('6b0c4f4e-3a5d-4d7e-9b56-0f8b6a6e2f01', 5);
INSERT INTO vecdb.catalog_group VALUES (1, 'active'), (2, 'active'), (3, 'draining');
INSERT INTO vecdb.catalog_host VALUES ('b', 5432, 1), ('a', 5433, 1), ('::1', 5434, 2);
INSERT INTO vecdb.catalog_local (cluster_id, group_id)
	SELECT cluster_id, 2 FROM vecdb.catalog_cluster;
INSERT INTO vecdb.catalog_colocation VALUES (1, 'hash', 4, '{integer}'), (2, 'range', 2, '{text}');
INSERT INTO vecdb.catalog_shard VALUES
	(1, 0, 1, NULL, NULL), (1, 1, 2, NULL, NULL), (1, 2, 1, NULL, NULL), (1, 3, 2, NULL, NULL),
	(2, 0, 1, NULL, 'n'), (2, 1, 1, 'n', NULL);
CREATE TABLE items (id int PRIMARY KEY);
CREATE SCHEMA secret;
CREATE TABLE secret.names (name text);
CREATE TABLE countries (code text);
INSERT INTO vecdb.catalog_table VALUES
	('public', 'items', 'd', 1, '{id}'), ('secret', 'names', 'd', 2, '{name}'),
	('public', 'countries', 'r', NULL, NULL);

CREATE ROLE vecdb_test_user;
SET ROLE vecdb_test_user;
SELECT group_id, state, is_local, hosts, shards FROM vecdb.groups ORDER BY 1;
SELECT * FROM vecdb.nodes ORDER BY 1;
SELECT * FROM vecdb.tables ORDER BY table_name::text COLLATE "C";
SELECT * FROM vecdb.shards ORDER BY colocation_id, shard;
SELECT * FROM vecdb.balance ORDER BY 1, 2;
SELECT vecdb.cluster_id(), vecdb.local_group(), vecdb.shard_of('items', 1) IS NOT NULL AS shard;
-- reading is all
INSERT INTO vecdb.catalog_group VALUES (4);
UPDATE vecdb.catalog_cluster SET epoch = 6;
DELETE FROM vecdb.catalog_table;
TRUNCATE vecdb.catalog_shard;
SELECT epoch FROM vecdb.catalog_cluster FOR UPDATE;
SELECT * FROM vecdb.catalog_commit;
SELECT vecdb.resume_membership();
CREATE TEMP TABLE mine (a int);
CREATE TRIGGER noise AFTER INSERT ON mine EXECUTE FUNCTION vecdb.catalog_changed();
DROP TABLE mine;
RESET ROLE;
DROP ROLE vecdb_test_user;

-- tables that are not there (any more) have no name
DROP TABLE countries;
SELECT table_name, kind, groups FROM vecdb.tables ORDER BY kind, table_name::text COLLATE "C";

-- one cluster, one group that is this one
INSERT INTO vecdb.catalog_cluster (cluster_id) VALUES ('6b0c4f4e-3a5d-4d7e-9b56-0f8b6a6e2f02');
INSERT INTO vecdb.catalog_cluster (one, cluster_id) VALUES (false, '6b0c4f4e-3a5d-4d7e-9b56-0f8b6a6e2f02');
UPDATE vecdb.catalog_local SET cluster_id = '6b0c4f4e-3a5d-4d7e-9b56-0f8b6a6e2f02';
-- groups, hosts
INSERT INTO vecdb.catalog_group VALUES (0);
INSERT INTO vecdb.catalog_host VALUES ('a', 5433, 2);
INSERT INTO vecdb.catalog_host VALUES ('', 5433, 2);
INSERT INTO vecdb.catalog_host VALUES ('a', 65536, 2);
INSERT INTO vecdb.catalog_host VALUES ('c', 5432, 9);
DELETE FROM vecdb.catalog_group WHERE group_id = 2;
-- shards, tables
INSERT INTO vecdb.catalog_colocation VALUES (3, 'hash', 12, '{integer}');
INSERT INTO vecdb.catalog_colocation VALUES (3, 'round robin', 8, '{integer}');
INSERT INTO vecdb.catalog_colocation VALUES (3, 'range', 8, '{integer,integer}');
INSERT INTO vecdb.catalog_colocation VALUES (3, 'custom', 65537, '{integer}');
INSERT INTO vecdb.catalog_colocation VALUES (3, 'hash', 8, '{}');
INSERT INTO vecdb.catalog_shard VALUES (1, 3, 1);
INSERT INTO vecdb.catalog_shard VALUES (1, 4, 9);
INSERT INTO vecdb.catalog_shard VALUES (1, -1, 1);
DELETE FROM vecdb.catalog_colocation WHERE colocation_id = 1;
INSERT INTO vecdb.catalog_table VALUES ('public', 'other', 'x');
INSERT INTO vecdb.catalog_table VALUES ('public', 'other', 'd');
INSERT INTO vecdb.catalog_table VALUES ('public', 'other', 'r', 1, '{id}');
INSERT INTO vecdb.catalog_table VALUES ('public', 'items', 'r');
-- a function for triggers only
SELECT vecdb.catalog_changed();
SELECT attname FROM pg_attribute WHERE attrelid = 'vecdb.catalog_commit'::regclass AND attnum > 0 ORDER BY attnum;

\c :before
DROP DATABASE catalog_views;
