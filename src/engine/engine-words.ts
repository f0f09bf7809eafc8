import type { StagedChange } from '../model/staged-change.ts';
import { PgError, SQLSTATE, type PgNotice } from '../postgres/sqlstate.ts';

/** A signal for what nobody cancels. */
export const NEVER: AbortSignal = new AbortController().signal;

/** What a client would be told, in a line. */
export function problemOf(error: unknown): string {
  if (error instanceof PgError) return [error.message, error.hint].filter((part) => part !== undefined).join(': ');
  return error instanceof Error ? error.message : String(error);
}

/** What the log says of a change: names, nothing of what is in it. */
export function describeChange(change: StagedChange): object {
  if ('names' in change) return { change: change.kind, names: change.names };
  return { change: change.kind, name: change.kind === 'create-stream' ? change.request.name : change.name };
}

export function notice(message: string): PgNotice {
  return { severity: 'NOTICE', code: SQLSTATE.successful_completion, message };
}

export function warning(message: string, detail?: string, hint?: string): PgNotice {
  return { severity: 'WARNING', code: SQLSTATE.warning, message, detail, hint };
}

export function stoppingError(): PgError {
  return new PgError('object_not_in_prerequisite_state', 'walhook is shutting down');
}
