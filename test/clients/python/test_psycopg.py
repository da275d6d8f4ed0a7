"""psycopg 3: text and binary, both ways, server-side parameters, COPY."""
import numpy as np
import psycopg
import pytest
from pgvector import Bit, HalfVector, SparseVector, Vector
from pgvector.psycopg import register_vector, register_vector_async
from psycopg import sql

from dataset import (
    BITS_QUERY, CASES, DENSE_QUERY, DIMENSIONS, LIMIT, ROWS, SPARSE_DIMENSIONS,
    SPARSE_QUERY, after_create, check_close, check_nearest, check_plan,
    check_version, create_index, create_table, row, sums)

TABLE = 'psycopg_items'
COLUMNS = ('embedding', 'half', 'sparse', 'bits')
TYPES = ['int4', 'vector', 'halfvec', 'sparsevec', 'bit']


def adapt(column, value):
    if column == 'embedding':
        return Vector(value)
    if column == 'half':
        return HalfVector(value)
    if column == 'sparse':
        return SparseVector(value, SPARSE_DIMENSIONS)
    return Bit(value)


QUERY = {'embedding': Vector(DENSE_QUERY), 'half': HalfVector(DENSE_QUERY),
         'sparse': SparseVector(SPARSE_QUERY, SPARSE_DIMENSIONS),
         'bits': Bit(BITS_QUERY)}


def values(i):
    return [i] + [adapt(c, row(i)[c]) for c in COLUMNS]


@pytest.fixture(scope='module')
def connection(url):
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute('CREATE EXTENSION IF NOT EXISTS vector')
        register_vector(conn)
        conn.execute(f'DROP TABLE IF EXISTS {TABLE}')
        conn.execute(create_table(TABLE))
        if after_create(TABLE):
            conn.execute(after_create(TABLE))
        for i in range(1, ROWS // 2):
            conn.execute(f'INSERT INTO {TABLE} VALUES (%s, %s, %s, %s, %s)',
                         values(i))
        with conn.cursor() as cur:
            cur.executemany(
                f'INSERT INTO {TABLE} VALUES (%b, %b, %b, %b, %b)',
                [values(i) for i in range(ROWS // 2, ROWS + 1)])
        yield conn
        conn.execute(f'DROP TABLE {TABLE}')


@pytest.fixture(scope='module')
def indexed(connection):
    for case in CASES:
        connection.execute(create_index(TABLE, case))
    return connection


def force_index(conn):
    conn.execute('SET LOCAL enable_seqscan = off')
    conn.execute('SET LOCAL hnsw.ef_search = 100')


def search(conn, case, binary=False, table=TABLE):
    return conn.execute(
        f'SELECT id, {case.column} {escape(case)} %(q)s FROM {table} '
        f'ORDER BY {case.column} {escape(case)} %(q)s LIMIT {LIMIT}',
        {'q': QUERY[case.column]}, binary=binary).fetchall()


def escape(case):
    return case.operator.replace('%', '%%')


def test_extension(connection):
    check_version(connection.execute(
        "SELECT extversion FROM pg_extension WHERE extname = 'vector'"
    ).fetchone()[0])


@pytest.mark.parametrize('binary', [False, True], ids=['text', 'binary'])
def test_round_trip(connection, binary):
    """Inserted as text (first half) and as binary, read as either."""
    rows = connection.execute(
        f'SELECT id, embedding, half, sparse, bits FROM {TABLE}',
        binary=binary).fetchall()
    assert len(rows) == ROWS
    for i, embedding, half, sparse, bits in rows:
        assert embedding == Vector(row(i)['embedding'])
        assert half == HalfVector(row(i)['half'])
        assert sparse == adapt('sparse', row(i)['sparse'])
        bits = Bit.from_binary(bits) if binary else Bit.from_text(bits)
        assert bits == Bit(row(i)['bits'])


@pytest.mark.parametrize('binary', [False, True], ids=['text', 'binary'])
def test_arrays(connection, binary):
    array = [Vector([1, 2]), Vector([3, 4, 5])]
    assert connection.execute(
        'SELECT %s::vector[]', [array], binary=binary).fetchone()[0] == array


def test_numpy(connection):
    value = np.array(DENSE_QUERY, dtype=np.float32)
    got = connection.execute('SELECT %b::vector', [value]).fetchone()[0]
    assert np.array_equal(got.to_numpy(), value)


@pytest.mark.parametrize('case', CASES, ids=repr)
def test_search_exact(connection, case):
    with connection.transaction():
        connection.execute('SET LOCAL enable_indexscan = off')
        check_nearest(case, search(connection, case))


@pytest.mark.parametrize('binary', [False, True], ids=['text', 'binary'])
@pytest.mark.parametrize('case', CASES, ids=repr)
def test_search_index(indexed, case, binary):
    """A query repeated ten times is prepared after five by psycopg."""
    with indexed.transaction():
        force_index(indexed)
        plan = indexed.execute(
            f'EXPLAIN SELECT id FROM {TABLE} '
            f'ORDER BY {case.column} {escape(case)} %s LIMIT {LIMIT}',
            [QUERY[case.column]]).fetchall()
        check_plan('\n'.join(line for line, in plan), case, TABLE)
        for _ in range(10):
            check_nearest(case, search(indexed, case, binary))


def test_generic_plan_uses_index(indexed):
    case = CASES[0]
    with indexed.transaction():
        force_index(indexed)
        indexed.execute('SET LOCAL plan_cache_mode = force_generic_plan')
        indexed.execute(
            f'PREPARE nearest(vector) AS SELECT id FROM {TABLE} '
            f'ORDER BY embedding <-> $1 LIMIT {LIMIT}')
        plan = indexed.execute(sql.SQL('EXPLAIN EXECUTE nearest({})').format(
            QUERY['embedding'].to_text())).fetchall()
        check_plan('\n'.join(line for line, in plan), case, TABLE)
        indexed.execute('DEALLOCATE nearest')


def test_server_side_cursor(indexed):
    """A cursor fetches neighbours in order, a few at a time."""
    case = CASES[0]
    with indexed.transaction(), indexed.cursor(name='nearest') as cur:
        cur.execute(f'SELECT id, embedding <-> %(q)s FROM {TABLE} '
                    f'ORDER BY embedding <-> %(q)s',
                    {'q': QUERY['embedding']})
        check_nearest(case, cur.fetchmany(3) + cur.fetchmany(LIMIT - 3))


def test_ef_search_is_local(connection):
    show = 'SHOW hnsw.ef_search'
    before = connection.execute(show).fetchone()[0]
    with connection.transaction():
        connection.execute('SET LOCAL hnsw.ef_search = 100')
        assert connection.execute(show).fetchone()[0] == '100'
    assert connection.execute(show).fetchone()[0] == before
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        connection.execute('SET hnsw.ef_search = 0')


def test_null(indexed):
    with indexed.transaction(force_rollback=True):
        indexed.execute(f'INSERT INTO {TABLE} (id) VALUES (1000)')
        assert indexed.execute(
            f'SELECT embedding, half, sparse, bits FROM {TABLE} '
            'WHERE embedding IS NULL').fetchall() == [(None,) * 4]
        force_index(indexed)
        check_nearest(CASES[0], search(indexed, CASES[0]))


@pytest.mark.parametrize('binary', [False, True], ids=['text', 'binary'])
@pytest.mark.parametrize('column, value, types', [
    ('embedding', Vector([1.0, 2.0, 3.0]), 'vector'),
    ('half', HalfVector([1.0, 2.0, 3.0]), 'halfvec'),
    ('sparse', SparseVector({0: 1.0}, 3), 'sparsevec')])
def test_wrong_dimensions(connection, column, value, types, binary):
    placeholder = '%b' if binary else '%t'
    with pytest.raises(psycopg.errors.DataException) as failure:
        connection.execute(f'INSERT INTO {TABLE} (id, {column}) '
                           f'VALUES (1001, {placeholder})', [value])
    assert failure.value.sqlstate == '22000'
    count = DIMENSIONS if column != 'sparse' else SPARSE_DIMENSIONS
    assert str(failure.value) == f'expected {count} dimensions, not 3'
    with pytest.raises(psycopg.errors.DataException) as failure:
        connection.execute(f'SELECT {column} <-> {placeholder} FROM {TABLE}',
                           [value])
    assert failure.value.sqlstate == '22000'
    assert f'different {types} dimensions {count} and 3' in str(failure.value)


def test_not_a_number(connection):
    for value in (float('nan'), float('inf')):
        for placeholder in ('%t', '%b'):
            with pytest.raises(psycopg.errors.DataException) as failure:
                connection.execute(f'SELECT {placeholder}::vector',
                                   [Vector([value])])
            assert failure.value.sqlstate == '22000'
    with pytest.raises(psycopg.errors.InvalidTextRepresentation):
        connection.execute("SELECT 'hello'::vector")


@pytest.mark.parametrize('column', ['embedding', 'half'])
def test_aggregates(connection, column):
    total, mean = connection.execute(
        f'SELECT sum({column}), avg({column}) FROM {TABLE}').fetchone()
    check_close(total.to_list(), sums(column))
    check_close(mean.to_list(), [s / ROWS for s in sums(column)])
    assert connection.execute(
        f'SELECT sum({column}) FROM {TABLE} WHERE id < 0'
    ).fetchone() == (None,)


def test_on_conflict(indexed):
    upsert = (f'INSERT INTO {TABLE} (id, embedding) VALUES (%s, %s) '
              'ON CONFLICT (id) DO UPDATE SET embedding = EXCLUDED.embedding '
              'RETURNING embedding')
    with indexed.transaction(force_rollback=True):
        new = Vector(DENSE_QUERY)
        assert indexed.execute(upsert, [1, new]).fetchone() == (new,)
        assert indexed.execute(
            f'SELECT count(*) FROM {TABLE}').fetchone() == (ROWS,)
        force_index(indexed)
        assert search(indexed, CASES[0])[0] == (1, 0.0)


@pytest.mark.parametrize('form', ['TEXT', 'BINARY'])
def test_copy(connection, form):
    table = TABLE + '_copied'
    connection.execute(f'DROP TABLE IF EXISTS {table}')
    connection.execute(create_table(table))
    if after_create(table):
        connection.execute(after_create(table))
    with connection.cursor().copy(
            f'COPY {table} FROM STDIN WITH (FORMAT {form})') as copy:
        copy.set_types(TYPES)
        for i in range(1, ROWS + 1):
            copy.write_row(values(i))
    for case in CASES:
        check_nearest(case, search(connection, case, table=table))
    with connection.cursor().copy(
            f'COPY {table} (id, embedding) TO STDOUT '
            f'WITH (FORMAT {form})') as copy:
        copy.set_types(['int4', 'vector'])
        back = dict(copy.rows())
    assert back == {i: Vector(row(i)['embedding'])
                    for i in range(1, ROWS + 1)}
    connection.execute(f'DROP TABLE {table}')


def test_pipeline(connection):
    with connection.pipeline():
        results = [(case, connection.execute(
            f'SELECT id, {case.column} {escape(case)} %(q)s FROM {TABLE} '
            f'ORDER BY 2 LIMIT {LIMIT}', {'q': QUERY[case.column]}))
            for case in CASES]
    for case, cursor in results:
        check_nearest(case, cursor.fetchall())


def test_async_connection(connection, url):
    import asyncio

    async def ask():
        async with await psycopg.AsyncConnection.connect(url) as conn:
            await register_vector_async(conn)
            cursor = await conn.execute(
                f'SELECT id, embedding <=> %(q)s FROM {TABLE} '
                f'ORDER BY embedding <=> %(q)s LIMIT {LIMIT}',
                {'q': QUERY['embedding']})
            return await cursor.fetchall()

    check_nearest(CASES[2], asyncio.run(ask()))
