import { compareDecimals, type Decimal, formatDecimal, parseDecimal } from './decimal.ts';
import { EvaluationError, invalidSyntax } from './evaluation-error.ts';

/** A part of a JSON text, from `start` to `end`. Numbers keep every digit; of equal keys the last counts. */
export type JsonNode = { readonly start: number; readonly end: number } & (
  | { readonly kind: 'null' }
  | { readonly kind: 'boolean'; readonly value: boolean }
  | { readonly kind: 'number'; readonly text: string }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'array'; readonly items: readonly JsonNode[] }
  | { readonly kind: 'object'; readonly members: ReadonlyMap<string, JsonNode> }
);

/** Postgres's own limit is the stack's; deeper documents are an error here as there. */
const MAX_DEPTH = 2000;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
// oxlint-disable-next-line no-control-regex -- control characters are what must not be in a string
const PLAIN = /[^"\\\u0000-\u001f]*/y;
const SPACE = /[ \t\n\r]*/y;
const SINGLE: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
};

/** Throws `EvaluationError` where `text` is no JSON, or has an escape that spells no character. */
export function parseJson(text: string): JsonNode {
  return new JsonParser(text).document();
}

class JsonParser {
  readonly #text: string;
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  document(): JsonNode {
    const node = this.#value();
    this.#space();
    if (this.#at < this.#text.length) throw invalidSyntax('json');
    return node;
  }

  #space(): void {
    SPACE.lastIndex = this.#at;
    this.#at += SPACE.exec(this.#text)![0].length;
  }

  #value(): JsonNode {
    this.#space();
    const start = this.#at;
    switch (this.#text.charAt(start)) {
      case '{':
        return this.#nested(() => this.#object(start));
      case '[':
        return this.#nested(() => this.#array(start));
      case '"': {
        const value = this.#string();
        return { kind: 'string', value, start, end: this.#at };
      }
      case 't':
        this.#word('true');
        return { kind: 'boolean', value: true, start, end: this.#at };
      case 'f':
        this.#word('false');
        return { kind: 'boolean', value: false, start, end: this.#at };
      case 'n':
        this.#word('null');
        return { kind: 'null', start, end: this.#at };
      default:
        return this.#number(start);
    }
  }

  #nested(read: () => JsonNode): JsonNode {
    if (++this.#depth > MAX_DEPTH)
      throw new EvaluationError('statement_too_complex', 'a json value is nested too deep');
    const node = read();
    this.#depth--;
    return node;
  }

  #number(start: number): JsonNode {
    NUMBER.lastIndex = start;
    const match = NUMBER.exec(this.#text);
    if (match === null) throw invalidSyntax('json');
    this.#at += match[0].length;
    return { kind: 'number', text: match[0], start, end: this.#at };
  }

  #word(word: string): void {
    if (!this.#text.startsWith(word, this.#at)) throw invalidSyntax('json');
    this.#at += word.length;
  }

  #take(character: string): boolean {
    this.#space();
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #array(start: number): JsonNode {
    this.#at++;
    const items: JsonNode[] = [];
    if (!this.#take(']')) {
      do items.push(this.#value());
      while (this.#take(','));
      if (!this.#take(']')) throw invalidSyntax('json');
    }
    return { kind: 'array', items, start, end: this.#at };
  }

  #object(start: number): JsonNode {
    this.#at++;
    const members = new Map<string, JsonNode>();
    if (!this.#take('}')) {
      do {
        this.#space();
        if (this.#text[this.#at] !== '"') throw invalidSyntax('json');
        const key = this.#string();
        if (!this.#take(':')) throw invalidSyntax('json');
        members.set(key, this.#value());
      } while (this.#take(','));
      if (!this.#take('}')) throw invalidSyntax('json');
    }
    return { kind: 'object', members, start, end: this.#at };
  }

  #string(): string {
    this.#at++;
    let value = '';
    for (;;) {
      PLAIN.lastIndex = this.#at;
      const run = PLAIN.exec(this.#text)![0];
      value += run;
      this.#at += run.length;
      const character = this.#text[this.#at++];
      if (character === '"') return value;
      if (character !== '\\') throw invalidSyntax('json');
      value += this.#escape();
    }
  }

  #escape(): string {
    const letter = this.#text[this.#at++] ?? '';
    if (letter !== 'u') {
      const plain = SINGLE[letter];
      if (plain === undefined) throw invalidSyntax('json');
      return plain;
    }
    const code = this.#hexadecimal();
    if (code === 0) throw new EvaluationError('untranslatable_character', 'unsupported Unicode escape sequence');
    if (code < 0xd800 || code > 0xdfff) return String.fromCharCode(code);
    if (code > 0xdbff || !this.#text.startsWith('\\u', this.#at)) throw invalidSyntax('json');
    this.#at += 2;
    const low = this.#hexadecimal();
    if (low < 0xdc00 || low > 0xdfff) throw invalidSyntax('json');
    return String.fromCharCode(code, low);
  }

  #hexadecimal(): number {
    const digits = this.#text.slice(this.#at, this.#at + 4);
    if (!/^[0-9a-fA-F]{4}$/.test(digits)) throw invalidSyntax('json');
    this.#at += 4;
    return parseInt(digits, 16);
  }
}

/** jsonb's equality: numbers by their value, members in any order. */
export function sameJson(a: JsonNode, b: JsonNode): boolean {
  if (a.kind === 'number' && b.kind === 'number') return compareDecimals(numberOf(a.text), numberOf(b.text)) === 0;
  if (a.kind === 'string' && b.kind === 'string') return a.value === b.value;
  if (a.kind === 'boolean' && b.kind === 'boolean') return a.value === b.value;
  if (a.kind === 'array' && b.kind === 'array') {
    return a.items.length === b.items.length && a.items.every((item, i) => sameJson(item, b.items[i]!));
  }
  if (a.kind === 'object' && b.kind === 'object') {
    if (a.members.size !== b.members.size) return false;
    for (const [key, value] of a.members) {
      const other = b.members.get(key);
      if (other === undefined || !sameJson(value, other)) return false;
    }
    return true;
  }
  return a.kind === 'null' && b.kind === 'null';
}

function numberOf(text: string): Decimal {
  return parseDecimal(text);
}

const isContainer = (node: JsonNode): boolean => node.kind === 'array' || node.kind === 'object';

/** `container @> part`. https://www.postgresql.org/docs/current/datatype-json.html#JSON-CONTAINMENT */
export function containsJson(container: JsonNode, part: JsonNode): boolean {
  // An array contains a lone scalar, and a lone scalar itself: they stand as arrays of one item inside.
  if (!isContainer(part)) {
    if (container.kind === 'object') return false;
    return container.kind === 'array'
      ? container.items.some((item) => sameJson(item, part))
      : sameJson(container, part);
  }
  return containsDeep(container, part);
}

function containsDeep(container: JsonNode, part: JsonNode): boolean {
  if (container.kind === 'object' && part.kind === 'object') {
    for (const [key, wanted] of part.members) {
      const found = container.members.get(key);
      if (found === undefined) return false;
      const same = isContainer(wanted) ? containsDeep(found, wanted) : sameJson(found, wanted);
      if (!same) return false;
    }
    return true;
  }
  if (container.kind === 'array' && part.kind === 'array') {
    return part.items.every((wanted) =>
      container.items.some((item) => (isContainer(wanted) ? containsDeep(item, wanted) : sameJson(item, wanted))),
    );
  }
  return false;
}

/** As jsonb prints it: its input function and its output function in one. */
export function canonicalJson(text: string): string {
  return printJson(parseJson(text));
}

function printJson(node: JsonNode): string {
  switch (node.kind) {
    case 'null':
      return 'null';
    case 'boolean':
      return String(node.value);
    case 'number':
      return formatDecimal(numberOf(node.text));
    case 'string':
      return quoteJson(node.value);
    case 'array':
      return `[${node.items.map(printJson).join(', ')}]`;
    case 'object': {
      const keys = [...node.members.keys()].map((key) => ({ key, bytes: Buffer.from(key, 'utf8') }));
      keys.sort((a, b) => a.bytes.length - b.bytes.length || a.bytes.compare(b.bytes));
      return `{${keys.map(({ key }) => `${quoteJson(key)}: ${printJson(node.members.get(key)!)}`).join(', ')}}`;
    }
  }
}

/** `escape_json`, which differs from JSON.stringify in lone surrogates only, and those no text of Postgres has. */
function quoteJson(value: string): string {
  return JSON.stringify(value);
}

/** `->` with a key: null where there is no such member. */
export function jsonField(node: JsonNode, key: string): JsonNode | null {
  return node.kind === 'object' ? (node.members.get(key) ?? null) : null;
}

/**
 * `->` with a place: from 0, negative from the end. `binary`: of jsonb, where a lone scalar is stored as an array of itself
 * and answers so.
 */
export function jsonElement(node: JsonNode, index: number, binary: boolean): JsonNode | null {
  if (binary && !isContainer(node)) return index === 0 || index === -1 ? node : null;
  if (node.kind !== 'array') return null;
  return node.items[index < 0 ? node.items.length + index : index] ?? null;
}

/** What `->>` gives for what `->` gives: null for JSON's null, a string's own text, and otherwise the JSON text. */
export function jsonAsText(text: string, node: JsonNode): string | null {
  if (node.kind === 'null') return null;
  return node.kind === 'string' ? node.value : text.slice(node.start, node.end);
}
