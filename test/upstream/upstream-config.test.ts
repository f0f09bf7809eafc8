import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseUpstreamUrl } from '../../src/upstream/upstream-config.ts';
import { CERTIFICATES } from '../support/server-certificates.ts';
import { temporaryFolder } from '../support/test-database.ts';

const folder = temporaryFolder();
const file = (name: string, content: string): string => {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
};

test('hosts have the names that errors show, and sockets their paths', () => {
  const { hosts } = parseUpstreamUrl('postgres://u@h:1,[::1],%2Ftmp:2/d');
  assert.deepEqual(hosts, [
    { name: 'h:1', target: { host: 'h', port: 1 } },
    { name: '[::1]:5432', target: { host: '::1', port: 5432 } },
    { name: '/tmp/.s.PGSQL.2', target: { path: '/tmp/.s.PGSQL.2' } },
  ]);
});

test('one of several servers is given up sooner than the only one, unless the URL says', () => {
  const timeout = (url: string): number => parseUpstreamUrl(url).connectTimeoutMs;
  assert.deepEqual(
    [timeout('postgres://u@h'), timeout('postgres://u@h,i'), timeout('postgres://u@h,i?connect_timeout=20')],
    [10_000, 3_000, 20_000],
  );
});

const VERIFIES: [string, boolean, boolean][] = [
  // URL, whether the certificate is verified, whether its name is.
  ['sslmode=prefer', false, false],
  ['sslmode=require', false, false],
  ['sslmode=require&sslrootcert=ROOT', true, false],
  ['sslmode=prefer&sslrootcert=ROOT', true, false],
  ['sslmode=verify-ca&sslrootcert=ROOT', true, false],
  ['sslmode=verify-full&sslrootcert=ROOT', true, true],
  ['sslmode=verify-full', true, true],
  ['sslrootcert=system', true, true],
];
for (const [query, verifies, checksName] of VERIFIES) {
  test(`${query} ${verifies ? 'verifies' : 'does not verify'}, and ${checksName ? 'checks' : 'does not check'} the name`, () => {
    const root = file('root.crt', CERTIFICATES.root);
    const options = parseUpstreamUrl(`postgres://u@h/d?${query.replace('ROOT', root)}`).tls.options('h');
    assert.equal(options.rejectUnauthorized, verifies);
    assert.equal(options.checkServerIdentity === undefined, checksName);
  });
}

test('a server name is sent for names alone', () => {
  const { tls } = parseUpstreamUrl('postgres://u@h/d');
  assert.equal(tls.options('db.example').servername, 'db.example');
  assert.equal('servername' in tls.options('10.0.0.1'), false);
  assert.equal('servername' in tls.options('::1'), false);
});

test('certificates that cannot be used are refused at the start, by name', () => {
  const wrong = file('wrong.crt', 'no certificate');
  for (const [query, message] of [
    [`sslmode=require&sslrootcert=${folder}/missing.crt`, /sslrootcert: .*no such file/],
    [`sslcert=${folder}/missing.crt&sslkey=${wrong}`, /sslcert: .*no such file/],
    [`sslcert=${wrong}&sslkey=${wrong}`, /certificates cannot be used/],
  ] as const) {
    assert.throws(
      () => parseUpstreamUrl(`postgres://u:secret@h/d?${query}`),
      (error: Error) => {
        assert.equal(error.name, 'UpstreamUrlError');
        assert.match(error.message, message);
        return !error.message.includes('secret');
      },
    );
  }
});

test('a new certificate is used without a restart, and a broken one is not', () => {
  const path = file('rotated.crt', CERTIFICATES.root);
  const { tls } = parseUpstreamUrl(`postgres://u@h/d?sslmode=verify-ca&sslrootcert=${path}`);
  const first = tls.options('h').secureContext;
  assert.equal(tls.options('h').secureContext, first);
  writeFileSync(path, 'half');
  assert.equal(tls.options('h').secureContext, first);
  writeFileSync(path, CERTIFICATES.otherRoot);
  assert.notEqual(tls.options('h').secureContext, first);
});
