"""What is done to the cluster, and in which order.

A schedule is a list of steps, and a step a list of faults at the same time in
different groups.  It follows from the seed and from the numbers of groups and
hosts alone.  Which host is the leader then, is seen when the fault begins.
"""

import dataclasses
import os
import random
import signal
import time

from lab import CLIENTS, send
from session import Failure, ask


@dataclasses.dataclass
class Fault:
    kind: str
    group: int          # 0: it concerns all groups
    choice: float       # 0 to 1: which host, where there are several
    seconds: float      # how long it lasts

    def __str__(self):
        where = f" in group {self.group}" if self.group else ""
        return f"{self.kind}{where}, {self.seconds:.1f} s"


# by kind: least and most seconds, budget for writes (HA.md; None: as long as
# it lasts), and how often it is chosen.  "Alone" faults concern all groups.
KINDS = {
    "postmaster killed": (0, 0, 5, 3),
    "postmaster frozen": (3, 12, None, 1),
    "server frozen": (3, 35, 30, 1),
    "standby killed": (2, 20, 5, 2),
    "standby frozen": (3, 15, 5, 1),
    "host killed": (2, 30, 25, 3),
    "host frozen": (3, 35, 30, 2),
    "group killed": (1, 5, None, 1),
    "Patroni killed": (1, 30, 30, 2),
    "Patroni frozen": (5, 40, 30, 2),
    "leader cut off": (3, 40, 30, 3),
    "leader cut off, clients reach it": (3, 40, 30, 2),
    "leader hears nobody": (3, 35, 30, 2),
    "nobody hears the leader": (3, 35, 30, 2),
    "standby cut off": (3, 20, 5, 1),
    "WAL disk full": (3, 15, 5, 2),
    "clock wrong": (5, 20, 3, 1),
    "switch-over": (0, 0, 3, 3),
    "rolling restart": (0, 0, 3, 2),
}
ALONE = {
    "etcd killed": (3, 10, 1, 2),
    "etcd frozen": (3, 10, 1, 1),
    "etcd quorum lost": (5, 20, 1, 2),
    "etcd all lost": (5, 20, 1, 1),
    "network split": (5, 35, 30, 2),
}
NETWORK = ("leader cut off", "leader cut off, clients reach it",
           "leader hears nobody", "nobody hears the leader",
           "standby cut off", "WAL disk full", "network split")
CLOCK = ("clock wrong",)

# The short form: each kind once, those at the same time that take about as
# long.  Frozen and cut off ones last longer than Patroni's ttl of 20 s.
SHORT = (
    (("postmaster killed", 0), ("switch-over", 0), ("WAL disk full", 6)),
    (("host killed", 3), ("Patroni frozen", 26), ("leader cut off", 27)),
    (("rolling restart", 0), ("clock wrong", 10), ("standby killed", 3)),
    (("etcd killed", 3),),
    (("leader cut off, clients reach it", 27), ("Patroni killed", 24), ("host frozen", 27)),
    (("etcd frozen", 4),),
    (("postmaster frozen", 5), ("standby frozen", 5), ("standby cut off", 5)),
    (("etcd quorum lost", 12),),
    (("etcd all lost", 8),),
    (("leader hears nobody", 27), ("nobody hears the leader", 27), ("server frozen", 27)),
    (("network split", 12),),
    (("group killed", 1),),
)


def short_schedule(seed, groups):
    generator = random.Random(f"{seed} short")
    steps = []
    for kinds in SHORT:
        order = generator.sample(range(1, groups + 1), groups)
        steps.append([Fault(kind, 0 if kind in ALONE else order[place % groups],
                            generator.random(), seconds)
                      for place, (kind, seconds) in enumerate(kinds)])
    return steps


def long_schedule(seed, groups):
    """Steps without end."""
    generator = random.Random(f"{seed} long")
    while True:
        if generator.random() < 0.2:
            yield [_choose(generator, ALONE, 0)]
            continue
        # mostly one at a time: its gaps are its own
        count = generator.choice((1, 1, 1, 2, groups))
        yield [_choose(generator, KINDS, group)
               for group in generator.sample(range(1, groups + 1), count)]


def _choose(generator, kinds, group):
    kind = generator.choices(list(kinds), [kinds[name][3] for name in kinds])[0]
    return Fault(kind, group, generator.random(),
                 round(generator.uniform(*kinds[kind][:2]), 1))


def possible(lab, kind):
    if kind in NETWORK:
        return lab.network.possible
    if kind in CLOCK:
        return bool(lab.clock)
    return True


class Injector:
    """Does what a Fault says, and undoes it."""

    def __init__(self, lab, log):
        self.lab, self.log = lab, log

    def inject(self, fault):
        """Returns when it is over; hosts may not be back yet."""
        action = getattr(self, "_" + fault.kind.split(",")[0].replace(" ", "_")
                         .replace("-", "_").lower())
        action(fault)

    def _leader(self, fault):
        host = self.lab.leader(fault.group)
        self.log(f"{fault}: {host.name}")
        return host

    def _standby(self, fault):
        leader = self.lab.leader(fault.group)
        others = [host for host in self.lab.groups[fault.group] if host is not leader]
        host = others[int(fault.choice * len(others))]
        self.log(f"{fault}: {host.name}")
        return host

    # --- processes ---

    @staticmethod
    def _postmaster(host):
        pid = host.postmaster()
        if pid is None:
            # a fault that is not done must not be counted
            raise RuntimeError(f"{host.name} has no postmaster")
        return pid

    def _postmaster_killed(self, fault):
        send(self._postmaster(self._leader(fault)), signal.SIGKILL)

    def _postmaster_frozen(self, fault):
        self._frozen([self._postmaster(self._leader(fault))], fault.seconds)

    def _patroni_frozen(self, fault):
        self._frozen([self._leader(fault).process.pid], fault.seconds)

    @staticmethod
    def _frozen(pids, seconds):
        for pid in pids:
            send(pid, signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            for pid in pids:
                send(pid, signal.SIGCONT)

    def _server_frozen(self, fault):
        # PostgreSQL with all its processes, and not Patroni
        host = self._leader(fault)
        self._postmaster(host)
        thaw = host.freeze()
        send(host.process.pid, signal.SIGCONT)
        self._hold(fault, thaw)

    def _host_frozen(self, fault):
        host = self._leader(fault)
        self._postmaster(host)
        self._hold(fault, host.freeze())

    def _standby_frozen(self, fault):
        self._hold(fault, self._standby(fault).freeze())

    @staticmethod
    def _hold(fault, undo):
        try:
            time.sleep(fault.seconds)
        finally:
            undo()

    def _patroni_killed(self, fault):
        host = self._leader(fault)
        host.kill()
        self._hold(fault, host.start)

    def _host_killed(self, fault):
        self._killed(fault, [self._leader(fault)])

    def _standby_killed(self, fault):
        self._killed(fault, [self._standby(fault)])

    def _group_killed(self, fault):
        self.log(f"{fault}")
        self._killed(fault, self.lab.groups[fault.group])

    def _killed(self, fault, hosts):
        for host in hosts:
            host.kill_host()
        self._hold(fault, lambda: [host.start() for host in hosts])

    # --- networks ---

    def _cut(self, fault, pairs):
        self.lab.network.cut(pairs)
        self._hold(fault, lambda: self.lab.network.heal(pairs))

    def _others(self, host, clients=True):
        return [name for name in self.lab.network.addresses
                if name != host.name and (clients or name != CLIENTS)]

    def _leader_cut_off(self, fault):
        host = self._leader(fault)
        others = self._others(host, clients="clients" not in fault.kind)
        self._cut(fault, [(host.name, other) for other in others]
                  + [(other, host.name) for other in others])

    def _leader_hears_nobody(self, fault):
        host = self._leader(fault)
        self._cut(fault, [(other, host.name) for other in self._others(host)])

    def _nobody_hears_the_leader(self, fault):
        host = self._leader(fault)
        self._cut(fault, [(host.name, other) for other in self._others(host)])

    def _standby_cut_off(self, fault):
        host = self._standby(fault)
        others = self._others(host)
        self._cut(fault, [(host.name, other) for other in others]
                  + [(other, host.name) for other in others])

    def _network_split(self, fault):
        generator = random.Random(fault.choice)
        names = [name for name in self.lab.network.addresses if name != CLIENTS]
        side = set(generator.sample(names, len(names) // 2))
        self.log(f"{fault}: {' '.join(sorted(side))}")
        self._cut(fault, [(one, other) for one in names for other in names
                          if (one in side) != (other in side)])

    # --- etcd ---

    def _some_etcd(self, fault, count):
        first = int(fault.choice * 3)
        etcd = [self.lab.etcd[(first + i) % 3] for i in range(count)]
        self.log(f"{fault}: {' '.join(one.name for one in etcd)}")
        return etcd

    def _etcd_killed(self, fault, count=1):
        etcd = self._some_etcd(fault, count)
        for one in etcd:
            one.kill()
        self._hold(fault, lambda: [one.start() for one in etcd])

    def _etcd_quorum_lost(self, fault):
        self._etcd_killed(fault, 2)

    def _etcd_all_lost(self, fault):
        self._etcd_killed(fault, 3)

    def _etcd_frozen(self, fault):
        self._frozen([one.process.pid for one in self._some_etcd(fault, 1)], fault.seconds)

    # --- disks and clocks ---

    def _wal_disk_full(self, fault):
        host = self._leader(fault)
        filler = host.wal_disk / "filler"
        end = time.monotonic() + fault.seconds
        try:
            while time.monotonic() < end:
                self._fill(filler)
                # what is allocated already is used up first
                try:
                    ask(host.conninfo(), "SELECT pg_switch_wal()", 2)
                except Failure:
                    pass
                time.sleep(0.1)
        finally:
            filler.unlink(missing_ok=True)

    @staticmethod
    def _fill(filler):
        with open(filler, "ab") as file:
            state = os.fstatvfs(file.fileno())
            free = state.f_bavail * state.f_bsize
            if free:
                try:
                    os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, free)
                except OSError:
                    # PostgreSQL has just taken some of it
                    pass

    def _clock_wrong(self, fault):
        # the host whose clock can be set leads meanwhile
        host = self.lab.groups[fault.group][-1]
        leader = self._leader(fault)
        if leader is not host:
            self._switch(fault.group, leader, host)
        seconds = int((fault.choice - 0.5) * 7200)
        self.log(f"the clock of {host.name} is {seconds} s wrong")
        host.set_clock(seconds)
        self._hold(fault, lambda: host.set_clock(0))

    # --- what is planned ---

    def _switch(self, group, leader, to):
        self._request(leader, "/switchover", {"leader": leader.name, "candidate": to.name})
        self.lab.wait(lambda: (to.facts() or [""])[0] == "primary", 30,
                      f"{to.name} as the leader of group {group}")

    def _switch_over(self, fault):
        leader = self._leader(fault)
        others = [host for host in self.lab.groups[fault.group] if host is not leader]
        self._switch(fault.group, leader, others[int(fault.choice * len(others))])

    def _rolling_restart(self, fault):
        leader = self._leader(fault)
        others = [host for host in self.lab.groups[fault.group] if host is not leader]
        for host in others:
            self._restart(host)
        self._switch(fault.group, leader, others[0])
        self.lab.wait(lambda: self.lab.whole(fault.group) is None, 60,
                      f"group {fault.group} after its switch-over")
        self._restart(leader)

    def _request(self, host, path, body):
        # Patroni does not want to right after it was started, nor before a
        # standby that was cut off has caught up
        for _ in range(20):
            try:
                host.api("POST", path, body)
                return
            except RuntimeError as error:
                self.log(f"{host.name} does not want to yet: {error}")
                time.sleep(0.5)
        raise RuntimeError(f"{host.name} refuses {path}")

    def _restart(self, host):
        self._request(host, "/restart", {})
        self.lab.wait(lambda: self.lab.whole(host.group) is None, 60,
                      f"group {host.group} after {host.name}'s restart")
