"""asyncpg: binary in both directions, every statement is prepared."""
import asyncio

import asyncpg
import numpy as np
import pytest
from pgvector import HalfVector, SparseVector, Vector
from pgvector.asyncpg import register_vector

from dataset import (
    BITS_QUERY, CASES, DENSE_QUERY, LIMIT, ROWS, SPARSE_DIMENSIONS,
    SPARSE_QUERY, after_create, check_close, check_nearest, check_plan,
    check_version, create_index, create_table, row, sums)

TABLE = 'asyncpg_items'
QUERY = {'embedding': Vector(DENSE_QUERY), 'half': HalfVector(DENSE_QUERY),
         'sparse': SparseVector(SPARSE_QUERY, SPARSE_DIMENSIONS),
         'bits': asyncpg.BitString(BITS_QUERY)}


def values(i):
    return (i, np.array(row(i)['embedding']), HalfVector(row(i)['half']),
            SparseVector(row(i)['sparse'], SPARSE_DIMENSIONS),
            asyncpg.BitString(row(i)['bits']))


class Client:
    """A connection and the loop that it lives in."""

    def __init__(self, url):
        self.loop = asyncio.new_event_loop()
        self.connection = self.wait(asyncpg.connect(url))

    def wait(self, awaitable):
        return self.loop.run_until_complete(awaitable)

    def execute(self, *args):
        return self.wait(self.connection.execute(*args))

    def fetch(self, *args):
        return self.wait(self.connection.fetch(*args))

    def close(self):
        self.wait(self.connection.close())
        self.loop.close()


@pytest.fixture(scope='module')
def client(url):
    client = Client(url)
    client.execute('CREATE EXTENSION IF NOT EXISTS vector')
    client.wait(register_vector(client.connection))
    client.execute(f'DROP TABLE IF EXISTS {TABLE}')
    client.execute(create_table(TABLE))
    if after_create(TABLE):
        client.execute(after_create(TABLE))
    insert = f'INSERT INTO {TABLE} VALUES ($1, $2, $3, $4, $5)'
    client.wait(client.connection.executemany(
        insert, [values(i) for i in range(1, ROWS)]))
    client.execute(insert, *values(ROWS))
    yield client
    client.execute(f'DROP TABLE {TABLE}')
    client.close()


@pytest.fixture(scope='module')
def indexed(client):
    for case in CASES:
        client.execute(create_index(TABLE, case))
    return client


@pytest.fixture
def transaction(indexed):
    transaction = indexed.connection.transaction()
    indexed.wait(transaction.start())
    yield indexed
    indexed.wait(transaction.rollback())


def force_index(client):
    client.execute('SET LOCAL enable_seqscan = off')
    client.execute('SET LOCAL hnsw.ef_search = 100')


def search(client, case, explain='', table=TABLE):
    return client.fetch(
        f'{explain} SELECT id, {case.column} {case.operator} $1 FROM {table} '
        f'ORDER BY {case.column} {case.operator} $1 LIMIT {LIMIT}',
        QUERY[case.column])


def test_extension(client):
    check_version(client.fetch(
        "SELECT extversion FROM pg_extension WHERE extname = 'vector'")[0][0])


def test_round_trip(client):
    rows = client.fetch(f'SELECT * FROM {TABLE}')
    assert len(rows) == ROWS
    for i, embedding, half, sparse, bits in rows:
        assert embedding == Vector(row(i)['embedding'])
        assert half == HalfVector(row(i)['half'])
        assert sparse == SparseVector(row(i)['sparse'], SPARSE_DIMENSIONS)
        assert bits == asyncpg.BitString(row(i)['bits'])


def test_arrays(client):
    array = [Vector([1, 2]), Vector([3, 4, 5])]
    assert client.fetch('SELECT $1::vector[]', array)[0][0] == array


@pytest.mark.parametrize('case', CASES, ids=repr)
def test_search_exact(client, case):
    transaction = client.connection.transaction()
    client.wait(transaction.start())
    client.execute('SET LOCAL enable_indexscan = off')
    check_nearest(case, search(client, case))
    client.wait(transaction.rollback())


@pytest.mark.parametrize('case', CASES, ids=repr)
def test_search_index(transaction, case):
    """Ten times, since the server may choose a generic plan after five."""
    force_index(transaction)
    plan = search(transaction, case, 'EXPLAIN')
    check_plan('\n'.join(line for line, in plan), case, TABLE)
    for _ in range(10):
        check_nearest(case, search(transaction, case))


def test_null(transaction):
    transaction.execute(f'INSERT INTO {TABLE} VALUES ($1, $2, $3, $4, $5)',
                        1000, None, None, None, None)
    assert tuple(transaction.fetch(
        f'SELECT embedding, half, sparse, bits FROM {TABLE} '
        'WHERE id = 1000')[0]) == (None,) * 4
    force_index(transaction)
    check_nearest(CASES[0], search(transaction, CASES[0]))


@pytest.mark.parametrize('column, value', [
    ('embedding', Vector([1.0, 2.0, 3.0])),
    ('half', HalfVector([1.0, 2.0, 3.0])),
    ('sparse', SparseVector({0: 1.0}, 3))])
def test_wrong_dimensions(client, column, value):
    for statement in (f'INSERT INTO {TABLE} (id, {column}) VALUES (1001, $1)',
                      f'SELECT {column} <-> $1 FROM {TABLE}'):
        with pytest.raises(asyncpg.DataError) as failure:
            client.fetch(statement, value)
        assert failure.value.sqlstate == '22000'


@pytest.mark.parametrize('column', ['embedding', 'half'])
def test_aggregates(client, column):
    total, mean = client.fetch(
        f'SELECT sum({column}), avg({column}) FROM {TABLE}')[0]
    check_close(total.to_list(), sums(column))
    check_close(mean.to_list(), [s / ROWS for s in sums(column)])


def test_on_conflict(transaction):
    got = transaction.fetch(
        f'INSERT INTO {TABLE} (id, embedding) VALUES (1, $1) '
        'ON CONFLICT (id) DO UPDATE SET embedding = EXCLUDED.embedding '
        'RETURNING embedding', Vector(DENSE_QUERY))
    assert got[0][0] == Vector(DENSE_QUERY)
    force_index(transaction)
    assert tuple(search(transaction, CASES[0])[0]) == (1, 0.0)


def test_copy(client):
    """COPY in binary, the fastest way in."""
    table = TABLE + '_copied'
    client.execute(f'DROP TABLE IF EXISTS {table}')
    client.execute(create_table(table))
    if after_create(table):
        client.execute(after_create(table))
    client.wait(client.connection.copy_records_to_table(
        table, records=[values(i) for i in range(1, ROWS + 1)]))
    for case in CASES:
        check_nearest(case, search(client, case, table=table))
    client.execute(f'DROP TABLE {table}')


def test_pool(indexed, url):
    """register_vector as the hook of a pool, as its documentation shows."""
    async def ask():
        async with asyncpg.create_pool(
                url, min_size=2, max_size=2, init=register_vector) as pool:
            return await asyncio.gather(*(pool.fetch(
                f'SELECT id, embedding <=> $1 FROM {TABLE} '
                f'ORDER BY embedding <=> $1 LIMIT {LIMIT}',
                QUERY['embedding']) for _ in range(8)))

    for answer in indexed.wait(ask()):
        check_nearest(CASES[2], answer)
