# Are statements that change tables, and what tables need, done on all nodes or
# on none; and is what cannot be done everywhere refused?

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VecdbCluster;

my $cluster = VecdbCluster->new('statements', groups => 3)->start;

sub everywhere
{
	my ($sql, $expected, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(join(' / ', map { $cluster->query_own($_, $sql) } $cluster->groups),
		join(' / ', ($expected) x 3), $what);
	return;
}

sub refused
{
	my ($group, $sql, $message, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($rc, $out, $err) = $cluster->try($group, $sql);
	like($rc ? $err : "no error: $out", $message, $what);
	return;
}

# a session that is not distributed, as an administrator on one node has it
sub on_node
{
	my ($group, $sql) = @_;
	return $cluster->query_own($group, $sql);
}

$cluster->query(1, q{
	CREATE SCHEMA shop;
	CREATE TABLE shop.items (id bigint PRIMARY KEY, title text, price int, embedding vector(3));
	CREATE TABLE codes (code text PRIMARY KEY, n int);
	CREATE TABLE own (a int PRIMARY KEY, b bigint);
	SELECT vecdb.distribute_table('shop.items');
	SELECT vecdb.replicate_table('codes');
	INSERT INTO shop.items SELECT i, 't' || i, i, '[1,2,3]' FROM generate_series(1, 90) i;
	INSERT INTO codes VALUES ('a', 1), ('b', 2);});

my $columns = q{SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN '!' ELSE '' END, ',' ORDER BY attnum)
	FROM pg_attribute WHERE attrelid = 'shop.items'::regclass AND attnum > 4 AND NOT attisdropped};
my $indexes = q{SELECT string_agg(relname || CASE WHEN indisvalid THEN '' ELSE '!' END, ',' ORDER BY relname)
	FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE indrelid = 'shop.items'::regclass};

# --- one after the other, from any node, all with a search_path of their own ---

$cluster->query(2, q{SET search_path = shop, public;
	ALTER TABLE items ADD COLUMN a int DEFAULT 7, ADD COLUMN b text;
	ALTER TABLE items ALTER a SET NOT NULL;
	ALTER TABLE items ALTER b TYPE varchar(20);
	ALTER TABLE items RENAME COLUMN b TO c;
	ALTER TABLE items DROP COLUMN price;});
everywhere($columns, 'a integer!,c character varying(20)', 'columns');
everywhere('SELECT count(DISTINCT a) FROM shop.items', 1, 'with the default in all rows');
$cluster->query(3, q{SET search_path = shop, public;
	CREATE INDEX ON items USING hnsw (embedding vector_l2_ops);
	CREATE INDEX ON items (title);
	CREATE INDEX ON items (title);
	CREATE UNIQUE INDEX both_idx ON items (title, id);
	CREATE INDEX gone ON items (a);
	ALTER INDEX gone RENAME TO going;
	DROP INDEX going;});
everywhere($indexes, 'both_idx,items_embedding_idx,items_pkey,items_title_idx,items_title_idx1', 'indexes, with the same names');
$cluster->query(1, q{
	ALTER TABLE shop.items ADD CONSTRAINT sane CHECK (a > 0) NOT VALID;
	ALTER TABLE shop.items VALIDATE CONSTRAINT sane;
	ALTER TABLE shop.items ADD CONSTRAINT both_idx UNIQUE USING INDEX both_idx;
	COMMENT ON TABLE shop.items IS 'all';
	COMMENT ON COLUMN shop.items.a IS 'a';
	COMMENT ON CONSTRAINT sane ON shop.items IS 'sane';
	ALTER TABLE shop.items SET (fillfactor = 80), ALTER title SET STATISTICS 7;});
everywhere(q{SELECT (SELECT string_agg(conname || convalidated, ',' ORDER BY conname) FROM pg_constraint
	WHERE conrelid = 'shop.items'::regclass AND contype <> 'n'),
	obj_description('shop.items'::regclass), reloptions FROM pg_class WHERE oid = 'shop.items'::regclass},
	'both_idxtrue,items_pkeytrue,sanetrue|all|{fillfactor=80}', 'constraints, comments and options');
$cluster->query(2, q{
	CREATE ROLE clerk; CREATE ROLE boss LOGIN PASSWORD 'x'; GRANT clerk TO boss; ALTER ROLE clerk NOINHERIT;
	GRANT USAGE ON SCHEMA shop TO clerk;
	GRANT SELECT, INSERT ON shop.items, codes TO clerk;
	REVOKE INSERT ON codes FROM clerk;
	CREATE POLICY p ON shop.items USING (true); ALTER POLICY p ON shop.items USING (a > 0);
	ALTER TABLE shop.items ENABLE ROW LEVEL SECURITY;
	CREATE FUNCTION shop.note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
	CREATE TRIGGER note BEFORE UPDATE ON shop.items FOR EACH ROW EXECUTE FUNCTION shop.note();
	CREATE TRIGGER bye BEFORE UPDATE ON shop.items FOR EACH ROW EXECUTE FUNCTION shop.note();
	DROP TRIGGER bye ON shop.items;
	ALTER TABLE shop.items DISABLE TRIGGER note;
	CREATE STATISTICS shop.s ON title, a FROM shop.items;});
everywhere(q{SELECT has_table_privilege('boss', 'shop.items', 'INSERT'), has_table_privilege('boss', 'codes', 'INSERT'), rolinherit,
	(SELECT string_agg(tgname || tgenabled::text, ',') FROM pg_trigger WHERE NOT tgisinternal AND tgrelid = 'shop.items'::regclass),
	(SELECT count(*) FROM pg_policy), (SELECT count(*) FROM pg_statistic_ext) FROM pg_roles WHERE rolname = 'clerk'},
	't|f|f|noteD|1|1', 'roles, grants, triggers, policies, statistics');
$cluster->query(3, q{
	CREATE TYPE mood AS ENUM ('sad'); ALTER TYPE mood ADD VALUE 'ok'; CREATE DOMAIN positive AS int CHECK (value > 0);
	CREATE TYPE pair AS (a int, b mood); ALTER TYPE pair ADD ATTRIBUTE c positive;
	CREATE FUNCTION plus(int) RETURNS int LANGUAGE sql AS 'SELECT $1 + 1'; ALTER FUNCTION plus(int) IMMUTABLE;
	CREATE AGGREGATE total (int) (SFUNC = int4pl, STYPE = int);
	CREATE EXTENSION IF NOT EXISTS vector;
	ALTER TABLE shop.items ADD COLUMN m mood DEFAULT 'ok', ADD p pair;});
everywhere(q{SELECT plus(1), total(i), 'ok'::mood, '(1,ok,2)'::pair FROM generate_series(1, 3) i}, '2|6|ok|(1,ok,2)',
	'types and functions');

# what belongs to them, by other ways
$cluster->query(1, q{
	ALTER STATISTICS shop.s SET STATISTICS 33; ALTER STATISTICS shop.s RENAME TO s2; COMMENT ON STATISTICS shop.s2 IS 'st';
	ALTER STATISTICS shop.s2 OWNER TO clerk; ALTER STATISTICS shop.s2 SET SCHEMA public;
	ALTER TRIGGER note ON shop.items DEPENDS ON EXTENSION plpgsql; ALTER FUNCTION shop.note() DEPENDS ON EXTENSION plpgsql;
	CREATE STATISTICS bye ON title, a FROM shop.items; DROP STATISTICS bye;
	CREATE TEXT SEARCH TEMPLATE tmpl (LEXIZE = dsimple_lexize); CREATE TEXT SEARCH PARSER prs (START = prsd_start, GETTOKEN = prsd_nexttoken,
		END = prsd_end, LEXTYPES = prsd_lextype); CREATE CONVERSION conv FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
	CREATE TRUSTED LANGUAGE lang HANDLER plpgsql_call_handler; GRANT USAGE ON LANGUAGE lang TO clerk; CREATE ACCESS METHOD am TYPE TABLE HANDLER heap_tableam_handler;
	CREATE FUNCTION member() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER EXTENSION vector ADD FUNCTION member();
	ALTER EXTENSION vector DROP FUNCTION member()});
everywhere(q{SELECT (SELECT concat_ws(' ', stxname, stxnamespace::regnamespace, pg_get_userbyid(stxowner), stxstattarget, obj_description(oid, 'pg_statistic_ext')) FROM pg_statistic_ext),
	(SELECT count(*) FROM pg_depend WHERE deptype = 'x' AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'plpgsql')),
	(SELECT count(*) FROM pg_ts_template WHERE tmplname = 'tmpl'), (SELECT count(*) FROM pg_ts_parser WHERE prsname = 'prs'),
	(SELECT count(*) FROM pg_conversion WHERE conname = 'conv'), has_language_privilege('clerk', 'lang', 'USAGE'), (SELECT count(*) FROM pg_am WHERE amname = 'am')},
	's2 public clerk 33 st|2|1|1|1|t|1', 'statistics, dependencies, languages, parsers and conversions');
refused(1, $_, qr/SESSION_USER.*HINT/s, "$_ would mean another role elsewhere")
	foreach 'ALTER TABLE codes OWNER TO SESSION_USER', 'GRANT SELECT ON codes TO clerk, SESSION_USER', 'CREATE POLICY q ON codes TO SESSION_USER',
	'CREATE SCHEMA AUTHORIZATION SESSION_USER', 'GRANT clerk TO SESSION_USER', 'ALTER DEFAULT PRIVILEGES FOR ROLE SESSION_USER GRANT SELECT ON TABLES TO clerk',
	'REASSIGN OWNED BY clerk TO SESSION_USER', 'ALTER ROLE SESSION_USER SET work_mem = 100';
refused(1, 'ALTER EXTENSION vector ADD TABLE codes', qr/shared by a cluster.*HINT/s, 'tables of extensions');
$cluster->query(1, 'ALTER TABLE codes OWNER TO CURRENT_USER');

# names
$cluster->query(1, q{
	ALTER TABLE shop.items RENAME COLUMN id TO number;
	ALTER TABLE shop.items RENAME TO things;
	ALTER SCHEMA shop RENAME TO store;
	ALTER TABLE store.things SET SCHEMA public;
	ALTER TABLE codes OWNER TO clerk;
	ALTER TABLE things RENAME CONSTRAINT sane TO good;});
everywhere(q{SELECT to_regclass('public.things'), schema_name, table_name, key_columns FROM vecdb.catalog_table WHERE kind = 'd'},
	'things|public|things|{number}', 'names of table, schema and key');
is($cluster->query(2, 'SELECT count(*), sum(number) FROM things'), '90|4095', 'and it is found by them');
is($cluster->query(2, 'SELECT title FROM things WHERE number = 7'), 't7', 'by its key, too');
is($cluster->query(3, 'SELECT * FROM vecdb.check_cluster()'), '', 'nothing is wrong');

# --- outside of transactions ---

$indexes =~ s/shop.items/things/;
$cluster->query(2, 'CREATE INDEX CONCURRENTLY slow ON things (a)');
$cluster->query(3, 'REINDEX INDEX CONCURRENTLY slow');
everywhere($indexes, 'both_idx,items_embedding_idx,items_pkey,items_title_idx,items_title_idx1,slow', 'an index concurrently');
$cluster->query(1, 'DROP INDEX CONCURRENTLY slow');
everywhere($indexes, 'both_idx,items_embedding_idx,items_pkey,items_title_idx,items_title_idx1', 'and dropped again');
on_node(3, 'UPDATE things SET a = 0 WHERE false; ALTER TABLE things DROP CONSTRAINT good; UPDATE things SET a = 0');
refused(2, 'CREATE INDEX CONCURRENTLY slow ON things ((1 / a))', qr/division by zero/, 'when it fails in one group');
everywhere($indexes, 'both_idx,items_embedding_idx,items_pkey,items_title_idx,items_title_idx1', 'nothing is left in any');
on_node(1, 'CREATE INDEX slow ON things ((1 / a))');
refused(2, 'CREATE INDEX CONCURRENTLY slow ON things (a)', qr/"slow" already exists in group 1.*HINT/s, 'nor where another index has the name');
refused(2, 'CREATE INDEX CONCURRENTLY IF NOT EXISTS slow ON things ((1 / a))', qr/division by zero/, 'when it fails, and one group had it');
is(join(',', map { on_node($_, q{SELECT coalesce(to_regclass('slow')::text, '-')}) } 1, 2, 3), 'slow,-,-', 'that one keeps it');
on_node(1, 'DROP INDEX slow');
on_node(3, 'UPDATE things SET a = 7; ALTER TABLE things ADD CONSTRAINT good CHECK (a > 0)');
on_node(3, 'CREATE INDEX slow ON things (a)');
$cluster->query(2, 'CREATE INDEX CONCURRENTLY IF NOT EXISTS slow ON things (a)');
everywhere(q{SELECT to_regclass('slow') IS NOT NULL}, 't', 'who has it already counts');
on_node(3, 'DROP INDEX slow');
$cluster->query(1, 'DROP INDEX IF EXISTS slow');
everywhere(q{SELECT to_regclass('slow') IS NULL}, 't', 'IF EXISTS, where some do not');
refused(1, 'CREATE INDEX CONCURRENTLY ON things (a)', qr/without a name.*HINT/s, 'it needs a name');
refused(1, 'BEGIN; CREATE INDEX CONCURRENTLY x ON things (a)', qr/cannot run inside a transaction block/, 'and no transaction');
my $vacuumed = q{SELECT bool_and(coalesce(last_vacuum, last_analyze) IS NOT NULL), bool_and(last_analyze IS NOT NULL)
	FROM pg_stat_user_tables WHERE relname = 'things'};
$cluster->query(2, 'VACUUM (ANALYZE) things');
# statistics are written some time after
foreach my $group ($cluster->groups)
{
	$cluster->node($group)->poll_query_until('postgres', "SELECT a AND b FROM ($vacuumed) s (a, b)") or die "group $group: not vacuumed";
}
everywhere($vacuumed, 't|t', 'VACUUM and ANALYZE');
$cluster->query(2, 'BEGIN; ANALYZE things; COMMIT; REINDEX TABLE things; CLUSTER things USING items_pkey');
$cluster->query(2, 'VACUUM things, things; ANALYZE things (a), things (title); GRANT SELECT ON things, things TO clerk');
refused(2, 'VACUUM things, own', qr/shared and ordinary tables/, 'but not mixed');

# --- all or nothing ---

on_node(3, 'CREATE TYPE clash AS (a int)');
refused(1, 'CREATE TYPE clash AS (a int)', qr/already exists.*group 3/s, 'what exists in one group');
is(on_node(2, q{SELECT to_regtype('clash') IS NULL}), 't', 'is not made in another');
on_node(3, 'DROP TYPE clash; CREATE INDEX taken ON things (a)');
refused(1, 'CREATE INDEX taken ON things (a)', qr/already exists.*group 3/s, 'nor an index');
everywhere(q{SELECT count(*) FROM pg_class WHERE relname = 'taken' AND vecdb.local_group() <> 3}, 0, 'which is nowhere');
on_node(3, 'DROP INDEX taken');
$cluster->query(2, q{BEGIN; ALTER TABLE things ADD COLUMN undone int; DROP TABLE codes; CREATE ROLE undone; ROLLBACK;
	BEGIN; SAVEPOINT s; ALTER TABLE things ADD COLUMN undone int; ROLLBACK TO s; ALTER TABLE things ADD COLUMN done int; COMMIT});
everywhere(q{SELECT string_agg(attname, ',') FROM pg_attribute WHERE attrelid = 'things'::regclass AND attname LIKE '%done'}, 'done',
	'transactions and savepoints');
is($cluster->query(3, 'SELECT * FROM vecdb.check_cluster()'), '', 'nothing is wrong');

on_node(2, 'CREATE TABLE things_done_idx (a int)');
refused(1, 'CREATE INDEX ON things (done)', qr/would have another name in group 2.*HINT/s, 'an index that would have another name');
on_node(2, 'DROP TABLE things_done_idx');
$cluster->query(2, q{BEGIN; CREATE TABLE young (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, t text); INSERT INTO young (t) VALUES ('a'), ('b'), ('c');
	SAVEPOINT s; SELECT vecdb.distribute_table('young'); ROLLBACK TO s;
	SELECT vecdb.distribute_table('young'); INSERT INTO young (t) SELECT 'd' FROM generate_series(1, 20); CREATE INDEX ON young (t); COMMIT});
is($cluster->query(1, 'SELECT count(*), count(DISTINCT id) FROM young'), '23|23', 'a table in the transaction that made it');
is($cluster->query(3, q{TRUNCATE young RESTART IDENTITY; ALTER SEQUENCE young_id_seq RESTART; INSERT INTO young (t) VALUES ('x') RETURNING id > 67108864}), 't',
	'restarts within its own part');
refused(1, 'ALTER SEQUENCE young_id_seq MAXVALUE 100', qr/divided between groups.*HINT/s, 'which stays as it is');
$cluster->query(1, 'DROP TABLE young');

# what is said of sequences
$cluster->query(1, q{CREATE SEQUENCE free; CREATE SEQUENCE other;
	CREATE TABLE counted (id bigint DEFAULT nextval('free') PRIMARY KEY, s bigserial);
	SELECT vecdb.distribute_table('counted');});
$cluster->query($_->[0], $_->[1]) foreach [2, 'ALTER SEQUENCE free RENAME TO freed'], [3, 'CREATE SCHEMA away; ALTER SEQUENCE freed SET SCHEMA away'],
	[1, q{COMMENT ON SEQUENCE away.freed IS 'c'}], [2, 'ALTER SEQUENCE away.freed OWNER TO clerk'],
	[3, 'GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO clerk'], [1, 'ALTER SEQUENCE counted_s_seq INCREMENT BY 7'];
everywhere(q{SELECT pg_get_expr(adbin, adrelid), obj_description('away.freed'::regclass), pg_get_userbyid(relowner), seqincrement,
	has_sequence_privilege('clerk', 'counted_s_seq', 'USAGE')
	FROM pg_class c, pg_attrdef, pg_sequence WHERE c.oid = 'away.freed'::regclass AND adrelid = 'counted'::regclass AND adnum = 1
	AND seqrelid = 'counted_s_seq'::regclass},
	q{nextval('away.freed'::regclass)|c|clerk|7|t}, 'sequences are renamed, moved, commented and given away');
my $divided = qr/divided.*HINT/s;
refused(2, 'ALTER SEQUENCE counted_s_seq RESTART WITH 9007199254740995 INCREMENT BY 3', $divided, 'not two things at once');
refused(1, q{ALTER TABLE counted ALTER s SET DEFAULT nextval('other')}, $divided, 'no undivided sequence as a default');
refused(1, 'ALTER SEQUENCE other OWNED BY counted.s', $divided, 'nor as a property');
refused(1, 'CREATE SEQUENCE another OWNED BY counted.s', $divided, 'nor a new one');
everywhere('SELECT seqincrement FROM pg_sequence WHERE seqrelid = \'counted_s_seq\'::regclass', 7, 'and nothing has changed');
$cluster->query(3, 'DROP SEQUENCE counted_s_seq CASCADE');
everywhere(q{SELECT to_regclass('counted_s_seq') IS NULL, count(*) FROM pg_attrdef WHERE adrelid = 'counted'::regclass}, 't|1', 'a sequence is dropped with its default');
$cluster->query(2, 'ALTER TABLE counted ADD COLUMN i int; DROP TABLE counted');
$cluster->query(1, 'CREATE TABLE ids (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY); SELECT vecdb.distribute_table(\'ids\'); ALTER TABLE ids ALTER id SET GENERATED ALWAYS');
everywhere(q{SELECT attidentity FROM pg_attribute WHERE attrelid = 'ids'::regclass AND attnum = 1}, 'a', 'how an identity column is generated');
refused(1, "ALTER TABLE ids ALTER id $_", qr/identity column.*HINT:.*ALTER SEQUENCE/s, "but not $_")
	foreach 'RESTART WITH 5', 'SET INCREMENT BY 2', 'SET GENERATED BY DEFAULT SET CACHE 7', 'SET MAXVALUE 100';
$cluster->query(1, 'DROP TABLE ids');

# --- two at once, from two nodes ---

my @sessions = map { $cluster->node($_)->background_psql('postgres') } 1, 2;
$sessions[0]->query_safe('BEGIN; ALTER TABLE things ADD COLUMN first int');
$sessions[1]->query_until(qr/go/, "\\echo go\nALTER TABLE things ADD COLUMN second int;\n\\echo altered\n");
select(undef, undef, undef, 0.5);
$sessions[0]->query_safe('ALTER TABLE codes ADD COLUMN first int; COMMIT');
$sessions[1]->query_until(qr/altered/, "\n");
$_->quit foreach @sessions;
everywhere(q{SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute WHERE attname IN ('first', 'second') AND attrelid = 'things'::regclass},
	'first,second', 'one waits for the other');

# --- refused ---

my $enforce = qr/cannot be enforced in a cluster.*DETAIL.*HINT/s;
$cluster->query(1, 'CREATE TABLE others (a bigint PRIMARY KEY); SELECT vecdb.distribute_table(\'others\')');
refused(1, 'CREATE UNIQUE INDEX ON things (title)', $enforce, 'unique without the key');
refused(1, 'CREATE UNIQUE INDEX CONCURRENTLY u ON things (title)', $enforce, 'also concurrently');
refused(1, 'ALTER TABLE things ADD UNIQUE (title)', $enforce, 'also as a constraint');
refused(1, 'ALTER TABLE things ADD COLUMN q int UNIQUE', $enforce, 'also of a new column');
refused(1, 'ALTER TABLE things ADD EXCLUDE USING gist (int4range(number::int, number::int + 1) WITH &&)', $enforce, 'exclusion');
refused(1, 'ALTER TABLE things ADD FOREIGN KEY (a) REFERENCES own', $enforce, 'a key to an ordinary table');
refused(1, 'ALTER TABLE things ADD FOREIGN KEY (number) REFERENCES others', $enforce, 'or to one that is distributed otherwise');
refused(1, 'ALTER TABLE own ADD FOREIGN KEY (b) REFERENCES things', $enforce, 'or from an ordinary table');
refused(1, 'CREATE TABLE n (b bigint REFERENCES things)', $enforce, 'also from a new one');
refused(1, 'ALTER TABLE codes ADD FOREIGN KEY (n) REFERENCES others', $enforce, 'or from a reference table');
$cluster->query(1, 'ALTER TABLE things ADD COLUMN code text REFERENCES codes; ALTER TABLE own ADD COLUMN c text REFERENCES codes');
refused(1, 'ALTER TABLE things DROP COLUMN number', qr/distribution key.*HINT/s, 'no key');
refused(1, 'ALTER TABLE things ALTER number TYPE int', qr/distribution key.*HINT/s, 'another type of key');
refused(1, 'ALTER TABLE things ADD COLUMN s serial', qr/serial column.*HINT/s, 'serial');
refused(1, 'ALTER TABLE things ADD COLUMN s int GENERATED ALWAYS AS IDENTITY', qr/identity.*HINT/s, 'identity');
refused(1, 'ALTER TABLE codes ADD COLUMN r float8 DEFAULT random()', qr/not a constant.*HINT/s, 'what would differ between copies');
refused(1, 'ALTER TABLE things INHERIT own', qr/shared by a cluster.*HINT/s, 'a parent');
refused(1, 'CREATE TABLE child () INHERITS (things)', qr/shared by a cluster.*HINT/s, 'a child');
refused(1, 'CREATE TABLE whole (number bigint) PARTITION BY LIST (number); ALTER TABLE whole ATTACH PARTITION others FOR VALUES IN (1)',
	qr/shared by a cluster.*HINT/s, 'a partition');
refused(1, 'CREATE RULE r AS ON DELETE TO things DO INSTEAD NOTHING', qr/rules.*HINT/s, 'rules');
refused(1, 'CREATE SCHEMA another CREATE TABLE t (a int)', qr/together with its tables.*HINT/s, 'a schema with tables');
refused(1, 'GRANT SELECT ON things, own TO clerk', qr/one statement.*HINT/s, 'mixed grants');
refused(1, 'DROP EXTENSION vecdb CASCADE', qr/belongs to a cluster.*HINT/s, 'our own extension');
refused(1, 'SET ROLE boss; ALTER TABLE things ADD COLUMN z int', qr/must be owner/, 'who is not the owner');
refused(1, 'SET ROLE boss; CREATE INDEX CONCURRENTLY z ON things (a)', qr/must be owner/, 'nor concurrently');
refused(1, 'SET ROLE boss; REINDEX TABLE CONCURRENTLY things', qr/must be owner/, 'nor is anything built again');
refused(1, 'SET ROLE boss; TRUNCATE things', qr/permission denied for table things/, 'TRUNCATE takes a privilege');
foreach my $sql ('VACUUM things', 'ANALYZE things', 'BEGIN; ANALYZE things; COMMIT')
{
	my ($rc, $out, $err) = $cluster->try(1, "SET ROLE boss; $sql");
	is($rc, 0, "$sql of another's table is no error");
	is(() = $err =~ /WARNING: .*"things"/g, 1, 'but one warning') or diag($err);
}
unlike(slurp_file($cluster->node(2)->logfile), qr/WARNING: .*(?:vacuum|analyze) "things"/, 'and no other group was troubled');
$cluster->query(1, 'CREATE TABLE young (id int PRIMARY KEY); SELECT vecdb.distribute_table(\'young\'); GRANT TRUNCATE ON young TO boss;
	SET ROLE boss; TRUNCATE young; RESET ROLE; DROP TABLE young');
is($cluster->query(3, 'SELECT * FROM vecdb.check_cluster()'), '', 'nothing is wrong');

refused(1, 'SET vecdb.share_ddl = off; DROP TYPE mood CASCADE', qr/on one node of a cluster only.*HINT/s, 'columns of one node');

# --- this node only ---

$cluster->query(1, 'CREATE TABLE here (a int); CREATE INDEX ON here (a); CREATE TEMP TABLE things (x int); ALTER TABLE things ADD y int; DROP TABLE things;
	SET vecdb.share_ddl = off; CREATE TYPE mine AS (a int)');
is($cluster->query(2, q{SELECT to_regclass('here') IS NULL, to_regtype('mine') IS NULL, to_regclass('things') IS NULL}), 't|t|f',
	'ordinary and temporary tables concern this node, and others if told so');

# --- rows and tables go ---

$cluster->query(1, 'TRUNCATE own, things');
everywhere('SELECT count(*) FROM things', 0, 'TRUNCATE');
$cluster->query(3, 'COPY codes (code, n) FROM PROGRAM \'printf "c\\t3\\n"\'; BEGIN; LOCK TABLE things; COMMIT');
everywhere('SELECT count(*) FROM codes', 3, 'COPY');
$cluster->query(1, 'DROP TABLE things, own');
everywhere(q{SELECT to_regclass('things') IS NULL, string_agg(table_name, ',' ORDER BY table_name), (SELECT count(*) FROM vecdb.catalog_colocation) FROM vecdb.catalog_table},
	't|codes,others|1', 'DROP TABLE');
$cluster->query(2, 'CREATE SCHEMA temporary; CREATE TABLE temporary.t (a int PRIMARY KEY); SELECT vecdb.distribute_table(\'temporary.t\'); DROP SCHEMA temporary CASCADE');
everywhere(q{SELECT count(*) FROM vecdb.catalog_table}, 2, 'also with its schema');
$cluster->query(2, 'DROP FUNCTION plus(int); DROP TYPE pair; DROP ROLE boss');
everywhere(q{SELECT count(*) FROM pg_roles WHERE rolname = 'boss'}, 0, 'functions, types and roles');
is($cluster->query(3, 'SELECT * FROM vecdb.check_cluster()'), '', 'nothing is wrong');

done_testing();
