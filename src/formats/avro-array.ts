import { unescapeElement } from './array-text.ts';
import { NULL_BRANCH, VALUE_BRANCH, writeLong } from './avro-binary.ts';
import { ByteWriter } from './byte-writer.ts';

/** Writes the Avro of the value whose text is `data[start, end)`. False where it has none: what was written is to be taken back. */
export type WriteAvro = (out: ByteWriter, data: Buffer, start: number, end: number) => boolean;

const OPEN = 0x7b;
const CLOSE = 0x7d;
const COMMA = 0x2c;
const DOUBLE_QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Avro says how many items there are before them. No array has an array in it, so one is enough. */
const items = new ByteWriter(1024);

/**
 * An array's text as Avro's array of `["null", T]`. False where it has more than one dimension, an element has no form, or the
 * text is not the output of array_out. The lower bound is not kept.
 * https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO
 */
export function readArray(out: ByteWriter, element: WriteAvro, data: Buffer, start: number, end: number): boolean {
  let at = start;
  // Lower bounds other than 1: [0:2]={1,2,3}
  if (data[at] === 0x5b) {
    const equals = data.indexOf('={', at, 'latin1');
    at = equals === -1 ? end : equals + 1;
  }
  if (data[at] !== OPEN || data[end - 1] !== CLOSE) return false;
  items.clear();
  let count = 0;
  for (at++; at < end && data[at] !== CLOSE; count++) {
    if (count > 0 && data[at++] !== COMMA) return false;
    const next = data[at] === DOUBLE_QUOTE ? quoted(element, data, at + 1, end) : bare(element, data, at, end);
    if (next === MALFORMED) return false;
    at = next;
  }
  if (at !== end - 1) return false;
  if (count > 0) {
    writeLong(out, count);
    out.slice(items.bytes, 0, items.length);
  }
  out.byte(0);
  return true;
}

const MALFORMED = -1;

function bare(element: WriteAvro, data: Buffer, start: number, end: number): number {
  let at = start;
  while (at < end && data[at] !== COMMA && data[at] !== CLOSE && data[at] !== OPEN) at++;
  if (at === start || at >= end || data[at] === OPEN) return MALFORMED;
  // An element whose text is NULL is quoted; bare it is the null.
  if (at - start === 4 && data.toString('latin1', start, at) === 'NULL') {
    items.byte(NULL_BRANCH);
    return at;
  }
  items.byte(VALUE_BRANCH);
  return element(items, data, start, at) ? at : MALFORMED;
}

function quoted(element: WriteAvro, data: Buffer, start: number, end: number): number {
  let at = start;
  let escapes = 0;
  while (at < end && data[at] !== DOUBLE_QUOTE) {
    if (data[at] === BACKSLASH) {
      escapes++;
      at++;
    }
    at++;
  }
  if (at >= end) return MALFORMED;
  items.byte(VALUE_BRANCH);
  const plain = escapes === 0 ? null : unescapeElement(data, start, at, escapes);
  const isWritten = plain === null ? element(items, data, start, at) : element(items, plain, 0, plain.length);
  return isWritten ? at + 1 : MALFORMED;
}
