import { AssertionError, must } from '../base/assert.ts';
import { nearest } from '../base/nearest.ts';
import { NO_CHANGES } from '../model/option-changes.ts';
import { referencesIn } from '../model/references.ts';
import type { EndpointAlteration, StagedChange, StreamAlteration } from '../model/staged-change.ts';
import {
  type Destination,
  type StreamDefinition,
  type StreamTable,
  type StreamTransform,
  takesInsertsOnly,
} from '../model/stream.ts';
import { PgError, type PgNotice } from '../postgres/sqlstate.ts';
import type {
  Command,
  CreateStreamCommand,
  PlacedTransform,
  EndpointActionCommand,
  QualifiedName,
  StreamActionCommand,
  TableRequest,
} from '../sql/command.ts';
import { checkedTransform } from './check-transform.ts';
import { assignableRole, requireAdmin, requireOwnership, type PrivilegeContext } from './privileges.ts';
import { declaredFilters, resolveAddedTable, resolveCondition, resolvePredicates } from './resolve-predicates.ts';
import { resolveScope, type ResolvedScope } from './resolve-scope.ts';
import { existing, resolveName, resolveTable } from './resolve-table.ts';
import type { Questioner } from './question.ts';
import { requireSessionDatabase } from './session-database.ts';
import type { OwnCommand } from './statement.ts';

/** The commands that change definitions, in the client's transaction where there is one; PAUSE and RESUME are not among them. */
export type TransactionalCommand = Extract<
  Command,
  {
    kind:
      | 'create-stream'
      | 'alter-stream'
      | 'drop-streams'
      | 'comment-on-stream'
      | 'create-endpoint'
      | 'alter-endpoint'
      | 'drop-endpoints'
      | 'create-secret'
      | 'alter-secret'
      | 'drop-secrets';
  }
>;

const TRANSACTIONAL: ReadonlySet<string> = new Set<TransactionalCommand['kind']>([
  'create-stream',
  'alter-stream',
  'drop-streams',
  'comment-on-stream',
  'create-endpoint',
  'alter-endpoint',
  'drop-endpoints',
  'create-secret',
  'alter-secret',
  'drop-secrets',
]);

/** What a stream does from now on, rather than what it is: a matter of the moment, not of a transaction. */
const OF_THE_MOMENT: ReadonlySet<StreamActionCommand['kind']> = new Set([
  'pause',
  'resume',
  'restart',
  'reset-circuit',
  'skip-event',
]);

/** Whether the action is done at once, in no transaction. */
export function isOfTheMoment({ kind }: StreamActionCommand): boolean {
  return OF_THE_MOMENT.has(kind);
}

/** Whether the command belongs to the client's transaction. */
export function isTransactional(command: OwnCommand): command is TransactionalCommand {
  if (command.kind === 'alter-stream') return !isOfTheMoment(command.action);
  return TRANSACTIONAL.has(command.kind);
}

/** Where a change is made. */
export interface ChangeContext extends PrivilegeContext {
  /** Raw URLs are refused, and endpoints are for administrators to make. */
  readonly requireEndpoint: boolean;
  /** What the client is to be told besides. */
  readonly notices: PgNotice[];
}

/**
 * The change that the command asks for, tables and roles as the session resolves them. Raises 42501 where the client may
 * not, what `resolveTable` and `resolvePredicates` raise, 42704 for a role that does not exist.
 */
export async function changeOf(
  command: TransactionalCommand,
  role: string,
  context: ChangeContext,
): Promise<StagedChange> {
  switch (command.kind) {
    case 'create-stream':
      return createStream(command, role, context);
    case 'alter-stream': {
      const name = must(command.name, 'only PAUSE and RESUME are for all');
      await requireOwnership('stream', [name], context);
      return { kind: 'alter-stream', name, alteration: await streamAlteration(name, command.action, context) };
    }
    case 'drop-streams':
      await requireOwnership('stream', command.names, context);
      return command;
    case 'comment-on-stream':
      await requireOwnership('stream', [command.name], context);
      return { kind: 'comment-stream', name: command.name, comment: command.comment };
    case 'create-endpoint': {
      const { name, url, options, ifNotExists, orReplace } = command;
      if (orReplace) await requireOwnership('endpoint', [name], context);
      await requireEndpointRights(context);
      await requireSecrets(options, context);
      return { kind: 'create-endpoint', name, url, options, owner: role, ifNotExists, orReplace };
    }
    case 'alter-endpoint': {
      const { name, action } = command;
      await requireOwnership('endpoint', [name], context);
      await requireEndpointRights(context);
      return { kind: 'alter-endpoint', name, alteration: await endpointAlteration(action, context) };
    }
    case 'drop-endpoints':
      await requireOwnership('endpoint', command.names, context);
      return command;
    case 'create-secret': {
      const { name, source, ifNotExists } = command;
      if (source.kind !== 'value') await requireServerAccess(source.kind, context);
      return { kind: 'create-secret', name, source, owner: role, ifNotExists };
    }
    case 'alter-secret': {
      const { name, value, keepOldForMs } = command;
      await requireOwnership('secret', [name], context);
      return { kind: 'alter-secret', name, source: { kind: 'value', value }, keepOldForMs: keepOldForMs ?? 0 };
    }
    case 'drop-secrets':
      await requireOwnership('secret', command.names, context);
      return command;
  }
}

async function streamAlteration(
  name: string,
  action: StreamActionCommand,
  context: ChangeContext,
): Promise<StreamAlteration> {
  const { questioner } = context;
  switch (action.kind) {
    case 'rename':
      return { kind: 'rename', newName: action.to };
    case 'owner':
      return { kind: 'owner', owner: await assignableRole(action.role, questioner) };
    case 'change-options':
      await requireSecrets(action.changes, context);
      return { kind: 'set', settings: {}, changes: action.changes };
    case 'set-destination':
      preventRawUrl(action.destination, context);
      return { kind: 'set', settings: { destination: action.destination }, changes: NO_CHANGES };
    case 'set-format':
      return { kind: 'set', settings: { format: action.format }, changes: NO_CHANGES };
    case 'set-envelope':
      return { kind: 'set', settings: { envelope: action.envelope }, changes: NO_CHANGES };
    case 'set-transform':
      return {
        kind: 'set',
        settings: { transform: await triedTransform(name, action.transform, context) },
        changes: NO_CHANGES,
      };
    case 'set-when': {
      const filters = await resolveCondition(await definitionHere(name, context), action.when, questioner);
      return { kind: 'when', when: action.when.text, filters };
    }
    case 'add-tables': {
      const definition = await definitionHere(name, context);
      const { tables, database } = await resolveItems(
        action.items,
        takesInsertsOnly(definition),
        questioner,
        (table, item) => resolveAddedTable(table, item, definition, questioner),
      );
      return { kind: 'add-tables', database, tables, when: definition.when };
    }
    case 'drop-tables':
      return {
        kind: 'drop-tables',
        tables: await tablesOf(await definitionHere(name, context), action.tables, context),
      };
    case 'pause':
    case 'resume':
    case 'restart':
    case 'reset-circuit':
    case 'skip-event':
      throw new AssertionError(`${action.kind} belongs to no transaction`);
  }
}

async function triedTransform(
  name: string,
  transform: PlacedTransform,
  context: ChangeContext,
): Promise<StreamTransform> {
  return checkedTransform(transform, await definitionHere(name, context), context.control, context.questioner);
}

async function endpointAlteration(action: EndpointActionCommand, context: ChangeContext): Promise<EndpointAlteration> {
  switch (action.kind) {
    case 'rename':
      return { kind: 'rename', newName: action.to };
    case 'owner':
      return { kind: 'owner', owner: await assignableRole(action.role, context.questioner) };
    case 'change-options':
    case 'set-url':
      await requireSecrets(action.changes, context);
      return { kind: 'set', url: action.kind === 'set-url' ? action.url : null, changes: action.changes };
  }
}

async function createStream(command: CreateStreamCommand, owner: string, context: ChangeContext) {
  const { name, ifNotExists, destination, format, envelope, transform, comment, options, givenOptions } = command;
  if (command.orReplace && name !== null) await requireOwnership('stream', [name], context);
  preventRawUrl(destination, context);
  await requireSecrets(options, context);
  const { tables, database, scope } = await resolveSource(command, context);
  const stream = { envelope, options, database, tables };
  const tried =
    transform === null ? null : await checkedTransform(transform, stream, context.control, context.questioner);
  const declared = { destination, format, envelope, transform: tried, comment, options, givenOptions };
  const request = { name, ifNotExists, database, tables, scope, ...declaredFilters(command), ...declared, owner };
  return { kind: 'create-stream', request, orReplace: command.orReplace } as const;
}

async function resolveSource(
  command: CreateStreamCommand,
  { questioner, notices }: ChangeContext,
): Promise<Pick<ResolvedScope, 'scope' | 'tables' | 'database'>> {
  if (command.source.kind !== 'tables') {
    const resolved = await resolveScope(command, questioner);
    notices.push(...resolved.notices);
    return resolved;
  }
  const complete = (table: StreamTable, item: TableRequest) => resolvePredicates(table, item, command, questioner);
  return {
    scope: { kind: 'tables' },
    ...(await resolveItems(command.source.items, takesInsertsOnly(command), questioner, complete)),
  };
}

/** 42710 for a table that is named twice, however it is spelt. */
async function resolveItems(
  items: readonly TableRequest[],
  insertsOnly: boolean,
  questioner: Questioner,
  complete: (table: StreamTable, item: TableRequest) => Promise<StreamTable>,
): Promise<{ tables: readonly StreamTable[]; database: string }> {
  const tables: StreamTable[] = [];
  let database = '';
  for (const item of items) {
    const resolved = await resolveTable(item.table, insertsOnly, questioner);
    if (tables.some(({ oid }) => oid === resolved.table.oid)) {
      const message = `table "${resolved.table.name}" specified more than once`;
      throw new PgError('duplicate_object', message, { position: item.table.position });
    }
    tables.push(await complete(resolved.table, item));
    database = resolved.database;
  }
  return { tables, database };
}

/** Those of the stream that the names mean, also where they are gone upstream. 42704. */
async function tablesOf(
  definition: StreamDefinition,
  names: readonly QualifiedName[],
  { questioner }: ChangeContext,
): Promise<readonly StreamTable[]> {
  const found: StreamTable[] = [];
  for (const name of names) {
    const table = await namedIn(definition, name, questioner);
    if (table === undefined) {
      const near = nearest(
        name.name,
        definition.tables.map((one) => one.name),
      );
      throw new PgError('undefined_object', `table "${name.name}" is not part of CDC stream "${definition.name}"`, {
        hint: near === null ? `SHOW CDC STREAM TABLES lists those that are.` : `did you mean "${near}"?`,
        position: name.position,
      });
    }
    found.push(table);
  }
  return found;
}

/**
 * What the name means among the stream's tables. One that was dropped and made anew may stand there twice: then what is gone
 * is meant, as it would be of no use to take out the other.
 */
async function namedIn(
  { tables }: StreamDefinition,
  wanted: QualifiedName,
  questioner: Questioner,
): Promise<StreamTable | undefined> {
  const oid = await resolveName(wanted, questioner);
  const present = tables.find((one) => one.oid === oid);
  const schema = wanted.schema ?? present?.schema;
  const namesakes = tables.filter(
    (one) => one !== present && one.name === wanted.name && (schema ?? one.schema) === one.schema,
  );
  if (present === undefined || namesakes.length === 0) return present ?? namesakes[0];
  const there = await existing(
    namesakes.map((one) => one.oid),
    questioner,
  );
  return namesakes.find((one) => !there.includes(one.oid)) ?? present;
}

/** For what looks at its tables: 42704, and 55000 from another database than its own. */
async function definitionHere(name: string, { control, staged, questioner }: ChangeContext): Promise<StreamDefinition> {
  const definition = control.definition(name, staged.transaction);
  await requireSessionDatabase(definition, questioner);
  return definition;
}

/** Whoever may send a secret somewhere may read it there: 42501 where the client owns one of those named not. */
async function requireSecrets(value: unknown, context: ChangeContext): Promise<void> {
  await requireOwnership('secret', [...referencesIn(value).secrets], context);
}

async function requireEndpointRights({ requireEndpoint, questioner }: ChangeContext): Promise<void> {
  if (!requireEndpoint) return;
  await requireAdmin(
    'define CDC endpoints',
    'This walhook sends to its endpoints alone (--require-endpoint).',
    questioner,
  );
}

async function requireServerAccess(what: 'env' | 'file', { questioner }: ChangeContext): Promise<void> {
  const source = what === 'env' ? 'the environment of walhook' : 'files on the machine of walhook';
  await requireAdmin(`create a CDC secret from ${source}`, 'What a secret holds can be sent anywhere.', questioner);
}

/** 42501 for a URL in a statement, where endpoints are required. */
export function preventRawUrl(
  destination: Destination,
  { requireEndpoint }: Pick<ChangeContext, 'requireEndpoint'>,
): void {
  if (!requireEndpoint || destination.kind === 'endpoint') return;
  throw new PgError('insufficient_privilege', 'this walhook sends to its endpoints alone', {
    detail: 'It runs with --require-endpoint.',
    hint: 'TO ENDPOINT name; SHOW CDC ENDPOINTS lists them.',
  });
}
