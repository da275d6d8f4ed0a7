--
-- replication_views: where the library is not preloaded, views and functions
-- answer what there is to know: nothing; and who may see what
--
SELECT current_database() AS before \gset
CREATE DATABASE replication_views;
\c replication_views
CREATE EXTENSION vecdb;

SELECT count(*) FROM vecdb.hosts;
SELECT count(*) FROM vecdb.groups;
SELECT count(*) FROM vecdb.leader_history;
SELECT vecdb.live(), vecdb.ready(), vecdb.has_prober();
SELECT * FROM vecdb.health();
SELECT vecdb.node_state(NULL, NULL);
SELECT vecdb.step_down(1);

-- a cluster of which nothing is known
INSERT INTO vecdb.catalog_cluster (cluster_id) VALUES ('6b0c4f4e-3a5d-4d7e-9b56-0f8b6a6e2f01');
INSERT INTO vecdb.catalog_group VALUES (1), (2);
INSERT INTO vecdb.catalog_host VALUES ('a', 5432, 1), ('::1', 5433, 2);
INSERT INTO vecdb.catalog_local (cluster_id, group_id) SELECT cluster_id, 1 FROM vecdb.catalog_cluster;
SELECT group_id, host, port, is_self, state, role, is_leader, lag, last_seen, error FROM vecdb.hosts ORDER BY 1;
SELECT group_id, hosts, leader, timeline, standbys, quorum, writes_allowed FROM vecdb.groups ORDER BY 1;
SELECT component, status, reason FROM vecdb.health() WHERE status <> 'healthy';
SELECT vecdb.ready();
SELECT vecdb.step_down(1);
SELECT vecdb.transfer_leadership(3, 'a');
SELECT vecdb.enter_maintenance(1, 0);
SELECT count(*) FROM vecdb.leader_history;

-- a copy of a member
UPDATE vecdb.catalog_local SET system_identifier = '1';
SET client_min_messages = error;
SELECT component, status, reason FROM vecdb.health() WHERE status <> 'healthy';
SELECT vecdb.ready();
RESET client_min_messages;

-- the server's own function is called by the server
CREATE TEMP TABLE mine (a int);
CREATE TRIGGER noise AFTER INSERT ON mine EXECUTE FUNCTION vecdb.replication_changed();
INSERT INTO mine VALUES (1);
SELECT vecdb.replication_changed();

CREATE ROLE vecdb_test_user;
CREATE ROLE vecdb_test_monitor IN ROLE pg_monitor;
SET ROLE vecdb_test_user;
SELECT count(*) FROM vecdb.hosts;
SELECT vecdb.live(), vecdb.ready();
SELECT * FROM vecdb.health();
SELECT * FROM vecdb.leader_history;
SELECT vecdb.node_state(NULL, NULL);
SELECT vecdb.timeline_history();
SELECT vecdb.step_down(1);
SELECT vecdb.transfer_leadership(1, 'a');
SELECT vecdb.enter_maintenance(1);
SELECT vecdb.exit_maintenance(1);
SET ROLE vecdb_test_monitor;
SELECT count(*) > 0 FROM vecdb.health();
SELECT count(*) FROM vecdb.leader_history;
SELECT timeline > 0 FROM vecdb.timeline_history();
-- nobody makes a copy of this server
SELECT count(*), max(phase), max(percent) FROM vecdb.clones;
RESET ROLE;
DROP ROLE vecdb_test_user, vecdb_test_monitor;

\c :before
DROP DATABASE replication_views;
