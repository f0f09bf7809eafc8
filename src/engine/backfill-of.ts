import type { Random } from '../base/random.ts';
import type { Backfill, BackfillTable } from '../model/backfill.ts';
import type { StreamDefinition } from '../model/stream.ts';

/** A backfill of the stream's tables; null: each of them, all rows. */
export function backfillOf(
  { id, tables, operations, when }: StreamDefinition,
  wanted: readonly BackfillTable[] | null,
  nowMs: number,
  random: Random,
): Backfill {
  return {
    id: uuidOfTime(nowMs, random),
    streamId: id,
    tables: wanted ?? tables.map(({ oid }) => ({ oid, where: null })),
    rereads: operations !== null || when !== null,
  };
}

/** https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-7 */
function uuidOfTime(nowMs: number, random: Random): string {
  const bytes = Buffer.from(random.bytes(16));
  bytes.writeUIntBE(nowMs, 0, 6);
  bytes[6] = (bytes[6]! & 0x0f) | 0x70;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
