--
-- remote: other groups
--

CREATE FUNCTION vecdb.run_on_group(group_id integer, sql text,
		in_transaction boolean DEFAULT true)
	RETURNS SETOF text
	AS 'MODULE_PATHNAME', 'vecdb_run_on_group'
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION vecdb.run_on_group(integer, text, boolean) IS
	'runs one SQL statement on a group, within the transaction or outside of it, and returns its rows as text';
REVOKE ALL ON FUNCTION vecdb.run_on_group(integer, text, boolean) FROM PUBLIC;

CREATE FUNCTION vecdb.show_connections(OUT group_id integer, OUT host text,
		OUT pid integer, OUT state text, OUT depth integer,
		OUT requests bigint, OUT prepared_statements integer)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'vecdb_connections'
	LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION vecdb.show_connections() IS
	'connections of this session to other groups';

CREATE VIEW vecdb.connections AS
	SELECT group_id, host, pid, state, depth > 0 AS in_transaction, requests,
			prepared_statements
	FROM vecdb.show_connections();
COMMENT ON VIEW vecdb.connections IS
	'connections of this session to other groups';
GRANT SELECT ON vecdb.connections TO PUBLIC;
