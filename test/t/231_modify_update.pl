# Do UPDATE, DELETE and MERGE over all groups do what they do on one server?
# What a group cannot do with its own rows is computed before, or refused.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use VecdbCluster;
use VecdbWrites;

my $cluster = VecdbCluster->new('update', groups => 3)->start;
my $writes = VecdbWrites->new($cluster);
sub both { local $Test::Builder::Level = $Test::Builder::Level + 1; return $writes->both(@_); }

my $schema = q{
	CREATE TABLE users (id int PRIMARY KEY, name text, karma int CHECK (karma < 100000),
		seen timestamptz, kind int, v vector(3));
	CREATE TABLE orders (user_id int, id int, amount numeric(10,2), note text,
		PRIMARY KEY (user_id, id));
	CREATE TABLE words (word text PRIMARY KEY, uses int);
	CREATE TABLE kinds (id int PRIMARY KEY, name text);
	CREATE TABLE plain (id int, name text);
};
my $rows = q{
	INSERT INTO users SELECT g, 'user ' || g, g % 17, '2024-01-01 00:00+00', g % 5, array[g, 1, 2]::vector
		FROM generate_series(1, 200) g;
	INSERT INTO orders SELECT g % 200 + 1, g, g % 97, NULL FROM generate_series(1, 1000) g;
	INSERT INTO words SELECT 'w' || g, g FROM generate_series(1, 100) g;
	INSERT INTO kinds SELECT g, 'kind ' || g FROM generate_series(0, 4) g;
	INSERT INTO plain SELECT g, 'plain ' || g FROM generate_series(1, 10) g;
};
$cluster->query_both($schema);
$cluster->query(1, q{
	SELECT vecdb.distribute_table('users');
	SELECT vecdb.distribute_table('orders', 'user_id', colocate_with => 'users');
	SELECT vecdb.distribute_table('words');
	SELECT vecdb.replicate_table('kinds');
});
$cluster->query_both($rows);

# all rows
both("UPDATE users SET karma = karma + 1");
both("UPDATE users SET karma = karma * 2 WHERE kind = 3 RETURNING id, karma, upper(name)");
both("UPDATE users SET name = name || '!', v = '[0,0,1]' WHERE id % 7 = 1 RETURNING *");
both("UPDATE users SET (name, karma) = ('both', 5) WHERE id BETWEEN 20 AND 30 RETURNING name, id + 1");
both("UPDATE users SET (name, karma) = (SELECT 'from', 6) WHERE id BETWEEN 31 AND 35 RETURNING name, id");
both("UPDATE users SET name = DEFAULT WHERE id > 190 RETURNING id, name");
both("UPDATE users SET id = id, name = 'self' WHERE id < 4 RETURNING id");
both("UPDATE users SET karma = 200000 WHERE id = $_ OR id = 0") foreach 1 .. 5;
both("UPDATE users SET karma = karma / (id - 77)");
both("SELECT count(*), sum(karma), min(name) FROM users");
both("DELETE FROM orders WHERE amount > 90 RETURNING user_id, id");
both("UPDATE users SET no_column = 1");

# the time is that of this node, one for all rows
is($cluster->query(2, "BEGIN; UPDATE users SET seen = now(); SELECT count(DISTINCT seen), min(seen) = now() FROM users; COMMIT"),
	'1|t', 'now() is computed once');
is($cluster->query(1, "UPDATE users SET karma = (random() * 1000)::int WHERE id <= 50; SELECT count(DISTINCT karma) > 5 FROM users WHERE id <= 50"),
	't', 'random() is computed for each row');
$_->safe_psql('postgres', "UPDATE users SET karma = id % 13, seen = '2024-05-05 00:00+00'")
  foreach $cluster->single, $cluster->node(3);

# joins: colocated tables, reference tables, VALUES
both("UPDATE users u SET karma = o.amount::int FROM orders o WHERE o.user_id = u.id AND o.id = 77 RETURNING u.id, o.id, o.amount");
both("UPDATE orders o SET note = u.name FROM users u WHERE u.id = o.user_id AND u.kind = 2");
both("UPDATE users SET name = k.name FROM kinds k WHERE k.id = users.kind AND k.id < 2 RETURNING users.id, k.name");
both("UPDATE users u SET karma = x.k FROM (VALUES (1, 10), (2, 20), (3, 30), (150, 40)) AS x (i, k) WHERE x.i = u.id RETURNING u.id, u.karma");
both("UPDATE users u SET karma = o.n FROM (SELECT user_id, amount::int AS n FROM orders WHERE id = 60) o WHERE o.user_id = u.id");
both("UPDATE users u SET name = coalesce(k.name, 'none') FROM orders o LEFT JOIN kinds k ON k.id = o.id WHERE o.user_id = u.id AND o.id < 10");
both("DELETE FROM orders o USING users u WHERE u.id = o.user_id AND u.kind = 4 AND o.amount < 20 RETURNING o.user_id");
both("DELETE FROM orders USING kinds k WHERE k.id = orders.id RETURNING k.name");

# subqueries that the groups can run
both("UPDATE users u SET karma = (SELECT count(*) FROM orders o WHERE o.user_id = u.id) WHERE id < 100");
both("UPDATE users SET karma = 5 WHERE EXISTS (SELECT 1 FROM orders WHERE orders.user_id = users.id AND orders.amount > 75) RETURNING id");
both("DELETE FROM orders WHERE NOT EXISTS (SELECT 1 FROM users u WHERE u.id = orders.user_id AND u.kind > 0)");
both("UPDATE users SET name = 'in' WHERE id IN (SELECT user_id FROM orders WHERE amount < 5)");
both("UPDATE users SET name = (SELECT name FROM kinds WHERE kinds.id = users.kind) WHERE id > 150");
both("DELETE FROM users WHERE id NOT IN (SELECT user_id FROM orders WHERE amount < 80) AND id > 100 RETURNING id");

# subqueries that are computed before
both("UPDATE orders SET note = 'big' WHERE amount > (SELECT avg(amount) FROM orders)");
both("UPDATE users SET karma = 7 WHERE name IN (SELECT 'user ' || uses FROM words)");
both("UPDATE users SET karma = 8 WHERE id IN (SELECT uses FROM words WHERE word < 'w5') RETURNING id");
both("UPDATE users SET karma = 9 WHERE id = ANY (ARRAY(SELECT id FROM plain))", group => 1);
both("UPDATE users SET name = 'x' WHERE EXISTS (SELECT 1 FROM plain WHERE id = 3) AND id < 5", group => 1);
both("UPDATE users SET karma = 1 WHERE karma NOT IN (SELECT amount::int FROM orders WHERE amount < 3)");
both("UPDATE users SET karma = 1 WHERE karma > ALL (SELECT uses FROM words WHERE uses < 8)");
both("DELETE FROM words WHERE uses = (SELECT max(uses) FROM words) RETURNING word");
both("WITH top AS (SELECT word FROM words ORDER BY uses DESC LIMIT 3) UPDATE words SET uses = -1 FROM top WHERE words.word = top.word RETURNING words.word");
both("WITH top AS (SELECT word FROM words ORDER BY uses DESC LIMIT 3) DELETE FROM words WHERE word IN (SELECT word FROM top) RETURNING *");
both("UPDATE users u SET karma = s.total FROM (SELECT user_id, count(*)::int AS total FROM orders GROUP BY user_id) s WHERE s.user_id = u.id RETURNING u.id, karma, s.total");
both("UPDATE users u SET name = p.name FROM (SELECT * FROM plain WHERE id > 3) p WHERE p.id = u.id RETURNING u.id, u.name", group => 1);
both("WITH s AS (SELECT max(amount) AS m FROM orders) UPDATE users SET karma = (SELECT m FROM s)::int WHERE id < (SELECT m FROM s)");
both("SELECT * FROM users");
both("SELECT * FROM orders");
both("SELECT * FROM words");
$writes->in_place('users', 'after UPDATE');
$writes->in_place('orders', 'after DELETE');

# prepared statements
foreach my $mode ('auto', 'force_generic_plan')
{
	both("SET plan_cache_mode = $mode; PREPARE p (int, int) AS UPDATE users SET karma = karma + \$1 WHERE kind = \$2 RETURNING id, karma; "
		. join(';', map { "EXECUTE p ($_, $_)" } 0 .. 4, 0 .. 4), what => "UPDATE of all groups prepared, $mode");
	both("SET plan_cache_mode = $mode; PREPARE p (int, int) AS UPDATE users SET karma = karma + \$1 WHERE id = \$2 RETURNING id, karma; "
		. join(';', map { "EXECUTE p ($_, $_)" } 1 .. 12), what => "UPDATE of one group prepared, $mode");
	both("SET plan_cache_mode = $mode; PREPARE p (int) AS DELETE FROM orders WHERE user_id = \$1 AND id < 500 RETURNING id; "
		. join(';', map { "EXECUTE p ($_)" } 1 .. 10), what => "DELETE of one group prepared, $mode");
}

# reference tables: all groups the same
both("UPDATE kinds SET name = name || '!' WHERE id < 3 RETURNING *");
both("DELETE FROM kinds WHERE id = (SELECT min(karma) + 1 FROM users WHERE karma > 0)");
both("UPDATE kinds SET name = 'k' WHERE id IN (SELECT kind FROM users WHERE id < 3)");
my $kinds = $cluster->single->safe_psql('postgres', 'SELECT * FROM kinds ORDER BY id');
is($writes->own($_, 'SELECT * FROM kinds ORDER BY id'), $kinds, "rows of the reference table in group $_")
  foreach $cluster->groups;

# MERGE
both("MERGE INTO users u USING orders o ON u.id = o.user_id AND o.id < 400 AND o.id > 200 WHEN MATCHED AND o.amount > 40 THEN UPDATE SET karma = u.karma + 1 WHEN MATCHED THEN DO NOTHING");
both("MERGE INTO users u USING kinds k ON u.kind = k.id AND k.id = 2 WHEN MATCHED AND u.id < 100 THEN DELETE WHEN MATCHED THEN UPDATE SET name = k.name");
both("MERGE INTO orders o USING users u ON o.user_id = u.id AND o.id = 1 WHEN MATCHED THEN UPDATE SET note = 'm' WHEN NOT MATCHED THEN INSERT VALUES (u.id, 5000, 1, 'merged')");
both("MERGE INTO words w USING (VALUES ('w1', 5), ('m1', 6), ('w2', 7), ('m2', 8), ('m3', NULL)) AS s (word, uses) ON w.word = s.word WHEN MATCHED AND s.uses = 7 THEN DELETE WHEN MATCHED THEN UPDATE SET uses = w.uses + s.uses WHEN NOT MATCHED AND s.uses = 8 THEN DO NOTHING WHEN NOT MATCHED THEN INSERT VALUES (s.word, coalesce(s.uses, extract(year FROM timestamptz '2024-01-01')::int))");
both("MERGE INTO words w USING (SELECT name, count(*)::int AS n FROM users GROUP BY name) s ON s.name = w.word WHEN MATCHED THEN UPDATE SET uses = s.n WHEN NOT MATCHED AND s.n > 1 THEN INSERT (uses, word) VALUES (s.n, s.name)");
both("MERGE INTO orders o USING (SELECT id, n FROM kinds, generate_series(8001, 8003) n) s ON o.user_id = s.id AND o.id = s.n WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.n, 1, 'kinds')");
both("MERGE INTO orders o USING plain p ON o.user_id = p.id AND o.id = 8001 WHEN MATCHED THEN UPDATE SET note = p.name WHEN NOT MATCHED THEN INSERT VALUES (p.id, 8001, 2, p.name)", group => 1);
both("MERGE INTO words w USING (VALUES ('t1', 5), ('t1', 6)) AS s (word, uses) ON w.word = s.word WHEN NOT MATCHED THEN INSERT VALUES (s.word, s.uses)");
both("MERGE INTO words w USING (VALUES ('w5', 5), ('w5', 6)) AS s (word, uses) ON w.word = s.word WHEN MATCHED THEN UPDATE SET uses = s.uses");
both("MERGE INTO words w USING (VALUES (NULL, 5)) AS s (word, uses) ON w.word = s.word WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.word, s.uses)");
both("MERGE INTO words w USING (VALUES ('a1'), ('a2'), ('a3'), ('w5')) s (word) ON w.word = 'w5' AND w.word = s.word WHEN NOT MATCHED THEN INSERT VALUES (s.word, 1)");
both("MERGE INTO words w USING kinds s ON w.word = s.name AND w.word = 'w6' WHEN NOT MATCHED THEN INSERT VALUES (s.name, 1)");
$cluster->refused($_, "MERGE INTO words w USING kinds s ON w.word = 'w6' WHEN NOT MATCHED THEN INSERT VALUES (s.name || 'x', 1)",
	qr/cannot execute this statement on all groups/) foreach $cluster->groups;
both("SELECT * FROM $_") foreach 'users', 'orders', 'words';
$writes->in_place('orders', 'after MERGE');
$writes->in_place('words', 'after MERGE');

# what is refused, with nothing changed
my $before = $cluster->query(1, 'SELECT sum(karma), count(*), sum(id) FROM users');
my %refused = (
	"UPDATE users SET id = id + 1" => qr/cannot change column "id" of table "users"/,
	"UPDATE users SET id = 5 WHERE id = 6" => qr/cannot change column "id" of table "users"/,
	"UPDATE users u SET karma = (SELECT count(*) FROM orders o WHERE o.id = u.id)" => qr/cannot execute this subquery on all groups/,
	"UPDATE users u SET karma = 0 FROM words w WHERE w.uses = u.id" => qr/cannot execute this statement on all groups/,
	"UPDATE users u SET karma = 0 FROM plain p WHERE p.id = u.id" => qr/Table "plain" is neither distributed nor a reference table/,
	"WITH w AS (UPDATE users SET karma = 0 RETURNING id) SELECT count(*) FROM w" => qr/cannot write to distributed table "users" in a WITH clause/,
	"MERGE INTO words w USING (VALUES ('w1', 5)) AS s (word, uses) ON w.uses = s.uses WHEN NOT MATCHED THEN INSERT VALUES (s.word, s.uses)" => qr/cannot execute this statement on all groups/,
	"UPDATE kinds SET name = random()::text" => qr/cannot use volatile functions to change reference table "kinds"/,
	"DELETE FROM users WHERE id > 5 RETURNING (SELECT count(*) FROM words)" => qr/subqueries in RETURNING/,
);
foreach my $sql (sort keys %refused)
{
	# ordinary tables are where they were created
	my $group = $sql =~ /\bplain\b/ ? 1 : 1 + length($sql) % 3;
	$cluster->refused($group, $sql, $refused{$sql});
}
is($cluster->query(1, 'SELECT sum(karma), count(*), sum(id) FROM users'), $before,
	'what is refused changes nothing');

# transactions
both("BEGIN; UPDATE users SET karma = -5; SELECT sum(karma) FROM users; ROLLBACK; SELECT sum(karma) FROM users");
both("BEGIN; UPDATE users SET karma = -5 WHERE id < 20; SAVEPOINT a; UPDATE users SET karma = -7 WHERE id < 10; SELECT sum(karma) FROM users; ROLLBACK TO a; SELECT sum(karma) FROM users; COMMIT; SELECT sum(karma) FROM users");
both("BEGIN; DELETE FROM orders; INSERT INTO orders (user_id, id, amount) SELECT g, g, g FROM generate_series(1, 30) g; SELECT sum(amount), count(*) FROM orders; COMMIT; SELECT sum(amount) FROM orders");
both("BEGIN; SELECT id, karma FROM users WHERE id = 9 FOR UPDATE; UPDATE users SET karma = 77 WHERE id = 9; COMMIT; SELECT karma FROM users WHERE id = 9");
both("BEGIN READ ONLY; UPDATE users SET karma = 1; ROLLBACK");
both("BEGIN READ ONLY; DELETE FROM users; ROLLBACK");

# Who waits for a row of another group gets it when the other is done.
my $one = $cluster->node(1)->background_psql('postgres');
$one->query_safe("BEGIN; SELECT id FROM users WHERE id = 12 FOR UPDATE");
$cluster->refused(2, "SET lock_timeout = '300ms'; UPDATE users SET karma = 1 WHERE id = 12",
	qr/canceling statement due to lock timeout/, 'SELECT FOR UPDATE locks the row');
$one->query_safe('COMMIT');
$one->quit;
$cluster->query(2, 'UPDATE users SET karma = 1 WHERE id = 12');
is($cluster->query(3, 'SELECT karma FROM users WHERE id = 12'), 1, 'and frees it');

is($cluster->prepared_left, 0, 'no prepared transaction is left');
$cluster->stop;
done_testing();
