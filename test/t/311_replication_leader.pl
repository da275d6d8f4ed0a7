# Do functions about leadership ask Patroni for what is wanted, refuse what
# cannot be before anything has changed, and pass on what Patroni refuses?  Do
# health and readiness say what is promised and what is not?
#
# Patroni is a stand-in (test/cluster/patroni.py), and the test promotes.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VecdbCluster qw(address);
use VecdbGroups;
use VecdbPatroni;
use VecdbRecall qw(wait_until);
use VecdbSessions qw(start_psql);

my $patroni = VecdbPatroni->new;
plan skip_all => $patroni->missing if $patroni->missing;
my $dir = $patroni->start->dir;

my $cluster = VecdbCluster->new('lead', groups => 2,
	conf => "vecdb.probe_interval = 200ms\nwal_log_hints = on\nmax_wal_senders = 10")->start;
my $one = $cluster->node(1);
my $two = $cluster->node(2);

sub add_standby
{
	my ($name) = @_;
	return $cluster->add_standby(2, $name, conf => "vecdb.patroni_url = '" . $patroni->url($name) . "'");
}

# set where Patroni of the second group's leader is, and wait until the first
# node has heard of it
sub set_patroni
{
	my ($url) = @_;
	$two->append_conf('postgresql.conf', "vecdb.patroni_url = '$url'");
	$two->reload;
	VecdbGroups::wait_for($two, "SELECT patroni_url = '$url' FROM vecdb.node_state(NULL, NULL)", 'the setting');
	# two turns later
	my $set = $one->safe_psql('postgres', q{SELECT now() + interval '400 ms'});
	VecdbGroups::wait_for($one, sprintf(q{SELECT last_seen > '%s' FROM vecdb.hosts WHERE host = '%s' AND port = %d},
		$set, $two->host, $two->port), 'two turns');
}
sub health
{
	my ($node, $component) = @_;
	return $node->safe_psql('postgres', "SELECT status, reason FROM vecdb.health() WHERE component = '$component'");
}

# health of a plain cluster, once the probers have asked around
VecdbGroups::wait_for($_, q{SELECT NOT EXISTS (SELECT FROM vecdb.health() WHERE status <> 'healthy')}, 'probers') foreach $one, $two;
is(VecdbGroups::wait_for($one, 'SELECT vecdb.live() AND vecdb.ready()', 'ready'), 1, 'live and ready');
my $health = '';
wait_until(sub { ($health = $one->safe_psql('postgres', q{SELECT string_agg(component, ' '), string_agg(DISTINCT status, ' ') FROM vecdb.health()})) =~ /\|healthy$/ });
is($health, 'node membership prober group 1 group 2 transactions recovery catalogs slots|healthy', 'all is well');
like(health($one, 'group 2'), qr/on one host when COMMIT returns/, 'what is promised is said');
is($cluster->single->safe_psql('postgres', q{SELECT vecdb.ready(), component, status, reason FROM vecdb.health() WHERE reason IS NOT NULL}),
	't|membership|healthy|this database is in no cluster', 'without a cluster, too');

# what cannot be
sub refused { my ($sql, $like, $what) = @_; return like(($one->psql('postgres', $sql))[2], $like, $what); }
refused('SELECT vecdb.step_down(2)', qr/group 2 has no host that could lead it instead.*only host/s, 'a group of one host');
refused('SELECT vecdb.step_down(9)', qr/group 9 does not exist/, 'no such group');
refused('SELECT vecdb.step_down(2, 0)', qr/cannot wait for 0 seconds/, 'no time');
refused('SELECT vecdb.enter_maintenance(2)', qr/address of Patroni's REST API is not known for any host of group 2.*vecdb.patroni_url/s, 'no Patroni');
my $second = add_standby('second');
my $third = add_standby('third');
VecdbGroups::wait_for($one, q{SELECT count(*) FILTER (WHERE streaming AND lag_bytes = 0) = 2 FROM vecdb.hosts WHERE group_id = 2}, 'standbys');
refused("SELECT vecdb.transfer_leadership(2, '@{[address($second)]}')", qr/address of Patroni's REST API is not known for host "@{[address($two)]}"/, 'Patroni of the leader is not known');
set_patroni($patroni->url('two'));
refused("SELECT vecdb.transfer_leadership(2, 'nobody:1')", qr/group 2 has no host "nobody:1"/, 'an unknown host');
refused("SELECT vecdb.transfer_leadership(2, '@{[$two->host]}')", qr/group 2 has several hosts/, 'a name of several');
refused("SELECT vecdb.transfer_leadership(2, '@{[address($one)]}')", qr/group 2 has no host/, 'a host of another group');
$third->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
$two->safe_psql('postgres', 'CREATE TABLE filler AS SELECT g, repeat(md5(g::text), 10) FROM generate_series(1, 60000) g');
VecdbGroups::wait_for($one, sprintf('SELECT lag_bytes > 16777216 FROM vecdb.hosts WHERE port = %d', $third->port), 'a lag');
refused("SELECT vecdb.transfer_leadership(2, '@{[address($third)]}')", qr/cannot lead group 2.*bytes behind the leader/s, 'a lagging host');
$third->stop;
VecdbGroups::wait_for($one, sprintf(q{SELECT state = 'down' FROM vecdb.hosts WHERE port = %d}, $third->port), 'one is down');
refused("SELECT vecdb.transfer_leadership(2, '@{[address($third)]}')", qr/cannot lead group 2.*does not answer/s, 'a dead host');
like(health($one, 'group 2'), qr/^degraded\|host \S+ is down: /, 'health says so');
is($one->safe_psql('postgres', 'SELECT vecdb.ready()'), 't', 'this node is ready all the same');
unlike($patroni->asked, qr/POST/, 'Patroni was not asked for any of these');
$third->start;
VecdbGroups::wait_for($one, q{SELECT count(*) FILTER (WHERE streaming AND lag_bytes = 0) = 2 FROM vecdb.hosts WHERE group_id = 2}, 'it is back');

# what Patroni refuses
$patroni->put('refuse', '412 switchover is not possible: no good candidates have been found');
refused('SELECT vecdb.step_down(2)', qr/Patroni refuses to change the leader of group 2.*status 412, is: switchover is not possible/s, 'Patroni says no');
unlink "$dir/refuse";
$patroni->put('password', 'admin:secret');
refused('SELECT vecdb.step_down(2)', qr/refuses.*status 401.*vecdb.patroni_auth/s, 'a password is missing');
append_to_file("$dir/auth", "# for tests\nusername = admin\npassword = secret\n");
chmod 0644, "$dir/auth";
$one->append_conf('postgresql.conf', "vecdb.patroni_auth = '$dir/auth'");
$one->reload;
VecdbGroups::wait_for($one, "SELECT current_setting('vecdb.patroni_auth') = '$dir/auth'", 'the setting');
refused('SELECT vecdb.step_down(2)', qr/has group or world access/, 'a file that others can read');
chmod 0600, "$dir/auth";
append_to_file("$dir/auth", "color = red\n");
refused('SELECT vecdb.step_down(2)', qr/line 4 of file .* is not understood/, 'a file with something else');
unlink "$dir/auth";
append_to_file("$dir/auth", "username = admin\npassword = secret\n");
chmod 0600, "$dir/auth";

# maintenance
$patroni->asked;
is($one->safe_psql('postgres', 'SELECT vecdb.enter_maintenance(2)'), 't', 'maintenance begins');
ok(-e "$dir/pause", 'in Patroni');
is($one->safe_psql('postgres', 'SELECT vecdb.enter_maintenance(2)'), 'f', 'once');
is($one->safe_psql('postgres', 'SELECT vecdb.exit_maintenance(2)'), 't', 'and ends');
ok(!-e "$dir/pause", 'in Patroni');
like($patroni->asked, qr/PATCH \S+ \{"pause": true\}.*PATCH \S+ \{"pause": null\}/s, 'as Patroni wants it');

# Patroni that does not answer
$patroni->put('silent');
my $began = time;
refused('SELECT vecdb.step_down(2, 2)', qr/could not ask Patroni.*(timed out|no answer in time)/si, 'a silent Patroni');
refused("SET statement_timeout = '500ms'; SELECT vecdb.step_down(2, 50)", qr/canceling statement due to statement timeout/, 'can be interrupted');
cmp_ok(time - $began, '<', 40, 'in time');
unlink "$dir/silent";
set_patroni('http://127.0.0.1:1');
refused('SELECT vecdb.step_down(2)', qr/could not ask Patroni at "http:\/\/127.0.0.1:1\/patroni"/, 'nobody there');
set_patroni($patroni->url('two'));
refused('SELECT vecdb.step_down(2, 5)', qr/group 2 is not yet as it should be.*no new one was seen in time/s, 'nothing happens');
unlink "$dir/switchover";

# etcd was out of reach a short time ago
$patroni->put('failsafe');
refused('SELECT vecdb.step_down(2, 2)', qr/NOTICE:  waiting until Patroni's failsafe mode is over in group 2.*group 2 is not yet as it should be.*failsafe mode/s, 'failsafe mode');
ok(!-e "$dir/switchover", 'Patroni is not asked');
{
	my $waiting = start_psql($one, 'SELECT vecdb.step_down(2, 60)');
	ok(wait_until(sub { $waiting->{run}->pump_nb; $waiting->{err} =~ /failsafe/ }), 'it waits');
	ok(!-e "$dir/switchover", 'Patroni is not asked meanwhile');
	unlink "$dir/failsafe";
	ok(wait_until(sub { -e "$dir/switchover" }), 'asked when it is over');
	$one->safe_psql('postgres', q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE '%step_down%' AND pid <> pg_backend_pid()});
	$waiting->{run}->finish;
	unlink "$dir/switchover";
}

# a transfer
is($one->safe_psql('postgres', "SELECT vecdb.transfer_leadership(2, '@{[address($two)]}')"), address($two), 'to who has it already');
ok(!-e "$dir/switchover", 'Patroni is not asked');
my $session = start_psql($one, "SELECT vecdb.transfer_leadership(2, '@{[address($second)]}', 60)");
wait_until(sub { -e "$dir/switchover" });
is(slurp_file("$dir/switchover"), 'two second', 'Patroni is asked for it, by its own names');
$two->stop;
$second->promote;
$session->{run}->finish;
is("$session->{out}$session->{err}", address($second) . "\n", 'it returns who leads');
$third->append_conf('postgresql.conf', sprintf("primary_conninfo = 'host=%s port=%d'", $second->host, $second->port));
$third->reload;

# history
$patroni->put('history', '[[1, 50000000, "no recovery target specified", "2026-01-02T03:04:05+00:00", "second"]]');
is($one->safe_psql('postgres', q{SET timezone = 'UTC'; SELECT group_id, timeline, previous, lsn > '0/1000000', reason, began, leader FROM vecdb.leader_history ORDER BY 1, 2}),
	"1|1|||||\n2|1|||||\n2|2|1|t|no recovery target specified|2026-01-02 03:04:05+00|second", 'who led when');
unlink "$dir/history";
my ($rc, $rows, $warning) = $one->psql('postgres', 'SELECT count(*) FROM vecdb.leader_history');
is($rows, 3, 'without Patroni, too');
like($warning, qr/WARNING:  Patroni does not say when group 2 changed its leader/, 'with a warning');

# readiness: the promise does not hold
VecdbGroups::wait_for($one, q{SELECT standbys = 1 FROM vecdb.groups WHERE group_id = 2}, 'a standby follows');
$second->append_conf('postgresql.conf', "synchronous_standby_names = 'ANY 1 (two, third)'");
$second->reload;
VecdbGroups::wait_for($second, 'SELECT vecdb.ready()', 'ready with a synchronous standby');
$third->stop;
VecdbGroups::wait_for($second, 'SELECT NOT vecdb.ready()', 'not ready without');
like(health($second, 'group 2'), qr/^unhealthy\|commits wait for standbys, and there are too few/, 'health says why');
is($one->safe_psql('postgres', 'SELECT vecdb.ready()'), 't', 'the other group is not concerned');
$third->start;
VecdbGroups::wait_for($second, 'SELECT vecdb.ready()', 'ready again');
VecdbGroups::wait_for($third, 'SELECT vecdb.ready()', 'a standby is ready');

# an outdated primary is not ready
$two->start;
VecdbGroups::wait_for($two, 'SELECT NOT vecdb.ready()', 'an outdated primary is not ready');
like(health($two, 'node'), qr/^unhealthy\|it is a primary on timeline 1 that has a successor/, 'health says why');

$one->safe_psql('postgres', 'CREATE ROLE plain LOGIN');
is($one->safe_psql('postgres', 'SET ROLE plain; SELECT vecdb.live(), vecdb.ready()'), 't|t', 'live and ready are for all');

is(scalar($cluster->crashes), 0, 'nothing crashed');
done_testing();
