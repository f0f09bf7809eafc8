import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { Walhook, type WalhookOptions } from '../../src/cli/embedded.ts';
import { startReceiver } from '../support/json-receiver.ts';
import { documentExample } from '../support/documentation.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';

const server = await startPostgres();
const receiver = await startReceiver();
const direct = await connect(server.url());
await direct.query('CREATE TABLE users (id int PRIMARY KEY, name text)');

const optionsIn = (dataDir: string): WalhookOptions => ({
  upstream: server.url(),
  dataDir,
  listen: ':0',
  http: ':0',
  egressAllow: ['127.0.0.0/8', '::1/128'],
  validate: false,
  logLevel: 'error',
});

test('it starts, runs statements, tells what becomes of streams, and goes on after a stop', async () => {
  const dataDir = join(temporaryFolder(), 'data');
  const walhook = await Walhook.start(optionsIn(dataDir));
  const seen: string[] = [];
  const told = (async () => {
    for await (const { stream, before, status } of walhook.events()) seen.push(`${stream}: ${before} -> ${status}`);
  })();
  const made = await walhook.execute(`CREATE CDC STREAM s ON users TO WEBHOOK '${receiver.url}/s'`);
  assert.equal(made.command, 'CREATE');
  await walhook.execute('INSERT INTO users VALUES ($1, $2)', [1, 'Ada']);
  await waitFor('the webhook', () => receiver.to('/s').length === 1);
  const { rows } = await walhook.execute('SHOW CDC STREAMS');
  assert.deepEqual(
    rows.map((row) => row['stream_name']),
    ['s'],
  );
  await waitFor('it to be seen running', () => seen.some((line) => line.endsWith('-> running')));
  await assert.rejects(walhook.execute('SHOW CREATE CDC STREAM nope'), { code: '42704' });
  const client = await connect(`postgres://postgres:walhook@127.0.0.1:${walhook.sqlPort}/postgres`);
  assert.equal((await client.query('SELECT 1 AS one')).rows[0].one, 1);
  assert.equal((await fetch(`http://127.0.0.1:${walhook.httpPort}/healthz`)).status, 200);
  await client.end();
  await walhook.stop();
  await told;
  assert.equal(existsSync(join(dataDir, 'embedded')), false);

  await direct.query(`INSERT INTO users VALUES (2, 'Bo')`);
  {
    await using again = await Walhook.start(optionsIn(dataDir));
    await waitFor('what came meanwhile', () => receiver.to('/s').length === 2);
    await again.execute('ALTER CDC STREAM s PAUSE');
    const { value } = await again.events().next();
    assert.deepEqual(value && [value.stream, value.database, value.before, value.status], [
      's',
      'postgres',
      null,
      'paused',
    ]);
    await again.execute('DROP CDC STREAM s');
  }
});

test('what is wrong is told at once, and nothing is left behind', async () => {
  const dataDir = join(temporaryFolder(), 'data');
  const wrong = { ...optionsIn(dataDir), listen: 'nowhere', maxClients: 'many' };
  await assert.rejects(Walhook.start(wrong), (error: Error & { problems?: readonly string[] }) => {
    assert.deepEqual(
      error.problems?.map((problem) => problem.split(':')[0]),
      ['WALHOOK_LISTEN', 'WALHOOK_MAX_CLIENTS'],
    );
    return true;
  });
  const unknown = { ...optionsIn(dataDir), colour: 'red' } as WalhookOptions;
  await assert.rejects(Walhook.start(unknown), { problems: ['colour is no option'] });
  assert.equal(existsSync(dataDir), false);
  const walhook = await Walhook.start(optionsIn(dataDir));
  await assert.rejects(Walhook.start(optionsIn(dataDir)), { name: 'DataDirectoryInUseError' });
  const taken = { ...optionsIn(join(temporaryFolder(), 'data')), listen: `:${walhook.sqlPort}` };
  await assert.rejects(Walhook.start(taken), { code: 'EADDRINUSE' });
  await walhook.stop();
  await (await Walhook.start(optionsIn(dataDir))).stop();
});

test('the program of the documentation', async () => {
  const folder = temporaryFolder();
  const file = join(folder, 'embedded.mjs');
  const entry = pathToFileURL(join(import.meta.dirname, '..', '..', 'src', 'cli', 'embedded.ts')).href;
  // With a receiver and ports on this machine.
  const here = `dataDir: process.env.DATA_DIR, listen: ':0', http: ':0', egressAllow: '127.0.0.0/8', validate: false`;
  const program = documentExample('embedded.mjs')
    .replace(`'walhook'`, `'${entry}'`)
    .replace('dataDir: process.env.DATA_DIR', here);
  writeFileSync(file, program);
  const child = spawn(process.execPath, [file], {
    env: {
      PATH: process.env.PATH,
      DATABASE_URL: server.url(),
      DATA_DIR: join(folder, 'data'),
      WEBHOOK_URL: 'http://127.0.0.1:9/',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  after(() => child.kill('SIGKILL'));
  let said = '';
  child.stdout.on('data', (text: Buffer) => (said += text.toString()));
  await waitFor('its stream to be told of', () => /^user_changes is \w+/m.test(said));
});
