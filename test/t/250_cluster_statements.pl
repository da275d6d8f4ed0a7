# Does a cluster give the same as one server, for each statement of
# test/cluster/statements, whatever plan is used and whichever node is asked?
#
# On three groups; VECDB_LONG=1: on one and on five, too.  What a cluster
# refuses is in files refused_*.sql, with its message.

use strict;
use warnings;

use File::Basename;
use FindBin;
use PostgreSQL::Test::Utils;
use Test::More;
use VecdbCluster;
use VecdbStatements;

my $dir = "$FindBin::RealBin/../cluster";
my @tables = qw(items users orders notes words categories);
# searches through an index see all rows
my $always = 'SET hnsw.ef_search = 1000;';

# Plans are forced for reading: what is first asked for, then one after the
# other.
my @plans = (
	[ 'as chosen', '' ],
	[ 'generic', 'SET plan_cache_mode = force_generic_plan;' ],
	[ 'nested loops', 'SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_hashagg = off;' ],
	[ 'merge joins', 'SET enable_hashjoin = off; SET enable_nestloop = off; SET enable_sort = off;' ],
	[ 'hash joins', 'SET enable_mergejoin = off; SET enable_nestloop = off; SET enable_memoize = off;' ],
	[ 'indexes', 'SET enable_seqscan = off; SET enable_bitmapscan = off;' ],
	[ 'parallel', 'SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET force_parallel_mode = regress;' ]);

my @files = sort glob("$dir/statements/*.sql");
my %cases = map { $_ => [ read_cases($_) ] } @files;
my %expected;

sub fill
{
	my ($node) = @_;
	$node->safe_psql('postgres', 'TRUNCATE ' . join(', ', @tables));
	$node->safe_psql('postgres', slurp_file("$dir/rows.sql"));
}

# The answers of one server.  It does not run what a cluster refuses, unless
# one group may answer that.
sub ask_single
{
	my ($single) = @_;
	$single->safe_psql('postgres', slurp_file("$dir/schema.sql"));
	fill($single);
	foreach my $file (@files)
	{
		fill($single) if $file =~ m{/write_};
		$expected{$file} = [ run_cases($single, $always, @{ $cases{$file} }) ];
	}
	return;
}

# Compare a file's results on one node with the expected ones; counts go into
# the hash.
sub compare_file
{
	my ($node, $groups, $file, $plan, $counts) = @_;
	my @all = @{ $cases{$file} };
	my ($name, $settings) = @$plan;
	my @outputs = run_cases($node, "$always $settings", @all);
	my $bad = 0;
	foreach my $i (0 .. $#all)
	{
		my $case = $all[$i];
		$counts->{run}++;
		if (same_output($case, $outputs[$i], $expected{$file}[$i]) &&
			(!$case->{refused} || $groups == 1))
		{
			$counts->{equal}++;
			next;
		}
		if ($case->{refused} && index($outputs[$i], $case->{refused}) >= 0)
		{
			$counts->{refused}++;
			next;
		}
		# one difference in the writing part is the cause of more
		if ($bad++ < 5)
		{
			my @lines = map { length > 1500 ? substr($_, 0, 1500) . '...' : $_ }
			  ($expected{$file}[$i], $outputs[$i]);
			diag(basename($file) . ":$case->{line} ($name): $case->{sql}\n"
				  . ($case->{refused} ? "expected a refusal: $case->{refused}\n" : "expected:\n$lines[0]")
				  . "got:\n$lines[1]");
		}
	}
	my $tried = scalar(@all);
	is($bad, 0, basename($file) . ", $name, $groups groups: $tried statements");
	return;
}

# Rows that are in another group than the one that owns them, and groups whose
# reference table differs from that of the first
sub misplaced
{
	my ($cluster) = @_;
	my %key = (items => 'id', users => 'id', orders => 'user_id', notes => 'id', words => 'word');
	my @found;
	my $reference = 'SELECT * FROM categories ORDER BY id';
	my $first = $cluster->query_own(1, $reference);
	foreach my $group ($cluster->groups)
	{
		push @found, $cluster->query_own($group, join(' UNION ALL ', map {
			"SELECT 'group $group: $_ ' || $key{$_} FROM $_ "
			  . "WHERE vecdb.group_of('$_', $key{$_}) <> vecdb.local_group()"
		} sort keys %key));
		push @found, "group $group: categories differ" if $cluster->query_own($group, $reference) ne $first;
	}
	return join "\n", grep { $_ ne '' } @found;
}

sub compare_cluster
{
	my ($groups) = @_;
	my $cluster = VecdbCluster->new("of_$groups", groups => $groups)->start;
	$cluster->query(1, slurp_file("$dir/schema.sql"));
	$cluster->query(1, slurp_file("$dir/distribute.sql"));
	# functions are not part of a table
	my $made = slurp_file("$dir/schema.sql") =~ /(CREATE FUNCTION made.*?;\n)/s ? $1 : die;
	foreach my $group ($cluster->groups)
	{
		$cluster->query($group, $made)
		  if $cluster->query($group, "SELECT to_regproc('made') IS NULL") eq 't';
	}
	fill($cluster->node(1));
	my %counts = (run => 0, equal => 0, refused => 0);
	my $turn = 0;
	foreach my $file (grep { !m{/write_} } @files)
	{
		foreach my $plan (@plans)
		{
			my $group = $turn++ % $groups + 1;
			compare_file($cluster->node($group), $groups, $file, $plan, \%counts);
		}
	}
	foreach my $file (grep { m{/write_} } @files)
	{
		my $group = $turn++ % $groups + 1;
		fill($cluster->node($group));
		compare_file($cluster->node($group), $groups, $file, $plans[0], \%counts);
		is(misplaced($cluster), '', basename($file) . ": each row is where it belongs");
	}
	is($cluster->prepared_left, 0, "$groups groups: no prepared transaction is left");
	diag("$groups groups: $counts{run} statements run, $counts{equal} equal, "
		  . "$counts{refused} refused as listed");
	is(join("\n", $cluster->crashes), '', "$groups groups: nothing crashed");
	$cluster->stop;
	return;
}

my $scratch = VecdbCluster->new('alone', groups => 0);
my $single = $scratch->single;
if ($single->safe_psql('postgres', "SELECT count(*) FROM pg_settings WHERE name = 'debug_parallel_query'"))
{
	$plans[-1][1] =~ s/force_parallel_mode/debug_parallel_query/;
}
ask_single($single);
cmp_ok(scalar(map { @$_ } values %cases), '>=', 300, 'there are 300 statements and more');
my $errors = grep { /^ERROR/m } map { @$_ } map { $expected{$_} } grep { !/errors|write|refused/ } @files;
is($errors, 0, 'statements that should not fail do not fail on one server')
  or diag(grep { /^ERROR/m } map { @$_ } map { $expected{$_} } grep { !/errors|write|refused/ } @files);
$scratch->stop;
compare_cluster($_) foreach $ENV{VECDB_LONG} ? (3, 1, 5) : (3);
done_testing();
