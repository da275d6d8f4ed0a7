# ha_client.pl KIND JOURNAL STOP CONNECTION
#	  One client of the test of replicated groups (test/t/300): a session that
#	  does one thing after the other, is opened again when it breaks, and keeps
#	  a journal of what was answered.
#
# KIND "write" inserts rows into "items", every fifth time three at once, which
# belong to several groups; "read" searches.  A line of the journal is
#
#	  TIME STATE ROW...
#
# with STATE "done" when the answer was success, and "unknown" when it was
# something else, or none within ten seconds; an error's message follows in a
# line that begins with "#".  It ends when the file STOP is there.

use strict;
use warnings;

use IO::Handle;
use IO::Select;
use IPC::Open2;
use Time::HiRes qw(sleep time);

my ($kind, $journal, $stop, $connection) = @ARGV;
my ($pid, $to, $from, $pending) = (0, undef, undef, '');
my $next = 1_000_000;

# a broken session is noticed by what is read from it
$SIG{PIPE} = 'IGNORE';
open my $out, '>', $journal or die "$journal: $!";
$out->autoflush(1);

sub open_session
{
	$pid = open2($from, $to, 'sh', '-c', 'exec "$@" 2>&1', 'sh',
		'psql', '-X', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-d', $connection);
	$to->autoflush(1);
	$pending = '';
	return;
}

sub close_session
{
	return unless $pid;
	close $to;
	kill 'KILL', $pid;
	waitpid $pid, 0;
	close $from;
	$pid = 0;
	return;
}

# All lines up to the mark; undef, and no session, if it does not come.
sub ask
{
	my ($sql, $mark) = @_;
	my $deadline = time + 10;
	my $select = IO::Select->new($from);
	my @lines;
	print $to "$sql\n\\echo $mark\n";
	while (1)
	{
		while ($pending =~ s/^(.*)\n//)
		{
			return (1, @lines) if $1 eq $mark;
			push @lines, $1;
		}
		my $left = $deadline - time;
		last if $left <= 0 || !$select->can_read($left);
		last unless sysread $from, $pending, 8192, length $pending;
	}
	push @lines, 'no answer' if time >= $deadline;
	close_session();
	return (0, @lines);
}

my $round = 0;
until (-e $stop)
{
	open_session() unless $pid;
	$round++;
	my $several = $kind eq 'write' && $round % 5 == 0;
	my @rows = $kind ne 'write' ? () : map { $next++ } 1 .. ($several ? 3 : 1);
	my $sql = $kind eq 'write'
	  ? 'INSERT INTO items VALUES '
	  . join(', ', map { "($_, $rows[0], ARRAY[random(), random(), random()]::vector)" } @rows) . ';'
	  : "SELECT count(*) FROM (SELECT id FROM items ORDER BY embedding <-> '[0.5, 0.5, 0.5]' LIMIT 5) s;";
	my ($answered, @lines) = ask($sql, "end $round");
	my $answer = $kind eq 'write' ? 'INSERT 0 ' . @rows : '5';
	# a WARNING may say that no standby is known to have it
	my $done = $answered && @lines == 1 && $lines[0] eq $answer;
	print $out join(' ', sprintf('%.3f', time), $done ? 'done' : 'unknown', @rows), "\n";
	print $out map { "# $_\n" } @lines unless $done;
	sleep($done ? 0.01 : 0.1);
}
close_session();
