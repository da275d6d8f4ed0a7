# Does a program, or a dump, that was written for pgvector get vecdb by the
# name it asks for?

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# What the sources hold is tested; the rooms came one after the other.
my $has_types = -e 'sql/parts/types.sql';
my $has_hnsw = -e 'sql/parts/hnsw.sql';

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;

sub extensions
{
	my ($db) = @_;
	return $node->safe_psql($db, q{
		SELECT extname, extversion, nspname
		FROM pg_extension e JOIN pg_namespace n ON n.oid = extnamespace
		WHERE extname IN ('vector', 'vecdb') ORDER BY extname});
}

sub new_database
{
	my ($db) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $db");
	return $db;
}

# Not preloaded: PostgreSQL refuses and says what would help.
my $db = new_database('plain');
my ($rc, $out, $err) = $node->psql($db, 'CREATE EXTENSION vector');
isnt($rc, 0, 'without preloading, the alias alone is refused');
like($err, qr/required extension "vecdb" is not installed/, 'says why');
like($err, qr/HINT: .*CASCADE/, 'says what helps');
is(extensions($db), '', 'and nothing is left behind');

$node->safe_psql($db, 'CREATE EXTENSION vector CASCADE');
is(extensions($db), "vecdb|0.1.0|public\nvector|0.8.7|public",
	'with CASCADE it creates both');

# Loaded for one session.
$db = new_database('session');
$node->safe_psql('postgres',
	"ALTER DATABASE $db SET session_preload_libraries = 'vecdb'");
$node->safe_psql($db, 'CREATE EXTENSION IF NOT EXISTS vector');
is(extensions($db), "vecdb|0.1.0|public\nvector|0.8.7|public",
	'session_preload_libraries is enough');

# Preloaded.
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'vecdb'");
$node->restart;

$db = new_database('preloaded');
($rc, $out, $err) = $node->psql($db, 'CREATE EXTENSION vector');
is($rc, 0, 'preloaded, the plain command works');
like($err, qr/NOTICE:  installing required extension "vecdb"/,
	'and says that it creates vecdb');
is(extensions($db), "vecdb|0.1.0|public\nvector|0.8.7|public", 'both are there');

($rc, $out, $err) = $node->psql($db, 'CREATE EXTENSION IF NOT EXISTS vector');
is($rc, 0, 'IF NOT EXISTS may be repeated');
like($err, qr/NOTICE:  extension "vector" already exists, skipping/,
	'with the usual notice');
($rc, $out, $err) = $node->psql($db, 'CREATE EXTENSION vector');
like($err, qr/ERROR:  extension "vector" already exists/,
	'without it the usual error');

# DROP leaves vecdb; then the alias can come back.
$node->safe_psql($db, 'DROP EXTENSION vector');
is(extensions($db), "vecdb|0.1.0|public", 'DROP EXTENSION vector keeps vecdb');
$node->safe_psql($db, 'CREATE EXTENSION vector');
($rc, $out, $err) = $node->psql($db, 'DROP EXTENSION vecdb');
like($err, qr/extension vector depends on extension vecdb/,
	'vecdb is not dropped under the alias');

# The options.
$db = new_database('options');
$node->safe_psql($db, 'CREATE SCHEMA ext');
($rc, $out, $err) =
  $node->psql($db, "\\set VERBOSITY verbose\nCREATE EXTENSION vector VERSION '0.5.0'");
like($err, qr/ERROR:  22023: extension "vector" has no installation script.* version "0\.5\.0"/,
	'a version that is not there is refused');
is(extensions($db), '', 'and nothing is left behind');
$node->safe_psql($db, "CREATE EXTENSION vector SCHEMA ext VERSION '0.8.7'");
is(extensions($db), "vecdb|0.1.0|ext\nvector|0.8.7|ext",
	'SCHEMA goes for both');

# Statements kept in a function are not changed where they are kept.
$db = new_database('repeated');
$node->safe_psql($db, q{
	CREATE FUNCTION install() RETURNS void LANGUAGE plpgsql AS
	'BEGIN CREATE EXTENSION vector; END';
	SELECT install();
	DROP EXTENSION vecdb CASCADE;
	SELECT install();});
is(extensions($db), "vecdb|0.1.0|public\nvector|0.8.7|public",
	'the command works in a function, twice');

# A user who may not create extensions may not do so by this way.
$db = new_database('unprivileged');
$node->safe_psql('postgres', "CREATE ROLE visitor LOGIN;
	GRANT CREATE ON DATABASE $db TO visitor");
($rc, $out, $err) = $node->psql($db, 'CREATE EXTENSION vector',
	extra_params => [ '-U', 'visitor' ]);
like($err, qr/permission denied to create extension/,
	'privileges are judged as for any extension');
is(extensions($db), '', 'and nothing is left behind');

# pg_dump of a database with both.
$db = 'preloaded';
if ($has_types)
{
	$node->safe_psql($db, q{
		CREATE TABLE items (id int PRIMARY KEY, v vector(3), h halfvec(2),
							s sparsevec(5), b bit(3));
		INSERT INTO items VALUES
			(1, '[1,2,3]', '[1,2]', '{1:1,3:2}/5', '101'),
			(2, '[4,5,6]', '[3,4]', '{2:1}/5', '111');});
}
my $dump = "$PostgreSQL::Test::Utils::tmp_check/alias.dump";
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, '-d', $node->connstr($db) ],
	'pg_dump');
new_database('restored');
$node->command_ok(
	[ 'pg_restore', '--exit-on-error', '-d', $node->connstr('restored'), $dump ],
	'pg_restore into a fresh database');
is(extensions('restored'), extensions($db), 'both extensions are restored');
if ($has_types)
{
	my $all = 'SELECT * FROM items ORDER BY id';
	is($node->safe_psql('restored', $all), $node->safe_psql($db, $all),
		'and the rows');
}

# A dump of pgvector itself, in the form that pg_dump 15 gives it.
SKIP:
{
	skip 'no types yet', 1 unless $has_types;

	my $sql = q{
SET statement_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;

CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA public;
COMMENT ON EXTENSION vector IS 'vector data type and ivfflat and hnsw access methods';

SET default_tablespace = '';
SET default_table_access_method = heap;

CREATE TABLE public.documents (
    id bigint NOT NULL,
    body text,
    embedding public.vector(3),
    half public.halfvec(3),
    sparse public.sparsevec(10),
    bits bit(8),
    anysize public.vector
);
ALTER TABLE ONLY public.documents ALTER COLUMN anysize SET STORAGE PLAIN;
CREATE VIEW public.near AS
 SELECT documents.id,
    (documents.embedding OPERATOR(public.<->) '[1,1,1]'::public.vector) AS distance
   FROM public.documents;

COPY public.documents (id, body, embedding, half, sparse, bits, anysize) FROM stdin;
1	one	[1,2,3]	[1,2,3]	{1:1,4:2.5}/10	10101010	[1]
2	two	[4,5,6]	[0.5,1.5,-2]	{10:-1}/10	11110000	\N
3	three	\N	\N	\N	\N	[1,2,3,4]
\.

ALTER TABLE ONLY public.documents
    ADD CONSTRAINT documents_pkey PRIMARY KEY (id);
CREATE INDEX documents_anysize_idx ON public.documents USING btree (anysize);
};
	if ($has_hnsw)
	{
		$sql .= q{
CREATE INDEX documents_embedding_idx ON public.documents USING hnsw (embedding public.vector_l2_ops) WITH (m='16', ef_construction='64');
CREATE INDEX documents_half_idx ON public.documents USING hnsw (half public.halfvec_cosine_ops);
CREATE INDEX documents_sparse_idx ON public.documents USING hnsw (sparse public.sparsevec_ip_ops) WITH (m='8');
CREATE INDEX documents_bits_idx ON public.documents USING hnsw (bits public.bit_hamming_ops);
CREATE INDEX documents_expr_idx ON public.documents USING hnsw (((embedding)::public.halfvec(3)) public.halfvec_l2_ops) WHERE (id > 0);
};
	}
	$db = new_database('from_pgvector');
	my $file = "$PostgreSQL::Test::Utils::tmp_check/pgvector.sql";
	PostgreSQL::Test::Utils::append_to_file($file, $sql);
	$node->command_ok(
		[ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $file,
			'-d', $node->connstr($db) ],
		'a dump of pgvector restores');
	is(extensions($db), "vecdb|0.1.0|public\nvector|0.8.7|public",
		'into vecdb');
	is($node->safe_psql($db, 'SELECT id, distance FROM near ORDER BY distance LIMIT 1'),
		'1|2.23606797749979', 'its view answers');
	is($node->safe_psql($db,
			'SELECT embedding, half, sparse, bits, anysize FROM documents ORDER BY id'),
		"[1,2,3]|[1,2,3]|{1:1,4:2.5}/10|10101010|[1]\n"
		  . "[4,5,6]|[0.5,1.5,-2]|{10:-1}/10|11110000|\n"
		  . "||||[1,2,3,4]",
		'its values are the same');
	if ($has_hnsw)
	{
		is($node->safe_psql($db, q{SELECT count(*) FROM pg_index i, pg_class c, pg_am a
				WHERE i.indexrelid = c.oid AND c.relam = a.oid
				AND amname = 'hnsw' AND indisvalid}),
			'5', 'its hnsw indexes are there');
		is($node->safe_psql($db, q{
				SET enable_seqscan = off;
				SELECT id FROM documents ORDER BY embedding <-> '[4,5,5]' LIMIT 2}),
			"2\n1", 'and are searched');
	}
}

$node->stop;
done_testing();
