# Do nodes that stop hearing each other, or only one of two the other one, lose
# or double anything, or leave anything stuck?
#
# Each node has a network of its own, on one bridge.  Packets from one node to
# another are lost when the sender is told a wrong hardware address; nobody is
# told that they are, as with a cable that is cut.  Clients come by Unix sockets
# and reach every node always.
#
# First a commit in two phases is cut at chosen places, then there are random
# cuts for VECDB_FAULT_SECONDS=12 while clients write and read.  VECDB_SEED=n
# repeats them.
#
# The networks are made within a user namespace, so that it takes no rights but
# those to make one.

use strict;
use warnings;

use Config;
use FindBin;
use PostgreSQL::Test::Utils;
use Test::More;

# --- in a namespace of our own ---

BEGIN
{
	my @enter = ('unshare', '--user', '--net', '--map-current-user', '--keep-caps', '--kill-child');
	# not where the file is only compiled
	if (!$^C && !$ENV{VECDB_IN_NAMESPACE})
	{
		my $why = `unshare --user --net --map-current-user --keep-caps ip link add probe type bridge 2>&1`;
		plan skip_all => "networks cannot be made here: $why" if $? != 0;
		plan skip_all => 'nsenter is not installed' if system('nsenter --version >/dev/null 2>&1') != 0;
		$ENV{VECDB_IN_NAMESPACE} = 1;
		exec @enter, '--fork', $Config{perlpath}, (map { "-I$_" } @INC), $0, @ARGV;
	}
}

use PostgreSQL::Test::Cluster;
use Time::HiRes qw(sleep time);
use VecdbCluster;
use VecdbRecall;
use VecdbSessions;

my $groups = 3;
my $seconds = $ENV{VECDB_FAULT_SECONDS} // 12;
my $seed = seed();
my $dir = PostgreSQL::Test::Utils::tempdir();
my $pg_ctl = `sh -c 'command -v pg_ctl'`;
chomp $pg_ctl;

# by group: the process that holds its network
my %holders;

sub must_run
{
	my (@command) = @_;
	my $out = '';
	IPC::Run::run(\@command, '>&', \$out) or die "@command: $out";
	return;
}

sub in_network { my ($group, @command) = @_; must_run('nsenter', "--net=/proc/$holders{$group}{pid}/ns/net", @command); return }

sub address { return "10.99.0.$_[0]" }
sub hardware { return sprintf '02:00:00:00:00:%02x', $_[0] }

# a network for a node, and a pg_ctl that starts servers in it
sub make_network
{
	my ($group) = @_;
	my $handle = IPC::Run::start([ 'unshare', '--net', 'sleep', '1000' ]);
	my $pid = $handle->{KIDS}[0]{PID};
	$holders{$group} = { handle => $handle, pid => $pid };
	my $ours = readlink '/proc/self/ns/net';
	wait_until(sub { (readlink "/proc/$pid/ns/net") ne $ours }) or die 'no network';
	must_run('ip', 'link', 'add', "node$group", 'type', 'veth', 'peer', 'name', "peer$group");
	must_run('ip', 'link', 'set', "peer$group", 'netns', $pid);
	must_run('ip', 'link', 'set', "node$group", 'master', 'bridge', 'up');
	in_network($group, 'ip', 'link', 'set', 'lo', 'up');
	in_network($group, 'ip', 'link', 'set', "peer$group", 'name', 'net', 'address', hardware($group));
	in_network($group, 'ip', 'addr', 'add', address($group) . '/24', 'dev', 'net');
	in_network($group, 'ip', 'link', 'set', 'net', 'up');
	mkdir "$dir/bin$group" or die;
	open my $script, '>', "$dir/bin$group/pg_ctl" or die;
	print $script "#!/bin/sh\nexec nsenter --net=/proc/$pid/ns/net $pg_ctl \"\$@\"\n";
	close $script;
	chmod 0755, "$dir/bin$group/pg_ctl";
	return;
}

# Nothing that "from" sends arrives at "to"; or does again.
sub cut
{
	my ($from, $to) = @_;
	in_network($from, 'ip', 'neigh', 'replace', address($to), 'lladdr', '02:00:00:00:ff:ff', 'nud', 'permanent', 'dev', 'net');
	return;
}

sub mend
{
	my ($from, $to) = @_;
	in_network($from, 'ip', 'neigh', 'replace', address($to), 'lladdr', hardware($to), 'nud', 'permanent', 'dev', 'net');
	return;
}

sub mend_all
{
	foreach my $from (1 .. $groups)
	{
		mend($from, $_) foreach grep { $_ != $from } 1 .. $groups;
	}
	return;
}

must_run('ip', 'link', 'set', 'lo', 'up');
must_run('ip', 'link', 'add', 'bridge', 'type', 'bridge');
must_run('ip', 'link', 'set', 'bridge', 'up');

# servers and nodes notice in seconds, not in minutes, that nobody is there;
# how a session finds that its node is gone comes from vecdb.node_conninfo too
my $cluster = VecdbCluster->new('partition', groups => $groups, conf => q{
	log_statement = none
	listen_addresses = '*'
	tcp_user_timeout = 1500
	vecdb.node_conninfo = 'keepalives_idle=1 keepalives_interval=1 keepalives_count=2 tcp_user_timeout=1500'
	vecdb.retry_delay = 200ms
	vecdb.recovery_interval = 1s
	vecdb.connect_timeout = 1s});
foreach my $group (1 .. $groups)
{
	make_network($group);
	local $ENV{PATH} = "$dir/bin$group:$ENV{PATH}";
	my $node = $cluster->add_server($group);
	append_to_file($node->data_dir . '/pg_hba.conf', "host all all 10.99.0.0/24 trust\n");
	$node->reload;
}
$cluster->query(1, sprintf("SELECT vecdb.create_cluster('%s', %d)", address(1), $cluster->node(1)->port));
$cluster->query(1, sprintf("SELECT vecdb.add_group('%s', %d)", address($_), $cluster->node($_)->port)) foreach 2 .. $groups;
$cluster->query(1, q{
	CREATE TABLE accounts (id int PRIMARY KEY, balance bigint NOT NULL);
	CREATE TABLE ledger (id bigint PRIMARY KEY, source int, target int, amount bigint);
	CREATE TABLE members (id bigint PRIMARY KEY, made_by bigint);
	CREATE TABLE rounds (id int, round text, PRIMARY KEY (id, round));
	SELECT vecdb.distribute_table('accounts');
	SELECT vecdb.distribute_table('ledger');
	SELECT vecdb.distribute_table('members');
	SELECT vecdb.distribute_table('rounds', 'id');
	INSERT INTO accounts SELECT i, 1000 FROM generate_series(1, 100) i;});
like($cluster->query(1, 'EXPLAIN (ANALYZE) SELECT * FROM accounts'), qr/Group 3: 10\.99\.0\.3:/, 'nodes speak over the network');

# SQL that reads, on the node of a group, again until it is answered: who tried
# to connect before a network was mended can fail after it, and others leave the
# host alone for a while then
sub ask
{
	my ($group, $sql) = @_;
	my $answer;
	wait_until(sub { defined($answer = eval { $cluster->query($group, $sql) }) });
	return $answer;
}

# Both directions of what follows: cut while COMMIT is held at a point of two
# phases; what is to be seen of it by its client, and in the end.
sub cut_commit
{
	my ($what, $point, $links, $answer, $rows) = @_;
	my $holder = VecdbSessions->new($cluster->node(1));
	my $session = VecdbSessions->new($cluster->node(1));
	$holder->run("SELECT FROM pg_advisory_lock(30308, hashtext('$point'))");
	$session->run("SET vecdb.debug_points = '$point'; SET statement_timeout = '15s'");
	# a host that was cut off before is left alone for a while
	my $refused = '';
	wait_until(sub {
		(undef, $refused) = $session->run("BEGIN; INSERT INTO rounds SELECT i, '$what' FROM generate_series(1, 30) i");
		$session->run('ROLLBACK') if $refused ne '';
		return $refused eq '';
	}) or diag("rows are not inserted: $refused");
	$session->send('COMMIT');
	wait_until(sub { $cluster->query(1, q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted}) == 1 })
	  or diag('COMMIT is not held');
	cut(@$_) foreach @$links;
	$holder->quit;
	my ($out, $err) = $session->finish;
	like($err, $answer, "$what: what the client is told");
	# the other side goes on meanwhile
	is(ask(2, q{SELECT count(*) FROM accounts WHERE vecdb.group_of('accounts', id) = 2 AND balance = 1000}) > 0, 1,
		"$what: others can be asked");
	mend(@$_) foreach @$links;
	$session->quit;
	is($cluster->prepared_left, 0, "$what: nothing stays prepared");
	is(ask($_, "SELECT count(*) FROM rounds WHERE round = '$what'"), $rows, "$what: group $_ sees all or nothing")
	  foreach 1 .. $groups;
	return;
}

cut_commit('before the first phase', 'remote_prepare', [ [ 1, 3 ], [ 3, 1 ] ], qr/ERROR:  (?:08006|57014)/, 0);
cut_commit('answers to the first phase are lost', 'remote_prepare', [ [ 3, 1 ] ], qr/ERROR:  (?:08006|57014)/, 0);
cut_commit('between the phases', 'remote_recorded', [ [ 1, 3 ], [ 3, 1 ] ], qr/^(?!.*ERROR).*WARNING:  08006: group 3 has not confirmed the commit/s, 30);
cut_commit('answers to the second phase are lost', 'remote_recorded', [ [ 3, 1 ] ], qr/^(?!.*ERROR).*WARNING:  08006: group 3 has not confirmed the commit/s, 30);

# Sessions at group 3 of a backend that ends while nothing that it sends arrives
# there: they end too, also when the network is mended only after its goodbye was
# given up, and so do their locks; idle in a transaction, or waiting for a lock.
sub vanish
{
	my ($what, $held) = @_;
	my $row = ask(1, "SELECT min(id) FROM accounts WHERE vecdb.group_of('accounts', id) = 3");
	my $gone = VecdbSessions->new($cluster->node(1));
	my $holder = VecdbSessions->new($cluster->node(3));
	my $update = "UPDATE accounts SET balance = balance + 0 WHERE id = $row";
	$gone->run('SELECT count(*) FROM accounts');
	my ($pid) = $gone->run('SELECT pg_backend_pid()');
	my $left = sub { $cluster->query(3, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'vecdb 1:$pid'") };
	is($left->(), 1, "$what: there is a session");
	if ($held)
	{
		$holder->run("BEGIN; $update");
		$gone->send($update);
		wait_until(sub { $cluster->query(3, "SELECT wait_event_type FROM pg_stat_activity WHERE application_name = 'vecdb 1:$pid'") eq 'Lock' })
		  or diag('nobody waits for the lock');
	}
	else
	{
		$gone->run("BEGIN; $update");
	}
	# what 3 has sent is acknowledged: it has nothing to send again
	sleep 1;
	cut(1, 3);
	$cluster->query(1, "SELECT pg_terminate_backend($pid, 20000)");
	# longer than tcp_user_timeout
	sleep 3;
	mend(1, 3);
	my $until = time + 30;
	sleep 0.2 while $left->() > 0 && time < $until;
	is($left->(), 0, "$what: the session ends")
	  or $cluster->query(3, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'vecdb 1:$pid'");
	$holder->run('ROLLBACK') if $held;
	my ($out, $err) = $holder->run("SET statement_timeout = '5s'; $update");
	is($err, '', "$what: nothing is locked");
	eval { $_->quit } foreach $gone, $holder;
	return;
}

vanish('in a transaction', 0);
vanish('waiting for a lock', 1);

# --- random cuts ---

my $clients = 4;
my @connections = map { $cluster->node($_)->connstr('postgres') . ' connect_timeout=3' } 1 .. $groups;
my @running = map {
	start_command($^X, "$FindBin::RealBin/../cluster/fault_client.pl",
		$_ % 2 ? 'bank' : 'set', $_, $seed, $seconds, "$dir/journal_$_", @connections)
} 1 .. $clients;

# reads through all nodes, one after the other; each has all rows, or is an error
my @readers = map { VecdbSessions->new($cluster->node($_)) } 1 .. $groups;
my %reads;
$_->run("SET statement_timeout = '2s'") foreach @readers;
$_->send('SELECT count(*) FROM accounts') foreach @readers;

sub read_for
{
	my ($time) = @_;
	my $until = time + $time;
	do
	{
		foreach my $reader (grep { $_->is_done } @readers)
		{
			my ($out, $err) = $reader->finish;
			$reads{ $err eq '' ? $out : 'error' }++;
			$reader->send('SELECT count(*) FROM accounts');
		}
		sleep 0.02;
	} while time < $until;
	return;
}

my %cuts = (
	alone => sub { my ($group) = @_; return map { ([ $group, $_ ], [ $_, $group ]) } grep { $_ != $group } 1 .. $groups },
	pair => sub { my ($group) = @_; my $other = $group % $groups + 1; return ([ $group, $other ], [ $other, $group ]) },
	one_way => sub { my ($group) = @_; return [ $group, 1 + ($group + int(rand($groups - 1))) % $groups ] },
	deaf => sub { my ($group) = @_; return map { [ $_, $group ] } grep { $_ != $group } 1 .. $groups },
	dumb => sub { my ($group) = @_; return map { [ $group, $_ ] } grep { $_ != $group } 1 .. $groups });
my %count;
srand($seed);
my $end = time + $seconds - 2;
while (time < $end)
{
	read_for(0.1 + rand(0.3));
	my $kind = (sort keys %cuts)[ rand(keys %cuts) ];
	my @links = $cuts{$kind}->(1 + int(rand($groups)));
	note(sprintf('%.1f s before the end: %s: %s', $end - time, $kind, join(' ', map { "$_->[0]>$_->[1]" } @links)));
	cut(@$_) foreach @links;
	read_for(0.2 + rand(2));
	mend_all();
	$count{$kind}++;
}
mend_all();
foreach my $client (@running)
{
	my ($rc, $out) = finish_command($client);
	is($rc, 0, 'a client ended well') or diag($out);
}
foreach my $reader (@readers)
{
	my ($out, $err) = $reader->finish;
	$reads{ $err eq '' ? $out : 'error' }++;
	$reader->quit;
}
diag('reads: ' . join(', ', map { "$_ $reads{$_}" } sort keys %reads));
cmp_ok(delete $reads{error} // 0, '>', 0, 'reads failed');
is(join(' ', keys %reads), '100', 'reads gave all rows, or an error');
is($cluster->prepared_left, 0, 'no prepared transaction is left');
# no host is silent any more
$cluster->configure('vecdb.connect_timeout = 10s');

my (%state, %words, %tally);
foreach my $number (1 .. $clients)
{
	foreach my $line (grep { !/^#/ } split /\n/, slurp_file("$dir/journal_$number"))
	{
		my ($state, $id, @words) = split / /, $line;
		$state{$number % 2 ? 'bank' : 'set'}{$id} = $state;
		$words{$id} = \@words;
		$tally{$state}++;
	}
}
diag("seed $seed, $seconds s, cuts: " . join(', ', map { "$_ $count{$_}" } sort keys %count)
	  . '; transactions: ' . join(', ', map { "$_ $tally{$_}" } sort keys %tally));
cmp_ok($tally{done} // 0, '>', 10, 'transactions were done');

sub complain
{
	my ($what, @ids) = @_;
	is(join(' ', @ids > 10 ? (@ids[ 0 .. 9 ], '...') : @ids), '', $what);
	return;
}

my @ledger = split /\n/, ask(1, 'SELECT id FROM ledger');
my %ledger = map { $_ => 1 } @ledger;
my $bank = $state{bank};
is(scalar(@ledger), scalar(keys %ledger), 'no transfer is there twice');
complain('no transfer that was done is lost', grep { $bank->{$_} eq 'done' && !$ledger{$_} } keys %$bank);
complain('no transfer that failed is there', grep { ($bank->{$_} // 'failed') eq 'failed' } @ledger);
is(ask(2, 'SELECT sum(balance), count(*) FROM accounts'), '100000|100', 'the sum of all accounts is what it was');
is(ask(3, q{
	SELECT a.id, a.balance, 1000 + coalesce(l.change, 0)
	FROM accounts a LEFT JOIN (SELECT id, sum(change) AS change FROM (
		SELECT source AS id, -amount AS change FROM ledger
		UNION ALL SELECT target, amount FROM ledger) both_ways GROUP BY id) l ON l.id = a.id
	WHERE a.balance <> 1000 + coalesce(l.change, 0)}), '', 'each account is what its transfers make it');

my @members = split /\n/, ask(3, 'SELECT id FROM members');
my %members = map { $_ => 1 } @members;
my $set = $state{set};
is(scalar(@members), scalar(keys %members), 'no member is there twice');
my %taken;
foreach my $id (grep { $set->{$_} ne 'failed' } keys %$set)
{
	my ($old) = @{ $words{$id} };
	$taken{$old} = 1 if $old;
}
my (@lost, @phantom, @halved);
foreach my $id (keys %$set)
{
	my ($old, @new) = @{ $words{$id} };
	my @there = grep { $members{$_} } @new;
	push @lost, grep { !$members{$_} && !$taken{$_} } @new if $set->{$id} eq 'done';
	push @phantom, @there if $set->{$id} eq 'failed';
	push @halved, $id if $set->{$id} eq 'unknown' && @there != 0 && @there != @new;
}
complain('no member is lost', @lost);
complain('no member is there that should not be', @phantom);
complain('no transaction happened by half', @halved);

# records of transactions go with the first round of recovery that reaches all
my $found;
wait_until(sub { ($found = ask(1, 'SELECT * FROM vecdb.check_cluster()')) eq '' });
is($found, '', 'check_cluster() finds nothing');
foreach my $group (1 .. $groups)
{
	my ($rc, $out, $err) = $cluster->try($group, 'BEGIN; UPDATE accounts SET balance = balance + 0; COMMIT; SELECT count(*) FROM accounts');
	is("$rc $out", '0 100', "group $group goes on working") or diag($err);
}
is(join("\n", $cluster->crashes), '', 'nothing crashed');
done_testing();

END
{
	my $exit_code = $?;
	kill 'TERM', map { $_->{pid} } values %holders;
	$_->{handle}->finish foreach values %holders;
	$? = $exit_code;
}
