# Is vecdb.verify_index() silent about indexes of every kind that were built,
# filled, emptied and vacuumed, and does it see damage of every kind?  And
# does a damaged index lead to errors only, never to a crash or a hang?

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
# the header of a damaged page is right, and its own checksum is under test
$node->init;
$node->append_conf('postgresql.conf', q{
autovacuum = off
fsync = off
max_parallel_maintenance_workers = 2
min_parallel_table_scan_size = 0
maintenance_work_mem = 64MB
enable_seqscan = off
statement_timeout = 30s
});
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION vecdb;
	-- numbers that look random and are the same each time
	CREATE FUNCTION numbers(seed int, count int) RETURNS real[] AS $$
		SELECT array_agg(hashint4(seed * 5000 + i)::real / 2147483648)
		FROM generate_series(1, count) i
	$$ LANGUAGE sql IMMUTABLE;
	CREATE FUNCTION bits(seed int, count int) RETURNS bit varying AS $$
		SELECT string_agg((hashint4(seed * 5000 + i) & 1)::text, '')::bit varying
		FROM generate_series(1, count) i
	$$ LANGUAGE sql IMMUTABLE;
});

# how to make value number g, rows to begin with
my %kinds = (
	plain => { type => 'vector(3)', ops => 'vector_l2_ops', rows => 3000,
		value => 'numbers(g, 3)::vector' },
	cosine => { type => 'vector(3)', ops => 'vector_cosine_ops', rows => 1000,
		value => 'numbers(g, 3)::vector' },
	coded => { type => 'vector(128)', ops => 'vector_cosine_ops', rows => 1500,
		value => 'numbers(g, 128)::vector' },
	float16 => { type => 'vector(128)', ops => 'vector_cosine_ops', rows => 1000,
		with => 'storage = float16', value => 'numbers(g, 128)::vector' },
	float32 => { type => 'vector(128)', ops => 'vector_cosine_ops', rows => 1000,
		with => 'storage = float32', value => 'numbers(g, 128)::vector' },
	float32body => { type => 'halfvec(2000)', ops => 'halfvec_l2_ops', rows => 150,
		m => 16, with => 'storage = float32', value => 'numbers(g, 2000)::halfvec' },
	short => { type => 'vector(3)', ops => 'vector_l2_ops', rows => 1000,
		with => 'codes = rabitq', value => 'numbers(g, 3)::vector' },
	uncoded => { type => 'halfvec(100)', ops => 'halfvec_ip_ops', rows => 1000,
		with => 'codes = none', value => 'numbers(g, 100)::halfvec' },
	inner => { type => 'vector(100)', ops => 'vector_ip_ops', rows => 1000,
		value => 'numbers(g, 100)::vector' },
	body => { type => 'vector(3072)', m => 16, ops => 'vector_l2_ops', rows => 150,
		with => 'storage = float32',
		value => 'numbers(g, 3072)::vector' },
	half => { type => 'halfvec(200)', ops => 'halfvec_l2_ops', rows => 1000,
		value => 'numbers(g, 200)::halfvec' },
	sparse => { type => 'sparsevec(40)', ops => 'sparsevec_l2_ops', rows => 1000,
		value => 'numbers(g, 40)::vector::sparsevec' },
	bits => { type => 'bit(64)', ops => 'bit_hamming_ops', rows => 1000,
		value => 'bits(g, 64)::bit(64)' },
	duplicates => { type => 'vector(3)', ops => 'vector_l2_ops', rows => 6000,
		value => 'ARRAY[g % 3, 0, 1]::vector' });

sub problems
{
	my ($index, $where) = @_;
	$where //= 'true';
	return $node->safe_psql('postgres', qq{
		SELECT * FROM vecdb.verify_index('$index', true, true) WHERE $where});
}

foreach my $name (sort keys %kinds)
{
	my $kind = $kinds{$name};

	foreach my $workers (0, 2)
	{
		my $table = "${name}_$workers";
		my $rows = $kind->{rows};
		my $m = $kind->{m} // 6;
		my $more = $rows + int($rows / 3);
		my $with = join(', ', "m = $m, ef_construction = 32", $kind->{with} // ());

		$node->safe_psql('postgres', qq{
			CREATE TABLE $table (g int, v $kind->{type});
			ALTER TABLE $table SET (parallel_workers = $workers);
			INSERT INTO $table SELECT g, $kind->{value}
				FROM generate_series(1, $rows) g;
			CREATE INDEX ${table}_v ON $table USING hnsw (v $kind->{ops})
				WITH ($with);});
		# not every vertex of random values is reachable, see the README
		is(problems("${table}_v", "severity = 'error'"), '', "$table: clean after the build");
		next if $workers > 0;

		$node->safe_psql('postgres', qq{
			INSERT INTO $table SELECT g, $kind->{value}
				FROM generate_series($rows + 1, $more) g;
			INSERT INTO $table VALUES (0, NULL);});
		is(problems("${table}_v", "severity = 'error'"), '', "$table: clean after insertions");

		$node->safe_psql('postgres', qq{DELETE FROM $table WHERE g % 3 <> 1});
		is(problems("${table}_v", "severity = 'error'"), '', "$table: clean after deletions");
		$node->safe_psql('postgres', "VACUUM $table");
		is(problems("${table}_v", "severity = 'error'"), '',
			"$table: clean after VACUUM");

		$node->safe_psql('postgres', qq{
			INSERT INTO $table SELECT g, $kind->{value}
				FROM generate_series($more + 1, $more + 200) g;
			UPDATE $table SET g = g + 1 WHERE g % 2 = 0;});
		is(problems("${table}_v", "severity = 'error'"), '',
			"$table: clean when space was used again");

		$node->safe_psql('postgres', qq{DELETE FROM $table; VACUUM $table});
		is(problems("${table}_v", "severity = 'error'"), '', "$table: clean when empty");
		$node->safe_psql('postgres', qq{
			INSERT INTO $table SELECT g, $kind->{value}
				FROM generate_series(1, 100) g;});
		is(problems("${table}_v", "severity = 'error'"), '', "$table: clean when filled again");
	}
}

# Other options and states
$node->safe_psql('postgres', q{
	CREATE TABLE other (g int, v vector(3));
	CREATE INDEX other_v ON other USING hnsw ((subvector(v, 1, 2)::vector(2)) vector_l2_ops)
		WHERE g % 2 = 0;
	INSERT INTO other SELECT g, numbers(g, 3)::vector FROM generate_series(1, 500) g;
	CREATE UNLOGGED TABLE unlogged AS SELECT * FROM other;
	CREATE INDEX unlogged_v ON unlogged USING hnsw (v vector_l2_ops);
	ALTER INDEX unlogged_v SET (m = 8);
});
is(problems('other_v'), '', 'clean: a partial index on an expression');
like(problems('unlogged_v'), qr/^2\|warning\|0\|\|The index was built with m = 16/,
	'says that options were changed');

# A chain of containers longer than what a narrow beam has room for
is($node->safe_psql('postgres', q{
		SET hnsw.ef_search = 1;
		SELECT count(*) FROM (SELECT * FROM duplicates_2 ORDER BY v <-> '[1,0,1]' LIMIT 100000) d}),
	6000, 'all rows of a value with many are returned');

# While others insert, delete and vacuum, nothing is reported that is not so
$node->safe_psql('postgres', q{
	CREATE TABLE busy (g int, v vector(64));
	INSERT INTO busy SELECT g, numbers(g, 64)::vector FROM generate_series(1, 1000) g;
	CREATE INDEX busy_v ON busy USING hnsw (v vector_l2_ops) WITH (m = 4, ef_construction = 16);
});
my $script = PostgreSQL::Test::Utils::tempdir() . '/busy.sql';
append_to_file($script, q{
\set g random(1, 2000)
DELETE FROM busy WHERE g = :g;
INSERT INTO busy VALUES (:g, numbers(:g, 64)::vector);
});
my ($bench_out, $bench_err) = ('', '');
my $bench = IPC::Run::start(
	[ 'pgbench', '-n', '-c', '2', '-T', '12', '-f', $script, '-h', $node->host,
		'-p', $node->port, 'postgres' ], '>', \$bench_out, '2>', \$bench_err);
my $false_alarms = '';
my $rounds = 0;
my $until = time + 11;
while (time < $until)
{
	$node->safe_psql('postgres', 'VACUUM busy') if $rounds % 2 == 0;
	$false_alarms .= problems('busy_v', "severity = 'error'");
	$rounds++;
}
$bench->finish;
like($bench_out, qr/number of failed transactions: 0|number of transactions actually processed/,
	'insertions and deletions went on');
cmp_ok($rounds, '>', 3, 'several verifications beside them');
is($false_alarms, '', 'and no false alarm');
is(problems('busy_v', "severity = 'error'"), '', 'clean in the end');

# Insertions while VACUUM has marked all that there was as deleted, and was
# cancelled; when that happens is tried out
$node->safe_psql('postgres', q{
	CREATE TABLE queue (g int, v vector(3));
	CREATE INDEX queue_v ON queue USING hnsw (v vector_l2_ops);
});
my $cancelled = 0;
foreach my $delay (0.1, 0.2, 0.25, 0.3, 0.4, 0.6)
{
	$node->safe_psql('postgres', q{
		DELETE FROM queue;
		VACUUM queue;
		INSERT INTO queue SELECT g, numbers(g, 3)::vector FROM generate_series(1, 10) g;
		DELETE FROM queue;});
	my ($vacuum_out, $vacuum_err) = ('', '');
	my $vacuum = IPC::Run::start(
		[ 'psql', '-X', '-h', $node->host, '-p', $node->port,
			'-c', 'SET vacuum_cost_delay = 100', '-c', 'SET vacuum_cost_limit = 1',
			'-c', 'SET vacuum_cost_page_dirty = 10000', '-c', 'VACUUM queue',
			'postgres' ], '>', \$vacuum_out, '2>', \$vacuum_err);
	$node->poll_query_until('postgres', q{
		SELECT count(*) = 1 FROM pg_stat_progress_vacuum
		WHERE relid = 'queue'::regclass AND phase = 'vacuuming indexes'});
	$node->safe_psql('postgres', qq{
		SELECT pg_sleep($delay);
		SELECT pg_cancel_backend(pid) FROM pg_stat_progress_vacuum;});
	$vacuum->finish;
	$cancelled++ if $vacuum_err =~ /canceling statement/;

	foreach my $g (100 .. 109)
	{
		$node->safe_psql('postgres',
			"INSERT INTO queue VALUES ($g, numbers($g, 3)::vector)");
	}
	# a vertex may have become higher than the entry point, which is a warning
	is(problems('queue_v', q{severity = 'error'}),
		'', "queue, after $delay s: clean");
	$node->safe_psql('postgres', 'VACUUM queue');
	is(problems('queue_v', q{severity = 'error'}),
		'', "queue, after $delay s: clean after VACUUM");
	is($node->safe_psql('postgres', q{
			SET hnsw.iterative_scan = off;
			SELECT count(*) FROM (SELECT * FROM queue ORDER BY v <-> '[0,0,0]' LIMIT 100) q}),
		10, "queue, after $delay s: every row is found");
}
cmp_ok($cancelled, '>', 1, 'VACUUM was cancelled within the index');

# ---------------------------------------------------------------------------
# Damage.  A case is a name, the kind of index, the invariant that does not
# hold any more, and what does it, with the file's contents in $_[0].

sub page_at { return $_[0] * 8192 }

# records of a file: [offset in the file, block, item, layer]
sub records
{
	my ($file, $kind, $wanted) = @_;
	my @found;

	for (my $blkno = 1; $blkno < length($file) / 8192; $blkno++)
	{
		my $page = substr($file, page_at($blkno), 8192);
		my ($lower) = unpack('x12 S', $page);
		next if unpack('x8184 S', $page) != $kind;
		for (my $item = 1; $item <= ($lower - 24) / 4; $item++)
		{
			my $pointer = unpack('L', substr($page, 20 + 4 * $item, 4));
			my $offset = $pointer & 0x7fff;
			my ($record_kind, $layer, $flags) = unpack('C3', substr($page, $offset, 3));
			next if $record_kind == 0 || $flags != 0;
			my $at = page_at($blkno) + $offset;
			push @found, { at => $at, blkno => $blkno, item => $item, layer => $layer }
				if !defined $wanted || $wanted->($layer, substr($file, $at, 48));
		}
	}
	return @found;
}
my $bottom = sub { $_[0] == 0 };
my $upper = sub { $_[0] > 0 };
my $chained = sub { $_[0] == 0 && unpack('x22 S', $_[1]) != 0 };

# where the parts of a record begin, within the file
sub parts
{
	my ($file, $record, $coded) = @_;
	my ($capacity, $count, $bodies) = unpack('x6 S3', substr($file, $record->{at}, 12));
	my $refs = $record->{at} + 48 + int(($bodies * 4 + 7) / 8) * 8;
	my $value = $refs + $capacity * 8;
	my $factors = $value;
	$value += int(($capacity * 4 + int(($capacity + 7) / 8) + 7) / 8) * 8 if $coded;
	return { refs => $refs, count => $count, factors => $factors, value => $value };
}

sub put
{
	my ($file, $at, $template, @values) = @_;
	my $bytes = pack($template, @values);
	substr($$file, $at, length($bytes)) = $bytes;
}

my @cases = (
	[ 'checksum', 'plain', 1, sub { put($_[0], page_at(2) + 8176, 'Q', 1) } ],
	[ 'pageid', 'plain', 1, sub { put($_[0], page_at(2) + 8190, 'S', 0) } ],
	[ 'pagekind', 'plain', 1, sub { put($_[0], page_at(2) + 8184, 'S', 77) } ],
	[ 'zeropage', 'plain', 4, sub { put($_[0], page_at(3), 'x8192') } ],
	[ 'zeropage1', 'plain', 1, sub { put($_[0], page_at(3), 'x8192') } ],
	[ 'truncated', 'plain', 4, sub { substr(${ $_[0] }, page_at(4)) = '' } ],
	[ 'empty', 'plain', 2, sub { ${ $_[0] } = '' } ],
	[ 'foreign', 'plain', 2, sub { ${ $_[0] } = $_[1] } ],
	[ 'foreignpage', 'plain', 1,
		sub { substr(${ $_[0] }, page_at(2), 8192) = substr($_[1], page_at(1), 8192) } ],
	[ 'magic', 'plain', 2, sub { put($_[0], 24, 'L', 1) } ],
	[ 'version', 'plain', 2, sub { put($_[0], 28, 'L', 99) } ],
	[ 'dimensions', 'plain', 2, sub { put($_[0], 32, 'l', 4) } ],
	[ 'm', 'plain', 2, sub { put($_[0], 40, 'S', 0) } ],
	[ 'capacity', 'coded', 2, sub { put($_[0], 44, 'S', 0) } ],
	[ 'padded', 'coded', 2, sub { put($_[0], 36, 'l', 65536) } ],
	[ 'storage', 'coded', 2, sub { put($_[0], 50, 'C', 9) } ],
	[ 'otherstorage', 'coded', 3, sub { put($_[0], 50, 'C', 3) } ],
	[ 'plainstorage', 'float16', 2, sub { put($_[0], 50, 'C', 0) } ],
	[ 'codes', 'float32', 2, sub { put($_[0], 51, 'C', 0) } ],
	[ 'metric', 'plain', 2, sub { put($_[0], 49, 'C', 4) } ],
	[ 'element', 'plain', 2, sub { put($_[0], 48, 'C', 3) } ],
	[ 'entry', 'plain', 2, sub { put($_[0], 64, 'LSS', 1, 999, 1) } ],
	[ 'entryblock', 'plain', 2, sub { put($_[0], 64, 'LSS', 4000, 1, 1) } ],
	[ 'noentry', 'plain', 2, sub { put($_[0], 64, 'LSS', 0, 0, 0) }, 'warning' ],
	[ 'pointer', 'plain', 3, sub { put($_[0], page_at(3) + 24, 'L', 32760 | 1 << 15 | 9000 << 17) } ],
	[ 'count', 'plain', 3, sub { put($_[0], (records(${ $_[0] }, 2, $bottom))[5]{at} + 8, 'S', 60000) } ],
	[ 'recordcapacity', 'coded', 3, sub { put($_[0], (records(${ $_[0] }, 2, $bottom))[5]{at} + 6, 'S', 60000) } ],
	[ 'tidcount', 'plain', 3, sub { put($_[0], (records(${ $_[0] }, 2, $bottom))[5]{at} + 3, 'C', 200) } ],
	[ 'layer', 'plain', 3, sub { put($_[0], (records(${ $_[0] }, 2, $bottom))[5]{at} + 1, 'C', 200) } ],
	[ 'valuesize', 'plain', 3, sub { put($_[0], (records(${ $_[0] }, 2, $bottom))[5]{at} + 12, 'L', 24) } ],
	[ 'valuedims', 'plain', 3, sub {
		my $record = (records(${ $_[0] }, 2, $bottom))[5];
		put($_[0], parts(${ $_[0] }, $record, 0)->{value} + 4, 's', 16000) } ],
	[ 'sparse', 'sparse', 3, sub {
		my $record = (records(${ $_[0] }, 2, $bottom))[5];
		put($_[0], parts(${ $_[0] }, $record, 0)->{value} + 8, 'l', -5) } ],
	[ 'scale', 'coded', 3, sub {
		my $record = (records(${ $_[0] }, 2, $bottom))[5];
		put($_[0], parts(${ $_[0] }, $record, 1)->{value}, 'f', -9**9**9) } ],
	[ 'norm', 'coded', 3, sub {
		my $record = (records(${ $_[0] }, 2, $bottom))[5];
		put($_[0], parts(${ $_[0] }, $record, 1)->{value} + 8, 'f', 17) } ],
	[ 'halfscale', 'float16', 3, sub {
		my $record = (records(${ $_[0] }, 2, $bottom))[5];
		put($_[0], parts(${ $_[0] }, $record, 1)->{value}, 'f', 3) } ],
	[ 'halfinfinity', 'float16', 3, sub {
		my $record = (records(${ $_[0] }, 2, $bottom))[5];
		put($_[0], parts(${ $_[0] }, $record, 1)->{value} + 12 + 10, 'S', 0x7c00) } ],
	[ 'halfelement', 'float16', 3, sub {
		my $record = (records(${ $_[0] }, 2, $bottom))[5];
		put($_[0], parts(${ $_[0] }, $record, 1)->{value} + 12 + 10, 'S', 0x7bff) } ],
	[ 'floatscale', 'float32', 3, sub {
		my $record = (records(${ $_[0] }, 2, $bottom))[5];
		put($_[0], parts(${ $_[0] }, $record, 1)->{value}, 'f', 2) } ],
	[ 'floaterror', 'float32', 3, sub {
		my $record = (records(${ $_[0] }, 2, $bottom))[5];
		put($_[0], parts(${ $_[0] }, $record, 1)->{value} + 4, 'f', 1) } ],
	[ 'floatnan', 'float32', 3, sub {
		my $record = (records(${ $_[0] }, 2, $bottom))[5];
		put($_[0], parts(${ $_[0] }, $record, 1)->{value} + 12 + 20, 'L', 0x7fc00000) } ],
	[ 'bodyvalue', 'body', 3, sub {
		my ($record) = records(${ $_[0] }, 2, $bottom);
		my $page = unpack('L', substr(${ $_[0] }, $record->{at} + 48, 4));
		put($_[0], page_at($page) + 24 + 8, 'f', 1e9) } ],
	[ 'reference', 'plain', 4, sub {
		my $record = (records(${ $_[0] }, 2, $bottom))[5];
		put($_[0], parts(${ $_[0] }, $record, 0)->{refs} + 6, 'S', 7) } ],
	[ 'referenceblock', 'coded', 4, sub {
		my $record = (records(${ $_[0] }, 2, $bottom))[5];
		put($_[0], parts(${ $_[0] }, $record, 1)->{refs}, 'L', 4000) } ],
	[ 'self', 'plain', 4, sub {
		my $record = (records(${ $_[0] }, 2, $bottom))[5];
		put($_[0], parts(${ $_[0] }, $record, 0)->{refs}, 'LSS', $record->{blkno}, $record->{item}, 1) } ],
	[ 'twice', 'plain', 4, sub {
		my $refs = parts(${ $_[0] }, (records(${ $_[0] }, 2, $bottom))[5], 0)->{refs};
		substr(${ $_[0] }, $refs, 8) = substr(${ $_[0] }, $refs + 8, 8) } ],
	[ 'link', 'plain', 5, sub { put($_[0], (records(${ $_[0] }, 2, $upper))[5]{at} + 22, 'S', 9) } ],
	[ 'bottom', 'plain', 5, sub { put($_[0], (records(${ $_[0] }, 2, $upper))[5]{at} + 28, 'S', 9) } ],
	[ 'uppervalue', 'plain', 5, sub {
		my $record = (records(${ $_[0] }, 2, $upper))[5];
		put($_[0], parts(${ $_[0] }, $record, 0)->{value} + 8, 'f', 17) } ],
	[ 'norows', 'plain', 6, sub { put($_[0], (records(${ $_[0] }, 2, $bottom))[5]{at} + 3, 'C', 0) } ],
	[ 'sametid', 'plain', 6, sub {
		my @records = records(${ $_[0] }, 2, $bottom);
		substr(${ $_[0] }, $records[5]{at} + 24, 6) = substr(${ $_[0] }, $records[6]{at} + 24, 6) } ],
	[ 'nulltid', 'plain', 6, sub { put($_[0], (records(${ $_[0] }, 2, $bottom))[5]{at} + 24, 'x6') } ],
	[ 'ring', 'duplicates', 6, sub {
		my ($container) = records(${ $_[0] }, 4);
		put($_[0], $container->{at} + 16, 'LSS', $container->{blkno}, $container->{item}, 1) } ],
	[ 'container', 'duplicates', 6, sub { put($_[0], (records(${ $_[0] }, 4))[3]{at} + 4, 'S', 9) } ],
	[ 'containercount', 'duplicates', 6, sub { put($_[0], (records(${ $_[0] }, 4))[3]{at} + 8, 'S', 9999) } ],
	[ 'chain', 'duplicates', 6, sub { put($_[0], (records(${ $_[0] }, 2, $chained))[0]{at} + 16, 'LSS', 4000, 1, 1) } ],
	[ 'lostchain', 'duplicates', 6, sub { put($_[0], (records(${ $_[0] }, 2, $chained))[0]{at} + 16, 'x8') } ],
	[ 'code', 'coded', 7, sub {
		my $record = (records(${ $_[0] }, 2, $bottom))[5];
		my $at = parts(${ $_[0] }, $record, 1)->{value} + 144;
		substr(${ $_[0] }, $at, 16) = ~substr(${ $_[0] }, $at, 16) } ],
	[ 'halfcode', 'float16', 7, sub {
		my $record = (records(${ $_[0] }, 2, $bottom))[5];
		my $at = parts(${ $_[0] }, $record, 1)->{value} + 272;
		substr(${ $_[0] }, $at, 16) = ~substr(${ $_[0] }, $at, 16) } ],
	[ 'floatcode', 'float32', 7, sub {
		my $record = (records(${ $_[0] }, 2, $bottom))[5];
		my $at = parts(${ $_[0] }, $record, 1)->{value} + 528;
		substr(${ $_[0] }, $at, 16) = ~substr(${ $_[0] }, $at, 16) } ],
	[ 'floatfactor', 'float32', 7, sub {
		my $record = (records(${ $_[0] }, 2, $bottom))[5];
		put($_[0], parts(${ $_[0] }, $record, 1)->{factors}, 'S', 0x42C6) } ],
	[ 'floatrow', 'float32', 10, sub {
		my @records = records(${ $_[0] }, 2, $bottom);
		my ($a, $b) = ($records[5]{at} + 24, $records[6]{at} + 24);
		my $tid = substr(${ $_[0] }, $a, 6);
		substr(${ $_[0] }, $a, 6) = substr(${ $_[0] }, $b, 6);
		substr(${ $_[0] }, $b, 6) = $tid } ],
	[ 'factor', 'coded', 7, sub {
		my $record = (records(${ $_[0] }, 2, $bottom))[5];
		put($_[0], parts(${ $_[0] }, $record, 1)->{factors}, 'S', 0x42C6) } ],
	[ 'rescale', 'coded', 7, sub {
		my $record = (records(${ $_[0] }, 2, $bottom))[5];
		put($_[0], parts(${ $_[0] }, $record, 1)->{factors} + 2, 'S', 0x7F80) } ],
	[ 'isolated', 'plain', 8, sub {
		put($_[0], $_->{at} + 8, 'S', 0) foreach records(${ $_[0] }, 2) }, 'warning' ],
	[ 'bodytwice', 'body', 9, sub {
		my @records = records(${ $_[0] }, 2, $bottom);
		substr(${ $_[0] }, $records[5]{at} + 48, 4) = substr(${ $_[0] }, $records[6]{at} + 48, 4) } ],
	[ 'nobody', 'body', 9, sub {
		put($_[0], (records(${ $_[0] }, 2, $bottom))[5]{at} + 48, 'L', 1) } ],
	[ 'bodyaway', 'body', 9, sub {
		put($_[0], (records(${ $_[0] }, 2, $bottom))[5]{at} + 48, 'L', 1000000) } ],
	[ 'leak', 'body', 9, sub { ${ $_[0] } .= substr(${ $_[0] }, -8192) }, 'warning' ],
	[ 'beyond', 'plain', 10, sub { put($_[0], (records(${ $_[0] }, 2, $bottom))[5]{at} + 24, 'SSS', 0, 4000, 1) } ],
	[ 'otherrow', 'coded', 10, sub {
		my @records = records(${ $_[0] }, 2, $bottom);
		my ($a, $b) = ($records[5]{at} + 24, $records[6]{at} + 24);
		my $tid = substr(${ $_[0] }, $a, 6);
		substr(${ $_[0] }, $a, 6) = substr(${ $_[0] }, $b, 6);
		substr(${ $_[0] }, $b, 6) = $tid } ],
);

my %paths;
$node->safe_psql('postgres', 'CREATE TABLE btree (i int); CREATE INDEX btree_i ON btree (i);
	INSERT INTO btree SELECT generate_series(1, 2000)');
foreach my $case (@cases)
{
	my ($name, $kind) = @$case;
	my $m = $kinds{$kind}{m} // 6;
	my $with = join(', ', "m = $m, ef_construction = 32", $kinds{$kind}{with} // ());
	my $rows = { plain => 600, duplicates => 800, body => 40 }->{$kind} // 200;
	$node->safe_psql('postgres', qq{
		CREATE TABLE bad_$name (g int, v $kinds{$kind}{type});
		INSERT INTO bad_$name SELECT g, $kinds{$kind}{value}
			FROM generate_series(1, $rows) g;
		CREATE INDEX bad_${name}_v ON bad_$name USING hnsw (v $kinds{$kind}{ops})
			WITH ($with);
		DELETE FROM bad_$name WHERE g = 1;});
	$paths{$name} = $node->data_dir . '/'
		. $node->safe_psql('postgres', "SELECT pg_relation_filepath('bad_${name}_v')");
}
my $btree_path = $node->data_dir . '/'
	. $node->safe_psql('postgres', "SELECT pg_relation_filepath('btree_i')");
$node->stop;
my $btree = slurp_file($btree_path);
foreach my $case (@cases)
{
	my ($name, $kind, $invariant, $damage) = @$case;
	my $file = slurp_file($paths{$name});

	$damage->(\$file, $btree);
	open my $handle, '>:raw', $paths{$name} or die;
	print $handle $file;
	close $handle;
}
$node->start;

foreach my $case (@cases)
{
	my ($name, $kind, $invariant, $damage, $severity) = @$case;
	my $value = $kinds{$kind}{value} =~ s/\bg\b/17/gr;
	my $operator = $kinds{$kind}{ops} =~ /cosine/ ? '<=>' : '<->';
	my %times;

	$severity //= 'error';
	$severity = 'warning' if $name eq 'zeropage1';
	my ($rc, $out, $err) = $node->psql('postgres', qq{
		SELECT invariant || ' ' || severity || ' ' || problem
		FROM vecdb.verify_index('bad_${name}_v', true, true)});
	is($rc, 0, "$name: verify_index() returns") or diag($err);
	like($out, qr/^$invariant $severity /m, "$name: invariant $invariant is reported");

	# Searches, insertions and VACUUM work, or fail with an error
	foreach my $query (
		"SELECT v FROM bad_$name ORDER BY v $operator $value LIMIT 5",
		"SELECT v FROM bad_$name ORDER BY v $operator $value LIMIT 100000",
		"INSERT INTO bad_$name SELECT g, $kinds{$kind}{value} FROM generate_series(5000, 5020) g",
		"VACUUM bad_$name")
	{
		($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$query",
			on_error_stop => 1);
		ok( $rc == 0 || ($rc == 3 && $err =~ /ERROR:  (XX001|XX002|0A000|58P01|22000|XX000: could not open file|XX000: index returned tuples in wrong order)/),
			"$name: no crash, no hang: " . substr($query, 0, 6)) or diag("$rc $err");
	}
}

# Only what can be verified, by who may
my ($rc, $out, $err) = $node->psql('postgres', "SELECT * FROM vecdb.verify_index('btree_i')");
like($err, qr/"btree_i" is not an hnsw index/, 'refuses other indexes');
like($err, qr/HINT: .*amcheck/, 'and says what verifies them');
($rc, $out, $err) = $node->psql('postgres', "SELECT * FROM vecdb.verify_index('btree')");
like($err, qr/"btree" is not an hnsw index/, 'refuses tables');
$node->safe_psql('postgres', 'CREATE ROLE nobody; CREATE ROLE watcher; GRANT pg_monitor TO watcher');
($rc, $out, $err) = $node->psql('postgres',
	"SET ROLE nobody; SELECT * FROM vecdb.verify_index('coded_2_v')");
like($err, qr/permission denied to verify index "coded_2_v"/, 'refuses strangers');
is($node->safe_psql('postgres',
		"SET ROLE watcher;
			SELECT * FROM vecdb.verify_index('coded_2_v') WHERE severity = 'error'"), '',
	'lets monitors in');

my $log = slurp_file($node->logfile);
unlike($log, qr/terminated by signal|PANIC|TRAP:/, 'the server never crashed');
$node->stop;

done_testing();
