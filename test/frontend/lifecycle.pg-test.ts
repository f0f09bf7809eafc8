import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp, createServer, type AddressInfo, type Socket } from 'node:net';
import { after, test } from 'node:test';
import { connect } from '../support/test-database.ts';
import { RawClient, reportsOf, say, statusOf, typesOf } from '../support/raw-client.ts';
import { waitFor } from '../support/wait-for.ts';
import {
  encodeCancelRequest,
  encodeGssencRequest,
  encodeSslRequest,
  encodeStartupMessage,
} from '../../src/wire/startup.ts';
import { startPair, startProxy, type TcpAddress } from './proxy.ts';

// Law: whatever ends either side in whatever state, the other gets what was sent before, is closed, and nothing is left.

const { server, proxy } = await startPair();
const admin = await connect(server.url());
await admin.query('create table orders (id int primary key)');
const CREATE = `CREATE CHANGE DATA CAPTURE ON orders TO WEBHOOK 'https://example.com/' AS 's1'`;

/** Sessions of the frontend, and of the server besides the administrator's. */
async function nothingIsLeft(): Promise<void> {
  await waitFor('the sessions of the frontend to end', () => proxy.frontend.stats().connectionsOpen === 0);
  await waitFor('the sessions of the server to end', async () => {
    const { rows } = await admin.query(
      `select count(*)::int as n from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()`,
    );
    return rows[0].n === 0;
  });
}

async function terminateBackends(): Promise<void> {
  await admin.query(
    `select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()`,
  );
}

/** How far a session has got when one of its sides ends. */
const STATES: Readonly<Record<string, (client: RawClient) => Promise<unknown>>> = {
  idle: async () => undefined,
  'in a block': (client) => client.query('begin'),
  'a query running': async (client) => {
    client.send(say.query('select pg_sleep(100)'));
    await waitFor('the query to run', async () => {
      const { rows } = await admin.query(
        `select 1 from pg_stat_activity where query like 'select pg_sleep%' and state = 'active'`,
      );
      return rows.length === 1;
    });
  },
  'a pipeline open': async (client) => {
    client.send(say.run('select 1'), say.flush());
    await client.until('C');
  },
  'reading COPY data': async (client) => {
    client.send(say.query('copy orders from stdin'));
    await client.until('G');
  },
  'half a message sent': async (client) => {
    client.send(say.query('select 1').subarray(0, 7));
  },
  'a statement of ours running': async (client) => {
    const held = proxy.streams.hold();
    client.send(say.query(CREATE));
    await held;
  },
  'more sent behind a statement of ours': async (client) => {
    const held = proxy.streams.hold();
    client.send(say.query(CREATE), say.query('select 1'), say.run('select 1'));
    await held;
  },
  'after an error of ours in a pipeline': async (client) => {
    client.send(say.parse('', 'SHOW CDC STREAM STATUS s9'), say.bind('', ''), say.execute(''));
    await client.until('E');
  },
};

for (const [state, reach] of Object.entries(STATES)) {
  test(`the client closes: ${state}`, async () => {
    const client = await RawClient.start(proxy.address);
    await reach(client);
    client.close();
    // As in Postgres, what runs goes on to its end.
    if (state === 'a query running') await terminateBackends();
    proxy.streams.release();
    await nothingIsLeft();
  });

  test(`the client resets the connection: ${state}`, async () => {
    const client = await RawClient.start(proxy.address);
    await reach(client);
    client.socket.resetAndDestroy();
    if (state === 'a query running') await terminateBackends();
    await nothingIsLeft();
    proxy.streams.release();
  });

  test(`the server ends the session: ${state}`, async () => {
    const client = await RawClient.start(proxy.address);
    await reach(client);
    client.take();
    await terminateBackends();
    const last = await client.closed();
    assert.equal(reportsOf(last).at(-1)?.['C'], '57P01');
    await nothingIsLeft();
    proxy.streams.release();
  });
}

test('a client that half-closes gets the rest of its answers', async () => {
  const client = await RawClient.start(proxy.address);
  proxy.streams.clear();
  client.send(say.query('select 1'), say.query(CREATE), say.query('SHOW CDC STREAMS'), say.query('select 2'));
  client.socket.end();
  assert.equal(typesOf(await client.closed()), 'TDCZCZTDCZTDCZ');
  await nothingIsLeft();
});

test('Terminate ends the session', async () => {
  const client = await RawClient.start(proxy.address);
  client.send(say.terminate());
  assert.equal(typesOf(await client.closed()), '');
  await nothingIsLeft();
});

async function keyOf(address: TcpAddress, minor = 0): Promise<{ client: RawClient; key: Buffer }> {
  const client = await RawClient.open(address);
  client.send(encodeStartupMessage({ user: 'postgres', database: 'postgres' }, minor));
  const key = (await client.ready()).find(({ type }) => type === 'K')!.body;
  return { client, key };
}

for (const minor of [0, 2]) {
  test(`a cancel request of protocol 3.${minor} cancels the server's statement`, async () => {
    const { client, key } = await keyOf(proxy.address, minor);
    assert.equal(key.length > 8, minor === 2);
    client.send(say.query('select pg_sleep(100)'));
    await waitFor('the query to run', async () => {
      const { rows } = await admin.query(
        `select 1 from pg_stat_activity where query like 'select pg_sleep%' and state = 'active'`,
      );
      return rows.length === 1;
    });
    const request = await RawClient.open(proxy.address);
    request.send(encodeCancelRequest(key));
    await request.closed();
    const answer = await client.ready();
    assert.deepEqual([typesOf(answer).at(-2), reportsOf(answer)[0]!['C']], ['E', '57014']);
    client.close();
  });
}

test('a cancel request cancels a statement of ours', async () => {
  proxy.streams.clear();
  const { client, key } = await keyOf(proxy.address);
  const held = proxy.streams.hold();
  client.send(say.query(CREATE));
  await held;
  const request = await RawClient.open(proxy.address);
  request.send(encodeCancelRequest(key));
  await request.closed();
  const answer = await client.ready();
  assert.deepEqual([typesOf(answer), reportsOf(answer)[0]!['C'], statusOf(answer)], ['EZ', '57014', 'I']);
  assert.deepEqual(proxy.streams.names, []);
  proxy.streams.release();
  assert.equal(typesOf(await client.query('select 1')), 'TDCZ');
  client.close();
});

test('a cancel request with a wrong key does nothing', async () => {
  const request = await RawClient.open(proxy.address);
  request.send(encodeCancelRequest(Buffer.alloc(8, 1)));
  assert.equal(typesOf(await request.closed()), '');
});

test('encryption requests are refused, in either order, and the session goes on', async () => {
  for (const requests of [
    [encodeSslRequest(), encodeGssencRequest()],
    [encodeGssencRequest(), encodeSslRequest()],
  ]) {
    const socket = connectTcp(proxy.address);
    for (const request of requests) {
      socket.write(request);
      const [answer] = (await once(socket, 'data')) as [Buffer];
      assert.equal(answer.toString(), 'N');
    }
    socket.write(encodeStartupMessage({ user: 'postgres', database: 'postgres' }));
    const [answer] = (await once(socket, 'data')) as [Buffer];
    assert.equal(answer.toString('latin1', 0, 1), 'R');
    socket.destroy();
  }
});

test('what comes behind an encryption request before its answer is refused', async () => {
  const client = await RawClient.open(proxy.address);
  client.send(encodeSslRequest(), encodeStartupMessage({ user: 'postgres' }));
  assert.match(reportsOf(await client.closed())[0]!['M']!, /unencrypted data after SSL request/);
});

test('the server answers for what it does not know: another protocol, database, role', async () => {
  const old = await RawClient.open(proxy.address);
  old.send(Buffer.from([0, 0, 0, 8, 0, 2, 0, 0]));
  await old.closed();
  const wrong = await RawClient.open(proxy.address);
  wrong.send(encodeStartupMessage({ user: 'postgres', database: 'no_such' }));
  assert.equal(reportsOf(await wrong.closed())[0]!['C'], '3D000');
  const asked = await RawClient.open(proxy.address);
  asked.send(encodeStartupMessage({ user: 'no_such', database: 'postgres' }));
  assert.equal((await asked.until('R'))[0]!.body.readInt32BE(0), 10, 'SASL');
  asked.close();
});

test('a replication session is a plain pipe', async () => {
  const client = await RawClient.start(proxy.address, { replication: 'database' });
  assert.equal(typesOf(await client.query('IDENTIFY_SYSTEM')), 'TDCZ');
  const [error] = reportsOf(await client.query('SHOW CDC STREAMS'));
  assert.equal(error!['C'], '42601', 'the server answers, not we');
  client.close();
});

test('an upstream that cannot be reached is named, at once', async () => {
  const free = createServer().listen(0, '127.0.0.1');
  await once(free, 'listening');
  const { port } = free.address() as AddressInfo;
  free.close();
  const other = await startProxy({ host: '127.0.0.1', port });
  const client = await RawClient.open(other.address);
  client.send(encodeStartupMessage({ user: 'postgres' }));
  const [error] = reportsOf(await client.closed());
  assert.deepEqual(
    [error!['V'], error!['C'], error!['M']],
    ['FATAL', '08006', `could not connect to the upstream server at 127.0.0.1:${port}: connection refused`],
  );
});

test('a slow reader holds back the upstream, and its session keeps little', async () => {
  const written = { bytes: 0 };
  const total = 200 * 1024 * 1024;
  const row = Buffer.concat([Buffer.from('D'), Buffer.from([0, 1, 0, 4 - 4]), Buffer.alloc(65_532)]);
  row.writeInt32BE(row.length - 1, 1);
  const ready = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);
  const upstream = createServer((socket: Socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => {
      const more = (): void => {
        while (written.bytes < total) {
          written.bytes += row.length;
          if (!socket.write(row)) {
            socket.once('drain', more);
            return;
          }
        }
      };
      socket.write(ready);
      more();
    });
  }).listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  after(() => upstream.close());
  const other = await startProxy({ host: '127.0.0.1', port: (upstream.address() as AddressInfo).port });
  const reader = connectTcp(other.address);
  reader.pause();
  reader.write(encodeStartupMessage({ user: 'postgres' }));
  // While others work, it only fills the buffers between: those of the kernel, and ours.
  const quick = await RawClient.start(proxy.address);
  for (let i = 0; i < 3000; i++) assert.equal(typesOf(await quick.query('select 1')), 'TDCZ');
  quick.close();
  const { bytesToClients } = other.frontend.stats();
  assert.ok(written.bytes < total / 4, `${written.bytes} written`);
  assert.ok(bytesToClients <= written.bytes + ready.length);
  let read = 0;
  reader.on('data', (chunk: Buffer) => (read += chunk.length));
  reader.resume();
  await waitFor('the rest', () => written.bytes >= total && read === written.bytes + ready.length);
  reader.destroy();
});

test('shutdown ends the idle with 57P01, and lets the busy finish', async () => {
  const other = await startProxy({ host: '127.0.0.1', port: server.port }, { limits: { drainTimeoutMs: 20_000 } });
  const idle = await RawClient.start(other.address);
  const busy = await RawClient.start(other.address);
  await busy.query('begin');
  const stopped = other.stop();
  assert.equal(reportsOf(await idle.closed())[0]!['C'], '57P01');
  assert.equal(typesOf(await busy.query('select 1')), 'TDCZ');
  busy.send(say.query('commit'));
  const last = await busy.closed();
  assert.equal(typesOf(last), 'CZE');
  await stopped;
});
