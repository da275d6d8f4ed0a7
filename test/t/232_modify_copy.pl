# Does COPY into and out of distributed tables do what it does on one server?

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use VecdbCluster;
use VecdbWrites;

my $cluster = VecdbCluster->new('copy', groups => 3)->start;
my $writes = VecdbWrites->new($cluster);
sub both { local $Test::Builder::Level = $Test::Builder::Level + 1; return $writes->both(@_); }

my $dir = PostgreSQL::Test::Utils::tempdir();
my $schema = q{
	CREATE TYPE mood AS ENUM ('sad', 'happy');
	CREATE TABLE items (id int PRIMARY KEY, name text DEFAULT 'none', n int CHECK (n < 1000),
		twice int GENERATED ALWAYS AS (n * 2) STORED, v vector(8), h halfvec(4), made date DEFAULT '2024-02-02');
	CREATE TABLE moods (id int PRIMARY KEY, m mood, all_moods mood[], vs vector[], o regclass);
	CREATE TABLE kinds (id int PRIMARY KEY, name text);
};
$cluster->query_both($schema);
$cluster->query(1, q{
	CREATE INDEX ON items USING hnsw (v vector_l2_ops);
	SELECT vecdb.distribute_table('items');
	SELECT vecdb.distribute_table('moods');
	SELECT vecdb.replicate_table('kinds');
});

# 30,000 rows with vectors, as text, csv and binary, from each node
my $count = 10_000;
$cluster->single->safe_psql('postgres', qq{
	INSERT INTO items (id, name, n, v, h) SELECT g, 'row ' || g, g % 1000,
		array[g, g % 7, g % 11, 1, 2, 3, 4, 5]::real[]::vector, array[g % 3, 1, 2, 3]::real[]::halfvec
	FROM generate_series(1, 3 * $count) g});
my @formats = ([ 'text', '' ], [ 'csv', 'CSV, HEADER' ], [ 'binary', 'BINARY' ]);
my $number = 0;
foreach my $format (@formats)
{
	my ($name, $options) = @$format;
	$options = $name eq 'text' ? '' : "($options)" =~ s/CSV/FORMAT csv/r =~ s/BINARY/FORMAT binary/r;
	my ($from, $to) = ($number * $count + 1, ($number + 1) * $count);
	my $group = ++$number;
	my $file = "$dir/$name";
	$cluster->single->safe_psql('postgres',
		"COPY (SELECT id, name, n, v, h, made FROM items WHERE id BETWEEN $from AND $to) TO '$file' $options");
	is($cluster->query($group, "COPY items FROM '$file' $options; SELECT count(*) FROM items WHERE id BETWEEN $from AND $to"),
		$count, "COPY of $count rows as $name from group $group");
}
both("SELECT count(*), sum(n), sum(twice), min(v::text), max(h::text), min(made) FROM items");
both("SELECT id FROM items ORDER BY v <-> '[1000,0,0,1,2,3,4,5]' LIMIT 5", ordered => 1);
$writes->in_place('items', 'COPY');

# from the client, with columns, defaults and options
my $data = "100001\tone\n100002\t\\N\n100003\ttab\\tand\\nline\\\\\n";
both("COPY items (id, name) FROM STDIN;\n$data\\.\nSELECT id, name, n, made FROM items WHERE id > 100000") for 1;
both("COPY items (name, id, n) FROM STDIN WITH (FORMAT csv, NULL 'x', DELIMITER ';');\n\"a \"\"b\"\"\";100011;x\n;100012;5\n\\.\nSELECT id, name, n, twice, made FROM items WHERE id > 100010");
both("COPY items (id, n) FROM STDIN WHERE n > 5 AND id % 2 = 0;\n100021\t1\n100022\t7\n100023\t8\n100024\t9\n\\.\nSELECT id, n FROM items WHERE id > 100020");
both("COPY items (id) FROM STDIN;\n\\.\n");
both("SET client_encoding = 'LATIN1'; COPY items (id, name) FROM STDIN;\n100031\t\xe4\xf6\xfc\n100032\t\xdf\n100033\tx\n\\.\nSELECT id, name, length(name) FROM items WHERE id > 100030");
both("COPY moods FROM STDIN;\n" . join('', map { "$_\thappy\t{sad,NULL,happy}\t{\"[$_,1]\",\"[2,3]\"}\titems\n" } 1 .. 50) . "\\.\nSELECT * FROM moods", what => 'types that have no common binary form');

# errors: the client's line is named, and nothing stays
sub fails
{
	my ($sql, $error, $context) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	foreach my $group ($cluster->groups)
	{
		$cluster->refused($group, $sql, $error);
		$cluster->refused($group, $sql, $context, "context: $context") if $context;
	}
	is($cluster->query(1, 'SELECT count(*) FROM items WHERE id > 200000'), 0, 'nothing stays');
	return;
}
my $many = join('', map { ($_ + 200000) . "\tx\t1\n" } 1 .. 3000);
fails("COPY items (id, name, n) FROM STDIN;\n${many}no number\tx\t1\n\\.\n",
	qr/invalid input syntax for type integer: "no number"/, qr/COPY items, line 3001, column id: "no number"/);
fails("COPY items (id, name, n) FROM STDIN;\n${many}300000\tx\n\\.\n", qr/missing data for column "n"/, qr/COPY items, line 3001/);
fails("COPY items (id, name, n) FROM STDIN;\n${many}$_\tx\t1\n\\.\n", qr/duplicate key value violates unique constraint "items_pkey"/)
  foreach 1, 2, 3;
fails("COPY items (id, name, n) FROM STDIN;\n${many}" . (203001 + $_) . "\tx\t1000\n\\.\n", qr/violates check constraint "items_n_check"/)
  foreach 1 .. 3;
fails("COPY items (id, name, n) FROM STDIN;\n${many}\\N\tx\t1\n\\.\n", qr/null value in column "id"/);
fails("COPY items (id, twice) FROM STDIN;\n\\.\n", qr/column "twice" is a generated column/);
fails("BEGIN; COPY items FROM STDIN (FREEZE);\n\\.\n", qr/COPY option "freeze" is not supported for distributed tables/);
fails("BEGIN READ ONLY; COPY items FROM STDIN;\n\\.\n", qr/cannot execute COPY FROM in a read-only transaction/);
$cluster->query_all("DO \$\$ BEGIN CREATE ROLE reader; EXCEPTION WHEN duplicate_object THEN NULL; END \$\$");
fails("SET ROLE reader; COPY items FROM STDIN;\n\\.\n", qr/permission denied for table items/);

# transactions
both("BEGIN; COPY items (id) FROM STDIN;\n" . join('', map { "$_\n" } 400001 .. 400300) . "\\.\nSELECT count(*) FROM items WHERE id > 400000; ROLLBACK; SELECT count(*) FROM items WHERE id > 400000", what => 'COPY rolled back');
both("BEGIN; INSERT INTO items (id) VALUES (400001); SAVEPOINT a; COPY items (id) FROM STDIN;\n" . join('', map { "$_\n" } 400001 .. 400300) . "\\.\nROLLBACK TO a; COPY items (id) FROM STDIN;\n" . join('', map { "$_\n" } 400002 .. 400300) . "\\.\nCOMMIT; SELECT count(*) FROM items WHERE id > 400000", what => 'COPY after a savepoint');
$writes->in_place('items', 'COPY in transactions');

# reference tables
both("COPY kinds FROM STDIN;\n" . join('', map { "$_\tkind $_\n" } 1 .. 300) . "\\.\nSELECT count(*) FROM kinds", what => 'COPY into a reference table');
is($writes->own($_, 'SELECT count(*), sum(id), min(name) FROM kinds'), '300|45150|kind 1', "group $_ has the rows of the reference table")
  foreach $cluster->groups;

# COPY TO
both("COPY kinds TO STDOUT");
both("COPY items TO STDOUT", what => 'COPY TO');
both("COPY items (name, id, v) TO STDOUT (FORMAT csv)", what => 'COPY TO of columns, csv');
both("COPY (SELECT id, name FROM items WHERE id < 50 ORDER BY id) TO STDOUT (FORMAT csv, HEADER)", ordered => 1);
$cluster->query(2, "COPY items TO '$dir/all' (FORMAT binary)");
$cluster->single->safe_psql('postgres', "CREATE TABLE again (id int, name text, n int, v vector(8), h halfvec(4), made date); COPY again FROM '$dir/all' (FORMAT binary)");
is($cluster->single->safe_psql('postgres', 'SELECT count(*) FROM (SELECT id, name, n, v, h, made FROM items EXCEPT SELECT * FROM again) x'),
	0, 'COPY TO in binary form');

is($cluster->prepared_left, 0, 'no prepared transaction is left');
$cluster->stop;
done_testing();
