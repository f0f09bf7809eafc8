import type { ObjectKind } from '../model/staged-change.ts';
import { PgError } from '../postgres/sqlstate.ts';

/** `change`: nobody else may change or use the name. `use`: others may use it too. */
export type LockMode = 'change' | 'use';

export interface Lock {
  readonly kind: ObjectKind;
  readonly name: string;
  readonly mode: LockMode;
}

/**
 * Who is about to change which names. A lock that cannot be had is 55006 at once: waiting, as PostgreSQL does, could be for
 * a session that itself waits for a slot of ours, which waits for the transaction that would be waiting here.
 *
 * **Invariant**: what a transaction has staged stays right until it is applied, since nobody else can change what it was
 * checked against.
 */
export class Locks {
  readonly #holders = new Map<string, Map<string, LockMode>>();

  /** Throws 55006. Taking a lock that is held already is no error. */
  acquire(holder: string, { kind, name, mode }: Lock): void {
    const key = keyOf(kind, name);
    const holders = this.#holders.get(key) ?? new Map<string, LockMode>();
    for (const [other, theirs] of holders) {
      if (other !== holder && (mode === 'change' || theirs === 'change')) throw inUse(kind, name);
    }
    if (holders.get(holder) !== 'change') holders.set(holder, mode);
    this.#holders.set(key, holders);
  }

  /** Whether somebody else is about to change it. */
  isChangedByOthers(holder: string, kind: ObjectKind, name: string): boolean {
    for (const [other, mode] of this.#holders.get(keyOf(kind, name)) ?? []) {
      if (other !== holder && mode === 'change') return true;
    }
    return false;
  }

  release(holder: string): void {
    for (const [key, holders] of this.#holders) {
      holders.delete(holder);
      if (holders.size === 0) this.#holders.delete(key);
    }
  }
}

function keyOf(kind: ObjectKind, name: string): string {
  return `${kind} ${name}`;
}

function inUse(kind: ObjectKind, name: string): PgError {
  return new PgError('object_in_use', `CDC ${kind} "${name}" is being changed by another transaction`, {
    hint: 'Try again when that transaction has ended.',
  });
}
