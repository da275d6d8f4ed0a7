# Whatever dies at whichever step of two-phase commit: do all groups agree
# after recovery?

use strict;
use warnings;

use lib 'test/perl';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VecdbGroups;
use VecdbRecall qw(wait_until);

my @nodes = VecdbGroups::start(3);
my ($one, $two, $three) = @nodes;
my $next = 0;

# debug points wait for this lock
sub lock_of
{
	my ($point) = @_;
	return "(30308, hashtext('$point'))";
}

sub write_all
{
	my ($id) = @_;
	return "BEGIN; INSERT INTO t VALUES ($id, 'x');"
	  . join('', map { "SELECT vecdb.run_on_group($_, 'INSERT INTO t VALUES ($id, ''x'')');" } 2, 3);
}

# how many groups have row "id"
sub copies
{
	my ($id) = @_;
	my $count = 0;
	$count += $_->safe_psql('postgres', "SELECT count(*) FROM t WHERE id = $id")
	  foreach @nodes;
	return $count;
}

sub recover
{
	return $one->safe_psql('postgres',
		q{SELECT coalesce(string_agg(group_id || ' ' || action, ', ' ORDER BY group_id, action), '')
			FROM vecdb.recover_transactions()});
}

# an error at each step
foreach my $point ('remote_prepare', 'remote_prepared', 'remote_recorded')
{
	my $id = ++$next;
	my ($rc, $out, $err) = $one->psql('postgres',
		"SET vecdb.debug_points = '$point=error';" . write_all($id) . 'COMMIT');
	like($err, qr/debug point "$point" raises an error/, "$point: error");
	is(copies($id), 0, "$point: rolled back everywhere");
	is(VecdbGroups::prepared(@nodes), 0, "$point: nothing left prepared");
	is(recover(), '', "$point: nothing to recover");
}

# start a transaction that waits at a point; returns the holder of the lock
# and the waiting session
sub begin_waiting
{
	my ($point, $id, $write) = @_;
	$write //= write_all($id);
	my $holder = $one->background_psql('postgres');
	$holder->query_safe('SELECT pg_advisory_lock' . lock_of($point));
	my $session = $one->background_psql('postgres', on_error_stop => 0);
	$session->query_safe("SET vecdb.debug_points = '$point'");
	$session->query_until(qr/^go$/m, "\\echo go\n${write}COMMIT;\n");
	VecdbGroups::wait_for($one,
		q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted},
		"$point is reached");
	return ($holder, $session);
}

# the coordinator crashes at each step
foreach my $case (
	[ 'remote_prepare', 0 ], [ 'remote_prepared', 0 ],
	[ 'remote_recorded', 0 ], [ 'remote_committed', 3 ])
{
	my ($point, $expected) = @$case;
	my $id = ++$next;
	my ($holder, $session) = begin_waiting($point, $id);
	my $prepared = $point eq 'remote_prepare' ? 0 : 2;
	is(VecdbGroups::prepared(@nodes), $prepared, "$point: $prepared prepared");
	is(recover(), '', "$point: recovery leaves alone what runs");
	is(VecdbGroups::prepared(@nodes), $prepared, "$point: still $prepared prepared");
	$one->stop('immediate');
	eval { $_->quit } foreach $holder, $session;
	$one->start;
	VecdbGroups::wait_for($_, q{SELECT count(*) = 0 FROM pg_prepared_xacts},
		"$point: the launcher recovers after the start")
	  foreach $two, $three;
	is(copies($id), $expected, "$point: crash of the coordinator, $expected copies");
	VecdbGroups::wait_for($one, 'SELECT count(*) = 0 FROM vecdb.catalog_commit',
		"$point: the launcher removes its record");
	is(recover(), '', "$point: nothing is left to recover");
	is($one->safe_psql('postgres', 'SELECT count(*) FROM vecdb.catalog_commit'), 0,
		"$point: no record left");
}

# another group crashes at each step
foreach my $case (
	[ 'remote_prepare', 0 ], [ 'remote_prepared', 3 ],
	[ 'remote_recorded', 3 ], [ 'remote_committed', 3 ])
{
	my ($point, $expected) = @$case;
	my $id = ++$next;
	my ($holder, $session) = begin_waiting($point, $id);
	$three->stop('immediate');
	$holder->quit;
	VecdbGroups::wait_for($one,
		q{SELECT count(*) = 0 FROM pg_stat_activity WHERE state <> 'idle' AND query ~ 'COMMIT' AND pid <> pg_backend_pid()},
		"$point: the session ends its transaction");
	eval { $session->quit };
	like(recover(), qr/3 not reached/, "$point: group 3 is not reached");
	$three->start;
	# a round may not reach a group
	ok(wait_until(sub { recover(); return VecdbGroups::prepared(@nodes) == 0 }), "$point: nothing left prepared");
	is(copies($id), $expected, "$point: crash of another group, $expected copies");
	ok(wait_until(sub { recover(); return $one->safe_psql('postgres', 'SELECT count(*) FROM vecdb.catalog_commit') == 0 }),
		"$point: no record left");
}

# COMMIT PREPARED that is not confirmed is a warning, and recovery's
my $id = ++$next;
my $holder;
my ($rc, $out, $err) = $one->psql('postgres',
	"SET vecdb.debug_points = 'remote_leave_prepared=2';" . write_all($id) . 'COMMIT');
is(copies($id), 2, 'group 2 is behind');
is(recover(), '2 committed', 'recovery commits');
is(copies($id), 3, 'all have it');

# the worker does the same by itself
$one->append_conf('postgresql.conf', 'vecdb.recovery_interval = 1');
$one->reload;
$one->restart;
$id = ++$next;
$one->psql('postgres',
	"SET vecdb.debug_points = 'remote_leave_prepared=3';" . write_all($id) . 'COMMIT');
VecdbGroups::wait_for($three, 'SELECT count(*) = 0 FROM pg_prepared_xacts', 'the worker commits');
is(copies($id), 3, 'all have it');
VecdbGroups::wait_for($one, 'SELECT count(*) = 0 FROM vecdb.catalog_commit', 'the worker clears records');
like(slurp_file($one->logfile), qr/transaction "vecdb_\w+_3" was committed at group 3/, 'and says so');

# what is asked for during a round is not forgotten with it
sub set_points
{
	my ($points) = @_;
	$one->safe_psql('postgres', "ALTER SYSTEM SET vecdb.debug_points = '$points'");
	$one->reload;
	return;
}
my $waiting = q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted};
$holder = $one->background_psql('postgres');
$holder->query_safe('SELECT pg_advisory_lock' . lock_of('recovery_done'));
set_points('recovery_done');
$one->psql('postgres', write_all(++$next) . 'COMMIT');
VecdbGroups::wait_for($one, $waiting, 'a round has found nothing left');
$id = ++$next;
$one->psql('postgres',
	"SET vecdb.debug_points = 'remote_leave_prepared=3';" . write_all($id) . 'COMMIT');
set_points('');
$holder->quit;
VecdbGroups::wait_for($three, 'SELECT count(*) = 0 FROM pg_prepared_xacts', 'the next round commits');
is(copies($id), 3, 'all have it');

# a connection that breaks while PREPARE TRANSACTION is on its way
my $session;
($holder, $session) = begin_waiting('remote_prepare', $id = ++$next,
	"BEGIN; INSERT INTO t VALUES ($next, 'x'); SELECT vecdb.run_on_group(3, 'INSERT INTO t VALUES ($next, ''x'')');"
	  . "SET statement_timeout = '300ms';");
sleep 3;	# rounds find nothing, and no other is asked for
$one->append_conf('postgresql.conf', 'vecdb.recovery_interval = 3600');
$one->reload;
my $peer = $three->safe_psql('postgres',
	q{SELECT pid FROM pg_stat_activity WHERE application_name ~ '^vecdb 1:' AND state = 'idle in transaction'});
kill 'STOP', $peer;
$holder->quit;
VecdbGroups::wait_for($one,
	q{SELECT count(*) = 0 FROM pg_stat_activity WHERE state <> 'idle' AND query ~ 'COMMIT' AND pid <> pg_backend_pid()},
	'the session gives up');
eval { $session->quit };
kill 'CONT', $peer;
VecdbGroups::wait_for($three, 'SELECT count(*) = 1 FROM pg_prepared_xacts', 'it is prepared all the same');
$one->append_conf('postgresql.conf', 'vecdb.recovery_interval = 1');
$one->reload;
VecdbGroups::wait_for($three, 'SELECT count(*) = 0 FROM pg_prepared_xacts', 'the worker rolls back');
is(copies($id), 0, 'nothing of it is left');

# the same, when it is the connection that is lost
set_points('recovery_all_rounds=1000000');
$three->append_conf('postgresql.conf', "synchronous_standby_names = 'nobody'");
$three->reload;
VecdbGroups::wait_for($three, q{SELECT current_setting('synchronous_standby_names') = 'nobody'}, 'commits there wait for a standby');
($holder, $session) = begin_waiting('remote_prepare', $id = ++$next,
	"BEGIN; INSERT INTO t VALUES ($next, 'x'); SELECT vecdb.run_on_group(3, 'INSERT INTO t VALUES ($next, ''x'')');");
sleep 3;	# rounds find nothing, and no other is asked for
$one->append_conf('postgresql.conf', 'vecdb.recovery_interval = 3600');
$one->reload;
$holder->quit;
VecdbGroups::wait_for($three, q{SELECT count(pg_terminate_backend(pid)) > 0 FROM pg_stat_activity WHERE wait_event = 'SyncRep'}, 'it is prepared');
VecdbGroups::wait_for($one,
	q{SELECT count(*) = 0 FROM pg_stat_activity WHERE state <> 'idle' AND query ~ 'COMMIT' AND pid <> pg_backend_pid()},
	'the session gives up');
eval { $session->quit };
is(VecdbGroups::prepared($three), 1, 'it stays prepared');
$three->append_conf('postgresql.conf', "synchronous_standby_names = ''");
$three->reload;
$one->append_conf('postgresql.conf', 'vecdb.recovery_interval = 1');
$one->reload;
VecdbGroups::wait_for($three, 'SELECT count(*) = 0 FROM pg_prepared_xacts', 'the worker was asked to roll it back');
is(copies($id), 0, 'nothing of it is left');
set_points('');

# a group that is added while a round is on its way, and has a transaction
# prepared that the round did not see: its record stays
$one->append_conf('postgresql.conf', 'vecdb.recovery_interval = 3600');
$one->reload;
VecdbGroups::wait_for($one, 'SELECT count(*) = 0 FROM vecdb.catalog_commit', 'no record is there before');
my $remove = 'DELETE FROM vecdb.catalog_host WHERE group_id = 3; DELETE FROM vecdb.catalog_group WHERE group_id = 3';
my $add = sprintf(q{INSERT INTO vecdb.catalog_group (group_id) VALUES (3); INSERT INTO vecdb.catalog_host (host, port, group_id) VALUES ('%s', %d, 3)},
	$three->host, $three->port);
$one->safe_psql('postgres', $remove);
$holder = $one->background_psql('postgres');
$holder->query_safe('SELECT pg_advisory_lock' . lock_of('recovery_listed'));
$session = $one->background_psql('postgres', on_error_stop => 0);
$session->query_safe(q{SET vecdb.debug_points = 'recovery_listed'});
$session->query_until(qr/^go$/m, "\\echo go\nSELECT count(*) FROM vecdb.recover_transactions();\n\\echo done\n");
VecdbGroups::wait_for($one, $waiting, 'a round has listed what is prepared');
$one->safe_psql('postgres', $add);
$id = ++$next;
$one->psql('postgres',
	"SET vecdb.debug_points = 'remote_leave_prepared=3';" . write_all($id) . 'COMMIT');
is(copies($id), 2, 'the added group is behind');
$holder->quit;
$session->query_until(qr/^done$/m, '');
$session->quit;
is($one->safe_psql('postgres', 'SELECT count(*) FROM vecdb.catalog_commit'), 1, 'the record stays');
is(recover(), '3 committed', 'recovery commits');
is(copies($id), 3, 'all have it');
$one->append_conf('postgresql.conf', 'vecdb.recovery_interval = 1');
$one->reload;

# what nobody asked for is found when all databases are looked at
$two->safe_psql('postgres', q{BEGIN; INSERT INTO t VALUES (2000, 'x'); PREPARE TRANSACTION 'vecdb_00112233_1_1_700_2'});
set_points('recovery_all_rounds=2');
VecdbGroups::wait_for($two, 'SELECT count(*) = 0 FROM pg_prepared_xacts', 'the worker rolls back');
set_points('');

# a group that cannot be reached is logged, but not each time
my $logged = -s $one->logfile;
$three->stop;
$one->psql('postgres',
	'SELECT vecdb.run_on_group(2, $$SELECT 1$$);'
	  . "SET vecdb.debug_points = 'remote_leave_prepared=2'; BEGIN;"
	  . q{INSERT INTO t VALUES (2001, 'x'); SELECT vecdb.run_on_group(2, 'INSERT INTO t VALUES (2001, $$x$$)'); COMMIT});
VecdbGroups::wait_for($two, 'SELECT count(*) = 0 FROM pg_prepared_xacts', 'the worker commits');
# once or twice in one round, as a round asks twice, but in no round after it
my $rounds = sub {
	my %pids = map { $_ => 1 } substr(slurp_file($one->logfile), $logged) =~
	  /\[(\d+)\].* LOG:  could not look for prepared transactions at group 3/g;
	return scalar keys %pids;
};
wait_until(sub { $rounds->() > 0 });
sleep 3;
is($rounds->(), 1, 'a failure is logged once');
$three->start;
VecdbGroups::wait_for($one, 'SELECT count(*) = 0 FROM vecdb.catalog_commit', 'its record goes when the group is back');

# what is prepared by others stays
$two->safe_psql('postgres', q{BEGIN; INSERT INTO t VALUES (1000, 'mine'); PREPARE TRANSACTION 'vecdb_of_a_user'});
is(recover(), '', 'nothing to do');
is(VecdbGroups::prepared($two), 1, 'the transaction of a user stays');
$two->safe_psql('postgres', q{ROLLBACK PREPARED 'vecdb_of_a_user'});

# a database can be dropped although there are workers
$one->safe_psql('postgres', 'CREATE DATABASE gone');
$one->safe_psql('postgres', 'DROP DATABASE gone');
pass('DROP DATABASE');

done_testing();
