# A cluster that docker/local.sh makes, and clients of it that go on while
# something happens.
#
#	my $cluster = VecdbLocal->new;
#	plan skip_all => $why if $why = $cluster->missing;		# for --ha
#	$cluster->must('up', '--groups', 2, '--ha');
#	$cluster->start_client('writes', 'write', $cluster->primary_of(1));
#	my %gaps = $cluster->goes_on('a switch-over', sub { $cluster->must('switchover', 2) });
#
# Nothing is left running, however the test ends.

package VecdbLocal;

use strict;
use warnings;

use Cwd;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my @clusters;

# so that END is reached
$SIG{TERM} = $SIG{INT} = sub { die "interrupted\n" };

sub new
{
	my ($class) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir_short();
	chmod 0700, $dir;
	# PostgreSQL as PATH has it, which is where vecdb is installed; and none of
	# the files and settings of who has started us
	$ENV{PG_CONFIG} = 'pg_config';
	delete $ENV{$_} foreach qw(PGHOST PGPORT PGUSER PGDATABASE VECDB_LOCAL_DIR);
	$ENV{PGPASSFILE} = "$dir/c/passfile";
	my $self = bless { top => getcwd(), dir => $dir, cluster => "$dir/c", clients => [] }, $class;
	push @clusters, $self;
	return $self;
}

# the directory of the test's own files, and that of the cluster
sub dir { my ($self) = @_; return $self->{dir}; }
sub place { my ($self) = @_; return $self->{cluster}; }

# what --ha needs and is not here; empty if nothing is
sub missing
{
	my ($self) = @_;
	my $missing = `. src/tools/common.sh
		. docker/lib/ha.sh
		bindir=. check_ha_programs 2>&1`;
	return $? ? (split /\n/, $missing)[0] : '';
}

# the directory of Patroni's programs
sub patroni_dir
{
	my $dir = `. src/tools/common.sh
		. docker/lib/ha.sh
		find_patroni
		echo "\$patroni_dir"`;
	chomp $dir;
	return $dir;
}

# any command; returns exit code and output, of both kinds
sub run
{
	my ($self, @command) = @_;
	my $output = '';
	IPC::Run::run(\@command, '<', \undef, '>&', \$output, IPC::Run::timeout(600));
	note("@command:\n$output");
	return ($? >> 8, $output);
}

# docker/local.sh
sub local_sh
{
	my ($self, @arguments) = @_;
	return $self->run("$self->{top}/docker/local.sh", '--dir', $self->{cluster}, @arguments);
}

# the same, when it has to work
sub must
{
	my ($self, @arguments) = @_;
	my ($rc, $output) = $self->local_sh(@arguments);
	die "docker/local.sh @arguments: $output" if $rc;
	return $output;
}

# the same, when it must not
sub refused
{
	my ($self, $pattern, @arguments) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($rc, $output) = $self->local_sh(@arguments);
	isnt($rc, 0, "@arguments is refused");
	like($output, $pattern, '... and says why');
	return;
}

# the hosts of a group, by number, as "status" says
sub hosts
{
	my ($self, $group) = @_;
	my %hosts;
	foreach (split /\n/, $self->must('status'))
	{
		$hosts{$1} = { port => $2, pid => $3, role => $4, timeline => $5, state => $6 }
		  if m!^$group/(\d+) +127\.0\.0\.1:(\d+) +(\S+) +(\S+) +(\S+) +\S+(?: B)? +(.*)!;
	}
	return %hosts;
}

# the number of a group's primary, and its facts
sub primary
{
	my ($self, $group) = @_;
	my %hosts = $self->hosts($group);
	my ($primary) = grep { $hosts{$_}{role} eq 'primary' } keys %hosts;
	return ($primary, $primary ? %{ $hosts{$primary} } : ());
}

# libpq's string for hosts with these ports
sub connection
{
	my ($self, $attributes, @ports) = @_;
	return 'host=' . join(',', ('127.0.0.1') x @ports) . ' port=' . join(',', @ports)
	  . " target_session_attrs=$attributes user=postgres dbname=vecdb connect_timeout=2"
	  . " sslmode=verify-full sslrootcert='$self->{cluster}/ca.crt'";
}

# the ports of a group's hosts
sub ports
{
	my ($self, $group) = @_;
	return map { my $port = slurp_file($_); chomp $port; $port } sort glob "$self->{cluster}/group$group/host*/port";
}

# libpq's string for whoever is primary, for one host, and for HAProxy's reads
sub primary_of { my ($self, $group) = @_; return $self->connection('primary', $self->ports($group)); }
sub host_of { my ($self, $group, $host) = @_; return $self->connection('any', ($self->ports($group))[ $host - 1 ]); }

sub read_port
{
	my ($self) = @_;
	my ($port) = $self->must('status') =~ m!^haproxy/read +127\.0\.0\.1:(\d+)!m;
	return $self->connection('any', $port);
}

# SQL over a connection string; dies when it fails
sub query
{
	my ($self, $connection, $sql) = @_;
	my ($out, $err) = ('', '');
	IPC::Run::run([ 'psql', '-X', '-A', '-t', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $connection ],
		'<', \$sql, '>', \$out, '2>', \$err, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default))
	  or die "$sql: $err";
	chomp $out;
	return $out;
}

# the same until it succeeds, and the answer is as wanted, if that is given
sub query_soon
{
	my ($self, $connection, $sql, $wanted) = @_;
	my $end = time + $PostgreSQL::Test::Utils::timeout_default;
	while (1)
	{
		my $out = eval { $self->query($connection, $sql) };
		return $out if defined $out && (!defined $wanted || $out eq $wanted);
		die $@ if !defined $out && time > $end;
		return $out if time > $end;
		sleep 0.5;
	}
}

# Wait until all hosts run, and all standbys follow; do they?
sub wait_whole
{
	my ($self, @groups) = @_;
	my $end = time + $PostgreSQL::Test::Utils::timeout_default;
	while (1)
	{
		my $bad = 0;
		foreach my $group (@groups)
		{
			my %now = $self->hosts($group);
			my ($timeline) = map { $_->{timeline} } grep { $_->{role} eq 'primary' } values %now;
			$bad++ unless defined $timeline;
			$bad += grep { $_->{state} ne 'running' || $_->{timeline} ne ($timeline // '') } values %now;
		}
		return 1 unless $bad;
		return 0 if time > $end;
		sleep 1;
	}
}

# --- clients: see test/cluster/ha_client.pl ---

# the table that they use, made over that connection
sub make_items
{
	my ($self, $connection) = @_;
	$self->query($connection, q{
		CREATE TABLE items (id bigint PRIMARY KEY, tx bigint, embedding vector(3));
		SELECT vecdb.distribute_table('items');
		CREATE INDEX ON items USING hnsw (embedding vector_l2_ops);
		INSERT INTO items SELECT i, 0, ARRAY[random(), random(), random()]::vector FROM generate_series(1, 1000) i;});
	$self->{group_of} = { map { split /\|/ } split /\n/, $self->query($connection,
		q{SELECT i, vecdb.group_of('items', i) FROM generate_series(1000000, 1099999) i}) };
	return;
}

sub start_client
{
	my ($self, $name, $kind, $connection) = @_;
	my $process = IPC::Run::start([ $^X, "$self->{top}/test/cluster/ha_client.pl", $kind,
		"$self->{dir}/$name.journal", "$self->{dir}/stop", $connection ]);
	push @{ $self->{clients} }, { name => $name, process => $process };
	return;
}

sub stop_clients
{
	my ($self) = @_;
	append_to_file("$self->{dir}/stop", '');
	foreach my $client (@{ $self->{clients} })
	{
		my %messages;
		$client->{process}->finish;
		$messages{$_}++ foreach slurp_file("$self->{dir}/$client->{name}.journal") =~ /^# (.*)/mg;
		note("$client->{name}: $messages{$_} x $_") foreach sort keys %messages;
	}
	return;
}

# lines of a client's journal that are no messages, as arrays
sub journal
{
	my ($self, $name) = @_;
	my $file = "$self->{dir}/$name.journal";
	return -e $file ? map { [ split / / ] } grep { !/^#/ } split /\n/, slurp_file($file) : ();
}

# The times at which a client had success: one list, or for writes one for each
# group, as those of the others go on when one has no primary.
sub successes
{
	my ($self, $name) = @_;
	my %times = map { $_ => [] } $name eq 'writes' ? values %{ $self->{group_of} } : 0;
	foreach ($self->journal($name))
	{
		my ($time, $state, @rows) = @$_;
		next unless $state eq 'done';
		push @{ $times{$_} }, $time foreach @rows ? map { $self->{group_of}{$_} } @rows : 0;
	}
	return values %times;
}

# the longest time without success that ended after a time
sub longest_gap
{
	my ($self, $name, $since) = @_;
	my $gap = 0;
	foreach my $times ($self->successes($name))
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

# Do something, and wait until each client has had success for a while: a test
# of each, which only one that has none for minutes fails.  Says and returns
# their longest gaps, by name; how long those are is of the machine, too.
sub goes_on
{
	my ($self, $what, $action) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $since = time;
	$action->();
	my $done = time;
	my $end = $done + $PostgreSQL::Test::Utils::timeout_default;
	foreach my $client (@{ $self->{clients} })
	{
		my $well = 0;
		until ($well || time > $end)
		{
			sleep 0.5;
			my $from = time - 3;
			$well = $from > $done && !grep { 3 > grep { $_ > $from } @$_ } $self->successes($client->{name});
		}
		ok($well, "$what: $client->{name} go on");
	}
	my %gap = map { $_->{name} => $self->longest_gap($_->{name}, $since) } @{ $self->{clients} };
	diag(sprintf '%-44s %s', $what, join ', ', map { sprintf '%s %.1f s', $_, $gap{$_} } sort keys %gap);
	return %gap;
}

# Rows of client "writes" that were acknowledged and are not there, and those
# that are there and were never sent, as two references to lists.
sub compare_rows
{
	my ($self, $connection) = @_;
	my (%done, %unknown);
	foreach ($self->journal('writes'))
	{
		my ($time, $state, @rows) = @$_;
		my $known = $state eq 'done' ? \%done : \%unknown;
		$known->{$_} = 1 foreach @rows;
	}
	my %found = map { $_ => 1 } split /\n/, $self->query_soon($connection, 'SELECT id FROM items WHERE tx > 0');
	diag(sprintf '%d rows acknowledged; %d not answered, %d of them there',
		scalar keys %done, scalar keys %unknown, scalar grep { $found{$_} } keys %unknown);
	return ([ grep { !$found{$_} } sort keys %done ],
		[ grep { !$done{$_} && !$unknown{$_} } sort keys %found ]);
}

END
{
	my $exit_code = $?;
	foreach my $self (@clusters)
	{
		append_to_file("$self->{dir}/stop", '') if -d $self->{dir};
		$_->{process}->kill_kill foreach @{ $self->{clients} };
		$self->local_sh('down', '--delete') if -e "$self->{cluster}/passfile";
	}
	$? = $exit_code;
}

1;
