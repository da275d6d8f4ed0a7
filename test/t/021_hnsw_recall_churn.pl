# Does an index still find what it should after inserts, deletes, VACUUM and
# five rounds of all of them, for every type and metric?  And does it reuse
# its space?
#
# Thresholds: recall@10 of at least .95 at ef_search 100, and at 200 of .99 in
# 12 dimensions and .97 in 72, on uniform random data; five rounds may let the
# index grow by a half.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use VecdbRecall;

my $rows = 1200;
my $rounds = 5;

my $node = new_server('main');
$node->start;
prepare($node);

foreach my $kind (kinds())
{
	# as in 020
	my ($good, $best) = $kind->{dimensions} == 72 ? (0.86, 0.93) : (0.94, 0.98);
	my $table = create_table($node, $kind);
	my $size = sub {
		$node->safe_psql('postgres', "SELECT pg_relation_size('${table}_idx')");
	};

	# the first third is there when the index is made
	$node->safe_psql('postgres', insert_rows($kind, 1, $rows / 3));
	$node->safe_psql('postgres', create_index($kind));
	$node->safe_psql('postgres', insert_rows($kind, $rows / 3 + 1, $rows));
	uses_index($node, $kind);
	recall_is($node, $kind, 100, $good, 'after inserts');
	recall_is($node, $kind, 200, $best, 'after inserts');
	all_found($node, $kind, 'after inserts');
	index_is_whole($node, "${table}_idx", 'after inserts');

	# A third goes: dead rows are passed over, then taken out.
	$node->safe_psql('postgres', "DELETE FROM $table WHERE id % 3 = 0");
	recall_is($node, $kind, 200, $good, 'after deletes');
	$node->safe_psql('postgres', "VACUUM $table");
	recall_is($node, $kind, 100, $good, 'after VACUUM');
	recall_is($node, $kind, 200, $best, 'after VACUUM');
	all_found($node, $kind, 'after VACUUM');
	index_is_whole($node, "${table}_idx", 'after VACUUM');

	my $before = $size->();
	my $next = $rows + 1;
	for my $round (1 .. $rounds)
	{
		my $last = $next + $rows / 5 - 1;
		$node->safe_psql('postgres',
			"DELETE FROM $table WHERE id IN "
			  . "(SELECT id FROM $table ORDER BY hashint8(id + $round) LIMIT $rows / 5)");
		$node->safe_psql('postgres', "VACUUM $table");
		$node->safe_psql('postgres', insert_rows($kind, $next, $last));
		$next = $last + 1;
	}
	recall_is($node, $kind, 100, $good, "after $rounds rounds");
	recall_is($node, $kind, 200, $best, "after $rounds rounds");
	all_found($node, $kind, "after $rounds rounds");
	index_is_whole($node, "${table}_idx", "after $rounds rounds");
	cmp_ok($size->(), '<=', 1.5 * $before, "$table: space is reused");

	# nothing left, and then something
	$node->safe_psql('postgres', "DELETE FROM $table");
	$node->safe_psql('postgres', "VACUUM $table");
	index_is_whole($node, "${table}_idx", 'when it is empty');
	$node->safe_psql('postgres', insert_rows($kind, 1, 50));
	all_found($node, $kind, 'after all rows were replaced');
	index_is_whole($node, "${table}_idx", 'after all rows were replaced');
	$node->safe_psql('postgres', "DROP TABLE $table");
}

$node->stop;
done_testing();
