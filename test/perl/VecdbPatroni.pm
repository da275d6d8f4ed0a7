# A stand-in for the Patroni of one group (test/cluster/patroni.py), which does
# as the files say that a test puts into its directory.
#
#	my $patroni = VecdbPatroni->new;
#	plan skip_all => $why if $why = $patroni->missing;
#	$patroni->start;
#	$patroni->url('second');			# that of the host of this name
#	$patroni->put('refuse', '412 no');	# as a file there: see patroni.py
#	$patroni->asked;					# what it was asked for since the last call
#
# It ends with the test.

package VecdbPatroni;

use strict;
use warnings;

use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use VecdbRecall qw(wait_until);

my @running;

sub new
{
	my ($class) = @_;
	my ($python) = grep { -x $_ } map { "$_/python3" } split /:/, $ENV{PATH};
	return bless { python => $python, dir => PostgreSQL::Test::Utils::tempdir(),
		port => PostgreSQL::Test::Cluster::get_free_port() }, $class;
}

# what it needs and is not here; empty if nothing is
sub missing { my ($self) = @_; return $self->{python} ? '' : 'the stand-in for Patroni needs python3'; }

# Returns when it can be asked.
sub start
{
	my ($self) = @_;
	push @running, IPC::Run::start([ $self->{python}, 'test/cluster/patroni.py', $self->{dir}, $self->{port} ]);
	wait_until(sub { -e "$self->{dir}/started" }) or die 'the stand-in for Patroni does not start';
	return $self;
}

# the directory of its files
sub dir { my ($self) = @_; return $self->{dir}; }

sub url { my ($self, $name) = @_; return "http://127.0.0.1:$self->{port}/$name"; }

# make a file, as a whole
sub put
{
	my ($self, $name, $text) = @_;
	append_to_file("$self->{dir}/$name.new", $text // '');
	rename "$self->{dir}/$name.new", "$self->{dir}/$name" or die $!;
	return;
}

sub asked
{
	my ($self) = @_;
	my $log = -e "$self->{dir}/log" ? slurp_file("$self->{dir}/log") : '';
	unlink "$self->{dir}/log";
	return $log;
}

END
{
	my $exit_code = $?;
	$_->kill_kill foreach @running;
	$? = $exit_code;
}

1;
