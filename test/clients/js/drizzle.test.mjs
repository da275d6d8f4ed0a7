// Drizzle: migrations written by drizzle-kit and applied by drizzle-orm,
// queries through its distance functions.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  and, avg, cosineDistance, eq, hammingDistance, innerProduct, isNull,
  jaccardDistance, l1Distance, l2Distance, lt, sql, sum,
} from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import { migrate } from 'drizzle-orm/node-postgres/migrator';
import pg from 'pg';
import { SparseVector } from 'pgvector';
import {
  BITS, CASES, LIMIT, QUERY, ROWS, afterCreate, checkClose, checkNearest, checkPlan,
  checkVersion, distance, ids, indexName, row, sums, url,
} from './dataset.mjs';
import { items } from './drizzle/schema.mjs';

const TABLE = 'drizzle_items';
const JOURNAL = { migrationsTable: 'drizzle_items_migrations', migrationsSchema: 'public' };
const functions = {
  l2: l2Distance, ip: innerProduct, cosine: cosineDistance, l1: l1Distance,
  hamming: hammingDistance, jaccard: jaccardDistance,
};

const pool = new pg.Pool({ connectionString: url, max: 1 });
const db = drizzle(pool);
const migrations = mkdtempSync('drizzle-migrations-');

const run = async (text) => (await db.execute(sql.raw(text))).rows;
const sparseText = (list) => new SparseVector(list).toString();
const stored = (i) => ({ id: i, ...row(i), sparse: sparseText(row(i).sparse) });

// Writes the next migration, as "npx drizzle-kit generate" does, and returns
// its SQL.
function generate(name, environment) {
  const done = spawnSync(process.execPath, [
    join('node_modules', 'drizzle-kit', 'bin.cjs'), 'generate', '--dialect', 'postgresql',
    '--schema', join('drizzle', 'schema.mjs'), '--out', migrations, '--name', name,
  ], { encoding: 'utf8', env: { ...process.env, ...environment } });
  assert.equal(done.status, 0, done.stdout + done.stderr);
  const file = readdirSync(migrations).find((f) => f.endsWith(`_${name}.sql`));
  assert.ok(file, done.stdout + done.stderr);
  return readFileSync(join(migrations, file), 'utf8');
}

function nearest(tx, c) {
  const value = c.column === 'sparse' ? sparseText(QUERY.sparse) : QUERY[c.column];
  const operand = c.column === 'bits' ? sql`${value}::bit(${sql.raw(String(BITS))})` : value;
  const expression = functions[c.name](items[c.column], operand);
  return tx.select({ id: items.id, distance: expression }).from(items)
    .orderBy(expression).limit(LIMIT);
}

// Whatever the work does is taken back.
async function transaction(work) {
  const undo = new Error('undo');
  await assert.rejects(db.transaction(async (tx) => {
    await work(tx);
    throw undo;
  }), (error) => error === undo || assert.fail(error));
}

async function forceIndex(tx) {
  await tx.execute(sql`SET LOCAL enable_seqscan = off`);
  await tx.execute(sql`SET LOCAL hnsw.ef_search = 100`);
}

async function clean() {
  await run(`DROP TABLE IF EXISTS ${TABLE}, ${JOURNAL.migrationsTable}`);
}

describe('drizzle', () => {
  before(async () => {
    await run('CREATE EXTENSION IF NOT EXISTS vector');
    await clean();
  });

  after(async () => {
    await clean();
    await pool.end();
    rmSync(migrations, { recursive: true });
  });

  it('finds the extension', async () => {
    const [found] = await run("SELECT extversion FROM pg_extension WHERE extname = 'vector'");
    checkVersion(found.extversion);
  });

  it('creates the table by migration', async () => {
    const text = generate('items', {});
    for (const type of ['vector(8)', 'halfvec(8)', 'sparsevec(32)', 'bit(16)']) {
      assert.ok(text.includes(type), text);
    }
    await migrate(db, { migrationsFolder: migrations, ...JOURNAL });
    if (afterCreate(TABLE)) await run(afterCreate(TABLE));
  });

  it('inserts many rows at once', async () => {
    await db.insert(items).values(ids.map(stored));
  });

  it('gets back what it stored', async () => {
    const rows = await db.select().from(items);
    assert.equal(rows.length, ROWS);
    for (const got of rows) {
      assert.deepEqual({ ...got, sparse: new SparseVector(got.sparse).toArray() },
        { id: got.id, ...row(got.id) });
    }
  });

  for (const c of CASES) {
    it(`searches exactly: ${c.label}`, async () => checkNearest(c, await nearest(db, c)));
  }

  it('creates the indexes by migration', async () => {
    const text = generate('indexes', { DRIZZLE_INDEXES: '1' });
    for (const c of CASES) {
      assert.ok(text.includes(`USING hnsw ("${c.column}" ${c.opclass})`), text);
    }
    await migrate(db, { migrationsFolder: migrations, ...JOURNAL });
    const rows = await run(`SELECT indexname FROM pg_indexes
      WHERE tablename = '${TABLE}' AND indexdef LIKE '%USING hnsw%'`);
    assert.deepEqual(rows.map((r) => r.indexname).sort(),
      CASES.map((c) => indexName(TABLE, c)).sort());
  });

  for (const c of CASES) {
    it(`searches by index: ${c.label}`, () => transaction(async (tx) => {
      await forceIndex(tx);
      checkPlan((await tx.execute(sql`EXPLAIN ${nearest(tx, c).getSQL()}`)).rows, c, TABLE);
      checkNearest(c, await nearest(tx, c));
    }));
  }

  it('filters by distance', async () => {
    const far = l2Distance(items.embedding, QUERY.embedding);
    const rows = await db.select({ id: items.id }).from(items).where(and(lt(far, 1.5), lt(items.id, 80)));
    const wanted = ids.filter((i) => i < 80
      && distance('l2', row(i).embedding, QUERY.embedding) < 1.5);
    assert.ok(wanted.length > 0);
    assert.deepEqual(rows.map((r) => r.id).sort(), wanted.sort());
  });

  it('stores NULL', () => transaction(async (tx) => {
    await tx.insert(items).values({ id: 1000 });
    assert.deepEqual(await tx.select().from(items).where(isNull(items.embedding)),
      [{ id: 1000, embedding: null, half: null, sparse: null, bits: null }]);
    await forceIndex(tx);
    checkNearest(CASES[0], await nearest(tx, CASES[0]));
  }));

  for (const [column, value] of [['embedding', [1, 2, 3]], ['half', [1, 2, 3]], ['sparse', '{1:1}/3']]) {
    it(`is refused other dimensions: ${column}`, async () => {
      await assert.rejects(db.insert(items).values({ id: 1001, [column]: value }),
        (error) => (error.cause ?? error).code === '22000');
    });
  }

  for (const column of ['embedding', 'half']) {
    it(`adds up and averages: ${column}`, async () => {
      const [got] = await db.select({ sum: sum(items[column]), avg: avg(items[column]) }).from(items);
      const list = (v) => (typeof v === 'string' ? JSON.parse(v) : v);
      checkClose(list(got.sum), sums(column));
      checkClose(list(got.avg), sums(column).map((s) => s / ROWS));
    });
  }

  it('updates on conflict', () => transaction(async (tx) => {
    await tx.insert(items).values({ id: 1, embedding: QUERY.embedding })
      .onConflictDoUpdate({ target: items.id, set: { embedding: sql`excluded.embedding` } });
    const [got] = await tx.select().from(items).where(eq(items.id, 1));
    assert.deepEqual(got.embedding, QUERY.embedding);
    await forceIndex(tx);
    assert.deepEqual((await nearest(tx, CASES[0]))[0], { id: 1, distance: 0 });
  }));
});
