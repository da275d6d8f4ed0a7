# Can hosts be restarted and upgraded one by one, and do they join again,
# while a cluster of replicated groups goes on?
#
# Clients write and search as in 300.  Meanwhile vecdb's library is replaced by
# that of the next version on all hosts, group by group, so that for a while
# both versions work together; a group gets a further host; a former primary
# has WAL that nobody else has, and is rewound; another one cannot be, and is
# made anew.  Nothing that was acknowledged may be lost, and all hosts have to
# have the same rows.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use VecdbLocal;

my $cluster = VecdbLocal->new;
my $missing = $cluster->missing;
plan skip_all => $missing if $missing;

my $dir = $cluster->dir;
my $place = $cluster->place;
my $internal = q{ options='-c vecdb.internal=on'};

# The next version of vecdb, in a PostgreSQL of its own: the same code under
# another number, and a script that updates the extension.  Returns its
# pg_config, the version that is installed, and the next.
sub make_next
{
	my ($rc, $output) = $cluster->run('src/tools/private-pg.sh', "$dir/next");
	die $output if $rc;
	my ($config) = $output =~ m!(\S+/pg_config)$!m or die $output;
	chomp(my $library = `$config --pkglibdir`);
	chomp(my $share = `$config --sharedir`);
	my ($version) = slurp_file("$share/extension/vecdb.control") =~ /^default_version *= *'(.*)'/m;
	my $next = $version =~ s/(\d)$/($1 + 1) % 10/er;

	# what is there are links to what is installed
	my $code = slurp_file("$library/vecdb.so");
	$code =~ s/\Q$version\E\0/$next\0/g or die "version $version is not in the library";
	my $control = slurp_file("$share/extension/vecdb.control") =~ s/\Q$version\E/$next/r;
	unlink "$library/vecdb.so", "$share/extension/vecdb.control";
	append_to_file("$library/vecdb.so", $code);
	chmod 0755, "$library/vecdb.so";
	append_to_file("$share/extension/vecdb.control", $control);
	append_to_file("$share/extension/vecdb--$version--$next.sql",
		"CREATE FUNCTION vecdb.is_next() RETURNS boolean AS 'SELECT true' LANGUAGE sql;\n");
	return ($config, $version, $next);
}

# what a query says on each host of a group
sub on_hosts
{
	my ($group, $sql) = @_;
	return map { $cluster->query_soon($cluster->connection('any', $_), $sql) } $cluster->ports($group);
}

# the versions of the library that a group's hosts run
sub versions
{
	my ($group) = @_;
	my %versions = map { $_ => 1 } on_hosts($group, 'SHOW vecdb.library_version');
	return join ' ', sort keys %versions;
}

# rolling_restart.py, with the certificates of group 1; exit code and output
sub roll
{
	my (@options) = @_;
	return $cluster->run($cluster->patroni_dir . '/bin/python', 'docker/ha/rolling_restart.py',
		'--auth', "$place/group1/host1/patroni_auth", @options);
}

# The primary of group 2 gets rows that no standby has, and crashes; damage is
# done to it before its Patroni takes notice, to its data directory, of which
# the WAL before a file is not needed for its own recovery.  Returns its number,
# and the size of its log before.
sub crash_ahead
{
	my ($damage) = @_;
	my ($host, %primary) = $cluster->primary(2);
	my $home = "$place/group2/host$host";
	my $size = -s "$home/daemon.log";
	my ($patroni) = split ' ', slurp_file("$home/pid");
	my $connection = $cluster->host_of(2, $host) . $internal;
	my @senders = split /\n/, $cluster->query($connection, 'SELECT pid FROM pg_stat_replication');
	kill 'STOP', $patroni, @senders;
	$cluster->query($connection, q{
		SET synchronous_commit = local;
		CREATE TABLE ahead AS SELECT g FROM generate_series(1, 1000) g;
		SELECT pg_switch_wal();
		CHECKPOINT;});
	my $needed = $cluster->query($connection, 'SELECT redo_wal_file FROM pg_control_checkpoint()');
	# the postmaster first, so that it cannot begin anything
	my @others = split /\n/, $cluster->query($connection, 'SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()');
	kill 'KILL', $primary{pid};
	kill 'KILL', $_ foreach @others, @senders;
	$damage->("$home/data", $needed);
	kill 'CONT', $patroni;
	return ($host, $size);
}

my ($config, $version, $next) = make_next();
my $began = time;
my ($rc, $output) = $cluster->local_sh('up', '--groups', 2, '--hosts', 3, '--ha');
is($rc, 0, 'a cluster of replicated groups starts') or BAIL_OUT($output);
diag(sprintf '%-44s %.0f s', 'start of 2 groups of 3 hosts', time - $began);

my $writes = $cluster->primary_of(1);
my $other = $cluster->primary_of(2);
$cluster->make_items($writes);
$cluster->start_client('writes', 'write', $writes);
$cluster->start_client('searches', 'read', $writes);
$cluster->start_client('standbys', 'read', $cluster->read_port . " options='-c vecdb.read_from=any'");
sleep 4;

# --- rolling upgrade ---
$cluster->refused(qr/no such pg_config/, 'roll', '--pg-config', "$dir/nothing");
$cluster->refused(qr/wants one host/, 'restart', 1, '--pg-config', $config);
$cluster->goes_on('group 2 is upgraded', sub { $output = $cluster->must('roll', 2, '--pg-config', $config) });
is(scalar(() = $output =~ /: restarts$/mg), 3, 'each host was restarted once');
like($output, qr/gives the lead away\n(?!.*gives).*has the lead\n.*restarts/, 'the leader was the last, and no leader any more');
is(versions(2), $next, 'all of its hosts run the next version');
is(versions(1), $version, '... and those of group 1 the former');
foreach ($writes, $other)
{
	$cluster->query_soon($_, 'INSERT INTO items SELECT i, 0, ARRAY[1, 2, 3]::vector FROM generate_series(2000, 2050) i ON CONFLICT DO NOTHING');
	is($cluster->query_soon($_, 'SELECT count(*) FROM items WHERE id BETWEEN 2000 AND 2050', 51), 51, 'both versions work together');
	is($cluster->query_soon($_, 'SELECT * FROM vecdb.check_cluster()', ''), '', '... and find nothing wrong');
}

# what rolling_restart.py stops at, before it has restarted anything
my @urls = map { my $port = slurp_file("$place/group1/host$_/api_port"); chomp $port; "https://127.0.0.1:$port" } 1 .. 3;
my ($leader) = $cluster->primary(1);
my ($first, $second) = grep { $_ != $leader } 1 .. 3;
my @starts = on_hosts(1, 'SELECT pg_postmaster_start_time()');
($rc, $output) = roll('--dry-run', @urls);
is($rc, 0, 'a dry run');
is(join(' ', map { /^group1-host(\d)/ ? $1 : () } split /\n/, $output), "$first $second $leader", '... says the order: the leader is the last');
($rc, $output) = roll('--install', 'echo "$VECDB_MEMBER"; exit 3', @urls);
is($rc, 1, 'what cannot be installed ends it');
like($output, qr/^group1-host$first\nInstalling on group1-host$first failed, with exit code 3.*--since/sm, '... at the first host');
($rc, $output) = roll('--restart', 'true', '--timeout', 3, @urls);
is($rc, 1, 'a host that does not come back ends it');
like($output, qr/group1-host$first is not back within 3 s: it was not restarted\nLook after group1-host$first/, '... at the first host');
($rc, $output) = roll('http://127.0.0.1:1', @urls);
is($rc, 1, 'a Patroni that does not answer ends it');
like($output, qr/127\.0\.0\.1:1 does not answer/, '... before it begins');
($rc, $output) = $cluster->run($cluster->patroni_dir . '/bin/python', 'docker/ha/rolling_restart.py', @urls);
is($rc, 1, 'without the certificate of the authority nothing is believed');
like($output, qr/certificate verify failed/, '... which is said');
($rc, $output) = roll('--since', '2000-01-01', @urls);
is($rc, 0, 'hosts that were started later are left alone');
like($output, qr/all hosts are left alone/, '... which is said');
is(join(' ', on_hosts(1, 'SELECT pg_postmaster_start_time()')), join(' ', @starts), 'no server was restarted by any of these');

# as after an interruption, one is upgraded already
$cluster->must('restart', "1/$first", '--pg-config', $config);
$cluster->goes_on('group 1, which is asked, is upgraded', sub { $output = $cluster->must('roll', '--pg-config', $config) });
unlike($output, qr/(group1-host$first|group2-host\d): restarts/, 'who has been upgraded is left alone');
is(scalar(() = $output =~ /: restarts$/mg), 2, '... and the others are restarted');
is(versions(1), $next, 'all hosts of group 1 run the next version');
like($output, qr/All hosts run/, '... which is that of the cluster now');
is(join('', glob "$place/group*/host*/pg_config"), '', '... and of none alone');
foreach ($other, $writes)
{
	$cluster->query_soon($_, 'ALTER EXTENSION vecdb UPDATE');
	is($cluster->query($_, q{SELECT vecdb.is_next(), extversion FROM pg_extension WHERE extname = 'vecdb'}), "t|$next", 'the extension is updated');
}

# by Patroni itself, with its two standbys only
($rc, $output) = roll('--connect', "user=postgres dbname=vecdb passfile='$place/passfile' sslmode=verify-full sslrootcert='$place/ca.crt'", @urls);
is($rc, 0, 'Patroni restarts, too');
is(scalar(() = $output =~ /: is back$/mg), 3, '... all hosts');

# the health check of docker/compose-ha.yml
foreach my $host (1 .. 3)
{
	local $ENV{PGPORT} = ($cluster->ports(1))[ $host - 1 ];
	local $ENV{VECDB_SECRETS} = $place;
	is_deeply([ $cluster->run('docker/ha/entry.sh', 'health') ], [ 0, '' ], 'a host is healthy');
}

# --- a new host ---
$cluster->refused(qr/wants a group/, 'add-host');
$cluster->refused(qr/gets the next number/, 'add-host', '2/1');
$cluster->goes_on('a host is added to group 2', sub { $output = $cluster->must('add-host', 2) });
like($output, qr/^Host 2\/4: bootstrap from/m, 'it is seen to be copied');
$other = $cluster->primary_of(2);
is($cluster->query_soon($writes, q{SELECT count(*) FROM vecdb.hosts WHERE group_id = 2 AND state = 'up'}, 4), 4, 'the cluster knows it');
is($cluster->query($cluster->host_of(2, 4), 'SHOW vecdb.library_version'), $next, '... and it has the version of the others');
is($cluster->query_soon($cluster->host_of(2, 4), 'SELECT vecdb.ready()', 't'), 't', '... and is ready');
is($cluster->query_soon($other, q{SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'quorum'}, 3), 3, '... and a synchronous standby');

# --- hosts that come back ---
my ($host, $size);
$cluster->goes_on('a primary ahead of its standbys crashes', sub { ($host, $size) = crash_ahead(sub { }) });
ok($cluster->wait_whole(2), 'it comes back');
my $log = substr slurp_file("$place/group2/host$host/daemon.log"), $size;
like($log, qr/running pg_rewind from/, '... rewound');
unlike($log, qr/bootstrap from/, '... and not copied');
is($cluster->query_soon($cluster->host_of(2, $host) . $internal, q{SELECT to_regclass('ahead') IS NULL}), 't', 'what it had alone is gone');

$cluster->goes_on('the same, and it lacks the WAL to go back', sub {
	($host, $size) = crash_ahead(sub {
		my ($data, $needed) = @_;
		unlink grep { m!/([0-9A-F]{24})$! && $1 lt $needed } glob "$data/pg_wal/*";
	});
});
ok($cluster->wait_whole(2), 'it comes back');
$log = substr slurp_file("$place/group2/host$host/daemon.log"), $size;
like($log, qr/running pg_rewind from.*bootstrap from/s, '... as a copy, since it could not be rewound');
is($cluster->query_soon($cluster->host_of(2, $host) . $internal, q{SELECT to_regclass('ahead') IS NULL}), 't', 'what it had alone is gone');

# a standby that cannot start any more, which Patroni does not know how to mend
my %hosts = $cluster->hosts(2);
($host) = grep { $hosts{$_}{role} eq 'standby' } sort keys %hosts;
$cluster->refused(qr/wants one host/, 'rebuild', 2);
kill 'KILL', $hosts{$host}{pid};
unlink glob "$place/group2/host$host/data/pg_wal/0*";
like($cluster->must('rebuild', "2/$host"), qr/has a new copy/, 'it is made anew by hand');
ok($cluster->wait_whole(2), '... and follows');

$cluster->stop_clients;
my ($lost, $unexpected) = $cluster->compare_rows($writes);
is("@$lost", '', 'no row is lost whose INSERT was answered');
is("@$unexpected", '', 'no other row is there');
is($cluster->query_soon($writes, 'SELECT * FROM vecdb.check_cluster()', ''), '', 'the cluster is in order');
foreach my $group (1, 2)
{
	my $local = 'SELECT count(*), sum(id) FROM items';
	my $expected = $cluster->query_soon($cluster->primary_of($group) . $internal, $local);
	foreach my $port ($cluster->ports($group))
	{
		is($cluster->query_soon($cluster->connection('any', $port) . $internal, $local, $expected),
			$expected, "a host of group $group has all rows");
	}
}

done_testing();
