# Does an index find what it should in data that is hard for a graph: equal
# rows by the thousand or all of them, rows in order, far clusters, values near
# to all others, values of all lengths?  And does the graph lead to every row?
#
# For serial and parallel builds and single insertions.  Thresholds are of the
# mean recall@10 over 40 queries, half of them rows and half new ones of the
# same kind, at ef_search 40 and 100; 200 rows where those are in order.
#
# When rows are in order, a process of a parallel build that is stopped in the
# middle of a row leaves a gap: those that others insert meanwhile do not learn
# of it.  A narrow search may end there, so less is asked of it.
#
# A build leads to every vertex, except by inner product, which has no near
# ones for most (hnsw_connect.c).  Insertions do not promise that: one vertex in
# 25 may be out of reach for a search that does not sweep.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use VecdbData;
use VecdbRecall;

my $node = new_server('main', q{
	shared_preload_libraries = 'vecdb'
	max_parallel_workers = 4});
$node->start;
prepare($node);
prepare_data($node);

my %operators = (l2 => '<->', ip => '<#>', cosine => '<=>');
my %ways = (
	'built' => 'SET max_parallel_maintenance_workers = 0;',
	'built in parallel' => 'SET max_parallel_maintenance_workers = 2;');

# kind, dimensions (64 are coded), rows, metrics, least recall, slack of what
# counts as near: lengths have hundreds of equally far rows but for rounding
foreach my $case (
	[ 'twenty', 8, 4500, 'l2', 0.98, 0.99 ],
	[ 'twenty', 64, 4500, 'cosine', 0.80, 0.88 ],
	[ 'equal', 8, 10000, 'ip', 1, 1 ],
	[ 'equal', 64, 10000, 'l2', 1, 1 ],
	[ 'line', 8, 2000, 'l2', 0.98, 0.995 ],
	[ 'arc', 64, 2000, 'l2 cosine', 0.98, 0.995 ],
	[ 'two', 8, 2000, 'l2', 0.98, 0.995 ],
	[ 'two', 64, 2000, 'l2', 0.80, 0.88 ],
	[ 'hubs', 8, 2000, 'l2 ip', 0.95, 0.98 ],
	[ 'hubs', 64, 2000, 'cosine', 0.72, 0.85 ],
	[ 'lengths', 8, 2000, 'l2', 0.95, 0.95, 0.02 ],
	[ 'lengths', 64, 2000, 'cosine', 0.72, 0.85 ])
{
	my ($kind, $dimensions, $rows, $metrics, $least40, $least100, $slack) = @$case;
	my $type = "vector($dimensions)";
	my $is_ordered = $kind =~ /^(line|arc)$/;
	my $count = $is_ordered ? 200 : 40;
	$node->safe_psql('postgres', "
		CREATE TABLE source AS SELECT i AS id, test_made('$kind', i, $dimensions, $rows)::$type AS v
			FROM generate_series(1, $rows) i;
		CREATE TABLE queries AS SELECT i AS id, test_made('$kind', j, $dimensions, $rows)::$type AS q
			FROM generate_series(1, $count) i, LATERAL (SELECT CASE WHEN i % 2 = 0 OR '$kind' IN ('line', 'arc', 'two')
				THEN i * $rows / $count ELSE $rows + i * 997 END AS j) s;");
	foreach my $metric (split / /, $metrics)
	{
		my $operator = $operators{$metric};
		my $table = "${kind}_${dimensions}_$metric";
		my $check = sub {
			my ($way) = @_;
			my ($at40, $at100) = recalls($node, $table, 'queries', $operator, [ 40, 100 ], $slack);
			my $unreached = unreached($node, "${table}_idx");
			my ($least, $more) = $is_ordered && $way eq 'built in parallel' ? (0.85, 0.85) : ($least40, $least100);
			note("$table $way: recall $at40 $at100, unreached $unreached");
			cmp_ok($at40, '>=', $least, "$table: recall at ef_search 40, $way");
			cmp_ok($at100, '>=', $more, "$table: recall at ef_search 100, $way");
			index_is_whole($node, "${table}_idx", $way);
			if ($metric ne 'ip' && $way eq 'inserted')
			{
				cmp_ok($unreached, '<=', $rows / 25, "$table: most can be reached, $way");
			}
			elsif ($metric ne 'ip')
			{
				is($unreached, '0', "$table: all can be reached, $way");
			}
			# only where a vertex that cannot be reached is one row
			reachable_is($node, $table, $operator, $rows - $unreached,
				"(SELECT q FROM queries WHERE id % ($count / 4) = 0) s", $way)
			  if $unreached == 0 || $kind ne 'twenty';
			is($node->safe_psql('postgres', "SET enable_seqscan = off; SET enable_sort = off; SELECT count(DISTINCT id) FROM "
					  . "(SELECT id FROM $table ORDER BY v $operator (SELECT q FROM queries WHERE id = 2)) s"),
				$rows, "$table: every row is found at last, $way");
		};

		$node->safe_psql('postgres', "CREATE TABLE $table AS SELECT * FROM source ORDER BY id");
		foreach my $way (sort keys %ways)
		{
			$node->safe_psql('postgres', "$ways{$way} CREATE INDEX ${table}_idx ON $table USING hnsw (v vector_${metric}_ops)");
			$check->($way);
			$node->safe_psql('postgres', "DROP INDEX ${table}_idx");
		}
		$node->safe_psql('postgres', "TRUNCATE $table;
			CREATE INDEX ${table}_idx ON $table USING hnsw (v vector_${metric}_ops);
			INSERT INTO $table SELECT * FROM source ORDER BY id");
		$check->('inserted');
		$node->safe_psql('postgres', "DROP TABLE $table");
	}
	$node->safe_psql('postgres', 'DROP TABLE source, queries');
}

# Runs of near values, and few edges: layer 0 of a parallel build falls into
# parts that do not lead to each other both ways.
$node->safe_psql('postgres', "
	CREATE TABLE steps AS SELECT i AS id, test_made('steps', i, 3, 0)::vector(3) AS v
		FROM generate_series(1, 25000) i;
	CREATE TABLE queries AS SELECT i AS id, ARRAY[i * 14, i * 50 % 171, i * 77 % 169]::vector AS q
		FROM generate_series(1, 12) i;");
for my $build (1 .. 3)
{
	$node->safe_psql('postgres', "$ways{'built in parallel'} DROP INDEX IF EXISTS steps_idx;
		CREATE INDEX steps_idx ON steps USING hnsw (v vector_l2_ops) WITH (m = 8, ef_construction = 16)");
	is(unreached($node, 'steps_idx'), '0', "steps: all can be reached, build $build");
	reachable_is($node, 'steps', '<->', 25000, 'queries', "build $build");
}

$node->stop;
done_testing();
