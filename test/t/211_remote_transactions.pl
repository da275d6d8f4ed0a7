# Do transactions over groups end the same everywhere?

use strict;
use warnings;

use lib 'test/perl';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VecdbGroups;

my @nodes = VecdbGroups::start(3, 'log_statement = all');
my ($one, $two, $three) = @nodes;
my ($rc, $out, $err);

sub on
{
	my ($group, $sql) = @_;
	return "SELECT vecdb.run_on_group($group, \$sql\$$sql\$sql\$);\n";
}

sub logged
{
	my ($node, $pattern) = @_;
	return scalar(() = slurp_file($node->logfile) =~ /$pattern/g);
}

# one group changed: its own COMMIT
$one->safe_psql('postgres', 'BEGIN;' . on(2, "INSERT INTO t VALUES (1, 'a')")
	  . on(2, "INSERT INTO t VALUES (2, 'b')") . 'COMMIT');
is(VecdbGroups::contents(@nodes), '|1:a 2:b|', 'one group');
is(logged($two, 'PREPARE TRANSACTION'), 0, 'without two-phase commit');

# two others, and the own one
$one->safe_psql('postgres', 'BEGIN;' . on(2, "INSERT INTO t VALUES (3, 'c')")
	  . on(3, "INSERT INTO t VALUES (4, 'd')") . 'COMMIT');
is(VecdbGroups::contents(@nodes), '|1:a 2:b 3:c|4:d', 'two groups');
is(logged($two, 'PREPARE TRANSACTION'), 1, 'with two-phase commit');
$one->safe_psql('postgres', "BEGIN; INSERT INTO t VALUES (5, 'e');"
	  . on(3, "INSERT INTO t VALUES (6, 'f')") . 'COMMIT');
is(VecdbGroups::contents(@nodes), '5:e|1:a 2:b 3:c|4:d 6:f', 'the own group and another');
is(VecdbGroups::prepared(@nodes), 0, 'nothing is left prepared');
is($one->safe_psql('postgres', 'SELECT count(*) FROM vecdb.catalog_commit'), 2,
	'two commit records');
is($one->safe_psql('postgres', 'SELECT vecdb.recover_transactions()'), '',
	'a round of recovery has nothing to do');
is($one->safe_psql('postgres', 'SELECT count(*) FROM vecdb.catalog_commit'), 0,
	'and clears the records');

# ROLLBACK, and an error
my $before = VecdbGroups::contents(@nodes);
$one->safe_psql('postgres', 'BEGIN;' . on(2, "INSERT INTO t VALUES (10, 'x')")
	  . on(3, "INSERT INTO t VALUES (10, 'x')") . 'ROLLBACK');
is(VecdbGroups::contents(@nodes), $before, 'ROLLBACK');
$one->psql('postgres', 'BEGIN;' . on(2, "INSERT INTO t VALUES (10, 'x')")
	  . on(3, 'SELECT 1/0') . 'COMMIT', on_error_stop => 0);
is(VecdbGroups::contents(@nodes), $before, 'an error at one group');
$one->psql('postgres', 'BEGIN;' . on(2, "INSERT INTO t VALUES (10, 'x')")
	  . 'SELECT 1/0; COMMIT', on_error_stop => 0);
is(VecdbGroups::contents(@nodes), $before, 'an error here');

# what fails only at the end
($rc, $out, $err) = $one->psql('postgres', 'BEGIN;'
	  . on(2, 'SET CONSTRAINTS ALL DEFERRED') . on(2, "INSERT INTO t VALUES (1, 'x')") . 'COMMIT');
like($err, qr/duplicate key value/, 'a deferred constraint fails at COMMIT');
is(VecdbGroups::contents(@nodes), $before, 'nothing of it stays');
($rc, $out, $err) = $one->psql('postgres', 'BEGIN;' . on(3, "INSERT INTO t VALUES (10, 'x')")
	  . on(2, 'SET CONSTRAINTS ALL DEFERRED') . on(2, "INSERT INTO t VALUES (1, 'x')") . 'COMMIT');
like($err, qr/duplicate key value/, 'the same at PREPARE TRANSACTION');
is(VecdbGroups::contents(@nodes), $before, 'nothing of it stays');
is(VecdbGroups::prepared(@nodes), 0, 'prepared neither');
($rc, $out, $err) = $one->psql('postgres', 'BEGIN; SET CONSTRAINTS ALL DEFERRED; INSERT INTO t VALUES (5, $$x$$);'
	  . on(3, "INSERT INTO t VALUES (10, 'x')") . 'COMMIT');
like($err, qr/duplicate key value/, 'and of the own group');
is(VecdbGroups::contents(@nodes), $before, 'nothing of it stays');

# savepoints
$one->safe_psql('postgres', 'BEGIN;' . on(2, "INSERT INTO t VALUES (20, 'keep')")
	  . 'SAVEPOINT a;' . on(2, "INSERT INTO t VALUES (21, 'drop')") . on(3, "INSERT INTO t VALUES (21, 'drop')")
	  . 'ROLLBACK TO a;' . on(3, "INSERT INTO t VALUES (22, 'keep')")
	  . 'SAVEPOINT b; SAVEPOINT c;' . on(2, "INSERT INTO t VALUES (23, 'keep')") . 'RELEASE b; COMMIT');
is(VecdbGroups::contents(@nodes), '5:e|1:a 2:b 3:c 20:keep 23:keep|4:d 6:f 22:keep', 'savepoints');
$one->psql('postgres', 'BEGIN;' . on(2, "INSERT INTO t VALUES (30, 'keep')")
	  . 'SAVEPOINT a;' . on(2, 'SELECT 1/0') . 'ROLLBACK TO a;'
	  . on(2, "INSERT INTO t VALUES (31, 'keep')") . 'COMMIT', on_error_stop => 0);
like(VecdbGroups::contents($two), qr/30:keep 31:keep/, 'an error within a savepoint');
$one->safe_psql('postgres', q{
	DO $do$
	BEGIN
		FOR i IN 40..49 LOOP
			BEGIN
				PERFORM vecdb.run_on_group(2, format('INSERT INTO t VALUES (%s, %L)', i, i));
				IF i % 3 = 0 THEN RAISE EXCEPTION 'no'; END IF;
				PERFORM vecdb.run_on_group(3, format('INSERT INTO t VALUES (%s / (%s %% 5), %L)', i, i, i));
			EXCEPTION WHEN raise_exception OR division_by_zero OR unique_violation THEN NULL;
			END;
		END LOOP;
	END $do$});
like(VecdbGroups::contents($two), qr/31:keep 41:41 43:43 44:44 46:46 47:47 49:49$/, 'loops with exceptions')
  or diag(VecdbGroups::contents(@nodes));
is(VecdbGroups::prepared(@nodes), 0, 'nothing is left prepared');

# isolation and READ ONLY go along
is($one->safe_psql('postgres', 'BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY;'
	  . on(2, "SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only')") . 'COMMIT'),
	'serializable|on', 'properties of the transaction');
($rc, $out, $err) = $one->psql('postgres', 'BEGIN READ ONLY;' . on(2, 'DELETE FROM t') . 'COMMIT');
like($err, qr/cannot execute DELETE in a read-only transaction/, 'READ ONLY holds');

# PREPARE TRANSACTION by the user
($rc, $out, $err) = $one->psql('postgres', 'BEGIN;' . on(2, "INSERT INTO t VALUES (99, 'x')")
	  . "PREPARE TRANSACTION 'mine'");
like($err, qr/cannot prepare a transaction that has changed other groups.*HINT/s, 'is refused');
is(VecdbGroups::prepared(@nodes), 0, 'and nothing is prepared');
like($one->safe_psql('postgres', q{SELECT vecdb.run_on_group(2, 'SELECT count(*) FROM t WHERE id = 99')}), qr/^0$/, 'nor done');

# nor with a part that is lost
$before = VecdbGroups::contents(@nodes);
my $session = $one->background_psql('postgres', on_error_stop => 0);
$session->query(q{BEGIN; INSERT INTO t VALUES (98, 'x');} . on(2, "INSERT INTO t VALUES (99, 'x')") . 'SAVEPOINT a');
$two->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name ~ '^vecdb 1:'});
$session->query(on(2, 'SELECT 1'));
$session->query('ROLLBACK TO a');
$session->{stderr} = '';
$session->query("PREPARE TRANSACTION 'mine'");
like($session->{stderr}, qr/connection to group 2 was lost/, 'nor with a part that is lost');
$session->quit;
is(VecdbGroups::prepared(@nodes), 0, 'and nothing is prepared');
is(VecdbGroups::contents(@nodes), $before, 'nor done');

# no room for prepared transactions at a group: an ERROR, and nothing is done
$three->append_conf('postgresql.conf', 'max_prepared_transactions = 0');
$three->restart;
$before = VecdbGroups::contents(@nodes);
($rc, $out, $err) = $one->psql('postgres', 'BEGIN;' . on(2, "INSERT INTO t VALUES (60, 'x')")
	  . on(3, "INSERT INTO t VALUES (61, 'x')") . 'COMMIT');
like($err, qr/prepared transactions are disabled.*HINT:.*group 3 at/s, 'says what and where');
is(VecdbGroups::contents(@nodes), $before, 'nothing is done');
is(VecdbGroups::prepared($one, $two), 0, 'nothing is left prepared');

done_testing();
