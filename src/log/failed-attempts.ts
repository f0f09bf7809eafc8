import type Database from 'better-sqlite3';
import type { DeliveryRecord } from '../model/delivery-control.ts';

/** Failed attempts that are kept of each stream. */
export const MAX_FAILED_ATTEMPTS = 1_000;

/** What of the attempts outlives a restart: the failures. */
export class FailedAttempts {
  readonly #statements: ReturnType<typeof prepare>;

  constructor(db: Database.Database) {
    this.#statements = prepare(db);
  }

  /** Newest first. */
  list(streamId: string, limit: number): readonly DeliveryRecord[] {
    return (this.#statements.list.all(streamId, limit) as Row[]).map((row) => ({
      streamId,
      id: String(row.attempt_id),
      eventIds: row.event_ids === '' ? [] : row.event_ids.split(','),
      events: row.events,
      attempt: row.attempt,
      startedAtMs: row.started_at,
      durationMs: row.duration_ms,
      httpStatus: row.http_status,
      outcome: row.outcome,
      error: row.error,
      responseExcerpt: row.excerpt,
      nextRetryAtMs: row.next_retry_at,
      errorCode: row.error_code,
      dnsMs: row.dns_ms,
      connectMs: row.connect_ms,
      tlsMs: row.tls_ms,
      firstByteMs: row.first_byte_ms,
    }));
  }

  /** The highest number that was stored. */
  lastId(streamId: string): number {
    return (this.#statements.last.get(streamId) as { last: number | null }).last ?? 0;
  }

  /** Inside the caller's transaction. */
  add(streamId: string, attempts: readonly DeliveryRecord[]): void {
    if (attempts.length === 0) return;
    for (const attempt of attempts) {
      this.#statements.add.run(
        streamId,
        Number(attempt.id),
        attempt.eventIds.join(','),
        attempt.events,
        attempt.attempt,
        Math.round(attempt.startedAtMs),
        attempt.durationMs,
        attempt.httpStatus,
        attempt.outcome,
        attempt.error,
        attempt.responseExcerpt,
        attempt.nextRetryAtMs,
        attempt.errorCode,
        attempt.dnsMs,
        attempt.connectMs,
        attempt.tlsMs,
        attempt.firstByteMs,
      );
    }
    this.#statements.trim.run(streamId, streamId, MAX_FAILED_ATTEMPTS);
  }
}

interface Row {
  readonly attempt_id: number;
  readonly event_ids: string;
  readonly events: number;
  readonly attempt: number;
  readonly started_at: number;
  readonly duration_ms: number;
  readonly http_status: number | null;
  readonly outcome: string;
  readonly error: string | null;
  readonly excerpt: string | null;
  readonly next_retry_at: number | null;
  readonly error_code: string | null;
  readonly dns_ms: number | null;
  readonly connect_ms: number | null;
  readonly tls_ms: number | null;
  readonly first_byte_ms: number | null;
}

function prepare(db: Database.Database) {
  return {
    list: db.prepare('SELECT * FROM attempts WHERE stream_id = ? ORDER BY attempt_id DESC LIMIT ?'),
    last: db.prepare('SELECT max(attempt_id) AS last FROM attempts WHERE stream_id = ?'),
    add: db.prepare(`INSERT OR REPLACE INTO attempts VALUES (${'?, '.repeat(16)}?)`),
    trim: db.prepare(
      `DELETE FROM attempts WHERE stream_id = ? AND attempt_id <=
         (SELECT attempt_id FROM attempts WHERE stream_id = ? ORDER BY attempt_id DESC LIMIT 1 OFFSET ?)`,
    ),
  };
}
