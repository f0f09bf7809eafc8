import assert from 'node:assert/strict';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import pg from 'pg';
import type { LocalPostgres } from '../../src/cli/local-postgres.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { WalhookProcess } from '../support/walhook-process.ts';

// The law: whatever dies and whenever, every committed change reaches the endpoint; the first arrivals of a key are in
// commit order; whatever arrives again carries the id it had before.
//
// Each transaction raises a counter row's version and writes (key, version) to a ledger that is not streamed: the ledger
// is what was committed, also where the answer to COMMIT was lost.

const WALHOOK_KILLS = 50;
const POSTGRES_CRASHES = 10;
const KEYS = 40;
const WRITERS = 4;
/** From "not listening yet" to "well under way". */
const LONGEST_LIFE_MS = 1_500;
const FAULTY_ANSWERS = 0.03;

interface Arrival {
  readonly id: string;
  readonly key: number;
  readonly version: number;
}

class Receiver {
  readonly arrivals: Arrival[] = [];
  readonly #server = createServer((request, response) => {
    void readJson(request).then((body) => {
      const events = (Array.isArray(body) ? body : [body]) as { id: string; after: { key: number; version: number } }[];
      for (const { id, after: row } of events) this.arrivals.push({ id, key: row.key, version: row.version });
      response.writeHead(Math.random() < FAULTY_ANSWERS ? 500 : 204).end();
    });
  });

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    after(() => {
      this.#server.closeAllConnections();
      this.#server.close();
    });
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`;
  }
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return JSON.parse(Buffer.concat(chunks).toString('utf8'));
}

/** Commits changes until told to stop, through every crash of the server. */
async function write(server: LocalPostgres, stop: AbortSignal): Promise<void> {
  while (!stop.aborted) {
    const client = new pg.Client({ connectionString: server.url() });
    client.on('error', () => undefined);
    try {
      await client.connect();
      while (!stop.aborted) {
        const key = Math.floor(Math.random() * KEYS);
        await client.query(
          `WITH raised AS (UPDATE counter SET version = version + 1 WHERE key = $1 RETURNING key, version)
           INSERT INTO ledger SELECT key, version FROM raised`,
          [key],
        );
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 8));
      }
    } catch {
      // The server is down or going down: what was in doubt is in the ledger or it is not.
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await client.end().catch(() => undefined);
  }
}

test(`${WALHOOK_KILLS} kills of walhook and ${POSTGRES_CRASHES} crashes of Postgres lose, reorder and rename nothing`, async (t) => {
  const server = await startPostgres();
  const setup = await connect(server.url());
  await setup.query('CREATE TABLE counter (key int PRIMARY KEY, version int NOT NULL)');
  await setup.query('CREATE TABLE ledger (key int NOT NULL, version int NOT NULL)');
  const receiver = new Receiver();
  const url = await receiver.listen();
  const walhook = new WalhookProcess({ upstreamUrl: server.url(), dataDir: join(temporaryFolder(), 'data') });
  await walhook.start();
  const client = await connect(walhook.sqlUrl());
  await client.query(
    `CREATE CDC STREAM counter_stream ON counter TO WEBHOOK '${url}'
     WITH (batch_max_events = 10, max_in_flight = 8, initial_backoff = '20ms', max_backoff = '200ms')`,
  );
  await setup.query(`INSERT INTO counter SELECT key, 0 FROM generate_series(0, ${KEYS - 1}) AS key`);
  await setup.query('INSERT INTO ledger SELECT key, version FROM counter');
  await setup.end();

  const stop = new AbortController();
  const writers = Array.from({ length: WRITERS }, () => write(server, stop.signal));
  const crashAfter = new Set(
    Array.from({ length: POSTGRES_CRASHES }, (_, i) => Math.floor(((i + 0.5) * WALHOOK_KILLS) / POSTGRES_CRASHES)),
  );
  for (let kill = 0; kill < WALHOOK_KILLS; kill++) {
    // Random moments are the point: during start-up, reading, writing the log, sending, acknowledging.
    await new Promise((resolve) => setTimeout(resolve, Math.random() * LONGEST_LIFE_MS));
    if (crashAfter.has(kill)) {
      await server.stop('immediate');
      await server.restart();
    }
    await walhook.kill();
    void walhook.start().catch(() => undefined);
  }
  await walhook.kill();
  stop.abort();
  await Promise.all(writers);
  await walhook.start();

  const check = await connect(server.url());
  const { rows } = await check.query<{ key: number; version: number }>('SELECT key, version FROM ledger');
  const committed = new Set(rows.map(({ key, version }) => `${key}:${version}`));
  const arrived = new Map<string, string>();
  await waitFor(
    'every committed change to arrive',
    () => {
      for (const { id, key, version } of receiver.arrivals)
        if (!arrived.has(`${key}:${version}`)) arrived.set(`${key}:${version}`, id);
      return [...committed].every((change) => arrived.has(change));
    },
    60_000,
  ).catch(() => {
    const lost = [...committed].filter((change) => !arrived.has(change));
    assert.fail(`${lost.length} of ${committed.size} committed changes did not arrive: ${lost.slice(0, 10).join(' ')}`);
  });

  const next = new Map<number, number>();
  const renamed: string[] = [];
  const outOfOrder: string[] = [];
  const seen = new Set<string>();
  for (const { id, key, version } of receiver.arrivals) {
    const change = `${key}:${version}`;
    assert.ok(committed.has(change), `${change} was never committed`);
    if (arrived.get(change) !== id) renamed.push(change);
    if (seen.has(change)) continue;
    seen.add(change);
    if (version !== (next.get(key) ?? 0)) outOfOrder.push(change);
    next.set(key, version + 1);
  }
  const ids = new Set(arrived.values());
  t.diagnostic(
    `committed ${committed.size}, arrived ${seen.size}, requests' events ${receiver.arrivals.length}, ` +
      `duplicates ${receiver.arrivals.length - seen.size}, lost ${committed.size - seen.size}, ` +
      `out of order ${outOfOrder.length}, renamed ${renamed.length}`,
  );
  assert.ok(committed.size > 1_000, `only ${committed.size} changes: no load`);
  assert.equal(ids.size, arrived.size, 'two changes share an id');
  assert.deepEqual(outOfOrder, []);
  assert.deepEqual(renamed, []);
});
