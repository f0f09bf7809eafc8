import { randomUUID } from 'node:crypto';
import { must } from '../base/assert.ts';
import { destinationConflict, routeConflict } from '../model/destination-rules.ts';
import { formatConflict } from '../model/format-rules.ts';
import { applyOptionChanges } from '../model/option-changes.ts';
import { redactUrl } from '../model/redact.ts';
import type { ChangedSettings, StagedChange, StreamAlteration, TableCondition } from '../model/staged-change.ts';
import type { CreateStreamRequest } from '../model/stream-control.ts';
import { type Destination, isInScope, type StreamDefinition, type StreamTable } from '../model/stream.ts';
import { qualify, quoteIdentifier } from '../postgres/identifier.ts';
import { PgError } from '../postgres/sqlstate.ts';
import { encodeDefinition } from './definition-json.ts';
import { chooseName } from './naming.ts';
import { settingsOf, type StreamRecord } from './objects.ts';
import { changedOptions, optionName } from './option-words.ts';
import { missingObject, requireDatabase, type Planner } from './plan.ts';

type Of<Kind extends StagedChange['kind']> = Extract<StagedChange, { kind: Kind }>;

/** 42710, 42704 (what it refers to), 55006. */
export function createStream(planner: Planner, { request, orReplace }: Of<'create-stream'>): void {
  const { objects, context } = planner;
  const isTaken = (name: string): boolean =>
    objects.streams.get(name) !== null || context.isChangedByOthers('stream', name);
  if (request.name !== null) planner.change('stream', request.name);
  const old = request.name === null ? null : objects.streams.get(request.name);
  if (old !== null && orReplace) {
    replaceStream(planner, old, request);
    return;
  }
  if (old !== null && old.definition.database !== request.database) {
    throw new PgError('duplicate_object', `CDC stream "${old.name}" already exists`, {
      detail: `It is one of the database "${old.definition.database}": a name is for the whole server.`,
    });
  }
  const { name, notices, exists } = chooseName(request, isTaken);
  planner.notices.push(...notices);
  if (exists) return;
  planner.change('stream', name);
  const { ifNotExists: _, ...stated } = request;
  const id = randomUUID();
  const definition: StreamDefinition = {
    ...planner.sealLiterals(stated, request.owner, id),
    id,
    name,
    // Known once capture is armed.
    source: { systemId: '', databaseOid: 0 },
    startLsn: 0n,
    desiredState: 'running',
    createdAtMs: context.nowMs,
    pausedAtMs: null,
    heldGap: null,
  };
  put(planner, definition);
  planner.record('stream', definition, 'create', describeSource(definition));
}

/**
 * Same id: position, counters and dead letters stay; so do owner, whether it is paused, and a comment if none is given. What
 * is still to be read is read: of what was noticed, and of what the scope had come to have though nobody had noticed. 55000
 * from another database.
 */
function replaceStream(planner: Planner, old: StreamRecord, request: CreateStreamRequest): void {
  requireDatabase(old.definition, request.database);
  const { ifNotExists: _, name: __, owner: ___, ...stated } = request;
  const { id, name, owner, desiredState, pausedAtMs, heldGap, createdAtMs, source, startLsn } = old.definition;
  const sealed = planner.sealLiterals(stated, owner, id);
  const comment = sealed.comment ?? old.definition.comment;
  const unreadTables = unreadBy(old.definition, sealed.tables);
  put(planner, {
    ...sealed,
    comment,
    id,
    name,
    owner,
    desiredState,
    pausedAtMs,
    heldGap,
    createdAtMs,
    source,
    startLsn,
    ...(unreadTables.length > 0 && { unreadTables }),
  });
  planner.record('stream', old, 'replace', describeSource(request));
}

function unreadBy(
  { scope, tables: before, unreadTables = [] }: StreamDefinition,
  tables: readonly StreamTable[],
): readonly number[] {
  const known = new Set(before.map(({ oid }) => oid));
  const isUnread = ({ oid, schema }: StreamTable): boolean =>
    known.has(oid) ? unreadTables.includes(oid) : isInScope(scope, schema);
  return tables.filter(isUnread).map(({ oid }) => oid);
}

/** 42704, 42710 (rename, a table that is there), 55000 (the last table), 55006. */
export function alterStream(planner: Planner, { name, alteration }: Of<'alter-stream'>): void {
  planner.change('stream', name);
  const record = planner.objects.streams.get(name);
  if (record === null) throw missingObject('stream', name, planner.objects);
  const { definition } = record;
  switch (alteration.kind) {
    case 'set':
      set(planner, record, alteration);
      break;
    case 'rename':
      rename(planner, record, alteration.newName);
      break;
    case 'owner':
      put(planner, { ...definition, owner: alteration.owner });
      planner.record('stream', record, 'alter', `owner ${alteration.owner}`);
      break;
    case 'when':
      requireList(record);
      put(planner, { ...definition, when: alteration.when, tables: conditioned(record, alteration.filters) });
      planner.record('stream', record, 'alter', 'when');
      break;
    case 'add-tables':
      requireDatabase(definition, alteration.database);
      requireList(record);
      if (definition.when !== alteration.when) throw changedMeanwhile(name);
      put(planner, { ...definition, tables: [...definition.tables, ...added(record, alteration.tables)] });
      planner.record('stream', record, 'alter', `add table ${describeTables(alteration.tables)}`);
      break;
    case 'scope-tables':
      follow(planner, record, alteration.tables);
      break;
    case 'tables-read': {
      const { unreadTables = [] } = definition;
      put(planner, { ...definition, unreadTables: unreadTables.filter((oid) => !alteration.oids.includes(oid)) });
      break;
    }
    case 'drop-tables':
      requireList(record);
      put(planner, { ...definition, tables: remaining(record, alteration.tables) });
      planner.record('stream', record, 'alter', `drop table ${describeTables(alteration.tables)}`);
      break;
    case 'state': {
      const isPaused = alteration.state === 'paused';
      const pausedAtMs = isPaused ? planner.context.nowMs : null;
      put(planner, { ...definition, desiredState: alteration.state, pausedAtMs });
      planner.record('stream', record, isPaused ? 'pause' : 'resume');
      break;
    }
  }
}

export function dropStreams(planner: Planner, { names, ifExists }: Of<'drop-streams'>): void {
  for (const name of new Set(names)) {
    planner.change('stream', name);
    const record = planner.objects.streams.get(name);
    if (record === null) {
      planner.missing('stream', name, ifExists);
      continue;
    }
    planner.do({ kind: 'delete-stream', id: record.id });
    planner.dropLiterals(record.id, null);
    planner.record('stream', record, 'drop');
  }
}

export function commentStream(planner: Planner, { name, comment }: Of<'comment-stream'>): void {
  planner.change('stream', name);
  const record = planner.objects.streams.get(name);
  if (record === null) throw missingObject('stream', name, planner.objects);
  put(planner, { ...record.definition, comment });
  planner.record('stream', record, 'comment');
}

function set(
  planner: Planner,
  { definition }: StreamRecord,
  { settings, changes }: Extract<StreamAlteration, { kind: 'set' }>,
): void {
  const given = planner.sealLiterals({ settings, changes }, definition.owner, definition.id);
  put(planner, { ...definition, ...given.settings, ...applyOptionChanges(definition, given.changes) });
  planner.record('stream', definition, 'alter', describeSettings(given.settings, changedOptions(changes)));
}

function rename(planner: Planner, { definition }: StreamRecord, newName: string): void {
  planner.change('stream', newName);
  if (planner.objects.streams.get(newName) !== null) planner.taken('stream', newName, false);
  put(planner, { ...definition, name: newName });
  planner.record('stream', { id: definition.id, name: newName }, 'rename', `${definition.name} to ${newName}`);
}

/** The stream's endpoint has another name from now on. 55006. */
export function redirectStream(planner: Planner, definition: StreamDefinition, endpoint: string): void {
  planner.change('stream', definition.name);
  put(planner, { ...definition, destination: { kind: 'endpoint', name: endpoint } });
  planner.record('stream', definition, 'alter', `destination endpoint ${endpoint}`);
}

function put(planner: Planner, definition: StreamDefinition): void {
  const settings = settingsOf(definition);
  requireFit(definition);
  planner.requireReferences(settings);
  const before = planner.objects.streams.byId(definition.id)?.definition.options ?? {};
  planner.warnOfInsecureTls(before, definition.options);
  planner.do({ kind: 'put-stream', definition: encodeDefinition(definition) });
  planner.dropLiterals(definition.id, settings);
}

/** 22023 where the options are not those of the destination, 22023 or 0A000 where the format does not go with the rest. */
function requireFit(definition: StreamDefinition): void {
  const conflict = destinationConflict(definition.destination, definition, optionName) ?? routeConflict(definition);
  if (conflict !== null) {
    throw new PgError('invalid_parameter_value', conflict.message, {
      detail: conflict.detail,
      hint: conflict.hint ?? 'CREATE OR REPLACE CDC STREAM changes the destination and its options at once.',
    });
  }
  const { scope, tables } = definition;
  const form = formatConflict({ ...definition, scope: scope.kind, tables: tables.length }, optionName);
  if (form === null) return;
  throw new PgError(form.condition, form.message, {
    hint: `${form.hint} CREATE OR REPLACE CDC STREAM changes the format and its options at once.`,
  });
}

/** Tables that were there keep what is known of them; their names may be others. */
function follow(planner: Planner, record: StreamRecord, tables: readonly StreamTable[]): void {
  const { definition } = record;
  const had = new Set(definition.tables.map(({ oid }) => oid));
  const has = new Set(tables.map(({ oid }) => oid));
  const come = tables.filter(({ oid }) => !had.has(oid));
  const gone = definition.tables.filter(({ oid }) => !has.has(oid));
  // A list follows the names of its tables, and nothing else.
  if (definition.scope.kind === 'tables' && come.length + gone.length > 0) throw changedMeanwhile(definition.name);
  const unread = new Set([...(definition.unreadTables ?? []), ...come.map(({ oid }) => oid)]);
  put(planner, { ...definition, tables, unreadTables: [...unread].filter((oid) => has.has(oid)) });
  if (come.length > 0) planner.record('stream', record, 'follow', `add table ${describeTables(come)}`);
  if (gone.length > 0) planner.record('stream', record, 'follow', `drop table ${describeTables(gone)}`);
  for (const table of tables) {
    const old = definition.tables.find(({ oid }) => oid === table.oid);
    if (old === undefined || (old.schema === table.schema && old.name === table.name)) continue;
    planner.record('stream', record, 'follow', `rename table ${describeTables([old])} to ${describeTables([table])}`);
  }
}

/** 55000: what belongs to a scope, the scope says. */
function requireList({ definition }: StreamRecord): void {
  if (definition.scope.kind === 'tables') return;
  const source = definition.scope.kind === 'schemas' ? 'TABLES IN SCHEMA' : 'ALL TABLES';
  throw new PgError('object_not_in_prerequisite_state', `CDC stream "${definition.name}" is ON ${source}`, {
    hint: 'CREATE OR REPLACE CDC STREAM changes what it is on.',
  });
}

function conditioned({ definition, name }: StreamRecord, filters: readonly TableCondition[]): readonly StreamTable[] {
  const conditions = new Map(filters.map(({ oid, when }) => [oid, when]));
  if (conditions.size !== definition.tables.length) throw changedMeanwhile(name);
  return definition.tables.map((table) => {
    const when = conditions.get(table.oid);
    if (when === undefined) throw changedMeanwhile(name);
    return { ...table, filter: { where: table.filter?.where ?? null, when } };
  });
}

/** What the client's session was asked about is no longer what the catalog has. */
function changedMeanwhile(name: string): PgError {
  return new PgError('object_in_use', `CDC stream "${name}" was changed meanwhile`, { hint: 'Try again.' });
}

function added({ definition }: StreamRecord, tables: readonly StreamTable[]): readonly StreamTable[] {
  const present = new Set(definition.tables.map(({ oid }) => oid));
  for (const { oid, schema, name } of tables) {
    if (!present.has(oid)) {
      present.add(oid);
      continue;
    }
    throw new PgError(
      'duplicate_object',
      `table "${qualify(schema, name)}" is already part of CDC stream "${definition.name}"`,
    );
  }
  return tables;
}

function remaining(
  { definition }: StreamRecord,
  tables: readonly Pick<StreamTable, 'oid' | 'schema' | 'name'>[],
): readonly StreamTable[] {
  const leaving = new Set(tables.map(({ oid }) => oid));
  const foreign = tables.find(({ oid }) => !definition.tables.some((table) => table.oid === oid));
  if (foreign) {
    const table = qualify(foreign.schema, foreign.name);
    throw new PgError('undefined_object', `table "${table}" is not part of CDC stream "${definition.name}"`);
  }
  const staying = definition.tables.filter(({ oid }) => !leaving.has(oid));
  if (staying.length > 0) return staying;
  throw new PgError('object_not_in_prerequisite_state', `CDC stream "${definition.name}" would have no table left`, {
    hint: `DROP CDC STREAM ${definition.name} drops the stream.`,
  });
}

function describeSource({ scope, tables }: Pick<StreamDefinition, 'scope' | 'tables'>): string {
  if (scope.kind === 'all-tables') return 'all tables';
  if (scope.kind === 'schemas') return `tables in schema ${scope.schemas.map(quoteIdentifier).join(', ')}`;
  return describeTables(tables);
}

function describeTables(tables: readonly Pick<StreamTable, 'schema' | 'name'>[]): string {
  return tables.map(({ schema, name }) => qualify(schema, name)).join(', ');
}

/** What was set, by name: values may be secrets. A URL is shown as it may be. */
function describeSettings(settings: ChangedSettings, options: readonly string[]): string {
  const said = Object.entries(settings).map(([key, value]) => {
    if (key !== 'destination') return typeof value === 'string' ? `${optionName(key)} ${value}` : optionName(key);
    return `destination ${describeDestination(must(settings.destination, 'a destination'))}`;
  });
  return [...said, ...options.map(optionName)].join(', ');
}

function describeDestination(destination: Destination): string {
  if (destination.kind === 'endpoint') return `endpoint ${destination.name}`;
  return destination.kind === 'webhook' ? redactUrl(destination.url) : `kafka ${destination.brokers}`;
}
