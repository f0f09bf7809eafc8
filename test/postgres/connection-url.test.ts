import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { parseConnectionUrl, UpstreamUrlError, type ConnectionUrl } from '../../src/postgres/connection-url.ts';

const base: ConnectionUrl = {
  hosts: [{ host: 'h', port: 5432 }],
  user: 'u',
  password: undefined,
  database: 'u',
  sslMode: 'prefer',
  sslNegotiation: 'postgres',
  sslRootCert: null,
  sslCert: null,
  sslKey: null,
  targetSessionAttrs: 'any',
  loadBalanceHosts: 'disable',
  connectTimeoutSeconds: null,
};
const at = (...hosts: [string, number][]): Pick<ConnectionUrl, 'hosts'> => ({
  hosts: hosts.map(([host, port]) => ({ host, port })),
});

suite('what is read', () => {
  const cases: [string, Partial<ConnectionUrl>][] = [
    ['postgres://u@h', {}],
    ['postgres://u@h/', {}],
    ['postgres://u@h/d', { database: 'd' }],
    ['postgresql://u:p%40s%2fs@10.0.0.1:6543/a%20b', { ...at(['10.0.0.1', 6543]), password: 'p@s/s', database: 'a b' }],
    ['postgres://u:a+b@h', { password: 'a+b' }],
    ['postgres://u:a:b?c@h', { password: 'a:b?c' }],
    ['postgres://u:@h', {}],
    ['postgres://u@[::1]:5433/d', { ...at(['::1', 5433]), database: 'd' }],
    ['postgres://u@[::1]', at(['::1', 5432])],
    ['postgres://u@a:1,b:2,[::1]:3/d', { ...at(['a', 1], ['b', 2], ['::1', 3]), database: 'd' }],
    ['postgres://u@a,b:2', at(['a', 5432], ['b', 2])],
    ['postgres://u@%2Fvar%2Frun%2Fpostgresql/d', { ...at(['/var/run/postgresql', 5432]), database: 'd' }],
    ['postgres:///d?user=u&host=/tmp&port=6000', { ...at(['/tmp', 6000]), database: 'd' }],
    ['postgres:///d?user=u&host=a,b&port=1,2', { ...at(['a', 1], ['b', 2]), database: 'd' }],
    ['postgres:///d?user=u&host=a,b&port=7', { ...at(['a', 7], ['b', 7]), database: 'd' }],
    ['postgres:///?user=u&host=a,b&port=,2', at(['a', 5432], ['b', 2])],
    ['postgres://u@h/ignored?dbname=d', { database: 'd' }],
    ['postgres://u@h?sslmode=disable', { sslMode: 'disable' }],
    ['postgres://u@h?sslrootcert=system', { sslMode: 'verify-full', sslRootCert: 'system' }],
    ['postgres://u@h?sslmode=verify-ca&sslrootcert=%2Fr', { sslMode: 'verify-ca', sslRootCert: '/r' }],
    ['postgres://u@h?sslmode=require&sslnegotiation=direct', { sslMode: 'require', sslNegotiation: 'direct' }],
    ['postgres://u@h?sslcert=c&sslkey=k', { sslCert: 'c', sslKey: 'k' }],
    ['postgres://u@h?target_session_attrs=prefer-standby', { targetSessionAttrs: 'prefer-standby' }],
    [
      'postgres://u@h?load_balance_hosts=random&connect_timeout=3',
      { loadBalanceHosts: 'random', connectTimeoutSeconds: 3 },
    ],
  ];
  for (const [url, expected] of cases) {
    test(url, () => assert.deepEqual(parseConnectionUrl(url), { ...base, ...expected }));
  }
});

suite('what is refused', () => {
  const cases: [string, RegExp][] = [
    ['no url', /it is no URL/],
    ['mysql://u:secret@h/d', /"mysql:\/\/" is no scheme/],
    ['postgres://h/secret', /names no user/],
    ['postgres://u:secret@/d', /names no host/],
    ['postgres://u:secret@a,,b', /a host in the list is empty/],
    ['postgres://u:secret@::1/d', /a host is malformed/],
    ['postgres://u:p@secret@h/d', /a host is malformed/],
    ['postgres://u:secret@[::1/d', /a host is malformed/],
    ['postgres://u:secret@[::1]x/d', /a host is malformed/],
    ['postgres://u:secret%@h/d', /password: malformed percent-encoding/],
    ['postgres://u:secret%00@h/d', /password: malformed percent-encoding/],
    ['postgres://u:secret@h:0/d', /a port is no number/],
    ['postgres://u:secret@h:65536/d', /a port is no number/],
    ['postgres://u:secret@h:x/d', /a port is no number/],
    ['postgres://u:secret@h/d?port=1,2', /1 hosts but 2 ports/],
    ['postgres://u:secret@h/d?hostname=a', /no parameter "hostname"/],
    ['postgres://u:secret@h/d?password=a&secret', /not written name=value/],
    ['postgres://u:secret@h/d?password=a=secret', /not written name=value/],
    ['postgres://u:secret@h/d?dbname=a&dbname=b', /dbname is given twice/],
    ['postgres://u:secret@h/d?sslmode=on', /sslmode must be one of disable, allow/],
    ['postgres://u:secret@h/d?sslmode=verify-ca', /verify-ca needs sslrootcert/],
    ['postgres://u:secret@h/d?sslmode=verify-ca&sslrootcert=system', /system needs sslmode verify-full/],
    ['postgres://u:secret@h/d?sslnegotiation=direct', /direct needs sslmode require/],
    ['postgres://u:secret@h/d?sslcert=c', /sslcert and sslkey go together/],
    ['postgres://u:secret@h/d?target_session_attrs=master', /target_session_attrs must be one of any/],
    ['postgres://u:secret@h/d?connect_timeout=0', /connect_timeout must be/],
    ['postgres://u:secret@h/d?connect_timeout=soon', /connect_timeout must be/],
  ];
  for (const [url, message] of cases) {
    test(url, () => {
      assert.throws(
        () => parseConnectionUrl(url),
        (error: unknown) => {
          assert.ok(error instanceof UpstreamUrlError);
          assert.match(error.message, message);
          return !error.message.includes('secret') || url === 'postgres://h/secret';
        },
      );
    });
  }
});

test('every mistake is told at once', () => {
  const url = 'postgres://h:0/d?sslmode=maybe&colour=red&connect_timeout=x';
  assert.throws(
    () => parseConnectionUrl(url),
    (error: unknown) => {
      assert.ok(error instanceof UpstreamUrlError);
      assert.equal(error.problems.length, 5);
      return true;
    },
  );
});

test('with one host it agrees with the URLs of the web', () => {
  const word = fc.string({ minLength: 1, maxLength: 12, unit: 'binary' }).filter((text) => !text.includes('\0'));
  const host = fc.oneof(
    fc.domain(),
    fc.ipV4(),
    fc.ipV6().map((address) => `[${address}]`),
  );
  fc.assert(
    fc.property(word, word, host, fc.integer({ min: 1, max: 65_535 }), word, (user, password, name, port, database) => {
      const [u, p, d] = [user, password, database].map(encodeURIComponent);
      const text = `postgres://${u}:${p}@${name}:${port}/${d}`;
      const read = parseConnectionUrl(text);
      const url = new URL(text);
      assert.deepEqual([read.user, read.password, read.database], [user, password, database]);
      assert.equal(read.hosts[0]!.port, Number(url.port));
      assert.equal(read.hosts[0]!.host, name.replace(/^\[(.*)\]$/, '$1'));
    }),
  );
});

test('whatever the text, it is read or refused', () => {
  const piece = fc.constantFrom(
    'postgres://',
    ':',
    '@',
    '/',
    '?',
    '&',
    '=',
    ',',
    '[',
    ']',
    '%',
    '%41',
    'host',
    'port',
    'a',
    '1',
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
      try {
        const { hosts } = parseConnectionUrl(`postgres://${pieces.join('')}`);
        assert.ok(hosts.length > 0 && hosts.every(({ host, port }) => host !== '' && port > 0));
      } catch (error) {
        assert.ok(error instanceof UpstreamUrlError);
      }
    }),
    { numRuns: 2_000 },
  );
});
