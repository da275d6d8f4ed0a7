# Does a node that was upgraded, or restored from its dump, come back as the
# group that it was, and not before somebody says so?  Is a cancel heard while
# a group's primary is looked for?

use strict;
use warnings;

use IO::Socket::UNIX;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VecdbCluster;
use VecdbRecall qw(wait_until);

my $cluster = VecdbCluster->new('copies', groups => 3, conf => "vecdb.retry_delay = 100ms\nvecdb.recovery_interval = 1s")->start;
my $dir = PostgreSQL::Test::Utils::tempdir();

$cluster->query(1, q{
	CREATE TABLE items (id bigserial PRIMARY KEY, t text, v vector(2));
	CREATE TABLE days (day date PRIMARY KEY);
	CREATE TABLE codes (c text PRIMARY KEY);
	SELECT vecdb.distribute_table('items');
	SELECT vecdb.distribute_table('days', 'day', 'range', bounds => '{2025-01-01,2026-01-01}');
	SELECT vecdb.replicate_table('codes');
	CREATE INDEX ON items USING hnsw (v vector_l2_ops);
	INSERT INTO items (t, v) SELECT i, ARRAY[i, 0]::real[]::vector FROM generate_series(1, 300) i;
	INSERT INTO days SELECT '2024-06-01'::date + i * 30 FROM generate_series(1, 30) i;
	INSERT INTO codes SELECT 'c' || i FROM generate_series(1, 10) i;});
my $all = q{SELECT count(*), sum(id) FROM items; SELECT count(*), max(day) FROM days; SELECT count(*) FROM codes;
	SELECT string_agg(id::text, ',') FROM (SELECT id FROM items ORDER BY v <-> '[150.2,0]' LIMIT 4) i};
my $expected = $cluster->query(1, $all);

# a server that takes the place of a group's, at its address
sub replacement
{
	my ($group, $name) = @_;
	my $new = PostgreSQL::Test::Cluster->new($name, port => $cluster->node($group)->port);
	$new->init;
	$new->append_conf('postgresql.conf', "fsync = off\njit = off\nautovacuum = off\nmax_prepared_transactions = 100\n"
		. "shared_preload_libraries = 'vecdb'\nvecdb.retry_delay = 100ms\nvecdb.recovery_interval = 1s");
	return $new;
}

# a query that may find a group gone for a moment, or until it has that result
sub eventually
{
	my ($group, $sql, $expected) = @_;
	my ($rc, $out, $err);
	wait_until(sub {
		($rc, $out, $err) = $cluster->try($group, $sql);
		return $rc == 0 && (!defined $expected || $out eq $expected);
	});
	return $rc == 0 ? $out : $err;
}

sub comes_back
{
	my ($group, $what) = @_;
	my $others = $group % 3 + 1;
	my ($rc, $out, $err) = $cluster->try($others, 'SELECT count(*) FROM items');
	isnt($rc, 0, "$what: others do not take it for the group");
	like($err, qr/could not connect to group $group.*(?:is a copy of group $group|is not a member of a cluster)/s, 'and say which one is missing') or diag($err);
	foreach my $sql ('VACUUM items', 'CREATE INDEX CONCURRENTLY no_index ON items (t)')
	{
		($rc, $out, $err) = $cluster->try($others, $sql);
		like($err, qr/ERROR:.*group $group/, "$what: nor for $sql");
	}
	($rc, $out, $err) = $cluster->try($group, 'SELECT count(*) < 300 FROM items');
	is($out, 't', 'it has the rows of one group');
	like($err, qr/WARNING:  this database is a copy of group $group.*HINT:.*resume_membership/s, 'and says that it is a copy');
	($rc, $out, $err) = $cluster->try($group, 'CREATE ROLE nobody; SET ROLE nobody; SELECT vecdb.resume_membership()');
	like($err, qr/permission denied/, 'not everyone makes it a member');
	$cluster->query($group, 'DROP ROLE nobody');
	is($cluster->query($group, 'SELECT vecdb.resume_membership()'), $group, 'then it is one');
	is(eventually($_, $all), $expected, "which group $_ knows") foreach $cluster->groups;
	# once nothing is left of transactions that it did not hear of
	is(eventually($others, 'SELECT * FROM vecdb.check_cluster()', ''), '', 'nothing is wrong');
	$cluster->query($group, "ALTER TABLE items ADD COLUMN after_$group int");
	is($cluster->query($others, "INSERT INTO items (t, after_$group) SELECT 'new', $group FROM generate_series(1, 30) RETURNING id") =~ tr/\n//, 29, 'tables are changed and written');
	is($cluster->query($others, "DELETE FROM items WHERE after_$group = $group; SELECT count(*) FROM items"), 300, 'and read');
	is($cluster->query($group, "INSERT INTO items (t) VALUES ('x') RETURNING id > 300"), 't', 'its sequences go on');
	$cluster->query($group, "DELETE FROM items WHERE t = 'x'");
	return;
}

# --- pg_upgrade ---

my $old = $cluster->node(3);
$old->stop;
my $new = replacement(3, 'upgraded');
my $bin = $new->config_data('--bindir');
# where other nodes do not look for the group: pg_upgrade waits for sessions
my @ports = map { PostgreSQL::Test::Cluster::get_free_port() } 1, 2;
chdir $dir or die $!;
command_ok([ 'pg_upgrade', '--no-sync', '-d', $old->data_dir, '-D', $new->data_dir, '-b', $bin, '-B', $bin, '-s', $new->host,
		'-p', $ports[0], '-P', $ports[1] ], 'pg_upgrade of a node');
chdir $ENV{TESTDIR} or die $!;
$new->start;
$cluster->replace_node(3, $new);
comes_back(3, 'upgraded');

# --- its dump, into a new server ---

{
	local $ENV{PGOPTIONS} = '-c vecdb.internal=on';
	command_ok([ 'pg_dump', '-Fc', '-f', "$dir/two", '-d', $cluster->node(2)->connstr('postgres') ], 'pg_dump of what a node holds');
}
$cluster->node(2)->stop;
$new = replacement(2, 'restored');
$new->start;
command_ok([ 'pg_restore', '--exit-on-error', '-d', $new->connstr('postgres'), "$dir/two" ], 'pg_restore');
$cluster->replace_node(2, $new);
comes_back(2, 'restored');

# --- a host that takes connections and is silent ---

my $silent = "/tmp/-vecdb-$$";
mkdir $silent or die $!;
my $listener = IO::Socket::UNIX->new(Type => SOCK_STREAM, Listen => 20, Local => "$silent/.s.PGSQL." . $cluster->node(2)->port) or die $!;
{
	local $ENV{PGOPTIONS} = '-c vecdb.internal=on';
	$cluster->query($_, sprintf("INSERT INTO vecdb.catalog_host VALUES ('%s', %d, 2)", $silent, $cluster->node(2)->port)) foreach $cluster->groups;
}
my ($rc, $out, $err) = $cluster->try(1, q{SET statement_timeout = '500ms'; VACUUM items});
isnt($rc, 0, 'VACUUM ends');
like($err, qr/statement timeout/, 'because it was cancelled');
($rc, $out, $err) = $cluster->try(1, 'VACUUM items');
is($rc, 0, 'else it tries the next host') or diag($err);
$listener->close;
unlink glob("$silent/.s*");
rmdir $silent;

done_testing();
