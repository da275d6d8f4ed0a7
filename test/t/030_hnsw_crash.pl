# After a crash at any moment, is every committed row there, is it found
# through the index, and is the index whole?
#
# Writers insert, update and delete, and a VACUUM runs all the time, when the
# server is stopped as if by a crash, at a moment that the seed chooses.  Each
# transaction notes in a table without index what it did, so that what was
# committed is known.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use VecdbRecall;

my $rounds = 6;
my @names = qw(coded_l2 sparsevec_ip wide_l2);

my $node = new_server('main', q{
	checkpoint_timeout = 30s
	max_wal_size = 64MB
	restart_after_crash = off});
$node->start;
prepare($node);

my $dir = PostgreSQL::Test::Utils::tempdir();

# Scripts of the writers.  Rows below 1,000,000 were there before, duplicates
# come by the "% 500" of values.
foreach my $name (@names)
{
	my $kind = kind($name);
	my $rows = $name =~ /wide/ ? 60 : 600;
	create_table($node, $kind);
	$node->safe_psql('postgres', insert_rows($kind, 1, $rows));
	$node->safe_psql('postgres', create_index($kind));
	my $value = "test_$kind->{type}(:id % 500, $kind->{dimensions})";
	append_to_file("$dir/$name.sql", qq{
\\set id random(1000000, 2000000000)
\\set old random(1, $rows)
\\set what random(1, 10)
BEGIN;
INSERT INTO $name VALUES (:id, $value);
INSERT INTO noted VALUES ('$name', :id);
\\if :what < 4
DELETE FROM $name WHERE id = :old;
\\elif :what < 7
UPDATE $name SET v = test_$kind->{type}(:id, $kind->{dimensions}) WHERE id = :old;
\\endif
END;
});
}
$node->safe_psql('postgres',
	'CREATE TABLE noted (name text, id bigint)');
append_to_file("$dir/vacuum.sql", join('', map { "VACUUM $_;\n" } @names));

my %noted = map { $_ => 0 } @names;
for my $round (1 .. $rounds)
{
	my @runs = map {
		start_command('pgbench', '-n', '-c', '1', '-T', '60',
			"--random-seed=$round", '-f', "$dir/$_.sql",
			$node->connstr('postgres'))
	} @names, 'vacuum';
	my $delay = 0.8 + rand(1.5);
	note(sprintf('round %d: crash after %.2f s', $round, $delay));
	select(undef, undef, undef, $delay);
	$node->safe_psql('postgres', 'CHECKPOINT') if $round % 3 == 2;
	$node->stop('immediate');
	finish_command($_) foreach @runs;
	$node->start;

	foreach my $name (@names)
	{
		my $kind = kind($name);
		my $table = $name;
		# Exactly the rows that were noted are there, with their values.
		cmp_ok($node->safe_psql('postgres',
				"SELECT count(*) FROM noted WHERE name = '$table'"),
			'>', $noted{$table}, "$table: writers got on in round $round");
		is($node->safe_psql('postgres', "
				SET enable_indexscan = off; SET enable_bitmapscan = off;
				SELECT count(*) FROM
					(SELECT id, v FROM $table WHERE id >= 1000000) t
					FULL JOIN (SELECT id, true AS found FROM noted WHERE name = '$table') n USING (id)
				WHERE n.found IS NULL OR v IS NULL
					OR v <> test_$kind->{type}(id % 500, $kind->{dimensions})"),
			'0', "$table: what was committed is there after crash $round");
		all_found($node, $kind, "after crash $round");
		index_is_whole($node, "${table}_idx", "after crash $round");

		$node->safe_psql('postgres', "
			DELETE FROM $table WHERE id % 7 = $round;
			DELETE FROM noted WHERE name = '$table' AND id % 7 = $round;");
		$node->safe_psql('postgres', "VACUUM $table");
		all_found($node, $kind, "after VACUUM of round $round");
		index_is_whole($node, "${table}_idx", "after VACUUM of round $round");
		$noted{$table} = $node->safe_psql('postgres',
			"SELECT count(*) FROM noted WHERE name = '$table'");
	}
}
foreach my $name (qw(coded_l2 sparsevec_ip))
{
	recall_is($node, kind($name), 200, 0.9, 'after all crashes');
}

$node->stop;
done_testing();
