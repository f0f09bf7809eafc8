import assert from 'node:assert/strict';
import { beforeEach, suite, test } from 'node:test';
import { connect } from '../support/test-database.ts';
import { RawClient, reportsOf, say, statusOf, textRowsOf, typesOf } from '../support/raw-client.ts';
import { startPair, startProxy } from './proxy.ts';
import { startRecorder } from './query-recorder.ts';

// Law: a statement of ours that is no text, too long, too deep or too many gets an error that says so, in either protocol;
// the session goes on, and none of it reaches the upstream.

const { server, direct } = await startPair();
const sent: Buffer[] = [];
const proxy = await startProxy(await startRecorder(direct, ({ bytes }) => sent.push(bytes)));
const admin = await connect(server.url());
await admin.query('create table orders (id int primary key, status text)');

beforeEach(() => {
  proxy.streams.clear();
  sent.length = 0;
});

const URL_TEXT = `'https://example.com/'`;
const create = (source: string, rest = ''): string => `CREATE CDC STREAM s ON ${source} TO WEBHOOK ${URL_TEXT} ${rest}`;
const bytes = (before: string, bad: readonly number[], after: string): Buffer =>
  Buffer.concat([Buffer.from(before), Buffer.from(bad), Buffer.from(after)]);
const times = (count: number, text: (i: number) => string, separator = ', '): string =>
  Array.from({ length: count }, (_, i) => text(i)).join(separator);

interface Refused {
  readonly what: string;
  readonly text: string | Buffer;
  readonly code: string;
  readonly message: RegExp;
}

const REFUSED: readonly Refused[] = [
  {
    what: 'a zero byte',
    text: bytes('SHOW CDC STREAMS', [0], ' LIKE 1'),
    code: '08P01',
    message: /^(invalid message format|insufficient data left in message)$/,
  },
  {
    what: 'a byte that is no UTF-8',
    text: bytes('DROP CDC STREAM "a', [0xff], '"'),
    code: '22021',
    message: /^invalid byte sequence for encoding "UTF8": 0xff$/,
  },
  {
    what: 'a character cut short',
    text: bytes("COMMENT ON CDC STREAM ü IS '", [0xe2, 0x82], "'"),
    code: '22021',
    message: /^invalid byte sequence for encoding "UTF8": 0xe2 0x82 0x27$/,
  },
  {
    what: 'half a surrogate pair',
    text: bytes('-- ', [0xed, 0xa0, 0x80], '\nSHOW CDC STREAMS'),
    code: '22021',
    message: /^invalid byte sequence for encoding "UTF8": 0xed 0xa0 0x80$/,
  },
  {
    what: 'a predicate of 800,000 parentheses',
    text: create(`orders WHERE (${'('.repeat(400_000)}true${')'.repeat(400_000)})`),
    code: '54000',
    message: /^predicate too long/,
  },
  {
    what: 'a predicate a thousand levels deep',
    text: create(`orders WHERE (${'not '.repeat(1000)}true)`),
    code: '54001',
    message: /^predicate nests deeper/,
  },
  {
    what: 'half a million parentheses, a few not closed',
    text: create(`orders WHERE (${'('.repeat(250_000)}true${')'.repeat(249_990)})`),
    code: '42601',
    message: /^syntax error at end of input$/,
  },
  {
    what: 'comments half a million deep that do not end',
    text: `SHOW CDC STREAMS ${'/*'.repeat(500_000)}`,
    code: '42601',
    message: /^unterminated \/\* comment/,
  },
  {
    what: 'a statement of more than a mebibyte',
    text: `SHOW CDC STREAMS LIKE '${'x'.repeat(1_048_576)}'`,
    code: '54000',
    message: /^statement too long$/,
  },
  { what: 'a name of 1 MB', text: create('x'.repeat(1_000_000)), code: '42622', message: /^identifier too long/ },
  {
    what: 'a word of 1 MB in the place of a keyword',
    text: `ALTER CDC STREAM s ${'x'.repeat(1_000_000)}`,
    code: '42601',
    message: /^syntax error at or near "x{200}…"$/,
  },
  {
    what: 'a URL of 1 MB',
    text: `TEST CDC WEBHOOK 'https://example.com/${'x'.repeat(1_000_000)}'`,
    code: '22023',
    message: /^invalid webhook URL$/,
  },
  {
    what: 'a number of 1 MB',
    text: create('orders', `WITH (max_in_flight = ${'9'.repeat(1_000_000)})`),
    code: '22023',
    message: /^invalid value for option "max_in_flight": "9{100}"$/,
  },
  {
    what: 'a secret of 1 MB',
    text: `CREATE CDC SECRET k AS '${'x'.repeat(1_000_000)}'`,
    code: '22023',
    message: /^secret too long$/,
  },
  {
    what: '20,000 unknown options',
    text: create('orders', `WITH (${times(20_000, (i) => `o${i} = 1`)})`),
    code: '42601',
    message: /^unrecognized option "o0"$/,
  },
  {
    what: 'one option 20,000 times',
    text: create('orders', `WITH (${times(20_000, () => 'max_in_flight = 1')})`),
    code: '42601',
    message: /^option "max_in_flight" specified more than once$/,
  },
  {
    what: '20,000 headers',
    text: create('orders', `WITH (${times(20_000, (i) => `"header.X-${i}" = 'v'`)})`),
    code: '22023',
    message: /^too many headers$/,
  },
  {
    what: 'JSON a million levels deep',
    text: create('orders', `WITH (headers = '${'['.repeat(1_000_000)}')`),
    code: '22023',
    message: /^invalid value for option "headers"$/,
  },
  {
    what: '50,000 columns',
    text: create(`orders (${times(50_000, (i) => `c${i}`)})`),
    code: '42703',
    message: /^column "c0" of relation "orders" does not exist$/,
  },
  {
    what: '50,000 clauses',
    text: create('orders', 'FORMAT JSON '.repeat(50_000)),
    code: '42601',
    message: /^clause FORMAT specified more than once$/,
  },
  {
    what: '100,000 streams',
    text: `DROP CDC STREAM ${times(100_000, (i) => `s${i}`)}`,
    code: '42704',
    message: /^CDC stream "s0" does not exist$/,
  },
  {
    what: 'a string that does not end',
    text: `DROP CDC STREAM s; COMMENT ON CDC STREAM s IS 'x`,
    code: '42601',
    message: /^unterminated quoted string at or near "'…"$/,
  },
  {
    what: 'a name that does not end',
    text: 'DROP CDC STREAM "s; select 1',
    code: '42601',
    message: /^unterminated quoted identifier at or near/,
  },
  {
    what: 'a dollar quote that does not end',
    text: 'COMMENT ON CDC STREAM s IS $a$x$b$',
    code: '42601',
    message: /^unterminated dollar-quoted string at or near/,
  },
];

for (const { what, text, code, message } of REFUSED) {
  suite(what, () => {
    const isRefused = async (client: RawClient, status: string, ...messages: Buffer[]): Promise<void> => {
      client.send(...messages);
      const answer = await client.ready();
      const [report] = reportsOf(answer);
      assert.deepEqual(
        [typesOf(answer).replaceAll(/[^EZ]/g, ''), report?.['C'], statusOf(answer)],
        ['EZ', code, status],
      );
      assert.match(report!['M']!, message);
      assert.ok(report!['M']!.length < 300, `a message of ${report!['M']!.length} characters`);
    };
    for (const [protocol, messages] of [
      ['simple', [say.query(text)]],
      ['extended', [say.parse('', text), say.bind('', ''), say.execute(''), say.sync()]],
    ] as const) {
      test(`is refused, ${protocol}`, async () => {
        const client = await RawClient.start(proxy.address);
        await isRefused(client, 'I', ...messages);
        assert.deepEqual(textRowsOf(await client.query('select 1')), [['1']]);
        await client.query('begin');
        await isRefused(client, 'E', ...messages);
        await client.query('rollback');
        // What we ask of the server is small.
        assert.ok(!sent.some((one) => one.includes('CDC') || one.length > 5000), 'nothing of it went upstream');
        client.close();
      });
    }
  });
}

for (const [what, value, shown] of [
  ['a zero byte', Buffer.from([0x61, 0]), '0x00'],
  ['no UTF-8', Buffer.from([0x61, 0xff]), '0xff'],
] as const) {
  test(`a bind parameter with ${what} is refused`, async () => {
    const client = await RawClient.start(proxy.address);
    const parse = say.parse('', 'COMMENT ON CDC STREAM s IS $1');
    client.send(parse, say.bind('', '', [value]), say.execute(''), say.sync());
    const answer = await client.ready();
    const [report] = reportsOf(answer);
    assert.deepEqual([typesOf(answer), report!['C']], ['1EZ', '22021']);
    assert.equal(report!['M'], `invalid byte sequence for encoding "UTF8": ${shown}`);
    assert.deepEqual(textRowsOf(await client.query('select 1')), [['1']]);
    client.close();
  });
}

test('bytes that are no text in another client encoding are refused', async () => {
  const client = await RawClient.start(proxy.address, { client_encoding: 'EUC_JP' });
  const reportOf = async (name: readonly number[]): Promise<Record<string, string>> => {
    client.send(say.query(bytes('DROP CDC STREAM "', name, '"')));
    return reportsOf(await client.ready())[0]!;
  };
  const refused = await reportOf([0xb0]);
  assert.deepEqual([refused['C'], refused['M']], ['22021', 'invalid byte sequence for encoding "EUC_JP"']);
  assert.equal((await reportOf([0xc9, 0xbd]))['C'], '42704');
  client.close();
});
