# Does a build keep to maintenance_work_mem, does VACUUM, and does memory stay
# where it is over 100,000 scans?

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use VecdbRecall;

my $node = new_server('main', q{
	shared_preload_libraries = 'vecdb'
	shared_buffers = 16MB
	max_wal_size = 128MB});
$node->start;
prepare($node);
my $kind = kind('coded_l2');
create_table($node, $kind);
$node->safe_psql('postgres', insert_rows($kind, 1, 20000));

# Run statements, and return by how many kilobytes the backend's own memory
# grew at most: VmHWM less what it had before, shared buffers left out by
# touching them all first.
sub peak_growth
{
	my (@statements) = @_;
	my ($in, $out) = ('', '');
	my $psql = IPC::Run::start(
		[ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres') ],
		'<', \$in, '>', \$out, '2>&1');
	my $run = sub {
		$out = '';
		$in .= "$_[0]\n\\echo READY\n";
		$psql->pump until $out =~ /READY\n/;
		return $out =~ s/READY\n//r;
	};
	my $pid = $run->('SELECT pg_backend_pid();') + 0;
	my $own = sub {
		my $status = slurp_file("/proc/$pid/status");
		my ($peak) = $status =~ /^VmHWM:\s+(\d+)/m;
		return $peak;
	};
	$run->('SELECT sum(length(v::text)) FROM coded_l2;');
	my $before = $own->();
	my $said = join '', map { $run->($_) } @statements;
	my $after = $own->();
	$in .= "\\q\n";
	$psql->finish;
	unlike($said, qr/ERROR|FATAL/, 'no error') or diag($said);
	return $after - $before;
}

# 20,000 vertices need some 13 MB.  The backend may take 8 MB besides the
# memory it was given, and the 16 MB of shared buffers that it may see for the
# first time.
my $allowance = (8 + 16) * 1024;
my $growth = peak_growth("SET maintenance_work_mem = '1MB';", create_index($kind));
note("a build in 1 MB grew by $growth kB");
cmp_ok($growth, '<', 1024 + $allowance, 'a build keeps to maintenance_work_mem');
$node->safe_psql('postgres', 'DELETE FROM coded_l2 WHERE id % 2 = 0');
$growth = peak_growth("SET maintenance_work_mem = '1MB';", 'VACUUM coded_l2;');
note("VACUUM in 1 MB grew by $growth kB");
cmp_ok($growth, '<', 1024 + $allowance, 'VACUUM keeps to maintenance_work_mem');
index_is_whole($node, 'coded_l2_idx', 'after VACUUM in little memory');

# An iterative scan that returns everything keeps to work_mem, and spills.
$growth = peak_growth("SET work_mem = '1MB'; SET enable_seqscan = off; SET enable_sort = off;",
	'SELECT count(*) FROM (SELECT id FROM coded_l2 ORDER BY v <-> test_vector(-1, 72)) s;');
note("a scan of everything grew by $growth kB");
cmp_ok($growth, '<', 4 * 1024 + $allowance, 'a scan of everything keeps to work_mem');

# Rescans and insertions, in one statement each: memory after many is that
# after few, with little for luck.  What generate_series() gives goes to disk.
$node->safe_psql('postgres', 'CREATE TABLE few AS
	SELECT id, v FROM coded_l2 ORDER BY id LIMIT 100;
	CREATE TABLE small (id bigint, v vector(72));
	CREATE INDEX small_idx ON small USING hnsw (v vector_l2_ops);
	INSERT INTO small SELECT id, v FROM few; VACUUM ANALYZE small');
my $rescan = sub {
	my ($times) = @_;
	return q{SET work_mem = '64kB'; SET enable_seqscan = off; SELECT count(*) FROM }
	  . "(SELECT test_vector(i % 100, 72) AS q FROM generate_series(1, $times) i OFFSET 0) s, "
	  . 'LATERAL (SELECT id FROM small ORDER BY v <-> q LIMIT 1) n;';
};
like($node->safe_psql('postgres', $rescan->(10) =~ s/SELECT count/EXPLAIN SELECT count/r),
	qr/Nested Loop.*Index Scan using small_idx/s, 'a nested loop scans the index');
my $few = peak_growth($rescan->(1000));
my $many = peak_growth($rescan->(100_000));
note("1,000 rescans grew by $few kB, 100,000 by $many kB");
cmp_ok($many, '<', $few + 1024, '100,000 rescans need no more memory than 1,000');

my $write = sub {
	my ($times) = @_;
	return "SET work_mem = '64kB'; INSERT INTO small SELECT i, test_vector(i % 50, 72) FROM generate_series(1, $times) i;";
};
$few = peak_growth($write->(200));
$many = peak_growth($write->(10_000));
note("200 inserts grew by $few kB, 10,000 by $many kB");
cmp_ok($many, '<', $few + 4096, '10,000 inserts need no more memory than 200');

$node->stop;
done_testing();
