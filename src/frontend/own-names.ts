import type { Format } from '../wire/backend-messages.ts';
import type { Relay } from './relay.ts';
import type { Column, Result } from './result.ts';
import type { OwnCommand, Prepared } from './statement.ts';

export interface OwnStatement {
  readonly prepared: Prepared;
  readonly columns: readonly Column[];
  readonly parameterTypes: readonly number[];
}

export interface OwnPortal {
  readonly statement: OwnStatement;
  readonly command: OwnCommand;
  readonly formats: readonly Format[];
  /** Once it has been executed: what is left to be sent of it. */
  run: { readonly result: Result; sent: number } | null;
}

/** The prepared statements and the portals of ours in one session, under the client's names (as `Reader.name` reads). */
export class OwnNames {
  readonly #relay: Relay;
  readonly #statements = new Map<string, OwnStatement>();
  readonly #portals = new Map<string, OwnPortal>();

  constructor(relay: Relay) {
    this.#relay = relay;
  }

  statement(name: string): OwnStatement | undefined {
    return this.#statements.get(name);
  }

  portal(name: string): OwnPortal | undefined {
    return this.#portals.get(name);
  }

  hasStatement(name: string): boolean {
    return this.#statements.has(name);
  }

  hasPortal(name: string): boolean {
    return this.#portals.has(name);
  }

  /** There are none: the case of nearly every message. */
  get areNone(): boolean {
    return this.#statements.size === 0 && this.#portals.size === 0;
  }

  /** Whether a statement of ours has a name that SQL can name. */
  get areNamed(): boolean {
    return this.#statements.size > (this.#statements.has('') ? 1 : 0);
  }

  addStatement(name: string, statement: OwnStatement): void {
    this.#statements.set(name, statement);
    this.#note();
  }

  addPortal(name: string, portal: OwnPortal): void {
    this.#portals.set(name, portal);
    this.#note();
  }

  /** Whether there was one. */
  deleteStatement(name: string): boolean {
    const was = this.#statements.delete(name);
    if (was) this.#note();
    return was;
  }

  deletePortal(name: string): void {
    if (this.#portals.delete(name)) this.#note();
  }

  /** The transaction has ended, and the portals with it. */
  transactionEnded(): void {
    if (this.#portals.size === 0) return;
    this.#portals.clear();
    this.#note();
  }

  /** A command of the client's has completed; the tags of some say that names have ended. */
  completed(tag: string): void {
    if (ENDS_STATEMENTS.has(tag)) this.#statements.clear();
    if (ENDS_PORTALS.has(tag)) this.#portals.clear();
    this.#note();
  }

  #note(): void {
    this.#relay.hasNames = this.#statements.size + this.#portals.size > 0;
  }
}

const ENDS_STATEMENTS: ReadonlySet<string> = new Set(['DEALLOCATE ALL', 'DISCARD ALL']);

/**
 * The end of a transaction, of which ReadyForQuery need not tell: … AND CHAIN begins the next at once. ROLLBACK TO
 * SAVEPOINT has the same tag as ROLLBACK and would only end the portals made since; here it ends all, which is an error
 * for who executes one again and never an answer that is wrong.
 */
const ENDS_PORTALS: ReadonlySet<string> = new Set([
  'CLOSE CURSOR ALL',
  'COMMIT',
  'DISCARD ALL',
  'PREPARE TRANSACTION',
  'ROLLBACK',
]);
