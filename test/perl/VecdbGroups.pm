# Servers on this machine that are groups of one cluster, for tests of the
# remote room: the rows of the catalog are written by hand.

package VecdbGroups;

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

our $cluster_id = '00112233-4455-6677-8899-aabbccddeeff';

# start "count" servers; further arguments are lines of configuration
sub start
{
	my ($count, @lines) = @_;
	my @nodes = map { start_one("group$_", @lines) } 1 .. $count;
	join_nodes(@nodes);
	return @nodes;
}

# start one server that is in no cluster
sub start_one
{
	my ($name, @lines) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init(allows_streaming => 1);
	$node->append_conf('postgresql.conf', join("\n",
		"shared_preload_libraries = 'vecdb'",
		'max_prepared_transactions = 20',
		'vecdb.recovery_interval = 3600',
		# on a busy machine a host is no less there
		'vecdb.connect_timeout = 10s',
		'log_line_prefix = \'%m [%p] %a \'', @lines, ''));
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION vecdb');
	return $node;
}

# make servers the groups 1, 2, ... of a cluster
sub join_nodes
{
	my (@nodes) = @_;
	my $hosts = join(', ',
		map { "('" . $nodes[$_]->host . "', " . $nodes[$_]->port . ', ' . ($_ + 1) . ')' }
		  0 .. $#nodes);
	my $groups = join(', ', map { '(' . ($_ + 1) . ')' } 0 .. $#nodes);
	for my $i (0 .. $#nodes)
	{
		my $group = $i + 1;
		$nodes[$i]->safe_psql('postgres', qq{
			INSERT INTO vecdb.catalog_cluster (cluster_id) VALUES ('$cluster_id');
			INSERT INTO vecdb.catalog_group (group_id) VALUES $groups;
			INSERT INTO vecdb.catalog_host (host, port, group_id) VALUES $hosts;
			INSERT INTO vecdb.catalog_local (cluster_id, group_id, system_identifier)
				SELECT '$cluster_id', $group, system_identifier FROM pg_control_system();
			CREATE TABLE t (id int PRIMARY KEY DEFERRABLE INITIALLY IMMEDIATE, v text);
			});
	}
	return;
}

# wait until a query returns true; fails after some minutes, which only a test
# that fails takes
sub wait_for
{
	my ($node, $query, $what) = @_;
	my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
	while (time() < $end)
	{
		my $answer = eval { $node->safe_psql('postgres', $query) };
		return 1 if defined $answer && $answer eq 't';
		sleep 0.02;
	}
	fail("$what: timed out");
	return 0;
}

# the rows of table t of all servers, as "1:a 2:b|..."
sub contents
{
	my (@nodes) = @_;
	return join('|',
		map { $_->safe_psql('postgres',
				"SELECT coalesce(string_agg(id || ':' || v, ' ' ORDER BY id), '') FROM t") }
		  @nodes);
}

# how many transactions are prepared on all servers
sub prepared
{
	my (@nodes) = @_;
	my $count = 0;
	$count += $_->safe_psql('postgres', 'SELECT count(*) FROM pg_prepared_xacts')
	  foreach @nodes;
	return $count;
}

1;
