import assert from 'node:assert/strict';
import { type AddressInfo, createServer, type LookupFunction } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { systemRandom } from '../../src/base/random.ts';
import { Delivery } from '../../src/delivery/delivery.ts';
import { IDLE_CAPTURE, reportStream } from '../../src/engine/status.ts';
import { DeliveryStore } from '../../src/log/delivery-store.ts';
import type { StreamReport } from '../../src/model/status.ts';
import { AddressGuard, parseEgressAllow } from '../../src/sinks/address-guard.ts';
import { WebhookSink } from '../../src/sinks/webhook/webhook-sink.ts';
import { ENDLESS, GOOD_ANSWER, ODD } from '../support/bad-answers.ts';
import { MemoryChunkSource, streamDefinition } from '../support/delivery-fakes.ts';
import { insertRows, writer } from '../support/delivery-stage.ts';
import { onRequests, startRawServer } from '../support/raw-server.ts';
import { CERTIFICATES } from '../support/server-certificates.ts';
import { temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { WebhookReceiver } from '../support/webhook-receiver.ts';

// Whatever an endpoint, its name or the disk does: status and metrics tell it, `running` is not shown while nothing is
// acknowledged, and once it is well everything arrives.

const EVENTS = 3;
const STREAMING = { ...IDLE_CAPTURE, state: 'streaming' } as const;

interface Endpoint {
  readonly url: string;
  readonly lookup?: LookupFunction;
}

/** A stream with events to send, to a real endpoint on the real clock. */
function stage(endpoint: Endpoint, requestTimeoutMs = 10_000) {
  const chunks = writer();
  insertRows(chunks, 1, EVENTS);
  chunks.cut();
  const store = DeliveryStore.open(join(temporaryFolder(), 'delivery.db'));
  const definition = streamDefinition({
    destination: { kind: 'webhook', url: endpoint.url },
    options: {
      initialBackoffMs: 20,
      maxBackoffMs: 50,
      requestTimeoutMs,
      circuitBreaker: false,
    },
  });
  const delivery = new Delivery({
    source: new MemoryChunkSource(chunks.chunks),
    store,
    createSink: ({ destination, options }) =>
      new WebhookSink({
        url: destination.kind === 'webhook' ? destination.url : '',
        options,
        secrets: {},
        userAgent: 'walhook/0.0.0',
        guard: new AddressGuard(parseEgressAllow(['127.0.0.1'])),
        clock: systemClock,
        ...(endpoint.lookup === undefined ? {} : { lookup: endpoint.lookup }),
      }),
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
  });
  const stop = new AbortController();
  const running = delivery.run(stop.signal);
  delivery.configure([definition]);
  const report = (): StreamReport => reportStream(definition, delivery.status()[0]!, STREAMING, systemClock.now());
  const end = async (): Promise<void> => {
    stop.abort();
    await running;
    store.close();
  };
  return { delivery, store, definition, report, end };
}

type Stage = ReturnType<typeof stage>;

/** Looks on until so many attempts have failed as expected. At any moment: what has failed since the last good answer is not running. */
async function seeFailures(on: Stage, expected: string, count: number): Promise<void> {
  const [kind] = expected.split(' ');
  await waitFor(`${count} attempts that are ${expected}`, () => {
    const { status, statusReason, delivery } = on.report();
    if (delivery.lastError !== null) {
      assert.deepEqual([status, statusReason], ['retrying', delivery.lastError]);
      assert.notEqual(delivery.lastErrorAtMs, null);
    }
    assert.equal(delivery.eventsDelivered, 0);
    assert.equal(delivery.pendingEvents, EVENTS);
    const failed = deliveriesOf(on).filter(({ outcome, errorCode }) => `${outcome} ${errorCode}` === expected);
    return failed.length >= count;
  });
  const { delivery } = on.report();
  const counted = delivery.measures!.attempts.filter(({ outcomeClass }) => outcomeClass === kind);
  assert.ok(counted.reduce((sum, one) => sum + one.count, 0) >= count, 'the metrics have them');
  assert.ok(delivery.eventsFailed >= count);
}

function deliveriesOf({ delivery, definition }: Stage) {
  const answer = delivery.control({ kind: 'deliveries', streamIds: [definition.id], limit: 1_000 });
  assert.ok(answer.kind === 'deliveries');
  return answer.deliveries;
}

async function seeRecovery(on: Stage): Promise<void> {
  await waitFor('everything to arrive', () => on.report().delivery.eventsDelivered === EVENTS);
  const { status, statusReason, delivery, lagSeconds } = on.report();
  assert.deepEqual([status, statusReason, delivery.pendingEvents, lagSeconds], ['running', null, 0, 0]);
  assert.deepEqual([delivery.deadLetters, delivery.eventsCaptured], [0, EVENTS]);
  const ok = delivery.measures!.attempts.filter(({ outcomeClass }) => outcomeClass === 'ok');
  assert.equal(
    ok.reduce((sum, { count }) => sum + count, 0),
    EVENTS,
  );
  await on.end();
}

for (const { name, answer, expected } of [...ENDLESS, ...ODD].filter((one) => one.expected !== 'ok')) {
  test(`a receiver that answers with ${name}: the stream is retrying, and says ${expected}`, async () => {
    let isBad = true;
    const server = await startRawServer((socket) => {
      onRequests(socket, () => (isBad ? answer(socket) : socket.write(GOOD_ANSWER)));
    });
    const on = stage({ url: server.url }, expected.endsWith(' timeout') ? 250 : undefined);
    await seeFailures(on, expected, 2);
    isBad = false;
    await seeRecovery(on);
  });
}

test('nobody listens: the stream is retrying until somebody does', async () => {
  const at = createServer();
  await new Promise<void>((resolve) => at.listen(0, '127.0.0.1', resolve));
  const { port } = at.address() as AddressInfo;
  await new Promise((resolve) => at.close(resolve));
  const on = stage({ url: `http://127.0.0.1:${port}/` });
  await seeFailures(on, 'transient connection_refused', 3);
  const back = createServer((socket) => onRequests(socket, () => socket.write(GOOD_ANSWER)));
  await new Promise<void>((resolve) => back.listen(port, '127.0.0.1', resolve));
  await seeRecovery(on);
  back.close();
});

for (const [what, tls] of [
  ['has expired', CERTIFICATES.expired],
  ['is another host’s', CERTIFICATES.elsewhere],
] as const) {
  test(`a certificate that ${what}: the stream is retrying, and goes on where it is not looked at`, async () => {
    const at = await WebhookReceiver.start(tls);
    after(() => at.stop());
    const on = stage({ url: at.url() });
    await seeFailures(on, 'misconfigured tls_error', 3);
    const options = { ...on.definition.options, tlsInsecureSkipVerify: true };
    on.delivery.configure([{ ...on.definition, options }]);
    await seeRecovery(on);
  });
}

const failing = (code: string): LookupFunction => {
  return (_host, _options, callback) => callback(Object.assign(new Error(code), { code }), []);
};

/** What a name comes to, and what of it the stream says. */
const NAMES: readonly (readonly [what: string, lookup: LookupFunction, expected: string])[] = [
  ['does not exist', failing('ENOTFOUND'), 'misconfigured dns_unknown_host'],
  ['has a server that fails', failing('EAI_AGAIN'), 'transient dns_error'],
  ['has a server that never answers', () => undefined, 'transient timeout'],
  [
    'turns to a private address',
    (_host, _options, callback) => callback(null, [{ address: '10.0.0.1', family: 4 }]),
    'misconfigured egress_blocked',
  ],
];

for (const [what, lookup, expected] of NAMES) {
  test(`a name that ${what}: the stream is retrying, and goes on once it is well`, async () => {
    const at = await WebhookReceiver.start();
    after(() => at.stop());
    let isWell = false;
    const well: LookupFunction = (_host, _options, callback) => callback(null, [{ address: '127.0.0.1', family: 4 }]);
    const endpoint = {
      url: `http://hooks.example:${at.port}/`,
      lookup: (...asked: Parameters<LookupFunction>) => (isWell ? well : lookup)(...asked),
    };
    const on = stage(endpoint, expected.endsWith(' timeout') ? 250 : undefined);
    await seeFailures(on, expected, 3);
    isWell = true;
    await seeRecovery(on);
  });
}

test('a disk that is full while acknowledgements are stored: the stream has failed, and says why', async () => {
  const at = await WebhookReceiver.start();
  after(() => at.stop());
  const on = stage({ url: at.url() });
  on.store.save = () => {
    throw new Error('database or disk is full');
  };
  const reason = 'delivery progress cannot be stored: database or disk is full';
  await waitFor('the truth', () => on.report().status === 'failed');
  assert.equal(on.report().statusReason, reason);
  Reflect.deleteProperty(on.store, 'save');
  await waitFor('the truth', () => on.report().status === 'running');
  await seeRecovery(on);
  assert.equal(at.requests.length, EVENTS, 'what was acknowledged is not sent again');
});
