# Is each thing that cannot be done to a cluster refused with an error that
# says what and why, before anything has changed anywhere?

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VecdbCluster;
use VecdbRecall qw(wait_until);

my $cluster = VecdbCluster->new('bad', groups => 2)->start;
$cluster->query(1, q{
	CREATE TABLE items (id bigint PRIMARY KEY, title text);
	SELECT vecdb.distribute_table('items');
	INSERT INTO items SELECT i, 'item ' || i FROM generate_series(1, 100) i;});

# all that the groups know of the cluster, but for what differs between them
sub catalog
{
	return join "\n", map { $cluster->query($_, q{
		SELECT * FROM vecdb.catalog_cluster;
		SELECT * FROM vecdb.catalog_group ORDER BY 1;
		SELECT * FROM vecdb.catalog_host ORDER BY 1, 2;
		SELECT * FROM vecdb.catalog_table ORDER BY 1, 2;
		SELECT count(*), sum(group_id) FROM vecdb.catalog_shard;
		SELECT group_id FROM vecdb.catalog_local;
		SELECT count(*) FROM items;}) } $cluster->groups;
}

# Is it refused by group 1, with SQLSTATE and message, and nothing changed?
sub refused_unchanged
{
	my ($sql, $state, $message, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $before = catalog();
	my ($rc, $out, $err) = $cluster->try(1, "\\set VERBOSITY verbose\n$sql");
	like($rc ? $err : "no error: $out", qr/ERROR:  $state: .*$message/s, $what);
	is(catalog(), $before, "$what: nothing has changed");
	return $err;
}

# a server that is in no cluster: name, settings
sub server
{
	my ($name, $conf, $extension) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init(allows_streaming => 'logical');
	$node->append_conf('postgresql.conf',
		"fsync = off\nmax_connections = 20\nmax_prepared_transactions = 20\n$conf");
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION vecdb') unless defined $extension;
	return $node;
}

sub add
{
	my ($node) = @_;
	return sprintf("SELECT vecdb.add_group('%s', %d)", $node->host, $node->port);
}

# --- members ---

my $host = $cluster->node(1)->host;
my $free = PostgreSQL::Test::Cluster::get_free_port();
refused_unchanged("SELECT vecdb.add_group('$host', $free)", '08\w+',
	"could not connect to host .*:$free", 'nobody is at the address');
refused_unchanged("SELECT vecdb.add_group('no.such.host.invalid', 5432)", '08\w+',
	'could not connect to host "no.such.host.invalid:5432"', 'a host with no address');
refused_unchanged("SELECT vecdb.add_group('$host', 0)", '22\w+', 'port', 'no port');
refused_unchanged(add($cluster->node(2)), '42710', 'is a member of group 2 already', 'a node that is added twice');
refused_unchanged(add($cluster->node(1)), '42710', 'is a member of group 1 already', 'the node itself');
refused_unchanged("SELECT vecdb.create_cluster('$host', " . $cluster->node(1)->port . ')', '\w+',
	'belongs to cluster \S+ already', 'a second cluster');

my $plain = server('plain', '');
refused_unchanged(add($plain), '55000', 'vecdb is not preloaded at host', 'a server without shared_preload_libraries');
my ($rc, $out, $err) = (0, '', '');
$rc = $plain->psql('postgres', 'SELECT vecdb.create_cluster()', stderr => \$err);
like($err, qr/ERROR: .*shared_preload_libraries|HINT: .*shared_preload_libraries/s, 'which cannot make a cluster either');
$plain->append_conf('postgresql.conf', "shared_preload_libraries = 'vecdb'\nmax_prepared_transactions = 0");
$plain->restart;
refused_unchanged(add($plain), '55000', 'prepared transactions are disabled at host', 'max_prepared_transactions = 0');

# a password, where nodes have none
$plain->append_conf('postgresql.conf', 'max_prepared_transactions = 20');
my $hba = slurp_file($plain->data_dir . '/pg_hba.conf');
$plain->restart;
$plain->safe_psql('postgres', "ALTER ROLE CURRENT_USER PASSWORD 'right'");
unlink $plain->data_dir . '/pg_hba.conf';
$plain->append_conf('pg_hba.conf', 'local all all scram-sha-256');
$plain->reload;
refused_unchanged(add($plain), '08\w+', 'could not connect to host.*password', 'no password');
$cluster->node(1)->append_conf('postgresql.conf', "vecdb.node_conninfo = 'password=wrong'");
$cluster->node(1)->reload;
refused_unchanged(add($plain), '08\w+', 'could not connect to host.*password authentication failed', 'a wrong password');
$cluster->node(1)->append_conf('postgresql.conf', "vecdb.node_conninfo = ''");
$cluster->node(1)->reload;
unlink $plain->data_dir . '/pg_hba.conf';
$plain->append_conf('pg_hba.conf', $hba);
$plain->reload;
$plain->stop;

my $other = server('other', "shared_preload_libraries = 'vecdb'");
$other->safe_psql('postgres', sprintf("SELECT vecdb.create_cluster('%s', %d)", $other->host, $other->port));
refused_unchanged(add($other), '\w+', 'is a member of another cluster', 'a member of another cluster');
$other->stop;

# An address that another server has taken over is refused, not believed.
my $port = $cluster->node(2)->port;
$cluster->stop_node(2);
my $impostor = PostgreSQL::Test::Cluster->new('impostor', port => $port, own_host => 0);
$impostor->init(allows_streaming => 'logical');
$impostor->append_conf('postgresql.conf', q{
	shared_preload_libraries = 'vecdb'
	max_connections = 20
	max_prepared_transactions = 20});
$impostor->start;
$impostor->safe_psql('postgres', q{
	CREATE EXTENSION vecdb;
	CREATE TABLE items (id bigint PRIMARY KEY, title text);
	INSERT INTO items VALUES (-1, 'false')});
($rc, $out, $err) = $cluster->try(1, 'SELECT count(*) FROM items');
isnt($rc, 0, 'a server that took over an address is not believed') or diag($out);
like($err, qr/group 2/, 'and the error names the group');
$impostor->stop;
$cluster->start_node(2);
wait_until(sub {
	($rc, $out, $err) = $cluster->try(1, 'SELECT count(*) FROM items');
	return $rc == 0;
});
is($out, 100, 'the right one is believed again') or diag($err);

# --- tables ---

$cluster->query(1, q{
	CREATE TABLE no_key (a int, b int);
	CREATE TABLE two_keys (id int PRIMARY KEY, mail text UNIQUE);
	CREATE TABLE taken (id int PRIMARY KEY);
	CREATE TABLE by_point (id point, n int);
	CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES two_keys);
	CREATE TABLE plain (id int PRIMARY KEY);
	CREATE VIEW a_view AS SELECT 1 AS id;});
$cluster->query_own(2, 'CREATE TABLE taken (something text)');
refused_unchanged("SELECT vecdb.distribute_table('no_key')", '\w+', 'no primary key.*HINT', 'a table without a key');
refused_unchanged("SELECT vecdb.distribute_table('no_key', 'c')", '42703', 'column "c"', 'a key that is no column');
refused_unchanged("SELECT vecdb.distribute_table('two_keys')", '\w+', 'two_keys_mail_key.*cannot be enforced.*HINT',
	'a unique constraint without the key');
refused_unchanged("SELECT vecdb.distribute_table('taken')", '42P07', 'exists in group 2 already.*HINT', 'a name that is taken');
refused_unchanged("SELECT vecdb.distribute_table('by_point', 'id')", '\w+', 'cannot be in the distribution key', 'a type without hash');
refused_unchanged("SELECT vecdb.distribute_table('child')", '\w+', 'cannot be enforced.*HINT', 'a foreign key to an ordinary table');
refused_unchanged("SELECT vecdb.distribute_table('items')", '\w+', 'is a distributed table already', 'a table that is distributed');
refused_unchanged("SELECT vecdb.distribute_table('a_view', 'id')", '\w+', 'a_view', 'a view');
refused_unchanged("CREATE TEMP TABLE temporary (id int PRIMARY KEY); SELECT vecdb.distribute_table('temporary')",
	'0A000', 'temporary', 'a temporary table');
refused_unchanged("SELECT vecdb.distribute_table('pg_class', 'oid')", '\w+', 'pg_class', 'a system catalog');
refused_unchanged("SELECT vecdb.distribute_table('plain', strategy => 'magic')", '\w+', 'strategy "magic" does not exist', 'no strategy');
refused_unchanged("SELECT vecdb.distribute_table('plain', shard_count => 100)", '\w+', 'shard_count cannot be 100', 'shards that are no power of two');
refused_unchanged("SELECT vecdb.distribute_table('plain', colocate_with => 'no_key')", '\w+', 'is not distributed', 'colocation with an ordinary table');
refused_unchanged("SELECT vecdb.distribute_table('plain', colocate_with => 'items')", '\w+', 'cannot be colocated', 'colocation with another type');
refused_unchanged("SELECT vecdb.undistribute_table('plain')", '\w+', 'ordinary table', 'an ordinary table that is undistributed');
refused_unchanged("CREATE UNIQUE INDEX ON items (title)", '\w+', 'cannot be enforced.*HINT', 'a unique index without the key');
refused_unchanged("SELECT vecdb.remove_group(2)", '\w+', 'owns \d+ shards.*HINT', 'a group that owns shards');

$cluster->stop_node(2);
($rc, $out, $err) = $cluster->try(1, "SELECT vecdb.distribute_table('plain')");
isnt($rc, 0, 'no table is distributed while a group is down');
like($err, qr/group 2/, 'and the error names the group');
($rc, $out, $err) = $cluster->try(1, 'CREATE INDEX ON items (title)');
isnt($rc, 0, 'no index is made while a group is down');
$cluster->start_node(2);
is($cluster->query(2, 'SELECT count(*) FROM pg_indexes WHERE tablename = \'items\''), 1, 'the index is nowhere');

done_testing();
