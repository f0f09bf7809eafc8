import { timingSafeEqual } from 'node:crypto';
import type { Random } from '../../base/random.ts';
import type { SqlAccount, SqlConnection } from './sql-account.ts';

/** How somebody has come in: as anybody on this machine, with the token, or as a role of the upstream's. */
export type SignInKind = 'anybody' | 'token' | 'password';

/** A browser that has come in. */
export interface ConsoleSession {
  /** What its cookie has. */
  readonly id: string;
  /** What each of its actions has to have in a header, which no other site can set. */
  readonly csrf: string;
  readonly kind: SignInKind;
  readonly account: SqlAccount;
  readonly startedMs: number;
  seenMs: number;
  /** For what the user asks. */
  readonly statements: SqlConnection;
  /** For what is shown live, which does not wait for an action that takes its time. */
  readonly updates: SqlConnection;
  /** Ends what is open for it. */
  readonly ended: AbortController;
}

const MAX_SESSIONS = 200;
const IDLE_MS = 8 * 3_600_000;
const LIFE_MS = 24 * 3_600_000;
const ID_BYTES = 32;

/** The sessions of one process, in memory alone. Times are of a clock that never goes back. */
export class Sessions {
  readonly #random: Random;
  readonly #byId = new Map<string, ConsoleSession>();

  constructor(random: Random) {
    this.#random = random;
  }

  get size(): number {
    return this.#byId.size;
  }

  /** Null where there are as many as there may be, of people who have signed in. */
  start(kind: SignInKind, account: SqlAccount, nowMs: number): ConsoleSession | null {
    this.#endOld(nowMs);
    if (this.#byId.size >= MAX_SESSIONS && !this.#endAnybody()) return null;
    const session: ConsoleSession = {
      id: this.#secret(),
      csrf: this.#secret(),
      kind,
      account,
      startedMs: nowMs,
      seenMs: nowMs,
      statements: account.open(),
      updates: account.open(),
      ended: new AbortController(),
    };
    this.#byId.set(session.id, session);
    return session;
  }

  /** The one of that id, which is seen by this; null where there is none, or it is over. */
  find(id: string | null, nowMs: number): ConsoleSession | null {
    const session = id === null ? undefined : this.#byId.get(id);
    if (session === undefined) return null;
    if (isOver(session, nowMs)) {
      this.end(session);
      return null;
    }
    session.seenMs = nowMs;
    return session;
  }

  end(session: ConsoleSession): void {
    this.#byId.delete(session.id);
    session.ended.abort(new Error('the session has ended'));
    session.statements.close();
    session.updates.close();
  }

  /** Of one kind, or of all. */
  endAll(kind: SignInKind | null = null): void {
    for (const session of this.#byId.values()) if (kind === null || session.kind === kind) this.end(session);
  }

  #endOld(nowMs: number): void {
    for (const session of this.#byId.values()) if (isOver(session, nowMs)) this.end(session);
  }

  /** The one that was not seen for longest, of those that nobody had to sign in for. */
  #endAnybody(): boolean {
    const anybody = [...this.#byId.values()].filter(({ kind }) => kind === 'anybody');
    const oldest = anybody.toSorted((a, b) => a.seenMs - b.seenMs)[0];
    if (oldest !== undefined) this.end(oldest);
    return oldest !== undefined;
  }

  #secret(): string {
    return Buffer.from(this.#random.bytes(ID_BYTES)).toString('base64url');
  }
}

function isOver({ seenMs, startedMs }: ConsoleSession, nowMs: number): boolean {
  return nowMs - seenMs > IDLE_MS || nowMs - startedMs > LIFE_MS;
}

/** Whether two secrets are the same, in a time that tells nothing of where they differ. */
export function sameSecret(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}
