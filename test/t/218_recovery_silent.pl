# Does a group that is silent, or a database that is half dropped, keep recovery
# from others, or the server from shutting down?

use strict;
use warnings;

use lib 'test/perl';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VecdbGroups;

my ($one, $two, $three) = VecdbGroups::start(3);
my @frozen;

END
{
	kill 'CONT', @frozen;
}

# all processes of a server stop, or go on
sub freeze
{
	my ($node) = @_;
	my ($postmaster) = split /\n/, slurp_file($node->data_dir . '/postmaster.pid');
	kill 'STOP', $postmaster;
	@frozen = ($postmaster, map { (split)[0] } grep { (split)[1] == $postmaster }
		  split /\n/, `ps -A -o pid= -o ppid=`);
	kill 'STOP', @frozen;
	return;
}

sub thaw
{
	kill 'CONT', @frozen;
	@frozen = ();
	return;
}

# recovery waits when it has listed what is prepared, for as long as this
# session has the lock
my $holder = $one->background_psql('postgres');
my $lock = "(30308, hashtext('recovery_listed'))";
my $is_waiting = q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted};
my $none_prepared = 'SELECT count(*) = 0 FROM pg_prepared_xacts';

$holder->query_safe("SELECT pg_advisory_lock$lock");
$two->safe_psql('postgres', q{BEGIN; INSERT INTO t VALUES (1, 'x'); PREPARE TRANSACTION 'vecdb_00112233_1_1_700_2'});
$three->safe_psql('postgres', q{BEGIN; INSERT INTO t VALUES (1, 'x'); PREPARE TRANSACTION 'vecdb_00112233_1_1_700_3'});
# as a DROP DATABASE that was interrupted leaves it
$one->safe_psql('postgres', 'CREATE DATABASE half');
$one->safe_psql('postgres', q{UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'half'});
$one->append_conf('postgresql.conf', q{
	vecdb.recovery_interval = 1
	vecdb.debug_points = 'recovery_listed, recovery_all_rounds=1'
});
$one->reload;
ok(VecdbGroups::wait_for($one, $is_waiting, 'recovery'), 'recovery has asked all groups');
freeze($two);
$holder->query_safe("SELECT pg_advisory_unlock$lock");
ok(VecdbGroups::wait_for($three, $none_prepared, 'the third'),
	'what is prepared at the third group is finished though the second is silent');
# a round writes the log when it is done; what the second was asked to do it
# does as soon as it goes on
ok($one->wait_for_log(qr/could not .* at group 2\n.*DETAIL:  .*no answer within/),
	'the log says why the second is not');
thaw();
ok(VecdbGroups::wait_for($two, $none_prepared, 'the second'),
	'and at the second when it goes on');

unlike(slurp_file($one->logfile), qr/cannot connect to invalid database/,
	'nobody tries to connect to a database that is half dropped');

# the launcher waits for its worker when all are asked to end
$holder->query_safe("SELECT pg_advisory_lock$lock");
ok(VecdbGroups::wait_for($one, $is_waiting, 'recovery'), 'recovery is at work');
$one->append_conf('postgresql.conf', 'vecdb.recovery_interval = 3600');
$one->reload;
is(system_log('pg_ctl', '-D', $one->data_dir, '-m', 'fast', '-t', '120', 'stop'), 0,
	'a server that recovers is shut down at once');
eval { $holder->quit };
$one->_update_pid(0);

done_testing();
