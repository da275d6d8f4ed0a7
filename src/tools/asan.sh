#!/bin/sh
#
# asan.sh [PART...]
#	  Test under AddressSanitizer, UBSan and PostgreSQL's own assertions.
#
# Debian's server cannot run an instrumented library, so a server is built
# once from Debian's source package and kept in the cache.  PARTs are those
# of run-tests.sh.  "asan.sh --build-only" prints the pg_config of the server.
#
. src/tools/common.sh

# the server's user must be able to read it, which root's home forbids
if [ "$(id -u)" -eq 0 ] && [ -z "${VECDB_CACHE:-}" ]; then
	CACHE=/var/cache/vecdb
fi
prefix=$CACHE/asan
sanitize="-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"

# Debian's source package, by sources lists of our own; unpacked in $1
get_source()
{
	lists=$CACHE/source-lists
	mkdir -p "$lists/partial" "$1"
	codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
	mirror=$(debian_mirror)
	echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
		"$mirror $codename main" >"$CACHE/source.list"
	set -- "$1" -o Dir::Etc::sourcelist="$CACHE/source.list" \
		-o Dir::Etc::sourceparts=- -o Dir::State::lists="$lists" \
		-o APT::Sandbox::User=root
	dir=$1
	shift
	apt-get -q -q "$@" update
	version=$(apt-cache "$@" showsrc postgresql-15 |
		sed -n 's/^Version: //p' | sort -V | tail -n 1)
	# without Debian's patches: one makes "make install" write to the system's
	# own /usr/lib/postgresql, whatever the prefix
	(cd "$dir" && apt-get -q -q "$@" source --download-only "postgresql-15=$version" &&
		dpkg-source --skip-patches -x ./*.dsc server)
}

# what a server and its tests need; ecpg, the documentation and others do not
# matter here and take long
directories="src/common src/port src/timezone src/backend
	src/backend/utils/mb/conversion_procs src/backend/snowball src/include
	src/interfaces/libpq src/backend/replication/libpqwalreceiver src/fe_utils
	src/bin src/pl/plpgsql src/makefiles src/test/regress src/test/isolation
	src/test/perl config contrib/pageinspect contrib/amcheck
	contrib/pg_prewarm contrib/pgstattuple contrib/pg_visibility"

build_server()
{
	src/tools/install-deps.sh build test asan
	say "Building PostgreSQL with sanitizers and assertions, once: $prefix"
	rm -rf "$CACHE/source" "$prefix"
	mkdir -p "$CACHE"
	get_source "$CACHE/source" >"$CACHE/asan.log" 2>&1 ||
		{ tail -n 20 "$CACHE/asan.log" >&2; die "no source of PostgreSQL"; }
	cd "$CACHE/source/server"
	# shellcheck disable=SC2016
	{
		./configure -q --prefix="$prefix" --enable-cassert --enable-debug \
			--enable-tap-tests --without-readline --without-zlib \
			CFLAGS="-O1 -g $sanitize" LDFLAGS="-fsanitize=address,undefined" &&
			grep -qx 'pkglibdir = $(libdir)' src/Makefile.global &&
			make -s -C src/backend generated-headers &&
			for dir in $directories; do
				nice make -s -j "${ASAN_JOBS:-$(nproc)}" -C "$dir" all &&
					make -s -C "$dir" install || exit 1
			done &&
			make -s -C src install-local
	} >>"$CACHE/asan.log" 2>&1 ||
		{ tail -n 30 "$CACHE/asan.log" >&2
		  die "The server could not be built; see $CACHE/asan.log"; }
	cd "$TOP"
	chmod -R a+rX "$prefix"
	touch "$prefix/complete"
	rm -rf "$CACHE/source"
}

[ -e "$prefix/complete" ] || build_server
PG_CONFIG=$prefix/bin/pg_config
export PG_CONFIG
if [ "${1:-}" = --build-only ]; then
	say "$PG_CONFIG"
	exit 0
fi

[ $# -gt 0 ] || set -- regress isolation tap
unset MAKEFLAGS
BUILD_IN_COPY=yes src/tools/run-tests.sh "$@"
