# Is a change where vecdb.write_consistency says when COMMIT returns, is it
# refused where that cannot be, and is it said when it is not known?

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use VecdbCluster;
use VecdbGroups;

my $cluster = VecdbCluster->new('write', groups => 2, conf => "max_wal_senders = 10")->start;
my $one = $cluster->node(1);
my $two = $cluster->node(2);
my @standbys;
foreach my $name ('second', 'third')
{
	$two->backup($name);
	my $standby = PostgreSQL::Test::Cluster->new($name);
	$standby->init_from_backup($two, $name, has_streaming => 1);
	$standby->append_conf('postgresql.conf', "cluster_name = '$name'");
	$standby->start;
	$one->safe_psql('postgres', sprintf("SELECT vecdb.add_host(2, '%s', %d)", $standby->host, $standby->port));
	push @standbys, $standby;
}
$one->safe_psql('postgres', "CREATE TABLE items (id int PRIMARY KEY, v int); SELECT vecdb.distribute_table('items')");
my ($first_id, $second_id) = map { $one->safe_psql('postgres',
	"SELECT min(i) FROM generate_series(1, 1000) i WHERE vecdb.group_of('items', i) = $_") } 1, 2;
VecdbGroups::wait_for($_, q{SELECT standbys = 2 FROM vecdb.groups WHERE group_id = 2}, 'standbys are seen') foreach $one, $two;

# output, errors and seconds of a statement that writes to group 2, or to both
sub change
{
	my ($level, %options) = @_;
	my $set = "SET vecdb.write_consistency = '$level'; \\set VERBOSITY verbose\n" . ($options{set} // '') . "\n";
	my $id = ++$second_id;
	$id = ++$second_id until $one->safe_psql('postgres', "SELECT vecdb.group_of('items', $id)") == 2;
	$second_id = $id;
	my $first = ++$first_id;
	$first = ++$first_id until $one->safe_psql('postgres', "SELECT vecdb.group_of('items', $first)") == 1;
	$first_id = $first;
	my $rows = $options{both} ? "($id), ($first)" : "($id)";
	my $began = time;
	my ($rc, $out, $err) = ($options{node} // $one)->psql('postgres',
		"$set INSERT INTO items VALUES $rows RETURNING id;");
	return ($err, time - $began, $id, $first);
}

# without synchronous standbys
my ($err, $seconds, $id, $first) = change('server');
is($err, '', 'server: as the server is configured');
($err) = change('one');
is($err, '', 'one');
($err, undef, $id) = change('quorum');
like($err, qr/ERROR:  55000: cannot commit with vecdb.write_consistency = quorum.*synchronous_standby_names is empty/s, 'quorum: refused, there is none');
is($one->safe_psql('postgres', "SELECT count(*) FROM items WHERE id = $id"), '0', 'nothing is committed');
($err, undef, $id, $first) = change('quorum', both => 1);
like($err, qr/cannot commit with vecdb.write_consistency = quorum/, 'quorum: over two groups, too');
is($one->safe_psql('postgres', "SELECT count(*) FROM items WHERE id IN ($id, $first)"), '0', 'nothing is committed');
is($one->safe_psql('postgres', q{SET vecdb.write_consistency = quorum; SELECT count(*) > 0 FROM items}), 't', 'who only reads is not concerned');
like(($one->psql('postgres', q{SET vecdb.write_consistency = 'some'}))[2], qr/invalid value.*Available values: server, one, quorum, all/s, 'other values');

# all
foreach my $node ($one, $two)
{
	($err, $seconds, $id) = change('all', node => $node);
	is($err, '', 'all: no warning');
	cmp_ok($seconds, '<', 1, 'all: without waiting for the next turn of the prober');
}
($err) = change('all', both => 1);
is($err, '', 'all: over two groups');
$standbys[1]->stop;
VecdbGroups::wait_for($_, q{SELECT standbys = 1 FROM vecdb.groups WHERE group_id = 2}, 'one standby is down') foreach $one, $two;
($err, $seconds, $id) = change('all');
my $port = $standbys[1]->port;
like($err, qr/WARNING:  01VD1: the transaction is committed, and not known to be on all hosts of group 2.*Host "\S+:$port" /s, 'all: a warning says that one is missing');
cmp_ok($seconds, '<', 5, 'all: at once');
is($one->safe_psql('postgres', "SELECT count(*) FROM items WHERE id = $id"), '1', 'it is committed');
($err) = change('all', both => 1);
like($err, qr/WARNING:  01VD1.*group 2/s, 'all: in two phases, too');
unlike($err, qr/hosts of group 1/, 'all: the other group has it');

# synchronous standbys
$two->append_conf('postgresql.conf', "synchronous_standby_names = 'ANY 1 (second, third)'");
$two->reload;
VecdbGroups::wait_for($one, q{SELECT quorum = 'present' FROM vecdb.groups WHERE group_id = 2}, 'a quorum');
($err) = change('quorum', set => 'SET synchronous_commit = off;');
is($err, '', 'quorum: there is one');
$standbys[0]->stop;
my $short = q{SET lock_timeout = 0; SET statement_timeout = '1500ms';};
($err, $seconds) = change('one', set => $short);
is($err, '', 'one: no standby is waited for');
cmp_ok($seconds, '<', 1.5, 'one: nor for long');

# what waits for a standby says what it waits for, until there is one
my ($out, $errors) = ('', '');
$id = ++$second_id;
$id = ++$second_id until $one->safe_psql('postgres', "SELECT vecdb.group_of('items', $id)") == 2;
my $session = IPC::Run::start([ 'psql', '-XAtq', '-d', $one->connstr('postgres'), '-c', 'SET vecdb.write_consistency = quorum',
	'-c', 'SET synchronous_commit = off', '-c', "INSERT INTO items VALUES ($id)", '-c', q{SELECT 'done'} ], '>', \$out, '2>', \$errors);
VecdbGroups::wait_for($two, q{SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'SyncRep'}, 'quorum: a commit waits');
is($out, '', 'it has not returned');
$standbys[0]->start;
$session->finish;
is("$out$errors", "done\n", 'it returns when a standby is back');

is(scalar($cluster->crashes), 0, 'nothing crashed');
done_testing();
