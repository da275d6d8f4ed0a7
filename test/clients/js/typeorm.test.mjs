// TypeORM: its own vector and halfvec columns, migrations, and the extension
// that it creates by itself when it connects.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { SparseVector, toSql } from 'pgvector';
import { DataSource, EntitySchema, IsNull, Table } from 'typeorm';
import {
  BITS, CASES, DIMENSIONS, LIMIT, QUERY, ROWS, SPARSE_DIMENSIONS, afterCreate, checkClose,
  checkNearest, checkPlan, checkVersion, ids, indexName, row, sums, url,
} from './dataset.mjs';

const TABLE = 'typeorm_items';
const JOURNAL = 'typeorm_items_migrations';

// Sparse vectors are no type of TypeORM's; that column is left to SQL.
const Item = new EntitySchema({
  name: 'Item',
  tableName: TABLE,
  columns: {
    id: { type: Number, primary: true },
    embedding: { type: 'vector', length: DIMENSIONS, nullable: true },
    half: { type: 'halfvec', length: DIMENSIONS, nullable: true },
    bits: { type: 'bit', length: String(BITS), nullable: true },
  },
});

class CreateItems1700000000001 {
  name = 'CreateItems1700000000001';

  async up(runner) {
    await runner.createTable(new Table({
      name: TABLE,
      columns: [
        { name: 'id', type: 'int', isPrimary: true },
        { name: 'embedding', type: 'vector', length: String(DIMENSIONS), isNullable: true },
        { name: 'half', type: 'halfvec', length: String(DIMENSIONS), isNullable: true },
        { name: 'bits', type: 'bit', length: String(BITS), isNullable: true },
      ],
    }));
    await runner.query(`ALTER TABLE ${TABLE} ADD sparse sparsevec(${SPARSE_DIMENSIONS})`);
  }

  async down(runner) {
    await runner.dropTable(TABLE);
  }
}

class CreateIndexes1700000000002 {
  name = 'CreateIndexes1700000000002';

  async up(runner) {
    for (const c of CASES) {
      await runner.query(`CREATE INDEX ${indexName(TABLE, c)} ON ${TABLE}
        USING hnsw (${c.column} ${c.opclass}) WITH (m = 16, ef_construction = 64)`);
    }
  }

  async down(runner) {
    for (const c of CASES) await runner.query(`DROP INDEX ${indexName(TABLE, c)}`);
  }
}

function connect(migrations) {
  return new DataSource({
    type: 'postgres', url, entities: [Item], migrations, migrationsTableName: JOURNAL,
  }).initialize();
}

let source;

async function transaction(work) {
  const runner = source.createQueryRunner();
  await runner.startTransaction();
  try {
    await work(runner.manager);
  } finally {
    await runner.rollbackTransaction();
    await runner.release();
  }
}

async function forceIndex(manager) {
  await manager.query('SET LOCAL enable_seqscan = off');
  await manager.query('SET LOCAL hnsw.ef_search = 100');
}

// The query as a query builder; its parameter is text, whatever the type.
function nearest(manager, c) {
  const value = QUERY[c.column];
  const text = c.column === 'bits' ? value
    : toSql(c.column === 'sparse' ? new SparseVector(value) : value);
  const cast = c.column === 'bits' ? `bit(${BITS})` : c.type;
  return manager.createQueryBuilder(Item, 'item')
    .select('item.id', 'id')
    .addSelect(`${c.column} ${c.operator} CAST(:q AS ${cast})`, 'distance')
    .orderBy('distance').limit(LIMIT).setParameters({ q: text });
}

async function clean() {
  await source.query(`DROP TABLE IF EXISTS ${TABLE}, ${JOURNAL}`);
}

describe('typeorm', () => {
  before(async () => {
    source = await connect([]);
    await clean();
    await source.destroy();
  });

  after(async () => {
    await clean();
    await source.destroy();
  });

  it('creates the table by migration', async () => {
    source = await connect([CreateItems1700000000001]);
    assert.equal((await source.runMigrations()).length, 1);
    if (afterCreate(TABLE)) await source.query(afterCreate(TABLE));
    await source.destroy();
  });

  it('creates the indexes by migration', async () => {
    source = await connect([CreateItems1700000000001, CreateIndexes1700000000002]);
    assert.equal((await source.runMigrations()).length, 1);
    const rows = await source.query(`SELECT indexname FROM pg_indexes
      WHERE tablename = '${TABLE}' AND indexdef LIKE '%USING hnsw%'`);
    assert.deepEqual(rows.map((r) => r.indexname).sort(),
      CASES.map((c) => indexName(TABLE, c)).sort());
  });

  it('found or created the extension when connecting', async () => {
    const [found] = await source.query(
      "SELECT extversion FROM pg_extension WHERE extname = 'vector'");
    checkVersion(found.extversion);
  });

  it('reads its columns back from the catalogue', async () => {
    const runner = source.createQueryRunner();
    const table = await runner.getTable(TABLE);
    await runner.release();
    const column = (name) => table.columns.find((c) => c.name === name);
    assert.equal(column('embedding').type, 'vector');
    assert.equal(column('embedding').length, String(DIMENSIONS));
    assert.equal(column('half').type, 'halfvec');
    assert.equal(column('half').length, String(DIMENSIONS));
  });

  it('gets back what it stored', async () => {
    const repository = source.getRepository(Item);
    await repository.insert(ids.map((id) => {
      const { embedding, half, bits } = row(id);
      return { id, embedding, half, bits };
    }));
    for (const id of ids) {
      await source.query(`UPDATE ${TABLE} SET sparse = $1 WHERE id = $2`,
        [toSql(new SparseVector(row(id).sparse)), id]);
    }
    const items = await repository.find();
    assert.equal(items.length, ROWS);
    for (const { id, embedding, half, bits } of items) {
      const wanted = row(id);
      assert.deepEqual(embedding, wanted.embedding);
      assert.deepEqual(half, wanted.half);
      assert.equal(bits, wanted.bits);
    }
  });

  for (const c of CASES) {
    it(`searches by index and without: ${c.label}`, () => transaction(async (manager) => {
      await manager.query('SET LOCAL enable_indexscan = off');
      checkNearest(c, await nearest(manager, c).getRawMany());
      await manager.query('SET LOCAL enable_indexscan = on');
      await forceIndex(manager);
      const [text, values] = nearest(manager, c).getQueryAndParameters();
      checkPlan(await manager.query(`EXPLAIN ${text}`, values), c, TABLE);
      checkNearest(c, await nearest(manager, c).getRawMany());
    }));
  }

  it('stores NULL', () => transaction(async (manager) => {
    await manager.insert(Item, { id: 1000 });
    assert.deepEqual((await manager.findBy(Item, { embedding: IsNull() })).map((i) => ({ ...i })),
      [{ id: 1000, embedding: null, half: null, bits: null }]);
    await forceIndex(manager);
    checkNearest(CASES[0], await nearest(manager, CASES[0]).getRawMany());
  }));

  for (const column of ['embedding', 'half']) {
    it(`is refused other dimensions: ${column}`, async () => {
      await assert.rejects(source.getRepository(Item).insert({ id: 1001, [column]: [1, 2, 3] }),
        (error) => error.driverError.code === '22000');
    });

    it(`adds up and averages: ${column}`, async () => {
      const got = await source.getRepository(Item).createQueryBuilder('item')
        .select(`sum(${column})`, 'sum').addSelect(`avg(${column})`, 'avg').getRawOne();
      checkClose(JSON.parse(got.sum), sums(column));
      checkClose(JSON.parse(got.avg), sums(column).map((s) => s / ROWS));
    });
  }

  it('updates on conflict', () => transaction(async (manager) => {
    await manager.upsert(Item, { id: 1, embedding: QUERY.embedding }, ['id']);
    const item = await manager.findOneBy(Item, { id: 1 });
    assert.deepEqual(item.embedding, QUERY.embedding);
    await forceIndex(manager);
    assert.deepEqual((await nearest(manager, CASES[0]).getRawMany())[0], { id: 1, distance: 0 });
  }));

  it('takes its migrations back', async () => {
    await source.undoLastMigration();
    await source.undoLastMigration();
    const [{ gone }] = await source.query(`SELECT to_regclass('${TABLE}') IS NULL AS gone`);
    assert.equal(gone, true);
  });
});
