# Does replay make the same pages as the primary has?  With
# wal_consistency_checking a standby compares them after each record and dies
# of a difference.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VecdbRecall;

my $primary = new_server('primary', q{
	wal_consistency_checking = 'all'
	max_wal_senders = 4}, allows_streaming => 1);
$primary->start;
prepare($primary);
$primary->backup('start');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'start', has_streaming => 1);
$standby->start;

foreach my $kind (kinds(), kind('wide_l2'), kind('wide_half_ip'), kind('wide_float32_l2'))
{
	my $rows = $kind->{name} =~ /wide/ ? 40 : 200;
	my $table = create_table($primary, $kind);
	my $caught_up = sub {
		my ($what) = @_;
		my $lsn = $primary->lsn('insert');
		my $ok = wait_until(sub {
			my ($rc, $out) = $standby->psql('postgres',
				"SELECT pg_last_wal_replay_lsn() >= '$lsn'");
			return $rc != 0 || $out eq 't'; });
		my ($rc) = $standby->psql('postgres', 'SELECT 1');
		ok($ok && $rc == 0, "$table: replayed $what")
		  or BAIL_OUT('the standby is gone, see its log');
	};

	# a build beside rows that are there, and one that is empty at first
	$primary->safe_psql('postgres', insert_rows($kind, 1, $rows));
	$primary->safe_psql('postgres', create_index($kind));
	$caught_up->('the build');
	$primary->safe_psql('postgres', insert_rows($kind, $rows + 1, 2 * $rows));
	$caught_up->('inserts');

	# more rows of one value than a vertex and its first container hold
	$primary->safe_psql('postgres',
		"INSERT INTO $table SELECT 10000 + i, test_$kind->{type}(1, $kind->{dimensions}) "
		  . "FROM generate_series(1, 100) i");
	$caught_up->('duplicates');
	$primary->safe_psql('postgres', "DELETE FROM $table WHERE id % 2 = 0");
	$primary->safe_psql('postgres', "VACUUM $table");
	$caught_up->('VACUUM');
	$primary->safe_psql('postgres', insert_rows($kind, 3000, 3000 + $rows / 2));
	$caught_up->('inserts into freed space');
	$primary->safe_psql('postgres', "DELETE FROM $table");
	$primary->safe_psql('postgres', "VACUUM $table");
	$primary->safe_psql('postgres', insert_rows($kind, 1, 10));
	$caught_up->('VACUUM of all rows');
	all_found($primary, $kind, 'on the primary');
	my $query = "SET enable_seqscan = off; SELECT id FROM $table ORDER BY v "
	  . "$kind->{operator} (SELECT test_$kind->{type}(-1, $kind->{dimensions}))";
	is($standby->safe_psql('postgres', $query),
		$primary->safe_psql('postgres', $query), "$table: the same answer on both");
	index_is_whole($standby, "${table}_idx", 'on the standby');
	$primary->safe_psql('postgres', "DROP TABLE $table");
}

unlike(slurp_file($standby->logfile), qr/FATAL:  inconsistent page|PANIC/,
	'no page differed');
$standby->stop;
$primary->stop;
done_testing();
