import type { CreateStreamRequest } from '../model/stream-control.ts';
import { MAX_NAME_BYTES } from '../postgres/identifier.ts';
import { PgError, SQLSTATE, type PgNotice } from '../postgres/sqlstate.ts';

const SUFFIX = '_cdc_stream';

/**
 * The name that a stream gets: the one asked for, or `<table>_cdc_stream`, `…_1`, `…_2` with a NOTICE, its table part
 * cut to fit a name's length. 42710 where the name asked for is taken; with IF NOT EXISTS, `exists` and a NOTICE.
 */
export function chooseName(
  request: Pick<CreateStreamRequest, 'name' | 'ifNotExists' | 'tables'>,
  isTaken: (name: string) => boolean,
): { name: string; notices: readonly PgNotice[]; exists: boolean } {
  const { name, ifNotExists } = request;
  if (name !== null && !isTaken(name)) return { name, notices: [], exists: false };
  if (name !== null) {
    const message = `CDC stream "${name}" already exists`;
    if (!ifNotExists) throw new PgError('duplicate_object', message);
    const notice = { severity: 'NOTICE', code: SQLSTATE.duplicate_object, message: `${message}, skipping` } as const;
    return { name, notices: [notice], exists: true };
  }
  const table = request.tables[0]?.name ?? 'table';
  for (let n = 0; ; n++) {
    const suffix = n === 0 ? SUFFIX : `${SUFFIX}_${n}`;
    const generated = cut(table, MAX_NAME_BYTES - suffix.length) + suffix;
    if (isTaken(generated)) continue;
    const message = `stream name "${generated}" was generated`;
    return {
      name: generated,
      notices: [{ severity: 'NOTICE', code: SQLSTATE.successful_completion, message }],
      exists: false,
    };
  }
}

/** At most `bytes` bytes of UTF-8, cut between characters. */
function cut(text: string, bytes: number): string {
  let result = '';
  let length = 0;
  for (const character of text) {
    length += Buffer.byteLength(character);
    if (length > bytes) break;
    result += character;
  }
  return result;
}
