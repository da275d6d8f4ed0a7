--
-- recovery: transactions that a crash left prepared
--

CREATE FUNCTION vecdb.recover_transactions(OUT group_id integer, OUT gid text,
		OUT action text, OUT detail text)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'vecdb_recover_transactions'
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION vecdb.recover_transactions() IS
	'commits or rolls back transactions of this group that were left prepared at others';
REVOKE ALL ON FUNCTION vecdb.recover_transactions() FROM PUBLIC;
