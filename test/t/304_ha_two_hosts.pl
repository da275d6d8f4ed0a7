# Does a group of two hosts go on without its standby, and does that take its
# place when it has all that was acknowledged?

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use VecdbLocal;
use VecdbRecall qw(wait_until);

my $local = VecdbLocal->new;
my $missing = $local->missing;
plan skip_all => $missing if $missing;

my ($rc, $output) = $local->local_sh('up', '--groups', 1, '--hosts', 2, '--ha');
is($rc, 0, 'a group of two hosts with a failover starts') or BAIL_OUT($output);
my $primary = $local->primary_of(1);
my ($first) = $local->primary(1);
my $second = 3 - $first;

# whom a COMMIT waits for; nobody while it is empty
sub waits_for
{
	return $local->query_soon($primary, 'SHOW synchronous_standby_names', $_[0] // '');
}

# Can the standby be elected?  Patroni says so a moment after commits wait for it
sub can_lead
{
	my (undef, $members) = $local->run($local->patroni_dir . '/bin/patronictl',
		'-c', $local->place . "/group1/host$first/patroni.yml", 'list');
	return $members =~ /group1-host$second .*Quorum Standby/;
}

# Is a row acknowledged, and on two hosts' disks if that is wanted?
sub insert
{
	my ($row, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(eval { $local->query($primary, "INSERT INTO items VALUES ($row) RETURNING id") } // $@, $row, $what);
	return;
}

my $both = qq{ANY 1 ("group1-host$second")};
$local->query($primary, q{
	CREATE TABLE items (id bigint PRIMARY KEY);
	SELECT vecdb.distribute_table('items');});
is(waits_for($both), $both, 'a commit waits for the standby');
insert(1, 'a row goes in');

$local->must('kill', "1/$second");
is(waits_for(), '', 'it does not wait for a standby that is down');
insert(2, '... and rows go in, on one disk');

$local->must('start', "1/$second");
ok($local->wait_whole(1), 'the standby comes back');
is(waits_for($both), $both, '... and a commit waits for it again');
insert(3, 'a row goes in');
ok(wait_until(\&can_lead), 'it can be elected');

$local->must('kill', "1/$first");
is($local->query_soon($primary, q{SELECT string_agg(id::text, ' ' ORDER BY id) FROM items}), '1 2 3',
	'when the primary is lost the other one has its rows');
is(($local->primary(1))[0], $second, '... as the primary');
insert(4, '... and takes further ones');

done_testing();
