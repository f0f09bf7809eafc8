import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import { systemClock } from '../../src/base/clock.ts';
import { Catalog } from '../../src/catalog/catalog.ts';
import { DataDirectory, DataDirectoryInUseError } from '../../src/catalog/data-directory.ts';
import { exampleStream } from '../support/example-stream.ts';
import { temporaryFolder } from '../support/test-database.ts';

function openCatalog(): { catalog: Catalog; path: string } {
  const path = join(temporaryFolder(), 'catalog.db');
  return { catalog: Catalog.open(path, systemClock), path };
}

test('a definition comes back as it was stored, after the file was closed and opened', () => {
  const { catalog, path } = openCatalog();
  const definition = exampleStream({ startLsn: 0xffff_ffff_0000_0001n });
  catalog.insert(definition, 'alice');
  catalog.close();
  const again = Catalog.open(path, systemClock);
  assert.deepEqual(again.stream(definition.name), definition);
  assert.deepEqual(again.streams(), [definition]);
  again.close();
});

test('a name is taken once', () => {
  const { catalog } = openCatalog();
  catalog.insert(exampleStream({ id: 'a' }), 'alice');
  assert.throws(() => catalog.insert(exampleStream({ id: 'b' }), 'alice'), /UNIQUE/);
  assert.equal(catalog.streams().length, 1);
});

test('streams are listed by name, changed by id, and gone when removed', () => {
  const { catalog } = openCatalog();
  const b = exampleStream({ id: '1', name: 'b' });
  const a = exampleStream({ id: '2', name: 'a' });
  catalog.insert(b, 'alice');
  catalog.insert(a, 'alice');
  catalog.update({ ...b, desiredState: 'paused', pausedAtMs: 5 }, 'bob', 'pause');
  assert.deepEqual(
    catalog.streams().map((stream) => [stream.name, stream.desiredState]),
    [
      ['a', 'running'],
      ['b', 'paused'],
    ],
  );
  catalog.remove([a, b], 'bob');
  assert.deepEqual(catalog.streams(), []);
  assert.equal(catalog.stream('a'), null);
});

test('every change of a definition is in the history with who made it', () => {
  const { catalog, path } = openCatalog();
  const stream = exampleStream({});
  catalog.insert(stream, 'alice');
  catalog.update(stream, 'bob', 'pause');
  catalog.remove([stream], 'carol');
  catalog.close();
  const db = new Database(path, { readonly: true });
  const rows = db.prepare('SELECT stream_name, actor, action FROM history ORDER BY id').raw().all();
  db.close();
  assert.deepEqual(rows, [
    [stream.name, 'alice', 'create'],
    [stream.name, 'bob', 'pause'],
    [stream.name, 'carol', 'drop'],
  ]);
});

test('the instance keeps its id', () => {
  const { catalog, path } = openCatalog();
  const id = catalog.instanceId();
  assert.equal(catalog.instanceId(), id);
  catalog.close();
  const again = Catalog.open(path, systemClock);
  assert.equal(again.instanceId(), id);
  assert.equal(again.isArmed, false);
  again.isArmed = true;
  assert.equal(again.isArmed, true);
  again.close();
});

test('a catalog of a newer version is refused', () => {
  const { catalog, path } = openCatalog();
  catalog.close();
  const db = new Database(path);
  db.pragma('user_version = 1000');
  db.close();
  assert.throws(() => Catalog.open(path, systemClock), /use a newer walhook/);
});

test('a second process is refused the data directory until the first has ended, even by kill -9', async () => {
  const folder = temporaryFolder();
  const module = new URL('../../src/catalog/data-directory.ts', import.meta.url).href;
  const holder = spawn(process.execPath, [
    '--input-type=module',
    '-e',
    `const { DataDirectory } = await import('${module}'); DataDirectory.open('${folder}'); console.log('held'); setInterval(() => {}, 1000)`,
  ]);
  await once(holder.stdout, 'data');
  assert.throws(
    () => DataDirectory.open(folder),
    (error: unknown) =>
      error instanceof DataDirectoryInUseError &&
      error.message.includes(folder) &&
      error.message.includes(`${holder.pid}`),
  );
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  DataDirectory.open(folder).close();
});
