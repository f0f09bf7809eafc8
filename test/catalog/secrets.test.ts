import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync, chmodSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { inspect } from 'node:util';
import Database from 'better-sqlite3';
import { silentLogger, type Logger } from '../../src/base/logger.ts';
import { systemRandom } from '../../src/base/random.ts';
import type { Catalog } from '../../src/catalog/catalog.ts';
import { SecretCipher } from '../../src/catalog/secret-cipher.ts';
import { loadSecretKey, SecretKeyError } from '../../src/catalog/secret-key.ts';
import { MAX_SECRET_VERSIONS } from '../../src/catalog/plan-secret.ts';
import { secretSources } from '../../src/catalog/secrets.ts';
import { NO_CHANGES } from '../../src/model/option-changes.ts';
import { MAX_SECRET_BYTES, SecretValue, type SecretSource } from '../../src/model/secret.ts';
import { openTestCatalog, TEST_KEY } from '../support/test-catalog.ts';
import { temporaryFolder } from '../support/test-database.ts';
import { VirtualClock } from '../support/virtual-clock.ts';
import { change, createEndpoint, createStream } from './changes.ts';

const value = (text: string): SecretSource => ({ kind: 'value', value: new SecretValue(text) });

function createSecret(catalog: Catalog, name: string, source: SecretSource, ifNotExists = false) {
  return change(catalog, { kind: 'create-secret', name, source, owner: 'alice', ifNotExists });
}

function alterSecret(catalog: Catalog, name: string, source: SecretSource, keepOldForMs = 0) {
  return change(catalog, { kind: 'alter-secret', name, source, keepOldForMs });
}

function current(catalog: Catalog, name: string, nowMs = Date.now()): string[] {
  return catalog.currentSecret(name, nowMs).values.map((one) => one.reveal().toString());
}

test('a secret value shows itself to nobody', () => {
  const secret = new SecretValue('planted');
  const shown = [String(secret), JSON.stringify({ secret }), inspect({ secret }), inspect([secret]), secret + ''];
  for (const text of shown) assert.ok(text.includes('***') && !text.includes('planted'), text);
  assert.ok(!Object.values(secret).includes('planted'));
  assert.equal(secret.reveal().toString(), 'planted');
});

test('a sealed value opens under its key and at its place, and after no change of any byte', () => {
  const cipher = new SecretCipher(TEST_KEY, systemRandom);
  const sealed = cipher.seal(new SecretValue('planted'), 'here');
  assert.notEqual(sealed, cipher.seal(new SecretValue('planted'), 'here'));
  assert.equal(cipher.open(sealed, 'here').reveal().toString(), 'planted');
  assert.throws(() => cipher.open(sealed, 'there'), { name: 'SecretUnreadableError' });
  assert.throws(() => new SecretCipher(Buffer.alloc(32, 8), systemRandom).open(sealed, 'here'), {
    name: 'SecretUnreadableError',
  });
  const bytes = Buffer.from(sealed, 'base64');
  for (let at = 0; at < bytes.length; at++) {
    const changed = Buffer.from(bytes);
    changed[at]! ^= 1;
    assert.throws(
      () => cipher.open(changed.toString('base64'), 'here'),
      { name: 'SecretUnreadableError' },
      `byte ${at}`,
    );
  }
  for (let length = 0; length < bytes.length; length++) {
    const cut = bytes.subarray(0, length).toString('base64');
    assert.throws(() => cipher.open(cut, 'here'), { name: 'SecretUnreadableError' }, `${length} bytes`);
  }
});

test('rotation keeps the old value beside the new one until its time is over, and not a moment longer', async () => {
  const clock = new VirtualClock();
  const { catalog, path } = openTestCatalog({ clock });
  createSecret(catalog, 's', value('one'));
  alterSecret(catalog, 's', value('two'), 60_000);
  await clock.advance(30_000);
  // The first value keeps its own, earlier end.
  alterSecret(catalog, 's', value('three'), 3_600_000);
  assert.deepEqual(current(catalog, 's', clock.now()), ['three', 'two', 'one']);
  assert.equal(catalog.secrets()[0]!.versions, 3);
  await clock.advance(29_999);
  assert.deepEqual(current(catalog, 's', clock.now()), ['three', 'two', 'one']);
  await clock.advance(1);
  assert.deepEqual(current(catalog, 's', clock.now()), ['three', 'two']);
  catalog.close();
  const { catalog: again } = openTestCatalog({ clock }, path);
  assert.deepEqual(current(again, 's', clock.now()), ['three', 'two']);
  alterSecret(again, 's', value('four'));
  assert.deepEqual(current(again, 's', clock.now()), ['four']);
  for (let n = 0; n < MAX_SECRET_VERSIONS - 1; n++) alterSecret(again, 's', value(`${n}`), 1e9);
  assert.throws(() => alterSecret(again, 's', value('more'), 1e9), { code: '54000' });
});

test('values from the environment and from files are those of the moment, and what is missing is said', () => {
  const folder = temporaryFolder();
  const environment: Record<string, string> = { HOOK: 'from-env' };
  const data = join(folder, 'data');
  mkdirSync(data);
  const { catalog } = openTestCatalog({ secretSources: secretSources(environment, data) });
  const path = join(folder, 'hook');
  createSecret(catalog, 'e', { kind: 'env', variable: 'HOOK' });
  createSecret(catalog, 'f', { kind: 'file', path });
  createSecret(catalog, 'own', { kind: 'file', path: join(data, 'secret.key') });
  writeFileSync(join(data, 'secret.key'), 'planted');
  assert.deepEqual(current(catalog, 'e'), ['from-env']);
  assert.match(catalog.currentSecret('f', 0).problem!, /^file .*\/hook: it does not exist$/);
  assert.match(catalog.currentSecret('own', 0).problem!, /it is of the data directory/);
  writeFileSync(path, 'from-file\n');
  environment['HOOK'] = 'changed';
  assert.deepEqual([current(catalog, 'e'), current(catalog, 'f')], [['changed'], ['from-file']]);
  delete environment['HOOK'];
  assert.deepEqual(
    catalog.secrets().map(({ name, source, location, problem }) => [name, source, location, problem]),
    [
      ['e', 'env', 'HOOK', 'environment variable HOOK: it is not set'],
      ['f', 'file', path, null],
      ['own', 'file', join(data, 'secret.key'), `file ${join(data, 'secret.key')}: it is of the data directory`],
    ],
  );
  writeFileSync(path, 'x'.repeat(MAX_SECRET_BYTES + 3));
  assert.match(catalog.currentSecret('f', 0).problem!, /more than 65536 bytes/);
  assert.deepEqual(catalog.currentSecret('nobody', 0), {
    values: [],
    problem: 'it does not exist',
    hasNewest: false,
  });
});

const INVALID: readonly [string, SecretSource][] = [
  ['an empty value', value('')],
  ['a value that is too long', value('x'.repeat(MAX_SECRET_BYTES + 1))],
  ['a setting of walhook', { kind: 'env', variable: 'WALHOOK_UPSTREAM' }],
  ['no name of a variable', { kind: 'env', variable: 'a=b' }],
  ['a relative path', { kind: 'file', path: 'secret.key' }],
];

for (const [what, source] of INVALID) {
  test(`${what} is refused with 22023`, () => {
    const { catalog } = openTestCatalog();
    assert.throws(() => createSecret(catalog, 's', source), { code: '22023' });
    assert.deepEqual(catalog.secrets(), []);
  });
}

test('a secret in use cannot be dropped; the error says by what', () => {
  const { catalog } = openTestCatalog();
  createSecret(catalog, 's', value('v'));
  const headers = { kind: 'secret', name: 'a header' };
  const reference = { kind: 'secret', name: 's' } as const;
  change(catalog, createEndpoint('e', { options: { bearerToken: reference, headers } }));
  const options = { ...createStream('t').request.options, headers, signing: reference };
  change(catalog, createStream('t', { options }));
  const drop = { kind: 'drop-secrets', names: ['s'], ifExists: false } as const;
  assert.throws(() => change(catalog, drop), {
    code: '2BP01',
    detail: 'CDC endpoint e depends on CDC secret s\nCDC stream t depends on CDC secret s',
  });
  assert.deepEqual(catalog.secrets()[0]!.usedBy, ['endpoint e', 'stream t']);
  change(catalog, { kind: 'drop-streams', names: ['t'], ifExists: false });
  change(catalog, { kind: 'drop-endpoints', names: ['e'], ifExists: false });
  change(catalog, drop);
  assert.throws(() => change(catalog, createEndpoint('e', { options: { bearerToken: reference } })), {
    code: '42704',
  });
});

test('IF NOT EXISTS keeps the secret that is there', () => {
  const { catalog } = openTestCatalog();
  createSecret(catalog, 's', value('first'));
  const [notice] = createSecret(catalog, 's', value('second'), true);
  assert.match(notice!.message, /already exists, skipping/);
  assert.throws(() => createSecret(catalog, 's', value('second')), { code: '42710' });
  assert.deepEqual(current(catalog, 's'), ['first']);
});

test('a literal is stored encrypted under a name of its own, not listed, and goes with what it belongs to', () => {
  const { catalog } = openTestCatalog();
  const optionsWith = (text: string) => ({ ...createStream('s').request.options, token: new SecretValue(text) });
  change(catalog, createStream('s', { options: optionsWith('one') }));
  const token = (): string =>
    (catalog.stream('s')!.definition.options as unknown as { token: { name: string } }).token.name;
  const first = token();
  assert.deepEqual(current(catalog, first), ['one']);
  assert.deepEqual(catalog.secrets(), []);
  change(catalog, {
    kind: 'alter-stream',
    name: 's',
    alteration: {
      kind: 'set',
      settings: {},
      changes: { ...NO_CHANGES, set: { token: new SecretValue('two') } as object },
    },
  });
  assert.deepEqual([current(catalog, first), current(catalog, token())], [[], ['two']]);
  const second = token();
  change(catalog, { kind: 'drop-streams', names: ['s'], ifExists: false });
  assert.deepEqual(current(catalog, second), []);
});

test('no file of the catalog holds a planted secret, in any state a value can be in', () => {
  const { catalog, path } = openTestCatalog();
  const planted = Array.from({ length: 8 }, (_, n) => `planted-secret-${n}-${'x'.repeat(40)}`);
  createSecret(catalog, 'a', value(planted[0]!));
  alterSecret(catalog, 'a', value(planted[1]!), 1e9);
  const options = { ...createStream('s').request.options, token: new SecretValue(planted[2]!) };
  change(catalog, createStream('s', { options }));
  change(catalog, createEndpoint('e', { options: { basicAuth: new SecretValue(planted[3]!) } }));
  const staged = { owner: 'alice', ifNotExists: false };
  catalog.stage('10', { kind: 'create-secret', name: 'b', source: value(planted[4]!), ...staged }, 'alice');
  catalog.stage('10', { kind: 'alter-secret', name: 'b', source: value(planted[5]!), keepOldForMs: 5 }, 'alice');
  catalog.stage('11', createEndpoint('f', { options: { tlsCa: new SecretValue(planted[6]!) } }), 'alice');
  createSecret(catalog, 'c', value(planted[7]!));
  change(catalog, { kind: 'drop-secrets', names: ['c'], ifExists: false });
  catalog.applyStaged('10');
  const files = readdirSync(dirname(path)).filter((name) => name.startsWith('catalog.db'));
  assert.ok(files.includes('catalog.db-wal'));
  const search = (): void => {
    for (const name of readdirSync(dirname(path))) {
      const bytes = readFileSync(join(dirname(path), name));
      for (const secret of planted) {
        for (const form of [
          secret,
          Buffer.from(secret).toString('base64').slice(0, 40),
          Buffer.from(secret).toString('hex'),
        ]) {
          assert.ok(!bytes.includes(form), `${name} has ${secret}`);
        }
      }
    }
  };
  search();
  catalog.close();
  search();
});

test('another key is refused at the start, before anything is changed, with what to do', () => {
  const { catalog, path } = openTestCatalog();
  createSecret(catalog, 's', value('v'));
  catalog.close();
  assert.throws(() => openTestCatalog({ secretKey: () => Buffer.alloc(32, 9) }, path), {
    name: 'SecretKeyError',
    message: /encrypted with another key.*WALHOOK_SECRET_KEY.*rotate-secret-key/,
  });
  const { catalog: again } = openTestCatalog({}, path);
  assert.deepEqual(current(again, 's'), ['v']);
});

test('a ciphertext that was moved to another secret is a problem of that secret, not a value', () => {
  const { catalog, path } = openTestCatalog();
  createSecret(catalog, 'a', value('of-a'));
  createSecret(catalog, 'b', value('of-b'));
  catalog.close();
  const db = new Database(path);
  const read = (name: string) =>
    JSON.parse(db.prepare('SELECT record FROM secret WHERE name = ?').pluck().get(name) as string);
  const [a, b] = [read('a'), read('b')];
  const moved = { ...b, versions: a.versions };
  db.prepare('UPDATE secret SET record = ? WHERE name = ?').run(JSON.stringify(moved), 'b');
  db.close();
  const { catalog: again } = openTestCatalog({}, path);
  assert.deepEqual(current(again, 'a'), ['of-a']);
  const { values, problem } = again.currentSecret('b', 0);
  assert.deepEqual([values.length, problem], [0, 'stored value: a stored secret does not open with this key']);
});

test('a new key opens everything, the old one nothing, and nothing encrypted under the old one is left', () => {
  const { catalog, path } = openTestCatalog();
  createSecret(catalog, 's', value('v'));
  alterSecret(catalog, 's', value('w'), 1e9);
  const sealed = JSON.parse(
    new Database(path, { readonly: true }).prepare('SELECT record FROM secret').pluck().get() as string,
  ).versions.map(({ data }: { data: string }) => data) as string[];
  const newKey = Buffer.alloc(32, 9);
  catalog.rotateKey(newKey);
  catalog.close();
  for (const name of readdirSync(dirname(path))) {
    const bytes = readFileSync(join(dirname(path), name));
    for (const data of sealed) assert.ok(!bytes.includes(data), name);
  }
  assert.throws(() => openTestCatalog({}, path), SecretKeyError);
  const { catalog: again } = openTestCatalog({ secretKey: () => newKey }, path);
  assert.deepEqual(current(again, 's'), ['w', 'v']);
  again.stage('10', createEndpoint('e'), 'alice');
  assert.throws(() => again.rotateKey(TEST_KEY), /not settled yet/);
});

test('a key is made once, for its owner alone, with a warning; a given one is taken instead', () => {
  const folder = temporaryFolder();
  const file = join(folder, 'secret.key');
  const warnings: string[] = [];
  const logger: Logger = { ...silentLogger, warn: (_, message) => warnings.push(message) };
  const load = (key: Buffer | null, from = '', mayMake = true) =>
    loadSecretKey({ key, file: from }, file, mayMake, systemRandom, logger);
  assert.throws(() => load(null, '', false), { name: 'SecretKeyError', message: /secret\.key cannot be used/ });
  const made = load(null);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.deepEqual(load(null), made);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0]!, /one was made in the data directory/);
  assert.deepEqual(load(TEST_KEY), TEST_KEY);
  const given = join(folder, 'given');
  writeFileSync(given, TEST_KEY.toString('base64'), { mode: 0o600 });
  assert.deepEqual(load(null, given), TEST_KEY);
  assert.throws(() => load(TEST_KEY, given), /not both/);
  chmodSync(given, 0o644);
  assert.throws(() => load(null, given), { name: 'SecretKeyError', message: /chmod 600/ });
  chmodSync(given, 0o600);
  writeFileSync(given, 'planted');
  assert.throws(
    () => load(null, given),
    (error: Error) => /no base64 of 32 bytes/.test(error.message) && !error.message.includes('planted'),
  );
});
