import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { encodeCancelRequest, encodeSslRequest, encodeStartupMessage } from '../../src/wire/startup.ts';
import { say } from '../support/raw-client.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { waitFor } from '../support/wait-for.ts';
import { AUTHENTICATED, CountingClock, echo, FakeUpstream, serverMessage, type Behaviour } from './fuzz-upstream.ts';
import { startProxy } from './proxy.ts';

// Law: whatever a client or an upstream sends, the process lives, other sessions get theirs and nothing else, and when the
// connection is closed nothing of it is left. FUZZ_RUNS multiplies the runs, TEST_SEED has others made up.

const SEED = Number(process.env['TEST_SEED'] ?? 20_260_105);
const RUNS = Number(process.env['FUZZ_RUNS'] ?? 1);

const clock = new CountingClock();
const upstream = await FakeUpstream.start();
const proxy = await startProxy(upstream.address, { clock, limits: { drainTimeoutMs: 100, lingerMs: 200 } });

/** A session that works all the time, and that no other's bytes may reach. */
class Witness {
  readonly #socket: Socket;
  readonly #name: string;
  readonly #expected: Buffer;
  #received: Buffer = Buffer.alloc(0);
  asked = 0;
  answered = 0;

  constructor(name: string) {
    this.#name = name;
    this.#expected = Buffer.concat([
      serverMessage('D', Buffer.concat([Buffer.from([0, 1, 0, 0, 0, name.length]), Buffer.from(name)])),
      serverMessage('C', 'SELECT 1\0'),
      serverMessage('Z', 'I'),
    ]);
    this.#socket = connect({ ...proxy.address, noDelay: true });
    this.#socket.on('data', (chunk: Buffer) => this.#read(chunk));
    this.#socket.write(encodeStartupMessage({ user: name }));
  }

  async start(): Promise<void> {
    await waitFor('the witness to be let in', () => this.#received.length >= AUTHENTICATED.length);
    assert.ok(this.#received.equals(AUTHENTICATED));
    this.#received = Buffer.alloc(0);
  }

  ask(): void {
    this.asked++;
    this.#socket.write(say.query(`select '${this.#name}'`));
  }

  /** All that was asked has been answered, byte for byte. */
  async check(): Promise<void> {
    this.ask();
    const length = this.asked * this.#expected.length;
    await waitFor(`${this.#name} to be answered`, () => this.#received.length >= length || this.#socket.destroyed);
    assert.equal(this.#received.length, length);
    for (let at = 0; at < length; at += this.#expected.length) {
      assert.ok(this.#received.subarray(at, at + this.#expected.length).equals(this.#expected), this.#name);
    }
    this.answered += this.asked;
    this.asked = 0;
    this.#received = Buffer.alloc(0);
  }

  close(): void {
    this.#socket.destroy();
  }

  #read(chunk: Buffer): void {
    this.#received = Buffer.concat([this.#received, chunk]);
  }
}

const witnesses = [new Witness('witness one'), new Witness('the other witness')];
for (const witness of witnesses) await witness.start();

/** Everything of the sessions that were opened since is gone, and the witnesses have been answered. */
async function nothingIsLeft(): Promise<void> {
  for (const witness of witnesses) await witness.check();
  await waitFor('the sessions to end', () => proxy.frontend.stats().connectionsOpen === witnesses.length);
  await waitFor('the upstream sessions to end', () => upstream.open.size === witnesses.length);
  assert.equal(clock.waiting, 0, 'timers');
}

const NAME = 'the fuzzed one';
const STARTUP = encodeStartupMessage({ user: NAME });

/** Sends the bytes in pieces, and resolves with all that came when the connection is closed. */
async function send(bytes: Buffer, random: SeededRandom, ending = random.below(3)): Promise<Buffer> {
  const socket = connect({ ...proxy.address, noDelay: true });
  const chunks: Buffer[] = [];
  socket.on('error', () => undefined);
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  let isClosed = false;
  socket.once('close', () => (isClosed = true));
  for (let at = 0; at < bytes.length;) {
    const next = Math.min(bytes.length, at + 1 + random.below(random.chance(0.5) ? 20 : 5000));
    socket.write(bytes.subarray(at, next));
    at = next;
    if (random.chance(0.3)) await new Promise((resolve) => setImmediate(resolve));
  }
  if (random.chance(0.3)) witnesses[random.below(witnesses.length)]!.ask();
  if (ending === 0) socket.end();
  else if (ending === 1) socket.end(() => socket.destroy());
  else setImmediate(() => socket.resetAndDestroy());
  await waitFor('the connection to close', () => isClosed);
  return Buffer.concat(chunks);
}

const SHOW = 'SHOW CDC STREAMS';
const CREATE = `CREATE CDC STREAM s ON t TO WEBHOOK 'https://example.com/'`;
const LENGTHS = [0, 1, 3, 4, 5, 10_000, 1_048_580, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];

/** Messages of sensible and of senseless clients. */
function clientMessage(random: SeededRandom): Buffer {
  const all = [
    () => say.query(SHOW),
    () => say.query(CREATE),
    () => say.query(`select 1; ${SHOW}; select 2`),
    () => say.query('select 1'),
    () => say.query('deallocate s'),
    () => say.parse(random.chance(0.5) ? '' : 's', random.chance(0.6) ? SHOW : 'select 1'),
    () => say.bind(random.chance(0.5) ? '' : 'p', random.chance(0.5) ? '' : 's'),
    () => say.describe(random.chance(0.5) ? 'portal' : 'statement', random.chance(0.5) ? '' : 's'),
    () => say.execute(random.chance(0.5) ? '' : 'p', random.below(3)),
    () => say.close(random.chance(0.5) ? 'portal' : 'statement', random.chance(0.5) ? '' : 's'),
    () => say.sync(),
    () => say.flush(),
    () => say.copyData('1\t2\n'),
    () => say.copyDone(),
    () => say.copyFail('no'),
    () => serverMessage('F', Buffer.alloc(8)),
    () => serverMessage('p', 'password\0'),
    () => serverMessage(String.fromCharCode(random.below(256)), Buffer.from(random.bytes(random.below(40)))),
  ];
  return all[random.below(all.length)]!();
}

/** A session with something wrong in it. */
function damaged(random: SeededRandom, messages: Buffer[]): Buffer {
  const bytes = Buffer.concat(messages);
  switch (random.below(5)) {
    case 0:
      for (let left = 1 + random.below(8); left > 0; left--) {
        const at = random.below(bytes.length);
        bytes[at] = bytes[at]! ^ (1 << random.below(8));
      }
      return bytes;
    case 1:
      return bytes.subarray(0, random.below(bytes.length));
    case 2: {
      const index = random.below(messages.length);
      const wrong = Buffer.from(messages[index]!);
      if (wrong.length >= 5) wrong.writeUInt32BE(LENGTHS[random.below(LENGTHS.length)]!, 1);
      return Buffer.concat([...messages.slice(0, index), wrong, ...messages.slice(index + 1)]);
    }
    case 3:
      return Buffer.concat([bytes, Buffer.from(random.bytes(random.below(200)))]);
    default:
      return bytes;
  }
}

async function runs(count: number, run: (random: SeededRandom, i: number) => Promise<unknown>): Promise<number> {
  const total = count * RUNS;
  for (let i = 0; i < total; i++) {
    try {
      await run(new SeededRandom(SEED + i), i);
      if (i % 50 === 49) await nothingIsLeft();
    } catch (cause) {
      throw new Error(`seed ${SEED + i}`, { cause });
    }
  }
  await nothingIsLeft();
  return total;
}

/** What came holds nothing of the witnesses'. */
function assertOwn(received: Buffer): void {
  assert.ok(!received.includes('witness'), 'bytes of another session');
}

test('clients that send anything, before and after their startup packet', async () => {
  upstream.behaviour = echo;
  await runs(400, async (random) => {
    const messages = Array.from({ length: 1 + random.below(20) }, () => clientMessage(random));
    const start = random.chance(0.9) ? STARTUP : Buffer.from(random.bytes(random.below(30)));
    assertOwn(await send(Buffer.concat([start, damaged(random, messages)]), random));
  });
});

test('startup packets of any length, number and order', async () => {
  upstream.behaviour = echo;
  await runs(200, async (random) => {
    const packets = [
      STARTUP,
      encodeSslRequest(),
      encodeCancelRequest(Buffer.from(random.bytes(random.below(300)))),
      Buffer.from(random.bytes(random.below(64))),
    ];
    const bytes = Buffer.concat(Array.from({ length: 1 + random.below(4) }, () => packets[random.below(4)]!));
    if (random.chance(0.5) && bytes.length >= 4) bytes.writeUInt32BE(LENGTHS[random.below(LENGTHS.length)]!, 0);
    assertOwn(await send(bytes, random));
  });
});

/** Answers of sensible and of senseless servers. */
function serverAnswer(random: SeededRandom): Buffer {
  const body = (): Buffer => Buffer.from(random.bytes(random.below(40)));
  const all = [
    () => serverMessage('Z', 'ITE?'[random.below(4)]!),
    () => serverMessage('C', 'SELECT 1\0'),
    () => serverMessage('C', 'COMMIT\0'),
    () => serverMessage('E', 'SERROR\0VERROR\0C42601\0Mno\0\0'),
    () => serverMessage('E', 'VFATAL\0C57P01\0Mno\0\0'),
    () => serverMessage('D', Buffer.from([0, 1, 0, 0, 0, 4, 0x37, 0x62, 0x37, 0x64])),
    () => serverMessage('D', body()),
    () => serverMessage('1'),
    () => serverMessage('2'),
    () => serverMessage('3'),
    () => serverMessage('n'),
    () => serverMessage('s'),
    () => serverMessage('I'),
    () => serverMessage('G', Buffer.alloc(3)),
    () => serverMessage('H', Buffer.alloc(3)),
    () => serverMessage('W', Buffer.alloc(3)),
    () => serverMessage('S', 'client_encoding\0NONSENSE\0'),
    () => serverMessage('S', body()),
    () => serverMessage('K', body()),
    () => serverMessage('R', Buffer.from([0, 0, 0, random.below(14)])),
    () => serverMessage(String.fromCharCode(random.below(256)), body()),
  ];
  return all[random.below(all.length)]!();
}

/** The fuzzed session's upstream says what `speak` gives for each chunk; the witnesses' goes on as ever. */
function saying(speak: (socket: Socket) => void): Behaviour {
  return (socket, name) => (name === NAME ? () => speak(socket) : echo(socket, name));
}

test('upstreams that answer anything, more than was asked, or garbage, and that end anywhere', async () => {
  await runs(400, async (random) => {
    const answers = Array.from({ length: 1 + random.below(30) }, () => serverAnswer(random));
    let bytes = damaged(random, answers);
    upstream.behaviour = saying((socket) => {
      const next = 1 + random.below(Math.max(1, bytes.length));
      socket.write(bytes.subarray(0, next));
      bytes = bytes.subarray(next);
      if (bytes.length === 0) socket.destroySoon();
    });
    const messages = Array.from({ length: 1 + random.below(10) }, () => clientMessage(random));
    assertOwn(await send(Buffer.concat([STARTUP, ...messages]), random, 1 + random.below(2)));
  });
  upstream.behaviour = echo;
});

test('upstreams that die at each byte of an answer', async () => {
  const row = serverMessage('D', Buffer.from([0, 1, 0, 0, 0, 4, 0x37, 0x62, 0x37, 0x64]));
  const bodies: ReadonlyArray<[Buffer, Buffer]> = [
    [
      say.query('select 1'),
      Buffer.concat([serverMessage('T', Buffer.alloc(2)), row, serverMessage('C', 'SELECT 1\0')]),
    ],
    [say.query(CREATE), Buffer.concat([serverMessage('T', Buffer.alloc(2)), row, serverMessage('C', 'SELECT 1\0')])],
    [
      Buffer.concat([say.parse('', CREATE), say.bind('', ''), say.execute(''), say.sync()]),
      Buffer.concat([
        ...'312'.split('').map((type) => serverMessage(type)),
        row,
        serverMessage('C', 'SELECT 1\0'),
        ...'33'.split('').map((type) => serverMessage(type)),
      ]),
    ],
    [
      say.query(`select 1; ${SHOW}; select 2`),
      Buffer.concat([serverMessage('C', 'BEGIN\0'), serverMessage('Z', 'T'), row, serverMessage('C', 'SELECT 1\0')]),
    ],
  ];
  let deaths = 0;
  for (const [question, answer] of bodies) {
    for (let at = 0; at <= answer.length; at++) {
      let isSaid = false;
      upstream.behaviour = saying((socket) => {
        if (isSaid) return;
        isSaid = true;
        if (at % 2 === 0) socket.end(answer.subarray(0, at));
        else socket.write(answer.subarray(0, at), () => socket.resetAndDestroy());
      });
      const random = new SeededRandom(at);
      const socket = connect(proxy.address);
      socket.on('error', () => undefined);
      let received = Buffer.alloc(0);
      socket.on('data', (chunk: Buffer) => (received = Buffer.concat([received, chunk])));
      socket.write(Buffer.concat([STARTUP, question]));
      await new Promise((resolve) => socket.once('close', resolve));
      assertOwn(received);
      if (random.chance(0.2)) witnesses[0]!.ask();
      deaths++;
    }
    await nothingIsLeft();
  }
  assert.ok(deaths > 150, `${deaths} deaths`);
  upstream.behaviour = echo;
});

test('clients that send more than may be kept are not read on', async () => {
  let asked: Socket | null = null;
  upstream.behaviour = saying((own) => (asked = own));
  // A question of ours is not answered, so that all behind it waits its turn.
  const socket = connect(proxy.address);
  socket.on('error', () => undefined);
  const total = 64 * 1_048_576;
  const bulk = Buffer.concat(Array.from({ length: 150_000 }, () => say.query('select 1')));
  socket.write(STARTUP);
  await new Promise((resolve) => socket.once('data', resolve));
  socket.write(say.query(CREATE));
  let sent = 0;
  let isFull = false;
  while (sent < total && !isFull) {
    sent += bulk.length;
    socket.write(bulk);
    const waiting = await settledLength(socket);
    isFull = waiting > 0 && waiting === (await settledLength(socket));
  }
  // What the kernel keeps between is the rest.
  assert.ok(isFull && !socket.destroyed, `${sent} taken`);
  socket.resetAndDestroy();
  // Of a client that is not read on, the end is seen when there is something to write: as it is with a server.
  (asked as Socket | null)?.end(serverMessage('E', 'VFATAL\0C57P01\0Mno\0\0'));
  await nothingIsLeft();
  upstream.behaviour = echo;
});

/** What waits to be written once the witnesses have been answered some more. */
async function settledLength(socket: Socket): Promise<number> {
  for (let i = 0; i < 3; i++) for (const witness of witnesses) await witness.check();
  return socket.writableLength;
}

test('slow and silent clients before authentication hold no others up, and are let go', async () => {
  const limits = { drainTimeoutMs: 100, lingerMs: 50, authenticationTimeoutMs: 300, bytesBeforeAuthentication: 10_000 };
  const own = new CountingClock();
  const other = await startProxy(upstream.address, { clock: own, limits });
  const slow = Array.from({ length: 200 }, (_, i) => {
    const socket = connect(other.address);
    socket.on('error', () => undefined);
    socket.write(STARTUP.subarray(0, i % STARTUP.length));
    return new Promise((resolve) => socket.resume().once('close', resolve));
  });
  for (const witness of witnesses) await witness.check();
  await Promise.all(slow);
  await waitFor('the sessions to end', () => other.frontend.stats().connectionsOpen === 0);
  assert.equal(own.waiting, 0);
});

test('the witnesses were answered all along', async () => {
  await nothingIsLeft();
  for (const witness of witnesses) {
    assert.ok(witness.answered > 30, `${witness.answered}`);
    witness.close();
  }
  await waitFor('all sessions to end', () => proxy.frontend.stats().connectionsOpen === 0);
  assert.equal(clock.waiting, 0);
});
