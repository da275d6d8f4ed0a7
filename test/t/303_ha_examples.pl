# Are the templates and examples in docker/ha what the programs take that they
# are for?  Does vecdb-ready say what vecdb.ready() does, and soon when a server
# hangs?  Does rolling_restart.py refuse what it has to, before it has done
# anything?
#
# Patroni is a stand-in (test/cluster/patroni_group.py); 302 has a real one.

use strict;
use warnings;

use IPC::Run ();
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use VecdbCluster;
use VecdbLocal;
use VecdbRecall qw(wait_until);

my $local = VecdbLocal->new;
my $dir = $local->dir;
my ($python) = grep { -x $_ } map { "$_/python3" } split /:/, $ENV{PATH};
$ENV{PYTHONDONTWRITEBYTECODE} = 1;
$ENV{PATH} .= ':/usr/sbin:/sbin';
sub has { my ($program) = @_; return scalar grep { -x "$_/$program" } split /:/, $ENV{PATH}; }

# a program that has to succeed, and its output
sub succeeds
{
	my ($what, @command) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($rc, $output) = $local->run(@command);
	is($rc, 0, $what) or diag($output);
	return $output;
}

# a template, filled in; returns the file
sub filled
{
	my ($template, %values) = @_;
	my %all = (NAME => 'group1-host1', LISTEN => '127.0.0.1', ADDRESS => '127.0.0.1',
		DIR => $dir, CA => "$dir/ca.crt", CERT => "$dir/server.crt", KEY => "$dir/server.key", %values);
	my $text = succeeds("$template is filled in",
		'awk', '-v', "passfile=$dir/passfile", '-f', 'docker/ha/fill.awk', "docker/ha/$template", map { "$_=$all{$_}" } sort keys %all);
	append_to_file("$dir/$template.filled", $text);
	return "$dir/$template.filled";
}

append_to_file("$dir/passfile", "*:*:*:$_:secret\n") foreach qw(postgres vecdb_node vecdb_replication vecdb_rewind);

# --- systemd ---
SKIP:
{
	skip 'systemd-analyze is not here', 1 unless has('systemd-analyze');
	mkdir "$dir/units" or die $!;
	foreach my $unit (glob 'docker/ha/systemd/*')
	{
		# what is executed need not be here
		my $text = slurp_file($unit) =~ s!^(Exec\w+=)\S+!$1/bin/true!mgr;
		append_to_file("$dir/units/" . $unit =~ s!.*/!!r, $text);
	}
	my $output = succeeds('systemd takes the units', 'systemd-analyze', 'verify', '--man=no', glob "$dir/units/*.service $dir/units/*.socket");
	unlike($output, qr!$dir/units!, '... without a complaint');
}

# --- HAProxy ---
SKIP:
{
	skip 'haproxy and openssl are not here', 2 unless has('haproxy') && has('openssl');
	succeeds('an authority', 'openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=test',
		'-keyout', "$dir/ca.key", '-out', "$dir/ca.crt");
	my ($agent) = slurp_file('docker/ha/haproxy.cfg.in') =~ /(agent-check agent-port \d+ agent-inter \w+)/;
	my $server = '  server h1 127.0.0.1:5432';
	my $config = filled('haproxy.cfg.in', RESOLVERS => '', WRITE_PORT => 5000, READ_PORT => 5001,
		SERVERS => "$server check port 8008 verifyhost h1 $agent", TRACKED => "$server track write/h1");
	succeeds('HAProxy takes its template, with an agent', 'haproxy', '-c', '-f', $config);
}

# --- Patroni and compose ---
SKIP:
{
	my $patroni = $local->patroni_dir;
	skip 'Patroni is not here', 4 unless $patroni;
	chomp(my $bindir = `pg_config --bindir`);
	my $config = filled('patroni.yml.in', GROUP => 1, PORT => PostgreSQL::Test::Cluster::get_free_port(),
		API_PORT => PostgreSQL::Test::Cluster::get_free_port(), NETWORK => '127.0.0.1/32',
		DATA => "$dir/data", ADDRESS => '192.0.2.1', BINDIR => $bindir, ETCD => '127.0.0.1:2379', SYNC => 'quorum',
		STRICT => 'true', WATCHDOG => 'off', PASSFILE => "$dir/passfile", AUTH => "$dir/auth");
	# nobody is at etcd's address, which it tries, and there is no data yet
	my (undef, $output) = $local->run("$patroni/bin/patroni", '--validate-config', $config);
	is($output =~ s/^etcd3\.hosts\.\d+ .*\n//mgr, '', 'Patroni takes its template');
	my $text = slurp_file($config);
	# as docs/high-availability.md says
	is($text =~ s/^  #(?=  |[a-z])/  /mg, 9, 'pgBackRest can be put in');
	append_to_file("$config.pgbackrest", $text);
	(undef, $output) = $local->run("$patroni/bin/patroni", '--validate-config', "$config.pgbackrest");
	is($output =~ s/^etcd3\.hosts\.\d+ .*\n//mgr, '', '... and Patroni takes that, too');
	$output = succeeds('... as what is meant', "$patroni/bin/python", '-c', 'import shlex, sys, yaml
section = yaml.safe_load(open(sys.argv[1]))["postgresql"]
options = "--stanza=vecdb-g1 --pg1-path=" + section["data_dir"]
commands = [section["pgbackrest"].pop("command"), section["recovery_conf"].pop("restore_command"), section["parameters"].pop("archive_command")]
print(section["create_replica_methods"], section["pgbackrest"], section["recovery_conf"], section["parameters"]["archive_mode"])
print([" ".join(shlex.split(each)).replace(options, "OPTIONS") for each in commands])
for path in sys.argv[2:]:
    services = yaml.safe_load(open(path))["services"]
    print(path, sum("healthcheck" in each for each in services.values()))',
		"$config.pgbackrest", 'docker/compose-ha.yml', 'docker/compose.yml');
	is($output, "['pgbackrest', 'basebackup'] {'keep_data': True, 'no_params': True} {} on\n"
		. "['pgbackrest OPTIONS --delta --type=standby restore', 'pgbackrest OPTIONS archive-get %f %p', 'pgbackrest OPTIONS archive-push %p']\n"
		. "docker/compose-ha.yml 9\ndocker/compose.yml 3\n", 'each node of the compose files has a health check');
}

# --- vecdb-ready ---
my $cluster = VecdbCluster->new('ready', groups => 1, conf => 'vecdb.probe_interval = 200ms')->start;
my $node = $cluster->node(1);
my $connection = $node->connstr('postgres');
sub ready { return $local->run('docker/ha/vecdb-ready', @_); }

is((ready('--wait', 60, $connection))[0], 0, 'vecdb-ready waits until the server is ready');
is_deeply([ ready($connection) ], [ 0, '' ], '... says so');
is_deeply([ ready('--agent', $connection) ], [ 0, "up\n" ], '... as an agent of HAProxy, too');
my ($pid) = split /\n/, slurp_file($node->data_dir . '/postmaster.pid');
my $began = time;
kill 'STOP', $pid;
my @hung = map { [ ready(@$_) ] } [ $connection ], [ '--agent', $connection ];
kill 'CONT', $pid;
is_deeply(\@hung, [ [ 1, '' ], [ 0, "down\n" ] ], 'a server that hangs is not ready');
cmp_ok(time - $began, '<', 60, '... which is known soon');
is($_->[0], 2, 'what it does not understand is refused') foreach [ ready() ], [ ready('--wait', 'x', $connection) ], [ ready($connection, 'y') ];

# --- rolling_restart.py ---
SKIP:
{
	skip 'python3 is not here', 1 unless $python;
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $file = "$dir/group";
	my $url = "http://127.0.0.1:$port/a";

	# the group as it is from then on, changed by ALTER; returns nothing
	my $put = sub {
		my ($alter) = @_;
		my $member = sub {
			my ($name, $role, $state) = @_;
			return { name => $name, role => $role, state => $state, api_url => "http://127.0.0.1:$port/$name/patroni",
				host => '127.0.0.1', port => 1, timeline => 1, lag => 0 };
		};
		my $group = {
			cluster => { scope => 'vecdb-g7', members => [ $member->('a', 'leader', 'running'),
				map { $member->($_, 'quorum_standby', 'streaming') } qw(b c) ] },
			config => { synchronous_mode => 'quorum', synchronous_mode_strict => JSON::PP::true },
			started => { map { $_ => '2026-01-01 00:00:00+00:00' } qw(a b c) } };
		$alter->($group, @{ $group->{cluster}{members} });
		unlink "$file.log", $file;
		append_to_file($file, encode_json($group));
		return;
	};
	my $roll = sub { return $local->run($python, 'docker/ha/rolling_restart.py', '--timeout', 60, @_); };
	my $asked = sub { return -e "$file.log" ? slurp_file("$file.log") : ''; };
	my $refuses = sub {
		my ($what, $pattern, $alter, @arguments) = @_;
		local $Test::Builder::Level = $Test::Builder::Level + 1;
		$put->($alter);
		my ($rc, $output) = $roll->('--timeout', 1, @arguments, $url);
		is($rc, 1, "$what: refused");
		like($output, $pattern, '... with the reason');
		is($asked->(), '', '... and nothing is done');
		return;
	};

	$put->(sub { });
	my $patroni = IPC::Run::start([ $python, 'test/cluster/patroni_group.py', $file, $port ]);
	wait_until(sub { -e "$file.started" }) or die 'the stand-in for Patroni does not start';

	my ($rc, $output) = $roll->($url);
	is($rc, 0, 'a group is restarted');
	is($asked->(), qq{restart b {"role": "replica"}\nrestart c {"role": "replica"}\nswitchover a {"leader": "a"}\nrestart a {"role": "replica"}\n},
		'... standbys first, and the leader when it is none any more');

	$refuses->('one host', qr/vecdb-g7 has one host/, sub { splice @{ $_[0]{cluster}{members} }, 1 });
	$refuses->('no leader', qr/vecdb-g7 has no leader/, sub { $_[1]{role} = 'quorum_standby' });
	$refuses->('too few standbys', qr/without b vecdb-g7 would have 1 of the 2 hosts.*\nc: it does not stream/,
		sub { $_[3]{state} = 'in archive recovery' });
	$refuses->('a standby is behind', qr/c: it is 99999999 bytes behind/, sub { $_[3]{lag} = 99999999 });
	$refuses->('a standby on an old timeline', qr/c: it is on timeline 1, and the leader on 2/, sub { $_[1]{timeline} = $_[2]{timeline} = 2 });
	$refuses->('a standby that is not synchronous', qr/c: it is no synchronous standby/, sub { $_[3]{role} = 'replica' });
	$refuses->('maintenance', qr/is in maintenance/, sub { $_[0]{cluster}{pause} = JSON::PP::true });
	$refuses->('no JSON', qr/answers, but not as Patroni does/, sub { $_[0]{cluster} = 'what' ; $_[0]{refuse}{cluster} = [ 200, 'what' ] });
	$refuses->('an error', qr/No Patroni of the group can be asked.*broken/s, sub { $_[0]{refuse}{cluster} = [ 500, 'broken' ] });
	$refuses->('a version, without SQL', qr/--version wants --connect/, sub { }, '--version', '1');
	$refuses->('another node, without SQL', qr/--through wants --connect/, sub { }, '--through', 'port=1');
	$refuses->('no file', qr/nothing cannot be read/, sub { }, '--auth', "$dir/nothing");
	append_to_file("$dir/auth", "# comment\ncolor = red\n");
	$refuses->('a file that is something else', qr/Line 2 of .* is not understood/, sub { }, '--auth', "$dir/auth");

	$put->(sub { $_[0]{refuse}{restart} = [ 403, 'no' ] });
	($rc, $output) = $roll->($url);
	like($output, qr/wants a certificate or a password to restart b; see --auth/, 'Patroni lets nobody in');
	is($asked->(), qq{restart b {"role": "replica"}\n}, '... and no other host is touched');
	$put->(sub { $_[0]{refuse}{switchover} = [ 412, 'no good candidates' ] });
	($rc, $output) = $roll->('--timeout', 4, $url);
	like($output, qr/does not give the lead of vecdb-g7 to another host: no good candidates.*--since/s, 'the lead cannot be given away');
	unlike($asked->(), qr/restart a/, '... and the leader is not restarted');
	# two hosts that may commit alone
	$put->(sub { pop @{ $_[0]{cluster}{members} }; $_[0]{config} = {} });
	is(($roll->($url))[0], 0, 'a group of two that need not wait for each other');
	$patroni->kill_kill;
	is(($roll->('--timeout', 4, $url))[0], 1, 'nobody there');
}

is(scalar($cluster->crashes), 0, 'nothing crashed');
done_testing();
