# What happens to fan-outs that end early, fail, wait, or miss a group?

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

use VecdbCluster;
use VecdbRecall qw(wait_until);

my $cluster = VecdbCluster->new('fanout', groups => 3)->start;
$cluster->query(1, <<'SQL');
CREATE TABLE items (id bigint PRIMARY KEY, tenant int, embedding vector(3));
INSERT INTO items SELECT i, i % 7,
	ARRAY[i % 11, i % 13, i % 17]::real[]::vector(3)
	FROM generate_series(1, 3000) i;
CREATE FUNCTION slow(bigint) RETURNS boolean LANGUAGE plpgsql IMMUTABLE
	AS 'BEGIN PERFORM pg_sleep(0.5); RETURN true; END';
SQL
$cluster->query(1, "SELECT vecdb.distribute_table('items')");
my @share = map { $cluster->query_own($_, 'SELECT count(*) FROM items') }
  $cluster->groups;

# how many sessions of a node are at work, but this one?
sub busy
{
	my ($group) = @_;
	return $cluster->query($group, <<'SQL');
SELECT count(*) FROM pg_stat_activity WHERE state = 'active'
	AND backend_type = 'client backend' AND pid <> pg_backend_pid();
SQL
}

sub at_rest
{
	my ($what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $busy;
	wait_until(sub { ($busy = busy(2) + busy(3)) == 0 });
	is($busy, 0, $what);
	return;
}

# time-out, and the session after it
my $start = time;
my ($rc, $out, $err) = $cluster->try(1, <<'SQL', on_error_stop => 0);
SET statement_timeout = '300ms';
SELECT count(*) FROM items WHERE slow(id);
SET statement_timeout = 0;
SELECT count(*) FROM items;
SQL
like($err, qr/canceling statement due to statement timeout/, 'statement_timeout');
is($out, '3000', 'the session goes on');
cmp_ok(time - $start, '<', 60, 'and at once');
at_rest('no group works on after a time-out');

# cancel
my ($in, $cancelled, $complaint) = ('', '', '');
my $session = IPC::Run::start(
	[ 'psql', '-XqAt', '-d', $cluster->node(1)->connstr('postgres') ],
	'<', \$in, '>', \$cancelled, '2>', \$complaint,
	IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
$in .= "SELECT count(*) FROM items WHERE slow(id);\n";
$session->pump_nb;
$cluster->node(1)->poll_query_until('postgres', <<'SQL') or die 'nothing to cancel';
SELECT count(*) = 1 FROM pg_stat_activity
	WHERE query LIKE '%slow(id)%' AND state = 'active'
	AND pid <> pg_backend_pid() AND now() - query_start > '300ms'
SQL
$start = time;
$cluster->query(1, <<'SQL');
SELECT pg_cancel_backend(pid) FROM pg_stat_activity
	WHERE query LIKE '%slow(id)%' AND pid <> pg_backend_pid()
SQL
$in .= "SELECT count(*) FROM items;\n\\q\n";
$session->finish;
cmp_ok(time - $start, '<', 60, 'a cancel is heard at once');
like($complaint, qr/canceling statement due to user request/, 'cancel');
is($cancelled, "3000\n", 'the session goes on');
at_rest('no group works on after a cancel');

# ends before the rows do
is($cluster->query(1, <<'SQL'), "1\n2\n3000", 'a cursor that is not read to its end');
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM items ORDER BY id;
FETCH 2 FROM c;
SELECT count(*) FROM items;
ROLLBACK;
SQL
is($cluster->query(1, <<'SQL'), '3000', 'a fan-out that LIMIT ends');
DO $$ BEGIN FOR i IN 1 .. 30 LOOP
	PERFORM id FROM items WHERE random() < 2 LIMIT 1;
	PERFORM id FROM items ORDER BY embedding <-> '[1,2,3]' LIMIT 2;
END LOOP; END $$;
SELECT count(*) FROM items;
SQL
is($cluster->query(1, <<'SQL'), '3000', 'two cursors at once');
BEGIN;
DECLARE a CURSOR FOR SELECT id FROM items;
DECLARE b CURSOR FOR SELECT id FROM items;
MOVE 5 IN a; MOVE 7 IN b; MOVE 900 IN a; CLOSE a; MOVE 3 IN b; CLOSE b;
SELECT count(*) FROM items;
COMMIT;
SQL

# a cursor shows what there was when it was declared, on every node
my $both = q{DECLARE c CURSOR FOR SELECT count(*) FROM items;
	DECLARE d CURSOR FOR SELECT id FROM items ORDER BY id DESC;
	DECLARE e SCROLL CURSOR WITH HOLD FOR SELECT count(*) FROM items};
foreach my $group ($cluster->groups)
{
	is($cluster->query($group, "BEGIN; $both; DELETE FROM items; FETCH c; FETCH d; FETCH e; ROLLBACK"),
		"3000\n3000\n3000", "group $group: cursors do not see what is written later");
	is($cluster->query($group, "BEGIN; $both; CLOSE d; ROLLBACK; SELECT count(*) FROM items"),
		3000, "group $group: cursors that are not read");
}
is($cluster->query(1, <<'SQL'), '3000', 'nor do those of PL/pgSQL');
CREATE FUNCTION count_later() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE c refcursor; n bigint;
BEGIN
	OPEN c FOR SELECT count(*) FROM items;
	DELETE FROM items;
	FETCH c INTO n;
	RETURN n;
END $$;
BEGIN;
SELECT count_later();
ROLLBACK;
SQL
is($cluster->query(1, <<'SQL'), "3\n2\n1\n2\n2999\n3000", 'cursors go backwards');
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT id FROM items ORDER BY id;
MOVE 2 IN c; FETCH c; FETCH PRIOR FROM c; FETCH PRIOR FROM c; FETCH c;
MOVE ALL IN c; MOVE PRIOR IN c; FETCH PRIOR FROM c; FETCH c;
COMMIT;
SQL

# a cursor whose statement waits for a subquery begins with its first row
$cluster->query(1, <<'SQL');
CREATE TABLE wanted (x int, v vector(3));
INSERT INTO wanted VALUES (2990, '[1,2,3]');
CREATE FUNCTION by_loop(query text) RETURNS SETOF bigint LANGUAGE plpgsql AS $$
DECLARE r record;
BEGIN
	FOR r IN EXECUTE query LOOP
		RETURN NEXT r.id;
	END LOOP;
END $$;
CREATE FUNCTION by_cursor(query text) RETURNS SETOF bigint LANGUAGE plpgsql AS $$
DECLARE c refcursor; n bigint;
BEGIN
	OPEN c FOR EXECUTE query;
	LOOP
		FETCH c INTO n;
		EXIT WHEN NOT FOUND;
		RETURN NEXT n;
	END LOOP;
END $$;
CREATE FUNCTION by_static_loop() RETURNS SETOF bigint LANGUAGE plpgsql AS $$
DECLARE r record;
BEGIN
	FOR r IN SELECT id FROM items WHERE id > (SELECT max(x) FROM wanted) LOOP
		RETURN NEXT r.id;
	END LOOP;
END $$;
SQL
my %waiting = (
	'a number' => 'SELECT id FROM items WHERE id > (SELECT max(x) FROM wanted)',
	'two numbers' => 'SELECT id FROM items WHERE id BETWEEN (SELECT min(x) FROM wanted) AND (SELECT max(x) + 5 FROM wanted)',
	'the key' => 'SELECT id FROM items WHERE id = (SELECT max(x) FROM wanted)',
	'a vector' => q{SELECT id FROM items WHERE tenant = 1 ORDER BY embedding <-> (SELECT v FROM wanted), id});
foreach my $what (sort keys %waiting)
{
	my $query = $waiting{$what};
	my $expected = join "\n", sort split /\n/, $cluster->query(1, $query);
	my $quoted = '$q$' . $query . '$q$';
	isnt($expected, '', "a subquery that gives $what");
	foreach my $case (
		[ 'DECLARE', "BEGIN; DECLARE c CURSOR FOR $query; FETCH ALL FROM c; COMMIT" ],
		[ 'WITH HOLD', "DECLARE c CURSOR WITH HOLD FOR $query; FETCH ALL FROM c" ],
		[ 'FOR', "SELECT by_loop($quoted)" ],
		[ 'OPEN', "SELECT by_cursor($quoted)" ])
	{
		my ($how, $sql) = @$case;
		my ($rc, $out, $err) = $cluster->try(1, $sql);
		is(join("\n", sort split /\n/, $out) . $err, $expected, "$how: $what");
	}
}
is($cluster->query(1, 'SELECT count(*) FROM by_static_loop()'), 10, 'and in a loop over a plan that is kept');

# a nested loop asks again for each row, with what is known then
is($cluster->query(1, <<'SQL'), "1|2\n2|1\n3|0", 'rescans');
CREATE TABLE here (id int);
INSERT INTO here VALUES (1), (2), (3);
SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off;
SELECT h.id, count(i.id) FROM here h LEFT JOIN items i ON i.id > 2997 + h.id
	GROUP BY 1 ORDER BY 1;
SQL

# rows of an ordinary table that someone else changes meanwhile are looked at
# again, with the same rows of the distributed one
foreach my $case (
	[ 'UPDATE here SET id = here.id + i.tenant FROM items i WHERE i.id = 8 AND here.id > 2', '11' ],
	[ 'UPDATE here SET id = id + (SELECT tenant FROM items i WHERE i.id = 7 + h.k) FROM (SELECT 3 AS k) h WHERE id > 2', '13' ],
	[ 'DELETE FROM here USING items i WHERE i.id = here.id AND here.id = 3', '10' ],
	[ 'UPDATE here SET id = -1 WHERE id > 2 AND EXISTS (SELECT FROM items i WHERE i.tenant = here.id)', '10' ])
{
	my ($sql, $expected) = @$case;
	$cluster->query(1, 'TRUNCATE here; INSERT INTO here VALUES (3)');
	my $other = $cluster->node(1)->background_psql('postgres');
	$other->query_safe('BEGIN; UPDATE here SET id = 10');
	my $waiting = $cluster->node(1)->background_psql('postgres');
	$waiting->query_until(qr/^go$/m, "\\echo go\n$sql;\n");
	$cluster->node(1)->poll_query_until('postgres',
		q{SELECT count(*) = 1 FROM pg_locks WHERE NOT granted}) or die 'it does not wait';
	$other->query_safe('COMMIT');
	$other->quit;
	$waiting->query_safe('SELECT 1');
	$waiting->quit;
	is($cluster->query(1, 'SELECT id FROM here'), $expected, $sql);
}

# what a parallel worker cannot do
($rc, $out, $err) = $cluster->try(1, <<'SQL');
CREATE FUNCTION in_worker(int) RETURNS bigint LANGUAGE plpgsql PARALLEL SAFE
	AS 'BEGIN RETURN (SELECT count(*) FROM items); END';
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0; SET parallel_leader_participation = off;
INSERT INTO here SELECT generate_series(1, 1000);
SELECT count(*) FROM here WHERE in_worker(id) > 0;
SQL
like($err, qr/cannot reach other groups from a parallel worker.*HINT:  Mark functions/s,
	'a function that is not safe in a worker');

# EXPLAIN in its formats, and of a statement that one group executes
$cluster->query(1, <<'SQL');
CREATE FUNCTION explained(form text, query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text;
BEGIN
	EXECUTE format('EXPLAIN (ANALYZE, VERBOSE, BUFFERS, FORMAT %s) %s', form, query) INTO result;
	RETURN result;
END $$;
SQL
is($cluster->query(1, <<'SQL'), join(', ', map { "$_ $share[$_ - 1]" } $cluster->groups), 'EXPLAIN as JSON');
SELECT string_agg((g ->> 'Group') || ' ' || (g ->> 'Rows'), ', ' ORDER BY (g ->> 'Group')::int)
FROM jsonb_array_elements(explained('json', 'SELECT id FROM items')::jsonb #> '{0,Plan,Group Shares}') g;
SQL
is($cluster->query(1, "SELECT explained('xml', 'SELECT id FROM items ORDER BY id LIMIT 3')::xml IS DOCUMENT"), 't', 'as XML');
like($cluster->query(1, "SELECT explained('yaml', 'SELECT id FROM items ORDER BY id LIMIT 3')"),
	qr/Group Shares: *\n +- Group: \d\n +Host: .*\n +Left Out: false\n +Rows: \d\n/, 'as YAML');
my $owner = $cluster->query(1, q{SELECT vecdb.group_of('items', 7::bigint)});
like($cluster->query($_, "EXPLAIN DELETE FROM items WHERE id = 7"), qr/Fan-out.*\n +Groups: $owner$/, "the group of a write, from $_")
  foreach grep { $_ != $owner } $cluster->groups;

# errors of a group, of all, and within a savepoint
($rc, $out, $err) = $cluster->try(1, <<'SQL', on_error_stop => 0);
SELECT count(*) FROM items WHERE 1 / (id - 5) > 0;
SELECT count(*) FROM items WHERE embedding <-> '[1,2]' > 0;
SELECT count(*) FROM items;
BEGIN;
SAVEPOINT s;
SELECT count(*) FROM items WHERE 1 / (id - 5) > 0;
ROLLBACK TO s;
SELECT count(*) FROM items;
COMMIT;
SELECT count(*) FROM items;
SQL
like($err, qr/division by zero.*different vector dimensions/s, 'errors come through');
is($out, "3000\n3000\n3000", 'and are over then');

# rows written in a transaction are seen in it, and one snapshot is kept
is($cluster->query(1, <<'SQL'), "3010\n3000", 'own writes are seen, and undone');
BEGIN;
INSERT INTO items SELECT i, 1 FROM generate_series(5001, 5010) i;
SELECT count(*) FROM items;
ROLLBACK;
SELECT count(*) FROM items;
SQL

# values that are not what they should be
my $odd = q{
	CREATE TYPE odd;
	CREATE FUNCTION odd_in(cstring) RETURNS odd LANGUAGE internal IMMUTABLE STRICT AS 'int4in';
	CREATE FUNCTION odd_out(odd) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int4out';
	CREATE FUNCTION odd_recv(internal) RETURNS odd LANGUAGE internal IMMUTABLE STRICT AS 'int4recv';
	CREATE FUNCTION odd_send(odd) RETURNS bytea LANGUAGE internal IMMUTABLE STRICT AS '%s';
	CREATE TYPE odd (INPUT = odd_in, OUTPUT = odd_out, RECEIVE = odd_recv, SEND = odd_send, LIKE = int4);};
$cluster->query_own($_, sprintf($odd, $_ == 2 ? 'cash_send' : 'int4send')) foreach $cluster->groups;
$cluster->query(1, q{
	CREATE TABLE odds (id int PRIMARY KEY, o odd);
	SELECT vecdb.distribute_table('odds');
	INSERT INTO odds SELECT i, '7' FROM generate_series(1, 20) i});
($rc, $out, $err) = $cluster->try(1, 'SELECT o FROM odds');
like($err, qr/incorrect binary data format from another node in column 1.*HINT:  The nodes may have different versions of .*type odd/s,
	'a type that is another one elsewhere');

# settings go along
is($cluster->query(1, <<'SQL'), "3\n20", 'search settings reach the groups');
CREATE INDEX ON items USING hnsw (embedding vector_l2_ops);
SET enable_seqscan = off;
SET hnsw.ef_search = 1;
SET hnsw.iterative_scan = off;
SELECT count(*) FROM (SELECT id FROM items WHERE id > 0
	ORDER BY embedding <-> '[1,2,3]' LIMIT 20) s;
SET hnsw.ef_search = 100;
SELECT count(*) FROM (SELECT id FROM items WHERE id > 0
	ORDER BY embedding <-> '[1,2,3]' LIMIT 20) s;
SQL

# a group that is missing
$cluster->stop_node(3);
($rc, $out, $err) = $cluster->try(1, 'SELECT count(*) FROM items');
isnt($rc, 0, 'a group that is missing is an error');
like($err, qr/group 3/, 'which names it');
($rc, $out, $err) = $cluster->try(1, <<'SQL');
SET vecdb.partial_results = on;
SELECT count(*) FROM items;
SQL
is($out, $share[0] + $share[1], 'partial results, if asked for');
like($err, qr/WARNING:  result is partial: group 3 did not answer, 2 of 3 groups did/,
	'with a warning');
($rc, $out, $err) = $cluster->try(1, <<'SQL');
SET vecdb.partial_results = on;
SELECT count(*) FROM (SELECT id FROM items ORDER BY embedding <-> '[1,2,3]' LIMIT 7) s;
EXPLAIN (ANALYZE) SELECT id FROM items ORDER BY id LIMIT 3;
SQL
like($out, qr/^7\n.*Group 3: .* left out rows=0/s, 'also of searches');
($rc, $out, $err) = $cluster->try(1, <<'SQL');
SET vecdb.partial_results = on;
SELECT id FROM items WHERE tenant = 3 FOR UPDATE;
SQL
isnt($rc, 0, 'not of what locks rows');
$cluster->start_node(3);
is($cluster->query(1, 'SELECT count(*) FROM items'), 3000, 'and all is well again');

is_deeply([ $cluster->crashes ], [], 'no process has crashed');

done_testing();
