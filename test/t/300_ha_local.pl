# Does a cluster whose groups replicate (docker/local.sh up --ha) keep all that
# it has acknowledged, and go on, while hosts of it fail?
#
# A client writes to a distributed table and another one searches it, both
# through libpq's list of hosts, and a third one searches through HAProxy's
# read port.  Meanwhile a primary is killed, the lead is given away, a host is
# killed with its Patroni, and one of three etcd.  Then no row may be lost
# whose INSERT was answered, rows of one transaction have to be there together,
# all hosts of a group have to have the same rows, and vecdb.check_cluster()
# has to find nothing.
#
# The longest time in which a client had no success is reported for each fault;
# docs/high-availability.md has the figures of a quiet machine.  VECDB_LONG=1:
# more faults.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use VecdbLocal;

my $local = VecdbLocal->new;
my $missing = $local->missing;
plan skip_all => $missing if $missing;

my $groups = 2;
my $dir = $local->dir;
my $cluster = $local->place;

# An old Patroni is refused, before anything is made.
mkdir "$dir/old" or die $!;
mkdir "$dir/old/bin" or die $!;
append_to_file("$dir/old/bin/patroni", "#!/bin/sh\necho patroni 3.0.2\n");
chmod 0755, "$dir/old/bin/patroni";
my ($rc, $output) = do
{
	local $ENV{VECDB_PATRONI} = "$dir/old";
	$local->local_sh('up', '--ha');
};
isnt($rc, 0, 'Patroni 3.0.2 is refused');
like($output, qr/only Patroni 3\.0\.2.*install-deps\.sh ha/s, '... with its version and what to do');
ok(!-e $cluster, '... and nothing is made');

my $began = time;
($rc, $output) = $local->local_sh('up', '--groups', $groups, '--hosts', 3, '--ha');
is($rc, 0, 'a cluster of replicated groups starts') or BAIL_OUT($output);
diag(sprintf '%-44s %.0f s', "start of $groups groups of 3 hosts", time - $began);

my %ports;
foreach my $group (1 .. $groups)
{
	my %now = $local->hosts($group);
	is(scalar(grep { $_->{role} eq 'primary' } values %now), 1, "group $group has a primary");
	is(scalar(grep { $_->{role} eq 'standby' } values %now), 2, '... and two standbys');
	$ports{$group} = [ map { $now{$_}{port} } sort keys %now ];
}
my $writes = $local->connection('primary', @{ $ports{1} });
my $reads = $local->read_port;

$local->make_items($writes);
is($local->query($writes, q{SELECT string_agg(DISTINCT setting, ',') FROM pg_settings WHERE name IN ('data_checksums', 'ssl', 'hot_standby_feedback')}), 'on',
	'checksums, TLS and feedback of standbys are on');
like($local->query($writes, 'SHOW synchronous_standby_names'), qr/^ANY 1 \(.*,.*\)$/, 'a commit waits for one of two standbys');
like(eval { $local->query($local->connection('any', $ports{1}[0]) =~ s/verify-full/disable/r, 'SELECT 1') } // $@,
	qr/no pg_hba.conf entry|no encryption/, 'nobody is let in without TLS');
# which it is when HAProxy has looked at them
is($local->query_soon($reads, 'SELECT pg_is_in_recovery()', 't'), 't', q{HAProxy's read port leads to a standby});

$local->start_client('writes', 'write', $writes);
$local->start_client('searches', 'read', $writes);
# who may read standbys
$local->start_client('standbys', 'read', "$reads options='-c vecdb.read_from=any'");
sleep 4;

$local->goes_on('nothing happens', sub { sleep 3 });

$local->goes_on('postmaster of group 2 killed', sub {
	my ($host, %primary) = $local->primary(2);
	# the postmaster alone; Patroni sees that it is gone
	kill 'KILL', $primary{pid};
});
ok($local->wait_whole(1 .. $groups), 'the host comes back as a standby');

$local->goes_on('switch-over of group 2', sub { $local->must('switchover', 2) });
$local->goes_on('switch-over of group 1, which is asked', sub { $local->must('switchover', 1) });
ok($local->wait_whole(1 .. $groups), 'former primaries are standbys');

$local->goes_on('one of three etcd killed', sub { $local->must('kill', 'etcd/1') });
$local->must('start', 'etcd/1');

my ($lost_host) = $local->primary(1);
$local->goes_on('host of group 1 killed', sub { $local->must('kill', "1/$lost_host") });
my ($new_host) = $local->primary(1);
isnt($new_host // '', $lost_host, 'another host has the lead');
$local->must('start', "1/$lost_host");
ok($local->wait_whole(1 .. $groups), 'the host comes back as a standby');

if ($ENV{VECDB_LONG})
{
	my ($host) = $local->primary(2);
	$local->goes_on('host of group 2 killed', sub { $local->must('kill', "2/$host") });
	$local->must('start', "2/$host");
	ok($local->wait_whole(1 .. $groups), 'the host comes back as a standby');

	$local->goes_on('a standby of group 2 killed', sub {
		my %now = $local->hosts(2);
		($host) = grep { $now{$_}{role} eq 'standby' } sort keys %now;
		$local->must('kill', "2/$host");
	});
	$local->must('start', "2/$host");
	ok($local->wait_whole(1 .. $groups), 'the host comes back as a standby');

	# Patroni frozen, PostgreSQL running: the lead goes to another one, which
	# must keep what it acknowledges until the first one wakes up
	my $patroni;
	$local->goes_on('Patroni of group 2 frozen for 40 s', sub {
		($host) = $local->primary(2);
		($patroni) = split ' ', slurp_file("$cluster/group2/host$host/pid");
		kill 'STOP', $patroni;
		sleep 40;
		kill 'CONT', $patroni;
	});
	ok($local->wait_whole(1 .. $groups), 'the host comes back as a standby');

	$local->goes_on('two of three etcd killed for 15 s', sub {
		$local->must('kill', "etcd/$_") foreach 1, 2;
		sleep 15;
		$local->must('start', "etcd/$_") foreach 1, 2;
	});
	ok($local->wait_whole(1 .. $groups), 'all hosts run');
}

$local->stop_clients;
my ($lost, $unexpected) = $local->compare_rows($writes);
is("@$lost", '', 'no row is lost whose INSERT was answered');
is("@$unexpected", '', 'no other row is there');

is($local->query_soon($writes, 'SELECT count(*) FROM (SELECT tx FROM items WHERE tx > 0 GROUP BY tx HAVING count(*) NOT IN (1, 3)) broken'),
	0, 'rows of one transaction are there together');
# those that a crash left between the two phases are finished by a worker
is($local->query_soon($local->connection('primary', @{ $ports{$_} }), 'SELECT count(*) FROM pg_prepared_xacts', 0), 0,
	"no transaction is left prepared at group $_") foreach 1 .. $groups;
is($local->query_soon($writes, 'SELECT * FROM vecdb.check_cluster()', ''), '', 'the cluster is in order');
foreach my $group (1 .. $groups)
{
	my $rows = q{SELECT count(*), sum(id) FROM items};
	my $internal = q{ options='-c vecdb.internal=on'};
	my $expected = $local->query_soon($local->connection('primary', @{ $ports{$group} }) . $internal, $rows);
	my @others = map { $local->query_soon($local->connection('any', $_) . $internal, $rows, $expected) } @{ $ports{$group} };
	is("@others", join(' ', ($expected) x 3), "all hosts of group $group have the same rows");
}

done_testing();
