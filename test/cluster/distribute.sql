--
-- test/cluster/distribute.sql: what the tables of schema.sql are in a cluster
--
SELECT vecdb.distribute_table('items');
SELECT vecdb.distribute_table('users');
SELECT vecdb.distribute_table('orders', 'user_id', colocate_with => 'users');
SELECT vecdb.distribute_table('notes');
SELECT vecdb.distribute_table('words');
SELECT vecdb.replicate_table('categories');
