# Does an INSERT into a distributed table, in each of its forms, do what it does
# on one server, and is each row where its shard is?

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use VecdbCluster;
use VecdbWrites;

my $cluster = VecdbCluster->new('insert', groups => 3)->start;

my $schema = q{
	CREATE TABLE items (id int PRIMARY KEY, name text, n int DEFAULT 7,
		twice int GENERATED ALWAYS AS (n * 2) STORED,
		made timestamptz DEFAULT '2024-01-01 00:00+00', v vector(3),
		CHECK (n < 1000));
	CREATE TABLE pairs (a int, b text, c numeric(10,2), tags text[],
		PRIMARY KEY (a, b));
	CREATE TABLE kinds (id int PRIMARY KEY, name text);
	CREATE TABLE plain (id int, name text);
	CREATE TABLE named (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
		name text);
	CREATE TABLE counted (id serial PRIMARY KEY, name text);
};
$cluster->query_both($schema);
$cluster->query(1, q{
	SELECT vecdb.distribute_table('items');
	SELECT vecdb.distribute_table('pairs');
	SELECT vecdb.replicate_table('kinds');
	SELECT vecdb.distribute_table('named');
	SELECT vecdb.distribute_table('counted');
});

my $writes = VecdbWrites->new($cluster);
sub both { local $Test::Builder::Level = $Test::Builder::Level + 1; return $writes->both(@_); }

# one row
both("INSERT INTO items (id, name) VALUES ($_, 'one $_')") foreach 1 .. 6;
both("INSERT INTO items VALUES (7, 'x', DEFAULT, DEFAULT, DEFAULT, '[1,2,3]') RETURNING *");
both("INSERT INTO items (name, id) VALUES ('y', 8) RETURNING id + 1 AS next, upper(name), twice");
both("INSERT INTO items (id) VALUES (9) RETURNING 1");
both("INSERT INTO items (id) VALUES (10) RETURNING tableoid::regclass, items.id");
both("INSERT INTO items (id) VALUES (NULL)") for 1 .. 2;
both("INSERT INTO items (id) VALUES (1)") for 1 .. 3;
both("INSERT INTO items (id, n) VALUES (11, 1000)") for 1 .. 3;
both("INSERT INTO items (id, v) VALUES (12, '[1,2]')") for 1 .. 3;
both("INSERT INTO items (id, twice) VALUES (13, 1)");
both("INSERT INTO pairs VALUES (1, 'a', 1.005, '{x,NULL,\"y z\"}') RETURNING *");

# many rows
both("INSERT INTO items (id, name) SELECT g, 'row ' || g FROM generate_series(101, 600) g");
both("INSERT INTO items (id, name, v) VALUES " . join(', ', map { "($_, 'v$_', '[$_,0,1]')" } 601 .. 800) . " RETURNING id, name, twice, v", ordered => 1, what => '200 rows of VALUES, returned in order');
both("INSERT INTO items (name, id) SELECT p0, p1 FROM (VALUES ('a', 901, 0), ('b', 902, 1), ('c', 903, 2), ('d', 904, 3)) AS t (p0, p1, n) ORDER BY n RETURNING id, id AS again", ordered => 1);
both("INSERT INTO items (id, name) SELECT id + 10000, name FROM items");
both("INSERT INTO items (id, name) SELECT id + 20000, name FROM items WHERE id < 20 ORDER BY id RETURNING id", ordered => 1);
both("INSERT INTO items (id) SELECT 1 WHERE false");
both("WITH s AS (SELECT g FROM generate_series(30001, 30050) g) INSERT INTO items (id, n) SELECT g, g - 30000 FROM s RETURNING n, twice");
both("INSERT INTO items (id) VALUES ((SELECT max(id) + 1 FROM items))");
both("INSERT INTO pairs SELECT g, 'b' || g, g / 3.0, ARRAY[g::text] FROM generate_series(1, 300) g RETURNING a, c, tags");
both("INSERT INTO plain SELECT id, name FROM items", group => 1);
both("INSERT INTO items (id, name) SELECT id + 50000, name FROM plain WHERE id < 300", group => 1);
both("SELECT count(*), sum(id), sum(twice), min(v::text) FROM items");
$writes->in_place('items', 'rows of VALUES and SELECT');
$writes->in_place('pairs', 'a key of two columns');

# a row that fails takes all with it, wherever it is
both("INSERT INTO items (id, n) SELECT g, CASE g WHEN $_ THEN 1000 ELSE 1 END FROM generate_series(60001, 60200) g", what => "a constraint fails at row $_")
  foreach 60001, 60002, 60003, 60150, 60200;
both("INSERT INTO items (id) SELECT g FROM generate_series(60001, 60200) g UNION ALL SELECT $_")
  foreach 1, 2, 3, 4;
both("SELECT count(*) FROM items WHERE id BETWEEN 60001 AND 60200");

# ON CONFLICT
both("INSERT INTO items (id, name) VALUES (1, 'again'), (2, 'again'), (1001, 'new') ON CONFLICT DO NOTHING RETURNING id");
both("INSERT INTO items (id, name) VALUES (1, 'u1'), (2, 'u2'), (3, 'u3'), (1002, 'u4') ON CONFLICT (id) DO UPDATE SET name = items.name || excluded.name, id = excluded.id RETURNING id, name", ordered => 1);
both("INSERT INTO items AS t (id, name) SELECT g, 'many' FROM generate_series(1, 200) g ON CONFLICT (id) DO UPDATE SET name = excluded.name, made = '2025-01-01 00:00+00', n = t.n + 1 WHERE t.id % 2 = 0");
both("INSERT INTO items (id, name) VALUES ($_, 'twice'), ($_, 'twice') ON CONFLICT (id) DO UPDATE SET name = 'twice'") foreach 1, 2, 3, 70001, 70002;
both("INSERT INTO items (id, name) VALUES (4, 'c') ON CONFLICT ON CONSTRAINT items_pkey DO UPDATE SET name = (SELECT max(name) FROM items WHERE id < 10) RETURNING name");
both("INSERT INTO pairs (a, b, c) VALUES (1, 'b1', 5), (2, 'zz', 6) ON CONFLICT (a, b) DO UPDATE SET c = excluded.c + pairs.c RETURNING *");
both("INSERT INTO items (id, name) VALUES (5, 'x') ON CONFLICT (name) DO NOTHING");
both("SELECT id, name, n, made AT TIME ZONE 'UTC' FROM items WHERE id < 210 OR id > 1000");
$writes->in_place('items', 'after ON CONFLICT');
is($cluster->query(1, join(";\n", 'BEGIN', (map {
		"INSERT INTO items (id, name) SELECT g, 'long' FROM generate_series(1, 1000 + 10 * $_) g ON CONFLICT (id) DO UPDATE SET name = excluded.name"
	} 1 .. 5),
	q{SELECT count(*) FROM pg_backend_memory_contexts
		WHERE name = 'CachedPlanSource' AND ident LIKE 'INSERT INTO public.items %'}, 'ROLLBACK')), 0,
	'long statements of the own group are not kept');
$cluster->refused($_, "INSERT INTO items (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET id = 5",
	qr/cannot change column "id" of table "items"/) foreach 1 .. 3;

# sequences: numbers differ from those of one server, but not from one another
foreach my $table ('named', 'counted')
{
	foreach my $group ($cluster->groups)
	{
		my @ids = split /\n/, $cluster->query($group,
			"INSERT INTO $table (name) VALUES ('a'), ('b'), ('c') RETURNING id");
		is(scalar(@ids), 3, "$table: three keys from group $group");
		$cluster->query($group, "INSERT INTO $table (name) SELECT 'x' FROM generate_series(1, 50)");
	}
	is($cluster->query(1, "SELECT count(*), count(DISTINCT id) FROM $table"),
		'159|159', "$table: keys from three nodes are different");
	$writes->in_place($table, $table);
}
$cluster->refused(1, "INSERT INTO named VALUES (5, 'x')", qr/cannot insert a non-DEFAULT value into column "id"/);
$cluster->query(1, "INSERT INTO named OVERRIDING SYSTEM VALUE VALUES (-5, 'x')");
is($cluster->query(2, "SELECT name FROM named WHERE id = -5"), 'x', 'OVERRIDING SYSTEM VALUE');
$cluster->query(2, "INSERT INTO named OVERRIDING USER VALUE VALUES (-6, 'y')");
is($cluster->query(3, "SELECT count(*) FROM named WHERE id = -6"), '0', 'OVERRIDING USER VALUE');

# prepared statements, also when the plan is a generic one
my $prepared = "PREPARE p (int, text, vector) AS INSERT INTO items (id, name, v) VALUES (\$1, \$2, \$3) RETURNING id, v;"
  . join(';', map { "EXECUTE p ($_, 'p', '[$_,1,2]')" } 80001 .. 80020);
both($prepared, what => 'prepared');
both("SET plan_cache_mode = force_generic_plan; $prepared", what => 'prepared, again the same keys');
$prepared =~ s/800/810/g;
both("SET plan_cache_mode = force_generic_plan; $prepared", what => 'prepared, generic plan');
both("DO \$\$ BEGIN FOR k IN 82001..82100 LOOP INSERT INTO items (id, name) VALUES (k, 'loop'); END LOOP; END \$\$; SELECT count(*) FROM items WHERE name = 'loop'");

# transactions
both("BEGIN; INSERT INTO items (id) SELECT g FROM generate_series(90001, 90030) g; SELECT count(*) FROM items WHERE id > 90000; ROLLBACK; SELECT count(*) FROM items WHERE id > 90000");
both("BEGIN; INSERT INTO items (id) VALUES (90001); SAVEPOINT a; INSERT INTO items (id) VALUES (90002), (90003), (90004); ROLLBACK TO a; INSERT INTO items (id) VALUES (90005), (90006), (90007); COMMIT; SELECT id FROM items WHERE id > 90000");
both("BEGIN; INSERT INTO items (id) VALUES (90011), (90012), (90013); SAVEPOINT a; INSERT INTO items (id) VALUES (90014), (1), (2), (3); ROLLBACK TO a; INSERT INTO items (id) VALUES (90015); COMMIT; SELECT id FROM items WHERE id > 90010");
both("BEGIN READ ONLY; INSERT INTO items (id) VALUES ($_); ROLLBACK") foreach 90021 .. 90023;
$writes->in_place('items', 'after transactions');

# reference tables
both("INSERT INTO kinds SELECT g, 'kind ' || g FROM generate_series(1, 20) g");
both("INSERT INTO kinds VALUES (21, 'x'), (22, 'y') RETURNING *");
both("INSERT INTO kinds VALUES (21, 'z'), (23, 'y') ON CONFLICT (id) DO UPDATE SET name = excluded.name RETURNING *");
both("INSERT INTO kinds VALUES (24, 'x'), (1, 'y')");
foreach my $group ($cluster->groups)
{
	is($writes->own($group, 'SELECT count(*), max(name) FROM kinds'),
		$cluster->single->safe_psql('postgres', 'SELECT count(*), max(name) FROM kinds'),
		"group $group has all rows of the reference table");
}

# A trigger writes in the group of its row: rows of that group, no others.
$cluster->query(1, q{
	CREATE TABLE watched (id int PRIMARY KEY, name text);
	CREATE TABLE seen (id int, n int DEFAULT 1, PRIMARY KEY (id, n));
	CREATE TABLE noted (id int PRIMARY KEY);
	CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN INSERT INTO seen (id) VALUES (NEW.id); RETURN NEW; END';
	CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN INSERT INTO noted VALUES (NEW.id * 7919 + 13); RETURN NEW; END';
	CREATE TRIGGER see AFTER INSERT ON watched FOR EACH ROW EXECUTE FUNCTION see();
	SELECT vecdb.distribute_table('watched');
	SELECT vecdb.distribute_table('seen', 'id', colocate_with => 'watched');
	SELECT vecdb.distribute_table('noted');
	INSERT INTO watched SELECT g FROM generate_series(1, 100) g;
});
is($cluster->query(2, 'SELECT count(*), sum(id) FROM seen'), '100|5050', 'triggers write into a colocated table');
$writes->in_place('seen', 'written by triggers');
$cluster->query(1, 'DROP TRIGGER see ON watched; CREATE TRIGGER note AFTER INSERT ON watched FOR EACH ROW EXECUTE FUNCTION note()');
$cluster->refused($_, 'INSERT INTO watched SELECT g FROM generate_series(101, 150) g',
	qr/a trigger cannot insert a row of group \d into distributed table "noted"/) foreach $cluster->groups;
is($cluster->query(1, 'SELECT count(*) FROM watched'), 100, 'nothing stays of what a trigger refused');
$writes->in_place('noted', 'written by triggers');

# rights
$cluster->query_all("DO \$\$ BEGIN CREATE ROLE reader; EXCEPTION WHEN duplicate_object THEN NULL; END \$\$");
$cluster->refused(1, "SET ROLE reader; INSERT INTO items (id) VALUES ($_)", qr/permission denied for table items/)
  foreach 99991 .. 99993;

is($cluster->prepared_left, 0, 'no prepared transaction is left');
$cluster->stop;
done_testing();
