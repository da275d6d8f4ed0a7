# Do the tools of src/tools find what they are there to find?

use strict;
use warnings;

use Cwd;
use File::Path qw(make_path);
use PostgreSQL::Test::Utils;
use Test::More;

my $top = getcwd();

# a source tree of its own, with our tools and the given files
sub new_tree
{
	my (%files) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir();
	make_path("$dir/src", "$dir/include/vecdb");
	symlink "$top/src/tools", "$dir/src/tools" or die $!;
	foreach my $name (keys %files)
	{
		my ($folder) = $name =~ m!(.*)/!;
		make_path("$dir/$folder");
		PostgreSQL::Test::Utils::append_to_file("$dir/$name", $files{$name});
	}
	return $dir;
}

# exit code and output of a tool in a tree
sub run_tool
{
	my ($dir, $command) = @_;
	local $ENV{ROOMS} = 'lib distance types hnsw';
	my $out = `cd '$dir' && $command 2>&1`;
	return ($? >> 8, $out);
}

# check-layers
sub layers
{
	my ($name, $text) = @_;
	return run_tool(
		new_tree(
			'src/hnsw/hnsw_private.h' => "\n",
			'include/vecdb/types.h' => "\n",
			$name => $text),
		'src/tools/check-layers.sh');
}
my @cases = (
	[ 'src/hnsw/hnsw_a.c', qq{#include "vecdb/types.h"\n#include "hnsw_private.h"\n}, undef ],
	[ 'src/types/types_a.c', qq{#include "vecdb/hnsw.h"\n}, qr/types_a\.c:1: room types must not see vecdb\/hnsw\.h/ ],
	[ 'include/vecdb/lib_heap.h', qq{\n#include "vecdb/types.h"\n}, qr/lib_heap\.h:2: room lib must not see/ ],
	[ 'src/types/types_a.c', qq{#include "hnsw_private.h"\n}, qr/private to room hnsw/ ],
	[ 'src/types/types_a.c', qq{#include "../hnsw/hnsw_private.h"\n}, qr/relative path/ ],
	[ 'src/types/other.c', "\n", qr/does not begin with its room/ ],
	[ 'src/misc/misc_a.c', "\n", qr/no room is called "misc"/ ],
	[ 'src/types/types_a.c', "#if PG_VERSION_NUM >= 170000\n#endif\n", qr/belongs into lib_compat\.h/ ],
	[ 'include/vecdb/lib_compat.h', "#if PG_VERSION_NUM >= 170000\n#endif\n", undef ],
	[ 'src/vecdb.c', qq{#include "vecdb/hnsw.h"\n}, undef ]);
foreach my $case (@cases)
{
	my ($name, $text, $complaint) = @$case;
	my ($rc, $out) = layers($name, $text);
	if (defined $complaint)
	{
		isnt($rc, 0, "check-layers refuses $name");
		like($out, $complaint, 'and says why');
	}
	else
	{
		is($rc, 0, "check-layers accepts $name") or diag($out);
	}
}

# check-headers
sub headers
{
	my ($text) = @_;
	return run_tool(new_tree('include/vecdb/types.h' => $text),
		'src/tools/check-headers.sh');
}
my ($rc, $out) =
  headers(qq{#ifndef T_H\n#define T_H\n#include "postgres.h"\nextern Datum f(void);\n#endif\n});
is($rc, 0, 'check-headers accepts a header that compiles alone') or diag($out);
($rc, $out) = headers("extern DENSE_TYPE f(void);\n");
is($rc, 0, 'check-headers leaves out templates');
($rc, $out) = headers("#ifndef T_H\n#define T_H\nextern Datum f(void);\n#endif\n");
isnt($rc, 0, 'check-headers refuses one that does not');
like($out, qr/types\.h does not compile alone/, 'and names it');

# check-exports
sub exports
{
	my ($code) = @_;
	my $dir = new_tree('src/a.c' => $code);
	my ($rc, $out) = run_tool($dir, 'gcc -shared -fPIC -o a.so src/a.c');
	die $out if $rc;
	return run_tool($dir, 'src/tools/check-exports.sh a.so');
}
my $magic = 'void Pg_magic_func(void) {} ';
($rc, $out) = exports("$magic void vecdb_f(void) {} void pg_finfo_vecdb_f(void) {}");
is($rc, 0, 'check-exports accepts SQL functions') or diag($out);
($rc, $out) = exports("$magic void hnswinsert(void) {}");
isnt($rc, 0, 'check-exports refuses other functions');
like($out, qr/hnswinsert/, 'and names them');
($rc, $out) = exports("$magic void vecdb_f_worker(void) {}");
is($rc, 0, 'check-exports accepts the start of a worker') or diag($out);
($rc, $out) = exports("$magic void vecdb_f(void) {}");
like($out, qr/vecdb_f is exported, but not by VDB_FUNCTION/,
	'check-exports misses the function info');

# The alias must not overwrite pgvector unasked.
my $pgvector = "comment = 'vector data type'\nmodule_pathname = '\$libdir/vector'\n";
my $ours = "requires = 'vecdb'\n";
foreach my $case (
	[ undef, '', 0 ], [ $ours, '', 0 ], [ $pgvector, '', 1 ],
	[ $pgvector, 'yes', 0 ], [ $pgvector, 'no', 0 ], [ undef, 'maybe', 1 ])
{
	my ($control, $choice, $refused) = @$case;
	my $dir = new_tree(defined $control ? ('ext/vector.control' => $control) : ());
	($rc, $out) = run_tool($dir, "src/tools/check-vector-alias.sh ext '$choice'");
	is($rc, $refused,
		"install with VECTOR_ALIAS=$choice and "
		  . (!defined $control ? 'nothing' : $control eq $ours ? 'our alias' : 'pgvector')
		  . ' there: ' . ($refused ? 'refused' : 'done'));
	like($out, qr/VECTOR_ALIAS/, 'says what to choose') if $refused;
}

# Where all is installed nothing is done, and nothing said.
($rc, $out) = run_tool($top, 'src/tools/install-deps.sh build test');
is($rc, 0, 'install-deps is content');
is($out, '', 'and quiet');

done_testing();
