import type { Lsn } from '../postgres/lsn.ts';

/** A committed transaction, as every change of it refers to it. */
export class Transaction {
  readonly commitLsn: Lsn;
  /** Microseconds since 1970-01-01 UTC. */
  readonly commitTimeMicros: bigint;
  readonly xid: number;
  readonly commitMs: number;
  #text: Buffer | null = null;
  #hex: Buffer | null = null;

  constructor(commitLsn: Lsn, commitTimeMicros: bigint, xid: number) {
    this.commitLsn = commitLsn;
    this.commitTimeMicros = commitTimeMicros;
    this.xid = xid;
    this.commitMs = Number(commitTimeMicros / 1000n);
  }

  /** The commit time as RFC 3339 in UTC with six digits of fraction; made once, for all changes of the transaction. */
  get commitText(): Buffer {
    this.#text ??= Buffer.from(formatMicros(Number(this.commitTimeMicros)), 'latin1');
    return this.#text;
  }

  /** The commit LSN as 16 hexadecimal digits, which sort as LSNs do. */
  get commitHex(): Buffer {
    this.#hex ??= Buffer.from(this.commitLsn.toString(16).toUpperCase().padStart(16, '0'), 'latin1');
    return this.#hex;
  }
}

/** One row change where it lies: a CopyData frame inside `data`, and what the frame alone does not tell. */
export interface EncodableChange {
  readonly data: Buffer;
  /** Offset of the frame's 'd'. */
  readonly offset: number;
  readonly transaction: Transaction;
  /** Among the changes at the frame's LSN. */
  readonly ordinal: number;
  /** Among the transaction's changes, from 0. */
  readonly seq: number;
  /** What a row filter has made of an UPDATE: the row entered the filter, or left it. Absent or null: it stays what it is. */
  readonly as?: 'insert' | 'delete' | null;
  /** Columns that Postgres had left out as unchanged, and that were asked for since, as indexes. Absent or null: none. */
  readonly fetched?: readonly number[] | null;
  /** The 16 bytes of the backfill that has read the row; absent or null: it is a change. */
  readonly backfill?: Buffer | null;
}

/**
 * Whole microseconds since 1970 as `2026-01-05T10:00:00.123456Z`. Integer arithmetic only: every commit time of the years
 * 1970 to 2255 is below 2^53.
 * Days to civil date: https://howardhinnant.github.io/date_algorithms.html#civil_from_days
 */
export function formatMicros(micros: number): string {
  const days = Math.floor(micros / 86_400_000_000);
  const ofDay = micros - days * 86_400_000_000;
  const shifted = days + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const monthIndex = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * monthIndex + 2) / 5) + 1;
  const month = monthIndex < 10 ? monthIndex + 3 : monthIndex - 9;
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  const seconds = Math.floor(ofDay / 1_000_000);
  const date = `${pad(year, 4)}-${pad(month, 2)}-${pad(day, 2)}`;
  const time = `${pad(Math.floor(seconds / 3600), 2)}:${pad(Math.floor(seconds / 60) % 60, 2)}:${pad(seconds % 60, 2)}`;
  return `${date}T${time}.${pad(ofDay % 1_000_000, 6)}Z`;
}

function pad(value: number, width: number): string {
  return String(value).padStart(width, '0');
}
