"""psycopg2: everything travels as text, values are quoted by the client."""
import numpy as np
import psycopg2
import psycopg2.extras
import pytest
from pgvector import HalfVector, SparseVector, Vector
from pgvector.psycopg2 import register_vector

from dataset import (
    BITS_QUERY, CASES, DENSE_QUERY, LIMIT, ROWS, SPARSE_DIMENSIONS,
    SPARSE_QUERY, after_create, check_close, check_nearest, check_plan,
    check_version, create_index, create_table, row, sums)

TABLE = 'psycopg2_items'
QUERY = {'embedding': Vector(DENSE_QUERY), 'half': HalfVector(DENSE_QUERY),
         'sparse': SparseVector(SPARSE_QUERY, SPARSE_DIMENSIONS),
         'bits': BITS_QUERY}
CAST = {'embedding': 'vector', 'half': 'halfvec', 'sparse': 'sparsevec',
        'bits': 'bit'}


def values(i):
    return (i, np.array(row(i)['embedding']), HalfVector(row(i)['half']),
            SparseVector(row(i)['sparse'], SPARSE_DIMENSIONS),
            row(i)['bits'])


@pytest.fixture(scope='module')
def cursor(url):
    conn = psycopg2.connect(url)
    conn.autocommit = True
    cur = conn.cursor()
    cur.execute('CREATE EXTENSION IF NOT EXISTS vector')
    register_vector(conn)
    cur.execute(f'DROP TABLE IF EXISTS {TABLE}')
    cur.execute(create_table(TABLE))
    if after_create(TABLE):
        cur.execute(after_create(TABLE))
    psycopg2.extras.execute_values(
        cur, f'INSERT INTO {TABLE} VALUES %s',
        [values(i) for i in range(1, ROWS + 1)], page_size=40)
    yield cur
    cur.execute(f'DROP TABLE {TABLE}')
    conn.close()


@pytest.fixture(scope='module')
def indexed(cursor):
    for case in CASES:
        cursor.execute(create_index(TABLE, case))
    return cursor


@pytest.fixture
def transaction(indexed):
    indexed.execute('BEGIN')
    yield indexed
    indexed.execute('ROLLBACK')


def force_index(cur):
    cur.execute('SET LOCAL enable_seqscan = off')
    cur.execute('SET LOCAL hnsw.ef_search = 100')


def search(cur, case, explain=''):
    operator = case.operator.replace('%', '%%')
    operation = f'{case.column} {operator} %(q)s::{CAST[case.column]}'
    if case.column == 'bits':
        operation += f'({len(BITS_QUERY)})'
    cur.execute(f'{explain} SELECT id, {operation} FROM {TABLE} '
                f'ORDER BY {operation} LIMIT {LIMIT}',
                {'q': QUERY[case.column]})
    return cur.fetchall()


def test_extension(cursor):
    cursor.execute(
        "SELECT extversion FROM pg_extension WHERE extname = 'vector'")
    check_version(cursor.fetchone()[0])


def test_round_trip(cursor):
    cursor.execute(f'SELECT * FROM {TABLE}')
    rows = cursor.fetchall()
    assert len(rows) == ROWS
    for i, embedding, half, sparse, bits in rows:
        assert embedding == Vector(row(i)['embedding'])
        assert half == HalfVector(row(i)['half'])
        assert sparse == SparseVector(row(i)['sparse'], SPARSE_DIMENSIONS)
        assert bits == row(i)['bits']


def test_arrays(cursor):
    for typename, array in (
            ('vector', [Vector([1, 2]), Vector([3, 4, 5])]),
            ('halfvec', [HalfVector([1, 2]), HalfVector([3, 4, 5])]),
            ('sparsevec', [SparseVector([0, 2]), SparseVector([3, 0, 5])])):
        cursor.execute(f'SELECT %s::{typename}[]', (array,))
        assert cursor.fetchone()[0] == array


@pytest.mark.parametrize('case', CASES, ids=repr)
def test_search_exact(cursor, case):
    cursor.execute('BEGIN')
    cursor.execute('SET LOCAL enable_indexscan = off')
    check_nearest(case, search(cursor, case))
    cursor.execute('ROLLBACK')


@pytest.mark.parametrize('case', CASES, ids=repr)
def test_search_index(transaction, case):
    force_index(transaction)
    plan = search(transaction, case, 'EXPLAIN')
    check_plan('\n'.join(line for line, in plan), case, TABLE)
    check_nearest(case, search(transaction, case))


def test_null(transaction):
    transaction.execute(f'INSERT INTO {TABLE} (id) VALUES (1000)')
    transaction.execute(f'SELECT embedding, half, sparse, bits FROM {TABLE} '
                        'WHERE id = 1000')
    assert transaction.fetchone() == (None,) * 4
    force_index(transaction)
    check_nearest(CASES[0], search(transaction, CASES[0]))


@pytest.mark.parametrize('column, value', [
    ('embedding', Vector([1.0, 2.0, 3.0])),
    ('half', HalfVector([1.0, 2.0, 3.0])),
    ('sparse', SparseVector({0: 1.0}, 3))])
def test_wrong_dimensions(cursor, column, value):
    with pytest.raises(psycopg2.DataError) as failure:
        cursor.execute(f'INSERT INTO {TABLE} (id, {column}) VALUES (1001, %s)',
                       (value,))
    assert failure.value.pgcode == '22000'
    with pytest.raises(psycopg2.DataError) as failure:
        cursor.execute(f'SELECT {column} <-> %s FROM {TABLE}', (value,))
    assert failure.value.pgcode == '22000'


@pytest.mark.parametrize('column', ['embedding', 'half'])
def test_aggregates(cursor, column):
    cursor.execute(f'SELECT sum({column}), avg({column}) FROM {TABLE}')
    total, mean = cursor.fetchone()
    check_close(total.to_list(), sums(column))
    check_close(mean.to_list(), [s / ROWS for s in sums(column)])


def test_on_conflict(transaction):
    transaction.execute(
        f'INSERT INTO {TABLE} (id, embedding) VALUES (1, %s) '
        'ON CONFLICT (id) DO UPDATE SET embedding = EXCLUDED.embedding '
        'RETURNING embedding', (Vector(DENSE_QUERY),))
    assert transaction.fetchone()[0] == Vector(DENSE_QUERY)
    force_index(transaction)
    assert search(transaction, CASES[0])[0] == (1, 0.0)
