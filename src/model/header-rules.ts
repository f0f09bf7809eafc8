import type { StreamOptions } from './stream-options.ts';

/*
  Which request headers somebody may set. https://www.rfc-editor.org/rfc/rfc9110.html#name-tokens
*/

/** The characters of a name. */
export const HEADER_NAME_CHARACTER = "[!#$%&'*+.^_`|~0-9A-Za-z-]";

const HEADER_NAME = new RegExp(`^${HEADER_NAME_CHARACTER}+$`);

/** What is sent as it is in every implementation: no control characters, and nothing beyond ASCII. */
const HEADER_VALUE = /^[\t\x20-\x7e]*$/;

/** Those that belong to the connection (RFC 9110, 7.6.1), to the body, or to delivery. */
const RESERVED =
  'host|connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|expect|content-.*|webhook-.*|x-cdc-.*';

const RESERVED_HEADER = new RegExp(`^(?:${RESERVED})$`, 'i');

export function isHeaderName(name: string): boolean {
  return HEADER_NAME.test(name);
}

export function isHeaderValue(value: string): boolean {
  return HEADER_VALUE.test(value);
}

/** Whether only delivery itself may set the header. */
export function isReservedHeader(name: string): boolean {
  return RESERVED_HEADER.test(name);
}

const PLAIN = /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/;

/** A name of Postgres's as a header's value: as it is where that is plain ASCII, otherwise percent-encoded. */
export function headerText(name: string): string {
  return PLAIN.test(name) && !name.includes('%') ? name : encodeURIComponent(name.toWellFormed());
}

/** Names that the headers which delivery sets may be given: none that is reserved, and none that carries credentials. */
export function settableName(minimum: 0 | 1): RegExp {
  return new RegExp(
    `^(?!(?:${RESERVED}|authorization|cookie|user-agent)$)${HEADER_NAME_CHARACTER}{${minimum},100}$`,
    'i',
  );
}

const CREDENTIAL_HEADER = /auth|token|secret|key|cookie|sign|password|credential/i;

/** Headers as a client may see them: those that may carry credentials are `***`. */
export function shownHeaders(headers: StreamOptions['headers']): StreamOptions['headers'] {
  const entries = Object.entries(headers);
  return Object.fromEntries(entries.map(([name, value]) => [name, CREDENTIAL_HEADER.test(name) ? '***' : value]));
}
