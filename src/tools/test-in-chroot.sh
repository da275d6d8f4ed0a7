#!/bin/sh
#
# test-in-chroot.sh 17|18 [PART...]
#	  Build and test on another release of PostgreSQL, with warnings as errors.
#
# The release comes from the Debian release that carries it, in a chroot
# below the cache, which later runs use again; remove it to have newer
# packages.  No Debian release carries PostgreSQL 16.  PARTs are those of
# run-tests.sh, "regress isolation" when none is given; TAP_FILES and what tests
# are told in VECDB_LONG, VECDB_SEED and VECDB_FAULT_SECONDS go along.
#
. src/tools/common.sh

version=$1
shift
[ $# -gt 0 ] || set -- regress isolation
case $version in
	17) release=trixie ;;
	18) release=forky ;;
	*) die "Debian releases carry PostgreSQL 15 (bookworm), 17 (trixie) and 18 (forky)." ;;
esac

if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null ||
		die "A chroot needs root.  Run \"make test-pg$version\" as root."
	exec sudo env PATH="$PATH" VECDB_CACHE="$CACHE" \
		VECDB_MIRROR="${VECDB_MIRROR:-}" TAP_FILES="${TAP_FILES:-}" \
		TAP_JOBS="${TAP_JOBS:-}" VECDB_LONG="${VECDB_LONG:-}" \
		VECDB_SEED="${VECDB_SEED:-}" \
		VECDB_FAULT_SECONDS="${VECDB_FAULT_SECONDS:-}" "$0" "$version" "$@"
fi

chroot=$CACHE/$release
mirror=$(debian_mirror)

clean_up()
{
	umount "$chroot/proc" 2>/dev/null || true
	rm -rf "$chroot/build"
}

# A tree is made under another name first: a half-made one is never used.
make_chroot()
{
	src/tools/install-deps.sh chroot
	say "Making a chroot of Debian $release from $mirror, once: $chroot"
	mkdir -p "$CACHE"
	rm -rf "$chroot.new"
	script=/usr/share/debootstrap/scripts/$release
	[ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid
	debootstrap --variant=minbase --include=make,ca-certificates \
		"$release" "$chroot.new" "$mirror" "$script" >"$CACHE/$release.log" 2>&1 ||
		{ tail -n 20 "$CACHE/$release.log" >&2
		  die "debootstrap failed; its log is $CACHE/$release.log"; }
	# no server is to be started by installing it
	printf '#!/bin/sh\nexit 101\n' >"$chroot.new/usr/sbin/policy-rc.d"
	chmod +x "$chroot.new/usr/sbin/policy-rc.d"
	mkdir -p "$chroot.new/etc/postgresql-common"
	echo "create_main_cluster = false" \
		>"$chroot.new/etc/postgresql-common/createcluster.conf"
	mv "$chroot.new" "$chroot"
}

[ -d "$chroot" ] || make_chroot
trap clean_up EXIT
trap 'exit 1' INT TERM HUP
clean_up
mount -t proc proc "$chroot/proc"
if [ -e /etc/resolv.conf ]; then
	cp -L /etc/resolv.conf "$chroot/etc/resolv.conf"
fi
copy_sources "$chroot/build"

# shellcheck disable=SC2016
chroot "$chroot" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
	LC_ALL=C.UTF-8 WERROR=1 http_proxy="${http_proxy:-}" \
	https_proxy="${https_proxy:-}" TAP_JOBS="${TAP_JOBS:-}" \
	TAP_FILES="${TAP_FILES:-}" VECDB_LONG="${VECDB_LONG:-}" \
	${VECDB_SEED:+"VECDB_SEED=$VECDB_SEED"} \
	${VECDB_FAULT_SECONDS:+"VECDB_FAULT_SECONDS=$VECDB_FAULT_SECONDS"} \
	MAKE=make ROOMS="${ROOMS:-}" \
	sh -c 'cd /build && exec src/tools/run-tests.sh "$@"' sh "$@" </dev/null
