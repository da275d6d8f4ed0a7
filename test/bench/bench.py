"""vecdb beside pgvector and hnswlib: measure, then write it down.

Called by "run"; what can be set is listed in README, next to this file.
Every figure is asked of the engines in turn, round after round (A B C, A B
C, ...), so that what else happens on the machine falls on all alike; what is
reported is the median of the rounds.
"""

import argparse
import atexit
import datetime
import os
import pathlib
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile

import psycopg

import report
from dataset import DataSet
from engines import Database, Hnswlib
from server import Installation, Server, make_private_installation

MIB = 1024 * 1024
FULL = {"rounds": 3, "turns": 9, "seconds": 1, "writes": 1000,
        "efs": [10, 20, 30, 40, 60, 80, 120, 200, 400, 800]}
QUICK = {"rounds": 1, "turns": 1, "seconds": 1, "writes": 200,
         "efs": [10, 40, 120, 400]}
VACUUM_EF = 100         # recall before and after VACUUM is compared here
COLD_RECALL = 0.95      # searches with a cold cache reach this


def read_options():
    """What the environment asks for, with the defaults filled in."""
    get = os.environ.get
    quick = get("QUICK", "") not in ("", "0")
    defaults = QUICK if quick else FULL
    repository = pathlib.Path(os.environ["BENCH_REPOSITORY"])
    own_roles = not get("ROLES")
    roles = get("ROLES") or "vecdb=vecdb pgvector=vector"
    public = own_roles and not quick
    options = argparse.Namespace(
        quick=quick, repository=repository,
        data=get("DATA") or repository / "test" / "data",
        max_rows=int(get("MAX_ROWS") or 0) or None,
        rounds=int(get("ROUNDS") or defaults["rounds"]),
        turns=int(get("TURNS") or defaults["turns"]),
        seconds=int(get("SECONDS_PER_RUN") or defaults["seconds"]),
        writes=int(get("WRITES") or defaults["writes"]),
        efs=[int(ef) for ef in get("EFS", "").split()] or defaults["efs"],
        m=int(get("M") or 16),
        ef_construction=int(get("EF_CONSTRUCTION") or 64),
        shape=get("SHAPE") or "parameter",
        roles=[tuple(role.split("=")) for role in roles.split()],
        pgvector_source=get("PGVECTOR_SOURCE") or None,
        directory=get("BENCH_DIR") or None,
        page=repository / "docs" / "benchmarks.md" if public else None,
        output=pathlib.Path(get("OUT") or (
            repository / "docs" / "benchmarks" if public
            else repository / ".build" / "bench")))
    if options.shape not in ("parameter", "subselect"):
        raise SystemExit("bench: SHAPE is parameter or subselect")
    if any(len(role) != 2 for role in options.roles):
        raise SystemExit("bench: ROLES is a list of NAME=EXTENSION")
    return options


def server_settings(data, options):
    """Everything cached, nothing in the background, one client."""
    raw = data.base.nbytes
    options.build_memory = 256 * MIB + 3 * raw
    half = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    buffers = options.shared_buffers = min(512 * MIB + 8 * raw, half)
    # a parallel build may put all of its memory into /dev/shm
    shm = shutil.disk_usage("/dev/shm").free if os.path.isdir("/dev/shm") \
        else 0
    roomy = shm > options.build_memory + 64 * MIB
    return {
        "shared_buffers": f"'{buffers // MIB}MB'",
        "dynamic_shared_memory_type": "posix" if roomy else "sysv",
        "max_wal_size": "'16GB'", "checkpoint_timeout": "'1h'",
        "synchronous_commit": "off", "autovacuum": "off", "jit": "off",
        "max_parallel_workers_per_gather": "0",
        "effective_cache_size": f"'{2 * half // MIB}MB'",
        "random_page_cost": "1.1"}


def choose_installation(options, directory):
    """The installation to measure, and the roles that it can play."""
    installation = Installation(os.environ["PG_CONFIG"])
    if options.pgvector_source:
        installation = make_private_installation(
            installation, directory / "installation", options.repository,
            pathlib.Path(options.pgvector_source).resolve())
    roles = []
    for name, extension in options.roles:
        present = installation.has_pgvector() if extension == "vector" \
            else installation.has_extension(extension)
        if present:
            roles.append((name, extension))
        elif name == "vecdb":
            raise SystemExit(
                f"bench: {installation.pg_config} has no extension "
                f"\"{extension}\"; run make install first")
        else:
            print(f"bench: no {name} on this server, so none beside us; "
                  "PGVECTOR_SOURCE=DIRECTORY builds it", flush=True)
    return installation, roles


def in_rounds(engines, rounds, what, question):
    """Ask each engine in turn, so many times; a list of answers for each."""
    answers = {engine.name: [] for engine in engines}
    for number in range(rounds):
        for engine in engines:
            answer = question(engine)
            answers[engine.name].append(answer)
            print(f"  {what} {number + 1}/{rounds} {engine.name}: "
                  f"{brief(answer)}", flush=True)
    return answers


def brief(answer):
    """One answer on a line of the log."""
    if isinstance(answer, dict):
        return ", ".join(f"{name} {brief(value)}"
                         for name, value in answer.items() if value != [])
    return f"{answer:.5g}" if isinstance(answer, float) else str(answer)


def medians(answers, field=None):
    """The median per engine, of one field where answers are records."""
    return {name: statistics.median(
        [one[field] if field else one for one in many])
        for name, many in answers.items()}


def measure(engines, data, options):
    """All figures, raw, by name; each a dict by engine."""
    databases = [engine for engine in engines if engine.is_sql]
    few = max(1, options.rounds - 1)
    raw = {}
    raw["build"] = in_rounds(engines, few, "build", lambda e: e.build())
    for database in databases:
        database.warm()

    raw["curve"] = [
        {"ef_search": ef, "recall": find(engines, data, ef),
         "buffers": {e.name: e.buffers(ef) for e in databases}}
        for ef in options.efs]
    raw["floor"] = measure_speeds(engines, databases, raw["curve"],
                                  options.turns)
    raw["recall_before_vacuum"] = {
        e.name: data.recall(e.found(VACUUM_EF)) for e in databases}

    raw["insert"] = in_rounds(databases, options.rounds, "insert",
                              lambda e: e.insert())
    raw["insert_no_full_pages"] = in_rounds(
        databases, 1, "insert without full page images",
        lambda e: e.insert(full_page_writes=False))
    raw["update"] = in_rounds(databases, options.rounds, "update",
                              lambda e: e.update())
    raw["vacuum"] = in_rounds(databases, few, "vacuum",
                              lambda e: e.vacuum(VACUUM_EF))
    if not options.quick:
        sizes = medians(raw["build"], "bytes")
        largest = int(max(sizes[e.name] for e in databases))
        raw["cold"] = measure_cold(databases, raw["curve"], largest // 10,
                                   options)
        options.low_memory = max(4 * MIB, largest // 4)
        raw["low_memory_build"] = in_rounds(
            databases, 1, "build in little memory",
            lambda e: e.build(options.low_memory))
    return raw


def find(engines, data, ef):
    """The recall of each engine."""
    recall = {e.name: data.recall(e.found(ef)) for e in engines}
    print(f"  ef_search {ef} recall: {brief(recall)}", flush=True)
    return recall


def measure_speeds(engines, databases, curve, turns):
    """Add "qps" to each step of the curve; the floor is the result.

    A turn goes over the floor and all of the curve, so that where the machine
    is slow for a while, that is in one turn of every figure, and not in all
    turns of one.
    """
    floor = {e.name: [] for e in databases}
    for step in curve:
        step["qps"] = {e.name: [] for e in engines}
    for turn in range(turns):
        for database in databases:
            floor[database.name].append(database.floor())
        for step in curve:
            for engine in engines:
                step["qps"][engine.name].append(
                    engine.speed(step["ef_search"]))
            print(f"  ef_search {step['ef_search']} qps {turn + 1}/{turns}: "
                  + brief({name: many[-1]
                           for name, many in step["qps"].items()}),
                  flush=True)
    return floor


def measure_cold(databases, curve, shared_buffers, options):
    """Speed with a cold cache and shared buffers a tenth of the index.

    Each engine searches at its smallest ef_search that finds COLD_RECALL, or
    at the largest when none does.  The server has its own size again afterwards.
    """
    efs = {}
    for database in databases:
        enough = [step["ef_search"] for step in curve
                  if step["recall"][database.name] >= COLD_RECALL]
        efs[database.name] = min(enough, default=curve[-1]["ef_search"])
    answers = in_rounds(
        databases, options.rounds, "cold", lambda e: {
            "ef_search": efs[e.name], "shared_buffers": shared_buffers,
            "qps": e.cold_speed(efs[e.name], shared_buffers)})
    databases[0].server.restart_cold(options.shared_buffers)
    return answers


def describe(server, engines, data, options, settings):
    """The machine, the programs and the settings, for the record."""
    with server.session("postgres") as session:
        version = session.execute("SELECT version()").fetchone()[0]
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":", 1)[1].strip() for line in file
                      if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "date": datetime.date.today().isoformat(),
        "machine": {"processor": model, "cores": os.cpu_count(),
                    "memory_gib": round(memory / 1024 ** 3),
                    "kernel": platform.release(),
                    "load_before": options.load_before},
        "postgresql": version,
        "engines": {e.name: {"extension": e.extension, "version": e.version,
                             "source": source_of(e, options)}
                    for e in engines},
        "data": {"name": data.name, "rows": len(data.base),
                 "dimensions": data.dimensions, "queries": len(data.queries),
                 "truth": data.truth_source, "sha256_of_base": data.sum},
        "settings": settings,
        "options": {
            "m": options.m, "ef_construction": options.ef_construction,
            "rounds": options.rounds, "turns": options.turns,
            "seconds": options.seconds,
            "writes": options.writes, "shape": options.shape,
            "build_memory": options.build_memory,
            "low_memory": getattr(options, "low_memory", None),
            "vacuum_ef": VACUUM_EF, "quick": options.quick},
        "command": report.command(options)}


def source_of(engine, options):
    """The commit an engine was built from, where that can be known."""
    if engine.name == "pgvector":
        directory = options.pgvector_source
    else:
        directory = options.repository if engine.extension == "vecdb" else None
    if directory is None:
        return None
    done = subprocess.run(
        ["git", "-C", str(directory), "describe", "--tags", "--always",
         "--dirty"], text=True, capture_output=True)
    return done.stdout.strip() or None


def main():
    options = read_options()
    options.load_before = os.getloadavg()[0]
    if options.load_before > 0.3:
        print(f"bench: the machine is not idle (load "
              f"{options.load_before:.2f}); the figures will say so",
              flush=True)
    directory = pathlib.Path(options.directory or tempfile.mkdtemp(
        prefix="vecdb-bench-"))
    directory.mkdir(parents=True, exist_ok=True)
    if not options.directory:
        atexit.register(shutil.rmtree, directory, ignore_errors=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: terminated"))

    data = DataSet(options.data, options.max_rows)
    print(f"bench: {data.name}: {len(data.base)} vectors of "
          f"{data.dimensions} dimensions, {len(data.queries)} queries",
          flush=True)
    installation, roles = choose_installation(options, directory)
    settings = server_settings(data, options)
    server = Server(installation, directory, settings)
    atexit.register(server.stop)
    server.start()

    engines = [Database(server, name, extension, data, options)
               for name, extension in roles]
    for engine in engines:
        engine.load()
    if os.access(os.environ["BENCH_HNSWLIB"], os.X_OK):
        engines.append(Hnswlib(os.environ["BENCH_HNSWLIB"], directory, data,
                               options))
        atexit.register(engines[-1].close)
    raw = measure(engines, data, options)
    record = {**describe(server, engines, data, options, settings),
              "figures": raw}
    report.write(record, options)


if __name__ == "__main__":
    try:
        main()
    except psycopg.Error as error:
        sys.exit(f"bench: the server says: {error}")
