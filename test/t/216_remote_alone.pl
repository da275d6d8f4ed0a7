# Does what runs on a connection of its own end when its session does?

use strict;
use warnings;

use lib 'test/perl';
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use VecdbCluster;
use VecdbGroups;

my $cluster = VecdbCluster->new('alone', groups => 2)->start;
my ($one, $two) = map { $cluster->node($_) } 1, 2;
$cluster->query(1, q{
	CREATE TABLE items (id int PRIMARY KEY, v text);
	SELECT vecdb.distribute_table('items')});

my $working = q{SELECT count(*) FROM pg_stat_activity
	WHERE application_name ~ '^vecdb [0-9]' AND query ~ '^VACUUM' AND state = 'active'};

# VACUUM in a session of its own, which waits for a lock at group 2
my $locker = $two->background_psql('postgres');
$locker->query_safe('BEGIN; LOCK TABLE items IN SHARE MODE');
sub begin_vacuum
{
	my ($stdin, $stdout, $stderr) = ('', '', '');
	my $psql = IPC::Run::start(
		[ 'psql', '-X', '-d', $one->connstr('postgres'), '-c', 'VACUUM items' ],
		\$stdin, '>', \$stdout, '2>', \$stderr, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	VecdbGroups::wait_for($two, "SELECT ($working) = 1", 'group 2 works');
	my $pid = $one->safe_psql('postgres',
		q{SELECT pid FROM pg_stat_activity WHERE query = 'VACUUM items' AND application_name !~ '^vecdb [0-9]'});
	return ($psql, $pid, \$stderr);
}

# the session ends
my ($psql, $pid, $stderr) = begin_vacuum();
$one->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
eval { $psql->finish };
like($$stderr, qr/terminating connection due to administrator command/, 'a session is terminated');
ok(VecdbGroups::wait_for($two, "SELECT ($working) = 0", 'group 2 stops'), 'and group 2 stops');

# the statement is cancelled, and nobody takes the news to the other node
($psql, $pid, $stderr) = begin_vacuum();
my ($postmaster) = $cluster->pids(2);
kill 'STOP', $postmaster;
my $began = time();
$one->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
eval { $psql->finish };
kill 'CONT', $postmaster;
like($$stderr, qr/canceling statement due to user request/, 'a statement is cancelled');
cmp_ok(time() - $began, '<', 50, 'in time');
ok(VecdbGroups::wait_for($two, "SELECT ($working) = 0", 'group 2 stops'), 'and group 2 stops later');
$locker->query_safe('COMMIT');
$locker->quit;
is($cluster->query(1, 'VACUUM items; SELECT 1'), 1, 'again without a lock');

done_testing();
