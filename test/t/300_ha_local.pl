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
# The longest time in which a client had no success is reported for each fault,
# and has a limit with room for a busy machine: docs/high-availability.md has
# the figures of a quiet one.  VECDB_LONG=1: more faults.

use strict;
use warnings;

use Cwd;
use FindBin;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $top = getcwd();
my $dir = PostgreSQL::Test::Utils::tempdir_short();
chmod 0700, $dir;
my $cluster = "$dir/c";
# PostgreSQL as PATH has it, which is where vecdb is installed
$ENV{PG_CONFIG} = 'pg_config';
# its own files, whoever started us
delete $ENV{$_} foreach qw(PGHOST PGPORT PGUSER PGDATABASE VECDB_LOCAL_DIR);
$ENV{PGPASSFILE} = "$cluster/passfile";

my $missing = `. src/tools/common.sh
	. docker/lib/ha.sh
	bindir=. check_ha_programs 2>&1`;
plan skip_all => (split /\n/, $missing)[0] if $?;

my $groups = 2;
my @clients;
# of the rows that the clients write
my %group_of;

# docker/local.sh; returns exit code and output
sub local_sh
{
	my ($command, @arguments) = @_;
	my $output = '';
	IPC::Run::run([ "$top/docker/local.sh", $command, '--dir', $cluster, @arguments ],
		'<', \undef, '>&', \$output, IPC::Run::timeout(300));
	note("docker/local.sh $command @arguments:\n$output");
	return ($? >> 8, $output);
}

sub must
{
	my ($rc, $output) = local_sh(@_);
	die "docker/local.sh @_: $output" if $rc;
	return $output;
}

# the hosts of a group, by number: port and role as "status" says
sub hosts
{
	my ($group) = @_;
	my %hosts;
	foreach (split /\n/, must('status'))
	{
		$hosts{$1} = { port => $2, pid => $3, role => $4, timeline => $5, state => $6 }
		  if m!^$group/(\d+) +127\.0\.0\.1:(\d+) +(\S+) +(\S+) +(\S+) +\S+(?: B)? +(.*)!;
	}
	return %hosts;
}

sub primary
{
	my ($group) = @_;
	my %hosts = hosts($group);
	my ($primary) = grep { $hosts{$_}{role} eq 'primary' } keys %hosts;
	return ($primary, $primary ? %{ $hosts{$primary} } : ());
}

# libpq's string for hosts with these ports
sub connection
{
	my ($attributes, @ports) = @_;
	return 'host=' . join(',', ('127.0.0.1') x @ports) . ' port=' . join(',', @ports)
	  . " target_session_attrs=$attributes user=postgres dbname=vecdb connect_timeout=2"
	  . " sslmode=verify-full sslrootcert='$cluster/ca.crt'";
}

# SQL over a connection string; dies when it fails
sub query
{
	my ($connection, $sql) = @_;
	my ($out, $err) = ('', '');
	IPC::Run::run([ 'psql', '-X', '-A', '-t', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $connection ],
		'<', \$sql, '>', \$out, '2>', \$err, IPC::Run::timeout(120))
	  or die "$sql: $err";
	chomp $out;
	return $out;
}

# the same until it succeeds, for a time
sub query_soon
{
	my ($connection, $sql) = @_;
	my $end = time + 60;
	while (1)
	{
		my $out = eval { query($connection, $sql) };
		return $out if defined $out;
		die $@ if time > $end;
		sleep 0.5;
	}
}

sub start_client
{
	my ($name, $kind, $connection) = @_;
	my $client = IPC::Run::start([ $^X, "$top/test/cluster/ha_client.pl", $kind,
		"$dir/$name.journal", "$dir/stop", $connection ]);
	push @clients, { name => $name, kind => $kind, process => $client };
	return;
}

# lines of a client's journal that are no messages, as arrays
sub journal
{
	my ($name) = @_;
	return map { [ split / / ] } grep { !/^#/ } split /\n/, slurp_file("$dir/$name.journal");
}

# The times at which a client had success: one list, or for writes one for each
# group, as those of the others go on when one has no primary.
sub successes
{
	my ($name) = @_;
	my %times = map { $_ => [] } $name eq 'writes' ? (1 .. $groups) : 0;
	foreach (journal($name))
	{
		my ($time, $state, @rows) = @$_;
		next unless $state eq 'done';
		push @{ $times{$_} }, $time foreach @rows ? map { $group_of{$_} } @rows : 0;
	}
	return values %times;
}

# the longest time without success that ended after a time
sub longest_gap
{
	my ($name, $since) = @_;
	my $gap = 0;
	foreach my $times (successes($name))
	{
		my $last;
		# one that has not ended counts, too
		foreach my $time (@$times, time)
		{
			$gap = $time - $last if defined $last && $time > $since && $time - $last > $gap;
			$last = $time;
		}
	}
	return $gap;
}

# Do something, wait until all clients have had success for a while, and say
# what it cost them.  LIMIT is for writes, and for searches by way of primaries.
sub fault
{
	my ($what, $limit, $read_limit, $action) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $since = time;
	$action->();
	my $done = time;
	my $end = $done + $limit + 30;
	foreach my $times (map { my $name = $_->{name}; sub { successes($name) } } @clients)
	{
		while (time < $end)
		{
			my $from = time - 3;
			last if $from > $done && !grep { 10 > grep { $_ > $from } @$_ } $times->();
			sleep 0.5;
		}
	}
	my %gap = map { $_->{name} => longest_gap($_->{name}, $since) } @clients;
	diag(sprintf '%-44s %s', $what, join ', ', map { sprintf '%s %.1f s', $_->{name}, $gap{$_->{name}} } @clients);
	cmp_ok($gap{writes}, '<', $limit, "$what: writes go on");
	cmp_ok($gap{searches}, '<', $limit, "$what: searches go on");
	cmp_ok($gap{standbys}, '<', $read_limit, "$what: searches by way of standbys go on");
	return;
}

# all hosts run, and all standbys follow
sub wait_whole
{
	my ($seconds) = @_;
	my $end = time + $seconds;
	while (1)
	{
		my $bad = 0;
		foreach my $group (1 .. $groups)
		{
			my %now = hosts($group);
			my ($timeline) = map { $_->{timeline} } grep { $_->{role} eq 'primary' } values %now;
			$bad++ unless defined $timeline;
			$bad += grep { $_->{state} ne 'running' || $_->{timeline} ne ($timeline // '') } values %now;
		}
		return 1 unless $bad;
		return 0 if time > $end;
		sleep 1;
	}
}

# An old Patroni is refused, before anything is made.
mkdir "$dir/old" or die $!;
mkdir "$dir/old/bin" or die $!;
append_to_file("$dir/old/bin/patroni", "#!/bin/sh\necho patroni 3.0.2\n");
chmod 0755, "$dir/old/bin/patroni";
my ($rc, $output) = do
{
	local $ENV{VECDB_PATRONI} = "$dir/old";
	local_sh('up', '--ha');
};
isnt($rc, 0, 'Patroni 3.0.2 is refused');
like($output, qr/only Patroni 3\.0\.2.*install-deps\.sh ha/s, '... with its version and what to do');
ok(!-e $cluster, '... and nothing is made');

my $began = time;
($rc, $output) = local_sh('up', '--groups', $groups, '--hosts', 3, '--ha');
is($rc, 0, 'a cluster of replicated groups starts') or BAIL_OUT($output);
diag(sprintf '%-44s %.0f s', "start of $groups groups of 3 hosts", time - $began);

my %ports;
foreach my $group (1 .. $groups)
{
	my %now = hosts($group);
	is(scalar(grep { $_->{role} eq 'primary' } values %now), 1, "group $group has a primary");
	is(scalar(grep { $_->{role} eq 'standby' } values %now), 2, '... and two standbys');
	$ports{$group} = [ map { $now{$_}{port} } sort keys %now ];
}
my $writes = connection('primary', @{ $ports{1} });
my ($read_port) = must('status') =~ m!^haproxy/read +127\.0\.0\.1:(\d+)!m;
my $reads = connection('any', $read_port);

query($writes, q{
	CREATE TABLE items (id bigint PRIMARY KEY, tx bigint, embedding vector(3));
	SELECT vecdb.distribute_table('items');
	CREATE INDEX ON items USING hnsw (embedding vector_l2_ops);
	INSERT INTO items SELECT i, 0, ARRAY[random(), random(), random()]::vector FROM generate_series(1, 1000) i;});
is(query($writes, q{SELECT string_agg(DISTINCT setting, ',') FROM pg_settings WHERE name IN ('data_checksums', 'ssl', 'hot_standby_feedback')}), 'on',
	'checksums, TLS and feedback of standbys are on');
like(query($writes, 'SHOW synchronous_standby_names'), qr/^ANY 1 \(.*,.*\)$/, 'a commit waits for one of two standbys');
like(eval { query(connection('any', $ports{1}[0]) =~ s/verify-full/disable/r, 'SELECT 1') } // $@,
	qr/no pg_hba.conf entry|no encryption/, 'nobody is let in without TLS');
is(query($reads, 'SELECT pg_is_in_recovery()'), 't', q{HAProxy's read port leads to a standby});

%group_of = map { split /\|/ } split /\n/, query($writes,
	q{SELECT i, vecdb.group_of('items', i) FROM generate_series(1000000, 1099999) i});
start_client('writes', 'write', $writes);
start_client('searches', 'read', $writes);
start_client('standbys', 'read', $reads);
sleep 4;

fault('nothing happens', 10, 10, sub { sleep 3 });

fault('postmaster of group 2 killed', 30, 30, sub {
	my ($host, %primary) = primary(2);
	# the postmaster alone; Patroni sees that it is gone
	kill 'KILL', $primary{pid};
});
ok(wait_whole(60), 'the host comes back as a standby');

fault('switch-over of group 2', 25, 25, sub { must('switchover', 2) });
fault('switch-over of group 1, which is asked', 25, 25, sub { must('switchover', 1) });
ok(wait_whole(60), 'former primaries are standbys');

fault('one of three etcd killed', 15, 15, sub { must('kill', 'etcd/1') });
must('start', 'etcd/1');

my ($lost_host) = primary(1);
fault('host of group 1 killed', 60, 60, sub { must('kill', "1/$lost_host") });
my ($new_host) = primary(1);
isnt($new_host // '', $lost_host, 'another host has the lead');
must('start', "1/$lost_host");
ok(wait_whole(90), 'the host comes back as a standby');

if ($ENV{VECDB_LONG})
{
	my ($host) = primary(2);
	fault('host of group 2 killed', 60, 60, sub { must('kill', "2/$host") });
	must('start', "2/$host");
	ok(wait_whole(90), 'the host comes back as a standby');

	fault('a standby of group 2 killed', 15, 15, sub {
		my %now = hosts(2);
		($host) = grep { $now{$_}{role} eq 'standby' } sort keys %now;
		must('kill', "2/$host");
	});
	must('start', "2/$host");
	ok(wait_whole(90), 'the host comes back as a standby');

	# Patroni frozen, PostgreSQL running: the lead goes to another one, which
	# must keep what it acknowledges until the first one wakes up
	my $patroni;
	fault('Patroni of group 2 frozen for 40 s', 70, 70, sub {
		($host) = primary(2);
		($patroni) = split ' ', slurp_file("$cluster/group2/host$host/pid");
		kill 'STOP', $patroni;
		sleep 40;
		kill 'CONT', $patroni;
	});
	ok(wait_whole(90), 'the host comes back as a standby');

	fault('two of three etcd killed for 15 s', 15, 15, sub {
		must('kill', "etcd/$_") foreach 1, 2;
		sleep 15;
		must('start', "etcd/$_") foreach 1, 2;
	});
	ok(wait_whole(60), 'all hosts run');
}

append_to_file("$dir/stop", '');
$_->{process}->finish foreach @clients;

# what was answered
my (%done, %unknown);
foreach (journal('writes'))
{
	my ($time, $state, @rows) = @$_;
	my $known = $state eq 'done' ? \%done : \%unknown;
	$known->{$_} = 1 foreach @rows;
}
my %found = map { $_ => 1 } split /\n/, query_soon($writes, 'SELECT id FROM items WHERE tx > 0');
my @lost = grep { !$found{$_} } sort keys %done;
my @unexpected = grep { !$done{$_} && !$unknown{$_} } sort keys %found;
is("@lost", '', 'no row is lost whose INSERT was answered');
is("@unexpected", '', 'no other row is there');
diag(sprintf '%d rows acknowledged, %d lost; %d not answered, %d of them there',
	scalar keys %done, scalar @lost, scalar keys %unknown, scalar grep { $found{$_} } keys %unknown);
foreach my $name (map { $_->{name} } @clients)
{
	my %messages;
	$messages{$_}++ foreach slurp_file("$dir/$name.journal") =~ /^# (.*)/mg;
	note("$name: $messages{$_} x $_") foreach sort keys %messages;
}

is(query_soon($writes, 'SELECT count(*) FROM (SELECT tx FROM items WHERE tx > 0 GROUP BY tx HAVING count(*) NOT IN (1, 3)) broken'),
	0, 'rows of one transaction are there together');
# those that a crash left between the two phases are finished by a worker
my $end = time + 60;
my $prepared;
do
{
	sleep 1;
	$prepared = 0;
	$prepared += query(connection('primary', @{ $ports{$_} }), 'SELECT count(*) FROM pg_prepared_xacts') foreach 1 .. $groups;
} while ($prepared && time < $end);
is($prepared, 0, 'no transaction is left prepared');
is(query($writes, 'SELECT * FROM vecdb.check_cluster()'), '', 'the cluster is in order');
foreach my $group (1 .. $groups)
{
	my $local = q{SELECT count(*), sum(id) FROM items};
	my $internal = q{ options='-c vecdb.internal=on'};
	my $expected = query(connection('primary', @{ $ports{$group} }) . $internal, $local);
	my @others = map {
		my $connection = connection('any', $_) . $internal;
		my $there = '';
		foreach my $try (1 .. 50)
		{
			$there = query($connection, $local);
			last if $there eq $expected;
			sleep 0.2;
		}
		$there
	} @{ $ports{$group} };
	is("@others", join(' ', ($expected) x 3), "all hosts of group $group have the same rows");
}

done_testing();

# Nothing is left running, however the test ends.
END
{
	my $exit_code = $?;
	if (defined $cluster && -e "$cluster/passfile")
	{
		append_to_file("$dir/stop", '');
		$_->{process}->kill_kill foreach @clients;
		local_sh('down', '--delete');
	}
	$? = $exit_code;
}
