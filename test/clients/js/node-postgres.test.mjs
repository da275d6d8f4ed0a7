// node-postgres with pgvector/pg: text values, prepared statements, a pool.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import pg from 'pg';
import pgvector from 'pgvector/pg';
import { SparseVector } from 'pgvector';
import {
  BITS, CASES, DIMENSIONS, LIMIT, QUERY, ROWS, SPARSE_DIMENSIONS, afterCreate,
  checkClose, checkNearest, checkPlan, checkVersion, ids, indexName, row, sums, url,
} from './dataset.mjs';

const TABLE = 'node_postgres_items';
const client = new pg.Client({ connectionString: url });

function toSql(column, value) {
  if (column === 'bits') return value;
  return pgvector.toSql(column === 'sparse' ? new SparseVector(value) : value);
}

const query = async (text, values) => (await client.query(text, values)).rows;

async function transaction(work) {
  await query('BEGIN');
  try {
    await work();
  } finally {
    await query('ROLLBACK');
  }
}

async function forceIndex() {
  await query('SET LOCAL enable_seqscan = off');
  await query('SET LOCAL hnsw.ef_search = 100');
}

function searchText(c) {
  const cast = c.column === 'bits' ? `$1::bit(${BITS})` : '$1';
  return `SELECT id, ${c.column} ${c.operator} ${cast} AS distance FROM ${TABLE} `
    + `ORDER BY ${c.column} ${c.operator} ${cast} LIMIT ${LIMIT}`;
}

// With a name node-postgres prepares the statement once and runs it again.
const search = async (c, name) => (await client.query({
  name, text: searchText(c), values: [toSql(c.column, QUERY[c.column])],
})).rows;

describe('node-postgres', () => {
  before(async () => {
    await client.connect();
    await query('CREATE EXTENSION IF NOT EXISTS vector');
    await pgvector.registerTypes(client);
    await query(`DROP TABLE IF EXISTS ${TABLE}`);
    await query(`CREATE TABLE ${TABLE} (id int PRIMARY KEY,
      embedding vector(${DIMENSIONS}), half halfvec(${DIMENSIONS}),
      sparse sparsevec(${SPARSE_DIMENSIONS}), bits bit(${BITS}))`);
    if (afterCreate(TABLE)) await query(afterCreate(TABLE));
    for (const i of ids) {
      const r = row(i);
      await query(`INSERT INTO ${TABLE} VALUES ($1, $2, $3, $4, $5)`,
        [i, ...Object.keys(r).map((c) => toSql(c, r[c]))]);
    }
  });

  after(async () => {
    await query(`DROP TABLE IF EXISTS ${TABLE}`);
    await client.end();
  });

  it('finds the extension', async () => {
    const [found] = await query("SELECT extversion FROM pg_extension WHERE extname = 'vector'");
    checkVersion(found.extversion);
  });

  it('gets back what it stored', async () => {
    const rows = await query(`SELECT * FROM ${TABLE}`);
    assert.equal(rows.length, ROWS);
    for (const { id, ...got } of rows) {
      assert.deepEqual({ ...got, sparse: got.sparse.toArray() }, row(id));
    }
  });

  // node-postgres reads every result as UTF-8 text, binary ones too, so the
  // binary form is asked for as bytea.
  it('gets back binary values', async () => {
    const rows = await query(`SELECT id, vector_send(embedding) AS embedding,
      halfvec_send(half) AS half, sparsevec_send(sparse) AS sparse
      FROM ${TABLE} WHERE id <= 3`);
    assert.equal(rows.length, 3);
    for (const { id, embedding, half, sparse } of rows) {
      const wanted = row(id);
      assert.equal(embedding.readInt16BE(0), DIMENSIONS);
      assert.deepEqual(wanted.embedding.map((_, j) => embedding.readFloatBE(4 + 4 * j)),
        wanted.embedding);
      assert.equal(half.readInt16BE(0), DIMENSIONS);
      assert.equal(half.length, 4 + 2 * DIMENSIONS);
      const nonzero = [...wanted.sparse.entries()].filter(([, v]) => v !== 0);
      assert.equal(sparse.readInt32BE(0), SPARSE_DIMENSIONS);
      assert.equal(sparse.readInt32BE(4), nonzero.length);
      assert.deepEqual(nonzero.map((_, k) => [
        sparse.readInt32BE(12 + 4 * k),
        sparse.readFloatBE(12 + 4 * nonzero.length + 4 * k)]), nonzero);
    }
  });

  for (const c of CASES) {
    it(`searches exactly: ${c.label}`, () => transaction(async () => {
      await query('SET LOCAL enable_indexscan = off');
      checkNearest(c, await search(c));
    }));
  }

  it('creates indexes', async () => {
    for (const c of CASES) {
      await query(`CREATE INDEX ${indexName(TABLE, c)} ON ${TABLE}
        USING hnsw (${c.column} ${c.opclass}) WITH (m = 16, ef_construction = 64)`);
    }
  });

  for (const c of CASES) {
    it(`searches by index: ${c.label}`, () => transaction(async () => {
      await forceIndex();
      checkPlan(await query(`EXPLAIN ${searchText(c)}`, [toSql(c.column, QUERY[c.column])]),
        c, TABLE);
      for (let n = 0; n < 10; n += 1) checkNearest(c, await search(c, `nearest ${c.label}`));
    }));
  }

  it('stores NULL', () => transaction(async () => {
    await query(`INSERT INTO ${TABLE} VALUES ($1, $2, $3, $4, $5)`, [1000, null, null, null, null]);
    const rows = await query(`SELECT embedding, half, sparse, bits FROM ${TABLE} WHERE embedding IS NULL`);
    assert.deepEqual(rows, [{ embedding: null, half: null, sparse: null, bits: null }]);
    await forceIndex();
    checkNearest(CASES[0], await search(CASES[0]));
  }));

  for (const column of ['embedding', 'half', 'sparse']) {
    it(`is refused other dimensions: ${column}`, async () => {
      const value = toSql(column, [1, 2, 3]);
      for (const text of [`INSERT INTO ${TABLE} (id, ${column}) VALUES (1001, $1)`,
        `SELECT ${column} <-> $1 FROM ${TABLE}`]) {
        await assert.rejects(query(text, [value]), { code: '22000' });
      }
    });
  }

  it('is refused what is no vector', async () => {
    await assert.rejects(query('SELECT $1::vector', ['hello']), { code: '22P02' });
    await assert.rejects(query('SELECT $1::vector', ['[1,NaN]']), { code: '22000' });
  });

  for (const column of ['embedding', 'half']) {
    it(`adds up and averages: ${column}`, async () => {
      const [{ sum, avg }] = await query(`SELECT sum(${column}), avg(${column}) FROM ${TABLE}`);
      checkClose(sum, sums(column));
      checkClose(avg, sums(column).map((s) => s / ROWS));
    });
  }

  it('updates on conflict', () => transaction(async () => {
    const rows = await query(`INSERT INTO ${TABLE} (id, embedding) VALUES (1, $1)
      ON CONFLICT (id) DO UPDATE SET embedding = EXCLUDED.embedding RETURNING embedding`,
    [toSql('embedding', QUERY.embedding)]);
    assert.deepEqual(rows, [{ embedding: QUERY.embedding }]);
    await forceIndex();
    assert.deepEqual((await search(CASES[0]))[0], { id: 1, distance: 0 });
  }));

  it('serves a pool', async () => {
    const pool = new pg.Pool({ connectionString: url, max: 2 });
    pool.on('connect', (c) => pgvector.registerTypes(c));
    const c = CASES[2];
    const answers = await Promise.all([...Array(8)].map(() => pool.query(
      searchText(c), [toSql(c.column, QUERY[c.column])])));
    await pool.end();
    for (const { rows } of answers) checkNearest(c, rows);
  });
});
