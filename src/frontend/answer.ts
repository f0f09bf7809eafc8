import type { Format } from '../wire/backend-messages.ts';
import { writeCommandComplete, writeDataRow, writeRowDescription } from '../wire/backend-messages.ts';
import { Writer } from '../wire/writer.ts';
import { noticeResponse } from './error-response.ts';
import type { Relay } from './relay.ts';
import { encodeValue, fieldOf, type Column, type Result, type Value } from './result.ts';

/** Rows are written in pieces of about this size, each when the client has taken the one before. */
const PIECE_BYTES = 65_536;

/** The formats of a result's columns. */
export function formatsOf(columns: readonly Column[], formats: readonly Format[]): Format[] {
  return columns.map((_, i) => (formats.length === 1 ? formats[0]! : (formats[i] ?? 0)));
}

export function rowDescription(columns: readonly Column[], formats: readonly Format[]): Buffer {
  const writer = new Writer();
  writeRowDescription(
    writer,
    columns.map((column, i) => fieldOf(column, formats[i] ?? 0)),
  );
  return writer.finish();
}

/** Sends rows, in pieces. */
export async function answerRows(
  relay: Relay,
  columns: readonly Column[],
  formats: readonly Format[],
  rows: ReadonlyArray<readonly Value[]>,
): Promise<void> {
  let writer = new Writer();
  for (const row of rows) {
    writeDataRow(
      writer,
      row.map((value, i) => encodeValue(value, columns[i]!.type, formats[i] ?? 0, relay.clientEncoding)),
    );
    if (writer.size < PIECE_BYTES) continue;
    await relay.answer(writer.finish());
    writer = new Writer();
  }
  if (writer.size > 0) await relay.answer(writer.finish());
}

export async function answerNotices(relay: Relay, { notices }: Pick<Result, 'notices'>): Promise<void> {
  for (const notice of notices) await relay.answer(noticeResponse(notice, relay.clientEncoding));
}

export async function answerComplete(relay: Relay, tag: string): Promise<void> {
  const writer = new Writer();
  writeCommandComplete(writer, tag);
  await relay.answer(writer.finish());
}
