"""SQLAlchemy 2: ORM and core over three drivers, insertmanyvalues."""
import asyncio

import pytest
from pgvector.sqlalchemy import BIT, HALFVEC, SPARSEVEC, VECTOR, avg
from pgvector import SparseVector
from sqlalchemy import (
    Index, MetaData, Table, cast, create_engine, event, exc, func, insert,
    inspect, select, text)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, Session, mapped_column
from sqlalchemy.sql.expression import ClauseElement, Executable
from sqlalchemy.types import Integer

from dataset import (
    BITS, CASES, DIMENSIONS, LIMIT, QUERY, ROWS, SPARSE_DIMENSIONS,
    after_create, check_close, check_nearest, check_plan, check_version, row,
    sums)

TABLE = 'sqlalchemy_items'
METHOD = {'l2': 'l2_distance', 'ip': 'max_inner_product',
          'cosine': 'cosine_distance', 'l1': 'l1_distance',
          'hamming': 'hamming_distance', 'jaccard': 'jaccard_distance'}


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = TABLE
    id = mapped_column(Integer, primary_key=True, autoincrement=False)
    embedding = mapped_column(VECTOR(DIMENSIONS))
    half = mapped_column(HALFVEC(DIMENSIONS))
    sparse = mapped_column(SPARSEVEC(SPARSE_DIMENSIONS))
    bits = mapped_column(BIT(BITS))


class Numbered(Base):
    """Takes its id from the server, which makes the many-values form sort."""
    __tablename__ = TABLE + '_numbered'
    id = mapped_column(Integer, primary_key=True)
    embedding = mapped_column(VECTOR(DIMENSIONS))
    half = mapped_column(HALFVEC(DIMENSIONS))
    sparse = mapped_column(SPARSEVEC(SPARSE_DIMENSIONS))


INDEXES = [Index(case.index(TABLE), getattr(Item, case.column),
                 postgresql_using='hnsw',
                 postgresql_with={'m': 16, 'ef_construction': 64},
                 postgresql_ops={case.column: case.opclass})
           for case in CASES]
for index in INDEXES:
    Item.__table__.indexes.discard(index)   # made later, by themselves


class Explain(Executable, ClauseElement):
    inherit_cache = False

    def __init__(self, statement):
        self.statement = statement


@compiles(Explain, 'postgresql')
def explain(element, compiler, **options):
    return 'EXPLAIN ' + compiler.process(element.statement, **options)


def values(i):
    data = dict(row(i), id=i)
    data['sparse'] = SparseVector(data['sparse'], SPARSE_DIMENSIONS)
    return data


ENGINES = {'psycopg': {}, 'psycopg2': {},
           'psycopg prepared': {'prepare_threshold': 0}}


@pytest.fixture(scope='module', params=ENGINES)
def engine(request, sqlalchemy_url):
    """asyncpg has no synchronous face; its test is the last one."""
    engine = create_engine(sqlalchemy_url(request.param.split()[0]),
                           connect_args=ENGINES[request.param])
    with engine.begin() as conn:
        conn.execute(text('CREATE EXTENSION IF NOT EXISTS vector'))
    Base.metadata.drop_all(engine)
    Base.metadata.create_all(engine)
    for table in Base.metadata.tables:
        if after_create(table):
            with engine.begin() as conn:
                conn.execute(text(after_create(table)))
    with Session(engine) as session:
        session.add_all(Item(**values(i)) for i in range(1, ROWS + 1))
        session.commit()
    yield engine
    Base.metadata.drop_all(engine)
    engine.dispose()


@pytest.fixture(scope='module')
def indexed(engine):
    for index in INDEXES:
        index.create(engine)
    return engine


def query(case):
    value = QUERY[case.column]
    if case.column == 'sparse':
        value = SparseVector(value, SPARSE_DIMENSIONS)
    distance = getattr(getattr(Item, case.column), METHOD[case.name])(value)
    return select(Item.id, distance).order_by(distance).limit(LIMIT)


def force_index(connection):
    connection.execute(text('SET LOCAL enable_seqscan = off'))
    connection.execute(text('SET LOCAL hnsw.ef_search = 100'))


def test_extension(engine):
    with engine.connect() as conn:
        check_version(conn.execute(text(
            "SELECT extversion FROM pg_extension WHERE extname = 'vector'"
        )).scalar_one())


def test_round_trip(engine):
    with Session(engine) as session:
        items = session.scalars(select(Item)).all()
    assert len(items) == ROWS
    for item in items:
        data = values(item.id)
        assert item.embedding == data['embedding']
        assert item.half == data['half']
        assert item.sparse == data['sparse']
        assert item.bits == data['bits']


@pytest.mark.parametrize('case', CASES, ids=repr)
def test_search_exact(engine, case):
    with Session(engine) as session:
        session.execute(text('SET LOCAL enable_indexscan = off'))
        check_nearest(case, session.execute(query(case)).all())


@pytest.mark.parametrize('case', CASES, ids=repr)
def test_search_index(indexed, case):
    with Session(indexed) as session:
        force_index(session)
        statement = query(case)
        check_nearest(case, session.execute(statement).all())
        plan = session.execute(Explain(statement)).scalars().all()
        check_plan('\n'.join(plan), case, TABLE)


def test_insert_many_values(engine):
    """INSERT ... SELECT FROM (VALUES ...) ORDER BY ... RETURNING.

    SQLAlchemy sends this form when it needs generated ids back in the order
    of the rows; each column is cast to its type inside the SELECT.
    """
    seen = []

    def remember(conn, cursor, statement, parameters, context, executemany):
        seen.append(' '.join(statement.split()))

    event.listen(engine, 'before_cursor_execute', remember)
    try:
        with Session(engine) as session:
            items = [Numbered(embedding=row(i)['embedding'],
                              half=row(i)['half'],
                              sparse=values(i)['sparse'])
                     for i in range(1, ROWS + 1)]
            session.add_all(items)
            session.flush()
            many = [s for s in seen if s.startswith('INSERT')]
            assert any(all(part in s for part in (
                'SELECT', 'FROM (VALUES', 'ORDER BY', 'RETURNING',
                f'VECTOR({DIMENSIONS})')) for s in many), many
            ids = [item.id for item in items]
            assert ids == sorted(ids)
            stored = {n.id: n.embedding for n in session.scalars(
                select(Numbered).execution_options(populate_existing=True))}
            assert [stored[i] for i in ids] == [
                row(i)['embedding'] for i in range(1, ROWS + 1)]
            session.rollback()
    finally:
        event.remove(engine, 'before_cursor_execute', remember)


def test_insert_returning_in_order(engine):
    """Core's form of the same, with NULLs among the values."""
    rows = [{'embedding': row(i)['embedding'] if i % 3 else None}
            for i in range(1, 41)]
    with engine.connect() as conn:
        got = conn.execute(
            insert(Numbered).returning(Numbered.embedding,
                                       sort_by_parameter_order=True), rows)
        assert got.scalars().all() == [r['embedding'] for r in rows]
        conn.rollback()


def test_null(indexed):
    with Session(indexed) as session:
        session.add(Item(id=1000))
        session.flush()
        session.expire_all()
        item = session.scalars(
            select(Item).where(Item.embedding.is_(None))).one()
        assert (item.id, item.half, item.sparse, item.bits) == (
            1000, None, None, None)
        force_index(session)
        check_nearest(CASES[0], session.execute(query(CASES[0])).all())
        session.rollback()


@pytest.mark.parametrize('column, value', [
    ('embedding', [1.0, 2.0, 3.0]), ('half', [1.0, 2.0, 3.0]),
    ('sparse', SparseVector({0: 1.0}, 3))])
def test_wrong_dimensions(engine, column, value):
    with Session(engine) as session:
        session.add(Item(id=1001, **{column: value}))
        with pytest.raises(exc.DBAPIError) as failure:
            session.flush()
        assert isinstance(failure.value, exc.DataError)
        original = failure.value.orig
        assert getattr(original, 'sqlstate',
                       getattr(original, 'pgcode', None)) == '22000'


@pytest.mark.parametrize('column', ['embedding', 'half'])
def test_aggregates(engine, column):
    with Session(engine) as session:
        attribute = getattr(Item, column)
        check_close(session.scalar(select(avg(attribute))),
                    [s / ROWS for s in sums(column)])
        check_close(session.scalar(select(func.sum(attribute))),
                    sums(column))


def test_cast(engine):
    """half precision index of a vector column: cast(..., HALFVEC)."""
    with Session(engine) as session:
        case = next(c for c in CASES if c.column == 'half')
        distance = cast(Item.embedding, HALFVEC(DIMENSIONS)).l2_distance(
            QUERY[case.column])
        answer = session.execute(
            select(Item.id, distance).order_by(distance).limit(LIMIT)).all()
        check_nearest(CASES[0], answer)


def test_on_conflict(indexed):
    statement = upsert(Item).values(
        [{'id': i, 'embedding': QUERY['embedding']} for i in (1, 2)])
    statement = statement.on_conflict_do_update(
        index_elements=['id'],
        set_={'embedding': statement.excluded.embedding})
    with Session(indexed) as session:
        session.execute(statement)
        assert session.scalar(
            select(func.count()).select_from(Item)) == ROWS
        force_index(session)
        answer = session.execute(query(CASES[0])).all()
        assert [tuple(a)[1] for a in answer[:2]] == [0.0, 0.0]
        assert {tuple(a)[0] for a in answer[:2]} == {1, 2}
        session.rollback()


def test_reflection(indexed):
    reflected = Table(TABLE, MetaData(), autoload_with=indexed).columns
    assert isinstance(reflected.embedding.type, VECTOR)
    assert isinstance(reflected.half.type, HALFVEC)
    assert isinstance(reflected.sparse.type, SPARSEVEC)
    assert reflected.embedding.type.dim == DIMENSIONS
    assert reflected.half.type.dim == DIMENSIONS
    assert reflected.sparse.type.dim == SPARSE_DIMENSIONS
    indexes = {i['name']: i for i in inspect(indexed).get_indexes(TABLE)}
    for case in CASES:
        options = indexes[case.index(TABLE)]['dialect_options']
        assert options['postgresql_using'] == 'hnsw'
        assert options['postgresql_ops'] == {case.column: case.opclass}
        assert options['postgresql_with'] == {'m': '16',
                                              'ef_construction': '64'}


def test_asyncpg(indexed, sqlalchemy_url):
    """Values travel as text casts; nothing needs to be registered."""
    async def ask():
        engine = create_async_engine(sqlalchemy_url('asyncpg'))
        try:
            async with engine.connect() as conn:
                await conn.execute(insert(Item), [
                    dict(values(i), id=1000 + i) for i in range(1, 41)])
                await conn.execute(text(
                    f'DELETE FROM {TABLE} WHERE id > 1000'))
                await conn.execute(text('SET LOCAL enable_indexscan = off'))
                answers = [(case, (await conn.execute(query(case))).all())
                           for case in CASES]
                items = (await conn.execute(select(Item.__table__))).all()
                await conn.rollback()
                return answers, items
        finally:
            await engine.dispose()

    answers, items = asyncio.run(ask())
    for case, answer in answers:
        check_nearest(case, answer)
    assert len(items) == ROWS
    for item in items:
        assert item.embedding == values(item.id)['embedding']
        assert item.half == values(item.id)['half']
        assert item.sparse == values(item.id)['sparse']
