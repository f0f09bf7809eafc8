import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import pg from 'pg';
import { startReceiver } from '../support/json-receiver.ts';
import { streamStatus } from '../support/stream-status.ts';
import { startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { WalhookProcess } from '../support/walhook-process.ts';

// The law: SIGHUP brings into force what the file says now, as far as it can without a restart, and names the rest; a file with
// mistakes changes nothing.

const server = await startPostgres();
const folder = temporaryFolder();
const file = join(folder, 'walhook.env');
writeConfig({});
const walhook = await new WalhookProcess({
  upstreamUrl: server.url(),
  dataDir: join(folder, 'data'),
  environment: { WALHOOK_CONFIG: file, WALHOOK_EGRESS_ALLOW: '', WALHOOK_VALIDATE: '' },
}).start();
const receiver = await startReceiver();
const client = await open();

function writeConfig(options: Readonly<Record<string, string | number>>): void {
  const all = { VALIDATE: 'off', ...options };
  writeFileSync(
    file,
    Object.entries(all)
      .map(([name, value]) => `WALHOOK_${name}=${value}\n`)
      .join(''),
  );
}

async function open(): Promise<pg.Client> {
  const opened = new pg.Client({ connectionString: walhook.sqlUrl() });
  opened.on('error', () => undefined);
  await opened.connect();
  after(() => opened.end().catch(() => undefined));
  return opened;
}

interface Line {
  readonly msg: string;
  readonly part?: string;
  readonly changed?: readonly string[];
  readonly options?: readonly string[];
  readonly problems?: readonly string[];
}

const lines = (from: number): Line[] => walhook.logLines.slice(from).map((line) => JSON.parse(line) as Line);

/** Writes the file and has it read; resolves to the log's lines since, once one begins like that. */
async function reload(
  options: Readonly<Record<string, string | number>>,
  word = 'configuration reloaded',
): Promise<readonly Line[]> {
  const before = walhook.logLines.length;
  writeConfig(options);
  process.kill(walhook.pid, 'SIGHUP');
  await waitFor(word, () => lines(before).some(({ msg }) => msg === word));
  return lines(before);
}

const changedBy = async (options: Readonly<Record<string, string | number>>): Promise<readonly string[] | undefined> =>
  (await reload(options)).find(({ msg }) => msg === 'configuration reloaded')?.changed;

const property = async (stream: string, name: string): Promise<string | null> =>
  (await streamStatus(client, stream)).get(name) ?? null;

interface SettingRow {
  readonly name: string;
  readonly value: string;
  readonly source: string;
  readonly reloadable: boolean;
  readonly pending_restart: boolean;
}

async function setting(name: string): Promise<SettingRow> {
  const { rows } = await client.query<SettingRow>('SHOW CDC SETTINGS');
  return rows.find((row) => row.name === name)!;
}

await client.query('CREATE TABLE t (id int PRIMARY KEY)');
await client.query(
  `CREATE CDC STREAM s ON t TO WEBHOOK '${receiver.url}/s' WITH (initial_backoff = '50ms', max_backoff = '100ms')`,
);
const ids = (): unknown[] => receiver.to('/s').map(({ body }) => (body.key as { id: number } | undefined)?.id);

test('SHOW CDC SETTINGS says what is read again', async () => {
  const { rows } = await client.query<SettingRow>('SHOW CDC SETTINGS');
  assert.deepEqual(
    rows.filter(({ reloadable }) => reloadable).map(({ name }) => name),
    [
      'max-clients',
      'connection-rate',
      'connection-burst',
      'authentication-timeout',
      'client-idle-timeout',
      'tcp-keepalive',
      'console-token',
      'require-endpoint',
      'validate',
      'egress-allow',
      'log-max-bytes',
      'backfill-max-rows-per-second',
      'log-level',
    ],
  );
  assert.ok(rows.every(({ pending_restart: waits }) => !waits));
});

test('where endpoints may be: what was blocked goes out, and what went out is blocked, connected or not', async () => {
  await client.query('INSERT INTO t VALUES (1)');
  await waitFor('the refusal', async () => /EGRESS_ALLOW/.test((await property('s', 'last_error')) ?? ''));
  assert.deepEqual(await changedBy({ EGRESS_ALLOW: '127.0.0.0/8' }), ['egress-allow']);
  await waitFor('the event', () => ids().includes(1));
  assert.deepEqual(await setting('egress-allow').then(({ value, source }) => [value, source]), ['127.0.0.0/8', 'file']);
  assert.equal((await client.query<{ ok: boolean }>(`TEST CDC STREAM s`)).rows[0]?.ok, true);
  const before = receiver.requests.length;
  assert.deepEqual(await changedBy({ EGRESS_ALLOW: '' }), ['egress-allow']);
  await client.query('INSERT INTO t VALUES (2)');
  await waitFor('the refusal', async () => (await property('s', 'pending_events')) === '1');
  await waitFor('the refusal', async () => /EGRESS_ALLOW/.test((await property('s', 'last_error')) ?? ''));
  assert.equal((await client.query<{ ok: boolean }>(`TEST CDC STREAM s`)).rows[0]?.ok, false);
  assert.equal(receiver.requests.length, before);
  await reload({ EGRESS_ALLOW: '127.0.0.0/8' });
  await waitFor('the event', () => ids().includes(2));
});

test('limits of clients: who comes too many is out, and whoever idles too long', async () => {
  const allow = { EGRESS_ALLOW: '127.0.0.0/8' };
  assert.deepEqual(await changedBy({ ...allow, MAX_CLIENTS: 1 }), ['max-clients']);
  await assert.rejects(open(), { code: '53300' });
  assert.deepEqual(await changedBy({ ...allow, CONNECTION_RATE: 1, CONNECTION_BURST: 1 }), [
    'max-clients',
    'connection-rate',
    'connection-burst',
  ]);
  const idle = await open();
  await assert.rejects(open(), { code: '53300' });
  const ended = new Promise<unknown>((resolve) => idle.once('error', resolve));
  await reload({ ...allow, CLIENT_IDLE_TIMEOUT: '200ms' });
  const [, error] = await Promise.all([waitFor('the other', () => client.query('SELECT 1').then(() => true)), ended]);
  assert.equal((error as { code?: string }).code, '57P05');
});

test('rules of statements, and how much threads log', async () => {
  await reload({ EGRESS_ALLOW: '127.0.0.0/8' });
  const own = await open();
  // Which is not logged any more.
  writeConfig({ EGRESS_ALLOW: '127.0.0.0/8', REQUIRE_ENDPOINT: 'on', LOG_LEVEL: 'error' });
  process.kill(walhook.pid, 'SIGHUP');
  const create = `CREATE CDC STREAM other ON t TO WEBHOOK '${receiver.url}/other'`;
  await waitFor('the rule', async () => {
    const { rows } = await own.query<SettingRow>('SHOW CDC SETTINGS');
    return rows.find(({ name }) => name === 'require-endpoint')?.value === 'on';
  });
  await assert.rejects(own.query(create), { code: '42501' });
  const before = walhook.logLines.length;
  await own.query('BACKFILL CDC STREAM s');
  await own.query('ALTER CDC STREAM s PAUSE; ALTER CDC STREAM s RESUME');
  const synced = async (): Promise<boolean> => (await streamStatus(own, 's')).get('synced') === 't';
  await waitFor('the rows', synced);
  assert.deepEqual(lines(before), []);
  await reload({ EGRESS_ALLOW: '127.0.0.0/8', LOG_LEVEL: 'info' });
  await own.query('BACKFILL CDC STREAM s');
  await own.query('ALTER CDC STREAM s PAUSE; ALTER CDC STREAM s RESUME');
  const said = (msg: string, part: string): boolean =>
    lines(before).some((line) => line.msg === msg && line.part === part);
  await waitFor('lines of both threads', () => said('backfill done', 'capture') && said('stream altered', 'engine'));
});

test('how fast backfills read, and how large the log may be', async () => {
  const own = await open();
  const allow = { EGRESS_ALLOW: '127.0.0.0/8' };
  await own.query('INSERT INTO t SELECT generate_series(10, 5000)');
  await reload({ ...allow, BACKFILL_MAX_ROWS_PER_SECOND: 1 });
  await own.query('BACKFILL CDC STREAM s');
  await waitFor('the first page', async () => Number((await streamStatus(own, 's')).get('backfill_rows_done')) > 0);
  assert.equal((await streamStatus(own, 's')).get('synced'), 'f');
  await reload(allow);
  await waitFor('all rows', async () => (await streamStatus(own, 's')).get('synced') === 't');
  await own.query('ALTER CDC STREAM s PAUSE');
  await own.query('INSERT INTO t VALUES (5001)');
  await waitFor('it', async () => Number((await streamStatus(own, 's')).get('pending_events')) > 0);
  await own.query('CREATE TABLE u (id int PRIMARY KEY)');
  await own.query(`CREATE CDC STREAM other ON u TO WEBHOOK '${receiver.url}/other'`);
  await reload({ ...allow, LOG_MAX_BYTES: 1 });
  await waitFor('the truth', async () =>
    /its budget is 1:/.test((await streamStatus(own, 'other')).get('status_reason') ?? ''),
  );
  await reload(allow);
  await own.query('INSERT INTO u VALUES (1)');
  await waitFor('the event', () => receiver.to('/other').length === 1);
  await own.query('DROP CDC STREAM other');
  await own.query('ALTER CDC STREAM s RESUME');
});

test('what needs a restart is named, in the log and by SQL, until it is as before', async () => {
  const allow = { EGRESS_ALLOW: '127.0.0.0/8' };
  const own = await open();
  const waiting = async (): Promise<string[]> =>
    (await own.query<SettingRow>('SHOW CDC SETTINGS')).rows
      .filter(({ pending_restart: waits }) => waits)
      .map(({ name, value, reloadable }) => `${name}=${value} ${reloadable}`);
  const said = await reload(
    { ...allow, CONSOLE: 'off', SECRET_KEY_FILE: '/elsewhere' },
    'options have changed that need a restart',
  );
  assert.deepEqual(said.at(-1)?.options, ['console', 'secret-key-file']);
  assert.deepEqual(await waiting(), ['console=view false', 'secret-key-file= false']);
  await reload(allow);
  assert.deepEqual(await waiting(), []);
});

test('a file with mistakes changes nothing, and all of them are said at once', async () => {
  const own = await open();
  const settings = async (): Promise<unknown> => (await own.query('SHOW CDC SETTINGS')).rows;
  const before = await settings();
  const word = 'nothing is reloaded: the configuration is wrong';
  const wrong = { MAX_CLIENTS: 'many', LOG_LEVEL: 'loud', EGRESS_ALLOW: '10.0.0.0/99', NOTHING: 1, VALIDATE: 'on' };
  const [line] = (await reload(wrong, word)).filter(({ msg }) => msg === word);
  const problems = line?.problems?.join('\n') ?? '';
  for (const one of [/MAX_CLIENTS/, /LOG_LEVEL/, /10\.0\.0\.0\/99/, /WALHOOK_NOTHING is no option/])
    assert.match(problems, one);
  assert.equal(line?.problems?.length, 4);
  assert.deepEqual(await settings(), before);
  assert.deepEqual(await changedBy({ EGRESS_ALLOW: '127.0.0.0/8' }), []);
});
