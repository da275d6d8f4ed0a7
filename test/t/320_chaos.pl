# Does a cluster of replicated groups keep what it has acknowledged when each
# kind of fault is done to it once (make test-chaos; test/chaos/README)?
#
# The faults, clients and checks are those of test/chaos, which ends with
# success only if nothing is lost, wrong or stuck.  Here it is looked that it
# has done what it is for: that each kind of fault was there, that clients
# wrote and read, and that no time is far beyond what is promised.
# VECDB_SEED=n repeats the order of faults.

use strict;
use warnings;

use FindBin;
use IPC::Run ();
use JSON::PP ();
use PostgreSQL::Test::Utils;
use Test::More;
use VecdbRecall;

my $top = "$FindBin::RealBin/../..";
# PostgreSQL as PATH has it, which is where vecdb is installed
$ENV{PG_CONFIG} = 'pg_config';
delete $ENV{$_} foreach qw(PGHOST PGPORT PGUSER PGDATABASE HOURS MINUTES);
$ENV{INSTALLED} = 'yes';
$ENV{SEED} = seed();
my $results = "$PostgreSQL::Test::Utils::log_path/chaos";
$ENV{RESULTS} = $results;

chdir $top or die "$top: $!";
my $missing = `. src/tools/common.sh
	. docker/lib/ha.sh
	check_ha_programs 2>&1`;
plan skip_all => (split /\n/, $missing)[0] if $?;

my $output = '';
my $rc = eval {
	IPC::Run::run([ 'test/chaos/run' ], '<', \undef, '>&', \$output, IPC::Run::timeout(900));
	$? >> 8;
};
is($rc, 0, 'nothing is lost, wrong or stuck') or diag($output =~ s/^(?=\d\d:).*\n//mgr);
note($output);

my $report = eval { JSON::PP::decode_json(slurp_file("$results/report.json")) };
BAIL_OUT('there is no report') unless $report;
diag($_) foreach grep { /^(postmaster|server|standby|host|group|Patroni|leader|nobody|WAL|clock|switch|rolling|etcd|network|rows)/ }
  split /\n/, slurp_file("$results/report.txt");

my %skipped = map { $_ => 1 } @{ $report->{skipped} };
foreach my $kind ('postmaster killed', 'postmaster frozen', 'server frozen', 'standby killed',
	'standby frozen', 'host killed', 'host frozen', 'group killed', 'Patroni killed',
	'Patroni frozen', 'leader cut off', 'leader cut off, clients reach it',
	'leader hears nobody', 'nobody hears the leader', 'standby cut off', 'WAL disk full',
	'clock wrong', 'switch-over', 'rolling restart', 'etcd killed', 'etcd frozen',
	'etcd quorum lost', 'etcd all lost', 'network split')
{
	ok($report->{faults}{$kind} || $report->{faults}{"$kind *"} || $skipped{$kind}, "$kind: done, or known to be impossible here");
}
foreach my $kind ('insert', 'insert over groups', 'transfer', 'append', 'register write',
	'read leader', 'read direct', 'read leased', 'read leased at once', 'read follower',
	'read any', 'read session', 'search leader', 'search any', 'ddl', 'vacuum and index')
{
	cmp_ok($report->{operations}{$kind}{done} // 0, '>', 3, "$kind: done");
}
cmp_ok($report->{rows}{acknowledged}, '>', 500, 'rows were acknowledged');

done_testing();
