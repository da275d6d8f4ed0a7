# proxy.pl LISTEN TARGET PLAN FIRED TAKEN
#	  Between two nodes: passes messages of PostgreSQL's protocol on from Unix
#	  socket LISTEN to TARGET, and does harm at a chosen one.
#
# File PLAN holds a line "NUMBER FAULT COUNT SECONDS".  Messages of both
# directions are counted from the moment at which NUMBER is first seen, which is
# when it is written to file TAKEN; at the COUNTth the fault happens, and NUMBER
# is written to file FIRED:
#
#	  cut		the connection is closed, the message is lost
#	  after		the message arrives, then the connection is closed
#	  hang		nothing passes on this connection for SECONDS
#	  silence	nothing passes on any connection, new ones too, until NUMBER
#				changes
#	  count		nothing; FIRED gets the number of messages instead, each time
#
# Messages of connections that are being made count as well.

use strict;
use warnings;

use IO::Select;
use IO::Socket::UNIX;
use Time::HiRes qw(time);

my ($listen, $target, $plan_file, $fired_file, $taken_file) = @ARGV;
my $server = IO::Socket::UNIX->new(Local => $listen, Listen => 64) or die "$listen: $!";
my $select = IO::Select->new($server);
# by socket: the other one, bytes not yet passed on, is the message to come the
# first one, which has no type, until when to hold back, has it been closed
my %links;
my %plan = (number => -1, fault => 'none', count => 0, seconds => 0);
my ($seen, $silent) = (0, 0);
$SIG{PIPE} = 'IGNORE';
$SIG{TERM} = sub { exit 0 };

sub write_file
{
	my ($name, $text) = @_;
	open my $out, '>', "$name.new" or die "$name: $!";
	print $out $text;
	close $out or die "$name: $!";
	rename "$name.new", $name or die "$name: $!";
	return;
}

sub read_plan
{
	open my $in, '<', $plan_file or return;
	my ($number, $fault, $count, $seconds) = split / /, <$in> // '';
	close $in;
	return if !defined $seconds || $number == $plan{number};
	%plan = (number => $number, fault => $fault, count => $count, seconds => $seconds + 0);
	($seen, $silent) = (0, 0);
	write_file($taken_file, $number);
	return;
}

sub close_link
{
	my ($socket) = @_;
	my $link = delete $links{$socket} or return;
	my $other = $link->{other};
	delete $links{$other};
	foreach my $one ($socket, $other)
	{
		$select->remove($one);
		close $one;
	}
	return;
}

sub pass
{
	my ($socket, $bytes) = @_;
	while (length $bytes)
	{
		my $count = syswrite $socket, $bytes;
		return 0 if !$count;
		substr($bytes, 0, $count, '');
	}
	return 1;
}

# Length of the message at the start of a buffer, or 0 while it is not whole.
sub message_length
{
	my ($link) = @_;
	my $typed = $link->{starting} ? 0 : 1;
	return 0 if length $link->{buffer} < 4 + $typed;
	my $length = $typed + unpack('N', substr($link->{buffer}, $typed, 4));
	return length $link->{buffer} >= $length ? $length : 0;
}

# one message, or what the plan makes of it; false if the connection is gone
sub one_message
{
	my ($socket, $message) = @_;
	my $link = $links{$socket};
	$seen++;
	write_file($fired_file, "$plan{number} $seen\n") if $plan{fault} eq 'count';
	if ($seen == $plan{count} && $plan{fault} =~ /^(?:cut|after|hang|silence)$/)
	{
		pass($link->{other}, $message) if $plan{fault} eq 'after';
		write_file($fired_file, "$plan{number} $seen\n");
		if ($plan{fault} eq 'cut' || $plan{fault} eq 'after')
		{
			close_link($socket);
			return 0;
		}
		$silent = 1 if $plan{fault} eq 'silence';
		$links{$_}{until} = time + $plan{seconds} foreach $socket, $link->{other};
		if ($plan{fault} eq 'hang' || $silent)
		{
			$link->{buffer} = $message . $link->{buffer};
			return 0;
		}
	}
	if (!pass($link->{other}, $message))
	{
		close_link($socket);
		return 0;
	}
	return 1;
}

sub pass_messages
{
	my ($socket) = @_;
	my $link = $links{$socket} or return;
	return if $silent || $link->{until} > time;
	while (my $length = message_length($link))
	{
		my $message = substr($link->{buffer}, 0, $length, '');
		$link->{starting} = 0;
		last unless one_message($socket, $message);
	}
	return;
}

while (1)
{
	my @ready = $select->can_read(0.02);
	read_plan();
	foreach my $socket (@ready)
	{
		if ($socket == $server)
		{
			my $client = $server->accept or next;
			my $back = IO::Socket::UNIX->new(Peer => $target);
			if (!$back)
			{
				close $client;
				next;
			}
			$links{$client} = { socket => $client, other => $back, buffer => '', starting => 1, until => 0 };
			$links{$back} = { socket => $back, other => $client, buffer => '', starting => 0, until => 0 };
			$select->add($client, $back);
			next;
		}
		my $link = $links{$socket} or next;
		my $count = sysread $socket, $link->{buffer}, 65536, length $link->{buffer};
		if (!$count)
		{
			# what it said before may still be held back
			$link->{ended} = 1;
			$select->remove($socket);
		}
	}
	my @links = values %links;
	foreach my $link (@links)
	{
		my $socket = $link->{socket};
		pass_messages($socket) if length $link->{buffer};
		close_link($socket)
		  if $links{$socket} && $link->{ended} && !$silent && $link->{until} <= time;
	}
}
