import assert from 'node:assert/strict';
import { quoteLiteral } from '../../src/postgres/identifier.ts';

/** A statement of ours as every driver is to run it. */
export interface DriverStatement {
  /** With `$1`, … as PostgreSQL spells parameters. */
  readonly sql: string;
  readonly values: readonly string[];
}

const KEY = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';

/**
 * Makes a stream for which the log is kept. Without it a REPLAY is refused or not, as the log was trimmed just before or not.
 * `client` goes through walhook.
 */
export async function keepLog(client: { query(sql: string): Promise<unknown> }, hook: string): Promise<void> {
  await client.query('CREATE TABLE kept_log (id int PRIMARY KEY)');
  await client.query(`CREATE CDC STREAM kept_log ON kept_log TO WEBHOOK '${hook}' WITH (retention = '1 d')`);
}

/**
 * Every statement of ours, each kind and each action, with a parameter where one is likely: from nothing to nothing again.
 * The session finds tables `people` and `extra` with primary keys `id`. `hook` is a webhook's address.
 */
export function everyStatement(hook: string): readonly DriverStatement[] {
  const one = (sql: string, ...values: string[]): DriverStatement => ({ sql, values });
  return [
    one('CREATE CDC SECRET k AS $1', KEY),
    one(`CREATE CDC SECRET IF NOT EXISTS k FROM ENV 'NOWHERE'`),
    one(`CREATE CDC SECRET IF NOT EXISTS k FROM FILE '/nowhere'`),
    one(`ALTER CDC SECRET k AS '${KEY}' KEEP OLD FOR '1h'`),
    one('CREATE CDC ENDPOINT e AS $1', hook),
    one(`CREATE OR REPLACE CDC ENDPOINT e AS '${hook}' WITH (request_timeout = '5s', "header.X-Team" = 'crm')`),
    one('ALTER CDC ENDPOINT e AS $1', hook),
    one('ALTER CDC ENDPOINT e SET (request_timeout = $1)', '6s'),
    one('ALTER CDC ENDPOINT e RESET (request_timeout)'),
    one('ALTER CDC ENDPOINT e RENAME TO f'),
    one('ALTER CDC ENDPOINT f OWNER TO CURRENT_USER'),
    one('EXPLAIN CREATE CDC STREAM s ON people TO WEBHOOK $1', hook),
    one('CREATE CDC STREAM s ON people (id, name) TO ENDPOINT f OPERATIONS (INSERT) COMMENT $1', 'for everybody'),
    one(`CREATE OR REPLACE CDC STREAM s ON people TO ENDPOINT f KEY (id)`),
    one('CREATE CHANGE DATA CAPTURE IF NOT EXISTS s ON people TO ENDPOINT f'),
    one('ALTER CDC STREAM s PAUSE'),
    one('ALTER CDC STREAM s RESUME'),
    one('ALTER CDC STREAM ALL PAUSE'),
    one('ALTER CDC STREAM ALL RESUME'),
    one('ALTER CDC STREAM s SET (max_in_flight = $1, batch_size = 2)', '4'),
    one('ALTER CDC STREAM s RESET (max_in_flight)'),
    one('ALTER CDC STREAM s ADD TABLE extra (id)'),
    one('ALTER CDC STREAM s DROP TABLE extra'),
    one('ALTER CDC STREAM s SET TO WEBHOOK $1', hook),
    one('ALTER CDC STREAM s SET FORMAT JSON'),
    one('ALTER CDC STREAM s SET ENVELOPE NATIVE'),
    one('ALTER CDC STREAM s SET WHEN (NEW.id > 1)'),
    one('ALTER CDC STREAM s SET TRANSFORM JSONPATH $1', '$.after'),
    one('ALTER CDC STREAM s RESTART'),
    one('ALTER CDC STREAM s RESET CIRCUIT'),
    one('ALTER CDC STREAM s SKIP EVENT $1', '019c4ab1-473b-783c-af83-b22a9aa26cff'),
    one('ALTER CDC STREAM s RENAME TO t'),
    one('ALTER CDC STREAM t OWNER TO CURRENT_USER'),
    one('COMMENT ON CDC STREAM t IS $1', 'for billing'),
    one('COMMENT ON CDC STREAM t IS NULL'),
    one('SHOW CDC STREAMS'),
    one('SHOW CDC STREAMS LIKE $1', 't'),
    one('SHOW CDC STREAM STATUS t'),
    one('SHOW CREATE CDC STREAM t'),
    one('SHOW CREATE CDC ENDPOINT f'),
    one('SHOW CDC STREAM TABLES t'),
    one('SHOW CDC STREAM OPTIONS t'),
    one('SHOW CDC STREAM HISTORY t'),
    one('SHOW CDC DELIVERIES FOR t LIMIT $1', '3'),
    one('SHOW CDC DEAD LETTERS FOR t'),
    one('SHOW CDC ENDPOINTS'),
    one('SHOW CDC SECRETS'),
    one('SHOW CDC SLOTS'),
    one('SHOW CDC SETTINGS'),
    one('SHOW CDC VERSION'),
    one('CHECK CDC'),
    one('TEST CDC STREAM t'),
    one('TEST CDC ENDPOINT f'),
    one('TEST CDC WEBHOOK $1', hook),
    one('PEEK CDC STREAM t LIMIT 1'),
    one('BACKFILL CDC STREAM t TABLE people WHERE (id > 1)'),
    one('CANCEL BACKFILL CDC STREAM t'),
    one('REPLAY CDC STREAM t SINCE $1', '2026-01-05 10:00'),
    one(`REPLAY CDC STREAM t FROM LSN '0/1' TO LSN '0/2'`),
    one('RETRY CDC DEAD LETTERS FOR t ALL'),
    one('DISCARD CDC DEAD LETTERS FOR t ID $1', '7'),
    one('DROP CDC STREAM t'),
    one('DROP CDC STREAM IF EXISTS t'),
    one('DROP CDC ENDPOINT f'),
    one('DROP CDC SECRET k'),
    one('SHOW CREATE CDC STREAM t'),
    one('ALTER CDC STREAM t PAUZE'),
  ];
}

/** The statement with its values in it, for who has no parameters. */
export function literally({ sql, values }: DriverStatement): string {
  return sql.replaceAll(/\$(\d)/g, (_, index) => quoteLiteral(values[Number(index) - 1]!));
}

/** As the programs read them: a statement a line, its values behind it, tabs between. */
export function statementFile(statements: readonly DriverStatement[]): string {
  return statements.map(({ sql, values }) => `${[sql, ...values].join('\t')}\n`).join('');
}

/** What comes of a statement, as every driver says it: `rows` and its columns, `done`, or `error` and its SQLSTATE. */
export async function outcomeOf(run: () => Promise<readonly string[]>): Promise<string> {
  try {
    const columns = await run();
    return columns.length === 0 ? 'done' : `rows ${columns.join(' ')}`;
  } catch (error) {
    const { code } = error as { readonly code?: string };
    if (code === undefined) throw error;
    return `error ${code}`;
  }
}

/** Fails unless everything was carried out that can be. */
export function assertCarriedOut(statements: readonly DriverStatement[], outcomes: readonly string[]): void {
  assert.equal(outcomes.length, statements.length);
  const failed = statements.flatMap(({ sql }, i) =>
    outcomes[i]!.startsWith('error') ? [`${sql}: ${outcomes[i]}`] : [],
  );
  assert.deepEqual(failed, [
    // There is no such event, no such dead letter, no such stream any more, and no such word.
    'ALTER CDC STREAM s SKIP EVENT $1: error 42704',
    'DISCARD CDC DEAD LETTERS FOR t ID $1: error 42704',
    'SHOW CREATE CDC STREAM t: error 42704',
    'ALTER CDC STREAM t PAUZE: error 42601',
  ]);
}
