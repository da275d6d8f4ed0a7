# Do all groups have the same rows of a reference table, whatever is written?
# What would make copies differ is refused; writers of the same rows on several
# nodes wait for each other and nothing else happens to them.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use VecdbCluster;
use VecdbRecall qw(wait_until);
use VecdbSessions;

my $cluster = VecdbCluster->new('copies', groups => 3)->start;

$cluster->query(1, <<'SQL');
CREATE TABLE kinds (id int PRIMARY KEY, name text, n float8 DEFAULT 0,
	at timestamptz DEFAULT clock_timestamp(), s serial, u uuid DEFAULT gen_random_uuid());
CREATE TABLE tags (id int PRIMARY KEY, kind int REFERENCES kinds ON DELETE CASCADE, name text);
CREATE TABLE tag_notes (tag int REFERENCES tags ON DELETE CASCADE ON UPDATE CASCADE, note text);
CREATE TABLE labels (id int PRIMARY KEY, kind int REFERENCES kinds ON DELETE SET NULL, name text);
CREATE TABLE log (id int);
CREATE TABLE races (id int PRIMARY KEY, n int DEFAULT 0);
CREATE TABLE sums (id int PRIMARY KEY, n int);
CREATE TABLE things (id int PRIMARY KEY, kind int);
CREATE TABLE other_things (id int PRIMARY KEY, kind int REFERENCES kinds ON DELETE CASCADE);
SELECT vecdb.replicate_table('kinds');
SELECT vecdb.replicate_table('tags');
SELECT vecdb.replicate_table('tag_notes');
SELECT vecdb.replicate_table('labels');
SELECT vecdb.replicate_table('log');
SELECT vecdb.replicate_table('races');
SELECT vecdb.replicate_table('sums');
SELECT vecdb.distribute_table('things');
SELECT vecdb.distribute_table('other_things');
INSERT INTO kinds (id, name) SELECT g, 'k' || g FROM generate_series(0, 19) g;
INSERT INTO tags SELECT g, g % 10, 't' || g FROM generate_series(1, 40) g;
INSERT INTO tag_notes SELECT g % 40 + 1, 'n' FROM generate_series(1, 60) g;
INSERT INTO things SELECT g, g % 10 FROM generate_series(1, 100) g;
INSERT INTO other_things SELECT g, g % 20 FROM generate_series(1, 100) g;
CREATE FUNCTION things_of(int) RETURNS int STABLE LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM things WHERE kind = $1); END';
CREATE FUNCTION write_tag(int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO tags VALUES ($1 + 7000, 1, 'by a function');
	RETURN $1;
END $$;
CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE TG_ARGV[0] USING coalesce(NEW.id, OLD.id);
	RETURN coalesce(NEW, OLD);
END $$;
SQL

# copies are the same, as the rows themselves say
sub alike
{
	my ($what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my @problems;
	foreach my $table (qw(kinds tags tag_notes labels log races sums))
	{
		my %seen = map { $cluster->query_own($_, "SELECT string_agg(t::text, ' ' ORDER BY t::text) FROM $table t") => 1 }
		  $cluster->groups;
		push @problems, $table if keys %seen > 1;
	}
	return is("@problems", '', "copies are the same: $what");
}

sub fine
{
	my ($sql, $group) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($rc, $out, $err) = $cluster->try($group // 2, $sql);
	is($err, '', "no error: $sql");
	return alike($sql);
}

# from each node: which groups have rows to write does not matter
sub refused
{
	my ($sql, $message) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$cluster->refused($_, $sql, $message) foreach $cluster->groups;
	return alike($sql);
}

# What is computed once for all groups.
fine($_) foreach split /\n/, <<'SQL';
INSERT INTO kinds (id) SELECT g FROM generate_series(20, 30) g
INSERT INTO tags SELECT id + 1000, 1 + random() * 5, random()::text FROM things LIMIT 10
INSERT INTO kinds (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET n = excluded.s, at = excluded.at, u = excluded.u
UPDATE kinds SET at = now() - n * interval '1 s', n = pg_backend_pid() + id
UPDATE kinds SET n = things_of(3) + id, name = current_setting('port') || id
UPDATE tags SET name = x.r FROM (SELECT t.kind, row_number() OVER () AS r FROM tags t) x WHERE x.kind = tags.id
UPDATE tags SET name = 'computed' WHERE id IN (SELECT id FROM things WHERE things_of(id) > 5)
DELETE FROM tags WHERE id IN (SELECT id FROM tags LIMIT 5)
DELETE FROM tags t USING (SELECT id FROM tags LIMIT 5) x WHERE t.id = x.id
DELETE FROM tags WHERE id IN (SELECT id FROM things WHERE id < 3)
SET extra_float_digits = -10; SET TimeZone = 'Asia/Tokyo'; UPDATE kinds SET name = n::text || at || id
SET DateStyle = 'SQL, DMY'; SET bytea_output = escape; UPDATE kinds SET name = at::text || decode('ff0' || (id % 10), 'hex')::text
SET default_text_search_config = simple; UPDATE kinds SET name = to_tsvector('the dogs ' || id)::text
COPY kinds (id, name) FROM PROGRAM 'seq -f "%.0f	x" 200 210'
SET client_encoding = LATIN1; SET extra_float_digits = -10; INSERT INTO kinds (id, n) SELECT g, pi() * g FROM generate_series(301, 310) g
SET client_encoding = LATIN1; SET extra_float_digits = -10; PREPARE p AS UPDATE kinds SET n = $1 WHERE id = 302; EXECUTE p(exp(1))
SET client_encoding = LATIN1; SET extra_float_digits = -10; COPY kinds (id, n) FROM PROGRAM 'seq -f "%.0f	3.14159265358979" 311 320'
SQL

is($cluster->query_own($_, 'SELECT DISTINCT n FROM kinds WHERE id > 310'), '3.14159265358979', "group $_ has all digits") foreach $cluster->groups;

# What each group would compute for itself.
my $volatile = qr/cannot use volatile functions to change reference table "kinds"/;
my $differs = qr/cannot use functions that may differ between groups to change reference table "kinds"/;
refused($_, $volatile) foreach split /\n/, <<'SQL';
UPDATE kinds SET n = random()
UPDATE kinds SET at = DEFAULT
UPDATE kinds SET s = DEFAULT
INSERT INTO kinds (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET n = random()
MERGE INTO kinds k USING (VALUES (1), (101)) v (i) ON v.i = k.id WHEN NOT MATCHED THEN INSERT (id, u) VALUES (v.i, DEFAULT)
SQL
refused($_, $differs) foreach split /\n/, <<'SQL';
UPDATE kinds SET n = things_of(id)
UPDATE kinds SET n = (SELECT things_of(kinds.id))
DELETE FROM kinds WHERE things_of(id) < 4
INSERT INTO kinds (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET n = things_of(kinds.id)
UPDATE kinds SET name = current_setting('po' || left('rt' || id, 2))
UPDATE kinds SET name = age(at)::text
SQL

# Foreign keys write on all nodes alike, or rows of the node that has them.
fine('DELETE FROM kinds WHERE id = 4; UPDATE tags SET id = id + 5000 WHERE id = 17');
is($cluster->query(1, 'SELECT count(*) FROM tags WHERE kind = 4'), 0, 'CASCADE to a reference table');
is($cluster->query(1, 'SELECT count(*) FROM other_things WHERE kind = 4'), 0, 'CASCADE to a distributed table');
fine('DELETE FROM kinds WHERE id = 5', 3);

# Triggers and functions of a distributed table, in statements of all sorts.
my $alone = qr/a trigger or function cannot write reference table "\w+" where it runs in one group/;
my %writes = (
	'INSERT' => q{INSERT INTO log VALUES ($1)},
	'UPDATE' => q{UPDATE tags SET name = 'fired' WHERE id > $1},
	'DELETE' => q{DELETE FROM tags WHERE id > $1},
	'MERGE' => q{MERGE INTO log USING (VALUES ($1)) v (i) ON v.i = log.id WHEN NOT MATCHED THEN INSERT VALUES (v.i)},
	'ON CONFLICT' => q{INSERT INTO tags VALUES ($1) ON CONFLICT (id) DO UPDATE SET name = 'fired'});
foreach my $time ('BEFORE', 'AFTER')
{
	foreach my $what (sort keys %writes)
	{
		my $written = $writes{$what} =~ s/'/''/gr;
		$cluster->query(1, "CREATE TRIGGER fire $time INSERT OR UPDATE OR DELETE ON things FOR EACH ROW EXECUTE FUNCTION fire('$written')");
		refused('INSERT INTO things SELECT g, 5 FROM generate_series(200, 230) g', $alone);
		refused('UPDATE things SET kind = 6', $alone) if $what eq 'INSERT';
		refused('DELETE FROM things WHERE id > 20', $alone) if $what eq 'DELETE';
		$cluster->query(1, 'DROP TRIGGER fire ON things');
	}
}
foreach my $utility ('TRUNCATE log', 'TRUNCATE things CASCADE', q{COPY log FROM PROGRAM ''echo 1''}, q{COPY things (id) FROM PROGRAM ''echo 1''})
{
	$cluster->query(1, "CREATE TRIGGER fire AFTER INSERT ON other_things FOR EACH ROW EXECUTE FUNCTION fire('$utility')");
	refused('INSERT INTO other_things SELECT g, 0 FROM generate_series(200, 230) g',
		qr/a trigger or function cannot (write reference|copy to or truncate distributed) table/);
	$cluster->query(1, 'DROP TRIGGER fire ON other_things');
}
$cluster->query(1, q{CREATE TRIGGER fire AFTER INSERT ON things FOR EACH ROW EXECUTE FUNCTION fire('INSERT INTO log VALUES ($1)')});
refused("COPY things (id) FROM PROGRAM 'seq 200 230'", $alone);
$cluster->query(1, 'DROP TRIGGER fire ON things');
$cluster->query(1, q{CREATE CONSTRAINT TRIGGER fire AFTER INSERT ON things DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION fire('INSERT INTO log VALUES ($1)')});
refused('INSERT INTO things SELECT g, 5 FROM generate_series(200, 230) g', $alone);
$cluster->query(1, 'DROP TRIGGER fire ON things');
refused('UPDATE things SET kind = write_tag(id)', $alone);
is($cluster->query(1, 'SELECT count(*), max(id) FROM things'), '100|100', 'nothing stays of what was refused');

# The client calls the same function: then it writes everywhere; and a plan that
# it kept is not used where it must not be.
$cluster->query(1, 'CREATE TABLE pairs (id int PRIMARY KEY)');
$cluster->query(1, "SELECT vecdb.replicate_table('pairs')");
$cluster->query(1, <<'SQL');
CREATE FUNCTION log_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (NEW.id); RETURN NULL; END $$;
CREATE TRIGGER log_it AFTER INSERT ON pairs FOR EACH ROW EXECUTE FUNCTION log_it();
CREATE TRIGGER log_it AFTER INSERT ON things FOR EACH ROW EXECUTE FUNCTION log_it();
SQL
fine('SELECT write_tag(id) FROM things WHERE id = 11; SELECT write_tag(id) FROM things WHERE id BETWEEN 12 AND 15');
fine('INSERT INTO pairs SELECT generate_series(1, 20)');
is($cluster->query(3, 'SELECT count(*) FROM log'), 20, 'a trigger of a reference table writes another one');
fine("COPY pairs FROM PROGRAM 'seq 21 30'");
is($cluster->query(3, 'SELECT count(*) FROM log'), 30, 'COPY too');
foreach my $group ($cluster->groups)
{
	my $to = 40 + 10 * $group;
	my ($rc, $out, $err) = $cluster->try($group, join('; ',
			'INSERT INTO pairs SELECT generate_series(' . ($to - 9) . ", $to)",
			'INSERT INTO things SELECT g, 5 FROM generate_series(200, 230) g',
			'INSERT INTO pairs VALUES (' . ($to + 100) . ')'), on_error_stop => 0);
	like($err, $alone, "a plan that was kept for a trigger of a reference table, group $group");
}
alike('plans that are kept');
is($cluster->query(2, 'SELECT count(*) FROM log'), 63, 'and those of the reference table are executed');

# A trigger in between that fires in one group only.
$cluster->query(1, <<'SQL');
DROP TRIGGER log_it ON things;
CREATE FUNCTION log_old() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (OLD.id); RETURN NULL; END $$;
SQL
foreach my $time ('BEFORE', 'AFTER')
{
	$cluster->query(1, "CREATE TRIGGER log_old $time DELETE ON other_things FOR EACH ROW EXECUTE FUNCTION log_old()");
	refused('DELETE FROM kinds WHERE id = 7', $alone);
	$cluster->query(1, 'DROP TRIGGER log_old ON other_things');
}

# What a trigger that fires everywhere must not write.
foreach my $value ('random()', 'extract(epoch FROM now())', '')
{
	# without a value: that of a default
	my $write = $value ? "UPDATE kinds SET n = $value" : 'INSERT INTO kinds (id) VALUES (NEW.id + 900)';
	$cluster->query(1, "CREATE OR REPLACE FUNCTION log_it() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN $write; RETURN NULL; END'");
	refused('INSERT INTO pairs VALUES (500)',
		qr/a trigger cannot use functions that are not immutable to change reference table "kinds"/);
}
$cluster->query(1, 'DROP TRIGGER log_it ON pairs');
$cluster->query(1, <<'SQL');
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.at := clock_timestamp(); NEW.n := random(); RETURN NEW; END';
CREATE FUNCTION upper_name() RETURNS trigger LANGUAGE plpgsql IMMUTABLE AS 'BEGIN NEW.name := upper(NEW.name); RETURN NEW; END';
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON kinds FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE TRIGGER upper_name BEFORE INSERT OR UPDATE ON kinds FOR EACH ROW EXECUTE FUNCTION upper_name();
SQL
my $fire = qr/cannot fire trigger "stamp" of reference table "kinds"/;
refused("UPDATE kinds SET name = 'stamped'", $fire);
refused("INSERT INTO kinds (id) VALUES (800)", $fire);
refused("COPY kinds (id) FROM PROGRAM 'echo 800'", $fire);
refused("INSERT INTO kinds (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET name = 'x'", $fire);
fine('DELETE FROM kinds WHERE id = 8');
$cluster->query(1, 'ALTER TABLE kinds DISABLE TRIGGER stamp');
fine("UPDATE kinds SET name = 'immutable'");
is($cluster->query(2, 'SELECT DISTINCT name FROM kinds'), 'IMMUTABLE', 'a trigger that is declared immutable');
$cluster->query(1, 'DROP TRIGGER stamp ON kinds');

is($cluster->query(1, 'SELECT count(*) FROM vecdb.check_cluster()'), 0, 'nothing to complain of');
$cluster->node(3)->safe_psql('postgres', 'INSERT INTO log VALUES (-1)',
	connstr => $cluster->node(3)->connstr('postgres') . " options='-c vecdb.internal=on'");
like($cluster->query(1, "SELECT object || ': ' || problem FROM vecdb.check_cluster()"),
	qr/^public\.log: group 3 differs from the first group/, 'but a copy that differs is found');
$cluster->node(3)->safe_psql('postgres', 'DELETE FROM log WHERE id = -1',
	connstr => $cluster->node(3)->connstr('postgres') . " options='-c vecdb.internal=on'");

# Writers on several nodes queue: none of them meets another crosswise.
$cluster->query(1, 'CREATE TABLE counters (id int PRIMARY KEY, n int)');
$cluster->query(1, "SELECT vecdb.replicate_table('counters')");
$cluster->query(1, 'INSERT INTO counters VALUES (1, 0)');
my @statements = (
	'UPDATE counters SET n = n + 1 WHERE id = 1',
	'INSERT INTO counters VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET n = counters.n + 1',
	'MERGE INTO counters c USING (VALUES (1)) v (i) ON v.i = c.id WHEN MATCHED THEN UPDATE SET n = c.n + 1');
my @sessions = map { VecdbSessions->new($cluster->node($_)) } $cluster->groups;
foreach my $sql (@statements)
{
	$cluster->query(1, 'UPDATE counters SET n = 0');
	$_->send(join ";\n", ($sql) x 200) foreach @sessions;
	my @errors = map { ($_->finish)[1] } @sessions;
	is(join('', @errors), '', "from three nodes: $sql");
	is($cluster->query_own($_, 'SELECT n FROM counters'), 600, "group $_ has counted all") foreach $cluster->groups;
}
my $inserts = join ";\n", map { "INSERT INTO counters VALUES ($_, 0) ON CONFLICT DO NOTHING" } 2 .. 200;
$_->send($inserts) foreach @sessions;
is(join('', map { ($_->finish)[1] } @sessions), '', 'INSERT of the same keys from three nodes');
is($cluster->query_own($_, 'SELECT count(*), sum(n) FROM counters'), '200|600', "rows of group $_") foreach $cluster->groups;

# Who finds rows by a condition sees the same transactions in all groups, while
# others insert rows on other nodes.
$cluster->query(1, 'INSERT INTO sums VALUES (1, 0)');
my $key = 0;
sub inserts
{
	my ($count) = @_;
	return join ";\n", map {
		my $insert = 'INSERT INTO races (id) VALUES (' . ++$key . ')';
		$key % 3 == 0 ? "BEGIN; INSERT INTO things VALUES ($key + 100000, 1); $insert; COMMIT" : $insert
	} 1 .. $count;
}

sub race
{
	my ($what, $sql, $count) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$sessions[2]->send(join ";\n", ($sql) x $count);
	$sessions[$_]->send(inserts(150)) foreach 0, 1;
	my @errors = map { ($_->finish)[1] } @sessions;
	alike($what);
	return @errors;
}

my %conditions = (
	'UPDATE of all rows' => 'UPDATE races SET n = n + 1',
	'DELETE of some' => 'DELETE FROM races WHERE id % 5 = 1',
	'MERGE' => 'MERGE INTO races r USING (VALUES (2)) v (i) ON r.id % 5 = v.i WHEN MATCHED THEN UPDATE SET n = r.n + 1',
	'UPDATE that reads another one' => 'UPDATE sums SET n = n + (SELECT count(*) FROM races r WHERE r.id % 2 = sums.id % 2)',
	'ON CONFLICT that reads another one' =>
		'INSERT INTO sums VALUES (1, 0) ON CONFLICT (id) DO UPDATE SET n = sums.n + (SELECT count(*) FROM races r WHERE r.id > sums.id)',
	'UPDATE, with rows of other groups' =>
		'BEGIN; UPDATE things SET kind = kind + 1 WHERE id < 20; SAVEPOINT a; UPDATE races SET n = 7; ROLLBACK TO a; UPDATE races SET n = n + 1; COMMIT');
is(join('', race($_, $conditions{$_}, 60)), '', "no error: $_, while others insert") foreach sort keys %conditions;

foreach my $level ('REPEATABLE READ', 'SERIALIZABLE')
{
	my @errors = race($level, "BEGIN ISOLATION LEVEL $level; UPDATE races SET n = n + 1; COMMIT", 60);
	is(join('', grep { /ERROR/ && !/40001/ } map { split /\n/ } @errors), '', "at $level there are serialization failures only");
	fine("BEGIN ISOLATION LEVEL $level; UPDATE races SET n = n + 1; UPDATE sums SET n = n + (SELECT count(*) FROM races r WHERE r.id > sums.id); COMMIT");
}
my $copies = sub { join ";\n", map { my $from = $key + 1; $key += 5; "COPY races (id) FROM PROGRAM 'seq $from $key'" } 1 .. 40 };
$sessions[2]->send(join ";\n", ('UPDATE races SET n = n + 1') x 60);
$sessions[$_]->send($copies->()) foreach 0, 1;
is(join('', map { ($_->finish)[1] } @sessions), '', 'no error: UPDATE while others COPY');
alike('COPY');
is($cluster->query(1, 'SELECT count(*) FROM vecdb.check_cluster()'), 0, 'nothing to complain of');

# What they wait for, and until when.
my ($one, $two, $three) = @sessions;
my $update = 'UPDATE races SET n = n + 1';
$two->run("BEGIN; SAVEPOINT a; $update");
$three->send($update);
ok($cluster->node(1)->poll_query_until('postgres',
		'SELECT count(*) = 1 FROM vecdb.lock_waits WHERE object LIKE $$copies of relation %$$ AND relation = $$races$$ AND group_id = 1'),
	'an UPDATE waits for another one in the lowest group, and vecdb.lock_waits says for what');
ok(!$three->is_done, 'and waits');
$two->run('ROLLBACK TO a');
is(($three->finish)[1], '', 'until the savepoint is rolled back to');
is(($two->run("$update; SAVEPOINT b"))[1], '', 'then it may be taken again');
is(($two->run('INSERT INTO races (id) VALUES (-1); RELEASE b; COMMIT'))[1], '', 'and rows inserted');
alike('savepoints');
$two->run('BEGIN; INSERT INTO races (id) VALUES (-2)');
is(($three->run('INSERT INTO races (id) VALUES (-3) ON CONFLICT DO NOTHING'))[1], '', 'INSERT does not wait for INSERT');
$one->send("COPY races (id) FROM PROGRAM 'echo -4'");
is(($one->finish)[1], '', 'nor COPY');
$three->send($update);
ok($cluster->node(1)->poll_query_until('postgres', 'SELECT count(*) = 1 FROM vecdb.lock_waits'), 'UPDATE does');
$two->run('COMMIT');
is(($three->finish)[1], '', 'until it has committed');
is($cluster->query_own($_, 'SELECT count(*) FROM races WHERE id < 0 AND n = 0'), 0, "and sees its row in group $_") foreach $cluster->groups;
$_->run("BEGIN; INSERT INTO races (id) VALUES ($$ * 10 + " . ($_ == $two ? 1 : 2) . ')') foreach $two, $three;
$_->send("$update; COMMIT") foreach $two, $three;
my @ends = map { ($_->finish)[1] } $two, $three;
is(scalar(grep { /40P01: deadlock detected/ } @ends), 1, 'two that insert and then update: one is told of a deadlock') or diag(@ends);
alike('a deadlock');

# A transaction that one group shows already and another one not yet: those who
# look for rows wait for it, also if it found its rows by no condition.
sub half_committed
{
	my ($what, $sql, $looks, $group) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $holder = VecdbSessions->new($cluster->node($group));
	my $writer = VecdbSessions->new($cluster->node($group));
	$holder->run("SELECT pg_advisory_lock(30308, hashtext('remote_committed'))");
	$writer->run("SET vecdb.debug_points = 'remote_committed'");
	$writer->send($sql);
	$cluster->node($group)->poll_query_until('postgres',
		q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND classid = 30308 AND NOT granted})
		or die "$what: is not held";
	$three->send($looks);
	my $waits = q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 22084 AND NOT granted};
	wait_until(sub { $three->is_done || grep { $cluster->query_own($_, $waits) > 0 } $cluster->groups });
	ok(!$three->is_done, "who looks for rows waits for $what of group $group");
	$holder->run('SELECT pg_advisory_unlock_all()');
	is(join('', map { ($_->finish)[1] } $writer, $three), '', 'no error');
	alike("$what of group $group");
	$_->quit foreach $holder, $writer;
	return;
}
$cluster->query(1, <<'SQL');
DELETE FROM tags; DELETE FROM labels; UPDATE sums SET n = 0;
INSERT INTO kinds (id) SELECT g FROM generate_series(901, 903) g;
INSERT INTO labels SELECT g, g, '' FROM generate_series(901, 903) g;
INSERT INTO tags SELECT g, g FROM generate_series(901, 903) g;
SQL
foreach my $group (1, 2)
{
	half_committed('SET NULL', "DELETE FROM kinds WHERE id = 900 + $group",
		q{UPDATE labels SET name = name || 'x' WHERE kind IS NULL}, $group);
	half_committed('CASCADE', "DELETE FROM kinds WHERE id = 904 - $group",
		'UPDATE sums SET n = n + (SELECT count(*) FROM tags t WHERE t.id > sums.id)', $group)
	  if $group == 1;
}

# A trigger of a reference table that inserts what it reads of the same one.
$cluster->query(1, <<'SQL');
DELETE FROM log;
CREATE FUNCTION number_it() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO log SELECT count(*) + 1 FROM log;
	RETURN NULL;
END $$;
CREATE TRIGGER number_it AFTER INSERT ON pairs FOR EACH ROW EXECUTE FUNCTION number_it();
SQL
half_committed('INSERT of what was read', "INSERT INTO pairs VALUES (1000 + $_)", "INSERT INTO pairs VALUES (1010 + $_)", $_) foreach 1, 2;
$sessions[$_]->send(join ";\n", map { "INSERT INTO pairs VALUES ($_)" } 2000 + 100 * $_ .. 2030 + 100 * $_) foreach 0 .. 2;
is(join('', map { ($_->finish)[1] } @sessions), '', 'no error: such triggers on three nodes');
alike('triggers that insert what they read');
is($cluster->query(1, 'SELECT count(*) - count(DISTINCT id) FROM log'), 0, 'each has seen those before');
$cluster->query(1, 'DROP TRIGGER number_it ON pairs');

# Many of them, and rows that refer to others.
$cluster->query(1, <<'SQL');
INSERT INTO kinds (id) SELECT g FROM generate_series(1000, 1200) g;
INSERT INTO labels SELECT g, g, '' FROM generate_series(1000, 1200) g;
SQL
$one->send(join ";\n", map { "DELETE FROM kinds WHERE id = $_" } 1000 .. 1060);
$two->send(join ";\n", map { "DELETE FROM kinds WHERE id = $_; INSERT INTO labels VALUES (1000 + $_, 1200, '')" } 1061 .. 1120);
$three->send(join ";\n", (q{UPDATE labels SET name = coalesce(name, '') || 'y' WHERE kind IS NULL}) x 60);
is(join('', map { ($_->finish)[1] } $one, $two, $three), '', 'no error: UPDATE while others cascade');
alike('cascades');

# What a statement's functions see is what it sees itself, once it has its turn.
$cluster->query(1, <<'SQL');
DELETE FROM sums; INSERT INTO sums VALUES (1, 0);
CREATE FUNCTION count_log() RETURNS trigger LANGUAGE plpgsql IMMUTABLE AS 'BEGIN NEW.n := (SELECT count(*) FROM log); RETURN NEW; END';
CREATE TRIGGER count_log BEFORE UPDATE ON sums FOR EACH ROW EXECUTE FUNCTION count_log();
SQL
foreach my $session ($one, $two)
{
	$three->run('BEGIN; INSERT INTO log VALUES (-7); UPDATE sums SET n = 0');
	$session->send('UPDATE sums SET n = 0');
	ok($cluster->node(1)->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 22084 AND NOT granted}),
		'a writer waits for its turn');
	$three->run('COMMIT');
	is(($session->finish)[1], '', 'and has it');
	is($cluster->query_own($_, 'SELECT n - (SELECT count(*) FROM log) FROM sums'), 0, "its trigger has seen what was committed in group $_") foreach $cluster->groups;
}
$cluster->query(1, 'DROP TRIGGER count_log ON sums');

# A snapshot that is older than what others did.
$three->run('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM things');
$one->run('INSERT INTO races (id) VALUES (-5)');
like(($three->run($update))[1], qr/40001: could not serialize access due to concurrent changes of reference table "races"/,
	'rows that the snapshot does not show');
$three->run('ROLLBACK');
$three->run('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM things');
$one->run('UPDATE things SET kind = 3 WHERE id < 10; INSERT INTO tags VALUES (-1, 1)');
is(($three->run("$update; COMMIT"))[1], '', 'other tables may change');
alike('an old snapshot');

$cluster->refused(2, q{SELECT vecdb.lock_copies('public', 'races')}, qr/can be called by other nodes only/);
$_->quit foreach @sessions;

is_deeply([ $cluster->crashes ], [], 'no process has crashed');
is($cluster->prepared_left, 0, 'no prepared transaction is left');
done_testing();
