import assert from 'node:assert/strict';
import type { LookupFunction, Socket } from 'node:net';
import { after, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { CERTIFICATES } from '../support/server-certificates.ts';
import { ENDLESS, GOOD_ANSWER, ODD } from '../support/bad-answers.ts';
import { onRequests, startRawServer } from '../support/raw-server.ts';
import { waitFor } from '../support/wait-for.ts';
import { WebhookReceiver } from '../support/webhook-receiver.ts';
import { BATCH, brief, send, sinkFor, withSecrets } from '../support/webhook-sinks.ts';

// Whatever a receiver does to us has a defined result, in time, and costs no memory. Nothing is taken for acknowledged that
// was not: an answer is the answer of the request that it follows.

const MB = 1024 * 1024;
/** What all of a misbehaving answer may cost, with what the test itself needs. */
const MEMORY_BYTES = 96 * MB;
const OK = GOOD_ANSWER;

/** How much the process grows at most while `run` runs. */
async function growth(run: () => Promise<void>): Promise<number> {
  global.gc?.();
  const before = process.memoryUsage.rss();
  let most = before;
  const timer = setInterval(() => (most = Math.max(most, process.memoryUsage.rss())), 5);
  try {
    await run();
  } finally {
    clearInterval(timer);
  }
  return Math.max(most, process.memoryUsage.rss()) - before;
}

for (const { name, answer, expected } of ENDLESS) {
  test(`an answer that does not end, ${name}: ${expected}, and memory is flat`, async () => {
    let isBad = true;
    const server = await startRawServer((socket) => {
      onRequests(socket, () => (isBad ? answer(socket) : socket.write(OK)));
    });
    const sink = sinkFor(server.url, { options: { requestTimeoutMs: 1_000 } });
    let outcome = '';
    const grown = await growth(async () => {
      outcome = brief(await send(sink));
    });
    assert.equal(outcome, expected);
    assert.ok(grown < MEMORY_BYTES, `${Math.round(grown / MB)} MB more`);
    isBad = false;
    assert.equal(brief(await send(sink)), 'ok', 'the next request goes through');
    await waitFor('the connection to be given up', () => server.sockets[0]!.destroyed);
  });
}

for (const { name, answer, expected } of ODD) {
  test(`${name}: ${expected}`, async () => {
    let isBad = true;
    const server = await startRawServer((socket) => {
      onRequests(socket, () => (isBad ? answer(socket) : socket.write(OK)));
    });
    const sink = sinkFor(server.url, { options: { requestTimeoutMs: 5_000 } });
    assert.equal(brief(await send(sink)), expected);
    isBad = false;
    assert.equal(brief(await send(sink)), 'ok', 'the next request goes through');
  });
}

test('an answer that comes before anybody asked is nobody’s', async () => {
  // The connection has two answers for one request: the second must not acknowledge what is sent next.
  const bodies: string[] = [];
  const server = await startRawServer((socket, connection) => {
    onRequests(socket, (_, body) => {
      bodies.push(body);
      socket.write(connection === 0 ? `${OK}${OK}` : 'HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n');
    });
  });
  const sink = sinkFor(server.url);
  assert.equal(brief(await send(sink, { ...BATCH, body: Buffer.from('"first"') })), 'ok');
  const second = brief(await send(sink, { ...BATCH, body: Buffer.from('"second"') }));
  assert.equal(second, 'transient http_503');
  assert.deepEqual(bodies, ['"first"', '"second"']);
});

test('an answer on an idle connection is nobody’s either', async () => {
  const bodies: string[] = [];
  const server = await startRawServer((socket, connection) => {
    onRequests(socket, (_, body) => {
      bodies.push(body);
      socket.write(connection === 0 ? OK : 'HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n');
    });
  });
  const sink = sinkFor(server.url);
  assert.equal(brief(await send(sink, { ...BATCH, body: Buffer.from('"first"') })), 'ok');
  server.sockets[0]!.write(OK);
  await waitFor('the connection to be given up', () => server.sockets[0]!.destroyed);
  assert.equal(brief(await send(sink, { ...BATCH, body: Buffer.from('"second"') })), 'transient http_503');
  assert.deepEqual(bodies, ['"first"', '"second"']);
});

test('one that has come by the turn of the event loop in which the next request is sent acknowledges nothing', async () => {
  for (let round = 1; round < 100; round++) {
    const bodies: string[] = [];
    const server = await startRawServer((socket, connection) => {
      onRequests(socket, (_, body) => {
        bodies.push(body);
        socket.write(connection === 0 ? OK : 'HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n');
      });
    });
    const sink = sinkFor(server.url);
    await send(sink, { ...BATCH, body: Buffer.from('"first"') });
    server.sockets[0]!.write('HTTP/1.1 204 OK\r\n\r\n');
    for (let i = 0; i < 1 + (round % 10); i++) await turn();
    const outcome = brief(await send(sink, { ...BATCH, body: Buffer.from('"second"') }));
    assert.ok(outcome !== 'ok' || bodies.includes('"second"'), `round ${round}: ${outcome}`);
  }
});

test('a receiver that refuses a large body before it has read it is understood', async () => {
  const body = Buffer.alloc(32 * MB, 'x');
  const server = await startRawServer((socket) => {
    socket.once('data', () => {
      socket.pause();
      socket.end('HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
    });
  });
  assert.equal(brief(await send(sinkFor(server.url), { ...BATCH, body })), 'rejected http_413');
});

test('a connection that the receiver closes while it is idle costs no attempt, whenever that is', async () => {
  const at = await WebhookReceiver.start();
  after(() => at.stop());
  const sink = sinkFor(at.url());
  for (let round = 0; round < 50; round++) {
    assert.equal(brief(await send(sink)), 'ok');
    at.closeConnections();
    for (let i = 0; i < round % 10; i++) await turn();
  }
});

test('a redirect is not followed, to wherever', async () => {
  const target = await WebhookReceiver.start();
  after(() => target.stop());
  const at = await WebhookReceiver.start();
  after(() => at.stop());
  for (const status of [301, 302, 303, 307, 308]) {
    at.script({ kind: 'answer', status, headers: { location: target.url(), refresh: `0; url=${target.url()}` } });
    assert.equal(brief(await send(sinkFor(at.url()))), 'misconfigured redirect_refused');
  }
  assert.equal(target.connectionsOpened, 0);
});

// TLS and names.

test('TLS that is none, or breaks, has a result of its own', async () => {
  const trusted = withSecrets({ tlsCa: CERTIFICATES.root });
  const over = async (answer: (socket: Socket) => void): Promise<string> => {
    const server = await startRawServer((socket) => socket.once('data', () => answer(socket)));
    return brief(await send(sinkFor(server.url.replace('http:', 'https:'), trusted)));
  };
  assert.equal(await over((socket) => socket.end('HTTP/1.1 400 No\r\n\r\n')), 'misconfigured tls_error');
  assert.equal(await over((socket) => socket.end(Buffer.alloc(100, 0x15))), 'misconfigured tls_error');
  // A fatal alert: handshake_failure.
  assert.equal(await over((socket) => socket.end(Buffer.from([0x15, 3, 3, 0, 2, 2, 40]))), 'misconfigured tls_error');
  assert.equal(await over((socket) => socket.resetAndDestroy()), 'transient connection_reset');
  assert.equal(await over((socket) => socket.end()), 'transient connection_reset');
});

test('plain HTTP to a port of TLS is no answer', async () => {
  const at = await WebhookReceiver.start(CERTIFICATES.localhost);
  after(() => at.stop());
  const outcome = brief(await send(sinkFor(at.url().replace('https:', 'http:'))));
  assert.match(outcome, /^transient (invalid_answer|connection_reset)$/);
});

test('names: one that is not answered for, one that fails, one that has no address', async () => {
  const failing =
    (code: string): LookupFunction =>
    (_host, _options, callback) =>
      callback(Object.assign(new Error(code), { code }), []);
  const outcome = async (lookup: LookupFunction): Promise<string> =>
    brief(await send(sinkFor('http://hooks.example/', { lookup, options: { connectTimeoutMs: 100 } })));
  assert.equal(await outcome(() => undefined), 'transient timeout_connect');
  assert.equal(await outcome(failing('EAI_AGAIN')), 'transient dns_error');
  assert.equal(await outcome(failing('ENOTFOUND')), 'misconfigured dns_unknown_host');
  assert.equal(await outcome(failing('EAI_FAIL')), 'transient dns_error');
  assert.equal(await outcome((_host, _options, callback) => callback(null, [])), 'misconfigured dns_unknown_host');
});
