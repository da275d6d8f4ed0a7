"""The engines under test: a database per extension, and hnswlib in process.

Each engine answers the same few questions; bench.py asks them in turn.
"""

import contextlib
import json
import subprocess
import time

import numpy as np

from dataset import K, unit

# What a search is.  "parameter": the client sends the query vector as a text
# parameter, as drivers do; fetching it first is a statement of its own that
# is not counted.  "subselect": the vector never leaves the server.
FETCH = ("\\set id random(0, {last_query})\n"
         "SELECT embedding AS q FROM queries WHERE id = :id \\gset\n")
SEARCH = {
    "parameter": FETCH +
    "SELECT id FROM items ORDER BY embedding <=> :q LIMIT {k};\n",
    "subselect": "\\set id random(0, {last_query})\n"
    "SELECT id FROM items ORDER BY embedding <=> "
    "(SELECT embedding FROM queries WHERE id = :id) LIMIT {k};\n"}
# The floor of SQL: the same parameter comes in, the same number of rows goes
# out through an ordered index scan with its heap fetches, on a btree.
FLOOR = {
    "parameter": "\\set first random(0, {last_start})\n" + FETCH +
    "SELECT id FROM items WHERE id >= :first "
    "AND CAST(:q AS vector) IS NOT NULL ORDER BY id LIMIT {k};\n",
    "subselect": "\\set first random(0, {last_start})\n"
    "\\set id random(0, {last_query})\n"
    "SELECT id FROM items WHERE id >= :first "
    "AND (SELECT embedding FROM queries WHERE id = :id) IS NOT NULL "
    "ORDER BY id LIMIT {k};\n"}
INSERT = ("\\set n :n + 1\n"
          "\\set new :rows + :n\n"
          "SELECT embedding AS q FROM fresh WHERE id = :n \\gset\n"
          "INSERT INTO items VALUES (:new, :q, 0);\n")
UPDATE = ("\\set id random(0, {last_row})\n"
          "UPDATE items SET label = label + 1 WHERE id = :id;\n")
FOUND = ("SELECT ARRAY(SELECT id FROM items "
         "ORDER BY items.embedding <=> queries.embedding LIMIT %d) "
         "FROM queries ORDER BY id" % K)
INDEX_ONLY = "-c enable_seqscan=off -c enable_sort=off "
DELETED_EVERY = 10      # rows whose id leaves DELETED_REST are deleted
DELETED_REST = 3
EXPLAINED_QUERIES = 200
COLD_QUERIES = 200


class Database:
    """One extension in a database of its own, on the common server."""

    is_sql = True

    def __init__(self, server, name, extension, data, options):
        self.server = server
        self.name = name
        self.extension = extension
        self.data = data
        self.options = options
        self.database = f"bench_{name}"
        self.copy = f"bench_{name}_copy"
        self.version = None

    # -- preparation

    def load(self):
        """Create the database and its tables; everything but the index."""
        with self.server.session("postgres") as session:
            session.execute(f"CREATE DATABASE {self.database}")
        d = self.data.dimensions
        with self.server.session(self.database) as session:
            session.execute("CREATE EXTENSION pg_prewarm")
            session.execute(f"CREATE EXTENSION {self.extension}")
            self.version = session.execute(
                "SELECT extversion FROM pg_extension WHERE extname = %s",
                [self.extension]).fetchone()[0]
            for table, vectors in (
                    ("items", self.data.base), ("queries", self.data.queries),
                    ("fresh", self.data.fresh(self.options.writes + 1))):
                session.execute(f"CREATE TABLE {table} (id bigint PRIMARY "
                                f"KEY, embedding vector({d}), label integer)")
                copy_vectors(session, table, vectors)
            session.execute("CREATE INDEX items_label ON items (label)")
            # a worker whatever the size of the table's main fork
            session.execute("ALTER TABLE items SET (parallel_workers = 1)")
            session.execute("VACUUM ANALYZE")

    def build(self, memory=None):
        """Build the index anew; seconds, bytes and what the server said.

        "memory" is maintenance_work_mem in bytes, the ample one by default.
        """
        notices = []
        memory = memory or self.options.build_memory
        with self.server.session(self.database) as session:
            session.execute("DROP INDEX IF EXISTS items_embedding")
            session.add_notice_handler(
                lambda diagnostic: notices.append(diagnostic.message_primary))
            session.execute("CHECKPOINT")
            session.execute(f"SET maintenance_work_mem = '{memory // 1024}kB'")
            session.execute("SET max_parallel_maintenance_workers = 1")
            start = time.perf_counter()
            session.execute(
                "CREATE INDEX items_embedding ON items USING hnsw "
                "(embedding vector_cosine_ops) WITH (m = %d, "
                "ef_construction = %d)" % (self.options.m,
                                           self.options.ef_construction))
            seconds = time.perf_counter() - start
            size = session.execute(
                "SELECT pg_relation_size('items_embedding')").fetchone()[0]
        return {"seconds": seconds, "bytes": size, "notices": notices,
                "maintenance_work_mem": memory}

    def warm(self, database=None):
        """Bring tables and indexes into shared buffers."""
        with self.server.session(database or self.database) as session:
            session.execute(
                "SELECT pg_prewarm(oid::regclass) FROM pg_class WHERE relname "
                "IN ('items', 'items_pkey', 'items_label', 'items_embedding', "
                "'queries', 'queries_pkey', 'fresh', 'fresh_pkey')")

    # -- searching

    def fill(self, script):
        return script.format(k=K, last_query=len(self.data.queries) - 1,
                             last_row=len(self.data.base) - 1,
                             last_start=len(self.data.base) - K - 1)

    def found(self, ef_search, database=None):
        """The rows found for every query, by the index alone."""
        with self.server.session(
                database or self.database,
                INDEX_ONLY + f"-c hnsw.ef_search={ef_search}") as session:
            plan = "\n".join(row[0] for row in session.execute(
                "EXPLAIN " + FOUND))
            if "items_embedding" not in plan:
                raise SystemExit(f"bench: {self.name} does not use its "
                                 f"index:\n{plan}")
            return [row[0] for row in session.execute(FOUND)]

    def speed(self, ef_search):
        """Searches per second."""
        return 1000 / self.server.pgbench(
            self.database, self.fill(SEARCH[self.options.shape]),
            ["-T", str(self.options.seconds)],
            INDEX_ONLY + f"-c hnsw.ef_search={ef_search}")

    def cold_speed(self, ef_search, shared_buffers):
        """The first searches per second, little memory and nothing cached.

        A fixed number of searches, not a fixed time: the longer it runs, the
        more is cached, and the quicker engine would profit from that.
        """
        self.server.restart_cold(shared_buffers)
        return 1000 / self.server.pgbench(
            self.database, self.fill(SEARCH[self.options.shape]),
            ["-t", str(COLD_QUERIES)],
            INDEX_ONLY + f"-c hnsw.ef_search={ef_search}")

    def floor(self):
        """The same statement shape per second, with no vector search."""
        return 1000 / self.server.pgbench(
            self.database, self.fill(FLOOR[self.options.shape]),
            ["-T", str(self.options.seconds)],
            "-c enable_seqscan=off -c enable_bitmapscan=off "
            "-c enable_indexonlyscan=off -c enable_sort=off")

    def buffers(self, ef_search):
        """Mean shared buffers touched by a search, its heap rows included."""
        total = 0
        queries = self.data.queries[:EXPLAINED_QUERIES]
        with self.server.session(
                self.database,
                INDEX_ONLY + f"-c hnsw.ef_search={ef_search}") as session:
            for query in queries:
                text = "[" + ",".join(map(repr, query.tolist())) + "]"
                plan = session.execute(
                    "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) "
                    f"SELECT id FROM items ORDER BY embedding <=> '{text}' "
                    f"LIMIT {K}").fetchone()[0]
                plan = json.loads(plan) if isinstance(plan, str) else plan
                total += sum(plan[0]["Plan"][f"Shared {what} Blocks"]
                             for what in ("Hit", "Read"))
        return total / len(queries)

    # -- writing, always in a fresh copy of the database

    @contextlib.contextmanager
    def fresh_copy(self, full_page_writes=True):
        """A warm copy of the database, in the state the build left."""
        with self.server.session("postgres") as session:
            session.execute(f"DROP DATABASE IF EXISTS {self.copy}")
            session.execute(
                f"CREATE DATABASE {self.copy} TEMPLATE {self.database}")
            session.execute("ALTER SYSTEM SET full_page_writes = %s"
                            % ("on" if full_page_writes else "off"))
            session.execute("SELECT pg_reload_conf()")
        self.warm(self.copy)
        with self.server.session("postgres") as session:
            session.execute("CHECKPOINT")
        yield self.copy
        with self.server.session("postgres") as session:
            session.execute(f"DROP DATABASE {self.copy}")
            session.execute("ALTER SYSTEM RESET full_page_writes")
            session.execute("SELECT pg_reload_conf()")

    def write(self, script, full_page_writes=True):
        """Seconds, and WAL bytes per row, of single-row statements."""
        count = self.options.writes
        with self.fresh_copy(full_page_writes) as copy:
            before = self.wal_position()
            latency = self.server.pgbench(
                copy, self.fill(script),
                ["-t", str(count), "-D", "n=0",
                 "-D", f"rows={len(self.data.base)}"])
            written = self.wal_position() - before
        return {"seconds": latency * count / 1000,
                "wal_bytes": written / count}

    def insert(self, full_page_writes=True):
        return self.write(INSERT, full_page_writes)

    def update(self):
        return self.write(UPDATE)

    def wal_position(self):
        with self.server.session("postgres") as session:
            return int(session.execute(
                "SELECT pg_current_wal_insert_lsn() - '0/0'").fetchone()[0])

    def vacuum(self, ef_search):
        """Delete a tenth and vacuum: seconds, recall, size after.

        Recall afterwards is against the truth without the deleted rows.
        """
        deleted = np.arange(len(self.data.base)) % DELETED_EVERY == \
            DELETED_REST
        with self.fresh_copy() as copy:
            with self.server.session(copy) as session:
                session.execute("DELETE FROM items WHERE id %% %d = %d"
                                % (DELETED_EVERY, DELETED_REST))
                session.execute("CHECKPOINT")
                session.execute("SET maintenance_work_mem = '%dkB'"
                                % (self.options.build_memory // 1024))
                start = time.perf_counter()
                session.execute("VACUUM (PARALLEL 0) items")
                seconds = time.perf_counter() - start
                size = session.execute(
                    "SELECT pg_relation_size('items_embedding')").fetchone()
            recall = self.data.recall(self.found(ef_search, copy), deleted)
        return {"seconds": seconds, "recall": recall, "bytes": size[0]}


def copy_vectors(session, table, vectors):
    """COPY id, vector and label 0 in binary, made by numpy in one go."""
    dimensions = vectors.shape[1]
    rows = np.zeros(len(vectors), dtype=[
        ("fields", ">i2"), ("id_length", ">i4"), ("id", ">i8"),
        ("vector_length", ">i4"), ("dimensions", ">i2"), ("unused", ">i2"),
        ("values", ">f4", (dimensions,)), ("label_length", ">i4"),
        ("label", ">i4")])
    rows["fields"] = 3
    rows["id_length"] = 8
    rows["id"] = np.arange(len(vectors))
    rows["vector_length"] = 4 + 4 * dimensions
    rows["dimensions"] = dimensions
    rows["values"] = vectors
    rows["label_length"] = 4
    header = b"PGCOPY\n\xff\r\n\0" + bytes(8)
    with session.cursor() as cursor, \
            cursor.copy(f"COPY {table} FROM STDIN (FORMAT binary)") as copy:
        copy.write(header)
        for start in range(0, len(rows), 10000):
            copy.write(rows[start:start + 10000].tobytes())
        copy.write(b"\xff\xff")


class Hnswlib:
    """The library in a process of its own, with no SQL around it."""

    is_sql = False
    name = "hnswlib"
    extension = None

    def __init__(self, program, directory, data, options):
        self.data = data
        self.options = options
        self.version = package_version("libhnswlib-dev")
        files = []
        for name, vectors in (("base", data.base), ("queries", data.queries)):
            files.append(str(directory / f"{name}.f32"))
            unit(vectors).tofile(files[-1])
        self.process = subprocess.Popen(
            [program, *files, str(data.dimensions)], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, question, lines=1):
        """Send one line, read so many."""
        self.process.stdin.write(question + "\n")
        self.process.stdin.flush()
        answer = [self.process.stdout.readline() for _ in range(lines)]
        if not all(answer):
            raise SystemExit(f"bench: hnswlib gave no answer to {question}")
        return answer

    def build(self):
        answer = self.ask(f"build {self.options.m} "
                          f"{self.options.ef_construction} 2")[0]
        seconds, size = answer.split()
        return {"seconds": float(seconds), "bytes": int(size)}

    def found(self, ef_search):
        lines = self.ask(f"find {ef_search} {K}", len(self.data.queries))
        return [[int(row) for row in line.split()] for line in lines]

    def speed(self, ef_search):
        return float(self.ask(
            f"search {ef_search} {K} {self.options.seconds}")[0])

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def package_version(package):
    """The version dpkg knows, or "unknown" where there is no dpkg."""
    try:
        return subprocess.check_output(
            ["dpkg-query", "-W", "-f", "${Version}", package], text=True,
            stderr=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
