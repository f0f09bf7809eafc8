import { Writer } from '../../src/wire/writer.ts';
import { say } from '../support/raw-client.ts';

/** A number below the given one. */
export type Random = (below: number) => number;

/** Small and seeded: the same sessions each time. */
export function randomOf(seed: number): Random {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** What the sessions need on the server. */
export const SCHEMA = `
  create table item (id int primary key, body text);
  create table parent (id int primary key);
  create table child (parent int references parent deferrable initially deferred);
  create function shout(text) returns text language plpgsql as $$ begin raise notice 'shout %', $1; return upper($1); end $$;
  create table change (cdc int);
  create procedure twice() language plpgsql as $$ begin insert into item values (50); commit; rollback; end $$;
`;

/** Under this setting the string goes on behind the second quote. In a failed block it could not be changed. */
const BACKSLASHES = [
  'rollback',
  'set standard_conforming_strings = off',
  "select 'a\\';SHOW CDC STREAMS;'",
  'set standard_conforming_strings = on',
].map(say.query);

export const QUERIES = [
  'select 1 as one',
  '',
  ';;',
  'select 1; select 2; select 3',
  'select 1; select 1/0; select 2',
  'selec 1',
  "select 'CREATE CHANGE DATA CAPTURE ON t TO WEBHOOK'",
  '/* SHOW CDC STREAMS; */ select 1 -- DROP CDC STREAM x',
  'select $q$; SHOW CDC STREAMS; $q$ as cdc',
  'select * from change; insert into change values (1) returning cdc as change',
  'show cdc.nothing',
  'begin',
  'commit',
  'rollback',
  'savepoint s',
  'rollback to s',
  'insert into item values (1, $$one$$) on conflict do nothing',
  'insert into child values (99)',
  "select shout('hello')",
  'select repeat($$x$$, 70000) as big, generate_series(1, 3)',
  'select g, repeat(md5(g::text), 10) from generate_series(1, 2000) g',
  'copy (select g, g from generate_series(1, 500) g) to stdout',
  'listen news; notify news, $$hello$$',
  'set client_encoding = latin1',
  "select 'gr\u00fc\u00df dich'",
  'set client_encoding = utf8',
  "set application_name = 'renamed'",
  'prepare p as select 1; execute p; deallocate p',
  'discard all',
  'vacuum item',
  'create table if not exists made (id int)',
  'select xmlparse(content $$<a>$$)',
  // Cursors.
  'begin; declare c scroll cursor with hold for select generate_series(1, 20); commit',
  'fetch 5 from c',
  'fetch backward 3 from c',
  'move absolute 7 in c',
  'close c',
  'close all',
  // Transactions that end in every way.
  'begin; insert into item values (60); commit and chain',
  'rollback and chain',
  'begin isolation level serializable read only deferrable',
  'commit; select 1; rollback',
  'release savepoint s',
  'call twice()',
  'do $$ begin perform 1/0; exception when others then raise warning $q$caught$q$ using detail = $q$d$q$, hint = $q$h$q$; end $$',
  // Errors of every kind and with every field.
  'select * from nothing',
  'select nothing(1)',
  "select 'x'::int",
  'insert into item values (1), (1)',
  'insert into item values (null)',
  "do $$ begin raise exception 'all' using errcode = 'P0042', detail = 'd', hint = 'h', column = 'c', constraint = 'k', datatype = 't', table = 'r', schema = 's'; end $$",
  "select convert_from('\\xff', 'utf8')",
  "select 'unterminated",
  'select $tag$ unterminated',
  '/* unterminated',
  'select 1 from (select 2',
  'copy nothing from stdin',
  'copy item from stdin with (format nonsense)',
  'copy (select 1/0) to stdout',
  'copy item to stdout with (format binary)',
  'copy item to stdout with (format csv, header)',
  'set client_encoding = nonsense',
  'deallocate nothing',
  'execute nothing',
  'prepare q as select $1::int; execute q(5); execute q; deallocate all',
  'listen more; notify more; unlisten more; notify more',
  "select pg_notify('news', repeat('x', 7000))",
  'explain (costs off) select * from item',
  'show all',
  'reset all',
  "set datestyle = 'German'; set timezone = 'Asia/Tokyo'",
  'values (1), (2), (null)',
  "select '\\x00ff'::bytea, 1.5::numeric, now() is null, array[1, null], row(1, 'a'), 'a=>b'::text, null",
];

export const STATEMENTS = [
  'select 1',
  'select $1::text as echo',
  'select g from generate_series(1, 50) g',
  'insert into item values (2, $1) on conflict do nothing',
  'select bad',
  'select 1/0',
  '',
  'begin',
  'commit',
  'insert into child values (77)',
  "select 'cdc', shout('x')",
  'copy item to stdout',
  'copy item to stdout with (format binary)',
  'rollback',
  'savepoint s',
  'rollback to s',
  'commit and chain',
  'select nothing(1)',
  'select * from nothing',
  "select '[1, 2]'::json, 1.5::float8, true, '2026-01-05'::date",
  'declare c cursor for select 1',
  'fetch c',
  'set standard_conforming_strings = on',
  'listen news',
  'notify news',
  'selec 1',
  'select 1; select 2',
  'deallocate all',
  'show timezone',
];

/** A group of the extended protocol. */
export function group(random: Random): Buffer[] {
  const messages: Buffer[] = [];
  const name = ['', 's1', 's2'][random(3)]!;
  const portal = ['', 'p1'][random(2)]!;
  for (let left = 1 + random(4); left > 0; left--) {
    const statement = STATEMENTS[random(STATEMENTS.length)]!;
    messages.push(say.parse(name, statement));
    if (random(3) > 0) messages.push(say.describe('statement', name));
    const resultFormats = [[], [1], [0], [1, 0]][random(8)] ?? [];
    messages.push(say.bind(portal, name, statement.includes('$1') ? ['value'] : [], { resultFormats }));
    if (random(3) > 0) messages.push(say.describe('portal', portal));
    messages.push(say.execute(portal, random(3) * 10));
    if (random(3) === 0) messages.push(say.execute(portal, 0));
    if (random(4) === 0) messages.push(say.flush());
    if (random(2) === 0)
      messages.push(say.close(random(2) === 0 ? 'statement' : 'portal', random(2) === 0 ? name : portal));
  }
  for (let left = 1 + random(2); left > 0; left--) messages.push(say.sync());
  return messages;
}

function copyIn(random: Random): Buffer[] {
  const data = ['7\tseven\n', '8\tei', 'ght\n'].map(say.copyData);
  const end = random(3) === 0 ? say.copyFail('changed my mind') : say.copyDone();
  const bad = random(3) === 0 ? [say.copyData('not a number\tx\n')] : [];
  const target = 'copy item from stdin';
  if (random(2) === 0) return [say.query('truncate item'), say.query(target), ...data, ...bad, end];
  const extended = [say.parse('', target), say.bind('', ''), say.execute('')];
  // As libpq does it, with a Sync that the COPY swallows, or without.
  const early = random(2) === 0 ? [say.sync()] : [];
  return [say.query('truncate item'), ...extended, ...early, ...data, ...bad, end, say.sync()];
}

/** A session of so many steps. */
export function session(random: Random, steps: number): Buffer[] {
  const messages: Buffer[] = [];
  for (let left = steps; left > 0; left--) {
    const kind = random(10);
    if (kind === 0) messages.push(...BACKSLASHES);
    else if (kind < 5) messages.push(say.query(QUERIES[random(QUERIES.length)]!));
    else if (kind < 8) messages.push(...group(random));
    else if (kind === 8) messages.push(functionCall(random));
    else messages.push(...copyIn(random));
  }
  return [...messages, say.query('rollback'), say.terminate()];
}

/** FunctionCall: Int32 OID, formats, arguments, result format; of abs(int4), of one that fails, of none. */
function functionCall(random: Random): Buffer {
  const oid = [1397, 154, 1][random(3)]!;
  const writer = new Writer()
    .begin('F'.charCodeAt(0))
    .int32(oid)
    .int16(1)
    .int16(1)
    .int16(oid === 154 ? 2 : 1);
  writer.int32(4).int32(-random(100));
  if (oid === 154) writer.int32(4).int32(0);
  return writer.int16(random(2)).end().finish();
}
