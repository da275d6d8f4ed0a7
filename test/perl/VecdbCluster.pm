# A cluster of vecdb for tests: groups of one node each, and a server that is
# in no cluster to compare with.
#
#	my $cluster = VecdbCluster->new('name', groups => 3, conf => '...');
#	$cluster->start;				# servers, vecdb.create_cluster(), add_group()
#	$cluster->query(2, 'SELECT 1');	# on the node of group 2; dies on an error
#	$cluster->query_own(2, '...');	# the same, of this node's own rows alone
#	$cluster->single->safe_psql('postgres', 'SELECT 1');
#	$cluster->same_result('SELECT ...', 'what');
#	$cluster->kill9(2); $cluster->start_node(2);
#	$cluster->freeze(3); $cluster->thaw(3);
#	my $standby = $cluster->add_standby(2, 'second');
#	$cluster->replace_node(2, $standby);	# which was promoted
#
# Nodes listen on Unix sockets in a directory that other users cannot enter,
# and trust who comes; the same directory and each node's port is what the
# cluster knows it by.  The database is "postgres".  Everything is stopped and
# removed when the test ends, frozen or not.

package VecdbCluster;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT_OK = qw(address);

# those whose nodes may be frozen when the test ends
my @clusters;

# the settings of every node; fsync is off, as kills are of processes and not
# of the machine
my $settings = q{
	fsync = off
	jit = off
	autovacuum = off
	max_connections = 100
	shared_buffers = 32MB
	max_prepared_transactions = 100
	deadlock_timeout = 300ms
	restart_after_crash = on
};

# those of nodes: on a busy machine a host is no less there
my $node_settings = q{
	shared_preload_libraries = 'vecdb'
	vecdb.connect_timeout = 10s
};

sub new
{
	my ($class, $name, %options) = @_;
	my $self = bless {
		name => $name,
		groups => $options{groups} // 3,
		conf => $options{conf} // '',
		nodes => {},
		servers => [],
		frozen => {},
		single => undef,
	}, $class;
	push @clusters, $self;
	return $self;
}

# The servers, the cluster, and all of its groups.
sub start
{
	my ($self) = @_;
	$self->add_server($_) foreach 1 .. $self->{groups};
	$self->query(1, sprintf("SELECT vecdb.create_cluster('%s', %d)",
		$self->node(1)->host, $self->node(1)->port));
	$self->join_server($_) foreach 2 .. $self->{groups};
	return $self;
}

# A running server with the extension, which is in no cluster yet; it is known
# as the node of group N from here on.  Options are those of
# PostgreSQL::Test::Cluster->new, such as install_path.
sub add_server
{
	my ($self, $group, %options) = @_;
	my $node = PostgreSQL::Test::Cluster->new("$self->{name}_$group", %options);
	$node->init(allows_streaming => 'logical');
	$node->append_conf('postgresql.conf',
		"$settings\n$node_settings\n$self->{conf}");
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION vecdb');
	$self->replace_node($group, $node);
	$self->{groups} = $group if $group > $self->{groups};
	return $node;
}

# Make that server a group of the cluster.
sub join_server
{
	my ($self, $group) = @_;
	my $node = $self->node($group);
	$self->query(1, sprintf("SELECT vecdb.add_group('%s', %d)",
		$node->host, $node->port));
	return;
}

# A standby of a group's node, which streams from it; the group has it as a
# host, too, by what node 1 is told.  Options:
#	conf		further lines of configuration
#	host		where others reach it; in the directory of its socket otherwise
#	register	0: the cluster is not told of it
sub add_standby
{
	my ($self, $group, $name, %options) = @_;
	my $node = $self->node($group);
	$node->backup($name);
	my $standby = PostgreSQL::Test::Cluster->new($name);
	$standby->init_from_backup($node, $name, has_streaming => 1);
	$standby->append_conf('postgresql.conf', "cluster_name = '$name'\n" . ($options{conf} // ''));
	$standby->start;
	push @{ $self->{servers} }, $standby;
	$self->query(1, sprintf("SELECT vecdb.add_host(%d, '%s', %d)",
		$group, $options{host} // $standby->host, $standby->port)) if $options{register} // 1;
	return $standby;
}

# Another server is the node of a group from here on.
sub replace_node
{
	my ($self, $group, $node) = @_;
	$self->{nodes}{$group} = $node;
	push @{ $self->{servers} }, $node unless grep { $_ == $node } @{ $self->{servers} };
	return;
}

# how vecdb names a node
sub address
{
	my ($node) = @_;
	return $node->host . ':' . $node->port;
}

# the numbers of all groups
sub groups
{
	my ($self) = @_;
	return 1 .. $self->{groups};
}

# the PostgreSQL::Test::Cluster of a group
sub node
{
	my ($self, $group) = @_;
	return $self->{nodes}{$group} // die "no group $group";
}

# A server of the same settings that is in no cluster, made when first asked
# for.  The library is not preloaded there.
sub single
{
	my ($self) = @_;
	if (!$self->{single})
	{
		my $node = PostgreSQL::Test::Cluster->new("$self->{name}_single");
		$node->init(allows_streaming => 'logical');
		my $conf = $self->{conf};
		# settings of rooms that only a preloaded library has
		$conf =~ s/^\s*vecdb\..*$//mg;
		$node->append_conf('postgresql.conf', "$settings\n$conf");
		$node->start;
		$node->safe_psql('postgres', 'CREATE EXTENSION vecdb');
		$self->{single} = $node;
	}
	return $self->{single};
}

# Add lines to the configuration of all nodes, and have them read it.
sub configure
{
	my ($self, $lines) = @_;
	foreach my $group ($self->groups)
	{
		$self->node($group)->append_conf('postgresql.conf', $lines);
		$self->node($group)->reload;
	}
	return;
}

# SQL on the node of a group; dies when it fails
sub query
{
	my ($self, $group, $sql, %params) = @_;
	return $self->node($group)->safe_psql('postgres', $sql, %params);
}

# SQL on the node of a group, in a session that sees what this node holds and
# changes nothing elsewhere, as an administrator may have it
sub query_own
{
	my ($self, $group, $sql) = @_;
	local $ENV{PGOPTIONS} = '-c vecdb.internal=on';
	return $self->query($group, $sql);
}

# SQL on the node of a group; returns exit code, output and errors
sub try
{
	my ($self, $group, $sql, %params) = @_;
	my ($out, $err) = ('', '');
	my $rc = $self->node($group)->psql('postgres', $sql,
		stdout => \$out, stderr => \$err, on_error_stop => 1, %params);
	return ($rc, $out, $err);
}

# SQL on all nodes, one after the other; returns the outputs
sub query_all
{
	my ($self, $sql) = @_;
	return map { $self->query($_, $sql) } $self->groups;
}

# the same SQL on the single server and on one node of the cluster
sub query_both
{
	my ($self, $sql, $group) = @_;
	$self->single->safe_psql('postgres', $sql);
	$self->query($group // 1, $sql);
	return;
}

# Does a query give the same on every node of the cluster as on the single
# server?  Lines are sorted first unless "ordered" is given.
sub same_result
{
	my ($self, $sql, $what, %options) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $order = sub {
		return $options{ordered} ? $_[0] : join("\n", sort split /\n/, $_[0]);
	};
	my $expected = $order->($self->single->safe_psql('postgres', $sql));
	my $same = 1;
	foreach my $group (@{ $options{groups} // [ $self->groups ] })
	{
		my ($rc, $out, $err) = $self->try($group, $sql);
		$out = $order->($out);
		next if $rc == 0 && $out eq $expected;
		$same = 0;
		diag("from group $group:\n$out\n$err\nfrom a single server:\n$expected");
	}
	return ok($same, $what // $sql);
}

# Is a statement refused by the node of a group, with such a message?
sub refused
{
	my ($self, $group, $sql, $pattern, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($rc, $out, $err) = $self->try($group, $sql);
	return like($rc == 0 ? "no error: $out" : $err, $pattern, $what // $sql);
}

# the processes of a node, the postmaster first
sub pids
{
	my ($self, $group) = @_;
	my $data = $self->node($group)->data_dir;
	return unless -e "$data/postmaster.pid";
	my ($postmaster) = split /\n/, slurp_file("$data/postmaster.pid");
	my @children = map { (split)[0] } grep { (split)[1] == $postmaster }
	  split /\n/, `ps -A -o pid= -o ppid=`;
	return ($postmaster, @children);
}

# Kill a node and all of its processes, as a loss of power would.
sub kill9
{
	my ($self, $group) = @_;
	my @pids = $self->pids($group) or die "group $group is not running";
	# so that it cannot tidy up, nor have further children
	kill 'STOP', $pids[0];
	kill 'KILL', reverse $self->pids($group);
	delete $self->{frozen}{$group};
	# until its parent has taken notice: a new postmaster looks for the pid, too
	my $end = time + $PostgreSQL::Test::Utils::timeout_default;
	while (kill(0, @pids) && time < $end)
	{
		select(undef, undef, undef, 0.05);
	}
	$self->node($group)->kill9;
	return;
}

# Stop all processes of a node where they are; sockets stay open, and nobody
# answers.
sub freeze
{
	my ($self, $group) = @_;
	my @pids = $self->pids($group);
	kill 'STOP', $pids[0];
	kill 'STOP', $self->pids($group);
	$self->{frozen}{$group} = 1;
	return;
}

sub thaw
{
	my ($self, $group) = @_;
	kill 'CONT', reverse $self->pids($group);
	delete $self->{frozen}{$group};
	return;
}

sub stop_node
{
	my ($self, $group, $mode) = @_;
	$self->thaw($group) if $self->{frozen}{$group};
	$self->node($group)->stop($mode // 'fast');
	return;
}

sub start_node
{
	my ($self, $group) = @_;
	$self->node($group)->start;
	return;
}

# Which lines of the logs of all its servers, those that have been replaced and
# standbys too, say that a process has crashed?
sub crashes
{
	my ($self) = @_;
	my @found;
	foreach my $node (@{ $self->{servers} })
	{
		push @found, map { $node->name . ": $_" }
		  grep { /PANIC: |TRAP: |was terminated by signal/ }
		  split /\n/, slurp_file($node->logfile);
	}
	return @found;
}

# Wait until no node has a prepared transaction; how many are left?
sub prepared_left
{
	my ($self) = @_;
	my $end = time + $PostgreSQL::Test::Utils::timeout_default;
	while (1)
	{
		my $left = 0;
		$left += $_ foreach $self->query_all('SELECT count(*) FROM pg_prepared_xacts');
		return $left if $left == 0 || time > $end;
		select(undef, undef, undef, 0.2);
	}
}

# all servers, the single one too; the files stay until the test ends
sub stop
{
	my ($self) = @_;
	$self->thaw($_) foreach keys %{ $self->{frozen} };
	foreach my $node (@{ $self->{servers} }, $self->{single})
	{
		$node->stop('immediate') if $node;
	}
	return;
}

# Before PostgreSQL::Test::Cluster stops its servers: who is frozen does not
# hear it.
END
{
	my $exit_code = $?;
	foreach my $cluster (@clusters)
	{
		$cluster->thaw($_) foreach keys %{ $cluster->{frozen} };
	}
	$? = $exit_code;
}

1;
