import { randomUUID } from 'node:crypto';
import type { EndpointDefinition } from '../model/endpoint.ts';
import { applyOptionChanges, type OptionChanges } from '../model/option-changes.ts';
import { redactUrl } from '../model/redact.ts';
import type { StagedChange, StoredOptions } from '../model/staged-change.ts';
import { DEFAULT_STREAM_OPTIONS, type EndpointOptions, type OptionKey } from '../model/stream-options.ts';
import { changedOptions, optionName } from './option-words.ts';
import { missingObject, type Planner } from './plan.ts';
import { redirectStream } from './plan-stream.ts';

type Of<Kind extends StagedChange['kind']> = Extract<StagedChange, { kind: Kind }>;

/** 42710, 42704 (a secret), 55006. */
export function createEndpoint(planner: Planner, change: Of<'create-endpoint'>): void {
  const { name, url, owner } = change;
  planner.change('endpoint', name);
  const old = planner.objects.endpoints.get(name);
  if (old !== null && !change.orReplace) {
    planner.taken('endpoint', name, change.ifNotExists);
    return;
  }
  const id = old?.id ?? randomUUID();
  const kept = { owner: old?.owner ?? owner, createdAtMs: old?.createdAtMs ?? planner.context.nowMs };
  put(planner, { id, name, url, options: sealed(planner, change.options, kept.owner, id), ...kept });
  planner.record('endpoint', { id, name }, old === null ? 'create' : 'replace', redactUrl(url));
}

/** 42704, 42710 (rename), 22023 (options that cannot stand together), 55006. */
export function alterEndpoint(planner: Planner, { name, alteration }: Of<'alter-endpoint'>): void {
  planner.change('endpoint', name);
  const old = planner.objects.endpoints.get(name);
  if (old === null) throw missingObject('endpoint', name, planner.objects);
  switch (alteration.kind) {
    case 'set':
      set(planner, old, alteration.url, alteration.changes);
      break;
    case 'rename':
      rename(planner, old, alteration.newName);
      break;
    case 'owner':
      put(planner, { ...old, owner: alteration.owner });
      planner.record('endpoint', old, 'alter', `owner ${alteration.owner}`);
      break;
  }
}

/** 42704, 2BP01 with what uses it, 55006. */
export function dropEndpoints(planner: Planner, { names, ifExists }: Of<'drop-endpoints'>): void {
  for (const name of new Set(names)) {
    planner.change('endpoint', name);
    const old = planner.objects.endpoints.get(name);
    if (old === null) {
      planner.missing('endpoint', name, ifExists);
      continue;
    }
    planner.requireUnused('endpoint', name);
    planner.do({ kind: 'delete-endpoint', id: old.id });
    planner.dropLiterals(old.id, null);
    planner.record('endpoint', old, 'drop');
  }
}

function set(planner: Planner, old: EndpointDefinition, url: string | null, changes: OptionChanges): void {
  const sealedChanges = planner.sealLiterals(changes, old.owner, old.id);
  put(planner, { ...old, url: url ?? old.url, options: changedBy(old.options, sealedChanges) });
  const said = [url === null ? [] : [redactUrl(url)], changedOptions(changes).map(optionName)];
  planner.record('endpoint', old, 'alter', said.flat().join(', '));
}

/** The options that are said, after the changes. */
function changedBy(options: StoredOptions, changes: OptionChanges): StoredOptions {
  const before = {
    options: { ...DEFAULT_STREAM_OPTIONS, ...options },
    givenOptions: Object.keys(options) as OptionKey[],
  };
  const after = applyOptionChanges(before, changes);
  return Object.fromEntries(after.givenOptions.map((key) => [key, after.options[key]])) as StoredOptions;
}

function rename(planner: Planner, old: EndpointDefinition, newName: string): void {
  planner.change('endpoint', newName);
  if (planner.objects.endpoints.get(newName) !== null) planner.taken('endpoint', newName, false);
  put(planner, { ...old, name: newName });
  for (const { definition } of planner.objects.streams.all()) {
    const { destination } = definition;
    if (destination.kind === 'endpoint' && destination.name === old.name) redirectStream(planner, definition, newName);
  }
  planner.record('endpoint', { id: old.id, name: newName }, 'rename', `${old.name} to ${newName}`);
}

function put(planner: Planner, endpoint: EndpointDefinition): void {
  const { objects } = planner;
  planner.requireReferences(endpoint.options);
  planner.warnOfInsecureTls(objects.endpoints.byId(endpoint.id)?.options ?? {}, endpoint.options);
  planner.do({ kind: 'put-endpoint', endpoint });
  planner.dropLiterals(endpoint.id, endpoint.options);
}

function sealed(planner: Planner, options: EndpointOptions, owner: string, id: string): StoredOptions {
  return planner.sealLiterals(options, owner, id) as StoredOptions;
}
