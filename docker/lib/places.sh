# shellcheck shell=sh disable=SC2154
# Sourced by docker/local.sh: where things are, and what names of them mean.
#
# Set there: here (the caller's directory), dir (the cluster's).

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
		*\'* | *\"* | *\\* | *:* | *'
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

# is this a cluster with Patroni?
is_ha()
{
	[ -e "$dir/ha" ]
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
	each_group=1
	while [ -d "$dir/group$each_group" ]; do
		echo "$each_group"
		each_group=$((each_group + 1))
	done
}

# the hosts of a group, by their numbers
hosts_of()
{
	each_host=1
	while [ -d "$(node_dir "$1" "$each_host")" ]; do
		echo "$each_host"
		each_host=$((each_host + 1))
	done
}

# all nodes as GROUP/HOST
all_nodes()
{
	for node_group in $(all_groups); do
		for node_host in $(hosts_of "$node_group"); do
			echo "$node_group/$node_host"
		done
	done
}

need_cluster()
{
	[ -d "$dir/group1" ] || die "There is no cluster in $dir.
Start one with: docker/local.sh up"
	need_cluster_owner
}

need_cluster_owner()
{
	as_server_user test -w "$dir/passfile" && [ -r "$dir/passfile" ] ||
		die "The cluster in $dir belongs to another user."
}

# is it a number from 1 on?
is_number()
{
	case $1 in
		'' | *[!0-9]* | 0*) return 1 ;;
	esac
}

# GROUP[/HOST] given by the user: sets "group" and "host", which is empty when
# all hosts of the group are meant
parse_node()
{
	case $1 in
		*/*) group=${1%%/*} host=${1#*/} ;;
		*) group=$1 host= ;;
	esac
	is_number "$group" && is_number "${host:-1}" && [ "$1" != "$group/" ] ||
		die "\"$1\" is no node; write GROUP or GROUP/HOST, such as 2 or 2/1."
	[ -d "$dir/group$group" ] ||
		die "There is no group $group in $dir; there are groups 1 to $(all_groups | wc -l)."
	[ -z "$host" ] || [ -d "$(node_dir "$group" "$host")" ] ||
		die "Group $group has no host $host."
}

# wait_for SECONDS COMMAND...: until the command succeeds; false if it did not
wait_for()
{
	wait_end=$(($(date +%s) + $1))
	shift
	until "$@"; do
		[ "$(date +%s)" -lt "$wait_end" ] || return 1
		sleep 0.2
	done
}
