import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_STAGED_CHANGES } from '../../src/catalog/catalog.ts';
import { SecretValue } from '../../src/model/secret.ts';
import type { StagedChange } from '../../src/model/staged-change.ts';
import { openTestCatalog } from '../support/test-catalog.ts';
import { change, createEndpoint, createStream, ORDERS } from './changes.ts';

// The law: what a transaction staged is seen by itself alone until it commits, then by everybody at once, also when the
// process died between; what was rolled back never was; nobody changes a name that another transaction has changed.

const drop = (name: string): StagedChange => ({ kind: 'drop-streams', names: [name], ifExists: false });
const setSecret = (name: string): StagedChange => ({
  kind: 'create-secret',
  name,
  source: { kind: 'value', value: new SecretValue('v') },
  owner: 'alice',
  ifNotExists: false,
});

test('staged changes are seen by their transaction alone, and by everybody at once when they are applied', () => {
  const { catalog } = openTestCatalog();
  catalog.stage('10', createEndpoint('e'), 'alice');
  catalog.stage('10', createStream('s', { destination: { kind: 'endpoint', name: 'e' } as never }), 'alice');
  catalog.stage('10', setSecret('k'), 'alice');
  const seen = (xid: string | null) => [
    catalog.stream('s', xid)?.name,
    catalog.endpoint('e', xid)?.name,
    catalog.ownerOf('secret', 'k', xid),
  ];
  assert.deepEqual(seen('10'), ['s', 'e', 'alice']);
  assert.deepEqual(seen(null), [undefined, undefined, null]);
  assert.deepEqual(seen('11'), [undefined, undefined, null]);
  assert.deepEqual(catalog.history('stream', 's', 9), []);
  assert.deepEqual(catalog.applyStaged('10').unarmed, [catalog.stream('s')!.id]);
  assert.deepEqual(seen(null), ['s', 'e', 'alice']);
  assert.equal(catalog.history('stream', 's', 9).length, 1);
  assert.deepEqual(catalog.stagedTransactions(), []);
});

test('a transaction may create and drop, and create again; the names end as it left them', () => {
  const { catalog } = openTestCatalog();
  change(catalog, createStream('a'));
  change(catalog, createStream('b'));
  const [a, b] = [catalog.stream('a')!.id, catalog.stream('b')!.id];
  const rename = (name: string, newName: string) =>
    catalog.stage('10', { kind: 'alter-stream', name, alteration: { kind: 'rename', newName } }, 'alice');
  catalog.stage('10', createStream('s'), 'alice');
  catalog.stage('10', drop('s'), 'alice');
  catalog.stage('10', createStream('s', { tables: [{ ...ORDERS, oid: 9 }] }), 'alice');
  rename('a', 'spare');
  rename('b', 'a');
  rename('spare', 'b');
  catalog.applyStaged('10');
  assert.deepEqual(
    catalog.streams().map(({ name }) => name),
    ['a', 'b', 's'],
  );
  assert.deepEqual([catalog.stream('a')!.id, catalog.stream('b')!.id], [b, a]);
  assert.deepEqual(catalog.stream('s')!.unarmedTables, [9]);
});

test('a name that another transaction has staged is refused at once, until that one ends', () => {
  const { catalog } = openTestCatalog();
  change(catalog, createStream('s'));
  catalog.stage('10', createStream('new'), 'alice');
  catalog.stage('10', drop('s'), 'alice');
  for (const refused of [createStream('new'), drop('s'), createStream('s', {}, true)]) {
    assert.throws(() => catalog.stage('11', refused, 'bob'), {
      code: '55006',
      hint: /when that transaction has ended/,
    });
    assert.throws(() => change(catalog, refused, 'bob'), { code: '55006' });
  }
  catalog.forgetStaged('10');
  catalog.stage('11', createStream('new'), 'bob');
  assert.throws(() => change(catalog, createStream('new')), { code: '55006' });
  catalog.applyStaged('11');
  assert.throws(() => change(catalog, createStream('new')), { code: '42710' });
});

test('what a staged stream refers to cannot be dropped, and what is being dropped cannot be referred to', () => {
  const { catalog } = openTestCatalog();
  change(catalog, createEndpoint('e'));
  change(catalog, createEndpoint('f'));
  const to = (name: string) => createStream(`to_${name}`, { destination: { kind: 'endpoint', name } as never });
  const dropEndpoint = (name: string): StagedChange => ({ kind: 'drop-endpoints', names: [name], ifExists: false });
  catalog.stage('10', to('e'), 'alice');
  assert.throws(() => catalog.stage('11', dropEndpoint('e'), 'bob'), { code: '55006' });
  catalog.stage('11', dropEndpoint('f'), 'bob');
  assert.throws(() => catalog.stage('10', to('f'), 'alice'), { code: '55006' });
  // Two may use the same.
  catalog.stage('12', createStream('other', { destination: { kind: 'endpoint', name: 'e' } as never }), 'carol');
  catalog.applyStaged('10');
  assert.throws(() => change(catalog, dropEndpoint('e')), { code: '55006' });
  catalog.forgetStaged('12');
  assert.throws(() => change(catalog, dropEndpoint('e')), {
    code: '2BP01',
    detail: 'CDC stream to_e depends on CDC endpoint e',
  });
  catalog.stage('13', drop('to_e'), 'alice');
  catalog.stage('13', dropEndpoint('e'), 'alice');
  catalog.applyStaged('13');
  assert.equal(catalog.endpoint('e'), null);
});

test('generated names avoid what others have staged', () => {
  const { catalog } = openTestCatalog();
  catalog.stage('10', createStream(null), 'alice');
  const { notices } = catalog.stage('11', createStream(null), 'bob');
  assert.match(notices[0]!.message, /"orders_cdc_stream_1"/);
  catalog.applyStaged('11');
  catalog.applyStaged('10');
  assert.deepEqual(
    catalog.streams().map(({ name }) => name),
    ['orders_cdc_stream', 'orders_cdc_stream_1'],
  );
});

test('unstaging goes back to a mark, and lets go of the names that came after it', () => {
  const { catalog } = openTestCatalog();
  const { mark } = catalog.stage('10', createStream('kept'), 'alice');
  catalog.stage('10', createStream('undone'), 'alice');
  catalog.unstage('10', mark);
  assert.equal(catalog.stream('undone', '10'), null);
  change(catalog, createStream('undone'), 'bob');
  assert.throws(() => catalog.stage('10', createStream('undone'), 'alice'), { code: '42710' });
  assert.equal(catalog.stage('10', createStream('again'), 'alice').mark, mark + 1);
  catalog.unstage('10', 0);
  assert.equal(catalog.hasStaged('10'), false);
  change(catalog, createStream('kept'), 'bob');
});

test('a statement that failed holds no name', () => {
  const { catalog } = openTestCatalog();
  const names = ['nobody', 'neither'];
  assert.throws(() => catalog.stage('10', { kind: 'drop-streams', names, ifExists: false }, 'alice'), {
    code: '42704',
  });
  for (const name of names) change(catalog, createStream(name), 'bob');
});

test('a statement that changes nothing stages nothing', () => {
  const { catalog } = openTestCatalog();
  const { notices, mark } = catalog.stage('10', { kind: 'drop-streams', names: ['x'], ifExists: true }, 'alice');
  assert.deepEqual([notices.length, mark, catalog.hasStaged('10')], [1, 0, false]);
});

test('what was staged, and its names, outlive the process', () => {
  const { catalog, path } = openTestCatalog();
  catalog.stage('10', createStream('s'), 'alice');
  catalog.stage('9', createEndpoint('e'), 'bob');
  catalog.stage('10', createStream('t'), 'alice');
  catalog.close();
  const { catalog: again } = openTestCatalog({}, path);
  assert.deepEqual([...again.stagedTransactions()].sort(), ['10', '9']);
  assert.throws(() => change(again, createStream('s')), { code: '55006' });
  again.forgetStaged('9');
  again.applyStaged('10');
  assert.deepEqual(
    again.streams().map(({ name }) => name),
    ['s', 't'],
  );
  change(again, createEndpoint('e'));
});

test('a transaction that stages without end is refused', () => {
  const { catalog } = openTestCatalog();
  change(catalog, createStream('s'));
  for (let n = 0; n < MAX_STAGED_CHANGES; n++) {
    catalog.stage('10', { kind: 'comment-stream', name: 's', comment: null }, 'alice');
  }
  assert.throws(() => catalog.stage('10', drop('s'), 'alice'), { code: '54000' });
});
