import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { RENEWED } from '../support/certificates.ts';
import { SELF_SIGNED } from '../support/self-signed.ts';
import { temporaryFolder } from '../support/test-database.ts';

const MAIN = join(import.meta.dirname, '..', '..', 'src', 'main.ts');

/** Runs a command line that is expected to be refused; nothing listens at the upstream's port. */
function walhook(...args: string[]): { status: number | null; stderr: string } {
  const { status, stderr } = spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8', timeout: 20_000 });
  return { status, stderr };
}

const ports = ['--listen', '127.0.0.1:0', '--http', '127.0.0.1:0'];
const refusals: [string, string[], RegExp][] = [
  ['no upstream', [], /--upstream \(or WALHOOK_UPSTREAM\) is required/],
  ['an upstream of another kind', ['--upstream', 'mysql://u:hunter2@h/d'], /no scheme of PostgreSQL's/],
  ['a word too much', ['--upstream', 'postgres://u@h/d', 'now'], /"now" is no option of serve/],
  [
    'a network that is none',
    ['--upstream', 'postgres://u@h/d', '--egress-allow', '10.0.0.0/99'],
    /--egress-allow: .*10\.0\.0\.0/,
  ],
  [
    'an upstream URL with several mistakes, all at once',
    ['--upstream', 'postgres://u:hunter2@h:0/d?sslmode=maybe&colour=red'],
    /--upstream: .*parameter "colour".*port is no number.*sslmode must be one of/,
  ],
  [
    'a root certificate that is not there',
    ['--upstream', 'postgres://u@h/d?sslmode=verify-full&sslrootcert=/nowhere/root.crt'],
    /--upstream: .*sslrootcert: .*no such file/,
  ],
];

for (const [what, args, message] of refusals) {
  test(`serve refuses ${what} with exit code 2 and says why`, () => {
    const { status, stderr } = walhook('serve', ...ports, '--data-dir', join(temporaryFolder(), 'data'), ...args);
    assert.equal(status, 2, stderr);
    assert.match(stderr, message);
    assert.doesNotMatch(stderr, /hunter2/);
  });
}

test('serve --print-config prints the options and starts nothing', () => {
  const dataDir = join(temporaryFolder(), 'data');
  const args = ['serve', '--print-config', '--upstream', 'postgres://u:hunter2@h/d', '--data-dir', dataDir];
  const { status, stdout } = spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8', timeout: 20_000 });
  assert.equal(status, 0);
  assert.match(stdout, new RegExp(`^WALHOOK_DATA_DIR=${dataDir} # flag$`, 'm'));
  assert.match(stdout, /^WALHOOK_LISTEN=127\.0\.0\.1:7432 # default$/m);
  assert.doesNotMatch(stdout, /hunter2/);
  assert.equal(existsSync(dataDir), false);
});

test('an address that is in use is said with the option that chooses another', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const taken = `127.0.0.1:${(other.address() as AddressInfo).port}`;
  const dataDir = (): string[] => ['--data-dir', join(temporaryFolder(), 'data')];
  const upstream = ['--upstream', 'postgres://u@127.0.0.1:1/d'];
  const cases: [args: string[], choice: string][] = [
    [['serve', ...upstream, ...dataDir(), '--listen', taken, '--http', '127.0.0.1:0'], '--listen'],
    [['serve', ...upstream, ...dataDir(), '--listen', '127.0.0.1:0', '--http', taken], '--http'],
    [['start', ...dataDir(), ...ports, '--receiver', taken], '--receiver'],
    [['listen', taken], 'walhook listen HOST:PORT'],
  ];
  for (const [args, choice] of cases) {
    const { status, stderr } = walhook(...args);
    assert.equal(status, 1, stderr);
    const said = `walhook: ${taken} is in use, by another walhook or its demo perhaps: end that, or choose another with ${choice}`;
    assert.equal(stderr.trim().split('\n').at(-1), said);
  }
  other.close();
});

test('all that is wrong with TLS is said at once, with the rest', () => {
  const folder = temporaryFolder();
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const cases: [string[], RegExp[]][] = [
    [
      ['--tls-mode', 'sometimes', '--max-clients', 'many'],
      [/--tls-mode: .*verify-full/, /--max-clients/],
    ],
    [['--tls-mode', 'require'], [/--tls-mode: require needs a certificate/]],
    [['--tls-key', '/no/such/key'], [/--tls-key: it needs --tls-cert/]],
    [['--tls-client-ca', '/no/such/ca'], [/--tls-client-ca: it needs TLS/]],
    [
      ['--tls-mode', 'verify-full', '--tls-cert', '/no/such/cert', '--tls-key', folder, '--log-level', 'x'],
      [
        /--log-level/,
        /verify-full needs --tls-client-ca/,
        /--tls-cert: "\/no\/such\/cert" does not exist/,
        /--tls-key: .*folder/,
      ],
    ],
    [
      ['--tls-cert', file('a.crt', SELF_SIGNED.cert), '--tls-key', file('b.key', RENEWED.key)],
      [/--tls-key: .* is not the key of the certificate/],
    ],
    [
      [
        '--tls-cert',
        file('junk', 'junk'),
        '--tls-key',
        file('c.key', SELF_SIGNED.cert),
        '--tls-client-ca',
        join(folder, 'junk'),
      ],
      [/--tls-cert: .*cannot be used/, /--tls-key: .*cannot be used/, /--tls-client-ca: .*cannot be used/],
    ],
  ];
  for (const [args, messages] of cases) {
    const { status, stderr } = walhook(
      'serve',
      '--upstream',
      'postgres://u@h/d',
      ...ports,
      '--data-dir',
      folder,
      ...args,
    );
    assert.equal(status, 2, stderr);
    for (const message of messages) assert.match(stderr, message);
    assert.equal(stderr.trim().split('\n').length, messages.length + 1, stderr);
    assert.doesNotMatch(stderr, /BEGIN/);
  }
});

test('a command that does not exist is refused with the list of those that do', () => {
  const { status, stderr } = walhook('fly');
  assert.equal(status, 2);
  assert.match(stderr, /there is no command "fly"[^]*walhook serve/);
});
