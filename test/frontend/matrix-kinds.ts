import type pg from 'pg';
import { PLAIN_STREAM } from '../support/example-stream.ts';
import { textRowsOf, type RawClient } from '../support/raw-client.ts';
import type { FakeStreams } from './fake-streams.ts';

/** A statement's text and parameters: one of ours, or an ordinary one in its place. */
export interface Subject {
  readonly text: string;
  readonly values: ReadonlyArray<string | Buffer>;
}

/** A kind of statement of ours, and the ordinary statements that Postgres treats as it should be treated. */
export interface Kind {
  readonly name: string;
  readonly ours: Subject;
  /** Of the same columns and rows, notices, and with its error (if any) at the same step. */
  readonly standIn: Subject;
  /** What stands in for it in a Query message, where that cannot be the same. */
  readonly simpleStandIn: Subject | null;
  /** In a transaction it is staged, and refused only in a Query that follows an Execute without a Sync. */
  readonly isTransactional: boolean;
  /** What stands in for it where it is refused in a transaction; null: it is not. */
  readonly refused: Subject | null;
  /** How many rows it returns; null: none, ever. */
  readonly rows: number | null;
  /** Whether all of a Query message is refused for it before anything of it runs. */
  readonly refusesMessage: boolean;
  /** The stand-in's SQLSTATE and ours, where they cannot be the same. */
  readonly codes: readonly [standIn: string, ours: string] | null;
  readonly failsAtBind: boolean;
}

const STREAMS = ['s1', 's2', 's3'];
const URL = 'https://example.com/hook';
/** The streams that there are at the beginning of each cell. */
export async function resetStreams(streams: FakeStreams): Promise<void> {
  streams.clear();
  for (const name of STREAMS) {
    const table = { oid: 20_000, schema: 'public', name: 'orders', keyColumns: ['id'], columns: null, where: null };
    const destination = { kind: 'webhook', url: URL } as const;
    const request = { ...PLAIN_STREAM, name, ifNotExists: false, database: 'postgres', tables: [table], destination };
    await streams.createStream({ ...request, owner: 'postgres' }, new AbortController().signal);
  }
}

/** What the stand-ins need on the server. */
export async function prepareServer(admin: pg.Client): Promise<void> {
  await admin.query(`
    create table orders (id int primary key);
    create table counted (id int);
    create table sink (body text);
    create function refuse(text) returns text language plpgsql as $$ begin raise sqlstate '25001'; end $$;
    create function missing() returns table (property text, value text)
      language plpgsql as $$ begin raise sqlstate '42704'; end $$;
  `);
}

const plain = (text: string): Subject => ({ text, values: [] });
const REFUSED = plain(`do $$ begin raise sqlstate '25001'; end $$`);
const COMMENT = plain(`comment on table orders is 'changed'`);
const MISSING = plain(`do $$ begin raise sqlstate '42704'; end $$`);

const NOTHING = {
  isTransactional: false,
  simpleStandIn: null,
  refused: null,
  rows: null,
  refusesMessage: false,
  codes: null,
  failsAtBind: false,
};

/** All kinds. `client` is a session with walhook, from which the rows are taken that the stand-ins return. */
export async function allKinds(client: RawClient, streams: FakeStreams): Promise<readonly Kind[]> {
  await resetStreams(streams);
  const webhook = `ON orders TO WEBHOOK '${URL}'`;
  return [
    {
      ...NOTHING,
      isTransactional: true,
      refused: REFUSED,
      name: 'CREATE',
      ours: plain(`CREATE CDC STREAM made ${webhook}`),
      standIn: COMMENT,
    },
    {
      ...NOTHING,
      isTransactional: true,
      refused: REFUSED,
      name: 'CREATE with a notice',
      ours: plain(`CREATE CHANGE DATA CAPTURE ${webhook}`),
      standIn: plain(`do $$ begin raise notice 'named'; end $$`),
    },
    {
      ...NOTHING,
      isTransactional: true,
      name: 'CREATE with a parameter',
      ours: { text: 'CREATE CDC STREAM made ON orders TO WEBHOOK $1', values: [URL] },
      standIn: { text: 'insert into sink values ($1)', values: [URL] },
    },
    { ...NOTHING, name: 'ALTER … PAUSE', ours: plain('ALTER CDC STREAM s1 PAUSE'), standIn: COMMENT, refused: REFUSED },
    {
      ...NOTHING,
      name: 'ALTER … RESUME',
      ours: plain('ALTER CDC STREAM s1 RESUME'),
      standIn: COMMENT,
      refused: REFUSED,
    },
    {
      ...NOTHING,
      isTransactional: true,
      refused: REFUSED,
      name: 'DROP',
      ours: plain('DROP CDC STREAM s1, s2'),
      standIn: COMMENT,
    },
    {
      ...NOTHING,
      isTransactional: true,
      refused: REFUSED,
      name: 'DROP with a notice',
      ours: plain('DROP CDC STREAM IF EXISTS s1, s9'),
      standIn: plain('drop table if exists s9'),
    },
    {
      ...NOTHING,
      isTransactional: true,
      refused: REFUSED,
      name: 'CREATE ENDPOINT',
      ours: plain(`CREATE CDC ENDPOINT made AS '${URL}'`),
      standIn: COMMENT,
    },
    {
      ...NOTHING,
      isTransactional: true,
      name: 'CREATE SECRET with a parameter',
      ours: { text: 'CREATE CDC SECRET made AS $1', values: ['value'] },
      standIn: { text: 'insert into sink values ($1)', values: ['value'] },
    },
    {
      ...NOTHING,
      name: 'SHOW … STREAMS',
      ours: plain('SHOW CDC STREAMS'),
      standIn: await sameRows(client, 'SHOW CDC STREAMS'),
      rows: 3,
    },
    {
      ...NOTHING,
      name: 'SHOW … STATUS',
      ours: plain('SHOW CDC STREAM STATUS s1'),
      standIn: await sameRows(client, 'SHOW CDC STREAM STATUS s1'),
      rows: 44,
    },
    {
      ...NOTHING,
      name: 'an error of syntax',
      ours: plain('ALTER CDC STREAM s1 PAUZE'),
      standIn: plain('selec 1'),
      refusesMessage: true,
    },
    {
      ...NOTHING,
      name: 'an error of analysis',
      ours: plain(`CREATE CDC STREAM made ON orders TO WEBHOOK 'nonsense'`),
      codes: ['22P02', '22023'],
      standIn: plain(`select cast('x' as int)`),
      // Unlike in the server, all that is wrong with statements of ours themselves is told before anything runs.

      refusesMessage: true,
    },
    {
      ...NOTHING,
      name: 'an error of a parameter',
      ours: { text: 'CREATE CDC STREAM made ON orders TO WEBHOOK $1', values: ['nonsense'] },
      // The one thing that a text can have wrong when it is bound: its encoding.
      standIn: { text: 'insert into sink values (cast($1 as text))', values: [Buffer.of(0xff)] },
      codes: ['22021', '22023'],
      failsAtBind: true,
    },
    {
      ...NOTHING,
      name: 'an error of execution with rows',
      ours: plain('SHOW CDC STREAM STATUS s9'),
      standIn: plain('select * from missing()'),
      // Of what a Query executes the server tells the columns when it has rows, or (for SELECT) before it looks for them.
      simpleStandIn: MISSING,
      rows: 0,
    },
    {
      ...NOTHING,
      name: 'an error of execution',
      ours: plain('ALTER CDC STREAM s9 PAUSE'),
      standIn: MISSING,
      refused: REFUSED,
    },
  ];
}

const TYPES: ReadonlyMap<number, string> = new Map([
  [20, 'int8'],
  [23, 'int4'],
  [25, 'text'],
  [701, 'float8'],
  [1184, 'timestamptz'],
]);

/** A SELECT of the columns and rows that the statement returns. */
async function sameRows(client: RawClient, sql: string): Promise<Subject> {
  const answer = await client.query(sql);
  const { body } = answer[0]!;
  const columns: Array<{ name: string; type: string }> = [];
  for (let at = 2; at < body.length;) {
    const end = body.indexOf(0, at);
    columns.push({ name: body.toString('utf8', at, end), type: TYPES.get(body.readInt32BE(end + 7))! });
    at = end + 19;
  }
  const literal = (value: string | null, i: number): string =>
    `cast(${value === null ? 'null' : `'${value}'`} as ${columns[i]!.type})`;
  const rows = textRowsOf(answer).map((row) => `(${row.map(literal).join(', ')})`);
  const names = columns.map(({ name }) => `"${name}"`).join(', ');
  return plain(`select * from (values ${rows.join(', ')}) v (${names})`);
}
