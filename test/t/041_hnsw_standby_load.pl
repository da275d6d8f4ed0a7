# Does a standby give the same rows as the primary, in the same order, when
# nothing changes, for every type and metric?  And while the primary inserts,
# deletes and vacuums as fast as it can, does a standby with
# hot_standby_feedback find every row in each scan, with no error at all?
#
# The load takes 15 seconds; VECDB_STANDBY_MINUTES=n makes it n minutes.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VecdbRecall;

my $seconds = 60 * ($ENV{VECDB_STANDBY_MINUTES} // 0.25);

my $primary = new_server('primary', q{
	max_wal_senders = 4
	wal_sender_timeout = 0
	max_wal_size = 256MB
	wal_keep_size = 512MB}, allows_streaming => 1);
$primary->start;
prepare($primary);
$primary->backup('start');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'start', has_streaming => 1);
$standby->append_conf('postgresql.conf', q{
	hot_standby_feedback = on
	wal_receiver_status_interval = 1s
	max_standby_streaming_delay = 120s});
$standby->start;

# Everything that a query can come across: rows of one value, places used
# again, rows that are dead and not yet vacuumed
foreach my $kind (kinds(), kind('wide_l2'), kind('wide_half_ip'))
{
	my $rows = $kind->{name} =~ /wide/ ? 60 : 400;
	my $table = create_table($primary, $kind);
	$primary->safe_psql('postgres', join("\n",
		insert_rows($kind, 1, $rows / 2), create_index($kind),
		insert_rows($kind, $rows / 2 + 1, $rows),
		"INSERT INTO $table SELECT 10000 + i, test_$kind->{type}(1, $kind->{dimensions}) FROM generate_series(1, 40) i;",
		"DELETE FROM $table WHERE id % 3 = 0;", "VACUUM $table;",
		insert_rows($kind, 20001, 20000 + $rows / 4),
		"DELETE FROM $table WHERE id % 7 = 0;"));
}
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
foreach my $kind (kinds(), kind('wide_l2'), kind('wide_half_ip'))
{
	my $table = $kind->{name};
	my $ask = sub {
		my ($value, $limit) = @_;
		return "SELECT string_agg(id::text, ' ') FROM (SELECT id FROM $table ORDER BY v "
		  . "$kind->{operator} (SELECT test_$kind->{type}($value, $kind->{dimensions})) LIMIT $limit) s;";
	};
	my $query = 'SET enable_seqscan = off; SET enable_sort = off; '
	  . $ask->(-1, 10) . $ask->(5, 10) . $ask->(-2, 150) . $ask->(-3, 100000)
	  . 'SET hnsw.iterative_scan = strict_order; ' . $ask->(-4, 100)
	  . 'SET hnsw.iterative_scan = off; SET hnsw.ef_search = 5; ' . $ask->(-5, 100);
	my $answer = $primary->safe_psql('postgres', $query);
	is(scalar(my @lines = split /\n/, $answer), 6, "$table: the primary answers");
	is($standby->safe_psql('postgres', $query), $answer, "$table: the standby gives the same rows");
	$primary->safe_psql('postgres', "DROP TABLE $table");
}

# A scan of all rows that takes its time, against a count of the table under
# the same snapshot.  Of rows up to 300 none is ever deleted.
$primary->safe_psql('postgres', q{
CREATE FUNCTION test_scan_all(tab text, operator text, query text, pause float) RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
	row_id bigint;
	ids bigint[] := '{}';
	here int;
	kept int;
	different int;
BEGIN
	FOR row_id IN EXECUTE format('SELECT id FROM %I ORDER BY v %s %L', tab, operator, query) LOOP
		ids := ids || row_id;
		IF pause > 0 AND cardinality(ids) % 100 = 0 THEN
			PERFORM pg_sleep(pause);
		END IF;
	END LOOP;
	EXECUTE format('SELECT count(*) FROM %I', tab) INTO here;
	SELECT count(DISTINCT i), count(DISTINCT i) FILTER (WHERE i <= 300) INTO different, kept FROM unnest(ids) i;
	IF cardinality(ids) <> here OR different <> here OR kept <> 300 THEN
		RAISE 'scan of % lost rows: % of %, % different, % kept', tab, cardinality(ids), here, different, kept;
	END IF;
	RETURN here;
END $$;});
my $dir = PostgreSQL::Test::Utils::tempdir();
my @names = qw(coded_cosine vector_l2 coded_half_ip sparsevec_l1 bit_hamming);
foreach my $name (@names)
{
	my $kind = kind($name);
	my $value = sub { "test_$kind->{type}($_[0], $kind->{dimensions})" };
	create_table($primary, $kind);
	$primary->safe_psql('postgres', insert_rows($kind, 1, 900));
	$primary->safe_psql('postgres', create_index($kind));
	# some values are of many rows, so that they have containers
	append_to_file("$dir/write_$name.sql", qq{
\\set id random(301, 1500)
\\set value random(1, 100000)
\\set few random(1, 20)
\\set what random(1, 3)
DELETE FROM $name WHERE id BETWEEN :id AND :id + 2;
INSERT INTO $name SELECT :id + i, } . $value->('CASE WHEN :what = 1 THEN :few ELSE :value + i END') . qq{
	FROM generate_series(0, 2) i ON CONFLICT DO NOTHING;
});
	append_to_file("$dir/read.sql", qq{
\\set value random(1, 1000000)
\\set pause random(0, 1)
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT test_scan_all('$name', '$kind->{operator}', (SELECT } . $value->(':value') . qq{)::text, :pause * 0.03);
COMMIT;
SELECT 1 / (count(*) = 10)::int FROM (SELECT FROM $name ORDER BY v $kind->{operator} (SELECT } . $value->(':value') . qq{) LIMIT 10) s;
});
}
append_to_file("$dir/vacuum.sql", join('', map { "VACUUM (TRUNCATE off) $_;\n" } @names));
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
ok(wait_until(sub { $primary->safe_psql('postgres',
				'SELECT count(backend_xmin) FROM pg_stat_replication') eq '1' }),
	'the primary knows what the standby needs');

my $start_lsn = $primary->lsn('insert');
my @runs = map {
	[ 'a writer', start_command('pgbench', '-n', '-c', '1', '-T', $seconds,
			'--random-seed=' . seed(), '-f', $_, $primary->connstr('postgres')) ]
} (map { "$dir/write_$_.sql" } @names), "$dir/vacuum.sql";
{
	local $ENV{PGOPTIONS} = '-c enable_seqscan=off -c enable_sort=off';
	push @runs, [ 'readers', start_command('pgbench', '-n', '-c', '2', '-T', $seconds,
			'--random-seed=' . seed(), '-f', "$dir/read.sql", $standby->connstr('postgres')) ];
}
foreach my $run (@runs)
{
	my ($what, $command) = @$run;
	my ($rc, $out) = finish_command($command);
	is($rc, 0, "$what met no error") or diag($out);
	my ($done) = $out =~ /transactions actually processed: (\d+)/;
	note("$what: $done transactions");
	cmp_ok($done // 0, '>=', 5, "$what got on");
}
note($primary->safe_psql('postgres',
		"SELECT pg_size_pretty(pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '$start_lsn'))")
	  . " of WAL in $seconds s");

$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
is($standby->safe_psql('postgres', 'SELECT confl_tablespace + confl_lock + confl_snapshot '
		  . q{+ confl_bufferpin + confl_deadlock FROM pg_stat_database_conflicts WHERE datname = 'postgres'}),
	'0', 'no query was in the way of replay');
foreach my $name (@names)
{
	my $kind = kind($name);
	index_is_whole($_, "${name}_idx", 'after the load') foreach $primary, $standby;
	all_found($primary, $kind, 'after the load');
	my $query = 'SET enable_seqscan = off; SET enable_sort = off; SELECT id FROM '
	  . "$name ORDER BY v $kind->{operator} (SELECT test_$kind->{type}(-1, $kind->{dimensions}))";
	is($standby->safe_psql('postgres', $query), $primary->safe_psql('postgres', $query),
		"$name: the same rows on both after the load");
}
unlike(slurp_file($_->logfile), qr/PANIC|was terminated by signal|is corrupt/,
	'nothing worse in the log of ' . $_->name) foreach $primary, $standby;

$standby->stop;
$primary->stop;
done_testing();
