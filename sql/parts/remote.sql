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
		OUT requests bigint, OUT prepared_statements integer,
		OUT purpose text, OUT in_flight integer)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'vecdb_connections'
	LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION vecdb.show_connections() IS
	'connections of this session to other groups';

CREATE FUNCTION vecdb.guard_session(key text)
	RETURNS void
	AS 'MODULE_PATHNAME', 'vecdb_guard_session'
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION vecdb.guard_session(text) IS
	'lets the role of a session of another node change with a proof of the key only; for nodes';
REVOKE ALL ON FUNCTION vecdb.guard_session(text) FROM PUBLIC;

CREATE FUNCTION vecdb.take_settings(settings text, proof text)
	RETURNS void
	AS 'MODULE_PATHNAME', 'vecdb_take_settings'
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION vecdb.take_settings(text, text) IS
	'sets role and settings in a session of another node, with a proof that it is that node that wants it; for nodes';

CREATE VIEW vecdb.connections AS
	SELECT group_id, host, pid, purpose, state,
			depth > 0 AS in_transaction, requests, in_flight,
			prepared_statements
	FROM vecdb.show_connections();
COMMENT ON VIEW vecdb.connections IS
	'connections of this session to other groups';
COMMENT ON COLUMN vecdb.connections.purpose IS
	'primary: to the primary of the group; read: to this host, to read at it';
COMMENT ON COLUMN vecdb.connections.in_flight IS
	'statements that the other server works on for this session';
GRANT SELECT ON vecdb.connections TO PUBLIC;
