"""peewee: its fields, its indexes, its way of ON CONFLICT."""
import peewee
import pytest
from peewee import SQL, IntegerField, Model, PostgresqlDatabase, fn
from pgvector import SparseVector
from pgvector.peewee import (
    FixedBitField, HalfVectorField, SparseVectorField, VectorField)

from dataset import (
    BITS, CASES, DIMENSIONS, LIMIT, QUERY, ROWS, SPARSE_DIMENSIONS,
    after_create, check_close, check_nearest, check_plan, row, sums)

METHOD = {'l2': 'l2_distance', 'ip': 'max_inner_product',
          'cosine': 'cosine_distance', 'l1': 'l1_distance',
          'hamming': 'hamming_distance', 'jaccard': 'jaccard_distance'}
TABLE = 'peewee_items'
database = PostgresqlDatabase(None)


class Item(Model):
    id = IntegerField(primary_key=True)
    embedding = VectorField(dimensions=DIMENSIONS, null=True)
    half = HalfVectorField(dimensions=DIMENSIONS, null=True)
    sparse = SparseVectorField(dimensions=SPARSE_DIMENSIONS, null=True)
    bits = FixedBitField(max_length=BITS, null=True)

    class Meta:
        database = database
        table_name = TABLE


for case in CASES:
    Item.add_index(SQL(f'CREATE INDEX {case.index(TABLE)} ON {TABLE} '
                       f'USING hnsw ({case.column} {case.opclass})'))


def values(i):
    data = dict(row(i), id=i)
    data['sparse'] = SparseVector(data['sparse'], SPARSE_DIMENSIONS)
    return data


@pytest.fixture(scope='module', autouse=True)
def connection(parts):
    database.init(**parts)
    database.connect()
    database.execute_sql('CREATE EXTENSION IF NOT EXISTS vector')
    database.drop_tables([Item])
    database.create_tables([Item])
    if after_create(TABLE):
        database.execute_sql(after_create(TABLE))
    Item.insert_many([values(i) for i in range(1, ROWS + 1)]).execute()
    yield
    database.drop_tables([Item])
    database.close()


def test_round_trip():
    items = list(Item.select())
    assert len(items) == ROWS
    for item in items:
        assert {c: getattr(item, c) for c in values(1)} == values(item.id)


@pytest.mark.parametrize('case', CASES, ids=repr)
def test_search_index(case):
    value = QUERY[case.column]
    if case.column == 'sparse':
        value = SparseVector(value, SPARSE_DIMENSIONS)
    distance = getattr(getattr(Item, case.column), METHOD[case.name])(value)
    query = Item.select(Item.id, distance.alias('distance')).order_by(
        distance).limit(LIMIT)
    with database.atomic():
        database.execute_sql('SET LOCAL enable_seqscan = off')
        database.execute_sql('SET LOCAL hnsw.ef_search = 100')
        check_nearest(case, list(query.tuples()))
        statement, parameters = query.sql()
        plan = database.execute_sql('EXPLAIN ' + statement, parameters)
        check_plan('\n'.join(line for line, in plan), case, TABLE)


def test_null_and_conflict():
    with database.atomic() as transaction:
        Item.create(id=1000)
        assert Item.get_by_id(1000).embedding is None
        Item.insert(id=1, embedding=QUERY['embedding']).on_conflict(
            conflict_target=[Item.id], preserve=[Item.embedding]).execute()
        assert Item.get_by_id(1).embedding == QUERY['embedding']
        transaction.rollback()


def test_wrong_dimensions():
    with pytest.raises(peewee.DataError) as failure:
        with database.atomic():
            Item.create(id=1001, embedding=[1, 2, 3])
    original = failure.value.__cause__ or failure.value.__context__
    assert original.pgcode == '22000'


@pytest.mark.parametrize('field', [Item.embedding, Item.half],
                         ids=['embedding', 'half'])
def test_aggregates(field):
    mean, = Item.select(fn.avg(field).coerce(True)).tuples().get()
    check_close(mean, [s / ROWS for s in sums(field.name)])
