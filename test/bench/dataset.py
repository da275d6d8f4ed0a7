"""Vectors to index, vectors to look for, and what ought to be found.

A data set is a directory of three files:

    base.f16.npy        n x d float16 (or base.f32.npy), one row per vector
    queries.f32.npy     q x d float32, held out from the base
    neighbors.i32.npy   q x t int32, rows of base from the nearest on, by cosine

The third may be missing: it is then computed here by exact search.
"""

import hashlib
import pathlib

import numpy as np

K = 10                  # neighbours asked for, everywhere in the benchmark
TRUTH_LENGTH = 100      # neighbours known per query; the rest serves deletions
BLOCK = 256             # queries compared at once by exact search


class DataSet:
    """One data set in memory."""

    def __init__(self, directory, max_rows=None):
        self.path = pathlib.Path(directory).resolve()
        self.name = self.path.name
        self.base = self._load("base")
        self.queries = self._load("queries")
        if self.queries.shape[1] != self.base.shape[1]:
            raise SystemExit(f"bench: {self.path}: base has "
                             f"{self.base.shape[1]} dimensions, queries have "
                             f"{self.queries.shape[1]}")
        shortened = max_rows is not None and max_rows < len(self.base)
        if shortened:
            self.base = self.base[:max_rows]
        file = self.path / "neighbors.i32.npy"
        self.truth_source = "exact search by this benchmark"
        if file.exists() and not shortened:
            self.truth = np.load(file)
            self.truth_source = file.name
        else:
            self.truth = exact_neighbours(self.base, self.queries)
        self.sum = hashlib.sha256(self.base.tobytes()).hexdigest()[:16]

    def _load(self, name):
        """Read NAME.f16.npy or NAME.f32.npy as float32."""
        for kind in ("f16", "f32"):
            file = self.path / f"{name}.{kind}.npy"
            if file.exists():
                return np.load(file).astype(np.float32)
        raise SystemExit(f"bench: no {name}.f16.npy or {name}.f32.npy in "
                         f"{self.path}; see test/bench/README")

    @property
    def dimensions(self):
        return self.base.shape[1]

    def recall(self, found, deleted=None):
        """Mean share of the K true neighbours among those found.

        "found" has one list of rows per query.  Rows for which the boolean
        array "deleted" holds are taken out of the truth first.
        """
        shares = []
        for rows, truth in zip(found, self.truth, strict=True):
            if deleted is not None:
                truth = truth[~deleted[truth]]
            truth = truth[:K]
            if len(truth) < K:
                raise SystemExit("bench: too few true neighbours are known")
            shares.append(len(set(truth.tolist()) & set(rows)) / K)
        return float(np.mean(shares))

    def fresh(self, count, seed=7):
        """Vectors to insert: the queries, then midpoints of random pairs."""
        rng = np.random.default_rng(seed)
        missing = max(0, count - len(self.queries))
        pairs = rng.integers(0, len(self.base), (missing, 2))
        middle = unit(self.base[pairs].mean(axis=1)) if missing else \
            np.empty((0, self.dimensions), np.float32)
        return np.concatenate([self.queries[:count], middle])


def unit(vectors):
    """The vectors at length one; a zero vector stays as it is."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(length == 0, 1, length)).astype(np.float32)


def exact_neighbours(base, queries):
    """The nearest rows of every query by cosine, nearest first."""
    base, queries = unit(base), unit(queries)
    count = min(TRUTH_LENGTH, len(base))
    blocks = []
    for start in range(0, len(queries), BLOCK):
        near = queries[start:start + BLOCK] @ base.T
        blocks.append(np.argsort(-near, axis=1, kind="stable")[:, :count])
    return np.concatenate(blocks).astype(np.int32)
