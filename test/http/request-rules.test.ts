import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  cookieOf,
  foreignRequest,
  isForwarded,
  isLoopback,
  namesLoopback,
} from '../../src/http/console/request-rules.ts';

const hosts: [string | undefined, boolean][] = [
  ['localhost', true],
  ['LOCALHOST:7480', true],
  ['127.0.0.1', true],
  ['127.0.0.1:7480', true],
  ['127.8.9.10:1', true],
  ['[::1]:7480', true],
  ['[::1]', true],
  [undefined, false],
  ['', false],
  ['example.com', false],
  ['example.com:7480', false],
  ['localhost.example.com', false],
  ['127.0.0.1.example.com', false],
  ['127.0.0.1:7480:1', false],
  ['127.0.0.1@example.com', false],
  ['example.com/127.0.0.1', false],
  ['10.0.0.1:7480', false],
  ['0.0.0.0:7480', false],
  ['[::]:7480', false],
  ['127.1', false],
  ['2130706433', false],
];
for (const [host, isOurs] of hosts) {
  test(`the Host ${host} ${isOurs ? 'names' : 'does not name'} this machine`, () => {
    assert.equal(namesLoopback(host), isOurs);
  });
}

test('an address that others reach is no loopback address', () => {
  assert.deepEqual(['127.0.0.1', '::1', 'localhost', '0.0.0.0', '::', '192.168.0.1', 'walhook'].map(isLoopback), [
    true,
    true,
    true,
    false,
    false,
    false,
    false,
  ]);
});

const own = { host: 'localhost:7480', origin: 'http://localhost:7480', 'sec-fetch-site': 'same-origin' };
const requests: [string, string, Record<string, string | undefined>, boolean][] = [
  ['a POST of the page', 'POST', own, true],
  ['a POST of the page behind a proxy with TLS', 'POST', { ...own, origin: 'https://localhost:7480' }, true],
  ['a GET of the page, which has no origin', 'GET', { ...own, origin: undefined }, true],
  ['a GET of a program', 'GET', { host: own.host }, true],
  ['an address typed in', 'GET', { host: own.host, 'sec-fetch-site': 'none' }, true],
  ['a POST that does not say where from', 'POST', { host: own.host }, false],
  ['a POST of a frame without an origin', 'POST', { ...own, origin: 'null' }, false],
  ['a POST of another site', 'POST', { ...own, origin: 'https://example.com', 'sec-fetch-site': 'cross-site' }, false],
  ['one of another port here, the same site', 'POST', { ...own, origin: 'http://localhost:3000' }, false],
  ['the same, by what the browser says', 'GET', { ...own, origin: undefined, 'sec-fetch-site': 'same-site' }, false],
  ['a link from elsewhere', 'GET', { host: own.host, 'sec-fetch-site': 'cross-site' }, false],
  ['a POST typed in', 'POST', { ...own, 'sec-fetch-site': 'none' }, false],
  ['an origin that begins like ours', 'POST', { ...own, origin: 'http://localhost:7480.example.com' }, false],
];
for (const [what, method, headers, isOwn] of requests) {
  test(`${what}: ${isOwn ? 'let in' : 'refused'}`, () => {
    assert.equal(foreignRequest({ method, headers }) === null, isOwn);
  });
}

test('what a proxy has passed on is known by its headers', () => {
  assert.equal(isForwarded({ method: 'GET', headers: own }), false);
  for (const name of ['forwarded', 'via', 'x-forwarded-for', 'x-forwarded-host', 'x-real-ip']) {
    assert.equal(isForwarded({ method: 'GET', headers: { ...own, [name]: 'x' } }), true, name);
  }
});

test('a cookie is found among others', () => {
  const of = (cookie: string | undefined): string | null =>
    cookieOf({ method: 'GET', headers: { cookie } }, 'walhook_7480');
  assert.deepEqual(
    [of('walhook_7480=a-b'), of('x=1; walhook_7480=c ; y=2'), of('walhook_74801=d'), of(''), of(undefined)],
    ['a-b', 'c', null, null, null],
  );
});
