import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { Backfiller } from '../../src/capture/backfiller.ts';
import { ChangeLog } from '../../src/log/change-log.ts';
import { LOG_FILE } from '../../src/log/schema.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { upstreamOf } from '../support/upstreams.ts';

// The law: a reading that is told to end ends, wherever it is.

const server = await startPostgres();
const admin = await connect(server.url());

test('one that is told to end while its connection is made ends, and nothing is read', async () => {
  await admin.query('CREATE TABLE t AS SELECT 1 AS id');
  const { rows } = await admin.query<{ oid: string }>(`SELECT 't'::regclass::oid::bigint AS oid`);
  // Lets nothing through before it is told to.
  const clients: Socket[] = [];
  const gate = createServer((client) => clients.push(client));
  gate.listen(0, '127.0.0.1');
  await once(gate, 'listening');
  after(() => gate.close());
  const { port } = gate.address() as AddressInfo;
  const log = ChangeLog.open(join(temporaryFolder(), LOG_FILE));
  after(() => log.close());
  const backfiller = new Backfiller({
    upstream: upstreamOf(server.url().replace(`:${server.port}/`, `:${port}/`)),
    slotName: 's',
    log,
    clock: systemClock,
    logger: silentLogger,
    maxRowsPerSecond: 0,
  });
  backfiller.start({ id: 'b', streamId: 'a', tables: [{ oid: Number(rows[0]!.oid), where: null }], rereads: false });
  const stopping = new AbortController();
  const running = backfiller.run(stopping.signal);
  await once(gate, 'connection');
  stopping.abort();
  for (const client of clients) {
    const upstream = connectTcp(server.port, '127.0.0.1');
    for (const socket of [client, upstream]) socket.on('error', () => undefined);
    client.pipe(upstream).pipe(client);
  }
  await running;
  assert.deepEqual(backfiller.statuses()[0]?.rowsDone, 0);
});
