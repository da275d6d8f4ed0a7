# Do statements reach other groups, and do rows and errors come back?

use strict;
use warnings;

use lib 'test/perl';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VecdbGroups;

my @nodes = VecdbGroups::start(3);
my $one = $nodes[0];
my ($rc, $out, $err);

# simple statements
is($one->safe_psql('postgres', "SELECT vecdb.run_on_group(2, 'SELECT group_id FROM vecdb.catalog_local')"),
	2, 'group 2 answers');
is($one->safe_psql('postgres', "SELECT vecdb.run_on_group(3, 'SELECT group_id FROM vecdb.catalog_local')"),
	3, 'group 3 answers');
is($one->safe_psql('postgres', "SELECT vecdb.run_on_group(1, 'SELECT group_id FROM vecdb.catalog_local')"),
	1, 'so does the own group');
is($one->safe_psql('postgres', "SELECT string_agg(r, ',') FROM vecdb.run_on_group(2, 'SELECT i, i * 2 FROM generate_series(1, 3) i') r"),
	'1|2,2|4,3|6', 'rows and columns');
is($one->safe_psql('postgres', "SELECT count(*) FROM vecdb.run_on_group(2, 'SELECT i FROM generate_series(1, 100000) i')"),
	100000, 'many rows');

# errors keep their fields, and the connection can be used afterwards
($rc, $out, $err) = $one->psql('postgres', q{
	\set VERBOSITY verbose
	INSERT INTO t VALUES (0, 'local');
	SELECT vecdb.run_on_group(2, 'SELECT 1/0');
	SELECT vecdb.run_on_group(2, 'INSERT INTO t VALUES (1, $$a$$), (1, $$b$$)');
	SELECT vecdb.run_on_group(2, 'SELECT $$still here$$');
	SELECT state, requests > 1 FROM vecdb.connections;
}, on_error_stop => 0);
like($err, qr/22012: division by zero/, 'SQLSTATE and message');
like($err, qr/CONTEXT:  group 2 at .*:\d+\n.*remote statement: SELECT 1\/0/, 'group, host and statement');
like($err, qr/23505: duplicate key value/, 'another error');
like($err, qr/DETAIL:  Key \(id\)=\(1\) already exists/, 'with its detail');
like($err, qr/CONSTRAINT NAME:  t_pkey/, 'and the name of the constraint');
like($out, qr/still here\nidle\|t/, 'the connection is used again');

# notices and warnings
($rc, $out, $err) = $one->psql('postgres',
	q{SELECT vecdb.run_on_group(2, 'DO $$BEGIN RAISE WARNING ''look'' USING HINT = ''here''; END$$')});
like($err, qr/WARNING:  look\nHINT:  here/, 'warnings are passed on');

# settings travel, and only when they change
is($one->safe_psql('postgres', q{
	SET hnsw.ef_search = 77;
	SET search_path = pg_catalog, elsewhere;
	SET TimeZone = 'Asia/Tokyo';
	SELECT vecdb.run_on_group(2, 'SELECT current_setting($$hnsw.ef_search$$), current_setting($$search_path$$), current_setting($$TimeZone$$)');
	SET hnsw.ef_search = 78;
	SELECT vecdb.run_on_group(2, 'SELECT current_setting($$hnsw.ef_search$$)');
	RESET hnsw.ef_search;
	SELECT vecdb.run_on_group(2, 'SELECT current_setting($$hnsw.ef_search$$)');
	}), "77|pg_catalog, elsewhere|Asia/Tokyo\n78\n40", 'settings travel');
is($one->safe_psql('postgres', q{
	BEGIN;
	SET hnsw.ef_search = 79;
	SELECT vecdb.run_on_group(2, 'SELECT current_setting($$hnsw.ef_search$$)');
	ROLLBACK;
	SELECT vecdb.run_on_group(2, 'SELECT current_setting($$hnsw.ef_search$$)');
	}), "79\n40", 'and go back with the transaction');

# only superusers say what runs there
$_->safe_psql('template1', 'CREATE ROLE alice; CREATE ROLE boss SUPERUSER') foreach @nodes;
is($one->safe_psql('postgres', q{
	SET ROLE boss;
	SELECT vecdb.run_on_group(2, 'SELECT current_user');
	RESET ROLE;
	SELECT vecdb.run_on_group(2, 'SELECT current_user') = session_user}), "boss\nt", 'and so does the role');
$one->safe_psql('postgres', q{
	GRANT EXECUTE ON FUNCTION vecdb.run_on_group TO alice;
	CREATE FUNCTION remote_user() RETURNS text LANGUAGE sql AS
		$$SELECT vecdb.run_on_group(2, 'SELECT current_user')$$;});
($rc, $out, $err) = $one->psql('postgres', q{SET ROLE alice; SELECT remote_user()});
like($err, qr/must be superuser to run SQL on a group/, 'only superusers run SQL on groups');

# not of the cluster, or not there
($rc, $out, $err) = $one->psql('postgres', "SELECT vecdb.run_on_group(9, 'SELECT 1')");
like($err, qr/group 9 does not exist/, 'no such group');
($rc, $out, $err) = $one->psql('template1', "CREATE EXTENSION vecdb; SELECT vecdb.run_on_group(2, 'SELECT 1')");
like($err, qr/this database is not a member of a cluster/, 'no cluster');

# outside of the transaction, on a connection that was used before
$_->safe_psql('postgres', 'CREATE TABLE outside (i int)') foreach $nodes[1];
($rc, $out, $err) = $one->psql('postgres', q{
	SELECT vecdb.run_on_group(2, 'SELECT 1');
	SELECT vecdb.run_on_group(2, 'SELECT 2 FROM pg_sleep(0.1)', false);
	SELECT vecdb.run_on_group(2, 'INSERT INTO outside VALUES (3) RETURNING i', false);
	SELECT vecdb.run_on_group(2, 'SELECT 1/0', false);
	SELECT vecdb.run_on_group(2, 'VACUUM outside', false);
	SELECT vecdb.run_on_group(2, 'SELECT 4');
	SELECT vecdb.run_on_group(2, 'SELECT 5', false);
}, on_error_stop => 0);
is($out, "1\n2\n3\n4\n5", 'statements outside of the transaction');
like($err, qr/division by zero/, 'and their errors');
is(() = $err =~ /ERROR/g, 1, 'no other error');

# what cannot be done on a group is refused
foreach my $case (
	[ 1, 'SELECT 1', 'false', qr/0A000: cannot run SQL outside of the transaction on this node's own group.*HINT/s ],
	[ 1, 'COMMIT', 'true', qr/0A000: cannot run a transaction command on a group.*HINT/s ],
	[ 2, 'COMMIT', 'true', qr/0A000: cannot run a transaction command on a group/ ],
	[ 2, 'SAVEPOINT a', 'true', qr/0A000: cannot run a transaction command on a group/ ],
	[ 2, 'BEGIN', 'false', qr/0A000: cannot run a transaction command on a group/ ],
	[ 2, "ROLLBACK PREPARED 'nothing'", 'false', qr/42704: prepared transaction with identifier "nothing" does not exist/ ])
{
	my ($group, $sql, $inside, $expected) = @$case;
	($rc, $out, $err) = $one->psql('postgres',
		"\\set VERBOSITY verbose\nSELECT vecdb.run_on_group($group, \$\$$sql\$\$, $inside)");
	like($err, $expected, "$sql at group $group");
}

# a connection that the other side has closed is made again
is($one->safe_psql('postgres', q{
	SELECT vecdb.run_on_group(2, 'SELECT 1');
	SELECT vecdb.run_on_group(3, 'SELECT 2');
	SELECT count(*) FROM vecdb.run_on_group(2, 'SELECT pid FROM pg_stat_activity WHERE application_name ~ $$^vecdb [0-9]$$');
	}), "1\n2\n1", 'one connection to each');
my $session = $one->background_psql('postgres');
is($session->query_safe("SELECT vecdb.run_on_group(2, 'SELECT 1')"), 1, 'a session with a connection');
$nodes[1]->restart;
is($session->query_safe("SELECT vecdb.run_on_group(2, 'SELECT 1')"), 1,
	'a restart of the other group is not noticed');
$session->quit;

done_testing();
