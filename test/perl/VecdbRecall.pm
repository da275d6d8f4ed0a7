# What the tests of the hnsw access method share: the kinds of indexes, data
# for them, exact answers, recall, and whether an index is whole.
#
# Data is made by SQL functions that are installed by prepare(), from hashes
# of a row's number: value N of a kind is the same wherever and whenever it is
# made, so that a concurrent writer needs no memory of what it wrote, and a
# test repeats with the seed it prints (environment variable VECDB_SEED sets
# another).

package VecdbRecall;

use strict;
use warnings;

use Exporter 'import';
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(kinds kind seed new_server prepare create_table insert_rows
  create_index recall recall_is uses_index all_found index_is_whole
  start_command finish_command wait_until);

# name		type, dimensions, operator class, operator, options of the index
#
# Dense values of 64 dimensions and more are coded in vector_l2, _ip and
# _cosine indexes and the same of halfvec; everything else is stored plainly,
# unless options say otherwise.  "wide" values do not fit on a page.
my @kinds = map {
	my %kind;
	@kind{qw(name type dimensions opclass operator options)} = @$_;
	\%kind;
} (
	[ 'vector_l2', 'vector', 12, 'vector_l2_ops', '<->' ],
	[ 'vector_ip', 'vector', 12, 'vector_ip_ops', '<#>' ],
	[ 'vector_cosine', 'vector', 12, 'vector_cosine_ops', '<=>' ],
	[ 'vector_l1', 'vector', 12, 'vector_l1_ops', '<+>' ],
	[ 'coded_l2', 'vector', 72, 'vector_l2_ops', '<->' ],
	[ 'coded_ip', 'vector', 72, 'vector_ip_ops', '<#>' ],
	[ 'coded_cosine', 'vector', 72, 'vector_cosine_ops', '<=>' ],
	[ 'short_cosine', 'vector', 12, 'vector_cosine_ops', '<=>', 'codes = rabitq' ],
	[ 'uncoded_l2', 'vector', 72, 'vector_l2_ops', '<->', 'codes = none' ],
	[ 'float16_l2', 'vector', 72, 'vector_l2_ops', '<->', 'storage = float16' ],
	[ 'float32_ip', 'vector', 72, 'vector_ip_ops', '<#>', 'storage = float32' ],
	[ 'float32_cosine', 'vector', 72, 'vector_cosine_ops', '<=>', 'storage = float32' ],
	[ 'halfvec_l2', 'halfvec', 12, 'halfvec_l2_ops', '<->' ],
	[ 'halfvec_ip', 'halfvec', 12, 'halfvec_ip_ops', '<#>' ],
	[ 'halfvec_cosine', 'halfvec', 12, 'halfvec_cosine_ops', '<=>' ],
	[ 'halfvec_l1', 'halfvec', 12, 'halfvec_l1_ops', '<+>' ],
	[ 'coded_half_l2', 'halfvec', 72, 'halfvec_l2_ops', '<->' ],
	[ 'coded_half_ip', 'halfvec', 72, 'halfvec_ip_ops', '<#>' ],
	[ 'coded_half_cosine', 'halfvec', 72, 'halfvec_cosine_ops', '<=>' ],
	[ 'float16_half_ip', 'halfvec', 72, 'halfvec_ip_ops', '<#>', 'storage = float16' ],
	[ 'sparsevec_l2', 'sparsevec', 12, 'sparsevec_l2_ops', '<->' ],
	[ 'sparsevec_ip', 'sparsevec', 12, 'sparsevec_ip_ops', '<#>' ],
	[ 'sparsevec_cosine', 'sparsevec', 12, 'sparsevec_cosine_ops', '<=>' ],
	[ 'sparsevec_l1', 'sparsevec', 12, 'sparsevec_l1_ops', '<+>' ],
	[ 'bit_hamming', 'bit', 40, 'bit_hamming_ops', '<~>' ],
	[ 'bit_jaccard', 'bit', 40, 'bit_jaccard_ops', '<%>' ],
	[ 'wide_l2', 'vector', 3072, 'vector_l2_ops', '<->', 'storage = float32' ],
	[ 'wide_half_ip', 'halfvec', 5000, 'halfvec_ip_ops', '<#>', 'storage = float16' ],
	[ 'wide_float32_l2', 'vector', 2000, 'vector_l2_ops', '<->', 'storage = float32' ]);

# all kinds; the wide ones are slow, and are asked for by name
sub kinds
{
	return grep { $_->{name} !~ /^wide/ } @kinds;
}

sub kind
{
	my ($name) = @_;
	my ($kind) = grep { $_->{name} eq $name } @kinds;
	die "no kind $name" unless $kind;
	return $kind;
}

# the seed of this run, printed once
my $seed;

sub seed
{
	if (!defined $seed)
	{
		$seed = $ENV{VECDB_SEED} // 1;
		note("seed $seed; VECDB_SEED=n sets another");
		srand($seed);
	}
	return $seed;
}

# a server that is not started yet, with settings that suit tests
sub new_server
{
	my ($name, $conf, %init) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init(%init);
	# What is planned with enable_seqscan = off seems worth compiling.
	$node->append_conf('postgresql.conf', q{
		fsync = off
		jit = off
		autovacuum = off
		max_parallel_maintenance_workers = 0
		min_parallel_table_scan_size = 0});
	$node->append_conf('postgresql.conf', $conf // '');
	return $node;
}

# the extension and the functions of this module
sub prepare
{
	my ($node, $db) = @_;
	my $seed = seed();
	$node->safe_psql($db // 'postgres', qq{
CREATE EXTENSION vecdb;

-- numbers between -0.5 and 0.5
CREATE FUNCTION test_floats(id bigint, dimensions int) RETURNS real[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
'SELECT array_agg(
		((hashint8extended(\$1 * 65536 + i, $seed) & 1048575) / 1048576.0 - 0.5)::real
		ORDER BY i)
	FROM generate_series(1, \$2) i';

CREATE FUNCTION test_vector(id bigint, dimensions int) RETURNS vector
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT test_floats(\$1, \$2)::vector';

CREATE FUNCTION test_halfvec(id bigint, dimensions int) RETURNS halfvec
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT test_floats(\$1, \$2)::halfvec';

-- about a half of the elements are zero, and never all, for cosine indexes
-- leave those values out
CREATE FUNCTION test_sparsevec(id bigint, dimensions int) RETURNS sparsevec
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
'SELECT array_agg(greatest(f, CASE i WHEN 1 THEN 0.01 ELSE 0 END) ORDER BY i)::real[]::vector::sparsevec
	FROM unnest(test_floats(\$1, \$2)) WITH ORDINALITY AS u(f, i)';

-- three bits in ten are set
CREATE FUNCTION test_bit(id bigint, dimensions int) RETURNS bit
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
'SELECT string_agg(CASE WHEN f > 0.2 THEN ''1'' ELSE ''0'' END, '''' ORDER BY i)::varbit
	FROM unnest(test_floats(\$1, \$2)) WITH ORDINALITY AS u(f, i)';

-- recall\@k of an index: how many of the k rows that the ORDER BY of an index
-- scan gives are as near as the k nearest, over queries that are no rows
CREATE FUNCTION test_recall(tab text, type text, dimensions int,
	operator text, k int, queries int) RETURNS float
LANGUAGE plpgsql AS \$\$
DECLARE
	query text;
	farthest float8;
	good int;
	total float := 0;
BEGIN
	FOR number IN 1..queries LOOP
		EXECUTE format('SELECT test_%s(%s, %s)::text', type, -number, dimensions)
			INTO query;
		-- "+ 0" is no ordering that an index knows
		EXECUTE format('SELECT max(d) FROM (SELECT (v %s %L) + 0 AS d
			FROM %I WHERE v IS NOT NULL ORDER BY 1 LIMIT %s) s', operator, query, tab, k)
			INTO farthest;
		EXECUTE format('SELECT count(*) FROM (SELECT v %s %L AS d
			FROM %I ORDER BY v %s %L LIMIT %s) s WHERE d <= %s',
			operator, query, tab, operator, query, k,
			farthest + abs(farthest) * 1e-6)
			INTO good;
		total := total + good::float / k;
	END LOOP;
	RETURN total / queries;
END \$\$;
});
	return;
}

# an empty table of a kind, named as the kind; KIND, OPTIONS: table (name),
# prefix (before TABLE), suffix (after the columns)
sub create_table
{
	my ($node, $kind, %options) = @_;
	my $table = $options{table} // $kind->{name};
	my $prefix = $options{prefix} // '';
	my $suffix = $options{suffix} // '';
	$node->safe_psql('postgres',
		"CREATE $prefix TABLE $table (id bigint PRIMARY KEY, "
		  . "v $kind->{type}($kind->{dimensions})) $suffix");
	return $table;
}

# the statement that inserts rows FIRST to LAST
sub insert_rows
{
	my ($kind, $first, $last, $table) = @_;
	$table //= $kind->{name};
	return "INSERT INTO $table SELECT i, test_$kind->{type}(i, $kind->{dimensions}) "
	  . "FROM generate_series($first, $last) i;";
}

# the statement that creates the index KIND_idx, with the options of the kind
# and OPTIONS, a list of further ones
sub create_index
{
	my ($kind, $options, $table) = @_;
	$table //= $kind->{name};
	my $list = join(', ', grep { defined } $kind->{options}, $options);
	my $with = $list eq '' ? '' : " WITH ($list)";
	return "CREATE INDEX ${table}_idx ON $table USING hnsw (v $kind->{opclass})$with;";
}

# recall@10 over 20 queries through the index
sub recall
{
	my ($node, $kind, $ef, $table) = @_;
	$table //= $kind->{name};
	return $node->safe_psql('postgres',
		"SET enable_seqscan = off; SET hnsw.ef_search = $ef; "
		  . "SELECT test_recall('$table', '$kind->{type}', $kind->{dimensions}, "
		  . "'$kind->{operator}', 10, 20)");
}

# Is recall@10 at least so much?
sub recall_is
{
	my ($node, $kind, $ef, $least, $what, $table) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $recall = recall($node, $kind, $ef, $table);
	return cmp_ok($recall, '>=', $least,
		"$kind->{name}: recall at ef_search $ef $what");
}

# Does a search of the table use its index?
sub uses_index
{
	my ($node, $kind, $table) = @_;
	$table //= $kind->{name};
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $plan = $node->safe_psql('postgres',
		"SET enable_seqscan = off; EXPLAIN (COSTS off) SELECT id FROM $table "
		  . "ORDER BY v $kind->{operator} test_$kind->{type}(-1, $kind->{dimensions}) LIMIT 10");
	return like($plan, qr/Index Scan using \S+ on/, "$table: the index is used");
}

# Does a scan of the index return every row, once?
sub all_found
{
	my ($node, $kind, $what, $table) = @_;
	$table //= $kind->{name};
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $query = "SELECT id FROM $table ORDER BY v $kind->{operator} "
	  . "(SELECT test_$kind->{type}(-1, $kind->{dimensions}))";
	my $missing = $node->safe_psql('postgres', qq{
		SET enable_seqscan = off; SET enable_sort = off;
		SET hnsw.iterative_scan = relaxed_order;
		DO \$\$
		DECLARE line text; plan text := '';
		BEGIN
			FOR line IN EXPLAIN $query LOOP plan := plan || line; END LOOP;
			IF plan NOT LIKE '%Index Scan using %idx%' THEN
				RAISE 'the index is not used: %', plan;
			END IF;
		END \$\$;
		CREATE TEMP TABLE found AS $query;
		SET enable_seqscan = on;
		SELECT 'lost ' || id FROM $table WHERE v IS NOT NULL
			EXCEPT ALL SELECT 'lost ' || id FROM found;
		SELECT 'twice ' || id FROM found GROUP BY id HAVING count(*) > 1});
	return is($missing, '', "$table: every row is found by the index $what");
}

# Does vecdb.verify_index() find no error in an index, and each of its rows in
# the table?
sub index_is_whole
{
	my ($node, $index, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $complaints = $node->safe_psql('postgres',
		"SELECT * FROM vecdb.verify_index('$index', check_heap => true) "
		  . "WHERE severity = 'error'");
	is($complaints, '', "$index: the index is whole $what");
	return;
}

# Start a program that goes on in the background; finish_command() waits for
# it and returns exit code and output.
sub start_command
{
	my (@command) = @_;
	my ($in, $out) = ('', '');
	my $handle = IPC::Run::start(\@command, '<', \$in, '>', \$out, '2>&1');
	return { handle => $handle, out => \$out };
}

sub finish_command
{
	my ($run) = @_;
	$run->{handle}->finish;
	return ($run->{handle}->full_result(0) >> 8, ${ $run->{out} });
}

# Wait until the code returns true, some minutes at most; returns whether it did
sub wait_until
{
	my ($code) = @_;
	my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
	do
	{
		return 1 if $code->();
		select(undef, undef, undef, 0.1);
	} while (time() < $end);
	return 0;
}

1;
