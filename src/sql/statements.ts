/** A row of the statement reference, which is printed from these and tested against the grammar. */
export interface StatementReference {
  readonly syntax: string;
  readonly text: string;
  /** A statement for each alternative of the syntax. */
  readonly examples: readonly string[];
}

function row(syntax: string, text: string, ...examples: string[]): StatementReference {
  return { syntax, text, examples };
}

/** Every statement of ours. */
export const STATEMENTS: readonly StatementReference[] = Object.freeze([
  row(
    'CREATE [OR REPLACE] {CHANGE DATA CAPTURE | CDC STREAM} [IF NOT EXISTS] [name] ON source TO destination [clause …]',
    'Starts a stream. Without a name it is `<table>_cdc_stream`. The answer comes when capture is armed: every change ' +
      'committed by a transaction that begins after it is delivered.',
    `CREATE CHANGE DATA CAPTURE ON orders TO WEBHOOK 'https://example.com/hook'`,
    `CREATE OR REPLACE CDC STREAM paid ON orders (id, status) WHERE (total > 0) TO ENDPOINT billing WHEN (OLD.status IS DISTINCT FROM NEW.status)`,
  ),
  row(
    'EXPLAIN CREATE CDC STREAM …',
    'What the statement would do: tables, changes of the publication, what `before` will hold, risks. Creates nothing.',
    `EXPLAIN CREATE CDC STREAM ON orders TO WEBHOOK 'https://example.com/hook'`,
  ),
  row(
    'ALTER CDC STREAM {name | ALL} {PAUSE | RESUME}',
    'Stops sending, and goes on where it stopped. Changes go on being captured.',
    'ALTER CDC STREAM s PAUSE',
    'ALTER CDC STREAM ALL RESUME',
  ),
  row(
    'ALTER CDC STREAM name {SET (option = value, …) | RESET (option, …)}',
    'Changes options.',
    'ALTER CDC STREAM s SET (max_in_flight = 4)',
    'ALTER CDC STREAM s RESET (max_in_flight)',
  ),
  row(
    'ALTER CDC STREAM name {RENAME TO name | OWNER TO role}',
    'Another name, another owner.',
    'ALTER CDC STREAM s RENAME TO t',
    'ALTER CDC STREAM s OWNER TO CURRENT_USER',
  ),
  row(
    'ALTER CDC STREAM name {ADD TABLE item [, …] | DROP TABLE table [, …]}',
    'More tables, and fewer. An item is what CREATE takes.',
    'ALTER CDC STREAM s ADD TABLE a (x) WHERE (x > 1), b',
    'ALTER CDC STREAM s DROP TABLE a, public.b',
  ),
  row(
    'ALTER CDC STREAM name SET {TO destination | FORMAT format | ENVELOPE envelope | WHEN (condition) | TRANSFORM …}',
    'Changes what is sent, and where. The position is kept; applies from the next batch.',
    'ALTER CDC STREAM s SET TO ENDPOINT e',
    'ALTER CDC STREAM s SET FORMAT JSON',
    'ALTER CDC STREAM s SET ENVELOPE NATIVE',
    'ALTER CDC STREAM s SET WHEN (NEW.total > 0)',
    `ALTER CDC STREAM s SET TRANSFORM JSONPATH '$.after'`,
  ),
  row(
    `ALTER CDC STREAM name {RESTART | RESET CIRCUIT | SKIP EVENT 'id'}`,
    'Begins again after a failure; closes the circuit breaker; leaves one event out.',
    'ALTER CDC STREAM s RESTART',
    'ALTER CDC STREAM s RESET CIRCUIT',
    `ALTER CDC STREAM s SKIP EVENT '019c4ab1-473b-783c-af83-b22a9aa26cff'`,
  ),
  row(
    'DROP CDC STREAM [IF EXISTS] name [, …]',
    'Ends streams; what they had not delivered is forgotten.',
    'DROP CDC STREAM IF EXISTS a, b',
  ),
  row(
    `CREATE [OR REPLACE] CDC ENDPOINT [IF NOT EXISTS] name AS 'url' [WITH (option = value, …)]`,
    'A destination that streams share.',
    `CREATE CDC ENDPOINT e AS 'https://example.com/' WITH (request_timeout = '5s')`,
  ),
  row(
    `ALTER CDC ENDPOINT name {AS 'url' [WITH (…)] | SET (…) | RESET (…) | RENAME TO name | OWNER TO role}`,
    'Changes it for every stream that uses it.',
    `ALTER CDC ENDPOINT e AS 'https://example.com/v2'`,
    `ALTER CDC ENDPOINT e SET (request_timeout = '5s')`,
    'ALTER CDC ENDPOINT e RESET (request_timeout)',
    'ALTER CDC ENDPOINT e RENAME TO f',
    'ALTER CDC ENDPOINT e OWNER TO alice',
  ),
  row('DROP CDC ENDPOINT [IF EXISTS] name [, …]', 'Refused (2BP01) while a stream uses it.', 'DROP CDC ENDPOINT e'),
  row(
    `CREATE CDC SECRET [IF NOT EXISTS] name {AS 'value' | FROM ENV 'VARIABLE' | FROM FILE 'path'}`,
    'A secret that options name: `signing_secret = SECRET name`. Its value is never shown again.',
    `CREATE CDC SECRET k AS 'whsec_…'`,
    `CREATE CDC SECRET k FROM ENV 'SIGNING_SECRET'`,
    `CREATE CDC SECRET k FROM FILE '/run/secrets/signing'`,
  ),
  row(
    `ALTER CDC SECRET name AS 'value' [KEEP OLD FOR 'interval']`,
    'Another value; with KEEP OLD FOR, requests are signed with both so long.',
    `ALTER CDC SECRET k AS 'whsec_…' KEEP OLD FOR '24h'`,
  ),
  row('DROP CDC SECRET [IF EXISTS] name [, …]', 'Refused (2BP01) while an option names it.', 'DROP CDC SECRET k'),
  row(
    `COMMENT ON CDC STREAM name IS {'text' | NULL}`,
    'Says what a stream is for.',
    `COMMENT ON CDC STREAM s IS 'for billing'`,
    'COMMENT ON CDC STREAM s IS NULL',
  ),
  row(
    `SHOW CDC STREAMS [LIKE 'pattern']`,
    'One row a stream: source, destination, status and why, lag, counts, the last error.',
    `SHOW CDC STREAMS LIKE 'orders%'`,
  ),
  row(
    'SHOW CDC STREAM STATUS name',
    'All there is to know of one stream, a row a property.',
    'SHOW CDC STREAM STATUS s',
  ),
  row(
    'SHOW CREATE CDC {STREAM | ENDPOINT} name',
    'The statement that makes it, canonically spelt. Credentials in a URL or in headers are shown as `***`.',
    'SHOW CREATE CDC STREAM s',
    'SHOW CREATE CDC ENDPOINT e',
  ),
  row(
    'SHOW CDC STREAM {TABLES | OPTIONS | HISTORY} name',
    'Its tables, its options, and who did what to it.',
    'SHOW CDC STREAM TABLES s',
    'SHOW CDC STREAM OPTIONS s',
    'SHOW CDC STREAM HISTORY s',
  ),
  row(
    'SHOW CDC {DELIVERIES | DEAD LETTERS} [FOR name] [LIMIT n]',
    'The latest requests; the events that were given up on.',
    'SHOW CDC DELIVERIES FOR s LIMIT 10',
    'SHOW CDC DEAD LETTERS',
  ),
  row(
    'SHOW CDC {ENDPOINTS | SECRETS | SLOTS | SETTINGS | VERSION}',
    'What else there is.',
    'SHOW CDC ENDPOINTS',
    'SHOW CDC SECRETS',
    'SHOW CDC SLOTS',
    'SHOW CDC SETTINGS',
    'SHOW CDC VERSION',
  ),
  row(
    'CHECK CDC',
    'One row for each prerequisite of the upstream, with the SQL that fixes it; of streams to Kafka also of brokers, topics and schema registry.',
    'CHECK CDC',
  ),
  row(
    `TEST CDC {STREAM name | ENDPOINT name | WEBHOOK 'url'}`,
    'Sends one signed `cdc.test` event; of a stream to Kafka it asks the brokers whether they would take its events.',
    'TEST CDC STREAM s',
    'TEST CDC ENDPOINT e',
    `TEST CDC WEBHOOK 'https://example.com/hook'`,
  ),
  row('PEEK CDC STREAM name [LIMIT n]', 'The exact requests that would be sent next.', 'PEEK CDC STREAM s LIMIT 3'),
  row(
    'BACKFILL CDC STREAM name [TABLE table] [WHERE (condition)]',
    'Sends the rows that are there.',
    'BACKFILL CDC STREAM s TABLE orders WHERE (id > 100)',
  ),
  row('CANCEL BACKFILL CDC STREAM name', 'Ends that.', 'CANCEL BACKFILL CDC STREAM s'),
  row(
    `REPLAY CDC STREAM name {SINCE 'timestamp' | FROM LSN 'x/y' [TO LSN 'x/y']}`,
    'Sends delivered events again, as far as they are retained.',
    `REPLAY CDC STREAM s SINCE '2026-01-05 10:00'`,
    `REPLAY CDC STREAM s FROM LSN '0/1A2B3C4' TO LSN '0/2A2B3C4'`,
  ),
  row(
    `{RETRY | DISCARD} CDC DEAD LETTERS FOR name {ALL | ID 'id'}`,
    'Sends dead letters again, or forgets them.',
    'RETRY CDC DEAD LETTERS FOR s ALL',
    `DISCARD CDC DEAD LETTERS FOR s ID '7'`,
  ),
]);

/** The clauses of CREATE and what they stand for; each at most once, in any order. */
const CLAUSES: ReadonlyArray<readonly [syntax: string, text: string]> = [
  ['source', 'item [, …] \\| TABLES IN SCHEMA schema [, …] \\| ALL TABLES'],
  ['item', '[TABLE] table [(column [, …])] [WHERE (condition)]: these columns of these rows, as in a publication'],
  ['destination', `WEBHOOK 'url' \\| ENDPOINT name \\| KAFKA 'host:port [, …]' [TOPIC 'topic']`],
  ['FORMAT {JSON \\| AVRO}', 'the encoding'],
  ['ENVELOPE {NATIVE \\| DEBEZIUM \\| FLAT \\| CLOUDEVENTS}', 'the shape of an event'],
  ['OPERATIONS (operation [, …])', 'INSERT, UPDATE [OF column [, …]], DELETE, TRUNCATE; without it all of them'],
  ['WHEN (condition)', 'over OLD.column and NEW.column, as in a trigger'],
  [`TRANSFORM {JSONPATH \\| TEMPLATE} 'text'`, 'what is made of an event'],
  ['KEY (column [, …])', 'what orders events; the primary key without it'],
  ['WITH (option [= value] [, …])', 'the options below'],
  [`COMMENT 'text'`, 'what the stream is for'],
  ['AS name', 'the name, as a name or as a string'],
];

/** Statements and clauses as Markdown tables. */
export function statementReference(): string {
  const lines = ['| statement | what it does |', '| --- | --- |'];
  for (const { syntax, text } of STATEMENTS) lines.push(`| \`${syntax.replaceAll('|', '\\|')}\` | ${text} |`);
  lines.push('', '| in CREATE | meaning |', '| --- | --- |');
  for (const [syntax, text] of CLAUSES) lines.push(`| \`${syntax}\` | ${text} |`);
  return `${lines.join('\n')}\n`;
}
