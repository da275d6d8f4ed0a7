# shellcheck shell=bash
# Shared by the entry points in this folder: ". common.sh NAME", where messages
# begin with NAME.

set -euo pipefail

name=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../.." && pwd)
build=$repository/.build/$name
venv=$build/venv
PYTHON=${PYTHON:-python3}
mkdir -p "$build"

fail()
{
	printf '%s: %s\n' "$name" "$1" >&2
	exit 1
}

# A Python environment, made again when its requirements change: FILE, further
# options of pip.
make_environment()
{
	local requirements=$1
	shift
	! cmp -s "$requirements" "$venv/requirements.txt" || return 0
	echo "$name: making a Python environment in $venv"
	rm -rf "$venv"
	"$PYTHON" -m venv "$venv" ||
		fail "cannot make a virtual environment; on Debian: apt install python3-venv"
	"$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
		"$@" --requirement "$requirements" ||
		fail "could not install the packages of $requirements"
	cp "$requirements" "$venv/requirements.txt"
}

# What a benchmark of servers needs: the environment, and what keeps the
# processors awake while latencies are measured.  DATA is the argument, or else
# what the environment says.
prepare_bench()
{
	make_environment "$here/requirements.txt"
	awake=$build/awake
	if [ ! -x "$awake" ] || [ "$here/awake.c" -nt "$awake" ]; then
		"${CC:-cc}" -O2 -Wall -Wextra -o "$awake" "$here/awake.c"
	fi
	export DATA=${1:-${DATA:-}}
	export PG_CONFIG=${PG_CONFIG:-pg_config}
	export BENCH_REPOSITORY=$repository
	export BENCH_AWAKE=$awake
}
