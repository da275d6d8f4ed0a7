# vecdb: PostgreSQL extension (PGXS).  "make help" lists what can be asked.

EXTENSION = vecdb
EXTVERSION = 0.1.0
MODULE_big = vecdb

ROOMS = lib distance types hnsw
SRCS = src/vecdb.c $(foreach room,$(ROOMS),$(sort $(wildcard src/$(room)/*.c)))
OBJS = $(SRCS:.c=.o)
DEPS = $(SRCS:.c=.d)

# The extension script is made of one part per room, in the order of rooms.
SQL_PARTS = $(wildcard $(foreach room,$(ROOMS),sql/parts/$(room).sql))
DATA_built = sql/vecdb--$(EXTVERSION).sql

PG_CPPFLAGS = -I$(CURDIR)/include \
	-fvisibility=hidden -DPGDLLEXPORT='__attribute__((visibility("default")))'
PG_CFLAGS = -O3 -MMD -MP -Wextra -Wno-unused-parameter -Wno-sign-compare \
	-Wno-missing-field-initializers
SHLIB_LINK = -lxxhash -lm

EXTRA_CLEAN = $(DEPS) $(OBJS:.o=.bc) sql/vecdb--$(EXTVERSION).sql

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

-include $(DEPS)

sql/vecdb--$(EXTVERSION).sql: $(SQL_PARTS)
	@{ printf '/* sql/vecdb--%s.sql */\n\n' $(EXTVERSION); \
	  printf -- '-- complain if script is sourced in psql, rather than via CREATE EXTENSION\n'; \
	  printf '\\echo Use "CREATE EXTENSION vecdb" to load this file. \\quit\n\n'; \
	  cat $^; } > $@
