import type { ByteWriter } from './byte-writer.ts';
import { JSON_NULL, writeJsonString } from './json-text.ts';

/** Writes the JSON of the element whose text is `data[start, end)`. */
export type WriteElement = (out: ByteWriter, data: Buffer, start: number, end: number) => void;

const OPEN = 0x7b;
const CLOSE = 0x7d;
const COMMA = 0x2c;
const DOUBLE_QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** Postgres's MAXDIM. */
const MAX_DEPTH = 6;

/**
 * An array's text to a JSON array. Anything that is not the output of array_out is written as a string.
 * https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO
 */
export function writeArray(out: ByteWriter, element: WriteElement, data: Buffer, start: number, end: number): void {
  const begin = out.length;
  let at = start;
  // Lower bounds other than 1: [0:2]={1,2,3}
  if (data[at] === 0x5b) {
    const equals = data.indexOf('={', at, 'latin1');
    at = equals === -1 ? end : equals + 1;
  }
  if (at < end && new ArrayText(out, element, data, end).write(at) === end) return;
  out.length = begin;
  writeJsonString(out, data, start, end);
}

const MALFORMED = -1;

/** One pass over an array's text. Its methods return the offset past what they wrote, or `MALFORMED`. */
class ArrayText {
  readonly #out: ByteWriter;
  readonly #element: WriteElement;
  readonly #data: Buffer;
  readonly #end: number;

  constructor(out: ByteWriter, element: WriteElement, data: Buffer, end: number) {
    this.#out = out;
    this.#element = element;
    this.#data = data;
    this.#end = end;
  }

  write(start: number, depth = 0): number {
    const data = this.#data;
    if (data[start] !== OPEN || depth >= MAX_DEPTH) return MALFORMED;
    this.#out.byte(0x5b);
    let at = start + 1;
    if (data[at] === CLOSE) {
      this.#out.byte(0x5d);
      return at + 1;
    }
    while (at < this.#end) {
      at = this.#item(at, depth);
      if (at === MALFORMED) return MALFORMED;
      const next = data[at++];
      if (next === CLOSE) {
        this.#out.byte(0x5d);
        return at;
      }
      if (next !== COMMA) return MALFORMED;
      this.#out.byte(COMMA);
    }
    return MALFORMED;
  }

  #item(at: number, depth: number): number {
    if (this.#data[at] === OPEN) return this.write(at, depth + 1);
    return this.#data[at] === DOUBLE_QUOTE ? this.#quoted(at + 1) : this.#bare(at);
  }

  #bare(start: number): number {
    const data = this.#data;
    let at = start;
    while (at < this.#end && data[at] !== COMMA && data[at] !== CLOSE) at++;
    if (at === start || at >= this.#end) return MALFORMED;
    // An element whose text is NULL is quoted; bare it is the null.
    if (at - start === 4 && data.toString('latin1', start, at) === 'NULL') this.#out.raw(JSON_NULL);
    else this.#element(this.#out, data, start, at);
    return at;
  }

  #quoted(start: number): number {
    const data = this.#data;
    let at = start;
    let escapes = 0;
    while (at < this.#end && data[at] !== DOUBLE_QUOTE) {
      if (data[at] === BACKSLASH) {
        escapes++;
        at++;
      }
      at++;
    }
    if (at >= this.#end) return MALFORMED;
    if (escapes === 0) {
      this.#element(this.#out, data, start, at);
    } else {
      const plain = unescapeElement(data, start, at, escapes);
      this.#element(this.#out, plain, 0, plain.length);
    }
    return at + 1;
  }
}

/** The element without its backslashes, of which there are so many. */
export function unescapeElement(data: Buffer, start: number, end: number, escapes: number): Buffer {
  const plain = Buffer.allocUnsafe(end - start - escapes);
  let out = 0;
  for (let i = start; i < end; i++) {
    if (data[i] === BACKSLASH) i++;
    plain[out++] = data[i]!;
  }
  return plain;
}
