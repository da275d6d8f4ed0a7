# When a build is cancelled at any moment, or ends in an error, or the disk is
# full, is there a clear error, and nothing left of the index: no temporary
# file, no relation, no mapping, and nothing of the table lost?

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);
use VecdbRecall;

my $node = new_server('main', q{
	max_parallel_workers = 4
	max_wal_size = 64MB}, extra => [ '--wal-segsize=1' ]);
$node->start;
prepare($node);
my $kind = kind('coded_l2');
create_table($node, $kind);
$node->safe_psql('postgres', insert_rows($kind, 1, 6000));

# files of a database and of pgsql_tmp
sub files
{
	my $data = $node->data_dir;
	my $oid = $node->safe_psql('postgres',
		q{SELECT oid FROM pg_database WHERE datname = 'postgres'});
	$node->safe_psql('postgres', 'CHECKPOINT');
	return (scalar(glob "$data/base/pgsql_tmp/*") // '',
		join ' ', grep { !/_(fsm|vm|init)$|pg_internal/ } glob "$data/base/$oid/*");
}

# mappings and descriptors of a backend that are of no use without a build
sub leftovers
{
	my ($pid) = @_;
	my $maps = slurp_file("/proc/$pid/maps");
	my $files = join '', map { (readlink($_) // '') . "\n" } glob "/proc/$pid/fd/*";
	return join "\n", grep { /pgsql_tmp/ }
	  split /\n/, "$maps\n$files";
}

# kilobytes of address space of a backend
sub address_space
{
	my ($pid) = @_;
	my ($kilobytes) = slurp_file("/proc/$pid/status") =~ /^VmSize:\s+(\d+)/m;
	return $kilobytes;
}

# one psql for all builds, so that what they leave would be seen
my ($in, $out) = ('', '');
my $psql = IPC::Run::start(
	[ 'psql', '-XAtq', '-d', $node->connstr('postgres') ],
	'<', \$in, '>', \$out, '2>&1');

# run statements there, and return what they say
sub in_session
{
	my ($sql) = @_;
	$out = '';
	$in .= "$sql\n\\echo READY\n";
	$psql->pump until $out =~ /READY\n/;
	return $out =~ s/READY\n//r;
}

my ($temporary, $before) = files();
is($temporary, '', 'no temporary file to begin with');
my $pid = in_session('SELECT pg_backend_pid();') + 0;

my %ways = (
	'serial' => 'SET max_parallel_maintenance_workers = 0; RESET maintenance_work_mem;',
	'parallel' => 'SET max_parallel_maintenance_workers = 2; RESET maintenance_work_mem;',
	'serial beyond memory' =>
	  q{SET max_parallel_maintenance_workers = 0; SET maintenance_work_mem = '1MB';},
	'parallel beyond memory' =>
	  q{SET max_parallel_maintenance_workers = 2; SET maintenance_work_mem = '1MB';});
my $cancelled = 0;
in_session(create_index($kind) . ' DROP INDEX coded_l2_idx;');
my $space = address_space($pid);
foreach my $way (sort keys %ways)
{
	in_session($ways{$way});
	foreach my $delay (5_000, 60_000, 300_000, 500_000 + int rand(300_000))
	{
		$out = '';
		$in .= create_index($kind) . "\n\\echo READY\n";
		$psql->pump_nb;
		wait_until(sub { $psql->pump_nb; $node->safe_psql('postgres',
					"SELECT count(*) FROM pg_stat_progress_create_index") > 0
				  || $out =~ /READY/ });
		usleep($delay);
		$node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
		$psql->pump until $out =~ /READY\n/;
		if ($out =~ /ERROR:  canceling statement due to user request/)
		{
			$cancelled++;
		}
		else
		{
			unlike($out, qr/ERROR|FATAL|lost/, "$way: done before it was cancelled");
			in_session('DROP INDEX coded_l2_idx;');
		}
		is($node->safe_psql('postgres', q{SELECT to_regclass('coded_l2_idx') IS NULL}),
			't', "$way, after $delay us: no index is left");
		my ($left, $after) = files();
		is($left, '', "$way, after $delay us: no temporary file is left");
		is($after, $before, "$way, after $delay us: no relation is left");
		is(leftovers($pid), '', "$way, after $delay us: nothing stays mapped or open");
	}
}
cmp_ok($cancelled, '>=', 6, 'most builds were cancelled');

# a single graph is 64 MB of address space
cmp_ok(address_space($pid), '<', $space + 32 * 1024,
	'no memory of a graph stays mapped');

# an error of the expression, in each kind of build
foreach my $way (sort keys %ways)
{
	in_session($ways{$way});
	in_session("DELETE FROM coded_l2 WHERE id = 0;");
	in_session("CREATE OR REPLACE FUNCTION breaks(id bigint, v vector) RETURNS vector
		LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS
		'BEGIN IF id = 5000 THEN RETURN ''[1,2]''; END IF; RETURN v; END';");
	like(in_session("CREATE INDEX broken ON coded_l2 USING hnsw "
				. "((breaks(id, v)::vector(72)) vector_l2_ops);"),
		qr/ERROR:  expected 72 dimensions, not 2/, "$way: an error in the expression");
	my ($left, $after) = files();
	is($left, '', "$way: no temporary file is left by the error");
	is($after, $before, "$way: no relation is left by the error");
	is(leftovers($pid), '', "$way: nothing stays mapped or open after the error");
}
like(in_session("CREATE INDEX broken ON coded_l2 USING hnsw ((v::vector) vector_l2_ops);"),
	qr/ERROR:  column does not have dimensions/, 'no dimensions');
$in .= "\\q\n";
$psql->finish;

# A full disk is played by a limit to the size of files, which the server
# inherits: the table is smaller, the index is not.
my $largest = $node->safe_psql('postgres', "SELECT pg_relation_size('coded_l2')");
$node->stop;
my $limit = int($largest / 1024 * 1.3);
system_or_bail('bash', '-c',
	"ulimit -f $limit && pg_ctl -w -s -D '" . $node->data_dir
	  . "' -l '" . $node->logfile . "' start");
$node->_update_pid(1);
foreach my $way (sort keys %ways)
{
	my ($rc, $stdout, $stderr) = $node->psql('postgres',
		"$ways{$way} " . create_index($kind));
	if ($rc == 0)
	{
		fail("$way: the index fits, the limit is no test");
		$node->safe_psql('postgres', 'DROP INDEX coded_l2_idx');
		next;
	}
	like($stderr, qr/ERROR:  could not (extend|write|reserve|resize).*File too large/s,
		"$way: a clear error when the disk is full");
	my ($left, $after) = files();
	is($left, '', "$way: no temporary file is left on the full disk");
	is($after, $before, "$way: no relation is left on the full disk");
}
$node->stop;
$node->start;
is($node->safe_psql('postgres', 'SELECT count(*) FROM coded_l2'), '6000',
	'no row is lost');
$node->safe_psql('postgres', create_index($kind));
all_found($node, $kind, 'when there is space again');
index_is_whole($node, 'coded_l2_idx', 'when there is space again');

$node->stop;
done_testing();
