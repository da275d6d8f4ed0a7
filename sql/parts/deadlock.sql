--
-- deadlock: who waits for whom, over groups
--

CREATE FUNCTION vecdb.local_lock_waits(OUT waiter_pid integer,
		OUT leader_pid integer, OUT wait_id bigint, OUT blocker_pid integer,
		OUT blocker_xid xid, OUT mode text, OUT object text, OUT relation text)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'vecdb_local_lock_waits'
	LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION vecdb.local_lock_waits() IS
	'processes of this node that wait for a lock, one row for each that blocks them';

CREATE FUNCTION vecdb.local_sessions(OUT pid integer, OUT group_id integer,
		OUT session_pid integer)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'vecdb_local_sessions'
	LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION vecdb.local_sessions() IS
	'processes at other groups that work for processes of this node';

CREATE FUNCTION vecdb.break_lock_wait(pid integer, wait_id bigint, detail text)
	RETURNS boolean
	AS 'MODULE_PATHNAME', 'vecdb_break_lock_wait'
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION vecdb.break_lock_wait(integer, bigint, text) IS
	'has a wait for a lock end with a deadlock error; used between nodes';
REVOKE ALL ON FUNCTION vecdb.break_lock_wait(integer, bigint, text) FROM PUBLIC;

CREATE FUNCTION vecdb.show_lock_waits(OUT waiter_group integer,
		OUT waiter_pid integer, OUT blocker_group integer,
		OUT blocker_pid integer, OUT blocker_gid text, OUT group_id integer,
		OUT waiting_pid integer, OUT blocking_pid integer, OUT mode text,
		OUT object text, OUT relation text, OUT since timestamptz)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'vecdb_show_lock_waits'
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION vecdb.show_lock_waits() IS
	'who waits for whom, in all groups';

CREATE VIEW vecdb.lock_waits AS
	SELECT waiter_group, waiter_pid, blocker_group, blocker_pid, blocker_gid,
			group_id, waiting_pid, blocking_pid, mode, object, relation, since
	FROM vecdb.show_lock_waits();
COMMENT ON VIEW vecdb.lock_waits IS
	'who waits for whom, in all groups';
GRANT SELECT ON vecdb.lock_waits TO PUBLIC;
