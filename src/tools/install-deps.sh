#!/bin/sh
#
# install-deps.sh WHAT...
#	  Install the Debian packages that the named purposes need.
#
# WHAT is build, test, lint, chroot, asan, or the name of a Debian package.
# Nothing happens, and no network is used, when all are there.  Without apt
# it says what to install by hand.
#
. src/tools/common.sh

# true when there is a PostgreSQL to build against
has_pgxs()
{
	[ -e "$("$PG_CONFIG" --pgxs 2>/dev/null)" ]
}

# the version to install: that of an existing server, or the distribution's
pg_major()
{
	for major in 15 16 17 18; do
		if [ -x "/usr/lib/postgresql/$major/bin/postgres" ]; then
			echo "$major"
			return
		fi
	done
	for major in 15 16 17 18; do
		if apt-cache show "postgresql-server-dev-$major" >/dev/null 2>&1; then
			echo "$major"
			return
		fi
	done
	die "apt knows no package of PostgreSQL 15 to 18"
}

packages_for()
{
	case $1 in
		build)
			echo gcc libc6-dev libxxhash-dev libzstd-dev libcurl4-openssl-dev
			has_pgxs || echo "postgresql-server-dev-$(pg_major)" libpq-dev
			;;
		test)
			echo perl libipc-run-perl
			if [ ! -x "$("$PG_CONFIG" --bindir 2>/dev/null)/postgres" ]; then
				echo "postgresql-$(pg_major)"
			fi
			;;
		lint)
			echo pg-bsd-indent cppcheck clang-tidy shellcheck binutils perl
			;;
		chroot)
			echo debootstrap debian-archive-keyring
			;;
		asan)
			echo dpkg-dev xz-utils bzip2 bison flex
			;;
		*)
			echo "$1"
			;;
	esac
}

missing()
{
	for package in $(for what; do packages_for "$what"; done); do
		if [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" \
				!= installed ]; then
			echo "$package"
		fi
	done | sort -u
}

if ! command -v apt-get >/dev/null; then
	has_pgxs && exit 0
	die "This is not Debian: please install PostgreSQL 15 to 18 with its
server headers, a C compiler, xxhash, zstd, libcurl and Perl's IPC::Run, and see that
pg_config is in PATH or given as PG_CONFIG."
fi

[ -n "$(missing "$@")" ] || exit 0

# package lists first: on a fresh machine there are none
say "Updating apt's package lists"
as_root apt-get -q -q -o DPkg::Lock::Timeout=300 update ||
	say "apt-get update failed; trying with the lists that are there"
packages=$(missing "$@" | tr '\n' ' ')
say "Installing with apt: $packages"
# shellcheck disable=SC2086
as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -q -y \
	-o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
	install --no-install-recommends $packages </dev/null ||
	die "apt could not install: $packages"
