# Do changes of tables from all nodes at once, and rows written meanwhile, get
# along: no deadlock that nobody sees, no error, and nothing wrong at the end?

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VecdbCluster;

my $cluster = VecdbCluster->new('concurrent', groups => 3)->start;
my $rounds = 5;

$cluster->query(1, q{
	CREATE TABLE items (id bigserial PRIMARY KEY, t text);
	CREATE TABLE codes (c text PRIMARY KEY);
	INSERT INTO items (t) SELECT i FROM generate_series(1, 1000) i;
	SELECT vecdb.distribute_table('items');
	SELECT vecdb.replicate_table('codes');});

my @runs;
foreach my $node ($cluster->groups)
{
	my $sql = '';
	foreach my $round (1 .. $rounds)
	{
		my $name = "s${node}_$round";
		$sql .= qq{
			CREATE TABLE $name (id int PRIMARY KEY, t text);
			INSERT INTO $name SELECT i, i FROM generate_series(1, 300) i;
			SELECT vecdb.distribute_table('$name');
			CREATE INDEX ON $name (t);
			SELECT 'rows ' || count(*) FROM $name;
			ALTER TABLE $name ADD COLUMN c int;
			BEGIN; INSERT INTO items (t) VALUES ('x'); INSERT INTO codes VALUES ('$name'); COMMIT;
			ALTER TABLE items ADD COLUMN w_$name int;
			ALTER TABLE codes ADD COLUMN w_$name int;
			INSERT INTO items (t) SELECT 'y' FROM generate_series(1, 20);
			CREATE TYPE type_$name AS ENUM ('a');
			DROP TABLE $name;};
	}
	my %run = (sql => $sql, out => '');
	$run{harness} = IPC::Run::start(
		[ 'psql', '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-d', $cluster->node($node)->connstr('postgres'), '-f', '-' ],
		'<', \$run{sql}, '>', \$run{out}, '2>', \$run{err},
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	push @runs, \%run;
}
foreach my $run (@runs)
{
	ok($run->{harness}->finish, 'a session from one node') or diag($run->{err});
	is(scalar(() = $run->{out} =~ /^rows 300$/mg), $rounds, 'saw all rows in each round');
}

is($cluster->query(2, 'SELECT * FROM vecdb.check_cluster()'), '', 'nothing is wrong');
is($cluster->query(1, 'SELECT count(*), count(DISTINCT id) FROM items'),
	join('|', (1000 + 3 * $rounds * 21) x 2), 'each row is there, under its own number');
is($cluster->query(3, 'SELECT count(*) FROM codes'), 3 * $rounds, 'also in the reference table');
is($cluster->query($_, q{SELECT count(*) FROM pg_attribute WHERE attname LIKE 'w\_%' AND attrelid = 'items'::regclass}),
	3 * $rounds, "group $_ has all columns") foreach $cluster->groups;
is($cluster->query($_, 'SELECT count(*) FROM pg_prepared_xacts'), 0, 'no transaction is left') foreach $cluster->groups;

done_testing();
