# Several requests on a connection, several groups at once, COPY, limits.

use strict;
use warnings;

use lib 'test/perl';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use VecdbCluster;
use VecdbGroups;
use VecdbRecall qw(wait_until);

my $cluster = VecdbCluster->new('streams', groups => 4)->start;
my ($one, $two, $three, $four) = map { $cluster->node($_) } 1 .. 4;
my ($rc, $out, $err);

# a statement that names one key goes to its group as it is
$one->safe_psql('postgres', q{
	CREATE TABLE items (id int PRIMARY KEY, v text);
	SELECT vecdb.distribute_table('items');
	INSERT INTO items SELECT i, 'v' || i FROM generate_series(1, 100) i});
my $key = $one->safe_psql('postgres', q{SELECT min(id) FROM items WHERE vecdb.group_of('items', id) = 2});
sub at_two
{
	my ($columns, $more) = @_;
	return "\$\$SELECT $columns FROM items" . ($more // '') . " WHERE id = $key\$\$";
}

# two(first, second, most): two statements on one connection; when the first
# has begun, the rows of the second are read before the rest of its rows
$one->safe_psql('postgres', q{
	CREATE FUNCTION two(first text, second text, most bigint DEFAULT 2000000000)
		RETURNS text LANGUAGE plpgsql AS $$
	DECLARE
		a refcursor;
		b refcursor;
		v bigint;
		a_rows bigint := 0;
		b_rows bigint := 0;
	BEGIN
		OPEN a NO SCROLL FOR EXECUTE first;
		OPEN b NO SCROLL FOR EXECUTE second;
		FETCH a INTO v;
		IF FOUND THEN a_rows := 1; END IF;
		WHILE b_rows < most LOOP
			FETCH b INTO v;
			EXIT WHEN NOT FOUND;
			b_rows := b_rows + 1;
			IF v <> b_rows THEN RAISE 'row % of the second is %', b_rows, v; END IF;
		END LOOP;
		WHILE a_rows < most LOOP
			FETCH a INTO v;
			EXIT WHEN NOT FOUND;
			a_rows := a_rows + 1;
			IF v <> a_rows THEN RAISE 'row % of the first is %', a_rows, v; END IF;
		END LOOP;
		CLOSE a;
		CLOSE b;
		RETURN a_rows || ' ' || b_rows;
	END $$;
	CREATE FUNCTION slow(int, seconds int DEFAULT 1) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
		'BEGIN PERFORM pg_sleep(seconds); RETURN $1; END';
	CREATE FUNCTION begin_reading(statement text) RETURNS bigint LANGUAGE plpgsql AS $$
	DECLARE
		c refcursor;
		v bigint;
	BEGIN
		OPEN c NO SCROLL FOR EXECUTE statement;
		FETCH c INTO v;
		CLOSE c;
		RETURN v;
	END $$});
my $single = at_two('1');
like($one->safe_psql('postgres', 'EXPLAIN (VERBOSE) ' . $single =~ s/\$\$//gr), qr/Fan-out/, 'it is another group');

# rows of an earlier request are put aside, in memory and in a file
my $rows = sub { my ($n) = @_; return at_two("generate_series(1, $n), repeat('x', 100)") };
is($one->safe_psql('postgres', 'SELECT two(' . $rows->(10) . ', ' . $rows->(20) . ')'),
	'10 20', 'two requests on one connection');
is($one->safe_psql('postgres', "SET work_mem = '64kB'; SELECT two(" . $rows->(50000) . ', ' . $rows->(5) . ')'),
	'50000 5', 'rows beyond work_mem are put aside in a file');
($rc, $out, $err) = $one->psql('postgres', "SET work_mem = '64kB'; SET log_temp_files = 0; SET client_min_messages = log; SELECT two(" . $rows->(50000) . ', ' . $rows->(5) . ')');
like($err, qr/temporary file: path/, 'which is one');
is($one->safe_psql('postgres', "SET work_mem = '64kB'; BEGIN; SELECT two(" . $rows->(50000) . ', ' . $rows->(5) . '); COMMIT'),
	'50000 5', 'in a transaction block too');
is($one->safe_psql('postgres', "SET work_mem = '64kB'; SELECT two(" . $rows->(50000) . ', ' . $rows->(5) . ', 1); SELECT two(' . $rows->(3) . ', ' . $rows->(4) . ')'),
	"1 1\n3 4", 'rows that are left are thrown away');
my $began = time();
is($one->safe_psql('postgres', 'SELECT begin_reading(' . $rows->(1000000000) . "); SELECT two($single, $single)"),
	"1\n1 1", 'a long scan that nobody wants');
cmp_ok(time() - $began, '<', 60, 'is cancelled');
my $fails = at_two('1 / (id - id)');
($rc, $out, $err) = $one->psql('postgres', "
	SELECT two($fails, $single);
	SELECT two($single, $fails);
	SELECT two($single, $single)", on_error_stop => 0);
is($out, '1 1', 'an error of one of two does not harm the connection');
is(() = $err =~ /division by zero/g, 2, 'both are told');

# statements are prepared once, in bounded number
is($one->safe_psql('postgres', "
	SELECT count(two($single, " . at_two('1 AS a', ' AS i') . ")) FROM generate_series(1, 50);
	SELECT prepared_statements FROM vecdb.connections WHERE group_id = 2;
	SELECT count(two(format('SELECT 1 FROM items WHERE id = $key AND id <> -%s', i), $single)) FROM generate_series(1, 600) i;
	SELECT prepared_statements BETWEEN 250 AND 256 FROM vecdb.connections WHERE group_id = 2;
	SELECT vecdb.run_on_group(2, 'SELECT count(*) BETWEEN 250 AND 256 FROM pg_prepared_statements')"),
	"50\n2\n600\nt\nt", 'prepared statements');

# one whose table has changed is prepared again
$one->safe_psql('postgres', q{
	CREATE TABLE changes (id int PRIMARY KEY, v int);
	SELECT vecdb.distribute_table('changes');
	INSERT INTO changes SELECT i, 1 FROM generate_series(1, 100) i});
my $session = $one->background_psql('postgres', on_error_stop => 0);
my $all = "SELECT * FROM changes WHERE id = $key;";
is($session->query($all), "$key|1", 'a table');
$three->safe_psql('postgres', 'ALTER TABLE changes ALTER v TYPE bigint');
is($session->query($all), "$key|1", 'whose column is of another type now');

# a read is sent again when the other node restarts, or its backend ends
$two->restart;
is($session->query("SELECT two($single, $single)"), '1 1', 'after a restart');
$session->query_until(qr/^go$/m, "\\echo go\nSELECT two(" . at_two('slow(id, 10) - id + 1') . ", $single);\n");
VecdbGroups::wait_for($two, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query ~ 'slow' AND application_name ~ '^vecdb [0-9]'}, 'it works');
$two->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name ~ '^vecdb [0-9]'});
like($session->query('SELECT 5'), qr/1 1\n5/, 'a read survives the end of its backend');
# at once, before it can be known
$session->query($all);
$two->safe_psql('postgres', q{SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE application_name ~ '^vecdb [0-9]'});
is($session->query($all), "$key|1", 'and one that comes after it');
$session->quit;

# all groups at once
$one->safe_psql('postgres', q{
	CREATE TABLE each (id int PRIMARY KEY);
	SELECT vecdb.distribute_table('each');
	INSERT INTO each SELECT min(i) FROM generate_series(1, 100) i GROUP BY vecdb.group_of('each', i)});
$began = time();
is($one->safe_psql('postgres', 'SELECT count(*) FROM each WHERE slow(id, 5) = id'), 4, 'four groups');
cmp_ok(time() - $began, '<', 15, 'at once');
is($one->safe_psql('postgres', q{SELECT count(*), count(DISTINCT i) FROM
	(SELECT id * 1000000 + g AS i FROM each, generate_series(1, 20000) g) AS many}),
	'80000|80000', 'many rows of all, as they come');

# COPY
my $lines = sub { my ($first, $count, $v) = @_; return join('', map { "$_\t$v\n" } $first .. $first + $count - 1) . "\\.\n" };
$one->safe_psql('postgres', "CREATE TABLE t (id int PRIMARY KEY, v text); SELECT vecdb.distribute_table('t')");
($rc, $out, $err) = $one->psql('postgres', "COPY t FROM STDIN;\n" . $lines->(0, 200000, 'hello'));
is($err, '', 'COPY');
is($one->safe_psql('postgres', 'SELECT count(*), max(id) FROM t'), '200000|199999', 'all rows have come');
is($one->safe_psql('postgres', q{
	SELECT count(*) FROM vecdb.run_on_group(2, 'SELECT id FROM t') AS r(id) WHERE vecdb.group_of('t', id::int) <> 2}),
	0, 'to their groups');
my $taken = $one->safe_psql('postgres', q{SELECT min(id) FROM t WHERE vecdb.group_of('t', id) = 2});
($rc, $out, $err) = $one->psql('postgres', "COPY t FROM STDIN;\n$taken\tagain\n" . $lines->(300000, 50000, 'again')
	  . "SELECT 3;\nCOPY t FROM STDIN;\n" . $lines->(200000, 20000, 'y' x 1000), on_error_stop => 0);
like($err, qr/duplicate key value.*CONTEXT:.*group 2 at/s, 'an error during COPY');
is($out, 3, 'and the session goes on');
is($one->safe_psql('postgres', 'SELECT count(*), max(id) FROM t'), '220000|219999', 'with another COPY');
$one->psql('postgres', "BEGIN;\nCOPY t FROM STDIN;\n" . $lines->(-10, 5, 'z') . "SAVEPOINT a;\nCOPY t FROM STDIN;\n"
	  . $lines->(-30, 10, 'z') . "ROLLBACK TO a;\nCOPY t FROM STDIN;\n" . $lines->(-60, 20, 'z') . "COMMIT;\n");
is($one->safe_psql('postgres', 'SELECT count(*), min(id) FROM t WHERE id < 0'), '25|-60', 'COPY and savepoints');
($rc, $out, $err) = $one->psql('postgres', "SET statement_timeout = '200ms';\nCOPY t FROM STDIN;\n" . $lines->(1000000, 1000000, 'z'));
like($err, qr/statement timeout/, 'COPY can be interrupted');
is($one->safe_psql('postgres', 'SELECT count(*) FROM t WHERE id >= 1000000'), 0, 'and is rolled back');

# a limit of connections
sub wait_for_end
{
	return VecdbGroups::wait_for($one, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'client backend' AND application_name !~ '^vecdb prober'},
		'the session has ended');
}
my $everywhere = 'SELECT count(*) FROM items';
$one->append_conf('postgresql.conf', "vecdb.max_connections_per_host = 1\nvecdb.recovery_interval = 3600");
$one->reload;
wait_for_end();
$session = $one->background_psql('postgres', on_error_stop => 0);
# a worker that recovers may have the one until it has ended
my $answer = '';
wait_until(sub { ($answer = $session->query($everywhere)) eq '100' });
is($answer, '100', 'one connection to each host');
($rc, $out, $err) = $one->psql('postgres', $everywhere);
like($err, qr/there are already as many connections as vecdb.max_connections_per_host allows/, 'no second');
$session->quit;
wait_for_end();
is($one->safe_psql('postgres', $everywhere), 100, 'again when the first has ended');
wait_for_end();
($rc, $out, $err) = $one->psql('postgres', "
	SET vecdb.debug_points = 'remote_connecting=error';
	$everywhere;
	RESET vecdb.debug_points;
	$everywhere", on_error_stop => 0);
is($out, 100, 'a connection that was not made does not count');

done_testing();
