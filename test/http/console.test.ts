import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { systemRandom } from '../../src/base/random.ts';
import { AdminServer } from '../../src/http/admin-server.ts';
import { Console, type ConsoleOptions } from '../../src/http/console/console.ts';
import { SqlError, type SqlAccount, type SqlAnswer, type SqlGateway } from '../../src/http/console/sql-account.ts';
import { Metrics } from '../../src/metrics/registry.ts';
import { ConsoleClient } from '../support/console-client.ts';
import { temporaryFolder } from '../support/test-database.ts';

// The law: no page but the console's own gets anything out of a browser's session, or does anything with it.

const NOTHING: SqlAnswer = { columns: [], rows: [], tag: 'SHOW', notices: [], hidden: [], isAction: false };
const TOKEN = 'a token of the tests';

/** A gateway that keeps what it was asked. */
class FakeGateway implements SqlGateway {
  readonly asked: string[] = [];
  signInProblem: string | null = null;

  own(access: SqlAccount['access']): SqlAccount {
    return this.#account('walhook', access);
  }

  async signIn(user: string, password: string): Promise<SqlAccount> {
    if (password === 'right') return this.#account(user, 'client');
    throw new SqlError({ severity: 'FATAL', code: '28P01', message: 'wrong' });
  }

  #account(user: string, access: SqlAccount['access']): SqlAccount {
    const execute = async (sql: string): Promise<SqlAnswer> => {
      this.asked.push(`${user} ${access}: ${sql}`);
      return NOTHING;
    };
    return { user, database: 'd', access, open: () => ({ execute, close: () => undefined }) };
  }
}

async function start(
  options: Partial<ConsoleOptions> = {},
): Promise<{ client: ConsoleClient; sql: FakeGateway; console: Console }> {
  const sql = new FakeGateway();
  const console = new Console({
    version: '1.2.3',
    folder: join(temporaryFolder(), 'none'),
    openTo: 'viewer',
    token: null,
    sql,
    reports: async () => [],
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    ...options,
  });
  const server = new AdminServer({
    host: '127.0.0.1',
    port: 0,
    metrics: new Metrics(() => undefined),
    health: async () => [],
    readiness: async () => [],
    console,
  });
  const port = await server.listen();
  const stop = new AbortController();
  const finished = server.run(stop.signal);
  after(async () => {
    stop.abort();
    await finished;
  });
  return { client: new ConsoleClient(`http://127.0.0.1:${port}`), sql, console };
}

test('each answer of the console has a content security policy that lets in nothing from elsewhere', async () => {
  const { client } = await start();
  await client.comeIn();
  for (const path of ['/', '/api/session', '/api/nothing']) {
    const { headers } = await client.request('GET', path);
    const policy = headers.get('content-security-policy') ?? '';
    assert.match(policy, /default-src 'none'/, path);
    assert.doesNotMatch(policy, /unsafe|\*|https?:|data:/, path);
    assert.equal(headers.get('x-content-type-options'), 'nosniff');
    assert.equal(headers.get('x-frame-options'), 'DENY');
    assert.equal(headers.get('referrer-policy'), 'no-referrer');
  }
  assert.equal((await client.request('GET', '/api/session')).headers.get('cache-control'), 'no-store');
});

test('a session is a cookie that no script and no other site gets', async () => {
  const { client } = await start({ openTo: 'nobody' });
  const { headers } = await client.comeIn({ user: 'olga', password: 'right' });
  const port = new URL(client.origin).port;
  assert.match(
    headers.get('set-cookie')!,
    new RegExp(`^walhook_${port}=[\\w-]{43}; Path=/; HttpOnly; SameSite=Strict$`),
  );
  const tls = new ConsoleClient(client.origin);
  const secure = await tls.comeIn(
    { user: 'olga', password: 'right' },
    { origin: client.origin.replace('http', 'https') },
  );
  assert.match(secure.headers.get('set-cookie')!, /; Secure$/);
});

test('a request of another site, port or name is refused, whatever its session', async () => {
  const { client, sql } = await start();
  await client.comeIn();
  const foreign: [string, Record<string, string>][] = [
    ['no origin', { origin: '' }],
    ['another origin', { origin: 'https://example.com' }],
    ['another port of this machine', { origin: 'http://127.0.0.1:3000' }],
    ['no origin that can be told', { origin: 'null' }],
    ['another site, says the browser', { 'sec-fetch-site': 'cross-site' }],
    ['the same site and another origin', { 'sec-fetch-site': 'same-site' }],
  ];
  for (const [what, headers] of foreign) {
    for (const [method, path, body] of [
      ['POST', '/api/session', {}],
      ['POST', '/api/sql', { sql: 'SHOW CDC STREAMS' }],
      ['DELETE', '/api/session', undefined],
    ] as const) {
      assert.equal((await client.request(method, path, body, headers)).status, 403, `${what}: ${method} ${path}`);
    }
  }
  assert.equal((await client.request('GET', '/api/live', undefined, { 'sec-fetch-site': 'cross-site' })).status, 403);
  assert.deepEqual(sql.asked, []);
});

test('a name that was made to point here (DNS rebinding) gets in nowhere', async () => {
  const { client } = await start({ openTo: 'client' });
  // fetch() lets nobody choose the Host header; node:http does.
  const { request } = await import('node:http');
  const status = (method: string, path: string): Promise<number> =>
    new Promise((resolve, reject) => {
      const headers = {
        host: 'rebound.example:7480',
        origin: 'http://rebound.example:7480',
        'sec-fetch-site': 'same-origin',
      };
      const { port } = new URL(client.origin);
      const sent = request({ host: '127.0.0.1', port, method, path, headers }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      sent.on('error', reject);
      sent.end();
    });
  for (const [method, path] of [
    ['GET', '/api/session'],
    ['POST', '/api/session'],
    ['GET', '/api/live'],
    ['POST', '/api/sql'],
  ] as const) {
    assert.equal(await status(method, path), 403, `${method} ${path}`);
  }
});

test('an action needs the session’s own secret beside the cookie', async () => {
  const { client, sql } = await start();
  await client.comeIn();
  for (const csrf of ['', 'wrong', client.csrf!.slice(1)]) {
    assert.equal((await client.sql('SHOW CDC STREAMS', { 'x-csrf-token': csrf })).status, 403);
    assert.equal((await client.request('DELETE', '/api/session', undefined, { 'x-csrf-token': csrf })).status, 403);
  }
  assert.equal((await client.sql('SHOW CDC STREAMS', { cookie: '' })).status, 401);
  assert.equal((await client.sql('SHOW CDC STREAMS', { cookie: 'walhook_1=x' })).status, 401);
  assert.deepEqual(sql.asked, []);
  assert.equal((await client.sql('SHOW CDC STREAMS')).status, 200);
  assert.deepEqual(sql.asked, ['walhook viewer: SHOW CDC STREAMS']);
});

test('whoever comes through a proxy is not taken for somebody on this machine', async () => {
  const { client } = await start();
  for (const name of ['x-forwarded-for', 'forwarded', 'via']) {
    assert.equal((await client.comeIn({}, { [name]: '203.0.113.7' })).status, 401, name);
  }
  const { body } = await client.request('GET', '/api/session', undefined, { 'x-forwarded-for': '203.0.113.7' });
  assert.equal(body.isOpen, false);
});

test('signing in makes another session; the one before is over', async () => {
  const { client } = await start();
  await client.comeIn();
  const before = { cookie: client.cookie!, 'x-csrf-token': client.csrf! };
  await client.comeIn({ user: 'olga', password: 'right' });
  assert.notEqual(client.cookie, before.cookie);
  assert.equal((await client.sql('SHOW CDC STREAMS', before)).status, 401);
  assert.equal((await client.sql('SHOW CDC STREAMS')).status, 200);
});

test('another token ends what came in with the one before, and nothing else', async () => {
  const { client, console } = await start({ openTo: 'nobody', token: TOKEN });
  const byPassword = new ConsoleClient(client.origin);
  await client.comeIn({ token: TOKEN });
  await byPassword.comeIn({ user: 'olga', password: 'right', database: 'd' });
  console.setToken(TOKEN);
  assert.equal((await client.sql('SHOW CDC STREAMS')).status, 200);
  console.setToken('a second token of them');
  assert.equal((await client.sql('SHOW CDC STREAMS')).status, 401);
  assert.equal((await byPassword.sql('SHOW CDC STREAMS')).status, 200);
  assert.equal((await client.comeIn({ token: TOKEN })).status, 401);
  assert.equal((await client.comeIn({ token: 'a second token of them' })).status, 200);
  console.setToken(null);
  assert.equal((await client.comeIn({ token: 'a second token of them' })).status, 401);
});

test('what signs in is text, and the token is the whole token', async () => {
  const { client } = await start({ openTo: 'nobody', token: TOKEN });
  const refused: [object, number][] = [
    [{}, 401],
    [{ token: '' }, 400],
    [{ token: 1 }, 400],
    [{ token: TOKEN.slice(1) }, 401],
    [{ token: `${TOKEN} ` }, 401],
    [{ token: TOKEN, user: 'olga' }, 400],
    [{ user: 'olga' }, 400],
    [{ user: 'olga', password: '' }, 400],
    [{ user: 'ol\0ga', password: 'right' }, 400],
    [{ user: 'olga', password: 'right', database: ['d'] }, 400],
    [{ user: 'o'.repeat(2_000), password: 'right' }, 400],
    [{ user: 'olga', password: 'wrong' }, 401],
  ];
  for (const [body, status] of refused) assert.equal((await client.comeIn(body)).status, status, JSON.stringify(body));
  assert.equal((await client.comeIn({ token: TOKEN })).status, 200);
  assert.equal((await client.request('POST', '/api/sql', { sql: ['x'] })).status, 400);
  assert.equal((await client.request('POST', '/api/sql', { sql: 'x'.repeat(20_000) })).status, 413);
});

test('where clients have to show certificates, a password alone is no sign-in', async () => {
  const { client, sql } = await start({ openTo: 'nobody', token: TOKEN });
  sql.signInProblem = 'a certificate is needed';
  const { status, body } = await client.comeIn({ user: 'olga', password: 'right' });
  assert.deepEqual([status, body.error?.message], [401, 'a certificate is needed']);
  assert.equal((await client.comeIn({ token: TOKEN })).status, 200);
});

test('what is not built says so; what is built is served, and nothing beside it', async () => {
  const { client: without } = await start();
  const { status, headers } = await without.request('GET', '/');
  assert.deepEqual([status, headers.get('content-type')], [200, 'text/html; charset=utf-8']);

  const folder = join(temporaryFolder(), 'console');
  mkdirSync(join(folder, 'assets'), { recursive: true });
  writeFileSync(join(folder, 'index.html'), '<!doctype html>');
  writeFileSync(join(folder, 'assets', 'a-1.js'), 'export {}');
  writeFileSync(join(folder, '..', 'secret.txt'), 'secret');
  const { client } = await start({ folder });
  const script = await client.request('GET', '/assets/a-1.js');
  assert.equal(script.headers.get('content-type'), 'text/javascript; charset=utf-8');
  assert.match(script.headers.get('cache-control')!, /immutable/);
  assert.equal((await client.request('GET', '/')).headers.get('cache-control'), 'no-cache');
  for (const path of [
    '/../secret.txt',
    '/%2e%2e/secret.txt',
    '/assets/..%2f..%2fsecret.txt',
    '/assets/',
    '/index.js',
  ]) {
    assert.equal((await client.request('GET', path)).status, 404, path);
  }
});

test('a session has so many live pages, and no more', async () => {
  const { client } = await start();
  await client.comeIn();
  const stop = new AbortController();
  const open = Array.from({ length: 8 }, () => client.live('', stop.signal));
  await Promise.all(open.map((live) => live.next()));
  assert.equal((await client.request('GET', '/api/live')).status, 429);
  stop.abort();
});
