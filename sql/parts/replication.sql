--
-- replication: which host of each group is its primary, and who is behind
--

CREATE FUNCTION vecdb.replication_changed() RETURNS trigger
	AS 'MODULE_PATHNAME', 'vecdb_replication_changed'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION vecdb.replication_changed() FROM PUBLIC;
COMMENT ON FUNCTION vecdb.replication_changed() IS
	'trigger function: has the hosts of the cluster watched once there is one';

CREATE TRIGGER watched
	AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON vecdb.catalog_local
	FOR EACH STATEMENT EXECUTE FUNCTION vecdb.replication_changed();
ALTER TABLE vecdb.catalog_local ENABLE ALWAYS TRIGGER watched;

CREATE FUNCTION vecdb.node_state(groups integer[], timelines integer[],
		OUT cluster_id uuid, OUT group_id integer, OUT instance text,
		OUT system_identifier text, OUT in_recovery boolean,
		OUT streaming boolean, OUT timeline integer, OUT flushed pg_lsn,
		OUT replayed pg_lsn, OUT sync_required integer,
		OUT sync_standbys integer, OUT epoch bigint, OUT patroni_url text)
	AS 'MODULE_PATHNAME', 'vecdb_node_state'
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL RESTRICTED;
REVOKE ALL ON FUNCTION vecdb.node_state(integer[], integer[]) FROM PUBLIC;
COMMENT ON FUNCTION vecdb.node_state(integer[], integer[]) IS
	'what this node says of itself to other nodes, which tell it the timelines of groups that they have seen';

CREATE FUNCTION vecdb.has_prober() RETURNS boolean
	AS 'MODULE_PATHNAME', 'vecdb_has_prober'
	LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION vecdb.has_prober() IS
	'whether this node watches the hosts of its cluster';

CREATE FUNCTION vecdb.show_hosts(OUT group_id integer, OUT host text,
		OUT port integer, OUT is_self boolean, OUT state text, OUT role text,
		OUT is_leader boolean, OUT timeline integer, OUT streaming boolean,
		OUT flushed pg_lsn, OUT replayed pg_lsn, OUT lag_bytes bigint,
		OUT lag interval, OUT latency interval, OUT sync_required integer,
		OUT sync_standbys integer, OUT epoch bigint,
		OUT system_identifier text, OUT last_seen timestamptz,
		OUT connections integer, OUT failures integer, OUT breaker text,
		OUT error text)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'vecdb_show_hosts'
	LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION vecdb.show_hosts() IS
	'what this node knows of the hosts that it watches; see vecdb.hosts';

CREATE VIEW vecdb.hosts AS
	SELECT c.group_id, c.host, c.port,
		coalesce(h.is_self, false) AS is_self,
		coalesce(h.state, 'unknown') AS state,
		h.role, coalesce(h.is_leader, false) AS is_leader, h.timeline,
		h.streaming, h.flushed, h.replayed, h.lag_bytes, h.lag, h.latency,
		h.connections, h.breaker, h.last_seen, h.error
	FROM vecdb.catalog_host c
		LEFT JOIN vecdb.show_hosts() h USING (group_id, host, port);
COMMENT ON VIEW vecdb.hosts IS
	'hosts of all groups, as this node sees them; asked every vecdb.probe_interval';
COMMENT ON COLUMN vecdb.hosts.is_self IS 'this server';
COMMENT ON COLUMN vecdb.hosts.state IS
	'up; down: does not answer; outdated: a primary that has a successor; foreign: not a member of the group; unknown: not asked yet';
COMMENT ON COLUMN vecdb.hosts.role IS
	'primary or standby, as the host said when it was last seen';
COMMENT ON COLUMN vecdb.hosts.is_leader IS
	'the primary of the group, on its highest timeline';
COMMENT ON COLUMN vecdb.hosts.timeline IS 'grows with each promotion';
COMMENT ON COLUMN vecdb.hosts.streaming IS 'a standby: receives WAL now';
COMMENT ON COLUMN vecdb.hosts.flushed IS 'end of the WAL on its disk';
COMMENT ON COLUMN vecdb.hosts.replayed IS 'end of the WAL that its queries see';
COMMENT ON COLUMN vecdb.hosts.lag_bytes IS
	'a standby: WAL of the primary that it has not replayed';
COMMENT ON COLUMN vecdb.hosts.lag IS
	'a standby: age of the oldest change that it has not replayed, to the precision of vecdb.probe_interval';
COMMENT ON COLUMN vecdb.hosts.latency IS
	'moving average of the time in which it answers';
COMMENT ON COLUMN vecdb.hosts.connections IS
	'connections of all sessions of this server to it';
COMMENT ON COLUMN vecdb.hosts.breaker IS
	'closed; open: sessions leave it alone for a while, as it did not answer; half open: the next one tries';
COMMENT ON COLUMN vecdb.hosts.last_seen IS 'when it answered last';
COMMENT ON COLUMN vecdb.hosts.error IS
	'what is wrong with it; for members of pg_monitor';

-- the view of the catalog room, and what this one knows
CREATE OR REPLACE VIEW vecdb.groups AS
	WITH known AS MATERIALIZED (SELECT * FROM vecdb.show_hosts()),
	leader AS (SELECT * FROM known WHERE is_leader),
	standby AS (
		SELECT k.group_id, count(*) AS count
		FROM known k JOIN leader l USING (group_id)
		WHERE k.state = 'up' AND k.role = 'standby' AND k.streaming AND
			k.timeline = l.timeline AND
			k.system_identifier = l.system_identifier
		GROUP BY k.group_id)
	SELECT g.group_id, g.state, g.group_id = l.group_id AS is_local,
		ARRAY(SELECT CASE WHEN h.host LIKE '%:%' THEN '[' || h.host || ']'
						  ELSE h.host END || ':' || h.port
			  FROM vecdb.catalog_host h WHERE h.group_id = g.group_id
			  ORDER BY h.host, h.port) AS hosts,
		(SELECT count(*) FROM vecdb.catalog_shard s
		 WHERE s.group_id = g.group_id) AS shards,
		CASE WHEN p.host LIKE '%:%' THEN '[' || p.host || ']'
			 ELSE p.host END || ':' || p.port AS leader,
		p.timeline,
		CASE WHEN p.group_id IS NOT NULL THEN coalesce(s.count, 0) END
			AS standbys,
		p.sync_standbys AS synchronous_standbys,
		CASE
			WHEN p.group_id IS NULL THEN 'unknown'
			WHEN p.sync_required = 0 THEN 'not required'
			WHEN least(p.sync_standbys, coalesce(s.count, 0)) >= p.sync_required
				THEN 'present'
			ELSE 'missing'
		END AS quorum,
		p.group_id IS NOT NULL AND p.sync_standbys >= p.sync_required
			AS writes_allowed
	FROM vecdb.catalog_group g CROSS JOIN vecdb.catalog_local l
		LEFT JOIN leader p ON p.group_id = g.group_id
		LEFT JOIN standby s ON s.group_id = g.group_id;
COMMENT ON COLUMN vecdb.groups.leader IS
	'the primary, as this node sees it; null: none is seen';
COMMENT ON COLUMN vecdb.groups.timeline IS 'of the leader';
COMMENT ON COLUMN vecdb.groups.standbys IS
	'hosts of the group that stream from the leader';
COMMENT ON COLUMN vecdb.groups.synchronous_standbys IS
	'standbys that the leader may wait for when it commits';
COMMENT ON COLUMN vecdb.groups.quorum IS
	'whether enough hosts of the group are there for commits to be on several disks: not required, present, missing or unknown';
COMMENT ON COLUMN vecdb.groups.writes_allowed IS
	'whether a commit would return: there is a leader, and the standbys that it waits for';

GRANT SELECT ON vecdb.hosts TO PUBLIC;
