--
-- catalog: what the cluster is
--
-- All but catalog_local and catalog_commit hold the same rows on all groups.
-- They are written by vecdb's own functions and utility statements; what may
-- be written by hand, and how, is in src/catalog/README.
--

CREATE FUNCTION vecdb.catalog_changed() RETURNS trigger
	AS 'MODULE_PATHNAME', 'vecdb_catalog_changed'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION vecdb.catalog_changed() FROM PUBLIC;
COMMENT ON FUNCTION vecdb.catalog_changed() IS
	'trigger function: makes all sessions read the catalog of the cluster anew';

CREATE TABLE vecdb.catalog_cluster (
	one boolean PRIMARY KEY DEFAULT true CHECK (one),
	cluster_id uuid NOT NULL UNIQUE,
	epoch bigint NOT NULL DEFAULT 1 CHECK (epoch > 0),
	next_group_id integer NOT NULL DEFAULT 1 CHECK (next_group_id > 0),
	next_colocation_id integer NOT NULL DEFAULT 1 CHECK (next_colocation_id > 0),
	virtual_nodes integer NOT NULL DEFAULT 128
		CHECK (virtual_nodes BETWEEN 1 AND 4096)
);
COMMENT ON TABLE vecdb.catalog_cluster IS
	'one row: the cluster that this database belongs to; none: it belongs to none';
COMMENT ON COLUMN vecdb.catalog_cluster.epoch IS
	'grows with every change of the catalog';
COMMENT ON COLUMN vecdb.catalog_cluster.virtual_nodes IS
	'points of each group on the ring of consistent hashing';

CREATE FUNCTION vecdb.database_id() RETURNS oid
	AS 'MODULE_PATHNAME', 'vecdb_database_id'
	LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vecdb.database_id() IS
	'the identity of this database within its server';

CREATE TABLE vecdb.catalog_local (
	one boolean PRIMARY KEY DEFAULT true CHECK (one),
	cluster_id uuid NOT NULL REFERENCES vecdb.catalog_cluster (cluster_id),
	group_id integer NOT NULL CHECK (group_id BETWEEN 1 AND 1000000),
	system_identifier text NOT NULL
		DEFAULT (pg_catalog.pg_control_system()).system_identifier,
	database_id oid NOT NULL DEFAULT vecdb.database_id()
);
COMMENT ON TABLE vecdb.catalog_local IS
	'one row: which group of the cluster this database is; differs between groups';
COMMENT ON COLUMN vecdb.catalog_local.system_identifier IS
	'of the server that is the member; any other has a copy of the database';
COMMENT ON COLUMN vecdb.catalog_local.database_id IS
	'of the database that is the member; any other is a copy of it';

CREATE TABLE vecdb.catalog_group (
	group_id integer PRIMARY KEY CHECK (group_id BETWEEN 1 AND 1000000),
	state text NOT NULL DEFAULT 'active' CHECK (state <> '')
);
COMMENT ON TABLE vecdb.catalog_group IS
	'groups of the cluster: a primary and its standbys each';

CREATE TABLE vecdb.catalog_host (
	host text NOT NULL CHECK (host <> ''),
	port integer NOT NULL CHECK (port BETWEEN 1 AND 65535),
	group_id integer NOT NULL REFERENCES vecdb.catalog_group,
	PRIMARY KEY (host, port)
);
COMMENT ON TABLE vecdb.catalog_host IS
	'addresses of the servers of each group; which one is primary is not stored';

CREATE TABLE vecdb.catalog_colocation (
	colocation_id integer PRIMARY KEY CHECK (colocation_id > 0),
	strategy text NOT NULL
		CHECK (strategy IN ('hash', 'range', 'list', 'custom')),
	shard_count integer NOT NULL CHECK (shard_count BETWEEN 1 AND 65536),
	key_types text[] NOT NULL CHECK (cardinality(key_types) > 0),
	CHECK (strategy <> 'hash' OR (shard_count & (shard_count - 1)) = 0),
	CHECK (strategy NOT IN ('range', 'list') OR cardinality(key_types) = 1)
);
COMMENT ON TABLE vecdb.catalog_colocation IS
	'how distribution keys are cut into shards; tables that share a row share shards and their groups';
COMMENT ON COLUMN vecdb.catalog_colocation.shard_count IS
	'number of shards; a power of two with strategy hash';

CREATE TABLE vecdb.catalog_shard (
	colocation_id integer NOT NULL REFERENCES vecdb.catalog_colocation,
	shard integer NOT NULL CHECK (shard BETWEEN 0 AND 65535),
	group_id integer NOT NULL REFERENCES vecdb.catalog_group,
	low text,
	high text,
	list_values text[],
	state text NOT NULL DEFAULT 'active' CHECK (state <> ''),
	PRIMARY KEY (colocation_id, shard)
);
COMMENT ON TABLE vecdb.catalog_shard IS
	'shards, and the group that owns each';
COMMENT ON COLUMN vecdb.catalog_shard.low IS
	'strategy range: least value of the key; null: no limit';
COMMENT ON COLUMN vecdb.catalog_shard.high IS
	'strategy range: first value of the key that is beyond the shard; null: no limit';
COMMENT ON COLUMN vecdb.catalog_shard.list_values IS
	'strategy list: values of the key; null: all that no other shard has';

CREATE TABLE vecdb.catalog_table (
	schema_name name NOT NULL,
	table_name name NOT NULL,
	kind "char" NOT NULL CHECK (kind IN ('d', 'r')),
	colocation_id integer REFERENCES vecdb.catalog_colocation,
	key_columns name[],
	shard_function text,
	PRIMARY KEY (schema_name, table_name),
	CHECK (kind <> 'd' OR (colocation_id IS NOT NULL AND
						   cardinality(key_columns) > 0)),
	CHECK (kind <> 'r' OR (colocation_id IS NULL AND key_columns IS NULL AND
						   shard_function IS NULL))
);
COMMENT ON TABLE vecdb.catalog_table IS
	'tables that the cluster knows, by name';
COMMENT ON COLUMN vecdb.catalog_table.kind IS
	'd: distributed, each row is in one group; r: reference table, all rows are in all groups';
COMMENT ON COLUMN vecdb.catalog_table.shard_function IS
	'strategy custom: the function that returns the shard, as text of a regprocedure with its schema';

CREATE TABLE vecdb.catalog_commit (
	gid text PRIMARY KEY,
	created timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE vecdb.catalog_commit IS
	'transactions over several groups that this node has committed and not yet finished everywhere';

GRANT SELECT ON vecdb.catalog_cluster, vecdb.catalog_local, vecdb.catalog_group,
	vecdb.catalog_host, vecdb.catalog_colocation, vecdb.catalog_shard,
	vecdb.catalog_table TO PUBLIC;

-- always: also for what replication or a restore writes
DO $$
DECLARE
	name text;
BEGIN
	FOREACH name IN ARRAY ARRAY['cluster', 'local', 'group', 'host',
		'colocation', 'shard', 'table']
	LOOP
		EXECUTE pg_catalog.format('CREATE TRIGGER changed AFTER INSERT OR'
			' UPDATE OR DELETE OR TRUNCATE ON vecdb.catalog_%s FOR EACH'
			' STATEMENT EXECUTE FUNCTION vecdb.catalog_changed()', name);
		EXECUTE pg_catalog.format('ALTER TABLE vecdb.catalog_%s'
			' ENABLE ALWAYS TRIGGER changed', name);
	END LOOP;
END $$;
-- plans of the table itself are made anew, too
CREATE TRIGGER changed_row
	AFTER INSERT OR UPDATE OR DELETE ON vecdb.catalog_table
	FOR EACH ROW EXECUTE FUNCTION vecdb.catalog_changed();
ALTER TABLE vecdb.catalog_table ENABLE ALWAYS TRIGGER changed_row;

SELECT pg_catalog.pg_extension_config_dump('vecdb.catalog_cluster', '');
SELECT pg_catalog.pg_extension_config_dump('vecdb.catalog_local', '');
SELECT pg_catalog.pg_extension_config_dump('vecdb.catalog_group', '');
SELECT pg_catalog.pg_extension_config_dump('vecdb.catalog_host', '');
SELECT pg_catalog.pg_extension_config_dump('vecdb.catalog_colocation', '');
SELECT pg_catalog.pg_extension_config_dump('vecdb.catalog_shard', '');
SELECT pg_catalog.pg_extension_config_dump('vecdb.catalog_table', '');

CREATE FUNCTION vecdb.cluster_id() RETURNS uuid
	AS 'MODULE_PATHNAME', 'vecdb_cluster_id'
	LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vecdb.cluster_id() IS
	'the identity of the cluster of this database, null if it is in none';

CREATE FUNCTION vecdb.local_group() RETURNS integer
	AS 'MODULE_PATHNAME', 'vecdb_local_group'
	LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vecdb.local_group() IS
	'the group that this database is, null if it is in no cluster';

CREATE FUNCTION vecdb.resume_membership() RETURNS integer
	AS 'UPDATE vecdb.catalog_local
		SET system_identifier = DEFAULT, database_id = DEFAULT
		RETURNING group_id'
	LANGUAGE sql VOLATILE STRICT PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp;
REVOKE ALL ON FUNCTION vecdb.resume_membership() FROM PUBLIC;
COMMENT ON FUNCTION vecdb.resume_membership() IS
	'makes this copy of a database the group of the cluster that the original was, after pg_upgrade or a restore in its place';

CREATE FUNCTION vecdb.is_internal() RETURNS boolean
	AS 'MODULE_PATHNAME', 'vecdb_is_internal'
	LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vecdb.is_internal() IS
	'whether this session works for another node of the cluster; an error if it says so and may not';

CREATE FUNCTION vecdb.shard_of("table" regclass, VARIADIC key "any") RETURNS integer
	AS 'MODULE_PATHNAME', 'vecdb_shard_of'
	LANGUAGE C STABLE CALLED ON NULL INPUT PARALLEL SAFE;
COMMENT ON FUNCTION vecdb.shard_of(regclass, "any") IS
	'the shard of the rows of a distributed table that have this key';

CREATE FUNCTION vecdb.group_of("table" regclass, VARIADIC key "any") RETURNS integer
	AS 'MODULE_PATHNAME', 'vecdb_group_of'
	LANGUAGE C STABLE CALLED ON NULL INPUT PARALLEL SAFE;
COMMENT ON FUNCTION vecdb.group_of(regclass, "any") IS
	'the group that holds the rows of a distributed table that have this key';

CREATE FUNCTION vecdb.check_group("table" regclass, VARIADIC key "any") RETURNS boolean
	AS 'MODULE_PATHNAME', 'vecdb_check_group'
	LANGUAGE C STABLE CALLED ON NULL INPUT PARALLEL SAFE;
COMMENT ON FUNCTION vecdb.check_group(regclass, "any") IS
	'an error if the rows of a distributed table that have this key are another group''s; for rows that triggers write';

CREATE FUNCTION vecdb.plan_placement(shard_count integer, groups integer[],
		current integer[] DEFAULT NULL)
	RETURNS integer[]
	AS 'MODULE_PATHNAME', 'vecdb_plan_placement'
	LANGUAGE C STABLE CALLED ON NULL INPUT PARALLEL SAFE;
COMMENT ON FUNCTION vecdb.plan_placement(integer, integer[], integer[]) IS
	'the group of each shard by consistent hashing; with the groups of today, as few shards move as possible';

CREATE FUNCTION vecdb.lock_copies(schema_name text, table_name text)
	RETURNS void
	AS 'MODULE_PATHNAME', 'vecdb_lock_copies'
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION vecdb.lock_copies(text, text) IS
	'locks a reference table against those who change it by a condition, as an INSERT does; for nodes';

CREATE VIEW vecdb.groups AS
	SELECT g.group_id, g.state, g.group_id = l.group_id AS is_local,
		ARRAY(SELECT CASE WHEN h.host LIKE '%:%' THEN '[' || h.host || ']'
						  ELSE h.host END || ':' || h.port
			  FROM vecdb.catalog_host h WHERE h.group_id = g.group_id
			  ORDER BY h.host, h.port) AS hosts,
		(SELECT count(*) FROM vecdb.catalog_shard s
		 WHERE s.group_id = g.group_id) AS shards
	FROM vecdb.catalog_group g CROSS JOIN vecdb.catalog_local l;
COMMENT ON VIEW vecdb.groups IS 'groups of the cluster';

CREATE VIEW vecdb.nodes AS
	SELECT h.host, h.port, h.group_id, h.group_id = l.group_id AS is_local_group
	FROM vecdb.catalog_host h CROSS JOIN vecdb.catalog_local l;
COMMENT ON VIEW vecdb.nodes IS 'servers of the cluster';

CREATE VIEW vecdb.tables AS
	SELECT c.oid::regclass AS table_name,
		CASE t.kind WHEN 'd' THEN 'distributed' ELSE 'reference' END AS kind,
		o.strategy, t.key_columns, o.shard_count, t.colocation_id,
		CASE t.kind
			WHEN 'd' THEN (SELECT count(DISTINCT s.group_id)
						   FROM vecdb.catalog_shard s
						   WHERE s.colocation_id = t.colocation_id)
			ELSE (SELECT count(*) FROM vecdb.catalog_group)
		END AS groups,
		t.shard_function
	FROM vecdb.catalog_table t
		LEFT JOIN vecdb.catalog_colocation o USING (colocation_id)
		LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = t.schema_name
		LEFT JOIN pg_catalog.pg_class c
			ON c.relnamespace = n.oid AND c.relname = t.table_name;
COMMENT ON VIEW vecdb.tables IS 'distributed tables and reference tables';

CREATE VIEW vecdb.shards AS
	SELECT c.oid::regclass AS table_name, s.shard, s.group_id, s.state,
		s.low, s.high, s.list_values, s.colocation_id
	FROM vecdb.catalog_shard s
		JOIN vecdb.catalog_table t USING (colocation_id)
		LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = t.schema_name
		LEFT JOIN pg_catalog.pg_class c
			ON c.relnamespace = n.oid AND c.relname = t.table_name;
COMMENT ON VIEW vecdb.shards IS
	'shards of each distributed table, and the group that owns each';

CREATE VIEW vecdb.balance AS
	SELECT o.colocation_id, g.group_id, count(s.shard) AS shards,
		round(100.0 * count(s.shard) / o.shard_count, 2) AS percent,
		round(100.0 / (SELECT count(*) FROM vecdb.catalog_group), 2)
			AS even_percent
	FROM vecdb.catalog_colocation o CROSS JOIN vecdb.catalog_group g
		LEFT JOIN vecdb.catalog_shard s
			ON s.colocation_id = o.colocation_id AND s.group_id = g.group_id
	GROUP BY o.colocation_id, o.shard_count, g.group_id;
COMMENT ON VIEW vecdb.balance IS
	'how evenly the shards of each colocation are spread over the groups';

GRANT SELECT ON vecdb.groups, vecdb.nodes, vecdb.tables, vecdb.shards,
	vecdb.balance TO PUBLIC;
