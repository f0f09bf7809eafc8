import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PgError } from '../../src/postgres/sqlstate.ts';
import { isOurs } from '../../src/sql/classify.ts';
import { parseStatement } from '../../src/sql/parser.ts';
import { printStatement } from '../../src/sql/print.ts';
import { sqlText } from './arbitraries.ts';

/** As positions count. */
function characters(text: string): number {
  return Array.from(text).length;
}

/** Statements as they are written, and their canonical spelling. */
const accepted: readonly (readonly [text: string, canonical: string])[] = [
  // As HeliosDB documents them.
  [
    "CREATE CHANGE DATA CAPTURE ON users TO KAFKA 'localhost:9092' TOPIC 'users-changes' FORMAT JSON;",
    "CREATE CDC STREAM ON users TO KAFKA 'localhost:9092' TOPIC 'users-changes' FORMAT JSON",
  ],
  [
    "CREATE CHANGE DATA CAPTURE ON users TO KAFKA 'k:9092' TOPIC 'user-events' FORMAT AVRO AS 'users_stream'",
    "CREATE CDC STREAM users_stream ON users TO KAFKA 'k:9092' TOPIC 'user-events' FORMAT AVRO",
  ],
  ['SHOW CDC STREAMS;', 'SHOW CDC STREAMS'],
  ['SHOW CDC STREAM STATUS users_cdc_stream', 'SHOW CDC STREAM STATUS users_cdc_stream'],
  ['ALTER CDC STREAM users_cdc_stream PAUSE;', 'ALTER CDC STREAM users_cdc_stream PAUSE'],
  ['ALTER CDC STREAM users_cdc_stream RESUME;', 'ALTER CDC STREAM users_cdc_stream RESUME'],
  // Everything else.
  ["create cdc stream s on t to webhook 'u'", "CREATE CDC STREAM s ON t TO WEBHOOK 'u'"],
  ["CREATE CHANGE STREAM s FOR TABLE t INTO WEBHOOK 'u'", "CREATE CDC STREAM s ON t TO WEBHOOK 'u'"],
  ["CREATE CDC STREAM IF NOT EXISTS s ON t TO WEBHOOK 'u'", "CREATE CDC STREAM IF NOT EXISTS s ON t TO WEBHOOK 'u'"],
  ["CREATE CDC STREAM if ON t TO WEBHOOK 'u'", "CREATE CDC STREAM if ON t TO WEBHOOK 'u'"],
  ["CREATE CDC STREAM ON t TO WEBHOOK 'u'", "CREATE CDC STREAM ON t TO WEBHOOK 'u'"],
  [`CREATE CDC STREAM Ab ON "T x"."Y""z" TO WEBHOOK 'u'`, `CREATE CDC STREAM ab ON "T x"."Y""z" TO WEBHOOK 'u'`],
  [`CREATE CDC STREAM ÄB ON s . user TO WEBHOOK 'u'`, `CREATE CDC STREAM "Äb" ON s."user" TO WEBHOOK 'u'`],
  [
    `CREATE CDC STREAM ON t TO WEBHOOK 'u' AS Name WITH (timeout, "max_retries" = 1)`,
    `CREATE CDC STREAM name ON t TO WEBHOOK 'u' WITH (timeout, max_retries = 1)`,
  ],
  [`CREATE CDC STREAM ON t TO WEBHOOK 'u' AS 'As Written'`, `CREATE CDC STREAM "As Written" ON t TO WEBHOOK 'u'`],
  ['CREATE CDC STREAM ON t TO WEBHOOK $2 AS $1', 'CREATE CDC STREAM ON t TO WEBHOOK $2 AS $1'],
  [
    `CREATE CDC STREAM ON t TO WEBHOOK 'u' WITH (max_retries=-5, timeout=+1.5, headers=on, batch_size=$1) ENVELOPE FLAT FORMAT JSON`,
    `CREATE CDC STREAM ON t TO WEBHOOK 'u' FORMAT JSON ENVELOPE FLAT WITH (max_retries = -5, timeout = 1.5, headers = on, batch_size = $1)`,
  ],
  // As pgjdbc writes parameters in its simple mode.
  [
    `CREATE CDC STREAM ON t TO WEBHOOK ('u') AS ('s'::varchar) WITH (batch_size = ('5'::int4), timeout = (5), headers = ($1))`,
    `CREATE CDC STREAM s ON t TO WEBHOOK 'u' WITH (batch_size = '5', timeout = 5, headers = $1)`,
  ],
  [`CREATE CDC STREAM ON t TO WEBHOOK E'a\\x62\\'\\\\'`, `CREATE CDC STREAM ON t TO WEBHOOK E'ab''\\\\'`],
  [`CREATE CDC STREAM ON t TO WEBHOOK $u$a'$$b$u$`, `CREATE CDC STREAM ON t TO WEBHOOK 'a''$$b'`],
  [`CREATE CDC STREAM ON t TO WEBHOOK 'a'\n -- it's\n 'b'`, `CREATE CDC STREAM ON t TO WEBHOOK 'ab'`],
  [`/* a */ CREATE/**/CDC--x\nSTREAM/*/*'*/*/ON"t"TO WEBHOOK'u';;`, `CREATE CDC STREAM ON t TO WEBHOOK 'u'`],
  [
    "CREATE CHANGE DATA CAPTURE ON transactions TO KINESIS 'transactions-stream' REGION 'us-east-1' FORMAT AVRO;",
    "CREATE CDC STREAM ON transactions TO KINESIS 'transactions-stream' REGION 'us-east-1' FORMAT AVRO",
  ],
  [
    `CREATE CHANGE STREAM OR ON TABLE a(x,"Y")WHERE(b),TABLE c.d, e WHERE ((b)) TO ENDPOINT e KEY(x)WHEN(/*x*/NEW.a-- )
      )AS n TRANSFORM TEMPLATE 't' COMMENT 'c' OPERATIONS(UPDATE OF a,b,DELETE)`.replace(' OR ', ' '),
    `CREATE CDC STREAM n ON a (x, "Y") WHERE (b), c.d, e WHERE ((b)) TO ENDPOINT e OPERATIONS (UPDATE OF a, b, DELETE) ` +
      `WHEN (NEW.a) TRANSFORM TEMPLATE 't' KEY (x) COMMENT 'c'`,
  ],
  [
    `CREATE CDC STREAM s ON tables, tables.tables TO WEBHOOK 'u' OPERATIONS (UPDATE OF "insert", delete)`,
    `CREATE CDC STREAM s ON tables, tables.tables TO WEBHOOK 'u' OPERATIONS (UPDATE OF "insert", DELETE)`,
  ],
  [
    `CREATE CDC STREAM s ON s.when (a), s.where (b) WHERE (c) TO WEBHOOK 'u'`,
    `CREATE CDC STREAM s ON s."when" (a), s."where" (b) WHERE (c) TO WEBHOOK 'u'`,
  ],
  [
    `CREATE CDC STREAM s ON t TO WEBHOOK 'u' WITH (signing_secret = secret Name, method = secret, "HEADER.X" = on)`,
    `CREATE CDC STREAM s ON t TO WEBHOOK 'u' WITH (signing_secret = SECRET name, method = secret, "HEADER.X" = on)`,
  ],
  ['ALTER CHANGE STREAM s OWNER TO current_user', 'ALTER CDC STREAM s OWNER TO CURRENT_USER'],
  ['ALTER CDC STREAM s OWNER TO "current_user"', 'ALTER CDC STREAM s OWNER TO "current_user"'],
  ["ALTER CDC STREAM s SET TO KAFKA 'k' TOPIC 't'", "ALTER CDC STREAM s SET TO KAFKA 'k' TOPIC 't'"],
  ['PAUSE CDC STREAM ALL', 'ALTER CDC STREAM ALL PAUSE'],
  ['SHOW CHANGE STREAM HISTORY s', 'SHOW CDC STREAM HISTORY s'],
  ['SHOW CREATE CHANGE STREAM s', 'SHOW CREATE CDC STREAM s'],
  ['COMMENT ON CHANGE STREAM s IS null', 'COMMENT ON CDC STREAM s IS NULL'],
  ['TEST CHANGE STREAM s', 'TEST CDC STREAM s'],
  ["SHOW CDC DELIVERIES LIMIT ('5'::int8)", "SHOW CDC DELIVERIES LIMIT '5'"],
  ['SHOW CHANGE STREAMS', 'SHOW CDC STREAMS'],
  ['SHOW CHANGE STREAM STATUS status', 'SHOW CDC STREAM STATUS status'],
  ['PAUSE CDC STREAM pause', 'ALTER CDC STREAM pause PAUSE'],
  ['RESUME CHANGE STREAM "Resume"', 'ALTER CDC STREAM "Resume" RESUME'],
  ['DROP CDC STREAM a, "B" , c', 'DROP CDC STREAM a, "B", c'],
  ['DROP CDC STREAM IF EXISTS a', 'DROP CDC STREAM IF EXISTS a'],
  ['DROP CDC STREAM if', 'DROP CDC STREAM if'],
];

for (const [text, canonical] of accepted) {
  test(`parse: ${text}`, () => assert.equal(printStatement(parseStatement(text)), canonical));
}

test('a backslash in a plain string is what standard_conforming_strings makes it', () => {
  const text = `CREATE CDC STREAM ON t TO WEBHOOK 'a\\n'`;
  const url = (standardConformingStrings: boolean): unknown => {
    const statement = parseStatement(text, { standardConformingStrings });
    return statement.kind === 'create-stream' && statement.destination.kind === 'webhook' && statement.destination.url;
  };
  assert.deepEqual(url(true), { kind: 'string', value: 'a\\n', position: 35 });
  assert.deepEqual(url(false), { kind: 'string', value: 'a\n', position: 35 });
});

test('nodes are frozen and know their positions in characters', () => {
  const statement = parseStatement('/*\u{1f600}*/ DROP CDC STREAM \u{1f600}a, b');
  assert.deepEqual(statement, {
    kind: 'drop-streams',
    ifExists: false,
    names: [
      { text: '\u{1f600}a', position: 23 },
      { text: 'b', position: 27 },
    ],
  });
  assert.ok(Object.isFrozen(statement) && statement.kind === 'drop-streams' && Object.isFrozen(statement.names));
});

const VERBS =
  'expected CREATE, EXPLAIN, ALTER, PAUSE, RESUME, DROP, COMMENT, SHOW, CHECK, TEST, PEEK, BACKFILL, CANCEL, REPLAY, ' +
  'RETRY or DISCARD';
const NAME_IT = 'Write it before ON, or after AS at the end.';
const ALL_OPTIONS = 'SHOW CDC STREAM OPTIONS has those of a stream, docs/sql.md has all.';
const CREATE = "CREATE CDC STREAM s ON t TO WEBHOOK 'u'";

/** The offending token stands between « and »; `«»` is the end of input. */
const refused: readonly (readonly [marked: string, message: string, hint: string | undefined])[] = [
  ['«»', 'syntax error at end of input', VERBS],
  ['«;»', 'syntax error at or near ";"', VERBS],
  ['«CREAT» CDC STREAM s', 'syntax error at or near "CREAT"', 'did you mean "CREATE"?'],
  ['EXPLAIN «ANALYZE» CREATE CDC STREAM s', 'syntax error at or near "ANALYZE"', 'expected CREATE'],
  ['CREATE CDC «ENDPONT» e', 'syntax error at or near "ENDPONT"', 'did you mean "ENDPOINT"?'],
  ['CREATE CDC «TABLE» t', 'syntax error at or near "TABLE"', 'expected STREAM, ENDPOINT or SECRET'],
  ['CREATE OR REPLACE CDC «SECRET» s', 'syntax error at or near "SECRET"', 'expected STREAM or ENDPOINT'],
  ['DROP CHANGE «DATA» CAPTURE s', 'syntax error at or near "DATA"', 'expected STREAM'],
  ['SHOW CDC «STREM»', 'syntax error at or near "STREM"', 'did you mean "STREAM"?'],
  ['SHOW CDC STREAM «TABLE» s', 'syntax error at or near "TABLE"', 'did you mean "TABLES"?'],
  ['SHOW CDC STREAM «s»', 'syntax error at or near "s"', 'expected STATUS, TABLES, OPTIONS or HISTORY'],
  ['SHOW CDC STREAMS LIKE «a»', 'syntax error at or near "a"', 'expected a string'],
  ['SHOW CDC DEAD «LETTER»', 'syntax error at or near "LETTER"', 'did you mean "LETTERS"?'],
  ['SHOW CDC DELIVERIES LIMIT «x»', 'syntax error at or near "x"', 'expected a number or a string'],
  ['CHECK CDC «STREAM» s', 'syntax error at or near "STREAM"', 'expected the end of the statement'],
  ['TEST CDC «s»', 'syntax error at or near "s"', 'expected STREAM, ENDPOINT or WEBHOOK'],
  ['REPLAY CDC STREAM s «»', 'syntax error at end of input', 'expected SINCE or FROM'],
  ['RETRY CDC DEAD LETTERS FOR s «»', 'syntax error at end of input', 'expected ALL or ID'],
  ['ALTER CDC STREAM ALL «RESTART»', 'syntax error at or near "RESTART"', 'expected PAUSE or RESUME'],
  [
    'ALTER CDC STREAM s SET «KEY» (a)',
    'syntax error at or near "KEY"',
    'expected "(", TO, FORMAT, ENVELOPE, WHEN or TRANSFORM',
  ],
  [
    'ALTER CDC STREAM s DROP TABLE a «(»x)',
    'syntax error at or near "("',
    'expected ".", "," or the end of the statement',
  ],
  [
    "ALTER CDC STREAM s SET TO WEBHOOK 'u' TOPIC «'t'»",
    'syntax error at or near "TOPIC"',
    'TOPIC belongs to TO KAFKA.',
  ],
  ["ALTER CDC SECRET s «FROM» ENV 'x'", 'syntax error at or near "FROM"', 'expected AS'],
  ['CREATE CDC SECRET s «»', 'syntax error at end of input', 'expected AS or FROM'],
  [
    "CREATE CDC ENDPOINT e AS 'u' WITH («ordering» = key)",
    'option "ordering" is not one of an endpoint',
    'Give it to the stream: an endpoint has only what belongs to a destination.',
  ],
  ['ALTER CDC ENDPOINT e RESET («ordring»)', 'unrecognized option "ordring"', ALL_OPTIONS],
  [
    'ALTER CDC STREAM s RESET (timeout, «timeout_secs»)',
    'option "timeout_secs" specified more than once',
    '"timeout_secs" and "timeout" are the same option.',
  ],
  [`${CREATE} WITH («acks» = all)`, 'option "acks" belongs to TO KAFKA', undefined],
  [
    `CREATE CDC STREAM ON t TO KAFKA 'k' TOPIC 't' WITH («method» = PUT)`,
    'option "method" belongs to TO WEBHOOK',
    undefined,
  ],
  [
    `CREATE CDC STREAM ON t TO KAFKA 'k' TOPIC 't' WITH («"header.X"» = 'a')`,
    'headers belong to TO WEBHOOK',
    undefined,
  ],
  [
    `${CREATE} WITH ("header.X" = 'a', «"header.x"» = 'b')`,
    'option "header.x" specified more than once',
    '"header.x" and "header.X" are the same option.',
  ],
  // Conditions.
  ["CREATE CDC STREAM s ON t WHERE («)» TO WEBHOOK 'u'", 'syntax error at or near ")"', 'expected a condition'],
  ["CREATE CDC STREAM s ON t WHERE «a» = 1 TO WEBHOOK 'u'", 'syntax error at or near "a"', 'expected "("'],
  ["CREATE CDC STREAM s ON t WHERE ((a) TO WEBHOOK 'u'«»", 'syntax error at end of input', 'expected ")"'],
  ["CREATE CDC STREAM s ON t WHERE (a = «'x) TO WEBHOOK u»", `unterminated quoted string at or near "'…"`, undefined],
  ["CREATE CDC STREAM s ON t WHERE (a)«)» TO WEBHOOK 'u'", 'syntax error at or near ")"', 'expected "," or TO'],
  ["CREATE CDC STREAM s ON t WHERE (a = «$0») TO WEBHOOK 'u'", 'there is no parameter $0', undefined],
  // Clauses.
  ["CREATE CDC STREAM s ON t (a, «a») TO WEBHOOK 'u'", 'column "a" specified more than once', undefined],
  [`${CREATE} KEY (a, «a»)`, 'column "a" specified more than once', undefined],
  [`${CREATE} OPERATIONS (INSERT, «INSERT»)`, 'operation INSERT specified more than once', undefined],
  [`${CREATE} OPERATIONS («UPSERT»)`, 'syntax error at or near "UPSERT"', 'did you mean "INSERT"?'],
  [`${CREATE} OPERATIONS (INSERT «OF» a)`, 'syntax error at or near "OF"', 'expected "," or ")"'],
  [`${CREATE} WHEN (a) «WHEN» (b)`, 'clause WHEN specified more than once', undefined],
  [`${CREATE} KEY (a) COMMENT 'x' «COMMENT» 'y'`, 'clause COMMENT specified more than once', undefined],
  [`${CREATE} TRANSFORM «JSON» 'x'`, 'syntax error at or near "JSON"', 'expected JSONPATH or TEMPLATE'],
  [`${CREATE} «REGION» 'x'`, 'syntax error at or near "REGION"', 'REGION belongs to TO KINESIS.'],
  ["CREATE CDC STREAM ON a, «b» TO WEBHOOK 'u'", 'a stream of several tables needs a name', NAME_IT],
  ["CREATE CDC STREAM ON «ALL» TABLES TO WEBHOOK 'u'", 'a stream of several tables needs a name', NAME_IT],
  ["CREATE CDC STREAM ON «TABLES» IN SCHEMA a TO WEBHOOK 'u'", 'a stream of several tables needs a name', NAME_IT],
  ["CREATE OR REPLACE CDC STREAM ON «t» TO WEBHOOK 'u'", 'OR REPLACE needs the name of the stream', NAME_IT],
  ["CREATE CDC STREAM IF NOT EXISTS ON «a.t» TO WEBHOOK 'u'", 'IF NOT EXISTS needs the name of the stream', NAME_IT],
  ['CREATE CHANGE «DATE» CAPTURE ON t', 'syntax error at or near "DATE"', 'did you mean "DATA"?'],
  ['CREATE CDC «STEAM» s', 'syntax error at or near "STEAM"', 'did you mean "STREAM"?'],
  ['ALTER CDC STREAM s SET («x» = 1)', 'unrecognized option "x"', ALL_OPTIONS],
  [
    'ALTER CDC STREAM s SET («backoff_max_time» = 1)',
    'unrecognized option "backoff_max_time"',
    `Like it are max_backoff, initial_backoff, batch_max_events and batch_max_bytes. ${ALL_OPTIONS}`,
  ],
  [
    "ALTER CDC ENDPOINT e SET («retry_timeout_seconds» = '1s')",
    'unrecognized option "retry_timeout_seconds"',
    `Like it are request_timeout and connect_timeout. ${ALL_OPTIONS}`,
  ],
  ['ALTER CDC STREAM s «puase»', 'syntax error at or near "puase"', 'did you mean "PAUSE"?'],
  [
    'ALTER CDC STREAM s«»',
    'syntax error at end of input',
    'expected PAUSE, RESUME, SET, RESET, RENAME, OWNER, ADD, DROP, RESTART or SKIP',
  ],
  ['ALTER CDC STREAM s PAUSE «x»', 'syntax error at or near "x"', 'expected the end of the statement'],
  ['DROP CDC STREAM  «»', 'syntax error at end of input', 'expected IF or a name'],
  ['DROP CDC STREAM a, «,» b', 'syntax error at or near ","', 'expected a name'],
  ['DROP CDC STREAM «table»', 'syntax error at or near "table"', 'expected IF or a name'],
  ['DROP CDC STREAM «""»', 'zero-length delimited identifier at or near """"', undefined],
  ['DROP CDC STREAM «"a»', 'unterminated quoted identifier at or near ""…"', undefined],
  ['DROP CDC STREAM «U&"a"»', 'syntax error at or near "U&"a""', 'expected IF or a name'],
  ['DROP CDC STREAM a «/* b»', 'unterminated /* comment at or near "/*…"', undefined],
  ['SHOW CDC STREAMS; «SELECT» 1', 'syntax error at or near "SELECT"', 'expected the end of the statement'],
  ["CREATE CDC STREAM s «TO» WEBHOOK 'u'", 'syntax error at or near "TO"', 'expected ON'],
  ["CREATE CDC STREAM ON «TO» WEBHOOK 'u'", 'syntax error at or near "TO"', 'expected ALL, TABLES, TABLE or a name'],
  ['CREATE CDC STREAM ON a.b«.»c', 'syntax error at or near "."', 'expected "(", WHERE, "," or TO'],
  ['CREATE CDC STREAM ON t TO «WEBHOK» 1', 'syntax error at or near "WEBHOK"', 'did you mean "WEBHOOK"?'],
  ['CREATE CDC STREAM ON t TO «WEBHOO\u212a» 1', 'syntax error at or near "WEBHOO\u212a"', 'did you mean "WEBHOOK"?'],
  ['CREATE CDC STREAM ON t TO «HTTP» 1', 'syntax error at or near "HTTP"', 'expected WEBHOOK, ENDPOINT or KAFKA'],
  [`CREATE CDC STREAM ON t TO WEBHOOK («(»'u'))`, 'syntax error at or near "("', 'expected a string'],
  [`CREATE CDC STREAM ON t TO WEBHOOK ('u'::«oid»)`, 'syntax error at or near "oid"', 'expected a type'],
  [`CREATE CDC STREAM ON t TO WEBHOOK ('u'«»`, 'syntax error at end of input', 'expected "::" or ")"'],
  ['CREATE CDC STREAM ON t TO WEBHOOK «u»', 'syntax error at or near "u"', 'expected a string'],
  [
    'CREATE CDC STREAM ON t TO WEBHOOK «"u"»',
    'syntax error at or near ""…""',
    'expected a string, in single quotes: double quotes are for names',
  ],
  ["CREATE CDC STREAM ON t TO WEBHOOK «'u»", `unterminated quoted string at or near "'…"`, undefined],
  ['CREATE CDC STREAM ON t TO WEBHOOK «$$u»', 'unterminated dollar-quoted string at or near "$$…"', undefined],
  ["CREATE CDC STREAM ON t TO WEBHOOK «X'1»", `unterminated hexadecimal string literal at or near "X'…"`, undefined],
  ["CREATE CDC STREAM ON t TO WEBHOOK «N'u'»", `syntax error at or near "N'…'"`, 'expected a string'],
  ['CREATE CDC STREAM ON t TO WEBHOOK «$0»', 'there is no parameter $0', undefined],
  ['CREATE CDC STREAM ON t TO WEBHOOK «$65536»', 'there is no parameter $65536', undefined],
  ['CREATE CDC STREAM ON t TO WEBHOOK «$1a»', 'trailing junk after parameter at or near "$1a"', undefined],
  ["CREATE CDC STREAM ON t TO WEBHOOK E'a«\\xff»' FORMAT JSON", 'invalid byte sequence for encoding "UTF8"', undefined],
  [
    "CREATE CDC STREAM ON t TO WEBHOOK E'a«\\u00»'",
    'invalid Unicode escape',
    'Unicode escapes must be \\uXXXX or \\UXXXXXXXX.',
  ],
  [`${CREATE} «FOMAT» JSON`, 'syntax error at or near "FOMAT"', 'did you mean "FORMAT"?'],
  [`${CREATE} FORMAT «XML»`, 'syntax error at or near "XML"', 'expected JSON or AVRO'],
  [`${CREATE} FORMAT JSON «FORMAT» JSON`, 'clause FORMAT specified more than once', undefined],
  [`${CREATE} WITH (timeout) «WITH» (timeout)`, 'clause WITH specified more than once', undefined],
  [`${CREATE} «TOPIC» 'x'`, 'syntax error at or near "TOPIC"', 'TOPIC belongs to TO KAFKA.'],
  [`${CREATE} AS «x»`, 'stream name specified more than once', 'Name the stream before ON or after AS, not both.'],
  ["CREATE CDC STREAM ON t TO WEBHOOK 'u' AS «''»", 'a stream name cannot be empty', undefined],
  [`${CREATE} WITH («)»`, 'syntax error at or near ")"', 'expected an option'],
  [`${CREATE} WITH (timeout = «)»`, 'syntax error at or near ")"', 'expected SECRET, a string, a number or a word'],
  [`${CREATE} WITH (timeout «==» 1)`, 'syntax error at or near "=="', 'expected "=", "," or ")"'],
  [`${CREATE} WITH (timeout = «1s»)`, 'trailing junk after numeric literal at or near "1s"', undefined],
  [`${CREATE} WITH (timeout = 1«;» DROP TABLE t)`, 'syntax error at or near ";"', 'expected "," or ")"'],
  [`${CREATE} WITH («batch_sise» = 1)`, 'unrecognized option "batch_sise"', 'did you mean "batch_size"?'],
  [`${CREATE} WITH («"A colour"» = 'a')`, 'unrecognized option "A colour"', ALL_OPTIONS],
  [`${CREATE} WITH (timeout, «TIMEOUT»)`, 'option "timeout" specified more than once', undefined],
  [
    `${CREATE} WITH (timeout_secs = 1, «request_timeout» = '1s')`,
    'option "request_timeout" specified more than once',
    '"request_timeout" and "timeout_secs" are the same option.',
  ],
];

function codeOf(message: string): string {
  if (message.startsWith('there is no parameter')) return '42P02';
  return message.startsWith('column ') ? '42701' : '42601';
}

for (const [marked, message, hint] of refused) {
  for (const prefix of ['', '/* \u{1f600}é */ ']) {
    test(`refuse: ${prefix}${marked}`, () => {
      const text = prefix + marked.replaceAll(/[«»]/g, '');
      const position = characters(prefix + marked.slice(0, marked.indexOf('«'))) + 1;
      assert.throws(
        () => parseStatement(text),
        (error) => {
          assert.ok(error instanceof PgError);
          const code = codeOf(message);
          assert.deepEqual(
            { code: error.code, message: error.message, hint: error.hint, position: error.position },
            { code, message, hint, position },
          );
          return true;
        },
      );
    });
  }
}

function parseOrRefuse(text: string, standardConformingStrings: boolean): void {
  try {
    printStatement(parseStatement(text, { standardConformingStrings }));
  } catch (error) {
    if (!(error instanceof PgError)) throw error;
    assert.ok(error.position !== undefined);
    assert.ok(error.position >= 1 && error.position <= characters(text) + 1);
  }
}

test('any text is a statement or a PgError with a position inside the text', () => {
  fc.assert(fc.property(sqlText, fc.boolean(), parseOrRefuse), { numRuns: 3000 });
});

test('a statement with pieces removed, doubled or put in is a statement or a PgError', () => {
  const mutation = fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    drop: fc.nat(6),
    insert: fc.oneof(fc.constant(''), sqlText, fc.constantFrom(...accepted.map(([text]) => text))),
  });
  fc.assert(
    fc.property(
      fc.constantFrom(...accepted.map(([text]) => text)),
      fc.array(mutation, { minLength: 1, maxLength: 3 }),
      fc.boolean(),
      (text, mutations, standard) => {
        let mutated = text;
        for (const { at, drop, insert } of mutations) {
          const offset = Math.floor(at * mutated.length);
          mutated = mutated.slice(0, offset) + insert + mutated.slice(offset + drop);
        }
        parseOrRefuse(mutated, standard);
      },
    ),
    { numRuns: 3000 },
  );
});

test('whatever the parser takes is recognised as ours', () => {
  for (const [text] of accepted) {
    assert.ok(isOurs(text, { start: 0, end: text.length }, { standardConformingStrings: true }), text);
  }
});

const LONG = 1_000_000;
const long: Readonly<Record<string, string>> = {
  'a long string': `${CREATE.slice(0, -1)}${'x'.repeat(LONG)}'`,
  'a long escape string': `CREATE CDC STREAM ON t TO WEBHOOK E'${'\\x41\\n'.repeat(LONG / 6)}'`,
  'a long name': `DROP CDC STREAM ${'x'.repeat(LONG)}`,
  'many names': `DROP CDC STREAM ${'x,'.repeat(LONG / 2)}x`,
  'many clauses': `${CREATE}${' FORMAT JSON'.repeat(LONG / 12)}`,
  'many options': `${CREATE} WITH (${'timeout = $1, '.repeat(LONG / 14)}timeout)`,
  'a long comment': `DROP CDC /*${'/**/'.repeat(LONG / 4)}*/ STREAM x`,
  'deep comments': `DROP CDC ${'/*'.repeat(LONG / 4)}${'*/'.repeat(LONG / 4)} STREAM x`,
  'many parentheses': `${CREATE} WITH ${'('.repeat(LONG)}`,
  'a deep condition': `CREATE CDC STREAM ON t WHERE (${'('.repeat(LONG / 2)}${')'.repeat(LONG / 2)} TO WEBHOOK 'u'`,
  'a long condition': `CREATE CDC STREAM ON t WHERE (${`a = 'x\\' OR `.repeat(LONG / 12)}b) TO WEBHOOK 'u'`,
  'many conditions': `CREATE CDC STREAM s ON ${'t WHERE (a), '.repeat(LONG / 14)}t TO WEBHOOK 'u'`,
  'many headers': `${CREATE} WITH (${Array.from({ length: LONG / 25 }, (_, i) => `"header.x${i}" = 'y'`).join(', ')})`,
  'many tables': `CREATE CDC STREAM s ON ${'t (a), '.repeat(LONG / 8)}t TO WEBHOOK 'u'`,
  'many columns': `${CREATE} KEY (${Array.from({ length: LONG / 10 }, (_, i) => `c${i}`).join(', ')})`,
  'much white space': `DROP${' '.repeat(LONG / 2)}CDC${'\n'.repeat(LONG / 2)}STREAM x y`,
  'many semicolons': `SHOW CDC STREAMS${';'.repeat(LONG)}`,
  'many characters beyond the first plane': `DROP CDC STREAM ${'\u{1f600},'.repeat(LONG / 3)}\u{1f600}`,
};
for (const [what, text] of Object.entries(long)) {
  test(`${what}: a megabyte is parsed or refused in linear time`, () => parseOrRefuse(text, true));
}

test('a statement of more than a megabyte is refused before it is read', () => {
  assert.throws(() => parseStatement(' '.repeat(1_048_577)), { name: 'PgError', code: '54000' });
  assert.throws(() => parseStatement(' '.repeat(1_048_576)), { name: 'PgError', code: '42601' });
});
