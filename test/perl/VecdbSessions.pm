# Sessions of psql on nodes of a cluster, that may wait while others go on.
#
#	my $a = VecdbSessions->new($cluster->node(1));
#	$a->run('BEGIN');					# waits; dies if it takes too long
#	$a->send('UPDATE ...');				# does not wait
#	$a->is_done;						# has that been answered?
#	my ($out, $err) = $a->finish;		# wait for the answer
#	$a->quit;
#
# Or statements alone, whose output and errors are in {out} and {err} in the end:
#
#	my $client = start_psql($node, 'SET ...', 'SELECT ...');
#	$client->{run}->finish;
#
# Errors are verbose, so that they begin with their SQLSTATE.

package VecdbSessions;

use strict;
use warnings;

use Exporter 'import';
use IPC::Run;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(sleep time);

our @EXPORT_OK = qw(start_psql);

sub new
{
	my ($class, $node, %options) = @_;
	my $self = bless { in => '', out => '', err => '', count => 0 }, $class;
	$self->{run} = IPC::Run::start(
		[ 'psql', '-X', '-q', '-A', '-t', '-v', 'VERBOSITY=verbose', '-d',
			$node->connstr('postgres') . ($options{connstr} // ''), '-f', '-' ],
		'<', \$self->{in}, '>', \$self->{out}, '2>', \$self->{err});
	$self->run('SELECT 1');
	return $self;
}

# SQL whose answer is not waited for
sub send
{
	my ($self, $sql) = @_;
	$self->{out} = $self->{err} = '';
	$self->{count}++;
	$self->{in} .= "$sql\n;\n\\echo end $self->{count}\n\\warn end $self->{count}\n";
	$self->{began} = time;
	$self->{run}->pump_nb;
	return;
}

# has all that was sent been answered?
sub is_done
{
	my ($self) = @_;
	$self->{run}->pump_nb;
	my $end = qr/^end $self->{count}$/m;
	return $self->{out} =~ $end && $self->{err} =~ $end;
}

# the answer to what was sent: output and errors; also how long it took
sub finish
{
	my ($self, $seconds) = @_;
	my $limit = time + ($seconds // $PostgreSQL::Test::Utils::timeout_default);
	until ($self->is_done)
	{
		die "a session does not answer; so far: $self->{out} $self->{err}" if time > $limit;
		sleep 0.005;
	}
	$self->{took} = time - $self->{began};
	my ($out, $err) = map { my $text = $_; $text =~ s/^end $self->{count}\n//m; $text =~ s/\n\z//; $text } @$self{qw(out err)};
	return ($out, $err);
}

# SQL, and its answer
sub run
{
	my ($self, $sql) = @_;
	$self->send($sql);
	return $self->finish;
}

# Start psql with statements, one after the other.
sub start_psql
{
	my ($node, @sql) = @_;
	my $client = { out => '', err => '' };
	$client->{run} = IPC::Run::start(
		[ 'psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-d', $node->connstr('postgres'), map { ('-c', $_) } @sql ],
		'>', \$client->{out}, '2>', \$client->{err});
	return $client;
}

sub quit
{
	my ($self) = @_;
	$self->{in} .= "\\q\n";
	$self->{run}->finish;
	return;
}

1;
