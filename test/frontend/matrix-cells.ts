import { say } from '../support/raw-client.ts';
import type { Kind, Subject } from './matrix-kinds.ts';

/*
  A cell is a kind of statement in one place of a session, in one variant. Its messages are made by the same function for
  the statement of ours and for the ordinary one that stands in for it.
*/

const FOREIGN = 'insert into counted values (1)';
const FAILING = 'insert into counted select 1/0';

/** Where the statement stands. `isTransaction`: with others of the client's in one. */
interface Place {
  readonly name: string;
  readonly isTransaction: boolean;
}

interface SimplePlace extends Place {
  /** In one Query message with statements that are not ours. */
  readonly isMixed: boolean;
  readonly messages: (statement: string) => Buffer[];
}

/** The steps of the statement in the extended protocol, for a place to lay out. */
interface Steps {
  readonly parse: Buffer[];
  readonly bind: Buffer[];
  readonly execute: Buffer[];
}

interface ExtendedPlace extends Place {
  readonly messages: (steps: Steps) => Buffer[];
  /** Execute comes in another group than Bind. */
  readonly executesLater: boolean;
  /** The unnamed statement and portal would not live to see the end of it. */
  readonly needsNames: boolean;
}

const query = (...texts: string[]): Buffer[] => texts.map((text) => say.query(text));
/** One of the client's own in a group, under names that are not the statement's. */
const foreign = (text = FOREIGN, maxRows = 0): Buffer[] => [
  say.parse('their', text),
  say.bind('their portal', 'their'),
  say.execute('their portal', maxRows),
  say.close('portal', 'their portal'),
  say.close('statement', 'their'),
];
const all = ({ parse, bind, execute }: Steps): Buffer[] => [...parse, ...bind, ...execute];
const SYNC = say.sync();
const simplePlace = (
  name: string,
  isTransaction: boolean,
  isMixed: boolean,
  messages: SimplePlace['messages'],
): SimplePlace => ({ name, isTransaction, isMixed, messages });
const place = (
  name: string,
  isTransaction: boolean,
  messages: ExtendedPlace['messages'],
  { needsNames = false, executesLater = false } = {},
): ExtendedPlace => ({ name, isTransaction, messages, needsNames, executesLater });

const OPEN_GROUP = 'in an open group';

const SIMPLE: readonly SimplePlace[] = [
  simplePlace('alone', false, false, (x) => query(x)),
  simplePlace('first of a pipeline', false, false, (x) => query(x, FOREIGN, FOREIGN)),
  simplePlace('middle of a pipeline', false, false, (x) => query(FOREIGN, x, FOREIGN)),
  simplePlace('last of a pipeline', false, false, (x) => query(FOREIGN, FOREIGN, x)),
  simplePlace('first of a message', true, true, (x) => query(`${x}; ${FOREIGN}; ${FOREIGN}`)),
  simplePlace('middle of a message', true, true, (x) => query(`${FOREIGN}; ${x}; ${FOREIGN}`)),
  simplePlace('last of a message', true, true, (x) => query(`${FOREIGN}; ${FOREIGN}; ${x}`)),
  simplePlace('before an error in a message', true, true, (x) => query(`${FOREIGN}; ${x}; ${FAILING}; ${FOREIGN}`)),
  simplePlace('behind an error in a message', true, true, (x) => query(`${FOREIGN}; ${FAILING}; ${x}; ${FOREIGN}`)),
  simplePlace('in a block', true, false, (x) => query('begin', FOREIGN, x, FOREIGN, 'commit')),
  simplePlace('in a message in a block', true, true, (x) => query('begin', `${FOREIGN}; ${x}; ${FOREIGN}`, 'commit')),
  simplePlace('in a failed block', true, false, (x) => query('begin', FAILING, x, FOREIGN, 'commit')),
  simplePlace('in a message in a failed block', true, true, (x) => query('begin', FAILING, `${x}; select 1`, 'commit')),
  simplePlace('behind a rollback to a savepoint', true, false, (x) =>
    query('begin', 'savepoint a', FAILING, 'rollback to a', x, 'commit'),
  ),
  simplePlace(OPEN_GROUP, true, false, (x) => [...foreign(), ...query(x, FOREIGN)]),
  simplePlace('behind an error in an open group', true, false, (x) => [...foreign(FAILING), ...query(x), SYNC]),
  simplePlace('between two groups', false, false, (x) => [...foreign(), SYNC, ...query(x), ...foreign(), SYNC]),
];

const EXTENDED: readonly ExtendedPlace[] = [
  place('alone', false, (steps) => [...all(steps), SYNC]),
  place('first of a pipeline', false, (steps) => [...all(steps), ...foreign(), ...foreign(), SYNC]),
  place('middle of a pipeline', true, (steps) => [...foreign(), ...all(steps), ...foreign(), SYNC]),
  place('last of a pipeline', true, (steps) => [...foreign(), ...foreign(), ...all(steps), SYNC]),
  place('each message flushed', false, (steps) => [...all(steps).flatMap((each) => [each, say.flush()]), SYNC]),
  place('before an error', false, (steps) => [...all(steps), ...foreign(FAILING), ...foreign(), SYNC]),
  place('behind an error', true, (steps) => [...foreign(FAILING), ...all(steps), ...foreign(), SYNC]),
  place('behind a suspended portal', true, (steps) => [
    ...foreign('select generate_series(1, 5)', 2),
    ...all(steps),
    SYNC,
  ]),
  place('in a block', true, (steps) => [
    ...query('begin'),
    ...all(steps),
    SYNC,
    ...foreign(),
    SYNC,
    ...query('commit'),
  ]),
  place('in a block of its pipeline', true, (steps) => [
    ...foreign('begin'),
    ...foreign(),
    ...all(steps),
    ...foreign(),
    ...foreign('commit'),
    SYNC,
  ]),
  // Over in Postgres, but that is not known here before the next Sync.
  place('behind a block of its pipeline', true, (steps) => [
    ...foreign('begin'),
    ...foreign(),
    ...foreign('commit'),
    ...all(steps),
    SYNC,
  ]),
  place('in a failed block', true, (steps) => [...query('begin', FAILING), ...all(steps), SYNC, ...query('commit')]),
  place('parsed before its block failed', true, ({ parse, bind, execute }) => [
    ...foreign('begin'),
    ...parse,
    ...foreign(FAILING),
    SYNC,
    ...bind,
    ...execute,
    SYNC,
    ...query('commit'),
  ]),
  place(
    'bound before its block failed',
    true,
    ({ parse, bind, execute }) => [
      ...foreign('begin'),
      ...parse,
      ...bind,
      ...foreign(FAILING),
      SYNC,
      ...execute,
      SYNC,
      ...query('commit'),
    ],
    { executesLater: true },
  ),
  place('over two Syncs', false, ({ parse, bind, execute }) => [...parse, SYNC, ...bind, ...execute, SYNC]),
  place('bound before a Sync', false, ({ parse, bind, execute }) => [...parse, ...bind, SYNC, ...execute, SYNC]),
  place(
    'over Syncs in a block',
    true,
    ({ parse, bind, execute }) => [
      ...query('begin'),
      ...parse,
      SYNC,
      ...bind,
      SYNC,
      ...execute,
      SYNC,
      ...query('commit'),
    ],
    { executesLater: true },
  ),
  place(
    'over Queries in a block',
    true,
    ({ parse, bind, execute }) => [
      ...query('begin'),
      ...parse,
      SYNC,
      ...query(FOREIGN),
      ...bind,
      SYNC,
      ...query(FOREIGN),
      ...execute,
      SYNC,
      ...query('commit'),
    ],
    { needsNames: true, executesLater: true },
  ),
  place('bound twice', false, ({ parse, bind, execute }) => [...parse, ...bind, ...bind, ...execute, SYNC]),
];

const DESCRIBES = ['none', 'statement', 'portal', 'both'] as const;
const FORMATS = ['text', 'binary', 'per column'] as const;
const PARAMETER_FORMATS = ['text', 'binary'] as const;

export interface Cell {
  readonly name: string;
  /** With others of the client's in one transaction: an error behind it takes it back. */
  readonly isTransaction: boolean;
  /** What is sent, with the statement itself or another in its place. */
  messages(subject: Subject): Buffer[];
  /** What is to be sent in place of the statement for an answer to compare with. */
  readonly standIn: Subject;
}

/** The cells of a kind, in groups of one protocol and place. */
export function cellsOf(kind: Kind): ReadonlyMap<string, readonly Cell[]> {
  const groups = new Map<string, readonly Cell[]>();
  if (kind.ours.values.length === 0) {
    for (const each of SIMPLE) groups.set(`simple, ${each.name}`, [simpleCell(kind, each)]);
  }
  for (const isNamed of [false, true]) {
    for (const each of EXTENDED) {
      if (each.needsNames && !isNamed) continue;
      // The server keeps something of a portal that was not bound in a transaction that failed, and calls it empty.
      if (each.executesLater && kind.failsAtBind) continue;
      groups.set(`${isNamed ? 'named' : 'unnamed'}, ${each.name}`, extendedCells(kind, each, isNamed));
    }
  }
  return groups;
}

/** What is not transactional is refused in a transaction; the rest is staged there. */
function standInOf({ refused, isTransactional }: Kind, { isTransaction, name }: Place, standIn: Subject): Subject {
  const isStaged = isTransactional && name !== OPEN_GROUP;
  return isTransaction && refused && !isStaged ? refused : standIn;
}

function simpleCell(kind: Kind, place: SimplePlace): Cell {
  const standIn = standInOf(kind, place, kind.simpleStandIn ?? kind.standIn);
  // What a mixed message is refused for is known before anything of it runs: as if it were an error of syntax.
  const refusesAll = place.isMixed && (kind.refusesMessage || standIn === kind.refused);
  return {
    name: 'a Query',
    isTransaction: place.isTransaction,
    standIn,
    messages: (subject) => {
      const messages = place.messages(subject.text);
      if (!refusesAll || subject !== standIn) return messages;
      return messages.map((each) =>
        each.includes(`${subject.text};`) || isLast(each, subject) ? say.query(subject.text) : each,
      );
    },
  };
}

function isLast(message: Buffer, { text }: Subject): boolean {
  return message.includes(`; ${text}\0`);
}

function extendedCells(kind: Kind, place: ExtendedPlace, isNamed: boolean): Cell[] {
  const limits = kind.rows ? [0, 1, kind.rows - 1, kind.rows] : [0, 1];
  const columns = kind.rows === 3 ? 20 : 2;
  const standIn = standInOf(kind, place, kind.standIn);
  const cells: Cell[] = [];
  for (const describe of DESCRIBES) {
    for (const limit of limits) {
      for (const format of FORMATS) {
        for (const parameterFormat of kind.ours.values.length > 0 ? PARAMETER_FORMATS : (['text'] as const)) {
          const options = { isNamed, describe, limit, format, parameterFormat, columns };
          cells.push({
            name: `Describe ${describe}, limit ${limit}, results ${format}, parameters ${parameterFormat}`,
            isTransaction: place.isTransaction,
            standIn,
            messages: (subject) => place.messages(stepsOf(subject, options)),
          });
        }
      }
    }
  }
  return cells;
}

interface Variant {
  readonly isNamed: boolean;
  readonly describe: (typeof DESCRIBES)[number];
  readonly limit: number;
  readonly format: (typeof FORMATS)[number];
  readonly parameterFormat: (typeof PARAMETER_FORMATS)[number];
  readonly columns: number;
}

/** The names that a cell uses, and leaves. */
export const STATEMENT = 'the statement';
export const PORTAL = 'the portal';

function stepsOf({ text, values }: Subject, variant: Variant): Steps {
  const { isNamed, describe, limit, format, parameterFormat, columns } = variant;
  const statement = isNamed ? STATEMENT : '';
  const portal = isNamed ? PORTAL : '';
  const each = Array.from({ length: columns }, (_, i) => i % 2);
  const resultFormats = { text: [], binary: [1], 'per column': each }[format];
  const parameterFormats = parameterFormat === 'binary' ? [1] : [];
  const parse = [say.parse(statement, text)];
  const bind = [say.bind(portal, statement, values, { resultFormats, parameterFormats })];
  const execute = [say.execute(portal, limit)];
  if (describe === 'statement' || describe === 'both') parse.push(say.describe('statement', statement));
  if (describe === 'portal' || describe === 'both') bind.push(say.describe('portal', portal));
  // A suspended portal goes on; one that is over says so again, or is an error.
  if (limit > 0) execute.push(say.execute(portal, limit), say.execute(portal));
  return { parse, bind, execute };
}
