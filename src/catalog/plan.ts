import { randomUUID } from 'node:crypto';
import { nearest } from '../base/nearest.ts';
import { referencesIn } from '../model/references.ts';
import { type SecretReference, SecretValue } from '../model/secret.ts';
import type { ObjectKind } from '../model/staged-change.ts';
import type { StreamDefinition } from '../model/stream.ts';
import { PgError, SQLSTATE, type PgNotice } from '../postgres/sqlstate.ts';
import type { Lock } from './locks.ts';
import type { Effect, Objects, SecretVersion } from './objects.ts';
import { checkSource } from './secrets.ts';
import type { SecretSource } from '../model/secret.ts';

/** In the history: who does what nobody has asked for. */
export const OWN_ACTOR = 'walhook';

/** What planning needs of the catalog. */
export interface PlanContext {
  /** As the transaction sees them; planning changes them. */
  readonly objects: Objects;
  readonly lock: (lock: Lock) => void;
  /** Whether another transaction has taken the name, or is about to. */
  readonly isChangedByOthers: (kind: ObjectKind, name: string) => boolean;
  readonly makeVersion: (source: SecretSource, secretId: string, version: number) => SecretVersion;
  readonly nowMs: number;
  readonly actor: string;
}

/** What a change comes to: the rows it writes, and what the client is told. Nothing is written by planning it. */
export interface Plan {
  readonly effects: readonly Effect[];
  readonly notices: readonly PgNotice[];
}

/** A plan in the making. What it does is seen by what comes after it. */
export class Planner {
  readonly context: PlanContext;
  readonly effects: Effect[] = [];
  readonly notices: PgNotice[] = [];

  constructor(context: PlanContext) {
    this.context = context;
  }

  get objects(): Objects {
    return this.context.objects;
  }

  do(effect: Effect): void {
    this.effects.push(effect);
    this.objects.apply(effect);
  }

  /** Has the name to itself until the transaction ends. 55006. */
  change(kind: ObjectKind, name: string): void {
    this.context.lock({ kind, name, mode: 'change' });
  }

  /** `detail` may be seen by everybody who may see the history. */
  record(
    object: ObjectKind,
    { id, name }: { readonly id: string; readonly name: string },
    action: string,
    detail: string | null = null,
  ): void {
    this.do({ kind: 'record', object, id, name, actor: this.context.actor, action, detail });
  }

  notice(code: PgNotice['code'], message: string): void {
    this.notices.push({ severity: 'NOTICE', code, message });
  }

  /** Once, whatever makes it necessary again. */
  #warn(message: string, hint: string): void {
    if (this.notices.some((notice) => notice.message === message)) return;
    this.notices.push({ severity: 'WARNING', code: SQLSTATE.warning, message, hint });
  }

  /** A WARNING where the options come to take any certificate. */
  warnOfInsecureTls(before: InsecureOption, after: InsecureOption): void {
    if (after.tlsInsecureSkipVerify !== true || before.tlsInsecureSkipVerify === true) return;
    this.#warn(
      'tls_insecure_skip_verify takes any certificate: whoever is on the way can read and change what is sent',
      'Give tls_ca the certificate of who signs the endpoint’s.',
    );
  }

  /** What `ifExists` makes of a name that is not there: a NOTICE, or 42704. */
  missing(kind: ObjectKind, name: string, ifExists: boolean): void {
    if (!ifExists) throw missingObject(kind, name, this.objects);
    this.notice(SQLSTATE.successful_completion, `CDC ${kind} "${name}" does not exist, skipping`);
  }

  /** What `ifNotExists` makes of a name that is taken: a NOTICE, or 42710. */
  taken(kind: ObjectKind, name: string, ifNotExists: boolean): void {
    const message = `CDC ${kind} "${name}" already exists`;
    if (!ifNotExists) throw new PgError('duplicate_object', message);
    this.notice(SQLSTATE.duplicate_object, `${message}, skipping`);
  }

  /** Everything that `value` names exists (42704), and stays until the transaction ends (55006). */
  requireReferences(value: unknown): void {
    const { endpoints, secrets } = referencesIn(value);
    for (const name of endpoints) {
      this.context.lock({ kind: 'endpoint', name, mode: 'use' });
      if (this.objects.endpoints.get(name) === null) throw missingObject('endpoint', name, this.objects);
    }
    for (const name of secrets) {
      this.context.lock({ kind: 'secret', name, mode: 'use' });
      if (this.objects.secrets.get(name) === null) throw missingObject('secret', name, this.objects);
    }
  }

  /** 2BP01 while something uses it. */
  requireUnused(kind: 'endpoint' | 'secret', name: string): void {
    const users = this.objects.usersOf(kind, name);
    if (users.length === 0) return;
    throw new PgError(
      'dependent_objects_still_exist',
      `cannot drop CDC ${kind} "${name}" because other objects depend on it`,
      {
        detail: users.map((user) => `CDC ${user} depends on CDC ${kind} ${name}`).join('\n'),
        hint: `Drop them first, or have them use another ${kind}.`,
      },
    );
  }

  /** `value` with each literal secret stored, encrypted, under a name of its own that goes with `ownedBy`. */
  sealLiterals<T>(value: T, owner: string, ownedBy: string): T {
    if (value instanceof SecretValue) return this.#seal(value, owner, ownedBy) as T;
    if (Array.isArray(value)) return value.map((inner: unknown) => this.sealLiterals(inner, owner, ownedBy)) as T;
    if (typeof value !== 'object' || value === null) return value;
    const sealed = Object.entries(value).map(([key, inner]) => [key, this.sealLiterals(inner, owner, ownedBy)]);
    return Object.fromEntries(sealed) as T;
  }

  /** Removes the literals of `ownedBy` that `value` uses no more; null: all of them. */
  dropLiterals(ownedBy: string, value: unknown): void {
    const used = referencesIn(value).secrets;
    for (const { id, name, ownedBy: whose } of this.objects.secrets.all()) {
      if (whose === ownedBy && !used.has(name)) this.do({ kind: 'delete-secret', id });
    }
  }

  #seal(value: SecretValue, owner: string, ownedBy: string): SecretReference {
    const source = { kind: 'value', value } as const;
    checkSource(source);
    this.#warn(
      'a secret stands in the statement itself',
      'It is stored encrypted, but statements are kept in histories and logs: CREATE CDC SECRET name …, and option = SECRET name.',
    );
    const id = randomUUID();
    const name = `literal ${id}`;
    const { nowMs, makeVersion } = this.context;
    const versions = [makeVersion(source, id, 1)];
    this.do({ kind: 'put-secret', secret: { id, name, owner, createdAtMs: nowMs, ownedBy, versions } });
    return { kind: 'secret', name, unnamed: true };
  }
}

/** 42704, with the name that is nearest among those that `objects` has. */
export function missingObject(kind: ObjectKind, name: string, objects: Objects | null = null): PgError {
  const near = objects === null ? null : nearest(name, namesOf(kind, objects));
  const list = { stream: 'SHOW CDC STREAMS', endpoint: 'SHOW CDC ENDPOINTS', secret: 'SHOW CDC SECRETS' }[kind];
  return new PgError('undefined_object', `CDC ${kind} "${name}" does not exist`, {
    hint: near === null ? `${list} lists the ${kind}s that exist.` : `did you mean "${near}"?`,
  });
}

/** 55000 unless the stream is one of the database: its tables mean nothing in another. */
export function requireDatabase({ name, database }: Pick<StreamDefinition, 'name' | 'database'>, asked: string): void {
  if (database === asked) return;
  throw new PgError(
    'object_not_in_prerequisite_state',
    `CDC stream "${name}" is on tables of the database "${database}"`,
    {
      hint: `Connect to "${database}" for that.`,
    },
  );
}

function namesOf(kind: ObjectKind, { streams, endpoints, secrets }: Objects): readonly string[] {
  if (kind === 'secret') return secrets.all().flatMap(({ name, ownedBy }) => (ownedBy === null ? [name] : []));
  return (kind === 'stream' ? streams : endpoints).all().map(({ name }) => name);
}

interface InsecureOption {
  readonly tlsInsecureSkipVerify?: unknown;
}
