# Does any input crash the server, escape as an internal error, or come back
# changed?
#
# Usage: fuzz_types.pl CORPUS_DIRECTORY, with psql in PATH, the server in
# PGHOST and PGPORT, and a directory that the server can read in FUZZ_DIR.
# Each file of the corpus is named after a type and holds a literal per line.
# They are damaged at random and read by the type: as text, and as the binary
# message that the type's send function made of them.  What is accepted must
# be written and read again without a change, and must be fit for the
# functions of the type.  Every error must have one of the SQLSTATEs below.

use strict;
use warnings FATAL => 'all';

my %allowed = (
	'22P02' => 'malformed literal',
	'22P03' => 'malformed binary message',
	'22P04' => 'malformed COPY data',
	'08P01' => 'binary message too short',
	'22000' => 'wrong dimensions, NaN and infinity',
	'22003' => 'out of range',
	'22021' => 'not UTF-8',
	'54000' => 'too many dimensions or elements');

my $corpus_dir = shift or die "usage: fuzz_types.pl CORPUS_DIRECTORY\n";
my $input_dir = $ENV{FUZZ_DIR} or die "FUZZ_DIR is not set\n";
my $duration = $ENV{DURATION} || 60;
my $seed = $ENV{SEED} || (time ^ $$);
my $batch_size = 500;

my %functions = (
	vector => [
		'$1 <-> $1', '$1 <#> $1', '$1 <=> $1', '$1 <+> $1', '$1 + $1', '$1 * $1',
		'l2_normalize($1)', 'subvector($1, 1, 2)', 'binary_quantize($1)',
		'$1::halfvec', '$1::sparsevec', '$1::real[]', '$1 < $1', '$1 || $1' ],
	halfvec => [
		'$1 <-> $1', '$1 <#> $1', '$1 <=> $1', '$1 <+> $1', '$1 + $1', '$1 * $1',
		'l2_normalize($1)', 'subvector($1, 1, 2)', 'binary_quantize($1)',
		'$1::vector', '$1::sparsevec', '$1 < $1', '$1 || $1' ],
	sparsevec => [
		'$1 <-> $1', '$1 <#> $1', '$1 <=> $1', '$1 <+> $1', 'l2_normalize($1)',
		'$1::vector', '$1::halfvec', '$1 < $1' ]);

my @words = (
	'[', ']', '{', '}', ',', ':', '/', ' ', "\t", "\n", '-', '+', '.', 'e', 'E',
	'nan', 'NaN', 'inf', '-Infinity', '0', '1', '-0', '1e38', '3.5e38', '65504',
	'65520', '1e-45', '1e-46', '1e400', '16000', '16001', '1000000000',
	'1000000001', '2147483647', '2147483648', '-2147483649',
	'99999999999999999999', '0x1p3', "\x{e4}", "\x{2460}", ',,', '[]', '{}/1');
my @numbers = (0, 1, 2, 3, -1, 127, 128, 255, 256, 15999, 16000, 16001, 32767,
	32768, 65535, 1000000000, 1000000001, 0x7f800000, 0x7fc00000, 0xff800000,
	0x7fffffff, 0x80000000, 0xffffffff, 0x7c00, 0x7e00, 0xfc00);

sub pick { return $_[ int rand @_ ] }

sub read_corpus
{
	my %corpus;
	foreach my $file (glob "'$corpus_dir'/*.txt")
	{
		my ($type) = $file =~ m!(\w+)\.txt$!;
		open my $in, '<:encoding(UTF-8)', $file or die "$file: $!";
		chomp(my @lines = <$in>);
		$corpus{$type} = \@lines;
	}
	die "no corpus in $corpus_dir\n" unless %corpus;
	return %corpus;
}

sub damage_text
{
	my ($text, $other) = @_;
	for (1 .. 1 + int rand 4)
	{
		my $at = int rand(1 + length $text);
		my $how = int rand 7;
		if ($how == 0) { substr($text, $at, int rand 4) = '' }
		elsif ($how == 1) { substr($text, $at, 0) = pick(@words) }
		elsif ($how == 2) { substr($text, $at, 1) = pick(@words) if $at < length $text }
		elsif ($how == 3) { $text = substr($text, 0, $at) . substr($other, int rand(1 + length $other)) }
		elsif ($how == 4) { substr($text, $at, 0) = chr(1 + int rand 126) }
		elsif ($how == 5) { $text =~ s/\d+/pick(@words)/e }
		elsif (rand() < 0.05)
		{
			# long ones
			my $piece = substr($text, $at, 1 + int rand 8);
			substr($text, $at, 0) = $piece x (2**int rand 14);
		}
	}
	$text =~ tr/\0//d;
	return $text;
}

sub damage_binary
{
	my ($bytes) = @_;
	for (1 .. 1 + int rand 3)
	{
		my $at = int rand(1 + length $bytes);
		my $how = int rand 6;
		if ($how == 0) { substr($bytes, $at) = '' }
		elsif ($how == 1) { $bytes .= pack('C*', map { int rand 256 } 1 .. 1 + int rand 9) }
		elsif ($how == 2 && $at < length $bytes) { substr($bytes, $at, 1) ^= chr(1 << int rand 8) }
		elsif ($how == 3 && length $bytes >= 4)
		{
			substr($bytes, 4 * int rand(int(length($bytes) / 4)), 4) = pack('N', pick(@numbers) & 0xffffffff);
		}
		elsif ($how == 4 && length $bytes >= 2)
		{
			substr($bytes, 2 * int rand(int(length($bytes) / 2)), 2) = pack('n', pick(@numbers) & 0xffff);
		}
		elsif ($how == 5) { substr($bytes, $at, 0) = substr($bytes, 0, int rand 12) }
	}
	return $bytes;
}

sub quote
{
	my ($text) = @_;
	$text =~ s/'/''/g;
	return "'$text'";
}

# What an accepted value must stand.  A failed promise is a division by zero,
# which is not among the SQLSTATEs allowed.
sub checks_on
{
	my ($type, $value) = @_;
	my $function = pick(@{ $functions{$type} });
	$function =~ s/\$1/v/g;
	my $typsend = "${type}_send";
	return (
		"SELECT 1 / (v::text::${type}::text = v::text)::int FROM $value;",
		"SELECT 1 / ($typsend(v::text::$type) = $typsend(v))::int FROM $value;",
		"SELECT length(($function)::text) FROM $value;");
}

# psql's answer to a script: errors in the order of statements, which are
# announced by \warn
sub run_script
{
	my ($script) = @_;
	my $file = "$input_dir/script.sql";
	open my $out, '>:encoding(UTF-8)', $file or die "$file: $!";
	print $out $script;
	close $out or die "$file: $!";
	my @lines = `psql -X -q -v VERBOSITY=verbose -f '$file' 2>&1 >'$input_dir/out'`;
	return ($? >> 8, @lines);
}

sub ask
{
	my ($sql) = @_;
	my $answer = `psql -X -q -A -t -v ON_ERROR_STOP=1 -c "$sql"`;
	die "psql failed: $sql\n" if $?;
	chomp $answer;
	return $answer;
}

srand $seed;
print "seed $seed, $duration s; to repeat: make fuzz SEED=$seed\n";

my %corpus = read_corpus();
my %binary;
foreach my $type (sort keys %corpus)
{
	die "the type $type does not exist\n"
	  unless ask("SELECT to_regtype('$type') IS NOT NULL") eq 't';
	foreach my $literal (@{ $corpus{$type} })
	{
		my $quoted = quote($literal);
		push @{ $binary{$type} },
		  pack('H*', ask("SELECT encode(${type}_send($quoted\::$type), 'hex')"));
	}
	ask("CREATE TABLE fuzz_$type (v $type)");
}

my ($tried, %seen) = (0);
my $end = time + $duration;
while (time < $end)
{
	my (@statements, $script);
	for my $i (0 .. $batch_size - 1)
	{
		my $type = pick(sort keys %corpus);
		my $value;
		if (rand() < 0.5)
		{
			my $text = damage_text(pick(@{ $corpus{$type} }), pick(@{ $corpus{$type} }));
			my $typmod = rand() < 0.2 ? '(' . pick(0, 1, 3, 16000, 16001, -1) . ')' : '';
			$typmod = '' if $typmod =~ /\((0|-1|16001)\)/;
			$value = '(SELECT ' . quote($text) . "::$type$typmod AS v) t";
		}
		else
		{
			my $file = "$input_dir/$i.bin";
			my $bytes = damage_binary(pick(@{ $binary{$type} }));
			open my $out, '>:raw', $file or die "$file: $!";
			print $out "PGCOPY\n\xff\r\n\0", pack('NNnN', 0, 0, 1, length $bytes),
			  $bytes, pack('n', 0xffff);
			close $out or die "$file: $!";
			push @statements, "TRUNCATE fuzz_$type;",
			  "COPY fuzz_$type FROM '$file' (FORMAT binary);",
			  # nothing but what was sent is stored
			  "SELECT 1 / (encode(${type}_send(v), 'hex') = '"
			  . unpack('H*', $bytes) . "')::int FROM fuzz_$type;";
			$value = "fuzz_$type";
		}
		push @statements, checks_on($type, $value);
		$tried++;
	}
	$script = join '', map { "\\warn #$_\n$statements[$_]\n" } 0 .. $#statements;

	my ($rc, @lines) = run_script($script);
	my $current = 0;
	my @faults;
	foreach (@lines)
	{
		if (/^#(\d+)$/) { $current = $1 }
		elsif (/(ERROR|FATAL|PANIC|WARNING):  (\w{5}):/)
		{
			$seen{$2}++;
			push @faults, [ $current, $_ ] unless $1 eq 'ERROR' && $allowed{$2};
		}
		elsif (/server closed|connection to server|terminat/)
		{
			push @faults, [ $current, $_ ];
		}
	}
	push @faults, [ $current, "psql ended with $rc\n" ] if $rc && !@faults;
	if (@faults)
	{
		foreach my $fault (@faults[ 0 .. ($#faults < 9 ? $#faults : 9) ])
		{
			binmode STDOUT, ':encoding(UTF-8)';
			print "--- $statements[$fault->[0]]\n    $fault->[1]";
		}
		print scalar(@faults), " faults; to repeat: make fuzz SEED=$seed\n";
		exit 1;
	}
}

die "nothing was refused: the damage does no harm\n" unless %seen;
print "$tried inputs; errors: ",
  join(', ', map { "$seen{$_} x $_ ($allowed{$_})" } sort keys %seen), "\n";
