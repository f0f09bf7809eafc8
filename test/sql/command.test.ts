import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { SecretValue } from '../../src/model/secret.ts';
import { DEFAULT_STREAM_OPTIONS } from '../../src/model/stream-options.ts';
import { analyze } from '../../src/sql/analyze.ts';
import { parameterCount } from '../../src/sql/parameter-count.ts';
import { parseStatement } from '../../src/sql/parser.ts';

type Parameters = readonly (string | null)[];

const run = (text: string, parameters: Parameters = []) => analyze(parseStatement(text), parameters);

const CREATED = {
  kind: 'create-stream',
  orReplace: false,
  ifNotExists: false,
  name: null,
  destination: { kind: 'webhook', url: 'http://h' },
  format: 'json',
  envelope: 'native',
  operations: null,
  when: null,
  transform: null,
  key: null,
  comment: null,
  options: DEFAULT_STREAM_OPTIONS,
  givenOptions: [],
};
const table = (name: string, position: number) => ({ schema: null, name, position });

test('a statement becomes a command with every default filled in', () => {
  assert.deepEqual(run(`CREATE CDC STREAM IF NOT EXISTS s ON "A".b TO WEBHOOK 'https://h/p?q=1' FORMAT JSON`), {
    ...CREATED,
    name: 's',
    ifNotExists: true,
    source: {
      kind: 'tables',
      items: [{ table: { schema: 'A', name: 'b', position: 38 }, columns: null, where: null }],
    },
    destination: { kind: 'webhook', url: 'https://h/p?q=1' },
  });
});

test('every clause of a CREATE becomes a part of its command', () => {
  const text = `CREATE OR REPLACE CDC STREAM s ON a (x, "Y") WHERE (x > 1), TABLE b TO ENDPOINT e
    OPERATIONS (DELETE, UPDATE OF x) WHEN (OLD.x <> NEW.x) KEY (x) WITH (max_in_flight = 16) COMMENT 'c'`;
  const at = (part: string): number => text.indexOf(part) + 1;
  const columns = [
    { name: 'x', position: at('x, "Y"') },
    { name: 'Y', position: at('"Y"') },
  ];
  const where = { text: 'x > 1', position: at('x > 1') };
  assert.deepEqual(run(text), {
    ...CREATED,
    orReplace: true,
    name: 's',
    source: {
      kind: 'tables',
      items: [
        { table: table('a', at('a (x')), columns, where },
        { table: table('b', at('b TO')), columns: null, where: null },
      ],
    },
    destination: { kind: 'endpoint', name: 'e' },
    operations: [
      { name: 'delete', columns: null },
      { name: 'update', columns: [{ name: 'x', position: at('x) WHEN') }] },
    ],
    when: { text: 'OLD.x <> NEW.x', position: at('OLD.x') },
    key: [{ name: 'x', position: at('x) WITH') }],
    comment: 'c',
    givenOptions: ['maxInFlight'],
  });
});

test('schemas and everything are sources too', () => {
  const schemas = run(`CREATE CDC STREAM s ON TABLES IN SCHEMA a, b TO WEBHOOK 'http://h'`);
  assert.deepEqual(schemas.kind === 'create-stream' && schemas.source, {
    kind: 'schemas',
    schemas: [
      { name: 'a', position: 41 },
      { name: 'b', position: 44 },
    ],
  });
  const all = run(`CREATE CDC STREAM s ON ALL TABLES TO WEBHOOK 'http://h'`);
  assert.deepEqual(all.kind === 'create-stream' && all.source, { kind: 'all-tables' });
});

const NOTHING = { set: {}, setHeaders: {}, reset: [], resetHeaders: [] };
const altered = (action: object) => ({ kind: 'alter-stream', name: 's', action });
const changed = (changes: object) => altered({ kind: 'change-options', changes: { ...NOTHING, ...changes } });
const webhook = { kind: 'webhook', url: 'http://h' };
const secret = (source: object) => ({ kind: 'create-secret', ifNotExists: false, name: 'k', source });

const commands: readonly (readonly [text: string, command: object, parameters?: Parameters])[] = [
  ['PAUSE CDC STREAM s', altered({ kind: 'pause' })],
  ['ALTER CDC STREAM S RESUME', altered({ kind: 'resume' })],
  ['ALTER CDC STREAM ALL PAUSE', { kind: 'alter-stream', name: null, action: { kind: 'pause' } }],
  ['RESUME CDC STREAM ALL', { kind: 'alter-stream', name: null, action: { kind: 'resume' } }],
  [
    `ALTER CDC STREAM s SET (max_in_flight = $1, "header.X-A" = $2)`,
    changed({ set: { maxInFlight: 3 }, setHeaders: { 'X-A': 'v' } }),
    ['3', 'v'],
  ],
  [`ALTER CDC STREAM s RESET (timeout, "header.X-A")`, changed({ reset: ['requestTimeoutMs'], resetHeaders: ['X-A'] })],
  ['ALTER CDC STREAM s RENAME TO t', altered({ kind: 'rename', to: 't' })],
  ['ALTER CDC STREAM s OWNER TO bob', altered({ kind: 'owner', role: { kind: 'name', name: 'bob' } })],
  ['ALTER CDC STREAM s OWNER TO CURRENT_ROLE', altered({ kind: 'owner', role: { kind: 'current_user' } })],
  ['ALTER CDC STREAM s OWNER TO SESSION_USER', altered({ kind: 'owner', role: { kind: 'session_user' } })],
  [
    'ALTER CDC STREAM s ADD TABLE a WHERE (x = $1)',
    altered({
      kind: 'add-tables',
      items: [{ table: table('a', 30), columns: null, where: { text: `x = 'it''s'`, position: 39 } }],
    }),
    ["it's"],
  ],
  ['ALTER CDC STREAM s DROP TABLE a, b', altered({ kind: 'drop-tables', tables: [table('a', 31), table('b', 34)] })],
  ['ALTER CDC STREAM s SET TO WEBHOOK $1', altered({ kind: 'set-destination', destination: webhook }), ['http://h']],
  ['ALTER CDC STREAM s SET FORMAT JSON', altered({ kind: 'set-format', format: 'json' })],
  ['ALTER CDC STREAM s SET ENVELOPE NATIVE', altered({ kind: 'set-envelope', envelope: 'native' })],
  ['ALTER CDC STREAM s SET WHEN (NEW.a)', altered({ kind: 'set-when', when: { text: 'NEW.a', position: 30 } })],
  ['ALTER CDC STREAM s SET ENVELOPE CLOUDEVENTS', altered({ kind: 'set-envelope', envelope: 'cloudevents' })],
  [
    `ALTER CDC STREAM s SET TRANSFORM JSONPATH '$.a'`,
    altered({ kind: 'set-transform', transform: { language: 'jsonpath', text: '$.a', position: 43 } }),
  ],
  [
    'ALTER CDC STREAM s SET TRANSFORM TEMPLATE $1',
    altered({ kind: 'set-transform', transform: { language: 'template', text: '{{ a }}', position: 43 } }),
    ['{{ a }}'],
  ],
  ['ALTER CDC STREAM s RESTART', altered({ kind: 'restart' })],
  ['ALTER CDC STREAM s RESET CIRCUIT', altered({ kind: 'reset-circuit' })],
  ['ALTER CDC STREAM s SKIP EVENT $1', altered({ kind: 'skip-event', id: 'i' }), ['i']],
  ['DROP CDC STREAM a, b', { kind: 'drop-streams', names: ['a', 'b'], ifExists: false }],
  ['DROP CDC STREAM IF EXISTS a', { kind: 'drop-streams', names: ['a'], ifExists: true }],
  ['DROP CDC ENDPOINT a', { kind: 'drop-endpoints', names: ['a'], ifExists: false }],
  ['DROP CDC SECRET a', { kind: 'drop-secrets', names: ['a'], ifExists: false }],
  [
    `CREATE CDC ENDPOINT e AS $1 WITH (timeout = '2s')`,
    {
      kind: 'create-endpoint',
      orReplace: false,
      ifNotExists: false,
      name: 'e',
      url: 'http://h',
      options: { requestTimeoutMs: 2000 },
    },
    ['http://h'],
  ],
  [
    `ALTER CDC ENDPOINT e AS 'http://h' WITH (timeout = '2s')`,
    {
      kind: 'alter-endpoint',
      name: 'e',
      action: { kind: 'set-url', url: 'http://h', changes: { ...NOTHING, set: { requestTimeoutMs: 2000 } } },
    },
  ],
  [
    `ALTER CDC ENDPOINT e AS 'http://h'`,
    { kind: 'alter-endpoint', name: 'e', action: { kind: 'set-url', url: 'http://h', changes: NOTHING } },
  ],
  [`CREATE CDC SECRET k FROM ENV 'K'`, secret({ kind: 'env', variable: 'K' })],
  ['CREATE CDC SECRET k FROM FILE $1', secret({ kind: 'file', path: '/run/k' }), ['/run/k']],
  [`COMMENT ON CDC STREAM s IS 'x'`, { kind: 'comment-on-stream', name: 's', comment: 'x' }],
  ['COMMENT ON CDC STREAM s IS $1', { kind: 'comment-on-stream', name: 's', comment: null }, [null]],
  ['COMMENT ON CDC STREAM s IS NULL', { kind: 'comment-on-stream', name: 's', comment: null }],
  ['SHOW CDC STREAMS', { kind: 'show-streams', like: null }],
  ['SHOW CDC STREAMS LIKE $1', { kind: 'show-streams', like: 'a%' }, ['a%']],
  ['SHOW CDC STREAM STATUS a', { kind: 'show-stream-status', name: 'a' }],
  ['SHOW CREATE CDC STREAM a', { kind: 'show-create-stream', name: 'a' }],
  ['SHOW CREATE CDC ENDPOINT a', { kind: 'show-create-endpoint', name: 'a' }],
  ['SHOW CDC STREAM TABLES a', { kind: 'show-stream-tables', name: 'a' }],
  ['SHOW CDC STREAM OPTIONS a', { kind: 'show-stream-options', name: 'a' }],
  ['SHOW CDC STREAM HISTORY a', { kind: 'show-stream-history', name: 'a' }],
  ['SHOW CDC DELIVERIES', { kind: 'show-deliveries', stream: null, limit: null }],
  ['SHOW CDC DELIVERIES FOR s LIMIT 7', { kind: 'show-deliveries', stream: 's', limit: 7 }],
  ['SHOW CDC DEAD LETTERS LIMIT ($1)', { kind: 'show-dead-letters', stream: null, limit: 8 }, ['8']],
  ['SHOW CDC DEAD LETTERS LIMIT $1', { kind: 'show-dead-letters', stream: null, limit: null }, [null]],
  ['SHOW CDC ENDPOINTS', { kind: 'show-endpoints' }],
  ['SHOW CDC SECRETS', { kind: 'show-secrets' }],
  ['SHOW CDC SLOTS', { kind: 'show-slots' }],
  ['SHOW CDC SETTINGS', { kind: 'show-settings' }],
  ['SHOW CDC VERSION', { kind: 'show-version' }],
  ['CHECK CDC', { kind: 'check' }],
  ['TEST CDC STREAM s', { kind: 'test', target: { kind: 'stream', name: 's' } }],
  ['TEST CDC ENDPOINT e', { kind: 'test', target: { kind: 'endpoint', name: 'e' } }],
  ['TEST CDC WEBHOOK $1', { kind: 'test', target: webhook }, ['http://h']],
  ['PEEK CDC STREAM s', { kind: 'peek-stream', name: 's', limit: null }],
  ['PEEK CDC STREAM s LIMIT (5)', { kind: 'peek-stream', name: 's', limit: 5 }],
  ['BACKFILL CDC STREAM s', { kind: 'backfill-stream', name: 's', table: null, where: null }],
  [
    'BACKFILL CDC STREAM s TABLE t WHERE ( id > 5 )',
    { kind: 'backfill-stream', name: 's', table: table('t', 29), where: { text: 'id > 5', position: 39 } },
  ],
  ['CANCEL BACKFILL CDC STREAM s', { kind: 'cancel-backfill', name: 's' }],
  [
    'REPLAY CDC STREAM s SINCE $1',
    { kind: 'replay-stream', name: 's', from: { kind: 'since', time: 'yesterday', position: 27 } },
    ['yesterday'],
  ],
  [
    `REPLAY CDC STREAM s FROM LSN '0/10' TO LSN $1`,
    { kind: 'replay-stream', name: 's', from: { kind: 'lsn', from: 16n, to: 0x1_0000_0000n } },
    ['1/0'],
  ],
  ['RETRY CDC DEAD LETTERS FOR s ALL', { kind: 'retry-dead-letters', stream: 's', id: null }],
  ['DISCARD CDC DEAD LETTERS FOR s ID $1', { kind: 'discard-dead-letters', stream: 's', id: '7' }, ['7']],
];

for (const [text, command, parameters] of commands) {
  test(`command of: ${text}`, () => {
    const statement = parseStatement(text);
    assert.deepEqual(analyze(statement, parameters ?? []), command);
    assert.equal(parameterCount(statement), parameters?.length ?? 0);
  });
}

test('EXPLAIN has the command that it explains', () => {
  const create = `CREATE CDC STREAM s ON t WHERE (x) TO WEBHOOK 'http://h'`;
  const explained = run(`EXPLAIN ${create}`);
  const placeless = (command: object): unknown =>
    JSON.parse(JSON.stringify(command, (key, part: unknown) => (key === 'position' ? 0 : part)));
  assert.ok(explained.kind === 'explain-create-stream');
  assert.deepEqual(placeless(explained.create), placeless(run(create)));
});

test('the value of a secret is there for who reveals it, and nowhere else', () => {
  for (const text of ['CREATE CDC SECRET k AS $1', `ALTER CDC SECRET k AS $1 KEEP OLD FOR '1h'`]) {
    const command = run(text, ['hunter2']);
    const value =
      command.kind === 'alter-secret'
        ? command.value
        : command.kind === 'create-secret' && command.source.kind === 'value' && command.source.value;
    assert.ok(value instanceof SecretValue);
    assert.equal(value.reveal().toString(), 'hunter2');
    for (const shown of [JSON.stringify(command), inspect(command, { depth: 9, showHidden: true }), String(value)]) {
      assert.doesNotMatch(shown, /hunter2/);
      assert.match(shown, /\*\*\*/);
    }
  }
});

const PARAMETERS = 'CREATE CDC STREAM ON t TO WEBHOOK $2 WITH (batch_size = $1, headers = $4, timeout_secs = $1) AS $3';

test('parameters stand for names, URLs and option values, one as often as one likes', () => {
  const statement = parseStatement(PARAMETERS);
  assert.equal(parameterCount(statement), 4);
  assert.deepEqual(analyze(statement, ['7', 'http://h', 'N', '{"a": "b"}']), {
    ...CREATED,
    name: 'N',
    source: { kind: 'tables', items: [{ table: table('t', 22), columns: null, where: null }] },
    options: { ...DEFAULT_STREAM_OPTIONS, batchMaxEvents: 7, requestTimeoutMs: 7000, headers: { a: 'b' } },
    givenOptions: ['batchMaxEvents', 'requestTimeoutMs', 'headers'],
  });
});

test('a parameter in a condition becomes the literal of its value, whatever it holds', () => {
  const bind = (where: string, ...parameters: (string | null)[]): string | undefined => {
    const command = run(`CREATE CDC STREAM ON t WHERE (${where}) TO WEBHOOK 'http://h'`, parameters);
    return command.kind === 'create-stream' && command.source.kind === 'tables'
      ? command.source.items[0]!.where!.text
      : undefined;
  };
  assert.equal(bind('a = $1::int AND b = $2', '5', null), `a = '5'::int AND b = NULL`);
  assert.equal(bind(`a = '$1' AND "$1" = $1`, `x' OR '' = '`), `a = '$1' AND "$1" = 'x'' OR '''' = '''`);
  assert.equal(bind('a = $1', 'b\\'), `a = E'b\\\\'`);
  assert.equal(bind(`'a'$1`, 'b'), `'a' 'b'`);
  assert.equal(bind('$2 /* $9 */ -- $8\n || $$ $7 $$', 'a', '$1'), `'$1' /* $9 */ -- $8\n || $$ $7 $$`);
});
