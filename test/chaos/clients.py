"""What works on the cluster while things fail, and remembers the answers.

Each client is a thread with one session that does one thing after the other.
What became of an operation is one of

    done     it was acknowledged
    failed   it is certain that it did not happen
    unknown  no answer, or one that says that it is not known

History is what the checkers (checkers.py) compare the cluster with.
"""

import collections
import random
import threading
import time
import zlib

from session import Failure, Session

ROUND_IDS = 100_000
SINGLE_IDS = 60_000
# of each round's rows those from here on stay one round longer: its first
# single ones, as they are taken from the end, and those over groups
KEPT_IDS = 58_000
ACCOUNTS = 20
OPENING = 1000
LIST_KEYS = 12

# For how long a client may read a sum of its own that is wrong: an outdated
# primary has to be told, on a machine that has no time.  After a COMMIT whose
# outcome was not told, groups finish it one by one when they are back.
SUM_SECONDS, OPEN_SECONDS = 10, 90

# warnings of a COMMIT that is not known to be on a second disk
NOT_CONFIRMED = ("no standby has confirmed", "canceling wait for synchronous")
# one that is decided, and that a group will have as soon as it answers
LATE = "has not confirmed the commit"


def vector(number):
    """A row's value follows from its key; exact in single precision."""
    words = zlib.crc32(b"%d" % number), zlib.crc32(b"-%d" % number)
    return "[" + ",".join(
        f"{((word >> shift) & 0xff) / 8 + 0.125:g}"
        for word in words for shift in (0, 8, 16, 24)) + "]"


class History:
    """What was asked of the cluster, and answered: most of it in this round."""

    def __init__(self, groups):
        self.groups = groups
        self.lock = threading.Lock()
        # what a client finds wrong while it runs
        self.wrong = []
        # reads that were older than an acknowledged write, by level
        self.stale = collections.defaultdict(list)
        # of all rounds, as the ledger is: number: state
        self.transfers = {}
        self.registers = {group: [(0, 0.0)] for group in groups}
        self.rows = {}
        self.begin_round(0, {})

    def begin_round(self, number, ids):
        self.round = number
        self.ids = ids
        # those of the former round that were not deleted
        self.kept = {row: known for row, known in self.rows.items()
                     if row >= (number - 1) * ROUND_IDS + KEPT_IDS}
        self.rows = {}          # row: (state, transaction)
        self.appends = {}       # number: (state, keys, began, ended)
        self.lists_seen = set()     # (key, length, checksum)
        # by group: values, and times at which they were acknowledged; what was
        # acknowledged last counts on
        self.registers = {group: acknowledged[-1:]
                          for group, acknowledged in self.registers.items()}

    def complain(self, text):
        with self.lock:
            self.wrong.append(text)


class Client(threading.Thread):
    """Repeats step() until it is told to stop, and counts."""

    kind = "?"
    interval = 0.1
    seconds = 4

    def __init__(self, world, number, group=None):
        super().__init__(name=f"{self.kind}-{number}", daemon=True)
        self.world, self.history, self.number, self.group = (
            world, world.history, number, group)
        self.random = random.Random(f"{world.seed} {self.name}")
        self.session = None
        self.counts = collections.Counter()
        self.successes = []
        self.idle = threading.Event()
        self.late = False
        self.settings = ""

    # --- what subclasses say ---

    def entry(self):
        """Where to connect: the primary of some group."""
        return self.world.lab.leader_of(self.random.choice(self.history.groups))

    def step(self):
        """One operation; returns what became of it."""
        raise NotImplementedError

    # --- ---

    def run(self):
        while not self.world.stopping.is_set():
            if self.world.paused.is_set():
                self.close()
                self.idle.set()
                time.sleep(0.1)
                continue
            self.idle.clear()
            began = time.monotonic()
            try:
                result = self.step()
            except Failure as failure:
                self.note(failure)
                result = "failed" if failure.certain else "unknown"
            if result == "done":
                self.successes.append(time.monotonic())
            self.counts[result] += 1
            rest = self.interval - (time.monotonic() - began)
            time.sleep(max(rest, 0.002) if result == "done" else max(rest, 0.1))
        self.close()
        self.idle.set()

    def close(self):
        if self.session:
            self.session.close()
            self.session = None

    def note(self, failure):
        host = self.session.host if self.session else "-"
        self.world.log_failure(self.name, host, failure)
        # the next one looks for a primary again
        self.close()

    def ask(self, sql, seconds=None):
        if self.session is None:
            self.session = Session(self.entry())
            if self.settings:
                self.session.run(self.settings)
        return self.session.run(sql, seconds or self.seconds)

    def write(self, *statements):
        """A transaction: (what became of it, when it began, when it ended)."""
        began = time.monotonic()
        self.late = False
        try:
            if len(statements) > 1:
                try:
                    for statement in ("BEGIN", *statements):
                        self.ask(statement)
                except Failure as failure:
                    # COMMIT was never sent
                    self.note(failure)
                    return "failed", began, time.monotonic()
                self.session.run("COMMIT", self.seconds)
            else:
                self.ask(statements[0])
        except Failure as failure:
            self.note(failure)
            result = "failed" if failure.certain else "unknown"
            return result, began, time.monotonic()
        result = "done"
        for _state, message in self.session.notices:
            if any(words in message for words in NOT_CONFIRMED):
                result = "unknown"
            self.late = self.late or LATE in message
        return result, began, time.monotonic()


class SetWriter(Client):
    """Rows of one group, through libpq's list of its hosts."""

    kind = "insert"
    interval = 0.1
    seconds = 3

    def entry(self):
        return self.world.lab.leader_of(self.group)

    def step(self):
        row = self.history.ids[self.group].pop()
        result, _, _ = self.write(
            f"INSERT INTO items VALUES ({row}, {row}, '{vector(row)}')")
        self.history.rows[row] = (result, row)
        if result == "done":
            self.world.recent.append(row)
        return result


class SeveralWriter(Client):
    """Rows that belong to several groups, in one transaction."""

    kind = "insert over groups"

    def step(self):
        first = self.history.ids["several"].pop() * 3
        rows = [first, first + 1, first + 2]
        words = [f"({row}, {first}, '{vector(row)}')" for row in rows]
        if self.random.random() < 0.5:
            result, _, _ = self.write("INSERT INTO items VALUES " + ", ".join(words))
        else:
            result, _, _ = self.write(*(f"INSERT INTO items VALUES {word}" for word in words))
        for row in rows:
            self.history.rows[row] = (result, first)
        return result


class Bank(Client):
    """Moves money between accounts of its own, in any groups.

    Nobody else touches them, so that what is read after an answered COMMIT has
    to be the sum that it always was, but for the moment in which an outdated
    primary does not know of its successor.  That is all that is promised: there
    is no snapshot over groups for those who read while others write.
    """

    kind = "transfer"
    interval = 0.15

    def __init__(self, world, number, group=None):
        super().__init__(world, number, group)
        self.next = number * 10_000_000
        # until when a sum may be wrong, since when it is, and whether that
        # has been complained about
        self.allowed = 0.0
        self.wrong_since = None
        self.complained = False

    def step(self):
        self.next += 1
        amount = self.random.randint(1, 50)
        source, target = self.random.sample(
            [self.number * ACCOUNTS + i for i in range(ACCOUNTS)], 2)
        result, _, _ = self.write(
            f"UPDATE accounts SET balance = balance - {amount} WHERE id = {source}",
            f"UPDATE accounts SET balance = balance + {amount} WHERE id = {target}",
            f"INSERT INTO ledger VALUES ({self.next}, {source}, {target}, {amount})")
        self.history.transfers[self.next] = result
        began = time.monotonic()
        if result == "unknown" or self.late:
            self.allowed = began + OPEN_SECONDS
        total = self.ask(f"SELECT sum(balance), count(*) FROM accounts "
                         f"WHERE owner = {self.number}")[0]
        self.judge(total, began, f"after transfer {self.next} ({result})")
        return result

    def judge(self, total, began, when):
        """A sum that was asked for at a time: it may be wrong, but not stay so."""
        if total == [str(ACCOUNTS * OPENING), str(ACCOUNTS)]:
            self.wrong_since, self.complained = None, False
            return
        text = f"{self.name} read the sum {total} {when}"
        if self.wrong_since is None:
            self.wrong_since = began
            if began > self.allowed:
                self.world.stale_read("sum", began, text)
        if not self.complained and began > max(self.allowed,
                                               self.wrong_since + SUM_SECONDS):
            self.complained = True
            self.history.complain(f"bank: {text}, and it was wrong "
                                  f"{began - self.wrong_since:.1f} s before")


class Lists(Client):
    """Appends to lists that others append to as well, and reads them."""

    kind = "append"

    def __init__(self, world, number, group=None):
        super().__init__(world, number, group)
        self.next = number * 10_000_000

    def step(self):
        if self.random.random() < 0.4:
            return self.read()
        self.next += 1
        base = self.history.round * 1000
        keys = sorted(self.random.sample(range(base, base + LIST_KEYS),
                                         2 if self.random.random() < 0.3 else 1))
        result, began, ended = self.write(*(
            f"UPDATE lists SET entries = entries || '{self.next} ' WHERE id = {key}"
            for key in keys))
        self.history.appends[self.next] = (result, keys, began, ended)
        return result

    def read(self):
        key = self.history.round * 1000 + self.random.randrange(LIST_KEYS)
        entries = self.ask(f"SELECT entries FROM lists WHERE id = {key}")[0][0]
        self.history.lists_seen.add((key, len(entries), zlib.crc32(entries.encode())))
        return "done"


class RegisterWriter(Client):
    """Counts up a register of one group, through any group's primary."""

    kind = "register write"
    interval = 0.15

    def __init__(self, world, number, group=None):
        super().__init__(world, number, group)
        self.value = 0

    def step(self):
        self.value += 1
        # one that comes late, after its client has given up, does nothing
        result, _, ended = self.write(
            f"UPDATE registers SET value = {self.value} WHERE id = "
            f"{self.world.register_keys[self.group]} AND value < {self.value}")
        if result == "done":
            self.history.registers[self.group].append((self.value, ended))
            if "session" in self.world.levels:
                token = self.ask("SELECT vecdb.session_token()")[0][0]
                self.world.tokens[self.group] = (self.value, token)
        return result


class RegisterReader(Client):
    """Reads registers at one level, and looks for values that are too old."""

    interval = 0.1

    def __init__(self, world, number, level):
        self.kind = f"read {level}"
        self.level = level
        super().__init__(world, number)
        self.settings = world.levels[level]

    def entry(self):
        if self.level == "direct":
            self.group = self.random.choice(self.history.groups)
            return self.world.lab.leader_of(self.group)
        if self.level in ("follower", "any", "session"):
            return self.world.some_host(self.random)
        return super().entry()

    def step(self):
        if self.session is None:
            # chooses the group where the level asks a primary itself
            self.ask("SELECT 1")
        group = self.group or self.random.choice(self.history.groups)
        acknowledged = self.history.registers[group]
        known = acknowledged[-1][0]
        if self.level == "session":
            # what one session has written, another one is to see anywhere
            known, token = self.world.tokens.get(group, (0, ""))
            self.ask(f"SET vecdb.session_token = '{token}'")
        began = time.monotonic()
        host = self.session.host
        value = int(self.ask("SELECT value FROM registers WHERE id = "
                             f"{self.world.register_keys[group]}")[0][0])
        if value < known:
            newer = next((at for other, at in acknowledged if other > value), began)
            self.world.stale_read(
                self.level, newer, f"{self.name} read {value} of group {group} by way of "
                f"{host}, when {known} was acknowledged", began - newer)
        if self.random.random() < 0.02:
            self.close()
        return "done"


class Search(Client):
    """Nearest neighbours over all groups, by way of primaries or of any host.

    It is looked whether they are answered; how old an answer is registers show.
    """

    def __init__(self, world, number, level):
        self.kind = f"search {level}"
        self.level = level
        super().__init__(world, number)
        self.settings = world.levels[level]
        self.seconds = 3

    def entry(self):
        if self.level == "leader":
            return super().entry()
        return self.world.some_host(self.random)

    def step(self):
        rows = self.world.recent
        row = rows[self.random.randrange(len(rows))] if rows else 1
        found = self.ask("SELECT id FROM items ORDER BY embedding <-> "
                         f"'{vector(row)}' LIMIT 5")
        return "done" if len(found) == 5 else "failed"


class Ddl(Client):
    """Tables that come, change and go."""

    kind = "ddl"
    interval = 2
    seconds = 20

    def __init__(self, world, number, group=None):
        super().__init__(world, number, group)
        self.next = 0

    def step(self):
        self.next += 1
        table = f"passing_{self.next % 3}"
        self.ask(f"DROP TABLE IF EXISTS {table}")
        self.ask(f"""BEGIN;
            CREATE TABLE {table} (id bigint PRIMARY KEY, embedding vector(3));
            SELECT vecdb.distribute_table('{table}');
            COMMIT""")
        self.ask(f"INSERT INTO {table} SELECT i, '[1,2,3]' FROM generate_series(1, 50) i")
        self.ask(f"CREATE INDEX ON {table} USING hnsw (embedding vector_l2_ops)")
        self.ask(f"ALTER TABLE {table} ADD COLUMN note text")
        return "done"


class Maintenance(Client):
    """VACUUM, and indexes that are made and dropped."""

    kind = "vacuum and index"
    interval = 3
    seconds = 30

    def step(self):
        self.ask("DROP INDEX IF EXISTS documents_embedding")
        self.ask("CREATE INDEX documents_embedding ON documents"
                 " USING hnsw (embedding vector_l2_ops)")
        self.ask("UPDATE documents SET id = id WHERE id % 20 = "
                 f"{self.random.randrange(20)}")
        self.ask("VACUUM documents")
        self.ask("VACUUM items")
        return "done"
