import type { EnvelopeName, FormatName } from '../model/stream.ts';
import type * as ast from './ast.ts';
import { checkOptions } from './option-names.ts';
import { syntaxFault } from './syntax-error.ts';

/** What stands before the clauses of a CREATE. */
export type CreateHead = Pick<ast.CreateStream, 'orReplace' | 'ifNotExists' | 'source' | 'destination'> & {
  readonly name: ast.Name | null;
};

export interface ClauseValues {
  topic: ast.Literal;
  region: ast.Literal;
  format: ast.Choice<FormatName>;
  envelope: ast.Choice<EnvelopeName>;
  operations: readonly ast.Operation[];
  when: ast.Predicate;
  transform: ast.Transform;
  key: readonly ast.Name[];
  options: readonly ast.Option[];
  comment: ast.Literal;
  name: ast.Name | ast.Literal;
}

export type Clause = {
  readonly [Kind in keyof ClauseValues]: {
    readonly kind: Kind;
    readonly value: ClauseValues[Kind];
    readonly position: number;
  };
}[keyof ClauseValues];

/** The node of a CREATE. 42601 for a clause twice, two names, none where one is needed, a clause of another destination. */
export function createStream(head: CreateHead, clauses: readonly Clause[]): ast.CreateStream {
  const given = byKind(clauses);
  const value = <Kind extends keyof ClauseValues>(kind: Kind): ClauseValues[Kind] | null =>
    (given.get(kind)?.value as ClauseValues[Kind] | undefined) ?? null;
  let { destination } = head;
  for (const kind of ['topic', 'region'] as const) {
    const clause = given.get(kind);
    if (clause !== undefined) destination = withDetail(destination, kind, value(kind)!, clause.position);
  }
  const options = value('options') ?? Object.freeze([]);
  checkOptions('stream', options, destination.kind);
  return Object.freeze({
    kind: 'create-stream',
    ...head,
    name: nameOf(head, value('name')),
    destination,
    format: value('format'),
    envelope: value('envelope'),
    operations: value('operations'),
    when: value('when'),
    transform: value('transform'),
    key: value('key'),
    options,
    comment: value('comment'),
  });
}

function byKind(clauses: readonly Clause[]): ReadonlyMap<Clause['kind'], Clause> {
  const given = new Map<Clause['kind'], Clause>();
  for (const clause of clauses) {
    if (given.has(clause.kind)) {
      const word = clause.kind === 'options' ? 'WITH' : clause.kind === 'name' ? 'AS' : clause.kind.toUpperCase();
      throw syntaxFault(`clause ${word} specified more than once`, clause.position);
    }
    given.set(clause.kind, clause);
  }
  return given;
}

const DETAIL_OF = { topic: 'kafka', region: 'kinesis' } as const;

/** The destination with its TOPIC or REGION. 42601 where it has none. */
export function withDetail(
  destination: ast.DestinationNode,
  detail: keyof typeof DETAIL_OF,
  value: ast.Literal,
  position: number,
): ast.DestinationNode {
  const kind = DETAIL_OF[detail];
  if (destination.kind === kind) return Object.freeze({ ...destination, [detail]: value });
  const word = detail.toUpperCase();
  throw syntaxFault(`syntax error at or near "${word}"`, position, `${word} belongs to TO ${kind.toUpperCase()}.`);
}

/** HeliosDB writes the name as a string at the end: it is then taken as written. */
function nameOf(head: CreateHead, alias: ast.Name | ast.Literal | null): ast.Name | ast.Parameter | null {
  if (alias === null) {
    if (head.name === null) checkNameable(head);
    return head.name;
  }
  if (head.name !== null) {
    const hint = 'Name the stream before ON or after AS, not both.';
    throw syntaxFault('stream name specified more than once', alias.position, hint);
  }
  if (!('kind' in alias) || alias.kind === 'parameter') return alias;
  if (alias.value === '') throw syntaxFault('a stream name cannot be empty', alias.position);
  return Object.freeze({ text: alias.value, position: alias.position });
}

/** A default name is made of the table's; as it is one that nobody has yet, it is of no use to what asks for the stream there is. */
function checkNameable({ source, orReplace, ifNotExists }: CreateHead): void {
  const hint = 'Write it before ON, or after AS at the end.';
  const isSeveral = source.kind !== 'tables' || source.items.length > 1;
  const position = source.kind === 'tables' ? source.items[isSeveral ? 1 : 0]!.table.position : source.position;
  if (isSeveral) throw syntaxFault('a stream of several tables needs a name', position, hint);
  if (!orReplace && !ifNotExists) return;
  throw syntaxFault(`${orReplace ? 'OR REPLACE' : 'IF NOT EXISTS'} needs the name of the stream`, position, hint);
}
