"""Do the checks find what they are for?  Each is given a history and a cluster
that were made by hand, once as they should be and once with one thing wrong.

Called by "run" before anything is started; takes no time and no server.
"""

import collections
import threading
import types
import unittest

import chaos
import clients
import faults


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
        world.lab = types.SimpleNamespace(leader=lambda _group: host)
        for kind in ("postmaster killed", "postmaster frozen", "server frozen", "host frozen"):
            chaos.World._one(world, faults.Fault(kind, 1, 0.5, 0), True)
        self.assertEqual(len(world.report.stuck), 4)


if __name__ == "__main__":
    unittest.main()
