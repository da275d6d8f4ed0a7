# Who and when: views of other owners, functions that are called by triggers and
# by clients, snapshots of before a table was distributed.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use VecdbCluster;

my $cluster = VecdbCluster->new('modes', groups => 3)->start;

# what psql prints, errors as well
sub said
{
	my ($sql, $group) = @_;
	my ($rc, $out, $err) = $cluster->try($group // 1, $sql, on_error_stop => 0);
	return join "\n", grep { $_ ne '' } $out, $err;
}

# Views: the groups ask for the permissions of the owner.
$cluster->query(1, <<'SQL');
CREATE ROLE owner1;
CREATE ROLE guest LOGIN;
CREATE TABLE things (id int PRIMARY KEY, a int, note text);
CREATE TABLE kinds (id int PRIMARY KEY, a int);
ALTER TABLE things OWNER TO owner1;
ALTER TABLE kinds OWNER TO owner1;
GRANT CREATE, USAGE ON SCHEMA public TO guest, owner1;
SELECT vecdb.distribute_table('things');
SELECT vecdb.replicate_table('kinds');
SET ROLE owner1;
INSERT INTO things SELECT g, g, 'n' FROM generate_series(1, 20) g;
INSERT INTO kinds SELECT g, 10 * g FROM generate_series(1, 5) g;
CREATE VIEW all_things AS SELECT * FROM things;
CREATE VIEW all_kinds AS SELECT * FROM kinds;
GRANT ALL ON all_things, all_kinds TO guest;
SQL
my $guest = 'SET ROLE guest;';
like(said("$guest UPDATE things SET a = 1"), qr/permission denied for table things/, 'a table of another');
is(said("$guest INSERT INTO all_things SELECT g, g FROM generate_series(21, 30) g RETURNING id"),
	join("\n", 21 .. 30), 'INSERT into a view of another');
is(said("$guest WITH x AS MATERIALIZED (SELECT 1) UPDATE all_things SET a = a + 1 WHERE id < 4; SELECT id, a FROM all_things WHERE id < 5 ORDER BY id"),
	"1|2\n2|3\n3|4\n4|4", 'UPDATE');
is(said("$guest UPDATE all_things SET a = 100 WHERE id = $_ RETURNING a"), 100, "UPDATE of row $_") foreach 5 .. 9;
is(said("$guest DELETE FROM all_things WHERE id > 10; SELECT count(*) FROM all_things"), 10, 'DELETE');
is(said("$guest INSERT INTO all_things VALUES (1, 7), (2, 7), (40, 7) ON CONFLICT (id) DO UPDATE SET a = excluded.a RETURNING id, a"),
	"1|7\n2|7\n40|7", 'ON CONFLICT');
is(said("$guest UPDATE all_things SET a = k.a FROM all_kinds k WHERE k.id = all_things.id; SELECT sum(a) FROM all_things WHERE id < 6"),
	150, 'UPDATE FROM another view');
is(said("$guest UPDATE all_kinds SET a = 3; SELECT DISTINCT a FROM all_kinds"), 3, 'a reference table');
$cluster->query(1, 'GRANT ALL ON kinds TO guest');
like(said("$guest UPDATE all_things SET a = k.a FROM kinds k WHERE k.id = all_things.id"),
	qr/with the permissions of several roles/, 'a view and a table');
is(said('SET ROLE owner1; UPDATE all_things SET a = -1 WHERE id < 3 RETURNING a'), "-1\n-1", 'the owner by himself');

# Functions of users must not get the owner's permissions.
$cluster->query(1, <<'SQL');
SET ROLE guest;
CREATE FUNCTION who() RETURNS text LANGUAGE plpgsql VOLATILE AS 'BEGIN RETURN current_user; END';
CREATE FUNCTION who_for(int) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN current_user; END';
CREATE FUNCTION leak(text) RETURNS bool LANGUAGE plpgsql IMMUTABLE COST 0.0001 AS $$
BEGIN
	IF current_user <> 'guest' THEN RAISE EXCEPTION 'leaked as %', current_user; END IF;
	RETURN true;
END $$;
CREATE DOMAIN checked AS text CHECK (leak(VALUE));
SQL
foreach my $group (2, 3)
{
	$cluster->query($group, <<'SQL') if $cluster->query($group, "SELECT to_regproc('who_for') IS NULL") eq 't';
SET ROLE guest;
CREATE FUNCTION who() RETURNS text LANGUAGE plpgsql VOLATILE AS 'BEGIN RETURN current_user; END';
CREATE FUNCTION who_for(int) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN current_user; END';
CREATE FUNCTION leak(text) RETURNS bool LANGUAGE plpgsql IMMUTABLE COST 0.0001 AS
	$$ BEGIN IF current_user <> 'guest' THEN RAISE EXCEPTION 'leaked as %', current_user; END IF; RETURN true; END $$;
CREATE DOMAIN checked AS text CHECK (leak(VALUE));
SQL
}
is(said("$guest SELECT count(*) FROM all_things WHERE leak(note)"), 11, 'a condition');
is(said("$guest SELECT DISTINCT who_for(id) FROM all_things"), 'guest', 'a result');
is(said("$guest SELECT who_for(a), count(*) FROM all_things GROUP BY 1"), 'guest|11', 'a group');
is(said("$guest SELECT count(note::checked) FROM all_things WHERE note::checked <> 'x'"),
	said("SELECT count(note) FROM all_things WHERE note <> 'x'"), 'a domain');
foreach my $sql ('UPDATE all_things SET note = who()', 'DELETE FROM all_things WHERE leak(note)',
	'UPDATE all_things SET note = note::checked')
{
	like(said("$guest $sql"), qr/cannot write to table "things" through a view of another owner/, $sql);
}
$cluster->query(1, <<'SQL');
CREATE FUNCTION pass() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER pass BEFORE UPDATE ON things FOR EACH ROW EXECUTE FUNCTION pass();
SQL
like(said("$guest UPDATE all_things SET a = 1"), qr/through a view of another owner/, 'triggers');

# A function's plans depend on whether a trigger or a client calls it.
my $counter = q{CREATE FUNCTION counted() RETURNS int LANGUAGE plpgsql VOLATILE AS 'BEGIN RETURN (SELECT count(*) FROM base); END'};
$cluster->query(1, <<"SQL");
CREATE TABLE base (id int PRIMARY KEY, x int);
INSERT INTO base SELECT generate_series(1, 90);
CREATE TABLE noted (id int PRIMARY KEY, seen int);
$counter;
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.seen := counted(); RETURN NEW; END';
CREATE TRIGGER note BEFORE INSERT ON noted FOR EACH ROW EXECUTE FUNCTION note();
SELECT vecdb.distribute_table('base');
SELECT vecdb.distribute_table('noted', colocate_with => 'base');
SQL
$cluster->query($_, "SELECT to_regproc('counted') IS NULL") eq 't' && $cluster->query($_, $counter) foreach 2, 3;
my $share = join "\n", map { $cluster->query($_, 'SELECT count(*) FROM base',
		connstr => $cluster->node($_)->connstr('postgres') . " options='-c vecdb.internal=on'") } $cluster->groups;
# into several groups, and into the own one alone
my $several = sub { "INSERT INTO noted SELECT generate_series($_[0], $_[0] + 11)" };
is(said($several->(1) . '; SELECT counted(); ' . $several->(13) . '; SELECT counted(); ' . $several->(25)),
	"90\n90", 'first called by a trigger, then by a client');
is(said('SELECT counted(); SELECT counted(); ' . $several->(37) . '; SELECT counted()'), "90\n90\n90",
	'first called by a client');
is($cluster->query(1, "SELECT string_agg(DISTINCT seen::text, ',' ORDER BY seen::text) FROM noted GROUP BY vecdb.group_of('noted', id) ORDER BY vecdb.group_of('noted', id)"),
	$share, 'each trigger counts the rows of its group');
my ($rc, $out) = $cluster->try(1, $several->(61) . ' UNION ALL SELECT 1; SELECT counted()', on_error_stop => 0);
is($out, 90, 'a trigger called it, and then came an error');
is(said(<<'SQL'), '90', 'in a loop');
CREATE FUNCTION loops() RETURNS int LANGUAGE plpgsql AS $$
DECLARE n int;
BEGIN
	FOR i IN 1..8 LOOP
		INSERT INTO noted VALUES (i + 100), (i + 200), (i + 300), (i + 400);
		n := counted();
	END LOOP;
	RETURN n;
END $$;
SELECT loops();
SQL
is(said("COPY noted (id) FROM stdin;\n501\n502\n503\n504\n505\n506\n\\.\nSELECT counted(); SELECT count(DISTINCT seen) FROM noted"),
	"90\n3", 'COPY');

# Plans of triggers are made for a statement, and not again for each row that it
# returns.
sub plannings
{
	my ($sql) = @_;
	my ($rc, $out, $err) = $cluster->try(1, "SET log_planner_stats = on; SET client_min_messages = log; $sql");
	is($rc, 0, $sql) or diag($err);
	return scalar(() = $err =~ /PLANNER STATISTICS/g);
}
$cluster->query(1, 'DELETE FROM noted');
my $plannings = plannings('INSERT INTO noted SELECT generate_series(1, 600) RETURNING seen');
cmp_ok($plannings, '<', 100, 'plannings for some 200 rows of the own group') or diag($plannings);
cmp_ok($plannings, '>', 2, 'are counted');

# A shard function is not looked up anew because a plan was thrown away.
$cluster->query(1, <<'SQL');
CREATE FUNCTION third(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 % 3; END';
CREATE TABLE custom (id int PRIMARY KEY, seen int);
SELECT vecdb.distribute_table('custom', 'id', 'custom', 3, shard_function => 'third(int)');
CREATE TRIGGER note BEFORE INSERT ON custom FOR EACH ROW EXECUTE FUNCTION note();
SQL
my $more = q{DO $$ BEGIN FOR i IN 1 .. 60 LOOP INSERT INTO custom SELECT coalesce(max(id), 0) + 1 FROM custom; END LOOP; END $$};
my $used = q{SELECT sum(used_bytes) FROM pg_backend_memory_contexts WHERE name = 'vecdb table'};
my @used = split /\n/, $cluster->query(1, "SELECT vecdb.group_of('custom', 1); $more; $used; $more; $more; $used; SELECT count(*) FROM custom");
is($used[2], $used[1], 'nor does it leave memory behind') or diag("@used");
is($used[3], 180, 'rows are where they belong');
$cluster->query(1, 'CREATE OR REPLACE FUNCTION third(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN ($1 + 1) % 3; END $$; DELETE FROM custom');
is(said(<<'SQL'), "2\n0", 'a shard function that is replaced');
SELECT vecdb.shard_of('custom', 1);
CREATE OR REPLACE FUNCTION third(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN ($1 + 2) % 3; END $$;
SELECT vecdb.shard_of('custom', 1);
SQL
$cluster->query(1, 'DROP TABLE custom');

# What a trigger must not do, whatever the words.
$cluster->query(1, <<'SQL');
DROP TRIGGER note ON noted;
CREATE FUNCTION other() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_ARGV[0] = 'merge' THEN
		MERGE INTO base b USING (VALUES (NEW.id + 1000)) v (i) ON b.id = v.i WHEN NOT MATCHED THEN INSERT (id) VALUES (v.i);
	ELSIF TG_ARGV[0] = 'with' THEN
		WITH x AS (INSERT INTO base VALUES (NEW.id + 1000) RETURNING id) SELECT id INTO NEW.seen FROM x;
	ELSIF TG_ARGV[0] = 'key' THEN
		UPDATE base SET id = id + 1000 WHERE id = NEW.id - 999;
	ELSIF TG_ARGV[0] = 'conflict' THEN
		INSERT INTO base VALUES (NEW.id, 1) ON CONFLICT (id) DO UPDATE SET id = 5000;
	ELSE
		INSERT INTO base VALUES (NEW.id, 1);
		INSERT INTO base VALUES (NEW.id, 1) ON CONFLICT (id) DO UPDATE SET x = base.x + 1;
		UPDATE base SET id = id, x = x + 1 WHERE id = NEW.id;
		MERGE INTO base b USING (VALUES (NEW.id)) v (i) ON b.id = v.i WHEN MATCHED THEN UPDATE SET x = x + 1;
	END IF;
	RETURN NEW;
END $$;
SQL
my %messages = (
	merge => qr/cannot insert a row of group \d into distributed table "base"/,
	with => qr/cannot write to distributed table "base" in a WITH clause/,
	key => qr/cannot change column "id" of table "base"/,
	conflict => qr/cannot change column "id" of table "base"/,
	fine => qr/^$/);
foreach my $how (qw(merge with key conflict fine))
{
	$cluster->query(1, "CREATE OR REPLACE TRIGGER other BEFORE INSERT ON noted FOR EACH ROW EXECUTE FUNCTION other('$how')");
	like(said('INSERT INTO noted SELECT generate_series(1000, 1011)', $_), $messages{$how}, "trigger: $how, group $_")
	  foreach ($how eq 'fine' ? 1 : $cluster->groups);
}
is(said('SELECT x, count(*) FROM base WHERE id >= 1000 GROUP BY x'), '4|12', 'what it may do');
$cluster->query(1, 'DROP TRIGGER other ON noted');
# a function that is no trigger
$cluster->query(1, 'CREATE TABLE written (id int PRIMARY KEY)');
$cluster->query(1, "SELECT vecdb.distribute_table('written')");
my $writer = q{CREATE FUNCTION writer(k int) RETURNS int LANGUAGE plpgsql VOLATILE AS 'BEGIN INSERT INTO written VALUES (k); RETURN k; END'};
$cluster->query($_, "SELECT to_regproc('writer') IS NULL") eq 't' && $cluster->query($_, $writer) foreach $cluster->groups;
like(said('UPDATE noted SET seen = writer(id + 1)'), qr/cannot insert a row of group \d into distributed table "written"/,
	'a function in SET');

# a trigger that gives a row another key
$cluster->query(1, <<'SQL');
CREATE TABLE moved (id int PRIMARY KEY, x int);
CREATE FUNCTION move() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.id := NEW.id + 1000; RETURN NEW; END';
CREATE TRIGGER move BEFORE INSERT OR UPDATE ON moved FOR EACH ROW EXECUTE FUNCTION move();
SELECT vecdb.distribute_table('moved');
SQL
foreach my $group ($cluster->groups)
{
	my $sql = 'INSERT INTO moved SELECT generate_series(1, 20)';
	like(said($sql, $group), qr/cannot insert a row of group \d into distributed table "moved"/, "rows that go elsewhere, group $group");
	foreach my $id (1 .. 8)
	{
		my ($from, $to) = split /,/, $cluster->query(1, "SELECT vecdb.group_of('moved', $id) || ',' || vecdb.group_of('moved', $id + 1000)");
		like(said("BEGIN; INSERT INTO moved VALUES ($id) RETURNING id; ROLLBACK", $group),
			$from == $to ? qr/^@{[ $id + 1000 ]}$/ : qr/cannot insert a row of group/, "row $id, group $group");
	}
}
is(said("SELECT count(*) FROM vecdb.check_cluster()"), 0, 'each row is where it belongs');

# A snapshot is older than the distribution of a table.
$cluster->query(1, 'CREATE TABLE late (id int PRIMARY KEY); INSERT INTO late SELECT generate_series(1, 30)');
$cluster->query(1, 'CREATE TABLE early (id int PRIMARY KEY); INSERT INTO early SELECT generate_series(1, 30)');
$cluster->query(1, "SELECT vecdb.distribute_table('early')");
foreach my $level ('REPEATABLE READ', 'SERIALIZABLE')
{
	my $session = $cluster->node(1)->background_psql('postgres', on_error_stop => 0);
	my $ask = sub { return $session->query($_[0]) };
	$ask->("BEGIN ISOLATION LEVEL $level");
	is($ask->('SELECT count(*) FROM base'), 102, "$level: a snapshot is taken");
	$cluster->query(1, "SELECT vecdb.distribute_table('late')");
	$cluster->query(1, "SELECT vecdb.undistribute_table('early')");
	$ask->("SAVEPOINT a");
	foreach my $table ('late', 'early')
	{
		is($ask->("SELECT 'counted ' || count(*) FROM $table"), '', "$level: $table");
		$ask->('ROLLBACK TO a');
	}
	$ask->('COMMIT');
	is($ask->('SELECT count(*) FROM late UNION ALL SELECT count(*) FROM early'), "30\n30", "$level: afterwards");
	$session->quit;
	$cluster->query(1, "SELECT vecdb.undistribute_table('late')");
	$cluster->query(1, "SELECT vecdb.distribute_table('early')");
}

is_deeply([ $cluster->crashes ], [], 'no process has crashed');

done_testing();
