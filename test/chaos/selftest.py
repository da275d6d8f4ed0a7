"""Do the checks find what they are for?  Each is given a history and a cluster
that were made by hand, once as they should be and once with one thing wrong.

Called by "run" before anything is started; takes no time and no server.
"""

import collections
import datetime
import pathlib
import tempfile
import threading
import types
import unittest

import chaos
import checkers
import clients
import faults
import lab
import report


class World:
    """What clients want of chaos.World."""

    def __init__(self):
        self.seed = 1
        self.history = clients.History([1, 2])
        self.levels = {"leader": ""}
        self.stopping, self.paused = threading.Event(), threading.Event()
        self.stale = []

    def stale_read(self, level, _newer_at, _text, _seconds=None):
        self.stale.append(level)


RIGHT = [str(clients.ACCOUNTS * clients.OPENING), str(clients.ACCOUNTS)]
WRONG = [str(clients.ACCOUNTS * clients.OPENING - 7), str(clients.ACCOUNTS)]


class SumOfItsOwner(unittest.TestCase):
    """clients.Bank.judge(): sums as (second, what was read)."""

    def judge(self, *sums, allowed=0.0):
        world = World()
        bank = clients.Bank(world, 1)
        bank.allowed = allowed
        for second, total in sums:
            bank.judge(total, second, "here")
        return len(world.stale), len(world.history.wrong)

    def test_right(self):
        self.assertEqual(self.judge((1, RIGHT), (20, RIGHT)), (0, 0))

    def test_wrong_for_a_moment(self):
        self.assertEqual(self.judge((1, WRONG), (2, WRONG), (3, RIGHT), (14, WRONG)), (2, 0))

    def test_stays_wrong(self):
        self.assertEqual(self.judge((1, WRONG), (5, WRONG), (12, WRONG), (13, WRONG)), (1, 1))

    def test_row_missing(self):
        missing = [RIGHT[0], str(clients.ACCOUNTS - 1)]
        self.assertEqual(self.judge((1, missing), (12, missing)), (1, 1))

    def test_outcome_open(self):
        self.assertEqual(self.judge((1, WRONG), (50, WRONG), allowed=90), (0, 0))
        self.assertEqual(self.judge((1, WRONG), (50, WRONG), (91, WRONG), allowed=90), (0, 1))


class Successes(unittest.TestCase):
    """chaos.World.all_succeed(), and faults that are not done."""

    def world(self, *clients_):
        world = types.SimpleNamespace(clients=clients_, log=lambda *_more, **_named: None)
        world.report = types.SimpleNamespace(stuck=[], faults=[], add_fault=self.fail)
        world.options = types.SimpleNamespace(load=True)
        world._until_back = lambda _fault, _group: None
        return world

    def test_one_never(self):
        class Busy:
            name = "busy"
            successes = [float("inf")]
        never = types.SimpleNamespace(name="never", successes=collections.deque([0.0]))
        world = self.world(Busy, never)
        before, chaos.BACK_SECONDS = chaos.BACK_SECONDS, 0.5
        try:
            chaos.World.all_succeed(world)
        finally:
            chaos.BACK_SECONDS = before
        self.assertEqual([text.split(":")[0] for text in world.report.stuck], ["never"])

    def test_fault_not_done(self):
        host = types.SimpleNamespace(name="host", postmaster=lambda: None)
        world = self.world()
        world.lab = types.SimpleNamespace(leader=lambda _group: host,
                                          in_failsafe=lambda _group: False)
        for kind in ("postmaster killed", "postmaster frozen", "server frozen", "host frozen"):
            chaos.World._one(world, faults.Fault(kind, 1, 0.5, 0), True)
        self.assertEqual(len(world.report.stuck), 4)


class Failsafe(unittest.TestCase):
    """Faults that met failsafe mode have no budget, and spoil nobody's."""

    def test_report(self):
        figures = report.Report(1, "short")
        fault = faults.Fault("switch-over", 1, 0.5, 0)
        figures.add_fault(fault, True, False, {"writes": 2.0}, 5)
        figures.add_fault(fault, True, True, {"writes": 18.0}, 25)
        table = figures.by_kind()
        self.assertEqual((table["switch-over"]["writes"][2], table["switch-over"]["budget"]), (2.0, 3))
        self.assertEqual((table["switch-over *"]["writes"][2], table["switch-over *"]["budget"]), (18.0, None))

    def test_age(self):
        now = datetime.datetime.now()
        line = "{:%Y-%m-%d %H:%M:%S},123 INFO: continue to run as a leader because failsafe mode is enabled"
        for log, least, most in ((line.format(now - datetime.timedelta(seconds=5)), 4, 8),
                                 ("INFO: no action", None, None)):
            host = types.SimpleNamespace(log_end=lambda log=log: f"before\n{log}\nafter\n")
            age = lab.Host.failsafe_age(host)
            self.assertTrue(age is None if least is None else least < age < most)


class Rows(unittest.TestCase):
    """checkers.check_rows() and check_bank(), over two rounds."""

    def setUp(self):
        self.history = clients.History([1, 2])
        kept = clients.KEPT_IDS + 3
        self.history.rows = {5: ("done", 5), kept: ("done", kept)}
        self.history.transfers = {1: "done"}
        self.history.begin_round(1, {})
        first = clients.ROUND_IDS
        self.history.rows = {first + 1: ("done", first + 1), first + 2: ("failed", first + 2),
                             first + 6: ("unknown", 7), first + 7: ("unknown", 7)}
        self.history.transfers.update({2: "done", 3: "failed", 4: "unknown"})
        # what the cluster has
        self.items = {kept: kept, first + 1: first + 1, first + 6: 7, first + 7: 7}
        self.ledger = [1, 2]
        self.accounts = [str(clients.ACCOUNTS * clients.OPENING), str(clients.ACCOUNTS)]
        self.odd = []
        self.values = {}
        self.first, self.kept = first, kept
        before, checkers.patient = checkers.patient, self.answer
        self.addCleanup(setattr, checkers, "patient", before)

    def answer(self, _lab, sql, *_more):
        if sql.startswith("SELECT id, tx, embedding FROM items"):
            return [[str(row), str(tx), self.values.get(row, clients.vector(row))]
                    for row, tx in self.items.items()]
        if sql == "SELECT id FROM ledger":
            return [[str(number)] for number in self.ledger]
        return [self.accounts] if sql.startswith("SELECT sum(balance)") else self.odd

    def wrong(self):
        return (len(checkers.check_rows(None, self.history)[0]),
                len(checkers.check_bank(None, self.history, 1)[0]))

    def test_right(self):
        self.assertEqual(self.wrong(), (0, 0))
        figures = checkers.check_rows(None, self.history)[1]
        self.assertEqual((figures["acknowledged"], figures["recovered"], figures["failed"]),
                         (1, 2, 1))

    def test_lost(self):
        for row in (self.kept, self.first + 1):
            self.setUp()
            del self.items[row]
            self.assertEqual(self.wrong(), (1, 0))

    def test_not_sent(self):
        for row in (5, self.first + 2, self.first + 3):
            self.setUp()
            self.items[row] = row
            self.assertEqual(self.wrong(), (1, 0))

    def test_changed(self):
        self.values[self.kept] = clients.vector(1)
        self.assertEqual(self.wrong(), (1, 0))

    def test_half(self):
        del self.items[self.first + 7]
        self.assertEqual(self.wrong(), (1, 0))

    def test_transfers(self):
        for ledger in ([2], [1], [1, 2, 3], [1, 2, 9], [1, 2, 2]):
            self.ledger = ledger
            self.assertEqual(self.wrong(), (0, 1), ledger)
        self.ledger = [1, 2, 4]
        self.assertEqual(self.wrong(), (0, 0))

    def test_accounts(self):
        self.accounts = WRONG
        self.odd = [["25"]]
        self.assertEqual(self.wrong(), (0, 2))


class Registers(unittest.TestCase):
    """What was acknowledged last, over two rounds."""

    def setUp(self):
        self.history = clients.History([1])
        self.history.registers[1] += [(7, 1.0), (9, 2.0)]
        self.history.begin_round(1, {})
        self.assertEqual(self.history.registers, {1: [(9, 2.0)]})

    def check(self, value):
        before, checkers.patient = checkers.patient, lambda *_more: [[str(value)]]
        self.addCleanup(setattr, checkers, "patient", before)
        return len(checkers.check_registers(None, self.history, {1: 3})[0])

    def test_values(self):
        self.assertEqual(self.check(8), 1)
        # later attempts have had no answer
        self.assertEqual(self.check(9), 0)
        self.assertEqual(self.check(12), 0)


class Leftovers(unittest.TestCase):
    """checkers.check_idle() and check_cluster(), which wait for an end."""

    def setUp(self):
        self.busy, self.prepared, self.problems = [], [], []
        host = types.SimpleNamespace(name="host", conninfo=lambda: "")
        self.lab = types.SimpleNamespace(all_hosts=[host], groups=[1], leader_of=lambda _: "")
        for name, value in (("ask", self.answer), ("FINISH_SECONDS", 0.5)):
            self.addCleanup(setattr, checkers, name, getattr(checkers, name))
            setattr(checkers, name, value)

    def answer(self, _where, sql, *_more):
        found = (self.busy if sql == checkers.BUSY else
                 self.prepared if "pg_prepared_xacts" in sql else self.problems)
        # each time the next answer, the last one again and again
        return (found.pop(0) if len(found) > 1 else found[0]) if found else []

    def wrong(self):
        return (len(checkers.check_idle(self.lab)[0]), len(checkers.check_cluster(self.lab)[0]))

    def test_right(self):
        self.assertEqual(self.wrong(), (0, 0))

    def test_for_a_moment(self):
        self.busy, self.prepared = [[["1"]], []], [[["vecdb_1"]], []]
        self.problems = [[["commit records"]], []]
        self.assertEqual(self.wrong(), (0, 0))

    def test_stays(self):
        self.busy = [[["1"]]]
        self.assertEqual(self.wrong(), (1, 0))
        self.prepared, self.problems = [[["vecdb_1"]]], [[["transactions"], ["rows"]]]
        self.assertEqual(self.wrong(), (1, 3))


class Hosts(unittest.TestCase):
    """checkers.check_members(): hosts, and what they have."""

    def setUp(self):
        self.content, self.missed, self.errors = {"one": "7", "two": "7"}, [], []
        self.lost = []
        hosts = [types.SimpleNamespace(name=name, conninfo=lambda _more, name=name: name)
                 for name in self.content]
        self.lab = types.SimpleNamespace(groups={1: hosts}, leader_of=lambda _group, more: "one")
        self.history = clients.History([1])
        self.history.rows = {row: ("done", row) for row in range(3000)}
        self.history.rows[2] = ("unknown", 2)
        for name, value in (("ask", self.answer), ("ask_patiently", self.answer),
                            ("CONTENT_SECONDS", 0.5)):
            self.addCleanup(setattr, checkers, name, getattr(checkers, name))
            setattr(checkers, name, value)

    def answer(self, host, sql, *_more):
        if sql == checkers.CONTENT:
            return [[self.content[host]]]
        if "verify_index" in sql:
            return self.errors
        return self.lost if "a.id IN" in sql else self.missed

    def wrong(self):
        return len(checkers.check_members(self.lab, self.history)[0])

    def test_right(self):
        self.missed = [["2"]]
        self.assertEqual(self.wrong(), 0)

    def test_other_rows(self):
        self.content["two"] = "6"
        self.assertEqual(self.wrong(), 1)

    def test_approximate(self):
        self.missed = [["1"], ["3"]]
        self.assertEqual(self.wrong(), 0)

    def test_not_in_index(self):
        self.missed = self.lost = [["1"]]
        self.assertEqual(self.wrong(), 2)

    def test_not_found(self):
        self.missed = [["1"], ["3"], ["4"], ["5"]]
        self.assertEqual(self.wrong(), 2)

    def test_index(self):
        self.errors = [["items_embedding_idx"]]
        self.assertEqual(self.wrong(), 2)


PREFIX = "2026-01-01 00:00:00.000 UTC [17] "
FULL = PREFIX + 'app PANIC:  could not write to file "pg_wal/xlogtemp.17": No space left on device'
ENDED = "2026-01-01 00:00:00.000 UTC [1] LOG:  server process (PID %d) was terminated by signal %s"


class Crashes(unittest.TestCase):
    """lab.Daemon.look_for_crashes() and checkers.check_crashes()."""

    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)
        self.daemon = lab.Daemon(None, "host", pathlib.Path(self.dir.name) / "host")
        self.daemon.alive = lambda: True

    def look(self, *lines):
        with open(self.daemon.log, "a", encoding="ascii") as log:
            log.write("".join(line + "\n" for line in lines))
        cluster = types.SimpleNamespace(etcd=[], all_hosts=[self.daemon])
        return len(checkers.check_crashes(cluster)[0])

    def test_expected(self):
        self.assertEqual(self.look(PREFIX + "LOG:  ready", ENDED % (5, "9: Killed"),
                                   ENDED % (6, "3: Quit"), FULL,
                                   ENDED % (17, "6: Aborted")), 0)

    def test_crash(self):
        self.assertEqual(self.look(ENDED % (5, "11: Segmentation fault")), 1)
        # each is told once
        self.assertEqual(self.look(PREFIX + "LOG:  ready"), 0)
        self.assertEqual(self.look('TRAP: failed Assert("a"), File: "b.c", Line: 1, PID: 5',
                                   ENDED % (5, "6: Aborted")), 2)

    def test_panic(self):
        self.assertEqual(self.look(PREFIX + "PANIC:  corrupt", ENDED % (17, "6: Aborted")), 2)
        # the full disk of one process is no excuse for others, nor for long
        self.assertEqual(self.look(FULL, ENDED % (18, "6: Aborted")), 1)
        self.assertEqual(self.look(ENDED % (17, "6: Aborted")), 0)
        self.assertEqual(self.look(ENDED % (17, "6: Aborted")), 1)

    def test_long_log(self):
        self.look(PREFIX + "LOG:  ready")
        with open(self.daemon.log, "a", encoding="ascii") as log:
            log.write(ENDED % (5, "11: Segmentation fault") + "\n")
        self.daemon.bound_log(1)
        self.assertEqual(self.look(PREFIX + "LOG:  ready"), 1)

    def test_etcd_ended(self):
        self.daemon.alive = lambda: False
        self.daemon.process = types.SimpleNamespace(poll=lambda: 2)
        cluster = types.SimpleNamespace(etcd=[self.daemon], all_hosts=[])
        self.assertEqual(len(checkers.check_crashes(cluster)[0]), 1)


if __name__ == "__main__":
    unittest.main()
