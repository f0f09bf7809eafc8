import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PgError } from '../../src/postgres/sqlstate.ts';
import { analyze, parameterCount } from '../../src/sql/analyze.ts';
import { defaultOptions } from '../../src/sql/options.ts';
import { parseStatement } from '../../src/sql/parser.ts';

type Parameters = readonly (string | null)[];

const run = (text: string, parameters: Parameters = []) => analyze(parseStatement(text), parameters);

test('a statement becomes a command with every default filled in', () => {
  assert.deepEqual(run(`CREATE CDC STREAM IF NOT EXISTS s ON "A".b TO WEBHOOK 'https://h/p?q=1' FORMAT JSON`), {
    kind: 'create-stream',
    name: 's',
    ifNotExists: true,
    table: { schema: 'A', name: 'b', position: 38 },
    destination: { kind: 'webhook', url: 'https://h/p?q=1' },
    options: defaultOptions(),
  });
});

test('the other statements become commands', () => {
  assert.deepEqual(run('PAUSE CDC STREAM a'), { kind: 'alter-stream', name: 'a', action: 'pause' });
  assert.deepEqual(run('ALTER CDC STREAM "A" RESUME'), { kind: 'alter-stream', name: 'A', action: 'resume' });
  assert.deepEqual(run('DROP CDC STREAM a, b'), { kind: 'drop-stream', names: ['a', 'b'], ifExists: false });
  assert.deepEqual(run('DROP CDC STREAM IF EXISTS a'), { kind: 'drop-stream', names: ['a'], ifExists: true });
  assert.deepEqual(run('SHOW CDC STREAMS'), { kind: 'show-streams' });
  assert.deepEqual(run('SHOW CDC STREAM STATUS a'), { kind: 'show-stream-status', name: 'a' });
});

const PARAMETERS = 'CREATE CDC STREAM ON t TO WEBHOOK $2 WITH (batch_size = $1, headers = $4, timeout_secs = $1) AS $3';

test('parameters stand for names, URLs and option values, one as often as one likes', () => {
  const statement = parseStatement(PARAMETERS);
  assert.equal(parameterCount(statement), 4);
  assert.deepEqual(analyze(statement, ['7', 'http://h', 'N', '{"a": "b"}']), {
    kind: 'create-stream',
    name: 'N',
    ifNotExists: false,
    table: { schema: null, name: 't', position: 22 },
    destination: { kind: 'webhook', url: 'http://h' },
    options: { ...defaultOptions(), batchMaxEvents: 7, requestTimeoutMs: 7000, headers: { a: 'b' } },
  });
});

test('a statement without parameters counts none, and TOPIC $n counts', () => {
  assert.equal(parameterCount(parseStatement('SHOW CDC STREAMS')), 0);
  assert.equal(parameterCount(parseStatement("CREATE CDC STREAM ON t TO WEBHOOK 'u'")), 0);
  assert.equal(parameterCount(parseStatement("CREATE CDC STREAM ON t TO KAFKA 'u' TOPIC $9")), 9);
});

test('every option value may be a string, a number or a word', () => {
  for (const value of ["'5'", '5', '$1', '$$5$$']) {
    const command = run(`CREATE CDC STREAM ON t TO WEBHOOK 'http://h' WITH (max_retries = ${value})`, ['5']);
    assert.equal(command.kind === 'create-stream' && command.options.maxRetries, 5);
  }
});

const create = (rest: string): string => `CREATE CDC STREAM s ON t TO WEBHOOK ${rest}`;
const url = (marked: string): string => create(marked);
const LONG = 'é'.repeat(32);

interface Refused {
  /** The token that the position is of stands after «. */
  readonly text: string;
  readonly code: string;
  readonly message: RegExp;
  readonly detail?: RegExp;
  readonly hint?: RegExp;
  readonly parameters?: Parameters;
}

const URL_FAULT = { code: '22023', message: /^invalid webhook URL$/ };
const refused: readonly Refused[] = [
  { text: url(`«'/relative'`), ...URL_FAULT, detail: /absolute/ },
  { text: url(`«''`), ...URL_FAULT, detail: /absolute/ },
  { text: url(`«'http:h'`), ...URL_FAULT, detail: /absolute/ },
  { text: url(`«'http://'`), ...URL_FAULT, detail: /absolute/ },
  { text: url(`«'http://h:99999/'`), ...URL_FAULT, detail: /absolute/ },
  { text: url(`«'ftp://h/'`), ...URL_FAULT, detail: /http or https/ },
  { text: url(`«'javascript:alert(1)'`), ...URL_FAULT, detail: /http or https/ },
  { text: url(`«'https://user:pw@h/'`), ...URL_FAULT, detail: /no user name/, hint: /headers/ },
  { text: url(`«'https://user@h/'`), ...URL_FAULT, detail: /no user name/, hint: /headers/ },
  { text: url(`«'https://h/#x'`), ...URL_FAULT, detail: /no fragment/ },
  { text: url(`«'https://h/#'`), ...URL_FAULT, detail: /no fragment/ },
  { text: url(`«' https://h/'`), ...URL_FAULT, detail: /white space/ },
  { text: url(`«E'https://h/\\na'`), ...URL_FAULT, detail: /white space/ },
  { text: url(`«'https://h/${'x'.repeat(9000)}'`), ...URL_FAULT, detail: /longer than 8192/ },
  { text: url('«$1'), ...URL_FAULT, detail: /absolute/, parameters: ['x'] },
  { text: url('«$1'), code: '42P02', message: /^there is no parameter \$1$/ },
  { text: url('«$1'), code: '22023', message: /^parameter \$1 must not be null$/, parameters: [null] },
  {
    text: url(`'http://h' WITH (timeout = «30)`),
    code: '22023',
    message: /timeout.*30/,
    detail: /'1ms'/,
    hint: /unit/,
  },
  { text: url(`'http://h' WITH (batch_size = «-1)`), code: '22023', message: /out of range/, detail: /1 to 10000/ },
  { text: url(`'http://h' WITH (batch_size = «$1)`), code: '22023', message: /"x"/, detail: /./, parameters: ['x'] },
  { text: url(`'http://h' WITH («max_retries)`), code: '22023', message: /needs a value/, hint: /max_retries = value/ },
  {
    text: url(`'http://h' WITH (headers = «'{"host": "x"}')`),
    code: '22023',
    message: /headers/,
    detail: /JSON/,
    hint: /host/,
  },
  {
    text: url(`'http://h' WITH (initial_backoff = '10s', max_backoff = «'5s', max_retries = 1)`),
    code: '22023',
    message: /^initial_backoff is longer than max_backoff$/,
    detail: /10000 ms.*5000 ms/,
  },
  {
    text: url(`'http://h' WITH (initial_backoff = «'10min')`),
    code: '22023',
    message: /^initial_backoff is longer than max_backoff$/,
    detail: /600000 ms.*300000 ms/,
  },
  { text: url(`'http://h' FORMAT «AVRO`), code: '0A000', message: /^FORMAT AVRO is not supported/, hint: /JSON/ },
  { text: url(`'http://h' ENVELOPE «FLAT`), code: '0A000', message: /^ENVELOPE FLAT is not/, hint: /NATIVE/ },
  {
    text: "CREATE CDC STREAM ON t TO «KAFKA 'k' TOPIC 'x'",
    code: '0A000',
    message: /^TO KAFKA is not/,
    hint: /WEBHOOK/,
  },
  { text: `CREATE CDC STREAM «${LONG} ON t TO WEBHOOK 'http://h'`, code: '42622', message: /64 bytes/, detail: /63/ },
  { text: `CREATE CDC STREAM ON t TO WEBHOOK 'http://h' AS «'${LONG}'`, code: '42622', message: /64/, detail: /63/ },
  {
    text: `CREATE CDC STREAM ON t TO WEBHOOK 'http://h' AS «$1`,
    code: '42622',
    message: /64/,
    detail: /63/,
    parameters: [LONG],
  },
  { text: `CREATE CDC STREAM ON t TO WEBHOOK 'http://h' AS «$1`, code: '22023', message: /empty/, parameters: [''] },
  { text: `CREATE CDC STREAM ON «a."${LONG}" TO WEBHOOK 'http://h'`, code: '42622', message: /64/, detail: /63/ },
  { text: `DROP CDC STREAM a, «${LONG}`, code: '42622', message: /64 bytes/, detail: /63/ },
  { text: `SHOW CDC STREAM STATUS «"${LONG}"`, code: '42622', message: /64 bytes/, detail: /63/ },
  { text: `PAUSE CDC STREAM «${LONG}`, code: '42622', message: /64 bytes/, detail: /63/ },
];

for (const { text: marked, code, message, detail, hint, parameters } of refused) {
  test(`refuse: ${marked.slice(0, 120)}`, () => {
    assert.throws(
      () => run(marked.replace('«', ''), parameters),
      (error) => {
        assert.ok(error instanceof PgError);
        assert.equal(error.code, code);
        assert.match(error.message, message);
        assert.equal(error.position, marked.indexOf('«') + 1);
        for (const [actual, expected] of [
          [error.detail, detail],
          [error.hint, hint],
        ] as const) {
          if (expected === undefined) assert.equal(actual, undefined);
          else assert.match(actual ?? '', expected);
        }
        assert.doesNotMatch(`${error.message} ${error.detail} ${error.hint}`, /pw/);
        return true;
      },
    );
  });
}

test('a name of 63 bytes is taken', () => {
  assert.deepEqual(run(`SHOW CDC STREAM STATUS ${LONG.slice(1)}x`), {
    kind: 'show-stream-status',
    name: `${LONG.slice(1)}x`,
  });
});

test('any parameters give a command or a PgError with a position', () => {
  const parameter = fc.option(fc.oneof(fc.string({ unit: 'binary' }), fc.webUrl(), fc.json(), fc.nat().map(String)));
  const statement = parseStatement(PARAMETERS);
  fc.assert(
    fc.property(fc.array(parameter, { maxLength: 5 }), (parameters) => {
      try {
        analyze(statement, parameters);
      } catch (error) {
        if (!(error instanceof PgError)) throw error;
        assert.ok(error.position !== undefined && error.position <= PARAMETERS.length);
      }
    }),
    { numRuns: 1000 },
  );
});
