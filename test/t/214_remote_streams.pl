# Several requests on a connection, several groups at once, COPY, limits.

use strict;
use warnings;

use lib 'test/perl';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use VecdbGroups;

my @nodes = VecdbGroups::start(4);
my ($one, $two, $three, $four) = @nodes;
my ($rc, $out, $err);

$one->safe_psql('postgres', q{
	CREATE FUNCTION two(int, text, text, int DEFAULT 2000000000) RETURNS text
		AS '$libdir/vecdb', 'vecdb_test_remote_two' LANGUAGE C;
	CREATE FUNCTION everywhere(text) RETURNS text
		AS '$libdir/vecdb', 'vecdb_test_remote_all' LANGUAGE C;
	CREATE FUNCTION copy_to(int, text, text, int) RETURNS bigint
		AS '$libdir/vecdb', 'vecdb_test_remote_copy' LANGUAGE C});

# rows of an earlier request are put aside, in memory and in a file
my $rows = sub { my ($n) = @_; return "\$\$SELECT i, repeat('x', 100) FROM generate_series(1, $n) i\$\$" };
is($one->safe_psql('postgres', 'SELECT two(2, ' . $rows->(10) . ', ' . $rows->(20) . ')'),
	'10 20', 'two requests on one connection');
is($one->safe_psql('postgres', "SET work_mem = '64kB'; SELECT two(2, " . $rows->(50000) . ', ' . $rows->(5) . ')'),
	'50000 5', 'rows beyond work_mem are put aside in a file');
is($one->safe_psql('postgres', "SET work_mem = '64kB'; BEGIN; SELECT two(2, " . $rows->(50000) . ', ' . $rows->(5) . '); COMMIT'),
	'50000 5', 'in a transaction block too');
# libpq gives 64 rows at a time from version 17 on
like($one->safe_psql('postgres', "SET work_mem = '64kB'; SELECT two(2, " . $rows->(50000) . ', ' . $rows->(5) . ', 1); SELECT two(2, ' . $rows->(3) . ', ' . $rows->(4) . ')'),
	qr/^(?:1 1|64 5)\n3 4$/, 'rows that are left are thrown away');
my $began = time();
is($one->safe_psql('postgres', q{SELECT two(2, $$SELECT i FROM generate_series(1, 1000000000) i$$, $$SELECT 1$$, 0); SELECT two(2, $$SELECT 1$$, $$SELECT 1$$)}),
	"0 0\n1 1", 'a long scan that nobody wants');
cmp_ok(time() - $began, '<', 5, 'is cancelled');
($rc, $out, $err) = $one->psql('postgres', q{
	SELECT two(2, $$SELECT 1/0$$, $$SELECT 1$$);
	SELECT two(2, $$SELECT 1$$, $$SELECT 1/0$$);
	SELECT two(2, $$SELECT 1$$, $$SELECT 1$$)}, on_error_stop => 0);
is($out, '1 1', 'an error of one of two does not harm the connection');
is(() = $err =~ /division by zero/g, 2, 'both are told');

# statements are prepared once, in bounded number
is($one->safe_psql('postgres', q{
	SELECT count(two(2, $$SELECT 1$$, $$SELECT 1 AS a$$)) FROM generate_series(1, 50);
	SELECT prepared_statements FROM vecdb.connections;
	SELECT count(two(2, format('SELECT 1 AS c%s', i), 'SELECT 1')) FROM generate_series(1, 600) i;
	SELECT prepared_statements <= 256 FROM vecdb.connections;
	SELECT vecdb.run_on_group(2, 'SELECT count(*) <= 256 FROM pg_prepared_statements')}),
	"50\n2\n600\nt\nt", 'prepared statements');

# one whose table has changed is prepared again
my $session = $one->background_psql('postgres', on_error_stop => 0);
$two->safe_psql('postgres', 'CREATE TABLE changes (i int); INSERT INTO changes VALUES (1)');
is($session->query(q{SELECT two(2, 'SELECT * FROM changes', 'SELECT 1')}), '1 1', 'a table');
$two->safe_psql('postgres', 'ALTER TABLE changes ALTER i TYPE bigint');
is($session->query(q{SELECT two(2, 'SELECT * FROM changes', 'SELECT 1')}), '1 1', 'whose column is of another type now');

# a read is sent again when the other node restarts, or its backend ends
$two->restart;
is($session->query(q{SELECT two(2, 'SELECT 1', 'SELECT 1')}), '1 1', 'after a restart');
$session->query_until(qr/^go$/m, "\\echo go\nSELECT two(2, 'SELECT 1 FROM pg_sleep(1)', 'SELECT 1');\n");
VecdbGroups::wait_for($two, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query ~ 'pg_sleep' AND application_name ~ '^vecdb '}, 'it works');
$two->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name ~ '^vecdb '});
like($session->query('SELECT 5'), qr/1 1\n5/, 'a read survives the end of its backend');
$session->quit;

# all groups at once
$began = time();
is($one->safe_psql('postgres', q{SELECT everywhere('SELECT 7 FROM pg_sleep(1)')}), '7 7 7', 'three groups');
cmp_ok(time() - $began, '<', 2.5, 'at once');

# COPY
is($one->safe_psql('postgres', q{SELECT copy_to(2, 'COPY t FROM STDIN', 'hello', 200000)}), 200000, 'COPY');
is($two->safe_psql('postgres', 'SELECT count(*), max(id) FROM t'), '200000|199999', 'all rows have come');
($rc, $out, $err) = $one->psql('postgres', q{
	SELECT copy_to(2, 'COPY t FROM STDIN', 'again', 100000);
	SELECT vecdb.run_on_group(2, 'SELECT 3');
	SELECT copy_to(3, 'COPY t FROM STDIN', repeat('y', 1000), 20000)}, on_error_stop => 0);
like($err, qr/duplicate key value.*CONTEXT:  group 2 at/s, 'an error during COPY');
is($out, "3\n20000", 'and the session goes on');
$one->safe_psql('postgres', q{BEGIN; SELECT copy_to(3, 'COPY t (id, v) FROM STDIN WHERE id < 0', 'z', 10); SAVEPOINT a;
	SELECT copy_to(4, 'COPY t FROM STDIN', 'z', 10); ROLLBACK TO a; SELECT copy_to(4, 'COPY t FROM STDIN', 'z', 20); COMMIT});
is($four->safe_psql('postgres', 'SELECT count(*) FROM t'), 20, 'COPY and savepoints');
($rc, $out, $err) = $one->psql('postgres', q{SET statement_timeout = '200ms'; SELECT copy_to(3, 'COPY t FROM STDIN WHERE id < 0', 'z', 100000000)});
like($err, qr/canceling statement due to statement timeout/, 'COPY can be interrupted');
is($three->safe_psql('postgres', 'SELECT count(*) FROM t'), 20000, 'and is rolled back');

# a limit of connections
$one->append_conf('postgresql.conf', 'vecdb.max_connections_per_host = 1');
$one->reload;
VecdbGroups::wait_for($one, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'client backend'}, 'the session has ended');
$session = $one->background_psql('postgres', on_error_stop => 0);
# a worker that recovers may have the one for a moment
my $answer = '';
for (my $i = 0; $i < 100 && $answer ne '1 1 1'; $i++)
{
	$answer = $session->query(q{SELECT everywhere('SELECT 1')});
	select(undef, undef, undef, 0.1) if $answer ne '1 1 1';
}
is($answer, '1 1 1', 'one connection to each host');
($rc, $out, $err) = $one->psql('postgres', q{SELECT everywhere('SELECT 1')});
like($err, qr/there are already as many connections as vecdb.max_connections_per_host allows/, 'no second');
$session->quit;
VecdbGroups::wait_for($one, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'client backend'}, 'the session has ended');
is($one->safe_psql('postgres', q{SELECT everywhere('SELECT 1')}), '1 1 1', 'again when the first has ended');
VecdbGroups::wait_for($one, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'client backend'}, 'the session has ended');
($rc, $out, $err) = $one->psql('postgres', q{
	SET vecdb.debug_points = 'remote_connecting=error';
	SELECT everywhere('SELECT 1');
	RESET vecdb.debug_points;
	SELECT everywhere('SELECT 1')}, on_error_stop => 0);
is($out, '1 1 1', 'a connection that was not made does not count');

done_testing();
