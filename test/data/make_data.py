#!/usr/bin/env python3
"""Make the data set of this folder, or a larger one for benchmarks.

    make_data.py demo [--packages FILE] [--out DIR]
    make_data.py bench --text FILE --queries FILE --out DIR [--layers N]
    make_data.py check

"demo" chooses 10,000 packages from apt's list of Debian 12 and writes
packages.copy.gz, questions.copy.gz and SHA256SUMS.  "bench" embeds files of
lines "name<TAB>description" and writes .npy files; with more than one layer
the vectors are those of encoder.py's last N layers, of N times 384 dimensions.
"check" reads what "demo" wrote and computes the neighbours again.  README.md
explains the choices.
"""

import os

# One thread and one instruction set, for results that do not vary.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["OPENBLAS_CORETYPE"] = "Haswell"
os.environ["HF_HUB_OFFLINE"] = "1"

import argparse
import collections
import gzip
import hashlib
import pathlib
import re
import struct
import subprocess
import sys

import numpy as np

sys.dont_write_bytecode = True

import encoder

HERE = pathlib.Path(__file__).resolve().parent
PACKAGE_COUNT = 10000
NEIGHBOURS = 100
BLOCK = 64              # questions compared at once by exact search
PACKAGES_LIST = ("/var/lib/apt/lists/deb.debian.org_debian_dists_bookworm"
                 "_main_binary-amd64_Packages.lz4")

# Packages that nobody looks for by what they do: parts of others, and
# libraries for one programming language.
DROPPED_SECTIONS = set("""
    cli-mono debug doc fonts gnu-r golang haskell introspection java javascript
    libdevel libs lisp localization metapackages ocaml oldlibs perl php python
    ruby rust""".split())
DROPPED_NAMES = re.compile(
    "^(elpa|fonts?|ghc|golang|haskell|librust|lua|node|php|python|python3|r"
    "|ruby|task|ttf|xfonts)-"
    "|-(common|data|dbg|dbgsym|dev|doc|docs|examples|i18n|java|l10n|perl)$"
    "|-l10n-|-locale-")
DROPPED_DESCRIPTIONS = re.compile(
    "transitional|dummy|meta-?package|debug symbols|development files"
    "|header files", re.IGNORECASE)

COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
COPY_TRAILER = struct.pack(">h", -1)
INT4_OID = 23

Package = collections.namedtuple(
    "Package", "name source section size_kb description is_program")


def sentence(name, description):
    """What is embedded for a package."""
    return f"{name}: {description}"


# Choosing packages

def read_packages(path):
    """Read apt's list of packages, compressed in whatever way apt knows."""
    text = subprocess.run(["/usr/lib/apt/apt-helper", "cat-file", str(path)],
                          check=True, capture_output=True).stdout.decode()
    for stanza in text.strip().split("\n\n"):
        joined = stanza.replace("\n ", " ")
        fields = dict(line.split(": ", 1) for line in joined.split("\n")
                      if ": " in line)
        name = fields["Package"]
        yield Package(name, fields.get("Source", name).split(" ")[0],
                      fields["Section"],
                      int(fields.get("Installed-Size", 0)),
                      fields["Description"],
                      "role::program" in fields.get("Tag", ""))


def is_wanted(package):
    if package.section in DROPPED_SECTIONS:
        return False
    if DROPPED_NAMES.search(package.name):
        return False
    if package.name.startswith("lib") and not package.is_program:
        return False
    return not DROPPED_DESCRIPTIONS.search(package.description)


def choose_packages(packages):
    """One package per source, PACKAGE_COUNT of them, sorted by name."""
    by_source = collections.defaultdict(list)
    for package in packages:
        if is_wanted(package):
            by_source[package.source].append(package)
    chosen = [min(group, key=lambda p: (p.name != p.source, not p.is_program,
                                        len(p.name), p.name))
              for group in by_source.values()]
    print(f"{len(chosen)} sources have a package to choose, "
          f"{sum(p.is_program for p in chosen)} of them tagged as programs")
    chosen.sort(key=lambda p: (not p.is_program,
                               hashlib.sha256(p.name.encode()).digest()))
    if len(chosen) < PACKAGE_COUNT:
        raise SystemExit(f"{PACKAGE_COUNT} packages are needed")
    return sorted(chosen[:PACKAGE_COUNT], key=lambda p: p.name)


# Exact search

def nearest(base, queries):
    """Row numbers of the nearest rows by cosine distance, nearest first.

    Works in float64 on the values given, which are those stored.  Equal
    distances come in the order of rows.
    """
    base = scaled(base)
    rows = np.empty((len(queries), NEIGHBOURS), np.int32)
    for start in range(0, len(queries), BLOCK):
        block = scaled(queries[start:start + BLOCK])
        for i, distances in enumerate(1 - block @ base.T, start):
            limit = np.partition(distances, NEIGHBOURS - 1)[NEIGHBOURS - 1]
            near = np.flatnonzero(distances <= limit)
            order = np.argsort(distances[near], kind="stable")[:NEIGHBOURS]
            rows[i] = near[order]
    return rows


def scaled(vectors):
    vectors = vectors.astype(np.float64)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


# PostgreSQL's binary COPY format

def int4(number):
    return struct.pack(">i", number)


def text(string):
    return string.encode()


def halfvec(row):
    return struct.pack(">hh", len(row), 0) + row.astype(">f2").tobytes()


def int4_array(numbers):
    items = b"".join(int4(4) + int4(int(number)) for number in numbers)
    return struct.pack(">iiiii", 1, 0, INT4_OID, len(numbers), 1) + items


def write_copy(path, rows):
    """Write rows of encoded fields; return the sum of the bytes inside."""
    body = bytearray(COPY_HEADER)
    for fields in rows:
        body += struct.pack(">h", len(fields))
        for field in fields:
            body += int4(len(field)) + field
    body += COPY_TRAILER
    with open(path, "wb") as file:
        with gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
            packed.write(body)
    print(f"{path.name}: {path.stat().st_size} bytes, {len(body)} unpacked")
    return hashlib.sha256(body).hexdigest()


def read_copy(path):
    """Yield rows as lists of encoded fields."""
    body = gzip.decompress(path.read_bytes())
    if not body.startswith(COPY_HEADER):
        raise SystemExit(f"{path} is not in COPY's binary format")
    at = len(COPY_HEADER)
    while (count := struct.unpack_from(">h", body, at)[0]) >= 0:
        at += 2
        fields = []
        for _ in range(count):
            length = struct.unpack_from(">i", body, at)[0]
            fields.append(body[at + 4:at + 4 + length])
            at += 4 + length
        yield fields


# Commands

def show_progress(total):
    def show(done):
        if sys.stderr.isatty():
            print(f"\r{done} of {total}", end="", file=sys.stderr)
    return show


def embed(sentences, layers=1):
    return encoder.Encoder(layers).encode(sentences,
                                          show_progress(len(sentences)))


def make_demo(options):
    packages = choose_packages(read_packages(options.packages))
    questions = (HERE / "questions.txt").read_text().splitlines()
    vectors = embed([sentence(p.name, p.description) for p in packages]
                    + questions).astype(np.float16)
    base, asked = vectors[:len(packages)], vectors[len(packages):]
    neighbours = nearest(base, asked) + 1
    out = pathlib.Path(options.out)
    sums = {
        "packages.copy": write_copy(out / "packages.copy.gz", [
            [int4(i), text(p.name), text(p.section), int4(p.size_kb),
             text(p.description), halfvec(row)]
            for i, (p, row) in enumerate(zip(packages, base), 1)]),
        "questions.copy": write_copy(out / "questions.copy.gz", [
            [int4(i), text(question), halfvec(row), int4_array(rows)]
            for i, (question, row, rows)
            in enumerate(zip(questions, asked, neighbours), 1)]),
    }
    (out / "SHA256SUMS").write_text(
        "".join(f"{value}  {name}\n" for name, value in sums.items()))


def read_lines(path):
    return pathlib.Path(path).read_text().splitlines()


def write_arrays(out, base, queries):
    """Write the three files that "make bench" reads."""
    out.mkdir(parents=True, exist_ok=True)
    kind = {"float16": "f16", "float32": "f32"}[base.dtype.name]
    np.save(out / f"base.{kind}.npy", base)
    np.save(out / "queries.f32.npy", queries)
    np.save(out / "neighbors.i32.npy", nearest(base, queries))


def write_bench(out, base, queries, layers):
    """Embed lines "name<TAB>description" and write a data set of them."""
    sentences = [sentence(*line.split("\t", 1)) for line in base + queries]
    vectors = embed(sentences, layers)
    write_arrays(out, vectors[:len(base)].astype(np.float16),
                 vectors[len(base):])
    for name, lines in ("base", base), ("queries", queries):
        (out / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))
    which = ("the last layer" if layers == 1
             else f"the last {layers} layers one after the other")
    width = vectors.shape[1]
    (out / "README.md").write_text(
        f"# {out.resolve().name}\n"
        f"{len(base)} names and descriptions (`base.txt`, tab separated) and "
        f"{len(queries)} held-out ones\n"
        "(`queries.txt`), embedded as \"name: description\" by "
        f"all-MiniLM-L6-v2: means of {which},\n"
        f"{width} dimensions, unit length, for cosine.\n"
        f"`base.f16.npy` ({len(base)} × {width} float16), `queries.f32.npy` "
        f"({len(queries)} × {width} float32), `neighbors.i32.npy`\n"
        f"({len(queries)} × {NEIGHBOURS} int32: exact nearest by cosine of the "
        "stored values, nearest first; row numbers of base, from 0).\n"
        "Made by test/data/make_data.py of vecdb, command `bench`.\n")


def make_bench(options):
    write_bench(pathlib.Path(options.out), read_lines(options.text),
                read_lines(options.queries), options.layers)


def check(options):
    folder = pathlib.Path(options.out)
    for line in (folder / "SHA256SUMS").read_text().splitlines():
        expected, name = line.split()
        body = gzip.decompress((folder / f"{name}.gz").read_bytes())
        if hashlib.sha256(body).hexdigest() != expected:
            raise SystemExit(f"{name}.gz has changed since it was made")
    packages = list(read_copy(folder / "packages.copy.gz"))
    questions = list(read_copy(folder / "questions.copy.gz"))
    base = np.array([np.frombuffer(p[5], ">f2", offset=4) for p in packages])
    asked = np.array([np.frombuffer(q[2], ">f2", offset=4) for q in questions])
    stored = np.array([np.frombuffer(q[3], ">i4", offset=20).reshape(-1, 2)[:, 1]
                       for q in questions])
    if not np.array_equal(nearest(base, asked) + 1, stored):
        raise SystemExit("the neighbours stored are not the nearest")
    print(f"{len(packages)} packages, {len(questions)} questions and "
          f"{stored.size} neighbours are as they should be")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(required=True)
    demo = commands.add_parser("demo")
    demo.add_argument("--packages", default=PACKAGES_LIST)
    demo.add_argument("--out", default=HERE)
    demo.set_defaults(run=make_demo)
    bench = commands.add_parser("bench")
    bench.add_argument("--text", required=True)
    bench.add_argument("--queries", required=True)
    bench.add_argument("--out", required=True)
    bench.add_argument("--layers", type=int, default=1,
                       choices=range(1, encoder.LAYERS + 1))
    bench.set_defaults(run=make_bench)
    checker = commands.add_parser("check")
    checker.add_argument("--out", default=HERE)
    checker.set_defaults(run=check)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
