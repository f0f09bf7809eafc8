import { trimSpace } from './decimal.ts';
import { EvaluationError } from './evaluation-error.ts';

/** An array's items in order, all dimensions together, and `shape`: each dimension's bounds; '' for an empty array. */
export interface ArrayValue<T> {
  readonly shape: string;
  readonly items: readonly (T | null)[];
}

const BOUNDS = /^((?:\[[+-]?\d+(?::[+-]?\d+)?\])+)[ \t]*=[ \t]*/;
const MAX_DIMENSIONS = 6;
/** JavaScript's `\s` takes more than Postgres does. */
const SPACE = /[ \t\n\v\f\r]/;
const EMPTY = /^\{[ \t\n\v\f\r]*\}$/;

/**
 * An array's text, `{1,NULL,"a b"}`, nested, or with bounds `[0:1]={…}`.
 * https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO
 */
export function parseArray<T>(text: string, item: (text: string) => T): ArrayValue<T> {
  return new ArrayParser(text, item).array();
}

function malformed(): EvaluationError {
  return new EvaluationError('invalid_text_representation', 'malformed array literal');
}

class ArrayParser<T> {
  readonly #text: string;
  readonly #item: (text: string) => T;
  readonly #items: (T | null)[] = [];
  /** Items per level, as the first of each level had them. */
  readonly #sizes: number[] = [];
  #depth = 0;
  /** The level that holds the items; 0 as long as none was seen. */
  #itemDepth = 0;
  #at = 0;

  constructor(text: string, item: (text: string) => T) {
    this.#text = trimSpace(text);
    this.#item = item;
  }

  array(): ArrayValue<T> {
    const bounds = BOUNDS.exec(this.#text);
    if (bounds !== null) this.#at = bounds[0].length;
    if (EMPTY.test(this.#text)) return { shape: '', items: [] };
    this.#level();
    if (this.#at !== this.#text.length) throw malformed();
    const sizes = this.#sizes;
    const shape = sizes.map((size) => `1:${size}`).join(',');
    return { shape: bounds === null ? shape : this.#boundedShape(bounds[1]!), items: this.#items };
  }

  #boundedShape(written: string): string {
    const dimensions = [...written.matchAll(/\[([+-]?\d+)(?::([+-]?\d+))?\]/g)].map(([, first, last]) =>
      last === undefined ? { low: 1, high: Number(first) } : { low: Number(first), high: Number(last) },
    );
    const fits = dimensions.every(({ low, high }, i) => high - low + 1 === this.#sizes[i]);
    if (dimensions.length !== this.#sizes.length || !fits) throw malformed();
    return dimensions.map(({ low, high }) => `${low}:${high}`).join(',');
  }

  #space(): void {
    while (this.#at < this.#text.length && SPACE.test(this.#text[this.#at]!)) this.#at++;
  }

  #level(): void {
    if (this.#text[this.#at] !== '{') throw malformed();
    if (++this.#depth > MAX_DIMENSIONS) {
      throw new EvaluationError('program_limit_exceeded', 'number of array dimensions exceeds the maximum allowed (6)');
    }
    const depth = this.#depth;
    this.#at++;
    let size = 0;
    for (;;) {
      this.#space();
      size++;
      if (this.#text[this.#at] === '{') this.#level();
      else this.#readItem(depth);
      this.#space();
      const next = this.#text[this.#at++];
      if (next === '}') break;
      if (next !== ',') throw malformed();
    }
    const known = this.#sizes[depth - 1];
    if (known === undefined) this.#sizes[depth - 1] = size;
    else if (known !== size) throw malformed();
    this.#depth--;
  }

  #readItem(depth: number): void {
    if (this.#itemDepth === 0) this.#itemDepth = depth;
    if (this.#itemDepth !== depth || this.#sizes.length > depth) throw malformed();
    if (this.#text[this.#at] === '"') {
      this.#items.push(this.#item(this.#quoted()));
      return;
    }
    const { value, escaped } = this.#unquoted();
    if (value === '') throw malformed();
    this.#items.push(!escaped && value.toUpperCase() === 'NULL' ? null : this.#item(value));
  }

  #quoted(): string {
    let value = '';
    this.#at++;
    for (;;) {
      const character = this.#text[this.#at++];
      if (character === undefined) throw malformed();
      if (character === '"') return value;
      if (character !== '\\') value += character;
      else value += this.#escaped();
    }
  }

  #escaped(): string {
    const character = this.#text[this.#at++];
    if (character === undefined) throw malformed();
    return character;
  }

  #unquoted(): { value: string; escaped: boolean } {
    let value = '';
    let escaped = false;
    // White space that no escape protects goes at the end.
    let keep = 0;
    for (;;) {
      const character = this.#text[this.#at];
      if (character === undefined || character === '"' || character === '{') throw malformed();
      if (character === ',' || character === '}') return { value: value.slice(0, keep), escaped };
      this.#at++;
      if (character === '\\') {
        escaped = true;
        value += this.#escaped();
        keep = value.length;
      } else {
        value += character;
        if (!SPACE.test(character)) keep = value.length;
      }
    }
  }
}
