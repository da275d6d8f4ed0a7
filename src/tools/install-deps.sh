#!/bin/sh
#
# install-deps.sh WHAT...
#	  Install the Debian packages that the named purposes need.
#
# WHAT is build, test, lint, chroot, asan, ha, or the name of a Debian package.
# Nothing happens, and no network is used, when all are there.  Without apt
# it says what to install by hand.
#
# "ha" are etcd, HAProxy and Patroni, the last from PyPI in a directory of its
# own: VECDB_PATRONI, or /usr/local/lib/vecdb/patroni for root and
# ~/.local/share/vecdb/patroni for others.  They are started by nothing but
# docker/local.sh.
#
. src/tools/common.sh

# true when there is a PostgreSQL to build against: Debian's client package has
# the makefiles, too, but not the headers
has_pgxs()
{
	[ -e "$("$PG_CONFIG" --pgxs 2>/dev/null)" ] &&
		[ -e "$("$PG_CONFIG" --includedir-server 2>/dev/null)/postgres.h" ]
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
			# the last one for networks of their own, test/t/263
			echo perl libipc-run-perl iproute2
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
		ha)
			echo etcd-server haproxy openssl python3 python3-venv
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

# is the purpose named?
wants()
{
	case " $purposes " in *" $1 "*) true ;; *) false ;; esac
}

# Packages of servers start them, as services of the machine: not these.
hold_services()
{
	policy=/usr/sbin/policy-rc.d
	[ ! -e $policy ] || return 0
	printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
	as_root chmod 755 $policy
	trap 'as_root rm -f $policy' EXIT
	trap 'exit 1' INT TERM HUP
}

# Patroni as docker/ha/requirements.txt has it, unless it is there
install_patroni()
{
	home=$(patroni_home)
	for list in requirements-build.txt requirements.txt; do
		cmp -s docker/ha/$list "$home/$list" || {
			make_patroni
			return
		}
	done
}

make_patroni()
{
	say "Installing Patroni from PyPI into $home"
	rm -rf "$home"
	mkdir -p "$(dirname "$home")"
	# Debian's Python, which other users can run, too
	python=/usr/bin/python3
	[ -x $python ] || python=python3
	# --require-hashes: nothing is installed that is not in the lists
	{
		"$python" -m venv "$home" &&
			"$home/bin/python" -m pip install -q --no-cache-dir \
				--disable-pip-version-check --require-hashes \
				-r docker/ha/requirements-build.txt &&
			"$home/bin/python" -m pip install -q --no-cache-dir \
				--disable-pip-version-check --require-hashes \
				--no-build-isolation -r docker/ha/requirements.txt
	} || {
		rm -rf "$home"
		die "Patroni could not be installed into $home."
	}
	# last: the mark that it is complete
	cp docker/ha/requirements-build.txt docker/ha/requirements.txt "$home/"
}

purposes=$*
if ! command -v apt-get >/dev/null; then
	if wants ha; then
		install_patroni
		for program in etcd haproxy; do
			PATH=$PATH:/usr/sbin command -v $program >/dev/null ||
				die "This is not Debian: please install $program."
		done
	fi
	has_pgxs && exit 0
	die "This is not Debian: please install PostgreSQL 15 to 18 with its
server headers, a C compiler, xxhash, zstd, libcurl and Perl's IPC::Run, and see that
pg_config is in PATH or given as PG_CONFIG."
fi

if [ -n "$(missing "$@")" ]; then
	# package lists first: on a fresh machine there are none
	say "Updating apt's package lists"
	as_root apt-get -q -q -o DPkg::Lock::Timeout=300 update ||
		say "apt-get update failed; trying with the lists that are there"
	packages=$(missing "$@" | tr '\n' ' ')
	say "Installing with apt: $packages"
	! wants ha || hold_services
	# shellcheck disable=SC2086
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -q -y \
		-o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
		install --no-install-recommends $packages </dev/null ||
		die "apt could not install: $packages"
fi
! wants ha || install_patroni
