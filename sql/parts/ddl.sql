--
-- ddl: members of the cluster, and tables that become distributed
--

CREATE FUNCTION vecdb.create_cluster(host text DEFAULT NULL,
		port integer DEFAULT NULL) RETURNS uuid
	AS 'MODULE_PATHNAME', 'vecdb_create_cluster'
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION vecdb.create_cluster(text, integer) FROM PUBLIC;
COMMENT ON FUNCTION vecdb.create_cluster(text, integer) IS
	'makes this database group 1 of a new cluster; the address is that by which other nodes reach it';

CREATE FUNCTION vecdb.add_group(host text, port integer DEFAULT 5432)
	RETURNS integer
	AS 'MODULE_PATHNAME', 'vecdb_add_group'
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION vecdb.add_group(text, integer) FROM PUBLIC;
COMMENT ON FUNCTION vecdb.add_group(text, integer) IS
	'adds a server to the cluster as a new group and returns its number';

CREATE FUNCTION vecdb.add_host(group_id integer, host text,
		port integer DEFAULT 5432) RETURNS void
	AS 'MODULE_PATHNAME', 'vecdb_add_host'
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION vecdb.add_host(integer, text, integer) FROM PUBLIC;
COMMENT ON FUNCTION vecdb.add_host(integer, text, integer) IS
	'adds a standby, or another address, to a group';

CREATE FUNCTION vecdb.remove_host(host text, port integer DEFAULT 5432)
	RETURNS void
	AS 'MODULE_PATHNAME', 'vecdb_remove_host'
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION vecdb.remove_host(text, integer) FROM PUBLIC;
COMMENT ON FUNCTION vecdb.remove_host(text, integer) IS
	'removes an address from its group, unless it is the only one';

CREATE FUNCTION vecdb.remove_group(group_id integer,
		force boolean DEFAULT false) RETURNS void
	AS 'MODULE_PATHNAME', 'vecdb_remove_group'
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION vecdb.remove_group(integer, boolean) FROM PUBLIC;
COMMENT ON FUNCTION vecdb.remove_group(integer, boolean) IS
	'removes a group that owns no shards; with force, one that is lost and cannot be asked';

CREATE FUNCTION vecdb.drop_cluster(force boolean DEFAULT false)
	RETURNS void
	AS 'MODULE_PATHNAME', 'vecdb_drop_cluster'
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION vecdb.drop_cluster(boolean) FROM PUBLIC;
COMMENT ON FUNCTION vecdb.drop_cluster(boolean) IS
	'makes the last group of a cluster an ordinary database that keeps all tables and rows; with force, any group, which keeps the rows that it has';

CREATE FUNCTION vecdb.distribute_table("table" regclass,
		key text[] DEFAULT NULL, strategy text DEFAULT 'hash',
		shard_count integer DEFAULT NULL, colocate_with regclass DEFAULT NULL,
		bounds text[] DEFAULT NULL, shard_function regprocedure DEFAULT NULL)
	RETURNS void
	AS 'MODULE_PATHNAME', 'vecdb_distribute_table'
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE;
COMMENT ON FUNCTION vecdb.distribute_table(regclass, text[], text, integer,
		regclass, text[], regprocedure) IS
	'spreads a table over the groups by its key, which is the primary key unless given; strategies are hash, range, list and custom';

CREATE FUNCTION vecdb.distribute_table("table" regclass, key text,
		strategy text DEFAULT 'hash',
		shard_count integer DEFAULT NULL, colocate_with regclass DEFAULT NULL,
		bounds text[] DEFAULT NULL, shard_function regprocedure DEFAULT NULL)
	RETURNS void
	LANGUAGE SQL VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
	BEGIN ATOMIC
		SELECT vecdb.distribute_table("table", ARRAY[key], strategy,
			shard_count, colocate_with, bounds, shard_function);
	END;
COMMENT ON FUNCTION vecdb.distribute_table(regclass, text, text, integer,
		regclass, text[], regprocedure) IS
	'spreads a table over the groups by one column';

CREATE FUNCTION vecdb.replicate_table("table" regclass) RETURNS void
	AS 'MODULE_PATHNAME', 'vecdb_replicate_table'
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION vecdb.replicate_table(regclass) IS
	'makes a table a reference table: all groups hold all its rows';

CREATE FUNCTION vecdb.undistribute_table("table" regclass) RETURNS void
	AS 'MODULE_PATHNAME', 'vecdb_undistribute_table'
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION vecdb.undistribute_table(regclass) IS
	'makes a distributed or reference table an ordinary table of this node, with all rows';
