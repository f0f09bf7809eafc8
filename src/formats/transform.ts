import { Template } from '@huggingface/jinja';
import { compile, JSONPathError } from 'json-p3';
import type { StreamTransform } from '../model/stream.ts';
import { parseForPrinting, parseForReckoning } from './exact-json.ts';

/*
  What TRANSFORM makes of an event. It is asked in a process of its own: what its author has written may loop for ever or want
  all the memory there is.

    JSONPATH   RFC 9535. A singular query is replaced by its value, or null where there is none; any other by an array of
               what it has found. Filters compare numbers as doubles; what is found has all of its digits.
               https://www.rfc-editor.org/rfc/rfc9535
    TEMPLATE   Jinja. The members of the event are its variables, and `event` the whole. What it writes has to be JSON.
               A number of more than 15 digits is text in it.
               https://jinja.palletsprojects.com/en/stable/templates/
*/

/** A transform that is none, or that cannot be applied. `offset`: in its text, in characters from 0; null: not known. */
export class TransformError extends Error {
  override readonly name = 'TransformError';
  readonly offset: number | null;

  constructor(message: string, offset: number | null = null) {
    super(message);
    this.offset = offset;
  }
}

/** From the JSON of one event to the JSON that takes its place. Throws `TransformError`. */
export type Transform = (event: string) => string;

/** Throws `TransformError`. */
export function compileTransform({ language, text }: StreamTransform): Transform {
  return language === 'jsonpath' ? compileJsonPath(text) : compileTemplate(text);
}

function compileJsonPath(text: string): Transform {
  const query = guarded('', () => compile(text));
  const isSingular = query.singularQuery();
  return (event) =>
    guarded('', () => {
      const { nodes } = query.query(JSON.parse(event) as never);
      // What is found is printed with the digits that it has.
      const exact = parseForPrinting(event);
      const found = nodes.map(({ location }) => valueAt(exact, location));
      return JSON.stringify(isSingular ? (found[0] ?? null) : found);
    });
}

function valueAt(root: unknown, location: readonly (string | number)[]): unknown {
  let value = root;
  for (const key of location) value = (value as Record<string | number, unknown>)[key];
  return value;
}

function compileTemplate(text: string): Transform {
  const template = guarded('', () => new Template(text));
  return (event) => {
    const written = guarded('', () => {
      const value = parseForReckoning(event) as Record<string, unknown>;
      return template.render({ ...value, event: value });
    });
    guarded('the template has not written JSON: ', () => JSON.parse(written) as unknown);
    return written;
  };
}

const MAX_REASON_LENGTH = 200;

/** What a library throws, as ours. */
function guarded<T>(prefix: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new TransformError(`${prefix}${reasonOf(error)}`, error instanceof JSONPathError ? error.token.index : null);
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof RangeError) return 'it goes too deep';
  // The template's parser falls over its own feet where the text ends early.
  if (error instanceof TypeError) return 'unexpected end of the template, or an operation on what does not exist';
  const message = error instanceof Error ? error.message : String(error);
  // JSON.parse quotes what it does not like, which may be of a row.
  const said = error instanceof SyntaxError ? message.replace(/,? *"[\s\S]*$/, '').replace(/'[^']*'/, '…') : message;
  return said.slice(0, MAX_REASON_LENGTH);
}

const OPEN = 0x5b;

/**
 * A request's body with each of its events transformed: one, or an array of them. Throws `TransformError`, also where what
 * an event becomes is longer than `maxEventBytes`.
 */
export function transformBody(transform: Transform, body: Buffer, maxEventBytes: number): Buffer {
  const checked = (event: string): string => {
    const written = transform(event);
    if (Buffer.byteLength(written) > maxEventBytes) {
      throw new TransformError(`it makes more than ${maxEventBytes} bytes of one event`);
    }
    return written;
  };
  const text = body.toString('utf8');
  if (body[0] !== OPEN) return Buffer.from(checked(text));
  const events = splitArray(text);
  return Buffer.from(`[${events.map(checked).join(',')}]`);
}

/** The texts of an array's elements. */
function splitArray(text: string): readonly string[] {
  const elements: string[] = [];
  let depth = 0;
  let start = 1;
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if (character === '"') {
      for (i++; i < text.length && text[i] !== '"'; i++) if (text[i] === '\\') i++;
    } else if (character === '[' || character === '{') depth++;
    else if (character === ']' || character === '}') depth--;
    if ((character === ',' && depth === 1) || (depth === 0 && i > start)) {
      elements.push(text.slice(start, i));
      start = i + 1;
    }
  }
  return elements;
}
