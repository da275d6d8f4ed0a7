"""Django: migrations with VectorExtension and HnswIndex, and its queries.

The migrations in django_app are what "manage.py makemigrations" wrote;
test_migrations_are_complete asks it again whether it would add anything.
"""
import django
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import DataError, connection, transaction
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Avg, Sum
from pgvector import SparseVector
from pgvector.django import (
    CosineDistance, HammingDistance, JaccardDistance, L1Distance, L2Distance,
    MaxInnerProduct)

from dataset import (
    CASES, LIMIT, QUERY, ROWS, SPARSE_DIMENSIONS, after_create, check_close,
    check_nearest, check_plan, check_version, distance, row, sums)

FUNCTION = {'l2': L2Distance, 'ip': MaxInnerProduct,
            'cosine': CosineDistance, 'l1': L1Distance,
            'hamming': HammingDistance, 'jaccard': JaccardDistance}


def values(i):
    data = dict(row(i), id=i)
    data['sparse'] = SparseVector(data['sparse'], SPARSE_DIMENSIONS)
    return data


@pytest.fixture(scope='module')
def models(parts):
    settings.configure(
        INSTALLED_APPS=['django_app'], USE_TZ=True,
        DEFAULT_AUTO_FIELD='django.db.models.BigAutoField',
        DATABASES={'default': {
            'ENGINE': 'django.db.backends.postgresql',
            'NAME': parts['database'], 'USER': parts['user'],
            'PASSWORD': parts['password'], 'HOST': parts['host'],
            'PORT': parts['port']}})
    django.setup()
    from django_app import models
    clean(models.TABLE)
    call_command('migrate', 'django_app', '0002', verbosity=0)
    if after_create(models.TABLE):
        execute(after_create(models.TABLE))
    models.Item.objects.bulk_create(
        models.Item(**values(i)) for i in range(1, ROWS + 1))
    call_command('migrate', 'django_app', verbosity=0)
    yield models
    clean(models.TABLE)
    connection.close()


def clean(table):
    """Forget what an earlier run left, and nothing of other applications."""
    execute(f'DROP TABLE IF EXISTS {table}')
    recorder = MigrationRecorder(connection)
    if recorder.has_table():
        recorder.migration_qs.filter(app='django_app').delete()


def execute(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else None


def force_index():
    execute('SET LOCAL enable_seqscan = off')
    execute('SET LOCAL hnsw.ef_search = 100')


def nearest(models, case):
    value = QUERY[case.column]
    if case.column == 'sparse':
        value = SparseVector(value, SPARSE_DIMENSIONS)
    distance = FUNCTION[case.name](case.column, value)
    return models.Item.objects.annotate(distance=distance).order_by(
        distance).values_list('id', 'distance')[:LIMIT]


def test_extension(models):
    (version,), = execute(
        "SELECT extversion FROM pg_extension WHERE extname = 'vector'")
    check_version(version)


def test_migrations_are_complete(models):
    call_command('makemigrations', 'django_app', check_changes=True,
                 dry_run=True, verbosity=0)
    with connection.cursor() as cursor:
        constraints = connection.introspection.get_constraints(
            cursor, models.TABLE)
    for case in CASES:
        assert constraints[case.index(models.TABLE)]['type'] == 'hnsw'
    (options,), = execute(
        f"SELECT reloptions FROM pg_class "
        f"WHERE relname = '{CASES[0].index(models.TABLE)}'")
    assert options == ['m=16', 'ef_construction=64']


def test_round_trip(models):
    items = list(models.Item.objects.all())
    assert len(items) == ROWS
    for item in items:
        assert {c: getattr(item, c) for c in values(1)} == values(item.id)


@pytest.mark.parametrize('case', CASES, ids=repr)
def test_search_exact(models, case):
    with transaction.atomic():
        execute('SET LOCAL enable_indexscan = off')
        check_nearest(case, nearest(models, case))


@pytest.mark.parametrize('case', CASES, ids=repr)
def test_search_index(models, case):
    with transaction.atomic():
        force_index()
        check_plan(nearest(models, case).explain(), case, models.TABLE)
        check_nearest(case, nearest(models, case))


def test_filter_by_distance(models):
    """A distance in WHERE, which Django casts from text."""
    items = models.Item.objects.alias(
        distance=L2Distance('embedding', QUERY['embedding'])).filter(
            distance__lt=1.5)
    wanted = {i for i in range(1, ROWS + 1) if distance(
        'l2', row(i)['embedding'], QUERY['embedding']) < 1.5}
    assert wanted
    assert {item.id for item in items} == wanted


def test_null(models):
    with transaction.atomic():
        models.Item.objects.create(id=1000)
        item = models.Item.objects.get(embedding__isnull=True)
        assert (item.half, item.sparse, item.bits) == (None, None, None)
        force_index()
        check_nearest(CASES[0], nearest(models, CASES[0]))
        transaction.set_rollback(True)


@pytest.mark.parametrize('column, value', [
    ('embedding', [1.0, 2.0, 3.0]), ('half', [1.0, 2.0, 3.0]),
    ('sparse', SparseVector({0: 1.0}, 3))])
def test_wrong_dimensions(models, column, value):
    with pytest.raises(DataError) as failure, transaction.atomic():
        models.Item.objects.create(id=1001, **{column: value})
    assert failure.value.__cause__.sqlstate == '22000'


@pytest.mark.parametrize('column', ['embedding', 'half'])
def test_aggregates(models, column):
    got = models.Item.objects.aggregate(mean=Avg(column), total=Sum(column))
    check_close(got['mean'], [s / ROWS for s in sums(column)])
    check_close(got['total'], sums(column))


def test_on_conflict(models):
    with transaction.atomic():
        models.Item.objects.bulk_create(
            [models.Item(id=i, embedding=QUERY['embedding'])
             for i in (1, 2)], update_conflicts=True,
            unique_fields=['id'], update_fields=['embedding'])
        assert models.Item.objects.count() == ROWS
        force_index()
        assert {tuple(a) for a in nearest(models, CASES[0])[:2]} == {
            (1, 0.0), (2, 0.0)}
        transaction.set_rollback(True)
