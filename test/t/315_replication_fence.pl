# Does nobody get an answer from an outdated primary, neither another node's
# session nor a client of its own?  Is a group without a leader waited for, and
# are requests held while its leader is changed on purpose, for no longer than
# they may be?
#
# Patroni is a stand-in (test/cluster/patroni.py), and the test promotes.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use VecdbCluster qw(address);
use VecdbGroups;
use VecdbPatroni;
use VecdbRecall qw(wait_until);
use VecdbSessions qw(start_psql);

my $patroni = VecdbPatroni->new;
plan skip_all => $patroni->missing if $patroni->missing;
my $dir = $patroni->start->dir;

my $cluster = VecdbCluster->new('fence', groups => 2,
	conf => "vecdb.probe_interval = 500ms\nmax_wal_senders = 10")->start;
my $one = $cluster->node(1);
my $two = $cluster->node(2);

sub add_standby
{
	my ($group, $name) = @_;
	return $cluster->add_standby($group, $name, conf => "vecdb.patroni_url = '" . $patroni->url($name) . "'");
}

# waits until a node sees who leads group 2
sub wait_for_leader
{
	my ($asked, $node) = @_;
	return VecdbGroups::wait_for($asked, sprintf(
		"SELECT is_leader FROM vecdb.hosts WHERE group_id = 2 AND host = '%s' AND port = %d",
		$node->host, $node->port), 'the leader is seen');
}

# error and seconds of statements at a node
sub try_at
{
	my ($node, $sql) = @_;
	my $began = time;
	my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql");
	$err =~ s/^psql:<stdin>:\d+: //mg;
	return ($err, time - $began, $out);
}

$one->safe_psql('postgres', "CREATE TABLE items (id int PRIMARY KEY, v int); SELECT vecdb.distribute_table('items')");
$one->safe_psql('postgres', 'INSERT INTO items SELECT i, 1 FROM generate_series(1, 200) i');
$one->safe_psql('postgres', 'CREATE ROLE plain LOGIN; GRANT SELECT ON items TO plain');
my @ids = split /\n/, $one->safe_psql('postgres',
	"SELECT i FROM generate_series(1000, 2000) i WHERE vecdb.group_of('items', i) = 2");
my $second = add_standby(2, 'second');
my $first = add_standby(1, 'first');
wait_for_leader($_, $two) foreach $one, $two, $second;

# who leads is changed without the old primary being told
my $session = $one->background_psql('postgres', on_error_stop => 0);
my $writer = $one->background_psql('postgres', on_error_stop => 0);
my $client = $two->background_psql('postgres', on_error_stop => 0);
my $reader = $two->background_psql('postgres', on_error_stop => 0);
is($session->query('SELECT count(*) FROM items'), '200', 'a session has a connection');
is($session->query("SELECT host FROM vecdb.connections WHERE group_id = 2"), address($two), 'to the primary');
$writer->query_safe("BEGIN; INSERT INTO items VALUES ($ids[0], 1)");
$client->query_safe('BEGIN; CREATE TABLE here (a int)');
is($reader->query('SELECT count(*) FROM items'), '200', 'a client reads at the primary');
my $node = do { local $ENV{PGOPTIONS} = '-c vecdb.internal=on'; $two->background_psql('postgres', on_error_stop => 0) };
$node->query_safe("SELECT vecdb.guard_session('" . ('0123456789abcdef' x 2) . "')");
$second->promote;
wait_for_leader($_, $second) foreach $one, $second;
VecdbGroups::wait_for($two, 'SELECT NOT vecdb.ready()', 'the old primary knows, too');
is($session->query('SELECT count(*) FROM items'), '200', 'the session reads');
is($session->query("SELECT host FROM vecdb.connections WHERE group_id = 2"), address($second), 'from the new primary: it has dropped the old one');
$writer->query('COMMIT');
like($writer->{stderr}, qr/ERROR:  connection to group 2 was lost/, 'a transaction at the old primary fails');
$writer->query('ROLLBACK');
is($one->safe_psql('postgres', "SELECT count(*) FROM items WHERE id = $ids[0]"), '0', 'and is not there');
$writer->{stderr} = '';
$writer->query("INSERT INTO items VALUES ($ids[0], 1)");
is($writer->{stderr}, '', 'the next one succeeds');

# its own clients
my $outdated = qr/57VD1: this server is an outdated primary, on timeline 1 when group 2 is on 2.*HINT: .*vecdb\.hosts/s;
foreach my $sql ('SELECT * FROM items', 'SELECT 1 FROM items WHERE id = 1', "INSERT INTO items VALUES ($ids[1], 1)",
	'CREATE TABLE other (a int)', 'COPY items TO STDOUT', 'TRUNCATE items', 'VACUUM items',
	'DO $$ BEGIN PERFORM count(*) FROM items; END $$', 'PREPARE p AS SELECT * FROM items; EXECUTE p',
	'BEGIN; DECLARE c CURSOR FOR SELECT * FROM items', 'EXPLAIN ANALYZE SELECT * FROM items')
{
	like((try_at($two, $sql))[0], qr/^ERROR:  $outdated/, "refused: $sql");
}
foreach my $sql ('SELECT 1', 'SHOW timezone', 'SELECT count(*) > 0 FROM vecdb.hosts', 'SELECT vecdb.live()',
	'SELECT count(*) > 0 FROM pg_class', 'EXPLAIN SELECT * FROM items', 'CHECKPOINT', 'BEGIN; ROLLBACK',
	q{SET vecdb.allow_outdated = on; SELECT count(*) FROM items WHERE vecdb.group_of('items', id) = 2})
{
	is((try_at($two, $sql))[0], '', "not refused: $sql");
}
like((try_at($two, 'SET ROLE plain; SET vecdb.allow_outdated = on'))[0], qr/permission denied to set parameter/, 'who may look all the same');
$reader->query('SELECT count(*) FROM items');
like($reader->{stderr}, qr/this server is an outdated primary/, 'a session that was there is refused');
$client->query('COMMIT');
like($client->{stderr}, qr/ERROR:  this server is an outdated primary.*The transaction is rolled back/s, 'so is a COMMIT');
eval { $node->query('SELECT count(*) FROM items') };
like($node->{stderr}, qr/FATAL:  this server is an outdated primary/, 'a session of another node ends');
{
	local $ENV{PGOPTIONS} = '-c vecdb.internal=on';
	like((try_at($two, "SELECT vecdb.guard_session('" . ('0123456789abcdef' x 2) . "')"))[0], qr/^ERROR:  $outdated/, 'and none is begun');
}
like((try_at($two, 'SELECT * FROM vecdb.recover_transactions()'))[0], qr/57VD1: cannot recover transactions on an outdated primary/, 'nor does it judge transactions');
eval { $_->quit } foreach $session, $writer, $client, $reader, $node;

# it returns, as a standby
$two->stop;
$cluster->replace_node(2, $second);
my $third = add_standby(2, 'third');
$one->safe_psql('postgres', sprintf("SELECT vecdb.remove_host('%s', %d)", $two->host, $two->port));
VecdbGroups::wait_for($_, q{SELECT count(*) = 1 FROM vecdb.hosts WHERE group_id = 2 AND streaming AND state = 'up'}, 'a standby is seen') foreach $one, $first;

# a group without a leader is waited for
$second->stop('immediate');
my ($err, $seconds) = try_at($one, 'SET vecdb.failover_timeout = 0; SELECT count(*) FROM items');
like($err, qr/^ERROR:  08001: could not connect to group 2/, 'not with vecdb.failover_timeout = 0');
cmp_ok($seconds, '<', 9, 'at once');
($err, $seconds) = try_at($one, q{SET vecdb.failover_timeout = '2s'; SELECT count(*) FROM items});
like($err, qr/^ERROR:  08001: could not connect to group 2.*is a standby/s, 'for so long and no longer');
cmp_ok($seconds, '>=', 2, 'it was waited for');
cmp_ok($seconds, '<', 60, 'not for long');
($err, $seconds) = try_at($one, q{SET vecdb.failover_timeout = '100s'; SET statement_timeout = '1s'; SELECT count(*) FROM items});
like($err, qr/^ERROR:  57014: canceling statement due to statement timeout/, 'statement_timeout ends the wait');
($err, $seconds) = try_at($one, q{SET vecdb.failover_timeout = '100s'; SET vecdb.partial_results = on; SELECT count(*) FROM items});
like($err, qr/^WARNING:  /, 'nobody waits with vecdb.partial_results');
cmp_ok($seconds, '<', 50, 'at all');
my @waiting = map { start_psql($one, q{SET vecdb.failover_timeout = '100s'}, $_) }
  ('SELECT count(*) FROM items', "INSERT INTO items VALUES ($ids[2], 1) RETURNING 'done'",
	"BEGIN; INSERT INTO items VALUES ($ids[3], 1); COMMIT; SELECT 'done'");
push @waiting, start_psql($first, q{SET vecdb.failover_timeout = '100s'}, 'SELECT count(*) FROM items');
my $cancelled = start_psql($one, q{SET vecdb.failover_timeout = '100s'}, q{SELECT count(*), 'cancelled' FROM items});
VecdbGroups::wait_for($one, q{SELECT count(*) = 4 FROM pg_stat_activity WHERE wait_event = 'Extension' AND state = 'active' AND query LIKE '%items%' AND pid <> pg_backend_pid()}, 'sessions wait');
$one->safe_psql('postgres', q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE '%''cancelled''%' AND pid <> pg_backend_pid()});
$cancelled->{run}->finish;
like($cancelled->{err}, qr/57014: canceling statement due to user request/, 'a wait can be cancelled');
is(join('', map { $_->{out} . $_->{err} } @waiting), '', 'the others wait on');
$third->promote;
my $promoted = time;
$_->{run}->finish foreach @waiting;
diag(sprintf('after the promotion they went on within %.2f s', time - $promoted));
is(join('', map { $_->{err} } @waiting), '', 'no error');
like($waiting[0]{out}, qr/^20[1-3]$/, 'a read has its answer');
is($waiting[1]{out}, "done\n", 'a write is done');
is($waiting[2]{out}, "done\n", 'a transaction, too');
like($waiting[3]{out}, qr/^20[1-3]$/, 'so has a read at a standby of another group');

# a leader that cannot be connected to is not waited for
$one->safe_psql('postgres', $_) foreach q{ALTER SYSTEM SET vecdb.max_connections_per_host = 1}, 'SELECT pg_reload_conf()';
my $holder = $one->background_psql('postgres');
VecdbGroups::wait_for($one, q{SELECT current_setting('vecdb.max_connections_per_host') = '1'}, 'reloaded');
$holder->query_safe('SELECT count(*) FROM items');
($err, $seconds) = try_at($one, q{SET vecdb.failover_timeout = '100s'; SELECT count(*) FROM items});
like($err, qr/could not connect to group 2.*as many connections as/s, 'that is another error');
cmp_ok($seconds, '<', 50, 'not waited for');
$holder->quit;
$one->safe_psql('postgres', $_) foreach q{ALTER SYSTEM RESET vecdb.max_connections_per_host}, 'SELECT pg_reload_conf()';

# requests are held while the leader is changed
$second->append_conf('postgresql.conf', sprintf("primary_conninfo = 'host=%s port=%d application_name=second'", $third->host, $third->port));
$second->append_conf('postgresql.conf', "recovery_target_timeline = 'latest'");
append_to_file($second->data_dir . '/standby.signal', '');
$second->start;
VecdbGroups::wait_for($_, q{SELECT count(*) = 1 FROM vecdb.hosts WHERE group_id = 2 AND streaming AND lag_bytes = 0}, 'it is back') foreach $one, $third, $first;
VecdbGroups::wait_for($one, 'SELECT count(*) > 200 FROM items', 'reloaded');
my $held = q{SET statement_timeout = '1s'; SELECT count(*) FROM items};
$client = start_psql($one, q{SET vecdb.hold_timeout = '10s'}, 'SELECT vecdb.step_down(2, 100)');
wait_until(sub { -e "$dir/switchover" });
is(slurp_file("$dir/switchover"), 'third ', 'Patroni is asked');
unlink "$dir/switchover";
# should a promotion take longer than that, it is waited for
@waiting = map { start_psql(shift @$_, q{SET vecdb.failover_timeout = '100s'}, @$_) }
  ([ $one, 'SELECT count(*) FROM items' ], [ $one, "INSERT INTO items VALUES ($ids[4], 1) RETURNING 'done'" ],
	[ $first, 'SELECT count(*) FROM items' ]);
sleep 0.5;
is(join('', map { $_->{out} . $_->{err} } @waiting), '', 'requests of all nodes are held');
$third->stop('fast');
$second->promote;
$_->{run}->finish foreach @waiting, $client;
is(join('', map { $_->{err} } @waiting, $client), '', 'no error');
like($waiting[0]{out}, qr/^20[2-4]$/, 'a read has its answer');
is($waiting[1]{out}, "done\n", 'a write is done');
like($waiting[2]{out}, qr/^20[2-4]$/, 'so has a read at a standby of another group');
is($client->{out}, address($second) . "\n", 'who leads');

# what is under way comes to its end
$third->append_conf('postgresql.conf', sprintf("primary_conninfo = 'host=%s port=%d application_name=third'\nrecovery_target_timeline = 'latest'", $second->host, $second->port));
append_to_file($third->data_dir . '/standby.signal', '');
$third->start;
VecdbGroups::wait_for($_, q{SELECT count(*) = 1 FROM vecdb.hosts WHERE group_id = 2 AND streaming AND lag_bytes = 0}, 'it is back') foreach $one, $second, $first;
$writer = $one->background_psql('postgres');
$writer->query_safe("BEGIN; INSERT INTO items VALUES ($ids[5], 1)");
$client = start_psql($one, q{SET vecdb.hold_timeout = '10s'}, 'SELECT vecdb.step_down(2, 10)');
VecdbGroups::wait_for($second, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'DO %xact_start%' AND pid <> pg_backend_pid()}, 'it is waited for');
like((try_at($one, $held))[0], qr/57014/, 'others are held meanwhile');
is($writer->query_safe("INSERT INTO items VALUES ($ids[6], 1) RETURNING 'done'"), 'done', 'a transaction that began before goes on');
$writer->query_safe('COMMIT');
$writer->quit;

# and it ends by itself, or when nothing comes of it
$client->{run}->finish;
like($client->{err}, qr/group 2 is not yet as it should be/, 'nothing has happened in time');
is((try_at($one, 'SET statement_timeout = 0; SELECT count(*) FROM items'))[0], '', 'requests go on');
unlink "$dir/switchover";
$client = start_psql($one, q{SET vecdb.hold_timeout = '1s'}, 'SELECT vecdb.step_down(2, 100)');
wait_until(sub { -e "$dir/switchover" });
($err, $seconds) = try_at($one, 'SELECT count(*) FROM items');
is($err, '', 'a hold ends by itself');
($err) = try_at($first, 'SELECT count(*) FROM items');
is($err, '', 'on other nodes, too');
kill_session($client);
append_to_file("$dir/refuse", '412 no');
like((try_at($one, q{SET vecdb.hold_timeout = '10s'; SELECT vecdb.step_down(2, 100)}))[0], qr/Patroni refuses/, 'a refusal');
($err, $seconds) = try_at($one, 'SELECT count(*) FROM items');
is($err, '', 'ends it');
cmp_ok($seconds, '<', 8, 'at once');

# who may have requests held
like((try_at($one, 'SELECT vecdb.hold_group(2, 1000)'))[0], qr/only nodes of the cluster/, 'nodes');
like((try_at($one, 'SET ROLE plain; SELECT vecdb.hold_group(2, 1000)'))[0], qr/permission denied/, 'nobody else');
{
	local $ENV{PGOPTIONS} = '-c vecdb.internal=on';
	like((try_at($one, 'SELECT vecdb.hold_group(9, 1000)'))[0], qr/group 9 does not exist/, 'another group');
	$one->safe_psql('postgres', 'SELECT vecdb.hold_group(2, 1000000)');
}
($err, $seconds) = try_at($one, 'SELECT count(*) FROM items');
is($err, '', 'for ever is not for ever');
cmp_ok($seconds, '>', 1, 'it was held');
cmp_ok($seconds, '<', 30, 'for ten seconds at most');

# while requests are held the next leader is seen at once, though the last one
# does not end and it is nobody's turn
$one->safe_psql('postgres', 'CREATE INDEX items_v ON items (v)');
unlink "$dir/refuse", "$dir/switchover";
$one->safe_psql('postgres', $_) foreach q{ALTER SYSTEM SET vecdb.probe_interval = '60s'}, 'SELECT pg_reload_conf()';
VecdbGroups::wait_for($one, q{SELECT current_setting('vecdb.probe_interval') = '1min'}, 'reloaded');
$client = start_psql($one, q{SET vecdb.hold_timeout = '10s'}, 'SELECT vecdb.step_down(2, 100)');
wait_until(sub { -e "$dir/switchover" });
my $asked = time;
$third->promote;
$client->{run}->finish;
is($client->{out} . $client->{err}, address($third) . "\n", 'who leads');
cmp_ok(time - $asked, '<', 50, 'that is seen before the next turn');
$one->safe_psql('postgres', $_) foreach 'ALTER SYSTEM RESET vecdb.probe_interval', 'SELECT pg_reload_conf()';

# what an outdated primary refuses it does not do elsewhere, either
wait_for_leader($_, $third) foreach $one, $second;
VecdbGroups::wait_for($second, 'SELECT NOT vecdb.ready()', 'the old primary knows, too');
foreach my $sql ('DROP INDEX CONCURRENTLY items_v', 'REINDEX TABLE CONCURRENTLY items', 'VACUUM items', q{COPY items FROM '/dev/null'})
{
	like((try_at($second, $sql))[0], qr/^ERROR:  57VD1: this server is an outdated primary/, "refused: $sql");
}
is($_->safe_psql('postgres', q{SELECT count(*) FROM pg_class WHERE relname = 'items_v'}), '1', 'the index is there') foreach $one, $third, $second;

is(scalar($cluster->crashes), 0, 'nothing crashed');
done_testing();

sub kill_session
{
	my ($client) = @_;
	$one->safe_psql('postgres', q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE '%step_down%' AND pid <> pg_backend_pid()});
	$client->{run}->finish;
	return;
}
