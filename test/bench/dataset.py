"""Vectors to index, vectors to look for, and what ought to be found.

A data set is a directory of three files:

    base.f16.npy        n x d float16 (or base.f32.npy), one row per vector
    queries.f32.npy     q x d float32, held out from the base
    neighbors.i32.npy   q x t int32, rows of base, the nearest by cosine first

The third may be missing: it is then computed here by exact search.  The
demo's directory, with packages.copy.gz and questions.copy.gz, is read too.
"""

import gzip
import hashlib
import pathlib
import re
import struct

import numpy as np

K = 10                  # neighbours asked for, everywhere in the benchmark
TRUTH_LENGTH = 100      # neighbours known per query; the rest serves deletions
BLOCK = 256             # queries compared at once by exact search

# The demo's files are in COPY's binary format; these are the fields read.
COPY_HEADER_SIZE = 19
PACKAGE_VECTOR = 5
QUESTION_VECTOR, QUESTION_NEIGHBOURS = 2, 3


class DataSet:
    """One data set in memory."""

    def __init__(self, directory, max_rows=None):
        self.path = pathlib.Path(directory).resolve()
        if (self.path / "packages.copy.gz").exists():
            self.name = "demo"
            self._read_demo()
        else:
            # names files and links, so nothing that needs quoting in them
            self.name = re.sub(r"[^A-Za-z0-9._-]+", "-", self.path.name)
            self._read_arrays()
        if self.queries.shape[1] != self.base.shape[1]:
            raise SystemExit(f"bench: {self.path}: base has "
                             f"{self.base.shape[1]} dimensions, queries have "
                             f"{self.queries.shape[1]}")
        if max_rows is not None and max_rows < len(self.base):
            self.base = self.base[:max_rows]
            self.truth = None
        if self.truth is None:
            self.truth = exact_neighbours(self.base, self.queries)
            self.truth_source = "exact search by this benchmark"
        self.sum = hashlib.sha256(self.base.tobytes()).hexdigest()[:16]

    def _read_arrays(self):
        self.base = self._load("base")
        self.queries = self._load("queries")
        file = self.path / "neighbors.i32.npy"
        self.truth = np.load(file) if file.exists() else None
        self.truth_source = file.name

    def _read_demo(self):
        """Rows are numbered from 1 there, from 0 here."""
        packages = list(read_copy(self.path / "packages.copy.gz"))
        questions = list(read_copy(self.path / "questions.copy.gz"))
        self.base = np.stack([halfvec(row[PACKAGE_VECTOR])
                              for row in packages])
        self.queries = np.stack([halfvec(row[QUESTION_VECTOR])
                                 for row in questions])
        self.truth = np.stack([integers(row[QUESTION_NEIGHBOURS]) - 1
                               for row in questions])
        self.truth_source = "questions.copy.gz"

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


def read_copy(path):
    """Yield the rows of a binary COPY as lists of encoded fields."""
    body = gzip.decompress(path.read_bytes())
    at = COPY_HEADER_SIZE
    while (count := struct.unpack_from(">h", body, at)[0]) >= 0:
        at += 2
        fields = []
        for _ in range(count):
            length = struct.unpack_from(">i", body, at)[0]
            fields.append(body[at + 4:at + 4 + length])
            at += 4 + length
        yield fields


def halfvec(field):
    """A halfvec as sent in binary: dimensions, an unused word, the values."""
    return np.frombuffer(field, ">f2", offset=4).astype(np.float32)


def integers(field):
    """A one-dimensional integer[] as sent in binary, without NULLs."""
    return np.frombuffer(field, [("size", ">i4"), ("value", ">i4")],
                         offset=20)["value"].astype(np.int32)


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
