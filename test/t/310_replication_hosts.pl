# Does a node know which host of each group is primary, who is behind, who is
# outdated and who is a stranger?  Does it leave a database that others want?

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VecdbCluster;
use VecdbGroups;
use VecdbRecall qw(wait_until);

my $cluster = VecdbCluster->new('rep', groups => 2,
	conf => "vecdb.probe_interval = 200ms\nwal_keep_size = 64MB\nhot_standby = on\n"
	  . "wal_receiver_timeout = 5s\nmax_wal_senders = 10\nwal_log_hints = on")->start;
my $one = $cluster->node(1);
my $two = $cluster->node(2);

# the first column of a row of vecdb.hosts
sub host
{
	my ($asked, $node, $columns) = @_;
	return $asked->safe_psql('postgres', sprintf(
		"SELECT %s FROM vecdb.hosts WHERE host = '%s' AND port = %d",
		$columns, $node->host, $node->port));
}

# waits until a node says that of another
sub host_becomes
{
	my ($asked, $node, $columns, $expected, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $got = '';
	wait_until(sub { ($got = host($asked, $node, $columns)) eq $expected });
	return is($got, $expected, $what);
}

# two groups of one host
host_becomes($one, $one, 'is_self, state, role, is_leader, timeline', 't|up|primary|t|1', 'a node knows itself');
host_becomes($one, $two, 'is_self, state, role, is_leader, timeline', 'f|up|primary|t|1', 'and the other group');
host_becomes($two, $one, 'state, is_leader', 'up|t', 'which knows it');
is($one->safe_psql('postgres', q{
	SELECT group_id, leader IS NOT NULL, timeline, standbys, synchronous_standbys, quorum, writes_allowed
	FROM vecdb.groups ORDER BY 1}), "1|t|1|0|0|not required|t\n2|t|1|0|0|not required|t", 'groups');
is(host($one, $two, q{latency BETWEEN '0' AND '2 s', last_seen > now() - interval '10 s',
	breaker, error IS NULL}), 't|t|closed|t', 'how it answers');
is($one->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'vecdb prober'}), '1', 'there is one prober');

# standbys
my $second = $cluster->add_standby(2, 'second');
my $third = $cluster->add_standby(2, 'third');
host_becomes($one, $second, 'state, role, streaming, is_leader, lag_bytes, lag', 'up|standby|t|f|0|00:00:00', 'a standby is seen');
host_becomes($one, $third, 'state, role, streaming', 'up|standby|t', 'so is the other one');
host_becomes($second, $two, 'state, is_leader', 'up|t', 'a standby watches, too');
host_becomes($second, $second, 'is_self, role', 't|standby', 'and knows itself');
is($one->safe_psql('postgres', 'SELECT standbys FROM vecdb.groups WHERE group_id = 2'), '2', 'the group has standbys');

# behind
$third->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
$two->safe_psql('postgres', 'CREATE TABLE filler AS SELECT g FROM generate_series(1, 50000) g');
VecdbGroups::wait_for($one, sprintf(
	"SELECT lag_bytes > 1000000 AND lag > '1 s' FROM vecdb.hosts WHERE port = %d AND host = '%s'", $third->port, $third->host),
	'a standby that does not replay is behind');
host_becomes($one, $second, 'lag_bytes, lag', '0|00:00:00', 'another one is not');
$third->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
host_becomes($one, $third, 'lag_bytes, lag', '0|00:00:00', 'it catches up');

# synchronous standbys
$two->safe_psql('postgres', $_) foreach (
	"ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (second, third)'", 'SELECT pg_reload_conf()');
VecdbGroups::wait_for($one, q{SELECT quorum = 'present' AND synchronous_standbys = 2 AND writes_allowed FROM vecdb.groups WHERE group_id = 2},
	'the group has a quorum');
$second->stop;
VecdbGroups::wait_for($one, q{SELECT quorum = 'present' AND synchronous_standbys = 1 FROM vecdb.groups WHERE group_id = 2},
	'one of two standbys is enough');
host_becomes($one, $second, q{state, role, coalesce(error, '') <> ''}, 'down|standby|t', 'the other one is down');
$third->stop;
VecdbGroups::wait_for($one, q{SELECT quorum = 'missing' AND NOT writes_allowed FROM vecdb.groups WHERE group_id = 2},
	'without any it has none');
$second->start;
$third->start;
VecdbGroups::wait_for($one, q{SELECT quorum = 'present' AND synchronous_standbys = 2 FROM vecdb.groups WHERE group_id = 2}, 'until they are back');

# a frozen host does not hold up the others
$cluster->freeze(2);
host_becomes($one, $two, 'state', 'down', 'a frozen primary is down');
like(host($one, $two, 'error'), qr/no answer within 2000 ms/, 'as it does not answer');
is($one->safe_psql('postgres', 'SELECT leader IS NULL, quorum, writes_allowed FROM vecdb.groups WHERE group_id = 2'), 't|unknown|f', 'nobody leads the group');
host_becomes($one, $second, 'state', 'up', 'its standbys are seen');

# failover: the old primary comes back and is outdated
$second->promote;
host_becomes($one, $second, 'state, role, is_leader, timeline', 'up|primary|t|2', 'a standby was promoted');
$cluster->thaw(2);
host_becomes($one, $two, 'state, role, is_leader, timeline', 'outdated|primary|f|1', 'the old primary is outdated');
like(host($one, $two, 'error'), qr/is a primary on timeline 1, and the group is on 2/, 'and why');
host_becomes($two, $two, 'state, is_self', 'outdated|t', 'it has been told');
is($one->safe_psql('postgres', q{SELECT host || ':' || port = leader FROM vecdb.groups g JOIN vecdb.hosts h USING (group_id) WHERE g.group_id = 2 AND is_leader}),
	't', 'there is one leader');

# sessions find the new one, and do not believe the old one
is($one->safe_psql('postgres', q{SELECT vecdb.run_on_group(2, 'SELECT (pg_control_checkpoint()).timeline_id > 0')}), 't', 'the new primary is connected to');
is($one->safe_psql('postgres', q{SELECT vecdb.run_on_group(2, 'SELECT 1'); SELECT host FROM vecdb.connections}),
	"1\n" . $second->host . ':' . $second->port, 'by a new session');
$second->stop;
host_becomes($one, $second, 'state', 'down', 'it is stopped');
my ($rc, $out, $err) = $cluster->try(1, q{SELECT vecdb.run_on_group(2, 'SELECT 1')});
like($err, qr/could not connect to group 2.*is an outdated primary, on timeline 1 when the group is on 2/s, 'the outdated one is refused');
# also by who was not there
$one->restart;
host_becomes($one, $two, 'state', 'outdated', 'after a restart too, since others tell');
$second->start;

# the old primary returns as a standby
$two->stop;
$second->stop;
$two->command_ok([ 'pg_rewind', '-D', $two->data_dir, '--source-pgdata', $second->data_dir, '--no-sync' ], 'pg_rewind');
$two->append_conf('postgresql.conf', sprintf("port = %d\nunix_socket_directories = '%s'\ncluster_name = 'two'", $two->port, $two->host));
$two->enable_streaming($second);
$second->start;
$two->start;
host_becomes($one, $two, 'state, role, timeline', 'up|standby|2', 'rewound, it is a standby');
host_becomes($one, $second, 'is_leader', 't', 'of the new primary');

# a host with other data
my $stranger = $cluster->add_server(3);
$one->safe_psql('postgres', sprintf("INSERT INTO vecdb.catalog_host VALUES ('%s', %d, 1)", $stranger->host, $stranger->port));
host_becomes($one, $stranger, 'state', 'foreign', 'a server that is not a member is a stranger');
like(host($one, $stranger, 'error'), qr/not a member of a cluster/, 'and why');
$one->safe_psql('postgres', sprintf('DELETE FROM vecdb.catalog_host WHERE port = %d', $stranger->port));
ok(VecdbGroups::wait_for($one, sprintf('SELECT NOT EXISTS (SELECT FROM vecdb.show_hosts() WHERE port = %d)', $stranger->port), 'forgotten'),
	'its place is given back');
$one->safe_psql('postgres', sprintf("INSERT INTO vecdb.catalog_host VALUES ('%s', %d, 1)", $second->host, $second->port + 100));
host_becomes($one, $one, 'state', 'up', 'an address where nobody is');

# views are planned as what they are: small
$one->safe_psql('postgres', 'EXPLAIN SELECT * FROM vecdb.' . $_) =~ /cost=[0-9.]+\.\.([0-9]+)/
  and cmp_ok($1, '<', 100000, "the cost of vecdb.$_") foreach qw(groups hosts leader_history);

# errors are for those who may see them
$one->safe_psql('postgres', 'CREATE ROLE plain LOGIN');
is($one->safe_psql('postgres', q{SET ROLE plain; SELECT count(*) > 2, count(error) FROM vecdb.hosts}), 't|0', 'others do not see errors');
like(($one->psql('postgres', q{SET ROLE plain; SELECT vecdb.node_state('{1}', '{9}')}))[2], qr/permission denied/, 'nor do they tell timelines');
like(($one->psql('postgres', q{SELECT vecdb.node_state('{1}', '{9}')}))[2], qr/only nodes of the cluster/, 'nor do superusers');

# the prober leaves a database that is wanted alone
$one->safe_psql('template1', 'CREATE DATABASE copy TEMPLATE postgres');
pass('CREATE DATABASE with the database as template');
# all databases are looked at after a start
$one->restart;
host_becomes($one, $one, 'is_self', 't', 'after a restart the database has its prober');
is($one->safe_psql('copy', 'SELECT vecdb.has_prober()'), 'f', 'a copy has none');
is($one->safe_psql('copy', q{SELECT string_agg(datname, ' ') FROM pg_stat_activity WHERE backend_type = 'vecdb prober'}),
	'postgres', 'nor does it have one that has not begun');
$one->safe_psql('template1', 'DROP DATABASE copy');
host_becomes($one, $one, 'is_self', 't', 'the prober comes back');
$one->safe_psql('template1', 'ALTER DATABASE postgres RENAME TO renamed');
$one->safe_psql('template1', 'ALTER DATABASE renamed RENAME TO postgres');
host_becomes($one, $one, 'is_self', 't', 'also after it was renamed');

# killed, it comes back
my $pid = $one->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'vecdb prober'});
$one->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
VecdbGroups::wait_for($one, "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'vecdb prober' AND pid <> $pid", 'there is another prober');

# a cluster that is none any more
is(scalar($cluster->crashes), 0, 'nothing crashed');
done_testing();
