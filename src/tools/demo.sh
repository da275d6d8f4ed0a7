#!/bin/sh
#
# demo.sh [stop]
#	  Install vecdb, load real data into a throw-away server, and search it;
#	  then the same in a table that is distributed over three servers.
#
# Everything but Debian's own packages goes into a fresh directory in TMPDIR:
# a private copy of PostgreSQL with vecdb in it, the servers' data, logs and
# sockets.  The servers go on running; "stop" ends them and removes the
# directory, and so does the next demo.  .build/demo remembers where it is.
#
. src/tools/common.sh

note=$TOP/.build/demo
log=
work=
build_pid=
started=$(date +%s)

step()
{
	printf '\n--- %s\n' "$*"
}

# run a quiet part; what it said is shown when it fails
quietly()
{
	"$@" >"$log" 2>&1 || { tail -n 40 "$log" >&2; die "failed: $*"; }
}

# stop the server that $note remembers, if any, and remove its directory
stop_earlier()
{
	[ -e "$note" ] || return 0
	earlier=$(cat "$note")
	# only what this script made is removed
	case $earlier in
		*/vecdb-??????) ;;
		*) die "$note names \"$earlier\", which no demo made; remove $note" ;;
	esac
	if [ -d "$earlier" ] && [ ! -O "$earlier" ] && [ "$(id -u)" -ne 0 ]; then
		die "Another user's demo is in $earlier.
Stop it as that user, or with: sudo src/tools/demo.sh stop"
	fi
	if [ -e "$earlier/cluster/passfile" ]; then
		PG_CONFIG=$(cat "$earlier/pg_config") docker/local.sh down \
			--dir "$earlier/cluster" >/dev/null
	fi
	if [ -e "$earlier/server/data/postmaster.pid" ]; then
		# shellcheck disable=SC2034
		server_home=$earlier/server
		server_bin=$(dirname "$(cat "$earlier/pg_config")")
		server_stop fast
		[ ! -e "$earlier/server/data/postmaster.pid" ] ||
			die "the server of $earlier does not stop; see $earlier/server/server.log"
		say "Stopped the server of the demo in $earlier."
	fi
	rm -rf "$earlier" "$note"
}

# on failure and on Ctrl-C nothing is left running
clean_up()
{
	[ -n "$work" ] || return 0
	[ -z "$build_pid" ] || kill "$build_pid" 2>/dev/null || true
	[ ! -e "$work/cluster/passfile" ] || cluster down >/dev/null || true
	server_stop immediate
	rm -rf "$work" "$note"
	say "The demo did not finish; its server and its files are removed." >&2
}

# psql as the demo uses it, deaf to the user's own settings
sql()
{
	"$server_bin/psql" -X -q -A -t -v ON_ERROR_STOP=1 -d demo "$@"
}

# docker/local.sh for the demo's cluster
cluster()
{
	PG_CONFIG=$(cat "$work/pg_config") docker/local.sh --dir "$work/cluster" "$@"
}

# psql on the node of a group
node_sql()
{
	node=$1
	shift
	cluster psql "$node" -X -q -A -t -v ON_ERROR_STOP=1 \
		-c 'SET client_min_messages = warning' "$@"
}

# build from this directory, as "make" does, and install into a copy
install_vecdb()
{
	"$MAKE" --no-print-directory -s -j "$(nproc)" all >"$log" 2>&1 ||
		{ tail -n 40 "$log" >&2; die "vecdb could not be built"; }
	src/tools/private-pg.sh "$work/pg" >"$work/pg_config"
	quietly "$MAKE" --no-print-directory -s install DESTDIR="$work/pg" VECTOR_ALIAS=yes
	chmod -R a+rX "$work/pg"
}

# load test/data/$1.copy.gz into table $1
load()
{
	gzip -t "test/data/$1.copy.gz" ||
		die "test/data/$1.copy.gz is damaged; \"git checkout test/data\" brings it back"
	gzip -dc "test/data/$1.copy.gz" | sql -c "COPY $1 FROM STDIN (FORMAT binary)"
	sql -c "ANALYZE $1" -c "SELECT '  ' || count(*) || ' $1' FROM $1"
}

# one line about an index that is being built; nothing when there is none
read_progress()
{
	sql -c "SELECT format('  %s%s%s', phase,
		', ' || CASE WHEN blocks_total > 0 THEN 100 * blocks_done / blocks_total END || ' % of the table read',
		', ' || nullif(tuples_done, 0) || ' vectors')
		FROM pg_stat_progress_create_index"
}

# build the index in one session and look at its progress from another
build_index()
{
	query="CREATE INDEX packages_embedding_idx ON packages
	USING hnsw (embedding halfvec_cosine_ops)"
	say "  $query"
	sql -c "\\timing on" -c "$query" >"$work/index.out" 2>&1 &
	build_pid=$!
	shown=
	while kill -0 "$build_pid" 2>/dev/null; do
		line=$(read_progress)
		if [ -n "$line" ] && [ "$line" != "$shown" ]; then
			say "$line"
			shown=$line
		fi
		sleep 0.2
	done
	wait "$build_pid" || { cat "$work/index.out" >&2; die "the index could not be built"; }
	build_pid=
	sed -n 's/^Time: \([0-9.]* ms\).*/  built in \1/p' "$work/index.out"
}

# the psql to type: the user's own, or that of the demo
psql_name()
{
	if command -v psql >/dev/null; then
		echo psql
	else
		echo "$server_bin/psql"
	fi
}

case ${1:-} in
	'') ;;
	stop)
		[ -e "$note" ] || { say "No demo is running here."; exit 0; }
		stop_earlier
		exit 0
		;;
	*) die "usage: src/tools/demo.sh [stop]" ;;
esac

unset PGOPTIONS PGSERVICE PGSERVICEFILE PGHOSTADDR PGPASSFILE PGSSLMODE \
	PGDATABASE PGUSER
PGCLIENTENCODING=UTF8
export PGCLIENTENCODING

step "What is needed"
src/tools/install-deps.sh build test
say "  $("$PG_CONFIG" --version)"

mkdir -p "$TOP/.build" 2>/dev/null || true
[ -w "$TOP/.build" ] ||
	die "$TOP/.build cannot be written; it may belong to root after \"sudo make\".
Give it back with: sudo chown -R $(id -un) '$TOP'"
stop_earlier
work=$(server_dir)
log=$work/log
trap clean_up EXIT
trap 'exit 1' INT TERM HUP
echo "$work" >"$note"

step "Building vecdb, for a private copy of PostgreSQL in $work"
install_vecdb
server_bin=$(dirname "$(cat "$work/pg_config")")

step "Starting a server as user $(server_user)"
# no one else may connect: the server trusts who reaches its socket
mkdir -m 700 "$work/server"
[ "$(id -u)" -ne 0 ] || chown "$(server_user):" "$work/server"
# shellcheck disable=SC2034
SERVER_CONF="maintenance_work_mem = '128MB'"
server_start "$work/server" "$server_bin"
"$server_bin/psql" -X -q -c "CREATE DATABASE demo"
say "  its socket is in $PGHOST"

step "Loading descriptions of Debian packages, and questions"
sql -f src/tools/demo/tables.sql
load packages
load questions

step "Building an HNSW index over 384 dimensions"
build_index

step "Questions in plain words, by ORDER BY embedding <=> ... LIMIT 10"
sql -f src/tools/demo/answer.sql

step "How good, how fast, how large"
sql -f src/tools/demo/measure.sql

step "The same table over three servers, each a group of a cluster"
cluster up --groups 3 | sed -e '/^Try:/d' -e 's/^/  /'
node_sql 1 -f src/tools/demo/tables.sql
# no group knows whether another has a name already; see docs/cluster.md
node_sql 1 -c 'ALTER TABLE packages DROP CONSTRAINT packages_name_key'
say "  SELECT vecdb.distribute_table('packages')"
node_sql 1 -o /dev/null -c "SELECT vecdb.distribute_table('packages')" \
	-c "SELECT vecdb.replicate_table('questions')"
say "  COPY packages FROM STDIN, through the node of group 2"
for table in packages questions; do
	gzip -dc "test/data/$table.copy.gz" |
		node_sql 2 -c "COPY $table FROM STDIN (FORMAT binary)"
done
say "  CREATE INDEX, on all of them at once"
node_sql 1 -c "CREATE INDEX packages_embedding_idx ON packages
	USING hnsw (embedding halfvec_cosine_ops)"
node_sql 3 -c 'ANALYZE packages' -f src/tools/demo/cluster.sql

step "The questions again, asked of the node of group 3"
node_sql 3 -f src/tools/demo/answer.sql

trap - EXIT INT TERM HUP
rm -f "$log" "$work/index.out"
step "Done in $(($(date +%s) - started)) seconds.  The servers go on running; to play, type"
cat <<END

    $(psql_name) -h $PGHOST -p $PGPORT -U postgres demo

and there, for example,

    SELECT name, description
    FROM packages
    ORDER BY embedding <=> (SELECT embedding FROM packages WHERE name = 'gimp')
    LIMIT 10;

or, on any node of the cluster, here that of group 2:

    docker/local.sh --dir $work/cluster psql 2

More to try is in docs/demo.md and docs/cluster.md.  To stop the servers and
remove their files:

    src/tools/demo.sh stop

END
