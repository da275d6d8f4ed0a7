# shellcheck shell=sh disable=SC2154
# Sourced by docker/local.sh: PostgreSQL servers without Patroni, certificates
# and passwords, and SQL.
#
# Set there: dir, bindir (PostgreSQL's programs), psql, scratch (a file).

# The programs of a host's PostgreSQL: while hosts are upgraded one by one, it
# can be another than the cluster's.
host_bindir()
{
	host_config=$(node_dir "$1" "$2")/pg_config
	if [ -e "$host_config" ]; then
		"$(cat "$host_config")" --bindir
	else
		echo "$bindir"
	fi
}

# --- processes ---------------------------------------------------------------

# The pid of a node's postmaster, or nothing.  A process counts only if the
# data directory is its working directory: pids are used again.
node_pid()
{
	data=$(node_dir "$1" "$2")/data
	[ -e "$data/postmaster.pid" ] || return 0
	pid=$(head -n 1 "$data/postmaster.pid" 2>/dev/null)
	case $pid in '' | *[!0-9]*) return 0 ;; esac
	if [ -d /proc/self ]; then
		[ "$(readlink "/proc/$pid/cwd" 2>/dev/null)" = "$(realpath "$data")" ] ||
			return 0
	else
		kill -0 "$pid" 2>/dev/null || return 0
	fi
	echo "$pid"
}

# pids of a process's children
children()
{
	ps -A -o pid= -o ppid= | awk -v parent="$1" '$2 == parent { print $1 }'
}

# start a node at the port it has, or for the first time at a free one
start_node()
{
	node=$(node_dir "$1" "$2")
	[ -z "$(node_pid "$1" "$2")" ] || return 0
	tries=0
	while :; do
		if [ -e "$node/port" ]; then
			port=$(cat "$node/port")
		else
			port=$(awk -v seed="$$$1$2$tries" \
				'BEGIN { srand(seed); print 20000 + int(rand() * 12000) }')
		fi
		say "Starting node $1/$2 at port $port."
		as_server_user sh -c ': >"$1"' sh "$node/log"
		# libpq in the server looks for certificates below HOME, which the
		# servers' user may not be able to enter
		if (cd "$node/data" && as_server_user env HOME="$dir" \
			"$(host_bindir "$1" "$2")/pg_ctl" -D "$node/data" -s -w -t 60 -l "$node/log" -o "-p $port" start >/dev/null 2>&1); then
			as_server_user sh -c 'echo "$1" >"$2"' sh "$port" "$node/port"
			return 0
		fi
		# someone else has the port: another one, unless it is known to others
		if grep -q 'could not create any TCP/IP sockets' "$node/log" &&
			[ ! -e "$node/port" ] && [ "$tries" -lt 50 ]; then
			tries=$((tries + 1))
			continue
		fi
		as_server_user tail -n 15 "$node/log" >&2
		die "Node $1/$2 does not start; its log is $node/log."
	done
}

stop_node()
{
	[ -n "$(node_pid "$1" "$2")" ] || { say "Node $1/$2 is not running."; return 0; }
	# a frozen one would not hear it
	kill -CONT "$(node_pid "$1" "$2")"
	(cd / && as_server_user "$bindir/pg_ctl" -D "$(node_dir "$1" "$2")/data" -s -w \
		-t 60 -m fast stop) || die "Node $1/$2 does not stop."
	say "Node $1/$2 is stopped."
}

# All of its processes at once: stopped first, the postmaster cannot tidy up.
kill_node()
{
	pid=$(node_pid "$1" "$2")
	[ -n "$pid" ] || die "Node $1/$2 is not running."
	kill -STOP "$pid"
	for child in $(children "$pid"); do
		kill -KILL "$child" 2>/dev/null || true
	done
	kill -KILL "$pid"
	# until its parent has taken notice: a new one looks for the pid, too
	waits=0
	while kill -0 "$pid" 2>/dev/null && [ "$waits" -lt 100 ]; do
		sleep 0.1
		waits=$((waits + 1))
	done
	say "Node $1/$2 is killed."
}

# --- making nodes ------------------------------------------------------------

# write standard input to a file that only the servers' user can read
write_secret()
{
	as_server_user sh -c 'umask 077 && cat >"$1"' sh "$1"
}

# the directory with passwords and the certificate authority
make_directory()
{
	[ ! -e "$dir/passfile" ] || return 0
	[ ! -e "$dir" ] || [ -z "$(ls -A "$dir")" ] ||
		die "$dir is there and holds something else than a cluster."
	mkdir -p "$dir"
	[ "$(id -u)" -ne 0 ] || chown "$(server_user):" "$dir"
	chmod 700 "$dir"
	as_server_user test -w "$dir" ||
		die "User $(server_user), who runs the servers, cannot enter $dir.
Name another directory with --dir."
	as_server_user openssl req -x509 -newkey rsa:2048 -nodes -days 3650 \
		-subj '/CN=vecdb local authority' -keyout "$dir/ca.key" \
		-out "$dir/ca.crt" >/dev/null 2>&1 ||
		die "openssl could not make a certificate authority."
	as_server_user chmod 600 "$dir/ca.key"
	command -v "$PG_CONFIG" | as_server_user sh -c 'cat >"$1"' sh "$dir/pg_config"
	for role in postgres vecdb_node vecdb_replication vecdb_rewind; do
		echo "127.0.0.1:*:*:$role:$(openssl rand -hex 24)"
	done | write_secret "$dir/passfile"
}

password_of()
{
	sed -n "s/^127\\.0\\.0\\.1:\\*:\\*:$1://p" "$dir/passfile"
}

# a certificate for DIRECTORY, by its NAME
make_certificate()
{
	as_server_user sh -c 'set -e
		umask 077
		cd "$1"
		openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
			-subj "/CN=$3" -keyout server.key -out server.csr
		echo "subjectAltName = IP:127.0.0.1, DNS:localhost, DNS:$3" >server.ext
		openssl x509 -req -in server.csr -days 3650 -CA "$2/ca.crt" \
			-CAkey "$2/ca.key" -set_serial "0x$(openssl rand -hex 8)" \
			-extfile server.ext -out server.crt
		rm server.csr server.ext' sh "$1" "$dir" "$2" >/dev/null 2>&1 ||
		die "openssl could not make a certificate for $2."
}

# begin a node's directory; false if it is there already
begin_node()
{
	node=$(node_dir "$1" "$2")
	# a half-made one is made again
	[ ! -e "$node/made" ] || return 1
	rm -rf "$node"
	as_server_user mkdir -p "$node"
	make_certificate "$node" "group$1-host$2"
}

# what the servers of all nodes have in common, and what is a node's own
write_settings()
{
	as_server_user sh -c 'cat >>"$1"' sh "$node/data/postgresql.conf" <<END

# by docker/local.sh
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
ssl = on
ssl_cert_file = '$node/server.crt'
ssl_key_file = '$node/server.key'
ssl_ca_file = '$dir/ca.crt'
ssl_min_protocol_version = 'TLSv1.2'
password_encryption = 'scram-sha-256'
shared_preload_libraries = 'vecdb'
wal_level = logical
max_connections = 100
max_prepared_transactions = 100
hot_standby_feedback = on
log_line_prefix = '%m [%p] %q%a '
cluster_name = 'group$1/host$2'
vecdb.node_conninfo = 'user=vecdb_node passfile=''$dir/passfile'' sslmode=verify-full sslrootcert=''$dir/ca.crt'''
END
}

# the first host of a group
make_node()
{
	begin_node "$1" "$2" || return 0
	say "Making node $1/$2."
	password_of postgres | write_secret "$node/password"
	(cd "$node" && as_server_user "$bindir/initdb" -D "$node/data" -U postgres \
		-A scram-sha-256 --pwfile="$node/password" --no-locale -E UTF8 \
		>"$scratch" 2>&1) || { cat "$scratch" >&2; die "initdb failed."; }
	as_server_user rm "$node/password"
	write_settings "$1" "$2"
	as_server_user sh -c 'cat >"$1"' sh "$node/data/pg_hba.conf" <<'END'
# by docker/local.sh: nothing without TLS and a password
hostssl	all			all			127.0.0.1/32	scram-sha-256
hostssl	replication	vecdb_node	127.0.0.1/32	scram-sha-256
END
	as_server_user sh -c ': >"$1"' sh "$node/made"
}

# a further host of a group without Patroni: a standby of the primary
make_standby()
{
	begin_node "$1" "$2" || return 0
	say "Making node $1/$2, a standby."
	sql "$1" postgres -c "SELECT pg_drop_replication_slot(slot_name)
		FROM pg_replication_slots WHERE slot_name = 'host$2'" -o /dev/null
	(cd "$node" && as_server_user env HOME="$dir" "$bindir/pg_basebackup" \
		-D "$node/data" -R -C -S "host$2" -X stream -c fast \
		-d "$(connection "$1") user=vecdb_node passfile='$dir/passfile'" \
		>"$scratch" 2>&1) || { cat "$scratch" >&2; die "pg_basebackup failed."; }
	write_settings "$1" "$2"
	as_server_user sh -c ': >"$1"' sh "$node/made"
}

# --- SQL ---------------------------------------------------------------------

# How to connect to GROUP/HOST, or to the primary of GROUP whichever host that
# is: the beginning of libpq's connection string
connection()
{
	case $1 in
		*/*) connect_hosts=${1#*/} attributes=any ;;
		*) connect_hosts=$(hosts_of "$1") attributes=primary ;;
	esac
	addresses='' ports=''
	for connect_host in $connect_hosts; do
		[ -e "$(node_dir "${1%%/*}" "$connect_host")/port" ] || continue
		addresses=$addresses${addresses:+,}127.0.0.1
		ports=$ports${ports:+,}$(node_port "${1%%/*}" "$connect_host")
	done
	echo "host=$addresses port=$ports target_session_attrs=$attributes sslmode=verify-full sslrootcert='$dir/ca.crt' connect_timeout=5"
}

# psql on a node, deaf to the caller's settings: GROUP[/HOST] DATABASE ARG...
sql()
{
	target=$1
	database=$2
	shift 2
	PGPASSFILE=$dir/passfile "$psql" -X -q -A -t -v ON_ERROR_STOP=1 \
		-d "$(connection "$target") user=postgres dbname=$database" "$@"
}

# the same where a failure is an answer: silent, and false
try_sql()
{
	sql "$@" 2>/dev/null
}

# database, extension and the role of the nodes, on a group's primary
prepare_group()
{
	if [ "$(sql "$1" postgres -c "SELECT count(*) FROM pg_roles
			WHERE rolname = 'vecdb_node'")" = 0 ]; then
		# the password is not for logs or lists of processes
		printf "SET log_statement = none;
			SET log_min_error_statement = panic;
			CREATE ROLE vecdb_node SUPERUSER LOGIN PASSWORD '%s';" \
			"$(password_of vecdb_node)" | sql "$1" postgres
	fi
	if [ "$(sql "$1" postgres -c "SELECT count(*) FROM pg_database
			WHERE datname = 'vecdb'")" = 0 ]; then
		sql "$1" postgres -c 'CREATE DATABASE vecdb'
	fi
	sql "$1" vecdb -c 'SET client_min_messages = warning' \
		-c 'CREATE EXTENSION IF NOT EXISTS vecdb'
}

# make a group the first one of a cluster, or another one of it
join_cluster()
{
	[ "$(sql "$1" vecdb -c 'SELECT count(*) FROM vecdb.catalog_local')" = 0 ] ||
		return 0
	primary_port=$(sql "$1" vecdb -c 'SELECT inet_server_port()')
	if [ "$1" = 1 ]; then
		sql 1 vecdb -o /dev/null \
			-c "SELECT vecdb.create_cluster('127.0.0.1', $primary_port)"
		say "Created the cluster, with group 1."
	else
		sql 1 vecdb -o /dev/null \
			-c "SELECT vecdb.add_group('127.0.0.1', $primary_port)"
		say "Added group $1."
	fi
}

# tell the cluster of those hosts of a group that it does not know
join_hosts()
{
	known=" $(sql 1 vecdb -c "SELECT string_agg(port::text, ' ')
		FROM vecdb.catalog_host WHERE group_id = $1") "
	for join_host in $(hosts_of "$1"); do
		join_port=$(node_port "$1" "$join_host")
		case $known in *" $join_port "*) continue ;; esac
		sql 1 vecdb -o /dev/null \
			-c "SELECT vecdb.add_host($1, '127.0.0.1', $join_port)"
	done
}
