# Does a query get all the rows it asks for, however few pass its filter and
# however it is run: prepared, by cursors, in loops, with NULL?

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use VecdbRecall;

my $rows = 5000;
my $node = new_server('main');
$node->start;
prepare($node);

# a query after settings: only the index will do
sub ask
{
	my ($sql, $settings) = @_;
	$settings //= '';
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($rc, $out, $err) = $node->psql('postgres',
		"SET enable_seqscan = off; SET enable_sort = off; SET enable_bitmapscan = off; "
		  . "SET plan_cache_mode = auto; $settings; $sql");
	is($rc, 0, 'no error') or diag($err);
	return $out;
}

foreach my $kind (map { kind($_) } qw(vector_l2 coded_l2 coded_ip coded_half_cosine
		halfvec_l1 sparsevec_cosine bit_hamming))
{
	my $table = $kind->{name};
	my $value = sub { "test_$kind->{type}($_[0], $kind->{dimensions})" };
	$node->safe_psql('postgres',
		"CREATE TABLE $table (id bigint, v $kind->{type}($kind->{dimensions}))");
	$node->safe_psql('postgres', insert_rows($kind, 1, $rows));
	$node->safe_psql('postgres', create_index($kind));
	my $order = "ORDER BY v $kind->{operator} " . $value->(-1);
	uses_index($node, $kind);

	# the farthest row of all
	my $farthest = $node->safe_psql('postgres', "SELECT id FROM $table
		ORDER BY (v $kind->{operator} " . $value->(-1) . ") + 0 DESC LIMIT 1");
	my $filtered = "SELECT id FROM $table WHERE id = $farthest $order LIMIT 1";
	is(ask($filtered), $farthest, "$table: a filter that only the farthest row passes");
	is(ask($filtered, 'SET hnsw.iterative_scan = off'), '',
		"$table: not without iterative scan");
	is(ask($filtered, 'SET hnsw.max_scan_tuples = 1'), $farthest,
		"$table: however few tuples may be visited");
	is(ask($filtered, q{SET work_mem = '64kB'}), $farthest,
		"$table: however little memory there is");

	# strict_order: nothing comes too late; relaxed_order: nothing is lost
	my $distance = "v $kind->{operator} " . $value->(-1);
	my $unordered = "SELECT count(*) FROM (SELECT d, lag(d) OVER () AS before FROM "
	  . "(SELECT $distance AS d FROM $table WHERE id % 10 = 0 $order LIMIT 200) s) t "
	  . "WHERE d < before - 1e-6";
	is(ask($unordered, 'SET hnsw.iterative_scan = strict_order'), '0',
		"$table: strict_order is in order");
	is(ask("SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM $table $order LIMIT 1000000) s"),
		"$rows|$rows", "$table: LIMIT beyond the rows there are");
	is(ask("SELECT count(*) FROM (SELECT id FROM $table $order LIMIT 10) s",
			'SET hnsw.iterative_scan = off; SET hnsw.ef_search = 1') >= 1,
		1, "$table: ef_search of one");
	is(ask("SELECT count(*) FROM (SELECT id FROM $table $order LIMIT 300) s"),
		'300', "$table: LIMIT beyond ef_search");

	# NULL: every row, in any order; rows that are NULL are not indexed
	is(ask("SELECT count(*) FROM (SELECT id FROM $table ORDER BY v "
				. "$kind->{operator} NULL::$kind->{type} LIMIT 10) s"),
		'10', "$table: a query of NULL");
	is(ask("SELECT count(DISTINCT id) FROM (SELECT id FROM $table ORDER BY v "
				. "$kind->{operator} (SELECT NULL::$kind->{type})) s"),
		$rows, "$table: all rows for a query of NULL");

	# prepared, with a plan for all values
	my $expected = ask("SELECT id FROM $table $order LIMIT 5");
	is( ask("PREPARE near($kind->{type}, int) AS SELECT id FROM $table "
			  . "ORDER BY v $kind->{operator} \$1 LIMIT \$2; "
			  . 'EXECUTE near(' . $value->(-1) . ', 5)',
			'SET plan_cache_mode = force_generic_plan'),
		$expected, "$table: prepared");
	is( ask("PREPARE near($kind->{type}) AS SELECT count(*) FROM (SELECT id FROM $table "
			  . "ORDER BY v $kind->{operator} \$1 LIMIT 7) s; EXECUTE near(NULL)",
			'SET plan_cache_mode = force_generic_plan'),
		'7', "$table: prepared, with NULL");

	# cursors
	is( ask("BEGIN; DECLARE c CURSOR FOR SELECT id FROM $table $order; "
			  . 'FETCH 2 FROM c; FETCH 3 FROM c; COMMIT'),
		$expected, "$table: a cursor");
	is( ask("BEGIN; DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT id FROM $table $order LIMIT 5; "
			  . "COMMIT; DELETE FROM $table WHERE id = ANY (ARRAY(SELECT id FROM $table $order LIMIT 5)); "
			  . "FETCH ALL FROM c"),
		$expected, "$table: a cursor that outlives its transaction, and the rows");
	$node->safe_psql('postgres',
		"INSERT INTO $table SELECT i, " . $value->('i')
		  . " FROM unnest(string_to_array('" . join(',', split /\n/, $expected) . "', ',')::bigint[]) i");
	is( ask("BEGIN; DECLARE c SCROLL CURSOR FOR SELECT id FROM $table $order LIMIT 5; "
			  . 'FETCH LAST FROM c; MOVE ABSOLUTE 0 FROM c; FETCH ALL FROM c; COMMIT'),
		(split /\n/, $expected)[-1] . "\n$expected", "$table: a cursor that goes back");

	# in a loop, from the row outside
	is( ask("SELECT count(*) FROM (SELECT i, " . $value->('-i') . " AS q "
			  . "FROM generate_series(1, 50) i OFFSET 0) s, LATERAL "
			  . "(SELECT id FROM $table ORDER BY v $kind->{operator} q LIMIT 20) n"),
		'1000', "$table: LATERAL");
	is( ask("SELECT n.id FROM (SELECT " . $value->('-i') . " AS q "
			  . "FROM generate_series(1, 1) i OFFSET 0) s, LATERAL "
			  . "(SELECT id FROM $table ORDER BY v $kind->{operator} q LIMIT 5) n"),
		$expected, "$table: LATERAL finds the same");

	# no row twice, none that is gone
	$node->safe_psql('postgres', "UPDATE $table SET v = " . $value->('id + 100000')
		  . ' WHERE id % 5 = 0');
	$node->safe_psql('postgres', "DELETE FROM $table WHERE id % 7 = 0");
	all_found($node, $kind, 'after updates and deletes, before VACUUM');
	is(ask("SELECT count(*) FROM (SELECT id FROM $table $order LIMIT 1000) s"),
		'1000', "$table: dead rows do not count");
	$node->safe_psql('postgres', "DROP TABLE $table");
}

$node->stop;
done_testing();
