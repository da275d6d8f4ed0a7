// The rows that every JavaScript client stores, and the answers it must get:
// the same as python/dataset.py, which says why they are as they are.
import assert from 'node:assert/strict';

export const ROWS = 96;
export const DIMENSIONS = 8;
export const SPARSE_DIMENSIONS = 32;
export const BITS = 16;
export const LIMIT = 7;

const range = (n) => [...Array(n).keys()];
const modulo = (a, b) => ((a % b) + b) % b;

export const ids = range(ROWS).map((i) => i + 1);

export function dense(i) {
  return range(DIMENSIONS).map(
    (j) => (modulo(31 * i + 17 * j + 7 * i * j, 97) - 48) / 32);
}

// Dense form; five elements of 32 are not zero.
export function sparse(i) {
  const list = Array(SPARSE_DIMENSIONS).fill(0);
  for (const k of range(5)) {
    list[(3 * i + 7 * k) % SPARSE_DIMENSIONS] = ((13 * i + 29 * k) % 61 + 1) / 32;
  }
  return list;
}

export function bits(i) {
  const number = (Math.imul(i + 1, 0x9E3779B1) >>> 16) | 1;
  return number.toString(2).padStart(BITS, '0');
}

export function row(i) {
  return { embedding: dense(i), half: dense(i + 7), sparse: sparse(i), bits: bits(i) };
}

const denseQuery = dense(5).map((v, j) => (v + dense(60)[j]) / 2);
const sparseQuery = Array(SPARSE_DIMENSIONS).fill(0);
for (const [i, v] of [[0, 0.5], [3, 1.25], [9, 0.75], [14, 0.25], [22, 1], [27, 0.5]]) {
  sparseQuery[i] = v;
}

export const QUERY = {
  embedding: denseQuery, half: denseQuery, sparse: sparseQuery, bits: '1100101011110001',
};

// One operator on one column, with the index that serves it.
const metrics = [['l2', '<->'], ['ip', '<#>'], ['cosine', '<=>'], ['l1', '<+>']];
export const CASES = [['embedding', 'vector'], ['half', 'halfvec'], ['sparse', 'sparsevec']]
  .flatMap(([column, type]) => metrics.map(([name, operator]) => ({ column, type, name, operator })))
  .concat([
    { column: 'bits', type: 'bit', name: 'hamming', operator: '<~>' },
    { column: 'bits', type: 'bit', name: 'jaccard', operator: '<%>' },
  ])
  .map((c) => ({ ...c, opclass: `${c.type}_${c.name}_ops`, label: `${c.type} ${c.operator}` }));

export const indexName = (table, c) => `${table}_${c.column}_${c.name}`;

const count = (bitString) => [...bitString].filter((b) => b === '1').length;
const sum = (list) => list.reduce((a, b) => a + b, 0);

export function distance(name, a, b) {
  if (name === 'hamming') {
    return [...a].filter((bit, i) => bit !== b[i]).length;
  }
  if (name === 'jaccard') {
    const both = [...a].filter((bit, i) => bit === '1' && b[i] === '1').length;
    return 1 - both / (count(a) + count(b) - both);
  }
  const product = sum(a.map((v, i) => v * b[i]));
  switch (name) {
    case 'l2': return Math.hypot(...a.map((v, i) => v - b[i]));
    case 'ip': return -product;
    case 'l1': return sum(a.map((v, i) => Math.abs(v - b[i])));
    default: return 1 - product / Math.hypot(...a) / Math.hypot(...b);
  }
}

const isClose = (a, b, tolerance = 1e-5) =>
  Math.abs(a - b) <= tolerance * Math.max(1, Math.abs(a), Math.abs(b));

// The answer, rows with id and distance, is a right list of neighbours;
// rows equally far may come in any order.
export function checkNearest(c, answer, limit = LIMIT) {
  const truth = new Map(ids.map((i) => [i, distance(c.name, row(i)[c.column], QUERY[c.column])]));
  const nearest = [...truth.values()].sort((a, b) => a - b);
  assert.equal(answer.length, limit);
  assert.equal(new Set(answer.map((r) => r.id)).size, limit, 'a row came twice');
  answer.forEach((r, n) => {
    assert.equal(typeof r.distance, 'number');
    assert.ok(isClose(r.distance, truth.get(r.id)),
      `row ${r.id}: said ${r.distance}, is ${truth.get(r.id)}`);
    assert.ok(isClose(r.distance, nearest[n]),
      `neighbour ${n}: said ${r.distance}, nearest is ${nearest[n]}`);
  });
}

// The lines of EXPLAIN, as rows of node-postgres, use the index of this case.
export function checkPlan(rows, c, table) {
  const pattern = process.env.VECDB_CLIENTS_PLAN ?? 'Index Scan using {index}';
  const plan = rows.map((r) => r['QUERY PLAN']).join('\n');
  const wanted = pattern.replace('{index}', indexName(table, c));
  assert.ok(plan.includes(wanted), `"${wanted}" is not in the plan:\n${plan}`);
}

export function sums(column) {
  return range(DIMENSIONS).map((j) => sum(ids.map((i) => row(i)[column][j])));
}

export function checkClose(actual, wanted) {
  assert.equal(actual.length, wanted.length);
  actual.forEach((v, i) => assert.ok(isClose(v, wanted[i], 1e-3), `${actual} is not ${wanted}`));
}

// What the caller of "run" wants done to each new table, or undefined.
export function afterCreate(table) {
  return process.env.VECDB_CLIENTS_AFTER_CREATE?.replaceAll('{table}', table);
}

export function checkVersion(version) {
  const [major, minor] = version.split('.').map(Number);
  assert.ok(major > 0 || minor >= 8, version);
}

export const url = process.env.VECDB_CLIENTS_URL;
