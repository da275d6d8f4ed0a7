# Which of several standbys is read at, and what do sessions see of what hosts
# work on?

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VecdbCluster;
use VecdbGroups;
use VecdbSessions;

my $cluster = VecdbCluster->new('lb', groups => 2,
	conf => "vecdb.probe_interval = 200ms\nwal_keep_size = 64MB\nhot_standby = on\nmax_wal_senders = 10")->start;
my $one = $cluster->node(1);
my $two = $cluster->node(2);

# a standby of group 2 in a zone, known by a name of its own
sub add_standby
{
	my ($name, $host, $zone) = @_;
	my $standby = $cluster->add_standby(2, $name, host => $host, conf => "listen_addresses = '127.0.0.1'\nvecdb.zone = '$zone'");
	VecdbGroups::wait_for($one, sprintf("SELECT state = 'up' AND lag_bytes = 0 AND zone = '%s' FROM vecdb.hosts WHERE host = '%s'", $zone, $host), $name);
	return $standby;
}

$cluster->query(1, q{
	CREATE TABLE items (id bigint PRIMARY KEY, v int);
	SELECT vecdb.distribute_table('items');
	INSERT INTO items SELECT g, g FROM generate_series(1, 400) g});
my $near = add_standby('near', '127.0.0.1', 'here');
my $far = add_standby('far', 'localhost', 'there');
my %zone = ('127.0.0.1:' . $near->port => 'near', 'localhost:' . $far->port => 'far');

# how often was each standby asked by a session that reads so many times?
sub asked
{
	my ($settings, $times) = @_;
	my $out = $one->safe_psql('postgres', "SET vecdb.read_from = follower; SET vecdb.max_lag = -1; $settings; "
		  . 'SELECT count(*) FROM items WHERE id > 0; ' x $times
		  . q{SELECT host || ' ' || requests FROM vecdb.connections WHERE group_id = 2 AND purpose = 'read'});
	my %count = map { /^(\S+) (\d+)$/ ? ($zone{$1} => $2) : () } split /\n/, $out;
	return ($count{near} // 0, $count{far} // 0);
}

# group 1 has no standby, so that only group 2 is of interest
is($one->psql('postgres', "SET vecdb.read_from = follower; SELECT count(*) FROM items"), 3, 'a group without a standby');
my $own = $one->safe_psql('postgres', q{SELECT count(*) FROM vecdb.hosts WHERE group_id = 1});
is($own, '1', 'has one host');
my $own_standby = $cluster->add_standby(1, 'own');
VecdbGroups::wait_for($one, sprintf("SELECT state = 'up' AND lag_bytes = 0 FROM vecdb.hosts WHERE port = %d", $own_standby->port), 'own');

is(join(' ', asked('SET vecdb.load_balance = round_robin', 10)), '5 5', 'one after the other');
my ($n, $f) = asked('SET vecdb.load_balance = least_loaded', 40);
is($n + $f, 40, 'each statement is one request');
cmp_ok($n, '>', 4, 'of two that have nothing to do, one of them');
cmp_ok($f, '>', 4, 'or the other');
($n, $f) = asked('SET vecdb.load_balance = latency', 10);
is($n + $f, 10, 'by latency');

# the nearest
$one->safe_psql('postgres', $_) foreach q{ALTER SYSTEM SET vecdb.zone = 'here'}, 'SELECT pg_reload_conf()';
VecdbGroups::wait_for($one, q{SELECT zone = 'here' FROM vecdb.hosts WHERE is_self}, 'the zone is known');
# unless it happens to be twice as slow
my $near_wins = 0;
for (1 .. 20)
{
	($n, $f) = asked('SET vecdb.load_balance = local', 10);
	last if $near_wins = $n == 10;
	select(undef, undef, undef, 0.5);
}
ok($near_wins, 'the standby in the same zone');
$one->safe_psql('postgres', $_) foreach q{ALTER SYSTEM SET vecdb.zone = 'there'}, 'SELECT pg_reload_conf()';
VecdbGroups::wait_for($one, q{SELECT zone = 'there' FROM vecdb.hosts WHERE is_self}, 'the zone is another one');
my $far_wins = 0;
for (1 .. 20)
{
	($n, $f) = asked('SET vecdb.load_balance = local', 10);
	last if $far_wins = $f == 10;
	select(undef, undef, undef, 0.5);
}
ok($far_wins, 'and of another zone');
like(($one->psql('postgres', q{ALTER SYSTEM SET vecdb.zone = '} . 'z' x 64 . q{'}))[2], qr/invalid value for parameter "vecdb.zone"/, 'a name that is too long');

# who works does not get more
my $slow = 'SELECT count(*) FROM items WHERE length(repeat(md5(v::text), 3000000)) < 0';
my $in_flight = q{SELECT coalesce(string_agg(host || ' ' || in_flight, ',' ORDER BY host), '') FROM vecdb.hosts WHERE group_id = 2 AND in_flight > 0};
my $worker = VecdbSessions->new($one);
$worker->run('SET vecdb.read_from = follower');
my ($pid) = $worker->run('SELECT pg_backend_pid()');
$worker->send($slow);
VecdbGroups::wait_for($one, q{SELECT sum(in_flight) = 1 FROM vecdb.hosts WHERE group_id = 2}, 'a statement is in flight');
my $busy = $one->safe_psql('postgres', $in_flight);
like($busy, qr/^(127.0.0.1|localhost) 1$/, 'one host works on it');
($n, $f) = asked('SET vecdb.load_balance = least_loaded', 10);
is($busy =~ /^127/ ? "$n $f" : "$f $n", '0 10', 'the other one gets what comes next');
is($one->safe_psql('postgres', $in_flight), $busy, 'what was answered is not in flight');
$one->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
VecdbGroups::wait_for($one, q{SELECT sum(in_flight) = 0 FROM vecdb.hosts}, 'nor is that of a session that is gone');
is($one->safe_psql('postgres', $in_flight), '', 'nothing is in flight');
eval { $worker->quit };

# a session's connections
is($one->safe_psql('postgres', q{SET vecdb.read_from = follower; SELECT count(*) FROM items;
	SET vecdb.read_from = leader; SELECT count(*) FROM items;
	SELECT group_id, purpose, state, in_transaction, in_flight FROM vecdb.connections ORDER BY 1, 2}),
	"400\n400\n1|read|idle|f|0\n2|primary|idle|f|0\n2|read|idle|f|0", 'connections to a primary and to standbys are kept side by side');

is(scalar($cluster->crashes), 0, 'nothing crashed');
done_testing();
