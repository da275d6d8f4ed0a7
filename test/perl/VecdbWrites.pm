# What the tests of writing share: the same statements on a single server and
# on a cluster, and where rows are.
#
#	my $writes = VecdbWrites->new($cluster);
#	$writes->both('INSERT ...');		# from changing nodes
#	$writes->in_place('items', 'what');

package VecdbWrites;

use strict;
use warnings;

use Test::More;

sub new
{
	my ($class, $cluster) = @_;
	return bless { cluster => $cluster, asked => 0 }, $class;
}

# what a node itself holds
sub own
{
	my ($self, $group, $sql) = @_;
	return $self->{cluster}->query_own($group, $sql);
}

# Is each row in exactly the group that owns its shard?  All rows are seen
# through the cluster, in one node each, and found by their key from another.
sub in_place
{
	my ($self, $table, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $cluster = $self->{cluster};
	my @all = sort map { split /\n/ }
	  map { $self->own($_, "SELECT t::text FROM $table t") } $cluster->groups;
	my @seen = sort split /\n/, $cluster->query(1, "SELECT t::text FROM $table t");
	is_deeply(\@all, \@seen, "$what: each row is in one group");
	is($cluster->query(1, "SELECT * FROM vecdb.check_cluster()"), '',
		"$what: each row is in its group");
	return;
}

# A statement on the single server and on the cluster: output, the first line
# of the error, and its SQLSTATE have to be the same; lines in any order unless
# "ordered".
sub both
{
	my ($self, $sql, %options) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $cluster = $self->{cluster};
	my $group = $options{group} // 1 + $self->{asked}++ % $cluster->{groups};
	my @results;
	foreach my $node ($cluster->single, $cluster->node($group))
	{
		my ($out, $err) = ('', '');
		$node->psql('postgres', "\\set VERBOSITY verbose\n$sql",
			stdout => \$out, stderr => \$err, %{ $options{psql} // {} });
		$out = join("\n", sort split /\n/, $out) unless $options{ordered};
		my @errors = $err =~ /^(?:psql:\S+ )?((?:ERROR|WARNING):  .*)$/mg;
		push @results, join("\n", $out, @errors);
	}
	return is($results[1], $results[0], ($options{what} // $sql) . " (group $group)");
}

1;
