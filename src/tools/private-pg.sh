#!/bin/sh
#
# private-pg.sh DIRECTORY
#	  Make a copy of the installed PostgreSQL that can be installed into.
#
# PostgreSQL finds its directories relative to its own executable, so a copy
# of the tree with real executables and links for the rest is a PostgreSQL
# of its own: what tests install never reaches the system's.  Prints the
# pg_config of the copy.
#
. src/tools/common.sh

copy=$1
bindir=$("$PG_CONFIG" --bindir)
[ -x "$bindir/postgres" ] || die "no PostgreSQL server in $bindir"

for dir in "$("$PG_CONFIG" --pkglibdir)" "$("$PG_CONFIG" --sharedir)"; do
	mkdir -p "$copy$dir"
	cp -as "$dir/." "$copy$dir/"
done
mkdir -p "$copy$bindir"
cp -aL "$bindir/." "$copy$bindir/"
for dir in "$("$PG_CONFIG" --libdir)" "$("$PG_CONFIG" --includedir)"; do
	[ -e "$copy$dir" ] || { mkdir -p "$(dirname "$copy$dir")" &&
		ln -s "$dir" "$copy$dir"; }
done
say "$copy$bindir/pg_config"
