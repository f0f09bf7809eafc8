import { AssertionError } from '../base/assert.ts';
import type { Logger } from '../base/logger.ts';
import { PgError, type PgNotice } from '../postgres/sqlstate.ts';
import { writeReport } from '../wire/backend-messages.ts';
import { BACKEND } from '../wire/message-type.ts';
import { Writer } from '../wire/writer.ts';
import { encodeText } from './client-encoding.ts';
import { UpstreamError } from './question.ts';
import { PlacedError } from './statement.ts';

/**
 * What a client is told of a failure: the one place where an error becomes an ErrorResponse. An error of the upstream's
 * goes on as it came. Anything else but a PgError is a fault of ours: it is logged, and the client learns only that there
 * was one. Assertion errors go on and end the process.
 */
export function errorResponse(error: unknown, encoding: string, logger: Logger): Buffer {
  if (error instanceof PlacedError) return response(error.cause, error.charactersBefore, encoding, logger);
  return response(error, 0, encoding, logger);
}

function response(error: unknown, charactersBefore: number, encoding: string, logger: Logger): Buffer {
  if (error instanceof AssertionError) throw error;
  if (error instanceof UpstreamError) {
    const writer = new Writer();
    writeReport(writer, BACKEND.errorResponse, error.fields);
    return writer.finish();
  }
  const shown = error instanceof PgError ? error : internalError(error, logger);
  const { severity, code, message, detail, hint, position } = shown;
  const placed = position === undefined ? undefined : charactersBefore + position;
  return report(BACKEND.errorResponse, { severity, code, message, detail, hint, position: placed }, encoding);
}

export function noticeResponse(notice: PgNotice, encoding: string): Buffer {
  return report(BACKEND.noticeResponse, notice, encoding);
}

function internalError(error: unknown, logger: Logger): PgError {
  logger.error({ err: error }, 'internal error');
  return new PgError('internal_error', 'internal error of walhook; its log has the cause', { cause: error });
}

interface Report {
  readonly severity: string;
  readonly code: string;
  readonly message: string;
  readonly detail?: string | undefined;
  readonly hint?: string | undefined;
  readonly position?: number | undefined;
}

// S is the severity in the server's language, V in English: https://www.postgresql.org/docs/current/protocol-error-fields.html
function report(type: number, { severity, code, message, detail, hint, position }: Report, encoding: string): Buffer {
  const fields = new Map<string, Buffer>();
  const add = (letter: string, value: string | number | undefined): void => {
    // A zero byte would end the field.
    if (value !== undefined) fields.set(letter, encodeText(String(value).replaceAll('\0', ''), encoding));
  };
  add('S', severity);
  add('V', severity);
  add('C', code);
  add('M', message);
  add('D', detail);
  add('H', hint);
  add('P', position);
  const writer = new Writer();
  writeReport(writer, type, fields);
  return writer.finish();
}
