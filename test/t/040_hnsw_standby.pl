# Does a hot standby answer while the primary inserts, deletes and vacuums,
# without errors other than recovery conflicts?  Does it give the primary's
# answers when nothing changes?  Can it take over?

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VecdbRecall;

my $seconds = 20;
my @names = qw(coded_cosine vector_l1 wide_l2);

my $primary = new_server('primary', 'max_wal_senders = 4', allows_streaming => 1);
$primary->start;
prepare($primary);
my $backup = 'start';
$primary->backup($backup);

# Queries are not given up for replay, but those in the way must be at last.
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, $backup, has_streaming => 1);
$standby->append_conf('postgresql.conf', q{
	hot_standby_feedback = off
	max_standby_streaming_delay = 2s});
$standby->start;

my $dir = PostgreSQL::Test::Utils::tempdir();
foreach my $name (@names)
{
	my $kind = kind($name);
	my $rows = $name =~ /wide/ ? 100 : 1000;
	create_table($primary, $kind);
	$primary->safe_psql('postgres', insert_rows($kind, 1, $rows));
	$primary->safe_psql('postgres', create_index($kind));
	append_to_file("$dir/write_$name.sql", qq{
\\set id random(1, $rows)
\\set value random(1, 1000000)
DELETE FROM $name WHERE id = :id;
INSERT INTO $name VALUES (:id, test_$kind->{type}(:value, $kind->{dimensions}))
	ON CONFLICT DO NOTHING;
});
	append_to_file("$dir/read_$name.sql", qq{
\\set value random(1, 1000000)
SET enable_seqscan = off;
SELECT count(*) FROM (SELECT id FROM $name ORDER BY v $kind->{operator}
	(SELECT test_$kind->{type}(:value, $kind->{dimensions})) LIMIT 50) s;
});
}
append_to_file("$dir/vacuum.sql",
	join('', map { "VACUUM $_;\n\\sleep 50 ms\n" } @names));
$primary->wait_for_catchup($standby);

# A conflict ends a statement, and pgbench would give up.  This client does
# not: it counts, and stops at any other error.
append_to_file("$dir/reader.sh", q{
end=$(($(date +%s) + $1))
shift
while [ "$(date +%s)" -lt "$end" ]; do
	for file; do
		out=$(pgbench -n -c 1 -t 40 -f "$file" "$CONNECTION" 2>&1) && echo done && continue
		case $out in
			*"conflict with recovery"*) echo conflict ;;
			*) printf '%s\n' "$out"; exit 1 ;;
		esac
	done
done
});
$ENV{CONNECTION} = $standby->connstr('postgres');
my @writers = map {
	start_command('pgbench', '-n', '-c', '1', '-T', $seconds,
		'--random-seed=' . seed(), '-f', $_, $primary->connstr('postgres'))
} (map { "$dir/write_$_.sql" } @names), "$dir/vacuum.sql";
my $reader = start_command('sh', "$dir/reader.sh", $seconds,
	map { "$dir/read_$_.sql" } @names);

foreach my $writer (@writers)
{
	my ($rc, $out) = finish_command($writer);
	is($rc, 0, 'a writer ended well') or diag($out);
}
my ($rc, $out) = finish_command($reader);
is($rc, 0, 'the standby gave no errors but conflicts') or diag($out);
my $done = () = $out =~ /^done$/mg;
my $conflicts = () = $out =~ /^conflict$/mg;
note("$done groups of 40 queries, $conflicts conflicts");
cmp_ok($done, '>=', 5, 'the standby answered under load');

$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
foreach my $name (@names)
{
	my $kind = kind($name);
	foreach my $value (-1, -2, -3)
	{
		my $query = "SET enable_seqscan = off; SELECT id FROM $name ORDER BY v "
		  . "$kind->{operator} test_$kind->{type}($value, $kind->{dimensions}) LIMIT 20";
		is($standby->safe_psql('postgres', $query),
			$primary->safe_psql('postgres', $query),
			"$name: query $value has the same answer on both");
	}
	index_is_whole($primary, "${name}_idx", 'on the primary');
	index_is_whole($standby, "${name}_idx", 'on the standby');
}

# The primary is lost in the middle of writing, and the standby takes over.
@writers = map {
	start_command('pgbench', '-n', '-c', '1', '-T', '60', '-f', $_,
		$primary->connstr('postgres'))
} (map { "$dir/write_$_.sql" } @names), "$dir/vacuum.sql";
select(undef, undef, undef, 1.5);
$primary->stop('immediate');
finish_command($_) foreach @writers;
$standby->promote;
foreach my $name (@names)
{
	my $kind = kind($name);
	all_found($standby, $kind, 'after promotion');
	index_is_whole($standby, "${name}_idx", 'after promotion');
	$standby->safe_psql('postgres', "DELETE FROM $name WHERE id % 3 = 0");
	$standby->safe_psql('postgres', "VACUUM $name");
	$standby->safe_psql('postgres', insert_rows($kind, 2001, 2050));
	all_found($standby, $kind, 'after writes to the promoted server');
	index_is_whole($standby, "${name}_idx",
		'after writes to the promoted server');
}

$standby->stop;
done_testing();
