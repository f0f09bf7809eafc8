/** `wal_sender_timeout` where the server has none (0): how long a silence we stand. */
const DEFAULT_TIMEOUT_MS = 60_000;
const MAX_STATUS_INTERVAL_MS = 10_000;

/** How often the standby status goes out: a third of what the server waits for it, and at least every 10 s. */
export function statusIntervalMs(walSenderTimeoutMs: number): number {
  return Math.min(MAX_STATUS_INTERVAL_MS, Math.max(1, Math.floor(timeoutOrDefault(walSenderTimeoutMs) / 3)));
}

export interface LivenessInput {
  readonly walSenderTimeoutMs: number;
  /** Since bytes last came, or since the connection began to stream. */
  readonly sinceReceivedMs: number;
  /** How late this check is: what came in the meantime may not have been read yet. */
  readonly latenessMs: number;
}

/**
 * Whether the server is still there. `alive`; `ask`: nothing came for a while, as is usual for an idle server, so the
 * next status asks for an answer; `dead`: nothing came for twice the timeout although it was asked; `reset`: count anew,
 * because it was us who did not read (the disk held this thread up).
 */
export function liveness(input: LivenessInput): 'alive' | 'ask' | 'dead' | 'reset' {
  const timeoutMs = timeoutOrDefault(input.walSenderTimeoutMs);
  const intervalMs = statusIntervalMs(input.walSenderTimeoutMs);
  if (input.latenessMs > intervalMs) return 'reset';
  if (input.sinceReceivedMs > 2 * timeoutMs) return 'dead';
  return input.sinceReceivedMs >= intervalMs / 2 ? 'ask' : 'alive';
}

function timeoutOrDefault(walSenderTimeoutMs: number): number {
  return walSenderTimeoutMs > 0 ? walSenderTimeoutMs : DEFAULT_TIMEOUT_MS;
}
