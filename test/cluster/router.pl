# router.pl LISTEN TARGET...
#	  Lets PostgreSQL's isolationtester, which knows one server, have its
#	  sessions on several: the first connection to Unix socket LISTEN goes to the
#	  first TARGET, the second one to the second TARGET, and so on.
#
# What comes after them is refused.  Bytes are passed on as they are.

use strict;
use warnings;

use IO::Select;
use IO::Socket::UNIX;

my ($listen, @targets) = @ARGV;
my $server = IO::Socket::UNIX->new(Local => $listen, Listen => 64) or die "$listen: $!";
my $select = IO::Select->new($server);
# by socket: the other one
my %other;
my $parent = getppid();
$SIG{PIPE} = 'IGNORE';
$SIG{TERM} = sub { exit 0 };

sub close_both
{
	my ($socket) = @_;
	foreach my $one (grep { $_ } $socket, delete $other{$socket})
	{
		delete $other{$one};
		$select->remove($one);
		close $one;
	}
	return;
}

while (1)
{
	# who started us may have died
	exit 0 if getppid() != $parent;
	foreach my $socket ($select->can_read(1))
	{
		if ($socket == $server)
		{
			my $client = $server->accept or next;
			my $target = shift @targets;
			my $back = $target && IO::Socket::UNIX->new(Peer => $target) or next;
			$other{$client} = $back;
			$other{$back} = $client;
			$select->add($client, $back);
			next;
		}
		next unless $other{$socket};
		my $bytes = '';
		my $alive = sysread $socket, $bytes, 65536;
		while ($alive && length $bytes)
		{
			my $count = syswrite $other{$socket}, $bytes;
			$alive = $count;
			substr($bytes, 0, $count, '') if $count;
		}
		close_both($socket) unless $alive;
	}
}
