import { FRAME, frameBytes, TAG } from '../postgres/pgoutput.ts';
import type { OpenTransaction } from './chunk.ts';
import { TransactionCursor } from './transaction-cursor.ts';

/** The transaction that is open where a chunk ends, found by going through its frames from where it begins. */
export function openAtEnd(open: OpenTransaction | null, data: Buffer): OpenTransaction | null {
  const cursor = TransactionCursor.at(open);
  for (let at = 0; at < data.length; at += frameBytes(data, at)) {
    const message = at + FRAME.message;
    const tag = data[message];
    if (tag === TAG.begin) cursor.begin(data, message);
    else if (tag === TAG.commit) cursor.commit();
    else if (tag === TAG.insert || tag === TAG.update || tag === TAG.delete || tag === TAG.truncate) {
      cursor.change(data.readUInt32BE(at + FRAME.startLsn), data.readUInt32BE(at + FRAME.startLsn + 4));
    }
  }
  return cursor.open();
}
