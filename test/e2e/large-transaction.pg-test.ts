import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { buildProgram } from '../support/built-program.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { WalhookProcess } from '../support/walhook-process.ts';

const ROWS = 1_000_000;
const LIMIT_MB = 300;

test('a transaction of a million rows is captured and delivered in less than 300 MB of resident memory', async (t) => {
  let bytes = 0;
  const endpoint = createServer((request, response) => {
    request.on('data', (chunk: Buffer) => (bytes += chunk.length));
    request.on('end', () => response.writeHead(204).end());
  });
  await new Promise<void>((resolve) => endpoint.listen(0, '127.0.0.1', resolve));
  after(() => {
    endpoint.closeAllConnections();
    endpoint.close();
  });
  const server = await startPostgres({ settings: { max_wal_size: '4GB' } });
  // The program as it is published: what makes JavaScript of the sources takes 45 MB more.
  const walhook = new WalhookProcess({
    upstreamUrl: server.url(),
    dataDir: join(temporaryFolder(), 'data'),
    program: buildProgram(),
  });
  await walhook.start();
  const client = await connect(walhook.sqlUrl());
  await client.query('CREATE TABLE big (id bigint PRIMARY KEY, note text)');
  const { port } = endpoint.address() as AddressInfo;
  await client.query(
    `CREATE CDC STREAM big_stream ON big TO WEBHOOK 'http://127.0.0.1:${port}/' WITH (batch_max_events = 100)`,
  );
  await client.query(`INSERT INTO big SELECT i, md5(i::text) || md5(i::text) FROM generate_series(1, ${ROWS}) AS i`);
  await waitFor(
    'all of it to be delivered',
    async () => {
      const { rows } = await client.query<{ property: string; value: string }>('SHOW CDC STREAM STATUS big_stream');
      return rows.find((row) => row.property === 'events_delivered')?.value === String(ROWS);
    },
    120_000,
  );
  const status = readFileSync(`/proc/${walhook.pid}/status`, 'utf8');
  const peakMb = Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024;
  t.diagnostic(`${ROWS} rows, ${(bytes / 1e6).toFixed(0)} MB of bodies, peak resident memory ${peakMb.toFixed(0)} MB`);
  assert.ok(bytes > ROWS * 100, 'the bodies arrived');
  assert.ok(peakMb < LIMIT_MB, `${peakMb.toFixed(0)} MB`);
});
