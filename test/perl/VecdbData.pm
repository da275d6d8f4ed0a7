# Data that is hard for an index, real data, and how well both are searched.
#
# Values are made by SQL functions that prepare_data() installs, from hashes
# of a row's number and the seed (VecdbRecall.pm): the same in every run.  The
# graph is not, for layers are chosen at random; so what tests ask of recall
# leaves room for that.

package VecdbData;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Utils;
use Test::More;
use VecdbRecall;

our @EXPORT = qw(prepare_data load_packages recalls unreached reachable_is);

# the functions of this module, after VecdbRecall's prepare()
sub prepare_data
{
	my ($node) = @_;
	$node->safe_psql('postgres', q{
CREATE FUNCTION test_scaled(v real[], factor float, addend float) RETURNS real[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
'SELECT array_agg((x * $2 + $3)::real ORDER BY i) FROM unnest($1) WITH ORDINALITY u (x, i)';

-- a value between two others, or beyond
CREATE FUNCTION test_mixed(a real[], fa float, b real[], fb float) RETURNS real[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
'SELECT array_agg((x * $2 + y * $4)::real ORDER BY i) FROM unnest($1, $3) WITH ORDINALITY u (x, y, i)';

-- row "id" of a kind of data
--
-- twenty	the first two thirds are twenty values, the rest all different
-- equal	all the same
-- line		one after the other along a line
-- arc		along a quarter of a circle
-- two		two far clusters, one after the other
-- hubs		some are in the middle, and so near to all
-- lengths	from a millionth to a million
-- clusters	25 of them, in turn
-- steps	each element counts up and starts again
CREATE FUNCTION test_made(kind text, id int, dimensions int, rows int) RETURNS vector
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
	RETURN CASE kind
		WHEN 'twenty' THEN test_floats(CASE WHEN id <= rows * 2 / 3 THEN id % 20 + 1000000 ELSE id END, dimensions)
		WHEN 'equal' THEN test_floats(1, dimensions)
		WHEN 'line' THEN test_scaled(test_floats(1, dimensions), id * 4.0 / rows, 1)
		WHEN 'arc' THEN test_mixed(test_floats(1, dimensions), cos(id * 1.5 / rows), test_floats(2, dimensions), sin(id * 1.5 / rows))
		WHEN 'two' THEN test_scaled(test_floats(id, dimensions), 1, CASE WHEN id <= rows / 2 THEN 8 ELSE -8 END)
		WHEN 'hubs' THEN test_scaled(test_floats(id, dimensions), CASE WHEN id % 400 = 7 THEN 0.1 ELSE 1 END, 0.1)
		WHEN 'lengths' THEN test_scaled(test_floats(id, dimensions), 10.0 ^ (id % 13 - 6), 0)
		WHEN 'clusters' THEN test_mixed(test_floats(1000000 + id % 25, dimensions), 1, test_floats(id, dimensions), 0.3)
		WHEN 'steps' THEN ARRAY[id % 173, id % 171, id % 169]::real[]
	END::vector;
END $$;

-- recall@k for the queries of a table (q), for each ef_search, without
-- iterative scan: how many rows of the k that come are as near as the k
-- nearest, but for "slack" of that distance
CREATE FUNCTION test_recalls(tab text, queries text, operator text, k int,
	efs int[], slack float = 1e-6) RETURNS float[]
LANGUAGE plpgsql AS $$
DECLARE
	query text;
	ef int;
	n int := 0;
	good int;
	limits float8[] := '{}';
	farthest float8;
	totals float[] := '{}';
	total float;
BEGIN
	FOR query IN EXECUTE format('SELECT q::text FROM %I ORDER BY id', queries) LOOP
		-- "+ 0" is no ordering that an index knows
		EXECUTE format('SELECT max(d) FROM (SELECT (v %s %L) + 0 AS d
			FROM %I ORDER BY 1 LIMIT %s) s', operator, query, tab, k)
			INTO farthest;
		limits := limits || farthest + abs(farthest) * slack;
	END LOOP;
	PERFORM set_config('hnsw.iterative_scan', 'off', true);
	FOREACH ef IN ARRAY efs LOOP
		PERFORM set_config('hnsw.ef_search', ef::text, true);
		total := 0;
		n := 0;
		FOR query IN EXECUTE format('SELECT q::text FROM %I ORDER BY id', queries) LOOP
			n := n + 1;
			EXECUTE format('SELECT count(*) FROM (SELECT v %s %L AS d
				FROM %I ORDER BY v %s %L LIMIT %s) s WHERE d <= %s',
				operator, query, tab, operator, query, k, limits[n])
				INTO good;
			total := total + good::float / k;
		END LOOP;
		totals := totals || total / n;
	END LOOP;
	RETURN totals;
END $$;
});
	return;
}

# 10,000 embeddings of 384 dimensions as table "packages" (id, v), and 100
# questions as table "questions" (id, q): test/data/README.md
sub load_packages
{
	my ($node) = @_;
	$node->safe_psql('postgres', q{
CREATE TABLE packages (id int, name text, section text, size_kb int,
	description text, v halfvec(384));
CREATE TABLE questions (id int, question text, q halfvec(384), neighbours int[]);});
	foreach my $table (qw(packages questions))
	{
		system_or_bail('sh', '-c', "gzip -dc test/data/$table.copy.gz | "
			  . "psql -Xq -d '" . $node->connstr('postgres')
			  . "' -c 'COPY $table FROM STDIN (FORMAT binary)'");
	}
	return;
}

# recall@10 through the index for each ef_search of a list
sub recalls
{
	my ($node, $table, $queries, $operator, $efs, $slack) = @_;
	$slack //= 1e-6;
	my $list = join(',', @$efs);
	my $out = $node->safe_psql('postgres', "SET enable_seqscan = off; "
		  . "SELECT unnest(test_recalls('$table', '$queries', '$operator', 10, ARRAY[$list], $slack))");
	return split /\n/, $out;
}

# How many vertices does verify_index() say the entry point does not lead to?
sub unreached
{
	my ($node, $index) = @_;
	return $node->safe_psql('postgres', "SELECT coalesce("
		  . "max(substring(problem from 'In all, (\\d+) vertices')::int), count(*)) "
		  . "FROM vecdb.verify_index('$index') WHERE problem ~ 'cannot be reached'");
}

# Does one search that is wide enough find all rows that can be reached, where
# each row is a vertex of its own or all vertices can be?
sub reachable_is
{
	my ($node, $table, $operator, $rows, $queries, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $found = $node->safe_psql('postgres', "SET enable_seqscan = off; "
		  . 'SET hnsw.ef_search = 100000; SET hnsw.iterative_scan = off; '
		  . "SELECT string_agg(DISTINCT n::text, ' ') FROM $queries, LATERAL "
		  . "(SELECT count(*) AS n FROM (SELECT id FROM $table ORDER BY v $operator q) s) c");
	return is($found, $rows, "$table: one search finds what can be reached $what");
}

1;
