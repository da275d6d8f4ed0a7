# Which plans do statements get, and what is refused?

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use VecdbCluster;

my $cluster = VecdbCluster->new('plans', groups => 3)->start;
$cluster->query(1, <<'SQL');
CREATE TABLE items (id bigint PRIMARY KEY, tenant int, title text,
	embedding vector(3));
CREATE TABLE orders (item_id bigint, n int, amount int,
	PRIMARY KEY (item_id, n));
CREATE TABLE ref (code int PRIMARY KEY, name text);
CREATE TABLE ordinary (id bigint);
INSERT INTO items SELECT i, i % 7, 'title ' || i,
	ARRAY[i % 11, i % 13, i % 17]::real[]::vector(3)
	FROM generate_series(1, 500) i;
INSERT INTO orders SELECT i % 100, i / 100, i % 9
	FROM generate_series(1, 500) i;
INSERT INTO ref SELECT i, 'code ' || i FROM generate_series(0, 6) i;
SQL
$cluster->query(1, $_) foreach (
	"SELECT vecdb.distribute_table('items')",
	"SELECT vecdb.distribute_table('orders', 'item_id', colocate_with => 'items')",
	"SELECT vecdb.replicate_table('ref')");
$cluster->query($_, 'ANALYZE') foreach $cluster->groups;

sub plan_of
{
	my ($sql, $options) = @_;
	$options //= 'COSTS OFF, VERBOSE';
	return $cluster->query(1, "EXPLAIN ($options) $sql");
}

# statements pinned to a group
my %key;
foreach my $group ($cluster->groups)
{
	$key{$group} = $cluster->node($group)->safe_psql('postgres',
		'SELECT min(id) FROM items',
		connstr => $cluster->node($group)->connstr('postgres') .
		  " options='-c vecdb.internal=on'");
	like($key{$group}, qr/^\d+$/, "group $group has rows");
}
unlike(plan_of("SELECT * FROM items WHERE id = $key{1}"), qr/Fan-out/,
	'what the own group has is planned as on a single server');
like(plan_of("SELECT * FROM items WHERE id = $key{2}"),
	qr/Groups: 2\n\s*Shard Statement: SELECT/,
	'what another group has is sent there as a whole');
like(plan_of("SELECT count(*) FROM items i JOIN orders o ON o.item_id = i.id WHERE i.id = $key{3}"),
	qr/Groups: 3\n\s*Shard Statement: SELECT count\(\*\)/,
	'equality goes through joins');
unlike(plan_of("SELECT * FROM ref"), qr/Fan-out/,
	'reference tables are read here');
unlike(plan_of("SELECT * FROM ordinary"), qr/Fan-out/,
	'ordinary tables are ordinary');

# generic plans
my $generic = $cluster->query(1, <<'SQL');
SET plan_cache_mode = force_generic_plan;
PREPARE p(bigint) AS SELECT title FROM items WHERE id = $1;
EXPLAIN (COSTS OFF) EXECUTE p(1);
PREPARE q(vector, int) AS SELECT id FROM items ORDER BY embedding <-> $1 LIMIT $2;
EXPLAIN (COSTS OFF, VERBOSE) EXECUTE q('[1,2,3]', 3);
SQL
like($generic, qr/Groups: by key, one/, 'a generic plan finds the group later');
like($generic, qr/LIMIT \(\$2\)::bigint/, 'LIMIT may be a parameter');

# order and limit
like(plan_of("SELECT id FROM items ORDER BY embedding <-> '[1,2,3]' LIMIT 4 OFFSET 3"),
	qr/Limit.*Merge Key: .*<->.*LIMIT '7'::bigint/s, 'top k at the groups');
unlike(plan_of("SELECT id FROM items ORDER BY embedding <-> '[1,2,3]' LIMIT 4"),
	qr/Sort /, 'and no sort here');
like(plan_of("SELECT id, embedding <-> '[1,2,3]' FROM items ORDER BY embedding <-> '[1,2,3]' LIMIT 4"),
	qr/Shard Statement: SELECT \(embedding OPERATOR\(public.<->\) \(\$1\)::public.vector\) AS "vecdb:1", id AS "vecdb:2" FROM/,
	'a distance is computed once, and vectors stay where they are');
like(plan_of("SELECT id FROM items LIMIT 4"),
	qr/Limit.*LIMIT '4'::bigint/s, 'a limit without order');
unlike(plan_of("SELECT id FROM items WHERE random() < 0.5 LIMIT 4"),
	qr/Shard Statement:.*(LIMIT|random)/, 'not with what is tested here');
like(plan_of("SELECT o.id, s.id FROM ordinary o, LATERAL (SELECT i.id FROM items i WHERE i.tenant = o.id ORDER BY i.embedding <-> '[1,2,3]' LIMIT 2) s"),
	qr/Nested Loop.*Shard Statement:.*\(tenant = \(\$\d\)::bigint\).*LIMIT '2'/s, 'a search for each row');
like(plan_of("SELECT * FROM ordinary o JOIN items i ON i.id = o.id", 'COSTS OFF'),
	qr/Fan-out/, 'a join with an ordinary table');

# joins
like(plan_of("SELECT i.id FROM items i JOIN orders o ON o.item_id = i.id WHERE o.amount = 3"),
	qr/^Custom Scan.*Shard Statement:.*items i, public.orders o/s, 'colocated join');
like(plan_of("SELECT i.id FROM items i LEFT JOIN ref r ON r.code = i.tenant ORDER BY r.name, i.id LIMIT 2"),
	qr/LEFT JOIN public.ref r.*LIMIT '2'/s, 'join with a reference table, limited');
unlike(plan_of("SELECT i.id, r.name FROM ref r LEFT JOIN items i ON r.code = i.tenant"),
	qr/Shard Statement:.*JOIN/, 'not where the reference table is kept');
unlike(plan_of("SELECT i.id FROM items i JOIN orders o ON o.n = i.id"),
	qr/Shard Statement:.*items.*orders/, 'not by another column');

# EXISTS and IN
like(plan_of("SELECT id FROM items i WHERE EXISTS (SELECT FROM orders o WHERE o.item_id = i.id AND o.amount > 3) ORDER BY embedding <-> '[1,2,3]' LIMIT 3"),
	qr/Shard Statement:.*WHERE \(EXISTS \(.*LIMIT '3'/s, 'EXISTS in a search');
like(plan_of("SELECT id FROM items i WHERE NOT EXISTS (SELECT FROM orders o WHERE o.item_id = i.id)"),
	qr/Shard Statement:.*NOT \(EXISTS/s, 'NOT EXISTS');
unlike(plan_of("SELECT code FROM ref r WHERE EXISTS (SELECT FROM items i WHERE i.tenant = r.code)"),
	qr/Shard Statement:.*EXISTS/s, 'not of a reference table');
like(plan_of("SELECT DISTINCT tenant FROM items"),
	qr/HashAggregate.*Shard Statement:.*GROUP BY tenant/s, 'DISTINCT');

# aggregates
like(plan_of("SELECT count(*), avg(tenant) FROM items"),
	qr/Aggregate.*Shard Statement: SELECT count\(\*\).*sum\(tenant\).*count\(tenant\)/s,
	'aggregates in two steps');
like(plan_of("SELECT id, count(DISTINCT tenant) FROM items GROUP BY id HAVING count(*) > 0"),
	qr/^Custom Scan.*count\(DISTINCT tenant\).*GROUP BY id HAVING/s, 'groups of the key are whole');
like(plan_of("SELECT count(DISTINCT tenant) FROM items"),
	qr/Aggregate.*Shard Statement: SELECT tenant/s, 'others are pulled');

# EXPLAIN (ANALYZE), in all formats
my $analyze = plan_of("SELECT id FROM items ORDER BY embedding <-> '[1,2,3]' LIMIT 5", 'ANALYZE');
like($analyze, qr/Group $_: .* rows=\d+ time=[\d.]+/, "share of group $_ is shown")
  foreach $cluster->groups;
like(plan_of("SELECT id FROM items", "ANALYZE, FORMAT JSON"),
	qr/"Group Shares": \[.*"Host".*"Rows": \d+/s, 'JSON');
like(plan_of("SELECT id FROM items", "ANALYZE, FORMAT XML"), qr/<Group-Share>/, 'XML');
like(plan_of("SELECT id FROM items", "ANALYZE, FORMAT YAML"), qr/Group Shares:/, 'YAML');

# row locks
like(plan_of("SELECT id FROM items WHERE tenant = 3 FOR UPDATE SKIP LOCKED"),
	qr/Shard Statement:.*FOR UPDATE OF items SKIP LOCKED/, 'groups lock what they read');

# refusals
$cluster->refused(1, "SELECT ctid FROM items", qr/system columns of distributed tables are not available/);
$cluster->refused(1, "SELECT i.id FROM items i, orders o WHERE i.id = o.n FOR UPDATE",
	qr/cannot lock rows of distributed table/);
$cluster->refused(1, "SELECT id FROM items WHERE id = $key{2} AND embedding <-> '[1,2]' > 0",
	qr/different vector dimensions 3 and 2/, 'an error of another group comes as its own');

# functions of users that read tables see all groups
$cluster->query(1, <<'SQL');
CREATE FUNCTION rows_of(int) RETURNS bigint LANGUAGE plpgsql STABLE
	AS 'BEGIN RETURN (SELECT count(*) FROM items WHERE tenant = $1); END';
SQL
is($cluster->query(1, 'SELECT DISTINCT rows_of(tenant) FROM items WHERE tenant = 3'),
	72, 'a function in the target list');
is($cluster->query(1, "SELECT rows_of(3) FROM items WHERE id = $key{2}"),
	72, 'and in a statement that is pinned elsewhere');

# the catalog changes under a prepared statement
is($cluster->query(1, <<'SQL'), "6\n6", 'a cached plan follows the catalog');
CREATE TABLE late (id bigint PRIMARY KEY);
INSERT INTO late SELECT generate_series(1, 6);
PREPARE n AS SELECT count(*) FROM late;
EXECUTE n;
SET client_min_messages = error;
DO $$ BEGIN PERFORM vecdb.distribute_table('late'); END $$;
EXECUTE n;
SQL

# views run with the permissions of their owner
$cluster->query(1, <<'SQL');
CREATE ROLE reader LOGIN;
CREATE VIEW titles AS SELECT id, title FROM items WHERE tenant = 2;
GRANT SELECT ON titles TO reader;
SQL
is($cluster->query(1, 'SET ROLE reader; SELECT count(*) FROM titles'), 72,
	'a view of another owner');
$cluster->refused(1, 'SET ROLE reader; SELECT count(*) FROM items',
	qr/permission denied for table items/, 'but not its table');
$cluster->refused(1, "SET ROLE reader; SELECT * FROM items WHERE id = $key{2}",
	qr/permission denied for table items/, 'nor a row of it elsewhere');

# Equality by another collation is not that by which keys are hashed.
$cluster->query(1, <<'SQL');
CREATE TABLE tags (tag text PRIMARY KEY, n int);
SELECT vecdb.distribute_table('tags');
INSERT INTO tags SELECT 'w' || i, i FROM generate_series(1, 40) i;
SQL
SKIP:
{
	skip 'no ICU', 10 if $cluster->query(1, "SELECT count(*) FROM pg_collation WHERE collprovider = 'i'") == 0;
	my $ci = q{CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)};
	$cluster->query($_, "SELECT count(*) FROM pg_collation WHERE collname = 'ci'") || $cluster->query($_, $ci) foreach $cluster->groups;
	is($cluster->query(1, q{SELECT tag FROM tags WHERE tag = 'W7' COLLATE ci}), 'w7', 'a key by another collation');
	is($cluster->query(1, q{SELECT count(*) FROM tags a JOIN tags b ON a.tag = upper(b.tag) COLLATE ci}), 40, 'a join by it');
	is($cluster->query(1, q{SELECT count(*) FROM (SELECT tag COLLATE ci FROM tags INTERSECT SELECT upper(tag) COLLATE ci FROM tags) s}), 40, 'a set');
	is($cluster->query(1, q{SELECT count(DISTINCT t) FROM (SELECT CASE WHEN n % 2 = 0 THEN upper(tag) ELSE 'w' || n + 1 END COLLATE ci AS t FROM tags) s}), 20, 'DISTINCT');
	is($cluster->query(1, q{UPDATE tags SET n = 0 WHERE tag = 'W8' COLLATE ci RETURNING tag}), 'w8', 'UPDATE');
	foreach my $sql (
		q{UPDATE tags a SET n = 0 FROM tags b WHERE a.tag = b.tag COLLATE ci},
		q{DELETE FROM tags a WHERE EXISTS (SELECT FROM tags b WHERE b.tag = a.tag COLLATE ci)},
		q{MERGE INTO tags t USING tags s ON t.tag = s.tag COLLATE ci WHEN MATCHED THEN DELETE},
		q{MERGE INTO tags t USING (VALUES ('W9', 5), ('W11', 3)) s (tag, n) ON t.tag = s.tag COLLATE ci WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.tag, s.n)})
	{
		$cluster->refused(1, $sql, qr/cannot execute this (statement|subquery) on all groups/);
	}
	is($cluster->query(1, q{WITH x AS MATERIALIZED (SELECT 1) DELETE FROM tags a USING tags b WHERE a.tag = b.tag AND b.tag = 'W10' COLLATE ci RETURNING a.tag}),
		'w10', 'another collation beside the key');
}

# A key that no shard takes is found nowhere, and says so when it is written.
$cluster->query(1, <<'SQL');
CREATE TABLE listed (id int PRIMARY KEY, t text);
CREATE TABLE ranged (id int PRIMARY KEY, t text);
SELECT vecdb.distribute_table('listed', 'id', strategy => 'list', bounds => '{"{1,2,3}","{4,5,6}","{7,8,9}"}');
SELECT vecdb.distribute_table('ranged', 'id', strategy => 'range', bounds => '{31,61}');
INSERT INTO listed SELECT i, i FROM generate_series(1, 9) i;
INSERT INTO ranged SELECT i, i FROM generate_series(1, 90) i;
SQL
is($cluster->query(1, 'SELECT count(*) FROM listed WHERE id = 10'), 0, 'a key of no shard');
is($cluster->query(1, 'SELECT t FROM listed WHERE id IN (10, 5, 11)'), 5, 'among others');
is($cluster->query(1, 'UPDATE listed SET t = 1 WHERE id = 10 RETURNING id'), '', 'UPDATE');
is($cluster->query(1, 'SET plan_cache_mode = force_generic_plan; PREPARE q (int) AS SELECT t FROM listed WHERE id = $1; EXECUTE q (10); EXECUTE q (4); EXECUTE q (12)'),
	4, 'a generic plan');
$cluster->refused(1, "INSERT INTO listed VALUES (10, 'x')", qr/no shard of table "listed" takes the row/);
is($cluster->query(1, 'SELECT string_agg(t, \',\' ORDER BY id) FROM ranged WHERE id IN (30, 31, 60, 61, 91)'), '30,31,60,61', 'ranges');

is_deeply([ $cluster->crashes ], [], 'no process has crashed');

done_testing();
