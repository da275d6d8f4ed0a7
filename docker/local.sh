#!/bin/sh
#
# local.sh COMMAND [--dir DIRECTORY] ...
#	  A cluster of plain PostgreSQL processes on this machine, to try vecdb on.
#
# Every node has its own data directory, a free port of 127.0.0.1 and a
# certificate of the cluster's own authority; only TLS connections with a
# password (SCRAM) are let in.  Passwords are generated and stay in the file
# "passfile" of the directory, which only its owner can read.  Nodes speak to
# each other as role vecdb_node.  Called by root, servers run as postgres.
#
# What is in the directory:
#
#	  passfile, ca.crt, ca.key, pg_config (of which PostgreSQL)
#	  group1/host1/{data,log,port,server.crt,server.key}, group2/host1/...
#
# Only processes are touched whose data directory is below that directory.
#
here=$(pwd)
pg_config_given=${PG_CONFIG:-}
cd "$(dirname "$0")/.." || exit 1
. src/tools/common.sh

usage()
{
	cat <<'END'
usage: docker/local.sh COMMAND [--dir DIRECTORY] ...

  up [--groups N]         start a cluster of N groups (3), or what is stopped
                          of it, or add groups to it
  status                  list the nodes
  psql [GROUP] [ARG...]   psql on a group's node (1), with further arguments
  stop GROUP[/HOST]       stop a node in an orderly way
  start GROUP[/HOST]      start it again
  kill GROUP[/HOST]       kill it, as a crash would
  down [--delete]         stop all nodes; --delete removes their data too

DIRECTORY is VECDB_LOCAL_DIR, or else ~/.local/state/vecdb-local; for root
/var/lib/vecdb-local.  PG_CONFIG names another PostgreSQL; a cluster remembers
the one that it was made with.
END
}

# --- where things are --------------------------------------------------------

# a path seen from the directory that we were called in
absolute()
{
	case $1 in
		/*) printf '%s\n' "$1" ;;
		*) printf '%s\n' "$here/$1" ;;
	esac
}

# a directory given with --dir or VECDB_LOCAL_DIR: set "dir"
use_directory()
{
	[ -n "$1" ] || die "The name of the directory is empty."
	dir=$(absolute "$1")
	case $dir in
		*\'* | *\\* | *:* | *'
'*) die "The name of the directory, $dir, has a quote, a backslash, a colon
or a line break in it, which connection strings and password files cannot hold.
Name another one with --dir." ;;
	esac
}

default_directory()
{
	if [ -n "${VECDB_LOCAL_DIR:-}" ]; then
		printf '%s\n' "$VECDB_LOCAL_DIR"
	elif [ "$(id -u)" -eq 0 ]; then
		echo /var/lib/vecdb-local
	else
		[ -n "${HOME:-}" ] || die "HOME is not set.  Name a directory with --dir."
		printf '%s\n' "${XDG_STATE_HOME:-$HOME/.local/state}/vecdb-local"
	fi
}

node_dir()
{
	printf '%s\n' "$dir/group$1/host$2"
}

node_port()
{
	cat "$(node_dir "$1" "$2")/port"
}

# the groups that there are, by their numbers
all_groups()
{
	group=1
	while [ -d "$dir/group$group" ]; do
		echo "$group"
		group=$((group + 1))
	done
}

# all nodes as GROUP/HOST
all_nodes()
{
	for group in $(all_groups); do
		host=1
		while [ -d "$(node_dir "$group" "$host")" ]; do
			echo "$group/$host"
			host=$((host + 1))
		done
	done
}

need_cluster()
{
	[ -d "$dir/group1" ] || die "There is no cluster in $dir.
Start one with: docker/local.sh up"
	as_server_user test -w "$dir/passfile" && [ -r "$dir/passfile" ] ||
		die "The cluster in $dir belongs to another user."
}

# GROUP[/HOST] given by the user: sets "group" and "host"
parse_node()
{
	case $1 in
		*/*) group=${1%%/*} host=${1#*/} ;;
		*) group=$1 host=1 ;;
	esac
	for number in "$group" "$host"; do
		case $number in
			'' | *[!0-9]* | 0*) die "\"$1\" is no node; write GROUP or GROUP/HOST, such as 2 or 2/1." ;;
		esac
	done
	[ -d "$dir/group$group" ] ||
		die "There is no group $group in $dir; there are groups 1 to $(all_groups | wc -l)."
	[ -d "$(node_dir "$group" "$host")" ] ||
		die "Group $group has no host $host."
}

# --- processes ---------------------------------------------------------------

# The pid of a node's postmaster, or nothing.  A process counts only if the
# data directory is its working directory: pids are used again.
node_pid()
{
	data=$(node_dir "$1" "$2")/data
	[ -e "$data/postmaster.pid" ] || return 0
	pid=$(head -n 1 "$data/postmaster.pid")
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
			port=$(awk -v seed="$$$1$tries" \
				'BEGIN { srand(seed); print 20000 + int(rand() * 12000) }')
		fi
		say "Starting node $1/$2 at port $port."
		as_server_user sh -c ': >"$1"' sh "$node/log"
		# libpq in the server looks for certificates below HOME, which the
		# servers' user may not be able to enter
		if (cd "$node/data" && as_server_user env HOME="$dir" \
			"$bindir/pg_ctl" -D "$node/data" -s -w -t 60 -l "$node/log" -o "-p $port" start >/dev/null 2>&1); then
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

check_programs()
{
	if [ -z "$pg_config_given" ] && [ -r "$dir/pg_config" ]; then
		PG_CONFIG=$(cat "$dir/pg_config")
	fi
	bindir=$("$PG_CONFIG" --bindir 2>/dev/null) ||
		die "There is no \"$PG_CONFIG\".  Install PostgreSQL (make deps), or name
it: PG_CONFIG=/path/to/pg_config docker/local.sh ..."
	[ -x "$bindir/postgres" ] || die "There is no PostgreSQL server in $bindir."
}

check_vecdb()
{
	[ -e "$("$PG_CONFIG" --sharedir)/extension/vecdb.control" ] &&
		[ -e "$("$PG_CONFIG" --pkglibdir)/vecdb.so" ] ||
		die "vecdb is not installed in the PostgreSQL of $bindir.
Type \"make install\", or name another: PG_CONFIG=/path/to/pg_config"
	command -v openssl >/dev/null ||
		die "The program openssl is missing, which makes the certificates."
}

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
	{
		echo "127.0.0.1:*:*:postgres:$(openssl rand -hex 24)"
		echo "127.0.0.1:*:*:vecdb_node:$(openssl rand -hex 24)"
	} | write_secret "$dir/passfile"
}

password_of()
{
	sed -n "s/^127\\.0\\.0\\.1:\\*:\\*:$1://p" "$dir/passfile"
}

# a certificate for a node, by its address
make_certificate()
{
	as_server_user sh -c 'set -e
		umask 077
		cd "$1"
		openssl req -newkey rsa:2048 -nodes -subj "/CN=$3" \
			-keyout server.key -out server.csr
		echo "subjectAltName = IP:127.0.0.1, DNS:localhost" >server.ext
		openssl x509 -req -in server.csr -days 3650 -CA "$2/ca.crt" \
			-CAkey "$2/ca.key" -set_serial "0x$(openssl rand -hex 8)" \
			-extfile server.ext -out server.crt
		rm server.csr server.ext' sh "$1" "$dir" "$2" >/dev/null 2>&1 ||
		die "openssl could not make a certificate for $2."
}

make_node()
{
	node=$(node_dir "$1" "$2")
	# a half-made one is made again
	[ ! -e "$node/made" ] || return 0
	say "Making node $1/$2."
	rm -rf "$node"
	as_server_user mkdir -p "$node"
	make_certificate "$node" "vecdb-group$1-host$2"
	password_of postgres | write_secret "$node/password"
	(cd "$node" && as_server_user "$bindir/initdb" -D "$node/data" -U postgres \
		-A scram-sha-256 --pwfile="$node/password" --no-locale -E UTF8 \
		>"$scratch" 2>&1) || { cat "$scratch" >&2; die "initdb failed."; }
	as_server_user rm "$node/password"
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
log_line_prefix = '%m [%p] %q%a '
cluster_name = 'group$1/host$2'
vecdb.node_conninfo = '$node_conninfo'
END
	as_server_user sh -c 'cat >"$1"' sh "$node/data/pg_hba.conf" <<'END'
# by docker/local.sh: nothing without TLS and a password
hostssl	all			all			127.0.0.1/32	scram-sha-256
hostssl	replication	vecdb_node	127.0.0.1/32	scram-sha-256
END
	as_server_user sh -c ': >"$1"' sh "$node/made"
}

# --- SQL ---------------------------------------------------------------------

# psql on a node, deaf to the caller's settings: GROUP HOST DATABASE ARG...
sql()
{
	port=$(node_port "$1" "$2")
	database=$3
	shift 3
	PGPASSFILE=$dir/passfile "$psql" -X -q -A -t -v ON_ERROR_STOP=1 \
		-d "host=127.0.0.1 port=$port user=postgres dbname=$database sslmode=verify-full sslrootcert='$dir/ca.crt' connect_timeout=5" "$@"
}

# database, extension and the role of the nodes
prepare_node()
{
	if [ "$(sql "$1" "$2" postgres -c "SELECT count(*) FROM pg_roles
			WHERE rolname = 'vecdb_node'")" = 0 ]; then
		# the password is not for logs or lists of processes
		printf "SET log_statement = none;
			SET log_min_error_statement = panic;
			CREATE ROLE vecdb_node SUPERUSER LOGIN PASSWORD '%s';" \
			"$(password_of vecdb_node)" | sql "$1" "$2" postgres
	fi
	if [ "$(sql "$1" "$2" postgres -c "SELECT count(*) FROM pg_database
			WHERE datname = 'vecdb'")" = 0 ]; then
		sql "$1" "$2" postgres -c 'CREATE DATABASE vecdb'
	fi
	sql "$1" "$2" vecdb -c 'SET client_min_messages = warning' \
		-c 'CREATE EXTENSION IF NOT EXISTS vecdb'
}

# make a node the first group of a cluster, or another one of it
join_cluster()
{
	[ "$(sql "$1" 1 vecdb -c 'SELECT count(*) FROM vecdb.catalog_local')" = 0 ] ||
		return 0
	if [ "$1" = 1 ]; then
		sql 1 1 vecdb -o /dev/null \
			-c "SELECT vecdb.create_cluster('127.0.0.1', $(node_port 1 1))"
		say "Created the cluster, with group 1."
	else
		sql 1 1 vecdb -o /dev/null \
			-c "SELECT vecdb.add_group('127.0.0.1', $(node_port "$1" 1))"
		say "Added group $1."
	fi
}

# --- commands ----------------------------------------------------------------

command_up()
{
	wanted=
	while [ $# -gt 0 ]; do
		case $1 in
			--groups) [ $# -ge 2 ] || die "--groups wants a number."
				wanted=$2; shift 2 ;;
			--groups=*) wanted=${1#*=}; shift ;;
			*) die "\"$1\" means nothing to \"up\"; docker/local.sh help lists what does." ;;
		esac
	done
	there=$(all_groups | wc -l)
	[ -n "$wanted" ] || { wanted=$there; [ "$there" -gt 0 ] || wanted=3; }
	case $wanted in
		'' | *[!0-9]* | 0*) die "\"$wanted\" is no number of groups." ;;
	esac
	[ "$wanted" -le 64 ] || die "$wanted groups are too many for one machine; 64 are the most."
	[ "$wanted" -ge "$there" ] ||
		die "The cluster in $dir has $there groups already; \"up\" takes none away."
	check_vecdb
	make_directory
	need_cluster_owner
	group_number=1
	while [ "$group_number" -le "$wanted" ]; do
		make_node "$group_number" 1
		start_node "$group_number" 1
		prepare_node "$group_number" 1
		join_cluster "$group_number"
		group_number=$((group_number + 1))
	done
	command_status
	say "Try: docker/local.sh psql$([ "$dir" = "$(absolute "$(default_directory)")" ] || echo " --dir '$dir'")"
}

need_cluster_owner()
{
	[ -r "$dir/passfile" ] || die "The cluster in $dir belongs to another user."
}

command_status()
{
	printf '%-6s %-16s %-8s %s\n' node address pid state
	for node_name in $(all_nodes); do
		number=${node_name%/*}
		index=${node_name#*/}
		address=-
		[ ! -e "$(node_dir "$number" "$index")/port" ] ||
			address=127.0.0.1:$(node_port "$number" "$index")
		pid=$(node_pid "$number" "$index")
		if [ -z "$pid" ]; then
			state=stopped
		else
			if "$bindir/pg_isready" -q -t 2 -h 127.0.0.1 -p "${address#*:}"; then
				state=running
			else
				state="not answering"
			fi
		fi
		printf '%-6s %-16s %-8s %s\n' "$node_name" "$address" "${pid:--}" "$state"
	done
}

command_psql()
{
	group=1
	case ${1:-} in
		'' | -*) ;;
		*) parse_node "$1"; shift ;;
	esac
	[ -n "$(node_pid "$group" "${host:-1}")" ] ||
		die "Node $group/${host:-1} is not running.  Start it with: docker/local.sh start $group"
	port=$(node_port "$group" "${host:-1}")
	cd "$here"
	PGPASSFILE=$dir/passfile exec "$psql" \
		-d "host=127.0.0.1 port=$port user=postgres dbname=vecdb sslmode=verify-full sslrootcert='$dir/ca.crt'" "$@"
}

command_down()
{
	delete=no
	case ${1:-} in
		'') ;;
		--delete) delete=yes ;;
		*) die "\"$1\" means nothing to \"down\"." ;;
	esac
	for node_name in $(all_nodes); do
		stop_node "${node_name%/*}" "${node_name#*/}"
	done
	if [ "$delete" = yes ]; then
		for node_name in $(all_nodes); do
			[ -z "$(node_pid "${node_name%/*}" "${node_name#*/}")" ] ||
				die "Node $node_name still runs; nothing is deleted."
		done
		for number in $(all_groups | sort -rn); do
			rm -rf "$dir/group$number"
		done
		rm -f "$dir/passfile" "$dir/ca.crt" "$dir/ca.key" "$dir/pg_config"
		rmdir "$dir" || die "$dir holds what this script did not make; that is left."
		say "Deleted $dir."
	fi
}

# one node, named by the user: COMMAND NODE
command_node()
{
	[ $# -eq 2 ] || die "\"$1\" wants one node, such as: docker/local.sh $1 2"
	parse_node "$2"
	"${1}_node" "$group" "$host"
}

dir=
command=
while [ $# -gt 0 ]; do
	case $1 in
		--dir) [ $# -ge 2 ] || die "--dir wants a directory."
			use_directory "$2"; shift 2 ;;
		--dir=*) use_directory "${1#*=}"; shift ;;
		*) [ -z "$command" ] || break
			command=$1; shift ;;
	esac
done
case $command in
	up | status | psql | stop | start | kill | down) ;;
	help | --help | -h) usage; exit 0 ;;
	'') usage >&2; exit 1 ;;
	*) die "There is no command \"$command\"; docker/local.sh help lists them." ;;
esac
# "up --groups 3 --dir x", too
if [ "$command" = up ] || [ "$command" = down ]; then
	rest=$#
	while [ "$rest" -gt 0 ]; do
		argument=$1
		shift
		rest=$((rest - 1))
		case $argument in
			--dir) [ "$rest" -gt 0 ] || die "--dir wants a directory."
				use_directory "$1"; shift; rest=$((rest - 1)) ;;
			--dir=*) use_directory "${argument#*=}" ;;
			*) set -- "$@" "$argument" ;;
		esac
	done
fi
[ -n "$dir" ] || use_directory "$(default_directory)"

check_programs
psql=$bindir/psql
node_conninfo="user=vecdb_node passfile=''$dir/passfile'' sslmode=verify-full sslrootcert=''$dir/ca.crt''"
unset PGOPTIONS PGSERVICE PGSERVICEFILE PGHOSTADDR PGSSLMODE PGDATABASE \
	PGUSER PGHOST PGPORT PGPASSWORD

case $command in
	up)
		scratch=$(mktemp)
		trap 'rm -f "$scratch"' EXIT
		trap 'exit 1' INT TERM HUP
		command_up "$@"
		;;
	status) need_cluster; command_status ;;
	psql) need_cluster; command_psql "$@" ;;
	down) need_cluster; command_down "$@" ;;
	*) need_cluster; command_node "$command" "$@" ;;
esac
