# Does each kind of SELECT give on every node of a cluster what it gives on a
# single server?
#
# The statements are at the end of this file, one a line; several in a line
# belong together.  They run in one session per node, so settings and prepared
# statements stay from line to line.

use strict;
use warnings;

use Test::More;

use VecdbCluster;
use VecdbStatements;

my $tables = <<'SQL';
CREATE TABLE items (id bigint PRIMARY KEY, tenant int, title text, tags text[], price numeric, score float8, created timestamptz, embedding vector(3));
CREATE TABLE orders (item_id bigint, n int, amount int, note text, PRIMARY KEY (item_id, n));
CREATE TABLE ref (code int PRIMARY KEY, name text);
CREATE TABLE docs (tenant text, id int, body text, PRIMARY KEY (tenant, id));
INSERT INTO ref SELECT i, 'code ' || i FROM generate_series(0, 6) i;
INSERT INTO items SELECT i, i % 7, 'title ' || i, ARRAY['a' || i % 3, 'b' || i % 5], i * 1.25, sqrt(i), '2024-01-01'::timestamptz + i * interval '1 hour', ARRAY[(i * 37 % 101)::float4, (i * 53 % 103)::float4, (i * 71 % 107)::float4]::real[]::vector(3) FROM generate_series(1, 1000) i;
INSERT INTO items SELECT i, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM generate_series(1001, 1010) i;
INSERT INTO orders SELECT i % 400 + 1, i / 400, i % 13, 'note ' || i FROM generate_series(0, 1999) i;
INSERT INTO docs SELECT 't' || i % 20, i, 'body ' || i FROM generate_series(1, 300) i;
CREATE INDEX ON items USING hnsw (embedding vector_l2_ops);
CREATE TABLE loc (id bigint PRIMARY KEY, v vector(3), k int);
INSERT INTO loc SELECT i, ARRAY[i * 10, i * 5, i * 3]::real[]::vector(3), i * 3 FROM generate_series(1, 8) i;
SQL

my $cluster = VecdbCluster->new('planner', groups => 3)->start;
$cluster->single->safe_psql('postgres', $tables);
$cluster->query(1, $tables);
$cluster->query(1, $_) foreach (
	"SELECT vecdb.distribute_table('items')",
	"SELECT vecdb.distribute_table('orders', 'item_id', colocate_with => 'items')",
	"SELECT vecdb.distribute_table('docs', 'tenant')",
	"SELECT vecdb.replicate_table('ref')");
# an ordinary table, which each node has for itself
my ($local) = $tables =~ /(CREATE TABLE loc .*)/s;
$cluster->query($_, $local) foreach 2, 3;
foreach my $node ($cluster->single, map { $cluster->node($_) } $cluster->groups)
{
	$node->safe_psql('postgres', 'ANALYZE');
}

my @statements = grep { /\S/ } <DATA>;
chomp @statements;

my @cases = map { { sql => "$_;" } } @statements;
my $always = 'SET hnsw.ef_search = 400;';
my @expected = run_cases($cluster->single, $always, @cases);
# the same mistake everywhere would show nothing
is(scalar(grep { $_ eq '' } @expected), 0, 'each statement is answered');
is(join("\n", map { $statements[$_] } grep { $expected[$_] =~ /^ERROR: /m } 0 .. $#cases),
	"execute a(4, '[10,20,30]', 9223372036854775807, 3)", 'one fails, as it should');
foreach my $group ($cluster->groups)
{
	my @found = run_cases($cluster->node($group), $always, @cases);
	is($found[$_], $expected[$_], "group $group: $statements[$_]")
	  foreach 0 .. $#statements;
}

is_deeply([ $cluster->crashes ], [], 'no process has crashed');

done_testing();

__DATA__
select count(*) from items
select count(*), count(title), sum(tenant), min(price), max(created), avg(price), avg(tenant), bool_and(tenant > 0), bool_or(tenant = 3), every(tenant is not null) from items
select tenant, count(*), sum(price), avg(price), min(title), max(title) from items group by tenant order by tenant
select tenant, count(*) from items where price > 100 group by 1 having count(*) > 100 order by 2, 1
select count(distinct tenant) from items
select round(avg(score)::numeric, 6) from items
select sum(id), sum(id::int), sum(price), round(sum(score)::numeric, 3) from items
select tenant, array_agg(id order by id) from items where id < 50 group by tenant order by tenant
select string_agg(title, ',' order by id desc) from items where id < 20
select id from items order by id limit 5
select id from items order by id desc nulls last limit 5 offset 7
select id, title from items where tenant = 3 order by price desc, id limit 7
select id, round((embedding <-> '[1,2,3]')::numeric, 4) from items where embedding is not null order by embedding <-> '[1,2,3]', id limit 10
select id from items order by embedding <-> '[50,50,50]' limit 10
select id, embedding from items order by embedding <-> '[50,50,50]' limit 3
select round((1 - (embedding <=> '[3,2,1]'))::numeric, 5) from items order by embedding <=> '[3,2,1]' limit 4
select * from items where id = 5
select * from items where id in (5, 6, 7) order by id
select title from items where id = 5 and tenant = 5
select count(*) from items where id = 5000
select * from items where id is null
select count(*) from items where tags @> '{a1}'
select count(*) from items where tags && array['b1','a2']
select id, tags from items where id < 6 order by id
select i.id, r.name from items i join ref r on r.code = i.tenant where i.id < 20 order by i.id
select r.name, count(*) from items i join ref r on r.code = i.tenant group by r.name order by 1
select r.code, count(i.id) from ref r left join items i on i.tenant = r.code and i.id < 30 group by r.code order by 1
select i.id, count(o.n) from items i left join orders o on o.item_id = i.id where i.id < 420 and i.id > 380 group by i.id order by i.id
select i.id, o.n, o.amount from items i join orders o on o.item_id = i.id where i.tenant = 2 order by o.amount desc, i.id, o.n limit 11
select count(*) from items i join orders o on o.item_id = i.id where o.amount = 5 and i.tenant = 1
select count(*) from items i left join orders o on o.item_id = i.id and o.amount = 5 where i.tenant = 1
select count(*) from items i right join orders o on o.item_id = i.id and i.tenant = 1
select count(*), count(i.id), count(o.item_id) from items i full join orders o on o.item_id = i.id and i.tenant = 1
select count(*) from items i where exists (select 1 from orders o where o.item_id = i.id and o.amount > 10)
select count(*) from items i where not exists (select 1 from orders o where o.item_id = i.id)
select count(*) from items where id in (select item_id from orders where amount = 3)
select count(*) from items where id not in (select item_id from orders)
select count(*) from items where tenant in (select code from ref where name like '%3')
select id, (select count(*) from orders o where o.item_id = i.id) from items i where id between 395 and 405 order by id
select id, (select max(amount) from orders o where o.note > i.title) from items i where id between 1 and 3 order by id
select l.id, s.id, round(s.d::numeric, 4) from loc l, lateral (select i.id, i.embedding <-> l.v as d from items i order by i.embedding <-> l.v limit 3) s order by l.id, s.d, s.id
select l.id, s.id from loc l left join lateral (select i.id from items i where i.tenant = l.id % 7 order by i.price desc limit 2) s on true order by l.id, s.id
select l.id, i.title from loc l join items i on i.id = l.k order by 1
select l.id, i.title from loc l left join items i on i.id = l.k * 100 order by 1
select a.id, b.id from items a join items b on b.tenant = a.tenant and b.id = a.id + 7 where a.id < 5 order by 1
select a.id, b.id from items a join items b on a.id = b.id where a.tenant = 1 and b.price < 50 order by 1
with x as (select id, tenant from items where tenant = 4 order by id limit 10) select x.tenant, count(*), min(x.id) from x group by 1
with x as materialized (select * from items where id < 100) select count(*), sum(price) from x where tenant = 2
with v as (select id, row_number() over (order by embedding <-> '[9,9,9]') as r from items where embedding is not null order by embedding <-> '[9,9,9]' limit 20), k as (select id, row_number() over (order by title desc) as r from items where title is not null order by title desc limit 20) select coalesce(v.id, k.id), round(coalesce(1.0/(60+v.r),0) + coalesce(1.0/(60+k.r),0), 6) as s from v full join k using (id) order by s desc, 1 limit 10
select distinct tenant from items order by tenant
select distinct on (tenant) tenant, id from items order by tenant, id desc
select distinct tenant, tenant % 2 from items order by 1 limit 3
select id, rank() over (partition by tenant order by price desc) from items where id < 40 order by id
select tenant, sum(price) over (order by id rows between 2 preceding and current row) from items where id < 15 order by id
select id from items where id < 4 union all select code from ref where code < 3 order by 1
select tenant from items union select code from ref order by 1
select id from items where id < 10 except select item_id from orders where amount > 3 order by 1
select id from items where id < 10 intersect select item_id from orders order by 1
select * from (select id, title from items union all select item_id, note from orders) u where u.id = 7 order by 1, 2
select * from (select id, tenant from items where id < 20 order by id limit 5) s where tenant > 2 order by 1
select count(*) from (select id from items limit 17) s
select count(*) from (select id from items offset 100) s
select count(*) from (select id from items where tenant = 1 limit 5 offset 3) s
select id from items order by id limit null offset 1005
select id from items order by id limit all offset 1007
select id from items order by id fetch first 3 rows with ties
select tenant from items where tenant is not null order by tenant fetch first 3 rows with ties
select generate_series(1, 2), id from items where id < 4 order by id, 1 limit 3
select unnest(tags), id from items where id < 4 order by 2, 1
select count(*) from items where created < now()
select count(*) from items where created < current_date and title <> current_user
select id, to_char(created, 'YYYY-MM-DD HH24') from items where to_char(created, 'HH24') = '05' order by id limit 3
select max(id) filter (where tenant = 2), count(*) filter (where tenant > 3) from items
select min(id), max(id) from items
select tenant, min(id) from items group by tenant order by min(id) desc limit 3
select id, count(*) from items group by id order by count(*) desc, id limit 3
select i.id, i.title, count(*) from items i group by i.id order by i.id limit 3
select tenant, id % 2, count(*) from items group by tenant, id % 2 order by 1, 2
select tenant, count(*) from items group by rollup (tenant) order by 1, 2
select tenant, count(*) + 1, sum(price) / count(*) from items group by tenant order by tenant
select case when tenant > 3 then 'big' else 'small' end as b, count(*) from items group by 1 order by 1
select count(*) from items group by tenant order by 1
select tenant from items group by tenant order by tenant
select sum(embedding) from items
select round((avg(embedding) <-> '[0,0,0]')::numeric, 4) from items
select tableoid::regclass, id from items where id < 3 order by id
select tableoid::regclass, count(*) from items group by 1
select count(*) from items where tableoid = 'items'::regclass
select i from items i where id = 7
select i from items i where tenant = 7 % 8 - 7 and id < 30 order by id
select count(*) from items where (id, tenant) = (7, 0)
select row(id, title) from items where id in (1, 2) order by id
select id from items where title = any(array['title 3', 'title 900']) order by id
select id from items where title ilike '%99%' order by id limit 4
select id from items where title collate "C" > 'title 99' order by title collate "C" desc limit 4
select lower(title), length(title) from items where id < 4 order by 1
select * from docs where tenant = 't3' order by id limit 3
select tenant, count(*) from docs group by tenant order by tenant limit 3
select d.tenant, count(*) from docs d join docs e on d.tenant = e.tenant and d.id < e.id group by d.tenant order by 1 limit 4
select count(*) from docs d join items i on i.id = d.id where d.tenant in ('t1', 't2')
select (select count(*) from items) + (select count(*) from orders)
select id from items where price = (select max(price) from items)
select id from items where price > all (select price from items where id < 990 and price is not null) order by id
select array(select id from items where id < 5 order by id)
select exists (select 1 from items where tenant = 6), exists (select 1 from items where tenant = 60)
select coalesce((select title from items where id = 3), 'none'), coalesce((select title from items where id = 1005), 'none')
select i.id from items i where i.price > (select avg(j.price) from items j where j.tenant = i.tenant) and i.id > 990 order by 1
select x.id, y.n from (select id from items where tenant = 2 order by id limit 3) x join (select item_id, max(n) n from orders group by item_id) y on y.item_id = x.id order by 1
select o.item_id, r.name, i.title from orders o join items i on i.id = o.item_id join ref r on r.code = i.tenant where o.amount = 12 and o.n = 2 order by 1
select r.name, sum(o.amount) from orders o join items i on i.id = o.item_id left join ref r on r.code = i.tenant and r.code > 2 group by r.name order by 1
select * from ref order by code
select count(*) from ref a, ref b
select count(*) from items, ref
select count(*) from items where random() < 2
select count(*) from items tablesample bernoulli (100)
values (1), (2)
select 1 from items where id = 3 and 1 = 0
select id from items where id = 5 or id = 8 order by id
select id from items where id between 5 and 8 order by id
select pg_typeof(sum(tenant)), pg_typeof(avg(tenant)), pg_typeof(count(*)), pg_typeof(sum(id)) from items
select count(*), count(*) + 5 from items where id < 0
select sum(tenant), avg(price), max(id) from items where id < 0
select tenant, count(*) from items where id < 0 group by tenant
select percentile_cont(0.5) within group (order by price) from items
select stddev(tenant)::numeric(10,6), var_pop(tenant)::numeric(10,6) from items
select json_agg(t) from (select id, title from items where id < 3 order by id) t
select count(*) from items i, orders o where i.id = o.item_id and i.id = 17
select count(*) from items i join orders o on i.id = o.item_id where i.id in (17, 18)
select * from (select id, title from items) s where id = 9
select * from (select id, tenant, count(*) over () from items) s where id = 9
select * from generate_series(1, 3) g join items i on i.id = g order by g
select id from items where id = any('{1,2,3}'::int[]) order by id
select id from items where id = 5::numeric
select id from items where id = 5::smallint
select count(*) from items having count(*) > 5
select tenant, grouping(tenant), count(*) from items group by grouping sets ((tenant), ()) order by 1, 2
select i.id, o.n, r.name from items i left join orders o on o.item_id = i.id and o.amount > 8 left join ref r on r.code = o.amount where i.id between 390 and 404 order by 1, 2
select i.id, o.n, p.n from items i join orders o on o.item_id = i.id left join orders p on p.item_id = o.item_id and p.n = o.n + 1 where i.id in (3, 4) order by 1, 2, 3
select i.id, s.n from items i left join (select o.item_id, o.n, 1 as one from orders o join ref r on r.code = o.amount) s on s.item_id = i.id and s.one = 1 where i.id < 5 order by 1, 2
select i.id, s.one from items i left join (select item_id, 1 as one from orders where amount = 3) s on s.item_id = i.id where i.id < 30 order by 1, 2
select i.id, o.note from items i join orders o on o.item_id = i.id order by i.embedding <-> '[5,5,5]', o.n limit 4
select i.tenant, sum(o.amount), avg(o.amount), count(distinct o.n) from items i join orders o on o.item_id = i.id group by i.tenant order by 1
select i.tenant, sum(o.amount), avg(o.amount) from items i join orders o on o.item_id = i.id group by i.tenant order by 1
select i.id, sum(o.amount) from items i left join orders o on o.item_id = i.id group by i.id order by sum(o.amount) desc nulls last, i.id limit 4
select i.id, r.name from ref r left join items i on i.tenant = r.code and i.id < 10 order by r.code, i.id
select a.code, b.name from ref a join ref b on a.code = b.code order by 1
select i.id from items i full join orders o on i.id = o.item_id and i.tenant = 3 where i.id is null or o.item_id is null order by 1 limit 5
select count(*) from items i full join orders o on i.id = o.item_id
select count(*), count(i.id), count(o.item_id) from (select * from items where tenant = 1) i full join (select * from orders where n > 2) o on i.id = o.item_id
select i.id, o.n from items i, orders o where i.id = o.item_id and o.n > i.tenant and i.id < 30 order by 1, 2
select i.title from items i join loc l on l.k = i.id join orders o on o.item_id = i.id where o.n = 1 order by 1
select (i).title, (o).n from items i join orders o on i.id = o.item_id where i.id = 8 and o.n < 2 order by 2
select i, o from items i join orders o on i.id = o.item_id where i.tenant = 3 and o.amount = 12 order by i.id, o.n limit 3
select coalesce(o.note, 'nothing'), i.id from items i left join orders o on o.item_id = i.id and o.n = 4 where i.id between 398 and 403 order by i.id
select distinct id, tenant from items order by id limit 4
select distinct title from items where id < 30 order by title desc limit 5
select distinct tenant from items where id < 50 order by 1
select distinct lower(title), tenant % 3 from items where id < 30 order by 1, 2
select count(*) from (select distinct tenant, price > 500 from items) s
select distinct i.tenant, o.amount from items i join orders o on o.item_id = i.id where o.amount < 3 order by 1, 2
select distinct tenant, random() < 2 from items order by 1
select distinct tenant, count(*) from items group by tenant order by 1
select distinct count(*) from items group by tenant order by 1
select distinct tenant, (select count(*) from ref where code < tenant) from items order by 1
select distinct 1 from items
select distinct item_id from orders where amount = 7 order by item_id limit 3
select distinct tenant, rank() over (order by tenant) from items order by 1, 2
select i.id from items i where exists (select 1 from orders o where o.item_id = i.id and o.amount > i.tenant + 5) order by i.embedding <-> '[5,6,7]' limit 4
select i.id from items i where not exists (select 1 from orders o join ref r on r.code = o.amount where o.item_id = i.id) and i.id < 420 order by i.id limit 5
select i.tenant, count(*) from items i where i.id in (select item_id from orders where amount = 4 and note > 'note 1') group by 1 order by 1
select i.id from items i join orders o on o.item_id = i.id where exists (select 1 from orders p where p.item_id = i.id and p.n > o.n) and i.id < 9 order by 1
select i.id from items i left join orders o on o.item_id = i.id where o.item_id is null order by i.id limit 6
select i.id from items i where tenant in (select code from ref where name > 'code 3') order by id limit 5
select r.code from ref r where exists (select 1 from items i where i.tenant = r.code and i.id > 995) order by 1
select r.code from ref r where not exists (select 1 from items i where i.tenant = r.code and i.id > 995) order by 1
select i.id, c.n from items i join orders c on c.item_id = i.id where i.id in (select item_id from orders where amount = 2) and c.n < 2 order by 1, 2 limit 9
select i.id from items i where i.id in (select item_id from orders where amount = 2) and i.id in (select item_id from orders where amount = 4) order by 1
select i.id from items i where exists (select 1 from orders o where o.item_id = i.id and exists (select 1 from orders p where p.item_id = o.item_id and p.n = o.n + 1)) order by 1 limit 3
select i.id from items i where exists (select 1 from docs d where d.id = i.id and d.tenant = 't3') order by 1 limit 4
select i.id from items i where i.tenant = 3 and i.id not in (select o.item_id from orders o where o.amount = 3) order by 1 limit 4
select l.id from loc l where exists (select 1 from items i where i.id = l.k and exists (select 1 from orders o where o.item_id = i.id)) order by 1
set plan_cache_mode = force_generic_plan
prepare a(int, vector, int, int) as select id from items where tenant = $1 order by embedding <-> $2 limit $3 offset $4
execute a(3, '[1,2,3]', 5, 0); execute a(4, '[10,20,30]', 3, 2); execute a(4, '[10,20,30]', null, 138); execute a(4, '[10,20,30]', 3, null)
execute a(4, '[10,20,30]', 9223372036854775807, 3)
prepare b(bigint) as select title from items where id = $1
execute b(5); execute b(6); execute b(7); execute b(null); execute b(5000); execute b(8); execute b(9)
prepare c(bigint, bigint) as select i.id, o.n from items i join orders o on o.item_id = i.id where i.id = $1 and o.n < $2 order by 2
execute c(5, 3); execute c(6, 2); execute c(7, 4)
prepare d(bigint[]) as select id from items where id = any($1) order by id
execute d('{1,2,3}'); execute d('{}'); execute d(null)
prepare e(int) as select count(*), sum(price) from items where tenant = $1
execute e(1); execute e(2); execute e(null)
prepare f(text, int) as select id from docs where tenant = $1 and id > $2 order by id limit 3
execute f('t3', 5); execute f('t4', 100)
set plan_cache_mode = force_custom_plan
execute a(3, '[1,2,3]', 5, 0); execute a(4, '[10,20,30]', 3, 2); execute b(5); execute b(6); execute b(null); execute c(5, 3); execute c(6, 2); execute d('{1,2,3}'); execute d('{4,4}'); execute e(1); execute e(null); execute f('t3', 5)
set plan_cache_mode = auto
execute a(3, '[1,2,3]', 5, 0); execute a(3, '[1,2,3]', 5, 0); execute a(3, '[1,2,3]', 5, 0); execute a(3, '[1,2,3]', 5, 0); execute a(3, '[1,2,3]', 5, 0); execute a(3, '[1,2,3]', 5, 0); execute a(4, '[1,2,4]', 2, 0)
begin; declare c scroll cursor for select id from items where id < 20 order by id; fetch 3 from c; fetch backward 2 from c; fetch last from c; fetch first from c; move 4 in c; fetch 2 from c; close c; commit
begin; declare c cursor for select id from items order by embedding <-> '[4,4,4]', id limit 7; fetch 3 from c; select count(*) from items; fetch all from c; commit
begin; declare c cursor with hold for select id from items where id < 10 order by id; commit; fetch 4 from c; fetch all from c; close c
begin; declare c no scroll cursor for select id, (select count(*) from orders o where o.item_id = i.id) from items i where id < 10 order by id; fetch 4 from c; fetch all from c; commit
begin; declare s scroll cursor for select * from items where id = 5; fetch all from s; fetch backward 1 from s; commit
begin; select id from items where id = 5 for update; select id from items where id = 6 for share; select id from items where tenant = 3 and id < 30 order by id for update; select id from items where tenant = 3 order by id limit 2 for update skip locked; commit
begin isolation level repeatable read; select count(*) from items; select id from items order by id limit 2; commit
do $$ declare r record; n int := 0; begin for r in select id from items where tenant = 2 order by id limit 5 loop n := n + r.id; end loop; raise notice '%', n; perform 1 from items where id = n; select count(*) into n from items i join orders o on o.item_id = i.id where i.tenant = 1; raise notice '%', n; end $$
create or replace function count_of(t int) returns bigint language sql stable as 'select count(*) from items where tenant = $1'
select count_of(3), count_of(4)
select code, count_of(code) from ref order by 1
select id, count_of(tenant) from items where id < 4 order by id
select count(*) from items where count_of(tenant) = 143 and id < 20
select count_of(tenant), count(*) from items where id = 5 group by 1
create or replace function title_of(i bigint) returns text language plpgsql stable as 'begin return (select title from items where id = i); end'
select code, title_of(code + 1) from ref order by 1
select id, title_of(id + 1) from items where id = 7
select id, title_of(id + 1) from items where id = 8
select id, title_of(id + 1) from items where id = 9
create or replace view v as select id, tenant, title from items where tenant > 2
select * from v where id = 10
select * from v where id = 11
select count(*) from v
select * from v order by id limit 3
create or replace view w as select tenant, count(*) as n from items group by tenant
select * from w where tenant = 4
create temp table t as select id, title from items where tenant = 1
select count(*) from t
select count(*) from t join items using (id)
update t set title = i.title || '!' from items i where i.id = t.id and i.id < 60
select * from t where id < 60 order by id
delete from t using items i where i.id = t.id and i.price < 500
select count(*) from t
select t.id from t, items i where i.id = t.id and i.id < 450 order by t.id for update of t
insert into t select id, title from items where id in (3, 4)
select * from t where id in (3, 4) order by id
create table copied as select * from items where tenant = 5
select count(*) from copied
drop table copied
select id from items where id in (select id from items where tenant = 1 order by price desc limit 3) order by id
select array_agg(x order by x) from (select unnest(tags) x from items where id < 4) s
set enable_nestloop = off
select l.id, i.title from loc l join items i on i.id = l.k order by 1
select l.id, s.id from loc l left join lateral (select i.id from items i where i.tenant = l.id % 7 order by i.price desc limit 2) s on true order by l.id, s.id
reset enable_nestloop
set enable_hashjoin = off; set enable_mergejoin = off
select l.id, i.title from loc l join items i on i.id = l.k order by 1
select a.id, b.id from items a join items b on b.tenant = a.tenant and b.id = a.id + 7 where a.id < 5 order by 1
select count(*) from items i, docs d where i.id = d.id
select count(*) from items i, docs d where i.title = d.body or i.id = d.id
reset all
set timezone = 'Asia/Tokyo'; select id, created from items where created > '2024-01-01 12:00' order by id limit 2; reset timezone
set datestyle = 'SQL, DMY'; select id, created from items where created > '05/01/2024' order by id limit 2; reset datestyle
select 'a' || title || E'\n''q' from items where title = 'title 3' or title = E'x''y\\'
create temp table u as select id, title from items where tenant = 1
delete from u where id in (select id from items where price < 300)
select count(*) from u
delete from u where exists (select 1 from orders o where o.item_id = u.id and o.amount = 5)
select count(*) from u
update u set title = 'z' where id in (select item_id from orders group by item_id having count(*) > 4)
update u set title = (select i.title || '?' from items i where i.id = u.id + 1) where id > 900
with x as (select id from items where tenant = 1 and id > 800) update u set title = title || 'x' from x where x.id = u.id
with x as (select id from items where tenant = 1 and id > 900 union all select item_id from orders where amount = 3) delete from u using x where x.id = u.id
select * from u order by id
select id from u where id in (select id from items where id < 400) order by id for update
merge into u using (select id, title from items where tenant = 2 and id < 100) s on s.id = u.id + 1 when matched then update set title = s.title when not matched then insert values (s.id, s.title)
select * from u order by id
select pg_advisory_lock(id) is null, id from items where id = 5
select pg_advisory_unlock(5)
select random() < 2, id from items where id = 6
