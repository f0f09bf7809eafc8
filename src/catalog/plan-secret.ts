import { randomUUID } from 'node:crypto';
import type { StagedChange } from '../model/staged-change.ts';
import type { SecretSource } from '../model/secret.ts';
import { PgError } from '../postgres/sqlstate.ts';
import { missingObject, type Planner } from './plan.ts';
import { checkSource, validVersions } from './secrets.ts';

type Of<Kind extends StagedChange['kind']> = Extract<StagedChange, { kind: Kind }>;

/** Values that are valid at once: each is a signature on every request. */
export const MAX_SECRET_VERSIONS = 8;

/** 22023, 42710, 55006. */
export function createSecret(planner: Planner, { name, source, owner, ifNotExists }: Of<'create-secret'>): void {
  checkSource(source);
  planner.change('secret', name);
  if (planner.objects.secrets.get(name) !== null) {
    planner.taken('secret', name, ifNotExists);
    return;
  }
  const { nowMs, makeVersion } = planner.context;
  const id = randomUUID();
  const versions = [makeVersion(source, id, 1)];
  planner.do({ kind: 'put-secret', secret: { id, name, owner, createdAtMs: nowMs, ownedBy: null, versions } });
  planner.record('secret', { id, name }, 'create', describeSource(source));
}

/** 22023, 42704, 54000 (too many values at once), 55006. What is expired goes for good. */
export function alterSecret(planner: Planner, { name, source, keepOldForMs }: Of<'alter-secret'>): void {
  checkSource(source);
  planner.change('secret', name);
  const old = planner.objects.secrets.get(name);
  if (old === null) throw missingObject('secret', name, planner.objects);
  const { nowMs, makeVersion } = planner.context;
  const untilMs = nowMs + keepOldForMs;
  const kept =
    keepOldForMs === 0
      ? []
      : validVersions(old, nowMs).map((version) => ({
          ...version,
          expiresAtMs: Math.min(version.expiresAtMs ?? untilMs, untilMs),
        }));
  if (kept.length >= MAX_SECRET_VERSIONS) {
    throw new PgError('program_limit_exceeded', `CDC secret "${name}" has ${kept.length} values that are still kept`, {
      hint: 'Alter it without KEEP OLD FOR, or wait until the old values are over.',
    });
  }
  const newest = makeVersion(source, old.id, old.versions[0]!.version + 1);
  planner.do({ kind: 'put-secret', secret: { ...old, versions: [newest, ...kept] } });
  const keeping = keepOldForMs === 0 ? '' : `, old values kept for ${keepOldForMs / 1000} s`;
  planner.record('secret', old, 'alter', `${describeSource(source)}${keeping}`);
}

/** 42704, 2BP01 with what uses it, 55006. */
export function dropSecrets(planner: Planner, { names, ifExists }: Of<'drop-secrets'>): void {
  for (const name of new Set(names)) {
    planner.change('secret', name);
    const old = planner.objects.secrets.get(name);
    if (old === null) {
      planner.missing('secret', name, ifExists);
      continue;
    }
    planner.requireUnused('secret', name);
    planner.do({ kind: 'delete-secret', id: old.id });
    planner.record('secret', old, 'drop');
  }
}

function describeSource(source: SecretSource): string {
  if (source.kind === 'env') return `from environment variable ${source.variable}`;
  return source.kind === 'file' ? `from file ${source.path}` : 'a value';
}
