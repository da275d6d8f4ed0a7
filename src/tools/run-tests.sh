#!/bin/sh
#
# run-tests.sh [PART...]
#	  Build, install into a private copy of PostgreSQL, test there.
#
# PART is regress, isolation, tap, kernels or checks; nothing means all.
# Everything runs below a fresh directory in TMPDIR and as an unprivileged
# user, so neither the system's PostgreSQL nor the path of this directory
# matters.  BUILD_IN_COPY=yes leaves this directory alone and builds there
# too.  TAP_FILES names some of test/t, instead of all.  KEEP=yes keeps the
# directory.  Results of failed tests are copied to .build/test.  The last
# lines are "failed: TEST" for each of them, and then "N passed, N failed", also
# after SIGTERM, when what had not ended counts as failed.
#
. src/tools/common.sh

parts=" ${*:-regress isolation tap kernels checks} "
passed=0
failed=0
failures=$(mktemp)
part=
tap_files=

has_part()
{
	case $parts in *" $1 "*) true ;; *) false ;; esac
}

# add the counts of pg_regress's output, in the form of 15 or of 16: FILE,
# its exit code, number of tests
count_regress()
{
	ok=$(grep -cE '^(test .* \.\.\. ok|ok [0-9])' "$1" || true)
	passed=$((passed + ok))
	# what was not reached, because it died, has failed too
	failed=$((failed + $3 - ok))
	if [ "$2" -ne 0 ] || [ "$ok" -ne "$3" ]; then
		keep_results
		grep -E '^(test .* FAILED|not ok )' "$1" |
			grep -oE '[a-z]+_[a-z0-9_]+|install' >>"$failures" ||
			basename "$1" .out >>"$failures"
		if [ -s "$work/src/regression.diffs" ]; then
			head -n 300 "$work/src/regression.diffs"
		else
			tail -n 20 "$1" "$work/server/server.log"
		fi
	fi
}

keep_results()
{
	rm -rf "$TOP/.build/test"
	mkdir -p "$TOP/.build/test"
	for name in results regression.diffs tmp_check/log; do
		[ ! -e "$work/src/$name" ] || cp -R "$work/src/$name" "$TOP/.build/test/"
	done
	cp "$work/server/server.log" "$TOP/.build/test/" 2>/dev/null || true
}

# run one of pg_regress's drivers: NAME, PROGRAM, TESTS...
run_regress()
{
	name=$1
	program=$(dirname "$PGXS")/../test/$2
	shift 2
	[ $# -gt 0 ] || return 0
	say "--- $name"
	part=$name
	rc=0
	(cd "$work/src" && as_server_user "$program" --inputdir=test --outputdir=. \
		--bindir="$bindir" --load-extension=vecdb --dbname="vecdb_$name" "$@") \
		>"$work/$name.out" 2>&1 || rc=$?
	grep -E '^(test |ok |not ok |#|ERROR|FATAL|psql)' "$work/$name.out" ||
		cat "$work/$name.out"
	count_regress "$work/$name.out" "$rc" $#
	part=
}

run_tap()
{
	[ $# -gt 0 ] || return 0
	say "--- tap"
	jobs=${TAP_JOBS:-$(nproc)}
	part=tap
	tap_files=$*
	rc=0
	(cd "$work/src" && PATH=$bindir:$PATH TESTDIR=$work/src \
		TESTDATADIR=$work/src/tmp_check TESTLOGDIR=$work/src/tmp_check/log \
		PG_REGRESS=$(dirname "$PGXS")/../test/regress/pg_regress \
		PGHOST='' PGPORT=65432 PGUSER='' PGDATABASE='' HOME=$work \
		as_server_user prove --timer -j "$jobs" \
		-I "$(dirname "$PGXS")/../test/perl" -I test/perl "$@") \
		>"$work/tap.out" 2>&1 || rc=$?
	cat "$work/tap.out"
	bad=$(grep -cE '^test/t/.* \(Wstat: ' "$work/tap.out" || true)
	skip=$(grep -cE '^(\[[0-9:]+\] )?test/t/.* skipped' "$work/tap.out" || true)
	if [ "$rc" -ne 0 ]; then
		[ "$bad" -gt 0 ] || bad=$#
		keep_results
		for log in $(sed -nE 's,^test/t/(.*)\.pl +\(Wstat: .*,\1,p' "$work/tap.out"); do
			explain_failure "$log"
		done
	fi
	passed=$((passed + $# - bad - skip))
	failed=$((failed + bad))
	part=
	tap_files=
}

# say what a TAP file that has failed has in its log: NAME
explain_failure()
{
	say "... end of regress_log_$1"
	sed -nE "s/^.*#  +(Failed test .*)/$1: \1/p" \
		"$work/src/tmp_check/log/regress_log_$1" >"$work/why" || true
	[ -s "$work/why" ] || echo "$1" >"$work/why"
	head -n 20 "$work/why" >>"$failures"
	tail -n 40 "$work/src/tmp_check/log/regress_log_$1" || true
}

# there is no more time: count what has ended, and name what has not
interrupted()
{
	trap '' INT TERM HUP
	say "Interrupted${part:+ during $part}."
	if [ -n "$tap_files" ]; then
		cat "$work/tap.out"
		keep_results
		for file in $tap_files; do
			name=$(basename "$file" .pl)
			result=$(grep -E "^(\[[0-9:]+\] )?$file \.\." "$work/tap.out" || true)
			case $result in
				*" ok "* | *" ok") passed=$((passed + 1)) ;;
				*" skipped"*) ;;
				*)
					failed=$((failed + 1))
					if [ -n "$result" ]; then
						explain_failure "$name"
					elif [ -e "$work/src/tmp_check/log/regress_log_$name" ]; then
						say "... end of regress_log_$name"
						tail -n 10 "$work/src/tmp_check/log/regress_log_$name"
						echo "$name: not finished in time" >>"$failures"
					else
						echo "$name: not begun in time" >>"$failures"
					fi
					;;
			esac
		done
	else
		failed=$((failed + 1))
		echo "${part:-build}: not finished in time" >>"$failures"
	fi
	say_counts
	exit 1
}

say_counts()
{
	sed 's/^/failed: /' "$failures"
	say "$passed passed, $failed failed"
}

# a command that is one test, or counts its own
run_check()
{
	name=$1
	shift
	say "--- $name"
	part=$name
	rc=0
	"$@" >"$work/check.out" 2>&1 || rc=$?
	cat "$work/check.out"
	counts=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$work/check.out" | tail -n 1)
	if [ -n "$counts" ]; then
		passed=$((passed + ${counts%% passed*}))
		counts=${counts##*, }
		bad=${counts%% failed*}
		[ "$rc" -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
		failed=$((failed + bad))
		[ "$bad" -eq 0 ] || echo "$name" >>"$failures"
	elif [ "$rc" -eq 0 ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "$name" >>"$failures"
	fi
	part=
}

clean_up()
{
	rm -f "$failures"
	server_stop immediate
	if [ "${KEEP:-no}" = yes ]; then
		say "kept: $work"
	else
		rm -rf "$work"
	fi
}

src/tools/install-deps.sh build test
# Replicated groups want more, partly from PyPI.  Elsewhere their test says
# that it is skipped, and how to have them.
if has_part tap && [ -n "${CI:-}" ]; then
	src/tools/install-deps.sh ha ||
		say "The programs for replicated groups cannot be installed: their test is skipped."
fi
PGXS=$("$PG_CONFIG" --pgxs)
work=$(server_dir)
trap clean_up EXIT
trap interrupted INT TERM HUP

say "--- build for $("$PG_CONFIG" --version)"
copy_sources "$work/src"
if [ "${BUILD_IN_COPY:-no}" = yes ]; then
	cd "$work/src"
fi
"$MAKE" --no-print-directory -s -j "$(nproc)" all
src/tools/private-pg.sh "$work/pg" >"$work/pg_config"
"$MAKE" --no-print-directory -s install DESTDIR="$work/pg" VECTOR_ALIAS=yes
bindir=$(dirname "$(cat "$work/pg_config")")
if [ "$(id -u)" -eq 0 ]; then
	chown -R "$(server_user):" "$work/src"
fi

if has_part regress || has_part isolation; then
	mkdir "$work/server"
	[ "$(id -u)" -ne 0 ] || chown "$(server_user):" "$work/server"
	# a snapshot of autovacuum's would keep dead rows where tests expect none
	SERVER_CONF="autovacuum = off"
	server_start "$work/server" "$bindir"
fi
names()
{
	for file; do
		[ ! -e "$file" ] || basename "${file%.*}"
	done
}
if has_part regress; then
	# shellcheck disable=SC2046
	run_regress regress regress/pg_regress $(names test/sql/*.sql)
fi
if has_part isolation; then
	# shellcheck disable=SC2046
	run_regress isolation isolation/pg_isolation_regress $(names test/specs/*.spec)
fi
server_stop
if has_part tap && [ -n "$(names test/t/*.pl)" ]; then
	# the longest one first, which mostly waits, so that nobody waits for it
	# shellcheck disable=SC2086,SC2046
	run_tap ${TAP_FILES:-$(printf '%s\n' test/t/320_*.pl test/t/*.pl | awk '!seen[$0]++')}
fi
if has_part kernels && [ -e test/modules/kernels/Makefile ]; then
	run_check kernels "$MAKE" --no-print-directory -s test-kernels
fi
if has_part checks; then
	for check in check-layers check-headers check-exports check-sql; do
		run_check $check "$MAKE" --no-print-directory -s $check
	done
fi

if [ -n "${COVERAGE_REPORT:-}" ]; then
	find src -name '*.gcda' | while read -r data; do
		gcov -o "$(dirname "$data")" "${data%.gcda}.c" 2>/dev/null
	done | awk '
		/^File/ { split($0, quoted, "\047"); file = quoted[2] }
		/^Lines executed/ && file ~ /^(src|include)\// {
			sub(/Lines executed:/, "")
			sub(/% of/, "")
			# a header is counted with each file that includes it
			if (!(file in best) || $1 > best[file]) {
				best[file] = $1
				lines[file] = $2
			}
		}
		END {
			for (file in best)
				printf "%6.1f %% of %5d lines  %s\n", best[file], lines[file], file
		}' >"$COVERAGE_REPORT/summary"
	rm -f ./*intrin.h.gcov
	mv ./*.gcov "$COVERAGE_REPORT/"
fi

# valgrind's complaints count where a file of ours is in the stack
if [ "${UNDER_VALGRIND:-no}" = yes ]; then
	ours=$(find src -name '*.c' -printf '%f:|')
	cat "$work"/server/valgrind.*.log | sed 's/^==[0-9]*== *//' |
		awk 'BEGIN { RS = ""; ORS = "\n\n" } /('"${ours%|}"')/' >"$work/valgrind"
	cat "$work/valgrind"
	if [ -s "$work/valgrind" ]; then
		failed=$((failed + 1))
	else
		passed=$((passed + 1))
	fi
fi

[ "$failed" -eq 0 ] || [ ! -e "$TOP/.build/test" ] ||
	say "Results of failed tests are in .build/test."
say_counts
[ "$failed" -eq 0 ]
