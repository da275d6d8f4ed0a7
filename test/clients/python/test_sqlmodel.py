"""SQLModel: vector columns of a pydantic model."""
from typing import Any

import pytest
from pgvector.sqlalchemy import BIT, HALFVEC, SPARSEVEC, VECTOR, avg
from pgvector import SparseVector
from sqlmodel import (
    Field, Index, Session, SQLModel, create_engine, select, text)

from dataset import (
    BITS, CASES, DIMENSIONS, LIMIT, QUERY, ROWS, SPARSE_DIMENSIONS,
    after_create, check_close, check_nearest, check_plan, row, sums)

METHOD = {'l2': 'l2_distance', 'ip': 'max_inner_product',
          'cosine': 'cosine_distance', 'l1': 'l1_distance',
          'hamming': 'hamming_distance', 'jaccard': 'jaccard_distance'}
TABLE = 'sqlmodel_items'


class Item(SQLModel, table=True):
    __tablename__ = TABLE
    id: int = Field(primary_key=True)
    embedding: Any = Field(default=None, nullable=True,
                           sa_type=VECTOR(DIMENSIONS))
    half: Any = Field(default=None, nullable=True,
                      sa_type=HALFVEC(DIMENSIONS))
    sparse: Any = Field(default=None, nullable=True,
                        sa_type=SPARSEVEC(SPARSE_DIMENSIONS))
    bits: Any = Field(default=None, nullable=True, sa_type=BIT(BITS))
    __table_args__ = tuple(
        Index(case.index(TABLE), case.column, postgresql_using='hnsw',
              postgresql_with={'m': 16, 'ef_construction': 64},
              postgresql_ops={case.column: case.opclass}) for case in CASES)


def values(i):
    data = dict(row(i), id=i)
    data['sparse'] = SparseVector(data['sparse'], SPARSE_DIMENSIONS)
    return data


@pytest.fixture(scope='module')
def engine(sqlalchemy_url):
    engine = create_engine(sqlalchemy_url('psycopg'))
    tables = [Item.__table__]
    with Session(engine) as session:
        session.exec(text('CREATE EXTENSION IF NOT EXISTS vector'))
        session.commit()
        SQLModel.metadata.drop_all(engine, tables)
        SQLModel.metadata.create_all(engine, tables)
        if after_create(TABLE):
            session.exec(text(after_create(TABLE)))
        session.add_all(Item(**values(i)) for i in range(1, ROWS + 1))
        session.commit()
    yield engine
    SQLModel.metadata.drop_all(engine, tables)
    engine.dispose()


def test_round_trip(engine):
    with Session(engine) as session:
        items = session.exec(select(Item)).all()
        assert len(items) == ROWS
        for item in items:
            assert {c: getattr(item, c) for c in values(1)} == values(item.id)


@pytest.mark.parametrize('case', CASES, ids=repr)
def test_search_index(engine, case):
    value = QUERY[case.column]
    if case.column == 'sparse':
        value = SparseVector(value, SPARSE_DIMENSIONS)
    distance = getattr(getattr(Item, case.column), METHOD[case.name])(value)
    with Session(engine) as session:
        session.exec(text('SET LOCAL enable_seqscan = off'))
        session.exec(text('SET LOCAL hnsw.ef_search = 100'))
        statement = select(Item.id, distance).order_by(distance).limit(LIMIT)
        check_nearest(case, session.exec(statement).all())
        plan = session.exec(text(
            f"EXPLAIN SELECT id FROM {TABLE} ORDER BY {case.column} "
            f"{case.operator} (SELECT {case.column} FROM {TABLE} "
            f"WHERE id = 1) LIMIT {LIMIT}")).all()
        check_plan('\n'.join(line for line, in plan), case, TABLE)


@pytest.mark.parametrize('column', ['embedding', 'half'])
def test_aggregates(engine, column):
    with Session(engine) as session:
        check_close(session.exec(select(avg(getattr(Item, column)))).one(),
                    [s / ROWS for s in sums(column)])


def test_null(engine):
    with Session(engine) as session:
        session.add(Item(id=1000))
        session.flush()
        session.expire_all()
        item = session.get(Item, 1000)
        assert item.embedding is None and item.sparse is None
        session.rollback()
