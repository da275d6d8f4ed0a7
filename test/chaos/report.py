"""Figures of a run: as a table, and as JSON."""

import collections
import itertools
import json

from faults import ALONE, KINDS
from lab import PATRONI_TTL

# of searches that may read standbys
READ_BUDGET = 1


def percentile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(part * len(values)))]


def longest_gap(successes, began, ended):
    """The longest time without success that overlaps a time."""
    # who has not begun yet waits since the beginning
    gap, last = 0.0, began
    for at in successes:
        if at <= began:
            last = at
            continue
        gap = max(gap, at - last)
        last = at
        if at > ended:
            return gap
    return max(gap, ended - last)


class Report:
    def __init__(self, seed, form):
        self.seed, self.form = seed, form
        self.faults = []        # dicts
        self.skipped = set()
        self.rounds = []
        self.wrong = []
        self.stuck = []
        self.stale = []         # by round: {level: (how many, longest)}

    def add_fault(self, fault, alone, failsafe, gaps, seconds):
        self.faults.append({"kind": fault.kind, "group": fault.group, "alone": alone,
                            "failsafe": failsafe, "seconds": round(seconds, 1),
                            "gaps": {name: round(gap, 2) for name, gap in gaps.items()}})

    def by_kind(self):
        """For each kind: count, and gaps as (p50, p99, max) by client.

        Those that met failsafe mode, in which no budget holds, by themselves.
        """
        table = {}
        for kind, failsafe in itertools.product([*KINDS, *ALONE], (False, True)):
            faults = [fault for fault in self.faults
                      if fault["kind"] == kind and fault["failsafe"] == failsafe]
            if not faults:
                continue
            gaps = collections.defaultdict(list)
            for fault in faults:
                for name, gap in fault["gaps"].items():
                    # a search asks all groups: others' faults are not its kind's
                    if name == "writes" or fault["alone"]:
                        gaps[name].append(gap)
            budget = (KINDS.get(kind) or ALONE[kind])[2]
            table[f"{kind} *" if failsafe else kind] = {
                "count": len(faults), "budget": None if failsafe else budget,
                "back": percentile([fault["seconds"] for fault in faults], 0.5),
                **{name: [percentile(values, 0.5), percentile(values, 0.99), max(values)]
                   for name, values in gaps.items()}}
        return table

    def _all_stale(self):
        table = {}
        for level in {level for found in self.stale for level in found}:
            found = [each[level] for each in self.stale if level in each]
            table[level] = {"count": sum(count for count, _ in found),
                            "longest": round(max(longest for _, longest in found), 2)}
        return table

    def data(self, world, seconds):
        operations = collections.defaultdict(collections.Counter)
        for client in world.clients:
            operations[client.kind].update(client.counts)
        totals = collections.Counter()
        for figures in self.rounds:
            totals.update(figures)
        return {
            "seed": self.seed, "form": self.form, "seconds": round(seconds),
            "rounds": len(self.rounds), "operations": operations, "rows": totals,
            "faults": self.by_kind(), "skipped": sorted(self.skipped),
            "stale": self._all_stale(),
            "levels": sorted(world.levels), "wrong": self.wrong, "stuck": self.stuck,
            "failures": world.failures.most_common(40)}

    def write(self, world, seconds, directory):
        data = self.data(world, seconds)
        text = self.text(data)
        (directory / "report.json").write_text(json.dumps(
            {**data, "each": self.faults}, indent=1), encoding="utf-8")
        (directory / "report.txt").write_text(text, encoding="utf-8")
        return text

    @staticmethod
    def text(data):
        lines = [f"seed {data['seed']}, {data['form']}: {data['seconds']} s, "
                 f"{data['rounds']} rounds", "",
                 f"{'operation':<34} {'done':>8} {'failed':>8} {'unknown':>8}"]
        for kind, counts in sorted(data["operations"].items()):
            lines.append(f"{kind:<34} {counts['done']:>8} {counts['failed']:>8}"
                         f" {counts['unknown']:>8}")
        lines += ["", "longest time without success, s: median, 99 %, longest"
                  " (of searches: of faults that came alone); !: over the budget",
                  f"*: began within {PATRONI_TTL} s of Patroni's failsafe mode, see README",
                  f"{'fault':<34} {'times':>5} {'writes':>20} {'budget':>6}"
                  f" {'search leader':>20} {'search any':>21} {'whole':>6}"]
        for kind, row in data["faults"].items():
            cells = ["{:>6.1f} {:>6.1f} {:>6.1f}".format(*row[name]) if name in row
                     else "-" for name in ("writes", "search leader", "search any")]
            budget = "-" if row["budget"] is None else f"{row['budget']}"
            late = row["budget"] is not None and "writes" in row \
                and row["writes"][2] > row["budget"]
            slow = not kind.endswith("*") and "follower" in data["levels"] and "search any" in row \
                and row["search any"][2] > READ_BUDGET
            lines.append(f"{kind:<34} {row['count']:>5} {cells[0]:>20} "
                         f"{budget + ('!' if late else ''):>6} {cells[1]:>20}"
                         f" {cells[2] + ('!' if slow else ''):>21} {row['back']:>6.1f}")
        if data["skipped"]:
            lines += ["", "skipped, as this machine does not let us: "
                      + ", ".join(data["skipped"])]
        rows = data["rows"]
        lines += ["", f"rows: {rows['acknowledged']} acknowledged, {rows['lost']} lost; "
                  f"{rows['unknown']} unknown, {rows['recovered']} of them there; "
                  f"{rows['failed']} failed, {rows['unexpected']} of them there"]
        for level, stale in sorted(data["stale"].items()):
            lines.append(f"stale reads, {level}: {stale['count']}, "
                         f"up to {stale['longest']} s old")
        lines += [f"wrong: {text}" for text in data["wrong"]]
        lines += [f"stuck: {text}" for text in data["stuck"]]
        lines.append("nothing is lost, wrong or stuck"
                     if not data["wrong"] + data["stuck"] else "FAILED")
        return "\n".join(lines) + "\n"
