# Do indexes and values survive pg_dump and pg_restore, COPY in binary, and
# pg_upgrade, which keeps the files of an index?

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VecdbRecall;
use VecdbUpgrade;

my $node = new_server('old');
$node->start;
prepare($node);
my $dir = PostgreSQL::Test::Utils::tempdir();
my @kinds = (kinds(), kind('wide_l2'));

foreach my $kind (@kinds)
{
	my $table = create_table($node, $kind);
	$node->safe_psql('postgres', insert_rows($kind, 1, 50));
	$node->safe_psql('postgres', create_index($kind, 'm = 8, ef_construction = 40'));
	$node->safe_psql('postgres', insert_rows($kind, 51, 100));
	$node->safe_psql('postgres', "INSERT INTO $table VALUES (101, NULL);
		DELETE FROM $table WHERE id % 10 = 0");

	# COPY in binary
	my $file = "$dir/$table.copy";
	$node->safe_psql('postgres', "COPY $table TO '$file' (FORMAT binary);
		CREATE TABLE ${table}_copy (LIKE $table);
		COPY ${table}_copy FROM '$file' (FORMAT binary)");
	is($node->safe_psql('postgres', "SELECT count(*) FROM $table
			JOIN ${table}_copy c USING (id) WHERE $table.v IS NOT DISTINCT FROM c.v"),
		'91', "$table: COPY in binary keeps all values");
	$node->safe_psql('postgres', "DROP TABLE ${table}_copy");
}

# the answers of all indexes of a server; graphs differ, so that only searches
# that look at all rows have to agree
sub answers
{
	my ($node, $db) = @_;
	return join "\n", map {
		$node->safe_psql($db,
			"SET enable_seqscan = off; SET hnsw.ef_search = 200; SELECT '$_->{name}', id FROM $_->{name} ORDER BY v "
			  . "$_->{operator} (SELECT test_$_->{type}(-1, $_->{dimensions})), id LIMIT 5")
	} @kinds;
}
my $definitions = q{SELECT pg_get_indexdef(indexrelid) FROM pg_index
	JOIN pg_class c ON c.oid = indexrelid JOIN pg_am a ON a.oid = relam
	WHERE amname = 'hnsw' ORDER BY 1};

foreach my $format ('custom', 'plain')
{
	my $db = "restored_$format";
	$node->safe_psql('postgres', "CREATE DATABASE $db");
	$node->command_ok([ 'pg_dump', "--format=$format", '-f', "$dir/$format",
			'-d', $node->connstr('postgres') ], "pg_dump, $format");
	$node->command_ok(
		$format eq 'custom'
		? [ 'pg_restore', '--exit-on-error', '-d', $node->connstr($db), "$dir/$format" ]
		: [ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/$format",
			'-d', $node->connstr($db) ],
		"restore, $format");
	is($node->safe_psql($db, $definitions),
		$node->safe_psql('postgres', $definitions), "$format: the same indexes");
	is(answers($node, $db), answers($node, 'postgres'), "$format: the same answers");
}
$node->safe_psql('postgres', "DROP DATABASE restored_$_") foreach qw(custom plain);

# pg_upgrade: from this version to the same, the way of any other
my $expected = answers($node, 'postgres');
my $files = q{SELECT relname, pg_relation_size(c.oid), relfilenode
	FROM pg_class c JOIN pg_am a ON a.oid = relam WHERE amname = 'hnsw' ORDER BY 1};
my $old_files = $node->safe_psql('postgres', $files);
$node->stop;
my $new = upgrade_server($node, $dir);
my $new_files = $new->safe_psql('postgres', $files);
is($new_files, $old_files, 'the files of the indexes were kept');
is(answers($new, 'postgres'), $expected, 'and give the same answers');
foreach my $kind (@kinds)
{
	all_found($new, $kind, 'after pg_upgrade');
	index_is_whole($new, "$kind->{name}_idx", 'after pg_upgrade');
	$new->safe_psql('postgres', insert_rows($kind, 201, 220));
	$new->safe_psql('postgres', "VACUUM $kind->{name}");
	all_found($new, $kind, 'after writes to the upgraded server');
}

$new->stop;
done_testing();
