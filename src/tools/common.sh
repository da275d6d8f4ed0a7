# shellcheck shell=sh
# Shared by the scripts in this folder: ". src/tools/common.sh", from the top
# of the repository.

set -eu

TOP=$(pwd)
PG_CONFIG=${PG_CONFIG:-pg_config}
MAKE=${MAKE:-make}
# shellcheck disable=SC2034
CACHE=${VECDB_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/vecdb}
export PG_CONFIG

# For the server of asan.sh, whichever script runs it.  Leaks: a backend frees
# by context or by exiting.  Stack: check_stack_depth() compares addresses of
# locals.
export ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=0:abort_on_error=1:disable_coredump=0
export UBSAN_OPTIONS=print_stacktrace=1:abort_on_error=1

say()
{
	printf '%s\n' "$*"
}

die()
{
	printf '%s\n' "$*" >&2
	exit 1
}

# run a command as root: directly, or by sudo
as_root()
{
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "This needs root, and sudo is not installed.  As root, run: $*"
	fi
}

# the user who may run PostgreSQL, which refuses to run as root
server_user()
{
	if [ "$(id -u)" -ne 0 ]; then
		id -un
	elif id postgres >/dev/null 2>&1; then
		echo postgres
	else
		echo nobody
	fi
}

# run a command as that user; HOME is a directory of his
as_server_user()
{
	if [ "$(id -u)" -ne 0 ]; then
		"$@"
	else
		setpriv --reuid "$(id -u "$(server_user)")" \
			--regid "$(id -g "$(server_user)")" --clear-groups "$@"
	fi
}

# a fresh directory that the server's user owns
server_dir()
{
	dir=$(mktemp -d "${TMPDIR:-/tmp}/vecdb-XXXXXX")
	chmod 755 "$dir"
	if [ "$(id -u)" -eq 0 ]; then
		chown "$(server_user):" "$dir"
	fi
	echo "$dir"
}

# copy the sources, without what git and builds left, to directory $1
copy_sources()
{
	mkdir -p "$1"
	tar -C "$TOP" --exclude=./.git --exclude=./.build --exclude='*.o' \
		--exclude='*.so' --exclude=./tmp_check --exclude=node_modules \
		-cf - . | tar -C "$1" --no-same-owner -xf -
}

# files that belong to the project and match the patterns
project_files()
{
	if git -C "$TOP" rev-parse --is-inside-work-tree >/dev/null 2>&1; then
		git -C "$TOP" ls-files --cached --others --exclude-standard -- "$@" |
			while read -r file; do
				[ -e "$file" ] && printf '%s\n' "$file"
			done
	else
		for pattern in "$@"; do
			find . -path ./.build -prune -o -type f -path "./$pattern" -print
		done | sed 's,^\./,,' | sort -u
	fi
}

# A throw-away server: its data, log and socket are in directory $1, its
# programs in directory $2.  Further arguments go to initdb.  Sets PGHOST and
# PGPORT, so that psql and pg_regress reach it.
server_start()
{
	server_home=$1
	server_bin=$2
	shift 2
	as_server_user mkdir -p "$server_home/socket"
	# from a directory that the user may enter, which ours need not be
	in_server_home "$server_bin/initdb" -D "$server_home/data" -A trust \
		-U postgres --no-locale -E UTF8 --no-sync "$@" >"$server_home/initdb.log" 2>&1 ||
		{ cat "$server_home/initdb.log" >&2; die "initdb failed"; }
	{
		echo "listen_addresses = ''"
		echo "unix_socket_directories = '$server_home/socket'"
		echo "fsync = off"
		echo "max_prepared_transactions = 5"
		echo "log_line_prefix = '%m [%p] %q%a '"
		echo "${SERVER_CONF:-}"
	} >"$server_home/extra.conf"
	chmod 644 "$server_home/extra.conf"
	as_server_user sh -c "cat '$server_home/extra.conf' >>'$server_home/data/postgresql.conf'"
	[ "${UNDER_VALGRIND:-no}" = no ] || server_wrap
	in_server_home "$server_bin/pg_ctl" -D "$server_home/data" -s -w -t 300 \
		-l "$server_home/server.log" start ||
		{ tail -50 "$server_home/server.log" >&2; die "the server does not start"; }
	PGHOST=$server_home/socket PGPORT=5432 PGUSER=postgres PGDATABASE=postgres
	export PGHOST PGPORT PGUSER PGDATABASE
}

in_server_home()
{
	(cd "$server_home" && as_server_user "$@")
}

# put valgrind between pg_ctl and the server
server_wrap()
{
	mv "$server_bin/postgres" "$server_bin/postgres.real"
	{
		echo '#!/bin/sh'
		echo "case \$1 in -V) exec '$server_bin/postgres.real' -V ;; esac"
		echo "exec valgrind -q --trace-children=yes --leak-check=no" \
			"--log-file='$server_home/valgrind.%p.log'" \
			"'$server_bin/postgres.real'" '"$@"'
	} >"$server_bin/postgres"
	chmod 755 "$server_bin/postgres"
}

server_stop()
{
	if [ -n "${server_home:-}" ] && [ -e "$server_home/data/postmaster.pid" ]; then
		in_server_home "$server_bin/pg_ctl" -D "$server_home/data" -s \
			-m "${1:-fast}" stop || true
	fi
}

# the Debian mirror that this machine uses
debian_mirror()
{
	mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
		grep -oE 'https?://[^ ]+/debian/?( |$)' | head -n 1 | tr -d ' ')
	mirror=${mirror%/}
	echo "${VECDB_MIRROR:-${mirror:-http://deb.debian.org/debian}}"
}

# Where install-deps.sh puts Patroni, for this user
patroni_home()
{
	if [ -n "${VECDB_PATRONI:-}" ]; then
		echo "$VECDB_PATRONI"
	elif [ "$(id -u)" -eq 0 ]; then
		echo /usr/local/lib/vecdb/patroni
	else
		echo "${XDG_DATA_HOME:-${HOME:-/}/.local/share}/vecdb/patroni"
	fi
}

# Directories whose bin/ may have Patroni, the best first
patroni_places()
{
	patroni_home
	[ -n "${VECDB_PATRONI:-}" ] || {
		echo /usr/local/lib/vecdb/patroni
		! command -v patroni >/dev/null ||
			dirname "$(dirname "$(command -v patroni)")"
	}
}
