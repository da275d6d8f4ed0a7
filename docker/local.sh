#!/bin/sh
#
# local.sh COMMAND [--dir DIRECTORY] ...
#	  A cluster of PostgreSQL processes on this machine, to try vecdb on.
#
# Every node has its own data directory, a free port of 127.0.0.1 and a
# certificate of the cluster's own authority; only TLS connections with a
# password (SCRAM) are let in.  Passwords are generated and stay in the file
# "passfile" of the directory, which only its owner can read.  Nodes speak to
# each other as role vecdb_node.  Called by root, servers run as postgres.
#
# With --ha the hosts of a group replicate and elect a primary, by Patroni and
# etcd; see docs/high-availability.md.
#
# What is in the directory:
#
#	  passfile, ca.crt, ca.key, pg_config (of which PostgreSQL)
#	  group1/host1/{data,log,port,server.crt,server.key}, group2/host1/...
#
# Only processes are touched whose working directory is below that directory.
#
here=$(pwd)
pg_config_given=${PG_CONFIG:-}
cd "$(dirname "$0")/.." || exit 1
. src/tools/common.sh
. docker/lib/places.sh
. docker/lib/server.sh
. docker/lib/daemon.sh
. docker/lib/ha.sh
. docker/lib/hosts.sh

usage()
{
	cat <<'END'
usage: docker/local.sh COMMAND [--dir DIRECTORY] ...

  up [--groups N] [--hosts N] [--ha]
                          start a cluster of N groups (3), or what is stopped
                          of it, or add groups and hosts to it; a group has
                          one host, unless --hosts says how many; --ha: they
                          fail over (3 hosts)
  status                  list the nodes
  psql [GROUP[/HOST]] [ARG...]
                          psql on a group's primary (1), or on one host, with
                          further arguments
  stop GROUP[/HOST]       stop a group or a host in an orderly way
  start GROUP[/HOST]      start it again
  kill GROUP[/HOST]       kill it, as a crash would
  restart GROUP/HOST [--pg-config FILE]
                          stop and start it, from then on with that PostgreSQL
  add-host GROUP          one more host for a group, with a copy of its data
  down [--delete]         stop all nodes; --delete removes their data too

with --ha only, where a host is both its Patroni and its PostgreSQL:

  switchover GROUP [HOST] give the lead to another host
  pause [GROUP]           no elections, for maintenance
  resume [GROUP]          elections again
  roll [GROUP] [--pg-config FILE] [--since TIME]
                          restart all hosts one after the other, while the
                          cluster goes on; with another PostgreSQL of the same
                          release, where a newer vecdb is installed
  rebuild GROUP/HOST      throw a host's data away, and copy its primary's
  kill etcd/N             one of three etcd; stop and start, too

DIRECTORY is VECDB_LOCAL_DIR, or else ~/.local/state/vecdb-local; for root
/var/lib/vecdb-local.  PG_CONFIG names the PostgreSQL of a new cluster, which
remembers it.
END
}

# --- what is asked for -------------------------------------------------------

check_programs()
{
	# what was given is for a new cluster, or when that one is gone
	if [ -r "$dir/pg_config" ]; then
		remembered=$(cat "$dir/pg_config")
		if [ -z "$pg_config_given" ] || command -v "$remembered" >/dev/null; then
			PG_CONFIG=$remembered
		fi
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

# arguments of "up": set "groups", "hosts" and "ha", or leave them empty
parse_up()
{
	groups='' hosts='' ha=no
	! is_ha || ha=yes
	while [ $# -gt 0 ]; do
		case $1 in
			--groups | --hosts) [ $# -ge 2 ] || die "$1 wants a number."
				[ "$1" = --hosts ] && hosts=$2 || groups=$2
				shift 2 ;;
			--groups=*) groups=${1#*=}; shift ;;
			--hosts=*) hosts=${1#*=}; shift ;;
			--ha) ha=yes; shift ;;
			*) die "\"$1\" means nothing to \"up\"; docker/local.sh help lists what does." ;;
		esac
	done
}

# numbers of groups and of hosts: what was asked, what is there, or a default
settle_numbers()
{
	there=$(all_groups | wc -l)
	hosts_there=$(hosts_of 1 | wc -l)
	hosts_asked=$hosts
	if [ "$ha" = yes ] && [ "$there" -gt 0 ] && ! is_ha; then
		die "The cluster in $dir was made without --ha.
Name another directory with --dir for one that has it."
	fi
	default_hosts=1
	[ "$ha" = no ] || default_hosts=3
	[ "$there" -eq 0 ] || default_hosts=$hosts_there
	[ -n "$hosts" ] || hosts=$default_hosts
	[ -n "$groups" ] || { groups=$there; [ "$there" -gt 0 ] || groups=3; }
	is_number "$groups" || die "\"$groups\" is no number of groups."
	is_number "$hosts" || die "\"$hosts\" is no number of hosts."
	[ "$groups" -le 64 ] || die "$groups groups are too many for one machine; 64 are the most."
	[ "$hosts" -le 8 ] || die "$hosts hosts are too many for a group; 8 are the most."
	[ "$groups" -ge "$there" ] ||
		die "The cluster in $dir has $there groups already; \"up\" takes none away."
	[ "$hosts" -ge "$hosts_there" ] ||
		die "Groups of the cluster in $dir have $hosts_there hosts already; \"up\" takes none away."
	# it is in the settings that etcd keeps, and which kind it is was said
	if is_ha && [ "$there" -gt 0 ] && [ "$hosts" -ne "$hosts_there" ]; then
		die "Groups of the cluster in $dir have $hosts_there hosts; with --ha \"add-host\" adds one."
	fi
}

# --- commands ----------------------------------------------------------------

command_up()
{
	parse_up "$@"
	settle_numbers
	check_vecdb
	[ "$ha" = no ] || check_ha_programs
	make_directory
	need_cluster_owner
	if [ "$ha" = yes ]; then
		up_ha "$groups" "$hosts"
	else
		up_plain "$groups" "$hosts"
	fi
	command_status
	say "Try: docker/local.sh psql$([ "$dir" = "$(absolute "$(default_directory)")" ] || echo " --dir '$dir'")"
}

# How many hosts a group has to have: what was asked for, or what it has if
# that is more or nothing was, or what groups have that are new
settled_hosts()
{
	has=$(hosts_of "$1" | wc -l)
	if [ "$has" -gt 0 ] && { [ -z "$hosts_asked" ] || [ "$has" -gt "$2" ]; }; then
		echo "$has"
	else
		echo "$2"
	fi
}

# so many groups of so many hosts, which do not fail over: GROUPS HOSTS
up_plain()
{
	for number in $(seq "$1"); do
		make_node "$number" 1
		start_node "$number" 1
		prepare_group "$number"
		join_cluster "$number"
		for index in $(seq 2 "$(settled_hosts "$number" "$2")"); do
			make_standby "$number" "$index"
			start_node "$number" "$index"
		done
		join_hosts "$number"
	done
}

# role, timeline and position in the WAL of a host, which has to answer
host_facts()
{
	try_sql "$1" postgres -F ' ' -c "SELECT
		CASE WHEN pg_is_in_recovery() THEN 'standby' ELSE 'primary' END,
		CASE WHEN pg_is_in_recovery()
			THEN coalesce((SELECT received_tli FROM pg_stat_wal_receiver),
				(SELECT timeline_id FROM pg_control_checkpoint()))
			ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int
		END,
		CASE WHEN pg_is_in_recovery()
			THEN coalesce(pg_last_wal_replay_lsn(), '0/0')
			ELSE pg_current_wal_lsn() END - '0/0'::pg_lsn"
}

# one line for each host of a group; the lag is counted from its primary
show_group()
{
	for index in $(hosts_of "$1"); do
		node=$(node_dir "$1" "$index")
		address=-
		[ ! -e "$node/port" ] || address=127.0.0.1:$(cat "$node/port")
		pid=$(node_pid "$1" "$index")
		facts=
		state=stopped
		if [ -n "$pid" ]; then
			state=running
			facts=$(host_facts "$1/$index") || state="not answering"
		fi
		if is_ha && [ -z "$(daemon_pid "$node")" ]; then
			[ -z "$pid" ] || state="$state, without Patroni"
		elif is_ha && [ -z "$pid" ]; then
			state="Patroni only: $(patroni_says "$1" "$index")"
		fi
		echo "$1/$index $address ${pid:--} ${facts:-- - -} $state"
	done | awk '
		{ line[NR] = $0; if ($4 == "primary") end = $6 }
		END {
			for (i = 1; i <= NR; i++) {
				split(line[i], part)
				lag = part[4] == "standby" && end != "" ? (end > part[6] ? end - part[6] : 0) " B" : "-"
				state = line[i]
				for (j = 1; j <= 6; j++)
					sub(/^[^ ]+ /, "", state)
				printf "%-14s %-16s %-8s %-8s %-8s %-9s %s\n", part[1], part[2], part[3], part[4], part[5], lag, state
			}
		}'
}

command_status()
{
	printf '%-14s %-16s %-8s %-8s %-8s %-9s %s\n' node address pid role timeline lag state
	for number in $(all_groups); do
		show_group "$number"
	done
	is_ha || return 0
	for name in etcd/1 etcd/2 etcd/3 haproxy/write haproxy/read; do
		case $name in
			etcd/*) place=$dir/etcd${name#*/} port_file=port ;;
			*) place=$dir/haproxy port_file=${name#*/}_port ;;
		esac
		[ -e "$place/$port_file" ] || continue
		pid=$(daemon_pid "$place")
		printf '%-14s %-16s %-8s %-8s %-8s %-9s %s\n' "$name" \
			"127.0.0.1:$(cat "$place/$port_file")" "${pid:--}" - - - "$(daemon_state "$place")"
	done
}

command_psql()
{
	group=1 host=
	case ${1:-} in
		'' | -*) ;;
		*) parse_node "$1"; shift ;;
	esac
	if [ -n "$host" ]; then
		[ -n "$(node_pid "$group" "$host")" ] ||
			die "Node $group/$host is not running.  Start it with: docker/local.sh start $group/$host"
	else
		running=
		for index in $(hosts_of "$group"); do
			running=$running$(node_pid "$group" "$index")
		done
		[ -n "$running" ] ||
			die "Group $group is not running.  Start it with: docker/local.sh start $group"
	fi
	target=$(connection "$group${host:+/$host}")
	cd "$here"
	PGPASSFILE=$dir/passfile exec "$psql" -d "$target user=postgres dbname=vecdb" "$@"
}

command_down()
{
	delete=no
	case ${1:-} in
		'') ;;
		--delete) delete=yes ;;
		*) die "\"$1\" means nothing to \"down\"." ;;
	esac
	if is_ha; then
		down_ha
	else
		# primaries first, which tell their standbys all that they know
		for node_name in $(all_nodes); do
			stop_node "${node_name%/*}" "${node_name#*/}"
		done
	fi
	[ "$delete" = no ] || delete_cluster
}

# remove what this script made, when nothing runs
delete_cluster()
{
	for node_name in $(all_nodes); do
		[ -z "$(node_pid "${node_name%/*}" "${node_name#*/}")" ] ||
			die "Node $node_name still runs; nothing is deleted."
	done
	for number in $(all_groups | sort -rn); do
		rm -rf "$dir/group$number"
	done
	rm -rf "$dir/etcd1" "$dir/etcd2" "$dir/etcd3" "$dir/haproxy"
	rm -rf "$dir/.config" "$dir/.cache"
	rm -f "$dir/passfile" "$dir/ca.crt" "$dir/ca.key" "$dir/pg_config" "$dir/ha"
	rmdir "$dir" || die "$dir holds what this script did not make; that is left."
	say "Deleted $dir."
}

# one node or one group, named by the user: COMMAND NODE
command_node()
{
	[ $# -eq 2 ] || die "\"$1\" wants one node, such as: docker/local.sh $1 2"
	case $2 in
		etcd/*)
			need_ha "$2"
			etcd_node "$1" "${2#*/}"
			return 0
			;;
	esac
	parse_node "$2"
	if is_ha; then
		ha_node "$1" "$group" "$host"
		return 0
	fi
	for index in ${host:-$(hosts_of "$group")}; do
		"${1}_node" "$group" "$index"
	done
}

need_ha()
{
	is_ha || die "The cluster in $dir was made without --ha: there is no $1."
	check_ha_programs
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
	up | status | psql | stop | start | kill | down | restart | add-host) ;;
	switchover | pause | resume | roll | rebuild) ;;
	help | --help | -h) usage; exit 0 ;;
	'') usage >&2; exit 1 ;;
	*) die "There is no command \"$command\"; docker/local.sh help lists them." ;;
esac
# "up --groups 3 --dir x", too; what follows psql is psql's
if [ "$command" != psql ]; then
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
unset PGOPTIONS PGSERVICE PGSERVICEFILE PGHOSTADDR PGSSLMODE PGDATABASE \
	PGUSER PGHOST PGPORT PGPASSWORD PGTARGETSESSIONATTRS

[ "$command" = up ] || need_cluster
if [ "$command" = psql ]; then
	command_psql "$@"
fi
scratch=$(mktemp)
trap 'rm -f "$scratch"' EXIT
trap 'exit 1' INT TERM HUP
case $command in
	up) command_up "$@" ;;
	status) command_status ;;
	down) command_down "$@" ;;
	switchover) need_ha "switch-over"; command_switchover "$@" ;;
	pause | resume) need_ha "Patroni"; command_elections "$command" "$@" ;;
	roll) need_ha "host that another one stands in for"; command_roll "$@" ;;
	rebuild) need_ha "Patroni"; command_rebuild "$@" ;;
	restart | add-host)
		! is_ha || check_ha_programs
		command_"$(echo "$command" | tr - _)" "$@"
		;;
	*)
		! is_ha || check_ha_programs
		command_node "$command" "$@"
		;;
esac
