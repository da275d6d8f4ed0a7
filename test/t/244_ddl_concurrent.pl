# Do changes of tables from all nodes at once, and rows written meanwhile, get
# along: no deadlock that nobody sees, no error, and nothing wrong at the end?
# Are statements on a table that becomes a shared one meanwhile done everywhere,
# or not at all?

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
is($cluster->prepared_left, 0, 'no transaction is left');

# --- a table becomes a shared one while a statement waits for it ---

my ($mover, $other) = map { $cluster->node(1)->background_psql('postgres', on_error_stop => 0) } 1, 2;
$_->query_safe("SET client_min_messages = error") foreach $mover, $other;

# what the statement says, in a session that has decided before
sub raced
{
	my ($sql) = @_;
	$cluster->query(1, 'CREATE TABLE race (id int PRIMARY KEY, t text); INSERT INTO race SELECT i, i FROM generate_series(1, 90) i');
	$mover->query_safe(q{BEGIN; SELECT vecdb.distribute_table('race')});
	$other->{stderr} = '';
	$other->query_until(qr/go/, "\\echo go\n$sql;\n\\echo done\n");
	$cluster->node(1)->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'})
		or die "$sql does not wait";
	$mover->query_safe('COMMIT');
	my $out = $other->query_until(qr/done/, "\n");
	$other->query_until(qr/over/, "ROLLBACK;\n\\echo over\n");
	$out .= $other->{stderr};
	$other->{stderr} = '';
	return $out;
}

foreach my $sql ('TRUNCATE race', 'ALTER TABLE race ADD COLUMN more int', 'ALTER TABLE race RENAME COLUMN t TO u', 'ALTER TABLE race RENAME TO raced',
	'CREATE INDEX race_t ON race (t)', 'CREATE STATISTICS race_s ON id, t FROM race', 'DROP TABLE race', 'DROP INDEX race_pkey', q{COMMENT ON TABLE race IS 'r'},
	'CREATE TRIGGER race_r BEFORE UPDATE ON race FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()',
	'CREATE POLICY race_p ON race USING (true)', 'CLUSTER race USING race_pkey', 'BEGIN; LOCK TABLE race IN SHARE MODE', 'CREATE TABLE heir () INHERITS (race)')
{
	like(raced($sql), qr/ERROR:.*(?:became a table of the cluster|constraint race_pkey on table)/, "$sql is refused")
		if $sql ne 'DROP INDEX race_pkey';
	raced($sql) if $sql eq 'DROP INDEX race_pkey';
	is($cluster->query(2, 'SELECT count(*) FROM race'), 90, 'and has done nothing');
	is($cluster->query(3, 'SELECT * FROM vecdb.check_cluster()'), '', 'nothing is wrong');
	$cluster->query(1, 'DROP TABLE race');
}
raced('CREATE INDEX CONCURRENTLY race_t ON race (t)');
is(join(',', map { $cluster->query($_, q{SELECT to_regclass('race_t') IS NOT NULL}) } $cluster->groups), 't,t,t', 'CREATE INDEX CONCURRENTLY is done everywhere');
$cluster->query(1, 'DROP TABLE race');
like(raced(q{COPY race FROM PROGRAM 'for i in 101 102 103 104 105 106 107 108 109; do printf "$i\\tx\\n"; done'}), qr/^(?!.*ERROR)/s, 'COPY FROM');
is($cluster->query(2, 'SELECT count(*) FROM race; SELECT * FROM vecdb.check_cluster()'), '99', 'brings rows where they belong');
$cluster->query(1, 'DROP TABLE race');
is(scalar(() = raced('COPY race TO STDOUT') =~ /^\d+\t/mg), 90, 'COPY TO has all rows');

# --- or while a transaction is open that has read the catalog before ---

$cluster->query(1, 'DROP TABLE race; CREATE TABLE race (id int PRIMARY KEY)');
$other->query_safe('BEGIN; SELECT count(*) FROM vecdb.catalog_table');
$mover->query_safe(q{SELECT vecdb.distribute_table('race')});
$other->query_safe('GRANT SELECT ON race TO PUBLIC; COMMIT');
is($cluster->query($_, q{SELECT relacl::text LIKE '%=r/%' FROM pg_class WHERE relname = 'race'}), 't', "group $_ has the privilege") foreach $cluster->groups;

# --- or while a transaction keeps an older snapshot ---

$cluster->query(1, 'DROP TABLE race; CREATE TABLE race (id int PRIMARY KEY); INSERT INTO race SELECT generate_series(1, 90)');
foreach my $move ('distribute', 'undistribute')
{
	$other->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM codes');
	$mover->query_safe("SELECT vecdb.${move}_table('race')");
	$other->{stderr} = '';
	my $out = $other->query_until(qr/done/, "SELECT 'sees ' || count(*) FROM race;\n\\echo done\n");
	like($out . $other->{stderr}, qr/ERROR:  could not serialize access because tables of the cluster have changed.*HINT/s, "which must not see rows twice, nor miss them, after ${move}_table()");
	$other->query_until(qr/over/, "ROLLBACK;\n\\echo over\n");
	$other->{stderr} = '';
	is($other->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM race; COMMIT'), 90, 'the next one sees all');
}
$cluster->query(1, q{SELECT vecdb.distribute_table('race')});

# --- or becomes an ordinary one ---

$mover->query_safe(q{BEGIN; SELECT vecdb.undistribute_table('race')});
$other->{stderr} = '';
$other->query_until(qr/go/, "\\echo go\nALTER TABLE race ADD COLUMN more int;\n\\echo done\n");
ok($cluster->node(1)->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity
	WHERE wait_event_type = 'Lock' AND query LIKE 'ALTER TABLE race%'}), 'ALTER waits for the end of sharing');
$mover->query_safe('COMMIT');
$other->query_until(qr/done/, "\n");
is($other->{stderr}, '', 'and is done then');
is($cluster->query(1, q{SELECT count(*) FROM pg_attribute WHERE attrelid = 'race'::regclass AND attname = 'more'}), 1, 'on the node of the table');
$_->quit foreach $mover, $other;

done_testing();
