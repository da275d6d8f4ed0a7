# Files of statements, run by psql, and their results compared.
#
# A file holds cases, with an empty line after each.  A case is one statement
# or several on one line that belong together; what it prints is its result:
# column names, rows, command tags, notices, and the message of an error.

package VecdbStatements;

use strict;
use warnings;

use Exporter 'import';
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(read_cases run_cases same_output);

# Cases of a file, in order: hashes of sql, line, ordered, and refused, the
# message that a cluster has for it.
sub read_cases
{
	my ($file) = @_;
	my @cases;
	my $line = 1;
	foreach my $part (split /(\n\s*\n)/, slurp_file($file))
	{
		my $sql = $part;
		my ($refused) = $sql =~ /^-- refused: (.*)$/m;
		$sql =~ s/^--.*\n?//mg;
		$sql =~ s/\s+$//;
		push @cases, { sql => $sql, line => $line, refused => $refused,
			ordered => is_ordered($sql) } if $sql =~ /\S/;
		$line += () = $part =~ /\n/g;
	}
	return @cases;
}

# Does the outermost level of a statement say ORDER BY?
sub is_ordered
{
	my ($sql) = @_;
	$sql =~ s/\$\$.*?\$\$//sg;
	$sql =~ s/'(?:[^']|'')*'//sg;
	1 while $sql =~ s/\([^()]*\)//sg;
	return $sql =~ /\bORDER\s+BY\b/i ? 1 : 0;
}

# Run cases in one session; returns the output of each.  Where the session ends
# before its time, the rest is run in another one.
sub run_cases
{
	my ($node, $preamble, @cases) = @_;
	my @outputs;
	while (@outputs < @cases)
	{
		my @rest = run_session($node, $preamble, @cases[ @outputs .. $#cases ]);
		push @outputs, @rest;
	}
	return @outputs;
}

# The outputs of the cases that one session gets to, at least one.
sub run_session
{
	my ($node, $preamble, @cases) = @_;
	my $script = join("\n", '\set VERBOSITY terse', '\set SHOW_CONTEXT never',
		'\pset null <null>', "SET statement_timeout = '120s';", $preamble, '');
	foreach my $case (@cases)
	{
		# one that is refused leaves nothing behind
		my $sql = $case->{refused} ? "BEGIN;\n$case->{sql}\nROLLBACK;" : $case->{sql};
		$script .= "\\echo >>>\n$sql\n";
	}
	$script .= "\\echo >>>\n";
	my $out = '';
	local $ENV{PGCLIENTENCODING} = 'UTF8';
	IPC::Run::run([ 'psql', '-X', '-A', '-d', $node->connstr('postgres') ],
		'<', \$script, '>&', \$out);
	my (undef, @outputs) = split /^>>>\n/m, $out, -1;
	if (@outputs > @cases)
	{
		pop @outputs;
	}
	else
	{
		push @outputs, '' if !@outputs;
		$outputs[-1] .= "(the session ended)\n";
		# the server may be starting again
		$node->poll_query_until('postgres', 'SELECT true');
	}
	return @outputs;
}

# Are two outputs of a case the same?  The order of lines counts only where
# the statement says so.
sub same_output
{
	my ($case, $one, $other) = @_;
	return 1 if $one eq $other;
	return 0 if $case->{ordered};
	return join("\n", sort split /\n/, $one) eq join("\n", sort split /\n/, $other);
}

1;
