import { FRAME, PgoutputError, TAG } from '../postgres/pgoutput.ts';
import type { EncodableChange } from './change.ts';

type Operation = 'insert' | 'update' | 'delete' | 'truncate' | 'read';

const NAMES: ReadonlyMap<number, Operation> = new Map([
  [TAG.insert, 'insert'],
  [TAG.update, 'update'],
  [TAG.delete, 'delete'],
  [TAG.truncate, 'truncate'],
]);

/** What the change is to the receiver. Throws `PgoutputError` on bytes that are no change. */
export function operationOf({ data, offset, as = null, backfill = null }: EncodableChange): Operation {
  const tag = data[offset + FRAME.message]!;
  const name = NAMES.get(tag);
  if (name === undefined) throw new PgoutputError(`no change: tag ${tag}`);
  if (backfill !== null) return 'read';
  return as !== null && name === 'update' ? as : name;
}
