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
		OUT sync_standbys integer, OUT epoch bigint, OUT patroni_url text,
		OUT zone text)
	AS 'MODULE_PATHNAME', 'vecdb_node_state'
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL RESTRICTED;
REVOKE ALL ON FUNCTION vecdb.node_state(integer[], integer[]) FROM PUBLIC;
COMMENT ON FUNCTION vecdb.node_state(integer[], integer[]) IS
	'what this node says of itself to other nodes, which tell it the timelines of groups that they have seen';

CREATE FUNCTION vecdb.hold_group(group_id integer, milliseconds integer)
	RETURNS void
	AS 'MODULE_PATHNAME', 'vecdb_hold_group'
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION vecdb.hold_group(integer, integer) FROM PUBLIC;
COMMENT ON FUNCTION vecdb.hold_group(integer, integer) IS
	'other nodes say that requests to a group are to wait for that long, as its leader is changed; 0: no more';

CREATE FUNCTION vecdb.await_standbys(timeout integer) RETURNS boolean
	AS 'MODULE_PATHNAME', 'vecdb_await_standbys'
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION vecdb.await_standbys(integer) FROM PUBLIC;
COMMENT ON FUNCTION vecdb.await_standbys(integer) IS
	'whether the synchronous standbys of this primary have what it has written; waits for it for so many milliseconds';

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
		OUT error text, OUT in_flight integer, OUT zone text)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'vecdb_show_hosts'
	LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 10;
COMMENT ON FUNCTION vecdb.show_hosts() IS
	'what this node knows of the hosts that it watches; see vecdb.hosts';

CREATE VIEW vecdb.hosts AS
	SELECT c.group_id, c.host, c.port,
		coalesce(h.is_self, false) AS is_self,
		coalesce(h.state, 'unknown') AS state,
		h.role, coalesce(h.is_leader, false) AS is_leader, h.timeline,
		h.streaming, h.flushed, h.replayed, h.lag_bytes, h.lag, h.latency,
		h.connections, h.in_flight, h.zone, h.breaker, h.last_seen, h.error
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
COMMENT ON COLUMN vecdb.hosts.in_flight IS
	'statements of all sessions of this server that it works on';
COMMENT ON COLUMN vecdb.hosts.zone IS 'its setting vecdb.zone';
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
	-- one row, as the planner should know: so it does not compile for long
	FROM (SELECT max(group_id) AS group_id FROM vecdb.catalog_local
		  HAVING count(*) > 0) l
		CROSS JOIN vecdb.catalog_group g
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

CREATE PROCEDURE vecdb.begin_read(replayed pg_lsn, wait_ms integer,
		lease_ms integer)
	AS 'MODULE_PATHNAME', 'vecdb_begin_read'
	LANGUAGE C;
COMMENT ON PROCEDURE vecdb.begin_read(pg_lsn, integer, integer) IS
	'for nodes: fails if this server must not answer what follows';

CREATE FUNCTION vecdb.session_token() RETURNS text
	AS 'MODULE_PATHNAME', 'vecdb_session_token'
	LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION vecdb.session_token() IS
	'what this session has committed, as a value for the setting vecdb.session_token in another one';

CREATE FUNCTION vecdb.timeline_history(OUT timeline integer, OUT history text)
	AS 'MODULE_PATHNAME', 'vecdb_timeline_history'
	LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
REVOKE ALL ON FUNCTION vecdb.timeline_history() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION vecdb.timeline_history() TO pg_monitor;
COMMENT ON FUNCTION vecdb.timeline_history() IS
	'the timeline of this server, and its file of those before';

CREATE FUNCTION vecdb.show_leader_history(OUT group_id integer,
		OUT timeline integer, OUT history text, OUT patroni jsonb)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'vecdb_show_leader_history'
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE ROWS 3;
REVOKE ALL ON FUNCTION vecdb.show_leader_history() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION vecdb.show_leader_history() TO pg_monitor;
COMMENT ON FUNCTION vecdb.show_leader_history() IS
	'what the leaders of all groups, and Patroni, know of those before; see vecdb.leader_history';

CREATE VIEW vecdb.leader_history AS
	WITH told AS MATERIALIZED (SELECT * FROM vecdb.show_leader_history()),
	change AS (
		SELECT t.group_id, part[1]::integer AS previous,
			part[2]::pg_lsn AS lsn, nullif(part[3], '') AS reason
		FROM told t CROSS JOIN LATERAL regexp_matches(t.history,
			'^([0-9]+)\s+([0-9A-F]+/[0-9A-F]+)[ \t]*(.*)$', 'gn') AS part),
	period AS (
		SELECT group_id, previous AS timeline FROM change
		UNION ALL
		SELECT group_id, timeline FROM told)
	SELECT p.group_id, p.timeline, c.previous, c.lsn, c.reason, e.began,
		e.leader
	FROM period p
		LEFT JOIN LATERAL (
			SELECT * FROM change c
			WHERE c.group_id = p.group_id AND c.previous < p.timeline
			ORDER BY c.previous DESC LIMIT 1) c ON true
		LEFT JOIN LATERAL (
			SELECT (event ->> 3)::timestamptz AS began, event ->> 4 AS leader
			FROM told t
				CROSS JOIN LATERAL jsonb_array_elements(t.patroni) AS event
			WHERE t.group_id = p.group_id AND
				(event ->> 0)::integer = c.previous
			ORDER BY began DESC LIMIT 1) e ON true;
COMMENT ON VIEW vecdb.leader_history IS
	'periods of leadership of each group; for members of pg_monitor';
COMMENT ON COLUMN vecdb.leader_history.timeline IS
	'begun by a promotion; the last of each group is of today';
COMMENT ON COLUMN vecdb.leader_history.previous IS
	'the timeline from which it branched off';
COMMENT ON COLUMN vecdb.leader_history.lsn IS
	'where it branched off; what the former leader wrote after that is lost';
COMMENT ON COLUMN vecdb.leader_history.reason IS
	'what PostgreSQL noted of the promotion';
COMMENT ON COLUMN vecdb.leader_history.began IS 'when, as Patroni says';
COMMENT ON COLUMN vecdb.leader_history.leader IS
	'who was promoted, by its name in Patroni';
GRANT SELECT ON vecdb.leader_history TO pg_monitor;

CREATE FUNCTION vecdb.transfer_leadership(group_id integer, host text,
		wait_seconds integer DEFAULT 60) RETURNS text
	AS 'MODULE_PATHNAME', 'vecdb_transfer_leadership'
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION vecdb.transfer_leadership(integer, text, integer)
	FROM PUBLIC;
COMMENT ON FUNCTION vecdb.transfer_leadership(integer, text, integer) IS
	'has Patroni make a host the primary of its group, waits for that, and returns who is';

CREATE FUNCTION vecdb.step_down(group_id integer,
		wait_seconds integer DEFAULT 60) RETURNS text
	AS 'MODULE_PATHNAME', 'vecdb_step_down'
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION vecdb.step_down(integer, integer) FROM PUBLIC;
COMMENT ON FUNCTION vecdb.step_down(integer, integer) IS
	'has Patroni make another host the primary of a group, waits for that, and returns which';

CREATE FUNCTION vecdb.enter_maintenance(group_id integer,
		wait_seconds integer DEFAULT 60) RETURNS boolean
	AS 'MODULE_PATHNAME', 'vecdb_enter_maintenance'
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION vecdb.enter_maintenance(integer, integer) FROM PUBLIC;
COMMENT ON FUNCTION vecdb.enter_maintenance(integer, integer) IS
	'has Patroni leave the servers of a group alone: no failover, no restart; false if it was so already';

CREATE FUNCTION vecdb.exit_maintenance(group_id integer,
		wait_seconds integer DEFAULT 60) RETURNS boolean
	AS 'MODULE_PATHNAME', 'vecdb_exit_maintenance'
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION vecdb.exit_maintenance(integer, integer) FROM PUBLIC;
COMMENT ON FUNCTION vecdb.exit_maintenance(integer, integer) IS
	'has Patroni look after the servers of a group again; false if it did already';

CREATE FUNCTION vecdb.health(OUT component text, OUT status text,
		OUT reason text)
	RETURNS SETOF record
	AS $$
	WITH known AS MATERIALIZED (SELECT * FROM vecdb.show_hosts()),
	state AS MATERIALIZED (
		SELECT vecdb.cluster_id() IS NOT NULL AS is_member,
			vecdb.local_group() AS own_group, vecdb.has_prober() AS is_watched,
			current_setting('vecdb.write_consistency', true)
				AS write_consistency),
	member AS (SELECT * FROM vecdb.groups, state WHERE is_member AND is_watched),
	found (component, severity, reason) AS (
		SELECT 'node', 2, format('it is a primary on timeline %s that has a successor',
				timeline)
			FROM known WHERE is_self AND known.state = 'outdated'
		UNION ALL
		SELECT 'node', 1, 'it is a standby that receives nothing'
			FROM known WHERE is_self AND role = 'standby' AND NOT streaming
		UNION ALL
		SELECT 'membership', 2, 'this database is a copy of a member: see vecdb.resume_membership()'
			FROM state WHERE NOT is_member AND
				EXISTS (SELECT FROM vecdb.catalog_cluster)
		UNION ALL
		SELECT 'membership', 0, 'this database is in no cluster'
			FROM state WHERE NOT is_member AND
				NOT EXISTS (SELECT FROM vecdb.catalog_cluster)
		UNION ALL
		SELECT 'membership', 1, format('no host of group %s is this server',
				own_group)
			FROM state WHERE is_member AND is_watched AND
				NOT EXISTS (SELECT FROM known WHERE is_self) AND
				NOT EXISTS (SELECT FROM known WHERE known.state = 'unknown')
		UNION ALL
		SELECT 'prober', 2, 'the prober does not run; see the server''s log'
			FROM state WHERE is_member AND NOT is_watched
		UNION ALL
		SELECT 'group ' || group_id, 2, 'no leader is seen'
			FROM member WHERE leader IS NULL
		UNION ALL
		SELECT 'group ' || group_id, 2, format('commits wait for standbys, and there are too few: %s of its hosts stream, %s may answer',
				standbys, synchronous_standbys)
			FROM member WHERE quorum = 'missing'
		UNION ALL
		SELECT 'group ' || m.group_id, 2, format('vecdb.write_consistency is %s, and synchronous_standby_names is empty',
				m.write_consistency)
			FROM member m
			WHERE quorum = 'not required' AND
				m.write_consistency IN ('quorum', 'all')
		UNION ALL
		SELECT 'group ' || group_id, 0, 'what is committed is on one host when COMMIT returns'
			FROM member WHERE quorum = 'not required'
		UNION ALL
		SELECT 'group ' || k.group_id, 1,
				format('host %s:%s is %s%s', k.host, k.port, k.state,
					': ' || k.error)
			FROM known k WHERE k.state <> 'up'
		UNION ALL
		SELECT 'group ' || k.group_id, 1,
				format('host %s:%s is a standby that receives nothing', k.host,
					k.port)
			FROM known k
			WHERE k.state = 'up' AND role = 'standby' AND NOT streaming
		UNION ALL
		SELECT 'group ' || k.group_id, 1,
				format('host %s:%s is %s and %s bytes behind', k.host, k.port,
					k.lag, k.lag_bytes)
			FROM known k
			WHERE k.state = 'up' AND
				(k.lag > interval '30 seconds' OR k.lag_bytes > 67108864)
		UNION ALL
		SELECT 'transactions', 1,
				format('%s prepared transactions are older than five minutes',
					count(*))
			FROM pg_prepared_xacts
			WHERE database = current_database() AND
				prepared < now() - interval '5 minutes'
			HAVING count(*) > 0
		UNION ALL
		SELECT 'recovery', 1,
				format('%s transactions are not finished everywhere for more than five minutes',
					count(*))
			FROM vecdb.catalog_commit
			WHERE created < now() - interval '5 minutes'
			HAVING count(*) > 0
		UNION ALL
		SELECT 'recovery', 1, 'the launcher does not run; see the server''s log'
			FROM state
			WHERE is_member AND NOT pg_is_in_recovery() AND
				NOT EXISTS (SELECT FROM pg_stat_activity
							WHERE backend_type = 'vecdb launcher')
		UNION ALL
		SELECT 'catalogs', 1, format('group %s has epoch %s, and this node has %s',
				k.group_id, k.epoch, c.epoch)
			FROM known k CROSS JOIN vecdb.catalog_cluster c
			WHERE k.is_leader AND k.epoch <> c.epoch
		UNION ALL
		SELECT 'slots', 1, format('slot %s is %s', slot_name, wal_status)
			FROM pg_replication_slots
			WHERE wal_status IN ('unreserved', 'lost')
		UNION ALL
		SELECT 'slots', 1, format('slot %s is not used, and keeps %s of WAL',
				slot_name, pg_size_pretty(wal))
			FROM (SELECT slot_name, pg_wal_lsn_diff(
						CASE WHEN pg_is_in_recovery()
							 THEN pg_last_wal_receive_lsn()
							 ELSE pg_current_wal_lsn() END, restart_lsn) AS wal
				  FROM pg_replication_slots WHERE NOT active) slot
			WHERE wal > 1073741824),
	listed (place, component) AS (
		VALUES (1, 'node'), (2, 'membership'), (3, 'prober'),
			(5, 'transactions'), (6, 'recovery'), (7, 'catalogs'), (8, 'slots')
		UNION ALL
		SELECT 4, 'group ' || group_id FROM vecdb.catalog_group
		WHERE (SELECT is_member FROM state))
	SELECT l.component,
		(ARRAY['healthy', 'degraded', 'unhealthy'])
			[1 + coalesce(max(f.severity), 0)],
		string_agg(f.reason, '; ' ORDER BY f.severity DESC, f.reason)
	FROM listed l LEFT JOIN found f USING (component)
	GROUP BY l.place, l.component
	ORDER BY l.place, length(l.component), l.component
	$$
	LANGUAGE sql VOLATILE STRICT SECURITY DEFINER PARALLEL RESTRICTED
	SET search_path = pg_catalog, pg_temp SET jit = off;
REVOKE ALL ON FUNCTION vecdb.health() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION vecdb.health() TO pg_monitor;
COMMENT ON FUNCTION vecdb.health() IS
	'healthy, degraded or unhealthy, and why, for each component that this node sees';

CREATE FUNCTION vecdb.live() RETURNS boolean
	AS 'SELECT true'
	LANGUAGE sql STABLE STRICT PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION vecdb.live() IS
	'true: this server answers queries';

CREATE FUNCTION vecdb.ready() RETURNS boolean
	AS $$
	SELECT NOT EXISTS (
		SELECT FROM vecdb.health()
		WHERE status = 'unhealthy' AND
			component IN ('node', 'membership', 'prober',
						  'group ' || vecdb.local_group()))
	$$
	LANGUAGE sql VOLATILE STRICT SECURITY DEFINER PARALLEL RESTRICTED
	SET search_path = pg_catalog, pg_temp SET jit = off;
COMMENT ON FUNCTION vecdb.ready() IS
	'whether this server does what it promises: it is no outdated primary, and its group has a leader and the standbys that commits wait for';

CREATE VIEW vecdb.clones AS
	SELECT a.client_addr AS address, a.application_name, p.phase,
		p.backup_streamed AS copied, p.backup_total AS total,
		round(100.0 * p.backup_streamed / nullif(p.backup_total, 0), 1)
			AS percent,
		p.tablespaces_streamed AS tablespaces_copied, p.tablespaces_total,
		a.backend_start AS began
	FROM pg_stat_progress_basebackup p
		LEFT JOIN pg_stat_activity a USING (pid);
COMMENT ON VIEW vecdb.clones IS
	'copies of this server that are being made: of new hosts of its group, hosts that are rebuilt, and backups';
COMMENT ON COLUMN vecdb.clones.address IS
	'where to, to members of pg_monitor; null: by a Unix socket';
COMMENT ON COLUMN vecdb.clones.application_name IS
	'what the program that receives it calls itself';
COMMENT ON COLUMN vecdb.clones.phase IS
	'as in pg_stat_progress_basebackup; it begins with a checkpoint, and ends with WAL';
COMMENT ON COLUMN vecdb.clones.copied IS 'bytes';
COMMENT ON COLUMN vecdb.clones.total IS
	'bytes, estimated; null while that is being done';
COMMENT ON COLUMN vecdb.clones.percent IS 'of these bytes';
COMMENT ON COLUMN vecdb.clones.tablespaces_copied IS 'how many are copied';
COMMENT ON COLUMN vecdb.clones.tablespaces_total IS 'of so many';
COMMENT ON COLUMN vecdb.clones.began IS 'when the copy was asked for';
GRANT SELECT ON vecdb.clones TO PUBLIC;
