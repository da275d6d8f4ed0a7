--
-- catalog_shards: which shard a key belongs to
--
-- A cluster of two groups is written into the catalog by hand.
--
SELECT current_database() AS before \gset
CREATE DATABASE catalog_shards;
\c catalog_shards
CREATE EXTENSION vecdb;

INSERT INTO vecdb.catalog_cluster (cluster_id) VALUES ('6b0c4f4e-3a5d-4d7e-9b56-0f8b6a6e2f01');
INSERT INTO vecdb.catalog_group VALUES (1), (2);
INSERT INTO vecdb.catalog_local (cluster_id, group_id)
	SELECT cluster_id, 1 FROM vecdb.catalog_cluster;
INSERT INTO vecdb.catalog_colocation VALUES
	(1, 'hash', 256, '{bigint}'), (2, 'hash', 64, '{text}'),
	(3, 'hash', 256, '{uuid,integer}'), (4, 'hash', 1, '{integer}');
INSERT INTO vecdb.catalog_shard (colocation_id, shard, group_id)
	SELECT colocation_id, s - 1, g
	FROM vecdb.catalog_colocation,
		unnest(vecdb.plan_placement(shard_count, '{1,2}')) WITH ORDINALITY p (g, s);

CREATE TABLE by_bigint (id bigint PRIMARY KEY, v vector(2));
CREATE TABLE by_integer (id integer PRIMARY KEY, v vector(2));
CREATE TABLE by_text (filler int, name text COLLATE "C");
CREATE TABLE by_varchar (name varchar(20));
CREATE TABLE by_two (id int, tenant uuid);
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE TABLE by_domain (id positive);
CREATE TABLE one_shard (id int);
INSERT INTO vecdb.catalog_table VALUES
	('public', 'by_bigint', 'd', 1, '{id}'),
	('public', 'by_integer', 'd', 1, '{id}'),
	('public', 'by_domain', 'd', 1, '{id}'),
	('public', 'by_text', 'd', 2, '{name}'),
	('public', 'by_varchar', 'd', 2, '{name}'),
	('public', 'by_two', 'd', 3, '{tenant,id}'),
	('public', 'one_shard', 'd', 4, '{id}');

-- the same as PostgreSQL's own functions
SELECT bool_and(vecdb.shard_of('by_bigint', i) = (hashint8extended(i, 0) & 255)) AS bigint,
	bool_and(vecdb.shard_of('by_integer', i) = (hashint4extended(i, 0) & 255)) AS integer,
	bool_and(vecdb.shard_of('by_integer', i) = vecdb.shard_of('by_bigint', i)) AS "both alike",
	bool_and(vecdb.shard_of('by_domain', i) = vecdb.shard_of('by_bigint', i)) AS domain,
	bool_and(vecdb.shard_of('by_text', i::text) = (hashtextextended(i::text, 0) & 63)) AS text,
	bool_and(vecdb.shard_of('by_varchar', i::text) = vecdb.shard_of('by_text', i)) AS varchar,
	bool_and(vecdb.shard_of('one_shard', i) = 0) AS one,
	count(DISTINCT vecdb.shard_of('by_bigint', i)) AS shards
FROM generate_series(1, 5000) i;
SELECT vecdb.shard_of('by_bigint', -1) = (hashint8extended(-1, 0) & 255) AS negative,
	vecdb.shard_of('by_bigint', 9223372036854775807) = (hashint8extended(9223372036854775807, 0) & 255) AS largest,
	vecdb.shard_of('by_text', '') = (hashtextextended('', 0) & 63) AS empty;
-- two columns: hash_combine64(), of which these are the last eight bits
SELECT bool_and(vecdb.shard_of('by_two', u, i) =
	((a # ((b & 255) + 227 + ((a >> 7) & 255))) & 255)) AS two,
	count(DISTINCT vecdb.shard_of('by_two', u, i)) AS shards
FROM generate_series(1, 5000) i, md5(i::text) m, CAST(m AS uuid) u,
	uuid_hash_extended(u, 0) a, hashint4extended(i, 0) b;

-- values are cast as in an assignment, or by their text
SELECT vecdb.shard_of('by_bigint', 7), vecdb.shard_of('by_bigint', 7::smallint),
	vecdb.shard_of('by_bigint', 7.0), vecdb.shard_of('by_bigint', '7'),
	vecdb.shard_of('by_bigint', '7'::text), vecdb.shard_of('by_bigint', VARIADIC ARRAY[7]);
SELECT vecdb.shard_of('by_bigint', 'seven');
-- the group is that of the shard
SELECT bool_and(vecdb.group_of('by_text', i) =
	(SELECT group_id FROM vecdb.catalog_shard
	 WHERE colocation_id = 2 AND shard = vecdb.shard_of('by_text', i)))
FROM generate_series(1, 300) i;

-- no key, half a key, too much of it, no table
SELECT vecdb.shard_of(NULL, 1) IS NULL AS "null";
SELECT vecdb.shard_of('by_bigint', NULL::bigint);
SELECT vecdb.group_of('by_two', '00000000-0000-0000-0000-000000000000'::uuid, NULL);
SELECT vecdb.shard_of('by_two', 1);
SELECT vecdb.shard_of('by_bigint', 1, 2);
CREATE TABLE ordinary (id int);
INSERT INTO vecdb.catalog_table VALUES ('public', 'reference', 'r');
CREATE TABLE reference (id int);
SELECT vecdb.shard_of('ordinary', 1);
SELECT vecdb.shard_of('reference', 1);
SELECT vecdb.shard_of('pg_class', 1);
-- a temporary table of the same name is another
CREATE TEMP TABLE by_bigint (id bigint);
SELECT vecdb.shard_of('by_bigint', 1);
DROP TABLE pg_temp.by_bigint;
SELECT vecdb.shard_of('by_bigint', 1) IS NOT NULL AS found;

-- ranges: the lower bound belongs to the shard, the upper one does not; their
-- order is not that of the shards
INSERT INTO vecdb.catalog_colocation VALUES
	(10, 'range', 4, '{integer}'), (11, 'range', 3, '{date}'), (12, 'range', 2, '{text}');
INSERT INTO vecdb.catalog_shard (colocation_id, shard, group_id, low, high) VALUES
	(10, 0, 2, '100', '200'), (10, 1, 1, NULL, '0'), (10, 2, 1, '0', '100'), (10, 3, 2, '300', NULL),
	(11, 0, 1, '2024-01-01', '2024-07-01'), (11, 1, 2, '2024-07-01', '2025-01-01'), (11, 2, 2, '2025-01-01', 'infinity'),
	(12, 0, 1, NULL, 'm'), (12, 1, 2, 'm', NULL);
CREATE TABLE by_range (id int);
CREATE TABLE by_date (day date);
CREATE TABLE by_letter (name text COLLATE "C");
INSERT INTO vecdb.catalog_table VALUES
	('public', 'by_range', 'd', 10, '{id}'), ('public', 'by_date', 'd', 11, '{day}'),
	('public', 'by_letter', 'd', 12, '{name}');
SELECT i, vecdb.shard_of('by_range', i) AS shard, vecdb.group_of('by_range', i) AS "group"
FROM unnest(ARRAY[-2147483648, -1, 0, 99, 100, 199, 300, 2147483647]) i;
SELECT vecdb.shard_of('by_range', 200);
SELECT vecdb.shard_of('by_range', 299);
SELECT name, vecdb.shard_of('by_letter', name) FROM unnest(ARRAY['', 'lz', 'm', 'Z', 'z']) name;
-- what bounds mean does not depend on settings
SET datestyle = 'SQL, DMY';
SELECT vecdb.shard_of('by_date', '30/06/2024'::date), vecdb.shard_of('by_date', '01/07/2024'::date);
SHOW datestyle;
RESET datestyle;
SELECT vecdb.shard_of('by_date', 'infinity'::date);

-- lists, with and without a shard for all other values
INSERT INTO vecdb.catalog_colocation VALUES (20, 'list', 3, '{text}'), (21, 'list', 2, '{text}');
INSERT INTO vecdb.catalog_shard (colocation_id, shard, group_id, list_values) VALUES
	(20, 0, 1, '{de,at,ch}'), (20, 1, 2, '{fr}'), (20, 2, 1, NULL),
	(21, 0, 1, '{x,z}'), (21, 1, 2, '{y}');
CREATE TABLE by_list (country text);
CREATE TABLE by_strict_list (axis "char");
INSERT INTO vecdb.catalog_table VALUES
	('public', 'by_list', 'd', 20, '{country}'), ('public', 'by_strict_list', 'd', 21, '{axis}');
SELECT c, vecdb.shard_of('by_list', c) FROM unnest(ARRAY['at', 'ch', 'de', 'fr', 'gb', '']) c;
SELECT vecdb.shard_of('by_strict_list', 'x'), vecdb.shard_of('by_strict_list', 'y'), vecdb.shard_of('by_strict_list', 'z');
SELECT vecdb.shard_of('by_strict_list', 't');

-- functions of the user
INSERT INTO vecdb.catalog_colocation VALUES (30, 'custom', 4, '{integer,text}');
INSERT INTO vecdb.catalog_shard (colocation_id, shard, group_id) SELECT 30, s, 1 + s % 2 FROM generate_series(0, 3) s;
CREATE FUNCTION my_shard(a int, b text) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a + length(b)';
CREATE TABLE by_function (a int, b text);
INSERT INTO vecdb.catalog_table VALUES ('public', 'by_function', 'd', 30, '{a,b}', 'public.my_shard(integer,text)');
SELECT vecdb.shard_of('by_function', 1, 'ab'), vecdb.group_of('by_function', 1, 'ab');
SELECT vecdb.shard_of('by_function', 2, 'ab');
SELECT vecdb.shard_of('by_function', -1, '');
CREATE OR REPLACE FUNCTION my_shard(a int, b text) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT NULLIF(a, 3)';
SELECT vecdb.shard_of('by_function', 2, 'ab');
SELECT vecdb.shard_of('by_function', 3, 'ab');
DROP FUNCTION my_shard(int, text);
SELECT vecdb.shard_of('by_function', 2, 'ab');
CREATE FUNCTION my_shard(a int, b text) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 3; END';
SELECT vecdb.shard_of('by_function', 2, 'ab');
UPDATE vecdb.catalog_table SET shard_function = 'pg_catalog.left(text,integer)' WHERE table_name = 'by_function';
SELECT vecdb.shard_of('by_function', 2, 'ab');
UPDATE vecdb.catalog_table SET shard_function = NULL WHERE table_name = 'by_function';
SELECT vecdb.shard_of('by_function', 2, 'ab');

-- types that cannot
CREATE TABLE by_json (j json, p point);
INSERT INTO vecdb.catalog_table VALUES ('public', 'by_json', 'd', 1, '{j}');
SELECT vecdb.shard_of('by_json', '{}');
UPDATE vecdb.catalog_table SET colocation_id = 20, key_columns = '{p}' WHERE table_name = 'by_json';
SELECT vecdb.shard_of('by_json', '(1,2)');

\c :before
DROP DATABASE catalog_shards;
