import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { startReceiver } from '../support/json-receiver.ts';
import { succeed } from '../support/programs.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { WalhookProcess } from '../support/walhook-process.ts';
import { assertCarriedOut, everyStatement, outcomeOf, statementFile } from './every-statement.ts';

// Law: a driver, whatever its language and its way with the protocol, sees through walhook what it sees directly; and it
// runs statements of ours as any other.

const server = await startPostgres();
const walhook = await new WalhookProcess({
  upstreamUrl: server.url(),
  dataDir: join(temporaryFolder(), 'data'),
}).start();
const receiver = await startReceiver();
const admin = await connect(server.url());

const HERE = import.meta.dirname;
const PYTHON = '/usr/bin/python3';

interface Step {
  readonly step: string;
  readonly value: unknown;
}

type Ours = readonly (readonly [step: string, value: unknown])[];

function times(count: number, ...steps: Ours): Ours {
  return Array.from({ length: count }, () => steps).flat();
}

interface Driver {
  readonly name: string;
  /** A program that takes a URL; and the address of a webhook and a file of statements where it is to run ours too. */
  readonly command: readonly [string, ...string[]];
  /** Where the program has to be built. */
  readonly build?: () => Promise<unknown>;
  /** In how many modes it runs every statement. */
  readonly modes: number;
  /** What must come of each step with statements of ours. HOOK stands for the webhook's address, DRIVER for the name. */
  readonly ours: Ours;
}

const HOOK = 'HOOK';
const SHOWN = ['people_cdc_stream', 'DRIVER.people', HOOK, 'running'];
const PAUZE = 'syntax error at or near "PAUZE"';
const PAUSE = 'did you mean "PAUSE"?';
const GONE = 'CDC stream "bound" does not exist';
const EXISTING = 'SHOW CDC STREAMS lists the streams that exist.';
const FAILED = 'current transaction is aborted, commands ignored until end of transaction block';
const [CREATE, DROP] = ['CREATE CDC STREAM', 'DROP CDC STREAM'];

const PSYCOPG: Ours = [
  ['create', CREATE],
  ...times(4, ['show', SHOWN], ['types', ['float', 'str']]),
  ['in a pipeline', [[1], ['stream_name', 'people_cdc_stream'], [2]]],
  ['syntax', ['SyntaxError', '42601', PAUZE, '20', PAUSE, null]],
  ['syntax, prepared', ['SyntaxError', '42601', PAUZE, '20', PAUSE, null]],
  ['at a savepoint', ['INTRANS', [1001]]],
  ['a parameter', CREATE],
  ['many in one', true],
  ['drop', [DROP, DROP]],
  ['gone', ['UndefinedObject', '42704', GONE, null, EXISTING, null]],
];

const ASYNCPG: Ours = [
  ['create', CREATE],
  ...times(2, ['show', SHOWN]),
  [
    'columns',
    [
      ['stream_name', 25, 'text', 'scalar'],
      ['source', 25, 'text', 'scalar'],
    ],
  ],
  ['prepared', 'people_cdc_stream'],
  ['cursor', ['stream_name', 'source', 'destination_type']],
  ['syntax', ['PostgresSyntaxError', '42601', PAUZE, '20', PAUSE]],
  ['syntax, simple', ['PostgresSyntaxError', '42601', PAUZE, '20', PAUSE]],
  ['a parameter', CREATE],
  ['reset', null],
  ['drop', [DROP, DROP]],
  ['gone', ['UndefinedObjectError', '42704', GONE, null, EXISTING]],
];

const JDBC_ERROR = ['42601', PAUZE, 20, PAUSE, null];
const pgjdbc = (inFailedBlock: unknown): Ours => [
  ['create', [false, 0]],
  ...times(3, ['show', SHOWN], ['types', ['text', 'Double', '', 2]]),
  ['described', ['stream_name']],
  ['a limit', [['stream_name', true]]],
  ['among many', ['people_cdc_stream', true]],
  ['syntax', [JDBC_ERROR]],
  ['syntax, prepared', [JDBC_ERROR, JDBC_ERROR]],
  ['in a block', [JDBC_ERROR, inFailedBlock]],
  ['at a savepoint', [['count int8 ', '1']]],
  ['a parameter', [0]],
  ['in a batch', [[0, 0]]],
  ['drop', [0]],
  ['gone', [['42704', GONE, 0, EXISTING, null]]],
];
/** In each of four modes; the last has a savepoint of the driver's before each statement. */
const PGJDBC: Ours = [...times(3, ...pgjdbc(['25P02', FAILED, 0, null, null])), ...pgjdbc([])];

const PGX_ERROR = ['42601', PAUZE, 20, PAUSE, ''];
/** In each of five modes. */
const PGX: Ours = times(
  5,
  ['create', [CREATE]],
  ...times(2, ['show', [...SHOWN, 'float64']]),
  ['in a batch', [[{ one: 1 }], { property: 'stream_name', value: 'people_cdc_stream' }, [{ two: 2 }]]],
  ['syntax', [PGX_ERROR, PGX_ERROR]],
  ['in a block', [PGX_ERROR, 'E']],
  ['a parameter', [CREATE]],
  ['prepared, binary', ['stream_name', 0, 2]],
  ['drop', [DROP]],
  ['gone', [['42704', GONE, 0, EXISTING, '']]],
);

const PGX_PROGRAM = join(temporaryFolder(), 'pgx-session');

/** Go's own settings (its proxy, its caches) and no other toolchain than the one that is here. */
const GO_ENV = {
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => name.startsWith('GO'))),
  GOTOOLCHAIN: 'local',
  // As scripts/install-debian.sh looks for it.
  PATH: `${process.env['PATH']}:/usr/local/go/bin`,
} as Record<string, string>;

const DRIVERS: readonly Driver[] = [
  { name: 'psycopg', command: [PYTHON, join(HERE, 'python', 'psycopg_session.py')], ours: PSYCOPG, modes: 2 },
  { name: 'asyncpg', command: [PYTHON, join(HERE, 'python', 'asyncpg_session.py')], ours: ASYNCPG, modes: 1 },
  {
    name: 'pgjdbc',
    command: [
      'java',
      '-Dfile.encoding=UTF-8',
      '-cp',
      '/usr/share/java/postgresql.jar',
      join(HERE, 'java', 'Session.java'),
    ],
    ours: PGJDBC,
    modes: 4,
  },
  {
    name: 'pgx',
    build: () => succeed('go', ['build', '-o', PGX_PROGRAM, '.'], { cwd: join(HERE, 'go'), env: GO_ENV }),
    command: [PGX_PROGRAM],
    ours: PGX,
    modes: 5,
  },
];

/** Runs the program, as a role and in a schema of its own. */
async function steps(driver: Driver, url: string, ...webhook: string[]): Promise<Step[]> {
  const [program, ...args] = driver.command;
  const out = await succeed(program, [...args, url.replace('//postgres:', `//${driver.name}:`), ...webhook]);
  return out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Step);
}

const isOurs = ({ step }: Step): boolean => step.startsWith('ours');
const EVERY = 'ours: every statement';

/** What `pg` sees of every statement, which the others are to see too. */
async function reference(): Promise<readonly string[]> {
  const client = await connect(walhook.sqlUrl());
  await client.query('create table people (id int primary key, name text); create table extra (id int primary key)');
  const outcomes: string[] = [];
  for (const { sql, values } of everyStatement(`${receiver.url}/reference`)) {
    outcomes.push(await outcomeOf(async () => (await client.query(sql, [...values])).fields.map(({ name }) => name)));
  }
  return outcomes;
}

const expected = await reference();

for (const driver of DRIVERS) {
  const { name } = driver;
  suite(name, () => {
    const hook = `${receiver.url}/${name}`;
    let proxied: Step[] = [];

    test('sees what it sees directly', async () => {
      await driver.build?.();
      await admin.query(`
        create role ${name} superuser login password 'walhook';
        create schema ${name} authorization ${name};
        alter role ${name} set search_path = ${name};
        create table ${name}.extra (id int primary key);
      `);
      const file = join(temporaryFolder(), 'statements');
      writeFileSync(file, statementFile(everyStatement(hook)));
      proxied = await steps(driver, walhook.sqlUrl(), hook, file);
      const direct = await steps(driver, server.url());
      assert.deepEqual(
        proxied.filter((step) => !isOurs(step)),
        direct,
      );
      assert.ok(direct.length > 10, `${direct.length} steps`);
    });

    test('runs statements of ours', () => {
      const some = proxied.filter((step) => isOurs(step) && step.step !== EVERY);
      const seen = JSON.stringify(some.map(({ step, value }) => [step.replace('ours: ', ''), value]));
      // Just made, a stream may still be starting.
      const general = seen
        .replaceAll(hook, HOOK)
        .replaceAll(`"${name}.`, '"DRIVER.')
        .replaceAll('"starting"', '"running"');
      assert.deepEqual(JSON.parse(general), driver.ours);
    });

    test('runs every statement of ours, and sees what `pg` sees', async () => {
      const seen = proxied.filter(({ step }) => step === EVERY).map(({ value }) => value);
      assert.deepEqual(
        seen,
        Array.from({ length: driver.modes }, () => expected),
      );
      assertCarriedOut(everyStatement(hook), expected);
    });

    test('its insert was delivered', async () => {
      const { body } = await waitFor('the insert', () => receiver.to(`/${name}`)[0]);
      assert.equal((body['after'] as Record<string, unknown>)['name'], 'delivered');
    });
  });
}
