# Do groups refuse each other when they run versions of vecdb that differ in
# more than the last number, and work together when it is the last one?
#
# Group 2 has a PostgreSQL of its own, into which the same library is put under
# other numbers.

use strict;
use warnings;

use lib 'test/perl';
use File::Basename;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VecdbCluster;

# PostgreSQL as PATH has it, which is where vecdb is installed
$ENV{PG_CONFIG} = 'pg_config';
my $copy = PostgreSQL::Test::Utils::tempdir_short();
my $output = `src/tools/private-pg.sh $copy`;
my ($config) = $output =~ m!(\S+/pg_config)$!m or die $output;
chomp(my $library = `$config --pkglibdir`);
$library .= '/vecdb.so';
my $code = slurp_file($library);

my $cluster = VecdbCluster->new('versions', groups => 2);
$cluster->add_server(1);
$cluster->add_server(2, install_path => dirname(dirname($config)));
$cluster->query(1, sprintf "SELECT vecdb.create_cluster('%s', %d)",
	$cluster->node(1)->host, $cluster->node(1)->port);
$cluster->join_server(2);
$cluster->query(1, q{
	CREATE TABLE items (id int PRIMARY KEY);
	SELECT vecdb.distribute_table('items');
	INSERT INTO items SELECT generate_series(1, 100);
});

my $version = $cluster->query(1, 'SHOW vecdb.library_version');
my ($first, $middle, $last) = $version =~ /^(\d+)\.(\d)\.(\d)$/
  or die "$version cannot be replaced in place";
my $newer = join '.', $first, ($middle + 1) % 10, $last;
my $next = join '.', $first, $middle, ($last + 1) % 10;

# have the servers of that installation run the library under another number
sub run_version
{
	my ($wanted, @groups) = @_;
	my $changed = $code;
	$changed =~ s/\Q$version\E\0/$wanted\0/g or die "$version is not in the library";
	$cluster->stop_node($_) foreach @groups;
	# at first it is a link to what is installed
	unlink $library;
	append_to_file($library, $changed);
	chmod 0755, $library;
	$cluster->start_node($_) foreach @groups;
	is($cluster->query($_, 'SHOW vecdb.library_version'), $wanted, "group $_ runs $wanted") foreach @groups;
	return;
}

run_version($next, 2);
is($cluster->query($_, 'SELECT count(*) FROM items'), 100, "group $_ sees all rows") foreach 1, 2;
$cluster->query(2, 'INSERT INTO items SELECT generate_series(101, 200)');

run_version($newer, 2);
my $refusal = qr/runs vecdb \Q$newer\E, which does not work together with \Q$version\E/;
$cluster->refused(1, 'SELECT count(*) FROM items', $refusal, 'reading is refused');
$cluster->refused(1, 'INSERT INTO items SELECT generate_series(201, 300)', $refusal, 'writing is refused');
$cluster->refused(2, 'SELECT count(*) FROM items',
	qr/runs vecdb \Q$version\E, which does not work together with \Q$newer\E/, '... and by the other one');

$cluster->add_server(3, install_path => dirname(dirname($config)));
$cluster->refused(1, sprintf("SELECT vecdb.add_group('%s', %d)", $cluster->node(3)->host, $cluster->node(3)->port),
	$refusal, 'such a server does not become a member');

run_version($version, 2, 3);
is($cluster->query(1, 'SELECT count(*) FROM items'), 200, 'with one version it goes on, and nothing was written');
$cluster->join_server(3);
is($cluster->query(1, 'SELECT count(*) FROM vecdb.nodes'), 3, 'the server becomes a member');

done_testing();
