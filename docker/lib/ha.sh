# shellcheck shell=sh disable=SC2154
# Sourced by docker/local.sh: groups that replicate and fail over, by three
# etcd, Patroni for each host, and HAProxy in front.  What they are told is in
# docker/ha/*.in.
#
# Further files: ha (this is such a cluster), etcd1/ to etcd3/, haproxy/, and in
# a host's directory what Patroni runs with: patroni.yml, api_port, pid.

# --- programs ----------------------------------------------------------------

# Set "patroni_dir", whose bin/ has patroni and patronictl; empty if there is
# none, or only an old one, which then is in "old_patroni".
find_patroni()
{
	old_patroni=
	for patroni_dir in $(patroni_places); do
		version=$(as_server_user "$patroni_dir/bin/patroni" --version 2>/dev/null) ||
			continue
		version=${version##* }
		case $version in
			[0-3].* | 4.0.*) old_patroni="Patroni $version" ;;
			*) return 0 ;;
		esac
	done
	patroni_dir=
}

check_ha_programs()
{
	PATH=$PATH:/usr/sbin:/sbin
	lacking=
	for program in etcd haproxy setsid timeout; do
		command -v $program >/dev/null || lacking="$lacking $program"
	done
	find_patroni
	[ -n "$patroni_dir$old_patroni" ] || lacking="$lacking patroni"
	[ -z "$lacking" ] || die "Replicated groups need programs that are not here:$lacking.
To install them: src/tools/install-deps.sh ha"
	[ -n "$patroni_dir" ] || die "There is only $old_patroni, which can lose what was acknowledged when a host
was frozen for a while.  4.1 or newer is needed; to install it in a directory
of its own: src/tools/install-deps.sh ha"
	# settings in the environment would win over those in files
	for variable in $(env | sed -n 's/^\(\(PATRONI_\|ETCD_\|PYTHON\)[A-Z0-9_]*\)=.*/\1/p'); do
		unset "$variable"
	done
	# etcd starts on other processors only when told that one means it
	ETCD_UNSUPPORTED_ARCH=$(uname -m | sed 's/aarch64/arm64/; s/x86_64/amd64/')
	export ETCD_UNSUPPORTED_ARCH
}

# patronictl for a group: GROUP ARG...
patroni_control()
{
	control_file=$(node_dir "$1" 1)/patroni.yml
	shift
	(cd / && as_server_user env HOME="$dir" LC_ALL=C.UTF-8 timeout 120 \
		"$patroni_dir/bin/patronictl" -c "$control_file" "$@")
}

# --- etcd --------------------------------------------------------------------

make_etcd()
{
	for number in 1 2 3; do
		etcd=$dir/etcd$number
		[ ! -e "$etcd/made" ] || continue
		rm -rf "$etcd"
		as_server_user mkdir -p "$etcd"
		make_certificate "$etcd" "etcd$number"
		choose_ports "$etcd" port peer_port
		as_server_user sh -c ': >"$1"' sh "$etcd/made"
	done
}

start_etcd()
{
	members=
	for number in 1 2 3; do
		members=$members${members:+,}etcd$number=https://127.0.0.1:$(cat "$dir/etcd$number/peer_port")
	done
	etcd=$dir/etcd$1
	fill_template docker/ha/etcd.yml.in "$etcd/etcd.yml" NAME="etcd$1" \
		DIR="$etcd" LISTEN=127.0.0.1 ADDRESS=127.0.0.1 \
		PORT="$(cat "$etcd/port")" PEER_PORT="$(cat "$etcd/peer_port")" \
		MEMBERS="$members" CA="$dir/ca.crt" CERT="$etcd/server.crt" \
		KEY="$etcd/server.key"
	start_daemon "$etcd" etcd --config-file "$etcd/etcd.yml"
}

# --- hosts -------------------------------------------------------------------

make_ha_node()
{
	begin_node "$1" "$2" || return 0
	choose_ports "$node" port api_port
	as_server_user sh -c ': >"$1"' sh "$node/made"
}

# Patroni of a host, which starts PostgreSQL when it sees fit
start_patroni()
{
	node=$(node_dir "$1" "$2")
	etcd_addresses=
	for number in 1 2 3; do
		etcd_addresses="$etcd_addresses${etcd_addresses:+, }127.0.0.1:$(cat "$dir/etcd$number/port")"
	done
	# the promise that COMMIT waits for a second disk needs a third host, or
	# one that is down would stop all writes
	case $(hosts_of "$1" | wc -l) in
		1) sync=off strict=false ;;
		2) sync=quorum strict=false ;;
		*) sync=quorum strict=true ;;
	esac
	fill_template docker/ha/patroni.yml.in "$node/patroni.yml" \
		GROUP="$1" NAME="group$1-host$2" LISTEN=127.0.0.1 ADDRESS=127.0.0.1 \
		PORT="$(cat "$node/port")" API_PORT="$(cat "$node/api_port")" \
		NETWORK=127.0.0.1/32 DIR="$node" DATA="$node/data" \
		BINDIR="$(host_bindir "$1" "$2")" \
		ETCD="$etcd_addresses" SYNC=$sync STRICT=$strict WATCHDOG=off \
		CA="$dir/ca.crt" CERT="$node/server.crt" KEY="$node/server.key" \
		PASSFILE="$dir/passfile" AUTH="$node/patroni_auth"
	fill_template docker/ha/patroni_auth.in "$node/patroni_auth" \
		CA="$dir/ca.crt" CERT="$node/server.crt" KEY="$node/server.key"
	start_daemon "$node" "$patroni_dir/bin/patroni" "$node/patroni.yml"
}

# a whole host, Patroni and PostgreSQL
stop_ha_host()
{
	node=$(node_dir "$1" "$2")
	stop_daemon "$node" 90
	# Patroni has stopped it, unless it was dead itself
	[ -z "$(node_pid "$1" "$2")" ] || stop_node "$1" "$2" >/dev/null
	say "Host $1/$2 is stopped."
}

kill_ha_host()
{
	node=$(node_dir "$1" "$2")
	[ -n "$(daemon_pid "$node")$(node_pid "$1" "$2")" ] ||
		die "Host $1/$2 is not running."
	kill_daemon "$node"
	[ -z "$(node_pid "$1" "$2")" ] || kill_node "$1" "$2" >/dev/null
	say "Host $1/$2 is killed, with its Patroni."
}

# does it let clients in?
host_answers()
{
	[ "$(try_sql "$1/$2" postgres -c 'SELECT 1')" = 1 ]
}

# how far copies of a group's hosts are; Patroni copies standbys, if it can
clone_progress()
{
	for source in $(hosts_of "$1"); do
		try_sql "$1/$source" vecdb -c "SELECT ' (' || phase || coalesce(', ' || percent || ' %', '') || ')' FROM vecdb.clones" || true
	done
}

# what a host's Patroni said last, and how far the copy is that it waits for
patroni_says()
{
	said=$(as_server_user tail -n 50 "$(node_dir "$1" "$2")/daemon.log" 2>/dev/null |
		sed -n 's/^[-0-9]* [0-9:,]* \(INFO\|WARNING\|ERROR\): //p' | tail -n 1)
	case $said in
		bootstrap\ from* | reinit*) said=$said$(clone_progress "$1") ;;
	esac
	printf '%s\n' "$said" | head -n 1 | cut -c 1-100
}

# wait until a host answers, and say what it does meanwhile: GROUP HOST SECONDS
await_host()
{
	said_before=
	await_end=$(($(date +%s) + $3))
	until host_answers "$1" "$2"; do
		[ "$(date +%s)" -lt "$await_end" ] || {
			show_log "$1" "$2"
			die "Host $1/$2 does not answer yet; its log is $(node_dir "$1" "$2")/daemon.log."
		}
		says=$(patroni_says "$1" "$2")
		if [ -n "$says" ] && [ "$says" != "$said_before" ]; then
			said_before=$says
			say "Host $1/$2: $says"
		fi
		sleep 0.5
	done
}

has_primary()
{
	[ "$(try_sql "$1" postgres -c 'SELECT 1')" = 1 ]
}

# Do so many standbys replicate synchronously?  Only the group's own count.
has_standbys()
{
	[ "$(try_sql "$1" postgres -c "SELECT count(*) FROM pg_stat_replication
		WHERE sync_state IN ('quorum', 'sync')
		AND application_name LIKE 'group$1-host%'" || echo 0)" -ge "$2" ]
}

show_log()
{
	as_server_user tail -n 15 "$(node_dir "$1" "$2")/daemon.log" >&2
}

# --- HAProxy -----------------------------------------------------------------

# the server lines of all hosts, which ask for their health themselves ("check")
# or take what is known from "write" ("track")
proxy_servers()
{
	for proxy_node in $(all_nodes); do
		proxy_dir=$(node_dir "${proxy_node%/*}" "${proxy_node#*/}")
		proxy_name=group${proxy_node%/*}-host${proxy_node#*/}
		case $1 in
			check) health="check port $(cat "$proxy_dir/api_port") verifyhost $proxy_name" ;;
			track) health="track write/$proxy_name" ;;
		esac
		echo "  server $proxy_name 127.0.0.1:$(cat "$proxy_dir/port") $health"
	done
}

# write its configuration; false if that is as it was
configure_proxy()
{
	proxy=$dir/haproxy
	as_server_user mkdir -p "$proxy"
	[ -e "$proxy/read_port" ] || choose_ports "$proxy" write_port read_port
	fill_template docker/ha/haproxy.cfg.in "$proxy/haproxy.new" \
		CA="$dir/ca.crt" LISTEN=127.0.0.1 RESOLVERS= \
		SERVERS="$(proxy_servers check)" TRACKED="$(proxy_servers track)" \
		WRITE_PORT="$(cat "$proxy/write_port")" \
		READ_PORT="$(cat "$proxy/read_port")"
	! cmp -s "$proxy/haproxy.new" "$proxy/haproxy.cfg" || return 1
	as_server_user mv "$proxy/haproxy.new" "$proxy/haproxy.cfg"
}

start_haproxy()
{
	if configure_proxy; then
		stop_daemon "$dir/haproxy" 5
	fi
	as_server_user sh -c 'cd "$1" && haproxy -c -q -f haproxy.cfg' sh "$dir/haproxy" ||
		die "HAProxy does not take its configuration, $dir/haproxy/haproxy.cfg."
	start_daemon "$dir/haproxy" haproxy -db -f "$dir/haproxy/haproxy.cfg"
}

# --- all of it ---------------------------------------------------------------

# so many groups of so many hosts, but groups that are there keep theirs:
# GROUPS HOSTS
up_ha()
{
	began=$(date +%s)
	as_server_user sh -c ': >"$1"' sh "$dir/ha"
	make_etcd
	for number in 1 2 3; do
		start_etcd $number
	done
	say "Started three etcd."
	for number in $(seq "$1"); do
		for index in $(seq "$(settled_hosts "$number" "$2")"); do
			make_ha_node "$number" "$index"
		done
	done
	# the first host of each group makes the database, the others wait for it
	for number in $(all_groups); do
		start_patroni "$number" 1
	done
	for number in $(all_groups); do
		wait_for 60 test -d "$(node_dir "$number" 1)/data" ||
			{ show_log "$number" 1; die "Patroni of host $number/1 does not begin."; }
	done
	for node_name in $(all_nodes); do
		start_patroni "${node_name%/*}" "${node_name#*/}"
	done
	say "Started Patroni on $(all_nodes | wc -l) hosts."
	for number in $(all_groups); do
		wait_for 120 has_primary "$number" ||
			{ show_log "$number" 1; die "Group $number has no primary."; }
		prepare_group "$number"
		join_cluster "$number"
	done
	for node_name in $(all_nodes); do
		await_host "${node_name%/*}" "${node_name#*/}" 120 >/dev/null
	done
	for number in $(all_groups); do
		join_hosts "$number"
		wait_for 120 has_standbys "$number" $(($(hosts_of "$number" | wc -l) - 1)) ||
			{ show_log "$number" 1; die "The standbys of group $number do not replicate synchronously."; }
	done
	start_haproxy
	say "Ready after $(($(date +%s) - began)) s."
	[ "$2" -ge 3 ] ||
		say "With fewer than three hosts in a group COMMIT is answered by one host alone when
the others are down, and is lost with that."
}

# all at once: each then has the time that it needs
down_ha()
{
	end_daemon "$dir/haproxy"
	for node_name in $(all_nodes); do
		end_daemon "$(node_dir "${node_name%/*}" "${node_name#*/}")"
	done
	for node_name in $(all_nodes); do
		stop_ha_host "${node_name%/*}" "${node_name#*/}"
	done
	stop_daemon "$dir/haproxy" 5
	for number in 1 2 3; do
		end_daemon "$dir/etcd$number"
	done
	for number in 1 2 3; do
		stop_daemon "$dir/etcd$number" 20
	done
}

# start, stop or kill one etcd
etcd_node()
{
	case $2 in
		1 | 2 | 3) ;;
		*) die "There are etcd/1, etcd/2 and etcd/3." ;;
	esac
	case $1 in
		start) start_etcd "$2" ;;
		stop) stop_daemon "$dir/etcd$2" 20 ;;
		kill)
			[ -n "$(daemon_pid "$dir/etcd$2")" ] || die "etcd/$2 is not running."
			kill_daemon "$dir/etcd$2"
			;;
	esac
	say "etcd/$2: $(daemon_state "$dir/etcd$2")"
}

daemon_state()
{
	if [ -n "$(daemon_pid "$1")" ]; then
		echo running
	else
		echo stopped
	fi
}

# stop, start or kill hosts of a group
ha_node()
{
	for number in ${3:-$(hosts_of "$2")}; do
		case $1 in
			start) start_patroni "$2" "$number" ;;
			stop) stop_ha_host "$2" "$number" ;;
			kill) kill_ha_host "$2" "$number" ;;
		esac
	done
	[ "$1" = start ] || return 0
	for number in ${3:-$(hosts_of "$2")}; do
		await_host "$2" "$number" 90
		say "Host $2/$number is started."
	done
	# a whole group has to elect first
	[ -n "$3" ] || wait_for 90 has_primary "$2" ||
		die "Group $2 has no primary yet; see: docker/local.sh status"
}

# give the lead of a group to another host: GROUP [HOST]
command_switchover()
{
	[ $# -ge 1 ] || die "\"switchover\" wants a group, such as: docker/local.sh switchover 2"
	parse_node "$1${2:+/$2}"
	set -- switchover "vecdb-g$group" --force
	[ -z "$host" ] || set -- "$@" --candidate "group$group-host$host"
	patroni_control "$group" "$@" >"$scratch" 2>&1 || true
	grep -q '^.*Successfully switched over' "$scratch" || {
		cat "$scratch" >&2
		die "The lead of group $group stays where it is."
	}
	grep 'Successfully switched over' "$scratch"
}

# pause or resume elections: COMMAND [GROUP]
command_elections()
{
	[ -z "${2:-}" ] || parse_node "$2"
	for number in ${group:-$(all_groups)}; do
		patroni_control "$number" "$1" --wait "vecdb-g$number"
	done
}
