# Does vecdb.clones say how far a copy of a server is, while it is made?

use strict;
use warnings;

use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('clones');
$node->init(allows_streaming => 1);
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION vecdb');
is($node->safe_psql('postgres', 'SELECT count(*) FROM vecdb.clones'), 0, 'no copy is made');

# so slow that it is not at its end before it was seen
my $output = '';
my $copy = IPC::Run::start(
	[ 'pg_basebackup', '-d', $node->connstr('postgres') . ' application_name=new_host',
		'-D', PostgreSQL::Test::Utils::tempdir() . '/copy',
		'--checkpoint=fast', '--wal-method=none', '--no-sync', '--max-rate=256k' ],
	'<', \undef, '>&', \$output);
ok($node->poll_query_until('postgres', q{
	SELECT count(*) = 1 FROM vecdb.clones
	WHERE application_name = 'new_host' AND phase = 'streaming database files'
		AND copied > 0 AND copied < total AND percent > 0 AND percent < 100
		AND tablespaces_copied = 0 AND tablespaces_total = 1
		AND began > now() - interval '10 minutes'}),
	'a copy is made, and some of it is there') or diag($output);
my $before = $node->safe_psql('postgres', 'SELECT copied FROM vecdb.clones');
ok($node->poll_query_until('postgres', "SELECT copied > $before FROM vecdb.clones"), '... and more of it later');

$copy->kill_kill;
ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM vecdb.clones'), 'it is given up, and gone');

done_testing();
