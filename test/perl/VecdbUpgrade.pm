# What tests of pg_upgrade share.
#
#	my $new = upgrade_server($old, $dir, 'a line of configuration', ...);

package VecdbUpgrade;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(upgrade_server);

# Run pg_upgrade from a server, which is stopped, to a new one of the same
# release, the way of any other.  Returns the new one, started.  What pg_upgrade
# writes goes below directory "dir".
sub upgrade_server
{
	my ($old, $dir, @lines) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $new = PostgreSQL::Test::Cluster->new('new');
	$new->init;
	$new->append_conf('postgresql.conf',
		join("\n", 'fsync = off', 'jit = off', 'autovacuum = off', @lines));
	my $bin = $old->config_data('--bindir');
	chdir $dir or die "$dir: $!";
	command_ok(
		[ 'pg_upgrade', '--no-sync', '-d', $old->data_dir, '-D', $new->data_dir,
			'-b', $bin, '-B', $bin, '-s', $new->host,
			'-p', $old->port, '-P', $new->port ],
		'pg_upgrade');
	chdir $ENV{TESTDIR} or die "$ENV{TESTDIR}: $!";
	$new->start;
	return $new;
}

1;
