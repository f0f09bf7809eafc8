import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { decide, listenProblems, type ListenConfig } from '../../src/cli/listen-answer.ts';
import { LISTEN_OPTIONS } from '../../src/cli/listen-options.ts';
import { printable } from '../../src/cli/local-receiver.ts';
import { defaultValues } from '../../src/config/load.ts';
import type { NativeEvent } from '../../src/receiver/native-event.ts';
import { BATCH, brief, send, sinkFor, untimed, withSecrets } from '../support/webhook-sinks.ts';

// A receiver that fails as it is told, and takes everything else.

const MAIN = join(import.meta.dirname, '..', '..', 'src', 'main.ts');

function event(id: string, table = 'orders', op = 'insert', key: object | null = { id: '1' }): NativeEvent {
  return { id, op, schema: 'public', table, key } as NativeEvent;
}

const EVENTS = [event('a'), event('b', 'users', 'delete', { id: 7 })];

const DECISIONS: readonly (readonly [
  name: string,
  config: Partial<ListenConfig>,
  numbers: readonly number[],
  expected: string[],
])[] = [
  ['nothing', {}, [1, 2], ['204', '204']],
  ['--fail 503', { fail: 503 }, [1, 2], ['503', '503']],
  ['--fail-every 3', { failEvery: 3 }, [1, 2, 3, 6], ['204', '204', '500', '500']],
  ['--fail 429 --fail-first 2', { fail: 429, failFirst: 2 }, [1, 2, 3], ['429', '429', '204']],
  ['--retry-after 1500ms', { fail: 503, retryAfter: 1_500 }, [1], ['503 retry-after 2']],
  ['--stall 5s', { stall: 5_000 }, [1], ['204 after 5000']],
  ['--stall-every 2', { stall: 5_000, stallEvery: 2 }, [1, 2], ['204', '204 after 5000']],
  ['--reset-every 2', { resetEvery: 2, fail: 500 }, [1, 2], ['500', 'reset']],
  ['--reject-table users', { rejectTable: ['users'] }, [1], ['422']],
  ['--reject-table public.orders', { rejectTable: ['public.orders'] }, [1], ['422']],
  ['--reject-table other.orders', { rejectTable: ['other.orders'] }, [1], ['204']],
  ['--reject-op delete', { rejectOp: ['delete'] }, [1], ['422']],
  ['--reject-table orders --reject-op delete', { rejectTable: ['orders'], rejectOp: ['delete'] }, [1], ['204']],
  ['--reject-key 7', { rejectKey: '7' }, [1], ['422']],
  ['--reject-key 1', { rejectKey: '1', rejectTable: ['users'] }, [1], ['204']],
  ['--reject-status 400', { rejectOp: ['insert'], rejectStatus: 400 }, [1], ['400']],
  ['--reject-status 200', { rejectOp: ['insert'], rejectStatus: 200 }, [1], ['200 {"failed":["a"]}']],
];

for (const [name, changes, numbers, expected] of DECISIONS) {
  test(`listen, ${name}: ${expected.join(', ')}`, () => {
    const config = { ...defaultValues(LISTEN_OPTIONS), ...changes };
    const said = numbers.map((number) => {
      const { answer, delayMs } = decide(config, number, EVENTS);
      if (answer.kind === 'reset') return 'reset';
      const retryAfter = answer.headers?.['Retry-After'];
      const parts = [
        String(answer.status),
        ...(retryAfter === undefined ? [] : [`retry-after ${retryAfter}`]),
        ...(delayMs > 0 ? [`after ${delayMs}`] : []),
        ...(answer.body === undefined ? [] : [answer.body]),
      ];
      return parts.join(' ');
    });
    assert.deepEqual(said, expected);
  });
}

test('options that make no sense together are refused', () => {
  assert.deepEqual(listenProblems({ failEvery: 1, failFirst: 1 }), [
    '--fail-every and --fail-first exclude each other',
  ]);
  assert.match(listenProblems({ retryAfter: 1 })[0]!, /^--retry-after: nothing is told to fail/);
  assert.match(listenProblems({ rejectOp: ['upsert'] })[0]!, /^--reject-op: "upsert" is not one of insert/);
  assert.deepEqual(listenProblems({ retryAfter: 1, failEvery: 2, rejectOp: ['insert'] }), []);
});

test('what a terminal would take for commands is not printed', () => {
  assert.equal(printable('a\u001b[2Jb\u009bc\u202ed\r\n\te'), 'a\ufffd[2Jb\ufffdc\ufffdd\ufffd\n\te');
});

interface Running {
  readonly child: ChildProcess;
  readonly url: string;
  readonly lines: string[];
}

/** Runs `walhook listen` on any free port. */
async function listen(...args: string[]): Promise<Running> {
  const child = spawn(process.execPath, [MAIN, 'listen', '0', ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  after(() => child.kill());
  const lines: string[] = [];
  const reader = createInterface({ input: child.stdout });
  reader.on('line', (line) => lines.push(line));
  await once(reader, 'line');
  return { child, url: `${/http:\/\/[^;"]+/.exec(lines[0]!)![0]}/hook`, lines };
}

async function exitOf({ child }: Running): Promise<number | null> {
  if (child.exitCode !== null) return child.exitCode;
  const [code] = (await once(child, 'exit')) as [number | null];
  return code;
}

const body = (...events: readonly NativeEvent[]): Buffer => Buffer.from(JSON.stringify(events));

test('requests are verified, unpacked, printed and counted, and --count ends it', async () => {
  const running = await listen('--output', 'json', '--secret', 'one, two', '--count', '4', '--fail-every', '3');
  const { url } = running;
  const batch = { ...BATCH, body: body(event('a'), event('b')) };
  const outcomes = [
    await send(sinkFor(url, withSecrets({ signingSecret: 'two' }, { compression: 'zstd' })), batch),
    await send(sinkFor(url, withSecrets({ signingSecret: 'three' })), batch),
    await send(sinkFor(url, withSecrets({ signingSecret: 'one' })), batch),
    await send(sinkFor(url, withSecrets({ signingSecret: 'one' })), batch),
  ].map(brief);
  assert.deepEqual(outcomes, ['ok', 'misconfigured http_401', 'transient http_500', 'ok']);
  assert.equal(await exitOf(running), 1, 'not each was taken');
  const printed = running.lines.slice(1).map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.deepEqual(
    printed.map(({ number, verified, status, events, again }) => [number, verified, status, events, again]),
    [
      [1, true, 204, 2, 0],
      [2, false, 401, 0, 0],
      [3, true, 500, 2, 2],
      [4, true, 204, 2, 2],
    ],
  );
  assert.deepEqual(JSON.parse(printed[0]!.body as string), JSON.parse(batch.body.toString('utf8')));
  assert.equal((printed[0]!.headers as Record<string, string>)['x-cdc-stream'], 'orders_cdc_stream');
});

test('all well is exit code 0; a batch of which some fail is acknowledged in part', async () => {
  const well = await listen('--output', 'none', '--count', '1');
  assert.equal(brief(await send(sinkFor(well.url))), 'ok');
  assert.equal(await exitOf(well), 0);
  assert.equal(well.lines.at(-1), '1 requests, 1 events, 0 of them taken before, 0 requests refused');
  const partly = await listen('--output', 'line', '--reject-key', '7', '--reject-status', '200', '--count', '1');
  const batch = { ...BATCH, body: body(...EVENTS) };
  assert.deepEqual(untimed(await send(sinkFor(partly.url), batch)), { class: 'ok', status: 200, failed: ['b'] });
  assert.equal(await exitOf(partly), 1);
  assert.equal(partly.lines[1], '#1 POST /hook: 2 events, attempt 3 → 200 (rejected: public.users delete)');
});

test('--reset-every and --stall are what a client sees; Ctrl-C ends it while an answer waits', async () => {
  const running = await listen('--output', 'full', '--reset-every', '1');
  assert.equal(brief(await send(sinkFor(running.url))), 'transient connection_reset');
  assert.ok(running.lines.includes('POST /hook'), running.lines.join('\n'));
  assert.ok(running.lines.includes('webhook-id: 019b8d8a-7b6f-7c3f-8f83-b22a9aa26cff'));
  running.child.kill('SIGINT');
  assert.equal(await exitOf(running), 0);
  const slow = await listen('--output', 'line', '--stall', '1h');
  const sent = send(sinkFor(slow.url, { options: { requestTimeoutMs: 200 } }));
  assert.equal(brief(await sent), 'transient timeout');
  slow.child.kill('SIGINT');
  assert.equal(await exitOf(slow), 0);
  assert.match(slow.lines[1]!, /→ 204 after 3600000 ms$/);
});

const REFUSALS: readonly (readonly [args: string[], message: RegExp])[] = [
  [['nowhere'], /"nowhere" is no address; write host:port/],
  [['0', 'more'], /"more" is no option of listen/],
  [['0', '--fail', '99'], /--fail: "99" is no status/],
  [['0', '--stall', '5'], /--stall: "5" is no duration/],
  [['0', '--fail-every', '0'], /--fail-every: "0" is no whole number/],
  [['0', '--fail-every', '2', '--fail-first', '2'], /exclude each other/],
];

test('what is wrong with the command line is said, with exit code 2', () => {
  for (const [args, message] of REFUSALS) {
    const { status, stderr } = spawnSync(process.execPath, [MAIN, 'listen', ...args], {
      encoding: 'utf8',
      timeout: 20_000,
    });
    assert.equal(status, 2, args.join(' '));
    assert.match(stderr, message);
  }
  const { stdout } = spawnSync(process.execPath, [MAIN, 'listen', '--help'], { encoding: 'utf8', timeout: 20_000 });
  for (const { name } of Object.values(LISTEN_OPTIONS)) assert.ok(stdout.includes(`--${name} `), name);
});
