# fault_client.pl KIND NUMBER SEED SECONDS JOURNAL CONNECTION...
#	  One client of the fault test: transactions through one node after the
#	  other, and a journal of what became of each.
#
# KIND "bank" moves money between accounts and writes the ledger; "set" puts
# three members in and takes one out.  A journal's line is
#
#	  STATE NUMBER WORDS...
#
# with WORDS as the transaction was made of, and one of these states:
#
#	  done		COMMIT was answered
#	  failed	it was answered by an error, or never sent
#	  unknown	the answer to COMMIT did not come, or said that it is not known
#
# Rows of a client have numbers from NUMBER * 10,000,000 on.

use strict;
use warnings;

use IPC::Run;

my ($kind, $number, $seed, $seconds, $journal, @connections) = @ARGV;
my $accounts = 100;
my $base = $number * 10_000_000;
my $next = $base;
my @members;

srand($seed * 1000 + $number);
open my $out, '>', $journal or die "$journal: $!";
$out->autoflush(1);

# a transaction: its number, the words for the journal, and its statements
sub bank_transfer
{
	my $id = ++$next;
	my $amount = 1 + int(rand(50));
	my ($from, $to) = map { 1 + int(rand($accounts)) } 1 .. 2;
	$to = $from % $accounts + 1 if $to == $from;
	my %change = ($from => -$amount, $to => $amount);
	# in the order of accounts, but for a few, which may wait for each other
	my @order = sort { $a <=> $b } keys %change;
	@order = reverse @order if rand() < 0.05;
	return [ $id, "$from $to $amount",
		(map { "UPDATE accounts SET balance = balance + ($change{$_}) WHERE id = $_;" } @order),
		"INSERT INTO ledger VALUES ($id, $from, $to, $amount);" ];
}

sub change_set
{
	my $id = ++$next;
	my @new = map { $id * 10 + $_ } 0 .. 2;
	my $old = @members && rand() < 0.7 ? splice(@members, int(rand(@members)), 1) : 0;
	my @statements = rand() < 0.5
	  ? 'INSERT INTO members VALUES ' . join(', ', map { "($_, $id)" } @new) . ';'
	  : map { "INSERT INTO members VALUES ($_, $id);" } @new;
	if ($old)
	{
		push @statements, "DELETE FROM members WHERE id = $old;";
	}
	if (rand() < 0.2)
	{
		push @statements, 'SAVEPOINT a;', 'DELETE FROM members WHERE id = ' . $new[0] . ';',
		  'ROLLBACK TO a;';
	}
	return [ $id, "$old @new", @statements ];
}

# run some transactions in one session, and say what became of them
sub run_session
{
	my ($connection, @transactions) = @_;
	my $script = "\\set VERBOSITY verbose\nSET statement_timeout = '4s'; SET lock_timeout = '2s';\n";
	foreach my $transaction (@transactions)
	{
		my ($id, undef, @statements) = @$transaction;
		$script .= join("\n", 'BEGIN;', @statements, "\\echo committing $id",
			'COMMIT;', "\\echo after $id") . "\n";
	}
	my $output = '';
	# a session may hang on a node that is stopped
	eval {
		IPC::Run::run([ 'psql', '-X', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-d', $connection ],
			'<', \$script, '>&', \$output, IPC::Run::timeout(30));
	};
	my $hung = $@ ne '';
	foreach my $transaction (@transactions)
	{
		my ($id, $words) = @$transaction;
		my $state = 'failed';
		if ($output =~ /^committing $id\n(.*)/ms)
		{
			my $answer = $1;
			$answer =~ s/^after $id\n.*//ms;
			# 08: lost a connection, or not known (08007); 57P: the server ends
			$state = $answer =~ /^COMMIT$/m ? 'done'
			  : $answer =~ /^ROLLBACK$/m ? 'failed'
			  : $answer =~ /ERROR:  (?!08|57P)/ ? 'failed' : 'unknown';
		}
		print $out "$state $id $words\n";
		# who is known to be in may be taken out
		if ($kind eq 'set' && $state eq 'done')
		{
			my ($old, @new) = split / /, $words;
			push @members, @new;
		}
	}
	foreach my $line ($output =~ /((?:ERROR|FATAL|PANIC):  .*)/g, $hung ? 'no answer in 30 s' : ())
	{
		print $out "# $connection: $line\n";
	}
	return $output !~ /ERROR|FATAL|PANIC|could not|server closed/ && !$hung;
}

my $end = time + $seconds;
my $turn = $number;
while (time < $end)
{
	my @transactions = map { $kind eq 'bank' ? bank_transfer() : change_set() } 1 .. 1 + int(rand(8));
	my $good = run_session($connections[ $turn % @connections ], @transactions);
	$turn++ if !$good || rand() < 0.3;
	select(undef, undef, undef, 0.1) unless $good;
}
close $out or die "$journal: $!";
