# Do statements read at the hosts that vecdb.read_from wants, is a standby
# that is behind left out, does a session see what it has committed, may a
# primary answer that could have a successor, and does all of it work on a node
# that is a standby itself?

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VecdbCluster qw(address);
use VecdbGroups;
use VecdbSessions;

my $cluster = VecdbCluster->new('rd', groups => 2,
	conf => "vecdb.probe_interval = 200ms\nwal_keep_size = 64MB\nhot_standby = on\n"
	  . "wal_receiver_timeout = 5s\nmax_wal_senders = 10\nwal_log_hints = on\n"
	  # for a busy machine; where it is waited for in vain, it is set lower
	  . "vecdb.replay_timeout = 60s")->start;
my $one = $cluster->node(1);
my $two = $cluster->node(2);

# waits until a node knows another as a standby without lag
sub wait_fit
{
	my ($asked, @standbys) = @_;
	VecdbGroups::wait_for($asked, sprintf(
		"SELECT state = 'up' AND role = 'standby' AND lag_bytes = 0 FROM vecdb.hosts WHERE host = '%s' AND port = %d",
		$_->host, $_->port), 'standby ' . $_->name) foreach @standbys;
	return;
}

# at which hosts does a query read, seen from a node?
sub readers
{
	my ($asked, $settings, $query) = @_;
	my ($rc, $out, $err) = $asked->psql('postgres',
		"$settings; EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) $query");
	return "error: $err" if $err ne '';
	my @hosts = $out =~ /^\s*(Group \d+: .*?) rows=/mg;
	return join(', ', sort @hosts);
}

$cluster->query(1, q{
	CREATE TABLE items (id bigint PRIMARY KEY, v int);
	SELECT vecdb.distribute_table('items');
	CREATE TABLE colours (id int PRIMARY KEY, name text);
	SELECT vecdb.replicate_table('colours');
	INSERT INTO items SELECT g, g FROM generate_series(1, 200) g;
	INSERT INTO colours VALUES (1, 'red'), (2, 'green')});

my $one_b = $cluster->add_standby(1, 'one_b');
my $two_b = $cluster->add_standby(2, 'two_b');
my $two_c = $cluster->add_standby(2, 'two_c');
wait_fit($_, $one_b, $two_b, $two_c) foreach $one, $one_b;

my $count = 'SELECT count(*) FROM items';
my ($g1, $g1b, $g2) = ('Group 1: this node', 'Group 1: ' . address($one_b), 'Group 2: ' . address($two));
my $standby_of_two = sprintf('Group 2: (%s|%s)', quotemeta(address($two_b)), quotemeta(address($two_c)));


# a query's result with settings, or its error
sub answer
{
	my ($asked, $settings, $query) = @_;
	my ($rc, $out, $err) = $asked->psql('postgres', "$settings; $query", on_error_stop => 1);
	return $rc == 0 && $err eq '' ? $out : $err;
}

# on a primary
is(readers($one, 'SET vecdb.read_from = leader', $count), "$g1, $g2", 'leader');
like(readers($one, 'SET vecdb.read_from = follower', $count), qr/^\Q$g1b\E, $standby_of_two$/, 'follower');
like(readers($one, q{SET vecdb.read_from = 'any'}, $count), qr/^\Q$g1\E, Group 2: /, 'any');
is(answer($one, "SET vecdb.read_from = '$_'", $count), '200', "rows of $_") foreach qw(leader follower any);
is(answer($one, "SET vecdb.read_from = '$_'", "SELECT string_agg(v::text, ' ' ORDER BY v) FROM items WHERE id IN (5, 6, 7)"), '5 6 7',
	"rows by key of $_") foreach qw(leader follower any);
is(answer($one, "SET vecdb.read_from = follower", "BEGIN; SELECT count(*) FROM items; SAVEPOINT s; SELECT max(v) FROM items; ROLLBACK TO s; SELECT min(v) FROM items; COMMIT"),
	"200\n200\n1", 'in a transaction block');
is(answer($one, '', q{PREPARE p(bigint) AS SELECT v FROM items WHERE id = $1;
	EXECUTE p(5); SET vecdb.read_from = follower; EXECUTE p(5); EXECUTE p(6); RESET vecdb.read_from; EXECUTE p(6);
	SELECT count(*) > 0 FROM vecdb.connections WHERE purpose = 'read'}), "5\n5\n6\n6\nt", 'a prepared statement follows the setting');

# what writes, or comes after it, or keeps a snapshot, is of the primary
my $purposes = q{SELECT string_agg(DISTINCT purpose, ' ') FROM vecdb.connections};
is(answer($one, 'SET vecdb.read_from = follower', "UPDATE items SET v = v; $purposes"), 'primary', 'writes');
is(answer($one, 'SET vecdb.read_from = follower', "BEGIN; UPDATE items SET v = v WHERE id < 9; $count; $purposes; COMMIT"), "200\nprimary", 'reads after a write');
is(answer($one, 'SET vecdb.read_from = follower', "BEGIN ISOLATION LEVEL REPEATABLE READ; $count; $purposes; COMMIT"), "200\nprimary", 'repeatable read');

# on a standby
is(readers($one_b, 'SET vecdb.read_from = leader', $count), 'Group 1: ' . address($one) . ", $g2", 'leader, on a standby');
like(readers($one_b, 'SET vecdb.read_from = follower', $count), qr/^\Q$g1\E, $standby_of_two$/, 'follower, on a standby');
foreach my $level (qw(leader follower any))
{
	my $set = "SET vecdb.read_from = '$level'";
	is(answer($one_b, $set, $count), '200', "rows of $level, on a standby");
	is(answer($one_b, $set, 'SELECT v FROM items WHERE id = 5; SELECT v FROM items WHERE id = 6'), "5\n6", 'by key');
	is(answer($one_b, $set, q{SELECT string_agg(name, ' ' ORDER BY name) FROM items JOIN colours USING (id)}), 'green red', 'a join');
	is(answer($one_b, $set, 'SELECT count(*) FROM colours'), '2', 'a reference table');
	is(answer($one_b, $set, 'SELECT v % 2, count(*) FROM items GROUP BY 1 ORDER BY 1'), "0|100\n1|100", 'groups');
	is(answer($one_b, $set, "BEGIN; DECLARE c CURSOR FOR SELECT id FROM items ORDER BY id; FETCH 2 FROM c; $count; COMMIT"), "1\n2\n200", 'a cursor');
	is(answer($one_b, $set, "PREPARE p AS $count; EXECUTE p; EXECUTE p"), "200\n200", 'a prepared statement');
	is(answer($one_b, $set, "BEGIN ISOLATION LEVEL REPEATABLE READ; $count; COMMIT"), '200', 'repeatable read');
}
is(answer($one_b, '', q{SELECT vecdb.run_on_group(1, 'SELECT pg_is_in_recovery()')}), 'f', 'run_on_group() means the primary of its own group');
my $hint = 'HINT:  This server is a standby of group 1, whose primary is ' . address($one) . '.';
like(answer($one_b, '', $_), qr/ERROR:  cannot execute .* (in a read-only transaction|during recovery)\n(.*\n)*\Q$hint\E/, "refused on a standby: $_")
  foreach 'INSERT INTO items VALUES (1000, 1)', 'UPDATE items SET v = 1 WHERE id = 5', 'SELECT * FROM items FOR UPDATE',
  "COPY items FROM '/dev/null'", 'CREATE TABLE other (a int)', 'TRUNCATE items', 'VACUUM items';

# behind
$_->safe_psql('postgres', 'SELECT pg_wal_replay_pause()') foreach $two_b, $two_c;
VecdbGroups::wait_for($_, q{SELECT pg_get_wal_replay_pause_state() = 'paused'}, 'replay is paused') foreach $two_b, $two_c;
$one->safe_psql('postgres', 'INSERT INTO items SELECT g, g FROM generate_series(201, 1200) g');
VecdbGroups::wait_for($one, q{SELECT min(lag_bytes) > 10000 AND min(lag) > '1 s' FROM vecdb.hosts WHERE group_id = 2 AND role = 'standby'}, 'standbys are behind');
my $behind = answer($one, "SET vecdb.read_from = follower; SET vecdb.max_lag = '4kB'", $count);
like($behind, qr/ERROR:  no host of group 2 is fit for vecdb.read_from = follower/, 'all standbys are too far behind, in bytes');
like($behind, qr/^(DETAIL:  )?\Q$_\E: is behind by \d+ kB$/m, 'which') foreach map { address($_) } $two_b, $two_c;
like($behind, qr/HINT:  Look at vecdb.hosts./, 'and what to do');
like(answer($one, "SET vecdb.read_from = follower; SET vecdb.max_lag = '900ms'", $count),
	qr/no host of group 2 is fit.*may be behind by \d+ ms/s, 'in time');
is(answer($one, "SET vecdb.read_from = 'any'; SET vecdb.max_lag = '4kB'", $count), '1200', 'any: the primary answers');
my $old = answer($one, "SET vecdb.read_from = follower; SET vecdb.max_lag = -1", $count);
cmp_ok($old, '<', 1200, 'without a limit the answer is old');
like(answer($one, "SET vecdb.max_lag = '$_'", 'SELECT 1'), qr/invalid value for parameter "vecdb.max_lag"/, "not a lag: $_")
  foreach '10', '', 'abc', '10 apples', '-5s', '99999999999s';
is(answer($one, "SET vecdb.max_lag = '$_'", 'SHOW vecdb.max_lag'), $_, "a lag: $_") foreach '10s', '1min', '250ms', '16MB', '8kB', '-1';

# what the session itself has committed
my $mine = "SET vecdb.read_from = 'LEVEL'; SET vecdb.max_lag = -1; SET vecdb.replay_timeout = '300ms'; INSERT INTO items SELECT g, 7 FROM generate_series(5001, 5020) g";
my $see = 'SELECT count(*) FROM items WHERE id > 5000';
like(answer($one, $mine =~ s/LEVEL/follower/r, $see), qr/ERROR:  this server does not have yet what the session has committed.*HINT:  Raise vecdb.replay_timeout/s,
	'a session is not shown a state before its commits');
$one->safe_psql('postgres', 'DELETE FROM items WHERE id > 5000');
is(answer($one, $mine =~ s/LEVEL/any/r, $see), '20', 'any: the primary has it');
$one->safe_psql('postgres', 'DELETE FROM items WHERE id > 5000');
my $token = answer($one, '', 'INSERT INTO items SELECT g, 7 FROM generate_series(5001, 5020) g; SELECT vecdb.session_token()');
like($token, qr/^1:[0-9A-F]+\/[0-9A-F]+,2:[0-9A-F]+\/[0-9A-F]+$/, 'a token');
my $carry = "SET vecdb.session_token = '$token'; SET vecdb.max_lag = -1; SET vecdb.replay_timeout = '300ms'; SET vecdb.read_from";
like(answer($one_b, "$carry = follower", $see), qr/this server does not have yet what the session has committed/, 'another session takes it');
is(answer($one_b, "$carry = 'any'", $see), '20', 'and reads at primaries if it may');
is(answer($one_b, "SET vecdb.session_token = '$token'", 'SELECT vecdb.session_token()'), $token, 'and hands it on');
like(answer($one_b, "SET vecdb.session_token = '$_'", 'SELECT 1'), qr/invalid value for parameter "vecdb.session_token"/, "not a token: $_")
  foreach 'x', '1:', '1:0/0,', '0:0/1', '1:0/1 ', '1:0/123456789';
$one->safe_psql('postgres', "SELECT vecdb.run_on_group(2, 'CREATE TABLE unused_here (a int)')");
{
	my $reader = VecdbSessions->new($one);
	$reader->run("SET vecdb.read_from = follower; SET vecdb.max_lag = -1; SET vecdb.replay_timeout = '60s'; SET vecdb.session_token = '$token'");
	$reader->send($see);
	select(undef, undef, undef, 0.5);
	ok(!$reader->is_done, 'a read waits for replay');
	$_->safe_psql('postgres', 'SELECT pg_wal_replay_resume()') foreach $two_b, $two_c;
	my ($seen) = $reader->finish;
	is($seen, '20', 'and sees what was committed');
	$reader->quit;
}
wait_fit($one, $one_b, $two_b, $two_c);
my $rounds = join('; ', map { "INSERT INTO items VALUES (" . (6000 + $_) . ", 0); SELECT count(*) FROM items WHERE id > 6000" } 1 .. 30);
is(answer($one, 'SET vecdb.read_from = follower', $rounds), join("\n", 1 .. 30), 'each commit is seen at once');
like(answer($one, '', 'CALL vecdb.begin_read(NULL, 0, NULL)'), qr/can be called by other nodes only/, 'begin_read() is not for users');

is(answer($one, 'SET vecdb.read_from = follower', "INSERT INTO items VALUES (7000, 0); BEGIN; $_; $_; COMMIT"), "1\n1", 'in a transaction block as well')
  foreach 'SELECT count(*) FROM items WHERE id = 7000';
$one->safe_psql('postgres', 'DELETE FROM items WHERE id = 7000');

# a standby that dies
{
	my $reader = VecdbSessions->new($one);
	$reader->run("SET vecdb.read_from = follower; SET vecdb.load_balance = round_robin; $count; $count");
	$two_c->stop('immediate');
	$reader->run("SELECT count(*) FROM items") foreach 1 .. 4;
	my ($seen) = $reader->run("SELECT 'still ' || count(*) FROM items");
	is($seen, 'still 1250', 'reads go on at the other standby');
	$reader->quit;
	$two_c->start;
}

# a standby that freezes
wait_fit($one, $two_b, $two_c);
{
	my $reader = VecdbSessions->new($one);
	$reader->run("SET vecdb.read_from = follower; SET vecdb.load_balance = round_robin; $count; $count");
	my ($postmaster) = split /\n/, slurp_file($two_c->data_dir . '/postmaster.pid');
	my @pids = ($postmaster, map { (split)[0] } grep { (split)[1] == $postmaster } split /\n/, `ps -A -o pid= -o ppid=`);
	kill 'STOP', @pids;
	$reader->send("$count; $count");
	my @seen = eval { $reader->finish };
	kill 'CONT', @pids;
	is($seen[0], "1250\n1250", 'what it was asked is asked the other one');
	$reader->quit;
}

# leased: the primary, if nobody can have taken its place
my $leased = 'SET vecdb.read_from = leased';
like(answer($one, $leased, $count), qr/ERROR:  this server may not be the primary of its group any more.*synchronous_standby_names is empty/s, 'leased: nobody knows who may be promoted');
$_->[0]->safe_psql('postgres', "ALTER SYSTEM SET synchronous_standby_names = '$_->[1]'") foreach [$one, 'ANY 1 (one_b)'], [$two, 'ANY 1 (two_b, two_c)'];
$_->safe_psql('postgres', 'SELECT pg_reload_conf()') foreach $one, $two;
wait_fit($one, $one_b, $two_b, $two_c);
VecdbGroups::wait_for($one, q{SELECT bool_and(synchronous_standbys = standbys AND standbys > 0) FROM vecdb.groups}, 'standbys are synchronous');
is(readers($one, $leased, $count), "$g1, $g2", 'leased');
is(readers($one_b, $leased, $count), 'Group 1: ' . address($one) . ", $g2", 'leased, on a standby');
{
	# what writes or locks is of this node, and reference tables have ctids
	$one->safe_psql('postgres', 'CREATE TABLE mine (id int PRIMARY KEY, name text); INSERT INTO mine VALUES (1, NULL), (2, NULL)');
	is(answer($one, "$leased; SET client_min_messages = error", $_->[0]), $_->[1], "leased: $_->[0]") foreach
	  ['SELECT name FROM colours WHERE id = 1 FOR UPDATE', 'red'],
	  ['SELECT name FROM colours ORDER BY id LIMIT 1 FOR SHARE', 'red'],
	  ['SELECT c.name FROM mine m JOIN colours c USING (id) WHERE id = 2 FOR UPDATE OF m', 'green'],
	  ['UPDATE mine m SET name = c.name FROM colours c WHERE c.id = m.id RETURNING m.name', "red\ngreen"],
	  ['MERGE INTO mine m USING colours c ON c.id = m.id WHEN MATCHED THEN UPDATE SET name = upper(c.name)', ''],
	  ['DELETE FROM mine m USING colours c WHERE c.id = m.id AND c.id = 2 RETURNING m.name', 'GREEN'],
	  [q{SELECT tableoid = 'colours'::regclass FROM colours WHERE id = 1}, 't'],
	  ['SELECT count(DISTINCT ctid) FROM colours', '2'],
	  ['SELECT (SELECT ctid FROM colours WHERE id = 1) IS NOT NULL', 't'];
	like(answer($one_b, $leased, 'SELECT name FROM colours FOR UPDATE'), qr/cannot execute SELECT FOR UPDATE/, 'leased, on a standby: not locked');
	is(answer($one_b, $leased, 'SELECT count(DISTINCT ctid) FROM colours'), '2', 'leased, on a standby: ctid');

	# only plans that depend on the setting are made again when it changes
	# (and others when their tables are analyzed)
	$one->safe_psql('postgres', $_) foreach 'ALTER SYSTEM SET autovacuum = off', 'SELECT pg_reload_conf()';
	VecdbGroups::wait_for($one, q{SELECT current_setting('autovacuum') = 'off' AND NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'autovacuum worker')}, 'nothing is analyzed');
	my $own = $one->safe_psql('postgres', q{SELECT min(id) FROM generate_series(1, 200) id WHERE vecdb.group_of('items', id) = 1});
	my $keeper = VecdbSessions->new($one);
	my %statements = (ordinary => 'SELECT count(*) FROM mine', fan => $count, copy => 'SELECT count(*) FROM colours', own => "SELECT v FROM items WHERE id = $own");
	$keeper->run("PREPARE $_ AS $statements{$_}; EXECUTE $_") foreach sort keys %statements;
	$keeper->run('SET client_min_messages = log; SET log_planner_stats = on');
	foreach my $case ([ any => 'copy own' ], [ follower => '' ], [ any => '' ], [ leased => 'copy own' ], [ leased => '' ], [ leader => 'copy own' ])
	{
		$keeper->run("SET vecdb.read_from = '$case->[0]'");
		is(join(' ', grep { ($keeper->run("EXECUTE $_"))[1] =~ /PLANNER STATISTICS/ } sort keys %statements), $case->[1], "plans that are made again: $case->[0]");
	}
	$keeper->quit;
}
is(answer($one, "$leased; SET vecdb.read_lease = 0", "$count; $count"), "1250\n1250", 'making sure each time');
is(answer($one, "$leased", "BEGIN ISOLATION LEVEL REPEATABLE READ; $count; COMMIT"), '1250', 'in a transaction with one snapshot');
$two_c->stop;
select(undef, undef, undef, 1.1);
like(answer($one, "$leased; SET vecdb.replay_timeout = '300ms'", $count), qr/this server may not be the primary of its group any more.*Not all of the 2 standbys/s,
	'leased: a standby that does not confirm may have been promoted');
is(answer($one, '', $count), '1250', 'leader: it is not asked');
$two_c->start;
$two->safe_psql('postgres', $_) foreach "ALTER SYSTEM SET synchronous_standby_names = '*'", 'SELECT pg_reload_conf()';
VecdbGroups::wait_for($two, q{SELECT current_setting('synchronous_standby_names') = '*'}, 'reloaded');
# until the lease is over
select(undef, undef, undef, 1.1);
like(answer($one, $leased, $count), qr/has "\*", so that any standby may take its place/, 'leased: any standby may be promoted');
$_->safe_psql('postgres', 'ALTER SYSTEM RESET synchronous_standby_names') foreach $one, $two;
$_->safe_psql('postgres', 'SELECT pg_reload_conf()') foreach $one, $two;

# without its primary a group is still read
wait_fit($one, $two_b, $two_c);
$two->stop('immediate');
is(answer($one, "SET vecdb.read_from = '$_'", $count), '1250', "$_: the primary is gone") foreach qw(follower any);
like(answer($one, 'SET vecdb.read_from = leader', $count), qr/could not connect to group 2/, 'leader: it is missed');
is(answer($one_b, "SET vecdb.read_from = '$_'", $count), '1250', "$_: the primary is gone, on a standby") foreach qw(follower any);
VecdbGroups::wait_for($one, q{SELECT leader IS NULL FROM vecdb.groups WHERE group_id = 2}, 'it is noticed');
like(answer($one, "SET vecdb.read_from = follower; SET vecdb.max_lag = '100ms'", $count), qr/may be behind by \d+ ms/, 'how far behind is not known any more');

# and when that has come back as a standby, while there is no other
{
	my $as_standby = sprintf("SELECT state = 'up' AND role = 'standby' FROM vecdb.hosts WHERE host = '%s' AND port = %d", $two->host, $two->port);
	$two->set_standby_mode;
	$two->start;
	VecdbGroups::wait_for($_, $as_standby, 'three standbys') foreach $one, $one_b;
	foreach my $asked ($one, $one_b)
	{
		is(answer($asked, "SET vecdb.read_from = '$_'", $count), '1250', "$_: the primary is a standby") foreach qw(follower any);
		like(answer($asked, "SET vecdb.read_from = follower; SET vecdb.max_lag = '100ms'", $count), qr/may be behind by \d+ ms/, 'since when is known');
		is(answer($asked, "SET vecdb.read_from = follower; SET vecdb.max_lag = '1MB'", $count), '1250', 'and by how much');
	}
	$two->stop;
	unlink $two->data_dir . '/standby.signal' or die $!;
}

# leased: two receivers of one name are one standby
{
	my $own = "$leased; SET vecdb.read_lease = 0; SET vecdb.replay_timeout";
	my $id = $one->safe_psql('postgres', q{SELECT min(i) FROM generate_series(1, 100) i WHERE vecdb.group_of('items', i) = 1});
	my $receiver = IPC::Run::start([ 'pg_receivewal', '-D', PostgreSQL::Test::Utils::tempdir(), '--synchronous', '--no-loop',
		'-d', $one->connstr('postgres') . ' application_name=one_b' ]);
	foreach my $case ([ 'one_b', '60s', qr/^1$/, 'one that confirms' ], [ 'one_b, one_c', '300ms', qr/Not all of the 2 standbys/, 'one that does not' ])
	{
		my ($names, $timeout, $expected, $what) = @$case;
		$one->safe_psql('postgres', $_) foreach "ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 ($names)'", 'SELECT pg_reload_conf()';
		VecdbGroups::wait_for($one, q{SELECT count(*) = 2 FROM pg_stat_replication WHERE application_name = 'one_b' AND state = 'streaming' AND sync_priority > 0}, 'two are called so');
		VecdbGroups::wait_for($one, sprintf(q{SELECT current_setting('synchronous_standby_names') = 'ANY 1 (%s)'}, $names), 'reloaded');
		like(answer($one, "$own = '$timeout'", "SELECT count(*) FROM items WHERE id = $id"), $expected, "leased: $what");
	}
	$receiver->kill_kill;
	$one->safe_psql('postgres', $_) foreach 'ALTER SYSTEM RESET synchronous_standby_names', 'SELECT pg_reload_conf()';
}

# a standby of the former primary is read at while it has nothing that the new
# one has not
$two_b->promote;
my $seen_two_b = sprintf("SELECT is_leader FROM vecdb.hosts WHERE host = '%s' AND port = %d", $two_b->host, $two_b->port);
VecdbGroups::wait_for($_, $seen_two_b, 'a new primary') foreach $one, $two_c;
is(answer($one, 'SET vecdb.read_from = follower', $count), '1250', 'a standby that does not follow yet');
is(readers($one, 'SET vecdb.read_from = follower', $count), "$g1b, Group 2: " . address($two_c), 'is read at');
like(answer($one, "SET vecdb.replay_timeout = '300ms'; UPDATE items SET v = v; SET vecdb.read_from = follower", $count),
	qr/ERROR:  this server does not have yet what the session has committed/, 'but not for what was committed since');

# and not when it goes on to receive what the former one writes
$two->start;
{
	local $ENV{PGOPTIONS} = '-c vecdb.internal=on -c vecdb.allow_outdated=on';
	$two->safe_psql('postgres', q{DELETE FROM items; SELECT length(pg_logical_emit_message(false, 'test', repeat('x', 2000000))::text) > 0});
	VecdbGroups::wait_for($two_c, 'SELECT count(*) = 0 FROM items', 'it has replayed that');
}
my $diverged = qr/\Q${\ address($two_c)}\E: is on timeline 1, and the group is on 2/;
VecdbGroups::wait_for($_, sprintf("SELECT replayed > (SELECT flushed FROM vecdb.hosts WHERE group_id = 2 AND is_leader) AND lag_bytes IS NULL FROM vecdb.hosts WHERE host = '%s' AND port = %d",
	$two_c->host, $two_c->port), 'it seems to have all') foreach $one, $two_c;
like(answer($one, "SET vecdb.read_from = follower; SET vecdb.max_lag = $_", $count), $diverged, "it is not fit, with vecdb.max_lag = $_") foreach "'60s'", "'1GB'", -1;
like(answer($two_c, 'SET vecdb.read_from = follower', $count), $diverged, 'nor for its own sessions');
is(answer($_, "SET vecdb.read_from = 'any'", $count), '1250', 'any: the new primary answers') foreach $one, $two_c;
like(answer($one, 'UPDATE items SET v = v; SET vecdb.read_from = follower', $count), $diverged, 'its place in the WAL says nothing');
{
	local $ENV{PGOPTIONS} = '-c vecdb.internal=on';
	like(answer($two_c, '', q{CALL vecdb.begin_read('0/1', 100, NULL)}),
		qr/does not have yet what the session has committed.*DETAIL:  It is on timeline 1, and its group is on 2/s, 'it says so itself');
}

is(scalar($cluster->crashes), 0, 'nothing crashed');
done_testing();
