#!/bin/sh
#
# lint.sh
#	  Layout, and what checkers of C, shell and Perl find.
#
. src/tools/common.sh

src/tools/install-deps.sh build test lint

passed=0
failed=0
include=$("$PG_CONFIG" --includedir-server)
libpq=$("$PG_CONFIG" --includedir)
perl_dir=$(dirname "$("$PG_CONFIG" --pgxs)")/../test/perl
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# run NAME COMMAND...: fails when the command does, or writes anything
lint()
{
	name=$1
	shift
	if "$@" >"$work/out" 2>&1 && [ ! -s "$work/out" ]; then
		say "$name: nothing found"
		passed=$((passed + 1))
	else
		say "$name:"
		cat "$work/out"
		failed=$((failed + 1))
	fi
}

layout()
{
	src/tools/indent.sh --check | grep -v 'have the layout of PostgreSQL$' &&
		return 1
	# shellcheck disable=SC2046
	! grep -nE '[ 	]+$' $(project_files Makefile '*.c' '*.h' '*.sh' '*.pl' '*.pm' '*.sql')
}

c_files()
{
	project_files 'src/*.c'
}

# PostgreSQL's lists check types by an expression that looks like a use of NULL
run_cppcheck()
{
	c_files | grep -v _neon | cppcheck -q --std=c99 \
		--enable=warning,performance,portability --max-configs=1 \
		--error-exitcode=1 --inline-suppr --suppress=missingIncludeSystem --suppress=toomanyconfigs --suppress=invalidPointerCast '--suppress=nullPointer:src/remote/*' \
		--suppress="*:$include/*" --suppress='*:/usr/lib/*' \
		-Iinclude -I"$include" -I"$libpq" -DVDB_VERSION='"0"' --file-list=-
}

run_tidy()
{
	tidy=$(command -v clang-tidy || command -v clang-tidy-14)
	checks='-*,clang-analyzer-*,bugprone-*'
	for off in bugprone-easily-swappable-parameters \
		bugprone-narrowing-conversions bugprone-macro-parentheses \
		bugprone-assignment-in-if-condition bugprone-reserved-identifier \
		bugprone-implicit-widening-of-multiplication-result \
		bugprone-too-small-loop-variable bugprone-branch-clone bugprone-sizeof-expression \
		clang-analyzer-security.insecureAPI.DeprecatedOrUnsafeBufferHandling; do
		checks="$checks,-$off"
	done
	c_files | grep -v _neon | xargs -r -d '\n' -P "$(nproc)" -n 2 sh -c '
		tidy=$1 checks=$2 include=$3 libpq=$4
		shift 4
		"$tidy" --quiet --checks="$checks" --warnings-as-errors="*" "$@" -- \
			-std=gnu99 -DUSE_ASSERT_CHECKING -Iinclude -isystem "$include" \
			-isystem "$libpq" -DVDB_VERSION="\"0\""' sh "$tidy" "$checks" \
		"$include" "$libpq" 2>"$work/tidy.err" || {
		grep -v 'warnings generated' "$work/tidy.err"
		false
	}
}

run_shellcheck()
{
	scripts=$({
		project_files '*.sh'
		project_files 'src/tools/*' 'test/*' '.ci/*' 'docker/*' | while read -r file; do
			if head -n 1 "$file" | grep -aqE '^#!.*[/ ](ba|da)?sh'; then
				echo "$file"
			fi
		done
	} | sort -u)
	# shellcheck disable=SC2086
	shellcheck -S warning -x -P SCRIPTDIR:. -e SC1091 $scripts
}

run_perl()
{
	rc=0
	for file in $(project_files '*.pl' '*.pm'); do
		perl -I "$perl_dir" -I test/perl -cw "$file" >"$work/perl" 2>&1 &&
			! grep -v 'syntax OK$' "$work/perl" || { cat "$work/perl"; rc=1; }
	done
	return $rc
}

lint layout layout
lint cppcheck run_cppcheck
lint clang-tidy run_tidy
lint shellcheck run_shellcheck
lint perl run_perl
say "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
