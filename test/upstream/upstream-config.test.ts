import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseUpstreamUrl, type UpstreamConfig } from '../../src/upstream/upstream-config.ts';
import { temporaryFolder } from '../support/test-database.ts';

const base: UpstreamConfig = {
  host: 'localhost',
  port: 5432,
  user: 'u',
  password: undefined,
  database: 'u',
  ssl: false,
};

test('connection URLs', () => {
  const cases: [string, Partial<UpstreamConfig>][] = [
    ['postgres://u@db.example/shop', { host: 'db.example', database: 'shop' }],
    ['postgresql://u:p%40ss@10.0.0.1:6543/a%20b', { host: '10.0.0.1', port: 6543, password: 'p@ss', database: 'a b' }],
    ['postgres://u@[::1]:5433/d', { host: '::1', port: 5433, database: 'd' }],
    ['postgres://u@%2Fvar%2Frun%2Fpostgresql/d', { host: '/var/run/postgresql', database: 'd' }],
    ['postgres:///d?user=u&host=/tmp&port=6000', { host: '/tmp', port: 6000, database: 'd' }],
    ['postgres://u@h/ignored?dbname=d', { host: 'h', database: 'd' }],
    ['postgres://u@h/d?sslmode=disable', { host: 'h', database: 'd' }],
    ['postgres://u@h/d?sslmode=require', { host: 'h', database: 'd', ssl: { rejectUnauthorized: false } }],
    ['postgres://u@h/d?sslmode=verify-full', { host: 'h', database: 'd', ssl: {} }],
  ];
  for (const [url, expected] of cases) assert.deepEqual(parseUpstreamUrl(url), { ...base, ...expected }, url);
});

test('a root certificate is read, and require then verifies', () => {
  const file = join(temporaryFolder(), 'root.crt');
  writeFileSync(file, 'a certificate');
  const { ssl } = parseUpstreamUrl(`postgres://u@h/d?sslmode=require&sslrootcert=${file}`);
  assert.ok(ssl !== false && ssl.ca === 'a certificate' && ssl.rejectUnauthorized === undefined);
});

test('what cannot be understood is refused without repeating it', () => {
  const urls = [
    'no url:secret',
    'mysql://u:secret@h/d',
    'postgres://h/secret',
    'postgres://u:secret@h/d?sslmode=prefer',
    'postgres://u:secret@h/d?connect_timeout=3',
    'postgres://u:secret%@h/d',
    'postgres://u:secret@h/d?port=0',
  ];
  for (const url of urls) {
    assert.throws(
      () => parseUpstreamUrl(url),
      (error: Error) => error.name === 'UpstreamUrlError' && !error.message.includes('secret'),
      url,
    );
  }
});
