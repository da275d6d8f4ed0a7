// The table of drizzle.test.mjs.  DRIZZLE_INDEXES says whether the indexes
// are declared too, so that drizzle-kit writes two migrations.
import { bit, halfvec, index, integer, pgTable, sparsevec, vector } from 'drizzle-orm/pg-core';

const opclasses = {
  embedding: ['vector_l2_ops', 'vector_ip_ops', 'vector_cosine_ops', 'vector_l1_ops'],
  half: ['halfvec_l2_ops', 'halfvec_ip_ops', 'halfvec_cosine_ops', 'halfvec_l1_ops'],
  sparse: ['sparsevec_l2_ops', 'sparsevec_ip_ops', 'sparsevec_cosine_ops', 'sparsevec_l1_ops'],
  bits: ['bit_hamming_ops', 'bit_jaccard_ops'],
};

const declareIndexes = (table) => Object.entries(opclasses).flatMap(
  ([column, names]) => names.map((opclass) => index(
    `drizzle_items_${column}_${opclass.split('_')[1]}`)
    .using('hnsw', table[column].op(opclass))
    .with({ m: 16, ef_construction: 64 })));

export const items = pgTable('drizzle_items', {
  id: integer('id').primaryKey(),
  embedding: vector('embedding', { dimensions: 8 }),
  half: halfvec('half', { dimensions: 8 }),
  sparse: sparsevec('sparse', { dimensions: 32 }),
  bits: bit('bits', { dimensions: 16 }),
}, (table) => (process.env.DRIZZLE_INDEXES ? declareIndexes(table) : []));
