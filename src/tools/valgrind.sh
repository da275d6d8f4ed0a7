#!/bin/sh
#
# valgrind.sh
#	  The regression tests with the server under valgrind.
#
# Finds reads of unset memory and stray writes; overruns inside PostgreSQL's
# memory contexts are found by "make asan".
#
. src/tools/common.sh

src/tools/install-deps.sh valgrind
unset MAKEFLAGS
UNDER_VALGRIND=yes src/tools/run-tests.sh regress
