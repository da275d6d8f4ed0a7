"""Breaks a cluster of replicated groups, and looks whether it keeps its word.

Called by "run", within networks of its own.  See README.
"""

import argparse
import collections
import itertools
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import threading
import time

import clients
import checkers
from faults import ALONE, KINDS, Injector, long_schedule, possible, short_schedule
from lab import Lab
from report import Report, longest_gap
from session import ask_patiently

ROUND_SECONDS = 600
BACK_SECONDS = 150
SETTLE_SECONDS = 60
# By how many seconds a read may be older than what was acknowledged before it
# began.  "leader" and "direct", which is a client of the primary itself: an
# outdated one is told after vecdb.probe_interval, 1 s, and an answer, for which
# the prober waits 2 s.  "leased": vecdb.read_lease, which "leased at once" sets
# to 0.  "follower" and "any": vecdb.max_lag is 60 s, and noticing takes time.
# A bank's sum ("sum") is judged by its client.
STALE_LIMITS = {"leader": 3, "direct": 3, "leased": 1, "leased at once": 0, "session": 0,
                "follower": 75, "any": 75}


def be_init():
    """The first process of a namespace has to wait for everybody's children.

    Returns in a child; the parent ends when that does, and all with it.
    """
    if os.getpid() != 1:
        return
    child = os.fork()
    if child == 0:
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _frame: os.kill(child, number))
    while True:
        pid, status = os.wait()
        if pid == child:
            os._exit(os.waitstatus_to_exitcode(status) % 256)


class World:
    """The lab, its clients, and what happens to them."""

    def __init__(self, options, directory):
        self.options, self.dir, self.seed = options, directory, options.seed
        self.began = time.monotonic()
        self.lock = threading.Lock()
        self.failures = collections.Counter()
        self.errors = 0
        self.events = open(directory / "events.log", "w", encoding="utf-8", buffering=1)
        self.stopping, self.paused = threading.Event(), threading.Event()
        self.paused.set()
        self.recent = collections.deque(maxlen=1000)
        self.report = Report(options.seed, options.form)
        self.lab = Lab(directory, options.bindir, options.patroni)
        self.history = clients.History(list(self.lab.groups))
        self.clients = []
        self.register_keys = {}
        self.levels = {}
        # by group: what was written last, and a token of the session that did
        self.tokens = {}

    def log(self, text, aloud=True):
        line = f"{time.strftime('%H:%M:%S')} {time.monotonic() - self.began:7.1f} {text}"
        self.events.write(line + "\n")
        if aloud:
            print(line, flush=True)

    def log_failure(self, name, host, failure):
        with self.lock:
            self.failures[f"{name.split('-')[0]}: {str(failure)[:160]}"] += 1
            # bounded, however long it runs
            if len(self.failures) > 5000:
                self.failures = collections.Counter(dict(self.failures.most_common(500)))
            self.errors += 1
            if self.errors < 100_000:
                self.log(f"  {name} by {host}: {str(failure)[:300]}", aloud=False)

    def stale_read(self, level, newer_at, text, seconds=None):
        """A read that is older than what was acknowledged before it began."""
        seconds = time.monotonic() - newer_at if seconds is None else seconds
        with self.lock:
            self.history.stale[level].append(seconds)
        self.log(f"  stale: {text}, {seconds:.2f} s before", aloud=False)

    # --- start ---

    def start(self):
        self.lab.start()
        leader = self.lab.leader_of(1)
        count = clients.ACCOUNTS * 2
        for sql in (
                "CREATE TABLE items (id bigint PRIMARY KEY, tx bigint, embedding vector(8))",
                "CREATE TABLE accounts (id bigint PRIMARY KEY, owner int, balance bigint)",
                "CREATE TABLE ledger (id bigint PRIMARY KEY, source bigint, target bigint, amount bigint)",
                "CREATE TABLE lists (id bigint PRIMARY KEY, entries text NOT NULL)",
                "CREATE TABLE registers (id bigint PRIMARY KEY, value bigint)",
                "CREATE TABLE documents (id bigint PRIMARY KEY, embedding vector(3))",
                *(f"SELECT vecdb.distribute_table('{table}')" for table in (
                    "items", "accounts", "ledger", "lists", "registers", "documents")),
                "CREATE INDEX ON items USING hnsw (embedding vector_l2_ops)",
                f"INSERT INTO accounts SELECT i, i / {clients.ACCOUNTS}, {clients.OPENING}"
                f" FROM generate_series({clients.ACCOUNTS}, {clients.ACCOUNTS + count - 1}) i",
                "INSERT INTO documents SELECT i, ARRAY[random(), random(), random()]::vector"
                " FROM generate_series(1, 2000) i"):
            ask_patiently(leader, sql, 60)
        for group in self.lab.groups:
            key = ask_patiently(leader, "SELECT min(i) FROM generate_series(1, 1000) i"
                                f" WHERE vecdb.group_of('registers', i) = {group}")[0][0]
            ask_patiently(leader, f"INSERT INTO registers VALUES ({key}, 0)")
            self.register_keys[group] = key
        self._find_levels(leader)
        self.begin_round(0)
        self._make_clients()

    def _find_levels(self, leader):
        """What this server knows of levels of reading."""
        self.levels = {"leader": "", "direct": "", "any": ""}
        known = {row[0] for row in ask_patiently(leader, "SELECT name FROM pg_settings")}
        if "vecdb.read_from" in known:
            for level in ("any", "leased", "follower"):
                self.levels[level] = f"SET vecdb.read_from = '{level}'"
            self.levels["leased at once"] = self.levels["leased"] + "; SET vecdb.read_lease = 0"
        if "vecdb.session_token" in known:
            self.levels["session"] = self.levels["follower"]

    def some_host(self, generator):
        """libpq's string for any host, in an order of chance."""
        return self.lab.conninfo(generator.sample(self.lab.all_hosts,
                                                  len(self.lab.all_hosts)))

    def _make_clients(self):
        groups = list(self.lab.groups)
        made = [clients.SetWriter(self, group, group) for group in groups]
        made += [clients.RegisterWriter(self, group, group) for group in groups]
        made += [clients.RegisterReader(self, number, level) for number, level in
                 enumerate(("leader", "direct", "leased", "leased at once", "follower",
                            "any", "session"))
                 if level in self.levels]
        made += [clients.SeveralWriter(self, 1), clients.Bank(self, 1), clients.Bank(self, 2),
                 clients.Lists(self, 1), clients.Lists(self, 2),
                 clients.Search(self, 1, "leader"), clients.Search(self, 2, "any"),
                 clients.Ddl(self, 1), clients.Maintenance(self, 1)]
        self.clients = made
        for client in made:
            client.start()

    # --- rounds ---

    def begin_round(self, number):
        """Keys for the writers, and lists to append to."""
        first = number * clients.ROUND_IDS
        leader = self.lab.leader_of(1)
        ids = {group: [] for group in self.lab.groups}
        for group, row in ask_patiently(
                leader, "SELECT vecdb.group_of('items', i), i FROM "
                f"generate_series({first + 1}, {first + clients.SINGLE_IDS}) i", 60):
            ids[int(group)].append(int(row))
        ids["several"] = list(range((first + clients.SINGLE_IDS) // 3 + 1,
                                    (first + clients.ROUND_IDS) // 3 - 1))
        ask_patiently(
            leader, f"INSERT INTO lists SELECT i, '' FROM generate_series({number * 1000},"
            f" {number * 1000 + clients.LIST_KEYS - 1}) i", 30)
        self.history.begin_round(number, ids)
        for client in self.clients:
            client.successes.clear()
        self.recent.clear()

    def all_succeed(self):
        """With no fault any more each client has to succeed at what it does."""
        since, end = time.monotonic(), time.monotonic() + BACK_SECONDS
        idle = list(self.clients)
        while idle and time.monotonic() < end:
            time.sleep(0.2)
            idle = [client for client in idle
                    if not (client.successes and client.successes[-1] > since)]
        self.report.stuck += [f"{client.name}: no success within {BACK_SECONDS} s "
                              "without a fault" for client in idle]

    def pause(self):
        self.paused.set()
        for client in self.clients:
            # the sum of all limits of its operations
            if not client.idle.wait(180):
                self.report.stuck.append(f"client {client.name} does not come to its end")

    def resume(self):
        self.paused.clear()
        for client in self.clients:
            client.idle.clear()
        # a gap has to have a beginning
        writers = [client for client in self.clients if client.kind == "insert"]
        self.lab.wait(lambda: all(len(client.successes) >= 5 for client in writers),
                      SETTLE_SECONDS, "the first rows of all groups")

    def check(self):
        """Everything that the cluster promises, when nothing is written."""
        began = time.monotonic()
        self.all_succeed()
        self.log(f"all clients succeed after {time.monotonic() - began:.1f} s", aloud=False)
        self.pause()
        self.log(f"all clients wait after {time.monotonic() - began:.1f} s", aloud=False)
        lab, history = self.lab, self.history
        wrong, figures, parts = [], collections.Counter(), []
        for name, check, arguments in (
                ("idle", checkers.check_idle, (lab,)),
                ("cluster", checkers.check_cluster, (lab,)),
                ("rows", checkers.check_rows, (lab, history)),
                ("bank", checkers.check_bank, (lab, history, 2)),
                ("lists", checkers.check_lists, (lab, history)),
                ("registers", checkers.check_registers, (lab, history, self.register_keys)),
                ("members", checkers.check_members, (lab, history)),
                ("going on", checkers.check_going_on, (lab,)),
                # what the checks themselves, and late statements, have left
                ("cluster again", checkers.check_cluster, (lab,)),
                ("crashes", checkers.check_crashes, (lab,))):
            since = time.monotonic()
            found, more = check(*arguments)
            wrong += found
            figures.update(more)
            parts.append(f"{name} {time.monotonic() - since:.1f} s")
        for level, limit in STALE_LIMITS.items():
            found = [seconds for seconds in history.stale[level] if seconds > limit]
            if found:
                wrong.append(f"{len(found)} reads at level {level} were up to "
                             f"{max(found):.1f} s old, and {limit} s are allowed")
        wrong += history.wrong
        history.wrong = []
        self.report.rounds.append(figures)
        self.report.wrong += wrong
        self.report.stale.append({level: (len(found), max(found))
                                  for level, found in history.stale.items() if found})
        history.stale.clear()
        for text in wrong:
            self.log(f"WRONG: {text}")
        self.log(f"checked in {time.monotonic() - began:.0f} s: {figures['acknowledged']} rows "
                 f"acknowledged, {figures['lost']} lost ({', '.join(parts)})")

    def tidy(self):
        """Forget all but some of the rows, so that a run of hours stays small."""
        first = self.history.round * clients.ROUND_IDS + clients.KEPT_IDS
        for sql in (f"DELETE FROM items WHERE id < {first}", "DELETE FROM lists"):
            ask_patiently(self.lab.leader_of(1), sql, 120)
        for daemon in self.lab.etcd + self.lab.all_hosts:
            daemon.bound_log()

    # --- faults ---

    def step(self, faults):
        """Faults at the same time; each ends when its group is whole again."""
        faults = [fault for fault in faults if self._can(fault)]
        threads = [threading.Thread(target=self._one, daemon=True,
                                    args=(fault, len(faults) == 1))
                   for fault in faults]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _can(self, fault):
        if possible(self.lab, fault.kind):
            return True
        self.report.skipped.add(fault.kind)
        return False

    def _one(self, fault, alone):
        groups = [fault.group] if fault.group else list(self.lab.groups)
        failsafe = any(self.lab.in_failsafe(group) for group in groups)
        began, done = time.monotonic(), False
        try:
            Injector(self.lab, self.log).inject(fault)
            done = True
        except Exception as error:
            # an orderly change that does not come about is a finding, too
            self.report.stuck.append(f"{fault}: {error}")
            self.log(f"STUCK: {fault}: {error}")
        for group in groups:
            self._until_back(fault, group)
        ended = time.monotonic()
        if not self.options.load or not done:
            return
        writers = {client.group: client.successes for client in self.clients
                   if client.kind == "insert"}
        gaps = {"writes": max(longest_gap(writers[group], began, ended) for group in groups)}
        for client in self.clients:
            if client.kind.startswith("search"):
                gaps[client.kind] = longest_gap(client.successes, began, ended)
        self.report.add_fault(fault, alone, failsafe, gaps, ended - began)
        self.log(f"{fault}{' in failsafe mode' if failsafe else ''}: "
                 f"whole after {ended - began:.1f} s; without success: "
                 + ", ".join(f"{name} {gap:.1f} s" for name, gap in gaps.items()))

    def _until_back(self, fault, group):
        """All hosts of a group are there, and it is written to."""
        end = time.monotonic() + BACK_SECONDS
        why = self.lab.whole(group)
        while why and time.monotonic() < end:
            time.sleep(0.5)
            for host in self.lab.groups[group]:
                if not host.alive():
                    self.log(f"Patroni of {host.name} ended with {host.process.poll()}")
                    host.start()
            why = self.lab.whole(group)
        if why:
            self.report.stuck.append(f"{fault}: {why} {BACK_SECONDS} s later")
            self.log(f"STUCK: {fault}: {why}")
        if not self.options.load:
            return
        writer = next(client for client in self.clients
                      if client.kind == "insert" and client.group == group)
        since, end = time.monotonic(), time.monotonic() + SETTLE_SECONDS
        while sum(at > since for at in writer.successes[-20:]) < 10:
            if time.monotonic() > end:
                self.report.stuck.append(f"{fault}: group {group} takes no writes")
                self.log(f"STUCK: {fault}: group {group} takes no writes")
                break
            time.sleep(0.2)

    def run(self):
        seconds = self.options.seconds
        if seconds:
            steps = long_schedule(self.seed, len(self.lab.groups))
        else:
            steps = short_schedule(self.seed, len(self.lab.groups))
        if self.options.only:
            steps = ([fault for fault in step if self.options.only in fault.kind]
                     for step in steps)
            steps = (step for step in steps if step)
        end = time.monotonic() + seconds if seconds else float("inf")
        self.resume()
        round_end = time.monotonic() + ROUND_SECONDS
        for step in itertools.chain(steps):
            if time.monotonic() > end:
                break
            if time.monotonic() > round_end:
                self.check()
                self.tidy()
                self.begin_round(self.history.round + 1)
                self.resume()
                round_end = time.monotonic() + ROUND_SECONDS
            self.step(step)
        if not self.report.faults:
            self.report.stuck.append("no fault was done")
        self.check()

    def stop(self):
        self.stopping.set()
        self.paused.set()
        self.lab.stop()


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bindir", required=True)
    parser.add_argument("--patroni", required=True)
    parser.add_argument("--seed", required=True)
    parser.add_argument("--seconds", type=float, default=0, help="0: each kind once")
    parser.add_argument("--only", help="faults whose kind has these words")
    parser.add_argument("--directory", help="where everything is made")
    parser.add_argument("--results", required=True, help="for report and logs")
    options = parser.parse_args()
    if options.only and not any(options.only in kind for kind in [*KINDS, *ALONE]):
        parser.error(f"no kind of fault has the words \"{options.only}\"")
    options.load = True
    options.form = f"{options.seconds:.0f} s" if options.seconds else "each kind once"
    return options


def interrupt(_number, _frame):
    # once is enough
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def keep_logs(world, results):
    """What helps to find out why: small enough to be kept."""
    for path in world.dir.glob("**/daemon.log*"):
        target = results / path.relative_to(world.dir)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def main():
    be_init()
    options = parse()
    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGINT, interrupt)
    results = pathlib.Path(options.results)
    results.mkdir(parents=True, exist_ok=True)
    directory = pathlib.Path(tempfile.mkdtemp(prefix="vecdb-chaos-", dir=options.directory))
    world = World(options, directory)
    began, good = time.monotonic(), False
    try:
        print(f"seed {options.seed}", flush=True)
        world.start()
        world.log(f"ready after {time.monotonic() - began:.0f} s")
        began = time.monotonic()
        world.run()
    except KeyboardInterrupt:
        world.report.stuck.append("interrupted")
    except Exception as error:
        world.report.stuck.append(f"{type(error).__name__}: {error}")
        raise
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        world.stop()
        print(world.report.write(world, time.monotonic() - began, results), end="", flush=True)
        shutil.copyfile(directory / "events.log", results / "events.log")
        good = not world.report.wrong and not world.report.stuck
        if not good:
            keep_logs(world, results)
            print(f"logs: {results}", flush=True)
        if world.lab.network.possible:
            for host in world.lab.all_hosts:
                os.system(f"umount -l '{host.wal_disk}'")
        shutil.rmtree(directory, ignore_errors=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
