# Does the catalog of the cluster survive pg_dump, pg_restore and pg_upgrade?
# Does a copy know that it is one?
# Do standbys and prepared transactions tell sessions of a change?  Who may say
# that a session works for another node?

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VecdbRecall;
use VecdbUpgrade;

my $node = new_server('old', 'max_prepared_transactions = 5', allows_streaming => 1);
$node->start;
my $fill = q{
	CREATE EXTENSION vecdb;
	INSERT INTO vecdb.catalog_cluster (cluster_id, epoch) VALUES ('6b0c4f4e-3a5d-4d7e-9b56-0f8b6a6e2f01', 7);
	INSERT INTO vecdb.catalog_group VALUES (1), (2), (3);
	INSERT INTO vecdb.catalog_host VALUES ('one.example', 5432, 1), ('two.example', 5432, 2), ('three.example', 5433, 3);
	INSERT INTO vecdb.catalog_local (cluster_id, group_id)
		SELECT cluster_id, 2 FROM vecdb.catalog_cluster;
	INSERT INTO vecdb.catalog_colocation VALUES (1, 'hash', 256, '{bigint}'), (2, 'range', 2, '{text}'), (3, 'list', 2, '{text}');
	INSERT INTO vecdb.catalog_shard (colocation_id, shard, group_id)
		SELECT 1, s - 1, g FROM unnest(vecdb.plan_placement(256, '{1,2,3}')) WITH ORDINALITY p (g, s);
	INSERT INTO vecdb.catalog_shard (colocation_id, shard, group_id, low, high, list_values) VALUES
		(2, 0, 1, NULL, 'm', NULL), (2, 1, 3, 'm', NULL, NULL),
		(3, 0, 1, NULL, NULL, '{a,"b c"}'), (3, 1, 3, NULL, NULL, NULL);
	CREATE SCHEMA "Shop";
	CREATE TABLE "Shop"."Items" (id bigint PRIMARY KEY, v vector(3));
	CREATE TABLE by_range (name text);
	CREATE TABLE by_list (name text);
	CREATE TABLE reference (code text);
	INSERT INTO vecdb.catalog_table (schema_name, table_name, kind, colocation_id, key_columns) VALUES
		('Shop', 'Items', 'd', 1, '{id}'), ('public', 'by_range', 'd', 2, '{name}'),
		('public', 'by_list', 'd', 3, '{name}'), ('public', 'reference', 'r', NULL, NULL);
	INSERT INTO vecdb.catalog_commit (gid) VALUES ('vecdb_left');
};
$node->safe_psql('postgres', $fill);

# all that a session knows
my $knows = q{
	SELECT vecdb.cluster_id(), vecdb.local_group();
	SELECT md5(string_agg(vecdb.group_of('"Shop"."Items"', i) || ',', '' ORDER BY i)) FROM generate_series(1, 3000) i;
	SELECT vecdb.group_of('by_range', 'a'), vecdb.group_of('by_range', 'z'), vecdb.group_of('by_list', 'b c'), vecdb.group_of('by_list', 'c');
	SELECT * FROM vecdb.catalog_cluster;
	SELECT cluster_id, group_id FROM vecdb.catalog_local;
	SELECT group_id, state, is_local, hosts, shards FROM vecdb.groups ORDER BY 1;
	SELECT * FROM vecdb.nodes ORDER BY 1, 2;
	SELECT * FROM vecdb.tables ORDER BY table_name::text COLLATE "C";
	SELECT md5(string_agg(s::text, ';' ORDER BY s.table_name::text COLLATE "C", shard)) FROM vecdb.shards s};
my $expected = $node->safe_psql('postgres', $knows);
like($expected, qr/^6b0c4f4e-3a5d-4d7e-9b56-0f8b6a6e2f01\|2$/m, 'the node knows the cluster');

# a copy that nobody has said to be a member; then it is one
sub is_copy
{
	my ($copy, $db, $what) = @_;
	my ($result, $out, $err) = $copy->psql($db,
		'SELECT vecdb.cluster_id(), vecdb.local_group(); SELECT count(*) FROM vecdb.groups');
	is($out, "|\n3", "$what: it is no member");
	is(() = $err =~ /WARNING:  this database is a copy of group 2/g, 1, "$what: and says so once");
	is($copy->safe_psql($db, 'SELECT vecdb.resume_membership()'), '2', "$what: it becomes one");
	return;
}

# dumped and restored, or copied
$node->safe_psql('template1', 'CREATE DATABASE twin TEMPLATE postgres');
is_copy($node, 'twin', 'copied');
is($node->safe_psql('twin', $knows), $expected, 'copied: it knows the same');
$node->safe_psql('postgres', 'DROP DATABASE twin');
my $dir = PostgreSQL::Test::Utils::tempdir();
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
	is_copy($node, $db, $format);
	is($node->safe_psql($db, $knows), $expected, "$format: it knows the same");
	is($node->safe_psql($db, 'SELECT count(*) FROM vecdb.catalog_commit'), '0',
		"$format: commit records are those of the other database");
	$node->safe_psql('postgres', "DROP DATABASE $db");
}

# vecdb.internal
$node->safe_psql('postgres', q{
	CREATE ROLE node LOGIN; CREATE ROLE stranger LOGIN; CREATE ROLE owner NOLOGIN;
	ALTER TABLE vecdb.catalog_cluster OWNER TO owner; GRANT owner TO node});

# "t" or "f", or the error, of a session that says it is internal
sub internal
{
	my ($user, $setting, $sql) = @_;
	local $ENV{PGOPTIONS} = "-c vecdb.internal=$setting";
	my ($result, $out, $err) = $node->psql('postgres', $sql // 'SELECT vecdb.is_internal()',
		extra_params => [ '-U', $user ]);
	return $out . $err;
}
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');
foreach my $way ('loaded when needed', 'preloaded')
{
	is(internal($superuser, 'on'), 't', "$way: a superuser may be internal");
	is(internal('node', 'on'), 't', "$way: so may a member of the owner");
	is(internal('node', 'off'), 'f', "$way: but need not");
	like(internal('stranger', 'on'), qr/permission denied to work for another node/,
		"$way: nobody else may");
	is(internal('stranger', 'off'), 'f', "$way: nor is");
	is(internal('node', 'on', 'SET ROLE owner; SET search_path = pg_catalog; BEGIN; SELECT vecdb.is_internal()'),
		't', "$way: the role of the moment does not matter");
	like(internal('node', 'on', 'SET vecdb.internal = off; SELECT vecdb.is_internal()'),
		qr/cannot be set after connection start/,
		"$way: and it cannot be changed");
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'vecdb'");
	$node->restart;
}
is($node->safe_psql('postgres', 'SELECT vecdb.is_internal()'), 'f', 'it is off where nobody says so');
$node->safe_psql('postgres', "ALTER TABLE vecdb.catalog_cluster OWNER TO \"$superuser\"");

# a standby is told while its session is open
$node->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'copy', has_streaming => 1);
$standby->start;
is($standby->safe_psql('postgres', $knows), $expected, 'a standby knows the same');
my $ask = q{SELECT vecdb.group_of('by_range', 'a')};
my $move = q{UPDATE vecdb.catalog_shard SET group_id = 4 - group_id WHERE colocation_id = 2};

# asks, waits until another has changed the catalog, asks again
sub ask_around
{
	my ($asked, $change) = @_;
	my ($in, $out) = ('', '');
	my $timer = IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default);
	my $handle = IPC::Run::start(
		[ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $asked->connstr('postgres') ],
		'<', \$in, '>', \$out, $timer);
	$in .= "$ask;\n";
	$handle->pump until $out =~ /\n/;
	$change->();
	$in .= "SELECT 1;\n$ask;\n\\q\n";
	$handle->finish;
	$out =~ s/\n1\n/\n/;
	return join ' ', split /\n/, $out;
}
is(ask_around($standby, sub {
	$node->safe_psql('postgres', $move);
	$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
}), '1 3', 'a session on a standby notices a change');

# a prepared transaction: not before its commit
is(ask_around($node, sub {
	$node->safe_psql('postgres', "BEGIN; $move; PREPARE TRANSACTION 'moved'");
}), '3 3', 'a prepared change is not there');
is(ask_around($node, sub { $node->safe_psql('postgres', q{COMMIT PREPARED 'moved'}) }),
	'3 1', 'a session notices that it was committed');
is($node->safe_psql('postgres', "BEGIN; $ask; $move; $ask; PREPARE TRANSACTION 'back'; $ask; ROLLBACK PREPARED 'back'; $ask"),
	"1\n3\n1\n1", 'its own session does not see it in between');
$standby->stop;

# pg_upgrade keeps all
$node->stop;
my $new = upgrade_server($node, $dir, "shared_preload_libraries = 'vecdb'");
is_copy($new, 'postgres', 'pg_upgrade');
is($new->safe_psql('postgres', $knows), $expected, 'the upgraded server knows the same');
$new->safe_psql('postgres', $move);
is($new->safe_psql('postgres', $ask), '3', 'its triggers work');

$new->stop;
done_testing();
