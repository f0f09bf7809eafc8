import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PgError } from '../../src/postgres/sqlstate.ts';
import { isOurs } from '../../src/sql/classify.ts';
import { parseStatement } from '../../src/sql/parser.ts';
import { printStatement } from '../../src/sql/print.ts';
import { STATEMENTS } from '../../src/sql/statements.ts';
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
  [`CREATE CDC STREAM ON t TO WEBHOOK E'a\\x62\\'\\\\'`, `CREATE CDC STREAM ON t TO WEBHOOK E'ab''\\\\'`],
  [`CREATE CDC STREAM ON t TO WEBHOOK $u$a'$$b$u$`, `CREATE CDC STREAM ON t TO WEBHOOK 'a''$$b'`],
  [`CREATE CDC STREAM ON t TO WEBHOOK 'a'\n -- it's\n 'b'`, `CREATE CDC STREAM ON t TO WEBHOOK 'ab'`],
  [`/* a */ CREATE/**/CDC--x\nSTREAM/*/*'*/*/ON"t"TO WEBHOOK'u';;`, `CREATE CDC STREAM ON t TO WEBHOOK 'u'`],
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

const STATEMENTS_HINT =
  'The statements are CREATE CHANGE DATA CAPTURE, CREATE CDC STREAM, ALTER CDC STREAM … PAUSE, ' +
  'ALTER CDC STREAM … RESUME, DROP CDC STREAM, SHOW CDC STREAMS, SHOW CDC STREAM STATUS.';
const CREATE = "CREATE CDC STREAM s ON t TO WEBHOOK 'u'";

/** The offending token stands between « and »; `«»` is the end of input. */
const refused: readonly (readonly [marked: string, message: string, hint: string | undefined])[] = [
  ['«»', 'syntax error at end of input', STATEMENTS_HINT],
  ['«;»', 'syntax error at or near ";"', STATEMENTS_HINT],
  ['«TEST» CDC STREAM s', 'syntax error at or near "TEST"', STATEMENTS_HINT],
  ['«CHECK» CDC', 'syntax error at or near "CHECK"', STATEMENTS_HINT],
  ['«EXPLAIN» CREATE CDC STREAM s', 'syntax error at or near "EXPLAIN"', STATEMENTS_HINT],
  ['CREATE «OR» REPLACE CDC STREAM s', 'syntax error at or near "OR"', STATEMENTS_HINT],
  ["CREATE CDC «ENDPOINT» e AS 'u'", 'syntax error at or near "ENDPOINT"', STATEMENTS_HINT],
  ['SHOW CDC «VERSION»', 'syntax error at or near "VERSION"', STATEMENTS_HINT],
  ['SHOW CDC STREAM «TABLES» s', 'syntax error at or near "TABLES"', STATEMENTS_HINT],
  ['CREATE CHANGE «DATE» CAPTURE ON t', 'syntax error at or near "DATE"', 'did you mean "DATA"?'],
  ['CREATE CDC «STEAM» s', 'syntax error at or near "STEAM"', 'did you mean "STREAM"?'],
  ['ALTER CDC STREAM s «SET» (x = 1)', 'syntax error at or near "SET"', 'expected PAUSE or RESUME'],
  ['ALTER CDC STREAM s «puase»', 'syntax error at or near "puase"', 'did you mean "PAUSE"?'],
  ['ALTER CDC STREAM s«»', 'syntax error at end of input', 'expected PAUSE or RESUME'],
  ['ALTER CDC STREAM s PAUSE «x»', 'syntax error at or near "x"', 'expected the end of the statement'],
  ['DROP CDC STREAM  «»', 'syntax error at end of input', 'expected IF or a name'],
  ['DROP CDC STREAM a, «,» b', 'syntax error at or near ","', 'expected a name'],
  ['DROP CDC STREAM «table»', 'syntax error at or near "table"', 'expected IF or a name'],
  ['DROP CDC STREAM «""»', 'zero-length delimited identifier at or near """"', undefined],
  ['DROP CDC STREAM «"a»', 'unterminated quoted identifier at or near ""a"', undefined],
  ['DROP CDC STREAM «U&"a"»', 'syntax error at or near "U&"a""', 'expected IF or a name'],
  ['DROP CDC STREAM a «/* b»', 'unterminated /* comment at or near "/* b"', undefined],
  ['SHOW CDC STREAMS; «SELECT» 1', 'syntax error at or near "SELECT"', 'expected the end of the statement'],
  ["CREATE CDC STREAM s «TO» WEBHOOK 'u'", 'syntax error at or near "TO"', 'expected ON'],
  ["CREATE CDC STREAM ON «TO» WEBHOOK 'u'", 'syntax error at or near "TO"', 'expected TABLE or a name'],
  ["CREATE CDC STREAM ON t«,» u TO WEBHOOK 'u'", 'syntax error at or near ","', 'expected "." or TO'],
  ['CREATE CDC STREAM ON a.b«.»c', 'syntax error at or near "."', 'expected TO'],
  ['CREATE CDC STREAM ON t TO «WEBHOK» 1', 'syntax error at or near "WEBHOK"', 'did you mean "WEBHOOK"?'],
  ['CREATE CDC STREAM ON t TO «WEBHOO\u212a» 1', 'syntax error at or near "WEBHOO\u212a"', 'did you mean "WEBHOOK"?'],
  ['CREATE CDC STREAM ON t TO «HTTP» 1', 'syntax error at or near "HTTP"', 'expected WEBHOOK or KAFKA'],
  ['CREATE CDC STREAM ON t TO WEBHOOK «u»', 'syntax error at or near "u"', 'expected a string'],
  [
    'CREATE CDC STREAM ON t TO WEBHOOK «"u"»',
    'syntax error at or near ""u""',
    'expected a string, in single quotes: double quotes are for names',
  ],
  ["CREATE CDC STREAM ON t TO WEBHOOK «'u»", `unterminated quoted string at or near "'u"`, undefined],
  ['CREATE CDC STREAM ON t TO WEBHOOK «$$u»', 'unterminated dollar-quoted string at or near "$$u"', undefined],
  ["CREATE CDC STREAM ON t TO WEBHOOK «X'1»", `unterminated hexadecimal string literal at or near "X'1"`, undefined],
  ["CREATE CDC STREAM ON t TO WEBHOOK «N'u'»", `syntax error at or near "N'u'"`, 'expected a string'],
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
  [`${CREATE} WITH (timeout = «)»`, 'syntax error at or near ")"', 'expected a string, a number or a word'],
  [`${CREATE} WITH (timeout «==» 1)`, 'syntax error at or near "=="', 'expected "=", "," or ")"'],
  [`${CREATE} WITH (timeout = «1s»)`, 'trailing junk after numeric literal at or near "1s"', undefined],
  [`${CREATE} WITH (timeout = 1«;» DROP TABLE t)`, 'syntax error at or near ";"', 'expected "," or ")"'],
  [`${CREATE} WITH («batch_sise» = 1)`, 'unrecognized option "batch_sise"', 'did you mean "batch_size"?'],
  [
    `${CREATE} WITH («"A colour"» = 'a')`,
    'unrecognized option "A colour"',
    'The options are batch_max_events, batch_size, max_batch_size, batch_max_bytes, max_payload_bytes, ' +
      'max_in_flight, request_timeout, timeout, timeout_secs, max_retries, initial_backoff, max_backoff, headers.',
  ],
  [`${CREATE} WITH (timeout, «TIMEOUT»)`, 'option "timeout" specified more than once', undefined],
  [
    `${CREATE} WITH (timeout_secs = 1, «request_timeout» = '1s')`,
    'option "request_timeout" specified more than once',
    '"request_timeout" and "timeout_secs" are the same option.',
  ],
];

for (const [marked, message, hint] of refused) {
  for (const prefix of ['', '/* \u{1f600}é */ ']) {
    test(`refuse: ${prefix}${marked}`, () => {
      const text = prefix + marked.replaceAll(/[«»]/g, '');
      const position = characters(prefix + marked.slice(0, marked.indexOf('«'))) + 1;
      assert.throws(
        () => parseStatement(text),
        (error) => {
          assert.ok(error instanceof PgError);
          const code = message.startsWith('there is no parameter') ? '42P02' : '42601';
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

test('each statement that hints list is one of the grammar', () => {
  for (const listed of STATEMENTS) {
    const text = `${listed.replace('…', 's')} ;;`;
    try {
      parseStatement(text);
    } catch (error) {
      assert.ok(error instanceof PgError && error.position! > text.indexOf(' ;;'));
      assert.match(error.hint ?? '', /^expected /);
    }
  }
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
