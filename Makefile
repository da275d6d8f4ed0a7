# vecdb: PostgreSQL extension, built by PGXS.  "make help" lists the targets.
#
# Targets that need nothing but a shell (test, demo, lint, ...) install what
# they lack and then call make again, so that this file works on a machine
# without PostgreSQL.

EXTENSION = vecdb
EXTVERSION = 0.1.0
MODULE_big = vecdb

# In the order of docs/architecture.md: a room sees the rooms before it.
ROOMS = lib distance types hnsw ivfflat inspect catalog planner remote recovery \
	executor ddl deadlock replication rebalance scrub snapshot guard monitor

SRCS = src/vecdb.c $(foreach room,$(ROOMS),$(sort $(wildcard src/$(room)/*.c)))
OBJS = $(SRCS:.c=.o)
DEPS = $(SRCS:.c=.d)

# The extension script is made of one part per room, in the order of rooms.
SCRIPT = sql/vecdb--$(EXTVERSION).sql
SQL_PARTS = $(wildcard $(foreach room,$(ROOMS),sql/parts/$(room).sql))
DATA_built = $(SCRIPT)
DATA = $(wildcard sql/vecdb--*--*.sql)

# The extension "vector", for programs that ask for it by name.  "yes", "no",
# or nothing for "yes, unless pgvector itself is installed": then install
# stops and asks.
VECTOR_ALIAS ?=
ifneq ($(VECTOR_ALIAS),no)
EXTENSION += vector
DATA += $(wildcard sql/vector--*.sql)
endif

# Nothing but the functions called from SQL leaves the library, since
# PostgreSQL loads libraries with RTLD_GLOBAL.  The server's own -Wall stays.
PG_CPPFLAGS = -Iinclude -fvisibility=hidden \
	-DPGDLLEXPORT='__attribute__((visibility("default")))'
# Nodes talk to each other by libpq, and say which version they are.
PG_CPPFLAGS += -I$(libpq_srcdir) -DVDB_VERSION='"$(EXTVERSION)"'
PG_CFLAGS = -O3 -MMD -MP -Wextra -Wno-unused-parameter -Wno-sign-compare \
	-Wno-missing-field-initializers
# XXH3 is compiled in from its header.
SHLIB_LINK = -lm $(libpq)

# WERROR=1, and CI=true, make warnings errors.
ifneq ($(filter 1 yes true,$(WERROR) $(CI)),)
PG_CFLAGS += -Werror
endif

# No bitcode for JIT: kernels are called through a table that is chosen at run
# time, so there is nothing to inline; and the build does not need clang.
override with_llvm = no

# Tests are read from test/, expected output from expected/.
REGRESS = $(sort $(basename $(notdir $(wildcard test/sql/*.sql))))
REGRESS_OPTS = --inputdir=test --outputdir=. --load-extension=vecdb
ISOLATION = $(sort $(basename $(notdir $(wildcard test/specs/*.spec))))
ISOLATION_OPTS = --inputdir=test --outputdir=. --load-extension=vecdb
TAP_TESTS = $(if $(wildcard test/t/*.pl),1)
PROVE_TESTS = test/t/*.pl
PROVE_FLAGS += -I test/perl

EXTRA_CLEAN = $(DEPS) $(SCRIPT) .build

.DEFAULT_GOAL := all

PG_CONFIG ?= pg_config
PGXS := $(wildcard $(shell $(PG_CONFIG) --pgxs 2>/dev/null))
# Debian's client package has the makefiles without these
SERVER_HEADERS := $(wildcard $(shell $(PG_CONFIG) --includedir-server 2>/dev/null)/postgres.h)

ifneq ($(and $(PGXS),$(SERVER_HEADERS)),)
include $(PGXS)
-include $(DEPS)

# Objects of other flags or of another PostgreSQL are made again.
BUILT_FOR := $(shell $(PG_CONFIG) --version --pkglibdir)
$(OBJS): .build/flags
.build/flags: FORCE
	@mkdir -p .build
	@echo '$(subst ','\'',$(BUILT_FOR) $(CC) $(CPPFLAGS) $(CFLAGS))' >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

install installdirs installdirs-lib uninstall: check-vector-alias
check-vector-alias:
	@src/tools/check-vector-alias.sh '$(DESTDIR)$(datadir)/extension' \
		'$(VECTOR_ALIAS)'
else
all install uninstall installcheck clean installdirs show-objects:
	@echo "No PostgreSQL to build against: \"$(PG_CONFIG)\" is missing, or" >&2
	@echo "PostgreSQL's server headers are.  Type \"make deps\" to install" >&2
	@echo "them, or name one: make PG_CONFIG=/path/to/pg_config" >&2
	@exit 1
endif

$(SCRIPT): $(SQL_PARTS) Makefile
	@{ printf '/* %s */\n\n' $@; \
	  printf -- '-- complain if script is sourced in psql, rather than via CREATE EXTENSION\n'; \
	  printf '\\echo Use "CREATE EXTENSION vecdb" to load this file. \\quit\n\n'; \
	  cat $(SQL_PARTS) /dev/null; } > $@

# ---------------------------------------------------------------------------
# What can be asked.  Scripts find make, PostgreSQL and the rooms here.

export PG_CONFIG ROOMS EXTVERSION
export MAKE
TOOL = +@src/tools

.PHONY: help deps demo test test-faults test-chaos bench bench-cluster bench-data indent check-indent lint check-layers \
	check-headers check-exports check-sql test-pg17 test-pg18 asan valgrind \
	fuzz test-clients test-kernels test-kernels-avx512 test-kernels-arm bench-kernels coverage \
	dist check-vector-alias FORCE
FORCE:

help: ## this list
	@echo "make all               build the library and the extension script"
	@echo "make install           install into PostgreSQL; VECTOR_ALIAS=yes|no"
	@echo "make installcheck      tests against a running server (PGXS)"
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-17s %s\n", $$1, $$2 }' \
		Makefile

deps: ## install what building and testing needs (apt)
	$(TOOL)/install-deps.sh build test

demo: ## install, load real data on a throw-away server, search it
	$(TOOL)/demo.sh

test: ## everything: regression, isolation, TAP, kernels, checks
	$(TOOL)/run-tests.sh

test-faults: ## kill and freeze nodes of a cluster for VECDB_FAULT_SECONDS=600
	+@VECDB_FAULT_SECONDS=$${VECDB_FAULT_SECONDS:-600} \
		TAP_FILES=test/t/260_cluster_faults.pl src/tools/run-tests.sh tap

test-chaos: ## break a replicated cluster; HOURS= or MINUTES=, SEED=
	+@HOURS="$(HOURS)" MINUTES="$(MINUTES)" SEED="$(SEED)" test/chaos/run

bench: ## recall, speed and size beside pgvector and hnswlib; DATA=dir
	+@test/bench/run $(if $(filter command,$(origin DATA)),"$(DATA)")

bench-cluster: ## a distributed table beside one server; DATA=dir
	+@test/bench/cluster $(if $(filter command,$(origin DATA)),"$(DATA)")

bench-data: ## real data for bench; SET=name OUT=dir, TEXT=file QUERIES=file
	+@test/bench/make-sets "$(SET)" "$(OUT)" "$(TEXT)" "$(QUERIES)"

indent: ## lay out all C files as PostgreSQL does
	$(TOOL)/indent.sh

check-indent: ## show what "make indent" would change
	$(TOOL)/indent.sh --check

lint: ## cppcheck, clang-tidy, shellcheck, perl -c, and the layout
	$(TOOL)/lint.sh

check-layers: ## no room sees a room below it
	$(TOOL)/check-layers.sh

check-headers: ## each header compiles alone
	$(TOOL)/check-headers.sh

check-exports: ## the library exports SQL functions only
	$(TOOL)/check-exports.sh

check-sql: ## each SQL object is documented, each expected file used
	$(TOOL)/check-sql.sh

test-pg17: ## build and test on PostgreSQL 17 (Debian trixie); TAP=files
	+@$(if $(TAP),TAP_FILES="$(TAP)") src/tools/test-in-chroot.sh 17 $(if $(TAP),tap)

test-pg18: ## build and test on PostgreSQL 18 (Debian forky); TAP=files
	+@$(if $(TAP),TAP_FILES="$(TAP)") src/tools/test-in-chroot.sh 18 $(if $(TAP),tap)

asan: ## test under AddressSanitizer and with PostgreSQL's assertions
	$(TOOL)/asan.sh

valgrind: ## regression tests under valgrind (slow)
	$(TOOL)/valgrind.sh

fuzz: ## damaged literals and binary input for DURATION=60; SEED=n repeats
	+@test/fuzz/run

test-clients: ## psycopg, Django, node and others: one server, a cluster
	+@test/clients/run --both

test-kernels: ## distance kernels against the scalar ones
	+@$(MAKE) -C test/modules/kernels check

test-kernels-avx512: ## the AVX-512 kernels, under Bochs (ten minutes)
	+@$(MAKE) -C test/modules/kernels check-avx512

test-kernels-arm: ## the NEON kernels, under qemu
	+@$(MAKE) -C test/modules/kernels check-arm

bench-kernels: ## distance kernels against the machine's peak
	+@$(MAKE) -C test/modules/kernels bench

coverage: ## which lines the regression tests reach
	$(TOOL)/coverage.sh

dist: ## archive of the last commit in .build/
	$(TOOL)/dist.sh
