# Is a group that is restored to a lower timeline than was seen taken for
# outdated until all servers of the cluster were restarted?

use strict;
use warnings;

use lib 'test/perl';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VecdbCluster;

my $cluster = VecdbCluster->new('restored', groups => 2,
	conf => "vecdb.failover_timeout = '1s'")->start;
$cluster->query(1, q{
	CREATE TABLE items (id int PRIMARY KEY);
	SELECT vecdb.distribute_table('items');
	INSERT INTO items SELECT generate_series(1, 100);
});
my $node = $cluster->node(2);
my $count = 'SELECT count(*) FROM items';
$node->backup('before');

# the server gets a further timeline, which the other one sees
$cluster->stop_node(2);
$node->set_standby_mode;
$cluster->start_node(2);
$cluster->query(2, 'SELECT pg_promote()');
ok($node->poll_query_until('postgres', q{SELECT NOT pg_is_in_recovery()}), 'group 2 is promoted');
ok($cluster->node(1)->poll_query_until('postgres', q{SELECT count(*) = 1 FROM vecdb.hosts WHERE group_id = 2 AND timeline = 2}),
	'... which group 1 sees');
is($cluster->query(1, $count), 100, 'and it goes on');

$cluster->stop_node(2);
my $data = $node->data_dir;
rename $data, "$data.later" or die "$data: $!";
PostgreSQL::Test::RecursiveCopy::copypath($node->backup_dir . '/before', $data);
chmod 0700, $data;
$cluster->start_node(2);
is($cluster->query_own(2, 'SELECT timeline_id FROM pg_control_checkpoint()'), 1, 'a backup has the former timeline');

my $outdated = qr/is an outdated primary, on timeline 1 when the group is on 2/;
$cluster->refused(1, $count, $outdated, 'it is taken for an outdated primary');
$cluster->stop_node(2);
$cluster->start_node(2);
$cluster->refused(1, $count, $outdated, '... restarted alone, too');

$cluster->stop_node($_) foreach 1, 2;
$cluster->start_node($_) foreach 1, 2;
ok($cluster->node(1)->poll_query_until('postgres', $count, 100), 'when all servers were restarted it is not');
is($cluster->query(2, $count), 100, '... nor by itself');

done_testing();
