import type { Destination } from '../../model/stream.ts';
import type { OptionKey } from '../../model/stream-options.ts';
import type * as ast from '../../sql/ast.ts';
import type { CreateStreamCommand, TableRequest } from '../../sql/command.ts';
import { optionOf } from '../../sql/options.ts';
import type { DeclarationPlanner } from './declaration-plan.ts';
import type { DeclaredStream } from './declarations.ts';
import { compareUrls, incompleteOptions, isUrlIncomplete } from './hidden.ts';
import { roleNode } from './plan-endpoints.ts';
import { changedOptions, optionActions, type Said } from './planned-options.ts';

/**
 * What makes the stream what is wanted: the smallest ALTERs, or OR REPLACE where none would do. Either keeps its position.
 * Tables are compared by name, so those of `want` are to have their schemas.
 */
export function planStream(planner: DeclarationPlanner, have: DeclaredStream | undefined, want: DeclaredStream): void {
  const object = `CDC stream ${want.name}`;
  if (have === undefined) {
    requireComplete(planner, object, want.command);
    planner.do('create', { ...want.statement, orReplace: false, ifNotExists: false });
    // COMMENT ON stands for itself.
    if (want.comment !== want.command.comment) comment(planner, want);
    own(planner, want, planner.options.role);
    return;
  }
  refuseFixed(planner, object, have.command, want.command);
  if (needsReplacing(have.command, want.command)) {
    requireComplete(planner, object, want.command);
    planner.do('replace', { ...want.statement, orReplace: true, ifNotExists: false });
    // Without a comment, OR REPLACE keeps the one there is.
    if ((want.command.comment ?? have.comment) !== want.comment) comment(planner, want);
  } else {
    const name = { text: want.name, position: 1 };
    for (const action of actions(planner, object, have.command, want.command)) {
      planner.do('alter', { kind: 'alter-stream', name, action });
    }
    if (have.comment !== want.comment) comment(planner, want);
  }
  own(planner, want, have.owner);
}

function comment(planner: DeclarationPlanner, { name, comment: text }: DeclaredStream): void {
  const literal = text === null ? null : ({ kind: 'string', value: text, position: 1 } as const);
  planner.do('alter', { kind: 'comment-on-stream', name: { text: name, position: 1 }, comment: literal });
}

function own(planner: DeclarationPlanner, { name, owner }: DeclaredStream, now: string | null): void {
  if (owner === null || owner === now) return;
  const action = { kind: 'owner', role: roleNode(owner) } as const;
  planner.do('alter', { kind: 'alter-stream', name: { text: name, position: 1 }, action });
}

function said({ options, givenOptions }: CreateStreamCommand): Said {
  return Object.fromEntries(givenOptions.map((key) => [key, options[key]]));
}

/** A stream is made, or made anew, of what the text has: no value may be left out. */
function requireComplete(planner: DeclarationPlanner, object: string, want: CreateStreamCommand): void {
  const { destination, givenOptions, options } = want;
  planner.require(object, [
    ...(destination.kind === 'webhook' && isUrlIncomplete(destination.url) ? ['its URL'] : []),
    ...incompleteOptions(options, givenOptions),
  ]);
}

function isFixed(key: OptionKey): boolean {
  return optionOf(key).isFixed;
}

function refuseFixed(
  planner: DeclarationPlanner,
  object: string,
  have: CreateStreamCommand,
  want: CreateStreamCommand,
): void {
  const keys = new Set([...have.givenOptions, ...want.givenOptions].filter(isFixed));
  for (const key of keys) {
    if (have.options[key] === want.options[key]) continue;
    const { name } = optionOf(key);
    planner.problems.push(`${object}: ${name} cannot be changed; drop the stream to have it made anew, from now on`);
  }
}

/** Whether they differ in what no ALTER changes. */
function needsReplacing(have: CreateStreamCommand, want: CreateStreamCommand): boolean {
  return (
    have.source.kind !== want.source.kind ||
    (have.source.kind === 'schemas' && !areEqual(have.source, want.source)) ||
    tableChanges(have, want) === null ||
    needsOtherOptions(have.destination, want.destination) ||
    have.format !== want.format ||
    !areEqual(have.operations, want.operations) ||
    !areEqual(have.key, want.key) ||
    (have.when !== null && want.when === null) ||
    (have.transform !== null && want.transform === null)
  );
}

/** Each destination has options of its own, which have to change with it. So has FORMAT AVRO. */
function needsOtherOptions(have: Destination, want: Destination): boolean {
  if (have.kind !== 'kafka' || want.kind !== 'kafka') return (have.kind === 'kafka') !== (want.kind === 'kafka');
  return (have.topic === null) !== (want.topic === null);
}

/** As JSON, positions apart: what a statement says, not where. */
function bare(value: unknown): string {
  return JSON.stringify(value, (key, inner: unknown) => (key === 'position' ? undefined : inner)) ?? '';
}

function areEqual(a: unknown, b: unknown): boolean {
  return bare(a) === bare(b);
}

interface TableChanges {
  readonly added: readonly ast.TableItem[];
  readonly dropped: readonly TableRequest[];
}

/** Null where a table is in both and is not the same in both. */
function tableChanges(
  { source: have }: CreateStreamCommand,
  { source: want }: CreateStreamCommand,
): TableChanges | null {
  if (have.kind !== 'tables' || want.kind !== 'tables') return { added: [], dropped: [] };
  const before = new Map(have.items.map((item) => [bare(item.table), item]));
  const after = new Map(want.items.map((item) => [bare(item.table), item]));
  for (const [table, item] of after) {
    const old = before.get(table);
    if (old !== undefined && !areEqual(old, item)) return null;
  }
  return {
    added: [...after].filter(([table]) => !before.has(table)).map(([, item]) => itemNode(item)),
    dropped: [...before].filter(([table]) => !after.has(table)).map(([, item]) => item),
  };
}

function itemNode({ table, columns, where }: TableRequest): ast.TableItem {
  const names = columns?.map(({ name, position }) => ({ text: name, position })) ?? null;
  return { table, columns: names, where: where === null ? null : predicateNode(where) };
}

function predicateNode({ text, position }: { readonly text: string; readonly position: number }): ast.Predicate {
  return { kind: 'predicate', text, parameters: [], position };
}

function* actions(
  planner: DeclarationPlanner,
  object: string,
  have: CreateStreamCommand,
  want: CreateStreamCommand,
): Generator<ast.StreamAction> {
  const { added = [], dropped = [] } = tableChanges(have, want) ?? {};
  // Added first: a stream always has a table.
  if (added.length > 0) yield { kind: 'add-tables', items: added };
  if (dropped.length > 0) yield { kind: 'drop-tables', tables: dropped.map(({ table }) => table) };
  if (isDestinationSet(planner, object, have.destination, want.destination)) {
    yield { kind: 'set-destination', destination: destinationNode(want.destination) };
  }
  if (have.envelope !== want.envelope) yield { kind: 'set-envelope', envelope: { value: want.envelope, position: 1 } };
  if (want.when !== null && have.when?.text !== want.when.text) {
    yield { kind: 'set-when', when: predicateNode(want.when) };
  }
  const { transform } = want;
  if (transform !== null && !areEqual(have.transform, transform)) {
    const text = { kind: 'string', value: transform.text, position: 1 } as const;
    yield { kind: 'set-transform', transform: { language: transform.language, text, position: 1 } };
  }
  const [before, after] = [said(have), said(want)];
  const changed = changedOptions(planner, object, before, after);
  const free = { set: changed.set.filter((key) => !isFixed(key)), reset: changed.reset.filter((key) => !isFixed(key)) };
  yield* optionActions(free, after);
}

function isDestinationSet(planner: DeclarationPlanner, object: string, have: Destination, want: Destination): boolean {
  if (have.kind !== 'webhook' || want.kind !== 'webhook') return !areEqual(have, want);
  const comparison = compareUrls(have.url, want.url);
  if (comparison === 'different') {
    planner.require(object, isUrlIncomplete(want.url) ? ['its URL'] : []);
    return true;
  }
  if (comparison === 'same' || isUrlIncomplete(want.url)) return false;
  return planner.setsHidden(object, 'the query of its URL');
}

function destinationNode(destination: Destination): ast.DestinationNode {
  const literal = (value: string): ast.StringConstant => ({ kind: 'string', value, position: 1 });
  switch (destination.kind) {
    case 'webhook':
      return { kind: 'webhook', url: literal(destination.url), position: 1 };
    case 'endpoint':
      return { kind: 'endpoint', name: { text: destination.name, position: 1 }, position: 1 };
    case 'kafka': {
      const topic = destination.topic === null ? null : literal(destination.topic);
      return { kind: 'kafka', brokers: literal(destination.brokers), topic, position: 1 };
    }
  }
}
