"""A distributed table beside the same table on one server.

Called by "cluster".  The servers are processes on this machine, so a cluster
has no more processors than one server has: what a search costs is told by the
processor time of each process, and speed by the clock only where one thing
happens at a time.

A figure is the median of the rounds, taken in turns.
"""

import atexit
import datetime
import json
import os
import pathlib
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

from dataset import DataSet
from server import Installation, Server, run_quietly

SEARCH = "SELECT id FROM {} ORDER BY v <=> %s::vector LIMIT 10"
INDEX = "CREATE INDEX ON {} USING hnsw (v vector_cosine_ops)"
SETTINGS = {
    "shared_buffers": "'256MB'", "max_wal_size": "'8GB'",
    "checkpoint_timeout": "'1h'", "synchronous_commit": "off",
    "autovacuum": "off", "jit": "off", "wal_level": "logical",
    "max_parallel_workers_per_gather": "0", "max_connections": "50",
    "max_prepared_transactions": "50", "maintenance_work_mem": "'512MB'",
    "dynamic_shared_memory_type": "sysv", "random_page_cost": "1.1"}


def say(text):
    print(f"bench: {text}", flush=True)


def cpu(pid):
    """Seconds of processor time of a process so far, to the nanosecond."""
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[0]) / 1e9


def milliseconds(seconds):
    return 1000 * statistics.median(seconds)


class Cluster:
    """Servers that are groups of one cluster."""

    def __init__(self, installation, directory, groups):
        self.servers = []
        for number in range(1, groups + 1):
            home = directory / f"groups{groups}_{number}"
            home.mkdir()
            server = Server(installation, home, {
                **SETTINGS, "shared_preload_libraries": "'vecdb'"})
            atexit.register(server.stop)
            server.start()
            self.servers.append(server)
            with server.session("postgres") as session:
                session.execute("CREATE EXTENSION vecdb")
        with self.servers[0].session("postgres") as session:
            for number, server in enumerate(self.servers, 1):
                function = "create_cluster" if number == 1 else "add_group"
                session.execute(f"SELECT vecdb.{function}(%s, 5432)",
                                [str(server.socket)])

    def session(self, group=1):
        return self.servers[group - 1].session("postgres")

    def processes(self):
        """The client backends of all servers, by server."""
        pids = []
        for server in self.servers:
            with server.session("postgres") as session:
                rows = session.execute(
                    "SELECT pid FROM pg_stat_activity WHERE backend_type = "
                    "'client backend' AND pid <> pg_backend_pid()").fetchall()
            pids.append([row[0] for row in rows])
        return pids

    def stop(self):
        for server in self.servers:
            server.stop()


def text_of(vector):
    return "[" + ",".join(f"{x:.6g}" for x in vector) + "]"


def rows_text(vectors, first=0):
    """Rows for COPY in text form."""
    return "".join(f"{first + i}\t{text_of(v)}\n"
                   for i, v in enumerate(vectors))


def copy_in(session, table, text):
    """Seconds that COPY FROM STDIN takes."""
    start = time.perf_counter()
    with session.cursor() as cursor, \
            cursor.copy(f"COPY {table} FROM STDIN") as copy:
        for at in range(0, len(text), 1 << 20):
            copy.write(text[at:at + (1 << 20)])
    return time.perf_counter() - start


def make_table(session, table, dimensions, distribute):
    session.execute(f"CREATE TABLE {table} "
                    f"(id bigint PRIMARY KEY, v vector({dimensions}))")
    if distribute:
        session.execute(f"SELECT vecdb.distribute_table('{table}')")


def time_each(session, statement, parameters, warm):
    """Seconds for each execution of a prepared statement."""
    seconds = []
    for number, values in enumerate(parameters):
        start = time.perf_counter()
        session.execute(statement, values, prepare=True).fetchall()
        if number >= warm:
            seconds.append(time.perf_counter() - start)
    return seconds


def search(server, session, table, queries, cluster=None):
    """Latency of searches, and the processor time that they took.

    Of the session's own backend, and with a cluster of the backends that
    work for it in each server.
    """
    own = session.info.backend_pid
    statement = SEARCH.format(table)
    parameters = [[text_of(q)] for q in queries]
    time_each(session, statement, parameters[:20], 0)
    others = [pid for pids in cluster.processes() for pid in pids
              if pid != own] if cluster else []
    before = {pid: cpu(pid) for pid in [own, *others]}
    with server.awake():
        seconds = time_each(session, statement, parameters, 0)
    used = {pid: 1e6 * (cpu(pid) - before[pid]) / len(parameters)
            for pid in before}
    return {"p50_ms": milliseconds(seconds), "own_cpu_us": used[own],
            "others_cpu_us": [used[pid] for pid in others]}


def insert_rows(server, session, table, count, first, vectors):
    """Rows per second, one INSERT and one transaction each."""
    parameters = [[first + i, text_of(vectors[i % len(vectors)])]
                  for i in range(count)]
    statement = f"INSERT INTO {table} VALUES (%s, %s::vector)"
    with server.awake():
        start = time.perf_counter()
        for values in parameters:
            session.execute(statement, values, prepare=True)
        return count / (time.perf_counter() - start)


def router(server, session, table, ids):
    statement = f"SELECT id, vector_dims(v) FROM {table} WHERE id = %s::bigint"
    with server.awake():
        return milliseconds(time_each(
            session, statement, [[int(i)] for i in ids], 200))


class Measurement:
    """What is measured, on one server and on clusters of some groups."""

    def __init__(self, installation, directory, data, options):
        self.data = data
        self.options = options
        self.queries = np.resize(data.queries, (
            options["searches"], data.dimensions))
        self.text = rows_text(data.base)
        home = directory / "single"
        home.mkdir()
        self.single = Server(installation, home, SETTINGS)
        atexit.register(self.single.stop)
        self.single.start()
        with self.single.session("postgres") as session:
            session.execute("CREATE EXTENSION vecdb")
        say("three groups")
        self.three = Cluster(installation, directory, 3)
        self.figures = {}

    def load(self):
        """COPY rates, then the tables for searching, with their indexes.

        Each node of the cluster also gets a plain table "share" with the rows
        that it holds: what its part of a search costs when nobody asks from
        elsewhere.
        """
        rows = len(self.data.base)
        size = self.data.dimensions
        rates = {"single": [], "three": []}
        for turn in range(self.options["rounds"]):
            for name, where in (("single", self.single), ("three", self.three)):
                with where.session("postgres") if name == "single" \
                        else where.session() as session:
                    make_table(session, f"copied{turn}", size, name == "three")
                    rates[name].append(
                        rows / copy_in(session, f"copied{turn}", self.text))
                    session.execute(f"DROP TABLE copied{turn}")
        self.figures["copy_rows_per_s"] = {
            name: statistics.median(values) for name, values in rates.items()}
        for session, distribute in ((self.single.session("postgres"), False),
                                    (self.three.session(), True)):
            with session as session:
                make_table(session, "items", size, distribute)
                copy_in(session, "items", self.text)
                session.execute(INDEX.format("items"))
                session.execute("ANALYZE items")
        for number, server in enumerate(self.three.servers):
            with server.session("postgres") as session:
                make_table(session, "share", size, False)
                part = range(number, rows, len(self.three.servers))
                copy_in(session, "share", "".join(
                    f"{i}\t{text_of(self.data.base[i])}\n" for i in part))
                session.execute(INDEX.format("share"))
                session.execute("ANALYZE share")

    def searches(self):
        answers = {"single": [], "fan_out": [], "share": []}
        for _ in range(self.options["rounds"]):
            with self.single.session("postgres") as session:
                answers["single"].append(
                    search(self.single, session, "items", self.queries))
            with self.three.session() as session:
                answers["fan_out"].append(search(
                    self.three.servers[0], session, "items", self.queries,
                    self.three))
            shares = []
            for server in self.three.servers:
                with server.session("postgres") as session:
                    shares.append(
                        search(server, session, "share", self.queries))
            answers["share"].append(shares)
        median = statistics.median
        single = {name: median(a[name] for a in answers["single"])
                  for name in ("p50_ms", "own_cpu_us")}
        fan_out = {name: median(a[name] for a in answers["fan_out"])
                   for name in ("p50_ms", "own_cpu_us")}
        fan_out["others_cpu_us"] = median(
            sum(a["others_cpu_us"]) for a in answers["fan_out"])
        slowest = median(max(s["p50_ms"] for s in shares)
                         for shares in answers["share"])
        share_cpu = median(statistics.mean(s["own_cpu_us"] for s in shares)
                           for shares in answers["share"])
        self.figures["search"] = {
            "single": single, "fan_out": fan_out,
            "share": {"slowest_p50_ms": slowest, "cpu_us": share_cpu},
            "coordinator_cpu_us": fan_out["own_cpu_us"] - share_cpu,
            "overhead_ms": fan_out["p50_ms"] - slowest}

    def routed(self):
        rng = np.random.default_rng(3)
        ids = rng.integers(0, len(self.data.base), self.options["lookups"])
        answers = {"single": [], "own": [], "other": []}
        with self.three.session() as session:
            place = [row[0] for row in session.execute(
                "EXPLAIN (COSTS off) SELECT id FROM items WHERE id = 0")]
        for _ in range(self.options["rounds"]):
            with self.single.session("postgres") as session:
                answers["single"].append(
                    router(self.single, session, "items", ids))
            own = self.ids_of_first_group(ids)
            with self.three.session() as session:
                server = self.three.servers[0]
                answers["own"].append(router(
                    server, session, "items", [i for i in ids if i in own]))
                answers["other"].append(router(
                    server, session, "items",
                    [i for i in ids if i not in own]))
        self.figures["router_ms"] = {
            name: statistics.median(values)
            for name, values in answers.items()}
        self.figures["router_plan"] = place

    def ids_of_first_group(self, ids):
        """Those whose row the first group holds."""
        with self.three.session() as session:
            shard = session.execute(
                "SELECT i FROM unnest(%s::bigint[]) i WHERE "
                "vecdb.group_of('items', i) = 1", [list(map(int, ids))])
            return {row[0] for row in shard}

    def inserts(self):
        count = self.options["inserts"]
        fresh = self.data.fresh(min(count, 1000))
        answers = {"single": [], "three": []}
        for turn in range(self.options["rounds"]):
            for name, where, session in (
                    ("single", self.single, self.single.session("postgres")),
                    ("three", self.three.servers[0], self.three.session())):
                with session as session:
                    table = f"inserted{turn}"
                    make_table(session, table, self.data.dimensions,
                               name == "three")
                    answers[name].append(insert_rows(
                        where, session, table, count, 0, fresh))
                    session.execute(f"DROP TABLE {table}")
        self.figures["inserts_per_s"] = {
            name: statistics.median(values)
            for name, values in answers.items()}


def table(figures, groups=3):
    """Rows of text: what, one server, the cluster, target, reached."""
    search_, router_ = figures["search"], figures["router_ms"]
    inserts, copies = figures["inserts_per_s"], figures["copy_rows_per_s"]
    coordinator = search_["coordinator_cpu_us"]
    ratio = max(router_["own"], router_["other"]) / router_["single"]
    insert_ratio = inserts["three"] / inserts["single"]
    copy_ratio = copies["three"] / copies["single"]
    mark = {True: "yes", False: "no", None: ""}
    rows = [
        ("search, p50", f"{search_['single']['p50_ms']:.2f} ms",
         f"{search_['fan_out']['p50_ms']:.2f} ms", "", None),
        ("  over the slowest group's own", "",
         f"+{search_['overhead_ms']:.2f} ms", "<= 0.3 ms",
         search_["overhead_ms"] <= 0.3),
        ("  CPU of the asked node's backend",
         f"{search_['single']['own_cpu_us']:.0f} us",
         f"{search_['fan_out']['own_cpu_us']:.0f} us", "", None),
        ("  without its own share of the search", "",
         f"{coordinator:.0f} us", "<= 150 us", coordinator <= 150),
        ("  CPU of each other node", "",
         f"{search_['fan_out']['others_cpu_us'] / (groups - 1):.0f} us",
         "", None),
        ("row by key, p50, own group", f"{router_['single']:.3f} ms",
         f"{router_['own']:.3f} ms", "<= 1.3 x",
         router_["own"] / router_["single"] <= 1.3),
        ("row by key, p50, another group", f"{router_['single']:.3f} ms",
         f"{router_['other']:.3f} ms", "<= 1.3 x", ratio <= 1.3),
        ("single-row INSERT, per second", f"{inserts['single']:.0f}",
         f"{inserts['three']:.0f}", ">= 0.6 x", insert_ratio >= 0.6),
        ("COPY, rows per second", f"{copies['single']:.0f}",
         f"{copies['three']:.0f}", ">= 0.8 x", copy_ratio >= 0.8)]
    rows = [("", "one server", f"{groups} groups", "target", "reached")] + [
        (*row[:4], mark[row[4]]) for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    return ["  ".join(cell.ljust(width) for cell, width in
                      zip(row, widths, strict=True)).rstrip()
            for row in rows]


def describe():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":", 1)[1].strip() for line in file
                      if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {"processor": model, "cores": os.cpu_count(),
            "memory_gib": round(memory / 1024 ** 3),
            "kernel": platform.release(),
            "load_before": round(os.getloadavg()[0], 2)}


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    repository = pathlib.Path(os.environ["BENCH_REPOSITORY"])
    quick = os.environ.get("QUICK", "") not in ("", "0")
    options = {"rounds": 1, "searches": 300, "lookups": 2000,
               "inserts": 1000} if quick else {
                   "rounds": 3, "searches": 2000, "lookups": 6000,
                   "inserts": 10000}
    machine = describe()
    data = DataSet(os.environ.get("DATA") or repository / "test" / "data",
                   int(os.environ.get("MAX_ROWS") or 0) or None)
    directory = pathlib.Path(tempfile.mkdtemp(prefix="vecdb-bench-"))
    directory.chmod(0o755)
    atexit.register(shutil.rmtree, directory, True)
    say("building vecdb into a private installation")
    installation = Installation(os.environ["PG_CONFIG"]).copy_to(
        directory / "installation")
    run_quietly(["make", f"PG_CONFIG={installation.pg_config}", "-C",
                 str(repository), "VECTOR_ALIAS=no", "install"])
    say("one server")
    measurement = Measurement(installation, directory, data, options)
    for step in (measurement.load, measurement.searches, measurement.routed,
                 measurement.inserts):
        say(step.__name__)
        step()
    version = subprocess.check_output(
        [str(installation.bindir / "postgres"), "-V"], text=True).strip()
    record = {
        "date": datetime.date.today().isoformat(), "machine": machine,
        "postgresql": version,
        "data": {"name": data.name, "rows": len(data.base),
                 "dimensions": data.dimensions},
        "settings": SETTINGS, "options": options,
        "figures": measurement.figures}
    print()
    print(f"{machine['processor']}, {machine['cores']} cores, "
          f"{machine['memory_gib']} GiB, kernel {machine['kernel']}; "
          f"{version}")
    print(f"{data.name}: {len(data.base)} rows of {data.dimensions} "
          f"dimensions, hnsw, 10 nearest; servers on this one machine")
    print()
    print("\n".join(table(measurement.figures)))
    output = pathlib.Path(os.environ.get("OUT") or (
        repository / ".build" / "bench" if quick
        else repository / "docs" / "benchmarks")) / "cluster.json"
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    say(f"figures are in {output}")


if __name__ == "__main__":
    main()
