# Do groups and hosts come and go, with all tables and what they need, and is a
# node that leaves an ordinary database again?

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VecdbCluster;

my $cluster = VecdbCluster->new('members', groups => 2)->start;

is($cluster->query($_, 'SELECT group_id, is_local FROM vecdb.groups ORDER BY 1'),
	$_ == 1 ? "1|t\n2|f" : "1|f\n2|t", "group $_ knows both") foreach 1, 2;
is($cluster->query(1, 'SELECT vecdb.cluster_id()'),
	$cluster->query(2, 'SELECT vecdb.cluster_id()'), 'and they are one cluster');

# Everything that a table may have, for a group that comes later.
$cluster->query(1, q{
	CREATE ROLE reader LOGIN PASSWORD 'secret';
	CREATE ROLE readers;
	GRANT readers TO reader;
	CREATE SCHEMA shop;
	GRANT USAGE ON SCHEMA shop TO readers;
	CREATE TYPE shop.mood AS ENUM ('sad', 'it''s ok');
	CREATE DOMAIN shop.positive AS int CHECK (value > 0);
	CREATE PROCEDURE shop.proceed() LANGUAGE sql AS 'SELECT 1';
	REVOKE EXECUTE ON PROCEDURE shop.proceed() FROM PUBLIC; GRANT EXECUTE ON PROCEDURE shop.proceed() TO readers;
	REVOKE USAGE ON TYPE shop.mood FROM PUBLIC; GRANT USAGE ON TYPE shop.mood TO reader WITH GRANT OPTION;
	REVOKE CREATE ON SCHEMA public FROM PUBLIC; GRANT CREATE ON SCHEMA public TO reader;
	ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT SELECT ON TABLES TO readers;
	ALTER DEFAULT PRIVILEGES FOR ROLE reader REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
	ALTER ROLE reader SET search_path = shop, "$user"; ALTER ROLE reader SET work_mem = '7MB';
	ALTER ROLE readers IN DATABASE postgres SET vecdb.share_ddl = off;
	CREATE FUNCTION shop.plus(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1';
	CREATE FUNCTION shop.note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
	CREATE TABLE kinds (kind text PRIMARY KEY, n int);
	INSERT INTO kinds SELECT 'kind ' || i, i FROM generate_series(1, 50) i;
	CREATE TABLE shop.items (
		id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
		gone int, title text NOT NULL DEFAULT 'a' || 'b' CHECK (title <> ''),
		mood shop.mood DEFAULT 'sad', amount shop.positive,
		number serial, embedding vector(3),
		shout text GENERATED ALWAYS AS (upper(title)) STORED,
		kind text) WITH (fillfactor = 90);
	ALTER TABLE shop.items DROP COLUMN gone;
	ALTER TABLE shop.items ALTER embedding SET STORAGE PLAIN, ALTER title SET STATISTICS 50;
	CREATE INDEX items_embedding ON shop.items USING hnsw (embedding vector_l2_ops) WITH (m = 8);
	CREATE INDEX items_plus ON shop.items (shop.plus(amount)) WHERE title IS NOT NULL;
	CREATE STATISTICS shop.items_stats ON title, amount FROM shop.items;
	CREATE TRIGGER note BEFORE INSERT ON shop.items FOR EACH ROW EXECUTE FUNCTION shop.note();
	ALTER TABLE shop.items DISABLE TRIGGER note;
	CREATE POLICY mine ON shop.items FOR SELECT TO readers USING (amount > 1);
	ALTER TABLE shop.items ENABLE ROW LEVEL SECURITY;
	GRANT SELECT ON shop.items TO readers;
	ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT DELETE ON TABLES TO reader;
	GRANT UPDATE (title) ON shop.items TO reader WITH GRANT OPTION;
	COMMENT ON TABLE shop.items IS E'it''s\tall';
	COMMENT ON COLUMN shop.items.title IS 'a title';
	COMMENT ON INDEX shop.items_plus IS 'an index';
	SELECT vecdb.replicate_table('kinds');
	SELECT vecdb.distribute_table('shop.items');
	ALTER TABLE shop.items ADD FOREIGN KEY (kind) REFERENCES kinds;
	INSERT INTO shop.items (title, amount, embedding, kind)
		SELECT 't' || i, i, ARRAY[i, i, i]::real[]::vector, 'kind 1' FROM generate_series(1, 300) i;});

my $describe = q{
	SELECT attname, format_type(atttypid, atttypmod), attnotnull, attidentity, attgenerated,
		attstorage, attstattarget, pg_get_expr(adbin, adrelid)
		FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
		WHERE attrelid = 'shop.items'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY 1;
	SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'shop.items'::regclass ORDER BY 1;
	SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'shop.items'::regclass ORDER BY 1;
	SELECT pg_get_triggerdef(oid), tgenabled FROM pg_trigger WHERE tgrelid = 'shop.items'::regclass AND NOT tgisinternal;
	SELECT polname, polcmd, pg_get_expr(polqual, polrelid) FROM pg_policy;
	SELECT relrowsecurity, array(SELECT a::text FROM unnest(relacl) a ORDER BY 1), reloptions, pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'shop.items'::regclass;
	SELECT attname, attacl FROM pg_attribute WHERE attrelid = 'shop.items'::regclass AND attacl IS NOT NULL;
	SELECT pg_get_statisticsobjdef(oid) FROM pg_statistic_ext;
	SELECT obj_description('shop.items'::regclass), col_description('shop.items'::regclass, attnum),
		obj_description('shop.items_plus'::regclass)
		FROM pg_attribute WHERE attrelid = 'shop.items'::regclass AND attname = 'title';
	SELECT rolcanlogin, pg_has_role('reader', 'readers', 'member') FROM pg_roles WHERE rolname = 'reader';
	SELECT nspname, array(SELECT a::text FROM unnest(nspacl) a ORDER BY 1) FROM pg_namespace WHERE nspname IN ('public', 'shop') ORDER BY 1;
	SELECT prokind, proname, array(SELECT a::text FROM unnest(proacl) a ORDER BY 1) FROM pg_proc WHERE pronamespace = 'shop'::regnamespace ORDER BY 2;
	SELECT typname, array(SELECT a::text FROM unnest(typacl) a ORDER BY 1) FROM pg_type WHERE typname IN ('mood', 'positive') ORDER BY 1;
	SELECT pg_get_userbyid(defaclrole), defaclnamespace::regnamespace, defaclobjtype, array(SELECT a::text FROM unnest(defaclacl) a ORDER BY 1) FROM pg_default_acl ORDER BY 1, 2;
	SELECT pg_get_userbyid(setrole), setdatabase <> 0, setconfig FROM pg_db_role_setting ORDER BY 1, 2;
	SELECT count(*) FROM kinds};

my $one = $cluster->query(1, $describe);
$cluster->add_server(3);
$cluster->join_server(3);
is($cluster->query($_, $describe), $one, "group $_ has the same tables") foreach 2, 3;
is($cluster->query_own(3, 'SELECT count(*), sum(n) FROM kinds'), '50|1275',
	'a new group has the rows of reference tables');
is($cluster->query_own(3, 'SELECT count(*) FROM shop.items'), 0, 'and none of distributed ones');
is($cluster->query(3, 'SELECT count(*), sum(amount) FROM shop.items'), '300|45150',
	'but finds them all');
is($cluster->query(2, 'SELECT group_id, shards, percent, even_percent FROM vecdb.balance ORDER BY 1'), "1|128|50.00|33.33\n2|128|50.00|33.33\n3|0|0.00|33.33",
	'where the view of the balance shows that it owns no shards');
is($cluster->query(2, 'SELECT group_id, shards FROM vecdb.groups ORDER BY 1'), "1|128\n2|128\n3|0", 'as does that of the groups');
$cluster->query(3, q{CREATE TABLE later (id int PRIMARY KEY); SELECT vecdb.distribute_table('later')});
is($cluster->query(1, q{SELECT min(n) > 80 FROM (SELECT count(*) AS n FROM vecdb.shards WHERE table_name = 'later'::regclass GROUP BY group_id) s}), 't',
	'though it gets its share of tables that are distributed later');
$cluster->query(2, q{DROP TABLE later; UPDATE kinds SET n = n + 1});
{
	local $ENV{PGOPTIONS} = '-c vecdb.internal=on';
	is($cluster->query(3, 'SELECT sum(n) FROM kinds'), '1325', 'and what is written to reference tables');
}
is($cluster->query(2, 'SELECT * FROM vecdb.check_cluster()'), '', 'nothing is wrong');

# Each group has its own values.
my %seen;
foreach my $group ($cluster->groups)
{
	my $ids = $cluster->query($group,
		"INSERT INTO shop.items (title) VALUES ('x'), ('y') RETURNING id, number");
	$seen{$_}++ foreach map { my ($id, $n) = split /\|/; ("id $id", "number $n") } split /\n/, $ids;
}
is(scalar(grep { $_ > 1 } values %seen), 0, 'sequences give each value once');
is(scalar(keys %seen), 12, 'and did not fail');
is($cluster->query(1, "SELECT min(id) = 301, min(number) = 301 FROM shop.items WHERE title IN ('x', 'y')"),
	't|t', 'group 1 goes on where the table was');

# Failing in the midst leaves an ordinary database, which can be added later.
my $node = $cluster->add_server(4);
$node->safe_psql('postgres', q{CREATE SCHEMA shop; CREATE TYPE shop.mood AS (a int)});
my ($rc, $out, $err) = $cluster->try(1, sprintf("SELECT vecdb.add_group('%s', %d)", $node->host, $node->port));
isnt($rc, 0, 'a type that differs is noticed');
like($err, qr/group 4/, 'and the group is named');
is($node->safe_psql('postgres', 'SELECT count(*), vecdb.cluster_id() IS NULL FROM vecdb.catalog_table'),
	'0|t', 'the node is in no cluster');
is($cluster->query(1, 'SELECT count(*) FROM vecdb.catalog_group'), 3, 'and the cluster is as it was');
$node->safe_psql('postgres', 'DROP SCHEMA shop CASCADE; CREATE TABLE kinds (a int)');
($rc, $out, $err) = $cluster->try(1, sprintf("SELECT vecdb.add_group('%s', %d)", $node->host, $node->port));
like($err, qr/relation public.kinds exists on the new node already/, 'a table of the same name is noticed');
is($node->safe_psql('postgres', 'SELECT vecdb.cluster_id() IS NULL'), 't', 'before the node is touched');
$node->safe_psql('postgres', 'DROP TABLE kinds');
$cluster->join_server(4);
is($cluster->query(4, $describe), $one, 'then it becomes a member');
is($cluster->query(3, 'SELECT * FROM vecdb.check_cluster()'), '', 'and nothing is wrong');

# Hosts.
$node->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('members_standby');
$standby->init_from_backup($node, 'copy', has_streaming => 1);
$standby->start;
($rc, $out, $err) = $cluster->try(1, sprintf("SELECT vecdb.add_group('%s', %d)", $standby->host, $standby->port));
like($err, qr/is a standby.*HINT:.*add_host/s, 'a standby is no group');
($rc, $out, $err) = $cluster->try(1, sprintf("SELECT vecdb.add_host(2, '%s', %d)", $standby->host, $standby->port));
like($err, qr/does not belong to group 2/, 'nor a host of another group');
my $address = sprintf("'%s', %d", $standby->host, $standby->port);
$cluster->query(2, "SELECT vecdb.add_host(4, $address)");
is($cluster->query(3, 'SELECT count(*) FROM vecdb.nodes WHERE group_id = 4'), 2, 'it is one of its own');
$cluster->query(3, "SELECT vecdb.remove_host($address)");
is($cluster->query(1, 'SELECT count(*) FROM vecdb.nodes WHERE group_id = 4'), 1, 'and can leave');
($rc, $out, $err) = $cluster->try(1, sprintf("SELECT vecdb.remove_host('%s', %d)", $node->host, $node->port));
like($err, qr/is the only one of group 4.*HINT:/s, 'but not the last');
$standby->stop('immediate');

# Leaving.
($rc, $out, $err) = $cluster->try(1, 'SELECT vecdb.remove_group(2)');
like($err, qr/group 2 owns \d+ shards.*HINT:/s, 'who owns shards stays');
($rc, $out, $err) = $cluster->try(1, 'SELECT vecdb.remove_group(1)');
like($err, qr/cannot remove itself.*HINT:/s, 'nobody removes himself');
($rc, $out, $err) = $cluster->try(4, 'SELECT vecdb.drop_cluster()');
like($err, qr/the cluster has 4 groups/, 'a cluster of several does not end');
$cluster->query(1, 'SELECT vecdb.remove_group(4)');
is($node->safe_psql('postgres', q{SELECT vecdb.cluster_id() IS NULL, to_regclass('shop.items') IS NULL}),
	't|t', 'a removed node is an ordinary database');
is($cluster->query($_, 'SELECT count(*) FROM vecdb.groups'), 3, "group $_ forgot it") foreach 1, 2, 3;
($rc, $out, $err) = $cluster->try(1, 'SELECT vecdb.remove_group(4)');
like($err, qr/group 4 does not exist/, 'and it is gone');

# The end: all tables become ordinary ones of group 1.
$cluster->query(1, q{
	SELECT vecdb.undistribute_table('shop.items');
	SELECT vecdb.undistribute_table('kinds');
	SELECT vecdb.remove_group(3);
	SELECT vecdb.remove_group(2);
	SELECT vecdb.drop_cluster()});
is($cluster->query(1, 'SELECT vecdb.cluster_id() IS NULL, count(*), count(DISTINCT id) FROM shop.items'),
	't|306|306', 'all rows are here in the end');
is($cluster->query(1, q{SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'shop.items'::regclass AND contype = 'f'}),
	'FOREIGN KEY (kind) REFERENCES kinds(kind)', 'with their constraints');
$cluster->query(1, q{DROP EXTENSION vecdb CASCADE});
pass('and the extension can go');

done_testing();
