# Does an index that did not fit into maintenance_work_mem find as much as one
# that did, built by one process and by three, with codes and without?  Does
# such a build say how far it is, and can it be cancelled when the graph has
# been written and rows are still to come?
#
# Recall@10 of 75 real questions may be .03 lower at ef_search 40 and .02 at
# 100.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);
use VecdbData;
use VecdbRecall;

my $rows = 3000;
my @efs = (40, 100);
my %margin = (40 => 0.03, 100 => 0.02);

my $node = new_server('main', q{
	shared_preload_libraries = 'vecdb'
	max_parallel_workers = 4
	max_wal_size = 256MB});
$node->start;
prepare($node);
prepare_data($node);
load_packages($node);
$node->safe_psql('postgres', "CREATE TABLE items AS SELECT id, v FROM packages ORDER BY hashint8(id) LIMIT $rows;
	DELETE FROM questions WHERE id > 75;");

my %options = ('coded' => '', 'plain' => 'WITH (codes = none)');
my %after;
foreach my $form (sort keys %options)
{
	my $create = "CREATE INDEX items_idx ON items USING hnsw (v halfvec_cosine_ops) $options{$form}";
	my %fitted;
	foreach my $way (
		[ 'fits', 0, '128MB' ], [ 'one process', 0, '1MB' ], [ 'three processes', 2, '1MB' ])
	{
		my ($name, $workers, $memory) = @$way;
		next if $form eq 'plain' && $name eq 'one process';	# slow, and in 020
		my ($rc, $out, $err) = $node->psql('postgres',
			"SET max_parallel_maintenance_workers = $workers; SET maintenance_work_mem = '$memory'; $create");
		is($rc, 0, "$form, $name: built");
		my ($fit) = $err =~ /no longer fits into maintenance_work_mem after (\d+) tuples/;
		my %recall;
		@recall{@efs} = recalls($node, 'items', 'questions', '<=>', \@efs);
		note("$form, $name: after " . ($fit // 'all') . ' rows; recall ' . join ' ', map { "$_: $recall{$_}" } @efs);
		if ($name eq 'fits')
		{
			is($fit, undef, "$form: the graph fits");
			%fitted = %recall;
		}
		else
		{
			cmp_ok($fit // $rows, '<', $rows * 0.6, "$form, $name: many rows come after the graph was full");
			cmp_ok($recall{$_}, '>=', $fitted{$_} - $margin{$_}, "$form, $name: recall at ef_search $_") foreach @efs;
			$after{$form} = $fit;
		}
		index_is_whole($node, 'items_idx', "$form, $name");
		$node->safe_psql('postgres', 'DROP INDEX items_idx');
	}

	next if $form eq 'plain';

	# one that is watched, and cancelled when some rows have come after that;
	# once more if it was done before we looked
	my $enough = $after{$form} + ($rows - $after{$form}) / 4;
	my ($complaints, $last, $out) = ('', 0, '');
	for (my $attempt = 1; $attempt <= 10 && $last < $enough; $attempt++)
	{
		my $run = start_command('psql', '-Xq', '-d', $node->connstr('postgres'),
			'-c', "SET maintenance_work_mem = '1MB'", '-c', $create);
		my $samples = 0;
		$last = 0;
		my $look = sub {
			my $line = $node->safe_psql('postgres', 'SELECT phase, blocks_done, blocks_total, '
				  . 'tuples_done FROM pg_stat_progress_create_index');
			return $samples > 0 if $line eq '';
			my ($phase, $blocks, $total, $tuples) = split /\|/, $line;
			return 0 if $phase ne 'building index: loading tuples';
			$samples++;
			$complaints .= "$line after $last; " if $tuples < $last || $tuples > $rows || $blocks > $total;
			$last = $tuples;
			return $tuples >= $enough;
		};
		my $end = time + $PostgreSQL::Test::Utils::timeout_default;
		until ($look->() || time > $end)
		{
			usleep(10_000);
		}
		$node->safe_psql('postgres', 'SELECT pg_cancel_backend(pid) FROM pg_stat_progress_create_index');
		(undef, $out) = finish_command($run);
		note("$form: cancelled after $last rows, $samples samples");
		if ($out !~ /canceling/)
		{
			$last = 0;
			$node->safe_psql('postgres', 'DROP INDEX items_idx');
		}
	}
	is($complaints, '', "$form: progress goes forward and stays in range");
	cmp_ok($last, '>=', $enough, "$form: progress goes on after the graph was full");
	like($out, qr/ERROR:  canceling statement due to user request/, "$form: the build was cancelled");
	is($node->safe_psql('postgres', q{SELECT to_regclass('items_idx') IS NULL}), 't', "$form: no index is left");
}

$node->stop;
done_testing();
