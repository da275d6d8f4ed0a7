# Do searches find the same rows when nothing is cached, whatever the kernel is
# asked to read ahead?

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use VecdbRecall;

# room for hardly any page of the index
my $node = new_server('main', 'shared_buffers = 1MB');
$node->start;
prepare($node);
$node->safe_psql('postgres', q{
	CREATE TABLE items (id int PRIMARY KEY, v vector(256));
	INSERT INTO items SELECT i, test_vector(i, 256) FROM generate_series(1, 6000) i;
	CREATE INDEX items_idx ON items USING hnsw (v vector_l2_ops);
	CREATE INDEX plain_idx ON items USING hnsw (v vector_ip_ops) WITH (codes = none)});
my @files = map { $node->data_dir . '/' . $node->safe_psql('postgres', "SELECT pg_relation_filepath('$_')") }
  qw(items items_idx plain_idx);

# has the kernel forget the files of a server that does not run
sub forget
{
	system_or_bail('sync');
	system_or_bail('dd', 'status=none', "of=$_", 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0') foreach @files;
	return;
}

sub searches
{
	my ($settings) = @_;
	return $node->safe_psql('postgres', join(';', "SET enable_seqscan = off; $settings", map { my $operator = $_;
		map { "SELECT string_agg(id::text, ' ') FROM (SELECT id FROM items ORDER BY v $operator test_vector($_, 256) LIMIT 10) s" }
		  7001 .. 7008 } '<->', '<#>'));
}

my $expected = searches('');
is(scalar(my @lines = split /\n/, $expected), 16, 'rows were found');
foreach my $settings ('', 'SET effective_cache_size = 8', 'SET effective_io_concurrency = 0')
{
	$node->stop;
	forget();
	$node->start;
	is(searches($settings), $expected, 'the same with nothing cached' . ($settings && ": $settings"));
}
done_testing();
