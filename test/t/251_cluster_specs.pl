# Do sessions that work on different nodes at the same time see, wait for and
# refuse each other as those of one server do?
#
# PostgreSQL's isolationtester runs the files test/cluster/specs/*.spec; the
# output of each has to be that of the file .out beside it.  The comment
# "# nodes: 1 2" in a file says on which node each of its sessions is; setup and
# teardown are on node 1.  test/cluster/router.pl gets them there.
#
# What isolationtester asks a server to see whether a session is blocked by
# others is answered by vecdb.lock_waits, so that it knows of all nodes.
#
# VECDB_SPECS=name,name: only these.

use strict;
use warnings;

use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VecdbCluster;
use VecdbRecall;

my $tester = "$ENV{PG_REGRESS}";
$tester =~ s{regress/pg_regress$}{isolation/isolationtester};
plan skip_all => "there is no $tester" unless -x $tester;

my $cluster = VecdbCluster->new('specs', groups => 3, conf => q{
	log_statement = none
	vecdb.deadlock_interval = 200ms})->start;
$cluster->query(1, q{
	SET vecdb.share_ddl = off;
	ALTER FUNCTION pg_catalog.pg_isolation_test_session_is_blocked(int, int[]) RENAME TO test_session_is_blocked_here;
	CREATE FUNCTION pg_catalog.pg_isolation_test_session_is_blocked(pid int, others int[]) RETURNS bool LANGUAGE sql AS
	'SELECT EXISTS (SELECT FROM vecdb.lock_waits WHERE waiter_pid = $1 AND (blocker_pid = ANY ($2) OR blocker_gid IS NOT NULL))'});

my $dir = PostgreSQL::Test::Utils::tempdir_short();
my $port = 5432;
my %wanted = map { $_ => 1 } split /,/, $ENV{VECDB_SPECS} // '';
my @specs = grep { my ($name) = m{([^/]+)\.spec$}; !%wanted || $wanted{$name} } sort glob("$FindBin::RealBin/../cluster/specs/*.spec");
cmp_ok(scalar(@specs), '>', 0, 'there are specs');
foreach my $file (@specs)
{
	my ($name) = $file =~ m{([^/]+)\.spec$};
	my $text = slurp_file($file);
	my ($nodes) = $text =~ /^# nodes: ([\d ]+)$/m or die "$file does not say which nodes";
	my @targets = map { $cluster->node($_)->host . '/.s.PGSQL.' . $cluster->node($_)->port } 1, split / /, $nodes;
	$port++;
	my $router = start_command($^X, "$FindBin::RealBin/../cluster/router.pl", "$dir/.s.PGSQL.$port", @targets);
	wait_until(sub { -S "$dir/.s.PGSQL.$port" }) or die 'the router does not start';
	my ($out, $err) = ('', '');
	my $rc = IPC::Run::run([ $tester, "host=$dir port=$port dbname=postgres" ], '<', \$text, '>', \$out, '2>', \$err,
		IPC::Run::timeout(2 * $PostgreSQL::Test::Utils::timeout_default));
	$router->{handle}->signal('TERM');
	finish_command($router);
	my $expected = -e "$file" =~ s/spec$/out/r ? slurp_file($file =~ s/spec$/out/r) : '';
	if (!is($out, $expected, "$name: what sessions on nodes $nodes see of each other") || $err ne '')
	{
		diag($err);
		# to be looked at, and copied where it is right
		if (open my $result, '>', "$PostgreSQL::Test::Utils::tmp_check/log/$name.out")
		{
			print $result $out;
			close $result;
		}
	}
	ok($rc, "$name ends well");
	is($cluster->query(1, 'SELECT * FROM vecdb.check_cluster()'), '', "$name: nothing is wrong then");
}
is(join("\n", $cluster->crashes), '', 'nothing crashed');
is($cluster->prepared_left, 0, 'no prepared transaction is left');
done_testing();
