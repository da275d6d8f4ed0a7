# Does a transaction over groups stay whole when a participant, or the node
# that was asked, fails over in the middle of it: before and after the record
# of its commit, and when a wait for a standby was cancelled?

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VecdbCluster;
use VecdbGroups;
use VecdbRecall qw(wait_until);

my $cluster = VecdbCluster->new('whole', groups => 2,
	conf => "max_wal_senders = 10\nvecdb.recovery_interval = 3600\nvecdb.probe_interval = 200ms\nvecdb.failover_timeout = 60s\nwal_keep_size = 128MB")->start;
my @leaders = (undef, $cluster->node(1), $cluster->node(2));
my $made = 0;

$leaders[1]->safe_psql('postgres', "CREATE TABLE items (id int PRIMARY KEY, v int); SELECT vecdb.distribute_table('items')");
my @first = split /\n/, $leaders[1]->safe_psql('postgres', "SELECT i FROM generate_series(1, 200) i WHERE vecdb.group_of('items', i) = 1");
my @second = split /\n/, $leaders[1]->safe_psql('postgres', "SELECT i FROM generate_series(1, 200) i WHERE vecdb.group_of('items', i) = 2");

# A new standby of a group, for which its primary waits.
sub add_standby
{
	my ($group) = @_;
	my $name = 'standby' . ++$made;
	my $leader = $leaders[$group];
	my $standby = $cluster->add_standby($group, $name, conf => "synchronous_standby_names = ''");
	wait_for_standby($leader, "'$name'");
	VecdbGroups::wait_for($leader, q{SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'}, 'a synchronous standby');
	# those of what was done to add it
	records_go('a new standby');
	return $standby;
}

# recovery at the primary of group 1, until there are no records of commits: a
# round that does not reach a group, or finds its standby behind, keeps them
sub records_go
{
	my ($what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok(VecdbGroups::wait_for($leaders[1], q{SELECT (SELECT count(*) >= 0 FROM vecdb.recover_transactions())
		AND NOT EXISTS (SELECT FROM vecdb.catalog_commit)}, 'they are gone'), "$what: no record is left");
}

sub wait_for_standby
{
	my ($node, $names) = @_;
	$node->append_conf('postgresql.conf', "synchronous_standby_names = $names");
	$node->reload;
	VecdbGroups::wait_for($node, "SELECT current_setting('synchronous_standby_names') = $names", 'reloaded');
	return;
}

# Its primary is lost, and the standby is promoted.
sub fail_over
{
	my ($group, $standby) = @_;
	my $lost = $leaders[$group];
	$lost->stop('immediate') if -e $lost->data_dir . '/postmaster.pid';
	$standby->promote;
	$leaders[$group] = $standby;
	$cluster->replace_node($group, $standby);
	VecdbGroups::wait_for($_, sprintf("SELECT is_leader FROM vecdb.hosts WHERE host = '%s' AND port = %d", $standby->host, $standby->port), 'it leads')
	  foreach $leaders[1], $leaders[2];
	$standby->safe_psql('postgres', sprintf("SELECT vecdb.remove_host('%s', %d)", $lost->host, $lost->port));
	return;
}

# Starts a transaction over both groups, of the next two ids; returns the
# session, and what holds it at a point, if there is one
sub begin
{
	my ($point) = @_;
	my ($a, $b) = (shift @first, shift @second);
	my ($holder, $set) = (undef, '');
	if ($point)
	{
		$holder = $leaders[1]->background_psql('postgres');
		$holder->query_safe("SELECT pg_advisory_lock(30308, hashtext('$point'))");
		$set = "SET vecdb.debug_points = '$point';";
	}
	my $client = { out => '', err => '', ids => "$a, $b", holder => $holder };
	$client->{run} = IPC::Run::start([ 'psql', '-Xq', '-v', 'VERBOSITY=verbose', '-d', $leaders[1]->connstr('postgres'),
		'-c', "$set SELECT 1", '-c', "INSERT INTO items VALUES ($a, 1), ($b, 1)" ], '>', \$client->{out}, '2>', \$client->{err});
	VecdbGroups::wait_for($leaders[1], q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted}, "$point is reached")
	  if $point;
	return $client;
}

sub go_on
{
	my ($client) = @_;
	eval { $client->{holder}->quit };
	delete $client->{holder};
	return;
}

# a round of recovery at the primary of group 1: what it did
sub one_round
{
	return $leaders[1]->safe_psql('postgres',
		q{SELECT string_agg(group_id || ' ' || action, ', ') FROM vecdb.recover_transactions()});
}

# the same until nothing is prepared
sub recover
{
	my $done = '';
	wait_until(sub {
		$done .= one_round() . "\n";
		return $leaders[2]->safe_psql('postgres', 'SELECT count(*) FROM pg_prepared_xacts') eq '0';
	});
	return $done;
}

# the same until it does something else than not to reach a group in time
sub recover_reached
{
	my $done;
	wait_until(sub { ($done = one_round()) !~ /not reached/ });
	return $done;
}

# how many of its rows are there, and nothing else
sub is_whole
{
	my ($client, $expected, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($leaders[2]->safe_psql('postgres', 'SELECT count(*) FROM pg_prepared_xacts'), '0', "$what: nothing is prepared");
	is($leaders[1]->safe_psql('postgres', "SELECT count(*) FROM items WHERE id IN ($client->{ids})"), $expected, "$what: $expected rows");
	return;
}

# a participant fails over
foreach my $case ([ 'remote_prepare', 0 ], [ 'remote_prepared', 2 ], [ 'remote_committed', 2 ])
{
	my ($point, $expected) = @$case;
	my $standby = add_standby(2);
	my $client = begin($point);
	fail_over(2, $standby);
	go_on($client);
	$client->{run}->finish;
	like($client->{err}, $expected ? qr/WARNING:.*group 2 has not confirmed the commit/ : qr/ERROR:.*connection to group 2 was lost/, "participant, $point: what is said");
	recover();
	is_whole($client, $expected, "participant, $point");
	records_go("participant, $point");
}

# a participant has committed, its standby does not know, and nobody waited
my $standby = add_standby(2);
my $client = begin('remote_prepared');
$standby->stop('immediate');
go_on($client);
VecdbGroups::wait_for($leaders[2], q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'}, 'its commit waits');
$client->{run}->finish;
like($client->{err}, qr/WARNING:.*no standby has confirmed the commit at group 2/, 'a cancelled wait: the user is warned');
is(recover_reached(), '2 not replicated', 'recovery sees it');
is($leaders[1]->safe_psql('postgres', 'SELECT count(*) FROM vecdb.catalog_commit'), '1', 'and keeps the record');
$leaders[2]->stop('immediate');
$standby->start;
fail_over(2, $standby);
like(recover(), qr/^2 committed$/m, 'it commits at the next primary');
is_whole($client, 2, 'a cancelled wait of COMMIT PREPARED');
records_go('a cancelled wait of COMMIT PREPARED');

# once the standby has it, the record goes
$standby = add_standby(2);
$client = begin('remote_prepared');
$standby->stop('immediate');
go_on($client);
VecdbGroups::wait_for($leaders[2], q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'}, 'its commit waits');
$client->{run}->finish;
recover();
is($leaders[1]->safe_psql('postgres', 'SELECT count(*) FROM vecdb.catalog_commit'), '1', 'the record is kept');
$standby->start;
VecdbGroups::wait_for($leaders[2], q{SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'}, 'the standby is back');
records_go('a standby that came back');
is_whole($client, 2, 'a standby that came back');

# the node that was asked fails over
wait_for_standby($leaders[2], "''");
foreach my $case ([ 'remote_prepare', 0 ], [ 'remote_prepared', 0 ], [ 'remote_recorded', 0 ], [ 'remote_committed', 2 ])
{
	my ($point, $expected) = @$case;
	my $standby = add_standby(1);
	my $client = begin($point);
	fail_over(1, $standby);
	go_on($client);
	$client->{run}->finish;
	recover();
	is_whole($client, $expected, "coordinator, $point");
	records_go("coordinator, $point");
}

# its own wait is cancelled: what a failover would undo is not done elsewhere
$standby = add_standby(1);
$client = begin('remote_recorded');
$standby->stop('immediate');
go_on($client);
VecdbGroups::wait_for($leaders[1], q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'}, 'the commit waits');
$client->{run}->finish;
like($client->{err}, qr/WARNING:  08007: no standby of this group has confirmed the commit.*stays prepared at group 2/s, 'a cancelled wait: the user is warned');
is($leaders[2]->safe_psql('postgres', 'SELECT count(*) FROM pg_prepared_xacts'), '1', 'the other group has it prepared');
is(recover_reached(), '1 not replicated', 'recovery does nothing');
is($leaders[2]->safe_psql('postgres', 'SELECT count(*) FROM pg_prepared_xacts'), '1', 'it stays prepared');
$leaders[1]->stop('immediate');
$standby->start;
fail_over(1, $standby);
# the next primary knows nothing of it, and may have finished it by itself
recover();
is_whole($client, 0, 'a cancelled wait of the own commit');

# or done, if there is no failover
$standby = add_standby(1);
$client = begin('remote_recorded');
$standby->stop('immediate');
go_on($client);
VecdbGroups::wait_for($leaders[1], q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'}, 'the commit waits');
$client->{run}->finish;
$standby->start;
VecdbGroups::wait_for($leaders[1], q{SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'}, 'the standby is back');
like(recover(), qr/^2 committed$/m, 'recovery commits then');
is_whole($client, 2, 'a standby that came back');

is(scalar($cluster->crashes), 0, 'nothing crashed');
done_testing();
