# Does every transaction over several groups happen as a whole or not at all,
# and exactly as its client was told, while nodes are killed, stopped, frozen
# and lose their sessions at random?
#
# Clients of two kinds (test/cluster/fault_client.pl) work through all nodes
# for 20 seconds; VECDB_FAULT_SECONDS=n sets another time, VECDB_SEED=n
# another order of faults.  Then all nodes are there again, and:
#
#	- money is what it was, and each account is what its ledger says
#	- what was done is there, what failed is not, what is not known is there
#	  as a whole or not at all; and nothing else is there, nothing twice
#	- each row is in the group that owns it
#	- no prepared transaction is left
#	- the cluster goes on working, from every node

use strict;
use warnings;

use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use VecdbCluster;
use VecdbRecall;

my $seconds = $ENV{VECDB_FAULT_SECONDS} // 20;
my $clients = 4;
my $groups = 3;
my $accounts = 100;
my $opening = 1000;
my $seed = seed();

my $cluster = VecdbCluster->new('faults', groups => $groups, conf => q{
	log_statement = none
	vecdb.recovery_interval = 1s
	vecdb.connect_timeout = 1s})->start;
$cluster->query(1, qq{
	CREATE TABLE accounts (id int PRIMARY KEY, balance bigint NOT NULL);
	CREATE TABLE ledger (id bigint PRIMARY KEY, source int, target int, amount bigint);
	CREATE TABLE members (id bigint PRIMARY KEY, made_by bigint);
	SELECT vecdb.distribute_table('accounts');
	SELECT vecdb.distribute_table('ledger');
	SELECT vecdb.distribute_table('members');
	INSERT INTO accounts SELECT i, $opening FROM generate_series(1, $accounts) i;});

my $dir = PostgreSQL::Test::Utils::tempdir();
my @connections = map { $cluster->node($_)->connstr('postgres') . ' connect_timeout=3' } $cluster->groups;
my @running = map {
	start_command($^X, "$FindBin::RealBin/../cluster/fault_client.pl",
		$_ % 2 ? 'bank' : 'set', $_, $seed, $seconds, "$dir/journal_$_", @connections)
} 1 .. $clients;

# --- faults ---

sub pause
{
	my ($least, $most) = @_;
	select(undef, undef, undef, $least + rand($most - $least));
	return;
}

my %faults = (
	kill => sub {
		my ($group) = @_;
		$cluster->kill9($group);
		pause(0.1, 2);
		$cluster->start_node($group);
	},
	freeze => sub {
		my ($group) = @_;
		$cluster->freeze($group);
		pause(0.1, 3);
		$cluster->thaw($group);
	},
	restart => sub {
		my ($group) = @_;
		$cluster->stop_node($group, rand() < 0.5 ? 'fast' : 'immediate');
		$cluster->start_node($group);
	},
	kill_two => sub {
		my ($group) = @_;
		my $other = $group % $groups + 1;
		$cluster->kill9($group);
		$cluster->kill9($other);
		pause(0, 1);
		$cluster->start_node($other);
		$cluster->start_node($group);
	},
	sessions => sub {
		my ($group) = @_;
		$cluster->try($group, q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND random() < 0.7});
	});
# what is rarer has fewer names here
my @menu = qw(kill kill freeze freeze restart kill_two sessions sessions);
my %count;
my $end = time + $seconds - 2;
while (time < $end)
{
	pause(0.2, 1.5);
	my $fault = $menu[ rand(@menu) ];
	my $group = 1 + int(rand($groups));
	note(sprintf('%.1f s before the end: %s of group %d', $end - time, $fault, $group));
	$faults{$fault}->($group);
	$count{$fault}++;
}
foreach my $client (@running)
{
	my ($rc, $out) = finish_command($client);
	is($rc, 0, 'a client ended well') or diag($out);
}
is($cluster->prepared_left, 0, 'no prepared transaction is left');
# no host is silent any more
$cluster->configure('vecdb.connect_timeout = 10s');

# --- what there is, against the journals ---

my (%state, %words, %tally);
foreach my $number (1 .. $clients)
{
	foreach my $line (split /\n/, slurp_file("$dir/journal_$number"))
	{
		next if $line =~ /^#/;
		my ($state, $id, @words) = split / /, $line;
		$state{$number % 2 ? 'bank' : 'set'}{$id} = $state;
		$words{$id} = \@words;
		$tally{$state}++;
	}
}
diag('seed ' . $seed . ", $seconds s, faults: "
	  . join(', ', map { "$_ $count{$_}" } sort keys %count) . '; transactions: '
	  . join(', ', map { "$_ $tally{$_}" } sort keys %tally));
cmp_ok($tally{done} // 0, '>', 10, 'transactions were done');

sub complain
{
	my ($what, @ids) = @_;
	my @some = @ids > 10 ? (@ids[ 0 .. 9 ], '...') : @ids;
	is(scalar(@ids), 0, $what) or diag("@some");
	return;
}

# a node leaves one alone for a moment that did not answer it lately
ok($cluster->node($_)->poll_query_until('postgres', 'SELECT count(*) >= 0 FROM accounts'),
	"group $_ reaches all others again") foreach $cluster->groups;

my @ledger = split /\n/, $cluster->query(1, 'SELECT id FROM ledger');
my %ledger = map { $_ => 1 } @ledger;
my $bank = $state{bank} // {};
is(scalar(@ledger), scalar(keys %ledger), 'no transfer is there twice');
complain('no transfer that was done is lost', grep { $bank->{$_} eq 'done' && !$ledger{$_} } keys %$bank);
complain('no transfer that failed is there', grep { $bank->{$_} eq 'failed' && $ledger{$_} } keys %$bank);
complain('no transfer is there that nobody made', grep { !$bank->{$_} } @ledger);
is($cluster->query(2, 'SELECT sum(balance), count(*) FROM accounts'),
	join('|', $accounts * $opening, $accounts), 'the sum of all accounts is what it was');
is($cluster->query(3, qq{
	SELECT a.id, a.balance, $opening + coalesce(l.change, 0)
	FROM accounts a LEFT JOIN (SELECT id, sum(change) AS change FROM (
		SELECT source AS id, -amount AS change FROM ledger
		UNION ALL SELECT target, amount FROM ledger) both_ways GROUP BY id) l ON l.id = a.id
	WHERE a.balance <> $opening + coalesce(l.change, 0)}), '',
	'each account is what its transfers make it');

my @members = split /\n/, $cluster->query(3, 'SELECT id FROM members');
my %members = map { $_ => 1 } @members;
my $set = $state{set} // {};
is(scalar(@members), scalar(keys %members), 'no member is there twice');
my (%taken, %put, @lost, @phantom, @halved);
foreach my $id (keys %$set)
{
	my ($old, @new) = @{ $words{$id} };
	$taken{$old} = $set->{$id} if $old && $set->{$id} ne 'failed';
	$put{$_} = $id foreach @new;
}
foreach my $id (keys %$set)
{
	my ($old, @new) = @{ $words{$id} };
	my @there = grep { $members{$_} } @new;
	# those that a later transaction may have taken out say nothing
	my @certain = grep { !$taken{$_} } @new;
	my @seen = grep { $members{$_} } @certain;
	if ($set->{$id} eq 'done')
	{
		push @lost, grep { !$members{$_} } @certain;
		push @phantom, $old if $old && $members{$old};
	}
	elsif ($set->{$id} eq 'failed')
	{
		push @phantom, @there;
		push @lost, $old if $old && !$members{$old};
	}
	else
	{
		# nothing of an unknown one is ever taken out again
		push @halved, $id if @there != 0 && @there != @new;
		push @halved, $id if $old && (@there != 0) == ($members{$old} // 0);
	}
}
push @phantom, grep { !$put{$_} } @members;
complain('no member is lost', @lost);
complain('no member is there that should not be', @phantom);
complain('no transaction happened by half', @halved);

# --- each row where it belongs, and all is well ---

foreach my $group ($cluster->groups)
{
	is($cluster->query_own($group, join(' UNION ALL ', map {
		"SELECT '$_ ' || id FROM $_ WHERE vecdb.group_of('$_', id) <> vecdb.local_group()"
	} qw(accounts ledger members))), '', "group $group holds no row of another");
}

# records of transactions go with the first round of recovery that reaches all
my $found;
wait_until(sub { ($found = $cluster->query(1, 'SELECT * FROM vecdb.check_cluster()')) eq '' });
is($found, '', 'check_cluster() finds nothing');
foreach my $group ($cluster->groups)
{
	my ($rc, $out, $err) = $cluster->try($group, q{
		BEGIN;
		UPDATE accounts SET balance = balance + 0;
		INSERT INTO members SELECT -g, 0 FROM generate_series(1, 50) g;
		DELETE FROM members WHERE id < 0;
		COMMIT;
		SELECT count(*) FROM accounts});
	is("$rc $out", "0 $accounts", "group $group goes on working") or diag($err);
}
is($cluster->prepared_left, 0, 'and leaves no prepared transaction');
is(join("\n", grep { !/signal 9|signal 3/ } $cluster->crashes), '', 'nothing crashed but what was killed');
done_testing();
