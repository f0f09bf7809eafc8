import type pg from 'pg';
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import { quoteLiteral } from '../postgres/identifier.ts';
import { SQLSTATE } from '../postgres/sqlstate.ts';
import { hangUp, openAdmin } from '../upstream/connect.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { MESSAGE_PREFIX } from './chunk-builder.ts';
import { CaptureFault } from './fault.ts';
import type { MembershipWatch, Unpublished } from './membership.ts';
import { hasPublication } from './publication.ts';
import { findSlot, type SlotState } from './slot.ts';
import type { TableGaps } from './table-gaps.ts';

export const HEARTBEAT_PREFIX = `${MESSAGE_PREFIX}heartbeat`;
const HEARTBEAT_MS = 10_000;
/** One that has not come back for so long: changes may not come through either. */
export const OVERDUE_MS = 30_000;
const LIMITS = { statementTimeoutMs: 10_000, lockTimeoutMs: 5_000 };

export interface HeartbeatOptions {
  readonly upstream: Upstream;
  readonly slotName: string;
  readonly publicationName: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** What was found gone while the stream runs: it ends with this. */
  readonly onFault: (fault: CaptureFault) => void;
  readonly everyMs?: number;
  /** Looks after the tables that are to be published; absent: nobody does. */
  readonly tables?: TableCare;
}

export interface TableCare {
  readonly membership: MembershipWatch;
  readonly gaps: TableGaps;
  /** Said again with each beat until they are published again. The stream goes on: of the other tables nothing is missing. */
  readonly onUnpublished: (found: Unpublished) => void;
}

/**
 * Writes a message into the WAL every 10 s, which has to come back by the stream: that proves the whole way, and moves the
 * slot of a database where nothing else happens. With it, slot and publication are looked at: a server says nothing of its
 * own accord when it is about to take a slot away, of a publication that is gone only once a change would need it, and of a
 * table that has left one nothing at all.
 *
 * Not transactional: it costs the upstream no transaction id and waits for no other server.
 * https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-REPLICATION
 */
export class Heartbeat {
  readonly #options: HeartbeatOptions;
  #admin: pg.Client | null = null;
  #number = 0;
  /** When the oldest that has not come back was sent; null where none is under way. */
  #waitingSinceMs: number | null = null;
  #cameAtMs: number | null = null;
  #slot: SlotState | null = null;
  #problem: string | null = null;
  /** The next one is not waited for. */
  #isDue = false;
  #wake: () => void = () => undefined;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
  }

  /** Since the last one came back; 0 where none has. */
  ageMs(): number {
    return this.#cameAtMs === null ? 0 : this.#options.clock.monotonicMs() - this.#cameAtMs;
  }

  /** The slot as it was last seen. */
  get slot(): SlotState | null {
    return this.#slot;
  }

  /** For how long one has been under way, in ms; 0 where none is. */
  waitingMs(): number {
    return this.#waitingSinceMs === null ? 0 : this.#options.clock.monotonicMs() - this.#waitingSinceMs;
  }

  /** The stream has brought a message with our prefix. */
  came(content: string): void {
    if (!content.startsWith(`${this.#options.slotName} `)) return;
    this.#cameAtMs = this.#options.clock.monotonicMs();
    if (content === this.#content(this.#number)) this.#waitingSinceMs = null;
  }

  /** The next one is due. */
  beatNow(): void {
    this.#isDue = true;
    this.#wake();
  }

  /** Beats until the signal aborts. What goes wrong is logged once, and tried again with the next. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger, everyMs = HEARTBEAT_MS } = this.#options;
    while (!signal.aborted) {
      this.#isDue = false;
      try {
        await this.#beat();
        this.#problem = null;
      } catch (error) {
        this.#close();
        if (signal.aborted) break;
        if (error instanceof CaptureFault) return this.#options.onFault(error);
        const message = error instanceof Error ? error.message : String(error);
        if (message !== this.#problem) logger.warn({ err: error }, 'no heartbeat could be sent');
        this.#problem = message;
      }
      if (!this.#isDue) await this.#untilNext(clock, everyMs, signal);
    }
    this.#close();
  }

  async #untilNext(clock: Clock, everyMs: number, signal: AbortSignal): Promise<void> {
    const woken = new Promise<void>((resolve) => (this.#wake = resolve));
    const waited = new AbortController();
    const slept = clock.sleep(everyMs, AbortSignal.any([signal, waited.signal])).catch(() => undefined);
    await Promise.race([slept, woken]);
    waited.abort();
  }

  async #beat(): Promise<void> {
    const { upstream, slotName, publicationName, clock } = this.#options;
    const admin = (this.#admin ??= await openAdmin(upstream, LIMITS));
    this.#look(await findSlot(admin, slotName));
    if (!(await hasPublication(admin, publicationName))) {
      throw new CaptureFault('publication-missing', `the publication ${publicationName} was dropped`, null);
    }
    await this.#careForTables(admin);
    this.#number++;
    this.#waitingSinceMs ??= clock.monotonicMs();
    try {
      const content = quoteLiteral(this.#content(this.#number));
      await this.#options.tables?.gaps.mark(admin);
      await admin.query(`SELECT pg_catalog.pg_logical_emit_message(false, '${HEARTBEAT_PREFIX}', ${content})`);
    } catch (error) {
      this.#waitingSinceMs = null;
      // A server that takes no writes: what keepalives tell is all there is.
      if ((error as { code?: unknown }).code !== SQLSTATE.read_only_sql_transaction) throw error;
    }
  }

  async #careForTables(admin: pg.Client): Promise<void> {
    const { tables } = this.#options;
    if (tables === undefined) return;
    const found = await tables.membership.look(admin);
    if (found !== null) tables.onUnpublished(found);
  }

  #look(slot: SlotState | null): void {
    const { slotName, logger } = this.#options;
    const before = this.#slot?.walStatus ?? null;
    this.#slot = slot;
    if (slot === null) throw new CaptureFault('slot-missing', `the replication slot ${slotName} was dropped`, null);
    if (slot.isInvalidated) {
      throw new CaptureFault('slot-lost', `the server has invalidated the replication slot ${slotName}`, null);
    }
    if (slot.walStatus === before || slot.walStatus !== 'unreserved') return;
    logger.warn({ slot: slotName }, 'the server may take the slot away: it holds more WAL than max_slot_wal_keep_size');
  }

  #content(number: number): string {
    return `${this.#options.slotName} ${number}`;
  }

  #close(): void {
    if (this.#admin !== null) hangUp(this.#admin);
    this.#admin = null;
  }
}
