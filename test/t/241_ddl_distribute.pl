# Do rows get to the groups that own them, and back, whatever the strategy and
# the types; and do readers see all of them all the time?

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VecdbCluster;

my $cluster = VecdbCluster->new('distribute', groups => 3)->start;

# what each node holds of a table
sub held
{
	my ($table) = @_;
	return map { $cluster->query_own($_, "SELECT count(*) FROM ONLY $table") } $cluster->groups;
}

sub sound
{
	my ($what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($cluster->query(2, 'SELECT * FROM vecdb.check_cluster()'), '', "$what: nothing is wrong");
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

# A laptop.
my $single = PostgreSQL::Test::Cluster->new('alone');
$single->init;
$single->start;
$single->safe_psql('postgres', 'CREATE EXTENSION vecdb; CREATE TABLE t (a int PRIMARY KEY)');
foreach my $call ("distribute_table('t')", "distribute_table('t', 'a')", "replicate_table('t')", "undistribute_table('t')")
{
	my $err = '';
	is($single->psql('postgres', "SELECT vecdb.$call", stderr => \$err), 0, "$call does nothing without a cluster");
	like($err, qr/NOTICE:  table "t" stays as it is/, 'and says so');
}
$single->stop;

# Values that are not easily carried: text format, for arrays and records of
# types that users made.
$cluster->query(1, q{
	CREATE TYPE mood AS ENUM ('sad', 'ok');
	CREATE TYPE pair AS (a int, m mood);
	CREATE TABLE odd (id int PRIMARY KEY, moods mood[], pair pair, t text, v vector(2), r regtype, j jsonb, f float8);
	INSERT INTO odd SELECT i, '{sad,NULL,ok}', ROW(i, 'ok')::pair, E'a\tb\\\n' || i, '[1.5,2]', 'vector', '{"a": [1]}', pi() * i
		FROM generate_series(1, 200) i;
	INSERT INTO odd (id) VALUES (1000);
	INSERT INTO odd VALUES (1001, '{}', NULL, '', NULL, NULL, NULL, 'NaN');});
my $digest = q{SELECT md5(string_agg(odd::text, ',' ORDER BY id)), count(*) FROM odd};
my $before = $cluster->query(1, $digest);
$cluster->query(1, "SELECT vecdb.distribute_table('odd')");
cmp_ok($_, '>', 30, 'each group has a part') foreach held('odd');
is($cluster->query($_, $digest), $before, "group $_ sees what was there") foreach $cluster->groups;
$cluster->query(3, "SELECT vecdb.undistribute_table('odd')");
is($cluster->query_own(3, $digest), $before, 'all comes back, to another group');
is($cluster->query($_, "SELECT to_regclass('odd') IS NULL"), 't', "and leaves group $_") foreach 1, 2;
is($cluster->query(1, 'SELECT count(*) FROM vecdb.catalog_shard'), 0, 'no shard is left');
$cluster->query(3, 'DROP TABLE odd');

# Settings of the client: values are what they were, in binary form or not.
my $words = "\xc3\xa4\xc3\xb6 \xe2\x82\xac \xd0\x96";
my %shapes = (words => 'int', words_as_text => 'pair');
my @settings = ("client_encoding = 'LATIN1'", 'extra_float_digits = -10', "DateStyle = 'SQL, DMY'; SET IntervalStyle = sql_standard; SET TimeZone = 'Asia/Kolkata'");
sub digest_of
{
	my ($table) = @_;
	return "SELECT md5(string_agg(w::text, ',' ORDER BY id)), count(*), max(length(t)) FROM $table w";
}
foreach my $table (sort keys %shapes)
{
	$cluster->query(1, qq{
		CREATE TABLE $table (id int PRIMARY KEY, t text, a varchar[], f float8, at timestamptz, i interval, x $shapes{$table});
		INSERT INTO $table SELECT i, '$words' || i, ARRAY['$words'], pi() * i, timestamptz '2025-02-03 04:05:06 UTC' + i * interval '1 day', interval '-1 day 2:03'
			FROM generate_series(1, 100) i});
	my $expected = $cluster->query(1, digest_of($table));
	foreach my $setting (@settings)
	{
		foreach my $move ('distribute', 'replicate')
		{
			my @errors = map { $cluster->try(1, "SET client_min_messages = error; SET $setting; SELECT vecdb.${_}_table('$table')"), ($cluster->try($_ eq 'undistribute' ? 1 : 2, digest_of($table)))[1] }
				$move, 'undistribute';
			is_deeply([ @errors[0, 2, 3, 4, 6, 7] ], [ 0, '', $expected, 0, '', $expected ], "$move and undistribute $table with $setting");
		}
	}
	# for a group that comes later
	$cluster->query(1, "SELECT vecdb.replicate_table('$table')");
}

# Strategies.  Triggers do not fire.
$cluster->query(2, q{
	CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''fired''; END';
	CREATE FUNCTION third(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 % 3';
	CREATE TABLE by_range (id int PRIMARY KEY, t text);
	CREATE TABLE by_list (id int PRIMARY KEY, t text);
	CREATE TABLE by_custom (id int PRIMARY KEY, t text);
	CREATE TABLE by_two (a int, b text, t text, PRIMARY KEY (b, a));
	INSERT INTO by_range SELECT i, i FROM generate_series(1, 90) i;
	INSERT INTO by_list SELECT i, i FROM generate_series(1, 9) i;
	INSERT INTO by_custom SELECT i, i FROM generate_series(1, 90) i;
	INSERT INTO by_two SELECT i, i, i FROM generate_series(1, 90) i;
	CREATE TRIGGER fail BEFORE INSERT OR DELETE ON by_range FOR EACH ROW EXECUTE FUNCTION fail();
	SELECT vecdb.distribute_table('by_range', 'id', strategy => 'range', bounds => '{31,61}');
	SELECT vecdb.distribute_table('by_list', 'id', strategy => 'list', bounds => '{"{1,2,3}","{4,5,6}",NULL}');
	SELECT vecdb.distribute_table('by_custom', 'id', strategy => 'custom', shard_count => 3, shard_function => 'third(int)');
	SELECT vecdb.distribute_table('by_two', shard_count => 16);});
is(join(',', sort(held('by_range'))), '30,30,30', 'ranges');
is(join(',', sort(held('by_list'))), '3,3,3', 'lists');
is(join(',', sort(held('by_custom'))), '30,30,30', 'a function');
cmp_ok($_, '>', 5, 'a key of two columns') foreach held('by_two');
is($cluster->query(1, 'SELECT key_columns, shard_count FROM vecdb.tables WHERE table_name = \'by_two\'::regclass'),
	'{b,a}|16', 'which is the primary key, in its order');
sound('strategies');
refused(1, "SELECT vecdb.distribute_table('by_two')", qr/is a distributed table already.*HINT/s, 'once is enough');
$cluster->query(2, 'ALTER TABLE by_range ENABLE ALWAYS TRIGGER fail');
$cluster->query(2, "SELECT vecdb.undistribute_table('by_range')");
is($cluster->query(2, 'SELECT count(*) FROM by_range'), 90, 'and back, without triggers');
$cluster->query(2, "SELECT vecdb.distribute_table('by_range', shard_count => 8)");
is($cluster->query(3, 'SELECT count(*) FROM by_range'), 90, 'also triggers that always fire, which do not go with rows');
sound('a trigger that always fires');

# Generated columns, defaults, domains and deferred keys come back as they were.
$cluster->query(1, q{
	CREATE DOMAIN small AS int CHECK (value < 1000);
	CREATE TABLE made (id int PRIMARY KEY, s small, g int GENERATED ALWAYS AS (s * 2) STORED, d text DEFAULT 'x', UNIQUE (id, s) DEFERRABLE INITIALLY DEFERRED);
	ALTER TABLE made ADD CHECK (s <> 5); CREATE INDEX made_g ON made (g);
	INSERT INTO made (id, s, d) SELECT i, i * 7, NULL FROM generate_series(1, 100) i;
	SELECT vecdb.distribute_table('made'); SELECT vecdb.undistribute_table('made');
	SET enable_seqscan = off});
is($cluster->query(1, 'SET enable_seqscan = off; SELECT count(*), sum(g), count(d), (SELECT id FROM made WHERE g = 140) FROM made'), '100|70700|0|10',
	'generated columns and indexes are right');

# Bounds are read as the session writes, and mean the same to all others.
$cluster->query(1, q{
	CREATE TABLE by_day (day date PRIMARY KEY); CREATE TABLE by_time (t timestamptz PRIMARY KEY); CREATE TABLE by_span (s interval PRIMARY KEY);
	CREATE TABLE by_float (f float8 PRIMARY KEY); CREATE TABLE by_days (day date PRIMARY KEY);
	SET DateStyle = 'SQL, DMY'; SET TimeZone = 'Asia/Tokyo'; SET IntervalStyle = iso_8601; SET extra_float_digits = -5;
	SELECT vecdb.distribute_table('by_day', 'day', 'range', bounds => '{01/02/2025,03/01/2026}');
	SELECT vecdb.distribute_table('by_time', 't', 'range', bounds => '{01/02/2025 09:00:00}');
	SELECT vecdb.distribute_table('by_span', 's', 'range', bounds => '{P1DT2H}');
	SELECT vecdb.distribute_table('by_float', 'f', 'range', bounds => '{0.12345678901234567}');
	SELECT vecdb.distribute_table('by_days', 'day', 'list', bounds => '{"{01/02/2025,02/03/2025}",NULL}');
	INSERT INTO by_day VALUES ('15/01/2025'), ('15/02/2025'), ('02/01/2026'), ('04/01/2026');});
is($cluster->query(2, q{SELECT string_agg(concat_ws(' ', low, high, list_values), ';' ORDER BY table_name::text, shard) FROM vecdb.shards WHERE table_name::text IN ('by_day', 'by_time', 'by_span', 'by_float', 'by_days')}),
	'2025-02-01;2025-02-01 2026-01-03;2026-01-03;{2025-02-01,2025-03-02};;0.12345678901234566;0.12345678901234566;1 day 02:00:00;1 day 02:00:00;2025-02-01 00:00:00+00;2025-02-01 00:00:00+00',
	'bounds are written in one form');
is($cluster->query(3, q{SET DateStyle = 'Postgres, MDY'; SELECT array_agg(vecdb.shard_of('by_day', day) ORDER BY day) FROM by_day}), '{0,1,1,2}', 'and read so');
sound('bounds');
$cluster->query(1, 'CREATE TABLE plain (id int PRIMARY KEY, t text)');
refused(1, "SELECT vecdb.distribute_table('plain', 'id', 'range', bounds => '{$_}')", qr/ascending order/, "bounds $_") foreach '5,3', '3,3', '1,10,9';
foreach my $case ([ '{"{1,2}","{2,3}"}', 'one shard only' ], [ '{"{1,1}"}', 'one shard only' ], [ '{"{1,NULL}"}', 'must not be null' ], [ '{NULL,"{1}",NULL}', 'take all other values' ])
{
	refused(1, "SELECT vecdb.distribute_table('plain', 'id', 'list', bounds => '$case->[0]')", qr/$case->[1]/, "values $case->[0]");
}

# Reference tables.
$cluster->query(3, q{
	CREATE TABLE codes (code text PRIMARY KEY, id serial);
	INSERT INTO codes SELECT 'c' || i FROM generate_series(1, 20) i;
	SELECT vecdb.replicate_table('codes');});
is(join(',', held('codes')), '20,20,20', 'all rows are everywhere');
is($cluster->query(1, 'SELECT kind FROM vecdb.tables WHERE table_name = \'codes\'::regclass'), 'reference', 'which is known');
sound('reference tables');
$cluster->query(1, "SELECT vecdb.undistribute_table('codes')");
is($cluster->query(1, 'SELECT count(*) FROM codes'), 20, 'one copy stays');
is($cluster->query(3, "SELECT to_regclass('codes') IS NULL"), 't', 'on the node that asked');

# Tables that belong together.
$cluster->query(1, q{
	CREATE TABLE parents (id bigint PRIMARY KEY);
	CREATE TABLE children (parent bigint, n int, PRIMARY KEY (parent, n));
	INSERT INTO parents SELECT generate_series(1, 100);
	INSERT INTO children SELECT i, j FROM generate_series(1, 100) i, generate_series(1, 3) j;
	SELECT vecdb.distribute_table('parents');
	SELECT vecdb.distribute_table('children', 'parent', colocate_with => 'parents');
	ALTER TABLE children ADD FOREIGN KEY (parent) REFERENCES parents ON DELETE CASCADE;});
is($cluster->query(2, 'SELECT count(DISTINCT colocation_id) FROM vecdb.tables WHERE table_name IN (\'parents\'::regclass, \'children\'::regclass)'), 1, 'colocated');
sound('colocated tables');
$cluster->query(2, q{
	CREATE TABLE with_custom (n int, t text, PRIMARY KEY (n, t)); INSERT INTO with_custom SELECT i, i FROM generate_series(1, 90) i;
	SELECT vecdb.distribute_table('with_custom', 'n', colocate_with => 'by_custom');
	INSERT INTO with_custom SELECT i, 'b' FROM generate_series(1, 90) i;});
is($cluster->query(1, q{SELECT count(*), count(DISTINCT shard_function) FROM vecdb.tables WHERE shard_function IS NOT NULL;
	SELECT count(*) FROM with_custom w JOIN by_custom b ON b.id = w.n}), "2|1\n180", 'colocated by a function');
is(join(',', sort(held('with_custom'))), '60,60,60', 'which says where rows go');
sound('a function for two tables');
foreach my $more ("strategy => 'hash'", "strategy => 'custom'", "shard_function => 'third(int)'", 'shard_count => 3', "bounds => '{1}'")
{
	refused(1, "SELECT vecdb.distribute_table('plain', 'id', colocate_with => 'by_custom', $more)", qr/cannot be combined/, "colocate_with and $more");
}
$cluster->query(1, q{CREATE TABLE c_texts (t text COLLATE "C" PRIMARY KEY); CREATE TABLE texts (t text PRIMARY KEY);
	SELECT vecdb.distribute_table('texts');});
refused(1, q{SELECT vecdb.distribute_table('c_texts', colocate_with => 'texts')}, qr/cannot be colocated.*collations.*HINT/s, 'keys of another collation');
$cluster->query(2, 'DELETE FROM parents WHERE id <= 50');
is($cluster->query(3, 'SELECT count(*) FROM children'), 150, 'foreign keys work in each group');
refused(1, "SELECT vecdb.undistribute_table('parents')", qr/cannot be enforced|depend on it/, 'what is referenced stays');

# What cannot be moved.
$cluster->query(1, q{
	CREATE TABLE whole (a int PRIMARY KEY) PARTITION BY RANGE (a);
	CREATE TABLE part PARTITION OF whole FOR VALUES FROM (1) TO (10);
	CREATE TABLE mother (a int PRIMARY KEY);
	CREATE TABLE daughter (PRIMARY KEY (a)) INHERITS (mother);
	CREATE TABLE ruled (a int PRIMARY KEY);
	CREATE RULE r AS ON DELETE TO ruled DO INSTEAD NOTHING;
	CREATE TABLE counted (a int GENERATED ALWAYS AS IDENTITY (INCREMENT BY -1) PRIMARY KEY);
	CREATE TABLE late (a int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY);
	SELECT setval('late_a_seq', 100000000);
	CREATE TABLE excluded (a int, r int4range, EXCLUDE USING gist (r WITH &&));
	CREATE TABLE computed (a int, b int GENERATED ALWAYS AS (a + 1) STORED);
	CREATE TABLE nulls (a int); INSERT INTO nulls VALUES (NULL);});
my $no = qr/cannot be shared by a cluster/;
refused(1, "SELECT vecdb.distribute_table('whole')", qr/$no.*partition/s, 'a partitioned table');
refused(1, "SELECT vecdb.distribute_table('part')", qr/$no.*partition/s, 'a partition');
refused(1, "SELECT vecdb.distribute_table('mother')", qr/$no.*inherit/s, 'a parent');
refused(1, "SELECT vecdb.distribute_table('daughter')", qr/$no.*inherit/s, 'a child');
refused(1, "SELECT vecdb.replicate_table('ruled')", qr/$no.*rules.*HINT/s, 'rules');
refused(1, "SELECT vecdb.distribute_table('counted')", qr/cannot be divided between groups.*HINT/s, 'a sequence that counts down');
refused(1, "SELECT vecdb.distribute_table('late')", qr/has used the part of group.*HINT.*bigint/s, 'a sequence that is used up');
refused(1, "SELECT vecdb.distribute_table('excluded', 'a')", qr/exclusion constraint.*cannot be enforced/, 'an exclusion constraint');
refused(1, "SELECT vecdb.distribute_table('computed', 'b')", qr/generated/, 'a generated key');
refused(1, "SELECT vecdb.distribute_table('nulls', 'a')", qr/null/, 'a key that is null');
refused(1, 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT vecdb.distribute_table(\'late\')', qr/READ COMMITTED only/, 'an old snapshot');
$cluster->query(1, q{CREATE ROLE stranger LOGIN; GRANT USAGE ON SCHEMA vecdb TO stranger; GRANT CREATE ON SCHEMA public TO stranger});
refused(1, "SET ROLE stranger; SELECT vecdb.distribute_table('mother')", qr/must be owner/, 'a stranger');
refused(1, "SET ROLE stranger; SELECT vecdb.drop_cluster(true)", qr/permission denied/, 'who must not end the cluster, either');
$cluster->query(1, q{
	CREATE TABLE owned (a int PRIMARY KEY, b serial CHECK (b > 0));
	REVOKE CREATE ON SCHEMA public FROM stranger;
	ALTER TABLE owned OWNER TO stranger;
	SET ROLE stranger;
	INSERT INTO owned SELECT generate_series(1, 50);
	SELECT vecdb.distribute_table('owned');
	ALTER TABLE owned ADD CHECK (a > 0);});
is($cluster->query(2, q{SELECT pg_get_userbyid(relowner), (SELECT count(*) FROM owned) FROM pg_class WHERE relname = 'owned'}),
	'stranger|50', 'an owner without further rights');
sound('after all');

# Readers go on until the very end; writers wait.
$cluster->query(1, q{
	CREATE TABLE busy (id int PRIMARY KEY, n int);
	INSERT INTO busy SELECT i, 0 FROM generate_series(1, 20000) i;});
my $reader = $cluster->node(1)->background_psql('postgres');
my $mover = $cluster->node(1)->background_psql('postgres');
my $writer = $cluster->node(1)->background_psql('postgres');
$reader->query_safe('BEGIN');
is($reader->query_safe('SELECT count(*) FROM busy'), 20000, 'a reader begins');
$mover->query_until(qr/go/, "\\echo go\nSELECT vecdb.distribute_table('busy');\n\\echo moved\n");
$cluster->node(1)->poll_query_until('postgres',
	q{SELECT count(*) = 1 FROM pg_locks WHERE relation = 'busy'::regclass AND mode = 'AccessExclusiveLock' AND NOT granted})
	or die 'the mover does not wait';
is($cluster->query(3, 'SELECT to_regclass(\'busy\') IS NULL'), 't', 'nothing is visible elsewhere yet');
$writer->query_until(qr/go/, "\\echo go\nUPDATE busy SET n = n + 1;\n\\echo written\n");
is($reader->query_safe('SELECT count(*) FROM busy'), 20000, 'the reader goes on');
$reader->query_safe('COMMIT');
is($reader->query_safe('SELECT count(*) FROM busy'), 20000, 'and sees all afterwards');
$writer->query_until(qr/written/, "\n");
is($cluster->query(2, 'SELECT count(*), sum(n) FROM busy'), '20000|20000', 'what waited was written everywhere');
$_->quit foreach $reader, $mover, $writer;
sound('moved under load');

# A group that is added by a client of another encoding.
my $fourth = $cluster->add_server(4);
is(($cluster->try(1, sprintf("SET client_encoding = LATIN1; SET extra_float_digits = -10; SELECT vecdb.add_group('%s', %d)", $fourth->host, $fourth->port)))[2],
	'', 'add_group() of such a client');
is($cluster->query_own(4, digest_of($_)), $cluster->query_own(1, digest_of($_)), "rows of $_ are the same there") foreach sort keys %shapes;

done_testing();
