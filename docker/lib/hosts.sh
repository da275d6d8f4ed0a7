# shellcheck shell=sh disable=SC2154
# Sourced by docker/local.sh: hosts one by one: restarted, perhaps with another
# PostgreSQL or vecdb, added to a group, made anew.
#
# A host's directory has a file "pg_config" while its PostgreSQL is another
# than the cluster's.

# --- restarting, with another PostgreSQL -------------------------------------

# arguments "--pg-config FILE" and "--since TIME", and one that is none: set
# "new_config", "since" and "target"
parse_hosts()
{
	new_config='' since='' target=''
	while [ $# -gt 0 ]; do
		case $1 in
			--pg-config | --since) [ $# -ge 2 ] || die "$1 wants a value."
				[ "$1" = --since ] && since=$2 || new_config=$2
				shift 2 ;;
			--pg-config=*) new_config=${1#*=}; shift ;;
			--since=*) since=${1#*=}; shift ;;
			-*) die "\"$1\" means nothing to \"$command\"; docker/local.sh help lists what does." ;;
			*) [ -z "$target" ] || die "\"$command\" wants one node, and not \"$1\" as well."
				target=$1; shift ;;
		esac
	done
	[ -z "$new_config" ] || check_new_config
}

# another PostgreSQL has to be of the same release, and to have vecdb
check_new_config()
{
	new_config=$(cd "$here" && command -v "$new_config") ||
		die "There is no such pg_config."
	new_config=$(absolute "$new_config")
	new_bindir=$("$new_config" --bindir) && [ -x "$new_bindir/postgres" ] ||
		die "There is no PostgreSQL server in ${new_bindir:-the place that $new_config names}."
	new_release=$("$new_config" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
	release=$("$PG_CONFIG" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
	[ "$new_release" = "$release" ] ||
		die "$new_bindir is PostgreSQL $new_release, and the data is of $release: that wants pg_upgrade."
	[ -e "$("$new_config" --pkglibdir)/vecdb.so" ] ||
		die "vecdb is not installed in the PostgreSQL of $new_bindir."
	as_server_user test -x "$new_bindir/postgres" ||
		die "User $(server_user), who runs the servers, cannot enter $new_bindir."
}

command_restart()
{
	parse_hosts "$@"
	[ -n "$target" ] || die "\"restart\" wants a host, such as: docker/local.sh restart 2/1"
	parse_node "$target"
	if [ -n "$new_config" ]; then
		[ -n "$host" ] ||
			die "With --pg-config \"restart\" wants one host, such as $group/1; \"roll\" takes them all."
	fi
	for index in ${host:-$(hosts_of "$group")}; do
		restart_host "$group" "$index"
	done
}

restart_host()
{
	if is_ha; then
		stop_ha_host "$1" "$2"
	else
		stop_node "$1" "$2"
	fi
	[ -z "$new_config" ] || printf '%s\n' "$new_config" |
		as_server_user sh -c 'cat >"$1"' sh "$(node_dir "$1" "$2")/pg_config"
	if is_ha; then
		start_patroni "$1" "$2"
		await_host "$1" "$2" 90
	else
		start_node "$1" "$2"
	fi
}

# restart all hosts of one group or all, none of which is missed: see
# docker/ha/rolling_restart.py
command_roll()
{
	parse_hosts "$@"
	groups=$(all_groups)
	if [ -n "$target" ]; then
		parse_node "$target"
		[ -z "$host" ] || die "\"roll\" takes all hosts of a group; for one there is \"restart\"."
		groups=$group
	fi
	for number in $groups; do
		roll_group "$number"
	done
	[ -z "$new_config" ] || settle_config
}

roll_group()
{
	login="user=postgres dbname=vecdb passfile='$dir/passfile' sslmode=verify-full sslrootcert='$dir/ca.crt'"
	restart="exec '$TOP/docker/local.sh' --dir '$dir' restart $1/\${VECDB_MEMBER##*-host}"
	set -- "$1" --auth "$(node_dir "$1" 1)/patroni_auth" --connect "$login"
	if [ -n "$new_config" ]; then
		restart="$restart --pg-config '$new_config'"
		set -- "$@" --version "$(sed -n "s/^default_version *= *'\(.*\)'/\1/p" \
			"$("$new_config" --sharedir)/extension/vecdb.control")"
	fi
	set -- "$@" --restart "$restart"
	[ -z "$since" ] || set -- "$@" --since "$since"
	# of another group, whose sessions stay
	for other in $(all_groups); do
		[ "$other" = "$1" ] || {
			set -- "$@" --through "$(connection "$other") user=postgres dbname=vecdb passfile='$dir/passfile'"
			break
		}
	done
	for roll_host in $(hosts_of "$1"); do
		set -- "$@" "https://127.0.0.1:$(cat "$(node_dir "$1" "$roll_host")/api_port")"
	done
	shift
	(PATH=$bindir:$PATH PYTHONDONTWRITEBYTECODE=1 \
		"$patroni_dir/bin/python" docker/ha/rolling_restart.py "$@") ||
		die "Not all hosts were restarted."
}

# when all hosts have one PostgreSQL it is the cluster's
settle_config()
{
	for node_name in $(all_nodes); do
		config_file=$(node_dir "${node_name%/*}" "${node_name#*/}")/pg_config
		[ -e "$config_file" ] && [ "$(cat "$config_file")" = "$new_config" ] || return 0
	done
	printf '%s\n' "$new_config" | as_server_user sh -c 'cat >"$1"' sh "$dir/pg_config"
	for node_name in $(all_nodes); do
		as_server_user rm "$(node_dir "${node_name%/*}" "${node_name#*/}")/pg_config"
	done
	say "All hosts run PostgreSQL and vecdb of $("$new_config" --bindir)."
}

# --- new hosts ---------------------------------------------------------------

command_add_host()
{
	[ $# -eq 1 ] || die "\"add-host\" wants a group, such as: docker/local.sh add-host 2"
	parse_node "$1"
	[ -z "$host" ] || die "\"add-host\" wants a group; the host gets the next number."
	has=$(hosts_of "$group" | wc -l)
	[ "$has" -lt 8 ] || die "Group $group has $has hosts; 8 are the most."
	has_primary "$group" ||
		die "Group $group has no primary, of whose data a new host could be a copy."
	check_vecdb
	if is_ha; then
		add_ha_host "$group" $((has + 1))
	else
		make_standby "$group" $((has + 1))
		start_node "$group" $((has + 1))
		join_hosts "$group"
	fi
	say "Host $group/$((has + 1)) is in the cluster."
}

add_ha_host()
{
	make_ha_node "$1" "$2"
	start_patroni "$1" "$2"
	await_host "$1" "$2" 600
	join_hosts "$1"
	# the promise that COMMIT waits for a second disk; see start_patroni()
	case $2 in
		2) patroni_control "$1" edit-config --quiet --force \
			-s synchronous_mode=quorum "vecdb-g$1" ;;
		3) patroni_control "$1" edit-config --quiet --force \
			-s synchronous_mode_strict=true "vecdb-g$1" ;;
	esac
	wait_for 120 has_standbys "$1" $(($2 - 1)) ||
		{ show_log "$1" "$2"; die "The standbys of group $1 do not replicate synchronously."; }
	[ -z "$(daemon_pid "$dir/haproxy")" ] || start_haproxy
}

# a host that is beyond repair: Patroni removes its data, and copies
command_rebuild()
{
	[ $# -eq 1 ] || die "\"rebuild\" wants a host, such as: docker/local.sh rebuild 2/1"
	parse_node "$1"
	[ -n "$host" ] || die "\"rebuild\" wants one host, such as $group/1."
	node=$(node_dir "$group" "$host")
	[ -n "$(daemon_pid "$node")" ] ||
		die "Patroni of host $group/$host is not running.  Start it with: docker/local.sh start $group/$host"
	patroni_control "$group" reinit --force --wait "vecdb-g$group" "group$group-host$host" \
		>"$scratch" 2>&1 && ! grep -qi 'failed' "$scratch" || {
		cat "$scratch" >&2
		die "Patroni does not rebuild host $group/$host."
	}
	await_host "$group" "$host" 600
	say "Host $group/$host has a new copy of its group's data."
}
