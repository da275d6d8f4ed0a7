#!/bin/sh
#
# coverage.sh [PART...]
#	  Which lines the tests reach: a table by file, least covered first.
#
# PARTs are those of run-tests.sh, "regress isolation tap" when none is given.
#
. src/tools/common.sh

[ $# -gt 0 ] || set -- regress isolation tap
report=$TOP/.build/coverage
rm -rf "$report"
mkdir -p "$report"
if [ "$(id -u)" -eq 0 ]; then
	chmod 755 "$report"
fi
unset MAKEFLAGS
# shellcheck disable=SC2016
PROFILE='--coverage -O1' BUILD_IN_COPY=yes COVERAGE_REPORT=$report \
	src/tools/run-tests.sh "$@"
sort -n "$report/summary"
say "Annotated sources are in .build/coverage."
