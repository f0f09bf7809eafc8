import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigError, loadOptions } from '../../src/config/load.ts';
import { count, duration } from '../../src/config/option-spec.ts';
import { SERVE_OPTIONS, environmentName, optionTable, parseListen, parseTcpAddress } from '../../src/config/options.ts';

const UPSTREAM = 'postgres://app@db.internal/app';

test('a flag goes before the environment, the environment before the default', () => {
  const environment = { WALHOOK_UPSTREAM: UPSTREAM, WALHOOK_HTTP: ':9000', WALHOOK_LISTEN: '0.0.0.0:1' };
  const { values } = loadOptions(SERVE_OPTIONS, ['--listen', '[::1]:5433'], environment);
  assert.deepEqual(values.listen, [{ host: '::1', port: 5433 }]);
  assert.deepEqual(values.http, { host: '127.0.0.1', port: 9000 });
  assert.equal(values.dataDir, '.walhook');
  assert.equal(values.upstream, UPSTREAM);
});

test('an empty variable is as good as none', () => {
  const { values } = loadOptions(SERVE_OPTIONS, [`--upstream=${UPSTREAM}`], { WALHOOK_LOG_LEVEL: '' });
  assert.equal(values.logLevel, 'info');
});

test('every mistake is reported at once', () => {
  const load = (): unknown =>
    loadOptions(SERVE_OPTIONS, ['--listen', 'nowhere', '--colour', 'red', '--http', '1', '--http', '2'], {
      WALHOOK_LOG_LEVEL: 'loud',
    });
  assert.throws(load, (error: unknown) => {
    assert.ok(error instanceof ConfigError);
    assert.deepEqual(
      error.problems.map((problem) => problem.split(/[ :]/)[0]),
      ['--colour', '--http', '--upstream', '--listen', 'WALHOOK_LOG_LEVEL'],
    );
    return true;
  });
});

test('a refusal never shows the upstream password', () => {
  const load = (): unknown => loadOptions(SERVE_OPTIONS, ['--upstream', 'mysql://root:hunter2@db/app'], {});
  assert.throws(load, (error: unknown) => error instanceof ConfigError && !error.message.includes('hunter2'));
});

test('egress entries are split at commas', () => {
  const { values } = loadOptions(
    SERVE_OPTIONS,
    ['--upstream', UPSTREAM, '--egress-allow', '10.0.0.0/8, hooks.internal,'],
    {},
  );
  assert.deepEqual(values.egressAllow, ['10.0.0.0/8', 'hooks.internal']);
});

test('switches and words that are no options are left to the command', () => {
  const { rest } = loadOptions(SERVE_OPTIONS, ['--once', 'word', '--upstream', UPSTREAM], {}, ['--once']);
  assert.deepEqual(rest, ['--once', 'word']);
});

const addresses: [string, { host: string; port: number }][] = [
  ['127.0.0.1:7432', { host: '127.0.0.1', port: 7432 }],
  ['localhost:0', { host: 'localhost', port: 0 }],
  [':80', { host: '127.0.0.1', port: 80 }],
  ['80', { host: '127.0.0.1', port: 80 }],
  ['[fe80::1]:80', { host: 'fe80::1', port: 80 }],
];
for (const [text, address] of addresses) {
  test(`the address ${text} is read`, () => assert.deepEqual(parseTcpAddress(text), address));
}
for (const text of ['', 'host', 'host:', '::1:80', '1.2.3.4:65536', 'a b:1x']) {
  test(`the address "${text}" is refused`, () => assert.throws(() => parseTcpAddress(text), /write host:port/));
}

test('a list of addresses has TCP and unix sockets in it', () => {
  assert.deepEqual(parseListen('0.0.0.0:7432, /run/walhook/sql,/tmp/,:80'), [
    { host: '0.0.0.0', port: 7432 },
    { path: '/run/walhook/sql' },
    { path: '/tmp/.s.PGSQL.7432' },
    { host: '127.0.0.1', port: 80 },
  ]);
});

for (const text of ['', ',', '127.0.0.1:1,nowhere', 'run/walhook', `/${'x'.repeat(107)}`, `/${'x'.repeat(100)}/`]) {
  test(`the list of addresses "${text.slice(0, 30)}" is refused`, () => assert.throws(() => parseListen(text)));
}

const durations: [string, number][] = [
  ['0', 0],
  ['0s', 0],
  ['250ms', 250],
  ['30 s', 30_000],
  ['5min', 300_000],
  ['2h', 7_200_000],
  ['1d', 86_400_000],
];
for (const [text, ms] of durations) {
  test(`the duration ${text} is read`, () => assert.equal(duration(0)(text), ms));
}
for (const text of ['', '30', '-1s', '1.5s', '1w', 'never', '25d', '9999999999d']) {
  test(`the duration "${text}" is refused`, () => assert.throws(() => duration(0)(text), /duration|range/));
}
test('a duration may have a least value', () => assert.throws(() => duration(1)('0'), /range/));

test('counts are whole numbers in their range', () => {
  assert.deepEqual(['1', '7', '10'].map(count(1, 10)), [1, 7, 10]);
  for (const text of ['', '0', '11', '1.5', '-1', '1e1', 'x']) assert.throws(() => count(1, 10)(text), /1 to 10/);
});

test('what is wrong with values together is reported with the rest', () => {
  const check = ({ logLevel }: { logLevel?: string }): string[] => [`seen ${logLevel}`];
  const load = (): unknown => loadOptions(SERVE_OPTIONS, ['--listen', 'nowhere', '--log-level', 'warn'], {}, [], check);
  assert.throws(load, (error: unknown) => {
    assert.ok(error instanceof ConfigError);
    assert.equal(error.problems.length, 3);
    assert.equal(error.problems.at(-1), 'seen warn');
    return true;
  });
});

test('the option table has a row for each option', () => {
  const table = optionTable(SERVE_OPTIONS);
  for (const spec of Object.values(SERVE_OPTIONS)) {
    assert.ok(table.includes(`--${spec.name} `) && table.includes(environmentName(spec)), spec.name);
  }
});
