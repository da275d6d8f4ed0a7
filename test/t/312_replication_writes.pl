# Is a change where vecdb.write_consistency says when COMMIT returns, is it
# refused where that cannot be, and is it said when it is not known?

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use VecdbCluster;
use VecdbGroups;
use VecdbSessions qw(start_psql);

my $cluster = VecdbCluster->new('write', groups => 2, conf => "max_wal_senders = 10")->start;
my $one = $cluster->node(1);
my $two = $cluster->node(2);
my @standbys = map { $cluster->add_standby(2, $_) } 'second', 'third';
$one->safe_psql('postgres', "CREATE TABLE items (id int PRIMARY KEY, v int); SELECT vecdb.distribute_table('items')");
my ($first_id, $second_id) = map { $one->safe_psql('postgres',
	"SELECT min(i) FROM generate_series(1, 1000) i WHERE vecdb.group_of('items', i) = $_") } 1, 2;
VecdbGroups::wait_for($_, q{SELECT standbys = 2 FROM vecdb.groups WHERE group_id = 2}, 'standbys are seen') foreach $one, $two;

# keys of rows that are not there yet, of group 2 and of group 1
sub next_ids
{
	do { $second_id++ } until $one->safe_psql('postgres', "SELECT vecdb.group_of('items', $second_id)") == 2;
	do { $first_id++ } until $one->safe_psql('postgres', "SELECT vecdb.group_of('items', $first_id)") == 1;
	return ($second_id, $first_id);
}

# output, errors and seconds of a statement that writes to group 2, or to both
sub change
{
	my ($level, %options) = @_;
	my $set = "SET vecdb.write_consistency = '$level'; \\set VERBOSITY verbose\n" . ($options{set} // '') . "\n";
	my ($id, $first) = next_ids();
	my $rows = $options{both} ? "($id), ($first)" : "($id)";
	my $began = time;
	my ($rc, $out, $err) = ($options{node} // $one)->psql('postgres',
		"$set INSERT INTO items VALUES $rows RETURNING id;");
	return ($err, time - $began, $id, $first);
}

# without synchronous standbys
my ($err, $seconds, $id, $first) = change('server');
is($err, '', 'server: as the server is configured');
($err) = change('one');
is($err, '', 'one');
($err, undef, $id) = change('quorum');
like($err, qr/ERROR:  55000: cannot commit with vecdb.write_consistency = quorum.*synchronous_standby_names is empty/s, 'quorum: refused, there is none');
is($one->safe_psql('postgres', "SELECT count(*) FROM items WHERE id = $id"), '0', 'nothing is committed');
($err, undef, $id, $first) = change('quorum', both => 1);
like($err, qr/cannot commit with vecdb.write_consistency = quorum/, 'quorum: over two groups, too');
is($one->safe_psql('postgres', "SELECT count(*) FROM items WHERE id IN ($id, $first)"), '0', 'nothing is committed');
is($one->safe_psql('postgres', q{SET vecdb.write_consistency = quorum; SELECT count(*) > 0 FROM items}), 't', 'who only reads is not concerned');
like(($one->psql('postgres', q{SET vecdb.write_consistency = 'some'}))[2], qr/invalid value.*Available values: server, one, quorum, all/s, 'other values');

# have the prober of each group take its turns so seldom
sub set_turns
{
	my ($interval) = @_;
	foreach my $node ($one, $two)
	{
		$node->append_conf('postgresql.conf', "vecdb.probe_interval = $interval");
		$node->reload;
		VecdbGroups::wait_for($node, "SELECT current_setting('vecdb.probe_interval') = '$interval'", 'reloaded');
	}
	return;
}

# all
set_turns('1min');
foreach my $node ($one, $two)
{
	($err, $seconds, $id) = change('all', node => $node);
	is($err, '', 'all: no warning');
	cmp_ok($seconds, '<', 30, 'all: without waiting for the next turn of the prober');
}
set_turns('1s');
($err) = change('all', both => 1);
is($err, '', 'all: over two groups');
$standbys[1]->stop;
VecdbGroups::wait_for($_, q{SELECT standbys = 1 FROM vecdb.groups WHERE group_id = 2}, 'one standby is down') foreach $one, $two;
($err, $seconds, $id) = change('all');
my $port = $standbys[1]->port;
like($err, qr/WARNING:  01VD1: the transaction is committed, and not known to be on all hosts of group 2.*Host "\S+:$port" /s, 'all: a warning says that one is missing');
# and not after the ten seconds for which others are waited for
cmp_ok($seconds, '<', 9, 'all: at once');
is($one->safe_psql('postgres', "SELECT count(*) FROM items WHERE id = $id"), '1', 'it is committed');
($err) = change('all', both => 1);
like($err, qr/WARNING:  01VD1.*group 2/s, 'all: in two phases, too');
unlike($err, qr/hosts of group 1/, 'all: the other group has it');

# synchronous standbys
$two->append_conf('postgresql.conf', "synchronous_standby_names = 'ANY 1 (second, third)'");
$two->reload;
VecdbGroups::wait_for($one, q{SELECT quorum = 'present' FROM vecdb.groups WHERE group_id = 2}, 'a quorum');
($err) = change('quorum', set => 'SET synchronous_commit = off;');
is($err, '', 'quorum: there is one');
$standbys[0]->stop;
my $short = q{SET lock_timeout = 0; SET statement_timeout = '30s';};
($err) = change('one', set => $short);
is($err, '', 'one: no standby is waited for');

# what waits for a standby says what it waits for, until there is one
($id) = next_ids();
my $session = start_psql($one, 'SET vecdb.write_consistency = quorum', 'SET synchronous_commit = off',
	"INSERT INTO items VALUES ($id)", q{SELECT 'done'});
VecdbGroups::wait_for($two, q{SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'SyncRep'}, 'quorum: a commit waits');
is($session->{out}, '', 'it has not returned');
$standbys[0]->start;
$session->{run}->finish;
is("$session->{out}$session->{err}", "done\n", 'it returns when a standby is back');

# Waits for standbys that are cancelled: a commit that is on one host alone is
# not reported as done.
my $at_node = q{SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name LIKE 'vecdb 1:%'};
my $at_client = q{SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND backend_type = 'client backend' AND application_name NOT LIKE 'vecdb%'};
my $prepared = q{SELECT count(*) FROM pg_prepared_xacts};

# have commits at a node wait for a standby that does not exist
sub wait_for_nobody
{
	my ($node) = @_;
	$node->append_conf('postgresql.conf', "synchronous_standby_names = 'nobody'");
	$node->reload;
	VecdbGroups::wait_for($node, q{SELECT current_setting('synchronous_standby_names') = 'nobody' AND
		NOT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state <> 'async')}, 'nobody is waited for');
	$node->safe_psql('postgres', 'CHECKPOINT');
	return;
}

# begin what will wait
sub begin
{
	my (@sql) = @_;
	return start_psql($one, '\set QUIET off', @sql);
}

# what a wait is ended with, once there is one
sub end_wait
{
	my ($node, $waiting, $function) = @_;
	VecdbGroups::wait_for($node, "SELECT count(*) > 0 FROM ($waiting) AS w", 'a commit waits');
	$node->safe_psql('postgres', "SELECT $function(pid) FROM ($waiting) AS w");
	return;
}

# group 2 has prepared while it had its standby; waits for our own commit
($id, $first) = next_ids();
wait_for_nobody($one);
my $client = begin("INSERT INTO items VALUES ($id), ($first)");
VecdbGroups::wait_for($one, "SELECT count(*) > 0 FROM ($at_client) AS w", 'our own commit waits');
end_wait($one, $at_client, 'pg_cancel_backend');
$client->{run}->finish;
like($client->{err}, qr/WARNING:  01000: canceling wait for synchronous replication/, 'own commit, cancelled: the server says so');
like($client->{err}, qr/WARNING:  08007: no standby of this group has confirmed the commit\n.*stays prepared at group 2/, 'and what becomes of it elsewhere');
unlike($client->{err}, qr/ERROR/, 'the decision was made');
is($one->safe_psql('postgres', "SELECT count(*) FROM items WHERE id IN ($id, $first)"), '1', 'the other group does not commit before a standby has it');
foreach my $set ('SET vecdb.write_consistency = one', 'SET synchronous_commit = off')
{
	($id, $first) = next_ids();
	$client = begin($set, "INSERT INTO items VALUES ($id), ($first)");
	end_wait($one, $at_client, 'pg_cancel_backend');
	$client->{run}->finish;
	like($client->{err}, qr/WARNING:  08007: no standby of this group has confirmed the commit\n.*stays prepared at group 2/, "$set: the decision is waited for");
	is($one->safe_psql('postgres', "SELECT count(*) FROM items WHERE id IN ($id, $first)"), '1', 'and the other group does not commit before');
}
$one->append_conf('postgresql.conf', "synchronous_standby_names = ''");
$one->reload;
VecdbGroups::wait_for($one, q{SELECT current_setting('synchronous_standby_names') = ''}, 'group 1 waits for nobody');
$one->safe_psql('postgres', 'SELECT * FROM vecdb.recover_transactions()');
is($one->safe_psql('postgres', "SELECT count(*) FROM items WHERE id IN ($id, $first)"), '2', 'then it does');

wait_for_nobody($two);

# one group was changed
foreach my $end ([ 'pg_cancel_backend', qr/08007: no standby has confirmed the commit at group 2\nDETAIL: .*\nHINT: / ],
	[ 'pg_terminate_backend', qr/08007: connection to group 2 was lost during COMMIT/ ])
{
	($id) = next_ids();
	$client = begin("INSERT INTO items VALUES ($id)");
	end_wait($two, $at_node, $end->[0]);
	$client->{run}->finish;
	like($client->{err}, qr/^ERROR:  $end->[1]/, "COMMIT, $end->[0]: it is not known");
	is($client->{out}, '', 'it is not reported as done');
	is($one->safe_psql('postgres', "SELECT count(*) FROM items WHERE id = $id"), '1', 'the host itself has it');
}
($err, undef, $id) = change('server', set => q{SET statement_timeout = '5s';});
like($err, qr/ERROR:  08007: no standby has confirmed the commit at group 2/, 'COMMIT, cancelled by its own time-out: it is not known');

# two groups were changed, and nothing is decided yet
foreach my $end ([ 'pg_cancel_backend', qr/57014: no standby has confirmed what group 2 has prepared/ ],
	[ 'pg_terminate_backend', qr/08006: connection to group 2 was lost/ ])
{
	($id, $first) = next_ids();
	$client = begin("INSERT INTO items VALUES ($id), ($first)");
	end_wait($two, $at_node, $end->[0]);
	$client->{run}->finish;
	like($client->{err}, qr/^ERROR:  $end->[1]/, "PREPARE TRANSACTION, $end->[0]: an error");
	is($client->{out}, '', 'it is not reported as done');
	is($one->safe_psql('postgres', "SELECT count(*) FROM items WHERE id IN ($id, $first)"), '0', 'all is rolled back');
	next if $end->[0] ne 'pg_cancel_backend';
	is($two->safe_psql('postgres', $prepared), '0', 'nothing stays prepared');
}
($id, $first) = next_ids();
my $both = "INSERT INTO items VALUES ($id), ($first)";
$client = begin(q{SET statement_timeout = '2s'}, $both, 'SET statement_timeout = 0; SET vecdb.write_consistency = one', "INSERT INTO items VALUES ($id)");
$client->{run}->finish;
like($client->{err}, qr/^ERROR:  57014: (?!.*ERROR)/s, 'PREPARE TRANSACTION, cancelled by its own time-out: an error');
is($client->{out}, "SET\nSET\nSET\nINSERT 0 1\n", 'all is rolled back, and what the session commits next is not concerned');
is($one->safe_psql('postgres', "SELECT count(*) FROM items WHERE id IN ($id, $first)"), '1', 'it is alone');

# what a failover would leave a part of is waited for, whatever the session wants
foreach my $set ('SET vecdb.write_consistency = one', 'SET synchronous_commit = local')
{
	($id, $first) = next_ids();
	$client = begin($set, "INSERT INTO items VALUES ($id), ($first)");
	end_wait($two, $at_node, 'pg_cancel_backend');
	$client->{run}->finish;
	like($client->{err}, qr/^ERROR:  57014: no standby has confirmed what group 2 has prepared/, "$set: what is prepared is waited for");
}

$two->append_conf('postgresql.conf', "synchronous_standby_names = ''");
$two->reload;
VecdbGroups::wait_for($two, q{SELECT current_setting('synchronous_standby_names') = ''}, 'group 2 waits for nobody');
VecdbGroups::wait_for($two, "SELECT count(*) = 0 FROM pg_prepared_xacts", 'nothing stays prepared');
($err) = change('server', both => 1);
is($err, '', 'without a wait, no word of it');

is(scalar($cluster->crashes), 0, 'nothing crashed');
done_testing();
