# Does check_cluster() see each kind of harm; do dumps bring tables back; and
# does a failure in one group leave nothing in the others?

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VecdbCluster;
use VecdbRecall qw(wait_until);

my $cluster = VecdbCluster->new('check', groups => 3,
	conf => 'vecdb.recovery_interval = 1s')->start;

sub on_node
{
	my ($group, $sql) = @_;
	return $cluster->query_own($group, $sql);
}

sub found
{
	my ($problem, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	like($cluster->query(2, 'SELECT * FROM vecdb.check_cluster()'), $problem, $what);
	return;
}

$cluster->query(1, q{
	CREATE TABLE items (id int PRIMARY KEY, t text);
	CREATE TABLE codes (c text PRIMARY KEY);
	INSERT INTO items SELECT i, i FROM generate_series(1, 100) i;
	INSERT INTO codes SELECT i FROM generate_series(1, 10) i;
	SELECT vecdb.distribute_table('items');
	SELECT vecdb.replicate_table('codes');});
found(qr/^$/, 'at first nothing is wrong');

my $away = $cluster->query(1, 'SELECT min(id) FROM items WHERE vecdb.group_of(\'items\', id) <> 3');
on_node(3, "INSERT INTO items VALUES ($away)");
found(qr/^rows\|public.items\|group 3: 1 rows of shards that this group does not own$/, 'a row where it does not belong');
on_node(3, "DELETE FROM items WHERE id = $away");
on_node(1, "UPDATE codes SET c = 'other' WHERE c = '1'");
found(qr/^reference\|public.codes\|group 2 differs.*\nreference\|public.codes\|group 3 differs/, 'copies that differ');
on_node(1, "UPDATE codes SET c = '1' WHERE c = 'other'");
on_node(2, 'ALTER TABLE items ADD CHECK (id > 0)');
found(qr/^table\|public.items\|group 2 differs/, 'tables that differ');
on_node(2, 'ALTER TABLE items DROP CONSTRAINT items_id_check');
on_node(3, 'CREATE INDEX extra ON items (t)');
found(qr/^table\|public.items\|group 3 differs/, 'indexes that differ');
on_node(3, 'DROP INDEX extra');
on_node(3, 'UPDATE vecdb.catalog_cluster SET epoch = epoch + 1');
found(qr/^catalog\|vecdb.catalog_cluster\|group 3 differs/, 'catalogs that differ');
on_node(3, 'UPDATE vecdb.catalog_cluster SET epoch = epoch - 1');
on_node(2, q{BEGIN; CREATE TABLE left_over (a int); PREPARE TRANSACTION 'vecdb_old'; });
on_node(1, q{INSERT INTO vecdb.catalog_commit VALUES ('vecdb_lost', now() - interval '1 hour')});
select(undef, undef, undef, 8);
found(qr/^transactions\|prepared\|group 2: prepared since [^|]*: vecdb_old$/m, 'prepared transactions');
found(qr/^transactions\|commit records\|group 1: not finished since [^|]*: vecdb_lost$/m, 'commit records');
on_node(1, q{DELETE FROM vecdb.catalog_commit WHERE gid = 'vecdb_lost'});
on_node(2, q{ROLLBACK PREPARED 'vecdb_old'});
$cluster->stop_node(3);
my ($rc, $out, $err) = $cluster->try(1, 'SELECT * FROM vecdb.check_cluster()');
like($out, qr/catalog\|vecdb.catalog_cluster\|group 3: /, 'a group that is down');

# With a group down nothing changes.
foreach my $sql ('CREATE INDEX ON items (t)', 'DROP TABLE items', 'CREATE TYPE t AS (a int)', 'TRUNCATE codes',
	'CREATE TABLE n (a int PRIMARY KEY); SELECT vecdb.distribute_table(\'n\')',
	'CREATE INDEX CONCURRENTLY slow ON items (t)')
{
	($rc, $out, $err) = $cluster->try(2, "BEGIN; SAVEPOINT s; ROLLBACK; $sql");
	isnt($rc, 0, "$sql fails");
	like($err, qr/group 3|:\d+/, 'and tells where');
}
is($_, '1|1|t', 'nothing is left')
	foreach map { on_node($_, q{SELECT (SELECT count(*) FROM pg_index WHERE indrelid = 'items'::regclass),
		(SELECT count(*) FROM vecdb.catalog_table WHERE kind = 'd'), to_regtype('t') IS NULL}) } 1, 2;
$cluster->start_node(3);
$cluster->query(2, 'DROP TABLE n');
wait_until(sub {
	($rc, $out, $err) = $cluster->try(2, 'SELECT count(*) FROM items');
	return $rc == 0;
});
is($out, 100, 'it comes back');

# A dump of one node holds all rows of the cluster; restored into a
# server that is in no cluster, it is an ordinary database.
my $file = PostgreSQL::Test::Utils::tempdir() . '/dump.sql';
$cluster->node(1)->command_ok(['pg_dump', '-f', $file, '-d', $cluster->node(1)->connstr('postgres')], 'pg_dump');
my $restored = PostgreSQL::Test::Cluster->new('restored');
$restored->init;
$restored->append_conf('postgresql.conf', "shared_preload_libraries = 'vecdb'\nmax_prepared_transactions = 10");
$restored->start;
$restored->command_ok(['psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $file, '-d', $restored->connstr('postgres')], 'restored');
is($restored->safe_psql('postgres', 'SELECT count(*) FROM vecdb.tables'), 2, 'with what the cluster was');
$restored->psql('postgres', 'SELECT vecdb.create_cluster()', stderr => \$err);
like($err, qr/is a copy of a member.*HINT/s, 'which it does not forget by itself');
$restored->safe_psql('postgres', 'SELECT vecdb.drop_cluster()');
is($restored->safe_psql('postgres', 'SELECT count(*) FROM vecdb.tables; SELECT count(*) FROM items; SELECT count(*) FROM codes'),
	"0\n100\n10", 'and with all rows of the cluster');
$restored->safe_psql('postgres', sprintf("SELECT vecdb.create_cluster('%s', %d); SELECT vecdb.distribute_table('items')",
	$restored->host, $restored->port));
pass('which can be distributed again');

done_testing();
