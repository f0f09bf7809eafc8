import pg from 'pg';
import { systemClock, type Clock } from '../base/clock.ts';
import { ConfigError, loadOptions } from '../config/load.ts';
import { WAIT_OPTIONS } from '../config/options.ts';
import { quoteIdentifier } from '../postgres/identifier.ts';
import { CatalogClient, CatalogClientError } from './declarations/catalog-client.ts';
import { explain } from './declarations/declaration-file.ts';
import { terminalProgress, type Progress } from './progress.ts';

const LOOK_EVERY_MS = 500;

/**
 * `walhook wait STREAM`: ends when the stream has no backfill that runs and what was committed before is delivered: for scripts
 * that go on behind BACKFILL or REPLAY. Exit code 1 where that will not be, or is not in time.
 */
export async function waitCommand(args: readonly string[]): Promise<number> {
  const { values, rest } = loadOptions(WAIT_OPTIONS, args, process.env);
  const [stream, ...more] = rest;
  if (stream === undefined) throw new ConfigError(['wait needs the name of a stream']);
  if (more.length > 0) throw new ConfigError(more.map((word) => `"${word}" is no option of wait`));
  const client = await CatalogClient.connect(values.url);
  const progress = terminalProgress(systemClock);
  try {
    const problem = await waitForStream(client, stream, { clock: systemClock, progress, timeoutMs: values.timeout });
    progress.clear();
    if (problem === null) process.stdout.write(`${stream} has caught up\n`);
    else process.stderr.write(`walhook: ${stream}: ${problem}\n`);
    return problem === null ? 0 : 1;
  } catch (error) {
    progress.clear();
    throw error instanceof pg.DatabaseError ? new CatalogClientError(explain(error)) : error;
  } finally {
    await client.end();
  }
}

export interface WaitOptions {
  readonly clock: Clock;
  readonly progress: Progress;
  /** 0: as long as it takes. */
  readonly timeoutMs: number;
}

/** Resolves to null once it is so, or to why it is not. Rejects as `CatalogClient.run` does: 42704 where there is no such stream. */
async function waitForStream(
  client: Pick<CatalogClient, 'run'>,
  stream: string,
  { clock, progress, timeoutMs }: WaitOptions,
): Promise<string | null> {
  const endMs = timeoutMs === 0 ? Infinity : clock.monotonicMs() + timeoutMs;
  // The last look at which there was something to wait for besides what is pending.
  let sinceMs = clock.monotonicMs();
  let hasBackfilled = false;
  let mostPending = 0;
  let wasDone = false;
  for (;;) {
    const status = await statusOf(client, stream);
    const nowMs = clock.monotonicMs();
    if (status.name === 'paused') return status.reason === null ? 'it is paused' : `it is paused: ${status.reason}`;
    if (status.name === 'backfilling') hasBackfilled = true;
    else if (hasBackfilled && !status.isSynced && status.name === 'running') return 'its backfill was cancelled';
    if (status.name !== 'running') sinceMs = nowMs;
    mostPending = status.pending === 0 ? 0 : Math.max(mostPending, status.pending);
    // While rows are written there is always something pending; what is younger than `sinceMs` is not waited for.
    const isDone = status.name === 'running' && (status.pending === 0 || status.lagMs < nowMs - sinceMs);
    // What capture has read may be on its way to delivery, which does not count it yet: one look is not enough.
    if (isDone && wasDone) return null;
    wasDone = isDone;
    if (nowMs >= endMs)
      return status.reason === null ? `it is ${status.name} still` : `${status.name}: ${status.reason}`;
    showStatus(progress, stream, status, mostPending);
    await clock.sleep(Math.min(LOOK_EVERY_MS, endMs - nowMs));
  }
}

interface WaitedStatus {
  readonly name: string;
  readonly reason: string | null;
  readonly pending: number;
  /** Age of the oldest that is pending. */
  readonly lagMs: number;
  readonly rowsDone: number;
  readonly rowsTotal: number | null;
  /** False: its newest backfill runs, or was cancelled. */
  readonly isSynced: boolean;
}

async function statusOf(client: Pick<CatalogClient, 'run'>, stream: string): Promise<WaitedStatus> {
  const rows = await client.run(`SHOW CDC STREAM STATUS ${quoteIdentifier(stream)}`);
  const of = new Map(rows.map((row) => [row['property'], row['value'] ?? null]));
  const total = of.get('backfill_rows_total') ?? null;
  return {
    name: of.get('status') ?? '',
    reason: of.get('status_reason') ?? null,
    pending: Number(of.get('pending_events')),
    lagMs: Number(of.get('lag_seconds')) * 1_000,
    rowsDone: Number(of.get('backfill_rows_done')),
    rowsTotal: total === null ? null : Number(total),
    isSynced: of.get('synced') !== 'f',
  };
}

function showStatus(progress: Progress, stream: string, status: WaitedStatus, mostPending: number): void {
  const { name, reason, pending, rowsDone, rowsTotal } = status;
  if (name === 'backfilling') progress.show(`${stream}: rows read`, rowsDone, rowsTotal);
  else if (name === 'running') progress.show(`${stream}: events delivered`, mostPending - pending, mostPending);
  else progress.show(`${stream}: ${name}${reason === null ? '' : `: ${reason}`}`);
}
