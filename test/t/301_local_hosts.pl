# Does docker/local.sh make groups of several hosts without --ha, and say what
# it cannot do then?

use strict;
use warnings;

use Cwd;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;
use VecdbRecall qw(wait_until);

my $top = getcwd();
my $dir = PostgreSQL::Test::Utils::tempdir_short();
chmod 0700, $dir;
my $cluster = "$dir/c";
# PostgreSQL as PATH has it, which is where vecdb is installed
$ENV{PG_CONFIG} = 'pg_config';
delete $ENV{$_} foreach qw(PGHOST PGPORT PGUSER PGDATABASE VECDB_LOCAL_DIR);

# docker/local.sh; returns exit code and output
sub local_sh
{
	my ($command, @arguments) = @_;
	my $output = '';
	IPC::Run::run([ "$top/docker/local.sh", '--dir', $cluster, $command, @arguments ],
		'<', \undef, '>&', \$output, IPC::Run::timeout(600));
	note("docker/local.sh $command @arguments:\n$output");
	return ($? >> 8, $output);
}

sub refused
{
	my ($pattern, @command) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($rc, $output) = local_sh(@command);
	isnt($rc, 0, "@command is refused");
	like($output, $pattern, '... and says why');
	return;
}

# what psql answers
sub answer
{
	my (@target) = @_;
	my $sql = pop @target;
	my ($rc, $output) = local_sh('psql', @target, '-X', '-A', '-t', '-c', $sql);
	chomp $output;
	return $output;
}

my ($rc, $output) = local_sh('up', '--groups', 1, '--hosts', 2);
is($rc, 0, 'a group of two hosts starts') or BAIL_OUT($output);
like($output, qr!^1/1 .* primary +1 +- +running$!m, 'one is the primary');
like($output, qr!^1/2 .* standby +1 +\d+ B +running$!m, 'the other its standby, with its lag');
is(answer('SELECT count(*) FROM vecdb.nodes'), 2, 'the cluster knows both');
is(answer('SELECT pg_is_in_recovery()'), 'f', 'psql is on the primary');
is(answer('1/2', 'SELECT pg_is_in_recovery()'), 't', '... or on the host that is named');

answer('CREATE TABLE items (id bigint PRIMARY KEY)');
answer(q{SELECT vecdb.distribute_table('items')});
answer('INSERT INTO items SELECT generate_series(1, 10)');
my $count = '';
wait_until(sub { ($count = answer('1/2', 'SELECT count(*) FROM items')) eq '10' });
is($count, 10, 'the standby has the rows');

refused(qr/made without --ha/, 'switchover', 1);
refused(qr/made without --ha/, 'pause');
refused(qr/made without --ha/, 'kill', 'etcd/1');
refused(qr/made without --ha/, 'up', '--ha');
refused(qr/made without --ha/, 'roll');
refused(qr/made without --ha/, 'rebuild', '1/2');
refused(qr/takes none away/, 'up', '--hosts', 1);
refused(qr/no number of hosts/, 'up', '--hosts', 'x');
refused(qr/Group 1 has no host 3/, 'psql', '1/3');

($rc, $output) = local_sh('kill', 1);
is($rc, 0, 'both hosts are killed');
refused(qr/Group 1 is not running/, 'psql');
($rc, $output) = local_sh('start', 1);
is($rc, 0, 'both hosts start again');
is(answer('SELECT count(*) FROM items'), 10, 'with what they had');

($rc, $output) = local_sh('restart', '1/2');
is($rc, 0, 'a host is restarted');
($rc, $output) = local_sh('add-host', 1);
is($rc, 0, 'a further host is added');
is(answer('SELECT count(*) FROM vecdb.nodes'), 3, '... to the cluster, too');
is(answer('1/3', 'SELECT pg_is_in_recovery()'), 't', '... as a standby');
refused(qr/There is no group 2/i, 'add-host', 2);

done_testing();

# Nothing is left running, however the test ends.
END
{
	my $exit_code = $?;
	local_sh('down', '--delete') if defined $cluster && -e "$cluster/passfile";
	$? = $exit_code;
}
