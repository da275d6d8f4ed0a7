"""The rows that every Python client stores, and the answers it must get.

Rows are made by formula rather than by chance, so that dataset.mjs makes the
same ones.  Every component is a multiple of 1/64 below 2: float16, float32
and decimal text all hold it exactly, therefore round trips are compared
with ==.  Distances are computed here in float64 by their definition, without
any help from the server.
"""
import math
import os

ROWS = 96
DIMENSIONS = 8
SPARSE_DIMENSIONS = 32
BITS = 16
LIMIT = 7


def dense(i):
    return [((31 * i + 17 * j + 7 * i * j) % 97 - 48) / 32
            for j in range(DIMENSIONS)]


def sparse(i):
    """Indices from 0, as a dictionary; five of the 32 are not zero."""
    return {(3 * i + 7 * k) % SPARSE_DIMENSIONS:
            ((13 * i + 29 * k) % 61 + 1) / 32 for k in range(5)}


def sparse_text(elements):
    """The text form, in which indices count from 1."""
    inside = ','.join(f'{i + 1}:{v:g}' for i, v in sorted(elements.items()))
    return f'{{{inside}}}/{SPARSE_DIMENSIONS}'


def bits(i):
    return format(((i + 1) * 0x9E3779B1 & 0xFFFFFFFF) >> 16 | 1, '016b')


def row(i):
    """Row number i, without its id; rows count from 1."""
    return {'embedding': dense(i), 'half': dense(i + 7),
            'sparse': sparse(i), 'bits': bits(i)}


DENSE_QUERY = [(a + b) / 2 for a, b in zip(dense(5), dense(60))]
SPARSE_QUERY = {0: 0.5, 3: 1.25, 9: 0.75, 14: 0.25, 22: 1.0, 27: 0.5}
BITS_QUERY = '1100101011110001'
QUERY = {'embedding': DENSE_QUERY, 'half': DENSE_QUERY,
         'sparse': SPARSE_QUERY, 'bits': BITS_QUERY}


class Case:
    """One operator on one column, with the index that serves it."""

    def __init__(self, column, typename, name, operator):
        self.column = column
        self.typename = typename
        self.name = name
        self.operator = operator
        self.opclass = f'{typename}_{name}_ops'

    def index(self, table):
        return f'{table}_{self.column}_{self.name}'

    def __repr__(self):
        return f'{self.typename} {self.operator}'


METRICS = [('l2', '<->'), ('ip', '<#>'), ('cosine', '<=>'), ('l1', '<+>')]
CASES = [Case(column, typename, name, operator)
         for column, typename in (('embedding', 'vector'),
                                  ('half', 'halfvec'),
                                  ('sparse', 'sparsevec'))
         for name, operator in METRICS]
CASES += [Case('bits', 'bit', 'hamming', '<~>'),
          Case('bits', 'bit', 'jaccard', '<%>')]


def spread(value):
    """A dense list for a dense or sparse vector."""
    if isinstance(value, dict):
        return [value.get(i, 0.0) for i in range(SPARSE_DIMENSIONS)]
    return value


def distance(name, a, b):
    if name in ('hamming', 'jaccard'):
        a, b = int(a, 2), int(b, 2)
        if name == 'hamming':
            return float(bin(a ^ b).count('1'))
        return 1 - bin(a & b).count('1') / bin(a | b).count('1')
    a, b = spread(a), spread(b)
    product = sum(x * y for x, y in zip(a, b))
    if name == 'l2':
        return math.dist(a, b)
    if name == 'ip':
        return -product
    if name == 'l1':
        return sum(abs(x - y) for x, y in zip(a, b))
    return 1 - product / math.hypot(*a) / math.hypot(*b)


def check_nearest(case, answer, limit=LIMIT):
    """The answer, pairs of id and distance, is a right list of neighbours.

    Ids are not compared with a list, because several rows may be equally
    far; each must have the distance that was said, and the distances must
    be those of the nearest rows.
    """
    query = QUERY[case.column]
    answer = [(i, float(d)) for i, d in answer]
    true = {i: distance(case.name, row(i)[case.column], query)
            for i in range(1, ROWS + 1)}
    assert len(answer) == limit
    assert len({i for i, _ in answer}) == limit, 'a row came twice'
    for i, d in answer:
        assert math.isclose(d, true[i], rel_tol=1e-5, abs_tol=1e-5), \
            f'row {i}: said {d}, is {true[i]}'
    nearest = sorted(true.values())[:limit]
    for (_, d), n in zip(answer, nearest):
        assert math.isclose(d, n, rel_tol=1e-5, abs_tol=1e-5), \
            f'said {answer}, nearest distances are {nearest}'


def check_plan(plan, case, table):
    """The plan, any text of EXPLAIN, uses the index of this case."""
    pattern = os.environ.get('VECDB_CLIENTS_PLAN',
                             'Index Scan using {index}')
    wanted = pattern.replace('{index}', case.index(table))
    assert wanted in plan, f'"{wanted}" is not in the plan:\n{plan}'


def sums(column):
    """Sum of a dense column over all rows, exact in float32."""
    return [sum(v) for v in zip(*(row(i)[column]
                                  for i in range(1, ROWS + 1)))]


def check_close(actual, wanted):
    actual = list(actual)
    assert len(actual) == len(wanted)
    for a, w in zip(actual, wanted):
        assert math.isclose(a, w, rel_tol=1e-3, abs_tol=1e-3), \
            f'{actual} is not {wanted}'


def create_table(table):
    """DDL for clients that leave it to the user."""
    return (f'CREATE TABLE {table} (id int PRIMARY KEY, '
            f'embedding vector({DIMENSIONS}), half halfvec({DIMENSIONS}), '
            f'sparse sparsevec({SPARSE_DIMENSIONS}), bits bit({BITS}))')


def create_index(table, case):
    return (f'CREATE INDEX {case.index(table)} ON {table} '
            f'USING hnsw ({case.column} {case.opclass}) '
            f'WITH (m = 16, ef_construction = 64)')


def after_create(table):
    """What the caller of "run" wants done to each new table, or None."""
    template = os.environ.get('VECDB_CLIENTS_AFTER_CREATE')
    return template.replace('{table}', table) if template else None


def is_cluster():
    """Is every table that a client creates distributed?"""
    return 'VECDB_CLIENTS_GROUPS' in os.environ


def check_version(version):
    """Frameworks switch iterative scans on from 0.8 of "vector" on."""
    assert tuple(int(n) for n in version.split('.')) >= (0, 8, 0)
