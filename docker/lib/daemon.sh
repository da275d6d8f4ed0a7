# shellcheck shell=sh disable=SC2154
# Sourced by docker/local.sh: programs that run in the background without
# being told to by PostgreSQL: etcd, Patroni and HAProxy.
#
# Each has a directory, which is its working directory, with the files "pid"
# and "daemon.log".

# the pid of a directory's program, or nothing: pids are used again
daemon_pid()
{
	[ -e "$1/pid" ] || return 0
	pid=$(cat "$1/pid" 2>/dev/null)
	case $pid in '' | *[!0-9]*) return 0 ;; esac
	[ "$(readlink "/proc/$pid/cwd" 2>/dev/null)" = "$(realpath "$1")" ] ||
		return 0
	echo "$pid"
}

# start_daemon DIRECTORY COMMAND...: does not wait for anything but the pid
start_daemon()
{
	daemon=$1
	shift
	[ -z "$(daemon_pid "$daemon")" ] || return 0
	as_server_user rm -f "$daemon/pid"
	# a session of its own, so that Ctrl-C in ours does not reach it
	(cd / && as_server_user setsid --fork env HOME="$dir" sh -c '
		cd "$1"
		shift
		echo $$ >pid.new
		mv pid.new pid
		exec "$@" >>daemon.log 2>&1' sh "$daemon" "$@" \
		</dev/null >/dev/null 2>&1)
	wait_for 30 test -e "$daemon/pid" || die "$1 does not start."
}

# is it gone?
daemon_gone()
{
	[ -z "$(daemon_pid "$1")" ]
}

# ask it to end, without waiting; one that is frozen would not hear it
end_daemon()
{
	pid=$(daemon_pid "$1")
	[ -n "$pid" ] || return 0
	kill -CONT "$pid"
	kill -TERM "$pid"
}

# stop_daemon DIRECTORY SECONDS: in an orderly way, or by force after that time
stop_daemon()
{
	end_daemon "$1"
	wait_for "$2" daemon_gone "$1" || {
		say "The program of $1 does not end within $2 s; it is killed."
		kill_daemon "$1"
	}
}

kill_daemon()
{
	pid=$(daemon_pid "$1")
	[ -z "$pid" ] || kill -KILL "$pid"
	wait_for 10 daemon_gone "$1" || die "The program of $1 cannot be killed."
}

# COUNT free ports for files NAME... of a directory that has none yet
choose_ports()
{
	daemon=$1
	shift
	# those of other directories, whose programs may not have started yet
	taken=$(cat "$dir"/*/*port "$dir"/*/*/*port 2>/dev/null || true)
	# shellcheck disable=SC2086
	for port in $(as_server_user "$patroni_dir/bin/python" - $# $taken <docker/ha/free_ports.py); do
		echo "$port" | as_server_user sh -c 'cat >"$1"' sh "$daemon/$1"
		shift
	done
}

# fill_template TEMPLATE FILE NAME=VALUE...: with passwords, so a secret itself
fill_template()
{
	template=$1
	filled=$2
	shift 2
	awk -v passfile="$dir/passfile" -f docker/ha/fill.awk "$template" "$@" \
		>"$scratch" || die "The template $template cannot be filled in."
	write_secret "$filled" <"$scratch"
}
