import { MAX_NAME_BYTES } from '../postgres/identifier.ts';
import { PgError } from '../postgres/sqlstate.ts';
import type { Count, Literal, Name, Predicate } from './ast.ts';
import type { PlacedName, PlacedPredicate, QualifiedName } from './command.ts';
import { bindPredicate } from './predicate-text.ts';

/** Values of `$1`, `$2`, … in text form. */
export type Parameters = readonly (string | null)[];

/** Longer ones are refused by common servers. */
const MAX_URL_LENGTH = 8192;

/** What a place in a statement holds once the parameters are known. Each raises what `analyze` says. */
export class Values {
  readonly #parameters: Parameters;

  constructor(parameters: Parameters) {
    this.#parameters = parameters;
  }

  text(literal: Literal): string {
    if (literal.kind === 'string') return literal.value;
    const value = this.#parameter(literal.index, literal.position);
    if (value === null) throw invalid(`parameter $${literal.index} must not be null`, literal.position);
    return value;
  }

  /** Null where a parameter is. */
  textOrNull(literal: Literal | null): string | null {
    if (literal?.kind === 'parameter') return this.#parameter(literal.index, literal.position);
    return literal === null ? null : literal.value;
  }

  #parameter(index: number, position: number): string | null {
    const value = this.#parameters[index - 1];
    if (value !== undefined) return value;
    throw new PgError('undefined_parameter', `there is no parameter $${index}`, { position });
  }

  /** A URL of a webhook. The URL itself is in no message: its path or query may be a credential. */
  url(literal: Literal): string {
    const url = this.text(literal);
    checkUrl(url, literal.position);
    return url;
  }

  predicate({ text, parameters, position }: Predicate): PlacedPredicate {
    if (parameters.length === 0) return { text, position };
    return { text: bindPredicate(text, (index) => this.#parameter(index, position)), position };
  }

  /** LIMIT's; null where there is none. */
  limit(count: Count | null): number | null {
    if (count === null) return null;
    const text = count.kind === 'number' ? count.text : this.textOrNull(count);
    if (text === null) return null;
    if (/^\s*[0-9]{1,9}\s*$/.test(text)) return Number(text);
    const detail = 'Valid values are whole numbers from 0 to 999999999.';
    throw invalid(`invalid value for LIMIT: "${text.slice(0, MAX_SHOWN)}"`, count.position, detail);
  }
}

const MAX_SHOWN = 100;

export function invalid(message: string, position: number | undefined, detail?: string, hint?: string): PgError {
  return new PgError('invalid_parameter_value', message, { position, detail, hint });
}

/** 42622 */
export function checkLength(name: string, position: number): void {
  const bytes = Buffer.byteLength(name);
  if (bytes <= MAX_NAME_BYTES) return;
  throw new PgError('name_too_long', `identifier too long: ${bytes} bytes`, {
    detail: `Names have at most ${MAX_NAME_BYTES} bytes.`,
    position,
  });
}

export function checkedName(name: Name): string {
  checkLength(name.text, name.position);
  return name.text;
}

export function placedName(name: Name): PlacedName {
  return { name: checkedName(name), position: name.position };
}

export function checkedTable(table: QualifiedName): QualifiedName {
  checkLength(table.schema ?? '', table.position);
  checkLength(table.name, table.position);
  return table;
}

function checkUrl(url: string, position: number): void {
  const refuse = (detail: string, hint?: string): PgError => invalid('invalid webhook URL', position, detail, hint);
  const valid = `A webhook URL is absolute, as in 'https://example.com/hook'.`;
  if (url.length > MAX_URL_LENGTH) throw refuse(`The URL is longer than ${MAX_URL_LENGTH} characters.`);
  // The parser of URLs would quietly strip them.
  if (/[\s\p{Cc}]/u.test(url)) throw refuse('The URL contains white space or control characters.');
  const parsed = URL.parse(url);
  if (parsed === null) throw refuse(valid);
  if (parsed.protocol !== 'http:' && parsed.protocol !== 'https:') {
    throw refuse('The scheme of a webhook URL is http or https.');
  }
  // "http:host" and "http:/host" too are URLs to the parser.
  if (!/^https?:\/\//i.test(url)) throw refuse(valid);
  if (parsed.username !== '' || parsed.password !== '') {
    const hint = `Send credentials in a header, as in WITH (headers = '{"Authorization": "…"}').`;
    throw refuse('A webhook URL has no user name or password.', hint);
  }
  if (url.includes('#')) throw refuse('A webhook URL has no fragment: it would not be sent.');
}
