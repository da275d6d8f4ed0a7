"""The model of test_django.py, with an index for each operator."""
from django.db import models
from pgvector.django import (
    BitField, HalfVectorField, HnswIndex, SparseVectorField, VectorField)

from dataset import BITS, CASES, DIMENSIONS, SPARSE_DIMENSIONS

TABLE = 'django_items'


class Item(models.Model):
    id = models.IntegerField(primary_key=True)
    embedding = VectorField(dimensions=DIMENSIONS, null=True)
    half = HalfVectorField(dimensions=DIMENSIONS, null=True)
    sparse = SparseVectorField(dimensions=SPARSE_DIMENSIONS, null=True)
    bits = BitField(length=BITS, null=True)

    class Meta:
        db_table = TABLE
        indexes = [HnswIndex(name=case.index(TABLE), fields=[case.column],
                             opclasses=[case.opclass], m=16,
                             ef_construction=64) for case in CASES]
