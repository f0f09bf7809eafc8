import type { Clock } from '../base/clock.ts';
import { PgError } from '../postgres/sqlstate.ts';

/** Of the timeout, the part by which a session may be ended late. */
const SHARE_OF_TIMEOUT = 20;

/** A session as far as this matters. */
export interface IdleSession {
  /** Changes with whatever happens in the session. */
  readonly activity: number;
  /** Whether it waits for its client, outside a transaction. */
  readonly isIdle: boolean;
  end(error: PgError): void;
}

/**
 * Ends sessions whose clients have sent nothing for the timeout while nothing was going on, as Postgres does by
 * `idle_session_timeout`. Looks at all of them at times, so that a session pays nothing while it works.
 * https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-IDLE-SESSION-TIMEOUT
 */
export async function endIdleSessions(
  sessions: Iterable<IdleSession>,
  timeoutMs: number,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const seen = new WeakMap<IdleSession, { activity: number; sinceMs: number }>();
  while (!signal.aborted) {
    await clock.sleep(Math.max(1, timeoutMs / SHARE_OF_TIMEOUT), signal).catch(() => undefined);
    if (signal.aborted) return;
    const nowMs = clock.monotonicMs();
    for (const session of sessions) {
      const before = seen.get(session);
      if (!session.isIdle || before?.activity !== session.activity) {
        seen.set(session, { activity: session.activity, sinceMs: nowMs });
      } else if (nowMs - before.sinceMs >= timeoutMs) {
        session.end(
          new PgError('idle_session_timeout', 'terminating connection due to idle-session timeout', {
            severity: 'FATAL',
          }),
        );
      }
    }
  }
}
