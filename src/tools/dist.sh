#!/bin/sh
#
# dist.sh
#	  Archive of the last commit, as a release would be.
#
. src/tools/common.sh

name=vecdb-$EXTVERSION
mkdir -p .build
git archive --format=tar.gz --prefix="$name/" -o ".build/$name.tar.gz" HEAD
[ -z "$(git status --porcelain)" ] ||
	say "The working tree has changes that are not in the archive."
say ".build/$name.tar.gz"
