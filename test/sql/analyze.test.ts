import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PgError } from '../../src/postgres/sqlstate.ts';
import { analyze } from '../../src/sql/analyze.ts';
import { parameterCount } from '../../src/sql/parameter-count.ts';
import { parseStatement } from '../../src/sql/parser.ts';

type Parameters = readonly (string | null)[];

const run = (text: string, parameters: Parameters = []) => analyze(parseStatement(text), parameters);

const PARAMETERS = 'CREATE CDC STREAM ON t TO WEBHOOK $2 WITH (batch_size = $1, headers = $4, timeout_secs = $1) AS $3';

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
  {
    text: url(`'http://h' WITH (circuit_breaker = «maybe)`),
    code: '22023',
    message: /"maybe"/,
    detail: /true and false/,
  },
  {
    text: url(`'http://h' WITH (ordering = «keys)`),
    code: '22023',
    message: /"keys"/,
    detail: /key, table, stream, none/,
  },
  { text: url(`'http://h' WITH (timeout = «SECRET s)`), code: '22023', message: /does not take a secret/ },
  { text: url(`'http://h' WITH ("header.X" = «SECRET s)`), code: '22023', message: /does not take a secret/ },
  {
    text: url(`'http://h' WITH ("header.X" = «E'a\\nb')`),
    code: '22023',
    message: /header.X/,
    detail: /ASCII/,
    hint: /X/,
  },
  { text: url(`'http://h' WITH («"header.X")`), code: '22023', message: /needs a value/, hint: /header.X = value/ },
  {
    text: url(`'http://h' WITH (headers = '{"x": "1"}', "header.X" = «'2')`),
    code: '22023',
    message: /^header "X" specified more than once$/,
    detail: /headers/,
  },
  {
    text: url(`'http://h' WITH ("header.A" = '${'x'.repeat(3000)}', "header.B" = «'${'x'.repeat(3000)}')`),
    code: '22023',
    message: /^too many headers$/,
    detail: /4096/,
  },
  {
    text: url(`'http://h' WITH (bearer_token = «word)`),
    code: '22023',
    message: /bearer_token/,
    detail: /./,
    hint: /SECRET/,
  },
  { text: url(`'http://h' WITH (bearer_token = «'')`), code: '22023', message: /cannot be empty/ },
  { text: url(`'http://h' WITH (bearer_token = SECRET «${LONG})`), code: '42622', message: /64/, detail: /63/ },
  { text: url(`'http://h' WITH (start_lsn = «'x')`), code: '22023', message: /start_lsn/, detail: /16\/B374D848/ },
  ...(
    [
      ['bearer_token', 'two words', /without spaces/],
      ['basic_auth', 'user', /user:password/],
      ['auth_header', 'X-Api-Key', /Name: value/],
      ['auth_header', 'Content-Type: x', /set by the delivery/],
      ['auth_header', 'X-Key: a\nb', /printable ASCII/],
      ['signing_secret', 'whsec_no base64', /base64/],
      ['tls_ca', 'x', /BEGIN CERTIFICATE/],
      ['tls_client_key', '-----BEGIN ENCRYPTED PRIVATE KEY-----', /passphrase/],
    ] as const
  ).map(([option, value, detail]) => ({
    text: url(`'http://h' WITH (${option} = «'${value}')`),
    code: '22023' as const,
    message: new RegExp(`^invalid value for option "${option}"$`),
    detail,
  })),
  { text: url(`'http://h' WITH (compression = «lz4)`), code: '22023', message: /"lz4"/, detail: /gzip, br, zstd/ },
  {
    text: url(`'http://h' WITH (idempotency_header = «'Content-Length')`),
    code: '22023',
    message: /idempotency_header/,
    detail: /does not set otherwise/,
  },
  {
    text: url(`'http://h' WITH (headers = '{"X-A": "b"}', source_table_header = «'x-a')`),
    code: '22023',
    message: /^source_table_header and headers name the same header$/,
    detail: /once/,
  },
  {
    text: url(`'http://h' WITH (idempotency_header = 'X-Id', source_schema_header = «'X-ID')`),
    code: '22023',
    message: /^source_schema_header and idempotency_header name the same header$/,
    detail: /once/,
  },
  {
    text: url(`'http://h' WITH (headers = «'{"X-CDC-Stream": "b"}')`),
    code: '22023',
    message: /headers/,
    detail: /./,
    hint: /set by the delivery itself/,
  },
  // Understood, and not supported yet.
  {
    text: "CREATE CDC STREAM ON t TO «KINESIS 'k' REGION 'x'",
    code: '0A000',
    message: /^TO KINESIS is not/,
    hint: /WEBHOOK/,
  },
  // Statements besides CREATE.
  {
    text: `ALTER CDC STREAM s SET («start_lsn = '0/1')`,
    code: '22023',
    message: /cannot be changed/,
    detail: /created/,
  },
  { text: `ALTER CDC STREAM s RESET («snapshot)`, code: '22023', message: /cannot be changed/, detail: /created/ },
  { text: `ALTER CDC STREAM s RENAME TO «${LONG}`, code: '42622', message: /64/, detail: /63/ },
  { text: `ALTER CDC STREAM s OWNER TO «${LONG}`, code: '42622', message: /64/, detail: /63/ },
  { text: `ALTER CDC STREAM s SKIP EVENT «''`, code: '22023', message: /cannot be empty/ },
  { text: `CREATE CDC STREAM s ON t («${LONG}) TO WEBHOOK 'http://h'`, code: '42622', message: /64/, detail: /63/ },
  { text: `CREATE CDC ENDPOINT e AS «'ftp://h'`, ...URL_FAULT, detail: /http or https/ },
  { text: `ALTER CDC ENDPOINT e AS «'ftp://h'`, ...URL_FAULT, detail: /http or https/ },
  { text: `TEST CDC WEBHOOK «'ftp://h'`, ...URL_FAULT, detail: /http or https/ },
  { text: `CREATE CDC SECRET s AS «''`, code: '22023', message: /cannot be empty/ },
  { text: `CREATE CDC SECRET s AS «'${'x'.repeat(70_000)}'`, code: '22023', message: /too long/, detail: /65536/ },
  { text: `CREATE CDC SECRET s AS «$1`, code: '22023', message: /must not be null/, parameters: [null] },
  { text: `CREATE CDC SECRET s FROM ENV «'a b'`, code: '22023', message: /environment variable/, detail: /letters/ },
  { text: `CREATE CDC SECRET s FROM FILE «'x/y'`, code: '22023', message: /path/, detail: /absolute/ },
  {
    text: `ALTER CDC SECRET s AS 'x' KEEP OLD FOR «'1'`,
    code: '22023',
    message: /KEEP OLD/,
    detail: /365d/,
    hint: /unit/,
  },
  { text: `ALTER CDC SECRET s AS 'x' KEEP OLD FOR «'366d'`, code: '22023', message: /KEEP OLD FOR/, detail: /365d/ },
  { text: `SHOW CDC DELIVERIES LIMIT «-1`, code: '22023', message: /LIMIT: "-1"/, detail: /whole numbers/ },
  { text: `PEEK CDC STREAM s LIMIT «$1`, code: '22023', message: /LIMIT: "x"/, detail: /whole/, parameters: ['x'] },
  { text: `REPLAY CDC STREAM s FROM LSN «'x'`, code: '22023', message: /invalid LSN: "x"/, detail: /16\/B374D848/ },
  { text: `REPLAY CDC STREAM s FROM LSN '1/0' TO LSN «'0/1'`, code: '22023', message: /TO LSN lies before/ },
  { text: `REPLAY CDC STREAM s SINCE «''`, code: '22023', message: /cannot be empty/ },
  { text: `RETRY CDC DEAD LETTERS FOR s ID «''`, code: '22023', message: /cannot be empty/ },
  { text: url(`'http://h' FORMAT «AVRO`), code: '0A000', message: /^FORMAT AVRO is not supported/, hint: /JSON/ },
  {
    text: "CREATE CDC STREAM ON t TO «KAFKA 'k'",
    code: '22023',
    message: /^a stream to Kafka needs a topic$/,
    detail: /neither/,
    hint: /topic_template/,
  },
  // FORMAT AVRO: where there are schemas, and what is written straight from the rows.
  ...(
    [
      [`ENDPOINT e FORMAT «AVRO`, '0A000', /^FORMAT AVRO is not supported TO ENDPOINT$/, /TO KAFKA/],
      [`KAFKA 'k' TOPIC 'x' FORMAT «AVRO`, '22023', /^FORMAT AVRO needs schema_registry_url$/, /WITH/],
      [`KAFKA 'k' TOPIC 'x' FORMAT «AVRO ENVELOPE CLOUDEVENTS`, '0A000', /with ENVELOPE CLOUDEVENTS$/, /FLAT/],
      [`KAFKA 'k' TOPIC 'x' FORMAT «AVRO TRANSFORM JSONPATH '$'`, '0A000', /with TRANSFORM$/, /JSON/],
      [
        `KAFKA 'k' TOPIC 'x' WITH (schema_registry_url = «'http://r')`,
        '22023',
        /belongs to FORMAT AVRO$/,
        /FORMAT AVRO/,
      ],
      [
        `KAFKA 'k' TOPIC 'x' FORMAT AVRO WITH (schema_registry_url = 'http://r', numbers = «number)`,
        '22023',
        /^option "numbers" belongs to FORMAT JSON$/,
        /column/,
      ],
      [
        `KAFKA 'k' TOPIC 'x' FORMAT AVRO WITH (schema_registry_url = «'http://r:99999')`,
        '22023',
        /^invalid value for option "schema_registry_url"$/,
        /no URL/,
      ],
    ] as const
  ).map(([destination, code, message, hint]) => ({
    text: `CREATE CDC STREAM ON t TO ${destination}`,
    code,
    message,
    hint,
  })),
  ...([`'http://u:p@r'`, `'https://r?token=x'`, `'ftp://r'`, `'r:8081'`] as const).map((value) => ({
    text: `CREATE CDC STREAM ON t TO KAFKA 'k' TOPIC 'x' FORMAT AVRO WITH (schema_registry_url = «${value})`,
    code: '22023' as const,
    message: /^invalid value for option "schema_registry_url"/,
    detail: /http and https URLs without user, query and fragment/,
  })),
  {
    text: `CREATE CDC STREAM s ON t, u TO KAFKA 'k' TOPIC 'x' FORMAT «AVRO WITH (schema_registry_url = 'http://r')`,
    code: '22023',
    message: /^tables of one topic/,
    hint: /topic_record/,
  },
  {
    text: `CREATE CDC STREAM ON t TO KAFKA 'k' TOPIC 'x' FORMAT AVRO WITH (schema_registry_url = 'http://r',
      schema_registry_basic_auth = SECRET a, schema_registry_bearer_token = «SECRET b)`,
    code: '22023',
    message: /exclude each other/,
    detail: /one way/,
  },
  {
    text: `CREATE CDC STREAM ON t TO KAFKA 'k' TOPIC 'x' FORMAT AVRO WITH (schema_registry_url = 'https://r',
      schema_registry_tls_client_key = «SECRET k)`,
    code: '22023',
    message: /^schema_registry_tls_client_cert and schema_registry_tls_client_key need each other$/,
    detail: /without its key/,
    hint: /^Give both\.$/,
  },
  // Kafka: what its brokers, its topic and its options may be.
  ...(
    [
      [`«KAFKA 'kafka://k:9092' TOPIC 'x'`, /^invalid brokers: a broker is host:port, without a scheme$/, /host:port/],
      [`«KAFKA 'u:p@k:9092' TOPIC 'x'`, /sasl_username$/, /host:port/],
      [`«KAFKA 'k:70000' TOPIC 'x'`, /70000 is no port/, /host:port/],
      [`«KAFKA 'k,,l' TOPIC 'x'`, /a broker has no name/, /host:port/],
      [`«KAFKA 'k' TOPIC ''`, /^invalid topic ""$/, /249/],
      [`«KAFKA 'k' TOPIC '..'`, /^invalid topic/, /249/],
      [`«KAFKA 'k' TOPIC 'a b'`, /^invalid topic/, /249/],
      [`KAFKA 'k' TOPIC 'x' WITH (topic_template = «'{table}')`, /TOPIC and topic_template exclude/, /one topic/],
      [`KAFKA 'k' TOPIC 'x' WITH (compression = «br)`, /"br"/, /To Kafka: none, gzip, zstd, snappy, lz4/],
      [`KAFKA 'k' TOPIC 'x' WITH (sasl_mechanism = «plain)`, /needs sasl_username and sasl_password/, /both/],
      [`KAFKA 'k' TOPIC 'x' WITH (sasl_username = «'u')`, /need a sasl_mechanism/, /nobody logs in/],
      [`KAFKA 'k' TOPIC 'x' WITH (tls_insecure_skip_verify = «on)`, /need tls = true/, /not reached by TLS/],
    ] as const
  ).map(([destination, message, detail]) => ({
    text: `CREATE CDC STREAM ON t TO ${destination}`,
    code: '22023' as const,
    message,
    detail,
  })),
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
