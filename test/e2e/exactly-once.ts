import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after } from 'node:test';
import pg from 'pg';
import type { LocalPostgres } from '../../src/cli/local-postgres.ts';
import {
  deduplicate,
  type NativeEvent,
  PostgresStore,
  readBody,
  verify,
  WebhookError,
} from '../../src/receiver/receiver.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { WalhookProcess } from '../support/walhook-process.ts';

// The law: with a receiver that uses `walhook/receiver` and PostgreSQL, its table is the source's, and every change was
// applied once, whenever walhook is killed and whatever answers are lost. A mirror row counts what was applied to it: a
// source row's version is what was committed to it.

const KEYS = 50;
const WRITERS = 4;
const LONGEST_LIFE_MS = 1_200;
/** Of answers that are lost after the receiver has committed, and before. */
const LOST_ANSWERS = 0.03;
/** Where the machine is slow, walhook has hardly begun when it is killed, and all is still to be sent in the end. */
const CATCH_UP_DEADLINE_MS = 300_000;
const BATCH_MAX_EVENTS = 10;
const MAX_IN_FLIGHT = 8;
const SECRET = `whsec_${Buffer.alloc(24, 5).toString('base64')}`;

interface Source {
  readonly key: number;
  readonly version: number;
}

interface Outcome {
  readonly committed: number;
  readonly applied: number;
  /** Events that came again. */
  readonly duplicates: number;
  /** What may have been in flight at the kills, and what the receiver refused or did not answer. */
  readonly bound: number;
}

async function startMirror(target: pg.Pool) {
  const counts = { applied: 0, duplicates: 0, failedRequests: 0 };
  const store = new PostgresStore<pg.PoolClient>(target);
  await store.createTable();
  await target.query('CREATE TABLE mirror (key int PRIMARY KEY, version int NOT NULL, applied int NOT NULL)');
  const apply = deduplicate(store, async (event: NativeEvent<Source>, client: pg.PoolClient) => {
    assert.ok(event.thin === undefined && (event.op === 'insert' || event.op === 'update'));
    const { key, version } = event.after;
    // In order: what is applied raises the version by one.
    const { rowCount } =
      event.op === 'insert'
        ? await client.query('INSERT INTO mirror VALUES ($1, $2, 0)', [key, version])
        : await client.query(
            'UPDATE mirror SET version = $2, applied = applied + 1 WHERE key = $1 AND version = $2 - 1',
            [key, version],
          );
    assert.equal(rowCount, 1, `version ${version} of key ${key} came out of order, or twice`);
  });
  const server = createServer((request, response) => {
    const answer = async (): Promise<number> => {
      if (Math.random() < LOST_ANSWERS) return 500;
      const events = verify<NativeEvent<Source>>(await readBody(request), request.headers, SECRET);
      const { applied, duplicates } = await apply(events);
      counts.applied += applied;
      counts.duplicates += duplicates;
      return Math.random() < LOST_ANSWERS ? 500 : 204;
    };
    answer()
      .catch((error: unknown) => (error instanceof WebhookError ? error.status : 500))
      .then((status) => {
        if (status !== 204) counts.failedRequests++;
        response.writeHead(status).end();
      })
      .catch(() => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { counts, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` };
}

async function write(server: LocalPostgres, stop: AbortSignal): Promise<void> {
  const client = await connect(server.url());
  while (!stop.aborted) {
    await client.query('UPDATE counter SET version = version + 1 WHERE key = $1', [Math.floor(Math.random() * KEYS)]);
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 6));
  }
  await client.end();
}

/** Kills walhook so often under load, and checks the law. */
export async function exactlyOnce(kills: number): Promise<Outcome> {
  const server = await startPostgres();
  const setup = await connect(server.url());
  await setup.query('CREATE DATABASE target');
  const target = new pg.Pool({ connectionString: server.url('target'), max: MAX_IN_FLIGHT });
  target.on('error', () => undefined);
  after(() => target.end());
  const { counts, url } = await startMirror(target);
  await setup.query('CREATE TABLE counter (key int PRIMARY KEY, version int NOT NULL)');
  const walhook = new WalhookProcess({ upstreamUrl: server.url(), dataDir: join(temporaryFolder(), 'data') });
  await walhook.start();
  const client = await connect(walhook.sqlUrl());
  await client.query(`CREATE CDC STREAM counter_stream ON counter TO WEBHOOK '${url}'
    WITH (batch_max_events = ${BATCH_MAX_EVENTS}, max_in_flight = ${MAX_IN_FLIGHT}, signing_secret = '${SECRET}',
      compression = gzip, initial_backoff = '20ms', max_backoff = '200ms')`);
  await setup.query(`INSERT INTO counter SELECT key, 0 FROM generate_series(0, ${KEYS - 1}) AS key`);

  const stop = new AbortController();
  const writers = Array.from({ length: WRITERS }, () => write(server, stop.signal));
  for (let kill = 0; kill < kills; kill++) {
    // Random moments are the point.
    await new Promise((resolve) => setTimeout(resolve, Math.random() * LONGEST_LIFE_MS));
    await walhook.kill();
    void walhook.start().catch(() => undefined);
  }
  await walhook.kill();
  stop.abort();
  await Promise.all(writers);
  await walhook.start();

  const { rows: committed } = await setup.query<Source>('SELECT key, version FROM counter ORDER BY key');
  const total = committed.reduce((sum, { version }) => sum + version, KEYS);
  const mirrored = async (): Promise<unknown[]> =>
    (await target.query('SELECT key, version, applied FROM mirror ORDER BY key')).rows;
  await waitFor('every change to be applied', () => counts.applied >= total, CATCH_UP_DEADLINE_MS).catch(
    () => undefined,
  );
  assert.deepEqual(
    await mirrored(),
    committed.map(({ key, version }) => ({ key, version, applied: version })),
  );
  const { rows: inbox } = await target.query<{ count: string }>('SELECT count(*) FROM walhook_inbox');
  assert.equal(Number(inbox[0]!.count), total, 'each change is remembered once');
  assert.equal(counts.applied, total);
  const bound = (kills + 1) * MAX_IN_FLIGHT * BATCH_MAX_EVENTS + counts.failedRequests * BATCH_MAX_EVENTS;
  return { committed: total, applied: counts.applied, duplicates: counts.duplicates, bound };
}
