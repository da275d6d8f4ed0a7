# Do indexes work on every kind of table and by every command: unlogged (after
# a crash too), temporary, partitioned, on expressions, partial, made and
# remade concurrently with inserts?

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use VecdbRecall;

my $node = new_server('main', 'max_parallel_workers = 4');
$node->start;
prepare($node);
my $dir = PostgreSQL::Test::Utils::tempdir();
my @kinds = map { kind($_) } qw(coded_l2 sparsevec_l1 wide_l2);

# unlogged: kept over a restart, emptied by a crash, and of use afterwards
foreach my $kind (@kinds)
{
	my $table = create_table($node, $kind, prefix => 'UNLOGGED');
	$node->safe_psql('postgres', create_index($kind));
	$node->safe_psql('postgres', insert_rows($kind, 1, 50));
}
$node->restart;
all_found($node, $_, 'unlogged, after a restart') foreach @kinds;
$node->stop('immediate');
$node->start;
foreach my $kind (@kinds)
{
	my $table = $kind->{name};
	is($node->safe_psql('postgres', "SELECT count(*) FROM $table"), '0',
		"$table: unlogged, empty after a crash");
	uses_index($node, $kind);
	all_found($node, $kind, 'unlogged and empty after a crash');
	index_is_whole($node, "${table}_idx", 'after a crash');
	$node->safe_psql('postgres', insert_rows($kind, 1, 60));
	all_found($node, $kind, 'inserted after the crash');

	# logged from now on: that writes a new index
	$node->safe_psql('postgres', "ALTER TABLE $table SET LOGGED");
	$node->stop('immediate');
	$node->start;
	is($node->safe_psql('postgres', "SELECT count(*) FROM $table"), '60',
		"$table: logged, kept by a crash");
	all_found($node, $kind, 'logged, after a crash');
	index_is_whole($node, "${table}_idx", 'logged, after a crash');
	$node->safe_psql('postgres', "DROP TABLE $table");
}

# temporary, and its WAL: none
my $kind = kind('coded_l2');
is($node->safe_psql('postgres', "
		CREATE TEMP TABLE t (id int, v vector(72)) ON COMMIT DELETE ROWS;
		CREATE INDEX t_idx ON t USING hnsw (v vector_l2_ops);
		SET enable_seqscan = off;
		BEGIN;
		INSERT INTO t SELECT i, test_vector(i, 72) FROM generate_series(1, 100) i;
		SELECT id FROM t ORDER BY v <-> test_vector(7, 72) LIMIT 1;
		COMMIT;
		SELECT count(*) FROM (SELECT id FROM t ORDER BY v <-> test_vector(7, 72)) s;
		INSERT INTO t VALUES (8, test_vector(8, 72));
		VACUUM t;"),
	"7\n0", 'temporary table');

# A table made, filled and indexed in one transaction, and one that is undone
$node->safe_psql('postgres', "
	BEGIN;
	CREATE TABLE same (id bigint, v vector(72));
	CREATE INDEX same_idx ON same USING hnsw (v vector_l2_ops);
	INSERT INTO same SELECT i, test_vector(i, 72) FROM generate_series(1, 100) i;
	SAVEPOINT s;
	INSERT INTO same SELECT i, test_vector(i, 72) FROM generate_series(101, 200) i;
	ROLLBACK TO s;
	TRUNCATE same;
	INSERT INTO same SELECT i, test_vector(i, 72) FROM generate_series(1, 50) i;
	COMMIT;");
$node->stop('immediate');
$node->start;
all_found($node, $kind, 'made in one transaction, after a crash', 'same');
index_is_whole($node, 'same_idx', 'made in one transaction, after a crash');

# partitions: one index for all, answers in order across them
$node->safe_psql('postgres', "
	CREATE TABLE parts (id bigint, v vector(72)) PARTITION BY RANGE (id);
	CREATE TABLE parts_a PARTITION OF parts FOR VALUES FROM (0) TO (200);
	CREATE INDEX parts_idx ON parts USING hnsw (v vector_l2_ops);
	CREATE TABLE parts_b PARTITION OF parts FOR VALUES FROM (200) TO (400);
	CREATE TABLE parts_c (id bigint, v vector(72));
	ALTER TABLE parts ATTACH PARTITION parts_c FOR VALUES FROM (400) TO (1000);
	INSERT INTO parts SELECT i, test_vector(i, 72) FROM generate_series(0, 599) i;");
my $query = 'id FROM parts ORDER BY v <-> test_vector(-1, 72) LIMIT 20';
my $plan = $node->safe_psql('postgres',
	"SET enable_seqscan = off; SET enable_sort = off; EXPLAIN (COSTS off) SELECT $query");
like($plan, qr/Merge Append/, 'partitions are merged');
is(scalar(() = $plan =~ /Index Scan using/g), 3, 'each by its index');
is( $node->safe_psql('postgres',
		"SET enable_seqscan = off; SET enable_sort = off; SET hnsw.ef_search = 200; SELECT $query"),
	$node->safe_psql('postgres', "SET enable_indexscan = off; SELECT $query"),
	'and their rows are the nearest in order');

# expressions and conditions
$node->safe_psql('postgres', "
	CREATE TABLE expr (id bigint, v vector(100), kept bool);
	INSERT INTO expr SELECT i, test_vector(i, 100), i % 4 = 0 FROM generate_series(1, 1000) i;
	CREATE INDEX expr_half ON expr USING hnsw ((v::halfvec(100)) halfvec_cosine_ops);
	CREATE INDEX expr_bits ON expr USING hnsw ((binary_quantize(v)::bit(100)) bit_hamming_ops);
	CREATE INDEX expr_part ON expr USING hnsw (v vector_ip_ops) WHERE kept;
	INSERT INTO expr SELECT i, test_vector(i, 100), i % 4 = 0 FROM generate_series(1001, 1200) i;");
foreach my $case (
	[ 'expr_half', '', 'v::halfvec(100) <=> test_vector(17, 100)::halfvec(100)', 17 ],
	[ 'expr_bits', '',
		'binary_quantize(v)::bit(100) <~> binary_quantize(test_vector(1117, 100))', 1117 ],
	[ 'expr_part', 'WHERE kept', 'v <#> test_vector(1120, 100)', 1120 ])
{
	my ($index, $where, $order, $nearest) = @$case;
	my $sql = "FROM expr $where ORDER BY $order LIMIT 10";
	like($node->safe_psql('postgres',
			"SET enable_seqscan = off; EXPLAIN (COSTS off) SELECT id $sql"),
		qr/Index Scan using $index/, "$index: used");
	is((split /\n/, $node->safe_psql('postgres',
				"SET enable_seqscan = off; SELECT id $sql"))[0],
		$nearest, "$index: finds the nearest");
	index_is_whole($node, $index, 'on an expression or a part');
}
is($node->safe_psql('postgres', "SET enable_seqscan = off;
		SELECT count(*) FROM (SELECT FROM expr WHERE kept ORDER BY v <#> test_vector(1, 100)) s"),
	'300', 'a partial index has all its rows');

# CONCURRENTLY, with inserts and deletes all the time
foreach my $name (qw(coded_cosine bit_hamming))
{
	my $kind = kind($name);
	create_table($node, $kind);
	$node->safe_psql('postgres', insert_rows($kind, 1, 2000));
	append_to_file("$dir/$name.sql", qq{
\\set id random(10000, 2000000000)
INSERT INTO $name VALUES (:id, test_$kind->{type}(:id, $kind->{dimensions}))
	ON CONFLICT DO NOTHING;
DELETE FROM $name WHERE id = (SELECT min(id) FROM $name WHERE id > :id / 1000000);
});
	foreach my $command (
		"CREATE INDEX CONCURRENTLY ${name}_idx ON $name USING hnsw (v $kind->{opclass})",
		"SET max_parallel_maintenance_workers = 2; REINDEX INDEX ${name}_idx",
		"REINDEX INDEX CONCURRENTLY ${name}_idx",
		"VACUUM FULL $name")
	{
		my $writer = start_command('pgbench', '-n', '-c', '2', '-T', '2',
			'--random-seed=' . seed(), '-f', "$dir/$name.sql",
			$node->connstr('postgres'));
		$node->safe_psql("postgres", $command);
		my ($rc, $out) = finish_command($writer);
		is($rc, 0, "$name: writers went on") or diag($out);
		is($node->safe_psql('postgres', "SELECT string_agg(relname, ' ')
				FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid
				WHERE indrelid = '$name'::regclass AND indisvalid AND indisready
				AND relname NOT LIKE '%pkey'"),
			"${name}_idx", "$name: one valid index after $command");
		all_found($node, $kind, "after $command");
		index_is_whole($node, "${name}_idx", "after $command");
	}
}

$node->stop;
done_testing();
