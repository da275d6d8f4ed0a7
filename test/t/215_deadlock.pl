# Is each deadlock over several groups found soon, ended by one error to the
# youngest transaction, and nobody disturbed who is in none?

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use VecdbCluster;
use VecdbRecall;
use VecdbSessions;

my $cluster = VecdbCluster->new('deadlock', groups => 3, conf => q{
	log_statement = none
	vecdb.retry_delay = 0
	vecdb.deadlock_interval = 200ms})->start;
$cluster->query(1, q{
	CREATE TABLE accounts (id int PRIMARY KEY, balance bigint NOT NULL);
	SELECT vecdb.distribute_table('accounts');
	INSERT INTO accounts SELECT i, 100 FROM generate_series(1, 60) i;
	CREATE TABLE known (id int PRIMARY KEY, v int);
	SELECT vecdb.replicate_table('known');
	INSERT INTO known SELECT i, 0 FROM generate_series(1, 5) i;});
$cluster->query($_, 'CREATE TABLE own (id int PRIMARY KEY, v int); INSERT INTO own VALUES (1, 0)') foreach $cluster->groups;

# by group: keys that it owns
my %keys;
foreach my $line (split /\n/, $cluster->query(1, q{SELECT vecdb.group_of('accounts', id), id FROM accounts ORDER BY id}))
{
	my ($group, $id) = split /\|/, $line;
	push @{ $keys{$group} }, $id;
}
my ($one, $two, $three) = map { $keys{$_}[0] } 1 .. 3;
my @sessions = map { VecdbSessions->new($cluster->node($_)) } 1 .. 3;
my $longest = 0;

sub victims
{
	my $count = 0;
	$count += () = slurp_file($cluster->node($_)->logfile) =~ /is the victim of a deadlock over groups/g foreach $cluster->groups;
	return $count;
}

sub update { my ($id) = @_; return "UPDATE accounts SET balance = balance + 1 WHERE id = $id" }

# Sessions lock one thing each, and then, in their order, what another one has:
# the last one to begin must be told, and no other one.
#
# "first" and "then" are statements by session; $options{last} is the number
# of the session that begins last and so is the victim.
sub deadlock
{
	my ($what, $used, $first, $then, %options) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $before = victims();
	my $last = $options{last} // $#$used;
	foreach my $i ((grep { $_ != $last } 0 .. $#$used), $last)
	{
		# clocks of transactions differ
		sleep 0.01;
		my ($out, $err) = $used->[$i]->run("BEGIN; $first->[$i]");
		is($err, '', "$what: session $i locks") if $err;
	}
	my $began = time;
	foreach my $i (0 .. $#$used)
	{
		$used->[$i]->send($then->[$i]);
		sleep 0.05;
	}
	my ($out, $err) = $used->[$last]->finish;
	my $took = time - $began;
	$longest = $took if $took > $longest;
	like($err, qr/ERROR:  40P01: deadlock detected\n(?:LINE 1.*\n.*\n)?DETAIL:  Process \d+ of group \d waits in group \d for \w+ on .*; blocked by process \d+ of group \d\./,
		"$what: the youngest is told");
	my $waits = () = $err =~ /^(?:DETAIL:  )?Process/mg;
	is($waits, scalar(@$used), "$what: by what it was in") or diag($err);
	$used->[$last]->run('ROLLBACK');
	# they wait for each other: from the one that the victim blocked on
	my %open = map { $_ => 1 } grep { $_ != $last } 0 .. $#$used;
	for (my $limit = time + 30; %open && time < $limit; sleep 0.01)
	{
		foreach my $i (sort keys %open)
		{
			next unless $used->[$i]->is_done;
			($out, $err) = $used->[$i]->finish;
			is($err, '', "$what: session $i goes on");
			$used->[$i]->run('COMMIT');
			delete $open{$i};
		}
	}
	is(join(' ', keys %open), '', "$what: nobody is left waiting");
	($out, $err) = $used->[$last]->run("BEGIN; $first->[$last]; $then->[$last]; COMMIT");
	is($err, '', "$what: the victim tries again, and succeeds");
	is(victims() - $before, 1, "$what: one victim");
	return;
}

my ($a, $b, $c) = @sessions;
my $a2 = VecdbSessions->new($cluster->node(1));
deadlock('different coordinators', [ $a, $b ], [ update($one), update($two) ], [ update($two), update($one) ]);
deadlock('the first one is younger', [ $a, $b ], [ update($one), update($two) ], [ update($two), update($one) ], last => 0);
deadlock('one coordinator', [ $a, $a2 ], [ update($two), update($three) ], [ update($three), update($two) ]);
deadlock('coordinators with no row', [ $a, $b ], [ update($three), update($one) ], [ update($one), update($three) ]);
deadlock('three groups', [ $a, $b, $c ], [ update($one), update($two), update($three) ],
	[ update($two), update($three), update($one) ]);
deadlock('SELECT FOR UPDATE', [ $a, $b ],
	[ map { "SELECT FROM accounts WHERE id = $_ FOR UPDATE" } $one, $two ],
	[ map { "SELECT FROM accounts WHERE id = $_ FOR SHARE" } $two, $one ]);
deadlock('a table of the coordinator', [ $a, $a2 ],
	[ 'UPDATE own SET v = v + 1', update($two) ], [ update($two), 'UPDATE own SET v = v + 1' ]);
deadlock('advisory locks', [ $a, $a2 ],
	[ 'SELECT FROM pg_advisory_xact_lock(5)', update($three) ], [ update($three), 'SELECT FROM pg_advisory_xact_lock(5)' ]);
deadlock('a table that is locked', [ $a, $b ],
	[ 'SELECT FROM own', update($two) ], [ update($two), q{SELECT vecdb.run_on_group(1, 'LOCK TABLE own')} ]);
deadlock('parse analysis waits', [ $b, $a ],
	[ q{SELECT vecdb.run_on_group(1, 'LOCK TABLE own')}, update($three) ], [ update($three), 'SELECT count(*) FROM own' ]);
deadlock('reads that have no transaction elsewhere', [ $b, $a ],
	[ "SELECT vecdb.run_on_group(2, 'LOCK TABLE own'); SELECT 1", 'LOCK TABLE own' ],
	[ q{SELECT vecdb.run_on_group(1, 'LOCK TABLE own')}, q{SELECT vecdb.run_on_group(2, 'SELECT count(*) FROM own')} ]);
# one in the middle that is in one group only, and is no candidate
{
	my $before = victims();
	$a->run('BEGIN; ' . update($one));
	$b->run('BEGIN; UPDATE own SET v = v + 1');
	my $middle = VecdbSessions->new($cluster->node(2));
	$middle->run('BEGIN; ' . update($two));
	sleep 0.01;
	$middle->send('UPDATE own SET v = v + 1');
	$b->send(update($one));
	$a->send(update($two));
	like(($b->finish)[1], qr/40P01: deadlock detected/, 'a cycle through a transaction of one group');
	$b->run('ROLLBACK');
	is(($middle->finish)[1], '', 'that one goes on');
	$middle->run('COMMIT');
	is(($a->finish)[1], '', 'the others too');
	$a->run('COMMIT');
	$middle->quit;
	is(victims() - $before, 1, 'one victim');
}

# reference tables: both write all groups
foreach my $round (1 .. 5)
{
	# who has inserted, and then wants to update, waits for others who have
	$a->run("BEGIN; INSERT INTO known (id, v) VALUES (1000 + $round, 0)") if $round > 3;
	$b->run("BEGIN; INSERT INTO known (id, v) VALUES (2000 + $round, 0)") if $round > 3;
	$a->send('UPDATE known SET v = v + 1; COMMIT');
	$b->send('UPDATE known SET v = v + 1; COMMIT');
	my @errors = map { ($_->finish)[1] } $a, $b;
	my @told = grep { /ERROR/ } @errors;
	is(scalar(grep { !/40P01/ } @told), 0, "a reference table, written from two nodes: no other error in round $round") or diag(@told);
	cmp_ok(scalar(@told), '>', 0, 'a circle is broken') if $round > 3;
}
my %seen = map { $cluster->query($_, 'SELECT string_agg(v::text, $$ $$ ORDER BY id) FROM known') => 1 } $cluster->groups;
is(scalar(keys %seen), 1, 'all groups have the same rows');

# who waits without a cycle goes on waiting
{
	my $before = victims();
	my ($out, $err) = $a->run('BEGIN; ' . update($one));
	$b->run('BEGIN; ' . update($two));
	$b->send(update($one));
	$c->run('BEGIN; ' . update($three));
	$c->send(update($two));
	wait_until(sub { $cluster->query(3, 'SELECT count(*) FROM vecdb.lock_waits') == 2 }) or diag('nobody waits');
	my $pids = join '|', map { $cluster->query($_, q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'
		AND application_name NOT LIKE 'vecdb %' AND query LIKE 'UPDATE accounts%'}) } 3, 2, 1;
	is($cluster->query(2, q{SELECT string_agg(format('%s:%s>%s:%s@%s', waiter_group, waiter_pid, blocker_group, blocker_pid, group_id), ' '
		ORDER BY waiter_group) FROM vecdb.lock_waits}),
		do { my ($p3, $p2, $p1) = split /\|/, $pids; "2:$p2>1:$p1\@1 3:$p3>2:$p2\@2" }, 'vecdb.lock_waits shows the chain');
	like($cluster->query(2, 'SELECT DISTINCT mode, relation IS NULL, blocker_gid IS NULL, since > now() - interval $$1 min$$ FROM vecdb.lock_waits'),
		qr/^ShareLock\|t\|t\|t$/, 'and what they wait for');
	sleep 2.5;
	ok(!$b->is_done && !$c->is_done, 'a chain is none');
	is(victims() - $before, 0, 'no victim');
	is($cluster->query(1, q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'vecdb deadlock worker'}), 1, 'though it is looked at');
	$a->run('COMMIT');
	is(($b->finish)[1], '', 'it ends in its order');
	$b->run('COMMIT');
	is(($c->finish)[1], '', 'to its end');
	$c->run('COMMIT');
	ok(wait_until(sub { !grep { $_ } $cluster->query_all(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'vecdb deadlock worker'}) }),
		'then nobody looks any more');
}

# waits of transactions that are in no other group are nobody's business
{
	my ($first, $second) = map { VecdbSessions->new($cluster->node(3)) } 1 .. 2;
	$first->run('BEGIN; LOCK TABLE own');
	$second->send('SELECT count(*) FROM own');
	my $workers = 0;
	for (my $limit = time + 1.5; time < $limit; sleep 0.1)
	{
		$workers += $cluster->query(3, q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'vecdb deadlock worker'});
	}
	ok(!$second->is_done, 'a session waits, which has no sessions elsewhere');
	is($workers, 0, 'no worker is started for that');
	$first->run('COMMIT');
	is(($second->finish)[0], 1, 'it goes on');
	$_->quit foreach $first, $second;
}

# a circle that ends by itself between two looks is none
{
	my $before = victims();
	my @holders = map { VecdbSessions->new($cluster->node($_)) } $cluster->groups;
	$_->run(q{SELECT FROM pg_advisory_lock(30308, hashtext('deadlock_suspected'))}) foreach @holders;
	$cluster->query($_, q{ALTER SYSTEM SET vecdb.debug_points = 'deadlock_suspected'}) foreach $cluster->groups;
	$cluster->query($_, 'SELECT pg_reload_conf()') foreach $cluster->groups;
	$a->run('BEGIN; ' . update($one));
	my ($pid) = $b->run('SELECT pg_backend_pid()');
	$b->run('BEGIN; ' . update($two));
	$a->send(update($two));
	$b->send(update($one));
	ok(wait_until(sub { grep { $_ } $cluster->query_all(q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted}) }),
		'a circle is suspected');
	$cluster->query(2, "SELECT pg_cancel_backend($pid)");
	like(($b->finish)[1], qr/57014/, 'one of them gives up');
	$b->run('ROLLBACK');
	is(($a->finish)[1], '', 'so that the other one goes on');
	$_->quit foreach @holders;
	$a->run('COMMIT');
	$cluster->query($_, q{ALTER SYSTEM RESET vecdb.debug_points}) foreach $cluster->groups;
	$cluster->query($_, 'SELECT pg_reload_conf()') foreach $cluster->groups;
	ok(wait_until(sub { !grep { $_ } $cluster->query_all(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'vecdb deadlock worker'}) }),
		'the circle is looked at again');
	is(victims() - $before, 0, 'and nobody is told');
}

# a group that does not answer, and is not concerned
{
	my $before = victims();
	$cluster->freeze(3);
	$a->run('BEGIN; ' . update($one));
	$b->run('BEGIN; ' . update($two));
	$a->send(update($two));
	$b->send(update($one));
	like(($b->finish)[1], qr/40P01/, 'a circle is found though a third group is silent');
	diag(sprintf('with a silent group: %.2f s', $b->{took}));
	$cluster->thaw(3);
	$b->run('ROLLBACK');
	is(($a->finish)[1], '', 'and the other one goes on');
	$a->run('COMMIT');
	is(victims() - $before, 1, 'one victim');
}

# a prepared transaction that blocks
$cluster->node(2)->safe_psql('postgres', q{BEGIN; UPDATE own SET v = v + 1; PREPARE TRANSACTION 'mine'});
$b->send('UPDATE own SET v = v + 1');
ok(wait_until(sub { $cluster->query(1, q{SELECT blocker_gid || (blocker_pid IS NULL)::text FROM vecdb.lock_waits}) eq 'minetrue' }),
	'a prepared transaction is shown');
$cluster->node(2)->safe_psql('postgres', q{ROLLBACK PREPARED 'mine'});
is(($b->finish)[1], '', 'and waited for');

# users
$cluster->query(1, 'CREATE ROLE anybody LOGIN');
is($cluster->query(1, 'SET ROLE anybody; SELECT count(*) FROM vecdb.lock_waits'), 0, 'anybody may ask who waits');
$cluster->refused(1, q{SET ROLE anybody; SELECT vecdb.break_lock_wait(1, 1, '')}, qr/permission denied/, 'but not end a wait');
is($cluster->query(1, q{SELECT vecdb.break_lock_wait(pg_backend_pid(), 1, 'x')}), 'f', 'a wait that is over is not ended');

# a local deadlock is PostgreSQL's, with its own words
$a->run('BEGIN; LOCK TABLE own');
$a2->run('BEGIN; CREATE TABLE other (); SELECT FROM pg_advisory_xact_lock(7)');
$a2->send('LOCK TABLE own');
$a->send('SELECT FROM pg_advisory_xact_lock(7)');
{
	my $limit = time + 30;
	sleep 0.01 until $a->is_done || $a2->is_done || time > $limit;
	my ($first, $second) = $a->is_done ? ($a, $a2) : ($a2, $a);
	my ($out, $err) = $first->finish;
	my ($victim, $other) = $err =~ /40P01/ ? ($first, $second) : ($second, $first);
	($out, $err) = $victim->finish;
	like($err, qr/40P01: deadlock detected\nDETAIL:  Process \d+ waits for /, 'a deadlock of one node');
	$victim->run('ROLLBACK');
	is(($other->finish)[1], '', 'ends as ever');
	$other->run('ROLLBACK');
}

# a bank whose clients lock in any order: what is told as done is done
{
	my $dir = PostgreSQL::Test::Utils::tempdir();
	my $before = victims();
	my $sum = $cluster->query(1, 'SELECT sum(balance) FROM accounts');
	$cluster->query(1, q{
		CREATE TABLE moves (id bigserial PRIMARY KEY, source int, target int);
		SELECT vecdb.distribute_table('moves');});
	# few accounts, so that they meet
	my @some = map { $keys{$_}[5] } 1 .. 3;
	my @base = map { $cluster->query(1, "SELECT balance FROM accounts WHERE id = $_") } @some;
	open my $script, '>', "$dir/bank.sql" or die;
	print $script "\\set a random(0, 2)\n\\set b (:a + random(1, 2)) % 3\n",
	  map({ "\\set key$_ $some[$_]\n" } 0 .. 2),
	  "BEGIN;\n",
	  "UPDATE accounts SET balance = balance - 1 WHERE id = (ARRAY[:key0, :key1, :key2])[:a + 1];\n",
	  "UPDATE accounts SET balance = balance + 1 WHERE id = (ARRAY[:key0, :key1, :key2])[:b + 1];\n",
	  "INSERT INTO moves (source, target) VALUES (:a, :b);\nCOMMIT;\n";
	close $script;
	my @clients = map {
		start_command('pgbench', '-n', '-c', 2, '-T', 6, '--max-tries=100', '-f', "$dir/bank.sql",
			$cluster->node($_)->connstr('postgres'))
	} $cluster->groups;
	my ($done, $failed, $retried) = (0, 0, 0);
	foreach my $client (@clients)
	{
		my ($rc, $out) = finish_command($client);
		is($rc, 0, 'a client of the bank ended well') or diag($out);
		$done += $1 if $out =~ /actually processed: (\d+)/;
		$failed += $1 if $out =~ /failed transactions: (\d+)/;
		$retried += $1 if $out =~ /total number of retries: (\d+)/;
	}
	diag("the bank: $done transfers, $retried tried again, " . (victims() - $before) . ' deadlocks over groups');
	is($failed, 0, 'no transfer fails for good');
	is($cluster->query(2, 'SELECT count(*) FROM moves'), $done, 'what was told as done is there, once');
	is($cluster->query(3, 'SELECT sum(balance) FROM accounts'), $sum, 'the sum is what it was');
	foreach my $i (0 .. 2)
	{
		is($cluster->query(1, "SELECT (SELECT count(*) FROM moves WHERE target = $i) - (SELECT count(*) FROM moves WHERE source = $i)"),
			$cluster->query(2, "SELECT balance FROM accounts WHERE id = $some[$i]") - $base[$i], "account $i is what its transfers make it")
	}
}

# off
foreach my $group ($cluster->groups)
{
	$cluster->node($group)->append_conf('postgresql.conf', 'vecdb.deadlock_interval = 0');
	$cluster->node($group)->reload;
	ok(wait_until(sub { $cluster->query($group, 'SHOW vecdb.deadlock_interval') eq '0' }), "group $group does not look any more");
}
$a->run('BEGIN; ' . update($one));
$b->run("SET lock_timeout = '3s'; BEGIN; " . update($two));
$a->send(update($two));
$b->send(update($one));
like(($b->finish)[1], qr/55P03: canceling statement due to lock timeout/, 'with an interval of 0 only lock_timeout helps');
$b->run('ROLLBACK; RESET lock_timeout');
is(($a->finish)[1], '', 'so it does');
$a->run('COMMIT');
foreach my $group ($cluster->groups)
{
	$cluster->node($group)->append_conf('postgresql.conf', 'vecdb.deadlock_interval = 100ms');
	$cluster->node($group)->reload;
}

diag(sprintf('longest time to detection: %.2f s', $longest));
cmp_ok($longest, '<', 60, 'deadlocks are found in time');
$_->quit foreach @sessions, $a2;
is($cluster->query(1, 'SELECT * FROM vecdb.check_cluster()'), '', 'nothing is wrong');
is(join("\n", $cluster->crashes), '', 'nothing crashed');
done_testing();
